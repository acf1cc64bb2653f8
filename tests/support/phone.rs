//! A phone that has the mailbox of an [`Office`](super::office::Office) open by IMAP and does what phones do to it.

use super::dovecot::PASSWORD;
use super::imap::Imap;
use super::office::{LOGIN, number_of};

pub struct Phone {
    imap: Imap,
}

impl Phone {
    /// Logs in at this port, with INBOX open.
    pub fn open(imap_port: u16) -> Self {
        let mut imap = Imap::log_in(imap_port, LOGIN, PASSWORD);
        imap.command("SELECT INBOX");
        Self { imap }
    }

    /// Adds flags to messages, by their numbers in the mailbox ("1:3").
    pub fn flag(&mut self, messages: &str, flags: &str) {
        self.imap.command("NOOP");
        self.imap
            .command(&format!("STORE {messages} +FLAGS ({flags})"));
    }

    /// Removes a whole folder.
    pub fn delete_folder(&mut self, folder: &str) {
        self.imap.command(&format!("DELETE {folder}"));
    }

    /// Copies messages, by their numbers in the mailbox, into another folder.
    pub fn copy(&mut self, messages: &str, folder: &str) {
        self.imap.command("NOOP");
        self.imap.command(&format!("COPY {messages} {folder}"));
    }

    /// Takes messages away for good, by what [`ordinary`](super::mail::ordinary) calls them.
    pub fn remove(&mut self, numbers: &[usize]) {
        self.remove_from("INBOX", numbers);
    }

    /// The same in another folder.
    pub fn remove_from(&mut self, folder: &str, numbers: &[usize]) {
        let all = self.imap.fetch_all(folder);
        self.imap.command(&format!("SELECT {folder}"));
        for n in numbers {
            let found = all.iter().find(|message| number_of(&message.body) == *n);
            let uid = found
                .unwrap_or_else(|| panic!("message {n} is not there"))
                .uid;
            self.imap
                .command(&format!("UID STORE {uid} +FLAGS (\\Deleted)"));
            self.imap.command(&format!("UID EXPUNGE {uid}"));
        }
        self.imap.command("SELECT INBOX");
    }
}
