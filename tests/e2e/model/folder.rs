//! The folder of one mailbox as its server has it, and everything that other people and a server's bad days do to it.

use std::collections::{BTreeMap, HashMap};

use super::dice::Dice;
use super::promises::Token;

/// A message as it was delivered.
pub struct Mail {
    pub raw: Vec<u8>,
    /// As in INTERNALDATE, without quotes.
    pub date: String,
    /// Those that were delivered with it and have its date and size, itself among them; empty if there is none.
    pub alike: Vec<Token>,
    /// They have one header, too.
    same_header: bool,
    /// The bridge was told of it.
    pub told: bool,
}

#[derive(Clone, Copy)]
pub struct Slot {
    pub token: Token,
    pub deleted: bool,
}

type Content = BTreeMap<u32, Slot>;

#[derive(Clone)]
struct Snapshot {
    uid_validity: u32,
    uid_next: u32,
    here: Content,
}

pub struct Folder {
    pub uid_validity: u32,
    pub uid_next: u32,
    here: Content,
    /// Raised when UIDs stop meaning what they meant: connections that have it open are ended then, as servers do.
    pub generation: u32,
    /// The server says for a while that nothing is there.
    pub hidden: bool,
    pub mails: Vec<Mail>,
    deliveries: u32,
    highest_validity: u32,
    past: Vec<Snapshot>,
    /// What the folder held when it told these figures.
    figures: HashMap<(u32, u32, usize), Vec<(u32, Token)>>,
}

impl Folder {
    pub fn new() -> Self {
        Self {
            uid_validity: 1000,
            uid_next: 1,
            here: Content::new(),
            generation: 0,
            hidden: false,
            mails: Vec::new(),
            deliveries: 0,
            highest_validity: 1000,
            past: Vec::new(),
            figures: HashMap::new(),
        }
    }

    /// What the server shows: UID and message, ascending.
    pub fn shown(&self) -> Vec<(u32, Slot)> {
        match self.hidden {
            true => Vec::new(),
            false => self.here.iter().map(|(uid, slot)| (*uid, *slot)).collect(),
        }
    }

    pub fn tokens(&self) -> Vec<Token> {
        self.shown().iter().map(|(_, slot)| slot.token).collect()
    }

    pub fn slot(&self, uid: u32) -> Option<Slot> {
        self.here.get(&uid).copied().filter(|_| !self.hidden)
    }

    pub fn set_deleted(&mut self, uid: u32, on: bool) {
        if let Some(slot) = self.here.get_mut(&uid) {
            slot.deleted = on;
        }
    }

    pub fn remove(&mut self, uid: u32) {
        self.here.remove(&uid);
        self.keep_apart();
    }

    pub fn is_unlike_all(&self, token: Token) -> bool {
        self.mails[token].alike.is_empty()
    }

    /// New mail. `alike`: two messages with one date and size, told apart by their headers, or (`same_header`) by their texts only.
    pub fn deliver(&mut self, story: u64, alike: bool, same_header: bool) -> Vec<Token> {
        self.deliveries += 1;
        let minutes = self.deliveries % 1440;
        let date = format!(
            "01-Jan-2024 {:02}:{:02}:00 +0000",
            minutes / 60,
            minutes % 60
        );
        let count = if alike { 2 } else { 1 };
        let first = self.mails.len();
        let tokens: Vec<Token> = (first..first + count).collect();
        for token in &tokens {
            let subject = if same_header { first } else { *token };
            let padding = ".".repeat(1 + self.deliveries as usize % 60);
            let raw = format!(
                "From: <sender@example.com>\r\nSubject: number {subject:06}\r\n\r\nstory {story:08} token {token:06}\r\n{padding}\r\n"
            );
            self.mails.push(Mail {
                raw: raw.into_bytes(),
                date: date.clone(),
                alike: if alike { tokens.clone() } else { Vec::new() },
                same_header: alike && same_header,
                told: false,
            });
            let slot = Slot {
                token: *token,
                deleted: false,
            };
            self.here.insert(self.uid_next, slot);
            self.uid_next += 1;
        }
        self.remember();
        tokens
    }

    /// Somebody else takes some away; gives what went.
    pub fn lose(&mut self, dice: &mut Dice) -> Vec<Token> {
        let may = self.may_part();
        let lost: Vec<u32> = dice.some_of(&may);
        let tokens = lost.iter().filter_map(|uid| self.here.remove(uid));
        let tokens = tokens.map(|slot| slot.token).collect();
        self.remember();
        tokens
    }

    /// Somebody else marks one as deleted, or takes that back.
    pub fn flag(&mut self, dice: &mut Dice) {
        let uids: Vec<u32> = self.here.keys().copied().collect();
        if let Some(uid) = dice.pick(&uids) {
            let on = dice.chance(2, 3);
            self.set_deleted(uid, on);
        }
    }

    /// The folder is made anew: another UIDVALIDITY, other UIDs in any order, and perhaps not all of it.
    pub fn renumber(&mut self, dice: &mut Dice) {
        self.highest_validity += 1;
        self.uid_validity = self.highest_validity;
        if dice.chance(1, 3) {
            let lost = self.may_part();
            for uid in dice.some_of(&lost) {
                self.here.remove(&uid);
            }
        }
        let mut slots: Vec<Slot> = self.here.values().copied().collect();
        if dice.chance(2, 3) {
            dice.shuffle(&mut slots);
        }
        let first = 1 + dice.below(3) as u32;
        self.here = (first..).zip(slots).collect();
        self.uid_next = first + self.here.len() as u32 + dice.below(2) as u32;
        self.generation += 1;
        self.remember();
    }

    /// The folder is as it was at an earlier time; its UIDs will be given a second time. False where nothing was done.
    pub fn restore(&mut self, dice: &mut Dice) -> bool {
        // Of messages that are alike the bridge has to be told before one of them comes or goes alone: else it takes it for the other one.
        let all_told = self
            .mails
            .iter()
            .all(|mail| mail.told || mail.alike.is_empty());
        // The same where the bridge has disposed of one of two with one header.
        let tokens = self.tokens();
        let is_parted = tokens.iter().any(|token| {
            let mail = &self.mails[*token];
            mail.same_header && mail.alike.iter().any(|other| !tokens.contains(other))
        });
        if self.past.is_empty() || !all_told || is_parted {
            return false;
        }
        let back = 1 + dice.below(self.past.len().min(4));
        let then = self.past[self.past.len() - back].clone();
        self.uid_validity = then.uid_validity;
        self.uid_next = then.uid_next;
        self.here = then.here;
        self.generation += 1;
        self.remember();
        true
    }

    /// UIDs of messages that may come or go one by one, see [`Folder::restore`]. Two with one header stay together: whether one of them was
    /// gone and is there again, or it is the other one, only their texts say.
    fn may_part(&self) -> Vec<u32> {
        let told = |slot: &Slot| {
            let mail = &self.mails[slot.token];
            let mut alike = mail.alike.iter();
            !mail.same_header && alike.all(|token| self.mails[*token].told)
        };
        let here = self.here.iter().filter(|(_, slot)| told(slot));
        here.map(|(uid, _)| *uid).collect()
    }

    fn remember(&mut self) {
        self.keep_apart();
        self.past.push(Snapshot {
            uid_validity: self.uid_validity,
            uid_next: self.uid_next,
            here: self.here.clone(),
        });
    }

    /// A folder that tells the UIDVALIDITY, UIDNEXT and EXISTS that it told before and holds something else cannot be told from one in
    /// which nothing happened (without HIGHESTMODSEQ): one UID is left out then.
    fn keep_apart(&mut self) {
        let content: Vec<_> = self.here.iter().map(|(uid, s)| (*uid, s.token)).collect();
        loop {
            let figures = (self.uid_validity, self.uid_next, content.len());
            let then = self
                .figures
                .entry(figures)
                .or_insert_with(|| content.clone());
            if *then == content {
                return;
            }
            self.uid_next += 1;
        }
    }
}
