//! `roundsman tenant debts`: what customers owe, and how old it is.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use prost::Message as _;
use roundsman_proto::trade::{Customer, Kind, Receivable};
use roundsman_sync::trade::credit::Credit;
use roundsman_sync::trade::debt::{Age, aging};
use uuid::Uuid;

use super::explain::decimal;
use super::print;
use crate::calendar;
use crate::clock::Clock;
use crate::exchange::value;
use crate::internal::{Debtor, Internal as _};
use crate::store::sql::{Db, Tx};
use crate::store::{record, tenant};

/// Receivables in one read.
const PAGE: i64 = 1_000;

/// Whose debts are shown, and as of when.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The tenant, by its name.
    #[arg(value_name = "NAME")]
    pub tenant: String,
    /// The day on which ages are counted, such as 2026-11-30; otherwise today, in UTC.
    #[arg(long, value_name = "DAY", value_parser = value::day)]
    pub day: Option<i32>,
    /// So many decimals the currencies have.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(0..=4))]
    pub decimals: u32,
}

/// What somebody owes. All sums in minor units.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Debt {
    /// The debt as the books say.
    pub booked_minor: i128,
    /// What of it is of which age, in the order of [`Age::ALL`].
    pub ages_minor: [i128; 7],
    /// What payments have paid that the books don't contain.
    pub paid_minor: i128,
}

impl Debt {
    fn add(&mut self, receivable: &Receivable, day: i32) {
        self.booked_minor += i128::from(receivable.debt_minor);
        for (sum, (_, minor)) in self.ages_minor.iter_mut().zip(aging(receivable, day)) {
            *sum += i128::from(minor);
        }
    }

    fn count(&mut self, other: &Self) {
        self.booked_minor += other.booked_minor;
        self.paid_minor += other.paid_minor;
        for (sum, minor) in self.ages_minor.iter_mut().zip(other.ages_minor) {
            *sum += minor;
        }
    }

    fn row(&self, names: [&str; 3], decimals: u32) -> Vec<String> {
        let minor = [self.booked_minor].into_iter().chain(self.ages_minor).chain([self.paid_minor]);
        let money = minor.map(|minor| if minor == 0 { String::new() } else { decimal(minor, decimals) });
        names.map(str::to_owned).into_iter().chain(money).collect()
    }
}

/// What a customer owes in one currency, under one contract or under none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owed {
    /// How the customer is called.
    pub customer: String,
    /// The customer, and the currency.
    pub debtor: Debtor,
    /// The contract's number; empty: under none.
    pub contract: String,
    /// How much.
    pub debt: Debt,
}

/// Whose debt it is, and the contract under which it is owed; empty: under none.
type Account = (Debtor, Vec<u8>);

/// Prints them.
///
/// # Errors
/// When there is no such tenant, or the database can't be read.
pub async fn show(db: &Db, args: &Args) -> anyhow::Result<()> {
    let today = calendar::day(chrono_tz::UTC, Clock::Machine.now_us());
    let debts = read(db, &args.tenant, args.day.unwrap_or(today)).await?;
    print::table(&heading(), &rows(&debts, args.decimals));
    Ok(())
}

/// What each customer owes in each currency under each contract, by name, then by id and by the contract's number; where nothing is
/// owed and nothing has been paid it is left out.
///
/// # Errors
/// When there is no such tenant, or the database can't be read.
pub async fn read(db: &Db, name: &str, day: i32) -> anyhow::Result<Vec<Owed>> {
    let mut tx = db.read().await.context("can't read the database")?;
    let tenants = tenant::all(&mut tx).await.context("can't read the tenants; `roundsman migrate` makes the schema")?;
    let tenant = tenants.into_iter().find(|(_, other)| other == name).map(|(number, _)| number);
    let tenant = tenant.with_context(|| format!("there is no tenant `{name}`"))?;
    let mut debts: BTreeMap<Account, Debt> = BTreeMap::new();
    let mut after = Uuid::nil();
    loop {
        let page = record::page(&mut tx, tenant, i64::from(Kind::Receivable as i32), after, PAGE).await?;
        let Some((last, _)) = page.last() else { break };
        after = *last;
        for (id, stored) in page.into_iter().filter(|(_, stored)| stored.removed_at_us.is_none()) {
            let receivable = Receivable::decode(stored.document).with_context(|| format!("can't read {id}"))?;
            let customer = Uuid::from_slice(&receivable.customer_id).with_context(|| format!("can't read {id}"))?;
            let account = ((customer, receivable.currency.clone()), receivable.contract_id.clone());
            debts.entry(account).or_default().add(&receivable, day);
        }
    }
    let names = complete(&mut tx, tenant, &mut debts).await?;
    tx.commit().await?;
    let owed = |((debtor, contract), debt): (Account, Debt)| Owed {
        customer: names.customers.get(&debtor.0).cloned().unwrap_or_else(|| debtor.0.to_string()),
        contract: names.contracts.get(&contract).cloned().unwrap_or_default(),
        debtor,
        debt,
    };
    let mut all: Vec<Owed> = debts.into_iter().filter(|(_, debt)| *debt != Debt::default()).map(owed).collect();
    all.sort_by(|one, other| {
        let key = |owed: &Owed| (owed.customer.clone(), owed.debtor.clone(), owed.contract.clone());
        key(one).cmp(&key(other))
    });
    Ok(all)
}

/// How customers are called, and the numbers of contracts.
#[derive(Debug, Default)]
struct Names {
    customers: BTreeMap<Uuid, String>,
    contracts: BTreeMap<Vec<u8>, String>,
}

/// Adds what was paid and is not booked.
async fn complete(tx: &mut Tx, tenant: i64, debts: &mut BTreeMap<Account, Debt>) -> anyhow::Result<Names> {
    let mut names = Names::default();
    let debtors: BTreeSet<Debtor> = debts.keys().map(|(debtor, _)| debtor.clone()).collect();
    let debtors: Vec<Debtor> = debtors.into_iter().collect();
    for debtors in debtors.chunks(500) {
        let credits: BTreeMap<Uuid, &Debtor> = debtors.iter().map(|debtor| (Credit::id(debtor), debtor)).collect();
        let sought: Vec<Uuid> = debtors.iter().map(|(customer, _)| *customer).chain(credits.keys().copied()).collect();
        for (id, stored) in record::find(tx, tenant, &sought).await? {
            if let Some(debtor) = credits.get(&id) {
                let credit = Credit::decode(stored.document).with_context(|| format!("can't read {id}"))?;
                let mut under_none = i128::from(credit.all.payments_minor);
                for known in credit.contracts {
                    let paid_minor = i128::from(known.account.payments_minor);
                    under_none -= paid_minor;
                    debts.entry(((*debtor).clone(), known.contract_id.clone())).or_default().paid_minor = paid_minor;
                    names.contracts.insert(known.contract_id, known.contract.number);
                }
                debts.entry(((*debtor).clone(), Vec::new())).or_default().paid_minor = under_none;
            } else {
                let customer = Customer::decode(stored.document).with_context(|| format!("can't read {id}"))?;
                names.customers.insert(id, customer.name);
            }
        }
    }
    Ok(names)
}

/// What stands above the columns.
#[must_use]
pub fn heading() -> Vec<&'static str> {
    let age = |age: Age| match age {
        Age::NotDue => "NOT DUE",
        Age::Week => "1-7 DAYS",
        Age::Fortnight => "8-14",
        Age::Month => "15-30",
        Age::TwoMonths => "31-60",
        Age::Older => "OLDER",
        Age::Unknown => "NO DAY",
    };
    ["CUSTOMER", "CURRENCY", "CONTRACT", "DEBT"].into_iter().chain(Age::ALL.map(age)).chain(["PAID SINCE"]).collect()
}

/// A row for each customer, currency and contract, and then one for all of each currency.
#[must_use]
pub fn rows(debts: &[Owed], decimals: u32) -> Vec<Vec<String>> {
    let mut totals: BTreeMap<&str, Debt> = BTreeMap::new();
    for Owed { debtor: (_, currency), debt, .. } in debts {
        totals.entry(currency).or_default().count(debt);
    }
    let of_customers =
        debts.iter().map(|owed| owed.debt.row([&owed.customer, &owed.debtor.1, &owed.contract], decimals));
    let of_all = totals.iter().map(|(currency, debt)| debt.row(["all", currency, ""], decimals));
    of_customers.chain(of_all).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use roundsman_proto::trade::DueItem;

    #[test]
    fn each_customer_has_a_row_and_each_currency_a_total() {
        let item = |due_day, amount_minor| DueItem { due_day, amount_minor, ..DueItem::default() };
        let of = |debt_minor, due_items| {
            let mut debt = Debt { paid_minor: 5, ..Debt::default() };
            debt.add(&Receivable { debt_minor, due_items, ..Receivable::default() }, 100);
            debt
        };
        let owed = |customer: &str, currency: &str, contract: &str, debt| Owed {
            customer: customer.to_owned(),
            debtor: (Uuid::nil(), currency.to_owned()),
            contract: contract.to_owned(),
            debt,
        };
        let debts = [
            owed("Axel", "EUR", "", of(1_000, vec![item(99, 300), item(120, 700)])),
            owed("Berta", "EUR", "7/26", of(250, vec![item(99, 200)])),
            owed("Berta", "SEK", "", of(-7, Vec::new())),
        ];
        let rows: Vec<String> = rows(&debts, 2).into_iter().map(|row| row.join("|")).collect();
        let right = [
            "Axel|EUR||10.00|7.00|3.00||||||0.05",
            "Berta|EUR|7/26|2.50||2.00|||||0.50|0.05",
            "Berta|SEK||-0.07|||||||-0.07|0.05",
            "all|EUR||12.50|7.00|5.00|||||0.50|0.10",
            "all|SEK||-0.07|||||||-0.07|0.05",
        ];
        assert_eq!(rows, right);
        assert_eq!(heading().len(), right[0].split('|').count());
    }
}
