//! Devices that keep a stream open and hear nothing: how much of the server's memory each takes.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use indicatif::ProgressBar;
use roundsman::device;
use roundsman_proto::sync::pull_response::Message;
use roundsman_proto::sync::sync_service_client::SyncServiceClient;
use roundsman_proto::sync::{Checkpoint, PullRequest, PullResponse};
use tokio::task::JoinSet;
use tonic::Streaming;
use tonic::transport::Channel;
use uuid::Uuid;

use crate::bench::{Bench, FLEET};
use crate::database::Database;
use crate::office::{PASSWORD, TENANT};
use crate::phone;
use crate::report::{Goal, Report};
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
                streams.push(follow(&channel, &logins[number % logins.len()], installation).await?);
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
    let condition = format!("{}, {} idle followers", database.durability, streams.len());
    report.aim(("server's memory", &condition), "MiB", vec![server.resident_mib()?], Goal::AtMost(600.0));
    let each = (idle - before) * 1_024.0 / streams.len() as f64;
    report.aim(("server's memory for a follower", &condition), "KiB", vec![each], Goal::AtMost(40.0));
    report.add("server's time", &condition, "CPU s/s", vec![cpu]);
    Ok(())
}

/// A device of its own that has fetched everything, as an app does when it is opened, and then waits for news.
async fn follow(channel: &Channel, login: &str, installation: Uuid) -> anyhow::Result<Streaming<PullResponse>> {
    let answer = device::login(channel.clone(), (TENANT, login, PASSWORD), Some(installation)).await?;
    let token = answer.tokens.context("a login without tokens")?.access_token;
    let first = PullRequest { protocol_version: 1, ..PullRequest::default() };
    let (_, Checkpoint { position, scope_digest, .. }) = pull(channel, &token, first).await?;
    let then = PullRequest { protocol_version: 1, follow: true, position, scope_digest, ..PullRequest::default() };
    Ok(pull(channel, &token, then).await?.0)
}

/// Pulls up to the last checkpoint.
async fn pull(
    channel: &Channel,
    token: &str,
    request: PullRequest,
) -> anyhow::Result<(Streaming<PullResponse>, Checkpoint)> {
    let request = device::authorized(token, request)?;
    let mut stream = SyncServiceClient::new(channel.clone()).pull(request).await?.into_inner();
    while let Some(message) = stream.message().await? {
        if let Some(Message::Checkpoint(checkpoint)) = message.message
            && checkpoint.last
        {
            return Ok((stream, checkpoint));
        }
    }
    anyhow::bail!("a stream ended before its last checkpoint")
}

async fn hear_keep_alives(streams: &mut [Streaming<PullResponse>], bar: &ProgressBar) -> anyhow::Result<()> {
    for stream in streams {
        // A job of the server's may have committed something meanwhile.
        while !matches!(stream.message().await?.context("a stream ended")?.message, Some(Message::KeepAlive(_))) {}
        bar.inc(1);
    }
    Ok(())
}
