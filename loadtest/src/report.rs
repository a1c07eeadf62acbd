//! The table of figures, for people and as JSON, told part by part: a run that is cut leaves what it has measured.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;

use serde::{Serialize, Serializer};

use crate::stats::Spread;

/// What a figure should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// This, or more.
    Least(f64),
    /// This, or less.
    Most(f64),
    /// This part of the baseline, or more.
    LeastOfBaseline(f64),
    /// This part of the baseline, or less.
    MostOfBaseline(f64),
}

impl Goal {
    fn is_met(self, value: f64, ratio: Option<f64>) -> bool {
        match self {
            Self::Least(goal) => value >= goal,
            Self::Most(goal) => value <= goal,
            // What there is nothing to compare with is not met.
            Self::LeastOfBaseline(goal) => ratio.is_some_and(|ratio| ratio >= goal),
            Self::MostOfBaseline(goal) => ratio.is_some_and(|ratio| ratio <= goal),
        }
    }

    fn text(self) -> String {
        match self {
            Self::Least(goal) => format!("≥ {}", number(goal)),
            Self::Most(goal) => format!("≤ {}", number(goal)),
            Self::LeastOfBaseline(goal) => format!("ratio ≥ {}", number(goal)),
            Self::MostOfBaseline(goal) => format!("ratio ≤ {}", number(goal)),
        }
    }
}

impl Serialize for Goal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text())
    }
}

/// One figure, under one condition.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    name: String,
    what: String,
    /// The median of the repetitions.
    value: f64,
    unit: &'static str,
    /// What does no more than has to be done in any case reaches, in the same unit.
    baseline: Option<f64>,
    /// The value in parts of the baseline.
    ratio: Option<f64>,
    goal: Option<Goal>,
    met: Option<bool>,
    spread: Spread,
}

impl Figure {
    /// By what the repetitions gave. `name` is that of docs/PERFORMANCE.md, and stays the same from run to run.
    #[must_use]
    pub fn new(name: impl Into<String>, what: impl Into<String>, unit: &'static str, samples: Vec<f64>) -> Self {
        let spread = Spread::of(samples);
        Self {
            name: name.into(),
            what: what.into(),
            value: spread.median,
            unit,
            baseline: None,
            ratio: None,
            goal: None,
            met: None,
            spread,
        }
    }

    /// Beside a baseline of the same run.
    #[must_use]
    pub fn against(mut self, baseline: f64) -> Self {
        self.baseline = Some(baseline);
        self.ratio = Some(self.value / baseline);
        self
    }

    /// With a goal. A baseline is given before.
    #[must_use]
    pub fn goal(mut self, goal: Goal) -> Self {
        self.goal = Some(goal);
        self.met = Some(goal.is_met(self.value, self.ratio));
        self
    }

    fn row(&self) -> [String; 9] {
        let spread = match self.spread.samples.len() {
            0 | 1 => String::new(),
            _ => format!("{}–{}", number(self.spread.least), number(self.spread.most)),
        };
        let met = match self.met {
            Some(true) => "yes",
            Some(false) => "MISSED",
            None => "",
        };
        [
            self.name.clone(),
            self.what.clone(),
            number(self.value),
            spread,
            self.unit.to_owned(),
            self.baseline.map(number).unwrap_or_default(),
            self.ratio.map(number).unwrap_or_default(),
            self.goal.map(Goal::text).unwrap_or_default(),
            met.to_owned(),
        ]
    }
}

/// All figures of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    machine: String,
    /// How the measured databases keep what they acknowledge.
    databases: Vec<String>,
    figures: Vec<Figure>,
    /// Where it is kept as JSON.
    #[serde(skip)]
    file: Option<PathBuf>,
    /// So many of the figures are told already.
    #[serde(skip)]
    told: usize,
}

impl Report {
    /// An empty one, of this machine; written to the file, too, if one is named.
    pub fn begin(machine: String, file: Option<PathBuf>) -> anyhow::Result<Self> {
        say(&machine);
        let report = Self { machine, databases: Vec::new(), figures: Vec::new(), file, told: 0 };
        // A file that can't be written shows now, and not after the first part.
        report.write()?;
        Ok(report)
    }

    /// Notes a database that is measured.
    pub fn database(&mut self, durability: &str) {
        if !self.databases.iter().any(|known| known == durability) {
            say(durability);
            self.databases.push(durability.to_owned());
        }
    }

    /// Adds a figure.
    pub fn add(&mut self, figure: Figure) {
        self.figures.push(figure);
    }

    /// Tells what was added since the last time: prints it, and writes the file anew with all there is.
    pub fn tell(&mut self) -> anyhow::Result<()> {
        let news = &self.figures[self.told..];
        if news.is_empty() {
            return Ok(());
        }
        let head =
            ["", "figure", "median", "least–most", "unit", "baseline", "ratio", "goal", "met"].map(str::to_owned);
        let rows: Vec<[String; 9]> = std::iter::once(head).chain(news.iter().map(Figure::row)).collect();
        let widths: [usize; 9] =
            std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
        for row in rows {
            let cells = row.iter().zip(&widths).enumerate();
            let cells: Vec<String> = cells.map(|(column, (cell, width))| padded(cell, *width, column)).collect();
            say(cells.join("  ").trim_end());
        }
        self.told = self.figures.len();
        self.write()
    }

    fn write(&self) -> anyhow::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        fs::write(file, serde_json::to_vec_pretty(self)?)
            .with_context(|| format!("the report can't be written to {}", file.display()))
    }
}

#[expect(clippy::print_stdout, reason = "the figures are what this program is for")]
fn say(line: &str) {
    println!("{line}");
}

/// Numbers stand to the right.
fn padded(cell: &str, width: usize, column: usize) -> String {
    let gap = " ".repeat(width.saturating_sub(cell.chars().count()));
    if matches!(column, 2 | 3 | 5 | 6) { gap + cell } else { cell.to_owned() + &gap }
}

/// Three digits that count, and commas between thousands.
#[must_use]
pub fn number(value: f64) -> String {
    if value.abs() < 10.0 {
        return format!("{value:.2}");
    }
    if value.abs() < 100.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{:.0}", value.abs());
    let mut text = String::from(if value < 0.0 { "−" } else { "" });
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_easy_to_read() {
        let shown: Vec<String> = [0.5, 12.34, 999.6, 1_234_567.0, -1_234.0].into_iter().map(number).collect();
        assert_eq!(shown, ["0.50", "12.3", "1,000", "1,234,567", "−1,234"]);
    }

    #[test]
    fn the_median_decides_whether_a_goal_is_met() {
        let met = |goal| Figure::new("S0a", "", "1/s", vec![9.0, 11.0, 12.0]).against(20.0).goal(goal).met;
        assert_eq!((met(Goal::Least(10.0)), met(Goal::Least(11.5))), (Some(true), Some(false)));
        assert_eq!((met(Goal::Most(11.0)), met(Goal::Most(10.0))), (Some(true), Some(false)));
        assert_eq!((met(Goal::LeastOfBaseline(0.5)), met(Goal::LeastOfBaseline(0.6))), (Some(true), Some(false)));
        assert_eq!((met(Goal::MostOfBaseline(0.55)), met(Goal::MostOfBaseline(0.5))), (Some(true), Some(false)));
        let alone = Figure::new("S0a", "", "1/s", vec![1.0]);
        assert_eq!(alone.met, None);
        assert_eq!(alone.goal(Goal::LeastOfBaseline(0.1)).met, Some(false), "there is nothing to compare with");
    }

    #[test]
    fn a_figure_says_in_json_what_it_is_measured_against() {
        let figure = Figure::new("S0a", "what", "1/s", vec![3.0]).against(4.0).goal(Goal::LeastOfBaseline(0.6));
        let json = serde_json::to_value(&figure).expect("is written");
        assert_eq!(json["name"], "S0a");
        assert_eq!((&json["value"], &json["baseline"], &json["ratio"]), (&3.0.into(), &4.0.into(), &0.75.into()));
        assert_eq!((&json["goal"], &json["met"]), (&"ratio ≥ 0.60".into(), &true.into()));
    }

    #[test]
    fn the_file_has_all_that_was_told_so_far() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("figures.json");
        let mut report = Report::begin("machine".to_owned(), Some(file.clone())).expect("is written");
        let names = || {
            let json: serde_json::Value = serde_json::from_slice(&fs::read(&file).expect("is there")).expect("is JSON");
            let figures = json["figures"].as_array().expect("a list");
            figures.iter().map(|figure| figure["name"].as_str().expect("a name").to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names(), [""; 0]);
        for told in [&["S0a"][..], &["S0a", "S0b"]] {
            report.add(Figure::new(told[told.len() - 1], "", "1/s", vec![1.0]));
            report.tell().expect("is told");
            assert_eq!(names(), told);
        }
        assert!(Report::begin(String::new(), Some(folder.path().to_owned())).is_err(), "a folder is no file");
    }
}
