//! Which conflict a decision was about, by the numbers of docs/CONFLICTS.md.

use roundsman_proto::sync::{Outcome, Status};
use roundsman_proto::trade::Reason;

/// The cases, each with the reasons that tell of it.
const CASES: &[(u8, &[Reason])] = &[
    (2, &[Reason::IdTaken, Reason::CommandIdReused]),
    (3, &[Reason::StaleBase, Reason::OfficeWins, Reason::DeviceWins, Reason::LineRemoved, Reason::ChangePending]),
    (4, &[Reason::ChangeRequested, Reason::OrderReleased, Reason::OrderClosed]),
    (5, &[Reason::HeldPrice]),
    (7, &[Reason::HeldPromotion]),
    (8, &[Reason::HeldDiscount, Reason::HeldBelowFloor, Reason::ApprovalLimit]),
    (9, &[Reason::HeldCreditLimit]),
    (10, &[Reason::HeldOverdue]),
    (11, &[Reason::PartlyConfirmed, Reason::HeldStock, Reason::HeldAllocation]),
    (12, &[Reason::HeldProductWithdrawn]),
    (13, &[Reason::HeldOutletBlocked, Reason::NotInScope, Reason::GraceExceeded, Reason::OutletMerged]),
    (15, &[Reason::HeldTermsExpired]),
    (17, &[Reason::FactWins]),
    (19, &[Reason::AnotherVisitInProgress]),
    (21, &[Reason::SurveyClosed]),
    (22, &[Reason::TakenAsAdvance]),
    (24, &[Reason::ClaimExceedsDelivered, Reason::ClaimTooLate, Reason::ClaimUnlinked, Reason::AcceptedTooMuch]),
    (25, &[Reason::CaseNotDecided]),
    (26, &[Reason::Removed, Reason::OutletArchived, Reason::CauseWithdrawn, Reason::CauseIsGroup]),
    (27, &[Reason::Quarantined, Reason::DependsOnQuarantined]),
    (30, &[Reason::DeviceRevoked]),
    (31, &[Reason::AppTooOld]),
    (32, &[Reason::HeldDuplicateSuspect]),
    (33, &[Reason::ReturnExceedsDelivered, Reason::QuarantineExceeded]),
    (34, &[Reason::StockNotFree, Reason::StockDiffers]),
];

/// The number of the case, if the outcome tells of one.
#[must_use]
pub fn of(outcome: &Outcome) -> Option<u8> {
    if outcome.status() == Status::Duplicate {
        return Some(1);
    }
    let reason = outcome.reason();
    CASES.iter().find(|(_, reasons)| reasons.contains(&reason)).map(|(case, _)| *case)
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
