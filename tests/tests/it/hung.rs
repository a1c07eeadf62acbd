//! Two servers on one PostgreSQL, of which one hangs or dies while it holds the tenant's lock.

use std::time::Duration;

use roundsman::auth::caller::Caller;
use roundsman::device::Synced;
use roundsman_tests::app::{START_US, TestApp};
use roundsman_tests::database::Kind;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::time::{Instant, sleep, timeout};

use crate::processes::{Day, PAUSE, Phone, Rep};

mod postgres_only {
    use super::*;

    #[tokio::test]
    async fn a_writer_that_hangs_is_replaced_and_writes_no_more() {
        let mut day = Day::begin(TestApp::start(Kind::Postgres).await, 2).await;
        let (mut there, mut here) = (Waiting::at(&day, 101, 0).await, Waiting::at(&day, 102, 1).await);
        day.work(50).await;
        let hung = hang(&day).await;
        here.hand_in().await;
        let replaced = hung.elapsed();
        assert!(replaced >= Duration::from_secs(3), "a writer that is only slow is waited for: {replaced:?}");
        assert!(replaced <= Duration::from_secs(10), "another one writes {replaced:?} after the writer hung");
        // So it can't write when it wakes up.
        assert_eq!(state_of_writer(&day).await, None, "its transaction has ended");
        day.servers[0].signal("CONT");
        timeout(Duration::from_secs(10), there.hand_in()).await.expect("it goes on when it wakes up");
        day.servers[0].assert_alive();
        day.join(here.caller, here.phone);
        day.join(there.caller, there.phone);
        day.end().await;
    }

    #[tokio::test]
    async fn a_writer_that_dies_is_replaced_at_once() {
        let mut day = Day::begin(TestApp::start(Kind::Postgres).await, 2).await;
        let mut here = Waiting::at(&day, 101, 1).await;
        day.work(50).await;
        hang(&day).await;
        let died = Instant::now();
        day.servers[0].kill();
        here.hand_in().await;
        let replaced = died.elapsed();
        assert!(replaced <= Duration::from_secs(2), "another one writes {replaced:?} after the writer died");
        let dead = day.servers.remove(0);
        day.servers.insert(0, dead.again().await);
        day.join(here.caller, here.phone);
        day.end().await;
    }
}

/// A device of Anna's with something to hand in.
struct Waiting {
    phone: Phone,
    caller: Caller,
}

impl Waiting {
    /// At this server only.
    async fn at(day: &Day, number: usize, server: usize) -> Self {
        let who = &day.world.anna;
        let rep = Rep::log_in(day.folder.path(), number, who, vec![day.servers[server].channel()]).await;
        let mut phone = rep.open();
        phone.sync(START_US).await.expect("synchronizes");
        rep.capture(&mut phone);
        Self { phone, caller: day.world.caller(who) }
    }

    async fn hand_in(&mut self) {
        while self.phone.push(START_US, &mut Synced::default()).await.is_err() {
            sleep(PAUSE).await;
        }
    }
}

/// Stops the first server while it holds the tenant's lock; says since when.
async fn hang(day: &Day) -> Instant {
    loop {
        day.moment().await;
        day.servers[0].signal("STOP");
        let stopped = Instant::now();
        // By then it has been answered what it had asked for.
        sleep(Duration::from_millis(50)).await;
        if state_of_writer(day).await.as_deref() == Some("idle in transaction") {
            return stopped;
        }
        day.servers[0].signal("CONT");
    }
}

/// What the session of the first server does that holds a tenant's lock.
async fn state_of_writer(day: &Day) -> Option<String> {
    let options: PgConnectOptions = day.database.url.parse().expect("a URL");
    let mut connection: PgConnection = options.connect().await.expect("PostgreSQL answers");
    let state: Option<(String,)> = sqlx::query_as(
        "SELECT a.state FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid \
         WHERE l.locktype = 'advisory' AND l.granted AND a.application_name = 'server0'",
    )
    .fetch_optional(&mut connection)
    .await
    .expect("is read");
    connection.close().await.expect("closes");
    state.map(|(state,)| state)
}
