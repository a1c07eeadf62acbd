//! What things cost, counted, and compared with what `tests/counts.tsv` says they cost.
//!
//! A count that has grown fails its test, so that nobody pays more without knowing. One that has shrunk fails as well, until
//! it is written down: otherwise what was gained is lost again unseen. `make counts` writes the file anew, and the commit
//! shows what has changed.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};

use crate::database::Kind;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/counts.tsv");
/// The settings under which counts are written instead of compared.
const WRITE: &str = "ROUNDSMAN_WRITE_COUNTS";

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

    /// So many of a thousand may be more or less: another version of a library packs or grows its buffers a little otherwise.
    fn tolerance(self) -> u64 {
        match self {
            Self::Statements => 0,
            Self::Bytes => 10,
            Self::Allocations => 20,
        }
    }
}

/// Counts of one unit on one database.
#[derive(Debug)]
pub struct Counts {
    unit: Unit,
    database: &'static str,
    counted: BTreeMap<String, u64>,
}

impl Counts {
    /// None yet, on a database or without one.
    #[must_use]
    pub fn of(unit: Unit, kind: Option<Kind>) -> Self {
        let database = match kind {
            Some(Kind::Sqlite) => "sqlite",
            Some(Kind::Postgres) => "postgres",
            None => "none",
        };
        Self { unit, database, counted: BTreeMap::new() }
    }

    /// Something was counted.
    pub fn add(&mut self, name: &str, count: u64) {
        let before = self.counted.insert(name.to_owned(), count);
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
        let (unit, database) = (self.unit.name(), self.database);
        let written = |name: &String| lines.0.get(&self.key(name)).copied();
        let mut differences = Vec::new();
        for (name, new) in &self.counted {
            let what = format!("{unit} of `{name}` on {database}");
            match written(name) {
                None => differences.push(format!("{what}: {new}, which is not written down")),
                Some(old) if new.abs_diff(old) * 1_000 <= old * self.unit.tolerance() => {}
                Some(old) if *new > old => differences.push(format!("{what} have grown from {old} to {new}")),
                Some(old) => differences.push(format!("{what} have shrunk from {old} to {new}, which is to be kept")),
            }
        }
        let gone = lines.0.keys().filter(|key| self.is_ours(key) && !self.counted.contains_key(&key[1]));
        differences.extend(gone.map(|[_, name, _]| format!("{unit} of `{name}` on {database}: nobody counts them")));
        differences
    }

    fn key(&self, name: &str) -> [String; 3] {
        [self.unit.name(), name, self.database].map(str::to_owned)
    }

    fn is_ours(&self, [unit, _, database]: &[String; 3]) -> bool {
        unit == self.unit.name() && database == self.database
    }

    /// Replaces what the file says of this unit and database. Tests beside this one write the rest.
    fn write(self) {
        let mut options = OpenOptions::new();
        let mut file: File = options.read(true).write(true).create(true).truncate(false).open(FILE).expect("opens");
        file.lock().expect("is locked");
        let mut text = String::new();
        file.read_to_string(&mut text).expect("is text");
        let mut lines = Lines::read(&text);
        lines.0.retain(|key, _| !self.is_ours(key));
        lines.0.extend(self.counted.iter().map(|(name, count)| (self.key(name), *count)));
        file.set_len(0).expect("is emptied");
        file.rewind().expect("rewinds");
        file.write_all(lines.text().as_bytes()).expect("is written");
    }
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
        let mut counts = Counts::of(unit, Some(Kind::Sqlite));
        counts.add("login", new);
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
        for (unit, little) in [(Unit::Bytes, 10), (Unit::Allocations, 20)] {
            for new in [1_000 - little, 1_000 + little] {
                assert_eq!(differences(unit, 1_000, new), Vec::<String>::new());
            }
            assert_eq!(differences(unit, 1_000, 1_000 + little + 1).len(), 1);
            assert_eq!(differences(unit, 1_000, 1_000 - little - 1).len(), 1);
        }
    }

    #[test]
    fn what_is_not_written_down_and_what_nobody_counts_is_told() {
        let mut counts = Counts::of(Unit::Bytes, Some(Kind::Postgres));
        counts.add("login", 7);
        let lines = Lines::read("unit\tof\ton\tcount\nbytes\tpush\tpostgres\t7\nbytes\tpull\tsqlite\t7\n");
        assert_eq!(
            counts.differences(&lines),
            [
                "bytes of `login` on postgres: 7, which is not written down",
                "bytes of `push` on postgres: nobody counts them"
            ]
        );
    }
}
