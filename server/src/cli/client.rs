//! A person or a script at a terminal as a client of a server: where it is, who logs in, and the session.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use roundsman_proto::admin::ExecuteRequest;
use roundsman_proto::admin::office_service_client::OfficeServiceClient;
use roundsman_proto::auth::auth_service_client::AuthServiceClient;
use roundsman_proto::auth::{LogoutRequest, RefreshRequest, Tokens};
use roundsman_proto::sync::{Outcome, Status as Decision};
use roundsman_proto::trade::{self, command::Command};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Uri};
use tonic::{Code, Request, Response, Status};
use uuid::Uuid;

use crate::auth::Secret;
use crate::device;

/// A server that can't be reached within this time is not there.
const CONNECT: Duration = Duration::from_secs(10);
/// A call that takes longer is given up. A chunk of an import may wait behind others.
const CALL: Duration = Duration::from_secs(120);
/// Where systems keep the certificates that they trust.
const CERTIFICATES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Where the server is.
#[derive(Args, Clone, Debug)]
pub struct Server {
    /// The server's address, such as `https://roundsman.example.com` or `http://127.0.0.1:7700`.
    #[arg(long, env = "ROUNDSMAN_SERVER", value_name = "URL")]
    pub server: String,
    /// Trust the certificates of this file, in PEM, instead of those that the system trusts; for https.
    #[arg(long, env = "ROUNDSMAN_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
}

/// Who logs in, and where.
#[derive(Args, Clone, Debug)]
pub struct Login {
    /// Where.
    #[command(flatten)]
    pub server: Server,
    /// The company's name, as it was given when the server was claimed or the tenant was made.
    #[arg(long, env = "ROUNDSMAN_TENANT", value_name = "NAME")]
    pub tenant: String,
    /// The login of whoever does this.
    #[arg(long, env = "ROUNDSMAN_LOGIN", value_name = "NAME")]
    pub login: String,
    /// A file that holds the password; `-` is standard input. Without it the password is taken from the environment
    /// variable ROUNDSMAN_PASSWORD.
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}

impl Server {
    /// Connects.
    ///
    /// # Errors
    /// When the address is no URL, or nothing answers there.
    pub async fn connect(&self) -> anyhow::Result<Channel> {
        let url = self.server.as_str();
        let uri: Uri = url.parse().map_err(|_| anyhow::anyhow!("--server `{url}` is not a URL"))?;
        let mut endpoint = Endpoint::from(uri.clone()).connect_timeout(CONNECT);
        match uri.scheme_str() {
            Some("http") => warn_of_plain_text(&uri),
            Some("https") => {
                let tls = ClientTlsConfig::new().ca_certificate(self.trusted()?);
                endpoint = endpoint.tls_config(tls).context("the trusted certificates can't be used")?;
            }
            Some(_) | None => anyhow::bail!("--server `{url}` must begin with http:// or https://"),
        }
        endpoint.connect().await.with_context(|| format!("can't connect to {url}"))
    }

    fn trusted(&self) -> anyhow::Result<Certificate> {
        let found = || CERTIFICATES.iter().map(PathBuf::from).find(|path| path.exists());
        let path = self.ca_file.clone().or_else(found).context("no trusted certificates were found; give --ca-file")?;
        let read = std::fs::read(&path).with_context(|| format!("can't read {}", path.display()))?;
        Ok(Certificate::from_pem(read))
    }
}

fn warn_of_plain_text(uri: &Uri) {
    let host = uri.host().unwrap_or_default();
    if !matches!(host, "localhost" | "127.0.0.1" | "[::1]") {
        tracing::warn!(host, "the password travels unencrypted; use https");
    }
}

impl Login {
    /// Connects and logs in.
    ///
    /// # Errors
    /// When nothing answers, or the server says no.
    pub async fn open(&self) -> anyhow::Result<Session> {
        let password = self.password()?;
        let channel = self.server.connect().await?;
        Session::open(channel, (&self.tenant, &self.login), &password).await
    }

    /// The password.
    ///
    /// # Errors
    /// When it was not given.
    pub fn password(&self) -> anyhow::Result<Secret> {
        secret(self.password_file.as_deref(), "--password-file", "ROUNDSMAN_PASSWORD")
    }
}

/// Reads a secret from a file or, if none was given, from the environment: never from the arguments, which everybody on the
/// machine can read.
///
/// # Errors
/// When it was not given, or can't be read.
pub fn secret(file: Option<&Path>, flag: &str, variable: &str) -> anyhow::Result<Secret> {
    let text = match file {
        Some(path) if path == Path::new("-") => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("can't read standard input")?;
            text
        }
        Some(path) => std::fs::read_to_string(path).with_context(|| format!("can't read {}", path.display()))?,
        None => from_environment(variable).with_context(|| format!("give {flag}, or set {variable}"))?,
    };
    // An editor ends the line; nothing else is taken off a password.
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(Secret::new(text.strip_suffix('\r').unwrap_or(text)))
}

/// A variable of the environment, if it is set and not empty.
#[expect(clippy::disallowed_methods, reason = "the one place that reads secrets, which are no settings")]
pub(super) fn from_environment(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|value| !value.is_empty())
}

/// Somebody is logged in.
#[derive(Debug)]
pub struct Session {
    channel: Channel,
    tokens: Tokens,
}

impl Session {
    /// Logs in.
    ///
    /// # Errors
    /// When the server says no.
    pub async fn open(channel: Channel, (tenant, login): (&str, &str), password: &Secret) -> anyhow::Result<Self> {
        let answer = device::login(channel.clone(), (tenant, login, password.expose()), None).await;
        let answer = answer.map_err(|status| refused(&status)).context("can't log in")?;
        Ok(Self { channel, tokens: answer.tokens.unwrap_or_default() })
    }

    /// Calls the server. When the access token has ended, it is renewed once.
    ///
    /// # Errors
    /// When the server says no, or the connection fails.
    pub async fn call<M: Clone, A>(
        &mut self,
        message: M,
        call: impl AsyncFn(Channel, Request<M>) -> Result<Response<A>, Status>,
    ) -> anyhow::Result<A> {
        let request = self.request(message.clone())?;
        let answer = match call(self.channel.clone(), request).await {
            Err(status) if status.code() == Code::Unauthenticated => {
                self.renew().await.map_err(|_| refused(&status))?;
                let request = self.request(message)?;
                call(self.channel.clone(), request).await
            }
            answer => answer,
        };
        answer.map(Response::into_inner).map_err(|status| refused(&status))
    }

    /// Has the office's door carry out a command. A command that was sent before under this id has its outcome of then.
    ///
    /// # Errors
    /// When the server can't be reached, or does not take the command; what it decides about it is an outcome.
    pub async fn execute(&mut self, id: Uuid, command: Command) -> anyhow::Result<(Outcome, i64)> {
        let command = Some(trade::Command { command: Some(command) });
        let request = ExecuteRequest { command_id: id.as_bytes().to_vec(), command };
        let answer = self
            .call(request, async |channel, request| OfficeServiceClient::new(channel).execute(request).await)
            .await?;
        Ok((answer.outcome.context("the server answered without an outcome")?, answer.version))
    }

    /// The same, of a command that is to be applied. `otherwise` says what it means if it is not.
    ///
    /// # Errors
    /// As [`Session::execute`], and with the reason when it was not applied.
    pub async fn apply(&mut self, id: Uuid, command: Command, otherwise: &str) -> anyhow::Result<()> {
        let (outcome, _) = self.execute(id, command).await?;
        anyhow::ensure!(outcome.status() == Decision::Applied, "{otherwise}: {}", why(&outcome));
        Ok(())
    }

    fn request<M>(&self, message: M) -> anyhow::Result<Request<M>> {
        let mut request = device::authorized(&self.tokens.access_token, message).map_err(|status| refused(&status))?;
        request.set_timeout(CALL);
        Ok(request)
    }

    async fn renew(&mut self) -> Result<(), Status> {
        let refresh_token = self.tokens.refresh_token.clone();
        let answer = AuthServiceClient::new(self.channel.clone()).refresh(RefreshRequest { refresh_token }).await?;
        self.tokens = answer.into_inner().tokens.unwrap_or_default();
        Ok(())
    }

    /// Logs out. A session that can't be ended ends by itself, so nobody has to hear of it.
    pub async fn close(self) {
        let refresh_token = self.tokens.refresh_token;
        let _ = AuthServiceClient::new(self.channel).logout(LogoutRequest { refresh_token }).await;
    }
}

/// The largest page that is asked for.
const PAGE: i32 = 1_000;

/// The first entries of a list, at most so many, page by page. `page` reads so many after a token, and says what comes next. Each
/// page may cost a search, so it is no larger than what is wanted and no smaller.
///
/// # Errors
/// What `page` answers.
pub async fn collect<T>(
    limit: usize,
    mut page: impl AsyncFnMut(i32, String) -> anyhow::Result<(Vec<T>, String)>,
) -> anyhow::Result<Vec<T>> {
    let mut found = Vec::new();
    let mut page_token = String::new();
    loop {
        let page_size = i32::try_from(limit - found.len()).unwrap_or(PAGE).min(PAGE);
        let (entries, next_page_token) = page(page_size, page_token).await?;
        found.extend(entries);
        page_token = next_page_token;
        if page_token.is_empty() || found.len() >= limit {
            return Ok(found);
        }
    }
}

/// Why something was decided, in words.
#[must_use]
pub fn why(outcome: &Outcome) -> String {
    let text = if outcome.text.is_empty() { String::new() } else { format!(" ({})", outcome.text) };
    format!("{}{text}", outcome.reason().as_str_name())
}

/// A refusal in words.
#[must_use]
pub fn refused(status: &Status) -> anyhow::Error {
    let mut text = status.message().to_owned();
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }
    anyhow::anyhow!("the server answered: {text} ({:?})", status.code())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_the_first_line_of_its_file_as_it_stands() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("password");
        std::fs::write(&file, " correct horse \r\n").expect("writes");
        assert_eq!(secret(Some(&file), "--x", "X").expect("reads").expose(), " correct horse ");
        let missing = secret(Some(&folder.path().join("none")), "--x", "X").expect_err("is not there");
        assert!(missing.to_string().contains("can't read"), "{missing}");
        let none = secret(None, "--x-file", "ROUNDSMAN_NOT_SET_BY_ANYBODY").expect_err("is not given");
        assert_eq!(none.to_string(), "give --x-file, or set ROUNDSMAN_NOT_SET_BY_ANYBODY");
    }

    #[tokio::test]
    async fn an_address_that_is_none_is_told() {
        for url in ["127.0.0.1:7700", "ftp://example.com", "not a url"] {
            let server = Server { server: url.to_owned(), ca_file: None };
            let error = server.connect().await.expect_err("is no address").to_string();
            assert!(error.contains(url), "{error}");
        }
    }
}
