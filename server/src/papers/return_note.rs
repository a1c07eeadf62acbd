//! The return note: what comes back from a customer, why, and in which condition.

use uuid::Uuid;

use super::number::short;
use super::parts::{Block, blocks, ending, head, remark, weight_mg};
use super::sheet::Sheet;
use super::table::{self, Cell, Column, Fill, NAME_LINES, Row};
use super::words::Words;
use super::{Goods, Language, Party};

/// What comes back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReturnNote {
    /// The return: the paper's number.
    pub id: Uuid,
    /// The day on the paper, in days since 1970-01-01. 0: none.
    pub day: i32,
    /// Where it comes from: the outlet.
    pub sender: Party,
    /// Who owned it.
    pub customer: Party,
    /// Where it goes.
    pub warehouse: Party,
    /// The shipment with which it had come. `None`: unknown.
    pub shipment: Option<Uuid>,
    /// The reclamation that led to it. `None`: none did.
    pub reclamation: Option<Uuid>,
    /// The lines, in the order of the paper.
    pub lines: Vec<ReturnLine>,
    /// A note. May be empty.
    pub comment: String,
}

/// A line of a return note.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReturnLine {
    /// What.
    pub goods: Goods,
    /// How much, in thousandths of the unit.
    pub quantity_milli: i64,
    /// Why, in the paper's language. May be empty.
    pub reason: String,
    /// In which condition it is, in the paper's language. Empty: to be written by hand.
    pub condition: String,
}

impl ReturnNote {
    /// The paper.
    #[must_use]
    pub fn render(&self, language: Language) -> Vec<u8> {
        let words = language.words();
        let mut sheet = Sheet::new(words);
        let title = head(&mut sheet, words.return_note, self.id, &[(words.day, words.day(self.day))]);
        let parties = [
            Block::party(words, words.sender, &self.sender),
            Block::party(words, words.customer, &self.customer),
            Block::party(words, words.warehouse, &self.warehouse),
        ];
        blocks(&mut sheet, &parties);
        let number = |id: Option<Uuid>| id.map_or_else(String::new, short);
        remark(&mut sheet, words.shipment, &number(self.shipment));
        remark(&mut sheet, words.reclamation, &number(self.reclamation));
        remark(&mut sheet, words.comment, &self.comment);
        let rows = self.lines.iter().enumerate().map(|(index, line)| line.row(index, words));
        table::draw(&mut sheet, &columns(words), rows);
        let weight = weight_mg(self.lines.iter().map(|line| (&line.goods, line.quantity_milli)));
        let mut figures = vec![(words.lines.to_owned(), words.count(self.lines.len()))];
        figures.extend(weight.map(|weight| (words.weight.to_owned(), words.weight_mg(weight))));
        ending(&mut sheet, &figures, &[words.returned_by, words.received_by]);
        sheet.finish(&title)
    }
}

impl ReturnLine {
    fn row(&self, index: usize, words: &Words) -> Row {
        Row::Line(vec![
            words.count(index + 1).into(),
            Cell::noted(self.goods.name.as_str(), self.goods.code.as_str()),
            words.quantity(self.quantity_milli).into(),
            self.goods.unit.as_str().into(),
            self.reason.as_str().into(),
            self.condition.as_str().into(),
        ])
    }
}

fn columns(words: &Words) -> Vec<Column> {
    let column = |heading, width, fill| Column { heading, width: Some(width), fill };
    vec![
        column(words.number, 26.0, Fill::Number),
        Column { heading: words.product, width: None, fill: Fill::Text(NAME_LINES) },
        column(words.quantity, 54.0, Fill::Number),
        column(words.unit, 34.0, Fill::Text(NAME_LINES)),
        column(words.reason, 110.0, Fill::Text(NAME_LINES)),
        column(words.condition, 90.0, Fill::Text(NAME_LINES)),
    ]
}
