//! The generated world as documents of the protocol, ready to be imported. Pure.

use std::collections::BTreeMap;

use roundsman_proto::trade::promotion::Benefit;
use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{
    Agreement, Assignment, Customer, DueItem, Exchange, FreeGoods, Fulfilment, GeoPoint, Order, OrderLine, OrderStatus,
    Outlet, OutletClass, OutletStatus, Packaging, Price, PriceBreak, PriceList as PriceListRecord, Product, Promotion,
    QuestionType, Receivable, RecordToImport, Rep, RepStatus, Route, RouteStop, ShortageRule as ShortageRuleRecord,
    Stacking, Stock, Survey, SurveyOption, SurveyQuestion, SurveyState, Team, Territory, UnproductiveReason, Vehicle,
    Visit, VisitFlag, VisitState, Warehouse,
};
use roundsman_sync::scope::Month;
use roundsman_sync::trade::money::{self, Rate};
use uuid::Uuid;

use super::catalogue::{BaseUnit, CURRENCY, ONE_UNIT_MILLI, PriceList};
use super::causes;
use super::city::{Class, Position, ShortageRule, WORKING_DAYS};
use super::history::{NoOrderReason, PastOrder, PastVisit, SkipReason, VisitOutcome};
use super::trade::Trade;
use super::world::{
    DRIVERS_A_TEAM, SUPERVISORS, TEAM_NAMES, TEAMS, TERRITORIES, TIME_ZONE, TODAY, World, assignment_id, bytes, driver,
    id, price_list_id, rep_id, rep_name, survey_id, team_id, user_id, vehicle_id,
};
use crate::calendar;

/// The packaging that every article has beside its base unit.
pub const CARTON: &str = "carton";
/// A Monday with which a cycle of four weeks begins.
const CYCLE_START_DAY: i32 = 20_773;
/// A representative has worked in his territory for so many days.
const ASSIGNED_DAYS: i32 = 400;
/// Of so many customers one pays late.
const LATE_PAYERS: usize = 14;
/// A ten-millionth of a degree of latitude times 1,000, in metres: to move a point to the north.
const METRES_TO_E7_TIMES_1000: i64 = 89_932;
/// A check-in from farther away than this is flagged, as the server does by default.
const RADIUS_METRES: i64 = 200;

/// Where the warehouses are: in Pitäjänmäki and in Herttoniemi.
const DEPOTS: [Position; 2] = [
    Position { latitude_e7: 602_230_000, longitude_e7: 248_620_000 },
    Position { latitude_e7: 601_950_000, longitude_e7: 250_330_000 },
];
/// What a van carries, in grams …
const VAN_GRAMS: i64 = 1_200_000;
/// … and holds, in cubic centimetres.
const VAN_CM3: i64 = 8_000_000;

/// Records of one sort, in the order in which sorts are imported.
pub struct Sort {
    /// What they are called.
    pub name: &'static str,
    /// The records.
    pub records: Vec<RecordToImport>,
}

/// Everything that is imported.
#[must_use]
pub fn all(world: &World, trade: &Trade) -> Vec<Sort> {
    let sort = |name, records| Sort { name, records };
    vec![
        sort("people and places", organisation(world)),
        sort("articles", products(world)),
        sort("prices", prices(world)),
        sort("stock", stock(world, trade)),
        sort("quotas", trade.quotas(world)),
        sort("customers", customers(world)),
        sort("chains", trade.chains(world)),
        sort("contracts", trade.contracts(world)),
        sort("outlets", outlets(world, trade)),
        sort("routes", routes(world)),
        sort("past orders", world.past.orders.iter().enumerate().map(|(n, o)| past_order(world, n, o)).collect()),
        sort("past visits", world.past.visits.iter().enumerate().map(|(n, v)| past_visit(world, n, v)).collect()),
        sort("receivables", receivables(world)),
        sort("promotions", promotions()),
        sort("causes of claims", causes::all()),
    ]
}

/// What is off today: something for large orders, and something free, of which there is not enough for everybody.
fn promotions() -> Vec<RecordToImport> {
    let promotion = |name: &str, benefit: Benefit| Promotion {
        name: name.to_owned(),
        currency: CURRENCY.to_owned(),
        valid_from_day: TODAY - 7,
        valid_to_day: TODAY + 7,
        benefit: Some(benefit),
        stacking: Stacking::Sum.into(),
        ..Promotion::default()
    };
    let large = Promotion { min_sum_minor: LARGE_ORDER_MINOR, ..promotion("Autumn week", Benefit::PercentBp(200)) };
    let eleventh = FreeGoods { every_milli: 10 * ONE_UNIT_MILLI, free_milli: ONE_UNIT_MILLI, product_id: Vec::new() };
    let eleventh = Promotion {
        budget_minor: Some(FREE_GOODS_BUDGET_MINOR),
        ..promotion("The eleventh is free", Benefit::FreeGoods(eleventh))
    };
    let for_all = [large, eleventh].into_iter();
    let for_all = for_all.map(|promotion| entry(id("promotion", &promotion.name), Record::Promotion(promotion)));
    for_all.chain([Trade::promotion()]).collect()
}

/// From so much on an order is large.
const LARGE_ORDER_MINOR: i64 = 60_000;
/// So much may be given away.
const FREE_GOODS_BUDGET_MINOR: i64 = 250_000;

/// A record that is open.
#[must_use]
pub fn entry(id: Uuid, record: Record) -> RecordToImport {
    RecordToImport { record_id: bytes(id), record: Some(record), closed_month: 0 }
}

fn finished(id: Uuid, record: Record, day: i32) -> RecordToImport {
    let month = Month::of_day(day).map_or(0, Month::number);
    let closed_month = month.div_euclid(12) * 100 + month.rem_euclid(12) + 1;
    RecordToImport { record_id: bytes(id), record: Some(record), closed_month }
}

fn organisation(world: &World) -> Vec<RecordToImport> {
    let mut records = Vec::new();
    for (index, warehouse) in world.catalogue.warehouses.iter().enumerate() {
        let point = Some(point(DEPOTS[index], 0, 0));
        let record = Warehouse { name: warehouse.name.to_owned(), point, ..Warehouse::default() };
        records.push(entry(world.warehouse_id(index), Record::Warehouse(record)));
    }
    for list in PriceList::ALL {
        let (name, currency) = (list.name().to_owned(), CURRENCY.to_owned());
        let record = PriceListRecord { name, currency, vat_included: false, ..PriceListRecord::default() };
        records.push(entry(price_list_id(list), Record::PriceList(record)));
    }
    for (team, name) in TEAM_NAMES.iter().enumerate() {
        let supervisor_user_id = bytes(user_id(SUPERVISORS[team]));
        records.push(entry(
            team_id(team),
            Record::Team(Team { name: (*name).to_owned(), supervisor_user_id, ..Team::default() }),
        ));
    }
    for (index, territory) in world.city.territories.iter().enumerate() {
        let record = Territory {
            name: format!("{} {}", territory.code, territory.name),
            team_id: bytes(team_id(world.team_of(index))),
            time_zone: TIME_ZONE.to_owned(),
            warehouse_id: bytes(world.warehouse_id(world.team_of(index))),
            ..Territory::default()
        };
        records.push(entry(world.territory_id(index), Record::Territory(record)));
    }
    records.extend((0..TERRITORIES).flat_map(|rep| representative(world, rep)));
    let vans = (0..TEAMS).flat_map(|team| (0..DRIVERS_A_TEAM).map(move |number| (team, driver(team, number))));
    records.extend(vans.flat_map(|(team, driver)| van(world, team, driver)));
    records.extend((0..2).map(|number| entry(survey_id(number), Record::Survey(survey(number)))));
    records
}

fn person(team: usize, rep: usize) -> Rep {
    Rep {
        name: rep_name(rep).to_owned(),
        team_id: bytes(team_id(team)),
        user_id: bytes(user_id(rep_name(rep))),
        status: RepStatus::Active.into(),
    }
}

/// Somebody who drives, and the van.
fn van(world: &World, team: usize, driver: usize) -> [RecordToImport; 2] {
    let vehicle = Vehicle {
        name: format!("{}'s van", rep_name(driver)),
        plate: format!("RND-{driver}"),
        warehouse_id: bytes(world.warehouse_id(team)),
        max_weight_g: VAN_GRAMS,
        max_volume_cm3: VAN_CM3,
        out_of_use: false,
    };
    [entry(rep_id(driver), Record::Rep(person(team, driver))), entry(vehicle_id(driver), Record::Vehicle(vehicle))]
}

fn representative(world: &World, rep: usize) -> [RecordToImport; 2] {
    let person = person(world.team_of(rep), rep);
    let assignment = Assignment {
        rep_id: bytes(rep_id(rep)),
        territory_id: bytes(world.territory_id(rep)),
        from_day: TODAY - ASSIGNED_DAYS,
        to_day: 0,
    };
    [entry(rep_id(rep), Record::Rep(person)), entry(assignment_id(rep), Record::Assignment(assignment))]
}

/// Number 0 looks at the shelf, number 1 asks for an opinion.
fn survey(number: usize) -> Survey {
    let question = |key: &str, text: &str, kind: QuestionType| SurveyQuestion {
        question_id: bytes(id("question", format!("{number}/{key}"))),
        text: text.to_owned(),
        r#type: kind.into(),
        required: true,
        ..SurveyQuestion::default()
    };
    let option = |key: &str, text: &str| SurveyOption {
        option_id: bytes(id("option", format!("{number}/{key}"))),
        text: text.to_owned(),
    };
    let questions = if number == 0 {
        let mut place = question("place", "Where do our goods stand?", QuestionType::SingleChoice);
        place.options = vec![option("eye", "At eye level"), option("low", "Below"), option("none", "Nowhere")];
        let mut facings = question("facings", "How many facings do we have?", QuestionType::Number);
        (facings.min_milli, facings.max_milli) = (Some(0), Some(200_000));
        facings.condition_question_id = place.question_id.clone();
        facings.condition_option_ids = place.options.iter().take(2).map(|option| option.option_id.clone()).collect();
        vec![question("clean", "Is the shelf clean?", QuestionType::YesNo), place, facings]
    } else {
        let mut score = question("score", "How likely would you recommend us?", QuestionType::Scale);
        (score.min_milli, score.max_milli) = (Some(0), Some(10_000));
        let mut wish = question("wish", "What should we do better?", QuestionType::Text);
        wish.required = false;
        vec![score, wish]
    };
    Survey {
        title: if number == 0 { "Shelf check" } else { "Satisfaction" }.to_owned(),
        revision: 1,
        state: SurveyState::Published.into(),
        from_day: TODAY - 7,
        to_day: TODAY + 30,
        questions,
        closed_at_us: 0,
    }
}

fn products(world: &World) -> Vec<RecordToImport> {
    let groups = &world.catalogue.groups;
    let record = |(index, article): (usize, &super::catalogue::Article)| {
        let group = &groups[article.group];
        let path = group.parent.map(|parent| groups[parent].name).into_iter().chain([group.name]);
        let kilogram = article.base_unit == BaseUnit::Kilogram;
        let (base, carton) = (&article.packagings[0], &article.packagings[1]);
        let product = Product {
            name: article.name.clone(),
            code: article.code.clone(),
            group_path: path.map(str::to_owned).collect(),
            base_unit: if kilogram { "kg" } else { "pcs" }.to_owned(),
            packagings: vec![Packaging {
                code: CARTON.to_owned(),
                name: carton.name.clone(),
                coefficient_milli: carton.coefficient_milli,
                barcodes: carton.barcodes.clone(),
            }],
            barcodes: base.barcodes.clone(),
            vat_bp: article.vat_bp,
            multiple_milli: article.minimum_multiple_milli,
            weight_mg: article.weight_grams * 1_000,
            // Food in its packing is about half as dense as water.
            volume_mm3: article.weight_grams * 2_000,
            withdrawn: article.withdrawal.is_some_and(|end| end.from_day <= TODAY),
            successor_id: article.withdrawal.map_or_else(Vec::new, |end| bytes(world.product_id(end.successor))),
            supplier: String::new(),
        };
        entry(world.product_id(index), Record::Product(product))
    };
    world.catalogue.articles.iter().enumerate().map(record).collect()
}

fn prices(world: &World) -> Vec<RecordToImport> {
    price_book(world).into_iter().map(|(id, price)| entry(id, Record::Price(price))).collect()
}

/// All prices: one record for each list, article and first day; packagings become quantity breaks.
#[must_use]
pub fn price_book(world: &World) -> BTreeMap<Uuid, Price> {
    let mut records: BTreeMap<Uuid, Price> = BTreeMap::new();
    for row in &world.catalogue.prices {
        let coefficient_milli = world.catalogue.articles[row.article].packagings[row.packaging].coefficient_milli;
        let least = if row.packaging == 0 { 0 } else { coefficient_milli };
        let price = records.entry(world.price_id(row.list, row.article, row.valid_from_day)).or_insert_with(|| Price {
            price_list_id: bytes(price_list_id(row.list)),
            product_id: bytes(world.product_id(row.article)),
            breaks: Vec::new(),
            valid_from_day: row.valid_from_day,
            valid_to_day: row.valid_to_day.unwrap_or(0),
            ..Price::default()
        });
        price.breaks.push(PriceBreak {
            min_quantity_milli: row.from_quantity_milli.max(least),
            price_minor: per_unit(row.amount_minor, coefficient_milli),
        });
    }
    for price in records.values_mut() {
        price.breaks.sort_by_key(|step| step.min_quantity_milli);
    }
    records
}

/// The price of one base unit, from that of a packaging; halves are rounded up.
fn per_unit(amount_minor: i64, coefficient_milli: i64) -> i64 {
    (amount_minor * ONE_UNIT_MILLI + coefficient_milli / 2) / coefficient_milli
}

fn stock(world: &World, trade: &Trade) -> Vec<RecordToImport> {
    let record = |stock: &super::catalogue::Stock| {
        let figure = Stock {
            warehouse_id: bytes(world.warehouse_id(stock.warehouse)),
            product_id: bytes(world.product_id(stock.article)),
            on_hand_milli: trade.on_hand_milli(stock).unwrap_or(stock.on_hand_milli),
            expected_milli: stock.expected.map_or(0, |expected| expected.quantity_milli),
            expected_day: stock.expected.map_or(0, |expected| expected.day),
            ..Stock::default()
        };
        entry(world.stock_id(stock.warehouse, stock.article), Record::Stock(figure))
    };
    world.catalogue.stock.iter().map(record).collect()
}

fn customers(world: &World) -> Vec<RecordToImport> {
    let mut records = Vec::new();
    for (index, customer) in world.city.customers.iter().enumerate() {
        let record = Customer { name: customer.name.clone(), ..Customer::default() };
        records.push(entry(world.customer_id(index), Record::Customer(record)));
        records.push(entry(world.agreement_id(index), Record::Agreement(agreement(world, index))));
    }
    records
}

/// A customer's terms.
#[must_use]
pub fn agreement(world: &World, customer: usize) -> Agreement {
    let terms = &world.city.agreements[customer];
    let rule = match terms.shortage_rule {
        ShortageRule::ConfirmPart => ShortageRuleRecord::ConfirmPart,
        ShortageRule::BackOrder => ShortageRuleRecord::BackOrder,
        ShortageRule::Substitute => ShortageRuleRecord::Substitute,
        ShortageRule::ShipComplete => ShortageRuleRecord::ShipComplete,
    };
    Agreement {
        name: format!("{} {}", terms.code, world.city.customers[customer].name),
        customer_id: bytes(world.customer_id(customer)),
        price_list_id: bytes(price_list_id(terms.price_list)),
        currency: CURRENCY.to_owned(),
        payment_due_days: terms.payment_term_days,
        credit_limit_minor: Some(terms.credit_limit_minor),
        overdue_ban: true,
        manual_discount_limit_bp: terms.manual_discount_limit_bp,
        minimum_order_minor: terms.minimum_order_minor,
        shortage_rule: rule.into(),
        delivery_weekdays: terms.delivery_weekdays.into(),
        price_grace_s: Some(terms.price_grace_hours * 3_600),
        delivery_lead_days: 1,
        ..Agreement::default()
    }
}

fn outlets(world: &World, trade: &Trade) -> Vec<RecordToImport> {
    let record = |(index, outlet): (usize, &super::city::Outlet)| {
        let street = format!("{} {}", outlet.street, outlet.house_number);
        let town = format!("{} {}", outlet.postcode, outlet.city);
        let address = [street.trim(), town.trim()].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>();
        let class = match outlet.class {
            Class::A => OutletClass::A,
            Class::B => OutletClass::B,
            Class::C => OutletClass::C,
        };
        let hours = Some(&outlet.opening_hours).filter(|hours| !hours.is_empty());
        let mut document = Outlet {
            name: outlet.name.clone(),
            address: address.join(", "),
            point: Some(point(outlet.position, 0, 0)),
            outlet_class: class.into(),
            status: OutletStatus::Active.into(),
            territory_id: bytes(world.territory_id(outlet.territory)),
            customer_id: bytes(world.customer_id(outlet.customer)),
            agreement_ids: vec![bytes(world.agreement_id(outlet.customer))],
            comment: hours.map_or_else(String::new, |hours| format!("Open: {hours}")),
            ..Outlet::default()
        };
        trade.join(world, index, &mut document);
        entry(world.outlet_id(index), Record::Outlet(document))
    };
    world.city.outlets.iter().enumerate().map(record).collect()
}

/// A point so many metres north of a position.
#[must_use]
pub fn point(position: Position, metres: i64, accuracy_m: i32) -> GeoPoint {
    let north = position.latitude_e7 + metres * METRES_TO_E7_TIMES_1000 / 1_000;
    GeoPoint {
        latitude_e7: i32::try_from(north).unwrap_or(0),
        longitude_e7: i32::try_from(position.longitude_e7).unwrap_or(0),
        accuracy_m,
        mocked: false,
    }
}

fn routes(world: &World) -> Vec<RecordToImport> {
    const NAMES: [&str; WORKING_DAYS as usize] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"];
    let days = (0..TERRITORIES).flat_map(|territory| (0..WORKING_DAYS).map(move |weekday| (territory, weekday)));
    let record = |(territory, weekday): (usize, u8)| {
        let stops = world.stops(territory, weekday);
        let stops = (1..).zip(stops).map(|(sequence, stop)| RouteStop {
            outlet_id: bytes(world.outlet_id(stop.outlet)),
            weekdays: 1 << weekday,
            cycle_weeks: stop.weeks.into(),
            sequence,
            ..RouteStop::default()
        });
        let name = format!("{} {}", world.city.territories[territory].code, NAMES[usize::from(weekday)]);
        let route = Route {
            name: name.clone(),
            territory_id: bytes(world.territory_id(territory)),
            cycle_start_day: CYCLE_START_DAY,
            stops: stops.collect(),
            ..Route::default()
        };
        entry(id("route", name), Record::Route(route))
    };
    days.map(record).collect()
}

/// A past order, delivered in full; what was to be delivered today came yesterday.
fn past_order(world: &World, number: usize, past: &PastOrder) -> RecordToImport {
    let own = id("past-order", number);
    let outlet = &world.city.outlets[past.outlet];
    let lines: Vec<OrderLine> = past.lines.iter().enumerate().map(|(n, line)| past_line(world, own, n, line)).collect();
    let value_minor = lines.iter().map(|line| line.amount_minor).sum();
    let delivery_day = past.delivery_day.min(TODAY - 1);
    let order = Order {
        outlet_id: bytes(world.outlet_id(past.outlet)),
        customer_id: bytes(world.customer_id(outlet.customer)),
        agreement_id: bytes(world.agreement_id(outlet.customer)),
        rep_id: past.visit.map_or_else(Vec::new, |_| bytes(rep_id(outlet.territory))),
        visit_id: past.visit.map_or_else(Vec::new, |visit| bytes(id("past-visit", visit))),
        order_day: past.day,
        delivery_day,
        currency: CURRENCY.to_owned(),
        status: OrderStatus::Closed.into(),
        fulfilment: Fulfilment::Delivered.into(),
        exchange: Exchange::Received.into(),
        lines,
        value_minor,
        ordered_value_minor: value_minor,
        submitted_at_us: moment_us(past.day, 12 * 60),
        booked: true,
        ..Order::default()
    };
    finished(own, Record::Order(order), delivery_day)
}

fn past_line(world: &World, order: Uuid, number: usize, line: &super::history::PastLine) -> OrderLine {
    let article = &world.catalogue.articles[line.article];
    let price = &world.catalogue.prices[line.price];
    let coefficient_milli = article.packagings[line.packaging].coefficient_milli;
    let price_minor = per_unit(price.amount_minor, coefficient_milli);
    let rate = Rate {
        price_minor,
        per_milli: money::UNIT_MILLI,
        promotions_minor: 0,
        discount_bp: 0,
        vat_bp: article.vat_bp,
        vat_included: false,
    };
    let sum = money::line(line.quantity_milli, rate).unwrap_or_default();
    OrderLine {
        line_id: bytes(id("line", format!("{order}/{number}"))),
        product_id: bytes(world.product_id(line.article)),
        packaging_code: if line.packaging == 0 { String::new() } else { CARTON.to_owned() },
        coefficient_milli,
        ordered_milli: line.quantity_milli,
        confirmed_milli: line.quantity_milli,
        shipped_milli: line.quantity_milli,
        delivered_milli: line.quantity_milli,
        price_id: bytes(world.price_id(price.list, line.article, price.valid_from_day)),
        shown_price_minor: price_minor,
        price_minor,
        vat_bp: article.vat_bp,
        amount_minor: sum.amount_minor,
        vat_minor: sum.vat_minor,
        ..OrderLine::default()
    }
}

fn past_visit(world: &World, number: usize, past: &PastVisit) -> RecordToImport {
    let outlet = &world.city.outlets[past.outlet];
    let mut visit = Visit {
        outlet_id: bytes(world.outlet_id(past.outlet)),
        rep_id: bytes(rep_id(outlet.territory)),
        day: past.day,
        planned: past.planned_place.is_some(),
        sequence: past.planned_place.and_then(|place| i32::try_from(place).ok()).unwrap_or(0),
        ..Visit::default()
    };
    visit.state = match past.outcome {
        VisitOutcome::Productive { .. } => {
            visit.productive = true;
            VisitState::Completed
        }
        VisitOutcome::Unproductive(reason) => {
            visit.unproductive_reason = unproductive(reason).into();
            VisitState::Completed
        }
        VisitOutcome::Skipped(reason) => {
            visit.comment = skipped(reason).to_owned();
            VisitState::Skipped
        }
        VisitOutcome::Missed => VisitState::Missed,
    }
    .into();
    if let Some(stay) = past.stay {
        visit.checked_in_at_us = moment_us(past.day, stay.start_minute);
        visit.checked_out_at_us = moment_us(past.day, stay.start_minute + stay.minutes);
        visit.check_in_point = Some(point(outlet.position, stay.check_in_distance_metres, 10));
        visit.distance_m = i32::try_from(stay.check_in_distance_metres).ok();
        if stay.check_in_distance_metres > RADIUS_METRES {
            visit.flags.push(VisitFlag::OutOfRadius.into());
        }
    }
    finished(id("past-visit", number), Record::Visit(visit), past.day)
}

/// A moment of a day, in microseconds since the Unix epoch.
#[must_use]
pub fn moment_us(day: i32, minute: i32) -> i64 {
    let midnight = calendar::zone(TIME_ZONE).map_or(0, |zone| calendar::start_of_day(zone, day));
    midnight + i64::from(minute) * 60_000_000
}

/// Why a visit brought no order, in the words of the protocol.
#[must_use]
pub fn unproductive(reason: NoOrderReason) -> UnproductiveReason {
    match reason {
        NoOrderReason::EnoughStock => UnproductiveReason::EnoughStock,
        NoOrderReason::NobodyToDecide => UnproductiveReason::NoDecisionMaker,
        NoOrderReason::Closed => UnproductiveReason::Closed,
        NoOrderReason::NoMoney => UnproductiveReason::NoMoney,
    }
}

fn skipped(reason: SkipReason) -> &'static str {
    match reason {
        SkipReason::NoTime => "The day was too short",
        SkipReason::AskedNotToCome => "They asked not to come",
        SkipReason::NoAccess => "No access",
    }
}

fn receivables(world: &World) -> Vec<RecordToImport> {
    debts(world).into_iter().map(|(id, owes)| entry(id, Record::Receivable(owes))).collect()
}

/// What customers owe: orders that are not due yet; some pay late.
#[must_use]
pub fn debts(world: &World) -> BTreeMap<Uuid, Receivable> {
    let mut owed: BTreeMap<Uuid, Receivable> = BTreeMap::new();
    for (number, past) in world.past.orders.iter().enumerate() {
        let customer = world.city.outlets[past.outlet].customer;
        let due_day = past.delivery_day + world.city.agreements[customer].payment_term_days;
        let late_days = if customer.is_multiple_of(LATE_PAYERS) { 10 } else { 0 };
        if due_day < TODAY - late_days {
            continue;
        }
        let amount_minor = past.net_minor() + past.vat_minor();
        let receivable = owed.entry(world.receivable_id(customer)).or_insert_with(|| Receivable {
            customer_id: bytes(world.customer_id(customer)),
            currency: CURRENCY.to_owned(),
            as_of_us: moment_us(TODAY, 0),
            ..Receivable::default()
        });
        receivable.debt_minor += amount_minor;
        if due_day < TODAY {
            receivable.overdue_minor += amount_minor;
        }
        receivable.due_items.push(DueItem {
            document_number: format!("INV-{:05}", number + 1),
            order_id: bytes(id("past-order", number)),
            due_day,
            amount_minor,
        });
    }
    for receivable in owed.values_mut() {
        receivable.due_items.sort_by_key(|item| item.due_day);
    }
    owed
}

#[cfg(test)]
mod tests {
    use super::super::plan::Day;
    use super::*;

    #[test]
    fn a_world_becomes_records_with_ids_of_their_own() {
        let world = World::generate(1).expect("the list that is built in");
        let mut ids: Vec<Vec<u8>> = all(&world, &Day::plan(&world).trade)
            .into_iter()
            .flat_map(|sort| sort.records)
            .map(|r| r.record_id)
            .collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count);
        assert!(count > 15_000, "{count}");
    }

    #[test]
    fn the_price_of_a_carton_is_one_of_its_base_units() {
        assert_eq!((per_unit(1_150, 12_000), per_unit(95, 1_000)), (96, 95));
    }

    #[test]
    fn the_cycle_of_the_routes_is_the_citys() {
        assert_eq!(super::super::city::cycle_week(CYCLE_START_DAY), 0);
        assert_eq!(super::super::city::weekday(CYCLE_START_DAY), 0);
    }
}
