//! What rows and orders cost in allocations, counted instead of timed. A target of its own: its allocator counts.
//!
//! Counted is what one thread allocates, and on it runs nothing but what is named: the server without a transport, which
//! puts its messages into a channel that holds all of them, or the device that takes them afterwards. SQLite works in
//! threads of its own, which are not counted; PostgreSQL's driver is. Both allocate a little more where they have to wait, so
//! what is asked of them is done several times, and the least counts.

use std::future::Future;
use std::sync::Arc;

use roundsman::auth::caller::Caller;
use roundsman::fail::FailPoints;
use roundsman::grpc::sync::BATCH_BYTES;
use roundsman::pull::{Outgoing, PATIENCE, Pull, SharedPages, Sizes};
use roundsman_proto::sync::pull_response::Message;
use roundsman_proto::sync::{Page, PullRequest, PullResponse};
use roundsman_sync::page::{self, Cursor, PageBuilder, encode_frame};
use roundsman_sync::replica::memory::MemoryStorage;
use roundsman_sync::replica::{Replica, Want};
use roundsman_sync::version::Position;
use roundsman_tests::app::TestApp;
use roundsman_tests::counts::{Counts, Unit};
use roundsman_tests::database::Kind;
use roundsman_tests::workload::{self, ARTICLES, article_id, orders, run_orders};
use roundsman_tests::world::World;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use uuid::Uuid;

/// Messages of a first sync, at most.
const MESSAGES: usize = 1_000;
/// The device that pulls.
const DEVICE: Uuid = Uuid::from_u128(1);
/// Orders in a full batch.
const ORDERS: usize = 50;
/// A pull is counted so often.
const PULLS: usize = 150;
/// A batch is counted so often.
const BATCHES: usize = 5;
/// Rows that are packed by themselves.
const ROWS: usize = 1_000;

mod sqlite {
    #[test]
    fn what_a_server_costs() {
        super::what_a_server_costs(roundsman_tests::database::Kind::Sqlite);
    }
}

mod postgres {
    #[test]
    fn what_a_server_costs() {
        super::what_a_server_costs(roundsman_tests::database::Kind::Postgres);
    }
}

/// How often this thread allocates meanwhile, and what comes of it.
fn counted<T>(work: impl FnOnce() -> T) -> (u64, T) {
    let mut result = None;
    let info = allocation_counter::measure(|| result = Some(work()));
    (info.count_total, result.expect("has worked"))
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("starts")
}

/// A server, and what it is asked, on one thread.
struct Serving {
    runtime: Runtime,
    app: TestApp,
    world: World,
}

impl Serving {
    fn start(kind: Kind) -> Self {
        let runtime = runtime();
        let (app, world) = runtime.block_on(async {
            let app = TestApp::start_doors(kind).await;
            let world = World::make(&app).await;
            workload::import_catalogue(&app).await;
            (app, world)
        });
        Self { runtime, app, world }
    }

    fn counted<T>(&self, work: impl Future<Output = T>) -> (u64, T) {
        counted(|| self.runtime.block_on(work))
    }

    /// What the server allocates at least for a pull of Anna's, and what it answers.
    fn pull(&self, request: &PullRequest, pages: impl Fn() -> Arc<SharedPages>) -> (u64, Vec<PullResponse>) {
        let pulls = (0..PULLS).map(|_| self.pull_once(request, pages()));
        pulls.min_by_key(|(allocations, _)| *allocations).expect("pulls")
    }

    fn pull_once(&self, request: &PullRequest, pages: Arc<SharedPages>) -> (u64, Vec<PullResponse>) {
        let (out, mut messages) = mpsc::channel(MESSAGES);
        let core = &self.app.core;
        let pull = Pull {
            db: core.db.clone(),
            clock: Arc::clone(&core.clock),
            caller: Caller { device: Some(DEVICE), ..self.world.caller(&self.world.anna) },
            standing: Arc::new(|| Ok(())),
            out: Outgoing::new(out, PATIENCE, BATCH_BYTES),
            fail: FailPoints::default(),
            present: Arc::clone(&core.present),
            contacts: Arc::clone(&core.contacts),
            pages,
            tails: core.lanes.of(self.world.tenant).follow(),
        };
        let (allocations, served) = self.counted(pull.serve(request));
        served.expect("is served");
        (allocations, std::iter::from_fn(|| messages.try_recv().ok()).flatten().collect())
    }

    /// What the server allocates at least for a full batch of orders, of which some have been before.
    fn orders(&self) -> u64 {
        let writer = workload::writer(&self.app);
        let batch = |_| {
            let submissions = orders(&self.app, &self.world, ORDERS);
            self.counted(run_orders(&writer, &self.world, &submissions)).0
        };
        (0..BATCHES).map(batch).min().expect("batches")
    }
}

fn rows(messages: &[PullResponse]) -> u64 {
    let page = |message: &PullResponse| match &message.message {
        Some(Message::Page(page)) => u64::from(page.rows),
        _ => 0,
    };
    messages.iter().map(page).sum()
}

fn what_a_server_costs(kind: Kind) {
    let serving = Serving::start(kind);
    let mut counts = Counts::of(Some(kind));
    let mut replica = Replica::open(MemoryStorage::default()).expect("opens");
    let first = replica.request(&Want::default()).expect("reads");
    let none = || Arc::new(SharedPages::new(Sizes::default()));
    let (allocations, came) = serving.pull(&first, none);
    let rows = rows(&came);
    assert!(rows > ARTICLES as u64);
    counts.add(Unit::Allocations, "first sync, the first, 1,000 rows", allocations * 1_000 / rows);
    let shared = || Arc::clone(&serving.app.core.pages);
    let (allocations, came) = serving.pull(&first, shared);
    counts.add(Unit::Allocations, "first sync, from shared pages, 1,000 rows", allocations * 1_000 / rows);
    let (allocations, ()) = counted(|| {
        for message in came {
            replica.receive(message).expect("takes it");
        }
    });
    counts.add(Unit::Allocations, "first sync, the device's half, 1,000 rows", allocations * 1_000 / rows);
    replica.cut();
    let nothing = replica.request(&Want::default()).expect("reads");
    let (allocations, answer) = serving.pull(&nothing, shared);
    assert_eq!(answer.len(), 1, "a checkpoint");
    counts.add(Unit::Allocations, "nothing new", allocations);
    counts.add(Unit::Allocations, "an order of 50 in a batch", serving.orders() / ORDERS as u64);
    let Serving { runtime, app, .. } = serving;
    runtime.block_on(app.finish());
    counts.check();
}

/// A page as it is packed from stored frames.
fn packed() -> (u64, Page) {
    let at = Position { version: 1, nonce: 7 };
    let mut records: Vec<_> = (0..ROWS).map(article_id).collect();
    records.sort_unstable();
    let frames: Vec<_> = records.iter().map(|record| (*record, encode_frame(*record, 1, Some(&[7; 40])))).collect();
    counted(|| {
        let mut page = PageBuilder::default();
        for (record, frame) in &frames {
            assert!(page.fits(frame.len()));
            page.push(1, *record, frame);
        }
        page.finish(1, Cursor::default(), at)
    })
}

#[test]
fn what_a_page_costs() {
    let mut counts = Counts::of(None);
    let (allocations, packed) = packed();
    counts.add(Unit::Allocations, "a page is packed, 1,000 rows", allocations);
    let (allocations, unpacked) = counted(|| page::unpack(&packed));
    assert_eq!(unpacked.expect("unpacks").len(), ROWS);
    counts.add(Unit::Allocations, "a page is unpacked, 1,000 rows", allocations);
    counts.check();
}
