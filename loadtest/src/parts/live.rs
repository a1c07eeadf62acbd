//! What somebody changes reaches those who follow: how long after the change was acknowledged.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use roundsman_proto::sync::PullResponse;
use roundsman_proto::sync::pull_response::Message;
use roundsman_proto::trade::AssignTask;
use roundsman_proto::trade::command::Command;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tonic::Streaming;

use crate::bench::Bench;
use crate::database::{Database, Kind};
use crate::goods::{self, bytes};
use crate::office::Office;
use crate::phone;
use crate::report::{Figure, Goal, Report};
use crate::server::Server;
use crate::stats::percentile_ms;
use crate::world::World;

/// Reps, each with some devices that follow.
pub const REPS: usize = 100;
const DEVICES_A_REP: usize = 10;
const STREAMS_A_CONNECTION: usize = 100;
const OUTLETS: usize = 4;
/// Changes for one rep each, and between two of them.
const CHANGES: usize = 500;
const BETWEEN: Duration = Duration::from_millis(20);
/// Changes for everybody, and between two of them.
const CHANGES_FOR_ALL: usize = 15;
const BETWEEN_FOR_ALL: Duration = Duration::from_secs(1);
/// Changes that another process hears of.
const CHANGES_ELSEWHERE: usize = 100;
/// By then everybody has heard of the last change.
const REST: Duration = Duration::from_secs(2);

/// A follower has got everything up to a version.
#[derive(Debug)]
struct Heard {
    follower: usize,
    version: i64,
    at: Instant,
}

/// The followers of a server.
#[derive(Debug)]
pub struct Audience {
    heard: mpsc::UnboundedReceiver<Heard>,
    /// By follower, where it is.
    versions: Vec<i64>,
    readers: JoinSet<()>,
}

/// A change of a version.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    /// The version that carries it.
    pub version: i64,
    /// From when on it is measured.
    pub at: Instant,
    /// Whose; `None`: everybody's.
    pub rep: Option<usize>,
}

/// Measures it.
pub async fn measure(bench: &Bench, database: &Database, report: &mut Report) -> anyhow::Result<()> {
    let (server, office) = super::claimed(bench, database).await?;
    let world = World::make(&office, (REPS, OUTLETS), false).await?;
    world.hold_in_common(&office).await?;
    let name = |figure: &str| database.kind.named(figure);
    let mut audience = Audience::gather(bench, &server, &world, DEVICES_A_REP).await?;
    let before = server.cpu_seconds()?;
    let changes = tasks(&office, CHANGES).await?;
    let mut took = audience.latencies(&changes, DEVICES_A_REP).await?;
    let cpu_ms = (server.cpu_seconds()? - before) * 1e3 / CHANGES as f64;
    let what = format!(
        "live: {} changes a second, each for {DEVICES_A_REP} of {} followers",
        1_000 / BETWEEN.as_millis(),
        REPS * DEVICES_A_REP
    );
    let (p50, p99) = (percentile_ms(&mut took, 0.5), percentile_ms(&mut took, 0.99));
    report.add(Figure::new(name("S5a"), format!("{what}, p50"), "ms", vec![p50]).goal(Goal::Most(3.0)));
    report.add(Figure::new(name("S5b"), format!("{what}, p99"), "ms", vec![p99]).goal(Goal::Most(15.0)));
    report.add(Figure::new(name("S5c"), "the server's time for such a change", "CPU ms", vec![cpu_ms]));
    let changes = territories(&office, &world).await?;
    let mut took = audience.latencies(&changes, DEVICES_A_REP).await?;
    let what = format!("live: a change a second for all {} followers, p99", REPS * DEVICES_A_REP);
    let p99 = percentile_ms(&mut took, 0.99);
    report.add(Figure::new(name("S5d"), what, "ms", vec![p99]).goal(Goal::Most(80.0)));
    if database.kind == Kind::Postgres {
        let other = Server::start(&bench.program, &database.url).await?;
        let mut audience = Audience::gather(bench, &other, &world, 1).await?;
        let changes = tasks(&office, CHANGES_ELSEWHERE).await?;
        let p50 = percentile_ms(&mut audience.latencies(&changes, 1).await?, 0.5);
        let what = "live: from one process to a follower of another, p50";
        report.add(Figure::new(name("S5e"), what, "ms", vec![p50]).goal(Goal::Most(10.0)));
    }
    Ok(())
}

impl Audience {
    /// So many devices of each rep follow.
    pub async fn gather(bench: &Bench, server: &Server, world: &World, devices: usize) -> anyhow::Result<Self> {
        let bar = bench.progress("followers".to_owned(), REPS * devices);
        let (sender, heard) = mpsc::unbounded_channel();
        let (mut readers, mut channel) = (JoinSet::new(), phone::connect(server.address).await?);
        for follower in 0..REPS * devices {
            if follower % STREAMS_A_CONNECTION == 0 {
                channel = phone::connect(server.address).await?;
            }
            let stream = phone::follow(&channel, &world.reps[follower % REPS].login, bench.id()).await?;
            readers.spawn(read(stream, follower, sender.clone()));
            bar.inc(1);
        }
        bar.finish_and_clear();
        tokio::time::sleep(REST).await;
        let mut audience = Self { heard, versions: vec![0; REPS * devices], readers };
        while let Ok(heard) = audience.heard.try_recv() {
            audience.versions[heard.follower] = heard.version;
        }
        Ok(audience)
    }

    /// How long after its moment each change was at each of those whose it is; 0: before.
    pub async fn latencies(&mut self, changes: &[Change], devices: usize) -> anyhow::Result<Vec<Duration>> {
        tokio::time::sleep(REST).await;
        anyhow::ensure!(self.readers.try_join_next().is_none(), "a follower's stream has ended");
        let mut of_rep: HashMap<Option<usize>, Vec<Change>> = HashMap::new();
        for change in changes {
            of_rep.entry(change.rep).or_default().push(*change);
        }
        let mut took = Vec::new();
        while let Ok(Heard { follower, version, at }) = self.heard.try_recv() {
            let before = std::mem::replace(&mut self.versions[follower], version);
            let of = |rep: Option<usize>| of_rep.get(&rep).into_iter().flatten();
            let news = of(None).chain(of(Some(follower % REPS)));
            let news = news.filter(|change| (before + 1..=version).contains(&change.version));
            took.extend(news.map(|change| at.saturating_duration_since(change.at)));
        }
        let expected: usize =
            changes.iter().map(|change| if change.rep.is_some() { devices } else { REPS * devices }).sum();
        anyhow::ensure!(took.len() == expected, "of {expected} pieces of news {} were heard", took.len());
        Ok(took)
    }
}

async fn read(mut stream: Streaming<PullResponse>, follower: usize, heard: mpsc::UnboundedSender<Heard>) {
    while let Ok(Some(message)) = stream.message().await {
        if let Some(Message::Checkpoint(checkpoint)) = message.message
            && let Some(position) = checkpoint.position
            && heard.send(Heard { follower, version: position.version, at: Instant::now() }).is_err()
        {
            return;
        }
    }
}

/// Gives one rep after the other a task, at a steady rate, whether or not the last is acknowledged.
async fn tasks(office: &Office<'_>, count: usize) -> anyhow::Result<Vec<Change>> {
    let bar = office.bench.progress("tasks for one rep each".to_owned(), count);
    let office = Arc::new(office.caller()?);
    let (mut under_way, mut changes) = (JoinSet::new(), Vec::with_capacity(count));
    let mut ticks = tokio::time::interval(BETWEEN);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for number in 0..count {
        ticks.tick().await;
        let rep = number % REPS;
        let task = AssignTask {
            task_id: bytes(office.id()),
            rep_id: bytes(goods::id(&format!("rep {rep}"))),
            title: format!("Look at shelf {number}"),
            ..AssignTask::default()
        };
        let office = Arc::clone(&office);
        under_way.spawn(async move {
            let version = office.execute(Command::AssignTask(task)).await?;
            anyhow::Ok(Change { version, at: Instant::now(), rep: Some(rep) })
        });
        bar.inc(1);
    }
    while let Some(change) = under_way.join_next().await {
        changes.push(change??);
    }
    bar.finish_and_clear();
    Ok(changes)
}

/// Changes the territory that everybody holds, once a second.
async fn territories(office: &Office<'_>, world: &World) -> anyhow::Result<Vec<Change>> {
    let bar = office.bench.progress("changes for everybody".to_owned(), CHANGES_FOR_ALL);
    let mut ticks = tokio::time::interval(BETWEEN_FOR_ALL);
    let mut changes = Vec::with_capacity(CHANGES_FOR_ALL);
    for number in 0..CHANGES_FOR_ALL {
        ticks.tick().await;
        let version = office.import(vec![world.common_territory(&format!("Common {number}"))]).await?;
        changes.push(Change { version, at: Instant::now(), rep: None });
        bar.inc(1);
    }
    bar.finish_and_clear();
    changes.last().context("nothing was changed")?;
    Ok(changes)
}
