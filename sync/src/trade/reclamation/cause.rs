//! Causes of reclamations: trees of which a leaf is chosen, and what follows from the choice.

use prost::Message;
use roundsman_proto::trade::{ClaimCause, Reason, ReclamationCause};
use uuid::Uuid;

use super::deadline::StageDays;
use crate::trade::check;
use crate::trade::rejection::Rejection;

/// A tree of causes has at most so many levels.
pub const LEVELS: usize = 4;
/// All trees together have at most so many causes.
pub const CAUSES: usize = 500;
/// A deadline is at most so many days away.
pub const DAYS: i32 = 366;

/// The internal record `causes{}`: how the causes hang together.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Causes {
    /// In ascending order of their ids.
    #[prost(message, repeated, tag = "1")]
    pub nodes: Vec<CauseNode>,
}

/// Where a cause hangs.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct CauseNode {
    /// The cause; 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub cause_id: Vec<u8>,
    /// Its parent; 16 bytes, or empty.
    #[prost(bytes = "vec", tag = "2")]
    pub parent_id: Vec<u8>,
}

impl Causes {
    /// A cause, its parent, and so on to the root. What loops is cut off.
    #[must_use]
    pub fn line(&self, cause: Uuid) -> Vec<Uuid> {
        let parent =
            |id: &Uuid| self.position(*id).ok().and_then(|at| Uuid::from_slice(&self.nodes[at].parent_id).ok());
        std::iter::successors(Some(cause), parent).take(LEVELS + 1).collect()
    }

    /// Whether something hangs below a cause.
    #[must_use]
    pub fn is_group(&self, cause: Uuid) -> bool {
        self.nodes.iter().any(|node| node.parent_id == cause.as_bytes())
    }

    /// With a cause, new or not, below this parent.
    ///
    /// # Errors
    /// `REASON_CAUSE_CYCLE`, `REASON_LIMIT_EXCEEDED`.
    pub fn with(&self, cause: Uuid, parent_id: &[u8]) -> Result<Self, Rejection> {
        let mut causes = self.clone();
        let node = CauseNode { cause_id: cause.as_bytes().to_vec(), parent_id: parent_id.to_vec() };
        match causes.position(cause) {
            Ok(at) => causes.nodes[at] = node,
            Err(at) => causes.nodes.insert(at, node),
        }
        check::count(causes.nodes.len(), CAUSES, "record_id")?;
        let ids = || causes.nodes.iter().filter_map(|node| Uuid::from_slice(&node.cause_id).ok());
        if ids().any(|id| causes.line(id).len() > LEVELS) {
            return Err(Rejection::new(Reason::CauseCycle).field("parent_id").about(cause));
        }
        Ok(causes)
    }

    fn position(&self, cause: Uuid) -> Result<usize, usize> {
        self.nodes.binary_search_by(|node| node.cause_id.as_slice().cmp(cause.as_bytes()))
    }
}

/// Whether a cause is well-formed.
///
/// # Errors
/// `REASON_MISSING_FIELD`, `REASON_TOO_LONG`, `REASON_BAD_ID`, `REASON_UNKNOWN_VALUE`, `REASON_OUT_OF_RANGE`.
pub fn form(cause: &ClaimCause) -> Result<(), Rejection> {
    check::required_text(&cause.name, check::NAME_CHARS, "name")?;
    check::optional_id(&cause.parent_id, "parent_id")?;
    let counts_as: ReclamationCause = check::optional_choice(cause.cause, "cause")?;
    if counts_as == ReclamationCause::Unspecified && cause.parent_id.is_empty() {
        return Err(check::missing("cause"));
    }
    check::text(&cause.department, check::NAME_CHARS, "department")?;
    check::range(cause.file_within_days, 0..=DAYS, "file_within_days")?;
    check::range(cause.decide_within_days, 0..=DAYS, "decide_within_days")?;
    check::range(cause.settle_within_days, 0..=DAYS, "settle_within_days")?;
    check::optional_day(cause.withdrawn_from_day, "withdrawn_from_day")
}

/// The cause that a claim names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chosen {
    /// The cause, then its parent, and so on to the root; empty: none is named.
    pub line: Vec<ClaimCause>,
    /// Something hangs below it.
    pub is_group: bool,
}

/// What follows from the cause of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// What it counts as.
    pub cause: ReclamationCause,
    /// Who is to answer; empty: nobody is named.
    pub department: String,
    /// For so many days after the delivery a claim is in time.
    pub file_within_days: i32,
    /// How long its stages may take.
    pub days: StageDays,
}

impl Chosen {
    /// Whether a claim that was captured on a day may name it.
    ///
    /// # Errors
    /// `REASON_CAUSE_IS_GROUP`; `REASON_CAUSE_WITHDRAWN` with the day.
    pub fn check(&self, day: i32) -> Result<(), Rejection> {
        if self.is_group {
            return Err(Rejection::new(Reason::CauseIsGroup).field("cause_id"));
        }
        let withdrawn = self.line.iter().map(|cause| cause.withdrawn_from_day).filter(|from| (1..=day).contains(from));
        match withdrawn.min() {
            Some(from) => {
                Err(Rejection::new(Reason::CauseWithdrawn).field("cause_id").fact(None, "withdrawn_from_day", from))
            }
            None => Ok(()),
        }
    }

    /// What follows for a claim that says `cause` itself. `days` are for what no cause says.
    #[must_use]
    pub fn terms(&self, cause: ReclamationCause, days: StageDays) -> Terms {
        let counts_as = self.line.iter().map(ClaimCause::cause).find(|of| *of != ReclamationCause::Unspecified);
        let cause = counts_as.unwrap_or(cause);
        let departments = self.line.iter().map(|of| &of.department);
        let first = |of: fn(&ClaimCause) -> i32| self.line.iter().map(of).find(|days| *days > 0);
        Terms {
            cause,
            department: departments.into_iter().find(|department| !department.is_empty()).cloned().unwrap_or_default(),
            file_within_days: first(|of| of.file_within_days).unwrap_or_else(|| file_within_days(cause)),
            days: StageDays {
                decide: first(|of| of.decide_within_days).unwrap_or(days.decide),
                settle: first(|of| of.settle_within_days).unwrap_or(days.settle),
            },
        }
    }
}

/// For so many days after the delivery a claim is in time, unless a cause says otherwise.
fn file_within_days(cause: ReclamationCause) -> i32 {
    match cause {
        ReclamationCause::DeliveryDiscrepancy | ReclamationCause::Damaged => 3,
        ReclamationCause::Quality | ReclamationCause::Expired => 14,
        ReclamationCause::Price | ReclamationCause::Papers => 30,
        ReclamationCause::Other | ReclamationCause::Unspecified => 14,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const USUAL: StageDays = StageDays { decide: 5, settle: 6 };

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    fn bytes(number: u128) -> Vec<u8> {
        if number == 0 { Vec::new() } else { id(number).as_bytes().to_vec() }
    }

    fn tree(edges: &[(u128, u128)]) -> Result<Causes, Rejection> {
        edges.iter().try_fold(Causes::default(), |causes, (cause, parent)| causes.with(id(*cause), &bytes(*parent)))
    }

    #[test]
    fn a_tree_has_no_loops_and_four_levels() {
        let four = [(4, 0), (3, 4), (2, 3), (1, 2)];
        let causes = tree(&four).expect("a tree");
        assert_eq!(causes.line(id(1)), [1, 2, 3, 4].map(id));
        assert!(causes.is_group(id(2)) && !causes.is_group(id(1)));
        for (cause, parent) in [(5, 1), (4, 4), (4, 1), (4, 2)] {
            let refused = causes.with(id(cause), &bytes(parent)).expect_err("refused");
            assert_eq!((refused.reason, refused.field.as_str()), (Reason::CauseCycle, "parent_id"), "{cause} {parent}");
        }
        let other = causes.with(id(5), &[]).expect("another root");
        assert_eq!(other.with(id(4), &bytes(5)).expect_err("too deep for what is below").reason, Reason::CauseCycle);
        let flat = other.with(id(2), &bytes(5)).expect("hangs elsewhere");
        assert_eq!(flat.line(id(1)), [1, 2, 5].map(id));
    }

    #[test]
    fn there_are_so_many_causes_and_no_more() {
        let edges: Vec<(u128, u128)> = (1..=500).map(|cause| (cause, 0)).collect();
        let causes = tree(&edges).expect("500");
        assert!(causes.with(id(500), &bytes(1)).is_ok(), "it is there");
        assert_eq!(causes.with(id(501), &[]).expect_err("too many").reason, Reason::LimitExceeded);
    }

    fn node(cause: ReclamationCause, department: &str, days: [i32; 3]) -> ClaimCause {
        let [file_within_days, decide_within_days, settle_within_days] = days;
        ClaimCause {
            name: "Cause".to_owned(),
            cause: cause.into(),
            department: department.to_owned(),
            file_within_days,
            decide_within_days,
            settle_within_days,
            ..ClaimCause::default()
        }
    }

    #[test]
    fn what_a_cause_leaves_open_is_as_those_above_it_say() {
        let leaf = node(ReclamationCause::Unspecified, "", [0, 2, 0]);
        let group = node(ReclamationCause::Quality, "laboratory", [0, 9, 0]);
        let root = node(ReclamationCause::Damaged, "warehouse", [7, 0, 0]);
        let of = |line: &[&ClaimCause]| {
            let line = line.iter().map(|cause| (*cause).clone()).collect();
            Chosen { line, is_group: false }.terms(ReclamationCause::Price, USUAL)
        };
        let terms = of(&[&leaf, &group, &root]);
        assert_eq!((terms.cause, terms.department.as_str()), (ReclamationCause::Quality, "laboratory"));
        assert_eq!((terms.file_within_days, terms.days), (7, StageDays { decide: 2, settle: 6 }));
        assert_eq!(of(&[&group]).file_within_days, 14, "as of its kind");
        let none = of(&[]);
        assert_eq!((none.cause, none.file_within_days, none.days), (ReclamationCause::Price, 30, USUAL));
    }

    #[test]
    fn what_was_withdrawn_is_known_from_that_day_on() {
        let root = ClaimCause { withdrawn_from_day: 10, ..node(ReclamationCause::Damaged, "", [0; 3]) };
        let chosen = Chosen { line: vec![node(ReclamationCause::Unspecified, "", [0; 3]), root], is_group: false };
        assert_eq!(chosen.check(9), Ok(()), "it was captured before");
        let refused = chosen.check(10).expect_err("withdrawn with what is above it");
        assert_eq!((refused.reason, refused.field.as_str()), (Reason::CauseWithdrawn, "cause_id"));
        let group = Chosen { is_group: true, ..chosen };
        assert_eq!(group.check(9).expect_err("a group").reason, Reason::CauseIsGroup);
        assert_eq!(Chosen::default().check(9), Ok(()));
    }

    #[test]
    fn a_cause_says_what_it_counts_as_or_hangs_below_one_that_does() {
        let root = node(ReclamationCause::Damaged, "", [0; 3]);
        assert_eq!(form(&root), Ok(()));
        let open = node(ReclamationCause::Unspecified, "", [0; 3]);
        assert_eq!(form(&ClaimCause { parent_id: bytes(1), ..open.clone() }), Ok(()));
        let field = |cause: ClaimCause| form(&cause).expect_err("refused").field;
        assert_eq!(field(open), "cause");
        assert_eq!(field(ClaimCause { name: String::new(), ..root.clone() }), "name");
        assert_eq!(field(ClaimCause { parent_id: vec![1], ..root.clone() }), "parent_id");
        assert_eq!(field(ClaimCause { decide_within_days: 367, ..root.clone() }), "decide_within_days");
        assert_eq!(field(ClaimCause { settle_within_days: -1, ..root.clone() }), "settle_within_days");
        assert_eq!(field(ClaimCause { withdrawn_from_day: -1, ..root }), "withdrawn_from_day");
    }

    proptest! {
        #[test]
        fn whatever_is_hung_wherever_every_line_ends_at_a_root(edges in proptest::collection::vec((1..9_u128, 0..9_u128), 0..40)) {
            let mut causes = Causes::default();
            for (cause, parent) in edges {
                let is_known = parent == 0 || causes.nodes.iter().any(|node| node.cause_id == bytes(parent));
                if is_known && let Ok(with) = causes.with(id(cause), &bytes(parent)) {
                    causes = with;
                }
            }
            prop_assert!(causes.nodes.is_sorted_by_key(|node| node.cause_id.clone()));
            for node in &causes.nodes {
                let line = causes.line(Uuid::from_slice(&node.cause_id).expect("an id"));
                let root = line.last().expect("itself");
                prop_assert!(line.len() <= LEVELS && causes.nodes.iter().any(|node| node.cause_id == root.as_bytes() && node.parent_id.is_empty()));
            }
        }
    }
}
