//! Attempts to break the service, kept where they failed: what is not the caller's, what comes twice, what moves while it
//! is read, and numbers that nobody would send.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use roundsman::batch::{Submission, Submitted};
use roundsman::commands::Issuer;
use roundsman::internal::{Granted, Internal as _, Reach, Reaching};
use roundsman::jobs::Jobs;
use roundsman::store::account::{self, User};
use roundsman::store::record;
use roundsman_proto::auth::Role;
use roundsman_proto::sync::pull_response::Message;
use roundsman_proto::sync::sync_service_client::SyncServiceClient;
use roundsman_proto::sync::{
    Command as Captured, HeldBucket, LaggingBucket, Outcome, PullRequest, PushRequest, StagingCursor, Status,
};
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{
    Agreement, AnswerSurvey, ArchiveOutlet, CancelOrder, CheckIn, CheckOut, ClaimLine, CollectPayment, Contact,
    ContactEdit, Customer, DismissRep, EditOutlet, FileClaim, GeoPoint, HandTerritoryOver, ImportRecords, MoveOutlet,
    Order, OrderLine, OrderStatus, Outlet, OutletStatus, PaymentMethod, PriceList, PriceToSet, Product, Reason,
    ReclamationCause, RegisterOutlet, Rep, RepStatus, RevokeDevice, SetPrices, StringChange, SubmitOrder, Survey, Team,
    Territory, Visit, VisitState, Warehouse, contact_edit,
};
use roundsman_sync::replica::{Event, Want};
use roundsman_sync::scope::Scope;
use roundsman_tests::app::{PASSWORD, TENANT, TODAY, TestApp, TestDevice, encoded};
use roundsman_tests::database::Kind;
use roundsman_tests::world::{CURRENCY, RepWorld, World, bytes, check_in};
use uuid::Uuid;

use crate::desk::{by, entry, import, order};

on_both_databases!(
    two_tenants_with_the_same_ids_have_nothing_to_do_with_each_other,
    one_command_from_two_devices_at_once_has_one_effect,
    an_id_belongs_to_whoever_used_it_first_desk_or_device,
    an_edit_and_its_opposite_in_one_batch_are_both_kept,
    extreme_numbers_are_refused_or_taken_and_harm_nobody,
    extreme_documents_of_another_system_harm_nobody,
    outlets_that_swap_and_turn_back_in_one_batch_are_where_they_belong,
    a_customer_that_spreads_and_shrinks_is_granted_where_its_outlets_are,
    a_territory_and_a_rep_that_change_teams_leave_the_old_ones_supervisor,
    a_follower_that_misses_hundreds_of_commits_catches_up,
    whatever_changes_between_two_messages_of_a_first_sync_it_converges,
    pulls_of_all_sorts_in_any_order_converge,
    what_only_the_server_writes_cannot_be_written_by_a_device,
    a_document_never_grows_larger_than_a_device_takes,
    an_import_may_change_the_customers_of_hundreds_of_outlets,
);

fn move_outlet(outlet: Uuid, territory: Uuid) -> Command {
    Command::MoveOutlet(MoveOutlet { outlet_id: bytes(outlet), territory_id: bytes(territory) })
}

fn set_price(world: &World, article: usize, price_minor: i64) -> Command {
    let price = Some(world.price(article, price_minor));
    Command::SetPrices(SetPrices { prices: vec![PriceToSet { price_id: bytes(world.prices[article]), price }] })
}

fn hand_over(app: &TestApp, (from, to): (&RepWorld, &RepWorld), territory: Uuid) -> Command {
    Command::HandTerritoryOver(HandTerritoryOver {
        assignment_id: bytes(app.id()),
        territory_id: bytes(territory),
        from_rep_id: bytes(from.rep),
        to_rep_id: bytes(to.rep),
        from_day: TODAY,
    })
}

fn captured(app: &TestApp, id: Uuid, seq: i64, command: Command) -> Captured {
    Captured {
        command_id: bytes(id),
        seq,
        captured_at_us: app.now_us(),
        business_day: TODAY,
        body: encoded(command).into(),
    }
}

async fn push(app: &TestApp, token: &str, commands: Vec<Captured>) -> Vec<Outcome> {
    let sent = commands.len();
    let request =
        PushRequest { protocol_version: 1, device_clock_us: app.now_us(), commands, ..PushRequest::default() };
    let answer = SyncServiceClient::new(app.channel.clone()).push(by(token, request)).await.expect("is answered");
    let results = answer.into_inner().results;
    assert_eq!(results.len(), sent, "each command has its outcome");
    results.into_iter().map(|result| result.outcome.expect("an outcome")).collect()
}

fn short(outcomes: &[Outcome]) -> Vec<(Status, Reason)> {
    outcomes.iter().map(|outcome| (outcome.status(), outcome.reason())).collect()
}

const APPLIED: (Status, Reason) = (Status::Applied, Reason::Unspecified);

async fn assert_verified(app: &TestApp, world: &World) {
    let findings = roundsman::verify::verify(&app.core.db, world.tenant).await.expect("verifies");
    assert_eq!(findings, Vec::<String>::new());
    assert_granted(app, world).await;
}

fn id(bytes: &[u8]) -> Uuid {
    Uuid::from_slice(bytes).expect("an id")
}

/// What territories grant, and where customers are, derived from outlets, agreements and territories.
async fn assert_granted(app: &TestApp, world: &World) {
    let agreements = app.stored::<Agreement>(world.tenant).await;
    let territories = app.stored::<Territory>(world.tenant).await;
    let mut expected: BTreeMap<(Uuid, Scope), i64> = BTreeMap::new();
    let mut reached: BTreeMap<Uuid, BTreeSet<Uuid>> = BTreeMap::new();
    for outlet in app.stored::<Outlet>(world.tenant).await.values() {
        let territory = id(&outlet.territory_id);
        let own = outlet.agreement_ids.iter().map(|agreement| &agreements[&id(agreement)]);
        let lists: Vec<&Agreement> = own.collect();
        for agreement in &lists {
            *expected.entry((territory, Scope::PriceList(id(&agreement.price_list_id)))).or_default() += 1;
        }
        let customers = lists.iter().map(|agreement| &agreement.customer_id).chain([&outlet.customer_id]);
        for customer in customers.filter(|customer| !customer.is_empty()) {
            reached.entry(id(customer)).or_default().insert(territory);
        }
    }
    for (territory, document) in &territories {
        *expected.entry((*territory, Scope::Warehouse(id(&document.warehouse_id)))).or_default() += 1;
    }
    let mut tx = app.core.db.read().await.expect("reads");
    for customer in &world.customers {
        let key = Reach::id(&Reaching::Customer(*customer));
        let (_, stored) = record::find(&mut tx, world.tenant, &[key]).await.expect("answers").remove(0);
        let reach = Reach::decode(stored.document).expect("a reach");
        let here = reached.remove(customer).unwrap_or_default();
        assert_eq!(reach.reached().map(|(territory, _)| territory).collect::<BTreeSet<_>>(), here);
        for territory in here.into_iter().filter(|_| reach.own_scope) {
            expected.insert((territory, Scope::Customer(*customer)), 1);
        }
    }
    let mut granted: BTreeMap<(Uuid, Scope), i64> = BTreeMap::new();
    for territory in territories.keys() {
        let key = Granted::id(&Scope::Territory(*territory));
        for (_, stored) in record::find(&mut tx, world.tenant, &[key]).await.expect("answers") {
            let counted = Granted::decode(stored.document).expect("grants").scopes;
            let scopes = counted.iter().map(|entry| (entry.scope.parse().expect("a scope"), entry.count));
            granted.extend(
                scopes
                    .filter(|(scope, _)| !matches!(scope, Scope::TerritoryMonth(..)))
                    .map(|(scope, count)| ((*territory, scope), count)),
            );
        }
    }
    tx.commit().await.expect("ends");
    assert_eq!(granted, expected);
}

/// Another tenant, whose rep and supervisor have the ids of ours.
async fn twin_tenant(app: &TestApp, world: &World) {
    let mut tx = app.core.db.write().await.expect("begins");
    let (_, hash) =
        account::find_user(&mut tx, world.tenant, world.anna.user).await.expect("answers").expect("is there");
    let tenant = account::create_tenant(&mut tx, "Twin").await.expect("answers").expect("is new");
    let user = |id, login: &str, role| User {
        tenant,
        id,
        login: login.to_owned(),
        role,
        rep: (role == Role::Rep).then_some(world.anna.rep),
        team: (role == Role::Supervisor).then_some(world.team),
        disabled: false,
    };
    let users = [
        user(world.anna.user, "anna", Role::Rep),
        user(world.supervisor, "sonja", Role::Supervisor),
        user(app.id(), "eve", Role::Admin),
    ];
    for user in users {
        assert!(account::insert_user(&mut tx, &user, &hash, app.now_us()).await.expect("answers"));
    }
    tx.commit().await.expect("commits");
}

async fn two_tenants_with_the_same_ids_have_nothing_to_do_with_each_other(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    twin_tenant(&app, &world).await;
    let installation = app.id();
    let token = async |tenant: &str, login: &str, device: Option<Uuid>| {
        let answer = roundsman::device::login(app.channel.clone(), (tenant, login, PASSWORD), device).await;
        answer.expect("logs in").tokens.expect("tokens").access_token
    };
    let (ours, theirs) =
        (token(TENANT, "anna", Some(installation)).await, token("Twin", "anna", Some(installation)).await);
    let (command, visit) = (app.id(), app.id());
    let first = captured(&app, command, 1, check_in(visit, world.anna.outlets[0]));
    assert_eq!(short(&push(&app, &ours, vec![first.clone()]).await), [APPLIED]);
    let check_out = CheckOut { visit_id: bytes(visit), productive: true, ..CheckOut::default() };
    let foreign = vec![first, captured(&app, app.id(), 2, Command::CheckOut(check_out))];
    assert_eq!(short(&push(&app, &theirs, foreign).await), [(Status::Rejected, Reason::NotFound); 2]);
    for login in ["anna", "sonja"] {
        let scope = format!("territory:{}", world.anna.territory);
        let request = PullRequest {
            protocol_version: 1,
            has_inventory: true,
            inventory: vec![HeldBucket { bucket_id: 1, scope, kind: 2, ..HeldBucket::default() }],
            staging: (1..60).map(|bucket_id| StagingCursor { bucket_id, ..StagingCursor::default() }).collect(),
            lagging: (1..60).map(|bucket_id| LaggingBucket { bucket_id, ..LaggingBucket::default() }).collect(),
            ..PullRequest::default()
        };
        let device = token("Twin", login, Some(app.id())).await;
        let answer = SyncServiceClient::new(app.channel.clone()).pull(by(&device, request)).await;
        let mut stream = answer.expect("opens").into_inner();
        while let Some(message) = stream.message().await.expect("goes on") {
            assert!(!matches!(message.message, Some(Message::Page(_))), "{login} gets {message:?}");
        }
    }
    let eve = token("Twin", "eve", None).await;
    let dismiss = DismissRep { rep_id: bytes(world.anna.rep), wipe: true };
    let dismissed = app.office_as(&eve, app.id(), Command::DismissRep(dismiss)).await.expect("is answered");
    assert_eq!(dismissed.reason(), Reason::NotFound);
    let device = account::device_id(installation, world.anna.user);
    let revoke = RevokeDevice { device_id: bytes(device), wipe: true };
    app.office_as(&eve, app.id(), Command::RevokeDevice(revoke)).await.expect("is answered");
    let check_out = CheckOut { visit_id: bytes(visit), productive: true, ..CheckOut::default() };
    let goes_on = captured(&app, app.id(), 2, Command::CheckOut(check_out));
    assert_eq!(push(&app, &ours, vec![goes_on]).await[0].status(), Status::Applied, "ours is not revoked");
    app.finish().await;
}

async fn one_command_from_two_devices_at_once_has_one_effect(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let (phone, tablet) = (app.device_token("anna").await, app.device_token("anna").await);
    let command = captured(&app, app.id(), 1, check_in(app.id(), world.anna.outlets[0]));
    let both = tokio::join!(push(&app, &phone, vec![command.clone()]), push(&app, &tablet, vec![command]));
    let mut statuses = [both.0[0].status(), both.1[0].status()];
    statuses.sort_unstable();
    assert_eq!(statuses, [Status::Applied, Status::Duplicate]);
    assert_eq!(app.stored::<Visit>(world.tenant).await.len(), 1);
    assert_verified(&app, &world).await;
    app.finish().await;
}

async fn an_id_belongs_to_whoever_used_it_first_desk_or_device(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let (phone, admin) = (app.device_token("anna").await, app.admin_token().await);
    let (mine, theirs) = (app.id(), app.id());
    push(&app, &phone, vec![captured(&app, mine, 1, check_in(app.id(), world.anna.outlets[0]))]).await;
    let moving = move_outlet(world.anna.outlets[1], world.boris.territory);
    let reused = app.office_as(&admin, mine, moving.clone()).await.expect("is answered");
    assert_eq!(reused.reason(), Reason::CommandIdReused);
    app.office_as(&admin, theirs, moving.clone()).await.expect("is answered");
    let repeated =
        vec![captured(&app, theirs, 2, moving), captured(&app, theirs, 3, check_in(app.id(), world.anna.outlets[0]))];
    assert_eq!(
        short(&push(&app, &phone, repeated).await),
        [(Status::Duplicate, Reason::Unspecified), (Status::Rejected, Reason::CommandIdReused)]
    );
    assert_verified(&app, &world).await;
    app.finish().await;
}

async fn an_edit_and_its_opposite_in_one_batch_are_both_kept(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let token = app.device_token("anna").await;
    let edit = |base: &str, value: &str| {
        let comment = Some(StringChange { base: base.to_owned(), value: value.to_owned() });
        Command::EditOutlet(EditOutlet { outlet_id: bytes(world.anna.outlets[0]), comment, ..EditOutlet::default() })
    };
    for round in 0..2 {
        let there = captured(&app, app.id(), 2 * round + 1, edit("", "closed on Mondays"));
        let back = captured(&app, app.id(), 2 * round + 2, edit("closed on Mondays", ""));
        assert_eq!(short(&push(&app, &token, vec![there, back]).await), [APPLIED; 2]);
    }
    assert_verified(&app, &world).await;
    app.finish().await;
}

/// Numbers at which arithmetic breaks, and moments at which calendars end.
const EXTREMES: [i64; 11] = [
    i64::MIN,
    -8_334_601_228_800_000_001,
    -8_334_601_228_800_000_000,
    -1,
    0,
    1,
    1_000_000_000_000,
    1_000_000_000_000_000,
    8_210_266_876_799_999_999,
    8_210_266_876_800_000_000,
    i64::MAX,
];

/// A whole number of 32 bits that is as extreme.
fn narrow(number: i64) -> i32 {
    i32::try_from(number.clamp(i32::MIN.into(), i32::MAX.into())).expect("is clamped")
}

/// Orders with one number where it does not belong.
fn extreme_orders(app: &TestApp, world: &World, number: i64) -> Vec<Command> {
    let submit = |change: &dyn Fn(&mut SubmitOrder)| {
        let (_, command) = order(app, world, &world.anna, 2, TODAY);
        let Command::SubmitOrder(mut submit) = command else { panic!("another command") };
        change(&mut submit);
        Command::SubmitOrder(submit)
    };
    vec![
        submit(&|order| order.lines[0].coefficient_milli = number),
        submit(&|order| order.lines[0].quantity_milli = number),
        submit(&|order| order.lines[0].price_version = number),
        submit(&|order| {
            for line in &mut order.lines {
                (line.quantity_milli, line.shown_price_minor) = (1_000_000_000_000, number);
            }
        }),
        submit(&|order| {
            for line in &mut order.lines {
                (line.quantity_milli, line.shown_price_minor) = (number, 1_000_000_000_000_000);
            }
        }),
        submit(&|order| (order.order_day, order.delivery_day) = (narrow(number), narrow(number))),
    ]
}

fn extreme_facts(app: &TestApp, world: &World, number: i64) -> Vec<Command> {
    let outlet_id = bytes(world.anna.outlets[1]);
    let point =
        GeoPoint { latitude_e7: -900_000_000, longitude_e7: 1_800_000_000, accuracy_m: narrow(number), mocked: false };
    let line = ClaimLine {
        line_id: bytes(app.id()),
        product_id: bytes(world.products[0]),
        claimed_milli: number,
        ..ClaimLine::default()
    };
    vec![
        Command::CheckIn(CheckIn {
            visit_id: bytes(app.id()),
            outlet_id: outlet_id.clone(),
            planned_day: narrow(number),
            point: Some(point),
        }),
        Command::CollectPayment(CollectPayment {
            payment_id: bytes(app.id()),
            outlet_id: outlet_id.clone(),
            customer_id: bytes(world.customers[1]),
            amount_minor: number,
            currency: CURRENCY.to_owned(),
            method: PaymentMethod::Cash.into(),
            ..CollectPayment::default()
        }),
        Command::FileClaim(FileClaim {
            reclamation_id: bytes(app.id()),
            outlet_id: outlet_id.clone(),
            cause: ReclamationCause::Damaged.into(),
            lines: vec![line],
            ..FileClaim::default()
        }),
        Command::AnswerSurvey(AnswerSurvey {
            response_id: bytes(app.id()),
            survey_id: bytes(app.id()),
            survey_version: number,
            outlet_id,
            ..AnswerSurvey::default()
        }),
        Command::RegisterOutlet(RegisterOutlet {
            outlet_id: bytes(app.id()),
            territory_id: bytes(world.anna.territory),
            name: "New".to_owned(),
            point: Some(point),
            ..RegisterOutlet::default()
        }),
    ]
}

async fn extreme_numbers_are_refused_or_taken_and_harm_nobody(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let token = app.device_token("anna").await;
    let mut commands = Vec::new();
    for number in EXTREMES {
        let mut here = extreme_orders(&app, &world, number);
        here.extend(extreme_facts(&app, &world, number));
        commands.extend(here.into_iter().map(|command| captured(&app, app.id(), 0, command)));
        for business_day in [i32::MIN, 0, 1, TODAY, i32::MAX] {
            let late = captured(&app, app.id(), 0, check_in(app.id(), world.anna.outlets[0]));
            commands.push(Captured { captured_at_us: number, business_day, ..late });
        }
    }
    for (seq, command) in (1..).zip(&mut commands) {
        command.seq = seq;
    }
    for some in commands.chunks(100) {
        for outcome in push(&app, &token, some.to_vec()).await {
            assert_ne!(outcome.status(), Status::Quarantined, "no rule panics: {outcome:?}");
        }
    }
    assert_verified(&app, &world).await;
    let mut anna = app.device("anna").await;
    app.sync(&mut anna).await;
    app.assert_converged(&anna, &world.caller(&world.anna)).await;
    app.finish().await;
}

fn extreme_document(world: &World, number: i64) -> (Order, Visit) {
    let line = OrderLine {
        product_id: bytes(world.products[0]),
        coefficient_milli: number,
        ordered_milli: number,
        confirmed_milli: number,
        price_minor: number,
        amount_minor: number,
        vat_minor: number,
        discount_bp: narrow(number),
        vat_bp: narrow(number),
        ..OrderLine::default()
    };
    let order = Order {
        outlet_id: bytes(world.anna.outlets[0]),
        customer_id: bytes(world.customers[0]),
        agreement_id: bytes(world.agreements[0]),
        rep_id: bytes(world.anna.rep),
        order_day: narrow(number),
        currency: CURRENCY.to_owned(),
        comment: "a\0b".to_owned(),
        status: OrderStatus::Closed.into(),
        value_minor: number,
        submitted_at_us: number,
        lines: vec![line.clone(), line],
        ..Order::default()
    };
    let visit = Visit {
        outlet_id: bytes(world.anna.outlets[0]),
        rep_id: bytes(world.anna.rep),
        day: narrow(number),
        state: VisitState::Completed.into(),
        checked_in_at_us: number,
        flags: vec![narrow(number)],
        ..Visit::default()
    };
    (order, visit)
}

async fn extreme_documents_of_another_system_harm_nobody(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let token = app.device_token("anna").await;
    for (round, number) in (0..).zip([i64::MIN, -1, i64::MAX]) {
        let (order, visit) = (app.id(), app.id());
        let (past_order, past_visit) = extreme_document(&world, number);
        import(&app, vec![entry(visit, Record::Visit(past_visit))]).await;
        let open = Order { status: OrderStatus::Confirmed.into(), ..past_order.clone() };
        for document in [past_order, open] {
            let records = vec![entry(order, Record::Order(document))];
            let outcome = app.office(Command::ImportRecords(ImportRecords { records })).await;
            assert_eq!(outcome.status(), Status::Rejected, "neither its numbers nor its state: {outcome:?}");
        }
        let cancel = CancelOrder { order_id: bytes(order), reason: "by mistake".to_owned() };
        let check_out = CheckOut { visit_id: bytes(visit), productive: true, ..CheckOut::default() };
        let commands = vec![
            captured(&app, app.id(), 2 * round + 1, Command::CancelOrder(cancel)),
            captured(&app, app.id(), 2 * round + 2, Command::CheckOut(check_out)),
        ];
        for outcome in push(&app, &token, commands).await {
            assert_ne!(outcome.status(), Status::Quarantined, "{outcome:?}");
        }
    }
    assert_verified(&app, &world).await;
    let mut anna = app.device("anna").await;
    app.sync(&mut anna).await;
    app.assert_converged(&anna, &world.caller(&world.anna)).await;
    app.finish().await;
}

/// Commands of the server's own, in one batch.
async fn batch(app: &TestApp, world: &World, commands: Vec<Command>) -> Vec<Outcome> {
    let now_us = app.now_us();
    let submitted = |command| Submitted {
        id: app.id(),
        seq: 0,
        captured_at_us: now_us,
        clock_correction_us: 0,
        business_day: TODAY,
        body: encoded(command).into(),
    };
    let submission = Submission {
        issuer: Issuer::Server,
        sender: None,
        request: "batch".to_owned(),
        received_at_us: now_us,
        released: false,
        commands: commands.into_iter().map(submitted).collect(),
    };
    let answer = app.core.lanes.of(world.tenant).submit(submission).await.expect("the lane answers");
    answer.results.into_iter().map(|result| result.outcome.expect("an outcome")).collect()
}

async fn assert_all_converge(app: &TestApp, world: &World, devices: &mut [TestDevice; 3]) {
    assert_verified(app, world).await;
    let callers = [world.caller(&world.anna), world.caller(&world.boris), world.supervisor_caller()];
    for (device, caller) in devices.iter_mut().zip(&callers) {
        app.sync(device).await;
        app.assert_converged(device, caller).await;
    }
}

async fn outlets_that_swap_and_turn_back_in_one_batch_are_where_they_belong(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let mut devices = [app.device("anna").await, app.device("boris").await, app.device("sonja").await];
    let made = app.decide(&mut devices[0], check_in(app.id(), world.anna.outlets[0])).await;
    assert_eq!(made.status(), Status::Applied);
    assert_all_converge(&app, &world, &mut devices).await;
    let (north, south) = (world.anna.territory, world.boris.territory);
    let (one, other, third) = (world.anna.outlets[0], world.boris.outlets[0], world.anna.outlets[1]);
    let commands = vec![
        move_outlet(one, south),
        move_outlet(other, north),
        move_outlet(third, south),
        move_outlet(third, app.id()),
        move_outlet(third, north),
    ];
    let outcomes = batch(&app, &world, commands).await;
    assert_eq!(short(&outcomes), [APPLIED, APPLIED, APPLIED, (Status::Rejected, Reason::NotFound), APPLIED]);
    assert_all_converge(&app, &world, &mut devices).await;
    let merge = ArchiveOutlet { outlet_id: bytes(one), survivor_id: bytes(third) };
    assert_eq!(short(&batch(&app, &world, vec![Command::ArchiveOutlet(merge)]).await), [APPLIED]);
    assert_all_converge(&app, &world, &mut devices).await;
    app.finish().await;
}

async fn a_customer_that_spreads_and_shrinks_is_granted_where_its_outlets_are(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let mut devices = [app.device("anna").await, app.device("boris").await, app.device("sonja").await];
    let (territories, outlets): (Vec<Uuid>, Vec<Uuid>) = (0..20).map(|_| (app.id(), app.id())).unzip();
    let other_list = app.id();
    let list =
        PriceList { name: "B".to_owned(), currency: CURRENCY.to_owned(), vat_included: false, ..PriceList::default() };
    let territory = Territory {
        name: "Another".to_owned(),
        team_id: bytes(world.team),
        time_zone: "Europe/Helsinki".to_owned(),
        warehouse_id: bytes(world.warehouse),
        ..Territory::default()
    };
    let mut records = vec![entry(other_list, Record::PriceList(list))];
    records.extend(territories.iter().map(|id| entry(*id, Record::Territory(territory.clone()))));
    import(&app, records).await;
    for spread in [14, 15, 20] {
        let outlet = |index: usize| Outlet {
            name: "Another".to_owned(),
            territory_id: bytes(territories[index]),
            customer_id: bytes(world.customers[0]),
            agreement_ids: vec![bytes(world.agreements[0])],
            status: OutletStatus::Active.into(),
            ..Outlet::default()
        };
        let records = (0..spread).map(|index| entry(outlets[index], Record::Outlet(outlet(index))));
        import(&app, records.collect()).await;
        assert_all_converge(&app, &world, &mut devices).await;
    }
    let agreement = Agreement { price_list_id: bytes(other_list), ..world.agreement(0) };
    import(&app, vec![entry(world.agreements[0], Record::Agreement(agreement))]).await;
    assert_all_converge(&app, &world, &mut devices).await;
    let home = outlets.iter().map(|outlet| move_outlet(*outlet, territories[0])).collect();
    assert!(batch(&app, &world, home).await.iter().all(|outcome| outcome.status() == Status::Applied));
    assert_all_converge(&app, &world, &mut devices).await;
    let gone = outlets.iter().map(|outlet| ArchiveOutlet { outlet_id: bytes(*outlet), ..ArchiveOutlet::default() });
    batch(&app, &world, gone.map(Command::ArchiveOutlet).collect()).await;
    assert_all_converge(&app, &world, &mut devices).await;
    app.finish().await;
}

async fn a_territory_and_a_rep_that_change_teams_leave_the_old_ones_supervisor(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let mut sonja = app.device("sonja").await;
    app.sync(&mut sonja).await;
    let (team, warehouse) = (app.id(), app.id());
    let territory = Territory {
        name: "North".to_owned(),
        team_id: bytes(team),
        time_zone: "Europe/Helsinki".to_owned(),
        warehouse_id: bytes(warehouse),
        ..Territory::default()
    };
    let rep = Rep { name: "anna".to_owned(), team_id: bytes(team), status: RepStatus::Active.into(), ..Rep::default() };
    let records = vec![
        entry(team, Record::Team(Team { name: "Country".to_owned(), ..Team::default() })),
        entry(warehouse, Record::Warehouse(Warehouse { name: "North".to_owned(), ..Warehouse::default() })),
        entry(world.anna.territory, Record::Territory(territory)),
        entry(world.anna.rep, Record::Rep(rep)),
    ];
    import(&app, records).await;
    assert_verified(&app, &world).await;
    app.sync(&mut sonja).await;
    app.assert_converged(&sonja, &world.supervisor_caller()).await;
    assert!(app.shown::<Outlet>(&sonja, world.anna.outlets[0]).is_none());
    assert!(app.shown::<Rep>(&sonja, world.anna.rep).is_none());
    app.finish().await;
}

async fn a_follower_that_misses_hundreds_of_commits_catches_up(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let mut anna = app.device("anna").await;
    let mut stream = anna.open(app.now_us(), true, &mut Default::default()).await.expect("opens");
    for round in 0..400 {
        app.office(set_price(&world, round % 10, 2_000 + i64::try_from(round).expect("small"))).await;
    }
    app.office(move_outlet(world.boris.outlets[0], world.anna.territory)).await;
    let last = app.version(world.tenant).await;
    while !anna.replica.covers(last) {
        let next = tokio::time::timeout(Duration::from_secs(25), stream.message()).await.expect("hears in time");
        let message = next.expect("goes on").expect("does not end");
        anna.take(message, &mut Default::default()).expect("takes it");
    }
    app.assert_converged(&anna, &world.caller(&world.anna)).await;
    app.finish().await;
}

/// More than fits into one cut, so that a first sync goes group by group.
async fn many_articles(app: &TestApp) {
    for part in 0..4_u8 {
        let article = |number: u32| {
            let letters = (0..190).map(|place| b'a' + (number * 7 + place * place * 31 + u32::from(part)) as u8 % 26);
            let name = String::from_utf8(letters.collect()).expect("letters");
            let code = name.chars().rev().collect();
            entry(app.id(), Record::Product(Product { name, code, ..Product::default() }))
        };
        import(app, (0..500).map(article).collect()).await;
    }
}

/// One change after the other: outlets and territories come and go, a bucket comes into being.
fn change(app: &TestApp, world: &World, number: usize) -> Command {
    let (anna, boris) = (&world.anna, &world.boris);
    match number {
        0 => move_outlet(anna.outlets[0], boris.territory),
        1 => hand_over(app, (anna, boris), anna.territory),
        2 => move_outlet(boris.outlets[0], anna.territory),
        3 => hand_over(app, (boris, anna), anna.territory),
        4 => hand_over(app, (boris, anna), boris.territory),
        5 => {
            let survey = Survey { title: "Shelves".to_owned(), ..Survey::default() };
            Command::ImportRecords(ImportRecords { records: vec![entry(app.id(), Record::Survey(survey))] })
        }
        6 => move_outlet(anna.outlets[0], anna.territory),
        7 => move_outlet(boris.outlets[0], boris.territory),
        8 => hand_over(app, (anna, boris), boris.territory),
        _ => set_price(world, number % 10, 3_000 + i64::try_from(number).expect("small")),
    }
}

async fn whatever_changes_between_two_messages_of_a_first_sync_it_converges(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    many_articles(&app).await;
    for pace in [1, 2, 4] {
        let mut anna = app.device("anna").await;
        let mut stream = anna.open(app.now_us(), false, &mut Default::default()).await.expect("opens");
        let (mut messages, mut changes) = (0, 0);
        while let Some(message) = stream.message().await.expect("goes on") {
            let event = anna.take(message, &mut Default::default()).expect("takes it");
            assert!(!matches!(&event, Event::Checkpoint { damaged, .. } if !damaged.is_empty()), "{event:?}");
            messages += 1;
            if messages % pace == 0 && changes < 14 {
                app.office(change(&app, &world, changes)).await;
                changes += 1;
            }
        }
        anna.replica.cut();
        app.sync(&mut anna).await;
        app.assert_converged(&anna, &world.caller(&world.anna)).await;
    }
    assert_verified(&app, &world).await;
    app.finish().await;
}

/// A die that falls the same way in every run.
struct Die(u64);

impl Die {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn index(&mut self, sides: u64) -> usize {
        usize::try_from(self.roll(sides)).expect("small")
    }
}

/// A pull of some kinds and groups, which may be cut.
async fn some_pull(app: &TestApp, (device, token): (&mut TestDevice, &str), die: &mut Die) {
    let kinds = [(1..6).collect(), (1..20).collect(), Vec::new(), Vec::new()][die.index(4)].clone();
    let want = Want { kinds, today_only: die.roll(2) == 0, ..Want::default() };
    let mut left = if die.roll(3) == 0 { die.roll(6) } else { u64::MAX };
    for _ in 0..2 {
        let request = by(token, device.replica.request(&want).expect("reads"));
        let answer = SyncServiceClient::new(app.channel.clone()).pull(request).await;
        let mut stream = answer.expect("opens").into_inner();
        let mut again = false;
        while left > 0
            && let Some(message) = stream.message().await.expect("goes on")
        {
            left -= 1;
            let event = device.replica.receive(message).expect("takes it");
            assert!(!matches!(&event, Event::Checkpoint { damaged, .. } if !damaged.is_empty()), "{event:?}");
            assert!(!matches!(event, Event::Fork { .. }), "nothing was lost");
            again |= event == Event::InventoryWanted;
        }
        device.replica.cut();
        if !again {
            return;
        }
    }
}

async fn some_change(app: &TestApp, world: &World, die: &mut Die) {
    let reps = [&world.anna, &world.boris];
    let (one, other) = (die.index(2), die.index(2));
    match die.roll(5) {
        0 => drop(app.office(move_outlet(reps[one].outlets[die.index(2)], reps[other].territory)).await),
        1 => drop(app.office(hand_over(app, (reps[one], reps[1 - one]), reps[other].territory)).await),
        2 => drop(
            app.office(set_price(world, die.index(10), 1_000 + i64::try_from(die.roll(1_000)).expect("small"))).await,
        ),
        3 => {
            let outlet_id = bytes(world.anna.outlets[die.index(2)]);
            let visit = Visit { outlet_id, state: VisitState::Missed.into(), ..Visit::default() };
            let mut old = entry(app.id(), Record::Visit(visit));
            old.closed_month = [202_609, 202_610, 202_611][die.index(3)];
            import(app, vec![old]).await;
        }
        _ => {
            let horizon = app.version(world.tenant).await - 1 - i64::try_from(die.roll(6)).expect("small");
            let advance = roundsman_proto::trade::AdvanceHorizon { horizon };
            app.server(world.tenant, Command::AdvanceHorizon(advance)).await;
            Jobs::new(Arc::clone(&app.core)).run_due(world.tenant).await.expect("runs");
        }
    }
}

async fn pulls_of_all_sorts_in_any_order_converge(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    for seed in 1..=8 {
        let mut die = Die(0x9e37_79b9_7f4a_7c15 ^ seed);
        let mut anna = app.device("anna").await;
        let token = app.device_token("anna").await;
        for _ in 0..25 {
            if die.roll(2) == 0 {
                some_pull(&app, (&mut anna, &token), &mut die).await;
            } else {
                some_change(&app, &world, &mut die).await;
            }
        }
        app.sync(&mut anna).await;
        app.assert_converged(&anna, &world.caller(&world.anna)).await;
        assert_verified(&app, &world).await;
    }
    app.finish().await;
}

async fn what_only_the_server_writes_cannot_be_written_by_a_device(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let anna = app.device_token("anna").await;
    let before = app.version(world.tenant).await;
    let forged = [
        roundsman_sync::trade::visit::RepDay::id(&(world.boris.rep, TODAY)),
        roundsman::internal::Restampings::id(&()),
        Granted::id(&Scope::Rep(world.boris.rep)),
        Granted::id(&Scope::Rep(Uuid::from_u128(77))),
    ];
    for (seq, id) in (1..).zip(forged) {
        let outcomes =
            push(&app, &anna, vec![captured(&app, app.id(), seq, check_in(id, world.anna.outlets[0]))]).await;
        let refused = matches!(outcomes[0].reason(), Reason::BadId | Reason::IdOfAnotherKind);
        assert!(outcomes[0].status() == Status::Rejected && refused, "{:?}", short(&outcomes));
    }
    assert_eq!(app.version(world.tenant).await, before);
    let job = roundsman::internal::server_id("a job");
    let request = PushRequest {
        protocol_version: 1,
        commands: vec![captured(&app, job, 5, check_in(app.id(), world.anna.outlets[0]))],
        ..PushRequest::default()
    };
    let request = roundsman::device::authorized(&anna, request).expect("a request");
    let refused = SyncServiceClient::new(app.channel.clone()).push(request).await.expect_err("is refused");
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    app.finish().await;
}

async fn a_document_never_grows_larger_than_a_device_takes(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let (mut anna, mut sonja) = (app.device("anna").await, app.device("sonja").await);
    app.sync(&mut anna).await;
    app.sync(&mut sonja).await;
    let long = "\u{1F600}".repeat(200);
    let mut reasons = Vec::new();
    for _ in 0..2 {
        let contact = || Contact {
            contact_id: bytes(app.id()),
            name: long.clone(),
            position: long.clone(),
            phone: long.clone(),
            email: long.clone(),
        };
        let add = |_| ContactEdit { edit: Some(contact_edit::Edit::Add(contact())) };
        let contacts = (0..50).map(add).collect();
        let edit = EditOutlet { outlet_id: bytes(world.anna.outlets[0]), contacts, ..EditOutlet::default() };
        reasons.push(app.decide(&mut anna, Command::EditOutlet(edit)).await.reason());
    }
    assert_eq!(reasons[1], Reason::LimitExceeded);
    app.sync(&mut sonja).await;
    app.assert_converged(&sonja, &world.supervisor_caller()).await;
    app.finish().await;
}

async fn an_import_may_change_the_customers_of_hundreds_of_outlets(kind: Kind) {
    const OUTLETS: usize = 300;
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let ids = |count| (0..count).map(|_| app.id()).collect::<Vec<_>>();
    let (customers, outlets) = (ids(2 * OUTLETS), ids(OUTLETS));
    let customer = |id: &Uuid| entry(*id, Record::Customer(Customer { name: "C".to_owned(), ..Customer::default() }));
    assert_eq!(import(&app, customers.iter().map(customer).collect()).await.status(), Status::Applied);
    for round in 0..2 {
        let outlet = |(index, id): (usize, &Uuid)| {
            let outlet = Outlet {
                name: "O".to_owned(),
                territory_id: bytes(world.anna.territory),
                customer_id: bytes(customers[index + round * OUTLETS]),
                status: OutletStatus::Active.into(),
                ..Outlet::default()
            };
            entry(*id, Record::Outlet(outlet))
        };
        let outcome = import(&app, outlets.iter().enumerate().map(outlet).collect()).await;
        assert_eq!(outcome.status(), Status::Applied, "{outcome:?}");
    }
    assert_verified(&app, &world).await;
    app.finish().await;
}
