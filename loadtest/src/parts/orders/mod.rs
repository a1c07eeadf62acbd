//! Devices hand orders in, all at once, one order in each request.

mod batch;
mod far;

use std::time::Duration;

use crate::bench::{Bench, FLEET, REPETITIONS};
use crate::database::{Database, Kind};
use crate::drive;
use crate::rep::{LINES, Reps};
use crate::report::{Figure, Goal, Report};
use crate::stats::Spread;
use crate::world::World;

/// Articles that are ordered.
pub const ARTICLES: usize = 1_000;
/// Outlets of each rep.
pub const OUTLETS: usize = 20;
/// How long a repetition takes.
pub const ROUND: Duration = Duration::from_secs(3);

/// Measures it.
pub async fn measure(bench: &Bench, database: &Database, report: &mut Report) -> anyhow::Result<()> {
    let (server, office) = super::claimed(bench, database).await?;
    let mut world = World::make(&office, (FLEET, OUTLETS), true).await?;
    world.grow(&office, ARTICLES).await?;
    let mut reps = Reps::login(bench, server.address, &world, &world.reps).await?;
    let bar = bench.progress("orders".to_owned(), 1);
    drive::round(&mut reps.callers, ROUND / 2).await?;
    let (before, warm) = (server.cpu_seconds()?, reps.taken());
    let (mut orders, mut p50, mut p99) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..REPETITIONS {
        let round = drive::round(&mut reps.callers, ROUND).await?;
        orders.push(round.calls_a_second);
        p50.push(round.p50_ms);
        p99.push(round.p99_ms);
    }
    let (taken, held) = (reps.taken(), reps.held());
    let cpu_ms = (server.cpu_seconds()? - before) * 1e3 / (taken - warm).max(1) as f64;
    bar.finish_and_clear();
    drop((server, office));
    let name = |figure: &str| database.kind.named(figure);
    let what = format!("orders of {LINES} lines, {FLEET} devices ({taken} taken, {held} of them held)");
    report.add(Figure::new(name("S6a"), what, "orders/s", orders.clone()).goal(Goal::Least(1_800.0)));
    if database.kind == Kind::Postgres {
        far::measure(bench, database, (&mut reps, Spread::of(orders.clone()).median), report).await?;
    }
    let by_hand = Spread::of(batch::measure(bench, &database.url, REPETITIONS).await?).median;
    let what = format!("the same; beside the best batch by hand, {FLEET} orders at a time");
    let figure = Figure::new(name("S6e"), what, "orders/s", orders).against(by_hand);
    report.add(figure.goal(Goal::LeastOfBaseline(0.6)));
    report.add(Figure::new(name("S6b"), "orders, half answered within", "ms", p50));
    report.add(Figure::new(name("S6c"), "orders, 99 % answered within", "ms", p99).goal(Goal::Most(60.0)));
    report.add(Figure::new(name("S6d"), "orders, the server's time", "CPU ms/order", vec![cpu_ms]));
    Ok(())
}
