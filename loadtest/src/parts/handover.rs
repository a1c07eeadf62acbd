//! A territory with all that hangs on it goes from one rep to another and back, and then an outlet from one territory to another
//! and back: what that takes, what it rewrites, and what the two devices are sent.

use std::future::Future;
use std::time::Duration;

use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{HandTerritoryOver, Kind, MoveOutlet, Route, RouteStop};
use tokio::time::Instant;
use uuid::Uuid;

use crate::bench::{Bench, REPETITIONS};
use crate::database::Database;
use crate::drive::Caller as _;
use crate::goods::{self, bytes};
use crate::office::Office;
use crate::phone::{self, Phone};
use crate::rep::Reps;
use crate::report::{Figure, Goal, Report};
use crate::rows::Connection;
use crate::world::{Past, World};

const ARTICLES: usize = 1_000;
/// Outlets of each territory.
const OUTLETS: usize = 300;
/// What has happened at each outlet of the territory that changes hands.
const PAST: Past = Past { visits: 3, orders: 3 };
/// What has happened at the outlet that moves.
const BUSY: Past = Past { visits: 100, orders: 100 };
/// Orders of the territory that are not finished.
const OPEN_ORDERS: usize = 300;
const WORKING_DAYS: usize = 5;
/// The Monday from which weeks are counted, in days since 1970-01-01.
const A_MONDAY: i32 = 4;
/// The server looks once a minute what is to be planned.
const PLANNING: Duration = Duration::from_secs(90);
const PLANNED: &str = "WHERE tenant = 1 AND state = 1";
/// The rep whose territory it was before. The two between whom it goes have one of their own besides, so that prices and stock
/// are nothing new to either.
const FORMER: usize = 2;

/// Measures it.
pub async fn measure(bench: &Bench, database: &Database, report: &mut Report) -> anyhow::Result<()> {
    let (server, office) = super::claimed(bench, database).await?;
    let mut world = World::make(&office, (3, OUTLETS), true).await?;
    world.grow(&office, ARTICLES).await?;
    world.past(&office, FORMER..FORMER + 1, 1..OUTLETS, PAST).await?;
    world.past(&office, FORMER..FORMER + 1, 0..1, BUSY).await?;
    let mut reps = Reps::login(bench, server.address, &world, &world.reps[FORMER..]).await?;
    for rep in &mut reps.callers {
        for _ in 0..OPEN_ORDERS {
            rep.call().await?;
        }
    }
    hand_over(&office, FORMER, 0).await?;
    let mut rows = Connection::open(&database.url).await?;
    plan_visits(&office, &world, &mut rows).await?;
    let phones = phone::fleet(bench, server.address, &world.reps[..2]).await?;
    let mut scene = Scene { office: &office, phones, rows };
    let name = |figure: &str| database.kind.named(figure);
    let add = |report: &mut Report, figure: Figure, goal| report.add(figure.goal(goal));

    let changes = scene.repeat(|from, to| hand_over(&office, from, to)).await?;
    let rows = changes[0].rows;
    let what = format!("a territory of {OUTLETS} outlets, as many planned visits and {rows} rows to another rep");
    let took = changes.iter().map(|change| change.took_ms).collect();
    let figure = Figure::new(name("S10a"), format!("{what}, from the request to the answer"), "ms", took);
    add(report, figure, Goal::Most(20.0));
    let written = changes.iter().map(|change| change.written as f64).collect();
    let figure = Figure::new(
        name("S10b"),
        "the same: records written beside assignments and planned visits",
        "records",
        written,
    );
    add(report, figure, Goal::Most(0.0));
    let sent = changes.iter().map(|change| change.sent as f64 / change.rows as f64).collect();
    let figure = Figure::new(name("S10c"), "the same: rows sent to both devices, in parts of those", "ratio", sent);
    add(report, figure, Goal::Most(1.05));

    let outlet = world.reps[FORMER].outlets[0].0;
    let changes = scene.repeat(|_, to| move_outlet(&office, outlet, to)).await?;
    let what = format!("an outlet and {} rows to another territory", changes[0].rows);
    let took = changes.iter().map(|change| change.took_ms).collect();
    let figure = Figure::new(name("S10d"), format!("{what}, from the request to the answer"), "ms", took);
    add(report, figure, Goal::Most(50.0));
    let sent = changes.iter().map(|change| change.sent as f64 / (2 * change.rows) as f64).collect();
    let what = "the same: rows sent to both devices, in parts of those that leave one and reach the other";
    add(report, Figure::new(name("S10e"), what, "ratio", sent), Goal::Most(1.05));
    Ok(())
}

/// Has every outlet visited once a week, and waits for the server to plan that, which it does within a minute.
async fn plan_visits(office: &Office<'_>, world: &World, rows: &mut Connection) -> anyhow::Result<()> {
    let outlets = world.reps[FORMER].outlets.iter().enumerate();
    let stops = outlets.map(|(number, (outlet, _))| RouteStop {
        outlet_id: bytes(*outlet),
        weekdays: 1 << (number % WORKING_DAYS),
        ..RouteStop::default()
    });
    let route = Route {
        name: "Everybody".to_owned(),
        territory_id: bytes(goods::id(&format!("territory {FORMER}"))),
        cycle_start_day: A_MONDAY,
        stops: stops.collect(),
        ..Route::default()
    };
    office.import(vec![goods::entry(goods::id("route"), Record::Route(route))]).await?;
    let bar = office.bench.progress("planned visits".to_owned(), 1);
    let begun = Instant::now();
    while rows.number(&format!("SELECT COUNT(*) FROM visit {PLANNED}")).await? < OUTLETS as i64 {
        anyhow::ensure!(begun.elapsed() < PLANNING, "no visits were planned within {PLANNING:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    bar.finish_and_clear();
    Ok(())
}

async fn hand_over(office: &Office<'_>, from: usize, to: usize) -> anyhow::Result<()> {
    let rep = |number: usize| bytes(goods::id(&format!("rep {number}")));
    let command = HandTerritoryOver {
        assignment_id: bytes(office.bench.id()),
        territory_id: bytes(goods::id(&format!("territory {FORMER}"))),
        from_rep_id: rep(from),
        to_rep_id: rep(to),
        from_day: office.bench.today(),
    };
    office.execute(Command::HandTerritoryOver(command)).await?;
    Ok(())
}

/// From the territory that changed hands, which the first rep holds now, to the second one's own, or back.
async fn move_outlet(office: &Office<'_>, outlet: Uuid, to: usize) -> anyhow::Result<()> {
    let territory = if to == 0 { FORMER } else { to };
    let territory_id = bytes(goods::id(&format!("territory {territory}")));
    office.execute(Command::MoveOutlet(MoveOutlet { outlet_id: bytes(outlet), territory_id })).await?;
    Ok(())
}

/// The devices between which something goes.
struct Scene<'a> {
    office: &'a Office<'a>,
    phones: Vec<Phone>,
    rows: Connection,
}

/// What one change gave.
struct Change {
    took_ms: f64,
    /// Records of the trade that were written, but for assignments and the planned visits, which name their rep.
    written: i64,
    /// Rows sent to both devices.
    sent: u64,
    /// Rows that one device had before, and the other has now.
    rows: i64,
}

impl Scene<'_> {
    /// Makes a change from the first device to the second, then from the second to the first, and so on: an even number of
    /// times, so that in the end it is as it was.
    async fn repeat<F>(&mut self, change: impl Fn(usize, usize) -> F) -> anyhow::Result<Vec<Change>>
    where
        F: Future<Output = anyhow::Result<()>>,
    {
        let mut changes = Vec::new();
        for turn in 0..=REPETITIONS {
            let (from, to) = (turn % 2, 1 - turn % 2);
            let (version, held) = (self.rows.version().await?, self.held());
            let begun = Instant::now();
            change(from, to).await?;
            let took_ms = begun.elapsed().as_secs_f64() * 1e3;
            let written = self.written_since(version).await?;
            let mut sent = 0;
            for phone in &mut self.phones {
                sent += phone.sync(self.office.bench.now_us()).await?.rows;
            }
            let now = self.held();
            let rows = now[to] - held[to];
            anyhow::ensure!(rows > 0 && rows == held[from] - now[from], "{held:?} rows became {now:?}");
            // The first one warms up.
            if turn > 0 {
                changes.push(Change { took_ms, written, sent, rows });
            }
        }
        Ok(changes)
    }

    /// Rows that the devices hold.
    fn held(&self) -> Vec<i64> {
        self.phones.iter().map(|phone| phone.replica.buckets().map(|bucket| bucket.rows).sum()).collect()
    }

    async fn written_since(&mut self, version: i64) -> anyhow::Result<i64> {
        let sql = format!(
            "SELECT COUNT(*) FROM record WHERE tenant = 1 AND version > {version} AND kind < 1000 AND kind <> {} \
             AND id NOT IN (SELECT id FROM visit {PLANNED})",
            Kind::Assignment as i32
        );
        self.rows.number(&sql).await
    }
}
