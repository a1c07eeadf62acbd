//! What other processes change in the same database: keys, who is shut out, and what this process's followers are to hear of.
//! Each tenant's news is read once, made into a tail like those of its own lane, and handed to all its followers.

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
use crate::tail::{TAIL_BYTES, Tail, TailBucket, Weight};

/// Where other processes write, a commit reaches a follower, and a revocation its device, after this long at most.
const SHARED: Duration = Duration::from_millis(250);
/// A file has one process, which knows all but a new key.
const ALONE: Duration = Duration::from_secs(5);

/// Listens until `stop`.
pub async fn run(core: Arc<Core>, stop: CancellationToken) {
    let pause = if core.db.is_shared() { SHARED } else { ALONE };
    let mut heard = HashMap::new();
    while stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
        if let Err(error) = hear(&core, &mut heard).await {
            tracing::warn!(%error, "what other processes have changed is not known yet");
        }
    }
}

/// In this order: a follower that is told of a commit is shut out already, if the commit did that.
async fn hear(core: &Core, heard: &mut HashMap<i64, Position>) -> Result<(), StoreError> {
    let mut tx = core.db.glance().await?;
    let positions: HashMap<i64, Position> = tenant::positions(&mut tx).await?.into_iter().collect();
    tx.commit().await?;
    core.auth.reload().await?;
    for (tenant, lane) in core.lanes.followed().into_iter().filter(|_| core.db.is_shared()) {
        let known = heard.get(&tenant).copied().max(lane.told());
        if positions.get(&tenant).copied() > known
            && let Some(tail) = news(&core.db, tenant, known).await?
        {
            lane.tell(tail);
        }
    }
    *heard = positions;
    Ok(())
}

/// What has changed since `known`; `None`: there is no such tenant any more.
async fn news(db: &Db, tenant: i64, known: Option<Position>) -> Result<Option<Tail>, StoreError> {
    let mut tx = db.read().await?;
    let Some(head) = tenant::head(&mut tx, tenant).await? else { return Ok(None) };
    let (after, buckets) = match known {
        Some(known) => (known.version, changed(&mut tx, tenant, (known.version, head.position)).await?),
        // Followers may have begun at any version before.
        None => (0, None),
    };
    let internal = record::changed(&mut tx, tenant, Granted::KIND, after).await?;
    tx.commit().await?;
    let (position, durable_version, weight) = (head.position, head.durable_version, Weight::default());
    Ok(Some(Tail { after, position, durable_version, buckets, internal, weight }))
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
        while let Some((page, read)) = read_page(tx, (tenant, &bucket), cursor, (position, position)).await? {
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
