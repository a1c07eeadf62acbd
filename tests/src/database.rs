//! A fresh database for each test.

use std::path::Path;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use tempfile::TempDir;
use uuid::Uuid;

/// Which database a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file in a temporary folder.
    Sqlite,
    /// A database of the server that `scripts/postgres` started.
    Postgres,
}

/// In memory where there is such a place: nobody pulls the plug of a test.
fn folder() -> std::io::Result<TempDir> {
    let memory = Path::new("/dev/shm");
    if memory.is_dir()
        && let Ok(folder) = TempDir::new_in(memory)
    {
        return Ok(folder);
    }
    TempDir::new()
}

/// A database that goes away with this value.
#[derive(Debug)]
pub struct Database {
    /// What the server connects to.
    pub url: String,
    folder: Option<TempDir>,
    server: Option<(PgConnectOptions, String)>,
}

impl Database {
    /// An empty one.
    ///
    /// # Panics
    /// When there is no PostgreSQL to test with: a test that can't run has failed.
    pub async fn create(kind: Kind) -> Self {
        match kind {
            Kind::Sqlite => {
                let folder = folder().expect("a temporary folder");
                let url = format!("sqlite:{}", folder.path().join("roundsman.db").display());
                Self { url, folder: Some(folder), server: None }
            }
            Kind::Postgres => Self::create_postgres().await,
        }
    }

    async fn create_postgres() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the one place that learns where the tests' PostgreSQL is")]
        let url = std::env::var("ROUNDSMAN_TEST_POSTGRES_URL")
            .expect("ROUNDSMAN_TEST_POSTGRES_URL is not set: run the tests with `make test`, which brings PostgreSQL");
        let server: PgConnectOptions = url.parse().expect("ROUNDSMAN_TEST_POSTGRES_URL is a URL");
        #[expect(clippy::disallowed_methods, reason = "only a name that no other test has")]
        let name = format!("test_{}", Uuid::now_v7().simple());
        let mut connection: PgConnection = server.connect().await.expect("PostgreSQL answers");
        sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}")))
            .execute(&mut connection)
            .await
            .expect("a database of its own");
        connection.close().await.expect("closes");
        let url = server.clone().database(&name).to_url_lossy().to_string();
        Self { url, folder: None, server: Some((server, name)) }
    }

    /// Removes what the test has made. A database that a failed test leaves goes with the server.
    pub async fn remove(self) {
        drop(self.folder);
        if let Some((server, name)) = self.server {
            let mut connection: PgConnection = server.connect().await.expect("PostgreSQL answers");
            sqlx::query(AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)")))
                .execute(&mut connection)
                .await
                .expect("the database goes");
        }
    }
}
