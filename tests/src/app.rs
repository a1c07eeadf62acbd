//! The app under test: a real server on a free port, with a clock that the test moves.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, OnceLock};

use metrics_exporter_prometheus::PrometheusHandle;
use prost::Message as _;
use roundsman::app::{self, Core, Parts};
use roundsman::app_version::AppVersion;
use roundsman::auth::users;
use roundsman::batch::{Submission, Submitted};
use roundsman::clock::{Clock, Random};
use roundsman::commands::Issuer;
use roundsman::device::{self, Device, Synced};
use roundsman::fail::FailPoints;
use roundsman::policy::Policy;
use roundsman::pull::Sizes;
use roundsman::store::sql::Db;
use roundsman::store::tenant::WRITER_VERSION;
use roundsman::telemetry;
use roundsman_proto::admin::admin_service_client::AdminServiceClient;
use roundsman_proto::admin::office_service_client::OfficeServiceClient;
use roundsman_proto::admin::{CreateUserRequest, ExecuteRequest};
use roundsman_proto::auth::auth_service_client::AuthServiceClient;
use roundsman_proto::auth::{ClaimServerRequest, Role};
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{self, command::Command};
use roundsman_sync::outbox::Outbox;
use roundsman_sync::replica::Replica;
use roundsman_sync::replica::memory::MemoryStorage;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint};
use uuid::Uuid;

use crate::database::{Database, Kind};

/// Where the clock of a test begins: Monday, 2026-11-23, 06:00 in Helsinki.
pub const START_US: i64 = 1_795_406_400_000_000;
/// The day of [`START_US`], in days since 1970-01-01.
pub const TODAY: i32 = 20_780;
/// The name of the tenant under test.
pub const TENANT: &str = "Nordic Wholesale";
/// Everybody's password.
pub const PASSWORD: &str = "correct horse battery staple";

/// A device with its storages in memory.
pub type TestDevice = Device<MemoryStorage, roundsman_sync::outbox::memory::MemoryStorage>;

/// Another server on an app's database.
pub struct Neighbour {
    /// A connection to it.
    pub channel: Channel,
    stop: oneshot::Sender<()>,
    server: tokio::task::JoinHandle<anyhow::Result<()>>,
}

impl Neighbour {
    /// Ends it in good order.
    pub async fn finish(self) {
        let _ = self.stop.send(());
        self.server.await.expect("the server ends").expect("in good order");
    }
}

/// The whole app.
pub struct TestApp {
    /// The parts behind the doors, for a look at what is stored.
    pub core: Arc<Core>,
    /// A connection to the server.
    pub channel: Channel,
    /// The administrator's access token, and when it was got.
    admin: tokio::sync::Mutex<(String, i64)>,
    database: Database,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    server: Option<tokio::task::JoinHandle<anyhow::Result<()>>>,
    next_id: AtomicI64,
}

impl TestApp {
    /// A server with an empty tenant and its administrator.
    pub async fn start(kind: Kind) -> Self {
        Self::start_failing(kind, FailPoints::default()).await
    }

    /// The same, failing where the test says.
    pub async fn start_failing(kind: Kind, fail: FailPoints) -> Self {
        Self::start_with(Database::create(kind).await, fail, Serve::All(None), None).await
    }

    /// The same as the first, without what is done by the clock: whatever it does, the test has asked for.
    pub async fn start_doors(kind: Kind) -> Self {
        Self::start_with(Database::create(kind).await, FailPoints::default(), Serve::Doors, None).await
    }

    /// The same, serving only apps of this version and newer ones.
    pub async fn start_requiring(kind: Kind, version: &str) -> Self {
        let version = version.parse().expect("a version");
        Self::start_with(Database::create(kind).await, FailPoints::default(), Serve::All(None), Some(version)).await
    }

    /// The same, with `/metrics`. All measured servers of a process count together.
    pub async fn start_measured(kind: Kind) -> Self {
        static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();
        let metrics = METRICS.get_or_init(|| telemetry::metrics().expect("nobody else counts")).clone();
        Self::start_with(Database::create(kind).await, FailPoints::default(), Serve::All(Some(metrics)), None).await
    }

    /// The same as the first, on an empty database that is there.
    pub async fn start_on(database: Database) -> Self {
        Self::start_with(database, FailPoints::default(), Serve::All(None), None).await
    }

    async fn start_with(
        database: Database,
        fail: FailPoints,
        what: Serve,
        min_app_version: Option<AppVersion>,
    ) -> Self {
        let db = Db::connect(&database.url).await.expect("connects");
        db.migrate().await.expect("migrates");
        let clock = Arc::new(Clock::Manual(AtomicI64::new(START_US)));
        let random = Arc::new(Random::seeded(1));
        let code = users::setup_code(&db, &random).await.expect("answers").expect("a new server has a code");
        let session_clock = Arc::clone(&clock);
        let (policy, sizes, format) = (Policy::default(), Sizes::default(), WRITER_VERSION);
        let parts = Parts { db, clock, session_clock, random, policy, min_app_version, sizes, format, fail };
        let core = Core::start(parts).await.expect("starts");
        let (address, channel, stop, server) = serve(&core, what).await;
        AuthServiceClient::new(channel.clone())
            .claim_server(ClaimServerRequest {
                setup_code: code,
                tenant: TENANT.to_owned(),
                login: "admin".to_owned(),
                password: PASSWORD.to_owned(),
            })
            .await
            .expect("the server is claimed");
        let admin = tokio::sync::Mutex::new((login(&channel, "admin").await, START_US));
        let server = Some(server);
        Self { core, channel, admin, database, address, stop: Some(stop), server, next_id: AtomicI64::new(1) }
    }

    /// Another server on the same database, as far as it knows in another process.
    pub async fn neighbour(&self) -> Neighbour {
        let db = Db::connect(&self.database.url).await.expect("connects");
        let (clock, random) = (Arc::clone(&self.core.clock), Arc::new(Random::seeded(2)));
        let (session_clock, fail) = (Arc::clone(&clock), FailPoints::default());
        let (policy, format, min_app_version) = (Policy::default(), WRITER_VERSION, None);
        let sizes = Sizes::default();
        let parts = Parts { db, clock, session_clock, random, policy, min_app_version, sizes, format, fail };
        let core = Core::start(parts).await.expect("starts");
        let (_, channel, stop, server) = serve(&core, Serve::All(None)).await;
        Neighbour { channel, stop, server }
    }

    /// Ends the server in good order, and takes its database away.
    pub async fn finish(mut self) {
        self.halt().await;
        self.database.remove().await;
    }

    /// Ends the server in good order, and leaves its database to another one.
    pub async fn hand_over(mut self) -> Database {
        self.halt().await;
        self.database
    }

    /// Ends a server whose database the test has broken.
    pub async fn abandon(mut self) {
        if let (Some(stop), Some(server)) = (self.stop.take(), self.server.take()) {
            let _ = stop.send(());
            let ended = server.await.expect("the server ends");
            assert!(ended.is_err(), "it says that the database is gone");
        }
        self.database.remove().await;
    }

    async fn halt(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(server) = self.server.take() {
            server.await.expect("the server ends").expect("in good order");
        }
    }

    /// Lets time pass.
    pub fn pass(&self, minutes: i64) {
        self.core.clock.advance(minutes * 60_000_000);
    }

    /// The moment, in microseconds since the Unix epoch.
    #[must_use]
    pub fn now_us(&self) -> i64 {
        self.core.clock.now_us()
    }

    /// Where the server listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where its database is.
    #[must_use]
    pub fn database_url(&self) -> &str {
        &self.database.url
    }

    /// A figure as `/metrics` shows it; `None`: it does not.
    pub async fn metric(&self, name: &str) -> Option<f64> {
        let mut stream = tokio::net::TcpStream::connect(self.address).await.expect("connects");
        let request = "GET /metrics HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await.expect("asks");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("is answered");
        let value = answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.map(|value| value.trim().parse().expect("a number"))
    }

    /// The number of the tenant under test.
    pub async fn tenant(&self) -> i64 {
        let mut tx = self.core.db.read().await.expect("reads");
        let tenants = roundsman::store::tenant::all(&mut tx).await.expect("answers");
        tenants.first().expect("a tenant").0
    }

    /// An id that nothing else in this test has.
    pub fn id(&self) -> Uuid {
        let number = self.next_id.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0000 | u128::from(number.unsigned_abs()))
    }

    /// Makes a user.
    pub async fn user(&self, login: &str, role: Role, rep: Option<Uuid>, team: Option<Uuid>) -> Uuid {
        let user = self.id();
        let bytes = |id: Option<Uuid>| id.map_or_else(Vec::new, |id| id.as_bytes().to_vec());
        let request = CreateUserRequest {
            user_id: user.as_bytes().to_vec(),
            login: login.to_owned(),
            password: PASSWORD.to_owned(),
            role: role.into(),
            rep_id: bytes(rep),
            team_id: bytes(team),
        };
        let request = device::authorized(&self.admin_token().await, request).expect("a request");
        AdminServiceClient::new(self.channel.clone()).create_user(request).await.expect("the user is made");
        user
    }

    /// An access token of somebody at a desk.
    pub async fn token(&self, login: &str) -> String {
        self::login(&self.channel, login).await
    }

    /// The administrator's access token, a new one when time has passed.
    pub async fn admin_token(&self) -> String {
        const GOOD_FOR_US: i64 = 10 * 60_000_000;
        let mut admin = self.admin.lock().await;
        if self.now_us() - admin.1 > GOOD_FOR_US {
            *admin = (self.token("admin").await, self.now_us());
        }
        admin.0.clone()
    }

    /// A command of the administrator's.
    pub async fn office(&self, command: Command) -> Outcome {
        self.office_as(&self.admin_token().await, self.id(), command).await.expect("the office is answered")
    }

    /// A command of the server's own, as a job issues it.
    pub async fn server(&self, tenant: i64, command: Command) -> Outcome {
        self.server_as(tenant, self.id(), command).await
    }

    /// A command of the server's own, under the id of its job.
    pub async fn server_as(&self, tenant: i64, id: Uuid, command: Command) -> Outcome {
        let now_us = self.now_us();
        let submitted = Submitted {
            id,
            seq: 0,
            captured_at_us: now_us,
            clock_correction_us: 0,
            business_day: TODAY,
            body: encoded(command).into(),
        };
        let submission = Submission {
            issuer: Issuer::Server,
            sender: None,
            request: "job".to_owned(),
            received_at_us: now_us,
            released: false,
            commands: vec![submitted],
        };
        let answer = self.core.lanes.of(tenant).submit(submission).await.expect("the lane answers");
        answer.results.into_iter().next().and_then(|result| result.outcome).expect("an outcome")
    }

    /// A command of somebody at a desk, under an id.
    pub async fn office_as(&self, token: &str, id: Uuid, command: Command) -> Result<Outcome, Box<tonic::Status>> {
        let command = Some(trade::Command { command: Some(command) });
        let request = ExecuteRequest { command_id: id.as_bytes().to_vec(), command };
        let request = device::authorized(token, request).expect("a request");
        let answer = OfficeServiceClient::new(self.channel.clone()).execute(request).await.map_err(Box::new)?;
        Ok(answer.into_inner().outcome.expect("an outcome"))
    }

    /// An access token of a fresh installation of the app.
    pub async fn device_token(&self, login: &str) -> String {
        let answer =
            device::login(self.channel.clone(), (TENANT, login, PASSWORD), Some(self.id())).await.expect("logs in");
        answer.tokens.expect("tokens").access_token
    }

    /// All live records of a kind.
    pub async fn stored<R: roundsman_sync::kind::Record>(&self, tenant: i64) -> BTreeMap<Uuid, R> {
        let mut tx = self.core.db.read().await.expect("reads");
        let kind = i64::from(R::KIND as i32);
        let page = roundsman::store::record::page(&mut tx, tenant, kind, Uuid::nil(), 10_000).await.expect("answers");
        let live = page.into_iter().filter(|(_, stored)| stored.removed_at_us.is_none());
        live.map(|(id, stored)| (id, R::decode(stored.document).expect("a document of its kind"))).collect()
    }

    /// Overwrites a stored document, as a fault of the disk would; returns what stood there.
    pub async fn replace_document(&self, record: Uuid, document: Vec<u8>) -> Vec<u8> {
        let mut tx = self.core.db.write().await.expect("begins");
        let (before,): (Vec<u8>,) =
            tx.query_as("SELECT document FROM record WHERE id = $1").bind(record).one().await.expect("is there");
        let replaced = tx.query("UPDATE record SET document = $1 WHERE id = $2").bind(document).bind(record);
        assert_eq!(replaced.execute().await.expect("is written"), 1);
        tx.commit().await.expect("commits");
        before
    }

    /// The format of a tenant's data becomes another, as if another server had written it.
    pub async fn write_as(&self, tenant: i64, version: i64) {
        let mut tx = self.core.db.write().await.expect("begins");
        let update = tx.query("UPDATE tenant SET writer_version = $1 WHERE id = $2").bind(version).bind(tenant);
        assert_eq!(update.execute().await.expect("is written"), 1);
        tx.commit().await.expect("commits");
    }

    /// The newest format in which a tenant's data was written.
    pub async fn writer_version(&self, tenant: i64) -> i64 {
        self.head(tenant).await.writer_version
    }

    /// The server remembers no record, as after a restart.
    pub async fn forget_records(&self) {
        self.core.recent.forget(self.tenant().await);
    }

    async fn head(&self, tenant: i64) -> roundsman::store::tenant::Head {
        let mut tx = self.core.db.read().await.expect("reads");
        roundsman::store::tenant::head(&mut tx, tenant).await.expect("answers").expect("is there")
    }

    /// The last committed version.
    pub async fn version(&self, tenant: i64) -> i64 {
        self.head(tenant).await.position.version
    }

    /// The version at or below which tombstones are gone.
    pub async fn horizon(&self, tenant: i64) -> i64 {
        self.head(tenant).await.horizon
    }

    /// The body of a command of which nothing came.
    pub async fn kept_body(&self, command: Uuid) -> Option<Vec<u8>> {
        let mut tx = self.core.db.read().await.expect("reads");
        let row: Option<(Option<Vec<u8>>,)> =
            tx.query_as("SELECT body FROM command WHERE id = $1").bind(command).optional().await.expect("answers");
        row.and_then(|(body,)| body)
    }

    /// Makes the stored sums of a scope's buckets wrong, or right again: as a device sees it, its own are wrong.
    pub async fn shift_checksum(&self, scope: &str, by: i64) {
        let mut tx = self.core.db.write().await.expect("begins");
        let shifted = tx
            .query("UPDATE bucket SET checksum = checksum + $1 WHERE scope = $2")
            .bind(by)
            .bind(scope.to_owned())
            .execute()
            .await
            .expect("is written");
        assert!(shifted > 0, "{scope} has buckets");
        tx.commit().await.expect("commits");
    }

    /// The records of a kind are handed out in another scope than the rule says, as an older release with another rule would
    /// have left them.
    pub async fn place_elsewhere(&self, kind: roundsman_sync::kind::Kind, from: &str, to: &str) {
        let mut tx = self.core.db.write().await.expect("begins");
        let moved = tx
            .query("UPDATE bucket SET scope = $1 WHERE scope = $2 AND kind = $3")
            .bind(to.to_owned())
            .bind(from.to_owned())
            .bind(i64::from(kind as i32))
            .execute()
            .await
            .expect("is written");
        assert_eq!(moved, 1, "the bucket of {from}");
        tx.commit().await.expect("commits");
    }

    /// A fresh installation of the app, logged in.
    pub async fn device(&self, login: &str) -> TestDevice {
        self.device_at(&self.channel, login).await
    }

    /// The same, that speaks to another server.
    pub async fn device_at(&self, channel: &Channel, login: &str) -> TestDevice {
        let installation = self.id();
        let answer =
            device::login(channel.clone(), (TENANT, login, PASSWORD), Some(installation)).await.expect("logs in");
        let replica = Replica::open(MemoryStorage::default()).expect("opens");
        let outbox = Outbox::open(Default::default()).expect("opens");
        Device::new(channel.clone(), answer.tokens.expect("tokens"), replica, outbox)
    }

    /// Captures a command on a device, now and today.
    pub fn capture(&self, device: &mut TestDevice, command: Command) -> Uuid {
        let id = self.id();
        device.capture(id, command, (self.now_us(), TODAY)).expect("is captured");
        id
    }

    /// Captures a command on a device, some time ago and on its day.
    pub fn capture_at(&self, device: &mut TestDevice, command: Command, (at_us, day): (i64, i32)) -> Uuid {
        let id = self.id();
        device.capture(id, command, (at_us, day)).expect("is captured");
        id
    }

    /// Captures a command, synchronizes, and tells what became of it.
    pub async fn decide(&self, device: &mut TestDevice, command: Command) -> Outcome {
        let id = self.capture(device, command);
        let synced = self.sync(device).await;
        let (_, outcome) = synced.outcomes.into_iter().find(|(command, _)| *command == id).expect("an outcome");
        outcome
    }

    /// Pushes and pulls.
    pub async fn sync(&self, device: &mut TestDevice) -> Synced {
        let synced = device.sync(self.now_us()).await.expect("synchronizes");
        assert_eq!(synced.damaged, 0, "every sum is right");
        synced
    }

    /// A record as a device shows it.
    pub fn shown<R: roundsman_sync::kind::Record>(&self, device: &TestDevice, id: Uuid) -> Option<R> {
        let document = device.replica.document(id).expect("reads")?;
        Some(R::decode(document.bytes).expect("a document of its kind"))
    }

    /// Compares a device with what the server holds for its scopes, byte for byte.
    pub async fn assert_converged(&self, device: &TestDevice, caller: &roundsman::auth::caller::Caller) {
        let held = device.replica.content().expect("reads");
        let stored = self.projection(caller).await;
        let names = |content: &Content| content.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&held), names(&stored), "the buckets");
        for (bucket, records) in &stored {
            assert_eq!(held.get(bucket), Some(records), "the records of {bucket:?}");
        }
    }

    /// What the records say that a caller should hold: placed anew, past all buckets.
    async fn projection(&self, caller: &roundsman::auth::caller::Caller) -> Content {
        roundsman::verify::projection(&self.core.db, caller).await.expect("is computed")
    }
}

type Content = roundsman::verify::Content;

async fn login(channel: &Channel, name: &str) -> String {
    let answer = device::login(channel.clone(), (TENANT, name, PASSWORD), None).await.expect("logs in");
    answer.tokens.expect("tokens").access_token
}

type Serving = (SocketAddr, Channel, oneshot::Sender<()>, tokio::task::JoinHandle<anyhow::Result<()>>);

/// What of a server runs.
enum Serve {
    /// Everything, perhaps with `/metrics`.
    All(Option<PrometheusHandle>),
    /// Nothing but the doors.
    Doors,
}

async fn serve(core: &Arc<Core>, what: Serve) -> Serving {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async move {
        let _ = stopped.await;
    };
    let server = match what {
        Serve::All(metrics) => tokio::spawn(app::serve(Arc::clone(core), metrics, listener, stopped)),
        Serve::Doors => tokio::spawn(doors(Arc::clone(core), listener, stopped)),
    };
    let endpoint = Endpoint::try_from(format!("http://{address}")).expect("an address");
    (address, endpoint.connect_lazy(), stop, server)
}

async fn doors(core: Arc<Core>, listener: TcpListener, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let routes = Routes::from(app::router(&core).await);
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let server = tonic::transport::Server::builder().add_routes(routes).serve_with_incoming(incoming);
    let serving = tokio::spawn(server);
    stop.await;
    serving.abort();
    Ok(core.stop().await?)
}

/// A command's message as bytes, for tests that send it in their own way.
#[must_use]
pub fn encoded(command: Command) -> Vec<u8> {
    trade::Command { command: Some(command) }.encode_to_vec()
}
