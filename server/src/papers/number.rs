//! Numbers, money and days as people of a language write them.

use chrono::{Days, NaiveDate};
use roundsman_sync::trade::money::UNIT_MILLI;
use uuid::Uuid;

use super::words::Words;

/// Quantities and kilograms have at most so many decimals.
const DECIMALS: u32 = 3;
/// Currencies (ISO 4217) without a minor unit …
const NO_DECIMALS: [&str; 17] = [
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF",
    "XPF",
];
/// … with one of a thousandth …
const THREE_DECIMALS: [&str; 7] = ["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"];
/// … and of a ten-thousandth. All others have hundredths.
const FOUR_DECIMALS: [&str; 2] = ["CLF", "UYW"];

/// How many decimals sums of a currency have.
fn decimals(currency: &str) -> u32 {
    if NO_DECIMALS.contains(&currency) {
        0
    } else if THREE_DECIMALS.contains(&currency) {
        3
    } else if FOUR_DECIMALS.contains(&currency) {
        4
    } else {
        2
    }
}

impl Words {
    /// A number in units of which there are so many decimals, its thousands apart.
    fn decimal(&self, number: i128, decimals: u32) -> String {
        let unit = 10_u128.pow(decimals);
        let (whole, rest) = (number.unsigned_abs() / unit, number.unsigned_abs() % unit);
        let digits = whole.to_string();
        let mut text = String::from(if number < 0 { "−" } else { "" });
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                text.push(self.thousands);
            }
            text.push(digit);
        }
        if decimals > 0 {
            text.push(self.point);
            text.push_str(&format!("{rest:0width$}", width = decimals as usize));
        }
        text
    }

    /// As [`Words::decimal`], without zeros at the end.
    fn short_decimal(&self, number: i128, decimals: u32) -> String {
        let text = self.decimal(number, decimals);
        if decimals == 0 {
            return text;
        }
        text.trim_end_matches('0').trim_end_matches(self.point).to_owned()
    }

    /// A number of things.
    pub(super) fn count(&self, number: usize) -> String {
        self.decimal(number as i128, 0)
    }

    /// A quantity, in thousandths.
    pub(super) fn quantity(&self, milli: impl Into<i128>) -> String {
        self.short_decimal(milli.into(), DECIMALS)
    }

    /// A sum in minor units of a currency, without its name.
    pub(super) fn money(&self, minor: impl Into<i128>, currency: &str) -> String {
        self.decimal(minor.into(), decimals(currency))
    }

    /// A price: of more than one unit with the quantity that it is for.
    pub(super) fn price(&self, minor: i64, per_milli: i64, currency: &str) -> String {
        let price = self.money(minor, currency);
        if per_milli == UNIT_MILLI { price } else { format!("{price} / {}", self.quantity(per_milli)) }
    }

    /// A rate in basis points, as per cent.
    pub(super) fn rate(&self, bp: i32) -> String {
        format!("{}\u{A0}%", self.short_decimal(bp.into(), 2))
    }

    /// A weight in milligrams, in kilograms.
    pub(super) fn weight_mg(&self, mg: i128) -> String {
        self.weight_g(mg.saturating_add(500) / 1000)
    }

    /// A weight in grams, in kilograms.
    pub(super) fn weight_g(&self, grams: impl Into<i128>) -> String {
        format!("{}\u{A0}{}", self.short_decimal(grams.into(), DECIMALS), self.kilograms)
    }

    /// A day. Empty: it is not set, or beyond the calendar.
    pub(super) fn day(&self, day: i32) -> String {
        let date = u64::try_from(day).ok().filter(|day| *day > 0);
        let date = date.and_then(|day| NaiveDate::default().checked_add_days(Days::new(day)));
        date.map_or_else(String::new, |date| date.format(self.date).to_string())
    }

    /// From one wall-clock time to another, in seconds since 00:00.
    pub(super) fn hours(&self, (from_s, to_s): (i32, i32)) -> String {
        let clock = |second: i32| format!("{:02}:{:02}", second.max(0) / 3600, second.max(0) / 60 % 60);
        format!("{}–{}", clock(from_s), clock(to_s))
    }
}

/// The number by which people name a record: the end of its id, since ids of one day begin alike.
#[must_use]
pub fn short(id: Uuid) -> String {
    let id = id.simple().to_string().to_uppercase();
    format!("{}-{}", &id[24..28], &id[28..])
}

#[cfg(test)]
mod tests {
    use super::super::Language;
    use super::*;

    #[test]
    fn numbers_are_written_as_in_the_language() {
        let (english, russian) = (Language::English.words(), Language::Russian.words());
        assert_eq!(english.money(123_456_789, "EUR"), "1,234,567.89");
        assert_eq!(russian.money(123_456_789, "RUB"), "1\u{A0}234\u{A0}567,89");
        assert_eq!((english.money(-5, "EUR"), english.money(1_000, "JPY")), ("−0.05".into(), "1,000".into()));
        assert_eq!((english.money(1_234, "KWD"), english.money(0, "EUR")), ("1.234".into(), "0.00".into()));
        assert_eq!((russian.quantity(1_500), russian.quantity(12_000)), ("1,5".into(), "12".into()));
        assert_eq!((russian.quantity(10_000_000), english.quantity(0)), ("10\u{A0}000".into(), "0".into()));
        assert_eq!(english.price(999, 1_000, "EUR"), "9.99");
        assert_eq!(english.price(1_000, 12_000, "EUR"), "10.00 / 12");
        assert_eq!((english.rate(2_000), russian.rate(550)), ("20\u{A0}%".into(), "5,5\u{A0}%".into()));
        assert_eq!(
            (english.weight_mg(1_250_000), russian.weight_g(950)),
            ("1.25\u{A0}kg".into(), "0,95\u{A0}кг".into())
        );
    }

    #[test]
    fn days_and_hours_are_written_as_in_the_language() {
        let (english, russian) = (Language::English.words(), Language::Russian.words());
        assert_eq!((english.day(20_780), russian.day(20_780)), ("2026-11-23".into(), "23.11.2026".into()));
        assert_eq!(
            (english.day(0), english.day(-1), english.day(i32::MAX)),
            (String::new(), String::new(), String::new())
        );
        assert_eq!(
            (english.hours((32_400, 45_900)), english.hours((-1, 90_000))),
            ("09:00–12:45".into(), "00:00–25:00".into())
        );
    }

    #[test]
    fn a_short_number_is_the_end_of_the_id() {
        let id = Uuid::from_u128(0x0190_a1b2_c3d4_7e8f_9a0b_1c2d_3e4f_5061);
        assert_eq!(short(id), "3E4F-5061");
    }
}
