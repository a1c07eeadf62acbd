//! The TypeScript device of `sync/ts` against the real server: another implementation of the protocol holds what the
//! server's records say, byte for byte.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use roundsman_proto::sync::Status;
use roundsman_sync::checksum::{Checksum, row_hash};
use roundsman_tests::app::{PASSWORD, TENANT, TODAY, TestApp};
use roundsman_tests::database::Kind;
use roundsman_tests::world::World;
use serde_json::{Value, json};

use crate::wake::blocked;

on_both_databases!(a_typescript_device_converges_over_grpc, a_typescript_device_converges_over_grpc_web);

async fn a_typescript_device_converges_over_grpc(kind: Kind) {
    converges(kind, "grpc").await;
}

async fn a_typescript_device_converges_over_grpc_web(kind: Kind) {
    converges(kind, "grpc-web").await;
}

async fn converges(kind: Kind, transport: &str) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let mut day = Day::begin(&json!({
        "url": app.url(),
        "transport": transport,
        "tenant": TENANT,
        "login": world.anna.login,
        "password": PASSWORD,
        "installation": hex::encode(app.id().as_bytes()),
        "now_us": app.now_us().to_string(),
        "business_day": TODAY,
    }));
    assert_eq!(day.hear().await, json!({ "following": true }));
    let outcome = app.office(blocked(&world, true)).await;
    assert_eq!(outcome.status(), Status::Applied);

    let end = day.hear().await;
    day.end();
    let statuses: Vec<&Value> = end["outcomes"].as_array().expect("outcomes").iter().map(|o| &o["status"]).collect();
    assert_eq!(statuses, [Status::Applied as i32; 3], "{end}");
    assert_eq!(held(&end), stored(&app, &world).await);
    app.finish().await;
}

/// A run of `sync/ts/test/live.ts`.
struct Day {
    node: Child,
    lines: Option<std::io::Lines<BufReader<std::process::ChildStdout>>>,
}

impl Day {
    fn begin(settings: &Value) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sync/ts/dist/test/live.js");
        assert!(
            script.exists(),
            "the TypeScript device is not compiled: run `scripts/node build`, as `make test` does"
        );
        let node = Command::new("node").arg(script).arg(settings.to_string()).stdout(Stdio::piped()).spawn();
        let mut node = node.expect("Node.js is not installed: install Node.js 20 or later, or run `make test` as root");
        let lines = node.stdout.take().map(|stdout| BufReader::new(stdout).lines());
        Self { node, lines }
    }

    /// The next thing that it says.
    async fn hear(&mut self) -> Value {
        let mut lines = self.lines.take().expect("nobody else listens");
        let (line, lines) = tokio::task::spawn_blocking(move || (lines.next(), lines)).await.expect("listens");
        self.lines = Some(lines);
        let line = line.expect("the device goes on: see above why it did not").expect("is text");
        serde_json::from_str(&line).expect("is JSON")
    }

    fn end(mut self) {
        assert!(self.node.wait().expect("ends").success(), "in good order");
    }
}

impl Drop for Day {
    /// A test that fails leaves no process behind.
    fn drop(&mut self) {
        let _ = self.node.kill();
        let _ = self.node.wait();
    }
}

/// What the device holds, as it says; buckets without a record are left out.
fn held(end: &Value) -> Vec<Value> {
    let buckets = end["buckets"].as_array().expect("buckets").iter();
    let mut held: Vec<Value> = buckets.filter(|bucket| bucket["rows"] != "0").cloned().collect();
    held.sort_by_key(|bucket| (bucket["scope"].to_string(), bucket["kind"].as_u64()));
    held
}

/// What the records say that it should hold, in the same form.
async fn stored(app: &TestApp, world: &World) -> Vec<Value> {
    let content = roundsman::verify::projection(&app.core.db, &world.caller(&world.anna)).await.expect("is computed");
    let described = content.into_iter().map(|((scope, kind), records)| {
        let mut sum = Checksum::default();
        records.iter().for_each(|(record, document)| sum.add(row_hash(*record, document)));
        let written = records.iter().map(|(id, document)| (hex::encode(id.as_bytes()), json!(hex::encode(document))));
        json!({
            "scope": scope,
            "kind": kind,
            "rows": records.len().to_string(),
            "checksum": sum.0.to_string(),
            "records": written.collect::<serde_json::Map<_, _>>(),
        })
    });
    described.collect()
}
