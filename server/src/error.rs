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
    /// A newer server has written the tenant's data; this one would drop what it does not know, and writes nothing.
    #[error("the data was written by a newer server (format {stored}, this one writes {written}); update this one")]
    Outdated {
        /// The newest format that anybody wrote.
        stored: i64,
        /// The format that this server writes.
        written: i64,
    },
    /// Another program wrote while a batch was under way; nothing of the batch is written.
    #[error("another program has written meanwhile")]
    Overtaken,
    /// A setting that the server refuses to run with.
    #[error("{0}")]
    Setting(String),
}

impl From<sqlx::Error> for StoreError {
    /// Tells what the data did from everything else: of a batch that is refused for its data's sake the lane finds the command
    /// that did it, and keeps that one back.
    ///
    /// On PostgreSQL it is the data in the SQLSTATE classes 21 (a write has one row twice), 22 (a value), 23 (a constraint) and
    /// 54 (too long for an index, too large). It never is in class 42, a wrong statement, a table that is not there, a right
    /// that the server lacks: that strikes every command alike, so that each would end in quarantine for nothing it did.
    /// Devices go on trying until it is mended, and nothing is lost. So it is with SQLite's error 1.
    fn from(error: sqlx::Error) -> Self {
        if let sqlx::Error::Database(database) = &error {
            let code = database.code().unwrap_or_default();
            // SQLite's extended codes carry the primary one in the low byte: 19 constraint, 20 mismatch, 18 too big.
            let sqlite_primary = code.parse::<u32>().map(|code| code & 0xff);
            let data = match sqlite_primary {
                Ok(primary) if code.len() < 5 => matches!(primary, 18..=20),
                _ => ["21", "22", "23", "54"].iter().any(|class| code.starts_with(class)),
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

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::fmt;

    use sqlx::error::{DatabaseError, ErrorKind};

    use super::*;

    /// What a database says, by its code alone.
    #[derive(Debug)]
    struct Said(&'static str);

    impl fmt::Display for Said {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl std::error::Error for Said {}

    impl DatabaseError for Said {
        fn message(&self) -> &str {
            self.0
        }

        fn code(&self) -> Option<Cow<'_, str>> {
            Some(self.0.into())
        }

        fn as_error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
            self
        }

        fn as_error_mut(&mut self) -> &mut (dyn std::error::Error + Send + Sync + 'static) {
            self
        }

        fn into_error(self: Box<Self>) -> Box<dyn std::error::Error + Send + Sync + 'static> {
            self
        }

        fn kind(&self) -> ErrorKind {
            ErrorKind::Other
        }
    }

    fn is_data(code: &'static str) -> bool {
        matches!(StoreError::from(sqlx::Error::Database(Box::new(Said(code)))), StoreError::Data(_))
    }

    #[test]
    fn what_the_data_did_is_told_from_everything_else() {
        // One row twice in a write, out of range, a key that is there, a value too long for its index.
        let postgres = ["21000", "22003", "23505", "54000"];
        // Too big, a constraint, a constraint by its extended code, a mismatch.
        let sqlite = ["18", "19", "2067", "20"];
        for code in postgres.into_iter().chain(sqlite) {
            assert!(is_data(code), "{code}");
        }
        // A dead connection, a full disk, a deadlock; no right to a table, no such table, a wrong statement.
        let postgres = ["08006", "53100", "40P01", "42501", "42P01", "42601"];
        // A wrong statement, a busy file, a failed read, a full disk.
        let sqlite = ["1", "5", "10", "13"];
        for code in postgres.into_iter().chain(sqlite) {
            assert!(!is_data(code), "{code}");
        }
    }
}
