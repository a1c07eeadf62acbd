//! Pages of documents: a token goes with the filter of its list, and a page is bounded by bytes as well as by number.

use std::future::Future;

use roundsman_sync::kind::Record;
use tonic::Status;
use uuid::Uuid;
use xxhash_rust::xxh3::Xxh3;

use super::fields::{Fields, next_page};
use crate::error::StoreError;
use crate::store::record;
use crate::store::sql::{Db, Tx};

/// The documents of a page have together at most this many bytes, unless it is a single one: clients take messages of
/// 4 MiB.
pub(super) const PAGE_BYTES: usize = 2 * 1024 * 1024;
/// Documents that are read at a time.
const READ: usize = 64;

/// Which list it is and what it is filtered by, as one number: the token of another list, or of the same list with
/// another filter, is refused instead of skipping what it must not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filter(u64);

impl Filter {
    /// Of a list by its name and the values of its filter.
    #[must_use]
    pub fn of(list: &str, values: &[&[u8]]) -> Self {
        let mut hash = Xxh3::new();
        for value in std::iter::once(list.as_bytes()).chain(values.iter().copied()) {
            hash.update(&value.len().to_be_bytes());
            hash.update(value);
        }
        Self(hash.digest())
    }

    /// The token of the page after the one that ends with this key.
    #[must_use]
    pub fn token<const N: usize>(self, last: [u8; N]) -> String {
        next_page(&[self.0.to_be_bytes().as_slice(), &last].concat())
    }

    /// The key that the page before ended with; `None`: the first page.
    pub fn after<const N: usize>(self, fields: &mut Fields, token: &str) -> Option<[u8; N]> {
        if token.is_empty() {
            return None;
        }
        let field = "page_token";
        // What is too long is not even decoded.
        if token.len() != 2 * (size_of::<u64>() + N) {
            fields.wrong_page_token(field);
            return None;
        }
        let bytes = fields.page_token(field, token)?;
        let key = bytes.strip_prefix(&self.0.to_be_bytes()).and_then(|key| key.try_into().ok());
        if key.is_none() {
            fields.wrong_page_token(field);
        }
        key
    }
}

/// A moment or a day, and an id: where a list in this order goes on.
fn key_of((number, id): &(i64, Uuid)) -> [u8; 24] {
    let mut key = [0; 24];
    key[..8].copy_from_slice(&number.to_be_bytes());
    key[8..].copy_from_slice(id.as_bytes());
    key
}

fn read_key(key: [u8; 24]) -> (i64, Uuid) {
    let (number, id) = key.split_at(8);
    let number = number.try_into().map_or(i64::MAX, i64::from_be_bytes);
    (number, Uuid::from_slice(id).unwrap_or_default())
}

/// By what a list is ordered; it ends with the record's id, so that no two are equal.
pub trait Key: Copy + Send + Sync + 'static {
    /// The record.
    fn id(&self) -> Uuid;
    /// The token of the page after this key.
    fn token(&self, filter: Filter) -> String;
    /// What [`Key::token`] has made; `None`: the first page.
    fn after(filter: Filter, fields: &mut Fields, token: &str) -> Option<Self>;
}

impl Key for Uuid {
    fn id(&self) -> Uuid {
        *self
    }

    fn token(&self, filter: Filter) -> String {
        filter.token(self.into_bytes())
    }

    fn after(filter: Filter, fields: &mut Fields, token: &str) -> Option<Self> {
        filter.after(fields, token).map(Self::from_bytes)
    }
}

impl Key for (i64, Uuid) {
    fn id(&self) -> Uuid {
        self.1
    }

    fn token(&self, filter: Filter) -> String {
        filter.token(key_of(self))
    }

    fn after(filter: Filter, fields: &mut Fields, token: &str) -> Option<Self> {
        filter.after(fields, token).map(read_key)
    }
}

impl Key for (i64, i64, Uuid) {
    fn id(&self) -> Uuid {
        self.2
    }

    fn token(&self, filter: Filter) -> String {
        let (first, second, id) = self;
        let mut key = [0; 32];
        key[..8].copy_from_slice(&first.to_be_bytes());
        key[8..].copy_from_slice(&key_of(&(*second, *id)));
        filter.token(key)
    }

    fn after(filter: Filter, fields: &mut Fields, token: &str) -> Option<Self> {
        let key = filter.after::<32>(fields, token)?;
        let (first, rest) = key.split_at(8);
        let (second, id) = rest.try_into().map_or((i64::MAX, Uuid::max()), read_key);
        Some((first.try_into().map_or(i64::MAX, i64::from_be_bytes), second, id))
    }
}

/// Which records are listed, and in which order.
pub trait List: Send + Sync + 'static {
    /// The records.
    type Record: Record + Send;
    /// By what they are ordered.
    type Key: Key;
    /// Before the first of them.
    const START: Self::Key;

    /// The keys that follow one, at most so many.
    ///
    /// # Errors
    /// When the database does not answer.
    fn keys(
        &self,
        tx: &mut Tx,
        tenant: i64,
        after: Self::Key,
        limit: i64,
    ) -> impl Future<Output = Result<Vec<Self::Key>, StoreError>> + Send;
}

/// A page of a list, checked.
#[derive(Debug)]
pub struct Page<L: List> {
    list: L,
    filter: Filter,
    after: L::Key,
    size: i64,
}

impl<L: List> Page<L> {
    /// The page of a list that its token and its size ask for.
    ///
    /// # Errors
    /// INVALID_ARGUMENT with all that is wrong with the request.
    pub fn of(mut fields: Fields, list: L, filter: Filter, (token, size): (&str, i32)) -> Result<Self, Status> {
        let after = L::Key::after(filter, &mut fields, token).unwrap_or(L::START);
        let size = fields.page_size("page_size", size);
        fields.check()?;
        Ok(Self { list, filter, after, size })
    }

    /// Reads it: its records, and the token of the next page, which is empty after the last.
    ///
    /// # Errors
    /// When the database does not answer, or a document can't be read.
    pub async fn read(&self, db: &Db, tenant: i64) -> Result<(Vec<(Uuid, L::Record)>, String), StoreError> {
        let mut tx = db.read().await?;
        // One more than asked for tells whether there is a next page.
        let keys = self.list.keys(&mut tx, tenant, self.after, self.size + 1).await?;
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        let ids: Vec<Uuid> = keys.iter().take(size).map(Key::id).collect();
        let Listed { documents, covered } = documents(&mut tx, tenant, &ids).await?;
        tx.commit().await?;
        let last = keys[..covered].last().filter(|_| covered < keys.len());
        Ok((documents, last.map_or_else(String::new, |last| last.token(self.filter))))
    }
}

/// The documents of a page.
#[derive(Debug)]
pub struct Listed<R> {
    /// The live ones, in the order of the ids.
    pub documents: Vec<(Uuid, R)>,
    /// How many of the ids this covers; the others did not fit.
    pub covered: usize,
}

/// Reads the documents with these ids, as many as fit into a page, and at least one.
///
/// # Errors
/// When the database does not answer, or a document can't be read.
pub async fn documents<R: Record>(tx: &mut Tx, tenant: i64, ids: &[Uuid]) -> Result<Listed<R>, StoreError> {
    let mut listed = Listed { documents: Vec::new(), covered: 0 };
    let mut bytes = 0;
    for chunk in ids.chunks(READ) {
        let mut found: std::collections::HashMap<Uuid, _> =
            record::find(tx, tenant, chunk).await?.into_iter().collect();
        for id in chunk {
            let stored = found.remove(id).filter(|stored| stored.removed_at_us.is_none());
            if let Some(stored) = stored {
                bytes += stored.document.len();
                if bytes > PAGE_BYTES && !listed.documents.is_empty() {
                    return Ok(listed);
                }
                let document =
                    R::decode(stored.document).map_err(|error| StoreError::Corrupt(format!("record {id}: {error}")))?;
                listed.documents.push((*id, document));
            }
            listed.covered += 1;
        }
    }
    Ok(listed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(filter: Filter, token: &str) -> bool {
        let mut fields = Fields::default();
        let key = filter.after::<3>(&mut fields, token);
        assert!(key.is_none());
        fields.check().is_err()
    }

    #[test]
    fn a_token_goes_with_its_filter() {
        let filter = Filter::of("orders", &[b"ab", b"c"]);
        let token = filter.token([1, 2, 3]);
        let mut fields = Fields::default();
        assert_eq!(filter.after(&mut fields, &token), Some([1, 2, 3]));
        assert!(fields.check().is_ok());
        assert!(!refused(filter, ""), "the first page");
        for other in
            [Filter::of("orders", &[b"a", b"bc"]), Filter::of("orders", &[b"ab"]), Filter::of("visits", &[b"ab", b"c"])]
        {
            assert!(refused(other, &token));
        }
        for wrong in ["x", "00", &token[2..], &token.replace(|_| true, "z"), &"0".repeat(1 << 20)] {
            assert!(refused(filter, wrong), "{}", wrong.len());
        }
        let longer = filter.token([1, 2, 3, 4]);
        assert!(refused(filter, &longer));
    }
}
