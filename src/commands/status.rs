//! `popbridge status`: who has not collected what.
//!
//! Asks the store only, so that it answers at once, also while the bridge is running or the upstream is not.
//! Must not know: SQL, IMAP.

use std::io::Write;

use serde_json::{Value, json};

use super::CommandError;
use super::mailboxes::{Found, mailboxes};
use super::times::{ago, utc};
use crate::bridge::office::{MailboxReport, report};
use crate::bridge::{Standing, clock};
use crate::cli::client::StatusOptions as Options;
use crate::config::Config;

/// Writes the status of all mailboxes to `out`, and to `notes` what is no part of it.
///
/// # Errors
/// The store's; those of `out`.
pub async fn run(
    options: &Options,
    config: &Config,
    out: &mut dyn Write,
    notes: &mut dyn Write,
) -> Result<(), CommandError> {
    let store = &super::open(config).await?;
    let now = clock::now();
    let mut reports = Vec::new();
    for Found { mailbox, terms } in mailboxes(config, store, options.account.as_deref()).await? {
        match terms {
            Some(terms) => reports.push(report(store, mailbox, &terms).await?),
            // Nobody can log in to it; `popbridge client list` still shows its clients.
            None => writeln!(
                notes,
                "{} at {}: no upstream is configured for it any more",
                mailbox.login, mailbox.upstream
            )?,
        }
    }
    for report in &mut reports {
        report
            .clients
            .retain(|client| !options.waiting || client.waiting > 0);
    }
    if options.json {
        let all: Vec<Value> = reports.iter().map(|report| as_json(report, now)).collect();
        writeln!(out, "{:#}", json!({ "time": now, "mailboxes": all }))?;
        return Ok(());
    }
    if reports.is_empty() {
        writeln!(out, "There is no mailbox yet: nobody has logged in.")?;
    }
    for report in &reports {
        as_text(report, now, out)?;
    }
    Ok(())
}

fn as_text(report: &MailboxReport, now: i64, out: &mut dyn Write) -> std::io::Result<()> {
    let mailbox = &report.mailbox;
    let account = match &report.account {
        Some(account) => format!("account {account}: "),
        None => String::new(),
    };
    writeln!(out, "{account}{} at {}", mailbox.login, mailbox.upstream)?;
    writeln!(out, "  {} messages", report.messages)?;
    if let Some(stop) = &mailbox.stopped {
        writeln!(
            out,
            "  STOPPED: a sweep would take {} of {} messages; look with `popbridge sweep --dry-run`, agree with \
             `popbridge sweep --confirm`",
            stop.would_take, stop.of
        )?;
    }
    for (action, pending, error) in pending(report) {
        let error = error.map_or_else(String::new, |error| format!(", last error: {error}"));
        writeln!(out, "  {pending} to {action} upstream, not done yet{error}")?;
    }
    for message in &report.unreadable {
        writeln!(
            out,
            "  message {} could not be read {} times: {}",
            message.seq, message.failures, message.last_error
        )?;
    }
    let width = report
        .clients
        .iter()
        .map(|client| client.login.chars().count());
    let width = width.max().unwrap_or(0).max("client".len());
    writeln!(
        out,
        "  {:width$}  {:>8}  {:>10}  {:>9}  {:>8}  {:>6}  last seen",
        "client", "waiting", "oldest", "delivered", "deleted", "lost"
    )?;
    for client in &report.clients {
        writeln!(
            out,
            "  {:width$}  {:>8}  {:>10}  {:>9}  {:>8}  {:>6}  {}{}",
            printable(&client.login),
            client.waiting,
            client
                .oldest_waiting
                .map_or("-".to_owned(), |since| ago(now - since)),
            client.delivered,
            client.deleted,
            client.losses,
            client.last_seen.map_or("never".to_owned(), utc),
            state(client, now)
        )?;
    }
    writeln!(out)
}

fn state(client: &Standing, now: i64) -> String {
    match (client.removed_at, client.expired, client.expires_at) {
        (Some(_), ..) => "  (removed; disposals wait 7 days)".to_owned(),
        (None, true, _) => "  (expired)".to_owned(),
        (None, false, Some(at)) => format!("  (expires in {})", ago(at - now)),
        (None, false, None) => String::new(),
    }
}

/// What is written down and not done, by action, with the last error of each.
fn pending(report: &MailboxReport) -> Vec<(String, usize, Option<&str>)> {
    let mut groups: Vec<(String, usize, Option<&str>)> = Vec::new();
    for intent in &report.pending {
        let action = intent.new.action.to_string();
        let error = intent.last_error.as_deref();
        match groups.iter_mut().find(|group| group.0 == action) {
            Some(group) => {
                group.1 += 1;
                group.2 = group.2.or(error);
            }
            None => groups.push((action, 1, error)),
        }
    }
    groups
}

fn as_json(report: &MailboxReport, now: i64) -> Value {
    let mailbox = &report.mailbox;
    let pending: Vec<Value> = pending(report)
        .into_iter()
        .map(|(action, messages, error)| {
            json!({ "action": action, "messages": messages, "last_error": error })
        })
        .collect();
    let unreadable: Vec<Value> = report
        .unreadable
        .iter()
        .map(|message| {
            json!({
                "seq": message.seq.get(), "failures": message.failures,
                "last_error": message.last_error, "at": message.at,
            })
        })
        .collect();
    json!({
        "login": mailbox.login,
        "upstream": mailbox.upstream,
        "account": report.account,
        "messages": report.messages,
        "sweep_stopped": mailbox.stopped.as_ref().map(|stop| {
            json!({ "would_take": stop.would_take, "of": stop.of, "at": stop.at })
        }),
        "pending": pending,
        "unreadable": unreadable,
        "clients": report.clients.iter().map(|one| client_as_json(one, now)).collect::<Vec<_>>(),
    })
}

fn client_as_json(client: &Standing, now: i64) -> Value {
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

/// A name on a person's terminal: what could command it is left out.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}
