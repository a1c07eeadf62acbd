//! What to offer a customer for a line that can't be had in full.

use roundsman_proto::trade::{Agreement, Product};
use uuid::Uuid;

use super::delivery::{LocalTime, promised_day};
use super::money::UNIT_MILLI;
use super::step;

/// A line that somebody wants.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// The product.
    pub product: &'a Product,
    /// The packaging, by its code; empty: the base unit.
    pub packaging_code: &'a str,
    /// How much is wanted, in thousandths of the base unit.
    pub quantity_milli: i64,
    /// How much of it is free.
    pub free_milli: i64,
}

/// What replaces the product, if something does.
#[derive(Clone, Copy, Debug)]
pub struct Successor<'a> {
    /// Its id.
    pub product_id: Uuid,
    /// What it is like.
    pub product: &'a Product,
    /// How much of it is free. `None`: nobody knows, and nothing is promised of it.
    pub free_milli: Option<i64>,
}

/// When the goods would be delivered.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// The agreement, with its calendar.
    pub agreement: &'a Agreement,
    /// The order's day.
    pub order_day: i32,
    /// The day on which the customer wants the goods. 0: as soon as possible.
    pub wanted_day: i32,
    /// The moment, in the territory of the outlet.
    pub now: LocalTime,
}

/// Something to offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Alternative {
    /// The same product in a smaller packaging, of which more fits into what is free.
    Packaging {
        /// Its code; empty: the base unit.
        packaging_code: String,
        /// How much of the base unit is in it, in thousandths.
        coefficient_milli: i64,
        /// So much of what is wanted can be had in it, in thousandths of the base unit.
        quantity_milli: i64,
    },
    /// The product's successor, for what is missing.
    Successor {
        /// Its id.
        product_id: Uuid,
        /// What is missing, rounded up to its steps; or as many whole steps as are free. In thousandths of its base unit.
        quantity_milli: i64,
    },
    /// The delivery after the next one: by then the rest may have come.
    Later {
        /// The day.
        day: i32,
    },
}

/// What to offer for a line, in this order: a packaging, the successor, a later day. Nothing, if all of it is free.
#[must_use]
pub fn alternatives(wish: &Wish<'_>, successor: Option<&Successor<'_>>, delivery: &Delivery<'_>) -> Vec<Alternative> {
    if wish.free_milli >= wish.quantity_milli {
        return Vec::new();
    }
    [smaller(wish), successor.and_then(|successor| replaced(wish, successor)), later(wish, delivery)]
        .into_iter()
        .flatten()
        .collect()
}

/// What can be had of a wish in its own packaging.
fn had(wish: &Wish<'_>) -> i64 {
    step::down(wish.free_milli, step::of(wish.product, step::packaging(wish.product, wish.packaging_code)))
}

/// The smaller packaging in which most of it can be had: of several the largest one, then the first by its code.
fn smaller(wish: &Wish<'_>) -> Option<Alternative> {
    let product = wish.product;
    let own = step::packaging(product, wish.packaging_code)?;
    let base = ("", UNIT_MILLI, step::of(product, None));
    let packed = product.packagings.iter().filter(|packaging| packaging.coefficient_milli > 0);
    let packed = packed
        .map(|packaging| (packaging.code.as_str(), packaging.coefficient_milli, step::of(product, Some(packaging))));
    [base]
        .into_iter()
        .chain(packed)
        .filter(|(_, coefficient_milli, _)| *coefficient_milli < own.coefficient_milli)
        .map(|(code, coefficient_milli, step)| (step::down(wish.free_milli, step), coefficient_milli, code))
        .filter(|(quantity_milli, _, _)| *quantity_milli > had(wish))
        .max_by_key(|(quantity_milli, coefficient, code)| (*quantity_milli, *coefficient, std::cmp::Reverse(*code)))
        .map(|(quantity_milli, coefficient_milli, code)| Alternative::Packaging {
            packaging_code: code.to_owned(),
            coefficient_milli,
            quantity_milli,
        })
}

fn replaced(wish: &Wish<'_>, successor: &Successor<'_>) -> Option<Alternative> {
    let Successor { product_id, product, free_milli } = *successor;
    let missing_milli = wish.quantity_milli.saturating_sub(had(wish));
    let step = step::of(product, None);
    let quantity_milli = step::up(missing_milli, step).min(step::down(free_milli?, step));
    (!product.withdrawn && quantity_milli > 0).then_some(Alternative::Successor { product_id, quantity_milli })
}

/// What is no longer sold does not come later either.
fn later(wish: &Wish<'_>, delivery: &Delivery<'_>) -> Option<Alternative> {
    let Delivery { agreement, order_day, wanted_day, now } = *delivery;
    let next = promised_day(agreement, order_day, wanted_day, now);
    (next != 0 && !wish.product.withdrawn)
        .then(|| Alternative::Later { day: promised_day(agreement, order_day, next.saturating_add(1), now) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use roundsman_proto::trade::Packaging;

    const NEXT: Uuid = Uuid::from_u128(2);
    /// A Monday.
    const MONDAY: i32 = 20_787;

    fn boxed() -> Product {
        let packaging = |code: &str, units: i64| Packaging {
            code: code.to_owned(),
            coefficient_milli: units * 1_000,
            ..Packaging::default()
        };
        Product { packagings: vec![packaging("box", 12), packaging("pack", 5)], ..Product::default() }
    }

    /// What is offered for 24 in boxes, where goods come on Wednesdays and Saturdays.
    fn offered(product: &Product, free: i64, successor_free: Option<i64>) -> Vec<Alternative> {
        let next = Product { multiple_milli: 5_000, ..Product::default() };
        let wish = Wish { product, packaging_code: "box", quantity_milli: 24_000, free_milli: free * 1_000 };
        let free_milli = successor_free.map(|free| free * 1_000);
        let successor = Successor { product_id: NEXT, product: &next, free_milli };
        let agreement = Agreement { delivery_weekdays: 4 + 32, ..Agreement::default() };
        let now = LocalTime { day: MONDAY, second: 0 };
        let delivery = Delivery { agreement: &agreement, order_day: MONDAY, wanted_day: 0, now };
        alternatives(&wish, Some(&successor), &delivery)
    }

    fn packed(code: &str, coefficient: i64, quantity: i64) -> Alternative {
        Alternative::Packaging {
            packaging_code: code.to_owned(),
            coefficient_milli: coefficient * 1_000,
            quantity_milli: quantity * 1_000,
        }
    }

    fn instead(quantity: i64) -> Alternative {
        Alternative::Successor { product_id: NEXT, quantity_milli: quantity * 1_000 }
    }

    #[test]
    fn what_is_there_needs_no_alternative() {
        assert_eq!(offered(&boxed(), 24, Some(100)), []);
    }

    #[test]
    fn a_smaller_packaging_holds_more_of_what_is_free() {
        let later = Alternative::Later { day: MONDAY + 5 };
        assert_eq!(
            offered(&boxed(), 20, None),
            [packed("pack", 5, 20), later.clone()],
            "the larger of two that hold as much"
        );
        assert_eq!(offered(&boxed(), 17, None), [packed("", 1, 17), later.clone()]);
        assert_eq!(offered(&boxed(), 12, None), [later], "a box holds all of it");
    }

    #[test]
    fn what_is_missing_is_offered_of_the_successor_as_far_as_it_is_free() {
        let later = Alternative::Later { day: MONDAY + 5 };
        assert_eq!(offered(&boxed(), 12, Some(100)), [instead(15), later.clone()]);
        assert_eq!(offered(&boxed(), 12, Some(11)), [instead(10), later.clone()]);
        assert_eq!(offered(&boxed(), 12, Some(4)), [later]);
        let withdrawn = Product { withdrawn: true, ..boxed() };
        assert_eq!(offered(&withdrawn, 0, Some(100)), [instead(25)], "what is withdrawn does not come later");
    }
}
