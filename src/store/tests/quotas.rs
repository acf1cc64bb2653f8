//! How full a mailbox is.

use super::on_both_engines;
use super::support::{NOW, Place, Scene};
use crate::store::Quota;

on_both_engines!(a_quota_is_what_was_said_last_until_nothing_is_said);

async fn a_quota_is_what_was_said_last_until_nothing_is_said(place: Place) {
    let Scene { store, mailbox, .. } = Scene::new(&place).await;
    let other = store.mailbox("imap.example:993", "other", NOW).await;
    let other = other.unwrap().id;
    assert_eq!(store.quota(mailbox.id).await, Ok(None));
    let said = |used, limit, at| Quota { used, limit, at };
    let first = said(5, 1 << 40, NOW);
    store.note_quota(mailbox.id, Some(first)).await.unwrap();
    let more = said(u64::MAX, u64::MAX, NOW + 60);
    store.note_quota(mailbox.id, Some(more)).await.unwrap();
    let store = place.reopen(store).await;
    let most = i64::MAX.cast_unsigned();
    let kept = said(most, most, NOW + 60);
    assert_eq!(store.quota(mailbox.id).await, Ok(Some(kept)));
    assert_eq!(store.quota(other).await, Ok(None));
    store.note_quota(mailbox.id, None).await.unwrap();
    assert_eq!(store.quota(mailbox.id).await, Ok(None));
}
