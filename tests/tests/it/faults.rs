//! Faults of the server's own, and who has to wait for them: one command, never a tenant.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use roundsman::fail::FailPoints;
use roundsman::grpc::status::reason;
use roundsman::jobs::Jobs;
use roundsman::store::tenant::WRITER_VERSION;
use roundsman_proto::sync::sync_service_client::SyncServiceClient;
use roundsman_proto::sync::{Command as Captured, Outcome, PushRequest, Status};
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::{CheckOut, Reason, Visit};
use roundsman_tests::app::{TODAY, TestApp, encoded};
use roundsman_tests::database::Kind;
use roundsman_tests::world::{World, bytes, check_in};
use tonic::Code;
use uuid::Uuid;

use crate::desk::{by, order};

on_both_databases!(
    a_lane_that_panics_goes_on,
    what_makes_every_batch_panic_is_kept_alone,
    a_batch_that_can_not_even_be_kept_is_told_as_try_again,
    nobody_waits_for_a_record_that_is_there,
    jobs_go_on_after_a_panic,
    who_would_drop_what_a_newer_server_wrote_does_not_write,
);

/// What a device pushes from this number on.
pub async fn push(
    app: &TestApp,
    token: &str,
    first_seq: i64,
    commands: Vec<Command>,
) -> Result<Vec<Outcome>, tonic::Status> {
    let captured = (first_seq..).zip(commands).map(|(seq, command)| Captured {
        command_id: bytes(app.id()),
        seq,
        captured_at_us: app.now_us(),
        business_day: TODAY,
        body: encoded(command).into(),
    });
    let request = PushRequest {
        protocol_version: 1,
        device_clock_us: app.now_us(),
        commands: captured.collect(),
        ..PushRequest::default()
    };
    let answer = SyncServiceClient::new(app.channel.clone()).push(by(token, request)).await?.into_inner();
    Ok(answer.results.into_iter().map(|result| result.outcome.expect("an outcome")).collect())
}

fn short(outcomes: &[Outcome]) -> Vec<(Status, Reason)> {
    outcomes.iter().map(|outcome| (outcome.status(), outcome.reason())).collect()
}

const APPLIED: (Status, Reason) = (Status::Applied, Reason::Unspecified);

/// Panics at a point as often as it is told to.
fn panics(point: &'static str) -> (FailPoints, Arc<AtomicUsize>) {
    let left = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&left);
    let fail = FailPoints::new(Arc::new(move |here| {
        let fires =
            here == point && count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
        assert!(!fires, "told to panic at {here}");
        false
    }));
    (fail, left)
}

async fn a_lane_that_panics_goes_on(kind: Kind) {
    for point in ["batch.begun", "batch.loaded", "batch.decided", "batch.written", "batch.committed"] {
        let (fail, left) = panics(point);
        let app = TestApp::start_failing(kind, fail).await;
        let world = World::make(&app).await;
        let token = app.device_token("anna").await;
        left.store(1, Ordering::SeqCst);
        let visits = [app.id(), app.id()];
        let there = vec![
            check_in(visits[0], world.anna.outlets[0]),
            Command::CheckOut(CheckOut { visit_id: bytes(visits[0]), productive: true, ..CheckOut::default() }),
            check_in(visits[1], world.anna.outlets[1]),
        ];
        let outcomes = push(&app, &token, 1, there).await.expect("is answered");
        assert_eq!(left.load(Ordering::SeqCst), 0, "{point} was reached");
        assert!(outcomes.iter().all(|outcome| outcome.status() == Status::Applied), "{point}: {outcomes:?}");
        let check_out = CheckOut { visit_id: bytes(visits[1]), productive: true, ..CheckOut::default() };
        let outcomes = push(&app, &token, 4, vec![Command::CheckOut(check_out)]).await.expect("is answered");
        assert_eq!(outcomes[0].status(), Status::Applied, "{point}: {outcomes:?}");
        let findings = roundsman::verify::verify(&app.core.db, world.tenant).await.expect("verifies");
        assert_eq!(findings, Vec::<String>::new(), "{point}");
        app.finish().await;
    }
}

async fn what_makes_every_batch_panic_is_kept_alone(kind: Kind) {
    let (fail, left) = panics("batch.decided");
    let app = TestApp::start_failing(kind, fail).await;
    let world = World::make(&app).await;
    let token = app.device_token("anna").await;
    // The batch, then its first command alone; the third attempt only keeps it.
    left.store(2, Ordering::SeqCst);
    let two = vec![check_in(app.id(), world.anna.outlets[0]), check_in(app.id(), world.anna.outlets[1])];
    let outcomes = push(&app, &token, 1, two).await.expect("is answered");
    assert_eq!(short(&outcomes), [(Status::Quarantined, Reason::Quarantined), APPLIED]);
    app.finish().await;
}

async fn a_batch_that_can_not_even_be_kept_is_told_as_try_again(kind: Kind) {
    let (fail, left) = panics("batch.begun");
    let app = TestApp::start_failing(kind, fail).await;
    let world = World::make(&app).await;
    let token = app.device_token("anna").await;
    left.store(3, Ordering::SeqCst);
    let command = || vec![check_in(app.id(), world.anna.outlets[0])];
    let lost = push(&app, &token, 1, command()).await.expect_err("is not answered");
    assert_eq!(lost.code(), Code::Unavailable, "{lost:?}");
    assert_eq!(left.load(Ordering::SeqCst), 0, "the batch, the command alone, and keeping it");
    assert_eq!(short(&push(&app, &token, 1, command()).await.expect("is answered")), [APPLIED]);
    app.finish().await;
}

async fn nobody_waits_for_a_record_that_is_there(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let token = app.device_token("anna").await;
    let (outlet, there, new) = (world.anna.outlets[0], app.id(), app.id());
    assert_eq!(short(&push(&app, &token, 1, vec![check_in(there, outlet)]).await.expect("is answered")), [APPLIED]);
    let whole = app.replace_document(outlet, b"\xff\xff".to_vec()).await;
    app.forget_records().await;
    let both = vec![check_in(there, outlet), check_in(new, outlet)];
    let kept = push(&app, &token, 2, both).await.expect("is answered");
    assert_eq!(short(&kept), [(Status::Quarantined, Reason::Quarantined); 2]);
    app.replace_document(outlet, whole).await;
    let ordered_in = |visit: Uuid| {
        let (_, command) = order(&app, &world, &world.anna, 1, TODAY + 1);
        let Command::SubmitOrder(mut submit) = command else { panic!("another command") };
        submit.visit_id = bytes(visit);
        Command::SubmitOrder(submit)
    };
    let outcomes = push(&app, &token, 4, vec![ordered_in(there), ordered_in(new)]).await.expect("is answered");
    assert_eq!(short(&outcomes), [APPLIED, (Status::Quarantined, Reason::DependsOnQuarantined)]);
    app.finish().await;
}

async fn jobs_go_on_after_a_panic(kind: Kind) {
    let (fail, left) = panics("jobs.begun");
    let app = TestApp::start_failing(kind, fail).await;
    let world = World::make(&app).await;
    let jobs = Jobs::new(Arc::clone(&app.core));
    left.store(1, Ordering::SeqCst);
    jobs.round().await;
    assert_eq!(left.load(Ordering::SeqCst), 0, "it panicked");
    assert!(jobs.run_due(world.tenant).await.is_ok(), "and does what is due the next time");
    app.finish().await;
}

async fn who_would_drop_what_a_newer_server_wrote_does_not_write(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let token = app.device_token("anna").await;
    let (outlet, first, second) = (world.anna.outlets[0], app.id(), app.id());
    // Data of an older server: from the first batch on it is this one's.
    app.write_as(world.tenant, WRITER_VERSION - 1).await;
    assert_eq!(short(&push(&app, &token, 1, vec![check_in(first, outlet)]).await.expect("is answered")), [APPLIED]);
    assert_eq!(app.writer_version(world.tenant).await, WRITER_VERSION);
    app.write_as(world.tenant, WRITER_VERSION + 1).await;
    let refused = push(&app, &token, 2, vec![check_in(second, outlet)]).await.expect_err("a newer server has written");
    assert_eq!((refused.code(), reason(&refused).as_deref()), (Code::Unavailable, Some("SERVER_OUTDATED")));
    let visits = app.stored::<Visit>(world.tenant).await;
    assert!(visits.contains_key(&first) && !visits.contains_key(&second));
    app.finish().await;
}
