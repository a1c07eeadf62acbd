//! The route sheet: where a van goes, in which order, and what it brings.

use uuid::Uuid;

use super::number::short;
use super::parts::{Block, blocks, ending, head, remark};
use super::sheet::Sheet;
use super::table::{self, Cell, Column, Fill, LIST_LINES, NAME_LINES, Row};
use super::words::Words;
use super::{Language, Party};

/// Where a van goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteSheet {
    /// The trip: the paper's number.
    pub trip: Uuid,
    /// The day of the trip, in days since 1970-01-01. 0: none.
    pub day: i32,
    /// The van, as people call it. May be empty.
    pub vehicle: String,
    /// Who drives it. May be empty.
    pub driver: String,
    /// Where it starts.
    pub warehouse: Party,
    /// The stops, in the order of the trip.
    pub stops: Vec<Stop>,
    /// A note for the driver. May be empty.
    pub comment: String,
}

/// A stop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stop {
    /// The outlet's name.
    pub outlet: String,
    /// Its address. May be empty.
    pub address: String,
    /// When it takes goods, from and to, in seconds since 00:00. Empty: at any time.
    pub windows: Vec<(i32, i32)>,
    /// The shipments that it gets, in any order.
    pub shipments: Vec<Uuid>,
    /// What they weigh, in grams. 0: unknown.
    pub weight_g: i64,
    /// What the driver is to collect, each currency once. Empty: nothing.
    pub to_collect: Vec<Money>,
}

/// A sum of money.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Money {
    /// The ISO 4217 code.
    pub currency: String,
    /// In minor units.
    pub minor: i64,
}

impl RouteSheet {
    /// The paper.
    #[must_use]
    pub fn render(&self, language: Language) -> Vec<u8> {
        let words = language.words();
        let mut sheet = Sheet::new(words);
        let title = head(&mut sheet, words.route_sheet, self.trip, &[(words.day, words.day(self.day))]);
        let above = [
            Block::party(words, words.warehouse, &self.warehouse),
            Block::fact(words.vehicle, self.vehicle.as_str()),
            Block::fact(words.driver, self.driver.as_str()),
        ];
        blocks(&mut sheet, &above);
        remark(&mut sheet, words.comment, &self.comment);
        let rows = self.stops.iter().enumerate().map(|(index, stop)| stop.row(index, words));
        table::draw(&mut sheet, &columns(words), rows);
        ending(&mut sheet, &self.totals(words), &[words.sent_out_by, words.driver]);
        sheet.finish(&title)
    }

    fn totals(&self, words: &Words) -> Vec<(String, String)> {
        let mut totals = vec![(words.stops.to_owned(), words.count(self.stops.len()))];
        if self.stops.iter().all(|stop| stop.weight_g > 0) {
            let weight: i128 = self.stops.iter().map(|stop| i128::from(stop.weight_g)).sum();
            totals.push((words.weight.to_owned(), words.weight_g(weight)));
        }
        let mut sums = std::collections::BTreeMap::<&str, i128>::new();
        for money in self.stops.iter().flat_map(|stop| &stop.to_collect) {
            *sums.entry(&money.currency).or_default() += i128::from(money.minor);
        }
        let collected = |(currency, minor): (&str, i128)| {
            (words.to_collect.to_owned(), format!("{} {currency}", words.money(minor, currency)))
        };
        totals.extend(sums.into_iter().map(collected));
        totals
    }
}

impl Stop {
    fn row(&self, index: usize, words: &Words) -> Row {
        let mut shipments: Vec<String> = self.shipments.iter().map(|id| short(*id)).collect();
        shipments.sort_unstable();
        let windows: Vec<String> = self.windows.iter().map(|window| words.hours(*window)).collect();
        let weight = if self.weight_g > 0 { words.weight_g(self.weight_g) } else { String::new() };
        let money = |money: &Money| format!("{} {}", words.money(money.minor, &money.currency), money.currency);
        let to_collect: Vec<String> = self.to_collect.iter().map(money).collect();
        Row::Line(vec![
            words.count(index + 1).into(),
            Cell::noted(self.outlet.as_str(), self.address.as_str()),
            windows.join(" ").into(),
            shipments.join(" ").into(),
            weight.into(),
            to_collect.join(", ").into(),
            Cell::default(),
        ])
    }
}

fn columns(words: &Words) -> Vec<Column> {
    let column = |heading, width, fill| Column { heading, width: Some(width), fill };
    vec![
        column(words.number, 26.0, Fill::Number),
        Column { heading: words.stop, width: None, fill: Fill::Text(NAME_LINES) },
        column(words.hours, 66.0, Fill::Text(LIST_LINES)),
        column(words.shipments, 58.0, Fill::Text(LIST_LINES)),
        column(words.weight, 54.0, Fill::Number),
        column(words.to_collect, 80.0, Fill::Number),
        column(words.received, 62.0, Fill::Box),
    ]
}
