//! A replica in an SQLite file, as an app keeps it.
//!
//! The file survives a kill at any moment: a write-ahead log, synchronous at each commit, and one transaction for each
//! staged page and each checkpoint. Pages are staged as they came, still compressed; the checkpoint takes them apart.
//! Rows are keyed by the device's own bucket numbers and by record, so that a small change touches a few leaves however
//! large the replica is. Memberships are small and live in their key's tree; documents live in a tree of their own, in the
//! order in which they came, beside a small index: a first sync then appends them, at twice the speed.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;
use roundsman_proto::sync as proto;
use rusqlite::{Connection, OptionalExtension as _, Params, Row, params};
use thiserror::Error;
use uuid::Uuid;

use super::storage::{At, Bucket, Change, Document, Head, Holding, Member, Slot, Staging, State, Storage};
use crate::checksum::Checksum;
use crate::page::Cursor;
use crate::version::Position;

/// The layout of the file, kept in its `user_version`.
const LAYOUT: i64 = 1;

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS replica_head (
        one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER, nonce INTEGER, scope_digest INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS replica_bucket (
        slot INTEGER PRIMARY KEY, id INTEGER NOT NULL, scope TEXT NOT NULL, kind INTEGER NOT NULL,
        group_number INTEGER NOT NULL, at TEXT NOT NULL, version INTEGER, nonce INTEGER,
        row_count INTEGER NOT NULL, checksum INTEGER NOT NULL,
        staged_id INTEGER, staged_pages INTEGER, cursor_version INTEGER, cursor_record BLOB, oldest_version INTEGER,
        oldest_nonce INTEGER, newest_version INTEGER, newest_nonce INTEGER, replaces INTEGER
    ) STRICT;
    -- The key is slot × 2^32 + number.
    CREATE TABLE IF NOT EXISTS replica_page (place INTEGER PRIMARY KEY, page BLOB NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS replica_member (
        slot INTEGER NOT NULL, record BLOB NOT NULL, version INTEGER NOT NULL, hash INTEGER NOT NULL,
        PRIMARY KEY (slot, record)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS replica_document (
        record BLOB PRIMARY KEY, kind INTEGER NOT NULL, version INTEGER NOT NULL, holders INTEGER NOT NULL,
        bytes BLOB NOT NULL
    ) STRICT;
";

/// Why the file cannot be used.
#[derive(Debug, Error)]
pub enum SqliteError {
    /// SQLite says so.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// It was written by a newer version of the app.
    #[error("the file has layout {0}, which is newer than this program")]
    Newer(i64),
    /// A stored value is none that this program writes.
    #[error("the file holds a {0} that cannot be read")]
    Damaged(&'static str),
}

/// Opens a file and makes its tables. Replica and outbox may share one.
pub(crate) fn connect(path: &Path, tables: &str) -> Result<Connection, SqliteError> {
    let connection = Connection::open(path)?;
    connection.set_prepared_statement_cache_capacity(32);
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -32768;
         PRAGMA journal_size_limit = 4194304; PRAGMA temp_store = MEMORY;",
    )?;
    let layout: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if layout > LAYOUT {
        return Err(SqliteError::Newer(layout));
    }
    connection.execute_batch(&format!("BEGIN IMMEDIATE; {tables} PRAGMA user_version = {LAYOUT}; COMMIT;"))?;
    Ok(connection)
}

/// Runs one statement inside the transaction, which it opens if none is open.
pub(crate) fn execute(connection: &Connection, sql: &str, values: impl Params) -> Result<(), SqliteError> {
    if connection.is_autocommit() {
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    }
    connection.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

/// Ends the transaction, if one is open, by `COMMIT` or `ROLLBACK`.
pub(crate) fn finish(connection: &Connection, how: &str) -> Result<(), SqliteError> {
    if !connection.is_autocommit() {
        connection.prepare_cached(how)?.execute([])?;
    }
    Ok(())
}

/// A replica in a file.
#[derive(Debug)]
pub struct SqliteStorage {
    connection: Connection,
}

impl SqliteStorage {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// When it cannot be opened, or was written by a newer version of the app.
    pub fn open(path: &Path) -> Result<Self, SqliteError> {
        Ok(Self { connection: connect(path, TABLES)? })
    }

    fn put_bucket(&self, slot: Slot, bucket: &Bucket) -> Result<(), SqliteError> {
        let (at, position) = match bucket.at {
            At::Nothing => ("nothing", None),
            At::Head => ("head", None),
            At::Behind(position) => ("behind", Some(position)),
            At::Damaged => ("damaged", None),
        };
        let staging = bucket.staging.as_ref();
        let record = staging.and_then(|staging| staging.cursor.record.map(Uuid::into_bytes));
        let (oldest, newest) = (staging.map(|staging| staging.oldest), staging.map(|staging| staging.newest));
        let version = |position: Option<Position>| position.map(|position| position.version);
        let nonce = |position: Option<Position>| position.map(|position| position.nonce.cast_signed());
        execute(
            &self.connection,
            "REPLACE INTO replica_bucket VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                slot.0,
                bucket.id,
                &*bucket.scope,
                bucket.kind,
                bucket.group,
                at,
                version(position),
                nonce(position),
                bucket.rows,
                bucket.checksum.0.cast_signed(),
                staging.map(|staging| staging.bucket_id),
                staging.map(|staging| staging.pages),
                staging.map(|staging| staging.cursor.version),
                record,
                version(oldest),
                nonce(oldest),
                version(newest),
                nonce(newest),
                staging.map(|staging| staging.replace),
            ],
        )
    }
}

fn place(slot: Slot, number: u32) -> i64 {
    (i64::from(slot.0) << 32) | i64::from(number)
}

fn bucket(row: &Row<'_>) -> Result<(Slot, Bucket), SqliteError> {
    let at: String = row.get("at")?;
    let at = match (at.as_str(), position(row, "version", "nonce")?) {
        ("nothing", None) => At::Nothing,
        ("head", None) => At::Head,
        ("behind", Some(position)) => At::Behind(position),
        ("damaged", None) => At::Damaged,
        _ => return Err(SqliteError::Damaged("bucket's position")),
    };
    let bucket = Bucket {
        id: row.get("id")?,
        scope: Arc::from(row.get::<_, String>("scope")?),
        kind: row.get("kind")?,
        group: row.get("group_number")?,
        at,
        rows: row.get("row_count")?,
        checksum: Checksum(row.get::<_, i64>("checksum")?.cast_unsigned()),
        staging: staging(row)?,
    };
    Ok((Slot(row.get("slot")?), bucket))
}

fn staging(row: &Row<'_>) -> Result<Option<Staging>, SqliteError> {
    let Some(bucket_id) = row.get("staged_id")? else {
        return Ok(None);
    };
    let record: Option<[u8; 16]> = row.get("cursor_record")?;
    let (oldest, newest) =
        (position(row, "oldest_version", "oldest_nonce")?, position(row, "newest_version", "newest_nonce")?);
    Ok(Some(Staging {
        bucket_id,
        pages: row.get("staged_pages")?,
        cursor: Cursor { version: row.get("cursor_version")?, record: record.map(Uuid::from_bytes) },
        oldest: oldest.ok_or(SqliteError::Damaged("staging cursor"))?,
        newest: newest.ok_or(SqliteError::Damaged("staging cursor"))?,
        replace: row.get("replaces")?,
    }))
}

fn position(row: &Row<'_>, version: &str, nonce: &str) -> Result<Option<Position>, SqliteError> {
    let (version, nonce): (Option<i64>, Option<i64>) = (row.get(version)?, row.get(nonce)?);
    Ok(version.zip(nonce).map(|(version, nonce)| Position { version, nonce: nonce.cast_unsigned() }))
}

fn head(row: &Row<'_>) -> Result<Head, SqliteError> {
    let scope_digest: i64 = row.get("scope_digest")?;
    Ok(Head { position: position(row, "version", "nonce")?, scope_digest: scope_digest.cast_unsigned() })
}

impl Storage for SqliteStorage {
    type Error = SqliteError;

    fn load(&self) -> Result<State, SqliteError> {
        let mut statement = self.connection.prepare_cached("SELECT * FROM replica_bucket")?;
        let buckets = statement.query_and_then([], bucket)?.collect::<Result<_, _>>()?;
        let mut statement = self.connection.prepare_cached("SELECT * FROM replica_head")?;
        let head = statement.query_and_then([], head)?.next().transpose()?.unwrap_or_default();
        Ok(State { head, buckets })
    }

    fn page(&self, slot: Slot, number: u32) -> Result<Option<proto::Page>, SqliteError> {
        let mut statement = self.connection.prepare_cached("SELECT page FROM replica_page WHERE place = ?")?;
        let page: Option<Vec<u8>> = statement.query_row([place(slot, number)], |row| row.get(0)).optional()?;
        let page = page.map(|page| proto::Page::decode(Bytes::from(page))).transpose();
        page.map_err(|_| SqliteError::Damaged("page"))
    }

    fn members(&self, slot: Slot) -> Result<Vec<(Uuid, Member)>, SqliteError> {
        let sql = "SELECT record, version, hash FROM replica_member WHERE slot = ?";
        let mut statement = self.connection.prepare_cached(sql)?;
        let members = statement.query_map([slot.0], |row| {
            let member = Member { version: row.get(1)?, hash: row.get::<_, i64>(2)?.cast_unsigned() };
            Ok((Uuid::from_bytes(row.get(0)?), member))
        })?;
        Ok(members.collect::<Result<_, _>>()?)
    }

    fn look(&self, slot: Slot, record: Uuid) -> Result<(Option<Member>, Option<Holding>), SqliteError> {
        let sql = "SELECT version, hash FROM replica_member WHERE slot = ? AND record = ?";
        let mut statement = self.connection.prepare_cached(sql)?;
        let member = statement.query_row(params![slot.0, record.as_bytes()], |row| {
            Ok(Member { version: row.get(0)?, hash: row.get::<_, i64>(1)?.cast_unsigned() })
        });
        let sql = "SELECT version, holders FROM replica_document WHERE record = ?";
        let mut statement = self.connection.prepare_cached(sql)?;
        let holding =
            statement.query_row([record.as_bytes()], |row| Ok(Holding { version: row.get(0)?, holders: row.get(1)? }));
        Ok((member.optional()?, holding.optional()?))
    }

    fn document(&self, record: Uuid) -> Result<Option<Document>, SqliteError> {
        let sql = "SELECT kind, version, bytes FROM replica_document WHERE record = ?";
        let mut statement = self.connection.prepare_cached(sql)?;
        let document = statement.query_row([record.as_bytes()], |row| {
            Ok(Document { kind: row.get(0)?, version: row.get(1)?, bytes: row.get::<_, Vec<u8>>(2)?.into() })
        });
        Ok(document.optional()?)
    }

    fn write(&mut self, change: Change<'_>) -> Result<(), SqliteError> {
        let connection = &self.connection;
        match change {
            Change::Head(head) => {
                let version = head.position.map(|position| position.version);
                let nonce = head.position.map(|position| position.nonce.cast_signed());
                let sql = "REPLACE INTO replica_head VALUES (1, ?, ?, ?)";
                execute(connection, sql, params![version, nonce, head.scope_digest.cast_signed()])
            }
            Change::Bucket(slot, Some(bucket)) => self.put_bucket(slot, bucket),
            Change::Bucket(slot, None) => execute(connection, "DELETE FROM replica_bucket WHERE slot = ?", [slot.0]),
            Change::Page(slot, number, page, _) => {
                let sql = "INSERT INTO replica_page VALUES (?, ?)";
                execute(connection, sql, params![place(slot, number), page.encode_to_vec()])
            }
            Change::Unstage(slot) => {
                let sql = "DELETE FROM replica_page WHERE place BETWEEN ? AND ?";
                execute(connection, sql, [place(slot, 0), place(slot, u32::MAX)])
            }
            Change::Member(slot, record, Some(member)) => {
                let sql = "REPLACE INTO replica_member VALUES (?, ?, ?, ?)";
                let hash = member.hash.cast_signed();
                execute(connection, sql, params![slot.0, record.as_bytes(), member.version, hash])
            }
            Change::Member(slot, record, None) => {
                let sql = "DELETE FROM replica_member WHERE slot = ? AND record = ?";
                execute(connection, sql, params![slot.0, record.as_bytes()])
            }
            Change::Document(record, document, holders) => {
                let Document { kind, version, bytes } = document;
                let sql = "INSERT INTO replica_document VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (record) DO UPDATE
                    SET kind = ?2, version = ?3, holders = ?4, bytes = ?5";
                execute(connection, sql, params![record.as_bytes(), kind, version, holders, &bytes[..]])
            }
            Change::Holders(record, 0) => {
                execute(connection, "DELETE FROM replica_document WHERE record = ?", [record.as_bytes()])
            }
            Change::Holders(record, holders) => {
                let sql = "UPDATE replica_document SET holders = ? WHERE record = ?";
                execute(connection, sql, params![holders, record.as_bytes()])
            }
            Change::Forget => {
                execute(connection, "UPDATE replica_member SET version = 0", [])?;
                execute(connection, "UPDATE replica_document SET version = 0", [])
            }
            Change::Erase => {
                execute(connection, "DELETE FROM replica_head", [])?;
                execute(connection, "DELETE FROM replica_bucket", [])?;
                execute(connection, "DELETE FROM replica_page", [])?;
                execute(connection, "DELETE FROM replica_member", [])?;
                execute(connection, "DELETE FROM replica_document", [])
            }
        }
    }

    fn commit(&mut self) -> Result<(), SqliteError> {
        finish(&self.connection, "COMMIT")
    }

    fn rollback(&mut self) -> Result<(), SqliteError> {
        finish(&self.connection, "ROLLBACK")
    }
}
