//! The device's half by itself: what it takes to store what the server sends.

use std::time::Duration;

use anyhow::Context as _;
use roundsman_proto::sync::PullResponse;
use roundsman_sync::replica::memory::MemoryStorage;
use roundsman_sync::replica::sqlite::SqliteStorage;
use roundsman_sync::replica::{Event, Replica, Storage};
use tempfile::TempDir;
use tokio::time::Instant;

use super::{Stage, delta};
use crate::bench::REPETITIONS;
use crate::office::Office;
use crate::phone::{Phone, Traffic};
use crate::report::{Figure, Goal, Report};
use crate::stats::per_second;
use crate::world::World;

/// Rows of a small delta.
const CHANGED: usize = 10;

/// Measures it, with the messages of a first sync, and of small deltas after it.
pub async fn measure(stage: &Stage<'_>, world: &World, report: &mut Report) -> anyhow::Result<()> {
    let server = stage.server().await?;
    let mut phone = stage.phone(&server).await?;
    let (messages, rows) = fetch(stage, &mut phone).await?;
    let office = Office::open(stage.bench, &server).await?;
    let mut deltas = Vec::new();
    for change in 0..=REPETITIONS {
        office.execute(delta::command(delta::prices(world, (change, CHANGED), stage.bench.now_us()))).await?;
        let (messages, rows) = fetch(stage, &mut phone).await?;
        anyhow::ensure!(rows == CHANGED as u64, "a delta of {CHANGED} rows brought {rows}");
        deltas.push(messages);
    }
    drop((server, office, phone));
    let bar = stage.bench.progress(format!("{rows} rows into the device"), 2 * REPETITIONS);
    let (mut memory, mut file, mut small) = (Vec::new(), Vec::new(), Vec::new());
    for repetition in 0..REPETITIONS {
        let took = apply(&mut Replica::open(MemoryStorage::default())?, &messages)?;
        memory.push(per_second(rows, took.all));
        bar.inc(1);
        let folder = TempDir::new().context("there is no temporary folder")?;
        let mut replica = Replica::open(SqliteStorage::open(&folder.path().join("replica.db"))?)?;
        file.push(per_second(rows, apply(&mut replica, &messages)?.all));
        if repetition == 0 {
            for delta in &deltas {
                small.push(apply(&mut replica, delta)?.checkpoint.as_secs_f64() * 1e3);
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let what = format!("the device stores {rows} rows");
    let figure = Figure::new(stage.name("S13a"), format!("{what} in memory"), "rows/s", memory);
    report.add(figure.goal(Goal::Least(1_000_000.0)));
    let figure = Figure::new(stage.name("S13b"), format!("{what} in an SQLite file"), "rows/s", file);
    report.add(figure.goal(Goal::Least(100_000.0)));
    // The first one warms up.
    let small = small.split_off(1);
    let what = format!("{CHANGED} changed of {rows} rows in an SQLite file: the checkpoint that applies them");
    report.add(Figure::new(stage.name("S13c"), what, "ms", small).goal(Goal::Most(5.0)));
    Ok(())
}

/// What the server sends to a device now, and how many rows that are; the device applies it, too.
async fn fetch(stage: &Stage<'_>, phone: &mut Phone) -> anyhow::Result<(Vec<PullResponse>, u64)> {
    let messages = phone.fetch(phone.request(stage.bench.now_us())).await?;
    let mut traffic = Traffic::default();
    for message in &messages {
        traffic.count(message);
        phone.apply(message.clone())?;
    }
    phone.replica.cut();
    Ok((messages, traffic.whole()?.rows))
}

/// How long it took.
struct Applied {
    all: Duration,
    /// The last of the messages, with which the device has the new state.
    checkpoint: Duration,
}

fn apply<S: Storage>(replica: &mut Replica<S>, messages: &[PullResponse]) -> anyhow::Result<Applied>
where
    S::Error: std::error::Error + Send + Sync + 'static,
{
    let begun = Instant::now();
    let mut checkpoint = None;
    for message in messages {
        let received = Instant::now();
        if let Event::Checkpoint { damaged, .. } = replica.receive(message.clone())? {
            anyhow::ensure!(damaged.is_empty(), "the checksums of {damaged:?} are wrong");
            checkpoint = Some(received.elapsed());
        }
    }
    let all = begun.elapsed();
    replica.cut();
    Ok(Applied { all, checkpoint: checkpoint.context("the device reached no checkpoint")? })
}
