//! A mailbox whose server takes nothing but tokens, read by POP3 clients that have never heard of them: a real Dovecot that asks an
//! authorization server about each token.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::support::dovecot::Dovecot;
use crate::support::imap::Imap;
use crate::support::oauth_server::{Failure, OAuthServer};
use crate::support::office::{LOGIN, Plan, fetch};
use crate::support::postgres::Postgres;
use crate::support::process::eventually;
use crate::support::token_office::{LIFETIME, TokenOffice};

const BOTH: &str = "xoauth2 oauthbearer";

#[test]
fn the_dovecot_of_these_tests_takes_tokens_and_nothing_else() {
    let server = OAuthServer::start();
    let options = Dovecot::options().tokens(&server.url("/introspect"), BOTH);
    let dovecot = options.start();
    let token = server.access_token(LOGIN);
    let xoauth2 = format!("user={LOGIN}\x01auth=Bearer {token}\x01\x01");
    let bearer = format!("n,a={LOGIN},\x01auth=Bearer {token}\x01\x01");
    for (mechanism, response) in [("XOAUTH2", xoauth2), ("OAUTHBEARER", bearer)] {
        let mut imap = Imap::connect(dovecot.imap_port);
        let response = STANDARD.encode(response);
        imap.command(&format!("AUTHENTICATE {mechanism} {response}"));
        imap.command("SELECT INBOX");
    }
    let mut imap = Imap::connect(dovecot.imap_port);
    let (_, refused) = imap.run(&format!("LOGIN {LOGIN} pw"));
    assert!(refused.starts_with("NO"), "{refused}");
}

#[test]
fn a_device_polls_through_three_expiries_rotations_and_a_restart_without_a_failed_poll() {
    for mechanism in ["xoauth2", "oauthbearer"] {
        let mut it = TokenOffice::start(mechanism);
        it.server.set_rotation(true);
        it.office.add("scanner", &["view=undelivered"]);
        for round in 1..=3 {
            it.office.deliver([round]);
            assert_eq!(it.poll("scanner"), [round]);
            it.tokens_end(round as u64);
            it.office.deliver([10 * round]);
            assert_eq!(it.poll("scanner"), [10 * round]);
            assert_eq!(it.server.refreshes(), round);
            it.office.close();
            it.office.open();
        }
        it.office.deliver([100]);
        assert_eq!(it.poll("scanner"), [100]);
        // Each refresh token was shown once.
        let asked = it.server.asked().into_iter();
        let mut shown: Vec<_> = asked
            .filter_map(|asked| asked.form.get("refresh_token").cloned())
            .collect();
        shown.sort();
        shown.dedup();
        assert_eq!(shown.len(), 3);
    }
}

#[test]
fn fifty_clients_on_one_account_have_its_token_refreshed_once() {
    let it = TokenOffice::start(BOTH);
    it.office.deliver([1, 2]);
    fifty_at_once(&it, &[it.office.bridge().pop3_port]);
}

#[test]
fn fifty_clients_of_two_instances_have_its_token_refreshed_once() {
    let key = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(key.path(), "0f".repeat(32)).unwrap();
    let plan = Plan::default()
        .state(&Postgres::shared().database())
        .top(&format!("token_key_file = \"{}\"", key.path().display()));
    let it = TokenOffice::with(BOTH, plan);
    it.log_in();
    it.office.deliver([1, 2]);
    let other = it.office.options().start();
    fifty_at_once(&it, &[it.office.bridge().pop3_port, other.pop3_port]);
    assert_eq!(it.leaks(&other.log()), None);
}

/// Fifty clients come at the same time when the upstream takes their account's token no more.
fn fifty_at_once(it: &TokenOffice, ports: &[u16]) {
    let clients: Vec<String> = (0..50).map(|n| format!("desk{n}")).collect();
    for client in &clients {
        it.office.add(client, &[]);
    }
    it.server.expire_access();
    // Long enough for all to come meanwhile.
    let slow = Failure::Slow(Duration::from_secs(1));
    it.server.fail_times(1, slow);
    std::thread::scope(|scope| {
        for (client, port) in clients.iter().zip(ports.iter().cycle()) {
            let password = it.office.password(client);
            scope.spawn(move || {
                let pop3 = crate::support::pop3::Pop3::connect(*port);
                assert_eq!(pop3.log_in(client, &password).stat().0, 2);
            });
        }
    });
    assert_eq!(it.server.refreshes(), 1);
}

#[test]
fn a_session_goes_on_where_the_upstream_ends_the_token_before_its_time() {
    let mut it = TokenOffice::start(BOTH);
    it.office.deliver([1, 2]);
    it.office.add("desk", &[]);
    let mut session = it.office.client("desk");
    assert_eq!(session.stat().0, 2);
    it.server.expire_access();
    // The connection that was kept for it is lost, too.
    it.office.dovecot.restart();
    assert!(session.retr(1).len() > 10);
    session.quit();
    assert_eq!(it.server.refreshes(), 1);
}

#[test]
fn a_connection_is_not_used_beyond_the_token_that_opened_it() {
    let server = OAuthServer::start();
    let folder = tempfile::tempdir().unwrap();
    let table = server.service_account_table("test", folder.path());
    // Dovecot itself lets a connection live for as long as it likes.
    server.set_lifetime(Duration::from_secs(2));
    let dovecot = Dovecot::options().tokens(&server.url("/introspect"), BOTH);
    let office = Plan::default().tokens(&table, dovecot).start();
    office.add("desk", &[]);
    let connects = || {
        assert_eq!(office.client("desk").stat().0, 0);
        let bridge = office.bridge();
        bridge.metric("popbridge_upstream_connects_total", &["mail"])
    };
    let first = connects();
    eventually("another one is opened", || connects() > first);
}

#[test]
fn a_connection_that_outlived_its_token_by_the_time_of_day_is_not_used_for_another_session() {
    let it = TokenOffice::start(BOTH);
    it.office.deliver([1]);
    for client in ["desk", "scanner"] {
        it.office.add(client, &["view=undelivered"]);
    }
    // For as long as this session lasts its connection is kept. A clock that goes on steadily says that its token is good: as after a
    // nap of the machine.
    let mut desk = it.office.client("desk");
    assert_eq!(desk.stat().0, 1);
    it.tokens_end(1);
    it.office.deliver([2]);
    assert_eq!(it.poll("scanner"), [1, 2]);
    assert_eq!(it.server.refreshes(), 1);
    // The session that was there goes on.
    assert_eq!(fetch(&mut desk), [1]);
    desk.quit();
    assert_eq!(it.server.refreshes(), 1);
}

#[test]
fn no_token_is_in_a_log_of_any_level() {
    let mut it = TokenOffice::start(BOTH);
    it.office.add("desk", &[]);
    it.office.close();
    let options = it.office.options().environment("POPBRIDGE_LOG", "trace");
    let bridge = options.start();
    let password = it.office.password("desk");
    let poll = || bridge.pop3().log_in("desk", &password).command("STAT");
    it.server.set_rotation(true);
    assert!(poll().ok);
    it.server.expire_access();
    it.office.dovecot.restart();
    assert!(poll().ok);
    it.server.fail_times(
        1,
        Failure::Words("{\"access_token\": \"access-9-3b1f77d2\""),
    );
    it.server.expire_access();
    it.office.dovecot.restart();
    it.office.ahead(2 * LIFETIME);
    assert!(!poll().ok);
    it.server.revoke();
    it.office.ahead(4 * LIFETIME);
    eventually("it is revoked", || poll().code() == Some("SYS/PERM"));
    let log = bridge.log();
    assert!(
        log.iter()
            .any(|line| line.contains("\"TRACE\"") || line.contains("\"DEBUG\""))
    );
    assert_eq!(it.leaks(&log), None);
    assert!(!log.iter().any(|line| line.contains("3b1f77d2")), "{log:?}");
    drop(bridge);
    it.office.open();
}

#[test]
fn a_service_account_needs_nobody_to_log_in() {
    let server = OAuthServer::start();
    let folder = tempfile::tempdir().unwrap();
    let table = server.service_account_table("test", folder.path());
    let mut it = TokenOffice::before(server, &table, BOTH, Plan::default().with_clock());
    it.office.add("scanner", &["view=undelivered"]);
    let assertions = |it: &TokenOffice| {
        it.server
            .grants("urn:ietf:params:oauth:grant-type:jwt-bearer")
    };
    it.office.deliver([1]);
    assert_eq!(it.poll("scanner"), [1]);
    // It is kept like any other one.
    it.office.close();
    it.office.open();
    it.office.deliver([2]);
    assert_eq!(it.poll("scanner"), [2]);
    assert_eq!(assertions(&it), 1);
    it.tokens_end(1);
    it.office.deliver([3]);
    assert_eq!(it.poll("scanner"), [3]);
    assert_eq!(assertions(&it), 2);
}

#[test]
fn another_key_is_refused_at_the_start_and_makes_nothing_anew() {
    let mut it = TokenOffice::start(BOTH);
    it.office.add("desk", &[]);
    let key = it.office.state.join("token.key");
    let right = std::fs::read(&key).unwrap();
    it.office.close();
    for (wrong, words) in [
        (Some("0f".repeat(32)), "sealed with the key"),
        (Some("hunter2".to_owned()), "32 octets"),
        (None, "is gone"),
    ] {
        match wrong {
            Some(text) => std::fs::write(&key, text).unwrap(),
            None => std::fs::remove_file(&key).unwrap(),
        }
        let (code, said) = it.office.refuses_to_open();
        assert_ne!(code, Some(0));
        assert!(said.contains(words) && said.contains("token.key"), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
    assert!(!key.exists());
    std::fs::write(&key, right).unwrap();
    it.office.open();
    assert!(it.works("desk"));
    assert_eq!(it.server.refreshes(), 0);
}
