//! How and when a command was captured, and by whom: what a rule knows beside the command itself.

use roundsman_proto::trade::{FactFlag, Reason};
use uuid::Uuid;

use super::check::DAYS;
use super::delivery::LocalTime;
use super::rejection::Rejection;

/// The business date of a command, by what the device says of it and the day of the moment of capture, in the calendar of
/// the outlet's territory. A device may count the hours after midnight to the day before, or live in another time zone: a
/// day more or less. Prices go by this date, so that a device must not choose it: any other date is none of that
/// capture, and the day of the capture counts instead.
#[must_use]
pub fn business_day(stated: i32, captured_day: i32) -> i32 {
    let around = captured_day.saturating_sub(1)..=captured_day.saturating_add(1);
    if around.contains(&stated) { stated } else { captured_day.clamp(*DAYS.start(), *DAYS.end()) }
}

/// The circumstances of a command. Moments are corrected ones, in microseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capture {
    /// When it was captured.
    pub captured_at_us: i64,
    /// When the server decides it.
    pub decided_at_us: i64,
    /// The business date; see [`business_day`].
    pub business_day: i32,
    /// The moment of the decision, in the calendar of the outlet's territory.
    pub now: LocalTime,
    /// The device's clock was off by more than the limit, or its business date was not that of the capture.
    pub clock_corrected: bool,
    /// The device is revoked, and an administrator let the command in.
    pub device_revoked: bool,
    /// By the rule of [`super::assignment`] the outlet was not, or is too long no more, the rep's.
    pub outside_assignment: bool,
    /// The command named an outlet that was archived as a duplicate.
    pub outlet_merged: bool,
    /// The user who issued it; nil: the server.
    pub by: Uuid,
}

impl Capture {
    /// Whether it arrived after its day had ended.
    #[must_use]
    pub fn late(&self) -> bool {
        self.now.day > self.business_day
    }

    /// The flags of a fact, in the order of their numbers.
    #[must_use]
    pub fn fact_flags(&self) -> Vec<i32> {
        let flags = [
            (self.late(), FactFlag::ReportedLate),
            (self.outside_assignment, FactFlag::OutsideAssignment),
            (self.clock_corrected, FactFlag::ClockCorrected),
            (self.device_revoked, FactFlag::DeviceRevoked),
            (self.outlet_merged, FactFlag::OutletMerged),
        ];
        flags.into_iter().filter(|(set, _)| *set).map(|(_, flag)| flag.into()).collect()
    }
}

/// Who edits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Editor {
    /// A rep, from a device.
    Rep(Uuid),
    /// The office, or the ERP.
    Office,
}

impl Editor {
    /// Refuses a rep who is not the one to whom the document belongs.
    ///
    /// # Errors
    /// `REASON_ROLE_NOT_ALLOWED`.
    pub fn may_touch(self, rep_id: &[u8]) -> Result<(), Rejection> {
        match self {
            Self::Office => Ok(()),
            Self::Rep(rep) if rep.as_bytes() == rep_id => Ok(()),
            Self::Rep(_) => Err(Rejection::new(Reason::RoleNotAllowed).field("rep_id")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_business_date_is_that_of_the_capture() {
        let days = [98, 99, 100, 101, 102].map(|stated| business_day(stated, 100));
        assert_eq!(days, [100, 99, 100, 101, 100], "the shift of a night, another time zone, and nothing beyond");
        assert_eq!(business_day(i32::MIN, i32::MAX), *DAYS.end());
        assert_eq!(business_day(20_000, -5), 1, "a clock that has lost the time");
    }

    #[test]
    fn flags_come_once_each_and_in_order() {
        assert!(Capture::default().fact_flags().is_empty());
        let all = Capture {
            business_day: 1,
            now: LocalTime { day: 2, second: 0 },
            clock_corrected: true,
            device_revoked: true,
            outside_assignment: true,
            outlet_merged: true,
            ..Capture::default()
        };
        assert_eq!(all.fact_flags(), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_document_belongs_to_its_rep_and_the_office() {
        let rep = Uuid::from_u128(1);
        assert!(Editor::Rep(rep).may_touch(rep.as_bytes()).is_ok());
        assert!(Editor::Rep(rep).may_touch(&[]).is_err());
        assert!(Editor::Office.may_touch(rep.as_bytes()).is_ok());
    }
}
