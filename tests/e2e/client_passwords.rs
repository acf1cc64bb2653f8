//! Clients' own passwords, and a copy of the state that they are kept in.

use std::os::unix::fs::MetadataExt;

use crate::support::office::{Office, fetch, listed};
use crate::support::pop3::Status;

fn try_in(office: &Office, login: &str, password: &str) -> Status {
    let mut pop3 = office.bridge().pop3();
    pop3.ok(&format!("USER {login}"));
    let status = pop3.command(&format!("PASS {password}"));
    if status.ok {
        pop3.quit();
    }
    status
}

fn assert_refused(office: &Office, login: &str, password: &str) {
    let status = try_in(office, login, password);
    assert_eq!(
        (status.ok, status.code()),
        (false, Some("AUTH")),
        "{status:?}"
    );
}

fn assert_let_in(office: &Office, login: &str, password: &str) {
    let status = try_in(office, login, password);
    assert!(status.ok, "{status:?}");
}

#[test]
fn a_client_gets_in_with_its_own_password_only() {
    let office = Office::start();
    office.add("desk1", &[]);
    office.add("desk2", &[]);
    let (mine, other) = (office.password("desk1"), office.password("desk2"));
    assert_let_in(&office, "desk1", &mine);
    let spelled = mine.to_ascii_uppercase() + " ";
    for wrong in [other.as_str(), "pw", "wrong", &spelled, &mine[1..]] {
        assert_refused(&office, "desk1", wrong);
    }
    // Who does not exist is refused in the same words.
    assert_refused(&office, "desk3", "wrong");
    let words = |login| try_in(&office, login, "wrong").text;
    assert_eq!(words("desk1"), words("desk3"));
    assert_let_in(&office, "desk1", &mine);
}

#[test]
fn another_password_counts_at_once_and_the_old_one_no_more() {
    let office = Office::start();
    office.add("desk1", &[]);
    let first = office.password("desk1");
    assert_let_in(&office, "desk1", &first);
    let second = office.ok(&["client", "passwd", "desk1"]);
    let second = second.trim_end();
    assert_refused(&office, "desk1", &first);
    assert_let_in(&office, "desk1", second);
    // A chosen one, which is kept in another way.
    office.ok_with_password(&["client", "passwd", "desk1"], "correct horse battery");
    assert_refused(&office, "desk1", second);
    for _ in 0..3 {
        assert_let_in(&office, "desk1", "correct horse battery");
    }
    assert_refused(&office, "desk1", "correct horse batter");
    office.ok_with_password(&["client", "passwd", "desk1"], "staple");
    assert_refused(&office, "desk1", "correct horse battery");
    assert_let_in(&office, "desk1", "staple");
}

#[test]
fn a_removed_client_is_refused_at_once_and_its_name_begins_anew() {
    let office = Office::start();
    office.deliver(1..=2);
    office.add("desk1", &["view=undelivered"]);
    let mut pop3 = office.client("desk1");
    assert_eq!(fetch(&mut pop3), [1, 2]);
    pop3.quit();
    let password = office.password("desk1");
    office.ok(&["client", "remove", "desk1"]);
    assert_refused(&office, "desk1", &password);
    office.add("desk1", &["view=undelivered"]);
    assert_refused(&office, "desk1", &password);
    assert_eq!(listed(&mut office.client("desk1")), [1, 2]);
}

#[test]
fn a_password_is_nowhere_in_the_state_or_in_the_log() {
    let office = Office::start();
    office.add("desk1", &[]);
    office.add("desk2", &[]);
    office.ok_with_password(&["client", "passwd", "desk2"], "correct horse battery");
    let password = office.password("desk1");
    assert_let_in(&office, "desk1", &password);
    assert_let_in(&office, "desk2", "correct horse battery");
    assert_refused(&office, "desk1", &format!("{password}1"));
    let mut seen = office.bridge().log().join("\n").into_bytes();
    for entry in std::fs::read_dir(&office.state).unwrap() {
        seen.extend(std::fs::read(entry.unwrap().path()).unwrap());
    }
    for secret in [password.as_str(), "correct horse battery"] {
        let found = seen
            .windows(secret.len())
            .any(|part| part == secret.as_bytes());
        assert!(!found, "{secret}");
    }
}

#[test]
fn a_backup_is_made_while_the_bridge_serves_and_is_as_good_as_the_state() {
    let mut office = Office::start();
    office.deliver(1..=3);
    office.add("desk1", &[]);
    let mut pop3 = office.client("desk1");
    let uidls = pop3.lines("UIDL");
    pop3.ok("DELE 2");
    pop3.quit();
    let busy = office.client("desk1");
    let copy = office.dovecot.path().join("copy.db");
    office.ok(&["store", "backup", copy.to_str().unwrap()]);
    drop(busy);
    assert_eq!(std::fs::metadata(&copy).unwrap().mode() & 0o777, 0o600);
    // One that is there already is left alone.
    let (code, _, errors) = office.run(&["store", "backup", copy.to_str().unwrap()]);
    assert_eq!(code, Some(1), "{errors}");

    // What comes after it is not in it.
    let mut pop3 = office.client("desk1");
    pop3.ok("DELE 1");
    pop3.quit();
    assert_eq!(listed(&mut office.client("desk1")), [3]);
    office.close();
    let elsewhere = office.dovecot.path().join("restored");
    std::fs::create_dir(&elsewhere).unwrap();
    std::fs::rename(&copy, elsewhere.join("state.db")).unwrap();
    office.state = elsewhere;
    office.open();
    let mut pop3 = office.client("desk1");
    assert_eq!(listed(&mut pop3), [1, 3]);
    let id = |line: &String| line.split_once(' ').unwrap().1.to_owned();
    let left: Vec<String> = pop3.lines("UIDL").iter().map(id).collect();
    assert_eq!(left, [id(&uidls[0]), id(&uidls[2])]);
}
