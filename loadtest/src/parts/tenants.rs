//! Devices of many tenants hand orders in, all at once, beside as many devices of one tenant on the same server.

use futures::future::try_join_all;

use super::orders::{ARTICLES, OUTLETS, ROUND};
use crate::bench::{Bench, REPETITIONS};
use crate::database::Database;
use crate::drive;
use crate::office::Office;
use crate::rep::{LINES, Reps};
use crate::report::{Figure, Goal, Report};
use crate::server::Server;
use crate::stats::Spread;
use crate::world::World;

const TENANTS: usize = 20;
/// Devices of each of them.
const DEVICES: usize = 3;

/// Measures it.
pub async fn measure(bench: &Bench, database: &Database, report: &mut Report) -> anyhow::Result<()> {
    let (server, office) = super::claimed(bench, database).await?;
    let mut one = [staff(&office, &server, TENANTS * DEVICES).await?];
    let mut many = Vec::with_capacity(TENANTS);
    for number in 1..=TENANTS {
        let office = Office::found(bench, &server, database, &format!("Bench {number}")).await?;
        many.push(staff(&office, &server, DEVICES).await?);
    }
    let bar = bench.progress("orders of one tenant and of many".to_owned(), REPETITIONS + 1);
    let (mut alone, mut together) = (Vec::new(), Vec::new());
    // In turns: whatever else the machine does, it does to both.
    for _ in 0..=REPETITIONS {
        alone.push(Sample::take(&server, &mut one).await?);
        together.push(Sample::take(&server, &mut many).await?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    // The first repetition warms up.
    let each = |samples: &[Sample], value: fn(&Sample) -> f64| samples.iter().skip(1).map(value).collect::<Vec<f64>>();
    let median = |value| Spread::of(each(&alone, value)).median;
    let name = |figure: &str| database.kind.named(figure);
    let orders = |sample: &Sample| sample.orders_a_second;
    let what = format!("orders of {LINES} lines, {TENANTS} tenants with {DEVICES} devices each; beside one with all");
    let figure = Figure::new(name("S7a"), what, "orders/s", each(&together, orders)).against(median(orders));
    report.add(figure.goal(Goal::LeastOfBaseline(database.kind.either(0.6, 1.2))));
    let what = "orders of the slowest of these tenants, in parts of the mean";
    let figure = Figure::new(name("S7b"), what, "ratio", each(&together, |sample| sample.slowest));
    report.add(figure.goal(Goal::Least(0.5)));
    let cpu_ms = |sample: &Sample| sample.cpu_ms;
    let what = "these orders, the server's time; beside those of one tenant";
    let figure = Figure::new(name("S7c"), what, "CPU ms/order", each(&together, cpu_ms));
    report.add(figure.against(median(cpu_ms)));
    Ok(())
}

/// A tenant's articles, and reps who are logged in.
async fn staff(office: &Office<'_>, server: &Server, reps: usize) -> anyhow::Result<Reps> {
    let mut world = World::make(office, (reps, OUTLETS), true).await?;
    world.grow(office, ARTICLES).await?;
    Reps::login(office.bench, server.address, &world, &world.reps).await
}

/// What a repetition gave.
#[derive(Debug)]
struct Sample {
    /// Of all tenants together.
    orders_a_second: f64,
    /// The slowest tenant's orders, in parts of the mean.
    slowest: f64,
    /// The server's time for an order.
    cpu_ms: f64,
}

impl Sample {
    /// Lets all reps of these tenants order.
    async fn take(server: &Server, tenants: &mut [Reps]) -> anyhow::Result<Self> {
        let before = server.cpu_seconds()?;
        let rounds = try_join_all(tenants.iter_mut().map(|reps| drive::round(&mut reps.callers, ROUND))).await?;
        let cpu_seconds = server.cpu_seconds()? - before;
        let slowest = rounds.iter().map(|round| round.calls).min().unwrap_or_default() as f64;
        let orders = rounds.iter().map(|round| round.calls).sum::<u64>().max(1) as f64;
        Ok(Self {
            orders_a_second: rounds.iter().map(|round| round.calls_a_second).sum(),
            slowest: slowest * rounds.len() as f64 / orders,
            cpu_ms: cpu_seconds * 1e3 / orders,
        })
    }
}
