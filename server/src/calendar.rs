//! Days: each territory has a time zone, and a day is its day.

use chrono::{DateTime, Datelike as _, NaiveDate, TimeDelta, TimeZone as _, Timelike as _};
use chrono_tz::Tz;
use roundsman_sync::scope::Month;
use roundsman_sync::trade::delivery::LocalTime;

/// A zone by its IANA name; `None`: there is no such zone.
#[must_use]
pub fn zone(name: &str) -> Option<Tz> {
    name.parse().ok()
}

/// The day, in days since 1970-01-01, that a moment lies in.
#[must_use]
pub fn day(zone: Tz, at_us: i64) -> i32 {
    let moment = DateTime::from_timestamp_micros(at_us).unwrap_or_default();
    moment.with_timezone(&zone).num_days_from_ce() - NaiveDate::default().num_days_from_ce()
}

/// The day and the wall-clock time of a moment.
#[must_use]
pub fn local(zone: Tz, at_us: i64) -> LocalTime {
    let moment = DateTime::from_timestamp_micros(at_us).unwrap_or_default();
    let second = moment.with_timezone(&zone).num_seconds_from_midnight();
    LocalTime { day: day(zone, at_us), second: i32::try_from(second).unwrap_or(0) }
}

/// The month that a moment lies in.
#[must_use]
pub fn month(zone: Tz, at_us: i64) -> Month {
    Month::of_day(day(zone, at_us)).unwrap_or_default()
}

/// The first moment of a day, in microseconds since the Unix epoch. Where a change of the clocks skips midnight, the first
/// moment that there is.
#[must_use]
pub fn start_of_day(zone: Tz, day: i32) -> i64 {
    let date = NaiveDate::default().checked_add_signed(TimeDelta::days(day.into())).unwrap_or(NaiveDate::MAX);
    let midnight = date.and_time(chrono::NaiveTime::MIN);
    // A gap is at most a few hours long.
    (0..8)
        .map(|quarters| midnight + TimeDelta::minutes(30 * quarters))
        .find_map(|local| zone.from_local_datetime(&local).earliest())
        .map_or(i64::from(day) * 86_400_000_000, |moment| moment.timestamp_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_the_territorys_day() {
        let helsinki = zone("Europe/Helsinki").expect("a zone");
        let start = start_of_day(helsinki, 20_780);
        assert_eq!((day(helsinki, start), day(helsinki, start - 1)), (20_780, 20_779));
        assert_eq!(day(Tz::UTC, start), 20_779, "Helsinki is ahead");
        assert_eq!(local(helsinki, start + 3_600_000_000), LocalTime { day: 20_780, second: 3_600 });
        assert_eq!(month(helsinki, start).to_string(), "2026-11");
    }

    #[test]
    fn a_day_that_begins_late_begins_when_it_begins() {
        // In São Paulo the clocks went from 23:59:59 to 01:00:00 on 2018-11-04.
        let zone = zone("America/Sao_Paulo").expect("a zone");
        let start = start_of_day(zone, 17_839);
        assert_eq!((day(zone, start), day(zone, start - 1)), (17_839, 17_838));
    }
}
