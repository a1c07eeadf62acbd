//! What is kept of commands: their outcomes, the devices' sequence numbers, the quarantine, the history of records, and
//! what others must hear of.

use bytes::Bytes;
use roundsman_proto::sync::{Outcome, Status};
use uuid::Uuid;

use super::sql::{Cell, Column, Rows, Table, Tx};
use crate::error::StoreError;

static COMMANDS: Table = Table {
    name: "command",
    columns: &[
        ("tenant", Column::Int),
        ("id", Column::Id),
        ("device", Column::Id),
        ("seq", Column::Int),
        ("body_hash", Column::Int),
        ("outcome", Column::Bytes),
        ("version", Column::Int),
        ("decided_at", Column::Int),
        ("body", Column::Bytes),
    ],
    conflict: "",
};

static SEQUENCES: Table = Table {
    name: "device_sequence",
    columns: &[
        ("tenant", Column::Int),
        ("device", Column::Id),
        ("last_seq", Column::Int),
        ("confirmed_seq", Column::Int),
        ("revoked_at", Column::Int),
    ],
    conflict: "ON CONFLICT (tenant, device) DO UPDATE SET last_seq = excluded.last_seq, \
               confirmed_seq = excluded.confirmed_seq, revoked_at = excluded.revoked_at",
};

static QUARANTINE: Table = Table {
    name: "quarantine",
    columns: &[
        ("tenant", Column::Int),
        ("command", Column::Id),
        ("target", Column::Id),
        ("creates", Column::Int),
        ("device", Column::Id),
        ("seq", Column::Int),
        ("actor", Column::Id),
        ("captured_at", Column::Int),
        ("business_day", Column::Int),
        ("received_at", Column::Int),
        ("body", Column::Bytes),
        ("error", Column::Text),
    ],
    conflict: "",
};

static HISTORY: Table = Table {
    name: "history",
    columns: &[
        ("tenant", Column::Int),
        ("version", Column::Int),
        ("ordinal", Column::Int),
        ("record", Column::Id),
        ("command", Column::Id),
        ("command_name", Column::Text),
        ("actor", Column::Id),
        ("device", Column::Id),
        ("captured_at", Column::Int),
        ("decided_at", Column::Int),
        ("request", Column::Text),
        ("outcome", Column::Bytes),
        ("body", Column::Bytes),
    ],
    conflict: "",
};

static OUTBOX: Table = Table {
    name: "outbox",
    columns: &[
        ("tenant", Column::Int),
        ("version", Column::Int),
        ("ordinal", Column::Int),
        ("topic", Column::Text),
        ("record", Column::Id),
    ],
    conflict: "",
};

/// What is known of a command that was decided before.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// The hash of its body.
    pub body_hash: u64,
    /// The device and the number under which it was decided.
    pub sent: Option<(Uuid, i64)>,
    /// What was decided.
    pub outcome: Outcome,
    /// The version that carries its effects.
    pub version: i64,
}

/// Those of these commands that were decided before.
///
/// # Errors
/// When the database does not answer, or an outcome can't be read.
pub async fn known(tx: &mut Tx, tenant: i64, ids: &[Uuid]) -> Result<Vec<(Uuid, Known)>, StoreError> {
    type Row = (Uuid, Option<Uuid>, Option<i64>, i64, Vec<u8>, i64);
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<Row> = tx
        .query_as("SELECT id, device, seq, body_hash, outcome, version FROM BY_UUIDS(command.id, $2)")
        .bind(tenant)
        .bind_uuids(ids)
        .all()
        .await?;
    rows.into_iter()
        .map(|(id, device, seq, body_hash, outcome, version)| {
            let outcome = prost::Message::decode(outcome.as_slice())
                .map_err(|error| StoreError::Corrupt(format!("outcome of command {id}: {error}")))?;
            Ok((id, Known { body_hash: body_hash.cast_unsigned(), sent: device.zip(seq), outcome, version }))
        })
        .collect()
}

/// What the lane keeps of a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sequence {
    /// The number of its last decided command.
    pub last_seq: i64,
    /// The device has stored all outcomes through this number.
    pub confirmed_seq: i64,
    /// When it was revoked.
    pub revoked_at_us: Option<i64>,
}

/// The sequences of these devices; a device that never pushed has none.
///
/// # Errors
/// When the database does not answer.
pub async fn sequences(tx: &mut Tx, tenant: i64, devices: &[Uuid]) -> Result<Vec<(Uuid, Sequence)>, StoreError> {
    if devices.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<(Uuid, i64, i64, Option<i64>)> = tx
        .query_as("SELECT device, last_seq, confirmed_seq, revoked_at FROM BY_UUIDS(device_sequence.device, $2)")
        .bind(tenant)
        .bind_uuids(devices)
        .all()
        .await?;
    Ok(rows
        .into_iter()
        .map(|(device, last_seq, confirmed_seq, revoked_at_us)| {
            (device, Sequence { last_seq, confirmed_seq, revoked_at_us })
        })
        .collect())
}

/// The rows that store sequences.
#[must_use]
pub fn sequence_rows(tenant: i64, sequences: impl Iterator<Item = (Uuid, Sequence)>) -> Rows {
    let rows = sequences
        .map(|(device, sequence)| {
            vec![
                Cell::from(tenant),
                device.into(),
                sequence.last_seq.into(),
                sequence.confirmed_seq.into(),
                sequence.revoked_at_us.into(),
            ]
        })
        .collect();
    Rows { table: &SEQUENCES, rows }
}

/// A record that a quarantined command is about, and whether it was to create it.
///
/// # Errors
/// When the database does not answer.
pub async fn quarantined_targets(tx: &mut Tx, tenant: i64) -> Result<Vec<(Uuid, bool)>, StoreError> {
    let rows: Vec<(Uuid, i64)> = tx
        .query_as("SELECT target, creates FROM quarantine WHERE tenant = $1 AND target IS NOT NULL")
        .bind(tenant)
        .all()
        .await?;
    Ok(rows.into_iter().map(|(target, creates)| (target, creates != 0)).collect())
}

/// A command in quarantine, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Quarantined {
    /// Its id.
    pub command: Uuid,
    /// The record that it is about.
    pub target: Option<Uuid>,
    /// The device that sent it.
    pub device: Option<Uuid>,
    /// The device's number for it; 0: no device sent it.
    pub seq: i64,
    /// Who issued it; nil: the server.
    pub actor: Uuid,
    /// When it was captured, corrected, in microseconds since the Unix epoch.
    pub captured_at: i64,
    /// Its business date, in days since 1970-01-01.
    pub business_day: i64,
    /// When it reached the server, in microseconds since the Unix epoch.
    pub received_at: i64,
    /// Its body, as it came.
    pub body: Vec<u8>,
    /// What went wrong.
    pub error: String,
}

/// A place among the commands in quarantine, in the order of their arrival: when it came, its number, its id.
pub type Arrival = (i64, i64, Uuid);

impl Quarantined {
    /// Its place.
    #[must_use]
    pub fn arrival(&self) -> Arrival {
        (self.received_at, self.seq, self.command)
    }
}

/// A page of the commands in quarantine, in the order of their arrival.
///
/// # Errors
/// When the database does not answer.
pub async fn quarantined(
    tx: &mut Tx,
    tenant: i64,
    (received_at, seq, command): Arrival,
    limit: i64,
) -> Result<Vec<Quarantined>, StoreError> {
    tx.query_as(
        "SELECT command, target, device, COALESCE(seq, 0) AS seq, actor, captured_at, business_day, received_at, body, error \
         FROM quarantine WHERE tenant = $1 AND (received_at > $2 OR (received_at = $2 \
           AND (COALESCE(seq, 0) > $3 OR (COALESCE(seq, 0) = $3 AND command > $4)))) \
         ORDER BY received_at, COALESCE(seq, 0), command LIMIT $5",
    )
    .bind(tenant)
    .bind(received_at)
    .bind(seq)
    .bind(command)
    .bind(limit)
    .all()
    .await
}

/// A command in quarantine; `None`: it is not there.
///
/// # Errors
/// When the database does not answer.
pub async fn find_quarantined(tx: &mut Tx, tenant: i64, command: Uuid) -> Result<Option<Quarantined>, StoreError> {
    tx.query_as(
        "SELECT command, target, device, COALESCE(seq, 0) AS seq, actor, captured_at, business_day, received_at, body, error \
         FROM quarantine WHERE tenant = $1 AND command = $2",
    )
    .bind(tenant)
    .bind(command)
    .optional()
    .await
}

/// The first command in quarantine that is about the same record and came before this one.
///
/// # Errors
/// When the database does not answer.
pub async fn ahead_of(tx: &mut Tx, tenant: i64, entry: &Quarantined) -> Result<Option<Uuid>, StoreError> {
    let found: Vec<(i64, i64, Uuid)> = tx
        .query_as("SELECT received_at, COALESCE(seq, 0), command FROM quarantine WHERE tenant = $1 AND target = $2")
        .bind(tenant)
        .bind(entry.target)
        .all()
        .await?;
    Ok(found.into_iter().min().filter(|first| *first < entry.arrival()).map(|(.., command)| command))
}

/// A command of which nothing came.
#[derive(Clone, Debug, PartialEq)]
pub struct Failed {
    /// Its id.
    pub command: Uuid,
    /// The device's number for it.
    pub seq: i64,
    /// Its body.
    pub body: Vec<u8>,
    /// What was decided: Rejected or Quarantined.
    pub outcome: Outcome,
    /// When, in microseconds since the Unix epoch.
    pub decided_at_us: i64,
}

/// A device's last commands that were rejected or are in quarantine, the last first. Looked at are as many of those that
/// changed nothing as ten times the limit.
///
/// # Errors
/// When the database does not answer, or an outcome can't be read.
pub async fn failed(tx: &mut Tx, tenant: i64, device: Uuid, limit: i64) -> Result<Vec<Failed>, StoreError> {
    type Row = (Uuid, i64, Vec<u8>, Vec<u8>, i64);
    let rows: Vec<Row> = tx
        .query_as(
            "SELECT id, seq, body, outcome, decided_at FROM command \
             WHERE tenant = $1 AND device = $2 AND body IS NOT NULL ORDER BY seq DESC LIMIT $3",
        )
        .bind(tenant)
        .bind(device)
        .bind(limit.saturating_mul(10))
        .all()
        .await?;
    let mut failed = Vec::new();
    for (command, seq, body, outcome, decided_at_us) in rows {
        let outcome: Outcome = prost::Message::decode(outcome.as_slice())
            .map_err(|error| StoreError::Corrupt(format!("outcome of command {command}: {error}")))?;
        if matches!(outcome.status(), Status::Rejected | Status::Quarantined) {
            failed.push(Failed { command, seq, body, outcome, decided_at_us });
        }
    }
    failed.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(failed)
}

/// A change of a record.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Changed {
    /// The version that carries it.
    pub version: i64,
    /// Its place within the version.
    pub ordinal: i64,
    /// The command.
    pub command: Uuid,
    /// The command's name.
    pub command_name: String,
    /// Who issued it; nil: the server.
    pub actor: Uuid,
    /// The device that sent it.
    pub device: Option<Uuid>,
    /// When it was captured, corrected, in microseconds since the Unix epoch.
    pub captured_at: i64,
    /// When it was decided, in microseconds since the Unix epoch.
    pub decided_at: i64,
    /// The request that brought it.
    pub request: String,
    /// What was decided: a `roundsman.sync.v1.Outcome`.
    pub outcome: Vec<u8>,
}

/// A page of a record's changes, the last first, before this version and ordinal.
///
/// # Errors
/// When the database does not answer.
pub async fn history(
    tx: &mut Tx,
    tenant: i64,
    record: Uuid,
    before: (i64, i64),
    limit: i64,
) -> Result<Vec<Changed>, StoreError> {
    tx.query_as(
        "SELECT version, ordinal, command, command_name, actor, device, captured_at, decided_at, request, outcome \
         FROM BY_UUIDS(history.record, $2 BY history_by_record) WHERE (version, ordinal) < ($3, $4) \
         ORDER BY version DESC, ordinal DESC LIMIT $5",
    )
    .bind(tenant)
    .bind_uuids(&[record])
    .bind(before.0)
    .bind(before.1)
    .bind(limit)
    .all()
    .await
}

/// Takes commands out of quarantine, and forgets that they were there.
///
/// # Errors
/// When the database does not answer.
pub async fn release(tx: &mut Tx, tenant: i64, commands: &[Uuid]) -> Result<(), StoreError> {
    if commands.is_empty() {
        return Ok(());
    }
    tx.exclude().await?;
    for statement in ["DELETE FROM BY_UUIDS(command.id, $2)", "DELETE FROM BY_UUIDS(quarantine.command, $2)"] {
        tx.query(statement).bind(tenant).bind_uuids(commands).execute().await?;
    }
    Ok(())
}

/// Takes a command out of quarantine and gives it another outcome; `false`: it is not there.
///
/// # Errors
/// When the database does not answer.
pub async fn discard(tx: &mut Tx, tenant: i64, command: Uuid, outcome: &Outcome) -> Result<bool, StoreError> {
    let gone = tx
        .query("DELETE FROM quarantine WHERE tenant = $1 AND command = $2")
        .bind(tenant)
        .bind(command)
        .execute()
        .await?;
    tx.query("UPDATE command SET outcome = $3 WHERE tenant = $1 AND id = $2")
        .bind(tenant)
        .bind(command)
        .bind(prost::Message::encode_to_vec(outcome))
        .execute()
        .await?;
    Ok(gone == 1)
}

/// A command that was decided in this batch, for all that is kept of it.
#[derive(Clone, Debug)]
pub struct Decided {
    /// Its id.
    pub id: Uuid,
    /// The device and the number, if a device sent it.
    pub sent: Option<(Uuid, i64)>,
    /// Who issued it.
    pub actor: Uuid,
    /// The name of its message.
    pub name: &'static str,
    /// When it was captured, corrected, in microseconds since the Unix epoch.
    pub captured_at_us: i64,
    /// Its business date, in days since 1970-01-01.
    pub business_day: i32,
    /// When it reached the server, in microseconds since the Unix epoch.
    pub received_at_us: i64,
    /// The request that brought it.
    pub request: String,
    /// Its body, as it came.
    pub body: Bytes,
    /// The hash of its body.
    pub body_hash: u64,
    /// What was decided.
    pub outcome: Outcome,
    /// The records that it changed, or would have changed if others had not done so before.
    pub changed: Vec<Uuid>,
    /// What others must hear of.
    pub announcements: Vec<(&'static str, Uuid)>,
    /// Why it was quarantined, and what it is about.
    pub quarantine: Option<Quarantine>,
}

/// Why a command is in quarantine.
#[derive(Clone, Debug)]
pub struct Quarantine {
    /// The record that it is about.
    pub target: Option<Uuid>,
    /// Whether it was to create that record.
    pub creates: bool,
    /// What went wrong.
    pub error: String,
}

/// The rows that store what was decided.
#[must_use]
pub fn decided_rows(tenant: i64, version: i64, decided_at_us: i64, commands: &[Decided]) -> [Rows; 4] {
    let kept = commands.iter().map(|command| command_row(tenant, version, decided_at_us, command)).collect();
    let quarantined = commands.iter().filter_map(|command| quarantine_row(tenant, command)).collect();
    let mut history = Vec::new();
    let mut outbox = Vec::new();
    for command in commands {
        for (index, record) in command.changed.iter().enumerate() {
            let ordinal = i64::try_from(history.len()).expect("a batch is small");
            history.push(history_row((tenant, version, ordinal), *record, command, decided_at_us, index == 0));
        }
        for (topic, record) in &command.announcements {
            let ordinal = i64::try_from(outbox.len()).expect("a batch is small");
            outbox.push(vec![
                Cell::from(tenant),
                version.into(),
                ordinal.into(),
                (*topic).to_owned().into(),
                (*record).into(),
            ]);
        }
    }
    [
        Rows { table: &COMMANDS, rows: kept },
        Rows { table: &QUARANTINE, rows: quarantined },
        Rows { table: &HISTORY, rows: history },
        Rows { table: &OUTBOX, rows: outbox },
    ]
}

fn command_row(tenant: i64, version: i64, decided_at_us: i64, command: &Decided) -> Vec<Cell> {
    // The body of what was carried out stands in the history; of what was not, nowhere else.
    let body = command.changed.is_empty().then(|| command.body.to_vec());
    vec![
        tenant.into(),
        command.id.into(),
        command.sent.map(|(device, _)| device).into(),
        command.sent.map(|(_, seq)| seq).into(),
        command.body_hash.cast_signed().into(),
        prost::Message::encode_to_vec(&command.outcome).into(),
        version.into(),
        decided_at_us.into(),
        body.into(),
    ]
}

fn quarantine_row(tenant: i64, command: &Decided) -> Option<Vec<Cell>> {
    let quarantine = command.quarantine.as_ref()?;
    Some(vec![
        tenant.into(),
        command.id.into(),
        quarantine.target.into(),
        i64::from(quarantine.creates).into(),
        command.sent.map(|(device, _)| device).into(),
        command.sent.map(|(_, seq)| seq).into(),
        command.actor.into(),
        command.captured_at_us.into(),
        i64::from(command.business_day).into(),
        command.received_at_us.into(),
        command.body.to_vec().into(),
        quarantine.error.clone().into(),
    ])
}

fn history_row(
    (tenant, version, ordinal): (i64, i64, i64),
    record: Uuid,
    command: &Decided,
    decided_at_us: i64,
    with_body: bool,
) -> Vec<Cell> {
    vec![
        tenant.into(),
        version.into(),
        ordinal.into(),
        record.into(),
        command.id.into(),
        command.name.to_owned().into(),
        command.actor.into(),
        command.sent.map(|(device, _)| device).into(),
        command.captured_at_us.into(),
        decided_at_us.into(),
        command.request.clone().into(),
        prost::Message::encode_to_vec(&command.outcome).into(),
        with_body.then(|| command.body.to_vec()).into(),
    ]
}
