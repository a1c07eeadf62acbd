//! Somebody who watches a tenant: answered for as long as it is there and has the right to it, and not more often than it is good
//! for.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{broadcast, mpsc};
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::status;
use crate::app::Core;
use crate::auth::authenticate::Lease;
use crate::clock::Clock;
use crate::tail::Tail;

/// Between two answers passes at least this much time, however much happens.
const PAUSE: Duration = Duration::from_millis(200);
/// After so much silence a watcher looks by itself: whether it may still watch, and what other processes have written.
const POLL: Duration = Duration::from_secs(20);

/// The answers that a watcher takes.
pub type Answers<A> = ReceiverStream<Result<A, Status>>;

/// Somebody who watches.
#[derive(Debug)]
pub struct Watcher<A> {
    clock: Arc<Clock>,
    lease: Lease,
    /// What is committed from before the first read on.
    tails: broadcast::Receiver<Arc<Tail>>,
    out: mpsc::Sender<Result<A, Status>>,
}

impl<A> Watcher<A> {
    /// A watcher of a tenant, and what it is answered.
    #[must_use]
    pub fn new(core: &Core, tenant: i64, lease: Lease) -> (Self, Answers<A>) {
        // One answer that waits is enough: a slow watcher gets fewer, and each is up to date.
        let (out, answers) = mpsc::channel(1);
        let (clock, tails) = (Arc::clone(&core.clock), core.lanes.of(tenant).follow());
        (Self { clock, lease, tails, out }, ReceiverStream::new(answers))
    }

    /// Whether it may still watch.
    ///
    /// # Errors
    /// When it may not.
    pub fn check(&self) -> Result<(), Status> {
        self.lease.check()
    }

    /// Answers; false: the watcher has gone.
    pub async fn tell(&self, answer: A) -> bool {
        self.out.send(Ok(answer)).await.is_ok()
    }

    /// Says why there will be no more answers.
    pub async fn end(self, end: Status) {
        // Whoever went away needs no reason.
        let _ = self.out.send(Err(end)).await;
    }

    /// Waits for a commit that concerns it, and until the next answer may be given; false: the watcher has gone.
    ///
    /// # Errors
    /// When it may no longer watch, or the server is stopping.
    pub async fn wait(&mut self, concerns: fn(&Tail) -> bool) -> Result<bool, Status> {
        let now = Instant::now();
        let (earliest, latest) = (now + self.clock.machine_time(PAUSE), now + self.clock.machine_time(POLL));
        loop {
            let heard = tokio::select! {
                () = self.out.closed() => return Ok(false),
                heard = timeout_at(latest, self.tails.recv()) => heard,
            };
            match heard {
                Ok(Ok(tail)) if !concerns(&tail) => self.lease.check()?,
                Ok(Err(RecvError::Closed)) => return Err(status::unavailable("the server is stopping")),
                Ok(Ok(_) | Err(RecvError::Lagged(_))) | Err(_) => break,
            }
        }
        tokio::select! {
            () = self.out.closed() => return Ok(false),
            () = sleep_until(earliest) => {}
        }
        // What is told by now is committed, and the next read sees it.
        while !matches!(self.tails.try_recv(), Err(TryRecvError::Empty | TryRecvError::Closed)) {}
        Ok(true)
    }
}
