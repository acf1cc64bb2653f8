//! How full a mailbox is, as its upstream says, and what the rules would free: in the gauges and in the status.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::support::bridge::{Bridge, Options, run};
use crate::support::clock::DAY;
use crate::support::dovecot::Dovecot;
use crate::support::imap_peer::{PASSWORD, Peer, USER};
use crate::support::office::{LOGIN, Office, fetch};
use crate::support::peer_office::PeerOffice;
use crate::support::process::eventually;
use crate::support::tree::{Account, Tree};

const LIMIT_KIB: u64 = 10_240;

/// A gauge of the account; none where it is not there.
fn gauge(bridge: &Bridge, name: &str) -> Option<u64> {
    let metrics = bridge.metrics();
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{name}{{account=\"info\"}} ")))?;
    Some(line.parse().expect("a number"))
}

const LIMIT: &str = "popbridge_account_quota_bytes";
const USED: &str = "popbridge_account_quota_used_bytes";
const STOPPED: &str = "popbridge_account_sweep_stopped";
const FREEABLE: &str = "popbridge_account_freeable_bytes";

/// What would be freed now and within 7 days, as the status says.
fn freeable(office: &Office) -> (u64, u64) {
    let freeable = &office.status()["freeable"];
    let octets = |what: &str| freeable[what].as_u64().expect("octets");
    (octets("now"), octets("within_7_days"))
}

/// The status by a file in which messages are disposed of in another way: as text, and the mailbox as JSON.
fn status_with(office: &Office, dispose: &str) -> (String, Value) {
    let folder = office.dovecot.path();
    let text = std::fs::read_to_string(folder.join("office.toml")).expect("a configuration");
    let text = text.replace("\"expunge\"", &format!("\"{dispose}\""));
    let file = folder.join("other.toml");
    std::fs::write(&file, text).expect("a configuration");
    let place = [
        "--config",
        file.to_str().unwrap(),
        "--state",
        office.state.to_str().unwrap(),
    ];
    let told = |arguments: &[&str]| {
        let (code, output, errors) = run(&[arguments, &place].concat(), &[]);
        assert_eq!(code, Some(0), "{output}{errors}");
        output
    };
    let json: Value = serde_json::from_str(&told(&["status", "--json"])).expect("JSON");
    (told(&["status"]), json["mailboxes"][0].clone())
}

#[test]
fn how_full_a_mailbox_is_and_what_would_be_freed_is_in_the_gauges_and_the_status() {
    let office = Office::plan()
        .with_clock()
        .dovecot(Dovecot::options().quota(LIMIT_KIB))
        .limits("sweep_interval = \"1s\"")
        .rules("dispose = \"expunge\"\nretention = { when = \"all-clients-delivered\", min_age = \"1d\" }")
        .start();
    office.deliver(1..=120);
    office.add("desk1", &[]);
    let mut pop3 = office.client("desk1");
    let (_, octets) = pop3.stat();
    // Dovecot counts in KiB.
    let is_full = |used: Option<u64>| used.is_some_and(|used| used.abs_diff(octets) <= 1024);
    let bridge = office.bridge();
    eventually("the upstream has said how full it is", || {
        is_full(gauge(bridge, USED))
    });
    assert_eq!(gauge(bridge, LIMIT), Some(LIMIT_KIB * 1024));
    assert_eq!(gauge(bridge, FREEABLE), Some(0));
    assert_eq!(gauge(bridge, STOPPED), Some(0));
    let quota = &office.status()["quota"];
    assert!(is_full(quota["used"].as_u64()), "{quota}");
    assert_eq!(quota["limit"], LIMIT_KIB * 1024);
    assert!(quota["at"].as_i64().is_some_and(|at| at > 1_700_000_000));
    assert_eq!(freeable(&office), (0, 0), "nobody has had anything");

    fetch(&mut pop3);
    pop3.quit();
    assert_eq!(freeable(&office), (0, octets), "it is too young");
    let told = office.ok(&["status", "--account", "info"]);
    assert!(told.contains(" of 10.0 MiB used ("), "{told}");
    assert!(told.contains("the rules would free 0 B now and "), "{told}");

    // In the trash it takes room for a while, in the archive for ever.
    let (told, json) = status_with(&office, "trash");
    assert!(told.contains("once the trash is emptied"), "{told}");
    assert_eq!(json["freeable"]["within_7_days"], octets);
    let (told, json) = status_with(&office, "archive");
    assert!(told.contains("would free nothing within 7 days"), "{told}");
    assert_eq!(json["freeable"]["within_7_days"], 0);

    // So much at once waits for a person, who sees what it is about.
    office.ahead(2 * DAY);
    eventually("it is due", || gauge(bridge, FREEABLE) == Some(octets));
    assert_eq!(freeable(&office), (octets, octets));
    assert_eq!(gauge(bridge, STOPPED), Some(1));
    office.ok(&["sweep", "--confirm"]);
    eventually("there is room again", || {
        gauge(bridge, USED).is_some_and(|used| used < octets / 2)
    });
    eventually("nothing is left to be freed", || {
        (gauge(bridge, FREEABLE), gauge(bridge, STOPPED)) == (Some(0), Some(0))
    });
    assert_eq!(freeable(&office), (0, 0));
}

/// A mailbox whose upstream says how full it is, in these words.
fn saying(words: &'static str) -> Peer {
    Peer::with_mail(3)
        .capability("IMAP4rev1 LITERAL+ SASL-IR AUTH=PLAIN UIDPLUS MOVE QUOTA")
        .reply("GETQUOTAROOT", words)
}

#[test]
fn an_upstream_that_does_not_say_how_full_a_mailbox_is_is_no_trouble() {
    const STORAGE: &str = "* QUOTAROOT INBOX x\n* QUOTA x (STORAGE 3 7)\n{tag} OK done";
    let told = json!({ "used": 3 * 1024, "limit": 7 * 1024 });
    for (words, expected) in [
        (STORAGE, told),
        ("* QUOTAROOT INBOX\n{tag} OK done", Value::Null),
        ("{tag} NO [NOPERM] it is none of yours", Value::Null),
        ("{tag} BAD what?", Value::Null),
        ("* QUOTA x (STORAGE much more)\n{tag} OK done", Value::Null),
        ("* BYE it is late", Value::Null),
        ("no IMAP at all", Value::Null),
    ] {
        let peer = saying(words).start();
        let office = PeerOffice::start(&peer, "");
        peer.wait_for("GETQUOTAROOT", 1);
        office.add("desk1", &[]);
        for _ in 0..2 {
            let mut pop3 = office.client("desk1");
            assert_eq!(pop3.stat().0, 3, "{words}");
            pop3.retr(1);
            pop3.quit();
        }
        eventually("the first look at the mailbox is over", || {
            gauge(&office.bridge, FREEABLE).is_some()
        });
        let mut quota = office.status()["quota"].clone();
        if let Some(quota) = quota.as_object_mut() {
            quota.remove("at");
        }
        assert_eq!(quota, expected, "{words}");
        let is_told = gauge(&office.bridge, LIMIT).is_some();
        assert_eq!(is_told, !expected.is_null(), "{words}");
        // The sweeper asks, and sessions of the account do not.
        assert_eq!(peer.commands("GETQUOTAROOT").len(), 1, "{words}");
    }
}

#[test]
fn the_upstream_of_a_mailbox_that_is_passed_through_is_asked_once_in_a_while() {
    let peer = saying("* QUOTAROOT INBOX x\n* QUOTA x (STORAGE 3 7)\n{tag} OK done").start();
    let folder = Tree::new("quota", &Account::for_servers());
    let (state, config) = (folder.join("state"), folder.join("popbridge.toml"));
    let text = format!(
        "state = \"{}\"\n[upstream.mail]\nurl = \"{}\"\n",
        state.display(),
        peer.plain_url()
    );
    std::fs::write(&config, &text).unwrap();
    std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o644)).unwrap();
    let bridge = Options::config(&text).state(&state).start();
    for _ in 0..3 {
        let mut pop3 = bridge.pop3().log_in(USER, PASSWORD);
        assert_eq!(pop3.stat().0, 3);
        pop3.quit();
    }
    // Its metrics name no mailbox that the operator has not named.
    assert!(!bridge.metrics().contains("popbridge_account_quota"));
    assert!(bridge.stop().success());
    assert_eq!(peer.commands("GETQUOTAROOT"), ["GETQUOTAROOT \"INBOX\""]);
    let (code, output, errors) = run(
        &["status", "--json", "--config", config.to_str().unwrap()],
        &[],
    );
    assert_eq!(code, Some(0), "{output}{errors}");
    let status: Value = serde_json::from_str(&output).unwrap();
    let quota = &status["mailboxes"][0]["quota"];
    assert_eq!(
        (&quota["used"], &quota["limit"]),
        (&json!(3072), &json!(7168))
    );
}

#[test]
fn a_real_server_without_quota_is_not_asked() {
    let office = Office::start();
    office.add("desk1", &[]);
    eventually("a look at the mailbox", || {
        gauge(office.bridge(), FREEABLE).is_some()
    });
    let asked = ["command=\"GETQUOTAROOT\""];
    let bridge = office.bridge();
    assert_eq!(
        bridge.metric("popbridge_upstream_commands_total", &asked),
        0.0
    );
    let status = office.status();
    assert_eq!(
        (&status["login"], &status["quota"]),
        (&json!(LOGIN), &Value::Null)
    );
}
