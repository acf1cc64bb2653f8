//! What is logged of trouble that lasts: once, and not at each look.

use std::io;

use tracing::subscriber::{DefaultGuard, set_default};

use super::*;

/// What is logged in this thread, where all of a test runs.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn begin() -> (Self, DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone());
        (log, set_default(subscriber.finish()))
    }

    /// How many lines say this.
    fn lines(&self, words: &str) -> usize {
        let bytes = self.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        text.lines().filter(|line| line.contains(words)).count()
    }
}

#[tokio::test]
async fn a_store_in_trouble_is_told_once_until_there_is_a_token_again() {
    let (scene, one) = Scene::with_log_in(false).await;
    let (log, _guard) = Log::begin();
    for round in 1..=2 {
        scene.later(HOUR, &[&one]).await;
        let broken = "CREATE TRIGGER broken BEFORE UPDATE OF holder ON token BEGIN SELECT RAISE(ABORT, 'no'); END";
        scene.place.sql(broken).await;
        for _ in 0..3 {
            let refused = one.tokens.access().await;
            assert!(matches!(refused, Err(Trouble::Store(_))), "{refused:?}");
            one.tokens.memory().told = None;
        }
        assert_eq!(log.lines("no token for the account"), round);
        scene.place.sql("DROP TRIGGER broken").await;
        one.access().await.unwrap();
        assert_eq!(log.lines("has a good token again"), round);
    }
}

#[tokio::test]
async fn a_token_that_cannot_be_opened_is_told_where_another_one_is_asked_for() {
    let scene = Scene::new(Place::sqlite(), Server::new(false, false));
    let one = scene.instance("one").await;
    one.access().await.unwrap();
    std::fs::write(scene.key.path(), "cd".repeat(32)).unwrap();
    scene.server.fails(temporary(Some(1000)));
    let (log, _guard) = Log::begin();
    let again = scene.instance_for(owner(), "again", one.store.clone());
    for _ in 0..3 {
        assert!(later(again.access().await));
        again.tokens.memory().told = None;
    }
    assert_eq!(scene.server.asked(), 2);
    assert_eq!(log.lines("another token is asked for"), 1);
}
