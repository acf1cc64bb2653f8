//! Tokens that the upstream refuses although they should be good: when another one is got, and when one is shown again.
//!
//! An upstream may refuse whatever it is shown: IMAP is switched off, the licence is gone, it is the wrong person's mailbox. Then a token is
//! shown once a minute, and others are got ever less often. Must not know: the store, how tokens are got.

use std::time::Duration;

use tokio::time::Instant;

use super::super::trouble::Trouble;

/// So long a token that was refused is not shown again.
const AGAIN: Duration = Duration::from_secs(60);
/// The pause between two refreshes for that reason; each further one is twice as long while no token is accepted.
const PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);

/// See the module.
#[derive(Default)]
pub(super) struct Refused {
    last: Option<Last>,
    /// When another token was asked for last because one was refused.
    replaced: Option<Instant>,
    /// How many were asked for for that reason since one was accepted.
    in_vain: u32,
}

/// The last token that was refused.
struct Last {
    version: i64,
    at: Instant,
    /// What the upstream has said; none while another token is got.
    said: Option<Trouble>,
}

impl Refused {
    /// Whether another token may be asked for because the upstream refuses this one: not if that was done a moment ago for another one. Those
    /// who were refused the same share what comes of it.
    pub(super) fn may_replace(&mut self, version: i64) -> bool {
        let before = self.replaced.map(|at| at.elapsed());
        if before.is_some_and(|before| before < self.pause()) {
            return self
                .last
                .as_ref()
                .is_some_and(|last| last.version == version && last.said.is_none());
        }
        self.last = Some(Last {
            version,
            at: Instant::now(),
            said: None,
        });
        self.replaced = Some(Instant::now());
        self.in_vain = self.in_vain.saturating_add(1);
        true
    }

    /// Remembers what the upstream says of a token in whose place there is no other one.
    pub(super) fn keep(&mut self, version: i64, said: &Trouble) {
        // One that comes late says nothing of a newer token.
        if self
            .last
            .as_ref()
            .is_none_or(|last| last.version <= version)
        {
            self.last = Some(Last {
                version,
                at: Instant::now(),
                said: Some(said.clone()),
            });
        }
    }

    /// The upstream has accepted a token. Others are not asked for more often than after a minute all the same.
    pub(super) fn forget(&mut self, version: i64) {
        if self
            .last
            .as_ref()
            .is_none_or(|last| last.version <= version)
        {
            self.last = None;
            self.in_vain = 0;
        }
    }

    /// What the upstream has said of this token, as long as it is not shown again.
    pub(super) fn said(&self, version: i64) -> Option<&Trouble> {
        let last = self.recent(version)?;
        last.said.as_ref()
    }

    /// Whether another token is wanted in the place of this one.
    pub(super) fn is_to_be_replaced(&self, version: i64) -> bool {
        self.recent(version).is_some_and(|last| last.said.is_none())
    }

    /// Whether it is the last one that was refused, however long ago.
    pub(super) fn is_last(&self, version: i64) -> bool {
        self.last
            .as_ref()
            .is_some_and(|last| last.version == version)
    }

    fn recent(&self, version: i64) -> Option<&Last> {
        let last = self.last.as_ref()?;
        (last.version == version && last.at.elapsed() < AGAIN).then_some(last)
    }

    fn pause(&self) -> Duration {
        let doubled = PAUSE.saturating_mul(1 << self.in_vain.saturating_sub(1).min(16));
        doubled.min(LONGEST_PAUSE)
    }

    /// Time goes on.
    #[cfg(test)]
    pub(super) fn later(&mut self, seconds: u64) {
        let by = Duration::from_secs(seconds);
        let at = self.last.as_mut().map(|last| &mut last.at);
        for at in at.into_iter().chain(&mut self.replaced) {
            *at -= by;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_token_is_asked_for_once_an_hour_however_many_were_refused() {
        let mut refused = Refused::default();
        for version in 0..40 {
            assert!(refused.may_replace(version), "{version}");
            refused.keep(version, &Trouble::Password("no".to_owned()));
            assert!(!refused.may_replace(version + 1));
            refused.later(60 * 60);
        }
        refused.may_replace(40);
        refused.later(60 * 60 - 60);
        assert!(!refused.may_replace(41));
    }
}
