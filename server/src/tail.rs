//! A tail: what one commit changed, or several of another process, ready to be sent. It is made once and shared by all who
//! follow.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use roundsman_proto::sync as proto;
use roundsman_sync::page::{Cursor, PageBuilder};
use roundsman_sync::version::Position;
use tokio::sync::broadcast;
use uuid::Uuid;

use crate::batch::Commit;
use crate::store::bucket::{Bucket, NewRow};

/// A tail with more bytes of rows than this carries none; followers pull in the ordinary way.
pub const TAIL_BYTES: usize = 1024 * 1024;

/// What followers have not taken yet of one tenant's tails, in bytes, beyond which none of them keeps a tail for later.
const WAITING_BYTES: usize = 4 * 1024 * 1024;

/// Where the followers of a tenant hear of its commits.
#[derive(Clone, Debug)]
pub struct Tails {
    sender: broadcast::Sender<Arc<Tail>>,
    bytes: Arc<AtomicUsize>,
}

impl Tails {
    /// A slow follower may be so many tails behind before it pulls in the ordinary way.
    #[must_use]
    pub fn new(behind: usize) -> Self {
        Self { sender: broadcast::channel(behind).0, bytes: Arc::default() }
    }

    /// What is told from now on.
    #[must_use]
    pub fn follow(&self) -> broadcast::Receiver<Arc<Tail>> {
        self.sender.subscribe()
    }

    /// Whether anybody follows.
    #[must_use]
    pub fn is_followed(&self) -> bool {
        self.sender.receiver_count() > 0
    }

    /// Tells all who follow.
    pub fn tell(&self, mut tail: Tail) {
        tail.weight = Weight::new(&self.bytes, tail.bytes());
        // Nobody listening any more is no error.
        let _ = self.sender.send(Arc::new(tail));
    }
}

/// The share of a tail in what a tenant's tails take, as long as somebody has it.
#[derive(Debug, Default)]
pub struct Weight {
    bytes: usize,
    all: Arc<AtomicUsize>,
}

impl Weight {
    fn new(all: &Arc<AtomicUsize>, bytes: usize) -> Self {
        all.fetch_add(bytes, Ordering::Relaxed);
        Self { bytes, all: Arc::clone(all) }
    }
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What was changed after one version and up to another.
#[derive(Debug)]
pub struct Tail {
    /// The version before.
    pub after: i64,
    /// The last commit.
    pub position: Position,
    /// Everything up to this version survives the loss of the server, as far as was known; 0: nothing.
    pub durable_version: i64,
    /// The touched buckets, by number; `None`: too much to carry, or another process's commit.
    pub buckets: Option<Vec<TailBucket>>,
    /// Internal records that changed, all grants among them: who holds one of these looks again.
    pub internal: Vec<Uuid>,
    /// What it takes, once it is told.
    pub weight: Weight,
}

/// What a commit changed in a bucket.
#[derive(Debug)]
pub struct TailBucket {
    /// The bucket after the commit.
    pub bucket: Bucket,
    /// The changed rows. The first page begins right after the bucket's head before the commit, so that it fits every
    /// follower that has seen that.
    pub pages: Vec<proto::Page>,
    /// The number of changed rows, and the bytes of their frames.
    pub size: (i64, i64),
}

impl Tail {
    /// Packs what was published.
    #[must_use]
    pub fn of(commit: Commit) -> Self {
        let Commit { position, durable_version, publication, internal, .. } = commit;
        let after = position.version - 1;
        let bytes: usize = publication.rows.iter().map(|row| row.frame.len()).sum();
        if bytes > TAIL_BYTES {
            let weight = Weight::default();
            return Self { after, position, durable_version, buckets: None, internal, weight };
        }
        let mut rows = publication.rows.as_slice();
        let buckets = publication
            .buckets
            .into_iter()
            .zip(publication.heads_before)
            .map(|(bucket, head_before)| {
                let own = rows.iter().take_while(|row| row.bucket == bucket.id).count();
                let (changed, rest) = rows.split_at(own);
                rows = rest;
                let pages = pages(&bucket, head_before, changed, position);
                let count = |n: usize| i64::try_from(n).expect("a tail is small");
                let size = (count(own), count(changed.iter().map(|row| row.frame.len()).sum()));
                TailBucket { bucket, pages, size }
            })
            .collect();
        Self { after, position, durable_version, buckets: Some(buckets), internal, weight: Weight::default() }
    }

    /// Whether it may be kept for later.
    #[must_use]
    pub fn may_wait(&self) -> bool {
        self.weight.all.load(Ordering::Relaxed) <= WAITING_BYTES
    }

    fn bytes(&self) -> usize {
        let pages = self.buckets.iter().flatten().flat_map(|touched| &touched.pages);
        pages.map(|page| size_of::<proto::Page>() + page.payload.len()).sum()
    }
}

fn pages(bucket: &Bucket, head_before: i64, rows: &[NewRow], position: Position) -> Vec<proto::Page> {
    let mut pages = Vec::new();
    let mut from = Cursor::after(head_before);
    let mut page = PageBuilder::default();
    for row in rows {
        if !page.fits(row.frame.len()) {
            let full = std::mem::take(&mut page);
            let through = full.through();
            pages.push(full.finish(bucket.id, from, position));
            from = through;
        }
        page.push(position.version, row.record, &row.frame);
    }
    pages.push(page.finish(bucket.id, from, position));
    pages
}
