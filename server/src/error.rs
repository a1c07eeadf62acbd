//! Errors by meaning. How they reach a caller is decided in one place: `grpc/status.rs`.

use thiserror::Error;

/// What can go wrong with the store.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The database does not answer, or not in time: try again later.
    #[error("the database is not available: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// The database refused the data. Decisions are made before anything is written, so this is a fault of ours.
    #[error("the database refused the data: {0}")]
    Data(#[source] sqlx::Error),
    /// What is stored is not what we have written.
    #[error("stored data is damaged: {0}")]
    Corrupt(String),
    /// A batch came to no end, and nothing of it was answered. A fault of ours.
    #[error("a batch panicked: {0}")]
    Panicked(String),
    /// The schema could not be brought up to date.
    #[error("migration failed: {0}")]
    Migration(String),
    /// A setting that the server refuses to run with.
    #[error("{0}")]
    Setting(String),
}

impl From<sqlx::Error> for StoreError {
    /// Tells what the data did (SQLSTATE classes 22 and 23, SQLite's constraint and type errors) from everything else.
    fn from(error: sqlx::Error) -> Self {
        if let sqlx::Error::Database(database) = &error {
            let code = database.code().unwrap_or_default();
            // SQLite's extended codes carry the primary one in the low byte: 19 constraint, 20 mismatch, 18 too big.
            let sqlite_primary = code.parse::<u32>().map(|code| code & 0xff);
            let data = match sqlite_primary {
                Ok(primary) if code.len() < 5 => matches!(primary, 18..=20),
                _ => code.starts_with("22") || code.starts_with("23"),
            };
            if data {
                return Self::Data(error);
            }
        }
        if matches!(error, sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::Encode(_)) {
            return Self::Data(error);
        }
        Self::Unavailable(error)
    }
}
