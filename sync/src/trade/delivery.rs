//! The day of delivery, by an agreement's calendar: weekdays, the time that goods need, and the time of day until which an
//! order counts as one of that day.

use roundsman_proto::trade::{Agreement, Order};

use super::check;
use super::rejection::Rejection;

/// Goods may need so many days at most.
const LEAD_DAYS: i32 = 366;
/// The days of a week, as bits.
const WEEK: u32 = 0x7f;

/// A moment in the territory of an outlet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LocalTime {
    /// The day, in days since 1970-01-01.
    pub day: i32,
    /// The wall-clock time, in seconds since 00:00.
    pub second: i32,
}

/// The form of an agreement's calendar.
///
/// # Errors
/// `REASON_OUT_OF_RANGE`.
pub fn calendar_form(agreement: &Agreement) -> Result<(), Rejection> {
    check::range(agreement.delivery_weekdays, 0..=WEEK, "delivery_weekdays")?;
    check::range(agreement.cut_off_s, 0..=check::DAY_S, "cut_off_s")?;
    check::range(agreement.delivery_lead_days, 0..=LEAD_DAYS, "delivery_lead_days")
}

/// The day for which an order of `order_day` can be promised if it is decided at `now`, when the customer wants it on
/// `wanted_day` (0: as soon as possible). An order of a coming day is not late. 0: as soon as possible, where the agreement
/// has no calendar.
#[must_use]
pub fn promised_day(agreement: &Agreement, order_day: i32, wanted_day: i32, now: LocalTime) -> i32 {
    let Agreement { delivery_weekdays, cut_off_s, delivery_lead_days, .. } = *agreement;
    let weekdays = delivery_weekdays & WEEK;
    if weekdays == 0 && cut_off_s <= 0 && delivery_lead_days <= 0 {
        // A day that has gone by is no promise any more.
        return if wanted_day == 0 { 0 } else { wanted_day.max(now.day) };
    }
    let late = order_day <= now.day && cut_off_s > 0 && now.second >= cut_off_s;
    let ready =
        order_day.max(now.day).saturating_add(delivery_lead_days.clamp(0, LEAD_DAYS)).saturating_add(late.into());
    let first = ready.max(wanted_day);
    (0..7).map(|days| first.saturating_add(days)).find(|day| weekdays == 0 || is_among(weekdays, *day)).unwrap_or(first)
}

/// The day on which an order is due: the promised one; the wanted one of an order that was decided elsewhere. 0: as soon as
/// possible.
#[must_use]
pub fn due_day(order: &Order) -> i32 {
    if order.promised_day == 0 { order.delivery_day } else { order.promised_day }
}

/// Whether a day, in days since 1970-01-01, is one of these weekdays: bits, 1 is Monday, 64 Sunday.
#[must_use]
pub fn is_among(weekdays: u32, day: i32) -> bool {
    // 1970-01-01 was a Thursday.
    let since_monday = (i64::from(day) + 3).rem_euclid(7);
    weekdays >> since_monday & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Monday, 2026-11-30.
    const MONDAY: i32 = 20_787;
    const HOUR: i32 = 3_600;

    fn agreement(delivery_weekdays: u32, cut_off_s: i32, delivery_lead_days: i32) -> Agreement {
        Agreement { delivery_weekdays, cut_off_s, delivery_lead_days, ..Agreement::default() }
    }

    fn at(day: i32, second: i32) -> LocalTime {
        LocalTime { day, second }
    }

    #[test]
    fn goods_come_on_the_agreed_weekdays() {
        let wednesday_and_saturday = agreement(4 + 32, 0, 0);
        let promised = |wanted| promised_day(&wednesday_and_saturday, MONDAY, wanted, at(MONDAY, 0)) - MONDAY;
        assert_eq!([0, MONDAY + 1, MONDAY + 2, MONDAY + 3, MONDAY + 6].map(promised), [2, 2, 2, 5, 9]);
    }

    #[test]
    fn after_the_cut_off_it_is_an_order_of_the_next_day() {
        let next_day = agreement(0, 15 * HOUR, 1);
        let promised = |second| promised_day(&next_day, MONDAY, 0, at(MONDAY, second)) - MONDAY;
        assert_eq!([0, 15 * HOUR - 1, 15 * HOUR, 86_399].map(promised), [1, 1, 2, 2]);
        assert_eq!(promised_day(&next_day, MONDAY + 3, 0, at(MONDAY, 86_399)), MONDAY + 4, "of a coming day");
        assert_eq!(promised_day(&next_day, MONDAY, 0, at(MONDAY + 4, 0)), MONDAY + 5, "decided days later");
    }

    #[test]
    fn without_a_calendar_the_wanted_day_is_promised() {
        let none = agreement(0, 0, 0);
        assert_eq!(promised_day(&none, MONDAY, 0, at(MONDAY, 0)), 0);
        assert_eq!(promised_day(&none, MONDAY, MONDAY + 2, at(MONDAY, 0)), MONDAY + 2);
        assert_eq!(promised_day(&none, MONDAY, MONDAY + 2, at(MONDAY + 5, 0)), MONDAY + 5, "that day has gone by");
    }

    #[test]
    fn an_impossible_calendar_is_refused() {
        let field = |agreement| calendar_form(&agreement).expect_err("refused").field;
        assert_eq!(field(agreement(128, 0, 0)), "delivery_weekdays");
        assert_eq!(field(agreement(0, 86_401, 0)), "cut_off_s");
        assert_eq!(field(agreement(0, 0, -1)), "delivery_lead_days");
        assert_eq!(calendar_form(&agreement(127, 86_400, 366)), Ok(()));
    }

    proptest! {
        #[test]
        fn what_is_promised_is_the_first_day_that_is_possible(
            weekdays in 0..=127_u32, cut_off in 0..=86_400, lead in 0..20, order in 0..30, wanted in 0..40, day in 0..30, second in 0..86_400,
        ) {
            let agreement = agreement(weekdays, cut_off, lead);
            let [order_day, today] = [order, day].map(|days| MONDAY + days);
            let wanted_day = if wanted == 0 { 0 } else { MONDAY + wanted };
            let promised = promised_day(&agreement, order_day, wanted_day, at(today, second));
            let late = i32::from(order_day <= today && cut_off > 0 && second >= cut_off);
            let possible = |day: i32| {
                day >= wanted_day && day >= order_day.max(today) + lead + late && (weekdays == 0 || is_among(weekdays, day))
            };
            if weekdays != 0 || cut_off != 0 || lead != 0 {
                prop_assert!(possible(promised) && (MONDAY..promised).all(|day| !possible(day)));
            }
        }
    }
}
