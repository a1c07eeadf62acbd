//! What the office learns of devices, and what it may ask of them.

use roundsman::device::DeviceError;
use roundsman_proto::sync::sync_service_client::SyncServiceClient;
use roundsman_proto::sync::{PullRequest, PushRequest};
use roundsman_tests::app::TestApp;
use roundsman_tests::database::Kind;
use roundsman_tests::world::{World, check_in};
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::desk::by;

on_both_databases!(an_app_that_is_too_old_hands_in_what_it_has_and_gets_nothing);

async fn an_app_that_is_too_old_hands_in_what_it_has_and_gets_nothing(kind: Kind) {
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
