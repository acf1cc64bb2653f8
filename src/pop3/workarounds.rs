//! What is done for programs that cannot take a message as it is: by the names that Dovecot gives them (pop3_client_workarounds), each of
//! them off unless a client's settings name it.
//!
//! Pure. It must not know which client wants which.

/// Workarounds of one client. The default is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Workarounds {
    /// `outlook-no-nuls`: each NUL is sent as the octet 0x80, one for one. Outlook up to 2003 waits for ever behind a NUL.
    pub no_nuls: bool,
    /// `oe-ns-eoh`: a message without the blank line behind its header gets one at its end, two octets more than are listed. Outlook Express
    /// and Netscape Mail take the end of such an answer (TOP n 0, too) for a part of the header.
    pub end_of_header: bool,
}

impl Workarounds {
    /// The names, as settings and documents spell them.
    pub const NAMES: [&str; 2] = ["outlook-no-nuls", "oe-ns-eoh"];

    /// Adds the workaround of this name; whether there is one.
    pub fn add(&mut self, name: &str) -> bool {
        match name {
            "outlook-no-nuls" => self.no_nuls = true,
            "oe-ns-eoh" => self.end_of_header = true,
            _ => return false,
        }
        true
    }
}

/// Looks for the end of a header: a line that begins with CR or LF, as Dovecot has it.
#[derive(Debug)]
pub(super) struct HeaderEnd {
    at_line_start: bool,
    found: bool,
}

impl Default for HeaderEnd {
    fn default() -> Self {
        Self {
            at_line_start: true,
            found: false,
        }
    }
}

impl HeaderEnd {
    /// Whether it has come.
    pub(super) fn is_found(&self) -> bool {
        self.found
    }

    /// Looks at the next piece of the message.
    pub(super) fn look(&mut self, piece: &[u8]) {
        if self.found {
            return;
        }
        let Some(last) = piece.last() else {
            return;
        };
        let ends = |octet: u8| matches!(octet, b'\r' | b'\n');
        let starts_line = memchr::memchr_iter(b'\n', piece).filter_map(|lf| piece.get(lf + 1));
        self.found = self.at_line_start && piece.first().is_some_and(|first| ends(*first))
            || starts_line.copied().any(ends);
        self.at_line_start = *last == b'\n';
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::body::Encoder;
    use super::*;

    fn answer(names: &[&str], lines: Option<u32>, pieces: &[&[u8]]) -> String {
        let mut workarounds = Workarounds::default();
        assert!(names.iter().all(|name| workarounds.add(name)));
        let mut encoder = Encoder::new(lines).for_client(workarounds);
        let mut out = Vec::new();
        for piece in pieces {
            encoder.encode(piece, &mut out);
        }
        encoder.finish(&mut out);
        out.iter().map(|octet| char::from(*octet)).collect()
    }

    #[test]
    fn each_name_is_a_workaround_and_another_word_is_none() {
        for name in Workarounds::NAMES {
            let mut workarounds = Workarounds::default();
            assert!(workarounds.add(name));
            assert_ne!(workarounds, Workarounds::default(), "{name}");
        }
        assert!(!Workarounds::default().add("tb-extra-mailbox-sep"));
    }

    #[test]
    fn a_nul_becomes_0x80_where_that_is_wanted_and_stays_where_it_is_not() {
        let message: &[u8] = b"S: x\0\r\n\r\n\0a\0\n\0";
        let kept = "S: x\0\r\n\r\n\0a\0\r\n\0\r\n.\r\n";
        assert_eq!(answer(&[], None, &[message]), kept);
        assert_eq!(answer(&["oe-ns-eoh"], None, &[message]), kept);
        let replaced = kept.replace('\0', "\u{80}");
        assert_eq!(answer(&["outlook-no-nuls"], None, &[message]), replaced);
        let top = answer(&["outlook-no-nuls"], Some(1), &[message]);
        assert_eq!(top, "S: x\u{80}\r\n\r\n\u{80}a\u{80}\r\n.\r\n");
    }

    #[test]
    fn a_header_without_an_end_gets_one_where_that_is_wanted() {
        let table: [(&[u8], &str, &str); 6] = [
            (b"S: x\r\n", "S: x\r\n.\r\n", "S: x\r\n\r\n.\r\n"),
            (b"S: x", "S: x\r\n.\r\n", "S: x\r\n\r\n.\r\n"),
            (b"", ".\r\n", "\r\n.\r\n"),
            (b"S: x\n\n", "S: x\r\n\r\n.\r\n", "S: x\r\n\r\n.\r\n"),
            (b"\r\nx", "\r\nx\r\n.\r\n", "\r\nx\r\n.\r\n"),
            (
                b"S: x\r\n\r\ny\r\n",
                "S: x\r\n\r\ny\r\n.\r\n",
                "S: x\r\n\r\ny\r\n.\r\n",
            ),
        ];
        for (message, without, with) in table {
            assert_eq!(answer(&[], None, &[message]), without);
            assert_eq!(answer(&["oe-ns-eoh"], None, &[message]), with);
        }
        assert_eq!(
            answer(&["oe-ns-eoh"], Some(0), &[b"S: x\r\n"]),
            "S: x\r\n\r\n.\r\n"
        );
        assert_eq!(
            answer(&["oe-ns-eoh"], Some(0), &[b"S: x\n\ny\n"]),
            "S: x\r\n\r\n.\r\n"
        );
    }

    proptest! {
        #[test]
        fn only_nuls_and_a_header_without_an_end_make_a_difference(message in "[a\0\r\n.]{0,30}", cut in 0usize..30, lines in 0u32..4) {
            let lines_of = |text: &str| text.split_inclusive('\n').map(str::to_owned).collect::<Vec<_>>();
            let has_end = lines_of(&message).iter().any(|line| line.starts_with(['\r', '\n']));
            let end = if has_end { ".\r\n" } else { "\r\n.\r\n" };
            let (one, two) = message.split_at(cut.min(message.len()));
            for lines in [None, Some(lines)] {
                let plain = answer(&[], lines, &[message.as_bytes()]).replace('\0', "\u{80}");
                let expected = format!("{}{end}", plain.strip_suffix(".\r\n").unwrap());
                prop_assert_eq!(answer(&Workarounds::NAMES, lines, &[one.as_bytes(), two.as_bytes()]), expected);
            }
        }
    }
}
