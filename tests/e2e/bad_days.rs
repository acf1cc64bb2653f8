//! Bad days of the state: a full disk, a locked or damaged file, a database that goes away. Every answer is a refusal that says so, nothing is
//! half done, the bridge stays up and goes on by itself.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::office::{NONE, Office, fetch, listed};
use crate::support::pop3::Pop3;
use crate::support::postgres::Postgres;
use crate::support::process::{eventually, require};

fn office() -> Office {
    let office = Office::start();
    office.deliver(1..=3);
    office.add("desk1", &[]);
    office.add("desk2", &["view=undelivered"]);
    office
}

/// A session that has read one message and marked it as deleted.
fn about_to_quit(office: &Office, name: &str) -> Pop3 {
    let mut pop3 = office.client(name);
    assert_eq!(listed(&mut pop3), [1, 2, 3]);
    pop3.retr(1);
    pop3.ok("DELE 1");
    pop3
}

/// A log-in and a look now are refused with this code, or right; never is the mailbox empty. How often it was a refusal.
fn refusals(office: &Office, name: &str) -> u32 {
    let password = office.password(name);
    let mut pop3 = office.bridge().pop3();
    pop3.ok(&format!("USER {name}"));
    for line in [&format!("PASS {password}"), "STAT"] {
        let status = pop3.command(line);
        if !status.ok {
            assert_eq!(status.code(), Some("SYS/TEMP"), "{line}: {status:?}");
            return 1;
        }
        assert!(!status.text.starts_with("0 "), "an empty maildrop");
    }
    0
}

fn assert_up(office: &Office) {
    assert_eq!(office.bridge().get("/healthz").0, 200);
}

/// Runs a little Python on the state's file; gives what it prints first, and the process.
fn python(office: &Office, script: &str) -> (String, std::process::Child) {
    let mut child = Command::new(require("python3", "python3"))
        .args(["-c", script])
        .arg(office.state.join("state.db"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut line).unwrap();
    (line, child)
}

#[test]
fn on_a_full_disk_quit_is_refused_and_afterwards_everything_goes_on() {
    let office = office();
    let quitting = about_to_quit(&office, "desk1");
    let reading = about_to_quit(&office, "desk2");
    office.bridge().limit_files("1");
    for mut pop3 in [quitting, reading] {
        assert_eq!(pop3.err("QUIT").code(), Some("SYS/TEMP"));
    }
    // What is known can still be read; what is new cannot be written down and is not made up.
    refusals(&office, "desk1");
    office.deliver([4]);
    assert_eq!(refusals(&office, "desk1"), 1);
    assert_up(&office);

    office.bridge().limit_files("unlimited");
    assert_eq!(listed(&mut office.client("desk1")), [1, 2, 3, 4]);
    assert_eq!(listed(&mut office.client("desk2")), [1, 2, 3, 4]);
    let mut pop3 = office.client("desk1");
    pop3.ok("DELE 1");
    pop3.quit();
    assert_eq!(listed(&mut office.client("desk1")), [2, 3, 4]);
    assert_eq!(office.numbers_in("INBOX"), [1, 2, 3, 4]);
}

#[test]
fn while_another_program_keeps_the_file_locked_quit_is_refused() {
    let office = office();
    let mut quitting = about_to_quit(&office, "desk1");
    let script = "import sqlite3,sys\nc=sqlite3.connect(sys.argv[1],isolation_level=None)\n\
                  c.execute('BEGIN IMMEDIATE')\nprint('locked',flush=True)\nsys.stdin.read()";
    let (said, mut locker) = python(&office, script);
    assert_eq!(said, "locked\n");
    assert_eq!(quitting.err("QUIT").code(), Some("SYS/TEMP"));
    // Reading goes on.
    assert_eq!(listed(&mut office.client("desk1")), [1, 2, 3]);
    assert_up(&office);
    drop(locker.stdin.take());
    assert!(locker.wait().unwrap().success());
    about_to_quit(&office, "desk1").quit();
    assert_eq!(listed(&mut office.client("desk1")), [2, 3]);
}

#[test]
fn a_file_that_is_damaged_while_the_bridge_runs_is_no_empty_mailbox() {
    let mut office = office();
    let copy = office.dovecot.path().join("copy.db");
    office.ok(&["store", "backup", copy.to_str().unwrap()]);
    let mut quitting = about_to_quit(&office, "desk1");
    let file = office.state.join("state.db");
    let wal = office.state.join("state.db-wal");
    for path in [&file, &wal] {
        // In its place, as a failing disk does it.
        let length = std::fs::metadata(path).unwrap().len();
        let mut open = OpenOptions::new().write(true).open(path).unwrap();
        open.write_all(&vec![0x5A; usize::try_from(length).unwrap()])
            .unwrap();
    }
    let status = quitting.command("QUIT");
    assert!(status.ok || status.code() == Some("SYS/TEMP"), "{status:?}");
    office.deliver([4]);
    let refused: u32 = (0..3)
        .map(|_| refusals(&office, "desk1") + refusals(&office, "desk2"))
        .sum();
    assert_eq!(refused, 6);
    assert_up(&office);
    let (code, _, errors) = office.run(&["status"]);
    assert_eq!(code, Some(1), "{errors}");

    // It does not start on it, and says what to do.
    office.bridge_mut().kill9();
    let (code, errors) = office.refuses_to_open();
    assert_eq!(code, Some(1), "{errors}");
    assert!(
        errors.contains("the store is damaged") && errors.contains("restore a backup"),
        "{errors}"
    );
    for left in ["state.db", "state.db-wal", "state.db-shm"] {
        let _ = std::fs::remove_file(office.state.join(left));
    }
    std::fs::rename(&copy, &file).unwrap();
    office.open();
    assert_eq!(listed(&mut office.client("desk1")), [1, 2, 3, 4]);
}

#[test]
fn a_file_that_is_none_of_ours_is_refused_and_left_alone() {
    let mut office = office();
    office.close();
    let file = office.state.join("state.db");
    let garbage = b"this is somebody's diary, and no database at all\n".repeat(200);
    std::fs::write(&file, &garbage).unwrap();
    let (code, errors) = office.refuses_to_open();
    assert_eq!(code, Some(1), "{errors}");
    assert!(errors.contains("the store is damaged"), "{errors}");
    assert_eq!(std::fs::read(&file).unwrap(), garbage);
}

#[test]
fn the_state_of_a_newer_popbridge_is_refused_and_left_alone() {
    let mut office = office();
    office.close();
    let script = "import sqlite3,sys\nc=sqlite3.connect(sys.argv[1])\n\
                  c.execute('UPDATE schema_version SET version=999')\nc.commit()\n\
                  c.execute('PRAGMA wal_checkpoint(TRUNCATE)')\nc.close()\nprint('done')";
    let (said, mut child) = python(&office, script);
    assert_eq!(
        (said.as_str(), child.wait().unwrap().success()),
        ("done\n", true)
    );
    let file = office.state.join("state.db");
    let before = std::fs::read(&file).unwrap();
    let (code, errors) = office.refuses_to_open();
    assert_eq!(code, Some(1), "{errors}");
    assert!(errors.contains("made by a newer popbridge"), "{errors}");
    let (code, _, errors) = office.run(&["status"]);
    assert_eq!(code, Some(1), "{errors}");
    assert!(errors.contains("made by a newer popbridge"), "{errors}");
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

#[test]
fn a_second_bridge_on_the_same_file_is_refused_with_the_way_out() {
    let mut office = office();
    let held = about_to_quit(&office, "desk1");
    let (code, errors) = office.refuses_to_open();
    assert_eq!(code, Some(1), "{errors}");
    for words in [
        "another `popbridge serve` runs on",
        "state.db",
        "end it first",
        "PostgreSQL",
    ] {
        assert!(errors.contains(words), "{words}: {errors}");
    }
    held.quit();
    // The lock goes with the process, however that ends.
    office.bridge_mut().kill9();
    office.open();
    assert_eq!(listed(&mut office.client("desk1")), [2, 3]);
}

/// An office whose state is in a PostgreSQL of its own.
fn with_postgres() -> (Postgres, Office) {
    let postgres = Postgres::start();
    let office = Office::plan().state(&postgres.database()).start();
    office.deliver(1..=3);
    office.add("desk1", &[]);
    office.add("desk2", &[]);
    (postgres, office)
}

/// It is back: clients get in again by themselves, and soon.
fn recovers(office: &Office, name: &str, expected: &[usize]) {
    let since = Instant::now();
    eventually("the client is let in again", || {
        let mut pop3 = office.bridge().pop3();
        pop3.ok(&format!("USER {name}"));
        let status = pop3.command(&format!("PASS {}", office.password(name)));
        assert!(
            status.ok || matches!(status.code(), Some("SYS/TEMP" | "IN-USE")),
            "{status:?}"
        );
        if !status.ok {
            return false;
        }
        assert_eq!(listed(&mut pop3), expected);
        true
    });
    // Not as late as a session that is thought dead has to give way.
    assert!(
        since.elapsed() < Duration::from_secs(20),
        "{:?}",
        since.elapsed()
    );
}

#[test]
fn postgresql_that_is_gone_before_quit_makes_quit_fail_and_nothing_else() {
    let (mut postgres, office) = with_postgres();
    let mut quitting = about_to_quit(&office, "desk1");
    let mut open = office.client("desk2");
    postgres.kill9();
    let since = Instant::now();
    assert_eq!(quitting.err("QUIT").code(), Some("SYS/TEMP"));
    let status = open.command("STAT");
    let right = status.ok && status.text.starts_with("3 ");
    assert!(right || status.code() == Some("SYS/TEMP"), "{status:?}");
    assert_eq!(refusals(&office, "desk1"), 1);
    assert!(
        since.elapsed() < Duration::from_secs(60),
        "{:?}",
        since.elapsed()
    );
    assert_up(&office);
    drop(open);
    postgres.restart();
    recovers(&office, "desk1", &[1, 2, 3]);
    recovers(&office, "desk2", &[1, 2, 3]);
    about_to_quit(&office, "desk1").quit();
    assert_eq!(listed(&mut office.client("desk1")), [2, 3]);
    assert_eq!(office.numbers_in("INBOX"), [1, 2, 3]);
}

#[test]
fn postgresql_that_dies_in_the_middle_of_quit_leaves_all_or_nothing() {
    let (mut postgres, office) = with_postgres();
    let mut quitting = about_to_quit(&office, "desk1");
    let retrieved = fetch(&mut office.client("desk2"));
    assert_eq!(retrieved, [1, 2, 3]);
    // It hears of the QUIT and never answers.
    postgres.freeze(true);
    quitting.send("QUIT");
    assert_eq!(refusals(&office, "desk2"), 1);
    postgres.kill9();
    let status = quitting.status();
    assert_eq!(
        (status.ok, status.code()),
        (false, Some("SYS/TEMP")),
        "{status:?}"
    );
    postgres.restart();
    recovers(&office, "desk1", &[1, 2, 3]);
    assert_eq!(office.figures("deleted")["desk1"], 0);
    assert_eq!(office.figures("delivered")["desk1"], 0);
    assert_eq!(office.status()["pending"].as_array().map(Vec::len), Some(0));
    about_to_quit(&office, "desk1").quit();
    assert_eq!(office.figures("deleted")["desk1"], 1);
}

#[test]
fn postgresql_that_is_not_there_at_the_start_is_named_without_its_password() {
    let office = Office::start();
    let url = "postgres://popbridge:hunter2@127.0.0.1:9/popbridge";
    let place = [
        "--upstream",
        "imap://127.0.0.1:1",
        "--state",
        url,
        "--listen",
        "127.0.0.1:0",
    ];
    let (code, _, errors) = crate::support::bridge::run(&[&["serve"], &place[..]].concat(), &[]);
    assert_eq!(code, Some(1), "{errors}");
    assert!(errors.contains("the store is not available"), "{errors}");
    assert!(!errors.contains("hunter2"), "{errors}");
    assert!(Path::new(&office.state).exists());
    assert_eq!(office.numbers_in("INBOX"), NONE);
}
