//! What a caller claims that is not so, and what is not the caller's: nothing is told of it, nothing is done to it, and
//! nobody else pays for the attempt.

use std::sync::Arc;

use roundsman::auth::caller::Caller;
use roundsman::batch::{Committed, Sender, Submission, Submitted, Writer};
use roundsman::commands::Issuer;
use roundsman::fail::FailPoints;
use roundsman::internal::planned_visit_id;
use roundsman::present::Present;
use roundsman::store::tenant::WRITER_VERSION;
use roundsman_proto::auth::Role;
use roundsman_proto::sync::{Outcome, Status};
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{
    Agreement, AnswerSurvey, ArchiveOutlet, AssignRep, AssignTask, Assignment, BytesChange, CancelOrder, CancelVisit,
    ChangeOrder, CheckIn, CheckOut, ClaimLine, CollectPayment, CompleteTask, DismissRep, EditOutlet, FileClaim,
    HoldReason, ImportRecords, Int32Change, MoveOutlet, NewOrderLine, Outlet, OutletStatus, PaymentMethod, PlanVisits,
    Price, PriceBreak, PriceList, PriceToSet, Product, Reason, ReclamationCause, RegisterOutlet, ReleaseHold, Route,
    RouteStop, SetPrices, SubmitOrder, Survey, Team, Territory, Visit, VisitState,
};
use roundsman_tests::app::{TODAY, TestApp, TestDevice};
use roundsman_tests::database::Kind;
use roundsman_tests::world::{CURRENCY, RepWorld, World, bytes, place};
use uuid::Uuid;

use crate::desk::{entry, import, order};

on_both_databases!(
    cash_is_taken_for_customers_that_the_outlet_had_and_nothing_is_told_of_others,
    a_device_does_not_choose_the_day_whose_prices_count,
    goods_at_the_price_of_a_coming_day_do_not_leave_before_it,
    the_id_of_a_planned_visit_can_not_be_taken,
    a_rep_has_one_assignment_to_a_territory_on_a_day,
    an_import_brings_no_dismissed_rep_back,
    a_device_can_not_take_the_id_that_a_key_gives,
    what_is_not_a_reps_is_as_unknown_as_what_is_not_there,
    what_is_another_teams_is_as_unknown_as_what_is_not_there,
    the_state_of_another_visit_is_not_told,
    a_command_that_is_too_large_loads_nothing,
    a_command_of_a_role_that_may_not_issue_it_loads_nothing,
    nothing_grants_more_than_a_device_holds,
);

/// A decision in short: without the id that it was asked about.
fn told(outcome: &Outcome, id: Uuid) -> (Status, Reason, String, Vec<(String, String)>) {
    let facts = outcome.facts.iter().map(|fact| {
        let record = if fact.record_id == id.as_bytes() { b"it" } else { fact.record_id.as_slice() };
        (format!("{} of {record:?}", fact.name), fact.value.replace(&id.to_string(), "it"))
    });
    (outcome.status(), outcome.reason(), outcome.text.clone(), facts.collect())
}

fn rejected(outcome: &Outcome) -> (Reason, &str) {
    assert_eq!(outcome.status(), Status::Rejected, "{outcome:?}");
    (outcome.reason(), outcome.text.split(':').next().unwrap_or_default())
}

fn pay(app: &TestApp, outlet: Uuid, customer: Uuid) -> Command {
    Command::CollectPayment(CollectPayment {
        payment_id: bytes(app.id()),
        outlet_id: bytes(outlet),
        customer_id: bytes(customer),
        amount_minor: 70_000,
        currency: CURRENCY.to_owned(),
        method: PaymentMethod::Cash.into(),
        ..CollectPayment::default()
    })
}

fn check_in(visit: Uuid, outlet: Uuid) -> Command {
    Command::CheckIn(CheckIn { visit_id: bytes(visit), outlet_id: bytes(outlet), planned_day: 0, point: Some(place()) })
}

fn submit(app: &TestApp, world: &World, rep: &RepWorld, change: impl FnOnce(&mut SubmitOrder)) -> Command {
    let (_, command) = order(app, world, rep, 1, 0);
    let Command::SubmitOrder(mut submit) = command else { panic!("another command") };
    change(&mut submit);
    Command::SubmitOrder(submit)
}

async fn cash_is_taken_for_customers_that_the_outlet_had_and_nothing_is_told_of_others(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let mut anna = app.device("anna").await;
    let [first, second] = [world.anna.outlets[0], world.anna.outlets[1]];
    import(&app, vec![entry(world.receivables[1], Record::Receivable(world.receivable(1, 50_000)))]).await;
    let foreign = app.decide(&mut anna, pay(&app, first, world.customers[1])).await;
    let unknown_id = app.id();
    let unknown = app.decide(&mut anna, pay(&app, first, unknown_id)).await;
    assert_eq!(rejected(&foreign), (Reason::Mismatch, "customer_id"));
    assert_eq!(told(&foreign, world.customers[1]), told(&unknown, unknown_id));
    // The second outlet's customer changes, with its agreement: money for the first one may still come.
    let edit = EditOutlet {
        outlet_id: bytes(second),
        customer_id: Some(BytesChange { base: bytes(world.customers[1]), value: bytes(world.customers[0]) }),
        add_agreement_ids: vec![bytes(world.agreements[0])],
        remove_agreement_ids: vec![bytes(world.agreements[1])],
        ..EditOutlet::default()
    };
    assert_eq!(app.office(Command::EditOutlet(edit)).await.status(), Status::Applied);
    for customer in &world.customers {
        assert_eq!(app.decide(&mut anna, pay(&app, second, *customer)).await.status(), Status::Applied);
    }
    // An outlet that was merged leaves its customers to the survivor.
    let merge = ArchiveOutlet { outlet_id: bytes(second), survivor_id: bytes(first) };
    assert_eq!(app.office(Command::ArchiveOutlet(merge)).await.status(), Status::Applied);
    for (outlet, status) in [(second, Status::Merged), (first, Status::Applied)] {
        assert_eq!(app.decide(&mut anna, pay(&app, outlet, world.customers[1])).await.status(), status);
    }
    // The customer of an agreement is a customer of the outlet, too.
    let edit = EditOutlet {
        outlet_id: bytes(world.boris.outlets[0]),
        add_agreement_ids: vec![bytes(world.agreements[1])],
        ..EditOutlet::default()
    };
    assert_eq!(app.office(Command::EditOutlet(edit)).await.status(), Status::Applied);
    let mut boris = app.device("boris").await;
    let paid = app.decide(&mut boris, pay(&app, world.boris.outlets[0], world.customers[1])).await;
    assert_eq!(paid.status(), Status::Applied);
    app.finish().await;
}

/// Captures an order on a device and tells what became of it.
async fn ordered(app: &TestApp, device: &mut TestDevice, command: Command, at: (i64, i32)) -> Outcome {
    let id = app.capture_at(device, command, at);
    let synced = app.sync(device).await;
    synced.outcomes.into_iter().find(|(command, _)| *command == id).expect("an outcome").1
}

async fn a_device_does_not_choose_the_day_whose_prices_count(kind: Kind) {
    const DAY_US: i64 = 86_400_000_000;
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let mut anna = app.device("anna").await;
    // Since the day before yesterday everything is dearer.
    let breaks = vec![PriceBreak { min_quantity_milli: 0, price_minor: 1_500 }];
    let dearer = Price { breaks, valid_from_day: TODAY - 2, ..world.price(0, 0) };
    import(&app, vec![entry(app.id(), Record::Price(dearer))]).await;
    app.sync(&mut anna).await;
    // The device knows of it.
    let price_version = app.version(world.tenant).await;
    let on = |day: i32| {
        submit(&app, &world, &world.anna, |order| {
            order.order_day = day;
            order.lines[0].price_version = price_version;
        })
    };
    let now = app.now_us();
    let chosen = ordered(&app, &mut anna, on(TODAY - 10), (now, TODAY)).await;
    assert_eq!(rejected(&chosen), (Reason::OutOfRange, "order_day"));
    let both = ordered(&app, &mut anna, on(TODAY - 10), (now, TODAY - 10)).await;
    assert_eq!(rejected(&both), (Reason::OutOfRange, "order_day"));
    let claimed = ordered(&app, &mut anna, on(0), (now, TODAY - 10)).await;
    assert_eq!((claimed.status(), claimed.reason()), (Status::Held, Reason::HeldPrice), "today's prices count");
    // A device that was away for five days, and the shift of a night.
    let away = ordered(&app, &mut anna, on(TODAY - 5), (now - 5 * DAY_US, TODAY - 5)).await;
    assert_eq!(away.status(), Status::Applied, "{away:?}");
    let night = ordered(&app, &mut anna, on(TODAY - 3), (now - 2 * DAY_US, TODAY - 3)).await;
    assert_eq!(night.status(), Status::Applied, "{night:?}");
    app.finish().await;
}

async fn goods_at_the_price_of_a_coming_day_do_not_leave_before_it(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let mut anna = app.device("anna").await;
    let breaks = vec![PriceBreak { min_quantity_milli: 0, price_minor: 500 }];
    let cheaper = Price { breaks, valid_from_day: TODAY + 20, ..world.price(0, 0) };
    import(&app, vec![entry(app.id(), Record::Price(cheaper))]).await;
    let on = |id: Uuid, order_day, delivery_day| {
        submit(&app, &world, &world.anna, |order| {
            order.order_id = bytes(id);
            (order.order_day, order.delivery_day) = (order_day, delivery_day);
            order.lines[0].shown_price_minor = 500;
            order.lines[0].price_id = Vec::new();
        })
    };
    let at_once = app.decide(&mut anna, on(app.id(), TODAY + 20, 0)).await;
    assert_eq!(rejected(&at_once), (Reason::MissingField, "delivery_day"));
    let id = app.id();
    let then = app.decide(&mut anna, on(id, TODAY + 20, TODAY + 20)).await;
    assert_eq!(then.status(), Status::Applied, "{then:?}");
    let sooner = ChangeOrder {
        order_id: bytes(id),
        delivery_day: Some(Int32Change { base: TODAY + 20, value: 0 }),
        ..ChangeOrder::default()
    };
    let sooner = app.decide(&mut anna, Command::ChangeOrder(sooner)).await;
    assert_eq!(rejected(&sooner), (Reason::MissingField, "delivery_day"));
    app.finish().await;
}

/// A route that stops at an outlet every day.
fn route(world: &World, outlet: Uuid) -> Route {
    let stop = RouteStop { outlet_id: bytes(outlet), weekdays: 127, sequence: 1, ..RouteStop::default() };
    Route {
        name: "North".to_owned(),
        territory_id: bytes(world.anna.territory),
        cycle_start_day: TODAY,
        stops: vec![stop],
        ..Route::default()
    }
}

async fn the_id_of_a_planned_visit_can_not_be_taken(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let mut anna = app.device("anna").await;
    let (route_id, outlet) = (app.id(), world.anna.outlets[0]);
    import(&app, vec![entry(route_id, Record::Route(route(&world, outlet)))]).await;
    let name = [outlet.as_bytes().as_slice(), &TODAY.to_be_bytes()].concat();
    let guessed = [Uuid::new_v5(&route_id, &name), planned_visit_id(route_id, outlet, TODAY)];
    for id in guessed {
        let order = submit(&app, &world, &world.anna, |order| order.order_id = bytes(id));
        app.decide(&mut anna, order).await;
        app.decide(&mut anna, check_in(id, world.anna.outlets[1])).await;
    }
    let plan = PlanVisits { territory_id: bytes(world.anna.territory), day: TODAY, after_visit_id: Vec::new() };
    let outcome = app.server(world.tenant, Command::PlanVisits(plan)).await;
    assert_eq!(outcome.status(), Status::Applied, "{outcome:?}");
    let visits = app.stored::<Visit>(world.tenant).await;
    let planned: Vec<&Uuid> =
        visits.iter().filter(|(_, visit)| visit.state() == VisitState::Planned).map(|(id, _)| id).collect();
    assert_eq!(planned.len(), 1);
    // It can be made, as every planned visit can.
    let made = app.decide(&mut anna, check_in(*planned[0], outlet)).await;
    assert_eq!(made.status(), Status::Applied, "{made:?}");
    app.finish().await;
}

async fn a_rep_has_one_assignment_to_a_territory_on_a_day(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let days = |from_day, to_day| {
        let (rep_id, territory_id) = (bytes(world.anna.rep), bytes(world.boris.territory));
        Assignment { rep_id, territory_id, from_day, to_day }
    };
    let imported = async |records: Vec<(Uuid, Assignment)>| {
        let records = records.into_iter().map(|(id, days)| entry(id, Record::Assignment(days))).collect();
        app.office(Command::ImportRecords(ImportRecords { records })).await
    };
    let [first, second, third] = [app.id(), app.id(), app.id()];
    let twins = imported(vec![(first, days(TODAY, 0)), (second, days(TODAY, 0))]).await;
    assert_eq!(rejected(&twins), (Reason::AssignmentOverlap, "from_day"));
    let backwards = imported(vec![(first, days(TODAY, TODAY - 1))]).await;
    assert_eq!(rejected(&backwards), (Reason::OutOfRange, "to_day"));
    assert_eq!(imported(vec![(first, days(TODAY, TODAY + 5))]).await.status(), Status::Applied);
    for (from_day, to_day) in [(TODAY, 0), (TODAY + 5, TODAY + 9), (TODAY - 3, TODAY), (TODAY + 1, TODAY + 2)] {
        let outcome = imported(vec![(second, days(from_day, to_day))]).await;
        assert_eq!(rejected(&outcome), (Reason::AssignmentOverlap, "from_day"));
    }
    assert_eq!(imported(vec![(second, days(TODAY + 6, 0))]).await.status(), Status::Applied);
    let longer = imported(vec![(first, days(TODAY, TODAY + 6))]).await;
    assert_eq!(rejected(&longer), (Reason::AssignmentOverlap, "from_day"));
    let shorter = AssignRep {
        assignment_id: bytes(second),
        rep_id: bytes(world.anna.rep),
        territory_id: bytes(world.boris.territory),
        from_day: TODAY + 6,
        to_day: TODAY + 7,
    };
    assert_eq!(app.office(Command::AssignRep(shorter)).await.status(), Status::Applied);
    assert_eq!(imported(vec![(third, days(TODAY + 8, 0))]).await.status(), Status::Applied);
    let mut anna = app.device("anna").await;
    let made = app.decide(&mut anna, check_in(app.id(), world.boris.outlets[0])).await;
    assert_eq!(made.status(), Status::Applied, "the first assignment runs: {made:?}");
    app.finish().await;
}

async fn an_import_brings_no_dismissed_rep_back(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let dismiss = DismissRep { rep_id: bytes(world.anna.rep), ..DismissRep::default() };
    let outcome = app.office(Command::DismissRep(dismiss)).await;
    assert_eq!(outcome.status(), Status::Applied, "{outcome:?}");
    let before = app.stored::<Assignment>(world.tenant).await;
    let for_ever = Assignment { to_day: 0, ..before[&world.anna.assignment].clone() };
    let records = vec![entry(world.anna.assignment, Record::Assignment(for_ever))];
    let outcome = app.office(Command::ImportRecords(ImportRecords { records })).await;
    assert_eq!(rejected(&outcome).0, Reason::RepDismissed);
    assert_eq!(app.stored::<Assignment>(world.tenant).await, before);
    app.finish().await;
}

async fn a_device_can_not_take_the_id_that_a_key_gives(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let mut anna = app.device("anna").await;
    let product = roundsman::exchange::key::id("product", "A2");
    let taken = app.decide(&mut anna, check_in(product, world.anna.outlets[0])).await;
    assert_eq!(rejected(&taken).0, Reason::BadId);
    let order = submit(&app, &world, &world.anna, |order| order.order_id = bytes(product));
    assert_eq!(rejected(&app.decide(&mut anna, order).await).0, Reason::BadId);
    let name = "Tea".to_owned();
    import(&app, vec![entry(product, Record::Product(Product { name, ..Product::default() }))]).await;
    app.finish().await;
}

/// What Boris has, and Anna must not hear of.
struct Foreign {
    visit: Uuid,
    order: Uuid,
    task: Uuid,
}

async fn of_boris(app: &TestApp, world: &World) -> Foreign {
    let mut boris = app.device("boris").await;
    let [visit, task] = [app.id(), app.id()];
    assert_eq!(app.decide(&mut boris, check_in(visit, world.boris.outlets[0])).await.status(), Status::Applied);
    let (order, command) = order(app, world, &world.boris, 1, 0);
    assert_eq!(app.decide(&mut boris, command).await.status(), Status::Applied);
    let assign = AssignTask {
        task_id: bytes(task),
        rep_id: bytes(world.boris.rep),
        title: "Look at the shelves".to_owned(),
        ..AssignTask::default()
    };
    assert_eq!(app.office(Command::AssignTask(assign)).await.status(), Status::Applied);
    Foreign { visit, order, task }
}

type Asks<'a> = (&'static str, Uuid, Box<dyn Fn(Vec<u8>) -> Command + 'a>);

/// A command about an id, and an id that is not the caller's.
fn ask<'a>(what: &'static str, id: Uuid, command: impl Fn(Vec<u8>) -> Command + 'a) -> Asks<'a> {
    (what, id, Box::new(command))
}

fn claim(app: &TestApp, world: &World, outlet_id: Vec<u8>) -> FileClaim {
    let line = ClaimLine {
        line_id: bytes(app.id()),
        product_id: bytes(world.products[0]),
        claimed_milli: 1_000,
        ..ClaimLine::default()
    };
    let (reclamation_id, cause) = (bytes(app.id()), ReclamationCause::Damaged.into());
    FileClaim { reclamation_id, outlet_id, cause, lines: vec![line], ..FileClaim::default() }
}

/// Commands of Anna's at an outlet of Boris's.
fn at_foreign<'a>(app: &'a TestApp, world: &'a World, survey: Uuid) -> Vec<Asks<'a>> {
    let outlet = world.boris.outlets[0];
    let answer = move |outlet_id| AnswerSurvey {
        response_id: bytes(app.id()),
        survey_id: bytes(survey),
        survey_version: 1,
        outlet_id,
        ..AnswerSurvey::default()
    };
    vec![
        ask("check in", outlet, |id| check_in(app.id(), Uuid::from_slice(&id).expect("an id"))),
        ask("survey", outlet, move |id| Command::AnswerSurvey(answer(id))),
        ask("claim", outlet, |id| Command::FileClaim(claim(app, world, id))),
        ask("order", outlet, |id| submit(app, world, &world.anna, |order| order.outlet_id = id)),
        ask("payment", outlet, |id| pay(app, Uuid::from_slice(&id).expect("an id"), world.customers[0])),
        ask("edit", outlet, |outlet_id| Command::EditOutlet(EditOutlet { outlet_id, ..EditOutlet::default() })),
    ]
}

/// Commands of Anna's about what Boris has.
fn about_foreign(foreign: &Foreign) -> Vec<Asks<'static>> {
    let check_out = |visit_id| Command::CheckOut(CheckOut { visit_id, productive: true, ..CheckOut::default() });
    let cancel = |order_id| Command::CancelOrder(CancelOrder { order_id, reason: "by mistake".to_owned() });
    let change = |order_id| Command::ChangeOrder(ChangeOrder { order_id, ..ChangeOrder::default() });
    let done = |task_id| Command::CompleteTask(CompleteTask { task_id, result: String::new() });
    vec![
        ask("check out", foreign.visit, check_out),
        ask("check out of an order", foreign.order, check_out),
        ask("cancel", foreign.order, cancel),
        ask("change", foreign.order, change),
        ask("task", foreign.task, done),
    ]
}

/// Commands of Anna's that name what Boris has beside what is hers.
fn beside_foreign<'a>(app: &'a TestApp, world: &'a World, foreign: &Foreign) -> Vec<Asks<'a>> {
    let anna = &world.anna;
    let own = bytes(anna.outlets[0]);
    let claimed = claim(app, world, own.clone());
    let shipped = claim(app, world, own);
    let register = |territory_id, agreement_ids| {
        let (outlet_id, name) = (bytes(app.id()), "New".to_owned());
        Command::RegisterOutlet(RegisterOutlet { outlet_id, territory_id, name, agreement_ids, ..Default::default() })
    };
    vec![
        ask("order in a visit", foreign.visit, |id| submit(app, world, anna, |order| order.visit_id = id)),
        ask("order of an agreement", world.agreements[1], |id| {
            submit(app, world, anna, |order| order.agreement_id = id)
        }),
        ask("order of another kind's agreement", foreign.order, |id| {
            submit(app, world, anna, |order| order.agreement_id = id)
        }),
        ask("order of another kind's product", foreign.order, |id| {
            submit(app, world, anna, |order| order.lines[0].product_id = id)
        }),
        ask("answer to another kind's survey", foreign.order, |id| {
            let (response_id, outlet_id) = (bytes(app.id()), bytes(anna.outlets[0]));
            let survey =
                AnswerSurvey { response_id, survey_id: id, survey_version: 1, outlet_id, ..Default::default() };
            Command::AnswerSurvey(survey)
        }),
        ask("claim about an order", foreign.order, move |order_id| {
            Command::FileClaim(FileClaim { order_id, ..claimed.clone() })
        }),
        ask("claim about a shipment", foreign.order, move |shipment_id| {
            Command::FileClaim(FileClaim { shipment_id, ..shipped.clone() })
        }),
        ask("register", world.boris.territory, move |id| register(id, Vec::new())),
        ask("register with an agreement", world.agreements[0], move |id| register(bytes(anna.territory), vec![id])),
    ]
}

/// Asks about each id and about one that is not there, and compares the answers.
async fn assert_alike(app: &TestApp, device: &mut TestDevice, asks: Vec<Asks<'_>>) {
    for (what, id, ask) in asks {
        let unknown_id = app.id();
        let unknown = app.decide(device, ask(bytes(unknown_id))).await;
        let refused = app.decide(device, ask(bytes(id))).await;
        assert_eq!(unknown.status(), Status::Rejected, "{what}: {unknown:?}");
        assert_eq!(told(&unknown, unknown_id), told(&refused, id), "{what}");
    }
}

async fn what_is_not_a_reps_is_as_unknown_as_what_is_not_there(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let foreign = of_boris(&app, &world).await;
    let survey = app.id();
    import(&app, vec![entry(survey, Record::Survey(Survey { title: "Shelves".to_owned(), ..Survey::default() }))])
        .await;
    let mut anna = app.device("anna").await;
    assert_alike(&app, &mut anna, at_foreign(&app, &world, survey)).await;
    assert_alike(&app, &mut anna, about_foreign(&foreign)).await;
    assert_alike(&app, &mut anna, beside_foreign(&app, &world, &foreign)).await;
    for price in [app.id(), foreign.order] {
        let priced = submit(&app, &world, &world.anna, |order| order.lines[0].price_id = bytes(price));
        let outcome = app.decide(&mut anna, priced).await;
        assert_eq!(outcome.status(), Status::Applied, "what the line costs is in force: {outcome:?}");
    }
    app.finish().await;
}

async fn the_state_of_another_visit_is_not_told(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let foreign = of_boris(&app, &world).await;
    let mut anna = app.device("anna").await;
    let taken = app.decide(&mut anna, check_in(foreign.visit, world.anna.outlets[0])).await;
    assert_eq!(rejected(&taken), (Reason::Mismatch, "outlet_id"));
    assert!(taken.facts.is_empty(), "{taken:?}");
    app.finish().await;
}

/// Another team with a territory and an outlet.
async fn elsewhere(app: &TestApp, world: &World) -> (Uuid, Uuid, Uuid) {
    let (team, territory, outlet) = (app.id(), app.id(), app.id());
    let place = Territory {
        name: "Elsewhere".to_owned(),
        team_id: bytes(team),
        time_zone: "Europe/Helsinki".to_owned(),
        warehouse_id: bytes(world.warehouse),
        ..Territory::default()
    };
    let shop = Outlet { territory_id: bytes(territory), ..world.outlet(&world.anna, 0) };
    let records = vec![
        entry(team, Record::Team(Team { name: "Country".to_owned(), ..Team::default() })),
        entry(territory, Record::Territory(place)),
        entry(outlet, Record::Outlet(shop)),
    ];
    import(app, records).await;
    (team, territory, outlet)
}

async fn what_is_another_teams_is_as_unknown_as_what_is_not_there(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let foreign = of_boris(&app, &world).await;
    let (team, territory, outlet) = elsewhere(&app, &world).await;
    app.user("olga", Role::Supervisor, None, Some(team)).await;
    let olga = app.token("olga").await;
    let anna = &world.anna;
    let cancel = |visit_id| Command::CancelVisit(CancelVisit { visit_id, reason: "no".to_owned() });
    let release = |order_id| {
        Command::ReleaseHold(ReleaseHold {
            order_id,
            reason: HoldReason::Price.into(),
            comment: String::new(),
            ..ReleaseHold::default()
        })
    };
    let task = |rep_id| {
        Command::AssignTask(AssignTask {
            task_id: bytes(app.id()),
            rep_id,
            title: "Look".to_owned(),
            ..Default::default()
        })
    };
    let moved = |outlet_id, territory_id| Command::MoveOutlet(MoveOutlet { outlet_id, territory_id });
    let assign = |rep_id, territory_id| {
        let assignment_id = bytes(app.id());
        Command::AssignRep(AssignRep { assignment_id, rep_id, territory_id, from_day: TODAY, to_day: 0 })
    };
    let asks = vec![
        ask("cancel", foreign.visit, cancel),
        ask("release", foreign.order, release),
        ask("task", anna.rep, task),
        ask("move from", anna.outlets[0], |id| moved(id, bytes(territory))),
        ask("move to", anna.territory, |id| moved(bytes(outlet), id)),
        ask("assign to", anna.territory, |id| assign(bytes(anna.rep), id)),
        ask("assign", anna.rep, |id| assign(id, bytes(territory))),
    ];
    for (what, id, ask) in asks {
        let unknown_id = app.id();
        let unknown = app.office_as(&olga, app.id(), ask(bytes(unknown_id))).await.expect("is answered");
        let refused = app.office_as(&olga, app.id(), ask(bytes(id))).await.expect("is answered");
        assert_eq!(unknown.status(), Status::Rejected, "{what}: {unknown:?}");
        assert_eq!(told(&unknown, unknown_id), told(&refused, id), "{what}");
    }
    app.finish().await;
}

/// Runs one command of Anna's in a batch of its own.
async fn alone(app: &TestApp, world: &World, command: Command) -> (Outcome, Committed) {
    let writer = Writer {
        db: app.core.db.clone(),
        clock: Arc::clone(&app.core.clock),
        random: Arc::clone(&app.core.random),
        policy: app.core.policy,
        recent: Arc::default(),
        present: Arc::new(Present::new(false)),
        format: WRITER_VERSION,
        fail: FailPoints::default(),
    };
    let device = app.id();
    let submission = Submission {
        issuer: Issuer::User(Caller { device: Some(device), ..world.caller(&world.anna) }),
        sender: Some(Sender { device, confirmed_seq: 0, last_outcome_seq: 0, skip: None, position: None }),
        request: String::new(),
        received_at_us: app.now_us(),
        released: false,
        commands: vec![Submitted {
            id: app.id(),
            seq: 1,
            captured_at_us: app.now_us(),
            clock_correction_us: 0,
            business_day: TODAY,
            body: roundsman_tests::app::encoded(command).into(),
        }],
    };
    let committed = writer.run(world.tenant, &[submission], None).await.expect("commits");
    (committed.answers[0].results[0].outcome.clone().expect("an outcome"), committed)
}

async fn a_command_that_is_too_large_loads_nothing(kind: Kind) {
    const MANY: usize = 10_000;
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let ids = |count: usize| (0..count).map(|_| bytes(app.id())).collect::<Vec<_>>();
    let line = |product_id| NewOrderLine { product_id, ..NewOrderLine::default() };
    let outlet_id = bytes(world.anna.outlets[0]);
    let register = RegisterOutlet {
        outlet_id: bytes(app.id()),
        territory_id: bytes(world.anna.territory),
        name: "New".to_owned(),
        agreement_ids: ids(MANY),
        ..RegisterOutlet::default()
    };
    let commands = [
        submit(&app, &world, &world.anna, |order| order.lines = ids(MANY).into_iter().map(line).collect()),
        Command::RegisterOutlet(register),
        Command::EditOutlet(EditOutlet { outlet_id, add_agreement_ids: ids(MANY), ..EditOutlet::default() }),
    ];
    for command in commands {
        let (outcome, committed) = alone(&app, &world, command).await;
        assert_eq!((outcome.status(), outcome.reason()), (Status::Rejected, Reason::LimitExceeded), "{outcome:?}");
        assert_eq!(committed.keys, 0, "nothing is loaded for it");
    }
    app.finish().await;
}

async fn a_command_of_a_role_that_may_not_issue_it_loads_nothing(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let price = |_| PriceToSet { price_id: bytes(app.id()), price: Some(world.price(0, 1)) };
    let set = Command::SetPrices(SetPrices { prices: (0..1_000).map(price).collect() });
    let (outcome, committed) = alone(&app, &world, set).await;
    assert_eq!((outcome.reason(), committed.keys), (Reason::RoleNotAllowed, 0));
    app.finish().await;
}

/// An outlet that buys from so many price lists, each an agreement of its own.
fn broad(app: &TestApp, world: &World, (territory, agreements): (Uuid, &[Uuid])) -> Outlet {
    assert!(agreements.len() <= 100, "what an outlet may list");
    Outlet {
        name: format!("Broad {}", app.id()),
        territory_id: bytes(territory),
        agreement_ids: agreements.iter().map(|id| bytes(*id)).collect(),
        status: OutletStatus::Active.into(),
        ..world.outlet(&world.anna, 0)
    }
}

async fn nothing_grants_more_than_a_device_holds(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let ids = |count: usize| (0..count).map(|_| app.id()).collect::<Vec<_>>();
    let (lists, agreements, nobodys) = (ids(250), ids(250), app.id());
    let list = PriceList {
        name: "Own".to_owned(),
        currency: CURRENCY.to_owned(),
        vat_included: false,
        ..PriceList::default()
    };
    import(&app, lists.iter().map(|id| entry(*id, Record::PriceList(list.clone()))).collect()).await;
    let agreement = |(id, list): (&Uuid, &Uuid)| {
        let agreement = Agreement { customer_id: Vec::new(), price_list_id: bytes(*list), ..world.agreement(0) };
        entry(*id, Record::Agreement(agreement))
    };
    import(&app, agreements.iter().zip(&lists).map(agreement).collect()).await;
    let empty = Territory {
        name: "Nobody's".to_owned(),
        team_id: bytes(world.team),
        time_zone: "Europe/Helsinki".to_owned(),
        warehouse_id: bytes(world.warehouse),
        ..Territory::default()
    };
    import(&app, vec![entry(nobodys, Record::Territory(empty))]).await;
    let outlets = |territory: Uuid, agreements: &[Uuid]| {
        let some =
            agreements.chunks(100).map(|some| entry(app.id(), Record::Outlet(broad(&app, &world, (territory, some)))));
        some.collect::<Vec<_>>()
    };
    // Anna's territory takes nine tenths of the lists that fit; where nobody works there is no limit.
    import(&app, outlets(world.anna.territory, &agreements[..225])).await;
    let there = outlets(nobodys, &agreements[225..]);
    let outlet = Uuid::from_slice(&there[0].record_id).expect("an id");
    import(&app, there).await;
    let moved = MoveOutlet { outlet_id: bytes(outlet), territory_id: bytes(world.anna.territory) };
    let moved = app.office(Command::MoveOutlet(moved)).await;
    assert_eq!((moved.status(), moved.reason()), (Status::Rejected, Reason::LimitExceeded), "{moved:?}");
    let records = outlets(world.anna.territory, &agreements[225..]);
    let imported = app.office(Command::ImportRecords(ImportRecords { records })).await;
    assert_eq!((imported.status(), imported.reason()), (Status::Rejected, Reason::LimitExceeded), "{imported:?}");
    let add_agreement_ids = agreements[225..].iter().map(|id| bytes(*id)).collect();
    let edit = EditOutlet { outlet_id: bytes(world.anna.outlets[0]), add_agreement_ids, ..EditOutlet::default() };
    let edited = app.office(Command::EditOutlet(edit)).await;
    assert_eq!((edited.status(), edited.reason()), (Status::Rejected, Reason::LimitExceeded), "{edited:?}");
    let assignment =
        Assignment { rep_id: bytes(world.anna.rep), territory_id: bytes(nobodys), from_day: TODAY, to_day: 0 };
    let records = vec![entry(app.id(), Record::Assignment(assignment))];
    let assigned = app.office(Command::ImportRecords(ImportRecords { records })).await;
    assert_eq!((assigned.status(), assigned.reason()), (Status::Rejected, Reason::LimitExceeded), "{assigned:?}");
    // What grants nothing new is not refused.
    let moved = MoveOutlet { outlet_id: bytes(world.anna.outlets[0]), territory_id: bytes(world.boris.territory) };
    assert_eq!(app.office(Command::MoveOutlet(moved)).await.status(), Status::Applied);
    app.finish().await;
}
