//! Sums of rows.

use roundsman_sync::checksum::{Checksum, row_hash};
use serde_json::{Value, json};

use super::{Case, Family, hex, id, id_hex, wide};

const ABOUT: &str = "A bucket begins empty; each step adds a row to it or removes one. Expected are the hash of each \
                     step's row, and the bucket's rows and checksum at the end.";

enum Step {
    Add(u128, Vec<u8>),
    Remove(u128, Vec<u8>),
}

pub(super) fn family() -> Family {
    // The hash treats these lengths differently, the 16 bytes of the id included.
    let lengths = [0, 1, 112, 113, 224, 225, 1_008, 1_009, 2_500];
    let mut cases: Vec<Case> = lengths
        .into_iter()
        .map(|length| case(format!("a document of {length} bytes"), &[Step::Add(1, document(length))]))
        .collect();
    let (one, two) = (document(40), document(41));
    cases.extend([
        case("an empty bucket", &[]),
        case("two rows", &[Step::Add(1, one.clone()), Step::Add(2, two.clone())]),
        case("the same rows in another order", &[Step::Add(2, two.clone()), Step::Add(1, one.clone())]),
        case("the same documents of other records", &[Step::Add(2, one.clone()), Step::Add(1, two.clone())]),
        case(
            "a row that is removed",
            &[Step::Add(1, one.clone()), Step::Add(2, two.clone()), Step::Remove(1, one.clone())],
        ),
        case("a document that is replaced", &[Step::Add(1, one.clone()), Step::Remove(1, one), Step::Add(1, two)]),
        case(
            "a sum that goes round at 2^64",
            &(1..=20).map(|number| Step::Add(number, document(8))).collect::<Vec<_>>(),
        ),
    ]);
    Family { name: "checksum", about: ABOUT, cases }
}

/// Bytes that differ from place to place and from length to length.
fn document(length: usize) -> Vec<u8> {
    (0..length).map(|place| u8::try_from((place * 7 + length) % 251).expect("below 251")).collect()
}

fn case(name: impl Into<String>, steps: &[Step]) -> Case {
    let (mut sum, mut rows) = (Checksum::default(), 0_i64);
    let mut hashes = Vec::new();
    for step in steps {
        let (Step::Add(record, document) | Step::Remove(record, document)) = step;
        let hash = row_hash(id(*record), document);
        match step {
            Step::Add(..) => (sum.add(hash), rows += 1),
            Step::Remove(..) => (sum.remove(hash), rows -= 1),
        };
        hashes.push(wide(hash));
    }
    let input = json!({ "steps": steps.iter().map(written).collect::<Vec<_>>() });
    Case::new(name, input, json!({ "row_hashes": hashes, "rows": wide(rows), "checksum": wide(sum.0) }))
}

fn written(step: &Step) -> Value {
    let row =
        |record: &u128, document: &Vec<u8>| json!({ "record_id": id_hex(id(*record)), "document": hex(document) });
    match step {
        Step::Add(record, document) => json!({ "add": row(record, document) }),
        Step::Remove(record, document) => json!({ "remove": row(record, document) }),
    }
}
