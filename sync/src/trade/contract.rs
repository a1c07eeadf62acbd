//! Contracts with customers: under which one an order is made.

use roundsman_proto::trade::Contract;
use uuid::Uuid;

use super::check;
use super::rejection::Rejection;

/// A customer has at most so many contracts in one currency.
pub const CONTRACTS: usize = 50;

/// The form of a contract that is set.
///
/// # Errors
/// For its form.
pub fn form(contract: &Contract) -> Result<(), Rejection> {
    check::required_text(&contract.number, check::NAME_CHARS, "number")?;
    check::id(&contract.customer_id, "customer_id")?;
    check::currency(&contract.currency, "currency")?;
    check::optional_day(contract.valid_from_day, "valid_from_day")?;
    check::optional_day(contract.valid_to_day, "valid_to_day")?;
    if contract.valid_to_day != 0 && contract.valid_to_day < contract.valid_from_day {
        return Err(check::out_of_range("valid_to_day"));
    }
    check::money(contract.credit_limit_minor.unwrap_or(0), "credit_limit_minor")?;
    check::optional_id(&contract.successor_id, "successor_id")?;
    check::count(contract.agreement_ids.len(), check::ENTRIES, "agreement_ids")?;
    let ids: Result<Vec<Uuid>, _> = contract.agreement_ids.iter().map(|id| check::id(id, "agreement_ids")).collect();
    check::unique(ids?, "agreement_ids")
}

/// Whether orders by this agreement are made under the contract.
#[must_use]
pub fn covers(contract: &Contract, agreement_id: &[u8]) -> bool {
    contract.agreement_ids.is_empty() || contract.agreement_ids.iter().any(|id| id == agreement_id)
}

/// Whether orders of this day may be made under the contract.
#[must_use]
pub fn is_valid(contract: &Contract, day: i32) -> bool {
    let (from, to) = (contract.valid_from_day, contract.valid_to_day);
    !contract.closed && (from == 0 || from <= day) && (to == 0 || day <= to)
}

/// How an order stands to the contracts of its customer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Standing<'a> {
    /// None of them covers its agreement.
    Free,
    /// It is made under this one.
    Under(Uuid),
    /// This one covers its agreement, and is not valid on its day; and no other is that could take its place.
    Expired(&'a Contract),
}

/// How an order of a day, by an agreement, stands to `contracts`: those of its customer in its currency. `own` is the one under which
/// it is already, or that the customer has named; if it covers the agreement, no other one is looked for. Otherwise the one that
/// begins last counts of those that are valid, and of several such the one with the greatest id.
pub fn standing<'a>(
    contracts: impl Iterator<Item = (Uuid, &'a Contract)>,
    own: &[u8],
    agreement_id: &[u8],
    day: i32,
) -> Standing<'a> {
    let covering: Vec<_> = contracts.filter(|(_, contract)| covers(contract, agreement_id)).collect();
    let named = covering.iter().find(|(id, _)| id.as_bytes() == own);
    let last = |found: &&(Uuid, &Contract)| (found.1.valid_from_day, found.0);
    let valid = |found: &&(Uuid, &Contract)| is_valid(found.1, day);
    let (valid, any) = match named {
        Some(named) => (Some(named).filter(valid), Some(named)),
        None => (covering.iter().filter(valid).max_by_key(last), covering.iter().max_by_key(last)),
    };
    match (valid, any) {
        (Some((id, _)), _) => Standing::Under(*id),
        (None, Some((_, contract))) => Standing::Expired(contract),
        (None, None) => Standing::Free,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use roundsman_proto::trade::Reason;

    const AGREEMENT: [u8; 16] = [7; 16];

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    fn contract(valid_from_day: i32, valid_to_day: i32) -> Contract {
        Contract {
            number: "1".to_owned(),
            customer_id: vec![3; 16],
            currency: "EUR".to_owned(),
            valid_from_day,
            valid_to_day,
            ..Contract::default()
        }
    }

    fn stands<'a>(contracts: &'a [(u128, Contract)], own: Option<u128>, day: i32) -> Standing<'a> {
        let own = own.map(|own| id(own).as_bytes().to_vec()).unwrap_or_default();
        standing(contracts.iter().map(|(number, contract)| (id(*number), contract)), &own, &AGREEMENT, day)
    }

    #[test]
    fn of_the_valid_contracts_the_one_that_begins_last_counts() {
        let all = [(4, contract(0, 0)), (1, contract(10, 30)), (3, contract(20, 40)), (2, contract(20, 0))];
        let under = [5, 10, 20, 40, 41].map(|day| stands(&all, None, day));
        assert_eq!(under, [4, 1, 3, 3, 2].map(|number| Standing::Under(id(number))));
        assert_eq!(stands(&all, Some(1), 25), Standing::Under(id(1)), "what was named counts");
        assert_eq!(stands(&all, Some(99), 25), Standing::Under(id(3)), "what is not the customer's does not");
    }

    #[test]
    fn c15_where_none_is_valid_the_last_one_has_expired() {
        let closed = Contract { closed: true, ..contract(0, 0) };
        let all = [(1, contract(10, 20)), (2, contract(15, 20)), (3, closed.clone())];
        assert_eq!(stands(&all, None, 21), Standing::Expired(&all[1].1));
        assert_eq!(stands(&all[2..], None, 21), Standing::Expired(&closed));
        assert_eq!(stands(&[], None, 21), Standing::Free);
        let open = [(1, contract(10, 20)), (2, contract(0, 0))];
        assert_eq!(stands(&open, Some(1), 21), Standing::Expired(&open[0].1), "the customer wants it under that one");
    }

    #[test]
    fn a_contract_covers_the_agreements_that_it_lists_or_all() {
        let of =
            |ids: &[[u8; 16]]| Contract { agreement_ids: ids.iter().map(|id| id.to_vec()).collect(), ..contract(0, 0) };
        let all = [(1, of(&[[8; 16]])), (2, of(&[[8; 16], AGREEMENT]))];
        assert_eq!(stands(&all, None, 1), Standing::Under(id(2)));
        assert_eq!(stands(&all, Some(1), 1), Standing::Under(id(2)), "the named one does not cover it");
        assert_eq!(stands(&all[..1], None, 1), Standing::Free);
    }

    #[test]
    fn a_contract_in_a_bad_form_is_refused() {
        let refused = |contract: Contract| form(&contract).map_err(|no| (no.reason, no.field));
        assert_eq!(refused(contract(5, 0)), Ok(()));
        assert_eq!(refused(contract(5, 4)), Err((Reason::OutOfRange, "valid_to_day".to_owned())));
        let blank = Contract { number: " ".to_owned(), ..contract(0, 0) };
        assert_eq!(refused(blank), Err((Reason::MissingField, "number".to_owned())));
        let debt = Contract { credit_limit_minor: Some(-1), ..contract(0, 0) };
        assert_eq!(refused(debt), Err((Reason::OutOfRange, "credit_limit_minor".to_owned())));
        let twice = Contract { agreement_ids: vec![AGREEMENT.to_vec(); 2], ..contract(0, 0) };
        assert_eq!(refused(twice), Err((Reason::RepeatedId, "agreement_ids".to_owned())));
    }

    proptest! {
        #[test]
        fn an_order_is_under_a_valid_contract_if_there_is_one(days in proptest::collection::vec((0..9_i32, 0..9_i32), 0..6), day in 1..9_i32) {
            let all: Vec<(u128, Contract)> = days.iter().zip(1..).map(|((from, to), number)| (number, contract(*from, *to))).collect();
            match stands(&all, None, day) {
                Standing::Under(found) => {
                    let (_, found) = all.iter().find(|(number, _)| id(*number) == found).expect("one of them");
                    prop_assert!(is_valid(found, day));
                    prop_assert!(all.iter().all(|(_, other)| !is_valid(other, day) || other.valid_from_day <= found.valid_from_day));
                }
                Standing::Expired(_) => prop_assert!(!all.iter().any(|(_, other)| is_valid(other, day))),
                Standing::Free => prop_assert!(all.is_empty()),
            }
        }
    }
}
