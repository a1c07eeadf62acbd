//! What is due: a pure function of the moment and of how far a territory's calendar has been carried out. A server that
//! was away for days finds here what it missed.

use chrono_tz::Tz;
use prost::Message as _;
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::{
    self, AdvanceHorizon, AllocateStock, ApplyAssignments, EscalateClaims, MarkMissedVisits, PlanVisits,
    RestampRecords, TurnMonth,
};
use roundsman_sync::scope::Month;
use uuid::Uuid;

use crate::internal::server_id;

use crate::calendar;
use crate::internal::{AllocationDue, Restamping, TerritoryCalendar};

/// So many days are planned: today and the next ones.
pub const PLANNED_DAYS: i32 = 7;

/// How far a territory is.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The territory.
    pub territory: Uuid,
    /// Its time zone.
    pub zone: Tz,
    /// What has been carried out.
    pub calendar: TerritoryCalendar,
    /// The months of closed documents that its holders are granted.
    pub months: Vec<Month>,
}

/// Something to be done. Days are counted from 1970-01-01.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// Assignments begin and end with a day.
    ApplyAssignments {
        /// Where.
        territory: Uuid,
        /// The day that has begun.
        day: i32,
    },
    /// Visits of a day that has ended are marked as missed.
    MarkMissed {
        /// Where.
        territory: Uuid,
        /// The day.
        day: i32,
    },
    /// The visits of a day are planned.
    PlanVisits {
        /// Where.
        territory: Uuid,
        /// The day.
        day: i32,
        /// The revision of routes and assignments that the plan is to know.
        revision: i64,
    },
    /// A month is opened.
    TurnMonth {
        /// Where.
        territory: Uuid,
        /// The month.
        month: Month,
    },
    /// Records are placed anew, where a command left that to be done.
    Restamp(Restamping),
    /// Orders that wait for scarce goods are asked again.
    AllocateStock(AllocationDue),
    /// Others are told of reclamations that are overdue, each since when.
    EscalateClaims(Vec<(i64, Uuid)>),
    /// Old deletions are forgotten.
    AdvanceHorizon {
        /// Up to this version.
        horizon: i64,
    },
}

/// One command that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// What is to be done.
    pub work: Work,
    /// The day on which it is issued. What could not be done is tried again a day later.
    pub due_day: i32,
    /// Go on after this record.
    pub after: Option<Uuid>,
}

impl Job {
    /// From the beginning.
    #[must_use]
    pub fn new(work: Work, due_day: i32) -> Self {
        Self { work, due_day, after: None }
    }

    /// The same, after a record.
    #[must_use]
    pub fn after(&self, record: Uuid) -> Self {
        Self { after: Some(record), ..self.clone() }
    }

    /// A name for logs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match &self.work {
            Work::ApplyAssignments { .. } => "apply_assignments",
            Work::MarkMissed { .. } => "mark_missed_visits",
            Work::PlanVisits { .. } => "plan_visits",
            Work::TurnMonth { .. } => "turn_month",
            Work::Restamp(_) => "restamp_records",
            Work::AllocateStock(_) => "allocate_stock",
            Work::EscalateClaims(_) => "escalate_claims",
            Work::AdvanceHorizon { .. } => "advance_horizon",
        }
    }

    /// The command's id: the same on every server and after every restart, so that it is done once.
    #[must_use]
    pub fn id(&self) -> Uuid {
        let subject = match &self.work {
            Work::ApplyAssignments { territory, day } | Work::MarkMissed { territory, day } => {
                format!("{territory} {day}")
            }
            Work::PlanVisits { territory, day, revision } => format!("{territory} {day} {revision}"),
            Work::TurnMonth { territory, month } => format!("{territory} {month}"),
            // Where it begins is a part of the note, and rises.
            Work::Restamp(note) => format!("{:?} {:?} {}", note.source_id, note.after, note.since_us),
            Work::AllocateStock(due) => {
                let AllocationDue { warehouse_id, product_id, at_us, after, since_us, .. } = due;
                format!("{warehouse_id:?} {product_id:?} {at_us} {after:?} {since_us}")
            }
            Work::EscalateClaims(overdue) => format!("{overdue:?}"),
            Work::AdvanceHorizon { .. } => String::new(),
        };
        let after = self.after.unwrap_or_default();
        let name = format!("{} {subject} {} {after}", self.name(), self.due_day);
        // Not one that a device could have used up before.
        server_id(&name)
    }

    /// The command's body.
    #[must_use]
    pub fn body(&self) -> bytes::Bytes {
        let id = |id: &Uuid| id.as_bytes().to_vec();
        let after = self.after.as_ref().map(id);
        let command = match &self.work {
            Work::ApplyAssignments { territory, day } => {
                Command::ApplyAssignments(ApplyAssignments { territory_id: id(territory), day: *day })
            }
            Work::MarkMissed { territory, day } => Command::MarkMissedVisits(MarkMissedVisits {
                territory_id: id(territory),
                day: *day,
                after_visit_id: after.unwrap_or_default(),
            }),
            Work::PlanVisits { territory, day, .. } => Command::PlanVisits(PlanVisits {
                territory_id: id(territory),
                day: *day,
                after_visit_id: after.unwrap_or_default(),
            }),
            Work::TurnMonth { territory, month } => {
                let (year, month) = (month.number().div_euclid(12), month.number().rem_euclid(12) + 1);
                Command::TurnMonth(TurnMonth { territory_id: id(territory), month: year * 100 + month })
            }
            Work::Restamp(note) => Command::RestampRecords(RestampRecords {
                source_kind: note.source_kind,
                source_id: note.source_id.clone(),
                after_record_id: after.unwrap_or_else(|| note.after.clone()),
            }),
            Work::AllocateStock(due) => Command::AllocateStock(AllocateStock {
                warehouse_id: due.warehouse_id.clone(),
                product_id: due.product_id.clone(),
                at_us: due.at_us,
                after_order_id: after
                    .or_else(|| due.after.as_ref().map(|order| order.order_id.clone()))
                    .unwrap_or_default(),
            }),
            Work::EscalateClaims(overdue) => Command::EscalateClaims(EscalateClaims {
                reclamation_ids: overdue.iter().map(|(_, reclamation)| id(reclamation)).collect(),
            }),
            Work::AdvanceHorizon { horizon } => Command::AdvanceHorizon(AdvanceHorizon { horizon: *horizon }),
        };
        trade::Command { command: Some(command) }.encode_to_vec().into()
    }
}

/// What is due in a territory at a moment (in microseconds since the Unix epoch), in the order in which it is to be done:
/// who works where comes before the visits that are planned for them.
#[must_use]
pub fn due(now_us: i64, standing: &Standing) -> Vec<Job> {
    let Standing { territory, zone, calendar, months } = standing;
    let territory = *territory;
    let today = calendar::day(*zone, now_us);
    let mut work = Vec::new();
    // A day early: what is closed in the first minute of a month reaches devices that hold the month.
    let month = Month::of_day(today.saturating_add(1)).unwrap_or_default();
    if !months.contains(&month) {
        work.push(Work::TurnMonth { territory, month });
    }
    if calendar.applied_day < today {
        work.push(Work::ApplyAssignments { territory, day: today });
    }
    let ended = calendar.days.iter().map(|planned| planned.day).filter(|day| *day < today);
    work.extend(ended.map(|day| Work::MarkMissed { territory, day }));
    let revision = calendar.revision;
    let days = (0..PLANNED_DAYS).map(|ahead| today.saturating_add(ahead)).filter(|day| {
        let known = calendar.planned(*day);
        !known.is_some_and(|planned| planned.planned_on >= today && planned.revision == revision)
    });
    work.extend(days.map(|day| Work::PlanVisits { territory, day, revision }));
    work.into_iter().map(|work| Job::new(work, today)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::internal::PlannedDay;

    const NORTH: Uuid = Uuid::from_u128(1);
    /// Monday, 2026-11-30.
    const TODAY: i32 = 20_787;
    const HOUR_US: i64 = 3_600_000_000;

    fn standing(days: std::ops::Range<i32>) -> Standing {
        let days = days.map(|day| PlannedDay { day, planned_on: TODAY, revision: 3 }).collect();
        Standing {
            territory: NORTH,
            zone: calendar::zone("Europe/Helsinki").expect("a zone"),
            calendar: TerritoryCalendar { days, revision: 3, applied_day: TODAY, month: 0 },
            months: vec![Month::new(2026, 11).expect("a month"), Month::new(2026, 12).expect("a month")],
        }
    }

    fn at(standing: &Standing, hour: i64) -> Vec<Work> {
        let now_us = calendar::start_of_day(standing.zone, TODAY) + hour * HOUR_US;
        due(now_us, standing).into_iter().map(|job| job.work).collect()
    }

    #[test]
    fn nothing_is_due_twice() {
        assert_eq!(at(&standing(TODAY..TODAY + PLANNED_DAYS), 0), []);
        assert_eq!(at(&standing(TODAY..TODAY + PLANNED_DAYS), 23), []);
    }

    #[test]
    fn a_new_day_applies_assignments_marks_what_was_missed_and_plans() {
        let standing = standing(TODAY - 1..TODAY + PLANNED_DAYS);
        let before = Standing { months: vec![Month::new(2026, 11).expect("a month")], ..standing.clone() };
        let mut expected = vec![
            Work::TurnMonth { territory: NORTH, month: Month::new(2026, 12).expect("a month") },
            Work::MarkMissed { territory: NORTH, day: TODAY - 1 },
        ];
        assert_eq!(at(&before, 0), expected);
        // A day later, by the territory's clock, and not a moment before.
        let tomorrow = at(&standing, 24);
        expected = vec![
            Work::ApplyAssignments { territory: NORTH, day: TODAY + 1 },
            Work::MarkMissed { territory: NORTH, day: TODAY - 1 },
            Work::MarkMissed { territory: NORTH, day: TODAY },
        ];
        let plans =
            (1..=PLANNED_DAYS).map(|ahead| Work::PlanVisits { territory: NORTH, day: TODAY + ahead, revision: 3 });
        expected.extend(plans);
        assert_eq!(tomorrow, expected);
    }

    #[test]
    fn a_changed_route_is_planned_anew() {
        let mut changed = standing(TODAY..TODAY + PLANNED_DAYS);
        changed.calendar.revision = 4;
        let work = at(&changed, 12);
        assert_eq!(work.len(), usize::try_from(PLANNED_DAYS).expect("a few"));
        assert_eq!(work.first(), Some(&Work::PlanVisits { territory: NORTH, day: TODAY, revision: 4 }));
    }

    #[test]
    fn the_same_job_has_the_same_id_everywhere_and_another_one_another() {
        let plan = |day, revision| Work::PlanVisits { territory: NORTH, day, revision };
        let first = Job::new(plan(TODAY, 3), TODAY);
        assert_eq!(first.id(), Job::new(plan(TODAY, 3), TODAY).id());
        let others = [
            Job::new(plan(TODAY + 1, 3), TODAY),
            Job::new(plan(TODAY, 4), TODAY),
            Job::new(plan(TODAY, 3), TODAY + 1),
            first.after(NORTH),
            Job::new(Work::MarkMissed { territory: NORTH, day: TODAY }, TODAY),
            Job::new(Work::ApplyAssignments { territory: NORTH, day: TODAY }, TODAY),
        ];
        for (index, other) in others.iter().enumerate() {
            assert_ne!(first.id(), other.id(), "{index}");
        }
        let told = |at_us| Job::new(Work::EscalateClaims(vec![(at_us, NORTH)]), TODAY);
        assert_eq!(told(5).id(), told(5).id());
        assert_ne!(told(5).id(), told(6).id(), "it is overdue again");
        let month = Month::new(2026, 12).expect("a month");
        let body = Job::new(Work::TurnMonth { territory: NORTH, month }, TODAY).body();
        let Some(Command::TurnMonth(turn)) = trade::Command::decode(body).expect("a command").command else {
            panic!("another command")
        };
        assert_eq!(turn.month, 202_612);
    }
}
