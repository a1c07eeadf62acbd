//! Tests of the whole service, each on both databases.

#[macro_use]
mod both;
mod attack;
mod bad_input;
mod conflicts;
mod cost;
mod debts;
mod desk;
mod devices;
mod faults;
mod fuzz;
mod goods;
mod hung;
mod import;
mod inspect;
mod jobs;
mod killed;
mod layering;
mod logistics;
mod metrics;
mod plans;
mod processes;
mod projections;
mod pull;
mod push;
mod quarantine;
mod repair;
mod restored;
mod revoked;
mod simulation;
mod supervision;
mod sync;
mod trespass;
mod typescript;
mod vectors;
mod verify;
