//! One line as a command: which one, and with what arguments.
//!
//! It must not know in which state the session is nor what is in the maildrop.
//! What is accepted follows Dovecot's pop3d: the word in any case, any number of
//! spaces before the first argument, no trailing noise after a number, and
//! printable arguments of a command that takes none are ignored.

use super::response::Refusal;
use crate::maildrop::MsgNo;

/// The labels of commands in logs and metrics. Whatever a client sends, it is one
/// of these.
pub const COMMAND_NAMES: [&str; 18] = [
    "APOP", "AUTH", "CAPA", "DELE", "LIST", "NOOP", "PASS", "QUIT", "RETR", "RSET", "STAT", "STLS",
    "TOP", "UIDL", "USER", "UTF8", "LAST", UNKNOWN,
];

/// The label of everything that is no command.
pub(super) const UNKNOWN: &str = "unknown";

/// A command with arguments that could be meant, in any state.
#[derive(Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub(super) enum Command<'a> {
    Capa,
    Noop,
    Quit,
    Rset,
    Stls,
    /// RFC 6856.
    Utf8,
    /// All after the space, never empty.
    User(&'a [u8]),
    /// All after the first space, further spaces included (RFC 1939 section 7).
    Pass(&'a [u8]),
    /// Mechanism and initial response; none at all asks which there are.
    Auth(Option<(&'a [u8], Option<&'a [u8]>)>),
    Query(Query),
}

/// A command about the maildrop. It outlives its line, because it may have to
/// wait for the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Query {
    Stat,
    List(Option<MsgNo>),
    Uidl(Option<MsgNo>),
    Retr(MsgNo),
    /// With the number of body lines.
    Top(MsgNo, u32),
    Dele(MsgNo),
}

/// The label of a line. APOP and LAST are known by name so that the operator sees
/// who would like to have them; they are answered as unknown commands.
pub(super) fn name(line: &[u8]) -> &'static str {
    let (word, _) = split(line);
    let known = |name: &&&str| name.as_bytes().eq_ignore_ascii_case(word);
    COMMAND_NAMES.iter().find(known).copied().unwrap_or(UNKNOWN)
}

/// Reads a line.
///
/// # Errors
/// What to answer to a line that is no command.
pub(super) fn parse(line: &[u8]) -> Result<Command<'_>, Refusal> {
    let (_, arguments) = split(line);
    let name = name(line);
    match name {
        // A password may start with a space, but for a user name it is a slip.
        "USER" => return user(arguments),
        "PASS" => return pass(arguments),
        _ if !arguments.iter().all(|octet| (b' '..=b'~').contains(octet)) => {
            return Err(Refusal::plain(
                "The command has octets that are not printable.",
            ));
        }
        _ => {}
    }
    let arguments = arguments.trim_ascii_start();
    Ok(match name {
        "CAPA" => Command::Capa,
        "NOOP" => Command::Noop,
        "QUIT" => Command::Quit,
        "RSET" => Command::Rset,
        "STLS" => Command::Stls,
        "UTF8" => Command::Utf8,
        "AUTH" => Command::Auth(auth(arguments)),
        "STAT" => Command::Query(Query::Stat),
        "LIST" => Command::Query(Query::List(optional_number(arguments)?)),
        "UIDL" => Command::Query(Query::Uidl(optional_number(arguments)?)),
        "RETR" => Command::Query(Query::Retr(only_number(arguments)?)),
        "DELE" => Command::Query(Query::Dele(only_number(arguments)?)),
        "TOP" => Command::Query(top(arguments)?),
        _ => return Err(Refusal::plain("Unknown command.")),
    })
}

/// The command word and all after the space behind it.
fn split(line: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b' ', line) {
        Some(space) => (&line[..space], &line[space + 1..]),
        None => (line, &[]),
    }
}

fn user(arguments: &[u8]) -> Result<Command<'_>, Refusal> {
    match arguments.trim_ascii() {
        [] => Err(Refusal::plain("The user name is missing.")),
        user => Ok(Command::User(user)),
    }
}

fn pass(arguments: &[u8]) -> Result<Command<'_>, Refusal> {
    match arguments {
        [] => Err(Refusal::plain("The password is missing.")),
        password => Ok(Command::Pass(password)),
    }
}

fn auth(arguments: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let (mechanism, response) = split(arguments);
    match (mechanism, response.trim_ascii()) {
        ([], _) => None,
        (mechanism, []) => Some((mechanism, None)),
        (mechanism, response) => Some((mechanism, Some(response))),
    }
}

fn top(arguments: &[u8]) -> Result<Query, Refusal> {
    let (number, rest) = leading_number(arguments)?;
    let Some(rest) = rest.strip_prefix(b" ") else {
        return Err(Refusal::plain(
            "TOP wants a message number and a number of lines.",
        ));
    };
    let lines = rest.trim_ascii_start();
    let digits = count_digits(lines);
    if digits == 0 || digits < lines.len() {
        return Err(Refusal::plain("The number of lines is no number."));
    }
    match value(lines) {
        None => Err(Refusal::plain("The number of lines is too large.")),
        // A message has fewer lines than octets, and those are 32 bits.
        Some(lines) => Ok(Query::Top(number, u32::try_from(lines).unwrap_or(u32::MAX))),
    }
}

fn optional_number(arguments: &[u8]) -> Result<Option<MsgNo>, Refusal> {
    match arguments {
        [] => Ok(None),
        arguments => only_number(arguments).map(Some),
    }
}

fn only_number(arguments: &[u8]) -> Result<MsgNo, Refusal> {
    match leading_number(arguments)? {
        (number, []) => Ok(number),
        _ => Err(Refusal::plain("There is noise after the message number.")),
    }
}

/// A message number and what follows it.
fn leading_number(arguments: &[u8]) -> Result<(MsgNo, &[u8]), Refusal> {
    let (digits, rest) = arguments.split_at(count_digits(arguments));
    if arguments.is_empty() {
        return Err(Refusal::plain("The message number is missing."));
    }
    if digits.is_empty() {
        return Err(Refusal::plain("The message number is no number."));
    }
    let number = value(digits).and_then(|value| u32::try_from(value).ok());
    match number.and_then(MsgNo::new) {
        Some(number) => Ok((number, rest)),
        None => Err(no_such_message()),
    }
}

/// For numbers that no maildrop has, too.
pub(super) const fn no_such_message() -> Refusal {
    Refusal::plain("There is no such message.")
}

fn count_digits(text: &[u8]) -> usize {
    text.iter()
        .take_while(|octet| octet.is_ascii_digit())
        .count()
}

fn value(digits: &[u8]) -> Option<u64> {
    str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests;
