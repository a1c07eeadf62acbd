//! What is heard of devices: when they were last seen, what waits in their outboxes, where they are, how wrong their clocks
//! are. Kept in memory, and written now and then: no rule reads it, and losing a minute of it harms nobody.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard};

use roundsman_proto::sync::{LaggingBucket, OutboxSummary, PullRequest};
use roundsman_sync::limits::DEVICE_BUCKETS;
use roundsman_sync::version::Position;
use uuid::Uuid;

use crate::error::StoreError;
use crate::store::contact;
use crate::store::sql::Db;

/// A device's offset is the median of so many recent requests, so that a slow one does not move it.
const SAMPLES: usize = 9;
/// Of a device that says nothing new it is written no more often than this that it was seen, in microseconds.
const QUIET_US: i64 = 5 * 60_000_000;
/// Into so many parts the devices are divided.
const LOCKS: usize = 64;
/// So many kinds of commands are kept of what waits in an outbox: more than there are.
const WAITING_KINDS: usize = 100;

/// What a device has said of itself, in this process's time. What it has not said is as it was stored before.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Said {
    /// The app's version.
    pub app_version: String,
    /// The version of the protocol that the app speaks.
    pub protocol_version: u32,
    /// What waits in the outbox.
    pub outbox: Option<OutboxSummary>,
    /// The position of the last checkpoint that the device has stored.
    pub position: Option<Position>,
    /// The last pull, with what it says of what the device holds: the position with its digest, the kinds and the buckets
    /// that lag. An inventory and what was staged are left out.
    pub pull: Option<PullRequest>,
    /// Why the last pull that was refused was refused: a stable code.
    pub refused: Option<String>,
    /// The bucket that was last mended, because the device noticed that it was damaged: its scope, and its kind.
    pub mended: Option<String>,
}

/// What is known of one device.
#[derive(Clone, Debug, Default)]
pub struct Contact {
    /// The last contact, in microseconds since the Unix epoch.
    pub seen_at_us: i64,
    /// When it last said what waits in the outbox.
    pub outbox_at_us: i64,
    /// When a pull was last refused.
    pub refused_at_us: i64,
    /// When a bucket was last mended.
    pub mended_at_us: i64,
    /// What it has said.
    pub said: Said,
    offsets_us: VecDeque<i64>,
    /// What is stored: when it was seen, and what it had said then.
    written: Option<(i64, Said)>,
}

impl Contact {
    /// How far the device's clock is ahead, in microseconds.
    #[must_use]
    pub fn offset_us(&self) -> i64 {
        let mut offsets: Vec<i64> = self.offsets_us.iter().copied().collect();
        offsets.sort_unstable();
        offsets.get(offsets.len() / 2).copied().unwrap_or(0)
    }

    /// Whether there is something to write.
    fn is_news(&self) -> bool {
        self.written.as_ref().is_none_or(|(seen_at_us, said)| {
            *said != self.said || self.seen_at_us.saturating_sub(*seen_at_us) >= QUIET_US
        })
    }
}

/// A request of a device, as far as it tells something of it.
#[derive(Debug)]
pub enum Request<'a> {
    /// It pulls.
    Pull(&'a PullRequest),
    /// It pushes.
    Push(&'a roundsman_proto::sync::PushRequest),
}

/// What is known of all devices that this process has heard of. Devices of all tenants call all the time, so they share no
/// lock: each has one with a few others.
#[derive(Debug)]
pub struct Contacts([Mutex<Few>; LOCKS]);

type Few = HashMap<(i64, Uuid), Contact>;

impl Default for Contacts {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }
}

impl Contacts {
    /// Those among whom a device is. The end of its id is random.
    fn few(&self, (_, device): (i64, Uuid)) -> MutexGuard<'_, Few> {
        lock(&self.0[usize::from(device.as_bytes()[15]) % LOCKS])
    }

    /// A device has called; returns how far its clock is ahead, in microseconds.
    pub fn hear(&self, (tenant, device): (i64, Uuid), request: &Request<'_>, now_us: i64) -> i64 {
        let mut contacts = self.few((tenant, device));
        let contact = contacts.entry((tenant, device)).or_default();
        let (device_clock_us, app_version, protocol_version, outbox, position) = match request {
            Request::Pull(pull) => {
                if !contact.said.pull.as_ref().is_some_and(|said| says(said, pull)) {
                    contact.said.pull = Some(held(pull));
                }
                (pull.device_clock_us, &pull.app_version, pull.protocol_version, &pull.outbox, pull.position)
            }
            Request::Push(push) => {
                (push.device_clock_us, &push.app_version, push.protocol_version, &push.outbox, push.position)
            }
        };
        contact.seen_at_us = now_us;
        contact.said.app_version.clone_from(app_version);
        contact.said.protocol_version = protocol_version;
        if let Some(outbox) = outbox {
            let mut outbox = outbox.clone();
            outbox.kinds.truncate(WAITING_KINDS);
            contact.said.outbox = Some(outbox);
            contact.outbox_at_us = now_us;
        }
        if let Some(position) = position {
            contact.said.position = Some(position.into());
        }
        if contact.offsets_us.len() == SAMPLES {
            contact.offsets_us.pop_front();
        }
        contact.offsets_us.push_back(device_clock_us.saturating_sub(now_us));
        contact.offset_us()
    }

    /// What a device has just pushed got outcomes, so that it waits no more: for each its kind, and when it was captured, by
    /// the device's clock. A device that then is offline for days is not taken for one that holds something back.
    pub fn hand_in(&self, (tenant, device): (i64, Uuid), commands: impl Iterator<Item = (u32, i64)>) {
        let mut contacts = self.few((tenant, device));
        let outbox = contacts.get_mut(&(tenant, device)).and_then(|contact| contact.said.outbox.as_mut());
        let Some(outbox) = outbox else { return };
        for (kind, captured_at_us) in commands {
            outbox.commands = outbox.commands.saturating_sub(1);
            if let Some(waiting) = outbox.kinds.iter_mut().find(|waiting| waiting.command == kind) {
                waiting.count = waiting.count.saturating_sub(1);
            }
            // Commands go in the order in which they were captured.
            outbox.oldest_captured_at_us = outbox.oldest_captured_at_us.max(captured_at_us);
        }
        outbox.kinds.retain(|waiting| waiting.count > 0);
        if outbox.commands == 0 {
            *outbox = OutboxSummary::default();
        }
    }

    /// A device's pull was refused, for this reason.
    pub fn refuse(&self, (tenant, device): (i64, Uuid), reason: String, now_us: i64) {
        let mut contacts = self.few((tenant, device));
        let contact = contacts.entry((tenant, device)).or_default();
        contact.said.refused = Some(reason);
        contact.refused_at_us = now_us;
    }

    /// A bucket of a device is mended.
    pub fn mend(&self, (tenant, device): (i64, Uuid), bucket: String, now_us: i64) {
        let mut contacts = self.few((tenant, device));
        let contact = contacts.entry((tenant, device)).or_default();
        contact.said.mended = Some(bucket);
        contact.mended_at_us = now_us;
    }

    /// Writes what has changed since the last time, and that a device was seen at most every five minutes.
    ///
    /// # Errors
    /// When the database does not answer; the next call writes it.
    pub async fn write(&self, db: &Db) -> Result<(), StoreError> {
        let mut news: Vec<((i64, Uuid), Contact)> = Vec::new();
        for few in &self.0 {
            let few = lock(few);
            news.extend(few.iter().filter(|(_, contact)| contact.is_news()).map(|(key, c)| (*key, c.clone())));
        }
        if news.is_empty() {
            return Ok(());
        }
        let mut tx = db.write().await?;
        tx.write(vec![contact::rows(&news)]).await?;
        tx.commit().await?;
        for (key, written) in news {
            if let Some(contact) = self.few(key).get_mut(&key) {
                contact.written = Some((written.seen_at_us, written.said));
            }
        }
        Ok(())
    }
}

fn lock(few: &Mutex<Few>) -> MutexGuard<'_, Few> {
    few.lock().expect("nothing panics while it holds contacts")
}

/// Whether a pull says of what the device holds what an earlier one has said.
fn says(said: &PullRequest, pull: &PullRequest) -> bool {
    said.position == pull.position
        && said.scope_digest == pull.scope_digest
        && said.kinds == pull.kinds
        && said.lagging.is_empty()
        && pull.lagging.is_empty()
}

/// What a pull says of what the device holds.
fn held(pull: &PullRequest) -> PullRequest {
    let lagging = pull.lagging.iter().take(DEVICE_BUCKETS).map(|lags| LaggingBucket {
        bucket_id: lags.bucket_id,
        position: lags.position,
        partial_sums: Vec::new(),
    });
    PullRequest {
        kinds: pull.kinds.clone(),
        position: pull.position,
        scope_digest: pull.scope_digest,
        lagging: lagging.collect(),
        ..PullRequest::default()
    }
}

#[cfg(test)]
mod tests {
    use roundsman_proto::sync::{PushRequest, WaitingCommands};

    use super::*;

    const DEVICE: (i64, Uuid) = (1, Uuid::from_u128(1));

    fn at(device_clock_us: i64) -> PushRequest {
        PushRequest { device_clock_us, ..PushRequest::default() }
    }

    fn contact(contacts: &Contacts) -> Contact {
        contacts.few(DEVICE)[&DEVICE].clone()
    }

    #[test]
    fn one_slow_request_does_not_move_a_clock() {
        let contacts = Contacts::default();
        for round in 0..5 {
            assert_eq!(contacts.hear(DEVICE, &Request::Push(&at(1_000 + round)), round), 1_000);
        }
        let late = contacts.hear(DEVICE, &Request::Push(&at(0)), 900_000);
        assert_eq!(late, 1_000, "a request that was under way for a long time");
    }

    #[test]
    fn what_was_handed_in_waits_no_more() {
        let contacts = Contacts::default();
        let kinds = vec![WaitingCommands { command: 1, count: 2 }, WaitingCommands { command: 3, count: 1 }];
        let outbox = Some(OutboxSummary { commands: 3, oldest_captured_at_us: 10, kinds });
        contacts.hear(DEVICE, &Request::Push(&PushRequest { outbox, ..at(0) }), 0);
        contacts.hand_in(DEVICE, [(1, 10), (3, 20)].into_iter());
        let left = contact(&contacts).said.outbox.expect("was said");
        assert_eq!((left.commands, left.oldest_captured_at_us), (1, 20));
        assert_eq!(left.kinds, [WaitingCommands { command: 1, count: 1 }]);
        contacts.hand_in(DEVICE, [(1, 30), (1, 40)].into_iter());
        assert_eq!(contact(&contacts).said.outbox, Some(OutboxSummary::default()));
    }

    #[test]
    fn only_news_and_now_and_then_a_sign_of_life_are_written() {
        let contacts = Contacts::default();
        let is_news = |now_us, request: &PushRequest| {
            contacts.hear(DEVICE, &Request::Push(request), now_us);
            let mut all = contacts.few(DEVICE);
            let contact = all.get_mut(&DEVICE).expect("was heard");
            let is_news = contact.is_news();
            if is_news {
                contact.written = Some((contact.seen_at_us, contact.said.clone()));
            }
            is_news
        };
        assert!(is_news(0, &at(0)), "it was not known");
        assert!(!is_news(1, &at(1)), "it says the same");
        let outbox = Some(OutboxSummary { commands: 1, ..OutboxSummary::default() });
        assert!(is_news(2, &PushRequest { outbox: outbox.clone(), ..at(2) }), "something waits now");
        assert!(!is_news(3, &PushRequest { outbox, ..at(3) }));
        assert!(is_news(2 + QUIET_US, &at(2)), "it lives");
    }
}
