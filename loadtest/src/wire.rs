//! What crosses the wire: a relay between a device and the server that counts the bytes each way, framing included.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Bytes of one piece, at most.
const PIECE: usize = 64 * 1024;

/// Bytes so far, to the server and from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes {
    /// From the device to the server.
    pub up: u64,
    /// From the server to the device.
    pub down: u64,
}

impl Bytes {
    /// What came after `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self { up: self.up - before.up, down: self.down - before.down }
    }
}

/// A relay that ends with this value.
#[derive(Debug)]
pub struct Relay {
    /// Where devices connect.
    pub address: SocketAddr,
    up: Arc<AtomicU64>,
    down: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Relay {
    /// To this server.
    pub async fn start(server: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (up, down) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let counters = (Arc::clone(&up), Arc::clone(&down));
        let task = tokio::spawn(async move {
            while let Ok((device, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(server).await else { continue };
                // A connection that can't is slower, and counts the same.
                let _ = device.set_nodelay(true).and_then(|()| server.set_nodelay(true));
                let ((from_device, to_device), (from_server, to_server)) = (device.into_split(), server.into_split());
                tokio::spawn(carry(from_device, to_server, Arc::clone(&counters.0)));
                tokio::spawn(carry(from_server, to_device, Arc::clone(&counters.1)));
            }
        });
        Ok(Self { address, up, down, task })
    }

    /// What it has carried.
    #[must_use]
    pub fn bytes(&self) -> Bytes {
        Bytes { up: self.up.load(Ordering::Acquire), down: self.down.load(Ordering::Acquire) }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Counts a piece before it is handed on, so that whoever has got it finds it counted.
async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, count: Arc<AtomicU64>) {
    let mut piece = vec![0; PIECE];
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        count.fetch_add(length as u64, Ordering::AcqRel);
        if to.write_all(&piece[..length]).await.is_err() {
            return;
        }
    }
    // Whoever reads learns it.
    let _ = to.shutdown().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_byte_is_counted_once() {
        let echo = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("listens");
        let relay = Relay::start(echo.local_addr().expect("an address")).await.expect("starts");
        let mut device = TcpStream::connect(relay.address).await.expect("connects");
        let (mut server, _) = echo.accept().await.expect("is connected");
        device.write_all(&[1; 100_000]).await.expect("is sent");
        let mut heard = vec![0; 100_000];
        server.read_exact(&mut heard).await.expect("arrives");
        assert_eq!((heard, relay.bytes()), (vec![1; 100_000], Bytes { up: 100_000, down: 0 }));
        server.write_all(&[2; 7]).await.expect("is sent");
        let mut answer = [0; 7];
        device.read_exact(&mut answer).await.expect("arrives");
        assert_eq!(relay.bytes().since(Bytes { up: 100_000, down: 0 }), Bytes { up: 0, down: 7 });
    }
}
