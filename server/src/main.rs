//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use mimalloc::MiMalloc;
use roundsman::app::{Core, Parts};
use roundsman::auth::users;
use roundsman::clock::{Clock, Random};
use roundsman::config::{Config, Settings};
use roundsman::demo::{self, server::Simulated};
use roundsman::fail::FailPoints;
use roundsman::policy::Policy;
use roundsman::pull::Sizes;
use roundsman::store::sql::Db;
use roundsman::store::tenant::WRITER_VERSION;
use roundsman::{app, cli, telemetry};
use tokio::net::TcpListener;

/// A batch is made of many small things that live as long as it does, and the C library's allocator spends a fifth of the
/// server's time on them.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Roundsman: the backend of mobile sales representatives.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Cli {
    /// A file with settings, in TOML.
    #[arg(long, global = true, env = "ROUNDSMAN_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Serves devices, the office and logistics until it is told to stop.
    Serve(Simulated),
    /// Plays one working day against a server of its own, and proves that nothing was lost.
    Demo(demo::Options),
    /// Brings the database's schema up to date, and ends.
    Migrate {
        /// Also makes the tables for the office anew from the records: after a column came for a field that was there.
        #[arg(long)]
        rebuild: bool,
    },
    #[command(flatten)]
    Other(Box<cli::Verb>),
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "the last word of a command that failed")]
            {
                eprintln!("roundsman: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let config = Config::resolve(cli.settings, cli.config.as_deref())?;
    telemetry::log(&config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match cli.verb {
            Verb::Serve(simulated) => serve(config, simulated).await,
            Verb::Demo(options) => demo::run(options).await,
            Verb::Migrate { rebuild } => cli::migrate::run(&config, rebuild).await,
            Verb::Other(verb) => verb.run(&config).await,
        }
    })
}

async fn serve(config: Config, simulated: Simulated) -> anyhow::Result<()> {
    let metrics = telemetry::metrics()?;
    let db = Db::connect(&config.database).await?;
    db.migrate().await?;
    let random = Arc::new(Random::from_machine()?);
    let clock = Arc::new(simulated.clock());
    if let Some(code) = users::setup_code(&db, &random).await? {
        #[expect(clippy::print_stdout, reason = "shown once, to the person who starts the server; never logged")]
        {
            println!("This server has no users yet. The first administrator claims it with this code: {}", code);
        }
    }
    let session_clock = Arc::new(Clock::Machine);
    let (policy, fail, min_app_version) = (Policy::default(), FailPoints::default(), config.min_app_version);
    let shared_bytes = usize::try_from(config.shared_pages_mib)?.saturating_mul(1024 * 1024);
    let (format, sizes) = (WRITER_VERSION, Sizes { shared_bytes, ..Sizes::default() });
    let parts = Parts { db, clock, session_clock, random, policy, min_app_version, sizes, format, fail };
    let core = Core::start(parts).await?;
    let listener = TcpListener::bind(config.listen).await.map_err(|error| {
        anyhow::anyhow!("can't listen on {} ({error}); choose another with --listen", config.listen)
    })?;
    tracing::info!(listen = %listener.local_addr()?, database = core.db.name(), "serving");
    let stop = async move {
        tokio::select! {
            () = stop_signal() => {}
            () = simulated.orphaned() => {}
        }
    };
    app::serve(core, Some(metrics), listener, stop).await
}

/// Resolves when the process is asked to end.
async fn stop_signal() {
    let interrupt = tokio::signal::ctrl_c();
    match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = interrupt => {}
                _ = terminate.recv() => {}
            }
        }
        Err(_) => {
            let _ = interrupt.await;
        }
    }
}
