//! What must be refused gets a status with a stable reason, and changes nothing.

use roundsman_proto::admin::CreateUserRequest;
use roundsman_proto::admin::admin_service_client::AdminServiceClient;
use roundsman_proto::auth::Role;
use roundsman_proto::sync::sync_service_client::SyncServiceClient;
use roundsman_proto::sync::{Command as Captured, HeldBucket, PullRequest, PushRequest, Status as Decision};
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::{CheckIn, GeoPoint, MoveOutlet, Outlet, PriceToSet, Reason, SetPrices, Visit};
use roundsman_tests::app::{PASSWORD, TODAY, TestApp, encoded};
use roundsman_tests::database::Kind;
use roundsman_tests::world::{World, bytes, place};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use uuid::Uuid;

on_both_databases!(
    a_call_without_a_good_token_is_refused,
    a_call_of_another_role_is_refused,
    a_malformed_push_is_refused_whole,
    a_malformed_pull_is_refused,
    a_command_with_impossible_values_is_rejected_with_its_field,
    a_wrong_office_command_changes_nothing,
    a_dead_database_is_told_as_try_again,
);

/// The code and the stable reason of a refusal.
fn refusal(status: &Status) -> (Code, String) {
    let info = status.get_details_error_info().expect("a machine-readable reason");
    assert_eq!(info.domain, "roundsman");
    (status.code(), info.reason)
}

fn no(code: Code, reason: &str) -> (Code, String) {
    (code, reason.to_owned())
}

async fn push(app: &TestApp, token: &str, request: PushRequest) -> Result<Vec<(Decision, Reason, String)>, Status> {
    let request = roundsman::device::authorized(token, request).map_err(|status| *status)?;
    let answer = SyncServiceClient::new(app.channel.clone()).push(request).await?.into_inner();
    let outcomes = answer.results.into_iter().filter_map(|result| result.outcome);
    Ok(outcomes.map(|outcome| (outcome.status(), outcome.reason(), outcome.text)).collect())
}

async fn pull(app: &TestApp, token: &str, request: PullRequest) -> Result<usize, Status> {
    let request = roundsman::device::authorized(token, request).map_err(|status| *status)?;
    let mut stream = SyncServiceClient::new(app.channel.clone()).pull(request).await?.into_inner();
    let mut messages = 0;
    while stream.message().await?.is_some() {
        messages += 1;
    }
    Ok(messages)
}

fn one(app: &TestApp, command: Captured) -> PushRequest {
    PushRequest {
        protocol_version: 1,
        device_clock_us: app.now_us(),
        commands: vec![command],
        ..PushRequest::default()
    }
}

fn captured(app: &TestApp, body: Vec<u8>) -> Captured {
    Captured {
        command_id: bytes(app.id()),
        seq: 1,
        captured_at_us: app.now_us(),
        business_day: TODAY,
        body: body.into(),
    }
}

async fn a_call_without_a_good_token_is_refused(kind: Kind) {
    let app = TestApp::start(kind).await;
    World::make(&app).await;
    let good = app.device_token("anna").await;
    let pulled = |token: String| {
        let app = &app;
        async move { refusal(&pull(app, &token, PullRequest::default()).await.expect_err("is refused")) }
    };
    assert_eq!(pulled("nonsense".to_owned()).await, no(Code::Unauthenticated, "TOKEN_INVALID"));
    let mut forged = good.clone();
    forged.replace_range(good.len() - 8..good.len() - 4, "AAAA");
    assert_eq!(pulled(forged).await, no(Code::Unauthenticated, "TOKEN_INVALID"));
    app.pass(16);
    assert_eq!(pulled(good).await, no(Code::Unauthenticated, "TOKEN_EXPIRED"));
    app.finish().await;
}

async fn a_call_of_another_role_is_refused(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let rep = app.device_token("anna").await;
    let request = CreateUserRequest {
        user_id: bytes(app.id()),
        login: "eve".to_owned(),
        password: PASSWORD.to_owned(),
        role: Role::Admin.into(),
        ..CreateUserRequest::default()
    };
    let request = roundsman::device::authorized(&rep, request).expect("a request");
    let denied = AdminServiceClient::new(app.channel.clone()).create_user(request).await.expect_err("is refused");
    assert_eq!(refusal(&denied), no(Code::PermissionDenied, "ROLE_NOT_ALLOWED"));
    let set = Command::SetPrices(SetPrices { prices: Vec::new() });
    let denied = app.office_as(&rep, app.id(), set).await.expect_err("is refused");
    assert_eq!(refusal(&denied), no(Code::PermissionDenied, "ROLE_NOT_ALLOWED"));
    let desk = app.token("anna").await;
    let denied = pull(&app, &desk, PullRequest::default()).await.expect_err("is refused");
    assert_eq!(refusal(&denied), no(Code::PermissionDenied, "DEVICE_NEEDED"));
    assert!(app.stored::<Visit>(world.tenant).await.is_empty());
    app.finish().await;
}

async fn a_malformed_push_is_refused_whole(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let token = app.device_token("anna").await;
    let good = Command::CheckIn(CheckIn {
        visit_id: bytes(app.id()),
        outlet_id: bytes(world.anna.outlets[0]),
        planned_day: 0,
        point: Some(place()),
    });
    let good = captured(&app, encoded(good));
    let with = |change: fn(&mut PushRequest)| {
        let mut request = one(&app, good.clone());
        change(&mut request);
        request
    };
    let cases = [
        (with(|r| r.protocol_version = 2), "UNKNOWN_VALUE"),
        (with(|r| r.app_version = "x".repeat(65)), "TOO_LONG"),
        (with(|r| r.app_version = "a\0b".to_owned()), "NUL_CHARACTER"),
        (with(|r| r.commands[0].command_id = vec![1; 15]), "BAD_ID"),
        (with(|r| r.commands[0].command_id = Vec::new()), "MISSING_FIELD"),
        (with(|r| r.commands[0].seq = 0), "OUT_OF_RANGE"),
        (with(|r| r.commands[0].body = vec![0; 256 * 1024 + 1].into()), "LIMIT_EXCEEDED"),
        (with(|r| r.commands = vec![r.commands[0].clone(); 257]), "LIMIT_EXCEEDED"),
    ];
    for (request, reason) in cases {
        let refused = push(&app, &token, request).await.expect_err(reason);
        assert_eq!(refusal(&refused), no(Code::InvalidArgument, reason));
    }
    assert!(app.stored::<Visit>(world.tenant).await.is_empty(), "nothing of it was done");
    let answer = push(&app, &token, one(&app, good)).await.expect("the good one passes");
    assert_eq!(answer[0].0, Decision::Applied);
    app.finish().await;
}

async fn a_malformed_pull_is_refused(kind: Kind) {
    let app = TestApp::start(kind).await;
    World::make(&app).await;
    let token = app.device_token("anna").await;
    let request = PullRequest { protocol_version: 1, ..PullRequest::default() };
    let held = HeldBucket { scope: "tenant".to_owned(), kind: 4, ..HeldBucket::default() };
    let cases = [
        (PullRequest { protocol_version: 9, ..request.clone() }, "UNKNOWN_VALUE"),
        (PullRequest { kinds: vec![1; 1_001], ..request.clone() }, "LIMIT_EXCEEDED"),
        (PullRequest { inventory: vec![held; 6_001], ..request.clone() }, "LIMIT_EXCEEDED"),
    ];
    for (request, reason) in cases {
        let refused = pull(&app, &token, request).await.expect_err(reason);
        assert_eq!(refusal(&refused), no(Code::InvalidArgument, reason));
    }
    let unknown_kinds = PullRequest { kinds: vec![999], ..request };
    assert_eq!(pull(&app, &token, unknown_kinds).await.expect("is served"), 1, "a checkpoint of nothing");
    app.finish().await;
}

async fn a_command_with_impossible_values_is_rejected_with_its_field(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let token = app.device_token("anna").await;
    let check_in = |change: fn(&mut CheckIn)| {
        let mut command = CheckIn {
            visit_id: bytes(app.id()),
            outlet_id: bytes(world.anna.outlets[0]),
            planned_day: 0,
            point: Some(place()),
        };
        change(&mut command);
        Command::CheckIn(command)
    };
    let cases = [
        (check_in(|c| c.visit_id.clear()), Reason::MissingField),
        (check_in(|c| c.visit_id = vec![0; 16]), Reason::BadId),
        (check_in(|c| c.outlet_id = vec![7; 3]), Reason::BadId),
        (check_in(|c| c.outlet_id = vec![7; 16]), Reason::NotFound),
        (check_in(|c| c.point = Some(GeoPoint { latitude_e7: i32::MAX, ..place() })), Reason::OutOfRange),
        (check_in(|c| c.planned_day = -1), Reason::OutOfRange),
    ];
    for (seq, (command, reason)) in (1..).zip(cases) {
        let mut request = one(&app, captured(&app, encoded(command)));
        request.commands[0].seq = seq;
        let answer = push(&app, &token, request).await.expect("is answered");
        assert_eq!((answer[0].0, answer[0].1), (Decision::Rejected, reason), "{}", answer[0].2);
    }
    assert!(app.stored::<Visit>(world.tenant).await.is_empty());
    app.finish().await;
}

async fn a_wrong_office_command_changes_nothing(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let price = |price_minor| PriceToSet { price_id: bytes(world.prices[0]), price: Some(world.price(0, price_minor)) };
    let outcome = app.office(Command::SetPrices(SetPrices { prices: vec![price(-1)] })).await;
    assert_eq!((outcome.status(), outcome.reason()), (Decision::Rejected, Reason::OutOfRange), "{outcome:?}");
    let outcome = app.office(Command::SetPrices(SetPrices { prices: vec![price(i64::MAX)] })).await;
    assert_eq!((outcome.status(), outcome.reason()), (Decision::Rejected, Reason::OutOfRange), "{outcome:?}");
    let nowhere = MoveOutlet { outlet_id: bytes(world.anna.outlets[0]), territory_id: bytes(Uuid::from_u128(5)) };
    let outcome = app.office(Command::MoveOutlet(nowhere)).await;
    assert_eq!((outcome.status(), outcome.reason()), (Decision::Rejected, Reason::NotFound), "{outcome:?}");
    let other_kind = MoveOutlet { outlet_id: bytes(world.products[0]), territory_id: bytes(world.boris.territory) };
    let outcome = app.office(Command::MoveOutlet(other_kind)).await;
    assert_eq!((outcome.status(), outcome.reason()), (Decision::Rejected, Reason::IdOfAnotherKind), "{outcome:?}");
    let outlet = app.stored::<Outlet>(world.tenant).await.remove(&world.anna.outlets[0]).expect("the outlet");
    assert_eq!(outlet.territory_id, bytes(world.anna.territory));
    app.finish().await;
}

async fn a_dead_database_is_told_as_try_again(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let mut anna = app.device("anna").await;
    app.sync(&mut anna).await;
    let command = CheckIn {
        visit_id: bytes(app.id()),
        outlet_id: bytes(world.anna.outlets[0]),
        planned_day: 0,
        point: Some(place()),
    };
    app.capture(&mut anna, Command::CheckIn(command));
    app.core.db.close().await;
    let error = anna.sync(app.now_us()).await.expect_err("can't be carried out");
    assert!(
        matches!(&error, roundsman::device::DeviceError::Call(status) if status.code() == Code::Unavailable),
        "{error}"
    );
    assert_eq!(anna.outbox.waiting(), 1, "nothing is lost");
    app.abandon().await;
}
