//! Devices hand orders in, all at once, one order in each request.

mod batch;
mod rows;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use prost::Message as _;
use roundsman::clock::{Clock, Random};
use roundsman_proto::sync::{self, PushRequest, Status};
use roundsman_proto::trade::{self, NewOrderLine, SubmitOrder, command::Command};
use uuid::Uuid;

use crate::bench::{Bench, FLEET, REPETITIONS};
use crate::database::Database;
use crate::drive::{self, Caller};
use crate::goods::{self, CURRENCY, bytes};
use crate::phone::{self, Phone};
use crate::report::{Figure, Goal, Report};
use crate::stats::Spread;
use crate::world::World;

const ARTICLES: usize = 1_000;
const OUTLETS: usize = 20;
const LINES: usize = 10;
const ROUND: Duration = Duration::from_secs(3);

/// A rep who does nothing but order.
#[derive(Debug)]
struct Rep {
    phone: Phone,
    outlets: Vec<(Uuid, Uuid)>,
    price_versions: Arc<Vec<i64>>,
    held: Arc<AtomicU64>,
    random: Random,
    business_day: i32,
    seq: i64,
}

impl Rep {
    fn id(&self) -> Uuid {
        self.random.uuid(Clock::Machine.now_us())
    }

    fn pick(&self, among: usize) -> usize {
        usize::try_from(self.random.next_u64() % among.max(1) as u64).unwrap_or_default()
    }

    fn order(&self) -> SubmitOrder {
        let (outlet, agreement) = self.outlets[self.pick(self.outlets.len())];
        let first = self.pick(ARTICLES);
        // Ten different articles, spread over all of them.
        let line = |index: usize| self.line((first + index * 97) % ARTICLES);
        SubmitOrder {
            order_id: bytes(self.id()),
            outlet_id: bytes(outlet),
            agreement_id: bytes(agreement),
            order_day: self.business_day,
            delivery_day: self.business_day + 1,
            currency: CURRENCY.to_owned(),
            lines: (0..LINES).map(line).collect(),
            ..SubmitOrder::default()
        }
    }

    fn line(&self, article: usize) -> NewOrderLine {
        NewOrderLine {
            line_id: bytes(self.id()),
            product_id: bytes(goods::product_id(article)),
            packaging_code: "box".to_owned(),
            coefficient_milli: 12_000,
            quantity_milli: 12_000,
            price_id: bytes(goods::price_id(article)),
            price_version: self.price_versions[article],
            shown_price_minor: goods::price_minor(article),
            discount_bp: 0,
        }
    }
}

impl Caller for Rep {
    async fn call(&mut self) -> anyhow::Result<()> {
        let now_us = Clock::Machine.now_us();
        let body = trade::Command { command: Some(Command::SubmitOrder(self.order())) }.encode_to_vec();
        let command = sync::Command {
            command_id: bytes(self.id()),
            seq: self.seq,
            captured_at_us: now_us,
            business_day: self.business_day,
            body: body.into(),
        };
        let request = PushRequest {
            protocol_version: 1,
            device_clock_us: now_us,
            commands: vec![command],
            confirmed_seq: self.seq - 1,
            last_outcome_seq: self.seq - 1,
            position: self.phone.replica.position().map(Into::into),
            ..PushRequest::default()
        };
        let answer = self.phone.push(request).await?;
        let result = answer.results.first().context("an order without a result")?;
        let outcome = result.outcome.as_ref().context("an order without an outcome")?;
        match outcome.status() {
            Status::Applied => {}
            Status::Held => {
                self.held.fetch_add(1, Ordering::Relaxed);
            }
            Status::Unspecified | Status::Merged | Status::Rejected | Status::Quarantined | Status::Duplicate => {
                anyhow::bail!("an order was not taken: {:?} {:?} {}", outcome.status(), outcome.reason(), outcome.text)
            }
        }
        self.seq += 1;
        Ok(())
    }
}

/// Measures it.
pub async fn measure(bench: &Bench, database: &Database, report: &mut Report) -> anyhow::Result<()> {
    let (server, office) = super::claimed(bench, database).await?;
    let mut world = World::make(&office, (FLEET, OUTLETS), true).await?;
    world.grow(&office, ARTICLES).await?;
    let phones = phone::fleet(bench, server.address, world.reps.iter().map(|rep| rep.login.as_str())).await?;
    let held = Arc::new(AtomicU64::new(0));
    let price_versions = Arc::new(world.price_versions);
    let rep = |(phone, rep): (Phone, crate::world::RepWorld)| Rep {
        phone,
        outlets: rep.outlets,
        price_versions: Arc::clone(&price_versions),
        held: Arc::clone(&held),
        random: Random::seeded(bench.number()),
        business_day: bench.today(),
        seq: 1,
    };
    let mut reps: Vec<Rep> = phones.into_iter().zip(world.reps).map(rep).collect();
    let bar = bench.progress("orders".to_owned(), 1);
    drive::round(&mut reps, ROUND / 2).await?;
    let (before, warm) = (server.cpu_seconds()?, taken(&reps));
    let (mut orders, mut p50, mut p99) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..REPETITIONS {
        let round = drive::round(&mut reps, ROUND).await?;
        orders.push(round.calls_a_second);
        p50.push(round.p50_ms);
        p99.push(round.p99_ms);
    }
    let taken = taken(&reps);
    let cpu_ms = (server.cpu_seconds()? - before) * 1e3 / (taken - warm).max(1) as f64;
    bar.finish_and_clear();
    drop((server, office));
    let by_hand = Spread::of(batch::measure(bench, &database.url, REPETITIONS).await?).median;
    let held = held.load(Ordering::Relaxed);
    let name = |figure: &str| database.kind.named(figure);
    let what = format!("orders of {LINES} lines, {FLEET} devices ({taken} taken, {held} of them held)");
    report.add(Figure::new(name("S6a"), what, "orders/s", orders.clone()).goal(Goal::Least(1_800.0)));
    let what = format!("the same; beside the best batch by hand, {FLEET} orders at a time");
    let figure = Figure::new(name("S6e"), what, "orders/s", orders).against(by_hand);
    report.add(figure.goal(Goal::LeastOfBaseline(0.6)));
    report.add(Figure::new(name("S6b"), "orders, half answered within", "ms", p50));
    report.add(Figure::new(name("S6c"), "orders, 99 % answered within", "ms", p99).goal(Goal::Most(60.0)));
    report.add(Figure::new(name("S6d"), "orders, the server's time", "CPU ms/order", vec![cpu_ms]));
    Ok(())
}

fn taken(reps: &[Rep]) -> i64 {
    reps.iter().map(|rep| rep.seq - 1).sum()
}
