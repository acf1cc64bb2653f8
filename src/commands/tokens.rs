//! How an account's tokens stand, in words for people and in fields for programs.
//!
//! Must not know: where that is shown, how tokens are sealed.

use serde_json::{Value, json};

use super::format::printable;
use super::times::{ago, utc};
use crate::bridge::tokens::{TokenStanding, TokenTrouble};
use crate::config::Config;

/// One word, for programs, too.
pub(super) fn state(config: &Config, standing: &TokenStanding) -> &'static str {
    state_of(standing, needs_a_person(config, standing))
}

fn needs_a_person(config: &Config, standing: &TokenStanding) -> bool {
    let mut all = config.oauth.iter();
    let oauth = all.find(|oauth| oauth.name == standing.owner.provider);
    oauth.is_some_and(|oauth| oauth.grant.needs_a_person())
}

/// The same where it is known whether a person has to log in for them.
pub(crate) fn state_of(standing: &TokenStanding, needs_a_person: bool) -> &'static str {
    match &standing.trouble {
        Some(TokenTrouble::Missing { .. } | TokenTrouble::ForAnother { .. }) => "missing",
        Some(TokenTrouble::Revoked { .. }) => "revoked",
        Some(TokenTrouble::Misconfigured(_)) => "misconfigured",
        Some(TokenTrouble::Later(_)) => "failing",
        Some(TokenTrouble::Sealed { .. } | TokenTrouble::Key(_)) => "sealed",
        None if is_there(standing) => "good",
        None if needs_a_person => "missing",
        // popbridge gets one when it needs it.
        None => "none",
    }
}

fn is_there(standing: &TokenStanding) -> bool {
    let kept = standing.kept.as_ref();
    kept.is_some_and(|kept| kept.sealed.is_some())
}

/// When they were new, in seconds since 1970.
pub(super) fn refreshed(standing: &TokenStanding) -> Option<i64> {
    let at = standing.kept.as_ref()?.refreshed_at;
    (at > 0).then_some(at)
}

/// When the access token ends or has ended, in seconds since 1970.
pub(super) fn expires(standing: &TokenStanding) -> Option<i64> {
    let at = standing.kept.as_ref()?.expires_at;
    (at > 0).then_some(at)
}

/// The last thing that went wrong, and when, in seconds since 1970.
pub(super) fn last_error(standing: &TokenStanding) -> Option<(&str, Option<i64>)> {
    let kept = standing.kept.as_ref()?;
    Some((kept.last_error.as_deref()?, kept.error_at))
}

/// What programs are told of them. `time` says a time, in seconds since 1970, as the rest of the document does.
pub(super) fn fields(
    config: &Config,
    standing: &TokenStanding,
    time: impl Fn(Option<i64>) -> Value,
) -> Value {
    fields_of(standing, needs_a_person(config, standing), time)
}

/// The same where it is known whether a person has to log in for them.
pub(crate) fn fields_of(
    standing: &TokenStanding,
    needs_a_person: bool,
    time: impl Fn(Option<i64>) -> Value,
) -> Value {
    let owner = &standing.owner;
    let error = last_error(standing);
    let state = state_of(standing, needs_a_person);
    json!({
        "oauth": owner.provider,
        "user": owner.user,
        "state": state,
        "login_needed": matches!(state, "missing" | "revoked"),
        "trouble": standing.trouble.as_ref().map(ToString::to_string),
        "refreshed": time(refreshed(standing)),
        "expires": time(expires(standing)),
        "last_error": error.map(|(error, _)| error),
        "last_error_at": time(error.and_then(|(_, at)| at)),
    })
}

/// A line for a person: for how long they are good, and what is to be done, if anything is.
pub(super) fn sentence(config: &Config, standing: &TokenStanding) -> String {
    sentence_of(standing, needs_a_person(config, standing))
}

/// The same where it is known whether a person has to log in for them.
pub(crate) fn sentence_of(standing: &TokenStanding, needs_a_person: bool) -> String {
    let owner = &standing.owner;
    let log_in = format!("`popbridge oauth login {}`", owner.account);
    let life = life(standing);
    let error = last_error(standing).map(|(error, at)| (printable(error), at.map(utc)));
    let (why, since) = error.unwrap_or_default();
    let since = since.unwrap_or_else(|| "a time unknown".to_owned());
    match state_of(standing, needs_a_person) {
        "missing" => format!("nobody has logged in yet: {log_in}"),
        "none" => "none yet; popbridge gets one when it needs it".to_owned(),
        "revoked" => format!("REVOKED since {since} ({why}), {life}; log in again: {log_in}"),
        "misconfigured" => format!(
            "{life}; no new one since {since}, as the authorization server refuses what is configured ({why}): change it \
             there or in [oauth.{}]",
            owner.provider
        ),
        "failing" => {
            format!("{life}; no new one since {since} ({why}); it is tried again by itself")
        }
        "sealed" => standing
            .trouble
            .as_ref()
            .map_or(life, |trouble| printable(&trouble.to_string())),
        _ if why.is_empty() => life,
        _ => format!("{life}; last error at {since}: {why}"),
    }
}

fn life(standing: &TokenStanding) -> String {
    let kept = standing.kept.as_ref();
    match kept.filter(|kept| kept.sealed.is_some()) {
        Some(kept) if kept.good_for > 0 => format!("good for {}", ago(kept.good_for)),
        Some(kept) => format!("ended {} ago", ago(-kept.good_for)),
        None => "none yet".to_owned(),
    }
}
