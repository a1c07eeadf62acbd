//! The choices of a simulation: all of them follow from its seed.

use roundsman::clock::Random;
use uuid::Uuid;

/// A die that falls the same way for the same seed.
#[derive(Debug)]
pub struct Dice(Random);

impl Dice {
    /// For a seed, and for a use of it: the server's random numbers are others than those of the events.
    #[must_use]
    pub fn new(seed: u64, purpose: u64) -> Self {
        Self(Random::seeded(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ purpose))
    }

    /// A number below `end`; 0 if there is none.
    #[must_use]
    pub fn below(&self, end: u64) -> u64 {
        // The bias is one in 2^50 or less.
        self.0.next_u64().checked_rem(end).unwrap_or(0)
    }

    /// A number from `from` to `to`, both possible.
    #[must_use]
    pub fn between(&self, from: i64, to: i64) -> i64 {
        from.saturating_add_unsigned(self.below(to.saturating_sub(from).unsigned_abs().saturating_add(1)))
    }

    /// True in so many of a hundred cases.
    #[must_use]
    pub fn chance(&self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// A place in something so long.
    #[must_use]
    pub fn index(&self, length: usize) -> Option<usize> {
        (length > 0).then(|| self.size(0, length - 1))
    }

    /// A size from `from` to `to`, both possible.
    #[must_use]
    pub fn size(&self, from: usize, to: usize) -> usize {
        let span = u64::try_from(to.saturating_sub(from)).unwrap_or(u64::MAX);
        from + usize::try_from(self.below(span.saturating_add(1))).unwrap_or(0)
    }

    /// One of these.
    #[must_use]
    pub fn pick<'a, T>(&self, of: &'a [T]) -> Option<&'a T> {
        self.index(of.len()).and_then(|index| of.get(index))
    }

    /// One of these, each as often as its weight says.
    #[must_use]
    pub fn weighted<'a, T>(&self, of: &'a [T], weight: impl Fn(&T) -> u64) -> Option<&'a T> {
        let mut left = self.below(of.iter().map(&weight).sum());
        of.iter().find(|one| match left.checked_sub(weight(one)) {
            Some(rest) => {
                left = rest;
                false
            }
            None => true,
        })
    }

    /// Another order.
    pub fn shuffle<T>(&self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.size(0, last));
        }
    }

    /// An id that nothing else has.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.0.uuid(crate::app::START_US)
    }
}
