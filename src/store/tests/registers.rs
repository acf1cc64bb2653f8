//! Mailboxes, folders, and registers that come out as they went in.

use super::on_both_engines;
use super::support::{NOW, Place, Scene, delta, first_listing, message, moved, seq, uid};
use crate::maildrop::{Delta, Format, NewMessage, Register, UidValidity};
use crate::store::{KEPT_FOR, Role, StoreError};

on_both_engines!(
    a_mailbox_is_made_once_and_found_again,
    folders_get_numbers_that_make_their_uidls_different,
    what_was_never_listed_has_no_register,
    a_register_comes_out_as_it_went_in,
    extreme_numbers_survive,
    a_change_of_a_mailbox_that_changed_meanwhile_writes_nothing,
    a_message_that_is_gone_keeps_the_uidl_it_had,
    a_message_that_comes_back_is_present_again,
    a_new_uidvalidity_moves_messages_and_keeps_their_uidls,
    pinned_uidls_hashes_and_sizes_are_written,
    a_large_register_is_read_page_by_page,
    messages_gone_for_long_are_forgotten_and_their_losses_kept,
    two_bridges_that_list_at_once_do_not_mix,
);

async fn register(scene: &Scene) -> Register {
    let read = scene.store.register(scene.inbox.id).await.unwrap();
    read.expect("it was listed").0
}

fn uidls(register: &Register) -> Vec<String> {
    (0..register.index.messages.len())
        .map(|at| register.uidl(at).unwrap().to_string())
        .collect()
}

async fn a_mailbox_is_made_once_and_found_again(place: Place) {
    let store = place.open().await;
    assert_eq!(store.find_mailbox("up:993", "it's me").await.unwrap(), None);
    let made = store.mailbox("up:993", "it's me", NOW).await.unwrap();
    assert_eq!(
        store.mailbox("up:993", "it's me", NOW + 1).await.unwrap(),
        made
    );
    let other = store.mailbox("up:993", "you", NOW).await.unwrap();
    let store = place.reopen(store).await;
    assert_eq!(store.mailboxes().await.unwrap(), [made, other]);
}

async fn folders_get_numbers_that_make_their_uidls_different(place: Place) {
    let scene = Scene::new(&place).await;
    let (store, mailbox) = (&scene.store, scene.mailbox.id);
    let second = store
        .folder(mailbox, "Träger & Söhne", Role::Served)
        .await
        .unwrap();
    let hold = store
        .folder(mailbox, "popbridge", Role::Hold)
        .await
        .unwrap();
    assert_eq!(
        store
            .folder(mailbox, "Träger & Söhne", Role::Served)
            .await
            .unwrap(),
        second
    );
    let folders = store.folders(mailbox).await.unwrap();
    assert_eq!(folders, [scene.inbox, second, hold]);
    let suffixes: Vec<_> = folders.iter().map(|f| f.suffix().to_string()).collect();
    assert_eq!(suffixes, ["", "-f2", "-f3"]);
    let nobodys = crate::store::types::MailboxId(99);
    let refused = store.folder(nobodys, "INBOX", Role::Served).await;
    assert!(matches!(refused, Err(StoreError::NoSuch(_))), "{refused:?}");
}

async fn what_was_never_listed_has_no_register(place: Place) {
    let scene = Scene::new(&place).await;
    assert_eq!(scene.store.register(scene.inbox.id).await.unwrap(), None);
    assert_eq!(
        scene.store.next(scene.mailbox.id).await.unwrap(),
        (1, seq(1))
    );
    scene.apply(&first_listing(0)).await;
    let (register, version, next_seq) =
        scene.store.register(scene.inbox.id).await.unwrap().unwrap();
    assert!(register.index.messages.is_empty());
    assert_eq!((version, next_seq), (2, seq(1)));
}

async fn a_register_comes_out_as_it_went_in(place: Place) {
    let scene = Scene::new(&place).await;
    let mut listing = first_listing(3);
    listing.new[1].uidl = Some("it's-\"odd\"\\%$1?;--".into());
    listing.new[2].header_hash = Some(-5);
    listing.format = Some(Format::parse("dovecot").unwrap());
    scene.apply(&listing).await;
    let store = place.reopen(scene.store).await;
    let (register, version, next_seq) = store.register(scene.inbox.id).await.unwrap().unwrap();
    assert_eq!((version, next_seq), (2, seq(4)));
    assert_eq!(
        uidls(&register),
        [
            "0000000100000007",
            "it's-\"odd\"\\%$1?;--",
            "0000000300000007"
        ]
    );
    let first = message(1);
    assert_eq!(
        register.index.messages[0].internal_date,
        first.internal_date
    );
    assert_eq!(register.index.messages[0].size, first.size);
    assert_eq!(register.entries[0].first_seen, first.first_seen);
    assert_eq!(register.entries[2].seq, seq(3));
    assert_eq!(register.header_hashes.get(&seq(3)), Some(&-5));
    assert_eq!(register.index.uid_next, Some(4));
    assert_eq!(register.index.highest_modseq, Some(u64::MAX));
    assert_eq!(register.floors, [(UidValidity::new(7).unwrap(), 4)]);
    assert_eq!(register.index.gm_msgids, None);
}

async fn extreme_numbers_survive(place: Place) {
    let scene = Scene::new(&place).await;
    let extreme = NewMessage {
        seq: seq(u32::MAX),
        uid: uid(u32::MAX),
        size: u32::MAX,
        internal_date: i64::MIN,
        first_seen: u32::MAX,
        gm_msgid: Some(1 << 63),
        email_id: Some(u64::MAX),
        header_hash: Some(i64::MIN),
        uidl: None,
    };
    let usual = NewMessage {
        gm_msgid: Some(1),
        ..message(1)
    };
    scene
        .apply(&Delta {
            uid_validity: UidValidity::new(u32::MAX).unwrap(),
            new: vec![usual, extreme.clone()],
            hashes: vec![(seq(1), i64::MIN), (seq(u32::MAX), i64::MAX)],
            ..first_listing(0)
        })
        .await;
    let before = register(&scene).await;
    assert_eq!(before.index.email_ids, Some(vec![0, u64::MAX]));
    scene
        .apply(&Delta {
            uid_validity: UidValidity::new(u32::MAX).unwrap(),
            email_ids: vec![(seq(1), 1 << 63)],
            ..delta(5)
        })
        .await;
    let register = register(&scene).await;
    assert_eq!(register.index.email_ids, Some(vec![1 << 63, u64::MAX]));
    assert_eq!(register.index.messages[1].internal_date, i64::MIN);
    assert_eq!(register.index.messages[1].size, u32::MAX);
    assert_eq!(register.index.gm_msgids, Some(vec![1, 1 << 63]));
    assert_eq!(register.header_hashes[&seq(1)], i64::MIN);
    assert_eq!(register.header_hashes[&seq(u32::MAX)], i64::MAX);
    assert_eq!(uidls(&register)[1], "4294967295-4294967295");
}

async fn a_change_of_a_mailbox_that_changed_meanwhile_writes_nothing(place: Place) {
    let scene = Scene::new(&place).await;
    scene.apply(&first_listing(2)).await;
    let late = Delta {
        new: vec![message(3)],
        ..delta(4)
    };
    let applied = scene
        .store
        .apply(scene.mailbox.id, scene.inbox.id, 1, &late, NOW)
        .await;
    assert_eq!(applied, Err(StoreError::Conflict));
    assert_eq!(register(&scene).await.index.messages.len(), 2);
    assert_eq!(
        scene.store.next(scene.mailbox.id).await.unwrap(),
        (2, seq(3))
    );
}

async fn a_message_that_is_gone_keeps_the_uidl_it_had(place: Place) {
    let scene = Scene::new(&place).await;
    scene.apply(&first_listing(4)).await;
    let other_format = Delta {
        gone: vec![seq(2), seq(4)],
        format: Some(Format::parse("cyrus").unwrap()),
        pinned: vec![(seq(1), "7-1".into()), (seq(3), "7-3".into())],
        ..delta(5)
    };
    scene.apply(&other_format).await;
    let register = register(&scene).await;
    assert_eq!(uidls(&register), ["7-1", "7-3"]);
    let gone: Vec<_> = register
        .gone
        .iter()
        .map(|g| (g.seq.get(), &*g.uidl, g.gone_at))
        .collect();
    assert_eq!(gone, [(2, "7-2", NOW), (4, "7-4", NOW)]);
    assert_eq!(register.gone[0].uid_validity.get(), 7);
    assert!(!register.gone[0].disposed);
}

async fn a_message_that_comes_back_is_present_again(place: Place) {
    let scene = Scene::new(&place).await;
    scene.apply(&first_listing(3)).await;
    let empty = Delta {
        gone: vec![seq(1), seq(2), seq(3)],
        ..delta(4)
    };
    scene.apply(&empty).await;
    assert!(register(&scene).await.index.messages.is_empty());
    let back = Delta {
        back: vec![moved(1, 1, None), moved(3, 3, None)],
        ..delta(4)
    };
    scene.apply(&back).await;
    let register = register(&scene).await;
    assert_eq!(uidls(&register), ["7-1", "7-3"]);
    assert_eq!(register.gone.len(), 1);
    assert!(register.uidls.is_empty());
}

async fn a_new_uidvalidity_moves_messages_and_keeps_their_uidls(place: Place) {
    let scene = Scene::new(&place).await;
    scene.apply(&first_listing(3)).await;
    let eight = UidValidity::new(8).unwrap();
    let anew = Delta {
        uid_validity: eight,
        gone: vec![seq(2)],
        moved: vec![moved(3, 1, Some("7-3")), moved(1, 2, Some("7-1"))],
        new: vec![NewMessage {
            seq: seq(4),
            uid: uid(3),
            ..message(9)
        }],
        floors: vec![(eight, 4)],
        regenerated: true,
        ..delta(5)
    };
    scene.apply(&anew).await;
    let register = register(&scene).await;
    assert_eq!(uidls(&register), ["7-3", "7-1", "8-3"]);
    assert_eq!(&*register.gone[0].uidl, "7-2");
    assert_eq!(register.floors.len(), 2);
    // Ascending UIDs, whatever the numbers are.
    let order: Vec<_> = register.entries.iter().map(|e| e.seq.get()).collect();
    assert_eq!(order, [3, 1, 4]);
}

async fn pinned_uidls_hashes_and_sizes_are_written(place: Place) {
    let scene = Scene::new(&place).await;
    scene.apply(&first_listing(1200)).await;
    let all = Delta {
        pinned: (1..=1200)
            .map(|n| (seq(n), format!("p{n}").into()))
            .collect(),
        hashes: (1..=1200).map(|n| (seq(n), i64::from(n))).collect(),
        sized: vec![(seq(1200), 1)],
        ..delta(1201)
    };
    scene.apply(&all).await;
    let register = register(&scene).await;
    assert_eq!(uidls(&register)[1199], "p1200");
    assert_eq!(register.header_hashes.len(), 1200);
    assert_eq!(register.index.messages[1199].size, 1);
}

async fn a_large_register_is_read_page_by_page(place: Place) {
    let scene = Scene::new(&place).await;
    scene.apply(&first_listing(2000)).await;
    let whole = register(&scene).await;
    assert_eq!(whole.index.messages.len(), 2000);
    assert!(whole.entries.is_sorted_by_key(|entry| entry.seq));
}

async fn messages_gone_for_long_are_forgotten_and_their_losses_kept(place: Place) {
    let scene = Scene::new(&place).await;
    scene.apply(&first_listing(3)).await;
    let lost = Delta {
        gone: vec![seq(1)],
        ..delta(4)
    };
    let version = scene.apply(&lost).await;
    let (store, mailbox) = (&scene.store, scene.mailbox.id);
    store.prune(mailbox, &[], NOW + KEPT_FOR).await.unwrap();
    assert_eq!(register(&scene).await.gone.len(), 1);
    assert_eq!(store.version(mailbox).await.unwrap(), version);
    store
        .prune(mailbox, &[(scene.client.id, 1)], NOW + KEPT_FOR + 1)
        .await
        .unwrap();
    assert!(register(&scene).await.gone.is_empty());
    assert!(store.version(mailbox).await.unwrap() > version);
    let client = store.client_by_login("info/desk").await.unwrap().unwrap();
    assert_eq!(client.losses_before, 1);
    // The number is not given again.
    assert_eq!(store.next(mailbox).await.unwrap().1, seq(4));
}

async fn two_bridges_that_list_at_once_do_not_mix(place: Place) {
    let scene = Scene::new(&place).await;
    let listings: Vec<_> = (1..=8).map(first_listing).collect();
    let all = listings.iter().map(|delta| {
        let scene = &scene;
        async move {
            let applied = scene
                .store
                .apply(scene.mailbox.id, scene.inbox.id, 1, delta, NOW);
            applied.await.map(|_| delta.new.len())
        }
    });
    let mut won = Vec::new();
    let mut tasks: Vec<_> = all.map(Box::pin).collect();
    std::future::poll_fn(|cx| {
        tasks.retain_mut(|task| match task.as_mut().poll(cx) {
            std::task::Poll::Ready(done) => {
                won.push(done);
                false
            }
            std::task::Poll::Pending => true,
        });
        if tasks.is_empty() {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    let winners: Vec<_> = won.iter().filter_map(|done| done.as_ref().ok()).collect();
    assert_eq!(winners.len(), 1, "{won:?}");
    let lost = won
        .iter()
        .filter(|done| **done == Err(StoreError::Conflict))
        .count();
    assert_eq!(lost, 7, "{won:?}");
    assert_eq!(register(&scene).await.index.messages.len(), *winners[0]);
}
