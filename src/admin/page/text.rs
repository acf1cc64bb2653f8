//! Text from elsewhere as a part of HTML, in an element or in quotes.
//!
//! Pure.

use std::fmt::{self, Write};

/// Shows a text so that nothing in it is a tag or ends an attribute, and leaves control characters out.
pub(super) struct Text<'a>(pub(super) &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                // Also those that turn the direction of what follows.
                '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
                c if c.is_control() => {}
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_html() {
        let text = Text("<b title=\"x\">'a' & b</b>\n\u{202e}\u{1b}[2J").to_string();
        assert_eq!(
            text,
            "&lt;b title=&quot;x&quot;&gt;&#39;a&#39; &amp; b&lt;/b&gt;[2J"
        );
    }
}
