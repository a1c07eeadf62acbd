//! Versions number a tenant's committed batches; with its nonce a version is a position in one particular history.

use roundsman_proto::sync as proto;

/// A point in a tenant's history. Two histories that share a version number differ in the nonce, so that a device can
/// tell that the server lost what the device has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// The number of the batch, from 1.
    pub version: i64,
    /// Drawn at random when the batch was committed.
    pub nonce: u64,
}

impl From<proto::Position> for Position {
    fn from(wire: proto::Position) -> Self {
        Self { version: wire.version, nonce: wire.nonce }
    }
}

impl From<Position> for proto::Position {
    fn from(position: Position) -> Self {
        Self { version: position.version, nonce: position.nonce }
    }
}
