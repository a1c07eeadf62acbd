//! The app of a representative, or of somebody who drives: the device half of the protocol, and around it what an app does about a bad connection, a used
//! up token, a crash, and a new installation. What it shows and reckons with comes from its own replica alone.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context as _;
use prost::Message as _;
use roundsman_proto::auth::Tokens;
use roundsman_proto::sync::{Outcome, PullResponse};
use roundsman_proto::trade::{self, command::Command};
use roundsman_sync::kind::Record;
use roundsman_sync::outbox::{self, Outbox, OutboxStorage};
use roundsman_sync::replica::{self, Event, Replica, Storage};
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::{Code, Status, Streaming};
use uuid::Uuid;

use super::desk::{RENEW_AFTER, is_passing};
use super::shared::{Arrival, News, Shared};
use super::world::{PASSWORD, TENANT, TODAY, id, login, rep_name};
use crate::device::{self, Device, DeviceError, Synced};
use crate::verify::Content;

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(25);
/// After so many attempts in a row the demo gives up.
const ATTEMPTS: u32 = 800;
/// So soon after it began, a push is cut when the app is killed.
const DEATH: Duration = Duration::from_millis(2);

/// Where an app keeps what it knows.
pub trait Storages: Send + 'static {
    /// For the replica.
    type Replica: Storage<Error: StdError> + Send + 'static;
    /// For the outbox.
    type Outbox: OutboxStorage<Error: StdError> + Send + 'static;

    /// Opens what an installation has stored; new and empty for a new one.
    ///
    /// # Errors
    /// When it can't be opened.
    fn open(&self, installation: Uuid) -> anyhow::Result<(Self::Replica, Self::Outbox)>;
}

/// In memory: gone with the app.
#[derive(Clone, Copy, Debug)]
pub struct InMemory;

impl Storages for InMemory {
    type Replica = replica::memory::MemoryStorage;
    type Outbox = outbox::memory::MemoryStorage;

    fn open(&self, _: Uuid) -> anyhow::Result<(Self::Replica, Self::Outbox)> {
        Ok(Default::default())
    }
}

/// In an SQLite file of this folder.
#[derive(Clone, Debug)]
pub struct InFiles(pub PathBuf);

impl Storages for InFiles {
    type Replica = replica::sqlite::SqliteStorage;
    type Outbox = outbox::sqlite::SqliteStorage;

    fn open(&self, installation: Uuid) -> anyhow::Result<(Self::Replica, Self::Outbox)> {
        std::fs::create_dir_all(&self.0).context("the devices' folder can't be made")?;
        let file = self.0.join(format!("{installation}.db"));
        Ok((Self::Replica::open(&file)?, Self::Outbox::open(&file)?))
    }
}

/// A command that the server has answered.
#[derive(Clone, Debug)]
pub struct Answered {
    /// Its id.
    pub id: Uuid,
    /// The name of its message.
    pub name: &'static str,
    /// What was decided.
    pub outcome: Outcome,
}

/// What an app has lived through.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    /// Everything that went over the wire.
    pub traffic: Synced,
    /// What came until the first sync had brought today's work, what is needed to sell, and everything.
    pub first_sync: [u64; 3],
    /// News that came.
    pub arrivals: Vec<Arrival>,
    /// Calls that failed and were repeated.
    pub interruptions: u32,
    /// Times that the app was killed in a push before its answer came.
    pub cut_pushes: u32,
    /// Times that the app was installed.
    pub installations: u32,
    /// The versions that it reached, each with the moment, in microseconds since the Unix epoch by the day's clock.
    pub reached: Vec<(i64, i64)>,
    /// From when to when it had a connection, likewise; of the last stretch the end is missing.
    pub connected: Vec<(i64, Option<i64>)>,
}

/// How an app ends the day.
#[derive(Debug)]
pub struct Evening {
    /// The representative.
    pub rep: usize,
    /// The version of what it holds.
    pub version: i64,
    /// What it holds.
    pub content: Content,
    /// The commands that were answered.
    pub answered: Vec<Answered>,
    /// Commands that still wait.
    pub waiting: usize,
    /// What happened.
    pub journal: Journal,
}

/// A representative's app.
pub struct App<S: Storages> {
    /// The representative.
    pub rep: usize,
    /// The day.
    pub shared: Arc<Shared>,
    /// What it has lived through.
    pub journal: Journal,
    /// Orders taken today, by the visit's place in the plan: the app shows them before the server has answered.
    pub taken: BTreeMap<usize, trade::SubmitOrder>,
    /// Taken in cash today, in minor units.
    pub cash_minor: i64,
    /// The visit in progress.
    pub visiting: Option<Uuid>,
    storages: S,
    /// There, but for the moment in which it is opened again.
    device: Option<Device<S::Replica, S::Outbox>>,
    stream: Option<Streaming<PullResponse>>,
    online_since: Option<Instant>,
    renewed: Option<Instant>,
    captured: u32,
    earlier: Vec<Answered>,
    heard: usize,
    told: watch::Receiver<usize>,
    expected: Vec<News>,
}

type Failed<S> =
    DeviceError<<<S as Storages>::Replica as Storage>::Error, <<S as Storages>::Outbox as OutboxStorage>::Error>;

impl<S: Storages> App<S> {
    /// An app that is not installed yet.
    pub fn new(rep: usize, shared: Arc<Shared>, storages: S) -> Self {
        let told = shared.listen();
        Self {
            rep,
            shared,
            journal: Journal::default(),
            taken: BTreeMap::new(),
            cash_minor: 0,
            visiting: None,
            storages,
            device: None,
            stream: None,
            online_since: None,
            renewed: None,
            captured: 0,
            earlier: Vec::new(),
            heard: 0,
            told,
            expected: Vec::new(),
        }
    }

    fn device(&mut self) -> &mut Device<S::Replica, S::Outbox> {
        self.device.as_mut().expect("the app is installed before anything else")
    }

    fn held(&self) -> &Device<S::Replica, S::Outbox> {
        self.device.as_ref().expect("the app is installed before anything else")
    }

    /// Installs the app anew and logs in.
    ///
    /// # Errors
    /// When the storages can't be opened, or the server refuses.
    pub async fn install(&mut self) -> anyhow::Result<()> {
        self.earlier = self.answered()?;
        self.close();
        self.journal.installations += 1;
        self.open().await
    }

    /// Opens what this installation has stored and logs in.
    async fn open(&mut self) -> anyhow::Result<()> {
        let (replica, outbox) = self.storages.open(self.installation())?;
        let (replica, outbox) = (Replica::open(replica)?, Outbox::open(outbox)?);
        let tokens = self.log_in().await?;
        self.device = Some(Device::new(self.shared.channel.clone(), tokens, replica, outbox));
        Ok(())
    }

    /// Nothing of the app's memory remains.
    fn close(&mut self) {
        self.stream = None;
        self.device = None;
    }

    fn installation(&self) -> Uuid {
        id("installation", format!("{}/{}", rep_name(self.rep), self.journal.installations))
    }

    async fn log_in(&mut self) -> anyhow::Result<Tokens> {
        let login = login(rep_name(self.rep));
        for _ in 0..ATTEMPTS {
            let who = (TENANT, &*login, PASSWORD);
            self.renewed = Some(Instant::now());
            match device::login(self.shared.channel.clone(), who, Some(self.installation())).await {
                Ok(answer) => return answer.tokens.context("a login without tokens"),
                Err(status) if is_passing(&status) => self.interrupted().await,
                Err(status) => return Err(status.into()),
            }
        }
        anyhow::bail!("{login} can't log in")
    }

    async fn interrupted(&mut self) {
        self.journal.interruptions += 1;
        tokio::time::sleep(PAUSE).await;
    }

    /// Sees to it that the access token is good for a while.
    async fn renew(&mut self) -> anyhow::Result<()> {
        if self.renewed.is_some_and(|renewed| renewed.elapsed() < RENEW_AFTER) {
            return Ok(());
        }
        match self.device().refresh().await {
            Ok(()) => self.renewed = Some(Instant::now()),
            Err(status) if is_passing(&status) => self.interrupted().await,
            // The answer to an earlier renewal was lost, and the token is used up.
            Err(status) if status.code() == Code::Unauthenticated => {
                let tokens = self.log_in().await?;
                let shared = Arc::clone(&self.shared);
                self.device = self
                    .device
                    .take()
                    .map(|device| Device::new(shared.channel.clone(), tokens, device.replica, device.outbox));
            }
            Err(status) => return Err(status.into()),
        }
        Ok(())
    }

    /// Whether a call went through; if not, and it may when it is repeated, a moment later.
    async fn settle(&mut self, result: Result<(), Failed<S>>) -> anyhow::Result<bool> {
        match result {
            Ok(()) => return Ok(true),
            Err(DeviceError::Cut) => {}
            Err(DeviceError::Call(status)) => self.excuse(&status)?,
            Err(
                error @ (DeviceError::AppTooOld { .. }
                | DeviceError::Wiped
                | DeviceError::Replica(_)
                | DeviceError::Outbox(_)),
            ) => {
                return Err(anyhow::anyhow!(error));
            }
        }
        self.interrupted().await;
        Ok(false)
    }

    fn excuse(&mut self, status: &Status) -> anyhow::Result<()> {
        if status.code() == Code::Unauthenticated {
            self.renewed = None;
        } else if !is_passing(status) {
            anyhow::bail!("{} is refused: {status}", rep_name(self.rep));
        }
        Ok(())
    }

    /// Pushes what waits; whether it went through.
    ///
    /// # Errors
    /// When the server refuses, or a storage fails.
    pub async fn push(&mut self) -> anyhow::Result<bool> {
        self.renew().await?;
        let (now_us, mut synced) = (self.shared.now_us(), Synced::default());
        let shared = Arc::clone(&self.shared);
        shared.pushing.fetch_add(1, Ordering::SeqCst);
        let result = self.device().push(now_us, &mut synced).await;
        shared.pushing.fetch_sub(1, Ordering::SeqCst);
        self.count(&synced);
        self.settle(result).await
    }

    /// Pulls to the last checkpoint; whether it went through.
    ///
    /// # Errors
    /// When the server refuses, or a storage fails.
    pub async fn pull(&mut self) -> anyhow::Result<bool> {
        self.renew().await?;
        let (now_us, mut synced) = (self.shared.now_us(), Synced::default());
        let result = self.device().pull(now_us, &mut synced).await;
        let marks = [synced.bytes_to_today, synced.bytes_to_sell];
        for (first, now) in self.journal.first_sync.iter_mut().zip(marks).filter(|(first, _)| **first == 0) {
            *first = if now == 0 { 0 } else { self.journal.traffic.bytes_down + now };
        }
        self.count(&synced);
        let done = self.settle(result).await?;
        self.note_position();
        Ok(done)
    }

    /// Notes how far it has come, if that is farther than before.
    fn note_position(&mut self) {
        let Some(position) = self.held().replica.position() else { return };
        let last = self.journal.reached.last().map_or(0, |(version, _)| *version);
        if position.version > last {
            self.journal.reached.push((position.version, self.shared.now_us()));
        }
    }

    /// Pushes and pulls until both went through.
    ///
    /// # Errors
    /// When they don't for too long, or never will.
    pub async fn sync(&mut self) -> anyhow::Result<()> {
        self.unfollow();
        for _ in 0..ATTEMPTS {
            let damaged = self.journal.traffic.damaged;
            if self.push().await? && self.pull().await? && self.journal.traffic.damaged == damaged {
                if self.journal.first_sync[2] == 0 {
                    self.journal.first_sync[2] = self.journal.traffic.bytes_down;
                }
                self.look_for_news()?;
                return Ok(());
            }
        }
        anyhow::bail!("{} can't synchronize", rep_name(self.rep))
    }

    fn count(&mut self, synced: &Synced) {
        let traffic = &mut self.journal.traffic;
        traffic.rows += synced.rows;
        traffic.bytes_down += synced.bytes_down;
        traffic.bytes_up += synced.bytes_up;
        traffic.checkpoints += synced.checkpoints;
        traffic.damaged += synced.damaged;
    }

    /// Whether the device has a connection.
    #[must_use]
    pub fn is_online(&self) -> bool {
        self.online_since.is_some()
    }

    /// The connection is back.
    pub fn go_online(&mut self) {
        if !self.is_online() {
            self.journal.connected.push((self.shared.now_us(), None));
        }
        self.online_since = Some(Instant::now());
    }

    /// The connection is lost.
    pub fn go_offline(&mut self) {
        self.online_since = None;
        if let Some((_, until)) = self.journal.connected.last_mut() {
            *until = Some(self.shared.now_us());
        }
        self.unfollow();
    }

    fn unfollow(&mut self) {
        if self.stream.take().is_some() {
            self.device().replica.cut();
        }
    }

    /// Waits until this second of the day; with a connection it pushes what waits and hears what is new meanwhile.
    ///
    /// # Errors
    /// When the server refuses, or a storage fails.
    pub async fn live_until(&mut self, s: i32) -> anyhow::Result<()> {
        loop {
            let left = self.shared.until(s);
            if left.is_zero() {
                return Ok(());
            }
            if !self.is_online() {
                tokio::time::sleep(left).await;
            } else if self.device().outbox.waiting() > 0 {
                self.push().await?;
            } else {
                self.hear(left).await?;
            }
        }
    }

    /// Follows for so long, or until something was heard.
    async fn hear(&mut self, left: Duration) -> anyhow::Result<()> {
        let Some(mut stream) = self.stream.take() else { return self.follow().await };
        let message = tokio::select! {
            () = tokio::time::sleep(left) => {
                self.stream = Some(stream);
                return Ok(());
            }
            message = stream.message() => message,
            // What the office was told a moment ago may have come before.
            _ = self.told.changed() => {
                self.stream = Some(stream);
                return self.look_for_news();
            }
        };
        match message {
            Ok(Some(message)) => {
                let mut synced = Synced::default();
                let event = self.device().take(message, &mut synced).map_err(|error| anyhow::anyhow!(error))?;
                self.count(&synced);
                match event {
                    Event::InventoryWanted => self.device().replica.cut(),
                    // What is wrong is mended by the next pull.
                    Event::Checkpoint { damaged, .. } if !damaged.is_empty() => self.device().replica.cut(),
                    Event::Checkpoint { .. } | Event::Alive { .. } => {
                        self.stream = Some(stream);
                        self.note_position();
                        self.look_for_news()?;
                    }
                    Event::Fork { .. } | Event::Planned { .. } | Event::Staged { .. } => self.stream = Some(stream),
                }
            }
            Ok(None) => self.device().replica.cut(),
            Err(status) => {
                self.device().replica.cut();
                self.excuse(&status)?;
                if status.code() != Code::Unauthenticated {
                    self.interrupted().await;
                }
            }
        }
        Ok(())
    }

    async fn follow(&mut self) -> anyhow::Result<()> {
        self.renew().await?;
        let (now_us, mut synced) = (self.shared.now_us(), Synced::default());
        let opened = self.device().open(now_us, true, &mut synced).await;
        self.count(&synced);
        match opened {
            Ok(stream) => self.stream = Some(stream),
            Err(error) => {
                self.settle(Err(error)).await?;
            }
        }
        Ok(())
    }

    /// Notes which of the office's changes have come.
    fn look_for_news(&mut self) -> anyhow::Result<()> {
        let more = self.shared.news_since(self.heard);
        self.heard += more.len();
        let own = |news: &News| news.territory.is_none_or(|territory| territory == self.rep);
        self.expected.extend(more.into_iter().filter(own));
        let now = Instant::now();
        for news in std::mem::take(&mut self.expected) {
            let document = self.held().replica.document(news.record)?;
            if document.is_none_or(|document| document.version < news.version) {
                self.expected.push(news);
                continue;
            }
            let online_since = self.online_since.unwrap_or(now);
            let following = online_since <= news.answered;
            let took = now.saturating_duration_since(news.answered.max(online_since));
            self.journal.arrivals.push(Arrival { what: news.what, following, took });
        }
        Ok(())
    }

    /// Captures a command, and pushes it at once with a connection.
    ///
    /// # Errors
    /// When a storage fails, or the server refuses the push.
    pub async fn capture(&mut self, command: Command) -> anyhow::Result<()> {
        self.captured += 1;
        let id = id("command", format!("{}/{}", rep_name(self.rep), self.captured));
        let at = (self.shared.now_us(), TODAY);
        self.device().capture(id, command, at).map_err(|error| anyhow::anyhow!(error))?;
        if self.is_online() {
            self.push().await?;
        }
        Ok(())
    }

    /// The app is removed and installed again: what it has captured is pushed before, the rest is gone.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn reinstall(&mut self) -> anyhow::Result<()> {
        self.sync().await?;
        self.install().await?;
        self.sync().await
    }

    /// The app is killed while it pushes, before the answer comes, and started again.
    ///
    /// # Errors
    /// When the server refuses, or the storages can't be opened again.
    pub async fn die_in_push(&mut self) -> anyhow::Result<()> {
        self.unfollow();
        self.renew().await?;
        let (now_us, mut synced) = (self.shared.now_us(), Synced::default());
        let waits = self.device().outbox.waiting() > 0;
        let push = tokio::time::timeout(DEATH, self.device().push(now_us, &mut synced)).await;
        self.journal.cut_pushes += u32::from(waits && push.is_err());
        self.count(&synced);
        self.close();
        self.open().await
    }

    /// A record as the app shows it, with the version of its frame.
    ///
    /// # Errors
    /// When the storage fails or the document can't be read.
    pub fn shown<R: Record>(&self, id: &[u8]) -> anyhow::Result<Option<(i64, R)>> {
        let Ok(id) = Uuid::from_slice(id) else { return Ok(None) };
        let document = self.held().replica.document(id)?.filter(|document| document.kind == R::KIND as u32);
        Ok(match document {
            Some(document) => Some((document.version, R::decode(document.bytes)?)),
            None => None,
        })
    }

    /// All records of a kind, with the versions of their frames.
    ///
    /// # Errors
    /// When the storage fails or a document can't be read.
    pub fn all<R: Record>(&self) -> anyhow::Result<Vec<(Uuid, i64, R)>> {
        let records = self.held().replica.records(R::KIND as u32)?;
        let read = |(id, document): (Uuid, replica::Document)| Ok((id, document.version, R::decode(document.bytes)?));
        records.into_iter().map(read).collect()
    }

    /// The commands that were answered, those of earlier installations too.
    fn answered(&self) -> anyhow::Result<Vec<Answered>> {
        let mut answered = self.earlier.clone();
        let Some(device) = &self.device else { return Ok(answered) };
        let bodies: BTreeMap<Uuid, &bytes::Bytes> = device.outbox.pending().map(|(id, body, _)| (id, body)).collect();
        for (id, outcome) in device.outbox.outcomes() {
            let body = bodies.get(&id).map(|body| trade::Command::decode((*body).clone())).transpose()?;
            let command = body.and_then(|body| body.command);
            let name = command.map_or("?", |command| crate::commands::of(&command).name());
            answered.push(Answered { id, name, outcome: outcome.clone() });
        }
        Ok(answered)
    }

    /// How it ended.
    ///
    /// # Errors
    /// When the storage can't be read.
    pub fn evening(mut self) -> anyhow::Result<Evening> {
        self.unfollow();
        let answered = self.answered()?;
        let device = self.held();
        let version = device.replica.position().map_or(0, |position| position.version);
        let (content, waiting) = (device.replica.content()?, device.outbox.waiting());
        Ok(Evening { rep: self.rep, version, content, answered, waiting, journal: self.journal })
    }
}
