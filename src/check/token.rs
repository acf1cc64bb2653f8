//! A token for an account, for `check --connect`: as the bridge would get it, and nothing is made for it.
//!
//! Must not know: what it is shown to.

use std::sync::Arc;

use crate::bridge::tokens::Tokens;
use crate::config::{Access, Account, Config};
use crate::metrics::Metrics;
use crate::oauth::{Renew, Renewal};
use crate::run::{keeper, look_at_store, oauth_client, token_owners};
use crate::secret::Secret;

/// Where a person has to log in, the one that is kept, or one for what is kept.
///
/// # Errors
/// A sentence for the operator; accounts with a password have no token.
pub(super) async fn token(config: &Config, account: &Account) -> Result<Secret, String> {
    let Access::OAuth { provider, user } = &account.access else {
        return Err("it has a password".to_owned());
    };
    let oauth = config.oauth.iter().find(|oauth| oauth.name == *provider);
    let oauth = oauth.ok_or_else(|| format!("there is no [oauth.{provider}]"))?;
    let client = oauth_client(oauth).map_err(|error| error.to_string())?;
    let renewal = Arc::new(Renewal::new(Arc::new(client), user.clone()));
    if !renewal.needs_refresh_token() {
        let renewed = renewal.renew(None).await;
        return renewed
            .map(|granted| granted.access)
            .map_err(|error| error.to_string());
    }
    let missing = || {
        format!(
            "nobody has logged in for it yet: `popbridge oauth login {}`",
            account.name
        )
    };
    let mut owners = token_owners(config).into_iter();
    let owner = owners.find(|owner| owner.account == account.name);
    let owner = owner.ok_or_else(missing)?;
    // Whoever checks may be another user than the bridge, and would own what is made.
    let store = look_at_store(config)
        .await
        .map_err(|error| error.to_string())?
        .ok_or_else(missing)?;
    let known = store.find_mailbox(&owner.upstream, &owner.login).await;
    if known.map_err(|error| error.to_string())?.is_none() {
        store.close().await;
        return Err(missing());
    }
    let tokens = Arc::new(Tokens::new(
        owner,
        renewal,
        Arc::new(keeper(config, store.clone())),
        format!("check:{}", std::process::id()),
        Arc::new(Metrics::new()),
    ));
    let token = tokens.token().await;
    // Nobody else knows what could not be kept when it was got.
    let kept = tokens.keep_last().await;
    store.close().await;
    kept.map_err(|trouble| {
        format!(
            "a new token was got and cannot be kept: {trouble}; if none is given for the old one, `popbridge oauth login {}`",
            account.name
        )
    })?;
    token.map_err(|trouble| trouble.to_string())
}
