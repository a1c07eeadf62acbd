//! The door of logistics: lists of orders, shipments and reclamations, papers, and the commands from release to delivery and to the
//! settlement of reclamations.

use std::sync::Arc;

use prost::Message as _;
use roundsman_proto::logistics as proto;
use roundsman_proto::logistics::logistics_service_server::LogisticsService;
use roundsman_proto::sync::{self, Outcome};
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::{self, AllocateWave, ChangeRequest, Kind, Order, OrderStatus, Reason, Shipment, Wave};
use roundsman_sync::trade::check;
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::detached::detached;
use super::fields::Fields;
use super::paging::{Filter, Listed, documents};
use super::papers::AskedPaper;
use super::reclamations::{Range, ReclamationPage};
use super::trips::{Question, TripPage, VehiclePage};
use super::{office, status};
use crate::app::Core;
use crate::auth::authenticate::caller;
use crate::auth::caller::Caller;
use crate::error::StoreError;
use crate::projection::{self, OrderFilter};
use crate::store::record;
use crate::store::sql::Db;

/// `roundsman.logistics.v1.LogisticsService`.
#[derive(Clone, Debug)]
pub struct LogisticsDoor {
    core: Arc<Core>,
    /// A proposal of trips keeps a processor busy: one at a time.
    proposals: Arc<Semaphore>,
}

impl LogisticsDoor {
    /// The door.
    #[must_use]
    pub fn new(core: Arc<Core>) -> Self {
        Self { core, proposals: Arc::new(Semaphore::new(1)) }
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
    /// A wave, as it is now.
    async fn wave(&self, caller: &Caller, id: &[u8]) -> Result<Option<Wave>, Status> {
        let id = check::id(id, "wave_id").map_err(|error| status::rejected(&error))?;
        let (db, tenant) = (self.core.db.clone(), caller.tenant);
        detached(async move {
            let found = record::find(&mut db.read().await?, tenant, &[id]).await?;
            let stored =
                found.into_iter().map(|(_, stored)| stored).find(|stored| stored.kind == i64::from(Kind::Wave as i32));
            let wave = stored.map(|stored| Wave::decode(stored.document)).transpose();
            Ok(wave.map_err(|error| StoreError::Corrupt(format!("wave {id}: {error}")))?)
        })
        .await
    }
}

#[tonic::async_trait]
impl LogisticsService for LogisticsDoor {
    async fn list_orders(
        &self,
        request: Request<proto::ListOrdersRequest>,
    ) -> Result<Response<proto::ListOrdersResponse>, Status> {
        let caller = caller(&request)?;
        let page = OrderPage::of(&request.into_inner())?;
        let db = self.core.db.clone();
        let answer = detached(async move { Ok(page.read(&db, caller.tenant).await?) }).await?;
        Ok(Response::new(answer))
    }

    async fn list_shipments(
        &self,
        request: Request<proto::ListShipmentsRequest>,
    ) -> Result<Response<proto::ListShipmentsResponse>, Status> {
        let caller = caller(&request)?;
        let page = ShipmentPage::of(&request.into_inner())?;
        let db = self.core.db.clone();
        let answer = detached(async move { Ok(page.read(&db, caller.tenant).await?) }).await?;
        Ok(Response::new(answer))
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
        let caller = caller(&request)?;
        let page = ChangeRequestPage::of(&request.into_inner())?;
        let db = self.core.db.clone();
        let answer = detached(async move { Ok(page.read(&db, caller.tenant).await?) }).await?;
        Ok(Response::new(answer))
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
        let caller = caller(&request)?;
        let page = ReclamationPage::of(&request.into_inner(), self.core.clock.now_us())?;
        let db = self.core.db.clone();
        let answer = detached(async move { Ok(page.read(&db, caller.tenant).await?) }).await?;
        Ok(Response::new(answer))
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
        let caller = caller(&request)?;
        let page = TripPage::of(&request.into_inner())?;
        let db = self.core.db.clone();
        let answer = detached(async move { Ok(page.read(&db, caller.tenant).await?) }).await?;
        Ok(Response::new(answer))
    }

    async fn list_vehicles(
        &self,
        request: Request<proto::ListVehiclesRequest>,
    ) -> Result<Response<proto::ListVehiclesResponse>, Status> {
        let caller = caller(&request)?;
        let page = VehiclePage::of(&request.into_inner())?;
        let db = self.core.db.clone();
        let answer = detached(async move { Ok(page.read(&db, caller.tenant).await?) }).await?;
        Ok(Response::new(answer))
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

/// A moment or a day, and an id: where a list in this order goes on.
pub(super) fn key_of((number, id): &(i64, Uuid)) -> [u8; 24] {
    let mut key = [0; 24];
    key[..8].copy_from_slice(&number.to_be_bytes());
    key[8..].copy_from_slice(id.as_bytes());
    key
}

pub(super) fn read_key(key: [u8; 24]) -> (i64, Uuid) {
    let (number, id) = key.split_at(8);
    let number = number.try_into().map_or(i64::MAX, i64::from_be_bytes);
    (number, Uuid::from_slice(id).unwrap_or_default())
}

/// A page of orders, checked.
#[derive(Debug)]
struct OrderPage {
    token: Filter,
    filter: OrderFilter,
    after: (i64, Uuid),
    size: i64,
}

impl OrderPage {
    fn of(request: &proto::ListOrdersRequest) -> Result<Self, Status> {
        let mut fields = Fields::default();
        let status = match OrderStatus::try_from(request.status) {
            Ok(OrderStatus::Unspecified) => None,
            Ok(status) => Some(status),
            Err(_) => {
                fields.wrong("status", Reason::UnknownValue, "is unknown");
                None
            }
        };
        let through_delivery_day = match request.through_delivery_day {
            0 => i64::MAX,
            1.. => request.through_delivery_day.into(),
            ..0 => {
                fields.wrong("through_delivery_day", Reason::OutOfRange, "is negative");
                0
            }
        };
        let values = [request.status.to_be_bytes(), request.through_delivery_day.to_be_bytes()];
        let token = Filter::of("orders", &[&values[0], &values[1]]);
        let after = token.after(&mut fields, &request.page_token).map(read_key);
        let size = fields.page_size("page_size", request.page_size);
        fields.check()?;
        let filter = OrderFilter { status, through_delivery_day };
        Ok(Self { token, filter, after: after.unwrap_or((i64::MIN, Uuid::nil())), size })
    }

    async fn read(&self, db: &Db, tenant: i64) -> Result<proto::ListOrdersResponse, StoreError> {
        let mut tx = db.read().await?;
        // One more than asked for tells whether there is a next page.
        let keys = projection::orders(&mut tx, tenant, self.filter, self.after, self.size + 1).await?;
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        let ids: Vec<Uuid> = keys.iter().take(size).map(|(_, id)| *id).collect();
        let Listed { documents, covered } = documents::<Order>(&mut tx, tenant, &ids).await?;
        tx.commit().await?;
        let last = keys[..covered].last().filter(|_| covered < keys.len());
        let orders = documents
            .into_iter()
            .map(|(id, order)| proto::ListedOrder { order_id: id.as_bytes().to_vec(), order: Some(order) });
        Ok(proto::ListOrdersResponse {
            orders: orders.collect(),
            next_page_token: last.map_or_else(String::new, |last| self.token.token(key_of(last))),
        })
    }
}

/// A page of shipments, checked.
#[derive(Debug)]
struct ShipmentPage {
    token: Filter,
    before: Uuid,
    size: i64,
}

impl ShipmentPage {
    fn of(request: &proto::ListShipmentsRequest) -> Result<Self, Status> {
        let mut fields = Fields::default();
        let token = Filter::of("shipments", &[]);
        let before = token.after(&mut fields, &request.page_token).map(Uuid::from_bytes);
        let size = fields.page_size("page_size", request.page_size);
        fields.check()?;
        Ok(Self { token, before: before.unwrap_or(Uuid::max()), size })
    }

    async fn read(&self, db: &Db, tenant: i64) -> Result<proto::ListShipmentsResponse, StoreError> {
        let mut tx = db.read().await?;
        let mut ids = projection::shipments(&mut tx, tenant, self.before, self.size + 1).await?;
        let found = ids.len();
        ids.truncate(usize::try_from(self.size).unwrap_or(usize::MAX));
        let Listed { documents, covered } = documents::<Shipment>(&mut tx, tenant, &ids).await?;
        tx.commit().await?;
        let last = ids[..covered].last().filter(|_| covered < found);
        let shipments = documents.into_iter().map(|(id, shipment)| proto::ListedShipment {
            shipment_id: id.as_bytes().to_vec(),
            shipment: Some(shipment),
        });
        Ok(proto::ListShipmentsResponse {
            shipments: shipments.collect(),
            next_page_token: last.map_or_else(String::new, |last| self.token.token(last.into_bytes())),
        })
    }
}

/// A page of change requests, checked.
#[derive(Debug)]
struct ChangeRequestPage {
    token: Filter,
    after: (i64, Uuid),
    size: i64,
}

impl ChangeRequestPage {
    fn of(request: &proto::ListChangeRequestsRequest) -> Result<Self, Status> {
        let mut fields = Fields::default();
        let token = Filter::of("change_requests", &[]);
        let after = token.after(&mut fields, &request.page_token).map(read_key);
        let size = fields.page_size("page_size", request.page_size);
        fields.check()?;
        Ok(Self { token, after: after.unwrap_or((i64::MIN, Uuid::nil())), size })
    }

    async fn read(&self, db: &Db, tenant: i64) -> Result<proto::ListChangeRequestsResponse, StoreError> {
        let mut tx = db.read().await?;
        let keys = projection::change_requests(&mut tx, tenant, self.after, self.size + 1).await?;
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        let ids: Vec<Uuid> = keys.iter().take(size).map(|(_, id)| *id).collect();
        let Listed { documents, covered } = documents::<ChangeRequest>(&mut tx, tenant, &ids).await?;
        tx.commit().await?;
        let last = keys[..covered].last().filter(|_| covered < keys.len());
        let change_requests = documents.into_iter().map(|(id, request)| proto::ListedChangeRequest {
            change_request_id: id.as_bytes().to_vec(),
            change_request: Some(request),
        });
        Ok(proto::ListChangeRequestsResponse {
            change_requests: change_requests.collect(),
            next_page_token: last.map_or_else(String::new, |last| self.token.token(key_of(last))),
        })
    }
}
