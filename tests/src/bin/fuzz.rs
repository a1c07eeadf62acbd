//! `make fuzz`: many inputs, and what came of them.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use roundsman_tests::fuzz::{Fuzz, Target};
use tokio::time::Instant;

/// Sends changed messages to every decoder and every door.
#[derive(Debug, Parser)]
struct Options {
    /// How many inputs to try.
    #[arg(long, default_value_t = 100_000)]
    inputs: u64,
    /// What all inputs follow from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The number of the first input.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Only this target.
    #[arg(long)]
    only: Option<Target>,
    /// An input may take so many seconds.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// The process may take so much memory, in MiB.
    #[arg(long, default_value_t = 1_024)]
    memory: u64,
}

impl Options {
    fn target(&self, number: u64) -> Target {
        self.only.unwrap_or_else(|| Target::of(number))
    }

    fn replay(&self, number: u64) -> String {
        let target = clap::ValueEnum::to_possible_value(&self.target(number));
        let target = target.map_or_else(String::new, |target| target.get_name().to_owned());
        format!("--seed {} --first {number} --inputs 1 --only {target}", self.seed)
    }
}

/// What came of the inputs: tried and taken, by target, and what was broken.
#[derive(Debug, Default)]
struct Sum {
    counts: BTreeMap<Target, (u64, u64)>,
    findings: Vec<String>,
}

/// After so many findings no input is begun.
const FINDINGS: usize = 20;

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let fuzz = Fuzz::start().await;
    let begun = Instant::now();
    let mut sum = tokio::task::block_in_place(|| run(&fuzz, &options));
    let seconds = begun.elapsed().as_secs_f64();
    sum.findings.extend(fuzz.finish().await.err());
    let peak = peak_mib();
    if peak > options.memory {
        sum.findings.push(format!("the process took {peak} MiB"));
    }
    let inputs: u64 = sum.counts.values().map(|(tried, _)| tried).sum();
    say(&format!("inputs     {inputs} (seed {}, from {}) in {seconds:.0} s", options.seed, options.first));
    say(&format!("memory     {peak} MiB at most"));
    for (target, (tried, taken)) in &sum.counts {
        say(&format!("    {tried:>9}  {target:?}, of which {taken} were taken"));
    }
    for finding in &sum.findings {
        say(&format!("FOUND      {finding}"));
    }
    if sum.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Tries the inputs, as many at a time as the machine has processors, and looks whether one hangs.
fn run(fuzz: &Fuzz, options: &Options) -> Sum {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let (next, sum) = (AtomicU64::new(0), Mutex::new(Sum::default()));
    // What each thread tries, and since when.
    let trying: Vec<Mutex<Option<(u64, Instant)>>> = (0..threads).map(|_| Mutex::default()).collect();
    let bar = ProgressBar::new(options.inputs);
    let style = "{bar:40} {pos}/{len} inputs, {elapsed} gone, {eta} to go";
    bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
    thread::scope(|scope| {
        let (done, ended) = mpsc::channel::<()>();
        for trying in &trying {
            let done = done.clone();
            let (next, sum, bar) = (&next, &sum, &bar);
            scope.spawn(move || {
                work(fuzz, options, (next, trying), (sum, bar));
                drop(done);
            });
        }
        drop(done);
        let trying = &trying;
        scope.spawn(move || watch(options, trying, &ended));
    });
    bar.finish_and_clear();
    sum.into_inner().expect("no thread panicked")
}

fn work(
    fuzz: &Fuzz,
    options: &Options,
    (next, trying): (&AtomicU64, &Mutex<Option<(u64, Instant)>>),
    (sum, bar): (&Mutex<Sum>, &ProgressBar),
) {
    const AT_ONCE: u64 = 256;
    loop {
        let from = next.fetch_add(AT_ONCE, Ordering::SeqCst);
        let to = (from + AT_ONCE).min(options.inputs);
        if from >= to || sum.lock().expect("nothing panics while it holds the sum").findings.len() >= FINDINGS {
            break;
        }
        let mut part = Sum::default();
        for number in (options.first + from)..(options.first + to) {
            let target = options.target(number);
            *trying.lock().expect("nothing panics while it holds this") = Some((number, Instant::now()));
            let count = part.counts.entry(target).or_default();
            count.0 += 1;
            match fuzz.attempt(options.seed, number, target) {
                Ok(taken) => count.1 += u64::from(taken),
                Err(what) => part.findings.push(format!("{}: {what}", options.replay(number))),
            }
        }
        let mut sum = sum.lock().expect("nothing panics while it holds the sum");
        for (target, (tried, taken)) in part.counts {
            let count = sum.counts.entry(target).or_default();
            *count = (count.0 + tried, count.1 + taken);
        }
        sum.findings.extend(part.findings);
        bar.inc(to - from);
    }
    *trying.lock().expect("nothing panics while it holds this") = None;
}

/// Ends the process when an input does not come to its end.
fn watch(options: &Options, trying: &[Mutex<Option<(u64, Instant)>>], ended: &mpsc::Receiver<()>) {
    let limit = Duration::from_secs(options.seconds);
    while ended.recv_timeout(Duration::from_secs(1)) == Err(mpsc::RecvTimeoutError::Timeout) {
        for trying in trying {
            let trying = *trying.lock().expect("nothing panics while it holds this");
            if let Some((number, since)) = trying.filter(|(_, since)| since.elapsed() > limit) {
                say(&format!("FOUND      {}: hangs for {:?}", options.replay(number), since.elapsed()));
                std::process::exit(1);
            }
        }
    }
}

/// What the process took of memory at most, as Linux counts it; 0: it does not say.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1_024
}

#[expect(clippy::print_stdout, reason = "what the command line prints")]
fn say(line: &str) {
    println!("{line}");
}
