//! The seam: the one place where a database driver is named. Everything else writes SQL once, for both databases.
//!
//! Rules that keep the text common:
//! - `BIGINT`, `UUID`, `BYTEA` and `TEXT` are the only types; SQLite takes their names as they are.
//! - Moments, ids and random numbers come from Rust. No arithmetic that can overflow: PostgreSQL stops the batch, SQLite
//!   silently makes a floating point number of it. Sums are cast to BIGINT.
//! - `CASE` instead of `GREATEST`, no arrays, no JSON operators; `NULLS FIRST` or `LAST` stated where it matters.
//! - "The tenant's rows with these keys" is written `FROM BY_UUIDS(record.id, $2)`, with `BY_TEXTS` and `BY_INTS` for other
//!   keys, and the tenant always `$1`: one parameter for any number of keys, so that the statement caches stay small, and
//!   each key a search of its own in the index that begins with tenant and key. Where that is not the table's own key, it is
//!   named: `FROM BY_UUIDS(bucket_row.record, $2 BY bucket_row_by_record)`. They are deleted by `DELETE FROM BY_UUIDS(…)`,
//!   which more conditions may follow.
//! - A statement walks one index in its order, or searches one by its full key, from the first row on. PostgreSQL is told
//!   so (`PLANS`): its statistics are not there before the first ANALYZE, and are old after an import.
//! - `JOINED(frame)` is the bytes of all rows, one after another, in the order of the subquery that it reads.
//! - Rows are written with [`Tx::write`], any number of tables and rows at a time.

mod joint;
mod text;
mod write;

use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt as _;
use sqlx::pool::{PoolConnection, PoolConnectionMetadata};
use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgListener, PgPool, PgPoolOptions, PgRow};
use sqlx::query::{Query as SqlxQuery, QueryAs as SqlxQueryAs};
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteRow, SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, Connection as _, Encode, FromRow, Postgres, Sqlite, Type};
use uuid::Uuid;

use crate::ages::{Age, Ages};
use crate::error::StoreError;
use joint::{BEGIN as BEGIN_SQLITE, Held, Joint, Shared};
pub use write::{Cell, Column, Rows, Table};
use write::{write_postgres, write_sqlite};

type Result<T> = std::result::Result<T, StoreError>;

/// How long a statement may wait for a lock, by default.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// A writer that is silent for so long in its transaction loses it, and the lock with it: it hangs, or its machine
/// is gone. A batch is silent for as long as it computes, which is milliseconds.
const HUNG_WRITER: &str = "5s";
/// SQLite readers beside the one writer, and as many for batches.
const SQLITE_READERS: u32 = 4;
/// A page holds several orders with their lines; in SQLite's own 4 KiB each of them would need a page of its own beside.
const SQLITE_PAGE_BYTES: u32 = 8_192;
/// The writer's page cache, in SQLite's notation for KiB: a batch touches the leaves of a dozen trees, and SQLite's own
/// 2 MiB would read them from the file again for every batch.
const SQLITE_WRITER_CACHE: &str = "-65536";
/// The page cache of each reader: pages of a bucket are read once, in order.
const SQLITE_READER_CACHE: &str = "-4096";
/// The WAL is copied into the file when it has so many pages (64 MiB): what is written again in the meantime is copied
/// once.
const SQLITE_CHECKPOINT_PAGES: &str = "8192";
/// The WAL's file is cut to this after it was copied.
const SQLITE_WAL_BYTES: &str = "67108864";
/// PostgreSQL connections of a process, with the one that listens.
const POSTGRES_CONNECTIONS: u32 = 17;
/// A connection that has been idle for so long is asked whether it is still there before it is used.
const POSTGRES_TRUSTED: Duration = Duration::from_secs(5);
/// Where processes that share a database tell each other of their commits.
const CHANNEL: &str = "roundsman";
/// PostgreSQL takes announcements of fewer than 8,000 bytes.
pub const ANNOUNCEMENT_BYTES: usize = 7_999;

/// What PostgreSQL may plan. Where nothing is known of a table yet it takes a tenant for one of two hundred, and reads all
/// of its rows rather than searching for a few; and a plan that it keeps was made for the table as it was then. So a plan
/// depends on the statement only: no whole tables, no joins and no sorts of more than what was searched for.
const PLANS: [(&str, &str); 6] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    // Where there is nothing but the whole table, the plan looks dear enough to be compiled, each time anew.
    ("jit", "off"),
];

/// A value that either driver can store.
pub trait Bind:
    for<'q> Encode<'q, Sqlite> + Type<Sqlite> + for<'q> Encode<'q, Postgres> + Type<Postgres> + Send + 'static
{
}
impl<T> Bind for T where
    T: for<'q> Encode<'q, Sqlite> + Type<Sqlite> + for<'q> Encode<'q, Postgres> + Type<Postgres> + Send + 'static
{
}

/// A row that either driver can read back; tuples are, and `#[derive(sqlx::FromRow)]` provides it.
pub trait Row: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin + 'static {}
impl<T> Row for T where T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin + 'static {}

/// The database.
#[derive(Clone, Debug)]
pub enum Db {
    /// A file. One connection writes; SQLite lets nobody else write at the same time, and a single writer never gets
    /// SQLITE_BUSY.
    Sqlite {
        /// The writer, alone in its pool.
        writer: SqlitePool,
        /// Readers see the last commit, and never wait for the writer.
        readers: SqlitePool,
        /// The same for batches, which a device that pulls for a long time must not hold up.
        batches: SqlitePool,
        /// What batches have in common.
        joint: Arc<Joint>,
        /// The log beside the file: commits stand there until they are moved into the file.
        wal: PathBuf,
        /// The reading transactions under way.
        snapshots: Arc<Ages>,
    },
    /// A server.
    Postgres {
        /// Readers and writers.
        pool: PgPool,
        /// The reading transactions under way.
        snapshots: Arc<Ages>,
    },
}

/// What processes that share a database tell each other. It has a connection of its own.
#[derive(Debug)]
pub struct Listener(PgListener);

impl Listener {
    /// The next announcement.
    ///
    /// # Errors
    /// When the connection is lost, and with it what was announced meanwhile.
    pub async fn next(&mut self) -> Result<String> {
        let announced = self.0.try_recv().await?;
        let lost = || StoreError::Unavailable(sqlx::Error::PoolClosed);
        announced.map(|announced| announced.payload().to_owned()).ok_or_else(lost)
    }
}

/// A transaction, or a [`Db::glance`]. Dropped without [`Tx::commit`], it is rolled back.
#[derive(Debug)]
pub struct Tx {
    inner: Inner,
    statements: u32,
    /// Of a reading one.
    _snapshot: Option<Age>,
    /// On SQLite, of one that has a tenant for itself.
    _held: Option<Held>,
}

#[derive(Debug)]
enum Inner {
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    Postgres(sqlx::Transaction<'static, Postgres>),
    SqliteShared(Box<Shared>),
    SqliteGlance(PoolConnection<Sqlite>),
    PostgresGlance(PoolConnection<Postgres>),
}

impl Inner {
    fn connection(&mut self) -> Connection<'_> {
        match self {
            Self::Sqlite(tx) => Connection::Sqlite(tx),
            Self::Postgres(tx) => Connection::Postgres(tx),
            Self::SqliteShared(shared) => Connection::Sqlite(shared.connection()),
            Self::SqliteGlance(connection) => Connection::Sqlite(connection),
            Self::PostgresGlance(connection) => Connection::Postgres(connection),
        }
    }
}

enum Connection<'t> {
    Sqlite(&'t mut SqliteConnection),
    Postgres(&'t mut PgConnection),
}

impl Db {
    /// Connects to `sqlite:FILE` (made if it is not there) or `postgres://…`, and checks that the database keeps what it
    /// acknowledges.
    ///
    /// # Errors
    /// When the URL is not understood, the database does not answer, or its settings would lose acknowledged commands.
    pub async fn connect(url: &str) -> Result<Self> {
        if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            Self::connect_postgres(url).await
        } else if url.starts_with("sqlite:") {
            Self::connect_sqlite(SqliteConnectOptions::from_str(url)?).await
        } else {
            Err(StoreError::Setting("the database must be given as sqlite:FILE or postgres://…".to_owned()))
        }
    }

    /// Opens a copy of an SQLite database that nobody uses, only to read it. Nothing is made beside it.
    ///
    /// # Errors
    /// When it can't be opened.
    pub async fn open_copy(file: &Path) -> Result<Self> {
        let options = SqliteConnectOptions::new().filename(file).read_only(true).immutable(true);
        let readers = SqlitePoolOptions::new().max_connections(1).connect_with(options).await?;
        let (writer, batches) = (readers.clone(), readers.clone());
        let joint = Arc::new(Joint::new(writer.clone()).await?);
        Ok(Self::Sqlite { writer, readers, batches, joint, wal: PathBuf::new(), snapshots: Arc::default() })
    }

    async fn connect_sqlite(options: SqliteConnectOptions) -> Result<Self> {
        let options = options
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .page_size(SQLITE_PAGE_BYTES)
            .busy_timeout(LOCK_TIMEOUT)
            // What a statement that fails half-way would need to be undone, and sorting: never on disk.
            .pragma("temp_store", "MEMORY")
            .statement_cache_capacity(512);
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            // A file does not go away.
            .test_before_acquire(false)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(
                options
                    .clone()
                    .pragma("cache_size", SQLITE_WRITER_CACHE)
                    .pragma("wal_autocheckpoint", SQLITE_CHECKPOINT_PAGES)
                    .pragma("journal_size_limit", SQLITE_WAL_BYTES),
            )
            .await?;
        let (version,): (String,) = sqlx::query_as("SELECT sqlite_version()").fetch_one(&writer).await?;
        // Before 3.51.3 a race at the reset of the WAL corrupts a database that two connections use.
        if parse_version(&version) < (3, 51, 3) {
            return Err(StoreError::Setting(format!(
                "SQLite {version} may corrupt its file; 3.51.3 or later is needed"
            )));
        }
        let mut wal = options.get_filename().as_os_str().to_owned();
        wal.push("-wal");
        let options = options.pragma("cache_size", SQLITE_READER_CACHE).read_only(true);
        let reading = SqlitePoolOptions::new().max_connections(SQLITE_READERS).test_before_acquire(false);
        let readers = reading.clone().connect_with(options.clone()).await?;
        let batches = reading.connect_with(options).await?;
        let joint = Arc::new(Joint::new(writer.clone()).await?);
        Ok(Self::Sqlite { writer, readers, batches, joint, wal: wal.into(), snapshots: Arc::default() })
    }

    async fn connect_postgres(url: &str) -> Result<Self> {
        let options = PgConnectOptions::from_str(url)?.statement_cache_capacity(512).options([
            ("lock_timeout", "5s"),
            ("idle_in_transaction_session_timeout", "10s"),
            ("statement_timeout", "60s"),
            // Whoever does not even read what it asked for is gone as well.
            ("tcp_user_timeout", "10s"),
        ]);
        let options = options.options(PLANS);
        let pool = PgPoolOptions::new()
            .max_connections(POSTGRES_CONNECTIONS)
            // One that was just in use is still there, and asking it takes as long as what is asked of it.
            .test_before_acquire(false)
            .before_acquire(|connection, used| Box::pin(is_there(connection, used)))
            .connect_with(options)
            .await?;
        let (commit,): (String,) = sqlx::query_as("SHOW synchronous_commit").fetch_one(&pool).await?;
        if commit == "off" {
            return Err(StoreError::Setting(
                "PostgreSQL has synchronous_commit = off and would lose acknowledged commands; set it to on".to_owned(),
            ));
        }
        Ok(Self::Postgres { pool, snapshots: Arc::default() })
    }

    /// A consistent view. It is kept short, and never open while a network is waited for.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn read(&self) -> Result<Tx> {
        tell("BEGIN");
        let inner = match self {
            Self::Sqlite { readers, .. } => Inner::Sqlite(readers.begin().await?),
            Self::Postgres { pool, .. } => {
                Inner::Postgres(pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?)
            }
        };
        Ok(Tx { inner, statements: 1, _snapshot: Some(self.snapshots().start()), _held: None })
    }

    /// For one statement that reads, and needs no view in common with others: it is spared the round trips around it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn glance(&self) -> Result<Tx> {
        let inner = match self {
            Self::Sqlite { readers, .. } => Inner::SqliteGlance(readers.acquire().await?),
            Self::Postgres { pool, .. } => Inner::PostgresGlance(pool.acquire().await?),
        };
        Ok(Tx { inner, statements: 0, _snapshot: None, _held: None })
    }

    /// Whether other processes may write to it, too.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        matches!(self, Self::Postgres { .. })
    }

    /// Tells the other processes that share the database something, at most [`ANNOUNCEMENT_BYTES`] of it.
    ///
    /// It is no part of a transaction that writes: PostgreSQL lets commits that announce something wait for each other, all
    /// tenants' together.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn announce(&self, what: &str) -> Result<()> {
        if let Self::Postgres { pool, .. } = self {
            sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(what).execute(pool).await?;
        }
        Ok(())
    }

    /// What is announced from now on; `None`: no other process shares the database.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn listen(&self) -> Result<Option<Listener>> {
        let Self::Postgres { pool, .. } = self else { return Ok(None) };
        let mut listener = PgListener::connect_with(pool).await?;
        listener.eager_reconnect(false);
        listener.listen(CHANNEL).await?;
        Ok(Some(Listener(listener)))
    }

    /// The reading transactions under way. An old one keeps SQLite's log from being truncated, and PostgreSQL from taking
    /// away what is outdated.
    #[must_use]
    pub fn snapshots(&self) -> &Arc<Ages> {
        match self {
            Self::Sqlite { snapshots, .. } | Self::Postgres { snapshots, .. } => snapshots,
        }
    }

    /// How long SQLite's log is; `None`: it is not SQLite.
    #[must_use]
    pub fn wal_bytes(&self) -> Option<u64> {
        match self {
            // Without a log nothing waits to be moved.
            Self::Sqlite { wal, .. } => Some(std::fs::metadata(wal).map_or(0, |metadata| metadata.len())),
            Self::Postgres { .. } => None,
        }
    }

    /// Moves all of SQLite's log into the file and truncates it, if nobody writes or reads at this moment; whoever comes
    /// meanwhile waits for that and for nothing else. Returns whether it was done.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn truncate_wal(&self) -> Result<bool> {
        let Self::Sqlite { writer, .. } = self else { return Ok(false) };
        let Some(mut writer) = writer.try_acquire() else { return Ok(false) };
        // Readers are not waited for: the next time does as well.
        sqlx::query("PRAGMA busy_timeout = 0").execute(&mut *writer).await?;
        let truncated: std::result::Result<(i64, i64, i64), sqlx::Error> =
            sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut *writer).await;
        let timeout = format!("PRAGMA busy_timeout = {}", LOCK_TIMEOUT.as_millis());
        sqlx::query(AssertSqlSafe(timeout)).execute(&mut *writer).await?;
        let (busy, _, _) = truncated?;
        Ok(busy == 0)
    }

    /// Copies an SQLite database into a new file, as it is at one moment. Nobody has to wait for it.
    ///
    /// # Errors
    /// When it is not SQLite, or the file can't be written.
    pub async fn copy_to(&self, file: &Path) -> Result<()> {
        let Self::Sqlite { writer, .. } = self else {
            let text = "PostgreSQL is backed up by its own tools, such as pg_basebackup".to_owned();
            return Err(StoreError::Setting(text));
        };
        let file = file.to_str().ok_or_else(|| StoreError::Setting("the file's name is not UTF-8".to_owned()))?;
        sqlx::query("VACUUM INTO $1").bind(file).execute(&mut *writer.acquire().await?).await?;
        Ok(())
    }

    /// A transaction of the control tables (users, sessions …), which no lane writes.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn write(&self) -> Result<Tx> {
        self.begin(None).await
    }

    /// A tenant's write transaction: nobody else writes what is the tenant's, from its first read to its end. On PostgreSQL it
    /// holds the tenant's lock before anything is read, on SQLite the file's only writer as well. It must be READ COMMITTED:
    /// under REPEATABLE READ the snapshot would be older than the lock.
    ///
    /// The lock lives and dies with the transaction, so nobody has to be fenced: a process that wakes up after it has lost
    /// the lock has lost its transaction too, and can't write.
    ///
    /// # Errors
    /// When the database does not answer, or the lock is not to be had in time.
    pub async fn write_tenant(&self, tenant: i64) -> Result<Tx> {
        self.begin(Some(tenant)).await
    }

    /// The same for a batch that reads, decides, and then writes rows. On SQLite it leaves the writer to others until then,
    /// and shares it with them; what is no row takes [`Tx::exclude`].
    ///
    /// # Errors
    /// As [`Db::write_tenant`].
    pub async fn batch(&self, tenant: i64) -> Result<Tx> {
        let Self::Sqlite { batches, joint, .. } = self else { return self.write_tenant(tenant).await };
        let inner = Inner::SqliteShared(Box::new(joint.batch(tenant, batches).await?));
        Ok(Tx { inner, statements: 0, _snapshot: None, _held: None })
    }

    async fn begin(&self, tenant: Option<i64>) -> Result<Tx> {
        let (mut statements, mut held) = (1, None);
        let inner = match self {
            Self::Sqlite { writer, joint, .. } => {
                if let Some(tenant) = tenant {
                    held = Some(joint.hold(tenant).await);
                }
                tell("BEGIN");
                Inner::Sqlite(writer.begin_with(BEGIN_SQLITE).await?)
            }
            Self::Postgres { pool, .. } => {
                let begin = format!(
                    "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL idle_in_transaction_session_timeout = '{HUNG_WRITER}'"
                );
                tell("BEGIN");
                let mut tx = pool.begin_with(AssertSqlSafe(begin)).await?;
                // Not beside BEGIN: if it fails there, sqlx takes the transaction for one that has not begun, and puts the
                // connection back into the pool with it. Whoever gets that one can do nothing.
                if let Some(tenant) = tenant {
                    let lock = "SELECT pg_advisory_xact_lock($1)";
                    tell(lock);
                    sqlx::query(lock).bind(tenant).execute(&mut *tx).await?;
                    statements += 1;
                }
                Inner::Postgres(tx)
            }
        };
        Ok(Tx { inner, statements, _snapshot: None, _held: held })
    }

    /// Which database it is, for logs and metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sqlite { .. } => "sqlite",
            Self::Postgres { .. } => "postgres",
        }
    }

    /// Brings the schema up to date.
    ///
    /// # Errors
    /// When a migration fails, or the schema is newer than this program.
    pub async fn migrate(&self) -> Result<()> {
        let migrations = super::migrations::all(matches!(self, Self::Sqlite { .. }));
        let migrator = sqlx::migrate::Migrator { migrations: migrations.into(), ..sqlx::migrate::Migrator::DEFAULT };
        match self {
            Self::Sqlite { writer, .. } => migrator.run(writer).await,
            Self::Postgres { pool, .. } => migrator.run(pool).await,
        }
        .map_err(|error| StoreError::Migration(error.to_string()))
    }

    /// Waits until everything is written, and closes.
    pub async fn close(&self) {
        match self {
            Self::Sqlite { writer, readers, batches, .. } => {
                readers.close().await;
                batches.close().await;
                writer.close().await;
            }
            Self::Postgres { pool, .. } => pool.close().await,
        }
    }
}

async fn is_there(
    connection: &mut PgConnection,
    used: PoolConnectionMetadata,
) -> std::result::Result<bool, sqlx::Error> {
    if used.idle_for < POSTGRES_TRUSTED {
        return Ok(true);
    }
    connection.ping().await.map(|()| true)
}

fn parse_version(text: &str) -> (u32, u32, u32) {
    let mut parts = text.split('.').map(|part| part.parse().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0);
    (next(), next(), next())
}

/// Each round trip is an event of this module with the text of its statement, for logs and for whoever counts.
fn tell(sql: &str) {
    tracing::trace!(sql);
}

impl Tx {
    /// A statement without rows.
    pub fn query(&mut self, sql: &'static str) -> Query<'_> {
        self.statements += 1;
        tell(sql);
        match self.inner.connection() {
            Connection::Sqlite(conn) => Query::Sqlite(sqlx::query(AssertSqlSafe(text::sqlite(sql))), conn),
            Connection::Postgres(conn) => Query::Postgres(sqlx::query(AssertSqlSafe(text::postgres(sql))), conn),
        }
    }

    /// A statement that returns rows.
    pub fn query_as<T: Row>(&mut self, sql: &'static str) -> QueryAs<'_, T> {
        self.statements += 1;
        tell(sql);
        match self.inner.connection() {
            Connection::Sqlite(conn) => QueryAs::Sqlite(sqlx::query_as(AssertSqlSafe(text::sqlite(sql))), conn),
            Connection::Postgres(conn) => QueryAs::Postgres(sqlx::query_as(AssertSqlSafe(text::postgres(sql))), conn),
        }
    }

    /// Writes rows into any number of tables: on PostgreSQL in one round trip, on SQLite one statement a table. A batch on
    /// SQLite writes them when it commits.
    ///
    /// # Errors
    /// When a constraint is broken, or the database does not answer.
    pub async fn write(&mut self, writes: Vec<Rows>) -> Result<()> {
        let writes: Vec<Rows> = writes.into_iter().filter(|rows| !rows.rows.is_empty()).collect();
        if writes.is_empty() {
            return Ok(());
        }
        if let Inner::SqliteShared(shared) = &mut self.inner {
            self.statements += shared.write(writes);
            return Ok(());
        }
        self.statements += match self.inner.connection() {
            Connection::Sqlite(conn) => {
                let mut statements = 0;
                for rows in writes {
                    statements += write_sqlite(conn, rows).await?;
                }
                statements
            }
            Connection::Postgres(conn) => {
                write_postgres(conn, writes).await?;
                1
            }
        };
        Ok(())
    }

    /// Before a batch writes anything that is no row.
    ///
    /// # Errors
    /// When the database does not answer; [`StoreError::Overtaken`].
    pub async fn exclude(&mut self) -> Result<()> {
        match &mut self.inner {
            Inner::SqliteShared(shared) => self.statements += shared.exclude().await?,
            Inner::Sqlite(_) | Inner::Postgres(_) | Inner::SqliteGlance(_) | Inner::PostgresGlance(_) => {}
        }
        Ok(())
    }

    /// How many round trips this transaction has taken so far, its begin included.
    #[must_use]
    pub fn statements(&self) -> u32 {
        self.statements
    }

    /// How the database would answer a statement, whatever its parameters are: a line for each step.
    ///
    /// # Errors
    /// When it is not a statement, or the database does not answer.
    pub async fn explain(&mut self, sql: &str) -> Result<Vec<String>> {
        match self.inner.connection() {
            Connection::Sqlite(conn) => {
                let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", text::for_sqlite(sql)));
                let steps: Vec<(i64, i64, i64, String)> = sqlx::query_as(explain).fetch_all(&mut *conn).await?;
                Ok(steps.into_iter().map(|(.., step)| step).collect())
            }
            Connection::Postgres(conn) => {
                let sql = text::for_postgres(sql);
                let prepare = AssertSqlSafe(format!("PREPARE explained AS {sql}"));
                sqlx::raw_sql(prepare).execute(&mut *conn).await?;
                let parameters = (1..).take_while(|number| sql.contains(&format!("${number}")));
                let nulls: Vec<&str> = parameters.map(|_| "NULL").collect();
                let explain = format!("EXPLAIN (COSTS OFF) EXECUTE explained({})", nulls.join(","));
                let explain = AssertSqlSafe(explain.replace("()", ""));
                let steps: Vec<(String,)> = sqlx::query_as(explain).persistent(false).fetch_all(&mut *conn).await?;
                sqlx::raw_sql("DEALLOCATE explained").execute(&mut *conn).await?;
                Ok(steps.into_iter().map(|(step,)| step).collect())
            }
        }
    }

    /// Makes it durable.
    ///
    /// # Errors
    /// When the database does not confirm; whether it was committed is then unknown.
    pub async fn commit(self) -> Result<()> {
        match self.inner {
            Inner::Sqlite(tx) => {
                tell("COMMIT");
                tx.commit().await?;
            }
            Inner::Postgres(tx) => {
                tell("COMMIT");
                tx.commit().await?;
            }
            Inner::SqliteShared(shared) => shared.commit().await?,
            Inner::SqliteGlance(_) | Inner::PostgresGlance(_) => {}
        }
        Ok(())
    }
}

/// A statement in the making.
pub enum Query<'t> {
    /// On SQLite.
    Sqlite(SqlxQuery<'static, Sqlite, SqliteArguments>, &'t mut SqliteConnection),
    /// On PostgreSQL.
    Postgres(SqlxQuery<'static, Postgres, PgArguments>, &'t mut PgConnection),
}

impl Query<'_> {
    /// The next parameter.
    #[must_use]
    pub fn bind(self, value: impl Bind) -> Self {
        match self {
            Self::Sqlite(query, conn) => Self::Sqlite(query.bind(value), conn),
            Self::Postgres(query, conn) => Self::Postgres(query.bind(value), conn),
        }
    }

    /// The next parameter, for `BY_UUIDS`.
    #[must_use]
    pub fn bind_uuids(self, keys: &[Uuid]) -> Self {
        match self {
            Self::Sqlite(query, conn) => Self::Sqlite(query.bind(json_of_uuids(keys)), conn),
            Self::Postgres(query, conn) => Self::Postgres(query.bind(distinct(keys)), conn),
        }
    }

    /// Runs it, and says how many rows it touched.
    ///
    /// # Errors
    /// When a constraint is broken, or the database does not answer.
    pub async fn execute(self) -> Result<u64> {
        Ok(match self {
            Self::Sqlite(query, conn) => query.execute(conn).await?.rows_affected(),
            Self::Postgres(query, conn) => query.execute(conn).await?.rows_affected(),
        })
    }
}

/// A statement with rows in the making.
pub enum QueryAs<'t, T> {
    /// On SQLite.
    Sqlite(SqlxQueryAs<'static, Sqlite, T, SqliteArguments>, &'t mut SqliteConnection),
    /// On PostgreSQL.
    Postgres(SqlxQueryAs<'static, Postgres, T, PgArguments>, &'t mut PgConnection),
}

impl<T: Row> QueryAs<'_, T> {
    /// The next parameter.
    #[must_use]
    pub fn bind(self, value: impl Bind) -> Self {
        match self {
            Self::Sqlite(query, conn) => Self::Sqlite(query.bind(value), conn),
            Self::Postgres(query, conn) => Self::Postgres(query.bind(value), conn),
        }
    }

    /// The next parameter, for `BY_UUIDS`.
    #[must_use]
    pub fn bind_uuids(self, keys: &[Uuid]) -> Self {
        match self {
            Self::Sqlite(query, conn) => Self::Sqlite(query.bind(json_of_uuids(keys)), conn),
            Self::Postgres(query, conn) => Self::Postgres(query.bind(distinct(keys)), conn),
        }
    }

    /// The next parameter, for `BY_TEXTS`.
    #[must_use]
    pub fn bind_texts(self, keys: &[String]) -> Self {
        match self {
            Self::Sqlite(query, conn) => {
                let list = serde_json::to_string(&distinct(keys)).expect("texts are always JSON");
                Self::Sqlite(query.bind(list), conn)
            }
            Self::Postgres(query, conn) => Self::Postgres(query.bind(distinct(keys)), conn),
        }
    }

    /// The next parameter, for `BY_INTS`.
    #[must_use]
    pub fn bind_ints(self, keys: &[i64]) -> Self {
        match self {
            Self::Sqlite(query, conn) => {
                let list = serde_json::to_string(&distinct(keys)).expect("numbers are always JSON");
                Self::Sqlite(query.bind(list), conn)
            }
            Self::Postgres(query, conn) => Self::Postgres(query.bind(distinct(keys)), conn),
        }
    }

    /// The only row.
    ///
    /// # Errors
    /// When there is none, or the database does not answer.
    pub async fn one(self) -> Result<T> {
        Ok(match self {
            Self::Sqlite(query, conn) => query.fetch_one(conn).await?,
            Self::Postgres(query, conn) => query.fetch_one(conn).await?,
        })
    }

    /// The row, if there is one.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn optional(self) -> Result<Option<T>> {
        Ok(match self {
            Self::Sqlite(query, conn) => query.fetch_optional(conn).await?,
            Self::Postgres(query, conn) => query.fetch_optional(conn).await?,
        })
    }

    /// All rows; the caller bounds them.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn all(self) -> Result<Vec<T>> {
        Ok(match self {
            Self::Sqlite(query, conn) => query.fetch_all(conn).await?,
            Self::Postgres(query, conn) => query.fetch_all(conn).await?,
        })
    }

    /// Row by row, until `visit` breaks: memory is bounded by what `visit` keeps.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn each(self, mut visit: impl FnMut(T) -> ControlFlow<()>) -> Result<()> {
        match self {
            Self::Sqlite(query, conn) => {
                let mut rows = query.fetch(conn);
                while let Some(row) = rows.try_next().await? {
                    if visit(row).is_break() {
                        break;
                    }
                }
            }
            Self::Postgres(query, conn) => {
                let mut rows = query.fetch(conn);
                while let Some(row) = rows.try_next().await? {
                    if visit(row).is_break() {
                        break;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Each key is a search of its own, so none may come twice; in order, neighbours are read together.
fn distinct<K: Ord + Clone>(keys: &[K]) -> Vec<K> {
    let mut keys = keys.to_vec();
    keys.sort_unstable();
    keys.dedup();
    keys
}

fn json_of_uuids(keys: &[Uuid]) -> String {
    let mut list = String::with_capacity(keys.len() * 35 + 2);
    list.push('[');
    for (index, key) in distinct(keys).iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        write!(list, "{comma}\"{}\"", key.simple()).expect("writing to a string never fails");
    }
    list.push(']');
    list
}

/// Whether a connection answers, for readiness.
///
/// # Errors
/// When it does not.
pub async fn ping(db: &Db) -> Result<()> {
    match db {
        Db::Sqlite { readers, .. } => readers.acquire().await?.ping().await?,
        Db::Postgres { pool, .. } => pool.acquire().await?.ping().await?,
    }
    Ok(())
}
