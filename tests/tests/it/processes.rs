//! Real processes: servers that are killed, stopped and woken, a PostgreSQL that crashes, and a day of devices on their
//! files that push and pull over TCP meanwhile. In the end everything that was acknowledged is there once.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command as Program, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use roundsman::auth::caller::Caller;
use roundsman::clock::Random;
use roundsman::device::{self, Device};
use roundsman::store::command;
use roundsman::store::sql::Db;
use roundsman::store::tenant::WRITER_VERSION;
use roundsman::verify::{self, Content};
use roundsman_proto::auth::Tokens;
use roundsman_proto::sync::{Outcome, Status};
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::{Outlet, RegisterOutlet};
use roundsman_sync::kind::Record as _;
use roundsman_sync::outbox::{self, Outbox};
use roundsman_sync::replica::{self, Replica};
use roundsman_tests::app::{PASSWORD, START_US, TENANT, TODAY, TestApp};
use roundsman_tests::database::Database;
use roundsman_tests::world::{RepWorld, World, bytes};
use tempfile::TempDir;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};
use uuid::Uuid;

/// Devices that work at the same time.
const DEVICES: usize = 16;
/// Between two attempts of a device.
pub const PAUSE: Duration = Duration::from_millis(3);

/// The server's process, which ends with this value.
pub struct Server {
    arguments: Vec<String>,
    address: SocketAddr,
    child: Child,
}

impl Server {
    /// Starts one, and waits until it listens.
    pub async fn start(database: &str) -> Self {
        Self::of_format(database, WRITER_VERSION).await
    }

    /// One that writes this format.
    pub async fn of_format(database: &str, format: i64) -> Self {
        let (address, format) = (free_address(), format.to_string());
        let arguments = ["--database", database, "--listen", &address.to_string(), "--format", &format];
        Self::run(address, arguments.map(str::to_owned).to_vec()).await
    }

    async fn run(address: SocketAddr, arguments: Vec<String>) -> Self {
        let program = env!("CARGO_BIN_EXE_server");
        let child = Program::new(program).args(&arguments).stdin(Stdio::piped()).spawn().expect("is started");
        let mut server = Self { arguments, address, child };
        while tokio::net::TcpStream::connect(address).await.is_err() {
            server.assert_alive();
            tokio::time::sleep(PAUSE).await;
        }
        server
    }

    /// Ends it by SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().expect("is killed");
        self.child.wait().expect("has ended");
    }

    /// The same again, at the same address.
    pub async fn again(mut self) -> Self {
        self.kill();
        Self::run(self.address, self.arguments.clone()).await
    }

    /// Sends it a signal by its name.
    pub fn signal(&self, signal: &str) {
        let sent = Program::new("kill").args(["-s", signal, &self.child.id().to_string()]).status();
        assert!(sent.expect("kill is there").success());
    }

    /// It has not ended.
    pub fn assert_alive(&mut self) {
        assert_eq!(self.child.try_wait().expect("is asked"), None, "the server has ended");
    }

    /// A connection to it, made when it is needed.
    pub fn channel(&self) -> Channel {
        Endpoint::try_from(format!("http://{}", self.address)).expect("an address").connect_lazy()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_address() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address")
}

/// A PostgreSQL server of the test's own, which keeps what it acknowledges. It is gone with this value.
pub struct Cluster {
    /// A superuser's.
    pub url: String,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    child: Child,
}

impl Cluster {
    /// Starts one.
    pub fn start() -> Self {
        const SERVE: &str = r#"
            echo "$ROUNDSMAN_TEST_POSTGRES_URL"
            while read -r _; do (eval "$ROUNDSMAN_TEST_POSTGRES_CRASH") && echo "up again"; done"#;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/postgres");
        let mut child = Program::new(script)
            .args(["sh", "-c", SERVE])
            .env_remove("ROUNDSMAN_TEST_POSTGRES_URL")
            .env("ROUNDSMAN_TEST_PG_FAST", "0")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("scripts/postgres is there");
        let orders = child.stdin.take().expect("is piped");
        let answers = BufReader::new(child.stdout.take().expect("is piped"));
        let mut cluster = Self { url: String::new(), orders, answers, child };
        cluster.url = cluster.line();
        cluster
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("answers");
        line.trim_end().to_owned()
    }

    /// Ends it as a crash does, and returns when it is up again.
    pub async fn crash(mut self) -> Self {
        let crashed = tokio::task::spawn_blocking(move || {
            self.orders.write_all(b"crash\n").expect("listens");
            assert_eq!(self.line(), "up again");
            self
        });
        crashed.await.expect("PostgreSQL is up again")
    }

    /// Ends it for good.
    pub fn end(mut self) {
        drop(self.orders);
        self.child.wait().expect("has ended");
    }
}

/// What all devices share with the test.
#[derive(Default)]
struct Shared {
    /// No new work is captured any more.
    evening: AtomicBool,
    /// The database was replaced by an older one, and devices are asked for what they kept.
    restored: AtomicBool,
    /// Commands that were acknowledged.
    acknowledged: AtomicU64,
    /// Told when there are more.
    more: Notify,
}

pub type Phone = Device<replica::sqlite::SqliteStorage, outbox::sqlite::SqliteStorage>;

/// A new outlet on the route.
pub fn found(outlet: Uuid, territory: Uuid) -> Command {
    let (outlet_id, territory_id) = (bytes(outlet), bytes(territory));
    let name = "A kiosk".to_owned();
    Command::RegisterOutlet(RegisterOutlet { outlet_id, territory_id, name, ..RegisterOutlet::default() })
}

/// A device on its file.
pub struct Rep {
    file: PathBuf,
    /// One for each server.
    channels: Vec<Channel>,
    tokens: Tokens,
    territory: Uuid,
    /// The device.
    pub device: Uuid,
    random: Random,
    /// What it was told of its commands.
    told: BTreeMap<Uuid, Outcome>,
}

impl Rep {
    /// A new installation, numbered within the test.
    pub async fn log_in(folder: &Path, number: usize, who: &RepWorld, channels: Vec<Channel>) -> Self {
        let random = Random::seeded(number as u64);
        let installation = random.uuid(START_US);
        let login = (TENANT, who.login, PASSWORD);
        let answer = device::login(channels[0].clone(), login, Some(installation)).await.expect("logs in");
        Self {
            file: folder.join(format!("{number}.db")),
            channels,
            tokens: answer.tokens.expect("tokens"),
            territory: who.territory,
            device: roundsman::store::account::device_id(installation, who.user),
            random,
            told: BTreeMap::new(),
        }
    }

    /// The app is started, and finds one of the servers.
    pub fn open(&self) -> Phone {
        let replica = Replica::open(replica::sqlite::SqliteStorage::open(&self.file).expect("opens")).expect("opens");
        let outbox = Outbox::open(outbox::sqlite::SqliteStorage::open(&self.file).expect("opens")).expect("opens");
        let channel = self.channels[self.pick(self.channels.len())].clone();
        Device::new(channel, self.tokens.clone(), replica, outbox)
    }

    /// The same device, which finds another server.
    pub fn moved(self, to: Channel) -> Self {
        Self { channels: vec![to], ..self }
    }

    fn pick(&self, among: usize) -> usize {
        usize::try_from(self.random.next_u64() % among as u64).expect("is small")
    }

    /// Captures an outlet.
    pub fn capture(&self, phone: &mut Phone) {
        let (command, outlet) = (self.random.uuid(START_US), self.random.uuid(START_US));
        phone.capture(command, found(outlet, self.territory), (START_US, TODAY)).expect("is captured");
    }

    /// Works until the evening, and then until everything is handed in.
    async fn work(mut self, shared: Arc<Shared>) -> (Phone, BTreeMap<Uuid, Outcome>) {
        let mut phone = self.open();
        loop {
            let evening = shared.evening.load(Ordering::SeqCst);
            for _ in 0..if evening { 0 } else { 1 + self.pick(3) } {
                self.capture(&mut phone);
            }
            match phone.sync(START_US).await {
                Ok(synced) => {
                    assert_eq!(synced.damaged, 0, "every sum is right");
                    shared.acknowledged.fetch_add(synced.outcomes.len() as u64, Ordering::SeqCst);
                    shared.more.notify_one();
                    for (command, outcome) in synced.outcomes {
                        let before = self.told.insert(command, outcome);
                        // Devices make good for a server that loses what it has acknowledged; here none may need to.
                        let again = before.is_some() && !shared.restored.load(Ordering::SeqCst);
                        assert!(!again, "{command} was acknowledged, and is asked for again");
                    }
                    if evening && phone.outbox.waiting() == 0 {
                        return (phone, self.told);
                    }
                }
                // What was answered before the stream broke is in the outbox all the same.
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
            if self.pick(8) == 0 {
                drop(phone);
                phone = self.open();
            }
        }
    }
}

type Working = JoinHandle<(Phone, BTreeMap<Uuid, Outcome>)>;

/// A day on which things happen to servers while devices work.
pub struct Day {
    /// The servers, each on the same database.
    pub servers: Vec<Server>,
    /// Who and what there was in the morning.
    pub world: World,
    /// The database.
    pub database: Database,
    /// Where the devices have their files.
    pub folder: TempDir,
    working: Vec<(Caller, Working)>,
    shared: Arc<Shared>,
    random: Random,
}

impl Day {
    /// Everybody begins to work, on so many servers.
    pub async fn begin(app: TestApp, servers: usize) -> Self {
        let world = World::make(&app).await;
        let database = app.hand_over().await;
        let mut running = Vec::new();
        for number in 0..servers {
            running.push(Server::start(&named(&database.url, number)).await);
        }
        let folder = TempDir::new().expect("a folder");
        let channels: Vec<Channel> = running.iter().map(Server::channel).collect();
        let shared = Arc::new(Shared::default());
        let mut working = Vec::new();
        for number in 0..DEVICES {
            let who = if number % 2 == 0 { &world.anna } else { &world.boris };
            let rep = Rep::log_in(folder.path(), number, who, channels.clone()).await;
            working.push((world.caller(who), tokio::spawn(rep.work(Arc::clone(&shared)))));
        }
        Self { servers: running, world, database, folder, working, shared, random: Random::seeded(1) }
    }

    /// Waits until some more commands were acknowledged, at least this many.
    pub async fn work(&self, least: u64) {
        let acknowledged = || self.shared.acknowledged.load(Ordering::SeqCst);
        let enough = acknowledged() + least + self.random.next_u64() % 40;
        while acknowledged() < enough {
            self.shared.more.notified().await;
        }
    }

    /// Waits for a moment of chance.
    pub async fn moment(&self) {
        tokio::time::sleep(Duration::from_micros(self.random.next_u64() % 20_000)).await;
    }

    /// The database becomes what it was when it was backed up. No server may run.
    pub async fn restore(&self) {
        self.shared.restored.store(true, Ordering::SeqCst);
        self.database.restore().await;
    }

    /// One more device, which has handed in.
    pub fn join(&mut self, caller: Caller, phone: Phone) {
        self.working.push((caller, tokio::spawn(async move { (phone, BTreeMap::new()) })));
    }

    /// Everybody hands in, now here and now there; then everybody sees what the others did. Nothing is lost, and nothing is
    /// there twice.
    pub async fn end(self) {
        self.work(50).await;
        self.shared.evening.store(true, Ordering::SeqCst);
        let mut reps = Vec::new();
        for (caller, working) in self.working {
            let (phone, told) = working.await.expect("works to the end");
            reps.push((caller, phone, told));
        }
        for (_, phone, _) in &mut reps {
            phone.sync(START_US).await.expect("synchronizes");
        }
        drop(self.servers);
        let db = Db::connect(&self.database.url).await.expect("connects");
        assert_eq!(verify::verify(&db, self.world.tenant).await.expect("is verified"), Vec::<String>::new());
        everything_once(&db, &self.world, &reps).await;
        db.close().await;
        self.database.remove().await;
    }
}

/// On PostgreSQL a server's connections bear its number.
fn named(url: &str, number: usize) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    if url.starts_with("sqlite:") { url.to_owned() } else { format!("{url}{separator}application_name=server{number}") }
}

/// Each acknowledged command is kept with the outcome that was told, each has made its outlet, and each replica holds what
/// the server says that it should.
async fn everything_once(db: &Db, world: &World, reps: &[(Caller, Phone, BTreeMap<Uuid, Outcome>)]) {
    let mut outlets = 0;
    for (caller, phone, told) in reps {
        // Also what was answered in a push whose pull was cut.
        let answered: BTreeMap<Uuid, Outcome> =
            phone.outbox.outcomes().map(|(id, outcome)| (id, outcome.clone())).chain(told.clone()).collect();
        let kept = kept(db, world.tenant, answered.keys().copied().collect()).await;
        assert_eq!(kept, answered);
        let refused = kept.values().find(|outcome| outcome.status() != Status::Applied);
        assert_eq!(refused, None, "every outlet is taken");
        outlets += kept.len();
        assert_same(db, caller, phone).await;
    }
    let known = world.anna.outlets.len() + world.boris.outlets.len();
    assert_eq!(outlets_of(db, world.tenant).await, known + outlets, "each outlet once");
    assert!(outlets > 100, "there was something to lose: {outlets}");
}

/// What the server knows of these commands.
pub async fn kept(db: &Db, tenant: i64, ids: Vec<Uuid>) -> BTreeMap<Uuid, Outcome> {
    let mut tx = db.read().await.expect("reads");
    let known = command::known(&mut tx, tenant, &ids).await.expect("is read");
    tx.commit().await.expect("ends");
    known.into_iter().map(|(id, known)| (id, known.outcome)).collect()
}

/// A replica holds what the server says that it should.
pub async fn assert_same(db: &Db, caller: &Caller, phone: &Phone) {
    let stored: Content = verify::projection(db, caller).await.expect("is computed");
    assert!(phone.replica.content().expect("reads") == stored, "the replica is the server's");
}

/// How many outlets there are.
pub async fn outlets_of(db: &Db, tenant: i64) -> usize {
    let mut tx = db.read().await.expect("reads");
    let (stored,): (i64,) = tx
        .query_as("SELECT CAST(COUNT(*) AS BIGINT) FROM record WHERE tenant = $1 AND kind = $2 AND removed_at IS NULL")
        .bind(tenant)
        .bind(i64::from(Outlet::KIND as i32))
        .one()
        .await
        .expect("is counted");
    tx.commit().await.expect("ends");
    usize::try_from(stored).expect("is small")
}
