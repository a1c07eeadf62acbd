//! `roundsman claim`: the first administrator of a new server.

use anyhow::Context as _;
use roundsman_proto::auth::ClaimServerRequest;
use roundsman_proto::auth::auth_service_client::AuthServiceClient;

use super::client::{self, Login};
use super::print;
use crate::auth::Secret;

/// Where the setup code may stand.
const SETUP_CODE: &str = "ROUNDSMAN_SETUP_CODE";

/// Who becomes the administrator. The setup code is taken from the environment variable ROUNDSMAN_SETUP_CODE, or asked
/// for on standard input. The password is the new administrator's, 12 to 128 characters.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The new administrator; the tenant is made.
    #[command(flatten)]
    pub login: Login,
}

/// Claims the server.
///
/// # Errors
/// When the code is wrong or was used, or the server can't be reached.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let Login { server, tenant, login, .. } = &args.login;
    let password = args.login.password()?;
    let code = setup_code()?;
    let request = ClaimServerRequest {
        setup_code: code.expose().to_owned(),
        tenant: tenant.clone(),
        login: login.clone(),
        password: password.expose().to_owned(),
    };
    let channel = server.connect().await?;
    let answer = AuthServiceClient::new(channel).claim_server(request).await;
    answer.map_err(|status| client::refused(&status))?;
    print::line(format_args!("{tenant} is set up; {login} is its administrator"));
    Ok(())
}

fn setup_code() -> anyhow::Result<Secret> {
    if let Some(code) = client::from_environment(SETUP_CODE) {
        return Ok(Secret::new(code));
    }
    print::ask("setup code");
    let mut code = String::new();
    std::io::stdin().read_line(&mut code).context("can't read standard input")?;
    let code = code.trim();
    anyhow::ensure!(!code.is_empty(), "no setup code was given; set {SETUP_CODE}, or enter what the server printed");
    Ok(Secret::new(code))
}
