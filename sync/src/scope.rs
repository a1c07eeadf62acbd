//! Scopes: the groups of records that are handed out together. A bucket is one scope's records of one kind.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;
use uuid::Uuid;

/// A month of a calendar, ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Month(i32);

impl Default for Month {
    /// The first one that there is.
    fn default() -> Self {
        Self(1970 * 12)
    }
}

impl Month {
    /// January is 1.
    #[must_use]
    pub fn new(year: i32, month: u32) -> Option<Self> {
        let month = i32::try_from(month).ok().filter(|month| (1..=12).contains(month))?;
        (1970..=9999).contains(&year).then_some(Self(year * 12 + month - 1))
    }

    /// From a stored number; see [`Month::number`].
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        Self::new(number.div_euclid(12), number.rem_euclid(12).unsigned_abs() + 1)
    }

    /// The month that a day lies in; days are counted from 1970-01-01.
    #[must_use]
    pub fn of_day(day: i32) -> Option<Self> {
        let (year, month) = civil(day);
        Self::new(year, month)
    }

    /// Year × 12 + month − 1.
    #[must_use]
    pub fn number(self) -> i32 {
        self.0
    }

    /// So many months later.
    #[must_use]
    pub fn plus(self, months: i32) -> Self {
        Self(self.0.saturating_add(months).clamp(1970 * 12, 9999 * 12 + 11))
    }
}

/// Year and month of a day, by the proleptic Gregorian calendar (the "days to civil" method: 400-year eras that begin
/// with March, so that the leap day is the last day of a year).
fn civil(day: i32) -> (i32, u32) {
    let shifted = i64::from(day) + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (i32::try_from(year).unwrap_or(i32::MAX), u32::try_from(month).unwrap_or(1))
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.0.div_euclid(12), self.0.rem_euclid(12) + 1)
    }
}

/// A group of records that are handed out together. Its text form is the one in the store and on the wire.
///
/// ```
/// use roundsman_sync::scope::Scope;
/// let scope: Scope = "territory:00000000-0000-0000-0000-000000000007/2026-11".parse().unwrap();
/// assert!(matches!(scope, Scope::TerritoryMonth(id, _) if id.as_u128() == 7));
/// assert_eq!(scope.to_string(), "territory:00000000-0000-0000-0000-000000000007/2026-11");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// What every user of the tenant holds.
    Tenant,
    /// What all supervisors hold.
    Supervision,
    /// A territory: its outlets and what is open with them.
    Territory(Uuid),
    /// What was closed in a territory in a month.
    TerritoryMonth(Uuid, Month),
    /// A price list's prices.
    PriceList(Uuid),
    /// A warehouse's stock.
    Warehouse(Uuid),
    /// A customer that buys in so many territories that its records are not copied into each.
    Customer(Uuid),
    /// What is a rep's own.
    Rep(Uuid),
    /// What is a team's own.
    Team(Uuid),
    /// A trip with what it brings.
    Trip(Uuid),
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tenant => f.write_str("tenant"),
            Self::Supervision => f.write_str("supervision"),
            Self::Territory(id) => write!(f, "territory:{id}"),
            Self::TerritoryMonth(id, month) => write!(f, "territory:{id}/{month}"),
            Self::PriceList(id) => write!(f, "price_list:{id}"),
            Self::Warehouse(id) => write!(f, "warehouse:{id}"),
            Self::Customer(id) => write!(f, "customer:{id}"),
            Self::Rep(id) => write!(f, "rep:{id}"),
            Self::Team(id) => write!(f, "team:{id}"),
            Self::Trip(id) => write!(f, "trip:{id}"),
        }
    }
}

/// A text that names no scope.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("`{0}` is not a scope")]
pub struct NotAScope(String);

impl FromStr for Scope {
    type Err = NotAScope;

    fn from_str(text: &str) -> Result<Self, NotAScope> {
        parse(text).ok_or_else(|| NotAScope(text.chars().take(100).collect()))
    }
}

fn parse(text: &str) -> Option<Scope> {
    let Some((group, rest)) = text.split_once(':') else {
        return match text {
            "tenant" => Some(Scope::Tenant),
            "supervision" => Some(Scope::Supervision),
            _ => None,
        };
    };
    if let Some((id, month)) = rest.split_once('/') {
        let (year, month) = month.split_once('-')?;
        let month = Month::new(year.parse().ok()?, month.parse().ok()?)?;
        return (group == "territory").then_some(Scope::TerritoryMonth(id.parse().ok()?, month));
    }
    let id = rest.parse().ok()?;
    match group {
        "territory" => Some(Scope::Territory(id)),
        "price_list" => Some(Scope::PriceList(id)),
        "warehouse" => Some(Scope::Warehouse(id)),
        "customer" => Some(Scope::Customer(id)),
        "rep" => Some(Scope::Rep(id)),
        "team" => Some(Scope::Team(id)),
        "trip" => Some(Scope::Trip(id)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scope_comes_back_from_its_text() {
        let id = Uuid::from_u128(7);
        let month = Month::new(2026, 2).expect("a month");
        for scope in [
            Scope::Tenant,
            Scope::Supervision,
            Scope::Territory(id),
            Scope::TerritoryMonth(id, month),
            Scope::PriceList(id),
            Scope::Warehouse(id),
            Scope::Customer(id),
            Scope::Rep(id),
            Scope::Team(id),
            Scope::Trip(id),
        ] {
            assert_eq!(scope.to_string().parse(), Ok(scope));
        }
        assert!("territory".parse::<Scope>().is_err());
        assert!("rep:00000000-0000-0000-0000-000000000007/2026-01".parse::<Scope>().is_err());
    }

    #[test]
    fn days_fall_into_their_months() {
        let month = |day| Month::of_day(day).expect("a month").to_string();
        assert_eq!(month(0), "1970-01");
        assert_eq!(month(30), "1970-01");
        assert_eq!(month(31), "1970-02");
        assert_eq!(month(20_780), "2026-11");
        assert_eq!(month(11_016), "2000-02");
        assert_eq!(month(11_017), "2000-03");
        assert_eq!(Month::new(2026, 12).expect("a month").plus(1).to_string(), "2027-01");
    }
}
