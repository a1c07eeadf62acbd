//! What the door of logistics is asked about reclamations: pages of them, and how many there are of what was delivered.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use chrono_tz::Tz;
use roundsman_proto::logistics as proto;
use roundsman_proto::trade::{Reason, Reclamation, ReclamationCause, ReclamationState};
use roundsman_sync::trade::check;
use tonic::Status;
use uuid::Uuid;

use super::fields::Fields;
use super::paging::{Filter, Listed, documents, key_of, read_key};
use crate::calendar;
use crate::error::StoreError;
use crate::projection::{self, Claimed, Group, Grouping, ReclamationFilter, ReclamationKey};
use crate::store::sql::Db;

/// A page of reclamations, checked.
#[derive(Debug)]
pub struct ReclamationPage {
    token: Filter,
    filter: ReclamationFilter,
    after: ReclamationKey,
    size: i64,
}

impl ReclamationPage {
    /// Checks a request at a moment, in microseconds since the Unix epoch.
    ///
    /// # Errors
    /// INVALID_ARGUMENT with all that is wrong.
    pub fn of(request: &proto::ListReclamationsRequest, now_us: i64) -> Result<Self, Status> {
        let mut fields = Fields::default();
        let state = match ReclamationState::try_from(request.state) {
            Ok(ReclamationState::Unspecified) => None,
            Ok(state) => Some(state),
            Err(_) => {
                fields.wrong("state", Reason::UnknownValue, "is unknown");
                None
            }
        };
        let cause = match ReclamationCause::try_from(request.cause) {
            Ok(ReclamationCause::Unspecified) => None,
            Ok(cause) => Some(cause),
            Err(_) => {
                fields.wrong("cause", Reason::UnknownValue, "is unknown");
                None
            }
        };
        let department = fields.text("department", request.department.clone(), 0..=check::NAME_CHARS);
        let outlet = fields.optional_id("outlet_id", &request.outlet_id).unwrap_or_default();
        let claim_cause = fields.optional_id("cause_id", &request.cause_id).unwrap_or_default();
        let numbers = [request.state, request.cause, i32::from(request.overdue_only), i32::from(request.by_due_day)];
        let numbers: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
        let values = [&numbers[..], request.department.as_bytes(), &request.outlet_id, &request.cause_id];
        let token = Filter::of("reclamations", &values);
        let after = token.after(&mut fields, &request.page_token).map(read_reclamation_key);
        let size = fields.page_size("page_size", request.page_size);
        fields.check()?;
        let due_by_us = request.overdue_only.then_some(now_us);
        let by_due = request.by_due_day;
        let filter = ReclamationFilter { state, department, outlet, cause, claim_cause, due_by_us, by_due };
        Ok(Self { token, filter, after: after.unwrap_or((i64::MIN, i64::MIN, Uuid::nil())), size })
    }

    /// Reads it.
    ///
    /// # Errors
    /// When the database does not answer, or a document can't be read.
    pub async fn read(&self, db: &Db, tenant: i64) -> Result<proto::ListReclamationsResponse, StoreError> {
        let mut tx = db.read().await?;
        let keys = projection::reclamations(&mut tx, tenant, &self.filter, self.after, self.size + 1).await?;
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        let ids: Vec<Uuid> = keys.iter().take(size).map(|(.., id)| *id).collect();
        let Listed { documents, covered } = documents::<Reclamation>(&mut tx, tenant, &ids).await?;
        tx.commit().await?;
        let last = keys[..covered].last().filter(|_| covered < keys.len());
        let reclamations = documents.into_iter().map(|(id, reclamation)| proto::ListedReclamation {
            reclamation_id: id.as_bytes().to_vec(),
            reclamation: Some(reclamation),
        });
        Ok(proto::ListReclamationsResponse {
            reclamations: reclamations.collect(),
            next_page_token: last.map_or_else(String::new, |last| self.token.token(reclamation_key(last))),
        })
    }
}

fn reclamation_key((first, filed_at, id): &ReclamationKey) -> [u8; 32] {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&first.to_be_bytes());
    key[8..].copy_from_slice(&key_of(&(*filed_at, *id)));
    key
}

fn read_reclamation_key(key: [u8; 32]) -> ReclamationKey {
    let (first, rest) = key.split_at(8);
    let (filed_at, id) = rest.try_into().map_or((i64::MAX, Uuid::max()), read_key);
    (first.try_into().map_or(i64::MAX, i64::from_be_bytes), filed_at, id)
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
        let name = if request.time_zone.is_empty() { "UTC" } else { request.time_zone.as_str() };
        let zone = calendar::zone(name).unwrap_or_else(|| {
            fields.wrong("time_zone", Reason::UnknownValue, "is no time zone");
            Tz::UTC
        });
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
                    Grouping::Product | Grouping::Outlet | Grouping::Supplier => {
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
