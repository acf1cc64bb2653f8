//! Checks the passwords of clients for log-ins: never on the async threads, a few at a time, and not again and again for a client that
//! polls.
//!
//! Must not know: who the client is, where hashes are stored.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::{hmac, rand};
use moka::future::Cache;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

use super::passwords::{Kind, PasswordError, fits_keyed, fits_slow, kind, waste_time};
use crate::secret::{Secret, StoredPassword};

/// How many slow checks run at once: each takes 19 MiB and a processor.
const AT_ONCE: usize = 2;
/// How long a password that fitted is known to: longer than programs wait between polls.
const REMEMBERED: Duration = Duration::from_secs(10 * 60);
/// How many are known.
const CAPACITY: u64 = 10_000;

/// See the module. Cloning shares.
#[derive(Clone)]
pub struct Verifier {
    /// The store's secret key.
    key: Arc<Zeroizing<[u8; 32]>>,
    /// Keyed hashes of what is stored together with a password that fits it: a password that is changed or taken away is forgotten by
    /// itself, as nobody asks for the old hash any more.
    verified: Cache<[u8; 32], ()>,
    /// The key of those, of this process alone.
    cache_key: Arc<hmac::Key>,
    turns: Arc<Semaphore>,
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
            cache_key: Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &cache_key[..])),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        })
    }

    /// Whether `presented` fits what is `stored` for a client. A refusal takes as long whatever is stored; see [`nobody`](Self::nobody).
    pub async fn verify(&self, stored: &StoredPassword, presented: &Secret) -> bool {
        match kind(stored) {
            Kind::Keyed => {
                let fits = fits_keyed(&self.key, stored, presented);
                if !fits {
                    self.nobody(presented).await;
                }
                fits
            }
            Kind::Slow => {
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

    /// Runs `check` on a thread that may block, when it is its turn. One whose caller has gone runs to its end and keeps its turn so long.
    async fn slowly(&self, check: impl FnOnce() -> bool + Send + 'static) -> bool {
        // Closed by nobody; were it, nobody would get in.
        let Ok(turn) = Arc::clone(&self.turns).acquire_owned().await else {
            return false;
        };
        let checked = spawn_blocking(move || {
            let fits = check();
            drop(turn);
            fits
        });
        checked.await.unwrap_or(false)
    }

    fn remembered_as(&self, stored: &StoredPassword, presented: &Secret) -> [u8; 32] {
        let text = stored.as_text();
        let mut context = hmac::Context::with_key(&self.cache_key);
        // The length keeps the two apart.
        context.update(&(text.len() as u64).to_be_bytes());
        context.update(text.as_bytes());
        context.update(presented.expose().as_bytes());
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
    async fn a_wrong_password_is_not_remembered() {
        let verifier = Verifier::new(KEY).unwrap();
        let stored = choose(&secret("correct horse")).unwrap();
        assert!(!verifier.verify(&stored, &secret("wrong")).await);
        verifier.verified.run_pending_tasks().await;
        assert_eq!(verifier.verified.entry_count(), 0);
    }
}
