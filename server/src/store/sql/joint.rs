//! SQLite's writer, shared. It is one connection for all tenants, so a batch only reads by a connection of its own; what it
//! writes is handed over when it is decided, and whatever has been handed over by the time that the writer is free is one
//! transaction: the tables of all these batches in one statement each, and one wait for the disk.
//!
//! A batch holds its tenant from its first read until its rows are written, as it does on PostgreSQL. Programs beside this
//! one may write the file, too. Where one did while a batch was under way, that batch is [`StoreError::Overtaken`].

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use sqlx::pool::PoolConnection;
use sqlx::sqlite::{SqliteConnection, SqlitePool};
use sqlx::{Connection as _, Sqlite, Transaction};
use tokio::sync::{OwnedMutexGuard, oneshot};

use super::write::{Rows, write_sqlite};
use super::{Result, tell};
use crate::error::StoreError;

/// So many batches are one transaction at most: nobody waits for the disk longer than that takes.
const TOGETHER: usize = 64;

/// A tenant, held.
pub(super) type Held = OwnedMutexGuard<()>;

/// The writer, and who waits for it.
#[derive(Debug)]
pub struct Joint {
    writer: SqlitePool,
    tenants: Mutex<HashMap<i64, Arc<tokio::sync::Mutex<()>>>>,
    waiting: Mutex<Vec<Part>>,
    /// SQLite's number for what others have written, as the writer saw it last,
    data_version: AtomicI64,
    /// and how often it has changed.
    foreign: AtomicU64,
}

/// What a batch has handed over.
#[derive(Debug)]
struct Part {
    rows: Vec<Rows>,
    began: u64,
    /// Until it is settled: whoever handed it over may be gone by then.
    _held: Held,
    reply: oneshot::Sender<Result<()>>,
}

/// A batch under way. As nobody else writes what is the tenant's, what it reads needs no transaction.
#[derive(Debug)]
pub(super) struct Shared {
    joint: Arc<Joint>,
    reader: PoolConnection<Sqlite>,
    /// Once it has to write more than rows.
    exclusive: Option<Transaction<'static, Sqlite>>,
    writes: Vec<Rows>,
    began: u64,
    held: Held,
}

impl Joint {
    /// Nobody waits.
    pub(super) async fn new(writer: SqlitePool) -> Result<Self> {
        let data_version = data_version(&mut *writer.acquire().await?).await?;
        Ok(Self {
            writer,
            tenants: Mutex::default(),
            waiting: Mutex::default(),
            data_version: data_version.into(),
            foreign: 0.into(),
        })
    }

    /// Waits until nobody else writes what is the tenant's.
    pub(super) async fn hold(&self, tenant: i64) -> Held {
        let lock = {
            let mut tenants = self.tenants.lock().expect("nothing panics while it holds the tenants");
            Arc::clone(tenants.entry(tenant).or_default())
        };
        lock.lock_owned().await
    }

    /// Begins a batch of this tenant.
    pub(super) async fn batch(self: &Arc<Self>, tenant: i64, readers: &SqlitePool) -> Result<Shared> {
        let held = self.hold(tenant).await;
        // Before anything is read: what others write from now on is noticed.
        let began = self.foreign.load(Ordering::Acquire);
        let reader = readers.acquire().await?;
        Ok(Shared { joint: Arc::clone(self), reader, exclusive: None, writes: Vec::new(), began, held })
    }

    /// Hands over what a batch writes, and waits until it is written. The first who waits sees to the writing of all, in a task
    /// of its own: what is handed over is written even if nobody waits for it any more.
    async fn write(self: &Arc<Self>, rows: Vec<Rows>, began: u64, held: Held) -> Result<()> {
        let (reply, settled) = oneshot::channel();
        let is_first = {
            let mut waiting = self.waiting();
            waiting.push(Part { rows, began, _held: held, reply });
            waiting.len() == 1
        };
        if is_first {
            tokio::spawn(Arc::clone(self).lead());
        }
        settled.await.unwrap_or_else(|_| Err(StoreError::Unavailable(sqlx::Error::PoolClosed)))
    }

    /// Waits for the writer, and writes what waits by then.
    async fn lead(self: Arc<Self>) {
        let writer = self.writer.acquire().await;
        let mut parts = std::mem::take(&mut *self.waiting());
        match writer {
            Ok(mut writer) => {
                while !parts.is_empty() {
                    let later = parts.split_off(parts.len().min(TOGETHER));
                    self.settle(&mut writer, std::mem::replace(&mut parts, later)).await;
                }
            }
            Err(error) => tracing::warn!(%error, batches = parts.len(), "there is no writer"),
        }
    }

    /// Writes these parts together. If the database refuses the data of one of them, each is written alone: nobody answers for
    /// what is another's.
    async fn settle(&self, writer: &mut SqliteConnection, parts: Vec<Part>) {
        if parts.len() > 1 {
            let together = parts.iter().map(|part| (part.began, part.rows.clone())).collect();
            match self.attempt(writer, together).await {
                Err(StoreError::Data(error)) => tracing::error!(%error, "batches are written one by one"),
                attempted => {
                    for part in parts {
                        let failed =
                            |error: &StoreError| StoreError::Unavailable(sqlx::Error::Protocol(error.to_string()));
                        let now = attempted.as_ref().map_err(failed);
                        // Whoever went away needs no answer.
                        let _ = part.reply.send(now.and_then(|now| current(part.began, *now)));
                    }
                    return;
                }
            }
        }
        for Part { rows, began, reply, .. } in parts {
            let now = self.attempt(writer, vec![(began, rows)]).await;
            let _ = reply.send(now.and_then(|now| current(began, now)));
        }
    }

    /// One transaction of batches that began at these counts, without those that are overtaken; returns the count of now.
    async fn attempt(&self, writer: &mut SqliteConnection, batches: Vec<(u64, Vec<Rows>)>) -> Result<u64> {
        tell("BEGIN");
        let mut tx = writer.begin_with(BEGIN).await?;
        let now = self.count_foreign(&mut tx).await?;
        let batches = batches.into_iter().filter(|(began, _)| *began == now).map(|(_, rows)| rows);
        for rows in merged(batches) {
            write_sqlite(&mut tx, rows).await?;
        }
        tell("COMMIT");
        tx.commit().await?;
        Ok(now)
    }

    /// How often others have written, as the writer, in its transaction, sees it.
    async fn count_foreign(&self, tx: &mut SqliteConnection) -> Result<u64> {
        let data_version = data_version(tx).await?;
        if self.data_version.swap(data_version, Ordering::AcqRel) != data_version {
            self.foreign.fetch_add(1, Ordering::AcqRel);
        }
        Ok(self.foreign.load(Ordering::Acquire))
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Part>> {
        self.waiting.lock().expect("nothing panics while it holds what waits")
    }
}

impl Shared {
    /// By what it reads now.
    pub(super) fn connection(&mut self) -> &mut SqliteConnection {
        match &mut self.exclusive {
            Some(tx) => tx,
            None => &mut self.reader,
        }
    }

    /// Takes the writer for this batch alone, so that it can write more than rows. Returns how many statements that took.
    pub(super) async fn exclude(&mut self) -> Result<u32> {
        let begins = self.exclusive.is_none();
        if begins {
            tell("BEGIN");
            let mut tx = self.joint.writer.begin_with(BEGIN).await?;
            current(self.began, self.joint.count_foreign(&mut tx).await?)?;
            self.exclusive = Some(tx);
        }
        Ok(if begins { AROUND } else { 0 })
    }

    /// Rows to be written in the end. Returns how many statements that will take, if no others share them.
    pub(super) fn write(&mut self, rows: Vec<Rows>) -> u32 {
        let around = if self.writes.is_empty() && self.exclusive.is_none() { AROUND } else { 0 };
        let tables = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        self.writes.extend(rows);
        tables.saturating_add(around)
    }

    /// Writes them.
    pub(super) async fn commit(self) -> Result<()> {
        let Self { joint, reader, exclusive, writes, began, held } = self;
        // Others read while this one waits for the writer.
        drop(reader);
        let Some(mut tx) = exclusive else { return joint.write(writes, began, held).await };
        for rows in writes {
            write_sqlite(&mut tx, rows).await?;
        }
        tell("COMMIT");
        Ok(tx.commit().await?)
    }
}

/// Statements at the beginning of a transaction.
const AROUND: u32 = 2;
/// A deferred transaction that upgrades to writing fails at once if anybody wrote meanwhile.
pub(super) const BEGIN: &str = "BEGIN IMMEDIATE";

/// SQLite's number for what others have written.
async fn data_version(connection: &mut SqliteConnection) -> Result<i64> {
    const ASK: &str = "PRAGMA data_version";
    tell(ASK);
    let (version,) = sqlx::query_as(ASK).fetch_one(connection).await?;
    Ok(version)
}

/// Fails if others have written since a batch began.
fn current(began: u64, now: u64) -> Result<()> {
    if began == now { Ok(()) } else { Err(StoreError::Overtaken) }
}

/// The rows of all batches by table.
fn merged(batches: impl Iterator<Item = Vec<Rows>>) -> Vec<Rows> {
    let mut tables: Vec<Rows> = Vec::new();
    for rows in batches.flatten().filter(|rows| !rows.rows.is_empty()) {
        match tables.iter_mut().find(|known| std::ptr::eq(known.table, rows.table)) {
            Some(known) => known.rows.extend(rows.rows),
            None => tables.push(rows),
        }
    }
    tables
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;
    use std::path::Path;
    use std::time::Duration;

    use roundsman_sync::version::Position;
    use tempfile::TempDir;
    use tokio::task::JoinHandle;
    use tracing::field::Field;
    use tracing::{Event, Subscriber};
    use tracing_subscriber::util::SubscriberInitExt as _;
    use tracing_subscriber::{Layer, layer, layer::SubscriberExt as _, registry};

    use super::super::{Db, Tx};
    use super::*;
    use crate::store::tenant;

    async fn open(folder: &Path) -> Db {
        let db = Db::connect(&format!("sqlite:{}", folder.join("test.db").display())).await.expect("connects");
        db.migrate().await.expect("migrates");
        db
    }

    /// Hands a batch over that commits this version of this tenant.
    fn commit(tx: Tx, tenant: i64, version: i64) -> JoinHandle<Result<()>> {
        tokio::spawn(async move {
            let mut tx = tx;
            tx.write(vec![tenant::commit_row(tenant, Position { version, nonce: 1 }, version)]).await?;
            tx.commit().await
        })
    }

    async fn version(db: &Db, tenant: i64) -> i64 {
        tenant::position(&mut db.glance().await.expect("begins"), tenant).await.expect("is read").version
    }

    fn parts(db: &Db) -> usize {
        let Db::Sqlite { joint, .. } = db else { unreachable!("it is SQLite") };
        joint.waiting().len()
    }

    /// Hands these over while somebody else has the writer, so that they are one transaction.
    async fn together(db: &Db, batches: &[(i64, i64)]) -> Vec<Result<()>> {
        let blocker = db.write().await.expect("begins");
        let mut tasks = Vec::new();
        for (tenant, version) in batches {
            tasks.push(commit(db.batch(*tenant).await.expect("begins"), *tenant, *version));
        }
        while parts(db) < batches.len() {
            tokio::task::yield_now().await;
        }
        drop(blocker);
        let mut ended = Vec::new();
        for task in tasks {
            ended.push(task.await.expect("does not panic"));
        }
        ended
    }

    /// Counts the statements that are this one.
    struct Told(&'static str, Arc<AtomicU64>);

    impl<S: Subscriber> Layer<S> for Told {
        fn on_event(&self, event: &Event<'_>, _: layer::Context<'_, S>) {
            event.record(&mut |_: &Field, value: &dyn Debug| {
                self.1.fetch_add(u64::from(format!("{value:?}").trim_matches('"') == self.0), Ordering::Relaxed);
            });
        }
    }

    #[tokio::test]
    async fn what_waits_for_the_writer_is_written_together() {
        let folder = TempDir::new().expect("a folder");
        let db = open(folder.path()).await;
        let commits = Arc::default();
        let _listening = registry().with(Told("COMMIT", Arc::clone(&commits))).set_default();
        let tenants = i64::try_from(TOGETHER).expect("is small") + 1;
        let all: Vec<(i64, i64)> = (1..=tenants).map(|tenant| (tenant, 1)).collect();
        for ended in together(&db, &all).await {
            ended.expect("is written");
        }
        for (tenant, _) in all {
            assert_eq!(version(&db, tenant).await, 1);
        }
        assert_eq!(commits.load(Ordering::Relaxed), 2, "as many as fit, and the last one");
        db.close().await;
    }

    #[tokio::test]
    async fn nobody_answers_for_data_that_is_anothers() {
        let folder = TempDir::new().expect("a folder");
        let db = open(folder.path()).await;
        commit(db.batch(2).await.expect("begins"), 2, 1).await.expect("does not panic").expect("is written");
        let ended = together(&db, &[(1, 1), (2, 1), (3, 1)]).await;
        assert!(matches!(ended.as_slice(), [Ok(()), Err(StoreError::Data(_)), Ok(())]), "{ended:?}");
        assert_eq!((version(&db, 1).await, version(&db, 3).await), (1, 1));
        db.close().await;
    }

    #[tokio::test]
    async fn a_batch_that_another_program_overtakes_writes_nothing() {
        let folder = TempDir::new().expect("a folder");
        let (db, other) = (open(folder.path()).await, open(folder.path()).await);
        for exclusive in [false, true] {
            let mut overtaken = db.batch(1).await.expect("begins");
            let tx = other.write_tenant(1).await.expect("begins");
            let theirs = version(&db, 1).await + 1;
            commit(tx, 1, theirs).await.expect("does not panic").expect("is written");
            let ended = if exclusive {
                overtaken.exclude().await
            } else {
                commit(overtaken, 1, 9).await.expect("does not panic")
            };
            assert!(matches!(ended, Err(StoreError::Overtaken)), "{ended:?}");
            assert_eq!(version(&db, 1).await, theirs);
        }
        let again = db.batch(1).await.expect("begins");
        commit(again, 1, 9).await.expect("does not panic").expect("is written");
        assert_eq!(version(&db, 1).await, 9);
        db.close().await;
        other.close().await;
    }

    #[tokio::test]
    async fn a_tenant_has_one_batch_at_a_time() {
        let folder = TempDir::new().expect("a folder");
        let db = open(folder.path()).await;
        let first = db.batch(1).await.expect("begins");
        let patience = Duration::from_millis(50);
        assert!(tokio::time::timeout(patience, db.batch(1)).await.is_err(), "another batch");
        assert!(tokio::time::timeout(patience, db.write_tenant(1)).await.is_err(), "another writer");
        drop(db.batch(2).await.expect("another tenant's begins"));
        drop(first);
        drop(db.write_tenant(1).await.expect("begins"));
        db.close().await;
    }

    #[tokio::test]
    async fn what_was_handed_over_is_written_although_nobody_waits_for_it() {
        let folder = TempDir::new().expect("a folder");
        let db = open(folder.path()).await;
        let blocker = db.write().await.expect("begins");
        let gone = commit(db.batch(1).await.expect("begins"), 1, 1);
        while parts(&db) < 1 {
            tokio::task::yield_now().await;
        }
        gone.abort();
        gone.await.expect_err("it is gone");
        drop(blocker);
        drop(db.batch(1).await.expect("begins once that is written"));
        assert_eq!(version(&db, 1).await, 1);
        db.close().await;
    }
}
