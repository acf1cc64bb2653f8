//! An upstream that refuses good tokens.

use super::*;
use crate::imap::Error;

fn no() -> Trouble {
    Trouble::Account(Error::NoSafeRemoval)
}

#[tokio::test]
async fn what_the_upstream_refuses_is_refreshed_once_a_minute() {
    let (scene, one) = Scene::with_log_in(false).await;
    let first = one.tokens.access().await.unwrap();
    // All sessions are refused.
    let both = tokio::join!(
        one.tokens.instead(first.version),
        one.tokens.instead(first.version)
    );
    let second = both.0.unwrap().unwrap();
    assert_eq!(second.token.expose(), "access-1");
    assert_eq!(both.1.unwrap().unwrap().version, second.version);
    assert_eq!(one.access().await.unwrap(), "access-1");
    // One that comes late takes what is there.
    let late = one.tokens.instead(first.version).await.unwrap().unwrap();
    assert_eq!(late.version, second.version);
    assert!(one.tokens.instead(second.version).await.unwrap().is_none());
    assert_eq!(scene.server.asked(), 1);
    scene.later(61, &[&one]).await;
    let third = one.tokens.instead(second.version).await.unwrap().unwrap();
    assert_eq!(third.token.expose(), "access-2");
    assert_eq!(scene.server.asked(), 2);
}

#[tokio::test]
async fn what_the_upstream_refuses_and_cannot_be_refreshed_is_not_shown_again() {
    let (scene, one) = Scene::with_log_in(false).await;
    let first = one.tokens.access().await.unwrap();
    scene.server.fails(OAuthError::Revoked("gone".to_owned()));
    let instead = one.tokens.instead(first.version).await;
    assert!(revoked(told(instead.map(Option::unwrap))));
    scene.later(90, &[&one]).await;
    assert!(revoked(one.access().await), "although its time is not over");
}

/// A session's log-in at an upstream that takes nothing: the versions that it was shown.
async fn refused_session(one: &Instance) -> Vec<i64> {
    let access = match one.tokens.access().await {
        Ok(access) => access,
        Err(Trouble::Account(_)) => return Vec::new(),
        Err(other) => panic!("{other}"),
    };
    let mut shown = vec![access.version];
    if let Some(access) = one.tokens.instead(access.version).await.unwrap() {
        shown.push(access.version);
    }
    one.tokens.is_refused(*shown.last().unwrap(), &no());
    shown
}

#[tokio::test]
async fn a_token_that_was_refused_is_shown_once_a_minute_and_replaced_ever_less_often() {
    let (scene, one) = Scene::with_log_in(true).await;
    assert_eq!(refused_session(&one).await, [1, 2]);
    let mut replaced_at = vec![0];
    let mut version = 2;
    for minute in 1..=100 {
        for _ in 0..3 {
            scene.later(15, &[&one]).await;
            assert!(refused_session(&one).await.is_empty(), "it is known");
        }
        scene.later(16, &[&one]).await;
        let shown = refused_session(&one).await;
        assert_eq!(shown[0], version, "it is shown again");
        if let Some(newer) = shown.get(1) {
            version = *newer;
            replaced_at.push(minute);
        }
    }
    assert_eq!(replaced_at, [0, 1, 3, 7, 15, 31, 63]);
}

#[tokio::test]
async fn a_log_in_ends_that_a_refused_token_is_not_shown() {
    let (scene, one) = Scene::with_log_in(true).await;
    assert_eq!(refused_session(&one).await, [1, 2]);
    assert!(refused_session(&one).await.is_empty());
    let asked = scene.server.asked();
    one.log_in(&scene.server).await;
    let access = one.tokens.access().await.unwrap();
    assert_eq!(access.token.expose(), "access-0");
    one.tokens.is_accepted(access.version);
    assert_eq!(scene.server.asked(), asked);
    // What comes late of the one before says nothing of it.
    one.tokens.is_refused(access.version - 1, &no());
    assert!(one.tokens.access().await.is_ok());
    // When one was accepted the pauses are short again.
    scene.later(61, &[&one]).await;
    assert!(one.tokens.instead(access.version).await.unwrap().is_some());
}

#[tokio::test]
async fn a_token_that_is_refused_is_refreshed_ahead_of_its_end_all_the_same() {
    let (scene, one) = Scene::with_log_in(true).await;
    assert_eq!(refused_session(&one).await, [1, 2]);
    let kept = one.tokens.fly(Want::Ahead).await.unwrap();
    assert_eq!((kept.version, scene.server.asked()), (2, 1), "no sooner");
    assert!(refused_session(&one).await.is_empty());
    scene.later(HOUR - 300, &[&one]).await;
    one.tokens.is_refused(2, &no());
    let next = one.tokens.fly(Want::Ahead).await.unwrap();
    assert_eq!((next.version, scene.server.asked()), (3, 2));
}
