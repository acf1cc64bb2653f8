//! Whether a token opens an account's mailbox, found out before it takes the place of one that does.
//!
//! Must not know: where the token comes from and where it is kept.

use std::sync::Arc;

use crate::bridge::Upstream;
use crate::config::Config;
use crate::imap::{Credentials, Error, Nature, Proof};
use crate::metrics::Metrics;
use crate::run::{StartError, upstreams};
use crate::secret::Secret;

/// An account's upstream, and the name to log in with.
pub struct Trial {
    upstream: Arc<Upstream>,
    user: String,
}

/// What came of it. The sentences are for the operator, without anything of the token.
#[derive(Debug, PartialEq, Eq)]
pub enum Tried {
    /// The mailbox is open.
    Works,
    /// The upstream does not open it; its words.
    Refused(String),
    /// That cannot be told now; why.
    Not(String),
}

impl Trial {
    /// Of this account; none where there is no such one. Connects nowhere; reads files of authorities.
    ///
    /// # Errors
    /// [`StartError::Upstream`]
    pub fn prepare(config: &Config, account: &str) -> Result<Option<Self>, StartError> {
        let Some(account) = config.accounts.iter().find(|one| one.name == account) else {
            return Ok(None);
        };
        let router = upstreams(config, &Metrics::new())?;
        let mut all = router.upstreams();
        let upstream = all.find(|upstream| upstream.name == account.upstream);
        Ok(upstream.map(|upstream| Self {
            upstream: Arc::clone(upstream),
            user: account.login.clone(),
        }))
    }

    /// Logs in with the token and looks at the INBOX. Nothing there changes.
    pub async fn run(&self, token: &Secret) -> Tried {
        match self.open(token).await {
            Ok(()) => Tried::Works,
            Err(error) if is_refusal(&error) => Tried::Refused(error.to_string()),
            Err(error) => Tried::Not(error.to_string()),
        }
    }

    async fn open(&self, token: &Secret) -> Result<(), Error> {
        let credentials = Credentials {
            user: self.user.clone(),
            proof: Proof::Token(token.clone()),
        };
        let mut connection = self.upstream.endpoint.open(&credentials).await?;
        // Exchange takes the token of somebody else and refuses the first command.
        let examined = connection.examine("INBOX", false).await;
        connection.logout().await;
        examined.map(drop)
    }
}

/// Whether it is the upstream that says no, and would say it again.
fn is_refusal(error: &Error) -> bool {
    let is_said = matches!(
        error,
        Error::LoginRefused(_) | Error::TokenRefused { .. } | Error::Refused { .. } | Error::Bye(_)
    );
    is_said && matches!(error.nature(), Nature::Credentials | Nature::Permanent)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::imap::Reply;

    fn refused(words: &str) -> Error {
        Error::Refused {
            command: "EXAMINE",
            reply: Reply::parse(words.as_bytes()).unwrap(),
        }
    }

    #[test]
    fn only_what_an_upstream_says_and_would_say_again_is_a_refusal() {
        assert!(is_refusal(&Error::refused_lately()));
        let exchanges = refused("BAD User is authenticated but not connected.");
        assert!(is_refusal(&exchanges));
        for error in [
            refused("NO Request is throttled. Suggested Backoff Time: 299961 milliseconds"),
            Error::Unreachable("refused".to_owned()),
            Error::Timeout("AUTHENTICATE"),
            Error::Lost(Arc::new(io::Error::other("gone"))),
            Error::Insecure("no token is taken"),
        ] {
            assert!(!is_refusal(&error), "{error}");
        }
    }
}
