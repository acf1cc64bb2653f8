//! A part of a message, wherever it comes from.
//!
//! Must not know: who reads it.

use bytes::Bytes;

use crate::imap::{Body, Error};

/// See the module.
pub(in super::super) enum Source<'a> {
    /// On its way from the upstream.
    Stream(Body<'a>),
    /// In memory: the part, or the whole message instead. Empty once it was given out.
    InMemory(Bytes),
}

impl Source<'_> {
    /// Whether it is certain which message the octets are of; else it is known only at the end.
    pub(in super::super) fn is_named(&self) -> bool {
        match self {
            Self::Stream(body) => body.is_named(),
            Self::InMemory(_) => true,
        }
    }

    /// How many octets there are, before the first piece is given out.
    pub(in super::super) fn octets(&self) -> usize {
        match self {
            Self::Stream(body) => body.octets(),
            Self::InMemory(octets) => octets.len(),
        }
    }

    /// Whether a range was answered with all of the message.
    pub(in super::super) fn is_whole_instead(&self) -> bool {
        match self {
            Self::Stream(body) => body.is_whole_instead(),
            Self::InMemory(_) => true,
        }
    }

    /// The next octets; `None` once the part is proved to be whole.
    ///
    /// # Errors
    /// As [`Body::chunk`].
    pub(in super::super) async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        match self {
            Self::Stream(body) => body.chunk().await,
            Self::InMemory(octets) => {
                let octets = std::mem::take(octets);
                Ok((!octets.is_empty()).then_some(octets))
            }
        }
    }
}
