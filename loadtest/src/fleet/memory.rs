//! What a device remembers between two calls: a replica, or no more of it than the server has to be told.

use std::collections::BTreeMap;

use anyhow::Context as _;
use roundsman_proto::sync::pull_response::Message;
use roundsman_proto::sync::{BucketAction, Checkpoint, HeldBucket, Plan, Position, PullRequest, PullResponse};
use roundsman_sync::replica::memory::MemoryStorage;
use roundsman_sync::replica::{Event, PROTOCOL_VERSION, Replica, Want};

/// Either of the two.
#[derive(Debug)]
pub enum Memory {
    /// Of these, thousands fit into a process.
    Light(Light),
    /// These show that what comes is right.
    Whole(Box<Whole>),
}

impl Memory {
    /// An empty one.
    pub fn new(whole: bool) -> anyhow::Result<Self> {
        if !whole {
            return Ok(Self::Light(Light::default()));
        }
        Ok(Self::Whole(Box::new(Whole { replica: Replica::open(MemoryStorage::default())?, arrived: Vec::new() })))
    }

    /// What to send to pull.
    pub fn request(&mut self, now_us: i64) -> anyhow::Result<PullRequest> {
        match self {
            Self::Light(light) => Ok(light.request(now_us)),
            Self::Whole(whole) => {
                whole.apply()?;
                let Ok(request) = whole.replica.request(&Want { device_clock_us: now_us, ..Want::default() });
                Ok(request)
            }
        }
    }

    /// Takes a message of a pull.
    pub fn take(&mut self, message: PullResponse) -> anyhow::Result<()> {
        match self {
            Self::Light(light) => light.take(message),
            Self::Whole(whole) => {
                whole.arrived.push(message);
                Ok(())
            }
        }
    }

    /// Where the device is, as far as it has applied what came.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        match self {
            Self::Light(light) => light.position,
            Self::Whole(whole) => whole.replica.position().map(Into::into),
        }
    }

    /// Looks whether it has all there is up to a version, and whether what it holds is right.
    pub fn verify(&mut self, version: i64) -> anyhow::Result<()> {
        if let Self::Whole(whole) = self {
            whole.apply()?;
            anyhow::ensure!(whole.replica.covers(version), "a replica lacks what was there at version {version}");
            let damaged = whole.replica.scrub(0, i64::MAX)?;
            anyhow::ensure!(damaged.is_empty(), "what a replica holds of {damaged:?} is wrong");
        }
        let version_held = self.position().map_or(0, |position| position.version);
        anyhow::ensure!(version_held >= version, "a device is at version {version_held} and not at {version}");
        Ok(())
    }
}

/// A replica, and what has come for it: that is applied when the replica is needed, so that the time which this takes does not
/// count as the server's.
#[derive(Debug)]
pub struct Whole {
    replica: Replica<MemoryStorage>,
    arrived: Vec<PullResponse>,
}

impl Whole {
    fn apply(&mut self) -> anyhow::Result<()> {
        for message in self.arrived.drain(..) {
            match self.replica.receive(message)? {
                Event::Checkpoint { damaged, .. } => {
                    anyhow::ensure!(damaged.is_empty(), "the checksums of {damaged:?} are wrong");
                }
                Event::Fork { .. } => anyhow::bail!("the server does not know the history that a device has seen"),
                Event::InventoryWanted | Event::Planned { .. } | Event::Staged { .. } | Event::Alive { .. } => {}
            }
        }
        self.replica.cut();
        Ok(())
    }
}

/// Where a device is that believes what the server says of its buckets, and keeps no document. Its pulls must not be cut.
#[derive(Debug, Default)]
pub struct Light {
    position: Option<Position>,
    scope_digest: u64,
    /// By the server's number, as of the last plan.
    buckets: BTreeMap<i64, HeldBucket>,
    inventory: bool,
}

impl Light {
    fn request(&self, now_us: i64) -> PullRequest {
        let inventory = if self.inventory { self.buckets.values().cloned().collect() } else { Vec::new() };
        PullRequest {
            protocol_version: PROTOCOL_VERSION,
            device_clock_us: now_us,
            position: self.position,
            scope_digest: self.scope_digest,
            has_inventory: self.inventory,
            inventory,
            ..PullRequest::default()
        }
    }

    fn take(&mut self, message: PullResponse) -> anyhow::Result<()> {
        match message.message {
            Some(Message::Plan(plan)) => self.plan(plan),
            Some(Message::Checkpoint(checkpoint)) => self.checkpoint(&checkpoint),
            Some(Message::InventoryRequest(_)) => {
                self.inventory = true;
                Ok(())
            }
            Some(Message::Fork(_)) => anyhow::bail!("the server does not know the history that a device has seen"),
            Some(Message::Page(_) | Message::KeepAlive(_)) | None => Ok(()),
        }
    }

    fn plan(&mut self, plan: Plan) -> anyhow::Result<()> {
        self.inventory = false;
        let mut planned = BTreeMap::new();
        for entry in plan.buckets {
            let before =
                if entry.scope.is_empty() { Some(entry.bucket_id) } else { self.number(&entry.scope, entry.kind) };
            let held = before.and_then(|number| self.buckets.remove(&number));
            anyhow::ensure!(held.is_some() || !entry.scope.is_empty(), "bucket {} is not held", entry.bucket_id);
            if entry.action() != BucketAction::Drop {
                let fresh = HeldBucket { scope: entry.scope, kind: entry.kind, ..HeldBucket::default() };
                planned.insert(entry.bucket_id, HeldBucket { bucket_id: entry.bucket_id, ..held.unwrap_or(fresh) });
            }
        }
        self.buckets.append(&mut planned);
        Ok(())
    }

    fn number(&self, scope: &str, kind: u32) -> Option<i64> {
        let mut buckets = self.buckets.values();
        buckets.find(|bucket| bucket.kind == kind && bucket.scope == scope).map(|bucket| bucket.bucket_id)
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> anyhow::Result<()> {
        for state in &checkpoint.buckets {
            let bucket = self.buckets.get_mut(&state.bucket_id).context("a checkpoint of a bucket that is not held")?;
            (bucket.rows, bucket.checksum) = (state.rows, state.checksum);
        }
        (self.position, self.scope_digest) = (checkpoint.position, checkpoint.scope_digest);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use roundsman_proto::sync::{BucketPlan, BucketState, InventoryRequest};

    use super::*;

    fn entry(bucket_id: i64, scope: &str, action: BucketAction) -> BucketPlan {
        let kind = u32::from(!scope.is_empty());
        BucketPlan { bucket_id, scope: scope.to_owned(), kind, action: action.into(), ..BucketPlan::default() }
    }

    fn take(light: &mut Light, message: Message) -> anyhow::Result<()> {
        light.take(PullResponse { message: Some(message) })
    }

    #[test]
    fn a_light_device_lists_what_it_was_told() {
        let mut light = Light::default();
        let buckets = vec![entry(1, "a", BucketAction::Append), entry(2, "b", BucketAction::Append)];
        take(&mut light, Message::Plan(Plan { buckets, ..Plan::default() })).expect("is taken");
        let position = Some(Position { version: 5, nonce: 6 });
        let buckets = [(1, 10, 11), (2, 20, 22)]
            .map(|(bucket_id, rows, checksum)| BucketState { bucket_id, rows, checksum })
            .to_vec();
        let checkpoint = Checkpoint { position, buckets, scope_digest: 7, ..Checkpoint::default() };
        take(&mut light, Message::Checkpoint(checkpoint)).expect("is taken");
        let request = light.request(0);
        assert_eq!((request.position, request.scope_digest, request.has_inventory), (position, 7, false));

        take(&mut light, Message::InventoryRequest(InventoryRequest::default())).expect("is taken");
        let held = light.request(0).inventory;
        assert_eq!(held.iter().map(|held| (held.rows, held.checksum)).collect::<Vec<_>>(), [(10, 11), (20, 22)]);

        // The first goes, the second changes its number to that of the first.
        let buckets = vec![entry(1, "", BucketAction::Drop), entry(1, "b", BucketAction::Keep)];
        take(&mut light, Message::Plan(Plan { buckets, ..Plan::default() })).expect("is taken");
        assert!(!light.request(0).has_inventory, "a plan answers an inventory");
        let held: Vec<_> =
            light.buckets.values().map(|held| (held.bucket_id, held.scope.as_str(), held.rows)).collect();
        assert_eq!(held, [(1, "b", 20)]);
        let unknown = Plan { buckets: vec![entry(9, "", BucketAction::Append)], ..Plan::default() };
        assert!(take(&mut light, Message::Plan(unknown)).is_err(), "its scope is not known");
    }
}
