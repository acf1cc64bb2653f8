//! Tokens in the store: sealed before they go there, opened when they come back. For the bridge and the command line.
//!
//! Must not know: how tokens are got.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::RwLock;
use zeroize::Zeroizing;

use super::super::trouble::Trouble;
use super::super::{clock, key};
use super::TokenTrouble;
use super::standing::{TokenStanding, kept_standings};
use crate::auth::TokenKey;
use crate::auth::name::normalized;
use crate::auth::seal::{Purpose, SealError, SealingKey};
use crate::config;
use crate::oauth::Granted;
use crate::secret::Secret;
use crate::store::{NewToken, Store, StoredToken, TokenId};

/// Whose tokens: an account's, from a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The account's name in the configuration.
    pub account: String,
    /// Where its mailbox is: see [`Upstream::key`](super::super::Upstream::key).
    pub upstream: String,
    /// The normalized log-in name there.
    pub login: String,
    /// The name of the `[oauth]` table.
    pub provider: String,
    /// Whom the tokens are for.
    pub user: String,
}

/// See the module.
pub struct Keeper {
    pub(super) store: Store,
    key: TokenKey,
    /// Held by everybody who asks an authorization server, until the answer is kept. True: the process ends, and nobody asks any more.
    pub(super) ends: Arc<RwLock<bool>>,
}

/// Tokens, opened.
pub(super) struct Kept {
    pub(super) access: Secret,
    pub(super) refresh: Option<Secret>,
    pub(super) user: String,
}

/// What is sealed.
#[derive(Serialize, Deserialize)]
struct Content<'a> {
    #[serde(borrow)]
    access: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    refresh: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow)]
    user: std::borrow::Cow<'a, str>,
}

impl Owner {
    /// Of a configured account; none for one that has a password.
    pub fn of(account: &config::Account, upstream: &config::Upstream) -> Option<Self> {
        let config::Access::OAuth { provider, user } = &account.access else {
            return None;
        };
        Some(Self {
            account: account.name.clone(),
            upstream: key(&upstream.url.host, upstream.url.port),
            login: normalized(&account.login),
            provider: provider.clone(),
            user: user.clone(),
        })
    }

    fn purpose(&self) -> Purpose<'_> {
        Purpose {
            upstream: &self.upstream,
            login: &self.login,
            provider: &self.provider,
        }
    }

    /// That nobody has logged in for the one who is wanted, but for `user`, if for anybody.
    pub(super) fn lacks(&self, user: Option<&str>) -> TokenTrouble {
        let account = self.account.clone();
        match user {
            Some(user) => TokenTrouble::ForAnother {
                account,
                user: user.to_owned(),
                wanted: self.user.clone(),
            },
            None => TokenTrouble::Missing { account },
        }
    }

    fn sealed(&self, why: impl ToString) -> Trouble {
        let (account, why) = (self.account.clone(), why.to_string());
        TokenTrouble::Sealed { account, why }.into()
    }
}

impl Kept {
    /// Whether they are for whom they are wanted for now: the configuration may have named somebody else before. How that is written
    /// does not matter, as with all log-in names.
    pub(super) fn is_for(&self, owner: &Owner) -> bool {
        normalized(&self.user) == normalized(&owner.user)
    }
}

impl Keeper {
    /// Keeps tokens in this store, sealed with this key.
    pub fn new(store: Store, key: TokenKey) -> Self {
        Self {
            store,
            key,
            ends: Arc::default(),
        }
    }

    /// Keeps what a person's log-in has given, in the place of whatever there was. A bridge that runs uses it from then on.
    ///
    /// # Errors
    /// The key's, the store's.
    pub async fn keep(&self, owner: &Owner, granted: &Granted) -> Result<(), Trouble> {
        let key = self.key_to_seal()?;
        let id = self.id(owner).await?;
        let new = self.seal(&key, owner, granted, None)?;
        self.store.replace_token(&id, &new).await?;
        Ok(())
    }

    /// How the tokens of these accounts stand, in the same order, with what is wrong with the key.
    ///
    /// # Errors
    /// The store's.
    pub async fn standings(&self, owners: &[Owner]) -> Result<Vec<TokenStanding>, Trouble> {
        let mut standings = kept_standings(Some(&self.store), owners).await?;
        for standing in &mut standings {
            if let Some(trouble) = self.inner_trouble(standing) {
                standing.trouble = Some(trouble);
            }
        }
        Ok(standings)
    }

    /// What only the key can tell.
    fn inner_trouble(&self, standing: &TokenStanding) -> Option<TokenTrouble> {
        let owner = &standing.owner;
        match self.open(owner, standing.kept.as_ref()?) {
            Err(Trouble::Token(trouble)) => Some(trouble),
            Ok(Some(opened)) if !opened.is_for(owner) => Some(owner.lacks(Some(&opened.user))),
            _ => None,
        }
    }

    /// Whether the key is one, and is the one that the tokens of these accounts were sealed with. To be asked before anything is served.
    ///
    /// # Errors
    /// [`TokenTrouble::Key`], [`TokenTrouble::Sealed`]; the store's.
    pub async fn check(&self, owners: &[Owner]) -> Result<(), Trouble> {
        self.key.read().map_err(TokenTrouble::Key)?;
        for standing in self.standings(owners).await? {
            if let Some(trouble @ TokenTrouble::Sealed { .. }) = standing.trouble {
                return Err(trouble.into());
            }
        }
        Ok(())
    }

    /// What the store knows the tokens by.
    pub(super) async fn id(&self, owner: &Owner) -> Result<TokenId, Trouble> {
        let mailbox = self
            .store
            .mailbox_id(&owner.upstream, &owner.login, clock::now())
            .await?;
        let provider = owner.provider.clone();
        Ok(TokenId { mailbox, provider })
    }

    /// The key to seal with; the bridge's own is made where there is none.
    pub(super) fn key_to_seal(&self) -> Result<SealingKey, Trouble> {
        Ok(self.key.read_or_make().map_err(TokenTrouble::Key)?)
    }

    /// Opens what is kept; `None` where nothing is.
    pub(super) fn open(&self, owner: &Owner, kept: &StoredToken) -> Result<Option<Kept>, Trouble> {
        let Some(sealed) = &kept.sealed else {
            return Ok(None);
        };
        let key = self.key.read().map_err(TokenTrouble::Key)?;
        let key = key.ok_or_else(|| owner.sealed(format!("their key {} is gone", self.key)))?;
        let opened = key
            .open(owner.purpose(), sealed)
            .map_err(|error| match error {
                SealError::OtherKey { .. } => owner.sealed(format!("{error} ({})", self.key)),
                SealError::Damaged | SealError::NoRandom => owner.sealed(error),
            })?;
        let content: Content<'_> = serde_json::from_str(opened.expose())
            .map_err(|_| owner.sealed("what is in them is of another version"))?;
        Ok(Some(Kept {
            access: Secret::new(content.access.into_owned()),
            refresh: content
                .refresh
                .map(|refresh| Secret::new(refresh.into_owned())),
            user: content.user.into_owned(),
        }))
    }

    /// Seals what was granted; the refresh token that it was granted for stays good where there is no other one.
    pub(super) fn seal(
        &self,
        key: &SealingKey,
        owner: &Owner,
        granted: &Granted,
        shown: Option<&Secret>,
    ) -> Result<NewToken, Trouble> {
        let refresh = granted.refresh.as_ref().or(shown);
        let content = Content {
            access: granted.access.expose().into(),
            refresh: refresh.map(|refresh| refresh.expose().into()),
            user: owner.user.as_str().into(),
        };
        // Written where it fits, so that it does not move and leave a copy behind.
        let room = granted.access.expose().len() + refresh.map_or(0, |it| it.expose().len());
        let mut text = Zeroizing::new(Vec::with_capacity(2 * room + 2 * owner.user.len() + 64));
        serde_json::to_writer(&mut *text, &content).map_err(|error| owner.sealed(error))?;
        let text = String::from_utf8(std::mem::take(&mut *text));
        let text = Secret::new(text.map_err(|_| owner.sealed("not UTF-8"))?);
        let sealed = key
            .seal(owner.purpose(), &text)
            .map_err(|error| owner.sealed(error))?;
        Ok(NewToken {
            sealed,
            lifetime: i64::try_from(granted.lifetime.as_secs()).unwrap_or(i64::MAX / 4),
        })
    }
}
