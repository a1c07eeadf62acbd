//! Writes records anew that depend on a record that changed: documents are placed where their outlet is, outlets inherit what
//! their chain has, orders that wait for something are decided again, what is a merged customer's becomes the survivor's.
//!
//! A command that finds more dependents than it may write itself ([`AT_ONCE`]) does the first of them and leaves a note
//! ([`Restampings`]); the server goes on with this command until the note is gone. A busy outlet has years of documents when it
//! moves, a large chain has thousands of outlets, and an agreement that was prolonged hundreds of orders.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{
    AllocateWave, Contract, Kind, MergeCustomers, Reason, RestampRecords, Stock, Territory, Visit, VisitState,
};
use roundsman_sync::scope::Month;
use roundsman_sync::trade::assignment::Placed;
use roundsman_sync::trade::credit::Credit;
use roundsman_sync::trade::placement::Stamps;
use roundsman_sync::trade::waiting::Scarce;
use roundsman_sync::trade::{check, visit};
use uuid::Uuid;

use super::chunk::Chunk;
use super::{Context, Decide, Target, applied_because, field, ordering, terms};
use crate::internal::{Debtor, OutletDocuments, OutletMonths, Restamping, Restampings};
use crate::network;
use crate::reference::{contract, goods};
use crate::workspace::{Keys, Stop, Workspace};
use crate::{calendar, chains};

/// A command that changes a record writes so many dependents itself.
pub const AT_ONCE: usize = 500;
/// This command places so many documents at a time.
const DOCUMENTS: usize = 1_000;

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

    fn keys(&self, context: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        keys.internal::<Restampings>(&());
        let Ok(source) = Uuid::from_slice(&self.source_id) else { return Ok(()) };
        keys.id(source);
        match dependents(workspace, self.source_kind(), source)? {
            Some(Dependents::Documents) => {
                keys.internal::<Placed>(&source);
                document_keys(workspace, source, (&self.after_record_id, DOCUMENTS), keys);
                keys.id(field::territory_of(workspace, source)?);
            }
            Some(Dependents::Outlets) => {
                chains::tree_keys(source, workspace, keys);
                let given = chains::given_by(&self.source_id, workspace);
                let given = given.iter().filter_map(|id| Uuid::from_slice(id).ok());
                ordering::waiting_keys(given.map(Scarce::Terms), workspace, keys);
                if let Ok(chunk) = followers(workspace, source, (&self.after_record_id, AT_ONCE)) {
                    chains::follow_keys(&chunk.ids, workspace, keys);
                }
            }
            Some(Dependents::OfDuplicate) => {
                network::remaining_customer_keys(&self.source_id, workspace, keys);
                merge_of(workspace, source)?.keys(context, workspace, keys)?;
            }
            Some(Dependents::OfWave) => wave_of(source).keys(context, workspace, keys)?,
            Some(Dependents::UnderTerms) => {
                ordering::terms_keys(source, &self.after_record_id, workspace, keys);
            }
            Some(Dependents::UnderContract(debtor)) => {
                keys.internal::<Credit>(&debtor);
                let credit: Credit = workspace.internal(&debtor)?;
                terms::release_keys(&credit, &self.after_record_id, workspace, keys);
            }
            Some(Dependents::Waiting(scarce)) => ordering::waiting_keys([scarce].into_iter(), workspace, keys),
            None => {}
        }
        Ok(())
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        let kind: Kind = check::choice(self.source_kind, "source_kind")?;
        let source = check::id(&self.source_id, "source_id")?;
        let notes: Restampings = workspace.internal(&())?;
        let is_noted = |entry: &&Restamping| entry.source_id == self.source_id && entry.after == self.after_record_id;
        let Some(noted) = notes.entries.iter().find(is_noted) else {
            // Done before, or begun anew because it has changed again.
            return Ok(applied_because(Reason::NothingToDo));
        };
        let after = self.after_record_id.as_slice();
        let dependents = dependents(workspace, kind, source)?.ok_or_else(|| check::out_of_range("source_kind"))?;
        let chunk = match dependents {
            Dependents::Documents => {
                let territory = field::territory_of(workspace, source)?;
                move_documents(context, workspace, (source, territory), (after, DOCUMENTS))?
            }
            Dependents::Outlets => {
                let chunk = followers(workspace, source, (after, AT_ONCE))?;
                chains::follow(workspace, &chunk.ids, context.now_us)?;
                chunk
            }
            Dependents::OfDuplicate => return merge_of(workspace, source)?.decide(context, workspace),
            Dependents::OfWave => return wave_of(source).decide(context, workspace),
            Dependents::UnderTerms => ordering::decide_terms_again(context, workspace, source, after)?,
            Dependents::UnderContract(debtor) => {
                let left = terms::release(context, workspace, &debtor, after)?;
                let changed = !workspace.untouched();
                // Of those that wait for credit others fit each time, or else it is done.
                let left = left.filter(|left| changed || left != after);
                let stays = left.as_deref() == Some(after);
                let next = left.iter().filter(|_| !stays).filter_map(|left| Uuid::from_slice(left).ok());
                let chunk = Chunk { ids: next.collect(), more: left.is_some() };
                // The server goes on with another command, even from the same place.
                let since_us = if stays { context.now_us } else { noted.since_us };
                note(workspace, (kind, source), left, since_us)?;
                return Ok(chunk.outcome(changed));
            }
            Dependents::Waiting(scarce) => {
                workspace.free(scarce);
                Chunk { ids: Vec::new(), more: false }
            }
        };
        note(workspace, (kind, source), chunk.left(), noted.since_us)?;
        Ok(chunk.outcome(!workspace.untouched()))
    }
}

/// The merge of a customer, which goes on.
fn merge_of(workspace: &Workspace, duplicate: Uuid) -> Result<MergeCustomers, Stop> {
    let survivor = network::remaining_customer(workspace, duplicate)?;
    let [duplicate_id, survivor_id] = [duplicate, survivor].map(|id| id.as_bytes().to_vec());
    Ok(MergeCustomers { duplicate_id, survivor_id })
}

/// A wave, which goes on.
fn wave_of(wave: Uuid) -> AllocateWave {
    AllocateWave { wave_id: wave.as_bytes().to_vec() }
}

/// What depends on a record that changed.
enum Dependents {
    /// The documents of an outlet that moved.
    Documents,
    /// The outlets that inherit from a chain.
    Outlets,
    /// What is a customer's who was merged into another.
    OfDuplicate,
    /// The orders of a wave that were not looked at.
    OfWave,
    /// The orders that wait for an agreement.
    UnderTerms,
    /// The orders that wait for contracts, or for credit.
    UnderContract(Debtor),
    /// The orders that wait for something else.
    Waiting(Scarce),
}

fn dependents(workspace: &Workspace, kind: Kind, source: Uuid) -> Result<Option<Dependents>, Stop> {
    let simple = [
        (Kind::Outlet, Dependents::Documents),
        (Kind::Chain, Dependents::Outlets),
        (Kind::Customer, Dependents::OfDuplicate),
        (Kind::Wave, Dependents::OfWave),
        (Kind::Agreement, Dependents::UnderTerms),
        (Kind::Promotion, Dependents::Waiting(Scarce::Budget(source))),
        (Kind::Order, Dependents::Waiting(Scarce::Order(source))),
    ];
    if kind == Kind::Stock {
        let stock: Option<Stock> = workspace.find(source)?;
        return Ok(stock.as_ref().and_then(goods::scarce).map(Dependents::Waiting));
    }
    if kind == Kind::Contract {
        let signed: Option<Contract> = workspace.find(source)?;
        return Ok(signed.as_ref().and_then(contract::debtor).map(Dependents::UnderContract));
    }
    Ok(simple.into_iter().find(|(of, _)| *of == kind).map(|(_, dependents)| dependents))
}

fn followers(workspace: &Workspace, chain: Uuid, (after, limit): (&[u8], usize)) -> Result<Chunk, Stop> {
    Ok(Chunk::of(chains::followers(workspace, chain)?, after, limit, "after_record_id")?)
}

/// The outlets that follow when chains give them other terms, as many as one command writes.
#[derive(Debug, Default)]
pub struct FirstFollowers {
    /// The outlets.
    pub outlets: Vec<Uuid>,
    /// The chains, each with the id after which the work goes on; `None`: no other outlet is left.
    pub left: Vec<(Uuid, Option<Vec<u8>>)>,
}

/// The outlets that follow first when these chains give them other terms.
///
/// # Errors
/// [`Stop::Load`].
pub fn first_followers(workspace: &Workspace, changed: &[Uuid]) -> Result<FirstFollowers, Stop> {
    let mut first = FirstFollowers::default();
    for chain in changed {
        let chunk = followers(workspace, *chain, (&[], AT_ONCE.saturating_sub(first.outlets.len())))?;
        first.left.push((*chain, chunk.left()));
        first.outlets.extend(chunk.ids);
    }
    Ok(first)
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

/// Notes after which dependent the work goes on for a record that changed at `since_us`; `None`: it is done.
///
/// # Errors
/// [`Stop::Load`].
pub fn note(
    workspace: &mut Workspace,
    (kind, source): (Kind, Uuid),
    left: Option<Vec<u8>>,
    since_us: i64,
) -> Result<(), Stop> {
    let mut notes: Restampings = workspace.internal(&())?;
    notes.entries.retain(|entry| entry.source_id != source.as_bytes());
    notes.entries.extend(left.map(|after| Restamping {
        source_kind: kind.into(),
        source_id: source.as_bytes().to_vec(),
        after,
        since_us,
    }));
    if workspace.find_internal::<Restampings>(&())?.unwrap_or_default() != notes {
        workspace.put_internal(&(), &notes)?;
    }
    Ok(())
}
