//! RETR and TOP: from the upstream's literal to the client's socket, a piece at a time.
//!
//! The final `.` is written only after the upstream has confirmed the whole body. What breaks off after something was sent is cut;
//! what breaks off before is refused.
//! Must not know: listings, log-ins.

use std::io;

use bytes::Buf as _;
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
    let (plan, encoder) = match body.lines {
        None => (Plan::Whole, Encoder::new(None)),
        // Nothing but the header is asked for.
        Some(0) => (Plan::Header, Encoder::new(Some(0))),
        Some(lines) => {
            let guess = lines.saturating_mul(LINE_GUESS);
            let first = guess.saturating_add(FIRST_RANGE).min(MOST_RANGE);
            (Plan::Ranges { first }, Encoder::new(Some(lines)))
        }
    };
    let answer = Answer {
        session,
        body,
        mark: wire.out.len(),
        begun: false,
        sent: false,
        read: 0,
        after_cr: false,
    };
    answer.parts(mailbox, wire, plan, encoder).await
}

/// In which parts a message is asked for.
#[derive(Clone, Copy)]
enum Plan {
    Whole,
    Header,
    /// From the start on, the first so long; as far as the answer needs it.
    Ranges {
        first: u32,
    },
}

struct Answer<'a> {
    session: &'a Session,
    body: &'a pop3::Body,
    /// Where this answer starts in the octets waiting to be sent.
    mark: usize,
    begun: bool,
    sent: bool,
    /// Octets of the message that were read.
    read: u64,
    /// Whether the last one of them is a CR.
    after_cr: bool,
}

impl Answer<'_> {
    async fn parts(
        mut self,
        mailbox: &mut Mailbox,
        wire: &mut Wire,
        plan: Plan,
        mut encoder: Encoder,
    ) -> io::Result<Retrieved> {
        loop {
            let before = self.read;
            let part = self.next_part(plan);
            match self.part(mailbox, wire, part, &mut encoder).await? {
                Ok(whole) => {
                    let is_range = matches!(part, Part::Range { .. });
                    // A range that comes short ends the message, says RFC 3501 (6.4.5). What is less than the listed size is asked
                    // for all the same: the end of the message is where nothing follows.
                    let ended = self.read == before || self.read >= u64::from(self.body.size);
                    if whole || !is_range || ended || encoder.is_done() {
                        encoder.finish(&mut wire.out);
                        return Ok(Retrieved::Whole);
                    }
                }
                Err(error) => return Ok(self.give_up(&error, wire)),
            }
        }
    }

    fn next_part(&self, plan: Plan) -> Part {
        let first = match plan {
            Plan::Whole => return Part::Whole,
            Plan::Header => return Part::Header,
            Plan::Ranges { first } => first,
        };
        // Dovecot 2.4 answers a range that begins with the LF of a CRLF with the CR as well: so no range begins there.
        let offset = self.read - u64::from(self.after_cr);
        let offset = u32::try_from(offset).unwrap_or(u32::MAX);
        // Doubles with what was read, so that the round trips stay few.
        let length = offset.clamp(first, MOST_RANGE);
        Part::Range { offset, length }
    }

    /// Reads one part to its proven end; whether it was the whole message although a range was asked for.
    async fn part(
        &mut self,
        mailbox: &mut Mailbox,
        wire: &mut Wire,
        part: Part,
        encoder: &mut Encoder,
    ) -> io::Result<Result<bool, Error>> {
        let mut stream = match mailbox.body(self.body.uid, part).await {
            Ok(stream) => stream,
            Err(error) => return Ok(Err(error)),
        };
        let whole_instead = stream.is_whole_instead();
        let mut repeats_cr = self.after_cr && matches!(part, Part::Range { .. });
        loop {
            let mut piece = match stream.chunk().await {
                Ok(Some(piece)) => piece,
                Ok(None) => break,
                Err(error) => return Ok(Err(error)),
            };
            if repeats_cr {
                if piece.first() != Some(&b'\r') {
                    return Ok(Err(Error::Inconsistent(
                        "a message changed while it was read",
                    )));
                }
                piece.advance(1);
                repeats_cr = false;
            }
            let Some(last) = piece.last() else { continue };
            self.after_cr = *last == b'\r';
            self.read += piece.len() as u64;
            self.begin(wire);
            for slice in piece.chunks(SLICE) {
                encoder.encode(slice, &mut wire.out);
                if wire.out.len() >= SEND_AT {
                    wire.send().await?;
                    self.sent = true;
                }
            }
            if encoder.is_done() && whole_instead {
                // The rest of the message is not waited for.
                return Ok(Ok(true));
            }
        }
        if !self.begun {
            if self.body.size > 0 && part != Part::Header {
                // Some upstreams list a message and give an empty one for it: no client may take that for the message.
                return Ok(Err(Error::MessageGone));
            }
            self.begin(wire);
        }
        Ok(Ok(whole_instead))
    }

    fn begin(&mut self, wire: &mut Wire) {
        if !self.begun {
            self.begun = true;
            self.session.body_starts(self.body, &mut wire.out);
        }
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
