//! A device of the simulation: the device half of the protocol on storages that die when they are told to.

use std::ops::RangeInclusive;

use bytes::Bytes;
use roundsman::auth::caller::Caller;
use roundsman::pull::PullError;
use roundsman::store::account;
use roundsman_proto::sync::pull_response::Message;
use roundsman_proto::sync::{self as proto, Outcome, PullRequest, PullResponse, PushRequest, PushResponse};
use roundsman_proto::trade::Kind;
use roundsman_sync::outbox::memory::MemoryStorage as OutboxMemory;
use roundsman_sync::outbox::{Outbox, OutboxError};
use roundsman_sync::page::unpack;
use roundsman_sync::replica::fault::{FaultError, Faulty};
use roundsman_sync::replica::memory::MemoryStorage as ReplicaMemory;
use roundsman_sync::replica::{At, Event, Replica, ReplicaError, Storage as _, Want};
use roundsman_sync::version::Position;
use uuid::Uuid;

use super::commands::Eyes;
use super::journal::{Checked, Journal, Law, broken};
use super::pull::{Heard, Stream};
use super::server::Server;

type ReplicaStorage = Faulty<ReplicaMemory>;
type OutboxStorage = Faulty<OutboxMemory>;

/// The app's version that a device reports.
const APP_VERSION: &str = "simulation";
/// Buckets are small here.
const REPAIR_ROWS: i64 = 4;

/// The kinds that an app understands which is older than the last of them.
pub const OLD_APP: RangeInclusive<u32> = 1..=20;

/// Whether a device still runs after something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Life {
    /// It does.
    Runs,
    /// It was killed.
    Killed,
}

/// What a pull has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pulled {
    /// It goes on.
    On,
    /// It is open, and nothing is new.
    Quiet,
    /// It ended in good order.
    Done,
    /// It ended before its time, or there is none: what the device holds may be what an older app of it asked for.
    Cut,
    /// It ended because the server asks what the device holds.
    InventoryWanted,
    /// The device was killed.
    Killed,
}

/// What the user remembers that the replica may not show yet.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// The visit that is in progress.
    pub visit: Option<Uuid>,
    /// Orders that were handed in.
    pub orders: Vec<Uuid>,
    /// Outlets for which they were, with the agreements.
    pub terms: Vec<(Uuid, Vec<u8>)>,
}

/// A pull that is under way.
struct Flow {
    stream: Stream,
    at_least: i64,
    follow: bool,
    today_only: bool,
}

/// A device.
pub struct Device {
    /// What it is called in a trace.
    pub name: String,
    /// What the server takes it for.
    pub caller: Caller,
    /// Kinds that its app understands; empty: all.
    pub kinds: Vec<u32>,
    /// How far its clock is ahead, in microseconds.
    pub clock_off_us: i64,
    /// What the user remembers.
    pub memory: Memory,
    /// The push whose answer it waits for.
    pub waits_for: Option<u64>,
    /// The highest version that an answer named.
    pub seen_version: i64,
    /// It went back to a backup once.
    pub restored: bool,
    /// And nothing has told it so since: its position is one of the server's, and so are all its numbers.
    pub unaware: bool,
    replica: Replica<ReplicaStorage>,
    outbox: Outbox<OutboxStorage>,
    flow: Option<Flow>,
    floor: i64,
    backup: Option<Backup>,
}

/// What a backup of a device holds.
struct Backup {
    replica: ReplicaMemory,
    outbox: OutboxMemory,
    memory: Memory,
}

impl Device {
    /// A fresh installation.
    ///
    /// # Errors
    /// When an empty storage can't be opened.
    pub fn new(name: String, user: &Caller, installation: Uuid, kinds: Vec<u32>) -> Checked<Self> {
        let caller = Caller { device: Some(account::device_id(installation, user.user)), ..user.clone() };
        let replica = open_replica(ReplicaMemory::default(), None)?;
        let outbox = open_outbox(OutboxMemory::default(), None)?;
        Ok(Self {
            name,
            caller,
            kinds,
            clock_off_us: 0,
            memory: Memory::default(),
            waits_for: None,
            seen_version: 0,
            restored: false,
            unaware: false,
            replica,
            outbox,
            flow: None,
            floor: 0,
            backup: None,
        })
    }

    /// The moment by its own clock, in microseconds since the Unix epoch.
    #[must_use]
    pub fn clock_us(&self, now_us: i64) -> i64 {
        now_us.saturating_add(self.clock_off_us)
    }

    /// What it holds.
    #[must_use]
    pub fn replica(&self) -> &Replica<ReplicaStorage> {
        &self.replica
    }

    /// What it has captured.
    #[must_use]
    pub fn outbox(&self) -> &Outbox<OutboxStorage> {
        &self.outbox
    }

    /// Whether a pull is under way.
    #[must_use]
    pub fn pulls(&self) -> bool {
        self.flow.is_some()
    }

    /// Begins again with what was stored. The storages die after so many writes; `None`: never.
    ///
    /// # Errors
    /// When they can't be opened.
    pub fn restart(&mut self, fuses: (Option<u64>, Option<u64>)) -> Checked<()> {
        self.hang_up();
        let empty = open_replica(ReplicaMemory::default(), None)?;
        let mut replica = std::mem::replace(&mut self.replica, empty).into_storage().into_inner();
        replica.rollback().or_else(|error| broken(Law::NoDamage, error.to_string()))?;
        if let Some(record) = replica.miscounted() {
            return broken(Law::NoDamage, format!("{}: record {record} counts other buckets than hold it", self.name));
        }
        self.replica = open_replica(replica, fuses.0)?;
        let empty = open_outbox(OutboxMemory::default(), None)?;
        let outbox = std::mem::replace(&mut self.outbox, empty).into_storage().into_inner();
        self.outbox = open_outbox(outbox, fuses.1)?;
        self.waits_for = None;
        Ok(())
    }

    /// Its app is replaced by another version, which understands more kinds or fewer.
    ///
    /// # Errors
    /// When what it holds can't be opened again.
    pub fn update(&mut self) -> Checked<()> {
        self.kinds = if self.kinds.is_empty() { OLD_APP.collect() } else { Vec::new() };
        self.restart((None, None))
    }

    /// Is thrown away with all that it holds, and installed anew.
    ///
    /// # Errors
    /// When an empty storage can't be opened.
    pub fn reinstall(&mut self, installation: Uuid) -> Checked<()> {
        *self = Self::new(self.name.clone(), &self.caller.clone(), installation, self.kinds.clone())?;
        Ok(())
    }

    /// Copies what it holds, as a backup of the phone does.
    ///
    /// # Errors
    /// When it can't be opened again.
    pub fn back_up(&mut self) -> Checked<()> {
        self.restart((None, None))?;
        let empty = open_replica(ReplicaMemory::default(), None)?;
        let replica = std::mem::replace(&mut self.replica, empty).into_storage().into_inner();
        let empty = open_outbox(OutboxMemory::default(), None)?;
        let outbox = std::mem::replace(&mut self.outbox, empty).into_storage().into_inner();
        self.backup = Some(Backup { replica: replica.clone(), outbox: outbox.clone(), memory: self.memory.clone() });
        self.replica = open_replica(replica, None)?;
        self.outbox = open_outbox(outbox, None)?;
        Ok(())
    }

    /// Goes back to its backup, if it has one.
    ///
    /// # Errors
    /// When it can't be opened.
    pub fn restore(&mut self) -> Checked<bool> {
        let Some(backup) = self.backup.take() else {
            return Ok(false);
        };
        self.hang_up();
        self.replica = open_replica(backup.replica, None)?;
        self.outbox = open_outbox(backup.outbox, None)?;
        self.memory = backup.memory;
        self.waits_for = None;
        self.floor = 0;
        (self.restored, self.unaware) = (true, true);
        Ok(true)
    }

    /// Puts a command into the outbox.
    ///
    /// # Errors
    /// When the outbox refuses it.
    pub fn capture(&mut self, id: Uuid, body: Bytes, at_us: i64, day: i32) -> Checked<Life> {
        survived(self.outbox.capture(id, body, at_us, day)).map(|(_, life)| life)
    }

    /// The next push.
    #[must_use]
    pub fn request(&self, now_us: i64) -> Option<PushRequest> {
        self.outbox.request(APP_VERSION, self.clock_us(now_us), self.replica.position())
    }

    /// Takes the answer to the last push.
    ///
    /// # Errors
    /// When the outbox can't take it.
    pub fn answered(&mut self, response: PushResponse, now_us: i64) -> Checked<(Vec<(Uuid, Outcome)>, Life)> {
        self.waits_for = None;
        let version = response.version;
        let told = response.expected_seq > 0;
        if response.fork {
            self.forked();
        }
        let clock_us = self.clock_us(now_us);
        let (outcomes, life) = survived(self.outbox.receive(response, clock_us))?;
        if life == Life::Runs {
            self.seen_version = self.seen_version.max(version);
            self.unaware &= !told;
        }
        Ok((outcomes.unwrap_or_default(), life))
    }

    /// The server has lost a part of the history. The device does not know; but where it was it need not come again.
    pub fn history_lost(&mut self) {
        (self.floor, self.waits_for) = (0, None);
    }

    /// What it was promised belonged to another history.
    pub fn forked(&mut self) {
        (self.seen_version, self.floor) = (0, 0);
        if let Some(flow) = &mut self.flow {
            flow.at_least = 0;
        }
    }

    /// Begins a pull; returns what it asks for.
    pub async fn pull(&mut self, server: &Server, follow: bool, today_only: bool) -> PullRequest {
        self.hang_up();
        let want = Want {
            kinds: self.kinds.clone(),
            follow,
            today_only,
            at_least: self.seen_version,
            app_version: APP_VERSION.to_owned(),
            device_clock_us: self.clock_us(server.now_us()),
            last_outcome_seq: self.outbox.last_outcome_seq(),
            outbox: Some(self.outbox.summary()),
        };
        let request = self.replica.request(&want).expect("reads");
        let stream = server.pull(&self.caller, request.clone()).await;
        self.flow = Some(Flow { stream, at_least: want.at_least, follow, today_only });
        request
    }

    /// Takes the next message of the pull that is under way.
    ///
    /// # Errors
    /// When a law is broken.
    pub async fn hear(&mut self, server: &Server, journal: &mut Journal) -> Checked<Pulled> {
        let Some(flow) = &mut self.flow else {
            return Ok(Pulled::Cut);
        };
        let message = match flow.stream.next().await {
            Heard::Nothing => return Ok(Pulled::Quiet),
            Heard::End(Ok(())) => {
                let expected = flow.today_only;
                self.hang_up();
                return if expected {
                    Ok(Pulled::Done)
                } else {
                    broken(Law::AlwaysFinishes, format!("{}: a pull ended before its last checkpoint", self.name))
                };
            }
            // A server that has restarted has closed the streams; where the horizon has passed a pull it begins anew.
            Heard::End(Err(PullError::Stopping(_) | PullError::Ended(_))) => {
                self.hang_up();
                return Ok(Pulled::Cut);
            }
            Heard::End(Err(error)) => match flow.stream.blown() {
                Some(point) => {
                    journal.fault(point);
                    self.hang_up();
                    return Ok(Pulled::Cut);
                }
                None => return broken(Law::NoFault, format!("{}: a pull failed: {error}", self.name)),
            },
            Heard::Message(message) => message,
        };
        journal.digest(message.as_ref());
        brings_nothing_foreign(&self.caller, &message, server, journal)?;
        journal.detail(|| format!("        {} <- {}", self.name, describe(&message)));
        let event = match self.replica.receive(*message) {
            Ok(event) => event,
            Err(ReplicaError::Storage(FaultError::Killed)) => return Ok(Pulled::Killed),
            Err(error) => {
                return broken(Law::NoDamage, format!("{}: a message of the pull can't be taken: {error}", self.name));
            }
        };
        self.take(event, server, journal)
    }

    fn take(&mut self, event: Event, server: &Server, journal: &mut Journal) -> Checked<Pulled> {
        match event {
            Event::Fork { expected_seq } => {
                journal.check(Law::NoFork, server.has_lost(), || {
                    format!("{}: a pull tells of one, and expects {expected_seq}", self.name)
                })?;
                self.forked();
                let (_, life) = survived(self.outbox.fork(expected_seq))?;
                self.unaware &= life == Life::Killed;
                Ok(if life == Life::Killed { Pulled::Killed } else { Pulled::On })
            }
            Event::InventoryWanted => {
                self.hang_up();
                Ok(Pulled::InventoryWanted)
            }
            Event::Checkpoint { last, position, damaged, .. } => {
                journal.check(Law::NoDamage, damaged.is_empty(), || {
                    format!("{}: at version {} these buckets are wrong: {damaged:?}", self.name, position.version)
                })?;
                self.reached(server, journal)?;
                let done = last && self.flow.as_ref().is_some_and(|flow| !flow.follow);
                if last {
                    self.complete(position, server, journal)?;
                }
                if done {
                    self.hang_up();
                    return Ok(Pulled::Done);
                }
                Ok(Pulled::On)
            }
            Event::Alive { .. } => {
                self.reached(server, journal)?;
                Ok(Pulled::On)
            }
            Event::Planned { .. } | Event::Staged { .. } => Ok(Pulled::On),
        }
    }

    /// The laws of a position.
    fn reached(&mut self, server: &Server, journal: &mut Journal) -> Checked<()> {
        let Some(position) = self.replica.position() else {
            return Ok(());
        };
        journal.check(Law::Monotonic, position.version >= self.floor, || {
            format!("{} was at version {} and is at {}", self.name, self.floor, position.version)
        })?;
        self.floor = position.version;
        for bucket in self.replica.buckets() {
            let at = match bucket.at {
                At::Head => position,
                At::Behind(position) => position,
                At::Nothing | At::Damaged => continue,
            };
            let name = (bucket.scope.to_string(), bucket.kind);
            let Some(sums) = server.tenant_of(&self.caller).sums(at) else {
                return broken(Law::AtomicCut, format!("{}: no batch has made version {}", self.name, at.version));
            };
            let held = (bucket.rows, bucket.checksum.0);
            journal.check(Law::AtomicCut, sums.get(&name) == Some(&held), || {
                let there = sums.get(&name);
                format!("{}: {name:?} at version {} is {held:?} and was {there:?}", self.name, at.version)
            })?;
        }
        Ok(())
    }

    /// The laws of a completed pull.
    fn complete(&mut self, position: Position, server: &Server, journal: &mut Journal) -> Checked<()> {
        let at_least = self.flow.as_ref().map_or(0, |flow| flow.at_least);
        journal.check(Law::ReadYourWrites, self.replica.covers(at_least), || {
            format!("{}: the pull had to cover version {at_least} and is at {position:?}", self.name)
        })?;
        let known = server.tenant_of(&self.caller).position.version >= position.version;
        journal.check(Law::Monotonic, known, || format!("{}: {position:?} is in the future", self.name))
    }

    /// Ends the pull that is under way, if one is.
    pub fn hang_up(&mut self) {
        self.flow = None;
        self.replica.cut();
    }
}

impl Eyes for Device {
    fn records(&self, kind: Kind) -> Vec<(Uuid, i64, Bytes)> {
        let kind = u32::try_from(kind as i32).unwrap_or(0);
        let records = self.replica.records(kind).unwrap_or_default();
        records.into_iter().map(|(id, document)| (id, document.version, document.bytes)).collect()
    }
}

/// Neither the scopes nor the records of a pull are those of another tenant.
fn brings_nothing_foreign(
    caller: &Caller,
    response: &PullResponse,
    server: &Server,
    journal: &mut Journal,
) -> Checked<()> {
    let ids: Vec<Uuid> = match &response.message {
        Some(Message::Plan(plan)) => {
            let named = plan.buckets.iter().filter_map(|entry| entry.scope.split([':', '/']).nth(1));
            named.filter_map(|id| Uuid::parse_str(id).ok()).collect()
        }
        // What can't be unpacked the replica refuses.
        Some(Message::Page(page)) => unpack(page).unwrap_or_default().into_iter().map(|row| row.record).collect(),
        _ => return Ok(()),
    };
    let tenant = server.place_of(caller.tenant);
    let foreign = ids.into_iter().find(|id| server.is_foreign(tenant, *id));
    journal.check(Law::Tenants, foreign.is_none(), || format!("a pull of tenant {tenant} brings {foreign:?}"))
}

/// Where a device says that it is, in one line.
pub fn asked(request: &PullRequest) -> String {
    let at = |position: Option<proto::Position>| {
        position.map_or_else(|| "nothing".to_owned(), |position| position.version.to_string())
    };
    let lagging = request.lagging.iter().map(|bucket| format!("{} at {}", bucket.bucket_id, at(bucket.position)));
    let staging = request.staging.iter().map(|staged| {
        let cursor = staged.cursor.clone().unwrap_or_default();
        format!("{} through {} built {}", staged.bucket_id, cursor.version, at(staged.newest_build))
    });
    let inventory = request.inventory.iter().map(|held| {
        let at = held.position.map_or(String::new(), |position| format!(" at {}", position.version));
        format!("{} {}/{}{at}", held.bucket_id, held.scope, held.kind)
    });
    format!(
        "at {}, lagging [{}], staged [{}], inventory {} [{}]",
        at(request.position),
        lagging.collect::<Vec<_>>().join(", "),
        staging.collect::<Vec<_>>().join(", "),
        request.has_inventory,
        inventory.collect::<Vec<_>>().join(", ")
    )
}

/// A message in one line.
fn describe(response: &PullResponse) -> String {
    match &response.message {
        Some(Message::Plan(plan)) => {
            let entries = plan.buckets.iter().map(|entry| {
                let action = entry.action().as_str_name().trim_start_matches("BUCKET_ACTION_").to_lowercase();
                let resumed = if entry.resumed { " resumed" } else { "" };
                let name =
                    if entry.scope.is_empty() { String::new() } else { format!(" {}/{}", entry.scope, entry.kind) };
                format!("{} {action}{resumed}{name}", entry.bucket_id)
            });
            format!("plan at {}: {}", plan.version, entries.collect::<Vec<_>>().join(", "))
        }
        Some(Message::Page(page)) => {
            let cursor = |cursor: &Option<proto::Cursor>| {
                let cursor = cursor.clone().unwrap_or_default();
                let record = Uuid::from_slice(&cursor.record_id).map(|id| format!("/{id}")).unwrap_or_default();
                format!("{}{record}", cursor.version)
            };
            let build = page.build.unwrap_or_default().version;
            let (from, through) = (cursor(&page.from), cursor(&page.through));
            format!("page of {}: {} rows from {from} through {through}, built at {build}", page.bucket_id, page.rows)
        }
        Some(Message::Checkpoint(checkpoint)) => {
            let buckets = checkpoint.buckets.iter().map(|state| format!("{} has {}", state.bucket_id, state.rows));
            let version = checkpoint.position.unwrap_or_default().version;
            let last = if checkpoint.last { "last " } else { "" };
            let buckets = buckets.collect::<Vec<_>>().join(", ");
            format!("{last}checkpoint of group {} at {version}: {buckets}", checkpoint.group)
        }
        other => format!("{other:?}"),
    }
}

fn survived<T, E: std::error::Error>(result: Result<T, OutboxError<FaultError<E>>>) -> Checked<(Option<T>, Life)> {
    match result {
        Ok(value) => Ok((Some(value), Life::Runs)),
        Err(OutboxError::Storage(FaultError::Killed)) => Ok((None, Life::Killed)),
        Err(error) => broken(Law::NoDamage, format!("the outbox refuses: {error}")),
    }
}

fn open_replica(storage: ReplicaMemory, fuse: Option<u64>) -> Checked<Replica<ReplicaStorage>> {
    let replica =
        Replica::open(Faulty::new(storage, fuse)).or_else(|error| broken(Law::NoDamage, error.to_string()))?;
    Ok(replica.with_repair_rows(REPAIR_ROWS))
}

fn open_outbox(storage: OutboxMemory, fuse: Option<u64>) -> Checked<Outbox<OutboxStorage>> {
    Outbox::open(Faulty::new(storage, fuse)).or_else(|error| broken(Law::NoDamage, error.to_string()))
}
