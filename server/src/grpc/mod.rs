//! The gRPC doors: decode, check, call; nothing else. Who may call what is decided before, by the gate in `auth`.

pub mod admin;
pub mod auth;
mod changes;
pub mod detached;
mod duplicates;
mod explain;
mod fields;
pub mod inspect;
mod lists;
pub mod logistics;
pub mod office;
mod paging;
mod papers;
mod prices;
pub mod quarantine;
mod reclamations;
mod records;
pub mod status;
pub mod stream;
pub mod supervision;
pub mod sync;
mod trips;
mod watcher;
