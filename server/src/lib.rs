//! Roundsman's server.
//!
//! Everything that changes is a command, everything that a device reads is a bucket. A tenant's commands go through one
//! [`lane`], in [`batch`]es: load, decide (pure, in `roundsman_sync`), [`publish`], commit, answer, wake. Nothing else
//! writes. Devices read with [`pull`].

pub mod ages;
pub mod app;
pub mod app_version;
pub mod auth;
pub mod batch;
pub mod budgets;
pub mod calendar;
pub mod causes;
pub mod chains;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod config;
pub mod contacts;
pub mod demand;
pub mod demo;
pub mod describe;
pub mod device;
pub mod error;
pub mod exchange;
pub mod fail;
pub mod grants;
pub mod grpc;
pub mod held;
pub mod internal;
pub mod jobs;
pub mod lane;
pub mod neighbours;
pub mod network;
pub mod papers;
pub mod policy;
pub mod present;
pub mod projection;
pub mod publish;
pub mod pull;
pub mod quotas;
pub mod recent;
pub mod reference;
pub mod store;
pub mod tail;
pub mod telemetry;
pub mod verify;
pub mod waiting;
pub mod watch;
pub mod workspace;
