//! From a message's octets to the text of a RETR or TOP answer: line ends
//! repaired, dots stuffed (RFC 1939 section 3), TOP's lines counted, terminated once.
//!
//! Streaming: a message may come in pieces cut anywhere. It must not know where
//! they come from, nor how long the message claims to be.
//!
//! The rules are those of Dovecot's pop3d, octet for octet, with two exceptions that
//! RFC 1939 asks for: a dot that starts the message is stuffed, and an empty message
//! has no lines (pop3d sends an empty one).

use memchr::memchr_iter;

use super::workarounds::{HeaderEnd, Workarounds};

/// Encodes one message.
///
/// - LF without CR becomes CRLF. A CR without LF stays as it is, also at the end:
///   a message that ends in `CR` is sent as `CR CR LF`. NUL and 8-bit octets stay.
/// - A message that does not end in LF gets a CRLF.
/// - [`Workarounds`] change that for clients whose settings name them.
pub struct Encoder {
    top: Option<Top>,
    at_line_start: bool,
    after_cr: bool,
    octets: u64,
    workarounds: Workarounds,
    header_end: HeaderEnd,
}

/// What TOP leaves to send.
struct Top {
    /// Body lines to go.
    lines: u32,
    in_body: bool,
    /// Whether the line that is being read began with CR or LF.
    blank: bool,
    done: bool,
}

impl Encoder {
    /// `None` for RETR, `Some(n)` for TOP: the header, the blank line after it and
    /// n lines of the body. A line that starts with CR or LF ends the header.
    pub fn new(lines: Option<u32>) -> Self {
        let top = lines.map(|lines| Top {
            lines,
            in_body: false,
            blank: false,
            done: false,
        });
        Self {
            top,
            at_line_start: true,
            after_cr: false,
            octets: 0,
            workarounds: Workarounds::default(),
            header_end: HeaderEnd::default(),
        }
    }

    /// The same for a client with these workarounds.
    #[must_use]
    pub fn for_client(self, workarounds: Workarounds) -> Self {
        Self {
            workarounds,
            ..self
        }
    }

    /// Appends the encoded form of the next piece of the message, at most about
    /// twice as long as the piece. What follows TOP's last line is left out.
    pub fn encode(&mut self, input: &[u8], out: &mut Vec<u8>) {
        if self.workarounds.end_of_header {
            self.header_end.look(input);
        }
        if self.workarounds.no_nuls && memchr::memchr(0, input).is_some() {
            let without: Vec<u8> = input
                .iter()
                .map(|octet| if *octet == 0 { 0x80 } else { *octet })
                .collect();
            self.encode_as_it_is(&without, out);
        } else {
            self.encode_as_it_is(input, out);
        }
    }

    fn encode_as_it_is(&mut self, input: &[u8], out: &mut Vec<u8>) {
        if input.is_empty() || self.is_done() {
            return;
        }
        // Room for the piece and some repairs; more is found when it is needed.
        out.reserve(input.len() + input.len() / 32 + 4);
        if self.at_line_start {
            self.line_starts(input[0]);
            if input[0] == b'.' {
                out.push(b'.');
            }
        }
        // Everything before `copied` is in `out`. Octets are copied in runs, which
        // end only where something has to be put in.
        let mut copied = 0;
        let mut end = input.len();
        // Everything before it has been looked at.
        let mut at = 0;
        'message: while at < input.len() {
            let to = match self.top {
                // Its lines are counted.
                Some(_) => input.len(),
                None => {
                    at = skip_plain(input, at);
                    let some = if at == 0 { 1 } else { BY_LINES };
                    (at + some).min(input.len())
                }
            };
            for lf in memchr_iter(b'\n', &input[at..to]) {
                let lf = at + lf;
                let after_cr = match lf.checked_sub(1) {
                    Some(before) => input[before] == b'\r',
                    None => self.after_cr,
                };
                if !after_cr {
                    out.extend_from_slice(&input[copied..lf]);
                    out.push(b'\r');
                    self.octets += 1;
                    copied = lf;
                }
                if self.line_ends() {
                    end = lf + 1;
                    break 'message;
                }
                let Some(&next) = input.get(lf + 1) else {
                    break 'message;
                };
                self.line_starts(next);
                if next == b'.' {
                    out.extend_from_slice(&input[copied..=lf]);
                    out.push(b'.');
                    copied = lf + 1;
                }
            }
            at = to;
        }
        out.extend_from_slice(&input[copied..end]);
        self.at_line_start = input[end - 1] == b'\n';
        self.after_cr = input[end - 1] == b'\r';
        self.octets += end as u64;
    }

    /// Whether TOP has all it wants: the rest of the message need not be read.
    /// Never for RETR.
    pub fn is_done(&self) -> bool {
        self.top.as_ref().is_some_and(|top| top.done)
    }

    /// How many octets of the message have been encoded, as POP3 counts them: line ends are CRLF, dots are not stuffed. What
    /// [`finish`](Self::finish) appends is not counted.
    pub fn octets(&self) -> u64 {
        self.octets
    }

    /// Ends the last line if need be, and the answer. Only for a message that was
    /// read to its end, or to [`is_done`](Self::is_done): a message that broke off
    /// must never look complete.
    pub fn finish(self, out: &mut Vec<u8>) {
        if !self.at_line_start {
            out.extend_from_slice(b"\r\n");
        }
        if self.workarounds.end_of_header && !self.header_end.is_found() {
            out.extend_from_slice(b"\r\n");
        }
        super::response::end(out);
    }

    fn line_starts(&mut self, first: u8) {
        if let Some(top) = &mut self.top {
            top.blank = matches!(first, b'\r' | b'\n');
        }
    }

    /// Counts the line that has just ended; whether it was TOP's last.
    fn line_ends(&mut self) -> bool {
        let Some(top) = &mut self.top else {
            return false;
        };
        if top.in_body {
            top.lines = top.lines.saturating_sub(1);
        }
        top.in_body |= top.blank;
        top.done = top.in_body && top.lines == 0;
        top.done
    }
}

/// So many octets are looked at together.
const BLOCK: usize = 256;
/// Where something has to be put in there is mostly more of the kind (a message with bare LFs): so many octets are then gone through
/// line by line before blocks are tried again.
const BY_LINES: usize = 2048;

/// The end of the blocks from `at` on that go as they are. Octets are looked at with their neighbours, so that a piece's first and last
/// one are in no block.
fn skip_plain(input: &[u8], mut at: usize) -> usize {
    let last = input.len() - 1;
    while at > 0 && at < last {
        let to = (at + BLOCK).min(last);
        if !is_plain(&input[at - 1..to - 1], &input[at..to], &input[at + 1..=to]) {
            break;
        }
        at = to;
    }
    at
}

/// Whether no octet of a block is a bare LF or an LF before a dot. Without a branch or an early end, because the compiler makes vector
/// instructions of it then, which are faster than a search for each line's end.
fn is_plain(before: &[u8], block: &[u8], behind: &[u8]) -> bool {
    let neighbours = before.iter().zip(behind);
    let odd = block
        .iter()
        .zip(neighbours)
        .fold(0, |odd, (octet, (before, behind))| {
            let bare = u8::from(*before != b'\r');
            let dot = u8::from(*behind == b'.');
            odd | u8::from(*octet == b'\n') & (bare | dot)
        });
    odd == 0
}

#[cfg(test)]
mod tests;
