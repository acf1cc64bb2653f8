//! RETR and TOP: from the upstream's literal to the client's socket, a piece at a time.
//!
//! The final `.` is written only after the upstream has confirmed the whole body or, for TOP, has given all the lines wanted of a
//! message that it has named. What breaks off after something was sent is cut;
//! what breaks off before is refused.
//! Must not know: listings, log-ins.

use std::io;

use bytes::{Buf as _, BytesMut};
use tracing::{debug, warn};

use super::mailbox::Mailbox;
use super::placeholder;
use super::refusals;
use super::trouble::Trouble;
use super::wire::{SEND_AT, Wire};
use crate::imap::{Error, Part};
use crate::pop3::body::Encoder;
use crate::pop3::{self, Session};

/// The first range that TOP asks for: most headers and a few lines fit.
const FIRST_RANGE: u32 = 8 * 1024;
/// What a body line is taken to be when the first range is chosen.
const LINE_GUESS: u32 = 80;
/// The longest first range.
const MOST_RANGE: u32 = 512 * 1024;
/// Each range is so many times as long as what was read before, so that what is read twice stays below half of what is asked for.
const GROWTH: u32 = 4;

/// So much of a message that nobody wants any more is read to keep the connection; beyond that a new one is cheaper.
const DRAIN: usize = 256 * 1024;

/// No program looks at so many lines of a message: whoever asks for them wants the message. fetchmail asks for 99,999,999.
const ALL_LINES: u32 = 1_000_000;

/// A piece is encoded so much at a time, so that what waits to be sent stays small.
const SLICE: usize = 16 * 1024;

/// What became of a RETR or TOP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retrieved {
    /// Everything that was asked for was written.
    Whole {
        /// The message's octets as LIST counts them, if the client has it now: all of it, and because it wanted it and not a look at it.
        complete: Option<u64>,
    },
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
    let header = mailbox
        .header_of(&body.item)
        .map(|line| format!("{line}\r\n"));
    let extra = header.as_ref().map_or(0, String::len);
    let extra = u32::try_from(extra).unwrap_or(u32::MAX);
    let size = body.item.size.saturating_sub(extra);
    let (plan, encoder) = match body.lines {
        None => (Plan::Whole, Encoder::new(None)),
        // Nothing but the header is asked for.
        Some(0) => (Plan::Header, Encoder::new(Some(0))),
        Some(lines) => {
            let wanted = lines.saturating_mul(LINE_GUESS).saturating_add(FIRST_RANGE);
            let plan = if wanted >= size {
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
        size,
        header,
        mark: wire.out.len(),
        begun: false,
        sent: false,
        read: 0,
    };
    let encoder = encoder.for_client(mailbox.workarounds());
    answer.parts(mailbox, wire, plan, encoder).await
}

/// In which parts a message is asked for.
#[derive(Clone, Copy)]
enum Plan {
    Whole,
    Header,
    /// Ranges from the message's start, each longer than the one before, as far as the answer needs it. None begins later, because
    /// Dovecot 2.4 gets such ranges wrong where mail is stored with CRLF (`message_skip_virtual` counts an LF that comes first in
    /// its read buffer once too often).
    Ranges {
        first: u32,
    },
}

/// What a part turned out to be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Came {
    /// All that there is of what was asked for; of a range: the whole message instead.
    Whole,
    /// So many octets from the message's start.
    Part(u32),
}

struct Answer<'a> {
    session: &'a Session,
    body: &'a pop3::Body,
    /// RFC822.SIZE.
    size: u32,
    /// What the bridge puts before the message, not yet written.
    header: Option<String>,
    /// Where this answer starts in the octets waiting to be sent.
    mark: usize,
    begun: bool,
    sent: bool,
    /// Octets of the message that were read.
    read: u64,
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
            let part = self.next_part(plan);
            let came = match self.part(mailbox, wire, part, &mut encoder).await? {
                Ok(came) => came,
                Err(trouble) => {
                    mailbox.failed(&self.body.item, &trouble).await;
                    return Ok(self.give_up(&trouble, wire));
                }
            };
            match part {
                // No header at all: either there is none, or the upstream gives nothing for a message that it lists.
                Part::Header if !self.begun => plan = Plan::Ranges { first: FIRST_RANGE },
                // A range that comes short ends the message, says RFC 3501 (6.4.5), but some upstreams cap ranges and the listed
                // size may be wrong either way: where the two do not agree, all of it is asked for.
                Part::Range { length, .. } if came == Came::Part(length) && !encoder.is_done() => {}
                Part::Range { .. }
                    if came != Came::Whole && !self.is_listed_whole() && !encoder.is_done() =>
                {
                    plan = Plan::Whole;
                }
                _ => {
                    let complete = self.wants_all() && !encoder.is_done() && part == Part::Whole;
                    let complete = complete.then_some(encoder.octets());
                    encoder.finish(&mut wire.out);
                    return Ok(Retrieved::Whole { complete });
                }
            }
        }
    }

    /// RETR, or the TOP with which some programs (fetchmail) read whole messages.
    fn wants_all(&self) -> bool {
        self.body.lines.is_none_or(|lines| lines >= ALL_LINES)
    }

    fn is_listed_whole(&self) -> bool {
        self.read == u64::from(self.size)
    }

    fn next_part(&self, plan: Plan) -> Part {
        match plan {
            Plan::Whole => Part::Whole,
            Plan::Header => Part::Header,
            Plan::Ranges { first } => {
                let longer = u32::try_from(self.read)
                    .unwrap_or(u32::MAX)
                    .saturating_mul(GROWTH);
                Part::Range {
                    offset: 0,
                    length: longer.max(first),
                }
            }
        }
    }

    /// Reads one part to its proven end, or as far as the answer needs it, passing over what an earlier part has brought.
    async fn part(
        &mut self,
        mailbox: &mut Mailbox,
        wire: &mut Wire,
        part: Part,
        encoder: &mut Encoder,
    ) -> io::Result<Result<Came, Trouble>> {
        let following = self.session.following(self.body.number);
        let may_be_a_notice = mailbox.upstream().placeholder_text;
        let body = mailbox.body(&self.body.item, part, following);
        let mut stream = match wire.while_reading(body).await {
            Ok(stream) => stream,
            Err(error) => return Ok(Err(error)),
        };
        let came = match (part, stream.is_whole_instead()) {
            (Part::Range { .. }, false) => {
                Came::Part(u32::try_from(stream.octets()).unwrap_or(u32::MAX))
            }
            _ => Came::Whole,
        };
        let octets = stream.octets();
        let mut rest = octets;
        let mut known = self.read;
        // The beginning of what may be a placeholder is held back until that is known.
        let suspicious =
            may_be_a_notice && part == Part::Whole && octets as u64 != u64::from(self.size);
        let mut held = (suspicious && known == 0).then(BytesMut::new);
        loop {
            let mut piece = match wire.while_reading(stream.chunk()).await {
                Ok(Some(piece)) => piece,
                Ok(None) => break,
                // Only lines that nobody wants were still to come.
                Err(_) if encoder.is_done() && stream.is_named() => return Ok(Ok(came)),
                Err(error) => return Ok(Err(error.into())),
            };
            rest = rest.saturating_sub(piece.len());
            let passed = usize::try_from(known).map_or(piece.len(), |known| known.min(piece.len()));
            piece.advance(passed);
            known -= passed as u64;
            if let Some(start) = &mut held {
                start.extend_from_slice(&piece);
                if !placeholder::shows_header(start, octets) {
                    continue;
                }
                if placeholder::is_one(start) {
                    return Ok(Err(Error::MessageGone.into()));
                }
                piece = std::mem::take(start).freeze();
                held = None;
            }
            if piece.is_empty() {
                continue;
            }
            self.read += piece.len() as u64;
            self.begin(encoder, wire);
            for slice in piece.chunks(SLICE) {
                encoder.encode(slice, &mut wire.out);
                if wire.out.len() >= SEND_AT {
                    wire.send().await?;
                    self.sent = true;
                }
            }
            if encoder.is_done() && rest > DRAIN && stream.is_named() {
                // The rest of the message is not waited for, at the price of the connection.
                return Ok(Ok(came));
            }
        }
        if known > 0 {
            return Ok(Err(Error::Inconsistent(
                "a message became shorter while it was read",
            )
            .into()));
        }
        if !self.begun {
            if self.size == 0 {
                self.begin(encoder, wire);
            } else if part != Part::Header {
                // Some upstreams list a message and give an empty one for it: no client may take that for the message.
                return Ok(Err(Error::MessageGone.into()));
            }
        }
        Ok(Ok(came))
    }

    fn begin(&mut self, encoder: &mut Encoder, wire: &mut Wire) {
        if !self.begun {
            self.begun = true;
            self.session.body_starts(self.body, &mut wire.out);
            if let Some(header) = self.header.take() {
                encoder.encode(header.as_bytes(), &mut wire.out);
            }
        }
    }

    fn give_up(&self, error: &Trouble, wire: &mut Wire) -> Retrieved {
        let uid = self.body.item.uid.get();
        match error {
            // The log hears of that once, not with each message.
            Trouble::Budget(_) | Trouble::BackOff { .. } => {
                debug!(uid, %error, "a message has to wait")
            }
            _ => {
                warn!(uid, %error, sent = self.sent, "a message could not be read to its end");
            }
        }
        if self.sent {
            return Retrieved::Cut;
        }
        wire.out.truncate(self.mark);
        self.session
            .body_refused(&refusals::of(error), &mut wire.out);
        Retrieved::Refused
    }
}
