//! The morning: all devices of a distributor get new tokens and what has changed, within a minute, and each can be worked with
//! as soon as today's work is there.

use std::time::Duration;

use crate::bench::Bench;
use crate::database::Database;
use crate::fleet::{Fleet, Habits, Latencies, What};
use crate::office::Office;
use crate::report::{Figure, Goal, Report};
use crate::rows::Connection;
use crate::server::Server;
use crate::world::{Past, World};

/// Reps, and the devices of all of them together: each user costs as much as two logins.
const REPS: usize = 1_000;
const DEVICES: usize = 3_000;
/// Devices with a whole replica.
const WHOLE: usize = 50;
const OUTLETS: usize = 20;
const ARTICLES: usize = 15_000;
/// All come within this, and stay.
const PEAK: Duration = Duration::from_secs(60);
const HABITS: Habits = Habits {
    length: PEAK,
    peak: PEAK,
    online: PEAK.saturating_mul(2),
    offline: PEAK,
    think: PEAK.saturating_mul(2),
    orders_percent: 0,
    visits_percent: 0,
};
/// The same in every run.
const SEED: u64 = 9;

/// What has happened since the devices were online last.
struct Absence {
    what: &'static str,
    /// One article of so many has a new price and was counted …
    one_of: usize,
    /// … so many times.
    times: i64,
    /// Outlets of each rep where something has happened, and what.
    outlets: usize,
    past: Past,
}

const NIGHT: Absence =
    Absence { what: "a night", one_of: 10, times: 1, outlets: 2, past: Past { visits: 1, orders: 1 } };
const FORTNIGHT: Absence =
    Absence { what: "14 days away", one_of: 1, times: 2, outlets: OUTLETS, past: Past { visits: 6, orders: 4 } };

impl Absence {
    /// Rows that each device gets afterwards, at least: debts, and what is new of visits and orders.
    fn rows(&self) -> u64 {
        (2 * ARTICLES / self.one_of + self.outlets * (self.past.visits + self.past.orders)) as u64
    }
}

/// Measures it.
pub async fn measure(bench: &Bench, database: &Database, report: &mut Report) -> anyhow::Result<()> {
    let (server, office) = super::claimed(bench, database).await?;
    let mut world = World::make(&office, (REPS, OUTLETS), true).await?;
    world.grow(&office, ARTICLES).await?;
    let fleet = Fleet::login(bench, &[server.address], &world, (DEVICES, WHOLE)).await?;
    let rows = Connection::open(&database.url).await?;
    let mut scene = Scene { office: &office, server: &server, world: &world, fleet, rows, moved: 0 };
    for (absence, names, most) in
        [(NIGHT, ["S9a", "S9c", "S9e", "S9g"], 300.0), (FORTNIGHT, ["S9b", "S9d", "S9f", "S9h"], 2_000.0)]
    {
        let (latencies, cpu) = scene.morning_after(&absence).await?;
        let [ready, ready_half, whole, time] = names.map(|figure| database.kind.named(figure));
        let within = |what, part| anyhow::Ok(vec![latencies.within_ms(what, part)?]);
        let devices = latencies.count(What::Ready);
        let what = format!("{devices} devices in {} s after {}", PEAK.as_secs(), absence.what);
        let refresh = latencies.within_ms(What::Refresh, 0.99)?;
        let ready_what = format!("{what}: ready to work, p99 (of it new tokens: {refresh:.1} ms)");
        report.add(Figure::new(ready, ready_what, "ms", within(What::Ready, 0.99)?).goal(Goal::Most(most)));
        report.add(Figure::new(ready_half, format!("{what}: ready to work, p50"), "ms", within(What::Ready, 0.5)?));
        report.add(Figure::new(whole, format!("{what}: everything, p99"), "ms", within(What::Whole, 0.99)?));
        report.add(Figure::new(time, format!("{what}: the server's time"), "CPU s", vec![cpu]));
    }
    Ok(())
}

struct Scene<'a> {
    office: &'a Office<'a>,
    server: &'a Server,
    world: &'a World,
    fleet: Fleet,
    rows: Connection,
    /// How often prices have changed.
    moved: i64,
}

impl Scene<'_> {
    /// The latencies of a morning, and the processor time that the server took for it, in seconds.
    async fn morning_after(&mut self, absence: &Absence) -> anyhow::Result<(Latencies, f64)> {
        let bench = self.office.bench;
        let articles: Vec<usize> = (0..ARTICLES).step_by(absence.one_of).collect();
        for _ in 0..absence.times {
            self.moved += 1;
            self.world.reprice(self.office, &articles, self.moved).await?;
            // A thousand pieces each time, which shows however coarse the figures are that devices get.
            self.world.restock(self.office, &articles, self.moved * 1_000_000).await?;
        }
        self.world.past(self.office, 0..REPS, 0..absence.outlets, absence.past).await?;
        let (version, before) = (self.rows.version().await?, self.server.cpu_seconds()?);
        let latencies = self.fleet.run(bench, &format!("devices after {}", absence.what), HABITS, SEED).await?;
        let cpu = self.server.cpu_seconds()? - before;
        self.fleet.verify(version)?;
        let (least, rows) = (absence.rows(), self.fleet.rows());
        anyhow::ensure!(rows.first().is_some_and(|rows| *rows >= least), "of {least} rows and more {rows:?} came");
        Ok((latencies, cpu))
    }
}
