//! What the bridge takes out of a folder itself.

use super::*;
use crate::maildrop::tests::register;

fn seq(number: u32) -> Seq {
    Seq::new(number).unwrap()
}

#[test]
fn what_was_taken_out_is_gone_with_its_unique_id_and_the_others_stay_as_they_were() {
    let mut before = register([(1, 10, 100), (2, 20, 200), (3, 30, 300)].into_iter());
    Arc::make_mut(&mut before.index).gm_msgids = Some(vec![7, 8, 9]);
    before.uidls.insert(seq(2), "old-2".into());
    before.header_hashes.insert(seq(2), 5);
    let taken = HashSet::from([seq(2)]);
    let after = before.without(&taken, 99);
    let uids: Vec<u32> = after.index.messages.iter().map(|m| m.uid.get()).collect();
    assert_eq!(uids, [10, 30]);
    assert_eq!(after.index.gm_msgids, Some(vec![7, 9]));
    let seqs: Vec<u32> = after.entries.iter().map(|entry| entry.seq.get()).collect();
    assert_eq!(seqs, [1, 3]);
    assert_eq!(after.uidl(0), before.uidl(0));
    assert_eq!(after.uidl(1), before.uidl(2));
    let [gone] = after.gone.as_slice() else {
        panic!("one is gone: {:?}", after.gone)
    };
    assert_eq!((gone.seq, gone.uid.get(), gone.gone_at), (seq(2), 20, 99));
    assert_eq!((gone.gm_msgid, gone.header_hash), (Some(8), Some(5)));
    assert!(gone.disposed && &*gone.uidl == "old-2");
    assert!(after.uidls.is_empty() && after.header_hashes.is_empty());
}

#[test]
fn what_is_not_there_is_taken_out_in_vain() {
    let before = register([(1, 10, 100)].into_iter());
    assert_eq!(before.without(&HashSet::from([seq(9)]), 99), before);
}
