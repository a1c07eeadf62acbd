//! What a device does that is shut out.

use roundsman_sync::wipe::{Step, shut_out};
use serde_json::json;

use super::{Case, Family};

const ABOUT: &str = "A refusal by its reason and the `wipe` of its metadata (null: not there), whether something waits in the \
                     outbox, and the gRPC code with which the push since then has ended (null: none was made). Expected is \
                     the next step: none (the refusal does not shut the device out), push, erase (all that the device \
                     holds), later (everything is kept until the next call), stop (everything is kept for good).";

/// What is given: its name, the reason and `wipe`, whether something waits, and how the push has ended.
type Given = (&'static str, (&'static str, Option<&'static str>), bool, Option<i32>);

const REVOKED: (&str, Option<&str>) = ("DEVICE_REVOKED", None);
const WIPE: (&str, Option<&str>) = ("DEVICE_REVOKED", Some("true"));

pub(super) fn family() -> Family {
    let cases: [Given; 15] = [
        ("a refusal for another reason shuts nobody out", ("SESSION_ENDED", Some("true")), true, None),
        ("a revoked device pushes what waits", REVOKED, true, None),
        ("a revoked device keeps what it holds", REVOKED, false, None),
        ("a revoked device has pushed, and keeps what it holds", REVOKED, false, Some(0)),
        ("a revoked device whose push is refused keeps what it holds", REVOKED, true, Some(7)),
        ("only true is an order to wipe", ("DEVICE_REVOKED", Some("false")), false, None),
        ("what waits is pushed before anything is erased", WIPE, true, None),
        ("what was captured meanwhile is pushed, too", WIPE, true, Some(0)),
        ("what was pushed is erased", WIPE, false, Some(0)),
        ("where nothing waits, all is erased at once", WIPE, false, None),
        ("where the server is not there, nothing is erased", WIPE, true, Some(14)),
        ("where the push took too long, nothing is erased", WIPE, true, Some(4)),
        ("where the server has too much to do, nothing is erased", WIPE, true, Some(8)),
        ("what the server refuses for good is erased", WIPE, true, Some(7)),
        ("when the session has ended, all is erased", WIPE, true, Some(16)),
    ];
    Family { name: "wipe", about: ABOUT, cases: cases.into_iter().map(case).collect() }
}

fn case((name, (reason, wipe), waits, pushed): Given) -> Case {
    let step = match shut_out(reason, wipe).map(|told| told.next(waits, pushed)) {
        None => "none",
        Some(Step::Push) => "push",
        Some(Step::Erase) => "erase",
        Some(Step::Later) => "later",
        Some(Step::Stop) => "stop",
    };
    let input = json!({ "reason": reason, "wipe": wipe, "waits": waits, "pushed": pushed });
    Case::new(name, input, json!({ "step": step }))
}
