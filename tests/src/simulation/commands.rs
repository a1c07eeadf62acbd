//! The commands of the simulation: one function for each. What it returns need not be right: it is what somebody might
//! have wanted, by what they see. `None`: nobody would want it now.

use bytes::Bytes;
use prost::Message as _;
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::order_line_edit::Edit;
use roundsman_proto::trade::payment_share::Document;
use roundsman_proto::trade::quota_holder::Holder;
use roundsman_proto::trade::record_to_import::Record as Imported;
use roundsman_proto::trade::survey_answer::Value;
use roundsman_proto::trade::{
    AdvanceHorizon, AllocateStock, AllocateWave, AnnounceReturn, AnnouncedReturnLine, AnswerChangeRequest,
    AnswerSurvey, ApplyAssignments, ArchiveOutlet, AssignRep, AssignTask, Assignment, BlockOutlet, BytesChange,
    CancelOrder, CancelReturn, CancelShipment, CancelVisit, CashHandIn, Chain, ChangeOrder, ChangeRequest,
    ChangeRequestState, CheckIn, CheckOut, CheckShipment, ClaimCause, ClaimLine, CloseOrder, CollectPayment,
    CompleteTask, ConfirmHandIn, Contact, ContactEdit, Contract, CountStock, CountedCash, Customer, DecideClaim,
    DecidedClaimLine, DeliverShipment, DeliveredLine, DismissRep, DueItem, EditOutlet, EscalateClaims, FileClaim,
    GoodsReturn, HandInCash, HandTerritoryOver, HoldReason, ImportRecords, Int64Change, Kind, MarkMissedVisits,
    MergeCustomers, MoveOutlet, MustSellItem, MustSellList, NewOrderLine, Order, OrderLine, OrderLineChange,
    OrderLineEdit, OrderLineRemoval, OrderStatus, Outlet, OutletStatus, Payment, PaymentMethod, PaymentShare,
    PickShipment, PlanVisits, PrepareShipment, PreparedLine, Price, PriceList, PriceToSet, Product, Promotion,
    QuarantineDecision, QuotaEntry, QuotaHolder, Receivable, ReceiveReturn, ReceivedReturnLine, Reclamation,
    ReclamationCause, ReclamationLine, RefusalReason, RegisterOutlet, ReleaseHold, ReleaseOrder, ReleaseQuarantine,
    ReleaseReason, Rep, ReturnOrigin, ReturnReason, ReturnState, ReviewClaim, Scan, SellFromVan, SetPrices,
    SetReceivable, SetStock, SettleClaim, SettlementKind, ShipShipment, Shipment, ShipmentLine, ShipmentState,
    ShippedLine, ShortReason, ShownPromotion, StartWave, Stock, StockCountLine, StockQuota, StockToSet, StringChange,
    SubmitOrder, Survey, SurveyAnswer, SurveyState, Task, TransferLine, TransferStock, TurnMonth, UnproductiveReason,
    Visit, VisitState, Warehouse, Wave, WaveState, contact_edit,
};
use roundsman_sync::kind::Record;
use roundsman_sync::scope::Month;
use roundsman_sync::trade::chain::agreements_of;
use roundsman_sync::trade::money::gross;
use roundsman_sync::trade::order::fulfil::can_be_shipped;
use roundsman_sync::trade::price::{List, Quote, UnitPrice, Wanted, per, quote};
use roundsman_sync::trade::promotion::{Buyer, Line, Part, entitle};
use roundsman_sync::trade::reclamation::stages;
use uuid::Uuid;

use super::device::Memory;
use super::dice::Dice;
use super::trips::{cancel_trip, close_trip, depart_trip, load_shipment, plan_trip};
use super::world::{CURRENCY, World, entry, first_assignment, price, stock};
use crate::app::TODAY;
use crate::world::{bytes, place};

/// What somebody sees.
pub trait Eyes {
    /// The live records of a kind: id, version, document.
    fn records(&self, kind: Kind) -> Vec<(Uuid, i64, Bytes)>;
}

/// Who issues a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// A rep, on a device.
    Rep,
    /// The supervisor, on a device.
    Supervisor,
    /// Somebody in the office.
    Office,
    /// A logistician.
    Logistics,
    /// The server, by the clock.
    Server,
}

/// A command that somebody may issue.
pub struct Recipe {
    /// Who.
    pub who: Who,
    /// How often, beside the others of the same.
    pub weight: u64,
    /// Makes it.
    pub make: fn(&Scene<'_>) -> Option<Command>,
}

/// What surrounds somebody who is about to issue a command.
pub struct Scene<'a> {
    /// The die.
    pub dice: &'a Dice,
    /// The world as it began.
    pub world: &'a World,
    /// What is seen.
    pub eyes: &'a dyn Eyes,
    /// What is remembered.
    pub memory: &'a Memory,
    /// The rep who issues it.
    pub rep: Option<Uuid>,
    /// The moment, in microseconds since the Unix epoch.
    pub now_us: i64,
    /// The version that the tenant is at.
    pub version: i64,
}

const fn recipe(who: Who, weight: u64, make: fn(&Scene<'_>) -> Option<Command>) -> Recipe {
    Recipe { who, weight, make }
}

/// All that is issued.
pub const RECIPES: &[Recipe] = &[
    recipe(Who::Rep, 14, check_in),
    recipe(Who::Rep, 12, check_out),
    recipe(Who::Rep, 20, submit_order),
    recipe(Who::Rep, 12, change_order),
    recipe(Who::Rep, 4, cancel_order),
    recipe(Who::Rep, 10, collect_payment),
    recipe(Who::Rep, 4, hand_in_cash),
    recipe(Who::Rep, 5, answer_survey),
    recipe(Who::Rep, 5, file_claim),
    recipe(Who::Rep, 3, announce_return),
    recipe(Who::Rep, 4, register_outlet),
    recipe(Who::Rep, 6, edit_outlet),
    recipe(Who::Rep, 3, complete_task),
    recipe(Who::Supervisor, 5, cancel_visit),
    recipe(Who::Supervisor, 8, release_hold),
    recipe(Who::Office, 10, release_hold),
    recipe(Who::Office, 5, submit_order),
    recipe(Who::Office, 6, change_order),
    recipe(Who::Office, 3, cancel_order),
    recipe(Who::Office, 8, edit_outlet),
    recipe(Who::Office, 8, move_outlet),
    recipe(Who::Office, 4, block_outlet),
    recipe(Who::Office, 3, archive_outlet),
    recipe(Who::Office, 3, register_outlet),
    recipe(Who::Office, 8, set_prices),
    recipe(Who::Office, 8, set_stock),
    recipe(Who::Office, 8, set_receivable),
    recipe(Who::Office, 3, confirm_hand_in),
    recipe(Who::Office, 6, import_change),
    recipe(Who::Office, 5, import_assignment),
    recipe(Who::Office, 4, import_quota),
    recipe(Who::Office, 4, import_share_out),
    recipe(Who::Office, 3, import_survey),
    recipe(Who::Office, 5, import_chain),
    recipe(Who::Office, 6, import_contract),
    recipe(Who::Office, 1, merge_customers),
    recipe(Who::Office, 1, import_must_sell_list),
    recipe(Who::Office, 2, import_cause),
    recipe(Who::Office, 3, file_claim),
    recipe(Who::Office, 8, decide_claim),
    recipe(Who::Office, 3, settle_claim),
    recipe(Who::Logistics, 3, review_claim),
    recipe(Who::Office, 3, assign_task),
    recipe(Who::Office, 3, assign_rep),
    recipe(Who::Office, 4, hand_territory_over),
    recipe(Who::Logistics, 80, go_on),
    recipe(Who::Logistics, 10, release_order),
    recipe(Who::Logistics, 10, prepare_shipment),
    recipe(Who::Logistics, 14, answer_change_request),
    recipe(Who::Logistics, 8, ship_shipment),
    recipe(Who::Logistics, 8, deliver_shipment),
    recipe(Who::Logistics, 4, start_wave),
    recipe(Who::Logistics, 4, allocate_wave),
    recipe(Who::Logistics, 5, pick_shipment),
    recipe(Who::Logistics, 3, check_shipment),
    recipe(Who::Logistics, 2, cancel_shipment),
    recipe(Who::Logistics, 6, receive_return),
    recipe(Who::Logistics, 2, cancel_return),
    recipe(Who::Logistics, 3, release_quarantine),
    recipe(Who::Logistics, 3, transfer_stock),
    recipe(Who::Logistics, 1, count_stock),
    recipe(Who::Rep, 1, count_stock),
    recipe(Who::Rep, 3, sell_from_van),
    recipe(Who::Office, 1, import_van),
    recipe(Who::Logistics, 2, close_order),
    recipe(Who::Logistics, 6, plan_trip),
    recipe(Who::Logistics, 8, load_shipment),
    recipe(Who::Logistics, 5, depart_trip),
    recipe(Who::Logistics, 4, close_trip),
    recipe(Who::Logistics, 1, cancel_trip),
    recipe(Who::Rep, 3, load_shipment),
    recipe(Who::Rep, 2, depart_trip),
    recipe(Who::Rep, 3, deliver_shipment),
    recipe(Who::Office, 1, dismiss_rep),
    recipe(Who::Server, 4, plan_visits),
    recipe(Who::Server, 3, mark_missed_visits),
    recipe(Who::Server, 3, apply_assignments),
    recipe(Who::Server, 2, turn_month),
    recipe(Who::Server, 2, advance_horizon),
    recipe(Who::Server, 14, allocate_stock),
    recipe(Who::Server, 4, escalate_claims),
];

impl Scene<'_> {
    /// The day, in days since 1970-01-01.
    pub(super) fn today(&self) -> i32 {
        i32::try_from(self.now_us.div_euclid(86_400_000_000)).unwrap_or(TODAY)
    }

    /// One of the records of a kind that are seen and meet a condition.
    pub(super) fn one<R: Record>(&self, when: impl Fn(&R) -> bool) -> Option<(Uuid, i64, R)> {
        let mut records = self.all::<R>();
        records.retain(|(_, _, record)| when(record));
        let index = self.dice.index(records.len())?;
        Some(records.swap_remove(index))
    }

    /// An outlet that is seen, now and then one that is not.
    fn outlet(&self) -> Option<Uuid> {
        if self.dice.chance(4) {
            return self.dice.pick(&self.world.outlets).copied();
        }
        self.one::<Outlet>(|_| true).map(|(id, _, _)| id)
    }

    /// Now and then, of the outlets that are seen, one that many people have to do with: so that their edits meet.
    fn busy_outlet(&self) -> Option<(Uuid, i64, Outlet)> {
        let outlets = self.world.outlets.iter().step_by(3).filter(|_| self.dice.chance(60));
        outlets.filter_map(|outlet| seen_by_id(self, *outlet)).next()
    }

    fn territory(&self) -> Uuid {
        self.dice.pick(&self.world.territories).copied().unwrap_or_default()
    }

    /// An order that is seen, or that was just handed in.
    fn order(&self, when: impl Fn(&Order) -> bool) -> Option<Uuid> {
        if self.dice.chance(30)
            && let Some(order) = self.dice.pick(&self.memory.orders)
        {
            return Some(*order);
        }
        self.one::<Order>(when).map(|(id, _, _)| id)
    }

    /// A line of an order, at the price that is seen.
    fn new_line(&self, price_list: &[u8]) -> Option<NewOrderLine> {
        let (product_id, _, product) = self.one::<Product>(|product| !product.code.is_empty())?;
        let packages = self.dice.between(1, 9);
        let (packaging_code, coefficient_milli) = match product.packagings.first() {
            Some(packaging) if self.dice.chance(30) => (packaging.code.clone(), packaging.coefficient_milli),
            _ => (String::new(), 1_000),
        };
        let quantity_milli = packages * coefficient_milli;
        let wanted = Wanted { quantity_milli, packaging_code: &packaging_code, day: self.today() };
        let (price_id, price_version, shown, price_per_milli) = match self.quoted(product_id, price_list, &wanted) {
            Some((quote, version)) => (bytes(quote.price_id), version, quote.rate.price_minor, quote.rate.per_milli),
            None => (Vec::new(), 0, 1_000, 0),
        };
        Some(NewOrderLine {
            line_id: bytes(self.dice.id()),
            product_id: bytes(product_id),
            packaging_code,
            coefficient_milli,
            quantity_milli,
            price_id,
            price_version,
            shown_price_minor: if self.dice.chance(5) { shown + 1 } else { shown },
            discount_bp: if self.dice.chance(10) { 700 } else { 0 },
            price_per_milli,
            ..NewOrderLine::default()
        })
    }

    fn quoted(&self, product: Uuid, price_list: &[u8], wanted: &Wanted<'_>) -> Option<(Quote, i64)> {
        let list_id = Uuid::from_slice(price_list).ok()?;
        let (_, _, list) = seen_by_id::<PriceList>(self, list_id)?;
        let prices = self.all::<Price>();
        let own = prices.iter().filter(|(_, _, price)| price.product_id == product.as_bytes());
        let quote = quote(own.map(|(id, _, price)| (*id, price)), &List::new(list_id, &list), wanted)?;
        let version = prices.iter().find(|(id, _, _)| *id == quote.price_id).map_or(0, |(_, version, _)| *version);
        Some((quote, version))
    }

    /// All records of a kind that are seen.
    fn all<R: Record>(&self) -> Vec<(Uuid, i64, R)> {
        let seen = self.eyes.records(R::KIND).into_iter();
        seen.filter_map(|(id, version, document)| Some((id, version, R::decode(document).ok()?))).collect()
    }

    /// Shows on each line the promotions that are seen, now and then a little too much.
    fn promote(&self, lines: &mut [NewOrderLine], (outlet_id, outlet): (Uuid, &Outlet), agreement_id: &[u8]) {
        let promotions = self.all::<Promotion>();
        let products = self.all::<Product>();
        let group = |product: &[u8]| {
            let found = products.iter().find(|(id, _, _)| id.as_bytes() == product);
            found.map_or(&[][..], |(_, _, product)| &product.group_path)
        };
        let rows: Vec<Line<'_>> = lines
            .iter()
            .map(|line| {
                let rate = UnitPrice { price_minor: line.shown_price_minor, per_milli: per(line.price_per_milli) };
                let gross_minor = gross(line.quantity_milli, rate.price_minor, rate.per_milli).unwrap_or(0);
                let quantity_milli = line.quantity_milli;
                let group_path = group(&line.product_id);
                Line {
                    line_id: &line.line_id,
                    product_id: &line.product_id,
                    group_path,
                    quantity_milli,
                    rate,
                    gross_minor,
                }
            })
            .collect();
        let buyer = Buyer { outlet_id, outlet, agreement_id, currency: CURRENCY, day: self.today() };
        let found = entitle(promotions.iter().map(|(id, _, promotion)| (*id, promotion)), &rows, &buyer);
        let shown = |part: &Part| ShownPromotion {
            promotion_id: bytes(part.promotion_id),
            promotion_version: promotions.iter().find(|(id, _, _)| *id == part.promotion_id).map_or(0, |found| found.1),
            discount_minor: part.discount_minor + i64::from(self.dice.chance(5)),
        };
        for (line, found) in lines.iter_mut().zip(&found) {
            line.promotions = found.parts.iter().map(shown).collect();
        }
    }
}

fn check_in(scene: &Scene<'_>) -> Option<Command> {
    let planned = if scene.dice.chance(40) {
        scene.one::<Visit>(|visit| visit.planned && visit.state() == VisitState::Planned)
    } else {
        None
    };
    let (visit, outlet_id, planned_day) = match planned {
        Some((id, _, visit)) => (id, visit.outlet_id, visit.day),
        None => (scene.dice.id(), bytes(scene.outlet()?), 0),
    };
    let point = scene.dice.chance(90).then(place);
    Some(Command::CheckIn(CheckIn { visit_id: bytes(visit), outlet_id, planned_day, point }))
}

fn check_out(scene: &Scene<'_>) -> Option<Command> {
    let visit_id = scene.memory.visit?;
    let productive = scene.dice.chance(60);
    let reason = if productive { UnproductiveReason::Unspecified } else { UnproductiveReason::Closed };
    Some(Command::CheckOut(CheckOut {
        visit_id: bytes(visit_id),
        productive,
        unproductive_reason: reason.into(),
        point: Some(place()),
        comment: String::new(),
    }))
}

fn submit_order(scene: &Scene<'_>) -> Option<Command> {
    // Now and then where there was one before, whatever has become of the outlet.
    let known = scene.dice.pick(&scene.memory.terms).filter(|_| scene.dice.chance(20));
    let (outlet_id, outlet, agreement_id) = match known {
        Some((outlet_id, agreement_id)) => (*outlet_id, Outlet::default(), agreement_id.clone()),
        None => {
            let (outlet_id, _, outlet) = scene.one::<Outlet>(|outlet| !agreements_of(outlet).is_empty())?;
            let agreement_id = scene.dice.pick(agreements_of(&outlet))?.clone();
            (outlet_id, outlet, agreement_id)
        }
    };
    let agreement = scene.one::<roundsman_proto::trade::Agreement>(|_| true);
    let (_, _, agreement) = match Uuid::from_slice(&agreement_id).ok().and_then(|id| seen_by_id(scene, id)) {
        Some(agreement) => agreement,
        None => agreement?,
    };
    let mut lines: Vec<NewOrderLine> =
        (0..scene.dice.size(1, 3)).filter_map(|_| scene.new_line(&agreement.price_list_id)).collect();
    if scene.dice.chance(60) {
        scene.promote(&mut lines, (outlet_id, &outlet), &agreement_id);
    }
    Some(Command::SubmitOrder(SubmitOrder {
        order_id: bytes(scene.dice.id()),
        outlet_id: bytes(outlet_id),
        agreement_id,
        visit_id: scene.memory.visit.filter(|_| scene.dice.chance(30)).map(bytes).unwrap_or_default(),
        order_day: 0,
        delivery_day: if scene.dice.chance(30) { scene.today() + scene.dice.size(0, 3) as i32 } else { 0 },
        currency: CURRENCY.to_owned(),
        comment: String::new(),
        lines,
        contract_id: if scene.dice.chance(15) { some_contract(scene, |_| true) } else { Vec::new() },
    }))
}

/// A contract that is seen and meets a condition, if there is one.
fn some_contract(scene: &Scene<'_>, when: impl Fn(&Contract) -> bool) -> Vec<u8> {
    scene.one::<Contract>(when).map(|(id, _, _)| bytes(id)).unwrap_or_default()
}

pub(super) fn seen_by_id<R: Record>(scene: &Scene<'_>, id: Uuid) -> Option<(Uuid, i64, R)> {
    let found = scene.eyes.records(R::KIND).into_iter().find(|(record, _, _)| *record == id)?;
    Some((found.0, found.1, R::decode(found.2).ok()?))
}

fn change_order(scene: &Scene<'_>) -> Option<Command> {
    // Of what the warehouse has, something may be wanted as well.
    let last = if scene.dice.chance(30) { OrderStatus::Released } else { OrderStatus::Confirmed };
    let any = scene.dice.chance(5);
    let (order_id, _, order) = scene.one::<Order>(|order| any || order.status() <= last)?;
    let line = scene.dice.pick(&order.lines)?;
    let edit = match scene.dice.below(4) {
        0 => Edit::Remove(OrderLineRemoval { line_id: line.line_id.clone(), base_quantity_milli: line.ordered_milli }),
        1 => {
            let agreement = Uuid::from_slice(&order.agreement_id).ok()?;
            let (_, _, agreement) = seen_by_id::<roundsman_proto::trade::Agreement>(scene, agreement)?;
            Edit::Add(scene.new_line(&agreement.price_list_id)?)
        }
        _ => Edit::Change(OrderLineChange {
            line_id: line.line_id.clone(),
            quantity_milli: Some(Int64Change { base: line.ordered_milli, value: scene.dice.between(1, 20) * 1_000 }),
            ..OrderLineChange::default()
        }),
    };
    let comment = scene
        .dice
        .chance(30)
        .then(|| StringChange { base: order.comment.clone(), value: format!("note {}", scene.dice.below(100)) });
    let lines = vec![OrderLineEdit { edit: Some(edit) }];
    Some(Command::ChangeOrder(ChangeOrder { order_id: bytes(order_id), comment, lines, ..ChangeOrder::default() }))
}

fn cancel_order(scene: &Scene<'_>) -> Option<Command> {
    let order_id = bytes(scene.order(|_| true)?);
    Some(Command::CancelOrder(CancelOrder { order_id, reason: "not wanted".to_owned() }))
}

fn collect_payment(scene: &Scene<'_>) -> Option<Command> {
    let outlet = scene.outlet()?;
    let buyer =
        seen_by_id::<Outlet>(scene, outlet).and_then(|(_, _, outlet)| Uuid::from_slice(&outlet.customer_id).ok());
    let customer = match buyer.filter(|_| scene.dice.chance(80)) {
        Some(buyer) => buyer,
        None => scene.one::<Customer>(|_| true).map(|(id, _, _)| id)?,
    };
    let order = if scene.dice.chance(40) { scene.order(|_| true) } else { None };
    let amount_minor = scene.dice.between(1, 500) * 100;
    let owes = scene.one::<Receivable>(|owes| owes.customer_id == bytes(customer));
    let shares = owes.filter(|_| scene.dice.chance(50)).map(|(_, _, owes)| shares(scene, &owes, amount_minor));
    Some(Command::CollectPayment(CollectPayment {
        payment_id: bytes(scene.dice.id()),
        outlet_id: bytes(outlet),
        customer_id: bytes(customer),
        order_id: order.map(bytes).unwrap_or_default(),
        amount_minor,
        currency: CURRENCY.to_owned(),
        method: [PaymentMethod::Cash, PaymentMethod::Cheque, PaymentMethod::Card][scene.dice.index(3)?].into(),
        receipt_number: "1".to_owned(),
        shares: shares.unwrap_or_default(),
        contract_id: if scene.dice.chance(20) {
            let any = scene.dice.chance(10);
            some_contract(scene, |contract| any || contract.customer_id == customer.as_bytes())
        } else {
            Vec::new()
        },
        trip_id: Vec::new(),
    }))
}

/// What a customer chooses to pay: of some documents, as a device shows them, a part or more than is left.
fn shares(scene: &Scene<'_>, owes: &Receivable, mut left_minor: i64) -> Vec<PaymentShare> {
    let mut shares: Vec<PaymentShare> = Vec::new();
    for item in owes.due_items.iter().filter(|_| scene.dice.chance(50)) {
        let by_order = Document::OrderId(item.order_id.clone());
        let document =
            if item.order_id.is_empty() { Document::DocumentNumber(item.document_number.clone()) } else { by_order };
        let amount_minor = (scene.dice.between(1, 200) * 100).min(left_minor);
        let named = shares.iter().any(|share| share.document.as_ref() == Some(&document));
        if amount_minor > 0 && !named {
            left_minor -= amount_minor;
            shares.push(PaymentShare { document: Some(document), amount_minor });
        }
    }
    shares
}

fn hand_in_cash(scene: &Scene<'_>) -> Option<Command> {
    let rep = bytes(scene.rep?);
    let of_method = |method: PaymentMethod| {
        let payments = scene.eyes.records(Kind::Payment);
        let payments = payments.into_iter().filter_map(|(_, _, document)| Payment::decode(document).ok());
        let own = payments.filter(|payment| payment.rep_id == rep && payment.method() == method);
        own.map(|payment| payment.amount_minor).sum::<i64>()
    };
    let methods = [PaymentMethod::Cash, PaymentMethod::Cheque].into_iter().filter(|_| scene.dice.chance(80));
    let counted = methods.map(|method| CountedCash { method: method.into(), amount_minor: of_method(method) });
    Some(Command::HandInCash(HandInCash {
        hand_in_id: bytes(scene.dice.id()),
        currency: CURRENCY.to_owned(),
        day: 0,
        counted: counted.collect(),
        ..HandInCash::default()
    }))
}

fn confirm_hand_in(scene: &Scene<'_>) -> Option<Command> {
    let (id, _, hand_in) = scene.one::<CashHandIn>(|_| true)?;
    let missing = if scene.dice.chance(20) { 100 } else { 0 };
    let counted_minor = (hand_in.expected_minor - missing).max(0);
    Some(Command::ConfirmHandIn(ConfirmHandIn { hand_in_id: bytes(id), counted_minor, note: String::new() }))
}

fn answer_survey(scene: &Scene<'_>) -> Option<Command> {
    let (survey_id, survey_version, survey) = scene.one::<Survey>(|_| true)?;
    let question = survey.questions.first()?;
    let answer = SurveyAnswer { question_id: question.question_id.clone(), value: Some(Value::Yes(true)) };
    Some(Command::AnswerSurvey(AnswerSurvey {
        response_id: bytes(scene.dice.id()),
        survey_id: bytes(survey_id),
        survey_version,
        outlet_id: bytes(scene.outlet()?),
        visit_id: Vec::new(),
        answers: vec![answer],
    }))
}

fn file_claim(scene: &Scene<'_>) -> Option<Command> {
    let arrived = |shipment: &Shipment| shipment.delivered_at_us != 0;
    let shipment = scene.one::<Shipment>(|shipment| arrived(shipment) || scene.dice.chance(10));
    let (outlet_id, order_id, shipment_id, line) = match &shipment {
        Some((id, _, shipment)) => {
            (shipment.outlet_id.clone(), shipment.order_id.clone(), bytes(*id), shipment.lines.first())
        }
        None => (bytes(scene.outlet()?), Vec::new(), Vec::new(), None),
    };
    let product = scene.dice.pick(&scene.world.products).copied().map(bytes)?;
    let claim = ClaimLine {
        line_id: bytes(scene.dice.id()),
        product_id: line.map_or(product, |line| line.product_id.clone()),
        shipment_line_id: line.map(|line| line.line_id.clone()).unwrap_or_default(),
        claimed_milli: scene.dice.between(1, 4) * 1_000,
        text: String::new(),
    };
    let chosen = scene.one::<ClaimCause>(|_| true).filter(|_| scene.dice.chance(40)).map(|(id, ..)| bytes(id));
    let cause = if chosen.is_some() { ReclamationCause::Unspecified } else { ReclamationCause::Damaged };
    Some(Command::FileClaim(FileClaim {
        reclamation_id: bytes(scene.dice.id()),
        outlet_id,
        order_id,
        shipment_id,
        cause: cause.into(),
        lines: vec![claim],
        text: String::new(),
        cause_id: chosen.unwrap_or_default(),
    }))
}

fn review_claim(scene: &Scene<'_>) -> Option<Command> {
    let (id, _, _) = scene.one::<Reclamation>(|claim| scene.dice.chance(5) || stages::is_undecided(claim))?;
    let department = if scene.dice.chance(50) { "warehouse" } else { "" };
    let (department, note) = (department.to_owned(), String::new());
    Some(Command::ReviewClaim(ReviewClaim { reclamation_id: bytes(id), department, note }))
}

fn decide_claim(scene: &Scene<'_>) -> Option<Command> {
    let (id, _, claim) = scene.one::<Reclamation>(|claim| scene.dice.chance(5) || stages::is_undecided(claim))?;
    let reclamation_id = bytes(id);
    if !claim.case_reclamation_id.is_empty() && scene.dice.chance(40) {
        return Some(Command::DecideClaim(DecideClaim { reclamation_id, as_case: true, ..DecideClaim::default() }));
    }
    let of = |line: &ReclamationLine| DecidedClaimLine {
        line_id: line.line_id.clone(),
        accepted_milli: if scene.dice.chance(50) { line.claimed_milli } else { line.claimed_milli / 2 },
    };
    let lines = claim.lines.iter().filter(|_| scene.dice.chance(80)).map(of).collect();
    let text = "we have looked at it".to_owned();
    Some(Command::DecideClaim(DecideClaim { reclamation_id, lines, text, as_case: false }))
}

fn settle_claim(scene: &Scene<'_>) -> Option<Command> {
    let open = |claim: &Reclamation| !stages::is_undecided(claim) && !stages::is_closed(claim);
    let (id, _, claim) = scene.one::<Reclamation>(|claim| scene.dice.chance(5) || open(claim))?;
    let accepted_minor = claim.decision.as_ref().map_or(0, |decision| decision.accepted_minor);
    let command = SettleClaim { reclamation_id: bytes(id), ..SettleClaim::default() };
    Some(Command::SettleClaim(match scene.dice.below(3) {
        0 => SettleClaim { kind: SettlementKind::PickUp.into(), ..command },
        1 => {
            let (order, _, _) = scene.one::<Order>(|order| order.outlet_id == claim.outlet_id)?;
            SettleClaim { kind: SettlementKind::ReplacementOrder.into(), order_id: bytes(order), ..command }
        }
        _ => {
            let amount_minor = accepted_minor + i64::from(scene.dice.chance(10));
            SettleClaim { kind: SettlementKind::CreditNote.into(), amount_minor, ..command }
        }
    }))
}

fn register_outlet(scene: &Scene<'_>) -> Option<Command> {
    let territory = match scene.one::<Outlet>(|_| true) {
        Some((_, _, outlet)) if scene.dice.chance(80) => outlet.territory_id,
        _ => bytes(scene.territory()),
    };
    let agreement = scene.world.agreements.last().copied()?;
    Some(Command::RegisterOutlet(RegisterOutlet {
        outlet_id: bytes(scene.dice.id()),
        territory_id: territory,
        name: format!("New outlet {}", scene.dice.below(1_000)),
        point: Some(place()),
        agreement_ids: if scene.dice.chance(50) { vec![bytes(agreement)] } else { Vec::new() },
        ..RegisterOutlet::default()
    }))
}

fn edit_outlet(scene: &Scene<'_>) -> Option<Command> {
    let (outlet_id, _, outlet) = scene.busy_outlet().or_else(|| scene.one::<Outlet>(|_| true))?;
    let office = scene.rep.is_none();
    let comment = StringChange { base: outlet.comment.clone(), value: format!("comment {}", scene.dice.below(100)) };
    let name = StringChange { base: outlet.name.clone(), value: format!("Name {}", scene.dice.below(100)) };
    let contact = match outlet.contacts.first() {
        Some(contact) if scene.dice.chance(40) => contact_edit::Edit::RemoveContactId(contact.contact_id.clone()),
        _ => contact_edit::Edit::Add(Contact {
            contact_id: bytes(scene.dice.id()),
            name: "Somebody".to_owned(),
            ..Contact::default()
        }),
    };
    let agreement = scene.dice.pick(&scene.world.agreements).copied().map(bytes)?;
    let customer = scene.dice.pick(&scene.world.customers).copied().map(bytes)?;
    let agreements = office && scene.dice.chance(30);
    let edit = EditOutlet {
        outlet_id: bytes(outlet_id),
        name: (office && scene.dice.chance(50)).then_some(name),
        comment: scene.dice.chance(70).then_some(comment),
        customer_id: (office && scene.dice.chance(25))
            .then(|| BytesChange { base: outlet.customer_id.clone(), value: customer }),
        contacts: if scene.dice.chance(40) { vec![ContactEdit { edit: Some(contact) }] } else { Vec::new() },
        add_agreement_ids: if agreements { vec![agreement] } else { Vec::new() },
        remove_agreement_ids: if agreements && outlet.agreement_ids.len() > 1 {
            outlet.agreement_ids.iter().take(1).cloned().collect()
        } else {
            Vec::new()
        },
        ..EditOutlet::default()
    };
    Some(Command::EditOutlet(edit))
}

fn complete_task(scene: &Scene<'_>) -> Option<Command> {
    let (task_id, _, _) = scene.one::<Task>(|_| true)?;
    Some(Command::CompleteTask(CompleteTask { task_id: bytes(task_id), result: "done".to_owned() }))
}

fn cancel_visit(scene: &Scene<'_>) -> Option<Command> {
    let any = scene.dice.chance(20);
    let (visit_id, _, _) = scene.one::<Visit>(|visit| any || visit.state() == VisitState::Planned)?;
    Some(Command::CancelVisit(CancelVisit { visit_id: bytes(visit_id), reason: "holiday".to_owned() }))
}

/// The last one needs words, which it does not always get.
const RELEASE_REASONS: [ReleaseReason; 3] =
    [ReleaseReason::Unspecified, ReleaseReason::CustomerPaid, ReleaseReason::Other];

fn release_hold(scene: &Scene<'_>) -> Option<Command> {
    let held = |order: &Order| order.status() == OrderStatus::Submitted;
    let (order_id, _, order) = scene.one::<Order>(held)?;
    let hold = scene.dice.pick(&order.holds);
    let reason = hold.map_or(HoldReason::Price, |hold| hold.reason());
    let release_reason = *scene.dice.pick(&RELEASE_REASONS)?;
    let (order_id, comment) = (bytes(order_id), String::new());
    let release = ReleaseHold { order_id, reason: reason.into(), comment, release_reason: release_reason.into() };
    Some(Command::ReleaseHold(release))
}

fn release_order(scene: &Scene<'_>) -> Option<Command> {
    let any = scene.dice.chance(10);
    let order_id = scene.order(|order| any || order.status() == OrderStatus::Confirmed)?;
    Some(Command::ReleaseOrder(ReleaseOrder { order_id: bytes(order_id), partly: scene.dice.chance(50) }))
}

fn answer_change_request(scene: &Scene<'_>) -> Option<Command> {
    let any = scene.dice.chance(10);
    let open = |request: &ChangeRequest| any || request.state() == ChangeRequestState::Open;
    let (request, _, _) = scene.one::<ChangeRequest>(open)?;
    let (accept, comment) = if scene.dice.chance(70) { (true, "") } else { (false, "it is packed") };
    let change_request_id = bytes(request);
    Some(Command::AnswerChangeRequest(AnswerChangeRequest { change_request_id, accept, comment: comment.to_owned() }))
}

fn move_outlet(scene: &Scene<'_>) -> Option<Command> {
    let territory_id = bytes(scene.territory());
    Some(Command::MoveOutlet(MoveOutlet { outlet_id: bytes(scene.outlet()?), territory_id }))
}

fn block_outlet(scene: &Scene<'_>) -> Option<Command> {
    let outlet_id = bytes(scene.outlet()?);
    let (blocked, reason) = (scene.dice.chance(50), "debts".to_owned());
    Some(Command::BlockOutlet(BlockOutlet { outlet_id, blocked, reason }))
}

fn archive_outlet(scene: &Scene<'_>) -> Option<Command> {
    let (outlet, survivor) = (scene.outlet()?, scene.outlet()?);
    let survivor_id = if scene.dice.chance(70) { bytes(survivor) } else { Vec::new() };
    Some(Command::ArchiveOutlet(ArchiveOutlet { outlet_id: bytes(outlet), survivor_id }))
}

fn set_prices(scene: &Scene<'_>) -> Option<Command> {
    let changes = (0..scene.dice.size(1, 3)).filter_map(|_| {
        let (id, _, old) = scene.one::<Price>(|_| true)?;
        let fresh = scene.dice.chance(10);
        let list = Uuid::from_slice(&old.price_list_id).ok()?;
        let product = Uuid::from_slice(&old.product_id).ok()?;
        let new = price(list, product, scene.dice.between(5, 20) * 100);
        if !fresh {
            let new = Price { valid_from_day: old.valid_from_day, ..new };
            return Some(PriceToSet { price_id: bytes(id), price: Some(new) });
        }
        // Now and then one contradicts another.
        let valid_from_day = TODAY - scene.dice.size(80, 100) as i32;
        Some(PriceToSet { price_id: bytes(scene.dice.id()), price: Some(Price { valid_from_day, ..new }) })
    });
    Some(Command::SetPrices(SetPrices { prices: changes.collect() }))
}

fn set_stock(scene: &Scene<'_>) -> Option<Command> {
    let changes = (0..scene.dice.size(1, 3)).filter_map(|_| {
        let (id, _, old) = scene.one::<Stock>(|_| true)?;
        let warehouse = Uuid::from_slice(&old.warehouse_id).ok()?;
        let product = Uuid::from_slice(&old.product_id).ok()?;
        let new = Stock { as_of_us: scene.now_us, ..stock(warehouse, product, scene.dice.between(0, 60) * 1_000) };
        Some(StockToSet { stock_id: bytes(id), stock: Some(new) })
    });
    Some(Command::SetStock(SetStock { stocks: changes.collect() }))
}

fn set_receivable(scene: &Scene<'_>) -> Option<Command> {
    let (id, _, old) = scene.one::<Receivable>(|_| true)?;
    let due_items: Vec<DueItem> = (0..scene.dice.below(5)).map(|number| due_item(scene, number)).collect();
    // Now and then the books tell more of the debt than its documents, or less.
    let detailed: i64 = due_items.iter().map(|item| item.amount_minor).sum();
    let debt_minor = if scene.dice.chance(60) { detailed } else { scene.dice.between(0, 10) * 10_000 };
    // Documents of others, and orders that are not with the warehouse yet, are refused with all that stands beside them.
    let payment = |payment: &Payment| payment.customer_id == old.customer_id && !payment.booked;
    let released = |order: &Order| matches!(order.status(), OrderStatus::Released | OrderStatus::Closed);
    let order = |order: &Order| order.customer_id == old.customer_id && released(order) && !order.booked;
    let has_come = |back: &GoodsReturn| back.state() == ReturnState::Received && !back.booked;
    let back = |back: &GoodsReturn| back.customer_id == old.customer_id && has_come(back);
    // The books may begin to tell the debt by contracts.
    let any = scene.dice.chance(3);
    let contract = |contract: &Contract| any || contract.customer_id == old.customer_id;
    let contract_id = if scene.dice.chance(30) { some_contract(scene, contract) } else { old.contract_id.clone() };
    let id = if scene.dice.chance(15) { scene.dice.id() } else { id };
    let figures = Receivable {
        debt_minor,
        overdue_minor: if scene.dice.chance(15) { 1_000 } else { 0 },
        due_items,
        as_of_us: scene.now_us,
        contract_id,
        ..old.clone()
    };
    Some(Command::SetReceivable(SetReceivable {
        receivable_id: bytes(id),
        receivable: Some(figures),
        booked_payment_ids: to_be_booked(scene, payment),
        booked_order_ids: to_be_booked(scene, order),
        booked_return_ids: to_be_booked(scene, back),
    }))
}

/// Some that are right, and now and then one that may not be.
fn to_be_booked<R: Record>(scene: &Scene<'_>, is_right: impl Fn(&R) -> bool) -> Vec<Vec<u8>> {
    let records = scene.eyes.records(R::KIND).into_iter();
    let records = records.filter_map(|(id, _, document)| Some((id, R::decode(document).ok()?)));
    let chosen = records.filter(|(_, record)| scene.dice.chance(if is_right(record) { 50 } else { 1 }));
    chosen.map(|(id, _)| bytes(id)).take(3).collect()
}

/// A document of the books. Its number stays the same from one figure to the next; some have none.
fn due_item(scene: &Scene<'_>, number: u64) -> DueItem {
    let order = if scene.dice.chance(30) { scene.order(|_| true) } else { None };
    DueItem {
        document_number: if scene.dice.chance(90) { format!("D{number}") } else { String::new() },
        order_id: order.map(bytes).unwrap_or_default(),
        due_day: if scene.dice.chance(80) { scene.today() - 3 + i32::try_from(number).unwrap_or(0) } else { 0 },
        amount_minor: scene.dice.between(-1, 30) * 1_000,
    }
}

/// A document that the ERP has changed.
/// Shares of scarce goods, now and then of goods that are shared out already.
fn import_quota(scene: &Scene<'_>) -> Option<Command> {
    let (_, _, stock) = scene.one::<Stock>(|_| true)?;
    let goods =
        |quota: &StockQuota| (&quota.warehouse_id, &quota.product_id) == (&stock.warehouse_id, &stock.product_id);
    let known = scene.one::<StockQuota>(goods).filter(|_| scene.dice.chance(90));
    // What is to be shared out mostly stays so; afterwards it is refused.
    if known.as_ref().is_some_and(|(_, _, quota)| quota.share_out_at_us != 0) && scene.dice.chance(80) {
        return None;
    }
    let entries = (0..scene.dice.size(0, 4)).filter_map(|_| {
        let holder = match scene.dice.below(3) {
            0 => Holder::OutletLabel("kiosk".to_owned()),
            1 => Holder::RepId(scene.dice.pick(&scene.world.reps).copied().map(bytes)?),
            _ => Holder::TerritoryId(bytes(scene.territory())),
        };
        let holder = Some(QuotaHolder { holder: Some(holder) });
        Some(QuotaEntry { holder, quantity_milli: scene.dice.between(1, 20) * 1_000 })
    });
    let (valid_from_day, valid_to_day, return_at_us) = if scene.dice.chance(70) {
        (0, 0, 0)
    } else {
        let hours = scene.dice.between(-2, 20);
        (scene.today() - 1, scene.today() + 1, scene.now_us + hours * 3_600_000_000)
    };
    let quota = StockQuota {
        warehouse_id: stock.warehouse_id.clone(),
        product_id: stock.product_id.clone(),
        valid_from_day,
        valid_to_day,
        return_at_us,
        entries: entries.collect(),
        share_out_at_us: 0,
    };
    let id = known.map_or_else(|| scene.dice.id(), |(id, _, _)| id);
    Some(Command::ImportRecords(ImportRecords { records: vec![entry(id, Imported::StockQuota(quota))] }))
}

/// Scarce goods are to be shared out in a while, among those who order them until then.
fn import_share_out(scene: &Scene<'_>) -> Option<Command> {
    let scarce = |stock: &Stock| (1_000..15_000).contains(&stock.free_milli);
    let (_, _, stock) = scene.one::<Stock>(scarce).or_else(|| scene.one::<Stock>(|_| true))?;
    let Stock { warehouse_id, product_id, .. } = stock;
    let goods = |quota: &StockQuota| (&quota.warehouse_id, &quota.product_id) == (&warehouse_id, &product_id);
    let id = scene.one::<StockQuota>(goods).map_or_else(|| scene.dice.id(), |(id, _, _)| id);
    let share_out_at_us = scene.now_us + scene.dice.between(1, 90) * 60_000_000;
    // Now and then before it is shared out, which is refused.
    let return_at_us = match scene.dice.below(3) {
        0 => share_out_at_us + scene.dice.between(-1, 20) * 600_000_000,
        _ => 0,
    };
    let quota = StockQuota { warehouse_id, product_id, share_out_at_us, return_at_us, ..StockQuota::default() };
    Some(Command::ImportRecords(ImportRecords { records: vec![entry(id, Imported::StockQuota(quota))] }))
}

fn import_change(scene: &Scene<'_>) -> Option<Command> {
    let name = format!("Renamed {}", scene.dice.below(100));
    let (id, record) = match scene.dice.below(9) {
        6 | 7 => {
            let index = scene.dice.index(scene.world.promotions.len())?;
            let record = scene.world.promotion(scene.dice, index);
            (scene.world.promotions[index], Imported::Promotion(record))
        }
        8 => {
            let markup_bp = i32::try_from(scene.dice.between(1, 9)).unwrap_or(1) * 100;
            (scene.world.price_lists[2], Imported::PriceList(scene.world.computed_list(markup_bp)))
        }
        0 => {
            let (id, _, record) = scene.one::<Customer>(|_| true)?;
            (id, Imported::Customer(Customer { name, ..record }))
        }
        1 => {
            let (id, _, record) = scene.one::<Product>(|_| true)?;
            (id, Imported::Product(Product { name, withdrawn: scene.dice.chance(20), ..record }))
        }
        2 => {
            let (id, _, record) = scene.one::<roundsman_proto::trade::Agreement>(|_| true)?;
            let list = scene.dice.pick(&scene.world.price_lists).copied().map(bytes)?;
            let record = roundsman_proto::trade::Agreement { name, price_list_id: list, ..record };
            (id, Imported::Agreement(record))
        }
        3 => {
            let (id, _, record) = scene.one::<roundsman_proto::trade::Territory>(|_| true)?;
            let warehouse_id = scene.dice.pick(&scene.world.warehouses).copied().map(bytes)?;
            let team_id = scene.dice.pick(&scene.world.teams).copied().map(bytes)?;
            let record = roundsman_proto::trade::Territory { name, warehouse_id, team_id, ..record };
            (id, Imported::Territory(record))
        }
        4 => {
            // The ERP does not hear of outlets that were taken out here.
            let id = scene.dice.pick(&scene.world.outlets).copied()?;
            let new = || Outlet {
                territory_id: bytes(scene.territory()),
                status: OutletStatus::Active.into(),
                point: Some(place()),
                ..Outlet::default()
            };
            let record = seen_by_id::<Outlet>(scene, id).map_or_else(new, |(_, _, outlet)| outlet);
            (id, Imported::Outlet(Outlet { name, ..record }))
        }
        _ => {
            let (id, _, record) = scene.one::<Rep>(|_| true)?;
            let team_id = scene.dice.pick(&scene.world.teams).copied().map(bytes)?;
            (id, Imported::Rep(Rep { name, team_id, ..record }))
        }
    };
    Some(Command::ImportRecords(ImportRecords { records: vec![entry(id, record)] }))
}

/// The office gives a chain other terms or none, hangs it elsewhere, or moves an outlet.
fn import_chain(scene: &Scene<'_>) -> Option<Command> {
    let (id, _, chain) = scene.one::<Chain>(|_| true)?;
    let (id, record) = match scene.dice.below(5) {
        0 => {
            let parent = scene.dice.pick(&scene.world.chains).filter(|_| scene.dice.chance(70)).copied();
            (id, Imported::Chain(Chain { parent_id: parent.map(bytes).unwrap_or_default(), ..chain }))
        }
        1 => (id, Imported::Chain(Chain { agreement_ids: Vec::new(), ..chain })),
        2 | 3 => {
            let agreement = scene.dice.pick(&scene.world.agreements).copied().map(bytes)?;
            (id, Imported::Chain(Chain { agreement_ids: vec![agreement], ..chain }))
        }
        _ => {
            let (outlet_id, _, outlet) = scene.one::<Outlet>(|_| true)?;
            let chain_id = if scene.dice.chance(80) { bytes(id) } else { Vec::new() };
            let own = if scene.dice.chance(50) { outlet.agreement_ids.clone() } else { Vec::new() };
            (outlet_id, Imported::Outlet(Outlet { chain_id, agreement_ids: own, ..outlet }))
        }
    };
    Some(Command::ImportRecords(ImportRecords { records: vec![entry(id, record)] }))
}

/// Two customers were one; now and then one that is gone already is merged on, or once more.
fn merge_customers(scene: &Scene<'_>) -> Option<Command> {
    let survivor = match scene.one::<Customer>(|_| true) {
        Some((id, _, _)) if scene.dice.chance(80) => id,
        _ => scene.dice.pick(&scene.world.customers).copied()?,
    };
    let duplicate = scene.dice.pick(&scene.world.customers).copied()?;
    Some(Command::MergeCustomers(MergeCustomers { duplicate_id: bytes(duplicate), survivor_id: bytes(survivor) }))
}

/// A contract is signed, or another one changes: its limit, its days, what it covers.
fn import_contract(scene: &Scene<'_>) -> Option<Command> {
    let known = scene.one::<Contract>(|_| true).filter(|_| scene.dice.chance(60));
    let (id, contract) = match known {
        Some((id, _, contract)) => (id, contract),
        None => {
            let (customer, _, _) = scene.one::<Customer>(|_| true)?;
            let number = format!("{}/26", scene.dice.below(1_000));
            let (customer_id, currency) = (bytes(customer), CURRENCY.to_owned());
            (scene.dice.id(), Contract { number, customer_id, currency, ..Contract::default() })
        }
    };
    let dice = scene.dice;
    let days = |least, most| scene.today() + i32::try_from(dice.between(least, most)).unwrap_or_default();
    let of_customer = |agreement: &roundsman_proto::trade::Agreement| agreement.customer_id == contract.customer_id;
    let covered = scene.one(of_customer).filter(|_| dice.chance(25)).map(|(id, _, _)| bytes(id));
    let follows = |other: &Contract| other.customer_id == contract.customer_id;
    let record = Contract {
        valid_from_day: if dice.chance(50) { days(-20, 2) } else { 0 },
        valid_to_day: if dice.chance(25) { days(-2, 9) } else { 0 },
        credit_limit_minor: dice.chance(50).then(|| dice.between(0, 20) * 10_000),
        overdue_ban: dice.chance(30),
        agreement_ids: covered.into_iter().collect(),
        successor_id: if dice.chance(20) { some_contract(scene, follows) } else { Vec::new() },
        closed: dice.chance(8),
        ..contract.clone()
    };
    Some(Command::ImportRecords(ImportRecords { records: vec![entry(id, Imported::Contract(record))] }))
}

/// The office asks something else, closes a survey, some time ago, or opens it again.
fn import_survey(scene: &Scene<'_>) -> Option<Command> {
    let (id, _, mut survey) = scene.one::<Survey>(|_| true)?;
    match scene.dice.below(4) {
        0 => {
            survey.set_state(SurveyState::Closed);
            survey.closed_at_us =
                if scene.dice.chance(50) { scene.now_us - scene.dice.between(0, 600_000_000) } else { 0 };
        }
        1 => survey.to_day = scene.today() + i32::try_from(scene.dice.between(-1, 3)).unwrap_or(0),
        _ => {
            (survey.closed_at_us, survey.to_day) = (0, 0);
            survey.set_state(SurveyState::Published);
            survey.questions.first_mut()?.question_id = bytes(scene.dice.id());
        }
    }
    Some(Command::ImportRecords(ImportRecords { records: vec![entry(id, Imported::Survey(survey))] }))
}

/// The office sets a must-sell list, or changes one; some are wrong.
fn import_must_sell_list(scene: &Scene<'_>) -> Option<Command> {
    let changed = scene.one::<MustSellList>(|_| scene.dice.chance(70)).map(|(id, _, _)| id);
    let product_id = scene.dice.pick(&scene.world.products).copied().map(bytes)?;
    let item = MustSellItem { product_id, quantity_milli: scene.dice.between(0, 20) * 1_000 };
    let list = MustSellList { name: "Shelf".to_owned(), items: vec![item], ..MustSellList::default() };
    let id = changed.unwrap_or_else(|| scene.dice.id());
    Some(Command::ImportRecords(ImportRecords { records: vec![entry(id, Imported::MustSellList(list))] }))
}

/// A cause of claims, or a group of causes, comes, hangs elsewhere, or is withdrawn.
fn import_cause(scene: &Scene<'_>) -> Option<Command> {
    let changed = scene.one::<ClaimCause>(|_| scene.dice.chance(70)).map(|(id, ..)| id);
    let parent = scene.one::<ClaimCause>(|_| scene.dice.chance(40)).map(|(id, ..)| bytes(id));
    let cause = ClaimCause {
        name: "Cause".to_owned(),
        parent_id: parent.unwrap_or_default(),
        cause: ReclamationCause::Quality.into(),
        department: if scene.dice.chance(50) { "warehouse" } else { "" }.to_owned(),
        decide_within_days: if scene.dice.chance(50) { 1 } else { 0 },
        withdrawn_from_day: if scene.dice.chance(10) { scene.today() } else { 0 },
        ..ClaimCause::default()
    };
    let id = changed.unwrap_or_else(|| scene.dice.id());
    Some(Command::ImportRecords(ImportRecords { records: vec![entry(id, Imported::ClaimCause(cause))] }))
}

/// The ERP ends a rep's first assignment, takes it up again, or adds one.
fn import_assignment(scene: &Scene<'_>) -> Option<Command> {
    let index = scene.dice.index(scene.world.reps.len())?;
    let rep = scene.world.reps[index];
    let day = scene.today();
    let assignment = |territory: Uuid, from_day, to_day| Assignment {
        rep_id: bytes(rep),
        territory_id: bytes(territory),
        from_day,
        to_day,
    };
    let (id, record) = match scene.dice.below(3) {
        0 => (first_assignment(rep), assignment(scene.world.territories[index], TODAY - 30, day - 2)),
        1 => (first_assignment(rep), assignment(scene.world.territories[index], TODAY - 30, 0)),
        _ => (scene.dice.id(), assignment(scene.territory(), day - 3, 0)),
    };
    Some(Command::ImportRecords(ImportRecords { records: vec![entry(id, Imported::Assignment(record))] }))
}

fn assign_task(scene: &Scene<'_>) -> Option<Command> {
    Some(Command::AssignTask(AssignTask {
        task_id: bytes(scene.dice.id()),
        outlet_id: if scene.dice.chance(60) { bytes(scene.outlet()?) } else { Vec::new() },
        rep_id: bytes(*scene.dice.pick(&scene.world.reps)?),
        title: "Look at the shelf".to_owned(),
        ..AssignTask::default()
    }))
}

fn assign_rep(scene: &Scene<'_>) -> Option<Command> {
    let day = scene.today();
    Some(Command::AssignRep(AssignRep {
        assignment_id: bytes(scene.dice.id()),
        rep_id: bytes(*scene.dice.pick(&scene.world.reps)?),
        territory_id: bytes(scene.territory()),
        from_day: day - scene.dice.size(0, 2) as i32,
        to_day: 0,
    }))
}

fn hand_territory_over(scene: &Scene<'_>) -> Option<Command> {
    let index = scene.dice.index(scene.world.reps.len())?;
    Some(Command::HandTerritoryOver(HandTerritoryOver {
        assignment_id: bytes(scene.dice.id()),
        territory_id: bytes(scene.world.territories[index]),
        from_rep_id: bytes(scene.world.reps[index]),
        to_rep_id: bytes(*scene.dice.pick(&scene.world.reps)?),
        from_day: scene.today(),
    }))
}

/// What is farthest on its way goes on, for the most part: or no goods would ever arrive among so much else.
fn go_on(scene: &Scene<'_>) -> Option<Command> {
    let steps = [
        receive_return,
        close_trip,
        deliver_shipment,
        depart_trip,
        load_shipment,
        ship_shipment,
        plan_trip,
        pick_shipment,
        prepare_shipment,
        release_order,
    ];
    steps.into_iter().filter(|_| scene.dice.chance(50)).find_map(|step| step(scene))
}

fn prepare_shipment(scene: &Scene<'_>) -> Option<Command> {
    let any = scene.dice.chance(10);
    let waits = |order: &Order| {
        order.status() == OrderStatus::Released && order.lines.iter().any(|line| can_be_shipped(line) > 0)
    };
    let (order_id, _, order) = scene.one::<Order>(|order| any || waits(order))?;
    let shipment_id = bytes(scene.dice.id());
    let mut command = PrepareShipment { shipment_id, order_id: bytes(order_id), ..PrepareShipment::default() };
    if scene.dice.chance(30) {
        let part = |line: &OrderLine| PreparedLine {
            order_id: Vec::new(),
            line_id: line.line_id.clone(),
            quantity_milli: (can_be_shipped(line) / 2).max(1),
        };
        command.lines = order.lines.iter().filter(|_| scene.dice.chance(60)).map(part).collect();
    }
    if scene.dice.chance(20) {
        let same = |other: &Order| {
            waits(other) && other.outlet_id == order.outlet_id && other.customer_id == order.customer_id
        };
        command.more_order_ids = scene.one::<Order>(same).into_iter().map(|(id, _, _)| bytes(id)).collect();
    }
    Some(Command::PrepareShipment(command))
}

fn pick_shipment(scene: &Scene<'_>) -> Option<Command> {
    let open = |state| matches!(state, ShipmentState::Prepared | ShipmentState::Picking | ShipmentState::Checking);
    let (id, _, shipment) = scene.one::<Shipment>(|shipment| open(shipment.state()))?;
    let short = |line: &ShipmentLine| ShippedLine {
        line_id: line.line_id.clone(),
        picked_milli: line.ordered_milli / 2,
        short_reason: ShortReason::Damaged.into(),
    };
    let lines = shipment.lines.iter().filter(|_| scene.dice.chance(20)).map(short).collect();
    let (shipment_id, finished) = (bytes(id), scene.dice.chance(70));
    Some(Command::PickShipment(PickShipment { shipment_id, lines, finished, comment: String::new() }))
}

fn check_shipment(scene: &Scene<'_>) -> Option<Command> {
    let (id, _, shipment) = scene.one::<Shipment>(|shipment| shipment.state() == ShipmentState::Checking)?;
    let mut scans = Vec::new();
    for line in &shipment.lines {
        let (_, _, product) = seen_by_id::<Product>(scene, Uuid::from_slice(&line.product_id).ok()?)?;
        let barcode = product.barcodes.first().cloned().unwrap_or_else(|| "4000000000000".to_owned());
        scans.push(Scan { barcode, count: line.picked_milli / 1_000 + i64::from(scene.dice.chance(10)) });
    }
    Some(Command::CheckShipment(CheckShipment { shipment_id: bytes(id), scans }))
}

fn start_wave(scene: &Scene<'_>) -> Option<Command> {
    let waits = |order: &Order| order.status() == OrderStatus::Released;
    let mut order_ids = Vec::new();
    for _ in 0..scene.dice.size(1, 6) {
        let (id, _, _) = scene.one::<Order>(|order| scene.dice.chance(5) || waits(order))?;
        if !order_ids.contains(&bytes(id)) {
            order_ids.push(bytes(id));
        }
    }
    let (_, _, order) = scene.one::<Order>(waits)?;
    let (wave_id, warehouse_id) = (bytes(scene.dice.id()), order.warehouse_id);
    Some(Command::StartWave(StartWave { wave_id, warehouse_id, order_ids, ..StartWave::default() }))
}

fn allocate_wave(scene: &Scene<'_>) -> Option<Command> {
    let any = scene.dice.chance(10);
    let (id, _, _) = scene.one::<Wave>(|wave| any || wave.state() == WaveState::Allocating)?;
    Some(Command::AllocateWave(AllocateWave { wave_id: bytes(id) }))
}

fn cancel_shipment(scene: &Scene<'_>) -> Option<Command> {
    let any = scene.dice.chance(10);
    let (id, _, _) = scene.one::<Shipment>(|shipment| any || shipment.state() == ShipmentState::Prepared)?;
    Some(Command::CancelShipment(CancelShipment { shipment_id: bytes(id), reason: "the van broke down".to_owned() }))
}

fn close_order(scene: &Scene<'_>) -> Option<Command> {
    let any = scene.dice.chance(10);
    let begun = |order: &Order| order.status() == OrderStatus::Released && !order.shipment_id.is_empty();
    let order_id = scene.order(|order| any || begun(order))?;
    Some(Command::CloseOrder(CloseOrder { order_id: bytes(order_id), reason: "no more of it comes".to_owned() }))
}

fn ship_shipment(scene: &Scene<'_>) -> Option<Command> {
    let inside = |state| !matches!(state, ShipmentState::Shipped | ShipmentState::Delivered | ShipmentState::Cancelled);
    let (id, _, shipment) = scene.one::<Shipment>(|shipment| inside(shipment.state()))?;
    let reason = *scene.dice.pick(&[ShortReason::NotFound, ShortReason::NoRoom])?;
    let short = |line: &ShipmentLine| ShippedLine {
        line_id: line.line_id.clone(),
        picked_milli: line.ordered_milli / 2,
        short_reason: reason.into(),
    };
    let lines = shipment.lines.iter().filter(|_| scene.dice.chance(20)).map(short).collect();
    Some(Command::ShipShipment(ShipShipment { shipment_id: bytes(id), lines, comment: String::new() }))
}

fn deliver_shipment(scene: &Scene<'_>) -> Option<Command> {
    let (id, _, shipment) = scene.one::<Shipment>(|shipment| shipment.state() == ShipmentState::Shipped)?;
    if scene.dice.chance(20) {
        let (shipment_id, not_attempted) = (bytes(id), true);
        return Some(Command::DeliverShipment(DeliverShipment {
            shipment_id,
            not_attempted,
            ..DeliverShipment::default()
        }));
    }
    let refused = |line: &ShipmentLine| DeliveredLine {
        line_id: line.line_id.clone(),
        delivered_milli: 0,
        refused_milli: line.loaded_milli,
        refusal_reason: RefusalReason::TooMuch.into(),
    };
    let lines = shipment.lines.iter().filter(|_| scene.dice.chance(20)).map(refused).collect();
    Some(Command::DeliverShipment(DeliverShipment {
        shipment_id: bytes(id),
        lines,
        reclamation_id: bytes(scene.dice.id()),
        ..DeliverShipment::default()
    }))
}

fn announce_return(scene: &Scene<'_>) -> Option<Command> {
    let arrived = |shipment: &Shipment| shipment.delivered_at_us != 0;
    let (id, _, shipment) = scene.one::<Shipment>(|shipment| scene.dice.chance(5) || arrived(shipment))?;
    let lines = shipment.lines.iter().filter(|_| scene.dice.chance(60)).map(|line| AnnouncedReturnLine {
        shipment_line_id: line.line_id.clone(),
        quantity_milli: some_of(scene, line.delivered_milli),
        reason: ReturnReason::Unsold.into(),
    });
    let reclamation = scene.one::<Reclamation>(|claim| scene.dice.chance(1) || claim.shipment_id == bytes(id));
    let reclamation = reclamation.filter(|_| scene.dice.chance(50));
    Some(Command::AnnounceReturn(AnnounceReturn {
        return_id: bytes(scene.dice.id()),
        shipment_id: bytes(id),
        lines: lines.collect(),
        reclamation_id: reclamation.map(|(id, _, _)| bytes(id)).unwrap_or_default(),
        comment: String::new(),
    }))
}

/// About as much as there is, and now and then more.
fn some_of(scene: &Scene<'_>, milli: i64) -> i64 {
    scene.dice.between(1, milli / 1_000 + 1) * 1_000
}

fn receive_return(scene: &Scene<'_>) -> Option<Command> {
    let has_left = |shipment: &Shipment| shipment.delivered_at_us != 0 || scene.dice.chance(3);
    let announced = scene.one::<GoodsReturn>(|back| scene.dice.chance(5) || back.state() == ReturnState::Announced);
    let announced = announced.filter(|_| scene.dice.chance(60));
    let (id, shipment_id) = match &announced {
        Some((id, _, back)) => (*id, Uuid::from_slice(&back.shipment_id).ok()?),
        None => (scene.dice.id(), scene.one::<Shipment>(has_left)?.0),
    };
    let not_taken = announced.is_none() && scene.dice.chance(60);
    let origin = match announced {
        Some(_) => ReturnOrigin::Unspecified,
        None if not_taken => ReturnOrigin::NotTaken,
        None => ReturnOrigin::GivenBack,
    };
    let (_, _, shipment) = scene.all::<Shipment>().into_iter().find(|(id, _, _)| *id == shipment_id)?;
    let lines = shipment.lines.iter().filter(|_| scene.dice.chance(80)).map(|line| {
        let undelivered = line.loaded_milli - line.delivered_milli;
        let came = some_of(scene, if not_taken { undelivered } else { line.delivered_milli });
        let unfit = if scene.dice.chance(40) { came / 2 } else { 0 };
        ReceivedReturnLine {
            shipment_line_id: line.line_id.clone(),
            sellable_milli: came - unfit,
            damaged_milli: unfit,
            expired_milli: 0,
            reason: ReturnReason::Quality.into(),
        }
    });
    Some(Command::ReceiveReturn(ReceiveReturn {
        return_id: bytes(id),
        shipment_id: bytes(shipment_id),
        warehouse_id: Vec::new(),
        origin: origin.into(),
        lines: lines.collect(),
        comment: String::new(),
    }))
}

fn cancel_return(scene: &Scene<'_>) -> Option<Command> {
    let (id, _, _) = scene.one::<GoodsReturn>(|back| scene.dice.chance(5) || back.state() == ReturnState::Announced)?;
    Some(Command::CancelReturn(CancelReturn { return_id: bytes(id), reason: "sold after all".to_owned() }))
}

fn release_quarantine(scene: &Scene<'_>) -> Option<Command> {
    let (_, _, stock) = scene.one::<Stock>(|stock| scene.dice.chance(2) || stock.quarantined_milli > 0)?;
    let to_stock = scene.dice.chance(50);
    let decision = if to_stock { QuarantineDecision::ToStock } else { QuarantineDecision::WrittenOff };
    Some(Command::ReleaseQuarantine(ReleaseQuarantine {
        warehouse_id: stock.warehouse_id,
        product_id: stock.product_id,
        quantity_milli: scene.dice.between(1, stock.quarantined_milli / 500 + 1) * 500,
        decision: decision.into(),
    }))
}

fn transfer_stock(scene: &Scene<'_>) -> Option<Command> {
    let (_, _, stock) = scene.one::<Stock>(|stock| scene.dice.chance(5) || stock.on_hand_milli > 0)?;
    let (to, _, _) = scene.one::<Warehouse>(|_| true)?;
    let line = TransferLine { product_id: stock.product_id, quantity_milli: some_of(scene, stock.on_hand_milli) };
    Some(Command::TransferStock(TransferStock {
        transfer_id: bytes(scene.dice.id()),
        from_warehouse_id: stock.warehouse_id,
        to_warehouse_id: bytes(to),
        lines: vec![line],
        promised: scene.dice.chance(20),
        comment: String::new(),
    }))
}

fn count_stock(scene: &Scene<'_>) -> Option<Command> {
    let own = |van: &Warehouse| scene.rep.is_none_or(|rep| van.rep_id == bytes(rep));
    let (warehouse, _, _) = scene.one::<Warehouse>(|van| scene.dice.chance(5) || own(van))?;
    let (product, _, _) = scene.one::<Product>(|_| true)?;
    let counted_milli = scene.dice.between(0, 60) * 1_000;
    let line = StockCountLine { product_id: bytes(product), counted_milli, expected_milli: None };
    let (count_id, warehouse_id) = (bytes(scene.dice.id()), bytes(warehouse));
    Some(Command::CountStock(CountStock { count_id, warehouse_id, lines: vec![line], comment: String::new() }))
}

/// Out of the own van, or now and then out of what is not.
fn sell_from_van(scene: &Scene<'_>) -> Option<Command> {
    let own = |van: &Warehouse| scene.rep.is_some_and(|rep| van.rep_id == bytes(rep));
    let (warehouse, _, _) = scene.one::<Warehouse>(|van| scene.dice.chance(5) || own(van))?;
    let Command::SubmitOrder(order) = submit_order(scene)? else { return None };
    let order = Some(SubmitOrder { delivery_day: 0, ..order });
    let (shipment_id, warehouse_id) = (bytes(scene.dice.id()), bytes(warehouse));
    Some(Command::SellFromVan(SellFromVan { order, shipment_id, warehouse_id, proof: None }))
}

/// A rep has a van, or another one has it now.
fn import_van(scene: &Scene<'_>) -> Option<Command> {
    let known = scene.one::<Warehouse>(|van| !van.rep_id.is_empty()).map(|(id, _, _)| id);
    let rep = scene.dice.pick(&scene.world.reps)?;
    let van = Warehouse { name: "Van".to_owned(), rep_id: bytes(*rep), ..Warehouse::default() };
    let records = vec![entry(known.unwrap_or_else(|| scene.dice.id()), Imported::Warehouse(van))];
    Some(Command::ImportRecords(ImportRecords { records }))
}

fn plan_visits(scene: &Scene<'_>) -> Option<Command> {
    let (territory_id, day) = (bytes(scene.territory()), scene.today() + 1);
    Some(Command::PlanVisits(PlanVisits { territory_id, day, after_visit_id: Vec::new() }))
}

fn dismiss_rep(scene: &Scene<'_>) -> Option<Command> {
    let rep_id = bytes(*scene.dice.pick(&scene.world.reps)?);
    Some(Command::DismissRep(DismissRep { rep_id, wipe: scene.dice.chance(50) }))
}

fn mark_missed_visits(scene: &Scene<'_>) -> Option<Command> {
    let (territory_id, day) = (bytes(scene.territory()), scene.today() - scene.dice.size(1, 3) as i32);
    Some(Command::MarkMissedVisits(MarkMissedVisits { territory_id, day, after_visit_id: Vec::new() }))
}

fn apply_assignments(scene: &Scene<'_>) -> Option<Command> {
    let (territory_id, day) = (bytes(scene.territory()), scene.today());
    Some(Command::ApplyAssignments(ApplyAssignments { territory_id, day }))
}

fn allocate_stock(scene: &Scene<'_>) -> Option<Command> {
    let is_due = |quota: &StockQuota| (1..=scene.now_us).contains(&quota.share_out_at_us);
    let due = scene.one::<StockQuota>(is_due).filter(|_| scene.dice.chance(70));
    let (_, _, quota) = due.or_else(|| scene.one::<StockQuota>(|_| true))?;
    let StockQuota { warehouse_id, product_id, .. } = quota;
    let command = AllocateStock { warehouse_id, product_id, at_us: scene.now_us, after_order_id: Vec::new() };
    Some(Command::AllocateStock(command))
}

fn escalate_claims(scene: &Scene<'_>) -> Option<Command> {
    let is_due = |claim: &Reclamation| (1..=scene.now_us).contains(&claim.escalates_at_us) || scene.dice.chance(5);
    let (id, ..) = scene.one::<Reclamation>(is_due)?;
    Some(Command::EscalateClaims(EscalateClaims { reclamation_ids: vec![bytes(id)] }))
}

fn turn_month(scene: &Scene<'_>) -> Option<Command> {
    let month = Month::of_day(scene.today() + 1)?.number();
    let month = month.div_euclid(12) * 100 + month.rem_euclid(12) + 1;
    Some(Command::TurnMonth(TurnMonth { territory_id: bytes(scene.territory()), month }))
}

fn advance_horizon(scene: &Scene<'_>) -> Option<Command> {
    let horizon = scene.version - scene.dice.between(1, 20);
    (horizon > 0).then_some(Command::AdvanceHorizon(AdvanceHorizon { horizon }))
}
