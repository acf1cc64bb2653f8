//! The promises as a small model: what each client of one mailbox has had and deleted, what it must therefore be shown, and which
//! messages may, or must, be taken out of the folder. It knows messages by what they really are and nothing of UIDs.
//!
//! What a client did is `Maybe` so where the bridge was killed, or the client went away, before the answer came, and where a message cannot
//! be told from another one over a change of UIDs: then either is right, and the next list says which it was.

use std::collections::{HashMap, HashSet};

/// A message, as it really is: its number among all that were ever delivered to the mailbox.
pub type Token = usize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Known {
    No,
    Maybe,
    Yes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDelete {
    Hide,
    Dispose,
    Ignore,
    /// Not configured: disposes until the mailbox has a client with a name.
    Unset,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Never,
    AnyDeleted,
    AllDelivered,
    AllDeleted,
}

/// The rules of a mailbox, as far as the model uses them.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    pub on_delete: OnDelete,
    pub when: When,
    /// `undelivered = "dispose"`.
    pub dispose_undelivered: bool,
}

/// What a client did, by message; what is not there was not done.
#[derive(Clone, Debug, Default)]
pub struct Marks {
    deleted: HashMap<Token, Known>,
    disposing: HashMap<Token, Known>,
    delivered: HashMap<Token, Known>,
}

#[derive(Clone, Debug)]
pub struct Client {
    pub name: &'static str,
    /// Since which exchange it is known to the bridge.
    pub enrolled: Option<u32>,
    /// A log-in of it was under way when the bridge was killed.
    pub may_be_enrolled: bool,
    marks: Marks,
    /// As they were before the QUIT that is under way.
    before: Option<Marks>,
    /// Deleted by one QUIT of which nobody heard: all or none of them.
    unheard: Vec<Token>,
}

/// How a QUIT came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quit {
    Done,
    Refused,
    Unheard,
}

pub struct Promises {
    pub rules: Rules,
    pub clients: Vec<Client>,
}

/// The client that a plain log-in is.
pub const PLAIN: &str = "";

fn of(map: &HashMap<Token, Known>, token: Token) -> Known {
    map.get(&token).copied().unwrap_or(Known::No)
}

fn raise(map: &mut HashMap<Token, Known>, token: Token, to: Known) {
    let known = map.entry(token).or_insert(Known::No);
    *known = to.max(*known);
}

impl Marks {
    fn had(&self, token: Token) -> Known {
        of(&self.delivered, token).max(of(&self.deleted, token))
    }
}

impl Promises {
    pub fn new(rules: Rules, names: &[&'static str]) -> Self {
        let client = |name: &&'static str| Client {
            name,
            enrolled: None,
            may_be_enrolled: false,
            marks: Marks::default(),
            before: None,
            unheard: Vec::new(),
        };
        Self {
            rules,
            clients: names.iter().map(client).collect(),
        }
    }

    /// The client's log-in was answered.
    pub fn logged_in(&mut self, client: usize, now: u32) {
        self.clients[client].enrolled.get_or_insert(now);
    }

    /// QUIT leaves for the bridge: from now on its effects may show.
    pub fn quit_begins(&mut self, client: usize, deleted: &[Token], had: &[Token]) {
        let disposes = self.disposes();
        let ignores = self.rules.on_delete == OnDelete::Ignore;
        let this = &mut self.clients[client];
        this.before = Some(this.marks.clone());
        for token in deleted.iter().filter(|_| !ignores) {
            raise(&mut this.marks.deleted, *token, Known::Maybe);
            if disposes != Known::No {
                raise(&mut this.marks.disposing, *token, Known::Maybe);
            }
        }
        for token in had {
            raise(&mut this.marks.delivered, *token, Known::Maybe);
        }
    }

    pub fn quit_ends(&mut self, client: usize, deleted: &[Token], had: &[Token], how: Quit) {
        let disposes = self.disposes();
        let ignores = self.rules.on_delete == OnDelete::Ignore;
        let this = &mut self.clients[client];
        let before = this.before.take().unwrap_or_default();
        let deleted = deleted.iter().filter(|_| !ignores);
        match how {
            Quit::Refused => this.marks = before,
            Quit::Done => {
                for token in deleted {
                    raise(&mut this.marks.deleted, *token, Known::Yes);
                    raise(&mut this.marks.disposing, *token, disposes);
                }
                for token in had {
                    raise(&mut this.marks.delivered, *token, Known::Yes);
                }
            }
            Quit::Unheard => {
                let open = deleted.filter(|token| of(&before.deleted, **token) == Known::No);
                this.unheard = open.copied().collect();
            }
        }
    }

    /// The bridge may take this message for a new one from now on.
    pub fn blur(&mut self, token: Token) {
        for client in &mut self.clients {
            let Marks {
                deleted,
                disposing,
                delivered,
            } = &mut client.marks;
            for map in [deleted, disposing, delivered] {
                map.entry(token)
                    .and_modify(|known| *known = (*known).min(Known::Maybe));
            }
            client.unheard.retain(|open| *open != token);
        }
    }

    /// Compares a list with what the client must be shown of what is in the folder (`here`); `unnamed` entries of it are not known to be
    /// any message. What may be either way is as the list says from now on.
    pub fn listed(
        &mut self,
        client: usize,
        here: &[Token],
        listed: &HashSet<Token>,
        unnamed: usize,
    ) -> Result<(), String> {
        let name = self.clients[client].name;
        let disposing = match self.rules.on_delete {
            OnDelete::Dispose => Known::Yes,
            _ => Known::No,
        };
        let this = &mut self.clients[client];
        let mut missing = Vec::new();
        let mut unheard = (Vec::new(), Vec::new());
        for token in here {
            let is_listed = listed.contains(token);
            match (of(&this.marks.deleted, *token), is_listed) {
                (Known::No, false) => missing.push(*token),
                (Known::Yes, true) => {
                    return Err(format!("{name:?} deleted {token} and is shown it again"));
                }
                (Known::No, true) | (Known::Yes, false) => {}
                (Known::Maybe, _) if unnamed > 0 => {}
                (Known::Maybe, is_listed) => {
                    if this.unheard.contains(token) {
                        match is_listed {
                            true => unheard.0.push(*token),
                            false => unheard.1.push(*token),
                        }
                    }
                    if is_listed {
                        this.marks.deleted.remove(token);
                        this.marks.disposing.remove(token);
                    } else {
                        this.marks.deleted.insert(*token, Known::Yes);
                        let known = this.marks.disposing.get_mut(token);
                        known
                            .into_iter()
                            .for_each(|known| *known = disposing.max(*known));
                    }
                }
            }
        }
        if missing.len() > unnamed {
            return Err(format!(
                "{name:?} has not deleted {missing:?} and is not shown it"
            ));
        }
        if !unheard.0.is_empty() && !unheard.1.is_empty() {
            return Err(format!(
                "a QUIT of {name:?} was carried out by halves: {unheard:?}"
            ));
        }
        if unnamed == 0 {
            this.unheard.clear();
        }
        Ok(())
    }

    /// Whether the message may leave the folder by the bridge's hand. Clients that were made known after `began` need not be waited for:
    /// they came while it was under way.
    pub fn may_go(&self, token: Token, began: u32) -> Result<(), String> {
        let rules = self.rules;
        let live = |client: &&Client| client.enrolled.is_some_and(|since| since <= began);
        let somebody = self
            .clients
            .iter()
            .filter(|client| client.enrolled.is_some() || client.may_be_enrolled);
        let clients: Vec<&Client> = somebody.collect();
        if clients.is_empty() {
            return Err("nobody is there".to_owned());
        }
        let lacks = self
            .clients
            .iter()
            .filter(live)
            .find(|client| client.marks.had(token) == Known::No);
        if let Some(client) = lacks.filter(|_| !rules.dispose_undelivered) {
            return Err(format!("{:?} has not had it", client.name));
        }
        let any = |has: &dyn Fn(&Client) -> Known| clients.iter().any(|c| has(c) > Known::No);
        let all = |has: &dyn Fn(&Client) -> Known| {
            self.clients.iter().filter(live).all(|c| has(c) > Known::No)
        };
        let deleted = |client: &Client| of(&client.marks.deleted, token);
        let had = |client: &Client| client.marks.had(token);
        let by_rule = match rules.when {
            When::Never => false,
            When::AnyDeleted => any(&deleted),
            When::AllDelivered => all(&had) && any(&had),
            When::AllDeleted => all(&deleted) && any(&deleted),
        };
        let disposing = any(&|client| of(&client.marks.disposing, token));
        if by_rule || disposing {
            Ok(())
        } else {
            Err(format!("no rule says so: {rules:?}"))
        }
    }

    /// Whether the message must leave the folder in the end.
    pub fn must_go(&self, token: Token) -> bool {
        let rules = self.rules;
        let clients: Vec<&Client> = self
            .clients
            .iter()
            .filter(|client| client.enrolled.is_some() || client.may_be_enrolled)
            .collect();
        let any = |has: &dyn Fn(&Client) -> Known| clients.iter().any(|c| has(c) == Known::Yes);
        let all = |has: &dyn Fn(&Client) -> Known| clients.iter().all(|c| has(c) == Known::Yes);
        let deleted = |client: &Client| of(&client.marks.deleted, token);
        let had = |client: &Client| client.marks.had(token);
        if !all(&had) && !rules.dispose_undelivered {
            return false;
        }
        let by_rule = match rules.when {
            When::Never => false,
            When::AnyDeleted => any(&deleted),
            When::AllDelivered => all(&had) && any(&had),
            When::AllDeleted => all(&deleted) && any(&deleted),
        };
        by_rule || any(&|client| of(&client.marks.disposing, token))
    }

    /// What is known of a message, for a person.
    pub fn tell(&self, token: Token) -> String {
        let each = self.clients.iter().map(|client| {
            let Marks {
                deleted,
                disposing,
                delivered,
            } = &client.marks;
            let [deleted, disposing, delivered] =
                [deleted, disposing, delivered].map(|map| of(map, token));
            format!(
                "{:?} since {:?}: delivered {delivered:?}, deleted {deleted:?}, for all {disposing:?}",
                client.name, client.enrolled
            )
        });
        each.collect::<Vec<_>>().join("; ")
    }

    /// Whether a DELE is everybody's at this moment.
    fn disposes(&self) -> Known {
        match self.rules.on_delete {
            OnDelete::Hide | OnDelete::Ignore => Known::No,
            OnDelete::Dispose => Known::Yes,
            OnDelete::Unset => {
                let named = self.clients.iter().filter(|client| client.name != PLAIN);
                let known = named.map(|client| match (client.enrolled, client.may_be_enrolled) {
                    (Some(_), _) => Known::Yes,
                    (None, true) => Known::Maybe,
                    (None, false) => Known::No,
                });
                match known.max() {
                    Some(Known::Yes) => Known::No,
                    Some(Known::Maybe) => Known::Maybe,
                    _ => Known::Yes,
                }
            }
        }
    }
}
