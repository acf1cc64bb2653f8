//! The unique-ids of messages that have none yet.
//!
//! Must not know: where messages come from.

use std::collections::HashSet;

use super::{Folder, Origin};
use crate::maildrop::seq::Seq;
use crate::maildrop::{Format, Message, Uidl};

/// See the module.
pub(super) struct Names<'a> {
    folder: &'a Folder<'a>,
    /// From this UID on, none was ever given to a message; 0 where the text does not depend on that.
    floor: u32,
    /// Texts that a known message has.
    taken: HashSet<Box<str>>,
    /// X-GM-MSGIDs of messages that have a unique-id, where that shows them.
    msgids: HashSet<u64>,
    suits: bool,
}

impl<'a> Names<'a> {
    /// Looks at all unique-ids that are known.
    pub(super) fn new(folder: &'a Folder<'a>, origins: &[Origin]) -> Self {
        let format = folder.at.format;
        let mut names = Self {
            folder,
            floor: floor(folder),
            taken: HashSet::new(),
            msgids: HashSet::new(),
            suits: folder.fresh.suits(format),
        };
        let is_new = |origin: &Origin| matches!(origin, Origin::New | Origin::Linked(_));
        if !origins.iter().any(is_new) || (folder.first && !format.needs_gm_msgid()) {
            return names;
        }
        if format.needs_gm_msgid() {
            let known = 0..folder.known.entries.len();
            names.msgids = known.filter_map(|at| folder.known.gm_msgid(at)).collect();
        }
        names.taken = names.look_for_taken(origins, is_new);
        names
    }

    /// Which of the texts that new messages would get are others' already.
    fn look_for_taken(
        &self,
        origins: &[Origin],
        is_new: impl Fn(&Origin) -> bool,
    ) -> HashSet<Box<str>> {
        let folder = self.folder;
        let mut wanted: HashSet<Box<str>> = HashSet::new();
        let fresh = folder.fresh.messages.iter().enumerate().zip(origins);
        for ((position, message), _) in fresh.filter(|(_, origin)| is_new(origin)) {
            if let Some((_, text)) = folder.at.linked.get(&message.uid) {
                wanted.insert(text.clone());
            }
            wanted.insert(folder.rendered(position).as_str().into());
        }
        let known = folder.known;
        let mut taken = HashSet::new();
        let mut look = |text: &str| {
            if let Some(text) = wanted.take(text) {
                taken.insert(text);
            }
        };
        known.uidls.values().for_each(|text| look(text));
        known.gone.iter().for_each(|gone| look(&gone.uidl));
        if !folder.renders_as_before() {
            for position in 0..known.entries.len() {
                if let Some(uidl) = known.uidl(position) {
                    look(uidl.as_str());
                }
            }
        }
        taken
    }

    /// The unique-id of a new message; `None` where it is the one that the folder's format gives.
    pub(super) fn name(
        &mut self,
        position: usize,
        message: &Message,
        seq: Seq,
    ) -> Option<Box<str>> {
        let rendered = self.folder.rendered(position);
        let msgid = self.folder.msgid(position);
        let shows_msgid = self.folder.at.format.needs_gm_msgid();
        let again = shows_msgid && msgid.is_some_and(|id| !self.msgids.insert(id));
        let fits = self.suits
            && message.uid.get() >= self.floor
            && !again
            && !self.taken.contains(rendered.as_str());
        if fits && !self.folder.at.linked.is_empty() {
            self.taken.insert(rendered.as_str().into());
        }
        (!fits).then(|| self.numbered(&rendered, message, seq))
    }

    /// The unique-id of a message that has one in another folder.
    pub(super) fn linked(
        &mut self,
        position: usize,
        message: &Message,
        seq: Seq,
    ) -> Option<Box<str>> {
        let Some((_, text)) = self.folder.at.linked.get(&message.uid) else {
            return self.name(position, message, seq);
        };
        if let Some(id) = self.folder.msgid(position) {
            self.msgids.insert(id);
        }
        let rendered = self.folder.rendered(position);
        if Uidl::new(text).is_none() || !self.taken.insert(text.clone()) {
            return Some(self.numbered(&rendered, message, seq));
        }
        (self.suits && **text != *rendered.as_str()).then(|| text.clone())
    }

    /// A text that nothing else can have: numbers are given once.
    fn numbered(&self, rendered: &Uidl, message: &Message, seq: Seq) -> Box<str> {
        let start = if self.suits {
            *rendered
        } else {
            let uid_validity = self.folder.fresh.uid_validity;
            let rendered = Format::default().render(uid_validity, message.uid, 0);
            rendered.with_suffix(&self.folder.known.suffix)
        };
        start.with_suffix(&format!("-s{seq}")).as_str().into()
    }
}

fn floor(folder: &Folder<'_>) -> u32 {
    let format = folder.at.format;
    if format.needs_gm_msgid() {
        return 0;
    }
    let counts = |validity| !format.shows_uid_validity() || validity == folder.fresh.uid_validity;
    let floors = folder.known.floors.iter();
    let floors = floors.filter(|(validity, _)| counts(*validity));
    floors.map(|(_, floor)| *floor).max().unwrap_or(0)
}

impl Folder<'_> {
    /// What the format gives for a message of the new index.
    pub(super) fn rendered(&self, position: usize) -> Uidl {
        let Some(message) = self.fresh.messages.get(position) else {
            return Uidl::empty();
        };
        let gm_msgid = self.msgid(position).unwrap_or_default();
        let rendered = self
            .at
            .format
            .render(self.fresh.uid_validity, message.uid, gm_msgid);
        rendered.with_suffix(&self.known.suffix)
    }

    /// Whether a message whose UID is as before is rendered as before.
    pub(super) fn renders_as_before(&self) -> bool {
        let format = self.at.format;
        self.known.format == *format
            && self.known.index.uid_validity == self.fresh.uid_validity
            && self.known.index.suits(format)
            && self.fresh.suits(format)
    }
}
