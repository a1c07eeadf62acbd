//! Sums of money: minor units in 64 bits, quantities in thousandths, rates in basis points. Rounded once per line, half
//! away from zero; computed in 128 bits, and refused where even these, or the largest sum, do not suffice.

use super::check::{self, MONEY_MINOR, QUANTITY_MILLI, WHOLE_BP, out_of_range};
use super::rejection::Rejection;

/// So many thousandths make one base unit.
pub const UNIT_MILLI: i64 = 1_000;

/// What a line costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// To be paid, tax included, in minor units.
    pub amount_minor: i64,
    /// The tax contained in it, in minor units.
    pub vat_minor: i64,
}

/// How a line is priced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// The price of [`Rate::per_milli`] before promotions and discount, in minor units.
    pub price_minor: i64,
    /// For how much the price is, in thousandths of the base unit; above 0, [`UNIT_MILLI`] for one whole unit.
    pub per_milli: i64,
    /// What promotions take off the line, in minor units; negative where the quantity is.
    pub promotions_minor: i64,
    /// The discount on what is left, in basis points, from 0 to 10000.
    pub discount_bp: i32,
    /// The value added tax, in basis points, from 0 to 10000.
    pub vat_bp: i32,
    /// The price contains the tax; otherwise it is added.
    pub vat_included: bool,
}

/// The sum of a line, as the comment of the message `Order` defines it. Negative quantities mirror positive ones.
///
/// ```
/// use roundsman_sync::trade::money::{line, Rate, Sum, UNIT_MILLI};
/// let rate = Rate { price_minor: 999, per_milli: UNIT_MILLI, promotions_minor: 0, discount_bp: 500, vat_bp: 2_000,
///                   vat_included: false };
/// assert_eq!(line(2_500, rate), Ok(Sum { amount_minor: 2_848, vat_minor: 475 }));
/// ```
///
/// # Errors
/// `REASON_OUT_OF_RANGE` when the sum is above [`MONEY_MINOR`], or a rate is none.
pub fn line(quantity_milli: i64, rate: Rate) -> Result<Sum, Rejection> {
    if !(0..=WHOLE_BP).contains(&rate.discount_bp) {
        return Err(out_of_range("discount_bp"));
    }
    if !(0..=WHOLE_BP).contains(&rate.vat_bp) {
        return Err(out_of_range("vat_bp"));
    }
    if !(1..=QUANTITY_MILLI).contains(&rate.per_milli) {
        return Err(out_of_range("price_per_milli"));
    }
    let (whole, per) = (i128::from(WHOLE_BP), i128::from(rate.per_milli));
    let vat = i128::from(rate.vat_bp);
    let all = i128::from(quantity_milli).checked_mul(i128::from(rate.price_minor)).ok_or_else(too_large)?;
    let left = all.checked_sub(i128::from(rate.promotions_minor) * per).ok_or_else(too_large)?;
    // Nobody gets money for taking goods.
    let left = if all < 0 { left.min(0) } else { left.max(0) };
    let numerator = left.checked_mul(whole - i128::from(rate.discount_bp)).ok_or_else(too_large)?;
    let net = limited(divide(numerator, per * whole))?;
    if rate.vat_included {
        let vat_minor = limited(divide(i128::from(net) * vat, whole + vat))?;
        return Ok(Sum { amount_minor: net, vat_minor });
    }
    let vat_minor = limited(divide(i128::from(net) * vat, whole))?;
    Ok(Sum { amount_minor: total([net, vat_minor])?, vat_minor })
}

/// What a quantity comes to before tax, promotions and discount, in minor units.
///
/// # Errors
/// `REASON_OUT_OF_RANGE` when it is above [`MONEY_MINOR`], or the price is for nothing.
pub fn gross(quantity_milli: i64, price_minor: i64, per_milli: i64) -> Result<i64, Rejection> {
    let rate = Rate { price_minor, per_milli, promotions_minor: 0, discount_bp: 0, vat_bp: 0, vat_included: true };
    line(quantity_milli, rate).map(|sum| sum.amount_minor)
}

/// So many parts of a sum of which there are `of_parts`, which is above 0: `minor` × `parts` ÷ `of_parts`, for
/// 0 ≤ `parts` ≤ `of_parts`.
#[must_use]
pub fn share(minor: i64, parts: i64, of_parts: i64) -> i64 {
    let (parts, of_parts) = (i128::from(parts), i128::from(of_parts.max(1)));
    // Not above `minor`, and so in range, if the parts are.
    saturated(divide(i128::from(minor) * parts, of_parts))
}

/// A price with so much added, rounded to a multiple of a step; below 0 it is taken off.
///
/// # Errors
/// `REASON_OUT_OF_RANGE` when it is above [`MONEY_MINOR`], or below 0.
pub fn marked_up(price_minor: i64, markup_bp: i32, step_minor: i64) -> Result<i64, Rejection> {
    let (whole, step) = (i128::from(WHOLE_BP), i128::from(step_minor.max(1)));
    let numerator = i128::from(price_minor) * (whole + i128::from(markup_bp));
    let steps = divide(numerator, whole * step);
    limited(steps.checked_mul(step).ok_or_else(too_large)?).and_then(|price| {
        check::money(price, "price_minor")?;
        Ok(price)
    })
}

/// The sum of sums.
///
/// # Errors
/// `REASON_OUT_OF_RANGE` when it is above [`MONEY_MINOR`].
pub fn total(minor: impl IntoIterator<Item = i64>) -> Result<i64, Rejection> {
    // 2^64 addends would be needed for an overflow.
    limited(minor.into_iter().map(i128::from).fold(0, i128::saturating_add))
}

/// The nearest 64-bit number; for figures that are compared, never stored as money.
#[must_use]
pub fn saturated(wide: i128) -> i64 {
    i64::try_from(wide).unwrap_or(if wide < 0 { i64::MIN } else { i64::MAX })
}

/// Rounded half away from zero. `denominator` is above 0.
pub(super) fn divide(numerator: i128, denominator: i128) -> i128 {
    let quotient = numerator / denominator;
    let twice_rest = (numerator % denominator).abs() * 2;
    if twice_rest >= denominator { quotient + numerator.signum() } else { quotient }
}

fn limited(minor: i128) -> Result<i64, Rejection> {
    let limit = -MONEY_MINOR..=MONEY_MINOR;
    i64::try_from(minor).ok().filter(|minor| limit.contains(minor)).ok_or_else(too_large)
}

fn too_large() -> Rejection {
    out_of_range("amount_minor").fact(None, "max", MONEY_MINOR)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLAIN: Rate = Rate {
        price_minor: 0,
        per_milli: UNIT_MILLI,
        promotions_minor: 0,
        discount_bp: 0,
        vat_bp: 0,
        vat_included: true,
    };

    fn sum(quantity_milli: i64, rate: Rate) -> (i64, i64) {
        let sum = line(quantity_milli, rate).expect("in range");
        (sum.amount_minor, sum.vat_minor)
    }

    #[test]
    fn halves_are_rounded_away_from_zero() {
        let rate = Rate { price_minor: 1, ..PLAIN };
        assert_eq!(sum(499, rate), (0, 0));
        assert_eq!(sum(500, rate), (1, 0));
        assert_eq!(sum(1_500, rate), (2, 0));
        assert_eq!(sum(-500, rate), (-1, 0));
        assert_eq!(sum(-499, rate), (0, 0));
    }

    #[test]
    fn tax_is_contained_or_added() {
        let included = Rate { price_minor: 1_200, vat_bp: 2_000, ..PLAIN };
        assert_eq!(sum(1_000, included), (1_200, 200));
        assert_eq!(sum(1_000, Rate { vat_included: false, ..included }), (1_440, 240));
        assert_eq!(sum(1_000, Rate { discount_bp: 10_000, ..included }), (0, 0));
        assert_eq!(sum(3_000, Rate { price_minor: 333, discount_bp: 333, ..included }), (966, 161));
    }

    #[test]
    fn a_price_may_be_for_more_than_one_unit() {
        // A dozen costs 10.00: seven pieces cost 5.8333…
        let dozen = Rate { price_minor: 1_000, per_milli: 12_000, ..PLAIN };
        assert_eq!((sum(7_000, dozen), sum(12_000, dozen)), ((583, 0), (1_000, 0)));
        assert_eq!(gross(7_000, 1_000, 12_000), Ok(583));
        assert!(line(1_000, Rate { per_milli: 0, ..dozen }).is_err());
    }

    #[test]
    fn promotions_come_off_before_the_discount_and_never_leave_less_than_nothing() {
        let rate = Rate { price_minor: 1_000, promotions_minor: 200, discount_bp: 1_000, ..PLAIN };
        assert_eq!(sum(1_000, rate), (720, 0));
        assert_eq!(sum(1_000, Rate { promotions_minor: 1_001, ..rate }), (0, 0));
        assert_eq!(sum(0, rate), (0, 0));
        assert_eq!(sum(-1_000, Rate { promotions_minor: -200, ..rate }), (-720, 0));
        assert_eq!((share(200, 1, 3), share(200, 3, 3), share(200, 0, 3)), (67, 200, 0));
    }

    #[test]
    fn computed_prices_are_rounded_to_their_step() {
        assert_eq!((marked_up(999, 1_500, 0), marked_up(999, 1_500, 10)), (Ok(1_149), Ok(1_150)));
        assert_eq!(
            (marked_up(999, -1_500, 1), marked_up(995, 0, 10), marked_up(4, 0, 10)),
            (Ok(849), Ok(1_000), Ok(0))
        );
        assert!(marked_up(MONEY_MINOR, 1, 1).is_err() && marked_up(1, -20_000, 1).is_err());
    }

    #[test]
    fn what_is_too_large_is_refused() {
        let rate = Rate { price_minor: i64::MAX, ..PLAIN };
        assert!(line(i64::MAX, rate).is_err());
        assert!(line(i64::MIN, Rate { price_minor: i64::MIN, ..PLAIN }).is_err());
        assert!(line(1_000, Rate { price_minor: MONEY_MINOR, ..PLAIN }).is_ok());
        assert!(line(1_000, Rate { price_minor: MONEY_MINOR + 1, ..PLAIN }).is_err());
        assert!(line(1_000, Rate { price_minor: MONEY_MINOR, vat_bp: 1, ..PLAIN }).is_ok());
        assert!(line(1_000, Rate { price_minor: MONEY_MINOR, vat_bp: 1, vat_included: false, ..PLAIN }).is_err());
        assert!(line(1, Rate { discount_bp: -1, ..PLAIN }).is_err());
        assert!(total([MONEY_MINOR, 1]).is_err());
    }

    fn rates() -> impl Strategy<Value = Rate> {
        (0..=1_000_000_000_i64, 0..=10_000, 0..=10_000, any::<bool>()).prop_map(
            |(price_minor, discount_bp, vat_bp, vat_included)| Rate {
                price_minor,
                discount_bp,
                vat_bp,
                vat_included,
                ..PLAIN
            },
        )
    }

    proptest! {
        #[test]
        fn no_input_panics(
            q in any::<i64>(), p in any::<i64>(), per_milli in any::<i64>(), promotions_minor in any::<i64>(),
            d in any::<i32>(), v in any::<i32>(), i in any::<bool>(),
        ) {
            let rate = Rate { price_minor: p, per_milli, promotions_minor, discount_bp: d, vat_bp: v, vat_included: i };
            if let Ok(sum) = line(q, rate) {
                prop_assert!(sum.amount_minor.abs() <= MONEY_MINOR);
            }
            let _ = (gross(q, p, per_milli), share(p, q, per_milli), marked_up(p, d, q));
        }

        #[test]
        fn a_line_is_within_half_a_unit_of_the_exact_sum(q in 0..=1_000_000_i64, rate in rates()) {
            let rate = Rate { vat_included: true, ..rate };
            let exact = i128::from(q) * i128::from(rate.price_minor) * i128::from(10_000 - rate.discount_bp);
            let (amount, vat) = sum(q, rate);
            prop_assert!((i128::from(amount) * 10_000_000 - exact).abs() * 2 <= 10_000_000);
            prop_assert!((0..=amount).contains(&vat));
        }

        #[test]
        fn giving_back_mirrors_selling(q in 0..=1_000_000_i64, rate in rates()) {
            let (amount, vat) = sum(q, rate);
            prop_assert_eq!(sum(-q, rate), (-amount, -vat));
        }

        #[test]
        fn more_goods_never_cost_less_and_more_discount_never_more(
            q in 0..=1_000_000_i64, more in 0..=1_000_i64, rate in rates(),
        ) {
            prop_assert!(sum(q + more, rate).0 >= sum(q, rate).0);
            let cheaper = Rate { discount_bp: (rate.discount_bp + 1).min(10_000), ..rate };
            prop_assert!(sum(q, cheaper).0 <= sum(q, rate).0);
        }

        #[test]
        fn the_total_is_the_sum_of_the_lines_in_any_order(mut lines in proptest::collection::vec(-1_000_000..1_000_000_i64, 0..50)) {
            let forward = total(lines.iter().copied()).expect("in range");
            prop_assert_eq!(forward, lines.iter().sum::<i64>());
            lines.reverse();
            prop_assert_eq!(total(lines), Ok(forward));
        }
    }
}
