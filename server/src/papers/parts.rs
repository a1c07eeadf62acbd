//! What papers have in common: head, parties, remarks, totals, signatures.

use uuid::Uuid;

use super::font::Face;
use super::number::short;
use super::sheet::{Sheet, WIDTH};
use super::text::Style;
use super::words::Words;
use super::{Goods, Party};

const TITLE: Style = Style { face: Face::Bold, size: 17.0, grey: 0.0 };
const NUMBER: Style = Style { face: Face::Bold, size: 12.0, grey: 0.0 };
const LABEL: Style = Style { face: Face::Regular, size: 7.5, grey: 0.4 };
const NAME: Style = Style { face: Face::Bold, size: 9.5, grey: 0.0 };
const TEXT: Style = Style { face: Face::Regular, size: 9.0, grey: 0.0 };
const BARCODE_HEIGHT: f32 = 34.0;
/// Between blocks side by side, and between parts one below the other.
const GAP: f32 = 12.0;
/// Figures below a table stand in a column as wide as this, or wider.
const FIGURE_WIDTH: f32 = 90.0;
/// Room to sign, with the line and what stands below it.
const SIGNATURE_HEIGHT: f32 = 44.0;
/// Longer remarks are cut.
const REMARK_LINES: usize = 12;

/// Something that is named above the table: a party, a vehicle, a day.
#[derive(Debug)]
pub(super) struct Block {
    label: &'static str,
    name: String,
    details: Vec<String>,
}

impl Block {
    /// A fact in a few words.
    pub(super) fn fact(label: &'static str, name: impl Into<String>) -> Self {
        Self { label, name: name.into(), details: Vec::new() }
    }

    /// Who or where.
    pub(super) fn party(words: &Words, label: &'static str, party: &Party) -> Self {
        let tax_id = Some(&party.tax_id).filter(|tax_id| !tax_id.is_empty());
        let tax_id = tax_id.map(|tax_id| format!("{} {tax_id}", words.tax_id));
        let details = [party.address.clone()].into_iter().chain(tax_id).collect();
        Self { label, name: party.name.clone(), details }
    }

    fn lines(&self, width: f32) -> Vec<(Style, String)> {
        let mut lines: Vec<(Style, String)> =
            NAME.wrap(&self.name, width, 3).into_iter().map(|line| (NAME, line)).collect();
        for detail in &self.details {
            lines.extend(TEXT.wrap(detail, width, 4).into_iter().map(|line| (TEXT, line)));
        }
        lines
    }
}

/// What a paper is, for people and scanners, with days and the like, of which empty ones are left out. Returns its title.
pub(super) fn head(sheet: &mut Sheet, title: &str, id: Uuid, facts: &[(&str, String)]) -> String {
    let text = id.simple().to_string();
    let left = sheet.barcode(0.0, BARCODE_HEIGHT, &text);
    sheet.text((left, BARCODE_HEIGHT + 2.0), LABEL, &text);
    let number = format!("{} {}", sheet.words.number, short(id));
    sheet.text((0.0, 0.0), TITLE, &TITLE.line(title, left - GAP));
    sheet.text((0.0, TITLE.leading()), NUMBER, &number);
    let (mut x, y) = (0.0, TITLE.leading() + NUMBER.leading() + 2.0);
    for (label, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
        sheet.text((x, y + TEXT.size - LABEL.size), LABEL, label);
        x += LABEL.width(label) + GAP / 3.0;
        sheet.text((x, y), TEXT, value);
        x += TEXT.width(value) + GAP;
    }
    sheet.y = y + TEXT.leading() + GAP;
    format!("{title} {number}")
}

/// Blocks side by side. Those without a name are left out.
pub(super) fn blocks(sheet: &mut Sheet, blocks: &[Block]) {
    let blocks: Vec<&Block> = blocks.iter().filter(|block| !block.name.is_empty()).collect();
    if blocks.is_empty() {
        return;
    }
    let width = (WIDTH + GAP) / blocks.len() as f32 - GAP;
    let laid: Vec<Vec<(Style, String)>> = blocks.iter().map(|block| block.lines(width)).collect();
    let mut lowest = sheet.y;
    for (index, (block, lines)) in blocks.iter().zip(&laid).enumerate() {
        let x = index as f32 * (width + GAP);
        let mut y = sheet.y;
        sheet.rule((x, y), width, 0.4, 0.6);
        y += 3.0;
        sheet.text((x, y), LABEL, block.label);
        y += LABEL.leading();
        for (style, line) in lines {
            sheet.text((x, y), *style, line);
            y += style.leading();
        }
        lowest = lowest.max(y);
    }
    sheet.y = lowest + GAP;
}

/// A text over the whole width, behind its label. Nothing where it is empty.
pub(super) fn remark(sheet: &mut Sheet, label: &str, text: &str) {
    let indent = LABEL.width(label) + GAP / 2.0;
    let lines = TEXT.wrap(text, WIDTH - indent, REMARK_LINES);
    if lines.is_empty() {
        return;
    }
    sheet.need(lines.len() as f32 * TEXT.leading());
    sheet.text((0.0, sheet.y + TEXT.size - LABEL.size), LABEL, label);
    for line in lines {
        sheet.text((indent, sheet.y), TEXT, &line);
        sheet.y += TEXT.leading();
    }
    sheet.y += GAP / 2.0;
}

/// What stands below a table, together on one page: labels and figures to its right, and lines on which people sign, two beside
/// each other.
pub(super) fn ending(sheet: &mut Sheet, figures: &[(String, String)], signatures: &[&str]) {
    let height = figures.len() as f32 * TEXT.leading() + signatures.len().div_ceil(2) as f32 * SIGNATURE_HEIGHT;
    sheet.need(height + GAP / 2.0);
    sheet.y += GAP / 2.0;
    let right = WIDTH - 3.0;
    for (label, figure) in figures {
        let bold = Style { face: Face::Bold, ..TEXT };
        sheet.text_to((right - FIGURE_WIDTH.max(bold.width(figure) + GAP), sheet.y), TEXT, label);
        sheet.text_to((right, sheet.y), bold, figure);
        sheet.y += TEXT.leading();
    }
    let width = (WIDTH - 2.0 * GAP) / 2.0;
    for pair in signatures.chunks(2) {
        for (index, label) in pair.iter().enumerate() {
            let x = index as f32 * (width + 2.0 * GAP);
            let line = sheet.y + SIGNATURE_HEIGHT - LABEL.leading() - 2.0;
            sheet.text((x, line - TEXT.leading()), TEXT, label);
            sheet.rule((x, line), width, 0.5, 0.2);
            let caption = sheet.words.signature;
            sheet.text_to((x + width, line + 2.0), LABEL, caption);
        }
        sheet.y += SIGNATURE_HEIGHT;
    }
}

/// What so much of goods weighs together, in milligrams. `None`: of some of them nobody knows.
pub(super) fn weight_mg<'a>(goods: impl IntoIterator<Item = (&'a Goods, i64)>) -> Option<i128> {
    let weigh = |(goods, milli): (&Goods, i64)| {
        let is_known = goods.weight_mg > 0;
        is_known.then(|| i128::from(goods.weight_mg) * i128::from(milli) / 1000)
    };
    goods.into_iter().map(weigh).try_fold(0_i128, |sum, weight| Some(sum.saturating_add(weight?)))
}
