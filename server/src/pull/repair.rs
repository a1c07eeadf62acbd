//! Mending: where a device's copy of a large bucket differs in a few partitions, only those are sent.

use roundsman_proto::sync::{BucketAction, BucketPlan, PullRequest};
use roundsman_sync::checksum::{Checksum, PARTITIONS, PartialSums, Partitions, partition};
use roundsman_sync::kind;

use super::View;
use super::plan::Planned;
use crate::auth::caller::Caller;
use crate::error::StoreError;
use crate::store::bucket::{self, Bucket};
use crate::store::sql::Tx;

/// Where more partitions differ, the whole bucket is sent.
const MOST_PARTITIONS: u32 = PARTITIONS as u32 / 2;

/// What is sent of a bucket that is mended: up to a version only the rows of some partitions, since the rest is equal there;
/// behind it, everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Repair {
    /// The partitions that differ.
    pub partitions: Partitions,
    /// The version at which they were compared.
    pub through: i64,
}

/// A bucket as its rows say, partition by partition.
struct Tally {
    sums: PartialSums,
    rows_and_bytes: [(i64, i64); PARTITIONS],
}

impl Tally {
    /// Reads the whole bucket: what is kept of its sums may be what is wrong.
    async fn read(tx: &mut Tx, tenant: i64, bucket: i64) -> Result<Self, StoreError> {
        let mut tally = Self { sums: PartialSums::default(), rows_and_bytes: [(0, 0); PARTITIONS] };
        bucket::live_rows(tx, (tenant, bucket), |record, hash, bytes| {
            tally.sums.add(record, hash);
            let (rows, all_bytes) = &mut tally.rows_and_bytes[partition(record)];
            (*rows, *all_bytes) = (*rows + 1, *all_bytes + bytes);
        })
        .await?;
        Ok(tally)
    }

    fn size_of(&self, partitions: &Partitions) -> (i64, i64) {
        let chosen = self.rows_and_bytes.iter().enumerate().filter(|(number, _)| partitions.has(*number));
        chosen.fold((0, 0), |(rows, bytes), (_, size)| (rows + size.0, bytes + size.1))
    }
}

/// Makes of each bucket that a first plan would send whole one to be mended, if the device sent the sums of its partitions
/// and few of them differ. In the transaction of the plan. Returns the last such bucket: its scope, and its kind.
pub(super) async fn mend(
    tx: &mut Tx,
    caller: &Caller,
    request: &PullRequest,
    view: &View,
    planned: &mut Planned,
) -> Result<Option<String>, StoreError> {
    let mut mended = None;
    let whole = |entry: &&mut BucketPlan| entry.action() == BucketAction::Reset && !entry.resumed;
    for entry in planned.plan.buckets.iter_mut().filter(whole) {
        let Some(theirs) = sums_of(request, entry).filter(|sums| sums.len() == PARTITIONS) else { continue };
        let Some(bucket) = view.buckets.iter().find(|bucket| bucket.id == entry.bucket_id) else { continue };
        let Some(held) = planned.held.get_mut(&bucket.id) else { continue };
        let tally = Tally::read(tx, caller.tenant, bucket.id).await?;
        compare_with_own(bucket, tally.sums.total());
        let Some(partitions) = tally.sums.differing(theirs).filter(|differing| differing.count() <= MOST_PARTITIONS)
        else {
            continue;
        };
        metrics::counter!("roundsman_bucket_repairs_total").increment(1);
        tracing::warn!(
            device = caller.device.map(tracing::field::display),
            scope = bucket.scope,
            kind = bucket.kind,
            partitions = partitions.count(),
            "a device's bucket is mended"
        );
        let (rows, bytes) = tally.size_of(&partitions);
        (entry.rows, entry.bytes, entry.partitions) = (rows, bytes, partitions.to_wire());
        entry.set_action(BucketAction::Repair);
        held.fresh_bytes = bytes;
        held.repair = Some(Repair { partitions, through: view.head.position.version });
        let kind = kind::from_number(bucket.kind).map_or("", |kind| kind.as_str_name());
        mended = Some(format!("{} {kind}", bucket.scope));
    }
    Ok(mended)
}

/// The sums that the device sent of a bucket: in its inventory, which names buckets, or with what lags, by number.
fn sums_of<'r>(request: &'r PullRequest, entry: &BucketPlan) -> Option<&'r [u64]> {
    if request.has_inventory {
        let mut held = request.inventory.iter();
        let held = held.find(|held| (held.scope.as_str(), held.kind) == (entry.scope.as_str(), entry.kind));
        return held.map(|held| held.partial_sums.as_slice());
    }
    let lags = request.lagging.iter().find(|lags| lags.bucket_id == entry.bucket_id);
    lags.map(|lags| lags.partial_sums.as_slice())
}

/// Says so if it is the server's own sum that is wrong: no device can be right then, and `verify` tells more.
fn compare_with_own(bucket: &Bucket, rows_say: Checksum) {
    if rows_say.0 != bucket.checksum {
        metrics::counter!("roundsman_bucket_sums_wrong_total").increment(1);
        tracing::error!(
            bucket = bucket.id,
            scope = bucket.scope,
            kind = bucket.kind,
            "a stored sum is not that of its rows"
        );
    }
}
