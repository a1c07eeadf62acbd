//! Projections: relational tables for the office, the ERP and BI, derived from documents.
//!
//! Each row is a pure function of one record, with absolute values, and is written in the transaction that writes the
//! record. So no read of a table can be behind the truth, the tables can be made anew at any time ([`rebuild`]), and
//! what they hold can be checked ([`verify`]). No rule reads them: a rule must see what the batch itself has changed
//! so far.

mod goods;
mod query;
mod reclamations;
mod tables;

use std::collections::BTreeMap;
use std::iter;

use sqlx::{ColumnIndex, Decode, FromRow, Row, Type};
use uuid::Uuid;

use crate::error::StoreError;
use crate::store::record;
use crate::store::sql::{Cell, Db, Rows, Tx};
use crate::workspace::{Change, Stored};

pub use goods::{GoodsReturnFilter, Moments, StockFilter, goods_returns, stock_counts, stock_transfers};
pub use query::{
    CoveredRep, OrderFilter, PlacedOutlet, ShipmentFilter, TripFilter, VisitFilter, WaveFilter, Whose, change_requests,
    change_requests_of, coverage, debts, orders, outlets, paid, shipments, team_of_rep, trips, vehicles, visits, waves,
};
pub use reclamations::{
    Claimed, Delivered, Group, Grouping, ReclamationFilter, ReclamationKey, claimed, delivered, reclamations,
    reclamations_of, reclamations_to_escalate,
};
use tables::{PROJECTIONS, Projection};

/// Records that are read at a time to rebuild or to verify.
const PAGE: i64 = 250;

/// What a batch's changes mean for the projections.
#[derive(Debug)]
pub struct Projected {
    tenant: i64,
    /// Records that have fewer rows than before: these are taken away, before the others are written.
    shrunk: Vec<(&'static Projection, Vec<Uuid>)>,
    /// The rows to be written.
    pub rows: Vec<Rows>,
}

/// The rows of the changed records. A change that leaves the document as it is, such as another placement, changes
/// none.
///
/// # Errors
/// When a document can't be read.
pub fn of(tenant: i64, changes: &[Change]) -> Result<Projected, StoreError> {
    let mut projected = Projected { tenant, shrunk: Vec::new(), rows: Vec::new() };
    for projection in PROJECTIONS {
        let kind = i64::from(projection.kind as i32);
        let (mut rows, mut shrunk) = (Vec::new(), Vec::new());
        for change in changes.iter().filter(|change| change.after.kind == kind && differs(change)) {
            let own = rows_of(projection, tenant, change.id, &change.after)?;
            let before = change.before.as_ref().map(|before| rows_of(projection, tenant, change.id, before));
            let before = before.transpose()?.unwrap_or_default();
            if before.len() > own.len() {
                shrunk.push(change.id);
                rows.extend(own);
            } else {
                rows.extend(others(own, &before));
            }
        }
        if !shrunk.is_empty() {
            projected.shrunk.push((projection, shrunk));
        }
        if !rows.is_empty() {
            projected.rows.push(Rows { table: &projection.table, rows });
        }
    }
    Ok(projected)
}

impl Projected {
    /// Takes away what is no longer there: one statement for each table in which a record has fewer rows than before,
    /// none in an ordinary batch. The others must be written afterwards, in the same transaction.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn clear(&self, tx: &mut Tx) -> Result<(), StoreError> {
        for (projection, records) in &self.shrunk {
            tx.exclude().await?;
            tx.query(projection.delete).bind(self.tenant).bind_uuids(records).execute().await?;
        }
        Ok(())
    }
}

fn differs(change: &Change) -> bool {
    change.before.as_ref().is_none_or(|before| {
        before.document != change.after.document || before.removed_at_us != change.after.removed_at_us
    })
}

fn rows_of(projection: &Projection, tenant: i64, id: Uuid, stored: &Stored) -> Result<Vec<Vec<Cell>>, StoreError> {
    if stored.removed_at_us.is_some() {
        return Ok(Vec::new());
    }
    (projection.rows)(tenant, id, stored.document.clone()).map_err(|error| unreadable(id, &error))
}

/// Those of a record's rows that are not as they were. An order whose state changes has its ten lines as before.
fn others<'b>(own: Vec<Vec<Cell>>, before: &'b [Vec<Cell>]) -> impl Iterator<Item = Vec<Cell>> + 'b {
    let before = before.iter().map(Some).chain(iter::repeat(None));
    own.into_iter().zip(before).filter(|(row, before)| *before != Some(row)).map(|(row, _)| row)
}

fn unreadable(id: Uuid, error: &prost::DecodeError) -> StoreError {
    StoreError::Corrupt(format!("record {id}: {error}"))
}

/// Makes all projections of a tenant anew from its records, page by page, each in a transaction of its own that holds
/// the tenant's lock: others go on writing meanwhile, and readers see old or new rows, never half a record.
///
/// # Errors
/// When the database does not answer, or a record can't be read; what was done by then stays, and a repeat completes
/// it. `seen` hears how many records were read since the last time.
pub async fn rebuild(db: &Db, tenant: i64, seen: &mut (dyn FnMut(usize) + Send)) -> Result<(), StoreError> {
    for projection in PROJECTIONS {
        let mut after = Some(Uuid::nil());
        while let Some(from) = after {
            let mut tx = db.write_tenant(tenant).await?;
            let page = Page::read(&mut tx, projection, tenant, from).await?;
            tx.query(projection.delete_range).bind(tenant).bind(from).bind(page.through).execute().await?;
            tx.write(vec![Rows { table: &projection.table, rows: page.rows }]).await?;
            tx.commit().await?;
            seen(page.records);
            after = page.next;
        }
    }
    Ok(())
}

/// How many records [`rebuild`] reads; one that fills two tables is read twice.
///
/// # Errors
/// When the database does not answer.
pub async fn records(db: &Db, tenant: i64) -> Result<u64, StoreError> {
    let kinds: BTreeMap<i64, i64> = record::kinds(&mut db.glance().await?, tenant).await?.into_iter().collect();
    let records = |projection: &&Projection| kinds.get(&i64::from(projection.kind as i32)).copied().unwrap_or(0);
    Ok(PROJECTIONS.iter().map(records).map(i64::unsigned_abs).sum())
}

/// What the records of a stretch of ids say that a projection should hold.
struct Page {
    records: usize,
    rows: Vec<Vec<Cell>>,
    /// The last id of the stretch.
    through: Uuid,
    /// Where the next stretch begins; `None`: this was the last.
    next: Option<Uuid>,
}

impl Page {
    async fn read(tx: &mut Tx, projection: &Projection, tenant: i64, after: Uuid) -> Result<Self, StoreError> {
        let records = record::page(tx, tenant, i64::from(projection.kind as i32), after, PAGE).await?;
        let mut rows = Vec::new();
        for (id, stored) in &records {
            rows.extend(rows_of(projection, tenant, *id, stored)?);
        }
        let next = records.last().map(|(id, _)| *id);
        Ok(Self { records: records.len(), rows, through: next.unwrap_or(Uuid::max()), next })
    }
}

/// Looks for differences between the projections and what the records say; returns how many rows there are, and one
/// sentence for each difference.
///
/// # Errors
/// When the database does not answer, or a record can't be read.
pub async fn verify(tx: &mut Tx, tenant: i64) -> Result<(usize, Vec<String>), StoreError> {
    let (mut compared, mut findings) = (0, Vec::new());
    for projection in PROJECTIONS {
        let mut after = Some(Uuid::nil());
        while let Some(from) = after {
            let page = Page::read(tx, projection, tenant, from).await?;
            let stored: Vec<StoredRow> =
                tx.query_as(projection.select_range).bind(tenant).bind(from).bind(page.through).all().await?;
            compared += stored.len();
            compare(projection.table.name, page.rows, stored, &mut findings);
            after = page.next;
        }
    }
    Ok((compared, findings))
}

fn compare(table: &str, expected: Vec<Vec<Cell>>, stored: Vec<StoredRow>, findings: &mut Vec<String>) {
    let expected = by_record(expected);
    let stored = by_record(stored.into_iter().map(|row| row.0).collect());
    for (record, rows) in &expected {
        if stored.get(record) != Some(rows) {
            findings.push(format!("table {table} does not show record {record} as it is stored"));
        }
    }
    for record in stored.keys().filter(|record| !expected.contains_key(record)) {
        findings.push(format!("table {table} shows record {record}, which is not there"));
    }
}

/// Rows by their record, in their order; NULL is the same whatever its type.
fn by_record(rows: Vec<Vec<Cell>>) -> BTreeMap<Uuid, Vec<Vec<Cell>>> {
    let mut records: BTreeMap<Uuid, Vec<Vec<Cell>>> = BTreeMap::new();
    for row in rows {
        let record = match row.get(1) {
            Some(Cell::Id(Some(id))) => *id,
            Some(Cell::Id(None) | Cell::Int(_) | Cell::Text(_) | Cell::Bytes(_)) | None => Uuid::nil(),
        };
        let row = row.into_iter().map(|cell| match cell {
            Cell::Id(None) | Cell::Int(None) | Cell::Text(None) | Cell::Bytes(None) => Cell::Int(None),
            Cell::Id(Some(_)) | Cell::Int(Some(_)) | Cell::Text(Some(_)) | Cell::Bytes(Some(_)) => cell,
        });
        records.entry(record).or_default().push(row.collect());
    }
    records
}

/// A row of any projection, as the database holds it.
struct StoredRow(Vec<Cell>);

impl<'r, R> FromRow<'r, R> for StoredRow
where
    R: Row,
    usize: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    Uuid: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        let cells = (0..row.len()).map(|index| {
            // The type of a value decides: SQLite's columns have none of their own.
            let number = row.try_get::<Option<i64>, _>(index).map(Cell::Int);
            let text = || row.try_get::<Option<String>, _>(index).map(Cell::Text);
            let id = |_| row.try_get::<Option<Uuid>, _>(index).map(Cell::Id);
            number.or_else(|_| text()).or_else(id)
        });
        Ok(Self(cells.collect::<Result<_, _>>()?))
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use roundsman_proto::trade::{Order, OrderLine};
    use roundsman_sync::kind::Kind;

    use super::*;

    fn stored(lines: usize, comment: &str, removed_at_us: Option<i64>) -> Stored {
        let order = Order { lines: vec![OrderLine::default(); lines], comment: comment.to_owned(), ..Order::default() };
        let document = if removed_at_us.is_some() { Vec::new() } else { order.encode_to_vec() };
        Stored {
            kind: i64::from(Kind::Order as i32),
            version: 1,
            document: document.into(),
            stamps: comment.as_bytes().to_vec().into(),
            removed_at_us,
            survivor: None,
        }
    }

    /// How many rows are written to each table, and from which tables the record's rows are taken before.
    fn effect(before: Option<Stored>, after: Stored) -> (Vec<(&'static str, usize)>, Vec<&'static str>) {
        let changes = [Change { id: Uuid::from_u128(1), before, after }];
        let projected = of(7, &changes).expect("is read");
        let written = projected.rows.iter().map(|rows| (rows.table.name, rows.rows.len())).collect();
        (written, projected.shrunk.iter().map(|(projection, _)| projection.table.name).collect())
    }

    #[test]
    fn only_what_is_gone_is_taken_away() {
        let (order, line) = ("sales_order", "sales_order_line");
        assert_eq!(effect(None, stored(2, "", None)), (vec![(order, 1), (line, 2)], vec![]));
        assert_eq!(effect(None, stored(0, "", None)), (vec![(order, 1)], vec![]));
        let two = || Some(stored(2, "a", None));
        assert_eq!(effect(two(), stored(3, "b", None)), (vec![(order, 1), (line, 1)], vec![]));
        assert_eq!(effect(two(), stored(2, "b", None)), (vec![(order, 1)], vec![]), "its lines are as they were");
        assert_eq!(effect(two(), stored(1, "b", None)), (vec![(order, 1), (line, 1)], vec![line]));
        assert_eq!(effect(two(), stored(0, "", Some(5))), (vec![], vec![order, line]));
        assert_eq!(effect(Some(stored(0, "", Some(5))), stored(0, "", Some(5))), (vec![], vec![]));
    }

    #[test]
    fn another_placement_writes_nothing() {
        let mut moved = stored(2, "", None);
        moved.stamps = vec![1].into();
        assert_eq!(effect(Some(stored(2, "", None)), moved), (vec![], vec![]));
    }

    #[test]
    fn a_change_of_what_is_not_projected_writes_nothing() {
        let price = Stored { kind: i64::from(Kind::Price as i32), ..stored(0, "", None) };
        assert_eq!(effect(None, price), (vec![], vec![]));
        let internal = Stored { kind: 1_001, document: vec![0xff].into(), ..stored(0, "", None) };
        assert_eq!(effect(None, internal), (vec![], vec![]));
    }

    #[test]
    fn what_can_not_be_read_is_an_error() {
        let broken = Stored { document: vec![0xff].into(), ..stored(0, "", None) };
        let changes = [Change { id: Uuid::from_u128(1), before: None, after: broken }];
        assert!(matches!(of(7, &changes), Err(StoreError::Corrupt(_))));
    }
}
