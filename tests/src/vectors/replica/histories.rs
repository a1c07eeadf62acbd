//! A server without sense: whatever it says, two devices must make the same of it.

use roundsman_proto::sync::pull_response::Message;
use roundsman_proto::sync::{
    BucketAction, BucketPlan, BucketState, Checkpoint, Fork, InventoryRequest, KeepAlive, Page, Plan,
};
use roundsman_sync::page::Cursor;
use roundsman_sync::version::Position;

use super::super::dice::Dice;
use super::super::page::{Row, page};
use super::{Case, Tape};

const STEPS: usize = 40;
/// Few enough that they meet often.
const BUCKETS: [(&str, u32); 3] = [("territory:north", 2), ("territory:south", 2), ("price_list:a", 6)];
const RECORDS: u64 = 4;
const DOCUMENTS: [&[u8]; 4] = [b"", b"one", b"two", b"three"];

/// The history of a seed.
pub(super) fn history(seed: u64) -> Case {
    let mut server = Server { dice: Dice(seed), version: 5 };
    let mut tape = Tape::new();
    for _ in 0..STEPS {
        match server.dice.below(12) {
            0 => tape.cut(),
            1 => tape.reopen(),
            _ => {
                let message = server.message(&tape);
                tape.hear(message)
            }
        };
    }
    tape.cut().case(&format!("history {seed}"))
}

struct Server {
    dice: Dice,
    version: i64,
}

impl Server {
    fn message(&mut self, tape: &Tape) -> Message {
        match self.dice.below(40) {
            0 => Message::Fork(Fork { expected_seq: 1 + self.dice.small(5) }),
            1 => Message::InventoryRequest(InventoryRequest {}),
            2 | 3 => Message::KeepAlive(KeepAlive { position: Some(self.position().into()), ..KeepAlive::default() }),
            4..15 => Message::Plan(self.plan()),
            15..28 => Message::Page(self.page(tape)),
            _ => Message::Checkpoint(self.checkpoint()),
        }
    }

    fn position(&mut self) -> Position {
        self.version += self.dice.small(3);
        Position { version: self.version, nonce: self.dice.below(3) }
    }

    fn plan(&mut self) -> Plan {
        let entries = 1 + self.dice.small(3);
        let buckets = (0..entries).map(|_| self.entry()).collect();
        let fork = self.dice.one_in(12);
        if fork {
            self.version = (self.version - self.dice.small(8)).max(1);
        }
        Plan { buckets, version: self.version, fork }
    }

    fn entry(&mut self) -> BucketPlan {
        let place = self.dice.below(BUCKETS.len() as u64);
        let (scope, kind) = BUCKETS[usize::try_from(place).expect("a small number")];
        let number = if self.dice.one_in(10) { self.dice.below(5) } else { place };
        let (keep, append, reset) = (BucketAction::Keep, BucketAction::Append, BucketAction::Reset);
        let action = self.dice.of(&[keep, append, append, append, append, reset, reset, BucketAction::Drop]);
        let (scope, kind) = if self.dice.one_in(3) { ("", 0) } else { (scope, kind) };
        BucketPlan {
            bucket_id: i64::try_from(number).expect("a small number") + 1,
            scope: scope.to_owned(),
            kind,
            action: action.into(),
            group: self.dice.of(&[1, 2, 3]),
            resumed: self.dice.one_in(2),
            ..BucketPlan::default()
        }
    }

    /// Of a bucket that is planned or held, mostly, from a place that fits, mostly.
    fn page(&mut self, tape: &Tape) -> Page {
        let staged: Vec<_> =
            tape.device.buckets().filter_map(|bucket| Some((bucket.id, bucket.staging?.cursor))).collect();
        let known: Vec<i64> = tape.device.buckets().map(|bucket| bucket.id).chain([1]).collect();
        let (bucket_id, from) = if !staged.is_empty() && self.dice.one_in(2) {
            self.dice.of(&staged)
        } else {
            let behind = Cursor::after(self.version - self.dice.small(4));
            (self.dice.of(&known), self.dice.of(&[Cursor::default(), Cursor::default(), behind]))
        };
        let mut rows: Vec<Row<'_>> = Vec::new();
        let mut version = from.version;
        for _ in 0..=self.dice.below(3) {
            version += 1 + self.dice.small(2);
            let document = (!self.dice.one_in(4)).then(|| self.dice.of(&DOCUMENTS));
            rows.push((version, u128::from(self.dice.below(RECORDS)), document));
        }
        Page { build: Some(self.position().into()), ..page(bucket_id, from, &rows) }
    }

    fn checkpoint(&mut self) -> Checkpoint {
        let wrong = BucketState { bucket_id: 1 + self.dice.small(3), rows: 9, checksum: 9 };
        let buckets = if self.dice.one_in(4) { vec![wrong] } else { Vec::new() };
        Checkpoint {
            position: Some(self.position().into()),
            group: self.dice.of(&[1, 2, 3]),
            last: self.dice.one_in(2),
            buckets,
            scope_digest: self.dice.below(100),
            ..Checkpoint::default()
        }
    }
}
