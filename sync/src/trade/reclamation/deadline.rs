//! By when a reclamation is to be decided, and then settled, and who is told when it is not.

use roundsman_proto::trade::Reclamation;
use uuid::Uuid;

use super::stages;

/// So often others are told that a stage is overdue.
pub const LEVELS: i32 = 3;

/// So many working days the stages of a reclamation may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StageDays {
    /// Until it is decided.
    pub decide: i32,
    /// From the decision until the customer has got what was accepted.
    pub settle: i32,
}

/// The end of a deadline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// The last day, in days since 1970-01-01.
    pub day: i32,
    /// When that day ends, in microseconds since the Unix epoch.
    pub at_us: i64,
}

/// A reclamation is filed, and is to be decided by then.
pub fn open(reclamation: &mut Reclamation, days: StageDays, due: Due) {
    reclamation.decide_within_days = days.decide;
    reclamation.settle_within_days = days.settle;
    begin(reclamation, due);
}

/// It was decided or settled: what is left is to be done by then; nothing, if it is closed.
pub fn go_on(reclamation: &mut Reclamation, due: Due) {
    let is_closed = stages::is_closed(reclamation);
    begin(reclamation, if is_closed { Due::default() } else { due });
}

fn begin(reclamation: &mut Reclamation, due: Due) {
    reclamation.due_day = due.day;
    reclamation.due_at_us = due.at_us;
    reclamation.escalates_at_us = due.at_us;
    reclamation.escalation_level = 0;
    reclamation.escalated_at_us = 0;
    reclamation.escalated_team_id = Vec::new();
}

/// How many working days the stage in which a reclamation is may take.
#[must_use]
pub fn stage_days(reclamation: &Reclamation) -> i32 {
    if stages::is_undecided(reclamation) { reclamation.decide_within_days } else { reclamation.settle_within_days }
}

/// Others are told that a reclamation is overdue: the supervisor of this team first, then the office. `again` is when they are told
/// again if still nothing was done. `None`: it is not time.
#[must_use]
pub fn escalate(current: &Reclamation, team: Uuid, again: Due, now_us: i64) -> Option<Reclamation> {
    if !(1..=now_us).contains(&current.escalates_at_us) {
        return None;
    }
    let level = current.escalation_level.saturating_add(1);
    Some(Reclamation {
        escalation_level: level,
        escalated_at_us: now_us,
        escalated_team_id: team.as_bytes().to_vec(),
        escalates_at_us: if level < LEVELS { again.at_us } else { 0 },
        ..current.clone()
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use roundsman_proto::trade::ReclamationState;

    use super::*;

    const TEAM: Uuid = Uuid::from_u128(5);
    const DAYS: StageDays = StageDays { decide: 2, settle: 3 };

    fn due(day: i32) -> Due {
        Due { day, at_us: i64::from(day) * 10 }
    }

    fn filed() -> Reclamation {
        let mut reclamation = Reclamation { state: ReclamationState::Registered.into(), ..Reclamation::default() };
        open(&mut reclamation, DAYS, due(4));
        reclamation
    }

    #[test]
    fn who_is_told_of_what_is_overdue_is_told_three_times() {
        let told = escalate(&filed(), TEAM, due(6), 40).expect("it is overdue");
        assert_eq!((told.escalation_level, told.escalated_at_us, told.escalates_at_us), (1, 40, 60));
        assert_eq!((told.escalated_team_id.as_slice(), told.due_day), (&TEAM.as_bytes()[..], 4));
        assert_eq!(escalate(&told, TEAM, due(6), 59), None, "not before the time has gone by again");
        let twice = escalate(&told, TEAM, due(9), 61).expect("still nothing was done");
        let thrice = escalate(&twice, TEAM, due(12), 90).expect("a last time");
        assert_eq!((thrice.escalation_level, thrice.escalates_at_us), (3, 0));
        assert_eq!(escalate(&thrice, TEAM, due(99), i64::MAX), None);
    }

    #[test]
    fn a_decision_begins_the_next_deadline_and_the_end_ends_it() {
        let mut claim = escalate(&filed(), TEAM, due(6), 40).expect("it is overdue");
        assert_eq!(stage_days(&claim), 2);
        claim.set_state(ReclamationState::Satisfied);
        go_on(&mut claim, due(20));
        assert_eq!((claim.due_day, claim.escalates_at_us, claim.escalation_level), (20, 200, 0));
        assert_eq!((stage_days(&claim), claim.escalated_team_id.len()), (3, 0));
        claim.set_state(ReclamationState::Settled);
        go_on(&mut claim, due(30));
        assert_eq!((claim.due_day, claim.due_at_us, claim.escalates_at_us), (0, 0, 0));
        assert_eq!(escalate(&claim, TEAM, due(9), i64::MAX), None);
    }

    proptest! {
        #[test]
        fn nothing_that_is_overdue_is_forgotten_and_nobody_is_told_too_early(waits in proptest::collection::vec(1..50_i64, 1..20)) {
            let (mut claim, mut now_us) = (filed(), 0);
            for wait_us in waits {
                now_us += wait_us;
                let again = Due { day: 0, at_us: now_us + 20 };
                let is_time = claim.escalates_at_us != 0 && claim.escalates_at_us <= now_us;
                let told = escalate(&claim, TEAM, again, now_us);
                prop_assert_eq!(told.is_some(), is_time);
                claim = told.unwrap_or(claim);
                prop_assert_eq!(claim.escalates_at_us == 0, claim.escalation_level == LEVELS, "the last time is the third");
                prop_assert!(claim.escalation_level <= LEVELS && (claim.escalation_level > 0 || now_us < 40));
            }
        }
    }
}
