//! The simulation: whole days of lost, repeated, delayed and mixed messages, of devices that die in the middle of a write
//! and of a server that fails where it hurts, in seconds, and the same to the byte for the same seed.
//!
//! One event happens at a time and runs to its end, so that nothing depends on the timing of threads: the server's batches
//! ([`roundsman::batch::Writer`]) and pulls ([`roundsman::pull::Pull`]) are driven by hand, the devices are the `sync`
//! crate's own. There is no network, no door, no timer. Every choice follows from the seed.
//!
//! A command of the simulation is one function in `commands`, a kind of event one arm in `run`, a law one variant in
//! `journal` with a check where it can be broken.

pub mod batching;
mod commands;
mod device;
mod dice;
mod discretion;
mod faults;
mod journal;
mod laws;
mod merge;
mod oracle;
mod pull;
mod run;
mod server;
mod shrink;
mod store;
mod terms;
mod trade;
mod trips;
mod world;

pub use dice::Dice;
pub use faults::{Fault, Without};
pub use journal::{Checked, Law, Tally, Tell, Violation};
pub use run::{End, Settings, on_both, run};
pub use shrink::shrink;
