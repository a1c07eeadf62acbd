//! The lane: one writer for each tenant, which takes what waits, runs it as one batch, and answers everyone after the
//! commit. One writer removes the classic races (two orders on one credit limit, stock sold twice) without a lock in any
//! rule; batching makes it fast, since commit and round trips are shared. A caller that goes away cancels nothing, and a
//! batch that panics ends neither the lane nor the other commands' chances: it is treated as one that the database refused.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt as _;
use roundsman_proto::sync::CommandResult;
use roundsman_sync::version::Position;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::ages::{Age, Ages};
use crate::batch::{Answer, BATCH_BYTES, BATCH_COMMANDS, Committed, Submission, Submitted, Writer};
use crate::error::StoreError;
use crate::tail::{Tail, Tails};
use uuid::Uuid;

/// Submissions that may wait in a lane before callers are told to come back later.
const QUEUE: usize = 1_024;
/// Commits that a slow follower may be behind before it pulls in the ordinary way.
const BEHIND: usize = 256;

/// Why a submission was not taken or not answered.
#[derive(Debug, thiserror::Error)]
pub enum LaneError {
    /// Too many wait.
    #[error("the server is busy")]
    Busy,
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopping,
    /// The database failed; whether the commands were carried out is unknown, and sending them again finds out.
    #[error(transparent)]
    Store(#[from] Arc<StoreError>),
}

type Reply = oneshot::Sender<Result<Answer, LaneError>>;

/// A submission in the queue.
#[derive(Debug)]
struct Waiting {
    submission: Submission,
    reply: Reply,
    _age: Age,
}

/// A tenant's lane, as its callers see it.
#[derive(Clone, Debug)]
pub struct Lane {
    interactive: mpsc::Sender<Waiting>,
    bulk: mpsc::Sender<Waiting>,
    tails: Tails,
    told: Arc<Mutex<Option<Position>>>,
    waits: Arc<Ages>,
}

impl Lane {
    /// Hands in commands that somebody waits for, at most [`BATCH_COMMANDS`] of them.
    ///
    /// # Errors
    /// See [`LaneError`].
    pub async fn submit(&self, submission: Submission) -> Result<Answer, LaneError> {
        self.hand_in(&self.interactive, submission).await
    }

    /// Hands in a chunk of a bulk job: at most one is part of a batch, so that interactive callers hardly notice.
    ///
    /// # Errors
    /// See [`LaneError`].
    pub async fn submit_bulk(&self, submission: Submission) -> Result<Answer, LaneError> {
        self.hand_in(&self.bulk, submission).await
    }

    /// What is committed from now on.
    #[must_use]
    pub fn follow(&self) -> broadcast::Receiver<Arc<Tail>> {
        self.tails.follow()
    }

    /// The last commit that this lane has told its followers.
    #[must_use]
    pub fn told(&self) -> Option<Position> {
        *self.told.lock().expect("nothing panics while it holds the position")
    }

    /// Tells the followers what another process has committed.
    pub fn tell(&self, tail: Tail) {
        self.tails.tell(tail);
    }

    async fn hand_in(&self, queue: &mpsc::Sender<Waiting>, submission: Submission) -> Result<Answer, LaneError> {
        let (reply, answer) = oneshot::channel();
        queue.try_send(Waiting { submission, reply, _age: self.waits.start() }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => LaneError::Busy,
            mpsc::error::TrySendError::Closed(_) => LaneError::Stopping,
        })?;
        answer.await.map_err(|_| LaneError::Stopping)?
    }
}

/// Hears of a tenant's commits: where the tenant is now, if it has moved, and what is announced, each with the record that
/// it is about.
pub type Hear = dyn Fn(i64, Option<Position>, &[(&'static str, Uuid)]) + Send + Sync;

/// The lanes of all tenants of this process, started when first needed.
pub struct Lanes {
    writer: Arc<Writer>,
    hear: Arc<Hear>,
    lanes: Mutex<HashMap<i64, Lane>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl fmt::Debug for Lanes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lanes").finish_non_exhaustive()
    }
}

impl Lanes {
    /// No lane runs yet. `hear` is called after each commit, before anybody is answered.
    #[must_use]
    pub fn new(writer: Arc<Writer>, hear: Arc<Hear>) -> Self {
        Self { writer, hear, lanes: Mutex::default(), tasks: TaskTracker::new(), stop: CancellationToken::new() }
    }

    /// The lane of a tenant.
    #[must_use]
    pub fn of(&self, tenant: i64) -> Lane {
        let mut lanes = self.lanes.lock().expect("nothing panics while it holds the lanes");
        lanes.entry(tenant).or_insert_with(|| self.start(tenant)).clone()
    }

    /// The lane of a tenant, if somebody follows it.
    #[must_use]
    pub fn followed(&self, tenant: i64) -> Option<Lane> {
        let lanes = self.lanes.lock().expect("nothing panics while it holds the lanes");
        lanes.get(&tenant).filter(|lane| lane.tails.is_followed()).cloned()
    }

    /// By tenant, how long the oldest submission in the queue waits, and how long one has waited at most.
    #[must_use]
    pub fn waits(&self) -> Vec<(i64, (Duration, Duration))> {
        let lanes = self.lanes.lock().expect("nothing panics while it holds the lanes");
        lanes.iter().map(|(tenant, lane)| (*tenant, lane.waits.oldest_and_longest())).collect()
    }

    fn start(&self, tenant: i64) -> Lane {
        let (interactive, waiting) = mpsc::channel(QUEUE);
        let (bulk, waiting_bulk) = mpsc::channel(QUEUE);
        let tails = Tails::new(BEHIND);
        let told = Arc::default();
        let worker = Worker {
            tenant,
            writer: Arc::clone(&self.writer),
            hear: Arc::clone(&self.hear),
            interactive: waiting,
            bulk: waiting_bulk,
            tails: tails.clone(),
            told: Arc::clone(&told),
        };
        self.tasks.spawn(worker.run(self.stop.clone()));
        Lane { interactive, bulk, tails, told, waits: Arc::default() }
    }

    /// Takes nothing new, finishes what waits, and returns when all lanes have ended.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.lanes.lock().expect("nothing panics while it holds the lanes").clear();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Commands, and bytes of their bodies.
fn size(submission: &Submission) -> (usize, usize) {
    (submission.commands.len(), submission.commands.iter().map(|command| command.body.len()).sum())
}

struct Worker {
    tenant: i64,
    writer: Arc<Writer>,
    hear: Arc<Hear>,
    interactive: mpsc::Receiver<Waiting>,
    bulk: mpsc::Receiver<Waiting>,
    tails: Tails,
    told: Arc<Mutex<Option<Position>>>,
}

impl Worker {
    async fn run(mut self, stop: CancellationToken) {
        loop {
            let first = tokio::select! {
                biased;
                () = stop.cancelled() => {
                    self.interactive.close();
                    self.bulk.close();
                    self.interactive.try_recv().ok().or_else(|| self.bulk.try_recv().ok())
                }
                Some(first) = self.interactive.recv() => Some(first),
                Some(first) = self.bulk.recv() => Some(first),
                else => None,
            };
            let Some(first) = first else { return };
            let (submissions, replies) = self.gather(first);
            self.run_batch(submissions, replies).await;
        }
    }

    /// What waits now, up to a batch's size; of the bulk queue at most one chunk, and after the others.
    fn gather(&mut self, first: Waiting) -> (Vec<Submission>, Vec<Reply>) {
        let (mut commands, mut bytes) = size(&first.submission);
        let mut batch = vec![first];
        while commands < BATCH_COMMANDS
            && bytes < BATCH_BYTES
            && let Ok(next) = self.interactive.try_recv()
        {
            let (more_commands, more_bytes) = size(&next.submission);
            commands += more_commands;
            bytes += more_bytes;
            batch.push(next);
        }
        if batch.len() > 1 || commands < BATCH_COMMANDS {
            batch.extend(self.bulk.try_recv());
        }
        let waiting = self.interactive.len() + self.bulk.len();
        metrics::gauge!("roundsman_lane_waiting", "tenant" => self.tenant.to_string())
            .set(u32::try_from(waiting).map_or(f64::MAX, f64::from));
        metrics::histogram!("roundsman_batch_commands").record(f64::from(u32::try_from(commands).unwrap_or(u32::MAX)));
        batch.into_iter().map(|waiting| (waiting.submission, waiting.reply)).unzip()
    }

    async fn run_batch(&self, submissions: Vec<Submission>, replies: Vec<Reply>) {
        match self.attempt(&submissions, None).await {
            Ok(committed) => {
                let answers = self.tell(committed);
                for (reply, answer) in replies.into_iter().zip(answers) {
                    // Whoever went away will ask again.
                    let _ = reply.send(Ok(answer));
                }
            }
            Err(error) if is_of_its_content(&error) => {
                for (submission, reply) in submissions.into_iter().zip(replies) {
                    let _ = reply.send(self.one_by_one(submission).await);
                }
            }
            Err(error) => {
                tracing::warn!(tenant = self.tenant, %error, "a batch failed for the database's sake");
                let error = Arc::new(error);
                for reply in replies {
                    let _ = reply.send(Err(LaneError::Store(Arc::clone(&error))));
                }
            }
        }
    }

    /// Runs a batch. A panic is an error like others: the transaction ends with it, and the lane goes on.
    async fn attempt(&self, submissions: &[Submission], quarantine: Option<&str>) -> Result<Committed, StoreError> {
        let run = AssertUnwindSafe(self.writer.run(self.tenant, submissions, quarantine));
        run.catch_unwind().await.unwrap_or_else(|panic| {
            let error = StoreError::Panicked(said(&*panic));
            tracing::error!(tenant = self.tenant, %error, "the lane goes on");
            metrics::counter!("roundsman_lane_panics_total").increment(1);
            Err(error)
        })
    }

    /// A batch can't be written although every rule agreed: each command alone, so that only the culprit is kept back.
    async fn one_by_one(&self, submission: Submission) -> Result<Answer, LaneError> {
        let mut results: Vec<CommandResult> = Vec::new();
        let mut last = Answer::default();
        let mut parts: Vec<Vec<Submitted>> = submission.commands.iter().map(|command| vec![command.clone()]).collect();
        if parts.is_empty() {
            // What the sender says of itself counts without a command, too.
            parts.push(Vec::new());
        }
        for commands in parts {
            let alone = [Submission { commands, ..submission.clone() }];
            let committed = match self.attempt(&alone, None).await {
                Err(error) if is_of_its_content(&error) => {
                    tracing::error!(tenant = self.tenant, %error, "a command makes its batch fail");
                    self.attempt(&alone, Some(&error.to_string())).await
                }
                other => other,
            }
            .map_err(Arc::new)?;
            let Some(answer) = self.tell(committed).pop() else {
                break;
            };
            results.extend(answer.results.iter().cloned());
            last = answer;
            if last.expected_seq != 0 {
                break;
            }
        }
        Ok(Answer { results, ..last })
    }

    /// Tells the followers, and hands the answers back.
    fn tell(&self, committed: Committed) -> Vec<Answer> {
        metrics::histogram!("roundsman_batch_statements").record(f64::from(committed.statements));
        metrics::histogram!("roundsman_batch_keys")
            .record(f64::from(u32::try_from(committed.keys).unwrap_or(u32::MAX)));
        let Committed { answers, commit, announcements, .. } = committed;
        let told = catch_unwind(AssertUnwindSafe(|| {
            (self.hear)(self.tenant, commit.as_ref().map(|commit| commit.position), &announcements);
            if let Some(commit) = commit
                && self.tails.is_followed()
            {
                let position = commit.position;
                self.tails.tell(Tail::of(commit));
                *self.told.lock().expect("nothing panics while it holds the position") = Some(position);
            }
        }));
        // It is committed, and so it is answered. Followers notice a gap at the next tail, and pull.
        if let Err(panic) = told {
            tracing::error!(tenant = self.tenant, error = said(&*panic), "a commit was not told to all");
            metrics::counter!("roundsman_lane_panics_total").increment(1);
        }
        answers
    }
}

/// Whether a batch failed for what is in it, so that trying it again as it is would be useless.
fn is_of_its_content(error: &StoreError) -> bool {
    match error {
        StoreError::Data(_) | StoreError::Corrupt(_) | StoreError::Panicked(_) => true,
        StoreError::Unavailable(_)
        | StoreError::Overtaken
        | StoreError::Outdated { .. }
        | StoreError::Migration(_)
        | StoreError::Setting(_) => false,
    }
}

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}
