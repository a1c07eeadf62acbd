//! What all who take part in the day share, and the news by which it is measured how fast the office is heard.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use roundsman_proto::trade::ReturnedGoods;
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::transport::Channel;
use uuid::Uuid;

use super::plan::Day;
use super::records::moment_us;
use super::world::{TODAY, World};
use crate::clock::Clock;

/// The day, and those who live it.
#[derive(Debug)]
pub struct Shared {
    /// Who and what there is.
    pub world: World,
    /// What everybody does.
    pub day: Day,
    /// The simulated clock.
    pub clock: Arc<Clock>,
    /// The connection to the server.
    pub channel: Channel,
    /// How many devices push right now.
    pub pushing: AtomicUsize,
    /// The day is over for whoever only watches.
    pub over: AtomicBool,
    news: Mutex<Vec<News>>,
    told: watch::Sender<usize>,
    ramp: Mutex<BTreeMap<Uuid, Vec<ReturnedGoods>>>,
}

/// A change by the office that devices are to hear of.
#[derive(Clone, Copy, Debug)]
pub struct News {
    /// What was changed.
    pub what: &'static str,
    /// A record that shows it.
    pub record: Uuid,
    /// The territory whose devices are to show it; `None`: all that hold it.
    pub territory: Option<usize>,
    /// The version of the change.
    pub version: i64,
    /// When the office had its answer.
    pub answered: Instant,
}

/// News that reached a device.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// What was changed.
    pub what: &'static str,
    /// The device had a connection when it was changed; otherwise it counts from its return.
    pub following: bool,
    /// How long it took, by the machine's clock.
    pub took: Duration,
}

impl Shared {
    /// Before the day begins.
    #[must_use]
    pub fn new(world: World, day: Day, clock: Arc<Clock>, channel: Channel) -> Self {
        let (pushing, over, news) = (AtomicUsize::new(0), AtomicBool::new(false), Mutex::default());
        let ramp = Mutex::default();
        Self { world, day, clock, channel, pushing, over, news, told: watch::Sender::default(), ramp }
    }

    /// Somebody who drives is back, and puts on the ramp what nobody took.
    pub fn unload(&self, trip: Uuid, goods: Vec<ReturnedGoods>) {
        self.ramp.lock().expect("nobody panics at the ramp").insert(trip, goods);
    }

    /// What lies on the ramp from a trip; `None`: its van is not back.
    #[must_use]
    pub fn on_ramp(&self, trip: Uuid) -> Option<Vec<ReturnedGoods>> {
        self.ramp.lock().expect("nobody panics at the ramp").get(&trip).cloned()
    }

    /// The moment by the simulated clock, in microseconds since the Unix epoch.
    #[must_use]
    pub fn now_us(&self) -> i64 {
        self.clock.now_us()
    }

    /// The second of the day.
    #[must_use]
    pub fn second(&self) -> i32 {
        i32::try_from((self.now_us() - moment_us(TODAY, 0)) / 1_000_000).unwrap_or(i32::MAX)
    }

    /// How long the machine has to wait until this second of the day.
    #[must_use]
    pub fn until(&self, s: i32) -> Duration {
        let at_us = moment_us(TODAY, 0) + i64::from(s) * 1_000_000;
        let left = u64::try_from(at_us - self.now_us()).unwrap_or(0);
        self.clock.machine_time(Duration::from_micros(left))
    }

    /// Waits until this second of the day.
    pub async fn wait(&self, s: i32) {
        tokio::time::sleep(self.until(s)).await;
    }

    /// Tells what the office has changed.
    pub fn tell(&self, what: &'static str, (record, territory): (Uuid, Option<usize>), version: i64) {
        let news = News { what, record, territory, version, answered: Instant::now() };
        self.news.lock().expect("nobody panics while telling news").push(news);
        self.told.send_modify(|told| *told += 1);
    }

    /// Wakes whenever there are news.
    #[must_use]
    pub fn listen(&self) -> watch::Receiver<usize> {
        self.told.subscribe()
    }

    /// The news from this number on.
    #[must_use]
    pub fn news_since(&self, number: usize) -> Vec<News> {
        let news = self.news.lock().expect("nobody panics while telling news");
        news.iter().skip(number).copied().collect()
    }
}
