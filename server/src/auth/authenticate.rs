//! The gate: a layer around all gRPC services, so that no door can forget it. It looks the method up in the table of
//! [`super::access`], checks the token, and puts [`Caller`] and [`Lease`] where the door finds them. A door without the
//! layer finds none, and refuses.

use std::convert::Infallible;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::ConnectInfo;
use axum::http::{Extensions, HeaderMap, HeaderValue, Request, Response, header};
use tonic::Status;
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};
use tower::{Layer, Service};
use tracing::Instrument as _;
use uuid::Uuid;

use super::access::{self, Rule, Who};
use super::caller::Caller;
use super::token::Access;
use super::{Auth, Refusal, wipe};
use crate::grpc::status::{self, with_request_id};

/// The response's header that names the request in our logs.
const REQUEST_ID: &str = "x-request-id";

/// The address of the caller, where a proxy that we trust has told it. Without one the connection's own counts.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// Wraps services with the gate.
#[derive(Clone, Debug)]
pub struct AuthLayer(Arc<Auth>);

impl AuthLayer {
    /// With these keys and users.
    #[must_use]
    pub fn new(auth: Arc<Auth>) -> Self {
        Self(auth)
    }
}

impl<S> Layer<S> for AuthLayer {
    type Service = Authenticated<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Authenticated { auth: Arc::clone(&self.0), inner }
    }
}

/// A service behind the gate.
#[derive(Clone, Debug)]
pub struct Authenticated<S> {
    auth: Arc<Auth>,
    inner: S,
}

impl<S, B, R> Service<Request<B>> for Authenticated<S>
where
    S: Service<Request<B>, Response = Response<R>, Error = Infallible>,
    S::Future: Send + 'static,
    R: Default + Send + 'static,
{
    type Response = Response<R>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let id = self.auth.random.uuid(self.auth.clock.now_us());
        let path = request.uri().path();
        let span = match admit(&self.auth, path, request.headers()) {
            Ok(None) => tracing::info_span!("rpc", path, request = %id.simple()),
            Ok(Some(lease)) => {
                let caller = Arc::clone(&lease.access.caller);
                let span = tracing::info_span!("rpc", path, request = %id.simple(), tenant = caller.tenant, user = %caller.user);
                request.extensions_mut().insert(caller);
                request.extensions_mut().insert(lease);
                span
            }
            Err(Refusal::DeviceRevoked) => {
                let (auth, headers) = (Arc::clone(&self.auth), request.headers().clone());
                return Box::pin(async move { Ok(named(shut_out(&auth, &headers).await.into_http(), id)) });
            }
            Err(refusal) => {
                let response = named(status::refused(refusal).into_http(), id);
                return Box::pin(async move { Ok(response) });
            }
        };
        let answer = with_request_id(id, self.inner.call(request)).instrument(span);
        Box::pin(async move { Ok(named(answer.await?, id)) })
    }
}

/// What a revoked device is told.
async fn shut_out(auth: &Auth, headers: &HeaderMap) -> Status {
    let access = bearer(headers).and_then(|token| auth.tokens.verify(token, auth.clock.now_us()));
    let wipe = match access {
        Ok(access) => wipe::is_wanted(&auth.db, &access.caller).await,
        Err(refusal) => return status::refused(refusal),
    };
    match wipe {
        Ok(true) => status::wiped(),
        Ok(false) => status::refused(Refusal::DeviceRevoked),
        Err(error) => status::of_store(&error),
    }
}

fn named<R>(mut response: Response<R>, id: Uuid) -> Response<R> {
    if let Ok(id) = HeaderValue::try_from(id.simple().to_string()) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// Whether a call of this method with these headers is let in, and as whom; as nobody if the method needs no token. For
/// HTTP doors, which have no layer, too.
///
/// # Errors
/// When it is not.
pub fn admit(auth: &Arc<Auth>, path: &str, headers: &HeaderMap) -> Result<Option<Lease>, Refusal> {
    let rule = access::find(path).ok_or(Refusal::UnknownMethod)?;
    if rule.who == Who::Anybody {
        return Ok(None);
    }
    let access = auth.tokens.verify(bearer(headers)?, auth.clock.now_us())?;
    let lease = Lease { access, rule, auth: Arc::clone(auth) };
    lease.still_good()?;
    Ok(Some(lease))
}

/// `authorization: Bearer <token>`, once.
fn bearer(headers: &HeaderMap) -> Result<&str, Refusal> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or(Refusal::TokenMissing)?;
    if values.next().is_some() {
        return Err(Refusal::TokenInvalid);
    }
    let (scheme, token) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or(Refusal::TokenInvalid)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(token.trim()) } else { Err(Refusal::TokenInvalid) }
}

/// The right to be answered. A stream asks for it again before it goes on: rights end while it is open.
#[derive(Clone, Debug)]
pub struct Lease {
    access: Access,
    rule: &'static Rule,
    auth: Arc<Auth>,
}

impl Lease {
    /// Whether the call would still be let in.
    ///
    /// # Errors
    /// When the token or the session has ended, or the user or the device was shut out.
    pub fn check(&self) -> Result<(), Status> {
        self.still_good().map_err(status::refused)
    }

    /// When the access token ends, in microseconds since the Unix epoch.
    #[must_use]
    pub fn expires_at_us(&self) -> i64 {
        self.access.expires_at_us
    }

    fn still_good(&self) -> Result<(), Refusal> {
        if self.access.expires_at_us <= self.auth.clock.now_us() {
            return Err(Refusal::TokenExpired);
        }
        self.auth.revocations.check(&self.access, self.rule.while_revoked)?;
        if !self.rule.who.includes(self.access.caller.role) {
            return Err(Refusal::RoleNotAllowed);
        }
        if self.rule.needs_device && self.access.caller.device.is_none() {
            return Err(Refusal::DeviceNeeded);
        }
        Ok(())
    }
}

/// Who calls.
///
/// # Errors
/// When the gate was not passed.
pub fn caller<T>(request: &tonic::Request<T>) -> Result<Arc<Caller>, Status> {
    found(request)
}

/// The right to be answered.
///
/// # Errors
/// When the gate was not passed.
pub fn lease<T>(request: &tonic::Request<T>) -> Result<Lease, Status> {
    found(request)
}

fn found<T, E: Clone + Send + Sync + 'static>(request: &tonic::Request<T>) -> Result<E, Status> {
    request.extensions().get::<E>().cloned().ok_or_else(|| {
        tracing::error!("a door finds no caller: it is not behind the gate, or its method needs no token");
        status::refused(Refusal::TokenMissing)
    })
}

/// Where the call comes from.
#[must_use]
pub fn peer(extensions: &Extensions) -> Option<IpAddr> {
    let tcp = |info: &TcpConnectInfo| info.remote_addr().map(|address| address.ip());
    let told = extensions.get::<Peer>().map(|peer| peer.0);
    let http = || extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let grpc = || extensions.get::<TcpConnectInfo>().and_then(tcp);
    let grpc_tls = || extensions.get::<TlsConnectInfo<TcpConnectInfo>>().and_then(|info| tcp(info.get_ref()));
    told.or_else(http).or_else(grpc).or_else(grpc_tls)
}

#[cfg(test)]
mod tests {
    use roundsman_proto::auth::Role;
    use tonic::Code;

    use super::*;
    use crate::auth::session::{LoggedIn, login as log_in, logout};
    use crate::auth::testing::{Fixture, login};

    const PULL: &str = "/roundsman.sync.v1.SyncService/Pull";
    const PUSH: &str = "/roundsman.sync.v1.SyncService/Push";
    const LIST_USERS: &str = "/roundsman.admin.v1.AdminService/ListUsers";
    const LOGIN: &str = "/roundsman.auth.v1.AuthService/Login";

    /// What the door finds in its request.
    #[derive(Clone)]
    struct Door;

    impl Service<Request<()>> for Door {
        type Response = Response<Option<Arc<Caller>>>;
        type Error = Infallible;
        type Future = std::future::Ready<Result<Self::Response, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: Request<()>) -> Self::Future {
            std::future::ready(Ok(Response::new(request.extensions().get::<Arc<Caller>>().cloned())))
        }
    }

    fn bearer_of(session: &LoggedIn) -> String {
        format!("Bearer {}", session.tokens.access.expose())
    }

    /// The caller that the door found, or the status of the refusal.
    async fn call(auth: &Arc<Auth>, path: &str, authorization: &[&str]) -> Result<Option<Arc<Caller>>, Status> {
        let mut request = Request::builder().uri(path);
        for value in authorization {
            request = request.header(header::AUTHORIZATION, *value);
        }
        let mut service = AuthLayer::new(Arc::clone(auth)).layer(Door);
        let Ok(response) = service.call(request.body(()).expect("is a request")).await;
        assert!(response.headers().contains_key(REQUEST_ID));
        match Status::from_header_map(response.headers()) {
            Some(status) => Err(status),
            None => Ok(response.into_body()),
        }
    }

    async fn refused(auth: &Arc<Auth>, path: &str, authorization: &[&str]) -> (Code, String) {
        let status = call(auth, path, authorization).await.expect_err("is refused");
        (status.code(), status::reason(&status).expect("has a reason"))
    }

    fn no(code: Code, reason: &str) -> (Code, String) {
        (code, reason.to_owned())
    }

    #[tokio::test]
    async fn the_door_learns_who_calls() {
        let (fixture, user) = Fixture::with_user(Role::Rep).await;
        let auth = &fixture.auth;
        let phone = log_in(auth, login(true)).await.expect("logs in");
        let found = call(auth, PULL, &[&bearer_of(&phone)]).await.expect("is let in").expect("is told");
        assert_eq!(*found, phone.caller);
        assert_eq!(found.user, user.id);
        assert_eq!(call(auth, LOGIN, &[]).await.expect("needs no token"), None);
        assert_eq!(call(auth, LOGIN, &["Bearer nonsense"]).await.expect("needs no token"), None);
    }

    #[tokio::test]
    async fn who_has_no_good_token_is_not_let_in() {
        let (fixture, _) = Fixture::with_user(Role::Rep).await;
        let auth = &fixture.auth;
        let phone = log_in(auth, login(true)).await.expect("logs in");
        let good = bearer_of(&phone);
        let token = phone.tokens.access.expose();
        let missing = no(Code::Unauthenticated, "TOKEN_MISSING");
        let invalid = no(Code::Unauthenticated, "TOKEN_INVALID");
        assert_eq!(refused(auth, PULL, &[]).await, missing);
        for wrong in ["", "Bearer", "Bearer ", token, &format!("Basic {token}"), &format!("Bearer{token}")] {
            assert_eq!(refused(auth, PULL, &[wrong]).await, invalid, "{wrong}");
        }
        assert_eq!(refused(auth, PULL, &[&good, &good]).await, invalid);
        assert_eq!(refused(auth, PULL, &[&format!("Bearer {}", phone.tokens.refresh.expose())]).await, invalid);
        assert!(call(auth, PULL, &[&format!("bearer {token}")]).await.is_ok());
        auth.clock.advance(15 * 60 * 1_000_000);
        assert_eq!(refused(auth, PULL, &[&good]).await, no(Code::Unauthenticated, "TOKEN_EXPIRED"));
    }

    #[tokio::test]
    async fn what_the_role_may_not_do_is_refused() {
        let (fixture, _) = Fixture::with_user(Role::Rep).await;
        let auth = &fixture.auth;
        let phone = bearer_of(&log_in(auth, login(true)).await.expect("logs in"));
        let desk = bearer_of(&log_in(auth, login(false)).await.expect("logs in"));
        let denied = |reason| no(Code::PermissionDenied, reason);
        assert_eq!(refused(auth, LIST_USERS, &[&phone]).await, denied("ROLE_NOT_ALLOWED"));
        assert_eq!(refused(auth, PULL, &[&desk]).await, denied("DEVICE_NEEDED"));
        let unknown = no(Code::Unimplemented, "UNKNOWN_METHOD");
        assert_eq!(refused(auth, "/roundsman.admin.v1.AdminService/Destroy", &[&phone]).await, unknown);
        assert_eq!(refused(auth, "/", &[]).await, unknown);
    }

    #[tokio::test]
    async fn rights_end_while_a_stream_is_open() {
        let (fixture, user) = Fixture::with_user(Role::Rep).await;
        let auth = &fixture.auth;
        let phone = log_in(auth, login(true)).await.expect("logs in");
        let headers: HeaderMap =
            [(header::AUTHORIZATION, bearer_of(&phone).parse().expect("is a header"))].into_iter().collect();
        let (pull, push) = (admit(auth, PULL, &headers), admit(auth, PUSH, &headers));
        let (pull, push) = (pull.expect("is let in"), push.expect("is let in"));
        let (pull, push) = (pull.expect("has a caller"), push.expect("has a caller"));
        assert_eq!(pull.expires_at_us(), phone.tokens.access_expires_at_us);
        assert!(pull.check().is_ok());
        auth.revocations.revoke_device(user.tenant, phone.caller.device.expect("is a device"));
        let ended = pull.check().expect_err("the device is revoked");
        assert_eq!(status::reason(&ended).as_deref(), Some("DEVICE_REVOKED"));
        assert!(push.check().is_ok(), "what it holds goes to quarantine");
        logout(auth, &phone.tokens.refresh, None).await.expect("logs out");
        assert_eq!(push.check().expect_err("the session is over").code(), Code::Unauthenticated);
        auth.clock.advance(15 * 60 * 1_000_000);
        let ended = push.check().expect_err("the token has ended");
        assert_eq!(status::reason(&ended).as_deref(), Some("TOKEN_EXPIRED"));
    }

    #[test]
    fn a_door_without_the_gate_refuses() {
        let request = tonic::Request::new(());
        assert_eq!(caller(&request).expect_err("there is none").code(), Code::Unauthenticated);
        assert_eq!(lease(&request).expect_err("there is none").code(), Code::Unauthenticated);
    }

    #[test]
    fn the_address_is_found_wherever_it_is() {
        let address = SocketAddr::from(([192, 0, 2, 1], 5_000));
        let mut extensions = Extensions::new();
        assert_eq!(peer(&extensions), None);
        extensions.insert(TcpConnectInfo { local_addr: None, remote_addr: Some(address) });
        assert_eq!(peer(&extensions), Some(address.ip()));
        extensions.insert(ConnectInfo(SocketAddr::from(([192, 0, 2, 2], 5_000))));
        assert_eq!(peer(&extensions), Some(IpAddr::from([192, 0, 2, 2])));
        extensions.insert(Peer(IpAddr::from([192, 0, 2, 3])));
        assert_eq!(peer(&extensions), Some(IpAddr::from([192, 0, 2, 3])));
    }
}
