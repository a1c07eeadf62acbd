//! The table of kinds: how each kind of record is handled. Everything is exhaustive, so that the compiler names what a
//! new kind still lacks.

use prost::Message;
use roundsman_proto::trade as proto;

pub use roundsman_proto::trade::Kind;

use crate::scope::{Month, Scope};

/// A message that is stored as a record of its kind.
pub trait Record: Message + Default + Clone {
    /// Its kind.
    const KIND: Kind;
    /// The name of the kind as fields of commands spell it, such as `outlet_id`.
    const NAME: &'static str;
}

macro_rules! records {
    ($($message:ident $name:literal),* $(,)?) => {
        $(impl Record for proto::$message {
            const KIND: Kind = Kind::$message;
            const NAME: &'static str = $name;
        })*

        /// All kinds, in the order of their numbers.
        pub const KINDS: &[Kind] = &[$(Kind::$message),*];
    };
}
records! {
    Customer "customer_id", Outlet "outlet_id", Agreement "agreement_id", Product "product_id",
    PriceList "price_list_id", Price "price_id", Warehouse "warehouse_id", Stock "stock_id", Rep "rep_id",
    Team "team_id", Territory "territory_id", Assignment "assignment_id", Route "route_id", Visit "visit_id",
    Order "order_id", Payment "payment_id", Receivable "receivable_id", Shipment "shipment_id",
    Reclamation "reclamation_id", Survey "survey_id", SurveyResponse "survey_response_id", Task "task_id",
    Promotion "promotion_id", CashHandIn "hand_in_id", ChangeRequest "change_request_id", Chain "chain_id",
    StockQuota "quota_id", MustSellList "must_sell_list_id", Contract "contract_id",
    ClaimCause "cause_id", Wave "wave_id", Vehicle "vehicle_id", Trip "trip_id", GoodsReturn "return_id",
    StockTransfer "transfer_id", StockCount "count_id",
}

/// When a follower hears of a change; the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WakeClass {
    /// At once.
    Now,
    /// Within a minute, together with others.
    Soon,
    /// With the next change that wakes, or the next pull.
    Ride,
}

/// The order in which a first sync brings things, so that a rep can work before the history came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Today's work: outlets, routes, visits, open orders, debts, tasks, with the current month.
    Today = 1,
    /// What is needed to sell: products, prices, stock, surveys.
    Sell = 2,
    /// The months before.
    History = 3,
}

/// When a change of this kind wakes a follower.
#[must_use]
pub fn wake_class(kind: Kind) -> WakeClass {
    match kind {
        Kind::Visit | Kind::Task | Kind::Order | Kind::Shipment | Kind::Payment | Kind::Reclamation => WakeClass::Now,
        Kind::Outlet | Kind::Route | Kind::Assignment | Kind::Rep | Kind::Team | Kind::Territory => WakeClass::Now,
        Kind::CashHandIn | Kind::Trip | Kind::GoodsReturn | Kind::StockCount => WakeClass::Now,
        Kind::Stock | Kind::Price | Kind::Receivable | Kind::Customer | Kind::Agreement => WakeClass::Soon,
        Kind::ChangeRequest => WakeClass::Now,
        Kind::Promotion | Kind::Chain | Kind::StockQuota | Kind::Contract => WakeClass::Soon,
        Kind::Product | Kind::PriceList | Kind::Warehouse | Kind::Survey | Kind::SurveyResponse => WakeClass::Ride,
        Kind::MustSellList | Kind::ClaimCause | Kind::Wave | Kind::Vehicle => WakeClass::Ride,
        Kind::StockTransfer | Kind::Unspecified => WakeClass::Ride,
    }
}

/// The group of a bucket, by its scope, its kind and the territory's current month.
#[must_use]
pub fn group(scope: Scope, kind: Kind, current: Month) -> Group {
    if let Scope::TerritoryMonth(_, month) = scope {
        return if month >= current { Group::Today } else { Group::History };
    }
    match kind {
        Kind::Product | Kind::PriceList | Kind::Price | Kind::Warehouse | Kind::Stock | Kind::Survey => Group::Sell,
        Kind::Promotion | Kind::MustSellList | Kind::StockQuota | Kind::ClaimCause => Group::Sell,
        Kind::Customer | Kind::Outlet | Kind::Agreement | Kind::Rep | Kind::Team | Kind::Territory => Group::Today,
        Kind::Assignment | Kind::Route | Kind::Visit | Kind::Order | Kind::Payment | Kind::Receivable => Group::Today,
        Kind::Shipment | Kind::Reclamation | Kind::SurveyResponse | Kind::Task | Kind::GoodsReturn => Group::Today,
        Kind::ChangeRequest | Kind::CashHandIn | Kind::Chain | Kind::Contract | Kind::StockCount => Group::Today,
        Kind::Trip => Group::Today,
        Kind::Wave | Kind::Vehicle | Kind::StockTransfer | Kind::Unspecified => Group::History,
    }
}

/// A kind by its number; `None`: not one that this program knows.
#[must_use]
pub fn from_number(number: i64) -> Option<Kind> {
    i32::try_from(number).ok().and_then(|number| Kind::try_from(number).ok()).filter(|kind| *kind != Kind::Unspecified)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_the_protocol_is_in_the_table() {
        for number in 1..=1_000 {
            if let Some(kind) = from_number(number) {
                assert!(KINDS.contains(&kind), "{kind:?}");
            }
        }
        assert!(KINDS.is_sorted_by_key(|kind| *kind as i32));
    }
}
