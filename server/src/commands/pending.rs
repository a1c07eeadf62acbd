//! Commands of the protocol that this server does not carry out yet: they are rejected as unknown. A command's line goes
//! when its file comes.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{self, Reason};
use roundsman_sync::trade::rejection::Rejection;

use super::{Context, Decide, Target};
use crate::workspace::{Keys, Stop, Workspace};

macro_rules! pending {
    ($($message:ident)*) => {
        $(impl Decide for trade::$message {
            fn name(&self) -> &'static str {
                stringify!($message)
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

            fn decide(&self, _: &Context<'_>, _: &mut Workspace) -> Result<Outcome, Stop> {
                Err(Rejection::new(Reason::UnknownCommand).into())
            }
        })*
    };
}
pending! {
    CompleteTask
    SetReceivable
    AssignTask
    AssignRep
    HandTerritoryOver
    DismissRep
    RevokeDevice
    MarkMissedVisits
    ApplyAssignments
    TurnMonth
    AdvanceHorizon
    RestampRecords
    PlanVisits
}
