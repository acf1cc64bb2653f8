//! What messages turned out to be long when they were read, where that is not what the upstream lists.
//!
//! It is what LIST and STAT say, and nothing else: a message is known by what is listed. It counts only as long as the size is listed that
//! was listed when the message was read.
//! Must not know: how it is kept, who has read the message.

use super::seq::Seq;

/// How long one message is. 12 bytes, because there may be one for each message of an upstream that estimates sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// Its number.
    pub seq: Seq,
    /// RFC822.SIZE at that time, in octets.
    pub listed: u32,
    /// The octets of the message as POP3 counts them (RFC 1939 section 11): line ends are CRLF, dots are not stuffed. As with Dovecot's
    /// pop3d, the line end that is put behind a last line without one is left out. So is a header line of the message's place.
    pub octets: u32,
}

/// Of all messages of a mailbox of which it is known, by ascending number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sizes(Vec<Measured>);

impl Sizes {
    /// Adds one, instead of what was known of the message. Whether that is news.
    pub fn insert(&mut self, new: Measured) -> bool {
        match self.0.binary_search_by_key(&new.seq, |one| one.seq) {
            Ok(at) => match self.0.get_mut(at) {
                Some(known) if *known != new => {
                    *known = new;
                    true
                }
                _ => false,
            },
            Err(at) => {
                self.0.insert(at, new);
                true
            }
        }
    }

    /// Forgets those of other messages.
    pub fn retain(&mut self, of: impl Fn(Seq) -> bool) {
        self.0.retain(|one| of(one.seq));
        self.0.shrink_to_fit();
    }

    /// All of them, by ascending number.
    pub fn iter(&self) -> impl Iterator<Item = &Measured> {
        self.0.iter()
    }

    /// Of how many messages it is known.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it is known of none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// About how much memory it takes, in bytes.
    pub const fn heap_bytes(&self) -> usize {
        self.0.capacity() * size_of::<Measured>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(number: u32, octets: u32) -> Measured {
        Measured {
            seq: Seq::new(number).unwrap(),
            listed: 1000,
            octets,
        }
    }

    #[test]
    fn a_measured_size_takes_twelve_bytes() {
        assert_eq!(size_of::<Measured>(), 12);
    }

    #[test]
    fn what_was_measured_last_counts_and_the_same_again_is_no_news() {
        let mut sizes = Sizes::default();
        assert!(sizes.is_empty());
        assert!(sizes.insert(measured(7, 1)));
        assert!(sizes.insert(measured(3, 2)));
        assert!(!sizes.insert(measured(7, 1)));
        assert!(sizes.insert(measured(7, 4)));
        let all: Vec<_> = sizes.iter().copied().collect();
        assert_eq!(all, [measured(3, 2), measured(7, 4)]);
    }

    #[test]
    fn what_is_not_there_any_more_is_forgotten() {
        let mut sizes = Sizes::default();
        for number in 1..=100 {
            sizes.insert(measured(number, 1));
        }
        sizes.retain(|seq| seq.get() > 98);
        assert_eq!((sizes.len(), sizes.heap_bytes()), (2, 24));
    }
}
