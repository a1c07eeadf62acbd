//! The trade's rules: plain functions from what is known to what is decided.

pub mod placement;
pub mod rejection;
