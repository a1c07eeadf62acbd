//! Tests of the whole service, each on both databases.

#[macro_use]
mod both;
mod bad_input;
mod conflicts;
mod cost;
mod layering;
mod pull;
mod push;
mod sync;
