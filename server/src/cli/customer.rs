//! `roundsman customer`: making two customers one.

use anyhow::Context as _;
use clap::Subcommand;
use roundsman_proto::sync::{Outcome, Status as Decision};
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::{MergeCustomers, Reason};
use uuid::Uuid;

use super::client::{Login, Session, why};
use super::print;
use crate::clock::{Clock, Random};

/// What can be done with customers; it needs the login of somebody of the office or of an administrator.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Merges a customer into another one: its outlets, agreements, contracts, orders, payments and debts are the other one's.
    ///
    /// That cannot be undone. What was interrupted is gone on with by the same verb.
    Merge {
        /// Somebody of the office, or an administrator.
        #[command(flatten)]
        login: Login,
        /// The customer that goes.
        duplicate: Uuid,
        /// The customer that remains.
        survivor: Uuid,
    },
}

/// Does it.
///
/// # Errors
/// When the server can't be reached, or says no.
pub async fn run(verb: Verb) -> anyhow::Result<()> {
    let Verb::Merge { login, duplicate, survivor } = verb;
    let random = Random::from_machine()?;
    let mut session = login.open().await?;
    let bar = print::bar(0, "outlets");
    let progress = |left: u64| {
        let all = bar.length().unwrap_or(0).max(left);
        bar.set_length(all);
        bar.set_position(all - left);
    };
    let ids = || random.uuid(Clock::Machine.now_us());
    let merged = merge(&mut session, ids, (duplicate, survivor), progress).await;
    bar.finish_and_clear();
    session.close().await;
    merged?;
    print::line(format_args!("{duplicate} is {survivor} from now on"));
    Ok(())
}

/// Merges a customer into another one, with as many commands as it takes; `ids` makes an id for each. `progress` hears at how many
/// outlets something is left.
///
/// # Errors
/// When the server can't be reached, or says no; what was moved by then stays so.
pub async fn merge(
    session: &mut Session,
    mut ids: impl FnMut() -> Uuid,
    (duplicate, survivor): (Uuid, Uuid),
    mut progress: impl FnMut(u64),
) -> anyhow::Result<()> {
    let [duplicate_id, survivor_id] = [duplicate, survivor].map(|id| id.as_bytes().to_vec());
    loop {
        let merge = MergeCustomers { duplicate_id: duplicate_id.clone(), survivor_id: survivor_id.clone() };
        let (outcome, _) = session
            .execute(ids(), Command::MergeCustomers(merge))
            .await
            .context("the merge is not at its end; run the same again to go on from there")?;
        anyhow::ensure!(outcome.status() == Decision::Applied, "nothing was merged: {}", why(&outcome));
        progress(left_outlets(&outcome));
        if outcome.reason() != Reason::MergeGoesOn {
            return Ok(());
        }
    }
}

fn left_outlets(outcome: &Outcome) -> u64 {
    let left = outcome.facts.iter().find(|fact| fact.name == "left_outlets");
    left.and_then(|fact| fact.value.parse().ok()).unwrap_or(0)
}
