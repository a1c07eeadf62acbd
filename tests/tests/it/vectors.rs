//! The test vectors that are kept say what the code does.

use roundsman_tests::vectors::families;

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
