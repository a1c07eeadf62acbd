//! `roundsman verify` finds nothing after a busy day, and exactly what was damaged when something was.

use prost::Message;
use std::sync::Arc;

use roundsman::internal::{
    AllocationCalendar, CustomerOutlets, FormerAgreement, FormerSurvey, FormerSurveys, FormerTerms, Granted, Internal,
    ListState, OutletCustomers, OutletDocuments, OutletMonths, ProductPrices, ProductStocks, PromotionState,
    Promotions, Reach, Reaching, RepAssignments, Restamping, Restampings, TerritoryCalendar, TerritoryDay,
    TerritoryReps, TerritoryRoutes, server_id,
};
use roundsman::jobs::Jobs;
use roundsman::store::record;
use roundsman::verify::{report, verify};
use roundsman::workspace::{Change, Stored};
use roundsman_proto::sync::Status;
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::promotion::Benefit;
use roundsman_proto::trade::quota_holder::Holder;
use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{
    ArchiveOutlet, Chain, CheckIn, ClaimCause, CollectPayment, Contract, MoveOutlet, Order, OrderStatus, Outlet,
    PaymentMethod, PlanTrip, PriceList, Promotion, QuotaHolder, Reason, Receivable, ReceiveReturn, ReceivedReturnLine,
    Reclamation, ReclamationCause, ReturnOrigin, Route, RouteStop, Shipment, ShownPromotion, StockQuota, Survey,
    Territory, Vehicle,
};
use roundsman_sync::scope::{Month, Scope};
use roundsman_sync::trade::allocation::Demand;
use roundsman_sync::trade::assignment::{Assigned, Placed};
use roundsman_sync::trade::credit::{ContractCredit, Credit, HeldOrder};
use roundsman_sync::trade::debt::{Allocated, Debts};
use roundsman_sync::trade::goods_return::Returned;
use roundsman_sync::trade::hand_in::{CollectedCash, InHand};
use roundsman_sync::trade::quota::{Quotas, Share};
use roundsman_sync::trade::reclamation::Claims;
use roundsman_sync::trade::reclamation::cause::Causes;
use roundsman_sync::trade::stock::Available;
use roundsman_sync::trade::visit::RepDay;
use roundsman_sync::trade::waiting::{Scarce, Waiting};
use roundsman_tests::app::{TODAY, TestApp, TestDevice};
use roundsman_tests::database::Kind;
use roundsman_tests::world::{CURRENCY, PRICE_MINOR, World, bytes, place};
use uuid::Uuid;

use crate::conflicts;
use crate::desk::{entry, import, short_delivery, submitted};

on_both_databases!(
    after_a_busy_day_everything_is_compared_and_nothing_found,
    a_damaged_internal_record_is_found,
    damage_beside_internal_records_is_found,
    a_document_that_is_imported_for_another_outlet_moves_with_that_one,
    a_territory_that_is_written_again_keeps_the_month_that_was_opened,
    the_time_zone_of_a_territory_does_not_change,
);

/// A survey that has changed twice.
async fn with_survey(app: &TestApp) -> Uuid {
    let id = app.id();
    for title in ["Shelves", "Doors", "Shelves and doors"] {
        let survey = Survey { title: title.to_owned(), ..Survey::default() };
        import(app, vec![entry(id, Record::Survey(survey))]).await;
    }
    id
}

/// A chain with a branch that has an outlet, a quota, a cause of claims, and a contract under which something is owed.
async fn with_chain_and_quota(app: &TestApp, world: &World) {
    let [root, branch] = [app.id(), app.id()];
    let chain = |parent_id| Chain { name: "Chain".to_owned(), parent_id, ..Chain::default() };
    let of_boris = world.outlet(&world.boris, 0);
    let outlet = Outlet { agreement_ids: Vec::new(), customer_id: Vec::new(), chain_id: bytes(branch), ..of_boris };
    let quota = StockQuota {
        warehouse_id: bytes(world.warehouse),
        product_id: bytes(world.products[9]),
        ..StockQuota::default()
    };
    let records = vec![
        entry(root, Record::Chain(chain(Vec::new()))),
        entry(branch, Record::Chain(chain(bytes(root)))),
        entry(app.id(), Record::Outlet(outlet)),
        entry(app.id(), Record::StockQuota(quota)),
    ];
    import(app, records).await;
    let record =
        ClaimCause { name: "Crushed".to_owned(), cause: ReclamationCause::Damaged.into(), ..ClaimCause::default() };
    import(app, vec![entry(app.id(), Record::ClaimCause(record))]).await;
    let contract = Contract {
        number: "7/26".to_owned(),
        customer_id: bytes(world.customers[1]),
        currency: CURRENCY.to_owned(),
        ..Contract::default()
    };
    let contract_id = app.id();
    let owed = Receivable { contract_id: bytes(contract_id), ..world.receivable(1, 500) };
    import(app, vec![entry(contract_id, Record::Contract(contract)), entry(app.id(), Record::Receivable(owed))]).await;
}

/// A product that is shared out tomorrow, and an order that waits for it.
async fn with_allocation(app: &TestApp, world: &World, anna: &mut TestDevice) {
    let quota = StockQuota {
        warehouse_id: bytes(world.warehouse),
        product_id: bytes(world.products[8]),
        share_out_at_us: app.now_us() + 24 * 3_600_000_000,
        ..StockQuota::default()
    };
    import(app, vec![entry(app.id(), Record::StockQuota(quota))]).await;
    let (_, submit) = conflicts::order(app, anna, world, &world.anna, &[(8, 2, PRICE_MINOR)]);
    let outcome = app.decide(anna, Command::SubmitOrder(submit)).await;
    assert_eq!(outcome.reason(), Reason::HeldAllocation, "{outcome:?}");
}

/// A trip that Anna is to drive.
async fn with_trip(app: &TestApp, world: &World) {
    let van = app.id();
    let vehicle = Vehicle { name: "Van".to_owned(), ..Vehicle::default() };
    import(app, vec![entry(van, Record::Vehicle(vehicle))]).await;
    let plan = PlanTrip {
        trip_id: bytes(app.id()),
        vehicle_id: bytes(van),
        driver_id: bytes(world.anna.rep),
        warehouse_id: bytes(world.warehouse),
        day: TODAY,
        ..PlanTrip::default()
    };
    assert_eq!(app.server(world.tenant, Command::PlanTrip(plan)).await.status(), Status::Applied);
}

/// What was not taken of a shipment is back in the warehouse.
async fn with_return(app: &TestApp, world: &World, shipment: Uuid) {
    let shipment_line_id = app.stored::<Shipment>(world.tenant).await[&shipment].lines[0].line_id.clone();
    let line = ReceivedReturnLine { shipment_line_id, damaged_milli: 1_000, ..ReceivedReturnLine::default() };
    let receive = ReceiveReturn {
        return_id: bytes(app.id()),
        shipment_id: bytes(shipment),
        origin: ReturnOrigin::NotTaken.into(),
        lines: vec![line],
        ..ReceiveReturn::default()
    };
    let lars = app.token("lars").await;
    let outcome = app.office_as(&lars, app.id(), Command::ReceiveReturn(receive)).await.expect("is answered");
    assert_eq!(outcome.status(), Status::Applied, "{outcome:?}");
}

/// A day with something of everything.
struct Day {
    app: TestApp,
    world: World,
    route: Uuid,
    shipment: Uuid,
    promotion: Uuid,
    survey: Uuid,
}

fn october() -> Month {
    november().plus(-1)
}

fn november() -> Month {
    Month::new(2026, 11).expect("a month")
}

/// A route through Anna's outlets, every day.
async fn with_route(app: &TestApp, world: &World) -> Uuid {
    let stop = |outlet: &Uuid| RouteStop { outlet_id: bytes(*outlet), weekdays: 127, ..RouteStop::default() };
    let route = Route {
        name: "North".to_owned(),
        territory_id: bytes(world.anna.territory),
        cycle_start_day: TODAY,
        stops: world.anna.outlets.iter().map(stop).collect(),
        ..Route::default()
    };
    let id = app.id();
    import(app, vec![entry(id, Record::Route(route))]).await;
    id
}

async fn field_work(app: &TestApp, world: &World, anna: &mut TestDevice) -> Uuid {
    let outlet_id = bytes(world.anna.outlets[0]);
    let payment = CollectPayment {
        payment_id: bytes(app.id()),
        outlet_id: outlet_id.clone(),
        customer_id: bytes(world.customers[0]),
        amount_minor: 500,
        currency: CURRENCY.to_owned(),
        method: PaymentMethod::Cash.into(),
        ..CollectPayment::default()
    };
    let check_in = CheckIn { visit_id: bytes(app.id()), outlet_id, planned_day: 0, point: Some(place()) };
    for command in [Command::CheckIn(check_in), Command::CollectPayment(payment)] {
        let outcome = app.decide(anna, command).await;
        assert_eq!(outcome.status(), Status::Applied, "{outcome:?}");
    }
    submitted(app, world, (anna, &world.anna), 3, TODAY + 1).await
}

/// A list that is computed from the world's and has changed, and a promotion of which an order has taken so much that the next
/// one waits.
async fn offers(app: &TestApp, world: &World, anna: &mut TestDevice) -> Uuid {
    let (list, promotion) = (app.id(), app.id());
    for markup_bp in [500, 700] {
        let computed = PriceList {
            name: "Computed".to_owned(),
            currency: CURRENCY.to_owned(),
            base_list_id: bytes(world.price_list),
            markup_bp,
            ..PriceList::default()
        };
        import(app, vec![entry(list, Record::PriceList(computed))]).await;
    }
    let tenth = Promotion {
        name: "Spring".to_owned(),
        currency: CURRENCY.to_owned(),
        benefit: Some(Benefit::PercentBp(1_000)),
        budget_minor: Some(250),
        ..Promotion::default()
    };
    import(app, vec![entry(promotion, Record::Promotion(tenth))]).await;
    app.sync(anna).await;
    for status in [Status::Applied, Status::Held] {
        let (_, mut submit) = conflicts::order(app, anna, world, &world.anna, &[(4, 2, PRICE_MINOR)]);
        let promotion_version = conflicts::held_version(anna, promotion);
        let promotion_id = bytes(promotion);
        submit.lines[0].promotions = vec![ShownPromotion { promotion_id, promotion_version, discount_minor: 200 }];
        let outcome = app.decide(anna, Command::SubmitOrder(submit)).await;
        assert_eq!(outcome.status(), status, "{outcome:?}");
    }
    promotion
}

impl Day {
    async fn make(kind: Kind) -> Self {
        let app = TestApp::start(kind).await;
        let world = World::make(&app).await;
        let route = with_route(&app, &world).await;
        Jobs::new(Arc::clone(&app.core)).run_due(world.tenant).await.expect("runs");
        let mut anna = app.device("anna").await;
        app.sync(&mut anna).await;
        let order = field_work(&app, &world, &mut anna).await;
        let promotion = offers(&app, &world, &mut anna).await;
        with_allocation(&app, &world, &mut anna).await;
        let shipment = short_delivery(&app, &world, order).await;
        with_return(&app, &world, shipment).await;
        let moved = MoveOutlet { outlet_id: bytes(world.anna.outlets[1]), territory_id: bytes(world.boris.territory) };
        let [survivor, duplicate] = [0, 1].map(|index| bytes(world.boris.outlets[index]));
        let merged = ArchiveOutlet { outlet_id: duplicate, survivor_id: survivor };
        for command in [Command::MoveOutlet(moved), Command::ArchiveOutlet(merged)] {
            assert_eq!(app.office(command).await.status(), Status::Applied);
        }
        let survey = with_survey(&app).await;
        with_chain_and_quota(&app, &world).await;
        with_trip(&app, &world).await;
        Self { app, world, route, shipment, promotion, survey }
    }

    async fn findings(&self) -> Vec<String> {
        verify(&self.app.core.db, self.world.tenant).await.expect("verifies")
    }

    async fn stored(&self, id: Uuid) -> Option<Stored> {
        let mut tx = self.app.core.db.read().await.expect("reads");
        let found = record::find(&mut tx, self.world.tenant, &[id]).await.expect("answers");
        found.into_iter().next().map(|(_, stored)| stored)
    }

    /// Writes a record past the lane.
    async fn write(&self, id: Uuid, after: Stored) {
        let mut tx = self.app.core.db.write().await.expect("begins");
        tx.write(vec![record::rows(self.world.tenant, &[Change { id, before: None, after }])])
            .await
            .expect("is written");
        tx.commit().await.expect("commits");
    }

    async fn delete(&self, id: Uuid) {
        let mut tx = self.app.core.db.write().await.expect("begins");
        tx.query("DELETE FROM record WHERE id = $1").bind(id).execute().await.expect("is deleted");
        tx.commit().await.expect("commits");
    }

    /// Changes a record, and says what is found then, before it is as it was.
    async fn found_in(&self, id: Uuid, damaged: &impl Message) -> Vec<String> {
        let before = self.stored(id).await.expect("it is there");
        self.write(id, Stored { document: damaged.encode_to_vec().into(), ..before.clone() }).await;
        let found = self.findings().await;
        self.write(id, before).await;
        found
    }

    /// Changes an internal record, and says what is found then, before it is as it was.
    async fn found<T: Internal>(&self, key: T::Key, change: impl FnOnce(&mut T)) -> Vec<String> {
        let (id, before) = (T::id(&key), self.stored(T::id(&key)).await);
        let mut value =
            before.as_ref().map_or_else(T::default, |stored| T::decode(stored.document.clone()).expect("is read"));
        change(&mut value);
        let new = || Stored {
            kind: T::KIND,
            version: 1,
            document: Default::default(),
            stamps: T::name(&key).into_bytes().into(),
            removed_at_us: None,
            survivor: None,
        };
        let damaged = Stored { document: value.encode_to_vec().into(), ..before.clone().unwrap_or_else(new) };
        assert_ne!(
            Some(&damaged.document),
            before.as_ref().map(|stored| &stored.document),
            "{} changes",
            T::name(&key)
        );
        self.write(id, damaged).await;
        let found = self.findings().await;
        match before {
            Some(before) => self.write(id, before).await,
            None => self.delete(id).await,
        }
        found
    }
}

async fn after_a_busy_day_everything_is_compared_and_nothing_found(kind: Kind) {
    let day = Day::make(kind).await;
    let report = report(&day.app.core.db, day.world.tenant, &mut |_| {}).await.expect("verifies");
    assert_eq!(report.findings, Vec::<String>::new());
    for (what, count) in &report.compared {
        let none = ["restampings{}", "revoked{}", "tombstones"];
        assert!(*count > 0 || none.contains(what), "{what} are compared: {:?}", report.compared);
    }
    assert_eq!(report.compared.len(), 46, "{:?}", report.compared);
    day.app.finish().await;
}

/// Exactly one finding, with these words.
fn assert_one(found: &[String], words: &[&str]) {
    let [finding] = found else { panic!("{words:?}: {found:#?}") };
    for word in words {
        assert!(finding.contains(word), "{word} in {finding}");
    }
}

async fn a_damaged_internal_record_is_found(kind: Kind) {
    let day = Day::make(kind).await;
    network(&day).await;
    people(&day).await;
    clockwork(&day).await;
    goods(&day).await;
    scarce_goods(&day).await;
    sums(&day).await;
    assert_eq!(day.findings().await, Vec::<String>::new(), "everything is as it was");
    day.app.finish().await;
}

/// Grants, reach, documents.
async fn network(day: &Day) {
    let Day { world, .. } = day;
    let north = Scope::Territory(world.anna.territory);
    let list = Scope::PriceList(world.price_list);
    let found = day.found::<Granted>(north, |granted| granted.count(list, 1)).await;
    assert_one(&found, &[&Granted::name(&north), &format!("counts 2 reasons for {list}, and there are 1")]);
    let months = |granted: &mut Granted| granted.count(Scope::TerritoryMonth(world.anna.territory, october()), -1);
    assert_one(&day.found(north, months).await, &[&Granted::name(&north), "no run"]);
    let anna = Scope::Rep(world.anna.rep);
    let found = day.found::<Granted>(anna, |granted| granted.scopes.clear()).await;
    assert_one(&found, &[&Granted::name(&anna), &format!("counts 0 reasons for {north}")]);
    let foreign = Scope::Territory(Uuid::from_u128(7));
    let found = day.found::<Granted>(Scope::Team(world.team), |granted| granted.count(foreign, 1)).await;
    assert_one(&found, &[&Granted::name(&Scope::Team(world.team)), "without a reason"]);

    let customer = Reaching::Customer(world.customers[0]);
    let found = day.found::<Reach>(customer, |reach| reach.territories[0].outlets += 1).await;
    assert_one(&found, &[&Reach::name(&customer), "counts outlets"]);
    let found = day.found::<Reach>(customer, |reach| drop(reach.dependents.pop())).await;
    assert_one(&found, &[&Reach::name(&customer), "lacks"]);
    let merged = world.boris.outlets[1];
    let stranger = bytes(Uuid::from_u128(7));
    let found = day.found::<FormerTerms>(merged, |terms| terms.note(&stranger, 0)).await;
    assert_one(&found, &[&FormerTerms::name(&merged), "an agreement that is not there"]);
    let listed = FormerAgreement { agreement_id: bytes(world.agreements[0]), until_us: i64::MAX };
    let there = world.boris.outlets[0];
    let found = day.found::<FormerTerms>(there, |terms| terms.agreements.push(listed.clone())).await;
    assert_one(&found, &[&FormerTerms::name(&there), "after the last commit"]);
    let found = day.found::<FormerTerms>(world.customers[0], |terms| terms.note(&listed.agreement_id, 0)).await;
    assert_one(&found, &[&FormerTerms::name(&world.customers[0]), "of no outlet"]);

    let agreement = Reaching::Agreement(world.agreements[0]);
    let found = day.found::<Reach>(agreement, |reach| reach.territories.clear()).await;
    assert_one(&found, &[&Reach::name(&agreement), "counts outlets"]);

    let outlet = world.anna.outlets[0];
    let found = day.found::<OutletDocuments>((outlet, november()), |documents| drop(documents.records.pop())).await;
    assert_one(&found, &[&format!("documents{{outlet:{outlet}}}"), "lacks"]);
    let found = day.found::<OutletCustomers>(outlet, |known| known.customers.clear()).await;
    assert_one(&found, &[&OutletCustomers::name(&outlet), &format!("lacks {}", world.customers[0])]);
    let bought = CustomerOutlets::key(world.customers[0], outlet);
    let found = day.found::<CustomerOutlets>(bought, |known| known.outlets.retain(|id| id != outlet.as_bytes())).await;
    assert_one(&found, &[&CustomerOutlets::name(&bought), &format!("lacks {outlet}")]);
    let found = day.found::<OutletMonths>(outlet, |months| months.months.clear()).await;
    assert_one(&found, &[&OutletMonths::name(&outlet), "documents are listed under"]);
    let restamping = Restamping { source_id: bytes(Uuid::from_u128(7)), ..Restamping::default() };
    let found = day.found::<Restampings>((), |notes| notes.entries.push(restamping)).await;
    assert_one(&found, &["restampings{}", "nothing of its kind"]);
}

/// Assignments, and where outlets were.
async fn people(day: &Day) {
    let Day { world, .. } = day;
    let (rep, north) = (world.anna.rep, world.anna.territory);
    let found = day.found::<TerritoryReps>(north, |reps| reps.reps.clear()).await;
    assert_one(&found, &[&TerritoryReps::name(&north), &format!("lacks {rep}")]);
    let nobody = bytes(Uuid::from_u128(7));
    let found = day.found::<TerritoryReps>(north, |reps| reps.reps.insert(0, nobody.clone())).await;
    assert_one(&found, &[&TerritoryReps::name(&north), "does not belong there"]);
    let found = day.found::<Assigned>(rep, |assigned| assigned.spans.push(assigned.spans[0].clone())).await;
    assert_eq!(found, Vec::<String>::new(), "the same twice says the same");
    let found = day.found::<Assigned>(rep, |assigned| assigned.spans[0].until_us = Some(i64::MAX)).await;
    assert!(found.len() == 2 && found.iter().all(|found| found.starts_with(&Assigned::name(&rep))), "{found:#?}");
    let found = day.found::<RepAssignments>(rep, |own| own.assignments.clear()).await;
    assert_one(&found, &[&RepAssignments::name(&rep), &format!("lacks {}", world.anna.assignment)]);
    let moved = world.anna.outlets[1];
    let found = day.found::<Placed>(moved, |placed| placed.spans[1].territory = bytes(north)).await;
    assert_one(&found, &[&Placed::name(&moved), "and the outlet is in"]);
    let found = day.found::<Placed>(moved, |placed| placed.spans[0].until_us = Some(5)).await;
    assert_one(&found, &[&Placed::name(&moved), "a gap"]);
}

/// Routes, plans, visits in progress.
async fn clockwork(day: &Day) {
    let Day { world, route, .. } = day;
    let north = world.anna.territory;
    let found = day.found::<TerritoryRoutes>(north, |routes| routes.routes.clear()).await;
    assert_one(&found, &[&TerritoryRoutes::name(&north), &format!("lacks {route}")]);
    let tomorrow = (north, TODAY + 1);
    let found = day.found::<TerritoryDay>(tomorrow, |planned| planned.visits.clear()).await;
    assert_one(&found, &["is planned, and no planned{} of day"]);
    let stranger = bytes(Uuid::from_u128(7));
    let found = day.found::<TerritoryDay>(tomorrow, |planned| planned.visits.insert(0, stranger)).await;
    assert_one(&found, &[&TerritoryDay::name(&tomorrow), "no visit of that day"]);
    let forget = |calendar: &mut TerritoryCalendar| calendar.days.retain(|planned| planned.day != TODAY + 1);
    let found = day.found(north, forget).await;
    assert_one(&found, &[&TerritoryCalendar::name(&north), "for which visits are still planned"]);
    let found = day.found::<TerritoryCalendar>(north, |calendar| calendar.days[0].revision += 1).await;
    assert_one(&found, &[&TerritoryCalendar::name(&north), "which there was not yet"]);
    let today = (world.anna.rep, TODAY);
    let found = day.found::<RepDay>(today, |day| day.in_progress_visit_id.clear()).await;
    assert_one(&found, &["is in progress, and no rep_day{} names it"]);
    let other = (world.boris.rep, TODAY);
    let found = day.found::<RepDay>(other, |day| day.in_progress_visit_id = bytes(Uuid::from_u128(7))).await;
    assert_one(&found, &[&RepDay::name(&other), "no visit in progress"]);
}

/// Prices, lists, promotions, stocks, claims.
async fn goods(day: &Day) {
    let Day { world, shipment, promotion, survey, .. } = day;
    let list = world.price_list;
    let found = day.found::<ListState>(list, |state| state.computed.clear()).await;
    assert_one(&found, &[&ListState::name(&list), "lacks"]);
    let found = day.found::<Promotions>((), |live| live.promotions[0].to_day = 7).await;
    assert_one(&found, &["promotions{}", &promotion.to_string(), "otherwise than its record"]);
    let scarce = Scarce::Budget(*promotion);
    let found = day.found::<Waiting>(scarce, |waiting| waiting.orders.clear()).await;
    assert_one(&found, &[&Waiting::name(&scarce), "lacks"]);
    let found = day.found::<PromotionState>(*promotion, |state| state.waiting = 0).await;
    assert_one(&found, &[&PromotionState::name(promotion), "0 waiting", "1 waiting"]);
    let found = day.found::<PromotionState>(*promotion, |state| state.spent_minor += 1).await;
    assert_one(&found, &[&PromotionState::name(promotion), "counts 201 and 2000", "by the orders it is 200 and 2000"]);
    let found = day.found::<FormerSurveys>(*survey, |former| former.versions.reverse()).await;
    assert_one(&found, &[&FormerSurveys::name(survey), "can't have been"]);
    let found = day.found::<FormerSurveys>(*survey, |former| former.versions[1].version = i64::MAX).await;
    assert_one(&found, &[&FormerSurveys::name(survey), "can't have been"]);
    let stranger = Uuid::from_u128(7);
    let found = day.found::<FormerSurveys>(stranger, |former| former.versions.push(FormerSurvey::default())).await;
    assert_one(&found, &[&FormerSurveys::name(&stranger), "that is not there"]);
    let price = (world.price_list, world.products[0]);
    let found = day.found::<ProductPrices>(price, |prices| prices.prices.clear()).await;
    assert_one(&found, &[&ProductPrices::name(&price), &format!("lacks {}", world.prices[0])]);
    let found = day.found::<ProductPrices>(price, |prices| prices.prices[0].changed_at_us = i64::MAX).await;
    assert_one(&found, &[&ProductPrices::name(&price), "that can't have been"]);
    let product = world.products[0];
    let other = world.stocks[1];
    let found = day.found::<ProductStocks>(product, |stocks| stocks.note(world.warehouse, other)).await;
    assert_one(&found, &[&ProductStocks::name(&product), &format!("names {other}")]);
    let found = day.found::<Claims>(*shipment, |claims| claims.lines[0].claimed_milli += 1).await;
    assert_one(&found, &[&Claims::name(shipment), "were claimed instead of 1000"]);
    let found = day.found::<Claims>(*shipment, |claims| claims.lines[0].accepted_milli += 1).await;
    assert_one(&found, &[&Claims::name(shipment), "that 1 of line", "were accepted instead of 0"]);
    let none = bytes(Uuid::from_u128(7));
    let found = day.found::<Claims>(*shipment, |claims| claims.lines[0].first_reclamation_id = none).await;
    assert_one(&found, &[&Claims::name(shipment), "that does not claim it"]);
    let found = day.found::<Causes>((), |causes| causes.nodes.clear()).await;
    assert_one(&found, &["causes{}", "lacks 1"]);
    let claims = day.app.stored::<Reclamation>(world.tenant).await;
    let (id, claim) = claims.into_iter().next().expect("a claim");
    let found = day.found_in(id, &Reclamation { due_at_us: 0, ..claim }).await;
    assert!(found.iter().any(|finding| finding.contains("open while nothing is")), "{found:?}");
    let found = day.found::<Returned>(*shipment, |returned| returned.lines[0].not_taken_milli += 1).await;
    assert_one(&found, &[&Returned::name(shipment), "counts 1001, 0 and 0", "by the returns it is 1000, 0 and 0"]);
}

/// What is shared out at a moment to come.
async fn scarce_goods(day: &Day) {
    let goods = (day.world.warehouse, day.world.products[8]);
    let found = day.found::<Demand>(goods, |demand| demand.orders.clear()).await;
    assert_one(&found, &[&Demand::name(&goods), "lacks"]);
    let found = day.found::<Demand>(goods, |demand| demand.orders[0].quantity_milli += 1).await;
    assert_one(&found, &[&Demand::name(&goods), "other quantities"]);
    let found = day.found::<AllocationCalendar>((), |calendar| calendar.entries[0].at_us += 1).await;
    assert_one(&found, &["allocations{}", "by the quotas it is"]);
    let holder = Some(QuotaHolder { holder: Some(Holder::OrderId(bytes(Uuid::from_u128(7)))) });
    let share = Share { holder, quantity_milli: 5, used_milli: 0 };
    let found = day.found::<Quotas>(goods, |quotas| quotas.quotas[0].shares.push(share)).await;
    assert_one(&found, &[&Quotas::name(&goods), "gives orders 5"]);
    let found = day.found::<Quotas>(goods, |quotas| quotas.quotas[0].to_day = TODAY + 9).await;
    assert_one(&found, &[&Quotas::name(&goods), "at other times"]);
}

/// What is promised, and what is owed.
async fn sums(day: &Day) {
    let Day { world, .. } = day;
    let held = (world.warehouse, world.products[0]);
    let found = day.found::<Available>(held, |available| available.reserved_milli += 1).await;
    assert_one(&found, &[&Available::name(&held), "by the orders it is"]);
    let found = day.found::<Available>(held, |available| available.on_hand_milli /= 2).await;
    assert_one(&found, &[&format!("the stock {} tells devices", world.stocks[0])]);
    let debtor = (world.customers[0], CURRENCY.to_owned());
    let name = Credit::name(&debtor);
    let found = day.found::<Credit>(debtor.clone(), |credit| credit.all.orders_minor += 7).await;
    assert_one(&found, &[&name, "open orders"]);
    let found = day.found::<Credit>(debtor.clone(), |credit| credit.all.payments_minor += 7).await;
    assert_one(&found, &[&name, "open payments"]);
    let found = day.found::<Credit>(debtor.clone(), |credit| credit.all.booked_debt_minor += 7).await;
    assert_one(&found, &[&name, "a booked debt"]);
    let found = day.found::<Credit>(debtor.clone(), |credit| credit.held.push(HeldOrder::default())).await;
    assert_one(&found, &[&name, "held orders"]);
    let found = day.found::<Credit>(debtor.clone(), |credit| credit.expired.push(HeldOrder::default())).await;
    assert_one(&found, &[&name, "expired orders"]);
    let signed = (world.customers[1], CURRENCY.to_owned());
    let under = |change: fn(&mut ContractCredit)| {
        let day = &*day;
        let signed = signed.clone();
        async move { day.found::<Credit>(signed, |credit| change(&mut credit.contracts[0])).await }
    };
    let found = under(|known| known.account.booked_debt_minor += 7).await;
    assert_one(&found, &[&Credit::name(&signed), "a booked debt of 507, and they come to 500"]);
    let found = under(|known| known.contract.closed = true).await;
    assert_one(&found, &[&Credit::name(&signed), "what it does not say"]);
    let found = day.found::<Credit>(signed.clone(), |credit| credit.contracts.clear()).await;
    assert_one(&found, &[&Credit::name(&signed), "lacks"]);
    let name = Debts::name(&debtor);
    let found = day.found::<Debts>(debtor.clone(), |debts| debts.receivables.clear()).await;
    assert_one(&found, &[&name, &format!("lacks {}", world.receivables[0])]);
    let more = Allocated { amount_minor: 7, ..Allocated::default() };
    let found = day.found::<Debts>(debtor, |debts| debts.allocated.push(more)).await;
    assert_one(&found, &[&name, "says that 7 are allocated, and by the payments it is 0"]);
    let own = (world.anna.rep, CURRENCY.to_owned(), 0);
    let name = InHand::name(&own);
    let found = day.found::<InHand>(own.clone(), |in_hand| in_hand.payments.clear()).await;
    assert_one(&found, &[&name, "lacks"]);
    let found = day.found::<InHand>(own.clone(), |in_hand| in_hand.payments[0].amount_minor += 1).await;
    assert_one(&found, &[&name, "says otherwise of a payment"]);
    let found = day.found::<InHand>(own, |in_hand| in_hand.filled_pages = 1).await;
    assert_one(&found, &["has 0 payments instead of 500"]);
    let others = (world.boris.rep, CURRENCY.to_owned(), 0);
    let found = day.found::<InHand>(others.clone(), |in_hand| in_hand.payments.push(CollectedCash::default())).await;
    assert_one(&found, &[&InHand::name(&others), "that nobody took in cash"]);
}

async fn damage_beside_internal_records_is_found(kind: Kind) {
    let day = Day::make(kind).await;
    let Day { app, world, route, .. } = &day;
    let before = day.stored(*route).await.expect("is there");
    // Nothing of it decides where a route is: its buckets are right.
    let stamped = Stored { stamps: day.stored(world.anna.rep).await.expect("is there").stamps, ..before.clone() };
    day.write(*route, stamped).await;
    assert_one(&day.findings().await, &[&format!("Route {route} is placed by"), "it should be by"]);
    day.write(*route, before).await;

    let name = TerritoryRoutes::name(&world.anna.territory);
    let before = day.stored(server_id(&name)).await.expect("is there");
    day.write(server_id(&name), Stored { document: vec![0xff].into(), ..before.clone() }).await;
    let found = day.findings().await;
    assert!(found.iter().any(|found| found.contains(&name) && found.contains("can't be read")), "{found:#?}");
    day.write(server_id(&name), before.clone()).await;
    let unknown = Uuid::from_u128(7);
    day.write(unknown, Stored { kind: 1_999, ..before.clone() }).await;
    assert_one(&day.findings().await, &["1 internal records are of kind 1999"]);
    day.delete(unknown).await;
    day.write(unknown, before).await;
    assert_one(&day.findings().await, &[&name, "where nobody finds it"]);
    day.delete(unknown).await;

    let before = day.stored(day.shipment).await.expect("is there");
    let mut shipment = Shipment::decode(before.document.clone()).expect("is read");
    shipment.lines[0].delivered_milli -= 1;
    day.write(day.shipment, Stored { document: shipment.encode_to_vec().into(), ..before.clone() }).await;
    let found = day.findings().await;
    assert!(
        found.iter().any(|found| found.contains("what its shipments don't: 0 delivered instead of -1")),
        "{found:#?}"
    );
    day.write(day.shipment, before).await;

    let (damage, mend) = (
        "UPDATE bucket_row SET hash = hash + 1 WHERE record = $1",
        "UPDATE bucket_row SET hash = hash - 1 WHERE record = $1",
    );
    assert_eq!(by_record(app, damage, *route).await, 1);
    assert_one(&day.findings().await, &["another hash", &route.to_string()]);
    assert_eq!(by_record(app, mend, *route).await, 1);
    app.shift_checksum(&Scope::Rep(world.anna.rep).to_string(), 1).await;
    assert!(day.findings().await.iter().all(|found| found.contains("with another sum")));
    app.shift_checksum(&Scope::Rep(world.anna.rep).to_string(), -1).await;
    assert_eq!(day.findings().await, Vec::<String>::new(), "everything is as it was");
    day.app.finish().await;
}

async fn by_record(app: &TestApp, sql: &'static str, record: Uuid) -> u64 {
    let mut tx = app.core.db.write().await.expect("begins");
    let changed = tx.query(sql).bind(record).execute().await.expect("is written");
    tx.commit().await.expect("commits");
    changed
}

/// An order that an import brings.
fn imported(world: &World, outlet: Uuid) -> Record {
    Record::Order(Order {
        outlet_id: bytes(outlet),
        customer_id: bytes(world.customers[0]),
        rep_id: bytes(world.anna.rep),
        currency: CURRENCY.to_owned(),
        status: OrderStatus::Closed.into(),
        ..Order::default()
    })
}

async fn a_document_that_is_imported_for_another_outlet_moves_with_that_one(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let (order, [first, second]) = (app.id(), [0, 1].map(|index| world.anna.outlets[index]));
    import(&app, vec![entry(order, imported(&world, first))]).await;
    import(&app, vec![entry(order, imported(&world, second))]).await;
    let south = bytes(world.boris.territory);
    let moved = MoveOutlet { outlet_id: bytes(first), territory_id: south };
    assert_eq!(app.office(Command::MoveOutlet(moved)).await.status(), Status::Applied);
    assert_eq!(verify(&app.core.db, world.tenant).await.expect("verifies"), Vec::<String>::new());
    let mut anna = app.device("anna").await;
    app.sync(&mut anna).await;
    assert!(app.shown::<Order>(&anna, order).is_some(), "its outlet is still Anna's");
    app.finish().await;
}

fn territory(world: &World, time_zone: &str) -> Record {
    Record::Territory(Territory {
        name: "North".to_owned(),
        team_id: bytes(world.team),
        time_zone: time_zone.to_owned(),
        warehouse_id: bytes(world.warehouse),
        ..Territory::default()
    })
}

async fn a_territory_that_is_written_again_keeps_the_month_that_was_opened(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    // The last day of November: December is open already, so that what is closed in its first minute reaches devices.
    app.pass(7 * 24 * 60);
    Jobs::new(Arc::clone(&app.core)).run_due(world.tenant).await.expect("runs");
    import(&app, vec![entry(world.anna.territory, territory(&world, "Europe/Helsinki"))]).await;
    assert_eq!(verify(&app.core.db, world.tenant).await.expect("verifies"), Vec::<String>::new());
    app.finish().await;
}

async fn the_time_zone_of_a_territory_does_not_change(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let records = vec![entry(world.anna.territory, territory(&world, "Europe/Lisbon"))];
    let outcome = app.office(Command::ImportRecords(roundsman_proto::trade::ImportRecords { records })).await;
    assert_eq!(verify(&app.core.db, world.tenant).await.expect("verifies"), Vec::<String>::new());
    assert_eq!((outcome.status(), outcome.reason()), (Status::Rejected, Reason::Mismatch), "{outcome:?}");
    app.finish().await;
}
