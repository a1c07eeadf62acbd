//! The oracle: what the server should have decided and stored, said as simply as possible. One map of records, one command
//! after the other, each on its own: no batches, no database, no buckets, no positions, nothing kept between two commands.
//!
//! The rules themselves are the product's, called as the lane calls them; what is checked is everything around them: that
//! batches, waves, memory, the database and its transactions make no difference, and that devices end with the records of
//! the scopes that they hold.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use prost::Message as _;
use roundsman::auth::caller::Caller;
use roundsman::batch::{Answer, Submission, Submitted};
use roundsman::commands::{self, Context, Decide, Issuer};
use roundsman::internal::{Granted, Internal as _};
use roundsman::policy::Policy;
use roundsman::verify::Content;
use roundsman::workspace::{Change, FIRST_INTERNAL_KIND, Revocation, Stop, Stored, Workspace};
use roundsman_proto::auth::Role;
use roundsman_proto::sync::{Outcome, Status};
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::{self, Outlet, Reason};
use roundsman_sync::kind;
use roundsman_sync::scope::Scope;
use roundsman_sync::trade::placement::{Stamps, place};
use roundsman_sync::trade::rejection::Rejection;
use uuid::Uuid;

use super::discretion;
use super::journal::{Checked, Journal, Law, broken};
use super::merge;
use super::terms::Bought;
use super::trade::{self as trade_laws, Changed};

/// A command that was decided: who sent it under which number, what it said, and what became of it.
#[derive(Clone, Debug)]
struct Decided {
    sent: Option<(Uuid, i64)>,
    body: Bytes,
    outcome: Outcome,
}

/// What the records that a batch has changed were before it.
type Before = BTreeMap<Uuid, Option<Stored>>;

/// All that there should be.
#[derive(Clone, Debug, Default)]
pub struct Oracle {
    records: BTreeMap<Uuid, Stored>,
    decided: BTreeMap<Uuid, Decided>,
    last_seqs: BTreeMap<Uuid, i64>,
    revoked: BTreeSet<Uuid>,
    version: i64,
    at_us: i64,
    horizon: i64,
    changed: Vec<Uuid>,
    /// Reps and users, with what they themselves have made or changed.
    own: BTreeSet<(Uuid, Uuid)>,
    bought: Bought,
}

impl Oracle {
    /// Decides what the server has committed together, and says what the answers must be. `version` is where the server
    /// is after it.
    ///
    /// # Errors
    /// When a rule fails.
    pub fn decide(
        &mut self,
        submissions: &[Submission],
        clock_us: i64,
        version: i64,
        journal: &mut Journal,
    ) -> Checked<Vec<Answer>> {
        let mut now_us = clock_us.max(self.at_us + 1);
        let mut before = Before::new();
        let mut answers = Vec::with_capacity(submissions.len());
        for submission in submissions {
            answers.push(self.answer(submission, &mut now_us, &mut before, journal)?);
        }
        if version > self.version {
            (self.version, self.at_us) = (version, now_us);
        }
        self.changed = before.keys().copied().collect();
        for (id, before) in before {
            let Some(stored) = self.records.get_mut(&id) else { continue };
            // What was changed and changed back is as it was.
            stored.version = before.map_or(version, |before| {
                let as_it_was = Stored { version: 0, ..before.clone() } == *stored;
                if as_it_was { before.version } else { version }
            });
        }
        Ok(answers)
    }

    fn answer(
        &mut self,
        submission: &Submission,
        now_us: &mut i64,
        before: &mut Before,
        journal: &mut Journal,
    ) -> Checked<Answer> {
        let mut answer = Answer::default();
        if let Some(sender) = &submission.sender {
            let last_seq = self.last_seqs.entry(sender.device).or_default();
            if let Some((from, to)) = sender.skip
                && from == *last_seq + 1
            {
                *last_seq = to.max(*last_seq);
            }
        }
        for submitted in &submission.commands {
            let sent = submission.sender.as_ref().map(|sender| (sender.device, submitted.seq));
            if let Some(expected) = self.gap(sent, submitted) {
                answer.expected_seq = expected;
                break;
            }
            let outcome = match self.decided.get(&submitted.id) {
                Some(decided) => repeated(decided, sent, submitted),
                None => {
                    *now_us += 1;
                    let outcome = self.judge(submission, submitted, *now_us, before, journal)?;
                    let decided = Decided { sent, body: submitted.body.clone(), outcome: outcome.clone() };
                    self.decided.insert(submitted.id, decided);
                    outcome
                }
            };
            if let Some((device, seq)) = sent {
                let last_seq = self.last_seqs.entry(device).or_default();
                *last_seq = seq.max(*last_seq);
            }
            answer.results.push(roundsman_proto::sync::CommandResult {
                command_id: submitted.id.as_bytes().to_vec(),
                seq: submitted.seq,
                outcome: Some(outcome),
            });
        }
        Ok(answer)
    }

    /// A device's commands come in the order of their numbers; what was decided under its number or before it is known.
    fn gap(&self, sent: Option<(Uuid, i64)>, submitted: &Submitted) -> Option<i64> {
        let (device, seq) = sent?;
        let next = self.last_seqs.get(&device).copied().unwrap_or_default() + 1;
        let known = self.decided.get(&submitted.id).and_then(|decided| decided.sent);
        let repeat = seq < next && known.is_some_and(|(sender, first)| sender == device && first <= seq);
        (seq != next && !repeat).then_some(next)
    }

    fn judge(
        &mut self,
        submission: &Submission,
        submitted: &Submitted,
        now_us: i64,
        before: &mut Before,
        journal: &mut Journal,
    ) -> Checked<Outcome> {
        let command = match trade::Command::decode(submitted.body.clone()) {
            Ok(trade::Command { command: Some(command) }) => command,
            Ok(_) => return Ok(commands::rejected(Rejection::new(Reason::UnknownCommand))),
            Err(_) => return Ok(commands::rejected(Rejection::new(Reason::UnknownCommand).field("body"))),
        };
        let body = command;
        let command = commands::of(&body);
        let admitted = if submission.issuer.may(command.roles()) {
            command.sizes()
        } else {
            Err(Rejection::new(Reason::RoleNotAllowed))
        };
        if let Err(rejection) = admitted {
            return Ok(commands::rejected(rejection));
        }
        if submission.sender.is_some_and(|sender| self.revoked.contains(&sender.device)) {
            return Ok(commands::outcome(Status::Quarantined, Reason::DeviceRevoked));
        }
        let context = Context {
            issuer: &submission.issuer,
            command: submitted.id,
            captured_at_us: submitted.captured_at_us,
            received_at_us: submission.received_at_us,
            now_us,
            business_day: submitted.business_day,
            clock_correction_us: submitted.clock_correction_us,
            device_revoked: false,
            policy: &Policy::default(),
            version: self.version,
            horizon: self.horizon,
        };
        let mut workspace = Workspace::of_batch(self.version + 1);
        let outcome = match self.settle(command, &context, &mut workspace) {
            Ok(outcome) => outcome,
            Err(Stop::Rejected(rejection)) => {
                workspace.drop_overlay();
                commands::rejected(rejection)
            }
            Err(stop) => return broken(Law::Oracle, format!("{} {}: {stop:?}", command.name(), submitted.id)),
        };
        if let Some(id) = merge::edited(&body).and_then(|id| Uuid::from_slice(id).ok())
            && let (Some(before), Ok(Some(after))) = (self.records.get(&id), workspace.stored(id))
            // An edit of what was merged goes to what is left.
            && before.removed_at_us.is_none()
        {
            let editor = (submission.issuer.rep().is_some(), self.sees(&submission.issuer, id, before)?);
            merge::check(&body, editor, (&before.document, &after.document), &outcome, journal)?;
        }
        let hidden = self.hidden(&submission.issuer, discretion::told(&submitted.body, &outcome))?;
        let (_, effects) = workspace.keep();
        self.horizon = effects.horizon.unwrap_or(self.horizon);
        // Nobody in the simulation has an account, so that a rep's devices are not known.
        self.revoked.extend(effects.revocations.into_iter().filter_map(|revocation| match revocation {
            Revocation::Device(device) => Some(device),
            Revocation::Rep(_) => None,
        }));
        let said = discretion::said(&submitted.body);
        let changes = workspace.finish();
        self.trade(command.name(), (&body, &outcome), &changes, journal)?;
        for change in changes {
            let old = self.records.insert(change.id, change.after);
            before.entry(change.id).or_insert(old);
            if said.contains(&change.id) {
                self.own.insert((self_of(&submission.issuer), change.id));
            }
        }
        // What it has moved was seen before or is seen now.
        let hidden = self.hidden(&submission.issuer, hidden)?;
        journal.check(Law::Discretion, hidden.is_empty(), || {
            format!("{} tells {:?} of {hidden:?}: {outcome:?}", command.name(), submission.issuer)
        })?;
        Ok(outcome)
    }

    /// The laws of the trade.
    fn trade(
        &mut self,
        command: &'static str,
        told: (&Command, &Outcome),
        changes: &[Change],
        journal: &mut Journal,
    ) -> Checked<()> {
        trade_laws::check(&Changed { command, told, changes, records: &self.records }, journal)?;
        for change in changes {
            self.bought.note(change.id, &change.after);
        }
        let outlet = |id: &[u8]| {
            let id = Uuid::from_slice(id).ok()?;
            let changed = changes.iter().find(|change| change.id == id).map(|change| &change.after);
            Outlet::decode(changed.or_else(|| self.records.get(&id))?.document.clone()).ok()
        };
        self.bought.check(told, changes, outlet, journal)
    }

    /// Those of these records that the issuer does not see, and has not made.
    fn hidden(&self, issuer: &Issuer, told: BTreeSet<Uuid>) -> Checked<BTreeSet<Uuid>> {
        let mut hidden = BTreeSet::new();
        for id in told {
            if let Some(stored) = self.records.get(&id)
                && !self.own.contains(&(self_of(issuer), id))
                && !self.sees(issuer, id, stored)?
            {
                hidden.insert(id);
            }
        }
        Ok(hidden)
    }

    /// Whether a record is in the scopes that the issuer holds. Who does not work with a device sees all; and of what was
    /// removed there is nothing left to see.
    fn sees(&self, issuer: &Issuer, id: Uuid, stored: &Stored) -> Checked<bool> {
        match issuer {
            Issuer::User(caller) if matches!(caller.role, Role::Rep | Role::Supervisor) => {
                let (held, shown) = (self.scopes(caller), stored.kind < FIRST_INTERNAL_KIND);
                let removed = stored.removed_at_us.is_some();
                Ok(shown && (removed || placed(id, stored)?.1.iter().any(|scope| held.contains(scope))))
            }
            Issuer::User(_) | Issuer::Server => Ok(true),
        }
    }

    /// Lets the rule decide, and gives it each record for which it asks.
    fn settle(&self, command: &dyn Decide, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        loop {
            match commands::decide(command, context, workspace) {
                Err(Stop::Load(ids)) => {
                    workspace.drop_overlay();
                    let found = ids.iter().filter_map(|id| self.records.get(id).map(|stored| (*id, stored.clone())));
                    workspace.load(&ids, found.collect());
                }
                decided => return decided,
            }
        }
    }

    /// The records that the last decisions have changed; all of the tenant's, not those that only serve its rules.
    pub fn changed(&self) -> impl Iterator<Item = Uuid> {
        let shown = |id: &&Uuid| self.records.get(*id).is_some_and(|stored| stored.kind < FIRST_INTERNAL_KIND);
        self.changed.iter().filter(shown).copied()
    }

    /// All records, internal ones too, as they should be stored.
    #[must_use]
    pub fn records(&self) -> &BTreeMap<Uuid, Stored> {
        &self.records
    }

    /// What a device should hold: by scope and kind.
    ///
    /// # Errors
    /// When a record can't be placed.
    pub fn projection(&self, caller: &Caller) -> Checked<Content> {
        let held = self.scopes(caller);
        let mut content = Content::new();
        let live = |stored: &Stored| stored.kind < FIRST_INTERNAL_KIND && stored.removed_at_us.is_none();
        for (id, stored) in self.records.iter().filter(|(_, stored)| live(stored)) {
            let (kind, scopes) = placed(*id, stored)?;
            for scope in scopes.iter().filter(|scope| held.contains(scope)) {
                content.entry((scope.to_string(), kind as u32)).or_default().insert(*id, stored.document.clone());
            }
        }
        Ok(content)
    }

    /// The scopes that a caller holds: those of the role, and those that they give.
    fn scopes(&self, caller: &Caller) -> BTreeSet<Scope> {
        let mut held: BTreeSet<Scope> = match (caller.role, caller.rep, caller.team) {
            (Role::Rep, Some(rep), _) => [Scope::Tenant, Scope::Rep(rep)].into(),
            (Role::Supervisor, _, Some(team)) => [Scope::Tenant, Scope::Supervision, Scope::Team(team)].into(),
            _ => BTreeSet::new(),
        };
        loop {
            let granted = held.iter().filter_map(|scope| self.records.get(&Granted::id(scope)));
            let granted = granted.filter_map(|stored| Granted::decode(stored.document.clone()).ok());
            let more: Vec<Scope> = granted.flat_map(|granted| granted.held().collect::<Vec<_>>()).collect();
            let before = held.len();
            held.extend(more);
            if held.len() == before {
                return held;
            }
        }
    }
}

/// Who a caller is to others: the rep, whichever login it was.
fn self_of(issuer: &Issuer) -> Uuid {
    issuer.rep().unwrap_or_else(|| issuer.actor())
}

/// A record's kind, and the scopes that it is in.
fn placed(id: Uuid, stored: &Stored) -> Checked<(trade::Kind, Vec<Scope>)> {
    let placed = kind::from_number(stored.kind).and_then(|kind| {
        let stamps = Stamps::decode(stored.stamps.clone()).ok()?;
        Some((kind, place(kind, id, &stored.document, &stamps).ok()?))
    });
    placed.map_or_else(|| broken(Law::Oracle, format!("record {id} of kind {} has no place", stored.kind)), Ok)
}

/// A command that was decided before gets its outcome again; under another number it is told to be a duplicate.
fn repeated(decided: &Decided, sent: Option<(Uuid, i64)>, submitted: &Submitted) -> Outcome {
    if decided.body != submitted.body {
        return commands::rejected(Rejection::new(Reason::CommandIdReused));
    }
    if decided.sent == sent {
        return decided.outcome.clone();
    }
    let first_status = decided.outcome.status;
    Outcome { status: Status::Duplicate.into(), first_status, ..decided.outcome.clone() }
}
