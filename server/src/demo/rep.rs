//! A representative's day: the acts of the plan, done with what the app shows. Prices, stock, agreements, debts, visits and
//! shipments are read from the device's replica and from nowhere else.

use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::order_line_edit::Edit;
use roundsman_proto::trade::survey_answer::Value;
use roundsman_proto::trade::{
    Agreement, AnswerSurvey, CancelOrder, ChangeOrder, CheckIn, CheckOut, ClaimLine, CollectPayment, CompleteTask,
    CountedCash, FileClaim, HandInCash, Int64Change, NewOrderLine, Order, OrderLineChange, OrderLineEdit, OutletClass,
    PaymentMethod, Price, PriceList, Product, Promotion, QuestionType, Receivable, RegisterOutlet, Shipment,
    ShipmentState, ShownPromotion, Stock, SubmitOrder, Survey, SurveyAnswer, SurveyChoice, SurveyQuestion, Task,
    TaskState, UnproductiveReason, Visit, VisitState,
};
use roundsman_sync::trade::chain::agreements_of;
use roundsman_sync::trade::delivery::{LocalTime, promised_day};
use roundsman_sync::trade::money::gross;
use roundsman_sync::trade::price::{self, List, UnitPrice, Wanted, per};
use roundsman_sync::trade::promotion::{Buyer, Line, Part, entitle};
use uuid::Uuid;

use super::app::{App, Evening, Storages};
use super::catalogue::ONE_UNIT_MILLI;
use super::causes;
use super::plan::{END_S, RepAct, Want, line_id, order_id};
use super::records::{CARTON, point, unproductive};
use super::world::{REPS, TODAY, bytes, id, survey_id};

/// A representative takes at most so much money at once, in minor units.
const MOST_CASH_MINOR: i64 = 40_000;
/// What is taken where nothing is owed.
const ADVANCE_MINOR: i64 = 2_500;
/// A new outlet lies so far from one that is known, in metres.
const NEXT_DOOR_METRES: i64 = 35;
/// What is claimed where nothing is known of the delivery, in thousandths of the base unit.
const CLAIM_MILLI: i64 = 1_000;
/// The one of the two finders beside whose first outlet the new one lies.
const FIRST_FINDER: usize = 3;

/// Who counts a euro less than was taken.
const LOSES_A_EURO: usize = 4;

/// The morning: the app is installed and gets everything.
///
/// # Errors
/// When the server refuses.
pub async fn morning<S: Storages>(app: &mut App<S>) -> anyhow::Result<()> {
    app.install().await?;
    app.go_online();
    app.sync().await
}

/// The day, act by act.
///
/// # Errors
/// When the server refuses, or a storage fails.
pub async fn work<S: Storages>(app: &mut App<S>) -> anyhow::Result<()> {
    let shared = std::sync::Arc::clone(&app.shared);
    for at in &shared.day.reps[app.rep].acts {
        app.live_until(at.s).await?;
        act(app, at.act).await?;
    }
    app.live_until(END_S).await
}

/// The evening: everything is handed over and fetched.
///
/// # Errors
/// When the server refuses.
pub async fn evening<S: Storages>(mut app: App<S>) -> anyhow::Result<Evening> {
    app.go_online();
    app.sync().await?;
    app.evening()
}

async fn act<S: Storages>(app: &mut App<S>, act: RepAct) -> anyhow::Result<()> {
    let command = match act {
        RepAct::GoOffline => {
            app.go_offline();
            None
        }
        RepAct::GoOnline => {
            app.go_online();
            None
        }
        RepAct::Reinstall => {
            app.reinstall().await?;
            None
        }
        RepAct::DieInPush => {
            app.die_in_push().await?;
            None
        }
        RepAct::CheckIn(place) => Some(check_in(app, place)?),
        RepAct::Answer(place, survey) => answer(app, place, survey)?,
        RepAct::Order(place) => order(app, place)?,
        RepAct::Pay(place) => {
            let payment = pay(app, place)?;
            let cash = payment.as_ref().filter(|payment| payment.method() == PaymentMethod::Cash);
            app.cash_minor += cash.map_or(0, |payment| payment.amount_minor);
            payment.map(Command::CollectPayment)
        }
        RepAct::HandIn => hand_in(app),
        RepAct::CheckOut(place) => Some(check_out(app, place)?),
        RepAct::Amend(place) => amend(app, place)?,
        RepAct::Cancel(place) => app.taken.get(&place).map(|order| {
            let reason = "The customer has changed his mind".to_owned();
            Command::CancelOrder(CancelOrder { order_id: order.order_id.clone(), reason })
        }),
        RepAct::Claim => claim(app)?,
        RepAct::Register(place, number) => Some(register(app, place, number)),
        RepAct::CompleteTask => complete_task(app)?,
    };
    match command {
        Some(command) => app.capture(command).await,
        None => Ok(()),
    }
}

fn outlet_id<S: Storages>(app: &App<S>, place: usize) -> Uuid {
    app.shared.world.outlet_id(app.shared.day.reps[app.rep].visits[place].outlet)
}

/// Today's visit to an outlet: the planned one, if the app shows it, else one of the representative's own.
fn visit<S: Storages>(app: &App<S>, place: usize) -> anyhow::Result<(Uuid, i32)> {
    let outlet = bytes(outlet_id(app, place));
    let planned = app.all::<Visit>()?.into_iter().find(|(_, _, visit)| {
        visit.planned && visit.day == TODAY && visit.outlet_id == outlet && visit.state() != VisitState::Completed
    });
    let own = id("visit", format!("{}/{place}", REPS[app.rep]));
    Ok(planned.map_or((own, 0), |(id, _, _)| (id, TODAY)))
}

fn check_in<S: Storages>(app: &mut App<S>, place: usize) -> anyhow::Result<Command> {
    let (visit_id, planned_day) = visit(app, place)?;
    app.visiting = Some(visit_id);
    let plan = &app.shared.day.reps[app.rep].visits[place];
    let position = app.shared.world.city.outlets[plan.outlet].position;
    Ok(Command::CheckIn(CheckIn {
        visit_id: bytes(visit_id),
        outlet_id: bytes(outlet_id(app, place)),
        planned_day,
        point: Some(point(position, plan.metres, 12)),
    }))
}

fn check_out<S: Storages>(app: &mut App<S>, place: usize) -> anyhow::Result<Command> {
    let visit_id = app.visiting.take().unwrap_or_default();
    let plan = &app.shared.day.reps[app.rep].visits[place];
    let position = app.shared.world.city.outlets[plan.outlet].position;
    let productive = app.taken.contains_key(&place);
    let reason = match (productive, plan.wants.is_empty()) {
        (true, _) => UnproductiveReason::Unspecified,
        (false, true) => unproductive(plan.no_order),
        (false, false) => UnproductiveReason::NoProduct,
    };
    Ok(Command::CheckOut(CheckOut {
        visit_id: bytes(visit_id),
        productive,
        unproductive_reason: reason.into(),
        point: Some(point(position, plan.metres, 12)),
        comment: String::new(),
    }))
}

fn answer<S: Storages>(app: &App<S>, place: usize, number: usize) -> anyhow::Result<Option<Command>> {
    let survey_id = bytes(survey_id(number));
    let Some((survey_version, survey)) = app.shown::<Survey>(&survey_id)? else { return Ok(None) };
    Ok(Some(Command::AnswerSurvey(AnswerSurvey {
        response_id: bytes(id("response", format!("{}/{place}", REPS[app.rep]))),
        survey_id,
        survey_version,
        outlet_id: bytes(outlet_id(app, place)),
        visit_id: app.visiting.map_or_else(Vec::new, bytes),
        answers: survey.questions.iter().filter_map(|question| answer_one(question, place)).collect(),
    })))
}

/// Some answer of the question's type; the same for the same visit.
fn answer_one(question: &SurveyQuestion, place: usize) -> Option<SurveyAnswer> {
    let turn = i64::try_from(place).unwrap_or(0);
    let value = match question.r#type() {
        QuestionType::YesNo => Value::Yes(!place.is_multiple_of(3)),
        QuestionType::Number => Value::NumberMilli(turn * 1_000),
        QuestionType::Scale => Value::NumberMilli(turn % 11 * 1_000),
        QuestionType::Text => Value::Text("Come earlier in the day.".to_owned()),
        QuestionType::SingleChoice => {
            let option = question.options.get(place % question.options.len().max(1))?;
            Value::Choice(SurveyChoice { option_ids: vec![option.option_id.clone()] })
        }
        QuestionType::MultipleChoice | QuestionType::Date | QuestionType::Unspecified => return None,
    };
    Some(SurveyAnswer { question_id: question.question_id.clone(), value: Some(value) })
}

fn order<S: Storages>(app: &mut App<S>, place: usize) -> anyhow::Result<Option<Command>> {
    let outlet_id = bytes(outlet_id(app, place));
    let Some((_, outlet)) = app.shown::<roundsman_proto::trade::Outlet>(&outlet_id)? else { return Ok(None) };
    let agreement_id = agreements_of(&outlet).first().cloned().unwrap_or_default();
    let Some((_, agreement)) = app.shown::<Agreement>(&agreement_id)? else { return Ok(None) };
    let order = order_id(app.rep, place);
    let Some((_, price_list)) = app.shown::<PriceList>(&agreement.price_list_id)? else { return Ok(None) };
    let price_list_id = Uuid::from_slice(&agreement.price_list_id)?;
    let shelf = Shelf { prices: app.all()?, stocks: app.all()?, price_list_id, price_list };
    let shared = std::sync::Arc::clone(&app.shared);
    let plan = &shared.day.reps[app.rep].visits[place];
    let mut lines: Vec<NewOrderLine> = Vec::new();
    for (number, want) in plan.wants.iter().enumerate() {
        let wanted = bytes(shared.world.product_id(want.article));
        if let Some(mut line) = shelf.line(app, &wanted, want)?
            && lines.iter().all(|other| other.product_id != line.product_id)
        {
            line.line_id = bytes(line_id(order, number));
            line.discount_bp = if number == 0 { plan.discount_bp } else { 0 };
            lines.push(line);
        }
    }
    if lines.is_empty() {
        return Ok(None);
    }
    let buyer = Buyer {
        outlet_id: Uuid::from_slice(&outlet_id)?,
        outlet: &outlet,
        agreement_id: &agreement_id,
        currency: &agreement.currency,
        day: TODAY,
    };
    promote(app, &mut lines, &buyer)?;
    let submit = SubmitOrder {
        order_id: bytes(order),
        outlet_id,
        agreement_id,
        visit_id: app.visiting.map_or_else(Vec::new, bytes),
        order_day: TODAY,
        delivery_day: promised_day(&agreement, TODAY, 0, LocalTime { day: TODAY, second: 0 }),
        currency: agreement.currency,
        comment: String::new(),
        lines,
        contract_id: Vec::new(),
    };
    app.taken.insert(place, submit.clone());
    Ok(Some(Command::SubmitOrder(submit)))
}

/// Shows on each line what is off by the promotions that the app knows.
fn promote<S: Storages>(app: &App<S>, lines: &mut [NewOrderLine], buyer: &Buyer<'_>) -> anyhow::Result<()> {
    let promotions: Vec<(Uuid, i64, Promotion)> = app.all()?;
    let mut groups = Vec::with_capacity(lines.len());
    for line in lines.iter() {
        groups.push(app.shown::<Product>(&line.product_id)?.map(|(_, product)| product.group_path).unwrap_or_default());
    }
    let mut rows = Vec::with_capacity(lines.len());
    for (line, group_path) in lines.iter().zip(&groups) {
        let rate = UnitPrice { price_minor: line.shown_price_minor, per_milli: per(line.price_per_milli) };
        let gross_minor = gross(line.quantity_milli, rate.price_minor, rate.per_milli)
            .map_err(|rejection| anyhow::anyhow!("a line comes to too much: {rejection:?}"))?;
        rows.push(Line {
            line_id: &line.line_id,
            product_id: &line.product_id,
            group_path,
            quantity_milli: line.quantity_milli,
            rate,
            gross_minor,
        });
    }
    let found = entitle(promotions.iter().map(|(id, _, promotion)| (*id, promotion)), &rows, buyer);
    let shown = |part: &Part| ShownPromotion {
        promotion_id: bytes(part.promotion_id),
        promotion_version: promotions.iter().find(|(id, _, _)| *id == part.promotion_id).map_or(0, |found| found.1),
        discount_minor: part.discount_minor,
    };
    for (line, found) in lines.iter_mut().zip(&found) {
        line.promotions = found.parts.iter().map(shown).collect();
    }
    Ok(())
}

/// What the app knows of goods.
struct Shelf {
    prices: Vec<(Uuid, i64, Price)>,
    stocks: Vec<(Uuid, i64, Stock)>,
    price_list_id: Uuid,
    price_list: PriceList,
}

impl Shelf {
    /// A line for what is asked for, or for its successor; `None`: there is none of it, or no price.
    fn line<S: Storages>(&self, app: &App<S>, product_id: &[u8], want: &Want) -> anyhow::Result<Option<NewOrderLine>> {
        let Some((_, mut product)) = app.shown::<Product>(product_id)? else { return Ok(None) };
        let mut product_id = product_id.to_vec();
        if product.withdrawn {
            product_id = product.successor_id.clone();
            let Some((_, successor)) = app.shown::<Product>(&product_id)? else { return Ok(None) };
            product = successor;
        }
        let there = self.stocks.iter().any(|(_, _, stock)| stock.product_id == product_id && stock.free_milli > 0);
        if !there {
            return Ok(None);
        }
        let carton = product.packagings.iter().find(|packaging| packaging.code == CARTON && want.in_cartons);
        let coefficient_milli = carton.map_or(ONE_UNIT_MILLI, |carton| carton.coefficient_milli);
        let step = if carton.is_some() { coefficient_milli } else { product.multiple_milli.max(1) };
        let quantity_milli = (want.quantity_milli + step - 1) / step * step;
        let prices = self.prices.iter().filter(|(_, _, price)| price.product_id == product_id);
        let packaging_code = carton.map_or("", |carton| &carton.code);
        let wanted = Wanted { quantity_milli, packaging_code, day: TODAY };
        let list = List::new(self.price_list_id, &self.price_list);
        let quote = price::quote(prices.clone().map(|(id, _, price)| (*id, price)), &list, &wanted);
        let Some(quote) = quote else { return Ok(None) };
        let version = prices.into_iter().find(|(id, _, _)| *id == quote.price_id).map_or(0, |(_, version, _)| *version);
        Ok(Some(NewOrderLine {
            line_id: Vec::new(),
            product_id,
            packaging_code: packaging_code.to_owned(),
            coefficient_milli,
            quantity_milli,
            price_id: bytes(quote.price_id),
            price_version: version,
            shown_price_minor: quote.rate.price_minor,
            price_per_milli: quote.rate.per_milli,
            discount_bp: 0,
            ..NewOrderLine::default()
        }))
    }
}

fn pay<S: Storages>(app: &App<S>, place: usize) -> anyhow::Result<Option<CollectPayment>> {
    let outlet_id = bytes(outlet_id(app, place));
    let Some((_, outlet)) = app.shown::<roundsman_proto::trade::Outlet>(&outlet_id)? else { return Ok(None) };
    let owes = app.all::<Receivable>()?.into_iter().find(|(_, _, owes)| owes.customer_id == outlet.customer_id);
    let (amount_minor, currency) = match owes {
        Some((_, _, owes)) if owes.debt_minor > 0 => (owes.debt_minor.min(MOST_CASH_MINOR), owes.currency),
        Some(_) | None => (ADVANCE_MINOR, "EUR".to_owned()),
    };
    let key = format!("{}/{place}", REPS[app.rep]);
    Ok(Some(CollectPayment {
        payment_id: bytes(id("payment", &key)),
        outlet_id,
        customer_id: outlet.customer_id,
        order_id: Vec::new(),
        amount_minor,
        currency,
        method: if place.is_multiple_of(2) { PaymentMethod::Cash } else { PaymentMethod::Card }.into(),
        receipt_number: key,
        shares: Vec::new(),
        contract_id: Vec::new(),
        trip_id: Vec::new(),
    }))
}

/// What was taken in cash, as it was counted: one of them has lost a euro on the way.
fn hand_in<S: Storages>(app: &App<S>) -> Option<Command> {
    let lost_minor = if app.rep == LOSES_A_EURO { 100 } else { 0 };
    let counted = CountedCash { method: PaymentMethod::Cash.into(), amount_minor: app.cash_minor - lost_minor };
    (counted.amount_minor > 0).then(|| {
        Command::HandInCash(HandInCash {
            hand_in_id: bytes(id("hand_in", REPS[app.rep])),
            currency: "EUR".to_owned(),
            day: 0,
            counted: vec![counted],
            note: String::new(),
            rep_id: Vec::new(),
        })
    })
}

/// Doubles the first line, from what the app shows: the server's order if it came, else the one that was captured.
fn amend<S: Storages>(app: &App<S>, place: usize) -> anyhow::Result<Option<Command>> {
    let Some(taken) = app.taken.get(&place) else { return Ok(None) };
    let Some(first) = taken.lines.first() else { return Ok(None) };
    let shown = app.shown::<Order>(&taken.order_id)?;
    let line = shown.and_then(|(_, order)| order.lines.into_iter().find(|line| line.line_id == first.line_id));
    let base = line.map_or(first.quantity_milli, |line| line.ordered_milli);
    let change = OrderLineChange {
        line_id: first.line_id.clone(),
        quantity_milli: Some(Int64Change { base, value: base * 2 }),
        ..OrderLineChange::default()
    };
    Ok(Some(Command::ChangeOrder(ChangeOrder {
        order_id: taken.order_id.clone(),
        lines: vec![OrderLineEdit { edit: Some(Edit::Change(change)) }],
        ..ChangeOrder::default()
    })))
}

/// About a delivery that came short or was refused, or any; without one, about the last order that the app shows.
fn claim<S: Storages>(app: &App<S>) -> anyhow::Result<Option<Command>> {
    let came = |state| matches!(state, ShipmentState::Delivered | ShipmentState::PartlyDelivered);
    let mut shipments: Vec<(Uuid, i64, Shipment)> = app.all()?;
    shipments.retain(|(_, _, shipment)| came(shipment.state()));
    shipments.sort_by_key(|(id, _, shipment)| (shipment.delivered_at_us, *id));
    let reclamation = id("claim", REPS[app.rep]);
    let claim = match shipments.last() {
        Some((shipment_id, _, shipment)) => {
            let Some(line) = shipment.lines.iter().find(|line| line.delivered_milli > 0) else { return Ok(None) };
            // Every second one claims more than came.
            let factor = if app.rep.is_multiple_of(4) { 2 } else { 1 };
            FileClaim {
                outlet_id: shipment.outlet_id.clone(),
                order_id: shipment.order_id.clone(),
                shipment_id: bytes(*shipment_id),
                lines: vec![ClaimLine {
                    line_id: bytes(id("claim-line", REPS[app.rep])),
                    product_id: line.product_id.clone(),
                    shipment_line_id: line.line_id.clone(),
                    claimed_milli: line.delivered_milli * factor,
                    text: String::new(),
                }],
                ..FileClaim::default()
            }
        }
        None => {
            let mut orders: Vec<(Uuid, i64, Order)> = app.all()?;
            orders.sort_by_key(|(id, _, order)| (order.order_day, *id));
            let Some((_, _, order)) = orders.last() else { return Ok(None) };
            let product_id = order.lines.first().map_or_else(Vec::new, |line| line.product_id.clone());
            let line_id = bytes(id("claim-line", REPS[app.rep]));
            FileClaim {
                outlet_id: order.outlet_id.clone(),
                lines: vec![ClaimLine { line_id, product_id, claimed_milli: CLAIM_MILLI, ..ClaimLine::default() }],
                ..FileClaim::default()
            }
        }
    };
    let (reclamation_id, text) = (bytes(reclamation), "Crushed on the way".to_owned());
    let cause_id = bytes(causes::cause_id(causes::CRUSHED));
    Ok(Some(Command::FileClaim(FileClaim { reclamation_id, cause_id, text, ..claim })))
}

/// A new outlet, next door to one that is known. Two who find the same one give it the same name.
fn register<S: Storages>(app: &App<S>, place: usize, number: usize) -> Command {
    let visit = &app.shared.day.reps[app.rep].visits[place];
    let known = &app.shared.world.city.outlets[visit.outlet];
    let finder = &app.shared.world.city.outlets[app.shared.day.reps[FIRST_FINDER].visits[0].outlet];
    let place = if number == 0 { finder.position } else { known.position };
    Command::RegisterOutlet(RegisterOutlet {
        outlet_id: bytes(id("new-outlet", format!("{}/{number}", REPS[app.rep]))),
        territory_id: bytes(app.shared.world.territory_id(app.rep)),
        name: format!("Kahvila Uusi {number}"),
        address: format!("{} {}", known.street, known.house_number),
        point: Some(point(place, NEXT_DOOR_METRES, 15)),
        outlet_class: OutletClass::C.into(),
        comment: "Opens next week".to_owned(),
        ..RegisterOutlet::default()
    })
}

fn complete_task<S: Storages>(app: &App<S>) -> anyhow::Result<Option<Command>> {
    let open = |state| matches!(state, TaskState::Issued | TaskState::Accepted | TaskState::Returned);
    let mut tasks: Vec<(Uuid, i64, Task)> = app.all()?;
    tasks.retain(|(_, _, task)| open(task.state()));
    tasks.sort_by_key(|(id, _, task)| (task.issued_at_us, *id));
    let own = bytes(super::world::rep_id(app.rep));
    let task = tasks.into_iter().find(|(_, _, task)| task.rep_id == own);
    Ok(task.map(|(id, _, _)| {
        let result = "Done".to_owned();
        Command::CompleteTask(CompleteTask { task_id: bytes(id), result })
    }))
}
