//! `roundsman outlet`: outlets that look like one, making them one, and blocking them.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use roundsman_proto::admin::office_service_client::OfficeServiceClient;
use roundsman_proto::admin::{
    ComparedOutlet, DuplicateOutlet, ListDuplicateOutletsRequest, ListDuplicateOutletsResponse,
};
use roundsman_proto::sync::Status as Decision;
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::{ArchiveOutlet, BlockOutlet, OutletStatus};
use serde_json::json;
use uuid::Uuid;

use super::client::{Login, Session, collect, why};
use super::explain::decimal;
use super::print;
use super::user::id;
use crate::clock::{Clock, Random};

/// What can be done with outlets; it needs the login of somebody of the office or of an administrator.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Lists pairs of outlets that look like one, the most alike first; nothing is changed.
    Duplicates {
        /// Somebody of the office, or an administrator.
        #[command(flatten)]
        login: Login,
        /// Only pairs that are at least so alike, in per cent.
        #[arg(long, value_name = "PERCENT", default_value_t = 50, value_parser = clap::value_parser!(i32).range(1..=100))]
        min_likeness: i32,
        /// At most so many pairs.
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
        /// As JSON, for machines.
        #[arg(long)]
        json: bool,
    },
    /// Merges an outlet into another one: it is archived, and its orders, visits, claims and all else are the other one's.
    Merge {
        /// Somebody of the office, or an administrator.
        #[command(flatten)]
        login: Login,
        /// The outlet to archive.
        outlet: Uuid,
        /// The outlet to remain.
        survivor: Uuid,
    },
    /// Blocks outlets: orders for them wait until they are unblocked, or somebody releases one.
    Block {
        /// Somebody of the office, or an administrator.
        #[command(flatten)]
        login: Login,
        /// Which.
        #[command(flatten)]
        outlets: Outlets,
        /// Why, for the reps.
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Unblocks outlets: orders that waited only for that go on.
    Unblock {
        /// Somebody of the office, or an administrator.
        #[command(flatten)]
        login: Login,
        /// Which.
        #[command(flatten)]
        outlets: Outlets,
    },
}

/// Outlets, by their ids.
#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = false)]
pub struct Outlets {
    /// Their ids.
    #[arg(value_name = "OUTLET")]
    ids: Vec<Uuid>,
    /// A file with their ids, one in each line; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

impl Outlets {
    fn read(&self) -> anyhow::Result<Vec<Uuid>> {
        let Some(file) = &self.file else { return Ok(self.ids.clone()) };
        let text = if file == Path::new("-") {
            std::io::read_to_string(std::io::stdin()).context("can't read standard input")?
        } else {
            std::fs::read_to_string(file).with_context(|| format!("can't read {}", file.display()))?
        };
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        lines
            .map(|(number, line)| {
                line.trim().parse().with_context(|| format!("line {}: `{line}` is no id", number + 1))
            })
            .collect()
    }
}

/// Does it.
///
/// # Errors
/// When the server can't be reached, or says no.
pub async fn run(verb: Verb) -> anyhow::Result<()> {
    match verb {
        Verb::Duplicates { login, min_likeness, limit, json } => {
            let mut session = login.open().await?;
            let found = duplicates(&mut session, min_likeness * 100, usize::try_from(limit)?).await;
            session.close().await;
            show(&found?, json);
        }
        Verb::Merge { login, outlet, survivor } => {
            let command_id = Random::from_machine()?.uuid(Clock::Machine.now_us());
            let mut session = login.open().await?;
            let merged = merge(&mut session, command_id, outlet, survivor).await;
            session.close().await;
            merged?;
            print::line(format_args!("{outlet} is {survivor} from now on"));
        }
        Verb::Block { login, outlets, reason } => block(&login, &outlets.read()?, Some(&reason)).await?,
        Verb::Unblock { login, outlets } => block(&login, &outlets.read()?, None).await?,
    }
    Ok(())
}

async fn block(login: &Login, outlets: &[Uuid], reason: Option<&str>) -> anyhow::Result<()> {
    let mut session = login.open().await?;
    let bar = print::bar(u64::try_from(outlets.len())?, "outlets");
    let blocked = set_blocked(&mut session, outlets, reason, || bar.inc(1)).await;
    session.close().await;
    bar.finish_and_clear();
    let refused = blocked?;
    for line in &refused {
        print::line(line);
    }
    let done = outlets.len() - refused.len();
    let done = print::count(done, "outlet is", "outlets are");
    print::line(format_args!("{done} {}blocked", if reason.is_some() { "" } else { "no longer " }));
    anyhow::ensure!(
        refused.is_empty(),
        print::count(refused.len(), "outlet stays as it is", "outlets stay as they are")
    );
    Ok(())
}

/// Blocks outlets for a reason, or unblocks them; returns what was refused, which does not keep the others. `progress` hears of
/// each.
///
/// # Errors
/// When the server can't be reached; the outlets before stay blocked, and doing it again changes nothing of them.
pub async fn set_blocked(
    session: &mut Session,
    outlets: &[Uuid],
    reason: Option<&str>,
    mut progress: impl FnMut(),
) -> anyhow::Result<Vec<String>> {
    let random = Random::from_machine()?;
    let mut refused = Vec::new();
    for outlet in outlets {
        let block = BlockOutlet {
            outlet_id: outlet.as_bytes().to_vec(),
            blocked: reason.is_some(),
            reason: reason.unwrap_or_default().to_owned(),
        };
        let (outcome, _) = session.execute(random.uuid(Clock::Machine.now_us()), Command::BlockOutlet(block)).await?;
        if outcome.status() == Decision::Rejected {
            refused.push(format!("{outlet}: {}", why(&outcome)));
        }
        progress();
    }
    Ok(refused)
}

/// The most alike pairs, at most so many.
///
/// # Errors
/// When the server can't be reached, or says no.
pub async fn duplicates(
    session: &mut Session,
    min_likeness_bp: i32,
    limit: usize,
) -> anyhow::Result<Vec<DuplicateOutlet>> {
    collect(limit, async |page_size, page_token| {
        let request = ListDuplicateOutletsRequest { min_likeness_bp, page_size, page_token };
        let ListDuplicateOutletsResponse { duplicates, next_page_token } = session
            .call(request, async |channel, request| {
                OfficeServiceClient::new(channel).list_duplicate_outlets(request).await
            })
            .await?;
        Ok((duplicates, next_page_token))
    })
    .await
}

/// Merges an outlet into another one.
///
/// # Errors
/// When the server can't be reached, or says no.
pub async fn merge(session: &mut Session, command_id: Uuid, outlet: Uuid, survivor: Uuid) -> anyhow::Result<()> {
    let [outlet_id, survivor_id] = [outlet, survivor].map(|id| id.as_bytes().to_vec());
    let archive = Command::ArchiveOutlet(ArchiveOutlet { outlet_id, survivor_id });
    session.apply(command_id, archive, "nothing was merged").await
}

/// Why two outlets look like one, in words.
#[must_use]
pub fn reasons(pair: &DuplicateOutlet) -> String {
    let mut reasons = vec![format!("names {} %", decimal(pair.name_likeness_bp, 2))];
    if pair.same_tax_id {
        reasons.push("same tax number".to_owned());
    }
    reasons.push(match pair.distance_m {
        Some(metres) => format!("{metres} m apart"),
        None => "place unknown".to_owned(),
    });
    reasons.join(", ")
}

fn show(pairs: &[DuplicateOutlet], as_json: bool) {
    if as_json {
        let outlet = |outlet: &ComparedOutlet| {
            json!({
                "outlet_id": id(&outlet.outlet_id),
                "name": outlet.name,
                "address": outlet.address,
                "status": outlet.status().as_str_name(),
                "territory_id": id(&outlet.territory_id),
            })
        };
        let pair = |pair: &DuplicateOutlet| {
            json!({
                "outlet": pair.outlet.as_ref().map(outlet),
                "survivor": pair.survivor.as_ref().map(outlet),
                "likeness_bp": pair.likeness_bp,
                "distance_m": pair.distance_m,
                "name_likeness_bp": pair.name_likeness_bp,
                "same_tax_id": pair.same_tax_id,
            })
        };
        return print::json(&pairs.iter().map(pair).collect());
    }
    let named = |outlet: Option<&ComparedOutlet>| {
        outlet.map_or_else(String::new, |outlet| match outlet.status() {
            OutletStatus::Candidate => format!("{} (candidate)", outlet.name),
            OutletStatus::Active | OutletStatus::Unspecified => outlet.name.clone(),
        })
    };
    let id_of = |outlet: Option<&ComparedOutlet>| outlet.map(|outlet| id(&outlet.outlet_id)).unwrap_or_default();
    let row = |pair: &DuplicateOutlet| {
        vec![
            format!("{} %", decimal(pair.likeness_bp, 2)),
            named(pair.outlet.as_ref()),
            named(pair.survivor.as_ref()),
            reasons(pair),
            id_of(pair.outlet.as_ref()),
            id_of(pair.survivor.as_ref()),
        ]
    };
    let heading = ["LIKENESS", "OUTLET", "LOOKS LIKE", "BECAUSE", "MERGE", "INTO"];
    print::table(&heading, &pairs.iter().map(row).collect::<Vec<_>>());
    if pairs.is_empty() {
        print::note("no two outlets look like one");
    }
}
