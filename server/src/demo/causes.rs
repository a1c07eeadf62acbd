//! For what customers complain: a tree of causes, which says who answers and by when. Pure.

use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{ClaimCause, ReclamationCause, RecordToImport};
use uuid::Uuid;

use super::records::entry;
use super::world::{bytes, id};

/// The goods were pressed on the way.
pub const CRUSHED: &str = "crushed";

/// A node of the tree. What is 0, empty or unspecified is as the group says.
struct Node {
    key: &'static str,
    /// The key of its group; empty: it is a root.
    group: &'static str,
    name: &'static str,
    cause: ReclamationCause,
    department: &'static str,
    /// Days for filing, and working days for the decision and for the settlement.
    within_days: [i32; 3],
}

const fn group(key: &'static str, name: &'static str, cause: ReclamationCause, department: &'static str) -> Node {
    Node { key, group: "", name, cause, department, within_days: [7, 3, 5] }
}

const fn leaf(group: &'static str, key: &'static str, name: &'static str, within_days: [i32; 3]) -> Node {
    Node { key, group, name, cause: ReclamationCause::Unspecified, department: "", within_days }
}

/// Groups stand before what belongs to them.
const TREE: [Node; 9] = [
    group("way", "On the way", ReclamationCause::Damaged, "warehouse"),
    leaf("way", CRUSHED, "Crushed", [3, 1, 2]),
    leaf("way", "leaking", "Leaking", [3, 1, 2]),
    group("goods", "The goods themselves", ReclamationCause::Quality, "purchasing"),
    leaf("goods", "spoilt", "Spoilt", [0, 2, 0]),
    leaf("goods", "foreign", "Something in it that does not belong there", [30, 1, 0]),
    group("count", "The delivery", ReclamationCause::DeliveryDiscrepancy, "warehouse"),
    leaf("count", "less", "Less came", [2, 1, 0]),
    leaf("count", "other", "Something else came", [2, 1, 0]),
];

/// The id of a cause by its key.
#[must_use]
pub fn cause_id(key: &str) -> Uuid {
    id("claim-cause", key)
}

/// The tree as records.
#[must_use]
pub fn all() -> Vec<RecordToImport> {
    let record = |node: &Node| {
        let [file_within_days, decide_within_days, settle_within_days] = node.within_days;
        let cause = ClaimCause {
            name: node.name.to_owned(),
            parent_id: if node.group.is_empty() { Vec::new() } else { bytes(cause_id(node.group)) },
            cause: node.cause.into(),
            department: node.department.to_owned(),
            file_within_days,
            decide_within_days,
            settle_within_days,
            withdrawn_from_day: 0,
        };
        entry(cause_id(node.key), Record::ClaimCause(cause))
    };
    TREE.iter().map(record).collect()
}
