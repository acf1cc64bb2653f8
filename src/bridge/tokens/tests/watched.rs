//! Tokens that are refreshed ahead, for several accounts and providers, and what is done for them at the end.

use super::*;

/// An account of a provider whose authorization server is this one, with a token that ends soon.
async fn account(scene: &Scene, number: usize, provider: &str, server: &Arc<Server>) -> Instance {
    let owner = Owner {
        account: format!("{provider}-{number}"),
        login: format!("{provider}-{number}@example.com"),
        user: format!("{provider}-{number}@example.com"),
        provider: provider.to_owned(),
        ..owner()
    };
    let store = match number {
        0 => scene.place.open().await,
        _ => scene.place.open_as_command().await,
    };
    let keeper = Keeper::new(store.clone(), scene.key());
    keeper.keep(&owner, &server.log_in()).await.unwrap();
    scene.instance_with(owner, "one", store, server)
}

async fn asked(server: &Server, times: usize) {
    while server.asked() < times {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_silent_authorization_server_keeps_no_other_ones_tokens_waiting() {
    let silent = Server::new(false, true);
    let other = Server::new(false, true);
    silent.answers.send_replace(false);
    let scene = Scene::new(Place::sqlite(), Arc::clone(&other));
    let mut all = Vec::new();
    for number in 0..6 {
        all.push(account(&scene, number, "silent", &silent).await);
    }
    all.push(account(&scene, 6, "other", &other).await);
    let instances: Vec<_> = all.iter().collect();
    scene.later(HOUR - 60, &instances).await;
    let watched = Watched::new(all.iter().map(|one| Arc::clone(&one.tokens)).collect());
    watched.look();
    asked(&other, 1).await;
    asked(&silent, 4).await;
    // Nobody waits twice, however long it takes.
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    while all[6].kept().await.version < 2 {
        tokio::task::yield_now().await;
    }
    let before = tasks();
    for _ in 0..3 {
        for one in &all[..6] {
            one.tokens.memory().look_at = 0;
        }
        watched.look();
    }
    assert!(tasks() <= before, "{} after {before}", tasks());
    assert_eq!(silent.asked(), 4);
    silent.answers.send_replace(true);
    asked(&silent, 6).await;
    watched.settled().await;
}

#[tokio::test]
async fn at_the_end_a_refresh_that_is_under_way_is_waited_for_and_none_is_begun() {
    let (scene, one) = Scene::with_log_in(true).await;
    scene.later(HOUR, &[&one]).await;
    scene.server.answers.send_replace(false);
    let tokens = Arc::clone(&one.tokens);
    let session = tokio::spawn(async move { told(tokens.access().await) });
    asked(&scene.server, 1).await;
    let watched = Watched::new(vec![Arc::clone(&one.tokens)]);
    let mut settled = std::pin::pin!(watched.settled());
    let early = tokio::time::timeout(Duration::from_millis(50), &mut settled).await;
    assert!(early.is_err(), "it is not over");
    scene.server.answers.send_replace(true);
    settled.await;
    assert_eq!(one.opened().await.refresh.unwrap().expose(), "refresh-1");
    assert_eq!(session.await.unwrap().unwrap(), "access-1");
    scene.later(HOUR, &[&one]).await;
    assert!(later(one.access().await));
    assert_eq!(scene.server.asked(), 1);
}

#[tokio::test]
async fn at_the_end_what_could_not_be_kept_is_tried_again() {
    let (scene, one) = Scene::with_log_in(true).await;
    scene.later(HOUR, &[&one]).await;
    let broken = "CREATE TRIGGER broken BEFORE UPDATE OF sealed ON token BEGIN SELECT RAISE(ABORT, 'no'); END";
    scene.place.sql(broken).await;
    one.tokens.access().await.unwrap_err();
    scene.place.sql("DROP TRIGGER broken").await;
    Watched::new(vec![Arc::clone(&one.tokens)]).settled().await;
    let opened = one.opened().await;
    assert_eq!(opened.access.expose(), "access-1");
    assert_eq!(opened.refresh.unwrap().expose(), "refresh-1");
}
