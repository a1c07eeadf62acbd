//! The messages of a pull on their way to the door: several at a time, since each hand-over wakes another task.

use std::time::Duration;

use roundsman_proto::sync::PullResponse;
use roundsman_proto::sync::pull_response::Message;
use tokio::sync::mpsc;

use super::PullError;

/// Where a pull's messages go.
#[derive(Debug)]
pub struct Outgoing {
    out: mpsc::Sender<Vec<PullResponse>>,
    patience: Duration,
    batch_bytes: usize,
    waiting: Vec<PullResponse>,
    bytes: usize,
}

impl Outgoing {
    /// Into a channel whose other end may take nothing for as long as `patience`, pages of about so many bytes at a
    /// time; 0: each message by itself.
    #[must_use]
    pub fn new(out: mpsc::Sender<Vec<PullResponse>>, patience: Duration, batch_bytes: usize) -> Self {
        Self { out, patience, batch_bytes, waiting: Vec::new(), bytes: 0 }
    }

    /// Sends a message, at the latest with the next [`Self::flush`].
    pub(super) async fn send(&mut self, message: Message) -> Result<(), PullError> {
        if let Message::Page(page) = &message {
            metrics::counter!("roundsman_pages_sent_total").increment(1);
            metrics::counter!("roundsman_page_bytes_sent_total").increment(page.payload.len() as u64);
            self.bytes += page.payload.len();
        }
        self.waiting.push(PullResponse { message: Some(message) });
        if self.bytes >= self.batch_bytes { self.flush().await } else { Ok(()) }
    }

    /// Sends what waits, before something that takes a while.
    pub(super) async fn flush(&mut self) -> Result<(), PullError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        self.bytes = 0;
        let sent = self.out.send(std::mem::take(&mut self.waiting));
        match tokio::time::timeout(self.patience, sent).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_closed)) => Err(PullError::Gone),
            Err(_elapsed) => {
                metrics::counter!("roundsman_slow_devices_total").increment(1);
                Err(PullError::Slow)
            }
        }
    }
}
