//! A device that holds nothing gets everything: how many rows a second, what that costs the server, and how much memory.

use futures::future::try_join_all;
use prost::Message as _;
use tokio::time::Instant;

use super::super::bare::baselines;
use super::Stage;
use crate::bench::REPETITIONS;
use crate::goods;
use crate::phone::Phone;
use crate::report::{Figure, Goal, Report};
use crate::server::PAGES_PACKED;
use crate::stats::per_second;
use crate::wire::Relay;
use crate::world::World;

/// Devices that synchronize at the same time.
const AT_ONCE: usize = 10;
/// Rows that a repetition brings in all: about a second of the server's time.
const ROWS_A_REPETITION: usize = 3_000_000;
/// What the server keeps of packed pages, by default, in MiB.
const SHARED_PAGES_MIB: f64 = 64.0;
/// Devices that read nothing of what they asked for.
const SLOW: usize = 20;

/// The most memory that a server has held after its first device.
pub async fn memory(stage: &Stage<'_>, report: &mut Report) -> anyhow::Result<()> {
    let server = stage.server().await?;
    stage.phone(&server).await?.sync(stage.bench.now_us()).await?;
    let what = format!("the server's peak memory after one first sync of {} rows", stage.rows);
    let figure = Figure::new(stage.name("S11a"), what, "MiB", vec![server.peak_mib()?]);
    report.add(figure.goal(Goal::Most(120.0)));
    Ok(())
}

/// What a long first sync needs beside the pages that are kept, and what devices cost that don't read.
pub async fn memory_of_many(stage: &Stage<'_>, report: &mut Report) -> anyhow::Result<()> {
    let server = stage.server().await?;
    let phone = stage.phone(&server).await?;
    let before = server.resident_mib()?;
    let traffic = phone.drain(phone.request(stage.bench.now_us())).await?;
    let more = server.peak_mib()? - before - SHARED_PAGES_MIB;
    let what = format!("peak memory beyond the pages' budget, first sync of {} rows", traffic.rows);
    report.add(Figure::new(stage.name("S11b"), what, "MiB", vec![more]).goal(Goal::Most(32.0)));

    let mut phones = Vec::with_capacity(SLOW);
    for _ in 0..SLOW {
        phones.push(stage.phone(&server).await?);
    }
    let before = server.resident_mib()?;
    let mut streams = Vec::with_capacity(SLOW);
    for phone in &phones {
        streams.push(phone.open(phone.request(stage.bench.now_us())).await?);
    }
    // By now each has got what fits into its connection, and the server waits.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    let each = (server.resident_mib()? - before) * 1_024.0 / SLOW as f64;
    let what = format!("memory for a device that reads nothing of {} rows", stage.rows);
    report.add(Figure::new(stage.name("S11c"), what, "KiB", vec![each]).goal(Goal::Most(1_024.0)));
    Ok(())
}

/// The first device of a new process, the second, and ten first ones at once.
pub async fn cold(stage: &Stage<'_>, report: &mut Report) -> anyhow::Result<()> {
    let bar = stage.bench.progress("first sync of a new server".to_owned(), REPETITIONS);
    let (mut first, mut second) = (Vec::new(), Vec::new());
    let (mut packed, mut packed_at_once) = (0.0, Vec::new());
    for _ in 0..REPETITIONS {
        let server = stage.server().await?;
        let phone = stage.phone(&server).await?;
        first.push(drain(stage, &phone).await?);
        packed = server.metric(PAGES_PACKED).await?;
        second.push(drain(stage, &phone).await?);
        let again = server.metric(PAGES_PACKED).await?;
        anyhow::ensure!(again == packed, "the second device had {} pages packed once more", again - packed);

        let server = stage.server().await?;
        let mut phones = Vec::with_capacity(AT_ONCE);
        for _ in 0..AT_ONCE {
            phones.push(stage.phone(&server).await?);
        }
        try_join_all(phones.iter().map(|phone| drain(stage, phone))).await?;
        packed_at_once.push(server.metric(PAGES_PACKED).await?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let (name, rows) = (|figure: &str| stage.name(figure), stage.rows);
    let goal = Goal::Least(stage.database.kind.either(600_000.0, 300_000.0));
    report.add(Figure::new(name("S2a"), format!("first sync, cold, {rows} rows, drained"), "rows/s", first).goal(goal));
    report.add(Figure::new(name("S2b"), "the same by the second device", "rows/s", second));
    anyhow::ensure!(packed > 0.0, "no page was packed");
    let what = format!("pages packed for {AT_ONCE} first devices at once; beside those for one");
    let packings: Vec<f64> = packed_at_once.into_iter().map(|pages| pages / packed).collect();
    report.add(Figure::new(name("S2c"), what, "ratio", packings).goal(Goal::Most(1.0)));
    Ok(())
}

async fn drain(stage: &Stage<'_>, phone: &Phone) -> anyhow::Result<f64> {
    let begun = Instant::now();
    let rows = phone.drain(phone.request(stage.bench.now_us())).await?.rows;
    anyhow::ensure!(rows >= stage.rows as u64, "a first sync brought {rows} rows only");
    Ok(per_second(rows, begun.elapsed()))
}

/// Devices that come when the pages are there already: one after another, and at once.
pub async fn warm(stage: &Stage<'_>, names: [&str; 3], report: &mut Report) -> anyhow::Result<()> {
    let bare = baselines(stage.bench, report).await?.stream_bytes_a_cpu_second;
    let server = stage.server().await?;
    let mut phones = Vec::with_capacity(AT_ONCE);
    for _ in 0..AT_ONCE {
        phones.push(stage.phone(&server).await?);
    }
    let traffic = phones[0].drain(phones[0].request(stage.bench.now_us())).await?;
    let [one, several, rows_name] = names.map(|figure| stage.name(figure));
    let bar = stage.bench.progress("first sync from shared pages".to_owned(), 2 * REPETITIONS);
    let mut figures = Vec::new();
    for (name, phones) in [(one, &phones[..1]), (several, &phones[..])] {
        let rounds = (ROWS_A_REPETITION / stage.rows / phones.len()).max(1);
        let (mut bytes_a_cpu_second, mut rows_a_cpu_second) = (Vec::new(), Vec::new());
        for _ in 0..REPETITIONS {
            let (mut bytes, mut rows, before) = (0, 0, server.cpu_seconds()?);
            for _ in 0..rounds {
                let requests = phones.iter().map(|phone| phone.drain(phone.request(stage.bench.now_us())));
                for traffic in try_join_all(requests).await? {
                    bytes += traffic.packed_bytes;
                    rows += traffic.rows;
                }
            }
            let cpu = server.cpu_seconds()? - before;
            bytes_a_cpu_second.push(bytes as f64 / cpu);
            rows_a_cpu_second.push(rows as f64 / cpu);
            bar.inc(1);
        }
        let devices = phones.len();
        let what = format!("first sync, warm, {} rows, {devices} at once; beside the bare stream", traffic.rows);
        report.add(
            Figure::new(name, what, "bytes/CPU s", bytes_a_cpu_second).against(bare).goal(Goal::LeastOfBaseline(0.6)),
        );
        figures = rows_a_cpu_second;
    }
    bar.finish_and_clear();
    let what = format!("first sync, warm, {} rows, {AT_ONCE} at once", traffic.rows);
    report.add(Figure::new(rows_name, what, "rows/CPU s", figures).goal(Goal::Least(4_000_000.0)));
    Ok(())
}

/// A first sync on the wire, beside its documents as zstd alone would pack them.
pub async fn bytes(stage: &Stage<'_>, world: &World, report: &mut Report) -> anyhow::Result<()> {
    let articles = world.articles();
    let mut documents = Vec::new();
    for article in 0..articles {
        goods::product(article).encode(&mut documents)?;
    }
    for article in 0..articles {
        goods::price(article, world.price_list(), goods::price_minor(article)).encode(&mut documents)?;
    }
    let packed = zstd::bulk::compress(&documents, zstd::DEFAULT_COMPRESSION_LEVEL)?.len();
    let server = stage.server().await?;
    let mut phone = stage.phone(&server).await?;
    let relay = Relay::start(server.address).await?;
    phone.connect_to(relay.address).await?;
    let traffic = phone.drain(phone.request(stage.bench.now_us())).await?;
    let what = format!("first sync, {} rows: bytes on the wire; beside zstd of the bare documents", traffic.rows);
    let down = vec![relay.bytes().down as f64];
    let figure = Figure::new(stage.name("S12c"), what, "bytes", down).against(packed as f64);
    report.add(figure.goal(Goal::MostOfBaseline(1.1)));
    Ok(())
}
