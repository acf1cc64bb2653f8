//! Long stories of a folder whose messages have an identity that only the test knows.

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;

use super::store::Store;
use super::*;

/// A message as it really is.
#[derive(Clone, Copy, Debug)]
struct Mail {
    date: i64,
    size: u32,
    header: i64,
}

/// What happens between two lists.
#[derive(Clone, Debug)]
enum Event {
    /// So many arrive; of one date and size, if they are alike.
    Arrive(u8, bool),
    /// Those whose bit is set go.
    Go(u16),
    /// One list is empty.
    Blink,
    /// Another UIDVALIDITY, perhaps an old one; those whose bit is set are not taken along, the others come in an order by this key.
    Renumber(bool, u16, u64),
    /// The folder is as at an earlier list, and so many have arrived since.
    Restore(u8, u8),
    /// Unique-ids are made by another format.
    Reformat(usize),
    /// So many days pass.
    Wait(u8),
    /// The upstream gives X-GM-MSGID from now on.
    Gmail,
}

fn event(days: u8, gmail: bool) -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (1..4_u8, any::<bool>()).prop_map(|(count, alike)| Event::Arrive(count, alike)),
        4 => any::<u16>().prop_map(Event::Go),
        2 => Just(Event::Blink),
        3 => (any::<bool>(), any::<u16>(), any::<u64>())
            .prop_map(|(old, lost, key)| Event::Renumber(old, lost & (lost >> 8), key)),
        3 => (1..5_u8, 0..3_u8).prop_map(|(back, arrived)| Event::Restore(back, arrived)),
        1 => (0..if gmail { 5_usize } else { 3 }).prop_map(Event::Reformat),
        1 => (0..=days).prop_map(Event::Wait),
        u32::from(gmail) => Just(Event::Gmail),
    ]
}

/// The upstream.
#[derive(Clone, Debug, Default)]
struct Upstream {
    uid_validity: u32,
    uid_next: u32,
    /// Mails by UID.
    folder: BTreeMap<u32, usize>,
}

struct World {
    mails: Vec<Mail>,
    upstream: Upstream,
    past: Vec<Upstream>,
    /// The highest UIDVALIDITY so far.
    highest: u32,
    formats: Vec<Format>,
    gmail: bool,
    /// Whether EMAILID is told, of all messages but one in so many; 0: of none.
    email_ids: u64,
    /// One in so many headers cannot be had; 0: all can.
    unread: u64,
    story: Story,
    store: Store,
    /// Which mail each unique-id and each number named first.
    names: HashMap<String, usize>,
    numbers: HashMap<Seq, usize>,
    /// The UID that each mail had last, and its unique-id.
    last: HashMap<usize, (u32, String)>,
}

impl World {
    fn new(unread: u64) -> Self {
        let formats = [
            "default",
            "dovecot",
            "x{uid}",
            "gmail",
            "{gm_msgid:x}/{uid}",
        ];
        Self {
            mails: Vec::new(),
            upstream: Upstream {
                uid_validity: 100,
                uid_next: 1,
                folder: BTreeMap::new(),
            },
            past: Vec::new(),
            highest: 100,
            formats: formats.map(|f| Format::parse(f).unwrap()).to_vec(),
            gmail: false,
            email_ids: 0,
            unread,
            story: Story::new(),
            store: Store::default(),
            names: HashMap::new(),
            numbers: HashMap::new(),
            last: HashMap::new(),
        }
    }

    fn arrive(&mut self, count: u8, alike: bool) {
        for n in 0..count {
            let number = self.mails.len();
            // Dates that no earlier message has, but in a batch.
            let date = self.story.now * 10 + if alike { 0 } else { i64::from(n) };
            self.mails.push(Mail {
                date,
                size: 100,
                header: i64::try_from(number).unwrap() + 5000,
            });
            self.upstream.folder.insert(self.upstream.uid_next, number);
            self.upstream.uid_next += 1;
        }
    }

    fn happen(&mut self, event: &Event) {
        match event {
            Event::Arrive(count, alike) => self.arrive(*count, *alike),
            Event::Go(which) => {
                let mut at = 0;
                self.upstream.folder.retain(|_, _| {
                    at += 1;
                    which >> (at % 16) & 1 == 0
                });
            }
            Event::Blink => {
                let folder = std::mem::take(&mut self.upstream.folder);
                self.list();
                self.upstream.folder = folder;
            }
            Event::Renumber(old, lost, key) => {
                let mut order: Vec<usize> = self.upstream.folder.values().copied().collect();
                let mut at = 0;
                order.retain(|_| {
                    at += 1;
                    lost >> (at % 16) & 1 == 0
                });
                order.sort_by_key(|mail| (*mail as u64 + 1).wrapping_mul(key | 1) >> 7);
                let mut uid_validity = self.highest + 1;
                if *old && uid_validity > 101 {
                    // Two that are alike and exchange their UIDs cannot be seen to have done it.
                    order.retain(|mail| self.is_unlike_all(*mail));
                    let others = 100..=self.highest;
                    let mut others = others.filter(|other| *other != self.upstream.uid_validity);
                    uid_validity = others.next().unwrap();
                }
                self.highest = self.highest.max(uid_validity);
                self.upstream.uid_validity = uid_validity;
                self.upstream.folder = (1..).zip(order).collect();
                self.upstream.uid_next = u32::try_from(self.upstream.folder.len()).unwrap() + 1;
            }
            Event::Restore(back, arrived) => {
                let then = self.past.len().saturating_sub(usize::from(*back));
                if let Some(then) = self.past.get(then) {
                    self.upstream = then.clone();
                }
                self.arrive(*arrived, false);
            }
            Event::Reformat(format) => {
                let format = self.formats[*format].clone();
                if self.gmail || !format.needs_gm_msgid() {
                    self.story.format = format;
                }
            }
            Event::Wait(days) => self.story.now += i64::from(*days) * 24 * 60 * 60,
            Event::Gmail => self.gmail = true,
        }
        self.list();
        self.past.push(self.upstream.clone());
    }

    fn list(&mut self) {
        let Upstream {
            uid_validity,
            uid_next,
            folder,
        } = &self.upstream;
        let row = |(uid, mail): (&u32, &usize)| {
            let mail = self.mails[*mail];
            (*uid, mail.date, mail.size)
        };
        let rows: Vec<Row> = folder.iter().map(row).collect();
        let mut fresh = index(*uid_validity, *uid_next, &rows);
        if self.gmail {
            fresh.gm_msgids = Some(folder.values().map(|mail| *mail as u64 + 0xA000).collect());
        }
        if self.email_ids > 0 {
            let id = |mail: &usize| match (*mail as u64).is_multiple_of(self.email_ids) {
                true => 0,
                false => 0xE000 + *mail as u64,
            };
            fresh.email_ids = Some(folder.values().map(id).collect());
        }
        let header = |(number, mail): (&u32, &usize)| {
            let unread = self.unread > 0 && (*mail as u64).is_multiple_of(self.unread);
            (!unread).then(|| (uid(*number), self.mails[*mail].header))
        };
        self.story.headers = folder.iter().filter_map(header).collect();
        let before: HashSet<usize> = self.present_before();
        let delta = self.story.list(&fresh);
        if let Some(delta) = &delta {
            self.store.apply(delta, self.story.now);
            let register = self.story.register();
            assert_eq!(self.store.register(register), *register);
        }
        assert_eq!(self.story.register().index.messages, fresh.messages);
        self.check(&before, delta.is_some_and(|delta| delta.regenerated));
        assert_eq!(self.story.list(&fresh), None, "nothing happened");
    }

    fn is_unlike_all(&self, mail: usize) -> bool {
        let date = self.mails[mail].date;
        self.mails.iter().filter(|other| other.date == date).count() == 1
    }

    /// The mails that were there at the last list.
    fn present_before(&self) -> HashSet<usize> {
        let Some(register) = &self.story.register else {
            return HashSet::new();
        };
        let entries = register.entries.iter();
        entries.map(|entry| self.numbers[&entry.seq]).collect()
    }

    fn check(&mut self, before: &HashSet<usize>, regenerated: bool) {
        let mut seen = HashSet::new();
        for ((number, seq, uidl), mail) in self
            .story
            .shown()
            .into_iter()
            .zip(self.upstream.folder.values())
        {
            let what = format!("UID {number}, mail {mail}, {uidl}");
            assert!(
                uidl.len() <= 70 && seen.insert(uidl.clone()),
                "{what} twice"
            );
            let named = *self.names.entry(uidl.clone()).or_insert(*mail);
            assert_eq!(named, *mail, "{what} was another's");
            let numbers = self.numbers.values().filter(|other| *other == mail).count();
            let numbered = *self.numbers.entry(Seq::new(seq).unwrap()).or_insert(*mail);
            assert_eq!(numbered, *mail, "{what} has another's number");
            // Without its header, what is like another one, or like itself before it was moved away and back, may be called anew.
            let unique = self.unread == 0 || numbers == 1 && self.is_unlike_all(*mail);
            let last = self.last.insert(*mail, (number, uidl.clone()));
            if let Some((uid, last)) = last.filter(|_| unique && before.contains(mail)) {
                // Another UID without a word is that of a message that was moved away and back.
                let stayed = regenerated || uid == number;
                assert!(!stayed || last == uidl, "{what} was called {last}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_unique_id_names_one_message_for_ever_and_keeps_naming_it(
        events in proptest::collection::vec(event(60, false), 1..40),
    ) {
        let mut world = World::new(0);
        events.iter().for_each(|event| world.happen(event));
    }

    #[test]
    fn so_it_is_with_gmails_numbers(
        events in proptest::collection::vec(event(60, true), 1..40),
    ) {
        let mut world = World::new(0);
        events.iter().for_each(|event| world.happen(event));
    }

    #[test]
    fn and_where_some_headers_cannot_be_had(
        events in proptest::collection::vec(event(0, false), 1..40), unread in 1_u64..4,
    ) {
        let mut world = World::new(unread);
        events.iter().for_each(|event| world.happen(event));
    }

    #[test]
    fn and_where_emailids_are_told_of_some(
        events in proptest::collection::vec(event(0, false), 1..40), email_ids in 2_u64..5, unread in 0_u64..4,
    ) {
        let mut world = World { email_ids, ..World::new(unread) };
        events.iter().for_each(|event| world.happen(event));
    }
}
