//! Tokens: who may refresh them, and what is kept of it.

use super::on_both_engines;
use super::support::{Place, Scene};
use crate::store::{
    MailboxId, NewToken, Store, StoreError, StoredToken, TokenFailure, TokenId, TokenState,
};

on_both_engines!(
    what_a_person_has_logged_in_for_is_kept,
    one_at_a_time_may_refresh,
    refreshed_tokens_survive_a_restart,
    a_claim_that_has_run_out_keeps_only_what_was_rotated,
    nothing_is_kept_over_a_log_in_that_came_meanwhile,
    a_refresh_that_failed_is_not_tried_again_before_its_time,
    a_revoked_grant_stays_so_until_somebody_logs_in,
    whoever_refreshed_late_is_not_undone_by_the_next_ones_refusal,
    tokens_are_a_mailboxs_and_a_providers,
);

const GOOD: i64 = 3600;

fn new(sealed: &str) -> NewToken {
    NewToken {
        sealed: sealed.to_owned(),
        lifetime: GOOD,
    }
}

fn failure(state: TokenState, retry_in: i64) -> TokenFailure {
    TokenFailure {
        state,
        error: "it said no".to_owned(),
        retry_in,
    }
}

/// A mailbox without tokens.
struct Tokens {
    place: Place,
    store: Store,
    id: TokenId,
}

impl Tokens {
    async fn new(place: Place) -> Self {
        let Scene { store, mailbox, .. } = Scene::new(&place).await;
        let id = TokenId {
            mailbox: mailbox.id,
            provider: "google".to_owned(),
        };
        Self { place, store, id }
    }

    async fn later(&self, seconds: i64) {
        self.place.tokens_later(seconds).await;
    }

    async fn now(&self) -> StoredToken {
        self.store.token(&self.id).await.unwrap().unwrap()
    }

    async fn claim(&self, holder: &str, version: i64) -> bool {
        let claimed = self
            .store
            .claim_token(&self.id, holder, version, 60, false)
            .await;
        claimed.unwrap().is_some()
    }

    async fn keep(&self, holder: &str, version: i64, sealed: &str, rotated: bool) -> Option<i64> {
        let new = new(sealed);
        let kept = self
            .store
            .keep_token(&self.id, holder, version, &new, rotated);
        kept.await.unwrap()
    }

    async fn fail(&self, holder: &str, version: i64, failure: TokenFailure) -> bool {
        let failed = self.store.fail_token(&self.id, holder, version, &failure);
        failed.await.unwrap()
    }
}

/// Good for about so many seconds: a test may be slow.
fn about(expected: i64, seconds: i64) {
    assert!((expected - 30..=expected).contains(&seconds), "{seconds}");
}

async fn what_a_person_has_logged_in_for_is_kept(place: Place) {
    let it = Tokens::new(place).await;
    assert_eq!(it.store.token(&it.id).await.unwrap(), None);
    let version = it.store.replace_token(&it.id, &new("one")).await.unwrap();
    let kept = it.now().await;
    assert_eq!(kept.sealed.as_deref(), Some("one"));
    assert_eq!((kept.version, kept.state), (version, TokenState::Good));
    about(GOOD, kept.good_for);
    assert_eq!(kept.lifetime, GOOD);
    assert_eq!(kept.expires_at - kept.refreshed_at, GOOD);
    assert_eq!((kept.last_error, kept.error_at), (None, None));
    it.later(GOOD + 5).await;
    about(-5, it.now().await.good_for);
}

async fn one_at_a_time_may_refresh(place: Place) {
    let it = Tokens::new(place).await;
    // Also where there is nothing to be refreshed yet: the bridge has credentials of its own.
    assert!(it.claim("one", 0).await);
    assert!(!it.claim("two", 0).await);
    assert_eq!(it.keep("one", 0, "first", false).await, Some(1));
    assert!(!it.claim("two", 0).await, "there are others by now");
    assert!(it.claim("two", 1).await);
    it.later(55).await;
    assert!(!it.claim("one", 1).await);
    it.later(6).await;
    assert!(it.claim("one", 1).await, "the other one is dead");
    it.store.end_all_token_claims().await.unwrap();
    assert!(it.claim("three", 1).await);
}

async fn refreshed_tokens_survive_a_restart(place: Place) {
    let Tokens { place, store, id } = Tokens::new(place).await;
    store.replace_token(&id, &new("one")).await.unwrap();
    store
        .claim_token(&id, "a", 1, 60, false)
        .await
        .unwrap()
        .unwrap();
    let kept = store.keep_token(&id, "a", 1, &new("two"), true).await;
    assert_eq!(kept.unwrap(), Some(2));
    let store = place.reopen(store).await;
    let found = store.token(&id).await.unwrap().unwrap();
    assert_eq!(found.sealed.as_deref(), Some("two"));
    assert_eq!(found.version, 2);
}

async fn a_claim_that_has_run_out_keeps_only_what_was_rotated(place: Place) {
    let it = Tokens::new(place).await;
    it.store.replace_token(&it.id, &new("one")).await.unwrap();
    assert!(it.claim("slow", 1).await);
    it.later(61).await;
    assert_eq!(it.keep("slow", 1, "two", false).await, None);
    // Even where another one is at it: the old refresh token is of no use to it.
    assert!(it.claim("quick", 1).await);
    assert_eq!(it.keep("slow", 1, "two", false).await, None);
    assert_eq!(it.keep("slow", 1, "two", true).await, Some(2));
    assert_eq!(it.keep("quick", 1, "three", true).await, None);
    assert_eq!(it.now().await.sealed.as_deref(), Some("two"));
}

async fn nothing_is_kept_over_a_log_in_that_came_meanwhile(place: Place) {
    let it = Tokens::new(place).await;
    it.store.replace_token(&it.id, &new("one")).await.unwrap();
    assert!(it.claim("a", 1).await);
    let version = it.store.replace_token(&it.id, &new("person")).await;
    assert_eq!(version.unwrap(), 2);
    assert_eq!(it.keep("a", 1, "old", true).await, None);
    assert!(!it.fail("a", 1, failure(TokenState::Revoked, 0)).await);
    let now = it.now().await;
    assert_eq!(now.sealed.as_deref(), Some("person"));
    assert_eq!(now.state, TokenState::Good);
    assert!(it.claim("b", 2).await, "the claim is over, too");
}

async fn a_refresh_that_failed_is_not_tried_again_before_its_time(place: Place) {
    let it = Tokens::new(place).await;
    it.store.replace_token(&it.id, &new("one")).await.unwrap();
    for attempts in 1..=2 {
        assert!(it.claim("a", 1).await);
        assert!(it.fail("a", 1, failure(TokenState::Failing, 120)).await);
        let now = it.now().await;
        assert_eq!((now.state, now.attempts), (TokenState::Failing, attempts));
        assert_eq!(now.last_error.as_deref(), Some("it said no"));
        assert_eq!(now.sealed.as_deref(), Some("one"), "still good");
        about(120, now.retry_in);
        assert!(!it.claim("b", 1).await);
        it.later(121).await;
    }
    assert!(it.claim("b", 1).await);
    assert!(
        it.fail("b", 1, failure(TokenState::Misconfigured, 120))
            .await
    );
    let at_once = it.store.claim_token(&it.id, "b", 1, 60, true).await;
    assert!(at_once.unwrap().is_some());
    assert_eq!(it.keep("b", 1, "two", false).await, Some(2));
    let now = it.now().await;
    assert_eq!((now.state, now.attempts), (TokenState::Good, 0));
    assert!(now.retry_in <= 0);
    assert!(
        now.last_error.is_some(),
        "what was wrong last is still told"
    );
}

async fn a_revoked_grant_stays_so_until_somebody_logs_in(place: Place) {
    let it = Tokens::new(place).await;
    it.store.replace_token(&it.id, &new("one")).await.unwrap();
    assert!(it.claim("a", 1).await);
    assert!(it.fail("a", 1, failure(TokenState::Revoked, 0)).await);
    assert_eq!(it.now().await.state, TokenState::Revoked);
    let version = it.store.replace_token(&it.id, &new("two")).await.unwrap();
    let now = it.now().await;
    assert_eq!((version, now.state, now.attempts), (2, TokenState::Good, 0));
    assert_eq!((now.last_error, now.error_at), (None, None));
}

async fn whoever_refreshed_late_is_not_undone_by_the_next_ones_refusal(place: Place) {
    let it = Tokens::new(place).await;
    it.store.replace_token(&it.id, &new("one")).await.unwrap();
    assert!(it.claim("slow", 1).await);
    it.later(61).await;
    // The other one shows a refresh token that was used up a moment ago.
    assert!(it.claim("quick", 1).await);
    assert!(it.fail("quick", 1, failure(TokenState::Revoked, 0)).await);
    assert_eq!(it.keep("slow", 1, "two", true).await, Some(2));
    assert_eq!(it.now().await.state, TokenState::Good);
}

async fn tokens_are_a_mailboxs_and_a_providers(place: Place) {
    let it = Tokens::new(place).await;
    it.store.replace_token(&it.id, &new("one")).await.unwrap();
    let other = TokenId {
        provider: "microsoft".to_owned(),
        ..it.id.clone()
    };
    assert_eq!(it.store.token(&other).await.unwrap(), None);
    it.store.replace_token(&other, &new("two")).await.unwrap();
    for (id, expected) in [(&it.id, "one"), (&other, "two")] {
        let kept = it.store.token(id).await.unwrap().unwrap();
        assert_eq!(kept.sealed.as_deref(), Some(expected));
    }
    let nowhere = TokenId {
        mailbox: MailboxId(4711),
        ..it.id
    };
    let refused = it.store.claim_token(&nowhere, "a", 0, 60, false).await;
    assert_eq!(refused, Err(StoreError::NoSuch("mailbox 4711".to_owned())));
}
