//! A logistician's day: orders are put into shipments in waves, picked, counted, planned into trips and loaded; what the vans
//! bring back is counted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use roundsman_proto::logistics::logistics_service_client::LogisticsServiceClient;
use roundsman_proto::logistics::{
    AnswerChangeRequestRequest, CheckShipmentRequest, CloseTripRequest, ListChangeRequestsRequest,
    ListShipmentsRequest, ListTripsRequest, ListedShipment, ListedTrip, LoadShipmentRequest, PickShipmentRequest,
    PlanTripRequest, ProposeTripsRequest, ProposedTrip, ReleaseOrderRequest, StartWaveRequest, VehicleShift,
};
use roundsman_proto::sync::Status as Decision;
use roundsman_proto::trade::{
    AnswerChangeRequest, CheckShipment, CloseTrip, LoadShipment, Order, OrderStatus, PickShipment, PlanTrip,
    ReleaseOrder, Scan, Shipment, ShipmentLine, ShipmentState, ShippedLine, ShortReason, StartWave, TripState,
};
use roundsman_sync::trade::order::fulfil::can_be_shipped;
use roundsman_sync::trade::trip::is_open;
use tokio::sync::Barrier;
use uuid::Uuid;

use super::catalogue::ONE_UNIT_MILLI;
use super::desk::Desk;
use super::office::{Ledger, orders};
use super::plan::{HOUR, MINUTE};
use super::records::moment_us;
use super::shared::Shared;
use super::trade::LEFT_UNTIL_S;
use super::world::{DRIVERS_A_TEAM, LOGISTICIANS, TODAY, bytes, driver, id, rep_id, vehicle_id};

/// A wave takes so many orders, at most.
const WAVE: usize = 10;
/// With every third look a wave begins.
const LOOKS_A_WAVE: usize = 3;
/// Of so many lines one is picked short.
const SHORT: u8 = 24;
/// Of so many shipments one is not counted.
const NOT_COUNTED: u8 = 4;
/// Of so many changes one is refused.
const CHANGE_REFUSED: u8 = 3;
/// A trip takes so long, at most, in seconds.
const TRIP_S: i32 = 75 * MINUTE;
/// No van leaves later.
const LAST_TRIP_S: i32 = 16 * HOUR + 36 * MINUTE;
/// Unloading takes so long at an outlet, in seconds.
const SERVICE_S: i32 = 5 * MINUTE;

struct Logistician {
    desk: Desk,
    shared: Arc<Shared>,
    ledger: Ledger,
    /// Whose warehouse this is.
    team: usize,
    /// The outlets of the team.
    outlets: BTreeSet<Vec<u8>>,
    /// The barcodes of single units, by product.
    barcodes: BTreeMap<Vec<u8>, String>,
    /// So many looks there were: an order that was changed meanwhile may be released again in a later one.
    looks: usize,
}

/// The day of a team's logistician; in the evening those who drive come `home`.
///
/// # Errors
/// When the server refuses a call.
pub async fn work(shared: Arc<Shared>, team: usize, home: Arc<Barrier>) -> anyhow::Result<Ledger> {
    let world = &shared.world;
    let own = world.city.outlets.iter().enumerate().filter(|(_, outlet)| world.team_of(outlet.territory) == team);
    let outlets = own.map(|(index, _)| bytes(world.outlet_id(index))).collect();
    let barcodes = world.catalogue.articles.iter().enumerate().filter_map(|(index, article)| {
        let barcode = article.packagings.first()?.barcodes.first()?;
        Some((bytes(world.product_id(index)), barcode.clone()))
    });
    let mut logistician = Logistician {
        desk: Desk::new(LOGISTICIANS[team], shared.channel.clone()),
        shared: Arc::clone(&shared),
        ledger: Ledger::default(),
        team,
        outlets,
        barcodes: barcodes.collect(),
        looks: 0,
    };
    for &look in &shared.day.looks {
        shared.wait(look).await;
        logistician.look().await?;
    }
    home.wait().await;
    logistician.close_trips().await?;
    Ok(logistician.ledger)
}

/// Whether chance, which is in an id, picks this one of `n`.
pub fn picks(id: &[u8], n: u8, salt: u8) -> bool {
    id.last().is_some_and(|byte| byte.wrapping_add(salt) % n == 0)
}

/// The id of a step of a document.
pub fn step_id(step: &str, document: &[u8]) -> Vec<u8> {
    bytes(id(step, Uuid::from_slice(document).unwrap_or_default()))
}

impl Logistician {
    /// Goes on with everything that waits, and takes new orders every now and then.
    async fn look(&mut self) -> anyhow::Result<()> {
        self.answer_requests().await?;
        self.close_trips().await?;
        let mut ready = Vec::new();
        for ListedShipment { shipment_id, shipment } in self.shipments().await? {
            let shipment = shipment.unwrap_or_default();
            match shipment.state() {
                ShipmentState::Prepared => self.pick(shipment_id, &shipment).await?,
                ShipmentState::Checking | ShipmentState::Checked if shipment.trip_id.is_empty() => {
                    self.count(&shipment_id, &shipment).await?;
                    ready.push(shipment_id);
                }
                ShipmentState::Unspecified | ShipmentState::Picking | ShipmentState::Checking => {}
                ShipmentState::Checked | ShipmentState::Loaded | ShipmentState::Shipped => {}
                ShipmentState::Delivered | ShipmentState::PartlyDelivered | ShipmentState::Refused => {}
                ShipmentState::NotAttempted | ShipmentState::Cancelled => {}
            }
        }
        self.plan_trips(ready).await?;
        if self.looks.is_multiple_of(LOOKS_A_WAVE) && self.shared.second() < LAST_TRIP_S {
            self.wave().await?;
        }
        self.looks += 1;
        Ok(())
    }

    /// Takes new orders, and what of earlier ones was not delivered, in the order in which they were handed in.
    async fn wave(&mut self) -> anyhow::Result<()> {
        let leaves = self.shared.now_us() < moment_us(TODAY, LEFT_UNTIL_S / 60);
        let mut wave: Vec<(Vec<u8>, Order)> = Vec::new();
        for listed in orders(&mut self.desk, &mut self.ledger, OrderStatus::Confirmed).await? {
            let id = Uuid::from_slice(&listed.order_id).unwrap_or_default();
            let order = listed.order.unwrap_or_default();
            if !self.outlets.contains(&order.outlet_id) || self.shared.day.held_back.contains(&id) {
                continue;
            }
            // Some are released early, and left until representatives have asked for something else.
            if leaves && self.is_asked(id) {
                self.release(&listed.order_id).await?;
            } else {
                wave.push((listed.order_id, order));
            }
        }
        wave.sort_by_key(|(_, order)| order.submitted_at_us);
        wave.truncate(WAVE);
        let mut released = Vec::new();
        for (id, _) in wave {
            if self.release(&id).await? {
                released.push(id);
            }
        }
        for listed in orders(&mut self.desk, &mut self.ledger, OrderStatus::Released).await? {
            let id = Uuid::from_slice(&listed.order_id).unwrap_or_default();
            let order = listed.order.unwrap_or_default();
            let waits = order.lines.iter().any(|line| can_be_shipped(line) > 0);
            let own = self.outlets.contains(&order.outlet_id) && !(leaves && self.is_asked(id));
            if own && waits && !released.contains(&listed.order_id) {
                released.push(listed.order_id);
            }
        }
        self.start_wave(released).await
    }

    fn is_asked(&self, order: Uuid) -> bool {
        self.shared.day.trade.asked.contains(&order)
    }

    async fn start_wave(&mut self, order_ids: Vec<Vec<u8>>) -> anyhow::Result<()> {
        if order_ids.is_empty() {
            return Ok(());
        }
        let key = format!("{}/{}", LOGISTICIANS[self.team], self.looks);
        let wave = StartWave {
            wave_id: bytes(id("wave", &key)),
            warehouse_id: bytes(self.shared.world.warehouse_id(self.team)),
            name: format!("Wave {}", self.looks / LOOKS_A_WAVE + 1),
            departure_at_us: 0,
            order_ids,
        };
        let request = StartWaveRequest { command_id: bytes(id("start-wave", key)), wave: Some(wave) };
        let send = |channel, request| async move { LogisticsServiceClient::new(channel).start_wave(request).await };
        let answer = self.desk.call(request, send).await;
        if let Some(answer) = self.ledger.excuse("LogisticsService", answer)? {
            self.ledger.note("StartWave", answer.outcome);
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

    /// A command id that belongs to a step of an order in this look.
    fn look_id(&self, step: &str, order_id: &[u8]) -> Vec<u8> {
        bytes(id(step, format!("{}/{}", Uuid::from_slice(order_id).unwrap_or_default(), self.looks)))
    }

    /// Whether the warehouse has the order now.
    async fn release(&mut self, order_id: &[u8]) -> anyhow::Result<bool> {
        let release = Some(ReleaseOrder { order_id: order_id.to_vec(), ..ReleaseOrder::default() });
        let request = ReleaseOrderRequest { command_id: self.look_id("release", order_id), release };
        let send = |channel, request| async move { LogisticsServiceClient::new(channel).release_order(request).await };
        let answer = self.desk.call(request, send).await;
        let Some(answer) = self.ledger.excuse("LogisticsService", answer)? else { return Ok(false) };
        let released = answer.outcome.as_ref().is_some_and(|outcome| outcome.status() == Decision::Applied);
        self.ledger.note("ReleaseOrder", answer.outcome);
        Ok(released)
    }

    async fn pick(&mut self, shipment_id: Vec<u8>, shipment: &Shipment) -> anyhow::Result<()> {
        let short = shipment.lines.iter().filter(|line| picks(&line.line_id, SHORT, 0));
        let lines = short.map(|line| ShippedLine {
            line_id: line.line_id.clone(),
            picked_milli: line.ordered_milli / 2,
            short_reason: ShortReason::NotFound.into(),
        });
        let command_id = step_id("pick", &shipment_id);
        let picking =
            Some(PickShipment { shipment_id, lines: lines.collect(), finished: true, comment: String::new() });
        let request = PickShipmentRequest { command_id, picking };
        let send = |channel, request| async move { LogisticsServiceClient::new(channel).pick_shipment(request).await };
        let answer = self.desk.call(request, send).await;
        if let Some(answer) = self.ledger.excuse("LogisticsService", answer)? {
            self.ledger.note("PickShipment", answer.outcome);
        }
        Ok(())
    }

    /// Counts what was picked, unless there is no time, or something has to be weighed.
    async fn count(&mut self, shipment_id: &[u8], shipment: &Shipment) -> anyhow::Result<()> {
        let scan = |line: &ShipmentLine| {
            let barcode = self.barcodes.get(&line.product_id)?.clone();
            let whole = line.picked_milli % ONE_UNIT_MILLI == 0;
            whole.then_some(Scan { barcode, count: line.picked_milli / ONE_UNIT_MILLI })
        };
        let picked = shipment.lines.iter().filter(|line| line.picked_milli > 0);
        let Some(scans) = picked.map(scan).collect::<Option<Vec<Scan>>>() else { return Ok(()) };
        let is_counted = shipment.state() == ShipmentState::Checked;
        if is_counted || scans.is_empty() || picks(shipment_id, NOT_COUNTED, 0) {
            return Ok(());
        }
        let count = Some(CheckShipment { shipment_id: shipment_id.to_vec(), scans });
        let request = CheckShipmentRequest { command_id: step_id("count", shipment_id), count };
        let send = |channel, request| async move { LogisticsServiceClient::new(channel).check_shipment(request).await };
        let answer = self.desk.call(request, send).await;
        if let Some(answer) = self.ledger.excuse("LogisticsService", answer)? {
            self.ledger.note("CheckShipment", answer.outcome);
        }
        Ok(())
    }

    /// The trips of this warehouse.
    async fn trips(&mut self) -> anyhow::Result<Vec<ListedTrip>> {
        let request = ListTripsRequest { page_size: 1_000, from_day: TODAY, through_day: TODAY, ..Default::default() };
        let send = |channel, request| async move { LogisticsServiceClient::new(channel).list_trips(request).await };
        let answer = self.desk.call(request, send).await;
        let Some(page) = self.ledger.excuse("LogisticsService", answer)? else { return Ok(Vec::new()) };
        let warehouse = bytes(self.shared.world.warehouse_id(self.team));
        let own = |listed: &ListedTrip| listed.trip.as_ref().is_some_and(|trip| trip.warehouse_id == warehouse);
        Ok(page.trips.into_iter().filter(own).collect())
    }

    /// Counts what the vans that are back have brought.
    async fn close_trips(&mut self) -> anyhow::Result<()> {
        for ListedTrip { trip_id, trip } in self.trips().await? {
            let on_its_way = trip.is_some_and(|trip| trip.state() == TripState::Departed);
            let Some(returned) = self.shared.on_ramp(Uuid::from_slice(&trip_id)?).filter(|_| on_its_way) else {
                continue;
            };
            let command_id = step_id("close", &trip_id);
            let closing = Some(CloseTrip { trip_id, returned, comment: String::new() });
            let request = CloseTripRequest { command_id, closing };
            let send = |channel, request| async move { LogisticsServiceClient::new(channel).close_trip(request).await };
            let answer = self.desk.call(request, send).await;
            if let Some(answer) = self.ledger.excuse("LogisticsService", answer)? {
                self.ledger.note("CloseTrip", answer.outcome);
            }
        }
        Ok(())
    }

    /// Sends the vans that are here with what is ready.
    async fn plan_trips(&mut self, shipment_ids: Vec<Vec<u8>>) -> anyhow::Result<()> {
        let now_s = self.shared.second();
        let trips = self.trips().await?;
        let open = trips.iter().filter_map(|listed| listed.trip.as_ref()).filter(|trip| is_open(trip));
        let busy: BTreeSet<&[u8]> = open.map(|trip| trip.driver_id.as_slice()).collect();
        let drivers = (0..DRIVERS_A_TEAM).map(|number| driver(self.team, number));
        let here: Vec<usize> = drivers.filter(|rep| !busy.contains(rep_id(*rep).as_bytes().as_slice())).collect();
        if shipment_ids.is_empty() || here.is_empty() || now_s > LAST_TRIP_S {
            return Ok(());
        }
        let van =
            |rep: &usize| VehicleShift { vehicle_id: bytes(vehicle_id(*rep)), from_s: now_s, to_s: now_s + TRIP_S };
        let request = ProposeTripsRequest {
            warehouse_id: bytes(self.shared.world.warehouse_id(self.team)),
            day: TODAY,
            shipment_ids,
            vehicles: here.iter().map(van).collect(),
            service_s: SERVICE_S,
            speed_m_per_h: 0,
        };
        let send = |channel, request| async move { LogisticsServiceClient::new(channel).propose_trips(request).await };
        let answer = self.desk.call(request, send).await;
        let Some(proposal) = self.ledger.excuse("LogisticsService", answer)? else { return Ok(()) };
        for proposed in proposal.trips {
            let rep = here.iter().find(|rep| vehicle_id(**rep).as_bytes() == proposed.vehicle_id.as_slice());
            if let Some(rep) = rep {
                self.send_off(*rep, proposed).await?;
            }
        }
        Ok(())
    }

    /// Plans a trip as it was proposed, and loads it; whoever drives leaves then.
    async fn send_off(&mut self, rep: usize, proposed: ProposedTrip) -> anyhow::Result<()> {
        let key = format!("{rep}/{}", self.looks);
        let shipment_ids: Vec<Vec<u8>> = proposed.calls.into_iter().map(|call| call.shipment_id).collect();
        let plan = PlanTrip {
            trip_id: bytes(id("trip", &key)),
            vehicle_id: proposed.vehicle_id,
            driver_id: bytes(rep_id(rep)),
            warehouse_id: bytes(self.shared.world.warehouse_id(self.team)),
            day: TODAY,
            departure_at_us: moment_us(TODAY, proposed.leaves_s / MINUTE),
            shipment_ids: shipment_ids.clone(),
            ..PlanTrip::default()
        };
        let request = PlanTripRequest { command_id: bytes(id("plan", &key)), plan: Some(plan) };
        let send = |channel, request| async move { LogisticsServiceClient::new(channel).plan_trip(request).await };
        let answer = self.desk.call(request, send).await;
        let Some(answer) = self.ledger.excuse("LogisticsService", answer)? else { return Ok(()) };
        self.ledger.note("PlanTrip", answer.outcome);
        for shipment_id in shipment_ids {
            let command_id = bytes(id("load", format!("{key}/{}", Uuid::from_slice(&shipment_id)?)));
            let loading = Some(LoadShipment { shipment_id, ..LoadShipment::default() });
            let request = LoadShipmentRequest { command_id, loading };
            let send =
                |channel, request| async move { LogisticsServiceClient::new(channel).load_shipment(request).await };
            let answer = self.desk.call(request, send).await;
            if let Some(answer) = self.ledger.excuse("LogisticsService", answer)? {
                self.ledger.note("LoadShipment", answer.outcome);
            }
        }
        Ok(())
    }
}
