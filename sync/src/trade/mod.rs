//! The trade's rules: plain functions from what is known to what is decided.

pub mod alternatives;
pub mod assignment;
pub mod capture;
pub mod chain;
pub mod check;
pub mod contract;
pub mod copy;
pub mod credit;
pub mod debt;
pub mod delivery;
pub mod edit;
pub mod geo;
pub mod hand_in;
pub mod likeness;
pub mod money;
pub mod must_sell;
pub mod order;
pub mod outlet;
pub mod payment;
pub mod placement;
pub mod price;
pub mod promotion;
pub mod quota;
pub mod reclamation;
pub mod recommend;
pub mod rejection;
pub mod reprice;

pub mod shipment;
pub mod step;
pub mod stock;
pub mod survey;
pub mod task;
pub mod verdict;
pub mod visit;
pub mod waiting;
