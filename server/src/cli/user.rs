//! `roundsman user`: who may log in.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use roundsman_proto::admin::admin_service_client::AdminServiceClient;
use roundsman_proto::admin::{CreateUserRequest, ListUsersRequest, User};
use roundsman_proto::auth;
use roundsman_sync::trade::check;
use serde_json::json;
use uuid::Uuid;

use super::client::{self, Login, Session};
use super::print;
use crate::auth::Secret;
use crate::exchange::key;

/// Users in one page.
const PAGE: i32 = 1_000;

/// What can be done with users; each needs an administrator's login.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Makes a user. Called again with the same password, it changes nothing.
    Create(Create),
    /// Lists all users by login.
    List(List),
}

/// A new user.
#[derive(Debug, clap::Args)]
pub struct Create {
    /// The administrator who does this.
    #[command(flatten)]
    pub login: Login,
    /// The new user's login, 1 to 64 characters; capitals don't matter.
    #[arg(value_name = "USER")]
    pub user: String,
    /// What the user may do.
    #[arg(long, value_enum)]
    pub role: Role,
    /// The rep that the user is, by code or UUID; only and always with `--role rep`.
    #[arg(long, value_name = "CODE")]
    pub rep: Option<String>,
    /// The team that the user supervises, by code or UUID; only and always with `--role supervisor`.
    #[arg(long, value_name = "CODE")]
    pub team: Option<String>,
    /// A file that holds the new user's password, 12 to 128 characters; `-` is standard input. Without it the password is
    /// taken from the environment variable ROUNDSMAN_NEW_PASSWORD.
    #[arg(long, value_name = "FILE")]
    pub new_password_file: Option<PathBuf>,
}

/// How users are listed.
#[derive(Debug, clap::Args)]
pub struct List {
    /// The administrator who does this.
    #[command(flatten)]
    pub login: Login,
    /// As JSON, for machines.
    #[arg(long)]
    pub json: bool,
}

/// What a user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// A trade representative, with a replica of the own territories.
    Rep,
    /// Supervises a team, with a replica of its territories.
    Supervisor,
    /// Turns orders into shipments.
    Logistics,
    /// Edits outlets, prices, debts, orders and assignments.
    Office,
    /// Manages users and devices, and may do what the office may.
    Admin,
    /// A system, such as the ERP.
    Integration,
    /// Brings shipments to outlets, with a replica of the own trips.
    Driver,
}

impl Role {
    fn known(self) -> auth::Role {
        match self {
            Self::Rep => auth::Role::Rep,
            Self::Supervisor => auth::Role::Supervisor,
            Self::Logistics => auth::Role::Logistics,
            Self::Driver => auth::Role::Driver,
            Self::Office => auth::Role::Office,
            Self::Admin => auth::Role::Admin,
            Self::Integration => auth::Role::Integration,
        }
    }
}

/// Does it.
///
/// # Errors
/// When the server can't be reached, or says no.
pub async fn run(verb: Verb) -> anyhow::Result<()> {
    match verb {
        Verb::Create(args) => {
            let password =
                client::secret(args.new_password_file.as_deref(), "--new-password-file", "ROUNDSMAN_NEW_PASSWORD")?;
            let mut session = args.login.open().await?;
            let created = create(&mut session, request(&args, &password)).await;
            session.close().await;
            print::line(format_args!("{} has the id {}", args.user, created?));
        }
        Verb::List(args) => {
            let mut session = args.login.open().await?;
            let users = list(&mut session).await;
            session.close().await;
            show(&users?, args.json);
        }
    }
    Ok(())
}

fn request(args: &Create, password: &Secret) -> CreateUserRequest {
    let named = |code: &Option<String>, kind| check::bytes(code.as_deref().map(|code| key::reference(kind, code)));
    CreateUserRequest {
        user_id: key::user(&args.login.tenant, &args.user).as_bytes().to_vec(),
        login: args.user.clone(),
        password: password.expose().to_owned(),
        role: args.role.known().into(),
        rep_id: named(&args.rep, "rep"),
        team_id: named(&args.team, "team"),
    }
}

/// Makes a user, and says the id.
///
/// # Errors
/// When the server says no.
pub async fn create(session: &mut Session, request: CreateUserRequest) -> anyhow::Result<Uuid> {
    let id = Uuid::from_slice(&request.user_id)?;
    session.call(request, async |channel, request| AdminServiceClient::new(channel).create_user(request).await).await?;
    Ok(id)
}

/// All users, by login.
///
/// # Errors
/// When the server says no.
pub async fn list(session: &mut Session) -> anyhow::Result<Vec<User>> {
    let mut users = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListUsersRequest { page_size: PAGE, page_token };
        let page = session
            .call(request, async |channel, request| AdminServiceClient::new(channel).list_users(request).await)
            .await?;
        users.extend(page.users);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(users);
        }
    }
}

/// An id as text; empty: there is none.
pub(super) fn id(bytes: &[u8]) -> String {
    Uuid::from_slice(bytes).map(|id| id.to_string()).unwrap_or_default()
}

fn role(user: &User) -> String {
    user.role().as_str_name().trim_start_matches("ROLE_").to_lowercase()
}

fn show(users: &[User], as_json: bool) {
    if as_json {
        let user = |user: &User| {
            json!({
                "user_id": id(&user.user_id),
                "login": user.login,
                "role": role(user),
                "rep_id": id(&user.rep_id),
                "team_id": id(&user.team_id),
                "disabled": user.disabled,
            })
        };
        return print::json(&users.iter().map(user).collect());
    }
    let row = |user: &User| {
        let state = if user.disabled { "disabled" } else { "" };
        vec![user.login.clone(), role(user), id(&user.user_id), id(&user.rep_id), id(&user.team_id), state.to_owned()]
    };
    print::table(&["LOGIN", "ROLE", "USER", "REP", "TEAM", ""], &users.iter().map(row).collect::<Vec<_>>());
}
