//! Who works where: assignments, and what is noted of them and of outlets for the right to act.

use std::collections::{BTreeMap, BTreeSet};

use roundsman_sync::trade::assignment::{Assigned, Placed, Span};
use uuid::Uuid;

use super::facts::{AssignmentFacts, Facts};
use super::internals::{differing_ids, list};
use super::{Derived, Report};
use crate::calendar;
use crate::internal::{Internal as _, RepAssignments, TerritoryReps};

/// Compares `assignments{}`, and looks through `reps{}`, `assigned{}` and `placed{}`.
pub(super) fn check(facts: &Facts, derived: &Derived, report: &mut Report) {
    let mut own: BTreeMap<Uuid, BTreeSet<Uuid>> = BTreeMap::new();
    let mut working: BTreeMap<Uuid, BTreeSet<Uuid>> = BTreeMap::new();
    for (id, assignment) in &facts.assignments {
        own.entry(assignment.rep).or_default().insert(*id);
        working.entry(assignment.territory).or_default().insert(assignment.rep);
    }
    let expected = own
        .iter()
        .map(|(rep, assignments)| (RepAssignments::name(rep), RepAssignments { assignments: list(assignments) }));
    derived
        .rep_assignments
        .compare(&expected.collect(), report, |stored, right| differing_ids(&stored.assignments, &right.assignments));
    check_reps(facts, derived, working, report);
    let mut named: BTreeSet<String> = derived.assigned.iter().map(|(name, _)| name.to_owned()).collect();
    for rep in facts.reps.keys() {
        named.remove(&Assigned::name(rep));
        let none = BTreeSet::new();
        let assignments = own.get(rep).unwrap_or(&none).iter().filter_map(|id| Some((*id, facts.assignments.get(id)?)));
        check_spans(facts, derived, (*rep, assignments.collect()), report);
    }
    report.findings.extend(named.into_iter().map(|name| format!("{name} is of nobody who is a rep")));
    check_placed(facts, derived, report);
}

/// `reps{}`: whoever has an assignment is named, and only reps are.
fn check_reps(facts: &Facts, derived: &Derived, working: BTreeMap<Uuid, BTreeSet<Uuid>>, report: &mut Report) {
    let mut expected = BTreeMap::new();
    for territory in facts.territories.keys() {
        let mut reps = working.get(territory).cloned().unwrap_or_default();
        // Of an assignment that was taken out before it began nothing is left but this.
        let named = derived.territory_reps.of(territory).reps;
        let named = named.iter().filter_map(|rep| Uuid::from_slice(rep).ok());
        reps.extend(named.filter(|rep| facts.reps.contains_key(rep)));
        expected.insert(TerritoryReps::name(territory), TerritoryReps { reps: list(&reps) });
    }
    derived.territory_reps.compare(&expected, report, |stored, right| differing_ids(&stored.reps, &right.reps));
}

/// `assigned{}`: a span for each assignment, and no other.
fn check_spans(
    facts: &Facts,
    derived: &Derived,
    (rep, assignments): (Uuid, Vec<(Uuid, &AssignmentFacts)>),
    report: &mut Report,
) {
    let name = Assigned::name(&rep);
    let spans = derived.assigned.of(&rep).spans;
    let mut needed = vec![false; spans.len()];
    for (id, assignment) in assignments {
        let Some(territory) = facts.territories.get(&assignment.territory) else {
            report.find(format!("the assignment {id} is to {}, which is no territory", assignment.territory));
            continue;
        };
        let start_of = |day: i32| calendar::start_of_day(territory.zone, day);
        let mut found = false;
        for (span, needed) in spans.iter().zip(&mut needed) {
            let fits =
                span.territory == assignment.territory.as_bytes() && span.from_us == start_of(assignment.from_day);
            if fits && ends_right(span, assignment.to_day, start_of, derived.at_us) {
                (found, *needed) = (true, true);
            }
        }
        if !found {
            report.find(format!("{name} has no span from the first to the last day of the assignment {id}"));
        }
    }
    for (span, _) in spans.iter().zip(needed).filter(|(_, needed)| !needed) {
        let territory = Uuid::from_slice(&span.territory).unwrap_or_default();
        report.find(format!("{name} has a span in {territory} from {} on, without an assignment", span.from_us));
    }
}

/// Whether a span ends as its assignment does: with the last day, at a moment of the last day when the rep was dismissed,
/// or later when it was still running as the last day was set.
fn ends_right(span: &Span, to_day: i32, start_of: impl Fn(i32) -> i64, at_us: i64) -> bool {
    match (span.until_us, to_day) {
        (None, 0) => true,
        (None, _) | (Some(_), 0) => false,
        (Some(until_us), day) => {
            let with_last_day = start_of(day.saturating_add(1));
            until_us == with_last_day
                || (start_of(day)..with_last_day).contains(&until_us)
                || (with_last_day..=at_us).contains(&until_us)
        }
    }
}

/// `placed{}`: without gaps, and open-ended where the outlet is.
fn check_placed(facts: &Facts, derived: &Derived, report: &mut Report) {
    let mut named: BTreeSet<String> = derived.placed.iter().map(|(name, _)| name.to_owned()).collect();
    for (outlet, territory) in outlets(facts) {
        let name = Placed::name(&outlet);
        named.remove(&name);
        let spans = derived.placed.of(&outlet).spans;
        let Some(last) = spans.last() else {
            report.find(format!("{name} does not say where the outlet is"));
            continue;
        };
        if let Some(territory) = territory.filter(|territory| last.territory != territory.as_bytes()) {
            let there = Uuid::from_slice(&last.territory).unwrap_or_default();
            report.find(format!("{name} ends in {there}, and the outlet is in {territory}"));
        }
        if !is_whole(&spans) {
            report.find(format!("{name} has a gap, or does not go on without an end"));
        }
    }
    report.findings.extend(named.into_iter().map(|name| format!("{name} is of no outlet")));
}

/// All outlets; the live ones with their territories.
fn outlets(facts: &Facts) -> impl Iterator<Item = (Uuid, Option<Uuid>)> {
    let live = facts.outlets.iter().map(|(id, outlet)| (*id, Some(outlet.territory)));
    live.chain(facts.archived.keys().map(|id| (*id, None)))
}

/// Whether the outlet's own spans follow each other, from the beginning of time to its end. What stands before them is of
/// outlets that were merged into this one, and has ended.
fn is_whole(spans: &[Span]) -> bool {
    let open = spans.iter().filter(|span| span.until_us.is_none()).count();
    let Some((last, before)) = spans.split_last() else { return false };
    let mut from_us = last.from_us;
    for span in before.iter().rev() {
        if from_us == i64::MIN {
            break;
        }
        if span.until_us != Some(from_us) {
            return false;
        }
        from_us = span.from_us;
    }
    open == 1 && last.until_us.is_none() && from_us == i64::MIN
}

#[cfg(test)]
mod tests {
    use super::*;

    const NORTH: Uuid = Uuid::from_u128(1);
    const SOUTH: Uuid = Uuid::from_u128(2);

    #[test]
    fn an_outlet_is_somewhere_at_every_moment() {
        let placed = Placed::first(NORTH).moved(SOUTH, 10).moved(NORTH, 20);
        assert!(is_whole(&placed.spans));
        assert!(is_whole(&placed.clone().absorbing(&Placed::first(SOUTH).moved(NORTH, 5), 30).spans));
        assert!(!is_whole(&[]), "nowhere");
        assert!(!is_whole(&[placed.spans[0].clone(), placed.spans[2].clone()]), "a gap");
        assert!(!is_whole(&placed.spans[..2]), "it ends");
        assert!(!is_whole(&placed.spans[1..]), "it has no beginning");
    }

    #[test]
    fn a_span_ends_with_its_last_day_or_where_it_was_cut() {
        let ends =
            |until_us, to_day| ends_right(&Span::new(NORTH, 0, until_us), to_day, |day| i64::from(day) * 10, 100);
        assert!(ends(None, 0) && ends(Some(60), 5), "as planned");
        assert!(ends(Some(55), 5), "dismissed on the last day");
        assert!(ends(Some(99), 5), "it was still running when the last day was set");
        assert!(!ends(Some(101), 5) && !ends(Some(49), 5) && !ends(None, 5) && !ends(Some(60), 0));
    }
}
