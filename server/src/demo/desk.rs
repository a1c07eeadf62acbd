//! Somebody at a desk: the administrator, the office, logistics, a supervisor. Calls are repeated under the same command
//! id until the server answers, so that its death in between changes nothing.

use std::time::Duration;

use roundsman_proto::admin::office_service_client::OfficeServiceClient;
use roundsman_proto::admin::{ExecuteRequest, ExecuteResponse};
use roundsman_proto::auth::auth_service_client::AuthServiceClient;
use roundsman_proto::auth::{RefreshRequest, Tokens};
use roundsman_proto::trade::{self, command::Command};
use tokio::time::Instant;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};
use uuid::Uuid;

use super::world::{PASSWORD, TENANT, bytes, login};
use crate::device;

/// A token is renewed when it is this old, by the machine's clock: sessions don't end faster because the day does.
pub const RENEW_AFTER: Duration = Duration::from_secs(5 * 60);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(25);
/// After so many attempts the demo gives up.
const ATTEMPTS: u32 = 800;

/// Whether a call may succeed when it is repeated.
#[must_use]
pub fn is_passing(status: &Status) -> bool {
    let code = status.code();
    let lost = matches!(code, Code::Unavailable | Code::Cancelled | Code::DeadlineExceeded | Code::Aborted);
    // A connection that breaks within an answer.
    lost || matches!(code, Code::ResourceExhausted | Code::Unknown | Code::Internal)
}

/// Somebody who has logged in without a device.
#[derive(Debug)]
pub struct Desk {
    name: &'static str,
    channel: Channel,
    tokens: Tokens,
    renewed: Option<Instant>,
}

impl Desk {
    /// Somebody who will log in with the first call.
    #[must_use]
    pub fn new(name: &'static str, channel: Channel) -> Self {
        Self { name, channel, tokens: Tokens::default(), renewed: None }
    }

    /// An access token that is still good for a while.
    ///
    /// # Errors
    /// When the server says no.
    pub async fn token(&mut self) -> Result<String, Box<Status>> {
        if self.renewed.is_none_or(|renewed| renewed.elapsed() > RENEW_AFTER) {
            let now = Instant::now();
            self.tokens = match self.renewed().await {
                Some(tokens) => tokens,
                None => {
                    let who = (TENANT, &*login(self.name), PASSWORD);
                    let answer = device::login(self.channel.clone(), who, None).await?;
                    answer.tokens.unwrap_or_default()
                }
            };
            self.renewed = Some(now);
        }
        Ok(self.tokens.access_token.clone())
    }

    /// New tokens for the refresh token. A token that was sent before a crash may be used up: then it takes a login.
    async fn renewed(&mut self) -> Option<Tokens> {
        let refresh_token = std::mem::take(&mut self.tokens.refresh_token);
        if refresh_token.is_empty() {
            return None;
        }
        let answer = AuthServiceClient::new(self.channel.clone()).refresh(RefreshRequest { refresh_token }).await;
        answer.ok()?.into_inner().tokens
    }

    /// Calls until there is an answer that repeating would not change.
    ///
    /// # Errors
    /// That answer, if it is a refusal.
    pub async fn call<M, R, F>(&mut self, message: M, send: impl Fn(Channel, Request<M>) -> F) -> Result<R, Box<Status>>
    where
        M: Clone,
        F: Future<Output = Result<Response<R>, Status>>,
    {
        let mut attempts = 0;
        loop {
            let answer = match self.token().await {
                Ok(token) => {
                    let request = device::authorized(&token, message.clone())?;
                    send(self.channel.clone(), request).await.map(Response::into_inner).map_err(Box::new)
                }
                Err(status) => Err(status),
            };
            attempts += 1;
            match answer {
                Err(status) if status.code() == Code::Unauthenticated && attempts < ATTEMPTS => {
                    self.renewed = None;
                    tokio::time::sleep(PAUSE).await;
                }
                Err(status) if is_passing(&status) && attempts < ATTEMPTS => tokio::time::sleep(PAUSE).await,
                other => return other,
            }
        }
    }

    /// Has a command decided.
    ///
    /// # Errors
    /// When the call is refused; a rejection is an answer.
    pub async fn execute(&mut self, id: Uuid, command: Command) -> Result<ExecuteResponse, Box<Status>> {
        let command = Some(trade::Command { command: Some(command) });
        let request = ExecuteRequest { command_id: bytes(id), command };
        self.call(request, |channel, request| async move { OfficeServiceClient::new(channel).execute(request).await })
            .await
    }
}
