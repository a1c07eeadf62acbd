//! The parts of a run: each measures one thing, on a server and a database of its own.

mod bare;
mod delta;
mod first_sync;
mod followers;
mod nothing_new;
mod orders;

use std::fmt;

use clap::ValueEnum;

use crate::bench::Bench;
use crate::database::{Database, Kind};
use crate::office::Office;
use crate::report::Report;
use crate::server::Server;

/// One part of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// The transport without any work: what the machine can do.
    Bare,
    /// A device that holds nothing gets everything.
    FirstSync,
    /// Devices that hold everything ask again.
    NothingNew,
    /// Devices hand orders in.
    Orders,
    /// A device gets what has changed, whatever it holds.
    Delta,
    /// Ten thousand devices follow and hear nothing. Takes minutes, and runs only if it is named.
    Followers,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bare => "bare",
            Self::FirstSync => "first-sync",
            Self::NothingNew => "nothing-new",
            Self::Orders => "orders",
            Self::Delta => "delta",
            Self::Followers => "followers",
        })
    }
}

/// Runs the parts on the databases, one after another; returns what could not be measured, and why.
pub async fn run(bench: &Bench, only: Option<Part>, databases: &[Kind], report: &mut Report) -> Vec<String> {
    let mut failed = Vec::new();
    let wanted = |part: &Part| only.map_or(*part != Part::Followers, |only| only == *part);
    for part in Part::value_variants().iter().copied().filter(wanted) {
        if part == Part::Bare {
            if let Err(error) = bare::measure(bench, report).await {
                failed.push(format!("{part}: {error:#}"));
            }
            continue;
        }
        for kind in databases {
            if let Err(error) = on(bench, part, *kind, report).await {
                failed.push(format!("{part} on {kind}: {error:#}"));
            }
        }
    }
    failed
}

async fn on(bench: &Bench, part: Part, kind: Kind, report: &mut Report) -> anyhow::Result<()> {
    let database = Database::create(bench, kind).await?;
    let measured = match part {
        Part::Bare => Ok(()),
        Part::FirstSync => first_sync::measure(bench, kind, &database, report).await,
        Part::NothingNew => nothing_new::measure(bench, &database, report).await,
        Part::Orders => orders::measure(bench, &database, report).await,
        Part::Delta => delta::measure(bench, &database, report).await,
        Part::Followers => followers::measure(bench, &database, report).await,
    };
    let removed = database.remove().await;
    measured.and(removed)
}

/// A new server, claimed.
async fn claimed<'b>(bench: &'b Bench, database: &Database) -> anyhow::Result<(Server, Office<'b>)> {
    let server = Server::start(&bench.program, &database.url).await?;
    let office = Office::claim(bench, &server).await?;
    Ok((server, office))
}
