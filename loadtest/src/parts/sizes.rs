//! A large distributor: how long it takes to bring its records in, how much room they take, whether its busiest hour can be
//! played faster than it happens, and how long the server needs to start on it and to look through it.

use std::time::Duration;

use tokio::time::Instant;

use crate::bench::Bench;
use crate::database::{Database, Kind};
use crate::drive;
use crate::fleet::{Fleet, Habits, Latencies, What};
use crate::rep::Reps;
use crate::report::{Figure, Goal, Report};
use crate::rows::Connection;
use crate::server::{self, Server};
use crate::world::{PRICES_AT_ONCE, RepWorld, Size, World};

/// Half a million outlets and a million and a half prices. Six hundred reps do the work of all.
const SIZE: Size = Size { reps: 3_000, users: 600, outlets: 167, price_lists: 100 };
const ARTICLES: usize = 15_000;
/// Devices with a whole replica.
const WHOLE: usize = 20;
/// Reps who order while prices are imported: of those whose list is there already.
const ORDERING: usize = 2;

/// Of a day's 43,000 orders and 60,000 visits a seventh falls into the busiest hour, in which devices pull ten times a second.
const ORDERS: f64 = 43_000.0 / 7.0;
const VISITS: f64 = 60_000.0 / 7.0;
const PULLS: f64 = 36_000.0;
/// So often the hour's calls fit into an hour.
const SPEED: f64 = 20.0;
/// A little faster than that.
const HABITS: Habits = Habits {
    length: Duration::from_secs(180),
    peak: Duration::from_secs(2),
    online: Duration::from_secs(360),
    offline: Duration::from_secs(360),
    think: Duration::from_millis(2_000),
    orders_percent: 12,
    visits_percent: 17,
};
/// The same in every run.
const SEED: u64 = 14;

/// Measures it.
pub async fn measure(bench: &Bench, database: &Database, report: &mut Report) -> anyhow::Result<()> {
    let mut scene = Scene { bench, database, rows: Connection::open(&database.url).await?, report };
    let (server, world) = scene.bring_in().await?;
    scene.busiest_hour(&server, &world).await?;
    drop(server);
    scene.look_through().await
}

struct Scene<'a> {
    bench: &'a Bench,
    database: &'a Database,
    rows: Connection,
    report: &'a mut Report,
}

impl Scene<'_> {
    fn add(&mut self, name: &str, what: String, unit: &'static str, value: f64, goal: Option<Goal>) {
        let figure = Figure::new(self.database.kind.named(name), what, unit, vec![value]);
        self.report.add(match goal {
            Some(goal) => figure.goal(goal),
            None => figure,
        });
    }

    async fn bytes(&mut self) -> anyhow::Result<f64> {
        let sql = match self.database.kind {
            Kind::Sqlite => "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
            Kind::Postgres => "SELECT pg_database_size(current_database())",
        };
        Ok(self.rows.number(sql).await? as f64)
    }

    /// Imports everything, the last prices while reps order.
    async fn bring_in(&mut self) -> anyhow::Result<(Server, World)> {
        let (server, office) = super::claimed(self.bench, self.database).await?;
        let empty = self.bytes().await?;
        let begun = Instant::now();
        let mut world = World::make(&office, SIZE, true).await?;
        world.grow(&office, ARTICLES).await?;
        let ordering: Vec<RepWorld> = world.users().filter(|rep| rep.price_list == 0).take(ORDERING).cloned().collect();
        let mut reps = Reps::login(self.bench, server.address, &world, &ordering).await?;
        let (round, (prices, took)) = drive::during(&mut reps.callers, world.fill_lists(&office)).await?;
        let all = begun.elapsed();
        let what = format!("import of {prices} prices in {} lists, {PRICES_AT_ONCE} at a time", SIZE.price_lists - 1);
        self.add("S8g", what, "s", took.as_secs_f64(), Some(Goal::Most(240.0)));
        let what = format!("orders of {ORDERING} devices meanwhile ({} taken), 99 % answered within", round.calls);
        self.add("S8h", what, "ms", round.p99_ms, Some(Goal::Most(100.0)));
        let records = self.rows.number("SELECT COUNT(*) FROM record").await?;
        let what = format!(
            "{} reps, {} outlets, {ARTICLES} products, {} prices, {} users: to bring them in",
            SIZE.reps,
            SIZE.reps * SIZE.outlets,
            ARTICLES * SIZE.price_lists,
            SIZE.users
        );
        self.add("S14a", what, "s", all.as_secs_f64(), Some(Goal::Most(900.0)));
        let bytes = (self.bytes().await? - empty) / records as f64;
        self.add("S14b", format!("room in the database for each of {records} records"), "bytes", bytes, None);
        Ok((server, world))
    }

    /// Plays the busiest hour.
    async fn busiest_hour(&mut self, server: &Server, world: &World) -> anyhow::Result<()> {
        let mut fleet = Fleet::login(self.bench, &[server.address], world, (SIZE.users, WHOLE)).await?;
        let (version, before, cpu) = (self.rows.version().await?, self.bytes().await?, server.cpu_seconds()?);
        let begun = Instant::now();
        let latencies = fleet.run(self.bench, "devices in the busiest hour", HABITS, SEED).await?;
        let seconds = begun.elapsed().as_secs_f64();
        let cpu = server.cpu_seconds()? - cpu;
        fleet.verify(version)?;
        let calls = [What::Order, What::Visit, What::Pull, What::Whole].map(|what| latencies.count(what) as f64);
        let speed = calls.iter().sum::<f64>() / ((ORDERS + VISITS + PULLS) / 3_600.0) / seconds;
        let what = format!(
            "the busiest hour ({ORDERS:.0} orders, {VISITS:.0} visits, {PULLS:.0} pulls) by {} devices, times as fast",
            SIZE.users
        );
        self.add("S14c", what, "ratio", speed, Some(Goal::Least(SPEED)));
        self.latencies(&latencies)?;
        self.add("S14g", "the server's time for it".to_owned(), "CPU s", cpu, None);
        let grown = self.bytes().await? - before;
        // What grows is what is captured: orders and visits, of which a day has seven times as many as this hour.
        let captured = calls[0] + calls[1];
        let a_day = grown / captured * 7.0 * (ORDERS + VISITS) / 1_048_576.0;
        self.add("S14h", "the database grows by, a day, before it is cleaned up".to_owned(), "MiB", a_day, None);
        Ok(())
    }

    fn latencies(&mut self, latencies: &Latencies) -> anyhow::Result<()> {
        for (name, call, of) in
            [("S14d", What::Order, "orders"), ("S14e", What::Visit, "visits"), ("S14f", What::Pull, "pulls")]
        {
            let (count, half) = (latencies.count(call), latencies.within_ms(call, 0.5)?);
            let what = format!("{count} {of} at this speed, 99 % answered within (half within {half:.1} ms)");
            self.add(name, what, "ms", latencies.within_ms(call, 0.99)?, None);
        }
        Ok(())
    }

    /// Starts on it, and lets an operator look through it and make its tables anew.
    async fn look_through(&mut self) -> anyhow::Result<()> {
        let begun = Instant::now();
        drop(Server::start(&self.bench.program, &self.database.url).await?);
        let started = begun.elapsed().as_secs_f64();
        self.add("S15a", "start on this database".to_owned(), "s", started, Some(Goal::Most(1.0)));
        let within = Some(Goal::Most(300.0));
        for (name, what, verb) in [
            ("S15b", "`roundsman migrate --rebuild` of it", &["migrate", "--rebuild"][..]),
            ("S15c", "`roundsman verify` of it", &["verify"]),
        ] {
            let bar = self.bench.progress(what.to_owned(), 1);
            let begun = Instant::now();
            server::operate(&self.bench.program, &self.database.url, verb, &[])?;
            let took = begun.elapsed().as_secs_f64();
            bar.finish_and_clear();
            self.add(name, what.to_owned(), "s", took, within);
        }
        Ok(())
    }
}
