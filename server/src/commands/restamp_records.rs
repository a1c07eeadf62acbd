//! Places records anew that depend on a record that changed.
//!
//! A command that finds more dependents than it may place itself ([`AT_ONCE`]) does the first of them and leaves a note
//! ([`Restampings`]); the server goes on with this command until the note is gone. So far outlets need it: a busy one has
//! years of documents when it moves.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{Kind, Reason, RestampRecords, Territory, Visit, VisitState};
use roundsman_sync::scope::Month;
use roundsman_sync::trade::assignment::Placed;
use roundsman_sync::trade::placement::Stamps;
use roundsman_sync::trade::{check, visit};
use uuid::Uuid;

use super::chunk::Chunk;
use super::{Context, Decide, Target, applied_because, field};
use crate::calendar;
use crate::internal::{OutletDocuments, OutletMonths, Restamping, Restampings};
use crate::network;
use crate::workspace::{Keys, Stop, Workspace};

/// A command that changes a record places so many dependents itself.
pub const AT_ONCE: usize = 500;
/// This command places so many at a time.
const RECORDS: usize = 1_000;

impl Decide for RestampRecords {
    fn name(&self) -> &'static str {
        "RestampRecords"
    }

    fn roles(&self) -> &'static [Role] {
        &[]
    }

    fn target(&self) -> Option<Target<'_>> {
        None
    }

    fn keys(&self, _: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        keys.internal::<Restampings>(&());
        let Ok(outlet) = Uuid::from_slice(&self.source_id) else { return Ok(()) };
        keys.id(outlet);
        keys.internal::<Placed>(&outlet);
        document_keys(workspace, outlet, (&self.after_record_id, RECORDS), keys);
        keys.id(field::territory_of(workspace, outlet)?);
        Ok(())
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        let kind: Kind = check::choice(self.source_kind, "source_kind")?;
        if kind != Kind::Outlet {
            return Err(check::out_of_range("source_kind").into());
        }
        let outlet = check::id(&self.source_id, "source_id")?;
        let notes: Restampings = workspace.internal(&())?;
        let noted =
            notes.entries.iter().any(|entry| entry.source_id == self.source_id && entry.after == self.after_record_id);
        if !noted {
            // Done before, or begun anew because the outlet has moved on.
            return Ok(applied_because(Reason::NothingToDo));
        }
        let territory = field::territory_of(workspace, outlet)?;
        let chunk = move_documents(context, workspace, (outlet, territory), (&self.after_record_id, RECORDS))?;
        note(context, workspace, outlet, &chunk)?;
        Ok(chunk.outcome(!chunk.ids.is_empty()))
    }
}

/// Asks for what [`move_documents`] and [`note`] need, but for the outlet and its territory. `after` and the number of
/// documents say which part is meant.
pub fn document_keys(workspace: &Workspace, outlet: Uuid, (after, limit): (&[u8], usize), keys: &mut Keys) {
    keys.internal::<Restampings>(&());
    keys.internal::<OutletMonths>(&outlet);
    let Ok(months) = workspace.internal::<OutletMonths>(&outlet) else { return };
    for month in months.months.into_iter().filter_map(Month::from_number) {
        keys.internal::<OutletDocuments>(&(outlet, month));
    }
    for document in documents(workspace, outlet, (after, limit)).map(|chunk| chunk.ids).unwrap_or_default() {
        keys.id(document);
    }
}

fn documents(workspace: &Workspace, outlet: Uuid, (after, limit): (&[u8], usize)) -> Result<Chunk, Stop> {
    let mut documents = network::documents_of(workspace, outlet)?;
    documents.sort_unstable();
    documents.dedup();
    Ok(Chunk::of(documents, after, limit, "after_record_id")?)
}

/// Moves a part of an outlet's documents into a territory. Visits that the old territory's routes have planned are called
/// off.
///
/// # Errors
/// [`Stop::Load`]; [`Stop::Corrupt`].
pub fn move_documents(
    context: &Context<'_>,
    workspace: &mut Workspace,
    (outlet, territory): (Uuid, Uuid),
    part: (&[u8], usize),
) -> Result<Chunk, Stop> {
    let place: Option<Territory> = workspace.find(territory)?;
    let month = calendar::month(field::zone(&place.unwrap_or_default())?, context.now_us);
    let chunk = documents(workspace, outlet, part)?;
    for id in &chunk.ids {
        let stamps = workspace.stamps(*id)?;
        if stamps.territory() == Some(territory) {
            continue;
        }
        let moved = Stamps { territories: vec![territory.as_bytes().to_vec()], ..stamps };
        let is_visit = workspace.stored(*id)?.is_some_and(|stored| stored.kind == i64::from(Kind::Visit as i32));
        let visit = if is_visit { workspace.find::<Visit>(*id)? } else { None };
        match visit.filter(|visit| visit.planned && visit.state() == VisitState::Planned) {
            Some(planned) => workspace.put(*id, &visit::called_off(&planned, ""), &moved.closed(Some(month)))?,
            None => restamp(workspace, *id, &moved)?,
        }
    }
    Ok(chunk)
}

/// Places a document anew, if it was not removed.
fn restamp(workspace: &mut Workspace, id: Uuid, stamps: &Stamps) -> Result<(), Stop> {
    if workspace.stored(id)?.is_some_and(|stored| stored.removed_at_us.is_some()) {
        return Ok(());
    }
    workspace.restamp(id, stamps)
}

/// Notes how far the documents of an outlet are placed anew.
///
/// # Errors
/// [`Stop::Load`].
pub fn note(context: &Context<'_>, workspace: &mut Workspace, outlet: Uuid, chunk: &Chunk) -> Result<(), Stop> {
    let mut notes: Restampings = workspace.internal(&())?;
    let since_us = notes
        .entries
        .iter()
        .find(|entry| entry.source_id == outlet.as_bytes())
        .map_or(context.now_us, |entry| entry.since_us);
    notes.entries.retain(|entry| entry.source_id != outlet.as_bytes());
    if let Some(last) = chunk.last() {
        notes.entries.push(Restamping {
            source_kind: Kind::Outlet.into(),
            source_id: outlet.as_bytes().to_vec(),
            after: last.as_bytes().to_vec(),
            since_us,
        });
    }
    if workspace.find_internal::<Restampings>(&())?.unwrap_or_default() != notes {
        workspace.put_internal(&(), &notes)?;
    }
    Ok(())
}
