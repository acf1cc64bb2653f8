//! What can go wrong between a session and its mailbox: the upstream, the store, or the account's own credentials.
//!
//! Must not know: what a POP3 client is told of it (see `refusals`).

use std::fmt;
use std::time::Duration;

use super::backoff::{Why, seconds};
use super::budget::Short;
use super::tokens::TokenTrouble;
use crate::imap;
use crate::store::StoreError;

/// See the module. Its text is for the operator.
#[derive(Clone, Debug)]
pub enum Trouble {
    /// The upstream, or the way to it.
    Upstream(imap::Error),
    /// Where the state is kept.
    Store(StoreError),
    /// The password of a configured account cannot be had.
    Password(String),
    /// A configured account has no token.
    Token(TokenTrouble),
    /// The upstream does not accept what is configured for an account. The POP3 client has nothing to do with it.
    Account(imap::Error),
    /// The unique-ids need X-GM-MSGID and the upstream gives none.
    NoGmMsgid,
    /// What the upstream allows is used up.
    Budget(Short),
    /// A client's settings in the store cannot be read.
    Settings(String),
    /// The upstream has asked to be left alone, and is not asked.
    BackOff {
        /// For how long still.
        left: Duration,
        /// What it has said.
        why: imap::Pressure,
    },
}

impl Trouble {
    /// Whether a connection was lost that another one could replace.
    pub(super) fn is_lost_connection(&self) -> bool {
        matches!(self, Self::Upstream(error) if error.is_lost_connection())
    }

    /// Whether it was logged where it arose, once for all whom it stops.
    pub(super) fn is_logged(&self) -> bool {
        matches!(self, Self::Token(_) | Self::BackOff { .. })
    }

    /// Whether the upstream has asked to be left alone, now or before.
    pub(super) fn is_pressure(&self) -> bool {
        match self {
            Self::BackOff { .. } => true,
            Self::Upstream(error) => error.pressure().is_some(),
            _ => false,
        }
    }

    /// Whether the trouble is in what the upstream said rather than in its being there.
    pub(super) fn is_unreadable(&self) -> bool {
        matches!(
            self,
            Self::Upstream(imap::Error::Protocol(_) | imap::Error::TooLong(_))
        )
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Upstream(error) => error.fmt(f),
            Self::Store(error) => write!(f, "the state: {error}"),
            Self::Password(words) => write!(f, "the account's password: {words}"),
            Self::Token(trouble) => write!(f, "the account's token: {trouble}"),
            Self::Account(error) => {
                write!(
                    f,
                    "the account's configured credentials do not work: {error}"
                )
            }
            Self::NoGmMsgid => {
                f.write_str("the UIDL format needs X-GM-MSGID and the upstream gave none")
            }
            Self::Budget(Short::Octets { seconds }) => write!(
                f,
                "the upstream's limit for a day is reached; messages wait for {seconds} s"
            ),
            Self::Budget(Short::Connections) => {
                f.write_str("there are as many connections as the upstream allows")
            }
            Self::Budget(Short::LogIns) => {
                f.write_str("more want to log in than the upstream allows at a time")
            }
            Self::Settings(words) => write!(f, "the client's settings: {words}"),
            Self::BackOff { left, why } => write!(
                f,
                "the upstream is left alone for {} s more, because {}",
                seconds(*left),
                Why(*why)
            ),
        }
    }
}

impl std::error::Error for Trouble {}

impl From<imap::Error> for Trouble {
    fn from(error: imap::Error) -> Self {
        Self::Upstream(error)
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
