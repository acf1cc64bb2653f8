//! Which message is which where UIDs do not say it, and which headers would help.
//!
//! Must not know: unique-ids.

use std::collections::{HashMap, HashSet};

use super::{Claimed, Folder, Origin, Traits, differ};
use crate::maildrop::Uid;

/// How many there are on either side, and the last one of each.
#[derive(Clone, Copy, Default)]
struct Pairing {
    known: u32,
    present: u32,
    fresh: u32,
    origin: Option<Origin>,
    position: usize,
}

impl Pairing {
    /// What may be taken for one message: there is exactly one on either side.
    fn only(&self) -> Option<(usize, Origin)> {
        let origin = self.origin?;
        (self.known == 1 && self.fresh == 1).then_some((self.position, origin))
    }

    fn add_known(&mut self, origin: Origin) {
        self.known += 1;
        self.origin = Some(origin);
    }

    /// Of what has one header, what is in the folder hides what is gone: that was a copy of it, or the message itself before somebody
    /// moved it away and back, and the one that stays keeps its number.
    fn add_with_header(&mut self, origin: Origin) {
        match origin {
            Origin::Present(_) => {
                self.present += 1;
                self.known = self.present;
                self.origin = Some(origin);
            }
            _ if self.present == 0 => self.add_known(origin),
            _ => {}
        }
    }

    fn add_fresh(&mut self, position: usize) {
        self.fresh += 1;
        self.position = position;
    }
}

impl Folder<'_> {
    /// By X-GM-MSGID: the same number is the same message, also one that was moved away and back, but not one that was [put back].
    ///
    /// [put back]: Self::was_put_back
    pub(super) fn match_msgids(&self, origins: &mut [Origin], regenerated: bool) {
        let mut pairings: HashMap<u64, Pairing> = HashMap::new();
        for (position, origin) in origins.iter().enumerate() {
            if let Some(id) = self.msgid(position).filter(|_| *origin == Origin::New) {
                pairings.entry(id).or_default().add_fresh(position);
            }
        }
        if pairings.is_empty() {
            return;
        }
        let mut claimed = self.claimed(origins);
        self.each_known(|origin, traits| {
            let pairing = traits.gm_msgid.and_then(|id| pairings.get_mut(&id));
            let is_free = |pairing: &&mut Pairing| {
                !claimed.has(origin)
                    && (regenerated || !self.was_put_back(pairing.position, origin))
            };
            if let Some(pairing) = pairing.filter(is_free) {
                pairing.add_known(origin);
            }
        });
        for pairing in pairings.values() {
            claim(pairing, origins, &mut claimed);
        }
    }

    /// By EMAILID (RFC 8474) and INTERNALDATE: what was moved away and back, or has a new UID. EMAILID alone is not enough: copies have
    /// the same one, and a server may give it to all mail with the same octets, whenever it came.
    pub(super) fn match_email_ids(&self, origins: &mut [Origin], regenerated: bool) {
        let key = |traits: &Traits| Some((traits.email_id?, traits.date));
        let mut pairings: HashMap<_, Pairing> = HashMap::new();
        for (position, origin) in origins.iter().enumerate() {
            let is_new = *origin == Origin::New;
            if let Some(key) = key(&self.traits(position)).filter(|_| is_new) {
                pairings.entry(key).or_default().add_fresh(position);
            }
        }
        if pairings.is_empty() {
            return;
        }
        let mut claimed = self.claimed(origins);
        self.each_known(|origin, traits| {
            let pairing = key(&traits).and_then(|key| pairings.get_mut(&key));
            let is_free = |pairing: &&mut Pairing| {
                !claimed.has(origin)
                    && (regenerated || !self.was_put_back(pairing.position, origin))
            };
            if let Some(pairing) = pairing.filter(is_free) {
                pairing.add_known(origin);
            }
        });
        for pairing in pairings.values() {
            claim(pairing, origins, &mut claimed);
        }
    }

    /// By INTERNALDATE and size where no other message has them, else by these and the header; only what `may` be taken for each other.
    pub(super) fn match_traits(&self, origins: &mut [Origin], may: impl Fn(usize, Origin) -> bool) {
        let mut pairs: HashMap<(i64, u32), Pairing> = HashMap::new();
        let mut triples: HashMap<(i64, u32, i64), Pairing> = HashMap::new();
        for position in 0..origins.len() {
            let traits = self.traits(position);
            pairs.entry(traits.pair()).or_default().add_fresh(position);
            if let Some(hash) = traits.hash {
                let triple = (traits.date, traits.size, hash);
                triples.entry(triple).or_default().add_fresh(position);
            }
        }
        self.each_known(|origin, traits| {
            if let Some(pairing) = pairs.get_mut(&traits.pair()) {
                pairing.add_known(origin);
            }
            let triple = traits.hash.map(|hash| (traits.date, traits.size, hash));
            if let Some(pairing) = triple.and_then(|triple| triples.get_mut(&triple)) {
                pairing.add_with_header(origin);
            }
        });
        let mut claimed = self.claimed(origins);
        let ids_tell = self.email_ids_tell();
        for pairing in pairs.values().chain(triples.values()) {
            let agrees = pairing.only().is_some_and(|(position, origin)| {
                let (known, fresh) = (self.known_traits(origin), self.traits(position));
                let differs = |known: Traits| {
                    known.contradict(&fresh) || ids_tell && differ(known.email_id, fresh.email_id)
                };
                may(position, origin) && known.is_some_and(|known| !differs(known))
            });
            if agrees {
                claim(pairing, origins, &mut claimed);
            }
        }
    }

    /// Whether EMAILIDs are still given out by who gave out those that are known: one of them is there. Then another one is another message;
    /// a server that has taken over the mail gives new ones to all.
    fn email_ids_tell(&self) -> bool {
        let Some(ids) = &self.fresh.email_ids else {
            return false;
        };
        let fresh: HashSet<u64> = ids.iter().copied().filter(|id| *id != 0).collect();
        let mut found = false;
        self.each_known(|_, traits| {
            found |= traits.email_id.is_some_and(|id| fresh.contains(&id));
        });
        found
    }

    /// The messages whose headers would tell them from others, now or after the next change of UIDs: new ones that have date and size in
    /// common with another, and these others; and before a message is taken for one whose header is known, that it has this header.
    /// With X-GM-MSGID none is needed.
    pub(super) fn wanted_headers(&self, origins: &[Origin], regenerated: bool) -> Vec<Uid> {
        if self.fresh.gm_msgids.is_some() {
            return Vec::new();
        }
        let is_new = |origin: &Origin| matches!(origin, Origin::New | Origin::Linked(_));
        let mut others: HashMap<(i64, u32), u32> = HashMap::new();
        for (position, _) in origins.iter().enumerate().filter(|(_, o)| is_new(o)) {
            others.insert(self.traits(position).pair(), 0);
        }
        if others.is_empty() && !regenerated {
            return Vec::new();
        }
        for position in 0..origins.len() {
            if let Some(count) = others.get_mut(&self.traits(position).pair()) {
                *count += 1;
            }
        }
        let claimed = self.claimed(origins);
        self.each_known(|origin, traits| {
            if !claimed.has(origin)
                && let Some(count) = others.get_mut(&traits.pair())
            {
                *count += 1;
            }
        });
        let collides: HashSet<(i64, u32)> = others
            .into_iter()
            .filter(|(_, count)| *count > 1)
            .map(|(pair, _)| pair)
            .collect();
        let wanted = |(position, origin): (usize, &Origin)| {
            let collides = collides.contains(&self.traits(position).pair());
            let hash = self.known_traits(*origin).and_then(|known| known.hash);
            let wanted = match hash {
                None => collides,
                Some(_) => regenerated,
            };
            let message = self.fresh.messages.get(position)?;
            wanted.then_some(message.uid)
        };
        origins.iter().enumerate().filter_map(wanted).collect()
    }

    /// Calls with every known message, present or gone.
    fn each_known(&self, mut call: impl FnMut(Origin, Traits)) {
        let present = (0..self.known.entries.len()).map(Origin::Present);
        let gone = self.kept().map(|(at, _)| Origin::Gone(at));
        for origin in present.chain(gone) {
            if let Some(traits) = self.known_traits(origin) {
                call(origin, traits);
            }
        }
    }

    /// What is known of a message that was here before.
    pub(super) fn known_traits(&self, origin: Origin) -> Option<Traits> {
        match origin {
            Origin::Present(at) => {
                let message = self.known.index.messages.get(at)?;
                let entry = self.known.entries.get(at)?;
                Some(Traits {
                    date: message.internal_date,
                    size: message.size,
                    gm_msgid: self.known.gm_msgid(at),
                    email_id: self.known.email_id(at),
                    hash: self.known.header_hashes.get(&entry.seq).copied(),
                })
            }
            Origin::Gone(at) => self.known.gone.get(at).map(Traits::of_gone),
            Origin::Linked(_) | Origin::New => None,
        }
    }

    /// What is known of a message of the new index.
    pub(super) fn traits(&self, position: usize) -> Traits {
        let message = self.fresh.messages.get(position);
        let hash = self.at.headers.zip(message);
        Traits {
            date: message.map_or(0, |message| message.internal_date),
            size: message.map_or(0, |message| message.size),
            gm_msgid: self.msgid(position),
            email_id: self.email_id(position),
            hash: hash.and_then(|(headers, message)| headers.get(&message.uid).copied()),
        }
    }
}

/// Takes the two for one message, unless either is taken for another already.
fn claim(pairing: &Pairing, origins: &mut [Origin], claimed: &mut Claimed) {
    if let Some((position, origin)) = pairing.only()
        && !claimed.has(origin)
        && let Some(slot) = origins.get_mut(position).filter(|o| **o == Origin::New)
    {
        *slot = origin;
        claimed.add(origin);
    }
}
