//! A chart as SVG: curves over a logarithmic axis, and an axis from 0 upwards, so that what does not grow looks flat.

use std::fmt::Write as _;

use crate::report::number;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 90.0;
const RIGHT: f64 = 690.0;
const TOP: f64 = 60.0;
const BOTTOM: f64 = 340.0;
const COLOURS: [&str; 4] = ["#1f6feb", "#d1571b", "#2d8f4e", "#8250df"];

/// A point, and how far the repetitions lay from it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Where on the lower axis; above 0.
    pub x: f64,
    /// The median.
    pub y: f64,
    /// The lowest of the repetitions.
    pub least: f64,
    /// The highest.
    pub most: f64,
}

/// A chart.
#[derive(Clone, Debug)]
pub struct Chart {
    /// What it shows.
    pub title: String,
    /// What it was measured on.
    pub machine: String,
    /// What the lower axis counts.
    pub x: String,
    /// What the left one measures, with its unit.
    pub y: String,
    /// The curves by their names.
    pub curves: Vec<(String, Vec<Point>)>,
}

impl Chart {
    /// As SVG.
    #[must_use]
    pub fn svg(&self) -> String {
        let scale = Scale::of(self.curves.iter().flat_map(|(_, points)| points));
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
             font-size=\"13\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n"
        );
        text(&mut svg, (LEFT, 28.0), "font-size=\"17\" font-weight=\"bold\"", &self.title);
        text(&mut svg, (LEFT, HEIGHT - 12.0), "font-size=\"11\" fill=\"#666666\"", &self.machine);
        text(&mut svg, ((LEFT + RIGHT) / 2.0, BOTTOM + 44.0), "text-anchor=\"middle\"", &self.x);
        let middle = (TOP + BOTTOM) / 2.0;
        let upright = format!("text-anchor=\"middle\" transform=\"rotate(-90 20 {middle})\"");
        text(&mut svg, (20.0, middle), &upright, &self.y);
        scale.axes(&mut svg);
        for (index, (name, points)) in self.curves.iter().enumerate() {
            let colour = COLOURS[index % COLOURS.len()];
            scale.curve(&mut svg, points, colour);
            let at = (LEFT + 16.0 + 150.0 * index as f64, TOP - 10.0);
            text(&mut svg, at, &format!("fill=\"{colour}\""), &format!("● {name}"));
        }
        svg + "</svg>\n"
    }
}

/// Where numbers lie on the sheet.
struct Scale {
    /// The decades of the lower axis.
    from: i32,
    to: i32,
    step: f64,
    steps: u32,
}

impl Scale {
    fn of<'p>(points: impl Iterator<Item = &'p Point>) -> Self {
        let (mut least, mut most, mut highest) = (f64::INFINITY, 1.0_f64, f64::MIN_POSITIVE);
        for point in points {
            (least, most, highest) = (least.min(point.x), most.max(point.x), highest.max(point.most));
        }
        let from = least.min(most).log10().floor() as i32;
        // Four steps or so, of 1, 2 or 5 with zeros.
        let rough = highest / 4.0;
        let zeros = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|digit| digit * zeros).into_iter().find(|step| *step >= rough);
        let step = step.unwrap_or(rough);
        Self { from, to: (most.log10().ceil() as i32).max(from + 1), step, steps: (highest / step).ceil() as u32 }
    }

    fn x(&self, value: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * (value.log10() - f64::from(self.from)) / f64::from(self.to - self.from)
    }

    fn y(&self, value: f64) -> f64 {
        BOTTOM - (BOTTOM - TOP) * value / (self.step * f64::from(self.steps))
    }

    fn axes(&self, svg: &mut String) {
        for step in 0..=self.steps {
            let value = self.step * f64::from(step);
            let y = self.y(value);
            line(svg, (LEFT, y), (RIGHT, y), if step == 0 { "#444444" } else { "#dddddd" });
            text(svg, (LEFT - 8.0, y + 4.0), "text-anchor=\"end\"", &number(value));
        }
        for decade in self.from..=self.to {
            let value = 10_f64.powi(decade);
            let x = self.x(value);
            line(svg, (x, BOTTOM), (x, BOTTOM + 6.0), "#444444");
            text(svg, (x, BOTTOM + 22.0), "text-anchor=\"middle\"", &number(value));
        }
    }

    fn curve(&self, svg: &mut String, points: &[Point], colour: &str) {
        let places: Vec<String> =
            points.iter().map(|point| format!("{:.1},{:.1}", self.x(point.x), self.y(point.y))).collect();
        put(svg, format_args!("<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\"/>\n", places.join(" ")));
        for point in points {
            let (x, y) = (self.x(point.x), self.y(point.y));
            line(svg, (x, self.y(point.least)), (x, self.y(point.most)), colour);
            put(svg, format_args!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{colour}\"/>\n"));
        }
    }
}

fn line(svg: &mut String, from: (f64, f64), to: (f64, f64), colour: &str) {
    let ((x1, y1), (x2, y2)) = (from, to);
    let ends =
        format_args!("<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\"/>\n");
    put(svg, ends);
}

fn text(svg: &mut String, (x, y): (f64, f64), attributes: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    put(svg, format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\" {attributes}>{text}</text>\n"));
}

fn put(svg: &mut String, what: std::fmt::Arguments<'_>) {
    svg.write_fmt(what).expect("a string takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(x: f64, y: f64) -> Point {
        Point { x, y, least: y, most: y }
    }

    #[test]
    fn what_is_highest_lies_within_the_sheet() {
        for highest in [0.003, 0.9, 1.0, 2.6, 7.0, 19.0, 30_300_000.0] {
            let scale = Scale::of([point(10_000.0, highest / 3.0), point(1_000_000.0, highest)].iter());
            assert!((TOP..BOTTOM).contains(&scale.y(highest)), "{highest}");
            assert!((2..=5).contains(&scale.steps), "{highest}: {} steps", scale.steps);
            assert_eq!((scale.x(10_000.0), scale.x(1_000_000.0)), (LEFT, RIGHT));
        }
    }

    #[test]
    fn names_are_text() {
        let chart = Chart {
            title: "a < b & c".to_owned(),
            machine: String::new(),
            x: String::new(),
            y: String::new(),
            curves: vec![("one".to_owned(), vec![point(10.0, 1.0)])],
        };
        let svg = chart.svg();
        assert!(svg.contains("a &lt; b &amp; c") && svg.contains("● one") && !svg.contains("NaN"));
    }
}
