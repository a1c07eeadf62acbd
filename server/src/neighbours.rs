//! What other processes commit on the same database, for those who follow in this one. Each tenant's news is read once, made
//! into a tail like those of its own lane, and handed to all its followers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use roundsman_sync::page::Cursor;
use roundsman_sync::version::Position;
use tokio_util::sync::CancellationToken;

use crate::app::Core;
use crate::error::StoreError;
use crate::internal::{Granted, Internal as _};
use crate::pull::read_page;
use crate::store::sql::{Db, Tx};
use crate::store::{bucket, record, tenant};
use crate::tail::{TAIL_BYTES, Tail, TailBucket};

/// A commit of another process reaches a follower after this long at most.
const EVERY: Duration = Duration::from_millis(500);

/// Looks until `stop`. A database that is this process's own has no neighbours.
pub async fn run(core: Arc<Core>, stop: CancellationToken) {
    if !core.db.is_shared() {
        return;
    }
    let mut heard = HashMap::new();
    while stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
        let followed = core.lanes.followed();
        // Who begins to follow later reads for itself what was before.
        heard.retain(|tenant, _| followed.iter().any(|(other, _)| tenant == other));
        for (tenant, lane) in followed {
            let known = heard.get(&tenant).copied().max(lane.told());
            match news(&core.db, tenant, known).await {
                Ok((position, tail)) => {
                    heard.insert(tenant, position);
                    if let Some(tail) = tail {
                        lane.tell(Arc::new(tail));
                    }
                }
                Err(error) => tracing::warn!(tenant, %error, "what other processes have committed is not known yet"),
            }
        }
    }
}

/// Where the tenant is, and what has changed since `known`.
async fn news(db: &Db, tenant: i64, known: Option<Position>) -> Result<(Position, Option<Tail>), StoreError> {
    let mut tx = db.glance().await?;
    let position = tenant::position(&mut tx, tenant).await?;
    tx.commit().await?;
    if known.is_some_and(|known| known.version >= position.version) {
        return Ok((position, None));
    }
    let mut tx = db.read().await?;
    let Some(head) = tenant::head(&mut tx, tenant).await? else { return Ok((position, None)) };
    let (after, buckets) = match known {
        Some(known) => (known.version, changed(&mut tx, tenant, (known.version, head.position)).await?),
        // Followers may have begun at any version before.
        None => (0, None),
    };
    let internal = record::changed(&mut tx, tenant, Granted::KIND, after).await?;
    tx.commit().await?;
    let tail = Tail { after, position: head.position, durable_version: head.durable_version, buckets, internal };
    Ok((head.position, Some(tail)))
}

/// The rows that changed after a version; `None`: more than a tail carries.
async fn changed(
    tx: &mut Tx,
    tenant: i64,
    (after, position): (i64, Position),
) -> Result<Option<Vec<TailBucket>>, StoreError> {
    let mut touched = Vec::new();
    let mut all_bytes = 0;
    for bucket in bucket::touched(tx, tenant, after).await? {
        let mut cursor = Cursor::after(after);
        let (mut pages, mut size) = (Vec::new(), (0, 0));
        while let Some((page, read)) = read_page(tx, (tenant, bucket.id), cursor, (position, position)).await? {
            cursor = read;
            size = (size.0 + i64::from(page.rows), size.1 + i64::from(page.payload_size));
            all_bytes += page.payload_size as usize;
            if all_bytes > TAIL_BYTES {
                return Ok(None);
            }
            pages.push(page);
        }
        touched.push(TailBucket { bucket, pages, size });
    }
    Ok(Some(touched))
}
