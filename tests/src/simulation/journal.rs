//! What a simulation counts, checks and tells.

use std::collections::BTreeMap;
use std::fmt;

use prost::Message;
use roundsman_proto::sync::Outcome;
use xxhash_rust::xxh3::Xxh3;

/// What must hold, whatever happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Law {
    /// Every acknowledged command is kept exactly once, with one effect.
    ExactlyOnce,
    /// A repeated command gets the outcome that it had.
    SameOutcome,
    /// What was captured has an outcome, and what was acknowledged is there.
    NothingLost,
    /// When traffic stops, each replica equals the server's projection, byte for byte.
    Convergence,
    /// When faults stop, outboxes drain and pulls end within a bounded number of steps.
    AlwaysFinishes,
    /// At a checkpoint the buckets are as they were at its version.
    AtomicCut,
    /// Bucket rows are where the rule places the records.
    StoredPlacement,
    /// A pull that must cover a version covers it.
    ReadYourWrites,
    /// Positions never go back.
    Monotonic,
    /// What was deleted stays deleted.
    NoResurrection,
    /// No sum is ever wrong, and no message of the server unusable.
    NoDamage,
    /// Nobody is told of a fork as long as no history was lost.
    NoFork,
    /// No rule fails, and the database refuses nothing.
    NoFault,
    /// Any batch equals the same commands in batches of one.
    Batching,
    /// The same history gives the same answers and the same store on both databases, to the byte.
    Databases,
    /// Of two edits of one text the right one stands, and whoever lost is told.
    Merge,
    /// Outcomes and records are those of a model that is too simple to be wrong.
    Oracle,
    /// Nobody is promised what there is not, and no limit is passed that nobody has lifted.
    Trade,
    /// An outcome tells its caller nothing of a record that the caller may not see.
    Discretion,
    /// What is one tenant's never reaches another, and nothing that one does moves the other.
    Tenants,
}

impl Law {
    /// In words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ExactlyOnce => "exactly once",
            Self::SameOutcome => "a repeat gets the same outcome",
            Self::NothingLost => "nothing lost",
            Self::Convergence => "convergence",
            Self::AlwaysFinishes => "always finishes",
            Self::AtomicCut => "atomic cut",
            Self::StoredPlacement => "placement is stored truth",
            Self::ReadYourWrites => "read your writes",
            Self::Monotonic => "monotonic",
            Self::NoResurrection => "no resurrection",
            Self::NoDamage => "no damage",
            Self::NoFork => "no fork without a loss",
            Self::NoFault => "no fault of the server's",
            Self::Batching => "batching is invisible",
            Self::Databases => "databases agree",
            Self::Merge => "edits are merged",
            Self::Oracle => "as the oracle says",
            Self::Trade => "nothing beyond what there is",
            Self::Discretion => "outcomes are discreet",
            Self::Tenants => "tenants are apart",
        }
    }
}

/// A broken law.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which one.
    pub law: Law,
    /// How.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.law.name(), self.what)
    }
}

/// What holds, or else how it does not.
pub type Checked<T> = Result<T, Violation>;

/// A broken law, as an error.
pub fn broken<T>(law: Law, what: impl Into<String>) -> Checked<T> {
    Err(Violation { law, what: what.into() })
}

/// What happened, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Events.
    pub steps: u64,
    /// Decided commands by status.
    pub commands: BTreeMap<&'static str, u64>,
    /// Decided commands by name and what was decided, for whoever wants to know what a simulation reaches.
    pub decisions: BTreeMap<(&'static str, String), u64>,
    /// Faults by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// How often each law was checked.
    pub laws: BTreeMap<Law, u64>,
    /// Committed batches.
    pub batches: u64,
    /// The most statements that a batch took.
    pub most_statements: u32,
}

impl Tally {
    /// Adds another one.
    pub fn add(&mut self, other: Self) {
        fn sum<K: Ord>(to: &mut BTreeMap<K, u64>, from: BTreeMap<K, u64>) {
            for (key, count) in from {
                *to.entry(key).or_default() += count;
            }
        }
        self.steps += other.steps;
        self.batches += other.batches;
        self.most_statements = self.most_statements.max(other.most_statements);
        sum(&mut self.commands, other.commands);
        sum(&mut self.decisions, other.decisions);
        sum(&mut self.faults, other.faults);
        sum(&mut self.laws, other.laws);
    }
}

/// Told of every event, if somebody wants to know.
pub type Tell = fn(&str);

/// The book of one seed.
pub struct Journal {
    /// What was counted.
    pub tally: Tally,
    tell: Option<Tell>,
    digest: Xxh3,
}

impl Journal {
    /// An empty one.
    #[must_use]
    pub fn new(tell: Option<Tell>) -> Self {
        Self { tally: Tally::default(), tell, digest: Xxh3::new() }
    }

    /// Notes an event.
    pub fn event(&mut self, what: impl FnOnce() -> String) {
        self.tally.steps += 1;
        self.detail(what);
    }

    /// Tells more of the last event.
    pub fn detail(&self, what: impl FnOnce() -> String) {
        if let Some(tell) = self.tell {
            tell(&format!("{:>6}  {}", self.tally.steps, what()));
        }
    }

    /// Notes a fault.
    pub fn fault(&mut self, kind: &'static str) {
        *self.tally.faults.entry(kind).or_default() += 1;
        self.detail(|| format!("        fault: {kind}"));
    }

    /// Notes a decided command.
    pub fn decided(&mut self, command: &'static str, outcome: &Outcome) {
        let status = outcome.status().as_str_name().trim_start_matches("STATUS_");
        *self.tally.commands.entry(status).or_default() += 1;
        let decision = format!("{status} {}", outcome.reason().as_str_name().trim_start_matches("REASON_"));
        *self.tally.decisions.entry((command, decision)).or_default() += 1;
    }

    /// A message between server and device becomes a part of the digest.
    pub fn digest(&mut self, message: &impl Message) {
        self.digest.update(&message.encode_to_vec());
    }

    /// The digest of all messages so far.
    #[must_use]
    pub fn digested(&self) -> u64 {
        self.digest.digest()
    }

    /// Checks a law.
    ///
    /// # Errors
    /// When it is broken.
    pub fn check(&mut self, law: Law, holds: bool, what: impl FnOnce() -> String) -> Checked<()> {
        *self.tally.laws.entry(law).or_default() += 1;
        if holds { Ok(()) } else { broken(law, what()) }
    }
}
