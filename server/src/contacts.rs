//! What is heard of devices: when they were last seen, what waits in their outboxes, how wrong their clocks are. Kept in
//! memory, and written now and then: no rule reads it, and losing a minute of it harms nobody.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;

use roundsman_proto::sync::OutboxSummary;
use uuid::Uuid;

use crate::error::StoreError;
use crate::store::contact;
use crate::store::sql::Db;

/// A device's offset is the median of so many recent requests, so that a slow one does not move it.
const SAMPLES: usize = 9;

/// What is known of one device.
#[derive(Clone, Debug, Default)]
pub struct Contact {
    /// The last contact, in microseconds since the Unix epoch.
    pub seen_at_us: i64,
    /// What waited in the outbox then.
    pub outbox: OutboxSummary,
    offsets_us: VecDeque<i64>,
    written: bool,
}

impl Contact {
    /// How far the device's clock is ahead, in microseconds.
    #[must_use]
    pub fn offset_us(&self) -> i64 {
        let mut offsets: Vec<i64> = self.offsets_us.iter().copied().collect();
        offsets.sort_unstable();
        offsets.get(offsets.len() / 2).copied().unwrap_or(0)
    }
}

/// What is known of all devices that this process has heard of.
#[derive(Debug, Default)]
pub struct Contacts(Mutex<HashMap<(i64, Uuid), Contact>>);

impl Contacts {
    /// A device has called, and its clock said so; returns how far that clock is ahead, in microseconds.
    pub fn hear(
        &self,
        (tenant, device): (i64, Uuid),
        device_clock_us: i64,
        now_us: i64,
        outbox: Option<OutboxSummary>,
    ) -> i64 {
        let mut contacts = self.0.lock().expect("nothing panics while it holds the contacts");
        let contact = contacts.entry((tenant, device)).or_default();
        contact.seen_at_us = now_us;
        contact.written = false;
        if let Some(outbox) = outbox {
            contact.outbox = outbox;
        }
        if contact.offsets_us.len() == SAMPLES {
            contact.offsets_us.pop_front();
        }
        contact.offsets_us.push_back(device_clock_us.saturating_sub(now_us));
        contact.offset_us()
    }

    /// Writes what has changed since the last time.
    ///
    /// # Errors
    /// When the database does not answer; the next call writes it.
    pub async fn write(&self, db: &Db) -> Result<(), StoreError> {
        let news: Vec<((i64, Uuid), Contact)> = {
            let contacts = self.0.lock().expect("nothing panics while it holds the contacts");
            contacts.iter().filter(|(_, contact)| !contact.written).map(|(key, c)| (*key, c.clone())).collect()
        };
        if news.is_empty() {
            return Ok(());
        }
        let mut tx = db.write().await?;
        tx.write(vec![contact::rows(&news)]).await?;
        tx.commit().await?;
        let mut contacts = self.0.lock().expect("nothing panics while it holds the contacts");
        for (key, written) in news {
            if let Some(contact) = contacts.get_mut(&key).filter(|contact| contact.seen_at_us == written.seen_at_us) {
                contact.written = true;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slow_request_does_not_move_a_clock() {
        let contacts = Contacts::default();
        let device = (1, Uuid::from_u128(1));
        for round in 0..5 {
            assert_eq!(contacts.hear(device, 1_000 + round, round, None), 1_000);
        }
        assert_eq!(contacts.hear(device, 0, 900_000, None), 1_000, "a request that was under way for a long time");
    }
}
