//! Fetching some messages of one folder into their slots, in a task that no session ends.
//!
//! Must not know: why just these.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tracing::{Instrument as _, debug};

use super::super::account::Account;
use super::super::accounts::Accounts;
use super::super::placeholder;
use super::super::pool::{Credential, Lease, Purpose};
use super::super::reading;
use super::super::trouble::Trouble;
use super::{Key, Kind, Outcome, Unfilled};
use crate::imap::{Error, Target, Wanted};
use crate::maildrop::{Place, Uid};

/// So much that nobody wants any more is read to keep the connection, in octets; beyond that a new one is cheaper.
const DRAIN: u64 = 256 * 1024;

/// The longest that an errand may take: whoever waits for it has given up long ago.
const LONGEST: Duration = Duration::from_secs(120);

/// A message that is to be fetched.
pub(in super::super) struct Wish {
    pub(in super::super) key: Key,
    pub(in super::super) target: Target,
    pub(in super::super) slot: Unfilled,
}

/// See the module.
pub(in super::super) struct Errand {
    pub(in super::super) account: Account,
    pub(in super::super) place: Place,
    pub(in super::super) kind: Kind,
    /// Those that have it go one after the other.
    pub(in super::super) turn: Arc<Mutex<()>>,
    /// When the messages were listed: what is in the list was there by then.
    pub(in super::super) listed_at: Instant,
    /// What has not come yet.
    pub(in super::super) wishes: HashMap<Uid, Wish>,
    /// What has.
    pub(in super::super) given: Vec<Key>,
}

impl Errand {
    /// Goes on its way. Every slot is filled in the end, whatever happens.
    pub(in super::super) fn go(self, accounts: Arc<Accounts>) {
        let errand = UnderWay {
            errand: self,
            accounts,
        };
        tokio::spawn(errand.run().in_current_span());
    }

    fn wanted(&self) -> Vec<Wanted> {
        let wishes = self.wishes.values();
        let mut wanted: Vec<Wanted> = wishes
            .map(|wish| Wanted {
                uid: wish.target.uid,
                most: self.kind.most(wish.target.size) as usize,
            })
            .collect();
        wanted.sort_unstable_by_key(|one| one.uid);
        wanted
    }

    fn targets(&self) -> Vec<Target> {
        self.wishes.values().map(|wish| wish.target).collect()
    }

    /// There is no connection: nobody need try again for the same.
    fn refuse(&self, by: Credential, trouble: Trouble) -> Trouble {
        for wish in self.wishes.values() {
            wish.slot.fill(Outcome::Refused(by, trouble.clone()));
        }
        trouble
    }

    /// Whether nobody waits for the rest, and there is too much of it to be read for the connection's sake.
    fn is_abandoned(&self) -> bool {
        let rest = self.wishes.values().map(|wish| wish.target.size);
        let octets: u64 = rest.map(|size| u64::from(self.kind.octets(size))).sum();
        octets > DRAIN && self.is_unwanted()
    }

    fn is_unwanted(&self) -> bool {
        !self.wishes.values().any(|wish| wish.slot.is_claimed())
    }
}

struct UnderWay {
    errand: Errand,
    accounts: Arc<Accounts>,
}

impl UnderWay {
    async fn run(mut self) {
        let fetched = timeout(LONGEST, self.fetch()).await;
        let fetched = fetched.unwrap_or(Err(Error::Timeout("fetch messages").into()));
        if let Err(trouble) = fetched {
            // Whoever waits for one of them asks for it directly and hears more.
            debug!(%trouble, "messages could not be fetched together");
            // What such an upstream has said is not kept for others.
            for key in &self.errand.given {
                self.accounts.bodies.forget(key);
            }
        }
        for wish in self.errand.wishes.values() {
            self.accounts.bodies.forget(&wish.key);
        }
    }

    async fn fetch(&mut self) -> Result<(), Trouble> {
        // Not a clone: the run counts who has its turn.
        let _turn = std::mem::take(&mut self.errand.turn).lock_owned().await;
        if self.errand.is_unwanted() {
            return Ok(());
        }
        let pool = &self.accounts.pool;
        let (account, place) = (&self.errand.account, &self.errand.place);
        let credential = pool.credential(account.entrance());
        let folder = Some(place.folder.as_str());
        let turn = pool.turn(account, Purpose::Bodies).await;
        if self.errand.is_unwanted() {
            // It was a long wait: no connection is opened for nobody.
            return Ok(());
        }
        let mut lease = match pool.take_in(turn, account, folder).await {
            Ok(lease) => lease,
            Err(trouble) => return Err(self.errand.refuse(credential, trouble)),
        };
        loop {
            if self.errand.is_unwanted() {
                pool.give_back(lease);
                return Ok(());
            }
            match fetch(&mut self.errand, &mut lease, &self.accounts).await {
                Err(trouble)
                    if trouble.is_lost_connection()
                        && !lease.is_fresh
                        && !self.errand.is_unwanted() =>
                {
                    let renewed = pool.renew(&self.errand.account, &mut lease).await;
                    renewed.map_err(|trouble| self.errand.refuse(credential, trouble))?;
                }
                done => {
                    // One that is in the middle of a command is closed.
                    pool.give_back(lease);
                    if let Some((wish, octets)) = done? {
                        wish.slot.fill(Outcome::Here(octets));
                    }
                    return Ok(());
                }
            }
        }
    }
}

impl Drop for UnderWay {
    /// What was not fetched is given up with the wishes.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.accounts.metrics.session_panicked();
        }
    }
}

/// Gives the last message, which is to be given out when the connection is: whoever has it may ask for the next one at once.
async fn fetch(
    errand: &mut Errand,
    lease: &mut Lease,
    accounts: &Accounts,
) -> Result<Option<(Wish, Bytes)>, Trouble> {
    let targets = errand.targets();
    let missing = reading::open(lease, &errand.place, &targets, errand.listed_at).await?;
    let mut wanted = errand.wanted();
    wanted.retain(|one| !missing.contains(&one.uid));
    let mut last = None;
    if wanted.is_empty() {
        return Ok(last);
    }
    let mut bodies = lease.begin_bodies(wanted, errand.kind.part()).await?;
    while let Some(fetched) = bodies.next().await? {
        let Some(wish) = errand.wishes.get(&fetched.uid) else {
            continue;
        };
        let size = wish.target.size;
        let is_message = |octets: &Bytes| {
            errand.kind == Kind::Header
                || !errand.account.upstream.placeholder_text
                || octets.len() as u64 == u64::from(size)
                || !placeholder::is_one(octets)
        };
        let Some(octets) = fetched.octets.filter(is_message) else {
            // Asked for directly, which tells what is wrong with it.
            continue;
        };
        if !wish.slot.suits(octets.len()) {
            // Those who wait have it all the same.
            accounts.bodies.forget(&wish.key);
        }
        if let Some(wish) = errand.wishes.remove(&fetched.uid) {
            errand.given.push(wish.key);
            match errand.wishes.is_empty() {
                true => last = Some((wish, octets)),
                false => wish.slot.fill(Outcome::Here(octets)),
            }
        }
        if errand.is_abandoned() {
            break;
        }
    }
    Ok(last)
}
