//! What is asked of the projections of goods that move without an order: what comes back, what is brought from warehouse to warehouse,
//! and what is counted.

use roundsman_proto::trade::ReturnState;
use uuid::Uuid;

use crate::error::StoreError;
use crate::store::sql::Tx;

/// From the first of these moments on and before the second, both in microseconds since the Unix epoch.
pub type Moments = (i64, i64);

/// Which returns of goods are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GoodsReturnFilter {
    /// Only in this state; `None`: in any.
    pub state: Option<ReturnState>,
    /// Only those that this warehouse has; `None`: all.
    pub warehouse: Option<Uuid>,
    /// Only those from this outlet; `None`: from all.
    pub outlet: Option<Uuid>,
    /// Only those from this customer; `None`: from all.
    pub customer: Option<Uuid>,
    /// Only those with goods of this shipment; `None`: of all.
    pub shipment: Option<Uuid>,
    /// Only those that were reported within these.
    pub moments: Moments,
}

macro_rules! goods_returns_sql {
    ($index:literal $by:literal) => {
        concat!(
            "SELECT reported_at, id FROM goods_return /* INDEXED BY ",
            $index,
            " */ WHERE tenant = $1 AND (reported_at, id) > ($2, $3) AND reported_at < $4 AND (state = $6 OR $6 = 0) ",
            "AND (warehouse = $7 OR $7 = $11) AND (outlet = $8 OR $8 = $11) AND (customer = $9 OR $9 = $11) ",
            "AND (shipment = $10 OR $10 = $11)",
            $by,
            " ORDER BY reported_at, id LIMIT $5"
        )
    };
}

impl GoodsReturnFilter {
    /// What has the fewest returns drives, as with orders.
    fn sql(&self) -> &'static str {
        if self.shipment.is_some() {
            goods_returns_sql!("goods_return_by_shipment" " AND shipment = $10")
        } else if self.outlet.is_some() {
            goods_returns_sql!("goods_return_by_outlet" " AND outlet = $8")
        } else if self.customer.is_some() {
            goods_returns_sql!("goods_return_by_customer" " AND customer = $9")
        } else if self.state.is_some() {
            goods_returns_sql!("goods_return_by_state" " AND state = $6")
        } else {
            goods_returns_sql!("goods_return_by_report" "")
        }
    }
}

/// The keys (moment of the report and id) of the returns after `after`, in ascending order.
///
/// # Errors
/// When the database does not answer.
pub async fn goods_returns(
    tx: &mut Tx,
    tenant: i64,
    filter: &GoodsReturnFilter,
    after: (i64, Uuid),
    limit: i64,
) -> Result<Vec<(i64, Uuid)>, StoreError> {
    // One bound only, so that the index is entered there: no id is nil.
    let after = after.max((filter.moments.0, Uuid::nil()));
    tx.query_as(filter.sql())
        .bind(tenant)
        .bind(after.0)
        .bind(after.1)
        .bind(filter.moments.1)
        .bind(limit)
        .bind(filter.state.map_or(0, |state| i64::from(state as i32)))
        .bind(filter.warehouse.unwrap_or_default())
        .bind(filter.outlet.unwrap_or_default())
        .bind(filter.customer.unwrap_or_default())
        .bind(filter.shipment.unwrap_or_default())
        .bind(Uuid::nil())
        .all()
        .await
}

/// Which transfers or counts are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StockFilter {
    /// Only those of this warehouse; `None`: of all.
    pub warehouse: Option<Uuid>,
    /// Only those within these.
    pub moments: Moments,
}

/// The keys (moment and id) of the transfers before `before`, out of a warehouse or into it, in descending order.
///
/// # Errors
/// When the database does not answer.
pub async fn stock_transfers(
    tx: &mut Tx,
    tenant: i64,
    filter: &StockFilter,
    before: (i64, Uuid),
    limit: i64,
) -> Result<Vec<(i64, Uuid)>, StoreError> {
    let sql = "SELECT moved_at, id FROM stock_transfer /* INDEXED BY stock_transfer_by_move */ \
               WHERE tenant = $1 AND (moved_at, id) < ($2, $3) AND moved_at >= $4 \
               AND (from_warehouse = $6 OR to_warehouse = $6 OR $6 = $7) ORDER BY moved_at DESC, id DESC LIMIT $5";
    newest(tx, sql, tenant, filter, before, limit).await
}

/// The keys (moment and id) of the counts before `before`, in descending order.
///
/// # Errors
/// When the database does not answer.
pub async fn stock_counts(
    tx: &mut Tx,
    tenant: i64,
    filter: &StockFilter,
    before: (i64, Uuid),
    limit: i64,
) -> Result<Vec<(i64, Uuid)>, StoreError> {
    let sql = "SELECT counted_at, id FROM stock_count /* INDEXED BY stock_count_by_count */ \
               WHERE tenant = $1 AND (counted_at, id) < ($2, $3) AND counted_at >= $4 \
               AND (warehouse = $6 OR $6 = $7) ORDER BY counted_at DESC, id DESC LIMIT $5";
    newest(tx, sql, tenant, filter, before, limit).await
}

async fn newest(
    tx: &mut Tx,
    sql: &'static str,
    tenant: i64,
    filter: &StockFilter,
    before: (i64, Uuid),
    limit: i64,
) -> Result<Vec<(i64, Uuid)>, StoreError> {
    let before = before.min((filter.moments.1, Uuid::nil()));
    tx.query_as(sql)
        .bind(tenant)
        .bind(before.0)
        .bind(before.1)
        .bind(filter.moments.0)
        .bind(limit)
        .bind(filter.warehouse.unwrap_or_default())
        .bind(Uuid::nil())
        .all()
        .await
}
