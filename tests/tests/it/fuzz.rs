//! A few seconds of `make fuzz`, the same each time.

use roundsman_tests::fuzz::{Fuzz, Target};

/// Of the cheap targets; the dear ones get a part of it.
const INPUTS: u64 = 20_000;

#[tokio::test(flavor = "multi_thread")]
async fn whatever_comes_from_outside_is_taken_or_refused() {
    let fuzz = Fuzz::start().await;
    let broken: Vec<String> = tokio::task::block_in_place(|| {
        let tried = (0..INPUTS).map(|number| (number, Target::of(number)));
        let broken = tried.filter_map(|(number, target)| {
            let what = fuzz.attempt(1, number, target).err()?;
            Some(format!("{target:?} {number}: {what}"))
        });
        broken.collect()
    });
    assert_eq!(broken, Vec::<String>::new());
    fuzz.finish().await.expect("all that is derived is right");
}
