//! Slows guessing down: attempts are counted by login and by address. What succeeds does not count.
//!
//! Each count is a token bucket, kept as the one moment at which it will be full again. There is a fixed number of
//! buckets, and a login or an address goes to one of them by a keyed hash: memory is bounded whatever comes, nobody can
//! push a bucket out by inventing logins, and that two share one is rare and harmless.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::clock::Clock;

/// Buckets of each sort: half a mebibyte.
const BUCKETS: usize = 65_536;
/// So many wrong passwords in a row, then …
const LOGIN_BURST: i64 = 10;
/// … one in so much time.
const LOGIN_EVERY: Duration = Duration::from_secs(30);
/// An office with hundreds of phones has one address, and opens its day in one minute.
const ADDRESS_BURST: i64 = 300;
/// Then one in so much time.
const ADDRESS_EVERY: Duration = Duration::from_secs(1);

/// Counts attempts.
#[derive(Debug)]
pub struct Throttle {
    clock: Arc<Clock>,
    seed: u64,
    logins: Buckets,
    addresses: Buckets,
}

/// An attempt that was counted.
#[derive(Debug)]
#[must_use = "what succeeded is to be given back"]
pub struct Attempt {
    login: Option<usize>,
    address: Option<usize>,
}

impl Throttle {
    /// The seed is secret, so that nobody can choose logins that share a bucket.
    #[must_use]
    pub fn new(clock: Arc<Clock>, seed: u64) -> Self {
        Self {
            clock,
            seed,
            logins: Buckets::new(LOGIN_BURST, LOGIN_EVERY),
            addresses: Buckets::new(ADDRESS_BURST, ADDRESS_EVERY),
        }
    }

    /// Counts an attempt for a tenant's login and an address, as far as they are known.
    ///
    /// # Errors
    /// When there were too many: how long to wait for the next.
    pub fn attempt(&self, login: Option<(&str, &str)>, address: Option<IpAddr>) -> Result<Attempt, Duration> {
        let now_us = self.clock.now_us();
        let login = login.map(|(tenant, login)| {
            // NUL occurs in neither.
            self.slot(format!("{tenant}\0{login}").as_bytes())
        });
        let address = address.map(|address| self.slot(&network(address)));
        if let Some(slot) = address {
            self.addresses.take(slot, now_us)?;
        }
        if let Some(slot) = login
            && let Err(wait) = self.logins.take(slot, now_us)
        {
            // An attempt that is not made is not counted.
            if let Some(slot) = address {
                self.addresses.give_back(slot);
            }
            return Err(wait);
        }
        Ok(Attempt { login, address })
    }

    /// It was no guess.
    pub fn give_back(&self, attempt: Attempt) {
        if let Some(slot) = attempt.login {
            self.logins.give_back(slot);
        }
        if let Some(slot) = attempt.address {
            self.addresses.give_back(slot);
        }
    }

    fn slot(&self, key: &[u8]) -> usize {
        let hash = xxh3_64_with_seed(key, self.seed);
        usize::try_from(hash % BUCKETS as u64).expect("it is less than BUCKETS")
    }
}

/// What one customer of a network holds: an address, or 2^64 of them in IPv6.
fn network(address: IpAddr) -> Vec<u8> {
    match address.to_canonical() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets()[..8].to_vec(),
    }
}

/// Token buckets of one size. Each is the moment at which it will be full; a bucket of before that is short of as many
/// tokens as `every_us` fits into the difference.
#[derive(Debug)]
struct Buckets {
    full_at_us: Box<[AtomicI64]>,
    size_us: i64,
    every_us: i64,
}

impl Buckets {
    fn new(burst: i64, every: Duration) -> Self {
        let every_us = i64::try_from(every.as_micros()).unwrap_or(i64::MAX);
        Self {
            full_at_us: (0..BUCKETS).map(|_| AtomicI64::new(0)).collect(),
            size_us: every_us.saturating_mul(burst),
            every_us,
        }
    }

    fn take(&self, slot: usize, now_us: i64) -> Result<(), Duration> {
        let after = |full_at_us: i64| {
            // A clock that was set back leaves moments that can't be; such a bucket starts anew.
            let missing_us = full_at_us.saturating_sub(now_us).max(0);
            let missing_us = if missing_us > self.size_us { 0 } else { missing_us };
            missing_us + self.every_us
        };
        self.full_at_us[slot]
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |full_at_us| {
                let missing_us = after(full_at_us);
                (missing_us <= self.size_us).then(|| now_us.saturating_add(missing_us))
            })
            .map(|_| ())
            .map_err(|full_at_us| {
                let wait_us = after(full_at_us).saturating_sub(self.size_us);
                Duration::from_micros(wait_us.unsigned_abs())
            })
    }

    fn give_back(&self, slot: usize) {
        self.full_at_us[slot].fetch_sub(self.every_us, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_US: i64 = 1_000_000;

    fn throttle() -> (Throttle, Arc<Clock>) {
        let clock = Arc::new(Clock::Manual(AtomicI64::new(1_700_000_000 * SECOND_US)));
        (Throttle::new(Arc::clone(&clock), 7), clock)
    }

    fn anna(throttle: &Throttle) -> Result<Attempt, Duration> {
        throttle.attempt(Some(("Acme", "anna")), None)
    }

    #[test]
    fn a_login_is_slowed_down_and_recovers() {
        let (throttle, clock) = throttle();
        for attempt in 0..LOGIN_BURST {
            assert!(anna(&throttle).is_ok(), "attempt {attempt}");
        }
        assert_eq!(anna(&throttle).err(), Some(LOGIN_EVERY));
        clock.advance(10 * SECOND_US);
        assert_eq!(anna(&throttle).err(), Some(Duration::from_secs(20)));
        clock.advance(20 * SECOND_US);
        assert!(anna(&throttle).is_ok());
        assert!(anna(&throttle).is_err(), "one token came, not more");
        clock.advance(3_600 * SECOND_US);
        for _ in 0..LOGIN_BURST {
            assert!(anna(&throttle).is_ok());
        }
        assert!(anna(&throttle).is_err(), "a bucket is never fuller than full");
    }

    #[test]
    fn others_are_not_slowed_down() {
        let (throttle, _clock) = throttle();
        while anna(&throttle).is_ok() {}
        assert!(throttle.attempt(Some(("Acme", "boris")), None).is_ok());
        assert!(throttle.attempt(Some(("Other", "anna")), None).is_ok());
        assert!(throttle.attempt(Some(("Acm", "eanna")), None).is_ok());
    }

    #[test]
    fn what_succeeds_does_not_count() {
        let (throttle, _clock) = throttle();
        let address = Some(IpAddr::from([192, 0, 2, 1]));
        for _ in 0..10 * ADDRESS_BURST {
            let attempt = throttle.attempt(Some(("Acme", "anna")), address).expect("nothing was guessed");
            throttle.give_back(attempt);
        }
    }

    #[test]
    fn an_address_is_slowed_down_whatever_the_login() {
        let (throttle, _clock) = throttle();
        let address = |last| Some(IpAddr::from([192, 0, 2, last]));
        for login in 0..ADDRESS_BURST {
            assert!(throttle.attempt(Some(("Acme", &login.to_string())), address(1)).is_ok(), "{login}");
        }
        assert_eq!(throttle.attempt(Some(("Acme", "anna")), address(1)).err(), Some(ADDRESS_EVERY));
        assert_eq!(throttle.attempt(None, address(1)).err(), Some(ADDRESS_EVERY));
        assert!(throttle.attempt(Some(("Acme", "anna")), address(2)).is_ok());
        assert!(throttle.attempt(Some(("Acme", "anna")), None).is_ok(), "the refused ones were not counted");
    }

    #[test]
    fn what_a_login_is_refused_for_does_not_count_for_the_address() {
        let (throttle, _clock) = throttle();
        let address = Some(IpAddr::from([192, 0, 2, 1]));
        for _ in 0..2 * ADDRESS_BURST {
            let _ = throttle.attempt(Some(("Acme", "anna")), address);
        }
        assert!(anna(&throttle).is_err());
        assert!(throttle.attempt(Some(("Acme", "boris")), address).is_ok());
    }

    #[test]
    fn a_customer_s_ipv6_network_is_one_address() {
        let parse = |text: &str| network(text.parse().expect("an address"));
        assert_eq!(parse("2001:db8:1:2::1"), parse("2001:db8:1:2:ffff::2"));
        assert_ne!(parse("2001:db8:1:2::1"), parse("2001:db8:1:3::1"));
        assert_eq!(parse("::ffff:192.0.2.1"), parse("192.0.2.1"));
        assert_ne!(parse("192.0.2.1"), parse("192.0.2.2"));
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out() {
        let (throttle, clock) = throttle();
        while anna(&throttle).is_ok() {}
        clock.advance(-86_400 * SECOND_US);
        assert!(anna(&throttle).is_ok());
    }
}
