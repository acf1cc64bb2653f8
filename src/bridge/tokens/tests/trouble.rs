//! Authorization servers that give nothing.

use super::*;
use crate::store::TokenState;

#[tokio::test]
async fn a_refresh_ahead_of_time_that_fails_leaves_the_good_token() {
    let (scene, one) = Scene::with_log_in(false).await;
    one.access().await.unwrap();
    scene.server.fails(temporary(None));
    scene.later(HOUR - 300, &[&one]).await;
    let watched = Watched::new(vec![Arc::clone(&one.tokens)]);
    for asked in 1..=2 {
        watched.look();
        while scene.server.asked() < asked || one.kept().await.attempts < asked as i64 {
            tokio::task::yield_now().await;
        }
        assert_eq!(one.access().await.unwrap(), "access-0");
        // Not before its time.
        watched.look();
        one.tokens.fly(Want::Ahead).await.unwrap();
        assert_eq!(scene.server.asked(), asked);
        scene.later(11, &[&one]).await;
    }
    assert_eq!(one.kept().await.state, TokenState::Failing);
    // When it has ended there is none.
    scene.later(300, &[&one]).await;
    assert!(later(one.access().await));
    scene.server.recovers();
    scene.later(HOUR, &[&one]).await;
    assert_eq!(one.access().await.unwrap(), "access-1");
    assert_eq!(one.kept().await.attempts, 0);
}

#[tokio::test]
async fn a_store_or_a_key_in_trouble_ahead_of_time_leaves_the_good_token() {
    let (scene, one) = Scene::with_log_in(true).await;
    assert_eq!(one.access().await.unwrap(), "access-0");
    scene.later(HOUR - 300, &[&one]).await;
    let broken = "CREATE TRIGGER broken BEFORE UPDATE OF sealed ON token BEGIN SELECT RAISE(ABORT, 'no'); END";
    scene.place.sql(broken).await;
    // Got and not kept; and at the next look still not.
    one.tokens.fly(Want::Ahead).await.unwrap();
    let refused = one.tokens.fly(Want::Ahead).await;
    assert!(matches!(refused, Err(Trouble::Store(_))), "{refused:?}");
    assert_eq!(one.access().await.unwrap(), "access-0");
    scene.place.sql("DROP TRIGGER broken").await;
    one.tokens.fly(Want::Ahead).await.unwrap();
    assert_eq!(one.access().await.unwrap(), "access-1");
    assert_eq!(scene.server.asked(), 1);

    std::fs::write(scene.key.path(), "no key").unwrap();
    let refused = one.tokens.fly(Want::Ahead).await;
    let is_about_the_key = matches!(refused, Err(Trouble::Token(TokenTrouble::Key(_))));
    assert!(is_about_the_key, "{refused:?}");
    let access = one.tokens.access().await.unwrap();
    assert_eq!(access.token.expose(), "access-1");
    // What the upstream does not take is no good token.
    assert!(one.tokens.instead(access.version).await.is_err());
    assert!(one.access().await.is_err());
}

#[tokio::test]
async fn an_authorization_server_in_trouble_is_asked_ever_less_often() {
    let (scene, one) = Scene::with_log_in(false).await;
    scene.server.fails(temporary(None));
    scene.later(HOUR, &[&one]).await;
    for (at, pause) in [5, 10, 20, 40, 80, 160, 320, 600, 600]
        .into_iter()
        .enumerate()
    {
        for _ in 0..3 {
            assert!(later(one.access().await));
            one.tokens.memory().told = None;
        }
        assert_eq!(scene.server.asked(), at + 1);
        let retry_in = one.kept().await.retry_in;
        assert!((pause - 3..=pause).contains(&retry_in), "{retry_in}");
        scene.later(pause, &[&one]).await;
    }
}

#[tokio::test]
async fn an_authorization_server_that_says_when_is_not_asked_before() {
    let (scene, one) = Scene::with_log_in(false).await;
    scene.server.fails(temporary(Some(120)));
    scene.later(HOUR, &[&one]).await;
    assert!(later(one.access().await));
    scene.later(100, &[&one]).await;
    assert!(later(one.access().await));
    assert_eq!(scene.server.asked(), 1);
    scene.server.recovers();
    scene.later(20, &[&one]).await;
    assert_eq!(one.access().await.unwrap(), "access-1");
}

#[tokio::test]
async fn nobody_waits_for_longer_than_an_hour_because_a_server_says_so() {
    for is_for_a_person in [true, false] {
        let scene = Scene::new(Place::sqlite(), Server::new(false, is_for_a_person));
        let one = scene.instance("one").await;
        if is_for_a_person {
            one.log_in(&scene.server).await;
        }
        scene.server.fails(temporary(Some(24 * 60 * 60)));
        scene.later(HOUR, &[&one]).await;
        assert!(later(one.access().await));
        scene.later(HOUR - 100, &[&one]).await;
        assert!(later(one.access().await));
        assert_eq!(scene.server.asked(), 1);
        scene.server.recovers();
        scene.later(100, &[&one]).await;
        assert_eq!(one.access().await.unwrap(), "access-1");
    }
}

#[tokio::test]
async fn a_restart_tries_once_what_was_to_wait() {
    let (scene, one) = Scene::with_log_in(false).await;
    scene.server.fails(temporary(Some(1000)));
    scene.later(HOUR, &[&one]).await;
    assert!(later(one.access().await));
    assert!(later(one.access().await));
    assert_eq!(scene.server.asked(), 1);
    let again = scene.instance_for(owner(), "again", one.store.clone());
    for _ in 0..3 {
        assert!(later(again.access().await));
        scene.later(2, &[&again]).await;
    }
    assert_eq!(scene.server.asked(), 2);
    scene.server.recovers();
    let mended = scene.instance_for(owner(), "mended", one.store.clone());
    assert_eq!(mended.access().await.unwrap(), "access-1");
}

#[tokio::test]
async fn an_instance_that_has_seen_good_tokens_waits_with_the_one_that_was_told_to() {
    let (scene, one) = Scene::with_log_in(false).await;
    let beside = scene.instance_for(owner(), "beside", one.store.clone());
    for instance in [&one, &beside] {
        assert_eq!(instance.access().await.unwrap(), "access-0");
    }
    scene.server.fails(temporary(Some(1000)));
    scene.later(HOUR, &[&one, &beside]).await;
    assert!(later(one.access().await));
    assert!(later(beside.access().await));
    assert_eq!(scene.server.asked(), 1);
}

#[tokio::test]
async fn a_revoked_grant_is_asked_about_once_and_a_log_in_ends_it() {
    let (scene, one) = Scene::with_log_in(false).await;
    let revocation = OAuthError::Revoked("invalid_grant".to_owned());
    scene.server.fails(revocation);
    scene.later(HOUR, &[&one]).await;
    for _ in 0..5 {
        assert!(revoked(one.access().await));
        scene.later(HOUR, &[&one]).await;
    }
    assert_eq!(scene.server.asked(), 1);
    let rendered = one.metrics.render();
    for line in [
        "popbridge_token_revoked{account=\"info\"} 1",
        "popbridge_token_refreshes_total{account=\"info\",outcome=\"revoked\"} 1",
    ] {
        assert!(rendered.contains(line), "{rendered}");
    }
    let standing = one.tokens.keeper.standings(&[owner()]).await.unwrap();
    let trouble = standing[0].trouble.as_ref().unwrap().to_string();
    assert!(trouble.contains("popbridge oauth login info"), "{trouble}");
    scene.server.recovers();
    one.log_in(&scene.server).await;
    assert_eq!(one.access().await.unwrap(), "access-0");
    let rendered = one.metrics.render();
    assert!(rendered.contains("popbridge_token_revoked{account=\"info\"} 0"));
}

#[tokio::test]
async fn what_is_wrong_in_the_configuration_is_seldom_asked_about_but_after_a_restart() {
    let (scene, one) = Scene::with_log_in(false).await;
    scene
        .server
        .fails(OAuthError::Misconfigured("invalid_client".to_owned()));
    scene.later(HOUR, &[&one]).await;
    for _ in 0..3 {
        let trouble = one.access().await.unwrap_err();
        assert_eq!(
            trouble,
            TokenTrouble::Misconfigured("invalid_client".to_owned())
        );
        scene.later(80, &[&one]).await;
    }
    assert_eq!(scene.server.asked(), 1);
    let again = scene.instance_for(owner(), "again", one.store.clone());
    scene.server.recovers();
    assert_eq!(again.access().await.unwrap(), "access-1");
}
