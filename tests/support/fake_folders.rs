//! Several folders behind the scriptable peer, each a mailbox of its own: with special uses, names that change, and messages that
//! are in more than one of them, as with Gmail's labels.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use super::fake_mailbox::{Mail, Mailbox};
use super::imap_peer::{Flow, Peer};
use super::peer_conn::{Cmd, Conn};

/// What Gmail says of itself, as far as it matters here.
pub const GMAIL: &str = "IMAP4rev1 AUTH=PLAIN SASL-IR UIDPLUS MOVE SPECIAL-USE X-GM-EXT-1";

struct Folder {
    name: String,
    attributes: &'static str,
    mailbox: Arc<Mailbox>,
}

impl Folder {
    fn empty(name: &str, attributes: &'static str) -> Self {
        Self {
            name: name.to_owned(),
            attributes,
            mailbox: Arc::new(Mailbox::ordinary(0)),
        }
    }
}

/// The folders; a test may change them while clients are connected.
#[derive(Default)]
pub struct Folders {
    folders: Mutex<Vec<Folder>>,
    /// What each connection has open.
    open: Mutex<HashMap<usize, Arc<Mailbox>>>,
}

impl Folders {
    /// Empty folders with these names and attributes.
    pub fn new(folders: &[(&str, &'static str)]) -> Arc<Self> {
        let this = Self::default();
        for (name, attributes) in folders {
            let folder = Folder::empty(name, attributes);
            folder.mailbox.lock().gm_msgids = true;
            this.folders().push(folder);
        }
        Arc::new(this)
    }

    /// A peer that has these folders.
    pub fn peer(self: &Arc<Self>) -> Peer {
        let mut peer = Peer::with_mail(0);
        let this = Arc::clone(self);
        peer = peer.on("ENABLE UIDONLY", move |conn, cmd| {
            for folder in this.folders().iter() {
                folder.mailbox.enable_uidonly(conn);
            }
            conn.line("* ENABLED UIDONLY");
            conn.ok(cmd);
            Flow::Done
        });
        let this = Arc::clone(self);
        peer = peer.on("CREATE", move |conn, cmd| {
            this.folders().push(Folder::empty(named(cmd), ""));
            conn.ok(cmd);
            Flow::Done
        });
        for words in ["EXAMINE", "SELECT", "UID", "EXPUNGE", "LIST"] {
            let this = Arc::clone(self);
            peer = peer.on(words, move |conn, cmd| {
                this.behave(conn, cmd);
                Flow::Done
            });
        }
        peer
    }

    /// One folder's mailbox.
    pub fn of(&self, name: &str) -> Arc<Mailbox> {
        let found = self.find(name);
        found.unwrap_or_else(|| panic!("there is no folder {name}"))
    }

    /// Somebody gives a folder another name.
    pub fn rename(&self, name: &str, to: &str) {
        let mut folders = self.folders();
        let found = folders.iter_mut().find(|folder| folder.name == name);
        found.expect("the folder").name = to.to_owned();
    }

    /// Takes the message with this UID out of a folder.
    pub fn take(&self, folder: &str, uid: u32) -> Mail {
        let mailbox = self.of(folder);
        let mut inner = mailbox.lock();
        let at = inner.mail.iter().position(|mail| mail.uid == uid);
        inner.mail.remove(at.expect("the message"))
    }

    /// Puts a message into a folder, with the next UID there and its own date; gives the UID.
    pub fn put(&self, folder: &str, mail: Mail) -> u32 {
        let mailbox = self.of(folder);
        let mut inner = mailbox.lock();
        let uid = inner.uid_next;
        inner.uid_next += 1;
        inner.mail.push(Mail { uid, ..mail });
        uid
    }

    /// Puts the message into another folder as well; gives its UID there.
    pub fn copy(&self, folder: &str, uid: u32, to: &str) -> u32 {
        let mailbox = self.of(folder);
        let found = mailbox.lock().mail.iter().find(|m| m.uid == uid).cloned();
        self.put(to, found.expect("the message"))
    }

    fn folders(&self) -> MutexGuard<'_, Vec<Folder>> {
        self.folders.lock().expect("folders")
    }

    fn find(&self, name: &str) -> Option<Arc<Mailbox>> {
        let folders = self.folders();
        let found = folders.iter().find(|folder| folder.name == name);
        found.map(|folder| Arc::clone(&folder.mailbox))
    }

    fn behave(&self, conn: &mut Conn, cmd: &Cmd) {
        if cmd.is("LIST") {
            self.list(conn, cmd);
            return;
        }
        if cmd.is("EXAMINE") || cmd.is("SELECT") {
            let Some(mailbox) = self.find(named(cmd)) else {
                conn.tagged(cmd, "NO [NONEXISTENT] there is no such folder");
                return;
            };
            self.open.lock().expect("open").insert(conn.number, mailbox);
        }
        let open = self.open.lock().expect("open").get(&conn.number).cloned();
        let Some(open) = open else {
            conn.tagged(cmd, "BAD no folder is open");
            return;
        };
        if cmd.is("UID COPY") {
            self.copy_all(conn, cmd, &open);
            return;
        }
        // News of arrivals come by NOOP only, which nobody here uses.
        let known = &mut 0;
        if !cmd.is("UID MOVE") {
            open.behave(conn, cmd, known);
            return;
        }
        let Some(target) = self.find(named(cmd)) else {
            conn.tagged(cmd, "NO [TRYCREATE] there is no such folder");
            return;
        };
        open.behave(conn, cmd, known);
        let moved = std::mem::take(&mut open.lock().trash);
        let mut inner = target.lock();
        for mail in moved {
            let uid = inner.uid_next;
            inner.uid_next += 1;
            inner.mail.push(Mail { uid, ..mail });
        }
    }

    /// UID COPY with COPYUID (RFC 4315); all or nothing, also where a command deals with so many messages only (RFC 9738).
    fn copy_all(&self, conn: &mut Conn, cmd: &Cmd, open: &Mailbox) {
        let Some(target) = self.find(named(cmd)) else {
            conn.tagged(cmd, "NO [TRYCREATE] there is no such folder");
            return;
        };
        let wanted = open.named_by(cmd);
        if let Some(most) = open.lock().at_once.filter(|most| wanted.len() > *most) {
            conn.tagged(cmd, &format!("NO [MESSAGELIMIT {most}] too many"));
            return;
        }
        let mut pairs = (Vec::new(), Vec::new());
        let mut inner = target.lock();
        for mail in wanted {
            let uid = inner.uid_next;
            inner.uid_next += 1;
            pairs.0.push(mail.uid.to_string());
            pairs.1.push(uid.to_string());
            inner.mail.push(Mail { uid, ..mail });
        }
        let (from, to) = (pairs.0.join(","), pairs.1.join(","));
        let uid_validity = inner.uid_validity;
        match pairs.0.is_empty() {
            true => conn.ok(cmd),
            false => conn.tagged(
                cmd,
                &format!("OK [COPYUID {uid_validity} {from} {to}] done"),
            ),
        }
    }

    fn list(&self, conn: &mut Conn, cmd: &Cmd) {
        let wanted = named(cmd);
        for folder in self.folders().iter() {
            if wanted == "*" || wanted == folder.name {
                let (attributes, name) = (folder.attributes, &folder.name);
                conn.line(&format!("* LIST ({attributes}) \"/\" \"{name}\""));
            }
        }
        conn.ok(cmd);
    }
}

/// The last quoted string of a command.
fn named(cmd: &Cmd) -> &str {
    cmd.line.rsplit('"').nth(1).unwrap_or_default()
}
