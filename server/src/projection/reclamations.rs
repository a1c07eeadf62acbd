//! What is asked of the projections of reclamations: lists, what is to be escalated, and sums beside what was delivered.

use roundsman_proto::trade::{ReclamationCause, ReclamationState};
use uuid::Uuid;

use crate::error::StoreError;
use crate::store::sql::Tx;

/// Which reclamations are listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReclamationFilter {
    /// Only in this state; `None`: in any.
    pub state: Option<ReclamationState>,
    /// Only those of this department; empty: all.
    pub department: String,
    /// Only those of this outlet; nil: of all.
    pub outlet: Uuid,
    /// Only those that count as this; `None`: as anything.
    pub cause: Option<ReclamationCause>,
    /// Only those for which this cause was chosen; nil: for any.
    pub claim_cause: Uuid,
    /// Only those that are due at this moment (in microseconds since the Unix epoch) or before; `None`: all.
    pub due_by_us: Option<i64>,
    /// Only those of which something is due, in the order in which it is.
    pub by_due: bool,
}

/// Where a list of reclamations goes on: its state or the moment at which it is due, the moment of filing, and id.
pub type ReclamationKey = (i64, i64, Uuid);

macro_rules! reclamations_sql {
    ($first:literal) => {
        concat!(
            "SELECT ",
            $first,
            ", filed_at, id FROM reclamation WHERE tenant = $1 AND (",
            $first,
            ", filed_at, id) > ($2, $3, $4) AND ",
            $first,
            " >= $5 AND ",
            $first,
            " <= $6 AND state >= $7 AND state <= $8 AND due_at >= $9 AND due_at <= $10 ",
            "AND (department = $11 OR $11 = '') AND (outlet = $12 OR $12 = $15) AND (cause = $13 OR $13 = 0) ",
            "AND (claim_cause = $14 OR $14 = $15) ORDER BY ",
            $first,
            ", filed_at, id LIMIT $16"
        )
    };
}

/// The keys of the reclamations after `after`, in ascending order.
///
/// # Errors
/// When the database does not answer.
pub async fn reclamations(
    tx: &mut Tx,
    tenant: i64,
    filter: &ReclamationFilter,
    after: ReclamationKey,
    limit: i64,
) -> Result<Vec<ReclamationKey>, StoreError> {
    let state = filter.state.map(|state| i64::from(state as i32));
    let states = (state.unwrap_or(0), state.unwrap_or(i64::MAX));
    // Of what is closed nothing is due.
    let due = (i64::from(filter.by_due || filter.due_by_us.is_some()), filter.due_by_us.unwrap_or(i64::MAX));
    let (query, first) = if filter.by_due {
        (tx.query_as(reclamations_sql!("due_at")), due)
    } else {
        (tx.query_as(reclamations_sql!("state")), states)
    };
    query
        .bind(tenant)
        .bind(after.0)
        .bind(after.1)
        .bind(after.2)
        .bind(first.0)
        .bind(first.1)
        .bind(states.0)
        .bind(states.1)
        .bind(due.0)
        .bind(due.1)
        .bind(filter.department.clone())
        .bind(filter.outlet)
        .bind(filter.cause.map_or(0, |cause| i64::from(cause as i32)))
        .bind(filter.claim_cause)
        .bind(Uuid::nil())
        .bind(limit)
        .all()
        .await
}

/// The reclamations of which others are to be told at a moment (in microseconds since the Unix epoch) or before, each since when;
/// those that have waited longest first.
///
/// # Errors
/// When the database does not answer.
pub async fn reclamations_to_escalate(
    tx: &mut Tx,
    tenant: i64,
    now_us: i64,
    limit: i64,
) -> Result<Vec<(i64, Uuid)>, StoreError> {
    tx.query_as(
        "SELECT escalates_at, id FROM reclamation WHERE tenant = $1 AND escalates_at > 0 AND escalates_at <= $2 \
         ORDER BY escalates_at, id LIMIT $3",
    )
    .bind(tenant)
    .bind(now_us)
    .bind(limit)
    .all()
    .await
}

/// The ids of the last reclamations of an order, the last one first.
///
/// # Errors
/// When the database does not answer.
pub async fn reclamations_of(tx: &mut Tx, tenant: i64, order: Uuid, limit: i64) -> Result<Vec<Uuid>, StoreError> {
    let rows: Vec<(Uuid,)> = tx
        .query_as(
            "SELECT id FROM reclamation WHERE tenant = $1 AND sales_order = $2 ORDER BY filed_at DESC, id DESC LIMIT $3",
        )
        .bind(tenant)
        .bind(order)
        .bind(limit)
        .all()
        .await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// By what reclamations are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grouping {
    /// By product.
    Product,
    /// By outlet.
    Outlet,
    /// By the cause that was chosen, and by what it counts as.
    Cause,
    /// By the product's supplier.
    Supplier,
    /// By whoever drove the trip on which the goods came.
    Driver,
}

/// What is counted together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    /// The product, the outlet, the cause or the driver; nil: unknown, none, or it is a supplier.
    pub id: Uuid,
    /// What a cause counts as, as its number; 0: it is none.
    pub cause: i64,
    /// The supplier; empty: unknown, or it is none.
    pub supplier: String,
}

/// What was claimed in a group, of reclamations that have one currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// The group.
    pub group: Group,
    /// The currency; empty: unknown.
    pub currency: String,
    /// Reclamations.
    pub reclamations: i64,
    /// Those that are the first report of their case.
    pub cases: i64,
    /// Their lines.
    pub lines: i64,
    /// What these claim, in thousandths of base units.
    pub claimed_milli: i64,
    /// What of it was accepted, in thousandths of base units.
    pub accepted_milli: i64,
    /// What that is worth, in minor units.
    pub accepted_minor: i64,
}

/// What was delivered in a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// The group; of a cause only that it is one.
    pub group: Group,
    /// Lines of shipments.
    pub lines: i64,
    /// What these delivered, in thousandths of base units.
    pub milli: i64,
}

macro_rules! claimed_sql {
    ($id:literal, $cause:literal, $supplier:literal, $joined:literal) => {
        concat!(
            "SELECT ",
            $id,
            ", ",
            $cause,
            ", ",
            $supplier,
            ", r.currency, CAST(COUNT(DISTINCT r.id) AS BIGINT), ",
            "CAST(COUNT(DISTINCT CASE WHEN r.case_reclamation IS NULL THEN r.id END) AS BIGINT), ",
            "CAST(COUNT(*) AS BIGINT), CAST(SUM(l.claimed_milli) AS BIGINT), CAST(SUM(l.accepted_milli) AS BIGINT), ",
            "CAST(SUM(l.accepted_minor) AS BIGINT) ",
            "FROM reclamation r JOIN reclamation_line l ON l.tenant = $1 AND l.reclamation = r.id ",
            $joined,
            "WHERE r.tenant = $1 AND r.filed_at >= $2 AND r.filed_at < $3 ",
            "GROUP BY 1, 2, 3, 4"
        )
    };
}

macro_rules! delivered_sql {
    ($id:literal, $supplier:literal, $joined:literal) => {
        concat!(
            "SELECT ",
            $id,
            ", CAST(0 AS BIGINT), ",
            $supplier,
            ", CAST(COUNT(*) AS BIGINT), CAST(SUM(l.delivered_milli) AS BIGINT) ",
            "FROM shipment s JOIN shipment_line l ON l.tenant = $1 AND l.shipment = s.id ",
            $joined,
            "WHERE s.tenant = $1 AND s.delivered_at > 0 AND s.delivered_at >= $2 AND s.delivered_at < $3 AND l.delivered_milli > 0 ",
            "GROUP BY 1, 2, 3"
        )
    };
}

type GroupRow = (Option<Uuid>, i64, Option<String>);

fn group((id, cause, supplier): GroupRow) -> Group {
    Group { id: id.unwrap_or_default(), cause, supplier: supplier.unwrap_or_default() }
}

/// What was claimed by reclamations that were filed from the first of these moments on and before the second, both in microseconds
/// since the Unix epoch.
///
/// # Errors
/// When the database does not answer.
pub async fn claimed(
    tx: &mut Tx,
    tenant: i64,
    by: Grouping,
    (from_us, before_us): (i64, i64),
) -> Result<Vec<Claimed>, StoreError> {
    type Row = (Option<Uuid>, i64, Option<String>, String, i64, i64, i64, i64, i64, i64);
    let query = match by {
        Grouping::Product => tx.query_as::<Row>(claimed_sql!("l.product", "CAST(0 AS BIGINT)", "CAST('' AS TEXT)", "")),
        Grouping::Outlet => tx.query_as(claimed_sql!("r.outlet", "CAST(0 AS BIGINT)", "CAST('' AS TEXT)", "")),
        Grouping::Cause => tx.query_as(claimed_sql!("r.claim_cause", "r.cause", "CAST('' AS TEXT)", "")),
        Grouping::Supplier => tx.query_as(claimed_sql!(
            "CAST(NULL AS UUID)",
            "CAST(0 AS BIGINT)",
            "p.supplier",
            "LEFT JOIN product p ON p.tenant = $1 AND p.id = l.product "
        )),
        Grouping::Driver => tx.query_as(claimed_sql!(
            "t.driver",
            "CAST(0 AS BIGINT)",
            "CAST('' AS TEXT)",
            "LEFT JOIN shipment s ON s.tenant = $1 AND s.id = r.shipment LEFT JOIN trip t ON t.tenant = $1 AND t.id = s.trip "
        )),
    };
    let rows = query.bind(tenant).bind(from_us).bind(before_us).all().await?;
    let claimed = |row: Row| {
        let (id, cause, supplier, currency, reclamations, cases, lines, claimed_milli, accepted_milli, accepted_minor) =
            row;
        let group = group((id, cause, supplier));
        Claimed { group, currency, reclamations, cases, lines, claimed_milli, accepted_milli, accepted_minor }
    };
    Ok(rows.into_iter().map(claimed).collect())
}

/// What was delivered from the first of these moments on and before the second, both in microseconds since the Unix epoch. By cause:
/// all that was.
///
/// # Errors
/// When the database does not answer.
pub async fn delivered(
    tx: &mut Tx,
    tenant: i64,
    by: Grouping,
    (from_us, before_us): (i64, i64),
) -> Result<Vec<Delivered>, StoreError> {
    type Row = (Option<Uuid>, i64, Option<String>, i64, i64);
    let query = match by {
        Grouping::Product => tx.query_as::<Row>(delivered_sql!("l.product", "CAST('' AS TEXT)", "")),
        Grouping::Outlet => tx.query_as(delivered_sql!("s.outlet", "CAST('' AS TEXT)", "")),
        Grouping::Cause => tx.query_as(delivered_sql!("CAST(NULL AS UUID)", "CAST('' AS TEXT)", "")),
        Grouping::Supplier => tx.query_as(delivered_sql!(
            "CAST(NULL AS UUID)",
            "p.supplier",
            "LEFT JOIN product p ON p.tenant = $1 AND p.id = l.product "
        )),
        Grouping::Driver => tx.query_as(delivered_sql!(
            "t.driver",
            "CAST('' AS TEXT)",
            "LEFT JOIN trip t ON t.tenant = $1 AND t.id = s.trip "
        )),
    };
    let rows = query.bind(tenant).bind(from_us).bind(before_us).all().await?;
    let delivered =
        |(id, cause, supplier, lines, milli): Row| Delivered { group: group((id, cause, supplier)), lines, milli };
    Ok(rows.into_iter().map(delivered).collect())
}
