//! The table of figures, for people and as JSON.

use std::fs::File;
use std::path::Path;

use serde::Serialize;

use crate::stats::Spread;

/// What a figure should be.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// This, or more.
    AtLeast(f64),
    /// This, or less.
    AtMost(f64),
}

impl Goal {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(goal) => value >= goal,
            Self::AtMost(goal) => value <= goal,
        }
    }
}

/// One measured figure.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// What was measured.
    pub figure: String,
    /// Under which condition.
    pub condition: String,
    /// What the repetitions gave.
    pub value: Spread,
    /// In which unit.
    pub unit: &'static str,
    /// What it should be; `None`: it is there for comparison.
    pub goal: Option<Goal>,
    /// Whether the median meets the goal.
    pub met: Option<bool>,
}

/// All figures of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    machine: String,
    figures: Vec<Figure>,
}

impl Report {
    /// An empty one, of this machine.
    #[must_use]
    pub fn new(machine: String) -> Self {
        Self { machine, figures: Vec::new() }
    }

    /// Adds a figure that is there for comparison.
    pub fn add(&mut self, figure: &str, condition: &str, unit: &'static str, samples: Vec<f64>) {
        self.push((figure, condition), unit, Spread::of(samples), None);
    }

    /// Adds a figure with a goal, if there is one under this condition.
    pub fn aim(
        &mut self,
        (figure, condition): (&str, &str),
        unit: &'static str,
        samples: Vec<f64>,
        goal: impl Into<Option<Goal>>,
    ) {
        self.push((figure, condition), unit, Spread::of(samples), goal.into());
    }

    fn push(&mut self, (figure, condition): (&str, &str), unit: &'static str, value: Spread, goal: Option<Goal>) {
        let met = goal.map(|goal| goal.is_met(value.median));
        let (figure, condition) = (figure.to_owned(), condition.to_owned());
        self.figures.push(Figure { figure, condition, value, unit, goal, met });
    }

    /// Writes the figures as JSON.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        Ok(serde_json::to_writer_pretty(File::create(path)?, self)?)
    }

    /// Prints the table.
    pub fn print(&self) {
        let head = ["figure", "condition", "median", "least–most", "unit", "goal", "met"].map(str::to_owned);
        let rows: Vec<[String; 7]> = std::iter::once(head).chain(self.figures.iter().map(row)).collect();
        let widths: Vec<usize> =
            (0..7).map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)).collect();
        #[expect(clippy::print_stdout, reason = "the table is what this program is for")]
        {
            println!("{}", self.machine);
            for row in rows {
                let cells = row.iter().zip(&widths).enumerate();
                let cells: Vec<String> = cells.map(|(column, (cell, width))| padded(cell, *width, column)).collect();
                println!("{}", cells.join("  ").trim_end());
            }
        }
    }
}

/// Numbers stand to the right.
fn padded(cell: &str, width: usize, column: usize) -> String {
    let gap = " ".repeat(width.saturating_sub(cell.chars().count()));
    if (2..=3).contains(&column) { gap + cell } else { cell.to_owned() + &gap }
}

fn row(figure: &Figure) -> [String; 7] {
    let value = &figure.value;
    let spread = match value.samples.len() {
        0 | 1 => String::new(),
        _ => format!("{}–{}", number(value.least), number(value.most)),
    };
    let goal = match figure.goal {
        Some(Goal::AtLeast(goal)) => format!("≥ {}", number(goal)),
        Some(Goal::AtMost(goal)) => format!("≤ {}", number(goal)),
        None => String::new(),
    };
    let met = match figure.met {
        Some(true) => "yes",
        Some(false) => "MISSED",
        None => "",
    };
    let (median, unit) = (number(value.median), figure.unit.to_owned());
    [figure.figure.clone(), figure.condition.clone(), median, spread, unit, goal, met.to_owned()]
}

/// Three digits that count, and commas between thousands.
fn number(value: f64) -> String {
    if value < 10.0 {
        return format!("{value:.2}");
    }
    if value < 100.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::with_capacity(digits.len() * 4 / 3);
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
        let shown: Vec<String> = [0.5, 12.34, 999.6, 1_234_567.0].into_iter().map(number).collect();
        assert_eq!(shown, ["0.50", "12.3", "1,000", "1,234,567"]);
    }

    #[test]
    fn the_median_decides_whether_a_goal_is_met() {
        let mut report = Report::new(String::new());
        report.aim(("a", ""), "1/s", vec![9.0, 11.0, 12.0], Goal::AtLeast(10.0));
        report.aim(("b", ""), "ms", vec![9.0, 11.0, 12.0], Goal::AtMost(10.0));
        report.add("c", "", "MiB", vec![1.0]);
        let met: Vec<Option<bool>> = report.figures.iter().map(|figure| figure.met).collect();
        assert_eq!(met, [Some(true), Some(false), None]);
    }
}
