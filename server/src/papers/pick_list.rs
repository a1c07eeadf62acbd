//! The pick list: what the warehouse collects for a shipment, or for all shipments of a wave.

use std::collections::{BTreeMap, BTreeSet};

use roundsman_sync::trade::money::UNIT_MILLI;
use uuid::Uuid;

use super::parts::{Block, blocks, ending, head, remark, weight_mg};
use super::sheet::Sheet;
use super::table::{self, Cell, Column, Fill, LIST_LINES, NAME_LINES, Row};
use super::words::Words;
use super::{Goods, Language, Party};

/// What is collected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PickList {
    /// The wave or the shipment: the paper's number.
    pub id: Uuid,
    /// The name of the wave. Empty: none, or it is for a shipment.
    pub wave: String,
    /// The day on the paper, in days since 1970-01-01. 0: none.
    pub day: i32,
    /// Where the goods lie.
    pub warehouse: Party,
    /// Where they go. Empty: to several outlets.
    pub recipient: Party,
    /// A note for the warehouse. May be empty.
    pub comment: String,
    /// What is collected, in any order; lines of the same product are added up.
    pub lines: Vec<PickLine>,
}

/// What is collected of one product for one shipment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PickLine {
    /// The shipment.
    pub shipment: Uuid,
    /// The product.
    pub product: Uuid,
    /// How papers name it.
    pub goods: Goods,
    /// Its group, from the widest to the narrowest: goods of a group lie together. Empty: in none.
    pub group_path: Vec<String>,
    /// How it is packed, by name, and how much is in such a package, in thousandths of the unit.
    pub packages: Vec<(String, i64)>,
    /// How much, in thousandths of the unit.
    pub quantity_milli: i64,
}

/// What is collected of one product.
struct Pick<'a> {
    line: &'a PickLine,
    quantity_milli: i128,
    shipments: BTreeSet<Uuid>,
}

impl PickList {
    /// The paper: by group, and in it by name.
    #[must_use]
    pub fn render(&self, language: Language) -> Vec<u8> {
        let words = language.words();
        let picks = self.picks();
        let shipments: BTreeSet<Uuid> = self.lines.iter().map(|line| line.shipment).collect();
        let mut sheet = Sheet::new(words);
        let title = head(&mut sheet, words.pick_list, self.id, &[(words.day, words.day(self.day))]);
        let above = [
            Block::party(words, words.warehouse, &self.warehouse),
            Block::party(words, words.recipient, &self.recipient),
            Block::fact(words.wave, self.wave.as_str()),
        ];
        blocks(&mut sheet, &above);
        remark(&mut sheet, words.comment, &self.comment);
        let is_common = shipments.len() > 1;
        table::draw(&mut sheet, &columns(words, is_common), rows(words, &picks, is_common));
        let weight = weight_mg(self.lines.iter().map(|line| (&line.goods, line.quantity_milli)));
        let figures = [
            Some((words.lines.to_owned(), words.count(picks.len()))),
            Some((words.shipments.to_owned(), words.count(shipments.len()))).filter(|_| is_common),
            weight.map(|weight| (words.weight.to_owned(), words.weight_mg(weight))),
        ];
        ending(&mut sheet, &figures.into_iter().flatten().collect::<Vec<_>>(), &[words.picked_by, words.checked_by]);
        sheet.finish(&title)
    }

    /// By group, name and code; what has no group comes last.
    fn picks(&self) -> Vec<Pick<'_>> {
        let mut by_product: BTreeMap<Uuid, Pick<'_>> = BTreeMap::new();
        for line in self.lines.iter().filter(|line| line.quantity_milli > 0) {
            let pick = by_product.entry(line.product).or_insert_with(|| Pick {
                line,
                quantity_milli: 0,
                shipments: BTreeSet::new(),
            });
            pick.quantity_milli += i128::from(line.quantity_milli);
            pick.shipments.insert(line.shipment);
        }
        let mut picks: Vec<Pick<'_>> = by_product.into_values().collect();
        // Stable, so that equal names remain in the order of their ids.
        picks.sort_by_key(|pick| (pick.line.group_path.is_empty(), &pick.line.group_path, &pick.line.goods));
        picks
    }
}

fn columns(words: &Words, is_common: bool) -> Vec<Column> {
    let column = |heading, width, fill| Column { heading, width: Some(width), fill };
    let shipments = is_common.then(|| column(words.shipments, 54.0, Fill::Number));
    let first = [
        column(words.number, 26.0, Fill::Number),
        column(words.code_of_product, 70.0, Fill::Text(NAME_LINES)),
        Column { heading: words.product, width: None, fill: Fill::Text(NAME_LINES) },
    ];
    let last = [
        column(words.quantity, 54.0, Fill::Number),
        column(words.unit, 34.0, Fill::Text(NAME_LINES)),
        column(words.packages, 88.0, Fill::Text(LIST_LINES)),
        column(words.picked, 54.0, Fill::Box),
    ];
    first.into_iter().chain(shipments).chain(last).collect()
}

fn rows(words: &Words, picks: &[Pick<'_>], is_common: bool) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut group: Option<&[String]> = None;
    for (index, pick) in picks.iter().enumerate() {
        let PickLine { goods, group_path, packages, .. } = pick.line;
        // Goods without a group come last: where they come first, there is no group.
        let is_ungrouped = group_path.is_empty() && group.is_none();
        if group != Some(group_path) && !is_ungrouped {
            let name = if group_path.is_empty() { words.other_goods.to_owned() } else { group_path.join(" › ") };
            rows.push(Row::Group(name));
            group = Some(group_path);
        }
        let first = [words.count(index + 1).into(), goods.code.as_str().into(), goods.name.as_str().into()];
        let shipments = is_common.then(|| words.count(pick.shipments.len()).into());
        let last = [
            words.quantity(pick.quantity_milli).into(),
            goods.unit.as_str().into(),
            packed(pick.quantity_milli, packages, |milli| words.quantity(milli)).into(),
            Cell::default(),
        ];
        rows.push(Row::Line(first.into_iter().chain(shipments).chain(last).collect()));
    }
    rows
}

/// A quantity in packages, the largest first, and what is left; a single unit is no package. Empty: it fills none.
fn packed(quantity_milli: i128, packages: &[(String, i64)], quantity: impl Fn(i128) -> String) -> String {
    let mut packages: Vec<&(String, i64)> =
        packages.iter().filter(|(_, content)| *content > 0 && *content != UNIT_MILLI).collect();
    packages.sort_by_key(|(name, content)| (std::cmp::Reverse(*content), name));
    let mut left = quantity_milli;
    let mut parts = Vec::new();
    for (name, content) in packages {
        let content = i128::from(*content);
        if left >= content {
            parts.push(format!("{} × {name}", quantity(left / content * i128::from(UNIT_MILLI))));
            left %= content;
        }
    }
    if left > 0 && !parts.is_empty() {
        parts.push(quantity(left));
    }
    parts.join(" + ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantity_is_told_in_packages() {
        let packages =
            vec![("box of 12".to_owned(), 12_000), ("pallet".to_owned(), 480_000), ("piece".to_owned(), 1_000)];
        let words = Language::English.words();
        let told = |milli| packed(milli, &packages, |milli| words.quantity(milli));
        assert_eq!(told(500_000), "1 × pallet + 1 × box of 12 + 8");
        assert_eq!((told(24_000), told(11_500), told(0)), ("2 × box of 12".into(), String::new(), String::new()));
    }
}
