//! Who calls, and what they may do: passwords, tokens, sessions, roles.
//!
//! Every gRPC call passes [`authenticate::AuthLayer`], which looks the method up in the one table of [`access`] and puts
//! the [`caller::Caller`] where the door finds it.

pub mod access;
pub mod authenticate;
pub mod caller;
pub mod password;
pub mod session;
pub mod throttle;
pub mod token;
pub mod users;
mod wipe;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::clock::{Clock, Random};
use crate::error::StoreError;
use crate::store::sql::Db;
use password::Passwords;
use session::Revocations;
use throttle::Throttle;
use token::AccessTokens;

/// A password, a token or a code. It is never shown, not even to a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

/// Why somebody is not let in, or not let do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The call carries no access token.
    TokenMissing,
    /// The access token is not one of ours.
    TokenInvalid,
    /// The access token has ended.
    TokenExpired,
    /// The session has ended, or its user was shut out.
    SessionEnded,
    /// Tenant, login and password don't belong together; which of them is not told.
    BadCredentials,
    /// The refresh token is not good, or not any more.
    RefreshTokenInvalid,
    /// The role may not do this.
    RoleNotAllowed,
    /// The token was not issued to a device.
    DeviceNeeded,
    /// The device is revoked.
    DeviceRevoked,
    /// The setup code is wrong, or was used.
    SetupCodeInvalid,
    /// There is no such method.
    UnknownMethod,
}

/// What exists already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The id, with other content.
    Id,
    /// The login, by another user.
    Login,
    /// The tenant's name.
    Tenant,
}

/// Why a login, a renewal or a new user comes to nothing.
#[derive(Debug, Error)]
pub enum AuthError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Not let in.
    #[error("refused: {0:?}")]
    Refused(Refusal),
    /// Too many attempts; the next one may come after this.
    #[error("too many attempts")]
    Throttled(Duration),
    /// More passwords wait to be checked than can be in reasonable time.
    #[error("too many passwords to check")]
    Busy,
    /// It exists.
    #[error("taken: {0:?}")]
    Taken(Taken),
}

impl From<Refusal> for AuthError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// All that is needed to tell who calls.
#[derive(Debug)]
pub struct Auth {
    /// The database.
    pub db: Db,
    /// The moment by which tokens end and attempts are counted.
    pub clock: Arc<Clock>,
    /// Where tokens and salts come from.
    pub random: Arc<Random>,
    /// Checks passwords.
    pub passwords: Passwords,
    /// Signs and verifies access tokens.
    pub tokens: AccessTokens,
    /// Whose access ended before their tokens.
    pub revocations: Revocations,
    /// Slows guessing down.
    pub throttle: Throttle,
}

impl Auth {
    /// Makes the keys if there are none, and reads what must be known before the first call.
    ///
    /// # Errors
    /// When the database does not answer, or a key in it is damaged.
    pub async fn start(db: Db, clock: Arc<Clock>, random: Arc<Random>) -> Result<Arc<Self>, StoreError> {
        let auth = Self {
            passwords: Passwords::new(Arc::clone(&random)),
            tokens: AccessTokens::open(&db, &random).await?,
            revocations: Revocations::default(),
            throttle: Throttle::new(Arc::clone(&clock), random.next_u64()),
            db,
            clock,
            random,
        };
        auth.reload().await?;
        Ok(Arc::new(auth))
    }

    /// Reads what other processes have changed: keys, and whose access has ended. With several processes this is called
    /// several times a second; one alone needs it only to see a new key.
    ///
    /// # Errors
    /// When the database does not answer, or a key in it is damaged.
    pub async fn reload(&self) -> Result<(), StoreError> {
        self.tokens.reload(&self.db).await?;
        self.revocations.reload(&self.db, self.clock.now_us()).await
    }
}

/// SHA-256, which is enough for secrets of 128 random bits and more.
fn sha256(bytes: &[u8]) -> [u8; 32] {
    use sha2::{Digest as _, Sha256};

    Sha256::digest(bytes).into()
}

#[cfg(test)]
pub(crate) mod testing {
    //! A server's half of logging in, on a database of its own.

    use std::sync::atomic::AtomicI64;

    use roundsman_proto::auth::Role;
    use tempfile::TempDir;
    use uuid::Uuid;

    use super::*;
    use crate::store::account::{self, NewDevice, User};

    pub(crate) const START_US: i64 = 1_700_000_000_000_000;
    pub(crate) const PASSWORD: &str = "correct horse battery";

    pub(crate) struct Fixture {
        pub(crate) auth: Arc<Auth>,
        folder: TempDir,
    }

    impl Fixture {
        pub(crate) async fn new() -> Self {
            let folder = TempDir::new().expect("a folder for the test");
            let auth = open(&folder, START_US).await;
            Self { auth, folder }
        }

        /// Another process on the same database.
        pub(crate) async fn another(&self) -> Arc<Auth> {
            open(&self.folder, self.auth.clock.now_us()).await
        }

        /// A tenant with one user.
        pub(crate) async fn with_user(role: Role) -> (Self, User) {
            let fixture = Self::new().await;
            let mut tx = fixture.auth.db.write().await.expect("begins");
            let tenant = account::create_tenant(&mut tx, "Acme").await.expect("writes").expect("is new");
            tx.commit().await.expect("commits");
            let rep = (role == Role::Rep).then_some(Uuid::from_u128(0x4e9));
            let team = (role == Role::Supervisor).then_some(Uuid::from_u128(0x7ea));
            let id = Uuid::from_u128(1);
            let user = User { tenant, id, login: "anna".to_owned(), role, rep, team, disabled: false };
            users::create(&fixture.auth, user.clone(), Secret::new(PASSWORD)).await.expect("is new");
            (fixture, user)
        }
    }

    async fn open(folder: &TempDir, now_us: i64) -> Arc<Auth> {
        let db = Db::connect(&format!("sqlite:{}", folder.path().join("test.db").display())).await.expect("opens");
        db.migrate().await.expect("migrates");
        let clock = Arc::new(Clock::Manual(AtomicI64::new(now_us)));
        Auth::start(db, clock, Arc::new(Random::from_machine().expect("has randomness"))).await.expect("starts")
    }

    pub(crate) fn login(device: bool) -> session::Login {
        let device = device.then(|| NewDevice {
            installation: Uuid::from_u128(0xde),
            name: "Phone".to_owned(),
            app_version: "1.0".to_owned(),
        });
        session::Login {
            tenant: "Acme".to_owned(),
            login: "anna".to_owned(),
            password: Secret::new(PASSWORD),
            device,
            address: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let shown = format!("{:?}", Secret::new("hunter2"));
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
