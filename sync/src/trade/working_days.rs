//! Working days: by which deadlines are counted, in the calendar of a territory.

use roundsman_proto::trade::Territory;

use super::check;
use super::delivery;
use super::rejection::Rejection;

/// Monday to Friday, as bits.
const USUAL: u32 = 0x1f;
/// The days of a week, as bits.
const WEEK: u32 = 0x7f;
/// A territory has at most so many holidays.
pub const HOLIDAYS: usize = 100;

/// On which days is worked.
#[derive(Clone, Copy, Debug)]
pub struct WorkingDays<'a> {
    weekdays: u32,
    holidays: &'a [i32],
}

impl<'a> WorkingDays<'a> {
    /// Those of a territory.
    #[must_use]
    pub fn of(territory: &'a Territory) -> Self {
        let weekdays = territory.working_weekdays & WEEK;
        Self { weekdays: if weekdays == 0 { USUAL } else { weekdays }, holidays: &territory.holidays }
    }

    /// Whether on a day is worked.
    #[must_use]
    pub fn contains(&self, day: i32) -> bool {
        delivery::is_among(self.weekdays, day) && !self.holidays.contains(&day)
    }

    /// The day that is so many working days after another; with none, that day itself.
    #[must_use]
    pub fn after(&self, day: i32, working_days: i32) -> i32 {
        let count = usize::try_from(working_days).unwrap_or(0);
        let working = (1..).map(|ahead| day.saturating_add(ahead)).filter(|ahead| self.contains(*ahead));
        working.take(count).last().unwrap_or(day)
    }
}

/// The form of a territory's calendar.
///
/// # Errors
/// `REASON_OUT_OF_RANGE`, `REASON_LIMIT_EXCEEDED`.
pub fn form(territory: &Territory) -> Result<(), Rejection> {
    check::range(territory.working_weekdays, 0..=WEEK, "working_weekdays")?;
    check::count(territory.holidays.len(), HOLIDAYS, "holidays")?;
    for day in &territory.holidays {
        check::day(*day, "holidays")?;
    }
    if territory.holidays.is_sorted_by(|day, next| day < next) { Ok(()) } else { Err(check::out_of_range("holidays")) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use roundsman_proto::trade::Reason;

    use super::*;

    /// Monday, 2026-11-30.
    const MONDAY: i32 = 20_787;

    fn territory(working_weekdays: u32, holidays: &[i32]) -> Territory {
        Territory {
            working_weekdays,
            holidays: holidays.iter().map(|day| MONDAY + day).collect(),
            ..Territory::default()
        }
    }

    fn after(territory: &Territory, day: i32, working_days: i32) -> i32 {
        WorkingDays::of(territory).after(MONDAY + day, working_days) - MONDAY
    }

    #[test]
    fn a_week_has_five_working_days_unless_something_else_is_said() {
        let usual = territory(0, &[]);
        assert_eq!([1, 4, 5, 6, 10].map(|days| after(&usual, 0, days)), [1, 4, 7, 8, 14]);
        assert_eq!([4, 5, 6].map(|day| after(&usual, day, 1)), [7, 7, 7], "Friday, Saturday and Sunday");
        assert_eq!(after(&usual, 5, 0), 5);
        let shop = territory(0b11_1111, &[]);
        assert_eq!([4, 5, 6].map(|day| after(&shop, day, 1)), [5, 7, 7]);
    }

    #[test]
    fn nobody_works_on_a_holiday() {
        let december = territory(0, &[1, 2, 5, 7]);
        assert_eq!([1, 2, 3].map(|days| after(&december, 0, days)), [3, 4, 8]);
    }

    #[test]
    fn an_impossible_calendar_is_refused() {
        let refused = |territory: &Territory| {
            let rejection = form(territory).expect_err("refused");
            (rejection.reason, rejection.field)
        };
        assert_eq!(form(&territory(127, &[1, 2])), Ok(()));
        assert_eq!(refused(&territory(128, &[])), (Reason::OutOfRange, "working_weekdays".to_owned()));
        for unordered in [&[2, 1][..], &[1, 1]] {
            assert_eq!(refused(&territory(0, unordered)), (Reason::OutOfRange, "holidays".to_owned()));
        }
        assert_eq!(refused(&territory(0, &[1 - MONDAY - 2])), (Reason::OutOfRange, "holidays".to_owned()));
        let many: Vec<i32> = (0..=100).collect();
        assert_eq!(refused(&territory(0, &many)).0, Reason::LimitExceeded);
    }

    proptest! {
        #[test]
        fn so_many_working_days_lie_between(
            weekdays in 0..=127_u32, holidays in proptest::collection::btree_set(0..60, 0..40), day in 0..30, count in 1..30,
        ) {
            let holidays: Vec<i32> = holidays.into_iter().collect();
            let territory = territory(weekdays, &holidays);
            let calendar = WorkingDays::of(&territory);
            let last = calendar.after(MONDAY + day, count);
            prop_assert!(calendar.contains(last));
            let between = (MONDAY + day + 1..=last).filter(|day| calendar.contains(*day)).count();
            prop_assert_eq!(i32::try_from(between), Ok(count));
        }

        #[test]
        fn a_longer_deadline_never_ends_earlier(weekdays in 0..=127_u32, day in 0..30, count in 0..60) {
            let territory = territory(weekdays, &[]);
            prop_assert!(after(&territory, day, count) < after(&territory, day, count + 1));
            prop_assert!(after(&territory, day, count) <= after(&territory, day + 1, count), "who files later");
        }
    }
}
