//! A fresh database for each part.

use std::fmt;
use std::time::Duration;

use anyhow::Context as _;
use clap::ValueEnum;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use tempfile::TempDir;
use tokio::net::lookup_host;

use crate::bench::Bench;
use crate::wire::Relay;

/// Which database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A file in a temporary folder.
    Sqlite,
    /// A database of a running server.
    Postgres,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        })
    }
}

impl Kind {
    /// A figure's name on this database.
    #[must_use]
    pub fn named(self, figure: &str) -> String {
        match self {
            Self::Sqlite => format!("{figure}.sqlite"),
            Self::Postgres => format!("{figure}.postgres"),
        }
    }

    /// One of two goals.
    #[must_use]
    pub fn either<T>(self, sqlite: T, postgres: T) -> T {
        match self {
            Self::Sqlite => sqlite,
            Self::Postgres => postgres,
        }
    }
}

/// An empty database.
#[derive(Debug)]
pub struct Database {
    /// What a server connects to.
    pub url: String,
    /// Which it is.
    pub kind: Kind,
    /// How it keeps what it acknowledges.
    pub durability: String,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Folder(TempDir),
    Server(Box<PgConnectOptions>, String),
}

impl Database {
    /// Makes one.
    pub async fn create(bench: &Bench, kind: Kind) -> anyhow::Result<Self> {
        match kind {
            Kind::Sqlite => {
                let folder = TempDir::new().context("there is no temporary folder")?;
                let url = format!("sqlite:{}", folder.path().join("roundsman.db").display());
                let durability = "SQLite, WAL, synchronous=FULL".to_owned();
                Ok(Self { url, kind, durability, place: Place::Folder(folder) })
            }
            Kind::Postgres => create_postgres(bench).await,
        }
    }

    /// The same PostgreSQL database behind a wire on which everything arrives so much later, each way.
    pub async fn far(&self, delay: Duration) -> anyhow::Result<(Relay, String)> {
        let options: PgConnectOptions = self.url.parse().context("only PostgreSQL may be far away")?;
        let found = lookup_host((options.get_host(), options.get_port())).await?.next();
        let relay = Relay::start_delayed(found.context("PostgreSQL has no address")?, delay).await?;
        let near = options.host(&relay.address.ip().to_string()).port(relay.address.port());
        Ok((relay, near.to_url_lossy().to_string()))
    }

    /// Takes it away. One that a failed part leaves goes with its server.
    pub async fn remove(self) -> anyhow::Result<()> {
        match self.place {
            Place::Folder(folder) => folder.close().context("the temporary folder can't be removed"),
            Place::Server(server, name) => {
                let mut connection: PgConnection = server.connect().await?;
                sqlx::query(AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)")))
                    .execute(&mut connection)
                    .await?;
                Ok(connection.close().await?)
            }
        }
    }
}

async fn create_postgres(bench: &Bench) -> anyhow::Result<Database> {
    let url = bench.postgres.as_deref().context("there is no PostgreSQL to measure")?;
    let server: PgConnectOptions = url.parse().context("the URL of PostgreSQL is wrong")?;
    let name = format!("bench_{:016x}", bench.number());
    let mut connection: PgConnection = server.connect().await.context("PostgreSQL does not answer")?;
    sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut connection).await?;
    let mut durability = String::from("PostgreSQL");
    for setting in ["server_version", "fsync", "synchronous_commit"] {
        let query = sqlx::query_as::<_, (String,)>(AssertSqlSafe(format!("SHOW {setting}")));
        let (value,) = query.fetch_one(&mut connection).await?;
        let value = value.split(' ').next().unwrap_or_default();
        durability += &if setting == "server_version" { format!(" {value}") } else { format!(", {setting}={value}") };
    }
    connection.close().await?;
    let url = server.clone().database(&name).to_url_lossy().to_string();
    Ok(Database { url, kind: Kind::Postgres, durability, place: Place::Server(Box::new(server), name) })
}
