//! Lives the day of the plan: everybody at the same time, and a server that dies once.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use roundsman_proto::supervision::supervision_service_client::SupervisionServiceClient;
use roundsman_proto::supervision::{WatchCoverageRequest, WatchCoverageResponse};
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::app::{App, Evening, InFiles, InMemory, Storages};
use super::desk::Desk;
use super::driver;
use super::logistics;
use super::office::{self, Ledger};
use super::plan::{BEGIN_S, KILL_S};
use super::rep;
use super::server::Server;
use super::shared::Shared;
use super::world::{DRIVERS, SUPERVISORS, TEAMS, TERRITORIES, TODAY};

/// Between two representatives who begin their day, in seconds.
const STAGGER_S: i32 = 60;
/// So long the server's death waits for several devices to push …
const KILL_MANY: Duration = Duration::from_millis(100);
/// … and for one.
const KILL_ANY: Duration = Duration::from_secs(2);
/// From so many seconds before.
const KILL_EARLY_S: i32 = 5;
/// Between two looks.
const LOOK: Duration = Duration::from_millis(1);
/// So often a watcher looks whether the day is over.
const WATCH: Duration = Duration::from_millis(100);

/// A day that was lived.
#[derive(Debug, Default)]
pub struct Lived {
    /// The representatives' evenings, in their order.
    pub evenings: Vec<Evening>,
    /// Those of who drives, likewise.
    pub drivers: Vec<Evening>,
    /// The office, and logistics.
    pub desks: Vec<(&'static str, Ledger)>,
    /// What the supervisors saw, by team.
    pub coverage: Vec<Watched>,
    /// The server's death.
    pub killed: Killed,
    /// How long it took.
    pub took: Duration,
}

impl Lived {
    /// All phones: the representatives', then those of who drives.
    pub fn phones(&self) -> impl Iterator<Item = &Evening> {
        self.evenings.iter().chain(&self.drivers)
    }
}

/// What a supervisor saw.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    /// The team.
    pub team: usize,
    /// How often it changed.
    pub updates: u32,
    /// At last.
    pub last: Option<WatchCoverageResponse>,
}

/// The server's death.
#[derive(Clone, Copy, Debug, Default)]
pub struct Killed {
    /// How many devices pushed at that moment.
    pub pushing: usize,
    /// How long it took until it listened again.
    pub down: Duration,
}

/// What one of those who take part comes home with.
enum Home {
    Rep(Box<Evening>),
    Driver(Box<Evening>),
    Desk(&'static str, Ledger),
    Supervisor(Watched),
}

/// Lives the day.
///
/// # Errors
/// When somebody could not go on.
pub async fn live(shared: &Arc<Shared>, server: &mut Server, folder: &Path) -> anyhow::Result<Lived> {
    let begun = Instant::now();
    let mut tasks: JoinSet<anyhow::Result<Home>> = JoinSet::new();
    // Those who change anything wait for each other in the evening.
    let quiet = Arc::new(Barrier::new(TERRITORIES + DRIVERS.len() + TEAMS + 1));
    let synced = Arc::new(Barrier::new(TERRITORIES + DRIVERS.len()));
    // The warehouses count what the last vans have brought.
    let home = Arc::new(Barrier::new(DRIVERS.len() + TEAMS));
    for driver in TERRITORIES..TERRITORIES + DRIVERS.len() {
        let app = App::new(driver, Arc::clone(shared), InMemory);
        tasks.spawn(live_driver(app, Arc::clone(&home), (Arc::clone(&quiet), Arc::clone(&synced))));
    }
    for rep in 0..TERRITORIES {
        let barriers = (Arc::clone(&quiet), Arc::clone(&synced));
        if shared.day.reps[rep].in_files {
            let app = App::new(rep, Arc::clone(shared), InFiles(folder.join("devices")));
            tasks.spawn(live_rep(app, barriers));
        } else {
            tasks.spawn(live_rep(App::new(rep, Arc::clone(shared), InMemory), barriers));
        }
    }
    let (office, done) = (Arc::clone(shared), Arc::clone(&quiet));
    tasks.spawn(async move {
        let ledger = office::work(office).await?;
        done.wait().await;
        Ok(Home::Desk("office", ledger))
    });
    for team in 0..TEAMS {
        let (warehouse, home, done) = (Arc::clone(shared), Arc::clone(&home), Arc::clone(&quiet));
        tasks.spawn(async move {
            let ledger = logistics::work(warehouse, team, home).await?;
            done.wait().await;
            Ok(Home::Desk("logistics", ledger))
        });
        tasks.spawn(watch(Arc::clone(shared), team));
    }
    let mut lived = Lived::default();
    let homecoming = async {
        while let Some(home) = tasks.join_next().await {
            match home?? {
                Home::Rep(evening) => lived.evenings.push(*evening),
                Home::Driver(evening) => lived.drivers.push(*evening),
                Home::Desk(name, ledger) => lived.desks.push((name, ledger)),
                Home::Supervisor(watched) => lived.coverage.push(watched),
            }
        }
        anyhow::Ok(())
    };
    let ((), killed) = tokio::try_join!(homecoming, kill(shared, server))?;
    lived.killed = killed;
    lived.evenings.sort_by_key(|evening| evening.rep);
    lived.drivers.sort_by_key(|evening| evening.rep);
    lived.coverage.sort_by_key(|watched| watched.team);
    lived.took = begun.elapsed();
    Ok(lived)
}

async fn live_rep<S: Storages>(mut app: App<S>, barriers: (Arc<Barrier>, Arc<Barrier>)) -> anyhow::Result<Home> {
    let stagger = i32::try_from(app.rep).unwrap_or(0) * STAGGER_S;
    app.shared.wait(BEGIN_S + stagger).await;
    rep::morning(&mut app).await?;
    rep::work(&mut app).await?;
    Ok(Home::Rep(Box::new(last_sync(app, barriers).await?)))
}

async fn live_driver<S: Storages>(
    mut app: App<S>,
    home: Arc<Barrier>,
    barriers: (Arc<Barrier>, Arc<Barrier>),
) -> anyhow::Result<Home> {
    app.shared.wait(BEGIN_S).await;
    rep::morning(&mut app).await?;
    driver::work(&mut app).await?;
    home.wait().await;
    Ok(Home::Driver(Box::new(last_sync(app, barriers).await?)))
}

/// The evening of a phone: when nobody changes anything any more, it fetches what the last ones have changed.
async fn last_sync<S: Storages>(mut app: App<S>, barriers: (Arc<Barrier>, Arc<Barrier>)) -> anyhow::Result<Evening> {
    let (quiet, synced) = barriers;
    app.go_online();
    app.sync().await?;
    quiet.wait().await;
    // What the last ones changed a moment ago must have reached all.
    app.sync().await?;
    if synced.wait().await.is_leader() {
        app.shared.over.store(true, Ordering::SeqCst);
    }
    rep::evening(app).await
}

/// Kills the server while a device pushes, and starts it again in the same day.
async fn kill(shared: &Shared, server: &mut Server) -> anyhow::Result<Killed> {
    shared.wait(KILL_S - KILL_EARLY_S).await;
    let begun = Instant::now();
    let pushing = loop {
        let pushing = shared.pushing.load(Ordering::SeqCst);
        let enough = match begun.elapsed() {
            waited if waited < KILL_MANY => 2,
            waited if waited < KILL_ANY => 1,
            _ => 0,
        };
        if pushing >= enough {
            break pushing;
        }
        tokio::time::sleep(LOOK).await;
    };
    let died = Instant::now();
    server.kill()?;
    server.start(&shared.clock).await?;
    Ok(Killed { pushing, down: died.elapsed() })
}

/// Watches a team's coverage until the day is over.
async fn watch(shared: Arc<Shared>, team: usize) -> anyhow::Result<Home> {
    let mut desk = Desk::new(SUPERVISORS[team], shared.channel.clone());
    let mut watched = Watched { team, ..Watched::default() };
    let mut ledger = Ledger::default();
    shared.wait(BEGIN_S).await;
    loop {
        let over = shared.over.load(Ordering::SeqCst);
        let request = WatchCoverageRequest { day: TODAY, team_id: Vec::new() };
        let send =
            |channel, request| async move { SupervisionServiceClient::new(channel).watch_coverage(request).await };
        let answer = desk.call(request, send).await;
        let Some(mut stream) = ledger.excuse("SupervisionService", answer)? else { break };
        loop {
            match tokio::time::timeout(WATCH, stream.message()).await {
                Ok(Ok(Some(coverage))) => {
                    watched.updates += 1;
                    watched.last = Some(coverage);
                    if over {
                        return Ok(Home::Supervisor(watched));
                    }
                }
                // A used up token, or the server's death: from the beginning.
                Ok(Ok(None) | Err(_)) => break,
                Err(_elapsed) if !over && shared.over.load(Ordering::SeqCst) => break,
                Err(_elapsed) => {}
            }
        }
    }
    Ok(Home::Supervisor(watched))
}
