//! The flags that a folder keeps (RFC 3501, 2.3.2 and 7.1: PERMANENTFLAGS), and what a keyword may be.
//!
//! Pure. Must not know: connections, or what flags are set for.

/// More octets of names than this are not kept: nobody has so many keywords.
const MOST_OCTETS: usize = 16 * 1024;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PermanentFlags {
    /// `\*`: any keyword may be made up.
    any_keyword: bool,
    /// In upper case.
    named: Vec<String>,
}

impl PermanentFlags {
    /// Reads the list behind the code's name: `(\Answered \Seen $Done \*)`.
    pub(super) fn parse(list: &str) -> Self {
        let inside = list.trim().trim_start_matches('(').trim_end_matches(')');
        let any_keyword = inside.split(' ').any(|flag| flag == "\\*");
        let mut octets = 0;
        let named = inside
            .split(' ')
            // Where any keyword may be set, only the system's flags need their names.
            .filter(|flag| !flag.is_empty() && (!any_keyword || flag.starts_with('\\')))
            .take_while(|flag| {
                octets += flag.len();
                octets <= MOST_OCTETS
            })
            .map(str::to_ascii_uppercase)
            .collect();
        Self { any_keyword, named }
    }

    /// Whether the folder keeps this flag beyond the session, once it is set.
    pub fn keeps(&self, flag: &str) -> bool {
        (self.any_keyword && !flag.starts_with('\\'))
            || self
                .named
                .iter()
                .any(|name| name.eq_ignore_ascii_case(flag))
    }
}

/// Whether this is the name of a keyword: an atom (RFC 3501, 9).
pub(super) fn is_keyword(text: &str) -> bool {
    let special = |octet| b"(){%*\"\\]".contains(&octet);
    !text.is_empty()
        && text
            .bytes()
            .all(|octet| octet.is_ascii_graphic() && !special(octet))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyword_is_kept_where_it_is_named_or_where_any_is() {
        let named = PermanentFlags::parse("(\\Answered \\Seen $Done)");
        assert!(named.keeps("$done") && named.keeps("\\Seen"));
        assert!(!named.keeps("$Other") && !named.keeps("\\Flagged"));
        let any = PermanentFlags::parse("(\\Deleted $Done \\*)");
        assert!(any.keeps("$Other") && any.keeps("$Done") && any.keeps("\\Deleted"));
        assert!(!any.keeps("\\Seen"));
        assert!(!PermanentFlags::parse("()").keeps("$Done"));
    }

    #[test]
    fn names_without_end_are_not_kept() {
        let many = format!("({})", "$A ".repeat(100_000));
        assert!(PermanentFlags::parse(&many).named.len() <= MOST_OCTETS);
    }

    #[test]
    fn what_could_be_more_than_a_keyword_is_none() {
        assert!(is_keyword("$Disposed") && is_keyword("a-b_c.1"));
        for text in ["", "a b", "\\Seen", "a)", "a\r\nb", "\u{fc}", "*", "a]"] {
            assert!(!is_keyword(text), "{text:?}");
        }
    }
}
