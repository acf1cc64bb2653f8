//! kill -9 at every boundary of QUIT: before each system call that outlives the bridge or that somebody else sees, from the arrival of QUIT
//! to the end of the disposal upstream. After a restart on the same state all of the session's deletions hold or none; all of them if
//! the client had seen `+OK`; and what was due upstream happens, on the messages that were meant.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Instant;

use crate::many::in_a_hurry;
use crate::support::bridge::{Bridge, Options};
use crate::support::fake_mailbox::Inner;
use crate::support::figures::show;
use crate::support::imap_peer::{PASSWORD, Peer, RunningPeer, USER};
use crate::support::pop3::Pop3;
use crate::support::process::{eventually, pause};
use crate::support::tracer::{Call, Next, follow, kill9};
use crate::support::tree::{Account, Tree};

const MESSAGES: usize = 8;
/// What is retrieved in the session that ends with the QUIT, and what is deleted.
const RETRIEVED: [usize; 3] = [1, 2, 4];
const DELETED: [usize; 3] = [2, 4, 5];
/// Bridges at a time for each story.
const WORKERS: usize = 2;

struct Story {
    name: &'static str,
    /// More lines for the upstream.
    keys: &'static str,
    /// The client whose QUIT it is.
    client: &'static str,
    /// Another client of the mailbox, and what it has deleted before.
    other: Option<(&'static str, &'static [usize])>,
    /// UIDs that are due because of the QUIT.
    due: &'static [u32],
}

const STORIES: [Story; 4] = [
    Story {
        name: "a plain log-in, whose DELE removes",
        keys: "",
        client: "user@example.com",
        other: None,
        due: &[2, 4, 5],
    },
    Story {
        name: "one of two clients, whose DELE hides",
        keys: "",
        client: "user@example.com/a",
        other: Some(("user@example.com/b", &[7])),
        due: &[],
    },
    Story {
        name: "the last of two clients to delete, and the rule moves to the trash",
        keys: "dispose = \"trash\"\nretention = { when = \"all-clients-deleted\" }",
        client: "user@example.com/a",
        other: Some(("user@example.com/b", &[2, 4, 7])),
        due: &[2, 4],
    },
    Story {
        name: "one of two clients, whose DELE removes what the other has had",
        keys: "on_delete = \"dispose\"\nafter_retrieve = \"seen\"",
        client: "user@example.com/a",
        other: Some(("user@example.com/b", &[2, 5, 7])),
        due: &[2, 5],
    },
];

/// What came of one point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fell {
    /// Nothing was written down.
    BeforeTheCommit,
    /// Written down, and the client has not heard of it.
    BetweenCommitAndAnswer,
    /// The client has seen `+OK`.
    AfterTheAnswer,
}

/// Everything that one worker of a story needs: an upstream of its own, and the state that each point begins with.
struct Bench<'a> {
    story: &'a Story,
    peer: RunningPeer,
    mail: Inner,
    folder: Tree,
    config: String,
    /// The unique-ids of all messages.
    ids: Vec<String>,
}

impl<'a> Bench<'a> {
    fn prepare(story: &'a Story) -> Self {
        let peer = Peer::with_mail(MESSAGES).start();
        let (start, url) = (in_a_hurry(&peer.certs), peer.plain_url());
        let mail = peer.mailbox().lock().clone();
        let mut this = Self {
            story,
            config: format!("{start}[upstream.x]\nurl = \"{url}\"\n{}\n", story.keys),
            mail,
            folder: Tree::new("kill9", &Account::for_servers()),
            peer,
            ids: Vec::new(),
        };
        let bridge = this.start(&this.folder.join("template"));
        let mut client = log_in(&bridge, story.client);
        this.ids = ids(&mut client);
        client.quit();
        if let Some((other, deleted)) = story.other {
            let mut other = log_in(&bridge, other);
            assert_eq!(ids(&mut other), this.ids);
            for number in deleted {
                other.ok(&format!("DELE {number}"));
            }
            other.quit();
        }
        assert!(bridge.stop().success());
        assert_eq!(this.peer.mailbox().uids().len(), MESSAGES);
        this
    }

    fn start(&self, state: &Path) -> Bridge {
        Options::config(&self.config).state(state).start()
    }

    /// The unique-ids of all messages but these.
    fn ids_without(&self, numbers: &[usize]) -> Vec<String> {
        let left = (1..).zip(&self.ids);
        let left = left.filter(|(number, _)| !numbers.contains(number));
        left.map(|(_, id)| id.clone()).collect()
    }

    fn uids_without(&self, uids: &[u32]) -> Vec<u32> {
        let all = self.mail.mail.iter().map(|mail| mail.uid);
        all.filter(|uid| !uids.contains(uid)).collect()
    }

    /// Kills the bridge at one point. `None` if it was through before.
    fn point(&self, number: usize) -> Option<Fell> {
        *self.peer.mailbox().lock() = self.mail.clone();
        let heard_before = self.peer.heard().len();
        let state = self.folder.join(&format!("state{number}"));
        copy(&self.folder.join("template"), &state);

        let quit = self.quit_and_kill(&state, number);
        let what = format!("{}, killed at {:?}", self.story.name, quit.calls.last());
        let removed = self.uids_without(&self.peer.mailbox().uids());
        assert_within(&removed, self.story.due, &what);

        let bridge = self.start(&state);
        let fell = self.look_after(&bridge, quit.answered, &removed, &what);
        if let Some((other, deleted)) = self.story.other {
            let mut other = log_in(&bridge, other);
            // What it has deleted itself is not listed; and nothing of the rest has gone.
            assert_eq!(ids(&mut other), self.ids_without(deleted), "{what}");
            other.quit();
        }
        drop(bridge);
        self.check_upstream(heard_before, &what);
        fs::remove_dir_all(&state).expect("the state's folder");
        if quit.answered {
            assert_synced_before_the_answer(&quit.calls, &what);
        }
        quit.killed.then_some(fell)
    }

    /// The session, and the kill in its QUIT.
    fn quit_and_kill(&self, state: &Path, number: usize) -> Quit {
        let bridge = self.start(state);
        let mut pop3 = log_in(&bridge, self.story.client);
        assert_eq!(ids(&mut pop3), self.ids);
        for number in RETRIEVED {
            pop3.retr(number);
        }
        for number in DELETED {
            pop3.ok(&format!("DELE {number}"));
        }
        let farewells = self.peer.commands("LOGOUT").len();
        let process = bridge.pid();
        let (is_ready, ready) = mpsc::channel();
        std::thread::scope(|scope| {
            let tracer = scope.spawn(move || {
                let (mut calls, mut killed) = (Vec::new(), false);
                follow(
                    process,
                    || is_ready.send(()).expect("the test waits"),
                    |call| {
                        if killed || !call.is_an_effect() {
                            return Next::GoesOn;
                        }
                        calls.push(call.clone());
                        killed = calls.len() > number;
                        if killed { Next::IsKilled } else { Next::GoesOn }
                    },
                );
                (calls, killed)
            });
            ready.recv().expect("the bridge is followed");
            pop3.send("QUIT");
            let answer = pop3.try_status();
            let answered = answer.as_ref().is_ok_and(|status| status.ok);
            if let Ok(status) = answer {
                assert!(status.ok, "{}", status.text);
                while !tracer.is_finished() && self.peer.commands("LOGOUT").len() == farewells {
                    pause();
                }
                kill9(process);
            }
            let (calls, killed) = tracer.join().expect("the tracer");
            Quit {
                answered,
                killed,
                calls,
            }
        })
    }

    /// The client comes back: what it sees, and that what is due happens.
    fn look_after(&self, bridge: &Bridge, answered: bool, removed: &[u32], what: &str) -> Fell {
        let mut pop3 = log_in(bridge, self.story.client);
        let listed = ids(&mut pop3);
        let committed = listed == self.ids_without(&DELETED);
        if !committed {
            assert_eq!(listed, self.ids, "{what}: neither all nor nothing");
            assert!(!answered, "{what}: the client was told that it is done");
            assert_eq!(removed, [] as [u32; 0], "{what}: not written down before");
            for number in DELETED {
                pop3.ok(&format!("DELE {number}"));
            }
        }
        pop3.quit();
        let left = self.uids_without(self.story.due);
        eventually(&format!("{what}: what is due is done"), || {
            self.peer.mailbox().uids() == left
        });
        match (committed, answered) {
            (false, _) => Fell::BeforeTheCommit,
            (true, false) => Fell::BetweenCommitAndAnswer,
            (true, true) => Fell::AfterTheAnswer,
        }
    }

    /// What the upstream was told to remove, and what is there in the end.
    fn check_upstream(&self, heard_before: usize, what: &str) {
        let heard = self.peer.heard();
        for line in heard[heard_before..].lines() {
            let words: Vec<&str> = line.split(' ').skip(1).collect();
            let set = match words.as_slice() {
                ["UID", "STORE", set, _, flags] if flags.contains("\\Deleted") => *set,
                ["UID", "EXPUNGE", set] | ["UID", "MOVE", set, ..] => *set,
                [word, ..] if ["EXPUNGE", "CLOSE"].contains(word) => panic!("{what}: {line}"),
                _ => continue,
            };
            assert_within(&numbers(set), self.story.due, &format!("{what}: {line}"));
        }
        let mailbox = self.peer.mailbox().lock().clone();
        assert!(mailbox.mail.iter().all(|mail| !mail.deleted), "{what}");
        let mut trash: Vec<u32> = mailbox.trash.iter().map(|mail| mail.uid).collect();
        trash.sort_unstable();
        let moves = self.story.keys.contains("trash");
        assert_eq!(trash, if moves { self.story.due } else { &[] }, "{what}");
    }
}

struct Quit {
    /// Whether the client has seen `+OK`.
    answered: bool,
    /// Whether the point was reached.
    killed: bool,
    calls: Vec<Call>,
}

/// So many octets at most are taken from a client at a time.
const OF_A_CLIENT: u64 = 2048;

/// `+OK` is sent when the write-ahead log is on the disk, which a kill does not show and a power cut would.
fn assert_synced_before_the_answer(calls: &[Call], what: &str) {
    // What was fetched ahead of the client may still be coming from the upstream, which is read in larger pieces.
    let is_clients = |call: &&Call| call.name == "recvfrom" && call.count == OF_A_CLIENT;
    let received = calls.iter().find(is_clients);
    let client = &received.expect("QUIT was received").on;
    let sent = |call: &Call| ["sendto", "write", "writev"].contains(&call.name);
    let answer = calls
        .iter()
        .position(|call| sent(call) && call.on == *client)
        .expect("the answer was sent");
    let log = calls[..answer]
        .iter()
        .rfind(|call| call.on.ends_with("-wal"));
    assert!(log.is_some_and(Call::is_a_sync), "{what}: {calls:#?}");
}

fn log_in(bridge: &Bridge, user: &str) -> Pop3 {
    assert!(user.starts_with(USER));
    bridge.pop3().log_in(user, PASSWORD)
}

fn ids(pop3: &mut Pop3) -> Vec<String> {
    let lines = pop3.lines("UIDL");
    let id = |line: &String| {
        line.split_once(' ')
            .expect("a number and an id")
            .1
            .to_owned()
    };
    lines.iter().map(id).collect()
}

fn assert_within(found: &[u32], allowed: &[u32], what: &str) {
    let more = found.iter().find(|uid| !allowed.contains(uid));
    assert_eq!(
        more, None,
        "{what}: {found:?}, and only {allowed:?} are due"
    );
}

/// The numbers of a sequence set such as `2,4:5`.
fn numbers(set: &str) -> Vec<u32> {
    let number = |text: &str| {
        text.parse::<u32>()
            .expect("no * where something is removed")
    };
    let ranges = set.split(',').flat_map(|part| {
        let (first, last) = part.split_once(':').unwrap_or((part, part));
        number(first)..=number(last)
    });
    ranges.collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a folder");
    for entry in fs::read_dir(from).expect("the template").flatten() {
        let to: PathBuf = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), &to).expect("a copy")),
        }
    }
}

/// All points of a story.
fn tell(story: &Story) -> Vec<Fell> {
    let (next, through) = (AtomicUsize::new(0), AtomicBool::new(false));
    let mut all = Vec::new();
    std::thread::scope(|scope| {
        let work = || {
            let bench = Bench::prepare(story);
            let mut fell = Vec::new();
            while !through.load(Ordering::Relaxed) {
                match bench.point(next.fetch_add(1, Ordering::Relaxed)) {
                    Some(one) => fell.push(one),
                    None => through.store(true, Ordering::Relaxed),
                }
            }
            fell
        };
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            all.extend(
                worker
                    .join()
                    .unwrap_or_else(|cause| std::panic::resume_unwind(cause)),
            );
        }
    });
    all
}

#[test]
fn kill_9_at_any_boundary_of_quit_loses_no_deletion_and_no_message() {
    let started = Instant::now();
    let mut points = 0;
    for story in &STORIES {
        let fell = tell(story);
        let count = |wanted| fell.iter().filter(|one| **one == wanted).count();
        let (before, between, after) = (
            count(Fell::BeforeTheCommit),
            count(Fell::BetweenCommitAndAnswer),
            count(Fell::AfterTheAnswer),
        );
        show(&format!(
            "kill -9: {} points of QUIT: {before} before the commit, {between} between it and +OK, {after} behind +OK ({})",
            fell.len(),
            story.name
        ));
        assert!(before > 0 && between > 0, "{}", story.name);
        points += fell.len();
    }
    show(&format!(
        "kill -9: {points} points in {:.0} s",
        started.elapsed().as_secs_f64()
    ));
    assert!(points >= 100, "{points} points");
}
