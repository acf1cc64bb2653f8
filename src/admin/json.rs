//! The status page for programs: the same, with the names that `popbridge status --json` has where both tell the same.
//!
//! Pure. Must not know: who may read it.

use serde_json::{Value, json};

use super::attention;
use crate::bridge::{MailboxView, Overview, SessionView, Standing, UpstreamView};
use crate::commands::tokens::fields_of;
use crate::metrics::SessionState;
use crate::telemetry::{Noted, Recent};

/// The document. Times are in seconds since 1970.
pub(super) fn document(seen: &Overview, recent: &Recent) -> Value {
    let (mailboxes, trouble) = match &seen.mailboxes {
        Ok(all) => (all.as_slice(), None),
        Err(why) => (&[][..], Some(why)),
    };
    let attention: Vec<Value> = attention::items(seen)
        .into_iter()
        .map(|item| json!({ "severity": item.severity.word(), "words": item.words }))
        .collect();
    let mailboxes: Vec<Value> = mailboxes
        .iter()
        .map(|one| mailbox(one, seen.time))
        .collect();
    let noted = |all: &[Noted]| all.iter().map(of_noted).collect::<Vec<Value>>();
    json!({
        "time": seen.time,
        "version": env!("CARGO_PKG_VERSION"),
        "started": seen.since,
        "attention": attention,
        "trouble": trouble,
        "mailboxes": mailboxes,
        "more_mailboxes": seen.more_mailboxes,
        "sessions": seen.sessions.iter().map(session).collect::<Vec<Value>>(),
        "more_sessions": seen.more_sessions,
        "upstreams": seen.upstreams.iter().map(upstream).collect::<Vec<Value>>(),
        "errors": noted(&recent.troubles),
        "refused_log_ins": noted(&recent.refused),
    })
}

fn mailbox(view: &MailboxView, now: i64) -> Value {
    let pending: Vec<Value> = view
        .pending
        .iter()
        .map(|one| json!({ "action": one.action, "messages": one.messages, "last_error": one.last_error }))
        .collect();
    json!({
        "login": view.login,
        "upstream": view.upstream,
        "account": view.account,
        "trouble": view.trouble,
        "token": view.token.as_ref().map(|token| {
            fields_of(&token.standing, token.needs_a_person, Value::from)
        }),
        "messages": view.messages,
        "sweep_stopped": view.stopped.as_ref().map(|stop| {
            json!({ "would_take": stop.would_take, "of": stop.of, "at": stop.at })
        }),
        "pending": pending,
        "unreadable": view.unreadable,
        "received": view.received.as_ref().map(|octets| {
            json!({ "bytes": octets.received, "allowed": octets.allowed })
        }),
        "connections": { "used": view.connections.0, "kept": view.connections.1 },
        "clients": view.clients.iter().map(|one| client(one, now)).collect::<Vec<Value>>(),
    })
}

fn client(client: &Standing, now: i64) -> Value {
    json!({
        "login": client.login,
        "name": client.name,
        "named": client.named,
        "waiting": client.waiting,
        "oldest_waiting": client.oldest_waiting,
        "oldest_waiting_seconds": client.oldest_waiting.map(|since| (now - since).max(0)),
        "delivered": client.delivered,
        "deleted": client.deleted,
        "lost": client.losses,
        "enrolled": client.enrolled_at,
        "last_seen": client.last_seen,
        "removed": client.removed_at,
        "expired": client.expired,
        "expires": client.expires_at,
    })
}

fn session(session: &SessionView) -> Value {
    json!({
        "session": session.id,
        "client": session.client,
        "account": session.account,
        "peer": session.peer.to_string(),
        "since": session.since,
        "still_seconds": session.still_for.as_secs(),
        "state": state(session.state),
        "encrypted": session.encrypted,
    })
}

/// As the metrics call it.
pub(super) fn state(state: SessionState) -> &'static str {
    match state {
        SessionState::Authorization => "authorization",
        SessionState::Transaction => "transaction",
        SessionState::Update => "update",
    }
}

fn upstream(upstream: &UpstreamView) -> Value {
    let left_alone: Vec<Value> = upstream
        .left_alone
        .iter()
        .map(|one| {
            json!({
                "login": one.login, "seconds": one.left.as_secs(), "why": one.why,
                "keeps_connections": one.keeps_connections,
            })
        })
        .collect();
    json!({
        "name": upstream.name,
        "address": upstream.address,
        "connections": { "used": upstream.connections.0, "kept": upstream.connections.1 },
        "left_alone": left_alone,
        "connected": upstream.connected_at,
        "failed": upstream.failed.as_ref().map(|(at, why)| json!({ "at": at, "error": why })),
    })
}

fn of_noted(noted: &Noted) -> Value {
    json!({
        "first": noted.first,
        "last": noted.last,
        "times": noted.times,
        "error": noted.is_error,
        "words": noted.words,
        "session": noted.session,
    })
}
