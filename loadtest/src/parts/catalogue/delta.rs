//! A device gets what has changed.

use std::time::Duration;

use prost::Message as _;
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::{Price, PriceToSet, SetPrices};
use tokio::time::Instant;

use super::Stage;
use crate::bench::REPETITIONS;
use crate::goods::{self, bytes};
use crate::office::Office;
use crate::phone::{Phone, Traffic};
use crate::report::{Figure, Goal, Report};
use crate::stats::{Spread, percentile_ms};
use crate::wire::Relay;
use crate::world::World;

/// Rows that change.
const CHANGED: usize = 100;
/// Changes in a repetition, each fetched by itself.
const CHANGES: usize = 20;

/// Measures it; returns the median of half of the deltas, in milliseconds.
pub async fn measure(stage: &Stage<'_>, world: &World, report: &mut Report) -> anyhow::Result<f64> {
    let server = stage.server().await?;
    let office = Office::open(stage.bench, &server).await?;
    let mut phone = stage.phone(&server).await?;
    phone.sync(stage.bench.now_us()).await?;
    let bar = stage.bench.progress(format!("{CHANGED} changed of {} rows", stage.rows), (REPETITIONS + 1) * CHANGES);
    let mut samples = Vec::new();
    for repetition in 0..=REPETITIONS {
        let mut took = Vec::with_capacity(CHANGES);
        for change in 0..CHANGES {
            let prices = prices(world, (repetition * CHANGES + change, CHANGED), stage.bench.now_us());
            office.execute(command(prices)).await?;
            took.push(fetch(stage, &mut phone).await?);
            bar.inc(1);
        }
        // The first repetition warms up.
        if repetition > 0 {
            samples.push(percentile_ms(&mut took, 0.5));
        }
    }
    bar.finish_and_clear();
    let median = Spread::of(samples.clone()).median;
    let what = format!("delta: {CHANGED} changed of {} rows, request to last byte, p50", stage.rows);
    let kind = stage.database.kind;
    let figure = |name: &str| Figure::new(stage.name(name), what, "ms", samples);
    report.add(match stage.rows {
        10_000 => figure("S3a"),
        100_000 => figure("S3b").goal(Goal::Most(kind.either(1.5, 3.0))),
        _ => figure("S3c"),
    });
    if stage.rows == 100_000 {
        on_the_wire(stage, world, (&office, &mut phone), server.address, report).await?;
    }
    Ok(median)
}

/// Bytes of a delta, on a connection that has had one before.
async fn on_the_wire(
    stage: &Stage<'_>,
    world: &World,
    (office, phone): (&Office<'_>, &mut Phone),
    server: std::net::SocketAddr,
    report: &mut Report,
) -> anyhow::Result<()> {
    let relay = Relay::start(server).await?;
    phone.connect_to(relay.address).await?;
    let mut over = Vec::new();
    for change in 0..=REPETITIONS {
        let prices = prices(world, (change, CHANGED), stage.bench.now_us());
        let documents: usize = prices.iter().filter_map(|price| price.price.as_ref()).map(Price::encoded_len).sum();
        office.execute(command(prices)).await?;
        let before = relay.bytes();
        fetch(stage, phone).await?;
        let down = relay.bytes().since(before).down;
        if change > 0 {
            over.push((down as f64 - documents as f64) / CHANGED as f64);
        }
    }
    let what = format!("delta of {CHANGED} rows: bytes on the wire over those of the documents, by row");
    report.add(Figure::new(stage.name("S12d"), what, "bytes", over).goal(Goal::Most(40.0)));
    Ok(())
}

/// Some prices that nothing had before, for articles spread over all that there are.
pub fn prices(world: &World, (change, count): (usize, usize), now_us: i64) -> Vec<PriceToSet> {
    let articles = world.articles();
    let price = |index: usize| {
        let article = (change + index * (articles / count)) % articles;
        let price = goods::price(article, world.price_list(), 100_000 + now_us / 1_000 % 1_000_000_000);
        PriceToSet { price_id: bytes(goods::price_id(0, article)), price: Some(price) }
    };
    (0..count).map(price).collect()
}

/// The command that sets them.
pub fn command(prices: Vec<PriceToSet>) -> Command {
    Command::SetPrices(SetPrices { prices })
}

/// From the request to the last byte of the answer; it is applied afterwards.
async fn fetch(stage: &Stage<'_>, phone: &mut Phone) -> anyhow::Result<Duration> {
    let request = phone.request(stage.bench.now_us());
    let begun = Instant::now();
    let messages = phone.fetch(request).await?;
    let took = begun.elapsed();
    let mut traffic = Traffic::default();
    for message in messages {
        traffic.count(&message);
        phone.apply(message)?;
    }
    phone.replica.cut();
    anyhow::ensure!(traffic.whole()?.rows == CHANGED as u64, "a delta of {CHANGED} rows brought {}", traffic.rows);
    Ok(took)
}
