//! Curves of growth, drawn from the figures of a run.

mod chart;

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use clap::ValueEnum as _;
use serde::Deserialize;

use self::chart::{Chart, Point};
use crate::database::Kind;

/// What is drawn, of a file as [`Report`](crate::report::Report) writes it.
#[derive(Debug, Deserialize)]
struct Run {
    machine: String,
    figures: Vec<Measured>,
}

#[derive(Debug, Deserialize)]
struct Measured {
    name: String,
    value: f64,
    unit: String,
    spread: Range,
}

#[derive(Debug, Deserialize)]
struct Range {
    least: f64,
    most: f64,
}

/// Figures that show together how something grows.
struct Growth {
    file: &'static str,
    title: &'static str,
    x: &'static str,
    /// Each with where it lies on the lower axis.
    figures: &'static [(&'static str, f64)],
}

const GROWTHS: [Growth; 2] = [
    Growth {
        file: "delta.svg",
        title: "100 changed rows, from the request to the last byte, p50",
        x: "rows held",
        figures: &[("S3a", 10_000.0), ("S3b", 100_000.0), ("S3c", 1_000_000.0)],
    },
    Growth {
        file: "first-sync.svg",
        title: "First sync from pages that are there, 10 devices at once",
        x: "rows of each device",
        figures: &[("S1c", 100_000.0), ("S1f", 1_000_000.0)],
    },
];

/// Draws all of them into a folder. A curve of which the file has no figure is an error.
pub fn draw(file: &Path, folder: &Path) -> anyhow::Result<()> {
    let json = fs::read(file).with_context(|| format!("{} can't be read", file.display()))?;
    let run = serde_json::from_slice(&json).with_context(|| format!("{} is not of a run", file.display()))?;
    for growth in GROWTHS {
        let svg = chart(&run, &growth)?.svg();
        let place = folder.join(growth.file);
        fs::write(&place, svg).with_context(|| format!("{} can't be written", place.display()))?;
    }
    Ok(())
}

fn chart(run: &Run, growth: &Growth) -> anyhow::Result<Chart> {
    let (mut curves, mut unit) = (Vec::new(), None);
    for kind in Kind::value_variants() {
        let mut points = Vec::new();
        for (name, x) in growth.figures {
            let name = kind.named(name);
            let Some(found) = run.figures.iter().find(|figure| figure.name == name) else { continue };
            points.push(Point { x: *x, y: found.value, least: found.spread.least, most: found.spread.most });
            unit = Some(found.unit.clone());
        }
        if !points.is_empty() {
            curves.push((kind.to_string(), points));
        }
    }
    let y = unit.with_context(|| format!("the run has no figure of {}", growth.file))?;
    Ok(Chart { title: growth.title.to_owned(), machine: run.machine.clone(), x: growth.x.to_owned(), y, curves })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Figure, Report};

    #[test]
    fn a_report_is_drawn_and_one_without_figures_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("figures.json");
        let mut report = Report::begin("machine".to_owned(), Some(file.clone())).expect("is written");
        assert!(draw(&file, folder.path()).is_err(), "nothing was measured");
        for (name, unit) in [("S3a.sqlite", "ms"), ("S3c.postgres", "ms"), ("S1c.sqlite", "rows/CPU s")] {
            report.add(Figure::new(name, "", unit, vec![1.0, 2.0, 3.0]));
        }
        report.tell().expect("is told");
        draw(&file, folder.path()).expect("is drawn");
        let svg = fs::read_to_string(folder.path().join("delta.svg")).expect("is there");
        assert!(svg.contains("● SQLite") && svg.contains("● PostgreSQL"));
        assert!(draw(&file, &folder.path().join("nowhere")).is_err());
    }
}
