//! An outbox in memory: for the load test and the simulation.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::mem;

use uuid::Uuid;

use super::storage::{Change, Entry, Head, OutboxStorage};

/// How to take a write back.
#[derive(Clone, Debug)]
enum Undo {
    Head(Head),
    Entry(Uuid, Option<Entry>),
}

/// A storage in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryStorage {
    head: Head,
    entries: BTreeMap<Uuid, Entry>,
    undo: Vec<Undo>,
}

impl OutboxStorage for MemoryStorage {
    type Error = Infallible;

    fn load(&self) -> Result<(Head, Vec<Entry>), Infallible> {
        let mut entries: Vec<Entry> = self.entries.values().cloned().collect();
        entries.sort_unstable_by_key(|entry| entry.seq);
        Ok((self.head, entries))
    }

    fn write(&mut self, change: Change<'_>) -> Result<(), Infallible> {
        self.undo.push(match change {
            Change::Head(head) => Undo::Head(mem::replace(&mut self.head, *head)),
            Change::Entry(entry) => Undo::Entry(entry.command_id, self.entries.insert(entry.command_id, entry.clone())),
            Change::Remove(command) => Undo::Entry(command, self.entries.remove(&command)),
        });
        Ok(())
    }

    fn commit(&mut self) -> Result<(), Infallible> {
        self.undo = Vec::new();
        Ok(())
    }

    fn rollback(&mut self) -> Result<(), Infallible> {
        while let Some(undo) = self.undo.pop() {
            match undo {
                Undo::Head(head) => self.head = head,
                Undo::Entry(command, Some(entry)) => drop(self.entries.insert(command, entry)),
                Undo::Entry(command, None) => drop(self.entries.remove(&command)),
            }
        }
        Ok(())
    }
}
