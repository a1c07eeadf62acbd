//! What happens by the clock. Jobs decide nothing and write nothing themselves: once a minute they look what is due, and
//! issue commands, whose ids follow from what is due and when. So any number of servers may do this at the same time, and
//! a server that was away goes on where the others, or it, have stopped.
//!
//! The second half is housekeeping, once a day: what nobody can ask for any more is deleted, in small transactions.

mod due;
pub mod housekeeping;

use std::collections::{HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt as _;
use prost::Message as _;
use roundsman_proto::sync::{Outcome, Status};
use roundsman_proto::trade::{Kind, Territory};
use roundsman_sync::scope::Scope;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use due::{Job, PLANNED_DAYS, Standing, Work, due};

use crate::app::Core;
use crate::batch::{Submission, Submitted};
use crate::calendar;
use crate::commands::{Issuer, chunk, escalate_claims};
use crate::error::StoreError;
use crate::internal::{AllocationCalendar, Granted, Internal, Restampings, TerritoryCalendar};
use crate::lane::LaneError;
use crate::projection;
use crate::store::sql::Tx;
use crate::store::{record, tenant};
use crate::workspace::Stored;

/// How often it is looked what is due.
const EVERY: Duration = Duration::from_secs(60);
/// So many commands are handed in together, so that a morning's plans share their commits.
const TOGETHER: usize = 8;
/// Territories in one read.
const PAGE: i64 = 500;
/// Overdue reclamations that are found in one round.
const OVERDUE: i64 = 1_000;
/// A day, in microseconds.
const DAY_US: i64 = 86_400_000_000;

/// Why a round of jobs did not come to its end. The next one goes on.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The lane did not take or answer a command.
    #[error(transparent)]
    Lane(#[from] LaneError),
}

/// What is done by the clock, for all tenants.
#[derive(Debug)]
pub struct Jobs {
    core: Arc<Core>,
    memories: Mutex<HashMap<i64, Memory>>,
}

/// What a process remembers of a tenant. It only spares work: everything that counts is stored.
#[derive(Clone, Debug, Default)]
struct Memory {
    /// What is due still but was refused: it is not tried again every minute, but on the next day.
    refused: HashSet<Uuid>,
    /// The day, in UTC, on which the house was kept.
    kept_house_on: i32,
    /// All tombstones at or below this version are purged.
    purged_through: i64,
}

impl Jobs {
    /// Nothing runs yet.
    #[must_use]
    pub fn new(core: Arc<Core>) -> Self {
        Self { core, memories: Mutex::default() }
    }

    /// Does once a minute, by the server's clock, what is due, until `stop`.
    pub async fn run(&self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(self.core.clock.machine_time(EVERY)) => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.round() => {}
            }
        }
    }

    /// Does what is due now, in all tenants. What fails is logged, and tried again in the next round.
    pub async fn round(&self) {
        if let Err(error) = self.core.contacts.write(&self.core.db).await {
            tracing::warn!(%error, "what was heard of devices is not written yet");
        }
        let tenants = match self.tenants().await {
            Ok(tenants) => tenants,
            Err(error) => {
                tracing::warn!(%error, "nothing is done by the clock");
                return;
            }
        };
        for (tenant, _) in tenants {
            // A panic is logged where it happens; whatever a tenant's data does to it, the others have theirs done.
            let failed = match AssertUnwindSafe(self.run_due(tenant)).catch_unwind().await {
                Ok(Ok(_)) => continue,
                Ok(Err(error)) => error.to_string(),
                Err(_) => "it panicked".to_owned(),
            };
            tracing::warn!(tenant, error = failed, "not all that is due was done");
            metrics::counter!("roundsman_job_rounds_failed_total").increment(1);
        }
    }

    async fn tenants(&self) -> Result<Vec<(i64, String)>, StoreError> {
        tenant::all(&mut self.core.db.read().await?).await
    }

    /// Does what is due in a tenant now; returns how many commands were issued.
    ///
    /// # Errors
    /// See [`JobError`]; what was done stays, and the next call goes on.
    pub async fn run_due(&self, tenant: i64) -> Result<usize, JobError> {
        self.core.fail.pass("jobs.begun")?;
        let now_us = self.core.clock.now_us();
        let today = utc_day(now_us);
        let keeps_house = self.memory(tenant).kept_house_on < today;
        let mut jobs = self.collect(tenant, now_us).await?;
        if keeps_house {
            jobs.extend(housekeeping::horizon(&self.core, tenant, today).await?);
        }
        let jobs = self.untried(tenant, jobs);
        let mut issued = 0;
        for together in jobs.chunks(TOGETHER) {
            issued += self.carry_out(tenant, together.to_vec(), now_us).await?;
        }
        if keeps_house {
            let purged_from = self.memory(tenant).purged_through;
            let purged_through = housekeeping::keep(&self.core, tenant, purged_from, now_us).await?;
            self.remember(tenant, |memory| {
                memory.kept_house_on = today;
                memory.purged_through = purged_through;
            });
        }
        Ok(issued)
    }

    /// What is due in the territories of a tenant, and what commands have left to be done.
    async fn collect(&self, tenant: i64, now_us: i64) -> Result<Vec<Job>, StoreError> {
        let mut tx = self.core.db.read().await?;
        let mut jobs = Vec::new();
        let mut after = Uuid::nil();
        loop {
            let page = record::page(&mut tx, tenant, i64::from(Kind::Territory as i32), after, PAGE).await?;
            let Some((last, _)) = page.last() else { break };
            after = *last;
            for standing in standings(&mut tx, tenant, page).await? {
                jobs.extend(due(now_us, &standing));
            }
        }
        let found: HashMap<Uuid, Stored> =
            record::find(&mut tx, tenant, &[Restampings::id(&()), AllocationCalendar::id(&())])
                .await?
                .into_iter()
                .collect();
        let notes: Restampings = internal(&found, &())?;
        let allocations: AllocationCalendar = internal(&found, &())?;
        let today = utc_day(now_us);
        jobs.extend(notes.entries.into_iter().map(|note| Job::new(Work::Restamp(note), today)));
        let allocations = allocations.entries.into_iter().filter(|due| due.at_us <= now_us);
        jobs.extend(allocations.map(|due| Job::new(Work::AllocateStock(due), today)));
        let overdue = projection::reclamations_to_escalate(&mut tx, tenant, now_us, OVERDUE).await?;
        let overdue = overdue.chunks(escalate_claims::CLAIMS);
        jobs.extend(overdue.map(|overdue| Job::new(Work::EscalateClaims(overdue.to_vec()), today)));
        tx.commit().await?;
        Ok(jobs)
    }

    /// Leaves out what was refused today.
    fn untried(&self, tenant: i64, jobs: Vec<Job>) -> Vec<Job> {
        let due: HashSet<Uuid> = jobs.iter().map(Job::id).collect();
        self.remember(tenant, |memory| memory.refused.retain(|id| due.contains(id)));
        let refused = self.memory(tenant).refused;
        jobs.into_iter().filter(|job| !refused.contains(&job.id())).collect()
    }

    /// Issues commands, and those that go on where they stopped; returns how many.
    async fn carry_out(&self, tenant: i64, mut jobs: Vec<Job>, now_us: i64) -> Result<usize, JobError> {
        let mut issued = 0;
        while !jobs.is_empty() {
            let answer = self.core.lanes.of(tenant).submit_bulk(submission(&jobs, now_us)).await?;
            issued += jobs.len();
            let mut left = Vec::new();
            for (job, result) in jobs.iter().zip(answer.results) {
                let outcome = result.outcome.unwrap_or_default();
                if tell(tenant, job, &outcome) {
                    self.remember(tenant, |memory| {
                        memory.refused.insert(job.id());
                    });
                }
                left.extend(chunk::go_on_after(&outcome).map(|record| job.after(record)));
            }
            jobs = left;
        }
        Ok(issued)
    }

    fn memory(&self, tenant: i64) -> Memory {
        let memories = self.memories.lock().expect("nothing panics while it holds the memories");
        memories.get(&tenant).cloned().unwrap_or_default()
    }

    fn remember(&self, tenant: i64, change: impl FnOnce(&mut Memory)) {
        let mut memories = self.memories.lock().expect("nothing panics while it holds the memories");
        change(memories.entry(tenant).or_default());
    }
}

/// The day of a moment in UTC, for what belongs to no territory.
fn utc_day(now_us: i64) -> i32 {
    i32::try_from(now_us.div_euclid(DAY_US)).unwrap_or(i32::MAX)
}

fn submission(jobs: &[Job], now_us: i64) -> Submission {
    let commands = jobs.iter().map(|job| Submitted {
        id: job.id(),
        seq: 0,
        captured_at_us: now_us,
        clock_correction_us: 0,
        business_day: job.due_day,
        body: job.body(),
    });
    Submission {
        issuer: Issuer::Server,
        sender: None,
        request: "by the clock".to_owned(),
        received_at_us: now_us,
        released: false,
        commands: commands.collect(),
    }
}

/// Tells the operator; returns whether it was refused.
fn tell(tenant: i64, job: &Job, outcome: &Outcome) -> bool {
    metrics::counter!("roundsman_jobs_total", "job" => job.name(), "status" => outcome.status().as_str_name())
        .increment(1);
    match outcome.status() {
        Status::Rejected | Status::Quarantined => {
            let reason = outcome.reason().as_str_name();
            tracing::warn!(tenant, job = job.name(), reason, ?job.work, "what was due was refused");
            true
        }
        Status::Unspecified | Status::Applied | Status::Merged | Status::Held | Status::Duplicate => false,
    }
}

/// How far these territories are.
async fn standings(tx: &mut Tx, tenant: i64, territories: Vec<(Uuid, Stored)>) -> Result<Vec<Standing>, StoreError> {
    let ids: Vec<Uuid> = territories
        .iter()
        .flat_map(|(id, _)| [TerritoryCalendar::id(id), Granted::id(&Scope::Territory(*id))])
        .collect();
    let found: HashMap<Uuid, Stored> = record::find(tx, tenant, &ids).await?.into_iter().collect();
    let mut standings = Vec::new();
    for (territory, stored) in territories.into_iter().filter(|(_, stored)| stored.removed_at_us.is_none()) {
        let corrupt = |error: String| StoreError::Corrupt(format!("territory {territory}: {error}"));
        let place = Territory::decode(stored.document).map_err(|error| corrupt(error.to_string()))?;
        let zone = calendar::zone(&place.time_zone).ok_or_else(|| corrupt("no time zone".to_owned()))?;
        let granted: Granted = internal(&found, &Scope::Territory(territory))?;
        let months = granted.held().filter_map(|scope| match scope {
            Scope::TerritoryMonth(_, month) => Some(month),
            Scope::Tenant | Scope::Supervision | Scope::Territory(_) | Scope::PriceList(_) => None,
            Scope::Warehouse(_) | Scope::Customer(_) | Scope::Rep(_) | Scope::Team(_) | Scope::Trip(_) => None,
        });
        let months = months.collect();
        standings.push(Standing { territory, zone, calendar: internal(&found, &territory)?, months });
    }
    Ok(standings)
}

/// An internal record of those that were found; what was never written is as it is by default.
fn internal<T: Internal>(found: &HashMap<Uuid, Stored>, key: &T::Key) -> Result<T, StoreError> {
    let Some(stored) = found.get(&T::id(key)) else { return Ok(T::default()) };
    T::decode(stored.document.clone())
        .map_err(|error| StoreError::Corrupt(format!("internal record {}: {error}", T::name(key))))
}
