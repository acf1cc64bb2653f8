//! The bridge as a client of an authorization server: every way to tokens without a person, and what it makes of the server's bad days.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use popbridge::config::{self, Overrides};
use popbridge::oauth::{Client, Granted, OAuthError, Renew, Renewal};
use popbridge::secret::Secret;

use crate::support::certs::Certs;
use crate::support::net::Stream;
use crate::support::oauth_server::{CLIENT_ID, CLIENT_SECRET, Failure, OAuthServer};
use crate::support::tree::{Account, Tree};

const USER: &str = "ann@example.com";

pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    i64::try_from(since.unwrap().as_secs()).unwrap()
}

/// A way to tokens for [`USER`] by this table `[oauth.x]`.
pub fn renewal(tree: &Tree, table: &str, clock: fn() -> i64) -> Renewal {
    let text = format!("state = \"state\"\n[upstream.a]\nurl = \"imaps://a.example\"\n{table}\n");
    let overrides = Overrides {
        config: Some(tree.write("popbridge.toml", &text)),
        ..Overrides::default()
    };
    let config = config::load(&overrides).unwrap_or_else(|error| panic!("{error}"));
    let client = Client::new(&config.oauth[0], clock).unwrap_or_else(|error| panic!("{error}"));
    Renewal::new(Arc::new(client), USER.to_owned())
}

pub fn renew(renewal: &Renewal, refresh: Option<&str>) -> Result<Granted, OAuthError> {
    let refresh = refresh.map(|token| Secret::new(token.to_owned()));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(renewal.renew(refresh.as_ref()))
}

pub fn tree() -> Tree {
    Tree::new("oauth-grants", &Account::for_servers())
}

/// A server, a person's grant there, and the way to its tokens.
pub fn person(keys: &str) -> (OAuthServer, Renewal, String) {
    let server = OAuthServer::start();
    let way = renewal(&tree(), &server.table("x", keys), now);
    let token = server.refresh_token(USER);
    (server, way, token)
}

#[test]
fn a_refresh_token_gives_access_tokens_and_may_change() {
    let (server, way, token) = person("");
    server.set_lifetime(Duration::from_secs(90));
    assert!(way.needs_refresh_token());
    let first = renew(&way, Some(&token)).unwrap();
    assert_eq!(first.lifetime, Duration::from_secs(90));
    assert!(first.refresh.is_none(), "the old one stays good");
    server.set_rotation(true);
    let second = renew(&way, Some(&token)).unwrap();
    assert_ne!(first.access.expose(), second.access.expose());
    let next = second.refresh.unwrap();
    assert!(renew(&way, Some(next.expose())).is_ok());
    let error = renew(&way, Some(&token)).unwrap_err();
    assert!(matches!(error, OAuthError::Revoked(_)), "{error}");
    assert!(!error.to_string().contains(&token), "{error}");
    let asked = server.asked();
    let discoveries = asked
        .iter()
        .filter(|asked| asked.path.contains("well-known"));
    assert_eq!(discoveries.count(), 1, "it is remembered");
    let error = renew(&way, None).unwrap_err();
    assert!(matches!(error, OAuthError::Revoked(_)), "{error}");
}

#[test]
fn what_the_server_says_decides_who_has_to_do_something() {
    let (server, way, token) = person("");
    for (error, expected) in [
        ("invalid_grant", "the authorization is gone"),
        ("invalid_client", "refuses what is configured"),
        ("invalid_scope", "refuses what is configured"),
        ("temporarily_unavailable", "at the moment"),
    ] {
        server.fail(Failure::Error(error, "its words"));
        let words = renew(&way, Some(&token)).unwrap_err().to_string();
        assert!(
            words.contains(expected) && words.contains(error) && words.contains("(its words)"),
            "{words}"
        );
    }
    server.recover();
    assert!(renew(&way, Some(&token)).is_ok());
}

fn temporary(result: Result<Granted, OAuthError>) -> (String, Option<Duration>) {
    match result {
        Err(OAuthError::Temporary { why, retry_after }) => (why, retry_after),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_servers_bad_day_is_over_later() {
    let (server, way, token) = person("");
    let cases = [
        (Failure::Status(500, ""), "status 500", None),
        (Failure::Status(429, "17"), "status 429", Some(17)),
        (
            Failure::Status(503, "Thu, 01 Jan 1970 00:00:00 GMT"),
            "status 503",
            Some(0),
        ),
        (Failure::Status(302, ""), "redirects are not followed", None),
        (Failure::Status(404, ""), "not one in JSON", None),
        (Failure::NotJson, "not one in JSON", None),
        (Failure::Huge, "more than 64 KiB", None),
        (Failure::Words("{}"), "no access token", None),
    ];
    for (failure, words, retry) in cases {
        server.fail(failure.clone());
        let (why, retry_after) = temporary(renew(&way, Some(&token)));
        assert!(why.contains(words), "{failure:?}: {why}");
        assert!(!why.contains("hotel"), "{why}");
        assert_eq!(retry_after, retry.map(Duration::from_secs), "{failure:?}");
    }
    server.recover();
    assert!(renew(&way, Some(&token)).is_ok());
}

#[test]
fn a_server_that_is_silent_is_waited_for_no_longer_than_configured() {
    let (server, way, token) = person("timeout = \"1s\"");
    server.fail(Failure::Slow(Duration::from_secs(3600)));
    let begun = Instant::now();
    let (why, _) = temporary(renew(&way, Some(&token)));
    assert!(why.contains("no answer within 1 seconds"), "{why}");
    assert!(begun.elapsed() < Duration::from_secs(20), "{begun:?}");
}

#[test]
fn a_server_that_is_not_there_is_trouble_that_passes() {
    let table = "[oauth.x]\nclient_id = \"i\"\ntoken_url = \"http://127.0.0.1:1/\"\nauthorization_url = \"http://127.0.0.1:1/\"\n";
    let way = renewal(&tree(), table, now);
    let (why, _) = temporary(renew(&way, Some("r")));
    assert!(why.contains("127.0.0.1:1: cannot connect"), "{why}");
}

#[test]
fn a_server_is_talked_to_encrypted_and_only_with_a_certificate_that_is_right() {
    // A port that speaks no TLS.
    let server = OAuthServer::start();
    let url = server.url("/token").replace("http://", "https://");
    let table = format!("[oauth.google]\nclient_id = \"i\"\ntoken_url = \"{url}\"\n");
    let way = renewal(&tree(), &table, now);
    let (why, _) = temporary(renew(&way, Some("r")));
    assert!(why.contains("TLS: "), "{why}");
    assert_eq!(server.refreshes(), 0);
}

/// A server that speaks TLS with this certificate, and gives one token.
fn encrypted(certs: &Certs) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = certs.server_config();
    std::thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        let mut stream = Stream::from_socket(socket).unwrap();
        // Where the client does not trust it, that was all.
        if stream.start_tls_server(config).is_err() {
            return;
        }
        let mut request = Vec::new();
        let mut piece = [0; 4096];
        while !request.ends_with(b"client_id=i") {
            let read = stream.read(&mut piece).unwrap();
            assert!(read > 0, "{}", String::from_utf8_lossy(&request));
            request.extend_from_slice(&piece[..read]);
        }
        let body = "{\"access_token\":\"encrypted\"}";
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        stream
            .write_all(format!("{head}{body}").as_bytes())
            .unwrap();
    });
    port
}

#[test]
fn a_companys_own_authority_can_be_trusted_and_others_are_not() {
    let tree = tree();
    let certs = Certs::make(tree.path());
    let other = Tree::new("oauth-other-ca", &Account::for_servers());
    let other = Certs::make(other.path());
    let mut outcomes = [&certs, &other].map(|trusted| {
        let table = format!(
            "[oauth.google]\nclient_id = \"i\"\ntoken_url = \"https://localhost:{}/token\"\nca = \"{}\"\n",
            encrypted(&certs),
            trusted.ca.display()
        );
        Some(renew(&renewal(&tree, &table, now), Some("r")))
    });
    let granted = outcomes[0].take().unwrap().unwrap();
    assert_eq!(granted.access.expose(), "encrypted");
    let (why, _) = temporary(outcomes[1].take().unwrap());
    assert!(
        why.contains("TLS: ") && why.contains("certificate"),
        "{why}"
    );
}

#[test]
fn a_bridge_with_credentials_of_its_own_needs_nobody() {
    let server = OAuthServer::start();
    let tree = tree();
    let secret = tree.write("secret", &format!("{CLIENT_SECRET}\n"));
    let keys = format!(
        "grant = \"client-credentials\"\nclient_secret_file = \"{}\"\nscope = \"mail\"",
        secret.display()
    );
    let way = renewal(&tree, &server.table("x", &keys), now);
    assert!(!way.needs_refresh_token());
    let granted = renew(&way, None).unwrap();
    assert!(granted.refresh.is_none());
    let asked = server.asked();
    assert_eq!(asked.last().unwrap().form["scope"], "mail");

    assert!(!asked.last().unwrap().form.contains_key("basic"));

    // The secret is read anew each time.
    tree.write("secret", "a-wrong-one\n");
    let error = renew(&way, None).unwrap_err();
    assert!(matches!(error, OAuthError::Misconfigured(_)), "{error}");
    let words = error.to_string();
    assert!(
        words.contains("AADSTS7000215") && !words.contains("a-wrong-one"),
        "{words}"
    );
    std::fs::remove_file(&secret).unwrap();
    let error = renew(&way, None).unwrap_err().to_string();
    assert!(
        error.contains("[oauth.x]") && error.contains("cannot be read"),
        "{error}"
    );
}

#[test]
fn a_clients_secret_goes_where_the_server_wants_it() {
    let server = OAuthServer::start();
    server.demand_basic();
    let tree = tree();
    let secret = tree.write("secret", CLIENT_SECRET);
    let keys = format!(
        "grant = \"client-credentials\"\nclient_secret_file = \"{}\"",
        secret.display()
    );
    let way = renewal(&tree, &server.table("x", &keys), now);
    assert!(renew(&way, None).is_ok());
    let asked = server.asked();
    assert_eq!(asked.last().unwrap().form["basic"], "yes");
}

#[test]
fn a_clients_secret_is_withheld_where_the_server_repeats_it() {
    let tree = tree();
    let secret = tree.write("secret", CLIENT_SECRET);
    // As it was sent in the field `Authorization`, and a piece of it.
    let pair = STANDARD.encode(format!("{CLIENT_ID}:{CLIENT_SECRET}"));
    let words: [&'static str; 3] = [
        format!("{CLIENT_SECRET} is wrong").leak(),
        "the one that begins with client-secret-9 is wrong",
        format!("Basic {pair} is wrong").leak(),
    ];
    for basic in [false, true] {
        let server = OAuthServer::start();
        if basic {
            server.demand_basic();
        }
        let keys = format!("client_secret_file = \"{}\"", secret.display());
        let way = renewal(&tree, &server.table("x", &keys), now);
        for words in &words[..if basic { 3 } else { 2 }] {
            server.fail(Failure::Error("invalid_client", words));
            let error = renew(&way, Some("a-refresh-token")).unwrap_err();
            assert!(matches!(error, OAuthError::Misconfigured(_)), "{error}");
            let said = error.to_string();
            assert!(
                said.contains("invalid_client (withheld") && !said.contains("is wrong"),
                "{said}"
            );
        }
    }
}

#[test]
fn a_service_account_acts_for_the_user() {
    let server = OAuthServer::start();
    let tree = tree();
    let table = server.service_account_table("x", tree.path());
    let way = renewal(&tree, &table, now);
    assert!(!way.needs_refresh_token());
    let granted = renew(&way, None).unwrap();
    assert_eq!(
        server.user_of(granted.access.expose()).as_deref(),
        Some(USER)
    );

    // Another key, as after it was replaced at Google.
    server.service_account(tree.path());
    let fresh = renew(&way, None);
    assert!(fresh.is_ok(), "the file is read anew: {fresh:?}");
    let elsewhere = Tree::new("oauth-other", &Account::for_servers());
    server.service_account(elsewhere.path());
    let error = renew(&way, None).unwrap_err();
    assert!(matches!(error, OAuthError::Misconfigured(_)), "{error}");
    assert!(
        error.to_string().contains("Invalid JWT Signature."),
        "{error}"
    );

    tree.write("service-account.json", "{\"type\":\"authorized_user\"}");
    let error = renew(&way, None).unwrap_err().to_string();
    assert!(
        error.contains("is not the JSON file that Google gives"),
        "{error}"
    );
}

#[test]
fn a_clock_that_is_wrong_stops_no_service_account() {
    static AHEAD: AtomicI64 = AtomicI64::new(0);
    fn wrong() -> i64 {
        now() + AHEAD.load(Ordering::Relaxed)
    }
    let server = OAuthServer::start();
    let tree = tree();
    let table = server.service_account_table("x", tree.path());
    let way = renewal(&tree, &table, wrong);
    let kind = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    for (ahead, tries) in [(0, 1), (3000, 2), (-86_400, 2)] {
        AHEAD.store(ahead, Ordering::Relaxed);
        let before = server.grants(kind);
        assert!(renew(&way, None).is_ok(), "{ahead}");
        assert_eq!(server.grants(kind) - before, tries, "{ahead}");
    }
    // The server's clock is the one that counts, whichever is wrong.
    AHEAD.store(0, Ordering::Relaxed);
    server.set_clock_ahead(7200);
    assert!(renew(&way, None).is_ok());
    // It is tried once more only, and the operator hears whose clock it is.
    server.fail(Failure::Error(
        "invalid_grant",
        "Check your iat and exp values",
    ));
    let before = server.grants(kind);
    let (why, _) = temporary(renew(&way, None));
    assert!(
        why.contains("this machine's clock is 7") && why.contains("seconds behind"),
        "{why}"
    );
    assert_eq!(server.grants(kind) - before, 2);
    // Where the clocks agree, they are not to blame.
    server.set_clock_ahead(0);
    let before = server.grants(kind);
    server.fail(Failure::Error(
        "invalid_grant",
        "Check your iat and exp values",
    ));
    let error = renew(&way, None).unwrap_err();
    assert!(matches!(error, OAuthError::Misconfigured(_)), "{error}");
    assert_eq!(server.grants(kind) - before, 1, "the clocks agree: {error}");
}
