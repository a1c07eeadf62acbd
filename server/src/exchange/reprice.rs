//! A change of many prices of a list: which of them change, how, what is to be known before, and with which commands.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use prost::Message as _;
use roundsman_proto::admin::ListedPrice;
use roundsman_proto::trade::{Price, PriceList, PriceToSet, SetPrices};
use roundsman_sync::page::encode_frame;
use roundsman_sync::trade::price::{List, UnitPrice, Wanted, at_quantity, per, quote};
use roundsman_sync::trade::rejection::Rejection;
use roundsman_sync::trade::reprice::{Change, Rule, by_rule, contradicted, to_price};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::fields::Fields;
use super::goods;
use super::key;
use super::table::{self, Column, Errors};
use super::value;

/// A command has at most so many prices, so that whoever waits behind it does not wait long.
const PRICES: usize = 200;

/// The columns of a file of new prices. The key is product and packaging; a price with quantity breaks has a row for each.
pub const COLUMNS: &[Column] = &[
    Column { name: "product", help: "the product, by its article number or as a reference; required" },
    Column { name: "min_quantity", help: "the quantity from which it counts; empty: any. One row for each break" },
    Column { name: "price", help: "the price, such as 12.50, with a decimal point; required" },
    Column { name: "per", help: "for how many units it is, such as 12; empty: one" },
    Column { name: "packaging", help: "the packaging for which it is, by its code; empty: for all of them" },
];

/// A new price of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct NewPrice {
    /// The line on which its first row begins.
    pub line: u64,
    /// The product, as the file calls it.
    pub product: String,
    /// The price; its list, product and days are empty.
    pub price: Price,
}

/// Reads a file of new prices in a currency with so many decimals.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse(bytes: &[u8], decimals: u32) -> Result<Vec<NewPrice>, Errors> {
    let mut errors = Errors::default();
    let rows = table::read(bytes, COLUMNS, &mut errors);
    let mut prices: Vec<NewPrice> = Vec::with_capacity(rows.len());
    let mut places: HashMap<(String, String), usize> = HashMap::new();
    for row in &rows {
        let before = errors.count();
        let mut fields = Fields::new(row, COLUMNS, &mut errors);
        let product = fields.required("product");
        let only = goods::step(&mut fields, decimals);
        let price = Price {
            breaks: vec![only],
            packaging_code: fields.name("packaging"),
            per_milli: fields.optional("per", value::content).unwrap_or(0),
            ..Price::default()
        };
        if errors.count() > before {
            continue;
        }
        let place = *places.entry((product.clone(), price.packaging_code.clone())).or_insert(prices.len());
        match prices.get_mut(place) {
            None => prices.push(NewPrice { line: row.line, product, price }),
            Some(known) => {
                if let Err((column, wrong)) = goods::add_break(&mut known.price, price, known.line) {
                    Fields::new(row, COLUMNS, &mut errors).wrong_value(column, &wrong);
                }
            }
        }
    }
    errors.check(prices)
}

/// What the new prices are.
#[derive(Clone, Debug, PartialEq)]
pub enum Terms {
    /// The old ones, changed by a rule.
    Rule(Rule),
    /// Those of a file.
    File(Vec<NewPrice>),
}

/// Which products a rule is for; those of a file are named by it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The products of this group, by names from the widest on; empty: of all.
    pub group_path: Vec<String>,
    /// These, by article number or as references; empty: all.
    pub products: Vec<String>,
}

impl Selection {
    fn includes(&self, listed: &ListedPrice, product_id: &[u8]) -> bool {
        let is = |product: &String| {
            *product == listed.product_code || key::reference("product", product).as_bytes() == product_id
        };
        listed.product_group_path.starts_with(&self.group_path)
            && (self.products.is_empty() || self.products.iter().any(is))
    }
}

/// A price list with its own prices.
#[derive(Clone, Debug, PartialEq)]
pub struct Prices {
    /// The list's id.
    pub id: Uuid,
    /// What it says.
    pub list: PriceList,
    /// Its prices.
    pub prices: BTreeMap<Uuid, ListedPrice>,
}

/// What changes, and what does not.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// What changes, by product and packaging.
    pub goods: Vec<Goods>,
    /// What would contradict another price of the same days (`REASON_PRICE_CONFLICT`) and is left out.
    pub conflicts: Vec<String>,
    /// What can't change so and is left out, with the reason.
    pub refused: Vec<(String, Rejection)>,
    /// So many prices begin on that day or later, and stay as they are.
    pub later: usize,
}

/// The changed prices of a product in a packaging.
#[derive(Clone, Debug, PartialEq)]
pub struct Goods {
    /// What the product is called.
    pub name: String,
    /// The changes, each with the id of the record that the new price is.
    pub changes: Vec<(Uuid, Change)>,
    /// The last version at which the prices were changed, as far as is known; 0: there were none.
    pub version: i64,
}

impl Goods {
    /// The records as they will be.
    fn records(&self) -> impl Iterator<Item = PriceToSet> {
        self.changes.iter().flat_map(|(id, change)| {
            let record =
                |id: Uuid, price: &Price| PriceToSet { price_id: id.as_bytes().to_vec(), price: Some(price.clone()) };
            let ended = change.before.as_ref().zip(change.ended.as_ref());
            // First, since the new one may take its days.
            ended.map(|((before, _), ended)| record(*before, ended)).into_iter().chain([record(*id, &change.price)])
        })
    }
}

/// Plans a change of a list's prices from a day on.
#[must_use]
pub fn plan(prices: &Prices, selection: &Selection, terms: &Terms, from_day: i32) -> Plan {
    let mut plan = Plan::default();
    let mut known: BTreeMap<(Vec<u8>, String), Vec<&ListedPrice>> = BTreeMap::new();
    for listed in prices.prices.values() {
        let Some(price) = &listed.price else { continue };
        known.entry((price.product_id.clone(), price.packaging_code.clone())).or_default().push(listed);
    }
    match terms {
        Terms::Rule(rule) => {
            for ((product, packaging), listed) in &known {
                if listed.first().is_some_and(|first| selection.includes(first, product)) {
                    let begins = |price: &Price| price.valid_from_day >= from_day;
                    plan.take(name_of(listed, packaging, ""), listed, begins, |old| by_rule(old, from_day, rule));
                }
            }
        }
        Terms::File(new) => {
            for wanted in new {
                let product = product_of(&wanted.product, prices);
                let packaging = wanted.price.packaging_code.clone();
                let listed = known.get(&(product.clone(), packaging.clone())).map_or(&[][..], Vec::as_slice);
                let begins = |price: &Price| price.valid_from_day > from_day;
                let price =
                    Price { price_list_id: prices.id.as_bytes().to_vec(), product_id: product, ..wanted.price.clone() };
                let name = name_of(listed, &packaging, &wanted.product);
                plan.take(name, listed, begins, |old| Ok(to_price(old, from_day, &price)));
            }
        }
    }
    plan
}

impl Plan {
    fn take(
        &mut self,
        name: String,
        listed: &[&ListedPrice],
        begins_later: impl Fn(&Price) -> bool,
        changes: impl FnOnce(&[(Uuid, Price)]) -> Result<Vec<Change>, Rejection>,
    ) {
        let old: Vec<(Uuid, Price)> = listed
            .iter()
            .filter_map(|listed| Some((Uuid::from_slice(&listed.price_id).ok()?, listed.price.clone()?)))
            .collect();
        self.later += old.iter().filter(|(_, price)| begins_later(price)).count();
        let changes = match changes(&old) {
            Ok(changes) => changes,
            Err(rejection) => return self.refused.push((name, rejection)),
        };
        if changes.is_empty() {
            return;
        }
        let id = |change: &Change| match (&change.before, &change.ended) {
            (Some((id, _)), None) => *id,
            (_, _) => goods::price_id(&change.price),
        };
        let changes: Vec<(Uuid, Change)> = changes.into_iter().map(|change| (id(&change), change)).collect();
        let is_taken = |(id, change): &(Uuid, Change)| {
            let in_place = change.before.is_some() && change.ended.is_none();
            !in_place && old.iter().any(|(other, _)| other == id)
        };
        let plain: Vec<Change> = changes.iter().map(|(_, change)| change.clone()).collect();
        if contradicted(&old, &plain).is_some() || changes.iter().any(is_taken) {
            return self.conflicts.push(name);
        }
        let version = listed.iter().map(|listed| listed.version).max().unwrap_or(0);
        self.goods.push(Goods { name, changes, version });
    }
}

fn name_of(listed: &[&ListedPrice], packaging: &str, otherwise: &str) -> String {
    let product = listed.first().map(|listed| match listed.product_code.as_str() {
        "" => listed.product_name.clone(),
        code => format!("{code} {}", listed.product_name),
    });
    let product = product.unwrap_or_else(|| otherwise.to_owned());
    if packaging.is_empty() { product } else { format!("{product}, {packaging}") }
}

/// The product of a list that a file names by article number, or the one that it refers to.
fn product_of(named: &str, prices: &Prices) -> Vec<u8> {
    let referred = key::reference("product", named).as_bytes().to_vec();
    let of = |listed: &ListedPrice| listed.price.as_ref().map(|price| price.product_id.clone());
    let coded: BTreeSet<Vec<u8>> =
        prices.prices.values().filter(|listed| listed.product_code == named).filter_map(of).collect();
    let is_listed = prices.prices.values().any(|listed| of(listed).as_ref() == Some(&referred));
    match coded.into_iter().next() {
        Some(product) if !is_listed => product,
        Some(_) | None => referred,
    }
}

/// A price of a product for a quantity, before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What the product is called.
    pub name: String,
    /// The quantity from which it counts, in thousandths.
    pub min_quantity_milli: i64,
    /// The first day.
    pub from_day: i32,
    /// The price before; `None`: there was none for so little.
    pub before: Option<UnitPrice>,
    /// The price after.
    pub after: UnitPrice,
}

/// By how much prices change, in basis points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// The smallest change.
    pub smallest_bp: i64,
    /// The largest change.
    pub largest_bp: i64,
    /// The mean of all, each break counted once.
    pub mean_bp: i64,
}

impl Plan {
    /// How many prices change or come.
    #[must_use]
    pub fn prices(&self) -> usize {
        self.goods.iter().map(|goods| goods.changes.len()).sum()
    }

    /// Each break of each new price.
    pub fn steps(&self) -> impl Iterator<Item = Step> {
        self.goods.iter().flat_map(|goods| goods.changes.iter().map(move |(_, change)| (goods, change))).flat_map(
            |(goods, change)| {
                let rate = |price: &Price, price_minor| UnitPrice { price_minor, per_milli: per(price.per_milli) };
                change.price.breaks.iter().map(move |step| {
                    let before = change.before.as_ref().and_then(|(_, before)| {
                        at_quantity(before, step.min_quantity_milli).map(|old| rate(before, old.price_minor))
                    });
                    Step {
                        name: goods.name.clone(),
                        min_quantity_milli: step.min_quantity_milli,
                        from_day: change.price.valid_from_day,
                        before,
                        after: rate(&change.price, step.price_minor),
                    }
                })
            },
        )
    }

    /// By how much the prices change; `None`: there is none that was more than nothing before.
    #[must_use]
    pub fn spread(&self) -> Option<Spread> {
        let changes: Vec<i64> = self.steps().filter_map(|step| step.after.above_bp(step.before?)).collect();
        let (smallest_bp, largest_bp) = (*changes.iter().min()?, *changes.iter().max()?);
        let sum: i128 = changes.iter().copied().map(i128::from).sum();
        let count = i128::try_from(changes.len()).ok()?;
        // Between the smallest and the largest.
        let mean_bp = i64::try_from(sum / count).unwrap_or(largest_bp);
        Some(Spread { smallest_bp, largest_bp, mean_bp })
    }

    /// How many new prices have a break below the lowest price on their first day. `floor` and the list that it is computed
    /// from, if any.
    #[must_use]
    pub fn below_floor(&self, floor: &Prices, base: Option<&Prices>) -> usize {
        let mut lowest: HashMap<&[u8], Vec<(Uuid, &Price)>> = HashMap::new();
        for (id, listed) in floor.prices.iter().chain(base.iter().flat_map(|base| &base.prices)) {
            if let Some(price) = &listed.price {
                lowest.entry(&price.product_id).or_default().push((*id, price));
            }
        }
        let is_below = |price: &Price| {
            let Some(lowest) = lowest.get(price.product_id.as_slice()) else { return false };
            price.breaks.iter().any(|step| {
                let wanted = Wanted {
                    quantity_milli: step.min_quantity_milli.max(1),
                    packaging_code: &price.packaging_code,
                    day: price.valid_from_day,
                };
                let rate = UnitPrice { price_minor: step.price_minor, per_milli: per(price.per_milli) };
                let found = quote(lowest.iter().copied(), &List::new(floor.id, &floor.list), &wanted);
                found.is_some_and(|found| found.rate.is_above(rate))
            })
        };
        self.goods.iter().flat_map(|goods| &goods.changes).filter(|(_, change)| is_below(&change.price)).count()
    }

    /// The records that change, and the bytes of their frames, before compression: what each device is sent.
    #[must_use]
    pub fn weight(&self) -> (usize, usize) {
        let last = self.goods.iter().map(|goods| goods.version).max().unwrap_or(0);
        let frame = |entry: PriceToSet| {
            let id = Uuid::from_slice(&entry.price_id).unwrap_or_default();
            encode_frame(id, last + 1, entry.price.map(|price| price.encode_to_vec()).as_deref()).len()
        };
        let frames = self.goods.iter().flat_map(Goods::records).map(frame);
        frames.fold((0, 0), |(records, bytes), frame| (records + 1, bytes + frame))
    }

    /// The commands that do it. The id of each follows from what it changes and from what was there before: sent again it is
    /// the same command, and the same change of other prices is another one.
    #[must_use]
    pub fn commands(&self) -> Vec<Command> {
        let mut commands: Vec<Command> = Vec::new();
        let mut contents: Vec<Sha256> = Vec::new();
        for goods in &self.goods {
            let records: Vec<PriceToSet> = goods.records().collect();
            let is_full = commands.last().is_none_or(|command| command.set.prices.len() + records.len() > PRICES);
            if is_full {
                commands.push(Command::default());
                contents.push(Sha256::new());
            }
            let (Some(command), Some(content)) = (commands.last_mut(), contents.last_mut()) else { continue };
            content.update(goods.version.to_be_bytes());
            content.update(SetPrices { prices: records.clone() }.encode_length_delimited_to_vec());
            command.prices += goods.changes.len();
            command.set.prices.extend(records);
            command.names.get_or_insert_with(|| (goods.name.clone(), String::new())).1.clone_from(&goods.name);
        }
        for (command, content) in commands.iter_mut().zip(contents) {
            command.id = key::id("command", &format!("prices/{}", hex::encode(content.finalize())));
        }
        commands
    }
}

/// A command's worth of changed prices.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Command {
    /// The command's id.
    pub id: Uuid,
    /// How many prices change with it.
    pub prices: usize,
    /// What its first and its last product are called.
    pub names: Option<(String, String)>,
    /// What it sets.
    pub set: SetPrices,
}

#[cfg(test)]
mod tests {
    use roundsman_proto::trade::PriceBreak;
    use roundsman_sync::trade::reprice::By;

    use super::*;

    const LIST: Uuid = Uuid::from_u128(1 << 64);
    const DAY: i32 = 20_780;

    fn price(product: u128, price_minor: i64, from: i32) -> Price {
        Price {
            price_list_id: LIST.as_bytes().to_vec(),
            product_id: Uuid::from_u128(product).as_bytes().to_vec(),
            breaks: vec![PriceBreak { min_quantity_milli: 0, price_minor }],
            valid_from_day: from,
            ..Price::default()
        }
    }

    fn listed(number: u128, price: Price) -> ListedPrice {
        let product = Uuid::from_slice(&price.product_id).expect("an id").as_u128();
        ListedPrice {
            price_id: Uuid::from_u128(number << 32).as_bytes().to_vec(),
            version: 7,
            price: Some(price),
            product_code: format!("A{product}"),
            product_name: format!("Article {product}"),
            product_group_path: vec![
                "Drinks".to_owned(),
                if product.is_multiple_of(2) { "Juice" } else { "Tea" }.to_owned(),
            ],
        }
    }

    fn prices(of: Vec<Price>) -> Prices {
        let id = |number| Uuid::from_u128(number << 32);
        let prices = (1..).zip(of).map(|(number, price)| (id(number), listed(number, price))).collect();
        Prices { id: LIST, list: PriceList::default(), prices }
    }

    fn raise(share_bp: i32) -> Terms {
        Terms::Rule(Rule { by: By::Share(share_bp), round_to_minor: 0 })
    }

    fn planned(prices: &Prices, terms: &Terms) -> Plan {
        plan(prices, &Selection::default(), terms, DAY)
    }

    fn file(rows: &str) -> Result<Vec<NewPrice>, String> {
        let text = format!("product,min_quantity,price,per,packaging\n{rows}");
        parse(text.as_bytes(), 2).map_err(|errors| errors.to_string())
    }

    /// The list after some commands were taken over.
    fn after(prices: &Prices, commands: &[Command]) -> Prices {
        let mut after = prices.clone();
        for entry in commands.iter().flat_map(|command| &command.set.prices) {
            let id = Uuid::from_slice(&entry.price_id).expect("an id");
            let price = entry.price.clone().expect("a price");
            after.prices.insert(id, ListedPrice { version: 8, price_id: entry.price_id.clone(), ..listed(0, price) });
        }
        after
    }

    #[test]
    fn a_rule_is_for_the_products_that_were_chosen() {
        let all = prices((1..=4).map(|product| price(product, 100, 0)).collect());
        let names = |selection: Selection| {
            let plan = plan(&all, &selection, &raise(1_000), DAY);
            plan.goods.into_iter().map(|goods| goods.name).collect::<Vec<_>>()
        };
        let of = |group: &[&str], products: &[&str]| Selection {
            group_path: group.iter().map(|&name| name.to_owned()).collect(),
            products: products.iter().map(|&name| name.to_owned()).collect(),
        };
        assert_eq!(names(of(&["Drinks"], &[])).len(), 4);
        assert_eq!(names(of(&["Drinks", "Tea"], &[])), ["A1 Article 1", "A3 Article 3"]);
        assert_eq!(names(of(&["Tea"], &[])), [""; 0]);
        assert_eq!(names(of(&[], &["A2", &Uuid::from_u128(3).to_string()])), ["A2 Article 2", "A3 Article 3"]);
    }

    #[test]
    fn what_can_not_change_is_left_out_and_told() {
        let all = prices(vec![
            price(1, 100, 0),
            price(2, 3, 0),
            price(3, 100, 1),
            Price { valid_to_day: DAY - 1, ..price(3, 90, 1) },
            price(4, 100, DAY),
        ]);
        let cheaper = Terms::Rule(Rule { by: By::Amount(-10), round_to_minor: 0 });
        let plan = planned(&all, &cheaper);
        assert_eq!(plan.goods.iter().map(|goods| goods.name.as_str()).collect::<Vec<_>>(), ["A1 Article 1"]);
        assert_eq!(plan.refused.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["A2 Article 2"]);
        assert_eq!((plan.conflicts, plan.later), (vec!["A3 Article 3".to_owned()], 1));
    }

    #[test]
    fn a_broken_run_is_finished_by_the_same_commands() {
        let all = prices((1..=450).map(|product| price(product, 1_000, 0)).collect());
        let terms = raise(350);
        let commands = planned(&all, &terms).commands();
        let counts: Vec<(usize, usize)> =
            commands.iter().map(|command| (command.prices, command.set.prices.len())).collect();
        assert_eq!(counts, [(100, 200), (100, 200), (100, 200), (100, 200), (50, 100)]);
        assert_eq!(commands[4].names, Some(("A401 Article 401".to_owned(), "A450 Article 450".to_owned())));
        let broken = after(&all, &commands[..2]);
        assert_eq!(planned(&broken, &terms).commands(), commands[2..]);
        let whole = after(&all, &commands);
        assert_eq!(planned(&whole, &terms), Plan { later: 450, ..Plan::default() });
    }

    #[test]
    fn the_same_file_after_another_one_is_another_change() {
        let all = prices(vec![price(1, 1_000, DAY)]);
        let to = |prices: &Prices, price: &str| {
            planned(prices, &Terms::File(file(&format!("A1,,{price},,\n")).expect("is right"))).commands()
        };
        let first = to(&all, "9.50");
        let other = to(&after(&all, &first), "9.00");
        let back = to(&after(&all, &other), "9.50");
        assert_eq!((first.len(), other.len(), back.len()), (1, 1, 1));
        assert_ne!(first[0].id, back[0].id);
    }

    #[test]
    fn a_file_has_a_row_for_each_break_and_all_that_is_wrong_is_told() {
        let read = file("A1,,10,,\nA1,10,9,,\nA1,,100,12,BOX\n").expect("is right");
        assert_eq!(read.iter().map(|new| (new.line, new.price.breaks.len())).collect::<Vec<_>>(), [(2, 2), (4, 1)]);
        let wrong = file("A1,,10,,\nA1,0,9,,\n,,x,,\nA1,5,8,2,\n").expect_err("is wrong");
        let expected = [
            "line 3, column min_quantity: \"0\" is one for which there is a price already",
            "line 4, column product: is empty",
            "line 4, column price: \"x\" is not a sum of money",
            "line 5, column per: \"2\" is another than on line 2, for the same price",
        ];
        assert_eq!(wrong.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_product_without_a_price_gets_its_first_one() {
        let all = prices(vec![price(1, 1_000, 0)]);
        let plan = planned(&all, &Terms::File(file("B7,,10,,\n").expect("is right")));
        let new = &plan.goods[0].changes[0].1.price;
        let product = key::id("product", "B7").as_bytes().to_vec();
        assert_eq!(
            (new.product_id.clone(), new.valid_from_day, new.price_list_id.clone()),
            (product, DAY, LIST.as_bytes().to_vec())
        );
        assert_eq!(plan.steps().map(|step| step.before).collect::<Vec<_>>(), [None]);
        assert_eq!(plan.spread(), None);
    }

    #[test]
    fn prices_below_the_lowest_are_counted_also_where_that_is_computed() {
        let all = prices(vec![price(1, 1_000, 0), price(2, 1_000, 0)]);
        let plan = planned(&all, &raise(-1_000));
        let cost = prices(vec![price(1, 800, 0), price(2, 850, 0)]);
        let lowest = PriceList { base_list_id: LIST.as_bytes().to_vec(), markup_bp: 1_000, ..PriceList::default() };
        let floor = Prices { id: Uuid::from_u128(9), list: lowest, prices: BTreeMap::new() };
        assert_eq!(plan.below_floor(&floor, Some(&cost)), 1, "900 is not below 880, and below 935");
        assert_eq!(plan.below_floor(&cost, None), 0);
    }
}
