//! The replica's laws, against a small server and random histories: cuts at any message, kills at any write, overlapping
//! scopes, moves between buckets, lost histories. After a completed pull the device holds exactly what the server says.

mod replica_model;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use replica_model::{Op, RECORDS, SCOPES, Script, Server, record};
use roundsman_proto::sync::PullResponse;
use roundsman_proto::sync::pull_response::Message;
use roundsman_sync::checksum::Checksum;
use roundsman_sync::replica::fault::Faulty;
use roundsman_sync::replica::memory::MemoryStorage;
use roundsman_sync::replica::{At, Change, Content, Document, Event, Replica, Storage, Want};
use uuid::Uuid;

/// One step of a history.
#[derive(Clone, Debug)]
enum Step {
    Write(Op),
    Purge {
        keep: i64,
    },
    BackUp,
    Restore {
        renumber: bool,
    },
    /// A document changes by itself, and the device looks for such.
    Rot {
        record: u8,
    },
    Pull {
        script: Script,
        today: bool,
        cut: Option<usize>,
        kill: Option<u64>,
    },
}

fn op() -> impl Strategy<Value = Op> {
    let put = (0..RECORDS, 0..1_u8 << SCOPES, any::<u8>());
    prop_oneof![
        8 => put.prop_map(|(record, scopes, salt)| Op::Put { record, scopes, salt }),
        1 => (0..1_u8 << SCOPES).prop_map(|scopes| Op::Grant { scopes }),
    ]
}

fn script() -> impl Strategy<Value = Script> {
    let ops = || prop::collection::vec(op(), 0..5);
    (ops(), ops(), 1..5_usize, any::<bool>(), any::<bool>())
        .prop_map(|(during, after, page_rows, single, shared)| Script { during, after, page_rows, single, shared })
}

fn step() -> impl Strategy<Value = Step> {
    let cut = prop::option::weighted(0.5, 0..25_usize);
    let kill = prop::option::weighted(0.3, 1..60_u64);
    prop_oneof![
        12 => op().prop_map(Step::Write),
        1 => (0..6_i64).prop_map(|keep| Step::Purge { keep }),
        1 => Just(Step::BackUp),
        1 => any::<bool>().prop_map(|renumber| Step::Restore { renumber }),
        1 => (0..RECORDS).prop_map(|record| Step::Rot { record }),
        6 => (script(), prop::bool::weighted(0.2), cut, kill)
            .prop_map(|(script, today, cut, kill)| Step::Pull { script, today, cut, kill }),
    ]
}

/// Where a device keeps its replica, and what a restart finds there.
trait Disk {
    type Storage: Storage;
    fn first(&mut self) -> Self::Storage;
    fn after_kill(&mut self, killed: Self::Storage) -> Self::Storage;
}

struct Memory;

impl Disk for Memory {
    type Storage = MemoryStorage;

    fn first(&mut self) -> MemoryStorage {
        MemoryStorage::default()
    }

    fn after_kill(&mut self, killed: MemoryStorage) -> MemoryStorage {
        killed
    }
}

#[cfg(feature = "sqlite")]
mod file {
    use roundsman_sync::replica::sqlite::SqliteStorage;
    use tempfile::TempDir;

    use super::Disk;

    /// A file; a kill leaves what is on the disk at that moment, without the end of the process tidying up.
    pub struct File {
        pub folder: TempDir,
        pub kills: u32,
    }

    impl File {
        fn open(&self) -> SqliteStorage {
            SqliteStorage::open(&self.folder.path().join(format!("{}.db", self.kills))).expect("opens")
        }
    }

    impl Disk for File {
        type Storage = SqliteStorage;

        fn first(&mut self) -> SqliteStorage {
            self.open()
        }

        fn after_kill(&mut self, killed: SqliteStorage) -> SqliteStorage {
            for ending in ["db", "db-wal"] {
                let name = |number: u32| self.folder.path().join(format!("{number}.{ending}"));
                std::fs::copy(name(self.kills), name(self.kills + 1)).expect("copies");
            }
            drop(killed);
            self.kills += 1;
            self.open()
        }
    }
}

/// Buckets are small here: the sums of partitions are sent of every second size.
const REPAIR_ROWS: i64 = 2;

fn opened<S: Storage>(storage: S) -> Replica<S> {
    Replica::open(storage).expect("opens").with_repair_rows(REPAIR_ROWS)
}

struct Device<'d, D: Disk> {
    disk: &'d mut D,
    replica: Option<Replica<Faulty<D::Storage>>>,
}

/// How a pull ended.
#[derive(PartialEq)]
enum End {
    Complete,
    Partial,
    InventoryWanted,
}

impl<D: Disk> Device<'_, D> {
    fn replica(&mut self) -> &mut Replica<Faulty<D::Storage>> {
        self.replica.as_mut().expect("is open")
    }

    fn set_fuse(&mut self, kill: Option<u64>) {
        let storage = self.replica.take().expect("is open").into_storage().into_inner();
        self.replica = Some(opened(Faulty::new(storage, kill)));
    }

    /// The process died: what is on the disk is as before the message, or as after it.
    fn restart(&mut self, before: &Content, after: Option<(Content, bool)>) {
        let killed = self.replica.take().expect("is open").into_storage().into_inner();
        let storage = self.disk.after_kill(killed);
        self.replica = Some(opened(Faulty::new(storage, None)));
        if &self.replica().content().expect("reads") != before {
            let (after, last) = after.expect("only a checkpoint changes what is shown");
            self.compare(&after, last);
        }
        self.consistent();
    }

    /// Sums, counts and documents agree with the memberships.
    fn consistent(&mut self) {
        let held = self.replica.take().expect("is open").into_storage();
        let state = held.load().expect("reads");
        let mut shown: BTreeMap<_, u32> = BTreeMap::new();
        for (slot, bucket) in &state.buckets {
            let members = held.members(*slot).expect("reads");
            let mut sum = Checksum::default();
            for (record, member) in &members {
                sum.add(member.hash);
                *shown.entry(*record).or_default() += 1;
            }
            assert_eq!((bucket.rows, bucket.checksum), (i64::try_from(members.len()).expect("is small"), sum));
            let pages = bucket.staging.map_or(0, |staging| staging.pages);
            assert!((0..pages).all(|number| held.page(*slot, number).expect("reads").is_some()));
            assert!(held.page(*slot, pages).expect("reads").is_none(), "no page is left over");
        }
        for number in 0..RECORDS {
            let record = record(number);
            let holders = state.buckets.keys().next().and_then(|slot| held.look(*slot, record).expect("reads").1);
            let holders = holders.map(|holding| holding.holders);
            assert_eq!(holders, shown.get(&record).copied());
            assert_eq!(held.document(record).expect("reads").is_some(), holders.is_some());
        }
        self.replica = Some(opened(held));
    }

    fn pull(&mut self, server: &mut Server, script: &Script, today: bool, cut: Option<usize>) -> End {
        let want = Want { follow: !script.after.is_empty(), today_only: today, ..Want::default() };
        let request = self.replica().request(&want).expect("reads");
        let said = server.pull(&request, script);
        let length = cut.unwrap_or(said.len()).min(said.len());
        let (mut end, mut fork) = (End::Partial, false);
        for (message, expected) in said.into_iter().take(length) {
            fork |= matches!(&message, Message::Plan(plan) if plan.fork);
            let last = matches!(&message, Message::Checkpoint(checkpoint) if checkpoint.last);
            let before = self.replica().position().map_or(0, |at| at.version);
            let held = self.replica().content().expect("reads");
            let event = match self.replica().receive(PullResponse { message: Some(message) }) {
                Ok(event) => event,
                Err(error) => {
                    let killed = matches!(&error, roundsman_sync::replica::ReplicaError::Storage(_));
                    assert!(killed, "only a kill ends a pull: {error}");
                    self.restart(&held, expected.map(|expected| (expected, last)));
                    return End::Partial;
                }
            };
            let after = self.replica().position().map_or(0, |at| at.version);
            assert!(after >= before || fork, "positions go back only with a fork");
            match event {
                Event::InventoryWanted => end = End::InventoryWanted,
                Event::Checkpoint { last, damaged, .. } => {
                    assert!(damaged.is_empty(), "{damaged:?}");
                    let expected = expected.expect("a checkpoint says what is held");
                    self.compare(&expected, last);
                    end = if last { End::Complete } else { End::Partial };
                }
                Event::Fork { .. } | Event::Planned { .. } | Event::Staged { .. } | Event::Alive { .. } => {}
            }
        }
        self.replica().cut();
        end
    }

    /// A record's document changes on the disk, and the device finds it; unless the record is in a bucket that lags and may
    /// still be shown as another bucket had it, since there nobody can tell.
    fn rot(&mut self, record: Uuid) {
        let mut storage = self.replica.take().expect("is open").into_storage();
        let document = storage.document(record).expect("reads");
        let state = storage.load().expect("reads");
        let (mut holders, mut telling, mut unsure) = (0, 0, false);
        for (slot, bucket) in &state.buckets {
            let (Some(member), _) = storage.look(*slot, record).expect("reads") else { continue };
            let newest = document.as_ref().is_some_and(|document| document.version == member.version);
            holders += 1;
            match bucket.at {
                At::Head => telling += 1,
                At::Behind(_) if newest => telling += 1,
                At::Behind(_) => unsure = true,
                At::Nothing | At::Damaged => {}
            }
        }
        let rots = document.filter(|_| !unsure);
        let expected = if rots.is_some() { telling } else { 0 };
        if let Some(document) = rots {
            let bytes = document.bytes.iter().map(|byte| byte ^ 0x10).collect();
            storage.write(Change::Document(record, &Document { bytes, ..document }, holders)).expect("writes");
            storage.commit().expect("commits");
        }
        let mut replica = opened(storage);
        let found = replica.scrub(u64::from(record.as_bytes()[0]), i64::MAX).expect("reads");
        assert_eq!(found.len(), expected, "what has changed is found, and nothing else");
        self.replica = Some(replica);
    }

    fn compare(&mut self, expected: &Content, last: bool) {
        let content = self.replica().content().expect("reads");
        if last {
            assert_eq!(&content, expected, "after a completed pull");
        }
        for (name, rows) in expected {
            assert_eq!(content.get(name), Some(rows), "what the checkpoint covers: {name:?}");
        }
    }
}

/// Plays a history, and then pulls until a pull completes: soon, whatever was.
fn play<D: Disk>(disk: &mut D, steps: &[Step]) {
    let mut server = Server::default();
    server.apply(&Op::Grant { scopes: 0b00111 });
    let storage = disk.first();
    let mut device = Device { disk, replica: Some(opened(Faulty::new(storage, None))) };
    for step in steps {
        match step {
            Step::Write(op) => server.apply(op),
            Step::Purge { keep } => server.purge(*keep),
            Step::BackUp => server.back_up(),
            Step::Restore { renumber } => server.restore(*renumber),
            Step::Rot { record: number } => device.rot(record(*number)),
            Step::Pull { script, today, cut, kill } => {
                if kill.is_some() {
                    device.set_fuse(*kill);
                }
                if device.pull(&mut server, script, *today, *cut) == End::InventoryWanted {
                    device.pull(&mut server, script, *today, *cut);
                }
                device.set_fuse(None);
                device.consistent();
            }
        }
    }
    let complete = (0..2).any(|_| device.pull(&mut server, &Script::quiet(), false, None) == End::Complete);
    assert!(complete, "a pull completes, at the second call at the latest");
    device.compare(&server.projection(), true);
    device.consistent();
    let position = server.position();
    assert_eq!(device.replica().position(), Some(position));
    assert!(device.replica().covers(position.version));
    let shown: BTreeSet<_> =
        (1..=3).flat_map(|kind| device.replica().records(kind).expect("reads")).map(|(id, _)| id).collect();
    assert_eq!(shown, server.projection().into_values().flat_map(BTreeMap::into_keys).collect());
}

/// A record in a scope that comes late moves to one that comes first, which alone is fetched.
fn a_bucket_lags() -> Vec<Step> {
    let put = |scopes, salt| Step::Write(Op::Put { record: 0, scopes, salt });
    let pull = |today| Step::Pull { script: Script::quiet(), today, cut: None, kill: None };
    vec![
        Step::Write(Op::Grant { scopes: 0b11111 }),
        put(0b10000, 1),
        pull(false),
        Step::BackUp,
        put(0b00001, 2),
        pull(true),
    ]
}

/// The record comes back as it was, and the device can't be told so: its own of the late scope is equal, but the document is
/// the other scope's.
fn a_record_came_back() -> Vec<Step> {
    let back = Step::Write(Op::Put { record: 0, scopes: 0b10000, salt: 1 });
    a_bucket_lags().into_iter().chain([back, Step::Purge { keep: 0 }]).collect()
}

fn a_bucket_lagged_at_a_fork() -> Vec<Step> {
    a_bucket_lags().into_iter().chain([Step::Restore { renumber: false }]).collect()
}

/// The device has a record of a lost history in a scope that it loses, and that the new history gives it in another one. It
/// is heard again only when the horizon has passed the lost position, so that no server can tell it from an old one.
fn a_lost_history_grew_old() -> Vec<Step> {
    let put = |record, scopes, salt| Op::Put { record, scopes, salt };
    let follow = Script { after: vec![put(4, 0b01000, 0)], ..Script::quiet() };
    vec![
        Step::BackUp,
        Step::Write(Op::Grant { scopes: 0b01000 }),
        Step::Pull { script: follow, today: false, cut: None, kill: None },
        Step::Restore { renumber: false },
        Step::Write(put(4, 0b00001, 1)),
        Step::Write(put(7, 0b01001, 0)),
        Step::Write(Op::Grant { scopes: 0b01011 }),
        Step::Purge { keep: 0 },
    ]
}

/// A bucket is about to be mended when the app dies, and is gone on from after all, since the server is restored to before
/// the horizon moved.
fn a_mended_bucket_goes_on() -> Vec<Step> {
    let put = |record, scopes| Step::Write(Op::Put { record, scopes, salt: 0 });
    let pull = |kill| Step::Pull { script: Script::quiet(), today: false, cut: None, kill };
    vec![
        put(0, 0b00001),
        put(3, 0b00001),
        pull(None),
        put(3, 0b01010),
        Step::BackUp,
        Step::Purge { keep: 0 },
        pull(Some(6)),
        Step::Restore { renumber: false },
    ]
}

#[test]
fn what_was_staged_to_mend_is_not_gone_on_from() {
    play(&mut Memory, &a_mended_bucket_goes_on());
}

#[test]
fn a_device_of_a_lost_history_that_grew_old_shows_the_new_one() {
    play(&mut Memory, &a_lost_history_grew_old());
}

#[test]
fn a_record_that_came_back_as_it_was_has_its_document_again() {
    play(&mut Memory, &a_record_came_back());
}

#[test]
fn what_lagged_at_a_fork_has_its_documents_again() {
    play(&mut Memory, &a_bucket_lagged_at_a_fork());
}

#[cfg(feature = "sqlite")]
#[test]
fn so_they_have_in_a_file() {
    for steps in
        [a_record_came_back(), a_bucket_lagged_at_a_fork(), a_lost_history_grew_old(), a_mended_bucket_goes_on()]
    {
        let folder = tempfile::tempdir().expect("a folder");
        play(&mut file::File { folder, kills: 0 }, &steps);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn a_completed_pull_leaves_the_projection(steps in prop::collection::vec(step(), 1..30)) {
        play(&mut Memory, &steps);
    }
}

#[cfg(feature = "sqlite")]
proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn so_it_does_in_a_file(steps in prop::collection::vec(step(), 1..30)) {
        let folder = tempfile::tempdir().expect("a folder");
        play(&mut file::File { folder, kills: 0 }, &steps);
    }
}
