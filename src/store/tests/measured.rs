//! How long messages are that are listed with another size.

use super::on_both_engines;
use super::support::{NOW, Place, Scene, delta, first_listing, seq};
use crate::maildrop::{Delta, Measured, Sizes};
use crate::store::{KEPT_FOR, MailboxId, Store};

on_both_engines!(
    sizes_come_out_as_they_went_in_whatever_their_order,
    what_is_noted_last_of_a_message_counts,
    noting_sizes_is_no_change_of_the_mailbox,
    what_is_forgotten_has_no_size_any_more,
);

fn measured(number: u32, octets: u32) -> Measured {
    Measured {
        seq: seq(number),
        listed: 1000,
        octets,
    }
}

async fn note(store: &Store, mailbox: MailboxId, sizes: &[Measured]) {
    let sizes: Vec<_> = sizes.iter().map(|one| (mailbox, *one)).collect();
    store.note_sizes(&sizes).await.unwrap();
}

async fn sizes(store: &Store, mailbox: MailboxId) -> Vec<Measured> {
    let sizes: Sizes = store.sizes(mailbox).await.unwrap();
    sizes.iter().copied().collect()
}

async fn sizes_come_out_as_they_went_in_whatever_their_order(place: Place) {
    let scene = Scene::new(&place).await;
    let mailbox = scene.mailbox.id;
    assert_eq!(sizes(&scene.store, mailbox).await, []);
    // Several statements, several pages.
    let mut all: Vec<_> = (1..=2000).map(|n| measured(n * 3, u32::MAX - n)).collect();
    all.push(Measured {
        listed: u32::MAX,
        ..measured(u32::MAX, 0)
    });
    let backwards: Vec<_> = all.iter().rev().copied().collect();
    note(&scene.store, mailbox, &backwards).await;
    let others = scene.store.mailbox("other", "info", NOW).await.unwrap().id;
    note(&scene.store, others, &[measured(3, 5)]).await;
    let store = place.reopen(scene.store).await;
    assert_eq!(sizes(&store, mailbox).await, all);
    assert_eq!(sizes(&store, others).await, [measured(3, 5)]);
}

async fn what_is_noted_last_of_a_message_counts(place: Place) {
    let scene = Scene::new(&place).await;
    let (store, mailbox) = (&scene.store, scene.mailbox.id);
    note(store, mailbox, &[measured(1, 1234), measured(2, 1234)]).await;
    let again = Measured {
        listed: 1001,
        ..measured(2, 999)
    };
    note(store, mailbox, &[again, measured(3, 5)]).await;
    let expected = [measured(1, 1234), again, measured(3, 5)];
    assert_eq!(sizes(store, mailbox).await, expected);
}

async fn noting_sizes_is_no_change_of_the_mailbox(place: Place) {
    let scene = Scene::new(&place).await;
    scene.apply(&first_listing(2)).await;
    let (store, mailbox) = (&scene.store, scene.mailbox.id);
    let before = store.register(scene.inbox.id).await.unwrap();
    note(store, mailbox, &[measured(1, 1234)]).await;
    let after = store.register(scene.inbox.id).await.unwrap();
    assert_eq!(after, before, "neither its version nor what it is known by");
}

async fn what_is_forgotten_has_no_size_any_more(place: Place) {
    let scene = Scene::new(&place).await;
    scene.apply(&first_listing(3)).await;
    let (store, mailbox) = (&scene.store, scene.mailbox.id);
    note(store, mailbox, &[measured(1, 5), measured(2, 5)]).await;
    let lost = Delta {
        gone: vec![seq(1)],
        ..delta(4)
    };
    scene.apply(&lost).await;
    store.prune(mailbox, &[], NOW + KEPT_FOR).await.unwrap();
    assert_eq!(sizes(store, mailbox).await.len(), 2, "it may come back");
    store.prune(mailbox, &[], NOW + KEPT_FOR + 1).await.unwrap();
    assert_eq!(sizes(store, mailbox).await, [measured(2, 5)]);
}
