//! The form of what comes from outside: ids, texts, numbers, with their limits. Every function names the field to blame.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use roundsman_proto::trade::{GeoPoint, Reason};
use uuid::Uuid;

use super::rejection::Rejection;

/// A name, a code, a title or a number on paper has at most this many characters.
pub const NAME_CHARS: usize = 200;
/// A note, a comment or an answer has at most this many characters.
pub const TEXT_CHARS: usize = 4_000;
/// An order, a shipment or a claim has at most this many lines.
pub const LINES: usize = 500;
/// A survey has at most this many answers.
pub const ANSWERS: usize = 500;
/// A document has at most this many entries in any other list: contacts, opening hours, agreements, options.
pub const ENTRIES: usize = 100;
/// The largest quantity, in thousandths of the base unit: a thousand million units.
pub const QUANTITY_MILLI: i64 = 1_000_000_000_000;
/// The largest sum, in minor units: ten million million whole units of a currency with two decimals. Several thousand of
/// such sums still fit into 64 bits.
pub const MONEY_MINOR: i64 = 1_000_000_000_000_000;
/// A hundred per cent, in basis points.
pub const WHOLE_BP: i32 = 10_000;
/// Days that exist: from 1970-01-02 (0 means "not set") to 9999-12-31.
pub const DAYS: RangeInclusive<i32> = 1..=2_932_896;
/// Latitudes, in degrees × 10^7.
pub const LATITUDE_E7: RangeInclusive<i32> = -900_000_000..=900_000_000;
/// Longitudes, in degrees × 10^7.
pub const LONGITUDE_E7: RangeInclusive<i32> = -1_800_000_000..=1_800_000_000;
/// A day has so many seconds, as wall clocks count.
pub const DAY_S: i32 = 86_400;

/// A required id: 16 bytes, not all zeros.
///
/// # Errors
/// `REASON_MISSING_FIELD`, `REASON_BAD_ID`.
pub fn id(bytes: &[u8], field: &str) -> Result<Uuid, Rejection> {
    optional_id(bytes, field)?.ok_or_else(|| missing(field))
}

/// An id that may be empty.
///
/// # Errors
/// `REASON_BAD_ID`.
pub fn optional_id(bytes: &[u8], field: &str) -> Result<Option<Uuid>, Rejection> {
    if bytes.is_empty() {
        return Ok(None);
    }
    match Uuid::from_slice(bytes) {
        Ok(id) if !id.is_nil() => Ok(Some(id)),
        Ok(_) | Err(_) => Err(Rejection::new(Reason::BadId).field(field)),
    }
}

/// Ids of which none occurs twice.
///
/// # Errors
/// `REASON_REPEATED_ID`, with the id.
pub fn unique(ids: impl IntoIterator<Item = Uuid>, field: &str) -> Result<(), Rejection> {
    let mut seen = BTreeSet::new();
    for id in ids {
        if !seen.insert(id) {
            return Err(Rejection::new(Reason::RepeatedId).field(field).fact(None, "id", id));
        }
    }
    Ok(())
}

/// A text that may be empty, of at most `limit` characters.
///
/// # Errors
/// `REASON_TOO_LONG` with the limit, `REASON_NUL_CHARACTER`.
pub fn text(value: &str, limit: usize, field: &str) -> Result<(), Rejection> {
    if value.contains('\0') {
        return Err(Rejection::new(Reason::NulCharacter).field(field));
    }
    // A character has at least one byte, so that short texts need no counting.
    if value.len() > limit && value.chars().count() > limit {
        return Err(Rejection::new(Reason::TooLong).field(field).fact(None, "limit_characters", limit));
    }
    Ok(())
}

/// A text that says something.
///
/// # Errors
/// As [`text`]; `REASON_MISSING_FIELD` when it is blank.
pub fn required_text(value: &str, limit: usize, field: &str) -> Result<(), Rejection> {
    text(value, limit, field)?;
    if value.trim().is_empty() { Err(missing(field)) } else { Ok(()) }
}

/// A list of at most `limit` entries.
///
/// # Errors
/// `REASON_LIMIT_EXCEEDED`, with the limit.
pub fn count(entries: usize, limit: usize, field: &str) -> Result<(), Rejection> {
    if entries <= limit {
        return Ok(());
    }
    Err(Rejection::new(Reason::LimitExceeded).field(field).fact(None, "limit", limit))
}

/// A number in a range.
///
/// # Errors
/// `REASON_OUT_OF_RANGE`, with the range.
pub fn range<T>(value: T, range: RangeInclusive<T>, field: &str) -> Result<(), Rejection>
where
    T: PartialOrd + ToString,
{
    if range.contains(&value) {
        return Ok(());
    }
    Err(out_of_range(field).fact(None, "min", range.start().to_string()).fact(None, "max", range.end().to_string()))
}

/// A quantity above 0, in thousandths of the base unit.
///
/// # Errors
/// `REASON_OUT_OF_RANGE`.
pub fn quantity(milli: i64, field: &str) -> Result<(), Rejection> {
    range(milli, 1..=QUANTITY_MILLI, field)
}

/// A price or a sum that may be 0, in minor units.
///
/// # Errors
/// `REASON_OUT_OF_RANGE`.
pub fn money(minor: i64, field: &str) -> Result<(), Rejection> {
    range(minor, 0..=MONEY_MINOR, field)
}

/// A rate from 0 to 100 %, in basis points.
///
/// # Errors
/// `REASON_OUT_OF_RANGE`.
pub fn basis_points(value: i32, field: &str) -> Result<(), Rejection> {
    range(value, 0..=WHOLE_BP, field)
}

/// A day, or 0 for "not set".
///
/// # Errors
/// `REASON_OUT_OF_RANGE`.
pub fn optional_day(day: i32, field: &str) -> Result<(), Rejection> {
    range(day, 0..=*DAYS.end(), field)
}

/// A day that is set.
///
/// # Errors
/// `REASON_MISSING_FIELD`, `REASON_OUT_OF_RANGE`.
pub fn day(day: i32, field: &str) -> Result<(), Rejection> {
    if day == 0 { Err(missing(field)) } else { range(day, DAYS, field) }
}

/// A currency: three capital letters, as in ISO 4217.
///
/// # Errors
/// `REASON_MISSING_FIELD`, `REASON_OUT_OF_RANGE`.
pub fn currency(code: &str, field: &str) -> Result<(), Rejection> {
    if code.is_empty() {
        return Err(missing(field));
    }
    if code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Ok(());
    }
    Err(out_of_range(field))
}

/// A place on Earth, if one is given.
///
/// # Errors
/// `REASON_OUT_OF_RANGE`.
pub fn point(point: Option<&GeoPoint>, field: &str) -> Result<(), Rejection> {
    let Some(point) = point else { return Ok(()) };
    let inside =
        LATITUDE_E7.contains(&point.latitude_e7) && LONGITUDE_E7.contains(&point.longitude_e7) && point.accuracy_m >= 0;
    if inside { Ok(()) } else { Err(out_of_range(field)) }
}

/// An enum's value that is given and known.
///
/// # Errors
/// `REASON_UNKNOWN_VALUE`, with the number.
pub fn choice<E: TryFrom<i32> + Default + PartialEq>(number: i32, field: &str) -> Result<E, Rejection> {
    let value = optional_choice::<E>(number, field)?;
    if value == E::default() { Err(unknown(number, field)) } else { Ok(value) }
}

/// An enum's value that is known, or unspecified.
///
/// # Errors
/// `REASON_UNKNOWN_VALUE`, with the number.
pub fn optional_choice<E: TryFrom<i32>>(number: i32, field: &str) -> Result<E, Rejection> {
    E::try_from(number).map_err(|_| unknown(number, field))
}

/// Something required is missing.
#[must_use]
pub fn missing(field: &str) -> Rejection {
    Rejection::new(Reason::MissingField).field(field)
}

/// A value is not allowed.
#[must_use]
pub fn out_of_range(field: &str) -> Rejection {
    Rejection::new(Reason::OutOfRange).field(field)
}

/// Records or values don't belong together.
#[must_use]
pub fn mismatch(field: &str) -> Rejection {
    Rejection::new(Reason::Mismatch).field(field)
}

/// Says in which entry of a list the rejected field stands, counted from 0.
pub fn at(list: &'static str, index: usize) -> impl Fn(Rejection) -> Rejection {
    move |rejection| rejection.fact(None, list, index)
}

/// The bytes of an id that may be missing.
#[must_use]
pub fn bytes(id: Option<Uuid>) -> Vec<u8> {
    id.map_or_else(Vec::new, |id| id.as_bytes().to_vec())
}

fn unknown(number: i32, field: &str) -> Rejection {
    Rejection::new(Reason::UnknownValue).field(field).fact(None, "value", number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use roundsman_proto::trade::PaymentMethod;

    fn reason<T>(result: Result<T, Rejection>) -> Option<Reason> {
        result.err().map(|rejection| rejection.reason)
    }

    #[test]
    fn ids_are_16_bytes_and_not_nil() {
        assert_eq!(id(&[1; 16], "x"), Ok(Uuid::from_bytes([1; 16])));
        assert_eq!(reason(id(&[], "x")), Some(Reason::MissingField));
        assert_eq!(reason(id(&[1; 15], "x")), Some(Reason::BadId));
        assert_eq!(reason(optional_id(&[0; 16], "x")), Some(Reason::BadId));
        assert_eq!(optional_id(&[], "x"), Ok(None));
        assert_eq!(reason(unique([Uuid::from_u128(1), Uuid::from_u128(1)], "x")), Some(Reason::RepeatedId));
    }

    #[test]
    fn texts_are_counted_in_characters() {
        assert_eq!(text("жёлтый", 6, "x"), Ok(()));
        assert_eq!(reason(text("жёлтый!", 6, "x")), Some(Reason::TooLong));
        assert_eq!(reason(text("a\0", 6, "x")), Some(Reason::NulCharacter));
        assert_eq!(reason(required_text("  ", 6, "x")), Some(Reason::MissingField));
    }

    #[test]
    fn numbers_have_limits_and_the_field_is_named() {
        let rejection = quantity(0, "quantity_milli").expect_err("nothing is ordered");
        assert_eq!((rejection.reason, rejection.field.as_str()), (Reason::OutOfRange, "quantity_milli"));
        assert_eq!(reason(money(MONEY_MINOR + 1, "x")), Some(Reason::OutOfRange));
        assert_eq!(reason(basis_points(10_001, "x")), Some(Reason::OutOfRange));
        assert_eq!(reason(day(0, "x")), Some(Reason::MissingField));
        assert_eq!(reason(optional_day(-1, "x")), Some(Reason::OutOfRange));
        assert_eq!(reason(currency("eur", "x")), Some(Reason::OutOfRange));
        let off_earth = GeoPoint { latitude_e7: 900_000_001, ..GeoPoint::default() };
        assert_eq!(reason(point(Some(&off_earth), "x")), Some(Reason::OutOfRange));
    }

    #[test]
    fn enums_are_given_and_known() {
        assert_eq!(choice(1, "x"), Ok(PaymentMethod::Cash));
        assert_eq!(reason(choice::<PaymentMethod>(0, "x")), Some(Reason::UnknownValue));
        assert_eq!(reason(choice::<PaymentMethod>(99, "x")), Some(Reason::UnknownValue));
        assert_eq!(optional_choice(0, "x"), Ok(PaymentMethod::Unspecified));
    }
}
