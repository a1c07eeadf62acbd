//! A day of a fleet, in a minute: a morning peak, then reps pull, order, think and are out of reach, each by a schedule of its
//! own. On PostgreSQL two processes serve them, and a device reaches the other one each time that it comes back.

use std::time::Duration;

use crate::bench::Bench;
use crate::database::{Database, Kind};
use crate::fleet::{Fleet, Habits, What};
use crate::report::{Figure, Report};
use crate::rows::Connection;
use crate::server::Server;
use crate::world::World;

/// Reps, each with a device.
const REPS: usize = 500;
/// Devices with a whole replica.
const WHOLE: usize = 100;
const OUTLETS: usize = 20;
const ARTICLES: usize = 1_000;
const HABITS: Habits = Habits {
    length: Duration::from_secs(60),
    peak: Duration::from_secs(5),
    online: Duration::from_secs(10),
    offline: Duration::from_secs(5),
    think: Duration::from_secs(2),
    orders_percent: 50,
    visits_percent: 0,
};
/// The same in every run.
const SEED: u64 = 14;

/// Measures it.
pub async fn measure(bench: &Bench, database: &Database, report: &mut Report) -> anyhow::Result<()> {
    let (server, office) = super::claimed(bench, database).await?;
    let mut world = World::make(&office, (REPS, OUTLETS), true).await?;
    world.grow(&office, ARTICLES).await?;
    let mut servers = vec![server];
    if database.kind == Kind::Postgres {
        servers.push(Server::start(&bench.program, &database.url).await?);
    }
    let addresses: Vec<_> = servers.iter().map(|server| server.address).collect();
    let mut fleet = Fleet::login(bench, &addresses, &world, (REPS, WHOLE)).await?;
    let version = Connection::open(&database.url).await?.version().await?;
    let cpu = |servers: &[Server]| servers.iter().map(Server::cpu_seconds).sum::<anyhow::Result<f64>>();
    let before = cpu(&servers)?;
    let latencies = fleet.run(bench, "devices of a day", HABITS, SEED).await?;
    let cpu = cpu(&servers)? - before;
    fleet.verify(version)?;
    let what = format!("a day of {REPS} reps in {} s, {} processes", HABITS.length.as_secs(), servers.len());
    let figures = [
        ("S16a", What::Ready, "connection, new tokens and today's work"),
        ("S16b", What::Pull, "pulls"),
        ("S16c", What::Order, "orders"),
    ];
    for (name, call, of) in figures {
        let (count, half) = (latencies.count(call), latencies.within_ms(call, 0.5)?);
        let what = format!("{what}: {of}, p99 ({count} of them, half within {half:.1} ms)");
        let p99 = latencies.within_ms(call, 0.99)?;
        report.add(Figure::new(database.kind.named(name), what, "ms", vec![p99]));
    }
    report.add(Figure::new(database.kind.named("S16d"), format!("{what}: the servers' time"), "CPU s", vec![cpu]));
    Ok(())
}
