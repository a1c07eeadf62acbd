//! The three-way merge of one value: what the editor saw, what stands now, what the editor wants.

/// What becomes of an edit of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// Nothing was edited, on either side.
    Keep,
    /// The value changed meanwhile, but not against the edit: the same was wanted, or nothing was edited.
    Stale,
    /// The editor's value is taken.
    Take,
    /// Both sides changed it, to different values: the field's policy decides.
    Conflict,
}

/// Compares the value on which an edit was based, the one that stands, and the one that is wanted.
///
/// ```
/// use roundsman_sync::merge::{Merge, three_way};
/// assert_eq!(three_way(&1, &1, &2), Merge::Take);
/// assert_eq!(three_way(&1, &3, &2), Merge::Conflict);
/// ```
#[must_use]
pub fn three_way<T: PartialEq + ?Sized>(base: &T, current: &T, wanted: &T) -> Merge {
    match (current == base, wanted == base, wanted == current) {
        (true, true, _) => Merge::Keep,
        (true, false, _) => Merge::Take,
        (false, true, _) | (false, false, true) => Merge::Stale,
        (false, false, false) => Merge::Conflict,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What stands after an edit, with conflicts left as they are.
    fn apply(base: u8, current: u8, wanted: u8) -> u8 {
        match three_way(&base, &current, &wanted) {
            Merge::Take => wanted,
            Merge::Keep | Merge::Stale | Merge::Conflict => current,
        }
    }

    proptest! {
        #[test]
        fn an_edit_is_idempotent(base in 0..4_u8, current in 0..4_u8, wanted in 0..4_u8) {
            let once = apply(base, current, wanted);
            prop_assert_eq!(apply(base, once, wanted), once);
            if once == wanted {
                prop_assert!(matches!(three_way(&base, &once, &wanted), Merge::Keep | Merge::Stale));
            }
        }

        #[test]
        fn edits_of_different_places_commute(base in any::<[u8; 2]>(), first in any::<u8>(), second in any::<u8>()) {
            let edit = |record: [u8; 2], place: usize, wanted: u8| {
                let mut record = record;
                record[place] = apply(base[place], record[place], wanted);
                record
            };
            prop_assert_eq!(edit(edit(base, 0, first), 1, second), edit(edit(base, 1, second), 0, first));
        }

        #[test]
        fn a_conflict_is_the_same_from_both_sides(base in 0..4_u8, mine in 0..4_u8, theirs in 0..4_u8) {
            let conflict = |current, wanted| three_way(&base, &current, &wanted) == Merge::Conflict;
            prop_assert_eq!(conflict(mine, theirs), conflict(theirs, mine));
        }

        #[test]
        fn an_edit_that_met_no_other_change_is_taken(base in any::<u8>(), wanted in any::<u8>()) {
            prop_assert_eq!(apply(base, base, wanted), wanted);
        }
    }
}
