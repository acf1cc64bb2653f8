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

/// So much of a message that nobody wants any more is read to keep the connection; beyond that a new one is cheaper.
const DRAIN: usize = 256 * 1024;

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
            let wanted = lines.saturating_mul(LINE_GUESS).saturating_add(FIRST_RANGE);
            let plan = if wanted >= body.size {
                // Most likely all of it (fetchmail reads messages by TOP n 99999999); should it be more, the rest is dropped.
                Plan::Whole
            } else {
                Plan::Ranges {
                    first: wanted.min(MOST_RANGE),
                }
            };
            (plan, Encoder::new(Some(lines)))
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
        whole: false,
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
    /// The upstream has answered a range with all of the message.
    whole: bool,
}

/// What Exchange gives for a message that it cannot convert. A client would take it for the message and delete that.
const PLACEHOLDER: &[u8] = b"Subject: Retrieval using the IMAP4 protocol failed";
/// The header lines of Exchange's placeholder fit into this.
const PLACEHOLDER_HEADER: usize = 2048;

/// Whether a message's beginning is Exchange's placeholder. Mail that only has that subject is as long as it is listed.
fn is_placeholder(start: &[u8], octets: usize, body: &pop3::Body) -> bool {
    let header = &start[..start.len().min(PLACEHOLDER_HEADER)];
    octets as u64 != u64::from(body.size) && memchr::memmem::find(header, PLACEHOLDER).is_some()
}

impl Answer<'_> {
    async fn parts(
        mut self,
        mailbox: &mut Mailbox,
        wire: &mut Wire,
        mut plan: Plan,
        mut encoder: Encoder,
    ) -> io::Result<Retrieved> {
        loop {
            let before = self.read;
            let part = self.next_part(plan);
            match self.part(mailbox, wire, part, &mut encoder).await? {
                Ok(()) if !self.begun && part == Part::Header => {
                    // No header at all: either there is none, or the upstream gives nothing for a message that it lists.
                    plan = Plan::Ranges { first: FIRST_RANGE };
                }
                Ok(()) => {
                    if self.is_done(part, before) || encoder.is_done() {
                        encoder.finish(&mut wire.out);
                        return Ok(Retrieved::Whole);
                    }
                }
                Err(error) => return Ok(self.give_up(&error, wire)),
            }
        }
    }

    /// Whether nothing follows `part`, before which so much was read.
    fn is_done(&self, part: Part, before: u64) -> bool {
        let Part::Range { offset, length } = part else {
            return true;
        };
        // A range that comes short ends the message, says RFC 3501 (6.4.5), and the listed size may be wrong either way: the end is
        // believed where both agree, or where nothing follows.
        let short = self.read - u64::from(offset) < u64::from(length);
        self.read == before || self.whole || short && self.read >= u64::from(self.body.size)
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

    /// Reads one part to its proven end, or as far as the answer needs it.
    async fn part(
        &mut self,
        mailbox: &mut Mailbox,
        wire: &mut Wire,
        part: Part,
        encoder: &mut Encoder,
    ) -> io::Result<Result<(), Error>> {
        let mut stream = match mailbox.body(self.body.uid, part).await {
            Ok(stream) => stream,
            Err(error) => return Ok(Err(error)),
        };
        self.whole |= stream.is_whole_instead();
        let mut rest = stream.octets();
        let mut is_first = self.read == 0;
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
            if is_first && part == Part::Whole && is_placeholder(&piece, stream.octets(), self.body)
            {
                return Ok(Err(Error::MessageGone));
            }
            is_first = false;
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
            rest = rest.saturating_sub(piece.len());
            if encoder.is_done() && rest > DRAIN {
                // The rest of the message is not waited for, at the price of the connection.
                return Ok(Ok(()));
            }
        }
        if !self.begun {
            if self.body.size == 0 {
                self.begin(wire);
            } else if part != Part::Header {
                // Some upstreams list a message and give an empty one for it: no client may take that for the message.
                return Ok(Err(Error::MessageGone));
            }
        }
        Ok(Ok(()))
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
