//! The door of `roundsman.auth.v1.AuthService`.

use std::net::IpAddr;
use std::sync::Arc;

use roundsman_proto::auth as proto;
use roundsman_proto::auth::auth_service_server::AuthService;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::detached::detached;
use super::fields::Fields;
use crate::auth::authenticate::peer;
use crate::auth::session::{self, Login, Tokens};
use crate::auth::users::{self, Claim, NewTenant};
use crate::auth::{Auth, Secret};
use crate::store::account::NewDevice;

/// Names have so many characters.
pub(super) const NAME_CHARS: usize = 64;
/// A new password has at least so many characters …
pub(super) const PASSWORD_LEAST_CHARS: usize = 12;
/// … and at most so many, that hashing one costs no more than another.
pub(super) const PASSWORD_MOST_CHARS: usize = 128;
/// A refresh token or a setup code has fewer.
const TOKEN_CHARS: usize = 256;

/// Logs people, phones and systems in.
#[derive(Clone, Debug)]
pub struct AuthDoor(Arc<Auth>);

impl AuthDoor {
    /// With these keys and users.
    #[must_use]
    pub fn new(auth: Arc<Auth>) -> Self {
        Self(auth)
    }
}

#[tonic::async_trait]
impl AuthService for AuthDoor {
    async fn claim_server(
        &self,
        request: Request<proto::ClaimServerRequest>,
    ) -> Result<Response<proto::ClaimServerResponse>, Status> {
        let address = peer(request.extensions());
        let claim = claim(request.into_inner(), address)?;
        let auth = Arc::clone(&self.0);
        let user = detached(async move { Ok(users::claim(&auth, claim).await?) }).await?;
        Ok(Response::new(proto::ClaimServerResponse { user_id: bytes(user) }))
    }

    async fn login(&self, request: Request<proto::LoginRequest>) -> Result<Response<proto::LoginResponse>, Status> {
        let address = peer(request.extensions());
        let login = login(request.into_inner(), address)?;
        let auth = Arc::clone(&self.0);
        let session::LoggedIn { tokens, caller } =
            detached(async move { Ok(session::login(&auth, login).await?) }).await?;
        Ok(Response::new(proto::LoginResponse {
            tokens: Some(message(&tokens)),
            user_id: bytes(caller.user),
            role: caller.role.into(),
            device_id: caller.device.map(bytes).unwrap_or_default(),
            rep_id: caller.rep.map(bytes).unwrap_or_default(),
        }))
    }

    async fn refresh(
        &self,
        request: Request<proto::RefreshRequest>,
    ) -> Result<Response<proto::RefreshResponse>, Status> {
        let address = peer(request.extensions());
        let token = refresh_token(request.into_inner().refresh_token)?;
        let auth = Arc::clone(&self.0);
        let tokens = detached(async move { Ok(session::refresh(&auth, &token, address).await?) }).await?;
        Ok(Response::new(proto::RefreshResponse { tokens: Some(message(&tokens)) }))
    }

    async fn logout(&self, request: Request<proto::LogoutRequest>) -> Result<Response<proto::LogoutResponse>, Status> {
        let address = peer(request.extensions());
        let token = refresh_token(request.into_inner().refresh_token)?;
        let auth = Arc::clone(&self.0);
        detached(async move { Ok(session::logout(&auth, &token, address).await?) }).await?;
        Ok(Response::new(proto::LogoutResponse {}))
    }
}

fn claim(request: proto::ClaimServerRequest, address: Option<IpAddr>) -> Result<Claim, Status> {
    let mut fields = Fields::default();
    let claim = Claim {
        setup_code: fields.secret("setup_code", request.setup_code, 1..=TOKEN_CHARS),
        tenant: tenant_of(&mut fields, (request.tenant, &request.login), request.password),
        address,
    };
    fields.check()?;
    Ok(claim)
}

/// A tenant that is to be made, of fields that are as they must be.
///
/// # Errors
/// INVALID_ARGUMENT with all that is wrong.
pub fn new_tenant(name: String, login: &str, password: &Secret) -> Result<NewTenant, Status> {
    let mut fields = Fields::default();
    let new = tenant_of(&mut fields, (name, login), password.expose().to_owned());
    fields.check()?;
    Ok(new)
}

fn tenant_of(fields: &mut Fields, (name, login): (String, &str), password: String) -> NewTenant {
    NewTenant {
        name: fields.text("tenant", name, 1..=NAME_CHARS),
        login: login_name(fields, "login", login),
        password: fields.secret("password", password, PASSWORD_LEAST_CHARS..=PASSWORD_MOST_CHARS),
    }
}

fn login(request: proto::LoginRequest, address: Option<IpAddr>) -> Result<Login, Status> {
    let mut fields = Fields::default();
    let device = request.device.map(|device| NewDevice {
        installation: fields.id("device.installation_id", &device.installation_id),
        name: fields.text("device.name", device.name, 0..=NAME_CHARS),
        app_version: fields.text("device.app_version", device.app_version, 0..=NAME_CHARS),
    });
    let login = Login {
        tenant: fields.text("tenant", request.tenant, 1..=NAME_CHARS),
        login: login_name(&mut fields, "login", &request.login),
        // One that is too short to be made is just wrong.
        password: fields.secret("password", request.password, 1..=PASSWORD_MOST_CHARS),
        device,
        address,
    };
    fields.check()?;
    Ok(login)
}

fn refresh_token(token: String) -> Result<Secret, Status> {
    let mut fields = Fields::default();
    let token = fields.secret("refresh_token", token, 1..=TOKEN_CHARS);
    fields.check()?;
    Ok(token)
}

/// A login in small letters. It is made here and not by the database, since the two databases differ in what they take
/// for a letter.
pub(super) fn login_name(fields: &mut Fields, field: &str, login: &str) -> String {
    // A huge one is not worth the work.
    let login = if login.len() > 4 * NAME_CHARS { login.to_owned() } else { login.to_lowercase() };
    fields.text(field, login, 1..=NAME_CHARS)
}

pub(super) fn bytes(id: Uuid) -> Vec<u8> {
    id.as_bytes().to_vec()
}

fn message(tokens: &Tokens) -> proto::Tokens {
    proto::Tokens {
        access_token: tokens.access.expose().to_owned(),
        access_expires_at_us: tokens.access_expires_at_us,
        refresh_token: tokens.refresh.expose().to_owned(),
        refresh_expires_at_us: tokens.refresh_expires_at_us,
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;
    use tonic_types::StatusExt as _;

    use super::*;
    use crate::auth::testing::{Fixture, PASSWORD};
    use crate::grpc::status;

    fn claim_request(setup_code: String) -> Request<proto::ClaimServerRequest> {
        Request::new(proto::ClaimServerRequest {
            setup_code,
            tenant: "Acme".to_owned(),
            login: "ÄNNA".to_owned(),
            password: PASSWORD.to_owned(),
        })
    }

    fn login_request(login: &str) -> proto::LoginRequest {
        proto::LoginRequest {
            tenant: "Acme".to_owned(),
            login: login.to_owned(),
            password: PASSWORD.to_owned(),
            device: None,
        }
    }

    fn fields(status: &Status) -> Vec<(String, String)> {
        let violations = status.get_details_bad_request().expect("names the fields").field_violations;
        violations.into_iter().map(|violation| (violation.field, violation.reason)).collect()
    }

    #[tokio::test]
    async fn a_server_is_claimed_and_logged_in_to() {
        let fixture = Fixture::new().await;
        let door = AuthDoor::new(Arc::clone(&fixture.auth));
        let code = users::setup_code(&fixture.auth.db, &fixture.auth.random).await.expect("writes").expect("is new");
        let claimed = door.claim_server(claim_request(code.clone())).await.expect("claims").into_inner();
        let again = door.claim_server(claim_request(code)).await.expect_err("was used");
        assert_eq!(again.code(), Code::PermissionDenied);
        let installation = Uuid::from_u128(3);
        let device = proto::Device {
            installation_id: bytes(installation),
            name: "Phone".to_owned(),
            app_version: "1".to_owned(),
        };
        let request = proto::LoginRequest { device: Some(device), ..login_request("äNNa") };
        let session = door.login(Request::new(request)).await.expect("logs in").into_inner();
        assert_eq!(session.user_id, claimed.user_id);
        assert_eq!(session.role(), proto::Role::Admin);
        let user = Uuid::from_slice(&session.user_id).expect("is an id");
        assert_eq!(session.device_id, bytes(Uuid::new_v5(&installation, user.as_bytes())));
        assert!(session.rep_id.is_empty());

        let first = session.tokens.expect("has tokens").refresh_token;
        let refresh = |refresh_token| door.refresh(Request::new(proto::RefreshRequest { refresh_token }));
        let second = refresh(first.clone()).await.expect("renews").into_inner().tokens.expect("has tokens");
        let logout = |refresh_token| door.logout(Request::new(proto::LogoutRequest { refresh_token }));
        logout(second.refresh_token.clone()).await.expect("logs out");
        logout(second.refresh_token.clone()).await.expect("is over");
        let over = refresh(second.refresh_token).await.expect_err("is over");
        assert_eq!((over.code(), status::reason(&over).as_deref()), (Code::Unauthenticated, Some("SESSION_ENDED")));
    }

    #[tokio::test]
    async fn a_wrong_login_is_not_told_from_a_wrong_password() {
        let (fixture, _) = Fixture::with_user(proto::Role::Office).await;
        let door = AuthDoor::new(Arc::clone(&fixture.auth));
        let mut answers = Vec::new();
        for request in [
            login_request("boris"),
            proto::LoginRequest { password: "x".to_owned(), ..login_request("anna") },
            proto::LoginRequest { tenant: "Other".to_owned(), ..login_request("anna") },
        ] {
            let status = door.login(Request::new(request)).await.expect_err("is wrong");
            answers.push((status.code(), status.message().to_owned(), status.details().to_vec()));
        }
        assert_eq!(answers[0].0, Code::Unauthenticated);
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
        door.login(Request::new(login_request("ANNA"))).await.expect("capitals don't matter");
    }

    #[tokio::test]
    async fn every_field_has_its_limits() {
        let fixture = Fixture::new().await;
        let door = AuthDoor::new(Arc::clone(&fixture.auth));
        let named = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(field, reason)| ((*field).to_owned(), (*reason).to_owned())).collect()
        };
        let empty = door.claim_server(Request::new(proto::ClaimServerRequest::default())).await.expect_err("is empty");
        let missing = ["setup_code", "tenant", "login", "password"].map(|field| (field, "MISSING_FIELD"));
        assert_eq!(fields(&empty), named(&missing));
        let long = proto::ClaimServerRequest {
            setup_code: "x".repeat(257),
            tenant: "x".repeat(65),
            login: "x".repeat(65),
            password: "x".repeat(129),
        };
        let long = door.claim_server(Request::new(long)).await.expect_err("is long");
        let too_long = ["setup_code", "tenant", "login", "password"].map(|field| (field, "TOO_LONG"));
        assert_eq!(fields(&long), named(&too_long));
        let device =
            proto::Device { installation_id: vec![0; 16], name: "a\0".to_owned(), app_version: "x".repeat(65) };
        let odd = proto::LoginRequest { device: Some(device), login: "a\0".to_owned(), ..login_request("") };
        let odd = door.login(Request::new(odd)).await.expect_err("is odd");
        let expected = [
            ("device.installation_id", "BAD_ID"),
            ("device.name", "NUL_CHARACTER"),
            ("device.app_version", "TOO_LONG"),
            ("login", "NUL_CHARACTER"),
        ];
        assert_eq!(fields(&odd), named(&expected));
        let none = door.refresh(Request::new(proto::RefreshRequest::default())).await.expect_err("is empty");
        assert_eq!(fields(&none), named(&[("refresh_token", "MISSING_FIELD")]));
        let none = door.logout(Request::new(proto::LogoutRequest::default())).await.expect_err("is empty");
        assert_eq!(fields(&none), named(&[("refresh_token", "MISSING_FIELD")]));
        let short =
            proto::ClaimServerRequest { password: "x".repeat(11), ..claim_request("x".to_owned()).into_inner() };
        let short = door.claim_server(Request::new(short)).await.expect_err("is short");
        assert_eq!(fields(&short), named(&[("password", "OUT_OF_RANGE")]));
    }
}
