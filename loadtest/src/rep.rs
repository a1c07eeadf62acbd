//! Reps who hand orders in, one order in each request.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use prost::Message as _;
use roundsman::clock::{Clock, Random};
use roundsman_proto::sync::{self, Position, PushRequest, PushResponse, Status};
use roundsman_proto::trade::{self, NewOrderLine, SubmitOrder, command::Command};
use uuid::Uuid;

use crate::bench::Bench;
use crate::drive::Caller;
use crate::goods::{self, CURRENCY, bytes};
use crate::phone::{self, Phone};
use crate::world::{RepWorld, World};

/// Lines of an order.
pub const LINES: usize = 10;

/// The orders of a rep, one after another.
#[derive(Debug)]
pub struct Orders {
    outlets: Vec<(Uuid, Uuid)>,
    price_versions: Arc<[i64]>,
    random: Random,
    business_day: i32,
    seq: i64,
    held: u64,
}

impl Orders {
    /// For the outlets of a rep; the price versions are those of the world, by article.
    #[must_use]
    pub fn new(bench: &Bench, rep: &RepWorld, price_versions: &Arc<[i64]>) -> Self {
        Self {
            outlets: rep.outlets.clone(),
            price_versions: Arc::clone(price_versions),
            random: Random::seeded(bench.number()),
            business_day: bench.today(),
            seq: 1,
            held: 0,
        }
    }

    /// What hands the next one in, of a device that is at this position.
    #[must_use]
    pub fn request(&self, position: Option<Position>) -> PushRequest {
        let now_us = Clock::Machine.now_us();
        let body = trade::Command { command: Some(Command::SubmitOrder(self.order())) }.encode_to_vec();
        let command = sync::Command {
            command_id: bytes(self.id()),
            seq: self.seq,
            captured_at_us: now_us,
            business_day: self.business_day,
            body: body.into(),
        };
        PushRequest {
            protocol_version: 1,
            device_clock_us: now_us,
            commands: vec![command],
            confirmed_seq: self.seq - 1,
            last_outcome_seq: self.seq - 1,
            position,
            ..PushRequest::default()
        }
    }

    /// Takes what the server says of it; one that was not taken is an error.
    pub fn answered(&mut self, answer: &PushResponse) -> anyhow::Result<()> {
        let result = answer.results.first().context("an order without a result")?;
        let outcome = result.outcome.as_ref().context("an order without an outcome")?;
        match outcome.status() {
            Status::Applied => {}
            Status::Held => self.held += 1,
            Status::Unspecified | Status::Merged | Status::Rejected | Status::Quarantined | Status::Duplicate => {
                anyhow::bail!("an order was not taken: {:?} {:?} {}", outcome.status(), outcome.reason(), outcome.text)
            }
        }
        self.seq += 1;
        Ok(())
    }

    fn id(&self) -> Uuid {
        self.random.uuid(Clock::Machine.now_us())
    }

    fn pick(&self, among: usize) -> usize {
        usize::try_from(self.random.next_u64() % among.max(1) as u64).unwrap_or_default()
    }

    fn order(&self) -> SubmitOrder {
        let (outlet, agreement) = self.outlets[self.pick(self.outlets.len())];
        let articles = self.price_versions.len();
        let first = self.pick(articles);
        // Ten different articles, spread over all of them.
        let line = |index: usize| self.line((first + index * 97) % articles);
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

/// A rep who does nothing but order.
#[derive(Debug)]
pub struct Rep {
    phone: Phone,
    orders: Orders,
}

impl Caller for Rep {
    async fn call(&mut self) -> anyhow::Result<()> {
        let request = self.orders.request(self.phone.replica.position().map(Into::into));
        let answer = self.phone.push(request).await?;
        self.orders.answered(&answer)
    }
}

/// Some reps, each with a device.
#[derive(Debug)]
pub struct Reps {
    /// They.
    pub callers: Vec<Rep>,
}

impl Reps {
    /// Logs these reps of a world in.
    pub async fn login(bench: &Bench, address: SocketAddr, world: &World, reps: &[RepWorld]) -> anyhow::Result<Self> {
        let phones = phone::fleet(bench, address, reps).await?;
        let price_versions: Arc<[i64]> = world.price_versions.as_slice().into();
        let rep = |(phone, rep)| Rep { phone, orders: Orders::new(bench, rep, &price_versions) };
        Ok(Self { callers: phones.into_iter().zip(reps).map(rep).collect() })
    }

    /// Reach the server by another address from now on.
    pub async fn connect_to(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        for rep in &mut self.callers {
            rep.phone.connect_to(address).await?;
        }
        Ok(())
    }

    /// Orders that were taken so far.
    #[must_use]
    pub fn taken(&self) -> i64 {
        self.callers.iter().map(|rep| rep.orders.seq - 1).sum()
    }

    /// Of these, those that are held.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.callers.iter().map(|rep| rep.orders.held).sum()
    }
}
