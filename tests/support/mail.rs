//! Mail for the tests: a Maildir to deliver into, a corpus of odd messages that is the same on every run, and a fast way to a
//! folder of 100,000.

use std::fs::{File, FileTimes};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::tree::Account;

/// The first message's INTERNALDATE (2024-01-01 00:00:00 UTC); each further one is a minute later.
pub const FIRST_DATE: u64 = 1_704_067_200;

/// A Maildir as a delivery agent sees it.
#[derive(Clone)]
pub struct Maildir {
    path: PathBuf,
    account: Account,
}

impl Maildir {
    pub fn open(path: &Path, account: &Account) -> Self {
        for part in ["tmp", "new", "cur"] {
            account.folder(&path.join(part));
        }
        Self {
            path: path.to_owned(),
            account: account.clone(),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Delivers one message with an INTERNALDATE of its own, a minute after the one before it.
    pub fn deliver(&self, raw: &[u8]) -> PathBuf {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        self.deliver_as(
            &format!("{}.T{serial:07}.test", FIRST_DATE + serial * 60),
            raw,
            FIRST_DATE + serial * 60,
        )
    }

    /// Delivers under a chosen Maildir name, with `date` (Unix seconds) as INTERNALDATE. Through tmp/, as the rules want it.
    pub fn deliver_as(&self, name: &str, raw: &[u8], date: u64) -> PathBuf {
        let tmp = self.path.join("tmp").join(name);
        let mut file = File::create(&tmp).unwrap_or_else(|e| panic!("{}: {e}", tmp.display()));
        file.write_all(raw).expect("write");
        file.set_times(FileTimes::new().set_modified(time(date)))
            .expect("a date");
        self.account.give(&tmp);
        let new = self.path.join("new").join(name);
        std::fs::rename(&tmp, &new).expect("rename");
        new
    }

    /// Delivers all of `messages` in order, so that message number n is `messages[n - 1]`.
    /// The names and dates depend on nothing but the position: two Maildirs filled so are alike.
    pub fn fill(&self, messages: &[Message]) {
        for (n, message) in (1u64..).zip(messages) {
            self.deliver_as(
                &format!("{}.T{n:07}.test", FIRST_DATE + n * 60),
                &message.raw,
                FIRST_DATE + n * 60,
            );
        }
    }

    /// `count` small messages, quickly: hard links to a few hundred files, put into cur/ with their sizes in the name.
    pub fn fill_many(&self, count: usize) {
        const FILES: usize = 200;
        for k in 0..FILES.min(count) {
            let raw = small_message(k);
            let virtual_size = repaired(&raw).len();
            let source = self.path.join("tmp").join(format!("source{k}"));
            let mut file = File::create(&source).expect("create");
            file.write_all(&raw).expect("write");
            file.set_times(FileTimes::new().set_modified(time(FIRST_DATE + k as u64 * 60)))
                .expect("a date");
            self.account.give(&source);
            for n in (k..count).step_by(FILES) {
                let name = format!(
                    "{}.T{n:07}.test,S={},W={virtual_size}:2,",
                    FIRST_DATE + n as u64,
                    raw.len()
                );
                std::fs::hard_link(&source, self.path.join("cur").join(name)).expect("link");
            }
            std::fs::remove_file(&source).expect("remove");
        }
    }

    /// The files of new/ and cur/ (with their `:2,FLAGS`), sorted: what an observer sees of the mailbox.
    pub fn files(&self) -> Vec<String> {
        let mut names: Vec<String> = ["new", "cur"]
            .iter()
            .flat_map(|part| std::fs::read_dir(self.path.join(part)).expect("a Maildir"))
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        names.sort();
        names
    }

    /// Sets the UIDVALIDITY that Dovecot will use for a folder that it has not seen yet.
    pub fn set_uid_validity(&self, uid_validity: u32) {
        let list = self.path.join("dovecot-uidlist");
        std::fs::write(
            &list,
            format!("3 V{uid_validity} N1 G{uid_validity:032x}\n"),
        )
        .expect("write");
        self.account.give(&list);
    }

    /// Removes everything, Dovecot's index files included. The server must not have it open.
    pub fn wipe(&self) {
        std::fs::remove_dir_all(&self.path).expect("remove");
        Self::open(&self.path, &self.account);
    }
}

fn time(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// One message of the corpus: what it is odd for, and its bytes as they lie in the Maildir.
pub struct Message {
    pub name: String,
    pub raw: Vec<u8>,
}

impl Message {
    fn new(name: impl Into<String>, raw: impl Into<Vec<u8>>) -> Self {
        Self {
            name: name.into(),
            raw: raw.into(),
        }
    }
}

/// What a mail client must get to see of a message stored as `raw`: every bare LF becomes CRLF, nothing else changes.
pub fn repaired(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len() + raw.len() / 30);
    let mut before = 0;
    for &byte in raw {
        if byte == b'\n' && before != b'\r' {
            out.push(b'\r');
        }
        out.push(byte);
        before = byte;
    }
    out
}

/// [`repaired`], with the line end at the very end that POP3's framing cannot do without (RFC 1939 section 3).
pub fn on_the_wire(raw: &[u8]) -> Vec<u8> {
    let mut out = repaired(raw);
    if !out.ends_with(b"\r\n") {
        out.extend(b"\r\n");
    }
    out
}

fn small_message(n: usize) -> Vec<u8> {
    format!(
        "From: Sender {n} <sender{n}@example.com>\nTo: reader@example.com\nSubject: Message {n}\nMessage-ID: <{n}@example.com>\n\
         Date: Mon, 1 Jan 2024 00:00:00 +0000\n\nHello, this is message {n}.\n{}",
        "x".repeat(n % 60) + "\n"
    )
    .into_bytes()
}

/// A small, ordinary message: header, blank line, two lines of text.
pub fn ordinary(n: usize) -> Message {
    Message::new(format!("ordinary {n}"), small_message(n))
}

/// `count` ordinary messages.
pub fn ordinary_mail(count: usize) -> Vec<Message> {
    (1..=count).map(ordinary).collect()
}

fn header(subject: &str) -> String {
    format!(
        "From: odd@example.com\r\nTo: reader@example.com\r\nSubject: {subject}\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\n"
    )
}

fn with_body(name: &str, body: &[u8]) -> Message {
    let mut raw = header(name).into_bytes();
    raw.extend(b"\r\n");
    raw.extend(body);
    Message::new(name, raw)
}

/// Deterministic pseudo-random bytes (xorshift64*), so that a corpus needs no dependency and never changes.
pub struct Noise(u64);

impl Noise {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 33) as usize % limit
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// Lines of printable text, `size` octets in all, CRLF line ends.
pub fn text(size: usize, seed: u64) -> Vec<u8> {
    let mut noise = Noise::new(seed);
    let mut out = Vec::with_capacity(size + 80);
    while out.len() < size {
        for _ in 0..1 + noise.below(72) {
            out.push(b' ' + (noise.next() >> 40) as u8 % 95);
        }
        out.extend(b"\r\n");
    }
    out.truncate(size.saturating_sub(2));
    out.extend(b"\r\n");
    out
}

/// A message of `size` octets or a few more, as large attachments are.
pub fn large(size: usize) -> Message {
    with_body(&format!("large, {size} octets"), &text(size, size as u64))
}

/// 200 odd messages. The order is fixed; the last is the 25 MB one.
pub fn odd_mail() -> Vec<Message> {
    super::odd_mail::corpus()
}
