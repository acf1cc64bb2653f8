//! `popbridge status`: who has not collected what, and whether accounts can be opened.
//!
//! Asks the store only, so that it answers at once, also while the bridge is running or the upstream is not. It needs no secret, nor the
//! key of the tokens. Nothing is made for it, nor is a store of an older popbridge brought up to date.
//! Must not know: SQL, IMAP.

use std::io::Write;

use serde_json::{Value, json};

use super::CommandError;
use super::format::{octets, printable};
use super::mailboxes::{Found, mailboxes};
use super::times::{ago, utc};
use super::tokens::{fields, sentence};
use crate::bridge::office::{MailboxReport, report};
use crate::bridge::tokens::{TokenStanding, kept_standings};
use crate::bridge::{Freeable, Standing, clock};
use crate::cli::client::StatusOptions as Options;
use crate::config::Config;
use crate::run::token_owners;
use crate::store::{Quota, Store};

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
    let store = super::look(config).await?;
    let now = clock::now();
    let mut reports = match &store {
        Some(store) => reports(options, config, store, notes).await?,
        None => Vec::new(),
    };
    for report in &mut reports {
        report
            .clients
            .retain(|client| !options.waiting || client.waiting > 0);
    }
    let wanted = |name: &str| options.account.as_deref().is_none_or(|one| one == name);
    let mut owners = token_owners(config);
    owners.retain(|owner| wanted(&owner.account));
    let tokens = kept_standings(store.as_ref(), &owners).await?;
    let of = |account: &str| tokens.iter().find(|one| one.owner.account == account);
    // Accounts that the bridge has never been able to open.
    let is_closed = |one: &&TokenStanding| {
        let account = Some(one.owner.account.as_str());
        !reports.iter().any(|it| it.account.as_deref() == account)
    };
    let closed: Vec<&TokenStanding> = tokens.iter().filter(is_closed).collect();
    if options.json {
        let mailboxes = reports.iter().map(|report| {
            let token = report.account.as_deref().and_then(of);
            as_json(report, token.map(|token| token_as_json(config, token)), now)
        });
        let closed = closed.iter().map(|token| closed_as_json(config, token));
        let all: Vec<Value> = mailboxes.chain(closed).collect();
        writeln!(out, "{:#}", json!({ "time": now, "mailboxes": all }))?;
        return Ok(());
    }
    if reports.is_empty() && closed.is_empty() {
        writeln!(out, "There is no mailbox yet: nobody has logged in.")?;
    }
    for report in &reports {
        let token = report.account.as_deref().and_then(of);
        let token = token.map(|token| sentence(config, token));
        as_text(report, token.as_deref(), now, out)?;
    }
    for token in closed {
        let owner = &token.owner;
        writeln!(
            out,
            "account {}: {} at {}\n  token: {}\n",
            owner.account,
            owner.login,
            owner.upstream,
            sentence(config, token)
        )?;
    }
    Ok(())
}

async fn reports(
    options: &Options,
    config: &Config,
    store: &Store,
    notes: &mut dyn Write,
) -> Result<Vec<MailboxReport>, CommandError> {
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
    Ok(reports)
}

fn as_text(
    report: &MailboxReport,
    token: Option<&str>,
    now: i64,
    out: &mut dyn Write,
) -> std::io::Result<()> {
    let mailbox = &report.mailbox;
    let account = match &report.account {
        Some(account) => format!("account {account}: "),
        None => String::new(),
    };
    writeln!(out, "{account}{} at {}", mailbox.login, mailbox.upstream)?;
    if let Some(token) = token {
        writeln!(out, "  token: {token}")?;
    }
    writeln!(out, "  {} messages", report.messages)?;
    room(report, out)?;
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

/// How full the mailbox is, and what its rules would free.
fn room(report: &MailboxReport, out: &mut dyn Write) -> std::io::Result<()> {
    if let Some(quota) = &report.quota {
        writeln!(
            out,
            "  {} of {} used ({} %) on {}",
            octets(quota.used),
            octets(quota.limit),
            percent(quota),
            utc(quota.at)
        )?;
    }
    let Freeable { now, within_a_week } = report.freeable;
    if within_a_week > 0 {
        let (now, later) = (octets(now), octets(within_a_week));
        let trash = match report.goes_to_trash {
            true => ", once the trash is emptied",
            false => "",
        };
        writeln!(
            out,
            "  the rules would free {now} now and {later} within 7 days{trash}"
        )?;
    } else if report.quota.is_some() {
        writeln!(out, "  the rules would free nothing within 7 days")?;
    }
    Ok(())
}

fn percent(quota: &Quota) -> u128 {
    u128::from(quota.used) * 100 / u128::from(quota.limit).max(1)
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

fn token_as_json(config: &Config, token: &TokenStanding) -> Value {
    fields(config, token, Value::from)
}

/// The same fields as of a mailbox that the store knows.
fn closed_as_json(config: &Config, token: &TokenStanding) -> Value {
    let owner = &token.owner;
    json!({
        "login": owner.login,
        "upstream": owner.upstream,
        "account": owner.account,
        "token": token_as_json(config, token),
        "messages": 0,
        "quota": null,
        "freeable": freeable_as_json(Freeable::default()),
        "sweep_stopped": null,
        "pending": [],
        "unreadable": [],
        "clients": [],
    })
}

fn as_json(report: &MailboxReport, token: Option<Value>, now: i64) -> Value {
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
        "token": token,
        "messages": report.messages,
        "quota": report.quota.map(|quota| {
            json!({ "used": quota.used, "limit": quota.limit, "at": quota.at })
        }),
        "freeable": freeable_as_json(report.freeable),
        "sweep_stopped": mailbox.stopped.as_ref().map(|stop| {
            json!({ "would_take": stop.would_take, "of": stop.of, "at": stop.at })
        }),
        "pending": pending,
        "unreadable": unreadable,
        "clients": report.clients.iter().map(|one| client_as_json(one, now)).collect::<Vec<_>>(),
    })
}

fn freeable_as_json(freeable: Freeable) -> Value {
    json!({ "now": freeable.now, "within_7_days": freeable.within_a_week })
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
