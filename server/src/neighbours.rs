//! What other processes change in the same database: keys, who is shut out, and what this process's followers are to hear of.
//! Processes tell each other of their commits; what was not told, because a process ended too early, is looked for now and
//! then. Each tenant's news is read once, made into a tail like those of its own lane, and handed to all its followers.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use roundsman_sync::page::Cursor;
use roundsman_sync::version::Position;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::app::Core;
use crate::error::StoreError;
use crate::internal::{Granted, Internal as _};
use crate::pull::read_page;
use crate::store::sql::{ANNOUNCEMENT_BYTES, Db, Listener, Tx};
use crate::store::{bucket, record, tenant};
use crate::tail::{TAIL_BYTES, Tail, TailBucket, Weight};

/// Where other processes write, what they did not tell is seen after this long at most.
const SHARED: Duration = Duration::from_millis(250);
/// A file has one process, which knows all but a new key, and what a backup has made durable.
const ALONE: Duration = Duration::from_secs(5);
/// A piece of an announcement has at most so many bytes.
const PIECE_BYTES: usize = 64;

/// What this process has to tell others: of each tenant only the last, since whoever hears it reads all that is new.
#[derive(Debug)]
pub struct Announcer {
    process: u64,
    waiting: Mutex<BTreeMap<i64, Announced>>,
    wake: Notify,
}

/// That a tenant has moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Announced {
    position: Position,
    /// Somebody was shut out.
    shuts_out: bool,
}

impl Announcer {
    /// Of a process with a random number.
    #[must_use]
    pub fn new(process: u64) -> Self {
        Self { process, waiting: Mutex::default(), wake: Notify::new() }
    }

    /// A tenant has moved, or somebody was shut out.
    pub fn note(&self, tenant: i64, position: Option<Position>, shuts_out: bool) {
        let Some(position) = position else { return };
        let mut waiting = self.waiting.lock().expect("nothing panics while it holds announcements");
        let before = waiting.entry(tenant).or_default();
        *before = Announced { position, shuts_out: shuts_out || before.shuts_out };
        self.wake.notify_one();
    }

    /// What waits, as it is announced.
    fn take(&self) -> Vec<String> {
        let waiting = std::mem::take(&mut *self.waiting.lock().expect("nothing panics while it holds announcements"));
        let mut texts: Vec<String> = Vec::new();
        for (tenant, Announced { position: Position { version, nonce }, shuts_out }) in waiting {
            let text = match texts.last_mut().filter(|text| text.len() + PIECE_BYTES <= ANNOUNCEMENT_BYTES) {
                Some(text) => text,
                None => texts.push_mut(format!("{:x}", self.process)),
            };
            let mark = if shuts_out { "!" } else { "" };
            write!(text, " {tenant}:{version}:{nonce:x}{mark}").expect("writing to a string never fails");
        }
        texts
    }

    /// What another process has announced; nothing if it is what this one has.
    fn read(&self, text: &str) -> Vec<(i64, Announced)> {
        let mut pieces = text.split(' ');
        let own = pieces.next().and_then(|process| u64::from_str_radix(process, 16).ok()) == Some(self.process);
        pieces.filter(|_| !own).filter_map(piece).collect()
    }
}

fn piece(text: &str) -> Option<(i64, Announced)> {
    let (text, shuts_out) = text.strip_suffix('!').map_or((text, false), |text| (text, true));
    let mut parts = text.split(':');
    let (tenant, version) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let nonce = u64::from_str_radix(parts.next()?, 16).ok()?;
    Some((tenant, Announced { position: Position { version, nonce }, shuts_out }))
}

/// Tells other processes of this one's commits, until `stop`.
pub async fn announce(core: Arc<Core>, stop: CancellationToken) {
    while core.db.is_shared() && stop.run_until_cancelled(core.announcer.wake.notified()).await.is_some() {
        for text in core.announcer.take() {
            if let Err(error) = core.db.announce(&text).await {
                tracing::warn!(%error, "other processes hear of a commit a little later");
            }
        }
    }
}

/// Listens until `stop`.
pub async fn run(core: Arc<Core>, stop: CancellationToken) {
    let pause = if core.db.is_shared() { SHARED } else { ALONE };
    let mut neighbours = Neighbours { core, told: HashMap::new(), listener: None };
    while stop.run_until_cancelled(neighbours.listen(pause)).await.is_some() {
        if let Err(error) = neighbours.look().await {
            neighbours.deaf();
            tracing::warn!(%error, "what other processes have changed is not known yet");
        }
    }
}

struct Neighbours {
    core: Arc<Core>,
    /// What followers were told last of other processes' commits.
    told: HashMap<i64, Position>,
    listener: Option<Listener>,
}

impl Neighbours {
    /// Passes on what is announced, for so long.
    async fn listen(&mut self, pause: Duration) {
        let until = tokio::time::Instant::now() + pause;
        while let Some(listener) = &mut self.listener {
            let heard = match tokio::time::timeout_at(until, listener.next()).await {
                Ok(Ok(text)) => self.hear(&text).await,
                Ok(Err(error)) => Err(error),
                Err(_elapsed) => return,
            };
            if let Err(error) = heard {
                self.deaf();
                tracing::warn!(%error, "other processes are not heard for a moment");
            }
        }
        tokio::time::sleep_until(until).await;
    }

    /// In this order: a follower that is told of a commit is shut out already, if the commit did that.
    async fn hear(&mut self, text: &str) -> Result<(), StoreError> {
        let announced = self.core.announcer.read(text);
        if announced.iter().any(|(_, announced)| announced.shuts_out) {
            self.core.auth.reload().await?;
        }
        for (tenant, Announced { position, .. }) in announced {
            self.core.present.heard(tenant, position, None);
            self.tell(tenant, position).await?;
        }
        Ok(())
    }

    /// Looks for what was not announced, and listens if it does not yet.
    async fn look(&mut self) -> Result<(), StoreError> {
        let core = Arc::clone(&self.core);
        if self.listener.is_none() {
            self.listener = core.db.listen().await?;
        }
        let mut tx = core.db.glance().await?;
        let positions = tenant::positions(&mut tx).await?;
        tx.commit().await?;
        core.auth.reload().await?;
        for (tenant, position, durable_version) in positions {
            core.present.heard(tenant, position, Some(durable_version));
            self.tell(tenant, position).await?;
        }
        if self.listener.is_some() {
            core.present.hears_all();
        }
        Ok(())
    }

    /// Announcements may be missed from here on.
    fn deaf(&mut self) {
        if self.core.db.is_shared() {
            self.listener = None;
            self.core.present.hears_no_more();
        }
    }

    /// Tells the followers of a tenant what they have not heard, if the tenant is there by now.
    async fn tell(&mut self, tenant: i64, position: Position) -> Result<(), StoreError> {
        let core = Arc::clone(&self.core);
        let Some(lane) = core.lanes.followed(tenant).filter(|_| core.db.is_shared()) else {
            // Who follows later begins where the tenant is then.
            self.told.insert(tenant, position);
            return Ok(());
        };
        let known = self.told.get(&tenant).copied().max(lane.told());
        if Some(position) > known
            && let Some(tail) = news(&core.db, tenant, known).await?
        {
            self.told.insert(tenant, tail.position);
            lane.tell(tail);
        }
        Ok(())
    }
}

/// What has changed since `known`; `None`: there is no such tenant any more.
async fn news(db: &Db, tenant: i64, known: Option<Position>) -> Result<Option<Tail>, StoreError> {
    let mut tx = db.read().await?;
    let Some(head) = tenant::head(&mut tx, tenant).await? else { return Ok(None) };
    let (after, buckets) = match known {
        Some(known) => (known.version, changed(&mut tx, tenant, (known.version, head.position)).await?),
        // Followers may have begun at any version before.
        None => (0, None),
    };
    let internal = record::changed(&mut tx, tenant, Granted::KIND, after).await?;
    tx.commit().await?;
    let (position, durable_version, weight) = (head.position, head.durable_version, Weight::default());
    Ok(Some(Tail { after, position, durable_version, buckets, internal, weight }))
}

/// The rows that changed after a version; `None`: more than a tail carries.
async fn changed(
    tx: &mut Tx,
    tenant: i64,
    (after, position): (i64, Position),
) -> Result<Option<Vec<TailBucket>>, StoreError> {
    let mut touched = Vec::new();
    let mut all_bytes = 0;
    for bucket in bucket::touched(tx, tenant, after).await? {
        let mut cursor = Cursor::after(after);
        let (mut pages, mut size) = (Vec::new(), (0, 0));
        while let Some((page, read)) = read_page(tx, (tenant, &bucket), cursor, (position, position)).await? {
            cursor = read;
            size = (size.0 + i64::from(page.rows), size.1 + i64::from(page.payload_size));
            all_bytes += page.payload_size as usize;
            if all_bytes > TAIL_BYTES {
                return Ok(None);
            }
            pages.push(page);
        }
        touched.push(TailBucket { bucket, pages, size });
    }
    Ok(Some(touched))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(version: i64) -> Position {
        Position { version, nonce: 0xFEDC }
    }

    #[test]
    fn what_one_process_announces_another_reads() {
        let (one, other) = (Announcer::new(1), Announcer::new(2));
        one.note(7, Some(at(3)), true);
        one.note(7, Some(at(4)), false);
        one.note(8, Some(at(9)), false);
        one.note(9, None, false);
        let texts = one.take();
        let [text] = texts.as_slice() else { panic!("{texts:?}") };
        let announced = |version, shuts_out| Announced { position: at(version), shuts_out };
        assert_eq!(other.read(text), [(7, announced(4, true)), (8, announced(9, false))]);
        assert_eq!(one.read(text), [], "its own");
        assert!(one.take().is_empty(), "once");
        for nonsense in ["", "1", "2 7", "2 7:x:1", "? !"] {
            assert_eq!(one.read(nonsense), [], "{nonsense}");
        }
    }

    #[test]
    fn an_announcement_is_as_long_as_the_database_takes() {
        let one = Announcer::new(u64::MAX);
        for tenant in 0..1_000 {
            let position = Position { version: i64::MAX, nonce: u64::MAX };
            one.note(i64::MAX - tenant, Some(position), true);
        }
        let texts = one.take();
        assert!(texts.iter().all(|text| text.len() <= ANNOUNCEMENT_BYTES));
        assert_eq!(texts.iter().map(|text| Announcer::new(1).read(text).len()).sum::<usize>(), 1_000);
    }
}
