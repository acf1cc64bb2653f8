//! What a POP3 client is told of trouble on the other side: short, with the right response code (RFC 2449, RFC 3206).
//!
//! `[AUTH]` is said only about what the client itself presented; everything else is `[SYS/TEMP]` or `[SYS/PERM]`, so that no device
//! locks itself out or forgets its password because an upstream had a bad day. The operator reads the cause in the log.
//! Must not know: sockets, sessions.

use crate::imap::{Error, Nature};
use crate::pop3::{Code, Refusal};

/// What the client hears when its log-in did not work.
pub(super) fn of_login(error: &Error) -> Refusal {
    match error.nature() {
        Nature::Credentials => refusal(
            Code::Auth,
            "The mailbox's server did not accept this user name and password.",
        ),
        _ => of(error),
    }
}

/// What the client hears of any other trouble.
pub(super) fn of(error: &Error) -> Refusal {
    match (error, error.nature()) {
        (Error::NoSafeRemoval, _) => refusal(
            Code::SysPerm,
            "The mailbox's server cannot remove single messages; nothing was deleted.",
        ),
        (Error::NoSuchFolder(_), _) => refusal(
            Code::SysPerm,
            "The mailbox has no trash folder; nothing was deleted.",
        ),
        (_, Nature::Message) => gone(),
        (_, Nature::Permanent) => refusal(
            Code::SysPerm,
            "The mailbox's server refuses; ask the operator of this bridge.",
        ),
        // Credentials that worked at the log-in and fail in mid-session say nothing about the client.
        (_, Nature::Temporary | Nature::Credentials) => temporary(),
    }
}

/// Trouble that may pass.
pub(super) fn temporary() -> Refusal {
    refusal(
        Code::SysTemp,
        "The mailbox's server is not available at the moment; try again later.",
    )
}

/// The user name belongs to no upstream.
pub(super) fn unknown_user() -> Refusal {
    refusal(
        Code::Auth,
        "The mailbox's server did not accept this user name and password.",
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
