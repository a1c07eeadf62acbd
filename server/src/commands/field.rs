//! What commands about an outlet have in common: the outlet that a command names, or the one that took its place; its
//! territory with its calendar; what the caller may do there; how the command was captured.

use std::collections::BTreeMap;

use chrono_tz::Tz;
use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{Agreement, Order, Outlet, Reason, Territory};
use roundsman_sync::kind::Record;
use roundsman_sync::scope::Month;
use roundsman_sync::trade::assignment::{self, Assigned, Placed, Right};
use roundsman_sync::trade::capture::{self, Capture, Editor};
use roundsman_sync::trade::check;
use roundsman_sync::trade::delivery::LocalTime;
use roundsman_sync::trade::outlet;
use roundsman_sync::trade::placement::Stamps;
use roundsman_sync::trade::reclamation::deadline::Due;
use roundsman_sync::trade::rejection::Rejection;
use roundsman_sync::trade::verdict::Verdict;
use roundsman_sync::trade::working_days::WorkingDays;
use uuid::Uuid;

use super::{Context, Issuer, decided};
use crate::calendar;
use crate::internal::{OutletDocuments, OutletOrder};
use crate::network::{self, stored_id};
use crate::workspace::{Keys, Stop, Workspace};

/// So many outlets may have been merged one into the next.
const MERGES: usize = 64;

/// Where a command counts.
#[derive(Clone, Debug)]
pub struct Place {
    /// The outlet that the command names.
    named: Uuid,
    /// The outlet where it counts: the one that remained, when the named one was archived as a duplicate.
    pub outlet_id: Uuid,
    /// What that outlet is like, with the customer whose it is now. Of one that was archived without a survivor only the territory
    /// is left.
    pub outlet: Outlet,
    /// It was archived, and no other took its place.
    pub archived: bool,
    /// Its territory.
    pub territory_id: Uuid,
    /// What the territory is like.
    pub territory: Territory,
    zone: Tz,
}

/// Asks for what [`place`] and the rights of the caller need.
pub fn keys(context: &Context<'_>, outlet: &[u8], workspace: &Workspace, keys: &mut Keys) {
    if let Some(rep) = context.issuer.rep() {
        keys.internal::<Assigned>(&rep);
        if let Ok(outlet) = Uuid::from_slice(outlet) {
            keys.internal::<Placed>(&outlet);
        }
    }
    place_keys(outlet, workspace, keys);
}

/// Asks for what [`place`] needs. Returns the outlet, if it is known by now and was not archived.
pub fn place_keys(outlet: &[u8], workspace: &Workspace, keys: &mut Keys) -> Option<Outlet> {
    let id = last_known(outlet, workspace, keys)?;
    let found = workspace.find::<Outlet>(id).ok()?;
    let territory = match &found {
        Some(outlet) => Uuid::from_slice(&outlet.territory_id).ok(),
        None => {
            keys.internal::<Placed>(&id);
            last_territory(workspace, id).ok().flatten()
        }
    };
    if let Some(territory) = territory {
        keys.id(territory);
    }
    if let Some(outlet) = &found {
        network::remaining_customer_keys(&outlet.customer_id, workspace, keys);
    }
    found
}

/// Asks for what [`hang`] needs.
pub fn hang_keys(context: &Context<'_>, outlet: &[u8], workspace: &Workspace, keys: &mut Keys) {
    for outlet in named_and_remaining(outlet, workspace) {
        network::hang_keys(outlet.as_bytes(), made_in(context), keys);
    }
}

/// The outlet that a command names and, as far as it is known by now, the one that stands for it.
pub fn named_and_remaining(outlet: &[u8], workspace: &Workspace) -> impl Iterator<Item = Uuid> + use<> {
    let named = Uuid::from_slice(outlet).ok();
    let remaining = named.and_then(|named| remaining(workspace, named).ok());
    named.into_iter().chain(remaining.filter(|remaining| named != Some(*remaining)))
}

/// Asks for the outlet and those that it was merged into, and returns the last of them that is known by now.
fn last_known(outlet: &[u8], workspace: &Workspace, keys: &mut Keys) -> Option<Uuid> {
    let mut id = Uuid::from_slice(outlet).ok()?;
    for _ in 0..MERGES {
        keys.id(id);
        match workspace.stored(id).ok()??.survivor {
            Some(survivor) => id = survivor,
            None => return Some(id),
        }
    }
    None
}

/// Where a command counts that names this outlet.
///
/// # Errors
/// See [`Stop`]; rejections for an id that is none, or not an outlet's.
pub fn place(workspace: &Workspace, outlet: &[u8]) -> Result<Place, Stop> {
    let named = check::id(outlet, Outlet::NAME)?;
    let outlet_id = remaining(workspace, named)?;
    let found = workspace.find::<Outlet>(outlet_id)?;
    let archived = found.is_none();
    let outlet = match found {
        Some(outlet) => with_remaining_customer(workspace, outlet)?,
        None => Outlet { territory_id: left_in(workspace, outlet_id)?.as_bytes().to_vec(), ..Outlet::default() },
    };
    let territory_id = stored_id(&outlet.territory_id)?;
    let territory: Territory = workspace
        .find(territory_id)?
        .ok_or_else(|| Stop::Corrupt(format!("the outlet {outlet_id} is in a territory that is not there")))?;
    let zone = zone(&territory)?;
    Ok(Place { named, outlet_id, outlet, archived, territory_id, territory, zone })
}

/// An outlet that has not followed yet when its customer was merged into another is that one's all the same.
fn with_remaining_customer(workspace: &Workspace, outlet: Outlet) -> Result<Outlet, Stop> {
    match network::optional_id(&outlet.customer_id)? {
        Some(customer) => {
            let customer_id = network::remaining_customer(workspace, customer)?.as_bytes().to_vec();
            Ok(Outlet { customer_id, ..outlet })
        }
        None => Ok(outlet),
    }
}

/// Where a command counts that names this outlet, if its caller may know of it: an outlet that was never the rep's, or is
/// another team's, is as unknown as one that is not there. Nobody finds out by asking what there is.
///
/// # Errors
/// See [`place`].
pub fn known_place(context: &Context<'_>, workspace: &Workspace, outlet: &[u8]) -> Result<Place, Stop> {
    match blind(context, place(workspace, outlet))? {
        Some(place) if knows_place(context, workspace, &place)? => Ok(place),
        Some(_) | None => Err(unknown::<Outlet>(outlet)),
    }
}

/// The record that a command is about, with the place where it counts; see [`known_place`]. `outlet` says where it is.
///
/// # Errors
/// See [`known`] and [`place`].
pub fn known_at<R: Record>(
    context: &Context<'_>,
    workspace: &Workspace,
    id: &[u8],
    outlet: impl for<'a> Fn(&'a R) -> &'a [u8],
) -> Result<(Uuid, R, Place), Stop> {
    let at = |record: &R| place(workspace, outlet(record));
    let (id, record) = known::<R>(context, workspace, id, |record| knows_place(context, workspace, &at(record)?))?;
    let place = at(&record)?;
    Ok((id, record, place))
}

/// The live record that a command names, if its caller may know of it: otherwise it is as unknown as one that is not there.
///
/// # Errors
/// See [`Workspace::live`].
pub fn known<R: Record>(
    context: &Context<'_>,
    workspace: &Workspace,
    id: &[u8],
    may_know: impl FnOnce(&R) -> Result<bool, Stop>,
) -> Result<(Uuid, R), Stop> {
    match blind(context, workspace.live::<R>(id))? {
        Some((id, record)) if may_know(&record)? => Ok((id, record)),
        Some(_) | None => Err(unknown::<R>(id)),
    }
}

/// A record that a command names beside the one that it is about; `None`: there is none of this kind. The rule says what
/// follows.
///
/// # Errors
/// [`Stop::Load`]; [`Stop::Corrupt`].
pub fn named<R: Record>(workspace: &Workspace, id: Option<Uuid>) -> Result<Option<R>, Stop> {
    match id.map(|id| workspace.find(id)) {
        None | Some(Err(Stop::Rejected(_))) => Ok(None),
        Some(found) => found,
    }
}

/// Whether the caller may know of what belongs to a team: a supervisor of the own one. All others are judged by other rules.
#[must_use]
pub fn knows_team(context: &Context<'_>, team: &[u8]) -> bool {
    match context.issuer {
        Issuer::Server => true,
        Issuer::User(caller) => match caller.role {
            Role::Supervisor => caller.team.is_some_and(|own| own.as_bytes() == team),
            Role::Unspecified | Role::Driver => false,
            Role::Rep | Role::Logistics | Role::Office | Role::Admin | Role::Integration => true,
        },
    }
}

fn knows_place(context: &Context<'_>, workspace: &Workspace, place: &Place) -> Result<bool, Stop> {
    let held = match context.issuer.rep() {
        Some(rep) => right(context, workspace, rep, &workspace.internal(&place.named)?)? != Right::Never,
        None => true,
    };
    Ok(held && knows_team(context, &place.territory.team_id))
}

/// Who sees a part of the tenant only is not told that an id belongs to a record of another kind.
fn blind<T>(context: &Context<'_>, found: Result<T, Stop>) -> Result<Option<T>, Stop> {
    let part = match context.issuer {
        Issuer::Server => false,
        Issuer::User(caller) => matches!(caller.role, Role::Rep | Role::Supervisor | Role::Driver),
    };
    match found {
        Err(Stop::Rejected(rejection)) if part && rejection.reason == Reason::IdOfAnotherKind => Ok(None),
        found => found.map(Some),
    }
}

/// The answer for a record that is not there, and for one of which the caller may not know.
#[must_use]
pub fn unknown<R: Record>(id: &[u8]) -> Stop {
    let rejection = Rejection::new(Reason::NotFound).field(R::NAME);
    Uuid::from_slice(id).map_or_else(|_| rejection.clone(), |id| rejection.clone().about(id)).into()
}

/// The outlet that stands for this one: itself, or where it was merged into.
///
/// # Errors
/// [`Stop::Load`]; `REASON_NOT_FOUND`.
pub fn remaining(workspace: &Workspace, named: Uuid) -> Result<Uuid, Stop> {
    let mut id = named;
    for _ in 0..MERGES {
        match workspace.stored(id)? {
            None => {
                return Err(Rejection::new(Reason::NotFound).about(named).field(Outlet::NAME).into());
            }
            Some(stored) => match stored.survivor {
                Some(survivor) => id = survivor,
                None => return Ok(id),
            },
        }
    }
    Err(Stop::Corrupt(format!("the outlet {named} was merged too often")))
}

/// Where an outlet is, or was when it was archived. Of one that was archived as a duplicate the documents are the
/// survivor's.
///
/// # Errors
/// See [`place`].
pub fn territory_of(workspace: &Workspace, outlet: Uuid) -> Result<Uuid, Stop> {
    let outlet = remaining(workspace, outlet)?;
    match workspace.find::<Outlet>(outlet)? {
        Some(found) => stored_id(&found.territory_id),
        None => left_in(workspace, outlet),
    }
}

fn left_in(workspace: &Workspace, outlet: Uuid) -> Result<Uuid, Stop> {
    let territory = last_territory(workspace, outlet)?;
    territory.ok_or_else(|| Stop::Corrupt(format!("the outlet {outlet} never had a territory")))
}

fn last_territory(workspace: &Workspace, outlet: Uuid) -> Result<Option<Uuid>, Stop> {
    let placed: Placed = workspace.internal(&outlet)?;
    Ok(placed.spans.last().and_then(|span| Uuid::from_slice(&span.territory).ok()))
}

/// The time zone of a stored territory.
///
/// # Errors
/// [`Stop::Corrupt`] when it has none: a territory is not taken without.
pub fn zone(territory: &Territory) -> Result<Tz, Stop> {
    calendar::zone(&territory.time_zone).ok_or_else(|| Stop::Corrupt("a territory without a zone".to_owned()))
}

impl Place {
    /// The day that a moment lies in, by the territory's calendar: microseconds since the Unix epoch, to days since
    /// 1970-01-01.
    #[must_use]
    pub fn day(&self, at_us: i64) -> i32 {
        calendar::day(self.zone, at_us)
    }

    /// The end of a deadline that begins at a moment (in microseconds since the Unix epoch), by the territory's working days.
    #[must_use]
    pub fn due(&self, at_us: i64, working_days: i32) -> Due {
        let day = WorkingDays::of(&self.territory).after(self.day(at_us), working_days);
        Due { day, at_us: calendar::start_of_day(self.zone, day.saturating_add(1)) }
    }

    /// The moment in the territory's calendar.
    #[must_use]
    pub fn local(&self, at_us: i64) -> LocalTime {
        calendar::local(self.zone, at_us)
    }

    /// The placement of an open document of the outlet.
    #[must_use]
    pub fn open(&self) -> Stamps {
        Stamps::of_territory(self.territory_id)
    }

    /// The placement of a document that ends with this decision: the month is that of the decision.
    #[must_use]
    pub fn closed(&self, context: &Context<'_>) -> Stamps {
        self.open().closed(Some(calendar::month(self.zone, context.now_us)))
    }

    /// The outcome of a command that names the outlet. Who does not see the outlet as it is now – it was lost a moment ago,
    /// or the one that stands for it is somebody else's – is told nothing of what others have made of it.
    ///
    /// # Errors
    /// [`Stop::Load`].
    pub fn outcome(&self, context: &Context<'_>, workspace: &Workspace, verdict: Verdict) -> Result<Outcome, Stop> {
        let hides = verdict.is_telling() && !self.is_seen(context, workspace)?;
        let verdict = if hides { verdict.discreet(self.outlet_id, self.named) } else { verdict };
        Ok(decided(if self.merged() { verdict.redirected() } else { verdict }))
    }

    fn is_seen(&self, context: &Context<'_>, workspace: &Workspace) -> Result<bool, Stop> {
        let Some(rep) = context.issuer.rep() else { return Ok(true) };
        let assigned: Assigned = workspace.internal(&rep)?;
        Ok(assigned.territories(context.now_us).contains(&self.territory_id))
    }

    fn merged(&self) -> bool {
        self.named != self.outlet_id
    }
}

/// The rep who issues the command.
///
/// # Errors
/// `REASON_ROLE_NOT_ALLOWED` for everybody else.
pub fn rep(context: &Context<'_>) -> Result<Uuid, Rejection> {
    context.issuer.rep().ok_or_else(|| Rejection::new(Reason::RoleNotAllowed))
}

/// Who edits: the rep, or else the office.
#[must_use]
pub fn editor(context: &Context<'_>) -> Editor {
    context.issuer.rep().map_or(Editor::Office, Editor::Rep)
}

/// The circumstances of an order or an edit: it has to be within the caller's rights, at an outlet that is still there.
///
/// # Errors
/// `REASON_NOT_IN_SCOPE`, `REASON_GRACE_EXCEEDED`, `REASON_OUTLET_ARCHIVED`.
pub fn edit(context: &Context<'_>, workspace: &Workspace, place: &Place) -> Result<Capture, Stop> {
    may_edit(context, workspace, place)?;
    let survivor = (!place.archived).then_some(place.outlet_id);
    outlet::follow(place.named, place.archived || place.merged(), survivor)?;
    Ok(capture(context, place, false))
}

/// The circumstances of something that happened in the field: it is taken if the rep has ever held the outlet. One
/// that was archived without a survivor is nobody's any more, so that the fact is flagged.
///
/// # Errors
/// `REASON_NOT_IN_SCOPE`.
pub fn fact(context: &Context<'_>, workspace: &Workspace, place: &Place) -> Result<Capture, Stop> {
    let outside = match context.issuer.rep() {
        Some(rep) => right(context, workspace, rep, &workspace.internal(&place.named)?)?.for_fact()?,
        None => false,
    };
    Ok(capture(context, place, outside || place.archived))
}

/// Whether the caller may edit what belongs to an outlet.
///
/// # Errors
/// `REASON_NOT_IN_SCOPE`, `REASON_GRACE_EXCEEDED`.
pub fn may_edit(context: &Context<'_>, workspace: &Workspace, place: &Place) -> Result<(), Stop> {
    if let Some(rep) = context.issuer.rep() {
        right(context, workspace, rep, &workspace.internal(&place.named)?)?.for_edit()?;
    }
    Ok(())
}

/// Whether a rep may add to a territory.
///
/// # Errors
/// `REASON_NOT_IN_SCOPE`, `REASON_GRACE_EXCEEDED`.
pub fn may_enter(context: &Context<'_>, workspace: &Workspace, territory: Uuid) -> Result<(), Stop> {
    if let Some(rep) = context.issuer.rep() {
        right(context, workspace, rep, &Placed::first(territory))?.for_edit()?;
    }
    Ok(())
}

fn right(context: &Context<'_>, workspace: &Workspace, rep: Uuid, placed: &Placed) -> Result<Right, Stop> {
    let assigned: Assigned = workspace.internal(&rep)?;
    let grace_us = context.policy.handover_grace_us;
    Ok(assignment::right(&assigned, placed, context.captured_at_us, context.received_at_us, grace_us))
}

/// How the command was captured. The business date counts where a device has captured it, if it is believed; at a desk it
/// is the territory's day.
#[must_use]
pub fn capture(context: &Context<'_>, place: &Place, outside_assignment: bool) -> Capture {
    let now = place.local(context.now_us);
    let stated = if context.issuer.rep().is_some() { context.business_day } else { now.day };
    let business_day = capture::business_day(stated, place.day(context.captured_at_us));
    let corrected = context.clock_correction_us.saturating_abs() > context.policy.clock_flag_us;
    Capture {
        captured_at_us: context.captured_at_us,
        decided_at_us: context.now_us,
        business_day,
        now,
        clock_corrected: corrected || business_day != stated,
        device_revoked: context.device_revoked,
        outside_assignment,
        outlet_merged: place.merged(),
        by: context.issuer.actor(),
    }
}

/// The record that a command is to create, if its id is there already.
///
/// # Errors
/// `REASON_MISSING_FIELD`, `REASON_BAD_ID`, `REASON_ID_OF_ANOTHER_KIND`; `REASON_REMOVED` when it was deleted.
pub fn existing<R: Record>(workspace: &Workspace, id: &[u8]) -> Result<(Uuid, Option<R>), Stop> {
    let id = check::id(id, R::NAME)?;
    let found = workspace.find(id)?;
    if found.is_none() && workspace.stored(id)?.is_some() {
        return Err(Rejection::new(Reason::Removed).about(id).into());
    }
    Ok((id, found))
}

/// Notes a new document of the place, so that it moves with the outlet.
///
/// # Errors
/// [`Stop::Load`].
pub fn hang(context: &Context<'_>, workspace: &mut Workspace, place: &Place, document: Uuid) -> Result<(), Stop> {
    network::hang_on_outlet(workspace, place.outlet_id, document, made_in(context))
}

/// Notes an order that was handed in for an outlet, and hangs it there.
///
/// # Errors
/// [`Stop::Load`].
pub fn hang_order(
    context: &Context<'_>,
    workspace: &mut Workspace,
    place: &Place,
    (id, order): (Uuid, &Order),
) -> Result<(), Stop> {
    let rep = network::optional_id(&order.rep_id)?.unwrap_or_default();
    let order = OutletOrder::new(id, rep, order.order_day);
    network::hang_order_on_outlet(workspace, place.outlet_id, order, made_in(context))
}

/// The orders that somebody else has handed in for an outlet this month, of a day. `rep` is nil: the office.
///
/// # Errors
/// [`Stop::Load`].
pub fn orders_of_others(
    context: &Context<'_>,
    workspace: &Workspace,
    outlet: Uuid,
    (day, rep): (i32, Uuid),
) -> Result<Vec<Uuid>, Stop> {
    let documents: OutletDocuments = workspace.internal(&(outlet, made_in(context)))?;
    let others = documents.orders.iter().filter(|order| order.order_day == day && order.rep() != rep);
    Ok(others.map(OutletOrder::order).collect())
}

/// The live documents of one kind that hang on an outlet; [`network::move_keys`] asks for them.
///
/// # Errors
/// [`Stop::Load`].
pub fn documents<R: Record>(workspace: &Workspace, outlet: Uuid) -> Result<Vec<(Uuid, R)>, Stop> {
    let mut found = Vec::new();
    for id in network::documents_of(workspace, outlet)? {
        let is_one = workspace.stored(id)?.is_some_and(|stored| stored.kind == i64::from(R::KIND as i32));
        if is_one && let Some(document) = workspace.find(id)? {
            found.push((id, document));
        }
    }
    Ok(found)
}

/// The agreements of these ids that are there; the rule says what is wrong with the others.
///
/// # Errors
/// [`Stop::Load`].
pub fn agreements(workspace: &Workspace, ids: &[Vec<u8>]) -> Result<BTreeMap<Uuid, Agreement>, Stop> {
    let mut found = BTreeMap::new();
    for id in ids.iter().filter_map(|id| Uuid::from_slice(id).ok()) {
        found.extend(named::<Agreement>(workspace, Some(id))?.map(|agreement| (id, agreement)));
    }
    Ok(found)
}

/// Under which month an outlet's new documents are listed. The list is cut into months only to keep it short, so that
/// any calendar does, and UTC is known before the territory is.
fn made_in(context: &Context<'_>) -> Month {
    calendar::month(Tz::UTC, context.now_us)
}
