//! Several messages by one command: each given out whole, as soon as what follows it shows that the upstream was done with it.
//!
//! A message is given out when its literal was read to its end, its response has named one of the UIDs asked for, and another response
//! or the tagged OK has come behind it. Anything else is an error, and the connection is not used again.
//! Must not know: who wants the messages, or why several.

use bytes::{Bytes, BytesMut};

use super::body::{Head, Part, closed};
use super::connection::{Connection, Pending, Response};
use super::error::Error;
use super::reply::Reply;
use super::set;
use super::transport::Line;
use crate::maildrop::Uid;

/// So much of a message that is longer than wanted is read to keep the connection.
const DRAIN: usize = 256 * 1024;

/// A message that is asked for together with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Which one.
    pub uid: Uid,
    /// If it has more octets than this it is not kept.
    pub most: usize,
}

/// A message, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Which one.
    pub uid: Uid,
    /// All octets of the part that was asked for; `None` where there were too many, or the upstream has nothing for the message.
    pub octets: Option<Bytes>,
}

/// Messages on their way. Dropping this before its end leaves the connection unusable.
pub struct Bodies<'a> {
    connection: &'a mut Connection,
    pending: Pending,
    part: Part,
    /// What has not come yet.
    wanted: Vec<Wanted>,
    /// A message that nothing has followed yet.
    held: Option<Fetched>,
    /// What followed the one that was given out last.
    line: Option<Line>,
    done: bool,
}

impl Connection {
    /// Asks for the same part of several messages of the open folder, [`Part::Whole`] or [`Part::Header`]; `wanted` is ascending.
    ///
    /// # Errors
    /// What any command can give.
    pub async fn begin_bodies(
        &mut self,
        wanted: Vec<Wanted>,
        part: Part,
    ) -> Result<Bodies<'_>, Error> {
        let (name, item) = match part {
            Part::Header => ("FETCH header", "BODY.PEEK[HEADER]"),
            Part::Whole | Part::Range { .. } => ("FETCH body", "BODY.PEEK[]"),
        };
        let uids: Vec<Uid> = wanted.iter().map(|one| one.uid).collect();
        let sets = set::uid_sets(&uids);
        let [uids] = sets.as_slice() else {
            return Err(Error::Protocol(
                "so many messages that one command cannot name them",
            ));
        };
        let command = format!("UID FETCH {uids} (UID {item})");
        let pending = self.begin(name, &command).await?;
        Ok(Bodies {
            connection: self,
            pending,
            part,
            wanted,
            held: None,
            line: None,
            done: false,
        })
    }
}

impl Bodies<'_> {
    /// The next message, in the upstream's order; `None` when there are no more. Messages that are not there never come.
    ///
    /// # Errors
    /// Any: what was not given out yet will not come.
    pub async fn next(&mut self) -> Result<Option<Fetched>, Error> {
        if self.done {
            return Ok(None);
        }
        match self.step().await {
            Ok(Step::Message(fetched)) => Ok(Some(fetched)),
            Ok(Step::End(reply)) => {
                self.done = true;
                self.connection.settle_demanding(&self.pending, Ok(reply))?;
                Ok(self.held.take())
            }
            Err(error) => {
                self.done = true;
                let settled = self.connection.settle_demanding(&self.pending, Err(error));
                settled.map(|_| None)
            }
        }
    }

    async fn step(&mut self) -> Result<Step, Error> {
        loop {
            let line = match self.line.take() {
                Some(line) => line,
                None => match self.connection.response(&self.pending.tag).await? {
                    Response::Tagged(reply) => return Ok(Step::End(reply)),
                    Response::Status(_) => continue,
                    Response::Data(line) => line,
                },
            };
            if let Some(held) = self.held.take() {
                self.line = Some(line);
                return Ok(Step::Message(held));
            }
            if set::is_fetch(&line.content) {
                self.held = self.message(line).await?;
            } else {
                self.connection.transport().whole(line).await?;
            }
        }
    }

    /// Reads one FETCH response to its end; `None` where it is news of another kind.
    async fn message(&mut self, line: Line) -> Result<Option<Fetched>, Error> {
        let Some(head) = Head::read(&closed(&line), self.part) else {
            let is_answer = memchr::memmem::find(&line.content, b"BODY").is_some();
            return if line.literal.is_some() || is_answer {
                Err(Error::Protocol("a FETCH response"))
            } else {
                // News in a grammar of its own is nothing to us.
                Ok(None)
            };
        };
        let (head, octets) = match (head.bodies, line.literal) {
            (0, _) => {
                self.connection.transport().whole(line).await?;
                return Ok(None);
            }
            (1, Some(octets)) if head.ends_in_body => {
                let most = self.most(head.uid);
                let octets = self.literal(octets as usize, most).await?;
                (self.tail(&line).await?, octets)
            }
            (1, None) => {
                let octets = head.quoted.clone().filter(|octets| !octets.is_empty());
                (head, octets)
            }
            _ => return Err(Error::Protocol("more strings than were asked for")),
        };
        if !head.begins_at_0() {
            return Err(Error::Protocol("another part of the message"));
        }
        let uid = head.uid.ok_or(Error::Protocol("a body without a UID"))?;
        let at = self.wanted.iter().position(|one| one.uid == uid);
        let at = at.ok_or(Error::Protocol("the body of another message"))?;
        self.wanted.remove(at);
        Ok(Some(Fetched { uid, octets }))
    }

    /// The most that is kept of this message; of one that is not named yet, of any.
    fn most(&self, uid: Option<Uid>) -> usize {
        let suits = |one: &&Wanted| uid.is_none_or(|uid| one.uid == uid);
        let most = self.wanted.iter().filter(suits).map(|one| one.most);
        most.max().unwrap_or(0)
    }

    async fn literal(&mut self, octets: usize, most: usize) -> Result<Option<Bytes>, Error> {
        let transport = self.connection.transport();
        if octets <= most {
            let mut all = BytesMut::with_capacity(octets);
            transport.literal_into(&mut all).await?;
            return Ok((octets > 0).then(|| all.freeze()));
        }
        if octets > DRAIN + most {
            return Err(Error::TooLong("a message that was listed as a short one"));
        }
        while transport.literal().await?.is_some() {}
        Ok(None)
    }

    /// Reads the response's rest behind the literal.
    async fn tail(&mut self, line: &Line) -> Result<Head, Error> {
        let mut text = line.content[..line.before_literal].to_vec();
        text.extend_from_slice(b"{0}\r\n");
        let transport = self.connection.transport();
        let rest = transport.line().await?;
        text.extend_from_slice(&transport.whole(rest).await?);
        Head::read(&text, self.part)
            .filter(|head| head.bodies == 1)
            .ok_or(Error::Protocol("what follows a body"))
    }
}

/// What came next.
enum Step {
    Message(Fetched),
    End(Reply),
}

#[cfg(test)]
mod tests;
