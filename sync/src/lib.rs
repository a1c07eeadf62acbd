//! What device and server must agree on.
//!
//! Two halves, both pure: no I/O, no clock, no randomness, so that the same code runs in the server, on a device, in the
//! simulation and in the load test.
//!
//! - Mechanics know versions, not orders: [`version`], [`scope`], [`page`], [`checksum`], [`replica`], [`outbox`],
//!   [`wipe`].
//! - [`trade`] holds the trade's rules, [`kind`] the one table that says how each kind of record is handled.

pub mod checksum;
pub mod kind;
pub mod limits;
pub mod merge;
pub mod outbox;
pub mod page;
pub mod replica;
pub mod scope;
pub mod trade;
pub mod version;
pub mod wipe;
