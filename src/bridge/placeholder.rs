//! What Exchange gives for a message that it cannot convert. A client would take it for the message and delete that.
//!
//! Pure. Must not know: where the octets come from.

/// How its header has a line that begins.
const PLACEHOLDER: &[u8] = b"Subject: Retrieval using the IMAP4 protocol failed";
/// The header lines of Exchange's placeholder fit into this.
const HEADER: usize = 2048;

/// Whether a message that begins like this is Exchange's placeholder: it has its subject. Ask only for messages that are not as long as
/// they are listed. (Mail that only has that subject is taken for one where sizes are estimates: it is refused and stays where it is.)
pub(super) fn is_one(start: &[u8]) -> bool {
    let mut lines = start.split(|octet| *octet == b'\n');
    let mut header = lines
        .by_ref()
        .take_while(|line| !line.trim_ascii_end().is_empty());
    header.any(|line| line.starts_with(PLACEHOLDER))
}

/// Whether so much of a message of so many octets shows its header, or enough of it.
pub(super) fn shows_header(start: &[u8], octets: usize) -> bool {
    start.len() >= octets.min(HEADER) || memchr::memmem::find(start, b"\r\n\r\n").is_some()
}
