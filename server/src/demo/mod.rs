//! `roundsman demo`: one working day of a made-up wholesaler in the real Helsinki, against the real server.
//!
//! The server runs as a child process on SQLite. A company is set up on it, twelve representatives' devices live a day
//! from seven to six in less than a minute, the office and logistics work, the server is killed and comes back. In the
//! end everything is compared with the central store, and the verdict is the exit code.
//!
//! What happens is planned from a seed ([`plan`]) and then done ([`day`]); what comes of it depends on the machine's
//! timing, as in life, and has to be right every time.

pub mod app;
pub mod cases;
pub mod catalogue;
pub mod causes;
pub mod city;
pub mod day;
pub mod deliveries;
pub mod desk;
pub mod driver;
pub mod heard;
pub mod history;
pub mod logistics;
pub mod office;
pub mod plan;
pub mod records;
pub mod rep;
pub mod report;
pub mod server;
pub mod setup;
pub mod shared;
pub mod trade;
pub mod verdict;
pub mod world;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};

use crate::clock::Clock;
use desk::Desk;
use plan::Day;
use server::Server;
use shared::Shared;
use world::{ADMIN, DRIVERS, PASSWORD, REPS, TENANT, TODAY, World, login};

/// The clock of the set-up begins at this minute of the day …
const SETUP_MINUTE: i32 = 5 * 60;
/// … and that of the day at this one.
const DAY_MINUTE: i32 = 6 * 60 + 57;

/// How often the time is shown.
const TICK: Duration = Duration::from_millis(100);

/// How the demo is played.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The plan of the day follows from this number.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How many times faster than real time the day passes.
    #[arg(long, default_value_t = 900, value_parser = clap::value_parser!(i64).range(1..=2_000))]
    pub speed: i64,
    /// An empty folder for the server's and the devices' data [default: a temporary one].
    #[arg(long)]
    pub data: Option<PathBuf>,
    /// Leave the server running on the demo's data until Ctrl-C.
    #[arg(long)]
    pub keep_running: bool,
}

/// Plays the day and tells what came of it.
///
/// # Errors
/// When it could not be played to its end, or the verdict is that something is wrong.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let (folder, _temporary) = folder(options.data.as_deref())?;
    let mut server = Server::new(&folder)?;
    let played = tokio::select! {
        played = play(&options, &folder, &mut server) => played?,
        _ = tokio::signal::ctrl_c() => anyhow::bail!("the demo was interrupted"),
    };
    if options.keep_running {
        server.start(&Clock::scaled(played.evening_us, 1)).await?;
        say(&invitation(&server));
        tokio::signal::ctrl_c().await?;
        server.stop().await?;
    }
    anyhow::ensure!(played.is_right, "the verdict of the demo: something is wrong");
    Ok(())
}

/// A day that was played and judged.
struct Played {
    is_right: bool,
    /// When it ended, by its clock, in microseconds since the Unix epoch.
    evening_us: i64,
}

async fn play(options: &Options, folder: &Path, server: &mut Server) -> anyhow::Result<Played> {
    let world = World::generate(options.seed)?;
    let day = Day::plan(&world);
    say(&format!(
        "Monday 2026-11-23 in Helsinki, seed {}: {} outlets, {} articles, {} representatives, {} drivers, {} visits planned.\n\
         The server is {} on {}; its log is {}.",
        options.seed,
        world.city.outlets.len(),
        world.catalogue.articles.len(),
        REPS.len(),
        DRIVERS.len(),
        day.reps.iter().map(|rep| rep.visits.len()).sum::<usize>(),
        server.address(),
        server.database(),
        server.log().display(),
    ));

    let morning = Clock::scaled(records::moment_us(TODAY, SETUP_MINUTE), 1);
    server.start(&morning).await?;
    let code = server.setup_code().await?;
    let channel = server.channel()?;
    let mut admin = Desk::new(ADMIN, channel.clone());
    let loaded = setup::load(&world, &day.trade, code, &channel, &mut admin).await?;
    server.stop().await?;

    let clock = Arc::new(Clock::scaled(records::moment_us(TODAY, DAY_MINUTE), options.speed));
    say(&format!("Set up in {:.1} s. The day begins, {} times faster.", loaded.took.as_secs_f64(), options.speed));
    server.start(&clock).await?;
    let shared = Arc::new(Shared::new(world, day, Arc::clone(&clock), server.channel()?));
    let lived = tokio::select! {
        lived = day::live(&shared, server, folder) => lived?,
        () = show_time(&shared) => anyhow::bail!("time has stopped"),
    };
    let evening_us = clock.now_us();
    server.stop().await?;

    let verdict = verdict::judge(&server.database(), &shared, &lived, options.speed).await?;
    let told =
        report::Told { shared: &shared, loaded: &loaded, lived: &lived, verdict: &verdict, speed: options.speed };
    say(&report::report(told));
    Ok(Played { is_right: verdict.wrong.is_empty(), evening_us })
}

/// Shows how late it is, for ever.
async fn show_time(shared: &Shared) {
    let bar = ProgressBar::new((plan::END_S - plan::BEGIN_S).unsigned_abs().into());
    let bar = bar.with_finish(ProgressFinish::AndClear);
    if let Ok(style) = ProgressStyle::with_template("{prefix:>14} [{bar:40}] {elapsed}") {
        bar.set_style(style);
    }
    loop {
        let s = shared.second();
        bar.set_prefix(format!("{:02}:{:02}", s / 3_600, s / 60 % 60));
        bar.set_position(u64::try_from(s - plan::BEGIN_S).unwrap_or(0));
        tokio::time::sleep(TICK).await;
    }
}

/// Where the data goes, and the temporary folder, if it is one.
fn folder(data: Option<&Path>) -> anyhow::Result<(PathBuf, Option<tempfile::TempDir>)> {
    let Some(data) = data else {
        let temporary = tempfile::Builder::new().prefix("roundsman-demo-").tempdir();
        let temporary = temporary.context("a temporary folder can't be made; choose one with --data")?;
        return Ok((temporary.path().to_owned(), Some(temporary)));
    };
    std::fs::create_dir_all(data).with_context(|| format!("{} can't be made", data.display()))?;
    let mut entries = std::fs::read_dir(data).with_context(|| format!("{} can't be read", data.display()))?;
    anyhow::ensure!(entries.next().is_none(), "{} is not empty; choose another folder with --data", data.display());
    Ok((data.to_owned(), None))
}

/// How to call the server that is left running.
fn invitation(server: &Server) -> String {
    let address = server.address();
    let (admin, rep, driver) = (login(ADMIN), login(REPS[0]), login(DRIVERS[0]));
    format!(
        "The server is left running on {address} until Ctrl-C. Everybody's password is \"{PASSWORD}\".\n\
         Logins: {admin}, outi (office), laila and martti (logistics), veera and yrjo (supervisors), {rep} and the other \
         representatives, {driver} and the others who drive.\n\n\
         \x20 grpcurl -plaintext {address} list\n\
         \x20 TOKEN=$(grpcurl -plaintext -d '{{\"tenant\":\"{TENANT}\",\"login\":\"{admin}\",\"password\":\"{PASSWORD}\"}}' \\\n\
         \x20   {address} roundsman.auth.v1.AuthService/Login | sed -n 's/.*\"accessToken\": \"\\(.*\\)\",/\\1/p')\n\
         \x20 grpcurl -plaintext -H \"authorization: Bearer $TOKEN\" -d '{{\"page_size\":5}}' \\\n\
         \x20   {address} roundsman.logistics.v1.LogisticsService/ListShipments\n\
         \x20 curl http://{address}/metrics"
    )
}

/// The one place where the demo speaks.
#[expect(clippy::print_stdout, reason = "the report is what the demo is for")]
fn say(text: &str) {
    println!("{text}");
}
