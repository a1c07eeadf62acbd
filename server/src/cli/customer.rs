//! `roundsman customer`: customers that look like one, and making them one.

use std::collections::BTreeMap;

use anyhow::Context as _;
use clap::Subcommand;
use roundsman_proto::admin::office_service_client::OfficeServiceClient;
use roundsman_proto::admin::{
    ComparedCustomer, DuplicateCustomer, ListDuplicateCustomersRequest, ListDuplicateCustomersResponse,
};
use roundsman_proto::sync::{Outcome, Status as Decision};
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::{MergeCustomers, Reason};
use serde_json::json;
use uuid::Uuid;

use super::client::{Login, Session, collect, why};
use super::explain::decimal;
use super::print;
use super::user::id;
use crate::clock::{Clock, Random};

/// What can be done with customers; it needs the login of somebody of the office or of an administrator.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Lists pairs of customers that look like one legal entity, the most alike first; nothing is changed.
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
        /// So many decimals the currencies have.
        #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(0..=4))]
        decimals: u32,
        /// As JSON, for machines.
        #[arg(long)]
        json: bool,
    },
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
    match verb {
        Verb::Duplicates { login, min_likeness, limit, decimals, json } => {
            let mut session = login.open().await?;
            let found = duplicates(&mut session, min_likeness * 100, usize::try_from(limit)?).await;
            session.close().await;
            show(&found?, decimals, json);
            Ok(())
        }
        Verb::Merge { login, duplicate, survivor } => merge_with_bar(&login, duplicate, survivor).await,
    }
}

async fn merge_with_bar(login: &Login, duplicate: Uuid, survivor: Uuid) -> anyhow::Result<()> {
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

/// The most alike pairs, at most so many.
///
/// # Errors
/// When the server can't be reached, or says no.
pub async fn duplicates(
    session: &mut Session,
    min_likeness_bp: i32,
    limit: usize,
) -> anyhow::Result<Vec<DuplicateCustomer>> {
    collect(limit, async |page_size, page_token| {
        let request = ListDuplicateCustomersRequest { min_likeness_bp, page_size, page_token };
        let ListDuplicateCustomersResponse { duplicates, next_page_token } = session
            .call(request, async |channel, request| {
                OfficeServiceClient::new(channel).list_duplicate_customers(request).await
            })
            .await?;
        Ok((duplicates, next_page_token))
    })
    .await
}

/// Why two customers look like one, in words.
#[must_use]
pub fn reasons(pair: &DuplicateCustomer) -> String {
    let mut reasons = vec![format!("names {} %", decimal(pair.name_likeness_bp, 2))];
    if pair.same_tax_id {
        reasons.push("same tax number".to_owned());
    }
    if let Some(address_bp) = pair.address_likeness_bp {
        reasons.push(format!("addresses {} %", decimal(address_bp, 2)));
    }
    if let Some(metres) = pair.distance_m {
        reasons.push(format!("outlets {metres} m apart"));
    }
    reasons.join(", ")
}

/// A customer as it is shown beside its double: its name, its outlets and what it owes.
#[must_use]
pub fn described(customer: &ComparedCustomer, decimals: u32) -> String {
    let debts = customer.debts.iter().filter(|debt| debt.debt_minor != 0);
    let owes: String =
        debts.map(|debt| format!(", owes {} {}", decimal(debt.debt_minor, decimals), debt.currency)).collect();
    format!("{} (outlets: {}{owes})", customer.name, customer.outlets)
}

fn show(pairs: &[DuplicateCustomer], decimals: u32, as_json: bool) {
    if as_json {
        let customer = |customer: &ComparedCustomer| {
            let debts: BTreeMap<&str, i64> =
                customer.debts.iter().map(|debt| (debt.currency.as_str(), debt.debt_minor)).collect();
            json!({
                "customer_id": id(&customer.customer_id),
                "name": customer.name,
                "legal_name": customer.legal_name,
                "tax_id": customer.tax_id,
                "legal_address": customer.legal_address,
                "outlets": customer.outlets,
                "debt_minor": debts,
            })
        };
        let pair = |pair: &DuplicateCustomer| {
            json!({
                "customer": pair.customer.as_ref().map(customer),
                "survivor": pair.survivor.as_ref().map(customer),
                "likeness_bp": pair.likeness_bp,
                "name_likeness_bp": pair.name_likeness_bp,
                "same_tax_id": pair.same_tax_id,
                "address_likeness_bp": pair.address_likeness_bp,
                "distance_m": pair.distance_m,
            })
        };
        return print::json(&pairs.iter().map(pair).collect());
    }
    let named = |customer: Option<&ComparedCustomer>| customer.map(|it| described(it, decimals)).unwrap_or_default();
    let id_of = |customer: Option<&ComparedCustomer>| customer.map(|it| id(&it.customer_id)).unwrap_or_default();
    let row = |pair: &DuplicateCustomer| {
        vec![
            format!("{} %", decimal(pair.likeness_bp, 2)),
            named(pair.customer.as_ref()),
            named(pair.survivor.as_ref()),
            reasons(pair),
            id_of(pair.customer.as_ref()),
            id_of(pair.survivor.as_ref()),
        ]
    };
    let heading = ["LIKENESS", "CUSTOMER", "LOOKS LIKE", "BECAUSE", "MERGE", "INTO"];
    print::table(&heading, &pairs.iter().map(row).collect::<Vec<_>>());
    print::note(if pairs.is_empty() {
        "no two customers look like one"
    } else {
        "to make two of them one: roundsman customer merge MERGE INTO"
    });
}

fn left_outlets(outcome: &Outcome) -> u64 {
    let left = outcome.facts.iter().find(|fact| fact.name == "left_outlets");
    left.and_then(|fact| fact.value.parse().ok()).unwrap_or(0)
}
