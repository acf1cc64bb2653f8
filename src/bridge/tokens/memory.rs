//! What a process remembers of an account's tokens, so that a session that comes asks nobody.
//!
//! Must not know: the store, authorization servers.

use tokio::time::Instant;

use super::super::trouble::Trouble;
use super::refused::Refused;
use super::{Access, LOOK};
use crate::store::NewToken;

#[derive(Default)]
pub(super) struct Memory {
    /// The last token, while it is good.
    pub(super) held: Option<Held>,
    /// What was in the way of one, and when that was found.
    pub(super) told: Option<(Trouble, Instant)>,
    /// What the upstream has refused before its time.
    pub(super) refused: Refused,
    /// Got and not kept, as the store was in trouble: the authorization server may take no older refresh token any more.
    pub(super) unkept: Option<Unkept>,
    /// When the background looks again, in seconds since 1970; at once at first.
    pub(super) look_at: i64,
    /// The trouble that was logged last, in words: it is, once.
    pub(super) logged: Option<String>,
    /// Whether trouble of a process before, which may have had another configuration, was looked past, or there was none.
    pub(super) has_asked: bool,
}

pub(super) struct Held {
    pub(super) access: Access,
    /// When it is not used for new connections any more, in seconds since 1970.
    pub(super) until: i64,
}

pub(super) struct Unkept {
    pub(super) version: i64,
    pub(super) new: NewToken,
    pub(super) since: Instant,
}

impl Memory {
    /// What can be said without a look at the store.
    pub(super) fn known(&self, now: i64) -> Option<Result<Access, Trouble>> {
        if let Some(held) = &self.held
            && now < held.until
            && self.refused.said(held.access.version).is_none()
        {
            return Some(Ok(held.access.clone()));
        }
        let (trouble, at) = self.told.as_ref()?;
        (at.elapsed() < LOOK).then(|| Err(trouble.clone()))
    }
}
