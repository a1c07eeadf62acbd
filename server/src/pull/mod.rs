//! The read path: from buckets to a device.
//!
//! A consistent cut without a snapshot that stays open: pages are *scanned* one by one, each in a short transaction of its
//! own; rows that move meanwhile are missed and come again with a higher version. Then one short transaction *cuts*: it
//! reads where the tenant is, what the caller holds, what the buckets must contain, and all remaining rows, into a bounded
//! buffer, and ends; only then is anything sent. No transaction is open while a network is waited for, and memory is
//! bounded for each connection. A pull writes nothing.

mod outgoing;
mod plan;
mod repair;
mod shared;
mod spill;
mod state;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use roundsman_proto::sync::pull_response::Message;
use roundsman_proto::sync::{Checkpoint, Fork, InventoryRequest, KeepAlive, Page, Plan, PullRequest, Urgency};
use roundsman_sync::kind::{self, Group, KINDS};
use roundsman_sync::page::{self, Cursor, PageBuilder, PageSize, StoredFrame};
use roundsman_sync::scope::Month;
use roundsman_sync::version::Position;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::{Instant, timeout_at};
use tonic::Status;
use xxhash_rust::xxh3::xxh3_64;

use crate::auth::caller::Caller;
use crate::clock::Clock;
use crate::contacts::Contacts;
use crate::error::StoreError;
use crate::fail::FailPoints;
use crate::grants::{self, Holding};
use crate::present::Present;
use crate::store::bucket::{self, Bucket};
use crate::store::sql::{Db, Tx};
use crate::store::tenant::{self, Glance, Head};
use crate::tail::Tail;

pub use outgoing::Outgoing;
use plan::{Known, Planned, Planner};
use repair::Repair;
use shared::{Found, Packed, Place};
pub use shared::{SharedPages, Sizes};
use spill::Pages;
use state::{News, State};

/// After so many cuts that did not hold everything, the next one takes all there is, on disk beyond
/// [`Sizes::cut_bytes`]: so a pull ends under any load of writes.
const PARTIAL_CUTS: u32 = 2;
/// A follower hears at least this often.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// What can wait a little waits at least this long, and at most twice as long.
const SOON: Duration = Duration::from_secs(30);

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
    /// The device takes nothing of what it is sent.
    #[error("the device takes nothing of what it is sent")]
    Slow,
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
    pub out: Outgoing,
    /// What is known without asking.
    pub present: Arc<Present>,
    /// What is heard of devices.
    pub contacts: Arc<Contacts>,
    /// What devices share.
    pub pages: Arc<SharedPages>,
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
    pub holding: Arc<Holding>,
    /// The buckets of these scopes and of the kinds that the app understands, by number.
    pub buckets: Vec<Bucket>,
}

fn no_row(tenant: i64) -> StoreError {
    StoreError::Corrupt(format!("tenant {tenant} has users but no row"))
}

impl Pull {
    /// Serves the request to its end.
    ///
    /// # Errors
    /// See [`PullError`].
    pub async fn serve(mut self, request: &PullRequest) -> Result<(), PullError> {
        let served = self.answer(request).await;
        // What was ready when it failed is of use, too.
        let sent = self.out.flush().await;
        served.and(sent)
    }

    async fn answer(&mut self, request: &PullRequest) -> Result<(), PullError> {
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

    /// The answer to the most frequent of all calls, by one read.
    async fn nothing_new(&self, request: &PullRequest) -> Result<Option<Checkpoint>, StoreError> {
        let Some((asking, device)) = Asking::of(&self.present, &self.caller, request).zip(self.caller.device) else {
            return Ok(None);
        };
        let mut tx = self.db.glance().await?;
        let standing = tenant::standing(&mut tx, self.caller.tenant, Some(device), [None; 2]).await?;
        tx.commit().await?;
        Ok(standing.map(|standing| standing.glance()).and_then(|glance| {
            self.present.saw(self.caller.tenant, device, &glance);
            asking.checkpoint(&glance, self.clock.now_us())
        }))
    }

    /// What the caller holds, and its buckets, where the tenant is.
    async fn view(&self, tx: &mut Tx, kinds: &BTreeSet<i64>, head: Head) -> Result<View, StoreError> {
        let holding = match self.present.holding(&self.caller, head.position) {
            Some(holding) => holding,
            None => {
                let holding = Arc::new(grants::holding(tx, &self.caller).await?);
                self.present.holds(&self.caller, head.position, &holding);
                holding
            }
        };
        let mut buckets = bucket::of_scopes(tx, self.caller.tenant, &holding.texts()).await?;
        buckets.retain(|bucket| kinds.contains(&bucket.kind));
        Ok(View { head, holding, buckets })
    }

    /// Plans from the position alone if that says enough, from the inventory otherwise; without one, asks for it and ends.
    /// What is little is cut in the same transaction, so that a delta costs one; says whether that was everything.
    async fn begin(&mut self, request: &PullRequest) -> Result<Option<(State, bool)>, PullError> {
        let kinds = understood(request);
        if let Some(checkpoint) = self.nothing_new(request).await? {
            self.out.send(Message::Checkpoint(checkpoint)).await?;
            return Ok(None);
        }
        let mut tx = self.db.read().await?;
        let shared = self.pages.newest(self.caller.tenant);
        let points = [request.position.map(Position::from), shared];
        let standing = tenant::standing(&mut tx, self.caller.tenant, self.caller.device, points).await?;
        let standing = standing.ok_or_else(|| no_row(self.caller.tenant))?;
        if let Some(device) = self.caller.device {
            self.present.saw(self.caller.tenant, device, &standing.glance());
        }
        let known = Known::read(&mut tx, &self.caller, request, (&standing, points)).await?;
        let epoch = self.pages.enter(self.caller.tenant, shared, shared.is_none_or(|newest| known.has(newest)));
        let view = self.view(&mut tx, &kinds, standing.head).await?;
        self.present.digest_is(view.head.position, &self.caller, request, view.holding.digest(&kinds));
        let planner = Planner { request, view: &view, known: &known, kinds: &kinds, month: self.month() };
        let planned = planner.plan();
        let mut first = None;
        if let Some(mut planned) = planned {
            let mended = repair::mend(&mut tx, &self.caller, request, &view, &mut planned).await?;
            if let Some((device, bucket)) = self.caller.device.zip(mended) {
                self.contacts.mend((self.caller.tenant, device), bucket, self.clock.now_us());
            }
            let Planned { plan, held, oldest } = planned;
            let size = self.pages.sizes().page;
            let mut state = State::new(kinds, self.month(), (&view, epoch, size), (held, oldest));
            let little = self.is_little(&state) && request.urgency() != Urgency::Today;
            let cut =
                if little { Some(self.cut_at(&mut tx, &view, &mut state, Group::History, false).await?) } else { None };
            state.keep(view);
            first = Some((plan, state, cut));
        }
        tx.commit().await?;
        self.fail.pass("pull.planned")?;
        if let Some(expected_seq) = known.fork {
            metrics::counter!("roundsman_forks_total").increment(1);
            self.out.send(Message::Fork(Fork { expected_seq })).await?;
        }
        let Some((plan, state, cut)) = first else {
            self.out.send(Message::InventoryRequest(InventoryRequest {})).await?;
            return Ok(None);
        };
        if !plan.buckets.is_empty() || plan.fork {
            self.out.send(Message::Plan(plan)).await?;
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

    /// Whether one cut will do, as far as is known.
    fn is_little(&self, state: &State) -> bool {
        usize::try_from(state.fresh_bytes()).is_ok_and(|bytes| bytes <= self.pages.sizes().cut_bytes)
    }

    /// Brings everything: in one cut if it is little, else group by group, so that work can begin before the history came.
    async fn bring_all(&mut self, state: &mut State) -> Result<(), PullError> {
        if !self.is_little(state) {
            self.bring(state, Group::Today).await?;
            self.bring(state, Group::Sell).await?;
        }
        self.bring(state, Group::History).await
    }

    /// Brings the groups up to this one, and ends with their checkpoint.
    async fn bring(&mut self, state: &mut State, group: Group) -> Result<(), PullError> {
        if !self.is_little(state) {
            // Many that are small are read together, in the cut.
            let large = i64::try_from(self.pages.sizes().large_bytes).unwrap_or(i64::MAX);
            self.scan(state, (group, state.served()), large).await?;
        }
        for attempt in 0.. {
            (self.standing)().map_err(PullError::Ended)?;
            let cut = self.cut(state, group, attempt >= PARTIAL_CUTS).await?;
            let position = cut.position;
            if self.send_cut(cut).await? {
                break;
            }
            self.scan(state, (group, position), 0).await?;
        }
        Ok(())
    }

    /// Sends what a cut has read; says whether it was complete.
    async fn send_cut(&mut self, mut cut: Cut) -> Result<bool, PullError> {
        if !cut.plan.buckets.is_empty() {
            self.out.send(Message::Plan(cut.plan)).await?;
        }
        while let Some(page) = cut.pages.next()? {
            self.fail.pass("pull.page")?;
            self.out.send(Message::Page(page)).await?;
        }
        let Some(checkpoint) = cut.checkpoint else { return Ok(false) };
        self.out.send(Message::Checkpoint(checkpoint)).await?;
        Ok(true)
    }

    /// Sends the rows up to a version, page by page: shared ones, and others each read in a short transaction of its own.
    async fn scan(
        &mut self,
        state: &mut State,
        (group, through): (Group, Position),
        bytes: i64,
    ) -> Result<(), PullError> {
        for id in state.behind(group, through.version, bytes) {
            while let Some(place) =
                state.place(self.caller.tenant, id, i64::MAX).filter(|place| place.cursor.version <= through.version)
            {
                let repair = state.repair(id);
                let page = match repair.is_none().then(|| self.pages.find(&place)) {
                    Some(Found::Page(page)) => Some(page),
                    _ => self.scan_page(state, (place, repair), through).await?,
                };
                self.fail.pass("pull.scanned")?;
                let Some(packed) = page else { break };
                self.out.send(Message::Page(state.read(id, packed, through.version))).await?;
            }
        }
        Ok(())
    }

    /// The next page of a bucket, in a short transaction.
    async fn scan_page(
        &mut self,
        state: &mut State,
        (place, repair): (Place, Option<Repair>),
        through: Position,
    ) -> Result<Option<Packed>, PullError> {
        self.out.flush().await?;
        let mut tx = self.db.read().await?;
        // Rows that have moved since the plan are missing: a server that is restored to before their move must not
        // take this page for one of its own.
        let built = tenant::position(&mut tx, place.tenant).await?;
        let epoch = self.pages.open(&mut tx, place.tenant, built).await?;
        state.enter(epoch);
        let page = self.next_page(&mut tx, (Place { epoch, ..place }, repair), (through, built)).await?;
        tx.commit().await?;
        Ok(page)
    }

    /// One short transaction: grants, buckets, and the remaining rows of the groups up to `group`, as far as they fit.
    async fn cut(&mut self, state: &mut State, group: Group, everything: bool) -> Result<Cut, PullError> {
        self.out.flush().await?;
        let mut tx = self.db.read().await?;
        let head = tenant::head(&mut tx, self.caller.tenant).await?.ok_or_else(|| no_row(self.caller.tenant))?;
        let view = match state.seen(&head) {
            Some(view) => view,
            None => self.view(&mut tx, state.kinds(), head).await?,
        };
        state.enter(self.pages.open(&mut tx, self.caller.tenant, view.head.position).await?);
        let cut = self.cut_at(&mut tx, &view, state, group, everything).await?;
        state.keep(view);
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
        let mut pages = Pages::new(self.pages.sizes().cut_bytes, everything);
        'buckets: for bucket in &view.buckets {
            while state.lacks(bucket, group) {
                if pages.is_full() {
                    break 'buckets;
                }
                let Some(place) = state.place(self.caller.tenant, bucket.id, position.version) else { break };
                match self.next_page(tx, (place, state.repair(bucket.id)), (position, position)).await? {
                    Some(packed) => {
                        pages.push(state.read(bucket.id, packed, position.version))?;
                    }
                    None => state.end(bucket.id, position.version),
                }
            }
        }
        let checkpoint = (!pages.is_full() || everything)
            .then(|| Checkpoint { server_time_us: self.clock.now_us(), ..state.reach(view, group) });
        Ok(Cut { plan, pages, checkpoint, position })
    }

    /// The next page of a bucket, whether it is shared, or mended, or read with rows up to a version, as they are at another;
    /// `None`: there are no rows.
    async fn next_page(
        &self,
        tx: &mut Tx,
        (mut place, repair): (Place, Option<Repair>),
        (through, built): (Position, Position),
    ) -> Result<Option<Packed>, StoreError> {
        let bucket = (place.tenant, place.bucket);
        if let Some(repair) = repair {
            return read_repair(tx, bucket, place.cursor, &repair, (built, place.source.rows)).await.map(Some);
        }
        let mut turn = None;
        loop {
            match self.pages.find(&place) {
                Found::Page(packed) => return Ok(Some(packed)),
                Found::Unchecked(from, through) => {
                    let unmoved = bucket::count_rows(tx, bucket, (from, through)).await?;
                    self.pages.check(&place, from, unmoved, built);
                }
                // Somebody may be packing it.
                Found::Nothing(_) if turn.is_none() => turn = Some(self.pages.turn(place.tenant, place.bucket).await),
                Found::Nothing(until) => {
                    let packed = self.pack(tx, &place, until, (through, built)).await?;
                    match until {
                        // Where the next page begins, nothing is left before it.
                        Some(next) if packed.is_none() && next.version <= through.version => place.cursor = next,
                        _ => return Ok(packed),
                    }
                }
            }
        }
    }

    /// Reads and packs the next page of a bucket, up to where a shared one begins, and shares it if it is worth it.
    async fn pack(
        &self,
        tx: &mut Tx,
        place: &Place,
        until: Option<Cursor>,
        (through, built): (Position, Position),
    ) -> Result<Option<Packed>, StoreError> {
        let bucket = (place.tenant, place.bucket);
        let size = self.pages.sizes().page;
        let Filled { page, rows, last } =
            fill(tx, bucket, (place.cursor, until), (through.version, size, place.source.rows)).await?;
        let Some((first, middle)) = rows.first().copied().zip(rows.get(rows.len() / 2).copied()) else {
            return Ok(None);
        };
        // What was committed since the plan may follow the last of its rows.
        let shared = !last || through == built;
        // Who is anywhere behind the row before it can use it; of a small one that is not worth a question.
        let large = page.payload_bytes() >= self.pages.sizes().large_bytes;
        let from = if shared && large && place.cursor.record.is_none() && place.cursor.version > 0 {
            bucket::place_before(tx, bucket, place.cursor).await?
        } else {
            place.cursor
        };
        let read_to = page.through();
        let packed = Packed { page: page.finish(place.bucket, from, built), through: read_to, at: built, last };
        if shared {
            self.pages.share(place, &packed, (first, middle));
        }
        Ok(Some(packed))
    }

    /// Sends what changes, until the device goes away or may no longer pull.
    async fn follow(&mut self, state: &mut State) -> Result<(), PullError> {
        let (pause, soon) = (self.clock.machine_time(KEEP_ALIVE), self.clock.machine_time(soon(&self.caller)));
        let mut silent_until = Instant::now() + pause;
        let mut due = None;
        loop {
            state.rest();
            self.out.flush().await?;
            let until = due.map_or(silent_until, |due| silent_until.min(due));
            let heard = timeout_at(until, self.tails.recv()).await;
            (self.standing)().map_err(PullError::Ended)?;
            let news = match heard {
                Ok(Ok(tail)) => state.hear(&tail, self.clock.now_us()),
                Ok(Err(RecvError::Lagged(_))) => News::Unclear,
                Ok(Err(RecvError::Closed)) => {
                    return Err(PullError::Stopping(retry_after(&self.caller)));
                }
                Err(_elapsed) if due == Some(until) => state.take_waiting(self.clock.now_us()),
                Err(_elapsed) => {
                    let position = Some(state.served().into());
                    let server_time_us = self.clock.now_us();
                    self.out.send(Message::KeepAlive(KeepAlive { position, server_time_us })).await?;
                    silent_until = Instant::now() + pause;
                    News::Nothing
                }
            };
            match news {
                News::Nothing => continue,
                News::Soon => {
                    due = due.or_else(|| Some(Instant::now() + soon));
                    continue;
                }
                News::Rows(messages) => {
                    for message in messages {
                        self.out.send(message).await?;
                    }
                }
                News::Unclear => self.bring(state, Group::History).await?,
            }
            due = None;
            silent_until = Instant::now() + pause;
        }
    }
}

/// How long what can wait a little waits for more: each device another time within half a minute to a minute, so that not
/// all are told at once.
fn soon(caller: &Caller) -> Duration {
    SOON + spread(caller, SOON)
}

/// A part of `within` that is a device's own.
fn spread(caller: &Caller, within: Duration) -> Duration {
    let device = caller.device.unwrap_or_default();
    Duration::from_millis(xxh3_64(device.as_bytes()) % within.as_millis() as u64)
}

/// When a device that is sent away may come back: each at another moment, so that all of them don't come at once.
#[must_use]
pub fn retry_after(caller: &Caller) -> Duration {
    Duration::from_secs(1) + spread(caller, RETRY_SPREAD)
}

struct Cut {
    plan: Plan,
    pages: Pages,
    checkpoint: Option<Checkpoint>,
    position: Position,
}

/// The answer to the most frequent of all calls, if it is known without a question to the database; `None`: a [`Pull`] finds
/// out.
#[must_use]
pub fn nothing_new(present: &Present, caller: &Caller, request: &PullRequest, now_us: i64) -> Option<Checkpoint> {
    let asking = Asking::of(present, caller, request)?;
    asking.checkpoint(&present.glance(caller.tenant, caller.device?)?, now_us)
}

/// A device that asks for everything, once, and says that it has all that its caller holds at a position. What that is was
/// read there, when it was brought there.
struct Asking<'r> {
    request: &'r PullRequest,
    position: Position,
}

impl<'r> Asking<'r> {
    fn of(present: &Present, caller: &Caller, request: &'r PullRequest) -> Option<Self> {
        let all_there = request.lagging.is_empty() && request.staging.is_empty() && !request.has_inventory;
        let once = !request.follow && request.urgency() != Urgency::Today;
        let position = request.position.map(Position::from).filter(|_| all_there && once)?;
        let same_scopes = present.digest_at(position, caller, request)? == request.scope_digest;
        same_scopes.then_some(Self { request, position })
    }

    /// That there is nothing new, if the tenant is where the device is, and has not lost what the device knows of.
    fn checkpoint(&self, glance: &Glance, now_us: i64) -> Option<Checkpoint> {
        let Glance { position, durable_version, last_seq } = *glance;
        let lost = self.request.last_outcome_seq > last_seq || self.request.at_least > position.version;
        (position == self.position && !lost).then(|| Checkpoint {
            position: Some(position.into()),
            group: Group::History as u32,
            last: true,
            scope_digest: self.request.scope_digest,
            durable_version,
            server_time_us: now_us,
            ..Checkpoint::default()
        })
    }
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
    (tenant, bucket): (i64, &Bucket),
    cursor: Cursor,
    (through, built): (Position, Position),
) -> Result<Option<(Page, Cursor)>, StoreError> {
    let size = PageSize::default();
    let many = (through.version, size, bucket.rows_of_a_page(size));
    let Filled { page, .. } = fill(tx, (tenant, bucket.id), (cursor, None), many).await?;
    if page.is_empty() {
        return Ok(None);
    }
    let read = page.through();
    Ok(Some((page.finish(bucket.id, cursor, built), read)))
}

/// A page in the making, with the places of its rows.
struct Filled {
    page: PageBuilder,
    rows: Vec<Cursor>,
    /// No row up to the version follows.
    last: bool,
}

/// Reads the rows of a bucket from one place to another, up to a version and as far as a page takes them; about so many are
/// looked at.
async fn fill(
    tx: &mut Tx,
    bucket: (i64, i64),
    (from, until): (Cursor, Option<Cursor>),
    (through, size, rows): (i64, PageSize, i64),
) -> Result<Filled, StoreError> {
    let frames = bucket::frames(tx, bucket, from, (through, rows)).await?;
    let mut filled = Filled { page: PageBuilder::new(size), rows: Vec::new(), last: true };
    for frame in in_order(bucket, from, &frames) {
        let frame = frame?;
        if until.is_some_and(|until| frame.at() > until) || !filled.page.fits(frame.bytes.len()) {
            filled.last = false;
            return Ok(filled);
        }
        filled.rows.push(frame.at());
        filled.page.push(frame.version, frame.record, frame.bytes);
    }
    filled.last = i64::try_from(filled.rows.len()).is_ok_and(|found| found < rows);
    Ok(filled)
}

/// Stored frames, each after the one before.
fn in_order(
    (_, bucket): (i64, i64),
    from: Cursor,
    frames: &[u8],
) -> impl Iterator<Item = Result<StoredFrame<'_>, StoreError>> {
    let corrupt = move |what: &str| StoreError::Corrupt(format!("bucket {bucket} after {from:?}: {what}"));
    let mut last = from;
    page::stored_frames(frames).map(move |frame| {
        let frame = frame.map_err(|error| corrupt(&error.to_string()))?;
        if frame.at() <= last {
            return Err(corrupt("the rows are not in their order"));
        }
        last = frame.at();
        Ok(frame)
    })
}

/// The page of a bucket that is mended: the rows of the partitions that differ. It reaches to where the two were compared, so
/// that there is always one.
async fn read_repair(
    tx: &mut Tx,
    bucket: (i64, i64),
    cursor: Cursor,
    repair: &Repair,
    (built, rows): (Position, i64),
) -> Result<Packed, StoreError> {
    let mut page = PageBuilder::default();
    let mut at = cursor;
    'reading: loop {
        let frames = bucket::frames(tx, bucket, at, (repair.through, rows)).await?;
        let mut found = 0;
        for frame in in_order(bucket, at, &frames) {
            let frame = frame?;
            (at, found) = (frame.at(), found + 1);
            if !repair.partitions.contain(frame.record) {
                continue;
            }
            if !page.fits(frame.bytes.len()) {
                break 'reading;
            }
            page.push(frame.version, frame.record, frame.bytes);
        }
        if found < rows.max(1) {
            page.reach(Cursor::after(repair.through));
            break;
        }
    }
    let through = page.through();
    Ok(Packed { page: page.finish(bucket.1, cursor, built), through, at: built, last: false })
}
