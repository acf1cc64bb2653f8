//! Whether the time or the words of a refusal tell which clients there are: the slow checks are counted, each of which takes some 20 ms, and
//! nothing else that a refusal does takes a hundredth of that.

use std::collections::HashMap;

use super::*;
use crate::auth::passwords::{choose, generate};
use crate::auth::{Router, Verifier};
use crate::bridge::{Setup, refusals};
use crate::config::{Overrides, load};
use crate::metrics::Metrics;
use crate::pop3::Mechanism;
use crate::secret::{Secret, StoredPassword};
use crate::store::tests::support::{NOW, Place};

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

fn login(user: &str, presented: Presented) -> Login {
    Login {
        user: user.to_owned(),
        presented,
        mechanism: Mechanism::Pass,
    }
}

/// A bridge with three clients of one mailbox, and no upstream: nobody gets in.
async fn bridge(place: &Place) -> Bridge {
    let store = place.open().await;
    let key = store.secret_key().await.unwrap();
    let mailbox = store
        .mailbox("imap.example:993", "info", NOW)
        .await
        .unwrap();
    let clients: [(&str, Option<StoredPassword>); 3] = [
        ("generated", Some(generate(&key).unwrap().1)),
        ("chosen", Some(choose(&secret("correct horse")).unwrap())),
        ("none", None),
    ];
    for (name, password) in clients {
        let client = NewClient {
            mailbox: mailbox.id,
            login: name.to_owned(),
            name: name.to_owned(),
            named: true,
            account: Some("info".to_owned()),
            password,
            settings: ClientSettings::default().to_json(),
        };
        store.add_client(&client, NOW).await.unwrap();
    }
    let overrides = Overrides {
        upstream: Some("imap://127.0.0.1:1".to_owned()),
        ..Overrides::default()
    };
    let config = load(&overrides).unwrap();
    let verifier = Verifier::new(key).unwrap();
    let metrics = Arc::new(Metrics::new());
    // One that nobody of these belongs to.
    let upstream = Upstream::new(&config.upstreams[0], &metrics).unwrap();
    let setup = Setup {
        router: Router::new([(vec!["elsewhere.test".to_owned()], Arc::new(upstream))]),
        configured: HashMap::new(),
        limits: Arc::new(config.limits),
    };
    Bridge::new(setup, metrics, store, verifier, "test".to_owned())
}

#[tokio::test]
async fn every_refusal_takes_one_slow_check_and_the_same_words() {
    let place = Place::sqlite();
    let bridge = bridge(&place).await;
    let password = || Presented::Password(secret("wrong"));
    let token = || Presented::Token(secret("token"));
    let long = "x".repeat(LONGEST_NAME + 1);
    let mut words = Vec::new();
    for (user, presented) in [
        ("nobody", password()),
        ("nobody@example.com", password()),
        ("generated", password()),
        ("chosen", password()),
        ("none", password()),
        ("generated", token()),
        ("none", token()),
        ("nobody", token()),
        ("recent:chosen", password()),
        ("recent:nobody", password()),
        ("recent:", password()),
        (&long, password()),
    ] {
        // The second time nothing is remembered that would make it quicker.
        for _ in 0..2 {
            let before = bridge.verifier.slow_checks();
            let pulse = Arc::default();
            let entered = bridge.enter(&login(user, presented.clone()), &pulse).await;
            let barred = entered.err().unwrap();
            assert_eq!(bridge.verifier.slow_checks() - before, 1, "{user}");
            words.push(refusals::of_login(&barred));
        }
    }
    words.dedup();
    assert_eq!(words.len(), 1, "{words:?}");
}

#[tokio::test]
async fn guesses_at_one_mailbox_are_counted_together_however_its_name_is_written() {
    let place = Place::sqlite();
    let bridge = bridge(&place).await;
    for name in [" Chosen", "CHOSEN", "recent:chosen", "Recent:chosen "] {
        assert_eq!(bridge.mailbox_meant(name), "chosen", "{name}");
    }
    assert_ne!(bridge.mailbox_meant("generated"), "chosen");
}
