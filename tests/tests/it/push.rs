//! Exactly once, whatever is repeated, lost, reordered or killed; and one bad command harms only itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use roundsman::fail::FailPoints;
use roundsman_proto::sync::sync_service_client::SyncServiceClient;
use roundsman_proto::sync::{Command as Captured, PushRequest, PushResponse, Status};
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::{CheckIn, Outlet, Reason, SetPrices, Visit};
use roundsman_tests::app::{TODAY, TestApp, encoded};
use roundsman_tests::database::Kind;
use roundsman_tests::world::{World, bytes, check_in};
use tonic::Code;
use uuid::Uuid;

on_both_databases!(
    c01_a_repeated_push_gets_the_same_outcome_and_has_one_effect,
    c01_a_command_under_another_number_is_a_duplicate,
    c02_a_command_id_with_another_body_is_rejected_and_nothing_else,
    a_gap_is_answered_with_the_number_that_is_expected,
    a_command_under_an_earlier_number_than_it_was_decided_under_gets_a_new_one,
    c27_one_bad_command_does_not_keep_the_others_back,
    whatever_fails_on_the_way_a_repeat_has_one_effect,
    what_the_server_cannot_read_is_kept_in_quarantine,
    a_device_that_is_ahead_of_the_server_is_told_of_the_fork,
);

fn captured(app: &TestApp, id: Uuid, seq: i64, command: Command) -> Captured {
    Captured {
        command_id: bytes(id),
        seq,
        captured_at_us: app.now_us(),
        business_day: TODAY,
        body: encoded(command).into(),
    }
}

async fn try_push(
    app: &TestApp,
    token: &str,
    commands: Vec<Captured>,
    last_outcome_seq: i64,
) -> Result<PushResponse, Box<tonic::Status>> {
    let request = PushRequest {
        protocol_version: 1,
        device_clock_us: app.now_us(),
        commands,
        last_outcome_seq,
        ..PushRequest::default()
    };
    let request = roundsman::device::authorized(token, request)?;
    let answer = SyncServiceClient::new(app.channel.clone()).push(request).await.map_err(Box::new)?;
    Ok(answer.into_inner())
}

async fn push(app: &TestApp, token: &str, commands: Vec<Captured>) -> PushResponse {
    try_push(app, token, commands, 0).await.expect("is answered")
}

fn statuses(response: &PushResponse) -> Vec<(Status, Reason)> {
    let outcomes = response.results.iter().map(|result| result.outcome.clone().expect("an outcome"));
    outcomes.map(|outcome| (outcome.status(), outcome.reason())).collect()
}

const APPLIED: (Status, Reason) = (Status::Applied, Reason::Unspecified);

async fn visits(app: &TestApp, world: &World) -> usize {
    app.stored::<Visit>(world.tenant).await.len()
}

async fn c01_a_repeated_push_gets_the_same_outcome_and_has_one_effect(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let token = app.device_token("anna").await;
    let command = captured(&app, app.id(), 1, check_in(app.id(), world.anna.outlets[0]));
    let first = push(&app, &token, vec![command.clone()]).await;
    assert_eq!(statuses(&first), [APPLIED]);
    app.pass(5);
    let second = push(&app, &token, vec![command.clone(), command]).await;
    assert_eq!(statuses(&second), [APPLIED, APPLIED]);
    assert!(second.version >= first.version);
    assert_eq!(visits(&app, &world).await, 1);
    app.finish().await;
}

async fn c01_a_command_under_another_number_is_a_duplicate(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let token = app.device_token("anna").await;
    let (id, visit) = (app.id(), app.id());
    let command = |seq| captured(&app, id, seq, check_in(visit, world.anna.outlets[0]));
    push(&app, &token, vec![command(1)]).await;
    let again = push(&app, &token, vec![command(2)]).await;
    assert_eq!(statuses(&again), [(Status::Duplicate, Reason::Unspecified)]);
    let outcome = again.results[0].outcome.clone().expect("an outcome");
    assert_eq!(outcome.first_status(), Status::Applied);
    assert_eq!(visits(&app, &world).await, 1);
    // The number is used up: the next command has the one after it.
    let next = captured(&app, app.id(), 3, Command::CheckIn(CheckIn::default()));
    assert_eq!(push(&app, &token, vec![next]).await.expected_seq, 0);
    app.finish().await;
}

async fn c02_a_command_id_with_another_body_is_rejected_and_nothing_else(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let token = app.device_token("anna").await;
    let id = app.id();
    let first = captured(&app, id, 1, check_in(app.id(), world.anna.outlets[0]));
    let other = captured(&app, id, 2, check_in(app.id(), world.anna.outlets[1]));
    push(&app, &token, vec![first.clone()]).await;
    for _ in 0..2 {
        let answer = push(&app, &token, vec![other.clone()]).await;
        assert_eq!(statuses(&answer), [(Status::Rejected, Reason::CommandIdReused)]);
    }
    assert_eq!(statuses(&push(&app, &token, vec![first]).await), [APPLIED]);
    assert_eq!(visits(&app, &world).await, 1);
    app.finish().await;
}

async fn a_gap_is_answered_with_the_number_that_is_expected(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let token = app.device_token("anna").await;
    let command = |seq| captured(&app, app.id(), seq, check_in(app.id(), world.anna.outlets[0]));
    let answer = push(&app, &token, vec![command(1), command(3)]).await;
    assert_eq!((answer.results.len(), answer.expected_seq), (1, 2));
    let old_number = push(&app, &token, vec![command(1)]).await;
    assert_eq!((old_number.results.len(), old_number.expected_seq), (0, 2), "another command under an old number");
    assert_eq!(visits(&app, &world).await, 1);
    app.finish().await;
}

/// Or the device would believe that it is done with a number that a restored server still has, without the command.
async fn a_command_under_an_earlier_number_than_it_was_decided_under_gets_a_new_one(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let token = app.device_token("anna").await;
    let (id, visit) = (app.id(), app.id());
    let other = || captured(&app, app.id(), 1, check_in(app.id(), Uuid::from_u128(404)));
    let command = |seq| captured(&app, id, seq, check_in(visit, world.anna.outlets[0]));
    assert_eq!(statuses(&push(&app, &token, vec![other(), command(2)]).await)[1], APPLIED);
    let earlier = push(&app, &token, vec![command(1)]).await;
    assert_eq!((earlier.results.len(), earlier.expected_seq), (0, 3));
    for seq in [3, 3, 2] {
        let again = push(&app, &token, vec![command(seq)]).await;
        let outcome = again.results[0].outcome.clone().expect("an outcome");
        let first = if seq == 2 { outcome.status() } else { outcome.first_status() };
        assert_eq!((first, again.expected_seq), (Status::Applied, 0), "{outcome:?}");
    }
    // The same from another phone of hers: under a number that is used up there it may not be a repeat either.
    let token = app.device_token("anna").await;
    push(&app, &token, vec![other()]).await;
    assert_eq!(push(&app, &token, vec![command(1)]).await.expected_seq, 2);
    assert_eq!(statuses(&push(&app, &token, vec![command(2)]).await), [(Status::Duplicate, Reason::Unspecified)]);
    assert_eq!(visits(&app, &world).await, 1);
    app.finish().await;
}

async fn c27_one_bad_command_does_not_keep_the_others_back(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let token = app.device_token("anna").await;
    let mut commands = vec![
        captured(&app, app.id(), 1, Command::SetPrices(SetPrices::default())),
        captured(&app, app.id(), 2, check_in(app.id(), world.boris.outlets[0])),
        captured(&app, app.id(), 3, check_in(app.id(), Uuid::from_u128(404))),
        captured(&app, app.id(), 4, Command::CheckIn(CheckIn::default())),
        captured(&app, app.id(), 5, check_in(app.id(), world.anna.outlets[0])),
        captured(&app, app.id(), 6, check_in(app.id(), world.anna.outlets[1])),
    ];
    // A command of a newer app, and something that is no command at all.
    commands[3].body = vec![0xba, 0x3e, 0x00].into();
    commands[5].body = b"\xff\xff\xff".to_vec().into();
    let answer = push(&app, &token, commands).await;
    let rejected = |reason| (Status::Rejected, reason);
    assert_eq!(
        statuses(&answer),
        [
            rejected(Reason::RoleNotAllowed),
            rejected(Reason::NotFound),
            rejected(Reason::NotFound),
            rejected(Reason::UnknownCommand),
            APPLIED,
            rejected(Reason::UnknownCommand),
        ]
    );
    assert_eq!(visits(&app, &world).await, 1);
    let facts = &answer.results[1].outcome.as_ref().expect("an outcome").facts;
    assert!(facts.iter().all(|fact| fact.value != world.boris.territory.to_string()), "no word of what is not hers");
    app.finish().await;
}

async fn whatever_fails_on_the_way_a_repeat_has_one_effect(kind: Kind) {
    for point in ["batch.begun", "batch.loaded", "batch.decided", "batch.written", "batch.committed"] {
        let armed = Arc::new(AtomicBool::new(false));
        let trigger = Arc::clone(&armed);
        let fail = FailPoints::new(Arc::new(move |here| here == point && trigger.swap(false, Ordering::SeqCst)));
        let app = TestApp::start_failing(kind, fail).await;
        let world = World::make(&app).await;
        let token = app.device_token("anna").await;
        let command = captured(&app, app.id(), 1, check_in(app.id(), world.anna.outlets[0]));
        armed.store(true, Ordering::SeqCst);
        let lost = try_push(&app, &token, vec![command.clone()], 0).await.expect_err("fails");
        assert_eq!(lost.code(), Code::Unavailable, "{point}: the device is to try again");
        assert!(!armed.load(Ordering::SeqCst), "{point} was reached");
        let answer = push(&app, &token, vec![command]).await;
        assert_eq!(statuses(&answer), [APPLIED], "{point}");
        assert_eq!(visits(&app, &world).await, 1, "{point}");
        let findings = roundsman::verify::verify(&app.core.db, world.tenant).await.expect("verifies");
        assert_eq!(findings, Vec::<String>::new(), "{point}");
        app.finish().await;
    }
}

async fn what_the_server_cannot_read_is_kept_in_quarantine(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let token = app.device_token("anna").await;
    let (outlet, visit) = (world.anna.outlets[0], app.id());
    let whole = app.replace_document(outlet, b"\xff\xff".to_vec()).await;
    let answer = push(
        &app,
        &token,
        vec![
            captured(&app, app.id(), 1, check_in(visit, outlet)),
            captured(&app, app.id(), 2, check_in(app.id(), world.anna.outlets[1])),
        ],
    )
    .await;
    assert_eq!(statuses(&answer), [(Status::Quarantined, Reason::Quarantined), APPLIED]);
    app.replace_document(outlet, whole).await;
    // What builds on it waits behind it, and nothing else does.
    let behind = captured(&app, app.id(), 3, check_in(visit, outlet));
    let answer = push(&app, &token, vec![behind]).await;
    assert_eq!(statuses(&answer), [(Status::Quarantined, Reason::DependsOnQuarantined)]);
    let shown: Vec<Outlet> = app.stored::<Outlet>(world.tenant).await.into_values().collect();
    assert_eq!(shown.len(), 4);
    app.finish().await;
}

async fn a_device_that_is_ahead_of_the_server_is_told_of_the_fork(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let token = app.device_token("anna").await;
    let command = captured(&app, app.id(), 8, check_in(app.id(), world.anna.outlets[0]));
    let answer = try_push(&app, &token, vec![command], 7).await.expect("is answered");
    assert!(answer.fork);
    assert_eq!((answer.results.len(), answer.expected_seq), (0, 1));
    app.finish().await;
}
