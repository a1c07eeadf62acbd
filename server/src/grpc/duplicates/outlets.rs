//! Pairs of outlets that look like one.

use std::collections::HashMap;

use roundsman_proto::admin as proto;
use roundsman_proto::trade::{Customer, GeoPoint, Outlet, OutletStatus};
use roundsman_sync::trade::check::WHOLE_BP;
use roundsman_sync::trade::likeness::{self, Likeness, Traits};
use tonic::Status;
use uuid::Uuid;

use super::{Page, READ, READ_PAIRS, Search, check_count, ids, live};
use crate::error::StoreError;
use crate::grpc::auth::bytes;
use crate::grpc::status;
use crate::projection;
use crate::store::sql::{Db, Tx};

/// A page of pairs of outlets, checked.
#[derive(Debug)]
pub struct OutletPage(Search);

impl OutletPage {
    /// What was asked for.
    ///
    /// # Errors
    /// INVALID_ARGUMENT with all that is wrong.
    pub fn of(request: &proto::ListDuplicateOutletsRequest) -> Result<Self, Status> {
        let proto::ListDuplicateOutletsRequest { min_likeness_bp, page_size, page_token } = request;
        Search::of("duplicate outlets", *min_likeness_bp, *page_size, page_token).map(Self)
    }

    /// Compares all outlets, and reads those of the page.
    ///
    /// # Errors
    /// When the database does not answer, or there are too many outlets.
    pub async fn read(self, db: &Db, tenant: i64) -> Result<proto::ListDuplicateOutletsResponse, Status> {
        let outlets = compared(db, tenant).await?;
        let search = self.0;
        let compare = move || (best(&search, &outlets), search);
        let (best, search) = tokio::task::spawn_blocking(compare).await.map_err(status::internal)?;
        let mut tx = db.read().await?;
        let mut page = Page::new();
        'page: for chunk in best[..best.len().min(search.size)].chunks(READ_PAIRS) {
            let documents = live(&mut tx, tenant, &ids(chunk)).await?;
            for pair in chunk {
                if !page.add(shown_pair(pair, &documents)) {
                    break 'page;
                }
            }
        }
        tx.commit().await?;
        let (duplicates, next_page_token) = page.end(&search, &best);
        Ok(proto::ListDuplicateOutletsResponse { duplicates, next_page_token })
    }
}

/// The most alike pairs of the page, and one more.
fn best(search: &Search, (outlets, traits): &(Vec<Compared>, Vec<Traits>)) -> Vec<Pair> {
    search.best(|offer| {
        likeness::pairs(traits, search.least_bp, |one, other, likeness| {
            offer(pair(outlets[one], outlets[other], likeness));
        });
    })
}

/// What decides which outlet of a pair is proposed to remain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Compared {
    id: Uuid,
    is_candidate: bool,
    has_customer: bool,
}

/// Two outlets that look like one.
type Pair = super::Pair<Likeness>;

fn pair(one: Compared, other: Compared, likeness: Likeness) -> Pair {
    let rank = |outlet: &Compared| (outlet.is_candidate, !outlet.has_customer, outlet.id);
    let (stays, goes) = if rank(&one) < rank(&other) { (one, other) } else { (other, one) };
    Pair { key: (WHOLE_BP - likeness.whole_bp, stays.id, goes.id), known: likeness }
}

fn shown_pair(pair: &Pair, documents: &HashMap<Uuid, Outlet>) -> Option<proto::DuplicateOutlet> {
    let Likeness { whole_bp, name_bp, distance_m, same_tax_id } = pair.known;
    Some(proto::DuplicateOutlet {
        outlet: Some(shown(pair.goes(), documents)?),
        survivor: Some(shown(pair.stays(), documents)?),
        likeness_bp: whole_bp,
        distance_m,
        name_likeness_bp: name_bp,
        same_tax_id,
    })
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
        check_count(compared.len())?;
    }
}

/// The tax numbers of these customers, as far as they are known.
async fn tax_ids(tx: &mut Tx, tenant: i64, mut customers: Vec<Uuid>) -> Result<HashMap<Uuid, String>, StoreError> {
    customers.sort_unstable();
    customers.dedup();
    let known = live::<Customer>(tx, tenant, &customers).await?;
    Ok(known.into_iter().map(|(id, customer)| (id, customer.tax_id)).collect())
}

#[cfg(test)]
mod tests {
    use super::super::LEAST_BP;
    use super::*;
    use crate::grpc::paging::Filter;

    fn outlet(id: u128, is_candidate: bool, has_customer: bool) -> Compared {
        Compared { id: Uuid::from_u128(id), is_candidate, has_customer }
    }

    fn proposed(one: Compared, other: Compared) -> (Uuid, Uuid) {
        let likeness = Likeness { whole_bp: 7_000, name_bp: 7_000, distance_m: Some(3), same_tax_id: false };
        let (there, back) = (pair(one, other, likeness), pair(other, one, likeness));
        assert_eq!(there.key, back.key, "whichever is named first");
        (there.stays(), there.goes())
    }

    #[test]
    fn the_office_s_outlet_remains_then_the_customers_then_the_older_one() {
        let ids = |one, other| (Uuid::from_u128(one), Uuid::from_u128(other));
        assert_eq!(proposed(outlet(1, true, true), outlet(2, false, false)), ids(2, 1));
        assert_eq!(proposed(outlet(1, false, false), outlet(2, false, true)), ids(2, 1));
        assert_eq!(proposed(outlet(1, true, false), outlet(2, true, false)), ids(1, 2));
    }

    #[test]
    fn pages_go_on_where_the_one_before_ended() {
        let compared: Vec<Compared> = (1..=5).map(|id| outlet(id, true, false)).collect();
        let point = GeoPoint { latitude_e7: 601_700_000, ..GeoPoint::default() };
        let traits: Vec<Traits> = ["Kiosk", "Kiosk 1", "Kiosk", "Kiosk 2", "Romashka"]
            .map(|name| Traits::of(name, "", Some(point), ""))
            .into();
        let outlets = (compared, traits);
        let page = |after, size| Search { token: Filter::of("x", &[]), least_bp: LEAST_BP, after, size };
        let keys = |page: &Search| best(page, &outlets).iter().map(|pair| pair.key).collect::<Vec<_>>();
        let all = keys(&page(None, 100));
        assert_eq!(all.len(), 6, "each of four with each other");
        assert_eq!(all[0], (0, Uuid::from_u128(1), Uuid::from_u128(3)));
        assert_eq!(keys(&page(None, 2)), all[..3], "one more says that there is another page");
        assert_eq!(keys(&page(Some(all[1]), 10)), all[2..]);
    }
}
