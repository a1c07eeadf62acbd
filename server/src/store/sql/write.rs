//! Rows on their way into tables: any number of them in a statement.

use std::fmt::Write as _;

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqliteConnection;
use uuid::Uuid;

use super::{Result, tell, text};
use crate::error::StoreError;

/// SQLite's limit of parameters in a statement.
const SQLITE_PARAMETERS: usize = 32_766;

/// A column's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// BIGINT.
    Int,
    /// UUID.
    Id,
    /// TEXT.
    Text,
    /// BYTEA.
    Bytes,
}

/// One value of a row, or NULL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// BIGINT.
    Int(Option<i64>),
    /// UUID.
    Id(Option<Uuid>),
    /// TEXT.
    Text(Option<String>),
    /// BYTEA.
    Bytes(Option<Vec<u8>>),
}

macro_rules! cell {
    ($type:ty, $variant:ident) => {
        impl From<$type> for Cell {
            fn from(value: $type) -> Self {
                Self::$variant(Some(value))
            }
        }
        impl From<Option<$type>> for Cell {
            fn from(value: Option<$type>) -> Self {
                Self::$variant(value)
            }
        }
    };
}
cell!(i64, Int);
cell!(Uuid, Id);
cell!(String, Text);
cell!(Vec<u8>, Bytes);

/// A table as [`super::Tx::write`] writes it.
#[derive(Debug)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// The columns that are written; the first one, the tenant or the key, is never NULL.
    pub columns: &'static [(&'static str, Column)],
    /// What happens with a row that is there: an `ON CONFLICT` clause, or nothing, and then it is an error.
    pub conflict: &'static str,
}

/// Rows to be written into a table, each with a cell for each of the table's columns.
#[derive(Clone, Debug)]
pub struct Rows {
    /// The table.
    pub table: &'static Table,
    /// The rows; no two with the same key.
    pub rows: Vec<Vec<Cell>>,
}

/// One statement for a number of rows out of few, so that the statement cache stays small: the number is rounded up to a
/// power of two, and the rest, without a first column, is left out. A LIMIT would do so sooner; but SQLite takes the value of
/// a LIMIT for a part of the plan, and prepares the statement anew for each.
pub(super) async fn write_sqlite(conn: &mut SqliteConnection, rows: Rows) -> Result<u32> {
    let Rows { table, rows } = rows;
    let width = table.columns.len();
    let largest = (SQLITE_PARAMETERS / width).min(1_024);
    let mut statements = 0;
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let chunk: Vec<Vec<Cell>> = rows.by_ref().take(largest).collect();
        let padded = chunk.len().next_power_of_two().min(largest);
        let sql = text::sqlite_insert(table, padded);
        tell(&sql);
        let mut query = sqlx::query(AssertSqlSafe(sql));
        let padding = (padded - chunk.len()) * width;
        for cell in chunk.into_iter().flatten() {
            query = match cell {
                Cell::Int(value) => query.bind(value),
                Cell::Id(value) => query.bind(value),
                Cell::Text(value) => query.bind(value),
                Cell::Bytes(value) => query.bind(value),
            };
        }
        for _ in 0..padding {
            query = query.bind(None::<i64>);
        }
        query.execute(&mut *conn).await?;
        statements += 1;
    }
    Ok(statements)
}

/// All tables in one statement with a data-modifying WITH: one round trip, however many tables and rows.
pub(super) async fn write_postgres(conn: &mut PgConnection, writes: Vec<Rows>) -> Result<()> {
    let mut sql = String::from("WITH ");
    let mut parameter = 0;
    for (index, Rows { table, .. }) in writes.iter().enumerate() {
        let names: Vec<&str> = table.columns.iter().map(|(name, _)| *name).collect();
        let arrays: Vec<String> = table
            .columns
            .iter()
            .map(|(_, column)| {
                parameter += 1;
                format!("${parameter}::{}[]", postgres_type(*column))
            })
            .collect();
        let comma = if index == 0 { "" } else { ", " };
        write!(
            sql,
            "{comma}w{index} AS (INSERT INTO {} ({}) SELECT * FROM UNNEST({}) {})",
            table.name,
            names.join(","),
            arrays.join(","),
            table.conflict
        )
        .expect("writing to a string never fails");
    }
    sql.push_str(" SELECT 1");
    tell(&sql);
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for Rows { table, rows } in writes {
        let mut rows: Vec<std::vec::IntoIter<Cell>> = rows.into_iter().map(Vec::into_iter).collect();
        for (name, column) in table.columns {
            let cells = rows.iter_mut().map(|row| row.next());
            let mismatch = || StoreError::Corrupt(format!("a row for {}.{name} has another type", table.name));
            query = match column {
                Column::Int => query
                    .bind(collect(cells, |c| if let Cell::Int(v) = c { Some(v) } else { None }).ok_or_else(mismatch)?),
                Column::Id => query
                    .bind(collect(cells, |c| if let Cell::Id(v) = c { Some(v) } else { None }).ok_or_else(mismatch)?),
                Column::Text => query
                    .bind(collect(cells, |c| if let Cell::Text(v) = c { Some(v) } else { None }).ok_or_else(mismatch)?),
                Column::Bytes => query.bind(
                    collect(cells, |c| if let Cell::Bytes(v) = c { Some(v) } else { None }).ok_or_else(mismatch)?,
                ),
            };
        }
    }
    query.execute(conn).await?;
    Ok(())
}

fn collect<T>(cells: impl Iterator<Item = Option<Cell>>, value: impl Fn(Cell) -> Option<T>) -> Option<Vec<T>> {
    cells.map(|cell| cell.and_then(&value)).collect()
}

fn postgres_type(column: Column) -> &'static str {
    match column {
        Column::Int => "bigint",
        Column::Id => "uuid",
        Column::Text => "text",
        Column::Bytes => "bytea",
    }
}
