//! A fleet of devices that are used as people use them: each comes online, thinks, and is offline by a schedule of its own,
//! whether or not the server keeps up.

mod device;
mod memory;
mod schedule;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use hdrhistogram::Histogram;
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::device::{Device, Took};
use self::memory::Memory;
use crate::bench::Bench;
use crate::machine;
use crate::rep::Work;
use crate::world::{RepWorld, World};

pub use self::device::What;
pub use self::schedule::Habits;

/// Devices that log in at the same time: the server works on few passwords at once.
const LOGINS_AT_ONCE: usize = 4;
/// Files and connections beside those of the devices.
const OTHER_FILES: u64 = 200;
/// A call that took longer is counted as if it had taken so long.
const LONGEST: Duration = Duration::from_secs(120);

/// Devices that are logged in and offline.
#[derive(Debug)]
pub struct Fleet {
    devices: Vec<Device>,
}

impl Fleet {
    /// Logs devices in that belong to the reps by turns, and lets each pull once. Some of them, spread evenly, have a whole
    /// replica.
    pub async fn login(
        bench: &Bench,
        servers: &[SocketAddr],
        world: &World,
        (devices, whole): (usize, usize),
    ) -> anyhow::Result<Self> {
        let most = machine::open_files().context("how many files may be open is not known")?;
        let needed = devices as u64 + OTHER_FILES;
        anyhow::ensure!(
            most >= needed,
            "{devices} devices need {needed} open files, and {most} are allowed: ulimit -n"
        );
        let (servers, price_versions): (Arc<[SocketAddr]>, _) = (servers.into(), world.shared_versions());
        let users: Vec<&RepWorld> = world.users().collect();
        let bar = bench.progress("devices".to_owned(), devices);
        let logins = (0..devices).map(|number| {
            let rep = users[number % users.len()];
            let work = Work::new(bench, rep, &price_versions);
            let (place, bar) = ((number, Arc::clone(&servers)), &bar);
            async move {
                let memory = Memory::new(number % devices.div_ceil(whole) == 0)?;
                let device = Device::login(place, (&rep.login, bench.id()), memory, work).await?;
                bar.inc(1);
                anyhow::Ok(device)
            }
        });
        let devices = stream::iter(logins).buffer_unordered(LOGINS_AT_ONCE).try_collect().await?;
        bar.finish_and_clear();
        Ok(Self { devices })
    }

    /// Lets all devices be used for so long, by schedules that the seed draws.
    pub async fn run(&mut self, bench: &Bench, what: &str, habits: Habits, seed: u64) -> anyhow::Result<Latencies> {
        let bar = bench.progress(what.to_owned(), self.devices.len());
        let (begun, mut tasks) = (Instant::now(), JoinSet::new());
        for mut device in self.devices.drain(..) {
            let (sessions, bar) = (habits.sessions(seed.wrapping_add(device.number as u64)), bar.clone());
            device.rows = 0;
            tasks.spawn(async move {
                let mut took = Took::new();
                for (count, session) in sessions.iter().enumerate() {
                    took.extend(device.online(session, begun).await?);
                    bar.inc(u64::from(count == 0));
                }
                anyhow::Ok((device, took))
            });
        }
        let mut latencies = Latencies::new()?;
        while let Some(ended) = tasks.join_next().await {
            let (device, took) = ended??;
            self.devices.push(device);
            latencies.record(&took);
        }
        bar.finish_and_clear();
        Ok(latencies)
    }

    /// Looks whether every device has all there is up to a version, and whether what the whole replicas hold is right.
    pub fn verify(&mut self, version: i64) -> anyhow::Result<()> {
        self.devices.iter_mut().try_for_each(|device| device.memory.verify(version))
    }

    /// How many rows each device got in the last run, as far as that differs.
    #[must_use]
    pub fn rows(&self) -> BTreeSet<u64> {
        self.devices.iter().map(|device| device.rows).collect()
    }
}

/// How long calls took.
#[derive(Debug)]
pub struct Latencies {
    of: [(What, Histogram<u64>); 6],
}

impl Latencies {
    fn new() -> anyhow::Result<Self> {
        let longest = u64::try_from(LONGEST.as_micros())?;
        let empty = Histogram::new_with_bounds(1, longest, 3)?;
        let all = [What::Refresh, What::Ready, What::Whole, What::Pull, What::Order, What::Visit];
        Ok(Self { of: all.map(|what| (what, empty.clone())) })
    }

    fn record(&mut self, took: &Took) {
        for (what, duration) in took {
            let (_, histogram) = &mut self.of[*what as usize];
            histogram.saturating_record(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
        }
    }

    /// How often something was measured.
    #[must_use]
    pub fn count(&self, what: What) -> u64 {
        self.of[what as usize].1.len()
    }

    /// The time within which this part of the calls were answered, in milliseconds; what was never measured is an error.
    pub fn within_ms(&self, what: What, part: f64) -> anyhow::Result<f64> {
        let (what, histogram) = &self.of[what as usize];
        anyhow::ensure!(!histogram.is_empty(), "{what:?} was never measured");
        Ok(histogram.value_at_quantile(part) as f64 / 1e3)
    }
}
