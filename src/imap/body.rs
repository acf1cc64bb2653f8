//! Message bodies, streamed from the upstream's socket with constant memory (RFC 3501, 6.4.5: `BODY.PEEK`, which sets no `\Seen`).
//!
//! A body is whole only when [`Body::chunk`] has given `None`: then the literal was read to its end, the response named the right
//! UID, and the upstream has said its tagged OK. Anything else is an error and the connection is not used again.
//! Must not know: dots, lines, or who reads.

use std::time::Duration;

use bytes::Bytes;
use imap_proto::{AttributeValue, MessageSection, SectionPath};

use super::connection::{Connection, Pending, Response};
use super::error::Error;
use super::transport::Line;
use super::{grammar, set};
use crate::maildrop::Uid;

/// The longest from a body's last octet to the end of its response, and from there to the tagged answer.
const TAIL: Duration = Duration::from_secs(60);

/// What of a message is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// The header with its closing blank line.
    Header,
    /// `length` octets from `offset` on; fewer come only at the message's end.
    Range {
        /// Octets to skip.
        offset: u32,
        /// Octets wanted, at least 1.
        length: u32,
    },
}

impl Part {
    fn item(self) -> String {
        match self {
            Self::Whole => "BODY.PEEK[]".to_owned(),
            Self::Header => "BODY.PEEK[HEADER]".to_owned(),
            Self::Range { offset, length } => format!("BODY.PEEK[]<{offset}.{length}>"),
        }
    }

    /// Whether an answer's section is this part's.
    fn is_of(self, section: Option<&SectionPath>) -> bool {
        match self {
            Self::Whole | Self::Range { .. } => section.is_none(),
            Self::Header => section == Some(&SectionPath::Full(MessageSection::Header)),
        }
    }

    /// Whether `octets` with this origin (RFC 3501, 7.4.2: `BODY[]<origin>`) are the part. Some upstreams answer a range with the
    /// whole message, with or without an origin; where the range does not begin at 0 these would be the wrong bytes.
    fn fits(self, origin: Option<u32>, octets: usize) -> bool {
        match self {
            Self::Whole | Self::Header => origin.is_none_or(|at| at == 0),
            Self::Range { offset: 0, .. } => origin.is_none_or(|at| at == 0),
            Self::Range { offset, length } => origin == Some(offset) && octets <= length as usize,
        }
    }

    /// Whether so many octets, which fit, are more than was asked for: then they are the whole message.
    fn is_exceeded_by(self, octets: usize) -> bool {
        matches!(self, Self::Range { length, .. } if octets > length as usize)
    }
}

/// A body on its way. Dropping it before its end leaves the connection unusable.
pub struct Body<'a> {
    connection: &'a mut Connection,
    start: BodyStart,
}

/// A body whose bytes are next on the connection; [`Connection::body`] reads them.
pub struct BodyStart {
    pending: Pending,
    uid: Uid,
    part: Part,
    /// Whether the UID was named before the literal; else it must be named behind it.
    named: bool,
    /// The whole message came although a range was asked for.
    whole_instead: bool,
    /// How many octets there will be.
    octets: usize,
    state: State,
}

enum State {
    /// The response's head, kept for reading its tail: the literal is under way.
    Literal(Vec<u8>),
    /// A quoted string: all there is.
    Quoted(Bytes),
    /// Everything was given out; the rest of the response and the tagged line come next.
    Tail,
    Done,
}

impl Connection {
    /// Asks for a part of one message of the selected folder and waits until its bytes begin.
    ///
    /// # Errors
    /// [`Error::MessageGone`] where the upstream has nothing for the UID, [`Error::Refused`], and what any command can give.
    pub async fn begin_body(&mut self, uid: Uid, part: Part) -> Result<BodyStart, Error> {
        let name = if part == Part::Header {
            "FETCH header"
        } else {
            "FETCH body"
        };
        let pending = self
            .begin(name, &format!("UID FETCH {uid} (UID {})", part.item()))
            .await?;
        match self.body_head(&pending, uid, part).await {
            Ok(Some((state, octets, named))) => Ok(BodyStart {
                pending,
                uid,
                part,
                named,
                whole_instead: part.is_exceeded_by(octets),
                octets,
                state,
            }),
            Ok(None) => Err(Error::MessageGone),
            // A refusal was booked when it was read.
            Err(error @ Error::Refused { .. }) => Err(error),
            Err(error) => Err(self
                .settle(&pending, Err(error))
                .err()
                .unwrap_or(Error::MessageGone)),
        }
    }

    /// Goes on with what [`Self::begin_body`] has begun on this connection.
    pub fn body(&mut self, start: BodyStart) -> Body<'_> {
        Body {
            connection: self,
            start,
        }
    }

    /// Reads up to the bytes of the body; gives their number and whether the UID was named already, or `None` where the command
    /// ended without a body.
    async fn body_head(
        &mut self,
        pending: &Pending,
        uid: Uid,
        part: Part,
    ) -> Result<Option<(State, usize, bool)>, Error> {
        loop {
            let line = match self.response(&pending.tag).await? {
                Response::Tagged(reply) => {
                    let refused = !reply.is_ok();
                    let reply = self.settle(pending, Ok(reply))?;
                    return if refused {
                        Err(Error::Refused {
                            command: pending.name,
                            reply,
                        })
                    } else {
                        Ok(None)
                    };
                }
                Response::Status(_) => continue,
                Response::Data(line) => line,
            };
            if !set::is_fetch(&line.content) {
                self.transport().whole(line).await?;
                continue;
            }
            let Some(head) = Head::read(&closed(&line), part) else {
                if line.literal.is_some() || memchr::memmem::find(&line.content, b"BODY").is_some()
                {
                    return Err(Error::Protocol("a FETCH response"));
                }
                // News in a grammar of its own is nothing to us.
                continue;
            };
            let octets = match (head.bodies, line.literal) {
                (0, _) => {
                    self.transport().whole(line).await?;
                    continue;
                }
                (1, Some(octets)) if head.ends_in_body => octets as usize,
                (1, None) => head.quoted.as_ref().map_or(0, Bytes::len),
                _ => return Err(Error::Protocol("more strings than were asked for")),
            };
            if head.uid.is_some_and(|other| other != uid) {
                return Err(Error::Protocol("the body of another message"));
            }
            if !part.fits(head.origin, octets) {
                return Err(Error::Protocol("another part of the message"));
            }
            let state = if line.literal.is_some() {
                State::Literal(line.content[..line.before_literal].to_vec())
            } else if let Some(bytes) = head.quoted {
                State::Quoted(bytes)
            } else {
                // BODY[] NIL: the upstream lists the message and has nothing to give for it.
                continue;
            };
            return Ok(Some((state, octets, head.uid.is_some())));
        }
    }
}

impl Body<'_> {
    /// Whether the upstream has said before the octets which message they are of; else it is known only at the body's end.
    pub fn is_named(&self) -> bool {
        self.start.named
    }

    /// How many octets the upstream has announced.
    pub fn octets(&self) -> usize {
        self.start.octets
    }

    /// Whether a range was answered with all of the message.
    pub fn is_whole_instead(&self) -> bool {
        self.start.whole_instead
    }

    /// The next bytes; `None` once the body is proved to be whole, and from then on.
    ///
    /// # Errors
    /// Any: the body is not whole then and what was given out must not be taken for a message.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        let outcome = self.next().await;
        match outcome {
            Ok(bytes) => Ok(bytes),
            Err(error @ Error::Refused { .. }) => Err(error),
            Err(error) => {
                self.start.state = State::Done;
                Err(self
                    .connection
                    .settle(&self.start.pending, Err(error))
                    .err()
                    .unwrap_or(Error::MessageGone))
            }
        }
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            match &mut self.start.state {
                State::Literal(head) => {
                    if let Some(bytes) = self.connection.transport().literal().await? {
                        return Ok(Some(bytes));
                    }
                    let head = std::mem::take(head);
                    let checked = tokio::time::timeout(TAIL, self.check_tail(head)).await;
                    checked.unwrap_or(Err(Error::Timeout("end a message")))?;
                    self.start.state = State::Tail;
                }
                State::Quoted(bytes) => {
                    let bytes = std::mem::take(bytes);
                    self.start.state = State::Tail;
                    if !self.start.named {
                        return Err(Error::Protocol("a body without a UID"));
                    }
                    if !bytes.is_empty() {
                        return Ok(Some(bytes));
                    }
                }
                State::Tail => {
                    let tagged = tokio::time::timeout(TAIL, self.tagged()).await;
                    return tagged
                        .unwrap_or(Err(Error::Timeout("end a message")))
                        .map(|()| None);
                }
                State::Done => return Ok(None),
            }
        }
    }

    /// Reads the response's rest behind the literal and makes sure that it was the right message's.
    async fn check_tail(&mut self, mut text: Vec<u8>) -> Result<(), Error> {
        text.extend_from_slice(b"{0}\r\n");
        let line = self.connection.transport().line().await?;
        text.extend_from_slice(&self.connection.transport().whole(line).await?);
        let head = Head::read(&text, self.start.part)
            .filter(|head| head.bodies == 1)
            .ok_or(Error::Protocol("what follows a body"))?;
        match head.uid {
            Some(uid) if uid == self.start.uid => Ok(()),
            Some(_) => Err(Error::Protocol("the body of another message")),
            None if self.start.named => Ok(()),
            None => Err(Error::Protocol("a body without a UID")),
        }
    }

    async fn tagged(&mut self) -> Result<(), Error> {
        loop {
            match self.connection.response(&self.start.pending.tag).await? {
                Response::Tagged(reply) => {
                    self.start.state = State::Done;
                    let refused = !reply.is_ok();
                    let reply = self.connection.settle(&self.start.pending, Ok(reply))?;
                    return if refused {
                        Err(Error::Refused {
                            command: self.start.pending.name,
                            reply,
                        })
                    } else {
                        Ok(())
                    };
                }
                Response::Status(_) => {}
                Response::Data(line) => {
                    self.connection.transport().whole(line).await?;
                }
            }
        }
    }
}

/// What a FETCH response says besides the body's bytes.
#[derive(Debug, Default)]
pub(super) struct Head {
    pub(super) uid: Option<Uid>,
    /// Items that are the part that was asked for.
    pub(super) bodies: usize,
    /// The last item is one of them.
    pub(super) ends_in_body: bool,
    origin: Option<u32>,
    /// The body, where it is a string; empty for a literal that was left out.
    pub(super) quoted: Option<Bytes>,
}

impl Head {
    /// Whether the body is not told to begin behind the message's start.
    pub(super) fn begins_at_0(&self) -> bool {
        self.origin.is_none_or(|at| at == 0)
    }

    /// `None` where the response is not understood.
    pub(super) fn read(text: &[u8], part: Part) -> Option<Self> {
        let mut head = Self::default();
        for item in grammar::fetch(text)?.items {
            head.ends_in_body = false;
            match item {
                AttributeValue::Uid(uid) => head.uid = Uid::new(uid),
                AttributeValue::BodySection {
                    section,
                    index,
                    data,
                } if part.is_of(section.as_ref()) => {
                    head.bodies += 1;
                    head.ends_in_body = true;
                    head.origin = index;
                    head.quoted = data.map(|bytes| grammar::unescaped(&bytes).into());
                }
                _ => {}
            }
        }
        Some(head)
    }
}

/// The response's text up to a literal, closed as if the literal were empty and the last item.
pub(super) fn closed(line: &Line) -> Vec<u8> {
    let mut text = line.content[..line.before_literal].to_vec();
    text.extend_from_slice(if line.literal.is_some() {
        &b"{0}\r\n)\r\n"[..]
    } else {
        b"\r\n"
    });
    text
}

#[cfg(test)]
mod tests;
