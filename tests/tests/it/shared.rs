//! What devices share: pages that were packed for one of them.

use std::collections::BTreeMap;

use roundsman::device::Synced;
use roundsman_proto::sync::PullResponse;
use roundsman_proto::sync::pull_response::Message;
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{MoveOutlet, RecordToImport};
use roundsman_sync::page;
use roundsman_tests::app::{TestApp, TestDevice};
use roundsman_tests::database::Kind;
use roundsman_tests::world::{World, bytes};
use uuid::Uuid;

use crate::desk::import;
use crate::repair::{many_products, product};

on_both_databases!(
    a_page_is_packed_once_for_all,
    who_comes_back_after_the_same_night_shares_what_changed,
    a_page_whose_rows_have_moved_is_packed_anew,
    what_has_left_a_territory_does_not_travel_any_more,
);

/// What came in one pull.
#[derive(Debug, Default)]
struct Came {
    announced: i64,
    rows: i64,
    /// The records, each with the version at which its page was packed.
    records: BTreeMap<Uuid, i64>,
}

/// Pulls, and says what came.
async fn pull(app: &TestApp, device: &mut TestDevice) -> Came {
    let mut came = Came::default();
    let mut stream = device.open(app.now_us(), false, &mut Synced::default()).await.expect("opens");
    while let Some(message) = stream.message().await.expect("goes on").and_then(|response| response.message) {
        match &message {
            Message::Plan(plan) => came.announced += plan.buckets.iter().map(|bucket| bucket.rows).sum::<i64>(),
            Message::Page(page) => {
                let rows = page::unpack(page).expect("unpacks");
                came.rows += i64::from(page.rows);
                let packed_at = page.build.expect("a build").version;
                let live = rows.iter().filter(|row| row.document.is_some());
                came.records.extend(live.map(|row| (row.record, packed_at)));
            }
            Message::Fork(_) | Message::InventoryRequest(_) | Message::Checkpoint(_) | Message::KeepAlive(_) => {}
        }
        device.take(PullResponse { message: Some(message) }, &mut Synced::default()).expect("takes it");
    }
    device.replica.cut();
    came
}

async fn packed(app: &TestApp) -> f64 {
    app.metric("roundsman_shared_pages_packed_total").await.unwrap_or(0.0)
}

async fn used(app: &TestApp) -> f64 {
    app.metric("roundsman_shared_pages_used_total").await.unwrap_or(0.0)
}

async fn a_page_is_packed_once_for_all(kind: Kind) {
    let app = TestApp::start_measured(kind).await;
    let world = World::make(&app).await;
    let products = many_products(&app).await;
    pull(&app, &mut app.device("anna").await).await;
    let (packed_for_one, used_by_one) = (packed(&app).await, used(&app).await);
    assert!(packed_for_one > 0.0);
    import(&app, vec![product(products[7], "Coffee")]).await;
    pull(&app, &mut app.device("anna").await).await;
    let used_by_two = used(&app).await;
    assert!(used_by_two - used_by_one >= packed_for_one - 1.0, "all but the last page, to which a row was added");
    assert!(packed(&app).await - packed_for_one <= 1.0);
    let mut boris = app.device("boris").await;
    pull(&app, &mut boris).await;
    assert!(used(&app).await > used_by_two, "what is not only Anna's");
    app.assert_converged(&boris, &world.caller(&world.boris)).await;
    app.finish().await;
}

async fn who_comes_back_after_the_same_night_shares_what_changed(kind: Kind) {
    let app = TestApp::start_measured(kind).await;
    let world = World::make(&app).await;
    let products = many_products(&app).await;
    let mut anna = app.device("anna").await;
    let mut boris = app.device("boris").await;
    pull(&app, &mut anna).await;
    app.office(crate::pull::one_price(&world, 0, 1_111)).await;
    pull(&app, &mut boris).await;
    for part in products[..4_000].chunks(1_000) {
        import(&app, part.iter().map(|id| product(*id, "Coffee")).collect()).await;
    }
    let came = pull(&app, &mut anna).await;
    let (packed_for_anna, used_by_anna) = (packed(&app).await, used(&app).await);
    assert!((4_000..=came.announced).contains(&came.rows), "an append brings no more than was announced: {came:?}");
    pull(&app, &mut boris).await;
    assert_eq!(packed(&app).await, packed_for_anna, "from another place, but nothing lies between");
    assert!(used(&app).await > used_by_anna);
    app.assert_converged(&anna, &world.caller(&world.anna)).await;
    app.assert_converged(&boris, &world.caller(&world.boris)).await;
    app.finish().await;
}

async fn a_page_whose_rows_have_moved_is_packed_anew(kind: Kind) {
    let app = TestApp::start_measured(kind).await;
    let world = World::make(&app).await;
    let products = many_products(&app).await;
    pull(&app, &mut app.device("anna").await).await;
    // One in ten of each page, then one in two.
    for (every, most) in [(10, 1.15), (2, 1.25)] {
        let moved: Vec<Uuid> = products.iter().copied().step_by(every).collect();
        for part in moved.chunks(1_000) {
            import(&app, part.iter().map(|id| product(*id, "Coffee")).collect()).await;
        }
        let mut device = app.device("boris").await;
        let came = pull(&app, &mut device).await;
        let (announced, rows) = (came.announced as f64, came.rows as f64);
        assert!((announced..=announced * most).contains(&rows), "{rows} rows came, {announced} were announced");
        app.assert_converged(&device, &world.caller(&world.boris)).await;
    }
    app.finish().await;
}

async fn what_has_left_a_territory_does_not_travel_any_more(kind: Kind) {
    let app = TestApp::start_measured(kind).await;
    let world = World::make(&app).await;
    let outlets: Vec<Uuid> = (0..400).map(|_| app.id()).collect();
    let outlet = |id: &Uuid| {
        let record = Some(Record::Outlet(world.outlet(&world.anna, 0)));
        RecordToImport { record_id: bytes(*id), record, closed_month: 0 }
    };
    import(&app, outlets.iter().map(outlet).collect()).await;
    let before = pull(&app, &mut app.device("anna").await).await;
    assert!(packed(&app).await > 0.0 && before.records.contains_key(&outlets[7]));
    let (outlet_id, territory_id) = (bytes(outlets[7]), bytes(world.boris.territory));
    app.office(Command::MoveOutlet(MoveOutlet { outlet_id, territory_id })).await;
    let mut device = app.device("anna").await;
    let came = pull(&app, &mut device).await;
    assert!(!came.records.contains_key(&outlets[7]));
    assert!(came.records[&outlets[8]] > before.records[&outlets[8]], "no page from before the move");
    app.assert_converged(&device, &world.caller(&world.anna)).await;
    app.finish().await;
}
