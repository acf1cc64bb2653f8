//! RETR and TOP: from the upstream's literal to the client's socket, a piece at a time.
//!
//! The final `.` is written only after the upstream has confirmed the whole body. What breaks off after something was sent is cut;
//! what breaks off before is refused.
//! Must not know: listings, log-ins.

use std::io;

use tracing::warn;

use super::mailbox::Mailbox;
use super::refusals;
use super::wire::{SEND_AT, Wire};
use crate::imap::{Error, Part};
use crate::pop3::body::Encoder;
use crate::pop3::{self, Session};

/// The first range that TOP asks for: most headers and a few lines fit.
const FIRST_RANGE: u32 = 8 * 1024;
/// What a body line is taken to be when the first range is chosen.
const LINE_GUESS: u32 = 80;
/// The largest range; TOP of a hundred thousand lines is read in pieces of this size.
const MOST_RANGE: u32 = 512 * 1024;

/// A piece is encoded so much at a time, so that what waits to be sent stays small.
const SLICE: usize = 16 * 1024;

/// What became of a RETR or TOP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retrieved {
    /// Everything was written.
    Whole,
    /// The client was told `-ERR`.
    Refused,
    /// A part was sent and the rest cannot be had: the connection must be reset.
    Cut,
}

/// Answers RETR or TOP.
///
/// # Errors
/// Only the client's connection's; the upstream's trouble is in [`Retrieved`].
pub(super) async fn retrieve(
    session: &Session,
    body: &pop3::Body,
    mailbox: &mut Mailbox,
    wire: &mut Wire,
) -> io::Result<Retrieved> {
    let answer = Answer {
        session,
        body,
        mark: wire.out.len(),
        begun: false,
        sent: false,
    };
    match body.lines {
        None => {
            answer
                .parts(mailbox, wire, |_| Part::Whole, Encoder::new(None))
                .await
        }
        // Nothing but the header is asked for.
        Some(0) => {
            answer
                .parts(mailbox, wire, |_| Part::Header, Encoder::new(Some(0)))
                .await
        }
        Some(lines) => {
            let first = lines
                .saturating_mul(LINE_GUESS)
                .saturating_add(FIRST_RANGE)
                .min(MOST_RANGE);
            let ranges = move |offset: u64| {
                // Doubles with what was read, so that the round trips stay few.
                let length = u32::try_from(offset)
                    .unwrap_or(MOST_RANGE)
                    .clamp(first, MOST_RANGE);
                Part::Range {
                    offset: u32::try_from(offset).unwrap_or(u32::MAX),
                    length,
                }
            };
            answer
                .parts(mailbox, wire, ranges, Encoder::new(Some(lines)))
                .await
        }
    }
}

struct Answer<'a> {
    session: &'a Session,
    body: &'a pop3::Body,
    /// Where this answer starts in the octets waiting to be sent.
    mark: usize,
    begun: bool,
    sent: bool,
}

impl Answer<'_> {
    async fn parts(
        mut self,
        mailbox: &mut Mailbox,
        wire: &mut Wire,
        part: impl Fn(u64) -> Part,
        mut encoder: Encoder,
    ) -> io::Result<Retrieved> {
        let mut offset: u64 = 0;
        loop {
            let part = part(offset);
            match self.part(mailbox, wire, part, &mut encoder).await? {
                Ok((octets, whole)) => {
                    offset += octets;
                    let short =
                        matches!(part, Part::Range { length, .. } if octets < u64::from(length));
                    if whole || short || encoder.is_done() {
                        encoder.finish(&mut wire.out);
                        return Ok(Retrieved::Whole);
                    }
                }
                Err(error) => return Ok(self.give_up(&error, wire)),
            }
        }
    }

    /// Reads one part to its proven end; gives its octets and whether nothing follows it.
    async fn part(
        &mut self,
        mailbox: &mut Mailbox,
        wire: &mut Wire,
        part: Part,
        encoder: &mut Encoder,
    ) -> io::Result<Result<(u64, bool), Error>> {
        let mut stream = match mailbox.body(self.body.uid, part).await {
            Ok(stream) => stream,
            Err(error) => return Ok(Err(error)),
        };
        let whole = !matches!(part, Part::Range { .. }) || stream.is_whole_instead();
        let mut octets = 0;
        loop {
            let piece = match stream.chunk().await {
                Ok(Some(piece)) => piece,
                Ok(None) => break,
                Err(error) => return Ok(Err(error)),
            };
            if !self.begun {
                self.begun = true;
                self.session.body_starts(self.body, &mut wire.out);
            }
            octets += piece.len() as u64;
            for slice in piece.chunks(SLICE) {
                encoder.encode(slice, &mut wire.out);
                if wire.out.len() >= SEND_AT {
                    wire.send().await?;
                    self.sent = true;
                }
            }
            if encoder.is_done() && stream.is_whole_instead() {
                // The upstream sends all of the message where a part was asked for: the rest is not waited for.
                return Ok(Ok((octets, true)));
            }
        }
        if !self.begun {
            if self.body.size > 0 && part != Part::Header {
                // Some upstreams list a message and give an empty one for it: no client may take that for the message.
                return Ok(Err(Error::MessageGone));
            }
            self.begun = true;
            self.session.body_starts(self.body, &mut wire.out);
        }
        Ok(Ok((octets, whole)))
    }

    fn give_up(&self, error: &Error, wire: &mut Wire) -> Retrieved {
        warn!(uid = self.body.uid.get(), %error, sent = self.sent, "a message could not be read to its end");
        if self.sent {
            return Retrieved::Cut;
        }
        wire.out.truncate(self.mark);
        self.session
            .body_refused(&refusals::of(error), &mut wire.out);
        Retrieved::Refused
    }
}
