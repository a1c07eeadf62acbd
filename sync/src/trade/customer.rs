//! Customers that are one: what remains, and what is merged into it.

use roundsman_proto::trade::{MergeCustomers, Reason};
use uuid::Uuid;

use super::check;
use super::rejection::Rejection;

/// What is known of a customer that a command names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// There is none.
    Unknown,
    /// It is there.
    Live,
    /// It was merged into another one.
    Merged {
        /// The one that was named then.
        into: Uuid,
        /// The one that stands for both now.
        remaining: Uuid,
    },
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// The duplicate goes, and this one remains.
    Begin(Uuid),
    /// It is gone; what is left of it goes to this one.
    GoOn(Uuid),
}

/// The office makes two customers one.
///
/// # Errors
/// For its form; `REASON_NOT_FOUND`; `REASON_BAD_SURVIVOR` for itself and for one that was merged itself, be it into the duplicate;
/// `REASON_REMOVED` for a duplicate that was merged into another one.
pub fn decide_merge(command: &MergeCustomers, duplicate: Found, survivor: Found) -> Result<Merge, Rejection> {
    let duplicate_id = check::id(&command.duplicate_id, "duplicate_id")?;
    let survivor_id = check::id(&command.survivor_id, "survivor_id")?;
    let not_found = |field, id| Rejection::new(Reason::NotFound).field(field).about(id);
    if survivor_id == duplicate_id {
        return Err(Rejection::new(Reason::BadSurvivor).field("survivor_id"));
    }
    match (duplicate, survivor) {
        (Found::Unknown, _) => Err(not_found("duplicate_id", duplicate_id)),
        (_, Found::Unknown) => Err(not_found("survivor_id", survivor_id)),
        (Found::Merged { into, remaining }, _) if into == survivor_id || remaining == survivor_id => {
            Ok(Merge::GoOn(remaining))
        }
        (Found::Merged { .. }, _) => Err(Rejection::new(Reason::Removed).field("duplicate_id").about(duplicate_id)),
        (Found::Live, Found::Merged { .. }) => Err(Rejection::new(Reason::BadSurvivor).field("survivor_id")),
        (Found::Live, Found::Live) => Ok(Merge::Begin(survivor_id)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(into: u128, remaining: u128) -> Found {
        Found::Merged { into: Uuid::from_u128(into), remaining: Uuid::from_u128(remaining) }
    }

    fn merge(duplicate: (u128, Found), survivor: (u128, Found)) -> Result<Merge, (Reason, String)> {
        let [duplicate_id, survivor_id] = [duplicate.0, survivor.0].map(|id| Uuid::from_u128(id).as_bytes().to_vec());
        let command = MergeCustomers { duplicate_id, survivor_id };
        decide_merge(&command, duplicate.1, survivor.1).map_err(|no| (no.reason, no.field))
    }

    #[test]
    fn c14_two_customers_become_one_and_what_is_left_goes_on() {
        let one = Uuid::from_u128(1);
        assert_eq!(merge((2, Found::Live), (1, Found::Live)), Ok(Merge::Begin(one)));
        assert_eq!(merge((2, merged(1, 1)), (1, Found::Live)), Ok(Merge::GoOn(one)));
        // Meanwhile 3 was merged into 1.
        assert_eq!(merge((2, merged(3, 1)), (3, merged(1, 1))), Ok(Merge::GoOn(one)));
        assert_eq!(merge((2, merged(3, 1)), (1, Found::Live)), Ok(Merge::GoOn(one)));
    }

    #[test]
    fn c14_a_customer_is_merged_into_none_that_is_gone_and_never_in_a_circle() {
        let no = |reason, field: &str| Err((reason, field.to_owned()));
        assert_eq!(merge((2, Found::Live), (2, Found::Live)), no(Reason::BadSurvivor, "survivor_id"));
        assert_eq!(merge((2, Found::Live), (1, merged(2, 2))), no(Reason::BadSurvivor, "survivor_id"));
        assert_eq!(merge((2, merged(1, 1)), (3, Found::Live)), no(Reason::Removed, "duplicate_id"));
        assert_eq!(merge((2, Found::Unknown), (3, Found::Live)), no(Reason::NotFound, "duplicate_id"));
        assert_eq!(merge((2, Found::Live), (3, Found::Unknown)), no(Reason::NotFound, "survivor_id"));
        assert_eq!(merge((0, Found::Live), (3, Found::Live)), no(Reason::BadId, "duplicate_id"));
    }
}
