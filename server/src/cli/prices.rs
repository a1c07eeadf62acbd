//! `roundsman prices`: many prices at once, with a look at what that does before it is done.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Subcommand;
use roundsman_proto::admin::office_service_client::OfficeServiceClient;
use roundsman_proto::admin::{CountPriceListHoldersRequest, ListPricesRequest, ListedPrice};
use roundsman_proto::sync::Status as Decision;
use roundsman_proto::trade::command::Command;
use roundsman_sync::trade::check;
use roundsman_sync::trade::money::UNIT_MILLI;
use roundsman_sync::trade::rejection::Rejection;
use roundsman_sync::trade::reprice::{By, Rule};
use uuid::Uuid;

use super::client::{Login, Session, why};
use super::explain::{day, decimal, quantity};
use super::print;
use crate::clock::{Clock, Random};
use crate::exchange::reprice::{self, Plan, Prices, Selection, Step, Terms};
use crate::exchange::{key, value};

/// Prices in one page.
const PAGE: i32 = 1_000;
const DAY_US: i64 = 24 * 3_600 * 1_000_000;

/// What can be done with prices; it needs the login of somebody of the office or of an administrator.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Changes prices of a list by a rule or a file, from a day on, and shows before what that does.
    ///
    /// Each price that runs on that day ends the day before, and a new one begins; prices that begin on that day or later
    /// stay. Without --apply nothing is changed. An application that broke is finished by running it again, and running it
    /// once more finds nothing to do.
    Change(Box<Change>),
}

/// What is changed.
#[derive(Debug, clap::Args)]
#[command(after_long_help = columns())]
#[command(group(clap::ArgGroup::new("terms").required(true).args(["percent", "amount", "file"])))]
pub struct Change {
    /// Somebody of the office, or an administrator.
    #[command(flatten)]
    pub login: Login,
    /// The price list, by its code in files or its UUID.
    #[arg(long, value_name = "LIST")]
    pub list: String,
    /// Only products of this group: names from the widest on, separated by `|`.
    #[arg(long, value_name = "GROUP", conflicts_with = "file")]
    pub group: Option<String>,
    /// Only this product, by its article number or UUID; may be given more than once.
    #[arg(long, value_name = "PRODUCT", conflicts_with = "file")]
    pub product: Vec<String>,
    /// By so many per cent, such as 3.5 or -10.
    #[arg(long, value_name = "PERCENT", allow_hyphen_values = true)]
    pub percent: Option<String>,
    /// By so much money, such as 0.50 or -1.
    #[arg(long, value_name = "SUM", allow_hyphen_values = true)]
    pub amount: Option<String>,
    /// To the prices of this file: CSV, with the columns that the long help lists.
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Rounded to a multiple of this, such as 0.05, half away from zero.
    #[arg(long, value_name = "SUM", conflicts_with = "file")]
    pub round_to: Option<String>,
    /// The first day of the new prices, as YYYY-MM-DD; today, in UTC, unless given.
    #[arg(long, value_name = "DAY")]
    pub from_day: Option<String>,
    /// How many decimals the list's currency has, as ISO 4217 says: 0 for JPY, 3 for KWD.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(0..=4))]
    pub decimals: u32,
    /// So many of the new prices are shown.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub examples: usize,
    /// Show what it would do, and change nothing; so it is without --apply.
    #[arg(long, conflicts_with = "apply")]
    pub preview: bool,
    /// Do it.
    #[arg(long)]
    pub apply: bool,
}

/// What is asked for, read and checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// The price list.
    pub list: Uuid,
    /// Which products.
    pub selection: Selection,
    /// What the new prices are.
    pub terms: Terms,
    /// Their first day, in days since 1970-01-01.
    pub from_day: i32,
}

/// What a change does.
#[derive(Clone, Debug, PartialEq)]
pub struct Preview {
    /// The list as it is.
    pub prices: Prices,
    /// What changes.
    pub plan: Plan,
    /// So many new prices would be below the lowest price; `None`: the list has no lowest prices.
    pub below_floor: Option<usize>,
    /// So many devices hold the list.
    pub devices: i32,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// So many prices have changed.
    pub prices: usize,
    /// What was not taken over: from which product to which, and why.
    pub rejected: Vec<String>,
}

/// Changes prices, or shows what that would do.
///
/// # Errors
/// When something is wrong with what is asked for, the server can't be reached, or it rejects something.
pub async fn run(verb: Verb) -> anyhow::Result<()> {
    let Verb::Change(args) = verb;
    let wanted = args.wanted(today(Clock::Machine.now_us()))?;
    let mut session = args.login.open().await?;
    let done = shown(&mut session, &args, &wanted).await;
    session.close().await;
    done
}

async fn shown(session: &mut Session, args: &Change, wanted: &Wanted) -> anyhow::Result<()> {
    let preview = preview(session, wanted).await?;
    show(&preview, wanted, args);
    if !args.apply {
        print::line("Nothing was changed; --apply does it");
        return Ok(());
    }
    let bar = print::bar(preview.plan.prices() as u64, "prices");
    let report = apply(session, &preview.plan, |prices| bar.inc(prices as u64)).await;
    bar.finish_and_clear();
    let report = report?;
    print::line(print::count(report.prices, "price was changed", "prices were changed"));
    report.rejected.iter().for_each(print::line);
    let rejected = report.rejected.len();
    anyhow::ensure!(rejected == 0, "{rejected} parts were rejected; run the same again once they are right");
    Ok(())
}

impl Change {
    fn wanted(&self, today: i32) -> anyhow::Result<Wanted> {
        let wrong = |flag: &str, text: &str, error: String| anyhow::anyhow!("{flag} \"{text}\" {error}");
        let from_day = self.from_day.as_deref().map_or(Ok(today), |text| first_day(text, today))?;
        let round_to_minor = match &self.round_to {
            None => 0,
            Some(text) => value::money(text, self.decimals).map_err(|error| wrong("--round-to", text, error))?,
        };
        let by = match (&self.percent, &self.amount) {
            (Some(text), _) => Some(By::Share(value::raise(text).map_err(|error| wrong("--percent", text, error))?)),
            (None, Some(text)) => {
                let amount = value::change(text, self.decimals).map_err(|error| wrong("--amount", text, error))?;
                Some(By::Amount(amount))
            }
            (None, None) => None,
        };
        let terms = match (by, &self.file) {
            (Some(by), _) => Terms::Rule(Rule { by, round_to_minor }),
            (None, Some(file)) => {
                let bytes = std::fs::read(file).with_context(|| format!("can't read {}", file.display()))?;
                Terms::File(reprice::parse(&bytes, self.decimals).map_err(|errors| {
                    print::note(&errors);
                    anyhow::anyhow!("{} has {} errors; nothing was changed", file.display(), errors.count())
                })?)
            }
            (None, None) => anyhow::bail!("give --percent, --amount or --file"),
        };
        let group_path = self.group.as_deref().map(value::list).unwrap_or_default();
        Ok(Wanted {
            list: key::reference("price-list", &self.list),
            selection: Selection { group_path, products: self.product.clone() },
            terms,
            from_day,
        })
    }
}

/// The day of a moment, in UTC.
pub(super) fn today(now_us: i64) -> i32 {
    i32::try_from(now_us.div_euclid(DAY_US)).unwrap_or(i32::MAX)
}

/// Reads the day from which on something costs something else.
///
/// # Errors
/// When it is no day, or over: orders of that day were decided with the prices that it had.
pub(super) fn first_day(text: &str, today: i32) -> anyhow::Result<i32> {
    let first = value::day(text).map_err(|error| anyhow::anyhow!("--from-day \"{text}\" {error}"))?;
    anyhow::ensure!(first >= today && first > *check::DAYS.start(), "--from-day \"{text}\" is over");
    Ok(first)
}

/// Finds out what a change does; nothing is changed.
///
/// # Errors
/// When there is no such list, the server can't be reached, or it says no.
pub async fn preview(session: &mut Session, wanted: &Wanted) -> anyhow::Result<Preview> {
    let prices = prices_of(session, wanted.list).await?;
    let plan = reprice::plan(&prices, &wanted.selection, &wanted.terms, wanted.from_day);
    let below_floor = match Uuid::from_slice(&prices.list.floor_list_id) {
        Err(_) => None,
        Ok(floor) => {
            let floor = prices_of(session, floor).await?;
            let base = match Uuid::from_slice(&floor.list.base_list_id) {
                Err(_) => None,
                Ok(base) => Some(prices_of(session, base).await?),
            };
            Some(plan.below_floor(&floor, base.as_ref()))
        }
    };
    let request = CountPriceListHoldersRequest { price_list_id: wanted.list.as_bytes().to_vec() };
    let holders = session
        .call(request, async |channel, request| {
            OfficeServiceClient::new(channel).count_price_list_holders(request).await
        })
        .await?;
    Ok(Preview { prices, plan, below_floor, devices: holders.devices })
}

/// All prices of a list.
async fn prices_of(session: &mut Session, id: Uuid) -> anyhow::Result<Prices> {
    let mut prices: BTreeMap<Uuid, ListedPrice> = BTreeMap::new();
    let mut page_token = String::new();
    loop {
        let request = ListPricesRequest { price_list_id: id.as_bytes().to_vec(), page_size: PAGE, page_token };
        let page = session
            .call(request, async |channel, request| OfficeServiceClient::new(channel).list_prices(request).await)
            .await?;
        for listed in page.prices {
            // What is changed meanwhile comes again, and counts as it comes last.
            prices.insert(Uuid::from_slice(&listed.price_id).context("a price has no id")?, listed);
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            let list = page.price_list.context("the server answered without the list")?;
            return Ok(Prices { id, list, prices });
        }
    }
}

/// Changes the prices of a plan, some at a time; what is rejected does not keep the others. `progress` hears of how many
/// prices each command has.
///
/// # Errors
/// When a command can't be sent; those before it stay, and the next run goes on from there.
pub async fn apply(session: &mut Session, plan: &Plan, mut progress: impl FnMut(usize)) -> anyhow::Result<Report> {
    let random = Random::from_machine()?;
    let mut report = Report::default();
    for command in plan.commands() {
        let set = Command::SetPrices(command.set);
        let broken = "not all prices were changed; run the same again to go on from there";
        let (mut outcome, _) = session.execute(command.id, set.clone()).await.context(broken)?;
        if outcome.status() != Decision::Applied {
            // Perhaps the answer of an earlier run, before what was missing came. What is refused once more changes nothing.
            (outcome, _) = session.execute(random.uuid(Clock::Machine.now_us()), set).await.context(broken)?;
        }
        if outcome.status() == Decision::Applied {
            report.prices += command.prices;
        } else {
            let (first, last) = command.names.unwrap_or_default();
            report.rejected.push(format!("{first} to {last}: {}; so none of these was changed", why(&outcome)));
        }
        progress(command.prices);
    }
    Ok(report)
}

fn show(preview: &Preview, wanted: &Wanted, args: &Change) {
    for line in summary(preview, wanted.from_day) {
        print::line(line);
    }
    let rows: Vec<Vec<String>> =
        preview.plan.steps().take(args.examples).map(|step| example(&step, args.decimals)).collect();
    if !rows.is_empty() {
        print::line("");
        print::table(&["PRODUCT", "FROM QUANTITY", "BEFORE", "AFTER", "CHANGE", "FIRST DAY"], &rows);
        print::line("");
    }
}

/// What is said of a change before its examples.
#[must_use]
pub fn summary(preview: &Preview, from_day: i32) -> Vec<String> {
    let Preview { prices, plan, below_floor, devices } = preview;
    let list = &prices.list;
    let changed = format!("{} of {} prices change", plan.prices(), prices.prices.len());
    let spread = plan.spread().map(|spread| {
        let [smallest, largest, mean] = [spread.smallest_bp, spread.largest_bp, spread.mean_bp].map(percent);
        format!(": from {smallest} to {largest}, {mean} in the mean")
    });
    let (records, bytes) = plan.weight();
    let mut lines = vec![
        format!("{} ({}), from {} on", list.name, list.currency, day(from_day)),
        format!("{changed}{}", spread.unwrap_or_default()),
        format!("{} begin then or later, and stay as they are", plan.later),
    ];
    lines.push(match below_floor {
        Some(below) => format!("{below} would be below the lowest price: orders with them wait for somebody"),
        None => "the list has no lowest prices".to_owned(),
    });
    lines.push(format!(
        "{} would contradict another price (REASON_PRICE_CONFLICT), and are left out",
        plan.conflicts.len()
    ));
    lines.extend(plan.conflicts.iter().map(|name| format!("  {name}")));
    let refused = |(name, rejection): &(String, Rejection)| {
        format!("{name} can't change so, and is left out: {}", rejection.reason.as_str_name())
    };
    lines.extend(plan.refused.iter().map(refused));
    lines.push(format!(
        "{devices} devices hold the list; each is sent {records} records, about {bytes} bytes before compression"
    ));
    lines
}

fn example(step: &Step, decimals: u32) -> Vec<String> {
    let price = |rate: roundsman_sync::trade::price::UnitPrice| match rate.per_milli {
        UNIT_MILLI => decimal(rate.price_minor, decimals),
        per_milli => format!("{} for {}", decimal(rate.price_minor, decimals), quantity(per_milli)),
    };
    vec![
        step.name.clone(),
        quantity(step.min_quantity_milli),
        step.before.map_or_else(|| "none".to_owned(), price),
        price(step.after),
        step.before.and_then(|before| step.after.above_bp(before)).map(percent).unwrap_or_default(),
        day(step.from_day),
    ]
}

fn percent(bp: i64) -> String {
    let sign = if bp > 0 { "+" } else { "" };
    format!("{sign}{} %", decimal(bp, 2))
}

/// The columns of a file, for the help.
fn columns() -> String {
    let mut help = "A file has these columns, in any order; a cell may be empty unless it is required:\n".to_owned();
    for column in reprice::COLUMNS {
        help += &format!("  {:<14} {}\n", column.name, column.help);
    }
    help
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    const TODAY: i32 = 20_780;

    #[derive(Parser)]
    struct Cli {
        #[command(subcommand)]
        verb: Verb,
    }

    fn wanted(flags: &[&str]) -> Result<Wanted, String> {
        let always = ["x", "change", "--server", "http://x", "--tenant", "x", "--login", "x", "--list", "A"];
        let cli = Cli::try_parse_from(always.iter().chain(flags)).map_err(|error| error.to_string())?;
        let Verb::Change(args) = cli.verb;
        args.wanted(TODAY).map_err(|error| error.to_string())
    }

    #[test]
    fn a_rule_is_read_from_its_flags() {
        let rule = |flags| wanted(flags).map(|wanted| (wanted.terms, wanted.from_day));
        let share = Terms::Rule(Rule { by: By::Share(-350), round_to_minor: 5 });
        assert_eq!(
            rule(&["--percent", "-3.5", "--round-to", "0.05", "--from-day", "2026-12-01"]),
            Ok((share, TODAY + 8))
        );
        let amount = Terms::Rule(Rule { by: By::Amount(-1_000), round_to_minor: 0 });
        assert_eq!(rule(&["--amount", "-1", "--decimals", "3"]), Ok((amount, TODAY)));
        let chosen = wanted(&["--percent", "1", "--group", "Drinks | Tea", "--product", "A1", "--product", "A2"]);
        let chosen = chosen.expect("is right").selection;
        assert_eq!(
            (chosen.group_path, chosen.products),
            (vec!["Drinks".into(), "Tea".into()], vec!["A1".into(), "A2".into()])
        );
    }

    #[test]
    fn what_does_not_go_together_or_is_over_is_told() {
        let error = |flags| wanted(flags).expect_err("is wrong");
        assert!(error(&[]).contains("--percent"));
        assert!(error(&["--percent", "1", "--amount", "1"]).contains("cannot be used with"));
        assert!(error(&["--percent", "1", "--apply", "--preview"]).contains("cannot be used with"));
        assert!(error(&["--file", "x.csv", "--group", "Drinks"]).contains("cannot be used with"));
        assert_eq!(error(&["--percent", "1", "--from-day", "2026-11-22"]), "--from-day \"2026-11-22\" is over");
        assert!(error(&["--percent", "3,5"]).starts_with("--percent \"3,5\" is not a change"));
        assert!(error(&["--amount", "0.001"]).starts_with("--amount \"0.001\" is not a sum"));
    }
}
