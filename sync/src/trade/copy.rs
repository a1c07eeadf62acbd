//! The lines of an earlier order, or of a template, once more: for a new day, at its prices and promotions.

use std::collections::BTreeMap;

use roundsman_proto::trade::{NewOrderLine, OrderLine, Price, Promotion, ShownPromotion};
use uuid::Uuid;

use super::check::{QUANTITY_MILLI, bytes};
use super::money::{self, UNIT_MILLI};
use super::price::{self, List, Wanted};
use super::promotion::{self, Buyer};
use super::step::{self, Products};

/// A record on the device, with its id and the version of its frame.
pub type Held<'a, R> = (Uuid, i64, &'a R);

/// What the device sells from.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'a> {
    /// The products.
    pub products: &'a Products<'a>,
    /// The prices in the agreement's list and in its base.
    pub prices: &'a [Held<'a, Price>],
    /// The agreement's list.
    pub list: List<'a>,
    /// The promotions, each once.
    pub promotions: &'a [Held<'a, Promotion>],
}

/// Why a line is not copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftOut {
    /// Nothing was ordered: the server has added it as a substitute.
    NotOrdered,
    /// The device does not know the product, or what replaces it.
    Unknown,
    /// The product is no longer sold, and nothing replaces it.
    Withdrawn,
    /// There is no price for it on that day, or it comes to more than is taken.
    NoPrice,
}

/// What became of the lines, each in the order in which they came.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Copied {
    /// The new lines.
    pub lines: Vec<NewOrderLine>,
    /// By the new line's id: the product that it had, and that was replaced by what is sold now.
    pub replaced: BTreeMap<Vec<u8>, Uuid>,
    /// The lines that are left out, by their old ids.
    pub left_out: Vec<(Vec<u8>, LeftOut)>,
}

/// A line that is copied.
struct Line<'a> {
    line: NewOrderLine,
    group_path: &'a [String],
    gross_minor: i64,
}

/// Copies lines, each with the id that its copy gets; these are different. Quantities are what was ordered, rounded up to the
/// product's steps, in the packaging of then where it still fits. Discounts by hand are not copied: they were given once.
#[must_use]
pub fn copy(lines: &[(Uuid, &OrderLine)], offer: &Offer<'_>, buyer: &Buyer<'_>) -> Copied {
    let mut copied = Copied::default();
    let mut priced = Vec::with_capacity(lines.len());
    for (line_id, old) in lines {
        match again(*line_id, old, offer, buyer.day) {
            Ok(line) => {
                if line.line.product_id != old.product_id {
                    let product_id = Uuid::from_slice(&old.product_id).unwrap_or_default();
                    copied.replaced.insert(line.line.line_id.clone(), product_id);
                }
                priced.push(line);
            }
            Err(why) => copied.left_out.push((old.line_id.clone(), why)),
        }
    }
    let seen: Vec<promotion::Line<'_>> = priced.iter().map(Line::as_promotions_see_it).collect();
    let promotions = offer.promotions.iter().map(|(id, _, promotion)| (*id, *promotion));
    let entitled = promotion::entitle(promotions, &seen, buyer);
    let versions: BTreeMap<Uuid, i64> = offer.promotions.iter().map(|(id, version, _)| (*id, *version)).collect();
    let shown = |part: &promotion::Part| ShownPromotion {
        promotion_id: bytes(Some(part.promotion_id)),
        promotion_version: versions.get(&part.promotion_id).copied().unwrap_or(0),
        discount_minor: part.discount_minor,
    };
    let all = priced.into_iter().zip(entitled);
    copied.lines = all
        .map(|(Line { line, .. }, own)| NewOrderLine { promotions: own.parts.iter().map(shown).collect(), ..line })
        .collect();
    copied
}

impl Line<'_> {
    fn as_promotions_see_it(&self) -> promotion::Line<'_> {
        let NewOrderLine { line_id, product_id, quantity_milli, shown_price_minor, price_per_milli, .. } = &self.line;
        promotion::Line {
            line_id,
            product_id,
            group_path: self.group_path,
            quantity_milli: *quantity_milli,
            rate: price::UnitPrice { price_minor: *shown_price_minor, per_milli: *price_per_milli },
            gross_minor: self.gross_minor,
        }
    }
}

fn again<'a>(line_id: Uuid, old: &OrderLine, offer: &Offer<'a>, day: i32) -> Result<Line<'a>, LeftOut> {
    if old.ordered_milli <= 0 {
        return Err(LeftOut::NotOrdered);
    }
    let old_id = Uuid::from_slice(&old.product_id).map_err(|_| LeftOut::Unknown)?;
    let (product_id, product) = step::sold(old_id, offer.products).ok_or_else(|| missing(old_id, offer.products))?;
    let quantity_milli = step::up(old.ordered_milli.min(QUANTITY_MILLI), step::of(product, None));
    let same = if product_id == old_id { step::packaging(product, &old.packaging_code) } else { None };
    let packaging = same.filter(|packaging| quantity_milli % packaging.coefficient_milli == 0);
    let packaging_code = packaging.map(|packaging| packaging.code.clone()).unwrap_or_default();
    let of_product = offer.prices.iter().filter(|(_, _, price)| price.product_id == product_id.as_bytes());
    let wanted = Wanted { quantity_milli, packaging_code: &packaging_code, day };
    let quote = price::quote(of_product.map(|(id, _, price)| (*id, *price)), &offer.list, &wanted);
    let quote = quote.ok_or(LeftOut::NoPrice)?;
    let gross = money::gross(quantity_milli, quote.rate.price_minor, quote.rate.per_milli);
    let version = offer.prices.iter().find(|(id, _, _)| *id == quote.price_id).map_or(0, |(_, version, _)| *version);
    let line = NewOrderLine {
        line_id: bytes(Some(line_id)),
        product_id: bytes(Some(product_id)),
        coefficient_milli: packaging.map_or(UNIT_MILLI, |packaging| packaging.coefficient_milli),
        packaging_code,
        quantity_milli,
        price_id: bytes(Some(quote.price_id)),
        price_version: version,
        shown_price_minor: quote.rate.price_minor,
        price_per_milli: quote.rate.per_milli,
        ..NewOrderLine::default()
    };
    Ok(Line { line, group_path: &product.group_path, gross_minor: gross.map_err(|_| LeftOut::NoPrice)? })
}

/// Why nothing is sold for a product.
fn missing(product_id: Uuid, products: &Products<'_>) -> LeftOut {
    match products.get(&product_id) {
        Some(product) if product.successor_id.is_empty() => LeftOut::Withdrawn,
        Some(product) => {
            let next = Uuid::from_slice(&product.successor_id).unwrap_or_default();
            if products.contains_key(&next) { LeftOut::Withdrawn } else { LeftOut::Unknown }
        }
        None => LeftOut::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use roundsman_proto::trade::promotion::Benefit;
    use roundsman_proto::trade::{Outlet, Packaging, PriceBreak, PriceList, Product};

    const TEA: Uuid = Uuid::from_u128(1);
    const OLD: Uuid = Uuid::from_u128(2);
    const GONE: Uuid = Uuid::from_u128(3);
    const SUGAR: Uuid = Uuid::from_u128(4);
    const LIST: Uuid = Uuid::from_u128(5);
    const HALF: Uuid = Uuid::from_u128(6);
    const TODAY: i32 = 20_000;

    fn old_line(number: u128, product: Uuid, packaging_code: &str, units: i64) -> OrderLine {
        OrderLine {
            line_id: bytes(Some(Uuid::from_u128(number))),
            product_id: bytes(Some(product)),
            packaging_code: packaging_code.to_owned(),
            ordered_milli: units * 1_000,
            discount_bp: 500,
            ..OrderLine::default()
        }
    }

    #[test]
    fn lines_are_copied_at_the_prices_and_promotions_of_the_new_day() {
        let dozen = Packaging { code: "dozen".to_owned(), coefficient_milli: 12_000, ..Packaging::default() };
        let tea = Product { packagings: vec![dozen], ..Product::default() };
        let successor = |id: Option<Uuid>| Product { withdrawn: true, successor_id: bytes(id), ..Product::default() };
        let (old, gone, sugar) = (successor(Some(TEA)), successor(None), Product::default());
        let products = BTreeMap::from([(TEA, &tea), (OLD, &old), (GONE, &gone), (SUGAR, &sugar)]);
        let price = |valid_to_day, price_minor| Price {
            price_list_id: bytes(Some(LIST)),
            product_id: bytes(Some(TEA)),
            breaks: vec![PriceBreak { min_quantity_milli: 0, price_minor }],
            valid_to_day,
            ..Price::default()
        };
        let (now, before) = (price(0, 100), price(TODAY - 1, 70));
        let prices = [(Uuid::from_u128(20), 7, &now), (Uuid::from_u128(21), 8, &before)];
        let half = Promotion {
            currency: "EUR".to_owned(),
            benefit: Some(Benefit::PercentBp(5_000)),
            min_quantity_milli: 20_000,
            ..Promotion::default()
        };
        let (list, outlet) = (PriceList::default(), Outlet::default());
        let promotions = [(HALF, 9, &half)];
        let offer =
            Offer { products: &products, prices: &prices, list: List::new(LIST, &list), promotions: &promotions };
        let buyer =
            Buyer { outlet_id: Uuid::from_u128(8), outlet: &outlet, agreement_id: &[], currency: "EUR", day: TODAY };
        let old = [
            old_line(31, TEA, "dozen", 12),
            old_line(32, OLD, "dozen", 7),
            old_line(33, GONE, "", 1),
            old_line(34, SUGAR, "", 1),
            old_line(35, Uuid::from_u128(99), "", 1),
            old_line(36, TEA, "", 0),
            old_line(37, TEA, "dozen", 13),
        ];
        let lines: Vec<(Uuid, &OrderLine)> = (41..).map(Uuid::from_u128).zip(&old).collect();
        let copied = copy(&lines, &offer, &buyer);

        let short = |line: &NewOrderLine| (line.packaging_code.clone(), line.coefficient_milli, line.quantity_milli);
        let expected = [("dozen", 12_000, 12_000), ("", 1_000, 7_000), ("", 1_000, 13_000)];
        assert_eq!(
            copied.lines.iter().map(short).collect::<Vec<_>>(),
            expected.map(|(code, of, all)| (code.to_owned(), of, all))
        );
        for line in &copied.lines {
            assert_eq!((line.shown_price_minor, line.price_version, line.discount_bp), (100, 7, 0), "{line:?}");
            assert_eq!(line.promotions[0].promotion_version, 9);
        }
        let off: Vec<i64> = copied.lines.iter().map(|line| line.promotions[0].discount_minor).collect();
        assert_eq!(off, [600, 350, 650], "all of it together reaches the threshold");
        let new = |number| bytes(Some(Uuid::from_u128(number)));
        assert_eq!(copied.replaced, BTreeMap::from([(new(42), OLD)]));
        let left_out =
            [(33, LeftOut::Withdrawn), (34, LeftOut::NoPrice), (35, LeftOut::Unknown), (36, LeftOut::NotOrdered)];
        assert_eq!(copied.left_out, left_out.map(|(line, why)| (new(line), why)));
    }
}
