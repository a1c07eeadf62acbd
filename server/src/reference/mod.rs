//! Whole documents that another system or the office is the master of: what they refer to, what follows from them, where
//! they are placed.

pub mod contract;
pub mod goods;
pub mod quota;

use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{
    Agreement, Assignment, Customer, Order, OrderLine, OrderStatus, Outlet, PriceList, Product, Reason, Receivable,
    RecordToImport, Rep, RepStatus, Route, Survey, Team, Territory, Visit, VisitState, Warehouse,
};
use roundsman_sync::kind;
use roundsman_sync::scope::{Month, Scope};
use roundsman_sync::trade::assignment::{self, Assigned, Span};
use roundsman_sync::trade::check;
use roundsman_sync::trade::credit::{Credit, CreditTerms};
use roundsman_sync::trade::debt::{self, Debts};
use roundsman_sync::trade::delivery;
use roundsman_sync::trade::must_sell;
use roundsman_sync::trade::order;
use roundsman_sync::trade::placement::Stamps;
use roundsman_sync::trade::rejection::Rejection;
use roundsman_sync::trade::trip;
use roundsman_sync::trade::waiting::{Scarce, Waiting};
use roundsman_sync::trade::working_days;
use uuid::Uuid;

use crate::budgets;
use crate::calendar;
use crate::causes;
use crate::chains;
use crate::grants;
use crate::internal::{
    FormerSurveys, Granted, Reach, Reaching, RepAssignments, TerritoryCalendar, TerritoryReps, TerritoryRoutes, debtor,
    insert_id,
};
use crate::network::{self, stored_id};
use crate::quotas;
use crate::workspace::{Keys, Stop, Workspace};

/// What surrounds the writing of a reference document.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The moment of the decision, in microseconds since the Unix epoch.
    pub now_us: i64,
    /// How many months of closed documents a phone holds.
    pub months_on_phone: i32,
}

/// Asks for what [`put`] needs.
///
/// # Errors
/// [`Stop::Load`] when it can't ask for more yet.
pub fn keys(entry: &RecordToImport, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
    keys.record(&entry.record_id);
    let own = Uuid::from_slice(&entry.record_id).unwrap_or_default();
    let Some(record) = &entry.record else {
        return Ok(());
    };
    let id = |bytes: &[u8]| Uuid::from_slice(bytes).unwrap_or_default();
    match record {
        Record::Customer(_) => keys.internal::<Reach>(&Reaching::Customer(own)),
        Record::Outlet(outlet) => {
            network::outlet_keys(&entry.record_id, outlet, workspace, keys)?;
            // What it leaves changes as well.
            if let Some(before) = workspace.find::<Outlet>(own)? {
                network::outlet_keys(&entry.record_id, &before, workspace, keys)?;
            }
        }
        Record::Agreement(agreement) => agreement_keys(own, agreement, workspace, keys)?,
        Record::Price(price) => goods::price_keys(price, workspace, keys),
        Record::Stock(stock) => goods::stock_keys(stock, keys),
        Record::Rep(rep) => {
            keys.record(&rep.team_id);
            keys.internal::<RepAssignments>(&own);
        }
        Record::Territory(territory) => {
            keys.record(&territory.team_id);
            keys.record(&territory.warehouse_id);
            keys.internal::<TerritoryCalendar>(&own);
            keys.internal::<Granted>(&Scope::Territory(own));
            keys.internal::<Granted>(&Scope::Team(id(&territory.team_id)));
        }
        Record::Assignment(assignment) => assignment_keys(assignment, workspace, keys),
        Record::Route(route) => {
            keys.record(&route.territory_id);
            route_keys(&route.territory_id, keys);
            if let Some(before) = workspace.find::<Route>(own)? {
                route_keys(&before.territory_id, keys);
            }
        }
        Record::Visit(visit) => {
            document_keys(&visit.outlet_id, entry.closed_month, keys);
            let before = workspace.find::<Visit>(own)?.map(|before| before.outlet_id);
            left_outlet_keys(before, &visit.outlet_id, workspace, keys)?;
        }
        Record::Order(order) => order_keys((own, order), entry.closed_month, workspace, keys)?,
        Record::Receivable(receivable) => receivable_keys(receivable, keys),
        Record::PriceList(list) => {
            goods::list_keys(own, list, keys);
            // What it leaves changes as well.
            workspace.find::<PriceList>(own)?.iter().for_each(|before| goods::list_keys(own, before, keys));
        }
        Record::Promotion(_) => goods::promotion_keys(own, keys),
        Record::StockQuota(quota) => quota::keys(quota, keys),
        Record::Product(product) => {
            successor_keys(&product.successor_id, workspace, keys, |product: &Product| &product.successor_id);
        }
        Record::Survey(survey) => survey_keys(own, survey, workspace, keys)?,
        Record::Chain(chain) => chains::keys(own, chain, workspace, keys)?,
        Record::Contract(contract) => contract::keys(contract, workspace, keys),
        Record::Vehicle(vehicle) => keys.record(&vehicle.warehouse_id),
        Record::ClaimCause(cause) => causes::keys(cause, keys),
        Record::Warehouse(warehouse) => goods::warehouse_keys(own, warehouse, workspace, keys),
        Record::Team(_) | Record::MustSellList(_) => {}
    }
    Ok(())
}

fn agreement_keys(own: Uuid, agreement: &Agreement, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
    keys.record(&agreement.customer_id);
    keys.record(&agreement.price_list_id);
    successor_keys(&agreement.successor_id, workspace, keys, |next: &Agreement| &next.successor_id);
    keys.internal::<Reach>(&Reaching::Agreement(own));
    keys.internal::<Waiting>(&Scarce::Terms(own));
    let customer = Uuid::from_slice(&agreement.customer_id).unwrap_or_default();
    keys.internal::<Reach>(&Reaching::Customer(customer));
    for (territory, _) in workspace.internal::<Reach>(&Reaching::Agreement(own))?.reached() {
        network::growth_keys(territory, workspace, keys);
    }
    Ok(())
}

fn order_keys(
    (own, order): (Uuid, &Order),
    closed_month: i32,
    workspace: &Workspace,
    keys: &mut Keys,
) -> Result<(), Stop> {
    document_keys(&order.outlet_id, closed_month, keys);
    keys.record(&order.customer_id);
    network::note_customer_keys(&order.outlet_id, &order.customer_id, keys);
    if let Some(debtor) = debtor(order) {
        keys.internal::<Credit>(&debtor);
    }
    budgets::keys(order, keys);
    let before = workspace.find::<Order>(own)?;
    if let Some(before) = &before {
        budgets::keys(before, keys);
        quotas::keys(before, keys);
    }
    left_outlet_keys(before.map(|before| before.outlet_id), &order.outlet_id, workspace, keys)
}

/// A chain of successors is followed so far; nothing that decides goes farther than one.
const SUCCESSORS: usize = 3;

/// Asks for what [`refuse_loop`] follows.
fn successor_keys<R: kind::Record>(
    first: &[u8],
    workspace: &Workspace,
    keys: &mut Keys,
    next: impl Fn(&R) -> &Vec<u8>,
) {
    let mut successor = first.to_vec();
    for _ in 0..SUCCESSORS {
        keys.record(&successor);
        let found = Uuid::from_slice(&successor).ok().and_then(|id| workspace.find::<R>(id).ok().flatten());
        let Some(found) = found else { return };
        successor.clone_from(next(&found));
    }
}

/// Refuses what is replaced by itself, or by what is replaced by it in turn.
fn refuse_loop<R: kind::Record>(
    workspace: &Workspace,
    id: Uuid,
    first: &[u8],
    next: impl Fn(&R) -> &Vec<u8>,
) -> Result<(), Stop> {
    let mut successor = first.to_vec();
    for _ in 0..SUCCESSORS {
        let Some(successor_id) = check::optional_id(&successor, "successor_id")? else { return Ok(()) };
        if successor_id == id {
            return Err(Rejection::new(Reason::BadSuccessor).field("successor_id").about(id).into());
        }
        let Some(found) = workspace.find::<R>(successor_id)? else { return Ok(()) };
        successor.clone_from(next(&found));
    }
    Ok(())
}

fn survey_keys(own: Uuid, survey: &Survey, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
    if workspace.find::<Survey>(own)?.is_some_and(|before| before != *survey) {
        keys.internal::<FormerSurveys>(&own);
    }
    Ok(())
}

fn route_keys(territory: &[u8], keys: &mut Keys) {
    let territory = Uuid::from_slice(territory).unwrap_or_default();
    keys.internal::<TerritoryRoutes>(&territory);
    keys.internal::<TerritoryCalendar>(&territory);
}

/// Asks for what [`put_receivable`] needs.
pub fn receivable_keys(receivable: &Receivable, keys: &mut Keys) {
    let customer = Uuid::from_slice(&receivable.customer_id).unwrap_or_default();
    keys.id(customer);
    keys.internal::<Reach>(&Reaching::Customer(customer));
    keys.internal::<Credit>(&(customer, receivable.currency.clone()));
    keys.internal::<Debts>(&(customer, receivable.currency.clone()));
}

/// Asks for what [`put_assignment`] needs.
pub fn assignment_keys(assignment: &Assignment, workspace: &Workspace, keys: &mut Keys) {
    let rep = Uuid::from_slice(&assignment.rep_id).unwrap_or_default();
    let territory = Uuid::from_slice(&assignment.territory_id).unwrap_or_default();
    rep_keys(rep, workspace, keys);
    keys.id(territory);
    keys.internal::<TerritoryReps>(&territory);
    keys.internal::<Granted>(&Scope::Territory(territory));
}

/// Asks for a rep with all assignments, and for what they grant.
pub fn rep_keys(rep: Uuid, workspace: &Workspace, keys: &mut Keys) {
    keys.id(rep);
    keys.internal::<RepAssignments>(&rep);
    keys.internal::<Assigned>(&rep);
    keys.internal::<Granted>(&Scope::Rep(rep));
    if let Ok(own) = workspace.internal::<RepAssignments>(&rep) {
        for assignment in &own.assignments {
            keys.record(assignment);
        }
    }
    if let Ok(assigned) = workspace.internal::<Assigned>(&rep) {
        for territory in assigned.spans.iter().filter_map(|span| Uuid::from_slice(&span.territory).ok()) {
            keys.internal::<Granted>(&Scope::Territory(territory));
        }
    }
}

/// The assignments of a rep.
///
/// # Errors
/// [`Stop::Load`].
pub fn assignments(workspace: &Workspace, rep: Uuid) -> Result<Vec<(Uuid, Assignment)>, Stop> {
    let mut found = Vec::new();
    for id in workspace.internal::<RepAssignments>(&rep)?.assignments {
        let id = stored_id(&id)?;
        found.extend(workspace.find(id)?.map(|assignment| (id, assignment)));
    }
    Ok(found)
}

fn document_keys(outlet: &[u8], closed_month: i32, keys: &mut Keys) {
    keys.record(outlet);
    network::hang_keys(outlet, month(closed_month).unwrap_or_default(), keys);
}

/// The outlet that a document leaves has to forget it.
fn left_outlet_keys(before: Option<Vec<u8>>, after: &[u8], workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
    match before.filter(|before| before != after).and_then(|before| Uuid::from_slice(&before).ok()) {
        Some(left) => network::take_off_keys(left, workspace, keys),
        None => Ok(()),
    }
}

/// A month as messages write it: year × 100 + month.
///
/// # Errors
/// `REASON_OUT_OF_RANGE`.
pub fn month(number: i32) -> Result<Month, Rejection> {
    Month::new(number.div_euclid(100), number.rem_euclid(100).unsigned_abs())
        .ok_or_else(|| check::out_of_range("closed_month"))
}

/// The order in which records of one command are written: what is referred to comes first.
#[must_use]
pub fn rank(record: &Record) -> u32 {
    match record {
        Record::Customer(_) | Record::Team(_) => 0,
        // A van is a rep's, and a rep's territory may have a warehouse.
        Record::Warehouse(warehouse) => 2 * u32::from(!warehouse.rep_id.is_empty()),
        // A list of lowest prices may be computed from another, and has none itself.
        Record::PriceList(list) => {
            u32::from(!list.base_list_id.is_empty()) + 2 * u32::from(!list.floor_list_id.is_empty())
        }
        Record::Product(_) | Record::Survey(_) | Record::Rep(_) | Record::Territory(_) | Record::Promotion(_) => 1,
        Record::MustSellList(_) | Record::Vehicle(_) => 1,
        Record::Agreement(_) | Record::Price(_) | Record::Stock(_) => 4,
        Record::Chain(_) | Record::Contract(_) | Record::ClaimCause(_) => 5,
        Record::Assignment(_) | Record::Outlet(_) | Record::Receivable(_) | Record::StockQuota(_) => 6,
        Record::Route(_) | Record::Visit(_) | Record::Order(_) => 7,
    }
}

/// Writes one document.
///
/// # Errors
/// See [`Stop`].
pub fn put(workspace: &mut Workspace, entry: &RecordToImport, moment: Moment) -> Result<(), Stop> {
    let id = check::id(&entry.record_id, "record_id")?;
    let record = entry.record.as_ref().ok_or_else(|| check::missing("record"))?;
    match record {
        Record::Customer(customer) => {
            check::required_text(&customer.name, check::NAME_CHARS, "name")?;
            let reach: Reach = workspace.internal(&Reaching::Customer(id))?;
            workspace.put(id, customer, &network::customer_stamps(&reach))
        }
        Record::Outlet(outlet) => put_outlet(workspace, id, outlet, moment),
        Record::Agreement(agreement) => put_agreement(workspace, id, agreement),
        Record::Product(product) => {
            refuse_loop(workspace, id, &product.successor_id, |next: &Product| &next.successor_id)?;
            goods::put_product(workspace, id, product)
        }
        Record::PriceList(list) => goods::put_price_list(workspace, id, list, moment.now_us),
        Record::Promotion(promotion) => goods::put_promotion(workspace, id, promotion, moment.now_us),
        Record::Price(price) => goods::put_price(workspace, id, price, moment.now_us),
        Record::Warehouse(warehouse) => goods::put_warehouse(workspace, id, warehouse),
        Record::Stock(stock) => goods::put_stock(workspace, id, stock),
        Record::StockQuota(quota) => quota::put(workspace, id, quota, moment.now_us),
        Record::Rep(rep) => put_rep(workspace, id, rep),
        Record::Team(team) => {
            check::required_text(&team.name, check::NAME_CHARS, "name")?;
            order::limits_form(&team.approval_limits)?;
            workspace.put(id, team, &Stamps::default())
        }
        Record::Territory(territory) => {
            check::required_text(&territory.name, check::NAME_CHARS, "name")?;
            working_days::form(territory)?;
            workspace.live::<Team>(&territory.team_id)?;
            workspace.live::<Warehouse>(&territory.warehouse_id)?;
            network::put_territory(workspace, id, territory, (moment.now_us, moment.months_on_phone))
        }
        Record::Assignment(assignment) => put_assignment(workspace, id, assignment, moment.now_us),
        Record::Route(route) => put_route(workspace, id, route),
        Record::Visit(visit) => put_visit(workspace, id, visit, entry.closed_month),
        Record::Order(order) => put_order(workspace, id, order, entry.closed_month),
        Record::Receivable(receivable) => put_receivable(workspace, id, receivable),
        Record::Survey(survey) => put_survey(workspace, id, survey, moment.now_us),
        Record::Chain(chain) => chains::put(workspace, id, chain),
        Record::ClaimCause(cause) => causes::put(workspace, id, cause),
        Record::Contract(contract) => contract::put(workspace, id, contract),
        Record::Vehicle(vehicle) => {
            trip::vehicle_form(vehicle)?;
            if !vehicle.warehouse_id.is_empty() {
                workspace.live::<Warehouse>(&vehicle.warehouse_id)?;
            }
            workspace.put(id, vehicle, &Stamps::default())
        }
        Record::MustSellList(list) => {
            must_sell::form(list)?;
            workspace.put(id, list, &Stamps::default())
        }
    }
}

fn put_outlet(workspace: &mut Workspace, id: Uuid, outlet: &Outlet, moment: Moment) -> Result<(), Stop> {
    check::required_text(&outlet.name, check::NAME_CHARS, "name")?;
    check::text(&outlet.address, check::TEXT_CHARS, "address")?;
    check::text(&outlet.comment, check::TEXT_CHARS, "comment")?;
    check::point(outlet.point.as_ref(), "point")?;
    check::count(outlet.agreement_ids.len(), check::ENTRIES, "agreement_ids")?;
    check::count(outlet.contacts.len(), check::ENTRIES, "contacts")?;
    check::count(outlet.opening_hours.len(), check::ENTRIES, "opening_hours")?;
    if let Some(before) = workspace.find::<Outlet>(id)?
        && before.territory_id != outlet.territory_id
    {
        return Err(check::mismatch("territory_id").about(id).into());
    }
    network::put_outlet(workspace, id, outlet, moment.now_us)
}

fn put_agreement(workspace: &mut Workspace, id: Uuid, agreement: &Agreement) -> Result<(), Stop> {
    check::required_text(&agreement.name, check::NAME_CHARS, "name")?;
    check::basis_points(agreement.manual_discount_limit_bp, "manual_discount_limit_bp")?;
    check::money(agreement.minimum_order_minor, "minimum_order_minor")?;
    check::money(agreement.credit_limit_minor.unwrap_or(0), "credit_limit_minor")?;
    delivery::calendar_form(agreement)?;
    let (price_list, list) = workspace.live::<PriceList>(&agreement.price_list_id)?;
    if list.currency != agreement.currency {
        return Err(Rejection::new(Reason::CurrencyMismatch).field("currency").about(id).into());
    }
    refuse_loop(workspace, id, &agreement.successor_id, |next: &Agreement| &next.successor_id)?;
    if let Some(successor) = check::optional_id(&agreement.successor_id, "successor_id")?
        && let Some(successor) = workspace.find::<Agreement>(successor)?
        && (&successor.currency, &successor.customer_id) != (&agreement.currency, &agreement.customer_id)
    {
        return Err(check::mismatch("successor_id").about(id).into());
    }
    if let Some(before) = workspace.find::<Agreement>(id)? {
        if before.customer_id != agreement.customer_id {
            return Err(check::mismatch("customer_id").about(id).into());
        }
        let days = |terms: &Agreement| (terms.valid_from_day, terms.valid_to_day);
        if days(&before) != days(agreement) || CreditTerms::from(&before) != CreditTerms::from(agreement) {
            workspace.free(Scarce::Terms(id));
        }
        let old = stored_id(&before.price_list_id)?;
        let reach: Reach = workspace.internal(&Reaching::Agreement(id))?;
        for (territory, outlets) in reach.reached().filter(|_| old != price_list) {
            let buckets = network::buckets_in(workspace, territory)?;
            network::grant(workspace, Scope::Territory(territory), Scope::PriceList(old), -outlets)?;
            network::grant(workspace, Scope::Territory(territory), Scope::PriceList(price_list), outlets)?;
            network::refuse_growth(workspace, territory, buckets)?;
        }
    }
    if agreement.customer_id.is_empty() {
        return workspace.put(id, agreement, &Stamps::default());
    }
    let (customer, _) = workspace.live::<Customer>(&agreement.customer_id)?;
    let stamps = network::hang_on_customer(workspace, customer, id)?;
    workspace.put(id, agreement, &stamps)
}

/// Writes a survey. What it said before stays known for a while, since answers to that may still come.
fn put_survey(workspace: &mut Workspace, id: Uuid, survey: &Survey, now_us: i64) -> Result<(), Stop> {
    check::required_text(&survey.title, check::NAME_CHARS, "title")?;
    let before = workspace.find::<Survey>(id)?.filter(|before| before != survey);
    if let Some(before) = before.zip(workspace.version(id)?) {
        let mut state: FormerSurveys = workspace.internal(&id)?;
        state.note(now_us, before);
        workspace.put_internal(&id, &state)?;
    }
    workspace.put(id, survey, &Stamps::default())
}

fn put_rep(workspace: &mut Workspace, id: Uuid, rep: &Rep) -> Result<(), Stop> {
    check::required_text(&rep.name, check::NAME_CHARS, "name")?;
    let (team, _) = workspace.live::<Team>(&rep.team_id)?;
    workspace.put(id, rep, &Stamps::of_team(team))?;
    for assignment in workspace.internal::<RepAssignments>(&id)?.assignments {
        workspace.restamp(stored_id(&assignment)?, &Stamps::of_team(team))?;
    }
    Ok(())
}

/// Writes a route; its territories plan anew.
fn put_route(workspace: &mut Workspace, id: Uuid, route: &Route) -> Result<(), Stop> {
    check::required_text(&route.name, check::NAME_CHARS, "name")?;
    check::count(route.stops.len(), check::LINES, "stops")?;
    let (territory, _) = workspace.live::<Territory>(&route.territory_id)?;
    let before = workspace.find::<Route>(id)?;
    if before.as_ref() == Some(route) {
        return Ok(());
    }
    if let Some(before) = before
        && before.territory_id != route.territory_id
    {
        let left = stored_id(&before.territory_id)?;
        let mut routes: TerritoryRoutes = workspace.internal(&left)?;
        routes.routes.retain(|other| other != id.as_bytes());
        workspace.put_internal(&left, &routes)?;
        plan_anew(workspace, left)?;
    }
    let mut routes: TerritoryRoutes = workspace.internal(&territory)?;
    insert_id(&mut routes.routes, id);
    workspace.put_internal(&territory, &routes)?;
    plan_anew(workspace, territory)?;
    workspace.put(id, route, &Stamps::default())
}

/// Notes that the planned visits of a territory are to follow a change.
///
/// # Errors
/// [`Stop::Load`].
pub fn plan_anew(workspace: &mut Workspace, territory: Uuid) -> Result<(), Stop> {
    let mut calendar: TerritoryCalendar = workspace.internal(&territory)?;
    calendar.revision += 1;
    workspace.put_internal(&territory, &calendar)
}

/// Writes a dated assignment of a rep to a territory; whose it is and where never changes. It is refused beside another on
/// the same days, since they could not be told apart when one of them ends, and if the rep would hold too much by it.
///
/// # Errors
/// See [`Stop`]; `REASON_ASSIGNMENT_OVERLAP`, `REASON_LIMIT_EXCEEDED`; `REASON_REP_DISMISSED` when it would go on.
pub fn put_assignment(workspace: &mut Workspace, id: Uuid, assignment: &Assignment, now_us: i64) -> Result<(), Stop> {
    check::day(assignment.from_day, "from_day")?;
    check::optional_day(assignment.to_day, "to_day")?;
    if assignment.to_day != 0 && assignment.to_day < assignment.from_day {
        return Err(check::out_of_range("to_day").into());
    }
    let (rep, person) = workspace.live::<Rep>(&assignment.rep_id)?;
    let (territory, place) = workspace.live::<Territory>(&assignment.territory_id)?;
    let zone =
        calendar::zone(&place.time_zone).ok_or_else(|| Stop::Corrupt("a territory without a zone".to_owned()))?;
    let from_us = calendar::start_of_day(zone, assignment.from_day);
    let until_us = (assignment.to_day != 0).then(|| calendar::start_of_day(zone, assignment.to_day.saturating_add(1)));
    let assigned: Assigned = workspace.internal(&rep)?;
    let before: Option<Assignment> = workspace.find(id)?;
    let longer = !before.as_ref().is_some_and(|before| assignment::covers(before, assignment));
    if longer {
        refuse_overlap(workspace, (rep, id), assignment)?;
        let goes_on = until_us.is_none_or(|until_us| until_us > now_us);
        if goes_on && person.status() == RepStatus::Dismissed {
            return Err(Rejection::new(Reason::RepDismissed).about(rep).into());
        }
    }
    let assigned = match before {
        Some(before) if (&before.rep_id, &before.territory_id) != (&assignment.rep_id, &assignment.territory_id) => {
            return Err(check::mismatch("rep_id").about(id).into());
        }
        Some(_) => {
            let until_us = end_of(assigned.span(id), until_us, now_us);
            assigned.without(id).with(Span::new(territory, from_us, until_us).of(id))
        }
        None => assigned.with(Span::new(territory, from_us, until_us).of(id)),
    };
    if longer {
        grants::refuse_too_many(workspace, rep, assigned.territories(from_us.max(now_us)))?;
    }
    workspace.put_internal(&rep, &assigned)?;
    let mut own: RepAssignments = workspace.internal(&rep)?;
    insert_id(&mut own.assignments, id);
    workspace.put_internal(&rep, &own)?;
    network::note_rep(workspace, territory, rep)?;
    workspace.put(id, assignment, &Stamps::of_team(stored_id(&person.team_id)?))?;
    network::grant_assignments(workspace, rep, now_us)
}

/// Refuses an assignment beside another of the same rep to the same territory on the same days.
fn refuse_overlap(workspace: &Workspace, (rep, id): (Uuid, Uuid), wanted: &Assignment) -> Result<(), Stop> {
    for (other_id, other) in assignments(workspace, rep)? {
        if other_id != id && other.territory_id == wanted.territory_id && assignment::meet(&other, wanted) {
            let rejection = Rejection::new(Reason::AssignmentOverlap).field("from_day");
            return Err(rejection.fact(Some(other_id), "assignment_id", other_id).into());
        }
    }
    Ok(())
}

/// When an assignment ends. One that runs ends now at the earliest: a hand-over "from today on" takes nothing back of what
/// was captured this morning, and one that has ended does not end earlier.
fn end_of(stored: Option<&Span>, until_us: Option<i64>, now_us: i64) -> Option<i64> {
    let until_us = until_us?;
    let ended_us = stored.map(|stored| stored.until_us.unwrap_or(i64::MAX).min(now_us));
    Some(until_us.max(ended_us.unwrap_or(until_us)))
}

/// Writes an order of the past. It has come to its end, and nothing is set aside for it; what of it the books do not
/// contain yet counts as any other order's does.
fn put_order(workspace: &mut Workspace, id: Uuid, order: &Order, closed_month: i32) -> Result<(), Stop> {
    if !is_final(order) {
        return Err(Rejection::new(Reason::WrongState).field("status").about(id).into());
    }
    check::count(order.lines.len(), check::LINES, "lines")?;
    for (index, line) in order.lines.iter().enumerate() {
        past_line(line).map_err(check::at("lines", index))?;
    }
    check::currency(&order.currency, "currency")?;
    check::money(order.value_minor, "value_minor")?;
    let (customer, _) = workspace.live::<Customer>(&order.customer_id)?;
    let debtor = (customer, order.currency.clone());
    let before = workspace.find::<Order>(id)?;
    let mut order = order.clone();
    if let Some(before) = &before {
        if !is_final(before) {
            return Err(Rejection::new(Reason::WrongState).about(id).into());
        }
        if (&before.customer_id, &before.currency) != (&order.customer_id, &order.currency) {
            return Err(check::mismatch("customer_id").about(id).into());
        }
        // What the books contain they go on containing, whatever the other system remembers.
        order.booked |= before.booked;
    }
    let credit: Credit = workspace.internal(&debtor)?;
    contract_form(&credit, &order.contract_id)?;
    workspace.put_internal(&debtor, &credit.with_order(id, before.as_ref(), &order)?)?;
    budgets::put(workspace, before.as_ref(), &order)?;
    // What was sold elsewhere was taken of nobody's share here.
    order.lines.iter_mut().for_each(|line| line.quota = None);
    quotas::put(workspace, id, before.as_ref(), &order)?;
    let left = before.map(|before| before.outlet_id);
    put_document(workspace, (id, &order), left, (&order.outlet_id, closed_month))?;
    network::note_customer(workspace, stored_id(&order.outlet_id)?, customer)
}

fn is_final(order: &Order) -> bool {
    match order.status() {
        OrderStatus::Closed | OrderStatus::Cancelled | OrderStatus::Refused => true,
        OrderStatus::Unspecified | OrderStatus::Draft | OrderStatus::Submitted => false,
        OrderStatus::Confirmed | OrderStatus::Released => false,
    }
}

/// Writes a visit of the past, which has come to its end.
fn put_visit(workspace: &mut Workspace, id: Uuid, visit: &Visit, closed_month: i32) -> Result<(), Stop> {
    match visit.state() {
        VisitState::Completed | VisitState::Skipped | VisitState::Rescheduled | VisitState::Missed => {}
        VisitState::Cancelled => {}
        VisitState::Unspecified | VisitState::Planned | VisitState::InProgress => {
            return Err(Rejection::new(Reason::WrongState).field("state").about(id).into());
        }
    }
    let left = workspace.find::<Visit>(id)?.map(|before| before.outlet_id);
    put_document(workspace, (id, visit), left, (&visit.outlet_id, closed_month))
}

fn past_line(line: &OrderLine) -> Result<(), Rejection> {
    let quantities = [
        (line.ordered_milli, "ordered_milli"),
        (line.confirmed_milli, "confirmed_milli"),
        (line.shipped_milli, "shipped_milli"),
        (line.delivered_milli, "delivered_milli"),
        (line.refused_milli, "refused_milli"),
    ];
    for (quantity_milli, field) in quantities {
        check::range(quantity_milli, 0..=check::QUANTITY_MILLI, field)?;
    }
    check::range(line.reserved_milli, 0..=0, "reserved_milli")?;
    check::count(line.promotions.len(), check::ENTRIES, "promotions")?;
    for (index, part) in line.promotions.iter().enumerate() {
        check::id(&part.promotion_id, "promotion_id").map_err(check::at("promotions", index))?;
        check::money(part.counted_minor, "counted_minor").map_err(check::at("promotions", index))?;
    }
    check::money(line.price_minor, "price_minor")?;
    check::money(line.shown_price_minor, "shown_price_minor")?;
    check::money(line.amount_minor, "amount_minor")
}

/// Writes a document of an outlet. `left` is the outlet on which it hung until now: it may be another.
fn put_document<R: kind::Record>(
    workspace: &mut Workspace,
    (id, document): (Uuid, &R),
    left: Option<Vec<u8>>,
    (outlet, closed_month): (&[u8], i32),
) -> Result<(), Stop> {
    let month = month(closed_month)?;
    let (outlet, place) = workspace.live::<Outlet>(outlet)?;
    let territory = stored_id(&place.territory_id)?;
    if let Some(left) = left.filter(|left| left != outlet.as_bytes()) {
        network::take_off_outlet(workspace, stored_id(&left)?, id)?;
    }
    workspace.put(id, document, &Stamps::of_territory(territory).closed(Some(month)))?;
    network::hang_on_outlet(workspace, outlet, id, month)
}

/// Refuses a contract that is not one of the customer's in this currency.
fn contract_form(credit: &Credit, contract: &[u8]) -> Result<(), Rejection> {
    if contract.is_empty() || credit.contract(contract).is_some() {
        Ok(())
    } else {
        Err(check::mismatch("contract_id"))
    }
}

/// Whether figures describe an earlier moment than those that are known; of another debt they describe nothing.
#[must_use]
pub fn is_older(receivable: &Receivable, before: &Receivable) -> bool {
    (&receivable.customer_id, &receivable.currency) == (&before.customer_id, &before.currency)
        && receivable.as_of_us < before.as_of_us
}

/// Writes what a customer owes; the rule of credit knows it from then on. Figures of an earlier moment than those that are
/// known say nothing.
///
/// # Errors
/// See [`Stop`].
pub fn put_receivable(workspace: &mut Workspace, id: Uuid, receivable: &Receivable) -> Result<(), Stop> {
    check::currency(&receivable.currency, "currency")?;
    check::range(receivable.debt_minor, -check::MONEY_MINOR..=check::MONEY_MINOR, "debt_minor")?;
    check::money(receivable.overdue_minor, "overdue_minor")?;
    debt::due_items_form(&receivable.due_items)?;
    let (customer, _) = workspace.live::<Customer>(&receivable.customer_id)?;
    let before = workspace.find::<Receivable>(id)?;
    if let Some(before) = &before
        && (&before.customer_id, &before.currency) != (&receivable.customer_id, &receivable.currency)
    {
        return Err(check::mismatch("customer_id").about(id).into());
    }
    if before.as_ref().is_some_and(|before| is_older(receivable, before)) {
        return Ok(());
    }
    let key = (customer, receivable.currency.clone());
    let credit: Credit = workspace.internal(&key)?;
    contract_form(&credit, &receivable.contract_id)?;
    workspace.put_internal(&key, &credit.with_receivable(before.as_ref(), receivable)?)?;
    let debts: Debts = workspace.internal(&key)?;
    workspace.put_internal(&key, &debts.with_receivable(id))?;
    let stamps = network::hang_on_customer(workspace, customer, id)?;
    workspace.put(id, receivable, &stamps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_figures_of_the_same_debt_say_nothing() {
        let at =
            |as_of_us, currency: &str| Receivable { as_of_us, currency: currency.to_owned(), ..Receivable::default() };
        assert!(is_older(&at(1, "EUR"), &at(2, "EUR")));
        assert!(!is_older(&at(2, "EUR"), &at(2, "EUR")));
        assert!(!is_older(&at(1, "SEK"), &at(2, "EUR")), "that is a mistake to be told");
    }
}
