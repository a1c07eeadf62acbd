//! What the transport alone can do, for comparison with all other figures.

use std::time::Duration;

use roundsman_proto::sync::sync_service_client::SyncServiceClient;
use roundsman_proto::sync::{Position, PullRequest, PushRequest};
use tokio::time::Instant;
use tonic::transport::Channel;

use crate::bench::{Bench, FLEET, REPETITIONS};
use crate::drive::{self, Caller};
use crate::phone::{self, Traffic};
use crate::report::Report;
use crate::server::Server;
use crate::stats::per_second;

const ROUND: Duration = Duration::from_secs(1);
/// Streams in a repetition, one after another.
const STREAMS: usize = 10;

#[derive(Debug)]
struct Unary(SyncServiceClient<Channel>);

impl Caller for Unary {
    async fn call(&mut self) -> anyhow::Result<()> {
        self.0.push(PushRequest::default()).await?;
        Ok(())
    }
}

#[derive(Debug)]
struct ShortStream(SyncServiceClient<Channel>);

impl Caller for ShortStream {
    async fn call(&mut self) -> anyhow::Result<()> {
        let request = PullRequest { position: Some(Position::default()), ..PullRequest::default() };
        read(&mut self.0, request).await?;
        Ok(())
    }
}

async fn read(client: &mut SyncServiceClient<Channel>, request: PullRequest) -> anyhow::Result<Traffic> {
    let mut stream = client.pull(request).await?.into_inner();
    let mut traffic = Traffic::default();
    while let Some(message) = stream.message().await? {
        traffic.count(&message);
    }
    traffic.whole()
}

/// Measures it.
pub async fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let server = Server::start_bare().await?;
    let bar = bench.progress("the transport without any work".to_owned(), 1);
    let mut client = SyncServiceClient::new(phone::connect(server.address).await?);
    let mut traffic = read(&mut client, PullRequest::default()).await?;
    let mut rows_a_second = Vec::new();
    for _ in 0..REPETITIONS {
        let (begun, mut rows) = (Instant::now(), 0);
        for _ in 0..STREAMS {
            traffic = read(&mut client, PullRequest::default()).await?;
            rows += traffic.rows;
        }
        rows_a_second.push(per_second(rows, begun.elapsed()));
    }
    let condition = format!("tonic alone, {} rows in {} bytes as sent", traffic.rows, traffic.packed_bytes);
    report.add("bare stream", &condition, "rows/s", rows_a_second);
    let (mut unary, mut streams) = (Vec::new(), Vec::new());
    for _ in 0..FLEET {
        unary.push(Unary(SyncServiceClient::new(phone::connect(server.address).await?)));
        streams.push(ShortStream(SyncServiceClient::new(phone::connect(server.address).await?)));
    }
    let condition = format!("tonic alone, {FLEET} connections");
    rounds(&mut unary, ("bare unary call", &condition), report).await?;
    rounds(&mut streams, ("bare stream of one message", &condition), report).await?;
    bar.finish_and_clear();
    Ok(())
}

async fn rounds<C: Caller>(
    callers: &mut Vec<C>,
    (figure, condition): (&str, &str),
    report: &mut Report,
) -> anyhow::Result<()> {
    drive::round(callers, ROUND / 2).await?;
    let mut calls = Vec::new();
    for _ in 0..REPETITIONS {
        calls.push(drive::round(callers, ROUND).await?.calls_a_second);
    }
    report.add(figure, condition, "calls/s", calls);
    Ok(())
}
