//! `roundsman quarantine`: what the server could not decide, and what becomes of it.

use anyhow::Context as _;
use clap::Subcommand;
use roundsman_proto::admin::quarantine_service_client::QuarantineServiceClient;
use roundsman_proto::admin::{
    DiscardQuarantinedCommandRequest, GetQuarantinedCommandRequest, ListQuarantinedCommandsRequest, QuarantinedCommand,
    ReplayQuarantinedCommandRequest,
};
use serde_json::json;
use uuid::Uuid;

use super::client::{Login, Session};
use super::device::moment;
use super::print;
use super::user::id;

/// Commands in one page.
const PAGE: i32 = 1_000;

/// What can be done with commands in quarantine; each needs an administrator's login.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Lists all of them, the one that arrived first first.
    List {
        /// The administrator who does this.
        #[command(flatten)]
        login: Login,
        /// As JSON, for machines: moments in microseconds since the Unix epoch.
        #[arg(long)]
        json: bool,
    },
    /// Shows one with all that it says.
    Show {
        /// The administrator who does this.
        #[command(flatten)]
        login: Login,
        /// The command's id.
        command: Uuid,
    },
    /// Decides them now: after a fault was mended, or because what a revoked device sent is to count after all.
    Replay {
        /// The administrator who does this.
        #[command(flatten)]
        login: Login,
        /// The commands' ids, in this order.
        #[arg(required_unless_present = "all")]
        commands: Vec<Uuid>,
        /// All of them, in the order of their arrival.
        #[arg(long, conflicts_with = "commands")]
        all: bool,
    },
    /// Decides that one is not carried out.
    Discard {
        /// The administrator who does this.
        #[command(flatten)]
        login: Login,
        /// The command's id.
        command: Uuid,
        /// Why, for whoever captured it.
        #[arg(long)]
        comment: String,
    },
}

/// Does it.
///
/// # Errors
/// When the server can't be reached, or says no.
pub async fn run(verb: Verb) -> anyhow::Result<()> {
    let mut session = match &verb {
        Verb::List { login, .. } | Verb::Show { login, .. } => login.open().await?,
        Verb::Replay { login, .. } | Verb::Discard { login, .. } => login.open().await?,
    };
    let done = work(&mut session, verb).await;
    session.close().await;
    done
}

async fn work(session: &mut Session, verb: Verb) -> anyhow::Result<()> {
    match verb {
        Verb::List { json, .. } => {
            show(&list(session).await?, json);
            Ok(())
        }
        Verb::Show { command, .. } => get(session, command).await,
        Verb::Replay { commands, all: false, .. } => replay(session, commands).await,
        Verb::Replay { .. } => {
            let all = list(session).await?;
            let ids = all.iter().filter_map(|entry| Uuid::from_slice(&entry.command_id).ok()).collect();
            replay(session, ids).await
        }
        Verb::Discard { command, comment, .. } => {
            let request = DiscardQuarantinedCommandRequest { command_id: command.as_bytes().to_vec(), comment };
            session
                .call(request, async |channel, request| {
                    QuarantineServiceClient::new(channel).discard_quarantined_command(request).await
                })
                .await?;
            Ok(())
        }
    }
}

async fn list(session: &mut Session) -> anyhow::Result<Vec<QuarantinedCommand>> {
    let mut commands = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListQuarantinedCommandsRequest { page_size: PAGE, page_token };
        let page = session
            .call(request, async |channel, request| {
                QuarantineServiceClient::new(channel).list_quarantined_commands(request).await
            })
            .await?;
        commands.extend(page.commands);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(commands);
        }
    }
}

async fn get(session: &mut Session, command: Uuid) -> anyhow::Result<()> {
    let request = GetQuarantinedCommandRequest { command_id: command.as_bytes().to_vec() };
    let answer = session
        .call(request, async |channel, request| {
            QuarantineServiceClient::new(channel).get_quarantined_command(request).await
        })
        .await?;
    let entry = answer.quarantined.context("the server shows nothing")?;
    let says = match answer.command.and_then(|command| command.command) {
        Some(command) => format!("{command:#?}"),
        None => "the server can't read it".to_owned(),
    };
    show(&[entry], false);
    print::line(&says);
    Ok(())
}

/// One after the other; what fails once more stays where it is, and the others are decided all the same.
async fn replay(session: &mut Session, commands: Vec<Uuid>) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for command in commands {
        let request = ReplayQuarantinedCommandRequest { command_id: command.as_bytes().to_vec() };
        let answer = session
            .call(request, async |channel, request| {
                QuarantineServiceClient::new(channel).replay_quarantined_command(request).await
            })
            .await?;
        let outcome = answer.outcome.unwrap_or_default();
        let status = outcome.status().as_str_name().trim_start_matches("STATUS_").to_lowercase();
        let reason = outcome.reason().as_str_name().trim_start_matches("REASON_").to_lowercase();
        let reason = if reason == "unspecified" { String::new() } else { reason };
        rows.push(vec![command.to_string(), status, reason, outcome.text]);
    }
    print::table(&["COMMAND", "OUTCOME", "REASON", "TEXT"], &rows);
    Ok(())
}

fn show(commands: &[QuarantinedCommand], as_json: bool) {
    if as_json {
        let command = |entry: &QuarantinedCommand| {
            json!({
                "command_id": id(&entry.command_id),
                "name": entry.name,
                "record_id": id(&entry.record_id),
                "user_id": id(&entry.user_id),
                "device_id": id(&entry.device_id),
                "seq": entry.seq,
                "captured_at_us": entry.captured_at_us,
                "received_at_us": entry.received_at_us,
                "error": entry.error,
            })
        };
        return print::json(&commands.iter().map(command).collect());
    }
    let row = |entry: &QuarantinedCommand| {
        vec![
            id(&entry.command_id),
            entry.name.clone(),
            id(&entry.record_id),
            id(&entry.user_id),
            moment(entry.captured_at_us),
            entry.error.clone(),
        ]
    };
    let heading = ["COMMAND", "NAME", "RECORD", "USER", "CAPTURED", "ERROR"];
    print::table(&heading, &commands.iter().map(row).collect::<Vec<_>>());
}
