//! The mailbox behind the scriptable peer: answers to SELECT, FETCH, STORE, EXPUNGE, MOVE and LIST as a decent server gives
//! them. It understands what a POP3 bridge has reason to ask, and says BAD to the rest.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard};

use super::mail::{self, FIRST_DATE};
use super::peer_conn::{Cmd, Conn};

#[derive(Clone)]
pub struct Mail {
    pub uid: u32,
    pub raw: Vec<u8>,
    /// As in INTERNALDATE, without quotes.
    pub date: String,
    pub deleted: bool,
}

impl Mail {
    /// X-GM-MSGID: the same octets are the same message, whatever folder they are in.
    pub fn gm_msgid(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.raw.hash(&mut hasher);
        1 + hasher.finish() / 2
    }
}

pub struct Mailbox {
    inner: Mutex<Inner>,
}

#[derive(Clone)]
pub struct Inner {
    pub uid_validity: u32,
    pub uid_next: u32,
    pub mail: Vec<Mail>,
    /// What was moved to Trash.
    pub trash: Vec<Mail>,
    /// Whether X-GM-MSGID is told to who asks for it.
    pub gm_msgids: bool,
    /// Whether EMAILID (RFC 8474) is told to who asks for it; the same octets have the same.
    pub email_ids: bool,
    /// Connections that have enabled UIDONLY (RFC 9586).
    pub uidonly: HashSet<usize>,
    /// So many of the newest messages are shown without UIDONLY.
    pub visible: Option<usize>,
    /// MESSAGELIMIT (RFC 9738): so many messages are dealt with by one command, the newest of those that it names.
    pub at_once: Option<usize>,
    /// RFC822.SIZE of messages, by UID, where it is not what they have.
    pub sizes: HashMap<u32, usize>,
    /// Commands that were refused because they named messages by their numbers.
    pub uid_required: Vec<String>,
}

impl Inner {
    /// The folder as a connection is shown it.
    fn shown_to(&self, conn: &Conn) -> Self {
        let mut shown = self.clone();
        if let Some(visible) = self.visible
            && !self.uidonly.contains(&conn.number)
        {
            let hidden = shown.mail.len().saturating_sub(visible);
            shown.mail.drain(..hidden);
        }
        shown
    }

    /// The UIDs of `set` that one command deals with, and the end of its answer.
    fn in_one_command(&self, set: &str) -> (HashSet<u32>, String) {
        let named = self.mail.iter().map(|mail| mail.uid);
        let named: Vec<u32> = named.filter(|uid| in_set(set, *uid, self)).collect();
        match self.at_once {
            Some(most) if named.len() > most => {
                let dealt_with = &named[named.len() - most..];
                let end = format!("OK [MESSAGELIMIT {most} {}] in part", dealt_with[0]);
                (dealt_with.iter().copied().collect(), end)
            }
            _ => (named.into_iter().collect(), "OK done".to_owned()),
        }
    }
}

impl Mailbox {
    /// `count` ordinary messages with UIDs from 1 on, CRLF line ends.
    pub fn ordinary(count: usize) -> Self {
        let this = Self {
            inner: Mutex::new(Inner {
                uid_validity: 1_700_000_000,
                uid_next: 1,
                mail: Vec::new(),
                trash: Vec::new(),
                gm_msgids: false,
                email_ids: false,
                uidonly: HashSet::new(),
                visible: None,
                at_once: None,
                sizes: HashMap::new(),
                uid_required: Vec::new(),
            }),
        };
        for n in 1..=count {
            this.add(&mail::repaired(&mail::ordinary(n).raw));
        }
        this
    }

    /// `count` messages of a few octets, for when it is their number that matters.
    pub fn of_many(count: usize) -> Self {
        let this = Self::ordinary(0);
        for n in 1..=count {
            this.add(format!("Subject: {n}\r\n\r\nmessage {n}\r\n").as_bytes());
        }
        this
    }

    /// Adds a message at the end and gives its UID.
    pub fn add(&self, raw: &[u8]) -> u32 {
        let mut inner = self.lock();
        let uid = inner.uid_next;
        inner.uid_next += 1;
        let minutes = (FIRST_DATE / 60 + u64::from(uid)) % 1440;
        let date = format!(
            "01-Jan-2024 {:02}:{:02}:00 +0000",
            minutes / 60,
            minutes % 60
        );
        inner.mail.push(Mail {
            uid,
            raw: raw.to_vec(),
            date,
            deleted: false,
        });
        uid
    }

    /// The state, to look at or to change.
    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("mailbox")
    }

    /// From now on this connection is told of UIDs only (RFC 9586).
    pub fn enable_uidonly(&self, conn: &Conn) {
        self.lock().uidonly.insert(conn.number);
    }

    /// The messages that a UID command names.
    pub fn named_by(&self, cmd: &Cmd) -> Vec<Mail> {
        let inner = self.lock();
        let named = inner.mail.iter();
        named
            .filter(|mail| in_set(cmd.set(), mail.uid, &inner))
            .cloned()
            .collect()
    }

    pub fn uids(&self) -> Vec<u32> {
        self.lock().mail.iter().map(|m| m.uid).collect()
    }

    /// Tells a connection of messages that have arrived since it was told last.
    pub fn announce(&self, conn: &mut Conn, known: &mut usize) {
        let count = self.lock().shown_to(conn).mail.len();
        if count != *known {
            conn.line(&format!("* {count} EXISTS"));
            *known = count;
        }
    }

    /// The decent answer to a command of the selected state.
    pub fn behave(&self, conn: &mut Conn, cmd: &Cmd, known: &mut usize) {
        if self.is_uid_required(conn, cmd) {
            self.lock().uid_required.push(cmd.line.clone());
            conn.tagged(cmd, "BAD [UIDREQUIRED] message numbers are not allowed");
        } else if cmd.is("SELECT") || cmd.is("EXAMINE") {
            self.select(conn, cmd, known);
        } else if cmd.is("UID FETCH") {
            self.fetch(conn, cmd);
        } else if cmd.is("UID STORE") {
            self.store(conn, cmd);
        } else if cmd.is("UID EXPUNGE") || cmd.is("EXPUNGE") || cmd.is("UID MOVE") {
            self.remove(conn, cmd, known);
        } else if cmd.is("LIST") {
            conn.line("* LIST (\\HasNoChildren) \"/\" INBOX");
            conn.line("* LIST (\\HasNoChildren \\Trash) \"/\" Trash");
            conn.ok(cmd);
        } else if cmd.is("STATUS") {
            let inner = self.lock().clone();
            conn.line(&format!(
                "* STATUS INBOX (MESSAGES {} UIDNEXT {} UIDVALIDITY {})",
                inner.mail.len(),
                inner.uid_next,
                inner.uid_validity
            ));
            conn.ok(cmd);
        } else if cmd.is("UNSELECT") || cmd.is("CHECK") {
            conn.ok(cmd);
        } else {
            conn.tagged(cmd, "BAD the peer of the tests does not know this");
        }
    }

    /// Whether the command names messages by numbers, or by `*`, which strict servers take for one, where only UIDs are allowed.
    fn is_uid_required(&self, conn: &Conn, cmd: &Cmd) -> bool {
        let by_number = ["FETCH", "STORE", "COPY", "MOVE", "SEARCH"];
        let star = |words: &str| cmd.is(words) && cmd.set().contains('*');
        self.lock().uidonly.contains(&conn.number)
            && (by_number.iter().any(|words| cmd.is(words))
                || [
                    "UID FETCH",
                    "UID STORE",
                    "UID COPY",
                    "UID MOVE",
                    "UID EXPUNGE",
                ]
                .into_iter()
                .any(star))
    }

    fn select(&self, conn: &mut Conn, cmd: &Cmd, known: &mut usize) {
        let inner = self.lock().shown_to(conn);
        *known = inner.mail.len();
        conn.line("* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)");
        conn.line(&format!("* {} EXISTS", inner.mail.len()));
        conn.line("* 0 RECENT");
        conn.line(&format!(
            "* OK [UIDVALIDITY {}] UIDs valid",
            inner.uid_validity
        ));
        conn.line(&format!(
            "* OK [UIDNEXT {}] Predicted next UID",
            inner.uid_next
        ));
        conn.tagged(
            cmd,
            if cmd.is("SELECT") {
                "OK [READ-WRITE] done"
            } else {
                "OK [READ-ONLY] done"
            },
        );
    }

    fn fetch(&self, conn: &mut Conn, cmd: &Cmd) {
        let inner = self.lock().shown_to(conn);
        let items = cmd.line.to_ascii_uppercase();
        let (uids, end) = inner.in_one_command(cmd.set());
        let uidonly = inner.uidonly.contains(&conn.number);
        for (position, mail) in (1..)
            .zip(&inner.mail)
            .filter(|(_, m)| uids.contains(&m.uid))
        {
            let uid = mail.uid;
            let mut reply = match uidonly {
                true => format!("* {uid} UIDFETCH (UID {uid}"),
                false => format!("* {position} FETCH (UID {uid}"),
            }
            .into_bytes();
            if items.contains("RFC822.SIZE") {
                let size = inner.sizes.get(&uid).copied().unwrap_or(mail.raw.len());
                reply.extend(format!(" RFC822.SIZE {size}").bytes());
            }
            if items.contains("INTERNALDATE") {
                reply.extend(format!(" INTERNALDATE \"{}\"", mail.date).bytes());
            }
            if items.contains("FLAGS") {
                reply.extend(if mail.deleted {
                    &b" FLAGS (\\Deleted)"[..]
                } else {
                    b" FLAGS ()"
                });
            }
            if inner.gm_msgids && items.contains("X-GM-MSGID") {
                reply.extend(format!(" X-GM-MSGID {}", mail.gm_msgid()).bytes());
            }
            if inner.email_ids && items.contains("EMAILID") {
                reply.extend(format!(" EMAILID (M{:x})", mail.gm_msgid()).bytes());
            }
            for section in sections(&items) {
                let (label, octets) = section.cut(&mail.raw);
                reply.extend(format!(" BODY{label} {{{}}}\r\n", octets.len()).bytes());
                reply.extend(octets);
            }
            reply.extend(b")\r\n");
            conn.raw(reply);
        }
        conn.tagged(cmd, &end);
    }

    fn store(&self, conn: &mut Conn, cmd: &Cmd) {
        let (uids, end) = self.lock().in_one_command(cmd.set());
        if cmd.has("\\Deleted") {
            let on = !cmd.has("-FLAGS");
            let mut inner = self.lock();
            let named = inner.mail.iter_mut().filter(|m| uids.contains(&m.uid));
            named.for_each(|m| m.deleted = on);
        }
        conn.tagged(cmd, &end);
    }

    fn remove(&self, conn: &mut Conn, cmd: &Cmd, known: &mut usize) {
        let mut gone = Vec::new();
        let (uids, end) = match cmd.line.split(' ').nth(2) {
            Some(set) => self.lock().in_one_command(set),
            None => (self.uids().into_iter().collect(), "OK done".to_owned()),
        };
        {
            let mut inner = self.lock();
            let moving = cmd.is("UID MOVE");
            let mut position = 1;
            inner.mail.retain(|m| {
                let go = uids.contains(&m.uid) && (moving || m.deleted);
                if go {
                    gone.push((position, m.clone()));
                } else {
                    position += 1; // each EXPUNGE shifts what follows, so the number stays
                }
                !go
            });
            *known = inner.mail.len();
            if moving {
                inner.trash.extend(gone.iter().map(|(_, m)| m.clone()));
            }
        }
        if self.lock().uidonly.contains(&conn.number) {
            let uids: Vec<String> = gone.iter().map(|(_, m)| m.uid.to_string()).collect();
            if !uids.is_empty() {
                conn.line(&format!("* VANISHED {}", uids.join(",")));
            }
        } else {
            for (position, _) in gone {
                conn.line(&format!("* {position} EXPUNGE"));
            }
        }
        conn.tagged(cmd, &end);
    }
}

/// Is `uid` in an IMAP sequence set such as `1:3,7,9:*`?
fn in_set(set: &str, uid: u32, inner: &Inner) -> bool {
    let last = inner.mail.last().map_or(0, |m| m.uid);
    let number = |text: &str| {
        if text == "*" {
            last
        } else {
            text.parse().unwrap_or(0)
        }
    };
    set.split(',').any(|range| {
        let (a, b) = range.split_once(':').unwrap_or((range, range));
        let (a, b) = (number(a), number(b));
        (a.min(b)..=a.max(b)).contains(&uid)
    })
}

/// One `BODY.PEEK[...]<from.count>` of a FETCH.
pub struct Section {
    name: String,
    range: Option<(usize, usize)>,
}

impl Section {
    /// The label of the reply (`[HEADER]<0>`) and the octets.
    pub fn cut<'a>(&self, raw: &'a [u8]) -> (String, &'a [u8]) {
        let blank = raw
            .windows(4)
            .position(|w| w == b"\r\n\r\n")
            .map_or(raw.len(), |at| at + 4);
        let whole = match self.name.as_str() {
            "HEADER" => &raw[..blank],
            "TEXT" => &raw[blank..],
            _ => raw,
        };
        match self.range {
            Some((from, count)) => {
                let from_here = from.min(whole.len());
                let end = from.saturating_add(count).min(whole.len());
                (format!("[{}]<{from}>", self.name), &whole[from_here..end])
            }
            None => (format!("[{}]", self.name), whole),
        }
    }
}

/// What a FETCH wants of the text; `items` in capital letters.
pub fn sections(items: &str) -> Vec<Section> {
    let mut found = Vec::new();
    let mut rest = items;
    while let Some(at) = rest.find("BODY.PEEK[") {
        rest = &rest[at + "BODY.PEEK[".len()..];
        let Some((name, tail)) = rest.split_once(']') else {
            break;
        };
        let range = tail
            .strip_prefix('<')
            .and_then(|t| t.split_once('>'))
            .and_then(|(range, _)| {
                let (from, count) = range.split_once('.')?;
                Some((from.parse().ok()?, count.parse().ok()?))
            });
        found.push(Section {
            name: name.to_owned(),
            range,
        });
        rest = tail;
    }
    found
}
