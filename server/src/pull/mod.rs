//! The read path: from buckets to a device.
//!
//! A consistent cut without a snapshot that stays open: pages are *scanned* one by one, each in a short transaction of its
//! own; rows that move meanwhile are missed and come again with a higher version. Then one short transaction *cuts*: it
//! reads where the tenant is, what the caller holds, what the buckets must contain, and all remaining rows, into a bounded
//! buffer, and ends; only then is anything sent. No transaction is open while a network is waited for, and memory is
//! bounded for each connection. A pull writes nothing.

mod digests;
mod plan;
mod repair;
mod spill;
mod state;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use roundsman_proto::sync::pull_response::Message;
use roundsman_proto::sync::{
    Checkpoint, Fork, InventoryRequest, KeepAlive, Page, Plan, PullRequest, PullResponse, Urgency,
};
use roundsman_sync::kind::{self, Group, KINDS};
use roundsman_sync::limits::PAGE_ROWS;
use roundsman_sync::page::{Cursor, PageBuilder};
use roundsman_sync::scope::Month;
use roundsman_sync::version::Position;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::mpsc;
use tonic::Status;
use xxhash_rust::xxh3::xxh3_64;

use crate::auth::caller::Caller;
use crate::clock::Clock;
use crate::error::StoreError;
use crate::fail::FailPoints;
use crate::grants::{self, Holding};
use crate::store::bucket::{self, Bucket};
use crate::store::sql::{Db, Tx};
use crate::store::tenant::{self, Glance, Head};
use crate::tail::Tail;

pub use digests::Digests;
use plan::{Known, Planned, Planner};
use repair::Repair;
use spill::Pages;
use state::{News, State};

/// What a cut holds in memory.
const CUT_BYTES: usize = 512 * 1024;
/// After so many cuts that did not hold everything, the next one takes all there is, on disk beyond [`CUT_BYTES`]: so a
/// pull ends under any load of writes.
const PARTIAL_CUTS: u32 = 2;
/// A follower hears at least this often.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Devices that are sent away together come back within this.
const RETRY_SPREAD: Duration = Duration::from_secs(30);
/// A device that takes nothing for so long is sent away: what waits for it is memory that others need.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Why a pull ends before its time.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The device went away.
    #[error("the device went away")]
    Gone,
    /// The device takes nothing of what it is sent; it may come back after this long.
    #[error("the device takes nothing of what it is sent")]
    Slow(Duration),
    /// The server stops; the device may come back after this long.
    #[error("the server is stopping")]
    Stopping(Duration),
    /// The caller may no longer pull.
    #[error("{0}")]
    Ended(Status),
}

/// Looks whether the caller may still pull: asked at every checkpoint and wake.
pub type Standing = dyn Fn() -> Result<(), Status> + Send + Sync;

/// One device's pull.
pub struct Pull {
    /// The database.
    pub db: Db,
    /// The clock.
    pub clock: Arc<Clock>,
    /// Who pulls.
    pub caller: Caller,
    /// Whether the caller still may.
    pub standing: Arc<Standing>,
    /// Where the messages go; when it is full, the pull waits.
    pub out: mpsc::Sender<PullResponse>,
    /// How long it waits for a device that takes nothing.
    pub patience: Duration,
    /// What callers' scope digests were.
    pub digests: Arc<Digests>,
    /// What is committed from before the first read on.
    pub tails: broadcast::Receiver<Arc<Tail>>,
    /// Where a test makes it fail.
    pub fail: FailPoints,
}

/// What one short transaction says about the caller's buckets.
pub(crate) struct View {
    /// Where the tenant is.
    pub head: Head,
    /// What the caller holds.
    pub holding: Holding,
    /// The buckets of these scopes and of the kinds that the app understands, by number.
    pub buckets: Vec<Bucket>,
}

impl View {
    async fn read(tx: &mut Tx, caller: &Caller, kinds: &BTreeSet<i64>) -> Result<Self, StoreError> {
        let (head, holding) = standing(tx, caller).await?;
        Self::of(tx, caller, kinds, (head, holding)).await
    }

    async fn of(
        tx: &mut Tx,
        caller: &Caller,
        kinds: &BTreeSet<i64>,
        (head, holding): (Head, Holding),
    ) -> Result<Self, StoreError> {
        let mut buckets = bucket::of_scopes(tx, caller.tenant, &holding.texts()).await?;
        buckets.retain(|bucket| kinds.contains(&bucket.kind));
        Ok(Self { head, holding, buckets })
    }
}

/// Where the tenant is, and what the caller holds.
async fn standing(tx: &mut Tx, caller: &Caller) -> Result<(Head, Holding), StoreError> {
    let head = tenant::head(tx, caller.tenant)
        .await?
        .ok_or_else(|| StoreError::Corrupt(format!("tenant {} has users but no row", caller.tenant)))?;
    Ok((head, grants::holding(tx, caller).await?))
}

impl Pull {
    /// Serves the request to its end.
    ///
    /// # Errors
    /// See [`PullError`].
    pub async fn serve(mut self, request: &PullRequest) -> Result<(), PullError> {
        let Some((mut state, complete)) = self.begin(request).await? else { return Ok(()) };
        match request.urgency() {
            Urgency::Today => {
                self.bring(&mut state, Group::Today).await?;
                return Ok(());
            }
            Urgency::All | Urgency::Unspecified if !complete => self.bring_all(&mut state).await?,
            Urgency::All | Urgency::Unspecified => {}
        }
        if request.follow {
            self.follow(&mut state).await?;
        }
        Ok(())
    }

    /// The answer to the most frequent of all calls, by one read: a device asks for everything, once, and is where the tenant
    /// is, with all that it holds. Its grants were read there when it was brought there.
    async fn nothing_new(
        &self,
        request: &PullRequest,
        kinds: &BTreeSet<i64>,
    ) -> Result<Option<Checkpoint>, StoreError> {
        let all_there = request.lagging.is_empty() && request.staging.is_empty() && !request.has_inventory;
        if !all_there || request.follow || request.urgency() == Urgency::Today {
            return Ok(None);
        }
        let Some(position) = request.position.map(Position::from) else { return Ok(None) };
        if self.digests.at(position, &self.caller, kinds) != Some(request.scope_digest) {
            return Ok(None);
        }
        let mut tx = self.db.glance().await?;
        let glance = tenant::glance(&mut tx, self.caller.tenant, self.caller.device).await?;
        tx.commit().await?;
        let Some(Glance { durable_version, last_seq, .. }) = glance.filter(|glance| glance.position == position) else {
            return Ok(None);
        };
        if request.last_outcome_seq > last_seq || request.at_least > position.version {
            return Ok(None);
        }
        Ok(Some(Checkpoint {
            position: Some(position.into()),
            group: Group::History as u32,
            last: true,
            scope_digest: request.scope_digest,
            durable_version,
            server_time_us: self.clock.now_us(),
            ..Checkpoint::default()
        }))
    }

    /// Plans from the position alone if that says enough, from the inventory otherwise; without one, asks for it and ends.
    /// What is little is cut in the same transaction, so that a delta costs one; says whether that was everything.
    async fn begin(&self, request: &PullRequest) -> Result<Option<(State, bool)>, PullError> {
        let kinds = understood(request);
        if let Some(checkpoint) = self.nothing_new(request, &kinds).await? {
            self.send(Message::Checkpoint(checkpoint)).await?;
            return Ok(None);
        }
        let mut tx = self.db.read().await?;
        let (head, holding) = standing(&mut tx, &self.caller).await?;
        self.digests.read(head.position, &self.caller, &kinds, holding.digest(&kinds));
        let known = Known::read(&mut tx, &self.caller, request, &head).await?;
        let view = View::of(&mut tx, &self.caller, &kinds, (head, holding)).await?;
        let planner = Planner { request, view: &view, known: &known, kinds: &kinds, month: self.month() };
        let planned = planner.plan();
        let mut first = None;
        if let Some(mut planned) = planned {
            repair::mend(&mut tx, &self.caller, request, &view, &mut planned).await?;
            let Planned { plan, held, oldest } = planned;
            let holding = view.holding.clone();
            let mut state = State::new(kinds, self.month(), holding, view.head.position, (held, oldest));
            let little = state.fresh_bytes() <= CUT_BYTES as i64 && request.urgency() != Urgency::Today;
            let cut =
                if little { Some(self.cut_at(&mut tx, &view, &mut state, Group::History, false).await?) } else { None };
            first = Some((plan, state, cut));
        }
        tx.commit().await?;
        self.fail.pass("pull.planned")?;
        if let Some(expected_seq) = known.fork {
            metrics::counter!("roundsman_forks_total").increment(1);
            self.send(Message::Fork(Fork { expected_seq })).await?;
        }
        let Some((plan, state, cut)) = first else {
            self.send(Message::InventoryRequest(InventoryRequest {})).await?;
            return Ok(None);
        };
        if !plan.buckets.is_empty() || plan.fork {
            self.send(Message::Plan(plan)).await?;
        }
        let complete = match cut {
            Some(cut) => self.send_cut(cut).await?,
            None => false,
        };
        Ok(Some((state, complete)))
    }

    /// The month by the server's clock, in UTC: it only orders what comes, so a few hours of difference do no harm.
    fn month(&self) -> Month {
        const DAY_US: i64 = 86_400_000_000;
        let day = i32::try_from(self.clock.now_us().div_euclid(DAY_US)).unwrap_or(i32::MAX);
        Month::of_day(day).unwrap_or_default()
    }

    async fn send(&self, message: Message) -> Result<(), PullError> {
        if let Message::Page(page) = &message {
            metrics::counter!("roundsman_pages_sent_total").increment(1);
            metrics::counter!("roundsman_page_bytes_sent_total").increment(page.payload.len() as u64);
        }
        let sent = self.out.send(PullResponse { message: Some(message) });
        match tokio::time::timeout(self.patience, sent).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_closed)) => Err(PullError::Gone),
            Err(_elapsed) => {
                metrics::counter!("roundsman_slow_devices_total").increment(1);
                Err(PullError::Slow(retry_after(&self.caller)))
            }
        }
    }

    /// Brings everything: in one cut if it is little, else group by group, so that work can begin before the history came.
    async fn bring_all(&self, state: &mut State) -> Result<(), PullError> {
        if state.fresh_bytes() > CUT_BYTES as i64 {
            self.bring(state, Group::Today).await?;
            self.bring(state, Group::Sell).await?;
        }
        self.bring(state, Group::History).await
    }

    /// Brings the groups up to this one, and ends with their checkpoint.
    async fn bring(&self, state: &mut State, group: Group) -> Result<(), PullError> {
        if state.fresh_bytes() > CUT_BYTES as i64 {
            self.scan(state, group, state.served()).await?;
        }
        for attempt in 0.. {
            (self.standing)().map_err(PullError::Ended)?;
            let cut = self.cut(state, group, attempt >= PARTIAL_CUTS).await?;
            let position = cut.position;
            if self.send_cut(cut).await? {
                break;
            }
            self.scan(state, group, position).await?;
        }
        Ok(())
    }

    /// Sends what a cut has read; says whether it was complete.
    async fn send_cut(&self, mut cut: Cut) -> Result<bool, PullError> {
        if !cut.plan.buckets.is_empty() {
            self.send(Message::Plan(cut.plan)).await?;
        }
        while let Some(page) = cut.pages.next()? {
            self.fail.pass("pull.page")?;
            self.send(Message::Page(page)).await?;
        }
        let Some(checkpoint) = cut.checkpoint else { return Ok(false) };
        self.send(Message::Checkpoint(checkpoint)).await?;
        Ok(true)
    }

    /// Sends the rows up to a version, page by page, each read in a short transaction of its own.
    async fn scan(&self, state: &mut State, group: Group, through: Position) -> Result<(), PullError> {
        for id in state.behind(group, through.version) {
            while let Some(cursor) = state.cursor(id) {
                let mut tx = self.db.read().await?;
                // Rows that have moved since the plan are missing: a server that is restored to before their move must not
                // take this page for one of its own.
                let built = tenant::position(&mut tx, self.caller.tenant).await?;
                let page =
                    next_page(&mut tx, (self.caller.tenant, id), (cursor, state.repair(id)), (through, built)).await?;
                tx.commit().await?;
                self.fail.pass("pull.scanned")?;
                let Some((page, read)) = page else { break };
                state.read(id, read);
                self.send(Message::Page(page)).await?;
            }
        }
        Ok(())
    }

    /// One short transaction: grants, buckets, and the remaining rows of the groups up to `group`, as far as they fit.
    async fn cut(&self, state: &mut State, group: Group, everything: bool) -> Result<Cut, PullError> {
        let mut tx = self.db.read().await?;
        let view = View::read(&mut tx, &self.caller, state.kinds()).await?;
        let cut = self.cut_at(&mut tx, &view, state, group, everything).await?;
        tx.commit().await?;
        self.fail.pass("pull.cut")?;
        Ok(cut)
    }

    /// The remaining rows of the groups up to `group`, at the view of the same transaction.
    async fn cut_at(
        &self,
        tx: &mut Tx,
        view: &View,
        state: &mut State,
        group: Group,
        everything: bool,
    ) -> Result<Cut, PullError> {
        let position = view.head.position;
        if state.overtaken(view.head.horizon) {
            return Err(PullError::Ended(Status::aborted("the horizon has passed what was sent; pull again")));
        }
        let plan = state.replan(view, group);
        let mut pages = Pages::new(CUT_BYTES, everything);
        'buckets: for bucket in &view.buckets {
            while let Some(cursor) = state.unread(bucket, group) {
                if pages.is_full() {
                    break 'buckets;
                }
                let from = (cursor, state.repair(bucket.id));
                match next_page(tx, (self.caller.tenant, bucket.id), from, (position, position)).await? {
                    Some((page, read)) => {
                        state.read(bucket.id, read);
                        pages.push(page)?;
                    }
                    None => state.read(bucket.id, Cursor::after(position.version)),
                }
            }
        }
        let checkpoint = (!pages.is_full() || everything)
            .then(|| Checkpoint { server_time_us: self.clock.now_us(), ..state.reach(view, group) });
        Ok(Cut { plan, pages, checkpoint, position })
    }

    /// Sends what changes, until the device goes away or may no longer pull.
    async fn follow(&mut self, state: &mut State) -> Result<(), PullError> {
        let pause = self.clock.machine_time(KEEP_ALIVE);
        loop {
            let heard = tokio::time::timeout(pause, self.tails.recv()).await;
            (self.standing)().map_err(PullError::Ended)?;
            let news = match heard {
                Ok(Ok(tail)) => state.hear(&tail, self.clock.now_us()),
                Ok(Err(RecvError::Lagged(_))) => News::Unclear,
                Ok(Err(RecvError::Closed)) => {
                    return Err(PullError::Stopping(retry_after(&self.caller)));
                }
                Err(_elapsed) => {
                    let position = Some(state.served().into());
                    let server_time_us = self.clock.now_us();
                    self.send(Message::KeepAlive(KeepAlive { position, server_time_us })).await?;
                    News::Nothing
                }
            };
            match news {
                News::Nothing => {}
                News::Rows(messages) => {
                    for message in messages {
                        self.send(message).await?;
                    }
                }
                News::Unclear => self.bring(state, Group::History).await?,
            }
        }
    }
}

/// When a device that is sent away may come back: each at another moment, so that all of them don't come at once.
fn retry_after(caller: &Caller) -> Duration {
    let spread_ms = RETRY_SPREAD.as_millis() as u64;
    let device = caller.device.unwrap_or_default();
    Duration::from_secs(1) + Duration::from_millis(xxh3_64(device.as_bytes()) % spread_ms)
}

struct Cut {
    plan: Plan,
    pages: Pages,
    checkpoint: Option<Checkpoint>,
    position: Position,
}

/// The kinds that app and server both know.
fn understood(request: &PullRequest) -> BTreeSet<i64> {
    let all = KINDS.iter().map(|kind| i64::from(*kind as i32));
    if request.kinds.is_empty() {
        return all.collect();
    }
    let named: BTreeSet<i64> = request.kinds.iter().map(|kind| i64::from(*kind)).collect();
    named.into_iter().filter(|kind| kind::from_number(*kind).is_some()).collect()
}

/// The page of a bucket that begins after `cursor`, with rows up to a version, as they are at another; `None`: there are
/// none.
pub(crate) async fn read_page(
    tx: &mut Tx,
    bucket: (i64, i64),
    cursor: Cursor,
    (through, built): (Position, Position),
) -> Result<Option<(Page, Cursor)>, StoreError> {
    let mut page = PageBuilder::default();
    let limit = i64::try_from(PAGE_ROWS).expect("a small constant");
    bucket::rows(tx, bucket, cursor, through.version, limit, |row| {
        if !page.fits(row.frame.len()) {
            return ControlFlow::Break(());
        }
        page.push(row.version, row.record, &row.frame);
        ControlFlow::Continue(())
    })
    .await?;
    if page.is_empty() {
        return Ok(None);
    }
    let read = page.through();
    Ok(Some((page.finish(bucket.1, cursor, built), read)))
}

/// The next page of a bucket, whether it is mended or not.
async fn next_page(
    tx: &mut Tx,
    bucket: (i64, i64),
    (cursor, repair): (Cursor, Option<Repair>),
    (through, built): (Position, Position),
) -> Result<Option<(Page, Cursor)>, StoreError> {
    match repair {
        Some(repair) => read_repair(tx, bucket, cursor, &repair, built).await.map(Some),
        None => read_page(tx, bucket, cursor, (through, built)).await,
    }
}

/// The page of a bucket that is mended: the rows of the partitions that differ. It reaches to where the two were compared, so
/// that there is always one.
async fn read_repair(
    tx: &mut Tx,
    bucket: (i64, i64),
    cursor: Cursor,
    repair: &Repair,
    built: Position,
) -> Result<(Page, Cursor), StoreError> {
    let mut page = PageBuilder::default();
    let mut end = Cursor::after(repair.through);
    bucket::rows(tx, bucket, cursor, repair.through, i64::MAX, |row| {
        if !repair.partitions.contain(row.record) {
            return ControlFlow::Continue(());
        }
        if !page.fits(row.frame.len()) {
            end = page.through();
            return ControlFlow::Break(());
        }
        page.push(row.version, row.record, &row.frame);
        ControlFlow::Continue(())
    })
    .await?;
    page.reach(end);
    Ok((page.finish(bucket.1, cursor, built), end))
}
