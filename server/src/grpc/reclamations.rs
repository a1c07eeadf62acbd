//! What the door of logistics is asked about reclamations: pages of them, and how many there are of what was delivered.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use chrono_tz::Tz;
use prost::Message as _;
use roundsman_proto::logistics as proto;
use roundsman_proto::trade::{Reason, Reclamation};
use roundsman_sync::trade::check;
use tonic::Status;
use uuid::Uuid;

use super::fields::Fields;
use super::paging::{Filter, List, Page};
use crate::calendar;
use crate::error::StoreError;
use crate::projection::{self, Claimed, Group, Grouping, ReclamationFilter, ReclamationKey};
use crate::store::sql::{Db, Tx};

impl List for ReclamationFilter {
    type Record = Reclamation;
    type Key = ReclamationKey;
    const START: ReclamationKey = (i64::MIN, i64::MIN, Uuid::nil());

    async fn keys(&self, tx: &mut Tx, tenant: i64, after: Self::Key, limit: i64) -> Result<Vec<Self::Key>, StoreError> {
        projection::reclamations(tx, tenant, self, after, limit).await
    }
}

/// A page of reclamations at a moment, in microseconds since the Unix epoch.
///
/// # Errors
/// INVALID_ARGUMENT with all that is wrong.
pub fn page(request: &proto::ListReclamationsRequest, now_us: i64) -> Result<Page<ReclamationFilter>, Status> {
    let mut fields = Fields::default();
    let list = ReclamationFilter {
        state: fields.optional_choice("state", request.state),
        cause: fields.optional_choice("cause", request.cause),
        department: fields.text("department", request.department.clone(), 0..=check::NAME_CHARS),
        outlet: fields.optional_id("outlet_id", &request.outlet_id).unwrap_or_default(),
        claim_cause: fields.optional_id("cause_id", &request.cause_id).unwrap_or_default(),
        due_by_us: request.overdue_only.then_some(now_us),
        by_due: request.by_due_day,
    };
    let asked = proto::ListReclamationsRequest { page_size: 0, page_token: String::new(), ..request.clone() };
    let filter = Filter::of("reclamations", &[&asked.encode_to_vec()]);
    Page::of(fields, list, filter, (&request.page_token, request.page_size))
}

/// A reclamation, as it is listed.
#[must_use]
pub fn listed((id, reclamation): (Uuid, Reclamation)) -> proto::ListedReclamation {
    proto::ListedReclamation { reclamation_id: id.as_bytes().to_vec(), reclamation: Some(reclamation) }
}

/// So many days are counted at most.
const DAYS: i32 = 92;

/// A range of days, checked.
#[derive(Debug)]
pub struct Range {
    by: Grouping,
    days: std::ops::RangeInclusive<i32>,
    zone: Tz,
    limit: usize,
}

impl Range {
    /// Checks a request.
    ///
    /// # Errors
    /// INVALID_ARGUMENT with all that is wrong.
    pub fn of(request: &proto::CountReclamationsRequest) -> Result<Self, Status> {
        let mut fields = Fields::default();
        let by = match proto::ReclamationGrouping::try_from(request.by) {
            Ok(proto::ReclamationGrouping::Product) => Grouping::Product,
            Ok(proto::ReclamationGrouping::Outlet) => Grouping::Outlet,
            Ok(proto::ReclamationGrouping::Cause) => Grouping::Cause,
            Ok(proto::ReclamationGrouping::Supplier) => Grouping::Supplier,
            Ok(proto::ReclamationGrouping::Driver) => Grouping::Driver,
            Ok(proto::ReclamationGrouping::Unspecified) | Err(_) => {
                fields.wrong("by", Reason::UnknownValue, "is missing or unknown");
                Grouping::Product
            }
        };
        let (from_day, to_day) = (request.from_day, request.to_day);
        if !check::DAYS.contains(&from_day) {
            fields.wrong("from_day", Reason::OutOfRange, "is no day");
        } else if !(from_day..from_day.saturating_add(DAYS)).contains(&to_day) {
            fields.wrong("to_day", Reason::OutOfRange, format!("is before the first day, or more than {DAYS} days on"));
        }
        let zone = fields.zone("time_zone", &request.time_zone);
        let limit = usize::try_from(fields.page_size("limit", request.limit)).unwrap_or_default();
        fields.check()?;
        Ok(Self { by, days: from_day..=to_day, zone, limit })
    }

    /// Counts day by day, so that no transaction is open for long.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn count(self, db: &Db, tenant: i64) -> Result<proto::CountReclamationsResponse, StoreError> {
        let moments = |day: i32| (calendar::start_of_day(self.zone, day), calendar::start_of_day(self.zone, day + 1));
        let mut groups: BTreeMap<Group, proto::ReclamationCount> = BTreeMap::new();
        for day in self.days.clone() {
            let mut tx = db.read().await?;
            for claimed in projection::claimed(&mut tx, tenant, self.by, moments(day)).await? {
                add(groups.entry(claimed.group.clone()).or_default(), &claimed);
            }
            tx.commit().await?;
        }
        let mut counts: Vec<(Group, proto::ReclamationCount)> = groups.into_iter().collect();
        counts.sort_by_key(|(_, count)| Reverse((count.reclamations, count.lines)));
        counts.truncate(self.limit);
        let places: BTreeMap<Group, usize> =
            counts.iter().enumerate().map(|(place, (group, _))| (group.clone(), place)).collect();
        for day in self.days.clone() {
            let mut tx = db.read().await?;
            for delivered in projection::delivered(&mut tx, tenant, self.by, moments(day)).await? {
                let of_group = match self.by {
                    // What was delivered was not delivered for a cause.
                    Grouping::Cause => 0..counts.len(),
                    Grouping::Product | Grouping::Outlet | Grouping::Supplier | Grouping::Driver => {
                        places.get(&delivered.group).map_or(0..0, |place| *place..*place + 1)
                    }
                };
                for (_, count) in &mut counts[of_group] {
                    count.delivered_lines = count.delivered_lines.saturating_add(delivered.lines);
                    count.delivered_milli = count.delivered_milli.saturating_add(delivered.milli);
                }
            }
            tx.commit().await?;
        }
        let named = counts.into_iter().map(|(group, count)| named(group, count));
        Ok(proto::CountReclamationsResponse { counts: named.collect() })
    }
}

fn add(count: &mut proto::ReclamationCount, claimed: &Claimed) {
    count.reclamations = count.reclamations.saturating_add(claimed.reclamations);
    count.cases = count.cases.saturating_add(claimed.cases);
    count.lines = count.lines.saturating_add(claimed.lines);
    count.claimed_milli = count.claimed_milli.saturating_add(claimed.claimed_milli);
    count.accepted_milli = count.accepted_milli.saturating_add(claimed.accepted_milli);
    if claimed.accepted_minor == 0 {
        return;
    }
    match count.accepted.iter_mut().find(|worth| worth.currency == claimed.currency) {
        Some(worth) => worth.accepted_minor = worth.accepted_minor.saturating_add(claimed.accepted_minor),
        None => count.accepted.push(proto::ReclamationWorth {
            currency: claimed.currency.clone(),
            accepted_minor: claimed.accepted_minor,
        }),
    }
}

fn named(group: Group, count: proto::ReclamationCount) -> proto::ReclamationCount {
    proto::ReclamationCount {
        id: if group.id.is_nil() { Vec::new() } else { group.id.as_bytes().to_vec() },
        cause: i32::try_from(group.cause).unwrap_or_default(),
        supplier: group.supplier,
        lines_per_mille: per_mille(count.lines, count.delivered_lines),
        ..count
    }
}

/// A thousand times a part of a whole, rounded half away from zero; nothing of nothing is 0.
fn per_mille(part: i64, whole: i64) -> i64 {
    let (part, whole) = (i128::from(part), i128::from(whole));
    if whole == 0 { 0 } else { i64::try_from((part * 2_000 + whole) / (2 * whole)).unwrap_or(i64::MAX) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_a_thousand_is_rounded() {
        assert_eq!(
            [(1, 3), (2, 3), (1, 2_000), (1, 2_001), (3, 0), (5, 2)].map(|(a, b)| per_mille(a, b)),
            [333, 667, 1, 0, 0, 2_500]
        );
    }

    #[test]
    fn a_range_has_days_and_not_too_many() {
        let request = |from_day, to_day, time_zone: &str| proto::CountReclamationsRequest {
            by: proto::ReclamationGrouping::Product.into(),
            from_day,
            to_day,
            time_zone: time_zone.to_owned(),
            limit: 0,
        };
        assert!(Range::of(&request(100, 191, "Europe/Helsinki")).is_ok());
        for wrong in [request(100, 192, ""), request(100, 99, ""), request(0, 1, ""), request(100, 100, "Mars")] {
            assert!(Range::of(&wrong).is_err(), "{wrong:?}");
        }
        assert!(Range::of(&proto::CountReclamationsRequest { by: 0, ..request(100, 100, "") }).is_err());
        assert!(Range::of(&proto::CountReclamationsRequest { limit: -1, ..request(100, 100, "") }).is_err());
    }
}
