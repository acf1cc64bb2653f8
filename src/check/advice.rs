//! What `popbridge check --connect` says of a server beside what it offers: whose it is, which profile is for it, how it would be used, and
//! where the configuration differs from what is known to be right there.
//!
//! Pure. Must not know: connections.

use std::time::Duration;

use crate::config::{PROFILES, Passwords, Profile, Provider, Upstream};
use crate::imap::Capabilities;
use crate::imap::recognize::{Kind, Signs, password_mechanism, recognize, token_mechanism};
use crate::policy::{Archive, Dispose, Trash};

/// Extensions that the bridge makes use of, and what for.
const USED: &[(&str, &str)] = &[
    ("UIDPLUS", "removes single messages"),
    ("MOVE", "moves messages in one step"),
    ("CONDSTORE", "tells of changes"),
    ("QRESYNC", "tells what is gone"),
    ("SPECIAL-USE", "marks trash and archive"),
    ("IDLE", "tells of new mail at once"),
    ("UIDONLY", "shows folders of any length"),
    ("X-GM-EXT-1", "ids of messages that never change"),
    ("OBJECTID", "ids of messages that never change"),
];

/// A line of the report: what it is about, and what there is to say.
pub(super) type Line = (&'static str, String);

/// Before the log-in.
pub(super) fn before_log_in(upstream: &Upstream, signs: &Signs<'_>) -> Vec<Line> {
    let (kind, why) = recognize(signs);
    let mut lines = vec![("server", format!("{}: {why}", title(kind)))];
    lines.extend(profile(upstream, kind));
    lines.push(("log-in", log_in(upstream, signs.capabilities)));
    lines
}

/// After the log-in, when more is offered.
pub(super) fn after_log_in(upstream: &Upstream, signs: &Signs<'_>) -> Vec<Line> {
    let capabilities = signs.capabilities;
    let (used, lacks): (Vec<_>, Vec<_>) = USED.iter().partition(|(name, _)| capabilities.has(name));
    let words = |list: Vec<&(&str, &str)>| {
        let each = list.iter().map(|(name, what)| format!("{name} ({what})"));
        match list.is_empty() {
            true => "nothing".to_owned(),
            false => each.collect::<Vec<_>>().join(", "),
        }
    };
    let mut lines = vec![("used", words(used)), ("not offered", words(lacks))];
    lines.push(("unique ids", unique_ids(upstream, capabilities)));
    lines.push(("removal", removal(upstream, capabilities)));
    lines
}

/// A folder that holds just as many messages as such servers show at most.
pub(super) fn of_folder(upstream: &Upstream, kind: Kind, messages: u32) -> Option<Line> {
    let provider = provider(kind).unwrap_or(upstream.provider);
    let is_limit = provider.profile().limited_folders.contains(&messages);
    is_limit.then(|| {
        let words = format!(
            "just {messages} messages: there may be more that the server does not show (Gmail: Settings, Forwarding and POP/IMAP, \
             Folder size limits)"
        );
        ("limit", words)
    })
}

/// The profile that is for it.
fn provider(kind: Kind) -> Option<Provider> {
    match kind {
        Kind::Gmail => Some(Provider::Gmail),
        Kind::ExchangeOnline => Some(Provider::Microsoft365),
        Kind::Yahoo => Some(Provider::Yahoo),
        Kind::Icloud => Some(Provider::Icloud),
        Kind::Fastmail => Some(Provider::Fastmail),
        Kind::Exchange | Kind::Cyrus | Kind::Dovecot | Kind::Courier | Kind::Unknown => None,
    }
}

fn title(kind: Kind) -> &'static str {
    match kind {
        Kind::Exchange => "an Exchange of somebody's own",
        Kind::Cyrus => "Cyrus",
        Kind::Dovecot => "Dovecot",
        Kind::Courier => "Courier",
        Kind::Unknown => "not recognized",
        of_provider => provider(of_provider).map_or("not recognized", |one| one.profile().title),
    }
}

fn profile(upstream: &Upstream, kind: Kind) -> Vec<Line> {
    let has = upstream.provider.profile();
    let Some(known) = provider(kind).map(Provider::profile) else {
        let words = match upstream.provider {
            Provider::Generic => "\"generic\", which is for all that have no other".to_owned(),
            _ => format!(
                "\"{}\", as configured; the server does not show it",
                has.name
            ),
        };
        return vec![("provider", words)];
    };
    let first = if has.provider == known.provider {
        format!("\"{}\", as configured", known.name)
    } else if has.provider == Provider::Generic {
        format!(
            "this is {}; provider = \"{}\" is missing",
            known.title, known.name
        )
    } else {
        format!(
            "this is {}; provider = \"{}\" is configured and \"{}\" would be right",
            known.title, has.name, known.name
        )
    };
    let mut lines = vec![("provider", first)];
    lines.extend(
        differences(upstream, known)
            .into_iter()
            .map(|words| ("differs", words)),
    );
    lines
}

/// Where the configuration is not what the profile would make it.
fn differences(upstream: &Upstream, known: &Profile) -> Vec<String> {
    let mut found = Vec::new();
    let mut differs = |key: &str, is: String, should: String, why: &str| {
        if is != should {
            found.push(format!(
                "{key} = {is} here, and {should} for {}{why}",
                known.title
            ));
        }
    };
    let dispose = &upstream.dispose;
    differs(
        "dispose",
        disposal(dispose.dispose),
        disposal(known.dispose),
        match known.provider {
            Provider::Gmail => ", where expunging may only archive",
            _ => "",
        },
    );
    if let (Some(name), Trash::SpecialUse) = (known.trash, &dispose.trash) {
        differs(
            "trash",
            "\"\\\\Trash\"".to_owned(),
            format!("{name:?}"),
            ", which does not mark it",
        );
    }
    if let (Some(name), Archive::SpecialUse) = (known.archive, &dispose.archive) {
        differs(
            "archive",
            "\"\\\\Archive\"".to_owned(),
            format!("{name:?}"),
            ", which does not mark it",
        );
    }
    if known.uidl != "default" && !upstream.uidl.needs_gm_msgid() {
        let is = format!("\"{}\"", upstream.uidl);
        differs(
            "uidl",
            is,
            format!("{:?}", known.uidl),
            "; what is listed already keeps its id",
        );
    }
    if upstream.connections > known.connections {
        let is = upstream.connections.to_string();
        differs("connections", is, known.connections.to_string(), "");
    }
    if let Some(most) = known.bytes_per_day
        && upstream
            .bytes_per_day
            .is_none_or(|configured| configured > most)
    {
        let bytes = |bytes: u64| format!("\"{bytes}B\"");
        let is = bytes(upstream.bytes_per_day.unwrap_or(0));
        differs("bytes_per_day", is, bytes(most), "");
    }
    if let Some(life) = known.session_life
        && upstream
            .session_life
            .is_none_or(|configured| configured > life)
    {
        let quoted = |life| format!("\"{}\"", written(life));
        let is = upstream.session_life.unwrap_or_default();
        differs("session_life", quoted(is), quoted(life), "");
    }
    let flags = [
        ("send_id", upstream.send_id, known.send_id),
        ("uidonly", upstream.uidonly, known.uidonly),
        (
            "placeholder_text",
            upstream.placeholder_text,
            known.placeholder_text,
        ),
    ];
    for (key, is, should) in flags {
        differs(key, is.to_string(), should.to_string(), "");
    }
    found
}

/// A duration as the configuration writes it, in its largest unit that is exact.
fn written(duration: Duration) -> String {
    match duration.as_secs() {
        s if s > 0 && s % 3600 == 0 => format!("{}h", s / 3600),
        s if s > 0 && s % 60 == 0 => format!("{}m", s / 60),
        s => format!("{s}s"),
    }
}

fn disposal(dispose: Dispose) -> String {
    let word = match dispose {
        Dispose::Expunge => "expunge",
        Dispose::Trash => "trash",
        Dispose::Archive => "archive",
        Dispose::Flag => "flag",
        Dispose::Nothing => "nothing",
    };
    format!("\"{word}\"")
}

fn log_in(upstream: &Upstream, capabilities: &Capabilities) -> String {
    let profile = upstream.provider.profile();
    let passwords = match (profile.passwords, password_mechanism(capabilities)) {
        (Passwords::None, _) => format!("no passwords at {}, whatever it offers", profile.title),
        (_, None) => "no passwords".to_owned(),
        (Passwords::OfApp, Some(how)) => {
            format!(
                "passwords by {how}, made for this program at {}",
                profile.title
            )
        }
        (Passwords::Own, Some(how)) => format!("passwords by {how}"),
    };
    let tokens = match (token_mechanism(capabilities), profile.oauth) {
        (None, _) => "no tokens".to_owned(),
        (Some(how), None) => format!("tokens by {how}"),
        (Some(how), Some(preset)) => {
            format!("tokens by {how} (accounts with oauth = \"{preset}\")")
        }
    };
    format!("{passwords}; {tokens}")
}

fn unique_ids(upstream: &Upstream, capabilities: &Capabilities) -> String {
    let format = &upstream.uidl;
    match (format.needs_gm_msgid(), capabilities.has("X-GM-EXT-1")) {
        (true, true) => format!("{format}, from X-GM-MSGID, which never changes"),
        (true, false) => {
            format!("{format} needs X-GM-MSGID, which this server does not have: log-ins will fail")
        }
        (false, _) => format!("{format}"),
    }
}

fn removal(upstream: &Upstream, capabilities: &Capabilities) -> String {
    let risk = upstream.dispose.expunge_without_uidplus;
    match (capabilities.has("UIDPLUS"), capabilities.has("MOVE")) {
        (true, _) => "safe: single messages by UID EXPUNGE".to_owned(),
        (false, true) => "safe by moving to the trash only: there is no UIDPLUS".to_owned(),
        (false, false) if risk => {
            "not safe, as expunge_without_uidplus accepts: what others have marked goes, too"
                .to_owned()
        }
        (false, false) => "not possible: without UIDPLUS and MOVE nothing is removed".to_owned(),
    }
}

/// The profile of an upstream in the words of its file, for the plain `check`.
pub(super) fn values(upstream: &Upstream) -> Option<String> {
    let profile = PROFILES
        .iter()
        .find(|profile| profile.provider == upstream.provider)
        .filter(|profile| profile.provider != Provider::Generic)?;
    let life = upstream.session_life;
    let life = life.map_or_else(String::new, |life| {
        format!(", connections of up to {}", written(life))
    });
    Some(format!(
        "{}: {}, at {}: unique ids {}, dispose {}, {} connections{life}",
        upstream.name,
        profile.title,
        upstream.url,
        upstream.uidl,
        disposal(upstream.dispose.dispose),
        upstream.connections,
    ))
}
