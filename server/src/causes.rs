//! Causes of reclamations: how they hang together, and the one that a claim names.

use roundsman_proto::trade::ClaimCause;
use roundsman_sync::trade::placement::Stamps;
use roundsman_sync::trade::reclamation::cause::{self, Causes, Chosen};
use uuid::Uuid;

use crate::workspace::{Keys, Stop, Workspace};

/// Asks for what [`put`] needs.
pub fn keys(cause: &ClaimCause, keys: &mut Keys) {
    keys.record(&cause.parent_id);
    keys.internal::<Causes>(&());
}

/// Writes a cause.
///
/// # Errors
/// `REASON_CAUSE_CYCLE`, `REASON_LIMIT_EXCEEDED`, and what [`cause::form`] says; see [`Stop`].
pub fn put(workspace: &mut Workspace, id: Uuid, cause: &ClaimCause) -> Result<(), Stop> {
    cause::form(cause)?;
    if !cause.parent_id.is_empty() {
        workspace.live::<ClaimCause>(&cause.parent_id)?;
    }
    let causes: Causes = workspace.internal(&())?;
    workspace.put_internal(&(), &causes.with(id, &cause.parent_id)?)?;
    workspace.put(id, cause, &Stamps::default())
}

/// Asks for what [`chosen`] needs.
///
/// # Errors
/// [`Stop::Load`] when it can't ask for more yet.
pub fn chosen_keys(cause_id: &[u8], workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
    let Ok(cause) = Uuid::from_slice(cause_id) else { return Ok(()) };
    keys.internal::<Causes>(&());
    for id in workspace.internal::<Causes>(&())?.line(cause) {
        keys.id(id);
    }
    Ok(())
}

/// The cause that a claim names, with what is above it; nothing, if the id is empty.
///
/// # Errors
/// `REASON_NOT_FOUND`; see [`Stop`].
pub fn chosen(workspace: &Workspace, cause_id: &[u8]) -> Result<Chosen, Stop> {
    if cause_id.is_empty() {
        return Ok(Chosen::default());
    }
    let (id, named) = workspace.live::<ClaimCause>(cause_id)?;
    let causes: Causes = workspace.internal(&())?;
    let mut line = vec![named];
    for above in causes.line(id).into_iter().skip(1) {
        line.extend(workspace.find::<ClaimCause>(above)?);
    }
    Ok(Chosen { line, is_group: causes.is_group(id) })
}
