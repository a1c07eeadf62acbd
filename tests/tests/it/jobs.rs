//! What happens by the clock, driven a step at a time.

use std::sync::Arc;

use roundsman::jobs::Jobs;
use roundsman_proto::auth::Role;
use roundsman_proto::sync::Status;
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{
    ArchiveOutlet, DismissRep, ImportRecords, Outlet, RecordToImport, Route, RouteStop, Visit, VisitState,
};
use roundsman_tests::app::{TODAY, TestApp};
use roundsman_tests::database::Kind;
use roundsman_tests::world::{World, bytes};
use tonic::Code;

on_both_databases!(
    a_day_is_planned_ahead_and_what_was_not_done_is_missed,
    what_is_due_is_done_once,
    behind_the_horizon_a_device_is_compared_and_nothing_is_resurrected,
    a_dismissed_rep_is_shut_out_at_once,
);

async fn with_route(app: &TestApp, world: &World) {
    let stop = |outlet| RouteStop { outlet_id: bytes(outlet), weekdays: 127, sequence: 1, ..RouteStop::default() };
    let route = Route {
        name: "North".to_owned(),
        territory_id: bytes(world.anna.territory),
        cycle_start_day: TODAY,
        stops: world.anna.outlets.iter().map(|outlet| stop(*outlet)).collect(),
        ..Route::default()
    };
    let record = RecordToImport { record_id: bytes(app.id()), record: Some(Record::Route(route)), closed_month: 0 };
    let outcome = app.office(Command::ImportRecords(ImportRecords { records: vec![record] })).await;
    assert_eq!(outcome.status(), Status::Applied, "{outcome:?}");
}

async fn visits(app: &TestApp, world: &World, day: i32) -> Vec<VisitState> {
    let visits = app.stored::<Visit>(world.tenant).await;
    visits.values().filter(|visit| visit.day == day).map(Visit::state).collect()
}

async fn a_day_is_planned_ahead_and_what_was_not_done_is_missed(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    with_route(&app, &world).await;
    let jobs = Jobs::new(Arc::clone(&app.core));
    jobs.run_due(world.tenant).await.expect("runs");
    assert_eq!(visits(&app, &world, TODAY).await, [VisitState::Planned; 2]);
    let mut anna = app.device("anna").await;
    app.sync(&mut anna).await;
    app.assert_converged(&anna, &world.caller(&world.anna)).await;

    app.pass(20 * 60);
    jobs.run_due(world.tenant).await.expect("runs");
    assert_eq!(visits(&app, &world, TODAY).await, [VisitState::Missed; 2]);
    assert_eq!(visits(&app, &world, TODAY + 1).await, [VisitState::Planned; 2]);
    app.sync(&mut anna).await;
    app.assert_converged(&anna, &world.caller(&world.anna)).await;
    let findings = roundsman::verify::verify(&app.core.db, world.tenant).await.expect("verifies");
    assert_eq!(findings, Vec::<String>::new());
    app.finish().await;
}

async fn what_is_due_is_done_once(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    with_route(&app, &world).await;
    let first = Jobs::new(Arc::clone(&app.core)).run_due(world.tenant).await.expect("runs");
    assert!(first > 0);
    let before = app.version(world.tenant).await;
    // Another process, or this one after a restart, remembers nothing and finds everything done.
    Jobs::new(Arc::clone(&app.core)).run_due(world.tenant).await.expect("runs");
    assert_eq!(app.version(world.tenant).await, before);
    app.finish().await;
}

async fn behind_the_horizon_a_device_is_compared_and_nothing_is_resurrected(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let mut anna = app.device("anna").await;
    app.sync(&mut anna).await;
    let gone = world.anna.outlets[1];
    let archive = ArchiveOutlet { outlet_id: bytes(gone), survivor_id: Vec::new() };
    assert_eq!(app.office(Command::ArchiveOutlet(archive)).await.status(), Status::Applied);
    let jobs = Jobs::new(Arc::clone(&app.core));
    for _ in 0..50 {
        app.pass(24 * 60);
        jobs.run_due(world.tenant).await.expect("runs");
    }
    assert!(app.horizon(world.tenant).await > 0, "the horizon has moved");
    assert!(app.shown::<Outlet>(&anna, gone).is_some(), "the device was away, and still has it");
    let synced = app.sync(&mut anna).await;
    assert!(app.shown::<Outlet>(&anna, gone).is_none(), "it is gone");
    assert!(synced.rows < 20, "only what differs came again: {synced:?}");
    app.assert_converged(&anna, &world.caller(&world.anna)).await;
    let findings = roundsman::verify::verify(&app.core.db, world.tenant).await.expect("verifies");
    assert_eq!(findings, Vec::<String>::new());
    app.finish().await;
}

async fn a_dismissed_rep_is_shut_out_at_once(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    app.user("olga", Role::Office, None, None).await;
    let olga = app.token("olga").await;
    let mut anna = app.device("anna").await;
    app.sync(&mut anna).await;
    let dismiss = DismissRep { rep_id: bytes(world.anna.rep), wipe: false };
    let outcome = app.office_as(&olga, app.id(), Command::DismissRep(dismiss)).await.expect("is answered");
    assert_eq!(outcome.status(), Status::Applied, "{outcome:?}");
    let refused = anna.sync(app.now_us()).await.expect_err("is shut out");
    let roundsman::device::DeviceError::Call(status) = refused else { panic!("{refused}") };
    assert!(matches!(status.code(), Code::Unauthenticated | Code::PermissionDenied), "{status:?}");
    app.finish().await;
}
