//! What the IMAP crate is given to read during the log-in, and what is kept of what was really said.
//!
//! It sees `+` and the tagged line of its own command, in a form that cannot be misread; untagged lines and all texts stay here.
//! Must not know: sockets, or what a command means.

use std::collections::HashSet;

use tokio::io::ReadBuf;
use zeroize::Zeroizing;

use super::error::Error;
use super::reply::{Capabilities, Condition, Reply, split_word};

/// So many bytes of a secret in a row are taken for a piece of it: upstreams cut what they repeat.
const PIECE: usize = 4;

/// See the module.
#[derive(Default)]
pub(super) struct Digest {
    /// The log-in is over: nothing is digested any more.
    pub(super) done: bool,
    handed_over: Vec<u8>,
    handed: usize,
    awaited_tag: Vec<u8>,
    /// What the log-in sends, in every form in which an upstream may repeat it, in lower case. None before the log-in.
    secrets: Vec<Zeroizing<Vec<u8>>>,
    /// How often the upstream asked for more (`+`) since the last command.
    pub(super) asked: u32,
    pub(super) tagged: Option<Reply>,
    pub(super) capabilities: Option<Capabilities>,
    /// The typed error behind the `io::Error` that the IMAP crate was given.
    pub(super) trouble: Option<Error>,
}

impl Digest {
    /// Whether everything so far was read, so that another line is needed.
    pub(super) fn is_read(&self) -> bool {
        self.handed == self.handed_over.len()
    }

    /// Gives what is there and fits.
    pub(super) fn read(&mut self, buf: &mut ReadBuf<'_>) {
        let rest = &self.handed_over[self.handed..];
        let n = rest.len().min(buf.remaining());
        buf.put_slice(&rest[..n]);
        self.handed += n;
        if self.is_read() {
            self.handed_over.clear();
            self.handed = 0;
        }
    }

    /// From here on the log-in runs: no reply shows any of `secrets`.
    pub(super) fn keep_secret(&mut self, secrets: Vec<Zeroizing<Vec<u8>>>) {
        self.secrets = secrets;
        for secret in &mut self.secrets {
            secret.make_ascii_lowercase();
        }
    }

    /// The log-in is over.
    pub(super) fn finish(&mut self) {
        self.done = true;
        self.secrets = Vec::new();
    }

    /// Reads a reply; its text is withheld where the line, uncut, has a piece of a secret in it, and always for BAD, which is where
    /// upstreams repeat a command.
    fn parse(&self, rest: &[u8]) -> Option<Reply> {
        let mut reply = Reply::parse(rest)?;
        if !self.secrets.is_empty() && (reply.is_bad() || self.has_secret(rest)) {
            reply.withhold();
        }
        Some(reply)
    }

    fn has_secret(&self, line: &[u8]) -> bool {
        let line = Zeroizing::new(line.to_ascii_lowercase());
        let pieces: HashSet<&[u8]> = line.windows(PIECE).collect();
        self.secrets.iter().any(|secret| {
            if secret.len() < PIECE {
                !secret.is_empty() && memchr::memmem::find(&line, secret).is_some()
            } else {
                secret.windows(PIECE).any(|piece| pieces.contains(piece))
            }
        })
    }

    /// Notes what a line says and leaves a digest for the IMAP crate; false where it need not see it.
    ///
    /// # Errors
    /// [`Error::Bye`]; [`Error::Protocol`] for what is no response, or an answer to something else.
    pub(super) fn note(&mut self, line: &[u8]) -> Result<bool, Error> {
        if line.first() == Some(&b'+') {
            self.asked = self.asked.saturating_add(1);
            self.handed_over.extend_from_slice(b"+ \r\n");
            return Ok(true);
        }
        let (tag, rest) = split_word(line);
        if tag == b"*" {
            self.note_untagged(rest)?;
            return Ok(false);
        }
        let reply = self
            .parse(rest)
            .ok_or(Error::Protocol("a line that is no response"))?;
        if tag != self.awaited_tag {
            // An answer to a command that was never sent is somebody else's (RFC 9051, 11.3: response injection).
            return Err(Error::Protocol("an answer that nobody asked for"));
        }
        if let Some(words) = reply.code_args("CAPABILITY") {
            self.capabilities = Some(Capabilities::parse(words.as_bytes()));
        }
        self.handed_over.extend_from_slice(tag);
        self.handed_over.extend_from_slice(match reply.condition() {
            Condition::Ok => b" OK done\r\n",
            Condition::Bad => b" BAD bad\r\n",
            _ => b" NO no\r\n",
        });
        self.tagged = Some(reply);
        Ok(true)
    }

    fn note_untagged(&mut self, rest: &[u8]) -> Result<(), Error> {
        let (word, words) = split_word(rest);
        if word.eq_ignore_ascii_case(b"CAPABILITY") {
            self.capabilities = Some(Capabilities::parse(words));
        }
        match self.parse(rest) {
            Some(reply) if reply.condition() == Condition::Bye => Err(Error::Bye(reply)),
            _ => Ok(()),
        }
    }

    /// Notes the tag of the command that is about to leave; continuations have no space and thus no tag.
    pub(super) fn note_command(&mut self, command: &[u8]) {
        if let Some(space) = memchr::memchr(b' ', command) {
            self.asked = 0;
            self.awaited_tag.clear();
            self.awaited_tag.extend_from_slice(&command[..space]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is shown of an answer to a log-in whose password was `secret`.
    fn shown(secret: &str, line: &str) -> String {
        let mut digest = Digest::default();
        digest.note_command(b"A1 LOGIN");
        digest.keep_secret(vec![Zeroizing::new(secret.as_bytes().to_vec())]);
        let noted = digest.note(line.as_bytes());
        match (noted, digest.tagged) {
            (Err(error), _) => error.to_string(),
            (_, reply) => reply.unwrap().to_string(),
        }
    }

    #[test]
    fn a_text_with_a_piece_of_the_password_in_it_is_withheld() {
        let withheld = "NO [LIMIT] (the text is withheld)";
        assert_eq!(shown("Secret", "A1 NO [LIMIT] not \"secret\""), withheld);
        assert_eq!(shown("Secret", "A1 NO [LIMIT] LOGIN x secr"), withheld);
        assert_eq!(shown("ab", "A1 NO [LIMIT] cabs"), withheld);
        assert_eq!(shown("Secret", "A1 NO [LIMIT] busy"), "NO [LIMIT] busy");
        assert_eq!(shown("", "A1 NO [LIMIT] busy"), "NO [LIMIT] busy");
        assert_eq!(
            shown("Secret", "A1 NO [SECRET] x"),
            "NO (the text is withheld)"
        );
        let bye = shown("Secret", "* BYE Secret");
        assert!(bye.ends_with("BYE (the text is withheld)"), "{bye}");
        let far = format!("A1 NO {}secret", "x".repeat(5000));
        assert_eq!(shown("Secret", &far), "NO (the text is withheld)");
    }

    #[test]
    fn the_text_of_bad_is_withheld_during_the_log_in_only() {
        assert_eq!(shown("Secret", "A1 BAD odd"), "BAD (the text is withheld)");
        let mut digest = Digest::default();
        digest.note_command(b"A1 CAPABILITY");
        digest.note(b"A1 BAD odd").unwrap();
        assert_eq!(digest.tagged.unwrap().to_string(), "BAD odd");
    }

    #[test]
    fn a_continuation_before_the_command_does_not_count_as_asking() {
        let mut digest = Digest::default();
        digest.note_command(b"A1 CAPABILITY");
        digest.note(b"+ ").unwrap();
        digest.note_command(b"A2 AUTHENTICATE PLAIN");
        assert_eq!(digest.asked, 0);
        digest.note(b"+ ").unwrap();
        digest.note_command(b"AHgAeQ==");
        assert_eq!(digest.asked, 1);
    }
}
