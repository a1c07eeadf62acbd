//! How the databases answer what is asked at every push and pull: each statement searches an index for its keys, or walks one
//! in its order, before any statistics were gathered as well as after. Of those that read the large tables it is said by
//! which index; of all that operations ask, that they walk no table, nor all that a tenant has in one.

use bytes::Bytes;
use prost::Message as _;
use roundsman::projection;
use roundsman::store::bucket::{Bucket, NewRow};
use roundsman::store::command::{Decided, Sequence};
use roundsman::store::sql::{Cell, Column, Db, Rows, Table, Tx};
use roundsman::store::{bucket, command, record, tenant};
use roundsman::workspace::{Change, Stored};
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{Order, OrderLine};
use roundsman_sync::kind::Record as _;
use roundsman_sync::page::Cursor;
use roundsman_sync::version::Position;
use roundsman_tests::asked::Asked;
use roundsman_tests::database::{Database, Kind};
use uuid::Uuid;

use crate::cost;

on_both_databases!(hot_statements_search_their_index, a_projection_is_cleared_by_its_index);

const TENANT: i64 = 1;
/// Rows of each large table.
const ROWS: usize = 30_000;
/// Rows of one bucket, all of one version: more than half of the large table.
const LARGE_BUCKET: i64 = 1;
const BUCKETS: usize = 3_000;
/// Rows in one write.
const CHUNK: usize = 1_000;

/// Scattered, as hashed ids are.
fn id(number: usize) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, &number.to_be_bytes())
}

fn number(value: usize) -> i64 {
    i64::try_from(value).expect("is small")
}

fn scope(number: usize) -> String {
    format!("territory:{}", id(number))
}

fn stored(number: usize) -> Change {
    let after = Stored {
        kind: self::number(number % 3),
        version: self::number(number / CHUNK + 1),
        document: vec![7; 100].into(),
        stamps: Bytes::new(),
        removed_at_us: None,
        survivor: None,
    };
    Change { id: id(number), before: None, after }
}

fn bucket_of(number: usize) -> Bucket {
    let (rows, bytes, checksum) = (1, 100, 0);
    let id = self::number(number);
    Bucket { id, scope: scope(number), kind: 3, head: 1, last_removal: 0, created: 1, rows, bytes, checksum }
}

fn row(number: usize) -> NewRow {
    let bucket = if number.is_multiple_of(2) { LARGE_BUCKET } else { self::number(number % BUCKETS + 1) };
    NewRow { bucket, record: id(number), live: true, hash: 0, frame: vec![7; 120] }
}

fn decided(number: usize) -> Decided {
    Decided {
        id: id(number),
        sent: Some((id(number % 500), self::number(number))),
        actor: id(0),
        name: "SubmitOrder",
        captured_at_us: 0,
        business_day: 0,
        received_at_us: 0,
        request: String::new(),
        body: Bytes::new(),
        body_hash: 0,
        outcome: Outcome::default(),
        changed: Vec::new(),
        announcements: Vec::new(),
        quarantine: None,
    }
}

/// A database of one tenant with many rows, of which no statistics were gathered.
async fn filled(kind: Kind) -> (Database, Db) {
    let database = Database::create(kind).await;
    let db = Db::connect(&database.url).await.expect("connects");
    db.migrate().await.expect("migrates");
    let mut tx = db.write().await.expect("begins");
    if kind == Kind::Postgres {
        for statement in [
            "ALTER TABLE record SET (autovacuum_enabled = false)",
            "ALTER TABLE bucket SET (autovacuum_enabled = false)",
            "ALTER TABLE bucket_row SET (autovacuum_enabled = false)",
            "ALTER TABLE command SET (autovacuum_enabled = false)",
            "ALTER TABLE commit_point SET (autovacuum_enabled = false)",
            "ALTER TABLE device_sequence SET (autovacuum_enabled = false)",
            "ALTER TABLE user_account SET (autovacuum_enabled = false)",
            "ALTER TABLE sales_order SET (autovacuum_enabled = false)",
            "ALTER TABLE sales_order_line SET (autovacuum_enabled = false)",
        ] {
            tx.query(statement).execute().await.expect("is set");
        }
    }
    let tenants = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) \
                   INSERT INTO tenant SELECT i, CAST(i AS TEXT), 0, 1, 0 FROM n";
    assert_eq!(tx.query(tenants).execute().await.expect("are written"), 500);
    for from in (0..ROWS).step_by(CHUNK) {
        let numbers = from..from + CHUNK;
        let version = number(from / CHUNK + 1);
        let buckets: Vec<Bucket> =
            numbers.clone().filter(|number| *number < BUCKETS).map(|number| bucket_of(number + 1)).collect();
        let rows: Vec<NewRow> = numbers.clone().map(row).collect();
        let changes: Vec<Change> = numbers.clone().map(stored).collect();
        let commands: Vec<Decided> = numbers.clone().map(decided).collect();
        let sequences = numbers.clone().map(|number| (id(number), Sequence::default()));
        let mut writes = vec![record::rows(TENANT, &changes), command::sequence_rows(TENANT, sequences)];
        writes.extend(bucket::write(TENANT, version, &buckets, &rows));
        writes.extend(command::decided_rows(TENANT, version, number(from), &commands));
        writes.extend([points(numbers.clone()), users(numbers)]);
        tx.write(writes).await.expect("is written");
    }
    tx.commit().await.expect("commits");
    (database, db)
}

/// Many points of the history at once.
fn points(numbers: std::ops::Range<usize>) -> Rows {
    static POINTS: Table = Table {
        name: "commit_point",
        columns: &[("tenant", Column::Int), ("version", Column::Int), ("nonce", Column::Int), ("at_us", Column::Int)],
        conflict: "",
    };
    let row = |value: usize| vec![Cell::from(TENANT), number(value + 1).into(), 7.into(), number(value).into()];
    Rows { table: &POINTS, rows: numbers.map(row).collect() }
}

/// Many users at once: of a table of few rows PostgreSQL, once it knows that, may walk all.
fn users(numbers: std::ops::Range<usize>) -> Rows {
    static USERS: Table = Table {
        name: "user_account",
        columns: &[
            ("tenant", Column::Int),
            ("id", Column::Id),
            ("login", Column::Text),
            ("password_hash", Column::Text),
            ("role", Column::Int),
            ("created_at", Column::Int),
        ],
        conflict: "",
    };
    let row = |value: usize| {
        vec![Cell::from(TENANT), id(value).into(), scope(value).into(), String::new().into(), 1.into(), 0.into()]
    };
    Rows { table: &USERS, rows: numbers.map(row).collect() }
}

/// A hot statement, and what finds its rows.
struct Hot {
    name: &'static str,
    /// PostgreSQL's indexes.
    postgres: &'static [&'static str],
    /// SQLite's searches.
    sqlite: &'static [&'static str],
    /// What was found is put in order, which is little.
    sorts: bool,
}

/// What [`ask`] asks, in its order.
const HOT: [Hot; 12] = [
    Hot {
        name: "where the tenant is",
        postgres: &["using tenant_pkey", "using commit_point_pkey", "using quarantine_"],
        sqlite: &[
            "SEARCH t USING INDEX sqlite_autoindex_tenant_1 (id=?)",
            "SEARCH c USING PRIMARY KEY (tenant=? AND version=?)",
        ],
        sorts: false,
    },
    Hot {
        name: "known positions",
        postgres: &["using commit_point_pkey"],
        sqlite: &["SEARCH commit_point USING PRIMARY KEY (tenant=? AND version=?)"],
        sorts: false,
    },
    Hot {
        name: "records",
        postgres: &["using record_pkey"],
        sqlite: &["SEARCH record USING INDEX sqlite_autoindex_record_1 (tenant=? AND id=?)"],
        sorts: false,
    },
    Hot {
        name: "placements",
        postgres: &["using bucket_row_by_record", "using bucket_pkey"],
        sqlite: &[
            "SEARCH bucket_row USING INDEX bucket_row_by_record (tenant=? AND record=?)",
            "SEARCH b USING INDEX sqlite_autoindex_bucket_1 (tenant=? AND id=?)",
        ],
        sorts: false,
    },
    Hot {
        name: "buckets of scopes",
        postgres: &["using bucket_tenant_scope_kind_key"],
        sqlite: &["SEARCH bucket USING INDEX sqlite_autoindex_bucket_2 (tenant=? AND scope=?)"],
        sorts: true,
    },
    Hot {
        name: "the last bucket",
        postgres: &["using bucket_pkey"],
        sqlite: &["SEARCH bucket USING COVERING INDEX"],
        sorts: false,
    },
    Hot {
        name: "a page of a bucket",
        postgres: &["using bucket_row_pkey"],
        sqlite: &[
            "SEARCH bucket_row USING PRIMARY KEY (tenant=? AND bucket=? AND (version,record)>(?,?) AND version<?)",
        ],
        sorts: false,
    },
    Hot {
        name: "how many rows of a shared page are still there",
        postgres: &["using bucket_row_pkey"],
        sqlite: &[
            "SEARCH bucket_row USING PRIMARY KEY (tenant=? AND bucket=? AND (version,record)>(?,?) AND (version,record)<(?,?))",
        ],
        sorts: false,
    },
    Hot {
        name: "the row before a place",
        postgres: &["using bucket_row_pkey"],
        sqlite: &["SEARCH bucket_row USING PRIMARY KEY (tenant=? AND bucket=? AND (version,record)<(?,?))"],
        sorts: false,
    },
    Hot {
        name: "known commands",
        postgres: &["using command_pkey"],
        sqlite: &["SEARCH command USING INDEX sqlite_autoindex_command_1 (tenant=? AND id=?)"],
        sorts: false,
    },
    Hot {
        name: "sequences",
        postgres: &["using device_sequence_pkey"],
        sqlite: &["SEARCH device_sequence USING INDEX sqlite_autoindex_device_sequence_1 (tenant=? AND device=?)"],
        sorts: false,
    },
    Hot {
        name: "a page of a kind",
        postgres: &["using record_by_kind"],
        sqlite: &["SEARCH record USING INDEX record_by_kind (tenant=? AND kind=? AND id>?)"],
        sorts: false,
    },
];

/// Asks everything that a push and a pull ask.
async fn ask(tx: &mut Tx) {
    let keys: Vec<Uuid> = (0..100).map(|number| id(number * 7)).collect();
    let scopes: Vec<String> = (1..20).map(scope).collect();
    let point = |version| Position { version, nonce: 7 };
    tenant::head(tx, TENANT).await.expect("answers").expect("a tenant");
    tenant::known(tx, TENANT, &[point(3), point(4)]).await.expect("answers");
    assert_eq!(record::find(tx, TENANT, &keys).await.expect("answers").len(), keys.len());
    assert_eq!(bucket::placements(tx, TENANT, &keys).await.expect("answers").len(), keys.len());
    assert_eq!(bucket::of_scopes(tx, TENANT, &scopes).await.expect("answers").len(), scopes.len());
    bucket::last_id(tx, TENANT).await.expect("answers");
    let from = Cursor::after(2);
    bucket::frames(tx, (TENANT, LARGE_BUCKET), from, (900, 4_096)).await.expect("answers");
    bucket::count_rows(tx, (TENANT, LARGE_BUCKET), (from, Cursor::after(20))).await.expect("answers");
    bucket::place_before(tx, (TENANT, LARGE_BUCKET), from).await.expect("answers");
    assert_eq!(command::known(tx, TENANT, &keys).await.expect("answers").len(), keys.len());
    assert_eq!(command::sequences(tx, TENANT, &keys).await.expect("answers").len(), keys.len());
    record::page(tx, TENANT, 2, Uuid::nil(), 250).await.expect("answers");
}

/// What is wrong with a plan.
fn faults(kind: Kind, hot: &Hot, plan: &[String]) -> Vec<String> {
    let (wanted, banned, sort) = match kind {
        // A filter reads rows that are not wanted.
        Kind::Postgres => (hot.postgres, ["Seq Scan", "Bitmap", "Hash", "Merge", "Filter"].as_slice(), "Sort"),
        Kind::Sqlite => {
            (hot.sqlite, ["SCAN record", "SCAN bucket", "SCAN command", "SCAN c"].as_slice(), "TEMP B-TREE")
        }
    };
    let has = |part: &str| plan.iter().any(|step| step.contains(part));
    let missing = wanted.iter().filter(|part| !has(part)).map(|part| format!("{}: not {part}", hot.name));
    let banned = banned.iter().chain([&sort].into_iter().filter(|_| !hot.sorts));
    missing.chain(banned.filter(|part| has(part)).map(|part| format!("{}: {part}", hot.name))).collect()
}

/// What is searched by nothing but the tenant, because it ends with the first row that is found.
const FIRST_ROW: [&str; 4] = [
    "MAX(id), 0) AS BIGINT) FROM bucket WHERE tenant = $1",
    "(SELECT MAX(version) FROM commit_point WHERE tenant = $1)",
    "FROM commit_point WHERE tenant = $1 ORDER BY version DESC LIMIT 1",
    "EXISTS (SELECT 1 FROM quarantine q WHERE q.tenant = t.id)",
];

/// The steps of a plan that may read any number of rows of a table, although the statement wants few.
fn walks(kind: Kind, plan: &[String]) -> Vec<&String> {
    match kind {
        Kind::Sqlite => {
            // What was given, and what a subquery with a limit has found.
            let few = ["SCAN json_each", "SCAN CONSTANT ROW", "VALUES CLAUSE", "SCAN (subquery", "SCAN page"];
            let walks = |step: &&String| {
                let scans = step.starts_with("SCAN") && !few.iter().any(|few| step.contains(few));
                scans || step.contains("(tenant=?)")
            };
            plan.iter().filter(walks).collect()
        }
        Kind::Postgres => {
            let walks = |(at, step): &(usize, &String)| {
                let below = plan[at + 1..].iter().take_while(|step| !step.contains("->"));
                let condition = below.into_iter().find_map(|step| step.split_once("Index Cond: "));
                let parts = condition.map_or("", |(_, condition)| condition).split(" AND ");
                let searched = parts.filter(|part| part.contains(" = ") && !part.contains("tenant = ")).count();
                step.contains("Scan") && !step.contains("Function Scan") && searched == 0
            };
            plan.iter().enumerate().filter(walks).map(|(_, step)| step).collect()
        }
    }
}

async fn hot_statements_search_their_index(kind: Kind) {
    let operations = cost::operations(kind).await.texts;
    let operations: Vec<&String> =
        operations.iter().filter(|sql| !["BEGIN", "COMMIT", "PRAGMA data_version"].contains(&sql.as_str())).collect();
    let (database, db) = filled(kind).await;
    for analyzed in [false, true] {
        let mut tx = db.write().await.expect("begins");
        if analyzed {
            tx.query("ANALYZE").execute().await.expect("gathers");
            tx.commit().await.expect("commits");
            tx = db.write().await.expect("begins");
        }
        let mut wrong = Vec::new();
        let asked = Asked::listen();
        ask(&mut tx).await;
        let asked = asked.take();
        assert_eq!(asked.len(), HOT.len(), "each function asks one statement");
        for (hot, sql) in HOT.iter().zip(asked) {
            let plan = tx.explain(&sql).await.expect("is explained");
            let faults = faults(kind, hot, &plan);
            if !faults.is_empty() {
                wrong.push((faults, plan));
            }
        }
        for sql in &operations {
            let plan = tx.explain(sql).await.expect("is explained");
            let walks = walks(kind, &plan);
            if walks.len() > FIRST_ROW.iter().filter(|part| sql.contains(*part)).count() {
                wrong.push((vec![format!("`{sql}` walks: {walks:?}")], plan));
            }
        }
        assert!(wrong.is_empty(), "analyzed: {analyzed}\n{wrong:#?}");
    }
    db.close().await;
    database.remove().await;
}

/// An order with lines, as a batch finds it or leaves it.
fn order(lines: usize) -> Stored {
    let order = Order { lines: vec![OrderLine::default(); lines], ..Order::default() };
    Stored { kind: i64::from(Order::KIND as i32), document: order.encode_to_vec().into(), ..stored(0).after }
}

async fn a_projection_is_cleared_by_its_index(kind: Kind) {
    let (database, db) = filled(kind).await;
    let mut tx = db.write().await.expect("begins");
    for from in (0..ROWS).step_by(CHUNK) {
        let changes: Vec<Change> =
            (from..from + CHUNK).map(|number| Change { id: id(number), before: None, after: order(2) }).collect();
        tx.write(projection::of(TENANT, &changes).expect("is projected").rows).await.expect("is written");
    }
    let shrunk = [Change { id: id(5), before: Some(order(2)), after: order(1) }];
    let asked = Asked::listen();
    projection::of(TENANT, &shrunk).expect("is projected").clear(&mut tx).await.expect("is cleared");
    let hot = Hot {
        name: "lines that are gone",
        postgres: &["using sales_order_line_pkey"],
        sqlite: &["SEARCH sales_order_line USING PRIMARY KEY (tenant=? AND sales_order=?)"],
        sorts: false,
    };
    let sql = asked.take().pop().expect("a statement");
    let plan = tx.explain(&sql).await.expect("is explained");
    assert_eq!(faults(kind, &hot, &plan), Vec::<String>::new(), "{plan:#?}");
    drop(tx);
    db.close().await;
    database.remove().await;
}
