//! The server's database is replaced by a backup of it, and devices that are ahead of it bring back what they kept.

use roundsman::cli::backup;
use roundsman::store::sql::Db;
use roundsman::verify;
use roundsman_proto::sync::Status;
use roundsman_tests::app::{START_US, TestApp};
use roundsman_tests::database::{Database, Kind};
use roundsman_tests::world::World;
use tempfile::TempDir;

use crate::processes::{Day, Rep, Server, assert_same, kept, outlets_of};

on_both_databases!(
    what_phones_kept_is_there_again_after_a_restore,
    what_no_phone_has_any_more_is_skipped_after_a_restore,
);

mod sqlite_only {
    use super::*;

    #[tokio::test]
    async fn what_a_backup_lacks_phones_keep_for_as_long_as_it_takes() {
        let app = TestApp::start(Kind::Sqlite).await;
        let world = World::make(&app).await;
        let database = app.hand_over().await;
        let mut server = Server::start(&database.url).await;
        let folder = TempDir::new().expect("a folder");
        let rep = Rep::log_in(folder.path(), 0, &world.anna, vec![server.channel()]).await;
        let mut phone = rep.open();
        for commands in [CAPTURED[0] - 1, 1] {
            (0..commands).for_each(|_| rep.capture(&mut phone));
            phone.sync(START_US).await.expect("synchronizes");
        }
        let db = Db::connect(&database.url).await.expect("connects");
        let held = backup::make(&db, &database.backup()).await.expect("is copied while the server runs");
        assert!(held.iter().all(|(_, position)| position.version > 0), "{held:?}");
        let again = backup::make(&db, &database.backup()).await.expect_err("is there").to_string();
        assert!(again.contains("name another"), "{again}");
        db.close().await;
        (0..CAPTURED[1]).for_each(|_| rep.capture(&mut phone));
        phone.sync(START_US).await.expect("synchronizes");
        // Weeks later it has forgotten what is in the backup, but for what was decided with its last version, and nothing
        // else.
        for days in [30, 31] {
            rep.capture(&mut phone);
            phone.sync(START_US + days * 24 * 3_600 * 1_000_000).await.expect("synchronizes");
        }
        let captured = CAPTURED[0] + CAPTURED[1] + 2;
        let kept = phone.outbox.outcomes().count();
        assert!((CAPTURED[1] + 2..captured).contains(&kept), "{kept} of {captured}");
        server.kill();
        database.restore().await;
        let _server = server.again().await;
        while phone.sync(START_US).await.is_err() {}
        phone.sync(START_US).await.expect("synchronizes");
        let db = Db::connect(&database.url).await.expect("connects");
        let outlets = world.anna.outlets.len() + world.boris.outlets.len() + captured;
        assert_eq!(outlets_of(&db, world.tenant).await, outlets, "all of it is there, once");
        assert_eq!(verify::verify(&db, world.tenant).await.expect("is verified"), Vec::<String>::new());
        db.close().await;
        drop(_server);
        database.remove().await;
    }
}

#[tokio::test]
async fn a_backup_leaves_one_file_of_any_name_or_none() {
    let database = Database::create(Kind::Sqlite).await;
    let db = Db::connect(&database.url).await.expect("connects");
    db.migrate().await.expect("migrates");
    let folder = TempDir::with_prefix("disk?2 100%25").expect("a folder");
    let files = || {
        let entries = std::fs::read_dir(folder.path()).expect("is a folder");
        entries.map(|entry| entry.expect("a file").file_name().into_string().expect("UTF-8")).collect::<Vec<_>>()
    };
    let name = "Monday?mode=ro 100%20.db";
    assert_eq!(backup::make(&db, &folder.path().join(name)).await.expect("is made"), []);
    assert_eq!(files(), [name]);
    let refused = backup::make(&db, &folder.path().join("none/copy.db")).await.expect_err("is refused");
    assert!(format!("{refused:#}").contains("can't write to"), "{refused:#}");
    let mut tx = db.read().await.expect("begins");
    let root = "SELECT rootpage, page_size FROM sqlite_master, pragma_page_size WHERE name = 'reclamation'";
    let rows: Vec<(i64, i64)> = tx.query_as(root).all().await.expect("answers");
    tx.commit().await.expect("ends");
    db.close().await;

    // A page is overwritten that nobody reads on connecting.
    let path = database.url.strip_prefix("sqlite:").expect("is SQLite");
    let mut bytes = std::fs::read(path).expect("is read");
    let [page, size] = [rows[0].0, rows[0].1].map(|number| usize::try_from(number).expect("a page"));
    bytes[(page - 1) * size..page * size].fill(0xff);
    std::fs::write(path, bytes).expect("is written");
    let db = Db::connect(&database.url).await.expect("connects");
    let refused = backup::make(&db, &folder.path().join("damaged.db")).await.expect_err("is refused");
    assert!(format!("{refused:#}").contains("malformed"), "{refused:#}");
    assert_eq!(files(), [name]);
    db.close().await;
    database.remove().await;
}

#[tokio::test]
async fn postgresql_is_backed_up_by_its_own_tools() {
    let database = Database::create(Kind::Postgres).await;
    let db = Db::connect(&database.url).await.expect("connects");
    let folder = TempDir::new().expect("a folder");
    let refused = backup::make(&db, &folder.path().join("copy.db")).await.expect_err("is refused");
    assert!(format!("{refused:#}").contains("pg_basebackup"), "{refused:#}");
    db.close().await;
    database.remove().await;
}

async fn what_phones_kept_is_there_again_after_a_restore(kind: Kind) {
    let mut day = Day::begin(TestApp::start(kind).await, 1).await;
    day.work(30).await;
    // On PostgreSQL nobody may be connected to what is copied; of a file the server goes on.
    if kind == Kind::Postgres {
        day.servers[0].kill();
    }
    day.database.back_up().await;
    let server = day.servers.remove(0);
    let mut server = if kind == Kind::Postgres { server.again().await } else { server };
    day.work(30).await;
    server.kill();
    day.restore().await;
    day.servers.push(server.again().await);
    day.work(30).await;
    day.end().await;
}

/// Commands of each device: before the backup, between backup and restore, and after it.
const CAPTURED: [usize; 3] = [5, 4, 3];

async fn what_no_phone_has_any_more_is_skipped_after_a_restore(kind: Kind) {
    const EIGHT_DAYS_US: i64 = 8 * 24 * 3_600 * 1_000_000;
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let database = app.hand_over().await;
    let mut server = Server::start(&database.url).await;
    let folder = TempDir::new().expect("a folder");
    let (mut reps, mut phones) = (Vec::new(), Vec::new());
    for (number, who) in [&world.anna, &world.boris].into_iter().enumerate() {
        reps.push(Rep::log_in(folder.path(), number, who, vec![server.channel()]).await);
        phones.push(reps[number].open());
    }
    for (number, phone) in phones.iter_mut().enumerate() {
        (0..CAPTURED[0]).for_each(|_| reps[number].capture(phone));
        phone.sync(START_US).await.expect("synchronizes");
    }
    server.kill();
    database.back_up().await;
    let mut server = server.again().await;
    let mut forgotten = Vec::new();
    for (number, phone) in phones.iter_mut().enumerate() {
        (0..CAPTURED[1]).for_each(|_| reps[number].capture(phone));
        phone.sync(START_US).await.expect("synchronizes");
        // Anna's forgets by her clock what was answered long ago.
        if number == 0 {
            forgotten = phone.outbox.outcomes().map(|(id, _)| id).collect();
            reps[0].capture(phone);
            phone.sync(START_US + EIGHT_DAYS_US).await.expect("synchronizes");
            assert_eq!(phone.outbox.outcomes().count(), 1, "nothing says that it must be kept for longer");
        }
    }
    server.kill();
    database.restore().await;
    let _server = server.again().await;
    let mut outlets = world.anna.outlets.len() + world.boris.outlets.len();
    for (number, phone) in phones.iter_mut().enumerate() {
        (0..CAPTURED[2]).for_each(|_| reps[number].capture(phone));
        // The connection's end is noticed by the first call.
        while phone.sync(START_US).await.is_err() {}
        assert_eq!(phone.outbox.waiting(), 0);
        outlets += CAPTURED[0] + phone.outbox.outcomes().count() - if number == 0 { 0 } else { CAPTURED[0] };
    }
    let db = Db::connect(&database.url).await.expect("connects");
    for (number, (phone, who)) in phones.iter_mut().zip([&world.anna, &world.boris]).enumerate() {
        phone.sync(START_US).await.expect("synchronizes");
        let held: Vec<_> = phone.outbox.outcomes().map(|(id, outcome)| (id, outcome.clone())).collect();
        // Anna's kept the last one; Boris' everything.
        assert_eq!(held.len(), if number == 0 { 1 + CAPTURED[2] } else { CAPTURED.iter().sum() });
        assert!(held.iter().all(|(_, outcome)| outcome.status() == Status::Applied), "{held:?}");
        let ids = held.iter().map(|(id, _)| *id).collect();
        assert_eq!(kept(&db, world.tenant, ids).await, held.into_iter().collect());
        assert_same(&db, &world.caller(who), phone).await;
    }
    let known = kept(&db, world.tenant, forgotten).await.len();
    assert_eq!(known, CAPTURED[0], "what came after the backup and is on no phone is lost");
    assert_eq!(outlets_of(&db, world.tenant).await, outlets, "each outlet once");
    assert_eq!(verify::verify(&db, world.tenant).await.expect("is verified"), Vec::<String>::new());
    db.close().await;
    drop(_server);
    database.remove().await;
}
