//! Real POP3 programs against the bridge: each fetches the 200 odd messages over plain, STLS and implicit TLS, read ahead
//! and kept in memory and not, and every octet of what it keeps is accounted for. What a program changes by itself is in its `kept`, with its reason.

mod curl;
mod fetchmail;
mod getmail;
pub mod mpop;
mod poplib;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::support::bridge::{Bridge, Options};
use crate::support::dovecot::{Dovecot, PASSWORD};
use crate::support::imap::Imap;
use crate::support::mail::{odd_mail, on_the_wire};
use crate::support::pop3::{Mode, Pop3, show};
use crate::support::process::{last_lines, require};
use crate::support::tree::{Account, Tree};

/// One Dovecot and two bridges for all programs, each a client of the same mailbox: nothing here changes it.
struct Servers {
    /// As they are by default, and without anything read ahead or kept.
    bridges: [Bridge; 2],
    /// Name and octets as they must be on the wire: the upstream's, line ends repaired.
    mail: Vec<(String, Vec<u8>)>,
    _dovecot: Dovecot,
}

fn servers() -> &'static Servers {
    static SERVERS: OnceLock<Servers> = OnceLock::new();
    SERVERS.get_or_init(|| {
        let dovecot = Dovecot::start();
        let odd = odd_mail();
        dovecot.maildir("ann").fill(&odd);
        let fetched = Imap::log_in(dovecot.imap_port, "ann", PASSWORD).fetch_all("INBOX");
        assert_eq!(fetched.len(), odd.len());
        let mail = odd
            .into_iter()
            .zip(fetched)
            .map(|(m, f)| (m.name, on_the_wire(&f.body)))
            .collect();
        let url = dovecot.plain_url();
        let direct = Options::limits(&url, "body_cache = \"0B\"\nread_ahead = \"0B\"");
        Servers {
            bridges: [Bridge::before(&url), direct.start()],
            mail,
            _dovecot: dovecot,
        }
    })
}

/// What a program is told.
pub struct Job<'a> {
    pub mode: Mode,
    pub port: u16,
    /// The log-in name: the mailbox and a client name that no other program has, for they all run at the same time.
    pub user: &'a str,
    pub ca: &'a Path,
    /// An empty folder for the program's own files.
    pub home: &'a Path,
    /// Where the messages go, named 001, 002...
    pub inbox: &'a Path,
    /// A delivery program that puts its input there.
    pub keep: &'a Path,
}

/// What a program must have made of a message.
enum Kept {
    Exactly(Vec<u8>),
    /// Behind lines that the program has made up.
    EndsWith(Vec<u8>),
    /// The program itself damages such a message, whoever sends it.
    Damaged,
}

impl Kept {
    fn difference(&self, found: &[u8]) -> Option<String> {
        match self {
            Self::Exactly(expected) if found != expected => Some(first_difference(found, expected)),
            Self::EndsWith(expected) if !found.ends_with(expected) => {
                Some(first_difference(found, expected))
            }
            _ => None,
        }
    }
}

/// Lets a program fetch everything and compares what it kept, message by message.
fn check(program: &str, mode: Mode, run: fn(&Job), kept: fn(&[u8]) -> Kept) {
    let servers = servers();
    for bridge in &servers.bridges {
        check_with(bridge, &servers.mail, program, mode, run, kept);
    }
}

fn check_with(
    bridge: &Bridge,
    mail: &[(String, Vec<u8>)],
    program: &str,
    mode: Mode,
    run: fn(&Job),
    kept: fn(&[u8]) -> Kept,
) {
    let tree = Tree::new("client", &Account::for_servers());
    let inbox = tree.join("inbox");
    std::fs::create_dir(&inbox).unwrap();
    // MDAs are started one after the other, so the number of files is a serial number.
    let keep = tree.write(
        "keep",
        "#!/bin/sh\ncd \"${0%/*}/inbox\" && exec cat >$(printf %03d $(($(ls | wc -l) + 1)))\n",
    );
    set_mode(&keep, 0o700);
    let port = if mode == Mode::Tls {
        bridge.pop3s_port
    } else {
        bridge.pop3_port
    };
    run(&Job {
        mode,
        port,
        user: &format!("ann/{program}-{mode:?}"),
        ca: &bridge.certificate(),
        home: tree.path(),
        inbox: &inbox,
        keep: &keep,
    });

    let count = std::fs::read_dir(&inbox).unwrap().count();
    let mut wrong = Vec::new();
    for (n, (name, wire)) in (1..).zip(mail) {
        let found = std::fs::read(inbox.join(format!("{n:03}"))).unwrap_or_default();
        if let Some(difference) = kept(wire).difference(&found) {
            wrong.push(format!("{n} {name}: {difference}"));
        }
    }
    let number = wrong.len();
    wrong.truncate(20);
    assert!(
        number == 0,
        "{number} messages differ, the first ones:\n{}",
        wrong.join("\n")
    );
    assert_eq!(count, mail.len());
    // Past the test harness, which keeps what passing tests print to itself.
    let _ = writeln!(
        std::io::stderr(),
        "clients: {program} over {mode:?}: {count} messages"
    );
}

fn first_difference(found: &[u8], expected: &[u8]) -> String {
    let at = found
        .iter()
        .zip(expected)
        .take_while(|(a, b)| a == b)
        .count();
    let near = |octets: &[u8]| {
        show(&octets[at.saturating_sub(20).min(octets.len())..(at + 30).min(octets.len())])
    };
    format!(
        "kept {} octets, expected {}, unlike at {at}: {:?} for {:?}",
        found.len(),
        expected.len(),
        near(found),
        near(expected)
    )
}

pub fn set_mode(path: &Path, bits: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(bits)).unwrap();
}

/// A file that only its owner can read: the programs refuse others where there is a password inside.
pub fn private(home: &Path, name: &str, text: &str) -> PathBuf {
    let path = home.join(name);
    std::fs::write(&path, text).unwrap();
    set_mode(&path, 0o600);
    path
}

/// Runs a program to its end, which must be a success.
pub fn finish(command: &mut Command) {
    try_to_finish(command).unwrap_or_else(|said| panic!("{said}"));
}

/// Runs a program to its end; the error is what it said if that was no success.
pub fn try_to_finish(command: &mut Command) -> Result<(), String> {
    let output = command
        .output()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"));
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    let end = last_lines(&String::from_utf8_lossy(&said), 30);
    Err(format!("{command:?}: {}\n{end}", output.status))
}

fn as_on_the_wire(wire: &[u8]) -> Kept {
    Kept::Exactly(wire.to_vec())
}

fn with_unix_lines(wire: &[u8]) -> Kept {
    Kept::Exactly(unix_lines(wire))
}

/// CRLF becomes LF, as Unix programs keep text.
fn unix_lines(wire: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(wire.len());
    for (n, &octet) in wire.iter().enumerate() {
        if octet != b'\r' || wire.get(n + 1) != Some(&b'\n') {
            out.push(octet);
        }
    }
    out
}

/// Replaces `old` where it is, once.
fn replace(text: &mut Vec<u8>, old: &[u8], new: &[u8]) {
    if let Some(at) = text.windows(old.len()).position(|part| part == old) {
        text.splice(at..at + old.len(), new.iter().copied());
    }
}

#[test]
fn the_octets_on_the_wire_are_the_upstreams() {
    let servers = servers();
    for bridge in &servers.bridges {
        let mut pop3 = Pop3::connect(bridge.pop3_port).log_in("ann", PASSWORD);
        for (n, (name, wire)) in (1..).zip(&servers.mail) {
            let got = pop3.retr(n);
            assert!(got == *wire, "{n} {name}: {}", first_difference(&got, wire));
        }
        pop3.quit();
    }
}
