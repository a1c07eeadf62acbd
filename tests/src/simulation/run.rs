//! The events of a simulation, one after the other, and the quiet at its end.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use prost::Message as _;
use roundsman::auth::caller::Caller;
use roundsman::batch::{Answer, Submission, Submitted};
use roundsman::commands::Issuer;
use roundsman_proto::auth::Role;
use roundsman_proto::sync::{CommandResult, Outcome, PushRequest, PushResponse};
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::{self, Kind};
use uuid::Uuid;

use super::commands::{Eyes, RECIPES, Scene, Who};
use super::device::{Device, Life, Memory, Pulled};
use super::dice::Dice;
use super::journal::{Checked, Journal, Law, Tally, Tell, Violation, broken};
use super::laws;
use super::server::{Logged, Server};
use super::world::World;

/// Rounds of the quiet phase in which every device must come to rest.
const QUIET_ROUNDS: usize = 6;
/// Pulls that a device may need to come to its last checkpoint: one, one after the server asked what it holds.
const QUIET_PULLS: usize = 3;
/// Messages of a pull of the quiet phase.
const PULL_MESSAGES: usize = 1_000;
const MINUTE_US: i64 = 60_000_000;
const DAY_US: i64 = 86_400_000_000;

/// How long a simulation is, and who listens.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Events before the quiet phase.
    pub steps: u64,
    /// Told of every event.
    pub tell: Option<Tell>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { steps: 400, tell: None }
    }
}

/// How a simulation ended.
#[derive(Debug)]
pub struct End {
    /// What happened.
    pub tally: Tally,
    /// Of all answers and pulls, in order.
    pub digest: u64,
    /// The first broken law.
    pub violation: Option<Violation>,
    /// All that the lane ran.
    pub log: Vec<Logged>,
}

/// Runs one seed.
///
/// # Panics
/// When the machine has no place for a small database.
#[must_use]
pub fn run(seed: u64, settings: &Settings) -> End {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut journal = Journal::new(settings.tell);
    let ended = catch_unwind(AssertUnwindSafe(|| runtime.block_on(simulate(seed, settings.steps, &mut journal))));
    let (violation, log) = match ended {
        Ok((Ok(()), log)) => (None, log),
        Ok((Err(violation), log)) => (Some(violation), log),
        Err(_) => (Some(Violation { law: Law::NoFault, what: "something panicked".to_owned() }), Vec::new()),
    };
    let digest = journal.digested();
    End { tally: journal.tally, digest, violation, log }
}

async fn simulate(seed: u64, steps: u64, journal: &mut Journal) -> (Checked<()>, Vec<Logged>) {
    let mut simulation = match Simulation::begin(seed, journal).await {
        Ok(simulation) => simulation,
        Err(violation) => return (Err(violation), Vec::new()),
    };
    let outcome = simulation.whole(steps).await;
    simulation.server.db.close().await;
    (outcome, std::mem::take(&mut simulation.server.log))
}

/// Who has sent something.
#[derive(Clone, Debug)]
enum From {
    /// A device, by its place, and the number of its push.
    Device(usize, u64),
    /// Somebody at a desk, or the server itself.
    Desk,
}

/// Something that is on its way to the server.
#[derive(Clone, Debug)]
struct Letter {
    from: From,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    Push(Caller, PushRequest),
    Desk(Issuer, Submitted),
}

/// An answer that is on its way to a device.
struct Reply {
    device: usize,
    push: u64,
    response: PushResponse,
}

/// A command that somebody captured on a device.
#[derive(Clone, Debug)]
pub struct Captured {
    /// The device.
    pub device: Uuid,
    /// Its body.
    pub body: Bytes,
    /// The device was thrown away before the command had an outcome.
    pub lost: bool,
    /// What the device was told.
    pub outcome: Option<Outcome>,
}

/// A simulation.
pub struct Simulation<'j> {
    pub(super) journal: &'j mut Journal,
    pub(super) dice: Dice,
    pub(super) server: Server,
    pub(super) world: World,
    pub(super) devices: Vec<Device>,
    pub(super) captured: BTreeMap<Uuid, Captured>,
    /// What was answered: by command, device and number.
    pub(super) told: BTreeMap<(Uuid, Uuid, i64), Outcome>,
    /// Records that were seen removed.
    pub(super) removed: BTreeSet<Uuid>,
    wire: Vec<Letter>,
    replies: Vec<Reply>,
    pushes: u64,
}

impl<'j> Simulation<'j> {
    async fn begin(seed: u64, journal: &'j mut Journal) -> Checked<Self> {
        let dice = Dice::new(seed, 1);
        let server = Server::start(seed).await.or_else(|error| broken(Law::NoFault, error.to_string()))?;
        let world = World::draw(&dice, server.tenant, seed);
        let mut devices = Vec::new();
        for (index, user) in world.users.iter().enumerate() {
            for number in 0..dice.size(1, 2) {
                // An app that is older than the last kind.
                let kinds = if dice.chance(15) { (1..=20).collect() } else { Vec::new() };
                let name = format!("{}{index}.{number}", if user.role == Role::Rep { "rep" } else { "supervisor" });
                devices.push(Device::new(name, user, dice.id(), kinds)?);
            }
        }
        let imports = world.imports(&dice);
        let mut simulation = Self {
            journal,
            dice,
            server,
            world,
            devices,
            captured: BTreeMap::new(),
            told: BTreeMap::new(),
            removed: BTreeSet::new(),
            wire: Vec::new(),
            replies: Vec::new(),
            pushes: 0,
        };
        for import in imports {
            let letter = simulation.desk_letter(Role::Office, Command::ImportRecords(import));
            simulation.serve(vec![letter]).await?;
        }
        Ok(simulation)
    }

    async fn whole(&mut self, steps: u64) -> Checked<()> {
        for _ in 0..steps {
            self.step().await?;
        }
        self.quiet().await?;
        laws::at_the_end(self).await
    }

    /// One event.
    async fn step(&mut self) -> Checked<()> {
        self.pass();
        let device = self.dice.size(0, self.devices.len() - 1);
        match self.dice.below(130) {
            0..30 => self.capture(device),
            30..48 => {
                self.push(device);
                Ok(())
            }
            48..68 => self.answer().await,
            68..84 => self.reply(),
            84..100 => self.pull(device).await,
            100..116 => {
                self.desk().await?;
                Ok(())
            }
            _ => self.fault(device),
        }
    }

    /// Something goes wrong.
    fn fault(&mut self, device: usize) -> Checked<()> {
        let name = self.devices[device].name.clone();
        match self.dice.below(14) {
            0..5 => {
                self.journal.event(|| "the server is about to fail".to_owned());
                self.server.arm(&self.dice);
                Ok(())
            }
            5..9 => {
                self.journal.event(|| format!("{name} is about to be killed"));
                let fuses = (self.dice.chance(70), self.dice.chance(50));
                let replica = fuses.0.then(|| 1 + self.dice.below(150));
                let outbox = fuses.1.then(|| 1 + self.dice.below(10));
                self.devices[device].restart((replica, outbox))
            }
            9 => {
                self.journal.event(|| "the server restarts".to_owned());
                self.journal.fault("server restarted");
                self.server.restart();
                Ok(())
            }
            10 => self.reinstall(device),
            11 => {
                self.journal.event(|| format!("{name} is backed up"));
                self.devices[device].back_up()
            }
            12 => self.restore(device),
            _ => {
                let off_us = match self.dice.below(4) {
                    0 => 0,
                    1 => self.dice.between(-10, 10) * MINUTE_US,
                    2 => self.dice.between(-600, 600) * MINUTE_US,
                    _ => self.dice.between(-40, 40) * DAY_US,
                };
                self.journal.event(|| format!("the clock of {name} is {off_us} µs ahead"));
                self.journal.fault("device clock set");
                self.devices[device].clock_off_us = off_us;
                Ok(())
            }
        }
    }

    /// Time passes.
    fn pass(&mut self) {
        let by_us = match self.dice.below(100) {
            0..80 => self.dice.between(1_000, MINUTE_US),
            80..98 => self.dice.between(MINUTE_US, 90 * MINUTE_US),
            _ => self.dice.between(DAY_US / 2, DAY_US),
        };
        self.server.clock.advance(by_us);
    }

    fn reinstall(&mut self, device: usize) -> Checked<()> {
        let installation = self.dice.id();
        let device = &mut self.devices[device];
        self.journal.event(|| format!("{} is installed anew", device.name));
        self.journal.fault("device reinstalled");
        let lost: BTreeSet<Uuid> =
            device.outbox().pending().filter(|(_, _, answered)| answered.is_none()).map(|(id, _, _)| id).collect();
        self.lose(&lost);
        device_of(&mut self.devices, installation, &self.journal.tally)?;
        Ok(())
    }

    fn restore(&mut self, device: usize) -> Checked<()> {
        let before = waiting(&self.devices[device]);
        if !self.devices[device].restore()? {
            return Ok(());
        }
        let name = self.devices[device].name.clone();
        self.journal.event(|| format!("{name} goes back to its backup"));
        self.journal.fault("device restored");
        let kept: BTreeSet<Uuid> = self.devices[device].outbox().pending().map(|(id, _, _)| id).collect();
        let lost = before.into_iter().filter(|id| !kept.contains(id)).collect();
        self.lose(&lost);
        Ok(())
    }
}
