//! Forgets old deletions.
//!
//! The horizon stands beside the tenant, not in a record: the command says how far it goes, the batch writes it in its
//! transaction, and what lies below is purged afterwards, whenever there is time. Who is above the horizon misses nothing
//! by that, and who is below compares buckets instead of continuing them.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{AdvanceHorizon, Reason};
use roundsman_sync::trade::check;
use roundsman_sync::trade::rejection::Rejection;

use super::{Context, Decide, Target, applied, applied_because};
use crate::workspace::{Keys, Stop, Workspace};

impl Decide for AdvanceHorizon {
    fn name(&self) -> &'static str {
        "AdvanceHorizon"
    }

    fn roles(&self) -> &'static [Role] {
        &[]
    }

    fn target(&self) -> Option<Target<'_>> {
        None
    }

    fn keys(&self, _: &Context<'_>, _: &Workspace, _: &mut Keys) -> Result<(), Stop> {
        Ok(())
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        if self.horizon < context.horizon {
            return Err(Rejection::new(Reason::Backwards).field("horizon").into());
        }
        if self.horizon >= context.version {
            return Err(check::out_of_range("horizon").into());
        }
        if self.horizon == context.horizon {
            return Ok(applied_because(Reason::NothingToDo));
        }
        workspace.advance_horizon(self.horizon);
        Ok(applied())
    }
}
