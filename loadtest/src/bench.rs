//! What all parts of a run share.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use roundsman::clock::{Clock, Random};
use uuid::Uuid;

use crate::database::Kind;
use crate::parts::bare::Baselines;

/// How often a measurement is repeated, after its warm-up.
pub const REPETITIONS: usize = 5;
/// Devices that call at the same time.
pub const FLEET: usize = 50;

/// The surroundings of a run.
#[derive(Debug)]
pub struct Bench {
    /// The server's program.
    pub program: PathBuf,
    /// Where databases of PostgreSQL are made.
    pub postgres: Option<String>,
    /// What the transport can do, once it was measured.
    pub baselines: OnceLock<Baselines>,
    random: Random,
}

impl Bench {
    /// With this server, and PostgreSQL if its URL is given.
    pub fn new(program: PathBuf, postgres: Option<String>) -> anyhow::Result<Self> {
        Ok(Self { program, postgres, baselines: OnceLock::new(), random: Random::from_machine()? })
    }

    /// The databases to measure.
    pub fn databases(&self, only: Option<Kind>) -> anyhow::Result<Vec<Kind>> {
        match (only, &self.postgres) {
            (Some(Kind::Postgres), None) => {
                anyhow::bail!("there is no PostgreSQL: set ROUNDSMAN_TEST_POSTGRES_URL, or run `make bench`")
            }
            (Some(kind), _) => Ok(vec![kind]),
            (None, Some(_)) => Ok(vec![Kind::Sqlite, Kind::Postgres]),
            (None, None) => Ok(vec![Kind::Sqlite]),
        }
    }

    /// A new id, ordered by its moment, as apps make them.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.random.uuid(self.now_us())
    }

    /// A random number.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.random.next_u64()
    }

    /// The moment, in microseconds since the Unix epoch.
    #[must_use]
    pub fn now_us(&self) -> i64 {
        Clock::Machine.now_us()
    }

    /// Today, in days since 1970-01-01.
    #[must_use]
    pub fn today(&self) -> i32 {
        i32::try_from(self.now_us().div_euclid(86_400_000_000)).unwrap_or(i32::MAX)
    }

    /// A line on the terminal that says what is going on, with a bar if it is known how long it is.
    #[must_use]
    pub fn progress(&self, what: String, length: usize) -> ProgressBar {
        let length = u64::try_from(length).unwrap_or(0);
        let template =
            if length > 1 { "{elapsed:>4} {bar:30} {pos:>6}/{len} {msg}" } else { "{elapsed:>4} {spinner} {msg}" };
        let bar = ProgressBar::new(length).with_message(what);
        bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.enable_steady_tick(Duration::from_millis(200));
        bar
    }
}
