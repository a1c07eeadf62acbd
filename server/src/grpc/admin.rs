//! The door of `roundsman.admin.v1.AdminService`.

use std::sync::Arc;

use roundsman_proto::admin as proto;
use roundsman_proto::admin::admin_service_server::AdminService;
use roundsman_proto::auth::Role;
use roundsman_proto::trade::Reason;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::auth::{NAME_CHARS, PASSWORD_LEAST_CHARS, PASSWORD_MOST_CHARS, bytes, login_name};
use super::detached::detached;
use super::fields::{Fields, next_page};
use crate::auth::authenticate::caller;
use crate::auth::{Auth, Secret, users};
use crate::store::account::{self, Device, User};

/// Manages the users and devices of the caller's tenant.
#[derive(Clone, Debug)]
pub struct AdminDoor(Arc<Auth>);

impl AdminDoor {
    /// With these users.
    #[must_use]
    pub fn new(auth: Arc<Auth>) -> Self {
        Self(auth)
    }
}

#[tonic::async_trait]
impl AdminService for AdminDoor {
    async fn create_user(
        &self,
        request: Request<proto::CreateUserRequest>,
    ) -> Result<Response<proto::CreateUserResponse>, Status> {
        let caller = caller(&request)?;
        let (user, password) = new_user(caller.tenant, request.into_inner())?;
        let auth = Arc::clone(&self.0);
        detached(async move { Ok(users::create(&auth, user, password).await?) }).await?;
        Ok(Response::new(proto::CreateUserResponse {}))
    }

    async fn list_users(
        &self,
        request: Request<proto::ListUsersRequest>,
    ) -> Result<Response<proto::ListUsersResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let mut fields = Fields::default();
        let size = fields.page_size("page_size", request.page_size);
        let after = after_login(&mut fields, &request.page_token);
        fields.check()?;
        let db = self.0.db.clone();
        let mut users = detached(async move {
            let mut tx = db.read().await?;
            // One more than asked for tells whether there is a next page.
            Ok(account::users(&mut tx, caller.tenant, &after, size + 1).await?)
        })
        .await?;
        let next_page_token = cut(&mut users, size, |last| last.login.as_bytes().to_vec());
        Ok(Response::new(proto::ListUsersResponse { users: users.into_iter().map(user).collect(), next_page_token }))
    }

    async fn list_devices(
        &self,
        request: Request<proto::ListDevicesRequest>,
    ) -> Result<Response<proto::ListDevicesResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let mut fields = Fields::default();
        let size = fields.page_size("page_size", request.page_size);
        let after = after_device(&mut fields, &request.page_token);
        fields.check()?;
        let db = self.0.db.clone();
        let mut devices = detached(async move {
            let mut tx = db.read().await?;
            Ok(account::devices(&mut tx, caller.tenant, after, size + 1).await?)
        })
        .await?;
        let next_page_token =
            cut(&mut devices, size, |last| [last.seen_at.to_be_bytes().as_slice(), last.id.as_bytes()].concat());
        let devices = devices.into_iter().map(device).collect();
        Ok(Response::new(proto::ListDevicesResponse { devices, next_page_token }))
    }
}

fn new_user(tenant: i64, request: proto::CreateUserRequest) -> Result<(User, Secret), Status> {
    let mut fields = Fields::default();
    let role = Role::try_from(request.role).unwrap_or_default();
    let user = User {
        tenant,
        id: fields.id("user_id", &request.user_id),
        login: login_name(&mut fields, "login", &request.login),
        role,
        rep: fields.optional_id("rep_id", &request.rep_id),
        team: fields.optional_id("team_id", &request.team_id),
        disabled: false,
    };
    let password = fields.secret("password", request.password, PASSWORD_LEAST_CHARS..=PASSWORD_MOST_CHARS);
    if role == Role::Unspecified {
        fields.wrong("role", Reason::UnknownValue, "is missing or unknown");
    }
    only_and_always(&mut fields, "rep_id", !request.rep_id.is_empty(), matches!(role, Role::Rep | Role::Driver));
    only_and_always(&mut fields, "team_id", !request.team_id.is_empty(), role == Role::Supervisor);
    fields.check()?;
    Ok((user, password))
}

fn only_and_always(fields: &mut Fields, field: &str, is_there: bool, is_wanted: bool) {
    if is_wanted && !is_there {
        fields.wrong(field, Reason::MissingField, "is missing; the role needs it");
    } else if is_there && !is_wanted {
        fields.wrong(field, Reason::Mismatch, "does not go with the role");
    }
}

fn after_login(fields: &mut Fields, token: &str) -> String {
    let Some(token) = fields.page_token("page_token", token) else {
        return String::new();
    };
    let login = String::from_utf8(token).ok();
    let login = login.filter(|login| !login.contains('\0') && login.chars().count() <= NAME_CHARS);
    if login.is_none() {
        fields.wrong_page_token("page_token");
    }
    login.unwrap_or_default()
}

fn after_device(fields: &mut Fields, token: &str) -> Option<(i64, Uuid)> {
    let token = fields.page_token("page_token", token)?;
    let after = token.split_first_chunk::<8>().and_then(|(seen_at, id)| {
        let id = Uuid::from_slice(id).ok()?;
        Some((i64::from_be_bytes(*seen_at), id))
    });
    if after.is_none() {
        fields.wrong_page_token("page_token");
    }
    after
}

/// Cuts a page to its size; the token of the next, if there is one.
pub(super) fn cut<T>(page: &mut Vec<T>, size: i64, key: impl FnOnce(&T) -> Vec<u8>) -> String {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    if page.len() <= size {
        return String::new();
    }
    page.truncate(size);
    page.last().map(|last| next_page(&key(last))).unwrap_or_default()
}

fn user(user: User) -> proto::User {
    proto::User {
        user_id: bytes(user.id),
        login: user.login,
        role: user.role.into(),
        rep_id: user.rep.map(bytes).unwrap_or_default(),
        team_id: user.team.map(bytes).unwrap_or_default(),
        disabled: user.disabled,
    }
}

pub(super) fn device(device: Device) -> proto::Device {
    proto::Device {
        device_id: bytes(device.id),
        user_id: bytes(device.user_id),
        name: device.name,
        app_version: device.app_version,
        seen_at_us: device.seen_at,
        last_seq: device.last_seq.unwrap_or(0),
        outbox_commands: device.outbox_commands.and_then(|count| u32::try_from(count).ok()).unwrap_or(0),
        outbox_oldest_at_us: device.outbox_oldest_at.unwrap_or(0),
        clock_offset_us: device.clock_offset_us.unwrap_or(0),
        revoked: device.revoked_at.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;
    use tonic_types::StatusExt as _;

    use super::*;
    use crate::auth::caller::Caller;
    use crate::auth::session::{Login, login as log_in};
    use crate::auth::testing::{Fixture, PASSWORD, START_US, login};
    use crate::grpc::status;
    use crate::store::account::NewDevice;

    async fn fixture() -> (Fixture, AdminDoor, Arc<Caller>) {
        let (fixture, _) = Fixture::with_user(Role::Admin).await;
        let admin = log_in(&fixture.auth, login(false)).await.expect("logs in").caller;
        let door = AdminDoor::new(Arc::clone(&fixture.auth));
        (fixture, door, Arc::new(admin))
    }

    fn by<T>(caller: &Arc<Caller>, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.extensions_mut().insert(Arc::clone(caller));
        request
    }

    fn boris() -> proto::CreateUserRequest {
        proto::CreateUserRequest {
            user_id: bytes(Uuid::from_u128(2)),
            login: "Boris".to_owned(),
            password: "boris's password".to_owned(),
            role: Role::Rep.into(),
            rep_id: bytes(Uuid::from_u128(3)),
            team_id: Vec::new(),
        }
    }

    #[tokio::test]
    async fn a_user_is_made_once_and_logs_in() {
        let (fixture, door, admin) = fixture().await;
        for _ in 0..2 {
            door.create_user(by(&admin, boris())).await.expect("is made, and the call may be repeated");
        }
        let taken = |request| {
            let (door, admin) = (door.clone(), Arc::clone(&admin));
            async move {
                let status = door.create_user(by(&admin, request)).await.expect_err("is taken");
                assert_eq!(status.code(), Code::AlreadyExists);
                status::reason(&status).expect("has a reason")
            }
        };
        let other_password = proto::CreateUserRequest { password: "another password".to_owned(), ..boris() };
        assert_eq!(taken(other_password).await, "ID_TAKEN");
        let other_id = proto::CreateUserRequest { user_id: bytes(Uuid::from_u128(9)), ..boris() };
        assert_eq!(taken(other_id).await, "LOGIN_TAKEN");
        let attempt = Login { login: "boris".to_owned(), password: Secret::new("boris's password"), ..login(true) };
        let session = log_in(&fixture.auth, attempt).await.expect("logs in");
        assert_eq!((session.caller.role, session.caller.rep), (Role::Rep, Some(Uuid::from_u128(3))));
    }

    type Change = fn(&mut proto::CreateUserRequest);

    /// The fields that are named, with their reasons.
    async fn wrong(door: &AdminDoor, admin: &Arc<Caller>, change: Change) -> Vec<(String, String)> {
        let mut request = boris();
        change(&mut request);
        let status = door.create_user(by(admin, request)).await.expect_err("is wrong");
        assert_eq!(status.code(), Code::InvalidArgument);
        let fields = status.get_details_bad_request().expect("names the fields").field_violations;
        fields.into_iter().map(|field| (field.field, field.reason)).collect()
    }

    #[tokio::test]
    async fn every_field_of_a_user_has_its_limits() {
        let (_fixture, door, admin) = fixture().await;
        let cases: [(Change, &str, &str); 14] = [
            (|user| user.user_id = Vec::new(), "user_id", "MISSING_FIELD"),
            (|user| user.user_id = vec![1; 15], "user_id", "BAD_ID"),
            (|user| user.login = String::new(), "login", "MISSING_FIELD"),
            (|user| user.login = "x".repeat(65), "login", "TOO_LONG"),
            (|user| user.login = "a\0b".to_owned(), "login", "NUL_CHARACTER"),
            (|user| user.password = "x".repeat(11), "password", "OUT_OF_RANGE"),
            (|user| user.password = "x".repeat(129), "password", "TOO_LONG"),
            (|user| user.rep_id = Vec::new(), "rep_id", "MISSING_FIELD"),
            (|user| user.rep_id = vec![0; 16], "rep_id", "BAD_ID"),
            (|user| user.team_id = vec![1; 16], "team_id", "MISMATCH"),
            (|user| (user.role, user.rep_id) = (0, Vec::new()), "role", "UNKNOWN_VALUE"),
            (|user| (user.role, user.rep_id) = (8, Vec::new()), "role", "UNKNOWN_VALUE"),
            (|user| (user.role, user.rep_id) = (7, Vec::new()), "rep_id", "MISSING_FIELD"),
            (|user| (user.role, user.rep_id) = (2, Vec::new()), "team_id", "MISSING_FIELD"),
        ];
        for (change, field, reason) in cases {
            assert_eq!(wrong(&door, &admin, change).await, [(field.to_owned(), reason.to_owned())]);
        }
        assert_eq!(wrong(&door, &admin, |user| user.role = 2).await.len(), 2, "a supervisor with a rep and no team");
        let mut most = boris();
        (most.role, most.rep_id, most.team_id) = (2, Vec::new(), vec![1; 16]);
        (most.login, most.password) = ("x".repeat(64), "x".repeat(128));
        door.create_user(by(&admin, most)).await.expect("all is within the limits");
    }

    #[tokio::test]
    async fn lists_have_their_limits() {
        let (_fixture, door, admin) = fixture().await;
        for page_token in ["nonsense", "00", &hex::encode([0xff; 3]), &"78".repeat(65)] {
            let page_token = page_token.to_owned();
            let list = proto::ListUsersRequest { page_size: -1, page_token: page_token.clone() };
            let status = door.list_users(by(&admin, list)).await.expect_err("both are wrong");
            assert_eq!(status.get_details_bad_request().expect("names them").field_violations.len(), 2, "{page_token}");
            let list = proto::ListDevicesRequest { page_size: -1, page_token: page_token.clone() };
            let status = door.list_devices(by(&admin, list)).await.expect_err("both are wrong");
            assert_eq!(status.get_details_bad_request().expect("names them").field_violations.len(), 2, "{page_token}");
        }
    }

    #[tokio::test]
    async fn users_come_in_pages_and_only_of_the_own_tenant() {
        let (fixture, door, admin) = fixture().await;
        let mut tx = fixture.auth.db.write().await.expect("begins");
        let (_, hash) = account::find_user(&mut tx, admin.tenant, admin.user).await.expect("reads").expect("is there");
        let other = account::create_tenant(&mut tx, "Other").await.expect("writes").expect("is new");
        for number in 0..25_u128 {
            for tenant in [admin.tenant, other] {
                let id = Uuid::from_u128(100 + number);
                let login = format!("user{number:02}");
                let user = User { tenant, id, login, role: Role::Office, rep: None, team: None, disabled: false };
                assert!(account::insert_user(&mut tx, &user, &hash, START_US).await.expect("writes"));
            }
        }
        tx.commit().await.expect("commits");
        let (mut logins, mut page_token) = (Vec::new(), String::new());
        for expected in [10, 10, 6] {
            let request = proto::ListUsersRequest { page_size: 10, page_token };
            let page = door.list_users(by(&admin, request)).await.expect("lists").into_inner();
            assert_eq!(page.users.len(), expected);
            logins.extend(page.users.into_iter().map(|user| user.login));
            page_token = page.next_page_token;
        }
        assert_eq!(page_token, "");
        let expected: Vec<String> =
            std::iter::once("anna".to_owned()).chain((0..25).map(|number| format!("user{number:02}"))).collect();
        assert_eq!(logins, expected);
        let whole = door.list_users(by(&admin, proto::ListUsersRequest::default())).await.expect("lists").into_inner();
        assert_eq!((whole.users.len(), whole.next_page_token.as_str()), (26, ""));
    }

    async fn hear_and_revoke(fixture: &Fixture, tenant: i64, device: Uuid) {
        let mut tx = fixture.auth.db.write().await.expect("begins");
        let contact = "INSERT INTO device_contact \
                       (tenant, device, seen_at, outbox_commands, outbox_oldest_at, clock_offset_us, \
                        app_version, protocol_version) VALUES ($1, $2, $3, 7, 8, -9, '2', 1)";
        let contact = tx.query(contact).bind(tenant).bind(device).bind(START_US + 1_000_000);
        contact.execute().await.expect("writes");
        let sequence = "INSERT INTO device_sequence (tenant, device, last_seq, confirmed_seq, revoked_at) \
                        VALUES ($1, $2, 42, 0, 1)";
        tx.query(sequence).bind(tenant).bind(device).execute().await.expect("writes");
        tx.commit().await.expect("commits");
    }

    #[tokio::test]
    async fn devices_come_in_pages_the_one_last_seen_first() {
        let (fixture, door, admin) = fixture().await;
        let auth = &fixture.auth;
        for number in 1..=5_u128 {
            auth.clock.advance(if number == 3 { 0 } else { 1_000 });
            let device = NewDevice {
                installation: Uuid::from_u128(number),
                name: format!("Phone {number}"),
                app_version: "1".to_owned(),
            };
            log_in(auth, Login { device: Some(device), ..login(false) }).await.expect("logs in");
        }
        let id = |number| account::device_id(Uuid::from_u128(number), admin.user);
        hear_and_revoke(&fixture, admin.tenant, id(1)).await;
        let (mut devices, mut page_token) = (Vec::new(), String::new());
        for expected in [2, 2, 1] {
            let request = proto::ListDevicesRequest { page_size: 2, page_token };
            let page = door.list_devices(by(&admin, request)).await.expect("lists").into_inner();
            assert_eq!(page.devices.len(), expected);
            devices.extend(page.devices);
            page_token = page.next_page_token;
        }
        assert_eq!(page_token, "");
        let names: Vec<&str> = devices.iter().map(|device| device.name.as_str()).collect();
        // The second and the third came at the same moment.
        let middle = if id(3) > id(2) { ["Phone 3", "Phone 2"] } else { ["Phone 2", "Phone 3"] };
        assert_eq!(names, ["Phone 1", "Phone 5", "Phone 4", middle[0], middle[1]]);
        let expected = proto::Device {
            device_id: bytes(id(1)),
            user_id: bytes(admin.user),
            name: "Phone 1".to_owned(),
            app_version: "2".to_owned(),
            seen_at_us: START_US + 1_000_000,
            last_seq: 42,
            outbox_commands: 7,
            outbox_oldest_at_us: 8,
            clock_offset_us: -9,
            revoked: true,
        };
        assert_eq!(devices[0], expected);
        assert_eq!((devices[1].last_seq, devices[1].revoked), (0, false));
    }

    #[tokio::test]
    async fn nobody_is_served_past_the_gate() {
        let (_fixture, door, _admin) = fixture().await;
        let statuses = [
            door.create_user(Request::new(boris())).await.expect_err("nobody calls"),
            door.list_users(Request::new(proto::ListUsersRequest::default())).await.expect_err("nobody calls"),
            door.list_devices(Request::new(proto::ListDevicesRequest::default())).await.expect_err("nobody calls"),
        ];
        assert!(statuses.iter().all(|status| status.code() == Code::Unauthenticated));
        assert!(PASSWORD.len() >= PASSWORD_LEAST_CHARS);
    }
}
