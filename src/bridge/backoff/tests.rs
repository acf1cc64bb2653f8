//! Who is held back by what, by a clock that stands still.

use super::*;
use crate::imap::Reply;
use crate::metrics::Metrics;

struct Scene {
    backoff: Arc<Backoff>,
    metrics: Metrics,
}

impl Scene {
    fn new() -> Self {
        let metrics = Metrics::new();
        let backoff = Backoff::new("mail", metrics.upstream("mail"));
        Self { backoff, metrics }
    }

    fn log_in_is_refused(&self, login: &str, line: &str) {
        let refused = Error::LoginRefused(reply(line));
        self.backoff.opened(login, Err(&refused));
    }

    fn command_is_refused(&self, login: &str, line: &str) {
        let command = "UID FETCH";
        let reply = reply(line);
        self.backoff
            .failed(login, &Error::Refused { command, reply });
    }

    /// How long no connection is opened, in milliseconds.
    fn left(&self, login: &str) -> Option<u128> {
        left(self.backoff.may_open(login))
    }

    /// How long nothing is asked on those that there are, in milliseconds.
    fn silence(&self, login: &str) -> Option<u128> {
        left(self.backoff.may_ask(login))
    }

    fn shows(&self, metric: &str) -> bool {
        let text = self.metrics.render();
        text.lines().any(|line| line == metric)
    }
}

fn left(may: Result<(), Trouble>) -> Option<u128> {
    match may {
        Err(Trouble::BackOff { left, .. }) => Some(left.as_millis()),
        Err(other) => panic!("{other}"),
        Ok(()) => None,
    }
}

fn reply(line: &str) -> Reply {
    Reply::parse(line.as_bytes()).unwrap()
}

async fn pass(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}

#[tokio::test(start_paused = true)]
async fn the_time_that_microsoft_suggests_is_kept_to_the_millisecond() {
    let scene = Scene::new();
    scene.command_is_refused(
        "ann",
        "NO Request is throttled. Suggested Backoff Time: 92345 milliseconds",
    );
    assert_eq!(scene.left("ann"), Some(92_345));
    assert_eq!(scene.left(" ANN "), Some(92_345), "the same mailbox");
    assert_eq!(scene.left("bob"), None);
    pass(92_344).await;
    assert_eq!(scene.left("ann"), Some(1));
    pass(1).await;
    assert_eq!(scene.left("ann"), None);
}

#[tokio::test(start_paused = true)]
async fn a_refused_password_or_message_holds_nobody_back() {
    let scene = Scene::new();
    scene.log_in_is_refused("ann", "NO [AUTHENTICATIONFAILED] no");
    scene.command_is_refused("ann", "NO [UNAVAILABLE] UID FETCH Server error");
    scene.command_is_refused("ann", "NO [LIMIT] UID FETCH Rate limit hit.");
    assert_eq!(scene.left("ann"), None);
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_turns_everybody_away_is_asked_for_nobody() {
    let scene = Scene::new();
    let turned_away = Error::TurnedAway(reply("BYE Too many connections"));
    scene.backoff.opened("ann", Err(&turned_away));
    assert_eq!(
        (scene.left("ann"), scene.left("bob")),
        (Some(10_000), Some(10_000))
    );
}

#[tokio::test(start_paused = true)]
async fn where_there_is_no_room_for_another_connection_those_that_are_there_are_used() {
    for line in [
        "NO [ALERT] Too many simultaneous connections. (Failure)",
        "NO [UNAVAILABLE] later",
    ] {
        let scene = Scene::new();
        scene.log_in_is_refused("ann", line);
        assert!(scene.left("ann").is_some(), "{line}");
        assert_eq!(scene.silence("ann"), None, "{line}");
        // What they do says nothing of whether there is room.
        pass(9_999).await;
        scene.log_in_is_refused("ann", line);
        let before = scene.left("ann");
        scene.backoff.went_well("ann");
        assert_eq!(scene.left("ann"), before, "{line}");
    }
    for line in ["NO [THROTTLED] x", "NO [OVERQUOTA] x"] {
        let scene = Scene::new();
        scene.log_in_is_refused("ann", line);
        assert!(scene.silence("ann").is_some(), "{line}");
        let scene = Scene::new();
        scene.command_is_refused("ann", line);
        assert!(scene.silence("ann").is_some(), "{line}");
    }
    let scene = Scene::new();
    scene.command_is_refused("ann", "NO Too many simultaneous connections");
    assert_eq!(scene.silence("ann"), None);
}

#[tokio::test(start_paused = true)]
async fn who_tries_passwords_holds_back_log_ins_only() {
    let scene = Scene::new();
    for line in ["NO [LIMIT] x", "NO [THROTTLED] x", "NO [OVERQUOTA] x"] {
        let refused = Error::LoginRefused(reply(line));
        scene.backoff.opened_for_client("ann", Err(&refused));
        assert!(scene.left("ann").is_some(), "{line}");
        assert_eq!(scene.silence("ann"), None, "{line}");
    }
}

#[tokio::test(start_paused = true)]
async fn three_accounts_that_are_not_let_in_are_the_upstreams_trouble() {
    let scene = Scene::new();
    for login in ["ann", "ann", "ann", "bob"] {
        scene.log_in_is_refused(login, "NO [UNAVAILABLE] later");
    }
    assert_eq!(scene.left("dan"), None);
    scene.log_in_is_refused("cat", "NO [UNAVAILABLE] later");
    assert_eq!(scene.left("dan"), Some(5000));
    pass(5000).await;
    // One that is let in shows that it is not the upstream.
    scene.backoff.opened("dan", Ok(()));
    scene.log_in_is_refused("eve", "NO [UNAVAILABLE] later");
    assert_eq!((scene.left("dan"), scene.left("eve")), (None, Some(5000)));
}

#[tokio::test(start_paused = true)]
async fn accounts_that_are_not_let_in_while_others_are_at_work_are_no_sign_of_an_outage() {
    let scene = Scene::new();
    let broken = |login| scene.log_in_is_refused(login, "NO [UNAVAILABLE] mailbox is damaged");
    for login in ["ann", "bob", "cat", "ann", "bob", "cat"] {
        broken(login);
        assert_eq!(scene.left("dan"), None, "{login}");
        scene.backoff.went_well("dan");
    }
    // One now and then is none either.
    for login in ["eve", "fay", "gus", "hal"] {
        pass(119_000).await;
        assert_eq!(scene.left("dan"), None, "{login}");
        broken(login);
        pass(1_000).await;
    }
    broken("ida");
    assert_eq!(scene.left("dan"), None, "two within two minutes");
    broken("jim");
    assert!(scene.left("dan").is_some() && scene.silence("dan").is_none());
}

#[tokio::test(start_paused = true)]
async fn begin_and_end_are_counted_once_however_many_connections_complain() {
    let scene = Scene::new();
    for _ in 0..5 {
        scene.command_is_refused(
            "ann",
            "NO [OVERQUOTA] Account exceeded command or bandwidth limits",
        );
    }
    let begun = "popbridge_upstream_backoffs_total{cause=\"over_quota\",upstream=\"mail\"} 1";
    let held = "popbridge_upstream_backing_off{upstream=\"mail\"} 1";
    assert!(scene.shows(begun) && scene.shows(held));
    pass(600_001).await;
    let over = "popbridge_upstream_backing_off{upstream=\"mail\"} 0";
    assert!(scene.shows(over) && scene.left("ann").is_none());
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_is_tired_is_asked_after_a_pause() {
    let scene = Scene::new();
    scene.backoff.is_tired("ann");
    pass(1000).await;
    scene.backoff.is_tired("ann");
    let began = Instant::now();
    scene.backoff.pause("bob").await;
    assert_eq!((scene.left("ann"), began.elapsed()), (None, Duration::ZERO));
    scene.backoff.pause("ann").await;
    assert_eq!(began.elapsed(), Duration::from_secs(2));
    // Who has waited elsewhere already does not wait again.
    scene.backoff.pause("ann").await;
    assert_eq!(began.elapsed(), Duration::from_secs(2));
    for _ in 0..2 {
        pass(2000).await;
        scene.backoff.went_well("ann");
    }
    scene.backoff.is_tired("ann");
    let began = Instant::now();
    scene.backoff.pause("ann").await;
    assert_eq!(began.elapsed(), Duration::from_secs(1), "as at first");
}

#[tokio::test(start_paused = true)]
async fn names_without_end_cost_no_memory() {
    let scene = Scene::new();
    for n in 0..MOST + 5 {
        scene.log_in_is_refused(&format!("u{n}"), "NO [LIMIT] LOGIN Rate limit hit");
    }
    assert!(scene.backoff.paces().of.len() <= MOST + 1);
    assert!(
        scene.left("somebody else").is_some(),
        "all of it is left alone"
    );
}
