//! Pairs of outlets that look like one, for whoever decides that they are.

use std::collections::{BinaryHeap, HashMap};

use prost::Message as _;
use roundsman_proto::admin as proto;
use roundsman_proto::trade::{Customer, GeoPoint, Outlet, OutletStatus, Reason};
use roundsman_sync::trade::check::WHOLE_BP;
use roundsman_sync::trade::likeness::{self, Likeness, Traits};
use roundsman_sync::trade::rejection::Rejection;
use tonic::Status;
use uuid::Uuid;

use super::auth::bytes;
use super::fields::Fields;
use super::paging::{Filter, PAGE_BYTES};
use super::status;
use crate::error::StoreError;
use crate::projection;
use crate::store::record;
use crate::store::sql::{Db, Tx};

/// So alike are pairs at least, if nobody says.
const LEAST_BP: i32 = 5_000;
/// Outlets in one read.
const READ: i64 = 1_000;
/// Pairs whose outlets are read at a time.
const READ_PAIRS: usize = 32;
/// What is compared of so many outlets fits into about 100 MiB.
const OUTLETS: usize = 200_000;
/// A pair's place in the list: how much it lacks of being wholly alike, and both ids.
const KEY_BYTES: usize = 36;

type Key = (i32, Uuid, Uuid);

/// A page of pairs, checked.
#[derive(Debug)]
pub struct DuplicatePage {
    token: Filter,
    least_bp: i32,
    after: Option<Key>,
    size: usize,
}

impl DuplicatePage {
    /// What was asked for.
    ///
    /// # Errors
    /// INVALID_ARGUMENT with all that is wrong.
    pub fn of(request: &proto::ListDuplicateOutletsRequest) -> Result<Self, Status> {
        let mut fields = Fields::default();
        let least_bp = match request.min_likeness_bp {
            0 => LEAST_BP,
            likeness_bp if (1..=WHOLE_BP).contains(&likeness_bp) => likeness_bp,
            _ => {
                fields.wrong("min_likeness_bp", Reason::OutOfRange, "is not from 0 to 10000");
                LEAST_BP
            }
        };
        let token = Filter::of("duplicate outlets", &[&least_bp.to_be_bytes()]);
        let after = token.after::<KEY_BYTES>(&mut fields, &request.page_token).map(key_of);
        let size = usize::try_from(fields.page_size("page_size", request.page_size)).unwrap_or(usize::MAX);
        fields.check()?;
        Ok(Self { token, least_bp, after, size })
    }

    /// Compares all outlets, and reads those of the page.
    ///
    /// # Errors
    /// When the database does not answer, or there are too many outlets.
    pub async fn read(self, db: &Db, tenant: i64) -> Result<proto::ListDuplicateOutletsResponse, Status> {
        let outlets = compared(db, tenant).await?;
        let (token, size) = (self.token, self.size);
        let mut page = tokio::task::spawn_blocking(move || self.best(&outlets)).await.map_err(status::internal)?;
        let found = page.len();
        page.truncate(size);
        let mut tx = db.read().await?;
        let (mut duplicates, mut covered, mut size_bytes) = (Vec::new(), 0, 0);
        'page: for chunk in page.chunks(READ_PAIRS) {
            let documents = documents(&mut tx, tenant, chunk).await?;
            for pair in chunk {
                // Who is gone by now is in no pair any more.
                if let Some(duplicate) = pair.shown(&documents) {
                    size_bytes += duplicate.encoded_len();
                    if size_bytes > PAGE_BYTES && !duplicates.is_empty() {
                        break 'page;
                    }
                    duplicates.push(duplicate);
                }
                covered += 1;
            }
        }
        tx.commit().await?;
        let last = page[..covered].last().filter(|_| covered < found);
        let next_page_token = last.map_or_else(String::new, |last| token.token(bytes_of(last.key)));
        Ok(proto::ListDuplicateOutletsResponse { duplicates, next_page_token })
    }

    /// The most alike pairs after the page before, one more than the page has.
    fn best(&self, outlets: &(Vec<Compared>, Vec<Traits>)) -> Vec<Pair> {
        let (outlets, traits) = outlets;
        let mut best: BinaryHeap<Pair> = BinaryHeap::new();
        likeness::pairs(traits, self.least_bp, |one, other, likeness| {
            let pair = Pair::of(outlets[one], outlets[other], likeness);
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

/// What decides which outlet of a pair is proposed to remain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Compared {
    id: Uuid,
    is_candidate: bool,
    has_customer: bool,
}

/// Two outlets that look like one.
#[derive(Clone, Copy, Debug)]
struct Pair {
    key: Key,
    goes: Compared,
    stays: Compared,
    likeness: Likeness,
}

impl Pair {
    fn of(one: Compared, other: Compared, likeness: Likeness) -> Self {
        let rank = |outlet: &Compared| (outlet.is_candidate, !outlet.has_customer, outlet.id);
        let (stays, goes) = if rank(&one) < rank(&other) { (one, other) } else { (other, one) };
        Self { key: (WHOLE_BP - likeness.whole_bp, stays.id, goes.id), goes, stays, likeness }
    }

    fn shown(&self, documents: &HashMap<Uuid, Outlet>) -> Option<proto::DuplicateOutlet> {
        let Likeness { whole_bp, name_bp, distance_m, same_tax_id } = self.likeness;
        Some(proto::DuplicateOutlet {
            outlet: Some(shown(self.goes.id, documents)?),
            survivor: Some(shown(self.stays.id, documents)?),
            likeness_bp: whole_bp,
            distance_m,
            name_likeness_bp: name_bp,
            same_tax_id,
        })
    }
}

impl PartialEq for Pair {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Pair {}

impl PartialOrd for Pair {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Pair {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}

fn shown(id: Uuid, documents: &HashMap<Uuid, Outlet>) -> Option<proto::ComparedOutlet> {
    let outlet = documents.get(&id)?;
    Some(proto::ComparedOutlet {
        outlet_id: bytes(id),
        name: outlet.name.clone(),
        address: outlet.address.clone(),
        status: outlet.status,
        territory_id: outlet.territory_id.clone(),
    })
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

/// What is compared of all outlets, read in pages: no more than one of them is in memory as a whole.
async fn compared(db: &Db, tenant: i64) -> Result<(Vec<Compared>, Vec<Traits>), Status> {
    let (mut compared, mut traits) = (Vec::new(), Vec::new());
    let mut after = Uuid::nil();
    loop {
        let mut tx = db.read().await?;
        let page = projection::outlets(&mut tx, tenant, after, READ).await?;
        let customers: Vec<Uuid> =
            page.iter().filter(|outlet| outlet.tax_id.is_empty()).filter_map(|outlet| outlet.customer).collect();
        let tax_ids = tax_ids(&mut tx, tenant, customers).await?;
        tx.commit().await?;
        let Some(last) = page.last() else { return Ok((compared, traits)) };
        after = last.id;
        for outlet in page {
            let point = outlet.point.map(|(latitude_e7, longitude_e7)| GeoPoint {
                latitude_e7,
                longitude_e7,
                ..GeoPoint::default()
            });
            let of_customer = outlet.customer.and_then(|customer| tax_ids.get(&customer));
            let tax_id = if outlet.tax_id.is_empty() { of_customer.map_or("", String::as_str) } else { &outlet.tax_id };
            traits.push(Traits::of(&outlet.name, &outlet.address, point, tax_id));
            compared.push(Compared {
                id: outlet.id,
                is_candidate: outlet.status == i64::from(OutletStatus::Candidate as i32),
                has_customer: outlet.customer.is_some(),
            });
        }
        if compared.len() > OUTLETS {
            let limit = Rejection::new(Reason::LimitExceeded).fact(None, "max", OUTLETS);
            return Err(status::rejected(&limit));
        }
    }
}

/// The tax numbers of these customers, as far as they are known.
async fn tax_ids(tx: &mut Tx, tenant: i64, mut customers: Vec<Uuid>) -> Result<HashMap<Uuid, String>, StoreError> {
    customers.sort_unstable();
    customers.dedup();
    let mut known = HashMap::new();
    for (id, stored) in record::find(tx, tenant, &customers).await? {
        if stored.removed_at_us.is_none() {
            let customer = Customer::decode(stored.document).map_err(|error| unreadable(id, &error))?;
            known.insert(id, customer.tax_id);
        }
    }
    Ok(known)
}

/// The outlets of these pairs, as far as they are there.
async fn documents(tx: &mut Tx, tenant: i64, pairs: &[Pair]) -> Result<HashMap<Uuid, Outlet>, StoreError> {
    let mut ids: Vec<Uuid> = pairs.iter().flat_map(|pair| [pair.goes.id, pair.stays.id]).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut found = HashMap::new();
    for (id, stored) in record::find(tx, tenant, &ids).await? {
        if stored.removed_at_us.is_none() {
            found.insert(id, Outlet::decode(stored.document).map_err(|error| unreadable(id, &error))?);
        }
    }
    Ok(found)
}

fn unreadable(id: Uuid, error: &prost::DecodeError) -> StoreError {
    StoreError::Corrupt(format!("record {id}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outlet(id: u128, is_candidate: bool, has_customer: bool) -> Compared {
        Compared { id: Uuid::from_u128(id), is_candidate, has_customer }
    }

    fn pair(one: Compared, other: Compared) -> (Uuid, Uuid) {
        let likeness = Likeness { whole_bp: 7_000, name_bp: 7_000, distance_m: Some(3), same_tax_id: false };
        let (there, back) = (Pair::of(one, other, likeness), Pair::of(other, one, likeness));
        assert_eq!((there.key, there.goes), (back.key, back.goes), "whichever is named first");
        (there.stays.id, there.goes.id)
    }

    #[test]
    fn the_office_s_outlet_remains_then_the_customers_then_the_older_one() {
        let ids = |one, other| (Uuid::from_u128(one), Uuid::from_u128(other));
        assert_eq!(pair(outlet(1, true, true), outlet(2, false, false)), ids(2, 1));
        assert_eq!(pair(outlet(1, false, false), outlet(2, false, true)), ids(2, 1));
        assert_eq!(pair(outlet(1, true, false), outlet(2, true, false)), ids(1, 2));
    }

    #[test]
    fn a_place_in_the_list_is_what_its_token_says() {
        let key = (2_999, Uuid::from_u128(7), Uuid::from_u128(1 << 100));
        assert_eq!(key_of(bytes_of(key)), key);
    }

    #[test]
    fn pages_go_on_where_the_one_before_ended() {
        let compared: Vec<Compared> = (1..=5).map(|id| outlet(id, true, false)).collect();
        let point = GeoPoint { latitude_e7: 601_700_000, ..GeoPoint::default() };
        let traits: Vec<Traits> = ["Kiosk", "Kiosk 1", "Kiosk", "Kiosk 2", "Romashka"]
            .map(|name| Traits::of(name, "", Some(point), ""))
            .into();
        let outlets = (compared, traits);
        let page = |after, size| DuplicatePage { token: Filter::of("x", &[]), least_bp: LEAST_BP, after, size };
        let keys = |page: &DuplicatePage| page.best(&outlets).iter().map(|pair| pair.key).collect::<Vec<_>>();
        let all = keys(&page(None, 100));
        assert_eq!(all.len(), 6, "each of four with each other");
        assert_eq!(all[0], (0, Uuid::from_u128(1), Uuid::from_u128(3)));
        assert_eq!(keys(&page(None, 2)), all[..3], "one more says that there is another page");
        assert_eq!(keys(&page(Some(all[1]), 10)), all[2..]);
    }
}
