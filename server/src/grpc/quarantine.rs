//! The door of `roundsman.admin.v1.QuarantineService`.

use std::sync::Arc;

use prost::Message as _;
use roundsman_proto::admin as proto;
use roundsman_proto::admin::quarantine_service_server::QuarantineService;
use roundsman_proto::sync::{Outcome, Status as Decision};
use roundsman_proto::trade::{self, Reason};
use roundsman_sync::trade::rejection::Rejection;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::admin::cut;
use super::auth::bytes;
use super::detached::detached;
use super::fields::Fields;
use super::status;
use crate::app::Core;
use crate::auth::authenticate::caller;
use crate::auth::caller::Caller;
use crate::batch::{Submission, Submitted};
use crate::commands::{self, Issuer};
use crate::store::account;
use crate::store::command::{self, Arrival, Quarantined};

/// A comment has at most so many characters.
const COMMENT_CHARS: usize = 500;

/// Shows an administrator what the server could not decide, and lets it be decided.
#[derive(Clone, Debug)]
pub struct QuarantineDoor(pub Arc<Core>);

#[tonic::async_trait]
impl QuarantineService for QuarantineDoor {
    async fn list_quarantined_commands(
        &self,
        request: Request<proto::ListQuarantinedCommandsRequest>,
    ) -> Result<Response<proto::ListQuarantinedCommandsResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let mut fields = Fields::default();
        let size = fields.page_size("page_size", request.page_size);
        let after = after(&mut fields, &request.page_token);
        fields.check()?;
        let db = self.0.db.clone();
        let mut page = detached(async move {
            let mut tx = db.read().await?;
            // One more than asked for tells whether there is a next page.
            Ok(command::quarantined(&mut tx, caller.tenant, after, size + 1).await?)
        })
        .await?;
        let next_page_token = cut(&mut page, size, |last| {
            let (received_at, seq, command) = last.arrival();
            [received_at.to_be_bytes().as_slice(), &seq.to_be_bytes(), command.as_bytes()].concat()
        });
        let commands = page.into_iter().map(|entry| shown(&entry)).collect();
        Ok(Response::new(proto::ListQuarantinedCommandsResponse { commands, next_page_token }))
    }

    async fn get_quarantined_command(
        &self,
        request: Request<proto::GetQuarantinedCommandRequest>,
    ) -> Result<Response<proto::GetQuarantinedCommandResponse>, Status> {
        let caller = caller(&request)?;
        let id = id(&request.into_inner().command_id)?;
        let entry = self.find(&caller, id).await?;
        let command = trade::Command::decode(entry.body.as_slice()).ok().filter(|command| command.command.is_some());
        Ok(Response::new(proto::GetQuarantinedCommandResponse { quarantined: Some(shown(&entry)), command }))
    }

    async fn replay_quarantined_command(
        &self,
        request: Request<proto::ReplayQuarantinedCommandRequest>,
    ) -> Result<Response<proto::ReplayQuarantinedCommandResponse>, Status> {
        let caller = caller(&request)?;
        let id = id(&request.into_inner().command_id)?;
        let entry = self.find(&caller, id).await?;
        let issuer = self.issuer(&caller, &entry).await?;
        tracing::info!(command = %id, user = %caller.user, "a command is let out of quarantine");
        let submission = Submission {
            issuer,
            sender: None,
            request: status::request_id().map(|id| id.simple().to_string()).unwrap_or_default(),
            received_at_us: entry.received_at,
            released: true,
            commands: vec![Submitted {
                id,
                seq: entry.seq,
                captured_at_us: entry.captured_at,
                clock_correction_us: 0,
                business_day: i32::try_from(entry.business_day).unwrap_or_default(),
                body: entry.body.into(),
            }],
        };
        let lane = self.0.lanes.of(caller.tenant);
        let answer = detached(async move { lane.submit(submission).await.map_err(Status::from) }).await?;
        let outcome = answer.results.into_iter().next().and_then(|result| result.outcome);
        Ok(Response::new(proto::ReplayQuarantinedCommandResponse { outcome, version: answer.version }))
    }

    async fn discard_quarantined_command(
        &self,
        request: Request<proto::DiscardQuarantinedCommandRequest>,
    ) -> Result<Response<proto::DiscardQuarantinedCommandResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let id = id(&request.command_id)?;
        let mut fields = Fields::default();
        let text = fields.text("comment", request.comment, 1..=COMMENT_CHARS);
        fields.check()?;
        let outcome = Outcome { text, ..commands::outcome(Decision::Rejected, Reason::Discarded) };
        let (db, tenant, kept) = (self.0.db.clone(), caller.tenant, outcome.clone());
        let gone = detached(async move {
            let mut tx = db.write_tenant(tenant).await?;
            let gone = command::discard(&mut tx, tenant, id, &kept).await?;
            if gone {
                tx.commit().await?;
            }
            Ok(gone)
        })
        .await?;
        if !gone {
            return Err(missing(id));
        }
        tracing::info!(command = %id, user = %caller.user, "a command in quarantine is discarded");
        Ok(Response::new(proto::DiscardQuarantinedCommandResponse { outcome: Some(outcome) }))
    }
}

impl QuarantineDoor {
    async fn find(&self, caller: &Caller, id: Uuid) -> Result<Quarantined, Status> {
        let (db, tenant) = (self.0.db.clone(), caller.tenant);
        let found = detached(async move {
            let mut tx = db.read().await?;
            Ok(command::find_quarantined(&mut tx, tenant, id).await?)
        })
        .await?;
        found.ok_or_else(|| missing(id))
    }

    /// Whoever captured it, as they are now; nobody before it may be about the same record.
    async fn issuer(&self, caller: &Caller, entry: &Quarantined) -> Result<Issuer, Status> {
        let (db, tenant, entry) = (self.0.db.clone(), caller.tenant, entry.clone());
        let (actor, device) = (entry.actor, entry.device);
        let (ahead, user) = detached(async move {
            let mut tx = db.read().await?;
            let ahead = command::ahead_of(&mut tx, tenant, &entry).await?;
            Ok((ahead, account::find_user(&mut tx, tenant, entry.actor).await?))
        })
        .await?;
        if let Some(ahead) = ahead {
            return Err(status::rejected(&Rejection::new(Reason::DependsOnQuarantined).about(ahead)));
        }
        match user {
            Some((user, _)) => Ok(Issuer::User(Caller {
                tenant,
                user: user.id,
                role: user.role,
                rep: user.rep,
                team: user.team,
                device,
            })),
            None if actor.is_nil() => Ok(Issuer::Server),
            None => Err(status::rejected(&Rejection::new(Reason::NotFound).field("user").about(actor))),
        }
    }
}

fn id(id: &[u8]) -> Result<Uuid, Status> {
    roundsman_sync::trade::check::id(id, "command_id").map_err(|rejection| status::rejected(&rejection))
}

fn missing(id: Uuid) -> Status {
    status::rejected(&Rejection::new(Reason::NotFound).field("command_id").about(id))
}

fn after(fields: &mut Fields, token: &str) -> Arrival {
    let Some(token) = fields.page_token("page_token", token) else {
        return (i64::MIN, 0, Uuid::nil());
    };
    let arrival = token.split_first_chunk::<8>().and_then(|(received_at, rest)| {
        let (seq, command) = rest.split_first_chunk::<8>()?;
        Some((i64::from_be_bytes(*received_at), i64::from_be_bytes(*seq), Uuid::from_slice(command).ok()?))
    });
    if arrival.is_none() {
        fields.wrong_page_token("page_token");
    }
    arrival.unwrap_or_default()
}

fn shown(entry: &Quarantined) -> proto::QuarantinedCommand {
    let command = trade::Command::decode(entry.body.as_slice()).ok().and_then(|command| command.command);
    proto::QuarantinedCommand {
        command_id: bytes(entry.command),
        name: command.map(|command| commands::of(&command).name().to_owned()).unwrap_or_default(),
        record_id: entry.target.map(bytes).unwrap_or_default(),
        user_id: Some(entry.actor).filter(|actor| !actor.is_nil()).map(bytes).unwrap_or_default(),
        device_id: entry.device.map(bytes).unwrap_or_default(),
        seq: entry.seq,
        captured_at_us: entry.captured_at,
        received_at_us: entry.received_at,
        error: entry.error.clone(),
    }
}
