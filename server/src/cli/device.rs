//! `roundsman device`: what is known of the phones.

use chrono::{DateTime, SecondsFormat};
use clap::Subcommand;
use roundsman_proto::admin::admin_service_client::AdminServiceClient;
use roundsman_proto::admin::{Device, ListDevicesRequest};
use roundsman_proto::supervision::supervision_service_client::SupervisionServiceClient;
use roundsman_proto::supervision::{ListOutboxesRequest, ListedOutbox, WaitingKind};
use serde_json::json;

use super::client::{Login, Session};
use super::inspect::{self, ShowDevice};
use super::print;
use super::user::id;

/// Devices in one page.
const PAGE: i32 = 1_000;

/// What can be done with devices; each but `outboxes` needs an administrator's login.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Lists all devices, the one last seen first.
    List(List),
    /// Shows a device: what it has and what it lacks, what waits on it, and what went wrong.
    Show(ShowDevice),
    /// Lists what was captured and is only on phones yet, the oldest first: of all, or, for a supervisor, of the own team.
    Outboxes(List),
}

/// How devices are listed.
#[derive(Debug, clap::Args)]
pub struct List {
    /// The administrator who does this.
    #[command(flatten)]
    pub login: Login,
    /// As JSON, for machines: moments in microseconds since the Unix epoch.
    #[arg(long)]
    pub json: bool,
}

/// Does it.
///
/// # Errors
/// When the server can't be reached, or says no.
pub async fn run(verb: Verb) -> anyhow::Result<()> {
    match verb {
        Verb::List(args) => {
            let mut session = args.login.open().await?;
            let devices = list(&mut session).await;
            session.close().await;
            show(&devices?, args.json);
        }
        Verb::Show(args) => inspect::device(args).await?,
        Verb::Outboxes(args) => {
            let mut session = args.login.open().await?;
            let outboxes = outboxes(&mut session).await;
            session.close().await;
            show_outboxes(&outboxes?, args.json);
        }
    }
    Ok(())
}

async fn outboxes(session: &mut Session) -> anyhow::Result<Vec<ListedOutbox>> {
    let mut outboxes = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListOutboxesRequest { page_size: PAGE, page_token, ..ListOutboxesRequest::default() };
        let page = session
            .call(request, async |channel, request| SupervisionServiceClient::new(channel).list_outboxes(request).await)
            .await?;
        outboxes.extend(page.outboxes);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(outboxes);
        }
    }
}

fn show_outboxes(outboxes: &[ListedOutbox], as_json: bool) {
    if as_json {
        let outbox = |outbox: &ListedOutbox| {
            json!({
                "device_id": id(&outbox.device_id),
                "device_name": outbox.device_name,
                "user_id": id(&outbox.user_id),
                "rep_id": id(&outbox.rep_id),
                "name": outbox.name,
                "team_id": id(&outbox.team_id),
                "commands": outbox.commands,
                "kinds": outbox.kinds.iter().map(|kind| json!({ "name": kind.name, "count": kind.count })).collect::<Vec<_>>(),
                "oldest_captured_at_us": outbox.oldest_captured_at_us,
                "since_at_us": outbox.since_at_us,
                "reported_at_us": outbox.reported_at_us,
                "revoked": outbox.revoked,
            })
        };
        return print::json(&outboxes.iter().map(outbox).collect());
    }
    let row = |outbox: &ListedOutbox| {
        vec![
            outbox.name.clone(),
            outbox.device_name.clone(),
            id(&outbox.device_id),
            outbox.commands.to_string(),
            kinds(&outbox.kinds),
            moment(outbox.oldest_captured_at_us),
            moment(outbox.since_at_us),
            moment(outbox.reported_at_us),
            if outbox.revoked { "revoked" } else { "" }.to_owned(),
        ]
    };
    let heading = ["REP", "NAME", "DEVICE", "WAITING", "KINDS", "OLDEST", "SINCE", "REPORTED", ""];
    print::table(&heading, &outboxes.iter().map(row).collect::<Vec<_>>());
}

/// Kinds of commands with how many there are of each.
pub(super) fn kinds(kinds: &[WaitingKind]) -> String {
    let kinds: Vec<String> = kinds.iter().map(|kind| format!("{} {}", kind.count, kind.name)).collect();
    kinds.join(", ")
}

/// All devices, the one last seen first.
///
/// # Errors
/// When the server says no.
pub async fn list(session: &mut Session) -> anyhow::Result<Vec<Device>> {
    let mut devices = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListDevicesRequest { page_size: PAGE, page_token };
        let page = session
            .call(request, async |channel, request| AdminServiceClient::new(channel).list_devices(request).await)
            .await?;
        devices.extend(page.devices);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(devices);
        }
    }
}

/// A moment in UTC; empty: it never came.
#[must_use]
pub fn moment(at_us: i64) -> String {
    let moment = DateTime::from_timestamp_micros(at_us).filter(|_| at_us != 0);
    moment.map(|moment| moment.to_rfc3339_opts(SecondsFormat::Secs, true)).unwrap_or_default()
}

fn show(devices: &[Device], as_json: bool) {
    if as_json {
        let device = |device: &Device| {
            json!({
                "device_id": id(&device.device_id),
                "user_id": id(&device.user_id),
                "name": device.name,
                "app_version": device.app_version,
                "seen_at_us": device.seen_at_us,
                "last_seq": device.last_seq,
                "outbox_commands": device.outbox_commands,
                "outbox_oldest_at_us": device.outbox_oldest_at_us,
                "clock_offset_us": device.clock_offset_us,
                "revoked": device.revoked,
            })
        };
        return print::json(&devices.iter().map(device).collect());
    }
    let row = |device: &Device| {
        vec![
            device.name.clone(),
            id(&device.device_id),
            id(&device.user_id),
            device.app_version.clone(),
            moment(device.seen_at_us),
            device.outbox_commands.to_string(),
            moment(device.outbox_oldest_at_us),
            format!("{:+} s", device.clock_offset_us / 1_000_000),
            if device.revoked { "revoked" } else { "" }.to_owned(),
        ]
    };
    let heading = ["NAME", "DEVICE", "USER", "APP", "SEEN", "WAITING", "SINCE", "CLOCK", ""];
    print::table(&heading, &devices.iter().map(row).collect::<Vec<_>>());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_shown_in_utc() {
        assert_eq!((moment(1_795_406_400_000_000).as_str(), moment(0).as_str()), ("2026-11-23T04:00:00Z", ""));
    }
}
