//! The same orders, with the database farther away: what a batch asks of it, one question after another, costs time then.

use std::time::Duration;

use anyhow::Context as _;
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use tokio::time::Instant;

use super::ROUND;
use crate::bench::{Bench, FLEET, REPETITIONS};
use crate::database::Database;
use crate::drive;
use crate::rep::Reps;
use crate::report::{Figure, Goal, Report};
use crate::server::{BATCHES, Server};
use crate::stats::percentile_ms;

/// How much later everything arrives, each way.
const DELAY: Duration = Duration::from_micros(500);
/// Questions that tell how far away the database is.
const PINGS: usize = 200;

/// Measures it with another server on the same database. `near` is what the reps have reached beside it, in orders a second.
pub async fn measure(
    bench: &Bench,
    database: &Database,
    (reps, near): (&mut Reps, f64),
    report: &mut Report,
) -> anyhow::Result<()> {
    let (relay, url) = database.far(DELAY).await?;
    let farther_ms = ping_ms(&url).await? - ping_ms(&database.url).await?;
    let server = Server::start(&bench.program, &url).await?;
    reps.connect_to(server.address).await?;
    let bar = bench.progress("orders far from the database".to_owned(), 1);
    drive::round(&mut reps.callers, ROUND / 2).await?;
    let (mut orders, mut round_trips) = (Vec::new(), Vec::new());
    for _ in 0..REPETITIONS {
        let before = (relay.round_trips(), server.metric(BATCHES).await?);
        orders.push(drive::round(&mut reps.callers, ROUND).await?.calls_a_second);
        let batches = server.metric(BATCHES).await? - before.1;
        anyhow::ensure!(batches > 0.0, "there was no batch");
        round_trips.push((relay.round_trips() - before.0) as f64 / batches);
    }
    bar.finish_and_clear();
    let name = |figure: &str| database.kind.named(figure);
    let what = format!("orders, {FLEET} devices, the database {farther_ms:.2} ms farther away; beside S6a");
    let figure = Figure::new(name("S6f"), what, "orders/s", orders).against(near);
    report.add(figure.goal(Goal::LeastOfBaseline(0.4)));
    let what = "round trips of the server to the database, by the batch";
    report.add(Figure::new(name("S6g"), what, "round trips", round_trips).goal(Goal::Most(15.0)));
    Ok(())
}

/// Half of the simplest questions are answered within this.
async fn ping_ms(url: &str) -> anyhow::Result<f64> {
    let mut connection = PgConnection::connect(url).await.context("PostgreSQL does not answer")?;
    let mut took = Vec::with_capacity(PINGS);
    for _ in 0..PINGS {
        let begun = Instant::now();
        sqlx::query("SELECT 1").execute(&mut connection).await?;
        took.push(begun.elapsed());
    }
    connection.close().await?;
    Ok(percentile_ms(&mut took, 0.5))
}
