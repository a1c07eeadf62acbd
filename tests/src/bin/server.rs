//! The server as a process of its own, for tests that kill it: `roundsman serve` by the clock of the tests' worlds.

use std::net::SocketAddr;
use std::sync::Arc;

use clap::Parser;
use roundsman::app::{self, Core, Parts};
use roundsman::clock::{Clock, Random};
use roundsman::fail::FailPoints;
use roundsman::policy::Policy;
use roundsman::pull::Sizes;
use roundsman::store::sql::Db;
use roundsman::store::tenant::WRITER_VERSION;
use roundsman_tests::app::START_US;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// Where it serves, and on what.
#[derive(Debug, Parser)]
struct Options {
    /// The database, with its schema up to date.
    #[arg(long)]
    database: String,
    /// The address.
    #[arg(long)]
    listen: SocketAddr,
    /// The newest format that it writes.
    #[arg(long, default_value_t = WRITER_VERSION)]
    format: i64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_writer(std::io::stderr).init();
    let db = Db::connect(&options.database).await?;
    let machine = Arc::new(Clock::Machine);
    let clock = Arc::new(Clock::Scaled { start_us: START_US, origin_us: machine.now_us(), speed: 1 });
    let random = Arc::new(Random::from_machine()?);
    let (policy, format, fail) = (Policy::default(), options.format, FailPoints::default());
    let sizes = Sizes::default();
    let parts = Parts { db, clock, session_clock: machine, random, policy, min_app_version: None, sizes, format, fail };
    let core = Core::start(parts).await?;
    let listener = TcpListener::bind(options.listen).await?;
    // It does not outlive the test that started it.
    let (ended, end) = oneshot::channel::<()>();
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        let _ = ended.send(());
    });
    app::serve(core, None, listener, async move {
        let _ = end.await;
    })
    .await
}
