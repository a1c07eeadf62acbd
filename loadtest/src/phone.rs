//! A device: a connection, an access token, and a replica in memory.

use std::net::SocketAddr;

use anyhow::Context as _;
use prost::Message as _;
use roundsman::device;
use roundsman_proto::sync::pull_response::Message as Pulled;
use roundsman_proto::sync::sync_service_client::SyncServiceClient;
use roundsman_proto::sync::{Checkpoint, PullRequest, PullResponse, PushRequest, PushResponse};
use roundsman_sync::replica::memory::MemoryStorage;
use roundsman_sync::replica::{Event, Replica, Want};
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};
use uuid::Uuid;

use crate::bench::Bench;
use crate::office::{PASSWORD, TENANT};
use crate::world::RepWorld;

/// A connection of its own.
pub async fn connect(address: SocketAddr) -> anyhow::Result<Channel> {
    let endpoint = Endpoint::try_from(format!("http://{address}"))?.tcp_nodelay(true);
    endpoint.connect().await.context("the server can't be reached")
}

/// What a pull brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Its pages.
    pub pages: u64,
    /// Rows in its pages.
    pub rows: u64,
    /// Bytes of its pages before compression.
    pub bytes: u64,
    /// Bytes of its messages as they came, without the transport's.
    pub packed_bytes: u64,
    /// It ended with its last checkpoint.
    pub complete: bool,
}

impl Traffic {
    /// Counts a message.
    pub fn count(&mut self, message: &PullResponse) {
        self.packed_bytes += message.encoded_len() as u64;
        match &message.message {
            Some(Pulled::Page(page)) => {
                self.pages += 1;
                self.rows += u64::from(page.rows);
                self.bytes += u64::from(page.payload_size);
            }
            Some(Pulled::Checkpoint(checkpoint)) => self.complete = checkpoint.last,
            Some(Pulled::Fork(_) | Pulled::InventoryRequest(_) | Pulled::Plan(_) | Pulled::KeepAlive(_)) | None => {}
        }
    }

    /// Fails if it was cut.
    pub fn whole(self) -> anyhow::Result<Self> {
        anyhow::ensure!(self.complete, "a pull ended before its last checkpoint, after {} rows", self.rows);
        Ok(self)
    }
}

/// A logged-in device.
#[derive(Debug)]
pub struct Phone {
    client: SyncServiceClient<Channel>,
    token: String,
    /// What it holds.
    pub replica: Replica<MemoryStorage>,
}

impl Phone {
    /// A fresh installation of the app, with a connection of its own.
    pub async fn login(bench: &Bench, address: SocketAddr, rep: &RepWorld) -> anyhow::Result<Self> {
        let channel = connect(address).await?;
        let answer = device::login(channel.clone(), (&rep.tenant, &rep.login, PASSWORD), Some(bench.id())).await;
        let answer = answer.with_context(|| format!("the login of {}", rep.login))?;
        let token = answer.tokens.context("a login without tokens")?.access_token;
        let replica = Replica::open(MemoryStorage::default())?;
        Ok(Self { client: SyncServiceClient::new(channel), token, replica })
    }

    /// Reaches the server by another address from now on, with the token that it has.
    pub async fn connect_to(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        self.client = SyncServiceClient::new(connect(address).await?);
        Ok(())
    }

    /// Sends as good as no token from now on, so that what it sends can be counted without; the server refuses it.
    pub fn give_token_up(&mut self) {
        self.token = "-".to_owned();
    }

    /// What it sends to pull.
    #[must_use]
    pub fn request(&self, now_us: i64) -> PullRequest {
        let Ok(request) = self.replica.request(&Want { device_clock_us: now_us, ..Want::default() });
        request
    }

    /// Opens a pull.
    pub async fn open(&self, request: PullRequest) -> anyhow::Result<Streaming<PullResponse>> {
        let request = device::authorized(&self.token, request)?;
        Ok(self.client.clone().pull(request).await?.into_inner())
    }

    /// Pulls, and applies what comes; once more if the server asks what it holds.
    pub async fn sync(&mut self, now_us: i64) -> anyhow::Result<Traffic> {
        let mut traffic = Traffic::default();
        for _ in 0..2 {
            let mut stream = self.open(self.request(now_us)).await?;
            let mut asked = false;
            while let Some(message) = stream.message().await? {
                traffic.count(&message);
                asked |= matches!(message.message, Some(Pulled::InventoryRequest(_)));
                self.apply(message)?;
            }
            self.replica.cut();
            if !asked {
                break;
            }
        }
        traffic.whole()
    }

    /// Pulls; what comes is not applied yet.
    pub async fn fetch(&self, request: PullRequest) -> anyhow::Result<Vec<PullResponse>> {
        let mut stream = self.open(request).await?;
        let mut messages = Vec::new();
        while let Some(message) = stream.message().await? {
            messages.push(message);
        }
        Ok(messages)
    }

    /// Applies a message.
    pub fn apply(&mut self, message: PullResponse) -> anyhow::Result<()> {
        if let Event::Checkpoint { damaged, .. } = self.replica.receive(message)? {
            anyhow::ensure!(damaged.is_empty(), "the checksums of {damaged:?} are wrong");
        }
        Ok(())
    }

    /// Pulls, and throws away what comes.
    pub async fn drain(&self, request: PullRequest) -> anyhow::Result<Traffic> {
        let mut stream = self.open(request).await?;
        let mut traffic = Traffic::default();
        while let Some(message) = stream.message().await? {
            traffic.count(&message);
        }
        traffic.whole()
    }

    /// Pushes.
    pub async fn push(&self, request: PushRequest) -> anyhow::Result<PushResponse> {
        let request = device::authorized(&self.token, request)?;
        Ok(self.client.clone().push(request).await?.into_inner())
    }
}

/// A device of its own that has fetched everything, as an app does when it is opened, and then waits for news.
pub async fn follow(channel: &Channel, login: &str, installation: Uuid) -> anyhow::Result<Streaming<PullResponse>> {
    let answer = device::login(channel.clone(), (TENANT, login, PASSWORD), Some(installation)).await?;
    let token = answer.tokens.context("a login without tokens")?.access_token;
    let first = PullRequest { protocol_version: 1, ..PullRequest::default() };
    let (_, Checkpoint { position, scope_digest, .. }) = pull(channel, &token, first).await?;
    let then = PullRequest { protocol_version: 1, follow: true, position, scope_digest, ..PullRequest::default() };
    Ok(pull(channel, &token, then).await?.0)
}

/// Pulls up to the last checkpoint.
async fn pull(
    channel: &Channel,
    token: &str,
    request: PullRequest,
) -> anyhow::Result<(Streaming<PullResponse>, Checkpoint)> {
    let request = device::authorized(token, request)?;
    let mut stream = SyncServiceClient::new(channel.clone()).pull(request).await?.into_inner();
    while let Some(message) = stream.message().await? {
        if let Some(Pulled::Checkpoint(checkpoint)) = message.message
            && checkpoint.last
        {
            return Ok((stream, checkpoint));
        }
    }
    anyhow::bail!("a stream ended before its last checkpoint")
}

/// Logs in a device of each of these reps, with a connection of its own.
pub async fn fleet(bench: &Bench, address: SocketAddr, reps: &[RepWorld]) -> anyhow::Result<Vec<Phone>> {
    let bar = bench.progress("devices".to_owned(), reps.len());
    let mut phones = Vec::with_capacity(reps.len());
    for rep in reps {
        let mut phone = Phone::login(bench, address, rep).await?;
        phone.sync(bench.now_us()).await?;
        phones.push(phone);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(phones)
}
