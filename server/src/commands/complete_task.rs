//! Reports a task as done.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{CompleteTask, Reason, Task, TaskState};
use roundsman_sync::trade::check;
use roundsman_sync::trade::placement::Stamps;
use roundsman_sync::trade::rejection::Rejection;

use super::{Context, Decide, Target, applied, field};
use crate::workspace::{Keys, Stop, Workspace};

impl Decide for CompleteTask {
    fn name(&self) -> &'static str {
        "CompleteTask"
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Rep]
    }

    fn target(&self) -> Option<Target<'_>> {
        Some(Target { id: &self.task_id, creates: false })
    }

    fn keys(&self, _: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        keys.record(&self.task_id);
        let (_, task) = workspace.live::<Task>(&self.task_id)?;
        field::place_keys(&task.outlet_id, workspace, keys);
        Ok(())
    }

    /// A task stays its rep's, also when the outlet has been handed over meanwhile: what was done is told.
    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        check::text(&self.result, check::TEXT_CHARS, "result")?;
        let rep = field::rep(context)?;
        let is_own = |task: &Task| Ok(task.rep_id == rep.as_bytes());
        let (id, current) = field::known::<Task>(context, workspace, &self.task_id, is_own)?;
        let done = done(&current, self, context.captured_at_us)?;
        let stamps = if done.outlet_id.is_empty() {
            Stamps::default()
        } else {
            field::place(workspace, &done.outlet_id)?.closed(context)
        };
        workspace.put(id, &done, &stamps)?;
        Ok(applied())
    }
}

fn done(current: &Task, command: &CompleteTask, captured_at_us: i64) -> Result<Task, Rejection> {
    match current.state() {
        TaskState::Issued | TaskState::Accepted | TaskState::Returned => {}
        TaskState::Unspecified | TaskState::Done | TaskState::Verified => {
            let state = current.state().as_str_name();
            return Err(Rejection::new(Reason::WrongState).fact(None, "state", state));
        }
    }
    let mut task = Task { result: command.result.clone(), done_at_us: captured_at_us, ..current.clone() };
    task.set_state(TaskState::Done);
    Ok(task)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_done_once_and_again_when_it_was_returned() {
        let command = CompleteTask { result: "Hung up".to_owned(), ..CompleteTask::default() };
        let in_state = |state: TaskState| Task { state: state.into(), ..Task::default() };
        for state in [TaskState::Issued, TaskState::Accepted, TaskState::Returned] {
            let task = done(&in_state(state), &command, 5).expect("it is done");
            assert_eq!((task.state(), task.result.as_str(), task.done_at_us), (TaskState::Done, "Hung up", 5));
        }
        for state in [TaskState::Done, TaskState::Verified] {
            assert_eq!(done(&in_state(state), &command, 5).expect_err("no").reason, Reason::WrongState);
        }
    }
}
