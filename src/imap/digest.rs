//! What the IMAP crate is given to read during the log-in, and what is kept of what was really said.
//!
//! It sees `+` and the tagged line of its own command, in a form that cannot be misread; untagged lines and all texts stay here.
//! Must not know: sockets, or what a command means.

use tokio::io::ReadBuf;

use super::error::Error;
use super::reply::{Capabilities, Condition, Reply, split_word};

/// See the module.
#[derive(Default)]
pub(super) struct Digest {
    /// The log-in is over: nothing is digested any more.
    pub(super) done: bool,
    handed_over: Vec<u8>,
    handed: usize,
    awaited_tag: Vec<u8>,
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

    /// Notes what a line says and leaves a digest for the IMAP crate; false where it need not see it.
    ///
    /// # Errors
    /// [`Error::Bye`]; [`Error::Protocol`] for what is no response, or an answer to something else.
    pub(super) fn note(&mut self, line: &[u8]) -> Result<bool, Error> {
        if line.first() == Some(&b'+') {
            self.handed_over.extend_from_slice(b"+ \r\n");
            return Ok(true);
        }
        let (tag, rest) = split_word(line);
        if tag == b"*" {
            self.note_untagged(rest)?;
            return Ok(false);
        }
        let reply = Reply::parse(rest).ok_or(Error::Protocol("a line that is no response"))?;
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
        match Reply::parse(rest) {
            Some(reply) if reply.condition() == Condition::Bye => Err(Error::Bye(reply)),
            _ => Ok(()),
        }
    }

    /// Notes the tag of the command that is about to leave; continuations have no space and thus no tag.
    pub(super) fn note_command(&mut self, command: &[u8]) {
        if let Some(space) = memchr::memchr(b' ', command) {
            self.awaited_tag.clear();
            self.awaited_tag.extend_from_slice(&command[..space]);
        }
    }
}
