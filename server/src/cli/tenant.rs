//! `roundsman tenant`: the companies that a server works for. Whoever may make one has the database.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Subcommand;

use super::verify::must_exist;
use super::{client, debts, print};
use crate::auth::users::{self, NewTenant};
use crate::auth::{Auth, AuthError, Taken};
use crate::clock::{Clock, Random};
use crate::config::Config;
use crate::grpc::auth::new_tenant;
use crate::store::account::User;
use crate::store::sql::Db;
use crate::store::tenant;

/// What can be done with tenants.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Makes a further tenant with its first administrator.
    Create(Create),
    /// Lists all tenants, with the numbers by which metrics and logs name them.
    List,
    /// Shows what each customer of a tenant owes and how old it is, with a total for each currency.
    Debts(debts::Args),
}

/// A new tenant.
#[derive(Debug, clap::Args)]
pub struct Create {
    /// The company's name, 1 to 64 characters, as it is given at each login.
    #[arg(value_name = "NAME")]
    pub name: String,
    /// The administrator's login, 1 to 64 characters; capitals don't matter.
    #[arg(long, env = "ROUNDSMAN_LOGIN", value_name = "LOGIN")]
    pub login: String,
    /// A file that holds the administrator's password, 12 to 128 characters; `-` is standard input. Without it the password
    /// is taken from the environment variable ROUNDSMAN_PASSWORD.
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}

/// Does it, in the configured database.
///
/// # Errors
/// When a field is not as it must be, the name is taken, or the database can't be used.
pub async fn run(verb: Verb, config: &Config) -> anyhow::Result<()> {
    must_exist(&config.database)?;
    let db = Db::connect(&config.database).await.context("can't open the database; see --database")?;
    let done = match verb {
        Verb::Create(args) => create(&db, args).await,
        Verb::List => list(&db).await,
        Verb::Debts(args) => debts::show(&db, &args).await,
    };
    db.close().await;
    done
}

async fn create(db: &Db, args: Create) -> anyhow::Result<()> {
    let password = client::secret(args.password_file.as_deref(), "--password-file", "ROUNDSMAN_PASSWORD")?;
    let new =
        new_tenant(args.name, &args.login, &password).map_err(|status| anyhow::anyhow!("{}", status.message()))?;
    let name = new.name.clone();
    let User { tenant, login, .. } = make(db, new).await?;
    print::line(format_args!("{name} is set up as tenant {tenant}; {login} is its administrator"));
    Ok(())
}

/// Makes a tenant, and says who its administrator is.
///
/// # Errors
/// When the name is taken, or the database does not answer; then nothing is made.
pub async fn make(db: &Db, new: NewTenant) -> anyhow::Result<User> {
    let name = new.name.clone();
    let random = Arc::new(Random::from_machine()?);
    let auth = Auth::start(db.clone(), Arc::new(Clock::Machine), random).await;
    let auth = auth.context("can't read the accounts; `roundsman migrate` makes the schema")?;
    match users::create_tenant(&auth, new).await {
        Err(AuthError::Taken(Taken::Tenant)) => anyhow::bail!("there is a tenant `{name}` already"),
        made => made.with_context(|| format!("{name} is not made")),
    }
}

async fn list(db: &Db) -> anyhow::Result<()> {
    let mut tx = db.read().await.context("can't read the database")?;
    let tenants = tenant::all(&mut tx).await.context("can't read the tenants; `roundsman migrate` makes the schema")?;
    tx.commit().await?;
    let rows: Vec<Vec<String>> = tenants.into_iter().map(|(number, name)| vec![number.to_string(), name]).collect();
    print::table(&["TENANT", "NAME"], &rows);
    Ok(())
}
