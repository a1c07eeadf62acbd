//! What was claimed and accepted of shipments: summed up reclamation by reclamation. The causes, and what is due.

use std::collections::BTreeMap;

use roundsman_sync::trade::reclamation::cause::{CauseNode, Causes};
use roundsman_sync::trade::reclamation::{ClaimedLine, Claims};
use uuid::Uuid;

use super::facts::{ClaimFacts, Facts};
use super::{Derived, Report};
use crate::internal::Internal as _;

/// Compares `claims{}` and `causes{}`. Which reclamation of a line was the first is history; that it is one of them is not.
pub(super) fn check(facts: &Facts, derived: &Derived, report: &mut Report) {
    let mut expected = BTreeMap::new();
    for (shipment, lines) in &facts.claims {
        let stored = derived.claims.of(shipment);
        let mut right: Vec<ClaimedLine> = lines.iter().map(|(line, claimed)| in_line(&stored, line, claimed)).collect();
        // In the order of the first claims, which is history as well.
        let position =
            |line: &ClaimedLine| stored.lines.iter().position(|other| other.shipment_line_id == line.shipment_line_id);
        right.sort_by_key(|line| position(line).unwrap_or(usize::MAX));
        expected.insert(Claims::name(shipment), Claims { lines: right });
    }
    derived.claims.compare(&expected, report, differ);
    check_causes(facts, derived, report);
    for id in &facts.undue {
        report.find(format!("Reclamation {id} is closed while something is due, or open while nothing is"));
    }
}

fn check_causes(facts: &Facts, derived: &Derived, report: &mut Report) {
    let bytes = |id: &Uuid| id.as_bytes().to_vec();
    let nodes = facts.claim_causes.iter().map(|(cause, parent)| CauseNode {
        cause_id: bytes(cause),
        parent_id: parent.as_ref().map(bytes).unwrap_or_default(),
    });
    let causes = Causes { nodes: nodes.collect() };
    let expected = (causes != Causes::default()).then(|| (Causes::name(&()), causes));
    derived.causes.compare(&expected.into_iter().collect(), report, |stored, right| {
        let wrong = stored.nodes.iter().filter(|node| !right.nodes.contains(node)).count();
        let lacking = right.nodes.iter().filter(|node| !stored.nodes.contains(node)).count();
        Some(format!("hangs {wrong} causes where they don't belong, and lacks {lacking}"))
    });
    for cause in facts.claim_causes.keys() {
        let parent = |cause: &Uuid| facts.claim_causes.get(cause).copied().flatten();
        if std::iter::successors(Some(*cause), parent).take(LEVELS + 1).count() > LEVELS {
            report.find(format!("ClaimCause {cause} is in a loop, or too deep"));
        }
    }
}

const LEVELS: usize = 4;

fn in_line(stored: &Claims, line: &[u8], claimed: &ClaimFacts) -> ClaimedLine {
    let noted = stored.lines.iter().find(|other| other.shipment_line_id == line);
    let noted = noted.and_then(|noted| Uuid::from_slice(&noted.first_reclamation_id).ok());
    let first =
        noted.filter(|first| claimed.reclamations.contains(first)).or_else(|| claimed.reclamations.first().copied());
    ClaimedLine {
        shipment_line_id: line.to_vec(),
        claimed_milli: claimed.claimed_milli,
        accepted_milli: claimed.accepted_milli,
        accepted_missing_milli: claimed.accepted_missing_milli,
        first_reclamation_id: first.unwrap_or_default().as_bytes().to_vec(),
    }
}

fn differ(stored: &Claims, right: &Claims) -> Option<String> {
    let mut differences = Vec::new();
    let name = |line: &ClaimedLine| {
        Uuid::from_slice(&line.shipment_line_id)
            .map_or_else(|_| format!("{:02x?}", line.shipment_line_id), |id| id.to_string())
    };
    for line in &right.lines {
        let found = stored.claimed_milli(&line.shipment_line_id);
        if found != line.claimed_milli {
            let right = line.claimed_milli;
            differences.push(format!("says that {found} of line {} were claimed instead of {right}", name(line)));
        } else if stored.accepted_milli(&line.shipment_line_id) != (line.accepted_milli, line.accepted_missing_milli) {
            let ((found, _), right) = (stored.accepted_milli(&line.shipment_line_id), line.accepted_milli);
            differences.push(format!("says that {found} of line {} were accepted instead of {right}", name(line)));
        } else if !stored.lines.contains(line) {
            differences.push(format!("calls a reclamation the first of line {} that does not claim it", name(line)));
        }
    }
    let is_right = |line: &ClaimedLine| right.lines.iter().any(|other| other.shipment_line_id == line.shipment_line_id);
    for line in stored.lines.iter().filter(|line| !is_right(line)) {
        differences.push(format!("says that line {} was claimed, and no reclamation does", name(line)));
    }
    Some(if differences.is_empty() { "names lines more than once".to_owned() } else { differences.join("; ") })
}
