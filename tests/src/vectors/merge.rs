//! The three-way merge of one value.

use roundsman_sync::merge::{Merge, three_way};
use serde_json::json;

use super::{Case, Family};

const ABOUT: &str = "The value on which an edit was based, the one that stands, and the one that is wanted. Expected is what \
                     becomes of the edit: keep (nothing was edited), stale (it changed meanwhile, but not against the \
                     edit), take (the edit is taken), conflict (the field's policy decides).";

pub(super) fn family() -> Family {
    let cases = [
        ("nothing was edited", "a", "a", "a"),
        ("only the rep has edited", "a", "a", "b"),
        ("only the office has edited", "a", "b", "a"),
        ("both want the same", "a", "b", "b"),
        ("both want something else", "a", "b", "c"),
        ("an empty value is a value", "", "", "b"),
    ];
    Family { name: "merge", about: ABOUT, cases: cases.into_iter().map(case).collect() }
}

fn case((name, base, current, wanted): (&str, &str, &str, &str)) -> Case {
    let merge = match three_way(base, current, wanted) {
        Merge::Keep => "keep",
        Merge::Stale => "stale",
        Merge::Take => "take",
        Merge::Conflict => "conflict",
    };
    Case::new(name, json!({ "base": base, "current": current, "wanted": wanted }), json!({ "merge": merge }))
}
