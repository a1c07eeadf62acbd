//! The simulation, in small: `make simulate` runs more seeds, and longer.

use std::num::NonZero;
use std::sync::atomic::{AtomicU64, Ordering};

use roundsman_tests::simulation::{Settings, batching, on_both, run};

fn short() -> Settings {
    Settings { steps: 200, ..Settings::default() }
}

#[test]
fn two_hundred_seeds_keep_every_law() {
    let next = AtomicU64::new(1);
    let keep = || {
        while let seed @ 1..=200 = next.fetch_add(1, Ordering::Relaxed) {
            let end = run(seed, &short());
            if let Some(violation) = end.violation {
                panic!("{violation}\nreplay: simulate --seed {seed} --steps {} --trace", short().steps);
            }
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    std::thread::scope(|threads| (0..cores).for_each(|_| drop(threads.spawn(keep))));
}

#[test]
fn the_same_seed_gives_the_same_history_to_the_byte() {
    let [first, second] = [(), ()].map(|()| run(5, &short()));
    assert_eq!(first.violation, second.violation);
    assert_eq!((first.digest, first.tally), (second.digest, second.tally));
    assert_ne!(first.digest, run(6, &short()).digest, "another seed gives another history");
}

#[test]
fn the_same_history_gives_the_same_store_on_both_databases() {
    for seed in 41..=43 {
        let end = on_both(seed, &short());
        assert_eq!(end.violation, None, "seed {seed}");
        assert_ne!(end.stored, 0);
    }
}

#[test]
fn batching_is_invisible() {
    for seed in 31..=34 {
        match batching::compare(seed, &short()) {
            Ok(commands) => assert!(commands > 20, "{commands} commands are too few to say anything"),
            Err(violation) => panic!("seed {seed}: {violation}"),
        }
    }
}
