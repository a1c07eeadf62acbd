//! What an operation costs, counted instead of timed.

use std::sync::Arc;

use roundsman::auth::caller::Caller;
use roundsman::batch::{Sender, Submission, Submitted, Writer};
use roundsman::commands::Issuer;
use roundsman::fail::FailPoints;
use roundsman::present::Present;
use roundsman::store::tenant::WRITER_VERSION;
use roundsman_proto::sync::Status;
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::{NewOrderLine, SubmitOrder};
use roundsman_sync::version::Position;
use roundsman_tests::app::{TODAY, TestApp, encoded};
use roundsman_tests::database::Kind;
use roundsman_tests::world::{CURRENCY, PRICE_MINOR, World, bytes};

on_both_databases!(a_batch_takes_a_bounded_number_of_round_trips);

/// An order of ten lines, one piece of each article.
fn order(app: &TestApp, world: &World) -> Command {
    let line = |index: usize| NewOrderLine {
        line_id: bytes(app.id()),
        product_id: bytes(world.products[index]),
        packaging_code: "piece".to_owned(),
        coefficient_milli: 1_000,
        quantity_milli: 1_000,
        price_id: bytes(world.prices[index]),
        price_version: 1,
        shown_price_minor: PRICE_MINOR,
        discount_bp: 0,
    };
    Command::SubmitOrder(SubmitOrder {
        order_id: bytes(app.id()),
        outlet_id: bytes(world.anna.outlets[0]),
        agreement_id: bytes(world.agreements[0]),
        order_day: TODAY,
        delivery_day: TODAY + 1,
        currency: CURRENCY.to_owned(),
        lines: (0..10).map(line).collect(),
        ..SubmitOrder::default()
    })
}

/// One order from each of so many devices.
fn orders(app: &TestApp, world: &World, devices: usize) -> Vec<Submission> {
    let submission = |_| {
        let device = app.id();
        let submitted = Submitted {
            id: app.id(),
            seq: 1,
            captured_at_us: app.now_us(),
            clock_correction_us: 0,
            business_day: TODAY,
            body: encoded(order(app, world)).into(),
        };
        // Each device is somewhere else.
        let position = Some(Position { version: 1, nonce: device.as_u128() as u64 });
        let sender = Sender { device, confirmed_seq: 0, last_outcome_seq: 0, skip: None, position };
        Submission {
            issuer: Issuer::User(Caller { device: Some(device), ..world.caller(&world.anna) }),
            sender: Some(sender),
            request: String::new(),
            received_at_us: app.now_us(),
            released: false,
            commands: vec![submitted],
        }
    };
    (0..devices).map(submission).collect()
}

async fn a_batch_takes_a_bounded_number_of_round_trips(kind: Kind) {
    /// What an ordinary batch may take on a database across a network.
    const ROUND_TRIPS: u32 = 15;
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let writer = Writer {
        db: app.core.db.clone(),
        clock: Arc::clone(&app.core.clock),
        random: Arc::clone(&app.core.random),
        policy: app.core.policy,
        recent: Arc::default(),
        present: Arc::new(Present::new(false)),
        format: WRITER_VERSION,
        fail: FailPoints::default(),
    };
    // The first order makes the buckets of its kinds.
    let mut taken = Vec::new();
    for devices in [1, 1, 8, 32] {
        let submissions = orders(&app, &world, devices);
        let committed = writer.run(world.tenant, &submissions, None).await.expect("commits");
        let outcomes = committed.answers.iter().flat_map(|answer| &answer.results);
        let applied = outcomes.filter(|result| {
            let status = result.outcome.as_ref().expect("an outcome").status();
            matches!(status, Status::Applied | Status::Held)
        });
        assert_eq!(applied.count(), devices);
        taken.push(committed.statements);
    }
    assert!(taken[3] <= taken[1] + 1, "as many for 32 orders as for one: {taken:?}");
    if kind == Kind::Postgres {
        assert!(taken.iter().skip(1).all(|statements| *statements <= ROUND_TRIPS), "{taken:?}");
    }
    app.finish().await;
}
