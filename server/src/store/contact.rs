//! What was last heard of devices.

use prost::Message as _;
use roundsman_proto::sync::{OutboxSummary, PullRequest, WaitingCommands};
use uuid::Uuid;

use super::sql::{Cell, Column, Rows, Table, Tx};
use crate::contacts::Contact;
use crate::error::StoreError;

/// What this process has not heard stays as it is stored.
static TABLE: Table = Table {
    name: "device_contact",
    columns: &[
        ("tenant", Column::Int),
        ("device", Column::Id),
        ("seen_at", Column::Int),
        ("clock_offset_us", Column::Int),
        ("app_version", Column::Text),
        ("protocol_version", Column::Int),
        ("outbox_commands", Column::Int),
        ("outbox_oldest_at", Column::Int),
        ("outbox_kinds", Column::Bytes),
        ("outbox_at", Column::Int),
        ("outbox_since", Column::Int),
        ("position_version", Column::Int),
        ("position_nonce", Column::Int),
        ("pull", Column::Bytes),
        ("refused_at", Column::Int),
        ("refused_reason", Column::Text),
        ("mended_at", Column::Int),
        ("mended", Column::Text),
    ],
    conflict: "ON CONFLICT (tenant, device) DO UPDATE SET seen_at = excluded.seen_at, \
               clock_offset_us = excluded.clock_offset_us, app_version = excluded.app_version, \
               protocol_version = excluded.protocol_version, \
               outbox_commands = COALESCE(excluded.outbox_commands, device_contact.outbox_commands), \
               outbox_oldest_at = COALESCE(excluded.outbox_oldest_at, device_contact.outbox_oldest_at), \
               outbox_kinds = COALESCE(excluded.outbox_kinds, device_contact.outbox_kinds), \
               outbox_at = COALESCE(excluded.outbox_at, device_contact.outbox_at), \
               outbox_since = CASE WHEN excluded.outbox_commands IS NULL OR \
                 (excluded.outbox_commands > 0 AND device_contact.outbox_commands > 0) \
                 THEN device_contact.outbox_since ELSE excluded.outbox_since END, \
               position_version = COALESCE(excluded.position_version, device_contact.position_version), \
               position_nonce = COALESCE(excluded.position_nonce, device_contact.position_nonce), \
               pull = COALESCE(excluded.pull, device_contact.pull), \
               refused_at = COALESCE(excluded.refused_at, device_contact.refused_at), \
               refused_reason = COALESCE(excluded.refused_reason, device_contact.refused_reason), \
               mended_at = COALESCE(excluded.mended_at, device_contact.mended_at), \
               mended = COALESCE(excluded.mended, device_contact.mended)",
};

/// The rows that store contacts.
#[must_use]
pub fn rows(contacts: &[((i64, Uuid), Contact)]) -> Rows {
    let rows = contacts
        .iter()
        .map(|((tenant, device), contact)| {
            let said = &contact.said;
            let outbox = said.outbox.as_ref();
            let outbox_at_us = outbox.map(|_| contact.outbox_at_us);
            vec![
                Cell::from(*tenant),
                (*device).into(),
                contact.seen_at_us.into(),
                contact.offset_us().into(),
                said.app_version.clone().into(),
                i64::from(said.protocol_version).into(),
                outbox.map(|outbox| i64::from(outbox.commands)).into(),
                outbox.map(|outbox| outbox.oldest_captured_at_us).into(),
                outbox.map(kinds).into(),
                outbox_at_us.into(),
                outbox_at_us.into(),
                said.position.map(|position| position.version).into(),
                said.position.map(|position| position.nonce.cast_signed()).into(),
                said.pull.as_ref().map(PullRequest::encode_to_vec).into(),
                said.refused.as_ref().map(|_| contact.refused_at_us).into(),
                said.refused.clone().into(),
                said.mended.as_ref().map(|_| contact.mended_at_us).into(),
                said.mended.clone().into(),
            ]
        })
        .collect();
    Rows { table: &TABLE, rows }
}

fn kinds(outbox: &OutboxSummary) -> Vec<u8> {
    OutboxSummary { kinds: outbox.kinds.clone(), ..OutboxSummary::default() }.encode_to_vec()
}

/// What waits on a device.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Waiting {
    /// The device.
    pub device: Uuid,
    /// What a person calls it.
    pub device_name: Option<String>,
    /// Its user.
    pub user_id: Option<Uuid>,
    /// The rep that the user is.
    pub rep: Option<Uuid>,
    /// The rep's name, or the user's login.
    pub name: Option<String>,
    /// The rep's team, or the supervisor's.
    pub team: Option<Uuid>,
    /// How many commands wait.
    pub commands: i64,
    /// Of which kinds they are, as they are stored; see [`waiting_kinds`].
    pub kinds: Option<Vec<u8>>,
    /// When the oldest was captured, by the device's clock, in microseconds since the Unix epoch.
    pub oldest_at: i64,
    /// Since when something waits, in microseconds since the Unix epoch.
    pub since_at: i64,
    /// When the device said so, in microseconds since the Unix epoch.
    pub reported_at: i64,
    /// When it was revoked.
    pub revoked_at: Option<i64>,
}

macro_rules! waiting_sql {
    ($whose:literal) => {
        concat!(
            "SELECT c.device AS device, d.name AS device_name, d.user_id AS user_id, u.rep AS rep, ",
            "COALESCE(r.name, u.login) AS name, CASE WHEN u.rep IS NULL THEN u.team ELSE r.team END AS team, ",
            "c.outbox_commands AS commands, c.outbox_kinds AS kinds, c.outbox_oldest_at AS oldest_at, ",
            "c.outbox_since AS since_at, c.outbox_at AS reported_at, s.revoked_at AS revoked_at ",
            // LEFT, so that no database begins with the devices.
            "FROM device_contact c LEFT JOIN device d ON d.tenant = c.tenant AND d.id = c.device ",
            "LEFT JOIN user_account u ON u.tenant = d.tenant AND u.id = d.user_id ",
            "LEFT JOIN rep r ON r.tenant = u.tenant AND r.id = u.rep ",
            "LEFT JOIN device_sequence s ON s.tenant = c.tenant AND s.device = c.device ",
            "WHERE c.tenant = $1 AND c.outbox_commands > 0 AND (c.outbox_oldest_at, c.device) > ($2, $3)",
            $whose,
            " ORDER BY c.outbox_oldest_at, c.device LIMIT $4"
        )
    };
}

/// A page of the devices on which something waits, of a team or of all, the one with the oldest command first, after this
/// moment and device.
///
/// # Errors
/// When the database does not answer.
pub async fn waiting(
    tx: &mut Tx,
    tenant: i64,
    team: Option<Uuid>,
    after: (i64, Uuid),
    limit: i64,
) -> Result<Vec<Waiting>, StoreError> {
    let query = match team {
        None => tx.query_as(waiting_sql!("")),
        Some(_) => tx.query_as(waiting_sql!(" AND CASE WHEN u.rep IS NULL THEN u.team ELSE r.team END = $5")),
    };
    let query = query.bind(tenant).bind(after.0).bind(after.1).bind(limit);
    match team {
        None => query.all().await,
        Some(team) => query.bind(team).all().await,
    }
}

/// What was heard of a device beyond what [`super::account::Device`] has.
#[derive(Clone, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct Heard {
    /// The device.
    pub device: Uuid,
    /// The version of the protocol that its app spoke last.
    pub protocol_version: i64,
    /// Of which kinds the commands are that wait, as they are stored; see [`waiting_kinds`].
    pub outbox_kinds: Option<Vec<u8>>,
    /// When it said so, in microseconds since the Unix epoch.
    pub outbox_at: Option<i64>,
    /// The version of its last checkpoint.
    pub position_version: Option<i64>,
    /// That version's nonce.
    pub position_nonce: Option<i64>,
    /// What its last pull said, as it is stored; see [`Heard::last_pull`].
    pub pull: Option<Vec<u8>>,
    /// When a pull was last refused, in microseconds since the Unix epoch.
    pub refused_at: Option<i64>,
    /// Why.
    pub refused_reason: Option<String>,
    /// When a bucket of it was last mended, in microseconds since the Unix epoch.
    pub mended_at: Option<i64>,
    /// Which: its scope, and the number of its kind.
    pub mended: Option<String>,
}

impl Heard {
    /// What its last pull said of what the device holds.
    #[must_use]
    pub fn last_pull(&self) -> PullRequest {
        // Nobody but this module writes it; what can't be read is as if it had not been said.
        self.pull.as_deref().and_then(|bytes| PullRequest::decode(bytes).ok()).unwrap_or_default()
    }
}

/// What was heard of these devices; one that never called is left out.
///
/// # Errors
/// When the database does not answer.
pub async fn heard(tx: &mut Tx, tenant: i64, devices: &[Uuid]) -> Result<Vec<Heard>, StoreError> {
    if devices.is_empty() {
        return Ok(Vec::new());
    }
    tx.query_as(
        "SELECT device, protocol_version, outbox_kinds, outbox_at, position_version, position_nonce, pull, refused_at, \
                refused_reason, mended_at, mended FROM BY_UUIDS(device_contact.device, $2)",
    )
    .bind(tenant)
    .bind_uuids(devices)
    .all()
    .await
}

/// The kinds of what waits, as they were stored.
#[must_use]
pub fn waiting_kinds(stored: Option<&[u8]>) -> Vec<WaitingCommands> {
    // Nobody but this module writes it; what can't be read is as if it had not been said.
    stored.and_then(|bytes| OutboxSummary::decode(bytes).ok()).unwrap_or_default().kinds
}
