//! The outbox's laws, against a small server: answers and requests are lost and repeated, the phone dies at any write, the
//! server is restored from its backup, the phone from its own. Every command takes effect once, and none is lost.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use proptest::prelude::*;
use roundsman_proto::sync::{CommandResult, Outcome, PushRequest, PushResponse, Status};
use roundsman_sync::limits::{KEEP_ACKNOWLEDGED_US, PUSH_COMMANDS};
use roundsman_sync::outbox::memory::MemoryStorage;
use roundsman_sync::outbox::{Outbox, OutboxStorage};
use roundsman_sync::replica::fault::Faulty;
use roundsman_sync::version::Position;
use uuid::Uuid;

#[derive(Clone, Debug)]
enum Step {
    Capture,
    Push {
        lost: bool,
        twice: bool,
        kill: Option<u64>,
    },
    /// A pull: it tells of a fork, and gives the device a position that the server knows.
    Pull {
        kill: Option<u64>,
    },
    BackUpServer,
    /// It goes back to its last backup, or to the one before, so that something is lost that was said to be durable.
    RestoreServer {
        older: bool,
    },
    BackUpPhone,
    RestorePhone,
    Pass {
        days: i64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let kill = || prop::option::weighted(0.2, 1..12_u64);
    prop_oneof![
        8 => Just(Step::Capture),
        8 => (prop::bool::weighted(0.3), prop::bool::weighted(0.2), kill())
            .prop_map(|(lost, twice, kill)| Step::Push { lost, twice, kill }),
        2 => kill().prop_map(|kill| Step::Pull { kill }),
        2 => Just(Step::BackUpServer),
        1 => prop::bool::weighted(0.4).prop_map(|older| Step::RestoreServer { older }),
        1 => Just(Step::BackUpPhone),
        1 => Just(Step::RestorePhone),
        2 => (1..9_i64).prop_map(|days| Step::Pass { days }),
    ]
}

#[derive(Clone, Debug, Default)]
struct Store {
    version: i64,
    last_seq: i64,
    /// Commands by id, with the number that they were decided under and their bodies. A restore forgets, nothing else does.
    known: BTreeMap<Uuid, (i64, Bytes)>,
    /// How often each took effect.
    effects: BTreeMap<Uuid, u32>,
    skipped: i64,
    positions: BTreeSet<Position>,
}

#[derive(Debug, Default)]
struct Server {
    store: Store,
    backup: Option<Store>,
    older: Option<Store>,
    history: u64,
}

impl Server {
    fn position(&self) -> Position {
        Position { version: self.store.version, nonce: self.history }
    }

    fn is_fork(&self, position: Option<Position>, last_outcome_seq: i64) -> bool {
        let unknown = position.is_some_and(|position| !self.store.positions.contains(&position));
        unknown || last_outcome_seq > self.store.last_seq
    }

    fn push(&mut self, request: &PushRequest) -> PushResponse {
        assert!(request.commands.len() <= PUSH_COMMANDS);
        assert!(request.commands.windows(2).all(|pair| pair[1].seq == pair[0].seq + 1), "numbers are consecutive");
        assert!(request.confirmed_seq <= request.last_outcome_seq);
        let store = &mut self.store;
        let durable_version = self.backup.as_ref().map_or(0, |backup| backup.version);
        let mut response = PushResponse { durable_version, ..PushResponse::default() };
        let position = request.position.map(Position::from);
        if position.is_some_and(|position| !store.positions.contains(&position))
            || request.last_outcome_seq > store.last_seq
        {
            (response.fork, response.expected_seq) = (true, store.last_seq + 1);
        }
        if let Some(skip) = request.skip.filter(|skip| skip.from_seq == store.last_seq + 1) {
            assert!(skip.to_seq >= skip.from_seq);
            store.skipped += skip.to_seq - skip.from_seq + 1;
            store.last_seq = skip.to_seq;
        }
        // What is only repeated or rejected makes no version.
        if request.commands.iter().any(|command| !is_rejected(&command.body)) {
            store.version += 1;
            store.positions.insert(Position { version: store.version, nonce: self.history });
        }
        for command in &request.commands {
            let id = Uuid::from_slice(&command.command_id).expect("an id");
            let known = store.known.get(&id);
            let next = command.seq == store.last_seq + 1;
            let repeat = command.seq <= store.last_seq && known.is_some_and(|(seq, _)| *seq <= command.seq);
            if !next && !repeat {
                response.expected_seq = store.last_seq + 1;
                break;
            }
            let status = if known.is_some() && next { Status::Duplicate } else { Status::Applied };
            match known {
                Some((_, body)) => assert_eq!(body, &command.body, "a command's body never changes"),
                None => {
                    *store.effects.entry(id).or_default() += 1;
                    store.known.insert(id, (command.seq, command.body.clone()));
                }
            }
            store.last_seq = store.last_seq.max(command.seq);
            response.results.push(CommandResult {
                command_id: command.command_id.clone(),
                seq: command.seq,
                outcome: Some(Outcome { status: status.into(), ..Outcome::default() }),
            });
        }
        response.version = store.version;
        response
    }

    fn back_up(&mut self) {
        self.older = self.backup.replace(self.store.clone());
    }

    fn restore(&mut self, older: bool) {
        if older && self.older.is_some() {
            // What is newer belongs to another history from now on.
            self.backup = self.older.clone();
        }
        if let Some(backup) = &self.backup {
            self.store = backup.clone();
            self.history += 1;
        }
    }
}

/// Every third command is one that the server rejects, and keeps.
fn is_rejected(body: &Bytes) -> bool {
    std::str::from_utf8(body).is_ok_and(|number| number.parse().is_ok_and(|number: u32| number.is_multiple_of(3)))
}

/// Where a phone keeps its outbox, and what a restart finds there.
trait Disk {
    type Storage: OutboxStorage;
    fn open(&mut self, killed: Option<Self::Storage>) -> Self::Storage;
    fn copy(&mut self, storage: &Self::Storage);
    fn restore(&mut self) -> Option<Self::Storage>;
}

#[derive(Default)]
struct Memory {
    copy: Option<MemoryStorage>,
}

impl Disk for Memory {
    type Storage = MemoryStorage;

    fn open(&mut self, killed: Option<MemoryStorage>) -> MemoryStorage {
        killed.unwrap_or_default()
    }

    fn copy(&mut self, storage: &MemoryStorage) {
        self.copy = Some(storage.clone());
    }

    fn restore(&mut self) -> Option<MemoryStorage> {
        self.copy.clone()
    }
}

#[cfg(feature = "sqlite")]
mod file {
    use std::path::PathBuf;

    use roundsman_sync::outbox::sqlite::SqliteStorage;
    use tempfile::TempDir;

    use super::Disk;

    /// A file; a kill leaves what is on the disk at that moment, without the end of the process tidying up.
    pub struct File {
        pub folder: TempDir,
        pub number: u32,
        pub copied: bool,
    }

    impl File {
        fn path(&self, name: &str, ending: &str) -> PathBuf {
            self.folder.path().join(format!("{name}.{ending}"))
        }

        fn duplicate(&self, from: &str, to: &str) {
            for ending in ["db", "db-wal"] {
                std::fs::copy(self.path(from, ending), self.path(to, ending)).expect("copies");
            }
        }

        fn next(&mut self, from: &str) -> SqliteStorage {
            self.number += 1;
            let name = self.number.to_string();
            self.duplicate(from, &name);
            SqliteStorage::open(&self.path(&name, "db")).expect("opens")
        }
    }

    impl Disk for File {
        type Storage = SqliteStorage;

        fn open(&mut self, killed: Option<SqliteStorage>) -> SqliteStorage {
            let name = self.number.to_string();
            match killed {
                None => SqliteStorage::open(&self.path(&name, "db")).expect("opens"),
                Some(_still_open) => self.next(&name),
            }
        }

        fn copy(&mut self, _: &SqliteStorage) {
            self.duplicate(&self.number.to_string(), "copy");
            self.copied = true;
        }

        fn restore(&mut self) -> Option<SqliteStorage> {
            self.copied.then(|| self.next("copy"))
        }
    }
}

struct Phone<'d, D: Disk> {
    disk: &'d mut D,
    outbox: Option<Outbox<Faulty<D::Storage>>>,
    position: Option<Position>,
    /// The replica's position in the phone's backup.
    copied: Option<Position>,
    now_us: i64,
    captured: u128,
    /// Commands that a restore of the phone took away.
    forgotten: BTreeSet<Uuid>,
    restored: bool,
    /// The phone was restored, and nothing has told it so: its position is one of the server's, and so are all its numbers.
    /// What it holds for decided it does not ask for again.
    unaware: bool,
    /// What the phone took away nobody may have any more: the server went back behind what it had said to be durable, or
    /// was restored after the phone, which had an answer of an earlier history that was old enough.
    may_lack: bool,
}

impl<D: Disk> Phone<'_, D> {
    fn outbox(&mut self) -> &mut Outbox<Faulty<D::Storage>> {
        self.outbox.as_mut().expect("is open")
    }

    fn take_storage(&mut self) -> D::Storage {
        self.outbox.take().expect("is open").into_storage().into_inner()
    }

    fn put_storage(&mut self, storage: D::Storage, kill: Option<u64>) {
        self.outbox = Some(Outbox::open(Faulty::new(storage, kill)).expect("opens"));
    }

    /// Does something that may be killed; the process starts again then. Returns whether it was done.
    fn risk<T, E>(
        &mut self,
        kill: Option<u64>,
        act: impl FnOnce(&mut Outbox<Faulty<D::Storage>>) -> Result<T, E>,
    ) -> bool {
        let storage = self.take_storage();
        self.put_storage(storage, kill);
        let killed = act(self.outbox()).is_err();
        assert!(!killed || kill.is_some(), "only a kill makes it fail");
        let storage = self.take_storage();
        let storage = if killed { self.disk.open(Some(storage)) } else { storage };
        self.put_storage(storage, None);
        !killed
    }

    fn capture(&mut self) {
        self.captured += 1;
        let (number, now_us) = (self.captured, self.now_us);
        let body = Bytes::from(number.to_string());
        self.outbox().capture(Uuid::from_u128(number), body, now_us, 0).expect("is captured");
    }

    /// Whether there was anything to push.
    fn push(&mut self, server: &mut Server, lost: bool, twice: bool, kill: Option<u64>) -> bool {
        let (position, now_us) = (self.position, self.now_us);
        let Some(request) = self.outbox().request("", now_us, position) else { return false };
        let mut response = server.push(&request);
        if twice {
            response = server.push(&request);
        }
        if !lost {
            let first = request.commands.first().map_or(i64::MAX, |command| command.seq);
            let expected = response.expected_seq;
            let told = expected > 0 && (expected <= request.last_outcome_seq || first < expected);
            if self.risk(kill, |outbox| outbox.receive(response, now_us)) {
                self.unaware &= !told;
            }
        }
        true
    }

    fn pull(&mut self, server: &Server, kill: Option<u64>) {
        let last = self.outbox().last_outcome_seq();
        if server.is_fork(self.position, last) {
            let taken = self.risk(kill, |outbox| outbox.fork(server.store.last_seq + 1));
            self.unaware &= !taken;
        }
        self.position = Some(server.position()).filter(|position| server.store.positions.contains(position));
    }

    fn restore(&mut self) {
        let Some(storage) = self.disk.restore() else { return };
        self.position = self.copied;
        let had: BTreeSet<Uuid> = self.outbox().pending().map(|(id, _, _)| id).collect();
        self.put_storage(storage, None);
        let has: BTreeSet<Uuid> = self.outbox().pending().map(|(id, _, _)| id).collect();
        self.forgotten.extend(had.difference(&has));
        (self.restored, self.unaware) = (true, true);
    }
}

fn play<D: Disk>(disk: &mut D, steps: &[Step]) {
    let mut server = Server::default();
    server.store.version = 1;
    let outbox = Some(Outbox::open(Faulty::new(disk.open(None), None)).expect("opens"));
    let forgotten = BTreeSet::new();
    let mut phone = Phone {
        disk,
        outbox,
        position: None,
        copied: None,
        now_us: 0,
        captured: 0,
        forgotten,
        restored: false,
        unaware: false,
        may_lack: false,
    };
    for step in steps {
        match step {
            Step::Capture => phone.capture(),
            Step::Push { lost, twice, kill } => drop(phone.push(&mut server, *lost, *twice, *kill)),
            Step::Pull { kill } => phone.pull(&server, *kill),
            Step::BackUpServer => server.back_up(),
            Step::RestoreServer { older } => {
                server.restore(*older);
                phone.may_lack |= phone.restored || *older;
            }
            Step::BackUpPhone => {
                let storage = phone.take_storage();
                phone.disk.copy(&storage);
                phone.copied = phone.position;
                phone.put_storage(storage, None);
            }
            Step::RestorePhone => phone.restore(),
            Step::Pass { days } => phone.now_us += days * KEEP_ACKNOWLEDGED_US / 7,
        }
        let ids: Vec<Uuid> = phone.outbox().pending().map(|(id, _, _)| id).collect();
        let mut in_order = ids.clone();
        in_order.sort_unstable();
        assert_eq!(ids, in_order, "the order of capture stays");
    }
    phone.pull(&server, None);
    let mut pushes = 0;
    while phone.push(&mut server, false, false, None) {
        pushes += 1;
        assert!(pushes < 8, "an outbox drains in a bounded number of steps");
    }
    check(&mut phone, &server);
}

fn check<D: Disk>(phone: &mut Phone<'_, D>, server: &Server) {
    let store = &server.store;
    assert_eq!((phone.outbox().waiting(), phone.outbox().summary().commands), (0, 0));
    assert!(store.effects.values().all(|effects| *effects == 1), "no command takes effect twice");
    let pending: Vec<(Uuid, Option<i64>)> = phone.outbox().pending().map(|(id, _, version)| (id, version)).collect();
    for number in 1..=phone.captured {
        let id = Uuid::from_u128(number);
        let taken_away = phone.may_lack && pending.iter().all(|(kept, _)| *kept != id);
        let excused = taken_away || phone.unaware || phone.forgotten.contains(&id);
        assert!(excused || store.effects.contains_key(&id), "command {number} is lost");
    }
    assert!(pending.iter().all(|(id, version)| version.is_some() && (phone.unaware || store.known.contains_key(id))));
    assert_eq!(phone.outbox().outcomes().count(), pending.len());
    if !phone.restored {
        let lasts = (phone.outbox().last_outcome_seq(), store.last_seq);
        assert!(lasts.0 <= lasts.1, "{lasts:?}");
    }
}

/// The phone's backup has a command under a number that another one used up; the server decided it under a later one, which
/// its own backup lacks.
fn both_are_restored() -> Vec<Step> {
    let push = || Step::Push { lost: false, twice: false, kill: None };
    vec![
        Step::BackUpPhone,
        Step::Capture,
        push(),
        Step::RestorePhone,
        Step::Capture,
        Step::BackUpPhone,
        Step::BackUpServer,
        // Its number is taken, so it gets the next one.
        push(),
        push(),
        Step::RestorePhone,
        push(),
        push(),
        Step::RestoreServer { older: false },
    ]
}

/// What the server had said to be durable is lost, and the phone takes it away; then it goes back to a backup that has it.
fn what_is_skipped_comes_back() -> Vec<Step> {
    let push = || Step::Push { lost: false, twice: false, kill: None };
    vec![
        Step::BackUpServer,
        Step::Capture,
        push(),
        Step::Pull { kill: None },
        Step::BackUpPhone,
        Step::BackUpServer,
        Step::Pass { days: 8 },
        push(),
        Step::RestoreServer { older: true },
        Step::BackUpServer,
        Step::Pull { kill: None },
        push(),
        Step::RestorePhone,
    ]
}

#[test]
fn what_was_decided_under_a_later_number_is_not_lost_with_it() {
    play(&mut Memory::default(), &both_are_restored());
}

/// The third command is rejected after the backup, at the version that the backup has.
fn rejected_after_the_backup() -> Vec<Step> {
    let push = || Step::Push { lost: false, twice: false, kill: None };
    vec![
        Step::Capture,
        Step::Capture,
        push(),
        Step::BackUpServer,
        Step::Capture,
        push(),
        Step::Pass { days: 8 },
        push(),
        Step::RestoreServer { older: false },
    ]
}

#[test]
fn what_was_rejected_after_the_backup_is_not_lost_with_it() {
    play(&mut Memory::default(), &rejected_after_the_backup());
}

#[test]
fn what_the_server_was_told_to_skip_comes_back_with_the_phones_backup() {
    play(&mut Memory::default(), &what_is_skipped_comes_back());
}

#[cfg(feature = "sqlite")]
#[test]
fn nor_is_it_from_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    play(&mut file::File { folder, number: 0, copied: false }, &both_are_restored());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn every_command_takes_effect_once(steps in prop::collection::vec(step(), 1..50)) {
        play(&mut Memory::default(), &steps);
    }
}

#[cfg(feature = "sqlite")]
proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn so_it_does_from_a_file(steps in prop::collection::vec(step(), 1..50)) {
        let folder = tempfile::tempdir().expect("a folder");
        play(&mut file::File { folder, number: 0, copied: false }, &steps);
    }
}
