//! Sessions: a login, kept alive by refresh tokens, one after the other.
//!
//! A refresh token is good once. When one comes a second time, somebody has copied it, and the session ends with all that
//! descends from it. Check and mark are one conditional UPDATE, so of any number of callers with the same token exactly
//! one goes on, and nothing of it is forgotten by a restart.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::RwLock;
use std::time::Duration;

use uuid::Uuid;

use super::caller::Caller;
use super::token::{ACCESS_LIFETIME, Access};
use super::{Auth, AuthError, Refusal, Secret, sha256};
use crate::clock::Random;
use crate::error::StoreError;
use crate::store::account::{self, NewDevice, Session, User};
use crate::store::sql::{Db, Tx};

/// How long a refresh token is good; each renewal begins anew.
pub const REFRESH_LIFETIME: Duration = Duration::from_secs(60 * 24 * 3_600);

/// What a refresh token begins with, so that one in a wrong place is recognised.
const REFRESH_PREFIX: &str = "rmr_";

/// A login.
#[derive(Clone, Debug)]
pub struct Login {
    /// The tenant's name.
    pub tenant: String,
    /// The login, in small letters.
    pub login: String,
    /// The password.
    pub password: Secret,
    /// The device, if it is one.
    pub device: Option<NewDevice>,
    /// Where it comes from.
    pub address: Option<IpAddr>,
}

/// The tokens of a session.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// Good for every call.
    pub access: Secret,
    /// When it ends, in microseconds since the Unix epoch.
    pub access_expires_at_us: i64,
    /// Good for new tokens, once.
    pub refresh: Secret,
    /// When it ends, in microseconds since the Unix epoch.
    pub refresh_expires_at_us: i64,
}

/// A new session.
#[derive(Clone, Debug)]
pub struct LoggedIn {
    /// Its tokens.
    pub tokens: Tokens,
    /// Who logged in.
    pub caller: Caller,
}

/// Exchanges a login and a password for a session.
///
/// # Errors
/// When they are wrong, there were too many attempts, or the database does not answer.
pub async fn login(auth: &Auth, login: Login) -> Result<LoggedIn, AuthError> {
    let attempt =
        auth.throttle.attempt(Some((&login.tenant, &login.login)), login.address).map_err(AuthError::Throttled)?;
    let result = begin(auth, login).await;
    // Only guesses count: neither what is right, nor what we failed to answer.
    if !matches!(result, Err(AuthError::Refused(_))) {
        auth.throttle.give_back(attempt);
    }
    result
}

async fn begin(auth: &Auth, login: Login) -> Result<LoggedIn, AuthError> {
    let found = account::find_login(&mut auth.db.read().await?, &login.tenant, &login.login).await?;
    // Also for nobody, so that the time does not tell which logins exist.
    let matches = auth.passwords.verify(login.password, found.as_ref().map(|(_, hash)| hash)).await?;
    let user = found.map(|(user, _)| user).filter(|user| matches && !user.disabled);
    let user = user.ok_or(Refusal::BadCredentials)?;

    let now_us = auth.clock.now_us();
    let mut tx = auth.db.write().await?;
    let device = match &login.device {
        Some(device) => Some(account::register_device(&mut tx, &user, device, now_us).await?),
        None => None,
    };
    let token = RefreshToken::new(user.tenant, auth.random.uuid(now_us), &auth.random);
    let session = Session {
        tenant: user.tenant,
        id: token.session,
        user: user.id,
        device,
        token_hash: token.hash(),
        expires_at_us: refresh_end(now_us),
        revoked: false,
    };
    account::insert_session(&mut tx, &session, now_us).await?;
    tx.commit().await?;
    let caller = caller(&user, device);
    let tokens = tokens(auth, &caller, &token, now_us)?;
    Ok(LoggedIn { tokens, caller })
}

/// Exchanges a refresh token, which thereby ends, for new tokens.
///
/// # Errors
/// When the token is not good, or not any more, there were too many attempts, or the database does not answer.
pub async fn refresh(auth: &Auth, token: &Secret, address: Option<IpAddr>) -> Result<Tokens, AuthError> {
    let attempt = auth.throttle.attempt(None, address).map_err(AuthError::Throttled)?;
    let result = renew(auth, token).await;
    if !matches!(result, Err(AuthError::Refused(_))) {
        auth.throttle.give_back(attempt);
    }
    result
}

async fn renew(auth: &Auth, token: &Secret) -> Result<Tokens, AuthError> {
    let token = RefreshToken::parse(token).ok_or(Refusal::RefreshTokenInvalid)?;
    let now_us = auth.clock.now_us();
    // A look without a lock turns away what can't be good. It decides nothing in favour of the caller.
    let found = account::find_session(&mut auth.db.read().await?, token.tenant, token.session).await?;
    let session = found.ok_or(Refusal::RefreshTokenInvalid)?;
    if session.revoked || session.expires_at_us <= now_us {
        return Err(Refusal::SessionEnded.into());
    }
    // The presented token must be the current one at the moment of the update, whatever the look has seen.
    let presented = Session { token_hash: token.hash(), ..session };
    let next = RefreshToken::new(token.tenant, token.session, &auth.random);

    let mut tx = auth.db.write().await?;
    if !account::rotate_session(&mut tx, &presented, next.hash(), refresh_end(now_us), now_us).await? {
        end(auth, tx, token.tenant, token.session, now_us).await?;
        tracing::warn!(tenant = token.tenant, session = %token.session, "a refresh token came twice; the session ends");
        return Err(Refusal::SessionEnded.into());
    }
    let user = account::find_user(&mut tx, presented.tenant, presented.user).await?.map(|(user, _)| user);
    let user = user.ok_or_else(|| StoreError::Corrupt(format!("session {} has no user", presented.id)))?;
    // A revoked device may go on to push what it holds, into quarantine, also after its user was shut out.
    if user.disabled && !auth.revocations.device_is_revoked(presented.tenant, presented.device) {
        return Err(Refusal::SessionEnded.into());
    }
    tx.commit().await?;
    Ok(tokens(auth, &caller(&user, presented.device), &next, now_us)?)
}

/// Ends the session of a refresh token. One that ended before, or never was, is none the less over.
///
/// # Errors
/// When what was sent is no refresh token, there were too many attempts, or the database does not answer.
pub async fn logout(auth: &Auth, token: &Secret, address: Option<IpAddr>) -> Result<(), AuthError> {
    let attempt = auth.throttle.attempt(None, address).map_err(AuthError::Throttled)?;
    let token = RefreshToken::parse(token).ok_or(Refusal::RefreshTokenInvalid)?;
    let found = account::find_session(&mut auth.db.read().await?, token.tenant, token.session).await?;
    // An old token ends it too: either its owner says so, or it was copied.
    if found.is_some_and(|session| !session.revoked) {
        let tx = auth.db.write().await?;
        end(auth, tx, token.tenant, token.session, auth.clock.now_us()).await?;
    }
    auth.throttle.give_back(attempt);
    Ok(())
}

/// First in the database, then in memory: memory never says more than was committed.
async fn end(auth: &Auth, mut tx: Tx, tenant: i64, session: Uuid, now_us: i64) -> Result<(), StoreError> {
    if account::end_session(&mut tx, tenant, session, now_us).await? {
        tx.commit().await?;
    }
    auth.revocations.end_session(tenant, session, now_us);
    Ok(())
}

fn caller(user: &User, device: Option<Uuid>) -> Caller {
    Caller { tenant: user.tenant, user: user.id, role: user.role, rep: user.rep, team: user.team, device }
}

fn tokens(auth: &Auth, caller: &Caller, refresh: &RefreshToken, now_us: i64) -> Result<Tokens, StoreError> {
    let (access, access_expires_at_us) = auth.tokens.issue(caller, refresh.session, now_us)?;
    let refresh_expires_at_us = refresh_end(now_us);
    Ok(Tokens { access, access_expires_at_us, refresh: refresh.text(), refresh_expires_at_us })
}

fn refresh_end(now_us: i64) -> i64 {
    now_us.saturating_add(micros(REFRESH_LIFETIME))
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// A refresh token: where its session is, and 256 random bits. Only its hash is stored.
struct RefreshToken {
    tenant: i64,
    session: Uuid,
    random: [u8; 32],
}

impl RefreshToken {
    fn new(tenant: i64, session: Uuid, random: &Random) -> Self {
        let mut bits = [0; 32];
        random.fill(&mut bits);
        Self { tenant, session, random: bits }
    }

    fn bytes(&self) -> [u8; 56] {
        let mut bytes = [0; 56];
        bytes[..8].copy_from_slice(&self.tenant.to_be_bytes());
        bytes[8..24].copy_from_slice(self.session.as_bytes());
        bytes[24..].copy_from_slice(&self.random);
        bytes
    }

    fn text(&self) -> Secret {
        Secret::new(format!("{REFRESH_PREFIX}{}", hex::encode(self.bytes())))
    }

    fn parse(text: &Secret) -> Option<Self> {
        let mut bytes = [0; 56];
        hex::decode_to_slice(text.expose().strip_prefix(REFRESH_PREFIX)?, &mut bytes).ok()?;
        let (tenant, rest) = bytes.split_first_chunk::<8>()?;
        let (session, random) = rest.split_first_chunk::<16>()?;
        Some(Self {
            tenant: i64::from_be_bytes(*tenant),
            session: Uuid::from_bytes(*session),
            random: random.try_into().ok()?,
        })
    }

    fn hash(&self) -> [u8; 32] {
        sha256(&self.bytes())
    }
}

/// Whose access has ended although a token of theirs has not. It is asked at every call, and so it lives in memory: fed
/// by whatever ends something, once that is committed, and read from the database at the start.
#[derive(Debug, Default)]
pub struct Revocations(RwLock<Ended>);

#[derive(Debug, Default)]
struct Ended {
    /// With the moment: when the session's last access token has ended too, it is forgotten.
    sessions: HashMap<(i64, Uuid), i64>,
    users: HashSet<(i64, Uuid)>,
    devices: HashSet<(i64, Uuid)>,
}

impl Revocations {
    /// A session has ended.
    pub fn end_session(&self, tenant: i64, session: Uuid, now_us: i64) {
        self.write(|ended| {
            ended.sessions.insert((tenant, session), now_us);
        });
    }

    /// A user was shut out.
    pub fn disable_user(&self, tenant: i64, user: Uuid) {
        self.write(|ended| {
            ended.users.insert((tenant, user));
        });
    }

    /// A device was revoked.
    pub fn revoke_device(&self, tenant: i64, device: Uuid) {
        self.write(|ended| {
            ended.devices.insert((tenant, device));
        });
    }

    /// Whether this device was revoked.
    #[must_use]
    pub fn device_is_revoked(&self, tenant: i64, device: Option<Uuid>) -> bool {
        let ended = self.0.read().expect("nothing panics with the revocations");
        device.is_some_and(|device| ended.devices.contains(&(tenant, device)))
    }

    /// Whether a token that is good by itself is good still. A revoked device keeps what a method allows it
    /// (`while_revoked`), also when its user was shut out, until the session ends.
    ///
    /// # Errors
    /// When the session has ended, the user was shut out, or the device was revoked.
    pub fn check(&self, access: &Access, while_revoked: bool) -> Result<(), Refusal> {
        let ended = self.0.read().expect("nothing panics with the revocations");
        let caller = &access.caller;
        if ended.sessions.contains_key(&(caller.tenant, access.session)) {
            return Err(Refusal::SessionEnded);
        }
        if caller.device.is_some_and(|device| ended.devices.contains(&(caller.tenant, device))) {
            return if while_revoked { Ok(()) } else { Err(Refusal::DeviceRevoked) };
        }
        if ended.users.contains(&(caller.tenant, caller.user)) { Err(Refusal::SessionEnded) } else { Ok(()) }
    }

    /// Adds what the database knows, and forgets what no token can ask for any more.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn reload(&self, db: &Db, now_us: i64) -> Result<(), StoreError> {
        // Twice: a token may be signed while its session ends, and clocks are not the same.
        let since_us = now_us.saturating_sub(2 * micros(ACCESS_LIFETIME));
        let stored = account::ended(&mut db.read().await?, since_us).await?;
        self.write(|ended| {
            ended.sessions.retain(|_, at_us| *at_us >= since_us);
            ended.sessions.extend(stored.sessions.iter().map(|(tenant, id, at_us)| ((*tenant, *id), *at_us)));
            ended.users.extend(stored.users);
            ended.devices.extend(stored.devices);
        });
        Ok(())
    }

    fn write(&self, change: impl FnOnce(&mut Ended)) {
        change(&mut self.0.write().expect("nothing panics with the revocations"));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use roundsman_proto::auth::Role;

    use super::*;
    use crate::auth::testing::{Fixture, START_US, login as anna};
    use crate::auth::throttle::Attempt;

    fn refused<T: std::fmt::Debug>(result: Result<T, AuthError>) -> Refusal {
        match result {
            Err(AuthError::Refused(refusal)) => refusal,
            other => panic!("{other:?}"),
        }
    }

    fn check(auth: &Auth, tokens: &Tokens) -> Result<(), Refusal> {
        let access = auth.tokens.verify(tokens.access.expose(), auth.clock.now_us())?;
        auth.revocations.check(&access, false)
    }

    #[tokio::test]
    async fn a_login_says_who_it_is() {
        let (fixture, user) = Fixture::with_user(Role::Rep).await;
        let auth = &fixture.auth;
        let desk = login(auth, anna(false)).await.expect("logs in");
        assert_eq!(desk.caller, Caller { device: None, ..caller(&user, None) });
        let phone = login(auth, anna(true)).await.expect("logs in");
        let again = login(auth, anna(true)).await.expect("logs in");
        let device = account::device_id(Uuid::from_u128(0xde), user.id);
        assert_eq!(phone.caller.device, Some(device));
        assert_eq!(again.caller.device, Some(device), "the same installation and user are the same device");
        let access = auth.tokens.verify(phone.tokens.access.expose(), START_US).expect("is good");
        assert_eq!(*access.caller, phone.caller);
        assert_eq!((access.caller.role, access.caller.rep), (Role::Rep, user.rep));
        assert_eq!(phone.tokens.refresh_expires_at_us, START_US + micros(REFRESH_LIFETIME));
    }

    #[tokio::test]
    async fn whoever_is_not_known_costs_as_much_and_learns_nothing() {
        let (fixture, user) = Fixture::with_user(Role::Office).await;
        let auth = &fixture.auth;
        let wrong_password = Login { password: Secret::new("wrong horse battery"), ..anna(false) };
        let unknown_login = Login { login: "boris".to_owned(), ..anna(false) };
        let unknown_tenant = Login { tenant: "Other".to_owned(), ..anna(false) };
        for attempt in [wrong_password, unknown_login, unknown_tenant] {
            let before = auth.passwords.checks();
            assert_eq!(refused(login(auth, attempt.clone()).await), Refusal::BadCredentials, "{attempt:?}");
            assert_eq!(auth.passwords.checks(), before + 1, "{attempt:?}");
        }
        let mut tx = auth.db.write().await.expect("begins");
        assert!(account::disable_user(&mut tx, user.tenant, user.id, START_US).await.expect("writes"));
        tx.commit().await.expect("commits");
        let before = auth.passwords.checks();
        assert_eq!(refused(login(auth, anna(false)).await), Refusal::BadCredentials);
        assert_eq!(auth.passwords.checks(), before + 1);
    }

    #[tokio::test]
    async fn guessing_is_slowed_down_and_succeeding_is_not() {
        let (fixture, _) = Fixture::with_user(Role::Office).await;
        let auth = &fixture.auth;
        for _ in 0..20 {
            drop::<Attempt>(auth.throttle.attempt(Some(("Acme", "anna")), None).unwrap_or_else(|_| {
                auth.clock.advance(30_000_000);
                auth.throttle.attempt(Some(("Acme", "anna")), None).expect("one token has come")
            }));
        }
        let guess = Login { password: Secret::new("wrong horse battery"), ..anna(false) };
        let checks = auth.passwords.checks();
        assert!(matches!(login(auth, guess).await, Err(AuthError::Throttled(_))));
        assert!(matches!(login(auth, anna(false)).await, Err(AuthError::Throttled(_))));
        assert_eq!(auth.passwords.checks(), checks, "what is throttled costs nothing");
        auth.clock.advance(30_000_000);
        for _ in 0..3 {
            login(auth, anna(false)).await.expect("one token has come, and is given back");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn of_a_thousand_racing_renewals_one_goes_on() {
        let (fixture, _) = Fixture::with_user(Role::Rep).await;
        let tokens = login(&fixture.auth, anna(true)).await.expect("logs in").tokens;
        let racers: Vec<_> = (0..1_000)
            .map(|_| {
                let (auth, token) = (Arc::clone(&fixture.auth), tokens.refresh.clone());
                tokio::spawn(async move { refresh(&auth, &token, None).await })
            })
            .collect();
        let mut winners = Vec::new();
        for racer in racers {
            match racer.await.expect("does not panic") {
                Ok(tokens) => winners.push(tokens),
                result => assert_eq!(refused(result), Refusal::SessionEnded),
            }
        }
        assert_eq!(winners.len(), 1);
        // The others came with a token that had been used: the winner's session has ended with it.
        assert_eq!(refused(refresh(&fixture.auth, &winners[0].refresh, None).await), Refusal::SessionEnded);
        assert_eq!(check(&fixture.auth, &winners[0]), Err(Refusal::SessionEnded));
    }

    #[tokio::test]
    async fn a_renewal_follows_the_other() {
        let (fixture, user) = Fixture::with_user(Role::Supervisor).await;
        let auth = &fixture.auth;
        let mut tokens = login(auth, anna(true)).await.expect("logs in").tokens;
        for _ in 0..5 {
            // Longer than a refresh token lives in all: each renewal begins anew.
            auth.clock.advance(20 * 24 * 3_600 * 1_000_000);
            tokens = refresh(auth, &tokens.refresh, None).await.expect("renews");
            let access = auth.tokens.verify(tokens.access.expose(), auth.clock.now_us()).expect("is good");
            assert_eq!((access.caller.user, access.caller.team), (user.id, user.team));
            assert!(access.caller.device.is_some(), "the device stays");
        }
        auth.clock.advance(micros(REFRESH_LIFETIME));
        assert_eq!(refused(refresh(auth, &tokens.refresh, None).await), Refusal::SessionEnded);
    }

    #[tokio::test]
    async fn a_copied_token_ends_all_that_descends_from_the_login() {
        let (fixture, _) = Fixture::with_user(Role::Rep).await;
        let auth = &fixture.auth;
        let first = login(auth, anna(true)).await.expect("logs in").tokens;
        let other = login(auth, anna(false)).await.expect("logs in").tokens;
        let second = refresh(auth, &first.refresh, None).await.expect("renews");
        let third = refresh(auth, &second.refresh, None).await.expect("renews");
        assert_eq!(check(auth, &third), Ok(()));
        assert_eq!(refused(refresh(auth, &first.refresh, None).await), Refusal::SessionEnded);

        // The same after everything in memory is gone.
        for auth in [Arc::clone(auth), fixture.another().await] {
            for tokens in [&first, &second, &third] {
                assert_eq!(check(&auth, tokens), Err(Refusal::SessionEnded));
                assert_eq!(refused(refresh(&auth, &tokens.refresh, None).await), Refusal::SessionEnded);
            }
            assert_eq!(check(&auth, &other), Ok(()), "another login is another session");
        }
        refresh(auth, &other.refresh, None).await.expect("renews");
    }

    #[tokio::test]
    async fn a_logout_ends_the_session_at_once() {
        let (fixture, _) = Fixture::with_user(Role::Office).await;
        let auth = &fixture.auth;
        let another = fixture.another().await;
        let tokens = login(auth, anna(false)).await.expect("logs in").tokens;
        assert_eq!(check(auth, &tokens), Ok(()));
        logout(auth, &tokens.refresh, None).await.expect("logs out");
        logout(auth, &tokens.refresh, None).await.expect("is over");
        assert_eq!(check(auth, &tokens), Err(Refusal::SessionEnded));
        assert_eq!(refused(refresh(auth, &tokens.refresh, None).await), Refusal::SessionEnded);
        another.reload().await.expect("reloads");
        assert_eq!(check(&another, &tokens), Err(Refusal::SessionEnded));
        assert_eq!(refused(logout(auth, &tokens.access, None).await), Refusal::RefreshTokenInvalid);
    }

    #[tokio::test]
    async fn what_is_no_refresh_token_is_refused() {
        let (fixture, user) = Fixture::with_user(Role::Office).await;
        let auth = &fixture.auth;
        let tokens = login(auth, anna(false)).await.expect("logs in").tokens;
        let unknown = RefreshToken::new(user.tenant, Uuid::from_u128(99), &auth.random);
        let text = tokens.refresh.expose();
        for forged in [
            "",
            "rmr_",
            &text[4..],
            &text[..text.len() - 2],
            &format!("{text}00"),
            tokens.access.expose(),
            unknown.text().expose(),
        ] {
            let result = refresh(auth, &Secret::new(forged), None).await;
            assert_eq!(refused(result), Refusal::RefreshTokenInvalid, "{forged}");
        }
        refresh(auth, &tokens.refresh, None).await.expect("none of this has touched the session");
    }

    #[tokio::test]
    async fn a_user_who_was_shut_out_is_out_at_once() {
        let (fixture, user) = Fixture::with_user(Role::Office).await;
        let auth = &fixture.auth;
        let tokens = login(auth, anna(false)).await.expect("logs in").tokens;
        let mut tx = auth.db.write().await.expect("begins");
        assert!(account::disable_user(&mut tx, user.tenant, user.id, START_US).await.expect("writes"));
        tx.commit().await.expect("commits");
        auth.revocations.disable_user(user.tenant, user.id);
        for auth in [Arc::clone(auth), fixture.another().await] {
            assert_eq!(check(&auth, &tokens), Err(Refusal::SessionEnded));
            assert_eq!(refused(refresh(&auth, &tokens.refresh, None).await), Refusal::SessionEnded);
        }
    }

    #[tokio::test]
    async fn a_revoked_device_keeps_nothing_but_its_outbox() {
        let (fixture, user) = Fixture::with_user(Role::Rep).await;
        let auth = &fixture.auth;
        let phone = login(auth, anna(true)).await.expect("logs in");
        let desk = login(auth, anna(false)).await.expect("logs in");
        let device = phone.caller.device.expect("is a device");
        let mut tx = auth.db.write().await.expect("begins");
        tx.query("INSERT INTO device_sequence (tenant, device, last_seq, confirmed_seq, revoked_at) VALUES ($1, $2, 0, 0, 1)")
            .bind(user.tenant)
            .bind(device)
            .execute()
            .await
            .expect("writes");
        account::disable_user(&mut tx, user.tenant, user.id, START_US).await.expect("writes");
        tx.commit().await.expect("commits");
        auth.revocations.revoke_device(user.tenant, device);
        auth.revocations.disable_user(user.tenant, user.id);
        let mut tokens = phone.tokens;
        for auth in [Arc::clone(auth), fixture.another().await] {
            let access = auth.tokens.verify(tokens.access.expose(), START_US).expect("is good");
            assert_eq!(auth.revocations.check(&access, false), Err(Refusal::DeviceRevoked));
            assert_eq!(auth.revocations.check(&access, true), Ok(()), "it may push, into quarantine");
            assert_eq!(check(&auth, &desk.tokens), Err(Refusal::SessionEnded));
            tokens = refresh(&auth, &tokens.refresh, None).await.expect("what was captured must get home");
            assert_eq!(refused(refresh(&auth, &desk.tokens.refresh, None).await), Refusal::SessionEnded);
        }
        logout(auth, &tokens.refresh, None).await.expect("logs out");
        let access = auth.tokens.verify(tokens.access.expose(), START_US).expect("is good");
        assert_eq!(auth.revocations.check(&access, true), Err(Refusal::SessionEnded));
    }

    #[tokio::test]
    async fn ended_sessions_are_forgotten_when_their_tokens_have_ended() {
        let fixture = Fixture::new().await;
        let auth = &fixture.auth;
        auth.revocations.end_session(1, Uuid::from_u128(1), START_US);
        auth.clock.advance(2 * micros(ACCESS_LIFETIME));
        auth.reload().await.expect("reloads");
        assert_eq!(auth.revocations.0.read().expect("is not poisoned").sessions.len(), 1);
        auth.clock.advance(1);
        auth.reload().await.expect("reloads");
        assert_eq!(auth.revocations.0.read().expect("is not poisoned").sessions.len(), 0);
    }

    #[tokio::test]
    async fn old_sessions_leave_the_table() {
        let (fixture, user) = Fixture::with_user(Role::Office).await;
        let auth = &fixture.auth;
        login(auth, anna(false)).await.expect("logs in");
        let end_us = START_US + micros(REFRESH_LIFETIME);
        let mut tx = auth.db.write().await.expect("begins");
        assert_eq!(account::forget_sessions(&mut tx, user.tenant, end_us).await.expect("writes"), 0);
        assert_eq!(account::forget_sessions(&mut tx, user.tenant, end_us + 1).await.expect("writes"), 1);
    }

    #[test]
    fn refresh_tokens_are_stored_as_hashes_and_not_shown() {
        let token = RefreshToken::new(7, Uuid::from_u128(1), &Random::seeded(1));
        let text = token.text();
        let parsed = RefreshToken::parse(&text).expect("is one");
        assert_eq!((parsed.tenant, parsed.session, parsed.random), (7, Uuid::from_u128(1), token.random));
        assert_eq!(parsed.hash(), token.hash());
        assert!(!format!("{text:?}").contains(&hex::encode(token.random)));
    }
}
