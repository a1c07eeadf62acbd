//! What the server could not decide, and what an administrator makes of it.

use roundsman_proto::admin::quarantine_service_client::QuarantineServiceClient;
use roundsman_proto::admin::{
    DiscardQuarantinedCommandRequest, GetQuarantinedCommandRequest, ListQuarantinedCommandsRequest,
    ListQuarantinedCommandsResponse, QuarantinedCommand, ReplayQuarantinedCommandRequest,
};
use roundsman_proto::sync::sync_service_client::SyncServiceClient;
use roundsman_proto::sync::{Command as Captured, Outcome, PushRequest, Status};
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::{CheckOut, Reason, RevokeDevice, Visit, VisitFlag, VisitState};
use roundsman_tests::app::{TODAY, TestApp, encoded};
use roundsman_tests::database::Kind;
use roundsman_tests::world::{World, bytes, check_in, place};
use tonic::{Code, Request};
use uuid::Uuid;

use crate::desk::by;

on_both_databases!(
    what_was_mended_is_decided_in_its_order,
    what_fails_once_more_stays_in_quarantine,
    what_a_revoked_device_sent_counts_if_an_administrator_says_so,
    only_an_administrator_sees_the_quarantine,
);

/// A device that pushes by hand, so that it can repeat.
struct Phone {
    token: String,
    commands: Vec<Captured>,
}

impl Phone {
    async fn of(app: &TestApp, login: &str) -> Self {
        Self { token: app.device_token(login).await, commands: Vec::new() }
    }

    /// Captures commands, and pushes all that it ever captured; returns the outcomes of all.
    async fn push(&mut self, app: &TestApp, commands: Vec<Command>) -> Vec<Outcome> {
        for command in commands {
            self.commands.push(Captured {
                command_id: bytes(app.id()),
                seq: self.commands.len() as i64 + 1,
                captured_at_us: app.now_us(),
                business_day: TODAY,
                body: encoded(command).into(),
            });
        }
        let request = PushRequest {
            protocol_version: 1,
            device_clock_us: app.now_us(),
            commands: self.commands.clone(),
            ..PushRequest::default()
        };
        let answer = SyncServiceClient::new(app.channel.clone()).push(by(&self.token, request)).await;
        let results = answer.expect("is answered").into_inner().results;
        results.into_iter().map(|result| result.outcome.expect("an outcome")).collect()
    }
}

fn short(outcomes: &[Outcome]) -> Vec<(Status, Reason)> {
    outcomes.iter().map(|outcome| (outcome.status(), outcome.reason())).collect()
}

async fn admin<T>(app: &TestApp, message: T) -> Request<T> {
    by(&app.admin_token().await, message)
}

fn door(app: &TestApp) -> QuarantineServiceClient<tonic::transport::Channel> {
    QuarantineServiceClient::new(app.channel.clone())
}

/// All that is in quarantine, page by page.
async fn listed(app: &TestApp) -> Vec<QuarantinedCommand> {
    let mut all = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListQuarantinedCommandsRequest { page_size: 1, page_token };
        let answer = door(app).list_quarantined_commands(admin(app, request).await).await.expect("lists");
        let ListQuarantinedCommandsResponse { commands, next_page_token } = answer.into_inner();
        all.extend(commands);
        page_token = next_page_token;
        if page_token.is_empty() {
            return all;
        }
    }
}

async fn replay(app: &TestApp, command_id: &[u8]) -> Result<Outcome, tonic::Status> {
    let request = ReplayQuarantinedCommandRequest { command_id: command_id.to_vec() };
    let answer = door(app).replay_quarantined_command(admin(app, request).await).await?.into_inner();
    Ok(answer.outcome.expect("an outcome"))
}

fn check_out(visit: Uuid) -> Command {
    let (visit_id, point) = (bytes(visit), Some(place()));
    Command::CheckOut(CheckOut { visit_id, productive: true, point, ..CheckOut::default() })
}

const KEPT: [(Status, Reason); 2] =
    [(Status::Quarantined, Reason::Quarantined), (Status::Quarantined, Reason::DependsOnQuarantined)];
const APPLIED: (Status, Reason) = (Status::Applied, Reason::Unspecified);

async fn what_was_mended_is_decided_in_its_order(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let mut phone = Phone::of(&app, "anna").await;
    let (outlet, visit) = (world.anna.outlets[0], app.id());
    let captured_at_us = app.now_us();
    let whole = app.replace_document(outlet, b"\xff".to_vec()).await;
    assert_eq!(short(&phone.push(&app, vec![check_in(visit, outlet), check_out(visit)]).await), KEPT);
    app.pass(10);
    let kept = listed(&app).await;
    let [first, second] = &kept[..] else { panic!("both are kept: {kept:?}") };
    assert_eq!((first.name.as_str(), second.name.as_str()), ("CheckIn", "CheckOut"));
    assert_eq!((first.record_id.clone(), first.seq, first.captured_at_us), (bytes(visit), 1, captured_at_us));
    assert_eq!(first.user_id, bytes(world.anna.user));
    let request = GetQuarantinedCommandRequest { command_id: first.command_id.clone() };
    let shown = door(&app).get_quarantined_command(admin(&app, request).await).await.expect("shows").into_inner();
    assert_eq!(shown.command.and_then(|command| command.command), Some(check_in(visit, outlet)));
    assert_eq!(shown.quarantined.as_ref(), Some(first));
    // Somebody mends the outlet; the second waits for the first.
    app.replace_document(outlet, whole).await;
    let refused = replay(&app, &second.command_id).await.expect_err("another one is first");
    assert_eq!(refused.code(), Code::FailedPrecondition);
    let mut decided = Vec::new();
    for entry in [first, second] {
        decided.push(replay(&app, &entry.command_id).await.expect("is decided"));
    }
    // It is seen that he came and went in the same moment.
    assert_eq!(short(&decided), [APPLIED, (Status::Applied, Reason::Flagged)]);
    assert_eq!(listed(&app).await, []);
    let visits = app.stored::<Visit>(world.tenant).await;
    let stored = visits.get(&visit).expect("is there");
    assert_eq!(
        (stored.state(), stored.checked_in_at_us),
        (VisitState::Completed, captured_at_us),
        "as it was captured"
    );
    // The device hears it when it asks again, and an administrator who comes late changes nothing.
    assert_eq!(phone.push(&app, Vec::new()).await, decided);
    assert_eq!(replay(&app, &first.command_id).await.expect_err("is gone").code(), Code::NotFound);
    assert_eq!(roundsman::verify::verify(&app.core.db, world.tenant).await.expect("verifies"), Vec::<String>::new());
    app.finish().await;
}

async fn what_fails_once_more_stays_in_quarantine(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let mut phone = Phone::of(&app, "anna").await;
    let (outlet, visit) = (world.anna.outlets[0], app.id());
    app.replace_document(outlet, b"\xff".to_vec()).await;
    assert_eq!(short(&phone.push(&app, vec![check_in(visit, outlet), check_out(visit)]).await), KEPT);
    let kept = listed(&app).await;
    assert_eq!(short(&[replay(&app, &kept[0].command_id).await.expect("is answered")]), KEPT[..1]);
    assert_eq!(listed(&app).await, kept, "as it was");
    let discard = |comment: &str| DiscardQuarantinedCommandRequest {
        command_id: kept[0].command_id.clone(),
        comment: comment.to_owned(),
    };
    let refused = door(&app).discard_quarantined_command(admin(&app, discard("")).await).await;
    assert_eq!(refused.expect_err("why?").code(), Code::InvalidArgument);
    let request = admin(&app, discard("the outlet is closed for good")).await;
    door(&app).discard_quarantined_command(request).await.expect("is discarded");
    assert_eq!(listed(&app).await, kept[1..]);
    // What waited behind it is decided on its own merits.
    let outcome = replay(&app, &kept[1].command_id).await.expect("is decided");
    assert_eq!(short(&[outcome]), [(Status::Rejected, Reason::NotFound)]);
    let repeated = phone.push(&app, Vec::new()).await;
    assert_eq!(short(&repeated), [(Status::Rejected, Reason::Discarded), (Status::Rejected, Reason::NotFound)]);
    assert_eq!(repeated[0].text, "the outlet is closed for good");
    app.finish().await;
}

async fn what_a_revoked_device_sent_counts_if_an_administrator_says_so(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let mut phone = Phone::of(&app, "anna").await;
    let (outlet, first, second) = (world.anna.outlets[0], app.id(), app.id());
    assert_eq!(short(&phone.push(&app, vec![check_in(first, outlet)]).await), [APPLIED]);
    let device =
        roundsman::store::account::devices(&mut app.core.db.read().await.expect("reads"), world.tenant, None, 9)
            .await
            .expect("lists")
            .into_iter()
            .find(|device| device.user_id == world.anna.user)
            .expect("is there");
    app.office(Command::RevokeDevice(RevokeDevice { device_id: bytes(device.id), wipe: false })).await;
    let outcomes = phone.push(&app, vec![check_out(first), check_in(second, outlet)]).await;
    assert_eq!(short(&outcomes[1..]), [(Status::Quarantined, Reason::DeviceRevoked); 2]);
    let kept = listed(&app).await;
    assert_eq!(kept.iter().map(|entry| entry.record_id.len()).sum::<usize>(), 0, "nobody waits behind them");
    let outcome = replay(&app, &kept[0].command_id).await.expect("is decided");
    assert_eq!(outcome.status(), Status::Applied);
    let visits = app.stored::<Visit>(world.tenant).await;
    let flags: Vec<VisitFlag> = visits[&first].flags().collect();
    assert!(flags.contains(&VisitFlag::DeviceRevoked), "whoever reads it sees how it came: {flags:?}");
    assert!(!visits.contains_key(&second));
    app.finish().await;
}

async fn only_an_administrator_sees_the_quarantine(kind: Kind) {
    let app = TestApp::start(kind).await;
    let _world = World::make(&app).await;
    for login in ["anna", "sonja"] {
        let token = app.token(login).await;
        let id = bytes(app.id());
        let list = door(&app).list_quarantined_commands(by(&token, ListQuarantinedCommandsRequest::default())).await;
        let get = GetQuarantinedCommandRequest { command_id: id.clone() };
        let get = door(&app).get_quarantined_command(by(&token, get)).await;
        let replay = ReplayQuarantinedCommandRequest { command_id: id.clone() };
        let replay = door(&app).replay_quarantined_command(by(&token, replay)).await;
        let discard = DiscardQuarantinedCommandRequest { command_id: id, comment: "no".to_owned() };
        let discard = door(&app).discard_quarantined_command(by(&token, discard)).await;
        let codes =
            [list.err(), get.err(), replay.err(), discard.err()].map(|status| status.map(|status| status.code()));
        assert_eq!(codes, [Some(Code::PermissionDenied); 4], "{login}");
    }
    app.finish().await;
}
