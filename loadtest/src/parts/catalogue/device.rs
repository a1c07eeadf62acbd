//! The device's half by itself: what it takes to store what the server sends.

use anyhow::Context as _;
use roundsman_proto::sync::PullResponse;
use roundsman_sync::replica::memory::MemoryStorage;
use roundsman_sync::replica::sqlite::SqliteStorage;
use roundsman_sync::replica::{Event, Replica, Storage};
use tempfile::TempDir;
use tokio::time::Instant;

use super::Stage;
use crate::bench::REPETITIONS;
use crate::phone::Traffic;
use crate::report::{Figure, Goal, Report};
use crate::stats::per_second;

/// Measures it, with the messages of a first sync.
pub async fn measure(stage: &Stage<'_>, report: &mut Report) -> anyhow::Result<()> {
    let server = stage.server().await?;
    let phone = stage.phone(&server).await?;
    let mut stream = phone.open(phone.request(stage.bench.now_us())).await?;
    let (mut messages, mut traffic) = (Vec::new(), Traffic::default());
    while let Some(message) = stream.message().await? {
        traffic.count(&message);
        messages.push(message);
    }
    let rows = traffic.whole()?.rows;
    drop(server);
    let bar = stage.bench.progress(format!("{rows} rows into the device"), 2 * REPETITIONS);
    let (mut memory, mut file) = (Vec::new(), Vec::new());
    for _ in 0..REPETITIONS {
        memory.push(apply(Replica::open(MemoryStorage::default())?, &messages, rows)?);
        bar.inc(1);
        let folder = TempDir::new().context("there is no temporary folder")?;
        let storage = SqliteStorage::open(&folder.path().join("replica.db"))?;
        file.push(apply(Replica::open(storage)?, &messages, rows)?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let what = format!("the device stores {rows} rows");
    let figure = Figure::new(stage.name("S13a"), format!("{what} in memory"), "rows/s", memory);
    report.add(figure.goal(Goal::Least(1_000_000.0)));
    let figure = Figure::new(stage.name("S13b"), format!("{what} in an SQLite file"), "rows/s", file);
    report.add(figure.goal(Goal::Least(100_000.0)));
    Ok(())
}

fn apply<S: Storage>(mut replica: Replica<S>, messages: &[PullResponse], rows: u64) -> anyhow::Result<f64>
where
    S::Error: std::error::Error + Send + Sync + 'static,
{
    let begun = Instant::now();
    let mut complete = false;
    for message in messages {
        if let Event::Checkpoint { damaged, .. } = replica.receive(message.clone())? {
            anyhow::ensure!(damaged.is_empty(), "the checksums of {damaged:?} are wrong");
            complete = true;
        }
    }
    anyhow::ensure!(complete, "the device reached no checkpoint");
    Ok(per_second(rows, begun.elapsed()))
}
