//! What is kept of what an upstream says before and during the log-in, and what the IMAP crate is given to read of it.
//!
//! Where the crate runs a command it sees `+` and the tagged line of that command, in a form that cannot be misread; untagged lines and
//! all texts stay here. Where a log-in is done by hand (`login`) it sees nothing.
//! Must not know: sockets, or what a command means.

use std::collections::HashSet;

use tokio::io::ReadBuf;
use tracing::info;
use zeroize::Zeroizing;

use super::error::Error;
use super::reply::{Capabilities, Condition, Reply, split_word};

/// More lines that are no answer are not read before the end of a log-in: a greeting or a list of capabilities is a handful.
const MOST_LINES: usize = 100;

/// What a log-in sends and no reply may show, in every form in which an upstream may repeat it.
#[derive(Default)]
pub(super) struct Secrets {
    /// In lower case, as upstreams change it.
    pub(super) forms: Vec<Zeroizing<Vec<u8>>>,
    /// So many bytes of one of them in a row are taken for a piece of it: upstreams cut what they repeat.
    pub(super) piece: usize,
}

/// What a line was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Noted {
    /// Nothing that the command under way waits for.
    Aside,
    /// The upstream asks for more (`+`).
    Asked,
    /// The tagged answer.
    Answered,
}

/// See the module.
#[derive(Default)]
pub(super) struct Digest {
    /// The log-in is over: nothing is digested any more.
    pub(super) done: bool,
    handed_over: Vec<u8>,
    handed: usize,
    awaited_tag: Vec<u8>,
    /// The tag was given, and is not to be read from what is sent.
    by_hand: bool,
    /// None before the log-in.
    secrets: Secrets,
    /// How many were noted.
    lines: usize,
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
    pub(super) fn keep_secret(&mut self, secrets: Secrets) {
        self.secrets = secrets;
        for form in &mut self.secrets.forms {
            form.make_ascii_lowercase();
        }
    }

    /// The log-in is over.
    pub(super) fn finish(&mut self) {
        self.done = true;
        self.secrets = Secrets::default();
    }

    /// From here on a command runs that does not leave through the IMAP crate, so that its tag has to be given. While that is empty any
    /// answer is one that nobody asked for.
    pub(super) fn begin_by_hand(&mut self, tag: &str) {
        self.by_hand = true;
        self.capabilities = None;
        self.awaited_tag.clear();
        self.awaited_tag.extend_from_slice(tag.as_bytes());
    }

    /// Reads a reply; its text is withheld where the line, uncut, has a piece of a secret in it, and always for BAD, which is where
    /// upstreams repeat a command.
    fn parse(&self, rest: &[u8]) -> Option<Reply> {
        let mut reply = Reply::parse(rest)?;
        if !self.secrets.forms.is_empty() && (reply.is_bad() || self.has_secret(rest)) {
            reply.withhold();
        }
        Some(reply)
    }

    /// Whether a piece of a secret is in it.
    pub(super) fn has_secret(&self, line: &[u8]) -> bool {
        let Secrets { forms, piece } = &self.secrets;
        let piece = (*piece).max(1);
        let line = Zeroizing::new(line.to_ascii_lowercase());
        let pieces: HashSet<&[u8]> = line.windows(piece).collect();
        forms.iter().any(|form| {
            if form.len() < piece {
                !form.is_empty() && memchr::memmem::find(&line, form).is_some()
            } else {
                form.windows(piece).any(|piece| pieces.contains(piece))
            }
        })
    }

    /// Notes what a line says and leaves a digest for the IMAP crate; false where it need not see it.
    ///
    /// # Errors
    /// As [`Self::note`].
    pub(super) fn digest(&mut self, line: &[u8]) -> Result<bool, Error> {
        match self.note(line)? {
            Noted::Aside => return Ok(false),
            Noted::Asked => self.handed_over.extend_from_slice(b"+ \r\n"),
            Noted::Answered => {
                let condition = self.tagged.as_ref().map(Reply::condition);
                self.handed_over.extend_from_slice(&self.awaited_tag);
                self.handed_over.extend_from_slice(match condition {
                    Some(Condition::Ok) => b" OK done\r\n",
                    Some(Condition::Bad) => b" BAD bad\r\n",
                    _ => b" NO no\r\n",
                });
            }
        }
        Ok(true)
    }

    /// Notes what a line says.
    ///
    /// # Errors
    /// [`Error::Bye`]; [`Error::Protocol`] for what is no response, or an answer to something else; [`Error::TooLong`] where there is no
    /// end of lines that are no answer.
    pub(super) fn note(&mut self, line: &[u8]) -> Result<Noted, Error> {
        self.lines += 1;
        if self.lines > MOST_LINES {
            return Err(Error::TooLong("what the upstream says during the log-in"));
        }
        if line.first() == Some(&b'+') {
            // Before the log-in they may be others.
            self.capabilities = None;
            return Ok(Noted::Asked);
        }
        let (tag, rest) = split_word(line);
        if tag == b"*" {
            self.note_untagged(rest)?;
            return Ok(Noted::Aside);
        }
        let reply = self
            .parse(rest)
            .ok_or(Error::Protocol("a line that is no response"))?;
        if tag.is_empty() || tag != self.awaited_tag {
            // An answer to a command that was never sent is somebody else's (RFC 9051, 11.3: response injection).
            return Err(Error::Protocol("an answer that nobody asked for"));
        }
        if let Some(words) = reply.code_args("CAPABILITY") {
            self.capabilities = Some(Capabilities::parse(words.as_bytes()));
        }
        self.tagged = Some(reply);
        Ok(Noted::Answered)
    }

    fn note_untagged(&mut self, rest: &[u8]) -> Result<(), Error> {
        let (word, words) = split_word(rest);
        if word.eq_ignore_ascii_case(b"CAPABILITY") {
            self.capabilities = Some(Capabilities::parse(words));
        }
        match self.parse(rest) {
            Some(reply) if reply.condition() == Condition::Bye => Err(Error::Bye(reply)),
            // RFC 3501, 7.1: for a person. The tagged line's is in the error or needs none.
            Some(reply) if reply.code_name() == Some("ALERT") => {
                info!(alert = %reply, "what the upstream wants to be known at the log-in");
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Notes the tag of the command of the IMAP crate's that is about to leave; continuations have no space and thus no tag.
    pub(super) fn note_command(&mut self, command: &[u8]) {
        if !self.by_hand
            && let Some(space) = memchr::memchr(b' ', command)
        {
            self.awaited_tag.clear();
            self.awaited_tag.extend_from_slice(&command[..space]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A digest of an answer to a log-in whose password was `secret`.
    fn digest(secret: &str) -> Digest {
        let mut digest = Digest::default();
        digest.note_command(b"A1 LOGIN");
        digest.keep_secret(Secrets {
            forms: vec![Zeroizing::new(secret.as_bytes().to_vec())],
            piece: 4,
        });
        digest
    }

    /// What is shown of an answer to it.
    fn shown(secret: &str, line: &str) -> String {
        let mut digest = digest(secret);
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
    fn what_is_sent_by_hand_is_never_taken_for_a_tag() {
        let mut digest = Digest::default();
        digest.begin_by_hand("");
        assert!(digest.note(b"S1 OK welcome").is_err());
        assert!(digest.note(b" OK welcome").is_err(), "no tag is no answer");
        digest.begin_by_hand("S1");
        digest.note_command(b"my password\r\n");
        assert!(digest.note(b"my OK welcome").is_err());
        assert_eq!(digest.note(b"+ go on").unwrap(), Noted::Asked);
        assert_eq!(digest.note(b"S1 OK welcome").unwrap(), Noted::Answered);
    }

    #[test]
    fn lines_without_end_are_not_read_for_ever() {
        for line in [&b"* OK still here"[..], b"+ still here"] {
            let mut digest = digest("Secret");
            let trouble = (0..1000).find_map(|_| digest.note(line).err());
            assert!(matches!(trouble, Some(Error::TooLong(_))), "{trouble:?}");
        }
    }
}
