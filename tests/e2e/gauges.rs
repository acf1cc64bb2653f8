//! What /metrics says of accounts and their clients: the same as `popbridge status`, and nothing of whom the operator did not name.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::support::bridge::{Bridge, Options, run};
use crate::support::clock::HOUR;
use crate::support::imap_peer::{Flow, PASSWORD, Peer, USER};
use crate::support::office::{LOGIN, Office, fetch};
use crate::support::process::eventually;
use crate::support::tree::{Account, Tree};

/// The gauges of clients, in the order of [`Figures`].
const OF_CLIENTS: [&str; 3] = [
    "popbridge_client_waiting_messages",
    "popbridge_client_last_seen_timestamp_seconds",
    "popbridge_client_lost_messages",
];
const OLDEST: &str = "popbridge_client_oldest_waiting_seconds";

/// What waits for a client, when it was last seen, what it has lost.
type Figures = [i64; 3];

/// How an account and its clients stand.
#[derive(Debug)]
struct Standing {
    pending: i64,
    withheld: i64,
    clients: BTreeMap<String, Figures>,
    /// For how long the oldest message has waited, which grows from second to second.
    oldest: BTreeMap<String, i64>,
}

impl Standing {
    fn of(&self, client: &str) -> Figures {
        self.clients[client]
    }

    fn names(&self) -> Vec<&str> {
        self.clients.keys().map(String::as_str).collect()
    }
}

/// The samples of a family of the account, by client; those without one under "".
fn samples(metrics: &str, family: &str) -> BTreeMap<String, i64> {
    let each = metrics.lines().filter_map(|line| {
        let labels = line.strip_prefix(family)?.strip_prefix('{')?;
        let (labels, value) = labels.split_once("} ")?;
        let labels = labels.strip_prefix("account=\"info\"").expect("an account");
        let client = labels.strip_prefix(",client=\"").unwrap_or_default();
        let client = client.trim_end_matches('"').to_owned();
        Some((client, value.parse().expect("a number")))
    });
    each.collect()
}

/// As /metrics has it; -1 where there is nothing.
fn measured(bridge: &Bridge) -> Standing {
    let metrics = bridge.metrics();
    let one = |family: &BTreeMap<String, i64>, of: &str| family.get(of).copied().unwrap_or(-1);
    let of_account = |family| one(&samples(&metrics, family), "");
    let families = OF_CLIENTS.map(|family| samples(&metrics, family));
    let names = families.iter().flat_map(BTreeMap::keys);
    let figures = |name: &String| families.each_ref().map(|family| one(family, name));
    Standing {
        pending: of_account("popbridge_account_pending_disposals"),
        withheld: of_account("popbridge_account_withheld_messages"),
        clients: names.map(|name| (name.clone(), figures(name))).collect(),
        oldest: samples(&metrics, OLDEST),
    }
}

/// As `popbridge status --json` has it, without those who have no gauges: whom the operator did not name, and whom he removed.
fn told(mailbox: &Value) -> Standing {
    assert_eq!(mailbox["account"], "info");
    let list = |what: &str| {
        mailbox[what]
            .as_array()
            .expect("a list")
            .clone()
            .into_iter()
    };
    let number = |value: &Value| value.as_i64().unwrap_or(0);
    let named = |one: &Value| one["named"] == true && one["removed"].is_null();
    let clients: Vec<Value> = list("clients").filter(named).collect();
    let name = |one: &Value| one["login"].as_str().expect("a name").to_owned();
    let figures = |one: &Value| ["waiting", "last_seen", "lost"].map(|what| number(&one[what]));
    let oldest = |one: &Value| number(&one["oldest_waiting_seconds"]);
    let failed_often = |one: &Value| number(&one["failures"]) >= 3;
    Standing {
        pending: list("pending").map(|some| number(&some["messages"])).sum(),
        withheld: list("unreadable").filter(failed_often).count() as i64,
        clients: clients
            .iter()
            .map(|one| (name(one), figures(one)))
            .collect(),
        oldest: clients.iter().map(|one| (name(one), oldest(one))).collect(),
    }
}

/// Waits until the gauges are what the status says, and gives them.
fn agreed(bridge: &Bridge, status: impl Fn() -> Value) -> Standing {
    let before = told(&status());
    let mut agreed = None;
    eventually("the gauges are what the status says", || {
        let measured = measured(bridge);
        let after = told(&status());
        let is_between = |(name, oldest): (&String, &i64)| {
            before.oldest[name] <= *oldest && *oldest <= after.oldest[name]
        };
        let is_told = measured.clients == after.clients
            && measured.oldest.keys().eq(after.oldest.keys())
            && measured.oldest.iter().all(is_between)
            && (measured.pending, measured.withheld) == (after.pending, after.withheld);
        agreed = is_told.then_some(measured);
        is_told
    });
    agreed.expect("they are")
}

fn agreed_in(office: &Office) -> Standing {
    agreed(office.bridge(), || office.status())
}

#[test]
fn the_gauges_of_an_account_and_its_clients_are_what_the_status_says() {
    let mut office = Office::plan()
        .with_clock()
        .limits("sweep_interval = \"1s\"")
        .rules("after_retrieve = \"trash\"")
        .start();
    office.deliver(1..=6);
    office.add("desk1", &[]);
    office.add("desk2", &["view=undelivered"]);
    office.add("scanner", &[]);
    office.add("late", &["since=enrolment"]);
    // Who logs in with the mailbox's own password is a client, too, but nobody has named it.
    office.bridge().pop3_as(LOGIN).quit();
    let mut desk1 = office.client("desk1");
    assert_eq!(fetch(&mut desk1), [1, 2, 3, 4, 5, 6]);
    desk1.quit();
    let mut desk2 = office.client("desk2");
    desk2.retr(1);
    desk2.ok("DELE 2");
    desk2.quit();
    office.phone().remove(&[5]);
    office.ahead(2 * HOUR);
    // What is gone is not on its way to anywhere.
    eventually("a look at the mailbox", || {
        told(&office.status()).pending == 5
    });

    let standing = agreed_in(&office);
    assert_eq!(standing.names(), ["desk1", "desk2", "late", "scanner"]);
    // What desk1 has had waits for the others on its way to the trash.
    assert_eq!((standing.pending, standing.withheld), (5, 0));
    let waiting_and_lost = |name| {
        let [waiting, _, lost] = standing.of(name);
        (waiting, lost)
    };
    assert_eq!(waiting_and_lost("desk1"), (0, 0));
    assert_eq!(waiting_and_lost("desk2"), (3, 1));
    assert_eq!(waiting_and_lost("scanner"), (5, 1));
    assert_eq!(waiting_and_lost("late"), (0, 0));
    let waits_long = |name: &str| standing.oldest[name] >= 2 * HOUR as i64;
    assert!(waits_long("desk2") && waits_long("scanner"), "{standing:?}");
    assert_eq!((standing.oldest["desk1"], standing.oldest["late"]), (0, 0));

    // Of whom is removed nothing is shown any more.
    office.ok(&["client", "remove", "scanner"]);
    let standing = agreed_in(&office);
    assert_eq!(standing.names(), ["desk1", "desk2", "late"]);
    let metrics = office.bridge().metrics();
    assert!(!metrics.contains("scanner"), "{metrics}");
    assert!(!metrics.contains(LOGIN), "{metrics}");

    // The same after a restart, before which it was written down when each was seen.
    office.close();
    office.open();
    let standing = agreed_in(&office);
    assert_eq!(standing.names(), ["desk1", "desk2", "late"]);
    let last_seen = |name| standing.of(name)[1];
    assert!(last_seen("desk1") > 0 && last_seen("desk2") > 0);
    assert_eq!(last_seen("late"), 0);
}

#[test]
fn the_gauges_follow_a_session_that_wrote_something_at_once() {
    let office = Office::plan().limits("sweep_interval = \"1d\"").start();
    office.deliver(1..=3);
    office.add("desk1", &[]);
    office.add("desk2", &[]);
    for (name, expected) in [("desk1", [0, 3]), ("desk2", [0, 0])] {
        let mut pop3 = office.client(name);
        fetch(&mut pop3);
        pop3.quit();
        let standing = agreed_in(&office);
        let waiting = ["desk1", "desk2"].map(|name| standing.of(name)[0]);
        assert_eq!(waiting, expected);
    }
}

#[test]
fn a_message_that_is_withheld_is_in_the_gauges_until_it_can_be_read_again() {
    let mended = Arc::new(AtomicBool::new(false));
    let is_mended = Arc::clone(&mended);
    let peer = Peer::with_mail(3).on("UID FETCH 2", move |conn, cmd| {
        if !cmd.has("BODY.PEEK[]") || is_mended.load(Ordering::Relaxed) {
            return Flow::Default;
        }
        conn.line("* 2 FETCH (UID 2 BODY[] NIL)");
        conn.ok(cmd);
        Flow::Done
    });
    let peer = peer.start();
    let folder = Tree::new("gauges", &Account::for_servers());
    let password = folder.write("info.password", PASSWORD);
    std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o600)).unwrap();
    let (state, config) = (folder.join("state"), folder.join("popbridge.toml"));
    let text = format!(
        "state = \"{}\"\n[limits]\nsweep_interval = \"1s\"\n[upstream.mail]\nurl = \"{}\"\n\
         [account.info]\nlogin = \"{USER}\"\npassword_file = \"{}\"\n",
        state.display(),
        peer.plain_url(),
        password.display()
    );
    std::fs::write(&config, &text).unwrap();
    let bridge = Options::config(&text).state(&state).start();
    let command = |words: &[&str]| {
        let place = ["--config", config.to_str().unwrap()];
        let (code, output, errors) = run(&[words, &place].concat(), &[]);
        assert_eq!(code, Some(0), "{output}{errors}");
        output
    };
    let status = || {
        let status: Value = serde_json::from_str(&command(&["status", "--json"])).unwrap();
        status["mailboxes"][0].clone()
    };
    let of_desk1 = command(&["client", "add", "desk1", "--account", "info"]);
    for withheld in [0, 0, 1] {
        let mut pop3 = bridge.pop3().log_in("desk1", of_desk1.trim_end());
        pop3.stat();
        pop3.err("RETR 2");
        pop3.quit();
        assert_eq!(agreed(&bridge, status).withheld, withheld);
    }
    mended.store(true, Ordering::Relaxed);
    let mut pop3 = bridge.pop3().log_in("desk1", of_desk1.trim_end());
    pop3.stat();
    pop3.retr(2);
    pop3.quit();
    assert_eq!(agreed(&bridge, status).withheld, 0);
}
