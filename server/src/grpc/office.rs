//! The office's door: one command at a time, under an id of the caller's, and what is looked at before one is issued.

use std::sync::Arc;

use prost::Message as _;
use roundsman_proto::admin::office_service_server::OfficeService;
use roundsman_proto::admin::{
    CountPriceListHoldersRequest, CountPriceListHoldersResponse, ExecuteRequest, ExecuteResponse,
    ListDuplicateCustomersRequest, ListDuplicateCustomersResponse, ListDuplicateOutletsRequest,
    ListDuplicateOutletsResponse, ListPricesRequest, ListPricesResponse,
};
use roundsman_proto::sync::{Outcome, Status as Decision};
use roundsman_proto::trade::{self, Reason};
use roundsman_sync::limits::COMMAND_BYTES;
use roundsman_sync::trade::check;
use roundsman_sync::trade::rejection::Rejection;
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status};

use super::detached::detached;
use super::duplicates::{CustomerPage, OutletPage};
use super::fields::Fields;
use super::prices::{self, PricePage};
use super::status;
use crate::app::Core;
use crate::auth::authenticate::caller;
use crate::auth::caller::Caller;
use crate::batch::{Submission, Submitted};
use crate::commands::Issuer;
use crate::internal::is_server_id;

/// `roundsman.admin.v1.OfficeService`.
#[derive(Clone, Debug)]
pub struct OfficeDoor {
    core: Arc<Core>,
    /// A search for duplicates holds what is compared of all outlets or customers in memory: one at a time.
    searches: Arc<Semaphore>,
}

impl OfficeDoor {
    /// The door.
    #[must_use]
    pub fn new(core: Arc<Core>) -> Self {
        Self { core, searches: Arc::new(Semaphore::new(1)) }
    }
}

#[tonic::async_trait]
impl OfficeService for OfficeDoor {
    async fn execute(&self, request: Request<ExecuteRequest>) -> Result<Response<ExecuteResponse>, Status> {
        let caller = caller(&request)?;
        let ExecuteRequest { command_id, command } = request.into_inner();
        let command = command.ok_or_else(|| status::rejected(&check::missing("command")))?;
        let (outcome, version) = execute(&self.core, &caller, &command_id, command).await?;
        Ok(Response::new(ExecuteResponse { outcome: Some(outcome), version }))
    }

    async fn list_duplicate_outlets(
        &self,
        request: Request<ListDuplicateOutletsRequest>,
    ) -> Result<Response<ListDuplicateOutletsResponse>, Status> {
        let tenant = caller(&request)?.tenant;
        let page = OutletPage::of(&request.into_inner())?;
        let (db, searches) = (self.core.db.clone(), Arc::clone(&self.searches));
        let answer = detached(async move {
            let _turn = searches.acquire().await.map_err(status::internal)?;
            page.read(&db, tenant).await
        });
        Ok(Response::new(answer.await?))
    }

    async fn list_duplicate_customers(
        &self,
        request: Request<ListDuplicateCustomersRequest>,
    ) -> Result<Response<ListDuplicateCustomersResponse>, Status> {
        let tenant = caller(&request)?.tenant;
        let page = CustomerPage::of(&request.into_inner())?;
        let (db, searches) = (self.core.db.clone(), Arc::clone(&self.searches));
        let answer = detached(async move {
            let _turn = searches.acquire().await.map_err(status::internal)?;
            page.read(&db, tenant).await
        });
        Ok(Response::new(answer.await?))
    }

    async fn list_prices(&self, request: Request<ListPricesRequest>) -> Result<Response<ListPricesResponse>, Status> {
        let tenant = caller(&request)?.tenant;
        let page = PricePage::of(&request.into_inner())?;
        let db = self.core.db.clone();
        let answer = detached(async move { page.read(&mut db.read().await?, tenant).await });
        Ok(Response::new(answer.await?))
    }

    async fn count_price_list_holders(
        &self,
        request: Request<CountPriceListHoldersRequest>,
    ) -> Result<Response<CountPriceListHoldersResponse>, Status> {
        let tenant = caller(&request)?.tenant;
        let mut fields = Fields::default();
        let list = fields.id("price_list_id", &request.into_inner().price_list_id);
        fields.check()?;
        let db = self.core.db.clone();
        let devices = detached(async move { prices::holders(&db, tenant, list).await }).await?;
        Ok(Response::new(CountPriceListHoldersResponse { devices }))
    }
}

/// Decides a command of a person or a system at a desk.
///
/// # Errors
/// When the request is malformed, builds on a command in quarantine, or can't be carried out now.
pub async fn execute(
    core: &Arc<Core>,
    caller: &Caller,
    command_id: &[u8],
    command: trade::Command,
) -> Result<(Outcome, i64), Status> {
    let id = check::id(command_id, "command_id").map_err(|rejection| status::rejected(&rejection))?;
    if is_server_id(id) {
        return Err(status::rejected(&Rejection::new(Reason::BadId).field("command_id")));
    }
    let body = command.encode_to_vec();
    // An import is a chunk of a bulk job, and may be larger than what a device sends.
    let bulk = matches!(&command.command, Some(trade::command::Command::ImportRecords(_)));
    if body.len() > COMMAND_BYTES && !bulk {
        return Err(status::rejected(&Rejection::new(Reason::LimitExceeded).field("command")));
    }
    let now_us = core.clock.now_us();
    let submission = Submission {
        issuer: Issuer::User(caller.clone()),
        sender: None,
        request: status::request_id().map(|id| id.simple().to_string()).unwrap_or_default(),
        received_at_us: now_us,
        released: false,
        commands: vec![Submitted {
            id,
            seq: 0,
            captured_at_us: now_us,
            clock_correction_us: 0,
            business_day: i32::try_from(now_us.div_euclid(86_400_000_000)).unwrap_or(i32::MAX),
            body: body.into(),
        }],
    };
    let lane = core.lanes.of(caller.tenant);
    let answer = detached(async move {
        let answer = if bulk { lane.submit_bulk(submission).await } else { lane.submit(submission).await };
        answer.map_err(Status::from)
    })
    .await?;
    let outcome = answer.results.into_iter().next().and_then(|result| result.outcome);
    let outcome = outcome.ok_or_else(|| status::internal("a command got no outcome"))?;
    if outcome.status() == Decision::Rejected && outcome.reason() == Reason::DependsOnQuarantined {
        return Err(Status::failed_precondition("it builds on a command that is in quarantine"));
    }
    Ok((outcome, answer.version))
}
