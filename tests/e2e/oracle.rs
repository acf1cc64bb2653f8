//! The oracle: Dovecot's own pop3d and popbridge in front of Dovecot's imapd, two like mailboxes, the same random commands.
//! Status, numbers, UIDLs and every octet of RETR and TOP must agree. What may differ is in [`KNOWN`], with the reason.
//!
//! A failure prints its seed and the shortest stream that still shows it. `POPBRIDGE_ORACLE_SEED` runs one seed again,
//! `POPBRIDGE_ORACLE_COMMANDS` sets how many commands are run.

use std::io::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::oracle_stream::{Pace, Stream};
use crate::oracle_talk::{Reply, canonical, converse, script, words};
use crate::support::bridge;
use crate::support::dovecot::Dovecot;
use crate::support::mail::{FIRST_DATE, Maildir, Message, Noise, odd_mail, ordinary};
use crate::support::pop3::show;

/// Messages in each maildrop; what a session deletes is delivered anew.
const MESSAGES: usize = 40;

/// A difference that is meant.
struct Known {
    why: &'static str,
    applies: fn(command: &str, dovecot: &Reply, popbridge: &Reply) -> bool,
}

const KNOWN: &[Known] = &[
    Known {
        why: "CAPA says what each server can do; that is theirs",
        applies: |command, dovecot, popbridge| {
            command == "CAPA" && dovecot.is_ok() && popbridge.is_ok()
        },
    },
    Known {
        why: "the words behind +OK and -ERR are free where no number or unique id stands there (RFC 1939)",
        applies: |command, dovecot, popbridge| {
            let numbers = matches!(command.split(' ').next(), Some("STAT" | "LIST" | "UIDL"));
            let free = !numbers || !dovecot.is_ok() || dovecot.body().is_some();
            let ends = [dovecot, popbridge].contains(&&Reply::End);
            let agree = dovecot.is_ok() == popbridge.is_ok() && dovecot.body() == popbridge.body();
            free && !ends && agree
        },
    },
];

#[test]
fn random_commands_get_the_answers_that_dovecots_pop3d_gives() {
    let dovecot = Dovecot::start();
    let bridge = before(&dovecot, "");
    compare(&dovecot, bridge.pop3_port, 50_000);
    // Sessions go through their maildrops in order often enough.
    assert!(bridge.metric("popbridge_body_lookups_total", &["outcome=\"hit\""]) > 100.0);
}

#[test]
fn random_commands_get_these_answers_with_nothing_kept_in_memory_too() {
    let dovecot = Dovecot::start();
    let bridge = before(&dovecot, "body_cache = \"0B\"\nread_ahead = \"0B\"\n");
    compare(&dovecot, bridge.pop3_port, 20_000);
}

#[test]
fn random_commands_get_these_answers_with_messages_read_ahead_and_none_kept() {
    let dovecot = Dovecot::start();
    let bridge = before(&dovecot, "body_cache = \"0B\"\n");
    compare(&dovecot, bridge.pop3_port, 20_000);
}

fn before(dovecot: &Dovecot, limits: &str) -> bridge::Bridge {
    let config = format!(
        "[upstream.dovecot]\nurl = \"{}\"\nuidl = \"dovecot\"\n[limits]\nauth_failure_delay = \"0s\"\n{limits}",
        dovecot.plain_url()
    );
    bridge::Options::config(&config).start()
}

/// Runs random sessions with so many commands in all against Dovecot's pop3d and against the server on `port`, which serves the same
/// Dovecot's mail.
fn compare(dovecot: &Dovecot, port: u16, commands: u64) {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    let seed = number("POPBRIDGE_ORACLE_SEED").unwrap_or(20_261_121);
    let wanted = number("POPBRIDGE_ORACLE_COMMANDS").unwrap_or(commands) as usize;
    let ends = [dovecot.pop3_port, port];
    let (commands, sessions) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let excused: Vec<AtomicUsize> = KNOWN.iter().map(|_| AtomicUsize::new(0)).collect();
    let failure = Mutex::new(None);
    std::thread::scope(|scope| {
        for worker in 0..2u64 {
            let (commands, sessions, failure, excused) = (&commands, &sessions, &failure, &excused);
            scope.spawn(move || {
                let mut noise = Noise::new(seed.wrapping_add(worker << 32));
                let mut pair = Pair::new(dovecot, &format!("worker{worker}"));
                while commands.load(Ordering::Relaxed) < wanted && failure.lock().unwrap().is_none()
                {
                    let stream = Stream::random(&mut noise, MESSAGES, 120);
                    if let Err(difference) = pair.run(&stream, ends, excused) {
                        *failure.lock().unwrap() = Some((stream, difference));
                        return;
                    }
                    pair.refill();
                    commands.fetch_add(stream.commands(), Ordering::Relaxed);
                    sessions.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    if let Some((stream, difference)) = failure.into_inner().unwrap() {
        let report = shrink(dovecot, ends, stream, difference);
        panic!("seed {seed}: {report}");
    }
    let (commands, sessions) = (commands.into_inner(), sessions.into_inner());
    // Past the test harness, which keeps what passing tests print to itself.
    let mut out = std::io::stderr();
    for (known, count) in KNOWN.iter().zip(excused) {
        let _ = writeln!(out, "oracle: {} times: {}", count.into_inner(), known.why);
    }
    let _ = writeln!(
        out,
        "oracle: {commands} commands, {sessions} sessions, 0 differences, seed {seed}"
    );
}

/// Two mailboxes that hold the same: one is read by pop3d, the other through the bridge.
struct Pair<'a> {
    users: [String; 2],
    maildirs: [Maildir; 2],
    corpus: &'a [Message],
    delivered: usize,
}

impl<'a> Pair<'a> {
    fn new(dovecot: &Dovecot, name: &str) -> Self {
        let users = ["pop3d", "bridge"].map(|side| format!("{name}-{side}"));
        let maildirs = users.each_ref().map(|user| dovecot.maildir(user));
        for maildir in &maildirs {
            maildir.set_uid_validity(1_700_000_000);
        }
        let mut this = Self {
            users,
            maildirs,
            corpus: corpus(),
            delivered: 0,
        };
        this.refill();
        this
    }

    /// Delivers to both until they hold [`MESSAGES`] messages again.
    fn refill(&mut self) {
        for _ in self.maildirs[0].files().len()..MESSAGES {
            let n = self.delivered as u64;
            let message = &self.corpus[self.delivered % self.corpus.len()];
            for maildir in &self.maildirs {
                maildir.deliver_as(
                    &format!("{}.T{n:07}.test", FIRST_DATE + n * 60),
                    &message.raw,
                    FIRST_DATE + n * 60,
                );
            }
            self.delivered += 1;
        }
    }

    /// One session with each server; the error says what differs.
    /// What is excused by [`KNOWN`] is counted in `excused`.
    fn run(&self, stream: &Stream, ends: [u16; 2], excused: &[AtomicUsize]) -> Result<(), String> {
        let [left, right] = [0, 1].map(|side| converse(stream, &self.users[side], ends[side]));
        let lines = script(stream, "USER");
        for (n, line) in lines.iter().enumerate() {
            let command = canonical(line);
            match (left.get(n), right.get(n)) {
                (Some(a), Some(b)) if a == b => {}
                (Some(a), Some(b)) if excuse(&command, a, b, excused) => {}
                (None, None) => break,
                (a, b) => {
                    return Err(format!(
                        "{} is answered\n  by pop3d:  {}\n  by bridge: {}",
                        show(line),
                        words(a),
                        words(b)
                    ));
                }
            }
        }
        let names = self.maildirs.each_ref().map(base_names);
        if names[0] != names[1] {
            return Err(format!(
                "after the session the mailboxes differ\n  pop3d:  {:?}\n  bridge: {:?}",
                names[0], names[1]
            ));
        }
        Ok(())
    }
}

/// Odd mail in handy sizes. Left out, because Dovecot is no oracle for it: a NUL (imapd gives 0x80 for it, pop3d the NUL), and
/// a dot as a message's first octet (pop3d does not stuff it, which ends the transfer).
fn corpus() -> &'static [Message] {
    static CORPUS: std::sync::OnceLock<Vec<Message>> = std::sync::OnceLock::new();
    CORPUS.get_or_init(|| {
        let handy =
            |m: &Message| m.raw.len() < 70_000 && !m.raw.contains(&0) && !m.raw.starts_with(b".");
        let mut all: Vec<Message> = odd_mail().into_iter().filter(handy).collect();
        all.extend((1..40).map(ordinary));
        let mut noise = Noise::new(5);
        for n in (1..all.len()).rev() {
            all.swap(n, noise.below(n + 1));
        }
        all
    })
}

fn base_names(maildir: &Maildir) -> Vec<String> {
    maildir
        .files()
        .iter()
        .map(|name| name.split(':').next().unwrap_or_default().to_owned())
        .collect()
}

fn excuse(command: &str, a: &Reply, b: &Reply, excused: &[AtomicUsize]) -> bool {
    let known = KNOWN
        .iter()
        .position(|known| (known.applies)(command, a, b));
    if let Some(count) = known.and_then(|n| excused.get(n)) {
        count.fetch_add(1, Ordering::Relaxed);
    }
    known.is_some()
}

/// Drops commands for as long as the session still differs, in mailboxes that nothing has happened to yet.
fn shrink(dovecot: &Dovecot, ends: [u16; 2], mut stream: Stream, mut difference: String) -> String {
    let mut serial = 0;
    let mut differs = |stream: &Stream| {
        serial += 1;
        Pair::new(dovecot, &format!("shrink{serial}"))
            .run(stream, ends, &[])
            .err()
    };
    let Some(found) = differs(&stream) else {
        return format!(
            "{difference}\n(not reproduced in fresh mailboxes) in {:?}\n{}",
            stream.pace,
            listing(&stream)
        );
    };
    difference = found;
    let mut chunk = stream.after.len().max(1);
    while chunk > 0 {
        let mut at = 0;
        while at < stream.after.len() {
            let mut shorter = stream.clone();
            shorter
                .after
                .drain(at..(at + chunk).min(stream.after.len()));
            match differs(&shorter) {
                Some(found) => (stream, difference) = (shorter, found),
                None => at += chunk,
            }
        }
        chunk /= 2;
    }
    let nothing_before = Stream {
        before: Vec::new(),
        ..stream.clone()
    };
    if let Some(found) = differs(&nothing_before) {
        (stream, difference) = (nothing_before, found);
    }
    let one_by_one = Stream {
        pace: Pace::OneByOne,
        ..stream.clone()
    };
    if let Some(found) = differs(&one_by_one) {
        (stream, difference) = (one_by_one, found);
    }
    format!("{difference}\nin {:?}\n{}", stream.pace, listing(&stream))
}

fn listing(stream: &Stream) -> String {
    script(stream, "USER")
        .iter()
        .map(|line| format!("C: {}\n", show(line)))
        .collect()
}
