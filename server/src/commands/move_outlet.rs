//! Gives an outlet to another territory, with everything that hangs on it.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{Kind, MoveOutlet, Outlet, Reason, Territory};
use uuid::Uuid;

use super::restamp_records::{self, AT_ONCE};
use super::{Context, Decide, Target, applied, applied_because, field, people};
use crate::network::{self, stored_id};
use crate::workspace::{Keys, Stop, Workspace};

impl Decide for MoveOutlet {
    fn name(&self) -> &'static str {
        "MoveOutlet"
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Supervisor, Role::Office, Role::Admin, Role::Integration]
    }

    fn target(&self) -> Option<Target<'_>> {
        Some(Target { id: &self.outlet_id, creates: false })
    }

    fn keys(&self, _: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        keys.record(&self.outlet_id);
        keys.record(&self.territory_id);
        let Ok(outlet) = Uuid::from_slice(&self.outlet_id) else {
            return Ok(());
        };
        restamp_records::document_keys(workspace, outlet, (&[], AT_ONCE), keys);
        let Some(before) = workspace.find::<Outlet>(outlet)? else {
            return Ok(());
        };
        network::outlet_keys(&self.outlet_id, &before, workspace, keys)?;
        let after = Outlet { territory_id: self.territory_id.clone(), ..before };
        network::outlet_keys(&self.outlet_id, &after, workspace, keys)
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        let is_led = |outlet: &Outlet| {
            let from: Option<Territory> = workspace.find(stored_id(&outlet.territory_id)?)?;
            Ok(from.is_some_and(|from| field::knows_team(context, &from.team_id)))
        };
        let (id, outlet) = field::known(context, workspace, &self.outlet_id, is_led)?;
        let (territory, _) = people::known_territory(context, workspace, &self.territory_id)?;
        if outlet.territory_id == self.territory_id {
            return Ok(applied_because(Reason::NothingToDo));
        }
        let moved = Outlet { territory_id: self.territory_id.clone(), ..outlet };
        network::put_outlet(workspace, id, &moved, context.now_us)?;
        // What is left is placed by the server, in chunks of its own.
        let documents = restamp_records::move_documents(context, workspace, (id, territory), (&[], AT_ONCE))?;
        restamp_records::note(workspace, (Kind::Outlet, id), documents.left(), context.now_us)?;
        Ok(applied())
    }
}
