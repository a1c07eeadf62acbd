//! The test vectors that are kept say what the code does.

use std::collections::BTreeSet;

use roundsman_sync::kind::KINDS;
use roundsman_tests::vectors::{families, wire};

#[test]
fn the_kept_vectors_are_what_the_code_makes_of_them_now() {
    for family in families() {
        let kept = std::fs::read_to_string(family.path()).unwrap_or_default();
        assert!(
            kept == family.text(),
            "{} says something else than the code: if the change is meant, run `make vectors`, and see whether devices in \
             the field can live with it",
            family.path().display()
        );
    }
}

#[test]
fn what_was_ever_on_the_wire_says_the_same_for_ever() {
    let kept = wire::kept();
    let names: BTreeSet<&str> = kept.iter().filter_map(|case| case.input["message"].as_str()).collect();
    for name in wire::names() {
        assert!(names.contains(name), "no {name} is kept: run `make vectors`");
    }
    for kind in KINDS {
        assert!(names.contains(format!("roundsman.trade.v1.{kind:?}").as_str()), "no {kind:?} is kept");
    }
    for case in &kept {
        if let Err(wrong) = wire::check(case) {
            panic!("{}, which apps in the field send, keep or read, {wrong}", case.name);
        }
    }
}
