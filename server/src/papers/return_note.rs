//! The return note: what comes back from a customer, why, and in which condition.

use roundsman_proto::trade::{RefusalReason, ReturnReason};
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
    /// Why.
    pub why: Why,
    /// In which condition it is. `None`: to be written by hand.
    pub condition: Option<Condition>,
}

/// Why goods come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The customer gives them back.
    GivenBack(ReturnReason),
    /// They were not taken; unspecified: not even offered, or nobody said why.
    NotTaken(RefusalReason),
}

impl Default for Why {
    fn default() -> Self {
        Self::GivenBack(ReturnReason::Unspecified)
    }
}

impl Why {
    fn said(self, words: &Words) -> &'static str {
        match self {
            Self::GivenBack(ReturnReason::Unspecified) => "",
            Self::GivenBack(ReturnReason::Unsold) => words.unsold,
            Self::GivenBack(ReturnReason::Damaged) | Self::NotTaken(RefusalReason::Damaged) => words.damaged,
            Self::GivenBack(ReturnReason::Expired) | Self::NotTaken(RefusalReason::Expired) => words.out_of_date,
            Self::GivenBack(ReturnReason::WrongProduct) | Self::NotTaken(RefusalReason::WrongProduct) => {
                words.wrong_product
            }
            Self::GivenBack(ReturnReason::Quality) => words.poor_quality,
            Self::GivenBack(ReturnReason::Other) | Self::NotTaken(RefusalReason::Other) => words.other_reason,
            Self::NotTaken(RefusalReason::Unspecified) => words.not_delivered,
            Self::NotTaken(RefusalReason::TooMuch) => words.too_much,
            Self::NotTaken(RefusalReason::Price) => words.wrong_price,
            Self::NotTaken(RefusalReason::Late) => words.too_late,
            Self::NotTaken(RefusalReason::NoMoney) => words.no_money,
            Self::NotTaken(RefusalReason::ChangedMind) => words.changed_mind,
        }
    }
}

/// In which condition goods come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// They can be sold again.
    Fit,
    /// Damaged.
    Damaged,
    /// Out of date.
    OutOfDate,
}

impl Condition {
    fn said(self, words: &Words) -> &'static str {
        match self {
            Self::Fit => words.fit,
            Self::Damaged => words.damaged,
            Self::OutOfDate => words.out_of_date,
        }
    }
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
            self.why.said(words).into(),
            self.condition.map_or("", |condition| condition.said(words)).into(),
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
