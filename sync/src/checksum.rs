//! The checksum of a bucket: a sum of row hashes, so that a row is added or taken off without reading the others. The same
//! sum over each of 256 partitions of a bucket tells where two copies of it differ.

use uuid::Uuid;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// Most documents are shorter.
const SHORT_BYTES: usize = 256;

/// XXH3-64 over the 16 bytes of the record's id and the bytes of its document.
///
/// ```
/// use roundsman_sync::checksum::row_hash;
/// let record = uuid::Uuid::from_u128(1);
/// assert_ne!(row_hash(record, b"a"), row_hash(record, b"b"));
/// ```
#[must_use]
pub fn row_hash(record: Uuid, document: &[u8]) -> u64 {
    // Of what is short a copy in one piece costs less than the state for several.
    let mut whole = [0; SHORT_BYTES];
    let length = record.as_bytes().len() + document.len();
    if let Some(whole) = whole.get_mut(..length) {
        let (id, rest) = whole.split_at_mut(record.as_bytes().len());
        id.copy_from_slice(record.as_bytes());
        rest.copy_from_slice(document);
        return xxh3_64(whole);
    }
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

/// A bucket's records fall into so many partitions.
pub const PARTITIONS: usize = 256;

/// The partition of a record: the highest 8 bits of XXH3-64 over the 16 bytes of its id.
#[must_use]
pub fn partition(record: Uuid) -> usize {
    usize::from(xxh3_64(record.as_bytes()).to_be_bytes()[0])
}

/// The checksum of each partition of a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartialSums([Checksum; PARTITIONS]);

impl Default for PartialSums {
    fn default() -> Self {
        Self([Checksum::default(); PARTITIONS])
    }
}

impl PartialSums {
    /// A row with this hash is there.
    pub fn add(&mut self, record: Uuid, row_hash: u64) {
        self.0[partition(record)].add(row_hash);
    }

    /// The partitions in which another copy of the bucket differs; `None`: these are not the sums of one.
    #[must_use]
    pub fn differing(&self, other: &[u64]) -> Option<Partitions> {
        let mut differing = Partitions::default();
        for (number, (own, other)) in self.0.iter().zip(other).enumerate() {
            if own.0 != *other {
                differing.0[number / 8] |= 1 << (number % 8);
            }
        }
        (other.len() == PARTITIONS).then_some(differing)
    }

    /// The sum over all partitions.
    #[must_use]
    pub fn total(&self) -> Checksum {
        Checksum(self.0.iter().fold(0, |sum, partition| sum.wrapping_add(partition.0)))
    }

    /// The sums in the order of the partitions, as they travel.
    #[must_use]
    pub fn to_wire(&self) -> Vec<u64> {
        self.0.iter().map(|sum| sum.0).collect()
    }
}

/// A set of partitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Partitions([u8; PARTITIONS / 8]);

impl Partitions {
    /// Reads the set as it travels: partition p is bit p % 8, from the lowest, of byte p / 8. `None`: it has not 32 bytes.
    #[must_use]
    pub fn from_wire(bytes: &[u8]) -> Option<Self> {
        Some(Self(bytes.try_into().ok()?))
    }

    /// The set as it travels.
    #[must_use]
    pub fn to_wire(self) -> Vec<u8> {
        self.0.to_vec()
    }

    /// Whether this partition is one of them.
    #[must_use]
    pub fn has(&self, number: usize) -> bool {
        self.0.get(number / 8).is_some_and(|byte| byte & (1 << (number % 8)) != 0)
    }

    /// Whether a record is in one of them.
    #[must_use]
    pub fn contain(&self, record: Uuid) -> bool {
        self.has(partition(record))
    }

    /// How many they are.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.0.iter().map(|byte| byte.count_ones()).sum()
    }
}
