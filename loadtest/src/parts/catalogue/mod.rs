//! A catalogue that grows: what a device pays that holds nothing, and one that holds nearly everything, must depend on what it
//! gets and not on what there is.

mod delta;
mod device;
mod first_sync;

use crate::bench::Bench;
use crate::database::Database;
use crate::goods;
use crate::office::Office;
use crate::phone::Phone;
use crate::report::{Figure, Goal, Report};
use crate::server::Server;
use crate::stats::per_second;
use crate::world::{RepWorld, World};

/// Rows of products and prices, one after another.
const ROWS: [usize; 4] = [10_000, 100_000, 300_000, 1_000_000];
/// Outlets of the rep.
const OUTLETS: usize = 4;

/// A stage of the growth.
#[derive(Debug)]
struct Stage<'a> {
    bench: &'a Bench,
    database: &'a Database,
    rep: &'a RepWorld,
    rows: usize,
}

impl Stage<'_> {
    /// A server that has just been started: it has nothing in memory.
    async fn server(&self) -> anyhow::Result<Server> {
        Server::start(&self.bench.program, &self.database.url).await
    }

    /// A device that has just been installed.
    async fn phone(&self, server: &Server) -> anyhow::Result<Phone> {
        Phone::login(self.bench, server.address, self.rep).await
    }

    fn name(&self, figure: &str) -> String {
        self.database.kind.named(figure)
    }
}

/// Measures it.
pub async fn measure(bench: &Bench, database: &Database, report: &mut Report) -> anyhow::Result<()> {
    let (server, office) = super::claimed(bench, database).await?;
    let mut world = World::make(&office, (1, OUTLETS), false).await?;
    drop((server, office));
    let mut deltas = Vec::new();
    for rows in ROWS {
        let server = Server::start(&bench.program, &database.url).await?;
        let office = Office::open(bench, &server).await?;
        let (records, took) = world.grow(&office, rows / goods::ROWS_AN_ARTICLE).await?;
        drop((server, office));
        let stage = Stage { bench, database, rep: &world.reps[0], rows };
        match rows {
            100_000 => {
                let what = format!("import of {records} products and prices, 1,000 at a time");
                report.add(Figure::new(stage.name("S8c"), what, "records/s", vec![per_second(records, took)]));
                first_sync::memory(&stage, report).await?;
                first_sync::cold(&stage, report).await?;
                first_sync::warm(&stage, ["S1a", "S1b", "S1c"], report).await?;
                first_sync::bytes(&stage, &world, report).await?;
            }
            300_000 => device::measure(&stage, &world, report).await?,
            1_000_000 => {
                first_sync::memory_of_many(&stage, report).await?;
                first_sync::warm(&stage, ["S1d", "S1e", "S1f"], report).await?;
            }
            _ => {}
        }
        if rows != 300_000 {
            deltas.push(delta::measure(&stage, &world, report).await?);
        }
    }
    let (least, most) = (deltas[0], deltas[deltas.len() - 1]);
    let what = "delta of 100 rows: its p50 with 1,000,000 rows held, in parts of that with 10,000";
    report.add(Figure::new(database.kind.named("S3d"), what, "ratio", vec![most / least]).goal(Goal::Most(1.2)));
    Ok(())
}
