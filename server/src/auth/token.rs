//! Access tokens: JWTs signed with EdDSA (Ed25519), good for 15 minutes.
//!
//! The keys are made once and kept in the database. A newer key takes over ten minutes after it was made, when every
//! process has read it, and a token of an older key is refused as soon as no honest one can be alive.

use std::sync::{Arc, RwLock};
use std::time::Duration;

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use quick_cache::sync::Cache;
use roundsman_proto::auth::Role;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::caller::Caller;
use super::{Refusal, Secret, sha256};
use crate::clock::Random;
use crate::error::StoreError;
use crate::store::account;
use crate::store::sql::Db;

/// How long an access token is good.
pub const ACCESS_LIFETIME: Duration = Duration::from_secs(15 * 60);
/// How long after it was made a newer key begins to sign.
pub const KEY_DELAY: Duration = Duration::from_secs(10 * 60);

const ISSUER: &str = "roundsman";
const AUDIENCE: &str = "roundsman.api";
/// RFC 9068: no other kind of token passes for an access token.
const TOKEN_TYPE: &str = "at+jwt";
/// How far the clocks of two servers may be apart.
const SKEW: Duration = Duration::from_secs(60);
/// Ours have some 500 bytes; nothing longer is looked at.
const TOKEN_BYTES: usize = 2_048;
/// Verified tokens that are remembered: verifying costs 45 µs, remembering less than 1.
const REMEMBERED: usize = 16_384;

/// Keys in `server_secret`: the number follows, and is the token's `kid`.
const KEY_PREFIX: &str = "access-key/";
/// What stands before an Ed25519 key of 32 bytes in PKCS #8 (RFC 8410).
const PKCS8: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

const SECOND_US: i64 = 1_000_000;

/// What stands in a token. Every field has one type, and a token in which it has another is refused.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    exp: u64,
    iat: u64,
    tenant: i64,
    role: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rep: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    team: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    device: Option<String>,
    sid: String,
}

/// What a good token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// Who calls.
    pub caller: Arc<Caller>,
    /// The session.
    pub session: Uuid,
    /// When the token ends, in microseconds since the Unix epoch.
    pub expires_at_us: i64,
}

/// Signs and verifies access tokens.
#[derive(Debug)]
pub struct AccessTokens {
    keys: RwLock<Vec<Key>>,
    /// By their hash. Only good ones get in.
    verified: Cache<[u8; 32], Access>,
    validation: Validation,
}

/// A key, and since when it signs. In order; the first has always signed.
struct Key {
    number: u64,
    signs_from_us: i64,
    private: EncodingKey,
    public: DecodingKey,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Key({})", self.number)
    }
}

impl AccessTokens {
    /// Reads the keys, and makes the first.
    ///
    /// # Errors
    /// When the database does not answer, or a key in it is damaged.
    pub async fn open(db: &Db, random: &Random) -> Result<Self, StoreError> {
        let tokens = Self { keys: RwLock::default(), verified: Cache::new(REMEMBERED), validation: validation() };
        tokens.reload(db).await?;
        if tokens.keys.read().expect("nothing panics with the keys").is_empty() {
            // Of several processes that start at once, one wins, and all read what it has written.
            add_key(db, random, 1, i64::MIN).await?;
            tokens.reload(db).await?;
        }
        Ok(tokens)
    }

    /// Makes a newer key, which takes over after [`KEY_DELAY`].
    ///
    /// # Errors
    /// When the database does not answer, or a key in it is damaged.
    pub async fn rotate(&self, db: &Db, random: &Random, now_us: i64) -> Result<(), StoreError> {
        self.reload(db).await?;
        let last = self.keys.read().expect("nothing panics with the keys").last().map_or(0, |key| key.number);
        add_key(db, random, last + 1, now_us.saturating_add(micros(KEY_DELAY))).await?;
        self.reload(db).await
    }

    /// Reads the keys again.
    ///
    /// # Errors
    /// When the database does not answer, or a key in it is damaged.
    pub async fn reload(&self, db: &Db) -> Result<(), StoreError> {
        let rows = account::secrets(&mut db.read().await?, KEY_PREFIX).await?;
        let mut keys = rows.iter().map(|(name, value)| key(name, value)).collect::<Result<Vec<_>, _>>()?;
        keys.sort_by_key(|key| key.number);
        let numbers = |keys: &[Key]| keys.iter().map(|key| key.number).collect::<Vec<_>>();
        let mut known = self.keys.write().expect("nothing panics with the keys");
        if numbers(&known) != numbers(&keys) {
            // A key that somebody took away takes its tokens along.
            self.verified.clear();
        }
        *known = keys;
        Ok(())
    }

    /// A token, and when it ends.
    ///
    /// # Errors
    /// When there is no key to sign with.
    pub fn issue(&self, caller: &Caller, session: Uuid, now_us: i64) -> Result<(Secret, i64), StoreError> {
        let issued_at = u64::try_from(now_us / SECOND_US).unwrap_or(0);
        let expires_at = issued_at + ACCESS_LIFETIME.as_secs();
        let text = |id: Option<Uuid>| id.map(|id| id.to_string());
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: caller.user.to_string(),
            exp: expires_at,
            iat: issued_at,
            tenant: caller.tenant,
            role: caller.role.as_str_name().to_owned(),
            rep: text(caller.rep),
            team: text(caller.team),
            device: text(caller.device),
            sid: session.to_string(),
        };
        let keys = self.keys.read().expect("nothing panics with the keys");
        let key = keys
            .iter()
            .rfind(|key| key.signs_from_us <= now_us)
            .ok_or_else(|| StoreError::Corrupt("no key signs access tokens".to_owned()))?;
        let token = sign(&claims, key)?;
        Ok((Secret::new(token), i64::try_from(expires_at).unwrap_or(i64::MAX / SECOND_US) * SECOND_US))
    }

    /// What the token says, if it is one of ours and still good. Whether the session has ended is not asked here.
    ///
    /// # Errors
    /// When it is not ours, or has ended.
    pub fn verify(&self, token: &str, now_us: i64) -> Result<Access, Refusal> {
        if token.len() > TOKEN_BYTES {
            return Err(Refusal::TokenInvalid);
        }
        let hash = sha256(token.as_bytes());
        let access = match self.verified.get(&hash) {
            Some(access) => access,
            None => {
                let access = self.verify_anew(token, now_us)?;
                self.verified.insert(hash, access.clone());
                access
            }
        };
        // Asked at each use: what is remembered ends too.
        if access.expires_at_us <= now_us { Err(Refusal::TokenExpired) } else { Ok(access) }
    }

    fn verify_anew(&self, token: &str, now_us: i64) -> Result<Access, Refusal> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| Refusal::TokenInvalid)?;
        if header.alg != Algorithm::EdDSA || header.typ.as_deref() != Some(TOKEN_TYPE) {
            return Err(Refusal::TokenInvalid);
        }
        let number: u64 = header.kid.and_then(|kid| kid.parse().ok()).ok_or(Refusal::TokenInvalid)?;
        let keys = self.keys.read().expect("nothing panics with the keys");
        let key = accepted(&keys, number, now_us).ok_or(Refusal::TokenInvalid)?;
        let claims = jsonwebtoken::decode::<Claims>(token, &key.public, &self.validation)
            .map_err(|_| Refusal::TokenInvalid)?
            .claims;
        // We never sign for longer; and what is remembered must not outlive its key.
        let latest_us = now_us.saturating_add(micros(ACCESS_LIFETIME)).saturating_add(micros(SKEW));
        access(&claims).filter(|access| access.expires_at_us <= latest_us).ok_or(Refusal::TokenInvalid)
    }
}

/// The library checks signature, algorithm, issuer and audience, and that the claims are there. It would take the
/// machine's clock for the moment of expiry, so that is checked by us, with ours.
fn validation() -> Validation {
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation.validate_exp = false;
    validation
}

/// A key whose tokens may still be alive: no newer one has been signing for longer than a token lives.
fn accepted(keys: &[Key], number: u64, now_us: i64) -> Option<&Key> {
    let index = keys.iter().position(|key| key.number == number)?;
    let end_us = keys.get(index + 1).map(|newer| newer.signs_from_us.saturating_add(micros(ACCESS_LIFETIME)));
    end_us.is_none_or(|end_us| now_us < end_us).then(|| &keys[index])
}

fn access(claims: &Claims) -> Option<Access> {
    let id = |text: &str| Uuid::try_parse(text).ok();
    // A claim that is there but no id makes the token bad, not the caller poorer.
    let optional = |text: &Option<String>| text.as_deref().map_or(Some(None), |text| id(text).map(Some));
    let role = Role::from_str_name(&claims.role).filter(|role| *role != Role::Unspecified)?;
    let caller = Caller {
        tenant: claims.tenant,
        user: id(&claims.sub)?,
        role,
        rep: optional(&claims.rep)?,
        team: optional(&claims.team)?,
        device: optional(&claims.device)?,
    };
    let expires_at_us = i64::try_from(claims.exp).ok()?.checked_mul(SECOND_US)?;
    Some(Access { caller: Arc::new(caller), session: id(&claims.sid)?, expires_at_us })
}

fn sign(claims: &impl Serialize, key: &Key) -> Result<String, StoreError> {
    let mut header = Header::new(Algorithm::EdDSA);
    header.typ = Some(TOKEN_TYPE.to_owned());
    header.kid = Some(key.number.to_string());
    jsonwebtoken::encode(&header, claims, &key.private)
        .map_err(|error| StoreError::Corrupt(format!("access key {} can't sign: {error}", key.number)))
}

/// Stored are the moment from which it signs, 8 bytes, and the key, 32 bytes.
async fn add_key(db: &Db, random: &Random, number: u64, signs_from_us: i64) -> Result<(), StoreError> {
    let mut value = [0; 40];
    random.fill(&mut value[8..]);
    value[..8].copy_from_slice(&signs_from_us.to_be_bytes());
    let mut tx = db.write().await?;
    account::add_secret(&mut tx, &format!("{KEY_PREFIX}{number}"), &value).await?;
    tx.commit().await
}

fn key(name: &str, value: &[u8]) -> Result<Key, StoreError> {
    let damaged = || StoreError::Corrupt(format!("the secret {name} is no key"));
    let number = name.strip_prefix(KEY_PREFIX).and_then(|number| number.parse().ok()).ok_or_else(damaged)?;
    let value: &[u8; 40] = value.try_into().map_err(|_| damaged())?;
    let (from, seed) = value.split_first_chunk::<8>().ok_or_else(damaged)?;
    let private = EncodingKey::from_ed_der(&[&PKCS8[..], seed].concat());
    let public = Jwk::from_encoding_key(&private, Algorithm::EdDSA)
        .and_then(|jwk| DecodingKey::from_jwk(&jwk))
        .map_err(|_| damaged())?;
    Ok(Key { number, signs_from_us: i64::from_be_bytes(*from), private, public })
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::auth::testing::{Fixture, START_US};

    const SESSION: Uuid = Uuid::from_u128(5);

    fn caller() -> Caller {
        Caller {
            tenant: 3,
            user: Uuid::from_u128(1),
            role: Role::Rep,
            rep: Some(Uuid::from_u128(2)),
            team: None,
            device: Some(Uuid::from_u128(4)),
        }
    }

    fn claims() -> Value {
        json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": Uuid::from_u128(1).to_string(),
            "exp": START_US / SECOND_US + 60, "iat": START_US / SECOND_US, "tenant": 3, "role": "ROLE_REP",
            "rep": Uuid::from_u128(2).to_string(), "device": Uuid::from_u128(4).to_string(),
            "sid": SESSION.to_string(),
        })
    }

    /// Signed with the server's own key.
    fn signed(tokens: &AccessTokens, claims: &Value) -> String {
        sign(claims, &tokens.keys.read().expect("is not poisoned")[0]).expect("signs")
    }

    /// Signed with the server's own key, with a header of one's own.
    fn signed_with(tokens: &AccessTokens, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", base64(header.to_string().as_bytes()), base64(claims.to_string().as_bytes()));
        let keys = tokens.keys.read().expect("is not poisoned");
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &keys[0].private, Algorithm::EdDSA);
        format!("{message}.{}", signature.expect("signs"))
    }

    fn base64(bytes: &[u8]) -> String {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut out = String::new();
        for chunk in bytes.chunks(3) {
            let word = u32::from_be_bytes([0, chunk[0], *chunk.get(1).unwrap_or(&0), *chunk.get(2).unwrap_or(&0)]);
            for digit in 0..=chunk.len() {
                let index = word >> (18 - 6 * digit) & 63;
                out.push(char::from(DIGITS[index as usize]));
            }
        }
        out
    }

    #[tokio::test]
    async fn a_token_says_who_calls_until_it_ends() {
        let fixture = Fixture::new().await;
        let tokens = &fixture.auth.tokens;
        let (token, expires_at_us) = tokens.issue(&caller(), SESSION, START_US).expect("signs");
        assert_eq!(expires_at_us, START_US + micros(ACCESS_LIFETIME));
        for _ in 0..2 {
            let access = tokens.verify(token.expose(), expires_at_us - 1).expect("is good");
            assert_eq!(*access.caller, caller());
            assert_eq!((access.session, access.expires_at_us), (SESSION, expires_at_us));
        }
        assert_eq!(tokens.verify(token.expose(), expires_at_us), Err(Refusal::TokenExpired), "remembered");
        let another = fixture.another().await;
        assert_eq!(another.tokens.verify(token.expose(), START_US).expect("is good").caller.tenant, 3);
        let third = fixture.another().await;
        assert_eq!(third.tokens.verify(token.expose(), expires_at_us), Err(Refusal::TokenExpired), "not remembered");
    }

    #[tokio::test]
    async fn forged_tokens_are_refused() {
        let fixture = Fixture::new().await;
        let tokens = &fixture.auth.tokens;
        let (token, _) = tokens.issue(&caller(), SESSION, START_US).expect("signs");
        let parts: Vec<&str> = token.expose().split('.').collect();
        let (other, _) = tokens.issue(&Caller { tenant: 9, ..caller() }, SESSION, START_US).expect("signs");
        let others: Vec<&str> = other.expose().split('.').collect();
        let stranger = Fixture::new().await;
        let (strangers, _) = stranger.auth.tokens.issue(&caller(), SESSION, START_US).expect("signs");
        let forged = [
            String::new(),
            ".".to_owned(),
            "..".to_owned(),
            format!("{}.{}.", parts[0], parts[1]),
            format!("{}.{}.{}", parts[0], others[1], parts[2]),
            format!("{}.{}.{}", parts[0], parts[1], others[2]),
            format!("{}.{}.{}.", parts[0], parts[1], parts[2]),
            format!("{}x", token.expose()),
            "x".repeat(TOKEN_BYTES + 1),
            strangers.expose().to_owned(),
        ];
        for token in &forged {
            assert_eq!(tokens.verify(token, START_US), Err(Refusal::TokenInvalid), "{token}");
        }
    }

    #[tokio::test]
    async fn only_the_one_algorithm_and_type_and_a_known_key_pass() {
        let fixture = Fixture::new().await;
        let tokens = &fixture.auth.tokens;
        let good = json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "1"});
        tokens.verify(&signed_with(tokens, &good, &claims()), START_US).expect("the other cases differ in one thing");
        for (name, value) in [
            ("alg", json!("none")),
            ("alg", json!("None")),
            ("alg", json!("HS256")),
            ("alg", json!("ES256")),
            ("alg", json!(["EdDSA"])),
            ("alg", Value::Null),
            ("typ", json!("JWT")),
            ("typ", json!("refresh+jwt")),
            ("typ", Value::Null),
            ("kid", json!("2")),
            ("kid", json!("")),
            ("kid", json!("../1")),
            ("kid", json!(1)),
            ("kid", Value::Null),
        ] {
            let mut header = good.clone();
            header[name] = value.clone();
            let token = signed_with(tokens, &header, &claims());
            assert_eq!(tokens.verify(&token, START_US), Err(Refusal::TokenInvalid), "{name}: {value}");
        }
        // The public key taken for a secret, and no signature at all.
        let body = base64(claims().to_string().as_bytes());
        let none = format!("{}.{body}.", base64(br#"{"alg":"none","typ":"at+jwt","kid":"1"}"#));
        assert_eq!(tokens.verify(&none, START_US), Err(Refusal::TokenInvalid));
        let mut header = Header::new(Algorithm::HS256);
        (header.typ, header.kid) = (Some(TOKEN_TYPE.to_owned()), Some("1".to_owned()));
        let public =
            tokens.keys.read().expect("is not poisoned")[0].public.try_get_as_bytes().expect("is raw").to_vec();
        let confused = jsonwebtoken::encode(&header, &claims(), &EncodingKey::from_secret(&public)).expect("signs");
        assert_eq!(tokens.verify(&confused, START_US), Err(Refusal::TokenInvalid));
    }

    /// A claim of a wrong type once skipped its check in jsonwebtoken (CVE-2026-25537).
    #[tokio::test]
    async fn claims_of_another_type_or_value_are_refused() {
        let fixture = Fixture::new().await;
        let tokens = &fixture.auth.tokens;
        tokens.verify(&signed(tokens, &claims()), START_US).expect("the other cases differ in one thing");
        let odd = [
            json!(null),
            json!(true),
            json!(-1),
            json!(1.5),
            json!(""),
            json!("1"),
            json!("admin"),
            json!([]),
            json!({}),
            json!([AUDIENCE]),
            json!([ISSUER]),
            json!({"$gt": 0}),
            json!(u64::MAX),
            json!(1e300),
        ];
        for (name, may_be_missing) in [
            ("iss", false),
            ("aud", false),
            ("sub", false),
            ("exp", false),
            ("iat", false),
            ("tenant", false),
            ("role", false),
            ("rep", true),
            ("device", true),
            ("team", true),
            ("sid", false),
        ] {
            for value in &odd {
                // Another number is another tenant or moment, not another type; and missing is null.
                let honest = match name {
                    "iat" => value.is_u64(),
                    "tenant" => value.is_i64(),
                    _ => may_be_missing && value.is_null(),
                };
                let mut mutated = claims();
                mutated[name] = value.clone();
                let result = tokens.verify(&signed(tokens, &mutated), START_US);
                assert_eq!(result.is_ok(), honest, "{name}: {value}: {result:?}");
            }
            let mut without = claims();
            without.as_object_mut().expect("is an object").remove(name);
            let result = tokens.verify(&signed(tokens, &without), START_US);
            assert_eq!(result.is_ok(), may_be_missing, "without {name}: {result:?}");
        }
        let mut eternal = claims();
        eternal["exp"] = json!(START_US / SECOND_US + 3_600);
        assert_eq!(tokens.verify(&signed(tokens, &eternal), START_US), Err(Refusal::TokenInvalid));
        for (name, value) in [("aud", "roundsman.erp"), ("iss", "else"), ("role", "ROLE_UNSPECIFIED"), ("sid", "5")] {
            let mut mutated = claims();
            mutated[name] = json!(value);
            assert_eq!(tokens.verify(&signed(tokens, &mutated), START_US), Err(Refusal::TokenInvalid), "{name}");
        }
    }

    #[tokio::test]
    async fn a_newer_key_takes_over_and_the_older_one_ends() {
        let fixture = Fixture::new().await;
        let (auth, another) = (&fixture.auth, fixture.another().await);
        let kid = |token: &Secret| jsonwebtoken::decode_header(token.expose()).expect("is a token").kid;
        auth.tokens.rotate(&auth.db, &auth.random, START_US).await.expect("rotates");
        let takes_over_us = START_US + micros(KEY_DELAY);
        let (old, _) = auth.tokens.issue(&caller(), SESSION, takes_over_us - 1).expect("signs");
        let (new, _) = auth.tokens.issue(&caller(), SESSION, takes_over_us).expect("signs");
        assert_eq!((kid(&old).as_deref(), kid(&new).as_deref()), (Some("1"), Some("2")));
        assert_eq!(another.tokens.verify(new.expose(), takes_over_us), Err(Refusal::TokenInvalid));
        another.reload().await.expect("reloads");
        assert!(another.tokens.verify(new.expose(), takes_over_us).is_ok());
        assert!(another.tokens.verify(old.expose(), takes_over_us).is_ok());
        // A stolen key is of no use later, whatever it signs.
        let end_us = takes_over_us + micros(ACCESS_LIFETIME);
        let mut forged = claims();
        forged["exp"] = json!(end_us / SECOND_US + 60);
        let forged = signed(&auth.tokens, &forged);
        assert_eq!(another.tokens.verify(&forged, end_us), Err(Refusal::TokenInvalid));
        assert!(another.tokens.verify(&forged, end_us - 1).is_ok());
    }

    #[tokio::test]
    async fn a_key_that_is_taken_away_takes_its_tokens_along() {
        let fixture = Fixture::new().await;
        let auth = &fixture.auth;
        let (token, _) = auth.tokens.issue(&caller(), SESSION, START_US).expect("signs");
        assert!(auth.tokens.verify(token.expose(), START_US).is_ok());
        auth.reload().await.expect("reloads");
        assert!(auth.tokens.verify(token.expose(), START_US).is_ok());
        let mut tx = auth.db.write().await.expect("begins");
        account::remove_secret(&mut tx, "access-key/1").await.expect("writes");
        tx.commit().await.expect("commits");
        auth.reload().await.expect("reloads");
        assert_eq!(auth.tokens.verify(token.expose(), START_US), Err(Refusal::TokenInvalid));
        assert!(auth.tokens.issue(&caller(), SESSION, START_US).is_err(), "nothing is signed without a key");
    }

    #[test]
    fn keys_are_not_shown() {
        let key = key("access-key/1", &[7; 40]).expect("is a key");
        assert_eq!(format!("{key:?}"), "Key(1)");
        assert!(super::key("access-key/1", &[7; 39]).is_err());
        assert!(super::key("access-key/x", &[7; 40]).is_err());
    }
}
