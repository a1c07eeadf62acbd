//! Rows of any table, read and written as the fastest statements of each database do: many values in one statement on SQLite,
//! one array for each column on PostgreSQL.

use anyhow::Context as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{
    AssertSqlSafe, ColumnIndex, ConnectOptions as _, Connection as _, Decode, PgConnection, Row, SqliteConnection, Type,
};
use uuid::Uuid;

/// Values in one statement of SQLite, at most.
const SQLITE_VALUES: usize = 30_000;

/// The values of a column.
#[derive(Clone, Debug)]
pub enum Column {
    /// BIGINT
    Ints(Vec<Option<i64>>),
    /// UUID
    Ids(Vec<Option<Uuid>>),
    /// BYTEA
    Blobs(Vec<Option<Vec<u8>>>),
    /// TEXT
    Texts(Vec<Option<String>>),
}

impl Column {
    fn of(declared: &str) -> anyhow::Result<Self> {
        Ok(match declared.to_lowercase().as_str() {
            "bigint" | "int8" => Self::Ints(Vec::new()),
            "uuid" => Self::Ids(Vec::new()),
            "bytea" => Self::Blobs(Vec::new()),
            "text" => Self::Texts(Vec::new()),
            other => anyhow::bail!("a column of type {other}"),
        })
    }

    fn len(&self) -> usize {
        match self {
            Self::Ints(values) => values.len(),
            Self::Ids(values) => values.len(),
            Self::Blobs(values) => values.len(),
            Self::Texts(values) => values.len(),
        }
    }
}

/// Rows, column by column.
#[derive(Clone, Debug)]
pub struct Rows(Vec<(String, Column)>);

impl Rows {
    /// Of these columns, which are equally long.
    #[must_use]
    pub fn new(columns: Vec<(String, Column)>) -> Self {
        Self(columns)
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.first().map_or(0, |(_, column)| column.len())
    }

    /// The id in a row.
    pub fn id(&self, row: usize, column: &str) -> anyhow::Result<Uuid> {
        let column = self.0.iter().find(|(name, _)| name == column);
        match column {
            Some((_, Column::Ids(ids))) => ids.get(row).copied().flatten().context("a row without an id"),
            _ => anyhow::bail!("no column of ids"),
        }
    }
}

/// A connection that keeps what it commits, as the server's does.
#[derive(Debug)]
pub enum Connection {
    /// To a file.
    Sqlite(SqliteConnection),
    /// To a server.
    Postgres(PgConnection),
}

impl Connection {
    /// By the URL that a server takes.
    pub async fn open(url: &str) -> anyhow::Result<Self> {
        Ok(if url.starts_with("sqlite:") {
            let options: SqliteConnectOptions = url.parse()?;
            let options = options.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full);
            Self::Sqlite(options.pragma("cache_size", "-65536").connect().await?)
        } else {
            Self::Postgres(PgConnection::connect(url).await?)
        })
    }

    /// Carries out a statement.
    pub async fn execute(&mut self, sql: &str) -> anyhow::Result<()> {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Self::Sqlite(connection) => sqlx::query(sql).execute(connection).await.map(drop)?,
            Self::Postgres(connection) => sqlx::query(sql).execute(connection).await.map(drop)?,
        }
        Ok(())
    }

    /// Begins to write.
    pub async fn begin(&mut self) -> anyhow::Result<()> {
        let sql = if matches!(self, Self::Sqlite(_)) { "BEGIN IMMEDIATE" } else { "BEGIN" };
        self.execute(sql).await
    }

    /// The one number that a statement finds.
    pub async fn number(&mut self, sql: &str) -> anyhow::Result<i64> {
        let sql = AssertSqlSafe(sql.to_owned());
        let (number,) = match self {
            Self::Sqlite(connection) => sqlx::query_as::<_, (i64,)>(sql).fetch_one(connection).await?,
            Self::Postgres(connection) => sqlx::query_as::<_, (i64,)>(sql).fetch_one(connection).await?,
        };
        Ok(number)
    }

    /// Where the tenant is.
    pub async fn version(&mut self) -> anyhow::Result<i64> {
        self.number("SELECT MAX(version) FROM commit_point WHERE tenant = 1").await
    }

    /// What a statement finds in a table, all of whose columns it names.
    pub async fn select(&mut self, table: &str, sql: &str) -> anyhow::Result<Rows> {
        let types: Vec<(String, String)> = match self {
            Self::Sqlite(connection) => {
                let sql = format!("SELECT name, type FROM pragma_table_info('{table}') ORDER BY cid");
                sqlx::query_as(AssertSqlSafe(sql)).fetch_all(connection).await?
            }
            Self::Postgres(connection) => {
                let sql = format!(
                    "SELECT column_name::text, udt_name::text FROM information_schema.columns WHERE table_name = \
                     '{table}' ORDER BY ordinal_position"
                );
                sqlx::query_as(AssertSqlSafe(sql)).fetch_all(connection).await?
            }
        };
        let mut columns = Vec::new();
        for (name, declared) in types {
            columns.push((name, Column::of(&declared)?));
        }
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Self::Sqlite(connection) => {
                for row in sqlx::query(sql).fetch_all(connection).await? {
                    take(&mut columns, &row)?;
                }
            }
            Self::Postgres(connection) => {
                for row in sqlx::query(sql).fetch_all(connection).await? {
                    take(&mut columns, &row)?;
                }
            }
        }
        Ok(Rows(columns))
    }

    /// Reads records by their ids, and counts them.
    pub async fn records(&mut self, ids: &[Uuid]) -> anyhow::Result<usize> {
        const COLUMNS: &str = "SELECT id, kind, version, document, stamps, removed_at, survivor FROM record";
        Ok(match self {
            Self::Sqlite(connection) => {
                let mut query = sqlx::QueryBuilder::new(COLUMNS);
                query.push(" WHERE tenant = 1 AND id IN (");
                let mut list = query.separated(", ");
                for id in ids {
                    list.push_bind(*id);
                }
                query.push(")");
                query.build().fetch_all(connection).await?.len()
            }
            Self::Postgres(connection) => {
                let sql = AssertSqlSafe(format!("{COLUMNS} WHERE tenant = 1 AND id = ANY($1)"));
                sqlx::query(sql).bind(ids).fetch_all(connection).await?.len()
            }
        })
    }

    /// Inserts some of the rows into a table; `conflict` says what becomes of those that are there.
    pub async fn insert(&mut self, table: &str, rows: &Rows, places: &[usize], conflict: &str) -> anyhow::Result<()> {
        let names: Vec<&str> = rows.0.iter().map(|(name, _)| name.as_str()).collect();
        let into = format!("INSERT INTO {table} ({}) ", names.join(", "));
        match self {
            Self::Sqlite(connection) => {
                for places in places.chunks(SQLITE_VALUES / names.len()) {
                    let mut query = sqlx::QueryBuilder::new(&into);
                    query.push_values(places, |mut values, place| {
                        for (_, column) in &rows.0 {
                            match column {
                                Column::Ints(column) => values.push_bind(column[*place]),
                                Column::Ids(column) => values.push_bind(column[*place]),
                                Column::Blobs(column) => values.push_bind(column[*place].as_deref()),
                                Column::Texts(column) => values.push_bind(column[*place].as_deref()),
                            };
                        }
                    });
                    query.push(" ").push(conflict);
                    query.build().execute(&mut *connection).await?;
                }
            }
            Self::Postgres(connection) => {
                let casts = rows.0.iter().enumerate().map(|(index, (_, column))| {
                    let declared = match column {
                        Column::Ints(_) => "bigint",
                        Column::Ids(_) => "uuid",
                        Column::Blobs(_) => "bytea",
                        Column::Texts(_) => "text",
                    };
                    format!("${}::{declared}[]", index + 1)
                });
                let casts = casts.collect::<Vec<_>>().join(", ");
                let mut query = sqlx::query(AssertSqlSafe(format!("{into}SELECT * FROM UNNEST({casts}) {conflict}")));
                for (_, column) in &rows.0 {
                    query = match column {
                        Column::Ints(column) => query.bind(chosen(column, places)),
                        Column::Ids(column) => query.bind(chosen(column, places)),
                        Column::Blobs(column) => query.bind(chosen(column, places)),
                        Column::Texts(column) => query.bind(chosen(column, places)),
                    };
                }
                query.execute(connection).await?;
            }
        }
        Ok(())
    }
}

fn take<R: Row>(columns: &mut [(String, Column)], row: &R) -> anyhow::Result<()>
where
    usize: ColumnIndex<R>,
    for<'r> i64: Decode<'r, R::Database> + Type<R::Database>,
    for<'r> Uuid: Decode<'r, R::Database> + Type<R::Database>,
    for<'r> Vec<u8>: Decode<'r, R::Database> + Type<R::Database>,
    for<'r> String: Decode<'r, R::Database> + Type<R::Database>,
{
    for (index, (_, column)) in columns.iter_mut().enumerate() {
        match column {
            Column::Ints(values) => values.push(row.try_get(index)?),
            Column::Ids(values) => values.push(row.try_get(index)?),
            Column::Blobs(values) => values.push(row.try_get(index)?),
            Column::Texts(values) => values.push(row.try_get(index)?),
        }
    }
    Ok(())
}

fn chosen<T: Clone>(column: &[T], places: &[usize]) -> Vec<T> {
    places.iter().map(|place| column[*place].clone()).collect()
}
