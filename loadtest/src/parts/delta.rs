//! A device gets what has changed: it must not matter how much the device holds.

use std::time::Duration;

use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::{PriceToSet, SetPrices};
use tokio::time::Instant;

use crate::bench::{Bench, REPETITIONS};
use crate::database::Database;
use crate::goods::{self, bytes};
use crate::office::Office;
use crate::phone::{Phone, Traffic};
use crate::report::{Goal, Report};
use crate::stats::percentile_ms;
use crate::world::World;

/// Rows that the device holds.
const HELD: [usize; 3] = [10_000, 30_000, 100_000];
/// Rows that change.
const CHANGED: usize = 100;
/// Changes in a repetition, each fetched by itself.
const CHANGES: usize = 10;
const OUTLETS: usize = 4;

/// It may not take longer by more than this where ten times as much is held.
const GOAL: Goal = Goal::AtMost(1.5);

/// Measures it.
pub async fn measure(bench: &Bench, database: &Database, report: &mut Report) -> anyhow::Result<()> {
    let (server, office) = super::claimed(bench, database).await?;
    let mut world = World::make(&office, (1, OUTLETS), false).await?;
    let mut medians = Vec::new();
    for held in HELD {
        world.grow(&office, held / goods::ROWS_AN_ARTICLE).await?;
        let mut phone = Phone::login(bench, server.address, &world.reps[0].login).await?;
        phone.sync(bench.now_us()).await?;
        let samples = repeated(&office, &world, &mut phone, held).await?;
        let condition = format!("{}, {CHANGED} changed of {held} rows", database.durability);
        report.add("delta, request to last byte, p50", &condition, "ms", samples.clone());
        medians.push(crate::stats::Spread::of(samples).median);
    }
    let most = medians.iter().copied().fold(0.0, f64::max);
    let least = medians.iter().copied().fold(f64::INFINITY, f64::min);
    let figure = ("delta, largest p50 to smallest", database.durability.as_str());
    report.aim(figure, "ratio", vec![most / least], GOAL);
    Ok(())
}

async fn repeated(office: &Office<'_>, world: &World, phone: &mut Phone, held: usize) -> anyhow::Result<Vec<f64>> {
    let bar = office.bench.progress(format!("{CHANGED} changed of {held} rows"), (REPETITIONS + 1) * CHANGES);
    let mut samples = Vec::new();
    for repetition in 0..=REPETITIONS {
        let mut took = Vec::with_capacity(CHANGES);
        for change in 0..CHANGES {
            office.execute(prices(world, repetition * CHANGES + change, office.bench.now_us())).await?;
            took.push(fetch(office.bench, phone).await?);
            bar.inc(1);
        }
        // The first repetition warms up.
        if repetition > 0 {
            samples.push(percentile_ms(&mut took, 0.5));
        }
    }
    bar.finish_and_clear();
    Ok(samples)
}

/// Prices that nothing had before, for articles spread over all that there are.
fn prices(world: &World, change: usize, now_us: i64) -> Command {
    let articles = world.price_versions.len();
    let price = |index: usize| {
        let article = (change + index * (articles / CHANGED)) % articles;
        let price = goods::price(article, world.price_list(), 100_000 + now_us / 1_000 % 1_000_000_000);
        PriceToSet { price_id: bytes(goods::price_id(article)), price: Some(price) }
    };
    Command::SetPrices(SetPrices { prices: (0..CHANGED).map(price).collect() })
}

/// From the request to the last byte of the answer; it is applied afterwards.
async fn fetch(bench: &Bench, phone: &mut Phone) -> anyhow::Result<Duration> {
    let request = phone.request(bench.now_us());
    let mut messages = Vec::new();
    let begun = Instant::now();
    let mut stream = phone.open(request).await?;
    while let Some(message) = stream.message().await? {
        messages.push(message);
    }
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
