//! Files are imported whole or not at all, once, and from where they broke.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use std::collections::BTreeMap;

use roundsman::auth::Secret;
use roundsman::cli;
use roundsman::cli::client::Session;
use roundsman::cli::import::{Report, import};
use roundsman::exchange::csv::{Kind as File, parse};
use roundsman::exchange::plan::{Chunk, chunks};
use roundsman::exchange::{key, table};
use roundsman::fail::FailPoints;
use roundsman::verify;
use roundsman_proto::admin::CreateUserRequest;
use roundsman_proto::auth::Role;
use roundsman_proto::trade::{Contract, Customer, Outlet, Price, Product};
use roundsman_tests::app::{PASSWORD, TENANT, TestApp};
use roundsman_tests::database::Kind;
use roundsman_tests::world::{World, bytes};
use uuid::Uuid;

on_both_databases!(
    a_file_with_errors_changes_nothing,
    a_file_is_imported_once,
    a_broken_import_is_resumed,
    a_rejected_chunk_is_told_by_its_line_and_can_be_imported_anew,
    outlets_hang_on_what_is_there,
    contracts_hang_on_their_customers_and_follow_each_other,
    users_and_devices_are_listed,
);

pub(crate) async fn session(app: &TestApp) -> Session {
    Session::open(app.channel.clone(), (TENANT, "admin"), &Secret::new(PASSWORD)).await.expect("logs in")
}

async fn version(app: &TestApp) -> i64 {
    let tenant = app.tenant().await;
    let mut tx = app.core.db.read().await.expect("reads");
    let head = roundsman::store::tenant::head(&mut tx, tenant).await.expect("answers").expect("a tenant");
    head.position.version
}

fn plan(kind: File, text: &str, run: Option<Uuid>) -> Vec<Chunk> {
    let entries = parse(kind, text.as_bytes(), 2).unwrap_or_else(|errors| panic!("{errors}"));
    chunks(entries, run)
}

async fn sent(app: &TestApp, chunks: &[Chunk]) -> Report {
    import(&mut session(app).await, chunks, |_| {}).await.expect("is sent")
}

fn header(kind: File) -> String {
    let names: Vec<&str> = kind.columns().iter().map(|column| column.name).collect();
    names.join(";") + "\r\n"
}

fn customers(count: usize) -> String {
    let rows = (1..=count).map(|number| format!("C{number};Customer {number};;;;;\r\n"));
    header(File::Customers) + &rows.collect::<String>()
}

fn products(count: usize) -> String {
    let rows = (1..=count)
        .map(|number| format!("A{number};Article {number};Drinks|Juice;pcs;;25.5;1;0.5;;;;Valio;BOX;;12;\r\n"));
    header(File::Products) + &rows.collect::<String>()
}

async fn a_file_with_errors_changes_nothing(kind: Kind) {
    let app = TestApp::start(kind).await;
    World::make(&app).await;
    let before = version(&app).await;
    let file = header(File::Prices) + "A;A1;;;;9.90;;\r\nA;A2;;;;12,x;;\r\n;A3;2026-13-01;;;1;;\r\n";
    // What is wrong comes instead of records: there is nothing that could be sent.
    let errors: table::Errors = parse(File::Prices, file.as_bytes(), 2).expect_err("is wrong");
    let expected = "line 3, column price: \"12,x\" is not a sum of money\n\
        line 4, column price_list: is empty\n\
        line 4, column valid_from: \"2026-13-01\" is not a day such as 2026-01-31";
    assert_eq!(errors.to_string(), expected);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("prices.csv");
    std::fs::write(&path, file).expect("writes");
    let server = cli::client::Server { server: "http://127.0.0.1:9".to_owned(), ca_file: None };
    let login =
        cli::client::Login { server, tenant: TENANT.to_owned(), login: "admin".to_owned(), password_file: None };
    let args = cli::import::Args { login, dry_run: false, anew: false, decimals: 2, kind: File::Prices, file: path };
    let error = cli::import::run(args).await.expect_err("is wrong").to_string();
    assert!(error.ends_with("has 3 errors; nothing was sent"), "{error}");
    assert_eq!(version(&app).await, before);
    app.finish().await;
}

async fn a_file_is_imported_once(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let begun = tokio::time::Instant::now();
    let file = products(2_000);
    let report = sent(&app, &plan(File::Products, &file, None)).await;
    assert!(begun.elapsed().as_secs() < 20, "2,000 products took {:?}", begun.elapsed());
    assert_eq!((report.chunks, report.changed, report.rejected.len()), (2, 2, 0));
    let stored = app.stored::<Product>(world.tenant).await;
    let product = &stored[&key::id("product", "A1999")];
    assert_eq!((product.code.as_str(), product.vat_bp, product.weight_mg), ("A1999", 2_550, 500_000));
    assert_eq!(product.packagings[0].coefficient_milli, 12_000);

    let before = version(&app).await;
    assert_eq!(report.version, before);
    let again = sent(&app, &plan(File::Products, &file, None)).await;
    assert_eq!((again.chunks, again.changed, again.version), (2, 0, before));
    // Even decided anew, it has nothing to change.
    let anew = sent(&app, &plan(File::Products, &file, Some(app.id()))).await;
    assert_eq!((anew.changed, version(&app).await), (0, before));

    let price = |price: &str| {
        let list = world.price_list;
        header(File::Prices) + &format!("{list};A7;2026-11-01;;10;{price};;\r\n{list};A7;2026-11-01;;;10.00;;\r\n")
    };
    let first = plan(File::Prices, &price("9.50"), None);
    assert_eq!(
        (sent(&app, &first).await.changed, sent(&app, &plan(File::Prices, &price("9.00"), None)).await.changed),
        (1, 1)
    );
    let minor = async |app: &TestApp| {
        let prices = app.stored::<Price>(world.tenant).await;
        let price = prices.values().find(|price| price.product_id == bytes(key::id("product", "A7"))).expect("a price");
        price.breaks.iter().map(|step| step.price_minor).collect::<Vec<_>>()
    };
    assert_eq!(minor(&app).await, [1_000, 900]);
    assert_eq!(sent(&app, &first).await.changed, 0, "this file was imported before");
    assert_eq!(sent(&app, &plan(File::Prices, &price("9.50"), Some(app.id()))).await.changed, 1);
    assert_eq!(minor(&app).await, [1_000, 950]);
    assert_eq!(verify::verify(&app.core.db, world.tenant).await.expect("answers"), Vec::<String>::new());
    app.finish().await;
}

async fn a_broken_import_is_resumed(kind: Kind) {
    let armed = Arc::new(AtomicBool::new(false));
    let failing = Arc::clone(&armed);
    let fail = FailPoints::new(Arc::new(move |point| point == "batch.committed" && failing.load(Ordering::SeqCst)));
    let app = TestApp::start_failing(kind, fail).await;
    let tenant = app.tenant().await;
    let chunks = plan(File::Customers, &customers(2_500), None);
    let mut session = session(&app).await;
    let broken = import(&mut session, &chunks, |_| armed.store(true, Ordering::SeqCst)).await;
    let error = format!("{:#}", broken.expect_err("the second chunk is committed, and nobody hears of it"));
    assert!(error.starts_with("chunk 2 of 3 (lines 1002 to 2001) was not taken over; run the same again"), "{error}");
    assert_eq!(app.stored::<Customer>(tenant).await.len(), 2_000);

    armed.store(false, Ordering::SeqCst);
    let before = version(&app).await;
    let report = import(&mut session, &chunks, |_| {}).await.expect("goes on");
    assert_eq!((report.chunks, report.changed, report.version), (3, 1, before + 1));
    assert_eq!(app.stored::<Customer>(tenant).await.len(), 2_500);
    app.finish().await;
}

async fn a_rejected_chunk_is_told_by_its_line_and_can_be_imported_anew(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let list = world.price_list;
    let file = header(File::Prices) + &format!("{list};A1;;;;1;;\r\n{list};A2;;;;2;;\r\n");
    sent(&app, &plan(File::Products, &products(1), None)).await;
    let before = version(&app).await;
    let report = sent(&app, &plan(File::Prices, &file, None)).await;
    let rejected = &report.rejected[0];
    assert_eq!((rejected.lines, rejected.records, rejected.line), ((2, 3), 2, Some(3)));
    assert!(rejected.reason.starts_with("REASON_NOT_FOUND"), "{}", rejected.reason);
    assert_eq!((report.changed, version(&app).await), (0, before), "the good price did not come in either");

    sent(&app, &plan(File::Products, &products(2), None)).await;
    assert_eq!(sent(&app, &plan(File::Prices, &file, None)).await.rejected.len(), 1, "a decision stands");
    let anew = sent(&app, &plan(File::Prices, &file, Some(app.id()))).await;
    assert_eq!((anew.changed, anew.rejected.len()), (1, 0));
    app.finish().await;
}

async fn outlets_hang_on_what_is_there(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let (territory, agreement) = (world.anna.territory, world.agreements[0]);
    sent(&app, &plan(File::Customers, &customers(1), None)).await;
    let row = format!("O1;Kiosk;Street 1;60.1699;24.9384;;A;;{territory};C1;{agreement};;;;Liisa;+358;;;\r\n");
    let report = sent(&app, &plan(File::Outlets, &(header(File::Outlets) + &row), None)).await;
    assert_eq!((report.changed, report.rejected), (1, Vec::new()));
    let outlet = app.stored::<Outlet>(world.tenant).await.remove(&key::id("outlet", "O1")).expect("is there");
    assert_eq!((outlet.customer_id, outlet.territory_id), (bytes(key::id("customer", "C1")), bytes(territory)));
    // It reaches the rep's phone.
    let mut device = app.device("anna").await;
    app.sync(&mut device).await;
    assert_eq!(app.shown::<Outlet>(&device, key::id("outlet", "O1")).expect("is shown").name, "Kiosk");
    assert_eq!(verify::verify(&app.core.db, world.tenant).await.expect("answers"), Vec::<String>::new());
    let verified = cli::verify::all(&app.core.db, Some(TENANT)).await.expect("answers");
    let [(name, report)] = &verified[..] else { panic!("one tenant") };
    assert_eq!((name.as_str(), report.findings.len()), (TENANT, 0));
    let compared: BTreeMap<_, _> = report.compared.iter().copied().collect();
    assert!(compared["live records"] > 50 && compared["bucket rows"] > 50 && compared["granted{}"] > 0, "{compared:?}");
    let mut seen = 0;
    let report = verify::report(&app.core.db, world.tenant, &mut |records| seen += records).await.expect("answers");
    assert_eq!(report, verified[0].1);
    let records = cli::verify::records(&app.core.db, world.tenant).await.expect("are counted");
    assert_eq!(records, seen as u64, "a bar comes to its end");
    cli::verify::all(&app.core.db, Some("Nobody")).await.expect_err("there is no such tenant");
    app.finish().await;
}

async fn contracts_hang_on_their_customers_and_follow_each_other(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    sent(&app, &plan(File::Customers, &customers(1), None)).await;
    let (customer, agreement) = (world.customers[0], world.agreements[0]);
    let rows = format!(
        "K2;;{customer};EUR;2027-01-01;;;;;;\r\nK1;12/26;{customer};EUR;;2026-12-31;5000;yes;{agreement};K2;\r\n"
    );
    let file = header(File::Contracts) + &rows;
    let report = sent(&app, &plan(File::Contracts, &file, None)).await;
    assert_eq!((report.changed, report.rejected), (1, Vec::new()));
    let stored = app.stored::<Contract>(world.tenant).await;
    let (first, second) = (&stored[&key::id("contract", "K1")], &stored[&key::id("contract", "K2")]);
    assert_eq!((first.number.as_str(), first.credit_limit_minor, first.overdue_ban), ("12/26", Some(500_000), true));
    assert_eq!((&first.customer_id, &first.agreement_ids), (&bytes(customer), &vec![bytes(agreement)]));
    assert_eq!(first.successor_id, bytes(key::id("contract", "K2")));
    assert_eq!((second.number.as_str(), second.credit_limit_minor), ("K2", None));
    // It reaches the rep's phone.
    let mut device = app.device("anna").await;
    app.sync(&mut device).await;
    assert_eq!(app.shown::<Contract>(&device, key::id("contract", "K1")).as_ref(), Some(first));

    // Whose a contract is never changes, and a customer has to be there.
    let moved = header(File::Contracts) + "K3;;C1;EUR;;;;;;;\r\nK1;12/26;C1;EUR;;;;;;;\r\n";
    let report = sent(&app, &plan(File::Contracts, &moved, None)).await;
    let rejected = &report.rejected[0];
    assert_eq!((rejected.line, report.changed), (Some(3), 0));
    assert!(rejected.reason.starts_with("REASON_MISMATCH"), "{}", rejected.reason);
    let unknown = header(File::Contracts) + "K4;;C9;EUR;;;;;;;\r\n";
    let rejected = sent(&app, &plan(File::Contracts, &unknown, None)).await.rejected;
    assert!(rejected[0].reason.starts_with("REASON_NOT_FOUND"), "{}", rejected[0].reason);
    assert_eq!(app.stored::<Contract>(world.tenant).await, stored);
    assert_eq!(verify::verify(&app.core.db, world.tenant).await.expect("answers"), Vec::<String>::new());
    app.finish().await;
}

async fn users_and_devices_are_listed(kind: Kind) {
    let app = TestApp::start(kind).await;
    World::make(&app).await;
    app.device("anna").await;
    let mut session = session(&app).await;
    let request = CreateUserRequest {
        user_id: bytes(key::user(TENANT, "Office")),
        login: "Office".to_owned(),
        password: PASSWORD.to_owned(),
        role: Role::Office.into(),
        ..CreateUserRequest::default()
    };
    // The access token ends meanwhile, and is renewed.
    app.pass(20);
    for _ in 0..2 {
        cli::user::create(&mut session, request.clone()).await.expect("is made, and the call may be repeated");
    }
    let other = CreateUserRequest { password: "another password".to_owned(), ..request };
    let error = cli::user::create(&mut session, other).await.expect_err("is another").to_string();
    assert!(error.contains("AlreadyExists"), "{error}");
    let users = cli::user::list(&mut session).await.expect("answers");
    let logins: Vec<&str> = users.iter().map(|user| user.login.as_str()).collect();
    assert_eq!(logins, ["admin", "anna", "boris", "office", "sonja"]);
    assert_eq!(cli::device::list(&mut session).await.expect("answers").len(), 1);
    session.close().await;
    app.finish().await;
}
