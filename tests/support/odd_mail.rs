//! The corpus: 200 messages, each odd in its own way, the same on every run.

use super::mail::{Message, Noise, text};

/// See [`super::mail::odd_mail`].
pub fn corpus() -> Vec<Message> {
    let mut all = fixed();
    dots_at_chunk_edges(&mut all);
    long_lines(&mut all);
    let mut noise = Noise::new(2024);
    while all.len() < 199 {
        let n = all.len();
        all.push(noisy(n, &mut noise));
    }
    all.push(message("25 MB", &[&text(25_000_000, 25)]));
    all
}

fn message(name: &str, body: &[&[u8]]) -> Message {
    let mut raw = header(name);
    raw.extend(b"\r\n");
    raw.extend(body.concat());
    Message {
        name: name.to_owned(),
        raw,
    }
}

fn raw(name: &str, raw: &[u8]) -> Message {
    Message {
        name: name.to_owned(),
        raw: raw.to_vec(),
    }
}

fn header(subject: &str) -> Vec<u8> {
    format!("From: odd@example.com\r\nTo: reader@example.com\r\nSubject: {subject}\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\n")
        .into_bytes()
}

fn fixed() -> Vec<Message> {
    let lf = |m: Message| Message {
        name: m.name + ", LF",
        raw: m.raw.into_iter().filter(|&b| b != b'\r').collect(),
    };
    let attachment = b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"=_b\"\r\n\r\npreamble\r\n--=_b\r\n\
        Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGr\xc3\xbc\xc3\x9fe\r\n--=_b\r\n\
        Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\nAAECAwQFBgcICQ==\r\n--=_b--\r\n";
    let mime = [header("attachment"), attachment.to_vec()].concat();
    vec![
        message("ordinary, CRLF", &[b"Hello.\r\nGood bye.\r\n"]),
        lf(message("ordinary", &[b"Hello.\r\nGood bye.\r\n"])),
        message("a dot alone", &[b".\r\n"]),
        message("two dots alone", &[b"..\r\n"]),
        message("lines with leading dots", &[b".a\r\n..b\r\n...c\r\n. d\r\n.\r\n.\r\nend\r\n"]),
        lf(message("lines with leading dots", &[b".a\r\n..b\r\n...c\r\n. d\r\n.\r\n.\r\nend\r\n"])),
        message("a dot alone, no final newline", &[b"text\r\n."]),
        message("no final newline", &[b"the end has no newline"]),
        message("ends in a lone CR", &[b"the end has a CR\r"]),
        message("ends in blank lines", &[b"text\r\n\r\n\r\n\r\n"]),
        message("starts with blank lines", &[b"\r\n\r\n\r\ntext\r\n"]),
        message("empty body", &[]),
        raw("header only, no blank line", &header("header only, no blank line")),
        raw("header only, no newline", b"Subject: header only, no newline"),
        raw("only a blank line", b"\r\n"),
        raw("only an LF", b"\n"),
        raw("only a dot", b"."),
        raw("only a dot and CRLF", b".\r\n"),
        raw("no header at all", b"This is no header.\r\n\r\nAnd this is no body.\r\n"),
        raw("starts with a dot", b".Subject: starts with a dot\r\n\r\n.body\r\n"),
        raw("starts with a blank line", b"\r\nSubject: not a header any more\r\n\r\ntext\r\n"),
        message("NUL in the body", &[b"a\0b\r\n\0\r\n\0\0\0 end\r\n"]),
        raw("NUL in the header", b"From: odd@example.com\r\nSubject: a\0b\r\n\r\ntext\r\n"),
        message("bare LF among CRLF", &[b"one\r\ntwo\nthree\r\nfour\n.five\n\nsix\r\n"]),
        message("lone CR", &[b"one\rtwo\r\r\nthree\r.four\r\n\r.\r\nend\r\n"]),
        message("CR LF LF CR", &[b"a\r\n\n\r\n\rb\n\r\nc\r\r\n"]),
        message("latin1", &[b"Gr\xfc\xdfe aus K\xf6ln \xa4\xa7\xff\r\n"]),
        raw("latin1 in the header", b"From: odd@example.com\r\nSubject: Gr\xfc\xdfe\r\n\r\nx\r\n"),
        message("UTF-8", &["Grüße, 你好, здравствуйте, \u{1F4EC}\r\n".as_bytes()]),
        raw("UTF-8 in the header", "From: odd@example.com\r\nSubject: Grüße, 你好\r\n\r\nx\r\n".as_bytes()),
        message("every octet", &[&(1..=255u8).collect::<Vec<_>>(), b"\r\n"]),
        raw("attachment", &mime),
        raw("attachment, LF", &mime.iter().copied().filter(|&b| b != b'\r').collect::<Vec<_>>()),
        message("From lines", &[b"From here on\r\nFrom odd@example.com Mon Jan  1 00:00:00 2024\r\n>From there\r\n\r\nFrom x\r\n"]),
        message("looks like POP3 and IMAP", &[b"+OK\r\n-ERR no\r\n* 1 EXISTS\r\nA1 OK done\r\n)\r\nQUIT\r\n{10}\r\n"]),
        message("tabs and trailing blanks", &[b"\t\r\n \r\n  x  \r\n\t.\r\n .\r\n"]),
        raw(
            "folded header",
            b"Subject: folded\r\n over\r\n\tthree lines\r\nX-Empty:\r\nX-Blank: \r\n \r\nTo: a@example.com\r\n\r\ntext\r\n",
        ),
        raw("a header of 100 kB", &[header("long header"), b"X-Long: ".to_vec(), vec![b'h'; 100_000], b"\r\n\r\nx\r\n".to_vec()].concat()),
        raw("2000 header lines", &[header("many"), b"X-Line: yes\r\n".repeat(2000), b"\r\nbody\r\n".to_vec()].concat()),
        message("1 MB", &[&text(1_000_000, 1)]),
        message("3000 empty lines", &[&b"\r\n".repeat(3000)]),
        lf(message("3000 empty lines", &[&b"\r\n".repeat(3000)])),
        message("3000 lines of one dot", &[&b".\r\n".repeat(3000)]),
    ]
}

/// A leading dot and a CRLF pair around the places where buffers usually end: powers of two, counted from the start of the
/// message.
fn dots_at_chunk_edges(all: &mut Vec<Message>) {
    for edge in [
        512usize, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536, 131_072,
    ] {
        for shift in -2i64..=2 {
            let mut m = message(&format!("a dot near octet {edge} ({shift:+})"), &[]);
            let until = (edge as i64 + shift) as usize;
            let fill = until - m.raw.len() - 2;
            m.raw.extend(
                text(fill, edge as u64)
                    .iter()
                    .map(|&b| if b < b' ' { b'_' } else { b }),
            );
            m.raw.extend(b"\r\n.\r\n..x\r\nend\r\n");
            all.push(m);
        }
    }
}

fn long_lines(all: &mut Vec<Message>) {
    for length in [
        997usize, 998, 999, 1000, 1024, 2047, 2048, 2049, 4096, 8191, 8192, 8193, 10_000, 65_535,
        65_536, 100_000, 1_000_000,
    ] {
        all.push(message(
            &format!("a line of {length} octets"),
            &[&vec![b'x'; length], b"\r\n.dot\r\n"],
        ));
    }
    all.push(message(
        "a line of 10000 dots",
        &[&vec![b'.'; 10_000], b"\r\n"],
    ));
    all.push(message(
        "a line of 5000 octets without an end",
        &[&vec![b'y'; 5000]],
    ));
}

/// A message put together at random from what is hard: line ends, dots, blanks, 8-bit octets.
fn noisy(n: usize, noise: &mut Noise) -> Message {
    const PIECES: [&[u8]; 14] = [
        b"\r\n",
        b"\r\n",
        b"\r\n",
        b"\n",
        b".",
        b"..",
        b"\r\n.",
        b"\r\n.\r\n",
        b" ",
        b"word",
        b"From ",
        b"\xe4\xf6",
        b"\t",
        b"\xf0\x9f\x93\xac",
    ];
    let mut body = Vec::new();
    for _ in 0..noise.below(400) {
        body.extend(*noise.pick(&PIECES));
    }
    message(&format!("noise {n}"), &[&body])
}
