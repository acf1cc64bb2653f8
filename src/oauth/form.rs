//! `application/x-www-form-urlencoded`: what forms and queries are written in.
//!
//! Pure. Must not know: what is in them.

use std::borrow::Cow;

use crate::secret::Secret;

/// A form that is being written; in memory it is wiped.
#[derive(Debug)]
pub(super) struct Form(Secret);

impl Form {
    /// An empty one.
    pub(super) fn new() -> Self {
        Self(Secret::new(String::new()))
    }

    /// With one more field.
    #[must_use]
    pub(super) fn with(self, key: &str, value: &str) -> Self {
        let old = self.0.expose();
        // Large enough, so that it does not move and leave a copy behind.
        let mut text = String::with_capacity(old.len() + key.len() + 3 * value.len() + 2);
        text.push_str(old);
        if !text.is_empty() {
            text.push('&');
        }
        text.push_str(key);
        text.push('=');
        encode(value, &mut text);
        Self(Secret::new(text))
    }

    pub(super) fn text(&self) -> &Secret {
        &self.0
    }
}

/// Appends `value`, in which only unreserved characters stay as they are.
pub(super) fn encode(value: &str, text: &mut String) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push('%');
            for digit in [byte >> 4, byte & 15] {
                let digit = char::from_digit(u32::from(digit), 16);
                text.extend(digit.map(|digit| digit.to_ascii_uppercase()));
            }
        }
    }
}

/// The value of the first field `key`, if it can be read.
pub(crate) fn field(query: &str, key: &str) -> Option<String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .into_iter()
        .find(|(name, _)| *name == key)
        .and_then(|(_, value)| decoded(value))
}

/// `None` where it is no UTF-8, or a `%` is followed by no number.
pub(super) fn decoded(text: &str) -> Option<String> {
    let text = match text.contains('+') {
        true => Cow::Owned(text.replace('+', " ")),
        false => Cow::Borrowed(text),
    };
    let mut pieces = text.split('%');
    let mut bytes = pieces.next()?.as_bytes().to_vec();
    for piece in pieces {
        let digits = piece.get(..2)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(&piece.as_bytes()[2..]);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read_again() {
        let value = "https://a/?b=c&d e+f%/ä";
        let form = Form::new().with("x", value).with("y", "1");
        let text = form.text().expose();
        assert!(text.is_ascii() && text.ends_with("&y=1"), "{text}");
        assert_eq!(field(text, "x").as_deref(), Some(value));
        assert_eq!(field(text, "y").as_deref(), Some("1"));
        assert_eq!(field(text, "z"), None);
        assert!(!format!("{form:?}").contains("y=1"));
    }

    #[test]
    fn what_cannot_be_read_is_nothing() {
        assert_eq!(decoded("a+b%20c").as_deref(), Some("a b c"));
        for text in ["%", "%1", "%zz", "%+1", "%ff", "a%ä"] {
            assert_eq!(decoded(text), None, "{text}");
        }
    }
}
