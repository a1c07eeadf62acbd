//! Pairs of customers that look like one legal entity.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use prost::Message as _;
use roundsman_proto::admin as proto;
use roundsman_proto::trade::{Customer, GeoPoint, Kind};
use roundsman_sync::trade::check::WHOLE_BP;
use roundsman_sync::trade::likeness::customer::{self, Likeness, PLACES, Traits};
use tonic::Status;
use uuid::Uuid;

use super::{Page, READ, READ_PAIRS, Search, check_count, ids, live, unreadable};
use crate::grpc::auth::bytes;
use crate::grpc::status;
use crate::projection;
use crate::store::record;
use crate::store::sql::Db;

/// A page of pairs of customers, checked.
#[derive(Debug)]
pub struct CustomerPage(Search);

impl CustomerPage {
    /// What was asked for.
    ///
    /// # Errors
    /// INVALID_ARGUMENT with all that is wrong.
    pub fn of(request: &proto::ListDuplicateCustomersRequest) -> Result<Self, Status> {
        let proto::ListDuplicateCustomersRequest { min_likeness_bp, page_size, page_token } = request;
        Search::of("duplicate customers", *min_likeness_bp, *page_size, page_token).map(Self)
    }

    /// Compares all customers, and reads those of the page.
    ///
    /// # Errors
    /// When the database does not answer, or there are too many customers or outlets.
    pub async fn read(self, db: &Db, tenant: i64) -> Result<proto::ListDuplicateCustomersResponse, Status> {
        let customers = compared(db, tenant).await?;
        let search = self.0;
        let compare = move || (best(&search, &customers), search);
        let (best, search) = tokio::task::spawn_blocking(compare).await.map_err(status::internal)?;
        let mut tx = db.read().await?;
        let mut page = Page::new();
        'page: for chunk in best[..best.len().min(search.size)].chunks(READ_PAIRS) {
            let ids = ids(chunk);
            let documents = live(&mut tx, tenant, &ids).await?;
            let debts = debts(projection::debts(&mut tx, tenant, &ids).await?);
            for pair in chunk {
                if !page.add(shown_pair(pair, &documents, &debts)) {
                    break 'page;
                }
            }
        }
        tx.commit().await?;
        let (duplicates, next_page_token) = page.end(&search, &best);
        Ok(proto::ListDuplicateCustomersResponse { duplicates, next_page_token })
    }
}

/// The most alike pairs of the page, and one more.
fn best(search: &Search, (customers, traits): &(Vec<Compared>, Vec<Traits>)) -> Vec<Pair> {
    search.best(|offer| {
        customer::pairs(traits, search.least_bp, |one, other, likeness| {
            offer(pair(customers[one], customers[other], likeness));
        });
    })
}

/// What decides which customer of a pair is proposed to remain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Compared {
    id: Uuid,
    outlets: i32,
    has_tax_id: bool,
}

/// What is known of two customers that look like one.
#[derive(Clone, Copy, Debug)]
struct Known {
    likeness: Likeness,
    outlets_of_stays: i32,
    outlets_of_goes: i32,
}

type Pair = super::Pair<Known>;

fn pair(one: Compared, other: Compared, likeness: Likeness) -> Pair {
    let rank = |customer: &Compared| (Reverse(customer.outlets), !customer.has_tax_id, customer.id);
    let (stays, goes) = if rank(&one) < rank(&other) { (one, other) } else { (other, one) };
    let known = Known { likeness, outlets_of_stays: stays.outlets, outlets_of_goes: goes.outlets };
    Pair { key: (WHOLE_BP - likeness.whole_bp, stays.id, goes.id), known }
}

/// What customers owe by currency, in minor units.
type Debts = HashMap<Uuid, BTreeMap<String, i64>>;

fn debts(owed: Vec<(Uuid, String, i64)>) -> Debts {
    let mut debts = Debts::new();
    for (customer, currency, debt_minor) in owed {
        let sum = debts.entry(customer).or_default().entry(currency).or_default();
        *sum = sum.saturating_add(debt_minor);
    }
    debts
}

fn shown_pair(pair: &Pair, documents: &HashMap<Uuid, Customer>, debts: &Debts) -> Option<proto::DuplicateCustomer> {
    let shown = |id: Uuid, outlets: i32| {
        let customer = documents.get(&id)?;
        let debt = |(currency, debt_minor): (&String, &i64)| proto::CustomerDebt {
            currency: currency.clone(),
            debt_minor: *debt_minor,
        };
        Some(proto::ComparedCustomer {
            customer_id: bytes(id),
            name: customer.name.clone(),
            legal_name: customer.legal_name.clone(),
            tax_id: customer.tax_id.clone(),
            legal_address: customer.legal_address.clone(),
            outlets,
            debts: debts.get(&id).into_iter().flatten().map(debt).collect(),
        })
    };
    let Known { likeness, outlets_of_stays, outlets_of_goes } = pair.known;
    let Likeness { whole_bp, name_bp, same_tax_id, address_bp, distance_m } = likeness;
    Some(proto::DuplicateCustomer {
        customer: Some(shown(pair.goes(), outlets_of_goes)?),
        survivor: Some(shown(pair.stays(), outlets_of_stays)?),
        likeness_bp: whole_bp,
        name_likeness_bp: name_bp,
        same_tax_id,
        address_likeness_bp: address_bp,
        distance_m,
    })
}

/// A customer's outlets: how many there are, and where the first of them are.
#[derive(Debug, Default)]
struct Places {
    outlets: i32,
    points: Vec<GeoPoint>,
}

/// What is compared of all customers, read in pages: no more than one of them is in memory as a whole.
async fn compared(db: &Db, tenant: i64) -> Result<(Vec<Compared>, Vec<Traits>), Status> {
    let mut places = places(db, tenant).await?;
    let (mut compared, mut traits) = (Vec::new(), Vec::new());
    let mut after = Uuid::nil();
    loop {
        let mut tx = db.read().await?;
        let page = record::page(&mut tx, tenant, i64::from(Kind::Customer as i32), after, READ).await?;
        tx.commit().await?;
        let Some((last, _)) = page.last() else { return Ok((compared, traits)) };
        after = *last;
        for (id, stored) in page.into_iter().filter(|(_, stored)| stored.removed_at_us.is_none()) {
            let customer = Customer::decode(stored.document).map_err(|error| unreadable(id, &error))?;
            let Places { outlets, points } = places.remove(&id).unwrap_or_default();
            let names = (customer.name.as_str(), customer.legal_name.as_str());
            traits.push(Traits::of(names, &customer.tax_id, &customer.legal_address, points));
            compared.push(Compared { id, outlets, has_tax_id: !customer.tax_id.is_empty() });
        }
        check_count(compared.len())?;
    }
}

/// Where the outlets of all customers are.
async fn places(db: &Db, tenant: i64) -> Result<HashMap<Uuid, Places>, Status> {
    let mut places: HashMap<Uuid, Places> = HashMap::new();
    let (mut after, mut outlets) = (Uuid::nil(), 0);
    loop {
        let mut tx = db.read().await?;
        let page = projection::outlets(&mut tx, tenant, after, READ).await?;
        tx.commit().await?;
        let Some(last) = page.last() else { return Ok(places) };
        after = last.id;
        outlets += page.len();
        check_count(outlets)?;
        for outlet in page {
            let Some(customer) = outlet.customer else { continue };
            let of_customer = places.entry(customer).or_default();
            of_customer.outlets += 1;
            if let Some((latitude_e7, longitude_e7)) = outlet.point.filter(|_| of_customer.points.len() < PLACES) {
                of_customer.points.push(GeoPoint { latitude_e7, longitude_e7, ..GeoPoint::default() });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_customer_with_more_outlets_remains_then_the_one_with_a_tax_number_then_the_older_one() {
        let customer = |id, outlets, has_tax_id| Compared { id: Uuid::from_u128(id), outlets, has_tax_id };
        let likeness =
            Likeness { whole_bp: 7_000, name_bp: 7_000, same_tax_id: false, address_bp: None, distance_m: None };
        let proposed = |one, other| {
            let (there, back) = (pair(one, other, likeness), pair(other, one, likeness));
            assert_eq!(there.key, back.key, "whichever is named first");
            assert!(there.known.outlets_of_stays >= there.known.outlets_of_goes);
            (there.stays().as_u128(), there.goes().as_u128())
        };
        assert_eq!(proposed(customer(1, 2, true), customer(2, 3, false)), (2, 1));
        assert_eq!(proposed(customer(1, 2, false), customer(2, 2, true)), (2, 1));
        assert_eq!(proposed(customer(1, 0, true), customer(2, 0, true)), (1, 2));
    }

    #[test]
    fn debts_are_summed_by_currency() {
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let owed = [(one, "EUR", 5), (one, "EUR", 7), (one, "USD", -1), (other, "EUR", 2)];
        let debts = debts(owed.map(|(customer, currency, minor)| (customer, currency.to_owned(), minor)).into());
        assert_eq!(debts[&one], BTreeMap::from([("EUR".to_owned(), 12), ("USD".to_owned(), -1)]));
        assert_eq!(debts[&other]["EUR"], 2);
    }
}
