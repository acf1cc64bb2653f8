//! One seed: a mailbox, its clients, and what happens to them, one thing after the other. What the bridge does in between is its own
//! affair; what it shows is compared with the promises.

use std::collections::HashMap;
use std::sync::Arc;

use super::dice::Dice;
use super::fleet::Fleet;
use super::promises::{PLAIN, Token};
use super::talk::{Reply, Talk};
use super::world::{Inner, Trouble, World};
use crate::support::imap_peer::PASSWORD;

/// A violation, in words.
pub type Outcome<T = ()> = Result<T, String>;

/// A client's names behind the mailbox's.
pub const CLIENTS: [&str; 4] = [PLAIN, "desk1", "desk2", "phone"];

/// No more messages than this are in a folder before some have gone.
const MOST_MAIL: usize = 8;

pub struct Story<'a> {
    pub seed: u64,
    pub dice: Dice,
    pub world: Arc<World>,
    pub fleet: &'a Fleet,
    pub user: String,
    pub readers: Vec<Reader>,
    /// Which message each unique-id has named, ever.
    pub names: HashMap<String, Token>,
    /// The unique-ids of messages that are like no other.
    pub uidls: HashMap<Token, String>,
    /// What UIDs meant when a message was looked at last under this unique-id.
    pub looked: HashMap<String, u32>,
}

/// One client.
#[derive(Default)]
pub struct Reader {
    pub talk: Option<Talk>,
    /// A session of it ended without QUIT, or is being ended, so that its maildrop may be locked for another moment.
    pub lingers: bool,
}

impl<'a> Story<'a> {
    pub fn new(seed: u64, fleet: &'a Fleet) -> Self {
        let (domain, rules) = fleet.rules(seed);
        let world = Arc::new(World::new(rules, &CLIENTS));
        let user = format!("s{seed}@{domain}");
        fleet.upstream.open(&user, &world);
        let mut dice = Dice::new(seed);
        // Some mailboxes have one reader, some have four.
        let readers = 1 + dice.below(CLIENTS.len());
        let mut this = Self {
            seed,
            dice,
            world,
            fleet,
            user,
            readers: (0..readers).map(|_| Reader::default()).collect(),
            names: HashMap::new(),
            uidls: HashMap::new(),
            looked: HashMap::new(),
        };
        this.note(format!("{} with {readers} clients, {rules:?}", this.user));
        let mail = this.dice.below(4);
        for _ in 0..mail {
            this.deliver();
        }
        this
    }

    pub fn note(&self, line: impl Into<String>) {
        self.world.lock().note(line);
    }

    /// Anything that can happen.
    pub fn step(&mut self) -> Outcome {
        let hidden = self.world.lock().folder.hidden;
        let client = self.dice.below(self.readers.len());
        match self.dice.below(100) {
            0..24 => self.visit(client, true)?,
            24..60 => self.act(client)?,
            60..72 if !hidden => self.deliver(),
            72..78 if !hidden => self.lose(),
            78..80 => self.others(|inner, dice| {
                inner.folder.flag(dice);
                "somebody marks one as deleted, or not".to_owned()
            }),
            80..84 if !hidden => self.renumber(),
            84..88 if !hidden => self.restore(),
            88..91 => self.hide(),
            91..93 if !hidden => self.lag(),
            93..100 => self.plan_trouble(),
            _ => self.show_again(),
        }
        self.violated()
    }

    /// What the server's side has seen.
    pub fn violated(&self) -> Outcome {
        let violations = std::mem::take(&mut self.world.lock().violations);
        match violations.is_empty() {
            true => Ok(()),
            false => Err(violations.join("\n")),
        }
    }

    fn others(&mut self, what: impl FnOnce(&mut Inner, &mut Dice) -> String) {
        let mut inner = self.world.lock();
        let told = what(&mut inner, &mut self.dice);
        inner.note(told);
    }

    fn deliver(&mut self) {
        let seed = self.seed;
        let (alike, same_header) = (self.dice.chance(1, 4), self.dice.chance(1, 2));
        self.others(|inner, _| {
            if inner.folder.tokens().len() >= MOST_MAIL {
                return "no more mail".to_owned();
            }
            let tokens = inner.folder.deliver(seed, alike, same_header);
            format!("mail {tokens:?} arrives, same header: {same_header}")
        });
    }

    /// Somebody else takes messages away. Not between a restore and the first list behind it: that as many are gone as are there again could
    /// not be seen then.
    fn lose(&mut self) {
        self.others(|inner, dice| {
            let known = inner.last_list.map(|(generation, _)| generation);
            if inner.folder.generation > 0 && known != Some(inner.folder.generation) {
                return "nothing is lost".to_owned();
            }
            let lost = inner.folder.lose(dice);
            format!("somebody takes {lost:?} away")
        });
    }

    fn renumber(&mut self) {
        self.others(|inner, dice| {
            inner.folder.renumber(dice);
            inner.blur();
            format!("the folder is made anew: {}", inner.told())
        });
    }

    fn restore(&mut self) {
        let seed = self.seed;
        self.others(|inner, dice| {
            if !inner.folder.restore(dice) {
                return "nothing to restore".to_owned();
            }
            for _ in 0..dice.below(3) {
                inner.folder.deliver(seed, false, false);
            }
            inner.blur();
            format!("the folder is restored: {}", inner.told())
        });
    }

    /// The folder is empty for a while, or shown again. Only where the bridge knows what its UIDs mean: if it saw their new meaning first
    /// when nothing was there, it could not tell what comes later from mail that is moved back.
    fn hide(&mut self) {
        self.others(|inner, _| {
            let known = inner.last_list.map(|(generation, _)| generation);
            if inner.folder.hidden || known == Some(inner.folder.generation) {
                inner.folder.hidden = !inner.folder.hidden;
                inner.last_list = known.map(|generation| (generation, false));
            }
            format!("the folder is hidden: {}", inner.folder.hidden)
        });
    }

    /// The next folder that is opened is told to be empty.
    fn lag(&mut self) {
        self.others(|inner, _| {
            inner.lags = true;
            "the server lags".to_owned()
        });
    }

    fn plan_trouble(&mut self) {
        self.others(|inner, dice| {
            let kinds = [Trouble::No, Trouble::Bye, Trouble::Half, Trouble::Unsaid];
            let kind = dice.pick(&kinds).unwrap_or(Trouble::No);
            inner.trouble = Some((dice.below(8), kind));
            format!("trouble is coming: {:?}", inner.trouble)
        });
    }

    fn show_again(&mut self) {
        self.others(|inner, _| {
            inner.folder.hidden = false;
            "the folder is shown".to_owned()
        });
    }

    /// A whole session of one client.
    fn visit(&mut self, client: usize, deletes: bool) -> Outcome {
        if self.readers[client].talk.is_none() {
            self.open(client)?;
        }
        self.list(client)?;
        let count = self.count(client);
        for at in 0..count {
            if self.dice.chance(2, 3) {
                self.retr(client, at)?;
            }
            if deletes && self.dice.chance(1, 2) {
                self.dele(client, at)?;
            }
        }
        match self.dice.below(6) {
            0 => self.hang_up(client, false),
            1 => self.hang_up(client, true),
            _ => self.quit(client),
        }
    }

    /// One command of one client.
    fn act(&mut self, client: usize) -> Outcome {
        if self.readers[client].talk.is_none() {
            return self.open(client);
        }
        let count = self.count(client);
        let at = self.dice.below(count.max(1));
        match self.dice.below(20) {
            0..4 => self.list(client),
            4..9 if at < count => self.retr(client, at),
            9..13 if at < count => self.dele(client, at),
            13 => self.rset(client),
            14 => self.knock(client),
            15 => self.hang_up(client, false),
            16 => self.hang_up(client, true),
            17..20 => self.quit(client),
            _ => self.list(client),
        }
    }

    fn count(&self, client: usize) -> usize {
        let talk = self.readers[client].talk.as_ref();
        talk.and_then(|talk| talk.list.as_ref()).map_or(0, Vec::len)
    }

    pub fn login_name(&self, client: usize) -> String {
        match CLIENTS[client] {
            PLAIN => self.user.clone(),
            name => format!("{}/{name}", self.user),
        }
    }

    pub fn password(&self) -> &'static str {
        PASSWORD
    }

    /// Sends a command, counts it and notes it with its answer.
    pub fn say(&mut self, client: usize, line: &str) -> Outcome<Reply<String>> {
        self.world.lock().now += 1;
        let Some(talk) = &mut self.readers[client].talk else {
            return Ok(Reply::Gone);
        };
        let reply = talk.command(line);
        self.note(format!("  {:?} {line}: {reply:?}", CLIENTS[client]));
        reply
    }

    /// Whether an answer in the session may be a refusal, or the session be cut: something went wrong since it began.
    pub fn is_excused(&self, client: usize) -> bool {
        let inner = self.world.lock();
        let talk = self.readers[client].talk.as_ref();
        talk.is_none_or(|talk| {
            inner.fired > talk.fired || inner.folder.generation > talk.generation
        })
    }

    /// The session is over without QUIT.
    pub fn drop_talk(&mut self, client: usize) {
        let reader = &mut self.readers[client];
        reader.talk = None;
        reader.lingers = true;
    }
}

impl Inner {
    /// What has a date and a size in common with another message may be taken for a new one from now on.
    pub fn blur(&mut self) {
        for token in 0..self.folder.mails.len() {
            if !self.folder.is_unlike_all(token) {
                self.promises.blur(token);
            }
        }
    }

    /// The folder, for a person.
    fn told(&self) -> String {
        let rows = self.folder.shown().into_iter();
        let rows: Vec<_> = rows.map(|(uid, slot)| (uid, slot.token)).collect();
        format!(
            "UIDVALIDITY {} UIDNEXT {} {rows:?}",
            self.folder.uid_validity, self.folder.uid_next
        )
    }
}
