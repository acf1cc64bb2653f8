//! How clients are shown, to people and as JSON. Pure.
//!
//! Must not know where they come from.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::super::format::{count, printable, rfc3339, table, time};
use crate::config::ClientSettings;
use crate::policy::Marks;
use crate::store::{Client, Mailbox, MailboxId};

/// All clients: a table, or a JSON array.
pub(super) fn all(
    clients: &[Client],
    mailboxes: &HashMap<MailboxId, Mailbox>,
    as_json: bool,
) -> String {
    if as_json {
        let values = clients
            .iter()
            .map(|client| value(client, mailboxes.get(&client.mailbox)));
        return format!("{:#}\n", Value::from_iter(values));
    }
    if clients.is_empty() {
        return String::new();
    }
    let head = [
        "CLIENT",
        "ACCOUNT",
        "MAILBOX",
        "ENROLLED",
        "LAST SEEN",
        "SETTINGS",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for client in clients {
        let mailbox = mailboxes.get(&client.mailbox);
        let settings = match client.removed_at {
            Some(_) => format!("removed {}", time(client.removed_at)),
            None => settings_of(client),
        };
        rows.push(vec![
            printable(&client.login),
            client
                .account
                .as_deref()
                .map_or_else(|| "-".to_owned(), printable),
            mailbox.map_or_else(|| "-".to_owned(), |one| printable(&one.login)),
            time(Some(client.enrolled_at)),
            time(client.last_seen),
            settings,
        ]);
    }
    table(&rows)
}

/// One client, with what it has done.
pub(super) fn one(
    client: &Client,
    mailbox: Option<&Mailbox>,
    marks: &Marks,
    as_json: bool,
) -> String {
    let (delivered, deleted) = (marks.delivered.len(), marks.deleted.len());
    if as_json {
        let mut value = value(client, mailbox);
        value["delivered"] = delivered.into();
        value["deleted"] = deleted.into();
        return format!("{value:#}\n");
    }
    let mailbox = mailbox.map_or_else(
        || "-".to_owned(),
        |one| printable(&format!("{} at {}", one.login, one.upstream)),
    );
    let password = match (client.named, &client.password) {
        (true, Some(_)) => "its own",
        _ => "its mailbox's",
    };
    let mut rows = vec![
        ("client", printable(&client.login)),
        ("mailbox", mailbox),
        ("password", password.to_owned()),
        ("settings", settings_of(client)),
        ("enrolled", time(Some(client.enrolled_at))),
        ("last seen", time(client.last_seen)),
        ("delivered", count(delivered, "message")),
        ("deleted", count(deleted, "message")),
    ];
    if let Some(account) = &client.account {
        rows.insert(1, ("account", printable(account)));
    }
    if client.reset_at.is_some() {
        rows.push(("reset", time(client.reset_at)));
    }
    let rows: Vec<Vec<String>> = rows
        .into_iter()
        .map(|(name, value)| vec![format!("{name}:"), value])
        .collect();
    table(&rows)
}

/// Settings in one line.
pub(super) fn settings(settings: &ClientSettings) -> String {
    let given: Vec<String> = settings
        .given()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    match given.is_empty() {
        true => "as the mailbox's rules say".to_owned(),
        false => given.join(" "),
    }
}

fn settings_of(client: &Client) -> String {
    match ClientSettings::from_json(&client.login, &client.settings) {
        Ok(read) if read.given().next().is_none() => "-".to_owned(),
        Ok(read) => settings(&read),
        // Those of a newer version, perhaps.
        Err(_) => printable(&client.settings),
    }
}

fn value(client: &Client, mailbox: Option<&Mailbox>) -> Value {
    let settings: Value = serde_json::from_str(&client.settings).unwrap_or(Value::Null);
    json!({
        "client": client.login,
        "named": client.named,
        "account": client.account,
        "upstream": mailbox.map(|one| &one.upstream),
        "mailbox": mailbox.map(|one| &one.login),
        "settings": settings,
        "enrolled_at": rfc3339(Some(client.enrolled_at)),
        "last_seen": rfc3339(client.last_seen),
        "reset_at": rfc3339(client.reset_at),
        "removed_at": rfc3339(client.removed_at),
    })
}
