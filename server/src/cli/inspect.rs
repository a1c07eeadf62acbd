//! `roundsman record`, `roundsman bucket` and `roundsman device show`: what is behind what is shown.

use anyhow::Context as _;
use clap::{Args, Subcommand};
use roundsman_proto::admin::inspect_service_client::InspectServiceClient;
use roundsman_proto::admin::{
    Bucket, Device, DeviceBucket, FailedCommand, GetBucketRequest, GetDeviceRequest, GetDeviceResponse,
    GetRecordRequest, Holder, ListHoldersRequest, ListRecordHistoryRequest, PositionState, RecordBucket, RecordChange,
};
use roundsman_proto::sync::Outcome;
use roundsman_sync::kind::{KINDS, Kind};
use uuid::Uuid;

use super::client::{Login, Session};
use super::device::{kinds, moment};
use super::print;
use super::user::id;

/// Devices that are looked at for one page.
const LOOKED_AT: i32 = 200;
/// Changes of a record that are shown: the last ones.
const CHANGES: i32 = 100;

/// What can be done with records; it needs an administrator's login.
#[derive(Debug, Subcommand)]
pub enum RecordVerb {
    /// Shows a record as JSON, its last 100 changes with what lost where two of them met, the buckets that hand it out, and
    /// which devices have it as it is now.
    Show {
        /// The administrator who does this.
        #[command(flatten)]
        login: Login,
        /// Its kind, such as `order` or `price_list`.
        #[arg(value_parser = kind_of)]
        kind: Kind,
        /// Its id.
        record: Uuid,
    },
}

/// What can be done with buckets; it needs an administrator's login.
#[derive(Debug, Subcommand)]
pub enum BucketVerb {
    /// Shows a bucket, and which devices have it as it is now.
    Show {
        /// The administrator who does this.
        #[command(flatten)]
        login: Login,
        /// Its scope, such as `tenant` or `territory:0192…`.
        scope: String,
        /// The kind of its records, such as `outlet`.
        #[arg(value_parser = kind_of)]
        kind: Kind,
    },
}

/// Which device is shown.
#[derive(Args, Debug)]
pub struct ShowDevice {
    /// The administrator who does this.
    #[command(flatten)]
    pub login: Login,
    /// The device's id.
    pub device: Uuid,
}

/// Shows a record.
///
/// # Errors
/// When the server can't be reached, or says no.
pub async fn record(verb: RecordVerb) -> anyhow::Result<()> {
    let RecordVerb::Show { login, kind, record } = verb;
    let mut session = login.open().await?;
    let done = show_record(&mut session, kind, record).await;
    session.close().await;
    done
}

/// Shows a bucket.
///
/// # Errors
/// When the server can't be reached, or says no.
pub async fn bucket(verb: BucketVerb) -> anyhow::Result<()> {
    let BucketVerb::Show { login, scope, kind } = verb;
    let mut session = login.open().await?;
    let done = show_bucket(&mut session, scope, kind).await;
    session.close().await;
    done
}

/// Shows a device.
///
/// # Errors
/// When the server can't be reached, or says no.
pub async fn device(args: ShowDevice) -> anyhow::Result<()> {
    let mut session = args.login.open().await?;
    let request = GetDeviceRequest { device_id: args.device.as_bytes().to_vec() };
    let answer = session
        .call(request, async |channel, request| InspectServiceClient::new(channel).get_device(request).await)
        .await;
    session.close().await;
    show_device(answer?);
    Ok(())
}

fn show_device(answer: GetDeviceResponse) {
    let device = answer.device.clone().unwrap_or_default();
    for (name, value) in facts(&device, &answer) {
        print::line(format_args!("{name:<10}  {value}"));
    }
    let row = |held: &DeviceBucket| {
        let bucket = held.bucket.clone().unwrap_or_default();
        let state = match (held.unknown_to_app, held.is_current) {
            (true, _) => "unknown to the app",
            (false, true) => "",
            (false, false) if held.held_version == 0 => "missing",
            (false, false) => "behind",
        };
        let mut row = bucket_row(&bucket);
        row.extend([held.held_version.to_string(), state.to_owned()]);
        row
    };
    print::line("");
    let heading = ["BUCKET", "SCOPE", "KIND", "ROWS", "HEAD", "HELD", ""];
    print::table(&heading, &answer.buckets.iter().map(row).collect::<Vec<_>>());
    let row = |failed: &FailedCommand| {
        let outcome = failed.outcome.clone().unwrap_or_default();
        let confirmed = if failed.confirmed { "" } else { "not confirmed" };
        let mut row = vec![failed.seq.to_string(), moment(failed.decided_at_us), failed.name.clone()];
        row.extend(decision(&outcome));
        row.extend([confirmed.to_owned(), outcome.text]);
        row
    };
    if !answer.failed.is_empty() {
        print::line("");
        let heading = ["SEQ", "DECIDED", "COMMAND", "OUTCOME", "REASON", "", "TEXT"];
        print::table(&heading, &answer.failed.iter().map(row).collect::<Vec<_>>());
    }
}

fn facts(device: &Device, answer: &GetDeviceResponse) -> Vec<(&'static str, String)> {
    let missed = answer.version.saturating_sub(answer.position_version);
    let position = match answer.position_state() {
        PositionState::Unspecified => "none".to_owned(),
        PositionState::Known => format!("{}, {missed} versions behind", answer.position_version),
        PositionState::Forked => format!("{}, of a history that is not this one", answer.position_version),
        PositionState::BehindHorizon => format!("{}, behind the horizon", answer.position_version),
    };
    let waiting = match device.outbox_commands {
        0 => "nothing".to_owned(),
        _ => format!("{}, the oldest of {}", kinds(&answer.outbox_kinds), moment(device.outbox_oldest_at_us)),
    };
    let mut facts = vec![
        ("device", format!("{} {}", id(&device.device_id), if device.revoked { "(revoked)" } else { "" })),
        ("name", device.name.clone()),
        ("user", format!("{} {}", answer.login, id(&device.user_id))),
        ("rep", id(&answer.rep_id)),
        ("app", format!("{}, protocol {}", device.app_version, answer.protocol_version)),
        ("seen", moment(device.seen_at_us)),
        ("clock", format!("{:+} s", device.clock_offset_us / 1_000_000)),
        ("position", position),
        ("waiting", format!("{waiting}, as of {}", moment(answer.outbox_reported_at_us))),
        ("outcomes", format!("{} decided, {} confirmed", device.last_seq, answer.confirmed_seq)),
    ];
    if answer.scopes_changed {
        facts.push(("scopes", "changed since the last checkpoint".to_owned()));
    }
    if answer.refused_at_us != 0 {
        facts.push(("refused", format!("{} at {}", answer.refused_reason, moment(answer.refused_at_us))));
    }
    if answer.mended_at_us != 0 {
        facts.push(("mended", format!("{} at {}", answer.mended, moment(answer.mended_at_us))));
    }
    facts
}

async fn show_record(session: &mut Session, kind: Kind, record: Uuid) -> anyhow::Result<()> {
    let record_id = record.as_bytes().to_vec();
    let request = GetRecordRequest { record_id: record_id.clone(), kind: kind as u32 };
    let answer = session
        .call(request, async |channel, request| InspectServiceClient::new(channel).get_record(request).await)
        .await?;
    if !answer.unreadable.is_empty() {
        print::line(format_args!("the document can't be read: {}", answer.unreadable));
    } else if answer.removed_at_us == 0 {
        let document: serde_json::Value = serde_json::from_str(&answer.document_json).context("no JSON came")?;
        print::json(&document);
    } else {
        print::line(format_args!("removed at {} {}", moment(answer.removed_at_us), id(&answer.survivor_id)));
    }
    print::line(format_args!("\nversion {}\n", answer.version));
    let row = |placed: &RecordBucket| {
        let mut row = bucket_row(&placed.bucket.clone().unwrap_or_default());
        row.extend([placed.row_version.to_string(), if placed.live { "" } else { "left" }.to_owned()]);
        row
    };
    let heading = ["BUCKET", "SCOPE", "KIND", "ROWS", "HEAD", "ROW", ""];
    print::table(&heading, &answer.buckets.iter().map(row).collect::<Vec<_>>());
    let request = ListRecordHistoryRequest {
        record_id: record_id.clone(),
        page_size: CHANGES,
        ..ListRecordHistoryRequest::default()
    };
    let history = session
        .call(request, async |channel, request| InspectServiceClient::new(channel).list_record_history(request).await)
        .await?;
    print::line("");
    show_history(&history.changes);
    let sought = ListHoldersRequest { record_id, ..ListHoldersRequest::default() };
    print::line("");
    show_holders(&holders(session, sought).await?);
    Ok(())
}

fn show_history(changes: &[RecordChange]) {
    let mut rows = Vec::new();
    let mut overrides = Vec::new();
    for change in changes {
        let outcome = change.outcome.clone().unwrap_or_default();
        let mut row = vec![
            change.version.to_string(),
            moment(change.decided_at_us),
            change.command_name.clone(),
            id(&change.command_id),
            id(&change.user_id),
            id(&change.device_id),
        ];
        row.extend(decision(&outcome));
        rows.push(row);
        overrides.extend(outcome.overrides.into_iter().map(|met| {
            let reason = code(met.reason().as_str_name(), "REASON_");
            vec![change.version.to_string(), id(&met.line_id), met.field, met.kept, met.lost, reason]
        }));
    }
    print::table(&["VERSION", "DECIDED", "COMMAND", "ID", "USER", "DEVICE", "OUTCOME", "REASON"], &rows);
    if !overrides.is_empty() {
        print::line("");
        print::table(&["VERSION", "LINE", "FIELD", "KEPT", "LOST", "REASON"], &overrides);
    }
}

async fn show_bucket(session: &mut Session, scope: String, kind: Kind) -> anyhow::Result<()> {
    let request = GetBucketRequest { scope: scope.clone(), kind: kind as u32 };
    let answer = session
        .call(request, async |channel, request| InspectServiceClient::new(channel).get_bucket(request).await)
        .await?;
    let bucket = answer.bucket.context("the server shows nothing")?;
    let mut row = bucket_row(&bucket);
    row.extend([bucket.bytes.to_string(), format!("{:016x}", bucket.checksum)]);
    row.extend([bucket.created.to_string(), bucket.last_removal.to_string()]);
    let heading = ["BUCKET", "SCOPE", "KIND", "ROWS", "HEAD", "BYTES", "CHECKSUM", "CREATED", "LAST REMOVAL"];
    print::table(&heading, &[row]);
    let sought = ListHoldersRequest { scope, kind: kind as u32, ..ListHoldersRequest::default() };
    print::line("");
    show_holders(&holders(session, sought).await?);
    Ok(())
}

async fn holders(session: &mut Session, sought: ListHoldersRequest) -> anyhow::Result<Vec<Holder>> {
    let mut holders = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListHoldersRequest { page_size: LOOKED_AT, page_token, ..sought.clone() };
        let page = session
            .call(request, async |channel, request| InspectServiceClient::new(channel).list_holders(request).await)
            .await?;
        holders.extend(page.holders);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(holders);
        }
    }
}

fn show_holders(holders: &[Holder]) {
    let row = |holder: &Holder| {
        vec![
            id(&holder.device_id),
            holder.device_name.clone(),
            holder.login.clone(),
            holder.bucket_id.to_string(),
            holder.held_version.to_string(),
            if holder.is_current { "" } else { "not yet" }.to_owned(),
            moment(holder.seen_at_us),
        ]
    };
    let heading = ["DEVICE", "NAME", "USER", "BUCKET", "HELD", "", "SEEN"];
    print::table(&heading, &holders.iter().map(row).collect::<Vec<_>>());
}

fn bucket_row(bucket: &Bucket) -> Vec<String> {
    let kind = KINDS.iter().find(|kind| **kind as u32 == bucket.kind).map(|kind| name_of(*kind)).unwrap_or_default();
    let (rows, head) = (bucket.rows.to_string(), bucket.head.to_string());
    vec![bucket.bucket_id.to_string(), bucket.scope.clone(), kind, rows, head]
}

/// Status and reason of an outcome, in small letters.
fn decision(outcome: &Outcome) -> [String; 2] {
    let reason = code(outcome.reason().as_str_name(), "REASON_");
    let reason = if reason == "unspecified" { String::new() } else { reason };
    [code(outcome.status().as_str_name(), "STATUS_"), reason]
}

fn code(name: &str, prefix: &str) -> String {
    name.trim_start_matches(prefix).to_lowercase()
}

fn name_of(kind: Kind) -> String {
    code(kind.as_str_name(), "KIND_")
}

fn kind_of(text: &str) -> Result<Kind, String> {
    let found = KINDS.iter().copied().find(|kind| name_of(*kind) == text.to_lowercase());
    found.ok_or_else(|| {
        let names: Vec<String> = KINDS.iter().map(|kind| name_of(*kind)).collect();
        format!("it must be one of {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_name_that_can_be_given() {
        for kind in KINDS {
            assert_eq!(kind_of(&name_of(*kind)), Ok(*kind));
        }
        assert_eq!(kind_of("Price_List"), Ok(Kind::PriceList));
        assert!(kind_of("thing").expect_err("is none").contains("survey_response"));
    }
}
