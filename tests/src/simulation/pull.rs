//! A pull that stands still between two messages.
//!
//! It is the server's own code, polled only when the device wants a message, and always until it waits for the device or
//! for news, with no transaction open: so whatever is committed between two messages comes at the same place of the pull in
//! every run.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::Poll;

use roundsman::pull::{Pull, PullError};
use roundsman::store::sql::Db;
use roundsman_proto::sync::{PullRequest, PullResponse};
use tokio::sync::mpsc::{self, OwnedPermit};
use tokio::task::yield_now;

/// The fail point at which a pull has failed.
type Blown = Arc<OnceLock<&'static str>>;
type Serving = Pin<Box<dyn Future<Output = Result<(), PullError>>>>;

/// What a device hears next.
#[derive(Debug)]
pub enum Heard {
    /// A message.
    Message(Box<PullResponse>),
    /// The stream is open, and nothing is new.
    Nothing,
    /// The stream has ended.
    End(Result<(), PullError>),
}

/// A stream of changes.
pub struct Stream {
    db: Db,
    serving: Option<Serving>,
    end: Option<Result<(), PullError>>,
    messages: mpsc::Receiver<Vec<PullResponse>>,
    // While it is held, the server waits before its first message.
    held: Option<OwnedPermit<Vec<PullResponse>>>,
    blown: Blown,
}

impl Stream {
    /// Begins a pull: the server has read where the device is, and waits before its first message.
    pub async fn open(
        pull: impl FnOnce(mpsc::Sender<Vec<PullResponse>>) -> Pull,
        (db, blown): (Db, Blown),
        request: PullRequest,
    ) -> Self {
        let (out, messages) = mpsc::channel(1);
        let held = out.clone().try_reserve_owned().ok();
        let pull = pull(out);
        let serving: Serving = Box::pin(async move { pull.serve(&request).await });
        let mut stream = Self { db, serving: Some(serving), end: None, messages, held, blown };
        stream.settle().await;
        stream
    }

    /// Where it has failed because it was told to.
    #[must_use]
    pub fn blown(&self) -> Option<&'static str> {
        self.blown.get().copied()
    }

    /// The next message.
    pub async fn next(&mut self) -> Heard {
        self.held = None;
        self.settle().await;
        match self.messages.try_recv() {
            Ok(batch) => {
                self.settle().await;
                let [message] = batch.try_into().expect("one message at a time");
                Heard::Message(Box::new(message))
            }
            Err(_) => match self.end.take() {
                Some(end) => Heard::End(end),
                None => Heard::Nothing,
            },
        }
    }

    /// Lets the server go on until it waits for somebody else.
    async fn settle(&mut self) {
        let mut quiet = 0;
        while quiet < 2
            && let Some(serving) = &mut self.serving
        {
            match poll_fn(|context| Poll::Ready(serving.as_mut().poll(context))).await {
                Poll::Ready(end) => {
                    self.serving = None;
                    self.end = Some(end);
                }
                Poll::Pending if idle(&self.db) => quiet += 1,
                Poll::Pending => quiet = 0,
            }
            yield_now().await;
        }
    }
}

/// Whether nobody reads.
fn idle(db: &Db) -> bool {
    match db {
        Db::Sqlite { readers, .. } => readers.num_idle() == usize::try_from(readers.size()).unwrap_or(usize::MAX),
        Db::Postgres { pool, .. } => pool.num_idle() == usize::try_from(pool.size()).unwrap_or(usize::MAX),
    }
}
