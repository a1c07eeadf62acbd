//! A server with a database, entered by its handlers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prost::Message as _;
use roundsman::auth::authenticate::admit;
use roundsman::auth::caller::Caller;
use roundsman::auth::token::Access;
use roundsman::auth::{AuthError, Secret, session};
use roundsman::device;
use roundsman::grpc::sync::SyncDoor;
use roundsman::verify;
use roundsman_proto::sync::sync_service_server::SyncService as _;
use roundsman_proto::sync::{PullRequest, PushRequest, Status};
use tokio::runtime::Handle;
use tokio_stream::StreamExt as _;
use tonic::codegen::http::header;
use tonic::{Code, Request};
use uuid::Uuid;

use super::Taken;
use super::corpus::{Corpus, push};
use super::mutate::{by_byte, mutated};
use crate::app::{PASSWORD, TENANT, TestApp};
use crate::database::Kind;
use crate::simulation::Dice;
use crate::world::World;

const PUSH: &str = "/roundsman.sync.v1.SyncService/Push";
const PULL: &str = "/roundsman.sync.v1.SyncService/Pull";

/// The server, with a device that is let in.
pub struct Door {
    /// Who and what there is.
    pub world: World,
    app: TestApp,
    runtime: Handle,
    access_token: String,
    access: Access,
    refresh_token: String,
    devices: AtomicU64,
}

impl Door {
    /// On a database of its own, in memory where there is such a place.
    pub async fn open() -> Self {
        let app = TestApp::start(Kind::Sqlite).await;
        let world = World::make(&app).await;
        let tokens = async || {
            let login = device::login(app.channel.clone(), (TENANT, "anna", PASSWORD), Some(app.id())).await;
            login.expect("logs in").tokens.expect("tokens")
        };
        // A token that is almost right ends its session, so it is another one's.
        let (tokens, others) = (tokens().await, tokens().await);
        let access = app.core.auth.tokens.verify(&tokens.access_token, app.now_us()).expect("is good");
        Self {
            world,
            app,
            runtime: Handle::current(),
            access_token: tokens.access_token,
            access,
            refresh_token: others.refresh_token,
            devices: AtomicU64::new(1),
        }
    }

    /// Ends the server.
    ///
    /// # Errors
    /// When what is derived is not right.
    pub async fn close(self) -> Result<(), String> {
        let findings = verify::verify(&self.app.core.db, self.world.tenant).await.map_err(|error| error.to_string())?;
        self.app.finish().await;
        if findings.is_empty() { Ok(()) } else { Err(findings.join("; ")) }
    }

    /// Nobody is let in as somebody else.
    pub(super) fn access_token(&self, dice: &Dice) -> Result<Taken, String> {
        let token = changed(dice, &self.access_token);
        match self.app.core.auth.tokens.verify(&token, self.app.now_us()) {
            Ok(access) if access == self.access => Ok(true),
            Ok(access) => Err(format!("{token} lets {access:?} in")),
            Err(_) => Ok(false),
        }
    }

    /// Only the token that was given is good; and it is spared.
    pub(super) fn refresh_token(&self, dice: &Dice) -> Result<Taken, String> {
        let token = changed(dice, &self.refresh_token);
        if token.eq_ignore_ascii_case(&self.refresh_token) {
            return Ok(true);
        }
        match self.runtime.block_on(session::refresh(&self.app.core.auth, &Secret::new(&*token), None)) {
            Err(AuthError::Refused(_)) => Ok(false),
            Err(error) => Err(error.to_string()),
            Ok(_) => Err(format!("{token} is good, and was never given")),
        }
    }

    /// A device pushes, and pulls. Whatever it says, the fault is its own.
    pub(super) fn enter(&self, dice: &Dice, corpus: &Corpus) -> Result<Taken, String> {
        let fresh = self.devices.fetch_add(1, Ordering::SeqCst);
        let device = Uuid::from_u128(0x0194_0000_0000_7000_8000_0000_0000_0000 | u128::from(fresh));
        if dice.chance(70) {
            // Whole on the outside, so that what is inside gets somewhere.
            let bodies: Vec<Vec<u8>> = (0..dice.size(1, 4)).map(|_| mutated(dice, &corpus.commands)).collect();
            let mut request = push(&bodies);
            for command in &mut request.commands {
                if dice.chance(90) {
                    command.command_id = dice.id().as_bytes().to_vec();
                }
            }
            return self.runtime.block_on(self.push(device, request));
        }
        if dice.chance(50) {
            let Ok(request) = PushRequest::decode(&*mutated(dice, &corpus.pushes)) else { return Ok(false) };
            return self.runtime.block_on(self.push(device, request));
        }
        let Ok(request) = PullRequest::decode(&*mutated(dice, &corpus.pulls)) else { return Ok(false) };
        // It would wait for news.
        self.runtime.block_on(self.pull(device, PullRequest { follow: false, ..request }))
    }

    async fn push(&self, device: Uuid, request: PushRequest) -> Result<Taken, String> {
        let sent = request.commands.len();
        let answer = match SyncDoor(Arc::clone(&self.app.core)).push(self.let_in(PUSH, device, request)?).await {
            Ok(answer) => answer.into_inner(),
            Err(status) => return refused(&status),
        };
        let outcomes: Vec<_> = answer.results.into_iter().filter_map(|result| result.outcome).collect();
        if outcomes.len() > sent {
            return Err(format!("{sent} commands have {} outcomes", outcomes.len()));
        }
        match outcomes.iter().find(|outcome| outcome.status() == Status::Quarantined) {
            Some(fault) => Err(format!("the server could not decide: {fault:?}")),
            None => Ok(outcomes.iter().any(|outcome| outcome.status() == Status::Applied)),
        }
    }

    async fn pull(&self, device: Uuid, request: PullRequest) -> Result<Taken, String> {
        let mut stream = match SyncDoor(Arc::clone(&self.app.core)).pull(self.let_in(PULL, device, request)?).await {
            Ok(answer) => answer.into_inner(),
            Err(status) => return refused(&status),
        };
        while let Some(message) = stream.next().await {
            if let Err(status) = message {
                return refused(&status);
            }
        }
        Ok(true)
    }

    /// As the gate does it; each device is one of Anna's.
    fn let_in<T>(&self, path: &str, device: Uuid, message: T) -> Result<Request<T>, String> {
        let mut request = Request::new(message);
        let bearer = format!("Bearer {}", self.access_token).parse().map_err(|error| format!("{error:?}"))?;
        let headers = [(header::AUTHORIZATION, bearer)].into_iter().collect();
        let lease = admit(&self.app.core.auth, path, &headers).map_err(|refusal| format!("{refusal:?}"))?;
        let caller = Caller { device: Some(device), ..(*self.access.caller).clone() };
        request.extensions_mut().insert(Arc::new(caller));
        request.extensions_mut().insert(lease.ok_or("the method lets anybody in")?);
        Ok(request)
    }
}

/// Mostly the same text.
fn changed(dice: &Dice, token: &str) -> String {
    let mut bytes = token.as_bytes().to_vec();
    for _ in 0..dice.size(0, 2) {
        bytes = by_byte(dice, bytes, &[token.as_bytes().to_vec()]);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A refusal of the request, and not a fault of ours.
fn refused(status: &tonic::Status) -> Result<Taken, String> {
    const OURS: [Code; 5] = [Code::Internal, Code::Unknown, Code::DataLoss, Code::Unavailable, Code::Cancelled];
    if OURS.contains(&status.code()) { Err(format!("{status:?}")) } else { Ok(false) }
}
