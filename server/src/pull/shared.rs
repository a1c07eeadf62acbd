//! Pages that all devices of this process share: read and packed once, by whoever came first.
//!
//! A page is good for every device whose place lies in its first half, since a page may begin before it: so those that come
//! back from one night share what has changed in it, too. What was packed at some version stays right later on: a row that
//! has moved since comes again with a higher version, and one that was removed is followed by its tombstone. Three things
//! end that, and each is looked at before a page is handed out: the horizon must not have passed the page, or the tombstone
//! is gone; in a scope that is not everybody's, nothing may have been removed since, for what has left must not travel any
//! more; and not more than a fifth of the rows may have moved, so that nobody is sent much twice.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard};

use roundsman_proto::sync::Page;
use roundsman_sync::page::{Cursor, PageSize};
use roundsman_sync::scope::Scope;
use roundsman_sync::version::Position;

use crate::error::StoreError;
use crate::store::bucket::Bucket;
use crate::store::sql::Tx;
use crate::store::tenant;

/// What an entry takes beside the payload.
const ENTRY_BYTES: usize = 512;
/// Pages that are packed at the same time.
const TURNS: usize = 64;

/// How much the read path takes at once. Tests make it small, so that little data goes the ways of much.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// A page.
    pub page: PageSize,
    /// What a cut holds in memory, in bytes.
    pub cut_bytes: usize,
    /// From so many bytes on, before compression, a bucket that begins from nothing is read page by page, not in the cut; and
    /// a page is made for all who lack no row before it, wherever they are.
    pub large_bytes: usize,
    /// All shared pages of the process together, in bytes as packed.
    pub shared_bytes: usize,
    /// At most one of so many rows of a shared page may have moved. If it is a fifth of each page, then all of a bucket's
    /// pages together have at most a quarter more rows than the bucket.
    pub one_moved_of: i64,
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            page: PageSize::default(),
            cut_bytes: 512 * 1024,
            large_bytes: 32 * 1024,
            shared_bytes: 64 * 1024 * 1024,
            one_moved_of: 5,
        }
    }
}

/// A stretch of a tenant's time in which everything that is shared is of one history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Epoch(u64);

/// Of a bucket, as a pull has last seen it, what decides which shared pages do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Source {
    /// The last version that touched it.
    head: i64,
    /// A page must have been packed at this version or later.
    packed_from: i64,
    /// About as many rows as a page takes.
    pub rows: i64,
}

impl Source {
    pub fn of(bucket: &Bucket, horizon: i64, size: PageSize) -> Self {
        let everybodys = matches!(bucket.scope.parse(), Ok(Scope::Tenant));
        let removal = if everybodys { 0 } else { bucket.last_removal };
        Self { head: bucket.head, packed_from: horizon.max(removal), rows: bucket.rows_of_a_page(size) }
    }
}

/// Where a device is in a bucket, and what it takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub tenant: i64,
    pub bucket: i64,
    pub epoch: Epoch,
    pub cursor: Cursor,
    pub source: Source,
    /// It begins from nothing, so that rows which have moved are announced; else a page must be as it was packed.
    pub fresh: bool,
    /// Pages that were packed later do not do: what is sent ends at this version, and they lack what moved after it.
    pub packed_to: i64,
}

/// A page as it was read.
#[derive(Clone, Debug)]
pub(super) struct Packed {
    pub page: Page,
    /// How far it reaches.
    pub through: Cursor,
    /// When it was packed.
    pub at: Position,
    /// No row of its bucket follows it, as far as whoever reads it can see. Later ones may belong to it.
    pub last: bool,
}

/// What there is for a place.
pub(super) enum Found {
    /// This page.
    Page(Packed),
    /// A page of which it is not known how many of its rows have moved: those in this range have not.
    Unchecked(Cursor, Cursor),
    /// None; the next one begins here.
    Nothing(Option<Cursor>),
}

struct Shared {
    packed: Packed,
    /// The row in its middle.
    middle: Cursor,
    /// Up to this head of the bucket it is known how many rows have moved.
    checked: i64,
    moved: i64,
    used: u64,
}

impl Shared {
    fn bytes(&self) -> usize {
        self.packed.page.payload.len() + ENTRY_BYTES
    }

    /// Whether nobody can be given it any more.
    fn is_useless(&self, source: &Source) -> bool {
        self.packed.at.version < source.packed_from || (self.packed.last && self.checked < source.head)
    }
}

#[derive(Default)]
struct Tenant {
    epoch: Epoch,
    newest: Position,
    buckets: HashMap<i64, BTreeMap<Cursor, Shared>>,
}

#[derive(Default)]
struct Shelf {
    tenants: HashMap<i64, Tenant>,
    epochs: u64,
    uses: u64,
    bytes: usize,
}

/// The shared pages of a process.
pub struct SharedPages {
    sizes: Sizes,
    shelf: Mutex<Shelf>,
    turns: [tokio::sync::Mutex<()>; TURNS],
    hasher: RandomState,
}

impl fmt::Debug for SharedPages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedPages").field("sizes", &self.sizes).finish_non_exhaustive()
    }
}

impl SharedPages {
    /// Nothing is shared yet.
    #[must_use]
    pub fn new(sizes: Sizes) -> Self {
        let turns = std::array::from_fn(|_| tokio::sync::Mutex::default());
        Self { sizes, shelf: Mutex::default(), turns, hasher: RandomState::new() }
    }

    /// How much is taken at once.
    #[must_use]
    pub fn sizes(&self) -> Sizes {
        self.sizes
    }

    /// How much is kept, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    fn lock(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().expect("nothing panics while it holds the pages")
    }

    /// The newest point of history at which a page of this tenant was packed.
    pub(super) fn newest(&self, tenant: i64) -> Option<Position> {
        self.lock().tenants.get(&tenant).map(|tenant| tenant.newest).filter(|newest| *newest != Position::default())
    }

    /// For who has looked whether the newest point of a tenant's pages is one of its history: forgets them all if it is not.
    pub(super) fn enter(&self, tenant: i64, newest: Option<Position>, known: bool) -> Epoch {
        let mut shelf = self.lock();
        let Shelf { tenants, epochs, bytes, .. } = &mut *shelf;
        let shared = tenants.entry(tenant).or_default();
        // Newer ones came meanwhile: who packed them has looked.
        if !known && newest == Some(shared.newest) {
            *bytes -= shared.buckets.values().flat_map(BTreeMap::values).map(Shared::bytes).sum::<usize>();
            *epochs += 1;
            *shared = Tenant { epoch: Epoch(*epochs), ..Tenant::default() };
        }
        shared.epoch
    }

    /// The same, in a transaction that is at `position`.
    pub(super) async fn open(&self, tx: &mut Tx, tenant: i64, position: Position) -> Result<Epoch, StoreError> {
        let newest = self.newest(tenant);
        let known = match newest {
            Some(newest) if newest != position => tenant::known(tx, tenant, &[newest]).await?.contains(&newest),
            Some(_) | None => true,
        };
        Ok(self.enter(tenant, newest, known))
    }

    /// Waits until nobody else packs a page of this bucket.
    pub(super) async fn turn(&self, tenant: i64, bucket: i64) -> tokio::sync::MutexGuard<'_, ()> {
        let number = self.hasher.hash_one((tenant, bucket)) % TURNS as u64;
        self.turns[usize::try_from(number).unwrap_or(0)].lock().await
    }

    /// What there is for a place. Pages that are of no use for anybody any more go.
    pub(super) fn find(&self, place: &Place) -> Found {
        let mut shelf = self.lock();
        let Shelf { tenants, uses, bytes, .. } = &mut *shelf;
        let shared = tenants.get_mut(&place.tenant).filter(|tenant| tenant.epoch == place.epoch);
        let Some(pages) = shared.and_then(|tenant| tenant.buckets.get_mut(&place.bucket)) else {
            return Found::Nothing(None);
        };
        let mut drop_useless = |pages: &mut BTreeMap<Cursor, Shared>, from: Option<Cursor>| {
            let useless = from.filter(|from| pages.get(from).is_some_and(|page| page.is_useless(&place.source)));
            let gone = useless.and_then(|from| pages.remove(&from));
            *bytes -= gone.as_ref().map_or(0, Shared::bytes);
            gone.is_some()
        };
        let around = |pages: &BTreeMap<Cursor, Shared>| {
            let here = pages.range(..=place.cursor).next_back().map(|(from, _)| *from);
            let after = (Bound::Excluded(place.cursor), Bound::Unbounded);
            (here, pages.range(after).next().map(|(from, _)| *from))
        };
        let (mut here, mut next) = around(pages);
        while drop_useless(pages, here) || drop_useless(pages, next) {
            (here, next) = around(pages);
        }
        if let Some((from, page)) = here.and_then(|from| pages.get_mut(&from).map(|page| (from, page)))
            && place.cursor < page.middle
            && page.packed.at.version <= place.packed_to
        {
            if page.checked < place.source.head {
                return Found::Unchecked(from, page.packed.through);
            }
            if place.fresh || page.moved == 0 {
                *uses += 1;
                page.used = *uses;
                metrics::counter!("roundsman_shared_pages_used_total").increment(1);
                return Found::Page(page.packed.clone());
            }
        }
        Found::Nothing(next)
    }

    /// Of the page that begins at `from`, so many rows have not moved, as of `seen`.
    pub(super) fn check(&self, place: &Place, from: Cursor, unmoved: i64, seen: Position) {
        let mut shelf = self.lock();
        let Shelf { tenants, bytes, .. } = &mut *shelf;
        let shared = tenants.get_mut(&place.tenant).filter(|tenant| tenant.epoch == place.epoch);
        let Some(pages) = shared.and_then(|tenant| tenant.buckets.get_mut(&place.bucket)) else { return };
        let Some(page) = pages.get_mut(&from).filter(|page| page.checked < seen.version) else { return };
        let rows = i64::from(page.packed.page.rows);
        (page.checked, page.moved) = (seen.version, rows - unmoved);
        if page.moved * self.sizes.one_moved_of > rows {
            let through = page.packed.through;
            // A page that has become small takes the next one's place, too.
            let small = unmoved * 2 < rows;
            let next = Some(through).filter(|_| small);
            for gone in [Some(from), next].into_iter().flatten().filter_map(|from| pages.remove(&from)) {
                *bytes -= gone.bytes();
            }
        }
    }

    /// Shares a page that was just packed, with its first row and the one in its middle.
    pub(super) fn share(&self, place: &Place, packed: &Packed, (first, middle): (Cursor, Cursor)) {
        let Some(from) = packed.page.from.as_ref().and_then(|from| Cursor::try_from(from).ok()) else { return };
        let mut shelf = self.lock();
        shelf.uses += 1;
        let Shelf { tenants, uses, bytes, .. } = &mut *shelf;
        let Some(shared) = tenants.get_mut(&place.tenant).filter(|tenant| tenant.epoch == place.epoch) else { return };
        let pages = shared.buckets.entry(place.bucket).or_default();
        if pages.get(&from).is_some_and(|old| old.packed.at.version >= packed.at.version) {
            return;
        }
        shared.newest = if packed.at.version > shared.newest.version { packed.at } else { shared.newest };
        let new = Shared { packed: packed.clone(), middle, checked: packed.at.version, moved: 0, used: *uses };
        *bytes += new.bytes();
        // Before its first row is nothing: what begins there has lost its rows, and would be found in its place.
        let hidden = pages.range((Bound::Excluded(from), Bound::Excluded(first))).map(|(from, _)| *from);
        let hidden: Vec<Cursor> = hidden.collect();
        let gone = hidden.iter().filter_map(|from| pages.remove(from)).map(|page| page.bytes()).sum::<usize>();
        *bytes -= gone + pages.insert(from, new).map_or(0, |old| old.bytes());
        metrics::counter!("roundsman_shared_pages_packed_total").increment(1);
        if *bytes > self.sizes.shared_bytes {
            shelf.shrink(self.sizes.shared_bytes / 8 * 7);
        }
    }
}

impl Shelf {
    /// Takes away what was not used for longest, until so many bytes are left.
    fn shrink(&mut self, to_bytes: usize) {
        let mut uses: Vec<(u64, i64, i64, Cursor)> = Vec::new();
        for (number, tenant) in &self.tenants {
            for (bucket, pages) in &tenant.buckets {
                uses.extend(pages.iter().map(|(from, page)| (page.used, *number, *bucket, *from)));
            }
        }
        uses.sort_unstable();
        for (_, tenant, bucket, from) in uses {
            if self.bytes <= to_bytes {
                break;
            }
            let Some(buckets) = self.tenants.get_mut(&tenant).map(|tenant| &mut tenant.buckets) else { continue };
            let Some(pages) = buckets.get_mut(&bucket) else { continue };
            self.bytes -= pages.remove(&from).map_or(0, |page| page.bytes());
            if pages.is_empty() {
                buckets.remove(&bucket);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use roundsman_sync::page::{PageBuilder, encode_frame};
    use uuid::Uuid;

    use super::*;

    const TENANT: i64 = 7;
    const BUCKET: i64 = 3;
    const NOW: Position = Position { version: 20, nonce: 1 };
    const LATER: Position = Position { version: 30, nonce: 2 };

    fn row(number: i64) -> Cursor {
        Cursor { version: number, record: Some(Uuid::from_u128(number.unsigned_abs().into())) }
    }

    fn place(cursor: Cursor) -> Place {
        let source = Source { head: NOW.version, ..Source::default() };
        Place { tenant: TENANT, bucket: BUCKET, epoch: Epoch(0), cursor, source, fresh: true, packed_to: i64::MAX }
    }

    /// The page with the rows of versions `first` to `last`, each with a row of its own.
    fn packed((first, last): (i64, i64), at: Position, is_last: bool) -> Packed {
        let mut page = PageBuilder::default();
        for number in first..=last {
            let Cursor { version, record } = row(number);
            page.push(
                version,
                record.unwrap_or_default(),
                &encode_frame(record.unwrap_or_default(), version, Some(&[])),
            );
        }
        let from = if first == 1 { Cursor::default() } else { row(first - 1) };
        Packed { page: page.finish(BUCKET, from, at), through: row(last), at, last: is_last }
    }

    fn share(pages: &SharedPages, (first, last): (i64, i64), is_last: bool) {
        let epoch = pages.enter(TENANT, None, true);
        let here = Place { epoch, ..place(Cursor::default()) };
        pages.share(&here, &packed((first, last), NOW, is_last), (row(first), row(i64::midpoint(first, last) + 1)));
    }

    fn reach(pages: &SharedPages, place: &Place) -> Option<Cursor> {
        match pages.find(place) {
            Found::Page(Packed { through, .. }) => Some(through),
            Found::Unchecked(..) | Found::Nothing(_) => None,
        }
    }

    #[test]
    fn a_page_does_for_every_place_in_its_first_half() {
        let pages = SharedPages::new(Sizes::default());
        share(&pages, (1, 8), false);
        share(&pages, (13, 20), false);
        for at in [Cursor::default(), Cursor::after(0), row(4)] {
            assert_eq!(reach(&pages, &place(at)), Some(row(8)), "{at:?}");
        }
        for (at, next) in [(row(5), Some(row(12))), (row(8), Some(row(12))), (row(17), None)] {
            let Found::Nothing(found) = pages.find(&place(at)) else { panic!("something is found at {at:?}") };
            assert_eq!(found, next, "{at:?}");
        }
        assert_eq!(
            reach(&pages, &place(Cursor::after(12))),
            Some(row(20)),
            "nothing lies between the row and the place"
        );
        let earlier = Place { packed_to: NOW.version - 1, ..place(Cursor::default()) };
        assert_eq!(reach(&pages, &earlier), None, "what is cut before it was packed can't end with it");
        let other = Place { tenant: TENANT + 1, ..place(Cursor::default()) };
        assert_eq!(reach(&pages, &other), None, "another tenant's");
    }

    #[test]
    fn behind_the_horizon_or_a_removal_a_page_is_gone() {
        let pages = SharedPages::new(Sizes::default());
        let bucket = |scope: &str, last_removal| Bucket {
            id: BUCKET,
            scope: scope.to_owned(),
            kind: 1,
            head: NOW.version,
            last_removal,
            created: 1,
            rows: 8,
            bytes: 100,
            checksum: 0,
        };
        let territory = format!("territory:{}", Uuid::from_u128(1));
        let kept = [("tenant", 21, 20), (territory.as_str(), 20, 20)];
        let gone = [("tenant", 0, 21), (territory.as_str(), 21, 0)];
        for (expected, cases) in [(true, kept), (false, gone)] {
            for (scope, removal, horizon) in cases {
                share(&pages, (1, 8), false);
                let place = Place {
                    source: Source::of(&bucket(scope, removal), horizon, PageSize::default()),
                    ..place(Cursor::default())
                };
                assert_eq!(reach(&pages, &place).is_some(), expected, "{scope}, {removal}, {horizon}");
            }
        }
        assert_eq!(pages.bytes(), 0, "nobody else can use them either");
    }

    #[test]
    fn what_has_moved_is_counted_and_too_much_of_it_ends_a_page() {
        let pages = SharedPages::new(Sizes::default());
        share(&pages, (1, 10), false);
        let later = LATER;
        let source = Source { head: later.version, ..Source::default() };
        let fresh = Place { source, ..place(Cursor::default()) };
        let Found::Unchecked(from, through) = pages.find(&fresh) else { panic!("it is not known what has moved") };
        assert_eq!((from, through), (Cursor::default(), row(10)));
        pages.check(&fresh, from, 8, later);
        assert_eq!(reach(&pages, &fresh), Some(row(10)));
        assert_eq!(reach(&pages, &Place { fresh: false, ..fresh }), None, "who was told of less gets no row twice");
        let latest = Position { version: 31, nonce: 3 };
        pages.check(&fresh, from, 7, latest);
        assert!(matches!(pages.find(&fresh), Found::Nothing(None)));
    }

    #[test]
    fn what_has_lost_its_rows_hides_no_page() {
        let pages = SharedPages::new(Sizes::default());
        share(&pages, (1, 4), false);
        share(&pages, (5, 8), false);
        let before = pages.bytes();
        // All rows have moved behind version 10.
        let epoch = pages.enter(TENANT, None, true);
        let Packed { page, through, .. } = packed((11, 14), NOW, false);
        let moved =
            Packed { page: Page { from: Some(Cursor::default().into()), ..page }, through, at: LATER, last: false };
        pages.share(&Place { epoch, ..place(Cursor::default()) }, &moved, (row(11), row(13)));
        assert_eq!(reach(&pages, &place(Cursor::after(9))), Some(row(14)));
        assert!(pages.bytes() < before, "what nobody is given takes no place");
    }

    #[test]
    fn the_last_page_ends_when_rows_follow() {
        let pages = SharedPages::new(Sizes::default());
        share(&pages, (1, 8), true);
        assert_eq!(reach(&pages, &place(Cursor::default())), Some(row(8)));
        let source = Source { head: NOW.version + 1, ..Source::default() };
        assert!(matches!(pages.find(&Place { source, ..place(Cursor::default()) }), Found::Nothing(None)));
    }

    #[test]
    fn of_a_history_that_was_lost_nothing_is_shared() {
        let pages = SharedPages::new(Sizes::default());
        let before = pages.enter(TENANT, None, true);
        share(&pages, (1, 8), false);
        assert_eq!(pages.newest(TENANT), Some(NOW));
        assert_eq!(pages.enter(TENANT, Some(NOW), true), before);
        let after = pages.enter(TENANT, Some(NOW), false);
        assert_ne!(after, before);
        let late = Place { epoch: before, ..place(Cursor::default()) };
        pages.share(&late, &packed((1, 8), NOW, false), (row(1), row(5)));
        let place = Place { epoch: after, ..place(Cursor::default()) };
        assert_eq!(
            (reach(&pages, &place), pages.bytes()),
            (None, 0),
            "not what was packed before it was known, either"
        );
    }

    #[test]
    fn what_was_not_used_for_longest_makes_room() {
        let one = packed((1, 8), NOW, false).page.payload.len() + ENTRY_BYTES;
        let pages = SharedPages::new(Sizes { shared_bytes: 8 * one, ..Sizes::default() });
        for first in 0..8 {
            share(&pages, (first * 8 + 1, first * 8 + 8), false);
        }
        assert!(reach(&pages, &place(Cursor::default())).is_some());
        share(&pages, (65, 72), false);
        assert!(pages.bytes() <= 7 * one + 16, "{}", pages.bytes());
        assert!(reach(&pages, &place(Cursor::default())).is_some(), "it was used");
        assert_eq!(reach(&pages, &place(row(8))), None);
        assert!(reach(&pages, &place(row(64))).is_some());
    }
}
