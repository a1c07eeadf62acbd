//! Tables that go on over pages, their headings on each of them.

use super::font::Face;
use super::sheet::{Sheet, WIDTH};
use super::text::Style;

const HEADING: Style = Style { face: Face::Bold, size: 7.5, grey: 0.25 };
const GROUP: Style = Style { face: Face::Bold, size: 8.5, grey: 0.0 };
const TEXT: Style = Style { face: Face::Regular, size: 8.5, grey: 0.0 };
const NOTE: Style = Style { face: Face::Regular, size: 7.0, grey: 0.4 };
/// Between columns, half of it on each side.
const GAP: f32 = 6.0;
/// Above and below the texts of a row.
const PADDING: f32 = 2.5;
/// Longer notes are cut.
const NOTE_LINES: usize = 3;
/// A box to write into.
const BOX: f32 = 9.0;

/// Names are cut after so many lines …
pub(super) const NAME_LINES: usize = 3;
/// … and lists, of which every part counts, when they have most of a page.
pub(super) const LIST_LINES: usize = 40;

/// A column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    /// What stands above it.
    pub heading: &'static str,
    /// How wide it is, in points. One column has what the others leave: `None`.
    pub width: Option<f32>,
    /// What stands in it.
    pub fill: Fill,
}

/// What stands in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fill {
    /// Texts, from the left, in at most so many lines; longer ones are cut.
    Text(usize),
    /// Numbers, to the right. One that is too wide is written smaller: digits are never cut off.
    Number,
    /// Nothing yet: a box to tick or to write into.
    Box,
}

/// What stands in a cell.
#[derive(Clone, Debug, Default)]
pub(super) struct Cell {
    text: String,
    note: String,
}

impl Cell {
    /// With a note below its text.
    pub(super) fn noted(text: impl Into<String>, note: impl Into<String>) -> Self {
        Self { text: text.into(), note: note.into() }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::noted(text, "")
    }
}

/// A row.
#[derive(Clone, Debug)]
pub(super) enum Row {
    /// The heading of the rows that follow.
    Group(String),
    /// A cell for each column.
    Line(Vec<Cell>),
}

/// A row, each cell broken into lines.
struct Laid {
    cells: Vec<Vec<(Style, String)>>,
    height: f32,
}

/// Draws a table.
pub(super) fn draw(sheet: &mut Sheet, columns: &[Column], rows: impl IntoIterator<Item = Row>) {
    let table = Table::new(columns);
    sheet.need(table.heading_height() + 2.0 * GROUP.leading() + TEXT.leading());
    table.headings(sheet);
    let mut group = None;
    for row in rows {
        match row {
            Row::Group(text) => group = Some(text),
            Row::Line(cells) => {
                let laid = table.lay(&cells);
                let above = group.as_ref().map_or(0.0, |_| group_height());
                if sheet.need(above + laid.height) {
                    table.headings(sheet);
                }
                if let Some(text) = group.take() {
                    draw_group(sheet, &text);
                }
                table.line(sheet, &laid);
            }
        }
    }
}

fn group_height() -> f32 {
    GROUP.leading() + 2.0 * PADDING
}

fn draw_group(sheet: &mut Sheet, text: &str) {
    sheet.fill((0.0, sheet.y), (WIDTH, group_height()), 0.93);
    let text = GROUP.line(text, WIDTH - GAP);
    sheet.text((GAP / 2.0, sheet.y + PADDING), GROUP, &text);
    sheet.y += group_height();
}

/// Columns and where they are.
struct Table<'a> {
    columns: &'a [Column],
    /// Where each begins, and how wide its texts may be.
    places: Vec<(f32, f32)>,
}

impl<'a> Table<'a> {
    fn new(columns: &'a [Column]) -> Self {
        let taken: f32 = columns.iter().filter_map(|column| column.width).sum();
        let mut places = Vec::with_capacity(columns.len());
        let mut x = 0.0;
        for column in columns {
            let width = column.width.unwrap_or(WIDTH - taken);
            places.push((x + GAP / 2.0, width - GAP));
            x += width;
        }
        Self { columns, places }
    }

    fn each(&self) -> impl Iterator<Item = (&Column, (f32, f32))> {
        self.columns.iter().zip(self.places.iter().copied())
    }

    fn heading_height(&self) -> f32 {
        HEADING.leading() + 2.0 * PADDING
    }

    fn headings(&self, sheet: &mut Sheet) {
        let y = sheet.y + PADDING;
        for (column, (x, width)) in self.each() {
            match column.fill {
                Fill::Number => number(sheet, (x + width, y), width, HEADING, column.heading),
                Fill::Text(_) | Fill::Box => sheet.text((x, y), HEADING, &HEADING.line(column.heading, width)),
            }
        }
        sheet.y += self.heading_height();
        sheet.rule((0.0, sheet.y), WIDTH, 0.8, 0.0);
        sheet.y += 0.8;
    }

    fn lay(&self, cells: &[Cell]) -> Laid {
        let broken = |((column, (_, width)), cell): ((&Column, (f32, f32)), &Cell)| {
            let (texts, notes) = match column.fill {
                Fill::Number => (vec![cell.text.clone()], vec![cell.note.clone()]),
                Fill::Text(most) => (TEXT.wrap(&cell.text, width, most), NOTE.wrap(&cell.note, width, NOTE_LINES)),
                Fill::Box => (Vec::new(), Vec::new()),
            };
            let styled = |style, lines: Vec<String>| lines.into_iter().map(move |line| (style, line));
            let lines = styled(TEXT, texts).chain(styled(NOTE, notes));
            lines.filter(|(_, line)| !line.is_empty()).collect::<Vec<_>>()
        };
        let cells: Vec<_> = self.each().zip(cells).map(broken).collect();
        let height = |lines: &Vec<(Style, String)>| lines.iter().map(|(style, _)| style.leading()).sum();
        let tallest = cells.iter().map(height).fold(TEXT.leading(), f32::max);
        Laid { cells, height: tallest + 2.0 * PADDING }
    }

    fn line(&self, sheet: &mut Sheet, laid: &Laid) {
        for ((column, (x, width)), lines) in self.each().zip(&laid.cells) {
            let mut y = sheet.y + PADDING;
            if column.fill == Fill::Box {
                sheet.frame((x, y + 1.0), (width, BOX), 0.3);
            }
            for (style, line) in lines {
                match column.fill {
                    Fill::Number => number(sheet, (x + width, y), width, *style, line),
                    Fill::Text(_) | Fill::Box => sheet.text((x, y), *style, line),
                }
                y += style.leading();
            }
        }
        sheet.y += laid.height;
        sheet.rule((0.0, sheet.y - 0.2), WIDTH, 0.4, 0.8);
    }
}

fn number(sheet: &mut Sheet, (right, y): (f32, f32), width: f32, style: Style, text: &str) {
    let smaller = (width / style.width(text).max(1.0)).min(1.0);
    // On the same base line, whatever the size.
    let lower = style.size * (1.0 - smaller);
    sheet.text_to((right, y + lower), Style { size: style.size * smaller, ..style }, text);
}
