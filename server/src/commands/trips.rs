//! What the commands about trips have in common: who may know of one, its shipments, who holds it.

use roundsman_proto::auth::Role;
use roundsman_proto::trade::{Outlet, Reason, Shipment, Trip, TripState};
use roundsman_sync::scope::Scope;
use roundsman_sync::trade::placement::Stamps;
use roundsman_sync::trade::rejection::Rejection;
use roundsman_sync::trade::trip;
use uuid::Uuid;

use super::field::Place;
use super::{Context, Issuer, field};
use crate::internal::Granted;
use crate::network::{self, stored_id};
use crate::workspace::{Keys, Stop, Workspace};

/// Asks for what [`put`] needs.
pub fn put_keys(trip: &Trip, keys: &mut Keys) {
    if let Ok(driver) = Uuid::from_slice(&trip.driver_id) {
        keys.internal::<Granted>(&Scope::Rep(driver));
    }
}

/// Asks for the trip of a shipment.
pub fn keys_of(shipment: &[u8], workspace: &Workspace, keys: &mut Keys) {
    keys.record(shipment);
    if let Ok((_, shipment)) = workspace.live::<Shipment>(shipment) {
        keys.record(&shipment.trip_id);
    }
}

/// The trip that a command names, if its caller may know of it: whoever drives knows the own ones.
///
/// # Errors
/// See [`field::known`].
pub fn known(context: &Context<'_>, workspace: &Workspace, id: &[u8]) -> Result<(Uuid, Trip), Stop> {
    field::known(context, workspace, id, |trip| Ok(may_know(context, trip)))
}

/// The trip of a shipment that a command names, if its caller may know of the shipment; `None`: it goes with none.
///
/// # Errors
/// See [`field::known`].
pub fn of_shipment(context: &Context<'_>, workspace: &Workspace, id: &[u8]) -> Result<Option<(Uuid, Trip)>, Stop> {
    let trip_of = |shipment: &Shipment| match Uuid::from_slice(&shipment.trip_id) {
        Ok(trip) => Ok(workspace.find::<Trip>(trip)?.map(|found| (trip, found))),
        Err(_) => Ok(None),
    };
    let may_know = |shipment: &Shipment| {
        let trip = trip_of(shipment)?;
        Ok(trip.map_or(!drives(context), |(_, trip)| may_know(context, &trip)))
    };
    let (_, shipment) = field::known::<Shipment>(context, workspace, id, may_know)?;
    trip_of(&shipment)
}

/// Refuses what is told of a trip that is closed.
///
/// # Errors
/// `REASON_TRIP_CLOSED`.
pub fn goes_on(id: Uuid, trip: &Trip) -> Result<(), Rejection> {
    match trip.state() {
        TripState::Closed => Err(Rejection::new(Reason::TripClosed).fact(Some(id), "trip_id", id)),
        TripState::Unspecified | TripState::Forming | TripState::Loading => Ok(()),
        TripState::Departed | TripState::Cancelled => Ok(()),
    }
}

/// Where a command of a driver counts: at an outlet to which the own trip is on its way.
///
/// # Errors
/// `REASON_NOT_FOUND` for what the driver may not know of, `REASON_TRIP_CLOSED`, `REASON_WRONG_STATE` before it has left.
pub fn place(context: &Context<'_>, workspace: &Workspace, (trip_id, outlet): (&[u8], &[u8])) -> Result<Place, Stop> {
    let (id, trip) = known(context, workspace, trip_id)?;
    goes_on(id, &trip)?;
    if trip.state() != TripState::Departed {
        let state = trip.state().as_str_name();
        return Err(Rejection::new(Reason::WrongState).fact(Some(id), "state", state).into());
    }
    if trip.stops.iter().all(|stop| stop.outlet_id != outlet) {
        return Err(field::unknown::<Outlet>(outlet));
    }
    field::place(workspace, outlet)
}

/// Whether the caller knows only trips of the own.
fn drives(context: &Context<'_>) -> bool {
    match context.issuer {
        Issuer::Server => false,
        Issuer::User(caller) => matches!(caller.role, Role::Driver | Role::Rep),
    }
}

fn may_know(context: &Context<'_>, trip: &Trip) -> bool {
    !drives(context) || context.issuer.rep().is_some_and(|rep| trip.driver_id == rep.as_bytes())
}

/// The shipments of a trip, in order.
///
/// # Errors
/// [`Stop::Load`]; [`Stop::Corrupt`].
pub fn shipments(workspace: &Workspace, trip: &Trip) -> Result<Vec<(Uuid, Shipment)>, Stop> {
    let mut found = Vec::new();
    for id in trip::shipment_ids(trip) {
        let shipment = workspace.find(id)?;
        found.push((id, shipment.ok_or_else(|| Stop::Corrupt(format!("the shipment {id} of a trip is not there")))?));
    }
    Ok(found)
}

/// Writes a trip; while it is open, whoever drives holds it with its shipments.
///
/// # Errors
/// See [`Stop`].
pub fn put(workspace: &mut Workspace, (id, before): (Uuid, Option<&Trip>), after: &Trip) -> Result<(), Stop> {
    let holder = |trip: &Trip| match trip::is_open(trip) {
        true => stored_id(&trip.driver_id).map(Some),
        false => Ok(None),
    };
    let (left, given) = (before.map(holder).transpose()?.flatten(), holder(after)?);
    if left != given {
        for (driver, by) in left.map(|driver| (driver, -1)).into_iter().chain(given.map(|driver| (driver, 1))) {
            network::grant(workspace, Scope::Rep(driver), Scope::Trip(id), by)?;
        }
    }
    workspace.put(id, after, &Stamps::default())
}
