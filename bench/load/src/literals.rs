//! Counts the octets of IMAP literals in what a server sends: mail, as opposed to lists and answers. Sees plain text only.

/// Where in the server's lines the relay is.
#[derive(Default)]
enum At {
    /// In a line.
    #[default]
    Line,
    /// Behind `{` and digits that make this number.
    Brace(u64),
    /// Behind `}`.
    Closed(u64),
    /// Behind the CR after that.
    Return(u64),
    /// So many octets of a literal are still to come.
    Literal(u64),
}

/// Follows one connection.
#[derive(Default)]
pub(crate) struct Literals {
    at: At,
}

impl Literals {
    /// How many octets of `data` belong to literals.
    pub(crate) fn count(&mut self, mut data: &[u8]) -> u64 {
        let mut counted = 0;
        while let Some(&octet) = data.first() {
            let mut taken = 1;
            self.at = match (&self.at, octet) {
                (At::Literal(left), _) => {
                    taken = data.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    counted += taken as u64;
                    match left - taken as u64 {
                        0 => At::Line,
                        left => At::Literal(left),
                    }
                }
                (At::Brace(number), b'0'..=b'9') => At::Brace(
                    number
                        .saturating_mul(10)
                        .saturating_add(u64::from(octet - b'0')),
                ),
                (At::Brace(number), b'}') => At::Closed(*number),
                (At::Closed(number), b'\r') => At::Return(*number),
                (At::Return(number), b'\n') if *number > 0 => At::Literal(*number),
                (_, b'{') => At::Brace(0),
                _ => {
                    taken = memchr::memchr(b'{', data).unwrap_or(data.len());
                    At::Line
                }
            };
            data = &data[taken..];
        }
        counted
    }
}

#[cfg(test)]
mod tests {
    use super::Literals;

    #[test]
    fn literals_count_wherever_the_pieces_break() {
        let answer = b"* 1 FETCH (X {a} {7 BODY[] {12}\r\nab{3}\r\n{4}\r\n\r\n UID {0}\r\n)\r\nA OK {2} done\r\n* {2}\r\nxy\r\n";
        for size in 1..=answer.len() {
            let mut literals = Literals::default();
            let counted: u64 = answer.chunks(size).map(|piece| literals.count(piece)).sum();
            assert_eq!(counted, 14, "{size}");
        }
    }
}
