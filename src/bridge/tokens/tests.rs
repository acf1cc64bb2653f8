//! Tokens of one account with an authorization server that does what a test says, and a true store.

mod again;
mod logged;
mod refused;
mod trouble;
mod watched;

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::watch;

use super::keeper::Kept;
use super::*;
use crate::auth::{PasswordSource, TokenKey};
use crate::oauth::{Granted, OAuthError, Renewed};
use crate::secret::SecretFile;
use crate::store::Store;
use crate::store::tests::support::Place;

/// Gives tokens `access-1`, `access-2`... for an hour, and takes only the refresh token that it has given last.
#[derive(Debug)]
struct Server {
    asked: AtomicUsize,
    given: AtomicUsize,
    rotates: bool,
    is_for_a_person: bool,
    trouble: Mutex<Option<OAuthError>>,
    refresh: Mutex<String>,
    /// It answers while this is true.
    answers: watch::Sender<bool>,
}

impl Server {
    fn new(rotates: bool, is_for_a_person: bool) -> Arc<Self> {
        Arc::new(Self {
            asked: AtomicUsize::default(),
            given: AtomicUsize::default(),
            rotates,
            is_for_a_person,
            trouble: Mutex::default(),
            refresh: Mutex::new("refresh-0".to_owned()),
            answers: watch::Sender::new(true),
        })
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn fails(&self, error: OAuthError) {
        *self.trouble.lock().unwrap() = Some(error);
    }

    fn recovers(&self) {
        *self.trouble.lock().unwrap() = None;
    }

    /// What a person's log-in gives.
    fn log_in(&self) -> Granted {
        let refresh = self.refresh.lock().unwrap().clone();
        granted("access-0", Some(&refresh))
    }

    async fn answer(&self, shown: Option<Secret>) -> Result<Granted, OAuthError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.answers.subscribe();
        answers.wait_for(|answers| *answers).await.unwrap();
        if let Some(error) = self.trouble.lock().unwrap().clone() {
            return Err(error);
        }
        let mut refresh = self.refresh.lock().unwrap();
        if self.is_for_a_person && shown.unwrap().expose() != *refresh {
            return Err(OAuthError::Revoked("invalid_grant".to_owned()));
        }
        let number = self.given.fetch_add(1, Ordering::SeqCst) + 1;
        if self.rotates {
            *refresh = format!("refresh-{number}");
        }
        let next = self.rotates.then_some(refresh.as_str());
        Ok(granted(&format!("access-{number}"), next))
    }
}

impl Renew for Server {
    fn needs_refresh_token(&self) -> bool {
        self.is_for_a_person
    }

    fn renew<'a>(&'a self, refresh: Option<&'a Secret>) -> Renewed<'a> {
        Box::pin(self.answer(refresh.cloned()))
    }
}

fn granted(access: &str, refresh: Option<&str>) -> Granted {
    Granted {
        access: Secret::new(access.to_owned()),
        lifetime: Duration::from_secs(HOUR as u64),
        refresh: refresh.map(|refresh| Secret::new(refresh.to_owned())),
    }
}

const HOUR: i64 = 3600;

fn temporary(retry_after: Option<u64>) -> OAuthError {
    OAuthError::Temporary {
        why: "500".to_owned(),
        retry_after: retry_after.map(Duration::from_secs),
    }
}

fn owner() -> Owner {
    Owner {
        account: "info".to_owned(),
        upstream: "imap.example:993".to_owned(),
        login: "info@example.com".to_owned(),
        provider: "google".to_owned(),
        user: "info@example.com".to_owned(),
    }
}

/// One instance, with a key from a file that another one may have, too.
struct Instance {
    tokens: Arc<Tokens>,
    store: Store,
    metrics: Arc<Metrics>,
}

struct Scene {
    place: Place,
    server: Arc<Server>,
    key: tempfile::NamedTempFile,
}

impl Scene {
    fn new(place: Place, server: Arc<Server>) -> Self {
        let key = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(key.path(), "ab".repeat(32)).unwrap();
        Self { place, server, key }
    }

    /// Somebody has logged in.
    async fn with_log_in(rotates: bool) -> (Self, Instance) {
        let scene = Self::new(Place::sqlite(), Server::new(rotates, true));
        let one = scene.instance("one").await;
        one.log_in(&scene.server).await;
        (scene, one)
    }

    fn key(&self) -> TokenKey {
        let file = SecretFile::new(self.key.path().to_owned());
        TokenKey::Configured(PasswordSource::File(file))
    }

    async fn instance(&self, holder: &str) -> Instance {
        self.instance_for(owner(), holder, self.place.open().await)
    }

    fn instance_for(&self, owner: Owner, holder: &str, store: Store) -> Instance {
        self.instance_with(owner, holder, store, &self.server)
    }

    fn instance_with(
        &self,
        owner: Owner,
        holder: &str,
        store: Store,
        server: &Arc<Server>,
    ) -> Instance {
        let metrics = Arc::new(Metrics::new());
        let keeper = Arc::new(Keeper::new(store.clone(), self.key()));
        let renew: Arc<dyn Renew> = Arc::clone(server) as Arc<dyn Renew>;
        let tokens = Tokens::new(
            owner,
            renew,
            keeper,
            holder.to_owned(),
            Arc::clone(&metrics),
        );
        Instance {
            tokens: Arc::new(tokens),
            store,
            metrics,
        }
    }

    /// Time goes on, for the store and for whoever remembers something.
    async fn later(&self, seconds: i64, instances: &[&Instance]) {
        self.place.tokens_later(seconds).await;
        for instance in instances {
            let mut memory = instance.tokens.memory();
            memory.told = None;
            memory.look_at -= seconds;
            if let Some(held) = &mut memory.held {
                held.until -= seconds;
            }
            memory.refused.later(seconds.unsigned_abs());
        }
    }
}

impl Instance {
    async fn log_in(&self, server: &Server) {
        let keeper = &self.tokens.keeper;
        keeper.keep(&owner(), &server.log_in()).await.unwrap();
        self.tokens.memory().told = None;
    }

    async fn access(&self) -> Result<String, TokenTrouble> {
        told(self.tokens.access().await)
    }

    async fn kept(&self) -> crate::store::StoredToken {
        let Tokens { keeper, owner, .. } = &*self.tokens;
        let id = keeper.id(owner).await.unwrap();
        self.store.token(&id).await.unwrap().unwrap()
    }

    async fn opened(&self) -> Kept {
        let kept = self.kept().await;
        self.tokens.keeper.open(&owner(), &kept).unwrap().unwrap()
    }
}

fn told(access: Result<Access, Trouble>) -> Result<String, TokenTrouble> {
    match access {
        Ok(access) => Ok(access.token.expose().to_owned()),
        Err(Trouble::Token(trouble)) => Err(trouble),
        Err(other) => panic!("{other}"),
    }
}

fn revoked(trouble: Result<String, TokenTrouble>) -> bool {
    matches!(trouble, Err(TokenTrouble::Revoked { .. }))
}

fn later(trouble: Result<String, TokenTrouble>) -> bool {
    matches!(trouble, Err(TokenTrouble::Later(_)))
}

#[tokio::test]
async fn a_token_is_used_until_it_ends_and_then_refreshed() {
    let (scene, one) = Scene::with_log_in(false).await;
    assert_eq!(one.access().await.unwrap(), "access-0");
    assert_eq!(one.access().await.unwrap(), "access-0");
    scene.later(HOUR, &[&one]).await;
    assert_eq!(one.access().await.unwrap(), "access-1");
    assert_eq!(scene.server.asked(), 1);
    // Another process finds it.
    drop(one);
    let two = Scene::instance_for(&scene, owner(), "two", scene.place.open_as_command().await);
    assert_eq!(two.access().await.unwrap(), "access-1");
    assert_eq!(scene.server.asked(), 1);
    let rendered = two.metrics.render();
    assert!(
        rendered.contains("popbridge_token_revoked{account=\"info\"} 0"),
        "{rendered}"
    );
}

#[tokio::test]
async fn fifty_sessions_that_need_a_token_have_it_refreshed_once() {
    let (scene, one) = Scene::with_log_in(true).await;
    scene.later(HOUR + 1, &[&one]).await;
    fifty(&scene, &[&one]).await;
}

#[tokio::test]
async fn sessions_of_two_instances_have_it_refreshed_once() {
    let scene = Scene::new(Place::postgres(), Server::new(true, true));
    let (one, two) = (scene.instance("one").await, scene.instance("two").await);
    one.log_in(&scene.server).await;
    for _ in 0..3 {
        scene.later(HOUR + 1, &[&one, &two]).await;
        fifty(&scene, &[&one, &two]).await;
    }
}

/// Fifty sessions of each instance come before the authorization server answers.
async fn fifty(scene: &Scene, instances: &[&Instance]) {
    let before = scene.server.asked();
    scene.server.answers.send_replace(false);
    let sessions: Vec<_> = instances
        .iter()
        .flat_map(|instance| (0..50).map(|_| Arc::clone(&instance.tokens)))
        .map(|tokens| tokio::spawn(async move { told(tokens.access().await) }))
        .collect();
    while scene.server.asked() == before {
        tokio::task::yield_now().await;
    }
    scene.server.answers.send_replace(true);
    let expected = format!("access-{}", before + 1);
    for session in sessions {
        assert_eq!(session.await.unwrap().unwrap(), expected);
    }
    assert_eq!(scene.server.asked(), before + 1);
}

#[tokio::test]
async fn a_token_that_was_not_kept_is_given_to_nobody_and_kept_as_soon_as_can_be() {
    let (scene, one) = Scene::with_log_in(true).await;
    scene.later(HOUR, &[&one]).await;
    let broken = "CREATE TRIGGER broken BEFORE UPDATE OF sealed ON token BEGIN SELECT RAISE(ABORT, 'no'); END";
    scene.place.sql(broken).await;
    let refused = one.tokens.access().await;
    assert!(matches!(refused, Err(Trouble::Store(_))), "{refused:?}");
    assert_eq!(one.opened().await.access.expose(), "access-0");
    scene.place.sql("DROP TRIGGER broken").await;
    one.tokens.memory().told = None;
    // The authorization server, which takes the older refresh token no more, is not asked again.
    assert_eq!(one.access().await.unwrap(), "access-1");
    assert_eq!(one.opened().await.refresh.unwrap().expose(), "refresh-1");
    assert_eq!(scene.server.asked(), 1);
}

#[tokio::test]
async fn a_session_that_gives_up_does_not_cut_a_refresh_in_two() {
    let (scene, one) = Scene::with_log_in(true).await;
    scene.later(HOUR, &[&one]).await;
    scene.server.answers.send_replace(false);
    tokio::select! {
        given = one.access() => panic!("nothing was given yet: {given:?}"),
        () = async {
            while scene.server.asked() == 0 {
                tokio::task::yield_now().await;
            }
        } => {}
    }
    scene.server.answers.send_replace(true);
    assert_eq!(one.access().await.unwrap(), "access-1");
    assert_eq!(scene.server.asked(), 1);
}

#[tokio::test]
async fn without_a_log_in_nobody_is_asked() {
    let scene = Scene::new(Place::sqlite(), Server::new(false, true));
    let one = scene.instance("one").await;
    let trouble = one.access().await.unwrap_err();
    assert!(matches!(trouble, TokenTrouble::Missing { .. }), "{trouble}");
    assert_eq!(
        one.tokens.keeper.standings(&[owner()]).await.unwrap()[0].kept,
        None
    );
    one.log_in(&scene.server).await;
    assert_eq!(one.access().await.unwrap(), "access-0");
    // Those tokens are not somebody else's.
    let other = Owner {
        user: "ann@example.com".to_owned(),
        ..owner()
    };
    let anns = scene.instance_for(other.clone(), "two", one.store.clone());
    let trouble = anns.access().await.unwrap_err();
    let expected = "the tokens of [account.info] are for info@example.com, and not for ann@example.com: `popbridge oauth login info`";
    assert_eq!(trouble.to_string(), expected);
    let standings = one.tokens.keeper.standings(&[other]).await.unwrap();
    assert_eq!(standings[0].trouble, Some(trouble));
    assert_eq!(scene.server.asked(), 0);
    // They are, however that name is written.
    let info = Owner {
        user: "Info@Example.COM".to_owned(),
        ..owner()
    };
    let infos = scene.instance_for(info.clone(), "three", one.store.clone());
    assert_eq!(infos.access().await.unwrap(), "access-0");
    let standings = one.tokens.keeper.standings(&[info]).await.unwrap();
    assert_eq!(standings[0].trouble, None);
}

#[tokio::test]
async fn a_bridge_with_credentials_of_its_own_needs_nobody() {
    let scene = Scene::new(Place::sqlite(), Server::new(false, false));
    let one = scene.instance("one").await;
    assert_eq!(one.access().await.unwrap(), "access-1");
    let again = scene.instance_for(owner(), "again", one.store.clone());
    assert_eq!(again.access().await.unwrap(), "access-1");
    assert!(one.opened().await.refresh.is_none());
    // Nor is anything lost with the key.
    std::fs::write(scene.key.path(), "cd".repeat(32)).unwrap();
    let again = scene.instance_for(owner(), "again", one.store.clone());
    assert_eq!(again.access().await.unwrap(), "access-2");
}

#[tokio::test]
async fn tokens_that_another_key_has_sealed_are_an_error_and_stay_as_they_are() {
    let (scene, one) = Scene::with_log_in(false).await;
    let before = one.kept().await.sealed;
    std::fs::write(scene.key.path(), "cd".repeat(32)).unwrap();
    let trouble = one.access().await.unwrap_err();
    assert!(matches!(trouble, TokenTrouble::Sealed { .. }), "{trouble}");
    let keeper = &one.tokens.keeper;
    let said = keeper.check(&[owner()]).await.unwrap_err().to_string();
    for words in [
        "[account.info]",
        "sealed with the key",
        scene.key.path().to_str().unwrap(),
    ] {
        assert!(said.contains(words), "{said}");
    }
    assert_eq!(one.kept().await.sealed, before);
    assert_eq!(scene.server.asked(), 0);
    // The right one makes them good again.
    std::fs::write(scene.key.path(), "ab".repeat(32)).unwrap();
    one.tokens.memory().told = None;
    assert_eq!(one.access().await.unwrap(), "access-0");
    keeper.check(&[owner()]).await.unwrap();
}

#[tokio::test]
async fn nothing_that_can_be_logged_has_a_token_in_it() {
    let (scene, one) = Scene::with_log_in(true).await;
    let access = one.tokens.access().await.unwrap();
    let standings = one.tokens.keeper.standings(&[owner()]).await.unwrap();
    let sealed = one.kept().await.sealed.unwrap();
    let shown = format!("{access:?} {standings:?} {:?}", scene.key());
    for secret in ["access-0", "refresh-0"] {
        assert!(!shown.contains(secret), "{shown}");
        assert!(!sealed.contains(secret), "{sealed}");
    }
}
