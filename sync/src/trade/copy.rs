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
