//! The projections one by one: per table, which kind of record fills it, and what stands in which column.
//!
//! A column stands here once, with its type and its value, so that the three can't drift apart. What a document holds
//! was decided long before: a value that is not as it should be becomes NULL or is left out, and never keeps a batch
//! from being written.

use bytes::Bytes;
use prost::{DecodeError, Message as _};
use roundsman_proto::trade::change_request::Wish;
use roundsman_proto::trade::{
    CashHandIn, Chain, ChangeRequest, ClaimCause, Contract, GoodsReturn, Order, Outlet, Payment, Product, Receivable,
    Reclamation, Rep, Shipment, StockCount, StockTransfer, SurveyResponse, Trip, Vehicle, Visit, Wave,
};
use roundsman_sync::kind::{Kind, Record as _};
use roundsman_sync::trade::order::fulfil;
use roundsman_sync::trade::{delivery, goods_return};
use uuid::Uuid;

use crate::store::sql::{Cell, Column, Table};

/// The rows of one record: one row, or one for each of its lines.
type RowsOf = fn(tenant: i64, record: Uuid, document: Bytes) -> Result<Vec<Vec<Cell>>, DecodeError>;

/// A table that is filled from records of one kind.
#[derive(Debug)]
pub(super) struct Projection {
    /// The kind of the records.
    pub kind: Kind,
    /// The table; its columns begin with the tenant and the record.
    pub table: Table,
    /// The rows of a live record, in the order of the table's key.
    pub rows: RowsOf,
    /// Takes all rows of the records `$2` of tenant `$1` away.
    pub delete: &'static str,
    /// Takes all rows of the records after `$2` and up to `$3` of tenant `$1` away.
    pub delete_range: &'static str,
    /// Reads what `delete_range` would take, all columns, in the order of the key.
    pub select_range: &'static str,
}

/// Declares a projection: `NAME: "table" (key) of Message(variable) { column: Type = value, … }` has a row for each
/// record, `… each line of lines { … }` a row for each of its lines.
macro_rules! projection {
    (
        $(#[$doc:meta])*
        $name:ident: $table:literal ($key:ident) of $message:ident($document:ident)
        { $($column:ident: $type:ident = $value:expr),+ $(,)? }
    ) => {
        projection! { @static
            [$(#[$doc])*] $name $table $message "" [($key Id) $(($column $type))+] [$(($column))+]
            |tenant, $key, document| {
                let $document = $message::decode(document)?;
                Ok(vec![vec![Cell::from(tenant), Cell::from($key), $(Cell::from($value)),+]])
            }
        }
    };
    (
        $(#[$doc:meta])*
        $name:ident: $table:literal ($key:ident) of $message:ident($document:ident), each $line:ident of $lines:ident
        { $($column:ident: $type:ident = $value:expr),+ $(,)? }
    ) => {
        projection! { @static
            [$(#[$doc])*] $name $table $message ", line_number"
            [($key Id) (line_number Int) $(($column $type))+] [$(($column))+]
            |tenant, $key, document| {
                let document = $message::decode(document)?;
                let $document = &document;
                let rows = (1_i64..).zip(&$document.$lines).map(|(number, $line)| {
                    vec![Cell::from(tenant), Cell::from($key), Cell::from(number), $(Cell::from($value)),+]
                });
                Ok(rows.collect())
            }
        }
    };
    (@static
        [$(#[$doc:meta])*] $name:ident $table:literal $message:ident $rest_of_key:literal
        [($key:ident $key_type:ident) $(($stored:ident $stored_type:ident))+]
        [($first:ident) $(($other:ident))*]
        $rows:expr
    ) => {
        $(#[$doc])*
        static $name: Projection = Projection {
            kind: $message::KIND,
            table: Table {
                name: $table,
                columns: &[
                    ("tenant", Column::Int),
                    (stringify!($key), Column::$key_type),
                    $((stringify!($stored), Column::$stored_type)),+
                ],
                conflict: concat!(
                    "ON CONFLICT (tenant, ", stringify!($key), $rest_of_key, ") DO UPDATE SET ",
                    stringify!($first), " = excluded.", stringify!($first)
                    $(, ", ", stringify!($other), " = excluded.", stringify!($other))*
                ),
            },
            rows: $rows,
            delete: concat!("DELETE FROM BY_UUIDS(", $table, ".", stringify!($key), ", $2)"),
            delete_range: concat!(
                "DELETE FROM ", $table, " WHERE tenant = $1 AND ",
                stringify!($key), " > $2 AND ", stringify!($key), " <= $3"
            ),
            select_range: concat!(
                "SELECT tenant, ", stringify!($key), $(", ", stringify!($stored)),+, " FROM ", $table,
                " WHERE tenant = $1 AND ", stringify!($key), " > $2 AND ", stringify!($key), " <= $3",
                " ORDER BY ", stringify!($key), $rest_of_key
            ),
        };
    };
}

/// All of them.
pub(super) static PROJECTIONS: [&Projection; 26] = [
    &SALES_ORDER,
    &SALES_ORDER_LINE,
    &VISIT,
    &SHIPMENT,
    &SHIPMENT_LINE,
    &WAVE,
    &VEHICLE,
    &TRIP,
    &TRIP_GOODS,
    &PAYMENT,
    &PAYMENT_ALLOCATION,
    &CASH_HAND_IN,
    &RECEIVABLE,
    &CONTRACT,
    &RECLAMATION,
    &RECLAMATION_LINE,
    &CHANGE_REQUEST,
    &GOODS_RETURN,
    &STOCK_TRANSFER,
    &STOCK_COUNT,
    &SURVEY_RESPONSE,
    &OUTLET,
    &CHAIN,
    &CLAIM_CAUSE,
    &PRODUCT,
    &REP,
];

projection! {
    /// Orders. Drafts are never here: they exist on devices only.
    SALES_ORDER: "sales_order" (id) of Order(order) {
        outlet: Id = reference(&order.outlet_id),
        customer: Id = reference(&order.customer_id),
        agreement: Id = reference(&order.agreement_id),
        rep: Id = reference(&order.rep_id),
        visit: Id = reference(&order.visit_id),
        order_day: Int = i64::from(order.order_day),
        delivery_day: Int = i64::from(delivery::due_day(&order)),
        currency: Text = text(&order.currency),
        comment: Text = text(&order.comment),
        status: Int = i64::from(order.status),
        fulfilment: Int = i64::from(order.fulfilment),
        exchange: Int = i64::from(order.exchange),
        open_holds: Int = bits(order.holds.iter().filter(|hold| hold.released_at_us == 0).map(|hold| hold.reason)),
        value_minor: Int = order.value_minor,
        ordered_value_minor: Int = order.ordered_value_minor,
        submitted_at: Int = order.submitted_at_us,
        status_reason: Text = text(&order.status_reason),
        broken_promises: Int = i64::from(order.broken_promises),
        shipment: Id = reference(&order.shipment_id),
        booked: Int = i64::from(order.booked),
        contract: Id = reference(&order.contract_id),
        warehouse: Id = reference(&order.warehouse_id),
        to_ship: Int = i64::from(fulfil::is_to_ship(&order)),
    }
}

projection! {
    /// Their lines.
    SALES_ORDER_LINE: "sales_order_line" (sales_order) of Order(order), each line of lines {
        line: Id = reference(&line.line_id),
        product: Id = reference(&line.product_id),
        packaging_code: Text = text(&line.packaging_code),
        coefficient_milli: Int = line.coefficient_milli,
        ordered_milli: Int = line.ordered_milli,
        confirmed_milli: Int = line.confirmed_milli,
        shipped_milli: Int = line.shipped_milli,
        delivered_milli: Int = line.delivered_milli,
        refused_milli: Int = line.refused_milli,
        price: Id = reference(&line.price_id),
        price_version: Int = line.price_version,
        shown_price_minor: Int = line.shown_price_minor,
        price_minor: Int = line.price_minor,
        discount_bp: Int = i64::from(line.discount_bp),
        vat_bp: Int = i64::from(line.vat_bp),
        amount_minor: Int = line.amount_minor,
        vat_minor: Int = line.vat_minor,
        difference: Int = i64::from(line.difference),
        substitutes_line: Id = reference(&line.substitutes_line_id),
    }
}

projection! {
    /// Visits, planned and made.
    VISIT: "visit" (id) of Visit(visit) {
        outlet: Id = reference(&visit.outlet_id),
        rep: Id = reference(&visit.rep_id),
        visit_day: Int = i64::from(visit.day),
        state: Int = i64::from(visit.state),
        planned: Int = i64::from(visit.planned),
        route: Id = reference(&visit.route_id),
        route_sequence: Int = i64::from(visit.sequence),
        window_from_s: Int = i64::from(visit.window_from_s),
        window_to_s: Int = i64::from(visit.window_to_s),
        productive: Int = i64::from(visit.productive),
        unproductive_reason: Int = i64::from(visit.unproductive_reason),
        comment: Text = text(&visit.comment),
        rescheduled_to_day: Int = i64::from(visit.rescheduled_to_day),
        checked_in_at: Int = visit.checked_in_at_us,
        checked_out_at: Int = visit.checked_out_at_us,
        check_in_latitude_e7: Int = visit.check_in_point.map(|point| i64::from(point.latitude_e7)),
        check_in_longitude_e7: Int = visit.check_in_point.map(|point| i64::from(point.longitude_e7)),
        distance_m: Int = visit.distance_m.map(i64::from),
        flags: Int = bits(visit.flags.iter().copied()),
    }
}

projection! {
    /// Shipments.
    SHIPMENT: "shipment" (id) of Shipment(shipment) {
        sales_order: Id = reference(&shipment.order_id),
        outlet: Id = reference(&shipment.outlet_id),
        warehouse: Id = reference(&shipment.warehouse_id),
        state: Int = i64::from(shipment.state),
        shipped_at: Int = shipment.shipped_at_us,
        delivered_at: Int = shipment.delivered_at_us,
        received_by: Text = shipment.proof.as_ref().map_or_else(String::new, |proof| text(&proof.received_by)),
        reclamation: Id = reference(&shipment.reclamation_id),
        comment: Text = text(&shipment.comment),
        wave: Id = reference(&shipment.wave_id),
        trip: Id = reference(&shipment.trip_id),
        prepared_at: Int = shipment.prepared_at_us,
    }
}

projection! {
    /// Orders that are picked together.
    WAVE: "wave" (id) of Wave(wave) {
        name: Text = text(&wave.name),
        warehouse: Id = reference(&wave.warehouse_id),
        state: Int = i64::from(wave.state),
        orders: Int = i64::try_from(wave.order_ids.len()).unwrap_or(i64::MAX),
        departure_at: Int = wave.departure_at_us,
        started_at: Int = wave.started_at_us,
        allocated_at: Int = wave.allocated_at_us,
    }
}

projection! {
    /// Vehicles.
    VEHICLE: "vehicle" (id) of Vehicle(vehicle) {
        name: Text = text(&vehicle.name),
        plate: Text = text(&vehicle.plate),
        warehouse: Id = reference(&vehicle.warehouse_id),
        max_weight_g: Int = vehicle.max_weight_g,
        max_volume_cm3: Int = vehicle.max_volume_cm3,
        out_of_use: Int = i64::from(vehicle.out_of_use),
    }
}

projection! {
    /// Trips.
    TRIP: "trip" (id) of Trip(trip) {
        trip_day: Int = i64::from(trip.day),
        state: Int = i64::from(trip.state),
        vehicle: Id = reference(&trip.vehicle_id),
        driver: Id = reference(&trip.driver_id),
        warehouse: Id = reference(&trip.warehouse_id),
        stops: Int = i64::try_from(trip.stops.len()).unwrap_or(i64::MAX),
        weight_g: Int = trip.weight_g,
        volume_cm3: Int = trip.volume_cm3,
        departure_at: Int = trip.departure_at_us,
        departed_at: Int = trip.departed_at_us,
        closed_at: Int = trip.closed_at_us,
    }
}

projection! {
    /// What became of their goods.
    TRIP_GOODS: "trip_goods" (trip) of Trip(closed), each of of goods {
        product: Id = reference(&of.product_id),
        shipped_milli: Int = of.shipped_milli,
        delivered_milli: Int = of.delivered_milli,
        refused_milli: Int = of.refused_milli,
        missing_milli: Int = of.missing_milli,
        not_attempted_milli: Int = of.not_attempted_milli,
        sellable_milli: Int = of.sellable_milli,
        unsellable_milli: Int = of.unsellable_milli,
    }
}

projection! {
    /// Their lines.
    SHIPMENT_LINE: "shipment_line" (shipment) of Shipment(goods), each line of lines {
        line: Id = reference(&line.line_id),
        product: Id = reference(&line.product_id),
        ordered_milli: Int = line.ordered_milli,
        picked_milli: Int = line.picked_milli,
        short_reason: Int = i64::from(line.short_reason),
        loaded_milli: Int = line.loaded_milli,
        delivered_milli: Int = line.delivered_milli,
        refused_milli: Int = line.refused_milli,
        refusal_reason: Int = i64::from(line.refusal_reason),
        sales_order: Id = reference(fulfil::order_of(goods, line)),
    }
}

projection! {
    /// Money that reps collected.
    PAYMENT: "payment" (id) of Payment(payment) {
        outlet: Id = reference(&payment.outlet_id),
        customer: Id = reference(&payment.customer_id),
        rep: Id = reference(&payment.rep_id),
        sales_order: Id = reference(&payment.order_id),
        amount_minor: Int = payment.amount_minor,
        currency: Text = text(&payment.currency),
        payment_method: Int = i64::from(payment.method),
        receipt_number: Text = text(&payment.receipt_number),
        taken_at: Int = payment.taken_at_us,
        advance_minor: Int = payment.advance_minor,
        booked: Int = i64::from(payment.booked),
        flags: Int = bits(payment.flags.iter().copied()),
        contract: Id = reference(&payment.contract_id),
    }
}

projection! {
    /// Which documents they pay.
    PAYMENT_ALLOCATION: "payment_allocation" (payment) of Payment(money), each part of allocations {
        document_number: Text = text(&part.document_number),
        sales_order: Id = reference(&part.order_id),
        due_day: Int = i64::from(part.due_day),
        amount_minor: Int = part.amount_minor,
    }
}

projection! {
    /// Cash and cheques that reps handed in.
    CASH_HAND_IN: "cash_hand_in" (id) of CashHandIn(hand_in) {
        rep: Id = reference(&hand_in.rep_id),
        team: Id = reference(&hand_in.team_id),
        currency: Text = text(&hand_in.currency),
        business_day: Int = i64::from(hand_in.day),
        state: Int = i64::from(hand_in.state),
        expected_minor: Int = hand_in.expected_minor,
        counted_minor: Int = hand_in.counted_minor,
        difference_minor: Int = hand_in.difference_minor,
        payments: Int = i64::try_from(hand_in.payment_ids.len()).unwrap_or(i64::MAX),
        note: Text = text(&hand_in.note),
        handed_in_at: Int = hand_in.handed_in_at_us,
        confirmed_minor: Int = hand_in.confirmed_minor,
        office_difference_minor: Int = hand_in.office_difference_minor,
        office_note: Text = text(&hand_in.office_note),
        confirmed_at: Int = hand_in.confirmed_at_us,
        confirmed_by: Id = reference(&hand_in.confirmed_by_id),
    }
}

projection! {
    /// What customers owe.
    RECEIVABLE: "receivable" (id) of Receivable(receivable) {
        customer: Id = reference(&receivable.customer_id),
        currency: Text = text(&receivable.currency),
        debt_minor: Int = receivable.debt_minor,
        overdue_minor: Int = receivable.overdue_minor,
        as_of: Int = receivable.as_of_us,
        contract: Id = reference(&receivable.contract_id),
    }
}

projection! {
    /// Contracts with customers.
    CONTRACT: "contract" (id) of Contract(contract) {
        contract_number: Text = text(&contract.number),
        customer: Id = reference(&contract.customer_id),
        currency: Text = text(&contract.currency),
        valid_from_day: Int = i64::from(contract.valid_from_day),
        valid_to_day: Int = i64::from(contract.valid_to_day),
        credit_limit_minor: Int = contract.credit_limit_minor,
        overdue_ban: Int = i64::from(contract.overdue_ban),
        successor: Id = reference(&contract.successor_id),
        closed: Int = i64::from(contract.closed),
    }
}

projection! {
    /// Complaints.
    RECLAMATION: "reclamation" (id) of Reclamation(reclamation) {
        outlet: Id = reference(&reclamation.outlet_id),
        customer: Id = reference(&reclamation.customer_id),
        rep: Id = reference(&reclamation.rep_id),
        sales_order: Id = reference(&reclamation.order_id),
        shipment: Id = reference(&reclamation.shipment_id),
        cause: Int = i64::from(reclamation.cause),
        state: Int = i64::from(reclamation.state),
        complaint: Text = text(&reclamation.text),
        needs_review: Int = i64::from(!reclamation.review_reasons.is_empty()),
        filed_at: Int = reclamation.filed_at_us,
        case_reclamation: Id = reference(&reclamation.case_reclamation_id),
        flags: Int = bits(reclamation.flags.iter().copied()),
        department: Text = text(&reclamation.department),
        stage_since: Int = if reclamation.stage_since_us == 0 { reclamation.filed_at_us } else { reclamation.stage_since_us },
        accepted_minor: Int = reclamation.decision.as_ref().map_or(0, |decision| decision.accepted_minor),
        currency: Text = reclamation.decision.as_ref().map_or(text(""), |decision| text(&decision.currency)),
        settlement: Int = reclamation.settlement.as_ref().map_or(0, |settlement| i64::from(settlement.kind)),
        settled_minor: Int = reclamation.settlement.as_ref().map_or(0, |settlement| settlement.amount_minor),
        claim_cause: Id = reference(&reclamation.cause_id),
        due_day: Int = i64::from(reclamation.due_day),
        due_at: Int = reclamation.due_at_us,
        escalates_at: Int = reclamation.escalates_at_us,
        escalation_level: Int = i64::from(reclamation.escalation_level),
        escalated_at: Int = reclamation.escalated_at_us,
    }
}

projection! {
    /// What complaints are about.
    RECLAMATION_LINE: "reclamation_line" (reclamation) of Reclamation(claim), each line of lines {
        line: Id = reference(&line.line_id),
        product: Id = reference(&line.product_id),
        shipment_line: Id = reference(&line.shipment_line_id),
        claimed_milli: Int = line.claimed_milli,
        accepted_milli: Int = line.accepted_milli,
        accepted_minor: Int = line.accepted_minor,
    }
}

projection! {
    /// What is wanted of orders that the warehouse has.
    CHANGE_REQUEST: "change_request" (id) of ChangeRequest(request) {
        sales_order: Id = reference(&request.order_id),
        outlet: Id = reference(&request.outlet_id),
        asked_by: Id = reference(&request.asked_by_id),
        asked_at: Int = request.asked_at_us,
        cancels: Int = i64::from(matches!(request.wish, Some(Wish::Cancellation(_)))),
        state: Int = i64::from(request.state),
        answered_by: Id = reference(&request.answered_by_id),
        answered_at: Int = request.answered_at_us,
    }
}

projection! {
    /// Goods that come back.
    GOODS_RETURN: "goods_return" (id) of GoodsReturn(back) {
        shipment: Id = reference(&back.shipment_id),
        outlet: Id = reference(&back.outlet_id),
        customer: Id = reference(&back.customer_id),
        contract: Id = reference(&back.contract_id),
        currency: Text = text(&back.currency),
        origin: Int = i64::from(back.origin),
        state: Int = i64::from(back.state),
        reclamation: Id = reference(&back.reclamation_id),
        warehouse: Id = reference(&back.warehouse_id),
        value_minor: Int = back.value_minor,
        booked: Int = i64::from(back.booked),
        announced_at: Int = back.announced_at_us,
        received_at: Int = back.received_at_us,
        reported_at: Int = goods_return::reported_at_us(&back),
        received_by: Id = reference(&back.received_by_id),
        comment: Text = text(&back.comment),
    }
}

projection! {
    /// Goods that were brought from warehouse to warehouse.
    STOCK_TRANSFER: "stock_transfer" (id) of StockTransfer(transfer) {
        from_warehouse: Id = reference(&transfer.from_warehouse_id),
        to_warehouse: Id = reference(&transfer.to_warehouse_id),
        moved_at: Int = transfer.moved_at_us,
        moved_by: Id = reference(&transfer.moved_by_id),
        comment: Text = text(&transfer.comment),
    }
}

projection! {
    /// What was counted in warehouses.
    STOCK_COUNT: "stock_count" (id) of StockCount(count) {
        warehouse: Id = reference(&count.warehouse_id),
        rep: Id = reference(&count.rep_id),
        counted_at: Int = count.counted_at_us,
        counted_by: Id = reference(&count.counted_by_id),
        comment: Text = text(&count.comment),
    }
}

projection! {
    /// Filled-in questionnaires.
    SURVEY_RESPONSE: "survey_response" (id) of SurveyResponse(response) {
        survey: Id = reference(&response.survey_id),
        survey_version: Int = response.survey_version,
        outlet: Id = reference(&response.outlet_id),
        visit: Id = reference(&response.visit_id),
        rep: Id = reference(&response.rep_id),
        answered_at: Int = response.answered_at_us,
        flags: Int = bits(response.flags.iter().copied()),
    }
}

projection! {
    /// The places that reps visit.
    OUTLET: "outlet" (id) of Outlet(outlet) {
        name: Text = text(&outlet.name),
        address: Text = text(&outlet.address),
        latitude_e7: Int = outlet.point.map(|point| i64::from(point.latitude_e7)),
        longitude_e7: Int = outlet.point.map(|point| i64::from(point.longitude_e7)),
        visit_radius_m: Int = i64::from(outlet.visit_radius_m),
        outlet_class: Int = i64::from(outlet.outlet_class),
        status: Int = i64::from(outlet.status),
        territory: Id = reference(&outlet.territory_id),
        customer: Id = reference(&outlet.customer_id),
        chain: Id = reference(&outlet.chain_id),
        blocked: Int = i64::from(outlet.blocked),
        blocked_reason: Text = text(&outlet.blocked_reason),
        tax_id: Text = text(&outlet.tax_id),
        comment: Text = text(&outlet.comment),
    }
}

projection! {
    /// Chains of outlets, and their branches.
    CHAIN: "chain" (id) of Chain(chain) {
        name: Text = text(&chain.name),
        parent: Id = reference(&chain.parent_id),
    }
}

projection! {
    /// Causes of complaints, and groups of causes.
    CLAIM_CAUSE: "claim_cause" (id) of ClaimCause(cause) {
        name: Text = text(&cause.name),
        parent: Id = reference(&cause.parent_id),
        cause: Int = i64::from(cause.cause),
        withdrawn_from_day: Int = i64::from(cause.withdrawn_from_day),
    }
}

projection! {
    /// What is sold.
    PRODUCT: "product" (id) of Product(product) {
        name: Text = text(&product.name),
        code: Text = text(&product.code),
        supplier: Text = text(&product.supplier),
        withdrawn: Int = i64::from(product.withdrawn),
    }
}

projection! {
    /// Sales representatives.
    REP: "rep" (id) of Rep(rep) {
        name: Text = text(&rep.name),
        team: Id = reference(&rep.team_id),
        user_id: Id = reference(&rep.user_id),
        status: Int = i64::from(rep.status),
    }
}

/// An id of a document; NULL where there is none.
fn reference(id: &[u8]) -> Option<Uuid> {
    Uuid::from_slice(id).ok()
}

/// A text of a document. U+0000 is left out, since PostgreSQL can't store it.
fn text(text: &str) -> String {
    text.replace('\0', "")
}

/// A set of enum values as a sum of bits; what no 64-bit number has room for is left out.
fn bits(values: impl Iterator<Item = i32>) -> i64 {
    values.filter(|value| (0..63).contains(value)).fold(0, |bits, value| bits | 1 << value)
}

#[cfg(test)]
mod tests {
    use roundsman_proto::trade::{
        Hold, HoldReason, OrderLine, PaymentAllocation, ReclamationLine, ShipmentLine, TripGoods,
    };

    use super::*;

    #[test]
    fn every_cell_is_of_its_columns_type() {
        let order = Order { lines: vec![OrderLine::default(); 2], ..Order::default() }.encode_to_vec();
        let shipment = Shipment { lines: vec![ShipmentLine::default(); 2], ..Shipment::default() }.encode_to_vec();
        let allocations = vec![PaymentAllocation::default(); 2];
        let payment = Payment { allocations, ..Payment::default() }.encode_to_vec();
        let claim =
            Reclamation { lines: vec![ReclamationLine::default(); 2], ..Reclamation::default() }.encode_to_vec();
        let trip = Trip { goods: vec![TripGoods::default(); 2], ..Trip::default() }.encode_to_vec();
        for projection in PROJECTIONS {
            let document = match projection.table.name {
                "trip" | "trip_goods" => trip.clone(),
                "payment" | "payment_allocation" => payment.clone(),
                "sales_order" | "sales_order_line" => order.clone(),
                "shipment" | "shipment_line" => shipment.clone(),
                "reclamation" | "reclamation_line" => claim.clone(),
                _ => Vec::new(),
            };
            let rows = (projection.rows)(7, Uuid::from_u128(1), document.into()).expect("is read");
            let parts = ["payment_allocation", "trip_goods"];
            let of_parts = projection.table.name.ends_with("_line") || parts.contains(&projection.table.name);
            assert_eq!(rows.len(), if of_parts { 2 } else { 1 }, "{}", projection.table.name);
            for row in rows {
                assert_eq!(row.len(), projection.table.columns.len(), "{}", projection.table.name);
                for (cell, (column, expected)) in row.iter().zip(projection.table.columns) {
                    let found = match cell {
                        Cell::Int(_) => Column::Int,
                        Cell::Id(_) => Column::Id,
                        Cell::Text(_) => Column::Text,
                        Cell::Bytes(_) => Column::Bytes,
                    };
                    assert_eq!(found, *expected, "{}.{column}", projection.table.name);
                }
            }
        }
    }

    #[test]
    fn what_no_column_can_hold_keeps_nothing_from_being_written() {
        let hold = |reason: i32, released_at_us| Hold { reason, released_at_us, ..Hold::default() };
        let order = Order {
            outlet_id: vec![1, 2, 3],
            comment: "a\0b".to_owned(),
            holds: vec![
                hold(HoldReason::Price.into(), 0),
                hold(HoldReason::Stock.into(), 5),
                hold(HoldReason::CreditLimit.into(), 0),
                hold(1_000, 0),
                hold(-1, 0),
            ],
            ..Order::default()
        };
        let rows = (SALES_ORDER.rows)(7, Uuid::from_u128(1), order.encode_to_vec().into()).expect("is read");
        let cell = |name: &str| {
            let index = SALES_ORDER.table.columns.iter().position(|(column, _)| *column == name).expect("a column");
            rows[0][index].clone()
        };
        assert_eq!(cell("outlet"), Cell::Id(None));
        assert_eq!(cell("comment"), Cell::Text(Some("ab".to_owned())));
        assert_eq!(cell("open_holds"), Cell::Int(Some(0b1010)), "price and credit limit");
    }
}
