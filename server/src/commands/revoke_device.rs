//! Shuts one device out, at once.
//!
//! Devices are rows of control tables, not records: the command says which is to be shut out, and the batch writes that
//! into the device's own row, in the same transaction.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{Reason, RevokeDevice};
use roundsman_sync::trade::check;
use uuid::Uuid;

use super::{Context, Decide, Target, applied, applied_because};
use crate::internal::Revoked;
use crate::workspace::{Keys, Revocation, Stop, Workspace};

impl Decide for RevokeDevice {
    fn name(&self) -> &'static str {
        "RevokeDevice"
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Office, Role::Admin]
    }

    fn target(&self) -> Option<Target<'_>> {
        None
    }

    fn keys(&self, _: &Context<'_>, _: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        if let Ok(device) = Uuid::from_slice(&self.device_id) {
            keys.internal::<Revoked>(&Revocation::Device(device));
        }
        Ok(())
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        let revocation = Revocation::Device(check::id(&self.device_id, "device_id")?);
        let revoked: Option<Revoked> = workspace.find_internal(&revocation)?;
        if revoked.is_some_and(|revoked| revoked.wipe || !self.wipe) {
            return Ok(applied_because(Reason::NothingToDo));
        }
        workspace.put_internal(&revocation, &Revoked { at_us: context.now_us, wipe: self.wipe })?;
        workspace.revoke(revocation);
        Ok(applied())
    }
}
