//! What the transport alone can do: the baseline of other figures.

use std::time::Duration;

use roundsman_proto::sync::sync_service_client::SyncServiceClient;
use roundsman_proto::sync::{Position, PullRequest, PushRequest};
use tokio::time::Instant;
use tonic::transport::Channel;

use crate::bench::{Bench, FLEET, REPETITIONS};
use crate::drive::{self, Caller};
use crate::phone::{self, Traffic};
use crate::report::{Figure, Report};
use crate::server::Server;
use crate::stats::{Spread, per_second};

const ROUND: Duration = Duration::from_secs(1);
/// Streams in a repetition, one after another: about a second.
const STREAMS: usize = 100;

/// Medians of what the transport does without any work.
#[derive(Clone, Copy, Debug)]
pub struct Baselines {
    /// Bytes of messages that a second of the server's processor time sends.
    pub stream_bytes_a_cpu_second: f64,
    /// Unary calls in a second, by the fleet.
    pub unary_calls_a_second: f64,
}

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

/// What this run has measured, or measures now.
pub async fn baselines(bench: &Bench, report: &mut Report) -> anyhow::Result<Baselines> {
    match bench.baselines.get() {
        Some(known) => Ok(*known),
        None => {
            let measured = measure(bench, report).await?;
            Ok(*bench.baselines.get_or_init(|| measured))
        }
    }
}

async fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<Baselines> {
    let server = Server::start_bare().await?;
    let bar = bench.progress("the transport without any work".to_owned(), 1);
    let mut client = SyncServiceClient::new(phone::connect(server.address).await?);
    let mut traffic = read(&mut client, PullRequest::default()).await?;
    let (mut rows_a_second, mut bytes_a_cpu_second) = (Vec::new(), Vec::new());
    for _ in 0..REPETITIONS {
        let (begun, before) = (Instant::now(), server.cpu_seconds()?);
        let (mut rows, mut bytes) = (0, 0);
        for _ in 0..STREAMS {
            traffic = read(&mut client, PullRequest::default()).await?;
            rows += traffic.rows;
            bytes += traffic.packed_bytes;
        }
        rows_a_second.push(per_second(rows, begun.elapsed()));
        bytes_a_cpu_second.push(bytes as f64 / (server.cpu_seconds()? - before));
    }
    let what = format!("tonic alone: a stream of {} rows in {} bytes", traffic.rows, traffic.packed_bytes);
    report.add(Figure::new("S0a", &what, "rows/s", rows_a_second));
    let stream_bytes_a_cpu_second = Spread::of(bytes_a_cpu_second.clone()).median;
    report.add(Figure::new("S0b", what + ", by the server's time", "bytes/CPU s", bytes_a_cpu_second));
    let (mut unary, mut streams) = (Vec::new(), Vec::new());
    for _ in 0..FLEET {
        unary.push(Unary(SyncServiceClient::new(phone::connect(server.address).await?)));
        streams.push(ShortStream(SyncServiceClient::new(phone::connect(server.address).await?)));
    }
    let calls = rounds(&mut unary).await?;
    let unary_calls_a_second = Spread::of(calls.clone()).median;
    report.add(Figure::new("S0c", format!("tonic alone: unary, {FLEET} connections"), "calls/s", calls));
    let calls = rounds(&mut streams).await?;
    let what = format!("tonic alone: a stream of one message, {FLEET} connections");
    report.add(Figure::new("S0d", what, "calls/s", calls));
    bar.finish_and_clear();
    Ok(Baselines { stream_bytes_a_cpu_second, unary_calls_a_second })
}

async fn rounds<C: Caller>(callers: &mut Vec<C>) -> anyhow::Result<Vec<f64>> {
    drive::round(callers, ROUND / 2).await?;
    let mut calls = Vec::new();
    for _ in 0..REPETITIONS {
        calls.push(drive::round(callers, ROUND).await?.calls_a_second);
    }
    Ok(calls)
}
