//! The lists of logistics: what is asked for, and how it is told.

use prost::Message as _;
use roundsman_proto::logistics as proto;
use roundsman_proto::trade::{
    ChangeRequest, GoodsReturn, Order, Reason, Shipment, StockCount, StockTransfer, Trip, Vehicle, Wave,
};
use tonic::Status;
use uuid::Uuid;

use super::fields::Fields;
use super::paging::{Filter, List, Page};
use crate::error::StoreError;
use crate::projection::{self, GoodsReturnFilter, OrderFilter, ShipmentFilter, StockFilter, TripFilter, WaveFilter};
use crate::store::sql::Tx;

/// Before everything that is listed in ascending order.
const FIRST: (i64, Uuid) = (i64::MIN, Uuid::nil());
/// Before everything that is listed in descending order.
const LAST: (i64, Uuid) = (i64::MAX, Uuid::max());

impl List for OrderFilter {
    type Record = Order;
    type Key = (i64, Uuid);
    const START: (i64, Uuid) = FIRST;

    async fn keys(&self, tx: &mut Tx, tenant: i64, after: Self::Key, limit: i64) -> Result<Vec<Self::Key>, StoreError> {
        projection::orders(tx, tenant, self, after, limit).await
    }
}

impl List for ShipmentFilter {
    type Record = Shipment;
    type Key = (i64, Uuid);
    const START: (i64, Uuid) = LAST;

    async fn keys(&self, tx: &mut Tx, tenant: i64, after: Self::Key, limit: i64) -> Result<Vec<Self::Key>, StoreError> {
        projection::shipments(tx, tenant, self, after, limit).await
    }
}

impl List for WaveFilter {
    type Record = Wave;
    type Key = (i64, Uuid);
    const START: (i64, Uuid) = LAST;

    async fn keys(&self, tx: &mut Tx, tenant: i64, after: Self::Key, limit: i64) -> Result<Vec<Self::Key>, StoreError> {
        projection::waves(tx, tenant, self, after, limit).await
    }
}

impl List for TripFilter {
    type Record = Trip;
    type Key = (i64, Uuid);
    const START: (i64, Uuid) = FIRST;

    async fn keys(&self, tx: &mut Tx, tenant: i64, after: Self::Key, limit: i64) -> Result<Vec<Self::Key>, StoreError> {
        projection::trips(tx, tenant, self, after, limit).await
    }
}

impl List for GoodsReturnFilter {
    type Record = GoodsReturn;
    type Key = (i64, Uuid);
    const START: (i64, Uuid) = FIRST;

    async fn keys(&self, tx: &mut Tx, tenant: i64, after: Self::Key, limit: i64) -> Result<Vec<Self::Key>, StoreError> {
        projection::goods_returns(tx, tenant, self, after, limit).await
    }
}

/// What was brought from warehouse to warehouse.
#[derive(Debug)]
pub struct Transfers(StockFilter);

impl List for Transfers {
    type Record = StockTransfer;
    type Key = (i64, Uuid);
    const START: (i64, Uuid) = LAST;

    async fn keys(&self, tx: &mut Tx, tenant: i64, after: Self::Key, limit: i64) -> Result<Vec<Self::Key>, StoreError> {
        projection::stock_transfers(tx, tenant, &self.0, after, limit).await
    }
}

/// What was counted in warehouses.
#[derive(Debug)]
pub struct Counts(StockFilter);

impl List for Counts {
    type Record = StockCount;
    type Key = (i64, Uuid);
    const START: (i64, Uuid) = LAST;

    async fn keys(&self, tx: &mut Tx, tenant: i64, after: Self::Key, limit: i64) -> Result<Vec<Self::Key>, StoreError> {
        projection::stock_counts(tx, tenant, &self.0, after, limit).await
    }
}

/// All open change requests.
#[derive(Debug)]
pub struct OpenChangeRequests;

impl List for OpenChangeRequests {
    type Record = ChangeRequest;
    type Key = (i64, Uuid);
    const START: (i64, Uuid) = FIRST;

    async fn keys(&self, tx: &mut Tx, tenant: i64, after: Self::Key, limit: i64) -> Result<Vec<Self::Key>, StoreError> {
        projection::change_requests(tx, tenant, after, limit).await
    }
}

/// All vehicles.
#[derive(Debug)]
pub struct AllVehicles;

impl List for AllVehicles {
    type Record = Vehicle;
    type Key = Uuid;
    const START: Uuid = Uuid::nil();

    async fn keys(&self, tx: &mut Tx, tenant: i64, after: Uuid, limit: i64) -> Result<Vec<Uuid>, StoreError> {
        projection::vehicles(tx, tenant, after, limit).await
    }
}

/// A page of orders.
///
/// # Errors
/// INVALID_ARGUMENT with all that is wrong.
pub fn orders(request: &proto::ListOrdersRequest) -> Result<Page<OrderFilter>, Status> {
    let mut fields = Fields::default();
    let list = OrderFilter {
        status: fields.optional_choice("status", request.status),
        through_delivery_day: fields
            .optional_day("through_delivery_day", request.through_delivery_day)
            .unwrap_or(i64::MAX),
        warehouse: fields.optional_id("warehouse_id", &request.warehouse_id),
        outlet: fields.optional_id("outlet_id", &request.outlet_id),
        customer: fields.optional_id("customer_id", &request.customer_id),
        to_ship: request.to_ship,
    };
    let asked = proto::ListOrdersRequest { page_size: 0, page_token: String::new(), ..request.clone() };
    let filter = Filter::of("orders", &[&asked.encode_to_vec()]);
    Page::of(fields, list, filter, (&request.page_token, request.page_size))
}

/// A page of shipments.
///
/// # Errors
/// INVALID_ARGUMENT with all that is wrong.
pub fn shipments(request: &proto::ListShipmentsRequest) -> Result<Page<ShipmentFilter>, Status> {
    let mut fields = Fields::default();
    let list = ShipmentFilter {
        state: fields.optional_choice("state", request.state),
        warehouse: fields.optional_id("warehouse_id", &request.warehouse_id),
        outlet: fields.optional_id("outlet_id", &request.outlet_id),
        order: fields.optional_id("order_id", &request.order_id),
        wave: fields.optional_id("wave_id", &request.wave_id),
        trip: fields.optional_id("trip_id", &request.trip_id),
        without_trip: request.without_trip,
    };
    if list.without_trip && list.trip.is_some() {
        fields.wrong("without_trip", Reason::Mismatch, "contradicts trip_id");
    }
    let asked = proto::ListShipmentsRequest { page_size: 0, page_token: String::new(), ..request.clone() };
    let filter = Filter::of("shipments", &[&asked.encode_to_vec()]);
    Page::of(fields, list, filter, (&request.page_token, request.page_size))
}

/// A page of waves.
///
/// # Errors
/// INVALID_ARGUMENT with all that is wrong.
pub fn waves(request: &proto::ListWavesRequest) -> Result<Page<WaveFilter>, Status> {
    let mut fields = Fields::default();
    let list = WaveFilter {
        state: fields.optional_choice("state", request.state),
        warehouse: fields.optional_id("warehouse_id", &request.warehouse_id),
    };
    let asked = proto::ListWavesRequest { page_size: 0, page_token: String::new(), ..request.clone() };
    let filter = Filter::of("waves", &[&asked.encode_to_vec()]);
    Page::of(fields, list, filter, (&request.page_token, request.page_size))
}

/// A page of trips.
///
/// # Errors
/// INVALID_ARGUMENT with all that is wrong.
pub fn trips(request: &proto::ListTripsRequest) -> Result<Page<TripFilter>, Status> {
    let mut fields = Fields::default();
    let list = TripFilter {
        state: fields.optional_choice("state", request.state),
        driver: fields.optional_id("driver_id", &request.driver_id).unwrap_or_default(),
        from_day: fields.optional_day("from_day", request.from_day).unwrap_or(i64::MIN),
        through_day: fields.optional_day("through_day", request.through_day).unwrap_or(i64::MAX),
    };
    let asked = proto::ListTripsRequest { page_size: 0, page_token: String::new(), ..request.clone() };
    let filter = Filter::of("trips", &[&asked.encode_to_vec()]);
    Page::of(fields, list, filter, (&request.page_token, request.page_size))
}

/// A page of returns of goods.
///
/// # Errors
/// INVALID_ARGUMENT with all that is wrong.
pub fn goods_returns(request: &proto::ListGoodsReturnsRequest) -> Result<Page<GoodsReturnFilter>, Status> {
    let mut fields = Fields::default();
    let list = GoodsReturnFilter {
        state: fields.optional_choice("state", request.state),
        warehouse: fields.optional_id("warehouse_id", &request.warehouse_id),
        outlet: fields.optional_id("outlet_id", &request.outlet_id),
        customer: fields.optional_id("customer_id", &request.customer_id),
        shipment: fields.optional_id("shipment_id", &request.shipment_id),
        moments: fields.moments(request.from_day, request.through_day, &request.time_zone),
    };
    let asked = proto::ListGoodsReturnsRequest { page_size: 0, page_token: String::new(), ..request.clone() };
    let filter = Filter::of("goods_returns", &[&asked.encode_to_vec()]);
    Page::of(fields, list, filter, (&request.page_token, request.page_size))
}

/// A page of transfers.
///
/// # Errors
/// INVALID_ARGUMENT with all that is wrong.
pub fn stock_transfers(request: &proto::ListStockTransfersRequest) -> Result<Page<Transfers>, Status> {
    let mut fields = Fields::default();
    let list = Transfers(StockFilter {
        warehouse: fields.optional_id("warehouse_id", &request.warehouse_id),
        moments: fields.moments(request.from_day, request.through_day, &request.time_zone),
    });
    let asked = proto::ListStockTransfersRequest { page_size: 0, page_token: String::new(), ..request.clone() };
    let filter = Filter::of("stock_transfers", &[&asked.encode_to_vec()]);
    Page::of(fields, list, filter, (&request.page_token, request.page_size))
}

/// A page of counts.
///
/// # Errors
/// INVALID_ARGUMENT with all that is wrong.
pub fn stock_counts(request: &proto::ListStockCountsRequest) -> Result<Page<Counts>, Status> {
    let mut fields = Fields::default();
    let list = Counts(StockFilter {
        warehouse: fields.optional_id("warehouse_id", &request.warehouse_id),
        moments: fields.moments(request.from_day, request.through_day, &request.time_zone),
    });
    let asked = proto::ListStockCountsRequest { page_size: 0, page_token: String::new(), ..request.clone() };
    let filter = Filter::of("stock_counts", &[&asked.encode_to_vec()]);
    Page::of(fields, list, filter, (&request.page_token, request.page_size))
}

/// A page of the open change requests.
///
/// # Errors
/// INVALID_ARGUMENT with all that is wrong.
pub fn change_requests(request: &proto::ListChangeRequestsRequest) -> Result<Page<OpenChangeRequests>, Status> {
    let filter = Filter::of("change_requests", &[]);
    Page::of(Fields::default(), OpenChangeRequests, filter, (&request.page_token, request.page_size))
}

/// A page of vehicles.
///
/// # Errors
/// INVALID_ARGUMENT with all that is wrong.
pub fn vehicles(request: &proto::ListVehiclesRequest) -> Result<Page<AllVehicles>, Status> {
    let filter = Filter::of("vehicles", &[]);
    Page::of(Fields::default(), AllVehicles, filter, (&request.page_token, request.page_size))
}

/// An order, as it is listed.
#[must_use]
pub fn listed_order((id, order): (Uuid, Order)) -> proto::ListedOrder {
    proto::ListedOrder { order_id: id.as_bytes().to_vec(), order: Some(order) }
}

/// A shipment, as it is listed.
#[must_use]
pub fn listed_shipment((id, shipment): (Uuid, Shipment)) -> proto::ListedShipment {
    proto::ListedShipment { shipment_id: id.as_bytes().to_vec(), shipment: Some(shipment) }
}

/// A wave, as it is listed.
#[must_use]
pub fn listed_wave((id, wave): (Uuid, Wave)) -> proto::ListedWave {
    proto::ListedWave { wave_id: id.as_bytes().to_vec(), wave: Some(wave) }
}

/// A trip, as it is listed.
#[must_use]
pub fn listed_trip((id, trip): (Uuid, Trip)) -> proto::ListedTrip {
    proto::ListedTrip { trip_id: id.as_bytes().to_vec(), trip: Some(trip) }
}

/// A change request, as it is listed.
#[must_use]
pub fn listed_change_request((id, request): (Uuid, ChangeRequest)) -> proto::ListedChangeRequest {
    proto::ListedChangeRequest { change_request_id: id.as_bytes().to_vec(), change_request: Some(request) }
}

/// A return of goods, as it is listed.
#[must_use]
pub fn listed_goods_return((id, goods_return): (Uuid, GoodsReturn)) -> proto::ListedGoodsReturn {
    proto::ListedGoodsReturn { return_id: id.as_bytes().to_vec(), goods_return: Some(goods_return) }
}

/// A transfer, as it is listed.
#[must_use]
pub fn listed_stock_transfer((id, transfer): (Uuid, StockTransfer)) -> proto::ListedStockTransfer {
    proto::ListedStockTransfer { transfer_id: id.as_bytes().to_vec(), stock_transfer: Some(transfer) }
}

/// A count, as it is listed.
#[must_use]
pub fn listed_stock_count((id, count): (Uuid, StockCount)) -> proto::ListedStockCount {
    proto::ListedStockCount { count_id: id.as_bytes().to_vec(), stock_count: Some(count) }
}

/// A vehicle, as it is listed.
#[must_use]
pub fn listed_vehicle((id, vehicle): (Uuid, Vehicle)) -> proto::ListedVehicle {
    proto::ListedVehicle { vehicle_id: id.as_bytes().to_vec(), vehicle: Some(vehicle) }
}
