//! Pairs of records that look like one, for whoever decides that they are: pages of the most alike ones.

mod customers;
mod outlets;

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};

use prost::Message;
use roundsman_proto::trade::Reason;
use roundsman_sync::kind::{self, Record};
use roundsman_sync::trade::check::WHOLE_BP;
use roundsman_sync::trade::rejection::Rejection;
use tonic::Status;
use uuid::Uuid;

pub use customers::CustomerPage;
pub use outlets::OutletPage;

use super::fields::Fields;
use super::paging::{Filter, PAGE_BYTES};
use super::status;
use crate::error::StoreError;
use crate::store::record;
use crate::store::sql::Tx;

/// So alike are pairs at least, if nobody says.
const LEAST_BP: i32 = 5_000;
/// Records in one read.
const READ: i64 = 1_000;
/// Pairs whose records are read at a time.
const READ_PAIRS: usize = 32;
/// What is compared of so many records fits into about 100 MiB.
const COMPARED: usize = 200_000;
/// A pair's place in the list: how much it lacks of being wholly alike, and both ids.
const KEY_BYTES: usize = 36;

/// How much a pair lacks of being wholly alike, in basis points, who of them remains and who goes, as proposed.
type Key = (i32, Uuid, Uuid);

/// Which pairs are wanted, checked.
#[derive(Debug)]
struct Search {
    token: Filter,
    least_bp: i32,
    after: Option<Key>,
    size: usize,
}

impl Search {
    /// What was asked for of a list.
    ///
    /// # Errors
    /// INVALID_ARGUMENT with all that is wrong.
    fn of(list: &str, min_likeness_bp: i32, page_size: i32, page_token: &str) -> Result<Self, Status> {
        let mut fields = Fields::default();
        let least_bp = match min_likeness_bp {
            0 => LEAST_BP,
            likeness_bp if (1..=WHOLE_BP).contains(&likeness_bp) => likeness_bp,
            _ => {
                fields.wrong("min_likeness_bp", Reason::OutOfRange, "is not from 0 to 10000");
                LEAST_BP
            }
        };
        let token = Filter::of(list, &[&least_bp.to_be_bytes()]);
        let after = token.after::<KEY_BYTES>(&mut fields, page_token).map(key_of);
        let size = usize::try_from(fields.page_size("page_size", page_size)).unwrap_or(usize::MAX);
        fields.check()?;
        Ok(Self { token, least_bp, after, size })
    }

    /// The most alike pairs after the page before, one more than the page has; `search` offers all of them.
    fn best<T>(&self, search: impl FnOnce(&mut dyn FnMut(Pair<T>))) -> Vec<Pair<T>> {
        let mut best: BinaryHeap<Pair<T>> = BinaryHeap::new();
        search(&mut |pair| {
            if self.after.is_none_or(|after| after < pair.key) {
                best.push(pair);
                if best.len() > self.size + 1 {
                    best.pop();
                }
            }
        });
        best.into_sorted_vec()
    }
}

/// Two records that look like one, and what is known of them as a pair.
#[derive(Clone, Copy, Debug)]
struct Pair<T> {
    key: Key,
    known: T,
}

impl<T> Pair<T> {
    fn stays(&self) -> Uuid {
        self.key.1
    }

    fn goes(&self) -> Uuid {
        self.key.2
    }
}

impl<T> PartialEq for Pair<T> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl<T> Eq for Pair<T> {}

impl<T> PartialOrd for Pair<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Pair<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.cmp(&other.key)
    }
}

/// A page that is being filled.
#[derive(Debug)]
struct Page<M> {
    shown: Vec<M>,
    covered: usize,
    bytes: usize,
}

impl<M: Message> Page<M> {
    fn new() -> Self {
        Self { shown: Vec::new(), covered: 0, bytes: 0 }
    }

    /// Shows the next pair, unless one of the two is gone by now; false: the page is full without it.
    fn add(&mut self, pair: Option<M>) -> bool {
        if let Some(pair) = pair {
            self.bytes += pair.encoded_len();
            if self.bytes > PAGE_BYTES && !self.shown.is_empty() {
                return false;
            }
            self.shown.push(pair);
        }
        self.covered += 1;
        true
    }

    /// What is shown, and the token of the next page; `best` are those of [`Search::best`].
    fn end<T>(self, search: &Search, best: &[Pair<T>]) -> (Vec<M>, String) {
        let last = best[..self.covered].last().filter(|_| self.covered < best.len());
        (self.shown, last.map_or_else(String::new, |last| search.token.token(bytes_of(last.key))))
    }
}

fn bytes_of((lacks_bp, stays, goes): Key) -> [u8; KEY_BYTES] {
    let mut bytes = [0; KEY_BYTES];
    bytes[..4].copy_from_slice(&lacks_bp.to_be_bytes());
    bytes[4..20].copy_from_slice(stays.as_bytes());
    bytes[20..].copy_from_slice(goes.as_bytes());
    bytes
}

fn key_of(bytes: [u8; KEY_BYTES]) -> Key {
    let (lacks_bp, ids) = bytes.split_at(4);
    let id = |id: &[u8]| Uuid::from_slice(id).unwrap_or_default();
    (lacks_bp.try_into().map_or(0, i32::from_be_bytes), id(&ids[..16]), id(&ids[16..]))
}

/// The ids of both of each pair, each once.
fn ids<T>(pairs: &[Pair<T>]) -> Vec<Uuid> {
    let mut ids: Vec<Uuid> = pairs.iter().flat_map(|pair| [pair.goes(), pair.stays()]).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// The records with these ids, as far as they are there.
async fn live<R: Record>(tx: &mut Tx, tenant: i64, ids: &[Uuid]) -> Result<HashMap<Uuid, R>, StoreError> {
    let mut live = HashMap::new();
    for (id, stored) in record::find(tx, tenant, ids).await? {
        if stored.removed_at_us.is_none() && kind::from_number(stored.kind) == Some(R::KIND) {
            live.insert(id, R::decode(stored.document).map_err(|error| unreadable(id, &error))?);
        }
    }
    Ok(live)
}

/// Refuses to compare more than fits into memory.
fn check_count(count: usize) -> Result<(), Status> {
    if count <= COMPARED {
        return Ok(());
    }
    let limit = Rejection::new(Reason::LimitExceeded).fact(None, "max", COMPARED);
    Err(status::rejected(&limit))
}

fn unreadable(id: Uuid, error: &prost::DecodeError) -> StoreError {
    StoreError::Corrupt(format!("record {id}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_the_list_is_what_its_token_says() {
        let key = (2_999, Uuid::from_u128(7), Uuid::from_u128(1 << 100));
        assert_eq!(key_of(bytes_of(key)), key);
    }
}
