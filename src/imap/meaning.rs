//! What a refusal means: whether it will pass, whose fault it is, whether the upstream is to be left alone, and what a person can do.
//!
//! One table of response codes (RFC 3501, 2221, 5530, 9051, and those of single providers) and of words, for servers that give no code.
//! Pure. Must not know: POP3's codes, what was asked for, how long anybody waits.

use std::time::Duration;

use super::error::Nature;
use super::reply::{Condition, Reply};

/// What an upstream says of being asked too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pressure {
    /// It wants to be left alone for so long.
    Suggested(Duration),
    /// It is asked too often.
    Throttled,
    /// It has given as much as it does in a day.
    OverQuota,
    /// There are too many connections.
    Crowded,
    /// It lets nobody in at the moment.
    Unavailable,
}

/// During what it was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum During {
    /// The greeting and the log-in.
    LogIn,
    /// A command that puts messages somewhere.
    Putting,
    /// Any other command.
    Asking,
}

impl During {
    /// Of a command that was sent on a logged-in connection.
    pub(super) fn command(name: &str) -> Self {
        match name {
            "UID COPY" | "UID MOVE" | "CREATE" => Self::Putting,
            _ => Self::Asking,
        }
    }
}

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meaning {
    pub(super) nature: Nature,
    pub(super) pressure: Option<Pressure>,
    /// For the operator, where the upstream's words do not say it; else empty.
    pub(super) advice: &'static str,
}

struct Row {
    /// In upper case; empty: whatever code there is, or none.
    code: &'static str,
    /// In lower case, one of them; none: whatever the text.
    words: &'static [&'static str],
    during: &'static [During],
    meaning: Meaning,
}

const EVER: &[During] = &[During::LogIn, During::Putting, During::Asking];
const LOG_IN: &[During] = &[During::LogIn];
const LATER: &[During] = &[During::Putting, During::Asking];
const PUTTING: &[During] = &[During::Putting];

const fn coded(
    code: &'static str,
    during: &'static [During],
    nature: Nature,
    advice: &'static str,
) -> Row {
    Row {
        code,
        words: &[],
        during,
        meaning: Meaning {
            nature,
            pressure: None,
            advice,
        },
    }
}

const fn worded(
    words: &'static [&'static str],
    during: &'static [During],
    nature: Nature,
    advice: &'static str,
) -> Row {
    Row {
        words,
        ..coded("", during, nature, advice)
    }
}

const fn pressed(mut row: Row, pressure: Pressure) -> Row {
    row.meaning.pressure = Some(pressure);
    row
}

/// The number in it is read from the text.
const SUGGESTED: Pressure = Pressure::Suggested(Duration::ZERO);

/// The first row that fits counts.
const TABLE: &[Row] = {
    use Nature::{Credentials, Permanent, Temporary};
    use Pressure::{Crowded, OverQuota, Throttled, Unavailable};
    &[
        // Exchange Online says this with BAD to the first command after a log-in that it has accepted (email-oauth2-proxy #275).
        worded(
            &["authenticated but not connected"],
            EVER,
            Permanent,
            "the log-in works but opens no mailbox: the token has a wrong scope or is another user's, the mailbox has no licence or IMAP is \
             switched off for it, or the user has no permission for this shared mailbox",
        ),
        // Exchange Online, with NO or BAD, often with a BYE behind it (imapsync #198, email-oauth2-proxy #191).
        pressed(
            worded(&["suggested backoff time"], EVER, Temporary, ""),
            SUGGESTED,
        ),
        pressed(
            worded(&["request is throttled"], EVER, Temporary, ""),
            Throttled,
        ),
        // Gmail: "[ALERT] Too many simultaneous connections. (Failure)"; Dovecot: "Maximum number of connections from user+IP exceeded
        // (mail_max_userip_connections=10)", with UNAVAILABLE or LIMIT; Courier the same in its greeting.
        pressed(
            worded(
                &[
                    "too many simultaneous connections",
                    "too many connections",
                    "too many concurrent",
                    "maximum number of connections",
                ],
                EVER,
                Temporary,
                "other programs have connections to it, too: a smaller connections = ... leaves them more",
            ),
            Crowded,
        ),
        // Gmail, for downloads and commands, for hours.
        pressed(
            worded(
                &["exceeded command or bandwidth limits"],
                EVER,
                Temporary,
                "the mailbox has been read too much today; Gmail allows 2500 MB a day",
            ),
            OverQuota,
        ),
        // RFC 5530: "the user would be over quota after the operation".
        coded("OVERQUOTA", PUTTING, Temporary, "the mailbox is full"),
        pressed(
            coded(
                "OVERQUOTA",
                EVER,
                Temporary,
                "the mailbox has been read too much for the moment",
            ),
            OverQuota,
        ),
        pressed(coded("THROTTLED", EVER, Temporary, ""), Throttled),
        pressed(coded("UNAVAILABLE", LOG_IN, Temporary, ""), Unavailable),
        // Yahoo says both of single messages: another command may work.
        coded("UNAVAILABLE", LATER, Temporary, ""),
        pressed(coded("LIMIT", LOG_IN, Temporary, ""), Crowded),
        coded("LIMIT", LATER, Temporary, ""),
        coded("INUSE", EVER, Temporary, ""),
        coded("SERVERBUG", EVER, Temporary, "a defect of the server"),
        coded(
            "CORRUPTION",
            EVER,
            Temporary,
            "the server's own data are damaged: its operator can tell more",
        ),
        coded(
            "PRIVACYREQUIRED",
            EVER,
            Permanent,
            "the server wants TLS: use imaps:// or imap+starttls://",
        ),
        coded(
            "CONTACTADMIN",
            EVER,
            Permanent,
            "only the server's operator can help",
        ),
        coded(
            "NOPERM",
            EVER,
            Permanent,
            "the server's access rights do not allow it",
        ),
        coded("NONEXISTENT", EVER, Permanent, ""),
        coded("CANNOT", LATER, Permanent, ""),
        // RFC 2221.
        coded(
            "REFERRAL",
            LOG_IN,
            Permanent,
            "the mailbox is on another server: url = ... must name that one",
        ),
        // Gmail, before app passwords and for accounts that it suspects: `* NO [WEBALERT ...] Web login required.`, then
        // `NO [ALERT] Please log in via your web browser` (MailSystem.NET #17).
        worded(
            &["web login required", "via your web browser"],
            LOG_IN,
            Permanent,
            "Google wants this user to log in by a web browser first, or a token or an app password instead of the user's password",
        ),
        coded(
            "WEBALERT",
            LOG_IN,
            Permanent,
            "Google wants this user to log in by a web browser first",
        ),
        worded(
            &[
                "not enabled for imap",
                "imap access is disabled",
                "imap is disabled",
            ],
            LOG_IN,
            Permanent,
            "IMAP is switched off for this mailbox at its provider",
        ),
        // Gmail, to the user's own password (mutt-wizard #831).
        worded(
            &["application-specific password", "app password"],
            LOG_IN,
            Credentials,
            "the provider takes a password that was made for one program, not the user's own",
        ),
        coded("AUTHENTICATIONFAILED", EVER, Credentials, ""),
        coded(
            "AUTHORIZATIONFAILED",
            EVER,
            Credentials,
            "the log-in is right, and is not allowed to open this mailbox",
        ),
        coded(
            "EXPIRED",
            EVER,
            Credentials,
            "the password or token is too old and needs a new one",
        ),
        // Gmail has also said "Invalid credentials" with ALERT.
        Row {
            words: &["credential", "password"],
            ..coded("ALERT", LOG_IN, Credentials, "")
        },
        // Exchange: "NO Server Unavailable. 15", to the log-in and later on (imapfilter #146).
        pressed(
            worded(&["server unavailable"], LOG_IN, Temporary, ""),
            Unavailable,
        ),
    ]
};

/// What is said without a code to a log-in when it is not the password. Others: "Temporary authentication failure", "try again later".
const PASSES: &[&str] = &[
    "throttl",
    "unavailable",
    "not available",
    "too many",
    "later",
    "internal",
    "timed out",
    "timeout",
    "overload",
    "busy",
    "maintenance",
];
/// Words about the credentials win over these, but not over "temporary": "Invalid credentials, try again later".
const OF_CREDENTIALS: &[&str] = &[
    "credential",
    "password",
    "authentication failed",
    "invalid login",
];

/// What a NO, BAD or BYE means.
pub(super) fn meaning(during: During, reply: &Reply) -> Meaning {
    let code = reply.code_name().unwrap_or_default();
    let says = |words: &[&str]| words.iter().any(|word| reply.mentions(word));
    let fits = |row: &&Row| {
        row.during.contains(&during)
            && (row.code.is_empty() || row.code == code)
            && (row.words.is_empty() || says(row.words))
    };
    let row = TABLE.iter().find(fits);
    let mut meaning = row.map_or_else(|| of_words(during, reply, says), |row| row.meaning);
    if meaning.pressure == Some(SUGGESTED) {
        let suggested = reply.number_behind("suggested backoff time");
        meaning.pressure = Some(suggested.map_or(Pressure::Throttled, |milliseconds| {
            Pressure::Suggested(Duration::from_millis(milliseconds))
        }));
    }
    // BAD is about the command and BYE about the connection, whatever else is in them.
    if meaning.nature == Nature::Credentials && reply.condition() != Condition::No {
        meaning.nature = Nature::Temporary;
    }
    meaning
}

/// Of a reply that no row speaks of.
fn of_words(during: During, reply: &Reply, says: impl Fn(&[&str]) -> bool) -> Meaning {
    let is_bare_refusal = during == During::LogIn && reply.code_name().is_none();
    let passes = says(&["temporar"]) || (says(PASSES) && !says(OF_CREDENTIALS));
    Meaning {
        nature: match is_bare_refusal && !passes {
            // As those say it who know no codes: "Login failed."
            true => Nature::Credentials,
            false => Nature::Temporary,
        },
        pressure: None,
        advice: "",
    }
}

#[cfg(test)]
mod tests;
