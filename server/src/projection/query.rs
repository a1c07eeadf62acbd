//! What the office asks of the projections: keys in the order of a list, to which the documents are read from the
//! records, and sums.

use roundsman_proto::trade::{ChangeRequestState, OrderStatus, ShipmentState, TripState, VisitState, WaveState};
use uuid::Uuid;

use crate::error::StoreError;
use crate::store::sql::Tx;

/// Which orders are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderFilter {
    /// Only with this status; `None`: with any.
    pub status: Option<OrderStatus>,
    /// Only those to be delivered on this day or before, in days since 1970-01-01.
    pub through_delivery_day: i64,
    /// Only those that this warehouse serves; `None`: any.
    pub warehouse: Option<Uuid>,
    /// Only those of this outlet; `None`: of all.
    pub outlet: Option<Uuid>,
    /// Only those of this customer; `None`: of all.
    pub customer: Option<Uuid>,
    /// Only those of which something can be put into a shipment.
    pub to_ship: bool,
}

// One thing that is asked for drives: its index is walked in the order of the list. SQLite is told by which, since it has no idea how
// many rows there are of each before statistics are gathered. What is asked for beside it is only compared.
macro_rules! orders_sql {
    ($index:literal $by:literal) => {
        concat!(
            "SELECT delivery_day, id FROM sales_order /* INDEXED BY ",
            $index,
            " */ WHERE tenant = $1 AND (delivery_day, id) > ($2, $3) AND delivery_day <= $4 AND (status = $6 OR $6 = 0) ",
            "AND (warehouse = $7 OR $7 = $11) AND (outlet = $8 OR $8 = $11) AND (customer = $9 OR $9 = $11) ",
            "AND to_ship >= $10",
            $by,
            " ORDER BY delivery_day, id LIMIT $5"
        )
    };
}

impl OrderFilter {
    /// Of what can be put into a shipment, only released orders have anything.
    fn status(&self) -> Option<OrderStatus> {
        self.status.or(self.to_ship.then_some(OrderStatus::Released))
    }

    /// The statement whose index has the fewest others: few orders are of one outlet, and few are open, but most of a warehouse are
    /// closed.
    fn sql(&self) -> &'static str {
        let is_closed = self.status() == Some(OrderStatus::Closed);
        if self.outlet.is_some() {
            orders_sql!("sales_order_by_outlet" " AND outlet = $8")
        } else if self.customer.is_some() {
            orders_sql!("sales_order_by_customer" " AND customer = $9")
        } else if self.warehouse.is_some() && (is_closed || self.status().is_none()) {
            orders_sql!("sales_order_by_warehouse" " AND warehouse = $7")
        } else if self.status().is_some() {
            orders_sql!("sales_order_by_status" " AND status = $6")
        } else {
            orders_sql!("sales_order_by_delivery" "")
        }
    }
}

/// The keys (delivery day and id) of the orders after `after`, in ascending order.
///
/// # Errors
/// When the database does not answer.
pub async fn orders(
    tx: &mut Tx,
    tenant: i64,
    filter: &OrderFilter,
    after: (i64, Uuid),
    limit: i64,
) -> Result<Vec<(i64, Uuid)>, StoreError> {
    tx.query_as(filter.sql())
        .bind(tenant)
        .bind(after.0)
        .bind(after.1)
        .bind(filter.through_delivery_day)
        .bind(limit)
        .bind(filter.status().map_or(0, |status| i64::from(status as i32)))
        .bind(filter.warehouse.unwrap_or_default())
        .bind(filter.outlet.unwrap_or_default())
        .bind(filter.customer.unwrap_or_default())
        .bind(i64::from(filter.to_ship))
        .bind(Uuid::nil())
        .all()
        .await
}

/// Which shipments are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShipmentFilter {
    /// Only in this state; `None`: in any.
    pub state: Option<ShipmentState>,
    /// Only those from this warehouse; `None`: from all.
    pub warehouse: Option<Uuid>,
    /// Only those to this outlet; `None`: to all.
    pub outlet: Option<Uuid>,
    /// Only those with goods of this order; `None`: of all.
    pub order: Option<Uuid>,
    /// Only those of this wave; `None`: of all.
    pub wave: Option<Uuid>,
    /// Only those of this trip; `None`: of all.
    pub trip: Option<Uuid>,
    /// Only those that are on no trip.
    pub without_trip: bool,
}

macro_rules! shipments_sql {
    ($index:literal $by:literal) => {
        concat!(
            "SELECT prepared_at, id FROM shipment ",
            $index,
            " WHERE tenant = $1 AND (prepared_at, id) < ($2, $3) AND (state = $5 OR $5 = 0) ",
            "AND (warehouse = $6 OR $6 = $10) AND (outlet = $7 OR $7 = $10) AND (wave = $8 OR $8 = $10) ",
            "AND (trip = $9 OR $9 = $10) AND (trip IS NULL OR $11 = 0)",
            $by,
            " ORDER BY prepared_at DESC, id DESC LIMIT $4"
        )
    };
}

impl ShipmentFilter {
    /// As with orders: most shipments of a warehouse are delivered.
    fn sql(&self) -> &'static str {
        let is_delivered = self.state == Some(ShipmentState::Delivered);
        if self.order.is_some() {
            shipments_sql!("" " AND id IN (SELECT shipment FROM shipment_line WHERE tenant = $1 AND sales_order = $12)")
        } else if self.trip.is_some() {
            shipments_sql!("/* INDEXED BY shipment_by_trip */" " AND trip = $9")
        } else if self.wave.is_some() {
            shipments_sql!("/* INDEXED BY shipment_by_wave */" " AND wave = $8")
        } else if self.outlet.is_some() {
            shipments_sql!("/* INDEXED BY shipment_by_outlet */" " AND outlet = $7")
        } else if self.warehouse.is_some() && (is_delivered || self.state.is_none()) {
            shipments_sql!("/* INDEXED BY shipment_by_warehouse */" " AND warehouse = $6")
        } else if self.state.is_some() {
            shipments_sql!("/* INDEXED BY shipment_by_state */" " AND state = $5")
        } else if self.without_trip {
            shipments_sql!("/* INDEXED BY shipment_without_trip */" " AND trip IS NULL")
        } else {
            shipments_sql!("/* INDEXED BY shipment_by_preparation */" "")
        }
    }
}

/// The keys (moment of preparation and id) of the shipments before `before`, in descending order.
///
/// # Errors
/// When the database does not answer.
pub async fn shipments(
    tx: &mut Tx,
    tenant: i64,
    filter: &ShipmentFilter,
    before: (i64, Uuid),
    limit: i64,
) -> Result<Vec<(i64, Uuid)>, StoreError> {
    let query = tx
        .query_as(filter.sql())
        .bind(tenant)
        .bind(before.0)
        .bind(before.1)
        .bind(limit)
        .bind(filter.state.map_or(0, |state| i64::from(state as i32)))
        .bind(filter.warehouse.unwrap_or_default())
        .bind(filter.outlet.unwrap_or_default())
        .bind(filter.wave.unwrap_or_default())
        .bind(filter.trip.unwrap_or_default())
        .bind(Uuid::nil())
        .bind(i64::from(filter.without_trip));
    match filter.order {
        None => query.all().await,
        Some(order) => query.bind(order).all().await,
    }
}

/// Which waves are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaveFilter {
    /// Only in this state; `None`: in any.
    pub state: Option<WaveState>,
    /// Only those of this warehouse; `None`: of all.
    pub warehouse: Option<Uuid>,
}

macro_rules! waves_sql {
    ($index:literal $by:literal) => {
        concat!(
            "SELECT started_at, id FROM wave /* INDEXED BY ",
            $index,
            " */ WHERE tenant = $1 AND (started_at, id) < ($2, $3) ",
            "AND (state = $5 OR $5 = 0) AND (warehouse = $6 OR $6 = $7)",
            $by,
            " ORDER BY started_at DESC, id DESC LIMIT $4"
        )
    };
}

impl WaveFilter {
    /// As with orders: most waves of a warehouse are allocated.
    fn sql(&self) -> &'static str {
        let is_allocating = self.state == Some(WaveState::Allocating);
        if self.warehouse.is_some() && !is_allocating {
            waves_sql!("wave_by_warehouse" " AND warehouse = $6")
        } else if self.state.is_some() {
            waves_sql!("wave_by_state" " AND state = $5")
        } else {
            waves_sql!("wave_by_start" "")
        }
    }
}

/// The keys (moment of start and id) of the waves before `before`, in descending order.
///
/// # Errors
/// When the database does not answer.
pub async fn waves(
    tx: &mut Tx,
    tenant: i64,
    filter: &WaveFilter,
    before: (i64, Uuid),
    limit: i64,
) -> Result<Vec<(i64, Uuid)>, StoreError> {
    tx.query_as(filter.sql())
        .bind(tenant)
        .bind(before.0)
        .bind(before.1)
        .bind(limit)
        .bind(filter.state.map_or(0, |state| i64::from(state as i32)))
        .bind(filter.warehouse.unwrap_or_default())
        .bind(Uuid::nil())
        .all()
        .await
}

/// Which trips are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TripFilter {
    /// Only in this state; `None`: in any.
    pub state: Option<TripState>,
    /// Only those of this driver; nil: of all.
    pub driver: Uuid,
    /// Only those from this day on, in days since 1970-01-01.
    pub from_day: i64,
    /// Only those of this day or before, in days since 1970-01-01.
    pub through_day: i64,
}

/// The keys (day and id) of the trips after `after`, in ascending order.
///
/// # Errors
/// When the database does not answer.
pub async fn trips(
    tx: &mut Tx,
    tenant: i64,
    filter: &TripFilter,
    after: (i64, Uuid),
    limit: i64,
) -> Result<Vec<(i64, Uuid)>, StoreError> {
    let state = filter.state.map(|state| i64::from(state as i32));
    tx.query_as(
        "SELECT trip_day, id FROM trip WHERE tenant = $1 AND (trip_day, id) > ($2, $3) AND trip_day >= $4 AND trip_day <= $5 \
         AND state >= $6 AND state <= $7 AND (driver = $8 OR $8 = $9) ORDER BY trip_day, id LIMIT $10",
    )
    .bind(tenant)
    .bind(after.0)
    .bind(after.1)
    .bind(filter.from_day)
    .bind(filter.through_day)
    .bind(state.unwrap_or(0))
    .bind(state.unwrap_or(i64::MAX))
    .bind(filter.driver)
    .bind(Uuid::nil())
    .bind(limit)
    .all()
    .await
}

/// The ids of the vehicles after `after`, in ascending order.
///
/// # Errors
/// When the database does not answer.
pub async fn vehicles(tx: &mut Tx, tenant: i64, after: Uuid, limit: i64) -> Result<Vec<Uuid>, StoreError> {
    let rows: Vec<(Uuid,)> = tx
        .query_as("SELECT id FROM vehicle WHERE tenant = $1 AND id > $2 ORDER BY id LIMIT $3")
        .bind(tenant)
        .bind(after)
        .bind(limit)
        .all()
        .await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// The keys (moment and id) of the open change requests after `after`, in ascending order.
///
/// # Errors
/// When the database does not answer.
pub async fn change_requests(
    tx: &mut Tx,
    tenant: i64,
    after: (i64, Uuid),
    limit: i64,
) -> Result<Vec<(i64, Uuid)>, StoreError> {
    tx.query_as(
        "SELECT asked_at, id FROM change_request WHERE tenant = $1 AND state = $5 AND (asked_at, id) > ($2, $3) \
         ORDER BY asked_at, id LIMIT $4",
    )
    .bind(tenant)
    .bind(after.0)
    .bind(after.1)
    .bind(limit)
    .bind(i64::from(ChangeRequestState::Open as i32))
    .all()
    .await
}

/// The ids of the last change requests of an order, the last one first.
///
/// # Errors
/// When the database does not answer.
pub async fn change_requests_of(tx: &mut Tx, tenant: i64, order: Uuid, limit: i64) -> Result<Vec<Uuid>, StoreError> {
    let rows: Vec<(Uuid,)> = tx
        .query_as(
            "SELECT id FROM change_request WHERE tenant = $1 AND sales_order = $2 ORDER BY asked_at DESC, id DESC LIMIT $3",
        )
        .bind(tenant)
        .bind(order)
        .bind(limit)
        .all()
        .await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// Whose visits are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Everybody's.
    All,
    /// Those of the reps who are in this team now.
    Team(Uuid),
    /// A rep's.
    Rep(Uuid),
}

/// Which visits are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VisitFilter {
    /// The day, in days since 1970-01-01.
    pub day: i64,
    /// Whose.
    pub whose: Whose,
}

/// The ids of the visits after `after`, in ascending order.
///
/// # Errors
/// When the database does not answer.
pub async fn visits(
    tx: &mut Tx,
    tenant: i64,
    filter: VisitFilter,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Uuid>, StoreError> {
    let (query, whose) = match filter.whose {
        Whose::All => {
            let query = tx.query_as::<(Uuid,)>(
                "SELECT id FROM visit WHERE tenant = $1 AND visit_day = $2 AND id > $3 ORDER BY id LIMIT $4",
            );
            (query, None)
        }
        Whose::Team(team) => {
            let query = tx.query_as(
                "SELECT id FROM visit WHERE tenant = $1 AND visit_day = $2 AND id > $3 \
                 AND rep IN (SELECT id FROM rep WHERE tenant = $1 AND team = $5) ORDER BY id LIMIT $4",
            );
            (query, Some(team))
        }
        Whose::Rep(rep) => {
            let query = tx.query_as(
                "SELECT id FROM visit WHERE tenant = $1 AND visit_day = $2 AND id > $3 AND rep = $5 \
                 ORDER BY id LIMIT $4",
            );
            (query, Some(rep))
        }
    };
    let query = query.bind(tenant).bind(filter.day).bind(after).bind(limit);
    let rows = match whose {
        None => query.all().await?,
        Some(whose) => query.bind(whose).all().await?,
    };
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// The team of a rep, if there is such a rep and it has one.
///
/// # Errors
/// When the database does not answer.
pub async fn team_of_rep(tx: &mut Tx, tenant: i64, rep: Uuid) -> Result<Option<Uuid>, StoreError> {
    let row: Option<(Option<Uuid>,)> =
        tx.query_as("SELECT team FROM rep WHERE tenant = $1 AND id = $2").bind(tenant).bind(rep).optional().await?;
    Ok(row.and_then(|(team,)| team))
}

/// An outlet, as it is compared with others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedOutlet {
    /// The outlet.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// Its postal address.
    pub address: String,
    /// Where it is, in degrees × 10^7: latitude and longitude.
    pub point: Option<(i32, i32)>,
    /// Its status, as its number.
    pub status: i64,
    /// The customer that buys there.
    pub customer: Option<Uuid>,
    /// The tax number as told there.
    pub tax_id: String,
}

/// The outlets after `after`, by id.
///
/// # Errors
/// When the database does not answer.
pub async fn outlets(tx: &mut Tx, tenant: i64, after: Uuid, limit: i64) -> Result<Vec<PlacedOutlet>, StoreError> {
    type Row = (Uuid, String, String, Option<i64>, Option<i64>, i64, Option<Uuid>, String);
    let rows: Vec<Row> = tx
        .query_as(
            "SELECT id, name, address, latitude_e7, longitude_e7, status, customer, tax_id FROM outlet \
             WHERE tenant = $1 AND id > $2 ORDER BY id LIMIT $3",
        )
        .bind(tenant)
        .bind(after)
        .bind(limit)
        .all()
        .await?;
    let outlet = |(id, name, address, latitude, longitude, status, customer, tax_id): Row| {
        let degrees = |e7: Option<i64>| e7.and_then(|e7| i32::try_from(e7).ok());
        let point = degrees(latitude).zip(degrees(longitude));
        PlacedOutlet { id, name, address, point, status, customer, tax_id }
    };
    Ok(rows.into_iter().map(outlet).collect())
}

/// What these customers owe by the books, receivable by receivable: customer, currency, and the debt in minor units.
///
/// # Errors
/// When the database does not answer.
pub async fn debts(tx: &mut Tx, tenant: i64, customers: &[Uuid]) -> Result<Vec<(Uuid, String, i64)>, StoreError> {
    tx.query_as(
        "SELECT customer, currency, debt_minor FROM BY_UUIDS(receivable.customer, $2 BY receivable_by_customer)",
    )
    .bind(tenant)
    .bind_uuids(customers)
    .all()
    .await
}

/// What these customers have paid since a moment (in microseconds since the Unix epoch), by the order for which it was, in minor
/// units.
///
/// # Errors
/// When the database does not answer.
pub async fn paid(tx: &mut Tx, tenant: i64, customers: &[Uuid], since_us: i64) -> Result<Vec<(Uuid, i64)>, StoreError> {
    tx.query_as(
        "SELECT sales_order, CAST(SUM(amount_minor) AS BIGINT) FROM BY_UUIDS(payment.customer, $2 BY payment_by_customer) \
         WHERE taken_at >= $3 AND sales_order IS NOT NULL GROUP BY sales_order",
    )
    .bind(tenant)
    .bind_uuids(customers)
    .bind(since_us)
    .all()
    .await
}

/// A rep's day in numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoveredRep {
    /// The rep.
    pub rep: Uuid,
    /// The rep's name.
    pub name: String,
    /// The rep's team.
    pub team: Option<Uuid>,
    /// Planned visits; those that the office has called off, or that were moved to another day, are in no plan any
    /// more.
    pub planned: i64,
    /// Planned visits that were completed.
    pub done: i64,
    /// Completed visits that led to something.
    pub productive: i64,
    /// Planned visits that the end of the day found undone.
    pub missed: i64,
    /// Completed visits outside of the plan.
    pub unplanned: i64,
    /// The outlet where the rep is now.
    pub at_outlet: Option<Uuid>,
    /// The check-in of the visit in progress, or, if there is none, the last check-out, in microseconds since the Unix
    /// epoch; 0: neither.
    pub since_at_us: i64,
}

macro_rules! coverage_sql {
    ($whose:literal) => {
        concat!(
            "SELECT g.rep, r.name, r.team, g.planned, g.done, g.productive, g.missed, g.unplanned, ",
            "(SELECT n.outlet FROM visit n WHERE n.tenant = $1 AND n.rep = g.rep AND n.visit_day = $2 ",
            "AND n.state = $3 ORDER BY n.checked_in_at DESC, n.id LIMIT 1), g.arrived, g.departed ",
            "FROM (SELECT v.rep, ",
            "CAST(SUM(CASE WHEN v.planned = 1 AND v.state <> $6 AND v.state <> $7 THEN 1 ELSE 0 END) AS BIGINT) ",
            "AS planned, ",
            "CAST(SUM(CASE WHEN v.planned = 1 AND v.state = $4 THEN 1 ELSE 0 END) AS BIGINT) AS done, ",
            "CAST(SUM(CASE WHEN v.productive = 1 AND v.state = $4 THEN 1 ELSE 0 END) AS BIGINT) AS productive, ",
            "CAST(SUM(CASE WHEN v.planned = 1 AND v.state = $5 THEN 1 ELSE 0 END) AS BIGINT) AS missed, ",
            "CAST(SUM(CASE WHEN v.planned = 0 AND v.state = $4 THEN 1 ELSE 0 END) AS BIGINT) AS unplanned, ",
            "CAST(MAX(CASE WHEN v.state = $3 THEN v.checked_in_at ELSE 0 END) AS BIGINT) AS arrived, ",
            "CAST(MAX(v.checked_out_at) AS BIGINT) AS departed ",
            "FROM visit v WHERE v.tenant = $1 AND v.visit_day = $2",
            $whose,
            " GROUP BY v.rep) g JOIN rep r ON r.tenant = $1 AND r.id = g.rep"
        )
    };
}

type Sums = (Uuid, String, Option<Uuid>, i64, i64, i64, i64, i64, Option<Uuid>, i64, i64);

/// The day of each rep who has visits on it, of a team or of all, by name. One statement, whatever the number of reps.
///
/// # Errors
/// When the database does not answer.
pub async fn coverage(tx: &mut Tx, tenant: i64, day: i64, team: Option<Uuid>) -> Result<Vec<CoveredRep>, StoreError> {
    let query = match team {
        None => tx.query_as::<Sums>(coverage_sql!("")),
        Some(_) => {
            tx.query_as(coverage_sql!(" AND v.rep IN (SELECT m.id FROM rep m WHERE m.tenant = $1 AND m.team = $8)"))
        }
    };
    let state = |state: VisitState| i64::from(state as i32);
    let query = query
        .bind(tenant)
        .bind(day)
        .bind(state(VisitState::InProgress))
        .bind(state(VisitState::Completed))
        .bind(state(VisitState::Missed))
        .bind(state(VisitState::Cancelled))
        .bind(state(VisitState::Rescheduled));
    let rows = match team {
        None => query.all().await?,
        Some(team) => query.bind(team).all().await?,
    };
    let mut reps: Vec<CoveredRep> = rows.into_iter().map(covered).collect();
    // Here and not in SQL, where the order of texts depends on the database.
    reps.sort_unstable_by(|a, b| (&a.name, a.rep).cmp(&(&b.name, b.rep)));
    Ok(reps)
}

fn covered(row: Sums) -> CoveredRep {
    let (rep, name, team, planned, done, productive, missed, unplanned, at_outlet, arrived, departed) = row;
    let since_at_us = if arrived > 0 { arrived } else { departed };
    CoveredRep { rep, name, team, planned, done, productive, missed, unplanned, at_outlet, since_at_us }
}
