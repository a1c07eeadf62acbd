//! Versions of apps, as far as they can be compared: an operator may set the oldest one that is still served.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A version of an app: numbers with dots between them, such as `2.4.1`. What is missing at the end counts as 0, and what
/// follows a hyphen, a plus sign or a space, such as a build's name, does not count.
#[derive(Clone, Debug)]
pub struct AppVersion(Vec<u32>);

/// A text that is no version which could be compared.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("a version is numbers with dots between them, such as 2.4.1")]
pub struct NotComparable;

impl FromStr for AppVersion {
    type Err = NotComparable;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let numbers = text.split(['-', '+', ' ']).next().unwrap_or_default();
        let number = |part: &str| part.parse().ok().filter(|_| part.bytes().all(|byte| byte.is_ascii_digit()));
        numbers.split('.').map(number).collect::<Option<_>>().map(Self).ok_or(NotComparable)
    }
}

impl AppVersion {
    /// Whether an app that says this of itself is as new as this version. One that says nothing, or something that can't be
    /// compared, is not known to be.
    #[must_use]
    pub fn is_met_by(&self, app_version: &str) -> bool {
        app_version.parse::<Self>().is_ok_and(|version| version >= *self)
    }
}

impl fmt::Display for AppVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<String> = self.0.iter().map(u32::to_string).collect();
        f.write_str(&numbers.join("."))
    }
}

impl Ord for AppVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        let length = self.0.len().max(other.0.len());
        let padded = |version: &Self| -> Vec<u32> {
            version.0.iter().copied().chain(std::iter::repeat(0)).take(length).collect()
        };
        padded(self).cmp(&padded(other))
    }
}

impl PartialOrd for AppVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for AppVersion {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for AppVersion {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_number_by_number() {
        let wanted: AppVersion = "2.10".parse().expect("a version");
        for enough in ["2.10", "2.10.0", "2.10.1", "2.11", "3", "10.0", "2.10-rc.1", "2.10 (512)", "2.10.0+512"] {
            assert!(wanted.is_met_by(enough), "{enough}");
        }
        for too_old in ["2.9", "2.9.9", "2", "1.99", "0", "2.9-2.10"] {
            assert!(!wanted.is_met_by(too_old), "{too_old}");
        }
        assert_eq!(wanted.to_string(), "2.10");
    }

    #[test]
    fn what_is_not_known_is_not_new_enough() {
        let any: AppVersion = "0".parse().expect("a version");
        for unknown in ["", "spring", "v2.10", "2..1", "2.", ".2", "+2", "2.-1", "2,1", "99999999999", "٢"] {
            assert!(!any.is_met_by(unknown), "{unknown}");
            assert_eq!(unknown.parse::<AppVersion>(), Err(NotComparable), "{unknown}");
        }
    }
}
