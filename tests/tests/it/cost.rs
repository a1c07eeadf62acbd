//! What operations cost, counted instead of timed: statements, and bytes of messages.

use std::collections::BTreeSet;

use roundsman::device::Synced;
use roundsman_proto::sync::Status;
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{BlockOutlet, HandTerritoryOver, MoveOutlet, Price};
use roundsman_sync::outbox::Outbox;
use roundsman_tests::app::{TODAY, TestApp, TestDevice};
use roundsman_tests::asked::Asked;
use roundsman_tests::counts::{Counts, Unit};
use roundsman_tests::database::Kind;
use roundsman_tests::workload::{self, ARTICLES, IMPORTED, article_id, order, orders, run_orders};
use roundsman_tests::world::{PRICE_MINOR, World, bytes};

use crate::desk::{entry, import};
use crate::pull::{follow, to_checkpoint};

on_both_databases!(what_operations_cost);

/// What changes while a device is away.
const CHANGED: usize = 100;
/// Orders in a full batch.
const ORDERS: usize = 50;

/// What was counted of a number of operations.
#[derive(Debug, Default)]
pub struct Counted {
    /// Statements of each.
    statements: Vec<(&'static str, usize)>,
    /// Bytes of messages.
    bytes: Vec<(&'static str, u64)>,
    /// The texts of all statements.
    pub texts: BTreeSet<String>,
}

/// A distributor whose operations are counted.
struct Counting {
    app: TestApp,
    world: World,
    asked: Asked,
    counted: Counted,
}

impl Counting {
    async fn begin(kind: Kind) -> Self {
        let app = TestApp::start_doors(kind).await;
        let world = World::make(&app).await;
        workload::import_catalogue(&app).await;
        Self { app, world, asked: Asked::listen(), counted: Counted::default() }
    }

    /// What follows is counted, and nothing before.
    fn start(&self) {
        let _prepared = self.asked.take();
    }

    /// What was asked since [`Self::start`] is what this operation costs.
    fn end(&mut self, name: &'static str) -> usize {
        let asked = self.asked.take();
        let statements = asked.len();
        self.counted.statements.push((name, statements));
        self.counted.texts.extend(asked);
        statements
    }

    fn bytes(&mut self, name: &'static str, bytes: u64) {
        self.counted.bytes.push((name, bytes));
    }

    async fn log_in(&self) -> TestDevice {
        let device = self.app.device("anna").await;
        self.start();
        device
    }

    async fn pull(&self, device: &mut TestDevice) -> Synced {
        let mut synced = Synced::default();
        device.pull(self.app.now_us(), &mut synced).await.expect("pulls");
        synced
    }

    async fn sessions(&mut self) {
        self.start();
        let mut anna = self.app.device("anna").await;
        self.end("login of a device");
        anna.refresh().await.expect("is refreshed");
        self.end("refresh of a token");
    }

    async fn pulls(&mut self) {
        let mut anna = self.log_in().await;
        let first = self.pull(&mut anna).await;
        assert!(first.rows > ARTICLES as u64);
        self.end("first sync, the first");
        self.bytes("first sync, 1,000 rows down", first.bytes_down * 1_000 / first.rows);
        let mut other = self.log_in().await;
        assert_eq!(self.pull(&mut other).await.rows, first.rows);
        self.end("first sync, from shared pages");
        let nothing = self.pull(&mut anna).await;
        assert_eq!(nothing.rows, 0);
        self.end("nothing new");
        self.bytes("nothing new, up", nothing.bytes_up);
        self.bytes("nothing new, down", nothing.bytes_down);
        workload::import_articles(&self.app, 0..CHANGED, "changed").await;
        self.start();
        let delta = self.pull(&mut anna).await;
        assert_eq!(delta.rows, CHANGED as u64);
        self.end("delta of 100 rows");
        self.bytes("delta of 100 rows, 1,000 rows down", delta.bytes_down * 1_000 / delta.rows);
    }

    async fn pushes(&mut self) {
        let mut anna = self.log_in().await;
        // The first order makes the buckets of its kinds.
        self.app.decide(&mut anna, order(&self.app, &self.world)).await;
        let mut anna = self.log_in().await;
        let (id, order, now) = (self.app.id(), order(&self.app, &self.world), (self.app.now_us(), TODAY));
        let mut outcomes = Vec::new();
        for name in ["push of an order of 10 lines", "push of the same order again"] {
            // Its answer was lost, as far as the device knows.
            anna.outbox = Outbox::open(Default::default()).expect("opens");
            anna.capture(id, order.clone(), now).expect("is captured");
            let mut synced = Synced::default();
            anna.push(now.0, &mut synced).await.expect("pushes");
            self.end(name);
            outcomes.push((synced.outcomes, synced.bytes_up));
        }
        assert_eq!(outcomes[0], outcomes[1]);
        self.bytes("push of an order of 10 lines, up", outcomes[0].1);
    }

    /// A change that a follower hears, beside the same change without a follower. Nothing may be counted after it: the
    /// server learns late that a follower is gone.
    async fn follower(&mut self) {
        let mut boris = self.app.device("boris").await;
        let outlet_id = bytes(self.world.boris.outlets[0]);
        let block = |blocked| {
            let reason = "unpaid".to_owned();
            Command::BlockOutlet(BlockOutlet { outlet_id: outlet_id.clone(), blocked, reason })
        };
        let mut stream = None;
        let mut asked = Vec::new();
        // The first time loads what the others find in memory.
        for follows in [false, false, true] {
            self.app.office(block(true)).await;
            if follows {
                stream = Some(follow(&self.app, &mut boris).await);
            }
            self.start();
            self.app.office(block(false)).await;
            if let Some(stream) = &mut stream {
                assert_eq!(to_checkpoint(&mut boris, stream).await, 1);
            }
            asked.push(self.asked.take());
        }
        let hearing = asked[2].len().checked_sub(asked[1].len()).expect("no less than without a follower");
        self.counted.statements.push(("unblocking of an outlet", asked[1].len()));
        self.counted.statements.push(("a follower hears a change", hearing));
        self.counted.texts.extend(asked.into_iter().flatten());
    }

    async fn office(&mut self) {
        let price = |number: usize| {
            let price = Price { product_id: bytes(article_id(number)), ..self.world.price(0, PRICE_MINOR) };
            entry(self.app.id(), Record::Price(price))
        };
        let prices = (0..IMPORTED).map(price).collect();
        self.start();
        import(&self.app, prices).await;
        self.end("import of 1,000 prices");
        let World { anna, boris, .. } = self.world.clone();
        let (outlet_id, territory_id) = (bytes(anna.outlets[0]), bytes(boris.territory));
        self.change("moving an outlet", Command::MoveOutlet(MoveOutlet { outlet_id, territory_id })).await;
        let hand_over = HandTerritoryOver {
            assignment_id: bytes(self.app.id()),
            territory_id: bytes(anna.territory),
            from_rep_id: bytes(anna.rep),
            to_rep_id: bytes(boris.rep),
            from_day: TODAY,
        };
        self.change("handing a territory over", Command::HandTerritoryOver(hand_over)).await;
    }

    async fn change(&mut self, name: &'static str, command: Command) {
        self.start();
        let outcome = self.app.office(command).await;
        assert_eq!(outcome.status(), Status::Applied, "{outcome:?}");
        self.end(name);
    }

    async fn batches(&mut self) {
        let writer = workload::writer(&self.app);
        let mut taken = Vec::new();
        for (name, devices) in [("batch of 1 order", 1), ("batch of 50 orders", ORDERS)] {
            let submissions = orders(&self.app, &self.world, devices);
            self.start();
            let told = run_orders(&writer, &self.world, &submissions).await;
            let statements = self.end(name);
            assert_eq!(u32::try_from(statements), Ok(told), "what the server's metric says");
            taken.push(statements);
        }
        assert!(taken[1] <= taken[0] + 1, "as many for {ORDERS} orders as for one: {taken:?}");
    }
}

/// Does everything that is counted.
pub async fn operations(kind: Kind) -> Counted {
    let mut counting = Counting::begin(kind).await;
    counting.sessions().await;
    counting.pulls().await;
    counting.pushes().await;
    counting.batches().await;
    counting.office().await;
    counting.follower().await;
    counting.app.finish().await;
    counting.counted
}

async fn what_operations_cost(kind: Kind) {
    let counted = operations(kind).await;
    let mut counts = Counts::of(Some(kind));
    for (name, statements) in counted.statements {
        counts.add(Unit::Statements, name, statements as u64);
    }
    for (name, bytes) in counted.bytes {
        counts.add(Unit::Bytes, name, bytes);
    }
    counts.check();
}
