//! Users, devices, sessions, and the secrets of the server. No lane writes these tables: each function here belongs to a
//! short transaction of its own.

use roundsman_proto::auth::Role;
use uuid::Uuid;

use super::sql::Tx;
use super::tenant::WRITER_VERSION;
use crate::error::StoreError;

type Result<T> = std::result::Result<T, StoreError>;

/// A user, without what proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The tenant.
    pub tenant: i64,
    /// The user's id.
    pub id: Uuid,
    /// The login, in small letters.
    pub login: String,
    /// What the user may do.
    pub role: Role,
    /// The rep that the user is.
    pub rep: Option<Uuid>,
    /// The team that the user supervises.
    pub team: Option<Uuid>,
    /// The user can't log in.
    pub disabled: bool,
}

type UserRow = (i64, Uuid, String, i64, Option<Uuid>, Option<Uuid>, Option<i64>);

fn user((tenant, id, login, role, rep, team, disabled_at): UserRow) -> Result<User> {
    let role = i32::try_from(role)
        .ok()
        .and_then(|number| Role::try_from(number).ok())
        .ok_or_else(|| StoreError::Corrupt(format!("user {id} has the role {role}")))?;
    Ok(User { tenant, id, login, role, rep, team, disabled: disabled_at.is_some() })
}

/// A hash of a password, as it is stored. It is never shown, not even to a log.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(pub String);

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("PasswordHash(…)")
    }
}

/// A new tenant with this name; `None`: the name is taken.
///
/// # Errors
/// When the database does not answer.
pub async fn create_tenant(tx: &mut Tx, name: &str) -> Result<Option<i64>> {
    loop {
        let (id,): (i64,) = tx.query_as("SELECT COALESCE(MAX(id), 0) + 1 FROM tenant").one().await?;
        let written = tx
            .query(
                "INSERT INTO tenant (id, name, horizon, writer_version, durable_version) VALUES ($1, $2, 0, $3, 0) \
                 ON CONFLICT DO NOTHING",
            )
            .bind(id)
            .bind(name.to_owned())
            .bind(WRITER_VERSION)
            .execute()
            .await?;
        if written == 1 {
            return Ok(Some(id));
        }
        let taken: Option<(i64,)> =
            tx.query_as("SELECT id FROM tenant WHERE name = $1").bind(name.to_owned()).optional().await?;
        if taken.is_some() {
            return Ok(None);
        }
        // Another tenant was made meanwhile and has the number. It is committed, for the statement has waited for that: so
        // the next one sees it, and takes the number after.
    }
}

/// Whether anybody could log in to this server.
///
/// # Errors
/// When the database does not answer.
pub async fn any_user(tx: &mut Tx) -> Result<bool> {
    let found: Option<(i64,)> = tx.query_as("SELECT tenant FROM user_account LIMIT 1").optional().await?;
    Ok(found.is_some())
}

/// Writes a new user; `false`: the id or the login is taken, and nothing was written.
///
/// # Errors
/// When the database does not answer.
pub async fn insert_user(tx: &mut Tx, user: &User, hash: &PasswordHash, now_us: i64) -> Result<bool> {
    let written = tx
        .query(
            "INSERT INTO user_account (tenant, id, login, password_hash, role, rep, team, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
        )
        .bind(user.tenant)
        .bind(user.id)
        .bind(user.login.clone())
        .bind(hash.0.clone())
        .bind(i64::from(i32::from(user.role)))
        .bind(user.rep)
        .bind(user.team)
        .bind(now_us)
        .execute()
        .await?;
    Ok(written == 1)
}

/// A user by id, with the password's hash.
///
/// # Errors
/// When the database does not answer, or the row is damaged.
pub async fn find_user(tx: &mut Tx, tenant: i64, id: Uuid) -> Result<Option<(User, PasswordHash)>> {
    let found: Option<UserRow> = tx
        .query_as(
            "SELECT tenant, id, login, role, rep, team, disabled_at FROM user_account WHERE tenant = $1 AND id = $2",
        )
        .bind(tenant)
        .bind(id)
        .optional()
        .await?;
    with_hash(tx, found).await
}

/// A user by the tenant's name and the login, with the password's hash.
///
/// # Errors
/// When the database does not answer, or the row is damaged.
pub async fn find_login(tx: &mut Tx, tenant: &str, login: &str) -> Result<Option<(User, PasswordHash)>> {
    let found: Option<UserRow> = tx
        .query_as(
            "SELECT u.tenant, u.id, u.login, u.role, u.rep, u.team, u.disabled_at \
             FROM tenant t JOIN user_account u ON u.tenant = t.id WHERE t.name = $1 AND u.login = $2",
        )
        .bind(tenant.to_owned())
        .bind(login.to_owned())
        .optional()
        .await?;
    with_hash(tx, found).await
}

/// A statement of its own, so that no list of users can ever carry the hashes.
async fn with_hash(tx: &mut Tx, found: Option<UserRow>) -> Result<Option<(User, PasswordHash)>> {
    let Some(row) = found else { return Ok(None) };
    let user = user(row)?;
    let (hash,): (String,) = tx
        .query_as("SELECT password_hash FROM user_account WHERE tenant = $1 AND id = $2")
        .bind(user.tenant)
        .bind(user.id)
        .one()
        .await?;
    Ok(Some((user, PasswordHash(hash))))
}

/// A page of users by login, beginning after this one; "" begins with the first.
///
/// # Errors
/// When the database does not answer, or a row is damaged.
pub async fn users(tx: &mut Tx, tenant: i64, after: &str, limit: i64) -> Result<Vec<User>> {
    let rows: Vec<UserRow> = tx
        .query_as(
            "SELECT tenant, id, login, role, rep, team, disabled_at FROM user_account \
             WHERE tenant = $1 AND login > $2 ORDER BY login LIMIT $3",
        )
        .bind(tenant)
        .bind(after.to_owned())
        .bind(limit)
        .all()
        .await?;
    rows.into_iter().map(user).collect()
}

/// The users who are this rep, and the devices on which they have ever logged in: those whose access ends with the
/// rep's employment.
///
/// # Errors
/// When the database does not answer.
pub async fn of_rep(tx: &mut Tx, tenant: i64, rep: Uuid) -> Result<(Vec<Uuid>, Vec<Uuid>)> {
    let users: Vec<(Uuid,)> = tx
        .query_as("SELECT id FROM user_account WHERE tenant = $1 AND rep = $2 ORDER BY id")
        .bind(tenant)
        .bind(rep)
        .all()
        .await?;
    let devices: Vec<(Uuid,)> = tx
        .query_as(
            "SELECT d.id FROM user_account u JOIN device d ON d.tenant = u.tenant AND d.user_id = u.id \
             WHERE u.tenant = $1 AND u.rep = $2 ORDER BY d.id",
        )
        .bind(tenant)
        .bind(rep)
        .all()
        .await?;
    let ids = |rows: Vec<(Uuid,)>| rows.into_iter().map(|(id,)| id).collect();
    Ok((ids(users), ids(devices)))
}

/// Shuts a user out for good; `false`: there is none, or he was shut out before.
///
/// # Errors
/// When the database does not answer.
pub async fn disable_user(tx: &mut Tx, tenant: i64, id: Uuid, now_us: i64) -> Result<bool> {
    let written = tx
        .query("UPDATE user_account SET disabled_at = $3 WHERE tenant = $1 AND id = $2 AND disabled_at IS NULL")
        .bind(tenant)
        .bind(id)
        .bind(now_us)
        .execute()
        .await?;
    Ok(written == 1)
}

/// A device as it presents itself at a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDevice {
    /// A random UUID that the app made when it was installed.
    pub installation: Uuid,
    /// What a person calls it.
    pub name: String,
    /// The app's version.
    pub app_version: String,
}

/// The id of an installation in the hands of a user: two users of one phone are two devices, each with an outbox.
#[must_use]
pub fn device_id(installation: Uuid, user: Uuid) -> Uuid {
    Uuid::new_v5(&installation, user.as_bytes())
}

/// Writes a device, or its new name and version.
///
/// # Errors
/// When the database does not answer.
pub async fn register_device(tx: &mut Tx, user: &User, device: &NewDevice, now_us: i64) -> Result<Uuid> {
    let id = device_id(device.installation, user.id);
    tx.query(
        "INSERT INTO device (tenant, id, user_id, name, app_version, registered_at) VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (tenant, id) DO UPDATE SET name = excluded.name, app_version = excluded.app_version",
    )
    .bind(user.tenant)
    .bind(id)
    .bind(user.id)
    .bind(device.name.clone())
    .bind(device.app_version.clone())
    .bind(now_us)
    .execute()
    .await?;
    Ok(id)
}

/// A device with what is known of it.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Device {
    /// Its id.
    pub id: Uuid,
    /// Whose it is.
    pub user_id: Uuid,
    /// What a person calls it.
    pub name: String,
    /// The app's version.
    pub app_version: String,
    /// The last contact; before the first, the login.
    pub seen_at: i64,
    /// The sequence number of its last decided command.
    pub last_seq: Option<i64>,
    /// When it was revoked.
    pub revoked_at: Option<i64>,
    /// How many commands waited in its outbox.
    pub outbox_commands: Option<i64>,
    /// When the oldest of them was captured.
    pub outbox_oldest_at: Option<i64>,
    /// The estimated offset of its clock.
    pub clock_offset_us: Option<i64>,
}

macro_rules! devices_sql {
    ($where:literal) => {
        concat!(
            "SELECT d.id AS id, d.user_id AS user_id, d.name AS name, ",
            "COALESCE(NULLIF(c.app_version, ''), d.app_version) AS app_version, ",
            "COALESCE(c.seen_at, d.registered_at) AS seen_at, s.last_seq AS last_seq, ",
            "s.revoked_at AS revoked_at, c.outbox_commands AS outbox_commands, ",
            "c.outbox_oldest_at AS outbox_oldest_at, c.clock_offset_us AS clock_offset_us ",
            "FROM device d ",
            "LEFT JOIN device_contact c ON c.tenant = d.tenant AND c.device = d.id ",
            "LEFT JOIN device_sequence s ON s.tenant = d.tenant AND s.device = d.id ",
            "WHERE d.tenant = $1",
            $where
        )
    };
}

/// A page of devices, the one last seen first, beginning after this moment and id. One that calls while somebody turns
/// the pages moves to the front, and is then on no later page.
///
/// # Errors
/// When the database does not answer.
pub async fn devices(tx: &mut Tx, tenant: i64, after: Option<(i64, Uuid)>, limit: i64) -> Result<Vec<Device>> {
    let (seen_at, id) = after.unwrap_or((i64::MAX, Uuid::max()));
    tx.query_as(concat!(
        "SELECT * FROM (",
        devices_sql!(""),
        ") AS known WHERE seen_at < $2 OR (seen_at = $2 AND id < $3) ORDER BY seen_at DESC, id DESC LIMIT $4",
    ))
    .bind(tenant)
    .bind(seen_at)
    .bind(id)
    .bind(limit)
    .all()
    .await
}

/// A page of devices by id, beginning after this one.
///
/// # Errors
/// When the database does not answer.
pub async fn devices_by_id(tx: &mut Tx, tenant: i64, after: Uuid, limit: i64) -> Result<Vec<Device>> {
    let query = tx.query_as(devices_sql!(" AND d.id > $2 ORDER BY d.id LIMIT $3"));
    query.bind(tenant).bind(after).bind(limit).all().await
}

/// A device by id.
///
/// # Errors
/// When the database does not answer.
pub async fn find_device(tx: &mut Tx, tenant: i64, id: Uuid) -> Result<Option<Device>> {
    tx.query_as(devices_sql!(" AND d.id = $2")).bind(tenant).bind(id).optional().await
}

/// A login that is kept alive by refresh tokens, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The tenant.
    pub tenant: i64,
    /// The session's id.
    pub id: Uuid,
    /// Who logged in.
    pub user: Uuid,
    /// On which device, if any.
    pub device: Option<Uuid>,
    /// SHA-256 of the refresh token that is good now.
    pub token_hash: [u8; 32],
    /// When that token ends.
    pub expires_at_us: i64,
    /// The session has ended.
    pub revoked: bool,
}

/// Writes a new session.
///
/// # Errors
/// When the database does not answer.
pub async fn insert_session(tx: &mut Tx, session: &Session, now_us: i64) -> Result<()> {
    tx.query(
        "INSERT INTO session (tenant, id, user_id, device, token_hash, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(session.tenant)
    .bind(session.id)
    .bind(session.user)
    .bind(session.device)
    .bind(session.token_hash.to_vec())
    .bind(now_us)
    .bind(session.expires_at_us)
    .execute()
    .await?;
    Ok(())
}

/// A session by id.
///
/// # Errors
/// When the database does not answer, or the row is damaged.
pub async fn find_session(tx: &mut Tx, tenant: i64, id: Uuid) -> Result<Option<Session>> {
    type Row = (Uuid, Option<Uuid>, Vec<u8>, i64, Option<i64>);
    let row: Option<Row> = tx
        .query_as(
            "SELECT user_id, device, token_hash, expires_at, revoked_at FROM session WHERE tenant = $1 AND id = $2",
        )
        .bind(tenant)
        .bind(id)
        .optional()
        .await?;
    let Some((user, device, hash, expires_at_us, revoked_at)) = row else {
        return Ok(None);
    };
    let token_hash =
        hash.try_into().map_err(|_| StoreError::Corrupt(format!("session {id} has no hash of 32 bytes")))?;
    Ok(Some(Session { tenant, id, user, device, token_hash, expires_at_us, revoked: revoked_at.is_some() }))
}

/// Exchanges the token that is good now for the next. Of any number of callers with the same token one gets `true`:
/// check and mark are one statement.
///
/// # Errors
/// When the database does not answer.
pub async fn rotate_session(
    tx: &mut Tx,
    session: &Session,
    next_hash: [u8; 32],
    next_expires_at_us: i64,
    now_us: i64,
) -> Result<bool> {
    let written = tx
        .query(
            "UPDATE session SET token_hash = $4, expires_at = $5 \
             WHERE tenant = $1 AND id = $2 AND token_hash = $3 AND revoked_at IS NULL AND expires_at > $6",
        )
        .bind(session.tenant)
        .bind(session.id)
        .bind(session.token_hash.to_vec())
        .bind(next_hash.to_vec())
        .bind(next_expires_at_us)
        .bind(now_us)
        .execute()
        .await?;
    Ok(written == 1)
}

/// Ends a session; `false`: there is none, or it had ended before.
///
/// # Errors
/// When the database does not answer.
pub async fn end_session(tx: &mut Tx, tenant: i64, id: Uuid, now_us: i64) -> Result<bool> {
    let written = tx
        .query("UPDATE session SET revoked_at = $3 WHERE tenant = $1 AND id = $2 AND revoked_at IS NULL")
        .bind(tenant)
        .bind(id)
        .bind(now_us)
        .execute()
        .await?;
    Ok(written == 1)
}

/// Forgets the sessions of a tenant whose last refresh token ended before this moment.
///
/// # Errors
/// When the database does not answer.
pub async fn forget_sessions(tx: &mut Tx, tenant: i64, before_us: i64) -> Result<u64> {
    tx.query("DELETE FROM session WHERE tenant = $1 AND expires_at < $2").bind(tenant).bind(before_us).execute().await
}

/// Whose access has ended.
#[derive(Debug, Default)]
pub struct Ended {
    /// Sessions that ended at `since_us` or later, with the moment.
    pub sessions: Vec<(i64, Uuid, i64)>,
    /// All users who were shut out.
    pub users: Vec<(i64, Uuid)>,
    /// All devices that were revoked.
    pub devices: Vec<(i64, Uuid)>,
}

/// Whose access has ended, in all tenants.
///
/// # Errors
/// When the database does not answer.
pub async fn ended(tx: &mut Tx, since_us: i64) -> Result<Ended> {
    let sessions =
        tx.query_as("SELECT tenant, id, revoked_at FROM session WHERE revoked_at >= $1").bind(since_us).all().await?;
    let users = tx.query_as("SELECT tenant, id FROM user_account WHERE disabled_at IS NOT NULL").all().await?;
    let devices = tx.query_as("SELECT tenant, device FROM device_sequence WHERE revoked_at IS NOT NULL").all().await?;
    Ok(Ended { sessions, users, devices })
}

/// The server's secrets whose names begin so, by name.
///
/// # Errors
/// When the database does not answer.
pub async fn secrets(tx: &mut Tx, prefix: &'static str) -> Result<Vec<(String, Vec<u8>)>> {
    tx.query_as("SELECT name, value FROM server_secret WHERE name LIKE $1 ORDER BY name")
        .bind(format!("{prefix}%"))
        .all()
        .await
}

/// Writes a secret of the server unless there is one of that name.
///
/// # Errors
/// When the database does not answer.
pub async fn add_secret(tx: &mut Tx, name: &str, value: &[u8]) -> Result<bool> {
    let written = tx
        .query("INSERT INTO server_secret (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING")
        .bind(name.to_owned())
        .bind(value.to_vec())
        .execute()
        .await?;
    Ok(written == 1)
}

/// Removes a secret of the server.
///
/// # Errors
/// When the database does not answer.
pub async fn remove_secret(tx: &mut Tx, name: &str) -> Result<()> {
    tx.query("DELETE FROM server_secret WHERE name = $1").bind(name.to_owned()).execute().await?;
    Ok(())
}

/// Removes a secret of the server if it has this value. Of any number of callers one gets `true`.
///
/// # Errors
/// When the database does not answer.
pub async fn consume_secret(tx: &mut Tx, name: &str, value: &[u8]) -> Result<bool> {
    let removed = tx
        .query("DELETE FROM server_secret WHERE name = $1 AND value = $2")
        .bind(name.to_owned())
        .bind(value.to_vec())
        .execute()
        .await?;
    Ok(removed == 1)
}
