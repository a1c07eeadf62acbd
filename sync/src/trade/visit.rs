//! Visits: check-in, check-out, calling off, and the day that ends without one. What happened in the field is a fact: it
//! is flagged, never refused for being late, moved, cancelled or missed.

use prost::Message;
use roundsman_proto::sync::Override;
use roundsman_proto::trade::{
    CancelVisit, CheckIn, CheckOut, Outlet, Reason, UnproductiveReason, Visit, VisitFlag, VisitState,
};
use uuid::Uuid;

use super::capture::Capture;
use super::rejection::Rejection;
use super::verdict::Verdict;
use super::{check, geo};

/// What a company expects of visits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expectations {
    /// The radius of outlets that have none of their own, in metres.
    pub radius_m: i32,
    /// A position with a larger radius of its own says nothing about the distance, in metres.
    pub accuracy_m: i32,
    /// A visit is at least this long, in microseconds.
    pub duration_us: i64,
}

impl Default for Expectations {
    fn default() -> Self {
        Self { radius_m: 200, accuracy_m: 150, duration_us: 3 * 60 * 1_000_000 }
    }
}

/// The internal record `rep_day{rep, day}`; the day is that of the check-in's moment in the territory's calendar, so that
/// the check-out finds it by the moment that the visit keeps. A visit that was forgotten yesterday does not block today.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct RepDay {
    /// The rep's visit in progress; empty: none.
    #[prost(bytes = "vec", tag = "1")]
    pub in_progress_visit_id: Vec<u8>,
}

/// What a check-in or check-out is decided by, beside visit and command.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    /// The rep who reports it.
    pub rep_id: Uuid,
    /// The rep's day: that of the check-in.
    pub rep_day: &'a RepDay,
    /// How the command was captured.
    pub capture: &'a Capture,
    /// What the company expects.
    pub expect: &'a Expectations,
}

/// What is to be stored of a check-in or check-out.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The visit.
    pub visit: Visit,
    /// The rep's day.
    pub rep_day: RepDay,
    /// The outcome.
    pub verdict: Verdict,
}

/// The form of a check-in.
///
/// # Errors
/// For its form.
pub fn check_in_form(command: &CheckIn) -> Result<(), Rejection> {
    check::id(&command.visit_id, "visit_id")?;
    check::id(&command.outlet_id, "outlet_id")?;
    check::optional_day(command.planned_day, "planned_day")?;
    check::point(command.point.as_ref(), "point")
}

/// The rep begins a visit (C17, C18, C19). `current` is the visit of this id, if there is one; `outlet_id` and `outlet`
/// are where it counts: the survivor, if the outlet was archived as a duplicate.
///
/// Whoever checks in makes the visit: it gets that rep. Its planned day stays; whether it was made on that day is judged
/// by the plan that the device held.
///
/// # Errors
/// For its form; `REASON_MISMATCH`, `REASON_WRONG_STATE`, `REASON_ANOTHER_VISIT_IN_PROGRESS`.
pub fn decide_check_in(
    current: Option<&Visit>,
    outlet_id: Uuid,
    outlet: &Outlet,
    command: &CheckIn,
    setting: &Setting<'_>,
) -> Result<Decision, Rejection> {
    check_in_form(command)?;
    let Setting { rep_id, rep_day, capture, expect } = *setting;
    // Before anything is told of it: a visit elsewhere may be none of the rep's.
    if current.is_some_and(|visit| visit.outlet_id != outlet_id.as_bytes()) {
        return Err(check::mismatch("outlet_id"));
    }
    let before = current.map_or(VisitState::Planned, Visit::state);
    match before {
        VisitState::InProgress | VisitState::Completed => return Err(wrong_state(before)),
        VisitState::Unspecified | VisitState::Planned | VisitState::Skipped | VisitState::Rescheduled => {}
        VisitState::Missed | VisitState::Cancelled => {}
    }
    if !rep_day.in_progress_visit_id.is_empty() && rep_day.in_progress_visit_id != command.visit_id {
        let other = Uuid::from_slice(&rep_day.in_progress_visit_id).ok();
        return Err(Rejection::new(Reason::AnotherVisitInProgress).fact(other, "state", "in progress"));
    }
    let mut visit = current.cloned().unwrap_or_else(|| Visit {
        outlet_id: outlet_id.as_bytes().to_vec(),
        day: capture.business_day,
        ..Visit::default()
    });
    let planned_day = match (command.planned_day, visit.planned) {
        (0, true) => visit.day,
        (0, false) => capture.business_day,
        (day, _) => day,
    };
    visit.rep_id = rep_id.as_bytes().to_vec();
    visit.set_state(VisitState::InProgress);
    visit.comment = String::new();
    visit.rescheduled_to_day = 0;
    visit.checked_in_at_us = capture.captured_at_us;
    visit.check_in_point = command.point;
    visit.distance_m =
        command.point.as_ref().zip(outlet.point.as_ref()).map(|(here, there)| geo::distance_m(here, there));
    let flags = [
        (before == VisitState::Cancelled, VisitFlag::DoneAfterCancel),
        (before == VisitState::Missed || capture.late(), VisitFlag::ReportedLate),
        (planned_day != capture.business_day, VisitFlag::OtherDay),
    ];
    let place = place_flags(&visit, outlet, expect);
    let flagged = add_flags(&mut visit, &[&place[..], &capture_flags(capture), &flags].concat());
    let verdict = Verdict::fact_taken(flagged).merged(fact_wins(command, before), false);
    let rep_day = RepDay { in_progress_visit_id: command.visit_id.clone() };
    Ok(Decision { visit, rep_day, verdict })
}

/// The form of a check-out.
///
/// # Errors
/// For its form.
pub fn check_out_form(command: &CheckOut) -> Result<(), Rejection> {
    check::id(&command.visit_id, "visit_id")?;
    check::point(command.point.as_ref(), "point")?;
    check::text(&command.comment, check::TEXT_CHARS, "comment")?;
    let reason: UnproductiveReason = check::optional_choice(command.unproductive_reason, "unproductive_reason")?;
    match (command.productive, reason) {
        (true, UnproductiveReason::Unspecified) => Ok(()),
        (true, _) => Err(check::out_of_range("unproductive_reason")),
        (false, UnproductiveReason::Unspecified) => Err(check::missing("unproductive_reason")),
        (false, UnproductiveReason::Other) if command.comment.trim().is_empty() => Err(check::missing("comment")),
        (false, _) => Ok(()),
    }
}

/// The rep ends a visit. A check-out that seems to be before the check-in (the
/// clock was moved meanwhile) counts as at the same moment, and is flagged.
///
/// # Errors
/// For its form; `REASON_ROLE_NOT_ALLOWED` for another rep, `REASON_WRONG_STATE` when it is not in progress.
pub fn decide_check_out(current: &Visit, command: &CheckOut, setting: &Setting<'_>) -> Result<Decision, Rejection> {
    let Setting { rep_id, rep_day, capture, expect } = *setting;
    check_out_form(command)?;
    if current.state() != VisitState::InProgress {
        return Err(wrong_state(current.state()));
    }
    if current.rep_id != rep_id.as_bytes() {
        return Err(Rejection::new(Reason::RoleNotAllowed).field("visit_id"));
    }
    let mut visit = current.clone();
    visit.set_state(VisitState::Completed);
    visit.productive = command.productive;
    visit.unproductive_reason = command.unproductive_reason;
    visit.comment.clone_from(&command.comment);
    visit.checked_out_at_us = capture.captured_at_us.max(current.checked_in_at_us);
    visit.check_out_point = command.point;
    let duration_us = visit.checked_out_at_us.saturating_sub(visit.checked_in_at_us);
    let flags = [
        (command.point.as_ref().is_some_and(|point| point.mocked), VisitFlag::Mocked),
        (duration_us < expect.duration_us, VisitFlag::TooShort),
        (capture.captured_at_us < current.checked_in_at_us, VisitFlag::ClockCorrected),
        (capture.late(), VisitFlag::ReportedLate),
    ];
    let flagged = add_flags(&mut visit, &[&capture_flags(capture)[..], &flags].concat());
    let in_progress = rep_day.in_progress_visit_id != command.visit_id;
    let rep_day = if in_progress { rep_day.clone() } else { RepDay::default() };
    Ok(Decision { visit, rep_day, verdict: Verdict::fact_taken(flagged) })
}

/// The office calls a planned visit off. `None`: it was so already.
///
/// # Errors
/// For its form; `REASON_WRONG_STATE` when it is not planned.
pub fn decide_cancel(current: &Visit, command: &CancelVisit) -> Result<Option<Visit>, Rejection> {
    check::text(&command.reason, check::TEXT_CHARS, "reason")?;
    match current.state() {
        VisitState::Cancelled => Ok(None),
        VisitState::Planned => Ok(Some(called_off(current, &command.reason))),
        VisitState::Unspecified | VisitState::InProgress | VisitState::Completed => Err(wrong_state(current.state())),
        VisitState::Skipped | VisitState::Rescheduled | VisitState::Missed => Err(wrong_state(current.state())),
    }
}

/// A planned visit, cancelled; for its office, its route, or its outlet that is gone.
#[must_use]
pub fn called_off(current: &Visit, reason: &str) -> Visit {
    let mut visit = Visit { comment: reason.to_owned(), ..current.clone() };
    visit.set_state(VisitState::Cancelled);
    visit
}

/// A visit whose day has ended: missed, if it is still planned. `None`: it stays as it is.
#[must_use]
pub fn decide_missed(current: &Visit, day: i32) -> Option<Visit> {
    if current.state() != VisitState::Planned || current.day != day {
        return None;
    }
    let mut visit = current.clone();
    visit.set_state(VisitState::Missed);
    Some(visit)
}

fn wrong_state(state: VisitState) -> Rejection {
    Rejection::new(Reason::WrongState).fact(None, "state", state.as_str_name())
}

fn fact_wins(command: &CheckIn, before: VisitState) -> Vec<Override> {
    let kept = VisitState::InProgress.as_str_name().to_owned();
    let lost = match before {
        VisitState::Cancelled | VisitState::Missed => before.as_str_name().to_owned(),
        VisitState::Unspecified | VisitState::Planned | VisitState::Skipped | VisitState::Rescheduled => {
            return vec![];
        }
        VisitState::InProgress | VisitState::Completed => return vec![],
    };
    let record_id = command.visit_id.clone();
    let reason = Reason::FactWins.into();
    vec![Override { record_id, field: "state".to_owned(), kept, lost, reason, ..Override::default() }]
}

fn place_flags(visit: &Visit, outlet: &Outlet, expect: &Expectations) -> [(bool, VisitFlag); 4] {
    let point = visit.check_in_point.as_ref();
    let radius_m = if outlet.visit_radius_m > 0 { outlet.visit_radius_m } else { expect.radius_m };
    let accuracy_m = point.map_or(0, |point| point.accuracy_m);
    let outside = visit.distance_m.is_some_and(|distance| distance.saturating_sub(accuracy_m) > radius_m);
    [
        (point.is_none(), VisitFlag::NoFix),
        (outside, VisitFlag::OutOfRadius),
        (accuracy_m > expect.accuracy_m, VisitFlag::LowAccuracy),
        (point.is_some_and(|point| point.mocked), VisitFlag::Mocked),
    ]
}

fn capture_flags(capture: &Capture) -> [(bool, VisitFlag); 3] {
    [
        (capture.clock_corrected, VisitFlag::ClockCorrected),
        (capture.outside_assignment, VisitFlag::OutsideAssignment),
        (capture.device_revoked, VisitFlag::DeviceRevoked),
    ]
}

/// Adds what holds, each flag once, in the order of their numbers. Returns whether anything holds.
fn add_flags(visit: &mut Visit, flags: &[(bool, VisitFlag)]) -> bool {
    let found: Vec<i32> = flags.iter().filter(|(holds, _)| *holds).map(|(_, flag)| (*flag).into()).collect();
    visit.flags.extend(&found);
    visit.flags.sort_unstable();
    visit.flags.dedup();
    !found.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trade::delivery::LocalTime;
    use proptest::prelude::*;
    use roundsman_proto::sync::Status;
    use roundsman_proto::trade::GeoPoint;

    const REP: Uuid = Uuid::from_u128(1);
    const OUTLET: Uuid = Uuid::from_u128(2);
    const VISIT: Uuid = Uuid::from_u128(3);
    const TODAY: i32 = 20_000;
    const MINUTE_US: i64 = 60 * 1_000_000;

    fn id(id: Uuid) -> Vec<u8> {
        id.as_bytes().to_vec()
    }

    fn point(north_m: i32, accuracy_m: i32) -> Option<GeoPoint> {
        Some(GeoPoint { latitude_e7: 600_000_000 + north_m * 90, longitude_e7: 0, accuracy_m, mocked: false })
    }

    fn capture() -> Capture {
        Capture {
            captured_at_us: 1_000 * MINUTE_US,
            decided_at_us: 1_001 * MINUTE_US,
            business_day: TODAY,
            now: LocalTime { day: TODAY, second: 0 },
            ..Capture::default()
        }
    }

    fn planned(state: VisitState) -> Visit {
        let mut visit = Visit { outlet_id: id(OUTLET), day: TODAY, planned: true, ..Visit::default() };
        visit.set_state(state);
        visit
    }

    fn check_in_at(current: Option<&Visit>, point: Option<GeoPoint>, capture: &Capture) -> Result<Decision, Rejection> {
        let outlet = Outlet { point: self::point(0, 0), ..Outlet::default() };
        let command = CheckIn { visit_id: id(VISIT), outlet_id: id(OUTLET), planned_day: 0, point };
        let (day, expect) = (RepDay::default(), Expectations::default());
        decide_check_in(
            current,
            OUTLET,
            &outlet,
            &command,
            &Setting { rep_id: REP, rep_day: &day, capture, expect: &expect },
        )
    }

    fn check_in(current: Option<&Visit>, capture: &Capture) -> Decision {
        check_in_at(current, point(10, 5), capture).expect("taken")
    }

    fn flags(visit: &Visit) -> Vec<VisitFlag> {
        visit.flags().collect()
    }

    fn check_out(visit: &Visit, after_minutes: i64) -> Result<Decision, Rejection> {
        let command = CheckOut { visit_id: id(VISIT), productive: true, ..CheckOut::default() };
        let captured_at_us = visit.checked_in_at_us + after_minutes * MINUTE_US;
        let day = RepDay { in_progress_visit_id: id(VISIT) };
        {
            let capture = Capture { captured_at_us, ..capture() };
            let expect = Expectations::default();
            decide_check_out(
                visit,
                &command,
                &Setting { rep_id: REP, rep_day: &day, capture: &capture, expect: &expect },
            )
        }
    }

    #[test]
    fn a_planned_visit_is_made() {
        let Decision { visit, rep_day, verdict } = check_in(Some(&planned(VisitState::Planned)), &capture());
        assert_eq!((visit.state(), visit.distance_m, verdict), (VisitState::InProgress, Some(10), Verdict::done()));
        assert_eq!((visit.rep_id.clone(), rep_day.in_progress_visit_id), (id(REP), id(VISIT)));
        let Decision { visit, rep_day, verdict } = check_out(&visit, 10).expect("taken");
        assert_eq!((visit.state(), visit.productive, verdict), (VisitState::Completed, true, Verdict::done()));
        assert!(rep_day.in_progress_visit_id.is_empty() && visit.flags.is_empty());
    }

    #[test]
    fn an_unknown_visit_is_unplanned_and_of_today() {
        let visit = check_in(None, &capture()).visit;
        assert_eq!((visit.planned, visit.day, visit.outlet_id), (false, TODAY, id(OUTLET)));
    }

    #[test]
    fn c16_the_plan_that_the_device_held_counts() {
        let moved = Visit { day: TODAY + 3, ..planned(VisitState::Planned) };
        assert_eq!(flags(&check_in(Some(&moved), &capture()).visit), [VisitFlag::OtherDay]);
        let command = CheckIn { visit_id: id(VISIT), outlet_id: id(OUTLET), planned_day: TODAY, point: point(0, 0) };
        let (outlet, day, expect) = (Outlet::default(), RepDay::default(), Expectations::default());
        let setting = Setting { rep_id: REP, rep_day: &day, capture: &capture(), expect: &expect };
        let decision = decide_check_in(Some(&moved), OUTLET, &outlet, &command, &setting);
        assert_eq!(flags(&decision.expect("taken").visit), []);
    }

    #[test]
    fn c17_a_visit_that_was_cancelled_and_made_is_made() {
        let cancel = CancelVisit { visit_id: id(VISIT), reason: "closed for repairs".to_owned() };
        let cancelled = decide_cancel(&planned(VisitState::Planned), &cancel).expect("allowed").expect("changed");
        assert_eq!(decide_cancel(&cancelled, &cancel), Ok(None));
        let Decision { visit, verdict, .. } = check_in(Some(&cancelled), &capture());
        assert_eq!((visit.state(), flags(&visit)), (VisitState::InProgress, vec![VisitFlag::DoneAfterCancel]));
        assert_eq!((verdict.status, verdict.reason), (Status::Merged, Reason::FactWins));
        assert_eq!(verdict.overrides[0].lost, "VISIT_STATE_CANCELLED");
        assert_eq!(decide_cancel(&visit, &cancel).expect_err("made").reason, Reason::WrongState);
    }

    #[test]
    fn c18_a_missed_visit_is_reversed_by_a_late_fact() {
        let missed = decide_missed(&planned(VisitState::Planned), TODAY).expect("missed");
        let late = Capture { now: LocalTime { day: TODAY + 1, second: 0 }, ..capture() };
        let Decision { visit, verdict, .. } = check_in(Some(&missed), &late);
        assert_eq!((visit.state(), flags(&visit)), (VisitState::InProgress, vec![VisitFlag::ReportedLate]));
        assert_eq!((verdict.status, verdict.reason), (Status::Merged, Reason::FactWins));
        assert_eq!(decide_missed(&visit, TODAY), None);
    }

    #[test]
    fn c19_one_visit_at_a_time() {
        let day = RepDay { in_progress_visit_id: id(Uuid::from_u128(9)) };
        let command = CheckIn { visit_id: id(VISIT), outlet_id: id(OUTLET), ..CheckIn::default() };
        let (outlet, expect) = (Outlet::default(), Expectations::default());
        let decision = decide_check_in(
            None,
            OUTLET,
            &outlet,
            &command,
            &Setting { rep_id: REP, rep_day: &day, capture: &capture(), expect: &expect },
        );
        assert_eq!(decision.expect_err("another").reason, Reason::AnotherVisitInProgress);
        let again = check_in_at(Some(&planned(VisitState::InProgress)), None, &capture());
        assert_eq!(again.expect_err("twice").reason, Reason::WrongState);
    }

    #[test]
    fn c20_a_clock_that_went_back_is_flagged() {
        let visit = check_in(None, &Capture { clock_corrected: true, ..capture() }).visit;
        assert_eq!(flags(&visit), [VisitFlag::ClockCorrected]);
        let visit = check_out(&check_in(None, &capture()).visit, -10).expect("taken").visit;
        assert_eq!(visit.checked_out_at_us, visit.checked_in_at_us);
        assert_eq!(flags(&visit), [VisitFlag::TooShort, VisitFlag::ClockCorrected]);
    }

    #[test]
    fn where_it_was_is_flagged_and_never_refused() {
        let at = |point| check_in_at(None, point, &capture()).expect("taken").visit;
        assert_eq!(flags(&at(None)), [VisitFlag::NoFix]);
        assert_eq!(flags(&at(point(230, 20))), [VisitFlag::OutOfRadius]);
        assert_eq!(flags(&at(point(210, 20))), []);
        assert_eq!(flags(&at(point(210, 151))), [VisitFlag::LowAccuracy]);
        let mocked = point(0, 0).map(|point| GeoPoint { mocked: true, ..point });
        assert_eq!(flags(&at(mocked)), [VisitFlag::Mocked]);
    }

    #[test]
    fn a_visit_without_a_result_says_why() {
        let form = |productive, reason: UnproductiveReason, comment: &str| {
            let comment = comment.to_owned();
            let unproductive_reason = reason.into();
            let command =
                CheckOut { visit_id: id(VISIT), productive, unproductive_reason, comment, ..CheckOut::default() };
            check_out_form(&command).map_err(|rejection| rejection.field)
        };
        assert_eq!(form(false, UnproductiveReason::Unspecified, ""), Err("unproductive_reason".to_owned()));
        assert_eq!(form(true, UnproductiveReason::Closed, ""), Err("unproductive_reason".to_owned()));
        assert_eq!(form(false, UnproductiveReason::Other, " "), Err("comment".to_owned()));
        assert_eq!(form(false, UnproductiveReason::Closed, ""), Ok(()));
    }

    proptest! {
        #[test]
        fn no_input_panics(
            a in any::<(i32, i32, i32)>(), b in any::<(i32, i32, i32)>(), times in any::<(i64, i64, i64)>(),
            radius in any::<i32>(), state in 0..9, days in any::<(i32, i32)>(),
        ) {
            let place = |p: (i32, i32, i32)| {
                Some(GeoPoint { latitude_e7: p.0, longitude_e7: p.1, accuracy_m: p.2, mocked: false })
            };
            let outlet = Outlet { point: place(a), visit_radius_m: radius, ..Outlet::default() };
            let current = Visit {
                outlet_id: id(OUTLET), rep_id: id(REP), state, checked_in_at_us: times.0, ..Visit::default()
            };
            let capture = Capture {
                captured_at_us: times.1, decided_at_us: times.2, business_day: days.0, now: LocalTime { day: days.1, second: 0 },
                ..Capture::default()
            };
            let (day, expect) = (RepDay::default(), Expectations::default());
            let command = CheckIn { visit_id: id(VISIT), outlet_id: id(OUTLET), planned_day: days.1, point: place(b) };
            let _ = decide_check_in(Some(&current), OUTLET, &outlet, &command, &Setting { rep_id: REP, rep_day: &day, capture: &capture, expect: &expect });
            let command = CheckOut { visit_id: id(VISIT), productive: true, point: place(b), ..CheckOut::default() };
            let _ = decide_check_out(&current, &command, &Setting { rep_id: REP, rep_day: &day, capture: &capture, expect: &expect });
        }
    }
}
