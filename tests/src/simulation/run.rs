//! The events of a simulation, one after the other, and the quiet at its end.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use prost::Message as _;
use roundsman::auth::caller::Caller;
use roundsman::batch::{Answer, Submission, Submitted};
use roundsman::commands::Issuer;
use roundsman::workspace::FIRST_INTERNAL_KIND;
use roundsman_proto::auth::Role;
use roundsman_proto::sync::{CommandResult, Outcome, PushRequest, PushResponse, Status};
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::{self, Kind, Reason, RevokeDevice};
use uuid::Uuid;

use super::commands::{Eyes, RECIPES, Scene, Who};
use super::device::{Device, Life, Memory, OLD_APP, Pulled, asked};
use super::dice::Dice;
use super::faults::{Fault, Without};
use super::journal::{Checked, Journal, Law, Tally, Tell, Violation, broken};
use super::laws;
use super::server::{Logged, Server};
use super::store;
use super::world::World;
use crate::database;
use crate::world::bytes;

/// Rounds of the quiet phase in which every device must come to rest.
const QUIET_ROUNDS: usize = 6;
/// Times that a device may have to push and pull in the quiet phase.
const QUIET_SYNCS: usize = 2;
/// Pulls that a device may need to come to its last checkpoint: one, one after the server asked what it holds.
const QUIET_PULLS: usize = 3;
/// Of sixteen seeds, the one whose disk gets full now and then.
const SMALL_DISK: u64 = 8;
/// Of four seeds, the one in which a backup may be restored that is older than the last one.
const CARELESS: u64 = 2;
/// Messages of a pull of the quiet phase.
const PULL_MESSAGES: usize = 1_000;
const MINUTE_US: i64 = 60_000_000;
const DAY_US: i64 = 86_400_000_000;

/// How long a simulation is, and who listens.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Events before the quiet phase.
    pub steps: u64,
    /// The faults that do not occur.
    pub without: Without,
    /// The database under the server. Only a file can be restored from a backup.
    pub database: database::Kind,
    /// Told of every event.
    pub tell: Option<Tell>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { steps: 400, without: Without::default(), database: database::Kind::Sqlite, tell: None }
    }
}

/// How a simulation ended.
#[derive(Debug)]
pub struct End {
    /// What happened.
    pub tally: Tally,
    /// Of all answers and pulls, in order.
    pub digest: u64,
    /// Of all that was stored in the end.
    pub stored: u64,
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
    let ended = catch_unwind(AssertUnwindSafe(|| runtime.block_on(simulate(seed, settings, &mut journal))));
    let (outcome, log) = ended.unwrap_or_else(|_| (broken(Law::NoFault, "something panicked"), Vec::new()));
    let digest = journal.digested();
    let (stored, violation) = match outcome {
        Ok(stored) => (stored, None),
        Err(violation) => (0, Some(violation)),
    };
    End { tally: journal.tally, digest, stored, violation, log }
}

/// Runs a seed on both databases; without backups and full disks, since only a file has them here.
#[must_use]
pub fn on_both(seed: u64, settings: &Settings) -> End {
    let without = settings.without.and(Fault::ServerRestored).and(Fault::DiskFull);
    let [mut file, server] = [database::Kind::Sqlite, database::Kind::Postgres]
        .map(|database| run(seed, &Settings { without, database, ..*settings }));
    *file.tally.laws.entry(Law::Databases).or_default() += 1;
    file.violation = file.violation.or(server.violation).or_else(|| {
        let agree = (file.digest, file.stored) == (server.digest, server.stored);
        let what = format!(
            "answers {:016x} and {:016x}, stores {:016x} and {:016x}",
            file.digest, server.digest, file.stored, server.stored
        );
        (!agree).then_some(Violation { law: Law::Databases, what })
    });
    file
}

async fn simulate(seed: u64, settings: &Settings, journal: &mut Journal) -> (Checked<u64>, Vec<Logged>) {
    let mut simulation = match Simulation::begin(seed, settings, journal).await {
        Ok(simulation) => simulation,
        Err(violation) => return (Err(violation), Vec::new()),
    };
    let outcome = simulation.whole(settings.steps).await;
    let log = std::mem::take(&mut simulation.server.log);
    simulation.server.end().await;
    (outcome, log)
}

/// Who has sent something.
#[derive(Clone, Debug)]
enum Origin {
    /// A device, by its place, and the number of its push.
    Device(usize, u64),
    /// Somebody at a desk, or the server itself.
    Desk,
}

/// A command, or a record, of a tenant, by its place.
pub type Key = (usize, Uuid);

/// Of a hundred commands from a desk, so many of the first tenant's.
const FIRST_TENANT: u64 = 75;
/// Of a hundred commands, so many that name something of another tenant's.
const TRESPASS: u64 = 4;

/// Something that is on its way to the server.
#[derive(Clone, Debug)]
struct Letter {
    /// The tenant, by its place.
    tenant: usize,
    from: Origin,
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
    /// Of each tenant.
    pub(super) worlds: Vec<World>,
    pub(super) devices: Vec<Device>,
    pub(super) captured: BTreeMap<Key, Captured>,
    /// What was answered: by command, device and number.
    pub(super) told: BTreeMap<(Key, Uuid, i64), Outcome>,
    /// Records that were seen removed.
    pub(super) removed: BTreeSet<Key>,
    wire: Vec<Letter>,
    replies: Vec<Reply>,
    pushes: u64,
    without: Without,
    small_disk: bool,
    /// Whoever restores the server may take the backup before the last one.
    careless: bool,
    /// A backup was restored that was older than what had been said to be durable.
    broke_word: bool,
    /// The last backup of the server, and the one before.
    backups: [Option<Backup>; 2],
}

/// What was known when the server was backed up.
struct Backup {
    told: BTreeMap<(Key, Uuid, i64), Outcome>,
    removed: BTreeSet<Key>,
}

impl<'j> Simulation<'j> {
    async fn begin(seed: u64, settings: &Settings, journal: &'j mut Journal) -> Checked<Self> {
        let dice = Dice::new(seed, 1);
        let server =
            Server::start(seed, settings.database).await.or_else(|error| broken(Law::NoFault, error.to_string()))?;
        let mut worlds: Vec<World> = Vec::new();
        let mut devices = Vec::new();
        let mut imports = Vec::new();
        for (place, tenant) in server.tenants.iter().enumerate() {
            let world = match worlds.first() {
                None => World::draw(&dice, tenant.id, seed),
                Some(first) => World::beside(first, &dice, tenant.id, seed),
            };
            let (most, mark) = if place == 0 { (2, "") } else { (1, "other ") };
            for (index, user) in world.users.iter().enumerate() {
                for number in 0..dice.size(1, most) {
                    let kinds = if dice.chance(15) { OLD_APP.collect() } else { Vec::new() };
                    let role = if user.role == Role::Rep { "rep" } else { "supervisor" };
                    devices.push(Device::new(format!("{mark}{role}{index}.{number}"), user, dice.id(), kinds)?);
                }
            }
            imports.extend(world.imports(&dice).into_iter().map(|import| (place, import)));
            worlds.push(world);
        }
        let mut simulation = Self {
            journal,
            dice,
            server,
            worlds,
            devices,
            captured: BTreeMap::new(),
            told: BTreeMap::new(),
            removed: BTreeSet::new(),
            wire: Vec::new(),
            replies: Vec::new(),
            pushes: 0,
            without: settings.without,
            small_disk: seed % 16 == SMALL_DISK,
            careless: seed % 4 == CARELESS,
            broke_word: false,
            backups: [None, None],
        };
        for (tenant, import) in imports {
            let letter = simulation.desk_letter(tenant, Role::Office, encoded(Command::ImportRecords(import)));
            simulation.serve(vec![letter]).await?;
        }
        Ok(simulation)
    }

    /// All of it; returns the digest of what is stored in the end.
    async fn whole(&mut self, steps: u64) -> Checked<u64> {
        for _ in 0..steps {
            self.step().await?;
        }
        self.quiet().await?;
        laws::at_the_end(self).await?;
        store::digest(&self.server.db).await.or_else(|error| broken(Law::NoFault, error.to_string()))
    }

    /// One event.
    async fn step(&mut self) -> Checked<()> {
        self.pass();
        if self.small_disk && self.dice.chance(2) && self.may(Fault::DiskFull) {
            self.journal.event(|| "the disk is full, or no longer".to_owned());
            self.server.fill_disk().await?;
        }
        let device = self.dice.size(0, self.devices.len() - 1);
        match self.dice.below(130) {
            0..30 => self.capture(device),
            30..48 => self.push(device),
            48..68 => self.answer().await,
            68..84 => self.reply(),
            84..100 => self.pull(device).await,
            100..116 => {
                self.desk().await?;
                Ok(())
            }
            _ => self.fault(device).await,
        }
    }

    /// Whether a fault may occur.
    fn may(&self, fault: Fault) -> bool {
        !self.without.contains(fault)
    }

    /// Something goes wrong.
    async fn fault(&mut self, device: usize) -> Checked<()> {
        let (fault, off_us) = self.draw_fault();
        if !self.may(fault) {
            return Ok(());
        }
        let name = self.devices[device].name.clone();
        match fault {
            Fault::ServerFails => {
                self.journal.event(|| "the server is about to fail".to_owned());
                self.server.arm(&self.dice);
                Ok(())
            }
            Fault::DeviceKilled => {
                self.journal.event(|| format!("{name} is about to be killed"));
                let fuses = (self.dice.chance(70), self.dice.chance(50));
                let replica = fuses.0.then(|| 1 + self.dice.below(150));
                let outbox = fuses.1.then(|| 1 + self.dice.below(10));
                self.devices[device].restart((replica, outbox))
            }
            Fault::ServerRestarts => {
                self.journal.event(|| "the server restarts".to_owned());
                self.journal.fault("server restarted");
                self.server.restart();
                Ok(())
            }
            Fault::Purge => {
                self.journal.event(|| "the server forgets what is below the horizon".to_owned());
                self.journal.fault("purged below the horizon");
                if self.dice.chance(50) && self.may(Fault::PurgeFails) {
                    self.server.arm_purge(&self.dice);
                }
                let tenant = self.dice.size(0, self.server.tenants.len() - 1);
                self.server.purge(tenant, self.journal).await
            }
            Fault::DeviceReinstalled => self.reinstall(device),
            Fault::DeviceRestored if self.dice.chance(50) => {
                self.journal.event(|| format!("{name} is backed up"));
                self.devices[device].back_up()
            }
            Fault::DeviceRestored => self.restore(device),
            Fault::ServerRestored => self.keep_or_lose_history().await,
            Fault::DeviceClock => {
                self.journal.event(|| format!("the clock of {name} is {off_us} µs ahead"));
                self.journal.fault("device clock set");
                self.devices[device].clock_off_us = off_us;
                Ok(())
            }
            Fault::DeviceRevoked => {
                let device_id = self.devices[device].caller.device.map(bytes).unwrap_or_default();
                self.journal.event(|| format!("{name} is about to be shut out"));
                self.journal.fault("device revoked");
                let command = Command::RevokeDevice(RevokeDevice { device_id, wipe: false });
                let tenant = self.tenant(device);
                let letter = self.desk_letter(tenant, Role::Office, encoded(command));
                self.wire.push(letter);
                Ok(())
            }
            Fault::PullFails => {
                self.journal.event(|| "a pull is about to fail".to_owned());
                self.server.arm_pulls(&self.dice);
                Ok(())
            }
            Fault::DeviceUpdated => {
                self.journal.event(|| format!("{name} gets another version of its app"));
                self.journal.fault("app updated");
                self.devices[device].update()
            }
            // These occur on the way.
            Fault::DiskFull | Fault::PurgeFails | Fault::Push | Fault::Answer | Fault::PullCut => Ok(()),
        }
    }

    /// Which fault it is; and how wrong a clock is, in microseconds, if it is that one.
    fn draw_fault(&self) -> (Fault, i64) {
        let off_us = match self.dice.below(4) {
            0 => 0,
            1 => self.dice.between(-10, 10) * MINUTE_US,
            2 => self.dice.between(-600, 600) * MINUTE_US,
            _ => self.dice.between(-40, 40) * DAY_US,
        };
        let fault = match self.dice.below(40) {
            0..10 => Fault::ServerFails,
            10..18 => Fault::DeviceKilled,
            18..20 => Fault::ServerRestarts,
            20..22 => Fault::Purge,
            22..24 => Fault::DeviceReinstalled,
            24..28 => Fault::DeviceRestored,
            28..31 => Fault::ServerRestored,
            31..33 => Fault::DeviceClock,
            33..37 => Fault::PullFails,
            37..39 => Fault::DeviceUpdated,
            // One in a few thousand events: whoever is shut out takes no part any more.
            _ if self.dice.chance(15) => Fault::DeviceRevoked,
            _ => Fault::ServerFails,
        };
        (fault, off_us)
    }

    /// Time passes.
    fn pass(&mut self) {
        let by_us = match self.dice.below(1_000) {
            0..800 => self.dice.between(1_000, MINUTE_US),
            800..980 => self.dice.between(MINUTE_US, 90 * MINUTE_US),
            980..997 => self.dice.between(DAY_US / 2, DAY_US),
            _ => self.dice.between(3 * DAY_US, 12 * DAY_US),
        };
        self.server.clock.advance(by_us);
    }

    /// The place of a device's tenant.
    fn tenant(&self, device: usize) -> usize {
        self.server.place_of(self.devices[device].caller.tenant)
    }

    fn reinstall(&mut self, device: usize) -> Checked<()> {
        let lost = self.held(device);
        let name = self.devices[device].name.clone();
        self.journal.event(|| format!("{name} is installed anew"));
        self.journal.fault("device reinstalled");
        self.lose(lost);
        let installation = self.dice.id();
        self.devices[device].reinstall(installation)
    }

    fn restore(&mut self, device: usize) -> Checked<()> {
        let before = self.held(device);
        if !self.devices[device].restore()? {
            return Ok(());
        }
        let name = self.devices[device].name.clone();
        self.journal.event(|| format!("{name} goes back to its backup"));
        self.journal.fault("device restored");
        let kept = self.held(device);
        self.lose(before.into_iter().filter(|id| !kept.contains(id)).collect());
        Ok(())
    }

    /// The server is backed up, or goes back to its last backup.
    async fn keep_or_lose_history(&mut self) -> Checked<()> {
        if !self.server.is_a_file() {
            return Ok(());
        }
        if self.backups[0].is_none() || self.dice.chance(35) {
            self.journal.event(|| "the server is backed up".to_owned());
            let now = Backup { told: self.told.clone(), removed: self.removed.clone() };
            self.backups[1] = self.backups[0].replace(now);
            return self.server.back_up(self.journal).await;
        }
        let older = self.careless && self.backups[1].is_some() && self.dice.chance(60);
        let Some(backup) = std::mem::take(&mut self.backups[usize::from(older)]) else { return Ok(()) };
        self.backups = [None, None];
        self.broke_word |= older;
        self.journal.event(|| format!("the server goes back to its {} backup", if older { "older" } else { "last" }));
        self.journal.fault(if older { "server restored to an older backup" } else { "server restored" });
        // Whatever the old server has answered and nobody has heard yet is gone with its connections.
        self.replies.clear();
        for device in &mut self.devices {
            device.hang_up();
            device.history_lost();
        }
        self.server.restore(older).await?;
        (self.told, self.removed) = (backup.told, backup.removed);
        let stored = laws::kept(self).await?;
        let held: BTreeSet<Key> = (0..self.devices.len()).flat_map(|device| self.held(device)).collect();
        self.keeps_what_is_not_durable(&stored, &held)?;
        for (id, captured) in self.captured.iter_mut().filter(|(id, _)| !stored.contains(*id)) {
            // What a device still has comes again, whatever it was told.
            captured.lost = !held.contains(id);
            captured.outcome = None;
        }
        Ok(())
    }

    /// What the restored server does not have each device still has: it forgets only what was said to be durable. It does not
    /// hold for those that went back to a backup of their own, nor once a server has gone back behind its word.
    fn keeps_what_is_not_durable(&mut self, stored: &BTreeSet<Key>, held: &BTreeSet<Key>) -> Checked<()> {
        if self.broke_word {
            return Ok(());
        }
        for device in self.devices.iter().filter(|device| !device.restored) {
            let Some(id) = device.caller.device else { continue };
            let own = self.captured.iter().filter(|(_, captured)| captured.device == id && !captured.lost);
            for (key, _) in own.filter(|(key, _)| !stored.contains(*key)) {
                let what = || format!("{} has forgotten command {}, which the server has lost", device.name, key.1);
                self.journal.check(Law::NothingLost, held.contains(key), what)?;
            }
        }
        Ok(())
    }

    /// A device lacks commands only if it was restored, or if a server went back behind what it had said to be durable.
    fn may_skip(&mut self, device: usize, request: &PushRequest) -> Checked<()> {
        let actor = &self.devices[device];
        let Some(skip) = request.skip else { return Ok(()) };
        self.journal.fault("commands skipped");
        self.journal.check(Law::NothingLost, actor.restored || self.broke_word, || {
            format!("{} no longer has the commands {} to {}", actor.name, skip.from_seq, skip.to_seq)
        })
    }

    /// The commands that a device has: those that wait, and those that it keeps should the server lose them.
    fn held(&self, device: usize) -> BTreeSet<Key> {
        let tenant = self.tenant(device);
        self.devices[device].outbox().pending().map(|(id, _, _)| (tenant, id)).collect()
    }

    /// These were captured, and went with their device before anybody answered.
    fn lose(&mut self, commands: BTreeSet<Key>) {
        for id in commands {
            if let Some(captured) = self.captured.get_mut(&id).filter(|captured| captured.outcome.is_none()) {
                captured.lost = true;
            }
        }
    }

    /// A device was killed, and is started again; maybe to be killed again.
    fn die(&mut self, device: usize) -> Checked<()> {
        self.journal.fault("device killed");
        let again = self.dice.chance(20).then(|| 1 + self.dice.below(40));
        self.devices[device].restart((again, None))
    }

    /// Somebody captures a command on a device.
    fn capture(&mut self, device: usize) -> Checked<()> {
        let now_us = self.server.now_us();
        let caller = self.devices[device].caller.clone();
        let who = if caller.role == Role::Rep { Who::Rep } else { Who::Supervisor };
        let Some(command) = self.think(who, device) else {
            return Ok(());
        };
        let tenant = self.tenant(device);
        let id = self.command_id(tenant);
        let name = roundsman::commands::of(&command).name();
        let body = self.trespass(tenant, &command);
        let actor = &mut self.devices[device];
        self.journal.event(|| format!("{} captures {name} {id}", actor.name));
        let at_us = actor.clock_us(now_us);
        let day = i32::try_from(at_us.div_euclid(DAY_US)).unwrap_or(1);
        let life = actor.capture(id, body.clone(), at_us, day)?;
        remember(&mut actor.memory, &command);
        if life == Life::Killed {
            self.die(device)?;
        }
        let actor = &self.devices[device];
        if actor.outbox().pending().any(|(pending, _, _)| pending == id) {
            let device = caller.device.unwrap_or_default();
            self.captured.insert((tenant, id), Captured { device, body, lost: false, outcome: None });
        }
        Ok(())
    }

    /// The id of a new command; now and then one that another tenant's command has.
    fn command_id(&mut self, tenant: usize) -> Uuid {
        let others: Vec<Uuid> = if self.dice.chance(2) {
            let ids =
                self.captured.keys().filter(|key| key.0 != tenant && !self.captured.contains_key(&(tenant, key.1)));
            ids.map(|key| key.1).collect()
        } else {
            Vec::new()
        };
        match self.dice.pick(&others) {
            Some(id) => {
                self.journal.fault("another tenant's command id taken");
                *id
            }
            None => self.dice.id(),
        }
    }

    /// The body of a command; now and then it names another tenant's record of the same kind instead of one of its own,
    /// or gives what it makes the id of one. It must be decided as if there were no such record.
    fn trespass(&mut self, tenant: usize, command: &Command) -> Bytes {
        let mut body = trade::Command { command: Some(command.clone()) }.encode_to_vec();
        if !self.dice.chance(TRESPASS) {
            return body.into();
        }
        let records = |place: usize| self.server.tenants[place].oracle.records();
        let other = (tenant + 1) % self.server.tenants.len();
        let target = roundsman::commands::of(command).target().filter(|target| target.creates).map(|target| target.id);
        let named: Vec<(usize, i64)> = (0..body.len().saturating_sub(15))
            .filter_map(|at| {
                let id = Uuid::from_slice(&body[at..at + 16]).ok()?;
                let kind = records(tenant).get(&id).map(|stored| stored.kind);
                let made = target == Some(id.as_bytes()) && self.dice.chance(30);
                Some((at, kind.or(made.then_some(0))?))
            })
            .collect();
        if let Some((at, kind)) = self.dice.pick(&named) {
            let theirs = records(other).iter().filter(|(id, stored)| {
                let alike = *kind == 0 || stored.kind == *kind;
                alike && stored.kind < FIRST_INTERNAL_KIND && self.server.is_foreign(tenant, **id)
            });
            let theirs: Vec<Uuid> = theirs.map(|(id, _)| *id).collect();
            if let Some(id) = self.dice.pick(&theirs) {
                body[*at..at + 16].copy_from_slice(id.as_bytes());
                self.journal.fault("another tenant's record named");
            }
        }
        body.into()
    }

    /// What somebody on a device wants.
    fn think(&self, who: Who, device: usize) -> Option<Command> {
        let tenant = self.tenant(device);
        let device = &self.devices[device];
        let scene = self.scene(tenant, device, &device.memory, device.caller.rep);
        let recipes: Vec<_> = RECIPES.iter().filter(|recipe| recipe.who == who).collect();
        let recipe = self.dice.weighted(&recipes, |recipe| recipe.weight)?;
        (recipe.make)(&scene)
    }

    fn scene<'s>(&'s self, tenant: usize, eyes: &'s dyn Eyes, memory: &'s Memory, rep: Option<Uuid>) -> Scene<'s> {
        Scene {
            dice: &self.dice,
            world: &self.worlds[tenant],
            eyes,
            memory,
            rep,
            now_us: self.server.now_us(),
            version: self.server.tenants[tenant].position.version,
        }
    }

    /// A device sends what waits.
    fn push(&mut self, device: usize) -> Checked<()> {
        let now_us = self.server.now_us();
        let tenant = self.tenant(device);
        let (may_give_up, may_lose) = (self.may(Fault::Answer), self.may(Fault::Push));
        let actor = &mut self.devices[device];
        if actor.waits_for.is_some() {
            if !self.dice.chance(30) || !may_give_up {
                return Ok(());
            }
            self.journal.fault("answer given up");
        }
        let Some(request) = actor.request(now_us) else {
            return Ok(());
        };
        self.may_skip(device, &request)?;
        let actor = &mut self.devices[device];
        self.pushes += 1;
        actor.waits_for = Some(self.pushes);
        let number = self.pushes;
        self.journal.event(|| {
            let seqs = request.commands.first().map_or(0, |command| command.seq);
            let skip = request.skip;
            format!("{} pushes ({number}) {} commands from {seqs}, {skip:?}", actor.name, request.commands.len())
        });
        if self.dice.chance(8) && may_lose {
            self.journal.fault("push lost");
            return Ok(());
        }
        let content = Content::Push(actor.caller.clone(), request);
        self.wire.push(Letter { tenant, from: Origin::Device(device, number), content });
        Ok(())
    }

    /// Some of what is on its way reaches the server, in any order.
    async fn answer(&mut self) -> Checked<()> {
        let count = self.dice.size(1, 6).min(self.wire.len());
        self.dice.shuffle(&mut self.wire);
        let letters = self.wire.split_off(self.wire.len() - count);
        for letter in &letters {
            if self.dice.chance(12) && self.may(Fault::Push) {
                self.journal.fault("push repeated");
                self.wire.push(letter.clone());
            }
        }
        if letters.is_empty() { Ok(()) } else { self.serve(letters).await }
    }

    /// The server answers: each tenant's lane for itself.
    async fn serve(&mut self, letters: Vec<Letter>) -> Checked<()> {
        for tenant in 0..self.server.tenants.len() {
            let own: Vec<Letter> = letters.iter().filter(|letter| letter.tenant == tenant).cloned().collect();
            if !own.is_empty() {
                self.serve_one(tenant, own).await?;
            }
        }
        Ok(())
    }

    async fn serve_one(&mut self, tenant: usize, letters: Vec<Letter>) -> Checked<()> {
        self.journal.event(|| format!("the server answers {} letters", letters.len()));
        let mut senders: Vec<usize> = letters.iter().filter_map(|letter| letter.from.device()).collect();
        senders.sort_unstable();
        if senders.windows(2).any(|pair| pair[0] == pair[1]) {
            self.journal.fault("pushes of one device mixed");
        }
        let submissions: Vec<Submission> = letters.iter().map(|letter| self.submission(letter)).collect();
        let answers = self.server.answer(tenant, submissions.clone(), &self.dice, self.journal).await?;
        for ((letter, submission), answer) in letters.into_iter().zip(&submissions).zip(answers) {
            match answer {
                Some(answer) => self.settle(&letter, submission, answer)?,
                // Whoever sits at a desk tries again; a device does when it learns that something went wrong.
                None => match letter.from {
                    Origin::Desk => self.wire.push(letter),
                    Origin::Device(device, push) => {
                        let device = &mut self.devices[device];
                        device.waits_for = device.waits_for.filter(|waits_for| *waits_for != push);
                    }
                },
            }
        }
        Ok(())
    }

    fn submission(&self, letter: &Letter) -> Submission {
        match &letter.content {
            Content::Push(caller, request) => self.server.receive(caller, request),
            Content::Desk(issuer, command) => Submission {
                issuer: issuer.clone(),
                sender: None,
                request: String::new(),
                received_at_us: self.server.now_us(),
                released: false,
                commands: vec![command.clone()],
            },
        }
    }

    /// Notes an answer, and sends it on its way.
    fn settle(&mut self, letter: &Letter, submission: &Submission, answer: Answer) -> Checked<()> {
        let device = submission.sender.map_or(Uuid::nil(), |sender| sender.device);
        for (result, submitted) in answer.results.iter().zip(&submission.commands) {
            self.note(letter.tenant, device, result, submitted)?;
        }
        let may_fork = self.server.has_lost();
        self.journal
            .check(Law::NoFork, may_fork || !answer.fork, || format!("the answer to {:?} tells of one", letter.from))?;
        let response = self.server.response(answer);
        self.journal.digest(&response);
        self.journal.detail(|| {
            let count = response.results.len();
            format!(
                "        {:?}: {count} results, version {}, expects {}",
                letter.from, response.version, response.expected_seq
            )
        });
        if let Origin::Device(device, push) = letter.from {
            if self.dice.chance(15) && self.may(Fault::Answer) {
                self.journal.fault("answer lost");
            } else {
                self.replies.push(Reply { device, push, response });
            }
        }
        Ok(())
    }

    fn note(&mut self, tenant: usize, device: Uuid, result: &CommandResult, submitted: &Submitted) -> Checked<()> {
        let outcome = result.outcome.clone().unwrap_or_default();
        let id = submitted.id;
        let command = trade::Command::decode(submitted.body.clone()).ok().and_then(|command| command.command);
        let name = command.as_ref().map_or("unknown", |command| roundsman::commands::of(command).name());
        self.journal.detail(|| {
            let (status, reason) = (outcome.status().as_str_name(), outcome.reason().as_str_name());
            format!("        {name} {id} ({}): {status} {reason} {}", submitted.seq, outcome.text)
        });
        let quarantined = outcome.status() == Status::Quarantined && outcome.reason() != Reason::DeviceRevoked;
        self.journal.check(Law::NoFault, !quarantined, || format!("{name} {id} went to quarantine: {command:?}"))?;
        let key = (tenant, id);
        let first = self.told.range((key, Uuid::nil(), i64::MIN)..=(key, Uuid::max(), i64::MAX)).next().is_none();
        if first {
            self.journal.decided(name, &outcome);
        }
        let before = self.told.entry((key, device, submitted.seq)).or_insert_with(|| outcome.clone());
        self.journal.check(Law::SameOutcome, *before == outcome, || {
            format!("{name} {id} under number {}: first {before:?}, then {outcome:?}", submitted.seq)
        })
    }

    /// An answer reaches its device, if that still waits for it.
    fn reply(&mut self) -> Checked<()> {
        let Some(index) = self.dice.index(self.replies.len()) else {
            return Ok(());
        };
        let Reply { device, push, response } = self.replies.swap_remove(index);
        let tenant = self.tenant(device);
        let actor = &mut self.devices[device];
        self.journal.event(|| format!("{} hears the answer to push {push}", actor.name));
        if actor.waits_for != Some(push) {
            self.journal.fault("answer too late");
            return Ok(());
        }
        let now_us = self.server.now_us();
        let before = actor.outbox().pending().count();
        let (outcomes, life) = actor.answered(response, now_us)?;
        if actor.outbox().pending().count() < before {
            self.journal.fault("kept commands forgotten");
        }
        for (id, outcome) in outcomes {
            if let Some(captured) = self.captured.get_mut(&(tenant, id)) {
                captured.outcome = Some(outcome);
            }
        }
        if life == Life::Killed { self.die(device) } else { Ok(()) }
    }

    /// A device begins a pull, or takes some more messages of the one that is under way.
    async fn pull(&mut self, device: usize) -> Checked<()> {
        let actor = &mut self.devices[device];
        if !actor.pulls() {
            let (follow, today_only) = (self.dice.chance(25), self.dice.chance(15));
            self.journal.event(|| format!("{} begins a pull, follow {follow}, today {today_only}", actor.name));
            let request = actor.pull(&self.server, follow, today_only).await;
            self.journal.detail(|| format!("        {} -> {}", actor.name, asked(&request)));
        }
        let messages = if self.dice.chance(60) { PULL_MESSAGES } else { self.dice.size(0, 6) };
        self.journal.event(|| format!("{} takes up to {messages} messages", actor.name));
        self.take(device, messages).await?;
        let actor = &mut self.devices[device];
        if actor.pulls() && self.dice.chance(25) && !self.without.contains(Fault::PullCut) {
            self.journal.fault("pull cut");
            actor.hang_up();
        }
        Ok(())
    }

    /// Takes so many messages of a pull.
    async fn take(&mut self, device: usize, messages: usize) -> Checked<Pulled> {
        for _ in 0..messages {
            let heard = self.devices[device].hear(&self.server, self.journal).await?;
            match heard {
                Pulled::On => {}
                Pulled::Done | Pulled::Quiet => {
                    let position = self.devices[device].replica().position();
                    let at = self.server.tenants[self.tenant(device)].position;
                    if position == Some(at) && self.devices[device].replica().covers(at.version) {
                        laws::converged(self, device).await?;
                    }
                    return Ok(heard);
                }
                Pulled::Cut => return Ok(heard),
                Pulled::InventoryWanted => {
                    self.journal.fault("inventory asked for");
                    return Ok(heard);
                }
                Pulled::Killed => {
                    self.die(device)?;
                    return Ok(heard);
                }
            }
        }
        Ok(Pulled::On)
    }

    /// Somebody at a desk, or the server itself, issues a command.
    async fn desk(&mut self) -> Checked<()> {
        let tenant = usize::from(!self.dice.chance(FIRST_TENANT));
        let eyes = laws::look(self, tenant).await?;
        let (role, who) = match self.dice.below(10) {
            0..5 => (Role::Office, Who::Office),
            5..9 => (Role::Logistics, Who::Logistics),
            _ => (Role::Unspecified, Who::Server),
        };
        let recipes: Vec<_> = RECIPES.iter().filter(|recipe| recipe.who == who).collect();
        let memory = Memory::default();
        let scene = self.scene(tenant, &eyes, &memory, None);
        let command = self.dice.weighted(&recipes, |recipe| recipe.weight).and_then(|recipe| (recipe.make)(&scene));
        if let Some(command) = command {
            let name = roundsman::commands::of(&command).name();
            // What the server issues itself names nothing of another tenant's.
            let body = if role == Role::Unspecified { encoded(command) } else { self.trespass(tenant, &command) };
            let letter = self.desk_letter(tenant, role, body);
            self.journal.event(|| format!("{who:?} of tenant {tenant} issues {name}"));
            self.wire.push(letter);
        }
        Ok(())
    }

    fn desk_letter(&self, tenant: usize, role: Role, body: Bytes) -> Letter {
        let issuer = match role {
            Role::Unspecified => Issuer::Server,
            Role::Rep | Role::Supervisor | Role::Driver | Role::Logistics | Role::Office | Role::Admin => {
                Issuer::User(self.worlds[tenant].desk(role))
            }
            Role::Integration => Issuer::User(self.worlds[tenant].desk(role)),
        };
        let now_us = self.server.now_us();
        let submitted = Submitted {
            id: self.dice.id(),
            seq: 0,
            captured_at_us: now_us,
            clock_correction_us: 0,
            business_day: i32::try_from(now_us.div_euclid(DAY_US)).unwrap_or(1),
            body,
        };
        Letter { tenant, from: Origin::Desk, content: Content::Desk(issuer, submitted) }
    }

    /// Faults end, what is still on its way arrives, and everybody comes to rest.
    async fn quiet(&mut self) -> Checked<()> {
        self.journal.event(|| "from now on everything works".to_owned());
        self.server.disarm();
        self.server.free_disk().await?;
        for device in &mut self.devices {
            device.restart((None, None))?;
        }
        self.dice.shuffle(&mut self.wire);
        while !self.wire.is_empty() {
            let letters = self.wire.split_off(self.wire.len().saturating_sub(6));
            self.serve(letters).await?;
        }
        self.replies.clear();
        // A device may learn only by its pull that the server has lost what it had answered, and sends it again.
        for _ in 0..QUIET_SYNCS {
            for device in 0..self.devices.len() {
                self.drain(device).await?;
            }
            for device in 0..self.devices.len() {
                self.catch_up(device).await?;
            }
            if self.devices.iter().all(|device| device.outbox().waiting() == 0) {
                return Ok(());
            }
        }
        broken(Law::AlwaysFinishes, format!("after {QUIET_SYNCS} times of push and pull somebody still has to push"))
    }

    /// Pushes until nothing waits.
    async fn drain(&mut self, device: usize) -> Checked<()> {
        let waits = self.devices[device].outbox().waiting();
        for _ in 0..QUIET_ROUNDS + waits / 64 {
            let now_us = self.server.now_us();
            let actor = &self.devices[device];
            let Some(request) = actor.request(now_us) else {
                return self.journal.check(Law::AlwaysFinishes, actor.outbox().waiting() == 0, || {
                    format!("{} has nothing to push, and {} commands wait", actor.name, actor.outbox().waiting())
                });
            };
            self.may_skip(device, &request)?;
            self.pushes += 1;
            let push = self.pushes;
            let content = Content::Push(self.devices[device].caller.clone(), request);
            self.devices[device].waits_for = Some(push);
            let tenant = self.tenant(device);
            let letter = Letter { tenant, from: Origin::Device(device, push), content };
            let submissions = vec![self.submission(&letter)];
            let answers = self.server.answer(tenant, submissions.clone(), &self.dice, self.journal).await?;
            let Some(answer) = answers.into_iter().next().flatten() else {
                return broken(Law::AlwaysFinishes, "the server fails, and nobody told it to");
            };
            for result in answer.results.iter().zip(&submissions[0].commands) {
                self.note(tenant, self.devices[device].caller.device.unwrap_or_default(), result.0, result.1)?;
            }
            let may_fork = self.server.has_lost();
            self.journal.check(Law::NoFork, may_fork || !answer.fork, || "a push of the quiet phase".to_owned())?;
            let response = self.server.response(answer);
            self.journal.digest(&response);
            self.replies = vec![Reply { device, push, response }];
            self.reply()?;
        }
        let actor = &self.devices[device];
        broken(Law::AlwaysFinishes, format!("{} still has {} commands", actor.name, actor.outbox().waiting()))
    }

    /// Pulls to the last checkpoint.
    async fn catch_up(&mut self, device: usize) -> Checked<()> {
        for _ in 0..QUIET_PULLS {
            let request = self.devices[device].pull(&self.server, false, false).await;
            self.journal.detail(|| format!("        {} -> {}", self.devices[device].name, asked(&request)));
            if self.take(device, PULL_MESSAGES).await? == Pulled::Done {
                let actor = &self.devices[device];
                let done = actor.replica().covers(self.server.tenant_of(&actor.caller).position.version);
                return self.journal.check(Law::AlwaysFinishes, done, || {
                    format!("{} is at {:?} after a whole pull", actor.name, actor.replica().position())
                });
            }
        }
        broken(Law::AlwaysFinishes, format!("{} does not come to a last checkpoint", self.devices[device].name))
    }
}

impl Origin {
    fn device(&self) -> Option<usize> {
        match self {
            Self::Device(device, _) => Some(*device),
            Self::Desk => None,
        }
    }
}

fn encoded(command: Command) -> Bytes {
    trade::Command { command: Some(command) }.encode_to_vec().into()
}

/// What the user has in mind after a command.
fn remember(memory: &mut Memory, command: &Command) {
    if let Command::CheckIn(command) = command {
        memory.visit = Uuid::from_slice(&command.visit_id).ok();
    } else if let Command::CheckOut(_) = command {
        memory.visit = None;
    } else if let Command::SubmitOrder(command) = command {
        memory.orders.extend(Uuid::from_slice(&command.order_id).ok());
        let outlet = Uuid::from_slice(&command.outlet_id).ok();
        memory.terms.extend(outlet.map(|outlet| (outlet, command.agreement_id.clone())));
    }
}

/// What somebody sees who sees everything.
pub struct Everything(pub BTreeMap<Kind, Vec<(Uuid, i64, Bytes)>>);

impl Eyes for Everything {
    fn records(&self, kind: Kind) -> Vec<(Uuid, i64, Bytes)> {
        self.0.get(&kind).cloned().unwrap_or_default()
    }
}
