//! What happens by the clock, driven a step at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use roundsman::device::{DeviceError, Synced};
use roundsman::jobs::Jobs;
use roundsman_proto::auth::Role;
use roundsman_proto::sync::pull_response::Message;
use roundsman_proto::sync::{BucketAction, Status};
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{
    ArchiveOutlet, DismissRep, ImportRecords, Kind as RecordKind, Outlet, Reason, RecordToImport, Route, RouteStop,
    Visit, VisitFlag, VisitState,
};
use roundsman_sync::replica::Event;
use roundsman_tests::app::{PASSWORD, TENANT, TODAY, TestApp, TestDevice};
use roundsman_tests::database::Kind;
use roundsman_tests::world::{World, bytes, check_in};
use tonic::Code;
use tonic_types::StatusExt as _;

on_both_databases!(
    a_day_is_planned_ahead_and_what_was_not_done_is_missed,
    what_is_due_is_done_once,
    c29_behind_the_horizon_the_outbox_goes_first_and_only_what_differs_comes_anew,
    c30_a_dismissed_rep_is_shut_out_at_once_heard_in_quarantine_and_told_to_wipe,
    c30_a_device_that_is_told_to_wipe_pushes_first_and_then_holds_nothing,
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

/// Pulls, and tells what becomes of the buckets that the device holds, by their kinds.
async fn pulled(app: &TestApp, device: &mut TestDevice) -> BTreeMap<BucketAction, BTreeSet<u32>> {
    let held: BTreeSet<i64> = device.replica.buckets().map(|bucket| bucket.id).collect();
    let mut actions: BTreeMap<BucketAction, BTreeSet<u32>> = BTreeMap::new();
    loop {
        let mut stream = device.open(app.now_us(), false, &mut Synced::default()).await.expect("opens");
        while let Some(response) = stream.message().await.expect("goes on") {
            if let Some(Message::Plan(plan)) = &response.message {
                for bucket in plan.buckets.iter().filter(|bucket| held.contains(&bucket.bucket_id)) {
                    actions.entry(bucket.action()).or_default().insert(bucket.kind);
                }
            }
            let event = device.take(response, &mut Synced::default()).expect("takes it");
            if let Event::Checkpoint { last: true, .. } = event {
                device.replica.cut();
                return actions;
            }
        }
        device.replica.cut();
    }
}

async fn c29_behind_the_horizon_the_outbox_goes_first_and_only_what_differs_comes_anew(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let mut anna = app.device("anna").await;
    app.sync(&mut anna).await;
    let visit = app.id();
    app.capture(&mut anna, check_in(visit, world.anna.outlets[0]));
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
    anna.refresh().await.expect("is still logged in");
    let mut synced = Synced::default();
    anna.push(app.now_us(), &mut synced).await.expect("its outbox goes up");
    assert_eq!(synced.outcomes.iter().map(|(_, outcome)| outcome.status()).collect::<Vec<_>>(), [Status::Applied]);
    let actions = pulled(&app, &mut anna).await;
    let kinds = |kinds: &[RecordKind]| kinds.iter().map(|kind| *kind as u32).collect::<BTreeSet<u32>>();
    let of_the_outlet = [RecordKind::Customer, RecordKind::Outlet, RecordKind::Agreement, RecordKind::Receivable];
    assert_eq!(actions[&BucketAction::Reset], kinds(&of_the_outlet), "just what the outlet took with it");
    let goods = kinds(&[RecordKind::Product, RecordKind::PriceList, RecordKind::Price, RecordKind::Stock]);
    assert!(goods.is_subset(&actions[&BucketAction::Keep]), "{actions:?}");
    assert_eq!(actions.len(), 2, "{actions:?}");
    assert!(app.shown::<Outlet>(&anna, gone).is_none(), "nothing is resurrected");
    let reported: Visit = app.shown(&anna, visit).expect("and nothing is lost");
    assert!(reported.flags.contains(&VisitFlag::ReportedLate.into()), "{reported:?}");
    app.assert_converged(&anna, &world.caller(&world.anna)).await;
    let findings = roundsman::verify::verify(&app.core.db, world.tenant).await.expect("verifies");
    assert_eq!(findings, Vec::<String>::new());
    app.finish().await;
}

async fn c30_a_device_that_is_told_to_wipe_pushes_first_and_then_holds_nothing(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let mut phone = app.device("anna").await;
    app.sync(&mut phone).await;
    assert!(!phone.replica.content().expect("reads").is_empty());
    let command = app.capture(&mut phone, check_in(app.id(), world.anna.outlets[0]));
    let dismiss = async |wipe| {
        let dismiss = Command::DismissRep(DismissRep { rep_id: bytes(world.anna.rep), wipe });
        assert_eq!(app.office(dismiss).await.status(), Status::Applied);
    };
    // Shut out, it pushes and keeps what it holds.
    dismiss(false).await;
    let refused = phone.sync(app.now_us()).await.expect_err("is shut out");
    assert!(matches!(&refused, DeviceError::Call(status) if status.code() == Code::PermissionDenied), "{refused}");
    assert!(app.kept_body(command).await.is_some(), "what was captured is in quarantine");
    assert!(!phone.replica.content().expect("reads").is_empty());
    assert_eq!((phone.outbox.waiting(), phone.outbox.outcomes().count()), (0, 1));

    let late = app.capture(&mut phone, check_in(app.id(), world.anna.outlets[1]));
    dismiss(true).await;
    // The access token has ended meanwhile, and is renewed for the push.
    app.pass(20);
    assert!(matches!(phone.sync(app.now_us()).await, Err(DeviceError::Wiped)));
    assert!(app.kept_body(late).await.is_some(), "it was pushed before");
    assert!(phone.replica.content().expect("reads").is_empty() && phone.replica.position().is_none());
    assert_eq!((phone.outbox.pending().count(), phone.outbox.last_outcome_seq()), (0, 0));
    // It does nothing more.
    let captured = phone.capture(app.id(), check_in(app.id(), world.anna.outlets[0]), (app.now_us(), TODAY));
    assert!(matches!(captured, Err(DeviceError::Wiped)));
    assert!(matches!(phone.sync(app.now_us()).await, Err(DeviceError::Wiped)));
    assert!(matches!(phone.pull(app.now_us(), &mut Synced::default()).await, Err(DeviceError::Wiped)));
    app.finish().await;
}

async fn c30_a_dismissed_rep_is_shut_out_at_once_heard_in_quarantine_and_told_to_wipe(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    app.user("olga", Role::Office, None, None).await;
    let olga = app.token("olga").await;
    let (mut phone, mut tablet) = (app.device("anna").await, app.device("anna").await);
    app.sync(&mut phone).await;
    app.sync(&mut tablet).await;
    let visit = app.id();
    let command = app.capture(&mut phone, check_in(visit, world.anna.outlets[0]));
    let dismiss = async |wipe| {
        let dismiss = Command::DismissRep(DismissRep { rep_id: bytes(world.anna.rep), wipe });
        let outcome = app.office_as(&olga, app.id(), dismiss).await.expect("is answered");
        assert_eq!((outcome.status(), outcome.reason()), (Status::Applied, Reason::Unspecified), "{outcome:?}");
    };
    for wipe in [false, true] {
        dismiss(wipe).await;
        for device in [&mut phone, &mut tablet] {
            let refused = device.pull(app.now_us(), &mut Synced::default()).await.expect_err("is shut out at once");
            let DeviceError::Call(status) = refused else { panic!("{refused}") };
            assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
            let info = status.get_details_error_info().expect("says why");
            let told = info.metadata.get("wipe").map(String::as_str);
            assert_eq!((info.reason.as_str(), told), ("DEVICE_REVOKED", wipe.then_some("true")));
        }
    }
    // What the phone has captured before gets home, and changes nothing by itself.
    let mut late = Synced::default();
    phone.push(app.now_us(), &mut late).await.expect("is taken");
    let outcomes: Vec<_> = late.outcomes.iter().map(|(_, outcome)| (outcome.status(), outcome.reason())).collect();
    assert_eq!(outcomes, [(Status::Quarantined, Reason::DeviceRevoked)]);
    assert!(app.kept_body(command).await.is_some(), "an administrator can read it");
    assert!(!app.stored::<Visit>(world.tenant).await.contains_key(&visit));
    let again = roundsman::device::login(app.channel.clone(), (TENANT, "anna", PASSWORD), Some(app.id())).await;
    assert_eq!(again.expect_err("nor does she get in on another one").code(), Code::Unauthenticated);
    app.finish().await;
}
