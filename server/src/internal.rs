//! Internal records: the sums, sets and spans that rules need. They live beside the records, are found by a key instead
//! of an id, are never placed in a bucket, have no history, and can be computed anew from the records (`verify` does).

use std::fmt::Debug;

use prost::Message;
use roundsman_sync::scope::{Month, Scope};
use roundsman_sync::trade::assignment::{Assigned, Placed};
use roundsman_sync::trade::credit::Credit;
use roundsman_sync::trade::stock::Available;
use uuid::Uuid;

/// Ids of internal records are UUIDs of version 5 in this namespace.
const NAMESPACE: Uuid = Uuid::from_u128(0x5e1f_7a3c_6f6b_4d2b_9b63_1c0a_8f51_77d2);

/// A message that is kept as an internal record.
pub trait Internal: Message + Default {
    /// What it is found by.
    type Key: Debug;
    /// Its number, 1000 or above.
    const KIND: i64;

    /// The key in words, such as `granted{territory:…}`; different for different keys of all internal kinds.
    fn name(key: &Self::Key) -> String;

    /// The id under which it is stored.
    fn id(key: &Self::Key) -> Uuid {
        Uuid::new_v5(&NAMESPACE, Self::name(key).as_bytes())
    }
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

    fn name(holder: &Scope) -> String {
        format!("granted{{{holder}}}")
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

    fn name(key: &Reaching) -> String {
        match key {
            Reaching::Customer(id) => format!("reach{{customer:{id}}}"),
            Reaching::Agreement(id) => format!("reach{{agreement:{id}}}"),
        }
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
    /// In the order in which they were made; 16 bytes each.
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub records: Vec<Vec<u8>>,
}

impl Internal for OutletDocuments {
    type Key = (Uuid, Month);
    const KIND: i64 = 1_002;

    fn name((outlet, month): &(Uuid, Month)) -> String {
        format!("documents{{outlet:{outlet}/{month}}}")
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

    fn name(outlet: &Uuid) -> String {
        format!("months{{outlet:{outlet}}}")
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

    fn name(territory: &Uuid) -> String {
        format!("reps{{territory:{territory}}}")
    }
}

impl Internal for Assigned {
    type Key = Uuid;
    const KIND: i64 = 1_005;

    fn name(rep: &Uuid) -> String {
        format!("assigned{{rep:{rep}}}")
    }
}

impl Internal for Placed {
    type Key = Uuid;
    const KIND: i64 = 1_006;

    fn name(outlet: &Uuid) -> String {
        format!("placed{{outlet:{outlet}}}")
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

    fn name(rep: &Uuid) -> String {
        format!("assignments{{rep:{rep}}}")
    }
}

impl Internal for Available {
    /// Warehouse and product.
    type Key = (Uuid, Uuid);
    const KIND: i64 = 1_008;

    fn name((warehouse, product): &(Uuid, Uuid)) -> String {
        format!("available{{warehouse:{warehouse} product:{product}}}")
    }
}

impl Internal for Credit {
    /// Customer and currency.
    type Key = (Uuid, String);
    const KIND: i64 = 1_009;

    fn name((customer, currency): &(Uuid, String)) -> String {
        format!("credit{{customer:{customer} {currency}}}")
    }
}
