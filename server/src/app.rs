//! The server as one value: built from its configuration, served on a listener, stopped in good order.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use metrics_exporter_prometheus::PrometheusHandle;
use roundsman_proto::admin::admin_service_server::AdminServiceServer;
use roundsman_proto::admin::inspect_service_server::InspectServiceServer;
use roundsman_proto::admin::office_service_server::OfficeServiceServer;
use roundsman_proto::admin::quarantine_service_server::QuarantineServiceServer;
use roundsman_proto::auth::auth_service_server::AuthServiceServer;
use roundsman_proto::logistics::logistics_service_server::LogisticsServiceServer;
use roundsman_proto::supervision::supervision_service_server::SupervisionServiceServer;
use roundsman_proto::sync::sync_service_server::SyncServiceServer;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;
use uuid::Uuid;

use crate::app_version::AppVersion;
use crate::auth::Auth;
use crate::auth::authenticate::AuthLayer;
use crate::batch::Writer;
use crate::clock::{Clock, Random};
use crate::contacts::Contacts;
use crate::error::StoreError;
use crate::fail::FailPoints;
use crate::grpc::admin::AdminDoor;
use crate::grpc::auth::AuthDoor;
use crate::grpc::inspect::InspectDoor;
use crate::grpc::logistics::LogisticsDoor;
use crate::grpc::office::OfficeDoor;
use crate::grpc::quarantine::QuarantineDoor;
use crate::grpc::stream;
use crate::grpc::supervision::SupervisionDoor;
use crate::grpc::sync::SyncDoor;
use crate::jobs::Jobs;
use crate::lane::{Hear, Lanes};
use crate::neighbours::{self, Announcer};
use crate::policy::Policy;
use crate::present::Present;
use crate::pull::{SharedPages, Sizes};
use crate::recent::Recent;
use crate::store::account;
use crate::store::sql::{self, Db};
use crate::watch;

/// A gRPC message that comes in has at most this many bytes, after decompression.
pub const MESSAGE_BYTES: usize = 4 * 1024 * 1024;
/// A connection may have this many calls under way.
const STREAMS: u32 = 100;
/// Open streams get this long to end when the server stops.
const DRAIN: Duration = Duration::from_secs(10);

/// What the doors share.
#[derive(Debug)]
pub struct Core {
    /// The database.
    pub db: Db,
    /// The clock.
    pub clock: Arc<Clock>,
    /// Random numbers.
    pub random: Arc<Random>,
    /// Users, sessions and tokens.
    pub auth: Arc<Auth>,
    /// The one way to change anything.
    pub lanes: Lanes,
    /// Records as the last commits left them.
    pub recent: Arc<Recent>,
    /// What is known without asking.
    pub present: Arc<Present>,
    /// What other processes are to hear of.
    pub announcer: Arc<Announcer>,
    /// Pages that devices share.
    pub pages: Arc<SharedPages>,
    /// What is heard of devices.
    pub contacts: Arc<Contacts>,
    /// Settings that decisions depend on.
    pub policy: Policy,
    /// The oldest version of the app that may pull; `None`: all may.
    pub min_app_version: Option<AppVersion>,
    /// Where a test makes it fail.
    pub fail: FailPoints,
}

/// What a server is built from; tests and simulations bring their own.
#[derive(Debug)]
pub struct Parts {
    /// The database, with its schema up to date.
    pub db: Db,
    /// The clock.
    pub clock: Arc<Clock>,
    /// The clock by which tokens end: the machine's, also where the day is simulated and hours pass in seconds.
    pub session_clock: Arc<Clock>,
    /// Random numbers.
    pub random: Arc<Random>,
    /// Settings that decisions depend on.
    pub policy: Policy,
    /// The oldest version of the app that may pull; `None`: all may.
    pub min_app_version: Option<AppVersion>,
    /// How much pulls take at once, and share.
    pub sizes: Sizes,
    /// The newest format that it writes: [`WRITER_VERSION`](crate::store::tenant::WRITER_VERSION), unless a test plays
    /// another server.
    pub format: i64,
    /// Where it is to fail.
    pub fail: FailPoints,
}

impl Core {
    /// Puts a server together.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn start(parts: Parts) -> Result<Arc<Self>, StoreError> {
        let Parts { db, clock, session_clock, random, policy, min_app_version, sizes, format, fail } = parts;
        let auth = Auth::start(db.clone(), session_clock, Arc::clone(&random)).await?;
        let recent = Arc::new(Recent::default());
        let present = Arc::new(Present::new(!db.is_shared()));
        let writer = Writer {
            db: db.clone(),
            clock: Arc::clone(&clock),
            random: Arc::clone(&random),
            policy,
            recent: Arc::clone(&recent),
            present: Arc::clone(&present),
            format,
            fail: fail.clone(),
        };
        let announcer = Arc::new(Announcer::new(random.next_u64()));
        let lanes = Lanes::new(Arc::new(writer), hear(&auth, &announcer));
        Ok(Arc::new(Self {
            db,
            clock,
            random,
            auth,
            lanes,
            recent,
            present,
            announcer,
            pages: Arc::new(SharedPages::new(sizes)),
            contacts: Arc::default(),
            policy,
            min_app_version,
            fail,
        }))
    }

    /// Finishes what was taken, writes what is only in memory, and closes the database.
    ///
    /// # Errors
    /// When the database does not answer; nothing that was acknowledged is lost by that.
    pub async fn stop(&self) -> Result<(), StoreError> {
        self.lanes.stop().await;
        let written = self.contacts.write(&self.db).await;
        self.db.close().await;
        written
    }
}

/// Who is shut out by a command is shut out from the moment of its commit, on open streams too. Other processes are told.
fn hear(auth: &Arc<Auth>, announcer: &Arc<Announcer>) -> Arc<Hear> {
    let (auth, announcer) = (Arc::clone(auth), Arc::clone(announcer));
    Arc::new(move |tenant, position, announcements| {
        announcer.note(tenant, position, announcements.iter().any(|(topic, _)| topic.ends_with(".revoked")));
        for (topic, id) in announcements {
            match *topic {
                "device.revoked" => auth.revocations.revoke_device(tenant, *id),
                "user.revoked" => {
                    auth.revocations.disable_user(tenant, *id);
                    tokio::spawn(disable_user(Arc::clone(&auth), tenant, *id));
                }
                _ => {}
            }
        }
    })
}

/// Keeps the user from logging in again. What the user held has ended with the commit already.
async fn disable_user(auth: Arc<Auth>, tenant: i64, user: Uuid) {
    let disabled = async {
        let mut tx = auth.db.write().await?;
        account::disable_user(&mut tx, tenant, user, auth.clock.now_us()).await?;
        tx.commit().await
    };
    if let Err(error) = disabled.await {
        tracing::error!(tenant, %user, %error, "a dismissed user may log in again, and holds nothing");
    }
}

/// All doors on one port: gRPC and gRPC-web behind the gate, `/healthz` and `/readyz` beside it.
pub async fn router(core: &Arc<Core>) -> axum::Router {
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<SyncServiceServer<SyncDoor>>().await;
    let mut routes = Routes::builder();
    routes
        .add_service(SyncServiceServer::new(SyncDoor(Arc::clone(core))).max_decoding_message_size(MESSAGE_BYTES))
        .add_service(
            OfficeServiceServer::new(OfficeDoor::new(Arc::clone(core))).max_decoding_message_size(MESSAGE_BYTES),
        )
        .add_service(
            AuthServiceServer::new(AuthDoor::new(Arc::clone(&core.auth))).max_decoding_message_size(MESSAGE_BYTES),
        )
        .add_service(
            AdminServiceServer::new(AdminDoor::new(Arc::clone(&core.auth))).max_decoding_message_size(MESSAGE_BYTES),
        )
        .add_service(
            QuarantineServiceServer::new(QuarantineDoor(Arc::clone(core))).max_decoding_message_size(MESSAGE_BYTES),
        )
        .add_service(InspectServiceServer::new(InspectDoor(core.db.clone())).max_decoding_message_size(MESSAGE_BYTES))
        .add_service(
            LogisticsServiceServer::new(LogisticsDoor::new(Arc::clone(core))).max_decoding_message_size(MESSAGE_BYTES),
        )
        .add_service(
            SupervisionServiceServer::new(SupervisionDoor(Arc::clone(core))).max_decoding_message_size(MESSAGE_BYTES),
        )
        .add_service(health_service);
    match tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(roundsman_proto::FILE_DESCRIPTOR_SET)
        .build_v1()
    {
        Ok(reflection) => {
            routes.add_service(reflection);
        }
        Err(error) => tracing::error!(%error, "no reflection: our own descriptors can't be read"),
    }
    let pull = axum::Router::new().route(stream::PATH, post(stream::pull)).with_state(Arc::clone(core));
    let grpc = routes.routes().into_axum_router().merge(pull).layer(AuthLayer::new(Arc::clone(&core.auth)));
    let http = axum::Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(Arc::clone(core));
    grpc.layer(tonic_web::GrpcWebLayer::new()).merge(http)
}

/// Serves until `stop`, then lets what is under way end.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    core: Arc<Core>,
    metrics: Option<PrometheusHandle>,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let mut router = router(&core).await;
    if let Some(metrics) = metrics {
        let core = Arc::clone(&core);
        let look = async move || {
            watch::publish(&core);
            metrics.render()
        };
        router = router.route("/metrics", get(look));
    }
    let stopping = CancellationToken::new();
    let stopped = stopping.clone();
    let server = tonic::transport::Server::builder()
        .accept_http1(true)
        // Without this tonic lifts even hyper's own limit.
        .max_concurrent_streams(STREAMS)
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .add_routes(Routes::from(router))
        .serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), async move {
            stopped.cancelled().await;
        });
    let serving = tokio::spawn(server);
    let (jobs, clockwork) = (Jobs::new(Arc::clone(&core)), stopping.clone());
    let jobs = tokio::spawn(async move { jobs.run(clockwork).await });
    let watch = tokio::spawn(watch::run(Arc::clone(&core), stopping.clone()));
    let neighbours = tokio::spawn(neighbours::run(Arc::clone(&core), stopping.clone()));
    let announcer = tokio::spawn(neighbours::announce(Arc::clone(&core), stopping.clone()));
    stop.await;
    tracing::info!("stopping");
    stopping.cancel();
    // They end at the next moment at which they wait.
    let _ = tokio::join!(jobs, watch, neighbours, announcer);
    // Followers end when the lanes do.
    let ended = core.stop().await;
    if tokio::time::timeout(DRAIN, serving).await.is_err() {
        tracing::warn!("some calls did not end in time");
    }
    Ok(ended?)
}

async fn ready(State(core): State<Arc<Core>>) -> (StatusCode, &'static str) {
    match sql::ping(&core.db).await {
        Ok(()) => (StatusCode::OK, "ready\n"),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n"),
    }
}
