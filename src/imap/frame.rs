//! IMAP's outer grammar and nothing more: where a line ends and whether a literal follows it (RFC 3501, 4.3 and 9).
//!
//! Pure: bytes in, positions out. Must not know: sockets, time, or what a response means.

/// A literal longer than this is no IMAP literal (RFC 3501: 32 bit; RFC 9051: 63 bit, which no mail needs).
pub(super) const MAX_LITERAL: u64 = u32::MAX as u64;

/// A whole line found in a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LineEnd {
    /// Bytes of the line's content, without its line end.
    pub content: usize,
    /// Bytes of the line with its line end: what is to be consumed.
    pub total: usize,
    /// The length of the literal that follows the line.
    pub literal: Option<u32>,
    /// Bytes of the content before the `{n}`; equals `content` without a literal.
    pub before_literal: usize,
}

/// Finds line ends in a growing buffer without looking at a byte twice.
#[derive(Debug, Default)]
pub(super) struct Framer {
    /// Bytes at the front of the buffer that are known to hold no line end.
    scanned: usize,
    /// The next line continues a response whose literal was just read.
    continues: bool,
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameError {
    /// The line is longer than the given limit.
    LineTooLong,
    /// A literal announced with more than [`MAX_LITERAL`] bytes.
    LiteralTooLong,
}

impl Framer {
    /// Looks for a whole line at the front of `buffer`; `None` until there is one. Call with the same, grown buffer;
    /// the caller removes [`LineEnd::total`] bytes (and the literal behind them) before the next call.
    ///
    /// # Errors
    /// [`FrameError`] where a limit is passed; the connection is of no use then.
    pub(super) fn line(
        &mut self,
        buffer: &[u8],
        limit: usize,
    ) -> Result<Option<LineEnd>, FrameError> {
        let Some(at) = memchr::memchr(b'\n', &buffer[self.scanned..]) else {
            self.scanned = buffer.len();
            return if buffer.len() > limit {
                Err(FrameError::LineTooLong)
            } else {
                Ok(None)
            };
        };
        let lf = self.scanned + at;
        if lf > limit {
            return Err(FrameError::LineTooLong);
        }
        self.scanned = 0;
        let content = if lf > 0 && buffer[lf - 1] == b'\r' {
            lf - 1
        } else {
            lf
        };
        let line = &buffer[..content];
        let literal = if self.continues || !is_status(line) {
            announced(line)?
        } else {
            None
        };
        self.continues = literal.is_some();
        let (literal, before_literal) = match literal {
            Some((length, before)) => (Some(length), before),
            None => (None, content),
        };
        Ok(Some(LineEnd {
            content,
            total: lf + 1,
            literal,
            before_literal,
        }))
    }
}

/// Status responses and continuations end in free text, which may look like a literal but never is one.
fn is_status(line: &[u8]) -> bool {
    if line.first() == Some(&b'+') {
        return true;
    }
    let Some(space) = memchr::memchr(b' ', line) else {
        return false;
    };
    let rest = &line[space + 1..];
    let word = rest.split(|b| *b == b' ').next().unwrap_or_default();
    [&b"OK"[..], b"NO", b"BAD", b"BYE", b"PREAUTH"]
        .iter()
        .any(|w| word.eq_ignore_ascii_case(w))
}

/// The literal announced at the end of a line: `{123}`, `{123+}` or `~{123}` (RFC 3501, 7888, 3516).
fn announced(line: &[u8]) -> Result<Option<(u32, usize)>, FrameError> {
    let Some(inner) = line.strip_suffix(b"}") else {
        return Ok(None);
    };
    let inner = inner.strip_suffix(b"+").unwrap_or(inner);
    let Some(open) = memchr::memrchr(b'{', inner) else {
        return Ok(None);
    };
    let digits = &inner[open + 1..];
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Ok(None);
    }
    let mut length: u64 = 0;
    for digit in digits {
        length = length
            .saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'));
    }
    if length > MAX_LITERAL {
        return Err(FrameError::LiteralTooLong);
    }
    let before = if open > 0 && inner[open - 1] == b'~' {
        open - 1
    } else {
        open
    };
    // The cast is exact: MAX_LITERAL is u32::MAX.
    Ok(Some((u32::try_from(length).unwrap_or(u32::MAX), before)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(bytes: &[u8]) -> LineEnd {
        Framer::default().line(bytes, 1000).unwrap().unwrap()
    }

    #[test]
    fn a_line_and_its_literal_are_found() {
        let line = one(b"* 1 FETCH (BODY[] {12}\r\nabc");
        assert_eq!((line.content, line.total, line.literal), (22, 24, Some(12)));
        assert_eq!(line.before_literal, 18);
        assert_eq!(one(b"* 1 FETCH (X ~{3+}\n").before_literal, 13);
    }

    #[test]
    fn free_text_that_looks_like_a_literal_is_none() {
        for line in [
            &b"* OK see {5}\r\n"[..],
            b"A1 NO {5}\r\n",
            b"+ {5}\r\n",
            b"* bye {5}\r\n",
            b"* SEARCH {}\r\n",
            b"* X {a}\r\n",
        ] {
            assert_eq!(one(line).literal, None, "{}", String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn the_line_behind_a_literal_belongs_to_its_response() {
        let mut framer = Framer::default();
        assert_eq!(
            framer
                .line(b"* LIST () \"/\" {2}\r\n", 1000)
                .unwrap()
                .unwrap()
                .literal,
            Some(2)
        );
        // It begins like a status response, but is the continuation.
        assert_eq!(
            framer.line(b" OK {3}\r\n", 1000).unwrap().unwrap().literal,
            Some(3)
        );
        assert_eq!(framer.line(b")\r\n", 1000).unwrap().unwrap().literal, None);
        assert_eq!(
            framer.line(b"* OK {3}\r\n", 1000).unwrap().unwrap().literal,
            None
        );
    }

    #[test]
    fn lengths_beyond_any_mail_are_refused() {
        assert_eq!(
            Framer::default().line(b"* X {4294967296}\r\n", 100),
            Err(FrameError::LiteralTooLong)
        );
        assert_eq!(
            Framer::default().line(b"* X {99999999999999999999999}\r\n", 100),
            Err(FrameError::LiteralTooLong)
        );
        assert_eq!(
            Framer::default().line(&[b'x'; 101], 100),
            Err(FrameError::LineTooLong)
        );
    }

    proptest! {
        #[test]
        fn any_split_of_the_input_gives_the_same_lines(
            lines in prop::collection::vec("[ -~]{0,30}", 1..10),
            cuts in prop::collection::vec(1usize..7, 1..400),
        ) {
            // Without literals: every line ends where its CRLF is, however the bytes arrive.
            let lines: Vec<String> = lines.into_iter().map(|l| l.replace('{', "(")).collect();
            let wire: Vec<u8> = lines.iter().flat_map(|l| format!("{l}\r\n").into_bytes()).collect();
            let (mut framer, mut buffer, mut got) = (Framer::default(), Vec::new(), Vec::new());
            let mut fed = 0;
            let mut cuts = cuts.into_iter().cycle();
            while fed < wire.len() {
                let n = cuts.next().unwrap().min(wire.len() - fed);
                buffer.extend_from_slice(&wire[fed..fed + n]);
                fed += n;
                while let Some(end) = framer.line(&buffer, 1000).unwrap() {
                    got.push(String::from_utf8(buffer[..end.content].to_vec()).unwrap());
                    buffer.drain(..end.total);
                }
            }
            prop_assert_eq!(got, lines);
        }

        #[test]
        fn no_input_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Framer::default().line(&bytes, 100);
        }
    }
}
