//! SIGHUP: what was changed in the configuration is taken up, nobody who is logged in notices, and a file that is wrong changes nothing.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::support::bridge::{Bridge, Options, field, run};
use crate::support::certs::Certs;
use crate::support::imap_peer::{PASSWORD, Peer, RunningPeer, USER};
use crate::support::net::{Stream, loopback};
use crate::support::pop3::Pop3;
use crate::support::process::eventually;
use crate::support::tree::{Account, Tree};

const TAKEN_UP: &str = "the configuration is in use; sessions that were there go on as they began";
const REFUSED: &str = "the configuration is refused; the one before stays in use";

fn config(peer: &RunningPeer, cert: &Certs, key: &Certs, more: &str) -> String {
    let (cert, key) = (cert.cert.display(), key.key.display());
    format!(
        "[tls]\ncertificate = \"{cert}\"\nkey = \"{key}\"\n[upstream.mail]\nurl = \"{}\"\n{more}",
        peer.plain_url()
    )
}

/// Writes the file anew and sends SIGHUP; gives the line that says what came of it.
fn reload(bridge: &Bridge, text: &str) -> Value {
    let outcomes = || {
        let lines = bridge.log().into_iter();
        let lines = lines.filter_map(|line| serde_json::from_str::<Value>(&line).ok());
        let is_one = |line: &Value| [TAKEN_UP, REFUSED].contains(&field(line, "message").as_str());
        lines.filter(is_one).collect::<Vec<_>>()
    };
    let before = outcomes().len();
    std::fs::write(bridge.folder().join("popbridge.toml"), text).unwrap();
    bridge.signal("HUP");
    eventually("the configuration was read again", || {
        outcomes().len() > before
    });
    outcomes().swap_remove(before)
}

fn took_up(bridge: &Bridge, text: &str) -> Value {
    let line = reload(bridge, text);
    assert_eq!(field(&line, "message"), TAKEN_UP, "{line}");
    assert_eq!(
        bridge.metric("popbridge_config_last_reload_successful", &[]),
        1.0
    );
    line
}

/// Why the file is refused.
fn refused(bridge: &Bridge, text: &str) -> String {
    let line = reload(bridge, text);
    assert_eq!(field(&line, "message"), REFUSED, "{line}");
    assert_eq!(
        bridge.metric("popbridge_config_last_reload_successful", &[]),
        0.0
    );
    field(&line, "error")
}

/// Whether the bridge shows a certificate of this authority.
fn shows(bridge: &Bridge, certs: &Certs) -> bool {
    let mut stream = Stream::connect(loopback(bridge.pop3s_port)).unwrap();
    stream
        .start_tls_client(certs.client_config(), "localhost")
        .is_ok()
}

#[test]
fn certificates_and_accounts_are_exchanged_and_a_session_goes_on() {
    let peer = Peer::with_mail(3).start();
    let tree = Tree::new("reload", &Account::for_servers());
    let (first, other) = (&peer.certs, &Certs::make(tree.path()));
    let bridge = Options::config(&config(&peer, first, first, "")).start();
    let mut session = bridge.pop3().log_in(USER, PASSWORD);
    assert_eq!(session.stat().0, 3);
    let mut in_stls = bridge.pop3();
    assert!(shows(&bridge, first) && !shows(&bridge, other));

    let password = tree.write("password", &format!("{PASSWORD}\n"));
    std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o600)).unwrap();
    let account = format!(
        "[account.info]\nlogin = \"{USER}\"\npassword_file = \"{}\"\n",
        password.display()
    );
    let with_account = config(&peer, other, other, &account);
    let line = took_up(&bridge, &with_account);
    assert_eq!(field(&line, "accounts"), "info is new");
    assert_eq!(field(&line, "upstreams"), "as before");
    assert!(shows(&bridge, other) && !shows(&bridge, first));
    let ends = bridge.metric("popbridge_certificate_expiry_timestamp_seconds", &[]);
    assert!(ends > 1.8e9, "{ends}");
    // Who was greeted before is shown what was there then.
    in_stls.ok("STLS");
    in_stls.start_tls(first.client_config());
    in_stls.quit();

    let file = bridge.folder().join("popbridge.toml");
    let (file, state) = (file.to_str().unwrap(), bridge.state().to_str().unwrap());
    let add = [
        "client",
        "add",
        "desk1",
        "--account",
        "info",
        "--config",
        file,
        "--state",
        state,
    ];
    let (code, password, errors) = run(&add, &[]);
    assert_eq!(code, Some(0), "{errors}");
    let mut desk = bridge.pop3().log_in("desk1", password.trim_end());
    assert_eq!(desk.stat().0, 3);
    // It is looked through at once, too.
    eventually("the account has figures", || {
        let figures = bridge.metrics();
        figures.contains("popbridge_account_pending_disposals{account=\"info\"}")
    });

    let line = took_up(&bridge, &config(&peer, other, other, ""));
    assert_eq!(field(&line, "accounts"), "info is gone");
    let mut late = bridge.pop3();
    late.ok("USER desk1");
    let refusal = late.err(&format!("PASS {}", password.trim_end()));
    assert_eq!(refusal.code(), Some("SYS/PERM"), "{refusal:?}");
    assert!(!bridge.metrics().contains("account=\"info\""));
    for mut there in [session, desk] {
        there.retr(2);
        there.quit();
    }
}

#[test]
fn a_file_that_is_wrong_is_refused_in_words_and_changes_nothing() {
    let peer = Peer::with_mail(1).start();
    let tree = Tree::new("reload", &Account::for_servers());
    let (first, other) = (&peer.certs, &Certs::make(tree.path()));
    let right = config(&peer, first, first, "");
    let bridge = Options::config(&right).start();
    let started = bridge.metric(
        "popbridge_config_last_reload_success_timestamp_seconds",
        &[],
    );
    assert!(started > 1.7e9);
    assert_eq!(
        bridge.metric("popbridge_config_last_reload_successful", &[]),
        1.0
    );
    let mut session = bridge.pop3().log_in(USER, PASSWORD);

    let why = refused(
        &bridge,
        &config(&peer, other, other, "[limits]\nlogin = \"soon\"\n"),
    );
    assert!(
        why.contains("popbridge.toml:7:9: ") && why.contains("soon"),
        "{why}"
    );
    let why = refused(&bridge, &config(&peer, other, first, ""));
    assert!(
        why.contains("does not belong to the first certificate"),
        "{why}"
    );
    let why = refused(&bridge, "");
    assert!(why.contains("no upstream"), "{why}");
    std::fs::remove_file(&other.cert).unwrap();
    let why = refused(&bridge, &config(&peer, other, other, ""));
    assert!(why.contains("cannot be read"), "{why}");

    assert!(shows(&bridge, first));
    assert_eq!(
        bridge.metric(
            "popbridge_config_last_reload_success_timestamp_seconds",
            &[]
        ),
        started
    );
    assert_eq!(session.stat().0, 1);
    session.quit();
    bridge.pop3().log_in(USER, PASSWORD).quit();
    took_up(&bridge, &right);
    assert_eq!(bridge.get("/readyz").0, 200);
}

#[test]
fn an_upstream_that_moves_is_left_by_new_sessions_and_by_no_session_that_is_there() {
    let (old, new) = (Peer::with_mail(1).start(), Peer::with_mail(2).start());
    let certs = &old.certs;
    let bridge = Options::config(&config(&old, certs, certs, "")).start();
    let as_client = |name: &str| bridge.pop3().log_in(&format!("{USER}/{name}"), PASSWORD);
    // A connection that is kept for whoever comes next with this password.
    let mut first = as_client("first");
    assert_eq!(first.stat().0, 1);
    first.quit();
    let mut there = as_client("there");
    assert_eq!(there.stat().0, 1);

    let line = took_up(&bridge, &config(&new, certs, certs, ""));
    assert_eq!(field(&line, "upstreams"), "mail has changed");
    for name in ["second", "third"] {
        let mut pop3 = as_client(name);
        assert_eq!(pop3.stat().0, 2);
        pop3.retr(2);
        pop3.quit();
    }
    assert!(new.connections() > 0);
    let asked = |peer: &RunningPeer| peer.commands("UID FETCH").len();
    let before = asked(&new);
    there.retr(1);
    there.quit();
    assert_eq!(asked(&new), before, "nothing of that concerns the new one");
}

#[test]
fn the_logs_filter_is_exchanged_and_what_waits_for_a_restart_is_named() {
    let peer = Peer::with_mail(1).start();
    let certs = &peer.certs;
    let bridge = Options::config(&config(&peer, certs, certs, "")).start();
    let is_debug = |line: &str| line.contains("\"level\":\"DEBUG\"");
    let mut session = bridge.pop3().log_in(USER, PASSWORD);
    session.ok("NOOP");
    assert!(!bridge.log().iter().any(|line| is_debug(line)));

    let more = "[log]\nfilter = \"debug\"\n[limits]\nindex_cache = \"1MiB\"\n[admin]\naddress = \"127.0.0.1:1\"\n";
    let line = took_up(&bridge, &config(&peer, certs, certs, more));
    assert_eq!(
        (field(&line, "log"), field(&line, "limits")),
        ("true".into(), "true".into())
    );
    let waits = bridge.wait_for_log("what waits", |line| {
        field(line, "message") == "these were changed, too, and count after a restart only"
    });
    // The admin listener's address is the flag's, whatever the file says.
    assert_eq!(field(&waits, "keys"), "limits.index_cache");
    session.ok("NOOP");
    bridge.wait_for_line("a line of that level", is_debug);
    session.quit();
}

#[test]
fn limits_count_for_sessions_that_are_there() {
    let peer = Peer::with_mail(1).start();
    let certs = &peer.certs;
    let bridge = Options::config(&config(&peer, certs, certs, "")).start();
    let mut session = bridge.pop3().log_in(USER, PASSWORD);
    let greeted = Pop3::connect(bridge.pop3_port);
    took_up(
        &bridge,
        &config(&peer, certs, certs, "[limits]\ninactivity = \"1s\"\n"),
    );
    // From its next line on.
    session.ok("NOOP");
    session.expect_end();
    greeted.quit();
}
