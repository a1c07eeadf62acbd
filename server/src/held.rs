//! What a device has of what it is granted, as it has said when it last called. Nothing here decides what is sent: it is for
//! whoever looks at a device.

use std::collections::{BTreeSet, HashMap};

use roundsman_proto::sync::PullRequest;
use roundsman_sync::kind::{self, KINDS};
use roundsman_sync::version::Position;

use crate::store::bucket::Bucket;

/// What a device has said of what it holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Held {
    /// The position of its last checkpoint.
    pub position: Option<Position>,
    /// What its last pull said; see [`crate::contacts::Said`].
    pub pull: PullRequest,
}

impl Held {
    /// The kinds that its app understands, by their numbers.
    #[must_use]
    pub fn kinds(&self) -> BTreeSet<i64> {
        let named: BTreeSet<i64> = self.pull.kinds.iter().map(|kind| i64::from(*kind)).collect();
        let all = KINDS.iter().map(|kind| i64::from(*kind as i32));
        all.filter(|kind| named.is_empty() || named.contains(kind)).collect()
    }

    /// Whether the last pull was made at the position that is known, with other scopes or kinds than these.
    #[must_use]
    pub fn is_of_other_scopes(&self, digest: u64) -> bool {
        let pulled_at = self.pull.position.map(Position::from);
        pulled_at.is_some() && pulled_at == self.position && self.pull.scope_digest != digest
    }

    /// Which versions of these buckets it has, at least, by their numbers; 0: it has nothing of a bucket.
    #[must_use]
    pub fn versions<'a>(&self, buckets: impl IntoIterator<Item = &'a Bucket>) -> HashMap<i64, i64> {
        let at = self.position.map_or(0, |position| position.version);
        let lagging: HashMap<i64, i64> = self
            .pull
            .lagging
            .iter()
            .map(|lag| (lag.bucket_id, lag.position.map_or(0, |position| position.version)))
            .collect();
        let kinds = self.kinds();
        let version = |bucket: &Bucket| match lagging.get(&bucket.id) {
            Some(version) => *version,
            None if bucket.created > at || !kinds.contains(&bucket.kind) => 0,
            None => at,
        };
        buckets.into_iter().map(|bucket| (bucket.id, version(bucket))).collect()
    }
}

/// Whether a kind is one that devices may hold.
#[must_use]
pub fn is_kind(number: u32) -> bool {
    kind::from_number(number.into()).is_some()
}

#[cfg(test)]
mod tests {
    use roundsman_proto::sync as proto;
    use roundsman_sync::kind::Kind;

    use super::*;

    fn bucket(id: i64, kind: Kind, created: i64) -> Bucket {
        let (scope, kind) = ("tenant".to_owned(), i64::from(kind as i32));
        Bucket { id, scope, kind, head: 9, last_removal: 0, created, rows: 1, bytes: 1, checksum: 0 }
    }

    #[test]
    fn a_bucket_is_where_the_device_is_unless_it_says_otherwise() {
        let position = proto::Position { version: 7, nonce: 1 };
        let lag = |bucket_id, version| proto::LaggingBucket {
            bucket_id,
            position: Some(proto::Position { version, nonce: 1 }).filter(|at| at.version > 0),
            partial_sums: Vec::new(),
        };
        let pull = PullRequest {
            kinds: vec![Kind::Product as u32, 999],
            position: Some(position),
            lagging: vec![lag(2, 4), lag(3, 0)],
            scope_digest: 5,
            ..PullRequest::default()
        };
        let held = Held { position: Some(position.into()), pull };
        let product = Kind::Product;
        let buckets = [
            bucket(1, product, 1),
            bucket(2, product, 1),
            bucket(3, product, 1),
            bucket(4, product, 8),
            bucket(5, Kind::Price, 1),
        ];
        let mut versions: Vec<(i64, i64)> = held.versions(&buckets).into_iter().collect();
        versions.sort_unstable();
        assert_eq!(versions, [(1, 7), (2, 4), (3, 0), (4, 0), (5, 0)]);
        assert!(held.is_of_other_scopes(6) && !held.is_of_other_scopes(5));
        let pushed_since = Held { position: Some(Position { version: 8, nonce: 2 }), ..held };
        assert!(!pushed_since.is_of_other_scopes(6), "what it held there it has not said");
        assert_eq!(Held::default().versions(&buckets)[&1], 0);
    }
}
