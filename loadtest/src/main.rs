//! Load test: fleets of devices against a server of its own, beside the machine's limits measured in the same run.
//!
//! A benchmark, not a test: a goal that is missed is printed as missed. What it prints is still checked: an order that
//! was not taken, a pull that brought nothing, or a checksum that is wrong ends a part with an error.

mod bare;
mod bench;
mod database;
mod drive;
mod fleet;
mod goods;
mod machine;
mod office;
mod parts;
mod phone;
mod plot;
mod rep;
mod report;
mod rows;
mod server;
mod stats;
mod wire;
mod world;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum as _};

use crate::bench::Bench;
use crate::database::Kind;
use crate::parts::Part;
use crate::report::Report;

/// Measures what a server can do, on SQLite and, where there is one, on PostgreSQL.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Cli {
    /// Runs one part only.
    #[arg(long, value_enum, conflicts_with = "large")]
    only: Option<Part>,
    /// Runs the parts that take minutes, and no others.
    #[arg(long)]
    large: bool,
    /// Runs on one database only.
    #[arg(long, value_enum)]
    on: Option<Kind>,
    /// Writes the figures as JSON, too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The server's program [default: `roundsman` in this program's folder].
    #[arg(long, value_name = "FILE")]
    server: Option<PathBuf>,
    /// A PostgreSQL server where databases may be made; without it, PostgreSQL is left out.
    #[arg(long, env = "ROUNDSMAN_TEST_POSTGRES_URL", hide_env_values = true, value_name = "URL")]
    postgres: Option<String>,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Serves what takes no work to answer: the limit that the transport sets.
    #[command(hide = true)]
    Bare {
        /// Where.
        #[arg(long)]
        listen: SocketAddr,
    },
    /// Draws curves of growth from what `--json` has written.
    Plot {
        /// The figures of a run.
        file: PathBuf,
        /// Where the drawings go.
        folder: PathBuf,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "the last word of a run that failed")]
            {
                eprintln!("roundsman-loadtest: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.verb {
        Some(Verb::Bare { listen }) => return bare::serve(listen).await,
        Some(Verb::Plot { file, folder }) => return plot::draw(&file, &folder),
        None => {}
    }
    let program = server::program(cli.server)?;
    let bench = Bench::new(program, cli.postgres)?;
    let databases = bench.databases(cli.on)?;
    let machine = format!("{}, load at the start {}", machine::describe(), machine::load());
    let mut report = Report::begin(machine, cli.json)?;
    let wanted = |part: &Part| cli.only.map_or(part.is_large() == cli.large, |only| only == *part);
    let parts: Vec<Part> = Part::value_variants().iter().copied().filter(wanted).collect();
    let failed = parts::run(&bench, &parts, &databases, &mut report).await?;
    anyhow::ensure!(failed.is_empty(), "not measured:\n{}", failed.join("\n"));
    Ok(())
}
