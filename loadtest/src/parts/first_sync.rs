//! A device that holds nothing gets everything: how many rows a second, what that costs the server, and how much memory.

use indicatif::ProgressBar;
use tokio::time::Instant;

use crate::bench::{Bench, REPETITIONS};
use crate::database::{Database, Kind};
use crate::office::Office;
use crate::phone::Phone;
use crate::report::{Goal, Report};
use crate::server::Server;
use crate::stats::per_second;
use crate::world::World;

/// Articles for 20,000 rows.
const ARTICLES: usize = 10_000;
/// Articles for 100,000 rows.
const MANY_ARTICLES: usize = 50_000;
/// Synchronizations in a repetition, one after another.
const SYNCS: usize = 5;
/// Outlets of the rep.
const OUTLETS: usize = 4;

const GOAL: Goal = Goal::AtLeast(150_000.0);

/// Measures it.
pub async fn measure(bench: &Bench, kind: Kind, database: &Database, report: &mut Report) -> anyhow::Result<()> {
    let (server, office) = super::claimed(bench, database).await?;
    let mut world = World::make(&office, (1, OUTLETS), false).await?;
    let (records, took) = world.grow(&office, ARTICLES).await?;
    let condition = format!("{}, by 1,000", database.durability);
    report.add("import of products and prices", &condition, "records/s", vec![per_second(records, took)]);
    drop(server);

    // A new process, or its memory would be that of the import.
    let server = Server::start(&bench.program, &database.url).await?;
    let mut phone = Phone::login(bench, server.address, &world.reps[0].login).await?;
    let goal = (kind == Kind::Sqlite).then_some(GOAL);
    rates(bench, (&server, &mut phone), &database.durability, (report, goal)).await?;
    memory(&server, 2 * ARTICLES, database, report)?;

    let office = Office::open(bench, &server).await?;
    world.grow(&office, MANY_ARTICLES).await?;
    drop(server);
    let server = Server::start(&bench.program, &database.url).await?;
    let mut phone = Phone::login(bench, server.address, &world.reps[0].login).await?;
    phone.sync(bench.now_us()).await?;
    memory(&server, 2 * MANY_ARTICLES, database, report)
}

fn memory(server: &Server, rows: usize, database: &Database, report: &mut Report) -> anyhow::Result<()> {
    let condition = format!("{}, first sync of {rows} rows", database.durability);
    report.add("server's peak memory", &condition, "MiB", vec![server.peak_mib()?]);
    Ok(())
}

async fn rates(
    bench: &Bench,
    (server, phone): (&Server, &mut Phone),
    durability: &str,
    (report, goal): (&mut Report, Option<Goal>),
) -> anyhow::Result<()> {
    let bar = bench.progress("first sync".to_owned(), 1);
    let warm = phone.sync(bench.now_us()).await?;
    anyhow::ensure!(warm.rows >= 2 * ARTICLES as u64, "a first sync brought {} rows only", warm.rows);
    let mut applied = Vec::new();
    for _ in 0..REPETITIONS {
        applied.push(apply(bench, phone, &bar).await?);
    }
    let (mut drained, mut cpu) = (Vec::new(), Vec::new());
    for _ in 0..REPETITIONS {
        let before = server.cpu_seconds()?;
        let (rate, rows) = drain(bench, phone, &bar).await?;
        drained.push(rate);
        cpu.push((server.cpu_seconds()? - before) / rows as f64 * 1e6);
    }
    bar.finish_and_clear();
    let bytes = warm.bytes / warm.rows.max(1);
    let condition = |client: &str| format!("{durability}, {} rows of {bytes} bytes, {client}", warm.rows);
    report.aim(("first sync", &condition("applied in memory")), "rows/s", applied, goal);
    report.aim(("first sync", &condition("drained")), "rows/s", drained, goal);
    report.add("server's time for a first sync", durability, "CPU s/M rows", cpu);
    Ok(())
}

async fn apply(bench: &Bench, phone: &mut Phone, bar: &ProgressBar) -> anyhow::Result<f64> {
    let (begun, mut rows) = (Instant::now(), 0);
    for _ in 0..SYNCS {
        phone.forget()?;
        rows += phone.sync(bench.now_us()).await?.rows;
        bar.tick();
    }
    Ok(per_second(rows, begun.elapsed()))
}

async fn drain(bench: &Bench, phone: &mut Phone, bar: &ProgressBar) -> anyhow::Result<(f64, u64)> {
    phone.forget()?;
    let (begun, mut rows) = (Instant::now(), 0);
    for _ in 0..SYNCS {
        rows += phone.drain(phone.request(bench.now_us())).await?.rows;
        bar.tick();
    }
    Ok((per_second(rows, begun.elapsed()), rows))
}
