//! Gives a rep something to do.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{AssignTask, Reason, Task, TaskState};
use roundsman_sync::trade::assignment::Assigned;
use roundsman_sync::trade::check;
use roundsman_sync::trade::placement::Stamps;
use roundsman_sync::trade::rejection::Rejection;
use roundsman_sync::trade::verdict::Verdict;
use uuid::Uuid;

use super::{Context, Decide, Target, decided, field, people};
use crate::workspace::{Keys, Stop, Workspace};

impl Decide for AssignTask {
    fn name(&self) -> &'static str {
        "AssignTask"
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Supervisor, Role::Office, Role::Admin, Role::Integration]
    }

    fn target(&self) -> Option<Target<'_>> {
        Some(Target { id: &self.task_id, creates: true })
    }

    fn keys(&self, context: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        keys.record(&self.task_id);
        keys.record(&self.rep_id);
        if let Ok(rep) = Uuid::from_slice(&self.rep_id) {
            keys.internal::<Assigned>(&rep);
        }
        if !self.outlet_id.is_empty() {
            field::place_keys(&self.outlet_id, workspace, keys);
            field::hang_keys(context, &self.outlet_id, workspace, keys);
        }
        Ok(())
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        check::required_text(&self.title, check::NAME_CHARS, "title")?;
        check::text(&self.text, check::TEXT_CHARS, "text")?;
        check::optional_day(self.deadline_day, "deadline_day")?;
        let (rep, person) = people::known_rep(context, workspace, &self.rep_id)?;
        people::works_here(rep, &person)?;
        let place = match check::optional_id(&self.outlet_id, "outlet_id")? {
            Some(_) => Some(field::known_place(context, workspace, &self.outlet_id)?),
            None => None,
        };
        if let Some(place) = &place {
            if place.archived {
                return Err(Rejection::new(Reason::OutletArchived).about(place.outlet_id).into());
            }
            let assigned: Assigned = workspace.internal(&rep)?;
            if !assigned.territories(context.now_us).contains(&place.territory_id) {
                return Err(Rejection::new(Reason::NotAssigned).field("outlet_id").into());
            }
        }
        let (id, current) = field::existing::<Task>(workspace, &self.task_id)?;
        let outlet_id = place.as_ref().map(|place| place.outlet_id);
        let task = issued(self, outlet_id, context.issuer.actor(), context.now_us);
        if let Some(current) = current {
            return if is_same(&current, &task) {
                Ok(decided(Verdict::nothing_to_do()))
            } else {
                Err(Rejection::new(Reason::IdTaken).about(id).into())
            };
        }
        match place {
            Some(place) => {
                workspace.put(id, &task, &place.open())?;
                field::hang(context, workspace, &place, id)?;
                place.outcome(context, workspace, Verdict::done())
            }
            None => {
                workspace.put(id, &task, &Stamps::default())?;
                Ok(decided(Verdict::done()))
            }
        }
    }
}

fn issued(command: &AssignTask, outlet: Option<Uuid>, issuer: Uuid, now_us: i64) -> Task {
    Task {
        outlet_id: check::bytes(outlet),
        rep_id: command.rep_id.clone(),
        title: command.title.clone(),
        text: command.text.clone(),
        deadline_day: command.deadline_day,
        state: TaskState::Issued.into(),
        result: String::new(),
        issuer_user_id: check::bytes(Some(issuer).filter(|issuer| !issuer.is_nil())),
        issued_at_us: now_us,
        done_at_us: 0,
    }
}

/// Whether this is the task that was given, whatever has become of it since.
fn is_same(current: &Task, issued: &Task) -> bool {
    let Task { state, result, done_at_us, issued_at_us, issuer_user_id, .. } = current.clone();
    *current == Task { state, result, done_at_us, issued_at_us, issuer_user_id, ..issued.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_that_is_given_again_is_the_same_whatever_has_become_of_it() {
        let command = AssignTask { rep_id: vec![1; 16], title: "Look".to_owned(), ..AssignTask::default() };
        let first = issued(&command, None, Uuid::from_u128(1), 1);
        let mut done = first.clone();
        done.set_state(TaskState::Done);
        done.result = "Seen".to_owned();
        assert!(is_same(&done, &issued(&command, None, Uuid::nil(), 2)));
        let other = AssignTask { title: "Listen".to_owned(), ..command };
        assert!(!is_same(&done, &issued(&other, None, Uuid::from_u128(1), 2)));
    }
}
