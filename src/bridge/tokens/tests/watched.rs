//! Tokens that are refreshed ahead, for several accounts and providers.

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
