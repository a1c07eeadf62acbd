//! Pulls, message by message.

mod cases;
mod histories;

use prost::Message as _;
use roundsman_proto::sync::pull_response::Message;
use roundsman_proto::sync::{PullRequest, PullResponse};
use roundsman_sync::limits::REPAIR_ROWS;
use roundsman_sync::replica::memory::MemoryStorage;
use roundsman_sync::replica::{At, Event, Replica, ReplicaError, Want};
use serde_json::{Value, json};

use super::{Case, Family, HISTORIES, hex, id_hex, page, position, wide};

const ABOUT: &str = "A device that holds nothing goes through steps: `receive` takes a serialized \
                     roundsman.sync.v1.PullResponse, `cut` ends the stream, `reopen` ends the process and opens what was \
                     stored. Expected of each step: the event that it was, or why the message must be refused, which ends \
                     the stream; the buckets that were applied at least once, with rows and checksum, where these have \
                     changed; and where the stream has ended, what the next PullRequest says. At the end: the records that are shown. Lists are in the \
                     order of bucket number, scope and kind, or of record id; a device need not send them so. Damaged \
                     buckets are mended by the sums of their partitions from `repair_rows` rows on; of these sums those that \
                     are not 0 are shown, by partition.";

pub(super) fn family() -> Family {
    Family { name: "replica", about: ABOUT, cases: cases::all() }
}

/// The same with steps that nobody thought of.
pub(super) fn histories() -> Family {
    Family { name: "replica_histories", about: ABOUT, cases: (1..=HISTORIES).map(histories::history).collect() }
}

/// A device in the hands of a server, and what both said.
struct Tape {
    device: Replica<MemoryStorage>,
    repair_rows: i64,
    steps: Vec<Value>,
    expected: Vec<Value>,
    buckets: Value,
}

impl Tape {
    fn new() -> Self {
        Self::mending_from(REPAIR_ROWS)
    }

    fn mending_from(repair_rows: i64) -> Self {
        let device = opened(MemoryStorage::default(), repair_rows);
        Self { device, repair_rows, steps: Vec::new(), expected: Vec::new(), buckets: json!([]) }
    }

    fn receive(&mut self, message: Option<Message>) -> &mut Self {
        let response = PullResponse { message };
        let step = json!({ "receive": hex(response.encode_to_vec()) });
        let expected = match self.device.receive(response) {
            Ok(event) => json!({ "event": described(&event) }),
            Err(error) => json!({ "refused": reason(&error), "request": self.request() }),
        };
        self.note(step, expected)
    }

    fn hear(&mut self, message: Message) -> &mut Self {
        self.receive(Some(message))
    }

    fn cut(&mut self) -> &mut Self {
        self.device.cut();
        self.stopped("cut")
    }

    fn reopen(&mut self) -> &mut Self {
        let before = std::mem::replace(&mut self.device, Self::new().device);
        self.device = opened(before.into_storage(), self.repair_rows);
        self.stopped("reopen")
    }

    fn stopped(&mut self, step: &str) -> &mut Self {
        let request = self.request();
        self.note(json!({ step: {} }), json!({ "request": request }))
    }

    fn note(&mut self, step: Value, mut expected: Value) -> &mut Self {
        let buckets = self.buckets();
        if buckets != self.buckets {
            expected["buckets"] = buckets.clone();
            self.buckets = buckets;
        }
        self.steps.push(step);
        self.expected.push(expected);
        self
    }

    fn case(&mut self, name: &str) -> Case {
        let expected = json!({ "steps": self.expected, "records": self.records() });
        let input = json!({ "repair_rows": wide(self.repair_rows), "steps": self.steps });
        Case::new(name, input, expected)
    }

    fn buckets(&self) -> Value {
        let mut held: Vec<_> = self.device.buckets().filter(|bucket| bucket.at != At::Nothing).collect();
        held.sort_by_key(|bucket| (bucket.scope.clone(), bucket.kind));
        let described = held.into_iter().map(|bucket| {
            json!({
                "scope": bucket.scope.as_ref(),
                "kind": bucket.kind,
                "rows": wide(bucket.rows),
                "checksum": wide(bucket.checksum.0),
            })
        });
        described.collect()
    }

    fn records(&self) -> Vec<Value> {
        let kinds: std::collections::BTreeSet<u32> = self.device.buckets().map(|bucket| bucket.kind).collect();
        let records = kinds.into_iter().flat_map(|kind| self.device.records(kind).expect("memory is read"));
        let mut records: Vec<_> = records.collect();
        records.sort_by_key(|(record, _)| *record);
        let described = records.into_iter().map(|(record, document)| {
            json!({
                "record_id": id_hex(record),
                "kind": document.kind,
                "version": wide(document.version),
                "document": hex(document.bytes),
            })
        });
        described.collect()
    }

    fn request(&self) -> Value {
        let mut request = self.device.request(&Want::default()).expect("reads");
        request.lagging.sort_by_key(|lagging| lagging.bucket_id);
        request.staging.sort_by_key(|staging| staging.bucket_id);
        request.inventory.sort_by_key(|held| (held.bucket_id, held.scope.clone(), held.kind));
        requested(&request)
    }
}

fn opened(storage: MemoryStorage, repair_rows: i64) -> Replica<MemoryStorage> {
    Replica::open(storage).expect("memory opens").with_repair_rows(repair_rows)
}

/// The sums that are not 0, by partition.
fn partial_sums(sums: &[u64]) -> Value {
    let sums = sums.iter().enumerate().filter(|(_, sum)| **sum != 0);
    Value::Object(sums.map(|(partition, sum)| (partition.to_string(), wide(*sum))).collect())
}

fn requested(request: &PullRequest) -> Value {
    let lagging = request.lagging.iter().map(|lagging| {
        json!({
            "bucket_id": wide(lagging.bucket_id),
            "position": position(lagging.position.map(Into::into)),
            "partial_sums": partial_sums(&lagging.partial_sums),
        })
    });
    let staging = request.staging.iter().map(|staging| {
        let cursor = staging.cursor.as_ref().expect("a cursor");
        json!({
            "bucket_id": wide(staging.bucket_id),
            "cursor": { "version": wide(cursor.version), "record_id": hex(&cursor.record_id) },
            "oldest_build": position(staging.oldest_build.map(Into::into)),
            "newest_build": position(staging.newest_build.map(Into::into)),
            "reset": staging.reset,
        })
    });
    let inventory = request.inventory.iter().map(|held| {
        json!({
            "bucket_id": wide(held.bucket_id),
            "scope": held.scope,
            "kind": held.kind,
            "rows": wide(held.rows),
            "checksum": wide(held.checksum),
            "position": position(held.position.map(Into::into)),
            "partial_sums": partial_sums(&held.partial_sums),
        })
    });
    json!({
        "position": position(request.position.map(Into::into)),
        "scope_digest": wide(request.scope_digest),
        "lagging": lagging.collect::<Vec<_>>(),
        "staging": staging.collect::<Vec<_>>(),
        "has_inventory": request.has_inventory,
        "inventory": inventory.collect::<Vec<_>>(),
    })
}

fn described(event: &Event) -> Value {
    match event {
        Event::Fork { expected_seq } => json!({ "is": "fork", "expected_seq": wide(expected_seq) }),
        Event::InventoryWanted => json!({ "is": "inventory_wanted" }),
        Event::Planned { rows, bytes } => json!({ "is": "planned", "rows": wide(rows), "bytes": wide(bytes) }),
        Event::Staged { rows, bytes } => json!({ "is": "staged", "rows": rows, "bytes": bytes }),
        Event::Checkpoint { group, last, position: at, changed, damaged } => {
            let damaged = damaged.iter().map(|(scope, kind)| json!({ "scope": scope, "kind": kind }));
            json!({
                "is": "checkpoint",
                "group": group,
                "last": last,
                "position": position(Some(*at)),
                "changed": changed,
                "damaged": damaged.collect::<Vec<_>>(),
            })
        }
        Event::Alive { position: at } => json!({ "is": "alive", "position": position(*at) }),
    }
}

/// What the vectors call a fault of a message.
fn reason(error: &ReplicaError<std::convert::Infallible>) -> &'static str {
    match error {
        ReplicaError::Storage(never) => match *never {},
        ReplicaError::Lost(_) => unreachable!("memory loses no page"),
        ReplicaError::Page { source, .. } => page::reason(source),
        ReplicaError::Gap { .. } => "page_gap",
        ReplicaError::Unknown(_) => "bucket_unknown",
        ReplicaError::NotPlanned(_) => "bucket_not_planned",
        ReplicaError::Number(_) => "bucket_number",
        ReplicaError::Kind(_) => "bucket_kind",
        ReplicaError::Action(_) => "bucket_action",
        ReplicaError::Partitions(_) => "bucket_partitions",
        ReplicaError::NoPosition => "checkpoint_position",
        ReplicaError::WentBack { .. } => "checkpoint_back",
    }
}
