//! The real thing, killed: devices on their files push and pull over TCP while the server's process is ended by SIGKILL
//! again and again, and devices are opened anew in between; on PostgreSQL also with two servers, and devices that go to one
//! and the other, and with a PostgreSQL that crashes under a server that stays. In the end everything that was acknowledged
//! is there once.

use roundsman_tests::app::TestApp;
use roundsman_tests::database::{Database, Kind};

use crate::processes::{Cluster, Day};

on_both_databases!(what_was_acknowledged_outlives_every_kill);

mod postgres_only {
    use super::*;

    #[tokio::test]
    async fn two_servers_on_one_database_are_as_one() {
        hold(Kind::Postgres, 2).await;
    }

    #[tokio::test]
    async fn what_was_acknowledged_outlives_every_crash_of_postgresql() {
        let mut cluster = Cluster::start();
        let database = Database::create_on(&cluster.url).await;
        let mut day = Day::begin(TestApp::start_on(database).await, 1).await;
        for _ in 0..times(CRASHES) {
            day.work(1).await;
            cluster = cluster.crash().await;
        }
        day.servers[0].assert_alive();
        day.end().await;
        cluster.end();
    }
}

/// How often the server is killed, unless ROUNDSMAN_TEST_KILLS says otherwise.
const KILLS: u64 = 10;
/// How often PostgreSQL crashes, unless ROUNDSMAN_TEST_KILLS says otherwise.
const CRASHES: u64 = 3;

fn times(usually: u64) -> u64 {
    #[expect(clippy::disallowed_methods, reason = "a longer run of the same test")]
    let kills = std::env::var("ROUNDSMAN_TEST_KILLS");
    kills.map_or(usually, |kills| kills.parse().expect("a number"))
}

async fn what_was_acknowledged_outlives_every_kill(kind: Kind) {
    hold(kind, 1).await;
}

async fn hold(kind: Kind, servers: usize) {
    let mut day = Day::begin(TestApp::start(kind).await, servers).await;
    for _ in 0..times(KILLS) {
        day.work(1).await;
        let killed = day.servers.remove(0);
        day.servers.push(killed.again().await);
    }
    day.end().await;
}
