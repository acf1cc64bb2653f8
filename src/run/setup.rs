//! A configuration made ready: upstreams, accounts and their tokens, for a bridge that is about to start or for one that runs.
//!
//! Nothing is changed by it: what is made is used when all of it could be made. Must not know: signals, listeners.

use std::collections::HashMap;
use std::sync::Arc;

use super::StartError;
use crate::auth::name::normalized;
use crate::auth::{Router, TokenKey, Verifier};
use crate::bridge::tokens::{Keeper, Owner, Tokens};
use crate::bridge::{Bridge, Configured, Password, Setup, Terms, Upstream, clock};
use crate::config::{self, Access, Config};
use crate::metrics::Metrics;
use crate::oauth::{Client, Renewal};
use crate::store::Store;

/// What setups stand on for as long as the process lives.
pub(super) struct Ground {
    pub(super) metrics: Arc<Metrics>,
    keeper: Arc<Keeper>,
    /// Names this process among those that share a store.
    holder: String,
}

/// A setup that is in use, and what it was made of.
#[derive(Clone, Copy)]
pub(super) struct Former<'a> {
    pub(super) config: &'a Config,
    pub(super) setup: &'a Setup,
}

/// A bridge as it is configured.
///
/// # Errors
/// [`StartError::Upstream`], [`StartError::OAuth`], [`StartError::Store`], [`StartError::Secret`].
pub async fn bridge(
    config: &Config,
    metrics: &Arc<Metrics>,
    store: Store,
) -> Result<Arc<Bridge>, StartError> {
    Ok(grounded(config, metrics, store).await?.1)
}

/// The same, with what further setups are to stand on.
///
/// # Errors
/// As [`bridge`].
pub(super) async fn grounded(
    config: &Config,
    metrics: &Arc<Metrics>,
    store: Store,
) -> Result<(Ground, Arc<Bridge>), StartError> {
    let ground = Ground {
        metrics: Arc::clone(metrics),
        keeper: Arc::new(keeper(config, store.clone())),
        holder: instance()?,
    };
    let setup = ground.setup(config, None).await?;
    let verifier = Verifier::new(store.secret_key().await?)
        .map_err(|error| StartError::Secret(error.to_string()))?;
    let (metrics, holder) = (Arc::clone(metrics), ground.holder.clone());
    let bridge = Bridge::new(setup, metrics, store, verifier, holder);
    Ok((ground, Arc::new(bridge)))
}

impl Ground {
    /// Makes a configuration ready. What is the same in a former one is taken from there, with all that is known of it by now.
    ///
    /// # Errors
    /// As [`bridge`].
    pub(super) async fn setup(
        &self,
        config: &Config,
        former: Option<Former<'_>>,
    ) -> Result<Setup, StartError> {
        let router = upstreams_after(config, &self.metrics, former)?;
        let by_name: HashMap<&str, &Arc<Upstream>> = router
            .upstreams()
            .map(|upstream| (upstream.name.as_str(), upstream))
            .collect();
        let owners = token_owners(config);
        if !owners.is_empty() {
            // What the bridge gets by itself it gets again.
            let of_people = owners.iter().filter(|owner| {
                let mut all = config.oauth.iter();
                all.any(|oauth| oauth.name == owner.provider && oauth.grant.needs_a_person())
            });
            let of_people: Vec<Owner> = of_people.cloned().collect();
            let checked = self.keeper.check(&of_people).await;
            checked.map_err(|trouble| StartError::Secret(trouble.to_string()))?;
        }
        let clients = oauth_clients(config)?;
        let mut configured = HashMap::with_capacity(config.accounts.len());
        for account in &config.accounts {
            let Some(upstream) = by_name.get(account.upstream.as_str()) else {
                continue;
            };
            let known = former.and_then(|former| known_account(former, account));
            if let Some((known, written)) = &known
                && Arc::ptr_eq(&known.upstream, upstream)
                && *written == account
                && has_same_provider(former, config, account)
            {
                configured.insert(account.name.clone(), Arc::clone(known));
                continue;
            }
            let password = match &account.access {
                Access::Password(source) => Password::Configured(Arc::new(source.clone())),
                Access::OAuth { provider, user } => {
                    let Some(client) = clients.get(provider.as_str()) else {
                        continue;
                    };
                    let owner = owners.iter().find(|owner| owner.account == account.name);
                    let Some(owner) = owner.cloned() else {
                        continue;
                    };
                    let kept = known.and_then(|(known, _)| match &known.password {
                        Password::Tokens(tokens)
                            if tokens.are_of(&owner)
                                && has_same_provider(former, config, account) =>
                        {
                            Some(Arc::clone(tokens))
                        }
                        _ => None,
                    });
                    Password::Tokens(kept.unwrap_or_else(|| {
                        let renew = Arc::new(Renewal::new(Arc::clone(client), user.clone()));
                        let (keeper, holder) = (Arc::clone(&self.keeper), self.holder.clone());
                        let metrics = Arc::clone(&self.metrics);
                        Arc::new(Tokens::new(owner, renew, keeper, holder, metrics))
                    }))
                }
            };
            let made = Configured {
                name: account.name.clone(),
                upstream: Arc::clone(upstream),
                login: account.login.clone(),
                normalized: normalized(&account.login),
                password,
                terms: Arc::new(Terms::of_account(account)),
            };
            configured.insert(account.name.clone(), Arc::new(made));
        }
        Ok(Setup {
            router,
            configured,
            limits: Arc::new(config.limits.clone()),
        })
    }
}

/// The account of this name in a former setup, and what was written of it.
fn known_account<'a>(
    former: Former<'a>,
    account: &config::Account,
) -> Option<(&'a Arc<Configured>, &'a config::Account)> {
    let mut written = former.config.accounts.iter();
    let written = written.find(|one| one.name == account.name)?;
    Some((former.setup.configured.get(&account.name)?, written))
}

/// Whether the account's tokens come from where they came from. For an account with a password, yes.
fn has_same_provider(
    former: Option<Former<'_>>,
    config: &Config,
    account: &config::Account,
) -> bool {
    let Access::OAuth { provider, .. } = &account.access else {
        return true;
    };
    let of = |config: &Config| {
        let mut all = config.oauth.iter();
        all.find(|oauth| oauth.name == *provider).cloned()
    };
    former.is_some_and(|former| of(former.config) == of(config))
}

/// What keeps tokens as it is configured.
pub fn keeper(config: &Config, store: Store) -> Keeper {
    let key = TokenKey::new(config.token_key.clone(), &config.state.folder);
    Keeper::new(store, key)
}

/// Whose tokens there may be: those of all accounts that have no password.
pub fn token_owners(config: &Config) -> Vec<Owner> {
    let owner = |account: &config::Account| {
        let mut upstreams = config.upstreams.iter();
        let upstream = upstreams.find(|upstream| upstream.name == account.upstream)?;
        Owner::of(account, upstream)
    };
    config.accounts.iter().filter_map(owner).collect()
}

/// What asks the authorization servers that accounts need, by the names of their tables.
///
/// # Errors
/// [`StartError::OAuth`]
fn oauth_clients(config: &Config) -> Result<HashMap<&str, Arc<Client>>, StartError> {
    let mut clients = HashMap::new();
    for oauth in &config.oauth {
        if config.needs(oauth) {
            clients.insert(oauth.name.as_str(), Arc::new(oauth_client(oauth)?));
        }
    }
    Ok(clients)
}

/// What asks this authorization server.
///
/// # Errors
/// [`StartError::OAuth`]
pub fn oauth_client(oauth: &config::OAuth) -> Result<Client, StartError> {
    Client::new(oauth, clock::now).map_err(|error| StartError::OAuth {
        name: oauth.name.clone(),
        error,
    })
}

/// Makes the configured upstreams ready.
///
/// # Errors
/// [`StartError::Upstream`].
pub fn upstreams(config: &Config, metrics: &Metrics) -> Result<Router<Upstream>, StartError> {
    upstreams_after(config, metrics, None)
}

fn upstreams_after(
    config: &Config,
    metrics: &Metrics,
    former: Option<Former<'_>>,
) -> Result<Router<Upstream>, StartError> {
    let mut ready = Vec::new();
    for upstream in &config.upstreams {
        let known = former.and_then(|former| {
            let mut written = former.config.upstreams.iter();
            let written = written.find(|one| one.name == upstream.name)?;
            let mut made = former.setup.router.upstreams();
            Some((made.find(|one| one.name == upstream.name)?, written))
        });
        let made = match known {
            Some((known, written)) if written == upstream => Arc::clone(known),
            _ => {
                let made = Upstream::new(upstream, metrics);
                let made = made.map_err(|error| StartError::Upstream {
                    name: upstream.name.clone(),
                    error,
                })?;
                Arc::new(match known {
                    Some((known, _)) => made.after(known),
                    None => made,
                })
            }
        };
        ready.push((upstream.domains.clone(), made));
    }
    Ok(Router::new(ready))
}

/// Names this process among those that share a store: host, process, when it started, and 64 random bits. In containers that start together
/// all but the last may be the same.
///
/// # Errors
/// [`StartError::Secret`]
fn instance() -> Result<String, StartError> {
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy().into_owned();
    let mut random = [0; 8];
    aws_lc_rs::rand::fill(&mut random)
        .map_err(|_| StartError::Secret("there are no random numbers".to_owned()))?;
    let (process, random) = (std::process::id(), u64::from_ne_bytes(random));
    Ok(format!("{host}:{process}:{:x}:{random:016x}", clock::now()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Overrides;
    use crate::store::tests::support::Place;

    #[test]
    fn two_instances_that_start_in_one_second_have_two_names() {
        assert_ne!(instance().unwrap(), instance().unwrap());
    }

    const TEXT: &str = "[upstream.a]\nurl = \"imap://localhost\"\ndomains = [\"a.example\"]\n\
        [upstream.b]\nurl = \"imap://localhost:1143\"\n\
        [oauth.x]\npreset = \"oidc\"\ngrant = \"client-credentials\"\nclient_id = \"id\"\nclient_secret_env = \"S\"\n\
        token_url = \"http://localhost:1/token\"\nscope = \"s\"\n\
        [account.info]\nupstream = \"a\"\nlogin = \"info@a.example\"\npassword_env = \"P\"\n\
        [account.shop]\nupstream = \"b\"\nlogin = \"shop\"\noauth = \"x\"\n";

    fn load(text: &str) -> Config {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("popbridge.toml");
        std::fs::write(&file, text).unwrap();
        let overrides = Overrides {
            config: Some(file),
            ..Overrides::default()
        };
        crate::config::load(&overrides).unwrap_or_else(|error| panic!("{error}"))
    }

    /// What is the same one in two setups.
    fn same(before: &Setup, after: &Setup) -> Vec<&'static str> {
        let upstream = |setup: &Setup, name: &str| {
            let mut all = setup.router.upstreams();
            Arc::clone(all.find(|one| one.name == name).unwrap())
        };
        let mut same = Vec::new();
        for name in ["a", "b"] {
            if Arc::ptr_eq(&upstream(before, name), &upstream(after, name)) {
                same.push(name);
            }
        }
        for name in ["info", "shop"] {
            if Arc::ptr_eq(&before.configured[name], &after.configured[name]) {
                same.push(name);
            }
        }
        let tokens = |setup: &Setup| match &setup.configured["shop"].password {
            Password::Tokens(tokens) => Arc::clone(tokens),
            _ => panic!("shop has a password"),
        };
        if Arc::ptr_eq(&tokens(before), &tokens(after)) {
            same.push("tokens");
        }
        same
    }

    #[tokio::test]
    async fn what_is_written_as_before_stays_and_an_account_keeps_its_tokens() {
        let place = Place::sqlite();
        let store = place.open().await;
        let config = load(TEXT);
        let ground = Ground {
            metrics: Arc::new(Metrics::new()),
            keeper: Arc::new(keeper(&config, store.clone())),
            holder: instance().unwrap(),
        };
        let before = ground.setup(&config, None).await.unwrap();
        let former = Former {
            config: &config,
            setup: &before,
        };
        let cases: [(&str, &str, &[&str]); 5] = [
            ("", "", &["a", "b", "info", "shop", "tokens"]),
            // An account's rules.
            (
                "login = \"shop\"",
                "login = \"shop\"\non_delete = \"ignore\"",
                &["a", "b", "info", "tokens"],
            ),
            // Its upstream, which is the same server still.
            (
                ":1143\"",
                ":1143\"\nconnections = 3",
                &["a", "info", "tokens"],
            ),
            // Its upstream, which is another one.
            (":1143\"", ":1144\"", &["a", "info"]),
            // Where its tokens come from.
            ("localhost:1/", "localhost:2/", &["a", "b", "info"]),
        ];
        for (from, to, expected) in cases {
            let text = TEXT.replacen(from, to, 1);
            let after = ground.setup(&load(&text), Some(former)).await.unwrap();
            assert_eq!(same(&before, &after), expected, "{to}");
        }
    }
}
