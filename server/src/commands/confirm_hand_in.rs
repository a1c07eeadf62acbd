//! Says what the office counted of what a rep handed in.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{CashHandIn, ConfirmHandIn};
use roundsman_sync::trade::hand_in::{self, Decision};

use super::{Context, Decide, Target, decided};
use crate::workspace::{Keys, Stop, Workspace};

impl Decide for ConfirmHandIn {
    fn name(&self) -> &'static str {
        "ConfirmHandIn"
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Office, Role::Admin, Role::Integration]
    }

    fn target(&self) -> Option<Target<'_>> {
        Some(Target { id: &self.hand_in_id, creates: false })
    }

    fn keys(&self, _: &Context<'_>, _: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        keys.record(&self.hand_in_id);
        Ok(())
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        let (id, current) = workspace.live::<CashHandIn>(&self.hand_in_id)?;
        let decision = hand_in::decide_confirm(&current, context.issuer.actor(), self, context.now_us)?;
        let Decision { hand_in, verdict } = decision;
        if hand_in != current {
            workspace.update(id, &hand_in)?;
            workspace.announce("cash.confirmed", id);
        }
        Ok(decided(verdict))
    }
}
