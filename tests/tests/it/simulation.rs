//! The simulation, in small: `make simulate` runs more seeds, and longer.

use roundsman_tests::simulation::{Settings, batching, run};

const SHORT: Settings = Settings { steps: 200, restores: true, tell: None };

#[test]
fn twenty_seeds_keep_every_law() {
    for seed in 1..=20 {
        let end = run(seed, &SHORT);
        if let Some(violation) = end.violation {
            panic!("{violation}\nreplay: simulate --seed {seed} --steps {} --trace", SHORT.steps);
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_history_to_the_byte() {
    let [first, second] = [(), ()].map(|()| run(5, &SHORT));
    assert_eq!(first.violation, second.violation);
    assert_eq!((first.digest, first.tally), (second.digest, second.tally));
    assert_ne!(first.digest, run(6, &SHORT).digest, "another seed gives another history");
}

#[test]
fn batching_is_invisible() {
    for seed in 31..=34 {
        match batching::compare(seed, &SHORT) {
            Ok(commands) => assert!(commands > 20, "{commands} commands are too few to say anything"),
            Err(violation) => panic!("seed {seed}: {violation}"),
        }
    }
}
