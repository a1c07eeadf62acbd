//! What logistics' apps watch: the last change of each record stands among those of its commit, unless the horizon has passed it.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{PAGE, Report};
use crate::error::StoreError;
use crate::store::sql::Tx;
use crate::store::watched::{self, is_watched};
use crate::workspace::Stored;

/// By watched record, its kind, the version of its last change, and whether that was found.
#[derive(Default)]
pub(super) struct Watched(BTreeMap<Uuid, (i64, i64, bool)>);

impl Watched {
    pub(super) fn note(&mut self, record: Uuid, stored: &Stored) {
        if is_watched(stored.kind) {
            self.0.insert(record, (stored.kind, stored.version, false));
        }
    }

    pub(super) async fn compare(
        mut self,
        tx: &mut Tx,
        (tenant, horizon): (i64, i64),
        report: &mut Report,
    ) -> Result<(), StoreError> {
        let (mut after, mut changes) = ((0, Uuid::nil()), 0);
        loop {
            let page = watched::page(tx, tenant, after, PAGE).await?;
            let Some((version, record, _)) = page.last() else { break };
            after = (*version, *record);
            changes += page.len();
            for (version, record, kind) in page {
                match self.0.get_mut(&record) {
                    Some((of_kind, last, found)) if *of_kind == kind && version <= *last => *found |= version == *last,
                    Some(_) | None => {
                        report.find(format!(
                            "commit {version} has changed record {record} of kind {kind}, which is not so"
                        ));
                    }
                }
            }
        }
        for (record, (kind, last, found)) in self.0 {
            if !found && last > horizon {
                report.find(format!("who watches is not told of change {last} of record {record} of kind {kind}"));
            }
        }
        report.count("watched changes", changes);
        Ok(())
    }
}
