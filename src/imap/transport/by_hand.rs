//! A log-in that the IMAP crate does not do: what is sent, and what is heard of the answer.
//!
//! Must not know: what is sent.

use bytes::Bytes;
use tokio::io::AsyncWriteExt as _;

use super::{Line, Transport};
use crate::imap::digest::Noted;
use crate::imap::error::Error;
use crate::imap::reply::Reply;

/// What an upstream says to a log-in.
#[derive(Debug)]
pub(in crate::imap) enum Heard {
    /// `+`, and what was said with it.
    Asked(Bytes),
    /// The tagged line.
    Answered(Reply),
}

impl Transport {
    /// Begins a command of which all parts are sent by [`Self::send_by_hand`]. What was said before counts for nothing, and an answer
    /// that is here already is one that nobody asked for.
    ///
    /// # Errors
    /// As [`Self::answer_by_hand`].
    pub(in crate::imap) fn begin_by_hand(&mut self, tag: &str) -> Result<(), Error> {
        self.login.begin_by_hand("");
        while let Some(line) = self.buffered_line()? {
            self.note(&line)?;
        }
        self.login.begin_by_hand(tag);
        Ok(())
    }

    /// Sends a part of the command; the memory it was in here is wiped.
    ///
    /// # Errors
    /// [`Error::Lost`].
    pub(in crate::imap) async fn send_by_hand(&mut self, octets: &[u8]) -> Result<(), Error> {
        self.write_all(octets).await?;
        self.flush().await?;
        Ok(())
    }

    /// Waits until the upstream asks for more or has answered; untagged lines before that are noted.
    ///
    /// # Errors
    /// As [`Self::line`]; [`Error::Bye`], [`Error::Protocol`] and [`Error::TooLong`] for what has no place in a log-in.
    pub(in crate::imap) async fn answer_by_hand(&mut self) -> Result<Heard, Error> {
        loop {
            let line = self.line().await?;
            match self.note(&line)? {
                Noted::Aside => {}
                Noted::Asked => {
                    let start = line.content.len().min(1);
                    return Ok(Heard::Asked(line.content.slice(start..)));
                }
                Noted::Answered => {
                    let reply = self.take_tagged();
                    let reply = reply.ok_or(Error::Protocol("no tagged answer"))?;
                    return Ok(Heard::Answered(reply));
                }
            }
        }
    }

    /// Whether a piece of what the log-in has sent is in it.
    pub(in crate::imap) fn has_secret(&self, text: &[u8]) -> bool {
        self.login.has_secret(text)
    }

    fn note(&mut self, line: &Line) -> Result<Noted, Error> {
        if line.literal.is_some() {
            return Err(Error::Protocol("a literal before the log-in"));
        }
        self.login.note(&line.content)
    }
}
