//! One batch of a tenant's commands: load, decide, publish, write, commit, in one transaction.
//!
//! Batching is invisible: what comes out is what batches of one command would give, in the same order.

use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;
use roundsman_proto::sync::{CommandResult, Outcome, Status};
use roundsman_proto::trade::{self, Reason};
use roundsman_sync::trade::rejection::Rejection;
use roundsman_sync::version::Position;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

use crate::clock::{Clock, Random};
use crate::commands::{self, Context, Decide, Issuer};
use crate::error::StoreError;
use crate::fail::FailPoints;
use crate::internal::{Granted, Internal as _, is_of_a_name};
use crate::policy::Policy;
use crate::present::{Moved, Present};
use crate::projection;
use crate::publish::{self, Placed, Publication};
use crate::recent::{Epoch, Recent};
use crate::store::command::{self, Decided, Known, Quarantine, Sequence};
use crate::store::sql::{Db, Rows, Tx};
use crate::store::tenant::{self, Head};
use crate::store::{account, bucket, record, retention, watched};
use crate::workspace::{Announcement, Change, Effects, Keys, Revocation, Stop, Workspace};

/// A batch takes no more commands once it has this many.
pub const BATCH_COMMANDS: usize = 64;
/// A batch takes no more commands once their bodies have so many bytes: the records that a command needs grow with its
/// body, and everybody else waits for them. An ordinary batch is far below it.
pub const BATCH_BYTES: usize = 256 * 1024;
/// Waves in which a command asks for its keys.
const WAVES: usize = 3;
/// The most waves for those that lead on: prices that are computed, and the lowest ones, hang on lists that hang on lists.
const DEEPEST: usize = 5;
/// Records that a command may turn out to need beyond what it asked for.
const LATE_LOADS: usize = 256;
/// So often a batch is tried anew because another program wrote while it was under way.
const OVERTAKEN: u32 = 3;

/// A command as it reached the server.
#[derive(Clone, Debug)]
pub struct Submitted {
    /// Its id.
    pub id: Uuid,
    /// The device's sequence number; 0 when no device sent it.
    pub seq: i64,
    /// When it was captured, corrected, in microseconds since the Unix epoch.
    pub captured_at_us: i64,
    /// How far that was corrected, in microseconds.
    pub clock_correction_us: i64,
    /// Its business date, in days since 1970-01-01.
    pub business_day: i32,
    /// A serialized `roundsman.trade.v1.Command`.
    pub body: Bytes,
}

/// How many of these commands, from the first on, are a batch: at least one, if there is one.
#[must_use]
pub fn batch_length(commands: &[Submitted]) -> usize {
    let mut bytes = 0;
    let fits = |command: &&Submitted| {
        bytes += command.body.len();
        bytes <= BATCH_BYTES
    };
    let fitting = commands.iter().take(BATCH_COMMANDS).take_while(fits).count();
    fitting.max(1).min(commands.len())
}

/// What the device says of itself when it pushes.
#[derive(Clone, Copy, Debug)]
pub struct Sender {
    /// The device.
    pub device: Uuid,
    /// It has stored all outcomes through this number.
    pub confirmed_seq: i64,
    /// The highest number for which it has an outcome.
    pub last_outcome_seq: i64,
    /// Numbers whose commands it lost.
    pub skip: Option<(i64, i64)>,
    /// The position of its last checkpoint.
    pub position: Option<Position>,
}

/// Commands that came together and are answered together.
#[derive(Clone, Debug)]
pub struct Submission {
    /// Who issues them.
    pub issuer: Issuer,
    /// The device that sends them, if one does.
    pub sender: Option<Sender>,
    /// The request that brought them.
    pub request: String,
    /// When it reached the server, in microseconds since the Unix epoch.
    pub received_at_us: i64,
    /// Its commands are let out of quarantine, to be decided now.
    pub released: bool,
    /// In order.
    pub commands: Vec<Submitted>,
}

/// What became of a submission.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// One for each command, up to a gap.
    pub results: Vec<CommandResult>,
    /// A pull that covers this version shows all effects.
    pub version: i64,
    /// Everything up to this version survives the loss of the server.
    pub durable_version: i64,
    /// After a gap: the number that is expected.
    pub expected_seq: i64,
    /// The device has seen a history that this server has not.
    pub fork: bool,
}

/// A committed batch.
#[derive(Debug)]
pub struct Committed {
    /// One for each submission.
    pub answers: Vec<Answer>,
    /// What changed; `None`: no record did.
    pub commit: Option<Commit>,
    /// What others must hear of: a topic and the record that it is about.
    pub announcements: Vec<(&'static str, Uuid)>,
    /// How many round trips it took.
    pub statements: u32,
    /// How many records were asked for, whether they are there or not.
    pub keys: usize,
}

/// What a commit changed, for those who follow.
#[derive(Debug)]
pub struct Commit {
    /// The new position.
    pub position: Position,
    /// Everything up to this version survives the loss of the server, as far as is known; 0: nothing.
    pub durable_version: i64,
    /// What was published.
    pub publication: Publication,
    /// Internal records that changed; those of grants concern followers.
    pub internal: Vec<Uuid>,
    /// Grants are among them.
    pub regrants: bool,
}

impl Commit {
    fn moved(&self) -> Moved {
        let Self { position, durable_version, regrants, .. } = *self;
        Moved { position, durable_version, regrants }
    }
}

/// What a batch needs from its surroundings.
#[derive(Debug)]
pub struct Writer {
    /// The database.
    pub db: Db,
    /// The clock.
    pub clock: Arc<Clock>,
    /// For nonces.
    pub random: Arc<Random>,
    /// The tenant's settings.
    pub policy: Policy,
    /// Records as the last batches left them.
    pub recent: Arc<Recent>,
    /// Where tenants are.
    pub present: Arc<Present>,
    /// The newest format that it writes: [`tenant::WRITER_VERSION`], unless a test plays another server.
    pub format: i64,
    /// Where a test makes it fail.
    pub fail: FailPoints,
}

impl Writer {
    /// Runs a batch. Nothing is changed unless it returns `Ok`; after an unavailable database it may have been committed
    /// all the same, and the senders find out by sending again.
    ///
    /// With `quarantine`, commands without an outcome yet are not decided but put into quarantine with this error: so a
    /// batch of one that failed twice is kept instead of lost.
    ///
    /// # Errors
    /// When the database fails, or refuses the data.
    pub async fn run(
        &self,
        tenant: i64,
        submissions: &[Submission],
        quarantine: Option<&str>,
    ) -> Result<Committed, StoreError> {
        let mut overtaken = 0;
        loop {
            match self.attempt(tenant, submissions, quarantine).await {
                Err(StoreError::Overtaken) if overtaken < OVERTAKEN => overtaken += 1,
                ended => return ended,
            }
        }
    }

    async fn attempt(
        &self,
        tenant: i64,
        submissions: &[Submission],
        quarantine: Option<&str>,
    ) -> Result<Committed, StoreError> {
        let mut tx = self.db.batch(tenant).await?;
        self.fail.pass("batch.begun")?;
        let mut batch = Batch::begin(self, &mut tx, tenant, submissions).await?;
        if quarantine.is_none() {
            batch.load(&mut tx, submissions).await?;
        }
        self.fail.pass("batch.loaded")?;
        let mut answers = Vec::with_capacity(submissions.len());
        for submission in submissions {
            answers.push(batch.answer(&mut tx, submission, quarantine).await?);
        }
        let announcements = batch.decided.iter().flat_map(|command| command.announcements.clone()).collect();
        let keys = batch.workspace.loaded();
        let epoch = batch.epoch;
        let Published { commit, writes, changes } = batch.publish(&mut tx).await?;
        if writes.iter().all(|rows| rows.rows.is_empty()) {
            let statements = tx.statements();
            return Ok(Committed { answers, commit, announcements, statements, keys });
        }
        self.fail.pass("batch.decided")?;
        tx.write(writes).await?;
        self.fail.pass("batch.written")?;
        let statements = tx.statements() + 1;
        self.present.commits(tenant);
        tx.commit().await?;
        self.fail.pass("batch.committed")?;
        self.present.committed(tenant, commit.as_ref().map(Commit::moved));
        if let Some(commit) = &commit {
            self.recent.follow(tenant, epoch, commit.position, changes);
            for answer in &mut answers {
                answer.version = commit.position.version;
            }
        }
        Ok(Committed { answers, commit, announcements, statements, keys })
    }
}

/// How a command that is let out of quarantine came there.
#[derive(Clone, Copy, Debug)]
struct Released {
    /// The device and the number under which it was sent, if a device sent it.
    sent: Option<(Uuid, i64)>,
    /// Because its device is revoked.
    revoked: bool,
}

struct Batch<'w> {
    writer: &'w Writer,
    tenant: i64,
    head: Head,
    epoch: Epoch,
    now_us: i64,
    positions: HashSet<Position>,
    known: HashMap<Uuid, Known>,
    sequences: HashMap<Uuid, Sequence>,
    sequences_before: HashMap<Uuid, Sequence>,
    quarantined: Vec<(Uuid, bool)>,
    released: HashMap<Uuid, Released>,
    workspace: Workspace,
    decided: Vec<Decided>,
}

impl<'w> Batch<'w> {
    async fn begin(
        writer: &'w Writer,
        tx: &mut Tx,
        tenant: i64,
        submissions: &[Submission],
    ) -> Result<Self, StoreError> {
        let head = tenant::head(tx, tenant)
            .await?
            .ok_or_else(|| StoreError::Corrupt(format!("tenant {tenant} has a lane but no row")))?;
        let (stored, written) = (head.writer_version, writer.format);
        if stored > written {
            return Err(StoreError::Outdated { stored, written });
        }
        if stored < written {
            tenant::raise_writer_version(tx, tenant, written).await?;
        }
        let ids: Vec<Uuid> = submissions.iter().flat_map(|s| s.commands.iter().map(|c| c.id)).collect();
        let mut devices: Vec<Uuid> = submissions.iter().filter_map(|s| s.sender.map(|sender| sender.device)).collect();
        devices.sort_unstable();
        devices.dedup();
        let mut positions: Vec<Position> =
            submissions.iter().filter_map(|s| s.sender.and_then(|sender| sender.position)).collect();
        positions.retain(|position| *position != head.position);
        let positions = tenant::known(tx, tenant, &positions).await?;
        let mut known: HashMap<Uuid, Known> = command::known(tx, tenant, &ids).await?.into_iter().collect();
        let released = release(tx, tenant, submissions, &mut known).await?;
        let sequences: HashMap<Uuid, Sequence> = command::sequences(tx, tenant, &devices).await?.into_iter().collect();
        let quarantined = if head.quarantined { command::quarantined_targets(tx, tenant).await? } else { Vec::new() };
        Ok(Self {
            writer,
            tenant,
            epoch: writer.recent.at(tenant, head.position),
            head,
            now_us: writer.clock.now_us().max(head.at_us + 1),
            positions,
            known,
            sequences_before: sequences.clone(),
            sequences,
            quarantined,
            released,
            workspace: Workspace::of_batch(head.position.version + 1),
            decided: Vec::new(),
        })
    }

    /// Loads the keys of all commands of the batch, with one read a wave.
    async fn load(&mut self, tx: &mut Tx, submissions: &[Submission]) -> Result<(), StoreError> {
        let commands: Vec<(&Submission, &Submitted, trade::command::Command)> = submissions
            .iter()
            .flat_map(|submission| submission.commands.iter().map(move |submitted| (submission, submitted)))
            .filter(|(_, submitted)| !self.known.contains_key(&submitted.id))
            .filter_map(|(submission, submitted)| Some((submission, submitted, decode(&submitted.body)?)))
            .filter(|(submission, _, command)| admit(&submission.issuer, commands::of(command)).is_ok())
            .collect();
        for wave in 1..=DEEPEST {
            let mut keys = Keys::default();
            for (submission, submitted, command) in &commands {
                let context = self.context(submission, submitted);
                // A stop only means that it can't ask for more yet; the decision meets it again.
                let _ = commands::of(command).keys(&context, &self.workspace, &mut keys);
            }
            let leads_on = keys.leads_on();
            let missing = keys.missing(&self.workspace);
            if missing.is_empty() {
                break;
            }
            self.fetch(tx, &missing).await?;
            if wave >= WAVES && !leads_on {
                break;
            }
        }
        Ok(())
    }

    async fn fetch(&mut self, tx: &mut Tx, ids: &[Uuid]) -> Result<(), StoreError> {
        let recent = &self.writer.recent;
        let (mut known, mut others) = (Vec::with_capacity(ids.len()), Vec::new());
        for id in ids {
            match recent.find(self.epoch, *id) {
                Some(stored) => known.push((*id, stored)),
                None => others.push(*id),
            }
        }
        let found = record::find(tx, self.tenant, &others).await?;
        for (id, stored) in &found {
            recent.read(self.epoch, *id, stored);
        }
        known.extend(found);
        self.workspace.load(ids, known);
        Ok(())
    }

    /// What can't be read is read again by the next batch: somebody may repair it.
    fn forget(&mut self) {
        self.writer.recent.forget(self.tenant);
        self.epoch = self.writer.recent.at(self.tenant, self.head.position);
    }

    fn context<'c>(&self, submission: &'c Submission, submitted: &Submitted) -> Context<'c>
    where
        'w: 'c,
    {
        Context {
            issuer: &submission.issuer,
            command: submitted.id,
            captured_at_us: submitted.captured_at_us,
            received_at_us: submission.received_at_us,
            now_us: self.now_us,
            business_day: submitted.business_day,
            clock_correction_us: submitted.clock_correction_us,
            policy: &self.writer.policy,
            device_revoked: self.released.get(&submitted.id).is_some_and(|released| released.revoked),
            version: self.head.position.version,
            horizon: self.head.horizon,
        }
    }

    async fn answer(
        &mut self,
        tx: &mut Tx,
        submission: &Submission,
        quarantine: Option<&str>,
    ) -> Result<Answer, StoreError> {
        let mut answer = Answer {
            version: self.head.position.version,
            durable_version: self.head.durable_version,
            ..Answer::default()
        };
        if let Some(sender) = &submission.sender {
            self.hear(sender, &mut answer);
        }
        for submitted in &submission.commands {
            if let Some(expected) = self.gap(submission, submitted) {
                answer.expected_seq = expected;
                break;
            }
            let outcome = match self.repeated(submission, submitted) {
                Some(outcome) => outcome,
                None => self.decide(tx, submission, submitted, quarantine).await?,
            };
            answer.results.push(CommandResult {
                command_id: submitted.id.as_bytes().to_vec(),
                seq: submitted.seq,
                outcome: Some(outcome),
            });
        }
        Ok(answer)
    }

    /// What the device says of its past: a fork, lost commands, stored outcomes.
    fn hear(&mut self, sender: &Sender, answer: &mut Answer) {
        let last_seq = self.sequences.entry(sender.device).or_default().last_seq;
        let of_this_history = |position| position == self.head.position || self.positions.contains(&position);
        let unknown =
            sender.position.is_some_and(|position| position.version > self.head.horizon && !of_this_history(position));
        if unknown || sender.last_outcome_seq > last_seq {
            answer.fork = true;
            answer.expected_seq = last_seq + 1;
        }
        let sequence = self.sequences.entry(sender.device).or_default();
        if let Some((from, to)) = sender.skip
            && from == sequence.last_seq + 1
            && to >= from
        {
            tracing::error!(device = %sender.device, from, to, "a device has lost commands");
            metrics::counter!("roundsman_skipped_commands_total").increment((to - from + 1).cast_unsigned());
            sequence.last_seq = to;
        }
        sequence.confirmed_seq = sequence.confirmed_seq.max(sender.confirmed_seq.min(sequence.last_seq));
    }

    /// The number that is expected, if this one is neither the next nor a repeat. A repeat is judged by the command's id,
    /// never by its number alone: a phone restored from a backup gives old numbers to new commands, and to commands that were
    /// decided under later ones. What a device holds for decided under a number must be known to every server whose count
    /// has come up to that number, also to one that is restored from a backup; so a number counts only for a command that
    /// was decided under it or before it.
    fn gap(&self, submission: &Submission, submitted: &Submitted) -> Option<i64> {
        let device = submission.sender.as_ref()?.device;
        let next = self.sequences.get(&device).map_or(0, |sequence| sequence.last_seq) + 1;
        let decided = self.known.get(&submitted.id).and_then(|known| known.sent);
        let repeat =
            submitted.seq < next && decided.is_some_and(|(sender, seq)| sender == device && seq <= submitted.seq);
        (submitted.seq != next && !repeat).then_some(next)
    }

    /// The outcome of a command that was decided before.
    fn repeated(&mut self, submission: &Submission, submitted: &Submitted) -> Option<Outcome> {
        let known = self.known.get(&submitted.id)?;
        let sent = submission.sender.as_ref().map(|sender| (sender.device, submitted.seq));
        let outcome = if known.body_hash != xxh3_64(&submitted.body) {
            commands::rejected(Rejection::new(Reason::CommandIdReused))
        } else if known.sent == sent {
            known.outcome.clone()
        } else {
            Outcome { status: Status::Duplicate.into(), first_status: known.outcome.status, ..known.outcome.clone() }
        };
        self.advance(submission, submitted);
        Some(outcome)
    }

    fn advance(&mut self, submission: &Submission, submitted: &Submitted) {
        if let Some(sender) = &submission.sender {
            let sequence = self.sequences.entry(sender.device).or_default();
            sequence.last_seq = sequence.last_seq.max(submitted.seq);
        }
    }

    async fn decide(
        &mut self,
        tx: &mut Tx,
        submission: &Submission,
        submitted: &Submitted,
        quarantine: Option<&str>,
    ) -> Result<Outcome, StoreError> {
        self.now_us += 1;
        let command = decode(&submitted.body);
        let mut verdict = match (&command, quarantine) {
            (Some(command), Some(error)) => Verdict::fault(commands::of(command), error),
            (None, Some(error)) => Verdict::fault_unread(error),
            (None, None) => Verdict::decided(unreadable(&submitted.body)),
            (Some(command), None) => self.judge(tx, submission, submitted, commands::of(command)).await?,
        };
        if let Some(entry) = &mut verdict.quarantine {
            self.look_for_target(tx, entry).await?;
        }
        let (mut changed, effects) = self.workspace.keep();
        // What lost against another change is in its record's history, even if nothing of the command is left.
        let lost = verdict.outcome.overrides.iter().filter_map(|met| Uuid::from_slice(&met.record_id).ok());
        for record in lost {
            if !changed.contains(&record) {
                changed.push(record);
            }
        }
        let announcements = self.take_effect(tx, effects).await?;
        let name = command.as_ref().map_or("unknown", |command| commands::of(command).name());
        let outcome = verdict.outcome.clone();
        let body_hash = xxh3_64(&submitted.body);
        let sent = self.sent(submission, submitted);
        self.advance(submission, submitted);
        if let Some(entry) = &verdict.quarantine
            && let Some(target) = entry.target
        {
            self.quarantined.push((target, entry.creates));
        }
        let known = Known { body_hash, sent, outcome: outcome.clone(), version: 0 };
        self.known.insert(submitted.id, known);
        self.decided.push(Decided {
            id: submitted.id,
            sent,
            actor: submission.issuer.actor(),
            name,
            captured_at_us: submitted.captured_at_us,
            business_day: submitted.business_day,
            received_at_us: submission.received_at_us,
            request: submission.request.clone(),
            body: submitted.body.clone(),
            body_hash,
            outcome: outcome.clone(),
            changed,
            announcements: announcements.into_iter().map(|a| (a.topic, a.record)).collect(),
            quarantine: verdict.quarantine,
        });
        count(name, &outcome);
        Ok(outcome)
    }

    /// The device that sent the command, and the number under which it did.
    fn sent(&self, submission: &Submission, submitted: &Submitted) -> Option<(Uuid, i64)> {
        match self.released.get(&submitted.id) {
            Some(released) => released.sent,
            None => submission.sender.as_ref().map(|sender| (sender.device, submitted.seq)),
        }
    }

    /// A command in quarantine is to create its record only if that is not there: what refers to one that is need not wait.
    async fn look_for_target(&mut self, tx: &mut Tx, entry: &mut Quarantine) -> Result<(), StoreError> {
        let Some(target) = entry.target.filter(|_| entry.creates) else { return Ok(()) };
        if !self.workspace.knows(target) {
            self.fetch(tx, &[target]).await?;
        }
        entry.creates = matches!(self.workspace.stored(target), Ok(None));
        Ok(())
    }

    /// What a command brings about beside records, at once: the commands that follow in this batch meet it. It is written in
    /// the batch's transaction. A device is shut out by its sequence row, which the doors read too; which devices are a
    /// rep's stands in control tables, and only their ids are taken from there.
    async fn take_effect(&mut self, tx: &mut Tx, effects: Effects) -> Result<Vec<Announcement>, StoreError> {
        let Effects { mut announcements, revocations, horizon } = effects;
        if let Some(horizon) = horizon {
            retention::set_horizon(tx, self.tenant, horizon).await?;
            self.head.horizon = horizon;
        }
        if !revocations.is_empty() {
            // Nobody logs in on a further device between the look at a rep's devices and the commit that shuts them out.
            tx.exclude().await?;
        }
        for revocation in revocations {
            let (users, devices) = match revocation {
                Revocation::Device(device) => (Vec::new(), vec![device]),
                Revocation::Rep(rep) => account::of_rep(tx, self.tenant, rep).await?,
            };
            let silent: Vec<Uuid> =
                devices.iter().copied().filter(|device| !self.sequences.contains_key(device)).collect();
            for (device, sequence) in command::sequences(tx, self.tenant, &silent).await? {
                self.sequences.insert(device, sequence);
                self.sequences_before.insert(device, sequence);
            }
            for device in &devices {
                self.sequences.entry(*device).or_default().revoked_at_us.get_or_insert(self.now_us);
            }
            let news = |topic, ids: Vec<Uuid>| ids.into_iter().map(move |record| Announcement { topic, record });
            announcements.extend(news("device.revoked", devices).chain(news("user.revoked", users)));
        }
        Ok(announcements)
    }

    /// Lets the command's rule decide, and loads what it turns out to need.
    async fn judge(
        &mut self,
        tx: &mut Tx,
        submission: &Submission,
        submitted: &Submitted,
        command: &dyn Decide,
    ) -> Result<Verdict, StoreError> {
        if let Err(rejection) = admit(&submission.issuer, command) {
            return Ok(Verdict::decided(commands::rejected(rejection)));
        }
        if let Some(verdict) = self.waits(submission, submitted, command) {
            return Ok(verdict);
        }
        if self.sent(submission, submitted).is_some()
            && let Some(id) = self.taken_by_name(tx, command).await?
        {
            return Ok(Verdict::decided(commands::rejected(Rejection::new(Reason::BadId).about(id))));
        }
        for _ in 0..LATE_LOADS {
            let context = self.context(submission, submitted);
            let workspace = &mut self.workspace;
            // A rule that panics harms its own command only: the overlay is dropped, the command kept for a person.
            let decision = catch_unwind(AssertUnwindSafe(|| commands::decide(command, &context, workspace)));
            let stop = match decision {
                Ok(Ok(outcome)) => return Ok(Verdict::decided(outcome)),
                Ok(Err(stop)) => stop,
                Err(_) => Stop::Corrupt("the rule panicked".to_owned()),
            };
            self.workspace.drop_overlay();
            match stop {
                Stop::Rejected(rejection) => return Ok(Verdict::decided(commands::rejected(rejection))),
                Stop::Load(ids) => {
                    // What it asks for now, beside the records that it stopped at: what earlier commands of the batch did
                    // may have brought keys that no wave could name.
                    let mut keys = Keys::default();
                    let context = self.context(submission, submitted);
                    let _ = command.keys(&context, &self.workspace, &mut keys);
                    ids.into_iter().for_each(|id| keys.id(id));
                    let missing = keys.missing(&self.workspace);
                    self.fetch(tx, &missing).await?;
                }
                Stop::Corrupt(error) => {
                    self.forget();
                    return Ok(Verdict::fault(command, &error));
                }
            }
        }
        Ok(Verdict::fault(command, "it needs too many records that it did not ask for"))
    }

    /// The id that the command is to give to a new record, if it follows from a name: that is for systems with keys of
    /// their own, not for devices.
    async fn taken_by_name(&mut self, tx: &mut Tx, command: &dyn Decide) -> Result<Option<Uuid>, StoreError> {
        let created = command.target().filter(|target| target.creates);
        let id = created.and_then(|target| Uuid::from_slice(target.id).ok()).filter(|id| is_of_a_name(*id));
        let Some(id) = id else { return Ok(None) };
        if !self.workspace.knows(id) {
            self.fetch(tx, &[id]).await?;
        }
        Ok(matches!(self.workspace.stored(id), Ok(None)).then_some(id))
    }

    /// Whether the command has to wait in quarantine: its device is revoked, or it builds on what is there already.
    fn waits(&self, submission: &Submission, submitted: &Submitted, command: &dyn Decide) -> Option<Verdict> {
        let revoked = submission
            .sender
            .as_ref()
            .and_then(|sender| self.sequences.get(&sender.device))
            .is_some_and(|sequence| sequence.revoked_at_us.is_some());
        if revoked {
            // Nobody waits behind what a revoked device sends, so it has no target.
            let mut verdict = Verdict::fault(command, "the device is revoked");
            verdict.outcome.reason = Reason::DeviceRevoked.into();
            if let Some(entry) = &mut verdict.quarantine {
                entry.target = None;
            }
            return Some(verdict);
        }
        // What is let out is not behind those that wait behind it.
        if self.quarantined.is_empty() || submission.released {
            return None;
        }
        let mut keys = Keys::default();
        let context = self.context(submission, submitted);
        let _ = command.keys(&context, &Workspace::default(), &mut keys);
        let asked = keys.missing(&Workspace::default());
        let target = command.target().and_then(|target| Uuid::from_slice(target.id).ok());
        let behind =
            self.quarantined.iter().find(|(id, creates)| target == Some(*id) || (*creates && asked.contains(id)))?;
        if submission.sender.is_some() {
            let mut verdict = Verdict::fault(command, "it builds on a command in quarantine");
            verdict.outcome.reason = Reason::DependsOnQuarantined.into();
            return Some(verdict);
        }
        let rejection = Rejection::new(Reason::DependsOnQuarantined).about(behind.0);
        Some(Verdict::decided(commands::rejected(rejection)))
    }

    /// Compares old and new placement, and collects everything that is to be written.
    async fn publish(mut self, tx: &mut Tx) -> Result<Published, StoreError> {
        let mut changes = std::mem::take(&mut self.workspace).finish();
        let moved = self
            .sequences
            .iter()
            .filter(|(device, sequence)| self.sequences_before.get(*device).copied().unwrap_or_default() != **sequence);
        let sequences = command::sequence_rows(self.tenant, moved.map(|(device, sequence)| (*device, *sequence)));
        // What was changed and changed back leaves no record different, but a history, which needs a version of its own.
        let told = |decided: &Decided| !decided.changed.is_empty() || !decided.announcements.is_empty();
        if changes.is_empty() && !self.decided.iter().any(told) {
            let version = self.head.position.version;
            let mut writes = vec![sequences];
            writes.extend(command::decided_rows(self.tenant, version, self.now_us, &self.decided));
            return Ok(Published { commit: None, writes, changes });
        }
        let position = Position { version: self.head.position.version + 1, nonce: self.writer.random.next_u64() };
        for change in &mut changes {
            change.after.version = position.version;
        }
        let publication = self.place(tx, &changes, position.version).await?;
        let projected = projection::of(self.tenant, &changes)?;
        projected.clear(tx).await?;
        let mut writes = vec![
            tenant::commit_row(self.tenant, position, self.now_us),
            record::rows(self.tenant, &changes),
            watched::rows(self.tenant, position.version, &changes),
            sequences,
        ];
        writes.extend(bucket::write(self.tenant, position.version, &publication.buckets, &publication.rows));
        writes.extend(projected.rows);
        writes.extend(command::decided_rows(self.tenant, position.version, self.now_us, &self.decided));
        let internal = changes
            .iter()
            .filter(|change| change.after.kind >= crate::workspace::FIRST_INTERNAL_KIND)
            .map(|change| change.id)
            .collect();
        let regrants = changes.iter().any(|change| change.after.kind == Granted::KIND);
        let durable_version = self.head.durable_version;
        let commit = Some(Commit { position, durable_version, publication, internal, regrants });
        Ok(Published { commit, writes, changes })
    }

    async fn place(&self, tx: &mut Tx, changes: &[Change], version: i64) -> Result<Publication, StoreError> {
        let placed = Placed::of(changes)?;
        let stored = bucket::placements(tx, self.tenant, &placed.records()).await?;
        let known = bucket::of_scopes(tx, self.tenant, &placed.scopes()).await?;
        let last_id = if placed.needs_new_bucket(&known) { bucket::last_id(tx, self.tenant).await? } else { 0 };
        Ok(publish::plan(&placed, stored, known, last_id, version))
    }
}

/// A batch that is decided: what is to be written, and what that changes.
struct Published {
    commit: Option<Commit>,
    writes: Vec<Rows>,
    changes: Vec<Change>,
}

struct Verdict {
    outcome: Outcome,
    quarantine: Option<Quarantine>,
}

impl Verdict {
    fn decided(outcome: Outcome) -> Self {
        Self { outcome, quarantine: None }
    }

    fn fault(command: &dyn Decide, error: &str) -> Self {
        let target = command.target().and_then(|target| Some((Uuid::from_slice(target.id).ok()?, target.creates)));
        let entry = Quarantine {
            target: target.map(|(id, _)| id),
            creates: target.is_some_and(|(_, creates)| creates),
            error: error.to_owned(),
        };
        tracing::error!(command = command.name(), error, "a command goes into quarantine");
        metrics::counter!("roundsman_quarantined_commands_total").increment(1);
        Self { outcome: commands::outcome(Status::Quarantined, Reason::Quarantined), quarantine: Some(entry) }
    }

    fn fault_unread(error: &str) -> Self {
        let entry = Quarantine { target: None, creates: false, error: error.to_owned() };
        Self { outcome: commands::outcome(Status::Quarantined, Reason::Quarantined), quarantine: Some(entry) }
    }
}

/// Takes commands out of quarantine: they count as not decided yet. One that is not there keeps its outcome.
async fn release(
    tx: &mut Tx,
    tenant: i64,
    submissions: &[Submission],
    known: &mut HashMap<Uuid, Known>,
) -> Result<HashMap<Uuid, Released>, StoreError> {
    let commands = submissions.iter().filter(|submission| submission.released).flat_map(|s| &s.commands);
    let mut released = HashMap::new();
    for Submitted { id, .. } in commands {
        if known.get(id).is_some_and(|known| known.outcome.status() == Status::Quarantined)
            && let Some(Known { sent, outcome, .. }) = known.remove(id)
        {
            released.insert(*id, Released { sent, revoked: outcome.reason() == Reason::DeviceRevoked });
        }
    }
    let ids: Vec<Uuid> = released.keys().copied().collect();
    command::release(tx, tenant, &ids).await?;
    Ok(released)
}

/// What is judged before anything is loaded for a command: who issues it, and how much it names.
fn admit(issuer: &Issuer, command: &dyn Decide) -> Result<(), Rejection> {
    if !issuer.may(command.roles()) {
        return Err(Rejection::new(Reason::RoleNotAllowed));
    }
    command.sizes()
}

/// The command of a body; `None`: it is not one, or not one that this server knows.
fn decode(body: &Bytes) -> Option<trade::command::Command> {
    trade::Command::decode(body.clone()).ok()?.command
}

fn unreadable(body: &Bytes) -> Outcome {
    let rejection = match trade::Command::decode(body.clone()) {
        Ok(_) => Rejection::new(Reason::UnknownCommand),
        Err(_) => Rejection::new(Reason::UnknownCommand).field("body"),
    };
    commands::rejected(rejection)
}

fn count(name: &'static str, outcome: &Outcome) {
    metrics::counter!("roundsman_commands_total", "command" => name, "status" => outcome.status().as_str_name())
        .increment(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands(bytes: &[usize]) -> Vec<Submitted> {
        let command = |bytes: &usize| Submitted {
            id: Uuid::nil(),
            seq: 0,
            captured_at_us: 0,
            clock_correction_us: 0,
            business_day: 0,
            body: vec![0; *bytes].into(),
        };
        bytes.iter().map(command).collect()
    }

    #[test]
    fn a_batch_is_bounded_by_commands_and_by_bytes() {
        assert_eq!(batch_length(&commands(&[])), 0);
        assert_eq!(batch_length(&commands(&[1; BATCH_COMMANDS + 1])), BATCH_COMMANDS);
        assert_eq!(batch_length(&commands(&[BATCH_BYTES / 2; 3])), 2);
        assert_eq!(batch_length(&commands(&[BATCH_BYTES + 1, 1])), 1, "one at least");
        assert_eq!(batch_length(&commands(&[1, BATCH_BYTES])), 1);
    }
}
