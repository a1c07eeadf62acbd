//! What is right, and is then changed: the messages of the test vectors, and what they don't have.

use prost::Message as _;
use roundsman::exchange::csv;
use roundsman_proto::sync::{
    Command as Captured, HeldBucket, LaggingBucket, OutboxSummary, Position, PullRequest, PushRequest, Skip,
    StagingCursor,
};
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::{
    AnswerChangeRequest, CheckOut, CollectPayment, EditOutlet, FileClaim, NewOrderLine, RegisterOutlet, SubmitOrder,
};
use serde_json::Value;
use uuid::Uuid;

use crate::app::{START_US, TODAY, encoded};
use crate::vectors;
use crate::world::{bytes, check_in, place};

/// Messages that are right, by where they go.
#[derive(Debug)]
pub struct Corpus {
    /// Steps of a device's stream: serialized answers to a pull.
    pub streams: Vec<Vec<Vec<u8>>>,
    /// All of these answers.
    pub pulled: Vec<Vec<u8>>,
    /// Serialized pages.
    pub pages: Vec<Vec<u8>>,
    /// Steps of an outbox: commands that are captured, with their bodies, and serialized answers to a push.
    pub outboxes: Vec<Vec<Step>>,
    /// All of these answers.
    pub pushed: Vec<Vec<u8>>,
    /// Bodies of commands.
    pub commands: Vec<Vec<u8>>,
    /// Serialized requests to push.
    pub pushes: Vec<Vec<u8>>,
    /// Serialized requests to pull.
    pub pulls: Vec<Vec<u8>>,
    /// Files to import.
    pub files: Vec<(csv::Kind, Vec<u8>)>,
}

/// What happens to an outbox.
#[derive(Clone, Debug)]
pub enum Step {
    /// A command is captured.
    Capture(Uuid, Vec<u8>),
    /// A push is answered.
    Answer(Vec<u8>),
}

impl Corpus {
    /// Reads the vectors, and makes the rest for these outlets and their territory.
    #[must_use]
    pub fn new(outlets: &[Uuid], territory: Uuid) -> Self {
        let steps = |name: &str| -> Vec<Vec<Value>> {
            let families = vectors::families().into_iter().filter(|family| family.name.starts_with(name));
            let cases = families.flat_map(|family| family.cases);
            cases.map(|case| case.input["steps"].as_array().cloned().unwrap_or_default()).collect()
        };
        let hex = |value: &Value| hex::decode(value.as_str()?).ok();
        let received = |steps: &Vec<Value>| steps.iter().filter_map(|step| hex(&step["receive"])).collect();
        let streams: Vec<Vec<Vec<u8>>> = steps("replica").iter().map(received).collect();
        let step = |step: &Value| {
            let capture = &step["capture"];
            let id = hex(&capture["command_id"]).and_then(|id| Uuid::from_slice(&id).ok());
            let captured = id.zip(hex(&capture["body"])).map(|(id, body)| Step::Capture(id, body));
            captured.or_else(|| hex(&step["answer"]["response"]).map(Step::Answer))
        };
        let outboxes: Vec<Vec<Step>> =
            steps("outbox").iter().map(|steps| steps.iter().filter_map(step).collect()).collect();
        let answers = outboxes.iter().flatten().filter_map(|step| match step {
            Step::Answer(answer) => Some(answer.clone()),
            Step::Capture(..) => None,
        });
        let pages = vectors::families().into_iter().filter(|family| family.name == "page");
        let pages = pages.flat_map(|family| family.cases).filter_map(|case| hex(&case.input["page"]));
        let commands = commands(outlets, territory);
        Self {
            pulled: streams.concat(),
            streams,
            pages: pages.collect(),
            pushed: answers.collect(),
            outboxes,
            pushes: (0..=commands.len()).map(|count| push(&commands[..count]).encode_to_vec()).collect(),
            commands,
            pulls: pulls(territory),
            files: csv::Kind::ALL.map(|kind| (kind, file(kind))).to_vec(),
        }
    }
}

fn number(number: u128) -> Uuid {
    Uuid::from_u128(0x0193_0000_0000_7000_8000_0000_0000_0000 | number)
}

fn commands(outlets: &[Uuid], territory: Uuid) -> Vec<Vec<u8>> {
    let outlet = outlets.first().copied().unwrap_or_default();
    let line = NewOrderLine {
        line_id: bytes(number(1)),
        product_id: bytes(number(2)),
        packaging_code: "piece".to_owned(),
        coefficient_milli: 1_000,
        quantity_milli: 1_000,
        ..NewOrderLine::default()
    };
    let order = SubmitOrder {
        order_id: bytes(number(3)),
        outlet_id: bytes(outlet),
        agreement_id: bytes(number(4)),
        order_day: TODAY,
        delivery_day: TODAY + 1,
        currency: "EUR".to_owned(),
        lines: vec![line; 3],
        ..SubmitOrder::default()
    };
    let register = RegisterOutlet {
        outlet_id: bytes(number(5)),
        territory_id: bytes(territory),
        name: "A kiosk".to_owned(),
        point: Some(place()),
        ..RegisterOutlet::default()
    };
    let all = [
        check_in(number(6), outlet),
        Command::CheckOut(CheckOut { visit_id: bytes(number(6)), productive: true, ..CheckOut::default() }),
        Command::SubmitOrder(order),
        Command::RegisterOutlet(register),
        Command::EditOutlet(EditOutlet { outlet_id: bytes(outlet), ..EditOutlet::default() }),
        Command::CollectPayment(CollectPayment { payment_id: bytes(number(7)), ..CollectPayment::default() }),
        Command::AnswerChangeRequest(AnswerChangeRequest {
            change_request_id: bytes(number(9)),
            ..AnswerChangeRequest::default()
        }),
        Command::FileClaim(FileClaim { reclamation_id: bytes(number(8)), ..FileClaim::default() }),
    ];
    all.into_iter().map(encoded).collect()
}

/// A push of these commands.
#[must_use]
pub fn push(bodies: &[Vec<u8>]) -> PushRequest {
    let commands = (1_i64..).zip(bodies).map(|(seq, body)| Captured {
        command_id: bytes(number(1_000 + u128::from(seq.unsigned_abs()))),
        seq,
        captured_at_us: START_US,
        business_day: TODAY,
        body: body.clone().into(),
    });
    PushRequest {
        protocol_version: 1,
        app_version: "1.0".to_owned(),
        device_clock_us: START_US,
        commands: commands.collect(),
        skip: bodies.is_empty().then_some(Skip { from_seq: 1, to_seq: 2 }),
        outbox: Some(OutboxSummary { commands: 1, oldest_captured_at_us: START_US, kinds: Vec::new() }),
        ..PushRequest::default()
    }
}

fn pulls(territory: Uuid) -> Vec<Vec<u8>> {
    let position = Some(Position { version: 3, nonce: 0x5f5f });
    let first = PullRequest { protocol_version: 1, device_clock_us: START_US, ..PullRequest::default() };
    let held = HeldBucket {
        bucket_id: 1,
        scope: format!("territory:{territory}"),
        kind: 2,
        position,
        rows: 2,
        checksum: 9,
        partial_sums: vec![7; 256],
    };
    let inventory = PullRequest {
        position,
        has_inventory: true,
        inventory: vec![held; 3],
        kinds: vec![1, 2, 4, 6],
        lagging: vec![
            LaggingBucket { bucket_id: 1, position, partial_sums: Vec::new() },
            LaggingBucket { bucket_id: 2, position: None, partial_sums: vec![7; 256] },
        ],
        staging: vec![StagingCursor { bucket_id: 1, ..StagingCursor::default() }],
        scope_digest: 7,
        at_least: 1,
        last_outcome_seq: 2,
        ..first.clone()
    };
    [first, inventory].iter().map(prost::Message::encode_to_vec).collect()
}

/// A header and three rows, of which all are right but the last.
fn file(kind: csv::Kind) -> Vec<u8> {
    let names: Vec<&str> = kind.columns().iter().map(|column| column.name).collect();
    let cell = |row: usize, name: &str| match (row, name) {
        (3, "price" | "name") => "9,x".to_owned(),
        (_, "code") => format!("A{row}"),
        (_, "latitude") => "60.1699".to_owned(),
        (_, "longitude") => "24.9384".to_owned(),
        (_, "price" | "vat_percent" | "weight_kg" | "volume_l") => "12.5".to_owned(),
        (_, "unit") => "pcs".to_owned(),
        (_, "packaging") => "BOX".to_owned(),
        (_, "packaging_quantity" | "min_quantity" | "multiple") => (12 * row).to_string(),
        (_, "valid_from") => format!("2026-11-0{row}"),
        (_, "class") => "A".to_owned(),
        (_, "status") => "active".to_owned(),
        (_, "name" | "territory" | "price_list" | "product" | "group" | "address") => "\"North; \"\"1\"\"\"".to_owned(),
        _ => String::new(),
    };
    let rows = (1..=3).map(|row| names.iter().map(|name| cell(row, name)).collect::<Vec<_>>().join(";"));
    std::iter::once(names.join(";")).chain(rows).collect::<Vec<_>>().join("\r\n").into_bytes()
}
