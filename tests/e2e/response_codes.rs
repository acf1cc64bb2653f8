//! What an upstream says, and what a POP3 client hears of it: to a log-in that is passed through, to one by a client of the bridge's own
//! whose mailbox's password the bridge holds, and in the middle of a session. `[AUTH]` is said only about what the client itself presented.

use crate::hostile_login::answered;
use crate::many::{Many, Row, in_a_hurry};
use crate::support::bridge::{Bridge, Options, field, run};
use crate::support::imap_peer::{PASSWORD, Peer, RunningPeer, USER};
use crate::support::pop3::Pop3;

const AUTH: &str = "AUTH";
const TEMP: &str = "SYS/TEMP";
const PERM: &str = "SYS/PERM";

/// What is said to a log-in, and the codes for a client that is passed through and for one of the bridge's own.
const AT_LOG_IN: &[(&str, &str, &str)] = &[
    (
        "NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)",
        AUTH,
        PERM,
    ),
    ("NO [AUTHORIZATIONFAILED] x", AUTH, PERM),
    ("NO [EXPIRED] x", AUTH, PERM),
    ("NO Login failed.", AUTH, PERM),
    (
        "NO [ALERT] Application-specific password required: https://x (Failure)",
        AUTH,
        PERM,
    ),
    (
        "NO [ALERT] Please log in via your web browser: https://x (Failure)",
        PERM,
        PERM,
    ),
    ("NO [PRIVACYREQUIRED] x", PERM, PERM),
    ("NO [CONTACTADMIN] x", PERM, PERM),
    ("NO [NOPERM] x", PERM, PERM),
    ("NO [NONEXISTENT] x", PERM, PERM),
    ("NO [REFERRAL imap://other/] x", PERM, PERM),
    ("NO [UNAVAILABLE] x", TEMP, TEMP),
    ("NO [LIMIT] LOGIN Rate limit hit", TEMP, TEMP),
    ("NO [THROTTLED] x", TEMP, TEMP),
    (
        "NO [OVERQUOTA] Account exceeded command or bandwidth limits",
        TEMP,
        TEMP,
    ),
    ("NO [INUSE] x", TEMP, TEMP),
    ("NO [SERVERBUG] x", TEMP, TEMP),
    ("NO [CORRUPTION] x", TEMP, TEMP),
    ("NO [ALERT] x", TEMP, TEMP),
    (
        "NO [ALERT] Too many simultaneous connections. (Failure)",
        TEMP,
        TEMP,
    ),
    ("NO Server Unavailable. 15", TEMP, TEMP),
    (
        "BAD Request is throttled. Suggested Backoff Time: 60000 milliseconds",
        TEMP,
        TEMP,
    ),
    ("BAD User is authenticated but not connected.", PERM, PERM),
    ("BAD what?", TEMP, TEMP),
    ("* BYE x", TEMP, TEMP),
    ("* BYE [UNAVAILABLE] x", TEMP, TEMP),
    ("* BYE [AUTHENTICATIONFAILED] x", TEMP, TEMP),
    ("* BYE [CONTACTADMIN] x", PERM, PERM),
];

/// What is said to EXAMINE, and the codes for both.
const LATER: &[(&str, &str, &str)] = &[
    ("NO [UNAVAILABLE] x", TEMP, TEMP),
    ("NO [LIMIT] Rate limit hit", TEMP, TEMP),
    ("NO [THROTTLED] x", TEMP, TEMP),
    ("NO [OVERQUOTA] x", TEMP, TEMP),
    ("NO [INUSE] x", TEMP, TEMP),
    ("NO [SERVERBUG] x", TEMP, TEMP),
    ("NO [CORRUPTION] x", TEMP, TEMP),
    ("NO [ALERT] x", TEMP, TEMP),
    ("NO x", TEMP, TEMP),
    ("BAD x", TEMP, TEMP),
    ("* BYE x", TEMP, TEMP),
    ("* BYE [UNAVAILABLE] x", TEMP, TEMP),
    ("* BYE Session expired, please login again.", TEMP, TEMP),
    (
        "BAD Request is throttled. Suggested Backoff Time: 60000 milliseconds",
        TEMP,
        TEMP,
    ),
    ("BAD User is authenticated but not connected.", PERM, PERM),
    ("NO [NONEXISTENT] x", PERM, PERM),
    ("NO [NOPERM] x", PERM, PERM),
    ("NO [PRIVACYREQUIRED] x", PERM, PERM),
    ("NO [CONTACTADMIN] x", PERM, PERM),
    ("NO [CANNOT] x", PERM, PERM),
    // The next log-in tells whose credentials count no more; the bridge's are nobody else's.
    ("NO [EXPIRED] x", TEMP, PERM),
    ("NO [AUTHORIZATIONFAILED] x", TEMP, PERM),
];

fn tagged(line: &str) -> String {
    match line.starts_with('*') {
        true => line.to_owned(),
        false => format!("{{tag}} {line}"),
    }
}

fn at_log_in(line: &'static str) -> Peer {
    answered(tagged(line).leak())
}

fn later(line: &'static str) -> Peer {
    Peer::with_mail(1).reply("EXAMINE", &tagged(line))
}

fn rows(cases: &[(&'static str, &str, &str)], peer: fn(&'static str) -> Peer) -> Vec<Row> {
    cases.iter().map(|(line, ..)| (*line, peer(line))).collect()
}

#[test]
fn a_client_whose_log_in_is_passed_through_hears_auth_of_its_own_password_only() {
    let many = Many::start(rows(AT_LOG_IN, at_log_in));
    let mut codes = AT_LOG_IN
        .iter()
        .map(|(_, passed_through, _)| passed_through);
    many.each(|one| {
        let (_, status) = one.pass();
        one.assert_refused(&status, codes.next().copied());
    });
}

#[test]
fn what_an_upstream_says_later_on_is_never_about_the_clients_password() {
    let many = Many::start(rows(LATER, later));
    let mut codes = LATER.iter().map(|(_, passed_through, _)| passed_through);
    many.each(|one| {
        let mut pop3 = one.log_in();
        let status = pop3.command("STAT");
        one.assert_refused(&status, codes.next().copied());
        // The session goes on.
        pop3.ok("NOOP");
    });
}

/// Mailboxes whose password the bridge holds, each on a peer of its own with one client.
struct Held {
    bridge: Bridge,
    _peers: Vec<RunningPeer>,
    passwords: Vec<String>,
}

impl Held {
    fn start(peers: Vec<Peer>) -> Self {
        let peers: Vec<RunningPeer> = peers.into_iter().map(Peer::start).collect();
        let mut config = in_a_hurry(&peers[0].certs);
        for (n, peer) in peers.iter().enumerate() {
            let url = peer.plain_url();
            config.push_str(&format!(
                "[upstream.n{n}]\nurl = \"{url}\"\ndomains = [\"n{n}.test\"]\n\
                 [account.a{n}]\nupstream = \"n{n}\"\nlogin = \"{USER}\"\npassword_env = \"HELD\"\n"
            ));
        }
        let bridge = Options::config(&config)
            .environment("HELD", PASSWORD)
            .start();
        let file = bridge.folder().join("popbridge.toml");
        let (file, state) = (file.to_str().unwrap(), bridge.state().to_str().unwrap());
        let add = |n| {
            let (client, account) = (format!("c{n}"), format!("a{n}"));
            let arguments = ["client", "add", &client, "--account", &account];
            let place = ["--config", file, "--state", state];
            let (code, password, errors) = run(&[&arguments[..], &place].concat(), &[]);
            assert_eq!(code, Some(0), "{errors}");
            password.trim_end().to_owned()
        };
        let passwords = (0..peers.len()).map(add).collect();
        Self {
            bridge,
            _peers: peers,
            passwords,
        }
    }

    /// The client of the nth mailbox: it is let in whatever the upstream says.
    fn client(&self, n: usize) -> Pop3 {
        let name = format!("c{n}");
        self.bridge.pop3().log_in(&name, &self.passwords[n])
    }
}

#[test]
fn a_client_of_the_bridges_own_never_hears_auth_of_what_the_bridge_holds() {
    let cases = [(AT_LOG_IN, at_log_in as fn(_) -> _), (LATER, later)];
    for (cases, peer) in cases {
        let peers = cases.iter().map(|(line, ..)| peer(line)).collect();
        let held = Held::start(peers);
        for (n, (line, _, code)) in cases.iter().enumerate() {
            let mut pop3 = held.client(n);
            let status = pop3.command("STAT");
            assert_eq!((status.ok, status.code()), (false, Some(*code)), "{line}");
            pop3.ok("NOOP");
        }
    }
}

#[test]
fn the_operator_reads_what_microsofts_riddle_means() {
    let held = Held::start(vec![later("BAD User is authenticated but not connected.")]);
    held.client(0).err("STAT");
    held.bridge.wait_for_log("why, and what to do", |line| {
        let error = field(line, "trouble");
        ["wrong scope", "licence", "permission"]
            .iter()
            .all(|words| error.contains(words))
    });
}
