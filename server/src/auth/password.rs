//! Passwords: argon2id with the crate's parameters, never on a worker of the runtime, never many at once.

use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash as Phc;
use argon2::password_hash::{Error, PasswordHasher as _, PasswordVerifier as _};
use tokio::sync::Semaphore;

use super::{AuthError, Secret};
use crate::clock::Random;
use crate::error::StoreError;
use crate::store::account::PasswordHash;

/// At most so many passwords wait to be checked; at 30 ms each that is some seconds. Whoever comes later is told to try
/// again.
const QUEUE: usize = 256;

/// Hashes passwords and checks them. Each takes 19 MiB and some 30 ms of a core.
#[derive(Debug)]
pub struct Passwords {
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    random: Arc<Random>,
    /// A hash that no password has, for logins that don't exist.
    nobodys: PasswordHash,
    #[cfg(test)]
    checks: std::sync::atomic::AtomicUsize,
}

impl Passwords {
    /// Leaves half of the cores to everything else.
    ///
    /// # Panics
    /// When argon2 refuses its own default parameters.
    #[must_use]
    pub fn new(random: Arc<Random>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut unknowable = [0; 32];
        random.fill(&mut unknowable);
        let nobodys = hash(&unknowable, salt(&random)).expect("argon2 takes its own parameters");
        Self {
            running: Arc::new(Semaphore::new((cores / 2).max(1))),
            waiting: Arc::new(Semaphore::new(QUEUE)),
            random,
            nobodys,
            #[cfg(test)]
            checks: std::sync::atomic::AtomicUsize::new(0),
        }
    }

    /// Hashes a new password.
    ///
    /// # Errors
    /// When too many wait.
    pub async fn hash(&self, password: Secret) -> Result<PasswordHash, AuthError> {
        let salt = salt(&self.random);
        let hash = self.work(move || hash(password.expose().as_bytes(), salt)).await?;
        hash.map_err(|error| StoreError::Corrupt(format!("argon2: {error}")).into())
    }

    /// Whether the password is the one of this hash. Without a hash (there is no such login) it takes as long, and the
    /// answer is no.
    ///
    /// # Errors
    /// When too many wait, or the hash is damaged.
    pub async fn verify(&self, password: Secret, hash: Option<&PasswordHash>) -> Result<bool, AuthError> {
        #[cfg(test)]
        self.checks.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let known = hash.is_some();
        let hash = hash.unwrap_or(&self.nobodys).clone();
        let matches = self.work(move || verify(password.expose().as_bytes(), &hash)).await??;
        Ok(matches && known)
    }

    /// The permits go with the work: a caller that goes away does not make room before the work is done.
    async fn work<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, AuthError> {
        let place = Arc::clone(&self.waiting).try_acquire_owned().map_err(|_| AuthError::Busy)?;
        let turn = Arc::clone(&self.running).acquire_owned().await.map_err(|_| AuthError::Busy)?;
        let done = tokio::task::spawn_blocking(move || {
            let result = work();
            drop((place, turn));
            result
        });
        Ok(done.await.expect("hashing does not panic"))
    }

    #[cfg(test)]
    pub(super) fn checks(&self) -> usize {
        self.checks.load(std::sync::atomic::Ordering::SeqCst)
    }
}

fn salt(random: &Random) -> [u8; 16] {
    let mut salt = [0; 16];
    random.fill(&mut salt);
    salt
}

fn hash(password: &[u8], salt: [u8; 16]) -> Result<PasswordHash, Error> {
    let hash: Phc = Argon2::default().hash_password_with_salt(password, &salt)?;
    Ok(PasswordHash(hash.to_string()))
}

fn verify(password: &[u8], hash: &PasswordHash) -> Result<bool, StoreError> {
    let damaged = |_| StoreError::Corrupt("a password's hash can't be read".to_owned());
    let hash = Phc::new(&hash.0).map_err(damaged)?;
    match Argon2::default().verify_password(password, &hash) {
        Ok(()) => Ok(true),
        Err(Error::PasswordInvalid) => Ok(false),
        Err(error) => Err(StoreError::Corrupt(format!("a password's hash can't be used: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passwords() -> Passwords {
        Passwords::new(Arc::new(Random::seeded(1)))
    }

    #[tokio::test]
    async fn a_password_matches_its_own_hash_only() {
        let passwords = passwords();
        let hash = passwords.hash(Secret::new("a long password")).await.expect("hashes");
        let again = passwords.hash(Secret::new("a long password")).await.expect("hashes");
        assert!(hash.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.0);
        assert_ne!(hash, again, "each hash has a salt of its own");
        assert!(passwords.verify(Secret::new("a long password"), Some(&hash)).await.expect("verifies"));
        assert!(!passwords.verify(Secret::new("a long passworD"), Some(&hash)).await.expect("verifies"));
        assert!(!passwords.verify(Secret::new(""), Some(&hash)).await.expect("verifies"));
    }

    #[tokio::test]
    async fn nobody_costs_as_much_as_somebody_and_never_matches() {
        let passwords = passwords();
        let hash = passwords.hash(Secret::new("a long password")).await.expect("hashes");
        let parameters = |hash: &PasswordHash| hash.0.rsplitn(3, '$').last().map(str::to_owned);
        assert_eq!(parameters(&passwords.nobodys), parameters(&hash));
        assert!(!passwords.verify(Secret::new("a long password"), None).await.expect("verifies"));
    }

    #[tokio::test]
    async fn a_damaged_hash_is_a_fault_of_the_store() {
        let damaged = PasswordHash("$argon2id$v=19$nonsense".to_owned());
        let result = passwords().verify(Secret::new("a long password"), Some(&damaged)).await;
        assert!(matches!(result, Err(AuthError::Store(StoreError::Corrupt(_)))), "{result:?}");
    }

    #[tokio::test]
    async fn the_queue_is_bounded() {
        let passwords = passwords();
        let places = Arc::clone(&passwords.waiting).acquire_many_owned(QUEUE as u32).await.expect("is open");
        let result = passwords.verify(Secret::new("a long password"), None).await;
        assert!(matches!(result, Err(AuthError::Busy)), "{result:?}");
        drop(places);
        assert!(passwords.verify(Secret::new("a long password"), None).await.is_ok());
    }
}
