//! Gmail: folders in the account's language, sessions that end by themselves, limits, and clients that come from pop.gmail.com.

use std::path::Path;
use std::sync::Arc;

use crate::clients::{Job, finish, mpop, private, set_mode};
use crate::many::{Many, Row, before, log_in};
use crate::support::bridge::Bridge;
use crate::support::fake_folders::{Folders, GMAIL};
use crate::support::fake_mailbox::Mailbox;
use crate::support::imap_peer::{Flow, Peer, RunningPeer, USER};
use crate::support::mail::{ordinary, repaired};
use crate::support::office::number_of;
use crate::support::peer_office::PeerOffice;
use crate::support::pop3::Mode;
use crate::support::pop3_server::Pop3Server;
use crate::support::process::require;
use crate::support::tree::{Account, Tree};

/// What a Gmail upstream wants, whoever writes it down.
const GMAIL_KEYS: &str = "uidl = \"gmail\"\ndispose = \"trash\"";

/// An account with so many messages in INBOX and all mail, whose folders are named in some language.
fn account(count: usize, trash: &str, all: &str) -> (Arc<Folders>, RunningPeer) {
    let folders = Folders::new(&[
        ("INBOX", "\\HasNoChildren"),
        ("[Gmail]", "\\HasChildren \\Noselect"),
        (all, "\\All \\HasNoChildren"),
        (trash, "\\HasNoChildren \\Trash"),
    ]);
    for n in 1..=count {
        folders.of("INBOX").add(&repaired(&ordinary(n).raw));
        folders.of(all).add(&repaired(&ordinary(n).raw));
    }
    let peer = folders.peer().capability(GMAIL).start();
    (folders, peer)
}

fn numbers(mailbox: &Mailbox) -> Vec<usize> {
    let inner = mailbox.lock();
    inner.mail.iter().map(|mail| number_of(&mail.raw)).collect()
}

#[test]
fn what_is_deleted_is_moved_to_the_trash_in_whatever_language_and_never_marked_or_expunged() {
    for (trash, all) in [
        ("[Gmail]/Trash", "[Gmail]/All Mail"),
        ("[Gmail]/Papierkorb", "[Gmail]/Alle Nachrichten"),
        // "Корзина"
        (
            "[Gmail]/&BBoEPgRABDcEOAQ9BDA-",
            "[Gmail]/&BBIEQQRP- &BD8EPgRHBEIEMA-",
        ),
        // One whose name in another language means something else.
        ("[Google Mail]/Bin", "[Google Mail]/Trash"),
    ] {
        let (folders, peer) = account(4, trash, all);
        let bridge = before(&peer, &peer.plain_url(), GMAIL_KEYS);
        let mut pop3 = log_in(&bridge);
        pop3.ok("DELE 2");
        pop3.ok("DELE 4");
        pop3.quit();
        assert_eq!(numbers(&folders.of("INBOX")), [1, 3], "{trash}");
        assert_eq!(numbers(&folders.of(trash)), [2, 4], "{trash}");
        assert_eq!(
            peer.commands("UID MOVE"),
            [format!("UID MOVE 2,4 \"{trash}\"")]
        );
        for changing in ["UID STORE", "UID EXPUNGE", "EXPUNGE", "CLOSE", "UID COPY"] {
            assert_eq!(peer.commands(changing).len(), 0, "{trash}: {changing}");
        }
    }
}

/// Behind the first message the first connection is over.
fn ends(how: &'static str, unasked: bool) -> Peer {
    let peer = Peer::with_mail(3);
    peer.mailbox().lock().gm_msgids = true;
    peer.capability(GMAIL).on("UID FETCH", move |conn, cmd| {
        if conn.number > 0 || !cmd.has("BODY.PEEK[]") || cmd.has("FETCH 1 ") && !unasked {
            return Flow::Default;
        }
        if unasked {
            let raw = repaired(&ordinary(1).raw);
            conn.raw(format!("* 1 FETCH (UID 1 BODY[] {{{}}}\r\n", raw.len()));
            conn.raw(&raw);
            conn.line(")");
            conn.ok(cmd);
        }
        conn.raw(how);
        conn.close();
        Flow::End
    })
}

#[test]
fn when_gmail_ends_a_session_after_a_day_or_with_its_token_the_client_notices_nothing() {
    const DAY: &str = "* BYE Session expired, please login again.\r\n";
    const TOKEN: &str = "* BYE [UNAVAILABLE] Session invalidated - AccessTokenExpired\r\n";
    let rows: Vec<Row> = vec![
        ("between two commands", ends(DAY, true)),
        ("in answer to a command", ends(DAY, false)),
        ("with its token", ends(TOKEN, true)),
        ("without a word", ends("", true)),
    ];
    Many::start(rows).each(|one| {
        let mut pop3 = one.log_in();
        for n in 1..=3 {
            assert_eq!(pop3.retr(n), repaired(&ordinary(n).raw), "{}", one.name);
        }
        pop3.ok("DELE 3");
        pop3.quit();
        assert_eq!(one.peer.mailbox().uids(), [1, 2], "{}", one.name);
        assert_eq!(one.peer.connections(), 2, "{}", one.name);
    });
}

#[test]
fn what_gmail_says_of_its_limits_is_held_against_no_message() {
    for words in [
        "NO [OVERQUOTA] Account exceeded command or bandwidth limits. (Failure)",
        "NO [THROTTLED] Too many requests",
    ] {
        // Other messages are given, so that this one looks guilty.
        let peer = Peer::with_mail(3).on("UID FETCH 2", move |conn, cmd| {
            if !cmd.has("BODY.PEEK[]") {
                return Flow::Default;
            }
            conn.tagged(cmd, words);
            Flow::Done
        });
        peer.mailbox().lock().gm_msgids = true;
        let peer = peer.capability(GMAIL).start();
        let office = PeerOffice::that_keeps_nothing(&peer);
        office.add("device", &["view=undelivered"]);
        for _ in 0..4 {
            let mut pop3 = office.client("device");
            assert_eq!(pop3.stat().0, 3, "{words}");
            let refused = pop3.err("RETR 2");
            assert_eq!(
                refused.code(),
                Some("SYS/TEMP"),
                "{words}: {}",
                refused.text
            );
            drop(pop3);
            office.is_cleared_up();
        }
        assert_eq!(office.status()["unreadable"].as_array().unwrap().len(), 0);
    }
}

#[test]
fn a_folder_that_looks_cut_off_by_a_setting_of_the_account_is_named_in_the_log() {
    let warned = |bridge: &Bridge| {
        let log = bridge.log();
        let lines = log
            .iter()
            .filter(|line| line.contains("WARN") && line.contains("not shown"));
        lines.count()
    };
    for (count, warnings) in [(999, 0), (1000, 1), (1001, 0)] {
        let (_folders, peer) = account(count, "[Gmail]/Trash", "[Gmail]/All Mail");
        let keys = format!("{GMAIL_KEYS}\nprovider = \"gmail\"");
        let bridge = before(&peer, &peer.plain_url(), &keys);
        for _ in 0..2 {
            let mut pop3 = log_in(&bridge);
            assert_eq!(pop3.stat().0, count as u64);
            pop3.quit();
        }
        assert_eq!(warned(&bridge), warnings, "{count} messages");
    }
}

/// A place for one program: where it keeps what it remembers, and where it puts messages.
struct Program {
    tree: Tree,
}

impl Program {
    fn new() -> Self {
        let tree = Tree::new("moving", &Account::for_servers());
        std::fs::create_dir(tree.join("inbox")).unwrap();
        let keep =
            "#!/bin/sh\ncd \"${0%/*}/inbox\" && exec cat >$(printf %03d $(($(ls | wc -l) + 1)))\n";
        set_mode(&tree.write("keep", keep), 0o700);
        Self { tree }
    }

    fn run(&self, program: fn(&Job), port: u16) {
        program(&Job {
            mode: Mode::Plain,
            port,
            user: USER,
            ca: Path::new("/dev/null"),
            home: self.tree.path(),
            inbox: &self.tree.join("inbox"),
            keep: &self.tree.join("keep"),
        });
    }

    /// The messages that it has got, in order.
    fn got(&self) -> Vec<usize> {
        let mut files: Vec<_> = std::fs::read_dir(self.tree.join("inbox"))
            .unwrap()
            .map(|file| file.unwrap().path())
            .collect();
        files.sort();
        let read = files.iter().map(|file| std::fs::read(file).unwrap());
        read.map(|message| number_of(&message)).collect()
    }
}

/// fetchmail with its own memory of unique-ids, as for pop.gmail.com.
fn fetchmail(job: &Job) {
    let text = format!(
        "set no syslog\nset invisible\npoll localhost protocol POP3 port {} uidl auth password no dns timeout 60\n\
         user '{}' password pw sslproto '' keep no rewrite mda '{}'\n",
        job.port,
        job.user,
        job.keep.display(),
    );
    let file = private(job.home, "fetchmailrc", &text);
    let script = "fetchmail=$1; shift; \"$fetchmail\" \"$@\"; code=$?; [ $code = 1 ] || exit $code"; // 1: no new mail
    let mut command = std::process::Command::new("sh");
    command
        .args(["-c", script, "sh", &require("fetchmail", "fetchmail")])
        .env("HOME", job.home)
        .env("FETCHMAILHOME", job.home)
        .arg("-f")
        .arg(file)
        .arg("--nodetach")
        .arg("--pidfile")
        .arg(job.home.join("pid"))
        .arg("-v");
    finish(&mut command);
}

fn retrievals(bridge: &Bridge) -> f64 {
    let of = |command: &str| {
        let command = format!("command=\"{command}\"");
        bridge.metric("popbridge_commands_total", &[&command, "outcome=\"ok\""])
    };
    of("RETR") + of("TOP")
}

/// A program fetches everything from pop.gmail.com, and then goes to the bridge in front of the same mailbox.
fn moves_without_downloading_twice(program: fn(&Job)) {
    let (folders, peer) = account(5, "[Gmail]/Trash", "[Gmail]/All Mail");
    let inbox = folders.of("INBOX");
    let old = inbox.lock().mail.clone();
    let listed = |mail: &crate::support::fake_mailbox::Mail| {
        (format!("GmailId{:x}", mail.gm_msgid()), mail.raw.clone())
    };
    let gmail = Pop3Server::start(old.iter().map(listed).collect());
    let user = Program::new();
    user.run(program, gmail.port);
    assert_eq!(user.got(), [1, 2, 3, 4, 5]);
    user.run(program, gmail.port);
    assert_eq!(gmail.retrieved().len(), 5, "it remembers what it has had");

    let bridge = before(&peer, &peer.plain_url(), GMAIL_KEYS);
    user.run(program, bridge.pop3_port);
    assert_eq!(user.got(), [1, 2, 3, 4, 5]);
    assert_eq!(retrievals(&bridge), 0.0);
    let bodies = || {
        peer.commands("UID FETCH")
            .into_iter()
            .filter(|line| line.contains("BODY.PEEK["))
    };
    assert_eq!(
        bodies().count(),
        0,
        "no octet of a message crossed the internet"
    );

    inbox.add(&repaired(&ordinary(6).raw));
    user.run(program, bridge.pop3_port);
    assert_eq!(user.got(), [1, 2, 3, 4, 5, 6]);
    // Google numbers the folder anew.
    inbox.lock().uid_validity += 1;
    inbox
        .lock()
        .mail
        .iter_mut()
        .for_each(|mail| mail.uid += 100);
    inbox.lock().uid_next += 100;
    user.run(program, bridge.pop3_port);
    assert_eq!(user.got(), [1, 2, 3, 4, 5, 6]);
    assert_eq!(gmail.retrieved().len(), 5);
}

#[test]
fn mpop_that_moves_from_pop_gmail_com_to_the_bridge_downloads_nothing_twice() {
    moves_without_downloading_twice(mpop::run);
}

#[test]
fn fetchmail_that_moves_from_pop_gmail_com_to_the_bridge_downloads_nothing_twice() {
    moves_without_downloading_twice(fetchmail);
}
