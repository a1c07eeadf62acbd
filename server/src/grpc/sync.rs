//! The devices' door: decode, check, call; nothing else.

use std::sync::Arc;

use roundsman_proto::sync::sync_service_server::SyncService;
use roundsman_proto::sync::{self as proto, PullRequest, PullResponse, PushRequest, PushResponse};
use roundsman_sync::limits::{COMMAND_BYTES, DEVICE_BUCKETS, PUSH_BYTES, PUSH_COMMANDS};
use roundsman_sync::version::Position;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::status::{self, Invalid};
use crate::app::Core;
use crate::auth::authenticate::{Session, session};
use crate::batch::{BATCH_COMMANDS, Answer, Sender, Submission, Submitted};
use crate::commands::Issuer;
use crate::pull::{Pull, PullError};

/// The version of the protocol that this server speaks.
const PROTOCOL_VERSION: u32 = 1;
/// Messages of a pull that wait for a slow device: at most about a megabyte.
const PULL_MESSAGES: usize = 3;
/// Staging cursors, lagging buckets and the inventory are bounded by what a device may hold, with room for what it drops.
const NAMED_BUCKETS: usize = 2 * DEVICE_BUCKETS;

/// `roundsman.sync.v1.SyncService`.
#[derive(Clone, Debug)]
pub struct SyncDoor(pub Arc<Core>);

#[tonic::async_trait]
impl SyncService for SyncDoor {
    type PullStream = ReceiverStream<Result<PullResponse, Status>>;

    async fn pull(&self, request: Request<PullRequest>) -> Result<Response<Self::PullStream>, Status> {
        let session = session(&request)?;
        let request = request.into_inner();
        check_version(request.protocol_version)?;
        check_pull(&request)?;
        let core = Arc::clone(&self.0);
        hear(&core, &session, request.device_clock_us, request.outbox);
        let (out, messages) = mpsc::channel(PULL_MESSAGES);
        let pull = Pull {
            db: core.db.clone(),
            clock: Arc::clone(&core.clock),
            caller: session.caller.clone(),
            standing: Arc::new(move || session.check()),
            out: out.clone(),
            tails: core.lanes.of(session_tenant(&request, &core, &out)?).follow(),
        };
        tokio::spawn(async move {
            let end = match pull.serve(&request).await {
                Ok(()) | Err(PullError::Gone) => return,
                Err(PullError::Store(error)) => status::of_store(&error),
                Err(PullError::Ended(status)) => status,
            };
            // Whoever went away needs no reason.
            let _ = out.send(Err(end)).await;
        });
        Ok(Response::new(ReceiverStream::new(messages)))
    }

    async fn push(&self, request: Request<PushRequest>) -> Result<Response<PushResponse>, Status> {
        let session = session(&request)?;
        let device = session.device()?;
        let request_id = status::request_id(&request);
        let request = request.into_inner();
        check_version(request.protocol_version)?;
        let commands = check_push(&request)?;
        let core = Arc::clone(&self.0);
        let received_at_us = core.clock.now_us();
        let offset_us = hear(&core, &session, request.device_clock_us, request.outbox);
        let mut chunks: Vec<Vec<Submitted>> = Vec::new();
        for (command, id) in request.commands.into_iter().zip(commands) {
            if chunks.last().is_none_or(|chunk| chunk.len() == BATCH_COMMANDS) {
                chunks.push(Vec::new());
            }
            let submitted = Submitted {
                id,
                seq: command.seq,
                captured_at_us: command.captured_at_us.saturating_sub(offset_us),
                clock_correction_us: -offset_us,
                business_day: command.business_day,
                body: command.body,
            };
            chunks.last_mut().expect("there is a chunk").push(submitted);
        }
        let sender = Sender {
            device,
            confirmed_seq: request.confirmed_seq,
            last_outcome_seq: request.last_outcome_seq,
            skip: request.skip.map(|skip| (skip.from_seq, skip.to_seq)),
            position: request.position.map(Position::from),
        };
        let first = Submission {
            issuer: Issuer::User(session.caller.clone()),
            sender: Some(sender),
            request: request_id,
            received_at_us,
            commands: Vec::new(),
        };
        let answer = push_chunks(&core, first, chunks).await?;
        Ok(Response::new(PushResponse {
            results: answer.results,
            version: answer.version,
            durable_version: answer.durable_version,
            expected_seq: answer.expected_seq,
            fork: answer.fork,
            server_time_us: core.clock.now_us(),
        }))
    }
}

/// Hands the commands in, a batch's worth at a time, in order; a request without commands still says what it says.
async fn push_chunks(core: &Core, first: Submission, chunks: Vec<Vec<Submitted>>) -> Result<Answer, Status> {
    let Issuer::User(caller) = &first.issuer else { return Err(Status::internal("a push has a user")) };
    let lane = core.lanes.of(caller.tenant);
    let mut whole: Option<Answer> = None;
    let chunks = if chunks.is_empty() { vec![Vec::new()] } else { chunks };
    for commands in chunks {
        let answer = lane.submit(Submission { commands, ..first.clone() }).await.map_err(|e| status::of_lane(&e))?;
        let stopped = answer.expected_seq != 0 && !answer.fork;
        whole = Some(match whole {
            None => answer,
            Some(before) => {
                let results = before.results.into_iter().chain(answer.results).collect();
                Answer { results, fork: before.fork || answer.fork, ..answer }
            }
        });
        if stopped {
            break;
        }
    }
    Ok(whole.unwrap_or_default())
}
