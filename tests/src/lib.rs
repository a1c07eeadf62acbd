//! The harness of the tests: the whole app in one value, on a database of its own.

pub mod app;
pub mod asked;
pub mod counts;
pub mod database;
pub mod fuzz;
pub mod simulation;
pub mod vectors;
pub mod workload;
pub mod world;
