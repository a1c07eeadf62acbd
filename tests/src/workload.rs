//! What counted operations work on: a catalogue that all devices hold, and orders.

use std::ops::Range;
use std::sync::Arc;

use roundsman::auth::caller::Caller;
use roundsman::batch::{Sender, Submission, Submitted, Writer};
use roundsman::commands::Issuer;
use roundsman::fail::FailPoints;
use roundsman::store::tenant::WRITER_VERSION;
use roundsman_proto::sync::Status;
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{ImportRecords, NewOrderLine, Packaging, Product, RecordToImport, SubmitOrder};
use roundsman_sync::version::Position;
use uuid::Uuid;

use crate::app::{TODAY, TestApp, encoded};
use crate::world::{CURRENCY, PRICE_MINOR, World, bytes};

/// Articles of the catalogue: several pages of them, more than what is little.
pub const ARTICLES: usize = 5_000;
/// So many are imported at once.
pub const IMPORTED: usize = 1_000;

/// The id of an article. They are scattered, as ids are: others would pack too well.
#[must_use]
pub fn article_id(number: usize) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, &number.to_be_bytes())
}

/// Imports the whole catalogue.
pub async fn import_catalogue(app: &TestApp) {
    for from in (0..ARTICLES).step_by(IMPORTED) {
        import_articles(app, from..from + IMPORTED, "new").await;
    }
}

/// Imports articles of the catalogue in this state.
pub async fn import_articles(app: &TestApp, numbers: Range<usize>, state: &str) {
    let entry = |number: usize| {
        let id = article_id(number);
        RecordToImport { record_id: bytes(id), record: Some(Record::Product(article(id, state))), closed_month: 0 }
    };
    let records = numbers.map(entry).collect();
    let outcome = app.office(Command::ImportRecords(ImportRecords { records })).await;
    assert_eq!(outcome.status(), Status::Applied, "{outcome:?}");
}

/// An order of ten lines, one piece of each article.
#[must_use]
pub fn order(app: &TestApp, world: &World) -> Command {
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
        ..NewOrderLine::default()
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

/// An article as an ERP knows it, with names, a group and bar codes.
fn article(id: Uuid, state: &str) -> Product {
    let number = id.as_u128() % 1_000_000;
    let packaging = |code: &str, coefficient_milli| Packaging {
        code: code.to_owned(),
        name: code.to_owned(),
        coefficient_milli,
        barcodes: vec![format!("640{:010}", id.as_u128() % 10_000_000_000 + u128::from(coefficient_milli == 1_000))],
    };
    Product {
        name: format!("Coffee {number}, ground, 500 g, {state}"),
        code: format!("A{number}"),
        group_path: vec!["Drinks".to_owned(), format!("Group {}", number % 40)],
        base_unit: "piece".to_owned(),
        packagings: vec![packaging("piece", 1_000), packaging("case", 12_000)],
        vat_bp: 1_350,
        multiple_milli: 1_000,
        ..Product::default()
    }
}

/// One order from each of so many devices.
#[must_use]
pub fn orders(app: &TestApp, world: &World, devices: usize) -> Vec<Submission> {
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

/// What runs the batches of the app's tenants, for a test that runs one itself.
#[must_use]
pub fn writer(app: &TestApp) -> Writer {
    Writer {
        db: app.core.db.clone(),
        clock: Arc::clone(&app.core.clock),
        random: Arc::clone(&app.core.random),
        policy: app.core.policy,
        recent: Arc::clone(&app.core.recent),
        present: Arc::clone(&app.core.present),
        format: WRITER_VERSION,
        fail: FailPoints::default(),
    }
}

/// Runs a batch of orders, all of which are taken; says how many round trips it took.
pub async fn run_orders(writer: &Writer, world: &World, submissions: &[Submission]) -> u32 {
    let committed = writer.run(world.tenant, submissions, None).await.expect("commits");
    let outcomes = committed.answers.iter().flat_map(|answer| &answer.results);
    let taken = outcomes.filter(|result| {
        let status = result.outcome.as_ref().expect("an outcome").status();
        matches!(status, Status::Applied | Status::Held)
    });
    assert_eq!(taken.count(), submissions.len());
    committed.statements
}
