//! What a POP3 client is told of trouble on the other side: short, with the right response code (RFC 2449, RFC 3206).
//!
//! `[AUTH]` is said only about what the client itself presented; everything else is `[SYS/TEMP]` or `[SYS/PERM]`, so that no device
//! locks itself out or forgets its password because an upstream had a bad day. The operator reads the cause in the log.
//! Must not know: sockets, sessions.

use std::time::Duration;

use super::backoff::seconds;
use super::budget::Short;
use super::enter::Barred;
use super::tokens::TokenTrouble;
use super::trouble::Trouble;
use crate::auth::throttle::Denied;
use crate::imap::{Error, Nature, Pressure};
use crate::metrics::Refused;
use crate::pop3::{Code, Refusal};
use crate::store::StoreError;

/// What the client hears when its log-in did not work.
pub(super) fn of_login(barred: &Barred) -> Refusal {
    match barred {
        Barred::NoUpstream | Barred::BadName | Barred::WrongPassword | Barred::Rejected { .. } => {
            refusal(
                Code::Auth,
                "The mailbox's server did not accept this user name and password.",
            )
        }
        // Nothing is wrong with what the client presented: it must not forget its password over this.
        Barred::NotSetUp => refusal(
            Code::SysPerm,
            "This bridge has no mail server yet; ask its operator.",
        ),
        Barred::InUse => refusal(
            Code::InUse,
            "Another session of this client is open; try again later.",
        ),
        Barred::Unknown(Trouble::BackOff { left, why }) => {
            let code = match why {
                // It comes too often, or somebody else does: what RFC 2449 has the code for.
                Pressure::Suggested(_) | Pressure::Throttled | Pressure::Crowded => {
                    Code::LoginDelay
                }
                Pressure::OverQuota | Pressure::Unavailable => Code::SysTemp,
            };
            left_alone(code, *left)
        }
        Barred::Unknown(trouble) => of(trouble),
    }
}

/// What the client hears whose password was not looked at. It says nothing about the password, so a device keeps it.
pub(super) fn of_denied(denied: Denied) -> Refusal {
    match denied {
        Denied::TooSoon(left) => {
            let seconds = seconds(left);
            let text = format!(
                "Too many log-ins from this address or to this mailbox were wrong; try again in {seconds} seconds."
            );
            Refusal::new(Code::LoginDelay, text)
        }
        Denied::Crowded => refusal(
            Code::SysTemp,
            "Too many are logging in from this address at the moment; try again later.",
        ),
    }
}

/// What a client hears instead of a greeting.
pub(super) fn of_turned_away(why: Refused) -> Refusal {
    let text = match why {
        Refused::Full => "As many are connected as this server takes; try again later.",
        Refused::SourceFull => {
            "As many are connected from this address as this server takes from one; try again later."
        }
        Refused::Memory => "This server is busy at the moment; try again later.",
        Refused::Proxy | Refused::Deadline => "This connection is not taken; try again later.",
    };
    refusal(Code::SysTemp, text)
}

/// What the client hears of any other trouble.
pub(super) fn of(trouble: &Trouble) -> Refusal {
    match trouble {
        Trouble::Upstream(error) => of_upstream(error),
        Trouble::Store(StoreError::LeaseLost) => refusal(
            Code::SysTemp,
            "Another session of this client has taken over; nothing was deleted.",
        ),
        // Also where it is damaged: the operator puts a backup in its place, and nothing about the client's settings is wrong.
        Trouble::Store(_) => refusal(
            Code::SysTemp,
            "The bridge cannot reach its own records; try again later.",
        ),
        Trouble::Token(trouble) => of_token(trouble),
        Trouble::Budget(short) => of_budget(*short),
        Trouble::BackOff { left, .. } => left_alone(Code::SysTemp, *left),
        Trouble::Password(_) | Trouble::Account(_) | Trouble::NoGmMsgid | Trouble::Settings(_) => {
            permanent()
        }
    }
}

fn of_token(trouble: &TokenTrouble) -> Refusal {
    match trouble {
        TokenTrouble::Later(_) => refusal(
            Code::SysTemp,
            "The mailbox's authorization server gives no access at the moment; try again later.",
        ),
        TokenTrouble::Misconfigured(_) => refusal(
            Code::SysPerm,
            "The mailbox's authorization server refuses this bridge; ask its operator.",
        ),
        TokenTrouble::Key(_) | TokenTrouble::Sealed { .. } => permanent(),
        // The account's name is the operator's word for a mailbox that this client may read.
        TokenTrouble::Missing { account }
        | TokenTrouble::ForAnother { account, .. }
        | TokenTrouble::Revoked { account, .. } => Refusal::new(
            Code::SysPerm,
            format!(
                "The bridge has no access to this mailbox any more; its operator renews it with: popbridge oauth login {account}"
            ),
        ),
    }
}

fn of_upstream(error: &Error) -> Refusal {
    match (error, error.nature()) {
        (Error::NoSafeRemoval, _) => refusal(
            Code::SysPerm,
            "The mailbox's server cannot remove single messages; nothing was deleted.",
        ),
        (Error::NoSuchFolder(_), _) => refusal(
            Code::SysPerm,
            "The mailbox lacks a folder that is needed; nothing was changed.",
        ),
        (_, Nature::Message) => gone(),
        (_, Nature::Permanent) => permanent(),
        // Credentials that worked at the log-in and fail in mid-session say nothing about the client.
        (_, Nature::Temporary | Nature::Credentials) => temporary(),
    }
}

/// What passes by itself, and has nothing to do with the client.
fn of_budget(short: Short) -> Refusal {
    let text = match short {
        Short::Octets { seconds } => format!(
            "The mailbox's server gives out only so much in a day, and that was reached; messages can be read again in about {}.",
            in_words(seconds)
        )
        .into(),
        Short::Connections => {
            "The mailbox's server takes no more connections at the moment; try again later.".into()
        }
        Short::LogIns => {
            "Too many are logging in at the mailbox's server at the moment; try again later.".into()
        }
    };
    Refusal {
        code: Some(Code::SysTemp),
        text,
    }
}

/// At least so long.
fn in_words(seconds: u64) -> String {
    match (seconds.div_ceil(60), seconds.div_ceil(3600)) {
        (0 | 1, _) => "a minute".to_owned(),
        (minutes @ ..=90, _) => format!("{minutes} minutes"),
        (_, hours) => format!("{hours} hours"),
    }
}

/// Trouble that may pass.
pub(super) fn temporary() -> Refusal {
    refusal(
        Code::SysTemp,
        "The mailbox's server is not available at the moment; try again later.",
    )
}

/// The upstream has asked to be left alone.
fn left_alone(code: Code, left: Duration) -> Refusal {
    let seconds = seconds(left);
    let text = format!(
        "The mailbox's server wants to be left alone for {seconds} seconds; try again then."
    );
    Refusal::new(code, text)
}

/// Trouble that a person has to end.
fn permanent() -> Refusal {
    refusal(
        Code::SysPerm,
        "The mailbox's server refuses; ask the operator of this bridge.",
    )
}

/// Only this message is concerned, so no code that speaks of the system or of the log-in.
fn gone() -> Refusal {
    Refusal {
        code: None,
        text: "The message is no longer in the mailbox.".into(),
    }
}

fn refusal(code: Code, text: &'static str) -> Refusal {
    Refusal {
        code: Some(code),
        text: text.into(),
    }
}
