//! The checksum of a bucket: a sum of row hashes, so that a row is added or taken off without reading the others.

use uuid::Uuid;
use xxhash_rust::xxh3::Xxh3;

/// XXH3-64 over the 16 bytes of the record's id and the bytes of its document.
///
/// ```
/// use roundsman_sync::checksum::row_hash;
/// let record = uuid::Uuid::from_u128(1);
/// assert_ne!(row_hash(record, b"a"), row_hash(record, b"b"));
/// ```
#[must_use]
pub fn row_hash(record: Uuid, document: &[u8]) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(record.as_bytes());
    hash.update(document);
    hash.digest()
}

/// The sum, modulo 2^64, of the hashes of a bucket's live rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checksum(pub u64);

impl Checksum {
    /// A row with this hash came.
    pub fn add(&mut self, row_hash: u64) {
        self.0 = self.0.wrapping_add(row_hash);
    }

    /// A row with this hash left.
    pub fn remove(&mut self, row_hash: u64) {
        self.0 = self.0.wrapping_sub(row_hash);
    }
}
