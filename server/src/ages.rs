//! How long it takes what is under way: the age of the oldest, and the longest that there was.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;

/// All of one sort that are under way.
#[derive(Debug, Default)]
pub struct Ages(Mutex<Begun>);

#[derive(Debug, Default)]
struct Begun {
    next: u64,
    /// By number, so that the first is the oldest.
    running: BTreeMap<u64, Instant>,
    longest: Duration,
}

/// Something under way; it ends when this is dropped.
#[derive(Debug)]
pub struct Age {
    ages: Arc<Ages>,
    number: u64,
}

impl Ages {
    /// Something starts now.
    #[must_use]
    pub fn start(self: &Arc<Self>) -> Age {
        Age { ages: Arc::clone(self), number: self.begun().start(Instant::now()) }
    }

    /// The age of the oldest that is under way, and the highest age that anything has reached.
    #[must_use]
    pub fn oldest_and_longest(&self) -> (Duration, Duration) {
        self.begun().oldest_and_longest(Instant::now())
    }

    fn begun(&self) -> MutexGuard<'_, Begun> {
        self.0.lock().expect("nothing panics while it holds the ages")
    }
}

impl Drop for Age {
    fn drop(&mut self) {
        self.ages.begun().end(self.number, Instant::now());
    }
}

impl Begun {
    fn start(&mut self, now: Instant) -> u64 {
        let number = self.next;
        self.next += 1;
        self.running.insert(number, now);
        number
    }

    fn end(&mut self, number: u64, now: Instant) {
        if let Some(since) = self.running.remove(&number) {
            self.longest = self.longest.max(now - since);
        }
    }

    fn oldest_and_longest(&self, now: Instant) -> (Duration, Duration) {
        let oldest = self.running.values().next().map(|since| now - *since).unwrap_or_default();
        (oldest, self.longest.max(oldest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_counts_until_it_ends_and_the_longest_stays() {
        let (mut begun, second, now) = (Begun::default(), Duration::from_secs(1), Instant::now());
        assert_eq!(begun.oldest_and_longest(now), (Duration::ZERO, Duration::ZERO));
        let first = begun.start(now);
        let later = begun.start(now + second);
        let now = now + 2 * second;
        assert_eq!(begun.oldest_and_longest(now), (2 * second, 2 * second));
        begun.end(first, now);
        assert_eq!(begun.oldest_and_longest(now), (second, 2 * second));
        begun.end(later, now);
        assert_eq!(begun.oldest_and_longest(now), (Duration::ZERO, 2 * second));
    }
}
