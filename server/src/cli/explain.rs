//! `roundsman explain order`: the whole reasoning of one order, read from the order and its history.

use std::collections::{BTreeMap, BTreeSet};

use clap::Subcommand;
use roundsman_proto::admin::inspect_service_client::InspectServiceClient;
use roundsman_proto::admin::{
    ExplainOrderRequest, ExplainOrderResponse, GetRecordRequest, GetRecordResponse, LineShare,
    ListRecordHistoryRequest, RecordChange,
};
use roundsman_proto::trade::change_request::Wish;
use roundsman_proto::trade::order_line_edit::Edit;
use roundsman_proto::trade::quota_holder::Holder;
use roundsman_proto::trade::{
    Agreement, ChangeOrder, ChangeRequest, ChangeRequestState, Customer, Hold, Int64Change, LineDifference, Order,
    OrderLine, Outlet, PastPromise, Price, PriceList, Product, PromiseOutcome, Promotion, Reclamation,
    ReclamationDecision, ReclamationLine, ReclamationSettlement, RefusalReason, ReleaseReason, Rep, Shipment,
    ShipmentLine, ShipmentState, ShortReason, Territory, Trip, Wave,
};
use roundsman_sync::kind::Record;
use roundsman_sync::trade::money::UNIT_MILLI;
use roundsman_sync::trade::order::fulfil;
use roundsman_sync::trade::price::per;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};
use uuid::Uuid;

use super::client::{Login, Session};
use super::device::moment;
use super::print;
use super::user::{self, id};
use crate::papers;

/// Changes of an order that are read: the last ones.
const CHANGES: i32 = 1_000;

/// What can be explained; it needs an administrator's login.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Explains an order: where each price comes from, what is off and by which promotion, what stock allowed, why it waited and
    /// who let it go, in which share of scarce goods it counts, what was promised and what became of it; with which waves and trips
    /// its goods went, what was picked, loaded, taken and missing; how far its reclamations are and by when something is to be done
    /// about them – and then everything that happened to it, and what was wanted of it, one after the other.
    Order {
        /// The administrator who does this.
        #[command(flatten)]
        login: Login,
        /// The order's id.
        order: Uuid,
        /// So many decimals the order's currency has.
        #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(0..=4))]
        decimals: u32,
    },
}

/// Explains it.
///
/// # Errors
/// When the server can't be reached, or says no.
pub async fn run(verb: Verb) -> anyhow::Result<()> {
    let Verb::Order { login, order, decimals } = verb;
    let mut session = login.open().await?;
    let explained = order_of(&mut session, order, decimals).await;
    session.close().await;
    for part in explained?.parts() {
        match part {
            Part::Line(text) => print::line(text),
            Part::Table(heading, rows) => print::table(heading, &rows),
        }
    }
    Ok(())
}

/// A part of what is printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// A line.
    Line(String),
    /// A table with its heading.
    Table(&'static [&'static str], Vec<Vec<String>>),
}

/// An order, with everything that its explanation needs.
#[derive(Debug)]
pub struct Explained {
    id: Uuid,
    order: Order,
    history: Vec<RecordChange>,
    background: ExplainOrderResponse,
    shipments: Vec<Journey>,
    names: Names,
    decimals: u32,
}

/// A shipment of the order, and with what it went.
#[derive(Debug)]
struct Journey {
    id: Uuid,
    shipment: Shipment,
    wave: Option<Wave>,
    trip: Option<Trip>,
}

/// How what an order names is called.
#[derive(Debug, Default)]
struct Names {
    records: BTreeMap<Vec<u8>, String>,
    users: BTreeMap<Vec<u8>, String>,
    /// By price record, the price list.
    lists: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Names {
    fn of(&self, id: &[u8]) -> String {
        self.records.get(id).cloned().unwrap_or_else(|| user::id(id))
    }

    /// Who a user is; nobody: a rule.
    fn who(&self, user: &[u8]) -> String {
        let nobody = user.iter().all(|byte| *byte == 0);
        if nobody { "rule".to_owned() } else { self.users.get(user).cloned().unwrap_or_else(|| id(user)) }
    }
}

/// Reads an order, and what it names.
///
/// # Errors
/// When the server can't be reached, or says no.
pub async fn order_of(session: &mut Session, id: Uuid, decimals: u32) -> anyhow::Result<Explained> {
    let order: Order = read(session, id.as_bytes()).await?.ok_or_else(|| anyhow::anyhow!("there is no order {id}"))?;
    let request = ListRecordHistoryRequest {
        record_id: id.as_bytes().to_vec(),
        page_size: CHANGES,
        ..ListRecordHistoryRequest::default()
    };
    let history = session
        .call(request, async |channel, request| InspectServiceClient::new(channel).list_record_history(request).await)
        .await?;
    let request = ExplainOrderRequest { order_id: id.as_bytes().to_vec() };
    let background = session
        .call(request, async |channel, request| InspectServiceClient::new(channel).explain_order(request).await)
        .await?;
    let shipments = journeys(session, &order).await?;
    let names = names(session, &order, &background, &shipments).await?;
    Ok(Explained { id, order, history: history.changes, background, shipments, names, decimals })
}

/// The order's shipments that are still there, the first one first.
async fn journeys(session: &mut Session, order: &Order) -> anyhow::Result<Vec<Journey>> {
    let mut journeys = Vec::new();
    for id in order.earlier_shipment_ids.iter().chain([&order.shipment_id]) {
        let Some(shipment) = read::<Shipment>(session, id).await? else { continue };
        let wave = read(session, &shipment.wave_id).await?;
        let trip = read(session, &shipment.trip_id).await?;
        journeys.push(Journey { id: Uuid::from_slice(id)?, shipment, wave, trip });
    }
    Ok(journeys)
}

/// A record as it is; `None`: it is not there, or no more.
pub(super) async fn read<R: Record>(session: &mut Session, id: &[u8]) -> anyhow::Result<Option<R>> {
    if id.is_empty() {
        return Ok(None);
    }
    let request = GetRecordRequest { record_id: id.to_vec(), kind: R::KIND as u32 };
    let answer = session.call(request, get_record).await?;
    if answer.removed_at_us == 0 { Ok(Some(R::decode(answer.document.as_slice())?)) } else { Ok(None) }
}

/// A record that is not there is as good as removed: what an order names may be gone.
async fn get_record(
    channel: Channel,
    request: Request<GetRecordRequest>,
) -> Result<Response<GetRecordResponse>, Status> {
    match InspectServiceClient::new(channel).get_record(request).await {
        Err(status) if status.code() == Code::NotFound => {
            Ok(Response::new(GetRecordResponse { removed_at_us: 1, ..GetRecordResponse::default() }))
        }
        answer => answer,
    }
}

async fn names(
    session: &mut Session,
    order: &Order,
    background: &ExplainOrderResponse,
    shipments: &[Journey],
) -> anyhow::Result<Names> {
    let mut names = Names::default();
    if let Some(outlet) = read::<Outlet>(session, &order.outlet_id).await? {
        names.records.insert(order.outlet_id.clone(), outlet.name);
    }
    if let Some(customer) = read::<Customer>(session, &order.customer_id).await? {
        names.records.insert(order.customer_id.clone(), customer.name);
    }
    if let Some(agreement) = read::<Agreement>(session, &order.agreement_id).await? {
        names.records.insert(order.agreement_id.clone(), agreement.name);
    }
    let ids = |of: &dyn Fn(&OrderLine) -> Vec<Vec<u8>>| order.lines.iter().flat_map(of).collect::<BTreeSet<_>>();
    let added = background.change_requests.iter().flat_map(added_products);
    for product in ids(&|line| vec![line.product_id.clone()]).into_iter().chain(added) {
        if let Some(found) = read::<Product>(session, &product).await? {
            names.records.insert(product, found.name);
        }
    }
    for promotion in ids(&|line| line.promotions.iter().map(|part| part.promotion_id.clone()).collect()) {
        if let Some(found) = read::<Promotion>(session, &promotion).await? {
            names.records.insert(promotion, found.name);
        }
    }
    for price in ids(&|line| vec![line.price_id.clone()]) {
        let Some(found) = read::<Price>(session, &price).await? else { continue };
        if let Some(list) = read::<PriceList>(session, &found.price_list_id).await? {
            names.records.insert(found.price_list_id.clone(), list.name);
        }
        names.lists.insert(price, found.price_list_id);
    }
    for holder in background.shares.iter().filter_map(|share| share.holder.as_ref()?.holder.as_ref()) {
        let name = match holder {
            Holder::RepId(id) => read::<Rep>(session, id).await?.map(|rep| (id, rep.name)),
            Holder::TerritoryId(id) => read::<Territory>(session, id).await?.map(|territory| (id, territory.name)),
            Holder::OutletLabel(_) | Holder::OrderId(_) => None,
        };
        names.records.extend(name.map(|(id, name)| (id.clone(), name)));
    }
    for trip in shipments.iter().filter_map(|journey| journey.trip.as_ref()) {
        if let Some(driver) = read::<Rep>(session, &trip.driver_id).await? {
            names.records.insert(trip.driver_id.clone(), driver.name);
        }
    }
    for user in user::list(session).await? {
        names.users.insert(user.user_id, user.login);
    }
    Ok(names)
}

impl Explained {
    /// What is printed.
    #[must_use]
    pub fn parts(&self) -> Vec<Part> {
        let order = &self.order;
        let mut parts = vec![
            Part::Line(format!("order      {}", self.id)),
            Part::Line(format!("outlet     {}", self.names.of(&order.outlet_id))),
            Part::Line(format!("customer   {}", self.names.of(&order.customer_id))),
            Part::Line(format!("agreement  {}", self.names.of(&order.agreement_id))),
            Part::Line(format!(
                "days       of {}, wanted for {}, promised for {}",
                day(order.order_day),
                day(order.delivery_day),
                day(order.promised_day)
            )),
            Part::Line(format!(
                "state      {}, {}",
                code(order.status().as_str_name(), "ORDER_STATUS_"),
                code(order.fulfilment().as_str_name(), "FULFILMENT_")
            )),
            Part::Line(format!(
                "value      {} {} of {} ordered",
                self.money(order.value_minor),
                order.currency,
                self.money(order.ordered_value_minor)
            )),
            Part::Line(String::new()),
            Part::Table(
                &["PRODUCT", "ORDERED", "CONFIRMED", "SET ASIDE", "PRICE", "FROM", "OFF", "BY HAND", "COMES TO", "WHY"],
                order.lines.iter().map(|line| self.line(line)).collect(),
            ),
            Part::Line(String::new()),
        ];
        if !self.background.shares.is_empty() {
            let shares = self.background.shares.iter().map(|share| self.share(share)).collect();
            parts.push(Part::Table(&["PRODUCT", "COUNTS IN", "SHARE", "USED BY ALL", "SHARED OUT"], shares));
            parts.push(Part::Line(String::new()));
        }
        parts.extend(self.deliveries());
        let happened = self.events().into_iter().map(|event| vec![moment(event.at_us), event.who, event.what]);
        parts.push(Part::Table(&["WHEN", "WHO", "WHAT"], happened.collect()));
        parts
    }

    fn line(&self, line: &OrderLine) -> Vec<String> {
        let per_milli = per(line.price_per_milli);
        let price = if per_milli == UNIT_MILLI {
            self.money(line.price_minor)
        } else {
            format!("{} for {}", self.money(line.price_minor), quantity(per_milli))
        };
        let from = match self.names.lists.get(&line.price_id) {
            Some(list) => format!("{}, version {}", self.names.of(list), line.price_version),
            None => "no list".to_owned(),
        };
        let off = line
            .promotions
            .iter()
            .map(|part| format!("{} {}", self.names.of(&part.promotion_id), self.money(part.counted_minor)));
        let product = match line.substitutes_line_id.as_slice() {
            [] => self.names.of(&line.product_id),
            _ => format!("{} instead", self.names.of(&line.product_id)),
        };
        vec![
            product,
            quantity(line.ordered_milli),
            quantity(line.confirmed_milli),
            quantity(line.reserved_milli),
            price,
            from,
            off.collect::<Vec<_>>().join(", "),
            if line.discount_bp == 0 { String::new() } else { format!("{} %", decimal(line.discount_bp, 2)) },
            self.money(line.amount_minor),
            why(line.difference()),
        ]
    }

    fn share(&self, share: &LineShare) -> Vec<String> {
        let line = self.order.lines.iter().find(|line| line.line_id == share.line_id);
        let whose = match share.holder.as_ref().and_then(|holder| holder.holder.as_ref()) {
            Some(Holder::RepId(id) | Holder::TerritoryId(id)) => format!("the share of {}", self.names.of(id)),
            Some(Holder::OutletLabel(label)) => format!("the share of outlets with the label {label}"),
            Some(Holder::OrderId(_)) => "its own share".to_owned(),
            None => "no share".to_owned(),
        };
        let shared_out = match (share.share_out_at_us, share.shared_out_at_us) {
            (0, _) => String::new(),
            (at_us, 0) => format!("at {}, and it waits until then", moment(at_us)),
            (_, at_us) => format!(
                "at {}: {} were free, and {} orders wanted {}",
                moment(at_us),
                quantity(share.free_milli),
                share.orders,
                quantity(share.wanted_milli)
            ),
        };
        vec![
            line.map_or_else(String::new, |line| self.names.of(&line.product_id)),
            whose,
            quantity(share.share_milli),
            quantity(share.used_milli),
            shared_out,
        ]
    }

    /// That somebody wanted the order otherwise, and what was said to it.
    fn request(&self, request: &ChangeRequest) -> Vec<Event> {
        let wants = match &request.wish {
            Some(Wish::Change(change)) => {
                format!("asks the warehouse for a change: {}", self.change(change).join(", "))
            }
            Some(Wish::Cancellation(cancel)) => format!("asks the warehouse to call it off: {}", cancel.reason),
            None => "asks the warehouse for nothing".to_owned(),
        };
        let mut events = vec![Event::new(request.asked_at_us, 0, self.names.who(&request.asked_by_id), wants)];
        if request.answered_at_us != 0 {
            let answer = match request.state() {
                ChangeRequestState::Accepted => "accepts the wish".to_owned(),
                ChangeRequestState::Refused => format!("refuses the wish: {}", request.comment),
                ChangeRequestState::Unspecified | ChangeRequestState::Open => "has not answered".to_owned(),
            };
            events.push(Event::new(request.answered_at_us, 1, self.names.who(&request.answered_by_id), answer));
        }
        events
    }

    /// What is wanted otherwise, piece by piece.
    fn change(&self, change: &ChangeOrder) -> Vec<String> {
        let product = |line_id: &[u8]| {
            let line = self.order.lines.iter().find(|line| line.line_id == line_id);
            line.map_or_else(|| "a line that is gone".to_owned(), |line| self.names.of(&line.product_id))
        };
        let mut wanted = Vec::new();
        for edit in change.lines.iter().filter_map(|line| line.edit.as_ref()) {
            wanted.push(match edit {
                Edit::Add(line) => {
                    format!("{} of {} more", quantity(line.quantity_milli), self.names.of(&line.product_id))
                }
                Edit::Remove(line) => format!("no {}", product(&line.line_id)),
                Edit::Change(line) => match &line.quantity_milli {
                    Some(Int64Change { base, value }) => {
                        format!("{} and not {} of {}", quantity(*value), quantity(*base), product(&line.line_id))
                    }
                    None => format!("other terms for {}", product(&line.line_id)),
                },
            });
        }
        wanted.extend(change.delivery_day.as_ref().map(|wish| format!("delivery on {}", day(wish.value))));
        wanted.extend(change.agreement_id.as_ref().map(|_| "another agreement".to_owned()));
        wanted.extend(change.comment.as_ref().map(|wish| format!("the note {}", wish.value)));
        wanted
    }

    /// With what the goods went and what became of them, and what was claimed; nothing, if there is no shipment.
    fn deliveries(&self) -> Vec<Part> {
        let mut parts = Vec::new();
        if !self.shipments.is_empty() {
            let journeys = self.shipments.iter().map(|journey| self.journey(journey)).collect();
            parts.push(Part::Table(
                &["SHIPMENT", "STATE", "WAVE", "VEHICLE", "DRIVER", "LEFT", "AT THE DOOR", "TAKEN BY"],
                journeys,
            ));
            parts.push(Part::Line(String::new()));
            let goods = self.shipments.iter().flat_map(|journey| self.goods(journey)).collect();
            parts.push(Part::Table(
                &["PRODUCT", "ASKED FOR", "PICKED", "LOADED", "DELIVERED", "REFUSED", "MISSING", "WHY", "SHIPMENT"],
                goods,
            ));
            parts.push(Part::Line(String::new()));
        }
        if !self.background.reclamations.is_empty() {
            let claims = self.background.reclamations.iter().map(|filed| self.claim(filed)).collect();
            parts.push(Part::Table(
                &[
                    "FILED",
                    "CLAIMED FOR",
                    "LINES",
                    "STAGE",
                    "SINCE",
                    "WITH",
                    "DUE",
                    "TOLD",
                    "CLAIMED",
                    "ACCEPTED",
                    "WORTH",
                    "SETTLED",
                ],
                claims,
            ));
            parts.push(Part::Line(String::new()));
        }
        parts
    }

    fn journey(&self, journey: &Journey) -> Vec<String> {
        let Journey { id, shipment, wave, trip } = journey;
        let at = |at_us: i64| if at_us == 0 { String::new() } else { moment(at_us) };
        vec![
            short_id(id.as_bytes()),
            code(shipment.state().as_str_name(), "SHIPMENT_STATE_"),
            wave.as_ref().map_or_else(String::new, |wave| wave.name.clone()),
            trip.as_ref().map_or_else(String::new, |trip| trip.vehicle_name.clone()),
            trip.as_ref().map_or_else(String::new, |trip| self.names.of(&trip.driver_id)),
            at(shipment.shipped_at_us),
            at(shipment.delivered_at_us),
            shipment.proof.as_ref().map_or_else(String::new, |proof| proof.received_by.clone()),
        ]
    }

    /// What became of the order's lines in a shipment, which may bring those of other orders as well.
    fn goods(&self, Journey { id, shipment, .. }: &Journey) -> Vec<Vec<String>> {
        let own = shipment.lines.iter().filter(|line| fulfil::order_of(shipment, line) == self.id.as_bytes());
        let goods = own.map(|line| {
            let mut why = Vec::new();
            if line.short_reason() != ShortReason::Unspecified {
                why.push(format!("picked short: {}", code(line.short_reason().as_str_name(), "SHORT_REASON_")));
            }
            if line.refusal_reason() != RefusalReason::Unspecified {
                why.push(format!("refused: {}", code(line.refusal_reason().as_str_name(), "REFUSAL_REASON_")));
            }
            vec![
                self.names.of(&line.product_id),
                quantity(line.ordered_milli),
                quantity(line.picked_milli),
                quantity(line.loaded_milli),
                quantity(line.delivered_milli),
                quantity(line.refused_milli),
                quantity(missing_milli(shipment, line)),
                why.join(", "),
                short_id(id.as_bytes()),
            ]
        });
        goods.collect()
    }

    /// How far a reclamation is, and what the customer gets for it.
    fn claim(&self, filed: &Reclamation) -> Vec<String> {
        let worth =
            |decision: &ReclamationDecision| format!("{} {}", self.money(decision.accepted_minor), decision.currency);
        let mut cells = claim(filed);
        cells.push(filed.decision.as_ref().map_or_else(String::new, worth).trim().to_owned());
        cells.push(filed.settlement.as_ref().map_or_else(String::new, |settled| self.settlement(settled)));
        cells
    }

    fn settlement(&self, settled: &ReclamationSettlement) -> String {
        let kind = code(settled.kind().as_str_name(), "SETTLEMENT_KIND_");
        if settled.amount_minor == 0 { kind } else { format!("{kind} {}", self.money(settled.amount_minor)) }
    }

    /// When goods left and arrived; it stands beside the commands, which say who has told so and when.
    fn travelled(&self, journey: &Journey) -> Vec<Event> {
        let Journey { id, shipment, trip, .. } = journey;
        let mut events = Vec::new();
        let short = short_id(id.as_bytes());
        let driver = trip.as_ref().map_or_else(|| "rule".to_owned(), |trip| self.names.of(&trip.driver_id));
        if shipment.shipped_at_us != 0 {
            let with = trip.as_ref().map_or_else(String::new, |trip| format!(" with {}", trip.vehicle_name));
            events.push(Event::new(
                shipment.shipped_at_us,
                1,
                driver.clone(),
                format!("shipment {short} leaves{with}"),
            ));
        }
        if shipment.delivered_at_us != 0 {
            let state = code(shipment.state().as_str_name(), "SHIPMENT_STATE_");
            events.push(Event::new(shipment.delivered_at_us, 1, driver, format!("shipment {short} is {state}")));
        }
        events
    }

    /// What was claimed, and what was said to it.
    fn claimed(&self, claim: &Reclamation) -> Vec<Event> {
        let who = if claim.rep_id.is_empty() { "rule" } else { "rep" }.to_owned();
        let cause = code(claim.cause().as_str_name(), "RECLAMATION_CAUSE_");
        let mut events = vec![Event::new(claim.filed_at_us, 5, who, format!("a reclamation is filed: {cause}"))];
        if let Some(decision) = &claim.decision {
            let accepted: i64 = claim.lines.iter().map(|line| line.accepted_milli).sum();
            let claimed: i64 = claim.lines.iter().map(|line| line.claimed_milli).sum();
            let what = format!(
                "of what was claimed, {} of {} is accepted, worth {}",
                quantity(accepted),
                quantity(claimed),
                self.money(decision.accepted_minor)
            );
            events.push(Event::new(decision.decided_at_us, 5, self.names.who(&decision.decided_by_id), what));
        }
        if let Some(settled) = &claim.settlement {
            let what = format!("a reclamation is settled: {}", self.settlement(settled));
            events.push(Event::new(settled.settled_at_us, 5, self.names.who(&settled.settled_by_id), what));
        }
        events
    }

    /// All that happened, in the order in which it did.
    fn events(&self) -> Vec<Event> {
        let mut events: Vec<Event> = self.history.iter().map(|change| self.command(change)).collect();
        for hold in &self.order.holds {
            events.extend(self.hold(hold));
        }
        events.extend(self.background.change_requests.iter().flat_map(|request| self.request(request)));
        if self.order.promised_at_us != 0 {
            let what = format!("promised as it stands, {} in all", self.money(self.order.value_minor));
            events.push(Event::new(self.order.promised_at_us, 3, self.names.who(&self.order.promised_by_id), what));
        }
        events.extend(self.order.past_promises.iter().map(|past| self.past(past)));
        events.extend(self.shipments.iter().flat_map(|journey| self.travelled(journey)));
        events.extend(self.background.reclamations.iter().flat_map(|claim| self.claimed(claim)));
        events.sort_by_key(|event| (event.at_us, event.turn));
        events
    }

    fn command(&self, change: &RecordChange) -> Event {
        let outcome = change.outcome.clone().unwrap_or_default();
        let mut what = format!("{}: {}", change.command_name, code(outcome.status().as_str_name(), "STATUS_"));
        let reason = code(outcome.reason().as_str_name(), "REASON_");
        if reason != "unspecified" {
            what = format!("{what}, {reason}");
        }
        for met in &outcome.overrides {
            what = format!("{what}; {} stays {}, and not {}", met.field, met.kept, met.lost);
        }
        Event::new(change.decided_at_us, 0, self.names.who(&change.user_id), what)
    }

    fn hold(&self, hold: &Hold) -> Vec<Event> {
        let reason = code(hold.reason().as_str_name(), "HOLD_REASON_");
        let lines = match hold.line_ids.len() {
            0 => String::new(),
            lines => format!(" ({lines} lines)"),
        };
        let opened = format!("held for {reason}{lines}: {}", hold.facts);
        let mut events = vec![Event::new(hold.opened_at_us, 1, "rule".to_owned(), opened)];
        if hold.released_at_us != 0 {
            let comment =
                if hold.release_comment.is_empty() { String::new() } else { format!(": {}", hold.release_comment) };
            let why = code(hold.release_reason().as_str_name(), "RELEASE_REASON_");
            let unsaid = hold.release_reason() == ReleaseReason::Unspecified;
            let why = if unsaid { String::new() } else { format!(", {why}") };
            let released = format!("the hold for {reason} is released{why}{comment}");
            let by_a_rule = hold.released_by_id.is_empty();
            let who = if by_a_rule { hold.released_by.clone() } else { self.names.who(&hold.released_by_id) };
            events.push(Event::new(hold.released_at_us, 2, who, released));
        }
        events
    }

    fn past(&self, past: &PastPromise) -> Event {
        let promised = match past.line_id.as_slice() {
            [] => format!("delivery on {}", day(past.delivery_day)),
            _ => format!(
                "{} of {} for {}",
                quantity(past.quantity_milli),
                self.names.of(&past.product_id),
                self.money(past.amount_minor)
            ),
        };
        let became = match past.outcome() {
            PromiseOutcome::Broken => "is broken",
            PromiseOutcome::Changed | PromiseOutcome::Unspecified => "is no longer wanted",
        };
        let reason = why(past.reason());
        let reason = if reason.is_empty() { reason } else { format!(": {reason}") };
        let what = format!("the promise of {} – {promised} – {became}{reason}", moment(past.promised_at_us));
        Event::new(past.ended_at_us, 4, self.names.who(&past.ended_by_id), what)
    }

    fn money(&self, minor: i64) -> String {
        decimal(minor, self.decimals)
    }
}

/// What of a line was gone when the driver handed the goods over.
fn missing_milli(shipment: &Shipment, line: &ShipmentLine) -> i64 {
    match shipment.state() {
        ShipmentState::Delivered | ShipmentState::PartlyDelivered | ShipmentState::Refused => {
            line.loaded_milli.saturating_sub(line.delivered_milli).saturating_sub(line.refused_milli).max(0)
        }
        ShipmentState::Unspecified | ShipmentState::Prepared | ShipmentState::Picking | ShipmentState::Checking => 0,
        ShipmentState::Checked | ShipmentState::Loaded | ShipmentState::Shipped => 0,
        ShipmentState::NotAttempted | ShipmentState::Cancelled => 0,
    }
}

/// The products that somebody wanted to have beside what is ordered.
fn added_products(request: &ChangeRequest) -> Vec<Vec<u8>> {
    let lines = match &request.wish {
        Some(Wish::Change(change)) => change.lines.as_slice(),
        Some(Wish::Cancellation(_)) | None => &[],
    };
    let added = |edit: &Edit| match edit {
        Edit::Add(line) => Some(line.product_id.clone()),
        Edit::Remove(_) | Edit::Change(_) => None,
    };
    lines.iter().filter_map(|line| added(line.edit.as_ref()?)).collect()
}

/// Something that happened to an order.
struct Event {
    at_us: i64,
    /// Of what happens at one moment, what comes first.
    turn: u8,
    who: String,
    what: String,
}

impl Event {
    fn new(at_us: i64, turn: u8, who: String, what: String) -> Self {
        Self { at_us, turn, who, what }
    }
}

/// A number in units of which there are so many decimals.
pub(super) fn decimal(number: impl Into<i128>, decimals: u32) -> String {
    let number: i128 = number.into();
    let unit = 10_u128.pow(decimals);
    let (whole, rest) = (number.unsigned_abs() / unit, number.unsigned_abs() % unit);
    let sign = if number < 0 { "-" } else { "" };
    if decimals == 0 {
        return format!("{sign}{whole}");
    }
    format!("{sign}{whole}.{rest:0width$}", width = decimals as usize)
}

/// A quantity, without zeros at its end.
pub(super) fn quantity(milli: i64) -> String {
    let text = decimal(milli, 3);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A day as YYYY-MM-DD.
pub(super) fn day(day: i32) -> String {
    let date = chrono::NaiveDate::from_num_days_from_ce_opt(day.saturating_add(719_163)).filter(|_| day != 0);
    date.map_or_else(|| "as soon as possible".to_owned(), |date| date.to_string())
}

fn why(difference: LineDifference) -> String {
    if difference == LineDifference::Unspecified {
        return String::new();
    }
    code(difference.as_str_name(), "LINE_DIFFERENCE_")
}

/// How far a reclamation is, and by when something is to be done about it.
fn claim(claim: &Reclamation) -> Vec<String> {
    let sum = |of: fn(&ReclamationLine) -> i64| quantity(claim.lines.iter().map(of).sum());
    let since_us = if claim.stage_since_us == 0 { claim.filed_at_us } else { claim.stage_since_us };
    let told = match claim.escalation_level {
        ..=0 => String::new(),
        1 => format!("supervisor, {}", moment(claim.escalated_at_us)),
        2.. => format!("office, {}", moment(claim.escalated_at_us)),
    };
    vec![
        moment(claim.filed_at_us),
        code(claim.cause().as_str_name(), "RECLAMATION_CAUSE_"),
        claim.lines.len().to_string(),
        code(claim.state().as_str_name(), "RECLAMATION_STATE_"),
        moment(since_us),
        claim.department.clone(),
        if claim.due_day == 0 { String::new() } else { day(claim.due_day) },
        told,
        sum(|line| line.claimed_milli),
        sum(|line| line.accepted_milli),
    ]
}

/// The number by which people name a record, as papers show it; nothing for what is no id.
fn short_id(id: &[u8]) -> String {
    Uuid::from_slice(id).map_or_else(|_| String::new(), papers::short)
}

/// The name of a code, in words.
fn code(name: &str, prefix: &str) -> String {
    name.trim_start_matches(prefix).to_lowercase().replace('_', " ")
}

#[cfg(test)]
mod tests {
    use roundsman_proto::trade::{ReclamationCause, ReclamationState};

    use super::*;

    #[test]
    fn numbers_are_written_as_people_write_them() {
        assert_eq!((decimal(1_234, 2), decimal(-5, 2), decimal(7, 0)), ("12.34".into(), "-0.05".into(), "7".into()));
        assert_eq!((quantity(5_000), quantity(1_250), quantity(0)), ("5".into(), "1.25".into(), "0".into()));
        assert_eq!((day(20_780), day(0)), ("2026-11-23".to_owned(), "as soon as possible".to_owned()));
    }

    #[test]
    fn of_a_reclamation_is_shown_how_far_it_is_and_what_is_due() {
        let filed = Reclamation {
            cause: ReclamationCause::Damaged.into(),
            state: ReclamationState::InReview.into(),
            department: "warehouse".to_owned(),
            due_day: 20_787,
            escalation_level: 1,
            ..Reclamation::default()
        };
        let shown = claim(&filed);
        assert_eq!((shown[1].as_str(), shown[3].as_str(), shown[5].as_str()), ("damaged", "in review", "warehouse"));
        assert_eq!(shown[6], day(20_787));
        assert!(shown[7].starts_with("supervisor"), "{shown:?}");
        let told = Reclamation { escalation_level: 2, due_day: 0, ..filed };
        assert_eq!((claim(&told)[6].as_str(), claim(&told)[7].starts_with("office")), ("", true));
    }
}
