//! The report of the day: plain text in aligned tables.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use roundsman_proto::sync::{Outcome, Status};
use roundsman_proto::trade::{
    HoldReason, Order, OrderStatus, PromiseOutcome, Reason, ShipmentState, Visit, VisitState,
};
use uuid::Uuid;

use super::cases;
use super::day::Lived;
use super::deliveries;
use super::setup::Loaded;
use super::shared::{Arrival, Shared};
use super::verdict::{Stored, Verdict};
use super::world::{REPS, TEAM_NAMES, TEAMS, TODAY, rep_id};

/// Longer examples are cut.
const EXAMPLE_CHARS: usize = 46;

/// What is reported.
#[derive(Clone, Copy)]
pub struct Told<'a> {
    /// The day's script.
    pub shared: &'a Shared,
    /// What was set up before.
    pub loaded: &'a Loaded,
    /// What happened.
    pub lived: &'a Lived,
    /// What was found.
    pub verdict: &'a Verdict,
    /// How many times faster than the machine's the clock ran.
    pub speed: i64,
}

/// The whole report.
#[must_use]
pub fn report(told: Told<'_>) -> String {
    let mut text = String::new();
    let mut part = |title: &str, body: String| {
        let _ = write!(text, "\n{title}\n{body}");
    };
    part("The representatives", representatives(told));
    part("What devices asked for", commands(told.lived));
    part("What the phones were told, beside a plain yes", conflicts(told.lived));
    part("What desks were told", desks(told.lived));
    part("Holds", holds(&told.verdict.stored));
    part("Orders and shipments", states(&told.verdict.stored));
    part("Promises", promises(&told.verdict.stored) + &trade(told));
    part("From the promise to the door, in pieces", deliveries::orders(&told.verdict.stored));
    part("Trips, in pieces", deliveries::trips(&told.verdict.stored));
    part("Coverage by team", coverage(told));
    part("From the office's answer to the device, in machine time", latencies(told.lived));
    part("From the server's decision to the rep's phone, in machine time", deliveries::waits(&told.verdict.waits));
    part("Faults", faults(told));
    part("Verdict", verdict(told));
    text
}

/// A table whose first `left` columns are text, and the others numbers.
pub struct Table {
    left: usize,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with its titles.
    #[must_use]
    pub fn new<const N: usize>(left: usize, titles: [&str; N]) -> Self {
        Self { left, rows: vec![titles.map(str::to_owned).into()] }
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    /// Aligns the last column, which is text, to the left.
    pub fn align_last(&mut self) {
        let width = self.rows.iter().filter_map(|row| row.last()).map(|cell| cell.chars().count()).max().unwrap_or(0);
        for cell in self.rows.iter_mut().filter_map(|row| row.last_mut()) {
            *cell = format!("{cell:<width$}");
        }
    }

    /// The table as it is printed.
    #[must_use]
    pub fn text(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let width = widths[column];
                let _ = if column < self.left {
                    write!(line, "  {cell:<width$}")
                } else {
                    write!(line, "  {cell:>width$}")
                };
            }
            let _ = writeln!(text, "{}", line.trim_end());
        }
        text
    }
}

/// A number with its thousands set apart.
#[must_use]
pub fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number < 0 { format!("-{text}") } else { text }
}

/// A sum in whole euros.
#[must_use]
pub fn euros(minor: i64) -> String {
    grouped(minor / 100)
}

fn kilobytes(bytes: u64) -> String {
    grouped(i64::try_from(bytes / 1_000).unwrap_or(i64::MAX))
}

/// What a representative's day came to; also their sum.
#[derive(Clone, Copy, Default)]
struct Sums {
    planned: usize,
    done: usize,
    productive: usize,
    unplanned: usize,
    missed: usize,
    orders: usize,
    value_minor: i64,
}

/// A day's figures; `planned` falls back on the script where the server has planned nothing.
fn sums(told: Told<'_>, rep: usize) -> Sums {
    let own = rep_id(rep);
    let stored = &told.verdict.stored;
    let visits: Vec<&Visit> =
        stored.visits.values().filter(|visit| visit.day == TODAY && visit.rep_id == own.as_bytes()).collect();
    let count = |which: &dyn Fn(&Visit) -> bool| visits.iter().filter(|visit| which(visit)).count();
    let completed = |visit: &Visit| visit.state() == VisitState::Completed;
    let planned = count(&|visit| visit.planned && visit.state() != VisitState::Cancelled);
    let orders = stored.today().filter(|(_, order)| order.rep_id == own.as_bytes());
    let orders: Vec<&Order> = orders.map(|(_, order)| order).collect();
    Sums {
        planned: if planned == 0 { told.shared.day.reps[rep].visits.len() } else { planned },
        done: count(&|visit| completed(visit)),
        productive: count(&|visit| completed(visit) && visit.productive),
        unplanned: count(&|visit| completed(visit) && !visit.planned),
        missed: count(&|visit| visit.planned && matches!(visit.state(), VisitState::Planned | VisitState::Missed)),
        orders: orders.len(),
        value_minor: orders.iter().map(|order| order.value_minor).sum(),
    }
}

/// What is told of each representative.
const DAY: [&str; 16] = [
    "rep",
    "team",
    "planned",
    "done",
    "prod.",
    "orders",
    "value €",
    "applied",
    "merged",
    "held",
    "rejected",
    "kB down",
    "kB up",
    "kB to visit",
    "to sell",
    "to all",
];

fn representatives(told: Told<'_>) -> String {
    let mut table = Table::new(2, DAY);
    let mut total = (Sums::default(), [0; 4], [0; 2]);
    for evening in &told.lived.evenings {
        let own = sums(told, evening.rep);
        let journal = &evening.journal;
        let kinds = KINDS.map(|kind| evening.answered.iter().filter(|one| one.outcome.status() == kind).count());
        let cells = [own.planned, own.done, own.productive, own.orders].map(|number| number.to_string());
        let [planned, done, productive, orders] = cells;
        let [applied, merged, held, rejected] = kinds.map(|number| number.to_string());
        let team = TEAM_NAMES[told.shared.world.team_of(evening.rep)].to_owned();
        table.row([
            REPS[evening.rep].to_owned(),
            team,
            planned,
            done,
            productive,
            orders,
            euros(own.value_minor),
            applied,
            merged,
            held,
            rejected,
            kilobytes(journal.traffic.bytes_down),
            kilobytes(journal.traffic.bytes_up),
            kilobytes(journal.first_sync[0]),
            kilobytes(journal.first_sync[1]),
            kilobytes(journal.first_sync[2]),
        ]);
        add(&mut total, own, kinds, [journal.traffic.bytes_down, journal.traffic.bytes_up]);
    }
    let (sum, kinds, traffic) = total;
    let [planned, done, productive, orders] =
        [sum.planned, sum.done, sum.productive, sum.orders].map(|number| number.to_string());
    let [applied, merged, held, rejected] = kinds.map(|number| number.to_string());
    let [down, up] = traffic.map(kilobytes);
    let value = euros(sum.value_minor);
    table.row([
        "all".to_owned(),
        String::new(),
        planned,
        done,
        productive,
        orders,
        value,
        applied,
        merged,
        held,
        rejected,
        down,
        up,
    ]);
    table.text() + &readiness(told.lived)
}

/// After which part of its bytes a first sync is of use.
fn readiness(lived: &Lived) -> String {
    let sum = |part: usize| lived.evenings.iter().map(|one| one.journal.first_sync[part]).sum::<u64>();
    let [visits, sales] = [0, 1].map(|part| 100 * sum(part) / sum(2).max(1));
    format!("A first sync is ready for visits after {visits} % of its bytes, and to sell after {sales} %.\n")
}

fn add(total: &mut (Sums, [usize; 4], [u64; 2]), own: Sums, kinds: [usize; 4], traffic: [u64; 2]) {
    let sum = &mut total.0;
    sum.planned += own.planned;
    sum.done += own.done;
    sum.productive += own.productive;
    sum.orders += own.orders;
    sum.value_minor += own.value_minor;
    for (sum, own) in total.1.iter_mut().zip(kinds) {
        *sum += own;
    }
    for (sum, own) in total.2.iter_mut().zip(traffic) {
        *sum += own;
    }
}

/// The statuses that a table of decisions has columns for.
const KINDS: [Status; 4] = [Status::Applied, Status::Merged, Status::Held, Status::Rejected];

fn commands(lived: &Lived) -> String {
    let mut names: BTreeMap<&str, [usize; 5]> = BTreeMap::new();
    for answered in lived.phones().flat_map(|evening| &evening.answered) {
        let kind = KINDS.iter().position(|kind| *kind == answered.outcome.status()).unwrap_or(KINDS.len());
        names.entry(answered.name).or_default()[kind] += 1;
    }
    let mut table = Table::new(1, ["command", "applied", "merged", "held", "rejected", "other"]);
    for (name, kinds) in names {
        let [applied, merged, held, rejected, other] = kinds.map(|number| number.to_string());
        table.row([name.to_owned(), applied, merged, held, rejected, other]);
    }
    table.text()
}

/// Decisions of one sort, by the number of the conflict that they are about: how many, and an example.
fn decisions<'a>(outcomes: impl Iterator<Item = (&'static str, &'a Outcome)>) -> String {
    let mut kinds: BTreeMap<(u8, &str, &str, &str), (usize, String)> = BTreeMap::new();
    for (name, outcome) in outcomes {
        // What is about none comes last.
        let case = cases::of(outcome).unwrap_or(u8::MAX);
        let status = outcome.status().as_str_name().trim_start_matches("STATUS_");
        let reason = reason_name(outcome.reason());
        let kind = kinds.entry((case, name, status, reason)).or_default();
        kind.0 += 1;
        if kind.1.is_empty() {
            kind.1 = because(outcome);
        }
    }
    let mut table = Table::new(4, ["case", "command", "decision", "reason", "times", "  for example"]);
    for ((case, name, status, reason), (times, example)) in kinds {
        let case = if case == u8::MAX { String::new() } else { format!("C{case}") };
        let example = format!("  {example}");
        table.row([case, name.to_owned(), status.to_lowercase(), reason.to_owned(), times.to_string(), example]);
    }
    table.align_last();
    table.text()
}

fn reason_name(reason: Reason) -> &'static str {
    if reason == Reason::Unspecified { "" } else { reason.as_str_name().trim_start_matches("REASON_") }
}

/// What a decision was based on, in short.
fn because(outcome: &Outcome) -> String {
    let overrides = outcome.overrides.iter().map(|over| format!("{} {} beats {}", over.field, over.kept, over.lost));
    let facts = outcome.facts.iter().map(|fact| format!("{} {}", fact.name, fact.value));
    let mut text = overrides.chain(facts).collect::<Vec<_>>().join(", ");
    if text.is_empty() {
        text.clone_from(&outcome.text);
    }
    if text.chars().count() > EXAMPLE_CHARS {
        text = text.chars().take(EXAMPLE_CHARS - 1).chain(['…']).collect();
    }
    text
}

fn conflicts(lived: &Lived) -> String {
    let answered = lived.phones().flat_map(|evening| &evening.answered);
    let outcomes = answered.map(|answered| (answered.name, &answered.outcome));
    decisions(
        outcomes.filter(|(_, outcome)| outcome.status() != Status::Applied || outcome.reason() != Reason::Unspecified),
    )
}

fn desks(lived: &Lived) -> String {
    let ledgers = lived.desks.iter().flat_map(|(_, ledger)| &ledger.decided);
    let mut text = decisions(ledgers.map(|decided| (decided.name, &decided.outcome)));
    for (who, ledger) in &lived.desks {
        for service in &ledger.missing {
            let _ = writeln!(text, "  {who}: this server has no {service}");
        }
    }
    text
}

fn holds(stored: &Stored) -> String {
    let mut kinds: BTreeMap<i32, [i64; 3]> = BTreeMap::new();
    for hold in stored.today().flat_map(|(_, order)| &order.holds) {
        let counts = kinds.entry(hold.reason).or_default();
        counts[0] += 1;
        if hold.released_at_us > 0 {
            counts[if hold.released_by_id.is_empty() { 2 } else { 1 }] += 1;
        }
    }
    let mut table = Table::new(1, ["reason", "opened", "released by people", "by rules", "open"]);
    for (reason, [opened, people, rules]) in kinds {
        let name = HoldReason::try_from(reason).map_or("?", |reason| reason.as_str_name());
        let name = name.trim_start_matches("HOLD_REASON_").to_lowercase();
        let [opened, people, rules, open] = [opened, people, rules, opened - people - rules].map(grouped);
        table.row([name, opened, people, rules, open]);
    }
    table.text()
}

fn states(stored: &Stored) -> String {
    let mut orders: BTreeMap<i32, (i64, i64)> = BTreeMap::new();
    for (_, order) in stored.today() {
        let sum = orders.entry(order.status).or_default();
        sum.0 += 1;
        sum.1 += order.value_minor;
    }
    let mut table = Table::new(2, ["", "state", "number", "value €"]);
    for (status, (number, value)) in orders {
        let name = OrderStatus::try_from(status).map_or("?", |status| status.as_str_name());
        let name = name.trim_start_matches("ORDER_STATUS_").to_lowercase();
        table.row(["orders".to_owned(), name, grouped(number), euros(value)]);
    }
    let mut shipments: BTreeMap<i32, i64> = BTreeMap::new();
    for shipment in stored.shipments.values() {
        *shipments.entry(shipment.state).or_default() += 1;
    }
    for (state, number) in shipments {
        let name = ShipmentState::try_from(state).map_or("?", |state| state.as_str_name());
        let name = name.trim_start_matches("SHIPMENT_STATE_").to_lowercase().replace('_', " ");
        table.row(["shipments".to_owned(), name, grouped(number), String::new()]);
    }
    table.text()
}

/// So many orders with broken promises are told.
const BROKEN_TOLD: usize = 12;

/// What was promised today, and what has become of it.
fn promises(stored: &Stored) -> String {
    let promised: Vec<(&Uuid, &Order)> = stored.today().filter(|(_, order)| order.promised_at_us != 0).collect();
    let of = |outcome: PromiseOutcome| {
        let past = promised.iter().flat_map(|(_, order)| &order.past_promises);
        past.filter(|past| past.outcome() == outcome).count()
    };
    let [broken, changed] = [PromiseOutcome::Broken, PromiseOutcome::Changed].map(of);
    let mut text = format!(
        "  {} orders were promised; of their lines {changed} were wanted otherwise, or refused, and {broken} promises broken\n",
        promised.len()
    );
    let mut table = Table::new(1, ["order", "promised €", "now €", "broken", "  because"]);
    for (id, order) in promised.iter().filter(|(_, order)| order.broken_promises > 0).take(BROKEN_TOLD) {
        let broken = order.past_promises.iter().filter(|past| past.outcome() == PromiseOutcome::Broken);
        let lost: i64 = order
            .past_promises
            .iter()
            .map(|past| {
                let now = order.lines.iter().find(|line| line.line_id == past.line_id);
                past.amount_minor - now.map_or(0, |line| line.amount_minor)
            })
            .sum();
        let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
        for past in broken {
            let name = past.reason().as_str_name().trim_start_matches("LINE_DIFFERENCE_");
            *reasons.entry(name.to_lowercase().replace('_', " ")).or_default() += 1;
        }
        let because: Vec<String> = reasons.into_iter().map(|(reason, times)| format!("{reason} {times}")).collect();
        table.row([
            id.to_string(),
            euros(order.value_minor + lost),
            euros(order.value_minor),
            order.broken_promises.to_string(),
            format!("  {}", because.join(", ")),
        ]);
    }
    table.align_last();
    text.push_str(&table.text());
    text
}

/// What has become of what was arranged: how often, and what each got of the scarce goods.
fn trade(told: Told<'_>) -> String {
    let (arranged, world) = (&told.shared.day.trade, &told.shared.world);
    let stored = &told.verdict.stored;
    let mut times = Table::new(1, ["what was arranged", "times"]);
    for played in arranged.played(world, stored) {
        times.row([played.what.to_owned(), played.times.to_string()]);
    }
    let mut table = Table::new(2, ["scarce goods", "order", "wanted", "got", "  because"]);
    for (sort, order, line) in arranged.scarce(world, stored) {
        let because = line.difference().as_str_name().trim_start_matches("LINE_DIFFERENCE_");
        let because = if because == "UNSPECIFIED" { "" } else { because };
        let [wanted, got] = [line.ordered_milli, line.confirmed_milli].map(|milli| grouped(milli / 1_000));
        let because = format!("  {}", because.to_lowercase().replace('_', " "));
        table.row([sort.to_owned(), order.to_string(), wanted, got, because]);
    }
    table.align_last();
    times.text() + &table.text()
}

fn coverage(told: Told<'_>) -> String {
    let mut table =
        Table::new(2, ["team", "", "planned", "done", "%", "productive", "unplanned", "not made", "updates"]);
    for team in 0..TEAMS {
        let reps = (0..REPS.len()).filter(|rep| told.shared.world.team_of(*rep) == team);
        let mut sum = Sums::default();
        for own in reps.map(|rep| sums(told, rep)) {
            sum.planned += own.planned;
            sum.done += own.done;
            sum.productive += own.productive;
            sum.unplanned += own.unplanned;
            sum.missed += own.missed;
        }
        table.row(coverage_row(team, "stored", sum, String::new()));
        let watched = told.lived.coverage.iter().find(|watched| watched.team == team);
        let Some(watched) = watched else { continue };
        let Some(seen) = &watched.last else { continue };
        let total = |figure: fn(&roundsman_proto::supervision::RepCoverage) -> i32| {
            usize::try_from(seen.reps.iter().map(figure).sum::<i32>()).unwrap_or(0)
        };
        let unplanned = total(|rep| rep.unplanned);
        let sum = Sums {
            planned: total(|rep| rep.planned),
            done: total(|rep| rep.done) + unplanned,
            productive: total(|rep| rep.productive),
            unplanned,
            missed: total(|rep| rep.planned - rep.done),
            ..Sums::default()
        };
        table.row(coverage_row(team, "as the supervisor saw it", sum, watched.updates.to_string()));
    }
    table.text()
}

fn coverage_row(team: usize, source: &str, sum: Sums, updates: String) -> [String; 9] {
    let percent = (sum.done.saturating_sub(sum.unplanned) * 100).checked_div(sum.planned).unwrap_or(0);
    let [planned, done, percent, productive, unplanned, missed] =
        [sum.planned, sum.done, percent, sum.productive, sum.unplanned, sum.missed].map(|number| number.to_string());
    let team = TEAM_NAMES[team].to_owned();
    [team, source.to_owned(), planned, done, percent, productive, unplanned, missed, updates]
}

fn latencies(lived: &Lived) -> String {
    let mut kinds: BTreeMap<(&str, bool), Vec<Duration>> = BTreeMap::new();
    let arrivals = lived.evenings.iter().flat_map(|evening| &evening.journal.arrivals);
    for Arrival { what, following, took } in arrivals {
        kinds.entry((what, !following)).or_default().push(*took);
    }
    let mut table = Table::new(2, ["change", "device", "arrivals", "median ms", "longest ms"]);
    for ((what, away), mut took) in kinds {
        took.sort_unstable();
        let milliseconds = |took: Option<&Duration>| took.map_or(String::new(), |took| took.as_millis().to_string());
        let device = if away { "was away; from its return" } else { "followed" };
        let (median, longest) = (milliseconds(took.get(took.len() / 2)), milliseconds(took.last()));
        table.row([what.to_owned(), device.to_owned(), took.len().to_string(), median, longest]);
    }
    table.text()
}

fn faults(told: Told<'_>) -> String {
    let journals = || told.lived.phones().map(|evening| &evening.journal);
    let killed = told.lived.killed;
    let mut table = Table::new(2, ["", ""]);
    table.rows.clear();
    table.row([
        "server".to_owned(),
        format!("killed while {} devices pushed; back after {} ms", killed.pushing, killed.down.as_millis()),
    ]);
    let cut: u32 = journals().map(|journal| journal.cut_pushes).sum();
    table.row(["app".to_owned(), format!("killed in a push before its answer, and opened from its files: {cut}")]);
    let again = journals().filter(|journal| journal.installations > 1).count();
    table.row(["app".to_owned(), format!("installed again: {again}")]);
    let interruptions: u32 = journals().map(|journal| journal.interruptions).sum();
    table.row(["calls".to_owned(), format!("failed and repeated by devices: {interruptions}")]);
    table.text()
}

fn verdict(told: Told<'_>) -> String {
    let Told { loaded, lived, verdict, speed, .. } = told;
    let mut text = String::new();
    for right in &verdict.right {
        let _ = writeln!(text, "  right: {right}");
    }
    for wrong in &verdict.wrong {
        let _ = writeln!(text, "  WRONG: {wrong}");
    }
    let _ = writeln!(
        text,
        "  set-up: {} records ({} kB) and {} users in {:.1} s; the day: {:.1} s at {speed} times real time; version {}",
        grouped(i64::try_from(loaded.records).unwrap_or(i64::MAX)),
        kilobytes(loaded.bytes as u64),
        loaded.users,
        loaded.took.as_secs_f64(),
        lived.took.as_secs_f64(),
        verdict.stored.version,
    );
    let last = if verdict.wrong.is_empty() { "ALL IS RIGHT" } else { "SOMETHING IS WRONG" };
    let _ = writeln!(text, "  {last}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(1, ["name", "n"]);
        table.row(["a".to_owned(), "1,000".to_owned()]);
        assert_eq!(table.text(), "  name      n\n  a     1,000\n");
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(
            (grouped(1_234_567), grouped(-1_000), grouped(12)),
            ("1,234,567".into(), "-1,000".into(), "12".into())
        );
    }
}
