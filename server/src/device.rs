//! A device over the wire: the device half of `roundsman_sync` with a gRPC connection. What the demo, the tests and the
//! load test drive, and an example for whoever writes an app in Rust.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use roundsman_proto::auth::auth_service_client::AuthServiceClient;
use roundsman_proto::auth::{self, LoginRequest, RefreshRequest, Tokens};
use roundsman_proto::sync::sync_service_client::SyncServiceClient;
use roundsman_proto::sync::{Outcome, PullResponse};
use roundsman_proto::trade;
use roundsman_sync::outbox::{Outbox, OutboxError, OutboxStorage};
use roundsman_sync::replica::{Event, Replica, ReplicaError, Storage, Want};
use roundsman_sync::wipe::{ShutOut, Step, shut_out};
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};
use tonic_types::StatusExt as _;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

/// A call that takes longer is given up and repeated later.
const CALL: Duration = Duration::from_secs(30);

/// What it says of itself.
const APP_VERSION: &str = env!("CARGO_PKG_VERSION");

/// An access token that ends within so many microseconds is renewed first.
const RENEW_BEFORE_US: i64 = 60_000_000;

/// Why a device could not go on.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError<R: Error + 'static, O: Error + 'static> {
    /// The server said no, or the connection failed.
    #[error(transparent)]
    Call(#[from] Box<Status>),
    /// The app is older than the oldest version that is served. What it captures is still taken by a push.
    #[error("the app is too old: the oldest version that is served is {min_app_version}")]
    AppTooOld {
        /// That version; empty: the server did not say.
        min_app_version: String,
    },
    /// The device was shut out and has erased what it held; somebody has to log in on it as on a new installation.
    #[error("the device was revoked, and has erased what it held")]
    Wiped,
    /// The replica's storage failed, or what came could not be taken.
    #[error(transparent)]
    Replica(ReplicaError<R>),
    /// The outbox's storage failed.
    #[error(transparent)]
    Outbox(OutboxError<O>),
    /// The stream ended before its last checkpoint.
    #[error("the pull was cut")]
    Cut,
}

/// So many rows are looked at after a pull, in buckets that change from pull to pull.
const SCRUB_ROWS: i64 = 10_000;

/// What a synchronization brought.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Synced {
    /// The outcomes of the commands that were pushed, in order.
    pub outcomes: Vec<(Uuid, Outcome)>,
    /// Rows that came.
    pub rows: u64,
    /// Bytes of the messages that came.
    pub bytes_down: u64,
    /// Bytes of the messages that went.
    pub bytes_up: u64,
    /// Bytes that had come when today's work was complete.
    pub bytes_to_today: u64,
    /// Bytes that had come when what is needed to sell was complete, too.
    pub bytes_to_sell: u64,
    /// Checkpoints applied.
    pub checkpoints: u32,
    /// Buckets that were found to be wrong; the next pull mends them.
    pub damaged: u32,
    /// The oldest version of the app that is served, if this one is older: its user is to be asked for an update.
    pub min_app_version: Option<String>,
}

/// A logged-in device.
#[derive(Debug)]
pub struct Device<R: Storage, O: OutboxStorage> {
    channel: Channel,
    tokens: Tokens,
    wiped: bool,
    /// What the device knows.
    pub replica: Replica<R>,
    /// What it has captured.
    pub outbox: Outbox<O>,
}

type Failure<R, O> = DeviceError<<R as Storage>::Error, <O as OutboxStorage>::Error>;

impl<R: Storage, O: OutboxStorage> Device<R, O>
where
    R::Error: Error + 'static,
    O::Error: Error + 'static,
{
    /// A device with these storages and tokens.
    pub fn new(channel: Channel, tokens: Tokens, replica: Replica<R>, outbox: Outbox<O>) -> Self {
        Self { channel, tokens, wiped: false, replica, outbox }
    }

    /// Exchanges the refresh token for new tokens.
    ///
    /// # Errors
    /// When the server says no.
    pub async fn refresh(&mut self) -> Result<(), Box<Status>> {
        let refresh_token = self.tokens.refresh_token.clone();
        let mut client = AuthServiceClient::new(self.channel.clone());
        let answer = client.refresh(RefreshRequest { refresh_token }).await.map_err(Box::new)?.into_inner();
        self.tokens = answer.tokens.unwrap_or_default();
        Ok(())
    }

    /// Puts a command into the outbox.
    ///
    /// # Errors
    /// When the storage fails, or the device was wiped.
    pub fn capture(
        &mut self,
        id: Uuid,
        command: trade::command::Command,
        (at_us, day): (i64, i32),
    ) -> Result<i64, Failure<R, O>> {
        self.check_wiped()?;
        let body = trade::Command { command: Some(command) }.encode_to_vec();
        self.outbox.capture(id, body.into(), at_us, day).map_err(DeviceError::Outbox)
    }

    /// Pushes everything that waits, then pulls to the last checkpoint. A device that is shut out does what
    /// [`Device::leave`] says.
    ///
    /// # Errors
    /// See [`DeviceError`]; what was stored before stays, and the next call goes on from there.
    pub async fn sync(&mut self, now_us: i64) -> Result<Synced, Failure<R, O>> {
        match self.push_and_pull(now_us).await {
            Err(DeviceError::Call(refusal)) => Err(self.leave(refusal, now_us, &mut Synced::default()).await),
            synced => synced,
        }
    }

    /// What follows from a refusal: if it shuts the device out, what waits is pushed, and then all that the device holds is erased
    /// if it is told to. The same once more changes nothing. Gives what is to be told to the user: [`DeviceError::Wiped`], or the
    /// refusal itself; or why it could not be done, and then the next refusal says the same again.
    pub async fn leave(&mut self, refusal: Box<Status>, now_us: i64, synced: &mut Synced) -> Failure<R, O> {
        let Some(told) = told(&refusal) else { return refusal.into() };
        let mut pushed = None;
        loop {
            match told.next(self.outbox.waiting() > 0, pushed) {
                Step::Push => match self.push(now_us, synced).await {
                    Ok(()) => pushed = Some(tonic::Code::Ok.into()),
                    Err(DeviceError::Call(status)) => pushed = Some(status.code().into()),
                    Err(error) => return error,
                },
                Step::Erase => return self.erase().err().unwrap_or(DeviceError::Wiped),
                Step::Later | Step::Stop => return refusal.into(),
            }
        }
    }

    /// The tokens go last: a device that is killed on the way is told again.
    fn erase(&mut self) -> Result<(), Failure<R, O>> {
        self.replica.erase().map_err(DeviceError::Replica)?;
        self.outbox.erase().map_err(DeviceError::Outbox)?;
        self.tokens = Tokens::default();
        self.wiped = true;
        Ok(())
    }

    fn check_wiped(&self) -> Result<(), Failure<R, O>> {
        if self.wiped { Err(DeviceError::Wiped) } else { Ok(()) }
    }

    async fn push_and_pull(&mut self, now_us: i64) -> Result<Synced, Failure<R, O>> {
        self.check_wiped()?;
        let mut synced = Synced::default();
        if self.tokens.access_expires_at_us <= now_us.saturating_add(RENEW_BEFORE_US) {
            self.refresh().await?;
        }
        self.push(now_us, &mut synced).await?;
        self.pull(now_us, &mut synced).await?;
        // The pull told of a lost history, and the outbox asks what is known of all that it keeps.
        if self.outbox.waiting() > 0 {
            self.push(now_us, &mut synced).await?;
            self.pull(now_us, &mut synced).await?;
        }
        Ok(synced)
    }

    /// Pushes until nothing waits.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub async fn push(&mut self, now_us: i64, synced: &mut Synced) -> Result<(), Failure<R, O>> {
        while let Some(request) = self.outbox.request(APP_VERSION, now_us, self.replica.position()) {
            synced.bytes_up += request.encoded_len() as u64;
            let request = self.authorized(request)?;
            let mut client = SyncServiceClient::new(self.channel.clone());
            let response = client.push(request).await.map_err(Box::new)?.into_inner();
            synced.bytes_down += response.encoded_len() as u64;
            synced.min_app_version = Some(response.min_app_version.clone()).filter(|version| !version.is_empty());
            let news = self.outbox.receive(response, now_us).map_err(DeviceError::Outbox)?;
            synced.outcomes.extend(news);
        }
        Ok(())
    }

    /// Pulls to the last checkpoint, and looks whether what is held is still as it came.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub async fn pull(&mut self, now_us: i64, synced: &mut Synced) -> Result<(), Failure<R, O>> {
        loop {
            let mut stream = self.open(now_us, false, synced).await?;
            match self.drain(&mut stream, synced).await? {
                Drained::Complete => break,
                Drained::InventoryWanted => {}
            }
        }
        // Another one each time, also while nothing changes.
        let seed = xxh3_64(&now_us.to_le_bytes());
        let damaged = self.replica.scrub(seed, SCRUB_ROWS).map_err(DeviceError::Replica)?;
        synced.damaged += u32::try_from(damaged.len()).unwrap_or(u32::MAX);
        Ok(())
    }

    /// Opens a stream of changes.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub async fn open(
        &mut self,
        now_us: i64,
        follow: bool,
        synced: &mut Synced,
    ) -> Result<Streaming<PullResponse>, Failure<R, O>> {
        let want = Want {
            app_version: APP_VERSION.to_owned(),
            follow,
            device_clock_us: now_us,
            last_outcome_seq: self.outbox.last_outcome_seq(),
            outbox: Some(self.outbox.summary()),
            ..Want::default()
        };
        let request =
            self.replica.request(&want).map_err(|error| DeviceError::Replica(ReplicaError::Storage(error)))?;
        synced.bytes_up += request.encoded_len() as u64;
        let request = self.authorized(request)?;
        let mut client = SyncServiceClient::new(self.channel.clone()).max_decoding_message_size(4 * 1024 * 1024);
        match client.pull(request).await {
            Ok(stream) => Ok(stream.into_inner()),
            Err(status) => Err(too_old(&status).unwrap_or_else(|| Box::new(status).into())),
        }
    }

    async fn drain(
        &mut self,
        stream: &mut Streaming<PullResponse>,
        synced: &mut Synced,
    ) -> Result<Drained, Failure<R, O>> {
        loop {
            let message = match stream.message().await {
                Ok(Some(message)) => message,
                Ok(None) => {
                    self.replica.cut();
                    return Err(DeviceError::Cut);
                }
                Err(status) => {
                    self.replica.cut();
                    return Err(Box::new(status).into());
                }
            };
            match self.take(message, synced)? {
                Event::InventoryWanted => {
                    self.replica.cut();
                    return Ok(Drained::InventoryWanted);
                }
                Event::Checkpoint { last: true, .. } => {
                    self.replica.cut();
                    return Ok(Drained::Complete);
                }
                Event::Checkpoint { .. }
                | Event::Fork { .. }
                | Event::Planned { .. }
                | Event::Staged { .. }
                | Event::Alive { .. } => {}
            }
        }
    }

    /// Takes one message of a stream.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn take(&mut self, message: PullResponse, synced: &mut Synced) -> Result<Event, Failure<R, O>> {
        synced.bytes_down += message.encoded_len() as u64;
        let event = self.replica.receive(message).map_err(DeviceError::Replica)?;
        match &event {
            Event::Fork { expected_seq } => {
                self.outbox.fork(*expected_seq).map_err(DeviceError::Outbox)?;
            }
            Event::Staged { rows, .. } => synced.rows += u64::from(*rows),
            Event::Checkpoint { group, damaged, .. } => {
                synced.checkpoints += 1;
                synced.damaged += u32::try_from(damaged.len()).unwrap_or(u32::MAX);
                let marks = [(1, &mut synced.bytes_to_today), (2, &mut synced.bytes_to_sell)];
                for (_, mark) in marks.into_iter().filter(|(upto, mark)| *group <= *upto || **mark == 0) {
                    *mark = synced.bytes_down;
                }
            }
            Event::InventoryWanted | Event::Planned { .. } | Event::Alive { .. } => {}
        }
        Ok(event)
    }

    fn authorized<T>(&self, message: T) -> Result<Request<T>, Failure<R, O>> {
        self.check_wiped()?;
        authorized(&self.tokens.access_token, message).map_err(DeviceError::Call)
    }
}

/// What a refusal says to the device, if it shuts it out.
fn told(status: &Status) -> Option<ShutOut> {
    let info = status.get_details_error_info()?;
    shut_out(&info.reason, info.metadata.get("wipe").map(String::as_str))
}

/// What a refusal says, if it is one because of the app's version.
fn too_old<R: Error + 'static, O: Error + 'static>(status: &Status) -> Option<DeviceError<R, O>> {
    let mut info = status.get_details_error_info().filter(|info| info.reason == "APP_TOO_OLD")?;
    Some(DeviceError::AppTooOld { min_app_version: info.metadata.remove("min_app_version").unwrap_or_default() })
}

enum Drained {
    Complete,
    InventoryWanted,
}

/// A request with an access token and a deadline.
///
/// # Errors
/// When the token can't be sent.
pub fn authorized<T>(access_token: &str, message: T) -> Result<Request<T>, Box<Status>> {
    let mut request = Request::new(message);
    let value = MetadataValue::try_from(format!("Bearer {access_token}"))
        .map_err(|_| Box::new(Status::unauthenticated("the access token is not text")))?;
    request.metadata_mut().insert("authorization", value);
    request.set_timeout(CALL);
    Ok(request)
}

/// Logs in, as a device if there is an installation.
///
/// # Errors
/// When the server says no.
pub async fn login(
    channel: Channel,
    (tenant, login, password): (&str, &str, &str),
    installation: Option<Uuid>,
) -> Result<auth::LoginResponse, Box<Status>> {
    let device = installation.map(|installation| auth::Device {
        installation_id: installation.as_bytes().to_vec(),
        name: "device".to_owned(),
        app_version: APP_VERSION.to_owned(),
    });
    let request =
        LoginRequest { tenant: tenant.to_owned(), login: login.to_owned(), password: password.to_owned(), device };
    let answer = AuthServiceClient::new(channel).login(request).await.map_err(Box::new)?;
    Ok(answer.into_inner())
}

/// A command's body, as it is captured.
#[must_use]
pub fn body(command: trade::command::Command) -> Bytes {
    trade::Command { command: Some(command) }.encode_to_vec().into()
}
