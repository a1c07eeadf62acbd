//! Whose outlet it is: dated spans of reps in territories and of outlets in territories, and the rule that follows from
//! them. Spans are kept for ever, since facts may arrive late.

use prost::Message;
use roundsman_proto::trade::{Assignment, Reason};
use uuid::Uuid;

use super::rejection::Rejection;

/// For so long after a loss orders and edits captured before it are still taken, in microseconds: 72 hours.
pub const GRACE_US: i64 = 72 * 3_600 * 1_000_000;

/// The last day of an assignment; one without an end has none that comes.
fn last_day(assignment: &Assignment) -> i32 {
    if assignment.to_day == 0 { i32::MAX } else { assignment.to_day }
}

/// Whether two assignments share a day.
#[must_use]
pub fn meet(one: &Assignment, other: &Assignment) -> bool {
    one.from_day <= last_day(other) && other.from_day <= last_day(one)
}

/// Whether an assignment runs on all days of another.
#[must_use]
pub fn covers(one: &Assignment, other: &Assignment) -> bool {
    one.from_day <= other.from_day && last_day(other) <= last_day(one)
}

/// Whether an assignment runs on a day.
#[must_use]
pub fn runs_on(assignment: &Assignment, day: i32) -> bool {
    (assignment.from_day..=last_day(assignment)).contains(&day)
}

/// A stretch of time in a territory: from a moment until just before another, in microseconds since the Unix epoch.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct Span {
    /// The territory; 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub territory: Vec<u8>,
    /// Its first moment.
    #[prost(sint64, tag = "2")]
    pub from_us: i64,
    /// The first moment that no longer belongs to it; missing: no end.
    #[prost(sint64, optional, tag = "3")]
    pub until_us: Option<i64>,
    /// The assignment of a rep that it stands for; 16 bytes. Empty: an outlet's.
    #[prost(bytes = "vec", tag = "4")]
    pub assignment: Vec<u8>,
}

impl Span {
    /// From a moment until just before another; `None`: no end.
    #[must_use]
    pub fn new(territory: Uuid, from_us: i64, until_us: Option<i64>) -> Self {
        Self { territory: territory.as_bytes().to_vec(), from_us, until_us, assignment: Vec::new() }
    }

    /// The same, for an assignment.
    #[must_use]
    pub fn of(self, assignment: Uuid) -> Self {
        Self { assignment: assignment.as_bytes().to_vec(), ..self }
    }

    fn end(&self) -> i64 {
        self.until_us.unwrap_or(i64::MAX)
    }

    fn contains(&self, moment_us: i64) -> bool {
        (self.from_us..self.end()).contains(&moment_us)
    }
}

/// The internal record `assigned{rep}`: when the rep worked in which territories. Begun, running and coming ones.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Assigned {
    /// One for each assignment, in any order; they may overlap.
    #[prost(message, repeated, tag = "1")]
    pub spans: Vec<Span>,
}

impl Assigned {
    /// With one assignment more.
    #[must_use]
    pub fn with(mut self, span: Span) -> Self {
        if !self.spans.contains(&span) {
            self.spans.push(span);
        }
        self
    }

    /// The span of an assignment.
    #[must_use]
    pub fn span(&self, assignment: Uuid) -> Option<&Span> {
        self.spans.iter().find(|span| span.assignment == assignment.as_bytes())
    }

    /// Without one of the assignments. It is found by its id, not by its territory and its beginning: the moment at which a
    /// day begins is another one when the territory gets another clock.
    #[must_use]
    pub fn without(mut self, assignment: Uuid) -> Self {
        self.spans.retain(|span| span.assignment != assignment.as_bytes());
        self
    }

    /// The rep has left: everything ends now, and what would have begun later does not begin.
    #[must_use]
    pub fn ending_all(mut self, at_us: i64) -> Self {
        self.spans.retain(|span| span.from_us < at_us);
        for span in &mut self.spans {
            span.until_us = Some(span.end().min(at_us));
        }
        self
    }

    /// The territories at a moment, in ascending order and each once.
    #[must_use]
    pub fn territories(&self, moment_us: i64) -> Vec<Uuid> {
        let spans = self.spans.iter().filter(|span| span.contains(moment_us));
        let mut found: Vec<Uuid> = spans.filter_map(|span| Uuid::from_slice(&span.territory).ok()).collect();
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// The internal record `placed{outlet}`: to which territory the outlet belonged when; one at a time.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Placed {
    /// In the order of time, without gaps; before them those of outlets that were merged into this one.
    #[prost(message, repeated, tag = "1")]
    pub spans: Vec<Span>,
}

impl Placed {
    /// A new outlet. It belongs to its territory since ever: what a device captured there before the outlet became
    /// known is not refused for that.
    #[must_use]
    pub fn first(territory: Uuid) -> Self {
        Self { spans: vec![Span::new(territory, i64::MIN, None)] }
    }

    /// In another territory from now on.
    #[must_use]
    pub fn moved(mut self, territory: Uuid, at_us: i64) -> Self {
        if self.spans.last().is_some_and(|last| last.territory == territory.as_bytes()) {
            return self;
        }
        let Some(last) = self.spans.last_mut() else {
            return Self::first(territory);
        };
        // Moments of a lane rise strictly; were they not, a span of no length would be left.
        let at_us = at_us.max(last.from_us);
        last.until_us = Some(at_us);
        self.spans.push(Span::new(territory, at_us, None));
        self
    }

    /// Another outlet was a duplicate of this one, and its documents are this one's from now on: who held that outlet
    /// until then held this one.
    #[must_use]
    pub fn absorbing(self, duplicate: &Self, at_us: i64) -> Self {
        let past = duplicate
            .spans
            .iter()
            .map(|span| Span { until_us: Some(span.end().min(at_us)), ..span.clone() })
            .filter(|span| span.end() > span.from_us);
        Self { spans: past.chain(self.spans).collect() }
    }
}

/// What a rep has to do with an outlet, as of a captured command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// It was the rep's, and still is or was until not longer ago than the grace.
    Held,
    /// It was the rep's, and was lost too long ago.
    Lost {
        /// When it was lost, in microseconds since the Unix epoch.
        at_us: i64,
    },
    /// It was the rep's, but not at that moment.
    NotThen,
    /// It never was.
    Never,
}

/// Whether a command may be issued: some territory was both the rep's and the outlet's when it was captured, and the
/// loss that followed is at most the grace before the server received it.
///
/// The loss is the end of the last time until now in which some territory was both: a rep who lost an outlet and has it
/// again has not lost it.
#[must_use]
pub fn right(assigned: &Assigned, placed: &Placed, captured_at_us: i64, received_at_us: i64, grace_us: i64) -> Right {
    let mut ever = false;
    let mut then = false;
    let mut lost_at_us = i64::MIN;
    for outlet in &placed.spans {
        for rep in assigned.spans.iter().filter(|rep| rep.territory == outlet.territory) {
            let (from_us, until_us) = (rep.from_us.max(outlet.from_us), rep.end().min(outlet.end()));
            if from_us >= until_us || from_us > received_at_us.max(captured_at_us) {
                continue;
            }
            ever = true;
            then |= (from_us..until_us).contains(&captured_at_us);
            lost_at_us = lost_at_us.max(until_us);
        }
    }
    if !ever {
        Right::Never
    } else if !then {
        Right::NotThen
    } else if received_at_us <= lost_at_us.saturating_add(grace_us) {
        Right::Held
    } else {
        Right::Lost { at_us: lost_at_us }
    }
}

impl Right {
    /// For orders and edits.
    ///
    /// # Errors
    /// `REASON_GRACE_EXCEEDED`, `REASON_NOT_IN_SCOPE`.
    pub fn for_edit(self) -> Result<(), Rejection> {
        match self {
            Self::Held => Ok(()),
            Self::Lost { at_us } => Err(Rejection::new(Reason::GraceExceeded).fact(None, "lost_at_us", at_us)),
            Self::NotThen | Self::Never => Err(Rejection::new(Reason::NotInScope)),
        }
    }

    /// For what happened in the field, and for cash: taken if the rep ever held the outlet. Returns whether it has to be
    /// flagged as outside of the rep's assignment.
    ///
    /// # Errors
    /// `REASON_NOT_IN_SCOPE`.
    pub fn for_fact(self) -> Result<bool, Rejection> {
        match self {
            Self::Held => Ok(false),
            Self::Lost { .. } | Self::NotThen => Ok(true),
            Self::Never => Err(Rejection::new(Reason::NotInScope)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR_US: i64 = 3_600 * 1_000_000;
    const NORTH: Uuid = Uuid::from_u128(1);
    const SOUTH: Uuid = Uuid::from_u128(2);

    fn days(from_day: i32, to_day: i32) -> Assignment {
        Assignment { from_day, to_day, ..Assignment::default() }
    }

    #[test]
    fn assignments_meet_when_they_share_a_day() {
        assert!(meet(&days(10, 0), &days(20, 30)));
        assert!(meet(&days(10, 20), &days(20, 30)));
        assert!(!meet(&days(10, 19), &days(20, 0)));
        assert!(!meet(&days(20, 0), &days(10, 19)));
        assert!(runs_on(&days(10, 19), 19) && !runs_on(&days(10, 19), 20) && runs_on(&days(10, 0), 2_000));
        assert!(covers(&days(10, 0), &days(10, 19)) && covers(&days(10, 19), &days(11, 19)));
        assert!(!covers(&days(10, 19), &days(10, 0)) && !covers(&days(10, 19), &days(9, 19)));
    }

    fn rep(spans: &[(Uuid, i64, Option<i64>)]) -> Assigned {
        let span = |(territory, from, until): &(Uuid, i64, Option<i64>)| {
            Span::new(*territory, from * HOUR_US, until.map(|until| until * HOUR_US))
        };
        Assigned { spans: spans.iter().map(span).collect() }
    }

    fn at(assigned: &Assigned, placed: &Placed, captured_h: i64, received_h: i64) -> Right {
        right(assigned, placed, captured_h * HOUR_US, received_h * HOUR_US, GRACE_US)
    }

    #[test]
    fn c13_what_was_captured_before_a_handover_is_taken_within_the_grace() {
        let placed = Placed::first(NORTH);
        let before = rep(&[(NORTH, 0, Some(100))]);
        assert_eq!(at(&before, &placed, 99, 100 + 72), Right::Held);
        assert_eq!(at(&before, &placed, 99, 100 + 73), Right::Lost { at_us: 100 * HOUR_US });
        assert_eq!(at(&before, &placed, 100, 101), Right::NotThen);
        assert_eq!(at(&rep(&[(NORTH, 100, None)]), &placed, 99, 101), Right::NotThen);
        assert_eq!(at(&rep(&[(SOUTH, 0, None)]), &placed, 99, 101), Right::Never);
    }

    #[test]
    fn c13_an_outlet_that_moved_away_is_lost_as_well() {
        let placed = Placed::first(NORTH).moved(SOUTH, 50 * HOUR_US);
        let north = rep(&[(NORTH, 0, None)]);
        assert_eq!(at(&north, &placed, 49, 50 + 72), Right::Held);
        assert_eq!(at(&north, &placed, 49, 50 + 73), Right::Lost { at_us: 50 * HOUR_US });
        let both = north.clone().with(Span::new(SOUTH, 0, None));
        assert_eq!(at(&both, &placed, 49, 5_000), Right::Held, "it moved within the rep's own territories");
        assert_eq!(at(&north, &placed.moved(NORTH, 60 * HOUR_US), 49, 5_000), Right::Held, "it came back");
    }

    #[test]
    fn c14_whoever_held_a_duplicate_has_the_grace_at_its_survivor() {
        let survivor = Placed::first(NORTH).absorbing(&Placed::first(SOUTH), 50 * HOUR_US);
        let south = rep(&[(SOUTH, 0, None)]);
        assert_eq!(at(&south, &survivor, 49, 50 + 72), Right::Held);
        assert_eq!(at(&south, &survivor, 49, 50 + 73), Right::Lost { at_us: 50 * HOUR_US });
        assert_eq!(at(&south, &survivor, 51, 52), Right::NotThen);
        let moved = survivor.moved(SOUTH, 60 * HOUR_US);
        assert_eq!(at(&rep(&[(NORTH, 0, None)]), &moved, 59, 5_000), Right::Lost { at_us: 60 * HOUR_US });
    }

    #[test]
    fn c13_orders_are_refused_beyond_the_grace_and_facts_and_cash_flagged() {
        let lost = Right::Lost { at_us: 7 };
        assert_eq!(lost.for_edit().expect_err("too late").reason, Reason::GraceExceeded);
        assert_eq!(lost.for_fact(), Ok(true));
        assert_eq!(Right::NotThen.for_edit().expect_err("not then").reason, Reason::NotInScope);
        assert_eq!(Right::NotThen.for_fact(), Ok(true));
        assert_eq!(Right::Never.for_fact().expect_err("never").reason, Reason::NotInScope);
        assert_eq!((Right::Held.for_edit(), Right::Held.for_fact()), (Ok(()), Ok(false)));
    }

    #[test]
    fn an_assignment_that_only_begins_later_counts_as_none() {
        assert_eq!(at(&rep(&[(NORTH, 100, None)]), &Placed::first(NORTH), 1, 2), Right::Never);
    }

    #[test]
    fn assignments_end_and_reps_leave() {
        let [one, other] = [11, 12].map(Uuid::from_u128);
        let (north, south) = (Span::new(NORTH, 0, None).of(one), Span::new(SOUTH, 10 * HOUR_US, None).of(other));
        let assigned = Assigned::default().with(north).with(south);
        let ended = assigned.clone().without(one).with(Span::new(NORTH, 0, Some(5 * HOUR_US)).of(one));
        assert_eq!(ended.territories(4 * HOUR_US), [NORTH]);
        assert_eq!(ended.territories(11 * HOUR_US), [SOUTH]);
        assert_eq!(ended.span(one).and_then(|span| span.until_us), Some(5 * HOUR_US));
        assert_eq!((assigned.clone().without(other).spans.len(), ended.span(NORTH)), (1, None));
        let twin = assigned.clone().with(Span::new(NORTH, 0, None).of(other));
        assert_eq!(twin.without(other).territories(0), [NORTH], "one ends, and the other goes on");
        let left = assigned.ending_all(7 * HOUR_US);
        assert_eq!((left.territories(6 * HOUR_US), left.territories(7 * HOUR_US)), (vec![NORTH], vec![]));
    }

    fn spans() -> impl Strategy<Value = Vec<Span>> {
        let span = (0..3_u128, 0..100_i64, proptest::option::of(0..100_i64))
            .prop_map(|(territory, from, until)| Span::new(Uuid::from_u128(territory + 1), from, until));
        proptest::collection::vec(span, 0..5)
    }

    proptest! {
        #[test]
        fn what_is_held_now_is_held_whatever_the_grace(spans in spans(), moves in spans(), now in 0..100_i64) {
            let assigned = Assigned { spans };
            let placed = moves.iter().fold(Placed::first(NORTH), |placed, to| {
                placed.moved(Uuid::from_slice(&to.territory).expect("an id"), to.from_us)
            });
            let territory = placed.spans.iter().find(|span| span.contains(now)).map(|span| span.territory.clone());
            let held = assigned.territories(now).iter().any(|id| Some(id.as_bytes().to_vec()) == territory);
            prop_assert_eq!(right(&assigned, &placed, now, now, 0) == Right::Held, held);
        }

        #[test]
        fn waiting_never_gives_a_right(spans in spans(), captured in 0..100_i64, grace in 0..50_i64, wait in 0..200_i64) {
            let assigned = Assigned { spans: spans.into_iter().filter(|span| span.from_us <= captured).collect() };
            let at = |received| right(&assigned, &Placed::first(NORTH), captured, received, grace);
            if at(captured + wait) == Right::Held {
                prop_assert_eq!(at(captured), Right::Held);
            }
        }

        #[test]
        fn no_input_panics(spans in spans(), a in any::<i64>(), b in any::<i64>(), c in any::<i64>()) {
            let _ = right(&Assigned { spans }, &Placed::first(NORTH), a, b, c);
        }
    }
}
