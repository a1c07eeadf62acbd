//! A night in which all prices of a list change: what that writes, what those notice who work meanwhile, and what it costs
//! when everybody who holds the list fetches it in the morning.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Context as _;
use futures::future::try_join_all;
use roundsman_proto::sync::PullRequest;
use tokio::time::Instant;

use crate::bench::{Bench, FLEET, REPETITIONS};
use crate::database::{Database, Kind};
use crate::drive;
use crate::office::Office;
use crate::phone::{Phone, Traffic};
use crate::rep::Reps;
use crate::report::{Figure, Goal, Report};
use crate::rows::Connection;
use crate::server::{PAGES_REUSED, PAGES_SENT, Server};
use crate::world::{PRICES_AT_ONCE, RepWorld, World};

/// Products, and so prices.
const PRICES: usize = 15_000;
const OUTLETS: usize = 4;
/// Reps who order while prices change.
const ORDERING: usize = 10;
/// Reps who fetch the prices, the devices of all of them together, and how often each of these fetches: a login costs as much
/// as twenty pulls, so that each stands for several devices.
const FETCHING: usize = 10;
const DEVICES: usize = 600;
const FETCHES: usize = 5;

/// Measures it.
pub async fn measure(bench: &Bench, database: &Database, report: &mut Report) -> anyhow::Result<()> {
    let (server, office) = super::claimed(bench, database).await?;
    let mut world = World::make(&office, (ORDERING + FETCHING, OUTLETS), true).await?;
    world.grow(&office, PRICES).await?;
    let (ordering, fetching) = world.reps.split_at(ORDERING);
    let mut devices = Devices::login(bench, &server, fetching).await?;
    let mut night = Night { office: &office, world: &world, rows: Connection::open(&database.url).await?, changes: 0 };
    let bar = bench.progress("prices".to_owned(), REPETITIONS + 1);
    let (mut seconds, mut beyond) = (Vec::new(), Vec::new());
    for repetition in 0..=REPETITIONS {
        let before = night.rows.version().await?;
        let took = night.change().await?;
        bar.inc(1);
        // The first one warms up.
        if repetition > 0 {
            seconds.push(took);
            let written = night.rows_since(before).await?;
            anyhow::ensure!(written >= PRICES as i64, "of {PRICES} prices {written} reached their bucket");
            beyond.push((written - PRICES as i64) as f64);
        }
    }
    bar.finish_and_clear();
    let name = |figure: &str| database.kind.named(figure);
    let what = format!("{PRICES} prices change: rows written into buckets beyond one for each");
    report.add(Figure::new(name("S8a"), what, "rows", beyond).goal(Goal::Most(0.0)));
    let what = format!("{PRICES} prices change, {PRICES_AT_ONCE} at a time: how long that takes");
    report.add(Figure::new(name("S8f"), what, "s", seconds).goal(Goal::Most(2.0)));

    if database.kind == Kind::Postgres {
        let what = "a price changes alone: what PostgreSQL writes into its log";
        report.add(Figure::new(name("S12e"), what, "bytes", night.logged().await?).goal(Goal::Most(2_560.0)));
    }

    let Fetched { pulls, pages, packed, cpu_ms } = devices.fetch(bench, &server).await?;
    let what = format!("{pulls} pulls of these prices: pages packed, in parts of the {pages} of one pull");
    report.add(Figure::new(name("S8d"), what, "ratio", vec![packed / pages as f64]).goal(Goal::Most(1.0)));
    let what = format!("{pulls} pulls of these prices: the server's time");
    report.add(Figure::new(name("S8e"), what, "CPU ms/pull", cpu_ms).goal(Goal::Most(1.5)));

    let mut reps = Reps::login(bench, server.address, &world, ordering).await?;
    let (mut p99, mut taken) = (Vec::new(), 0);
    for _ in 0..REPETITIONS {
        let (round, _) = drive::during(&mut reps.callers, night.change()).await?;
        p99.push(round.p99_ms);
        taken += round.calls;
    }
    let what = format!("orders of {ORDERING} devices meanwhile ({taken} taken), 99 % answered within");
    report.add(Figure::new(name("S8b"), what, "ms", p99).goal(Goal::Most(100.0)));
    Ok(())
}

/// The office changes prices.
struct Night<'a> {
    office: &'a Office<'a>,
    world: &'a World,
    rows: Connection,
    changes: i64,
}

impl Night<'_> {
    /// Gives all prices a value that they never had; says how many seconds that took.
    async fn change(&mut self) -> anyhow::Result<f64> {
        self.changes += 1;
        let articles: Vec<usize> = (0..PRICES).collect();
        let begun = Instant::now();
        self.world.reprice(self.office, &articles, self.changes).await?;
        Ok(begun.elapsed().as_secs_f64())
    }

    /// What each of some changes of one price adds to PostgreSQL's log, in bytes.
    async fn logged(&mut self) -> anyhow::Result<Vec<f64>> {
        const LOGGED: &str = "SELECT CAST(pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0') AS BIGINT)";
        let (mut bytes, mut before) = (Vec::new(), 0);
        for _ in 0..=10 * REPETITIONS {
            self.changes += 1;
            self.world.reprice(self.office, &[0], self.changes).await?;
            let after = self.rows.number(LOGGED).await?;
            // The first one writes whole pages that were not touched since the last checkpoint.
            if before > 0 {
                bytes.push((after - before) as f64);
            }
            before = after;
        }
        Ok(bytes)
    }

    async fn rows_since(&mut self, version: i64) -> anyhow::Result<i64> {
        self.rows.number(&format!("SELECT COUNT(*) FROM bucket_row WHERE tenant = 1 AND version > {version}")).await
    }
}

/// Those who hold the old prices. A device's place is all that it needs to be told what it lacks, so that of each rep's only
/// one has a replica.
struct Devices {
    whole: Phone,
    light: Vec<(Phone, Arc<PullRequest>)>,
}

/// Pages that were packed, whether or not they were kept for others.
async fn packed(server: &Server) -> anyhow::Result<f64> {
    Ok(server.metric(PAGES_SENT).await? - server.metric(PAGES_REUSED).await?)
}

/// What everybody's pulls gave.
struct Fetched {
    pulls: usize,
    pages: u64,
    packed: f64,
    /// By the pull, each time that all devices have fetched.
    cpu_ms: Vec<f64>,
}

impl Devices {
    async fn login(bench: &Bench, server: &Server, reps: &[RepWorld]) -> anyhow::Result<Self> {
        let bar = bench.progress("devices".to_owned(), DEVICES);
        let (mut whole, mut light) = (None, Vec::with_capacity(DEVICES));
        for rep in reps {
            let mut phone = Phone::login(bench, server.address, rep).await?;
            phone.sync(bench.now_us()).await?;
            let request = Arc::new(phone.request(bench.now_us()));
            for _ in 0..DEVICES / reps.len() {
                light.push((Phone::login(bench, server.address, rep).await?, Arc::clone(&request)));
                bar.inc(1);
            }
            whole = Some(phone);
        }
        bar.finish_and_clear();
        Ok(Self { whole: whole.context("there are reps")?, light })
    }

    /// All of them fetch what has changed, [`FLEET`] at a time.
    async fn fetch(&mut self, bench: &Bench, server: &Server) -> anyhow::Result<Fetched> {
        let bar = bench.progress("pulls".to_owned(), self.light.len() * FETCHES);
        let before = packed(server).await?;
        let (mut cpu_ms, mut rows_of_all) = (Vec::new(), BTreeSet::new());
        for _ in 0..FETCHES {
            let cpu = server.cpu_seconds()?;
            let one_after_another = async |some: &[(Phone, Arc<PullRequest>)]| {
                let mut rows = BTreeSet::new();
                for (phone, request) in some {
                    rows.insert(phone.drain(PullRequest::clone(request)).await?.rows);
                    bar.inc(1);
                }
                anyhow::Ok(rows)
            };
            let fleet = self.light.chunks(self.light.len().div_ceil(FLEET)).map(one_after_another);
            rows_of_all.extend(try_join_all(fleet).await?.into_iter().flatten());
            cpu_ms.push((server.cpu_seconds()? - cpu) * 1e3 / self.light.len() as f64);
        }
        let packed = packed(server).await? - before;
        bar.finish_and_clear();
        // One stores what it gets, and so looks whether it is right.
        let Traffic { rows, pages, .. } = self.whole.sync(bench.now_us()).await?;
        anyhow::ensure!(rows >= PRICES as u64, "of {PRICES} new prices {rows} came");
        anyhow::ensure!(rows_of_all == BTreeSet::from([rows]), "of {rows} rows others got {rows_of_all:?}");
        anyhow::ensure!(packed > 0.0, "no page was packed");
        Ok(Fetched { pulls: FETCHES * self.light.len(), pages, packed, cpu_ms })
    }
}
