//! The one place where verbs print: what was asked for on standard output, everything else on standard error.

use std::fmt::Display;
use std::io::{Write as _, stderr, stdout};

use indicatif::{ProgressBar, ProgressStyle};

/// A line of what was asked for. That nobody reads on, as behind `| head`, is no error.
pub(super) fn line(text: impl Display) {
    let _ = writeln!(stdout(), "{text}");
}

/// A line for the person, beside what was asked for.
pub(super) fn note(text: impl Display) {
    let _ = writeln!(stderr(), "{text}");
}

/// So many of something, in words: `1 outlet is`, `2 outlets are`.
pub(super) fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// A question, which is answered on the same line.
pub(super) fn ask(question: &str) {
    let _ = write!(stderr(), "{question}: ");
    let _ = stderr().flush();
}

/// How far long work is, on a terminal.
pub(super) fn bar(length: u64, what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {msg}, {eta} left");
    ProgressBar::new(length).with_message(what).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Rows under a heading, in columns as wide as what stands in them.
pub(super) fn table(heading: &[&str], rows: &[Vec<String>]) {
    for row in aligned(heading, rows) {
        line(row);
    }
}

/// Something for machines.
pub(super) fn json(value: &serde_json::Value) {
    line(format_args!("{value:#}"));
}

fn aligned(heading: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let heading: Vec<String> = heading.iter().map(|&name| name.to_owned()).collect();
    let width = |column: usize| {
        let cells = std::iter::once(&heading).chain(rows).filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heading.len()).map(width).collect();
    std::iter::once(&heading)
        .chain(rows)
        .map(|row| {
            let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
            cells.join("  ").trim_end().to_owned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_not_many() {
        let said = [0, 1, 2].map(|number| count(number, "outlet is", "outlets are"));
        assert_eq!(said, ["0 outlets are", "1 outlet is", "2 outlets are"]);
    }

    #[test]
    fn columns_are_as_wide_as_what_stands_in_them() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let lines = aligned(&["login", "role", "x"], &[row(["änna", "rep", ""]), row(["boris.b", "office", "1"])]);
        assert_eq!(lines, ["login    role    x", "änna     rep", "boris.b  office  1"]);
    }
}
