//! A fresh database for each test.

use std::path::{Path, PathBuf};

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::sqlite::SqliteConnectOptions;
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
        Self::create_on(&url).await
    }

    /// An empty one on this PostgreSQL server; the URL is a superuser's.
    ///
    /// # Panics
    /// When it does not answer.
    pub async fn create_on(url: &str) -> Self {
        let server: PgConnectOptions = url.parse().expect("the server's URL");
        #[expect(clippy::disallowed_methods, reason = "only a name that no other test has")]
        let name = format!("test_{}", Uuid::now_v7().simple());
        execute(&server, &[&format!("CREATE DATABASE {name}")]).await;
        let url = server.clone().database(&name).to_url_lossy().to_string();
        Self { url, folder: None, server: Some((server, name)) }
    }

    /// What is committed now, kept for [`Database::restore`]. On PostgreSQL nobody may be connected.
    pub async fn back_up(&self) {
        match &self.server {
            None => {
                let options: SqliteConnectOptions = self.url.parse().expect("a URL");
                let mut connection = options.connect().await.expect("opens");
                let copy = self.backup();
                // The one before.
                let _ = std::fs::remove_file(&copy);
                let copy = copy.display().to_string();
                sqlx::query("VACUUM INTO $1").bind(copy).execute(&mut connection).await.expect("is copied");
                connection.close().await.expect("closes");
            }
            Some((server, name)) => {
                let everybody =
                    format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
                let copy = format!("CREATE DATABASE {name}_backup TEMPLATE {name}");
                execute(server, &[&everybody, &copy]).await;
            }
        }
    }

    /// The database is what it was when it was backed up. Nobody may be connected.
    pub async fn restore(&self) {
        match &self.server {
            None => {
                let file = self.file();
                for beside in ["-wal", "-shm"] {
                    // After a good end there is none.
                    let _ = std::fs::remove_file(format!("{}{beside}", file.display()));
                }
                std::fs::copy(self.backup(), file).expect("is copied");
            }
            Some((server, name)) => {
                let gone = format!("DROP DATABASE {name} WITH (FORCE)");
                let back = format!("ALTER DATABASE {name}_backup RENAME TO {name}");
                execute(server, &[&gone, &back]).await;
            }
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.as_ref().expect("SQLite has a folder").path().join("roundsman.db")
    }

    /// The file from which an SQLite database is restored.
    ///
    /// # Panics
    /// When it is not SQLite.
    #[must_use]
    pub fn backup(&self) -> PathBuf {
        self.file().with_extension("backup")
    }

    /// Removes what the test has made. A database that a failed test leaves goes with the server.
    pub async fn remove(self) {
        drop(self.folder);
        if let Some((server, name)) = self.server {
            execute(&server, &[&format!("DROP DATABASE {name} WITH (FORCE)")]).await;
        }
    }
}

async fn execute(server: &PgConnectOptions, statements: &[&str]) {
    let mut connection: PgConnection = server.connect().await.expect("PostgreSQL answers");
    for statement in statements {
        let done = sqlx::query(AssertSqlSafe((*statement).to_owned())).execute(&mut connection).await;
        done.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
    connection.close().await.expect("closes");
}
