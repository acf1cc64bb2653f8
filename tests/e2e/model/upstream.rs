//! An IMAP server with as many mailboxes as there are stories, each chosen by the name that logs in. It behaves well but for what a story
//! wants to go wrong, and it looks at everything that would change a folder.

use std::collections::HashMap;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex};

use tokio_rustls::rustls::ServerConfig;

use super::promises::Token;
use super::world::{Trouble, World};
use crate::support::certs::Certs;
use crate::support::fake_mailbox::sections;
use crate::support::net::Stream;
use crate::support::peer_conn::{Cmd, Conn};
use crate::support::tree::{Account, Tree};

const CAPABILITY: &str = "IMAP4rev1 LITERAL+ UIDPLUS MOVE NAMESPACE";

type Worlds = Arc<Mutex<HashMap<String, Arc<World>>>>;

pub struct Upstream {
    pub port: u16,
    pub certs: Certs,
    worlds: Worlds,
    _tree: Tree,
}

impl Upstream {
    pub fn start() -> Self {
        let tree = Tree::new("model", &Account::for_servers());
        let certs = Certs::make(tree.path());
        let tls = certs.server_config();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let worlds = Worlds::default();
        let shared = Arc::clone(&worlds);
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let (worlds, tls) = (Arc::clone(&shared), Arc::clone(&tls));
                if let Ok(stream) = Stream::from_socket(socket) {
                    std::thread::spawn(move || serve(stream, tls, &worlds));
                }
            }
        });
        Self {
            port,
            certs,
            worlds,
            _tree: tree,
        }
    }

    /// From now on this name has this mailbox.
    pub fn open(&self, user: &str, world: &Arc<World>) {
        let mut worlds = self.worlds.lock().expect("worlds");
        worlds.insert(user.to_owned(), Arc::clone(world));
    }

    /// The name has no mailbox any more.
    pub fn close(&self, user: &str) {
        self.worlds.lock().expect("worlds").remove(user);
    }
}

fn serve(stream: Stream, tls: Arc<ServerConfig>, worlds: &Worlds) {
    // Nobody asks what was sent, so that each connection has a recorder that goes with it.
    let mut conn = Conn::new(0, stream, tls, Arc::default());
    conn.line(&format!("* OK [CAPABILITY {CAPABILITY}] ready"));
    if let Some(mut visit) = log_in(&mut conn, worlds) {
        while visit.serve_one(&mut conn).is_some() {}
    }
}

fn log_in(conn: &mut Conn, worlds: &Worlds) -> Option<Visit> {
    let cmd = conn.next()?;
    let user = cmd.line.split('"').nth(1).unwrap_or_default();
    let world = worlds.lock().expect("worlds").get(user).cloned();
    let Some(world) = world.filter(|_| cmd.is("LOGIN")) else {
        conn.tagged(&cmd, "NO [AUTHENTICATIONFAILED] nobody here has this name");
        return None;
    };
    let (trouble, began) = {
        let mut inner = world.lock();
        inner.note("      IMAP log-in");
        (inner.strikes(), inner.now)
    };
    match trouble {
        Some(Trouble::No) => {
            // UNAVAILABLE here would have the bridge leave the upstream alone, for seconds of no model's clock (see `backoff`).
            conn.tagged(&cmd, "NO [INUSE] later");
            return None;
        }
        Some(_) => {
            conn.line("* BYE not now");
            return None;
        }
        None => conn.tagged(&cmd, &format!("OK [CAPABILITY {CAPABILITY}] logged in")),
    }
    Some(Visit {
        world,
        open: None,
        began,
    })
}

/// A folder as one connection has it open.
struct Open {
    generation: u32,
    /// By position.
    uids: Vec<u32>,
    for_writing: bool,
}

struct Visit {
    world: Arc<World>,
    open: Option<Open>,
    /// When the last command ended that was no part of a disposal.
    began: u32,
}

/// What a command is answered, as far as it is known.
struct Answer {
    octets: Vec<u8>,
    tagged: String,
}

impl Answer {
    fn of(tagged: &str) -> Self {
        Self {
            octets: Vec::new(),
            tagged: tagged.to_owned(),
        }
    }

    fn line(&mut self, line: &str) {
        self.octets.extend_from_slice(line.as_bytes());
        self.octets.extend_from_slice(b"\r\n");
    }
}

impl Visit {
    fn serve_one(&mut self, conn: &mut Conn) -> Option<()> {
        let cmd = conn.next()?;
        if cmd.is("LOGOUT") {
            conn.line("* BYE see you");
            conn.ok(&cmd);
            return None;
        }
        let world = Arc::clone(&self.world);
        let (answer, trouble) = {
            let mut inner = world.lock();
            let trouble = inner.strikes();
            let told = match trouble {
                Some(kind) => format!("      IMAP {} -> {kind:?}", cmd.line),
                None => format!("      IMAP {}", cmd.line),
            };
            inner.note(told);
            let writes = cmd.is("SELECT") || self.open.as_ref().is_some_and(|o| o.for_writing);
            inner.hindered |= trouble.is_some() && (writes || cmd.is("LIST"));
            let stale = self
                .open
                .as_ref()
                .is_some_and(|open| open.generation != inner.folder.generation);
            if stale && !cmd.is("EXAMINE") && !cmd.is("SELECT") && !cmd.is("LIST") {
                // Its folder is not the one that it had opened.
                inner.hindered |= writes;
                conn.line("* BYE the folder was made anew");
                return None;
            }
            let answer = match trouble {
                Some(Trouble::No | Trouble::Bye) => Answer::of("NO [UNAVAILABLE] later"),
                _ => self.answer(&cmd, &mut inner),
            };
            if !writes && !cmd.is("LIST") {
                self.began = inner.now;
            }
            (answer, trouble)
        };
        match trouble {
            Some(Trouble::Bye) => {
                conn.line("* BYE not now");
                return None;
            }
            Some(Trouble::Half) => {
                conn.raw(&answer.octets[..answer.octets.len() / 2]);
                return None;
            }
            Some(Trouble::Unsaid) => {
                conn.raw(&answer.octets);
                return None;
            }
            Some(Trouble::No) | None => {}
        }
        conn.raw(answer.octets);
        conn.tagged(&cmd, &answer.tagged);
        Some(())
    }

    fn answer(&mut self, cmd: &Cmd, inner: &mut super::world::Inner) -> Answer {
        let mut answer = Answer::of("OK done");
        if cmd.is("SELECT") || cmd.is("EXAMINE") {
            self.select(cmd, inner, &mut answer);
            return answer;
        } else if cmd.is("LIST") {
            answer.line("* LIST (\\HasNoChildren) \"/\" INBOX");
            answer.line("* LIST (\\HasNoChildren \\Trash) \"/\" Trash");
            return answer;
        } else if cmd.is("CAPABILITY") {
            answer.line(&format!("* CAPABILITY {CAPABILITY}"));
            return answer;
        }
        let Some(open) = &mut self.open else {
            return Answer::of("BAD open a folder first");
        };
        let words: Vec<&str> = cmd.line.split(' ').collect();
        let set = words.get(2).copied().unwrap_or_default();
        let last = open.uids.last().copied().unwrap_or(0);
        let named = |uid: &u32| is_in(set, *uid, last);
        if cmd.is("UID FETCH") {
            let items = cmd.line.to_ascii_uppercase();
            for (position, uid) in (1..).zip(&open.uids).filter(|(_, uid)| named(uid)) {
                if let Some(slot) = inner.folder.slot(*uid) {
                    let mail = &inner.folder.mails[slot.token];
                    answer
                        .octets
                        .extend(row(position, *uid, slot.deleted, mail, &items));
                }
            }
        } else if cmd.is("UID STORE") {
            if !open.for_writing {
                return Answer::of("NO [READ-ONLY] it is open for reading");
            }
            let flags = cmd.line.split_once('(').map_or("", |(_, rest)| rest);
            for uid in open.uids.iter().filter(|uid| named(uid)) {
                let Some(slot) = inner.folder.slot(*uid) else {
                    continue;
                };
                if flags == "\\Deleted)" && cmd.has(" +FLAGS") {
                    inner.is_taken(slot.token, &cmd.line, self.began);
                    inner.folder.set_deleted(*uid, true);
                } else {
                    let what = format!("{} on message {}: no rule says so", cmd.line, slot.token);
                    inner.violations.push(what);
                }
            }
        } else if cmd.is("UID EXPUNGE") || cmd.is("UID MOVE") {
            if !open.for_writing {
                return Answer::of("NO [READ-ONLY] it is open for reading");
            }
            let moves = cmd.is("UID MOVE");
            for uid in open.uids.iter().filter(|uid| named(uid)) {
                let slot = inner.folder.slot(*uid);
                let Some(slot) = slot.filter(|slot| moves || slot.deleted) else {
                    continue;
                };
                inner.is_taken(slot.token, &cmd.line, self.began);
                inner.folder.remove(*uid);
                inner.taken.push(slot.token as Token);
            }
        } else if !cmd.is("NOOP") && !cmd.is("UNSELECT") {
            if cmd.is("EXPUNGE") || cmd.is("CLOSE") || cmd.is("STORE") {
                let what = format!("{}: it touches more than is meant", cmd.line);
                inner.violations.push(what);
            }
            return Answer::of("BAD the server of the model does not know this");
        }
        open.follow(inner, &mut answer);
        answer
    }

    fn select(&mut self, cmd: &Cmd, inner: &mut super::world::Inner, answer: &mut Answer) {
        let lags = cmd.is("EXAMINE") && inner.lags_now();
        let shown = inner.folder.shown();
        let uids: Vec<u32> = match lags {
            true => Vec::new(),
            false => shown.iter().map(|(uid, _)| *uid).collect(),
        };
        answer.line("* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)");
        answer.line(&format!("* {} EXISTS", uids.len()));
        answer.line("* 0 RECENT");
        answer.line(&format!(
            "* OK [UIDVALIDITY {}] UIDs valid",
            inner.folder.uid_validity
        ));
        answer.line(&format!(
            "* OK [UIDNEXT {}] predicted",
            inner.folder.uid_next
        ));
        let for_writing = cmd.is("SELECT");
        let known = inner.last_list.map(|(generation, _)| generation);
        inner.hindered |= for_writing && known != Some(inner.folder.generation);
        answer.tagged = match for_writing {
            true => "OK [READ-WRITE] done".to_owned(),
            false => "OK [READ-ONLY] done".to_owned(),
        };
        if lags {
            inner.note("      (it told that the folder is empty)");
        }
        self.open = Some(Open {
            generation: inner.folder.generation,
            uids,
            for_writing,
        });
    }
}

impl Open {
    /// Tells what has changed since the connection was told last.
    fn follow(&mut self, inner: &super::world::Inner, answer: &mut Answer) {
        let now: Vec<u32> = inner.folder.shown().iter().map(|(uid, _)| *uid).collect();
        for position in (0..self.uids.len()).rev() {
            if now.binary_search(&self.uids[position]).is_err() {
                answer.line(&format!("* {} EXPUNGE", position + 1));
                self.uids.remove(position);
            }
        }
        if now.len() > self.uids.len() {
            answer.line(&format!("* {} EXISTS", now.len()));
        }
        self.uids = now;
    }
}

fn row(position: u32, uid: u32, deleted: bool, mail: &super::folder::Mail, items: &str) -> Vec<u8> {
    let mut row = format!("* {position} FETCH (UID {uid}").into_bytes();
    if items.contains("RFC822.SIZE") {
        row.extend(format!(" RFC822.SIZE {}", mail.raw.len()).bytes());
    }
    if items.contains("INTERNALDATE") {
        row.extend(format!(" INTERNALDATE \"{}\"", mail.date).bytes());
    }
    if items.contains("FLAGS") {
        let flags = if deleted { "\\Deleted" } else { "" };
        row.extend(format!(" FLAGS ({flags})").bytes());
    }
    for section in sections(items) {
        let (label, octets) = section.cut(&mail.raw);
        row.extend(format!(" BODY{label} {{{}}}\r\n", octets.len()).bytes());
        row.extend(octets);
    }
    row.extend(b")\r\n");
    row
}

/// Is `uid` in an IMAP sequence set such as `1:3,7,9:*`?
fn is_in(set: &str, uid: u32, last: u32) -> bool {
    let number = |text: &str| match text {
        "*" => last,
        digits => digits.parse().unwrap_or(0),
    };
    set.split(',').any(|range| {
        let (a, b) = range.split_once(':').unwrap_or((range, range));
        let (a, b) = (number(a), number(b));
        (a.min(b)..=a.max(b)).contains(&uid)
    })
}
