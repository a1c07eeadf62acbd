//! Chains: the tree by which outlets are managed, and the terms that outlets inherit down it.

use roundsman_proto::trade::{Chain, Outlet, Reason};
use uuid::Uuid;

use super::check;
use super::rejection::Rejection;

/// A tree of chains has at most so many levels.
pub const LEVELS: usize = 5;
/// So many agreements a chain lists at most.
pub const AGREEMENTS: usize = 20;
/// So many branches a tree of chains has at most.
pub const BRANCHES: usize = 1_000;
/// So many outlets of its own a chain has at most.
pub const OUTLETS: usize = 10_000;

/// The agreements by which an outlet may buy: its own, or else those that it inherits.
#[must_use]
pub fn agreements_of(outlet: &Outlet) -> &[Vec<u8>] {
    if outlet.agreement_ids.is_empty() { &outlet.inherited_agreement_ids } else { &outlet.agreement_ids }
}

/// What an outlet inherits: the agreements of the nearest chain that has any. `line` is the outlet's chain, then that one's
/// parent, and so on to the root.
#[must_use]
pub fn terms<'a>(line: impl IntoIterator<Item = &'a Chain>) -> &'a [Vec<u8>] {
    let nearest = line.into_iter().find(|chain| !chain.agreement_ids.is_empty());
    nearest.map_or(&[], |chain| &chain.agreement_ids)
}

/// Whether outlets and branches may have to follow a change of a chain.
#[must_use]
pub fn changes_terms(before: &Chain, after: &Chain) -> bool {
    let inherits = after.agreement_ids.is_empty();
    before.agreement_ids != after.agreement_ids || (inherits && before.parent_id != after.parent_id)
}

/// Whether a chain is well-formed.
///
/// # Errors
/// `REASON_MISSING_FIELD`, `REASON_TOO_LONG`, `REASON_LIMIT_EXCEEDED`, `REASON_BAD_ID`, and what [`check::unique`] says.
pub fn form(chain: &Chain) -> Result<(), Rejection> {
    check::required_text(&chain.name, check::NAME_CHARS, "name")?;
    check::optional_id(&chain.parent_id, "parent_id")?;
    check::count(chain.agreement_ids.len(), AGREEMENTS, "agreement_ids")?;
    let ids: Result<Vec<Uuid>, _> = chain.agreement_ids.iter().map(|id| check::id(id, "agreement_ids")).collect();
    check::unique(ids?, "agreement_ids")
}

/// Whether a chain may hang below `above` (its parent, then that one's, and so on to the root) with `below` levels of
/// branches under it.
///
/// # Errors
/// `REASON_CHAIN_CYCLE`.
pub fn may_hang(id: Uuid, above: &[Uuid], below: usize) -> Result<(), Rejection> {
    if above.contains(&id) || above.len().saturating_add(1).saturating_add(below) > LEVELS {
        return Err(Rejection::new(Reason::ChainCycle).field("parent_id").about(id));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(numbers: &[u8]) -> Vec<Vec<u8>> {
        numbers.iter().map(|number| vec![*number; 16]).collect()
    }

    fn chain(agreements: &[u8]) -> Chain {
        Chain { name: "Chain".to_owned(), agreement_ids: ids(agreements), ..Chain::default() }
    }

    #[test]
    fn the_nearest_chain_that_has_terms_gives_them() {
        let (holding, brand, branch) = (chain(&[1, 2]), chain(&[3]), chain(&[]));
        assert_eq!(terms([&branch, &brand, &holding]), ids(&[3]));
        assert_eq!(terms([&branch, &branch, &holding]), ids(&[1, 2]));
        assert_eq!(terms([&holding, &brand]), ids(&[1, 2]), "what is above does not count");
        assert!(terms([&branch]).is_empty() && terms([]).is_empty());
    }

    #[test]
    fn an_outlet_buys_by_its_own_terms_or_else_by_those_it_inherits() {
        let inherits = Outlet { inherited_agreement_ids: ids(&[1]), ..Outlet::default() };
        assert_eq!(agreements_of(&inherits), ids(&[1]));
        assert_eq!(agreements_of(&Outlet { agreement_ids: ids(&[2]), ..inherits }), ids(&[2]));
        assert!(agreements_of(&Outlet::default()).is_empty());
    }

    #[test]
    fn a_new_parent_changes_terms_only_of_those_who_inherit() {
        let moved = |chain: Chain| Chain { parent_id: vec![9; 16], ..chain };
        assert!(changes_terms(&chain(&[]), &moved(chain(&[]))));
        assert!(!changes_terms(&chain(&[1]), &moved(chain(&[1]))));
        assert!(changes_terms(&chain(&[1]), &chain(&[2])) && changes_terms(&chain(&[1]), &chain(&[])));
        assert!(!changes_terms(&chain(&[1]), &Chain { name: "Other".to_owned(), ..chain(&[1]) }));
    }

    #[test]
    fn a_tree_has_no_loops_and_five_levels() {
        let [id, a, b, c, d] = [1, 2, 3, 4, 5].map(Uuid::from_u128);
        assert_eq!(may_hang(id, &[], 4), Ok(()));
        assert_eq!(may_hang(id, &[a, b, c, d], 0), Ok(()));
        for (above, below) in [(&[id][..], 0), (&[a, id], 0), (&[a, b, c, d], 1), (&[a, b], 3), (&[], 5)] {
            let refused = may_hang(id, above, below).expect_err("refused");
            assert_eq!((refused.reason, refused.field.as_str()), (Reason::ChainCycle, "parent_id"));
        }
    }

    #[test]
    fn a_chain_lists_each_agreement_once() {
        assert_eq!(form(&chain(&[1, 2])), Ok(()));
        assert!(form(&chain(&[1, 1])).is_err());
        assert_eq!(form(&Chain::default()).expect_err("no name").field, "name");
        let many: Vec<u8> = (0..=20).collect();
        assert_eq!(form(&chain(&many)).expect_err("too many").reason, Reason::LimitExceeded);
        let bad = Chain { parent_id: vec![1], ..chain(&[]) };
        assert_eq!(form(&bad).expect_err("no id").field, "parent_id");
    }
}
