//! Medians, spreads and percentiles.

use std::time::Duration;

use serde::Serialize;

/// What the repetitions of a measurement gave.
#[derive(Clone, Debug, Serialize)]
pub struct Spread {
    /// The one in the middle.
    pub median: f64,
    /// The lowest.
    pub least: f64,
    /// The highest.
    pub most: f64,
    /// All of them, in the order of the repetitions.
    pub samples: Vec<f64>,
}

impl Spread {
    /// Of these repetitions; without any, everything is 0.
    #[must_use]
    pub fn of(samples: Vec<f64>) -> Self {
        let mut sorted = samples.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let median = sorted.get(sorted.len() / 2).copied().unwrap_or_default();
        let least = sorted.first().copied().unwrap_or_default();
        let most = sorted.last().copied().unwrap_or_default();
        Self { median, least, most, samples }
    }
}

/// The duration, in milliseconds, below which this part of the durations is: `part` 0.5 is the median.
#[must_use]
pub fn percentile_ms(durations: &mut [Duration], part: f64) -> f64 {
    durations.sort_unstable();
    let index = (durations.len() as f64 * part) as usize;
    let found = durations.get(index).or(durations.last());
    found.map_or(0.0, |duration| duration.as_secs_f64() * 1e3)
}

/// So many in so much time, by the second.
#[must_use]
pub fn per_second(count: u64, time: Duration) -> f64 {
    let count = count as f64;
    count / time.as_secs_f64().max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle_and_the_spread_around_it() {
        let spread = Spread::of(vec![5.0, 1.0, 3.0, 2.0, 4.0]);
        assert_eq!((spread.median, spread.least, spread.most), (3.0, 1.0, 5.0));
    }

    #[test]
    fn percentiles_are_durations_that_occurred() {
        let mut durations: Vec<Duration> = (1..=100).rev().map(Duration::from_millis).collect();
        assert_eq!(percentile_ms(&mut durations, 0.5), 51.0);
        assert_eq!(percentile_ms(&mut durations, 0.99), 100.0);
        assert_eq!(percentile_ms(&mut [], 0.5), 0.0);
    }
}
