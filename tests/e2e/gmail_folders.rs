//! Several folders of a Gmail mailbox: X-GM-MSGID says that a message in two of them, or first in one and then in another, is one
//! message. It is listed once, under one unique-id.

use std::sync::Arc;

use crate::support::fake_folders::{Folders, GMAIL};
use crate::support::imap_peer::RunningPeer;
use crate::support::mail::{on_the_wire, ordinary, repaired};
use crate::support::office::{NONE, fetch, listed, number_of};
use crate::support::peer_office::{PeerOffice, uidls};
use crate::support::process::eventually;

const INBOX: &str = "INBOX";
const SPAM: &str = "[Gmail]/Spam";
const TRASH: &str = "[Gmail]/Trash";

/// The messages 1, 2 and 3 in INBOX, and 4 and 5 in Spam.
struct Gmail {
    office: PeerOffice,
    folders: Arc<Folders>,
    _peer: RunningPeer,
}

impl Gmail {
    fn start(rules: &str) -> Self {
        let folders = Folders::new(&[(INBOX, ""), (SPAM, "\\Junk"), (TRASH, "\\Trash")]);
        for (n, folder) in [(1, INBOX), (2, INBOX), (3, INBOX), (4, SPAM), (5, SPAM)] {
            folders.of(folder).add(&repaired(&ordinary(n).raw));
        }
        let peer = folders.peer().capability(GMAIL).start();
        let served = format!("folders = [\"{INBOX}\", \"{SPAM}\"]\n{rules}");
        let office = PeerOffice::start(&peer, &served);
        office.add("desk1", &[]);
        Self {
            office,
            folders,
            _peer: peer,
        }
    }

    /// Each message with its unique-id, in the order of the list.
    fn list(&self) -> Vec<(usize, String)> {
        let mut pop3 = self.office.client("desk1");
        let all = listed(&mut pop3).into_iter().zip(uidls(&mut pop3));
        let all = all.collect();
        pop3.quit();
        all
    }

    /// Somebody moves a message to another folder; gives its UID there.
    fn relabel(&self, from: &str, uid: u32, to: &str) -> u32 {
        let mail = self.folders.take(from, uid);
        self.folders.put(to, mail)
    }

    fn numbers_in(&self, folder: &str) -> Vec<usize> {
        let mailbox = self.folders.of(folder);
        let inner = mailbox.lock();
        inner.mail.iter().map(|mail| number_of(&mail.raw)).collect()
    }

    fn lost(&self) -> i64 {
        let status = self.office.status();
        status["clients"][0]["lost"].as_i64().expect("a figure")
    }
}

fn numbers(list: &[(usize, String)]) -> Vec<usize> {
    let mut numbers: Vec<usize> = list.iter().map(|(n, _)| *n).collect();
    numbers.sort_unstable();
    numbers
}

fn sorted(mut list: Vec<(usize, String)>) -> Vec<(usize, String)> {
    list.sort();
    list
}

#[test]
fn a_message_that_is_in_two_folders_is_listed_once() {
    let gmail = Gmail::start("");
    // One that is in both already at the first look, and later one more in each direction.
    gmail.folders.copy(INBOX, 2, SPAM);
    let before = gmail.list();
    assert_eq!(numbers(&before), [1, 2, 3, 4, 5]);
    gmail.folders.copy(INBOX, 3, SPAM);
    gmail.folders.copy(SPAM, 1, INBOX);
    assert_eq!(sorted(gmail.list()), sorted(before.clone()));
    // As long as it is in one of them, it is there.
    gmail.folders.take(INBOX, 2);
    gmail.folders.take(SPAM, 1);
    assert_eq!(sorted(gmail.list()), sorted(before));
    let mut pop3 = gmail.office.client("desk1");
    let mut had = fetch(&mut pop3);
    pop3.quit();
    had.sort_unstable();
    assert_eq!(had, [1, 2, 3, 4, 5]);
    assert_eq!(gmail.lost(), 0);
}

#[test]
fn a_message_that_is_moved_between_two_folders_keeps_its_unique_id() {
    let gmail = Gmail::start("");
    let before = gmail.list();
    assert_eq!(numbers(&before), [1, 2, 3, 4, 5]);
    let there = gmail.relabel(INBOX, 2, SPAM);
    gmail.relabel(SPAM, 1, INBOX);
    assert_eq!(sorted(gmail.list()), sorted(before.clone()));
    // And back again, where it has another UID than before.
    let back = gmail.relabel(SPAM, there, INBOX);
    assert_ne!(back, 2);
    assert_eq!(sorted(gmail.list()), sorted(before.clone()));
    let mut pop3 = gmail.office.client("desk1");
    // Messages are listed in the order in which they were first seen, wherever they are now.
    for (at, (n, _)) in (1..).zip(&before) {
        assert_eq!(pop3.retr(at), on_the_wire(&ordinary(*n).raw));
    }
    pop3.quit();
    assert_eq!(gmail.lost(), 0);
    let false_alarm = |line: &String| line.contains("messages are gone from the mailbox");
    let log = gmail.office.bridge.log();
    assert_eq!(log.iter().find(|line| false_alarm(line)), None);
}

#[test]
fn a_message_that_was_in_no_folder_for_a_while_is_known_again_in_another_one() {
    let gmail = Gmail::start("");
    let before = gmail.list();
    let mut pop3 = gmail.office.client("desk1");
    pop3.ok("DELE 1");
    pop3.quit();
    // Somebody moves it to a folder that is not served, and later on to Spam.
    let [one, two] = [1, 2].map(|uid| gmail.folders.take(INBOX, uid));
    assert_eq!(numbers(&gmail.list()), [3, 4, 5]);
    assert_eq!(gmail.lost(), 1);
    gmail.folders.put(SPAM, one);
    gmail.folders.put(SPAM, two);
    // Who has deleted it does not get it again, and nobody has lost it any more.
    assert_eq!(sorted(gmail.list()), sorted(before)[1..]);
    assert_eq!(gmail.lost(), 0);
}

/// The client deletes a message for everybody.
fn delete(gmail: &Gmail, number: usize) {
    let list = gmail.list();
    let at = 1 + list.iter().position(|(n, _)| *n == number).unwrap();
    let mut pop3 = gmail.office.client("desk1");
    pop3.ok(&format!("DELE {at}"));
    pop3.quit();
}

#[test]
fn what_is_due_goes_from_both_folders_for_good() {
    let gmail = Gmail::start("on_delete = \"dispose\"");
    gmail.folders.copy(INBOX, 2, SPAM);
    delete(&gmail, 2);
    eventually("it goes", || {
        gmail.numbers_in(INBOX) == [1, 3] && gmail.numbers_in(SPAM) == [4, 5]
    });
    assert_eq!(numbers(&gmail.list()), [1, 3, 4, 5]);
    assert_eq!(gmail.lost(), 0);
}

#[test]
fn what_goes_to_the_trash_from_two_folders_is_there_and_in_no_other() {
    let gmail = Gmail::start("on_delete = \"dispose\"\ndispose = \"trash\"");
    gmail.folders.copy(INBOX, 2, SPAM);
    delete(&gmail, 2);
    eventually("it goes", || {
        gmail.numbers_in(INBOX) == [1, 3] && gmail.numbers_in(SPAM) == [4, 5]
    });
    assert_ne!(gmail.numbers_in(TRASH), NONE);
    assert_eq!(numbers(&gmail.list()), [1, 3, 4, 5]);
}

#[test]
fn what_was_disposed_of_and_is_put_into_another_folder_by_somebody_is_a_new_message() {
    is_new_when_it_is_put_into(SPAM, [4, 5, 2]);
}

#[test]
fn what_was_disposed_of_and_is_put_back_where_it_was_by_somebody_is_a_new_message() {
    is_new_when_it_is_put_into(INBOX, [1, 3, 2]);
}

/// Message 2 is disposed of in INBOX, and somebody takes it out of the trash: then these are in the folder.
fn is_new_when_it_is_put_into(folder: &str, there: [usize; 3]) {
    let gmail = Gmail::start("on_delete = \"dispose\"\ndispose = \"trash\"");
    let before = gmail.list();
    delete(&gmail, 2);
    eventually("it goes", || gmail.numbers_in(TRASH) == [2]);
    gmail.relabel(TRASH, 1, folder);
    let after = gmail.list();
    assert_eq!(numbers(&after), [1, 2, 3, 4, 5]);
    let uidl = |list: &[(usize, String)]| list.iter().find(|(n, _)| *n == 2).unwrap().1.clone();
    assert_ne!(uidl(&after), uidl(&before));
    // It is not taken away once more because it was deleted once.
    let (code, said) = gmail.office.sweep();
    assert_eq!((code, said.as_str()), (Some(0), "info: 0 disposed of\n"));
    assert_eq!(gmail.numbers_in(folder), there);
}
