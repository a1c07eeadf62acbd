//! Time and randomness, as parameters: the only place that asks the machine for either.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha20Rng;
use uuid::Uuid;

/// Where the moment comes from.
#[derive(Debug)]
pub enum Clock {
    /// The machine's clock.
    Machine,
    /// Simulated: from a start, a stated number of times faster than the machine's.
    Scaled {
        /// The simulated moment at `origin_us`, in microseconds since the Unix epoch.
        start_us: i64,
        /// The machine's moment at which the simulation began.
        origin_us: i64,
        /// How many simulated microseconds pass in one of the machine's.
        speed: i64,
    },
    /// Stands still until a test moves it.
    Manual(AtomicI64),
}

impl Clock {
    /// A clock that starts at `start_us` now and runs `speed` times faster than the machine's.
    #[must_use]
    pub fn scaled(start_us: i64, speed: i64) -> Self {
        Self::Scaled { start_us, origin_us: machine_us(), speed }
    }

    /// The moment, in microseconds since the Unix epoch.
    #[must_use]
    pub fn now_us(&self) -> i64 {
        match self {
            Self::Machine => machine_us(),
            Self::Scaled { start_us, origin_us, speed } => {
                start_us.saturating_add(machine_us().saturating_sub(*origin_us).saturating_mul(*speed))
            }
            Self::Manual(now) => now.load(Ordering::SeqCst),
        }
    }

    /// Moves a manual clock; the others go by themselves.
    pub fn advance(&self, by_us: i64) {
        if let Self::Manual(now) = self {
            now.fetch_add(by_us, Ordering::SeqCst);
        }
    }

    /// How long the machine has to wait until this much of the clock's time has passed.
    #[must_use]
    pub fn machine_time(&self, of: Duration) -> Duration {
        match self {
            Self::Scaled { speed, .. } => of / u32::try_from(*speed).unwrap_or(u32::MAX).max(1),
            Self::Machine | Self::Manual(_) => of,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
fn machine_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// Where random numbers come from: seeded by the operating system, or by a test.
#[derive(Debug)]
pub struct Random(Mutex<ChaCha20Rng>);

impl Random {
    /// Seeded by the operating system.
    ///
    /// # Errors
    /// When it has no randomness to give.
    pub fn from_machine() -> Result<Self, getrandom::Error> {
        let mut seed = [0; 32];
        #[expect(clippy::disallowed_methods, reason = "the one place that asks the machine for randomness")]
        getrandom::fill(&mut seed)?;
        Ok(Self(Mutex::new(ChaCha20Rng::from_seed(seed))))
    }

    /// The same numbers for the same seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(Mutex::new(ChaCha20Rng::seed_from_u64(seed)))
    }

    /// Fills a buffer.
    pub fn fill(&self, buffer: &mut [u8]) {
        self.0.lock().expect("nothing panics while it holds the generator").fill_bytes(buffer);
    }

    /// A random number.
    #[must_use]
    pub fn next_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// A UUID of version 7: ordered by its moment, so that rows which are made together lie together.
    #[must_use]
    pub fn uuid(&self, now_us: i64) -> Uuid {
        let mut bytes = [0; 10];
        self.fill(&mut bytes);
        let millis = u64::try_from(now_us / 1_000).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid()
    }
}
