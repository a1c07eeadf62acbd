//! What reps hand in, one order or one visit in each request.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use prost::Message as _;
use roundsman::clock::{Clock, Random};
use roundsman_proto::sync::{self, Position, PushRequest, PushResponse, Status};
use roundsman_proto::trade::{self, CheckIn, CheckOut, NewOrderLine, SubmitOrder, command::Command};
use uuid::Uuid;

use crate::bench::Bench;
use crate::drive::Caller;
use crate::goods::{self, CURRENCY, bytes};
use crate::phone::{self, Phone};
use crate::world::{RepWorld, World};

/// Lines of an order.
pub const LINES: usize = 10;

/// The orders and visits of a rep, one after another.
#[derive(Debug)]
pub struct Work {
    outlets: Vec<(Uuid, Uuid)>,
    price_list: usize,
    price_versions: Arc<[i64]>,
    random: Random,
    business_day: i32,
    seq: i64,
    held: u64,
}

impl Work {
    /// At the outlets of a rep; the price versions are those of the world, by price list and article.
    #[must_use]
    pub fn new(bench: &Bench, rep: &RepWorld, price_versions: &[Arc<[i64]>]) -> Self {
        Self {
            outlets: rep.outlets.clone(),
            price_list: rep.price_list,
            price_versions: Arc::clone(&price_versions[rep.price_list]),
            random: Random::seeded(bench.number()),
            business_day: bench.today(),
            seq: 1,
            held: 0,
        }
    }

    /// What hands the next order in, of a device that is at this position.
    #[must_use]
    pub fn order(&self, position: Option<Position>) -> PushRequest {
        self.request(position, vec![Command::SubmitOrder(self.new_order())])
    }

    /// The same for a visit that nobody planned, from its beginning to its end.
    #[must_use]
    pub fn visit(&self, position: Option<Position>) -> PushRequest {
        let (visit_id, (outlet, _)) = (bytes(self.id()), self.outlets[self.pick(self.outlets.len())]);
        let check_in = CheckIn { visit_id: visit_id.clone(), outlet_id: bytes(outlet), ..CheckIn::default() };
        let check_out = CheckOut { visit_id, productive: true, ..CheckOut::default() };
        self.request(position, vec![Command::CheckIn(check_in), Command::CheckOut(check_out)])
    }

    fn request(&self, position: Option<Position>, commands: Vec<Command>) -> PushRequest {
        let now_us = Clock::Machine.now_us();
        let command = |(seq, command)| sync::Command {
            command_id: bytes(self.id()),
            seq,
            captured_at_us: now_us,
            business_day: self.business_day,
            body: trade::Command { command: Some(command) }.encode_to_vec().into(),
        };
        PushRequest {
            protocol_version: 1,
            device_clock_us: now_us,
            commands: (self.seq..).zip(commands).map(command).collect(),
            confirmed_seq: self.seq - 1,
            last_outcome_seq: self.seq - 1,
            position,
            ..PushRequest::default()
        }
    }

    /// Takes what the server says of it; what was not taken is an error.
    pub fn answered(&mut self, answer: &PushResponse) -> anyhow::Result<()> {
        anyhow::ensure!(!answer.results.is_empty(), "a push without a result");
        for result in &answer.results {
            let outcome = result.outcome.as_ref().context("a command without an outcome")?;
            match outcome.status() {
                Status::Applied => {}
                Status::Held => self.held += 1,
                Status::Unspecified | Status::Merged | Status::Rejected | Status::Quarantined | Status::Duplicate => {
                    let (status, reason) = (outcome.status(), outcome.reason());
                    anyhow::bail!("a command was not taken: {status:?} {reason:?} {}", outcome.text)
                }
            }
            self.seq += 1;
        }
        Ok(())
    }

    fn id(&self) -> Uuid {
        self.random.uuid(Clock::Machine.now_us())
    }

    fn pick(&self, among: usize) -> usize {
        usize::try_from(self.random.next_u64() % among.max(1) as u64).unwrap_or_default()
    }

    fn new_order(&self) -> SubmitOrder {
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
            price_id: bytes(goods::price_id(self.price_list, article)),
            price_version: self.price_versions[article],
            shown_price_minor: goods::price_minor(article),
            discount_bp: 0,
            ..NewOrderLine::default()
        }
    }
}

/// A rep who does nothing but order.
#[derive(Debug)]
pub struct Rep {
    phone: Phone,
    work: Work,
}

impl Caller for Rep {
    async fn call(&mut self) -> anyhow::Result<()> {
        let request = self.work.order(self.phone.replica.position().map(Into::into));
        let answer = self.phone.push(request).await?;
        self.work.answered(&answer)
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
        let price_versions = world.shared_versions();
        let rep = |(phone, rep)| Rep { phone, work: Work::new(bench, rep, &price_versions) };
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
        self.callers.iter().map(|rep| rep.work.seq - 1).sum()
    }

    /// Of these, those that are held.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.callers.iter().map(|rep| rep.work.held).sum()
    }
}
