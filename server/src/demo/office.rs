//! The office's day: it changes what representatives rely on, and sorts out what came of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use roundsman_proto::logistics::logistics_service_client::LogisticsServiceClient;
use roundsman_proto::logistics::{ListOrdersRequest, ListReclamationsRequest, ListedOrder};
use roundsman_proto::sync::{Outcome, Status as Decision};
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::order_line_edit::Edit;
use roundsman_proto::trade::{
    AssignTask, BlockOutlet, CancelVisit, ChangeOrder, DecideClaim, DecidedClaimLine, HandTerritoryOver, HoldReason,
    Int64Change, MergeCustomers, OrderLineChange, OrderLineEdit, OrderStatus, Price, PriceToSet, Receivable,
    Reclamation, ReclamationState, ReleaseHold, ReleaseReason, ReviewClaim, SetPrices, SetReceivable, SetStock,
    SettleClaim, SettlementKind, Stock, StockToSet, StringChange,
};
use tonic::{Code, Status};
use uuid::Uuid;

use super::catalogue::CURRENCY;
use super::desk::Desk;
use super::plan::{OfficeAct, planned_visit_id};
use super::records;
use super::shared::Shared;
use super::world::{OFFICE, TODAY, bytes, id, price_list_id, rep_id};

/// Prices rise by so many per cent.
const RISE_PERCENT: i64 = 6;
/// What is left of an article that was counted anew, in cartons.
const CARTONS_LEFT: i64 = 2;
/// An overdue debt, in minor units.
const OVERDUE_MINOR: i64 = 45_000;
/// So many orders are looked at in one go.
const LOOKED_AT: usize = 15;

/// A command that somebody at a desk gave, and what was decided.
#[derive(Clone, Debug)]
pub struct Decided {
    /// The name of its message.
    pub name: &'static str,
    /// What was decided.
    pub outcome: Outcome,
}

/// What people at desks have done.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// What was decided.
    pub decided: Vec<Decided>,
    /// Services that this server does not have.
    pub missing: Vec<String>,
}

impl Ledger {
    /// Notes a decision.
    pub fn note(&mut self, name: &'static str, outcome: Option<Outcome>) {
        self.decided.push(Decided { name, outcome: outcome.unwrap_or_default() });
    }

    /// Excuses a service that this server does not have.
    ///
    /// # Errors
    /// Any other refusal.
    pub fn excuse<T>(&mut self, service: &str, answer: Result<T, Box<Status>>) -> anyhow::Result<Option<T>> {
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(status) if status.code() == Code::Unimplemented => {
                if !self.missing.iter().any(|missing| missing == service) {
                    self.missing.push(service.to_owned());
                }
                Ok(None)
            }
            Err(status) => Err(anyhow::anyhow!("{service}: {status}")),
        }
    }
}

/// All orders with a status.
///
/// # Errors
/// When the server refuses.
pub async fn orders(desk: &mut Desk, ledger: &mut Ledger, status: OrderStatus) -> anyhow::Result<Vec<ListedOrder>> {
    let mut request = ListOrdersRequest { page_size: 1_000, status: status.into(), ..ListOrdersRequest::default() };
    let mut orders = Vec::new();
    loop {
        let send = |channel, request| async move { LogisticsServiceClient::new(channel).list_orders(request).await };
        let answer = desk.call(request.clone(), send).await;
        let Some(page) = ledger.excuse("LogisticsService", answer)? else { return Ok(orders) };
        orders.extend(page.orders);
        if page.next_page_token.is_empty() {
            return Ok(orders);
        }
        request.page_token = page.next_page_token;
    }
}

/// Why a hold is released.
fn why_released(reason: HoldReason) -> ReleaseReason {
    match reason {
        HoldReason::CreditLimit | HoldReason::Overdue | HoldReason::TermsExpired => ReleaseReason::AgreedWithManagement,
        HoldReason::Price | HoldReason::Discount => ReleaseReason::PriceAgreed,
        HoldReason::Unspecified
        | HoldReason::Promotion
        | HoldReason::BelowFloor
        | HoldReason::ProductWithdrawn
        | HoldReason::Stock
        | HoldReason::MinimumSum
        | HoldReason::OutletBlocked
        | HoldReason::DuplicateSuspect
        | HoldReason::Allocation => ReleaseReason::Goodwill,
    }
}

/// The office at work.
struct Office {
    desk: Desk,
    shared: Arc<Shared>,
    ledger: Ledger,
    /// The prices as the office knows them.
    prices: BTreeMap<Uuid, Price>,
    /// What customers owe, likewise.
    receivables: BTreeMap<Uuid, Receivable>,
    /// The territories of the outlets.
    territories: BTreeMap<Vec<u8>, usize>,
    commands: u32,
}

/// The office's day.
///
/// # Errors
/// When the server refuses a call.
pub async fn work(shared: Arc<Shared>) -> anyhow::Result<Ledger> {
    let desk = Desk::new(OFFICE, shared.channel.clone());
    let prices = records::price_book(&shared.world);
    let receivables = records::debts(&shared.world);
    let ledger = Ledger::default();
    let outlets = shared.world.city.outlets.iter().enumerate();
    let territories = outlets.map(|(index, outlet)| (bytes(shared.world.outlet_id(index)), outlet.territory)).collect();
    let mut office =
        Office { desk, shared: Arc::clone(&shared), ledger, prices, receivables, territories, commands: 0 };
    for at in &shared.day.office {
        shared.wait(at.s).await;
        office.act(&at.act).await?;
    }
    Ok(office.ledger)
}

impl Office {
    async fn act(&mut self, act: &OfficeAct) -> anyhow::Result<()> {
        let shared = Arc::clone(&self.shared);
        let world = &shared.world;
        match act {
            OfficeAct::RaisePrices(articles) => self.raise_prices(articles).await,
            OfficeAct::RecountStock(articles) => self.recount(articles).await,
            OfficeAct::Block(outlet) => self.block(world.outlet_id(*outlet), true).await,
            OfficeAct::Unblock(outlet) => self.block(world.outlet_id(*outlet), false).await,
            OfficeAct::CancelVisit(_, outlet) => {
                let visit = planned_visit_id(world, *outlet);
                let reason = "They are closed today".to_owned();
                let command = Command::CancelVisit(CancelVisit { visit_id: bytes(visit), reason });
                self.execute("a visit called off", (visit, self.territory(&bytes(world.outlet_id(*outlet)))), command)
                    .await
            }
            OfficeAct::ChangeOrder(order, line) => self.change_order(*order, *line).await,
            OfficeAct::SetOverdue(customers, overdue) => self.set_overdue(customers, *overdue).await,
            OfficeAct::MergeCustomers(duplicate, survivor) => self.merge((*duplicate, *survivor)).await,
            OfficeAct::ReleaseHolds => self.release_holds().await,
            OfficeAct::HandleClaims => self.handle_claims().await,
            OfficeAct::AssignTask(rep, outlet) => {
                let task = id("task", format!("{rep}/{outlet}"));
                let command = Command::AssignTask(AssignTask {
                    task_id: bytes(task),
                    outlet_id: bytes(world.outlet_id(*outlet)),
                    rep_id: bytes(rep_id(*rep)),
                    title: "Hand the new catalogue over".to_owned(),
                    text: "And ask what they think of it.".to_owned(),
                    deadline_day: TODAY,
                });
                self.execute("a task", (task, Some(*rep)), command).await
            }
            OfficeAct::HandOver(from, to) => {
                let assignment = id("handover", format!("{from}/{to}"));
                let command = Command::HandTerritoryOver(HandTerritoryOver {
                    assignment_id: bytes(assignment),
                    territory_id: bytes(world.territory_id(*from)),
                    from_rep_id: bytes(rep_id(*from)),
                    to_rep_id: bytes(rep_id(*to)),
                    from_day: TODAY,
                });
                self.execute("a territory handed over", (assignment, Some(*to)), command).await
            }
        }
    }

    /// Has a command decided; if it was done, devices (of this territory) are expected to show it in this record.
    async fn execute(
        &mut self,
        what: &'static str,
        shows: (Uuid, Option<usize>),
        command: Command,
    ) -> anyhow::Result<()> {
        self.commands += 1;
        let name = crate::commands::of(&command).name();
        let answer = self.desk.execute(id("office", self.commands), command).await;
        let answer = match answer {
            Ok(answer) => answer,
            // It builds on what waits in quarantine: the verdict will say so.
            Err(status) if status.code() == Code::FailedPrecondition => return Ok(()),
            Err(status) => anyhow::bail!("the office's {name} is refused: {status}"),
        };
        let outcome = answer.outcome.unwrap_or_default();
        if matches!(outcome.status(), Decision::Applied | Decision::Merged) {
            self.shared.tell(what, shows, answer.version);
        }
        self.ledger.note(name, Some(outcome));
        Ok(())
    }

    /// The territory of an outlet.
    fn territory(&self, outlet_id: &[u8]) -> Option<usize> {
        self.territories.get(outlet_id).copied()
    }

    async fn raise_prices(&mut self, articles: &[usize]) -> anyhow::Result<()> {
        let products: Vec<Vec<u8>> = articles.iter().map(|&it| bytes(self.shared.world.product_id(it))).collect();
        let mut dearer = Vec::new();
        for (price_id, price) in &mut self.prices {
            let in_force = roundsman_sync::trade::price::valid(price, TODAY);
            if !in_force || !products.contains(&price.product_id) {
                continue;
            }
            for step in &mut price.breaks {
                step.price_minor += (step.price_minor * RISE_PERCENT + 50) / 100;
            }
            dearer.push(PriceToSet { price_id: bytes(*price_id), price: Some(price.clone()) });
        }
        // Retail prices are in most replicas.
        let retail = bytes(price_list_id(super::catalogue::PriceList::Retail));
        let shows = dearer.iter().find(|set| set.price.as_ref().is_some_and(|price| price.price_list_id == retail));
        let Some(shows) = shows.and_then(|set| Uuid::from_slice(&set.price_id).ok()) else { return Ok(()) };
        self.execute("prices", (shows, None), Command::SetPrices(SetPrices { prices: dearer })).await
    }

    async fn recount(&mut self, articles: &[usize]) -> anyhow::Result<()> {
        let shared = Arc::clone(&self.shared);
        let held = shared.world.catalogue.stock.iter().filter(|stock| articles.contains(&stock.article));
        let stocks: Vec<StockToSet> = held
            .map(|stock| {
                let carton = shared.world.catalogue.articles[stock.article].packagings[1].coefficient_milli;
                let figure = Stock {
                    warehouse_id: bytes(shared.world.warehouse_id(stock.warehouse)),
                    product_id: bytes(shared.world.product_id(stock.article)),
                    on_hand_milli: carton * CARTONS_LEFT,
                    free_milli: 0,
                    as_of_us: shared.now_us(),
                    expected_milli: stock.expected.map_or(0, |expected| expected.quantity_milli),
                    expected_day: stock.expected.map_or(0, |expected| expected.day),
                    quarantined_milli: 0,
                };
                let stock_id = bytes(shared.world.stock_id(stock.warehouse, stock.article));
                StockToSet { stock_id, stock: Some(figure) }
            })
            .collect();
        let shows = stocks.first().and_then(|set| Uuid::from_slice(&set.stock_id).ok());
        let Some(shows) = shows else { return Ok(()) };
        self.execute("stock", (shows, None), Command::SetStock(SetStock { stocks })).await
    }

    async fn block(&mut self, outlet: Uuid, blocked: bool) -> anyhow::Result<()> {
        let reason = if blocked { "Tax office has frozen the account" } else { "" }.to_owned();
        let command = Command::BlockOutlet(BlockOutlet { outlet_id: bytes(outlet), blocked, reason });
        self.execute("an outlet blocked or unblocked", (outlet, self.territory(&bytes(outlet))), command).await
    }

    async fn change_order(&mut self, order: Uuid, number: usize) -> anyhow::Result<()> {
        let mut known = Vec::new();
        for status in [OrderStatus::Confirmed, OrderStatus::Submitted] {
            known.extend(orders(&mut self.desk, &mut self.ledger, status).await?);
        }
        let found =
            known.into_iter().find(|listed| listed.order_id == order.as_bytes()).and_then(|listed| listed.order);
        let Some(found) = found else { return Ok(()) };
        let Some(line) = found.lines.get(number).or_else(|| found.lines.first()) else { return Ok(()) };
        let change = OrderLineChange {
            line_id: line.line_id.clone(),
            quantity_milli: Some(Int64Change {
                base: line.ordered_milli,
                value: line.ordered_milli + line.coefficient_milli,
            }),
            ..OrderLineChange::default()
        };
        let comment = StringChange { base: found.comment.clone(), value: "The customer called: one more".to_owned() };
        let command = Command::ChangeOrder(ChangeOrder {
            order_id: bytes(order),
            comment: Some(comment),
            lines: vec![OrderLineEdit { edit: Some(Edit::Change(change)) }],
            ..ChangeOrder::default()
        });
        self.execute("an order edited", (order, self.territory(&found.outlet_id)), command).await
    }

    async fn set_overdue(&mut self, customers: &[usize], overdue: bool) -> anyhow::Result<()> {
        for &customer in customers {
            let (receivable_id, now_us) = (self.shared.world.receivable_id(customer), self.shared.now_us());
            let customer_id = bytes(self.shared.world.customer_id(customer));
            let receivable = self.receivables.entry(receivable_id).or_insert_with(|| Receivable {
                customer_id,
                currency: CURRENCY.to_owned(),
                ..Receivable::default()
            });
            receivable.debt_minor += if overdue { OVERDUE_MINOR } else { -OVERDUE_MINOR };
            receivable.overdue_minor = if overdue { OVERDUE_MINOR } else { 0 };
            receivable.as_of_us = now_us;
            let command = Command::SetReceivable(SetReceivable {
                receivable_id: bytes(receivable_id),
                receivable: Some(receivable.clone()),
                ..SetReceivable::default()
            });
            self.execute("a debt", (receivable_id, None), command).await?;
        }
        Ok(())
    }

    async fn merge(&mut self, (duplicate, survivor): (usize, usize)) -> anyhow::Result<()> {
        let world = &self.shared.world;
        let outlet = world.city.customers[duplicate].outlets.first().copied().unwrap_or(0);
        let shows = (world.outlet_id(outlet), Some(world.city.outlets[outlet].territory));
        let command = Command::MergeCustomers(MergeCustomers {
            duplicate_id: bytes(world.customer_id(duplicate)),
            survivor_id: bytes(world.customer_id(survivor)),
        });
        self.execute("customers merged", shows, command).await
    }

    async fn release_holds(&mut self) -> anyhow::Result<()> {
        let held = orders(&mut self.desk, &mut self.ledger, OrderStatus::Submitted).await?;
        for listed in held.into_iter().take(LOOKED_AT) {
            let order = listed.order.unwrap_or_default();
            let order_id = Uuid::from_slice(&listed.order_id).unwrap_or_default();
            let shows = (order_id, self.territory(&order.outlet_id));
            for hold in order.holds.iter().filter(|hold| hold.released_at_us == 0) {
                let money = matches!(hold.reason(), HoldReason::CreditLimit | HoldReason::Overdue);
                // Of those who owe, every third is trusted; a blocked outlet waits until it is unblocked.
                let trusted = !money || order_id.as_bytes()[15].is_multiple_of(3);
                // So do those among whom goods are shared out.
                if !trusted || matches!(hold.reason(), HoldReason::OutletBlocked | HoldReason::Allocation) {
                    continue;
                }
                let comment = "Agreed on the telephone".to_owned();
                let release = ReleaseHold {
                    order_id: listed.order_id.clone(),
                    reason: hold.reason,
                    comment,
                    release_reason: why_released(hold.reason()).into(),
                };
                self.execute("a hold released", shows, Command::ReleaseHold(release)).await?;
            }
        }
        Ok(())
    }

    /// Takes every second new reclamation up for somebody to look at, decides the others, and settles what was accepted.
    async fn handle_claims(&mut self) -> anyhow::Result<()> {
        let request = ListReclamationsRequest { page_size: 1_000, ..ListReclamationsRequest::default() };
        let send =
            |channel, request| async move { LogisticsServiceClient::new(channel).list_reclamations(request).await };
        let answer = self.desk.call(request, send).await;
        let Some(page) = self.ledger.excuse("LogisticsService", answer)? else { return Ok(()) };
        for listed in page.reclamations {
            let reclamation_id = Uuid::from_slice(&listed.reclamation_id).unwrap_or_default();
            let reclamation = listed.reclamation.unwrap_or_default();
            let shows = (reclamation_id, self.territory(&reclamation.outlet_id));
            match reclamation.state() {
                ReclamationState::Registered if reclamation_id.as_bytes()[15].is_multiple_of(2) => {
                    let (department, note) = ("warehouse".to_owned(), "Is there a photo?".to_owned());
                    let review = ReviewClaim { reclamation_id: listed.reclamation_id, department, note };
                    self.execute("a reclamation taken up", shows, Command::ReviewClaim(review)).await?;
                }
                ReclamationState::Registered | ReclamationState::InReview => {
                    let decision = decision(listed.reclamation_id, &reclamation);
                    self.execute("a reclamation decided", shows, Command::DecideClaim(decision)).await?;
                }
                ReclamationState::Satisfied | ReclamationState::PartlySatisfied => {
                    let settlement = settlement(listed.reclamation_id, &reclamation);
                    self.execute("a reclamation settled", shows, Command::SettleClaim(settlement)).await?;
                }
                ReclamationState::Unspecified | ReclamationState::Rejected | ReclamationState::Settled => {}
            }
        }
        Ok(())
    }
}

/// What came is believed, of what a representative has filed; what the driver has reported is.
fn decision(reclamation_id: Vec<u8>, reclamation: &Reclamation) -> DecideClaim {
    if !reclamation.case_reclamation_id.is_empty() {
        return DecideClaim { reclamation_id, as_case: true, ..DecideClaim::default() };
    }
    let filed = !reclamation.rep_id.is_empty();
    let lines = reclamation.lines.iter().map(|line| DecidedClaimLine {
        line_id: line.line_id.clone(),
        accepted_milli: if filed { line.claimed_milli.min(line.delivered_milli) } else { line.claimed_milli },
    });
    let text = "We give back what came and was claimed".to_owned();
    DecideClaim { reclamation_id, lines: lines.collect(), text, as_case: false }
}

/// A credit note, or if nobody knows what it is worth, the goods are fetched.
fn settlement(reclamation_id: Vec<u8>, reclamation: &Reclamation) -> SettleClaim {
    let amount_minor = reclamation.decision.as_ref().map_or(0, |decision| decision.accepted_minor);
    let kind = if amount_minor > 0 { SettlementKind::CreditNote } else { SettlementKind::PickUp };
    SettleClaim { reclamation_id, kind: kind.into(), amount_minor, ..SettleClaim::default() }
}
