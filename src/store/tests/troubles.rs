//! Messages that could not be read.

use super::on_both_engines;
use super::support::{NOW, Place, Scene, delta, first_listing, seq};
use crate::maildrop::Delta;
use crate::store::KEPT_FOR;

on_both_engines!(
    failures_are_counted_until_the_message_can_be_read,
    failures_are_forgotten_with_their_message_and_not_before
);

async fn failures_are_counted_until_the_message_can_be_read(place: Place) {
    let scene = Scene::new(&place).await;
    let (store, mailbox) = (&scene.store, scene.mailbox.id);
    assert_eq!(
        store.trouble(mailbox, seq(5), "it's gone", NOW).await,
        Ok(1)
    );
    assert_eq!(store.trouble(mailbox, seq(5), "cut", NOW + 1).await, Ok(2));
    assert_eq!(store.trouble(mailbox, seq(2), "cut", NOW).await, Ok(1));
    let troubles = store.troubles(mailbox).await.unwrap();
    assert_eq!(troubles[1].failures, 2);
    assert_eq!(
        (troubles[1].last_error.as_str(), troubles[1].at),
        ("cut", NOW + 1)
    );
    store.no_trouble(mailbox, seq(5)).await.unwrap();
    assert_eq!(store.troubles(mailbox).await.unwrap().len(), 1);
}

async fn failures_are_forgotten_with_their_message_and_not_before(place: Place) {
    let scene = Scene::new(&place).await;
    let (store, mailbox) = (&scene.store, scene.mailbox.id);
    scene.apply(&first_listing(2)).await;
    for n in [1, 2] {
        store.trouble(mailbox, seq(n), "cut", NOW).await.unwrap();
    }
    let gone = Delta {
        gone: vec![seq(1)],
        ..delta(3)
    };
    scene.apply(&gone).await;
    store.prune(mailbox, &[], NOW + KEPT_FOR).await.unwrap();
    assert_eq!(store.troubles(mailbox).await.unwrap().len(), 2);
    // The other one is there still, and nobody has had it: it must not be disposed of because nobody tries it any more.
    let later = NOW + 10 * KEPT_FOR;
    store.prune(mailbox, &[], later).await.unwrap();
    let left = store.troubles(mailbox).await.unwrap();
    let left: Vec<_> = left.iter().map(|trouble| trouble.seq).collect();
    assert_eq!(left, [seq(2)]);
}
