//! Test vectors for whoever writes a device in another language: what goes in, and what the code of this repository makes
//! of it; of prices, promotions, days of delivery, proposals and scarce goods, what the naive modules make of it, with which the
//! code must agree.
//! `make vectors` writes them to `tests/vectors/`, one file for each family.
//!
//! Bytes are lowercase hex digits, 64-bit numbers decimal strings, so that no reader of JSON rounds them.

mod allocation;
mod checksum;
mod credit;
mod delivery;
mod dice;
mod merge;
mod money;
mod naive;
mod naive_allocation;
mod naive_credit;
mod naive_proposal;
mod outbox;
mod page;
mod price;
mod promotion;
mod proposal;
mod replica;
mod sharing;
mod wipe;
pub mod wire;

use std::path::{Path, PathBuf};

use roundsman_sync::version::Position;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

/// The cases about one thing.
#[derive(Debug, Serialize)]
pub struct Family {
    /// The name of its file.
    #[serde(skip)]
    pub name: &'static str,
    /// What a case is, and how to run it.
    pub about: &'static str,
    /// The cases.
    pub cases: Vec<Case>,
}

/// One case.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Case {
    /// What it shows.
    pub name: String,
    /// What goes in.
    pub input: Value,
    /// What must come out.
    pub expected: Value,
}

impl Case {
    fn new(name: impl Into<String>, input: Value, expected: Value) -> Self {
        Self { name: name.into(), input, expected }
    }
}

impl Family {
    /// The file in which it is kept.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(self.name).with_extension("json")
    }

    /// What the file must contain.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("cases are plain data");
        text.push('\n');
        text
    }
}

/// All families, made anew.
#[must_use]
pub fn families() -> Vec<Family> {
    vec![
        checksum::family(),
        page::family(),
        replica::family(),
        replica::histories(),
        outbox::family(),
        outbox::histories(),
        merge::family(),
        money::family(),
        price::family(),
        promotion::family(),
        delivery::family(),
        credit::family(),
        proposal::family(),
        allocation::family(),
        wipe::family(),
        wire::family(),
    ]
}

/// So many histories are kept of a replica, and of an outbox.
const HISTORIES: u64 = 6;

/// The id that the vectors give to a number.
fn id(number: u128) -> Uuid {
    Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0000 | number)
}

fn hex(bytes: impl AsRef<[u8]>) -> Value {
    json!(::hex::encode(bytes))
}

fn id_hex(id: Uuid) -> Value {
    hex(id.as_bytes())
}

/// A 64-bit number, which not every reader of JSON could hold.
fn wide(number: impl std::fmt::Display) -> Value {
    json!(number.to_string())
}

fn position(position: Option<Position>) -> Value {
    position.map_or(Value::Null, |position| json!({ "version": wide(position.version), "nonce": wide(position.nonce) }))
}
