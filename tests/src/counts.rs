//! What things cost, counted, and compared with what `tests/counts.tsv` says they cost.
//!
//! A count that has grown fails its test, so that nobody pays more without knowing. One that has shrunk fails as well, until
//! it is written down: otherwise what was gained is lost again unseen. `make counts` writes the file anew, and the commit
//! shows what has changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};

use crate::database::Kind;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/counts.tsv");
/// The setting under which counts are written instead of compared.
const WRITE: &str = "ROUNDSMAN_WRITE_COUNTS";

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unit {
    /// Statements of an operation, those that begin and end transactions included.
    Statements,
    /// Encoded bytes of the messages of a call, or of a thousand rows.
    Bytes,
    /// Allocations for a thousand rows, or for one order.
    Allocations,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Statements => "statements",
            Self::Bytes => "bytes",
            Self::Allocations => "allocations",
        }
    }

    /// By so many it may be more or less. Another version of a library packs a little otherwise. Whoever waits for a database
    /// allocates, a few times for each wait, and nobody knows how often it waits: less than an allocation for each row is not
    /// told from that.
    fn tolerated(self, old: u64) -> u64 {
        match self {
            Self::Statements => 0,
            Self::Bytes => old / 100,
            Self::Allocations => (old / 10).max(4),
        }
    }

    fn is_as_before(self, old: u64, new: u64) -> bool {
        new.abs_diff(old) <= self.tolerated(old)
    }
}

/// What one test counts, on a database or without one. Of the units that it counts there nobody else does.
#[derive(Debug)]
pub struct Counts {
    database: &'static str,
    counted: BTreeMap<(Unit, String), u64>,
}

impl Counts {
    /// None yet.
    #[must_use]
    pub fn of(kind: Option<Kind>) -> Self {
        let database = match kind {
            Some(Kind::Sqlite) => "sqlite",
            Some(Kind::Postgres) => "postgres",
            None => "none",
        };
        Self { database, counted: BTreeMap::new() }
    }

    /// Something was counted.
    pub fn add(&mut self, unit: Unit, name: &str, count: u64) {
        let before = self.counted.insert((unit, name.to_owned()), count);
        assert_eq!(before, None, "{name} is counted once");
    }

    /// Compares with the file, or writes it.
    ///
    /// # Panics
    /// When the file says something else.
    pub fn check(self) {
        #[expect(clippy::disallowed_methods, reason = "the one place that learns whether counts are to be written")]
        let write = std::env::var(WRITE).is_ok();
        if write {
            return self.write();
        }
        let file = std::fs::read_to_string(FILE).expect("tests/counts.tsv is there");
        let differences = self.differences(&Lines::read(&file));
        let differences = differences.join("\n");
        assert!(differences.is_empty(), "{differences}\nIf it is meant to be so, `make counts` writes it down.");
    }

    fn differences(&self, lines: &Lines) -> Vec<String> {
        let mut differences = Vec::new();
        for ((unit, name), new) in &self.counted {
            let key = self.key(*unit, name);
            let what = told(&key);
            match lines.0.get(&key).copied() {
                None => differences.push(format!("{what}: {new}, which is not written down")),
                Some(old) if unit.is_as_before(old, *new) => {}
                Some(old) if *new > old => differences.push(format!("{what} have grown from {old} to {new}")),
                Some(old) => differences.push(format!("{what} have shrunk from {old} to {new}, which is to be kept")),
            }
        }
        let counted: BTreeSet<_> = self.counted.keys().map(|(unit, name)| self.key(*unit, name)).collect();
        let gone = lines.0.keys().filter(|key| self.is_ours(key) && !counted.contains(*key));
        differences.extend(gone.map(|key| format!("{}: nobody counts them", told(key))));
        differences
    }

    fn key(&self, unit: Unit, name: &str) -> [String; 3] {
        [unit.name(), name, self.database].map(str::to_owned)
    }

    fn is_ours(&self, [unit, _, database]: &[String; 3]) -> bool {
        database == self.database && self.counted.keys().any(|(own, _)| own.name() == unit)
    }

    /// Replaces what the file says of what is ours, except what is as before. Tests beside this one write the rest.
    fn write(self) {
        let mut options = OpenOptions::new();
        let mut file: File = options.read(true).write(true).create(true).truncate(false).open(FILE).expect("opens");
        file.lock().expect("is locked");
        let mut text = String::new();
        file.read_to_string(&mut text).expect("is text");
        let mut lines = Lines::read(&text);
        let before = lines.0.extract_if(.., |key, _| self.is_ours(key)).collect::<BTreeMap<_, _>>();
        lines.0.extend(self.counted.iter().map(|((unit, name), new)| {
            let key = self.key(*unit, name);
            let old = before.get(&key).copied().filter(|old| unit.is_as_before(*old, *new));
            (key, old.unwrap_or(*new))
        }));
        file.set_len(0).expect("is emptied");
        file.rewind().expect("rewinds");
        file.write_all(lines.text().as_bytes()).expect("is written");
    }
}

fn told([unit, name, database]: &[String; 3]) -> String {
    format!("{unit} of `{name}` on {database}")
}

/// The file: a line for each count, in order.
struct Lines(BTreeMap<[String; 3], u64>);

impl Lines {
    const HEAD: &str = "unit\tof\ton\tcount\n";

    fn read(text: &str) -> Self {
        let line = |line: &str| {
            let fields: Vec<&str> = line.split('\t').collect();
            let [unit, name, database, count] = fields[..] else { panic!("four fields: {line}") };
            ([unit, name, database].map(str::to_owned), count.parse().expect("a number"))
        };
        Self(text.lines().skip(1).map(line).collect())
    }

    fn text(&self) -> String {
        let line =
            |([unit, name, database], count): (&[String; 3], &u64)| format!("{unit}\t{name}\t{database}\t{count}\n");
        let lines = self.0.iter().map(line);
        [Self::HEAD.to_owned()].into_iter().chain(lines).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn differences(unit: Unit, old: u64, new: u64) -> Vec<String> {
        let mut counts = Counts::of(Some(Kind::Sqlite));
        counts.add(unit, "login", new);
        let text = format!("unit\tof\ton\tcount\n{}\tlogin\tsqlite\t{old}\n", unit.name());
        counts.differences(&Lines::read(&text))
    }

    #[test]
    fn a_statement_more_or_less_is_told_with_both_numbers() {
        assert_eq!(differences(Unit::Statements, 5, 5), Vec::<String>::new());
        assert_eq!(differences(Unit::Statements, 5, 6), ["statements of `login` on sqlite have grown from 5 to 6"]);
        let shrunk = "statements of `login` on sqlite have shrunk from 5 to 4, which is to be kept";
        assert_eq!(differences(Unit::Statements, 5, 4), [shrunk]);
    }

    #[test]
    fn of_bytes_and_allocations_a_little_is_tolerated() {
        for (unit, little) in [(Unit::Bytes, 10), (Unit::Allocations, 100)] {
            for new in [1_000 - little, 1_000 + little] {
                assert_eq!(differences(unit, 1_000, new), Vec::<String>::new());
            }
            assert_eq!(differences(unit, 1_000, 1_000 + little + 1).len(), 1);
            assert_eq!(differences(unit, 1_000, 1_000 - little - 1).len(), 1);
        }
    }

    #[test]
    fn what_is_not_written_down_and_what_nobody_counts_is_told() {
        let mut counts = Counts::of(Some(Kind::Postgres));
        counts.add(Unit::Bytes, "login", 7);
        let others = "bytes\tpull\tsqlite\t7\nstatements\tpull\tpostgres\t7\n";
        let lines = Lines::read(&format!("unit\tof\ton\tcount\nbytes\tpush\tpostgres\t7\n{others}"));
        assert_eq!(
            counts.differences(&lines),
            [
                "bytes of `login` on postgres: 7, which is not written down",
                "bytes of `push` on postgres: nobody counts them"
            ]
        );
    }
}
