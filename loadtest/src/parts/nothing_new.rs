//! Devices that hold everything ask again: the most frequent call of all.

use std::time::Duration;

use roundsman_proto::sync::PullRequest;

use super::bare::baselines;
use crate::bench::{Bench, FLEET, REPETITIONS};
use crate::database::{Database, Kind};
use crate::drive::{self, Caller};
use crate::phone::{self, Phone};
use crate::report::{Figure, Goal, Report};
use crate::server::Server;
use crate::wire::Relay;
use crate::world::World;

const ARTICLES: usize = 1_000;
const OUTLETS: usize = 20;
const ROUND: Duration = Duration::from_secs(2);
/// Calls whose bytes are counted, on a connection that has had one before.
const COUNTED: u64 = 20;

#[derive(Debug)]
struct Idle {
    phone: Phone,
    request: PullRequest,
}

impl Caller for Idle {
    async fn call(&mut self) -> anyhow::Result<()> {
        let traffic = self.phone.drain(self.request.clone()).await?;
        anyhow::ensure!(traffic.rows == 0, "a device at the head got {} rows", traffic.rows);
        Ok(())
    }
}

/// Measures it.
pub async fn measure(bench: &Bench, database: &Database, report: &mut Report) -> anyhow::Result<()> {
    let unary = baselines(bench, report).await?.unary_calls_a_second;
    let (server, office) = super::claimed(bench, database).await?;
    let mut world = World::make(&office, (FLEET, OUTLETS), false).await?;
    world.grow(&office, ARTICLES).await?;
    let phones = phone::fleet(bench, server.address, &world.reps).await?;
    let idle = |phone: Phone| Idle { request: phone.request(bench.now_us()), phone };
    let mut callers: Vec<Idle> = phones.into_iter().map(idle).collect();
    let bar = bench.progress("nothing new".to_owned(), 1);
    drive::round(&mut callers, ROUND / 2).await?;
    let before = server.cpu_seconds()?;
    let (mut calls, mut answered) = (Vec::new(), 0);
    for _ in 0..REPETITIONS {
        let round = drive::round(&mut callers, ROUND).await?;
        calls.push(round.calls_a_second);
        answered += round.calls;
    }
    let cpu_ms = (server.cpu_seconds()? - before) * 1e3 / answered.max(1) as f64;
    bar.finish_and_clear();
    let kind = database.kind;
    let what = format!("\"nothing new\", {FLEET} connections; beside a unary call without work");
    let goal = Goal::LeastOfBaseline(0.6);
    report.add(Figure::new(kind.named("S4a"), what, "calls/s", calls).against(unary).goal(goal));
    report.add(Figure::new(kind.named("S4b"), "\"nothing new\", the server's time", "CPU ms/call", vec![cpu_ms]));
    on_the_wire(&server, &mut callers[0], kind, report).await
}

/// Bytes of a call, on a connection that has had one before; without the token, which HTTP/2 sends anew each time.
async fn on_the_wire(server: &Server, idle: &mut Idle, kind: Kind, report: &mut Report) -> anyhow::Result<()> {
    let relay = Relay::start(server.address).await?;
    idle.phone.connect_to(relay.address).await?;
    idle.call().await?;
    let before = relay.bytes();
    for _ in 0..COUNTED {
        idle.call().await?;
    }
    let down = relay.bytes().since(before).down;
    idle.phone.give_token_up();
    anyhow::ensure!(idle.call().await.is_err(), "a device without a token was served");
    let before = relay.bytes();
    for _ in 0..COUNTED {
        anyhow::ensure!(idle.call().await.is_err(), "a device without a token was served");
    }
    let up = relay.bytes().since(before).up;
    let each = |bytes: u64| vec![bytes as f64 / COUNTED as f64];
    let what = format!("\"nothing new\", {} buckets, on a warm connection", idle.phone.replica.buckets().count());
    let figure = Figure::new(kind.named("S12a"), format!("{what}: up, without the token"), "bytes", each(up));
    report.add(figure.goal(Goal::Most(200.0)));
    report.add(Figure::new(kind.named("S12b"), format!("{what}: down"), "bytes", each(down)).goal(Goal::Most(100.0)));
    Ok(())
}
