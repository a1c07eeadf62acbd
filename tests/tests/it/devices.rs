//! What the office learns of devices, and what it may ask of them.

use prost::Message;
use roundsman::contacts::Contacts;
use roundsman::device::DeviceError;
use roundsman_proto::auth::Role;
use roundsman_proto::supervision::supervision_service_client::SupervisionServiceClient;
use roundsman_proto::supervision::{ListOutboxesRequest, ListOutboxesResponse, ListedOutbox};
use roundsman_proto::sync::sync_service_client::SyncServiceClient;
use roundsman_proto::sync::{Command as Captured, OutboxSummary, PullRequest, PushRequest, Status, WaitingCommands};
use roundsman_proto::trade::{self, EditOutlet, Kind as RecordKind, Outlet, StringChange};
use roundsman_sync::replica::memory::MemoryStorage;
use roundsman_sync::replica::{Content, Event, Replica, Want};
use roundsman_tests::app::{TODAY, TestApp, encoded};
use roundsman_tests::database::Kind;
use roundsman_tests::world::{World, bytes, check_in};
use tonic::Code;
use tonic_types::StatusExt as _;
use uuid::Uuid;

use crate::desk::{by, stranger};

on_both_databases!(
    c31_an_app_that_is_too_old_hands_in_what_it_has_and_gets_nothing,
    c31_an_older_app_gets_the_kinds_that_it_knows_and_harms_no_field_that_it_does_not,
    what_is_only_on_a_phone_is_seen_by_the_office_and_the_own_supervisor,
    what_a_device_did_not_say_stays_as_it_was_said,
);

async fn c31_an_app_that_is_too_old_hands_in_what_it_has_and_gets_nothing(kind: Kind) {
    let app = TestApp::start_requiring(kind, "2.10").await;
    let world = World::make(&app).await;
    let token = app.device_token("anna").await;
    for (app_version, is_served) in
        [("2.10", true), ("2.9.9", false), ("2.10.1-beta", true), ("3", true), ("", false), ("spring", false)]
    {
        let app_version = app_version.to_owned();
        let pull = PullRequest { protocol_version: 1, app_version: app_version.clone(), ..PullRequest::default() };
        let pulled = SyncServiceClient::new(app.channel.clone()).pull(by(&token, pull)).await;
        assert_eq!(pulled.is_ok(), is_served, "{app_version}");
        if let Err(status) = pulled {
            assert_eq!(status.code(), Code::FailedPrecondition);
            let info = status.get_details_error_info().expect("says why");
            assert_eq!((info.reason.as_str(), info.metadata["min_app_version"].as_str()), ("APP_TOO_OLD", "2.10"));
        }
        let push = PushRequest { protocol_version: 1, app_version: app_version.clone(), ..PushRequest::default() };
        let pushed = SyncServiceClient::new(app.channel.clone()).push(by(&token, push)).await.expect("is taken");
        assert_eq!(pushed.into_inner().min_app_version, if is_served { "" } else { "2.10" }, "{app_version}");
    }
    // A whole device: its order arrives, and it learns what it needs.
    let mut device = app.device("anna").await;
    app.capture(&mut device, check_in(app.id(), world.anna.outlets[0]));
    let mut synced = roundsman::device::Synced::default();
    device.push(app.now_us(), &mut synced).await.expect("is taken");
    assert_eq!((synced.outcomes.len(), synced.min_app_version.as_deref()), (1, Some("2.10")));
    match device.sync(app.now_us()).await {
        Err(DeviceError::AppTooOld { min_app_version }) => assert_eq!(min_app_version, "2.10"),
        other => panic!("the app is too old: {other:?}"),
    }
    app.finish().await;
}

/// An outlet as an app knows it that is older than most of its fields.
#[derive(Clone, PartialEq, Message)]
struct OldOutlet {
    #[prost(string, tag = "1")]
    name: String,
}

/// Pulls some kinds, or all.
async fn pull_kinds(app: &TestApp, token: &str, replica: &mut Replica<MemoryStorage>, kinds: &[u32]) {
    let want = Want { kinds: kinds.to_vec(), device_clock_us: app.now_us(), ..Want::default() };
    loop {
        let request = replica.request(&want).expect("a request");
        let answer = SyncServiceClient::new(app.channel.clone()).pull(by(token, request)).await;
        let mut stream = answer.expect("is served").into_inner();
        while let Some(message) = stream.message().await.expect("goes on") {
            if let Event::Checkpoint { last: true, .. } = replica.receive(message).expect("is taken") {
                replica.cut();
                return;
            }
        }
        replica.cut();
    }
}

async fn c31_an_older_app_gets_the_kinds_that_it_knows_and_harms_no_field_that_it_does_not(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let token = app.device_token("anna").await;
    let outlet = world.anna.outlets[0];
    let caller = world.caller(&world.anna);
    let all = roundsman::verify::projection(&app.core.db, &caller).await.expect("is computed");
    let mut replica = Replica::open(MemoryStorage::default()).expect("opens");
    let known = [RecordKind::Outlet as u32, RecordKind::Product as u32];
    pull_kinds(&app, &token, &mut replica, &known).await;
    let expected: Content = all.clone().into_iter().filter(|((_, kind), _)| known.contains(kind)).collect();
    assert!(expected.len() >= known.len() && expected.len() < all.len());
    assert_eq!(replica.content().expect("reads"), expected, "what it knows, and nothing else");

    // It reads what it knows of an outlet, and keeps the rest.
    let document = replica.document(outlet).expect("reads").expect("is there").bytes;
    let stored = app.stored::<Outlet>(world.tenant).await[&outlet].clone();
    assert_eq!(OldOutlet::decode(document.clone()).expect("is read").name, stored.name);
    assert_eq!(Outlet::decode(document).expect("is read"), stored);
    // What it hands in says what it changes, so that the rest stays as it is.
    let comment = Some(StringChange { base: String::new(), value: "ring twice".to_owned() });
    let edit = EditOutlet { outlet_id: bytes(outlet), comment, ..EditOutlet::default() };
    let command = Captured {
        command_id: bytes(app.id()),
        seq: 1,
        captured_at_us: app.now_us(),
        business_day: TODAY,
        body: encoded(trade::command::Command::EditOutlet(edit)).into(),
    };
    let request = PushRequest {
        protocol_version: 1,
        device_clock_us: app.now_us(),
        commands: vec![command],
        ..PushRequest::default()
    };
    let pushed = SyncServiceClient::new(app.channel.clone()).push(by(&token, request)).await.expect("is taken");
    let outcome = pushed.into_inner().results[0].outcome.clone().expect("an outcome");
    assert_eq!(outcome.status(), Status::Applied, "{outcome:?}");
    let edited = app.stored::<Outlet>(world.tenant).await[&outlet].clone();
    assert_eq!(edited, Outlet { comment: "ring twice".to_owned(), ..stored });

    // After its update it asks for everything, and gets it.
    pull_kinds(&app, &token, &mut replica, &[]).await;
    let all = roundsman::verify::projection(&app.core.db, &caller).await.expect("is computed");
    assert_eq!(replica.content().expect("reads"), all);
    app.finish().await;
}

/// Hands over what the process has heard of devices, as it does once a minute.
async fn minute(app: &TestApp) {
    app.core.contacts.write(&app.core.db).await.expect("is written");
}

/// A pull of a device that says what waits in its outbox.
async fn pull(app: &TestApp, token: &str, outbox: Option<OutboxSummary>) {
    let request = PullRequest {
        protocol_version: 1,
        app_version: "2.4.1".to_owned(),
        device_clock_us: app.now_us() + 5_000_000,
        outbox,
        ..PullRequest::default()
    };
    SyncServiceClient::new(app.channel.clone()).pull(by(token, request)).await.expect("is served");
}

fn waiting(oldest_captured_at_us: i64, kinds: &[(u32, u32)]) -> OutboxSummary {
    OutboxSummary {
        commands: kinds.iter().map(|(_, count)| count).sum(),
        oldest_captured_at_us,
        kinds: kinds.iter().map(|(command, count)| WaitingCommands { command: *command, count: *count }).collect(),
    }
}

/// All outboxes that somebody may see, page by page.
async fn outboxes(app: &TestApp, token: &str, team: &[u8]) -> Result<Vec<ListedOutbox>, tonic::Status> {
    let mut all = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListOutboxesRequest { team_id: team.to_vec(), page_size: 1, page_token };
        let page = SupervisionServiceClient::new(app.channel.clone()).list_outboxes(by(token, request)).await?;
        let ListOutboxesResponse { outboxes, next_page_token } = page.into_inner();
        all.extend(outboxes);
        page_token = next_page_token;
        if page_token.is_empty() {
            return Ok(all);
        }
    }
}

async fn what_is_only_on_a_phone_is_seen_by_the_office_and_the_own_supervisor(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let begin_us = app.now_us();
    let (anna, boris) = (app.device_token("anna").await, app.device_token("boris").await);
    let (sonja, admin) = (app.token("sonja").await, app.admin_token().await);
    pull(&app, &anna, Some(waiting(begin_us - 60, &[(1, 1), (3, 2), (9_999, 1)]))).await;
    pull(&app, &boris, Some(waiting(begin_us - 30, &[(6, 1)]))).await;
    minute(&app).await;
    let listed = outboxes(&app, &sonja, &[]).await.expect("is served");
    let [first, second] = &listed[..] else { panic!("both hold something back: {listed:?}") };
    assert_eq!((first.name.as_str(), second.name.as_str()), ("anna", "boris"), "the oldest first");
    assert_eq!((&first.rep_id, &first.team_id), (&bytes(world.anna.rep), &bytes(world.team)));
    assert_eq!((first.commands, first.oldest_captured_at_us), (4, begin_us - 60));
    assert_eq!((first.since_at_us, first.reported_at_us), (begin_us, begin_us));
    let kinds: Vec<(&str, u32)> = first.kinds.iter().map(|kind| (kind.name.as_str(), kind.count)).collect();
    assert_eq!(kinds, [("CheckIn", 1), ("SubmitOrder", 2), ("9999", 1)]);
    assert_eq!(outboxes(&app, &admin, &[]).await.expect("is served"), listed);
    assert_eq!(outboxes(&app, &admin, &bytes(world.team)).await.expect("is served"), listed);

    // Others see nothing of it.
    let other_team = app.id();
    app.user("otto", Role::Supervisor, None, Some(other_team)).await;
    let otto = app.token("otto").await;
    assert_eq!(outboxes(&app, &otto, &[]).await.expect("is served"), []);
    assert_eq!(outboxes(&app, &admin, &bytes(other_team)).await.expect("is served"), []);
    let asked = outboxes(&app, &otto, &bytes(world.team)).await.expect_err("is not the own team");
    assert_eq!(asked.code(), Code::PermissionDenied);
    let stranger = stranger(&app, world.anna.user).await;
    assert_eq!(outboxes(&app, &stranger, &[]).await.expect("is served"), []);
    app.user("lars", Role::Logistics, None, None).await;
    for login in ["anna", "lars"] {
        let token = app.token(login).await;
        assert_eq!(outboxes(&app, &token, &[]).await.expect_err("is refused").code(), Code::PermissionDenied);
    }

    // Anna says the same later, and comes to hand in one of two check-ins; Boris has nothing any more.
    app.pass(10);
    let handed_in = Captured {
        command_id: bytes(app.id()),
        seq: 1,
        captured_at_us: begin_us - 60,
        business_day: TODAY,
        body: encoded(check_in(app.id(), world.anna.outlets[0])).into(),
    };
    let request = PushRequest {
        protocol_version: 1,
        device_clock_us: app.now_us(),
        commands: vec![handed_in],
        outbox: Some(waiting(begin_us - 60, &[(1, 2)])),
        ..PushRequest::default()
    };
    SyncServiceClient::new(app.channel.clone()).push(by(&anna, request)).await.expect("is taken");
    pull(&app, &boris, Some(waiting(0, &[]))).await;
    minute(&app).await;
    let listed = outboxes(&app, &sonja, &[]).await.expect("is served");
    let [left] = &listed[..] else { panic!("only Anna holds something back: {listed:?}") };
    assert_eq!((left.name.as_str(), left.commands, left.kinds[0].count), ("anna", 1, 1));
    assert_eq!((left.since_at_us, left.reported_at_us), (begin_us, app.now_us()));
    app.finish().await;
}

async fn what_a_device_did_not_say_stays_as_it_was_said(kind: Kind) {
    let app = TestApp::start(kind).await;
    World::make(&app).await;
    let anna = app.device_token("anna").await;
    pull(&app, &anna, Some(waiting(7, &[(3, 2)]))).await;
    minute(&app).await;
    // Another process, or this one after a restart, hears of the device for the first time.
    let other = Contacts::default();
    let device = Uuid::from_slice(&outboxes(&app, &app.admin_token().await, &[]).await.expect("lists")[0].device_id);
    let key = (app.tenant().await, device.expect("an id"));
    other.hear(key, &roundsman::contacts::Request::Pull(&PullRequest::default()), app.now_us());
    other.write(&app.core.db).await.expect("is written");
    let listed = outboxes(&app, &app.admin_token().await, &[]).await.expect("is served");
    assert_eq!((listed[0].commands, listed[0].kinds[0].count), (2, 2));
    app.finish().await;
}
