//! The real thing, killed: devices on their files push and pull over TCP while the server's process is ended by SIGKILL
//! again and again, and devices are opened anew in between; on PostgreSQL also with two servers, and devices that go to one
//! and the other. In the end everything that was acknowledged is there once.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Program, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use roundsman::auth::caller::Caller;
use roundsman::clock::Random;
use roundsman::device::{self, Device};
use roundsman::store::command;
use roundsman::store::sql::Db;
use roundsman::verify::{self, Content};
use roundsman_proto::auth::Tokens;
use roundsman_proto::sync::{Outcome, Status};
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::{Outlet, RegisterOutlet};
use roundsman_sync::kind::Record as _;
use roundsman_sync::outbox::{self, Outbox};
use roundsman_sync::replica::{self, Replica};
use roundsman_tests::app::{PASSWORD, START_US, TENANT, TODAY, TestApp};
use roundsman_tests::database::Kind;
use roundsman_tests::world::{World, bytes};
use tempfile::TempDir;
use tokio::sync::Notify;
use tonic::transport::{Channel, Endpoint};
use uuid::Uuid;

on_both_databases!(what_was_acknowledged_outlives_every_kill);

mod postgres_only {
    use super::*;

    #[tokio::test]
    async fn two_servers_on_one_database_are_as_one() {
        hold(Kind::Postgres, 2).await;
    }
}

/// Devices that work at the same time.
const DEVICES: usize = 16;
/// How often the server is killed, unless ROUNDSMAN_TEST_KILLS says otherwise.
const KILLS: u64 = 10;
/// Between two attempts of a device.
const PAUSE: Duration = Duration::from_millis(3);

fn kills() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "a longer run of the same test")]
    let kills = std::env::var("ROUNDSMAN_TEST_KILLS");
    kills.map_or(KILLS, |kills| kills.parse().expect("a number"))
}

/// The server's process, which ends with this value.
struct Server {
    database: String,
    address: SocketAddr,
    child: Child,
}

impl Server {
    async fn start(database: &str, address: SocketAddr) -> Self {
        let program = env!("CARGO_BIN_EXE_server");
        let arguments = ["--database", database, "--listen", &address.to_string()];
        let child = Program::new(program).args(arguments).stdin(Stdio::piped()).spawn().expect("is started");
        let mut server = Self { database: database.to_owned(), address, child };
        while tokio::net::TcpStream::connect(address).await.is_err() {
            assert_eq!(server.child.try_wait().expect("is asked"), None, "the server has ended");
            tokio::time::sleep(PAUSE).await;
        }
        server
    }

    async fn kill(mut self) -> Self {
        self.child.kill().expect("is killed");
        self.child.wait().expect("has ended");
        Self::start(&self.database.clone(), self.address).await
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

/// What all devices share with the test.
#[derive(Default)]
struct Shared {
    /// No new work is captured any more.
    evening: AtomicBool,
    /// Commands that were acknowledged.
    acknowledged: AtomicU64,
    /// Told when there are more.
    more: Notify,
}

impl Shared {
    async fn wait_for(&self, count: u64) {
        while self.acknowledged.load(Ordering::SeqCst) < count {
            self.more.notified().await;
        }
    }
}

type Phone = Device<replica::sqlite::SqliteStorage, outbox::sqlite::SqliteStorage>;

/// A new outlet on the route.
fn found(outlet: Uuid, territory: Uuid) -> Command {
    let (outlet_id, territory_id) = (bytes(outlet), bytes(territory));
    let name = "A kiosk".to_owned();
    Command::RegisterOutlet(RegisterOutlet { outlet_id, territory_id, name, ..RegisterOutlet::default() })
}

/// A device on its file.
struct Rep {
    file: PathBuf,
    /// One for each server.
    channels: Vec<Channel>,
    tokens: Tokens,
    territory: Uuid,
    random: Random,
    /// What it was told of its commands.
    told: BTreeMap<Uuid, Outcome>,
}

impl Rep {
    fn open(&self) -> Phone {
        let replica = Replica::open(replica::sqlite::SqliteStorage::open(&self.file).expect("opens")).expect("opens");
        let outbox = Outbox::open(outbox::sqlite::SqliteStorage::open(&self.file).expect("opens")).expect("opens");
        let channel = self.channels[self.pick(self.channels.len())].clone();
        Device::new(channel, self.tokens.clone(), replica, outbox)
    }

    fn pick(&self, among: usize) -> usize {
        usize::try_from(self.random.next_u64() % among as u64).expect("is small")
    }

    /// Works until the evening, and then until everything is handed in.
    async fn work(mut self, shared: Arc<Shared>) -> (Phone, BTreeMap<Uuid, Outcome>) {
        let mut phone = self.open();
        loop {
            let evening = shared.evening.load(Ordering::SeqCst);
            for _ in 0..if evening { 0 } else { 1 + self.pick(3) } {
                let (command, outlet) = (self.random.uuid(START_US), self.random.uuid(START_US));
                phone.capture(command, found(outlet, self.territory), (START_US, TODAY)).expect("is captured");
            }
            match phone.sync(START_US).await {
                Ok(synced) => {
                    assert_eq!(synced.damaged, 0, "every sum is right");
                    shared.acknowledged.fetch_add(synced.outcomes.len() as u64, Ordering::SeqCst);
                    shared.more.notify_one();
                    self.told.extend(synced.outcomes);
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

async fn rep(folder: &Path, number: usize, (login, territory): (&str, Uuid), channels: &[Channel]) -> Rep {
    let random = Random::seeded(number as u64);
    let installation = random.uuid(START_US);
    let answer =
        device::login(channels[0].clone(), (TENANT, login, PASSWORD), Some(installation)).await.expect("logs in");
    Rep {
        file: folder.join(format!("{number}.db")),
        channels: channels.to_vec(),
        tokens: answer.tokens.expect("tokens"),
        territory,
        random,
        told: BTreeMap::new(),
    }
}

async fn what_was_acknowledged_outlives_every_kill(kind: Kind) {
    hold(kind, 1).await;
}

async fn hold(kind: Kind, servers: usize) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let database = app.hand_over().await;
    let mut running = Vec::new();
    for _ in 0..servers {
        running.push(Server::start(&database.url, free_address()).await);
    }
    let folder = TempDir::new().expect("a folder");
    let channel = |server: &Server| Endpoint::try_from(format!("http://{}", server.address)).expect("an address");
    let channels: Vec<Channel> = running.iter().map(|server| channel(server).connect_lazy()).collect();
    let shared = Arc::new(Shared::default());
    let mut working = Vec::new();
    for number in 0..DEVICES {
        let (login, who) = if number % 2 == 0 { ("anna", &world.anna) } else { ("boris", &world.boris) };
        let rep = rep(folder.path(), number, (login, who.territory), &channels).await;
        working.push((world.caller(who), tokio::spawn(rep.work(Arc::clone(&shared)))));
    }
    let random = Random::seeded(1);
    let mut acknowledged = 0;
    for _ in 0..kills() {
        acknowledged = shared.acknowledged.load(Ordering::SeqCst).max(acknowledged) + 1 + random.next_u64() % 40;
        shared.wait_for(acknowledged).await;
        let killed = running.remove(0);
        running.push(killed.kill().await);
    }
    shared.wait_for(acknowledged + 50).await;
    shared.evening.store(true, Ordering::SeqCst);
    let mut reps = Vec::new();
    for (caller, working) in working {
        let (phone, told) = working.await.expect("works to the end");
        reps.push((caller, phone, told));
    }
    // Everybody has handed in, now here and now there; now everybody sees what the others did.
    for (_, phone, _) in &mut reps {
        phone.sync(START_US).await.expect("synchronizes");
    }
    drop(running);
    let db = Db::connect(&database.url).await.expect("connects");
    assert_eq!(verify::verify(&db, world.tenant).await.expect("is verified"), Vec::<String>::new());
    everything_once(&db, world.tenant, &reps, world.anna.outlets.len() + world.boris.outlets.len()).await;
    db.close().await;
    database.remove().await;
}

/// Each acknowledged command is kept with the outcome that was told, each has made its outlet, and each replica holds what
/// the server says that it should. `known` outlets were there before.
async fn everything_once(db: &Db, tenant: i64, reps: &[(Caller, Phone, BTreeMap<Uuid, Outcome>)], known: usize) {
    let mut outlets = 0;
    for (caller, phone, told) in reps {
        // Also what was answered in a push whose pull was cut.
        let answered: BTreeMap<Uuid, Outcome> =
            phone.outbox.outcomes().map(|(id, outcome)| (id, outcome.clone())).chain(told.clone()).collect();
        let ids: Vec<Uuid> = answered.keys().copied().collect();
        let mut tx = db.read().await.expect("reads");
        let kept: BTreeMap<Uuid, Outcome> = command::known(&mut tx, tenant, &ids)
            .await
            .expect("is read")
            .into_iter()
            .map(|(id, known)| (id, known.outcome))
            .collect();
        tx.commit().await.expect("ends");
        assert_eq!(kept, answered);
        let refused = kept.values().find(|outcome| outcome.status() != Status::Applied);
        assert_eq!(refused, None, "every outlet is taken");
        outlets += kept.len();
        let stored: Content = verify::projection(db, caller).await.expect("is computed");
        assert!(phone.replica.content().expect("reads") == stored, "the replica is the server's");
    }
    let mut tx = db.read().await.expect("reads");
    let (stored,): (i64,) = tx
        .query_as("SELECT CAST(COUNT(*) AS BIGINT) FROM record WHERE tenant = $1 AND kind = $2 AND removed_at IS NULL")
        .bind(tenant)
        .bind(i64::from(Outlet::KIND as i32))
        .one()
        .await
        .expect("is counted");
    tx.commit().await.expect("ends");
    assert_eq!(usize::try_from(stored).expect("is small"), known + outlets, "each outlet once");
    assert!(outlets > 100, "there was something to lose: {outlets}");
}
