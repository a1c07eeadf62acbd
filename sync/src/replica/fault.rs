//! A storage that fails at a chosen write, for tests and the simulation: a kill at any point, without killing anything.
//!
//! The wrapped storage is dead from then on, like the process that used it. [`Faulty::into_inner`] gives the storage back
//! with whatever was not committed still open; opening a replica or an outbox on it again, or on its file, is the restart.

use roundsman_proto::sync as proto;
use thiserror::Error;
use uuid::Uuid;

use super::storage::{Change, Document, Holding, Member, Slot, State, Storage};
use crate::outbox;

/// What a [`Faulty`] storage fails with.
#[derive(Debug, Error)]
pub enum FaultError<E: std::error::Error + 'static> {
    /// The fault that was asked for, or a call after it.
    #[error("killed, as asked")]
    Killed,
    /// The wrapped storage failed by itself.
    #[error(transparent)]
    Storage(E),
}

/// A storage with a fuse.
#[derive(Clone, Debug)]
pub struct Faulty<S> {
    inner: S,
    fuse: Option<u64>,
}

impl<S> Faulty<S> {
    /// Dies at this step, counted from 1; `None`: never. A write is one step, a commit two: a kill may
    /// come just before it and just after it.
    pub fn new(inner: S, step: Option<u64>) -> Self {
        Self { inner, fuse: step }
    }

    /// The wrapped storage.
    pub fn into_inner(self) -> S {
        self.inner
    }

    /// Whether the fault has happened.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.fuse == Some(0)
    }

    fn alive<E: std::error::Error>(&self) -> Result<(), FaultError<E>> {
        if self.is_dead() { Err(FaultError::Killed) } else { Ok(()) }
    }

    fn step<E: std::error::Error>(&mut self) -> Result<(), FaultError<E>> {
        if let Some(steps) = &mut self.fuse {
            *steps = steps.saturating_sub(1);
        }
        self.alive()
    }

    fn read<T, E: std::error::Error>(&self, read: impl FnOnce(&S) -> Result<T, E>) -> Result<T, FaultError<E>> {
        self.alive()?;
        read(&self.inner).map_err(FaultError::Storage)
    }

    fn change<E: std::error::Error>(
        &mut self,
        write: impl FnOnce(&mut S) -> Result<(), E>,
    ) -> Result<(), FaultError<E>> {
        self.step()?;
        write(&mut self.inner).map_err(FaultError::Storage)
    }
}

impl<S: Storage> Storage for Faulty<S> {
    type Error = FaultError<S::Error>;

    fn load(&self) -> Result<State, Self::Error> {
        self.read(S::load)
    }

    fn page(&self, slot: Slot, number: u32) -> Result<Option<proto::Page>, Self::Error> {
        self.read(|inner| inner.page(slot, number))
    }

    fn members(&self, slot: Slot) -> Result<Vec<(Uuid, Member)>, Self::Error> {
        self.read(|inner| inner.members(slot))
    }

    fn look(&self, slot: Slot, record: Uuid) -> Result<(Option<Member>, Option<Holding>), Self::Error> {
        self.read(|inner| inner.look(slot, record))
    }

    fn document(&self, record: Uuid) -> Result<Option<Document>, Self::Error> {
        self.read(|inner| inner.document(record))
    }

    fn write(&mut self, change: Change<'_>) -> Result<(), Self::Error> {
        self.change(|inner| inner.write(change))
    }

    fn commit(&mut self) -> Result<(), Self::Error> {
        self.change(S::commit)?;
        self.step()
    }

    fn rollback(&mut self) -> Result<(), Self::Error> {
        self.alive()?;
        self.inner.rollback().map_err(FaultError::Storage)
    }
}

impl<S: outbox::OutboxStorage> outbox::OutboxStorage for Faulty<S> {
    type Error = FaultError<S::Error>;

    fn load(&self) -> Result<(outbox::Head, Vec<outbox::Entry>), Self::Error> {
        self.read(S::load)
    }

    fn write(&mut self, change: outbox::Change<'_>) -> Result<(), Self::Error> {
        self.change(|inner| inner.write(change))
    }

    fn commit(&mut self) -> Result<(), Self::Error> {
        self.change(S::commit)?;
        self.step()
    }

    fn rollback(&mut self) -> Result<(), Self::Error> {
        self.alive()?;
        self.inner.rollback().map_err(FaultError::Storage)
    }
}
