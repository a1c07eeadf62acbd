//! A replica that is damaged, and how little it takes to mend it.

use roundsman::device::Synced;
use roundsman_proto::sync::pull_response::Message;
use roundsman_proto::sync::sync_service_client::SyncServiceClient;
use roundsman_proto::sync::{BucketAction, InventoryRequest, Position, PullRequest, PullResponse};
use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{Product, RecordToImport};
use roundsman_sync::replica::memory::MemoryStorage;
use roundsman_sync::replica::{Change, Document, Replica, Storage as _, Want};
use roundsman_tests::app::{TestApp, TestDevice};
use roundsman_tests::database::Kind;
use roundsman_tests::world::{World, bytes};
use uuid::Uuid;

use crate::desk::import;
use crate::inspect::{device_of, shown};

on_both_databases!(
    a_document_that_changed_by_itself_is_found_and_only_its_partition_comes_again,
    after_a_lost_history_only_what_differs_comes_again,
);

/// So many articles that sending all of them again would hurt.
const PRODUCTS: usize = 5_000;
/// One partition of 256 holds less.
const A_HUNDREDTH: u64 = PRODUCTS as u64 / 100;

/// Adds articles, and says which.
pub async fn many_products(app: &TestApp) -> Vec<Uuid> {
    let ids: Vec<Uuid> = (0..PRODUCTS).map(|_| app.id()).collect();
    for part in ids.chunks(1_000) {
        import(app, part.iter().map(|id| product(*id, "Tea")).collect()).await;
    }
    ids
}

/// An article, to be imported.
pub fn product(id: Uuid, name: &str) -> RecordToImport {
    let record = Record::Product(Product { name: name.to_owned(), ..Product::default() });
    RecordToImport { record_id: bytes(id), record: Some(record), closed_month: 0 }
}

/// One bit of a document flips where the device keeps it.
fn rot(device: &mut TestDevice, record: Uuid) {
    let replica = std::mem::replace(&mut device.replica, Replica::open(MemoryStorage::default()).expect("opens"));
    let mut storage = replica.into_storage();
    let document = storage.document(record).expect("reads").expect("is held");
    let mut flipped = document.bytes.to_vec();
    flipped[0] ^= 0x10;
    storage.write(Change::Document(record, &Document { bytes: flipped.into(), ..document }, 1)).expect("writes");
    storage.commit().expect("commits");
    device.replica = Replica::open(storage).expect("opens");
}

async fn a_document_that_changed_by_itself_is_found_and_only_its_partition_comes_again(kind: Kind) {
    let app = TestApp::start_measured(kind).await;
    let world = World::make(&app).await;
    let products = many_products(&app).await;
    let mut anna = app.device("anna").await;
    app.sync(&mut anna).await;
    rot(&mut anna, products[7]);
    let found = anna.sync(app.now_us()).await.expect("synchronizes");
    assert_eq!(found.damaged, 1, "it looks at what it holds after each pull");
    let mended = app.sync(&mut anna).await;
    assert!((1..=A_HUNDREDTH).contains(&mended.rows), "of {PRODUCTS} rows only a few came again: {mended:?}");
    app.assert_converged(&anna, &world.caller(&world.anna)).await;
    assert_eq!(app.metric("roundsman_bucket_repairs_total").await, Some(1.0), "the operator sees it");
    let seen = shown(&app, device_of(&app, &world, &world.anna).await).await;
    assert_eq!(
        (seen.mended.as_str(), seen.mended_at_us),
        ("tenant KIND_PRODUCT", app.now_us()),
        "and with which device"
    );
    assert_eq!(app.sync(&mut anna).await.rows, 0, "and that was all");
    app.finish().await;
}

async fn after_a_lost_history_only_what_differs_comes_again(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let products = many_products(&app).await;
    let mut anna = app.device("anna").await;
    app.sync(&mut anna).await;
    import(&app, vec![product(products[7], "Coffee")]).await;
    let wanted = PullResponse { message: Some(Message::InventoryRequest(InventoryRequest {})) };
    anna.replica.receive(wanted).expect("is taken");
    let request = anna.replica.request(&Want::default()).expect("reads");
    // The same point of a history that this server has not seen.
    let position = request.position.map(|position| Position { nonce: position.nonce ^ 1, ..position });
    let token = app.device_token("anna").await;
    let request = roundsman::device::authorized(&token, PullRequest { position, ..request }).expect("a request");
    let mut stream = SyncServiceClient::new(app.channel.clone()).pull(request).await.expect("opens").into_inner();
    let (mut synced, mut mended) = (Synced::default(), 0);
    while let Some(message) = stream.message().await.expect("goes on") {
        if let Some(Message::Plan(plan)) = &message.message {
            assert!(plan.buckets.iter().all(|bucket| bucket.action() != BucketAction::Reset), "{plan:?}");
            mended += plan.buckets.iter().filter(|bucket| bucket.action() == BucketAction::Repair).count();
        }
        anna.take(message, &mut synced).expect("takes it");
    }
    anna.replica.cut();
    assert_eq!(mended, 1, "the articles");
    assert!((1..=A_HUNDREDTH).contains(&synced.rows), "of {PRODUCTS} rows only a few came again: {synced:?}");
    assert_eq!(synced.damaged, 0);
    app.assert_converged(&anna, &world.caller(&world.anna)).await;
    app.finish().await;
}
