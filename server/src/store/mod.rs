//! The store: one file for each group of tables, with the SQL beside its function.

pub mod account;
pub mod backlog;
pub mod bucket;
pub mod command;
pub mod contact;
mod migrations;
pub mod record;
pub mod retention;
pub mod sql;
pub mod tenant;
pub mod watched;
