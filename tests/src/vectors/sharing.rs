//! How a product is shared out in proportion, and once more step by step, by asking after each step whose turn is the next.

use roundsman_sync::trade::allocation::share_out;
use serde_json::{Value, json};

use super::dice::Dice;
use super::{Case, wide};

/// So many are drawn beside those that show one thing each.
const DRAWN: u64 = 100;

pub(super) fn cases() -> Vec<Case> {
    let shown = [
        ("shared out: all suffices", 10_000, 1_000, &[4_000, 6_000][..]),
        ("shared out: the largest remainder has the step that is left", 10_000, 1_000, &[10_000, 20_000]),
        ("shared out: of equal remainders who came first", 5_000, 1_000, &[4_000, 4_000]),
        ("shared out: what is no whole step is left", 25_000, 10_000, &[30_000, 30_000]),
        ("shared out: nobody gets more than was wanted", 35_000, 10_000, &[19_000, 19_000]),
        ("shared out: whoever wants little may get nothing", 3_000, 1_000, &[1_000, 90_000]),
        ("shared out: more is promised than lies there", -2_000, 1_000, &[1_000]),
        ("shared out: nobody wants it", 5_000, 1_000, &[]),
    ];
    let mut cases: Vec<Case> =
        shown.into_iter().map(|(name, free, step, wanted)| case(name, (free, step), wanted)).collect();
    for seed in 1..=DRAWN {
        let dice = &mut Dice(seed);
        let step = dice.of(&[250, 500, 1_000, 3_000]);
        let wanted: Vec<i64> = (0..=dice.below(9)).map(|_| 250 + dice.small(60) * 250).collect();
        let free = dice.small(400) * 250;
        cases.push(case(&format!("shared out: drawn {seed}"), (free, step), &wanted));
    }
    cases
}

fn case(name: &str, (free, step): (i64, i64), wanted: &[i64]) -> Case {
    let expected = step_by_step(free, step, wanted);
    assert_eq!(share_out(free, step, wanted), expected, "{name}: {free} in steps of {step} among {wanted:?}");
    let list = |quantities: &[i64]| quantities.iter().map(wide).collect::<Vec<Value>>();
    Case::new(
        name,
        json!({ "free_milli": wide(free), "step_milli": wide(step), "wanted_milli": list(wanted) }),
        json!({ "given_milli": list(&expected) }),
    )
}

/// First everybody takes steps as long as these are wholly his; then each of those who are the farthest behind takes one more.
fn step_by_step(free: i64, step: i64, wanted: &[i64]) -> Vec<i64> {
    let all: i64 = wanted.iter().sum();
    if all <= free {
        return wanted.to_vec();
    }
    let mut heap = 0;
    while (heap + 1) * step <= free {
        heap += 1;
    }
    let mut given = vec![0_i64; wanted.len()];
    for (given, wanted) in given.iter_mut().zip(wanted) {
        while (*given + 1) * all <= heap * wanted {
            *given += 1;
        }
    }
    let mut had_one_more = vec![false; wanted.len()];
    for _ in 0..heap - given.iter().sum::<i64>() {
        let mut next: Option<(usize, i64)> = None;
        for (index, wanted) in wanted.iter().enumerate() {
            let behind = heap * wanted - given[index] * all;
            let may = !had_one_more[index] && (given[index] + 1) * step <= *wanted;
            if may && next.is_none_or(|(_, most)| behind > most) {
                next = Some((index, behind));
            }
        }
        let Some((index, _)) = next else { break };
        given[index] += 1;
        had_one_more[index] = true;
    }
    given.into_iter().map(|steps| steps * step).collect()
}
