//! A device of a fleet: it is online for a while, each time with a connection of its own, and remembers what it must.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use roundsman::clock::Clock;
use roundsman::device;
use roundsman_proto::auth::auth_service_client::AuthServiceClient;
use roundsman_proto::auth::{RefreshRequest, Tokens};
use roundsman_proto::sync::PushRequest;
use roundsman_proto::sync::pull_response::Message;
use roundsman_proto::sync::sync_service_client::SyncServiceClient;
use tokio::time::{Instant, sleep_until};
use tonic::transport::Channel;
use uuid::Uuid;

use super::memory::Memory;
use super::schedule::{Call, Session};
use crate::office::{PASSWORD, TENANT};
use crate::phone::{self, Traffic};
use crate::rep::Work;

/// What takes time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// New tokens.
    Refresh,
    /// From the moment of waking to the first checkpoint: connection, tokens, and today's work.
    Ready,
    /// The same to the last checkpoint.
    Whole,
    /// A later pull, to the last checkpoint.
    Pull,
    /// An order.
    Order,
    /// A visit.
    Visit,
}

/// How long each call of a device took.
pub type Took = Vec<(What, Duration)>;

/// A device that is logged in.
#[derive(Debug)]
pub struct Device {
    /// Which of the fleet it is.
    pub number: usize,
    servers: Arc<[SocketAddr]>,
    /// How often it was online. Each time it reaches the next server.
    times: usize,
    tokens: Tokens,
    /// What it holds.
    pub memory: Memory,
    /// What its pulls have brought.
    pub rows: u64,
    work: Work,
}

impl Device {
    /// Logs in and pulls for the first time.
    pub async fn login(
        (number, servers): (usize, Arc<[SocketAddr]>),
        (login, installation): (&str, Uuid),
        memory: Memory,
        work: Work,
    ) -> anyhow::Result<Self> {
        let mut device = Self { number, servers, times: 0, tokens: Tokens::default(), memory, rows: 0, work };
        let channel = device.connect().await?;
        let answer = device::login(channel.clone(), (TENANT, login, PASSWORD), Some(installation)).await;
        let answer = answer.with_context(|| format!("the login of {login}"))?;
        device.tokens = answer.tokens.context("a login without tokens")?;
        device.pull(&channel).await?;
        Ok(device)
    }

    async fn connect(&mut self) -> anyhow::Result<Channel> {
        let server = self.servers[(self.number + self.times) % self.servers.len()];
        self.times += 1;
        phone::connect(server).await
    }

    /// Is online once; `begun` is when the schedule began. Whoever is late, because what was before took longer, waits from the
    /// moment that was meant.
    pub async fn online(&mut self, session: &Session, begun: Instant) -> anyhow::Result<Took> {
        let wakes = begun + session.wakes;
        sleep_until(wakes).await;
        let channel = self.connect().await?;
        let asked = Instant::now();
        self.refresh(&channel).await?;
        let mut took = vec![(What::Refresh, asked.elapsed())];
        let (ready, whole) = self.pull(&channel).await?;
        took.extend([(What::Ready, ready - wakes), (What::Whole, whole - wakes)]);
        for (at, call) in &session.calls {
            sleep_until(begun + *at).await;
            let asked = Instant::now();
            let (what, end) = match call {
                Call::Pull => (What::Pull, self.pull(&channel).await?.1),
                Call::Order => (What::Order, self.push(&channel, self.work.order(self.memory.position())).await?),
                Call::Visit => (What::Visit, self.push(&channel, self.work.visit(self.memory.position())).await?),
            };
            took.push((what, end - asked));
        }
        sleep_until(begun + session.leaves).await;
        Ok(took)
    }

    async fn refresh(&mut self, channel: &Channel) -> anyhow::Result<()> {
        let request = RefreshRequest { refresh_token: self.tokens.refresh_token.clone() };
        let answer = AuthServiceClient::new(channel.clone()).refresh(request).await.context("new tokens")?;
        self.tokens = answer.into_inner().tokens.context("a refresh without tokens")?;
        Ok(())
    }

    /// Says when the first checkpoint came, and when the last; once more if the server asks what the device holds.
    async fn pull(&mut self, channel: &Channel) -> anyhow::Result<(Instant, Instant)> {
        let (mut traffic, mut first, mut last) = (Traffic::default(), None, None);
        while last.is_none() {
            let request = device::authorized(&self.tokens.access_token, self.memory.request(Clock::Machine.now_us())?)?;
            let mut stream = SyncServiceClient::new(channel.clone()).pull(request).await?.into_inner();
            let mut asked = false;
            while let Some(message) = stream.message().await? {
                if let Some(Message::Checkpoint(checkpoint)) = &message.message {
                    let now = Instant::now();
                    first.get_or_insert(now);
                    last = checkpoint.last.then_some(now);
                }
                asked |= matches!(message.message, Some(Message::InventoryRequest(_)));
                traffic.count(&message);
                self.memory.take(message)?;
            }
            anyhow::ensure!(asked || last.is_some(), "a pull ended before its last checkpoint");
        }
        self.rows += traffic.rows;
        first.zip(last).context("a pull without a checkpoint")
    }

    async fn push(&mut self, channel: &Channel, request: PushRequest) -> anyhow::Result<Instant> {
        let request = device::authorized(&self.tokens.access_token, request)?;
        let answer = SyncServiceClient::new(channel.clone()).push(request).await?.into_inner();
        let end = Instant::now();
        self.work.answered(&answer)?;
        Ok(end)
    }
}
