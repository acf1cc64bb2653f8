//! The usual row of a list, read without the grammar crate, which takes ten times as long: cold lists have 100,000 of them.
//!
//! Strict: `* n FETCH (` or `* uid UIDFETCH (` with the items of a list, each once at most and in any order, then `)` and CRLF. Whatever looks different in the
//! least is left to the grammar.
//! Pure. Must not know: what was asked for, connections.

/// What a plain FETCH response has, as it stands there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PlainRow<'a> {
    /// None in UIDFETCH, which has the UID in its place (RFC 9586).
    pub(super) position: Option<u32>,
    pub(super) uid: Option<u32>,
    pub(super) size: Option<u32>,
    /// INTERNALDATE without its quotation marks; printable ASCII without a backslash.
    pub(super) date: Option<&'a str>,
    pub(super) gm_msgid: Option<u64>,
    /// EMAILID without its parentheses.
    pub(super) email_id: Option<&'a str>,
}

/// Reads a response from its `* ` to its CRLF; `None` where it is not plain.
pub(super) fn plain_row(response: &[u8]) -> Option<PlainRow<'_>> {
    let (first, rest) = number(response.strip_prefix(b"* ")?)?;
    let first = u32::try_from(first).ok()?;
    let mut row = PlainRow::default();
    let (mut rest, named) = match rest.strip_prefix(b" FETCH (") {
        Some(rest) => {
            row.position = Some(first);
            (rest, None)
        }
        None => (rest.strip_prefix(b" UIDFETCH (")?, Some(first)),
    };
    loop {
        rest = if let Some(value) = rest.strip_prefix(b"UID ") {
            small(value, &mut row.uid)?
        } else if let Some(value) = rest.strip_prefix(b"RFC822.SIZE ") {
            small(value, &mut row.size)?
        } else if let Some(value) = rest.strip_prefix(b"INTERNALDATE \"") {
            let (date, behind) = value.split_at(memchr::memchr(b'"', value)?);
            let plain = |octet: &u8| (b' '..=b'~').contains(octet) && *octet != b'\\';
            if row.date.is_some() || date.is_empty() || !date.iter().all(plain) {
                return None;
            }
            row.date = Some(std::str::from_utf8(date).ok()?);
            behind.get(1..)?
        } else if let Some(value) = rest.strip_prefix(b"EMAILID (") {
            let (id, behind) = value.split_at(memchr::memchr(b')', value)?);
            let plain = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'_' | b'-');
            if row.email_id.is_some() || !(1..=255).contains(&id.len()) || !id.iter().all(plain) {
                return None;
            }
            row.email_id = Some(std::str::from_utf8(id).ok()?);
            behind.get(1..)?
        } else {
            let (id, behind) = number(rest.strip_prefix(b"X-GM-MSGID ")?)?;
            if row.gm_msgid.replace(id).is_some() {
                return None;
            }
            behind
        };
        match rest {
            b")\r\n" => break,
            [b' ', more @ ..] => rest = more,
            _ => return None,
        }
    }
    // Told twice, it is told alike.
    if named.is_some() && row.uid.is_some_and(|uid| Some(uid) != named) {
        return None;
    }
    row.uid = row.uid.or(named);
    Some(row)
}

/// A number of 32 bits that is there once, and what is behind it.
fn small<'a>(text: &'a [u8], value: &mut Option<u32>) -> Option<&'a [u8]> {
    let (number, rest) = number(text)?;
    match value.replace(u32::try_from(number).ok()?) {
        None => Some(rest),
        Some(_) => None,
    }
}

/// A number and what is behind it.
fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = text
        .iter()
        .take_while(|octet| octet.is_ascii_digit())
        .count();
    let (digits, rest) = text.split_at(digits);
    // Without a sign, which there is no digit for.
    Some((std::str::from_utf8(digits).ok()?.parse().ok()?, rest))
}
