//! Who may read the status page, and who may act on it.
//!
//! Whoever is on this machine may read. Everybody else shows the admin token: in the field `Authorization`, or once in a form, for a cookie.
//! Nobody acts without it. A page of another site can make a browser ask here, too: it cannot read what is answered, as it is asked
//! under a name that is not this machine's or from an origin that is not this page's, and it cannot act, as it knows no form's key.
//! Must not know: what is read and done.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use axum::http::{HeaderMap, HeaderName, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::time::Instant;
use tracing::warn;

use crate::config::SecretSource;
use crate::secret::Secret;

/// A shorter token could be guessed.
const SHORTEST: usize = 16;
/// A browser that was let in is let in for so long.
const LIFE: Duration = Duration::from_secs(12 * 60 * 60);
/// More browsers are not remembered: the first one has to log in again.
const BROWSERS: usize = 32;
/// The pause after the first wrong token; each further one is twice as long, up to the longest, in which a person is not lost.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// A source that has guessed nothing for so long is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(15 * 60);
/// Sources that are remembered; beyond, all strangers are one.
const SOURCES: usize = 10_000;

/// The cookie's name.
pub(super) const COOKIE: &str = "popbridge-admin";

/// The fields by which proxies tell for whom they ask.
const FORWARDED: [&str; 4] = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];

/// See the module.
pub struct Gate {
    token: Option<SecretSource>,
    /// By a hash of what the cookie holds: whoever reads this memory has no cookie.
    browsers: Mutex<HashMap<Hash, Browser>>,
    guesses: Mutex<HashMap<Source, Guesses>>,
}

type Hash = [u8; 32];

struct Browser {
    since: Instant,
    /// Of the token that it has shown: with another one it is not let in any more.
    token: Hash,
    /// What its forms have in them.
    key: Secret,
    /// What is to be told on the next page.
    notice: Option<String>,
}

/// Where guesses come from: an IPv4 address, or an IPv6 network of 64 bits; none: one of too many.
type Source = Option<IpAddr>;

struct Guesses {
    wrong: u32,
    until: Instant,
}

/// Who asks.
#[derive(Clone, Debug)]
pub(super) enum Asker {
    /// Nobody in particular, from elsewhere.
    Stranger,
    /// Somebody on this machine.
    Near,
    /// Who has shown the token just now.
    Program,
    /// A browser that has shown it before.
    Browser(Pass),
}

/// A browser that was let in.
#[derive(Clone, Debug)]
pub(super) struct Pass {
    id: Hash,
    /// What forms must have in them.
    pub(super) key: Secret,
}

/// Why the token was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Barred {
    /// It is wrong.
    Wrong,
    /// Too many were wrong: so many seconds are to pass first.
    Wait(u64),
    /// There is no token, or it cannot be read; what to do.
    Closed(String),
}

impl Gate {
    /// By the token that is there, which is read at each use.
    pub fn new(token: Option<SecretSource>) -> Self {
        Self {
            token,
            browsers: Mutex::default(),
            guesses: Mutex::default(),
        }
    }

    /// Whether anybody may act at all.
    pub(super) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Who asks with these fields from this address.
    ///
    /// # Errors
    /// There is a token in the field `Authorization` that is not taken.
    pub(super) fn asker(&self, peer: IpAddr, fields: &HeaderMap) -> Result<Asker, Barred> {
        if let Some(shown) = bearer(fields) {
            self.check(peer, shown)?;
            return Ok(Asker::Program);
        }
        if let Some(pass) = self.pass(fields) {
            return Ok(Asker::Browser(pass));
        }
        match is_near(peer, fields) && is_named_here(fields) {
            true => Ok(Asker::Near),
            false => Ok(Asker::Stranger),
        }
    }

    /// Whether somebody may read the metrics: as before there was a token, or with it.
    ///
    /// # Errors
    /// As [`asker`](Self::asker).
    pub(super) fn may_measure(&self, peer: IpAddr, fields: &HeaderMap) -> Result<bool, Barred> {
        if !self.has_token() || is_near(peer, fields) {
            return Ok(true);
        }
        let asker = self.asker(peer, fields)?;
        Ok(matches!(asker, Asker::Program | Asker::Browser(_)))
    }

    /// Lets a browser in that shows the token: what its cookie is to hold.
    ///
    /// # Errors
    /// The token is not taken.
    pub(super) fn log_in(&self, peer: IpAddr, shown: &str) -> Result<Secret, Barred> {
        let token = self.check(peer, shown)?;
        let (id, key) = (unguessable()?, unguessable()?);
        let browser = Browser {
            since: Instant::now(),
            token,
            key,
            notice: None,
        };
        let mut browsers = self.browsers();
        browsers.retain(|_, one| one.since.elapsed() < LIFE);
        if browsers.len() >= BROWSERS {
            let first = browsers.iter().min_by_key(|(_, one)| one.since);
            let first = first.map(|(id, _)| *id);
            first.and_then(|first| browsers.remove(&first));
        }
        browsers.insert(hash(id.expose()), browser);
        Ok(id)
    }

    /// The browser has to show the token again.
    pub(super) fn log_out(&self, pass: &Pass) {
        self.browsers().remove(&pass.id);
    }

    /// What the browser's next page is to tell.
    pub(super) fn tell(&self, pass: &Pass, notice: String) {
        if let Some(browser) = self.browsers().get_mut(&pass.id) {
            browser.notice = Some(notice);
        }
    }

    /// What is to be told, once.
    pub(super) fn told(&self, pass: &Pass) -> Option<String> {
        self.browsers().get_mut(&pass.id)?.notice.take()
    }

    /// Whether the token can be had and is one.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub fn check_token(&self) -> Result<(), String> {
        match &self.token {
            Some(source) => read(source).map(drop),
            None => Ok(()),
        }
    }

    fn pass(&self, fields: &HeaderMap) -> Option<Pass> {
        let id = hash(&cookie(fields)?);
        // Before the lock: it may be on a slow disk.
        let token = hash(read(self.token.as_ref()?).ok()?.expose());
        let mut browsers = self.browsers();
        let browser = browsers.get(&id)?;
        if browser.since.elapsed() >= LIFE || browser.token != token {
            browsers.remove(&id);
            return None;
        }
        Some(Pass {
            id,
            key: browser.key.clone(),
        })
    }

    /// Whether this is the token; its hash. Whoever has been wrong waits before the next one is looked at, be it right.
    fn check(&self, peer: IpAddr, shown: &str) -> Result<Hash, Barred> {
        let Some(source) = &self.token else {
            return Err(Barred::Closed(
                "there is no admin token: token_file, token_env or token_credential in [admin] says where one is"
                    .to_owned(),
            ));
        };
        let token = read(source).map_err(Barred::Closed)?;
        let mut guesses = self.guesses();
        let now = Instant::now();
        let source = source_of(peer, &guesses);
        let wrong = match guesses.get(&source) {
            Some(before) if before.until > now => {
                let left = before.until - now;
                return Err(Barred::Wait(left.as_secs() + 1));
            }
            Some(before) if now - before.until < FORGOTTEN => before.wrong,
            _ => 0,
        };
        // Of hashes, so that the time says nothing of the length either.
        let (right, shown) = (hash(token.expose()), hash(shown));
        if verify_slices_are_equal(&right, &shown).is_ok() {
            guesses.remove(&source);
            return Ok(right);
        }
        if guesses.len() >= SOURCES {
            guesses.retain(|_, one| now.saturating_duration_since(one.until) < FORGOTTEN);
        }
        let pause = FIRST_PAUSE * 2_u32.saturating_pow(wrong.min(16));
        let guess = Guesses {
            wrong: wrong.saturating_add(1),
            until: now + pause.min(LONGEST_PAUSE),
        };
        guesses.insert(source, guess);
        drop(guesses);
        warn!(peer = %peer, "somebody has shown a wrong admin token");
        Err(Barred::Wrong)
    }

    fn browsers(&self) -> MutexGuard<'_, HashMap<Hash, Browser>> {
        self.browsers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn guesses(&self) -> MutexGuard<'_, HashMap<Source, Guesses>> {
        self.guesses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether this is what the browser's own page would ask, and no page of another site: by what browsers say of it, where they do.
pub(super) fn is_of_this_page(fields: &HeaderMap) -> bool {
    let said = |name: HeaderName| fields.get(name).map(|value| value.to_str().unwrap_or("?"));
    if said(HeaderName::from_static("sec-fetch-site")).is_some_and(|site| site != "same-origin") {
        return false;
    }
    let Some(origin) = said(header::ORIGIN) else {
        return true;
    };
    let host = said(header::HOST).unwrap_or_default();
    let rest = origin.strip_prefix("https://");
    let rest = rest.or_else(|| origin.strip_prefix("http://"));
    !host.is_empty() && rest.is_some_and(|rest| rest.eq_ignore_ascii_case(host))
}

/// Whether a form has the key that the browser's page was given.
pub(super) fn fits(pass: &Pass, key: &str) -> bool {
    verify_slices_are_equal(pass.key.expose().as_bytes(), key.as_bytes()).is_ok()
}

/// Whether somebody on this machine asks for themselves. A proxy here asks for others, and says so.
fn is_near(peer: IpAddr, fields: &HeaderMap) -> bool {
    let is_forwarded = FORWARDED.iter().any(|name| fields.contains_key(*name));
    peer.to_canonical().is_loopback() && !is_forwarded
}

/// Whether this machine is asked under a name that can mean no other one: a site whose name leads here (DNS rebinding) would read what
/// its visitor may.
fn is_named_here(fields: &HeaderMap) -> bool {
    let host = fields.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || address
            .parse::<IpAddr>()
            .is_ok_and(|address| address.to_canonical().is_loopback())
}

fn bearer(fields: &HeaderMap) -> Option<&str> {
    let value = fields.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn cookie(fields: &HeaderMap) -> Option<String> {
    let all = fields.get_all(header::COOKIE).iter();
    let mut each = all
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'));
    each.find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == COOKIE).then(|| value.to_owned())
    })
}

fn read(source: &SecretSource) -> Result<Secret, String> {
    let token = source
        .read()
        .map_err(|error| format!("the admin token: {error}"))?;
    if token.expose().chars().count() < SHORTEST {
        return Err(format!(
            "the admin token has fewer than {SHORTEST} characters and could be guessed; `openssl rand -hex 24` makes one"
        ));
    }
    Ok(token)
}

fn source_of(peer: IpAddr, known: &HashMap<Source, Guesses>) -> Source {
    let source = Some(match peer.to_canonical() {
        // Whoever has one address there has all of them.
        IpAddr::V6(address) => {
            let network = address.to_bits() & (u128::MAX << 64);
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
        address @ IpAddr::V4(_) => address,
    });
    match known.len() >= SOURCES && !known.contains_key(&source) {
        true => None,
        false => source,
    }
}

fn hash(text: &str) -> Hash {
    let mut hash = [0; 32];
    // It is as long as that.
    for (to, from) in hash
        .iter_mut()
        .zip(digest(&SHA256, text.as_bytes()).as_ref())
    {
        *to = *from;
    }
    hash
}

/// 256 random bits.
fn unguessable() -> Result<Secret, Barred> {
    let mut bytes = zeroize::Zeroizing::new([0; 32]);
    rand::fill(&mut *bytes)
        .map_err(|_| Barred::Closed("the system gives no random numbers".to_owned()))?;
    Ok(Secret::new(URL_SAFE_NO_PAD.encode(*bytes)))
}

#[cfg(test)]
pub(super) mod tests;
