//! The office: whoever sets a server up and changes what devices hold, through the doors that everybody uses.

use anyhow::Context as _;
use roundsman::clock::{Clock, Random};
use roundsman::device;
use roundsman_proto::admin::admin_service_client::AdminServiceClient;
use roundsman_proto::admin::office_service_client::OfficeServiceClient;
use roundsman_proto::admin::{CreateUserRequest, ExecuteRequest};
use roundsman_proto::auth::auth_service_client::AuthServiceClient;
use roundsman_proto::auth::{ClaimServerRequest, Role};
use roundsman_proto::sync::Status;
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::{self, ImportRecords, RecordToImport};
use tonic::transport::Channel;
use uuid::Uuid;

use crate::bench::Bench;
use crate::database::Database;
use crate::goods::bytes;
use crate::phone;
use crate::server::{self, Server};

/// The name of the tenant that is there when a server was claimed.
pub const TENANT: &str = "Bench";
/// Everybody's password.
pub const PASSWORD: &str = "correct horse battery staple";

const ADMIN: &str = "admin";

/// An administrator at a desk.
#[derive(Debug)]
pub struct Office<'b> {
    /// The surroundings of the run.
    pub bench: &'b Bench,
    /// The tenant's name.
    pub tenant: String,
    channel: Channel,
    token: String,
}

impl<'b> Office<'b> {
    /// Claims a new server.
    pub async fn claim(bench: &'b Bench, server: &Server) -> anyhow::Result<Self> {
        let request = ClaimServerRequest {
            setup_code: server.setup_code()?,
            tenant: TENANT.to_owned(),
            login: ADMIN.to_owned(),
            password: PASSWORD.to_owned(),
        };
        let channel = phone::connect(server.address).await?;
        AuthServiceClient::new(channel).claim_server(request).await.context("the server can't be claimed")?;
        Self::open(bench, server).await
    }

    /// Makes a further tenant, in the database of a server that was claimed before.
    pub async fn found(bench: &'b Bench, server: &Server, database: &Database, tenant: &str) -> anyhow::Result<Self> {
        server::create_tenant(&bench.program, &database.url, tenant, (ADMIN, PASSWORD))?;
        Self::of(bench, server, tenant).await
    }

    /// Logs in at a server that was claimed before.
    pub async fn open(bench: &'b Bench, server: &Server) -> anyhow::Result<Self> {
        Self::of(bench, server, TENANT).await
    }

    async fn of(bench: &'b Bench, server: &Server, tenant: &str) -> anyhow::Result<Self> {
        let channel = phone::connect(server.address).await?;
        let token = log_in(channel.clone(), tenant, ADMIN).await?;
        Ok(Self { bench, tenant: tenant.to_owned(), channel, token })
    }

    /// Makes the user who a rep is.
    pub async fn user(&self, login: &str, rep: Uuid) -> anyhow::Result<()> {
        self.create(login, Role::Rep, bytes(rep)).await
    }

    /// Makes a logistician, and logs in as one.
    pub async fn logistician(&self, login: &str) -> anyhow::Result<Caller> {
        self.create(login, Role::Logistics, Vec::new()).await?;
        let token = log_in(self.channel.clone(), &self.tenant, login).await?;
        Ok(Caller { channel: self.channel.clone(), token, random: Random::from_machine()? })
    }

    async fn create(&self, login: &str, role: Role, rep_id: Vec<u8>) -> anyhow::Result<()> {
        let request = CreateUserRequest {
            user_id: bytes(self.bench.id()),
            login: login.to_owned(),
            password: PASSWORD.to_owned(),
            role: role.into(),
            rep_id,
            team_id: Vec::new(),
        };
        let request = device::authorized(&self.token, request)?;
        AdminServiceClient::new(self.channel.clone()).create_user(request).await.context("a user can't be made")?;
        Ok(())
    }

    /// Has a command carried out; returns the version that carries it.
    pub async fn execute(&self, command: Command) -> anyhow::Result<i64> {
        execute(&self.channel, &self.token, self.bench.id(), command).await
    }

    /// For commands that don't wait for one another.
    pub fn caller(&self) -> anyhow::Result<Caller> {
        let random = Random::from_machine()?;
        Ok(Caller { channel: self.channel.clone(), token: self.token.clone(), random })
    }

    /// Imports records, at most 1,000 of them; returns their version.
    pub async fn import(&self, records: Vec<RecordToImport>) -> anyhow::Result<i64> {
        self.execute(Command::ImportRecords(ImportRecords { records })).await
    }
}

async fn log_in(channel: Channel, tenant: &str, login: &str) -> anyhow::Result<String> {
    let answer = device::login(channel, (tenant, login, PASSWORD), None).await.context("the login at a desk")?;
    Ok(answer.tokens.context("a login without tokens")?.access_token)
}

/// Somebody at a desk who outlives what surrounds the office, for tasks.
#[derive(Debug)]
pub struct Caller {
    /// The connection.
    pub channel: Channel,
    /// The access token.
    pub token: String,
    random: Random,
}

impl Caller {
    /// A new id.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.random.uuid(Clock::Machine.now_us())
    }

    /// See [`Office::execute`].
    pub async fn execute(&self, command: Command) -> anyhow::Result<i64> {
        execute(&self.channel, &self.token, self.id(), command).await
    }
}

async fn execute(channel: &Channel, token: &str, id: Uuid, command: Command) -> anyhow::Result<i64> {
    let command = Some(trade::Command { command: Some(command) });
    let request = device::authorized(token, ExecuteRequest { command_id: bytes(id), command })?;
    let answer = OfficeServiceClient::new(channel.clone()).execute(request).await?.into_inner();
    let outcome = answer.outcome.context("a command without an outcome")?;
    anyhow::ensure!(outcome.status() == Status::Applied, "the office's command was not applied: {outcome:?}");
    Ok(answer.version)
}
