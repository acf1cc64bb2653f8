//! Status responses (RFC 3501, 7.1): condition, response code, text. Typed, cleaned, never dropped.
//!
//! Written by hand and not by the grammar crate because upstreams put anything into the text (a non-ASCII `[ALERT]` makes
//! imap-proto 0.17 panic), and because the code decides between "wrong password" and "try again".
//! Must not know: sockets, or what a command was for.

use std::fmt;

/// The longest upstream text that is kept for logs, in characters.
const TEXT_LIMIT: usize = 200;

/// The codes that are shown where the rest of a reply is not (RFC 3501, 7.1; RFC 5530): another word might be anything.
const SHOWN_CODES: &[&str] = &[
    "ALERT",
    "AUTHENTICATIONFAILED",
    "AUTHORIZATIONFAILED",
    "CANNOT",
    "CLIENTBUG",
    "CONTACTADMIN",
    "CORRUPTION",
    "EXPIRED",
    "INUSE",
    "LIMIT",
    "NONEXISTENT",
    "NOPERM",
    "OVERQUOTA",
    "PRIVACYREQUIRED",
    "REFERRAL",
    "SERVERBUG",
    "THROTTLED",
    "UNAVAILABLE",
    "WEBALERT",
];

/// The condition of a status response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Done.
    Ok,
    /// Not done.
    No,
    /// Not understood.
    Bad,
    /// The connection ends.
    Bye,
    /// Already authenticated by the transport (greeting only).
    Preauth,
}

/// A status response: `OK [CODE args] text` and its kin.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    condition: Condition,
    /// The response code's name in upper case.
    code: Option<String>,
    /// What follows the name inside the brackets.
    args: String,
    text: String,
    /// The text repeats a secret, or may: it is there for decisions and is never shown.
    withheld: bool,
}

impl Reply {
    /// Reads what follows the tag (or `* `): `NO [UNAVAILABLE] come back later`. `None` where it is no status response.
    pub fn parse(rest: &[u8]) -> Option<Self> {
        let (word, rest) = split_word(rest);
        let condition = match word {
            w if w.eq_ignore_ascii_case(b"OK") => Condition::Ok,
            w if w.eq_ignore_ascii_case(b"NO") => Condition::No,
            w if w.eq_ignore_ascii_case(b"BAD") => Condition::Bad,
            w if w.eq_ignore_ascii_case(b"BYE") => Condition::Bye,
            w if w.eq_ignore_ascii_case(b"PREAUTH") => Condition::Preauth,
            _ => return None,
        };
        let (code, args, text) = match rest.strip_prefix(b"[") {
            Some(inside) => match memchr::memchr(b']', inside) {
                Some(end) => {
                    let (name, args) = split_word(&inside[..end]);
                    let name = String::from_utf8_lossy(name).to_ascii_uppercase();
                    // FLAGS may hold anything; only the names and numbers of codes are ever looked at.
                    (
                        Some(name),
                        String::from_utf8_lossy(args).into_owned(),
                        &inside[end + 1..],
                    )
                }
                None => (None, String::new(), rest),
            },
            None => (None, String::new(), rest),
        };
        Some(Self {
            condition,
            code,
            args,
            text: clean(text.trim_ascii()),
            withheld: false,
        })
    }

    /// A reply that the bridge gives itself in an upstream's place.
    pub fn ours(condition: Condition, code: &str, text: &str) -> Self {
        Self {
            condition,
            code: Some(code.to_owned()),
            args: String::new(),
            text: text.to_owned(),
            withheld: false,
        }
    }

    /// From now on shows no more than the condition and a well-known code.
    pub(super) fn withhold(&mut self) {
        self.withheld = true;
    }

    /// The condition.
    pub fn condition(&self) -> Condition {
        self.condition
    }

    /// Whether this is a plain success.
    pub fn is_ok(&self) -> bool {
        self.condition == Condition::Ok
    }

    /// Whether the command was not understood.
    pub fn is_bad(&self) -> bool {
        self.condition == Condition::Bad
    }

    /// The response code's name in upper case, without its arguments.
    pub fn code_name(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// The arguments of the response code `name`, where that is the code.
    pub fn code_args(&self, name: &str) -> Option<&str> {
        (self.code.as_deref() == Some(name)).then_some(self.args.as_str())
    }

    /// The human-readable text, cleaned and cut.
    pub(super) fn into_text(self) -> String {
        self.text
    }

    /// Whether the human-readable text contains `word` (lower case).
    pub fn mentions(&self, word: &str) -> bool {
        self.text.to_ascii_lowercase().contains(word)
    }

    /// The first number behind these words (lower case) in the text.
    pub(super) fn number_behind(&self, words: &str) -> Option<u64> {
        let text = self.text.to_ascii_lowercase();
        let (_, rest) = text.split_once(words)?;
        let digits = rest.trim_start_matches(|c: char| !c.is_ascii_digit());
        let end = digits.find(|c: char| !c.is_ascii_digit());
        digits[..end.unwrap_or(digits.len())].parse().ok()
    }

    /// Whether the upstream says, be it with success, that it is asked too often. Gmail: `OK Success [THROTTLED]`, its code at the end.
    pub fn is_throttled(&self) -> bool {
        self.code_name() == Some("THROTTLED") || self.text.trim_end().ends_with("[THROTTLED]")
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let condition = match self.condition {
            Condition::Ok => "OK",
            Condition::No => "NO",
            Condition::Bad => "BAD",
            Condition::Bye => "BYE",
            Condition::Preauth => "PREAUTH",
        };
        f.write_str(condition)?;
        if self.withheld {
            let shown = self.code_name().filter(|code| SHOWN_CODES.contains(code));
            if let Some(code) = shown {
                write!(f, " [{code}]")?;
            }
            return f.write_str(" (the text is withheld)");
        }
        if let Some(code) = &self.code {
            write!(f, " [{}]", clean(code.as_bytes()))?;
        }
        write!(f, " {}", self.text)
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reply({self})")
    }
}

/// Splits at the first space; the rest begins behind it.
pub(super) fn split_word(bytes: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b' ', bytes) {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => (bytes, &[]),
    }
}

/// Makes upstream text fit for a log: no control characters, no undecodable bytes, bounded.
pub(super) fn clean(text: &[u8]) -> String {
    String::from_utf8_lossy(&text[..text.len().min(TEXT_LIMIT * 4)])
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(TEXT_LIMIT)
        .collect()
}

/// The upstream's capabilities, upper-cased (RFC 3501, 7.2.1). One text: there is one for each connection that is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities(Box<str>);

impl Capabilities {
    /// Reads the words behind `CAPABILITY `.
    pub fn parse(words: &[u8]) -> Self {
        let mut list: Vec<String> = words
            .split(|b| *b == b' ')
            .filter(|w| !w.is_empty())
            .map(|w| clean(w).to_ascii_uppercase())
            // What had a control character in it is no capability.
            .filter(|w| !w.contains(' '))
            .collect();
        list.sort_unstable();
        list.dedup();
        Self(list.join(" ").into())
    }

    /// Whether `name` (upper case) is offered.
    pub fn has(&self, name: &str) -> bool {
        self.iter().any(|one| one == name)
    }

    /// All of them, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.split_ascii_whitespace()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_and_its_arguments_are_told_apart_from_the_text() {
        let reply = Reply::parse(b"no [UidValidity 17] it is [so]").unwrap();
        assert_eq!(reply.condition(), Condition::No);
        assert_eq!(reply.code_name(), Some("UIDVALIDITY"));
        assert_eq!(reply.code_args("UIDVALIDITY"), Some("17"));
        assert_eq!(reply.code_args("UIDNEXT"), None);
        assert_eq!(reply.to_string(), "NO [UIDVALIDITY] it is [so]");
    }

    #[test]
    fn text_that_is_not_ascii_is_kept_and_control_characters_are_not() {
        let reply = Reply::parse("OK [ALERT]\u{e9}t\u{e9}\x1b[31m\u{7}".as_bytes()).unwrap();
        assert_eq!(reply.code_name(), Some("ALERT"));
        assert!(!reply.to_string().contains('\x1b'));
        assert!(reply.to_string().contains("\u{e9}t\u{e9}"));
        let reply = Reply::parse(b"BAD \xff\xfe").unwrap();
        assert!(reply.is_bad());
    }

    #[test]
    fn a_long_text_is_cut() {
        let mut line = b"NO ".to_vec();
        line.resize(100_000, b'x');
        assert!(Reply::parse(&line).unwrap().to_string().len() < 300);
    }

    #[test]
    fn what_is_no_status_response_is_none() {
        assert_eq!(Reply::parse(b"12 EXISTS"), None);
        assert_eq!(Reply::parse(b"OKAY"), None);
        assert_eq!(Reply::parse(b""), None);
        assert!(Reply::parse(b"OK").unwrap().is_ok());
        assert_eq!(Reply::parse(b"OK [unclosed").unwrap().code_name(), None);
    }

    #[test]
    fn capabilities_are_found_whatever_their_case() {
        let caps = Capabilities::parse(b"IMAP4rev1 uidplus MOVE  AUTH=PLAIN ");
        assert!(caps.has("IMAP4REV1") && caps.has("UIDPLUS") && caps.has("AUTH=PLAIN"));
        assert!(!caps.has("QRESYNC"));
        assert_eq!(caps.iter().count(), 4);
    }
}
