//! What was sent to a server and must not come back in its words to the operator: whole, or a piece of it, as servers cut what they repeat.
//!
//! Pure. Must not know: what is sent, what the words mean.

use std::collections::HashSet;

use zeroize::Zeroizing;

use super::form::encode;

/// So many octets of a long secret in a row are a piece of it; of a short one, half of it.
const PIECES: std::ops::RangeInclusive<usize> = 4..=8;

/// See the module.
#[derive(Default)]
pub(super) struct Shown(Vec<Zeroizing<Vec<u8>>>);

impl Shown {
    /// These secrets, and nothing else so far.
    pub(super) fn of(secrets: &[&str]) -> Self {
        let mut shown = Self::default();
        for secret in secrets {
            shown.add(secret);
        }
        shown
    }

    /// One more, as it is and as forms have it.
    pub(super) fn add(&mut self, secret: &str) {
        if secret.is_empty() {
            return;
        }
        let mut encoded = Zeroizing::new(String::with_capacity(3 * secret.len()));
        encode(secret, &mut encoded);
        let is_the_same = *encoded == *secret;
        let forms = [secret.as_bytes(), encoded.as_bytes()];
        for form in forms.into_iter().take(if is_the_same { 1 } else { 2 }) {
            // In lower case, as servers change it.
            self.0.push(Zeroizing::new(form.to_ascii_lowercase()));
        }
    }

    /// Whether one of them is in the text, uncut.
    pub(super) fn is_whole_in(&self, text: &str) -> bool {
        let text = Zeroizing::new(text.to_ascii_lowercase());
        let found = |form: &Zeroizing<Vec<u8>>| memchr::memmem::find(text.as_bytes(), form);
        self.0.iter().any(|form| found(form).is_some())
    }

    /// Whether a piece of one of them is in the text.
    pub(super) fn is_in(&self, text: &str) -> bool {
        let text = Zeroizing::new(text.to_ascii_lowercase());
        self.0.iter().any(|form| {
            let piece = (form.len() / 2).clamp(*PIECES.start(), *PIECES.end());
            if form.len() < piece {
                return memchr::memmem::find(text.as_bytes(), form).is_some();
            }
            let pieces: HashSet<&[u8]> = text.as_bytes().windows(piece).collect();
            form.windows(piece).any(|piece| pieces.contains(piece))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_of_what_was_sent_is_found_in_any_form() {
        let shown = Shown::of(&["Correct/Horse+Battery"]);
        for text in [
            "you sent Correct/Horse+Battery",
            "you sent CORRECT/HORSE+BATTERY",
            "you sent Correct%2FHorse%2BBattery",
            "you sent Correct/...",
            "you sent ...+Battery",
        ] {
            assert!(shown.is_in(text), "{text}");
        }
        assert!(!shown.is_in("the horse has a battery, which is correct"));
        assert!(shown.is_whole_in("a correct/horse+battery b"));
        assert!(!shown.is_whole_in("you sent Correct/..."));
    }

    #[test]
    fn a_short_secret_is_found_by_half_of_it_or_whole() {
        let shown = Shown::of(&["hunter2222"]);
        assert!(shown.is_in("not hunte...") && !shown.is_in("not hunt..."));
        let shorter = Shown::of(&["abc"]);
        assert!(shorter.is_in("xabcx") && !shorter.is_in("ab c"));
        assert!(!Shown::of(&[""]).is_in("anything"));
    }
}
