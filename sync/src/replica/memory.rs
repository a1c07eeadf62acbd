//! A replica in memory: for the load test, the simulation, and as the plainest example of a storage.
//!
//! Documents are slices of the pages they came with, never copied: a page's bytes live until the last of its documents
//! was replaced.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::hash::{BuildHasherDefault, Hasher};
use std::mem;

use bytes::Bytes;
use roundsman_proto::sync as proto;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::storage::{Bucket, Change, Document, Head, Holding, Member, Slot, State, Storage};

/// Quick, and the same in every run, so that a simulation can be repeated.
#[derive(Clone, Copy, Debug, Default)]
struct Xxh(u64);

impl Hasher for Xxh {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    /// The length of what follows, which is always that of a record's id.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

type Map<K, V> = HashMap<K, V, BuildHasherDefault<Xxh>>;

#[derive(Clone, Debug, Default)]
struct Rows {
    members: BTreeMap<Slot, Map<Uuid, Member>>,
    documents: Map<Uuid, (Document, u32)>,
}

/// How to take a write back.
#[derive(Clone, Debug)]
enum Undo {
    Head(Head),
    Bucket(Slot, Option<Bucket>),
    Pages(Slot, Vec<proto::Page>),
    Page(Slot),
    Member(Slot, Uuid, Option<Member>),
    Document(Uuid, Option<(Document, u32)>),
    Rows(Box<Rows>),
    All(Box<(State, BTreeMap<Slot, Vec<proto::Page>>, Rows)>),
}

/// A storage in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryStorage {
    state: State,
    pages: BTreeMap<Slot, Vec<proto::Page>>,
    rows: Rows,
    undo: Vec<Undo>,
}

impl MemoryStorage {
    /// A record that counts other memberships than there are, or whose document nobody holds; `None`: there is none. For
    /// tests: it looks at everything.
    #[must_use]
    pub fn miscounted(&self) -> Option<Uuid> {
        let mut holders: Map<Uuid, u32> = Map::default();
        for record in self.rows.members.values().flat_map(Map::keys) {
            *holders.entry(*record).or_default() += 1;
        }
        let counted = |record: &Uuid| self.rows.documents.get(record).map_or(0, |(_, holders)| *holders);
        let mut records = holders.keys().chain(self.rows.documents.keys());
        records.find(|record| counted(record) != holders.get(record).copied().unwrap_or_default()).copied()
    }

    fn put_member(&mut self, slot: Slot, record: Uuid, member: Option<Member>) -> Option<Member> {
        let members = self.rows.members.entry(slot).or_default();
        match member {
            Some(member) => members.insert(record, member),
            None => members.remove(&record),
        }
    }

    fn put_document(&mut self, record: Uuid, document: Option<(Document, u32)>) -> Option<(Document, u32)> {
        match document {
            Some(document) => self.rows.documents.insert(record, document),
            None => self.rows.documents.remove(&record),
        }
    }

    fn put_bucket(&mut self, slot: Slot, bucket: Option<Bucket>) -> Option<Bucket> {
        match bucket {
            Some(bucket) => self.state.buckets.insert(slot, bucket),
            None => self.state.buckets.remove(&slot),
        }
    }

    /// Keeps a page as it was unpacked, which the documents that come out of it are slices of.
    fn put_page(&mut self, slot: Slot, page: &proto::Page, payload: &Bytes) -> Undo {
        let compression = proto::Compression::Identity.into();
        let pages = self.pages.entry(slot).or_default();
        pages.push(proto::Page { compression, payload: payload.clone(), ..page.clone() });
        // Room for what will come out of them, so that it need not be moved again and again.
        let rows = pages.iter().map(|page| page.rows as usize).sum();
        self.rows.members.entry(slot).or_default().reserve(rows);
        self.rows.documents.reserve(rows);
        Undo::Page(slot)
    }

    fn put_holders(&mut self, record: Uuid, holders: u32) -> Option<Undo> {
        let (document, before) = self.rows.documents.get_mut(&record)?;
        let undo = Undo::Document(record, Some((document.clone(), *before)));
        *before = holders;
        if holders == 0 {
            self.rows.documents.remove(&record);
        }
        Some(undo)
    }

    fn forget(&mut self) -> Undo {
        let before = self.rows.clone();
        self.rows.members.values_mut().flat_map(Map::values_mut).for_each(|member| member.version = 0);
        self.rows.documents.values_mut().for_each(|(document, _)| document.version = 0);
        Undo::Rows(Box::new(before))
    }

    fn take_back(&mut self, undo: Undo) {
        match undo {
            Undo::Head(head) => self.state.head = head,
            Undo::Bucket(slot, bucket) => drop(self.put_bucket(slot, bucket)),
            Undo::Pages(slot, pages) => drop(self.pages.insert(slot, pages)),
            Undo::Page(slot) => drop(self.pages.entry(slot).or_default().pop()),
            Undo::Member(slot, record, member) => drop(self.put_member(slot, record, member)),
            Undo::Document(record, document) => drop(self.put_document(record, document)),
            Undo::Rows(rows) => self.rows = *rows,
            Undo::All(all) => (self.state, self.pages, self.rows) = *all,
        }
    }
}

impl Storage for MemoryStorage {
    type Error = Infallible;

    fn load(&self) -> Result<State, Infallible> {
        Ok(self.state.clone())
    }

    fn page(&self, slot: Slot, number: u32) -> Result<Option<proto::Page>, Infallible> {
        Ok(self.pages.get(&slot).and_then(|pages| pages.get(number as usize)).cloned())
    }

    fn members(&self, slot: Slot) -> Result<Vec<(Uuid, Member)>, Infallible> {
        let members = self.rows.members.get(&slot).into_iter().flatten();
        Ok(members.map(|(record, member)| (*record, *member)).collect())
    }

    fn look(&self, slot: Slot, record: Uuid) -> Result<(Option<Member>, Option<Holding>), Infallible> {
        let member = self.rows.members.get(&slot).and_then(|members| members.get(&record)).copied();
        let holding = self.rows.documents.get(&record);
        let holding = holding.map(|(document, holders)| Holding { version: document.version, holders: *holders });
        Ok((member, holding))
    }

    fn document(&self, record: Uuid) -> Result<Option<Document>, Infallible> {
        Ok(self.rows.documents.get(&record).map(|(document, _)| document.clone()))
    }

    fn write(&mut self, change: Change<'_>) -> Result<(), Infallible> {
        let undo = match change {
            Change::Head(head) => Some(Undo::Head(mem::replace(&mut self.state.head, head.clone()))),
            Change::Bucket(slot, bucket) => Some(Undo::Bucket(slot, self.put_bucket(slot, bucket.cloned()))),
            Change::Page(slot, _, page, payload) => Some(self.put_page(slot, page, payload)),
            Change::Unstage(slot) => self.pages.remove(&slot).map(|pages| Undo::Pages(slot, pages)),
            Change::Member(slot, record, member) => {
                Some(Undo::Member(slot, record, self.put_member(slot, record, member)))
            }
            Change::Document(record, document, holders) => {
                let before = self.put_document(record, Some((document.clone(), holders)));
                Some(Undo::Document(record, before))
            }
            Change::Holders(record, holders) => self.put_holders(record, holders),
            Change::Forget => Some(self.forget()),
            Change::Erase => {
                let (state, pages) = (mem::take(&mut self.state), mem::take(&mut self.pages));
                Some(Undo::All(Box::new((state, pages, mem::take(&mut self.rows)))))
            }
        };
        self.undo.extend(undo);
        Ok(())
    }

    fn commit(&mut self) -> Result<(), Infallible> {
        self.undo = Vec::new();
        Ok(())
    }

    fn rollback(&mut self) -> Result<(), Infallible> {
        while let Some(undo) = self.undo.pop() {
            self.take_back(undo);
        }
        Ok(())
    }
}
