//! The server, by hand: the lane's batches and the devices' pulls, each run to its end when it is asked for.

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::path::Path;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use roundsman::auth::caller::Caller;
use roundsman::batch::{Answer, BATCH_COMMANDS, Sender, Submission, Submitted, Writer};
use roundsman::clock::{Clock, Random};
use roundsman::commands::Issuer;
use roundsman::contacts::{self, Contacts};
use roundsman::error::StoreError;
use roundsman::fail::FailPoints;
use roundsman::jobs::housekeeping;
use roundsman::policy::Policy;
use roundsman::present::Present;
use roundsman::pull::{Outgoing, Pull, SharedPages, Sizes};
use roundsman::store::sql::Db;
use roundsman::store::{account, bucket, tenant};
use roundsman::tail::{Tail, Tails};
use roundsman_proto::sync::{PullRequest, PushRequest, PushResponse};
use roundsman_sync::page::PageSize;
use roundsman_sync::version::Position;
use uuid::Uuid;

use super::dice::Dice;
use super::discretion;
use super::journal::{Checked, Journal, Law, broken};
use super::oracle::Oracle;
use super::pull::Stream;
use crate::app::START_US;
use crate::database::{self, Database};

/// Commits that a follower may be behind.
const BEHIND: usize = 16;
/// Fail points of a batch.
const FAIL_POINTS: u64 = 5;
/// Fail points that a pull or a purge meets, as a rule.
const LATER_FAIL_POINTS: u64 = 6;

/// Rows and sum of each bucket.
pub type Sums = BTreeMap<(String, u32), (i64, u64)>;

/// Makes the server fail at a chosen point, once.
#[derive(Debug, Default)]
struct Fuse(Mutex<FuseState>);

#[derive(Debug, Default)]
struct FuseState {
    passes: Option<u64>,
    blown: Option<&'static str>,
}

impl Fuse {
    fn decide(&self, point: &'static str) -> bool {
        let mut state = self.0.lock().expect("nothing panics while it holds the fuse");
        match &mut state.passes {
            None => false,
            Some(0) => {
                *state = FuseState { passes: None, blown: Some(point) };
                true
            }
            Some(passes) => {
                *passes -= 1;
                false
            }
        }
    }

    /// Where the server fails because of it.
    fn points(self: &Arc<Self>) -> FailPoints {
        let armed = Arc::clone(self);
        FailPoints::new(Arc::new(move |point| armed.decide(point)))
    }

    fn arm(&self, passes: Option<u64>) {
        self.0.lock().expect("nothing panics while it holds the fuse").passes = passes;
    }

    fn blown(&self) -> Option<&'static str> {
        self.0.lock().expect("nothing panics while it holds the fuse").blown.take()
    }
}

/// How the URL of a file begins.
const SQLITE: &str = "sqlite:";
/// What is added to the file's name for its last backup, and for the one before.
const BACKUPS: [&str; 2] = [".backup", ".older"];

/// How much pulls take at once: of most seeds so little that a first sync takes several pages and cuts, as it does in a
/// large tenant.
fn sizes(seed: u64) -> Sizes {
    if seed.is_multiple_of(4) {
        return Sizes::default();
    }
    Sizes {
        page: PageSize { rows: if seed.is_multiple_of(2) { 6 } else { 2 }, bytes: 4 * 1024 },
        cut_bytes: 4 * 1024,
        // Of a small one a page begins exactly where it was asked for.
        large_bytes: if seed % 8 < 4 { 0 } else { 1024 },
        shared_bytes: if seed.is_multiple_of(2) { 24 * 1024 } else { 1024 * 1024 },
        // Pages live long where everything in them may have moved.
        one_moved_of: if seed.is_multiple_of(2) { 5 } else { 1 },
    }
}

/// The tenants: companies that know nothing of each other, on one server and in one database.
pub const TENANTS: [&str; 2] = ["first", "second"];

/// A submission that a lane ran, and when.
#[derive(Clone, Debug)]
pub struct Logged {
    /// The tenant whose lane it was, by its place.
    pub tenant: usize,
    /// The submission.
    pub submission: Submission,
    /// The moment, in microseconds since the Unix epoch.
    pub at_us: i64,
}

/// What the server holds of one tenant, and what it should have decided and stored for it.
pub struct Tenant {
    /// Its number in the database.
    pub id: i64,
    /// Where it is.
    pub position: Position,
    /// What should be.
    pub oracle: Oracle,
    /// The ids of all records that it ever had.
    pub ids: BTreeSet<Uuid>,
    tails: Tails,
    sums: BTreeMap<(i64, u64), Sums>,
    /// In the last backup, and in the one before.
    backups: [Option<Oracle>; 2],
}

impl Tenant {
    fn new(id: i64) -> Self {
        Self {
            id,
            position: Position::default(),
            oracle: Oracle::default(),
            ids: BTreeSet::new(),
            tails: Tails::new(BEHIND),
            sums: BTreeMap::new(),
            backups: [None, None],
        }
    }

    /// What the buckets held at a position, also of a history that was lost.
    #[must_use]
    pub fn sums(&self, position: Position) -> Option<&Sums> {
        self.sums.get(&(position.version, position.nonce))
    }
}

/// The server.
pub struct Server {
    /// The database.
    pub db: Db,
    /// The clock.
    pub clock: Arc<Clock>,
    /// The tenants.
    pub tenants: Vec<Tenant>,
    /// All that the lanes ran, in order.
    pub log: Vec<Logged>,
    writer: Writer,
    contacts: Arc<Contacts>,
    pages: Arc<SharedPages>,
    fuse: Arc<Fuse>,
    pull_fuse: Arc<Fuse>,
    purge_fuse: Arc<Fuse>,
    has_lost: bool,
    disk_is_full: bool,
    database: Database,
}

impl Server {
    /// An empty one, on a file of its own.
    ///
    /// # Errors
    /// When its database can't be made.
    pub async fn start(seed: u64, kind: database::Kind) -> Result<Self, StoreError> {
        let database = Database::create(kind).await;
        let db = Db::connect(&database.url).await?;
        db.migrate().await?;
        let mut tx = db.write().await?;
        let mut tenants = Vec::new();
        for name in TENANTS {
            let id = account::create_tenant(&mut tx, name).await?;
            let id = id.ok_or_else(|| StoreError::Setting("the database is not empty".to_owned()))?;
            tenants.push(Tenant::new(id));
        }
        tx.commit().await?;
        let clock = Arc::new(Clock::Manual(AtomicI64::new(START_US)));
        let fuse = Arc::new(Fuse::default());
        let writer = Writer {
            db: db.clone(),
            clock: Arc::clone(&clock),
            random: Arc::new(Random::seeded(seed)),
            policy: Policy::default(),
            recent: Arc::default(),
            present: Arc::new(Present::new(!db.is_shared())),
            format: tenant::WRITER_VERSION,
            fail: fuse.points(),
        };
        Ok(Self {
            db,
            clock,
            tenants,
            log: Vec::new(),
            writer,
            contacts: Arc::default(),
            pages: Arc::new(SharedPages::new(sizes(seed))),
            fuse,
            pull_fuse: Arc::default(),
            purge_fuse: Arc::default(),
            has_lost: false,
            disk_is_full: false,
            database,
        })
    }

    /// The place of the tenant with this number.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn place_of(&self, tenant: i64) -> usize {
        self.tenants.iter().position(|one| one.id == tenant).expect("a tenant of the simulation")
    }

    /// A caller's tenant.
    #[must_use]
    pub fn tenant_of(&self, caller: &Caller) -> &Tenant {
        &self.tenants[self.place_of(caller.tenant)]
    }

    /// Whether a record is another tenant's, and none of this one's.
    #[must_use]
    pub fn is_foreign(&self, tenant: usize, id: Uuid) -> bool {
        let has = |place: usize| self.tenants[place].ids.contains(&id);
        (0..self.tenants.len()).any(|place| place != tenant && has(place)) && !has(tenant)
    }

    /// The moment, in microseconds since the Unix epoch.
    #[must_use]
    pub fn now_us(&self) -> i64 {
        self.clock.now_us()
    }

    /// It will fail at one of the next fail points.
    pub fn arm(&self, dice: &Dice) {
        self.fuse.arm(Some(dice.below(2 * FAIL_POINTS)));
    }

    /// One of the next pulls will fail.
    pub fn arm_pulls(&self, dice: &Dice) {
        self.pull_fuse.arm(Some(dice.below(2 * LATER_FAIL_POINTS)));
    }

    /// The next purge may fail.
    pub fn arm_purge(&self, dice: &Dice) {
        self.purge_fuse.arm(Some(dice.below(LATER_FAIL_POINTS)));
    }

    /// It will not fail any more.
    pub fn disarm(&self) {
        self.fuse.arm(None);
        self.pull_fuse.arm(None);
        self.purge_fuse.arm(None);
    }

    /// Ends and begins again: what it had only in memory is gone.
    pub fn restart(&mut self) {
        self.contacts = Arc::default();
        self.writer.recent = Arc::default();
        self.writer.present = Arc::new(Present::new(!self.db.is_shared()));
        self.pages = Arc::new(SharedPages::new(self.pages.sizes()));
        for tenant in &mut self.tenants {
            tenant.tails = Tails::new(BEHIND);
        }
    }

    /// Copies the database, as a backup does, and then says that what the copy holds can't be lost any more. Nothing writes
    /// meanwhile, so that the file and its log are one state. The backup before is kept.
    ///
    /// # Errors
    /// When the files can't be copied, or the database fails.
    pub async fn back_up(&mut self, journal: &mut Journal) -> Checked<()> {
        let [last, older] = BACKUPS;
        if self.tenants.iter().any(|tenant| tenant.backups[0].is_some()) {
            self.copy(last, older).or_else(|error| broken(Law::NoFault, error.to_string()))?;
        }
        self.copy("", last).or_else(|error| broken(Law::NoFault, error.to_string()))?;
        for tenant in &mut self.tenants {
            let before = tenant.backups[0].replace(tenant.oracle.clone());
            tenant.backups[1] = before;
        }
        match self.say_what_is_durable().await {
            Err(StoreError::Unavailable(_)) if self.disk_is_full => {
                journal.fault("disk full");
                Ok(())
            }
            said => said.or_else(|error| broken(Law::NoFault, error.to_string())),
        }
    }

    async fn say_what_is_durable(&self) -> Result<(), StoreError> {
        let mut tx = self.db.write().await?;
        for tenant in &self.tenants {
            tenant::set_durable(&mut tx, tenant.id, tenant.position.version).await?;
        }
        tx.commit().await
    }

    /// Ends, and begins again with the last backup, or with the one before: what came after it is lost. Neither is used again.
    ///
    /// # Errors
    /// When the files can't be copied, or the database not be opened.
    pub async fn restore(&mut self, older: bool) -> Checked<()> {
        let place = usize::from(older);
        self.db.close().await;
        self.copy(BACKUPS[place], "").or_else(|error| broken(Law::NoFault, error.to_string()))?;
        self.db = Db::connect(&self.database.url).await.or_else(|error| broken(Law::NoFault, error.to_string()))?;
        self.writer.db = self.db.clone();
        self.restart();
        (self.has_lost, self.disk_is_full) = (true, false);
        for tenant in &mut self.tenants {
            tenant.oracle = tenant.backups[place].take().unwrap_or_default();
            tenant.backups = [None, None];
        }
        self.look().await.map(drop).or_else(|error| broken(Law::NoFault, error.to_string()))
    }

    /// Whether it can be backed up.
    #[must_use]
    pub fn is_a_file(&self) -> bool {
        self.database.url.starts_with(SQLITE)
    }

    /// Lets the file grow no more, or again. What is free inside of it can still be written to.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn fill_disk(&mut self) -> Checked<()> {
        self.limit_pages(!self.disk_is_full).await
    }

    /// Lets the file grow again.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn free_disk(&mut self) -> Checked<()> {
        self.limit_pages(false).await
    }

    async fn limit_pages(&mut self, full: bool) -> Checked<()> {
        let Db::Sqlite { writer, .. } = &self.db else { return Ok(()) };
        self.disk_is_full = full;
        // A limit below what there is is what there is.
        let limit = if full { "PRAGMA max_page_count = 1" } else { "PRAGMA max_page_count = 4294967294" };
        let limited = sqlx::query(limit).execute(writer).await;
        limited.map(drop).or_else(|error| broken(Law::NoFault, error.to_string()))
    }

    /// Deletes what is below the horizon, or a part of it, if it is told to fail.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn purge(&self, tenant: usize, journal: &mut Journal) -> Checked<()> {
        let tenant = self.tenants[tenant].id;
        let purged = housekeeping::purge(&self.db, &self.purge_fuse.points(), tenant, 0).await;
        self.purge_fuse.arm(None);
        match (purged, self.purge_fuse.blown()) {
            (Ok(_), _) => Ok(()),
            (Err(_), Some(point)) => {
                journal.fault(point);
                Ok(())
            }
            (Err(StoreError::Unavailable(_)), None) if self.disk_is_full => {
                journal.fault("disk full");
                Ok(())
            }
            (Err(error), None) => broken(Law::NoFault, error.to_string()),
        }
    }

    /// Ends, and takes its database away.
    pub async fn end(self) {
        self.db.close().await;
        self.database.remove().await;
    }

    fn copy(&self, from: &str, to: &str) -> std::io::Result<()> {
        let file = self.database.url.trim_start_matches(SQLITE);
        for log in ["", "-wal", "-shm"] {
            let (from, to) = (format!("{file}{from}{log}"), format!("{file}{to}{log}"));
            if Path::new(&to).exists() {
                std::fs::remove_file(&to)?;
            }
            // What readers share of the log is made anew.
            if log != "-shm" && Path::new(&from).exists() {
                std::fs::copy(&from, &to)?;
            }
        }
        Ok(())
    }

    /// Whether a part of the history was ever lost.
    #[must_use]
    pub fn has_lost(&self) -> bool {
        self.has_lost
    }

    /// What the devices' door makes of a push.
    #[must_use]
    pub fn receive(&self, caller: &Caller, request: &PushRequest) -> Submission {
        let device = caller.device.unwrap_or_default();
        let now_us = self.now_us();
        let contact = (caller.tenant, device);
        let offset_us = self.contacts.hear(contact, &contacts::Request::Push(request), now_us);
        let sender = Sender {
            device,
            confirmed_seq: request.confirmed_seq,
            last_outcome_seq: request.last_outcome_seq,
            skip: request.skip.map(|skip| (skip.from_seq, skip.to_seq)),
            position: request.position.map(Position::from),
        };
        let commands = request.commands.iter().map(|command| Submitted {
            id: Uuid::from_slice(&command.command_id).unwrap_or_default(),
            seq: command.seq,
            captured_at_us: command.captured_at_us.saturating_sub(offset_us),
            clock_correction_us: offset_us.saturating_neg(),
            business_day: command.business_day,
            body: command.body.clone(),
        });
        Submission {
            issuer: Issuer::User(caller.clone()),
            sender: Some(sender),
            request: String::new(),
            received_at_us: now_us,
            released: false,
            commands: commands.collect(),
        }
    }

    /// Answers what came together to a tenant, in batches of random size: each submission goes in piece by piece, as the door hands it
    /// in, so that the pieces of several are mixed. `None`: the server failed, and whether it was done is not known.
    ///
    /// # Errors
    /// When a law is broken.
    pub async fn answer(
        &mut self,
        tenant: usize,
        submissions: Vec<Submission>,
        dice: &Dice,
        journal: &mut Journal,
    ) -> Checked<Vec<Option<Answer>>> {
        let mut answers: Vec<Option<Answer>> = submissions.iter().map(|_| Some(Answer::default())).collect();
        let mut open: Vec<(usize, Submission)> = submissions.into_iter().enumerate().collect();
        while !open.is_empty() {
            let mut batch = Vec::new();
            for (index, submission) in &mut open {
                let most = if dice.chance(50) { BATCH_COMMANDS } else { dice.size(1, 8) };
                let later = submission.commands.split_off(submission.commands.len().min(most));
                let now = std::mem::replace(&mut submission.commands, later);
                batch.push((*index, Submission { commands: now, ..submission.clone() }));
                // In a batch of its own, or together with the next.
                if dice.chance(30) {
                    break;
                }
            }
            let taken = batch.len();
            let pieces: Vec<Submission> = batch.iter().map(|(_, piece)| piece.clone()).collect();
            let ran = self.run(tenant, &pieces, journal).await?;
            let mut ended = Vec::new();
            for (place, (index, piece)) in batch.iter().enumerate() {
                let answer = ran.as_ref().and_then(|answers| answers.get(place));
                let whole = merge(answers[*index].take(), answer);
                let decided = answer.map_or(0, |answer| answer.results.len());
                ended.push(whole.is_none() || decided < piece.commands.len());
                answers[*index] = whole;
            }
            let (first, rest) = open.split_at(taken);
            let going_on = first.iter().zip(ended).filter(|((_, left), ended)| !ended && !left.commands.is_empty());
            open = going_on.map(|(going, _)| going.clone()).chain(rest.iter().cloned()).collect();
        }
        Ok(answers)
    }

    /// Runs one batch of a tenant; `None`: it failed where it was told to.
    ///
    /// # Errors
    /// When it fails for another reason.
    pub async fn run(
        &mut self,
        tenant: usize,
        batch: &[Submission],
        journal: &mut Journal,
    ) -> Checked<Option<Vec<Answer>>> {
        let at_us = self.now_us();
        self.log.extend(batch.iter().map(|submission| Logged { tenant, submission: submission.clone(), at_us }));
        let ran = self.writer.run(self.tenants[tenant].id, batch, None).await;
        let blown = self.fuse.blown();
        // Whoever heard that it failed does not know whether it was committed; the oracle does.
        let committed = ran.is_ok() || blown == Some("batch.committed");
        let outcome = match ran {
            Ok(committed) => {
                journal.tally.batches += 1;
                journal.tally.most_statements = journal.tally.most_statements.max(committed.statements);
                journal.detail(|| {
                    let count: usize = batch.iter().map(|submission| submission.commands.len()).sum();
                    let version = committed.commit.as_ref().map(|commit| commit.position.version);
                    format!("        batch of {count} commands, {} statements, {version:?}", committed.statements)
                });
                if let Some(commit) = committed.commit {
                    self.tenants[tenant].tails.tell(Tail::of(commit));
                }
                Some(committed.answers)
            }
            Err(error) => match blown {
                Some(point) => {
                    journal.fault(point);
                    None
                }
                None if self.disk_is_full && matches!(error, StoreError::Unavailable(_)) => {
                    journal.fault("disk full");
                    None
                }
                None => return broken(Law::NoFault, format!("a batch failed: {error}")),
            },
        };
        let moved = self.look().await.or_else(|error| broken(Law::NoFault, error.to_string()))?;
        let other = moved.into_iter().find(|place| *place != tenant);
        journal.check(Law::Tenants, other.is_none(), || format!("a batch of tenant {tenant} moved {other:?}"))?;
        if committed {
            let own = &mut self.tenants[tenant];
            let expected = own.oracle.decide(batch, at_us, own.position.version, journal)?;
            own.ids.extend(own.oracle.changed());
            for (submission, answer) in batch.iter().zip(outcome.iter().flatten()) {
                self.names_nothing_foreign(tenant, submission, answer, journal)?;
            }
            for (answer, expected) in outcome.iter().flatten().zip(&expected) {
                let as_expected =
                    answer.results == expected.results && (answer.fork || answer.expected_seq == expected.expected_seq);
                journal.check(Law::Oracle, as_expected, || format!("answered {answer:?}, should be {expected:?}"))?;
            }
        }
        Ok(outcome)
    }

    /// No outcome names another tenant's record, unless whoever sent the command named it.
    fn names_nothing_foreign(
        &self,
        tenant: usize,
        submission: &Submission,
        answer: &Answer,
        journal: &mut Journal,
    ) -> Checked<()> {
        for (submitted, result) in submission.commands.iter().zip(&answer.results) {
            let Some(outcome) = &result.outcome else { continue };
            let named = discretion::named(&submitted.body, outcome);
            let foreign = named.into_iter().find(|id| self.is_foreign(tenant, *id));
            journal.check(Law::Tenants, foreign.is_none(), || {
                format!("tenant {tenant} is told of {foreign:?} by {outcome:?}")
            })?;
        }
        Ok(())
    }

    /// Notes what the buckets hold at a new version; returns the places of the tenants that are elsewhere now.
    async fn look(&mut self) -> Result<Vec<usize>, StoreError> {
        let mut tx = self.db.read().await?;
        let mut moved = Vec::new();
        for (place, tenant) in self.tenants.iter_mut().enumerate() {
            let Some(head) = tenant::head(&mut tx, tenant.id).await?.filter(|head| head.position != tenant.position)
            else {
                continue;
            };
            moved.push(place);
            tenant.position = head.position;
            let position = (head.position.version, head.position.nonce);
            if let Entry::Vacant(sums) = tenant.sums.entry(position) {
                let buckets = bucket::all(&mut tx, tenant.id).await?.into_iter().map(|bucket| {
                    let kind = u32::try_from(bucket.kind).unwrap_or(0);
                    ((bucket.scope, kind), (bucket.rows, bucket.checksum))
                });
                sums.insert(buckets.collect());
            }
        }
        tx.commit().await?;
        Ok(moved)
    }

    /// Begins a device's pull.
    pub async fn pull(&self, caller: &Caller, request: PullRequest) -> Stream {
        if let Some(device) = caller.device {
            self.contacts.hear((caller.tenant, device), &contacts::Request::Pull(&request), self.now_us());
        }
        let blown = Arc::new(OnceLock::new());
        let (fuse, note) = (Arc::clone(&self.pull_fuse), Arc::clone(&blown));
        let fail = FailPoints::new(Arc::new(move |point| fuse.decide(point) && note.set(point).is_ok()));
        let pull = |out| Pull {
            db: self.db.clone(),
            clock: Arc::clone(&self.clock),
            caller: caller.clone(),
            standing: Arc::new(|| Ok(())),
            out: Outgoing::new(out, Duration::MAX, 0),
            present: Arc::clone(&self.writer.present),
            contacts: Arc::clone(&self.contacts),
            pages: Arc::clone(&self.pages),
            tails: self.tenant_of(caller).tails.follow(),
            fail: fail.clone(),
        };
        Stream::open(pull, (self.db.clone(), blown), request).await
    }

    /// What the devices' door sends back.
    #[must_use]
    pub fn response(&self, answer: Answer) -> PushResponse {
        PushResponse {
            results: answer.results,
            version: answer.version,
            durable_version: answer.durable_version,
            expected_seq: answer.expected_seq,
            fork: answer.fork,
            server_time_us: self.now_us(),
            min_app_version: String::new(),
        }
    }
}

/// The answer so far with one more piece, as the door puts them together; `None`: the piece failed.
fn merge(whole: Option<Answer>, piece: Option<&Answer>) -> Option<Answer> {
    let (mut whole, piece) = (whole?, piece?.clone());
    whole.results.extend(piece.results);
    Some(Answer { results: whole.results, fork: whole.fork || piece.fork, ..piece })
}
