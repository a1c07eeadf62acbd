//! An outbox in an SQLite file, with the same promises as the replica's. Both may share one file.

use std::path::Path;

use bytes::Bytes;
use prost::Message as _;
use roundsman_proto::sync::Outcome;
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use super::storage::{Answer, Change, Entry, Head, OutboxStorage};
use crate::replica::sqlite::{SqliteError, connect, execute, finish};

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS outbox_head (
        one INTEGER PRIMARY KEY CHECK (one = 1), next_seq INTEGER NOT NULL, expected_seq INTEGER NOT NULL,
        last_outcome_seq INTEGER NOT NULL, told_seq INTEGER NOT NULL, durable_version INTEGER
    ) STRICT;
    CREATE TABLE IF NOT EXISTS outbox_command (
        command_id BLOB PRIMARY KEY, seq INTEGER NOT NULL, body BLOB NOT NULL, captured_at_us INTEGER NOT NULL,
        business_day INTEGER NOT NULL, outcome BLOB, version INTEGER, answered_at_us INTEGER
    ) STRICT;
";

/// An outbox in a file.
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
}

fn head(row: &Row<'_>) -> rusqlite::Result<Head> {
    Ok(Head {
        next_seq: row.get("next_seq")?,
        expected_seq: row.get("expected_seq")?,
        last_outcome_seq: row.get("last_outcome_seq")?,
        told_seq: row.get("told_seq")?,
        durable_version: row.get("durable_version")?,
    })
}

fn entry(row: &Row<'_>) -> Result<Entry, SqliteError> {
    let outcome: Option<Vec<u8>> = row.get("outcome")?;
    let answer = match outcome {
        None => None,
        Some(outcome) => Some(Answer {
            outcome: Outcome::decode(&outcome[..]).map_err(|_| SqliteError::Damaged("outcome"))?,
            version: row.get("version")?,
            answered_at_us: row.get("answered_at_us")?,
        }),
    };
    Ok(Entry {
        command_id: Uuid::from_bytes(row.get("command_id")?),
        seq: row.get("seq")?,
        body: Bytes::from(row.get::<_, Vec<u8>>("body")?),
        captured_at_us: row.get("captured_at_us")?,
        business_day: row.get("business_day")?,
        answer,
    })
}

impl OutboxStorage for SqliteStorage {
    type Error = SqliteError;

    fn load(&self) -> Result<(Head, Vec<Entry>), SqliteError> {
        let mut statement = self.connection.prepare_cached("SELECT * FROM outbox_head")?;
        let head = statement.query_map([], head)?.next().transpose()?.unwrap_or_default();
        let mut statement = self.connection.prepare_cached("SELECT * FROM outbox_command ORDER BY seq")?;
        let entries = statement.query_and_then([], entry)?.collect::<Result<_, _>>()?;
        Ok((head, entries))
    }

    fn write(&mut self, change: Change<'_>) -> Result<(), SqliteError> {
        match change {
            Change::Head(head) => execute(
                &self.connection,
                "REPLACE INTO outbox_head VALUES (1, ?, ?, ?, ?, ?)",
                params![head.next_seq, head.expected_seq, head.last_outcome_seq, head.told_seq, head.durable_version],
            ),
            Change::Entry(entry) => execute(
                &self.connection,
                "REPLACE INTO outbox_command VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                params![
                    entry.command_id.as_bytes(),
                    entry.seq,
                    &entry.body[..],
                    entry.captured_at_us,
                    entry.business_day,
                    entry.answer.as_ref().map(|answer| answer.outcome.encode_to_vec()),
                    entry.answer.as_ref().map(|answer| answer.version),
                    entry.answer.as_ref().map(|answer| answer.answered_at_us),
                ],
            ),
            Change::Remove(command_id) => {
                execute(&self.connection, "DELETE FROM outbox_command WHERE command_id = ?", [command_id.as_bytes()])
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
