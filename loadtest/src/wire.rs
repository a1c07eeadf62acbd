//! What crosses a wire: a relay between a client and a server that counts bytes and round trips, and may hold up what it
//! carries, as a longer wire would.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc as blocking;
use std::thread;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Bytes of one piece, at most.
const PIECE: usize = 64 * 1024;

/// Bytes so far, to the server and from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes {
    /// From the client to the server.
    pub up: u64,
    /// From the server to the client.
    pub down: u64,
}

impl Bytes {
    /// What came after `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self { up: self.up - before.up, down: self.down - before.down }
    }
}

#[derive(Debug, Default)]
struct Counts {
    up: AtomicU64,
    down: AtomicU64,
    round_trips: AtomicU64,
}

/// A relay that ends with this value.
#[derive(Debug)]
pub struct Relay {
    /// Where clients connect.
    pub address: SocketAddr,
    counts: Arc<Counts>,
    task: JoinHandle<()>,
}

impl Relay {
    /// To this server, without delay.
    pub async fn start(server: SocketAddr) -> anyhow::Result<Self> {
        Self::start_with(server, None).await
    }

    /// To this server; every byte arrives so much later, each way, and as many may be on their way as there are.
    pub async fn start_delayed(server: SocketAddr, delay: Duration) -> anyhow::Result<Self> {
        Self::start_with(server, Some(Wire::of(delay))).await
    }

    async fn start_with(server: SocketAddr, wire: Option<Wire>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let counts = Arc::new(Counts::default());
        let of_connections = Arc::clone(&counts);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(server).await else { continue };
                // A connection that can't is slower, and counts the same.
                let _ = client.set_nodelay(true).and_then(|()| server.set_nodelay(true));
                let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
                let asked = Arc::new(AtomicBool::new(false));
                let (counts, asks) = (Arc::clone(&of_connections), Arc::clone(&asked));
                let up = move |length| {
                    counts.up.fetch_add(length, Ordering::AcqRel);
                    asks.store(true, Ordering::Release);
                };
                let counts = Arc::clone(&of_connections);
                let down = move |length| {
                    counts.down.fetch_add(length, Ordering::AcqRel);
                    if asked.swap(false, Ordering::AcqRel) {
                        counts.round_trips.fetch_add(1, Ordering::AcqRel);
                    }
                };
                tokio::spawn(carry(from_client, to_server, up, wire.clone()));
                tokio::spawn(carry(from_server, to_client, down, wire.clone()));
            }
        });
        Ok(Self { address, counts, task })
    }

    /// What it has carried.
    #[must_use]
    pub fn bytes(&self) -> Bytes {
        Bytes { up: self.counts.up.load(Ordering::Acquire), down: self.counts.down.load(Ordering::Acquire) }
    }

    /// How often the server has answered: whatever a client sent before an answer began belongs to one round trip.
    #[must_use]
    pub fn round_trips(&self) -> u64 {
        self.counts.round_trips.load(Ordering::Acquire)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Counts a piece before it is handed on, so that whoever has got it finds it counted.
async fn carry(mut from: OwnedReadHalf, to: OwnedWriteHalf, count: impl Fn(u64), wire: Option<Wire>) {
    let (sender, arrived) = mpsc::unbounded_channel();
    tokio::spawn(deliver(arrived, to));
    let mut piece = vec![0; PIECE];
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        count(length as u64);
        let piece = piece[..length].to_vec();
        // Whoever can't be reached any more closes the other side, too, and ends this.
        match &wire {
            Some(wire) => wire.send(piece, sender.clone()),
            None => drop(sender.send(piece)),
        }
    }
}

async fn deliver(mut arrived: mpsc::UnboundedReceiver<Vec<u8>>, mut to: OwnedWriteHalf) {
    while let Some(piece) = arrived.recv().await {
        if to.write_all(&piece).await.is_err() {
            return;
        }
    }
    // Whoever reads learns it.
    let _ = to.shutdown().await;
}

/// A piece on its way: when it arrives, and where.
type OnTheWay = (Instant, Vec<u8>, mpsc::UnboundedSender<Vec<u8>>);

/// A long wire, which ends with its last connection. What is sent first arrives first, since all of it takes the same time.
#[derive(Clone, Debug)]
struct Wire {
    delay: Duration,
    pieces: blocking::Sender<OnTheWay>,
}

impl Wire {
    fn of(delay: Duration) -> Self {
        let (pieces, on_the_way) = blocking::channel::<OnTheWay>();
        thread::spawn(move || {
            for (due, piece, to) in on_the_way {
                #[expect(
                    clippy::disallowed_methods,
                    reason = "a thread of its own: the runtime counts in milliseconds"
                )]
                thread::sleep(due.saturating_duration_since(Instant::now()));
                // Where nobody is any more it is not missed.
                let _ = to.send(piece);
            }
        });
        Self { delay, pieces }
    }

    fn send(&self, piece: Vec<u8>, to: mpsc::UnboundedSender<Vec<u8>>) {
        // The thread ends after the last of those who send.
        let _ = self.pieces.send((Instant::now() + self.delay, piece, to));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_byte_and_every_answer_is_counted_once() {
        const DELAY: Duration = Duration::from_millis(5);
        for delay in [None, Some(DELAY)] {
            let echo = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("listens");
            let server = echo.local_addr().expect("an address");
            let relay = Relay::start_with(server, delay.map(Wire::of)).await.expect("starts");
            let begun = Instant::now();
            let mut client = TcpStream::connect(relay.address).await.expect("connects");
            let (mut server, _) = echo.accept().await.expect("is connected");
            client.write_all(&[1; 100_000]).await.expect("is sent");
            let mut heard = vec![0; 100_000];
            server.read_exact(&mut heard).await.expect("arrives");
            assert_eq!((heard, relay.bytes()), (vec![1; 100_000], Bytes { up: 100_000, down: 0 }));
            for _ in 0..2 {
                server.write_all(&[2; 7]).await.expect("is sent");
                let mut answer = [0; 7];
                client.read_exact(&mut answer).await.expect("arrives");
            }
            assert_eq!(relay.bytes().since(Bytes { up: 100_000, down: 0 }), Bytes { up: 0, down: 14 });
            assert_eq!(relay.round_trips(), 1, "the second answer was to nothing");
            assert!(begun.elapsed() >= 3 * delay.unwrap_or_default(), "there, back, and back again");
            drop(client);
            assert_eq!(server.read(&mut [0]).await.expect("is told"), 0, "the end arrives, too");
        }
    }
}
