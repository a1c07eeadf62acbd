//! Further tenants are made in the database while servers run: each whole, and none twice.

use std::path::Path;

use roundsman::auth::Secret;
use roundsman::auth::users::NewTenant;
use roundsman::cli::client::Session;
use roundsman::cli::tenant::{Create, Verb, make, run};
use roundsman::cli::user;
use roundsman::config::{Config, Settings};
use roundsman::store::account::User;
use roundsman::store::sql::Db;
use roundsman::store::tenant;
use roundsman_tests::app::{PASSWORD, TENANT, TestApp};
use roundsman_tests::database::{Database, Kind};
use tokio::task::JoinSet;

on_both_databases!(
    a_tenant_is_made_while_a_server_runs,
    what_is_refused_leaves_nothing,
    tenants_that_are_made_at_once_get_numbers_of_their_own,
);

/// Processes that make tenants at the same time.
const AT_ONCE: usize = 8;

/// The verb as it is typed, with a password from a file.
async fn create(database: &str, name: &str, password_file: &Path) -> anyhow::Result<()> {
    let settings = Settings { database: Some(database.to_owned()), ..Settings::default() };
    let config = Config::resolve(settings, None).expect("the settings are good");
    let password_file = Some(password_file.to_owned());
    let args = Create { name: name.to_owned(), login: "Olga".to_owned(), password_file };
    run(Verb::Create(args), &config).await
}

async fn tenants(db: &Db) -> Vec<(i64, String)> {
    let mut tx = db.read().await.expect("reads");
    tenant::all(&mut tx).await.expect("answers")
}

async fn users(db: &Db) -> i64 {
    let mut tx = db.read().await.expect("reads");
    let count = tx.query_as("SELECT CAST(COUNT(*) AS BIGINT) FROM user_account");
    let (users,): (i64,) = count.one().await.expect("is counted");
    users
}

async fn a_tenant_is_made_while_a_server_runs(kind: Kind) {
    let app = TestApp::start(kind).await;
    let folder = tempfile::tempdir().expect("a folder");
    let password = folder.path().join("password");
    std::fs::write(&password, format!("{PASSWORD}\n")).expect("writes");
    create(app.database_url(), "Southern Wholesale", &password).await.expect("is made");
    let first = app.tenant().await;
    let expected = [(first, TENANT.to_owned()), (first + 1, "Southern Wholesale".to_owned())];
    assert_eq!(tenants(&app.core.db).await, expected);

    // The server that runs serves it at once, and it sees nothing of the other.
    let login = ("Southern Wholesale", "olga");
    let mut session = Session::open(app.channel.clone(), login, &Secret::new(PASSWORD)).await.expect("logs in");
    let users = user::list(&mut session).await.expect("may do what administrators may");
    assert_eq!(users.iter().map(|user| user.login.as_str()).collect::<Vec<_>>(), ["olga"]);
    session.close().await;
    Session::open(app.channel.clone(), (TENANT, "olga"), &Secret::new(PASSWORD)).await.expect_err("is not of this one");
    app.finish().await;
}

async fn what_is_refused_leaves_nothing(kind: Kind) {
    let app = TestApp::start(kind).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).expect("writes");
        file
    };
    let (good, short) = (file("good", PASSWORD), file("short", "too short"));
    let before = (tenants(&app.core.db).await, users(&app.core.db).await);
    for (name, password, said) in [
        (TENANT, &good, "there is a tenant `Nordic Wholesale` already"),
        ("", &good, "tenant: is missing"),
        ("Southern Wholesale", &short, "password: has fewer than 12 characters"),
    ] {
        let error = create(app.database_url(), name, password).await.expect_err("is refused");
        assert_eq!(error.to_string(), said);
        assert_eq!((tenants(&app.core.db).await, users(&app.core.db).await), before);
    }
    app.finish().await;
}

/// Tenants of these names, all at the same time.
async fn made_at_once(db: &Db, names: Vec<String>) -> Vec<anyhow::Result<User>> {
    let mut making = JoinSet::new();
    for name in names {
        let db = db.clone();
        let new = NewTenant { name, login: "olga".to_owned(), password: Secret::new(PASSWORD) };
        making.spawn(async move { make(&db, new).await });
    }
    making.join_all().await
}

async fn tenants_that_are_made_at_once_get_numbers_of_their_own(kind: Kind) {
    let database = Database::create(kind).await;
    let db = Db::connect(&database.url).await.expect("connects");
    db.migrate().await.expect("migrates");
    let made = made_at_once(&db, (0..AT_ONCE).map(|number| format!("Tenant {number}")).collect()).await;
    let mut numbers: Vec<i64> = made.into_iter().map(|made| made.expect("is made").tenant).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=AT_ONCE as i64).collect::<Vec<_>>());

    let same = made_at_once(&db, vec!["Twin".to_owned(); AT_ONCE]).await;
    let errors: Vec<String> = same.into_iter().filter_map(|made| Some(made.err()?.to_string())).collect();
    assert_eq!(errors, ["there is a tenant `Twin` already"; AT_ONCE - 1]);
    assert_eq!((tenants(&db).await.len(), users(&db).await), (AT_ONCE + 1, AT_ONCE as i64 + 1));
    db.close().await;
    database.remove().await;
}
