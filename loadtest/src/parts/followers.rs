//! Devices that keep a stream open and hear nothing: how much of the server's memory each takes.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use indicatif::ProgressBar;
use roundsman_proto::sync::PullResponse;
use roundsman_proto::sync::pull_response::Message;
use tokio::task::JoinSet;
use tonic::Streaming;

use crate::bench::{Bench, FLEET};
use crate::database::Database;
use crate::phone;
use crate::report::{Figure, Goal, Report};
use crate::world::World;

const FOLLOWERS: usize = 10_000;
/// As many as the server allows.
const STREAMS_A_CONNECTION: usize = 100;
const ARTICLES: usize = 1_000;
const OUTLETS: usize = 20;
/// Within this each of them hears that the stream lives.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// Connections that log devices in at the same time.
const AT_ONCE: usize = 4;

/// Measures it.
pub async fn measure(bench: &Bench, database: &Database, report: &mut Report) -> anyhow::Result<()> {
    let (server, office) = super::claimed(bench, database).await?;
    let mut world = World::make(&office, (FLEET, OUTLETS), false).await?;
    world.grow(&office, ARTICLES).await?;
    let logins: Arc<[String]> = world.reps.iter().map(|rep| rep.login.clone()).collect();
    let bar = bench.progress("followers".to_owned(), FOLLOWERS);
    let before = server.resident_mib()?;
    let (mut opening, mut streams) = (JoinSet::new(), Vec::with_capacity(FOLLOWERS));
    for _ in 0..FOLLOWERS / STREAMS_A_CONNECTION {
        if opening.len() == AT_ONCE {
            streams.extend(opening.join_next().await.context("some are under way")???);
        }
        let installations = (0..STREAMS_A_CONNECTION).map(|_| bench.id()).collect::<Vec<_>>();
        let (address, logins, bar) = (server.address, Arc::clone(&logins), bar.clone());
        opening.spawn(async move {
            let channel = phone::connect(address).await?;
            let mut streams = Vec::with_capacity(STREAMS_A_CONNECTION);
            for (number, installation) in installations.into_iter().enumerate() {
                streams.push(phone::follow(&channel, &logins[number % logins.len()], installation).await?);
                bar.inc(1);
            }
            anyhow::Ok(streams)
        });
    }
    while let Some(opened) = opening.join_next().await {
        streams.extend(opened??);
    }
    bar.finish_and_clear();
    let (idle, cpu_before) = (server.resident_mib()?, server.cpu_seconds()?);
    let bar = bench.progress("keep-alives".to_owned(), FOLLOWERS);
    tokio::time::sleep(KEEP_ALIVE).await;
    let cpu = (server.cpu_seconds()? - cpu_before) / KEEP_ALIVE.as_secs_f64();
    hear_keep_alives(&mut streams, &bar).await?;
    bar.finish_and_clear();
    let name = |figure: &str| database.kind.named(figure);
    let what = format!("the server's memory with {} idle followers", streams.len());
    report.add(Figure::new(name("S11e"), &what, "MiB", vec![server.resident_mib()?]).goal(Goal::Most(600.0)));
    let each = (idle - before) * 1_024.0 / streams.len() as f64;
    report.add(Figure::new(name("S11f"), what + ", for each", "KiB", vec![each]).goal(Goal::Most(40.0)));
    report.add(Figure::new(name("S11g"), "the server's time for them", "CPU s/s", vec![cpu]));
    Ok(())
}

async fn hear_keep_alives(streams: &mut [Streaming<PullResponse>], bar: &ProgressBar) -> anyhow::Result<()> {
    for stream in streams {
        // A job of the server's may have committed something meanwhile.
        while !matches!(stream.message().await?.context("a stream ended")?.message, Some(Message::KeepAlive(_))) {}
        bar.inc(1);
    }
    Ok(())
}
