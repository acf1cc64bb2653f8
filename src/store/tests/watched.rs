//! What is told of operations.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::on_both_engines;
use super::support::{NOW, Place, Scene, delta, new_client, seq};
use crate::store::{Observer, Operation, StoreError};

on_both_engines!(
    each_operation_is_told_of_with_what_came_of_it,
    a_store_in_trouble_is_told_of_and_a_refusal_is_no_trouble
);

#[derive(Default)]
struct Heard(Mutex<Vec<(Operation, Option<StoreError>)>>);

impl Heard {
    fn take(&self) -> Vec<(Operation, Option<StoreError>)> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Observer for Heard {
    fn done(&self, operation: Operation, outcome: Result<(), &StoreError>, _: Duration) {
        let heard = (operation, outcome.err().cloned());
        self.0.lock().unwrap().push(heard);
    }
}

async fn each_operation_is_told_of_with_what_came_of_it(place: Place) {
    let scene = Scene::new(&place).await;
    let (store, mailbox) = (&scene.store, scene.mailbox.id);
    let heard = Arc::new(Heard::default());
    store.observed_by(Arc::clone(&heard) as Arc<dyn Observer>);
    // Whoever comes second hears nothing.
    store.observed_by(Arc::new(Heard::default()));
    store.troubles(mailbox).await.unwrap();
    assert_eq!(heard.take(), [(Operation::Read, None)]);
    store.sizes(mailbox).await.unwrap();
    assert_eq!(heard.take(), [(Operation::Snapshot, None)]);
    store.trouble(mailbox, seq(1), "cut", NOW).await.unwrap();
    let done = [(Operation::Commit, None), (Operation::Write, None)];
    assert_eq!(heard.take(), done);
}

async fn a_store_in_trouble_is_told_of_and_a_refusal_is_no_trouble(place: Place) {
    let scene = Scene::new(&place).await;
    let (store, mailbox) = (&scene.store, scene.mailbox.id);
    let heard = Arc::new(Heard::default());
    store.observed_by(Arc::clone(&heard) as Arc<dyn Observer>);
    let delta = delta(1);
    let conflict = store.apply(mailbox, scene.inbox.id, 1000, &delta, NOW);
    assert_eq!(conflict.await, Err(StoreError::Conflict));
    let taken = new_client(&scene.mailbox, "info/desk");
    let taken = store.add_client(&taken, NOW).await;
    assert!(matches!(taken, Err(StoreError::Taken(_))));
    let heard_of = |heard: &Heard| -> Vec<StoreError> {
        heard.take().into_iter().filter_map(|(_, e)| e).collect()
    };
    let refused = heard_of(&heard);
    assert!(refused.len() >= 2, "{refused:?}");
    assert!(!refused.iter().any(StoreError::is_trouble), "{refused:?}");
    place.sql("DROP TABLE trouble").await;
    store.troubles(mailbox).await.unwrap_err();
    store
        .trouble(mailbox, seq(1), "cut", NOW)
        .await
        .unwrap_err();
    let in_trouble = heard_of(&heard);
    assert!(in_trouble.len() >= 2, "{in_trouble:?}");
    assert!(
        in_trouble.iter().all(StoreError::is_trouble),
        "{in_trouble:?}"
    );
}
