//! Tasks: given by the office, done by a rep.

use roundsman_proto::trade::{AssignTask, CompleteTask, Reason, Rep, RepStatus, Task, TaskState};
use uuid::Uuid;

use super::capture::{Capture, Editor};
use super::check;
use super::rejection::Rejection;
use super::verdict::Verdict;

/// What is to be stored of a task.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The task.
    pub task: Task,
    /// The outcome.
    pub verdict: Verdict,
}

/// Somebody gives a rep something to do. `current` is the task of this id, if there is one; `assigned`: the outlet is in
/// a territory of the rep, or the task names none.
///
/// # Errors
/// For its form; `REASON_REP_DISMISSED`, `REASON_NOT_ASSIGNED`, `REASON_ID_TAKEN`.
pub fn decide_assign(
    current: Option<&Task>,
    rep: &Rep,
    assigned: bool,
    issuer: Uuid,
    command: &AssignTask,
    now_us: i64,
) -> Result<Decision, Rejection> {
    check::id(&command.task_id, "task_id")?;
    check::optional_id(&command.outlet_id, "outlet_id")?;
    check::id(&command.rep_id, "rep_id")?;
    check::required_text(&command.title, check::NAME_CHARS, "title")?;
    check::text(&command.text, check::TEXT_CHARS, "text")?;
    check::optional_day(command.deadline_day, "deadline_day")?;
    let task = Task {
        outlet_id: command.outlet_id.clone(),
        rep_id: command.rep_id.clone(),
        title: command.title.clone(),
        text: command.text.clone(),
        deadline_day: command.deadline_day,
        state: TaskState::Issued.into(),
        issuer_user_id: issuer.as_bytes().to_vec(),
        issued_at_us: now_us,
        ..Task::default()
    };
    if let Some(current) = current {
        let own = |task: &Task| {
            let result = String::new();
            Task { state: 0, result, issued_at_us: 0, done_at_us: 0, ..task.clone() }
        };
        return if own(current) == own(&task) {
            Ok(Decision { task: current.clone(), verdict: Verdict::nothing_to_do() })
        } else {
            Err(Rejection::new(Reason::IdTaken).field("task_id"))
        };
    }
    if rep.status() == RepStatus::Dismissed {
        return Err(Rejection::new(Reason::RepDismissed).field("rep_id"));
    }
    if !assigned {
        return Err(Rejection::new(Reason::NotAssigned).field("outlet_id"));
    }
    Ok(Decision { task, verdict: Verdict::done() })
}

/// A rep did a task.
///
/// # Errors
/// For its form; `REASON_ROLE_NOT_ALLOWED` for another rep, `REASON_WRONG_STATE` when it was done before.
pub fn decide_complete(
    current: &Task,
    rep_id: Uuid,
    command: &CompleteTask,
    capture: &Capture,
) -> Result<Task, Rejection> {
    check::text(&command.result, check::TEXT_CHARS, "result")?;
    Editor::Rep(rep_id).may_touch(&current.rep_id)?;
    match current.state() {
        TaskState::Issued | TaskState::Accepted | TaskState::Returned => {}
        TaskState::Unspecified | TaskState::Done | TaskState::Verified => {
            let state = current.state().as_str_name();
            return Err(Rejection::new(Reason::WrongState).fact(None, "state", state));
        }
    }
    let (result, done_at_us) = (command.result.clone(), capture.captured_at_us);
    let mut task = Task { result, done_at_us, ..current.clone() };
    task.set_state(TaskState::Done);
    Ok(task)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REP: Uuid = Uuid::from_u128(1);

    fn command() -> AssignTask {
        AssignTask {
            task_id: vec![2; 16],
            rep_id: REP.as_bytes().to_vec(),
            title: "Bring the catalogue".to_owned(),
            ..AssignTask::default()
        }
    }

    fn assign(current: Option<&Task>, rep: &Rep, assigned: bool) -> Result<Decision, Rejection> {
        decide_assign(current, rep, assigned, Uuid::from_u128(9), &command(), 7)
    }

    #[test]
    fn a_task_is_given_once_and_done_once() {
        let task = assign(None, &Rep::default(), true).expect("given").task;
        assert_eq!((task.state(), task.issued_at_us), (TaskState::Issued, 7));
        assert_eq!(assign(Some(&task), &Rep::default(), true).expect("again").verdict, Verdict::nothing_to_do());
        let report = CompleteTask { task_id: vec![2; 16], result: "done".to_owned() };
        let capture = Capture { captured_at_us: 30, ..Capture::default() };
        let done = decide_complete(&task, REP, &report, &capture).expect("done");
        assert_eq!((done.state(), done.done_at_us, done.result.as_str()), (TaskState::Done, 30, "done"));
        assert_eq!(decide_complete(&done, REP, &report, &capture).expect_err("twice").reason, Reason::WrongState);
        let other = decide_complete(&task, Uuid::nil(), &report, &capture);
        assert_eq!(other.expect_err("another rep").reason, Reason::RoleNotAllowed);
    }

    #[test]
    fn a_task_needs_a_rep_who_goes_there() {
        let mut left = Rep::default();
        left.set_status(RepStatus::Dismissed);
        assert_eq!(assign(None, &left, true).expect_err("left").reason, Reason::RepDismissed);
        assert_eq!(assign(None, &Rep::default(), false).expect_err("not there").reason, Reason::NotAssigned);
    }
}
