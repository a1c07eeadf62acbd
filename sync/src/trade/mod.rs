//! The trade's rules: plain functions from what is known to what is decided.

pub mod assignment;
pub mod capture;
pub mod check;
pub mod credit;
pub mod edit;
pub mod geo;
pub mod money;
pub mod order;
pub mod placement;
pub mod price;
pub mod rejection;
pub mod stock;
pub mod verdict;
pub mod visit;
