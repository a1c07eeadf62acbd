//! The door of supervisors: the day's coverage as it changes, lists of visits, and what waits on phones.

use std::sync::Arc;

use roundsman_proto::auth::Role;
use roundsman_proto::supervision as proto;
use roundsman_proto::supervision::supervision_service_server::SupervisionService;
use roundsman_proto::sync::WaitingCommands;
use roundsman_proto::trade::{Reason, Visit};
use roundsman_sync::kind::Kind;
use roundsman_sync::trade::rejection::Rejection;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::detached::detached;
use super::fields::Fields;
use super::paging::{Filter, Listed, documents};
use super::status;
use super::watcher::{Answers, Watcher};
use crate::app::Core;
use crate::auth::Refusal;
use crate::auth::authenticate::{caller, lease};
use crate::auth::caller::Caller;
use crate::describe;
use crate::error::StoreError;
use crate::projection::{self, CoveredRep, VisitFilter, Whose};
use crate::store::contact::{self, Waiting};
use crate::store::sql::Db;
use crate::store::tenant;
use crate::tail::Tail;

/// `roundsman.supervision.v1.SupervisionService`.
#[derive(Clone, Debug)]
pub struct SupervisionDoor(pub Arc<Core>);

#[tonic::async_trait]
impl SupervisionService for SupervisionDoor {
    type WatchCoverageStream = Answers<proto::WatchCoverageResponse>;

    async fn watch_coverage(
        &self,
        request: Request<proto::WatchCoverageRequest>,
    ) -> Result<Response<Self::WatchCoverageStream>, Status> {
        let (caller, lease) = (caller(&request)?, lease(&request)?);
        let request = request.into_inner();
        let mut fields = Fields::default();
        let day = day(&mut fields, request.day);
        let asked = fields.optional_id("team_id", &request.team_id);
        fields.check()?;
        let team = team_within(team_of(&caller)?, asked)?;
        let (watcher, answers) = Watcher::new(&self.0, caller.tenant, lease);
        let watch = Watch { db: self.0.db.clone(), tenant: caller.tenant, day, team, watcher };
        tokio::spawn(watch.serve());
        Ok(Response::new(answers))
    }

    async fn list_visits(
        &self,
        request: Request<proto::ListVisitsRequest>,
    ) -> Result<Response<proto::ListVisitsResponse>, Status> {
        let caller = caller(&request)?;
        let page = VisitPage::of(&request.into_inner(), team_of(&caller)?)?;
        let db = self.0.db.clone();
        let answer = detached(async move { page.read(&db, caller.tenant).await }).await?;
        Ok(Response::new(answer))
    }

    async fn list_outboxes(
        &self,
        request: Request<proto::ListOutboxesRequest>,
    ) -> Result<Response<proto::ListOutboxesResponse>, Status> {
        let caller = caller(&request)?;
        let page = OutboxPage::of(&request.into_inner(), &caller)?;
        let db = self.0.db.clone();
        let answer = detached(async move { page.read(&db, caller.tenant).await }).await?;
        Ok(Response::new(answer))
    }
}

/// A page of outboxes, checked.
#[derive(Debug)]
struct OutboxPage {
    token: Filter,
    team: Option<Uuid>,
    after: (i64, Uuid),
    size: i64,
}

impl OutboxPage {
    fn of(request: &proto::ListOutboxesRequest, caller: &Caller) -> Result<Self, Status> {
        let mut fields = Fields::default();
        let asked = fields.optional_id("team_id", &request.team_id);
        let team = team_of(caller)?;
        let token = Filter::of("outboxes", &[team.or(asked).unwrap_or_default().as_bytes()]);
        let after = token.after::<24>(&mut fields, &request.page_token).map(|key| {
            let (oldest_at_us, device) = key.split_at(size_of::<i64>());
            let oldest_at_us = oldest_at_us.try_into().map_or(i64::MIN, i64::from_be_bytes);
            (oldest_at_us, Uuid::from_slice(device).unwrap_or_default())
        });
        let size = fields.page_size("page_size", request.page_size);
        fields.check()?;
        let team = team_within(team, asked)?;
        Ok(Self { token, team, after: after.unwrap_or((i64::MIN, Uuid::nil())), size })
    }

    async fn read(&self, db: &Db, tenant: i64) -> Result<proto::ListOutboxesResponse, Status> {
        let mut tx = db.read().await?;
        let mut page = contact::waiting(&mut tx, tenant, self.team, self.after, self.size + 1).await?;
        tx.commit().await?;
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        let is_last = page.len() <= size;
        page.truncate(size);
        let last = page.last().filter(|_| !is_last).map(|last| {
            let mut key = [0; 24];
            key[..8].copy_from_slice(&last.oldest_at.to_be_bytes());
            key[8..].copy_from_slice(last.device.as_bytes());
            self.token.token(key)
        });
        let outboxes = page.into_iter().map(listed_outbox).collect();
        Ok(proto::ListOutboxesResponse { outboxes, next_page_token: last.unwrap_or_default() })
    }
}

fn listed_outbox(waiting: Waiting) -> proto::ListedOutbox {
    let id = |id: Option<Uuid>| id.map_or_else(Vec::new, |id| id.as_bytes().to_vec());
    proto::ListedOutbox {
        device_id: id(Some(waiting.device)),
        device_name: waiting.device_name.unwrap_or_default(),
        user_id: id(waiting.user_id),
        rep_id: id(waiting.rep),
        name: waiting.name.unwrap_or_default(),
        team_id: id(waiting.team),
        commands: u32::try_from(waiting.commands).unwrap_or(u32::MAX),
        kinds: waiting_kinds(waiting.kinds.as_deref()),
        oldest_captured_at_us: waiting.oldest_at,
        since_at_us: waiting.since_at,
        reported_at_us: waiting.reported_at,
        revoked: waiting.revoked_at.is_some(),
    }
}

/// The kinds of what waits on a device, with their names.
pub(super) fn waiting_kinds(stored: Option<&[u8]>) -> Vec<proto::WaitingKind> {
    let kind = |waiting: WaitingCommands| proto::WaitingKind {
        name: describe::command_name(waiting.command),
        count: waiting.count,
    };
    contact::waiting_kinds(stored).into_iter().map(kind).collect()
}

/// The only team that the caller may look at; `None`: all.
fn team_of(caller: &Caller) -> Result<Option<Uuid>, Status> {
    match caller.role {
        Role::Supervisor => caller.team.map(Some).ok_or_else(|| status::refused(Refusal::RoleNotAllowed)),
        Role::Office | Role::Admin => Ok(None),
        Role::Unspecified | Role::Rep | Role::Driver | Role::Logistics | Role::Integration => {
            Err(status::refused(Refusal::RoleNotAllowed))
        }
    }
}

/// The team that was asked for, if the caller may look at it; without a wish the only one, or all.
fn team_within(only: Option<Uuid>, asked: Option<Uuid>) -> Result<Option<Uuid>, Status> {
    match (only, asked) {
        (Some(only), Some(asked)) if only != asked => Err(not_in_scope("team_id")),
        (only, asked) => Ok(only.or(asked)),
    }
}

fn not_in_scope(field: &str) -> Status {
    status::rejected(&Rejection::new(Reason::NotInScope).field(field))
}

fn day(fields: &mut Fields, day: i32) -> i64 {
    match day {
        0 => fields.wrong("day", Reason::MissingField, "is missing"),
        1.. => {}
        ..0 => fields.wrong("day", Reason::OutOfRange, "is negative"),
    }
    day.into()
}

/// Somebody who watches the coverage.
struct Watch {
    db: Db,
    tenant: i64,
    day: i64,
    team: Option<Uuid>,
    watcher: Watcher<proto::WatchCoverageResponse>,
}

impl Watch {
    async fn serve(mut self) {
        if let Err(end) = self.watch().await {
            self.watcher.end(end).await;
        }
    }

    /// Answers until the watcher goes away or may no longer watch.
    async fn watch(&mut self) -> Result<(), Status> {
        let mut shown = None;
        loop {
            self.watcher.check()?;
            let (reps, version) = self.read().await?;
            if shown.as_ref() != Some(&reps) {
                let answer = proto::WatchCoverageResponse { reps: reps.iter().map(rep_coverage).collect(), version };
                if !self.watcher.tell(answer).await {
                    return Ok(());
                }
                shown = Some(reps);
            }
            if !self.watcher.wait(concerns).await? {
                return Ok(());
            }
        }
    }

    /// What one short transaction says, and the version that it shows.
    async fn read(&self) -> Result<(Vec<CoveredRep>, i64), StoreError> {
        let mut tx = self.db.read().await?;
        let head = tenant::head(&mut tx, self.tenant).await?;
        let reps = projection::coverage(&mut tx, self.tenant, self.day, self.team).await?;
        tx.commit().await?;
        Ok((reps, head.map_or(0, |head| head.position.version)))
    }
}

/// Whether a commit may have changed somebody's coverage.
fn concerns(tail: &Tail) -> bool {
    const KINDS: [i64; 2] = [Kind::Visit as i64, Kind::Rep as i64];
    let Some(buckets) = &tail.buckets else { return true };
    buckets.iter().any(|touched| KINDS.contains(&touched.bucket.kind))
}

fn rep_coverage(rep: &CoveredRep) -> proto::RepCoverage {
    let count = |number: i64| i32::try_from(number).unwrap_or(i32::MAX);
    let id = |id: Option<Uuid>| id.map_or_else(Vec::new, |id| id.as_bytes().to_vec());
    proto::RepCoverage {
        rep_id: id(Some(rep.rep)),
        name: rep.name.clone(),
        team_id: id(rep.team),
        planned: count(rep.planned),
        done: count(rep.done),
        productive: count(rep.productive),
        missed: count(rep.missed),
        unplanned: count(rep.unplanned),
        at_outlet_id: id(rep.at_outlet),
        since_at_us: rep.since_at_us,
    }
}

/// A page of visits, checked.
#[derive(Debug)]
struct VisitPage {
    token: Filter,
    filter: VisitFilter,
    /// The rep must be in this team.
    within: Option<Uuid>,
    after: Uuid,
    size: i64,
}

impl VisitPage {
    fn of(request: &proto::ListVisitsRequest, team: Option<Uuid>) -> Result<Self, Status> {
        let mut fields = Fields::default();
        let day = day(&mut fields, request.day);
        let rep = fields.optional_id("rep_id", &request.rep_id);
        let values = [rep.unwrap_or_default(), team.unwrap_or_default()];
        let token = Filter::of("visits", &[&day.to_be_bytes(), values[0].as_bytes(), values[1].as_bytes()]);
        let after = token.after(&mut fields, &request.page_token).map(Uuid::from_bytes);
        let size = fields.page_size("page_size", request.page_size);
        fields.check()?;
        let whose = match (rep, team) {
            (Some(rep), _) => Whose::Rep(rep),
            (None, Some(team)) => Whose::Team(team),
            (None, None) => Whose::All,
        };
        Ok(Self { token, filter: VisitFilter { day, whose }, within: team, after: after.unwrap_or_default(), size })
    }

    async fn read(&self, db: &Db, tenant: i64) -> Result<proto::ListVisitsResponse, Status> {
        let mut tx = db.read().await?;
        if let (Whose::Rep(rep), Some(team)) = (self.filter.whose, self.within)
            && projection::team_of_rep(&mut tx, tenant, rep).await? != Some(team)
        {
            return Err(not_in_scope("rep_id"));
        }
        let mut ids = projection::visits(&mut tx, tenant, self.filter, self.after, self.size + 1).await?;
        let found = ids.len();
        ids.truncate(usize::try_from(self.size).unwrap_or(usize::MAX));
        let Listed { documents, covered } = documents::<Visit>(&mut tx, tenant, &ids).await?;
        tx.commit().await?;
        let last = ids[..covered].last().filter(|_| covered < found);
        let visits = documents
            .into_iter()
            .map(|(id, visit)| proto::ListedVisit { visit_id: id.as_bytes().to_vec(), visit: Some(visit) });
        Ok(proto::ListVisitsResponse {
            visits: visits.collect(),
            next_page_token: last.map_or_else(String::new, |last| self.token.token(last.into_bytes())),
        })
    }
}
