//! Why an account has no token.
//!
//! Must not know: what a POP3 client is told of it.

use std::fmt;

use super::super::trouble::Trouble;

/// See the module. Its text is for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenTrouble {
    /// Nobody has logged in for the account yet.
    Missing {
        /// The account's name in the configuration.
        account: String,
    },
    /// Somebody has logged in, for another user than the one who is wanted now.
    ForAnother {
        /// The account's name in the configuration.
        account: String,
        /// Whom the tokens are for.
        user: String,
        /// Whom they should be for.
        wanted: String,
    },
    /// What somebody has logged in for is not good any more.
    Revoked {
        /// The account's name in the configuration.
        account: String,
        /// What the authorization server said.
        why: String,
    },
    /// The authorization server does not accept what is configured.
    Misconfigured(String),
    /// The authorization server gives none at the moment.
    Later(String),
    /// There is no key to seal with; a sentence.
    Key(String),
    /// What is kept cannot be opened.
    Sealed {
        /// The account's name in the configuration.
        account: String,
        /// Why.
        why: String,
    },
}

impl TokenTrouble {
    /// The account, where a person has to log in for it.
    pub fn needs_a_person(&self) -> Option<&str> {
        match self {
            Self::Missing { account }
            | Self::ForAnother { account, .. }
            | Self::Revoked { account, .. } => Some(account),
            Self::Misconfigured(_) | Self::Later(_) | Self::Key(_) | Self::Sealed { .. } => None,
        }
    }
}

impl fmt::Display for TokenTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { account } => write!(
                f,
                "nobody has logged in for [account.{account}] yet: `popbridge oauth login {account}`"
            ),
            Self::ForAnother {
                account,
                user,
                wanted,
            } => write!(
                f,
                "the tokens of [account.{account}] are for {user}, and not for {wanted}: `popbridge oauth login {account}`"
            ),
            Self::Revoked { account, why } => write!(
                f,
                "the authorization of [account.{account}] is gone ({why}): `popbridge oauth login {account}`"
            ),
            Self::Misconfigured(why) => {
                write!(
                    f,
                    "the authorization server refuses what is configured: {why}"
                )
            }
            Self::Key(why) => f.write_str(why),
            Self::Later(why) => write!(f, "no token at the moment: {why}"),
            Self::Sealed { account, why } => write!(
                f,
                "the tokens of [account.{account}] cannot be opened: {why}; put the key back that they were sealed with, or log in \
                 again: `popbridge oauth login {account}`"
            ),
        }
    }
}

impl std::error::Error for TokenTrouble {}

impl From<TokenTrouble> for Trouble {
    fn from(trouble: TokenTrouble) -> Self {
        Self::Token(trouble)
    }
}
