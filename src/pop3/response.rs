//! What the server says: the one place that spells `+OK` and `-ERR [CODE]`.
//!
//! It must not know commands or states. Texts may come from elsewhere (an
//! upstream's words), so that nothing in them can end a line, pass for a response
//! code or make a line too long is seen to here.

use std::borrow::Cow;
use std::fmt;
use std::io::Write;

/// The longest answer line in octets, CRLF included (RFC 2449 section 4).
const MAX_ANSWER: usize = 512;

/// The extended response codes that the bridge uses (RFC 2449 section 8, RFC 3206).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// `[SYS/TEMP]`: not this client's fault and likely to pass.
    SysTemp,
    /// `[SYS/PERM]`: not this client's credentials, and somebody has to do something.
    SysPerm,
    /// `[AUTH]`: what this client itself presented is wrong.
    Auth,
    /// `[IN-USE]`: another session holds the maildrop.
    InUse,
    /// `[LOGIN-DELAY]`: logged in too recently.
    LoginDelay,
}

impl Code {
    /// The code as it stands between the brackets.
    pub const fn as_str(self) -> &'static str {
        match self {
            Code::SysTemp => "SYS/TEMP",
            Code::SysPerm => "SYS/PERM",
            Code::Auth => "AUTH",
            Code::InUse => "IN-USE",
            Code::LoginDelay => "LOGIN-DELAY",
        }
    }
}

/// A `-ERR` in the making.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What a program goes by.
    pub code: Option<Code>,
    /// What a person goes by. Never the client's own input.
    pub text: Cow<'static, str>,
}

impl Refusal {
    /// A refusal with a code.
    pub fn new(code: Code, text: impl Into<Cow<'static, str>>) -> Self {
        let (code, text) = (Some(code), text.into());
        Self { code, text }
    }

    /// A refusal without a code: the client said something that is no use.
    pub const fn plain(text: &'static str) -> Self {
        Self {
            code: None,
            text: Cow::Borrowed(text),
        }
    }
}

/// Whether an answer, or the start of one, is a `+OK` or a `+ ` challenge: the
/// outcome of a command for metrics.
pub fn is_ok(answer: &[u8]) -> bool {
    answer.first() == Some(&b'+')
}

/// `+OK text`.
pub(super) fn ok(text: impl fmt::Display, out: &mut Vec<u8>) {
    line(format_args!("+OK {text}"), out);
}

/// `-ERR [CODE] text`, the text made fit for one line.
pub(super) fn refuse(refusal: &Refusal, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(b"-ERR ");
    if let Some(code) = refusal.code {
        out.extend_from_slice(format!("[{}] ", code.as_str()).as_bytes());
    }
    let room = MAX_ANSWER - 2 - (out.len() - start);
    let text = refusal.text.chars().take(room).enumerate();
    out.extend(text.map(|(position, char)| match u8::try_from(char) {
        // It would be read as a response code that nobody has meant.
        Ok(b'[') if position == 0 && refusal.code.is_none() => b'(',
        Ok(octet @ b' '..=b'~') => octet,
        _ => b'?',
    }));
    out.extend_from_slice(b"\r\n");
}

/// The only line for a client that is not served at all, in the place of the greeting.
pub fn turn_away(refusal: &Refusal, out: &mut Vec<u8>) {
    refuse(refusal, out);
}

/// `+ challenge` (RFC 5034 section 4); the challenge is in base64 already.
pub(super) fn challenge(base64: &str, out: &mut Vec<u8>) {
    line(format_args!("+ {base64}"), out);
}

/// One line of a multi-line answer. For our own texts: it must not start with a
/// dot.
pub(super) fn line(text: fmt::Arguments<'_>, out: &mut Vec<u8>) {
    // Writing to a Vec cannot fail.
    let _ = out.write_fmt(text);
    out.extend_from_slice(b"\r\n");
}

/// A number of a list. Not by `format_args!`, because there may be 100,000 of them.
pub(super) fn number(number: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// The end of a multi-line answer.
pub(super) fn end(out: &mut Vec<u8>) {
    out.extend_from_slice(b".\r\n");
}

#[cfg(test)]
mod tests;
