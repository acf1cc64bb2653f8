//! Framing: cuts what a client sends into lines, within bounded memory.
//!
//! It must not know what a line means. Passwords pass through here, so memory is
//! wiped before it is given back, and it is given back whenever all lines have
//! been taken: thousands of idle sessions hold nothing.

use memchr::memchr;
use zeroize::Zeroize;

/// The longest line accepted, in octets without the line end. RFC 2449 section 4
/// has 255 for commands; the room beyond is for passwords and names of all kinds.
pub const MAX_LINE: usize = 8192;

/// The same for a line with a SASL response in it, whose length the mechanism
/// decides (RFC 5034 section 4; RFC 4954 has 12,288 for it): tokens are long. The
/// room beyond is for the command in front.
pub const MAX_SASL_LINE: usize = 12_288 + 64;

/// One line from the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A line without its CRLF. A bare LF ends a line, too.
    Complete(&'a [u8]),
    /// A line beyond what it may have. Said once, as soon as it is certain; the rest
    /// of that line, up to its end, is skipped.
    TooLong,
}

/// Collects octets and gives out lines.
///
/// Take lines until there are none before pushing more; it then never holds more
/// than [`MAX_LINE`] octets, or what was allowed beyond that, and what one push brings.
#[derive(Default)]
pub struct LineBuffer {
    octets: Vec<u8>,
    /// Where the first octet stands that no line has taken yet.
    start: usize,
    /// Up to here there is no line end; spares a client that sends one octet at a
    /// time a search from the start each time.
    searched: usize,
    /// Whether the rest of an over-long line is being skipped.
    skipping: bool,
}

impl LineBuffer {
    /// An empty buffer without memory of its own.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends what has been read from the client.
    pub fn push(&mut self, input: &[u8]) {
        if self.octets.capacity() - self.octets.len() < input.len() {
            self.grow(input.len());
        }
        self.octets.extend_from_slice(input);
    }

    /// The next line of at most [`MAX_LINE`] octets, or `None` until more are pushed.
    pub fn next_line(&mut self) -> Option<Line<'_>> {
        self.next_line_within(|_| MAX_LINE)
    }

    /// The next line, or `None` until more octets are pushed. Of a line that passes
    /// [`MAX_LINE`] its start is shown to `longest`, which says how many octets
    /// it may have.
    pub fn next_line_within(&mut self, longest: impl FnOnce(&[u8]) -> usize) -> Option<Line<'_>> {
        if self.skipping && !self.skip() {
            return None;
        }
        let Some(end) = memchr(b'\n', &self.octets[self.searched..]) else {
            return self.unfinished(longest);
        };
        let end = self.searched + end;
        let line = self.start..end;
        self.start = end + 1;
        self.searched = self.start;
        let line = &self.octets[line];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() > MAX_LINE && line.len() > longest(line) {
            return Some(Line::TooLong);
        }
        Some(Line::Complete(line))
    }

    /// Whether the client has sent nothing beyond the lines taken. What follows
    /// STLS in the same segment was sent in clear and must never be taken for
    /// something said under TLS (CVE-2011-0411 and its like).
    pub fn is_empty(&self) -> bool {
        self.start == self.octets.len() && !self.skipping
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.release();
        self.skipping = false;
    }

    /// There is no line end. Is it certain already that the line is too long?
    fn unfinished(&mut self, longest: impl FnOnce(&[u8]) -> usize) -> Option<Line<'static>> {
        let unread = self.octets.len() - self.start;
        // One more than allowed may yet turn out to be the CR of the line end.
        let too_long = unread > MAX_LINE + 1 && unread > longest(&self.octets[self.start..]) + 1;
        if unread == 0 || too_long {
            self.release();
        } else {
            self.octets.copy_within(self.start.., 0);
            self.octets[unread..].zeroize();
            self.octets.truncate(unread);
            self.start = 0;
            self.searched = unread;
        }
        self.skipping = too_long;
        too_long.then_some(Line::TooLong)
    }

    /// Drops octets up to the end of the over-long line; whether it was reached.
    fn skip(&mut self) -> bool {
        match memchr(b'\n', &self.octets[self.start..]) {
            Some(end) => {
                self.start += end + 1;
                self.searched = self.start;
                self.skipping = false;
            }
            None => self.release(),
        }
        !self.skipping
    }

    /// Makes room. Not left to `Vec`, which would free the old memory unwiped.
    fn grow(&mut self, more: usize) {
        let unread = self.octets.len() - self.start;
        let mut octets = Vec::with_capacity((unread + more).max(2 * unread));
        octets.extend_from_slice(&self.octets[self.start..]);
        self.octets.zeroize();
        self.octets = octets;
        self.searched -= self.start;
        self.start = 0;
    }

    fn release(&mut self) {
        self.octets.zeroize();
        self.octets = Vec::new();
        self.start = 0;
        self.searched = 0;
    }
}

impl Drop for LineBuffer {
    fn drop(&mut self) {
        self.octets.zeroize();
    }
}

#[cfg(test)]
mod tests;
