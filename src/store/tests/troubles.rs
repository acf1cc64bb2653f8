//! Messages that could not be read.

use super::on_both_engines;
use super::support::{NOW, Place, Scene, seq};

on_both_engines!(failures_are_counted_until_the_message_can_be_read);

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
