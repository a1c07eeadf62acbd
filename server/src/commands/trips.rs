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

/// Where something happened on an own trip: at an outlet at which it stops. And whether the trip is on its way, as far as anybody
/// knows: what a driver tells without network may come when it has been called off, or closed.
///
/// # Errors
/// `REASON_NOT_FOUND` for what whoever drives may not know of.
pub fn place(
    context: &Context<'_>,
    workspace: &Workspace,
    (trip_id, outlet): (&[u8], &[u8]),
) -> Result<(Place, bool), Stop> {
    let (_, trip) = known(context, workspace, trip_id)?;
    let unknown = || field::unknown::<Outlet>(outlet);
    let named = Uuid::from_slice(outlet).map_err(|_| unknown())?;
    if !stops_at(workspace, &trip, named)? {
        return Err(unknown());
    }
    Ok((field::place(workspace, outlet)?, trip.state() == TripState::Departed))
}

/// Whether a trip stops at an outlet, also if that one or the one of the stop was merged into another meanwhile.
fn stops_at(workspace: &Workspace, trip: &Trip, outlet: Uuid) -> Result<bool, Stop> {
    if trip.stops.iter().any(|stop| stop.outlet_id == outlet.as_bytes()) {
        return Ok(true);
    }
    let outlets = trip.stops.iter().filter_map(|stop| Uuid::from_slice(&stop.outlet_id).ok());
    let mut keys = Keys::default();
    outlets.clone().chain([outlet]).for_each(|outlet| keys.id(outlet));
    keys.load(workspace)?;
    if workspace.stored(outlet)?.is_none() {
        return Ok(false);
    }
    let remaining = field::remaining(workspace, outlet)?;
    for stop in outlets {
        if field::remaining(workspace, stop)? == remaining {
            return Ok(true);
        }
    }
    Ok(false)
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
