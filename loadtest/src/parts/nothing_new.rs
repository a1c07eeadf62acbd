//! Devices that hold everything ask again: the most frequent call of all.

use std::time::Duration;

use roundsman_proto::sync::PullRequest;

use crate::bench::{Bench, FLEET, REPETITIONS};
use crate::database::Database;
use crate::drive::{self, Caller};
use crate::phone::{self, Phone};
use crate::report::{Goal, Report};
use crate::world::World;

const ARTICLES: usize = 1_000;
const OUTLETS: usize = 20;
const ROUND: Duration = Duration::from_secs(2);

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
    let (server, office) = super::claimed(bench, database).await?;
    let mut world = World::make(&office, (FLEET, OUTLETS), false).await?;
    world.grow(&office, ARTICLES).await?;
    let phones = phone::fleet(bench, server.address, world.reps.iter().map(|rep| rep.login.as_str())).await?;
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
    let condition = format!("{}, {FLEET} connections at the head", database.durability);
    report.aim(("nothing new", &condition), "calls/s", calls, Goal::AtLeast(3_000.0));
    report.add("nothing new, server's time", &condition, "CPU ms/call", vec![cpu_ms]);
    Ok(())
}
