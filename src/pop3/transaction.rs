//! The TRANSACTION state (RFC 1939 section 5): the commands about the maildrop.
//!
//! It must not know where the maildrop comes from: it asks for it when the first
//! command needs it, so that log-in need not wait for a list.

use super::command::{self, Command, Query};
use super::line::Line;
use super::response::{self, Refusal};
use super::session::{Action, Body, Profile};
use super::{capa, session};
use crate::maildrop::{LookupError, Maildrop, MsgNo};

/// How much of a long listing is written at once, in octets. The rest follows
/// when the client has taken this.
const PORTION: usize = 8 * 1024;

/// A client that has logged in.
#[derive(Default)]
pub(super) struct Transaction {
    maildrop: Option<Maildrop>,
    /// The command that waits for the maildrop.
    waiting: Option<Query>,
    listing: Option<Listing>,
}

/// A multi-line answer that has not been written to its end.
struct Listing {
    unique_ids: bool,
    /// The first message that is not written yet.
    next: Option<MsgNo>,
}

impl Transaction {
    /// The maildrop, once it was asked for.
    pub(super) fn maildrop(&self) -> Option<&Maildrop> {
        self.maildrop.as_ref()
    }

    /// Whether a command waits for [`listed`](Self::listed).
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// Handles a command.
    ///
    /// # Errors
    /// What to refuse the line with.
    pub(super) fn line(
        &mut self,
        line: Line<'_>,
        profile: &Profile,
        out: &mut Vec<u8>,
    ) -> Result<Action, Refusal> {
        let Line::Complete(line) = line else {
            return Err(Refusal::plain("The line is too long."));
        };
        match command::parse(line)? {
            Command::Query(query) => return self.query(query, out),
            Command::Capa => capa::answer(profile, false, out),
            Command::Noop => response::ok("Still here.", out),
            Command::Rset => {
                if let Some(maildrop) = &mut self.maildrop {
                    maildrop.undelete_all();
                }
                response::ok("Nothing is marked deleted.", out);
            }
            Command::Quit => return Ok(self.quit(out)),
            Command::Stls
            | Command::Utf8
            | Command::User(_)
            | Command::Pass(_)
            | Command::Auth(_) => {
                return Err(Refusal::plain("You are logged in already."));
            }
        }
        Ok(Action::None)
    }

    /// Runs the command that has waited for the list.
    ///
    /// # Errors
    /// What to refuse that command with.
    pub(super) fn listed(
        &mut self,
        maildrop: Maildrop,
        out: &mut Vec<u8>,
    ) -> Result<Action, Refusal> {
        self.maildrop = Some(maildrop);
        match self.waiting.take() {
            Some(query) => self.query(query, out),
            None => Ok(Action::None),
        }
    }

    /// There is no list: the next command that needs it asks again.
    pub(super) fn not_listed(&mut self) {
        self.waiting = None;
    }

    /// Writes the next portion of a listing; whether there is more.
    pub(super) fn more(&mut self, out: &mut Vec<u8>) -> bool {
        let (Some(listing), Some(maildrop)) = (&mut self.listing, &self.maildrop) else {
            return false;
        };
        let full = out.len() + PORTION;
        listing.next = listing.next.and_then(|next| match listing.unique_ids {
            true => portion(maildrop.uidls_from(next), full, out, |uidl, out| {
                out.extend_from_slice(uidl.as_ref());
            }),
            false => portion(maildrop.messages_from(next), full, out, |message, out| {
                response::number(message.octets, out);
            }),
        });
        if listing.next.is_none() {
            response::end(out);
            self.listing = None;
        }
        self.listing.is_some()
    }

    fn query(&mut self, query: Query, out: &mut Vec<u8>) -> Result<Action, Refusal> {
        let Some(maildrop) = &mut self.maildrop else {
            self.waiting = Some(query);
            return Ok(Action::List);
        };
        match query {
            Query::Stat => {
                response::ok(
                    format_args!("{} {}", maildrop.count(), maildrop.octets()),
                    out,
                );
            }
            Query::List(Some(number)) => {
                let size = maildrop.lookup(number).map_err(refusal)?.octets;
                response::ok(format_args!("{number} {size}"), out);
            }
            Query::Uidl(Some(number)) => {
                let uidl = maildrop.uidl(number).map_err(refusal)?;
                response::ok(format_args!("{number} {uidl}"), out);
            }
            Query::List(None) => return Ok(self.list(false, out)),
            Query::Uidl(None) => return Ok(self.list(true, out)),
            Query::Retr(number) => return body(maildrop, number, None),
            Query::Top(number, lines) => return body(maildrop, number, Some(lines)),
            Query::Dele(number) => {
                maildrop.delete(number).map_err(refusal)?;
                response::ok("Marked to be deleted.", out);
            }
        }
        Ok(Action::None)
    }

    fn list(&mut self, unique_ids: bool, out: &mut Vec<u8>) -> Action {
        let count = self.maildrop.as_ref().map_or(0, Maildrop::count);
        response::ok(format_args!("{count} messages:"), out);
        self.listing = Some(Listing {
            unique_ids,
            next: MsgNo::new(1),
        });
        match self.more(out) {
            true => Action::More,
            false => Action::None,
        }
    }

    /// A client that has never asked for the maildrop has nothing to commit.
    fn quit(&mut self, out: &mut Vec<u8>) -> Action {
        match &self.maildrop {
            Some(maildrop) => Action::Update(maildrop.deleted().copied().collect()),
            None => {
                response::ok(session::BYE, out);
                Action::Close
            }
        }
    }
}

/// Writes rows of a listing until there is enough; gives the first one that was not written.
fn portion<T>(
    rows: impl Iterator<Item = (MsgNo, T)>,
    full: usize,
    out: &mut Vec<u8>,
    write: impl Fn(T, &mut Vec<u8>),
) -> Option<MsgNo> {
    for (number, value) in rows {
        if out.len() >= full {
            return Some(number);
        }
        response::number(number.get(), out);
        out.push(b' ');
        write(value, out);
        out.extend_from_slice(b"\r\n");
    }
    None
}

fn body(maildrop: &Maildrop, number: MsgNo, lines: Option<u32>) -> Result<Action, Refusal> {
    let item = *maildrop.lookup(number).map_err(refusal)?;
    Ok(Action::Retrieve(Body {
        number,
        item,
        lines,
    }))
}

fn refusal(error: LookupError) -> Refusal {
    match error {
        LookupError::NoSuchMessage => command::no_such_message(),
        LookupError::Deleted => Refusal::plain("The message is marked deleted."),
    }
}
