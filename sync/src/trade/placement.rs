//! Placement: which scopes a record is handed out in, as a pure function of the record and its stamps.

use prost::Message;
use roundsman_proto::trade::{self as proto, Kind};
use thiserror::Error;
use uuid::Uuid;

use crate::scope::{Month, Scope};

/// Above so many territories a customer's records are no longer copied into each; they get a scope of their own, for
/// good.
pub const CUSTOMER_TERRITORIES: usize = 16;

/// What a record's placement needs from other records. It stands beside the document and is never sent; the command that
/// changes the other record restamps this one.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Stamps {
    /// The territories of the outlet, or of the customer's outlets, in ascending order; 16 bytes each.
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub territories: Vec<Vec<u8>>,
    /// The month in which the document was closed, in the territory's calendar ([`Month::number`]); missing: it is open.
    #[prost(sint32, optional, tag = "2")]
    pub closed_month: Option<i32>,
    /// The rep's team, for what is handed out by rep and team; 16 bytes, or empty.
    #[prost(bytes = "vec", tag = "3")]
    pub team: Vec<u8>,
    /// The customer has outlets in more than [`CUSTOMER_TERRITORIES`] territories, or once had.
    #[prost(bool, tag = "4")]
    pub own_scope: bool,
}

impl Stamps {
    /// What hangs on one outlet.
    #[must_use]
    pub fn of_territory(territory: Uuid) -> Self {
        Self { territories: vec![territory.as_bytes().to_vec()], ..Self::default() }
    }

    /// What hangs on a rep.
    #[must_use]
    pub fn of_team(team: Uuid) -> Self {
        Self { team: team.as_bytes().to_vec(), ..Self::default() }
    }

    /// The same, closed in this month; `None`: open again.
    #[must_use]
    pub fn closed(mut self, month: Option<Month>) -> Self {
        self.closed_month = month.map(Month::number);
        self
    }

    /// The only territory, if there is exactly one.
    #[must_use]
    pub fn territory(&self) -> Option<Uuid> {
        match self.territories.as_slice() {
            [one] => Uuid::from_slice(one).ok(),
            _ => None,
        }
    }
}

/// A stored document or stamp that can't be read: a fault of ours.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("a record of kind {0:?} can't be placed: {1}")]
pub struct Unplaceable(pub Kind, pub String);

/// The scopes of a live record, in ascending order and each once.
///
/// # Errors
/// When the document or an id in it can't be read.
pub fn place(kind: Kind, record: Uuid, document: &[u8], stamps: &Stamps) -> Result<Vec<Scope>, Unplaceable> {
    let mut scopes = scopes(kind, record, document, stamps).map_err(|error| Unplaceable(kind, error))?;
    scopes.sort_unstable();
    scopes.dedup();
    Ok(scopes)
}

fn scopes(kind: Kind, record: Uuid, document: &[u8], stamps: &Stamps) -> Result<Vec<Scope>, String> {
    Ok(match kind {
        Kind::Product | Kind::PriceList | Kind::Warehouse | Kind::Survey | Kind::Promotion => vec![Scope::Tenant],
        // A name, a parent and ids of agreements, which are placed by themselves.
        Kind::Chain => vec![Scope::Tenant],
        Kind::MustSellList | Kind::ClaimCause => vec![Scope::Tenant],
        Kind::Price => vec![Scope::PriceList(id(&decode::<proto::Price>(document)?.price_list_id)?)],
        Kind::Stock => vec![Scope::Warehouse(id(&decode::<proto::Stock>(document)?.warehouse_id)?)],
        // Everybody sees every share: they are no secret inside the company.
        Kind::StockQuota => vec![Scope::Warehouse(id(&decode::<proto::StockQuota>(document)?.warehouse_id)?)],
        Kind::Outlet => vec![Scope::Territory(id(&decode::<proto::Outlet>(document)?.territory_id)?)],
        Kind::Route => vec![Scope::Territory(id(&decode::<proto::Route>(document)?.territory_id)?)],
        Kind::Territory => vec![Scope::Territory(record)],
        Kind::Customer => by_count(record, stamps)?,
        Kind::Receivable => by_count(id(&decode::<proto::Receivable>(document)?.customer_id)?, stamps)?,
        Kind::Contract => by_count(id(&decode::<proto::Contract>(document)?.customer_id)?, stamps)?,
        Kind::Agreement => {
            let customer = decode::<proto::Agreement>(document)?.customer_id;
            if customer.is_empty() { vec![Scope::Tenant] } else { by_count(id(&customer)?, stamps)? }
        }
        Kind::Visit | Kind::Order | Kind::Payment | Kind::Reclamation | Kind::SurveyResponse => by_age(stamps)?,
        Kind::Shipment => {
            // Whoever drives holds what the trip brings, wherever the outlets are.
            let trip = decode::<proto::Shipment>(document)?.trip_id;
            let trip = Some(trip).filter(|trip| !trip.is_empty());
            let trip = trip.map(|trip| id(&trip).map(Scope::Trip)).transpose()?;
            by_age(stamps)?.into_iter().chain(trip).collect()
        }
        Kind::Trip => vec![Scope::Trip(record)],
        Kind::ChangeRequest | Kind::GoodsReturn => by_age(stamps)?,
        Kind::Task => {
            let task = decode::<proto::Task>(document)?;
            if task.outlet_id.is_empty() { vec![Scope::Rep(id(&task.rep_id)?)] } else { by_age(stamps)? }
        }
        Kind::Wave | Kind::Vehicle | Kind::StockTransfer => Vec::new(),
        Kind::StockCount => {
            let rep = decode::<proto::StockCount>(document)?.rep_id;
            if rep.is_empty() { Vec::new() } else { vec![Scope::Rep(id(&rep)?)] }
        }
        Kind::Rep => with_team(record, stamps)?,
        Kind::Assignment => with_team(id(&decode::<proto::Assignment>(document)?.rep_id)?, stamps)?,
        Kind::Team => vec![Scope::Team(record)],
        Kind::CashHandIn => {
            let hand_in = decode::<proto::CashHandIn>(document)?;
            // Of the team to which the rep belonged then: its supervisor answers for it, wherever the rep has gone.
            let team = Some(hand_in.team_id).filter(|team| !team.is_empty());
            let team = team.map(|team| id(&team).map(Scope::Team)).transpose()?;
            [Scope::Rep(id(&hand_in.rep_id)?)].into_iter().chain(team).collect()
        }
        Kind::Unspecified => return Err("it has no kind".to_owned()),
    })
}

/// In the stamped territories while it is open, in their month once it is closed.
fn by_age(stamps: &Stamps) -> Result<Vec<Scope>, String> {
    let month = match stamps.closed_month {
        None => None,
        Some(number) => Some(Month::from_number(number).ok_or_else(|| format!("{number} is no month"))?),
    };
    let scope = |territory| month.map_or(Scope::Territory(territory), |month| Scope::TerritoryMonth(territory, month));
    stamps.territories.iter().map(|bytes| id(bytes).map(scope)).collect()
}

/// In every territory where the customer has outlets, or in the customer's own scope.
fn by_count(customer: Uuid, stamps: &Stamps) -> Result<Vec<Scope>, String> {
    if stamps.own_scope {
        return Ok(vec![Scope::Customer(customer)]);
    }
    stamps.territories.iter().map(|bytes| id(bytes).map(Scope::Territory)).collect()
}

fn with_team(rep: Uuid, stamps: &Stamps) -> Result<Vec<Scope>, String> {
    Ok(if stamps.team.is_empty() {
        vec![Scope::Rep(rep)]
    } else {
        vec![Scope::Rep(rep), Scope::Team(id(&stamps.team)?)]
    })
}

fn decode<M: Message + Default>(document: &[u8]) -> Result<M, String> {
    M::decode(document).map_err(|error| error.to_string())
}

fn id(bytes: &[u8]) -> Result<Uuid, String> {
    Uuid::from_slice(bytes).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTLETS_TERRITORY: Uuid = Uuid::from_u128(1);
    const RECORD: Uuid = Uuid::from_u128(9);

    #[test]
    fn an_order_ages_out_of_its_territory_into_the_month_of_its_end() {
        let open = Stamps::of_territory(OUTLETS_TERRITORY);
        let place = |stamps: &Stamps| place(Kind::Order, RECORD, &[], stamps).expect("placed");
        assert_eq!(place(&open), [Scope::Territory(OUTLETS_TERRITORY)]);
        let month = Month::new(2026, 11).expect("a month");
        let closed = open.closed(Some(month));
        assert_eq!(place(&closed), [Scope::TerritoryMonth(OUTLETS_TERRITORY, month)]);
        assert_eq!(place(&closed.closed(None)), [Scope::Territory(OUTLETS_TERRITORY)]);
    }

    #[test]
    fn a_customer_is_where_its_outlets_are_until_there_are_too_many() {
        let stamps = Stamps {
            territories: vec![Uuid::from_u128(2).into_bytes().to_vec(), OUTLETS_TERRITORY.into_bytes().to_vec()],
            ..Stamps::default()
        };
        let scopes = place(Kind::Customer, RECORD, &[], &stamps).expect("placed");
        assert_eq!(scopes, [Scope::Territory(OUTLETS_TERRITORY), Scope::Territory(Uuid::from_u128(2))]);
        let wide = Stamps { own_scope: true, ..stamps };
        assert_eq!(place(Kind::Customer, RECORD, &[], &wide), Ok(vec![Scope::Customer(RECORD)]));
    }

    #[test]
    fn a_hand_in_is_the_reps_and_the_teams() {
        let [rep, team] = [7, 8].map(Uuid::from_u128);
        let hand_in = proto::CashHandIn { rep_id: rep.into_bytes().to_vec(), ..proto::CashHandIn::default() };
        let place =
            |hand_in: &proto::CashHandIn| place(Kind::CashHandIn, RECORD, &hand_in.encode_to_vec(), &Stamps::default());
        assert_eq!(place(&hand_in), Ok(vec![Scope::Rep(rep)]));
        let of_team = proto::CashHandIn { team_id: team.into_bytes().to_vec(), ..hand_in };
        assert!(place(&of_team).is_ok_and(|scopes| scopes.len() == 2 && scopes.contains(&Scope::Team(team))));
    }

    #[test]
    fn shares_of_scarce_goods_are_where_the_goods_are() {
        let warehouse = Uuid::from_u128(7);
        let quota = proto::StockQuota { warehouse_id: warehouse.into_bytes().to_vec(), ..proto::StockQuota::default() };
        let placed = place(Kind::StockQuota, RECORD, &quota.encode_to_vec(), &Stamps::default());
        assert_eq!(placed, Ok(vec![Scope::Warehouse(warehouse)]));
    }

    #[test]
    fn what_cannot_be_read_is_an_error_and_not_nowhere() {
        assert!(place(Kind::Price, RECORD, b"\xff\xff", &Stamps::default()).is_err());
        assert!(place(Kind::Price, RECORD, &[], &Stamps::default()).is_err(), "a price without a list");
    }
}
