//! What contradicts the way of goods – a barcode of nothing, a shipment that is on the van already, more delivered than shipped –
//! is refused with a reason, the field and the numbers, and no record of anybody is another after it.

use roundsman_proto::sync::{Outcome, Status};
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{
    AnnounceReturn, AnnouncedReturnLine, CheckShipment, ClaimCause, ClaimLine, DeliverShipment, DeliveredLine,
    DepartTrip, FileClaim, ImportRecords, Reason, ReceiveReturn, ReceivedReturnLine, ReclamationCause, ReturnOrigin,
    ReturnReason, Scan, ShortageRule, Vehicle,
};
use roundsman_tests::app::TestApp;
use roundsman_tests::database::Kind;
use roundsman_tests::world::{PRICE_MINOR, bytes};
use uuid::Uuid;

use crate::claims::Arrived;
use crate::desk::{entry, import};
use crate::returns::{announce, receive};
use crate::shipments::{Warehouse, picks};
use crate::trips::{Fleet, close, deliver, load};

on_both_databases!(
    a_scan_of_what_is_nobodys_is_refused,
    what_is_loaded_is_not_loaded_again,
    what_has_no_room_is_refused_with_how_much_it_is_over,
    no_more_is_delivered_than_was_shipped,
    a_driver_tells_nothing_of_a_closed_trip,
    c24_nobody_claims_of_anothers_shipment,
    a_cause_is_not_below_itself,
    c33_what_was_never_bought_does_not_come_back,
);

/// All that is stored: records with their versions and documents, the server's own too, and how much others were told.
async fn everything(app: &TestApp, tenant: i64) -> (Vec<(Uuid, i64, Vec<u8>)>, i64) {
    let mut tx = app.core.db.read().await.expect("begins");
    let records = tx
        .query_as("SELECT id, version, document FROM record WHERE tenant = $1 ORDER BY id")
        .bind(tenant)
        .all()
        .await
        .expect("answers");
    let (told,): (i64,) = tx.query_as("SELECT CAST(COUNT(*) AS BIGINT) FROM outbox").one().await.expect("answers");
    (records, told)
}

/// How a command is refused: why, in which field, and with which facts among others.
struct Refusal<'a> {
    reason: Reason,
    field: &'a str,
    facts: &'a [(&'a str, &'a str)],
}

fn refusal<'a>(reason: Reason, field: &'a str, facts: &'a [(&'a str, &'a str)]) -> Refusal<'a> {
    Refusal { reason, field, facts }
}

fn assert_refused(outcome: &Outcome, expected: &Refusal<'_>) {
    assert_eq!((outcome.status(), outcome.reason()), (Status::Rejected, expected.reason), "{outcome:?}");
    assert!(outcome.text.starts_with(expected.field), "{} is not named: {outcome:?}", expected.field);
    let facts: Vec<(&str, &str)> = outcome.facts.iter().map(|fact| (fact.name.as_str(), fact.value.as_str())).collect();
    for fact in expected.facts {
        assert!(facts.contains(fact), "{fact:?} is not told: {outcome:?}");
    }
}

impl Warehouse {
    /// Logistics is refused, and everything is as it was.
    async fn refuses(&self, command: Command, expected: &Refusal<'_>) {
        let before = everything(&self.app, self.world.tenant).await;
        assert_refused(&self.asks(command).await, expected);
        assert!(everything(&self.app, self.world.tenant).await == before, "something is half done");
    }
}

impl Arrived {
    /// The office is refused, and everything is as it was.
    async fn refuses(&self, command: Command, expected: &Refusal<'_>) {
        let before = everything(&self.app, self.world.tenant).await;
        assert_refused(&self.app.office(command).await, expected);
        assert!(everything(&self.app, self.world.tenant).await == before, "something is half done");
    }

    /// Logistics is refused, and everything is as it was.
    async fn logistics_refused(&self, command: Command, expected: &Refusal<'_>) {
        let before = everything(&self.app, self.world.tenant).await;
        assert_refused(&self.logistics(command).await, expected);
        assert!(everything(&self.app, self.world.tenant).await == before, "something is half done");
    }
}

async fn a_scan_of_what_is_nobodys_is_refused(kind: Kind) {
    let mut house = Warehouse::make(kind, ShortageRule::ConfirmPart).await;
    let order = house.released(&[(0, 5, PRICE_MINOR)]).await;
    let shipment = house.prepares(order).await;
    house.does(picks(shipment, Vec::new(), true)).await;
    let check = |scans: &[(&str, i64)]| {
        let scan = |(barcode, count): &(&str, i64)| Scan { barcode: (*barcode).to_owned(), count: *count };
        Command::CheckShipment(CheckShipment { shipment_id: bytes(shipment), scans: scans.iter().map(scan).collect() })
    };
    let second = [("barcode", "9999999999999"), ("scans", "1")];
    let differs = [("picked_milli", "5000"), ("counted_milli", "6000")];
    for (scans, expected) in [
        // What was counted before it counts for nothing.
        (&[("4000000000000", 5), ("9999999999999", 1)][..], refusal(Reason::UnknownBarcode, "barcode", &second)),
        (&[("", 1)], refusal(Reason::UnknownBarcode, "barcode", &[("scans", "0")])),
        (&[("4000000000000", -5)], refusal(Reason::OutOfRange, "count", &[("scans", "0")])),
        (&[("4000000000000", 6)], refusal(Reason::CountDiffers, "", &differs)),
    ] {
        house.refuses(check(scans), &expected).await;
    }
    house.does(check(&[("4000000000000", 5)])).await;
    house.closes().await;
}

async fn what_is_loaded_is_not_loaded_again(kind: Kind) {
    let mut fleet = Fleet::make(kind).await;
    let (_, shipment) = fleet.prepared(0, 5).await;
    let trip = fleet.house.app.id();
    fleet.house.does(Command::PlanTrip(fleet.plan(trip, &fleet.dora, &[shipment]))).await;
    fleet.house.does(load(shipment)).await;
    let loaded = [("state", "SHIPMENT_STATE_LOADED")];
    fleet.house.refuses(load(shipment), &refusal(Reason::WrongState, "", &loaded)).await;
    fleet.house.does(Command::DepartTrip(DepartTrip { trip_id: bytes(trip) })).await;
    let left = [("state", "SHIPMENT_STATE_SHIPPED")];
    fleet.house.refuses(load(shipment), &refusal(Reason::WrongState, "", &left)).await;
    fleet.closes().await;
}

async fn what_has_no_room_is_refused_with_how_much_it_is_over(kind: Kind) {
    let mut fleet = Fleet::make(kind).await;
    let small = Vehicle {
        name: "Van 1".to_owned(),
        warehouse_id: bytes(fleet.house.world.warehouse),
        max_weight_g: 40_000,
        max_volume_cm3: 50_000,
        ..Vehicle::default()
    };
    import(&fleet.house.app, vec![entry(fleet.vans[0], Record::Vehicle(small))]).await;
    // A kilogram and two litres each.
    let (_, first) = fleet.prepared(0, 25).await;
    let (_, second) = fleet.prepared(1, 16).await;
    let trip = fleet.house.app.id();
    let plan = |shipments: &[Uuid]| Command::PlanTrip(fleet.plan(trip, &fleet.dora, shipments));
    let over = [("over_weight_g", "1000"), ("over_volume_cm3", "32000")];
    fleet.house.refuses(plan(&[first, second]), &refusal(Reason::OverCapacity, "shipment_ids", &over)).await;
    fleet.house.does(plan(&[first])).await;
    // A plan that goes too far leaves the trip as it was.
    fleet.house.refuses(plan(&[first, second]), &refusal(Reason::OverCapacity, "shipment_ids", &over)).await;
    fleet.closes().await;
}

async fn no_more_is_delivered_than_was_shipped(kind: Kind) {
    let mut fleet = Fleet::make(kind).await;
    let (_, shipment) = fleet.prepared(0, 5).await;
    let (_, inside) = fleet.prepared(1, 3).await;
    let trip = fleet.departed(&[shipment]).await;
    let line_id = fleet.house.shipment(shipment).await.lines[0].line_id.clone();
    let arrives = |line_id: &[u8], delivered_milli, refused_milli| {
        let line =
            DeliveredLine { line_id: line_id.to_vec(), delivered_milli, refused_milli, ..DeliveredLine::default() };
        Command::DeliverShipment(DeliverShipment { lines: vec![line], ..deliver(shipment) })
    };
    let (most, rest) = ([("min", "0"), ("max", "5000"), ("lines", "0")], [("max", "1000"), ("lines", "0")]);
    for (command, expected) in [
        (arrives(&line_id, 5_001, 0), refusal(Reason::OutOfRange, "delivered_milli", &most)),
        (arrives(&line_id, 4_000, 1_001), refusal(Reason::OutOfRange, "refused_milli", &rest)),
        (arrives(&line_id, -1, 0), refusal(Reason::OutOfRange, "delivered_milli", &most)),
        (arrives(&line_id, i64::MAX, i64::MAX), refusal(Reason::OutOfRange, "delivered_milli", &most)),
        (arrives(&[9; 16], 1_000, 0), refusal(Reason::Mismatch, "line_id", &[("lines", "0")])),
        (
            Command::DeliverShipment(deliver(inside)),
            refusal(Reason::WrongState, "", &[("state", "SHIPMENT_STATE_PREPARED")]),
        ),
    ] {
        fleet.house.refuses(command, &expected).await;
    }
    let product = fleet.house.world.products[0];
    fleet.house.does(Command::DeliverShipment(deliver(shipment))).await;
    let nothing = [("most_milli", "0"), ("returned", "0")];
    let all_came = close(trip, &[(product, 1, 0)]);
    fleet.house.refuses(all_came, &refusal(Reason::MoreCameBack, "", &nothing)).await;
    fleet.closes().await;
}

async fn a_driver_tells_nothing_of_a_closed_trip(kind: Kind) {
    let mut fleet = Fleet::make(kind).await;
    let (_, shipment) = fleet.prepared(0, 5).await;
    let (_, next) = fleet.prepared(1, 3).await;
    let trip = fleet.departed(&[shipment]).await;
    fleet.house.does(Command::DeliverShipment(deliver(shipment))).await;
    fleet.house.does(close(trip, &[])).await;
    let id = trip.to_string();
    let closed = [("trip_id", id.as_str())];
    let state = [("state", "TRIP_STATE_CLOSED")];
    let tenant = fleet.house.world.tenant;
    let nobody = DeliverShipment { not_attempted: true, ..deliver(shipment) };
    for (command, expected) in [
        (Command::DeliverShipment(nobody), refusal(Reason::TripClosed, "", &closed)),
        (load(shipment), refusal(Reason::WrongState, "", &[("state", "SHIPMENT_STATE_DELIVERED")])),
        (Command::DepartTrip(DepartTrip { trip_id: bytes(trip) }), refusal(Reason::WrongState, "", &state)),
    ] {
        let before = everything(&fleet.house.app, tenant).await;
        let Fleet { house, dora, .. } = &mut fleet;
        let outcome = house.app.decide(&mut dora.phone, command).await;
        assert_refused(&outcome, &expected);
        assert!(everything(&house.app, tenant).await == before, "something is half done");
    }
    let again = Command::PlanTrip(fleet.plan(trip, &fleet.dora, &[next]));
    fleet.house.refuses(again, &refusal(Reason::WrongState, "", &state)).await;
    fleet.closes().await;
}

async fn c24_nobody_claims_of_anothers_shipment(kind: Kind) {
    let house = Arrived::with(kind, 5_000).await;
    let elsewhere = |claim: FileClaim| FileClaim { outlet_id: bytes(house.world.boris.outlets[0]), ..claim };
    let damaged = || house.claim(ReclamationCause::Damaged, 1_000);
    let of_line = |line: ClaimLine| FileClaim { lines: vec![line], ..damaged() };
    let line = damaged().lines[0].clone();
    let first = [("lines", "0")];
    let other_goods = ClaimLine { product_id: bytes(house.world.products[1]), ..line.clone() };
    for (claim, expected) in [
        (elsewhere(damaged()), refusal(Reason::Mismatch, "shipment_id", &[])),
        (
            of_line(ClaimLine { shipment_line_id: vec![9; 16], ..line.clone() }),
            refusal(Reason::Mismatch, "shipment_line_id", &first),
        ),
        (of_line(other_goods), refusal(Reason::Mismatch, "shipment_line_id", &first)),
        (of_line(ClaimLine { claimed_milli: 0, ..line }), refusal(Reason::OutOfRange, "claimed_milli", &first)),
    ] {
        house.refuses(Command::FileClaim(claim), &expected).await;
    }
    house.closes().await;
}

async fn a_cause_is_not_below_itself(kind: Kind) {
    let house = Arrived::with(kind, 5_000).await;
    let ids: Vec<Uuid> = (0..3).map(|_| house.app.id()).collect();
    let below = |parent: Option<Uuid>| ClaimCause {
        name: "Cause".to_owned(),
        parent_id: parent.map(bytes).unwrap_or_default(),
        cause: ReclamationCause::Quality.into(),
        ..ClaimCause::default()
    };
    let line = |id: Uuid, parent: Option<Uuid>| entry(id, Record::ClaimCause(below(parent)));
    import(&house.app, vec![line(ids[0], None), line(ids[1], Some(ids[0])), line(ids[2], Some(ids[1]))]).await;
    let cycle = refusal(Reason::CauseCycle, "parent_id", &[]);
    for records in [
        vec![line(ids[0], Some(ids[0]))],
        vec![line(ids[0], Some(ids[2]))],
        // Nor what stood in the file before it.
        vec![line(house.app.id(), None), line(ids[0], Some(ids[1]))],
    ] {
        house.refuses(Command::ImportRecords(ImportRecords { records }), &cycle).await;
    }
    house.closes().await;
}

async fn c33_what_was_never_bought_does_not_come_back(kind: Kind) {
    let house = Arrived::with(kind, 3_000).await;
    let stranger = vec![9; 16];
    let back = |shipment_line_id: Vec<u8>, sellable_milli| {
        let line = ReceivedReturnLine {
            shipment_line_id,
            sellable_milli,
            reason: ReturnReason::Unsold.into(),
            ..ReceivedReturnLine::default()
        };
        Command::ReceiveReturn(ReceiveReturn {
            return_id: bytes(house.app.id()),
            shipment_id: bytes(house.shipment),
            origin: ReturnOrigin::GivenBack.into(),
            lines: vec![line],
            ..ReceiveReturn::default()
        })
    };
    let wish = |shipment_line_id: Vec<u8>, quantity_milli| {
        let line = AnnouncedReturnLine { shipment_line_id, quantity_milli, reason: ReturnReason::Unsold.into() };
        Command::AnnounceReturn(AnnounceReturn { lines: vec![line], ..announce(&house, 0) })
    };
    let nowhere = AnnounceReturn { shipment_id: bytes(house.app.id()), ..announce(&house, 1_000) };
    let (first, most) = ([("lines", "0")], [("returnable_milli", "3000"), ("lines", "0")]);
    for (command, expected) in [
        (back(stranger.clone(), 1_000), refusal(Reason::Mismatch, "shipment_line_id", &first)),
        (wish(stranger, 1_000), refusal(Reason::Mismatch, "shipment_line_id", &first)),
        (back(house.line.clone(), 3_001), refusal(Reason::ReturnExceedsDelivered, "sellable_milli", &most)),
        (wish(house.line.clone(), 3_001), refusal(Reason::ReturnExceedsDelivered, "quantity_milli", &most)),
        (back(house.line.clone(), -1), refusal(Reason::OutOfRange, "sellable_milli", &first)),
        (Command::AnnounceReturn(nowhere), refusal(Reason::NotFound, "", &[])),
    ] {
        house.logistics_refused(command, &expected).await;
    }
    assert_eq!(
        house.logistics(receive(&house, house.app.id(), ReturnOrigin::GivenBack, 3_000, 0)).await.status(),
        Status::Applied
    );
    let none = [("returnable_milli", "0")];
    let more = back(house.line.clone(), 1);
    house.logistics_refused(more, &refusal(Reason::ReturnExceedsDelivered, "sellable_milli", &none)).await;
    house.closes().await;
}
