//! A store that is changed by deltas only, to see that they say everything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::*;
use crate::maildrop::{Entry, Moved};

/// What the store keeps, changed by deltas only.
#[derive(Default)]
pub(super) struct Store {
    rows: BTreeMap<Seq, Gone>,
    /// The numbers of those that are there.
    present: BTreeSet<Seq>,
    /// Texts; what has none is rendered.
    texts: HashMap<Seq, Box<str>>,
    uid_validity: Option<UidValidity>,
    floors: Vec<(UidValidity, u32)>,
    format: Option<Format>,
}

impl Store {
    pub(super) fn apply(&mut self, delta: &Delta, now: i64) {
        for seq in &delta.gone {
            assert!(self.present.remove(seq), "{seq} was not there");
            let row = self.rows.get_mut(seq).unwrap();
            row.gone_at = now;
        }
        for new in &delta.new {
            let row = Gone {
                seq: new.seq,
                uid_validity: delta.uid_validity,
                uid: new.uid,
                size: new.size,
                internal_date: new.internal_date,
                first_seen: new.first_seen,
                gm_msgid: new.gm_msgid,
                email_id: new.email_id,
                header_hash: new.header_hash,
                uidl: "".into(),
                gone_at: 0,
                disposed: false,
            };
            assert!(
                self.rows.insert(new.seq, row).is_none(),
                "{} again",
                new.seq
            );
            assert!(self.present.insert(new.seq));
            self.texts
                .extend(new.uidl.clone().map(|text| (new.seq, text)));
        }
        for back in &delta.back {
            assert!(self.present.insert(back.seq), "{} was there", back.seq);
            self.put(back, delta.uid_validity);
        }
        for moved in &delta.moved {
            assert!(self.present.contains(&moved.seq));
            self.put(moved, delta.uid_validity);
        }
        for (seq, size) in &delta.sized {
            self.rows.get_mut(seq).unwrap().size = *size;
        }
        for (seq, text) in &delta.pinned {
            assert!(self.texts.insert(*seq, text.clone()).is_none());
        }
        for (seq, hash) in &delta.hashes {
            let before = self.rows.get_mut(seq).unwrap().header_hash.replace(*hash);
            assert_eq!(before, None);
        }
        for (seq, id) in &delta.msgids {
            let before = self.rows.get_mut(seq).unwrap().gm_msgid.replace(*id);
            assert_eq!(before, None);
        }
        for (seq, id) in &delta.email_ids {
            let before = self.rows.get_mut(seq).unwrap().email_id.replace(*id);
            assert_ne!(before, Some(*id));
        }
        for (validity, floor) in &delta.floors {
            self.floors.retain(|(known, _)| known != validity);
            self.floors.push((*validity, *floor));
        }
        self.uid_validity = Some(delta.uid_validity);
        if let Some(format) = &delta.format {
            self.format = Some(format.clone());
        }
        let present = &self.present;
        self.rows
            .retain(|seq, row| present.contains(seq) || row.gone_at > now - KEPT);
    }

    fn put(&mut self, moved: &Moved, uid_validity: UidValidity) {
        let row = self.rows.get_mut(&moved.seq).unwrap();
        row.uid_validity = uid_validity;
        row.uid = moved.uid;
        row.size = moved.size;
        row.header_hash = moved.header_hash;
        self.texts.remove(&moved.seq);
        self.texts
            .extend(moved.uidl.clone().map(|text| (moved.seq, text)));
    }

    /// The register that the store would load.
    pub(super) fn register(&self, like: &Register) -> Register {
        let there = |seq: &Seq| self.present.contains(seq);
        let mut present: Vec<&Gone> = self.rows.values().filter(|row| there(&row.seq)).collect();
        present.sort_by_key(|row| row.uid);
        let message = |row: &&Gone| Message {
            uid: row.uid,
            size: row.size,
            internal_date: row.internal_date,
        };
        let entry = |row: &&Gone| Entry {
            seq: row.seq,
            first_seen: row.first_seen,
        };
        let gone = self.rows.values().filter(|row| !there(&row.seq));
        let gone = gone.map(|row| Gone {
            uidl: self.texts[&row.seq].clone(),
            ..row.clone()
        });
        let ids = like.index.gm_msgids.is_some();
        let mut floors = self.floors.clone();
        floors.sort_by_key(|(validity, _)| like.floors.iter().position(|f| f.0 == *validity));
        Register {
            index: Arc::new(Index {
                uid_validity: self.uid_validity.unwrap(),
                uid_next: like.index.uid_next,
                highest_modseq: None,
                messages: present.iter().map(message).collect(),
                gm_msgids: ids.then(|| present.iter().map(|row| row.gm_msgid.unwrap()).collect()),
                email_ids: like.index.email_ids.as_ref().map(|_| {
                    let ids = present.iter().map(|row| row.email_id);
                    ids.map(Option::unwrap_or_default).collect()
                }),
            }),
            entries: present.iter().map(entry).collect(),
            uidls: self
                .texts
                .iter()
                .filter(|(seq, _)| there(seq))
                .map(|(s, t)| (*s, t.clone()))
                .collect(),
            header_hashes: present
                .iter()
                .filter_map(|r| Some((r.seq, r.header_hash?)))
                .collect(),
            gone: gone.collect(),
            floors,
            format: self.format.clone().unwrap(),
            first_listed: like.first_listed,
            suffix: "".into(),
        }
    }
}
