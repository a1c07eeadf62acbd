//! The delivery note: what comes to the customer, and what it costs.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::number::short;
use super::parts::{Block, blocks, ending, head, remark, weight_mg};
use super::sheet::Sheet;
use super::table::{self, Cell, Column, Fill, NAME_LINES, Row};
use super::words::Words;
use super::{Goods, Language, Party};

/// What comes to the customer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryNote {
    /// The shipment: the paper's number.
    pub shipment: Uuid,
    /// The day on the paper, in days since 1970-01-01. 0: none.
    pub day: i32,
    /// The day for which it is promised, in days since 1970-01-01. 0: none.
    pub delivery_day: i32,
    /// Where it comes from.
    pub warehouse: Party,
    /// Where it goes.
    pub recipient: Party,
    /// Who owes for it.
    pub customer: Party,
    /// The orders, in any order.
    pub orders: Vec<Uuid>,
    /// The ISO 4217 code of all sums.
    pub currency: String,
    /// The lines, in the order of the paper.
    pub lines: Vec<NoteLine>,
    /// A note for the driver and the customer. May be empty.
    pub comment: String,
}

/// A line of a delivery note.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NoteLine {
    /// What.
    pub goods: Goods,
    /// How much, in thousandths of the unit.
    pub quantity_milli: i64,
    /// What it costs. `None`: nobody knows, and the paper tells no totals.
    pub price: Option<NotePrice>,
}

/// What a line costs, in minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NotePrice {
    /// The price of `per_milli` before promotions and discount.
    pub price_minor: i64,
    /// For how much the price is, in thousandths of the unit.
    pub per_milli: i64,
    /// What promotions and discount take off the line.
    pub off_minor: i64,
    /// The rate of value added tax, in basis points.
    pub vat_bp: i32,
    /// The tax contained in `amount_minor`.
    pub vat_minor: i64,
    /// To be paid, tax included.
    pub amount_minor: i64,
}

impl DeliveryNote {
    /// The paper.
    #[must_use]
    pub fn render(&self, language: Language) -> Vec<u8> {
        let words = language.words();
        let mut sheet = Sheet::new(words);
        let days = [(words.day, words.day(self.day)), (words.delivery_day, words.day(self.delivery_day))];
        let title = head(&mut sheet, words.delivery_note, self.shipment, &days);
        let parties = [
            Block::party(words, words.warehouse, &self.warehouse),
            Block::party(words, words.recipient, &self.recipient),
            Block::party(words, words.customer, &self.customer),
        ];
        blocks(&mut sheet, &parties);
        let mut orders: Vec<String> = self.orders.iter().map(|id| short(*id)).collect();
        orders.sort_unstable();
        remark(&mut sheet, words.orders, &orders.join(", "));
        remark(&mut sheet, words.comment, &self.comment);
        table::draw(&mut sheet, &self.columns(words), self.rows(words));
        ending(&mut sheet, &self.totals(words), &[words.handed_over_by, words.received_by]);
        sheet.finish(&title)
    }

    /// Whether something is taken off some line.
    fn has_discounts(&self) -> bool {
        self.lines.iter().any(|line| line.price.is_some_and(|price| price.off_minor != 0))
    }

    fn columns(&self, words: &Words) -> Vec<Column> {
        let column = |heading, width, fill| Column { heading, width: Some(width), fill };
        let first = [
            column(words.number, 24.0, Fill::Number),
            Column { heading: words.product, width: None, fill: Fill::Text(NAME_LINES) },
            column(words.quantity, 50.0, Fill::Number),
            column(words.unit, 32.0, Fill::Text(NAME_LINES)),
            column(words.price, 58.0, Fill::Number),
        ];
        let discount = self.has_discounts().then(|| column(words.discount, 52.0, Fill::Number));
        let last = [column(words.vat, 46.0, Fill::Number), column(words.sum, 66.0, Fill::Number)];
        first.into_iter().chain(discount).chain(last).collect()
    }

    fn rows(&self, words: &Words) -> Vec<Row> {
        let has_discounts = self.has_discounts();
        let money = |minor: i64| words.money(minor, &self.currency);
        let unless_zero = |minor: i64| if minor == 0 { String::new() } else { money(minor) };
        let row = |(index, line): (usize, &NoteLine)| {
            let NoteLine { goods, quantity_milli, price } = line;
            let priced = |cell: &dyn Fn(NotePrice) -> Cell| price.map_or_else(Cell::default, cell);
            let first = [
                words.count(index + 1).into(),
                Cell::noted(goods.name.as_str(), goods.code.as_str()),
                words.quantity(*quantity_milli).into(),
                goods.unit.as_str().into(),
                priced(&|price| words.price(price.price_minor, price.per_milli, &self.currency).into()),
            ];
            let discount = has_discounts.then(|| priced(&|price| unless_zero(price.off_minor).into()));
            let last = [
                priced(&|price| Cell::noted(words.rate(price.vat_bp), unless_zero(price.vat_minor))),
                priced(&|price| money(price.amount_minor).into()),
            ];
            Row::Line(first.into_iter().chain(discount).chain(last).collect())
        };
        self.lines.iter().enumerate().map(row).collect()
    }

    fn totals(&self, words: &Words) -> Vec<(String, String)> {
        let mut totals = vec![(words.lines.to_owned(), words.count(self.lines.len()))];
        let weight = weight_mg(self.lines.iter().map(|line| (&line.goods, line.quantity_milli)));
        totals.extend(weight.map(|weight| (words.weight.to_owned(), words.weight_mg(weight))));
        let prices: Option<Vec<NotePrice>> = self.lines.iter().map(|line| line.price).collect();
        let Some(prices) = prices else { return totals };
        let sum = |minor: i128| format!("{} {}", words.money(minor, &self.currency), self.currency);
        let mut taxes: BTreeMap<i32, i128> = BTreeMap::new();
        for price in prices.iter().filter(|price| price.vat_bp > 0) {
            *taxes.entry(price.vat_bp).or_default() += i128::from(price.vat_minor);
        }
        let amount = prices.iter().map(|price| i128::from(price.amount_minor)).sum();
        totals.push((words.total_with_vat.to_owned(), sum(amount)));
        let tax = |(rate, minor): (i32, i128)| (format!("{} {}", words.contained_vat, words.rate(rate)), sum(minor));
        totals.extend(taxes.into_iter().map(tax));
        totals
    }
}
