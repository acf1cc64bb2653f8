//! When a list of a folder is not believed before a second connection says the same.
//!
//! Must not know: how lists are had.

use crate::maildrop::{Index, Uid};

/// Whether so much has changed that one connection's word is not enough: more than half of the messages are gone, or UIDNEXT went back.
/// A server that starts, or a copy of it that lags, says such things.
pub(super) fn is_doubtful(known: &Index, now: &Index) -> bool {
    let same = known.uid_validity == now.uid_validity;
    let went_back = matches!((known.uid_next, now.uid_next), (Some(was), Some(is)) if is < was);
    has_collapsed(known, now) || (same && went_back)
}

/// Whether a list from a second connection has nothing that this one lacks, but for what arrived in between.
pub(super) fn is_confirmed_by(index: &Index, again: &Index) -> bool {
    let known = |uid| index.messages.binary_search_by_key(&uid, |m| m.uid).is_ok();
    let next = match (index.uid_next, index.messages.last()) {
        (Some(next), _) => next,
        (None, Some(last)) => last.uid.get().saturating_add(1),
        (None, None) => 0,
    };
    let arrived = |uid: Uid| next > 0 && uid.get() >= next;
    index.uid_validity == again.uid_validity
        && again
            .messages
            .iter()
            .all(|m| known(m.uid) || arrived(m.uid))
}

fn has_collapsed(known: &Index, now: &Index) -> bool {
    now.messages.len() < known.messages.len() / 2 + known.messages.len() % 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::maildrop::{Message, UidValidity};

    fn index(uids: &[u32], uid_next: Option<u32>) -> Index {
        let message = |uid: &u32| Message {
            uid: Uid::new(*uid).unwrap(),
            size: 1,
            internal_date: 0,
        };
        Index {
            uid_validity: UidValidity::new(7).unwrap(),
            uid_next,
            highest_modseq: None,
            messages: uids.iter().map(message).collect(),
            gm_msgids: None,
            email_ids: None,
        }
    }

    #[test]
    fn a_second_list_confirms_the_first_although_mail_has_arrived_or_gone_in_between() {
        for next in [Some(10), None] {
            let first = index(&[8, 9], next);
            assert!(is_confirmed_by(&first, &index(&[8, 9], next)));
            assert!(is_confirmed_by(&first, &index(&[8, 9, 10], Some(11))));
            assert!(is_confirmed_by(&first, &index(&[9], next)));
            assert!(!is_confirmed_by(&first, &index(&[3, 8, 9], next)));
        }
    }

    #[test]
    fn an_empty_list_is_confirmed_only_by_one_without_old_messages() {
        let empty = index(&[], Some(10));
        assert!(is_confirmed_by(&empty, &index(&[], Some(10))));
        assert!(is_confirmed_by(&empty, &index(&[10], Some(11))));
        assert!(!is_confirmed_by(&empty, &index(&[9], Some(10))));
        assert!(!is_confirmed_by(&index(&[], None), &index(&[9], None)));
    }

    #[test]
    fn losing_more_than_half_is_doubtful_and_losing_half_is_not() {
        assert!(is_doubtful(&index(&[1], None), &index(&[], None)));
        assert!(is_doubtful(&index(&[1, 2, 3], None), &index(&[3], None)));
        assert!(!is_doubtful(&index(&[1, 2], None), &index(&[2], None)));
        assert!(!is_doubtful(&index(&[], None), &index(&[], None)));
    }

    #[test]
    fn a_uidnext_that_goes_back_is_doubtful_unless_the_folder_is_another_one() {
        let known = index(&[1, 2], Some(10));
        assert!(is_doubtful(&known, &index(&[1, 2], Some(9))));
        assert!(!is_doubtful(&known, &index(&[1, 2], Some(10))));
        assert!(!is_doubtful(&known, &index(&[1, 2], None)));
        let mut other = index(&[1, 2], Some(3));
        other.uid_validity = UidValidity::new(8).unwrap();
        assert!(!is_doubtful(&known, &other));
    }
}
