//! Checks the passwords of clients for log-ins: never on the async threads, a few at a time, and not again and again for a client that
//! polls. Of passwords and tokens that only an upstream can check it remembers under a keyed hash which ones were refused a moment ago.
//!
//! Must not know: who the client is, where hashes are stored.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::{hmac, rand};
use moka::future::Cache;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

use super::passwords::{self, PasswordError, fits_keyed, fits_slow, kind, waste_time};
use crate::secret::{Secret, StoredPassword};

/// How many slow checks run at once: each takes 19 MiB and a processor.
const AT_ONCE: usize = 2;
/// How long a password that fitted is known to: longer than programs wait between polls.
const REMEMBERED: Duration = Duration::from_secs(10 * 60);
/// How long a password that an upstream has refused is refused without asking it again: some lock an account after a few attempts.
const REFUSED: Duration = Duration::from_secs(60);
/// How many are known.
const CAPACITY: u64 = 10_000;

/// A name and a password or token under a key of this process: it can be compared, and nothing can be learnt from it.
pub type Sealed = [u8; 32];

/// What a text is that only an upstream can check: as the one it may be right, and wrong as the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A password.
    Password,
    /// An OAuth 2.0 access token.
    Token,
}

/// See the module. Cloning shares.
#[derive(Clone)]
pub struct Verifier {
    /// The store's secret key.
    key: Arc<Zeroizing<[u8; 32]>>,
    /// Keyed hashes of what is stored together with a password that fits it: a password that is changed or taken away is forgotten by
    /// itself, as nobody asks for the old hash any more.
    verified: Cache<[u8; 32], ()>,
    /// What upstreams have refused, as [`Sealed`].
    refused: Cache<Sealed, ()>,
    /// The key of both, of this process alone.
    cache_key: Arc<hmac::Key>,
    turns: Arc<Semaphore>,
    /// How many slow checks there were.
    #[cfg(test)]
    slow_checks: Arc<std::sync::atomic::AtomicUsize>,
}

impl Verifier {
    /// With the store's secret key, under which the generated passwords were hashed.
    ///
    /// # Errors
    /// [`PasswordError::Random`].
    pub fn new(key: [u8; 32]) -> Result<Self, PasswordError> {
        let mut cache_key = Zeroizing::new([0u8; 32]);
        rand::fill(&mut cache_key[..]).map_err(|_| PasswordError::Random)?;
        Ok(Self {
            key: Arc::new(Zeroizing::new(key)),
            verified: Cache::builder()
                .max_capacity(CAPACITY)
                .time_to_live(REMEMBERED)
                .build(),
            refused: Cache::builder()
                .max_capacity(CAPACITY)
                .time_to_live(REFUSED)
                .build(),
            cache_key: Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &cache_key[..])),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            #[cfg(test)]
            slow_checks: Arc::default(),
        })
    }

    /// Whether `presented` fits what is `stored` for a client. A refusal takes as long whatever is stored; see [`nobody`](Self::nobody).
    pub async fn verify(&self, stored: &StoredPassword, presented: &Secret) -> bool {
        match kind(stored) {
            passwords::Kind::Keyed => {
                let fits = fits_keyed(&self.key, stored, presented);
                if !fits {
                    self.nobody(presented).await;
                }
                fits
            }
            passwords::Kind::Slow => {
                let known = self.remembered_as(stored, presented);
                if self.verified.get(&known).await.is_some() {
                    return true;
                }
                let (stored, presented) = (stored.clone(), presented.clone());
                let fits = self.slowly(move || fits_slow(&stored, &presented)).await;
                if fits {
                    self.verified.insert(known, ()).await;
                }
                fits
            }
        }
    }

    /// Takes as long as the refusal of a wrong password: so that nobody learns by the time it takes which clients there are.
    pub async fn nobody(&self, presented: &Secret) {
        let presented = presented.clone();
        self.slowly(move || {
            waste_time(&presented);
            false
        })
        .await;
    }

    /// What a text that only an upstream can check is remembered by.
    pub fn sealed(&self, upstream: &str, login: &str, kind: Kind, presented: &Secret) -> Sealed {
        let kind: &[u8] = match kind {
            Kind::Password => b"password",
            Kind::Token => b"token",
        };
        self.hash([
            upstream.as_bytes(),
            login.as_bytes(),
            kind,
            presented.expose().as_bytes(),
        ])
    }

    /// Whether an upstream has refused it within the last minute.
    pub async fn was_refused(&self, sealed: &Sealed) -> bool {
        self.refused.get(sealed).await.is_some()
    }

    /// An upstream has refused it.
    pub async fn note_refused(&self, sealed: Sealed) {
        self.refused.insert(sealed, ()).await;
    }

    /// Runs `check` on a thread that may block, when it is its turn. One whose caller has gone runs to its end and keeps its turn so long.
    async fn slowly(&self, check: impl FnOnce() -> bool + Send + 'static) -> bool {
        // Closed by nobody; were it, nobody would get in.
        let Ok(turn) = Arc::clone(&self.turns).acquire_owned().await else {
            return false;
        };
        #[cfg(test)]
        let count = Arc::clone(&self.slow_checks);
        let checked = spawn_blocking(move || {
            #[cfg(test)]
            count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let fits = check();
            drop(turn);
            fits
        });
        checked.await.unwrap_or(false)
    }

    #[cfg(test)]
    pub(crate) fn slow_checks(&self) -> usize {
        self.slow_checks.load(std::sync::atomic::Ordering::SeqCst)
    }

    fn remembered_as(&self, stored: &StoredPassword, presented: &Secret) -> [u8; 32] {
        self.hash([stored.as_text().as_bytes(), presented.expose().as_bytes()])
    }

    fn hash<const N: usize>(&self, parts: [&[u8]; N]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.cache_key);
        for part in parts {
            // The length keeps them apart.
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut hash = [0; 32];
        hash.copy_from_slice(context.sign().as_ref());
        hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::passwords::{choose, generate};

    const KEY: [u8; 32] = [7; 32];

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    #[tokio::test]
    async fn generated_and_chosen_passwords_are_verified() {
        let verifier = Verifier::new(KEY).unwrap();
        let (generated, stored) = generate(&KEY).unwrap();
        assert!(verifier.verify(&stored, &generated).await);
        assert!(!verifier.verify(&stored, &secret("wrong")).await);
        let chosen = secret("correct horse");
        let stored = choose(&chosen).unwrap();
        for _ in 0..3 {
            assert!(verifier.verify(&stored, &chosen).await);
            assert!(!verifier.verify(&stored, &secret("wrong")).await);
        }
        verifier.nobody(&chosen).await;
    }

    #[tokio::test]
    async fn a_password_that_fitted_is_not_checked_again_until_it_is_changed() {
        let verifier = Verifier::new(KEY).unwrap();
        let chosen = secret("correct horse");
        let stored = choose(&chosen).unwrap();
        assert!(verifier.verify(&stored, &chosen).await);
        // No slow check gets a turn any more.
        verifier.turns.close();
        assert!(verifier.verify(&stored, &chosen).await);
        assert!(!verifier.verify(&stored, &secret("wrong")).await);
        let changed = choose(&secret("battery staple")).unwrap();
        assert!(!verifier.verify(&changed, &chosen).await);
        // Even the same password set again is another one, with its own salt.
        assert!(!verifier.verify(&choose(&chosen).unwrap(), &chosen).await);
    }

    #[tokio::test]
    async fn what_an_upstream_has_refused_is_known_by_name_and_password_together() {
        let verifier = Verifier::new(KEY).unwrap();
        let sealed = verifier.sealed("up", "info", Kind::Password, &secret("wrong"));
        assert!(!verifier.was_refused(&sealed).await);
        verifier.note_refused(sealed).await;
        assert!(verifier.was_refused(&sealed).await);
        for (upstream, login, kind, password) in [
            ("up", "info", Kind::Password, "right"),
            ("up", "infow", Kind::Password, "rong"),
            ("other", "info", Kind::Password, "wrong"),
            ("up", "info", Kind::Token, "wrong"),
        ] {
            let other = verifier.sealed(upstream, login, kind, &secret(password));
            assert!(
                !verifier.was_refused(&other).await,
                "{upstream} {login} {kind:?} {password}"
            );
        }
    }

    #[tokio::test]
    async fn a_wrong_password_is_not_remembered() {
        let verifier = Verifier::new(KEY).unwrap();
        let stored = choose(&secret("correct horse")).unwrap();
        assert!(!verifier.verify(&stored, &secret("wrong")).await);
        verifier.verified.run_pending_tasks().await;
        assert_eq!(verifier.verified.entry_count(), 0);
    }
}
