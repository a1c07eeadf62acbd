//! `make simulate`: many seeds, and what came of them.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use roundsman_tests::database::Kind;
use roundsman_tests::simulation::{End, Fault, Law, Settings, Tally, Violation, batching, on_both, run, shrink};

/// Replays whole days of lost and repeated messages.
#[derive(Debug, Parser)]
struct Options {
    /// How many seeds to run.
    #[arg(long, default_value_t = 50)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    first_seed: u64,
    /// Run only this seed.
    #[arg(long)]
    seed: Option<u64>,
    /// Print every event.
    #[arg(long)]
    trace: bool,
    /// Events of a seed before faults stop [default: 1300 for every second seed, 300 for the others].
    #[arg(long)]
    steps: Option<u64>,
    /// Faults that do not occur.
    #[arg(long, value_delimiter = ',')]
    without: Vec<Fault>,
    /// Run on the PostgreSQL server that scripts/postgres started, where no server is restored from a backup.
    #[arg(long)]
    postgres: bool,
    /// Tell a violation as it was met, without making its history smaller.
    #[arg(long)]
    no_shrink: bool,
    /// Go on after a violation.
    #[arg(long)]
    keep_going: bool,
    /// Also run the commands of each seed in batches of one and in batches of random size, and compare.
    #[arg(long)]
    batching: bool,
    /// Run each seed on both databases, and compare.
    #[arg(long, conflicts_with = "postgres")]
    both: bool,
    /// Also print what became of each kind of command.
    #[arg(long)]
    decisions: bool,
}

/// What all seeds came to.
#[derive(Debug, Default)]
struct Sum {
    seeds: u64,
    digest: u64,
    tally: Tally,
    violations: BTreeMap<u64, (Settings, Violation)>,
}

impl Options {
    /// How a seed is run. Long ones meet the horizon, the turn of a month and outlets that were merged; short ones are many.
    fn settings(&self, seed: u64) -> Settings {
        Settings {
            steps: self.steps.unwrap_or(if seed.is_multiple_of(2) { 1_300 } else { 300 }),
            without: self.without.iter().copied().collect(),
            database: if self.postgres { Kind::Postgres } else { Kind::Sqlite },
            tell: self.trace.then_some(|line: &str| say(line)),
        }
    }
}

fn main() -> ExitCode {
    let mut options = Options::parse();
    if let Some(seed) = options.seed {
        (options.first_seed, options.seeds) = (seed, 1);
    }
    let sum = run_all(&options);
    report(&sum, &options);
    if sum.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs the seeds, as many at a time as the machine has processors. After a violation no seed is begun, unless asked for.
fn run_all(options: &Options) -> Sum {
    let threads = if options.trace { 1 } else { thread::available_parallelism().map_or(1, usize::from) };
    let next = AtomicU64::new(0);
    let sum = Mutex::new(Sum::default());
    let bar = if options.trace { ProgressBar::hidden() } else { ProgressBar::new(options.seeds) };
    let style = "{bar:40} {pos}/{len} seeds, {elapsed} gone, {eta} to go";
    bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let broken = !sum.lock().expect("nothing panics while it holds the sum").violations.is_empty();
                    let index = next.fetch_add(1, Ordering::SeqCst);
                    if (broken && !options.keep_going) || index >= options.seeds {
                        break;
                    }
                    let seed = options.first_seed + index;
                    let settings = options.settings(seed);
                    let end = run_one(seed, &settings, options);
                    let mut sum = sum.lock().expect("nothing panics while it holds the sum");
                    sum.seeds += 1;
                    // In any order of the seeds.
                    sum.digest ^= end.digest.rotate_left(u32::try_from(seed % 64).unwrap_or(0));
                    sum.tally.add(end.tally);
                    sum.violations.extend(end.violation.map(|violation| (seed, (settings, violation))));
                    bar.inc(1);
                }
            });
        }
    });
    bar.finish_and_clear();
    sum.into_inner().expect("no thread panicked")
}

/// One seed, if asked for with the law that needs to run its commands again.
fn run_one(seed: u64, settings: &Settings, options: &Options) -> End {
    let mut end = if options.both { on_both(seed, settings) } else { run(seed, settings) };
    if options.batching && end.violation.is_none() {
        *end.tally.laws.entry(Law::Batching).or_default() += 1;
        end.violation = batching::compare(seed, settings).err();
    }
    end
}

fn report(sum: &Sum, options: &Options) {
    let last = options.first_seed + options.seeds - 1;
    say(&format!("seeds      {} ({} to {last}), digest {:016x}", sum.seeds, options.first_seed, sum.digest));
    let tally = &sum.tally;
    say(&format!(
        "steps      {} in {} batches; the longest batch took {} statements",
        tally.steps, tally.batches, tally.most_statements
    ));
    say(&format!("commands   {}", list(&tally.commands)));
    say(&format!("faults     {}", list(&tally.faults)));
    let laws: BTreeMap<&str, u64> = tally.laws.iter().map(|(law, count)| (law.name(), *count)).collect();
    say(&format!("checks     {}", list(&laws)));
    if options.decisions {
        for ((command, decision), count) in &tally.decisions {
            say(&format!("    {count:>7}  {command}: {decision}"));
        }
    }
    if sum.violations.is_empty() {
        say("0 violations");
    }
    for (seed, (settings, violation)) in &sum.violations {
        say(&format!("VIOLATION  {violation}"));
        // These compare whole histories, and a history that is traced was made small before.
        let whole = options.trace || options.no_shrink || matches!(violation.law, Law::Batching | Law::Databases);
        let (least, how) =
            if whole { (*settings, violation.clone()) } else { shrink(*seed, *settings, violation.clone()) };
        let without: Vec<String> = least.without.faults().map(|fault| fault.to_string()).collect();
        let without = if without.is_empty() { String::new() } else { format!(" --without {}", without.join(",")) };
        let postgres = if options.postgres { " --postgres" } else { "" };
        say(&format!("seed {seed} in {} events: {how}; it is replayed by", least.steps));
        let replay = format!("--seed {seed} --steps {}{without}{postgres} --trace", least.steps);
        say(&format!("    cargo run --release -p roundsman-tests --bin simulate -- {replay}"));
    }
}

fn list<K: Display>(counts: &BTreeMap<K, u64>) -> String {
    let entries: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
    entries.join(", ")
}

#[expect(clippy::print_stdout, reason = "what the command line prints")]
fn say(line: &str) {
    println!("{line}");
}
