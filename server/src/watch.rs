//! What an operator watches and nothing else would tell: what has piled up, and how long things are under way. What is in
//! memory is published whenever somebody looks; for the rest it is looked now and then, so that a look costs no statement.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::app::Core;
use crate::error::StoreError;
use crate::store::{backlog, tenant};

/// How often it is looked what has piled up.
const EVERY: Duration = Duration::from_secs(15);
/// So far is counted.
const COUNTED: i64 = 100_000;

/// Looks now and then, until `stop`.
pub async fn run(core: Arc<Core>, stop: CancellationToken) {
    loop {
        if let Err(error) = look(&core).await {
            tracing::warn!(%error, "what has piled up is not known");
        }
        if stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_none() {
            return;
        }
    }
}

/// Tells what has piled up, and gives the disk space of SQLite's log back while nobody writes.
///
/// # Errors
/// When the database does not answer.
pub async fn look(core: &Core) -> Result<(), StoreError> {
    core.db.truncate_wal().await?;
    let now_us = core.clock.now_us();
    let mut tx = core.db.read().await?;
    for (number, _) in tenant::all(&mut tx).await? {
        let backlog = backlog::of(&mut tx, number, COUNTED).await?;
        let tenant = number.to_string();
        let gauge = |name: &'static str, value: f64| metrics::gauge!(name, "tenant" => tenant.clone()).set(value);
        let seconds = |at_us: Option<i64>| at_us.map_or(0.0, |at_us| (now_us - at_us).max(0) as f64 / 1e6);
        gauge("roundsman_horizon_behind_versions", (backlog.version - backlog.horizon) as f64);
        gauge("roundsman_horizon_behind_days", seconds(backlog.horizon_at_us) / 86_400.0);
        gauge("roundsman_outbox_rows", backlog.outbox as f64);
        gauge("roundsman_outbox_oldest_seconds", seconds(backlog.outbox_oldest_at_us));
        gauge("roundsman_quarantine_commands", backlog.quarantined as f64);
    }
    tx.commit().await
}

/// Tells what is known without asking the database.
pub fn publish(core: &Core) {
    let (oldest, longest) = core.db.snapshots().oldest_and_longest();
    metrics::gauge!("roundsman_snapshot_oldest_seconds").set(oldest.as_secs_f64());
    metrics::gauge!("roundsman_snapshot_longest_seconds").set(longest.as_secs_f64());
    metrics::gauge!("roundsman_recent_bytes").set(core.recent.bytes() as f64);
    metrics::gauge!("roundsman_shared_pages_bytes").set(core.pages.bytes() as f64);
    for (number, (oldest, longest)) in core.lanes.waits() {
        let tenant = number.to_string();
        metrics::gauge!("roundsman_lane_oldest_seconds", "tenant" => tenant.clone()).set(oldest.as_secs_f64());
        metrics::gauge!("roundsman_lane_longest_seconds", "tenant" => tenant).set(longest.as_secs_f64());
    }
    if let Some(bytes) = core.db.wal_bytes() {
        metrics::gauge!("roundsman_sqlite_wal_bytes").set(bytes as f64);
    }
}
