//! Those who wait until somebody has logged in again.

use tokio::time::{pause, resume};

use super::*;
use crate::bridge::account::Password;
use crate::bridge::tokens::Watched;
use crate::bridge::watch::{LONGEST_PAUSE, Rested, rest};

/// A process whose grant was revoked, and the trouble that this is.
async fn revoked_scene() -> (Scene, Instance, Trouble) {
    let (scene, one) = Scene::with_log_in(false).await;
    assert_eq!(one.access().await.unwrap(), "access-0");
    scene.later(HOUR, &[&one]).await;
    scene
        .server
        .fails(OAuthError::Revoked("invalid_grant".to_owned()));
    let trouble = one.tokens.access().await.unwrap_err();
    assert!(revoked(told(Err(trouble.clone()))));
    (scene, one, trouble)
}

#[tokio::test]
async fn whoever_watches_a_folder_goes_on_soon_after_a_log_in() {
    let (scene, one, trouble) = revoked_scene().await;
    let password = Password::Tokens(Arc::clone(&one.tokens));
    let rested = tokio::spawn(async move { rest(&password, &trouble, LONGEST_PAUSE).await });
    scene.server.recovers();
    // Nobody has logged in yet.
    assert!(one.tokens.fly(Want::Ahead).await.is_err());
    assert!(!rested.is_finished());
    // From the command line, and no session comes: the background's next look finds it.
    one.log_in(&scene.server).await;
    one.tokens.memory().look_at = 0;
    Watched::new(vec![Arc::clone(&one.tokens)]).look();
    assert_eq!(rested.await.unwrap(), Rested::UntilGood);
    assert_eq!(one.access().await.unwrap(), "access-0");
}

#[tokio::test]
async fn without_a_log_in_or_after_other_trouble_the_whole_pause_is_kept() {
    let (scene, one, trouble) = revoked_scene().await;
    let password = Password::Tokens(Arc::clone(&one.tokens));
    pause();
    let began = Instant::now();
    assert_eq!(rest(&password, &trouble, LONGEST_PAUSE).await, Rested::Long);
    // The clock has stopped between two of its milliseconds.
    assert_eq!(began.elapsed().as_secs(), LONGEST_PAUSE.as_secs());
    resume();
    scene.server.recovers();
    one.log_in(&scene.server).await;
    assert_eq!(one.access().await.unwrap(), "access-0");
    // By now there is one: nothing is to be waited for, whatever came first.
    pause();
    let began = Instant::now();
    assert_eq!(
        rest(&password, &trouble, LONGEST_PAUSE).await,
        Rested::UntilGood
    );
    assert_eq!(began.elapsed().as_secs(), 0);
    let other = Trouble::Settings("something else".to_owned());
    assert_eq!(rest(&password, &other, LONGEST_PAUSE).await, Rested::Long);
}
