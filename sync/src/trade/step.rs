//! In which steps a product is proposed, and which product stands for one that is no longer sold.

use std::collections::BTreeMap;

use roundsman_proto::trade::{Packaging, Product};
use uuid::Uuid;

use super::check::QUANTITY_MILLI;
use super::money::{UNIT_MILLI, saturated};

/// A chain of successors is followed so far.
const SUCCESSORS: usize = 8;

/// Products that a device knows, by their ids.
pub type Products<'a> = BTreeMap<Uuid, &'a Product>;

/// A packaging of a product, by its code; the base unit, by the empty code, is none.
#[must_use]
pub fn packaging<'a>(product: &'a Product, code: &str) -> Option<&'a Packaging> {
    product.packagings.iter().find(|packaging| packaging.code == code && packaging.coefficient_milli > 0)
}

/// The smallest quantity, in thousandths of the base unit, of which all others are multiples that a product may be ordered in:
/// its `multiple_milli`, or one base unit where it says none; and where it is ordered in a packaging, whole packages at the same
/// time. Never above [`QUANTITY_MILLI`].
#[must_use]
pub fn of(product: &Product, packaging: Option<&Packaging>) -> i64 {
    let multiple = if product.multiple_milli > 0 { product.multiple_milli } else { UNIT_MILLI };
    let step = match packaging {
        Some(packaging) if product.multiple_milli > 0 => common(multiple, packaging.coefficient_milli),
        Some(packaging) => packaging.coefficient_milli,
        None => multiple,
    };
    step.clamp(1, QUANTITY_MILLI)
}

/// The smallest multiple of a step that is not below a quantity; nothing where that is none.
#[must_use]
pub fn up(quantity_milli: i64, step_milli: i64) -> i64 {
    let (quantity, step) = (i128::from(quantity_milli.max(0)), i128::from(step_milli.max(1)));
    saturated((quantity + step - 1) / step * step)
}

/// The greatest multiple of a step that is not above a quantity; nothing where that is none.
#[must_use]
pub fn down(quantity_milli: i64, step_milli: i64) -> i64 {
    let (quantity, step) = (quantity_milli.max(0), step_milli.max(1));
    quantity / step * step
}

/// The product that is sold for another one: itself, or while it is withdrawn what replaces it. `None`: nothing does, or the
/// device does not know it.
#[must_use]
pub fn sold<'a>(product_id: Uuid, products: &Products<'a>) -> Option<(Uuid, &'a Product)> {
    let mut id = product_id;
    for _ in 0..=SUCCESSORS {
        let product = *products.get(&id)?;
        if !product.withdrawn {
            return Some((id, product));
        }
        id = Uuid::from_slice(&product.successor_id).ok()?;
    }
    None
}

/// The least common multiple of two numbers above 0.
fn common(one: i64, other: i64) -> i64 {
    let (mut divisor, mut rest) = (one, other);
    while rest != 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    saturated(i128::from(one) * i128::from(other / divisor))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OLD: Uuid = Uuid::from_u128(1);
    const NEW: Uuid = Uuid::from_u128(2);

    fn product(multiple_milli: i64, coefficients: &[i64]) -> Product {
        let packaging = |(index, coefficient_milli): (usize, &i64)| Packaging {
            code: format!("p{index}"),
            coefficient_milli: *coefficient_milli,
            ..Packaging::default()
        };
        Product {
            multiple_milli,
            packagings: coefficients.iter().enumerate().map(packaging).collect(),
            ..Product::default()
        }
    }

    #[test]
    fn a_step_is_whole_packages_and_a_multiple_at_once() {
        let step = |product: &Product| of(product, packaging(product, "p0"));
        assert_eq!(of(&product(0, &[]), None), 1_000);
        assert_eq!(of(&product(500, &[]), None), 500);
        assert_eq!(step(&product(0, &[12_000])), 12_000);
        assert_eq!(step(&product(0, &[250])), 250);
        assert_eq!(step(&product(8_000, &[12_000])), 24_000);
        assert_eq!(step(&product(8_000, &[0])), 8_000, "no packaging");
        assert_eq!(step(&product(i64::MAX, &[i64::MAX - 1])), QUANTITY_MILLI);
    }

    #[test]
    fn what_is_withdrawn_is_sold_as_its_successor() {
        let next = |withdrawn, successor: Uuid| Product {
            withdrawn,
            successor_id: successor.as_bytes().to_vec(),
            ..Product::default()
        };
        let (old, new, looped) = (next(true, NEW), next(false, OLD), next(true, OLD));
        let found = |old: &Product, new: &Product| {
            sold(OLD, &BTreeMap::from([(OLD, old), (NEW, new)])).map(|(product_id, _)| product_id)
        };
        assert_eq!(found(&old, &new), Some(NEW));
        assert_eq!(found(&new, &old), Some(OLD), "a successor may be named before");
        assert_eq!(found(&old, &looped), None);
        assert_eq!(sold(OLD, &BTreeMap::from([(OLD, &old)])), None);
    }

    proptest! {
        #[test]
        fn rounding_stays_within_a_step(quantity in 0..QUANTITY_MILLI, step in 1..QUANTITY_MILLI) {
            let (less, more) = (down(quantity, step), up(quantity, step));
            prop_assert!(less <= quantity && quantity <= more && more - less <= step);
            prop_assert!(less % step == 0 && more % step == 0);
        }
    }
}
