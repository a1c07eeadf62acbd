//! The parts of a run: each measures one thing, on a server and a database of its own.

pub mod bare;
mod catalogue;
mod day;
mod followers;
mod handover;
mod live;
mod morning;
mod nothing_new;
mod orders;
mod papers;
mod reprice;
mod rules;
mod sizes;
mod tenants;
mod tours;
mod waves;

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
    /// The trade's rules by themselves, without a server.
    Rules,
    /// The tours of a day by themselves, without a server.
    Tours,
    /// Papers by themselves, without a server.
    Papers,
    /// Devices that hold everything ask again.
    NothingNew,
    /// A device gets everything, and another what has changed, while there is more and more.
    Catalogue,
    /// What is changed reaches a thousand followers.
    Live,
    /// Devices hand orders in.
    Orders,
    /// Thousands of orders are put into shipments while others come in, and what becomes of them reaches phones.
    Waves,
    /// Devices of many tenants hand orders in at once.
    Tenants,
    /// All prices of a list change, while orders come in, and everybody fetches them.
    Reprice,
    /// Territories and outlets change hands.
    Handover,
    /// Ten thousand devices follow and hear nothing.
    Followers,
    /// Three thousand devices come online within a minute.
    Morning,
    /// Reps pull and order all day, at one process or two.
    Day,
    /// A large distributor is brought in, and its busiest hour is played.
    Sizes,
}

impl Part {
    /// On which of these databases it runs; `None`: on none.
    fn databases(self, all: &[Kind]) -> Vec<Option<Kind>> {
        if matches!(self, Self::Bare | Self::Rules | Self::Tours | Self::Papers) {
            return vec![None];
        }
        // What takes a quarter of an hour is for PostgreSQL, if it is there.
        let postgres = self == Self::Sizes && all.contains(&Kind::Postgres);
        all.iter().copied().filter(|kind| !postgres || *kind == Kind::Postgres).map(Some).collect()
    }

    /// It takes minutes, and is not for every run.
    #[must_use]
    pub fn is_large(self) -> bool {
        matches!(self, Self::Followers | Self::Morning | Self::Day | Self::Sizes)
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bare => "bare",
            Self::Rules => "rules",
            Self::Tours => "tours",
            Self::Papers => "papers",
            Self::NothingNew => "nothing-new",
            Self::Catalogue => "catalogue",
            Self::Live => "live",
            Self::Orders => "orders",
            Self::Waves => "waves",
            Self::Tenants => "tenants",
            Self::Reprice => "reprice",
            Self::Handover => "handover",
            Self::Followers => "followers",
            Self::Morning => "morning",
            Self::Day => "day",
            Self::Sizes => "sizes",
        })
    }
}

/// Runs parts on the databases, one after another, and tells the figures of each as it ends; returns what could not be
/// measured, and why.
pub async fn run(
    bench: &Bench,
    parts: &[Part],
    databases: &[Kind],
    report: &mut Report,
) -> anyhow::Result<Vec<String>> {
    let mut failed = Vec::new();
    for part in parts {
        for kind in part.databases(databases) {
            let (name, measured) = match kind {
                None if *part == Part::Rules => (part.to_string(), rules::measure(report)),
                None if *part == Part::Tours => (part.to_string(), tours::measure(report)),
                None if *part == Part::Papers => (part.to_string(), papers::measure(report)),
                None => (part.to_string(), bare::baselines(bench, report).await.map(drop)),
                Some(kind) => (format!("{part} on {kind}"), on(bench, *part, kind, report).await),
            };
            if let Err(error) = measured {
                failed.push(format!("{name}: {error:#}"));
            }
            report.tell()?;
        }
    }
    Ok(failed)
}

async fn on(bench: &Bench, part: Part, kind: Kind, report: &mut Report) -> anyhow::Result<()> {
    let database = Database::create(bench, kind).await?;
    report.database(&database.durability);
    let measured = match part {
        Part::Bare | Part::Rules | Part::Tours | Part::Papers => Ok(()),
        Part::NothingNew => nothing_new::measure(bench, &database, report).await,
        Part::Catalogue => catalogue::measure(bench, &database, report).await,
        Part::Live => live::measure(bench, &database, report).await,
        Part::Orders => orders::measure(bench, &database, report).await,
        Part::Waves => waves::measure(bench, &database, report).await,
        Part::Tenants => tenants::measure(bench, &database, report).await,
        Part::Reprice => reprice::measure(bench, &database, report).await,
        Part::Handover => handover::measure(bench, &database, report).await,
        Part::Followers => followers::measure(bench, &database, report).await,
        Part::Morning => morning::measure(bench, &database, report).await,
        Part::Day => day::measure(bench, &database, report).await,
        Part::Sizes => sizes::measure(bench, &database, report).await,
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
