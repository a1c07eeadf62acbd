//! How users come into being: the first of a server with a code that it shows once, the first of a further tenant by whoever
//! has the database, the others by an administrator.

use std::net::IpAddr;

use roundsman_proto::auth::Role;
use uuid::Uuid;

use super::{Auth, AuthError, Refusal, Secret, Taken, sha256};
use crate::clock::Random;
use crate::error::StoreError;
use crate::store::account::{self, PasswordHash, User};
use crate::store::sql::{Db, Tx};

const SETUP_CODE: &str = "setup-code";

/// A tenant that is to be made, and its first administrator.
#[derive(Clone, Debug)]
pub struct NewTenant {
    /// The tenant's name.
    pub name: String,
    /// The administrator's login, in small letters.
    pub login: String,
    /// The administrator's password.
    pub password: Secret,
}

/// Makes a tenant and its first administrator on a server that has no user yet.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The one-time code.
    pub setup_code: Secret,
    /// Who claims it.
    pub tenant: NewTenant,
    /// Where it comes from.
    pub address: Option<IpAddr>,
}

/// A new one-time code while there is no user; it takes the place of an older one. Only its hash is kept: whoever starts
/// the server shows it to the operator, and nobody else.
///
/// # Errors
/// When the database does not answer.
pub async fn setup_code(db: &Db, random: &Random) -> Result<Option<String>, StoreError> {
    let mut tx = db.write().await?;
    account::remove_secret(&mut tx, SETUP_CODE).await?;
    let code = if account::any_user(&mut tx).await? {
        None
    } else {
        let mut bits = [0; 16];
        random.fill(&mut bits);
        account::add_secret(&mut tx, SETUP_CODE, &sha256(&bits)).await?;
        let groups: Vec<String> = bits.chunks(4).map(hex::encode).collect();
        Some(groups.join("-"))
    };
    tx.commit().await?;
    Ok(code)
}

/// Makes the first administrator with the one-time code, and says his id.
///
/// # Errors
/// When the code is wrong or used, there were too many attempts, or the database does not answer.
pub async fn claim(auth: &Auth, claim: Claim) -> Result<Uuid, AuthError> {
    let attempt = auth.throttle.attempt(None, claim.address).map_err(AuthError::Throttled)?;
    let result = consume(auth, claim).await;
    if !matches!(result, Err(AuthError::Refused(_))) {
        auth.throttle.give_back(attempt);
    }
    result
}

async fn consume(auth: &Auth, claim: Claim) -> Result<Uuid, AuthError> {
    let code = parse(&claim.setup_code).ok_or(Refusal::SetupCodeInvalid)?;
    // No password is hashed for a wrong code, and none inside of the transaction.
    let stored = account::secrets(&mut auth.db.read().await?, SETUP_CODE).await?;
    if !stored.iter().any(|(_, hash)| *hash == sha256(&code)) {
        return Err(Refusal::SetupCodeInvalid.into());
    }
    let hash = auth.passwords.hash(claim.tenant.password).await?;

    let mut tx = auth.db.write().await?;
    if !account::consume_secret(&mut tx, SETUP_CODE, &sha256(&code)).await? || account::any_user(&mut tx).await? {
        return Err(Refusal::SetupCodeInvalid.into());
    }
    let User { tenant, id, .. } = insert_tenant(auth, &mut tx, (&claim.tenant.name, claim.tenant.login), &hash).await?;
    tx.commit().await?;
    tracing::info!(tenant, user = %id, "the server was claimed");
    Ok(id)
}

/// Makes a tenant with its first administrator, and says who that is. Servers may run meanwhile: they look a tenant up when
/// somebody logs in.
///
/// # Errors
/// When the name is taken, or the database does not answer.
pub async fn create_tenant(auth: &Auth, new: NewTenant) -> Result<User, AuthError> {
    let hash = auth.passwords.hash(new.password).await?;
    let mut tx = auth.db.write().await?;
    let admin = insert_tenant(auth, &mut tx, (&new.name, new.login), &hash).await?;
    tx.commit().await?;
    Ok(admin)
}

/// Neither is there without the other: both come with the transaction.
async fn insert_tenant(
    auth: &Auth,
    tx: &mut Tx,
    (name, login): (&str, String),
    hash: &PasswordHash,
) -> Result<User, AuthError> {
    let tenant = account::create_tenant(tx, name).await?.ok_or(AuthError::Taken(Taken::Tenant))?;
    let now_us = auth.clock.now_us();
    let id = auth.random.uuid(now_us);
    let admin = User { tenant, id, login, role: Role::Admin, rep: None, team: None, disabled: false };
    account::insert_user(tx, &admin, hash, now_us).await?;
    Ok(admin)
}

fn parse(code: &Secret) -> Option<[u8; 16]> {
    let digits: String = code.expose().chars().filter(|sign| *sign != '-' && !sign.is_whitespace()).collect();
    let mut bits = [0; 16];
    hex::decode_to_slice(digits, &mut bits).ok()?;
    Some(bits)
}

/// Makes a user. The same id with the same content, the password included, is the same call repeated, and succeeds.
///
/// # Errors
/// When the id or the login is taken, or the database does not answer.
pub async fn create(auth: &Auth, user: User, password: Secret) -> Result<(), AuthError> {
    let hash = auth.passwords.hash(password.clone()).await?;
    let mut tx = auth.db.write().await?;
    if account::insert_user(&mut tx, &user, &hash, auth.clock.now_us()).await? {
        tx.commit().await?;
        return Ok(());
    }
    let (existing, hash) = existing(tx, &user).await?;
    let same = existing == user && auth.passwords.verify(password, Some(&hash)).await?;
    if same { Ok(()) } else { Err(AuthError::Taken(Taken::Id)) }
}

/// The transaction ends here, before the password is checked.
async fn existing(mut tx: Tx, user: &User) -> Result<(User, PasswordHash), AuthError> {
    let found = account::find_user(&mut tx, user.tenant, user.id).await?;
    found.ok_or(AuthError::Taken(Taken::Login))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::auth::session;
    use crate::auth::testing::{Fixture, PASSWORD, login};

    fn claim_with(code: &str) -> Claim {
        Claim {
            setup_code: Secret::new(code),
            tenant: NewTenant { name: "Acme".to_owned(), login: "anna".to_owned(), password: Secret::new(PASSWORD) },
            address: None,
        }
    }

    fn is_refused<T>(result: &Result<T, AuthError>) -> bool {
        matches!(result, Err(AuthError::Refused(Refusal::SetupCodeInvalid)))
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_setup_code_works_once() {
        let fixture = Fixture::new().await;
        let auth = &fixture.auth;
        assert!(is_refused(&claim(auth, claim_with("")).await), "before there is one");
        let first = setup_code(&auth.db, &auth.random).await.expect("writes").expect("there is no user");
        let code = setup_code(&auth.db, &auth.random).await.expect("writes").expect("there is no user");
        assert_eq!(code.len(), 35, "{code}");
        for wrong in [first.as_str(), "", "00", "00000000-00000000-00000000-00000000", &code[1..], &format!("{code}00")]
        {
            assert!(is_refused(&claim(auth, claim_with(wrong)).await), "{wrong}");
        }
        let racers: Vec<_> = (0..8)
            .map(|_| {
                let (auth, attempt) = (Arc::clone(auth), claim_with(&code.to_uppercase()));
                tokio::spawn(async move { claim(&auth, attempt).await })
            })
            .collect();
        let mut admins = Vec::new();
        for racer in racers {
            match racer.await.expect("does not panic") {
                Ok(admin) => admins.push(admin),
                result => assert!(is_refused(&result), "{result:?}"),
            }
        }
        assert_eq!(admins.len(), 1);
        let mut tx = auth.db.read().await.expect("begins");
        assert_eq!(account::secrets(&mut tx, SETUP_CODE).await.expect("reads"), [], "it is gone, not only useless");
        drop(tx);
        assert!(is_refused(&claim(auth, claim_with(&code)).await), "after it was used");
        assert_eq!(setup_code(&auth.db, &auth.random).await.expect("writes"), None, "there is a user now");
        let logged_in = session::login(auth, login(false)).await.expect("logs in");
        assert_eq!((logged_in.caller.user, logged_in.caller.role), (admins[0], Role::Admin));
    }

    #[tokio::test]
    async fn the_setup_code_is_stored_as_a_hash() {
        let fixture = Fixture::new().await;
        let auth = &fixture.auth;
        let code = setup_code(&auth.db, &auth.random).await.expect("writes").expect("there is no user");
        let mut tx = auth.db.read().await.expect("begins");
        let stored = account::secrets(&mut tx, SETUP_CODE).await.expect("reads");
        let bits = parse(&Secret::new(code)).expect("is one");
        assert_eq!(stored, [(SETUP_CODE.to_owned(), sha256(&bits).to_vec())]);
    }

    #[tokio::test]
    async fn a_user_is_made_once() {
        let (fixture, user) = Fixture::with_user(Role::Rep).await;
        let auth = &fixture.auth;
        let taken = |result: Result<(), AuthError>| match result {
            Ok(()) => None,
            Err(AuthError::Taken(taken)) => Some(taken),
            other => panic!("{other:?}"),
        };
        let password = || Secret::new(PASSWORD);
        assert_eq!(taken(create(auth, user.clone(), password()).await), None, "the same call");
        let other_password = Secret::new("another password");
        assert_eq!(taken(create(auth, user.clone(), other_password).await), Some(Taken::Id));
        let other_role = User { role: Role::Office, ..user.clone() };
        assert_eq!(taken(create(auth, other_role, password()).await), Some(Taken::Id));
        let other_login = User { login: "anne".to_owned(), ..user.clone() };
        assert_eq!(taken(create(auth, other_login, password()).await), Some(Taken::Id));
        let other_id = User { id: Uuid::from_u128(77), ..user.clone() };
        assert_eq!(taken(create(auth, other_id, password()).await), Some(Taken::Login));
        let other_tenant = User { tenant: user.tenant + 1, ..user.clone() };
        assert_eq!(taken(create(auth, other_tenant, password()).await), None);
        session::login(auth, login(false)).await.expect("the first password is the one that counts");
    }
}
