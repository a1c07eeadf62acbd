//! Fuzzing: whatever comes from outside, changed at random, goes to each decoder and each door. Nothing may panic, hang, take
//! memory without bound, or break a law of its own. An input follows from its seed and its number.

pub mod corpus;
mod door;
pub mod mutate;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use prost::Message as _;
use roundsman::commands;
use roundsman::exchange::{csv, plan};
use roundsman_proto::sync as proto;
use roundsman_proto::trade;
use roundsman_sync::limits::PAYLOAD_BYTES;
use roundsman_sync::outbox::{self, Outbox};
use roundsman_sync::page::{Cursor, unpack};
use roundsman_sync::replica::{Event, Replica, memory};
use roundsman_sync::version::Position;
use uuid::Uuid;

use crate::app::{START_US, TODAY};
use crate::simulation::Dice;
use corpus::{Corpus, Step};
pub use door::Door;
use mutate::{by_byte, mutated, random};

/// After so long an outbox takes away what was answered.
const LATER_US: i64 = START_US + 8 * 24 * 3_600 * 1_000_000;
/// A zeros' bomb unpacks to so many bytes.
const BOMB_BYTES: usize = 64 * 1024 * 1024;

/// Where an input goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Target {
    /// A request to push, and the commands in it.
    Push,
    /// The body of a command.
    Command,
    /// A request to pull, with its positions and cursors.
    Pull,
    /// A page, on the device's side.
    Page,
    /// A stream of plans, pages and checkpoints in any order, to a replica.
    Replica,
    /// Answers to pushes, to an outbox.
    Outbox,
    /// A file to import.
    File,
    /// An access token.
    AccessToken,
    /// A refresh token, at a server with a database.
    RefreshToken,
    /// Requests to push and pull, at the handlers of a server with a database.
    Door,
}

impl Target {
    /// All targets, with how many of a thousand inputs go there: the dear ones get few.
    pub const SHARES: [(Self, u64); 10] = [
        (Self::Push, 180),
        (Self::Command, 180),
        (Self::Pull, 150),
        (Self::Page, 250),
        (Self::Replica, 70),
        (Self::Outbox, 70),
        (Self::File, 60),
        (Self::AccessToken, 30),
        (Self::RefreshToken, 5),
        (Self::Door, 5),
    ];

    /// Where the input with this number goes.
    #[must_use]
    pub fn of(number: u64) -> Self {
        let mut place = number.wrapping_mul(619) % 1_000;
        for (target, share) in Self::SHARES {
            match place.checked_sub(share) {
                Some(rest) => place = rest,
                None => return target,
            }
        }
        Self::Door
    }
}

/// All that inputs are made of, and where they go.
pub struct Fuzz {
    corpus: Corpus,
    bomb: Vec<u8>,
    door: Door,
}

/// Whether an input was taken, or refused as it should be.
pub type Taken = bool;

impl Fuzz {
    /// With a server of its own, on a runtime that is entered.
    pub async fn start() -> Self {
        let door = Door::open().await;
        let corpus = Corpus::new(&door.world.anna.outlets, door.world.anna.territory);
        let bomb = zstd::bulk::compress(&vec![0; BOMB_BYTES], 1).expect("compresses");
        Self { corpus, bomb, door }
    }

    /// Tries an input.
    ///
    /// # Errors
    /// When it has broken something: what, in words.
    pub fn attempt(&self, seed: u64, number: u64, target: Target) -> Result<Taken, String> {
        let dice = Dice::new(seed, number);
        let attempt = AssertUnwindSafe(|| match target {
            Target::Push => self.push(&dice),
            Target::Command => Ok(decode_command(&mutated(&dice, &self.corpus.commands))),
            Target::Pull => Ok(self.pull(&dice)),
            Target::Page => self.page(&dice),
            Target::Replica => self.replica(&dice),
            Target::Outbox => self.outbox(&dice),
            Target::File => self.file(&dice),
            Target::AccessToken => self.door.access_token(&dice),
            Target::RefreshToken => self.door.refresh_token(&dice),
            Target::Door => self.door.enter(&dice, &self.corpus),
        });
        catch_unwind(attempt).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<&str>().map(ToString::to_string);
            Err(format!("panic: {}", text.or_else(|| panic.downcast_ref().cloned()).unwrap_or_default()))
        })
    }

    /// Ends the server.
    ///
    /// # Errors
    /// When what it holds is not right any more.
    pub async fn finish(self) -> Result<(), String> {
        self.door.close().await
    }

    fn push(&self, dice: &Dice) -> Result<Taken, String> {
        let Ok(request) = proto::PushRequest::decode(&*mutated(dice, &self.corpus.pushes)) else { return Ok(false) };
        let again = proto::PushRequest::decode(&*request.encode_to_vec()).map_err(|error| error.to_string())?;
        if again != request {
            return Err("a push is another one when it is sent again".to_owned());
        }
        let read = request.commands.iter().filter(|command| decode_command(&command.body)).count();
        Ok(read == request.commands.len())
    }

    fn pull(&self, dice: &Dice) -> Taken {
        let Ok(request) = proto::PullRequest::decode(&*mutated(dice, &self.corpus.pulls)) else { return false };
        let _ = request.position.map(Position::from);
        let cursors = request.staging.iter().filter_map(|staging| staging.cursor.as_ref());
        cursors.map(Cursor::try_from).all(|cursor| cursor.is_ok())
    }

    fn page(&self, dice: &Dice) -> Result<Taken, String> {
        let Ok(mut page) = proto::Page::decode(&*mutated(dice, &self.corpus.pages)) else { return Ok(false) };
        if dice.chance(2) {
            page.compression = proto::Compression::Zstd.into();
            page.payload =
                if dice.chance(50) { self.bomb.clone() } else { by_byte(dice, self.bomb.clone(), &[]) }.into();
            page.payload_size = u32::try_from(dice.below(2 * PAYLOAD_BYTES as u64)).unwrap_or(u32::MAX);
        }
        let Ok(rows) = unpack(&page) else { return Ok(false) };
        let bytes: usize = rows.iter().map(|row| row.document.as_ref().map_or(0, bytes::Bytes::len)).sum();
        let ascending = rows.is_sorted_by(|one, next| (one.version, one.record) < (next.version, next.record));
        match bytes <= PAYLOAD_BYTES && ascending {
            true => Ok(true),
            false => Err(format!("a page with {bytes} bytes in its rows, in order: {ascending}")),
        }
    }

    /// What a replica refuses changes nothing, and what it took is there after a restart.
    fn replica(&self, dice: &Dice) -> Result<Taken, String> {
        let mut replica = Replica::open(memory::MemoryStorage::default()).map_err(|error| format!("{error:?}"))?;
        let stream = dice.pick(&self.corpus.streams).map_or(&[][..], Vec::as_slice);
        let mut taken = false;
        for step in 0..stream.len().clamp(1, 12) {
            let bytes = match (stream.get(step), dice.below(10)) {
                (Some(right), 0..7) => right.clone(),
                (Some(right), 7) => mutated(dice, std::slice::from_ref(right)),
                _ => mutated(dice, &self.corpus.pulled),
            };
            let Ok(response) = proto::PullResponse::decode(&*bytes) else { continue };
            let before = replica.content().map_err(|error| format!("{error:?}"))?;
            let position = replica.position();
            match replica.receive(response) {
                Ok(Event::Checkpoint { .. }) => taken = true,
                Ok(_) if replica.content().ok().as_ref() != Some(&before) => {
                    return Err(format!("step {step} is no checkpoint, and changes what is shown"));
                }
                Ok(_) => {}
                Err(error) => {
                    if (replica.position(), replica.content().ok()) != (position, Some(before)) {
                        return Err(format!("step {step} is refused ({error:?}), and changes what is shown"));
                    }
                    replica.cut();
                }
            }
            if dice.chance(10) {
                let shown = (replica.position(), replica.content().ok());
                replica = Replica::open(replica.into_storage()).map_err(|error| format!("{error:?}"))?;
                if (replica.position(), replica.content().ok()) != shown {
                    return Err(format!("after step {step} and a restart it shows something else"));
                }
            }
        }
        Ok(taken)
    }

    /// Whatever a server answers, a command without an outcome is not taken away.
    fn outbox(&self, dice: &Dice) -> Result<Taken, String> {
        let mut outbox =
            Outbox::open(outbox::memory::MemoryStorage::default()).map_err(|error| format!("{error:?}"))?;
        let (mut captured, mut answered): (BTreeSet<Uuid>, BTreeSet<Uuid>) = Default::default();
        for step in dice.pick(&self.corpus.outboxes).map_or(&[][..], Vec::as_slice) {
            let answer = match step {
                Step::Capture(id, body) => {
                    let kept = outbox.capture(*id, body.clone().into(), START_US, TODAY);
                    captured.extend(kept.is_ok().then_some(*id));
                    continue;
                }
                Step::Answer(answer) if dice.chance(60) => answer.clone(),
                Step::Answer(answer) if dice.chance(50) => mutated(dice, std::slice::from_ref(answer)),
                Step::Answer(_) => mutated(dice, &self.corpus.pushed),
            };
            let _ = outbox.request("1.0", START_US, None);
            if let Ok(response) = proto::PushResponse::decode(&*answer) {
                let now_us = if dice.chance(50) { START_US } else { LATER_US };
                let news = outbox.receive(response, now_us).unwrap_or_default();
                answered.extend(news.into_iter().map(|(id, _)| id));
            }
            let kept: BTreeSet<Uuid> = outbox.pending().map(|(id, ..)| id).collect();
            if let Some(lost) = captured.iter().find(|id| !kept.contains(id) && !answered.contains(id)) {
                return Err(format!("command {lost} is gone, and has no outcome"));
            }
            let numbers: Vec<i64> = outbox
                .request("1.0", START_US, None)
                .map_or_else(Vec::new, |request| request.commands.iter().map(|command| command.seq).collect());
            if !numbers.is_sorted_by(|one, next| one.checked_add(1) == Some(*next)) {
                return Err(format!("a push is not in order: {numbers:?}"));
            }
        }
        Ok(!answered.is_empty())
    }

    /// Of a file that is right, every entry is sent, once.
    fn file(&self, dice: &Dice) -> Result<Taken, String> {
        let (kind, right) = dice.pick(&self.corpus.files).ok_or("no files")?;
        let mut bytes = if dice.chance(5) { random(dice, 300) } else { right.clone() };
        // Without its last row it is right.
        if dice.chance(50) {
            let end = bytes.iter().rposition(|byte| *byte == b'\n').unwrap_or(bytes.len());
            bytes.truncate(end);
        }
        for _ in 0..dice.size(0, 3) {
            bytes = by_byte(dice, bytes, std::slice::from_ref(right));
        }
        let decimals = u32::try_from(dice.below(5)).unwrap_or(0);
        match csv::parse(*kind, &bytes, decimals) {
            Ok(entries) => {
                let count = entries.len();
                let sent: usize = plan::chunks(entries, None).iter().map(|chunk| chunk.records().len()).sum();
                if sent == count { Ok(true) } else { Err(format!("{count} entries, and {sent} are sent")) }
            }
            Err(errors) => {
                let _ = errors.to_string();
                Ok(false)
            }
        }
    }
}

/// As the lane does before it decides.
fn decode_command(body: &[u8]) -> Taken {
    let Some(command) = trade::Command::decode(body).ok().and_then(|command| command.command) else { return false };
    let command = commands::of(&command);
    let _ = (command.name(), command.roles(), command.target());
    command.sizes().is_ok()
}
