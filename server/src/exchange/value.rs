//! Values as they stand in a cell. Numbers are exact: no floating point, and nothing is rounded.

use chrono::{Datelike as _, NaiveDate};
use roundsman_proto::trade::{OutletClass, OutletStatus, ReclamationCause};
use roundsman_sync::trade::check;
use roundsman_sync::trade::reclamation::cause::DAYS;

/// What a value is not, as the end of the sentence that begins with the value.
pub type Wrong = String;

/// Degrees have so many decimals.
const DEGREE_DECIMALS: u32 = 7;
/// Quantities have so many decimals.
const QUANTITY_DECIMALS: u32 = 3;
/// A check-in is not measured over more metres than these.
const RADIUS_M: i64 = 100_000;
/// Weights up to a hundred thousand tons, in milligrams.
const WEIGHT_MG: i64 = 100_000_000_000_000;
/// Volumes up to a hundred thousand cubic metres, in cubic millimetres.
const VOLUME_MM3: i64 = 100_000_000_000_000;

/// A decimal number, times 10^`decimals`. More decimals are taken only if they are zeros.
fn decimal(text: &str, decimals: u32) -> Option<i64> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (whole, fraction) = match digits.split_once('.') {
        Some((_, "")) => return None,
        Some((whole, fraction)) => (whole, fraction),
        None => (digits, ""),
    };
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let places = usize::try_from(decimals).ok()?;
    let (kept, rest) = fraction.split_at(fraction.len().min(places));
    if rest.bytes().any(|digit| digit != b'0') {
        return None;
    }
    let number: i64 = format!("{whole}{kept:0<places$}").parse().ok()?;
    number.checked_mul(sign)
}

fn in_range(text: &str, decimals: u32, range: std::ops::RangeInclusive<i64>, what: &str) -> Result<i64, Wrong> {
    decimal(text, decimals).filter(|number| range.contains(number)).ok_or_else(|| format!("is not {what}"))
}

fn small(number: i64) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// A sum of money, 0 or more, in minor units of a currency with so many decimals.
///
/// # Errors
/// What the text is not.
pub fn money(text: &str, decimals: u32) -> Result<i64, Wrong> {
    in_range(text, decimals, 0..=check::MONEY_MINOR, "a sum of money")
}

/// A sum of money to add, or with `-` before it to take off, in minor units of a currency with so many decimals.
///
/// # Errors
/// What the text is not.
pub fn change(text: &str, decimals: u32) -> Result<i64, Wrong> {
    in_range(text, decimals, -check::MONEY_MINOR..=check::MONEY_MINOR, "a sum of money, or one with `-` before it")
}

/// A change in per cent, from -100 to 1000, as basis points.
///
/// # Errors
/// What the text is not.
pub fn raise(text: &str) -> Result<i32, Wrong> {
    in_range(text, 2, -10_000..=100_000, "a change from -100 to 1000 per cent with at most 2 decimals").map(small)
}

/// A quantity, 0 or more, in thousandths.
///
/// # Errors
/// What the text is not.
pub fn quantity(text: &str) -> Result<i64, Wrong> {
    in_range(text, QUANTITY_DECIMALS, 0..=check::QUANTITY_MILLI, "a quantity with at most 3 decimals")
}

/// A quantity above 0, in thousandths.
///
/// # Errors
/// What the text is not.
pub fn content(text: &str) -> Result<i64, Wrong> {
    in_range(text, QUANTITY_DECIMALS, 1..=check::QUANTITY_MILLI, "a quantity above 0 with at most 3 decimals")
}

/// A weight in kilograms, as milligrams.
///
/// # Errors
/// What the text is not.
pub fn weight(text: &str) -> Result<i64, Wrong> {
    in_range(text, 6, 0..=WEIGHT_MG, "a weight in kilograms with at most 6 decimals")
}

/// A volume in litres, as cubic millimetres.
///
/// # Errors
/// What the text is not.
pub fn volume(text: &str) -> Result<i64, Wrong> {
    in_range(text, 6, 0..=VOLUME_MM3, "a volume in litres with at most 6 decimals")
}

/// A rate in per cent, as basis points.
///
/// # Errors
/// What the text is not.
pub fn rate(text: &str) -> Result<i32, Wrong> {
    in_range(text, 2, 0..=check::WHOLE_BP.into(), "a rate from 0 to 100 with at most 2 decimals").map(small)
}

/// A latitude in decimal degrees, as degrees × 10^7.
///
/// # Errors
/// What the text is not.
pub fn latitude(text: &str) -> Result<i32, Wrong> {
    let range = i64::from(*check::LATITUDE_E7.start())..=i64::from(*check::LATITUDE_E7.end());
    in_range(text, DEGREE_DECIMALS, range, "a latitude from -90 to 90 with at most 7 decimals").map(small)
}

/// A longitude in decimal degrees, as degrees × 10^7.
///
/// # Errors
/// What the text is not.
pub fn longitude(text: &str) -> Result<i32, Wrong> {
    let range = i64::from(*check::LONGITUDE_E7.start())..=i64::from(*check::LONGITUDE_E7.end());
    in_range(text, DEGREE_DECIMALS, range, "a longitude from -180 to 180 with at most 7 decimals").map(small)
}

/// A radius in whole metres.
///
/// # Errors
/// What the text is not.
pub fn radius(text: &str) -> Result<i32, Wrong> {
    in_range(text, 0, 0..=RADIUS_M, "a number of metres up to 100000").map(small)
}

/// A day as YYYY-MM-DD, in days since 1970-01-01.
///
/// # Errors
/// What the text is not.
pub fn day(text: &str) -> Result<i32, Wrong> {
    let date = (text.len() == 10).then(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()).flatten();
    let day = date.map(|date| date.num_days_from_ce() - NaiveDate::default().num_days_from_ce());
    day.filter(|day| check::DAYS.contains(day)).ok_or_else(|| "is not a day such as 2026-01-31".to_owned())
}

/// The code of a currency.
///
/// # Errors
/// What the text is not.
pub fn currency(text: &str) -> Result<String, Wrong> {
    let wrong = |_| "is not a currency such as EUR".to_owned();
    check::currency(text, "currency").map(|()| text.to_owned()).map_err(wrong)
}

/// `yes` or `no`.
///
/// # Errors
/// What the text is not.
pub fn yes(text: &str) -> Result<bool, Wrong> {
    match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err("is not `yes` or `no`".to_owned()),
    }
}

/// Barcodes: digits only, separated by `|`.
///
/// # Errors
/// What the text is not.
pub fn barcodes(text: &str) -> Result<Vec<String>, Wrong> {
    let codes = list(text);
    let good = |code: &String| code.len() <= check::NAME_CHARS && code.bytes().all(|byte| byte.is_ascii_digit());
    if codes.len() <= check::ENTRIES && codes.iter().all(good) {
        return Ok(codes);
    }
    Err("is not a list of barcodes, of digits only and separated by `|`".to_owned())
}

/// A list whose entries are separated by `|`; empty ones are left out.
#[must_use]
pub fn list(text: &str) -> Vec<String> {
    text.split('|').map(str::trim).filter(|entry| !entry.is_empty()).map(str::to_owned).collect()
}

/// How important an outlet is.
///
/// # Errors
/// What the text is not.
pub fn class(text: &str) -> Result<OutletClass, Wrong> {
    match text {
        "A" => Ok(OutletClass::A),
        "B" => Ok(OutletClass::B),
        "C" => Ok(OutletClass::C),
        _ => Err("is not a class: `A`, `B` or `C`".to_owned()),
    }
}

/// Whether the office has confirmed an outlet.
///
/// # Errors
/// What the text is not.
pub fn status(text: &str) -> Result<OutletStatus, Wrong> {
    match text {
        "active" => Ok(OutletStatus::Active),
        "candidate" => Ok(OutletStatus::Candidate),
        _ => Err("is not a status: `active` or `candidate`".to_owned()),
    }
}

/// What a cause of claims counts as.
///
/// # Errors
/// What the text is not.
pub fn cause(text: &str) -> Result<ReclamationCause, Wrong> {
    match text {
        "delivery_discrepancy" => Ok(ReclamationCause::DeliveryDiscrepancy),
        "damaged" => Ok(ReclamationCause::Damaged),
        "quality" => Ok(ReclamationCause::Quality),
        "expired" => Ok(ReclamationCause::Expired),
        "price" => Ok(ReclamationCause::Price),
        "papers" => Ok(ReclamationCause::Papers),
        "other" => Ok(ReclamationCause::Other),
        _ => Err("is not a cause: `damaged`, for example".to_owned()),
    }
}

/// A number of days in which something is to be done.
///
/// # Errors
/// What the text is not.
pub fn days(text: &str) -> Result<i32, Wrong> {
    in_range(text, 0, 1..=i64::from(DAYS), "a number of days up to 366").map(small)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_exact() {
        let cases = [("0", 0), ("12", 1_200), ("12.5", 1_250), ("12.50", 1_250), ("0012.5000", 1_250), ("0.01", 1)];
        for (text, minor) in cases {
            assert_eq!(money(text, 2), Ok(minor), "{text}");
        }
        assert_eq!(money("10000000000000.00", 2), Ok(check::MONEY_MINOR));
        assert_eq!((money("12.345", 3), money("12", 0)), (Ok(12_345), Ok(12)));
        let wrong = ["12,x", "12,50", "", ".5", "12.", "1e3", "+1", "-1", "1 000", "12.345", "1.2.3", "١", "0x10"];
        for text in wrong {
            assert_eq!(money(text, 2), Err("is not a sum of money".to_owned()), "{text}");
        }
        assert!(money("10000000000000.01", 2).is_err(), "above the largest sum");
        assert!(money("99999999999999999999", 2).is_err(), "above what a number holds");
    }

    #[test]
    fn degrees_are_exact() {
        assert_eq!(latitude("60.1699"), Ok(601_699_000));
        assert_eq!(latitude("-0.0000001"), Ok(-1));
        assert_eq!((latitude("90"), longitude("-180.0")), (Ok(900_000_000), Ok(-1_800_000_000)));
        assert!(latitude("90.0000001").is_err() && longitude("180.1").is_err());
        assert!(longitude("24.93837901").is_err(), "nothing is rounded");
    }

    #[test]
    fn quantities_rates_weights_and_radii_are_exact() {
        assert_eq!((quantity("0.5"), quantity("0"), quantity("0.0005").is_err()), (Ok(500), Ok(0), true));
        assert_eq!((content("12"), content("0").is_err()), (Ok(12_000), true));
        assert_eq!((rate("25.5"), rate("100"), rate("100.01").is_err()), (Ok(2_550), Ok(10_000), true));
        assert_eq!((weight("1.25"), weight("0.0000001").is_err()), (Ok(1_250_000), true));
        assert_eq!((volume("0.33"), volume("1.0000001").is_err()), (Ok(330_000), true));
        assert_eq!((radius("150"), radius("1.5").is_err(), radius("100001").is_err()), (Ok(150), true, true));
    }

    #[test]
    fn changes_have_a_sign() {
        assert_eq!((change("-0.05", 2), change("1.5", 2)), (Ok(-5), Ok(150)));
        assert_eq!((raise("3.5"), raise("-100"), raise("1000")), (Ok(350), Ok(-10_000), Ok(100_000)));
        assert!(["-100.01", "1000.01", "3.555", "3,5", "+1"].iter().all(|text| raise(text).is_err()));
        assert!(change("-0.005", 2).is_err() && change("--1", 2).is_err());
    }

    #[test]
    fn a_day_exists_and_is_written_in_one_way() {
        assert_eq!((day("1970-01-02"), day("2026-11-23")), (Ok(1), Ok(20_780)));
        for text in ["2026-02-29", "2026-2-01", "23.11.2026", "1970-01-01", "+2026-1-1", "2026-11-231"] {
            assert!(day(text).is_err(), "{text}");
        }
    }

    #[test]
    fn words_and_lists_are_known() {
        assert_eq!((yes("yes"), yes("no"), yes("1").is_err()), (Ok(true), Ok(false), true));
        assert_eq!((class("B"), class("D").is_err()), (Ok(OutletClass::B), true));
        assert_eq!((status("candidate"), status("new").is_err()), (Ok(OutletStatus::Candidate), true));
        assert_eq!(list(" a | b||"), ["a", "b"]);
        assert_eq!(barcodes("4001|4002"), Ok(vec!["4001".to_owned(), "4002".to_owned()]));
        assert!(barcodes("4001 4002").is_err());
    }
}
