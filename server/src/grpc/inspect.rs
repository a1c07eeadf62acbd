//! The door of `roundsman.admin.v1.InspectService`: what a device has, where a record is handed out, who has got it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use prost::Message as _;
use roundsman_proto::admin as proto;
use roundsman_proto::admin::PositionState;
use roundsman_proto::admin::inspect_service_server::InspectService;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::Reason;
use roundsman_sync::kind;
use roundsman_sync::outbox::command_number;
use roundsman_sync::scope::Scope;
use roundsman_sync::trade::rejection::Rejection;
use roundsman_sync::version::Position;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::admin;
use super::auth::bytes;
use super::detached::detached;
use super::explain;
use super::fields::Fields;
use super::paging::Filter;
use super::status;
use super::supervision::waiting_kinds;
use crate::auth::authenticate::caller;
use crate::auth::caller::Caller;
use crate::describe;
use crate::error::StoreError;
use crate::grants::{self, Holding};
use crate::held::{self, Held};
use crate::store::account::{self, Device, User};
use crate::store::bucket::{self, Bucket, Placed};
use crate::store::command::{self, Changed, Failed, Sequence};
use crate::store::contact::{self, Heard};
use crate::store::sql::{Db, Tx};
use crate::store::{record, tenant};

/// So many failed commands of a device are shown.
const FAILED: i64 = 20;
/// So many buckets of a record are shown.
const BUCKETS: i64 = 1_000;
/// The outcomes of a page of history have together at most this many bytes, unless it is a single one.
const PAGE_BYTES: usize = 2 * 1024 * 1024;
/// So many devices are looked at for a page: for each user it is read anew what the user holds.
pub(super) const LOOKED_AT: i64 = 200;
/// No scope is written with more characters.
const SCOPE_CHARS: usize = 100;

/// Shows an administrator what is behind.
#[derive(Clone, Debug)]
pub struct InspectDoor(pub Db);

#[tonic::async_trait]
impl InspectService for InspectDoor {
    async fn get_device(
        &self,
        request: Request<proto::GetDeviceRequest>,
    ) -> Result<Response<proto::GetDeviceResponse>, Status> {
        let tenant = caller(&request)?.tenant;
        let mut fields = Fields::default();
        let id = fields.id("device_id", &request.into_inner().device_id);
        fields.check()?;
        let db = self.0.clone();
        let found = detached(async move { Ok(DeviceView::read(&mut db.read().await?, tenant, id).await?) }).await?;
        found.map(|view| Response::new(view.shown())).ok_or_else(|| missing("device_id", id))
    }

    async fn get_record(
        &self,
        request: Request<proto::GetRecordRequest>,
    ) -> Result<Response<proto::GetRecordResponse>, Status> {
        let tenant = caller(&request)?.tenant;
        let request = request.into_inner();
        let mut fields = Fields::default();
        let id = fields.id("record_id", &request.record_id);
        if request.kind != 0 && !held::is_kind(request.kind) {
            fields.wrong("kind", Reason::UnknownValue, "is no kind of records");
        }
        fields.check()?;
        let db = self.0.clone();
        let read = async move {
            let mut tx = db.read().await?;
            let found = record::find(&mut tx, tenant, &[id]).await?.pop();
            let buckets = bucket::of_record(&mut tx, tenant, id, BUCKETS).await?;
            Ok((found, buckets))
        };
        let (found, buckets) = detached(read).await?;
        // What the server keeps for itself is none of the records that devices know.
        let found = found.and_then(|(_, stored)| Some((kind::from_number(stored.kind)?, stored)));
        let wanted = found.filter(|(kind, _)| request.kind == 0 || request.kind == *kind as u32);
        let (kind, stored) = wanted.ok_or_else(|| missing("record_id", id))?;
        let (document_json, unreadable) = match stored.removed_at_us {
            Some(_) => Default::default(),
            None => match describe::record_json(kind, &stored.document) {
                Ok(json) => (json, String::new()),
                Err(error) => (String::new(), error.to_string()),
            },
        };
        Ok(Response::new(proto::GetRecordResponse {
            kind: kind as u32,
            version: stored.version,
            document_json,
            document: stored.document.to_vec(),
            removed_at_us: stored.removed_at_us.unwrap_or(0),
            survivor_id: stored.survivor.map(bytes).unwrap_or_default(),
            buckets: buckets.iter().map(record_bucket).collect(),
            unreadable,
        }))
    }

    async fn list_record_history(
        &self,
        request: Request<proto::ListRecordHistoryRequest>,
    ) -> Result<Response<proto::ListRecordHistoryResponse>, Status> {
        let tenant = caller(&request)?.tenant;
        let request = request.into_inner();
        let mut fields = Fields::default();
        let id = fields.id("record_id", &request.record_id);
        let token = Filter::of("record history", &[id.as_bytes()]);
        let before = token.after::<16>(&mut fields, &request.page_token).map(u128::from_be_bytes);
        let size = fields.page_size("page_size", request.page_size);
        fields.check()?;
        let before = before.map_or((i64::MAX, i64::MAX), place);
        let db = self.0.clone();
        let read = async move { Ok(command::history(&mut db.read().await?, tenant, id, before, size + 1).await?) };
        let mut page = detached(read).await?;
        let found = page.len();
        page.truncate(usize::try_from(size).unwrap_or(usize::MAX));
        let mut bytes = 0;
        let fits = page.iter().take_while(|change| {
            bytes += change.outcome.len();
            bytes <= PAGE_BYTES
        });
        let fitting = fits.count().max(1);
        page.truncate(fitting);
        let last = page.last().filter(|_| page.len() < found);
        let next_page_token = last.map_or_else(String::new, |last| token.token(key((last.version, last.ordinal))));
        let changes = page.iter().map(record_change).collect::<Result<_, _>>()?;
        Ok(Response::new(proto::ListRecordHistoryResponse { changes, next_page_token }))
    }

    async fn get_bucket(
        &self,
        request: Request<proto::GetBucketRequest>,
    ) -> Result<Response<proto::GetBucketResponse>, Status> {
        let tenant = caller(&request)?.tenant;
        let request = request.into_inner();
        let mut fields = Fields::default();
        let scope = scope(&mut fields, request.scope);
        let kind = bucket_kind(&mut fields, request.kind);
        fields.check()?;
        let db = self.0.clone();
        let read = async move { Ok(bucket::find(&mut db.read().await?, tenant, &scope, kind).await?) };
        let found =
            detached(read).await?.ok_or_else(|| status::rejected(&Rejection::new(Reason::NotFound).field("scope")))?;
        Ok(Response::new(proto::GetBucketResponse { bucket: Some(shown_bucket(&found)) }))
    }

    async fn list_holders(
        &self,
        request: Request<proto::ListHoldersRequest>,
    ) -> Result<Response<proto::ListHoldersResponse>, Status> {
        let tenant = caller(&request)?.tenant;
        let page = HolderPage::of(request.into_inner())?;
        let db = self.0.clone();
        let answer = detached(async move { page.read(&mut db.read().await?, tenant).await }).await?;
        Ok(Response::new(answer))
    }

    async fn explain_order(
        &self,
        request: Request<proto::ExplainOrderRequest>,
    ) -> Result<Response<proto::ExplainOrderResponse>, Status> {
        let tenant = caller(&request)?.tenant;
        let mut fields = Fields::default();
        let id = fields.id("order_id", &request.into_inner().order_id);
        fields.check()?;
        let db = self.0.clone();
        let explained = detached(async move { Ok(explain::order(&mut db.read().await?, tenant, id).await?) }).await?;
        explained.map(Response::new).ok_or_else(|| missing("order_id", id))
    }
}

fn missing(field: &str, id: Uuid) -> Status {
    status::rejected(&Rejection::new(Reason::NotFound).field(field).about(id))
}

fn scope(fields: &mut Fields, text: String) -> String {
    let text = fields.text("scope", text, 1..=SCOPE_CHARS);
    if !text.is_empty() && text.parse::<Scope>().is_err() {
        fields.wrong("scope", Reason::OutOfRange, "names no scope");
    }
    text
}

fn bucket_kind(fields: &mut Fields, kind: u32) -> i64 {
    if !held::is_kind(kind) {
        fields.wrong("kind", Reason::UnknownValue, "is missing, or no kind of records");
    }
    kind.into()
}

/// A place in a history as the key of a page.
fn key((version, ordinal): (i64, i64)) -> [u8; 16] {
    (u128::from(version.cast_unsigned()) << 64 | u128::from(ordinal.cast_unsigned())).to_be_bytes()
}

fn place(key: u128) -> (i64, i64) {
    let half = |bits: u128| u64::try_from(bits & u128::from(u64::MAX)).unwrap_or(u64::MAX).cast_signed();
    (half(key >> 64), half(key))
}

/// What the user of a device is taken for when the device calls.
fn caller_of(user: &User, device: Uuid) -> Caller {
    Caller { tenant: user.tenant, user: user.id, role: user.role, rep: user.rep, team: user.team, device: Some(device) }
}

fn held_by(heard: Option<&Heard>) -> Held {
    let position = heard.and_then(|heard| heard.position_version.zip(heard.position_nonce));
    let position = position.map(|(version, nonce)| Position { version, nonce: nonce.cast_unsigned() });
    Held { position, pull: heard.map(Heard::last_pull).unwrap_or_default() }
}

/// A device with all that is known of it.
struct DeviceView {
    device: Device,
    user: Option<User>,
    heard: Option<Heard>,
    held: Held,
    is_known: bool,
    head: tenant::Head,
    sequence: Sequence,
    holding: Holding,
    buckets: Vec<Bucket>,
    failed: Vec<Failed>,
}

impl DeviceView {
    async fn read(tx: &mut Tx, tenant: i64, id: Uuid) -> Result<Option<Self>, StoreError> {
        let Some(device) = account::find_device(tx, tenant, id).await? else { return Ok(None) };
        let user = account::find_user(tx, tenant, device.user_id).await?.map(|(user, _)| user);
        let heard = contact::heard(tx, tenant, &[id]).await?.pop();
        let held = held_by(heard.as_ref());
        let asked: Vec<Position> = held.position.into_iter().collect();
        let is_known = !tenant::known(tx, tenant, &asked).await?.is_empty();
        let head = tenant::head(tx, tenant).await?.unwrap_or_default();
        let sequence = command::sequences(tx, tenant, &[id]).await?.pop().map(|(_, sequence)| sequence);
        let holding = match &user {
            Some(user) => grants::holding(tx, &caller_of(user, id)).await?,
            None => Holding::default(),
        };
        let buckets = bucket::of_scopes(tx, tenant, &holding.texts()).await?;
        let failed = command::failed(tx, tenant, id, FAILED).await?;
        let sequence = sequence.unwrap_or_default();
        Ok(Some(Self { device, user, heard, held, is_known, head, sequence, holding, buckets, failed }))
    }

    fn position_state(&self) -> PositionState {
        match self.held.position {
            None => PositionState::Unspecified,
            Some(position) if position.version < self.head.horizon => PositionState::BehindHorizon,
            Some(_) if self.is_known => PositionState::Known,
            Some(_) => PositionState::Forked,
        }
    }

    fn shown(self) -> proto::GetDeviceResponse {
        let position_state = self.position_state();
        let kinds = self.held.kinds();
        // The digest of a device that has not called with a position says nothing.
        let scopes_changed = self.held.is_of_other_scopes(self.holding.digest(&kinds));
        let versions = self.held.versions(&self.buckets);
        let bucket = |bucket: &Bucket| {
            let held_version = versions.get(&bucket.id).copied().unwrap_or(0);
            proto::DeviceBucket {
                bucket: Some(shown_bucket(bucket)),
                held_version,
                is_current: held_version >= bucket.head,
                unknown_to_app: !kinds.contains(&bucket.kind),
            }
        };
        let buckets = self.buckets.iter().map(bucket).collect();
        let confirmed_seq = self.sequence.confirmed_seq;
        let heard = self.heard.unwrap_or_default();
        proto::GetDeviceResponse {
            device: Some(admin::device(self.device)),
            login: self.user.as_ref().map(|user| user.login.clone()).unwrap_or_default(),
            rep_id: self.user.and_then(|user| user.rep).map(bytes).unwrap_or_default(),
            protocol_version: u32::try_from(heard.protocol_version).unwrap_or(0),
            outbox_kinds: waiting_kinds(heard.outbox_kinds.as_deref()),
            outbox_reported_at_us: heard.outbox_at.unwrap_or(0),
            position_version: self.held.position.map_or(0, |position| position.version),
            position_state: position_state.into(),
            version: self.head.position.version,
            scopes_changed,
            confirmed_seq,
            buckets,
            failed: self.failed.into_iter().map(|failed| failed_command(failed, confirmed_seq)).collect(),
            refused_reason: heard.refused_reason.unwrap_or_default(),
            refused_at_us: heard.refused_at.unwrap_or(0),
            mended: heard.mended.unwrap_or_default(),
            mended_at_us: heard.mended_at.unwrap_or(0),
        }
    }
}

fn failed_command(failed: Failed, confirmed_seq: i64) -> proto::FailedCommand {
    proto::FailedCommand {
        command_id: bytes(failed.command),
        seq: failed.seq,
        name: describe::command_name(command_number(&failed.body)),
        outcome: Some(failed.outcome),
        decided_at_us: failed.decided_at_us,
        confirmed: failed.seq <= confirmed_seq,
    }
}

fn shown_bucket(bucket: &Bucket) -> proto::Bucket {
    proto::Bucket {
        bucket_id: bucket.id,
        scope: bucket.scope.clone(),
        kind: u32::try_from(bucket.kind).unwrap_or(0),
        head: bucket.head,
        last_removal: bucket.last_removal,
        created: bucket.created,
        rows: bucket.rows,
        bytes: bucket.bytes,
        checksum: bucket.checksum,
    }
}

fn record_bucket(placed: &Placed) -> proto::RecordBucket {
    proto::RecordBucket { bucket: Some(shown_bucket(&placed.bucket)), row_version: placed.version, live: placed.live }
}

fn record_change(changed: &Changed) -> Result<proto::RecordChange, Status> {
    let outcome = Outcome::decode(changed.outcome.as_slice()).map_err(status::internal)?;
    Ok(proto::RecordChange {
        version: changed.version,
        command_id: bytes(changed.command),
        command_name: changed.command_name.clone(),
        user_id: Some(changed.actor).filter(|actor| !actor.is_nil()).map(bytes).unwrap_or_default(),
        device_id: changed.device.map(bytes).unwrap_or_default(),
        captured_at_us: changed.captured_at,
        decided_at_us: changed.decided_at,
        request: changed.request.clone(),
        outcome: Some(outcome),
    })
}

/// What is looked for on devices.
#[derive(Debug)]
enum Sought {
    Record(Uuid),
    Bucket(String, i64),
}

/// A page of holders, checked.
#[derive(Debug)]
struct HolderPage {
    token: Filter,
    sought: Sought,
    after: Uuid,
    size: i64,
}

impl HolderPage {
    fn of(request: proto::ListHoldersRequest) -> Result<Self, Status> {
        let mut fields = Fields::default();
        let token = Filter::of("holders", &[&request.record_id, request.scope.as_bytes(), &request.kind.to_be_bytes()]);
        let after = token.after(&mut fields, &request.page_token).map(Uuid::from_bytes);
        let size = fields.page_size("page_size", request.page_size).min(LOOKED_AT);
        let sought = if request.scope.is_empty() && request.kind == 0 {
            Sought::Record(fields.id("record_id", &request.record_id))
        } else {
            if !request.record_id.is_empty() {
                fields.wrong("record_id", Reason::Mismatch, "does not go with a scope and a kind");
            }
            let scope = scope(&mut fields, request.scope);
            Sought::Bucket(scope, bucket_kind(&mut fields, request.kind))
        };
        fields.check()?;
        Ok(Self { token, sought, after: after.unwrap_or_default(), size })
    }

    async fn read(&self, tx: &mut Tx, tenant: i64) -> Result<proto::ListHoldersResponse, Status> {
        let sought = self.sought(tx, tenant).await?;
        let mut devices = account::devices_by_id(tx, tenant, self.after, self.size + 1).await?;
        let found = devices.len();
        devices.truncate(usize::try_from(self.size).unwrap_or(usize::MAX));
        let last = devices.last().filter(|_| devices.len() < found).map(|last| last.id);
        let ids: Vec<Uuid> = devices.iter().map(|device| device.id).collect();
        let heard: HashMap<Uuid, Heard> =
            contact::heard(tx, tenant, &ids).await?.into_iter().map(|heard| (heard.device, heard)).collect();
        let mut users: HashMap<Uuid, Option<(User, Holding)>> = HashMap::new();
        let mut holders = Vec::new();
        // A revoked device and a user who is shut out get nothing any more.
        for device in devices.into_iter().filter(|device| device.revoked_at.is_none()) {
            let user = match users.entry(device.user_id) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(unknown) => unknown.insert(holds(tx, tenant, device.user_id).await?),
            };
            if let Some((user, holding)) = user {
                holders.extend(holder(&device, user, holding, &held_by(heard.get(&device.id)), &sought));
            }
        }
        let next_page_token = last.map_or_else(String::new, |last| self.token.token(last.into_bytes()));
        Ok(proto::ListHoldersResponse { holders, next_page_token })
    }

    /// The buckets that are looked for, by number, each with the version from which on a device has it, or the record.
    async fn sought(&self, tx: &mut Tx, tenant: i64) -> Result<Vec<(Bucket, i64)>, Status> {
        match &self.sought {
            Sought::Record(id) => {
                let placed = bucket::of_record(tx, tenant, *id, BUCKETS).await?;
                let live = placed.into_iter().filter(|placed| placed.live);
                Ok(live.map(|placed| (placed.bucket, placed.version)).collect())
            }
            Sought::Bucket(scope, kind) => {
                let found = bucket::find(tx, tenant, scope, *kind).await?;
                Ok(found.into_iter().map(|bucket| (bucket.head, bucket)).map(|(head, bucket)| (bucket, head)).collect())
            }
        }
    }
}

/// A user who may log in, with what the user holds.
pub(super) async fn holds(tx: &mut Tx, tenant: i64, user: Uuid) -> Result<Option<(User, Holding)>, StoreError> {
    let user = account::find_user(tx, tenant, user).await?.map(|(user, _)| user).filter(|user| !user.disabled);
    let Some(user) = user else { return Ok(None) };
    let holding = grants::holding(tx, &caller_of(&user, Uuid::nil())).await?;
    Ok(Some((user, holding)))
}

/// What a device has of what is looked for; `None`: it is not to have it.
fn holder(
    device: &Device,
    user: &User,
    holding: &Holding,
    held: &Held,
    sought: &[(Bucket, i64)],
) -> Option<proto::Holder> {
    let is_granted = |bucket: &Bucket| bucket.scope.parse().is_ok_and(|scope| holding.scopes.contains(&scope));
    let granted: Vec<&(Bucket, i64)> = sought.iter().filter(|(bucket, _)| is_granted(bucket)).collect();
    let versions = held.versions(granted.iter().map(|(bucket, _)| bucket));
    let version = |bucket: &Bucket| versions.get(&bucket.id).copied().unwrap_or(0);
    let has_it = granted.iter().find(|(bucket, wanted)| version(bucket) >= *wanted);
    let (bucket, _) = has_it.or(granted.first())?;
    Some(proto::Holder {
        device_id: bytes(device.id),
        device_name: device.name.clone(),
        user_id: bytes(user.id),
        login: user.login.clone(),
        bucket_id: bucket.id,
        held_version: version(bucket),
        is_current: has_it.is_some(),
        seen_at_us: device.seen_at,
    })
}
