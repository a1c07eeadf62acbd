//! What a process learns of the commits of another one: who is shut out, what followers are to hear of, and that a newer
//! server has written.

use std::time::Duration;

use roundsman::device::{self, DeviceError, Synced};
use roundsman::grpc::status;
use roundsman::store::sql::Db;
use roundsman::store::tenant::WRITER_VERSION;
use roundsman::verify;
use roundsman_proto::admin::ExecuteRequest;
use roundsman_proto::admin::office_service_client::OfficeServiceClient;
use roundsman_proto::sync::{PullResponse, Status};
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::{self, Reason, RevokeDevice};
use roundsman_sync::replica::Event;
use roundsman_tests::app::{PASSWORD, START_US, TENANT, TestApp};
use roundsman_tests::database::{Database, Kind};
use roundsman_tests::world::{World, bytes};
use tempfile::TempDir;
use tokio::time::{Instant, timeout};
use tonic::{Code, Streaming};
use uuid::Uuid;

use crate::processes::{Phone, Rep, Server, outlets_of};

on_both_databases!(a_revoked_device_is_shut_out_within_a_second);

mod postgres_only {
    use super::*;

    #[tokio::test]
    async fn what_another_process_commits_reaches_followers_too() {
        let field = Field::start(Kind::Postgres, [WRITER_VERSION; 2]).await;
        let (anna, other) = (field.rep(1, 1).await, field.rep(2, 0).await);
        let (mut phone, mut elsewhere) = (anna.open(), other.open());
        let mut stream = follow(&mut phone).await;
        other.capture(&mut elsewhere);
        elsewhere.sync(START_US).await.expect("synchronizes");
        let position = elsewhere.replica.position();
        let heard = async {
            while phone.replica.position() < position {
                next(&mut phone, &mut stream).await.expect("goes on");
            }
        };
        timeout(Duration::from_secs(2), heard).await.expect("it comes within a second or two");
        field.end().await;
    }

    #[tokio::test]
    async fn an_older_server_writes_nothing_beside_a_newer_one_and_goes_on_to_answer() {
        let field = Field::start(Kind::Postgres, [WRITER_VERSION, WRITER_VERSION + 1]).await;
        let (anna, other) = (field.rep(1, 0).await, field.rep(2, 1).await);
        let (mut phone, mut elsewhere) = (anna.open(), other.open());
        anna.capture(&mut phone);
        phone.sync(START_US).await.expect("until then it writes");
        other.capture(&mut elsewhere);
        elsewhere.sync(START_US).await.expect("so does the newer one");
        anna.capture(&mut phone);
        let refused =
            phone.push(START_US, &mut Synced::default()).await.expect_err("it would drop what it does not know");
        let DeviceError::Call(refused) = refused else { panic!("{refused}") };
        assert_eq!((refused.code(), status::reason(&refused).as_deref()), (Code::Unavailable, Some("SERVER_OUTDATED")));
        phone.pull(START_US, &mut Synced::default()).await.expect("it reads");
        assert_eq!(phone.replica.position(), elsewhere.replica.position(), "all that the newer one wrote");
        drop(phone);
        let mut phone = anna.moved(field.servers[1].channel()).open();
        let synced = phone.sync(START_US).await.expect("the newer one takes it");
        assert_eq!(synced.outcomes.iter().map(|(_, outcome)| outcome.status()).collect::<Vec<_>>(), [Status::Applied]);
        let known = field.world.anna.outlets.len() + field.world.boris.outlets.len();
        assert_eq!(outlets_of(&field.db().await, field.world.tenant).await, known + 3);
        field.end().await;
    }
}

/// Two servers, or one, on a database.
struct Field {
    world: World,
    servers: Vec<Server>,
    database: Database,
    folder: TempDir,
}

impl Field {
    async fn start(kind: Kind, formats: [i64; 2]) -> Self {
        let app = TestApp::start(kind).await;
        let world = World::make(&app).await;
        let database = app.hand_over().await;
        let mut servers = Vec::new();
        for format in formats.into_iter().take(if kind == Kind::Postgres { 2 } else { 1 }) {
            servers.push(Server::of_format(&database.url, format).await);
        }
        Self { world, servers, database, folder: TempDir::new().expect("a folder") }
    }

    /// A device of Anna's at this server.
    async fn rep(&self, number: usize, server: usize) -> Rep {
        Rep::log_in(self.folder.path(), number, &self.world.anna, vec![self.servers[server].channel()]).await
    }

    async fn db(&self) -> Db {
        Db::connect(&self.database.url).await.expect("connects")
    }

    async fn end(self) {
        let db = self.db().await;
        assert_eq!(verify::verify(&db, self.world.tenant).await.expect("is verified"), Vec::<String>::new());
        db.close().await;
        drop(self.servers);
        self.database.remove().await;
    }
}

type Stream = Streaming<PullResponse>;

/// The next message of a stream is taken.
async fn next(phone: &mut Phone, stream: &mut Stream) -> Result<Event, tonic::Status> {
    let message = stream.message().await?.expect("it does not end without a reason");
    Ok(phone.take(message, &mut Synced::default()).expect("is taken"))
}

/// Follows, and has everything.
async fn follow(phone: &mut Phone) -> Stream {
    phone.sync(START_US).await.expect("synchronizes");
    let mut stream = phone.open(START_US, true, &mut Synced::default()).await.expect("opens");
    while !matches!(next(phone, &mut stream).await.expect("goes on"), Event::Checkpoint { last: true, .. }) {}
    stream
}

async fn a_revoked_device_is_shut_out_within_a_second(kind: Kind) {
    let field = Field::start(kind, [WRITER_VERSION; 2]).await;
    // On PostgreSQL at one server, while the administrator is at the other.
    let rep = field.rep(1, field.servers.len() - 1).await;
    let mut phone = rep.open();
    let mut stream = follow(&mut phone).await;
    let admin = device::login(field.servers[0].channel(), (TENANT, "admin", PASSWORD), None).await.expect("logs in");
    let revoke = Command::RevokeDevice(RevokeDevice { device_id: bytes(rep.device), wipe: true });
    let command = Some(trade::Command { command: Some(revoke) });
    let request = ExecuteRequest { command_id: bytes(Uuid::from_u128(0x0192 << 112 | 7 << 76 | 8 << 60)), command };
    let request = device::authorized(&admin.tokens.expect("tokens").access_token, request).expect("a request");
    let answer = OfficeServiceClient::new(field.servers[0].channel()).execute(request).await.expect("is answered");
    assert_eq!(answer.into_inner().outcome.expect("an outcome").status(), Status::Applied);
    let revoked = Instant::now();
    let end = loop {
        if let Err(end) = next(&mut phone, &mut stream).await {
            break end;
        }
    };
    assert!(revoked.elapsed() <= Duration::from_secs(1), "it is shut out after {:?}", revoked.elapsed());
    assert_eq!((end.code(), status::reason(&end).as_deref()), (Code::PermissionDenied, Some("DEVICE_REVOKED")));
    rep.capture(&mut phone);
    let mut late = Synced::default();
    phone.push(START_US, &mut late).await.expect("what it holds gets home");
    let outcomes: Vec<_> = late.outcomes.iter().map(|(_, outcome)| (outcome.status(), outcome.reason())).collect();
    assert_eq!(outcomes, [(Status::Quarantined, Reason::DeviceRevoked)]);
    let pull = phone.pull(START_US, &mut Synced::default()).await;
    assert!(matches!(&pull, Err(DeviceError::Call(status)) if status.code() == Code::PermissionDenied), "{pull:?}");
    field.end().await;
}
