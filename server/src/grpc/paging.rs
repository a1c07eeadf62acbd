//! Pages of documents: a token goes with the filter of its list, and a page is bounded by bytes as well as by number.

use roundsman_sync::kind::Record;
use uuid::Uuid;
use xxhash_rust::xxh3::Xxh3;

use super::fields::{Fields, next_page};
use crate::error::StoreError;
use crate::store::record;
use crate::store::sql::Tx;

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
