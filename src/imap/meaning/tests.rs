//! Every code and every text that means something, at the log-in and later on.

use super::super::error::Error;
use super::*;
use Nature::{Credentials as Creds, Permanent as Perm, Temporary as Temp};
use Pressure::{Crowded, OverQuota, Suggested, Throttled, Unavailable};

/// What is said; what it means at the log-in, and of another command.
type Case = (&'static str, Say, Say);
type Say = (Nature, Option<Pressure>);

const fn both(line: &'static str, nature: Nature, pressure: Option<Pressure>) -> Case {
    (line, (nature, pressure), (nature, pressure))
}

const fn ms(n: u64) -> Option<Pressure> {
    Some(Suggested(Duration::from_millis(n)))
}

const CODES: &[Case] = &[
    // RFC 5530, in its order.
    (
        "NO [UNAVAILABLE] x",
        (Temp, Some(Unavailable)),
        (Temp, None),
    ),
    both("NO [AUTHENTICATIONFAILED] x", Creds, None),
    both("NO [AUTHORIZATIONFAILED] x", Creds, None),
    both("NO [EXPIRED] x", Creds, None),
    both("NO [PRIVACYREQUIRED] x", Perm, None),
    both("NO [CONTACTADMIN] x", Perm, None),
    both("NO [NOPERM] x", Perm, None),
    both("NO [INUSE] x", Temp, None),
    both("NO [EXPUNGEISSUED] x", Temp, None),
    both("NO [CORRUPTION] x", Temp, None),
    both("NO [SERVERBUG] x", Temp, None),
    both("NO [CLIENTBUG] x", Temp, None),
    ("NO [CANNOT] x", (Temp, None), (Perm, None)),
    ("NO [LIMIT] x", (Temp, Some(Crowded)), (Temp, None)),
    both("NO [OVERQUOTA] x", Temp, Some(OverQuota)),
    both("NO [ALREADYEXISTS] x", Temp, None),
    both("NO [NONEXISTENT] x", Perm, None),
    // RFC 2221, RFC 3501, RFC 4551, RFC 9051, and what nobody has heard of.
    (
        "NO [REFERRAL imap://ann@other/] x",
        (Perm, None),
        (Temp, None),
    ),
    both("NO [ALERT] x", Temp, None),
    both("NO [TRYCREATE] x", Temp, None),
    both("NO [PARSE] x", Temp, None),
    both("NO [NOMODSEQ] x", Temp, None),
    both("NO [UNKNOWN-CTE] x", Temp, None),
    both("NO [X-NEVER-SEEN] x", Temp, None),
    // Gmail's.
    both("NO [THROTTLED] x", Temp, Some(Throttled)),
    ("NO [WEBALERT https://x] x", (Perm, None), (Temp, None)),
];

const GMAIL: &[Case] = &[
    both(
        "NO [ALERT] Too many simultaneous connections. (Failure)",
        Temp,
        Some(Crowded),
    ),
    both(
        "NO [OVERQUOTA] Account exceeded command or bandwidth limits. abc",
        Temp,
        Some(OverQuota),
    ),
    both(
        "BYE Account exceeded command or bandwidth limits.",
        Temp,
        Some(OverQuota),
    ),
    (
        "NO [ALERT] Please log in via your web browser: https://x (Failure)",
        (Perm, None),
        (Temp, None),
    ),
    (
        "NO [WEBALERT https://x] Web login required.",
        (Perm, None),
        (Temp, None),
    ),
    (
        "NO [ALERT] Application-specific password required: https://x (Failure)",
        (Creds, None),
        (Temp, None),
    ),
    (
        "NO [ALERT] Invalid credentials (Failure)",
        (Creds, None),
        (Temp, None),
    ),
    both(
        "NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)",
        Creds,
        None,
    ),
    (
        "NO [ALERT] Your account is not enabled for IMAP use. (Failure)",
        (Perm, None),
        (Temp, None),
    ),
];

const MICROSOFT: &[Case] = &[
    both(
        "NO Request is throttled. Suggested Backoff Time: 299609 milliseconds",
        Temp,
        ms(299_609),
    ),
    both(
        "BAD Request is throttled. Suggested Backoff Time: 92 milliseconds",
        Temp,
        ms(92),
    ),
    both(
        "BYE Request is throttled. Suggested Backoff Time: 5 milliseconds",
        Temp,
        ms(5),
    ),
    both("NO Suggested Backoff Time: soon", Temp, Some(Throttled)),
    both("NO Request is throttled.", Temp, Some(Throttled)),
    both("BAD User is authenticated but not connected.", Perm, None),
    (
        "NO Server Unavailable. 15",
        (Temp, Some(Unavailable)),
        (Temp, None),
    ),
    ("NO AUTHENTICATE failed.", (Creds, None), (Temp, None)),
    ("NO LOGIN failed.", (Creds, None), (Temp, None)),
];

const OTHERS: &[Case] = &[
    // Yahoo.
    (
        "NO [UNAVAILABLE] UID FETCH Server error while fetching messages",
        (Temp, Some(Unavailable)),
        (Temp, None),
    ),
    (
        "NO [LIMIT] UID FETCH Rate limit hit.",
        (Temp, Some(Crowded)),
        (Temp, None),
    ),
    both(
        "NO [AUTHENTICATIONFAILED] LOGIN Invalid credentials",
        Creds,
        None,
    ),
    // Dovecot.
    both(
        "NO [LIMIT] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)",
        Temp,
        Some(Crowded),
    ),
    (
        "NO [UNAVAILABLE] Temporary authentication failure. [host:2026]",
        (Temp, Some(Unavailable)),
        (Temp, None),
    ),
    // Courier, Cyrus, and servers of one's own.
    both(
        "BYE [ALERT] Maximum number of connections from your IP address",
        Temp,
        Some(Crowded),
    ),
    ("NO Login failed.", (Creds, None), (Temp, None)),
    both("NO Login failed: temporary failure", Temp, None),
    ("NO no", (Creds, None), (Temp, None)),
    (
        "NO Invalid credentials, try again later",
        (Creds, None),
        (Temp, None),
    ),
    (
        "NO Wrong password; too many tries lock the account",
        (Creds, None),
        (Temp, None),
    ),
    both("NO Internal error, see the log", Temp, None),
    both("NO Authentication service timed out", Temp, None),
    both("NO The system is under maintenance", Temp, None),
];

const ENDS: &[Case] = &[
    both("BYE", Temp, None),
    both("BYE Session expired, please login again.", Temp, None),
    (
        "BYE [UNAVAILABLE] x",
        (Temp, Some(Unavailable)),
        (Temp, None),
    ),
    // It ends the connection; whether the password is right, the next log-in tells.
    both("BYE [AUTHENTICATIONFAILED] x", Temp, None),
    both("BYE [EXPIRED] x", Temp, None),
    both("BYE [CONTACTADMIN] x", Perm, None),
    both("BAD [AUTHENTICATIONFAILED] x", Temp, None),
    ("BAD what?", (Temp, None), (Temp, None)),
];

fn said(line: &str) -> Reply {
    Reply::parse(line.as_bytes()).unwrap()
}

#[test]
fn every_code_and_text_means_what_it_means() {
    for (line, at_log_in, later) in [CODES, GMAIL, MICROSOFT, OTHERS, ENDS].concat() {
        // BAD and BYE that nobody knows are no word about a password.
        let told = |during| {
            let meaning = meaning(during, &said(line));
            (meaning.nature, meaning.pressure)
        };
        assert_eq!(told(During::LogIn), at_log_in, "at the log-in: {line}");
        assert_eq!(told(During::Asking), later, "later: {line}");
    }
}

#[test]
fn each_row_of_the_table_is_there_for_something() {
    let cases = [CODES, GMAIL, MICROSOFT, OTHERS, ENDS].concat();
    for row in TABLE {
        let fits = |(line, ..): &Case| {
            let reply = said(line);
            let code = reply.code_name().unwrap_or_default();
            (row.code.is_empty() || row.code == code)
                && (row.words.is_empty() || row.words.iter().any(|word| reply.mentions(word)))
        };
        assert!(cases.iter().any(fits), "{} {:?}", row.code, row.words);
        assert_eq!(row.code, row.code.to_ascii_uppercase());
        assert!(
            row.words
                .iter()
                .all(|word| *word == word.to_ascii_lowercase())
        );
    }
}

#[test]
fn a_full_mailbox_is_no_reason_to_leave_the_upstream_alone() {
    let full = |command| Error::Refused {
        command,
        reply: said("NO [OVERQUOTA] Not enough disk space"),
    };
    assert_eq!(full("UID COPY").pressure(), None);
    assert_eq!(full("UID MOVE").pressure(), None);
    assert_eq!(full("UID FETCH").pressure(), Some(OverQuota));
    assert!(full("UID COPY").to_string().contains("the mailbox is full"));
}

#[test]
fn who_is_turned_away_before_the_log_in_stays_away_for_a_while() {
    let turned_away = |line: &str| Error::TurnedAway(said(line)).pressure();
    assert_eq!(turned_away("BYE go away"), Some(Unavailable));
    assert_eq!(turned_away("BYE Too many connections"), Some(Crowded));
    let bye = Error::Bye(said("BYE [UNAVAILABLE] x"));
    assert_eq!(
        (bye.pressure(), bye.pressure_at_log_in()),
        (None, Some(Unavailable))
    );
}

#[test]
fn the_operator_is_told_what_to_do_where_the_upstream_does_not_say_it() {
    let error = Error::Refused {
        command: "EXAMINE",
        reply: said("BAD User is authenticated but not connected."),
    };
    let shown = error.to_string();
    for words in ["not connected.", "wrong scope", "licence", "permission"] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
}

#[test]
fn an_ok_may_say_that_it_is_too_much() {
    assert!(said("OK Success [THROTTLED]").is_throttled());
    assert!(said("OK [THROTTLED] Success").is_throttled());
    assert!(!said("OK Success").is_throttled() && !said("OK [THROTTLED").is_throttled());
}
