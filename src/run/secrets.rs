//! Whether the secrets beside passwords are there and are what they should be: the key of tokens, clients' secrets, service accounts' files, the
//! admin token.
//!
//! Nothing is made, and nobody is asked. Must not know: who is told.

use super::{oauth_client, token_owners};
use crate::admin::Gate;
use crate::auth::TokenKey;
use crate::config::Config;

/// What is wrong with one of them.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    /// A sentence, without anything of the secret.
    pub why: String,
    /// Whether an account needs it.
    pub needed: bool,
    /// Whether nothing is served without it.
    pub refuses: bool,
}

/// Everything that is wrong with them. Reads files: also those of authorities that authorization servers are believed by.
pub fn faults(config: &Config) -> Vec<Fault> {
    let mut faults = Vec::new();
    let needed = !token_owners(config).is_empty();
    let key = TokenKey::new(config.token_key.clone(), &config.state.folder);
    // Whoever checks may not be allowed to see the bridge's own key.
    if config.token_key.is_some()
        && let Err(why) = key.read()
    {
        faults.push(Fault {
            why,
            needed,
            refuses: needed,
        });
    }
    if let Some(admin) = &config.admin
        && let Err(why) = Gate::new(admin.token.clone()).check_token()
    {
        faults.push(Fault {
            why,
            needed: true,
            refuses: true,
        });
    }
    for oauth in &config.oauth {
        let needed = config.needs(oauth);
        let fault = match oauth_client(oauth) {
            Ok(client) => client.check_secrets().err().map(|why| (why, false)),
            Err(error) => Some((error.to_string(), needed)),
        };
        faults.extend(fault.map(|(why, refuses)| Fault {
            why,
            needed,
            refuses,
        }));
    }
    faults
}
