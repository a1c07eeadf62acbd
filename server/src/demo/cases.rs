//! Which conflict a decision was about, by the numbers of docs/CONFLICTS.md.

use roundsman_proto::sync::{Outcome, Status};
use roundsman_proto::trade::Reason;

/// The number of the case, if the outcome tells of one.
#[must_use]
pub fn of(outcome: &Outcome) -> Option<u8> {
    if outcome.status() == Status::Duplicate {
        return Some(1);
    }
    Some(match outcome.reason() {
        Reason::IdTaken | Reason::CommandIdReused => 2,
        Reason::StaleBase | Reason::OfficeWins | Reason::DeviceWins | Reason::LineRemoved | Reason::ChangePending => 3,
        Reason::ChangeRequested | Reason::OrderReleased | Reason::OrderClosed => 4,
        Reason::HeldPrice => 5,
        Reason::HeldPromotion => 7,
        Reason::HeldDiscount | Reason::HeldBelowFloor | Reason::ApprovalLimit => 8,
        Reason::HeldCreditLimit => 9,
        Reason::HeldOverdue => 10,
        Reason::PartlyConfirmed | Reason::HeldStock => 11,
        Reason::HeldProductWithdrawn => 12,
        Reason::HeldOutletBlocked | Reason::NotInScope | Reason::GraceExceeded | Reason::OutletMerged => 13,
        Reason::HeldTermsExpired => 15,
        Reason::FactWins => 17,
        Reason::AnotherVisitInProgress => 19,
        Reason::SurveyClosed => 21,
        Reason::TakenAsAdvance => 22,
        Reason::ClaimExceedsDelivered | Reason::ClaimTooLate | Reason::ClaimUnlinked => 24,
        Reason::Removed | Reason::OutletArchived => 26,
        Reason::Quarantined | Reason::DependsOnQuarantined => 27,
        Reason::DeviceRevoked => 30,
        Reason::AppTooOld => 31,
        Reason::HeldDuplicateSuspect => 32,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reasons that the table of cases names.
    fn documented() -> Vec<(u8, String)> {
        let text = include_str!("../../../docs/CONFLICTS.md");
        let mut reasons = Vec::new();
        for row in text.lines().filter(|line| line.starts_with("| C")) {
            let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
            let case = cells[0].trim().trim_start_matches('C').parse().expect("a number");
            let named = cells[3].split('`').skip(1).step_by(2);
            reasons.extend(named.filter(|name| *name != "DUPLICATE").map(|name| (case, name.to_owned())));
        }
        reasons
    }

    #[test]
    fn the_report_and_the_document_number_cases_alike() {
        let documented = documented();
        assert!(documented.len() > 30, "{documented:?}");
        for (case, name) in &documented {
            let reason = Reason::from_str_name(&format!("REASON_{name}")).expect("a reason");
            let outcome = Outcome { reason: reason.into(), ..Outcome::default() };
            // Flags tell of more than clocks.
            let told = if reason == Reason::Flagged { Some(20) } else { of(&outcome) };
            let also = documented.iter().any(|(other, same)| Some(*other) == told && same == name);
            assert!(told == Some(*case) || also, "{name} is C{case}, and told as {told:?}");
        }
        assert_eq!(of(&Outcome { status: Status::Duplicate.into(), ..Outcome::default() }), Some(1));
        assert_eq!(of(&Outcome::default()), None);
    }
}
