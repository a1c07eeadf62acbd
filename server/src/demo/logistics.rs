//! A logistician's day: in waves, from confirmed orders to delivered goods, with what goes wrong on the way.

use std::collections::BTreeSet;
use std::sync::Arc;

use roundsman_proto::logistics::logistics_service_client::LogisticsServiceClient;
use roundsman_proto::logistics::{
    AnswerChangeRequestRequest, DeliverShipmentRequest, ListChangeRequestsRequest, ListShipmentsRequest, ListedOrder,
    ListedShipment, PrepareShipmentRequest, ReleaseOrderRequest, ShipShipmentRequest,
};
use roundsman_proto::sync::Status as Decision;
use roundsman_proto::trade::{
    AnswerChangeRequest, DeliverShipment, DeliveredLine, DeliveryProof, OrderStatus, PrepareShipment, RefusalReason,
    ReleaseOrder, ShipShipment, Shipment, ShipmentLine, ShipmentState, ShippedLine, ShortReason,
};
use uuid::Uuid;

use super::desk::Desk;
use super::office::{Ledger, orders};
use super::records::moment_us;
use super::shared::Shared;
use super::trade::LEFT_UNTIL_S;
use super::world::{LOGISTICIANS, TODAY, bytes, id};

/// A wave takes so many orders, at most.
const WAVE: usize = 10;
/// Of so many lines one is picked short …
const SHORT: u8 = 12;
/// … and one refused in part.
const REFUSED: u8 = 10;
/// Of so many changes one is refused.
const CHANGE_REFUSED: u8 = 3;
/// Of so many deliveries one is not attempted …
const NOT_ATTEMPTED: u8 = 16;
/// … and one refused as a whole.
const REFUSED_WHOLE: u8 = 20;

struct Logistician {
    desk: Desk,
    shared: Arc<Shared>,
    ledger: Ledger,
    /// The outlets of the team whose warehouse this is.
    outlets: BTreeSet<Vec<u8>>,
    /// Orders that were released and are not prepared yet.
    left: BTreeSet<Vec<u8>>,
    /// The number of the wave: an order that was changed meanwhile may be released again in a later one.
    wave: usize,
}

/// The day of a team's logistician.
///
/// # Errors
/// When the server refuses a call.
pub async fn work(shared: Arc<Shared>, team: usize) -> anyhow::Result<Ledger> {
    let world = &shared.world;
    let own = world.city.outlets.iter().enumerate().filter(|(_, outlet)| world.team_of(outlet.territory) == team);
    let outlets = own.map(|(index, _)| bytes(world.outlet_id(index))).collect();
    let desk = Desk::new(LOGISTICIANS[team], shared.channel.clone());
    let mut logistician = Logistician {
        desk,
        shared: Arc::clone(&shared),
        ledger: Ledger::default(),
        outlets,
        left: BTreeSet::new(),
        wave: 0,
    };
    for &wave in &shared.day.waves {
        shared.wait(wave).await;
        logistician.wave().await?;
    }
    Ok(logistician.ledger)
}

/// Whether chance, which is in an id, picks this one of `n`.
fn picks(id: &[u8], n: u8, salt: u8) -> bool {
    id.last().is_some_and(|byte| byte.wrapping_add(salt) % n == 0)
}

/// A command id that belongs to a step of a document.
fn step_id(step: &str, document: &[u8]) -> Vec<u8> {
    bytes(id(step, Uuid::from_slice(document).unwrap_or_default()))
}

impl Logistician {
    /// Delivers what is on its way, ships what is ready, takes new orders.
    async fn wave(&mut self) -> anyhow::Result<()> {
        self.wave += 1;
        self.answer_requests().await?;
        for listed in self.shipments().await? {
            let shipment = listed.shipment.unwrap_or_default();
            match shipment.state() {
                ShipmentState::Shipped => self.deliver(listed.shipment_id, &shipment).await?,
                ShipmentState::Prepared => self.ship(listed.shipment_id, &shipment).await?,
                ShipmentState::Unspecified
                | ShipmentState::Picking
                | ShipmentState::Checking
                | ShipmentState::Checked
                | ShipmentState::Loaded
                | ShipmentState::Delivered
                | ShipmentState::PartlyDelivered
                | ShipmentState::Refused
                | ShipmentState::NotAttempted
                | ShipmentState::Cancelled => {}
            }
        }
        let mut confirmed = orders(&mut self.desk, &mut self.ledger, OrderStatus::Confirmed).await?;
        confirmed.retain(|listed| {
            let id = Uuid::from_slice(&listed.order_id).unwrap_or_default();
            let own = listed.order.as_ref().is_some_and(|order| self.outlets.contains(&order.outlet_id));
            own && !self.shared.day.held_back.contains(&id)
        });
        let is_asked = |listed: &ListedOrder| {
            Uuid::from_slice(&listed.order_id).is_ok_and(|id| self.shared.day.trade.asked.contains(&id))
        };
        let leaves = self.shared.now_us() < moment_us(TODAY, LEFT_UNTIL_S / 60);
        let asked: Vec<ListedOrder> =
            if leaves { confirmed.extract_if(.., |listed| is_asked(listed)).collect() } else { Vec::new() };
        for listed in asked {
            if self.release(&listed.order_id).await? {
                self.left.insert(listed.order_id);
            }
        }
        if !leaves && !self.left.is_empty() {
            // What was changed and is held again is released anew when it is confirmed.
            let left = std::mem::take(&mut self.left);
            for listed in orders(&mut self.desk, &mut self.ledger, OrderStatus::Released).await? {
                if left.contains(&listed.order_id) {
                    self.prepare(listed.order_id).await?;
                }
            }
        }
        confirmed.sort_by_key(|listed| listed.order.as_ref().map(|order| order.submitted_at_us));
        for listed in confirmed.into_iter().take(WAVE) {
            if self.release(&listed.order_id).await? {
                self.prepare(listed.order_id).await?;
            }
        }
        Ok(())
    }

    /// Does what is wanted of orders that the warehouse has, as long as it can.
    async fn answer_requests(&mut self) -> anyhow::Result<()> {
        let request = ListChangeRequestsRequest { page_size: 1_000, page_token: String::new() };
        let send =
            |channel, request| async move { LogisticsServiceClient::new(channel).list_change_requests(request).await };
        let answer = self.desk.call(request, send).await;
        let Some(page) = self.ledger.excuse("LogisticsService", answer)? else { return Ok(()) };
        for listed in page.change_requests {
            let outlet = listed.change_request.map(|request| request.outlet_id);
            if !outlet.is_some_and(|outlet| self.outlets.contains(&outlet)) {
                continue;
            }
            let command_id = step_id("answer", &listed.change_request_id);
            let change_request_id = listed.change_request_id;
            // Every third wish comes too late.
            let accept = !picks(&change_request_id, CHANGE_REFUSED, 0);
            let comment = if accept { "" } else { "The van is full" }.to_owned();
            let answer = Some(AnswerChangeRequest { change_request_id, accept, comment });
            let request = AnswerChangeRequestRequest { command_id, answer };
            let send = |channel, request| async move {
                LogisticsServiceClient::new(channel).answer_change_request(request).await
            };
            let answer = self.desk.call(request, send).await;
            if let Some(answer) = self.ledger.excuse("LogisticsService", answer)? {
                self.ledger.note("AnswerChangeRequest", answer.outcome);
            }
        }
        Ok(())
    }

    async fn shipments(&mut self) -> anyhow::Result<Vec<ListedShipment>> {
        let mut request = ListShipmentsRequest { page_size: 1_000, ..ListShipmentsRequest::default() };
        let mut shipments = Vec::new();
        loop {
            let send =
                |channel, request| async move { LogisticsServiceClient::new(channel).list_shipments(request).await };
            let answer = self.desk.call(request.clone(), send).await;
            let Some(page) = self.ledger.excuse("LogisticsService", answer)? else { break };
            shipments.extend(page.shipments);
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
        }
        let own = |listed: &ListedShipment| {
            listed.shipment.as_ref().is_some_and(|shipment| self.outlets.contains(&shipment.outlet_id))
        };
        shipments.retain(own);
        Ok(shipments)
    }

    /// A command id that belongs to a step of an order in this wave.
    fn wave_id(&self, step: &str, order_id: &[u8]) -> Vec<u8> {
        bytes(id(step, format!("{}/{}", Uuid::from_slice(order_id).unwrap_or_default(), self.wave)))
    }

    /// Whether the warehouse has the order now.
    async fn release(&mut self, order_id: &[u8]) -> anyhow::Result<bool> {
        let release = Some(ReleaseOrder { order_id: order_id.to_vec(), ..ReleaseOrder::default() });
        let request = ReleaseOrderRequest { command_id: self.wave_id("release", order_id), release };
        let send = |channel, request| async move { LogisticsServiceClient::new(channel).release_order(request).await };
        let answer = self.desk.call(request, send).await;
        let Some(answer) = self.ledger.excuse("LogisticsService", answer)? else { return Ok(false) };
        let released = answer.outcome.as_ref().is_some_and(|outcome| outcome.status() == Decision::Applied);
        self.ledger.note("ReleaseOrder", answer.outcome);
        Ok(released)
    }

    async fn prepare(&mut self, order_id: Vec<u8>) -> anyhow::Result<()> {
        let shipment_id = step_id("shipment", &order_id);
        let command_id = self.wave_id("prepare", &order_id);
        let shipment = Some(PrepareShipment { shipment_id, order_id, ..PrepareShipment::default() });
        let request = PrepareShipmentRequest { command_id, shipment };
        let send =
            |channel, request| async move { LogisticsServiceClient::new(channel).prepare_shipment(request).await };
        let answer = self.desk.call(request, send).await;
        if let Some(answer) = self.ledger.excuse("LogisticsService", answer)? {
            self.ledger.note("PrepareShipment", answer.outcome);
        }
        Ok(())
    }

    async fn ship(&mut self, shipment_id: Vec<u8>, shipment: &Shipment) -> anyhow::Result<()> {
        let short = shipment.lines.iter().filter(|line| picks(&line.line_id, SHORT, 0));
        let lines = short.map(|line| ShippedLine {
            line_id: line.line_id.clone(),
            picked_milli: line.ordered_milli / 2,
            short_reason: ShortReason::NotFound.into(),
        });
        let command_id = step_id("ship", &shipment_id);
        let departure = Some(ShipShipment { shipment_id, lines: lines.collect(), comment: String::new() });
        let request = ShipShipmentRequest { command_id, departure };
        let send = |channel, request| async move { LogisticsServiceClient::new(channel).ship_shipment(request).await };
        let answer = self.desk.call(request, send).await;
        if let Some(answer) = self.ledger.excuse("LogisticsService", answer)? {
            self.ledger.note("ShipShipment", answer.outcome);
        }
        Ok(())
    }

    async fn deliver(&mut self, shipment_id: Vec<u8>, shipment: &Shipment) -> anyhow::Result<()> {
        let not_attempted = picks(&shipment_id, NOT_ATTEMPTED, 1);
        let whole = picks(&shipment_id, REFUSED_WHOLE, 2);
        let lines = if not_attempted {
            Vec::new()
        } else {
            shipment.lines.iter().filter_map(|line| delivered(line, whole)).collect()
        };
        let proof = DeliveryProof {
            received_by: "The shift leader".to_owned(),
            at_us: self.shared.now_us(),
            ..DeliveryProof::default()
        };
        let delivery = DeliverShipment {
            lines,
            not_attempted,
            proof: (!not_attempted).then_some(proof),
            reclamation_id: step_id("reclamation", &shipment_id),
            comment: String::new(),
            shipment_id,
        };
        let command_id = step_id("deliver", &delivery.shipment_id);
        let request = DeliverShipmentRequest { command_id, delivery: Some(delivery) };
        let send =
            |channel, request| async move { LogisticsServiceClient::new(channel).deliver_shipment(request).await };
        let answer = self.desk.call(request, send).await;
        if let Some(answer) = self.ledger.excuse("LogisticsService", answer)? {
            self.ledger.note("DeliverShipment", answer.outcome);
        }
        Ok(())
    }
}

/// What became of a line, if it was not just delivered.
fn delivered(line: &ShipmentLine, whole: bool) -> Option<DeliveredLine> {
    let part = picks(&line.line_id, REFUSED, 3);
    if !(whole || part) || line.loaded_milli == 0 {
        return None;
    }
    let refused_milli = if whole { line.loaded_milli } else { line.loaded_milli - line.loaded_milli / 2 };
    let reason = if whole { RefusalReason::NoMoney } else { RefusalReason::Damaged };
    Some(DeliveredLine {
        line_id: line.line_id.clone(),
        delivered_milli: line.loaded_milli - refused_milli,
        refused_milli,
        refusal_reason: reason.into(),
    })
}
