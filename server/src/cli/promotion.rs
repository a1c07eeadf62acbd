//! `roundsman promotion`: ending a promotion before its time.

use anyhow::Context as _;
use clap::Subcommand;
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{ImportRecords, Promotion, RecordToImport};
use uuid::Uuid;

use super::client::{Login, Session};
use super::explain::{day, read};
use super::prices;
use super::print;
use crate::clock::{Clock, Random};

/// What can be done with promotions; it needs an administrator's login.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Closes a promotion: from a day on, or at once.
    ///
    /// Orders of earlier days, and those that were captured within the agreement's grace, keep what it takes off.
    Close {
        /// The administrator who does this.
        #[command(flatten)]
        login: Login,
        /// The promotion's id.
        promotion: Uuid,
        /// The first day without it, as YYYY-MM-DD; unless given, it is closed at once, whatever its days.
        #[arg(long, value_name = "DAY")]
        from_day: Option<String>,
    },
}

/// Does it.
///
/// # Errors
/// When the day is none or over, the server can't be reached, or it says no.
pub async fn run(verb: Verb) -> anyhow::Result<()> {
    let Verb::Close { login, promotion, from_day } = verb;
    let now_us = Clock::Machine.now_us();
    let from_day = from_day.map(|text| prices::first_day(&text, prices::today(now_us))).transpose()?;
    let command_id = Random::from_machine()?.uuid(now_us);
    let mut session = login.open().await?;
    let closed = close(&mut session, command_id, promotion, from_day).await;
    session.close().await;
    let closed = closed?;
    let end = if closed.closed { "is closed".to_owned() } else { format!("ends with {}", day(closed.valid_to_day)) };
    print::line(format_args!("{} {end}", closed.name));
    Ok(())
}

/// Closes a promotion from a day on, or at once, and says what it is then. What somebody else changes of it at the same
/// moment is overwritten, as by an import.
///
/// # Errors
/// When there is no such promotion, it has ended by then anyhow, or the server says no.
pub async fn close(
    session: &mut Session,
    command_id: Uuid,
    id: Uuid,
    from_day: Option<i32>,
) -> anyhow::Result<Promotion> {
    let promotion: Promotion =
        read(session, id.as_bytes()).await?.with_context(|| format!("there is no promotion {id}"))?;
    let closed = match from_day {
        None => Promotion { closed: true, ..promotion },
        Some(from_day) => {
            let ends_before = promotion.valid_to_day != 0 && promotion.valid_to_day < from_day;
            anyhow::ensure!(!promotion.closed && !ends_before, "{} has ended by then anyhow", promotion.name);
            Promotion { valid_to_day: from_day - 1, ..promotion }
        }
    };
    let record = RecordToImport {
        record_id: id.as_bytes().to_vec(),
        record: Some(Record::Promotion(closed.clone())),
        closed_month: 0,
    };
    let import = Command::ImportRecords(ImportRecords { records: vec![record] });
    session.apply(command_id, import, "it stays as it is").await?;
    Ok(closed)
}
