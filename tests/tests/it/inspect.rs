//! What an administrator sees behind devices, records and buckets.

use roundsman_proto::admin::inspect_service_client::InspectServiceClient;
use roundsman_proto::admin::{
    GetBucketRequest, GetDeviceRequest, GetDeviceResponse, GetRecordRequest, GetRecordResponse, Holder,
    ListHoldersRequest, ListHoldersResponse, ListRecordHistoryRequest, ListRecordHistoryResponse, PositionState,
    RecordChange,
};
use roundsman_proto::auth::Role;
use roundsman_proto::sync::sync_service_client::SyncServiceClient;
use roundsman_proto::sync::{Position, PullRequest, Status};
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::order_line_edit::Edit;
use roundsman_proto::trade::{
    ChangeOrder, CheckOut, Int64Change, Kind as RecordKind, Order, OrderLineChange, OrderLineEdit, PriceToSet, Reason,
    RevokeDevice, SetPrices,
};
use roundsman_tests::app::{TODAY, TestApp, TestDevice};
use roundsman_tests::database::Kind;
use roundsman_tests::world::{RepWorld, World, bytes, check_in};
use serde_json::Value;
use tonic::transport::Channel;
use tonic::{Code, Request};
use uuid::Uuid;

use crate::desk::{by, stranger, submitted};

on_both_databases!(
    a_device_is_shown_with_what_it_has_and_what_it_lacks,
    a_device_of_another_history_is_seen_as_such,
    a_record_is_shown_with_its_conflicts_and_who_has_got_it,
    a_bucket_is_shown_and_only_with_those_who_hold_it,
    nobody_but_an_administrator_of_the_tenant_looks,
);

fn door(app: &TestApp) -> InspectServiceClient<Channel> {
    InspectServiceClient::new(app.channel.clone())
}

async fn admin<T>(app: &TestApp, message: T) -> Request<T> {
    by(&app.admin_token().await, message)
}

/// The tenant's only device of a user.
pub async fn device_of(app: &TestApp, world: &World, rep: &RepWorld) -> Uuid {
    let mut tx = app.core.db.read().await.expect("reads");
    let (_, devices) = roundsman::store::account::of_rep(&mut tx, world.tenant, rep.rep).await.expect("answers");
    let [device] = devices[..] else { panic!("one device: {devices:?}") };
    device
}

pub async fn shown(app: &TestApp, device: Uuid) -> GetDeviceResponse {
    app.core.contacts.write(&app.core.db).await.expect("is written");
    let request = GetDeviceRequest { device_id: bytes(device) };
    door(app).get_device(admin(app, request).await).await.expect("shows").into_inner()
}

async fn record(app: &TestApp, id: Uuid) -> GetRecordResponse {
    let request = GetRecordRequest { record_id: bytes(id), kind: 0 };
    door(app).get_record(admin(app, request).await).await.expect("shows").into_inner()
}

async fn history(app: &TestApp, id: Uuid) -> Vec<RecordChange> {
    let mut all = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListRecordHistoryRequest { record_id: bytes(id), page_size: 1, page_token };
        let page = door(app).list_record_history(admin(app, request).await).await.expect("lists").into_inner();
        let ListRecordHistoryResponse { changes, next_page_token } = page;
        all.extend(changes);
        page_token = next_page_token;
        if page_token.is_empty() {
            return all;
        }
    }
}

async fn holders(app: &TestApp, sought: ListHoldersRequest) -> Vec<Holder> {
    app.core.contacts.write(&app.core.db).await.expect("is written");
    let mut all = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListHoldersRequest { page_size: 1, page_token, ..sought.clone() };
        let page = door(app).list_holders(admin(app, request).await).await.expect("lists").into_inner();
        let ListHoldersResponse { holders, next_page_token } = page;
        all.extend(holders);
        page_token = next_page_token;
        if page_token.is_empty() {
            return all;
        }
    }
}

/// Whether each user's device has it, by login.
async fn who_has(app: &TestApp, sought: ListHoldersRequest) -> Vec<(String, bool)> {
    let mut who: Vec<_> =
        holders(app, sought).await.into_iter().map(|holder| (holder.login, holder.is_current)).collect();
    who.sort();
    who
}

fn of_record(id: Uuid) -> ListHoldersRequest {
    ListHoldersRequest { record_id: bytes(id), ..ListHoldersRequest::default() }
}

async fn set_price(app: &TestApp, world: &World, minor: i64) {
    let prices = vec![PriceToSet { price_id: bytes(world.prices[0]), price: Some(world.price(0, minor)) }];
    let outcome = app.office(Command::SetPrices(SetPrices { prices })).await;
    assert_eq!(outcome.status(), Status::Applied, "{outcome:?}");
}

async fn a_device_is_shown_with_what_it_has_and_what_it_lacks(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let mut anna = app.device("anna").await;
    let device = device_of(&app, &world, &world.anna).await;
    let fresh = shown(&app, device).await;
    assert_eq!((fresh.login.as_str(), &fresh.rep_id), ("anna", &bytes(world.anna.rep)));
    assert_eq!((fresh.position_state(), fresh.position_version), (PositionState::Unspecified, 0));
    assert!(fresh.buckets.iter().all(|held| held.held_version == 0 && !held.is_current && !held.unknown_to_app));

    app.sync(&mut anna).await;
    // It tells where it is when it calls the next time; a command fails meanwhile.
    let visit = app.id();
    app.capture(&mut anna, Command::CheckOut(CheckOut { visit_id: bytes(visit), ..CheckOut::default() }));
    app.capture(&mut anna, check_in(app.id(), world.anna.outlets[0]));
    app.sync(&mut anna).await;
    app.pass(1);
    set_price(&app, &world, 1_250).await;
    let seen = shown(&app, device).await;
    assert_eq!((seen.position_state(), seen.scopes_changed, seen.protocol_version), (PositionState::Known, false, 1));
    assert!(seen.position_version > 0 && seen.position_version < seen.version, "{seen:?}");
    let behind: Vec<u32> = seen
        .buckets
        .iter()
        .filter(|held| !held.is_current)
        .map(|held| held.bucket.as_ref().expect("a bucket").kind)
        .collect();
    // What the check-in has changed came with the pull that told where the device was before.
    assert!(behind.contains(&(RecordKind::Price as u32)) && behind.contains(&(RecordKind::Visit as u32)), "{behind:?}");
    assert!(!behind.contains(&(RecordKind::Product as u32)), "{behind:?}");
    let [failed] = &seen.failed[..] else { panic!("one command failed: {:?}", seen.failed) };
    let outcome = failed.outcome.as_ref().expect("an outcome");
    assert_eq!((failed.seq, failed.name.as_str(), failed.confirmed), (1, "CheckOut", true));
    assert_eq!((outcome.status(), outcome.reason()), (Status::Rejected, Reason::MissingField));
    assert_eq!((seen.confirmed_seq, seen.device.as_ref().expect("a device").last_seq), (2, 2));
    app.sync(&mut anna).await;
    app.sync(&mut anna).await;
    let current = shown(&app, device).await;
    assert!(current.buckets.iter().all(|held| held.is_current), "{current:?}");
    assert_eq!(current.position_version, current.version);
    app.finish().await;
}

async fn a_device_of_another_history_is_seen_as_such(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let token = app.device_token("anna").await;
    let device = device_of(&app, &world, &world.anna).await;
    let request = |protocol_version, nonce| PullRequest {
        protocol_version,
        app_version: "2.0".to_owned(),
        kinds: vec![RecordKind::Product as u32],
        position: Some(Position { version: 1, nonce }),
        scope_digest: 7,
        ..PullRequest::default()
    };
    SyncServiceClient::new(app.channel.clone()).pull(by(&token, request(1, 4_711))).await.expect("is served");
    let seen = shown(&app, device).await;
    assert_eq!((seen.position_state(), seen.scopes_changed), (PositionState::Forked, true));
    assert!(seen.buckets.iter().any(|held| held.unknown_to_app));
    assert_eq!((seen.refused_reason.as_str(), seen.refused_at_us), ("", 0));
    let refused = SyncServiceClient::new(app.channel.clone()).pull(by(&token, request(9, 4_711))).await;
    assert_eq!(refused.expect_err("is not spoken").code(), Code::InvalidArgument);
    let seen = shown(&app, device).await;
    assert_eq!((seen.refused_reason.as_str(), seen.refused_at_us), ("UNKNOWN_VALUE", app.now_us()));
    assert_eq!(seen.protocol_version, 9);
    app.finish().await;
}

async fn a_record_is_shown_with_its_conflicts_and_who_has_got_it(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let (mut anna, mut boris) = (app.device("anna").await, app.device("boris").await);
    app.sync(&mut boris).await;
    let order = submitted(&app, &world, (&mut anna, &world.anna), 2, TODAY + 1).await;
    settle(&app, &mut anna).await;
    settle(&app, &mut boris).await;
    let seen = record(&app, order).await;
    assert_eq!(seen.kind, RecordKind::Order as u32);
    let document: Value = serde_json::from_str(&seen.document_json).expect("is JSON");
    assert_eq!(document["lines"].as_array().map(Vec::len), Some(2), "{document}");
    assert!(seen.buckets.iter().any(|placed| placed.live && placed.row_version == seen.version), "{seen:?}");
    assert_eq!(who_has(&app, of_record(order)).await, [("anna".to_owned(), true)], "Boris is not to have it");
    // Both change the same line, and the office was first.
    let line_id = app.stored::<Order>(world.tenant).await[&order].lines[0].line_id.clone();
    let change = |value| {
        let quantity_milli = Some(Int64Change { base: 1_000, value });
        let change = OrderLineChange { line_id: line_id.clone(), quantity_milli, ..OrderLineChange::default() };
        let lines = vec![OrderLineEdit { edit: Some(Edit::Change(change)) }];
        Command::ChangeOrder(ChangeOrder { order_id: bytes(order), lines, ..ChangeOrder::default() })
    };
    assert_eq!(app.office(change(5_000)).await.status(), Status::Applied);
    assert_eq!(who_has(&app, of_record(order)).await, [("anna".to_owned(), false)], "not this version");
    let outcome = app.decide(&mut anna, change(3_000)).await;
    assert_eq!(outcome.status(), Status::Merged, "{outcome:?}");
    settle(&app, &mut anna).await;
    assert_eq!(who_has(&app, of_record(order)).await, [("anna".to_owned(), true)]);

    let changes = history(&app, order).await;
    let names: Vec<&str> = changes.iter().map(|change| change.command_name.as_str()).collect();
    assert_eq!(names, ["ChangeOrder", "ChangeOrder", "SubmitOrder"]);
    let last = changes[0].outcome.as_ref().expect("an outcome");
    let [met] = &last.overrides[..] else { panic!("they met once: {last:?}") };
    assert_eq!((met.kept.as_str(), met.lost.as_str()), ("5000", "3000"), "{met:?}");
    assert_eq!(changes[0].user_id, bytes(world.anna.user));
    assert!(!changes[0].device_id.is_empty() && changes[1].device_id.is_empty());
    let whole = app.replace_document(order, b"\xff".to_vec()).await;
    let broken = record(&app, order).await;
    assert!(broken.document_json.is_empty() && !broken.unreadable.is_empty(), "{broken:?}");
    app.replace_document(order, whole).await;
    let wrong = GetRecordRequest { record_id: bytes(order), kind: RecordKind::Price as u32 };
    let missing = door(&app).get_record(admin(&app, wrong).await).await.expect_err("is of another kind");
    assert_eq!(missing.code(), Code::NotFound);
    app.finish().await;
}

/// Pulls, and tells by the next pull where that has brought it.
async fn settle(app: &TestApp, device: &mut TestDevice) {
    app.sync(device).await;
    app.sync(device).await;
}

async fn a_bucket_is_shown_and_only_with_those_who_hold_it(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let (mut anna, mut boris) = (app.device("anna").await, app.device("boris").await);
    settle(&app, &mut anna).await;
    app.sync(&mut boris).await;
    let (scope, kind) = (format!("territory:{}", world.anna.territory), RecordKind::Outlet as u32);
    let request = GetBucketRequest { scope: scope.clone(), kind };
    let shown = door(&app).get_bucket(admin(&app, request.clone()).await).await.expect("shows").into_inner();
    let bucket = shown.bucket.expect("a bucket");
    assert_eq!((bucket.rows, bucket.last_removal, &bucket.scope), (2, 0, &scope));
    assert!(bucket.head > 0 && bucket.checksum != 0 && bucket.bytes > 0, "{bucket:?}");
    let of_bucket = |scope: &str| ListHoldersRequest { scope: scope.to_owned(), kind, ..ListHoldersRequest::default() };
    assert_eq!(who_has(&app, of_bucket(&scope)).await, [("anna".to_owned(), true)]);
    let list = format!("price_list:{}", world.price_list);
    let of_list = ListHoldersRequest { kind: RecordKind::Price as u32, ..of_bucket(&list) };
    assert_eq!(who_has(&app, of_list.clone()).await, [("anna".to_owned(), true), ("boris".to_owned(), false)]);
    let device_id = bytes(device_of(&app, &world, &world.boris).await);
    app.office(Command::RevokeDevice(RevokeDevice { device_id, ..RevokeDevice::default() })).await;
    assert_eq!(who_has(&app, of_list).await, [("anna".to_owned(), true)]);
    let elsewhere = GetBucketRequest { scope: format!("territory:{}", app.id()), kind };
    let missing = door(&app).get_bucket(admin(&app, elsewhere).await).await.expect_err("is not there");
    assert_eq!(missing.code(), Code::NotFound);
    for wrong in [
        GetBucketRequest { scope: "nowhere".to_owned(), kind },
        GetBucketRequest { scope: String::new(), kind },
        GetBucketRequest { kind: 999, ..request.clone() },
        GetBucketRequest { kind: 0, ..request },
    ] {
        let refused = door(&app).get_bucket(admin(&app, wrong).await).await.expect_err("is wrong");
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
    app.finish().await;
}

async fn nobody_but_an_administrator_of_the_tenant_looks(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let mut anna = app.device("anna").await;
    app.sync(&mut anna).await;
    let device_id = bytes(device_of(&app, &world, &world.anna).await);
    app.user("olga", Role::Office, None, None).await;
    let (outlet, scope) = (bytes(world.anna.outlets[0]), format!("territory:{}", world.anna.territory));
    let kind = RecordKind::Outlet as u32;
    let codes = async |token: &str| {
        let mut door = door(&app);
        let device = door.get_device(by(token, GetDeviceRequest { device_id: device_id.clone() })).await.err();
        let record = GetRecordRequest { record_id: outlet.clone(), kind: 0 };
        let record = door.get_record(by(token, record)).await.err();
        let history = ListRecordHistoryRequest { record_id: outlet.clone(), ..ListRecordHistoryRequest::default() };
        let history = door.list_record_history(by(token, history)).await;
        let history = history.map(|answer| answer.into_inner().changes.len());
        let bucket = door.get_bucket(by(token, GetBucketRequest { scope: scope.clone(), kind })).await.err();
        let holders = ListHoldersRequest { scope: scope.clone(), kind, ..ListHoldersRequest::default() };
        let holders = door.list_holders(by(token, holders)).await;
        let holders = holders.map(|answer| answer.into_inner().holders.len());
        let code = |status: Option<tonic::Status>| status.map(|status| status.code());
        let count = |listed: Result<usize, tonic::Status>| listed.map_err(|status| status.code());
        (code(device), code(record), count(history), code(bucket), count(holders))
    };
    for login in ["anna", "sonja", "olga"] {
        let refused = Code::PermissionDenied;
        let all = (Some(refused), Some(refused), Err(refused), Some(refused), Err(refused));
        assert_eq!(codes(&app.token(login).await).await, all, "{login}");
    }
    let missing = Some(Code::NotFound);
    let eve = stranger(&app, world.anna.user).await;
    assert_eq!(codes(&eve).await, (missing, missing, Ok(0), missing, Ok(0)), "another tenant");
    assert_eq!(codes(&app.admin_token().await).await, (None, None, Ok(1), None, Ok(1)));
    app.finish().await;
}
