//! The texts of statements: what is written once, as each database wants it. A text is made once and then shared, since a
//! statement takes less time than the making of its text.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use super::write::Table;

/// Texts by what they are made of: our own statements and tables, so there are hundreds of them and never more.
type Made<K> = LazyLock<RwLock<HashMap<K, Arc<str>>>>;

fn once<K: Eq + Hash>(made: &Made<K>, key: K, make: impl FnOnce() -> String) -> Arc<str> {
    if let Some(text) = made.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return Arc::clone(text);
    }
    let mut made = made.write().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(made.entry(key).or_insert_with(|| make().into()))
}

/// A statement of ours for SQLite.
pub(super) fn sqlite(sql: &'static str) -> Arc<str> {
    static MADE: Made<Place> = LazyLock::new(RwLock::default);
    once(&MADE, place(sql), || for_sqlite(sql))
}

/// A statement of ours for PostgreSQL.
pub(super) fn postgres(sql: &'static str) -> Arc<str> {
    static MADE: Made<Place> = LazyLock::new(RwLock::default);
    once(&MADE, place(sql), || for_postgres(sql))
}

/// What writes so many rows into a table of SQLite's.
pub(super) fn sqlite_insert(table: &'static Table, rows: usize) -> Arc<str> {
    static MADE: Made<Place> = LazyLock::new(RwLock::default);
    once(&MADE, (std::ptr::from_ref(table).addr(), rows), || {
        let row = format!("({})", vec!["?"; table.columns.len()].join(","));
        let names: Vec<&str> = table.columns.iter().map(|(name, _)| *name).collect();
        format!(
            "INSERT INTO {} ({}) SELECT * FROM (VALUES {}) WHERE column1 IS NOT NULL {}",
            table.name,
            names.join(","),
            vec![row.as_str(); rows].join(","),
            table.conflict
        )
    })
}

/// Where a text of the program stands, with its length, or a table, with a number of rows: quicker to compare than texts.
type Place = (usize, usize);

fn place(sql: &'static str) -> Place {
    (sql.as_ptr().addr(), sql.len())
}

/// The types of keys, with how they are taken from the one parameter: on SQLite, which has no arrays, out of a JSON list of
/// hexadecimal or plain text.
const KEYS: [(&str, &str, &str); 3] =
    [("BY_UUIDS(", "unhex(value)", "uuid[]"), ("BY_TEXTS(", "value", "text[]"), ("BY_INTS(", "value", "bigint[]")];

/// The bytes of all rows, one after another.
const JOINED: &str = "JOINED(frame)";

/// By which index a table is searched, as SQLite is told; for PostgreSQL it is a comment.
const INDEXED: &str = "/* INDEXED BY ";

/// The keys drive: a CROSS JOIN is never turned around. What joins texts joins bytes as they are, and calls them a text.
pub(super) fn for_sqlite(sql: &str) -> String {
    let mut sql = sql.replace(JOINED, "CAST(string_agg(frame, '') AS BLOB)");
    if sql.contains(INDEXED) {
        sql = sql.replace(INDEXED, "INDEXED BY ").replace(" */", "");
    }
    for (token, value, _) in KEYS {
        sql = rewrite(&sql, &format!("DELETE FROM {token}"), |Keyed { table, column, keys, .. }| {
            let wanted = format!("SELECT {value} FROM json_each({keys})");
            format!("DELETE FROM {table} WHERE tenant = $1 AND {column} IN ({wanted})")
        });
        sql = rewrite(&sql, token, |Keyed { table, column, keys, index }| {
            let indexed = index.map(|index| format!(" INDEXED BY {index}")).unwrap_or_default();
            format!(
                "(SELECT {value} AS wanted FROM json_each({keys})) \
                 CROSS JOIN {table}{indexed} ON {table}.tenant = $1 AND {table}.{column} = wanted"
            )
        });
    }
    sql
}

/// The keys drive: what can't be merged into the statement around it, for the sake of `OFFSET 0`, is searched for each.
pub(super) fn for_postgres(sql: &str) -> String {
    let mut sql = sql.replace(JOINED, "string_agg(frame, '')");
    for (token, _, array) in KEYS {
        sql = rewrite(&sql, &format!("DELETE FROM {token}"), |Keyed { table, column, keys, .. }| {
            format!(
                "DELETE FROM {table} WHERE ctid = ANY (ARRAY (SELECT found.ctid \
                 FROM unnest({keys}::{array}) AS wanted CROSS JOIN LATERAL \
                 (SELECT ctid FROM {table} WHERE tenant = $1 AND {column} = wanted OFFSET 0) AS found))"
            )
        });
        sql = rewrite(&sql, token, |Keyed { table, column, keys, .. }| {
            format!(
                "unnest({keys}::{array}) AS wanted CROSS JOIN LATERAL \
                 (SELECT * FROM {table} WHERE tenant = $1 AND {column} = wanted OFFSET 0) AS {table}"
            )
        });
    }
    sql
}

/// What stands in the parentheses after a token: `table.column, $n`, and `BY index` if it is not that of the table's key.
#[derive(Clone, Copy)]
struct Keyed<'s> {
    table: &'s str,
    column: &'s str,
    keys: &'s str,
    index: Option<&'s str>,
}

fn rewrite(sql: &str, token: &str, with: impl Fn(Keyed<'_>) -> String) -> String {
    let mut rest = sql;
    let mut out = String::with_capacity(sql.len() + 128);
    while let Some((before, after)) = rest.split_once(token) {
        let (inside, tail) = after.split_once(')').expect("our own SQL closes its parenthesis");
        let (inside, index) = inside.split_once(" BY ").map_or((inside, None), |(inside, index)| (inside, Some(index)));
        let (column, keys) = inside.split_once(", ").expect("our own SQL names column and parameter");
        let (table, column) = column.split_once('.').expect("our own SQL names table and column");
        out.push_str(before);
        out.push_str(&with(Keyed { table, column, keys, index }));
        rest = tail;
    }
    out.push_str(rest);
    out
}
