//! Random POP3 command streams for the oracle: mostly sensible, often wrong, the same for the same seed.

use crate::support::mail::Noise;

/// How the commands of a session reach the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Each reply is read before the next command is sent.
    OneByOne,
    /// So many at once, then their replies.
    Batches(usize),
}

/// One session: lines before the log-in, the way to log in, lines after it, and whether it ends by QUIT or by a cut.
#[derive(Clone, Debug)]
pub struct Stream {
    pub before: Vec<Vec<u8>>,
    pub login: Mechanism,
    pub after: Vec<Vec<u8>>,
    pub quits: bool,
    pub pace: Pace,
}

#[derive(Clone, Copy, Debug)]
pub enum Mechanism {
    UserPass,
    PlainInitial,
    Plain,
    Login,
}

impl Stream {
    /// A session for a maildrop of about `messages` messages with about `length` commands.
    pub fn random(noise: &mut Noise, messages: usize, length: usize) -> Self {
        // Dovecot hangs up at the third bad command before the log-in.
        let before = (0..noise.below(3)).map(|_| before_login(noise)).collect();
        // Dovecot hangs up after 20 bad commands in a row: a good one now and then keeps it talking.
        let mut after: Vec<Vec<u8>> = (0..length / 2 + noise.below(length))
            .map(|_| transaction(noise, messages))
            .collect();
        if noise.below(2) == 0 {
            in_order(noise, messages, &mut after);
        }
        for place in (7..after.len()).step_by(8) {
            after[place] = b"NOOP".to_vec();
        }
        Self {
            before,
            login: *noise.pick(&[
                Mechanism::UserPass,
                Mechanism::UserPass,
                Mechanism::PlainInitial,
                Mechanism::Plain,
                Mechanism::Login,
            ]),
            after,
            quits: noise.below(4) != 0,
            pace: if noise.below(2) == 0 {
                Pace::OneByOne
            } else {
                Pace::Batches(2 + noise.below(20))
            },
        }
    }

    pub fn commands(&self) -> usize {
        self.before.len() + self.after.len() + 2
    }
}

/// Puts in what most programs do: one message after the other.
fn in_order(noise: &mut Noise, messages: usize, commands: &mut Vec<Vec<u8>>) {
    let (first, count) = (1 + noise.below(messages), 2 + noise.below(messages));
    let run = (first..=messages).take(count);
    let run: Vec<Vec<u8>> = match noise.below(3) {
        0 => run.map(|n| format!("TOP {n} 0").into_bytes()).collect(),
        _ => run.map(|n| format!("RETR {n}").into_bytes()).collect(),
    };
    let at = noise.below(commands.len() + 1);
    commands.splice(at..at, run);
}

fn before_login(noise: &mut Noise) -> Vec<u8> {
    // No line here may log in, start TLS, or wait for a SASL answer: that is what `Mechanism` is for.
    let line: &[u8] = noise.pick::<&[u8]>(&[
        b"CAPA",
        b"capa",
        b"STAT",
        b"LIST",
        b"RETR 1",
        b"DELE 1",
        b"RSET",
        b"TOP 1 0",
        b"UIDL",
        b"USER nobody",
        b"USER someone@example.com",
        b"PASS without user",
        b"",
        b" ",
        b"XYZZY",
        b"HELP me",
        b"AUTH NONSENSE",
        b"AUTH PLAIN !!!not-base64!!!",
        b"\xff\xfe\xfd",
        b"APOP mrose c4c9334bac560ecc979e58001b3e22fb",
    ]);
    line.to_vec()
}

fn transaction(noise: &mut Noise, messages: usize) -> Vec<u8> {
    let line = match noise.below(100) {
        0..8 => "STAT".into(),
        8..14 => "LIST".into(),
        14..24 => format!("LIST {}", number(noise, messages)),
        24..29 => "UIDL".into(),
        29..37 => format!("UIDL {}", number(noise, messages)),
        37..55 => format!("RETR {}", number(noise, messages)),
        55..72 => format!("TOP {} {}", number(noise, messages), lines(noise)),
        72..77 => format!("DELE {}", number(noise, messages)),
        77..80 => "RSET".into(),
        80..84 => "NOOP".into(),
        84 => "CAPA".into(),
        85..92 => incomplete(noise, messages),
        92..96 => with_noise(noise, messages),
        _ => return unknown(noise),
    };
    respell(noise, line).into_bytes()
}

/// A message number: nearly always one that exists, else what clients should never send.
fn number(noise: &mut Noise, messages: usize) -> String {
    match noise.below(12) {
        0 => (*noise.pick(&[
            "0",
            "-1",
            "+1",
            "01",
            "1.5",
            "1e3",
            "0x1",
            "x",
            "*",
            "99999999",
            "2147483648",
            "4294967296",
            "4294967297",
            "9223372036854775808",
            "18446744073709551617",
            "99999999999999999999",
        ]))
        .to_owned(),
        1 => (messages + noise.below(4)).to_string(),
        _ => (1 + noise.below(messages)).to_string(),
    }
}

/// The second argument of TOP.
fn lines(noise: &mut Noise) -> String {
    match noise.below(10) {
        0 => (*noise.pick(&[
            "-1",
            "x",
            "1.5",
            "4294967295",
            "4294967296",
            "18446744073709551616",
            "99999999999999999999",
            "007",
        ]))
        .to_owned(),
        1 => "1000000".into(),
        2..5 => "0".into(),
        _ => noise.below(40).to_string(),
    }
}

/// A command that lacks what it needs.
fn incomplete(noise: &mut Noise, messages: usize) -> String {
    match noise.below(5) {
        0 => "RETR".into(),
        1 => "DELE".into(),
        2 => "TOP".into(),
        3 => format!("TOP {}", 1 + noise.below(messages)),
        _ => (*noise.pick(&["RETR ", "DELE ", "TOP ", "LIST ", "UIDL "])).into(),
    }
}

/// A command with too much behind it, or with its blanks in odd places.
fn with_noise(noise: &mut Noise, messages: usize) -> String {
    let n = 1 + noise.below(messages);
    match noise.below(14) {
        0 => format!("RETR {n} {n}"),
        1 => format!("RETR {n}x"),
        2 => format!("DELE {n} now"),
        3 => format!("LIST {n} please"),
        4 => format!("UIDL {n} {n}"),
        5 => format!("TOP {n} 1 1"),
        6 => "STAT now".into(),
        7 => "NOOP x".into(),
        8 => "RSET all".into(),
        9 => format!("RETR  {n}"),
        10 => format!("RETR {n} "),
        11 => format!(" RETR {n}"),
        12 => format!("TOP {n}  3"),
        _ => format!("RETR\t{n}"),
    }
}

fn unknown(noise: &mut Noise) -> Vec<u8> {
    let line: &[u8] = noise.pick::<&[u8]>(&[
        b"XYZZY",
        b"STA",
        b"STATS",
        b"LISTING 1",
        b"USER again",
        b"PASS again",
        b"AUTH PLAIN",
        b"AUTH",
        b"STLS",
        b"HELO example.com",
        b"GET / HTTP/1.1",
        b"\xc3\xbc\xc3\x9f",
        b"\xff\xff\xff\xff",
        b"RETR \xb9",
        b"LIST \xe4",
        b"",
        b" ",
        b"%s%n%x",
        b"-ERR",
        b"+OK",
        b".",
        b"LANG",
        b"XTND XMIT",
        b"1",
    ]);
    line.to_vec()
}

/// Changes the case of letters now and then.
fn respell(noise: &mut Noise, line: String) -> String {
    match noise.below(6) {
        0 => line.to_ascii_lowercase(),
        1 => line
            .chars()
            .map(|c| {
                if noise.below(2) == 0 {
                    c.to_ascii_lowercase()
                } else {
                    c
                }
            })
            .collect(),
        _ => line,
    }
}
