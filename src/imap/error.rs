//! What can go wrong on the way to an upstream: one variant for each thing a caller does differently.
//!
//! Must not know: POP3 response codes (the bridge translates), or any type of the IMAP crate.
//! No variant ever carries mail text, a password, or a raw buffer: upstream texts are cut and cleaned (see [`Reply`]),
//! and one that repeats the log-in is never shown.

use std::fmt;
use std::io;
use std::sync::Arc;

use super::challenge::Complaint;
use super::meaning::{During, Meaning, Pressure, meaning};
use super::reply::{Condition, Reply};

/// Why an upstream did not do what was asked.
#[derive(Clone, Debug)]
pub enum Error {
    /// No connection came about: name resolution or TCP.
    Unreachable(String),
    /// The TLS handshake failed: a certificate that is not trusted, or no common version.
    Tls(String),
    /// Going on would have shown a credential or mail to others, or skipped the check of the password. Nothing was sent.
    Insecure(&'static str),
    /// The connection ended or broke in the middle.
    Lost(Arc<io::Error>),
    /// No byte came within the time-out; the text names the command.
    Timeout(&'static str),
    /// The upstream ended the connection with `* BYE` (RFC 3501, 7.1.5).
    Bye(Reply),
    /// It did so instead of a greeting, before it could know who is there.
    TurnedAway(Reply),
    /// The upstream refused the log-in itself (tagged NO or BAD to LOGIN or AUTHENTICATE).
    LoginRefused(Reply),
    /// The same, after the upstream has said what it has against the token.
    TokenRefused {
        /// The error in its last question.
        complaint: Box<Complaint>,
        /// The tagged NO or BAD.
        reply: Reply,
    },
    /// A tagged NO or BAD to any other command.
    Refused {
        /// The command's name, without its arguments.
        command: &'static str,
        /// What the upstream said.
        reply: Reply,
    },
    /// Bytes that are not IMAP, or not an answer to what was asked.
    Protocol(&'static str),
    /// More bytes than a response may have (RFC 3501 sets no limit; ours are in `transport`).
    TooLong(&'static str),
    /// Counts, positions or dates contradict each other: the list is not believed.
    Inconsistent(&'static str),
    /// The upstream has no such message any more, or gives nothing for it.
    MessageGone,
    /// Neither UIDPLUS nor MOVE with a trash folder: the messages cannot be removed without touching others.
    NoSafeRemoval,
    /// A configured or special-use folder does not exist.
    NoSuchFolder(String),
    /// The folder does not keep this flag (RFC 3501, 7.1: PERMANENTFLAGS), or it is no flag. Nothing was touched.
    FlagNotKept(String),
    /// Messages of this folder were to be moved or copied to the folder itself. Nothing was touched.
    SameFolder(String),
    /// The upstream lacks an extension that the configuration relies on; the text names both.
    Lacks(&'static str),
}

/// What a caller makes of an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// The same may work later.
    Temporary,
    /// It will not work until a person changes something.
    Permanent,
    /// The upstream did not accept the credentials that were presented.
    Credentials,
    /// Only this message is concerned.
    Message,
}

impl Error {
    /// The refusal of a log-in that the upstream would repeat: it was asked the same a moment ago.
    pub fn refused_lately() -> Self {
        let words = "the same user and password were refused within the last minute; the upstream is not asked again yet";
        Self::LoginRefused(Reply::ours(Condition::No, "AUTHENTICATIONFAILED", words))
    }

    /// Sorts the error for the client's answer and for the metrics.
    pub fn nature(&self) -> Nature {
        match self {
            Self::Unreachable(_)
            | Self::Tls(_)
            | Self::Lost(_)
            | Self::Timeout(_)
            | Self::Protocol(_)
            | Self::TooLong(_)
            | Self::Inconsistent(_) => Nature::Temporary,
            Self::Insecure(_)
            | Self::NoSafeRemoval
            | Self::NoSuchFolder(_)
            | Self::FlagNotKept(_)
            | Self::SameFolder(_)
            | Self::Lacks(_) => Nature::Permanent,
            Self::TokenRefused { complaint, reply } => {
                // A bad day is a bad day, whatever it makes of the token; a BAD says nothing once there was an error.
                match meaning(During::LogIn, reply).nature {
                    Nature::Temporary if !reply.is_bad() => Nature::Temporary,
                    of_reply => complaint.nature().unwrap_or(of_reply),
                }
            }
            Self::Bye(_) | Self::TurnedAway(_) | Self::LoginRefused(_) | Self::Refused { .. } => {
                self.meaning()
                    .map_or(Nature::Temporary, |meaning| meaning.nature)
            }
            Self::MessageGone => Nature::Message,
        }
    }

    /// What the upstream says of being asked too much, if that is what it says.
    pub fn pressure(&self) -> Option<Pressure> {
        match self {
            // Whoever is turned away before anybody knows who it is: there is no place for anybody.
            Self::TurnedAway(reply) => {
                let told = meaning(During::LogIn, reply).pressure;
                Some(told.unwrap_or(Pressure::Unavailable))
            }
            _ => self.meaning()?.pressure,
        }
    }

    /// The same of an error while a connection was opened, where a good-bye is more than the end of one connection.
    pub fn pressure_at_log_in(&self) -> Option<Pressure> {
        match self {
            Self::Bye(reply) => meaning(During::LogIn, reply).pressure,
            _ => self.pressure(),
        }
    }

    /// Whether the upstream says that its rate of commands was exceeded, or wants to be left alone: whatever was asked for has no part in it.
    pub fn is_about_rate(&self) -> bool {
        let is_limit =
            matches!(self, Self::Refused { reply, .. } if reply.code_name() == Some("LIMIT"));
        is_limit || self.pressure().is_some()
    }

    /// Whether the connection itself is the trouble, so that the same command may be tried once on a new one: it was lost, or what opened
    /// it counts no more.
    pub fn is_lost_connection(&self) -> bool {
        match self {
            Self::Lost(_) | Self::Bye(_) => true,
            Self::Refused { .. } => self.nature() == Nature::Credentials,
            _ => false,
        }
    }

    fn meaning(&self) -> Option<Meaning> {
        match self {
            Self::LoginRefused(reply)
            | Self::TurnedAway(reply)
            | Self::TokenRefused { reply, .. } => Some(meaning(During::LogIn, reply)),
            Self::Bye(reply) => Some(meaning(During::Asking, reply)),
            Self::Refused { command, reply } => Some(meaning(During::command(command), reply)),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) => write!(f, "cannot connect: {why}"),
            Self::Tls(why) => write!(f, "no safe connection: {why}"),
            Self::Insecure(why) => write!(f, "refused for safety, no credentials were sent: {why}"),
            Self::Lost(error) => write!(f, "the connection was lost: {error}"),
            Self::Timeout(what) => write!(f, "no answer in time to {what}"),
            Self::Bye(reply) => write!(f, "the upstream ended the connection: {reply}"),
            Self::TurnedAway(reply) => {
                write!(f, "the upstream takes no connections at the moment: {reply}")
            }
            Self::LoginRefused(reply) => write!(f, "the log-in was refused: {reply}"),
            Self::TokenRefused { complaint, reply } => {
                write!(f, "the token was refused, {complaint}: {reply}")
            }
            Self::Refused { command, reply } => write!(f, "{command} was refused: {reply}"),
            Self::Protocol(what) => write!(f, "not understood: {what}"),
            Self::TooLong(what) => write!(f, "too long: {what}"),
            Self::Inconsistent(what) => write!(f, "the upstream's figures contradict each other: {what}"),
            Self::MessageGone => f.write_str("the message is no longer there"),
            Self::NoSafeRemoval => f.write_str(
                "the upstream has neither UIDPLUS nor MOVE with a trash folder, so nothing was removed; \
                 expunge_without_uidplus = true accepts that EXPUNGE also removes what others marked \\Deleted",
            ),
            Self::NoSuchFolder(name) => write!(f, "there is no folder {name}"),
            Self::FlagNotKept(flag) => {
                write!(f, "the folder does not keep the flag {flag}; nothing was changed")
            }
            Self::SameFolder(name) => {
                write!(f, "{name} is the folder that messages were to leave for it; nothing was changed")
            }
            Self::Lacks(what) => write!(f, "the upstream lacks {what}"),
        }?;
        match self.meaning() {
            Some(meaning) if !meaning.advice.is_empty() => write!(f, " ({})", meaning.advice),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Lost(Arc::new(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_about_the_credentials_win_over_words_about_time() {
        let nature =
            |line: &str| Error::LoginRefused(Reply::parse(line.as_bytes()).unwrap()).nature();
        for line in [
            "NO Invalid credentials, try again later",
            "NO Wrong password; too many tries lock the account",
            "NO Authentication failed, try later",
            "NO Invalid login, service unavailable to you",
            "NO no",
        ] {
            assert_eq!(nature(line), Nature::Credentials, "{line}");
        }
        for line in [
            "NO Temporary problem with the password database",
            "NO Authentication failed: temporary failure",
            "NO try again later",
            "NO Server Unavailable. 15",
        ] {
            assert_eq!(nature(line), Nature::Temporary, "{line}");
        }
    }

    #[test]
    fn a_withheld_text_still_tells_what_it_is() {
        let mut reply = Reply::parse(b"NO Server unavailable: \"secret\"").unwrap();
        reply.withhold();
        let error = Error::LoginRefused(reply);
        assert_eq!(error.nature(), Nature::Temporary);
        assert!(!format!("{error} {error:?}").contains("secret"));
    }
}
