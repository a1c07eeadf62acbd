//! The door of logistics: lists, what changes, papers, and the commands from release to delivery and to the settlement of
//! reclamations.

use std::sync::Arc;

use roundsman_proto::logistics as proto;
use roundsman_proto::logistics::logistics_service_server::LogisticsService;
use roundsman_proto::sync::{self, Outcome};
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::{self, AllocateWave, Reason, Wave};
use roundsman_sync::trade::check;
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::changes::{Asked, Streams, Watch};
use super::detached::detached;
use super::paging::{List, Page};
use super::papers::AskedPaper;
use super::reclamations::Range;
use super::records::one;
use super::trips::Question;
use super::watcher::{Answers, Watcher};
use super::{lists, office, reclamations, status};
use crate::app::Core;
use crate::auth::authenticate::{caller, lease};
use crate::auth::caller::Caller;

/// `roundsman.logistics.v1.LogisticsService`.
#[derive(Clone, Debug)]
pub struct LogisticsDoor {
    core: Arc<Core>,
    /// A proposal of trips keeps a processor busy: one at a time.
    proposals: Arc<Semaphore>,
    /// What is watched.
    streams: Streams,
}

impl LogisticsDoor {
    /// The door.
    #[must_use]
    pub fn new(core: Arc<Core>) -> Self {
        Self { core, proposals: Arc::new(Semaphore::new(1)), streams: Streams::default() }
    }

    /// Decides a command that came in a message of its own.
    async fn execute(
        &self,
        caller: &Caller,
        command_id: &[u8],
        field: &str,
        command: Option<Command>,
    ) -> Result<Option<Outcome>, Status> {
        let command = command.ok_or_else(|| status::rejected(&check::missing(field)))?;
        let command = trade::Command { command: Some(command) };
        let (outcome, _) = office::execute(&self.core, caller, command_id, command).await?;
        Ok(Some(outcome))
    }
}

impl LogisticsDoor {
    /// A page of a list, with the token of the next one.
    async fn page<T, L: List>(
        &self,
        request: &Request<T>,
        page: Page<L>,
    ) -> Result<(Vec<(Uuid, L::Record)>, String), Status> {
        let caller = caller(request)?;
        let db = self.core.db.clone();
        detached(async move { Ok(page.read(&db, caller.tenant).await?) }).await
    }

    /// A wave, as it is now.
    async fn wave(&self, caller: &Caller, id: &[u8]) -> Result<Option<Wave>, Status> {
        let id = check::id(id, "wave_id").map_err(|error| status::rejected(&error))?;
        let (db, tenant) = (self.core.db.clone(), caller.tenant);
        detached(async move {
            let mut tx = db.read().await?;
            Ok(one(&mut tx, tenant, id.as_bytes()).await?)
        })
        .await
    }
}

#[tonic::async_trait]
impl LogisticsService for LogisticsDoor {
    type WatchChangesStream = Answers<proto::WatchChangesResponse>;

    async fn watch_changes(
        &self,
        request: Request<proto::WatchChangesRequest>,
    ) -> Result<Response<Self::WatchChangesStream>, Status> {
        let (caller, lease) = (caller(&request)?, lease(&request)?);
        let asked = Asked::of(request.get_ref())?;
        let open = self.streams.open(&caller)?;
        let (watcher, answers) = Watcher::new(&self.core, caller.tenant, lease);
        let watch = Watch::new((self.core.db.clone(), caller.tenant), asked, watcher, open);
        tokio::spawn(watch.serve());
        Ok(Response::new(answers))
    }

    async fn list_orders(
        &self,
        request: Request<proto::ListOrdersRequest>,
    ) -> Result<Response<proto::ListOrdersResponse>, Status> {
        let page = lists::orders(request.get_ref())?;
        let (found, next_page_token) = self.page(&request, page).await?;
        let orders = found.into_iter().map(lists::listed_order).collect();
        Ok(Response::new(proto::ListOrdersResponse { orders, next_page_token }))
    }

    async fn list_shipments(
        &self,
        request: Request<proto::ListShipmentsRequest>,
    ) -> Result<Response<proto::ListShipmentsResponse>, Status> {
        let page = lists::shipments(request.get_ref())?;
        let (found, next_page_token) = self.page(&request, page).await?;
        let shipments = found.into_iter().map(lists::listed_shipment).collect();
        Ok(Response::new(proto::ListShipmentsResponse { shipments, next_page_token }))
    }

    async fn release_order(
        &self,
        request: Request<proto::ReleaseOrderRequest>,
    ) -> Result<Response<proto::ReleaseOrderResponse>, Status> {
        let caller = caller(&request)?;
        let proto::ReleaseOrderRequest { command_id, release } = request.into_inner();
        let command = release.map(Command::ReleaseOrder);
        let outcome = self.execute(&caller, &command_id, "release", command).await?;
        Ok(Response::new(proto::ReleaseOrderResponse { outcome }))
    }

    async fn prepare_shipment(
        &self,
        request: Request<proto::PrepareShipmentRequest>,
    ) -> Result<Response<proto::PrepareShipmentResponse>, Status> {
        let caller = caller(&request)?;
        let proto::PrepareShipmentRequest { command_id, shipment } = request.into_inner();
        let command = shipment.map(Command::PrepareShipment);
        let outcome = self.execute(&caller, &command_id, "shipment", command).await?;
        Ok(Response::new(proto::PrepareShipmentResponse { outcome }))
    }

    async fn ship_shipment(
        &self,
        request: Request<proto::ShipShipmentRequest>,
    ) -> Result<Response<proto::ShipShipmentResponse>, Status> {
        let caller = caller(&request)?;
        let proto::ShipShipmentRequest { command_id, departure } = request.into_inner();
        let command = departure.map(Command::ShipShipment);
        let outcome = self.execute(&caller, &command_id, "departure", command).await?;
        Ok(Response::new(proto::ShipShipmentResponse { outcome }))
    }

    async fn deliver_shipment(
        &self,
        request: Request<proto::DeliverShipmentRequest>,
    ) -> Result<Response<proto::DeliverShipmentResponse>, Status> {
        let caller = caller(&request)?;
        let proto::DeliverShipmentRequest { command_id, delivery } = request.into_inner();
        let command = delivery.map(Command::DeliverShipment);
        let outcome = self.execute(&caller, &command_id, "delivery", command).await?;
        Ok(Response::new(proto::DeliverShipmentResponse { outcome }))
    }

    async fn list_change_requests(
        &self,
        request: Request<proto::ListChangeRequestsRequest>,
    ) -> Result<Response<proto::ListChangeRequestsResponse>, Status> {
        let page = lists::change_requests(request.get_ref())?;
        let (found, next_page_token) = self.page(&request, page).await?;
        let change_requests = found.into_iter().map(lists::listed_change_request).collect();
        Ok(Response::new(proto::ListChangeRequestsResponse { change_requests, next_page_token }))
    }

    async fn answer_change_request(
        &self,
        request: Request<proto::AnswerChangeRequestRequest>,
    ) -> Result<Response<proto::AnswerChangeRequestResponse>, Status> {
        let caller = caller(&request)?;
        let proto::AnswerChangeRequestRequest { command_id, answer } = request.into_inner();
        let command = answer.map(Command::AnswerChangeRequest);
        let outcome = self.execute(&caller, &command_id, "answer", command).await?;
        Ok(Response::new(proto::AnswerChangeRequestResponse { outcome }))
    }

    async fn start_wave(
        &self,
        request: Request<proto::StartWaveRequest>,
    ) -> Result<Response<proto::StartWaveResponse>, Status> {
        let caller = caller(&request)?;
        let proto::StartWaveRequest { command_id, wave } = request.into_inner();
        let wave_id = wave.as_ref().map(|wave| wave.wave_id.clone()).unwrap_or_default();
        let outcome = self.execute(&caller, &command_id, "wave", wave.map(Command::StartWave)).await?;
        // A repeated call goes on where the first one was lost.
        let is_there = |outcome: &Outcome| matches!(outcome.status(), sync::Status::Applied | sync::Status::Duplicate);
        if !outcome.as_ref().is_some_and(is_there) {
            return Ok(Response::new(proto::StartWaveResponse { outcome, wave: None }));
        }
        let started = Uuid::from_slice(&command_id).unwrap_or_default();
        for step in 0_u32.. {
            // The same when the call is repeated.
            let id = Uuid::new_v5(&started, format!("allocate {step}").as_bytes());
            let command = Command::AllocateWave(AllocateWave { wave_id: wave_id.clone() });
            let done = self.execute(&caller, id.as_bytes(), "wave", Some(command)).await?;
            let goes_on =
                done.is_some_and(|done| done.status() == sync::Status::Applied && done.reason() != Reason::NothingToDo);
            if !goes_on {
                break;
            }
        }
        let wave = self.wave(&caller, &wave_id).await?;
        Ok(Response::new(proto::StartWaveResponse { outcome, wave }))
    }

    async fn get_wave(
        &self,
        request: Request<proto::GetWaveRequest>,
    ) -> Result<Response<proto::GetWaveResponse>, Status> {
        let caller = caller(&request)?;
        let wave = self.wave(&caller, &request.get_ref().wave_id).await?;
        let wave = Some(wave.ok_or_else(|| Status::not_found("there is no such wave"))?);
        Ok(Response::new(proto::GetWaveResponse { wave }))
    }

    async fn list_waves(
        &self,
        request: Request<proto::ListWavesRequest>,
    ) -> Result<Response<proto::ListWavesResponse>, Status> {
        let page = lists::waves(request.get_ref())?;
        let (found, next_page_token) = self.page(&request, page).await?;
        let waves = found.into_iter().map(lists::listed_wave).collect();
        Ok(Response::new(proto::ListWavesResponse { waves, next_page_token }))
    }

    async fn pick_shipment(
        &self,
        request: Request<proto::PickShipmentRequest>,
    ) -> Result<Response<proto::PickShipmentResponse>, Status> {
        let caller = caller(&request)?;
        let proto::PickShipmentRequest { command_id, picking } = request.into_inner();
        let command = picking.map(Command::PickShipment);
        let outcome = self.execute(&caller, &command_id, "picking", command).await?;
        Ok(Response::new(proto::PickShipmentResponse { outcome }))
    }

    async fn check_shipment(
        &self,
        request: Request<proto::CheckShipmentRequest>,
    ) -> Result<Response<proto::CheckShipmentResponse>, Status> {
        let caller = caller(&request)?;
        let proto::CheckShipmentRequest { command_id, count } = request.into_inner();
        let command = count.map(Command::CheckShipment);
        let outcome = self.execute(&caller, &command_id, "count", command).await?;
        Ok(Response::new(proto::CheckShipmentResponse { outcome }))
    }

    async fn cancel_shipment(
        &self,
        request: Request<proto::CancelShipmentRequest>,
    ) -> Result<Response<proto::CancelShipmentResponse>, Status> {
        let caller = caller(&request)?;
        let proto::CancelShipmentRequest { command_id, cancellation } = request.into_inner();
        let command = cancellation.map(Command::CancelShipment);
        let outcome = self.execute(&caller, &command_id, "cancellation", command).await?;
        Ok(Response::new(proto::CancelShipmentResponse { outcome }))
    }

    async fn close_order(
        &self,
        request: Request<proto::CloseOrderRequest>,
    ) -> Result<Response<proto::CloseOrderResponse>, Status> {
        let caller = caller(&request)?;
        let proto::CloseOrderRequest { command_id, closing } = request.into_inner();
        let command = closing.map(Command::CloseOrder);
        let outcome = self.execute(&caller, &command_id, "closing", command).await?;
        Ok(Response::new(proto::CloseOrderResponse { outcome }))
    }

    async fn list_reclamations(
        &self,
        request: Request<proto::ListReclamationsRequest>,
    ) -> Result<Response<proto::ListReclamationsResponse>, Status> {
        let page = reclamations::page(request.get_ref(), self.core.clock.now_us())?;
        let (found, next_page_token) = self.page(&request, page).await?;
        let reclamations = found.into_iter().map(reclamations::listed).collect();
        Ok(Response::new(proto::ListReclamationsResponse { reclamations, next_page_token }))
    }

    async fn count_reclamations(
        &self,
        request: Request<proto::CountReclamationsRequest>,
    ) -> Result<Response<proto::CountReclamationsResponse>, Status> {
        let caller = caller(&request)?;
        let range = Range::of(&request.into_inner())?;
        let db = self.core.db.clone();
        let answer = detached(async move { Ok(range.count(&db, caller.tenant).await?) }).await?;
        Ok(Response::new(answer))
    }

    async fn review_claim(
        &self,
        request: Request<proto::ReviewClaimRequest>,
    ) -> Result<Response<proto::ReviewClaimResponse>, Status> {
        let caller = caller(&request)?;
        let proto::ReviewClaimRequest { command_id, review } = request.into_inner();
        let command = review.map(Command::ReviewClaim);
        let outcome = self.execute(&caller, &command_id, "review", command).await?;
        Ok(Response::new(proto::ReviewClaimResponse { outcome }))
    }

    async fn decide_claim(
        &self,
        request: Request<proto::DecideClaimRequest>,
    ) -> Result<Response<proto::DecideClaimResponse>, Status> {
        let caller = caller(&request)?;
        let proto::DecideClaimRequest { command_id, decision } = request.into_inner();
        let command = decision.map(Command::DecideClaim);
        let outcome = self.execute(&caller, &command_id, "decision", command).await?;
        Ok(Response::new(proto::DecideClaimResponse { outcome }))
    }

    async fn settle_claim(
        &self,
        request: Request<proto::SettleClaimRequest>,
    ) -> Result<Response<proto::SettleClaimResponse>, Status> {
        let caller = caller(&request)?;
        let proto::SettleClaimRequest { command_id, settlement } = request.into_inner();
        let command = settlement.map(Command::SettleClaim);
        let outcome = self.execute(&caller, &command_id, "settlement", command).await?;
        Ok(Response::new(proto::SettleClaimResponse { outcome }))
    }

    async fn plan_trip(
        &self,
        request: Request<proto::PlanTripRequest>,
    ) -> Result<Response<proto::PlanTripResponse>, Status> {
        let caller = caller(&request)?;
        let proto::PlanTripRequest { command_id, plan } = request.into_inner();
        let command = plan.map(Command::PlanTrip);
        let outcome = self.execute(&caller, &command_id, "plan", command).await?;
        Ok(Response::new(proto::PlanTripResponse { outcome }))
    }

    async fn load_shipment(
        &self,
        request: Request<proto::LoadShipmentRequest>,
    ) -> Result<Response<proto::LoadShipmentResponse>, Status> {
        let caller = caller(&request)?;
        let proto::LoadShipmentRequest { command_id, loading } = request.into_inner();
        let command = loading.map(Command::LoadShipment);
        let outcome = self.execute(&caller, &command_id, "loading", command).await?;
        Ok(Response::new(proto::LoadShipmentResponse { outcome }))
    }

    async fn depart_trip(
        &self,
        request: Request<proto::DepartTripRequest>,
    ) -> Result<Response<proto::DepartTripResponse>, Status> {
        let caller = caller(&request)?;
        let proto::DepartTripRequest { command_id, departure } = request.into_inner();
        let command = departure.map(Command::DepartTrip);
        let outcome = self.execute(&caller, &command_id, "departure", command).await?;
        Ok(Response::new(proto::DepartTripResponse { outcome }))
    }

    async fn close_trip(
        &self,
        request: Request<proto::CloseTripRequest>,
    ) -> Result<Response<proto::CloseTripResponse>, Status> {
        let caller = caller(&request)?;
        let proto::CloseTripRequest { command_id, closing } = request.into_inner();
        let command = closing.map(Command::CloseTrip);
        let outcome = self.execute(&caller, &command_id, "closing", command).await?;
        Ok(Response::new(proto::CloseTripResponse { outcome }))
    }

    async fn cancel_trip(
        &self,
        request: Request<proto::CancelTripRequest>,
    ) -> Result<Response<proto::CancelTripResponse>, Status> {
        let caller = caller(&request)?;
        let proto::CancelTripRequest { command_id, cancellation } = request.into_inner();
        let command = cancellation.map(Command::CancelTrip);
        let outcome = self.execute(&caller, &command_id, "cancellation", command).await?;
        Ok(Response::new(proto::CancelTripResponse { outcome }))
    }

    async fn list_trips(
        &self,
        request: Request<proto::ListTripsRequest>,
    ) -> Result<Response<proto::ListTripsResponse>, Status> {
        let page = lists::trips(request.get_ref())?;
        let (found, next_page_token) = self.page(&request, page).await?;
        let trips = found.into_iter().map(lists::listed_trip).collect();
        Ok(Response::new(proto::ListTripsResponse { trips, next_page_token }))
    }

    async fn list_goods_returns(
        &self,
        request: Request<proto::ListGoodsReturnsRequest>,
    ) -> Result<Response<proto::ListGoodsReturnsResponse>, Status> {
        let page = lists::goods_returns(request.get_ref())?;
        let (found, next_page_token) = self.page(&request, page).await?;
        let goods_returns = found.into_iter().map(lists::listed_goods_return).collect();
        Ok(Response::new(proto::ListGoodsReturnsResponse { goods_returns, next_page_token }))
    }

    async fn list_stock_transfers(
        &self,
        request: Request<proto::ListStockTransfersRequest>,
    ) -> Result<Response<proto::ListStockTransfersResponse>, Status> {
        let page = lists::stock_transfers(request.get_ref())?;
        let (found, next_page_token) = self.page(&request, page).await?;
        let stock_transfers = found.into_iter().map(lists::listed_stock_transfer).collect();
        Ok(Response::new(proto::ListStockTransfersResponse { stock_transfers, next_page_token }))
    }

    async fn list_stock_counts(
        &self,
        request: Request<proto::ListStockCountsRequest>,
    ) -> Result<Response<proto::ListStockCountsResponse>, Status> {
        let page = lists::stock_counts(request.get_ref())?;
        let (found, next_page_token) = self.page(&request, page).await?;
        let stock_counts = found.into_iter().map(lists::listed_stock_count).collect();
        Ok(Response::new(proto::ListStockCountsResponse { stock_counts, next_page_token }))
    }

    async fn list_vehicles(
        &self,
        request: Request<proto::ListVehiclesRequest>,
    ) -> Result<Response<proto::ListVehiclesResponse>, Status> {
        let page = lists::vehicles(request.get_ref())?;
        let (found, next_page_token) = self.page(&request, page).await?;
        let vehicles = found.into_iter().map(lists::listed_vehicle).collect();
        Ok(Response::new(proto::ListVehiclesResponse { vehicles, next_page_token }))
    }

    async fn propose_trips(
        &self,
        request: Request<proto::ProposeTripsRequest>,
    ) -> Result<Response<proto::ProposeTripsResponse>, Status> {
        let caller = caller(&request)?;
        let question = Question::of(&request.into_inner())?;
        let (db, proposals) = (self.core.db.clone(), Arc::clone(&self.proposals));
        let answer = detached(async move {
            let ground = question.read(&db, caller.tenant).await?;
            let _turn = proposals.acquire().await.map_err(status::internal)?;
            tokio::task::spawn_blocking(move || ground.propose()).await.map_err(status::internal)
        });
        Ok(Response::new(answer.await?))
    }

    async fn render_paper(
        &self,
        request: Request<proto::RenderPaperRequest>,
    ) -> Result<Response<proto::RenderPaperResponse>, Status> {
        let caller = caller(&request)?;
        let paper = AskedPaper::of(request.get_ref())?;
        let db = self.core.db.clone();
        let answer = detached(async move { paper.render(&db, caller.tenant).await }).await?;
        Ok(Response::new(answer))
    }
}
