//! Named fail points: places where a test or a simulation makes the server fail as if the database, or the process, had.

use std::fmt;
use std::sync::Arc;

use crate::error::StoreError;

/// Decides at each named point whether it fails.
pub type Decide = dyn Fn(&'static str) -> bool + Send + Sync;

/// The fail points of a server; by default none fails.
#[derive(Clone, Default)]
pub struct FailPoints(Option<Arc<Decide>>);

impl FailPoints {
    /// Fails where `decide` says so.
    #[must_use]
    pub fn new(decide: Arc<Decide>) -> Self {
        Self(Some(decide))
    }

    /// Passes the point, or fails as a lost connection does.
    ///
    /// # Errors
    /// When the point is to fail.
    pub fn pass(&self, point: &'static str) -> Result<(), StoreError> {
        match &self.0 {
            Some(decide) if decide(point) => Err(StoreError::Unavailable(sqlx::Error::WorkerCrashed)),
            Some(_) | None => Ok(()),
        }
    }
}

impl fmt::Debug for FailPoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "FailPoints(armed)" } else { "FailPoints(none)" })
    }
}
