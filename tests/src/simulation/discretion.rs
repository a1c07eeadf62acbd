//! The law of discretion, said without the rules: what an outcome tells, which its caller has to be allowed to see.

use std::collections::BTreeSet;

use prost::Message as _;
use roundsman_proto::sync::{Outcome, Override};
use roundsman_proto::trade::Reason;
use uuid::Uuid;

/// What a fact is called that only repeats an id.
const IDS: [&str; 2] = ["record_id", "id"];

/// Whatever in the body of a command could be an id.
#[must_use]
pub fn said(body: &[u8]) -> BTreeSet<Uuid> {
    ids_in(body).collect()
}

/// Whatever in an outcome could be an id that its command did not say.
#[must_use]
pub fn named(body: &[u8], outcome: &Outcome) -> BTreeSet<Uuid> {
    let values = outcome.facts.iter().map(|fact| &fact.value);
    let texts = values.chain(outcome.overrides.iter().flat_map(|met| [&met.kept, &met.lost])).chain([&outcome.text]);
    let words = texts.flat_map(|text| text.split(|letter: char| !letter.is_ascii_hexdigit() && letter != '-'));
    let encoded = outcome.encode_to_vec();
    let (said, written) = (said(body), words.filter_map(|word| Uuid::parse_str(word).ok()));
    ids_in(&encoded).chain(written).filter(|id| !said.contains(id)).collect()
}

/// The records of which an outcome tells something: that they are there, or what they hold.
#[must_use]
pub fn told(body: &[u8], outcome: &Outcome) -> BTreeSet<Uuid> {
    let facts = outcome.facts.iter().filter(|fact| !IDS.contains(&fact.name.as_str())).map(|fact| &fact.record_id);
    let values = outcome.overrides.iter().filter(|met| !of_others(met).is_empty()).map(|met| &met.record_id);
    let described = facts.chain(values).filter_map(|id| Uuid::from_slice(id).ok());
    named(body, outcome).into_iter().chain(described).collect()
}

/// The value that the caller did not send.
fn of_others(met: &Override) -> &str {
    let callers_stands = matches!(met.reason(), Reason::DeviceWins | Reason::FactWins);
    if callers_stands { &met.lost } else { &met.kept }
}

fn ids_in(bytes: &[u8]) -> impl Iterator<Item = Uuid> {
    bytes.windows(16).filter_map(|window| Uuid::from_slice(window).ok())
}
