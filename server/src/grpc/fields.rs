//! What every door asks of its request's fields. All that is wrong is told at once.

use std::ops::RangeInclusive;

use chrono_tz::Tz;
use roundsman_proto::trade::Reason;
use roundsman_sync::trade::check;
use tonic::Status;
use uuid::Uuid;

use super::status::{self, Violation};
use crate::auth::Secret;
use crate::calendar;

/// A page that does not say how long it may be.
const PAGE_DEFAULT: i64 = 100;
/// No page is longer.
const PAGE_LARGEST: i64 = 1_000;

/// Collects what is wrong with a request. A field that is wrong is replaced by something harmless until [`Fields::check`].
#[derive(Debug, Default)]
pub struct Fields(Vec<Violation>);

impl Fields {
    /// A field is wrong.
    pub fn wrong(&mut self, field: &str, reason: Reason, text: impl Into<String>) {
        self.0.push(Violation { field: field.to_owned(), reason, text: text.into() });
    }

    /// A text of so many characters, none of them a control character.
    pub fn text(&mut self, field: &str, value: String, chars: RangeInclusive<usize>) -> String {
        if value.contains('\0') {
            self.wrong(field, Reason::NulCharacter, "contains the character U+0000");
        } else if value.chars().any(char::is_control) {
            self.wrong(field, Reason::OutOfRange, "contains a control character");
        }
        self.length(field, &value, &chars);
        value
    }

    /// A password, token or code of so many characters.
    pub fn secret(&mut self, field: &str, value: String, chars: RangeInclusive<usize>) -> Secret {
        if value.contains('\0') {
            self.wrong(field, Reason::NulCharacter, "contains the character U+0000");
        }
        self.length(field, &value, &chars);
        Secret::new(value)
    }

    fn length(&mut self, field: &str, value: &str, chars: &RangeInclusive<usize>) {
        let (least, most) = (*chars.start(), *chars.end());
        // A text has at least a fourth as many characters as bytes: a huge one is not counted.
        if value.len() > 4 * most || value.chars().count() > most {
            self.wrong(field, Reason::TooLong, format!("has more than {most} characters"));
        } else if value.is_empty() && least > 0 {
            self.wrong(field, Reason::MissingField, "is missing");
        } else if value.chars().count() < least {
            self.wrong(field, Reason::OutOfRange, format!("has fewer than {least} characters"));
        }
    }

    /// A UUID that must be there.
    pub fn id(&mut self, field: &str, value: &[u8]) -> Uuid {
        if value.is_empty() {
            self.wrong(field, Reason::MissingField, "is missing");
        }
        self.optional_id(field, value).unwrap_or_default()
    }

    /// A UUID that may be missing.
    pub fn optional_id(&mut self, field: &str, value: &[u8]) -> Option<Uuid> {
        if value.is_empty() {
            return None;
        }
        let id = Uuid::from_slice(value).ok().filter(|id| !id.is_nil());
        if id.is_none() {
            self.wrong(field, Reason::BadId, "is no UUID of 16 bytes, or all zeros");
        }
        id
    }

    /// One of the values of an enum that may be missing.
    pub fn optional_choice<E: TryFrom<i32> + Default + PartialEq>(&mut self, field: &str, value: i32) -> Option<E> {
        match E::try_from(value) {
            Ok(choice) => Some(choice).filter(|choice| *choice != E::default()),
            Err(_) => {
                self.wrong(field, Reason::UnknownValue, "is unknown");
                None
            }
        }
    }

    /// A day that may be missing, in days since 1970-01-01.
    pub fn optional_day(&mut self, field: &str, value: i32) -> Option<i64> {
        if value < 0 {
            self.wrong(field, Reason::OutOfRange, "is negative");
        }
        Some(value.into()).filter(|_| value > 0)
    }

    /// From the start of one day on and before the end of another, in days since 1970-01-01, in microseconds since the Unix epoch.
    /// Each day may be missing, and so may their zone, which is UTC then.
    pub fn moments(&mut self, from_day: i32, through_day: i32, time_zone: &str) -> (i64, i64) {
        let mut known = |field: &str, day: i32| {
            let is_day = check::optional_day(day, field).is_ok();
            if !is_day {
                self.wrong(field, Reason::OutOfRange, "is no day");
            }
            if is_day { day } else { 0 }
        };
        let (from_day, through_day) = (known("from_day", from_day), known("through_day", through_day));
        let zone = self.zone("time_zone", time_zone);
        let start = |day: i32| calendar::start_of_day(zone, day);
        let from = if from_day == 0 { i64::MIN } else { start(from_day) };
        let before = if through_day == 0 { i64::MAX } else { start(through_day + 1) };
        (from, before)
    }

    /// A time zone by its name in the IANA database; UTC unless told.
    pub fn zone(&mut self, field: &str, name: &str) -> Tz {
        if name.is_empty() {
            return Tz::UTC;
        }
        calendar::zone(name).unwrap_or_else(|| {
            self.wrong(field, Reason::UnknownValue, "is no time zone");
            Tz::UTC
        })
    }

    /// How long a page may be: 100 unless told, 1,000 at most.
    pub fn page_size(&mut self, field: &str, value: i32) -> i64 {
        match value {
            0 => PAGE_DEFAULT,
            1.. => i64::from(value).min(PAGE_LARGEST),
            ..0 => {
                self.wrong(field, Reason::OutOfRange, "is negative");
                PAGE_DEFAULT
            }
        }
    }

    /// Where a page begins, as the page before has said; `None`: the first page.
    pub fn page_token(&mut self, field: &str, value: &str) -> Option<Vec<u8>> {
        if value.is_empty() {
            return None;
        }
        let token = hex::decode(value).ok();
        if token.is_none() {
            self.wrong_page_token(field);
        }
        token
    }

    /// No page before has said this.
    pub fn wrong_page_token(&mut self, field: &str) {
        self.wrong(field, Reason::OutOfRange, "comes from no page before");
    }

    /// Whether all was well.
    ///
    /// # Errors
    /// INVALID_ARGUMENT with all that is wrong.
    pub fn check(self) -> Result<(), Status> {
        if self.0.is_empty() { Ok(()) } else { Err(status::invalid(&self.0)) }
    }
}

/// The token of the page after this one.
#[must_use]
pub fn next_page(after: &[u8]) -> String {
    hex::encode(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reasons(fields: Fields) -> Vec<Reason> {
        fields.0.iter().map(|violation| violation.reason).collect()
    }

    fn text(value: &str, chars: RangeInclusive<usize>) -> Vec<Reason> {
        let mut fields = Fields::default();
        assert_eq!(fields.text("name", value.to_owned(), chars), value);
        reasons(fields)
    }

    #[test]
    fn texts_have_their_limits() {
        assert_eq!(text("", 0..=3), []);
        assert_eq!(text("", 1..=3), [Reason::MissingField]);
        assert_eq!(text("жжж", 1..=3), [], "characters are counted, not bytes");
        assert_eq!(text("жжжж", 1..=3), [Reason::TooLong]);
        assert_eq!(text("🦀🦀🦀", 1..=3), []);
        assert_eq!(text("abcd", 1..=3), [Reason::TooLong]);
        assert_eq!(text("a", 2..=3), [Reason::OutOfRange]);
        assert_eq!(text("a\0b", 1..=3), [Reason::NulCharacter]);
        assert_eq!(text("a\nb", 1..=3), [Reason::OutOfRange]);
        assert_eq!(text(&"\0".repeat(9), 1..=3), [Reason::NulCharacter, Reason::TooLong]);
    }

    #[test]
    fn secrets_have_their_limits_and_are_not_told() {
        let mut fields = Fields::default();
        fields.secret("password", "short".to_owned(), 12..=128);
        fields.secret("password", "\0".repeat(12), 12..=128);
        fields.secret("password", "long enough\n".to_owned(), 12..=128);
        let status = status::invalid(&fields.0);
        assert!(!format!("{status:?}").contains("short"), "{status:?}");
        assert_eq!(reasons(fields), [Reason::OutOfRange, Reason::NulCharacter]);
    }

    #[test]
    fn ids_have_16_bytes_and_are_not_nil() {
        let mut fields = Fields::default();
        let id = Uuid::from_u128(1);
        assert_eq!(fields.id("id", id.as_bytes()), id);
        assert_eq!(fields.optional_id("id", &[]), None);
        assert_eq!(reasons(fields), []);
        let mut fields = Fields::default();
        fields.id("id", &[]);
        fields.id("id", &[1; 15]);
        fields.id("id", &[0; 16]);
        assert_eq!(fields.optional_id("id", &[1; 17]), None);
        assert_eq!(reasons(fields), [Reason::MissingField, Reason::BadId, Reason::BadId, Reason::BadId]);
    }

    #[test]
    fn what_may_be_missing_is_known_or_refused() {
        use roundsman_proto::trade::OrderStatus;
        let mut fields = Fields::default();
        assert_eq!(fields.optional_choice::<OrderStatus>("status", 0), None);
        assert_eq!(fields.optional_choice("status", OrderStatus::Closed.into()), Some(OrderStatus::Closed));
        assert_eq!([0, 1].map(|day| fields.optional_day("day", day)), [None, Some(1)]);
        assert_eq!(reasons(fields), []);
        let mut fields = Fields::default();
        assert_eq!(fields.optional_choice::<OrderStatus>("status", 99), None);
        assert_eq!(fields.optional_day("day", -1), None);
        assert_eq!(reasons(fields), [Reason::UnknownValue, Reason::OutOfRange]);
    }

    #[test]
    fn days_are_those_of_a_zone() {
        let mut fields = Fields::default();
        assert_eq!(fields.moments(0, 0, ""), (i64::MIN, i64::MAX));
        assert_eq!(fields.moments(1, 1, ""), (86_400_000_000, 2 * 86_400_000_000));
        let helsinki = (20_780 * 86_400 - 7_200) * 1_000_000;
        assert_eq!(fields.moments(20_780, 0, "Europe/Helsinki"), (helsinki, i64::MAX));
        assert_eq!(reasons(fields), []);
        let mut fields = Fields::default();
        fields.moments(-1, i32::MAX, "Mars");
        assert_eq!(reasons(fields), [Reason::OutOfRange, Reason::OutOfRange, Reason::UnknownValue]);
    }

    #[test]
    fn pages_have_their_limits() {
        let mut fields = Fields::default();
        let sizes = [0, 1, 1_000, 1_001, i32::MAX].map(|size| fields.page_size("page_size", size));
        assert_eq!(sizes, [100, 1, 1_000, 1_000, 1_000]);
        assert_eq!(fields.page_token("page_token", ""), None);
        assert_eq!(fields.page_token("page_token", &next_page(b"anna")), Some(b"anna".to_vec()));
        assert_eq!(reasons(fields), []);
        let mut fields = Fields::default();
        fields.page_size("page_size", -1);
        fields.page_token("page_token", "xyz");
        assert_eq!(reasons(fields), [Reason::OutOfRange, Reason::OutOfRange]);
    }
}
