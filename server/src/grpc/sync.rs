//! The devices' door: decode, check, call; nothing else.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;

use futures::{Stream, StreamExt as _, stream};
use roundsman_proto::sync::pull_response::Message;
use roundsman_proto::sync::sync_service_server::SyncService;
use roundsman_proto::sync::{PullRequest, PullResponse, PushRequest, PushResponse};
use roundsman_proto::trade::Reason;
use roundsman_sync::limits::{COMMAND_BYTES, DEVICE_BUCKETS, PUSH_BYTES, PUSH_COMMANDS};
use roundsman_sync::outbox::command_number;
use roundsman_sync::trade::rejection::Rejection;
use roundsman_sync::version::Position;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status};
use uuid::Uuid;

use super::detached::detached;
use super::status;
use crate::app::Core;
use crate::app_version::AppVersion;
use crate::auth::authenticate::{caller, lease};
use crate::auth::caller::Caller;
use crate::batch::{Answer, Sender, Submission, Submitted, batch_length};
use crate::commands::Issuer;
use crate::contacts;
use crate::internal::is_server_id;
use crate::lane::LaneError;
use crate::pull::{Outgoing, PATIENCE, Pull, PullError, nothing_new, retry_after};

/// The version of the protocol that this server speaks.
const PROTOCOL_VERSION: u32 = 1;
/// Batches of messages of a pull that wait for a slow device: together less than a megabyte.
const PULL_BATCHES: usize = 2;
/// Pages of a pull that are handed over at once, in bytes, about.
pub const BATCH_BYTES: usize = 128 * 1024;
/// What a request may name of buckets: what a device may hold, and as many that it is about to drop.
const NAMED_BUCKETS: usize = 2 * DEVICE_BUCKETS;
/// A device may tell of at most so many lost commands at once.
const SKIPPED_COMMANDS: i64 = 1_000_000;
/// What a request may name of kinds.
const NAMED_KINDS: usize = 1_000;
/// An app's version has at most this many characters.
const APP_VERSION_CHARS: usize = 64;

/// `roundsman.sync.v1.SyncService`.
#[derive(Clone, Debug)]
pub struct SyncDoor(pub Arc<Core>);

#[tonic::async_trait]
impl SyncService for SyncDoor {
    type PullStream = Pin<Box<dyn Stream<Item = Result<PullResponse, Status>> + Send>>;

    async fn pull(&self, request: Request<PullRequest>) -> Result<Response<Self::PullStream>, Status> {
        let (caller, lease) = (caller(&request)?, lease(&request)?);
        let request = request.into_inner();
        let device = device(&caller)?;
        hear(&self.0, device, &contacts::Request::Pull(&request), &request.app_version)?;
        let refuse = |status: Status| refused(&self.0, device, status);
        check_protocol(request.protocol_version).map_err(refuse)?;
        let named = request.lagging.len() + request.staging.len() + request.inventory.len();
        if named > 3 * NAMED_BUCKETS || request.kinds.len() > NAMED_KINDS {
            return Err(refuse(status::rejected(&Rejection::new(Reason::LimitExceeded).field("inventory"))));
        }
        if let Some(minimum) = wanted_instead_of(&self.0, &request.app_version) {
            let rejection = Rejection::new(Reason::AppTooOld).field("app_version");
            return Err(refuse(status::rejected(&rejection.fact(None, "min_app_version", minimum))));
        }
        if let Some(checkpoint) = nothing_new(&self.0.present, &caller, &request, self.0.clock.now_us()) {
            let answer = PullResponse { message: Some(Message::Checkpoint(checkpoint)) };
            return Ok(Response::new(Box::pin(stream::once(async { Ok(answer) }))));
        }
        let (out, messages) = mpsc::channel(PULL_BATCHES);
        let pull = Pull {
            db: self.0.db.clone(),
            clock: Arc::clone(&self.0.clock),
            present: Arc::clone(&self.0.present),
            contacts: Arc::clone(&self.0.contacts),
            pages: Arc::clone(&self.0.pages),
            tails: self.0.lanes.of(caller.tenant).follow(),
            caller: (*caller).clone(),
            standing: Arc::new(move || lease.check()),
            out: Outgoing::new(out, self.0.clock.machine_time(PATIENCE), BATCH_BYTES),
            fail: self.0.fail.clone(),
        };
        let (ends, end) = oneshot::channel();
        let core = Arc::clone(&self.0);
        tokio::spawn(async move {
            let status = match pull.serve(&request).await {
                Ok(()) | Err(PullError::Gone) => return,
                Err(PullError::Store(error)) => status::of_store(&error),
                Err(PullError::Slow) => status::exhausted(
                    "SLOW_DEVICE",
                    "the device takes nothing of what it is sent; pull again",
                    retry_after(&caller),
                ),
                Err(PullError::Stopping(retry_after)) => status::stopping(retry_after),
                Err(PullError::Ended(status)) => status,
            };
            // Whoever went away needs no reason.
            let _ = ends.send(refused(&core, device, status));
        });
        // The reason has a way of its own: a device that takes nothing has no room for it among the messages.
        let end = stream::once(end).filter_map(async |end| end.ok().map(Err));
        let messages = ReceiverStream::new(messages).flat_map(|batch| stream::iter(batch.into_iter().map(Ok)));
        Ok(Response::new(Box::pin(messages.chain(end))))
    }

    async fn push(&self, request: Request<PushRequest>) -> Result<Response<PushResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let device = device(&caller)?;
        let offset_us = hear(&self.0, device, &contacts::Request::Push(&request), &request.app_version)?;
        check_protocol(request.protocol_version)?;
        let min_app_version = wanted_instead_of(&self.0, &request.app_version).map(AppVersion::to_string);
        let ids = check_commands(&request)?;
        let sender = Sender {
            device: device.1,
            confirmed_seq: request.confirmed_seq,
            last_outcome_seq: request.last_outcome_seq,
            skip: request.skip.map(|skip| (skip.from_seq, skip.to_seq)),
            position: request.position.map(Position::from),
        };
        let sent: HashMap<Uuid, (u32, i64)> = ids
            .iter()
            .zip(&request.commands)
            .map(|(id, command)| (*id, (command_number(&command.body), command.captured_at_us)))
            .collect();
        let received_at_us = self.0.clock.now_us();
        let commands = request.commands.into_iter().zip(ids).map(|(command, id)| Submitted {
            id,
            seq: command.seq,
            // Nothing is captured after it has arrived, whatever a clock says.
            captured_at_us: command.captured_at_us.saturating_sub(offset_us).min(received_at_us),
            clock_correction_us: offset_us.saturating_neg(),
            business_day: command.business_day,
            body: command.body,
        });
        let submission = Submission {
            issuer: Issuer::User((*caller).clone()),
            sender: Some(sender),
            request: status::request_id().map(|id| id.simple().to_string()).unwrap_or_default(),
            received_at_us,
            released: false,
            commands: commands.collect(),
        };
        let core = Arc::clone(&self.0);
        let tenant = caller.tenant;
        let answer = detached(async move { submit(&core, tenant, submission).await.map_err(Status::from) }).await?;
        let decided = answer.results.iter().filter_map(|result| Uuid::from_slice(&result.command_id).ok());
        self.0.contacts.hand_in(device, decided.filter_map(|id| sent.get(&id).copied()));
        Ok(Response::new(PushResponse {
            results: answer.results,
            version: answer.version,
            durable_version: answer.durable_version,
            expected_seq: answer.expected_seq,
            fork: answer.fork,
            server_time_us: self.0.clock.now_us(),
            min_app_version: min_app_version.unwrap_or_default(),
        }))
    }
}

/// Hands commands in, a batch's worth at a time and in order. Without commands it still says what the sender says.
///
/// # Errors
/// See [`LaneError`]; what was committed before is found again when the device repeats its request.
pub async fn submit(core: &Core, tenant: i64, mut submission: Submission) -> Result<Answer, LaneError> {
    let lane = core.lanes.of(tenant);
    let mut rest = std::mem::take(&mut submission.commands);
    let mut whole = Answer::default();
    loop {
        let later = rest.split_off(batch_length(&rest));
        let commands = std::mem::replace(&mut rest, later);
        let sent = commands.len();
        let answer = lane.submit(Submission { commands, ..submission.clone() }).await?;
        let decided = answer.results.len();
        whole.results.extend(answer.results);
        whole = Answer { results: whole.results, fork: whole.fork || answer.fork, ..answer };
        if rest.is_empty() || decided < sent {
            return Ok(whole);
        }
    }
}

/// Whose call it is: the tenant and the device.
fn device(caller: &Caller) -> Result<(i64, Uuid), Status> {
    let device = caller.device.ok_or_else(|| status::internal("the gate let a device's call in without a device"))?;
    Ok((caller.tenant, device))
}

/// Notes what a request tells of its device, once its app's version may be stored.
fn hear(core: &Core, device: (i64, Uuid), request: &contacts::Request<'_>, app_version: &str) -> Result<i64, Status> {
    roundsman_sync::trade::check::text(app_version, APP_VERSION_CHARS, "app_version")
        .map_err(|rejection| status::rejected(&rejection))?;
    Ok(core.contacts.hear(device, request, core.clock.now_us()))
}

/// Notes that a pull was refused, unless the device is only to come again.
fn refused(core: &Core, device: (i64, Uuid), end: Status) -> Status {
    if !matches!(end.code(), Code::Unavailable | Code::Aborted) {
        let reason = status::reason(&end).unwrap_or_else(|| format!("{:?}", end.code()));
        core.contacts.refuse(device, reason, core.clock.now_us());
    }
    end
}

fn check_protocol(protocol: u32) -> Result<(), Status> {
    if protocol != PROTOCOL_VERSION {
        return Err(status::rejected(&Rejection::new(Reason::UnknownValue).field("protocol_version").fact(
            None,
            "spoken_protocol_version",
            PROTOCOL_VERSION,
        )));
    }
    Ok(())
}

/// The oldest version that may pull, when this one is older.
fn wanted_instead_of<'a>(core: &'a Core, app_version: &str) -> Option<&'a AppVersion> {
    core.min_app_version.as_ref().filter(|minimum| !minimum.is_met_by(app_version))
}

/// The ids of the commands, when all of them may be handed in. A command that is too large or has no id can't be stored,
/// so it is an error of the whole request, and nothing of it was done.
fn check_commands(request: &PushRequest) -> Result<Vec<Uuid>, Status> {
    let refuse = |rejection: Rejection| status::rejected(&rejection);
    let limit = |field: &str| refuse(Rejection::new(Reason::LimitExceeded).field(field));
    if let Some(skip) = &request.skip {
        let lost = skip.to_seq.checked_sub(skip.from_seq).filter(|_| skip.from_seq >= 1);
        if !lost.is_some_and(|lost| (0..SKIPPED_COMMANDS).contains(&lost)) {
            return Err(refuse(Rejection::new(Reason::OutOfRange).field("skip")));
        }
    }
    if request.commands.len() > PUSH_COMMANDS {
        return Err(limit("commands"));
    }
    let bytes: usize = request.commands.iter().map(|command| command.body.len()).sum();
    if bytes > PUSH_BYTES || request.commands.iter().any(|command| command.body.len() > COMMAND_BYTES) {
        return Err(limit("commands.body"));
    }
    let mut ids = Vec::with_capacity(request.commands.len());
    for command in &request.commands {
        let id = roundsman_sync::trade::check::id(&command.command_id, "commands.command_id").map_err(refuse)?;
        if is_server_id(id) {
            return Err(refuse(Rejection::new(Reason::BadId).field("commands.command_id")));
        }
        if command.seq < 1 {
            return Err(refuse(Rejection::new(Reason::OutOfRange).field("commands.seq")));
        }
        ids.push(id);
    }
    Ok(ids)
}
