//! Internal records: the sums, sets and spans that rules need. They live beside the records, are found by a key instead
//! of an id, are never placed in a bucket, have no history, and can be computed anew from the records (`verify` does).

use std::fmt::{self, Debug, Write as _};

use prost::Message;
use roundsman_proto::trade::{Order, Price, PriceList, Promotion, Survey};
use roundsman_sync::scope::{Month, Scope};
use roundsman_sync::trade::allocation::Demand;
use roundsman_sync::trade::assignment::{Assigned, Placed};
use roundsman_sync::trade::credit::Credit;
use roundsman_sync::trade::debt::Debts;
use roundsman_sync::trade::goods_return::Returned;
use roundsman_sync::trade::hand_in::InHand;
use roundsman_sync::trade::promotion::Spent;
use roundsman_sync::trade::quota::Quotas;
use roundsman_sync::trade::reclamation::Claims;
use roundsman_sync::trade::reclamation::cause::Causes;
use roundsman_sync::trade::stock::Available;
use roundsman_sync::trade::visit::RepDay;
use roundsman_sync::trade::waiting::{Scarce, Waiting, WaitingOrder};
use sha1::{Digest as _, Sha1};
use uuid::Uuid;

use crate::workspace::Revocation;

/// What ids of the server's own are hashed with.
const NAMESPACE: Uuid = Uuid::from_u128(0x5e1f_7a3c_6f6b_4d2b_9b63_1c0a_8f51_77d2);

/// A message that is kept as an internal record.
pub trait Internal: Message + Default {
    /// What it is found by.
    type Key: Debug;
    /// Its number, 1000 or above.
    const KIND: i64;

    /// Writes the key in words, such as `granted{territory:…}`; different for different keys of all internal kinds.
    fn display(key: &Self::Key) -> impl fmt::Display;

    /// The key in words.
    fn name(key: &Self::Key) -> String {
        Self::display(key).to_string()
    }

    /// The id under which it is stored.
    fn id(key: &Self::Key) -> Uuid {
        server_id(Self::display(key))
    }
}

/// An id that only the server makes, out of a name: a UUID of version 8. Callers choose the ids of what they create, and
/// anybody can compute a UUID of version 5; so what comes from outside must not have an id of this version
/// ([`is_server_id`]), or a device could write what only the server may.
///
/// Its first three bytes are those of the hash of the name up to its first space: what is of one warehouse, one wave, one
/// route stands together in every table and index, and a batch that writes much of it touches few pages. 98 bits are of the
/// whole name.
#[must_use]
pub fn server_id(name: impl fmt::Display) -> Uuid {
    let mut hashing = Hashing { whole: Sha1::new_with_prefix(NAMESPACE), first: None };
    write!(hashing, "{name}").expect("hashing never fails");
    let bytes = |hash: Sha1| <[u8; 20]>::from(hash.finalize());
    let [mut id @ .., _, _, _, _] = bytes(hashing.whole);
    if let Some([one, two, three, ..]) = hashing.first.map(bytes) {
        id[..3].copy_from_slice(&[one, two, three]);
    }
    uuid::Builder::from_sha1_bytes(id).with_version(uuid::Version::Custom).into_uuid()
}

/// A name on its way into a hash: no text is made of it, since an order asks for a hundred ids.
struct Hashing {
    whole: Sha1,
    /// As it was before the first space.
    first: Option<Sha1>,
}

impl fmt::Write for Hashing {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        match part.split_once(' ') {
            Some((first, rest)) if self.first.is_none() => {
                self.whole.update(first);
                self.first = Some(self.whole.clone());
                self.whole.update(" ");
                self.whole.update(rest);
            }
            Some(_) | None => self.whole.update(part),
        }
        Ok(())
    }
}

/// The id of the visit that a route plans at an outlet on a day: the same, whoever plans it and however often. Nobody else
/// can make a record of this id before.
#[must_use]
pub fn planned_visit_id(route: Uuid, outlet: Uuid, day: i32) -> Uuid {
    server_id(format_args!("visit{{route:{route} outlet:{outlet} {day}}}"))
}

/// The id of the stock record that the server makes when goods come into a warehouse of which nobody knew what it has of them.
#[must_use]
pub fn stock_id(warehouse: Uuid, product: Uuid) -> Uuid {
    server_id(format_args!("stock{{warehouse:{warehouse} product:{product}}}"))
}

/// Whether this is an id that only the server makes.
#[must_use]
pub fn is_server_id(id: Uuid) -> bool {
    id.get_version_num() == 8
}

/// Whether this id follows from a name: so systems make ids out of their keys, and anybody can compute them. A device that
/// could take one would keep the record out that is still to come from there.
#[must_use]
pub fn is_of_a_name(id: Uuid) -> bool {
    matches!(id.get_version_num(), 3 | 5)
}

/// What a holder's holding gives: the scopes that come with a territory, a rep or a team, by reference count.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Granted {
    /// In ascending order of the scope.
    #[prost(message, repeated, tag = "1")]
    pub scopes: Vec<GrantedScope>,
}

/// A scope, and how many reasons there are to hold it.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct GrantedScope {
    /// The scope in its text form.
    #[prost(string, tag = "1")]
    pub scope: String,
    /// At least 1.
    #[prost(int64, tag = "2")]
    pub count: i64,
}

impl Internal for Granted {
    type Key = Scope;
    const KIND: i64 = 1_000;

    fn display(holder: &Scope) -> impl fmt::Display {
        fmt::from_fn(move |f| write!(f, "granted{{{holder}}}"))
    }
}

impl Granted {
    /// One more or one fewer reason to hold `scope`.
    pub fn count(&mut self, scope: Scope, by: i64) {
        let text = scope.to_string();
        match self.scopes.binary_search_by(|granted| granted.scope.as_str().cmp(&text)) {
            Ok(index) => {
                self.scopes[index].count += by;
                if self.scopes[index].count <= 0 {
                    self.scopes.remove(index);
                }
            }
            Err(index) if by > 0 => self.scopes.insert(index, GrantedScope { scope: text, count: by }),
            Err(_) => {}
        }
    }

    /// The scopes, parsed; what is not a scope is reported by `verify` and held by nobody.
    pub fn held(&self) -> impl Iterator<Item = Scope> {
        self.scopes.iter().filter_map(|granted| granted.scope.parse().ok())
    }
}

/// Where the outlets of a customer or of an agreement are, and which records are placed by that.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Reach {
    /// In ascending order of the territory.
    #[prost(message, repeated, tag = "1")]
    pub territories: Vec<ReachedTerritory>,
    /// There were so many territories once that the customer got a scope of its own.
    #[prost(bool, tag = "2")]
    pub own_scope: bool,
    /// Agreements and receivables of the customer, in ascending order; 16 bytes each.
    #[prost(bytes = "vec", repeated, tag = "3")]
    pub dependents: Vec<Vec<u8>>,
}

/// A territory, and how many of the outlets are in it.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ReachedTerritory {
    /// The territory; 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub territory: Vec<u8>,
    /// At least 1.
    #[prost(int64, tag = "2")]
    pub outlets: i64,
}

/// Whose reach it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reaching {
    /// A customer's.
    Customer(Uuid),
    /// An agreement's.
    Agreement(Uuid),
}

impl Internal for Reach {
    type Key = Reaching;
    const KIND: i64 = 1_001;

    fn display(key: &Reaching) -> impl fmt::Display {
        fmt::from_fn(move |f| match key {
            Reaching::Customer(id) => write!(f, "reach{{customer:{id}}}"),
            Reaching::Agreement(id) => write!(f, "reach{{agreement:{id}}}"),
        })
    }
}

impl Reach {
    /// One outlet more or fewer in a territory; returns whether the set of territories has changed.
    pub fn count(&mut self, territory: Uuid, by: i64) -> bool {
        let found = self.territories.binary_search_by(|entry| entry.territory.as_slice().cmp(territory.as_bytes()));
        match found {
            Ok(index) => {
                self.territories[index].outlets += by;
                let gone = self.territories[index].outlets <= 0;
                if gone {
                    self.territories.remove(index);
                }
                gone
            }
            Err(index) if by > 0 => {
                let entry = ReachedTerritory { territory: territory.as_bytes().to_vec(), outlets: by };
                self.territories.insert(index, entry);
                true
            }
            Err(_) => false,
        }
    }

    /// Adds a record that is placed by this reach.
    pub fn depend(&mut self, record: Uuid) {
        insert_id(&mut self.dependents, record);
    }

    /// The territories.
    pub fn reached(&self) -> impl Iterator<Item = (Uuid, i64)> {
        self.territories.iter().filter_map(|entry| Some((Uuid::from_slice(&entry.territory).ok()?, entry.outlets)))
    }

    /// The records that are placed by this reach.
    pub fn dependent_records(&self) -> impl Iterator<Item = Uuid> {
        self.dependents.iter().filter_map(|id| Uuid::from_slice(id).ok())
    }
}

/// The documents of an outlet that were made in one month: when the outlet moves, they move with it.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct OutletDocuments {
    /// In ascending order; 16 bytes each.
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub records: Vec<Vec<u8>>,
    /// The orders among them that were handed in here, as they came: what a new one may repeat is found without reading them.
    #[prost(message, repeated, tag = "2")]
    pub orders: Vec<OutletOrder>,
}

/// An order of an outlet. Many of them are read for each new one, so that they are plain numbers.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct OutletOrder {
    /// The order, in halves.
    #[prost(fixed64, tag = "1")]
    order_high: u64,
    #[prost(fixed64, tag = "2")]
    order_low: u64,
    /// The rep, in halves.
    #[prost(fixed64, tag = "3")]
    rep_high: u64,
    #[prost(fixed64, tag = "4")]
    rep_low: u64,
    /// The order's day.
    #[prost(sint32, tag = "5")]
    pub order_day: i32,
}

impl OutletOrder {
    /// An order of a day. `rep` is nil: the office.
    #[must_use]
    pub fn new(order: Uuid, rep: Uuid, order_day: i32) -> Self {
        let ((order_high, order_low), (rep_high, rep_low)) = (order.as_u64_pair(), rep.as_u64_pair());
        Self { order_high, order_low, rep_high, rep_low, order_day }
    }

    /// The order.
    #[must_use]
    pub fn order(&self) -> Uuid {
        Uuid::from_u64_pair(self.order_high, self.order_low)
    }

    /// The rep who has handed it in; nil: the office.
    #[must_use]
    pub fn rep(&self) -> Uuid {
        Uuid::from_u64_pair(self.rep_high, self.rep_low)
    }
}

impl Internal for OutletDocuments {
    type Key = (Uuid, Month);
    const KIND: i64 = 1_002;

    fn display((outlet, month): &(Uuid, Month)) -> impl fmt::Display {
        fmt::from_fn(move |f| write!(f, "documents{{outlet:{outlet}/{month}}}"))
    }
}

/// The months in which an outlet has documents.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct OutletMonths {
    /// In ascending order ([`Month::number`]).
    #[prost(sint32, repeated, tag = "1")]
    pub months: Vec<i32>,
}

impl Internal for OutletMonths {
    type Key = Uuid;
    const KIND: i64 = 1_003;

    fn display(outlet: &Uuid) -> impl fmt::Display {
        fmt::from_fn(move |f| write!(f, "months{{outlet:{outlet}}}"))
    }
}

/// The customers that an outlet has or ever had, its own and those of its agreements: for whom money may be taken there.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct OutletCustomers {
    /// In ascending order; 16 bytes each.
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub customers: Vec<Vec<u8>>,
}

impl Internal for OutletCustomers {
    type Key = Uuid;
    const KIND: i64 = 1_024;

    fn display(outlet: &Uuid) -> impl fmt::Display {
        fmt::from_fn(move |f| write!(f, "customers{{outlet:{outlet}}}"))
    }
}

/// Where a customer's documents may be: the outlets that have it or ever had it, of which `customers{outlet}` tells.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct CustomerOutlets {
    /// In ascending order; 16 bytes each.
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub outlets: Vec<Vec<u8>>,
}

impl CustomerOutlets {
    /// A customer of many outlets has its list in so many parts.
    pub const PARTS: u8 = 16;

    /// In which part of its customer's list an outlet stands.
    #[must_use]
    pub fn key(customer: Uuid, outlet: Uuid) -> (Uuid, u8) {
        let [.., last] = *outlet.as_bytes();
        (customer, last % Self::PARTS)
    }
}

impl Internal for CustomerOutlets {
    /// The customer, and the part of the list.
    type Key = (Uuid, u8);
    const KIND: i64 = 1_040;

    fn display((customer, part): &(Uuid, u8)) -> impl fmt::Display {
        fmt::from_fn(move |f| write!(f, "outlets{{customer:{customer}/{part}}}"))
    }
}

/// By which agreements an outlet bought before it lost them, or was archived as a duplicate: orders that were taken there
/// still name them.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct FormerTerms {
    /// In the order in which they ended, each once.
    #[prost(message, repeated, tag = "1")]
    pub agreements: Vec<FormerAgreement>,
}

/// An agreement by which an outlet bought.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct FormerAgreement {
    /// The agreement; 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub agreement_id: Vec<u8>,
    /// Until when, in microseconds since the Unix epoch.
    #[prost(sint64, tag = "2")]
    pub until_us: i64,
}

impl FormerTerms {
    /// So many are kept, those that ended last.
    pub const KEPT: usize = 100;

    /// Notes an agreement by which the outlet buys no longer.
    pub fn note(&mut self, agreement: &[u8], until_us: i64) {
        self.agreements.retain(|former| former.agreement_id != agreement);
        self.agreements.push(FormerAgreement { agreement_id: agreement.to_vec(), until_us });
        self.agreements.drain(..self.agreements.len().saturating_sub(Self::KEPT));
    }
}

impl Internal for FormerTerms {
    /// The outlet.
    type Key = Uuid;
    const KIND: i64 = 1_030;

    fn display(outlet: &Uuid) -> impl fmt::Display {
        fmt::from_fn(move |f| write!(f, "former_terms{{outlet:{outlet}}}"))
    }
}

/// The outlets of a chain, those of its branches left out.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ChainOutlets {
    /// In ascending order; 16 bytes each.
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub outlets: Vec<Vec<u8>>,
}

impl Internal for ChainOutlets {
    /// The chain.
    type Key = Uuid;
    const KIND: i64 = 1_034;

    fn display(chain: &Uuid) -> impl fmt::Display {
        fmt::from_fn(move |f| write!(f, "outlets{{chain:{chain}}}"))
    }
}

/// The branches of a chain, those of its branches left out.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ChainBranches {
    /// In ascending order; 16 bytes each.
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub branches: Vec<Vec<u8>>,
    /// So many chains hang below it, on all levels.
    #[prost(uint64, tag = "2")]
    pub below: u64,
}

impl Internal for ChainBranches {
    /// The chain.
    type Key = Uuid;
    const KIND: i64 = 1_035;

    fn display(chain: &Uuid) -> impl fmt::Display {
        fmt::from_fn(move |f| write!(f, "branches{{chain:{chain}}}"))
    }
}

/// The reps who ever had an assignment to a territory.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct TerritoryReps {
    /// In ascending order; 16 bytes each.
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub reps: Vec<Vec<u8>>,
}

impl Internal for TerritoryReps {
    type Key = Uuid;
    const KIND: i64 = 1_004;

    fn display(territory: &Uuid) -> impl fmt::Display {
        fmt::from_fn(move |f| write!(f, "reps{{territory:{territory}}}"))
    }
}

impl Internal for Assigned {
    type Key = Uuid;
    const KIND: i64 = 1_005;

    fn display(rep: &Uuid) -> impl fmt::Display {
        fmt::from_fn(move |f| write!(f, "assigned{{rep:{rep}}}"))
    }
}

impl Internal for Placed {
    type Key = Uuid;
    const KIND: i64 = 1_006;

    fn display(outlet: &Uuid) -> impl fmt::Display {
        fmt::from_fn(move |f| write!(f, "placed{{outlet:{outlet}}}"))
    }
}

/// Inserts an id into a list in ascending order; returns whether it is new.
pub fn insert_id(list: &mut Vec<Vec<u8>>, id: Uuid) -> bool {
    let bytes = id.as_bytes().to_vec();
    match list.binary_search(&bytes) {
        Ok(_) => false,
        Err(index) => {
            list.insert(index, bytes);
            true
        }
    }
}

/// The assignments of a rep: where the rep is shown, they are.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct RepAssignments {
    /// In ascending order; 16 bytes each.
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub assignments: Vec<Vec<u8>>,
}

impl Internal for RepAssignments {
    type Key = Uuid;
    const KIND: i64 = 1_007;

    fn display(rep: &Uuid) -> impl fmt::Display {
        fmt::from_fn(move |f| write!(f, "assignments{{rep:{rep}}}"))
    }
}

impl Internal for Quotas {
    /// The warehouse and the product.
    type Key = (Uuid, Uuid);
    const KIND: i64 = 1_036;

    fn display((warehouse, product): &(Uuid, Uuid)) -> impl fmt::Display {
        fmt::from_fn(move |f| write!(f, "quotas{{warehouse:{warehouse} product:{product}}}"))
    }
}

impl Internal for Demand {
    /// The warehouse and the product.
    type Key = (Uuid, Uuid);
    const KIND: i64 = 1_046;

    fn display((warehouse, product): &(Uuid, Uuid)) -> impl fmt::Display {
        fmt::from_fn(move |f| write!(f, "demand{{warehouse:{warehouse} product:{product}}}"))
    }
}

/// When orders that wait for scarce goods are to be asked again because of a quota, whatever else happens.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct AllocationCalendar {
    /// In ascending order of warehouse and product, each once.
    #[prost(message, repeated, tag = "1")]
    pub entries: Vec<AllocationDue>,
}

/// The next moment of a product in a warehouse.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct AllocationDue {
    /// The warehouse; 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub warehouse_id: Vec<u8>,
    /// The product; 16 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub product_id: Vec<u8>,
    /// The moment, in microseconds since the Unix epoch.
    #[prost(sint64, tag = "3")]
    pub at_us: i64,
    /// The last order that was asked already; missing: nobody was yet.
    #[prost(message, optional, tag = "4")]
    pub after: Option<WaitingOrder>,
    /// When this was noted, in microseconds since the Unix epoch.
    #[prost(sint64, tag = "5")]
    pub since_us: i64,
    /// When the first of them were asked, in microseconds since the Unix epoch; 0: nobody was yet. What becomes due while others are
    /// still to be asked is not done with them.
    #[prost(sint64, tag = "6")]
    pub began_us: i64,
}

impl Internal for AllocationCalendar {
    type Key = ();
    const KIND: i64 = 1_045;

    fn display((): &()) -> impl fmt::Display {
        "allocations{}"
    }
}

impl AllocationCalendar {
    /// So many goods have a moment to come at a time.
    pub const GOODS: usize = 5_000;

    /// What is noted of a product in a warehouse.
    #[must_use]
    pub fn of(&self, goods: (Uuid, Uuid)) -> Option<&AllocationDue> {
        self.position(goods).ok().and_then(|index| self.entries.get(index))
    }

    /// Notes the next moment of a product in a warehouse; `None`: it has none. At the same moment as before it goes on where it was.
    pub fn note(&mut self, goods: (Uuid, Uuid), at_us: Option<i64>, now_us: i64) {
        let due = at_us.map(|at_us| AllocationDue {
            warehouse_id: goods.0.as_bytes().to_vec(),
            product_id: goods.1.as_bytes().to_vec(),
            at_us,
            after: None,
            since_us: now_us,
            began_us: 0,
        });
        match (self.position(goods), due) {
            (Ok(index), Some(due)) if self.entries[index].at_us != due.at_us => self.entries[index] = due,
            (Ok(index), None) => drop(self.entries.remove(index)),
            (Err(index), Some(due)) => self.entries.insert(index, due),
            (Ok(_), Some(_)) | (Err(_), None) => {}
        }
    }

    /// Notes who was asked last at the moment of a product in a warehouse.
    pub fn go_on_after(&mut self, goods: (Uuid, Uuid), order: WaitingOrder, now_us: i64) {
        if let Ok(index) = self.position(goods) {
            let due = &mut self.entries[index];
            due.after = Some(order);
            due.began_us = if due.began_us == 0 { now_us } else { due.began_us };
        }
    }

    fn position(&self, (warehouse, product): (Uuid, Uuid)) -> Result<usize, usize> {
        let goods = (warehouse.as_bytes().as_slice(), product.as_bytes().as_slice());
        self.entries.binary_search_by(|due| (due.warehouse_id.as_slice(), due.product_id.as_slice()).cmp(&goods))
    }
}

impl Internal for Available {
    /// Warehouse and product.
    type Key = (Uuid, Uuid);
    const KIND: i64 = 1_008;

    fn display((warehouse, product): &(Uuid, Uuid)) -> impl fmt::Display {
        fmt::from_fn(move |f| write!(f, "available{{warehouse:{warehouse} product:{product}}}"))
    }
}

impl Internal for Waiting {
    type Key = Scarce;
    const KIND: i64 = 1_028;

    fn display(scarce: &Scarce) -> impl fmt::Display {
        fmt::from_fn(move |f| match scarce {
            Scarce::Stock { warehouse, product } => write!(f, "waiting{{warehouse:{warehouse} product:{product}}}"),
            Scarce::Budget(promotion) => write!(f, "waiting{{promotion:{promotion}}}"),
            Scarce::Terms(agreement) => write!(f, "waiting{{agreement:{agreement}}}"),
            Scarce::Order(order) => write!(f, "waiting{{order:{order}}}"),
        })
    }
}

/// A customer and a currency: whose credit it is.
pub type Debtor = (Uuid, String);

/// Whose credit an order is; `None`: a stored id can't be read.
#[must_use]
pub fn debtor(order: &Order) -> Option<Debtor> {
    Some((Uuid::from_slice(&order.customer_id).ok()?, order.currency.clone()))
}

impl Internal for Credit {
    type Key = Debtor;
    const KIND: i64 = 1_009;

    fn display((customer, currency): &Debtor) -> impl fmt::Display {
        fmt::from_fn(move |f| write!(f, "credit{{customer:{customer} {currency}}}"))
    }
}

impl Internal for Debts {
    type Key = Debtor;
    const KIND: i64 = 1_031;

    fn display((customer, currency): &Debtor) -> impl fmt::Display {
        fmt::from_fn(move |f| write!(f, "debts{{customer:{customer} {currency}}}"))
    }
}

impl Internal for InHand {
    /// The rep, the currency and the page.
    type Key = (Uuid, String, i32);
    const KIND: i64 = 1_032;

    fn display((rep, currency, page): &Self::Key) -> impl fmt::Display {
        fmt::from_fn(move |f| write!(f, "in_hand{{rep:{rep} {currency} {page}}}"))
    }
}

impl Internal for RepDay {
    /// The rep, and the day of the check-in in the territory's calendar, in days since 1970-01-01.
    type Key = (Uuid, i32);
    const KIND: i64 = 1_020;

    fn display((rep, day): &(Uuid, i32)) -> impl fmt::Display {
        fmt::from_fn(move |f| write!(f, "rep_day{{rep:{rep} {day}}}"))
    }
}

/// The prices of one product in one price list: which records these are, and how each of them changed last.
#[derive(Clone, PartialEq, Message)]
pub struct ProductPrices {
    /// In ascending order of their ids.
    #[prost(message, repeated, tag = "1")]
    pub prices: Vec<PriceChange>,
}

/// A price record, and its last change.
#[derive(Clone, PartialEq, Message)]
pub struct PriceChange {
    /// The record; 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub price_id: Vec<u8>,
    /// When it changed, or was made, in microseconds since the Unix epoch.
    #[prost(sint64, tag = "2")]
    pub changed_at_us: i64,
    /// What it said before; missing: it was not there.
    #[prost(message, optional, tag = "3")]
    pub before: Option<Price>,
    /// The version that had written that.
    #[prost(sint64, tag = "4")]
    pub before_version: i64,
}

impl Internal for ProductPrices {
    /// Price list and product.
    type Key = (Uuid, Uuid);
    const KIND: i64 = 1_021;

    fn display((price_list, product): &(Uuid, Uuid)) -> impl fmt::Display {
        fmt::from_fn(move |f| write!(f, "prices{{price_list:{price_list} product:{product}}}"))
    }
}

impl ProductPrices {
    /// Notes that a price changes. `before` is what it says until now, with the version that wrote it: 0 within the same
    /// batch, which no device has seen, so that what was noted stays.
    pub fn note(&mut self, price: Uuid, at_us: i64, before: Option<(Price, i64)>) {
        let found = self.prices.binary_search_by(|entry| entry.price_id.as_slice().cmp(price.as_bytes()));
        let (before, before_version) = match before {
            Some((_, 0)) if found.is_ok() => return,
            Some((before, version)) => (Some(before), version),
            None => (None, 0),
        };
        let entry = PriceChange { price_id: price.as_bytes().to_vec(), changed_at_us: at_us, before, before_version };
        match found {
            Ok(index) => self.prices[index] = entry,
            Err(index) => self.prices.insert(index, entry),
        }
    }

    /// The price records.
    pub fn ids(&self) -> impl Iterator<Item = Uuid> {
        self.prices.iter().filter_map(|entry| Uuid::from_slice(&entry.price_id).ok())
    }
}

/// How a price list has computed its prices before, and which lists depend on it.
#[derive(Clone, PartialEq, Message)]
pub struct ListState {
    /// When it began to compute them as it does now, in microseconds since the Unix epoch.
    #[prost(sint64, tag = "1")]
    pub changed_at_us: i64,
    /// What it said before; missing: it never computed them otherwise.
    #[prost(message, optional, tag = "2")]
    pub before: Option<PriceList>,
    /// The lists that are computed from it, in ascending order; 16 bytes each.
    #[prost(bytes = "vec", repeated, tag = "3")]
    pub computed: Vec<Vec<u8>>,
    /// The lists whose lowest prices it has, in ascending order; 16 bytes each.
    #[prost(bytes = "vec", repeated, tag = "4")]
    pub limited: Vec<Vec<u8>>,
}

impl Internal for ListState {
    /// The price list.
    type Key = Uuid;
    const KIND: i64 = 1_025;

    fn display(price_list: &Uuid) -> impl fmt::Display {
        fmt::from_fn(move |f| write!(f, "list{{price_list:{price_list}}}"))
    }
}

/// The promotions that may apply to an order that arrives now.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Promotions {
    /// In ascending order of their ids.
    #[prost(message, repeated, tag = "1")]
    pub promotions: Vec<LivePromotion>,
}

/// What decides without its record whether a promotion may apply.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct LivePromotion {
    /// The record; 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub promotion_id: Vec<u8>,
    /// Its currency.
    #[prost(string, tag = "2")]
    pub currency: String,
    /// The first order's day on which it applies; 0: no beginning.
    #[prost(sint32, tag = "3")]
    pub from_day: i32,
    /// The last one; 0: no end.
    #[prost(sint32, tag = "4")]
    pub to_day: i32,
    /// When the record changed last, or was made, in microseconds since the Unix epoch.
    #[prost(sint64, tag = "5")]
    pub changed_at_us: i64,
    /// It has a budget.
    #[prost(bool, tag = "6")]
    pub limited: bool,
    /// It is closed. It is known for a while all the same: orders from before may still come.
    #[prost(bool, tag = "7")]
    pub closed: bool,
}

impl Internal for Promotions {
    type Key = ();
    const KIND: i64 = 1_026;

    fn display((): &()) -> impl fmt::Display {
        "promotions{}"
    }
}

impl Promotions {
    /// Sets the entry of a promotion.
    pub fn note(&mut self, entry: LivePromotion) {
        match self.promotions.binary_search_by(|known| known.promotion_id.cmp(&entry.promotion_id)) {
            Ok(index) => self.promotions[index] = entry,
            Err(index) => self.promotions.insert(index, entry),
        }
    }

    /// The promotions for orders of a day in a currency.
    pub fn on<'a>(&'a self, day: i32, currency: &'a str) -> impl Iterator<Item = (Uuid, &'a LivePromotion)> {
        let valid = move |entry: &&LivePromotion| {
            entry.currency == currency
                && (entry.from_day == 0 || entry.from_day <= day)
                && (entry.to_day == 0 || day <= entry.to_day)
        };
        let id = |entry: &'a LivePromotion| Some((Uuid::from_slice(&entry.promotion_id).ok()?, entry));
        self.promotions.iter().filter(valid).filter_map(id)
    }
}

/// What a promotion has taken off confirmed orders, and how it changed last.
#[derive(Clone, PartialEq, Message)]
pub struct PromotionState {
    /// When it changed, or was made, in microseconds since the Unix epoch.
    #[prost(sint64, tag = "1")]
    pub changed_at_us: i64,
    /// What it said before; missing: it was not there.
    #[prost(message, optional, tag = "2")]
    pub before: Option<Promotion>,
    /// The version that had written that.
    #[prost(sint64, tag = "3")]
    pub before_version: i64,
    /// What it has taken off confirmed orders, in minor units.
    #[prost(sint64, tag = "4")]
    pub spent_minor: i64,
    /// Of which quantity, in thousandths of base units.
    #[prost(sint64, tag = "5")]
    pub spent_milli: i64,
    /// So many orders wait for its budget: `waiting{…}` names them.
    #[prost(sint64, tag = "6")]
    pub waiting: i64,
}

impl Internal for PromotionState {
    /// The promotion.
    type Key = Uuid;
    const KIND: i64 = 1_027;

    fn display(promotion: &Uuid) -> impl fmt::Display {
        fmt::from_fn(move |f| write!(f, "promotion{{{promotion}}}"))
    }
}

impl PromotionState {
    /// Notes that it changes; see [`ProductPrices::note`].
    pub fn note(&mut self, at_us: i64, before: Option<(Promotion, i64)>) {
        if before.as_ref().is_some_and(|(_, version)| *version == 0) {
            return;
        }
        self.changed_at_us = at_us;
        (self.before, self.before_version) = before.map_or((None, 0), |(before, version)| (Some(before), version));
    }

    /// What it has taken off.
    #[must_use]
    pub fn spent(&self) -> Spent {
        Spent { minor: self.spent_minor, milli: self.spent_milli }
    }

    /// With so much taken off.
    #[must_use]
    pub fn spending(self, spent: Spent) -> Self {
        Self { spent_minor: spent.minor, spent_milli: spent.milli, ..self }
    }
}

/// What a survey said before: answers belong to the version that the device held.
#[derive(Clone, PartialEq, Message)]
pub struct FormerSurveys {
    /// In the order of their versions, at most [`FormerSurveys::KEPT`].
    #[prost(message, repeated, tag = "1")]
    pub versions: Vec<FormerSurvey>,
}

/// A survey as it was between two changes.
#[derive(Clone, PartialEq, Message)]
pub struct FormerSurvey {
    /// The version that had written it.
    #[prost(sint64, tag = "1")]
    pub version: i64,
    /// When it was changed, in microseconds since the Unix epoch.
    #[prost(sint64, tag = "2")]
    pub until_us: i64,
    /// What it said.
    #[prost(message, required, tag = "3")]
    pub survey: Survey,
}

impl Internal for FormerSurveys {
    /// The survey.
    type Key = Uuid;
    const KIND: i64 = 1_029;

    fn display(survey: &Uuid) -> impl fmt::Display {
        fmt::from_fn(move |f| write!(f, "survey{{{survey}}}"))
    }
}

impl FormerSurveys {
    /// So many former versions of a survey are known.
    pub const KEPT: usize = 8;

    /// Notes that it changes. `before` is what it says until now, with the version that wrote it: 0 within the same batch,
    /// which no device has seen.
    pub fn note(&mut self, at_us: i64, (survey, version): (Survey, i64)) {
        if version == 0 {
            return;
        }
        self.versions.push(FormerSurvey { version, until_us: at_us, survey });
        let forgotten = self.versions.len().saturating_sub(Self::KEPT);
        self.versions.drain(..forgotten);
    }

    /// What a device held whose version is not the current one; `None`: it was never changed. Of a version before all that
    /// are known, the oldest.
    #[must_use]
    pub fn held(&self, version: i64) -> Option<&FormerSurvey> {
        let later = self.versions.partition_point(|former| former.version <= version);
        self.versions.get(later.saturating_sub(1))
    }
}

/// The stock records of a product, one for each warehouse.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ProductStocks {
    /// In ascending order of the warehouse.
    #[prost(message, repeated, tag = "1")]
    pub stocks: Vec<WarehouseStock>,
}

/// A product's stock record in a warehouse.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct WarehouseStock {
    /// The warehouse; 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub warehouse_id: Vec<u8>,
    /// The record; 16 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub stock_id: Vec<u8>,
}

impl Internal for ProductStocks {
    /// The product.
    type Key = Uuid;
    const KIND: i64 = 1_022;

    fn display(product: &Uuid) -> impl fmt::Display {
        fmt::from_fn(move |f| write!(f, "stocks{{product:{product}}}"))
    }
}

impl ProductStocks {
    /// The record of a warehouse.
    #[must_use]
    pub fn at(&self, warehouse: Uuid) -> Option<Uuid> {
        let index = self.position(warehouse).ok()?;
        self.stocks.get(index).and_then(|entry| Uuid::from_slice(&entry.stock_id).ok())
    }

    /// Notes the record of a warehouse.
    pub fn note(&mut self, warehouse: Uuid, stock: Uuid) {
        let entry = WarehouseStock { warehouse_id: warehouse.as_bytes().to_vec(), stock_id: stock.as_bytes().to_vec() };
        match self.position(warehouse) {
            Ok(index) => self.stocks[index] = entry,
            Err(index) => self.stocks.insert(index, entry),
        }
    }

    fn position(&self, warehouse: Uuid) -> Result<usize, usize> {
        self.stocks.binary_search_by(|entry| entry.warehouse_id.as_slice().cmp(warehouse.as_bytes()))
    }
}

impl Internal for Claims {
    /// The shipment.
    type Key = Uuid;
    const KIND: i64 = 1_023;

    fn display(shipment: &Uuid) -> impl fmt::Display {
        fmt::from_fn(move |f| write!(f, "claims{{shipment:{shipment}}}"))
    }
}

impl Internal for Causes {
    type Key = ();
    const KIND: i64 = 1_050;

    fn display((): &()) -> impl fmt::Display {
        "causes{}"
    }
}

impl Internal for Returned {
    /// The shipment.
    type Key = Uuid;
    const KIND: i64 = 1_055;

    fn display(shipment: &Uuid) -> impl fmt::Display {
        fmt::from_fn(move |f| write!(f, "returned{{shipment:{shipment}}}"))
    }
}

/// The routes of a territory.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct TerritoryRoutes {
    /// In ascending order; 16 bytes each.
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub routes: Vec<Vec<u8>>,
}

impl Internal for TerritoryRoutes {
    type Key = Uuid;
    const KIND: i64 = 1_010;

    fn display(territory: &Uuid) -> impl fmt::Display {
        fmt::from_fn(move |f| write!(f, "routes{{territory:{territory}}}"))
    }
}

/// The visits that were planned for a day of a territory, whatever became of them.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct TerritoryDay {
    /// In ascending order; 16 bytes each.
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub visits: Vec<Vec<u8>>,
}

impl Internal for TerritoryDay {
    /// The territory, and the day in its calendar, in days since 1970-01-01.
    type Key = (Uuid, i32);
    const KIND: i64 = 1_011;

    fn display((territory, day): &(Uuid, i32)) -> impl fmt::Display {
        fmt::from_fn(move |f| write!(f, "planned{{territory:{territory} {day}}}"))
    }
}

/// How far a territory's calendar has been carried out. What happens by the clock is judged by this alone, so that a
/// server that was away goes on where it was.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct TerritoryCalendar {
    /// The days that are planned and not yet ended, in ascending order.
    #[prost(message, repeated, tag = "1")]
    pub days: Vec<PlannedDay>,
    /// Rises whenever plans should be made anew: a route or an assignment has changed.
    #[prost(int64, tag = "2")]
    pub revision: i64,
    /// The last day whose assignments were applied; 0: none.
    #[prost(sint32, tag = "3")]
    pub applied_day: i32,
    /// The last month that was opened ([`Month::number`]); 0: none.
    #[prost(sint32, tag = "4")]
    pub month: i32,
}

/// A planned day.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct PlannedDay {
    /// In days since 1970-01-01.
    #[prost(sint32, tag = "1")]
    pub day: i32,
    /// The day on which it was planned last, to its end; 0: that is under way.
    #[prost(sint32, tag = "2")]
    pub planned_on: i32,
    /// The revision that this plan knows.
    #[prost(int64, tag = "3")]
    pub revision: i64,
}

impl Internal for TerritoryCalendar {
    type Key = Uuid;
    const KIND: i64 = 1_012;

    fn display(territory: &Uuid) -> impl fmt::Display {
        fmt::from_fn(move |f| write!(f, "calendar{{territory:{territory}}}"))
    }
}

impl TerritoryCalendar {
    /// A planned day.
    #[must_use]
    pub fn planned(&self, day: i32) -> Option<&PlannedDay> {
        self.days.iter().find(|planned| planned.day == day)
    }

    /// Notes how far the planning of a day is.
    pub fn plan(&mut self, planned: PlannedDay) {
        match self.days.binary_search_by_key(&planned.day, |known| known.day) {
            Ok(index) => self.days[index] = planned,
            Err(index) => self.days.insert(index, planned),
        }
    }
}

/// That devices were shut out: what repeating the command compares with, and what a device is told that calls again. Which
/// devices are shut out stands in their sequences.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Revoked {
    /// When, in microseconds since the Unix epoch.
    #[prost(sint64, tag = "1")]
    pub at_us: i64,
    /// They are to erase what they hold.
    #[prost(bool, tag = "2")]
    pub wipe: bool,
}

impl Internal for Revoked {
    type Key = Revocation;
    const KIND: i64 = 1_013;

    fn display(key: &Revocation) -> impl fmt::Display {
        fmt::from_fn(move |f| match key {
            Revocation::Device(device) => write!(f, "revoked{{device:{device}}}"),
            Revocation::Rep(rep) => write!(f, "revoked{{rep:{rep}}}"),
        })
    }
}

/// The work that commands have left because it was too much for one: records to be placed anew.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Restampings {
    /// In the order in which they began.
    #[prost(message, repeated, tag = "1")]
    pub entries: Vec<Restamping>,
}

/// The dependents of one record.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Restamping {
    /// The kind of the record that changed, by its number.
    #[prost(int32, tag = "1")]
    pub source_kind: i32,
    /// The record that changed; 16 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub source_id: Vec<u8>,
    /// The last dependent record that is placed already; 16 bytes.
    #[prost(bytes = "vec", tag = "3")]
    pub after: Vec<u8>,
    /// When it changed, in microseconds since the Unix epoch.
    #[prost(sint64, tag = "4")]
    pub since_us: i64,
}

impl Internal for Restampings {
    type Key = ();
    const KIND: i64 = 1_014;

    fn display((): &()) -> impl fmt::Display {
        "restampings{}"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use roundsman_proto::trade::PriceBreak;

    fn price(price_minor: i64) -> Price {
        let breaks = vec![PriceBreak { min_quantity_milli: 0, price_minor }];
        Price { breaks, ..Price::default() }
    }

    #[test]
    fn a_price_that_changes_twice_in_a_batch_was_what_devices_saw() {
        let id = Uuid::from_u128(1);
        let mut prices = ProductPrices::default();
        prices.note(id, 10, None);
        prices.note(id, 20, Some((price(100), 7)));
        prices.note(id, 21, Some((price(110), 0)));
        let entry = prices.prices.first().expect("noted");
        assert_eq!((entry.before.clone(), entry.before_version, entry.changed_at_us), (Some(price(100)), 7, 20));
        assert_eq!(prices.ids().collect::<Vec<_>>(), [id]);
    }

    #[test]
    fn c21_a_device_held_the_version_that_was_there_then() {
        let survey = |revision| Survey { revision, ..Survey::default() };
        let mut state = FormerSurveys::default();
        assert_eq!(state.held(7), None);
        state.note(100, (survey(1), 10));
        state.note(100, (survey(7), 0));
        state.note(200, (survey(2), 20));
        let held = |state: &FormerSurveys, version| state.held(version).map(|former| former.survey.revision);
        assert_eq!([5, 10, 19, 20, 25].map(|version| held(&state, version)), [1, 1, 1, 2, 2].map(Some));
        for number in 3..=9 {
            state.note(i64::from(number) * 100, (survey(number), i64::from(number) * 10));
        }
        assert_eq!(state.versions.len(), FormerSurveys::KEPT);
        assert_eq!([5, 10, 90].map(|version| held(&state, version)), [2, 2, 9].map(Some), "the first is forgotten");
    }

    #[test]
    fn a_product_has_one_next_moment_in_a_warehouse() {
        let [north, south, tea] = [1, 2, 3].map(Uuid::from_u128);
        let mut calendar = AllocationCalendar::default();
        calendar.note((south, tea), Some(20), 1);
        calendar.note((north, tea), Some(10), 2);
        let asked = WaitingOrder { submitted_at_us: 5, order_id: vec![9; 16] };
        calendar.go_on_after((north, tea), asked.clone(), 9);
        calendar.go_on_after((north, tea), asked.clone(), 12);
        assert_eq!(calendar.of((north, tea)).map(|due| due.began_us), Some(9), "when the first were asked");
        calendar.note((north, tea), Some(10), 3);
        let of = |calendar: &AllocationCalendar, goods| {
            calendar.of(goods).map(|due| (due.at_us, due.since_us, due.after.clone()))
        };
        assert_eq!(of(&calendar, (north, tea)), Some((10, 2, Some(asked))), "it goes on");
        calendar.note((north, tea), Some(11), 4);
        assert_eq!(of(&calendar, (north, tea)), Some((11, 4, None)), "that is another one");
        assert_eq!(calendar.entries.iter().map(|due| due.at_us).collect::<Vec<_>>(), [11, 20]);
        calendar.note((north, tea), None, 5);
        calendar.note((tea, tea), None, 5);
        assert_eq!((calendar.of((north, tea)), calendar.entries.len()), (None, 1));
    }

    #[test]
    fn what_is_of_one_warehouse_stands_together() {
        let [north, south, tea, coffee] = [1, 2, 3, 4].map(Uuid::from_u128);
        let first = |of: &(Uuid, Uuid)| Available::id(of).into_bytes()[..3].to_vec();
        assert_eq!(first(&(north, tea)), first(&(north, coffee)));
        assert_ne!(first(&(north, tea)), first(&(south, tea)));
        assert_ne!(Available::id(&(north, tea)).into_bytes()[3..], Available::id(&(north, coffee)).into_bytes()[3..]);
        let name = Available::name(&(north, tea));
        assert_eq!(server_id(&name), Available::id(&(north, tea)), "however many parts it comes in");
        let (owner, _) = name.split_once(' ').expect("has two parts");
        assert_eq!(server_id(owner).into_bytes()[..3], first(&(north, tea)));
    }

    #[test]
    fn an_id_of_the_servers_own_is_that_of_its_name_but_for_the_version() {
        let name = "stocks{product:00000000-0000-0000-0000-000000000001}";
        let named = Uuid::new_v5(&NAMESPACE, name.as_bytes());
        let expected = uuid::Builder::from_bytes(named.into_bytes()).with_version(uuid::Version::Custom).into_uuid();
        assert_eq!(server_id(name), expected);
        assert_eq!(ProductStocks::id(&Uuid::from_u128(1)), expected, "however many parts it comes in");
    }

    #[test]
    fn a_product_has_one_stock_record_for_each_warehouse() {
        let [north, south, first, second] = [1, 2, 3, 4].map(Uuid::from_u128);
        let mut stocks = ProductStocks::default();
        stocks.note(south, first);
        stocks.note(north, second);
        stocks.note(south, second);
        assert_eq!((stocks.at(north), stocks.at(south), stocks.stocks.len()), (Some(second), Some(second), 2));
        assert_eq!(stocks.at(first), None);
    }
}
