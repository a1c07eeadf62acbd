//! `roundsman import`: records from a file, by way of the running server.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use roundsman_proto::sync::{Outcome, Status as Decision};
use roundsman_proto::trade::ImportRecords;
use roundsman_proto::trade::command::Command;

use super::client::{Login, Session, why};
use super::print;
use crate::clock::{Clock, Random};
use crate::exchange::csv::{self, Kind};
use crate::exchange::key;
use crate::exchange::plan::{self, Chunk};

/// What is imported; the long help lists the columns.
#[derive(Debug, clap::Args)]
#[command(after_long_help = columns())]
pub struct Args {
    /// Somebody of the office, an administrator, or a system.
    #[command(flatten)]
    pub login: Login,
    /// Check the file and say what would be sent; nothing is sent, and no password is needed.
    #[arg(long)]
    pub dry_run: bool,
    /// Import the file anew although the server has seen it: to bring back what it says after something else was
    /// imported or edited, or once what a rejected record refers to is there.
    #[arg(long)]
    pub anew: bool,
    /// How many decimals the currency of the prices and limits has, as ISO 4217 says: 0 for JPY, 3 for KWD.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(0..=4))]
    pub decimals: u32,
    /// What the file holds.
    #[arg(value_enum)]
    pub kind: Kind,
    /// The file: CSV in UTF-8, with `,` or `;` between the cells and the names of the columns in its first row.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// What came of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Chunks sent.
    pub chunks: usize,
    /// Chunks with which the tenant's version rose: they changed something, or somebody else did at the same moment.
    pub changed: usize,
    /// What was not taken over.
    pub rejected: Vec<Rejected>,
    /// The tenant's version afterwards.
    pub version: i64,
}

/// A chunk that was not taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// The lines of its first and its last record.
    pub lines: (u64, u64),
    /// How many records it has.
    pub records: usize,
    /// The line of the record that is to blame, if it is known.
    pub line: Option<u64>,
    /// Why, in words.
    pub reason: String,
}

/// Imports a file.
///
/// # Errors
/// When something is wrong with the file, the server can't be reached, or it rejects something.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let bytes = std::fs::read(&args.file).with_context(|| format!("can't read {}", args.file.display()))?;
    let entries = match csv::parse(args.kind, &bytes, args.decimals) {
        Ok(entries) => entries,
        Err(errors) => {
            print::note(&errors);
            anyhow::bail!("{} has {} errors; nothing was sent", args.file.display(), errors.count());
        }
    };
    let records = entries.len();
    let run = if args.anew { Some(Random::from_machine()?.uuid(Clock::Machine.now_us())) } else { None };
    let chunks = plan::chunks(entries, run);
    if args.dry_run {
        show_plan(&chunks, args.kind, records);
        return Ok(());
    }
    let mut session = args.login.open().await?;
    let bar = print::bar(records as u64, "records");
    let imported = import(&mut session, &chunks, |sent| bar.inc(sent as u64)).await;
    bar.finish_and_clear();
    session.close().await;
    show_report(&imported?, args.kind, records)
}

/// Sends chunks, one after the other; a chunk that is rejected does not keep the others. `progress` hears of the records
/// of each chunk.
///
/// # Errors
/// When a chunk can't be sent; those before it stay, and the next run goes on from there.
pub async fn import(
    session: &mut Session,
    chunks: &[Chunk],
    mut progress: impl FnMut(usize),
) -> anyhow::Result<Report> {
    // No chunk: the command of this id never has any records, and its answer says where the tenant is.
    let none = Command::ImportRecords(ImportRecords::default());
    let (_, version) = session.execute(key::id("command", "none"), none).await?;
    let mut report = Report { version, ..Report::default() };
    for (number, chunk) in chunks.iter().enumerate() {
        let import = Command::ImportRecords(ImportRecords { records: chunk.records() });
        let (outcome, version) = session.execute(chunk.command, import).await.with_context(|| {
            let (first, last) = chunk.lines();
            let place = format!("chunk {} of {} (lines {first} to {last})", number + 1, chunks.len());
            format!("{place} was not taken over; run the same again to go on from there")
        })?;
        report.chunks += 1;
        report.changed += usize::from(version > report.version);
        report.version = report.version.max(version);
        if outcome.status() != Decision::Applied {
            report.rejected.push(rejected(chunk, &outcome));
        }
        progress(chunk.entries.len());
    }
    Ok(report)
}

fn rejected(chunk: &Chunk, outcome: &Outcome) -> Rejected {
    let blamed = outcome.facts.iter().find(|fact| fact.name == "imported_record_id");
    let line = blamed.and_then(|fact| chunk.line_of(fact.value.parse().ok()?));
    let mut reason = why(outcome);
    for fact in outcome.facts.iter().filter(|fact| !matches!(fact.name.as_str(), "imported_record_id" | "records")) {
        let _ = write!(reason, ", {} = {}", fact.name, fact.value);
    }
    Rejected { lines: chunk.lines(), records: chunk.entries.len(), line, reason }
}

fn show_plan(chunks: &[Chunk], kind: Kind, records: usize) {
    for (number, chunk) in chunks.iter().enumerate() {
        let (first, last) = chunk.lines();
        let place = format!("chunk {} of {}", number + 1, chunks.len());
        let (count, command) = (chunk.entries.len(), chunk.command);
        print::line(format_args!("{place}: {count} {} of lines {first} to {last}, as command {command}", kind.name()));
    }
    print::line(format_args!("{records} {} would be sent in {} chunks", kind.name(), chunks.len()));
}

fn show_report(report: &Report, kind: Kind, records: usize) -> anyhow::Result<()> {
    let kind = kind.name();
    print::line(format_args!(
        "{records} {kind} read, {} of {} chunks changed something",
        report.changed, report.chunks
    ));
    if report.changed == 0 && report.rejected.is_empty() && records > 0 {
        print::line("Everything was as the file says, or the file was imported before; see --anew");
    }
    for Rejected { lines: (first, last), records, line, reason } in &report.rejected {
        let place = line.map_or_else(|| format!("lines {first} to {last}"), |line| format!("line {line}"));
        print::line(format_args!(
            "{place}: {reason}; so none of the {records} {kind} of lines {first} to {last} came in"
        ));
    }
    let rejected = report.rejected.len();
    anyhow::ensure!(
        rejected == 0,
        "{rejected} of {} chunks were rejected; correct the file, or what it refers to and import it with --anew",
        report.chunks
    );
    Ok(())
}

/// The columns of all kinds, for the help.
fn columns() -> String {
    let mut help = "A reference is the code of a record that came in a file, or the UUID of one that did not.\n\
        All columns must be there, in any order; a cell may be empty unless it is required.\n\
        A record is replaced whole: what no column holds, such as opening hours, is empty afterwards.\n"
        .to_owned();
    for kind in Kind::ALL {
        let _ = write!(help, "\nColumns of {}:\n", kind.name());
        for column in kind.columns() {
            let _ = writeln!(help, "  {:<20} {}", column.name, column.help);
        }
    }
    help
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_names_every_column() {
        let help = columns();
        for kind in Kind::ALL {
            assert!(help.contains(&format!("Columns of {}:", kind.name())));
            assert!(kind.columns().iter().all(|column| help.contains(column.name) && !column.help.is_empty()));
        }
    }
}
