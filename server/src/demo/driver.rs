//! The day of somebody who drives: the trips that the phone shows, stop by stop, with what goes wrong on the way.

use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::{
    CollectPayment, CountedCash, DeliverShipment, DeliveredLine, DeliveryProof, DepartTrip, HandInCash, PaymentMethod,
    RefusalReason, ReturnedGoods, Shipment, ShipmentLine, ShipmentState, Trip, TripState,
};
use roundsman_sync::trade::shipment::is_inside;
use roundsman_sync::trade::trip::shipment_ids;
use uuid::Uuid;

use super::app::{App, Storages};
use super::catalogue::CURRENCY;
use super::logistics::{picks, step_id};
use super::plan::{END_S, MINUTE};
use super::world::{TERRITORIES, bytes};

/// From one outlet to the next, unloading included, in seconds.
const STOP_S: i32 = 9 * MINUTE;
/// Between two looks at the phone.
const LOOK_S: i32 = 3 * MINUTE;
/// Of so many lines one is refused in part …
const REFUSED: u8 = 20;
/// … and of one a piece is missing.
const MISSING: u8 = 29;
/// Of so many deliveries one is refused as a whole.
const REFUSED_WHOLE: u8 = 20;
/// This one comes to the last outlet of a trip when that has closed.
const LATE: usize = TERRITORIES;
/// Of so many customers one pays something in cash …
const PAYS: u8 = 3;
/// … so much for each line, in minor units.
const CASH_A_LINE_MINOR: i64 = 2_500;
/// Of so many who drive the last one has no connection on the way.
const WITHOUT_NETWORK: usize = 3;

/// The day.
///
/// # Errors
/// When the server refuses, or a storage fails.
pub async fn work<S: Storages>(app: &mut App<S>) -> anyhow::Result<()> {
    loop {
        let now_s = app.shared.second();
        match own_trip(app)? {
            Some((id, trip)) if trip.state() == TripState::Departed => drive(app, id, &trip).await?,
            Some((id, trip)) if is_loaded(app, &trip)? => {
                app.capture(Command::DepartTrip(DepartTrip { trip_id: bytes(id) })).await?;
                app.sync().await?;
            }
            Some(_) | None if now_s >= END_S => return Ok(()),
            Some(_) | None => app.live_until((now_s + LOOK_S).min(END_S)).await?,
        }
    }
}

/// The trip that is to be driven, or being driven.
fn own_trip<S: Storages>(app: &App<S>) -> anyhow::Result<Option<(Uuid, Trip)>> {
    let back = |id: &Uuid| app.shared.on_ramp(*id).is_some();
    Ok(app.all::<Trip>()?.into_iter().map(|(id, _, trip)| (id, trip)).find(|(id, _)| !back(id)))
}

/// What the phone shows of a trip's shipments.
fn shipments<S: Storages>(app: &App<S>, trip: &Trip) -> anyhow::Result<Vec<(Uuid, Shipment)>> {
    let shown =
        shipment_ids(trip).map(|id| Ok(app.shown::<Shipment>(id.as_bytes())?.map(|(_, shipment)| (id, shipment))));
    shown.filter_map(Result::transpose).collect()
}

/// Whether nothing that still goes with the trip stands on the ramp.
fn is_loaded<S: Storages>(app: &App<S>, trip: &Trip) -> anyhow::Result<bool> {
    let shipments = shipments(app, trip)?;
    let waits = |shipment: &Shipment| is_inside(shipment) && shipment.state() != ShipmentState::Loaded;
    let loaded = |shipment: &Shipment| shipment.state() == ShipmentState::Loaded;
    let all = shipments.len() == shipment_ids(trip).count() && !shipments.iter().any(|(_, shipment)| waits(shipment));
    Ok(all && shipments.iter().any(|(_, shipment)| loaded(shipment)))
}

/// Brings everything, hands the cash in, and comes back.
async fn drive<S: Storages>(app: &mut App<S>, trip_id: Uuid, trip: &Trip) -> anyhow::Result<()> {
    let without_network = app.rep % WITHOUT_NETWORK == WITHOUT_NETWORK - 1;
    if without_network {
        app.go_offline();
    }
    let closed = trip.stops.len().checked_sub(1).filter(|last| app.rep == LATE && *last > 0);
    for (place, stop) in trip.stops.iter().enumerate() {
        app.live_until(app.shared.second() + STOP_S).await?;
        for id in &stop.shipment_ids {
            if let Some((_, shipment)) =
                app.shown::<Shipment>(id)?.filter(|(_, it)| it.state() == ShipmentState::Shipped)
            {
                hand_over(app, trip_id, (id, &shipment), closed == Some(place)).await?;
            }
        }
    }
    app.live_until(app.shared.second() + STOP_S).await?;
    if without_network {
        app.go_online();
    }
    if app.cash_minor > 0 {
        let hand_in = hand_in(trip_id, app.cash_minor);
        app.capture(Command::HandInCash(hand_in)).await?;
        app.cash_minor = 0;
    }
    app.sync().await?;
    let goods = left_over(&shipments(app, trip)?);
    app.shared.unload(trip_id, goods);
    Ok(())
}

/// What happens at an outlet; one that has closed gets nothing.
async fn hand_over<S: Storages>(
    app: &mut App<S>,
    trip_id: Uuid,
    (id, shipment): (&[u8], &Shipment),
    not_attempted: bool,
) -> anyhow::Result<()> {
    let whole = picks(id, REFUSED_WHOLE, 2);
    let lines = shipment.lines.iter().filter(|_| !not_attempted).filter_map(|line| taken(line, whole)).collect();
    let at_us = app.shared.now_us();
    let proof = DeliveryProof { received_by: "The shift leader".to_owned(), at_us, ..DeliveryProof::default() };
    let delivery = DeliverShipment {
        shipment_id: id.to_vec(),
        lines,
        not_attempted,
        proof: (!not_attempted).then_some(proof),
        reclamation_id: step_id("reclamation", id),
        comment: String::new(),
    };
    app.capture(Command::DeliverShipment(delivery)).await?;
    if !not_attempted && !whole && picks(id, PAYS, 0) {
        let payment = payment(app, trip_id, (id, shipment));
        app.cash_minor += payment.amount_minor;
        app.capture(Command::CollectPayment(payment)).await?;
    }
    Ok(())
}

/// What became of a line, if it was not just taken.
fn taken(line: &ShipmentLine, whole: bool) -> Option<DeliveredLine> {
    let half = line.loaded_milli - line.loaded_milli / 2;
    let (refused_milli, missing_milli, reason) = match line.loaded_milli {
        0 => return None,
        all if whole => (all, 0, RefusalReason::NoMoney),
        _ if picks(&line.line_id, REFUSED, 3) => (half, 0, RefusalReason::Damaged),
        _ if picks(&line.line_id, MISSING, 5) => (0, half, RefusalReason::Unspecified),
        _ => return None,
    };
    Some(DeliveredLine {
        line_id: line.line_id.clone(),
        delivered_milli: line.loaded_milli - refused_milli - missing_milli,
        refused_milli,
        refusal_reason: reason.into(),
    })
}

fn payment<S: Storages>(app: &App<S>, trip_id: Uuid, (id, shipment): (&[u8], &Shipment)) -> CollectPayment {
    let world = &app.shared.world;
    let outlet = (0..world.city.outlets.len()).find(|outlet| bytes(world.outlet_id(*outlet)) == shipment.outlet_id);
    let customer_id =
        outlet.map_or_else(Vec::new, |outlet| bytes(world.customer_id(world.city.outlets[outlet].customer)));
    let lines = i64::try_from(shipment.lines.len()).unwrap_or(1);
    CollectPayment {
        payment_id: step_id("cash", id),
        outlet_id: shipment.outlet_id.clone(),
        customer_id,
        order_id: shipment.order_id.clone(),
        amount_minor: CASH_A_LINE_MINOR * lines,
        currency: CURRENCY.to_owned(),
        method: PaymentMethod::Cash.into(),
        trip_id: bytes(trip_id),
        ..CollectPayment::default()
    }
}

fn hand_in(trip_id: Uuid, cash_minor: i64) -> HandInCash {
    let counted = CountedCash { method: PaymentMethod::Cash.into(), amount_minor: cash_minor };
    HandInCash {
        hand_in_id: step_id("hand-in", trip_id.as_bytes()),
        currency: CURRENCY.to_owned(),
        counted: vec![counted],
        ..HandInCash::default()
    }
}

/// What comes back, product by product: what was refused as damaged can't be sold.
fn left_over(shipments: &[(Uuid, Shipment)]) -> Vec<ReturnedGoods> {
    let mut goods: Vec<ReturnedGoods> = Vec::new();
    for (shipment, line) in shipments.iter().flat_map(|(_, of)| of.lines.iter().map(move |line| (of, line))) {
        let not_attempted = shipment.state() == ShipmentState::NotAttempted;
        let back_milli = if not_attempted { line.loaded_milli } else { line.refused_milli };
        if back_milli == 0 {
            continue;
        }
        let index = goods.iter().position(|known| known.product_id == line.product_id).unwrap_or_else(|| {
            goods.push(ReturnedGoods { product_id: line.product_id.clone(), ..ReturnedGoods::default() });
            goods.len() - 1
        });
        if line.refusal_reason() == RefusalReason::Damaged {
            goods[index].unsellable_milli += back_milli;
        } else {
            goods[index].sellable_milli += back_milli;
        }
    }
    goods
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_taken_comes_back_product_by_product() {
        let line = |product: u8, refused_milli, reason: RefusalReason| ShipmentLine {
            product_id: vec![product; 16],
            loaded_milli: 5_000,
            delivered_milli: 5_000 - refused_milli,
            refused_milli,
            refusal_reason: reason.into(),
            ..ShipmentLine::default()
        };
        let taken = Shipment {
            lines: vec![line(1, 2_000, RefusalReason::Damaged), line(2, 0, RefusalReason::Unspecified)],
            state: ShipmentState::PartlyDelivered.into(),
            ..Shipment::default()
        };
        let unreached = Shipment {
            lines: vec![line(1, 0, RefusalReason::Unspecified)],
            state: ShipmentState::NotAttempted.into(),
            ..Shipment::default()
        };
        let back = left_over(&[(Uuid::nil(), taken), (Uuid::nil(), unreached)]);
        assert_eq!(back.len(), 1, "{back:?}");
        assert_eq!((back[0].sellable_milli, back[0].unsellable_milli), (5_000, 2_000));
    }
}
