//! The tables of the page: mailboxes with their clients, sessions, upstreams. Each cell says what it is, as on a phone a row is a card.
//!
//! Pure. Must not know: who may see them.

use std::collections::HashMap;
use std::fmt::{Display, Write};

use super::text::Text;
use super::{Visitor, forms};
use crate::admin::attention::{messages, missed_for, name_of, percent};
use crate::admin::json::state;
use crate::admin::logins::Stage;
use crate::bridge::{MailboxView, Overview, SessionView, Standing, UpstreamView};
use crate::commands::times::{ago, utc};
use crate::commands::tokens::{sentence_of, state_of};

pub(super) fn mailboxes(
    page: &mut String,
    seen: &Overview,
    logins: &HashMap<String, Stage>,
    visitor: Visitor<'_>,
) {
    let mailboxes = match &seen.mailboxes {
        Ok(mailboxes) => mailboxes,
        Err(why) => {
            let _ = write!(
                page,
                "<section id=mailboxes><p class=bad>The state cannot be read: {}.</p></section>",
                Text(why)
            );
            return;
        }
    };
    if mailboxes.is_empty() {
        page.push_str("<section id=mailboxes><p class=quiet>There is no mailbox yet: nobody has logged in.</p></section>");
    }
    for (number, mailbox) in mailboxes.iter().enumerate() {
        let _ = write!(page, "<section id=mailbox-{number} class=mailbox>");
        one_mailbox(page, mailbox, seen, logins, visitor);
        page.push_str("</section>");
    }
    if seen.more_mailboxes > 0 {
        let _ = write!(
            page,
            "<section id=more><p class=quiet>There are {} more mailboxes; <code>popbridge status</code> shows all.</p></section>",
            seen.more_mailboxes
        );
    }
}

fn one_mailbox(
    page: &mut String,
    mailbox: &MailboxView,
    seen: &Overview,
    logins: &HashMap<String, Stage>,
    visitor: Visitor<'_>,
) {
    let _ = write!(page, "<h2>{}</h2><p class=quiet>", Text(name_of(mailbox)));
    if mailbox.account.is_some() {
        let _ = write!(page, "{} ", Text(&mailbox.login));
    }
    let _ = write!(page, "at {}</p><ul class=facts>", Text(&mailbox.upstream));
    let _ = write!(page, "<li>{}</li>", messages(mailbox.messages));
    let (used, kept) = mailbox.connections;
    let _ = write!(page, "<li>{used} connections used, {kept} kept</li>");
    for pending in &mailbox.pending {
        let (count, action) = (messages(pending.messages), Text(&pending.action));
        let _ = write!(page, "<li>{count} to {action} upstream, not done yet</li>");
    }
    if let Some(octets) = &mailbox.received {
        let percent = percent(octets.received, octets.allowed);
        let _ = write!(
            page,
            "<li>{} of {} in a day <meter min=0 max=100 low=80 high=95 optimum=0 value={percent}>{percent} %</meter></li>",
            size(octets.received),
            size(octets.allowed)
        );
    }
    if let Some(token) = &mailbox.token {
        let class = match state_of(&token.standing, token.needs_a_person) {
            "good" | "none" => "plain",
            "failing" => "warning",
            _ => "bad",
        };
        let sentence = sentence_of(&token.standing, token.needs_a_person);
        let _ = write!(page, "<li class={class}>token: {}</li>", Text(&sentence));
    }
    page.push_str("</ul>");
    if let (Visitor::Operator(key), Some(account), Some(token)) =
        (visitor, &mailbox.account, &mailbox.token)
        && token.needs_a_person
    {
        forms::oauth(page, key, account, logins.get(account));
    }
    if mailbox.clients.is_empty() {
        page.push_str("<p class=quiet>It has no clients yet.</p>");
        return;
    }
    let acts = matches!(visitor, Visitor::Operator(_));
    let mut columns = vec![
        "client",
        "waiting",
        "oldest",
        "has had",
        "deleted",
        "lost",
        "last seen",
    ];
    if acts {
        columns.push("");
    }
    begin(page, &columns);
    for client in &mailbox.clients {
        one_client(page, client, seen, visitor);
    }
    page.push_str("</tbody></table>");
}

fn one_client(page: &mut String, client: &Standing, seen: &Overview, visitor: Visitor<'_>) {
    let now = seen.time;
    let is_missed = missed_for(client, now).is_some();
    let here = |session: &&SessionView| session.client.as_deref() == Some(&client.login);
    let is_here = seen.sessions.iter().find(here).is_some();
    let class = if is_missed { "warning" } else { "plain" };
    let _ = write!(
        page,
        "<tr class={class}><th scope=row data-label=client>{}",
        Text(&client.login)
    );
    if is_here {
        page.push_str(" <span class=here>here now</span>");
    }
    match (client.removed_at, client.expired, client.expires_at) {
        (Some(_), ..) => page.push_str(" <span class=quiet>removed</span>"),
        (None, true, _) => page.push_str(" <span class=quiet>expired</span>"),
        (None, false, Some(at)) => {
            let _ = write!(
                page,
                " <span class=quiet>expires in {}</span>",
                ago(at - now)
            );
        }
        (None, false, None) => {}
    }
    page.push_str("</th>");
    number(page, "waiting", client.waiting);
    let oldest = client.oldest_waiting.map(|since| ago(now - since));
    cell(page, "oldest", Text(oldest.as_deref().unwrap_or("–")));
    number(page, "has had", client.delivered);
    number(page, "deleted", client.deleted);
    number(page, "lost", client.losses);
    match client.last_seen {
        Some(at) => when(page, "last seen", at, now),
        None => cell(page, "last seen", "never"),
    }
    if let Visitor::Operator(key) = visitor {
        page.push_str("<td class=action>");
        if client.removed_at.is_none() {
            forms::reset(page, key, &client.login);
        }
        page.push_str("</td>");
    }
    page.push_str("</tr>");
}

pub(super) fn sessions(page: &mut String, seen: &Overview, visitor: Visitor<'_>) {
    page.push_str("<section id=sessions><h2>Sessions now</h2>");
    if seen.sessions.is_empty() {
        page.push_str("<p class=quiet>Nobody is connected.</p></section>");
        return;
    }
    let mut columns = vec![
        "client",
        "state",
        "from",
        "since",
        "silent for",
        "encrypted",
    ];
    if matches!(visitor, Visitor::Operator(_)) {
        columns.push("");
    }
    begin(page, &columns);
    for session in &seen.sessions {
        page.push_str("<tr><th scope=row data-label=client>");
        match (&session.client, &session.account) {
            (Some(client), Some(account)) => {
                let (client, account) = (Text(client), Text(account));
                let _ = write!(page, "{client} <span class=quiet>{account}</span>");
            }
            (Some(client), None) => {
                let _ = write!(page, "{}", Text(client));
            }
            (None, _) => page.push_str("<span class=quiet>not logged in</span>"),
        }
        page.push_str("</th>");
        cell(page, "state", state(session.state));
        cell(page, "from", session.peer);
        when(page, "since", session.since, seen.time);
        let still = i64::try_from(session.still_for.as_secs()).unwrap_or(i64::MAX);
        cell(page, "silent for", ago(still));
        cell(
            page,
            "encrypted",
            if session.encrypted { "yes" } else { "no" },
        );
        if let Visitor::Operator(key) = visitor {
            page.push_str("<td class=action>");
            forms::end(page, key, &session.id);
            page.push_str("</td>");
        }
        page.push_str("</tr>");
    }
    page.push_str("</tbody></table>");
    if seen.more_sessions > 0 {
        let _ = write!(page, "<p class=quiet>And {} more.</p>", seen.more_sessions);
    }
    page.push_str("</section>");
}

pub(super) fn upstreams(page: &mut String, seen: &Overview) {
    page.push_str("<section id=upstreams><h2>Upstreams</h2>");
    begin(
        page,
        &["upstream", "in use", "kept", "last connected", "trouble"],
    );
    for upstream in &seen.upstreams {
        one_upstream(page, upstream, seen.time);
    }
    page.push_str("</tbody></table></section>");
}

fn one_upstream(page: &mut String, upstream: &UpstreamView, now: i64) {
    let failing = upstream.failed.as_ref().filter(|(at, _)| {
        upstream
            .connected_at
            .is_none_or(|connected| connected < *at)
    });
    let class = match (failing, upstream.left_alone.is_empty()) {
        (Some(_), _) => "bad",
        (None, false) => "warning",
        (None, true) => "plain",
    };
    let _ = write!(
        page,
        "<tr class={class}><th scope=row data-label=upstream>{} <span class=quiet>{}</span></th>",
        Text(&upstream.name),
        Text(&upstream.address)
    );
    let (used, kept) = upstream.connections;
    number(page, "in use", used);
    number(page, "kept", kept);
    match upstream.connected_at {
        Some(at) => when(page, "last connected", at, now),
        None => cell(page, "last connected", "not since the start"),
    }
    page.push_str("<td data-label=trouble>");
    if failing.is_none() && upstream.left_alone.is_empty() {
        page.push_str("none");
    }
    if let Some((at, why)) = failing {
        let _ = write!(page, "{} ago: {}. ", ago(now - at), Text(why));
    }
    for left in &upstream.left_alone {
        let whom = left.login.as_deref().unwrap_or("all");
        let seconds = i64::try_from(left.left.as_secs() + 1).unwrap_or(i64::MAX);
        let what = match left.keeps_connections {
            true => "no new connections",
            false => "left alone",
        };
        let _ = write!(
            page,
            "{}: {what} for {} more, because {}. ",
            Text(whom),
            ago(seconds),
            Text(&left.why)
        );
    }
    page.push_str("</td></tr>");
}

fn begin(page: &mut String, columns: &[&str]) {
    page.push_str("<table><thead><tr>");
    for column in columns {
        match *column {
            // A column of buttons.
            "" => page.push_str("<td></td>"),
            column => {
                let _ = write!(page, "<th scope=col>{column}</th>");
            }
        }
    }
    page.push_str("</tr></thead><tbody>");
}

/// `value` is HTML.
fn cell(page: &mut String, label: &str, value: impl Display) {
    let _ = write!(page, "<td data-label=\"{label}\">{value}</td>");
}

fn number(page: &mut String, label: &str, value: impl Display) {
    let _ = write!(page, "<td class=number data-label=\"{label}\">{value}</td>");
}

fn when(page: &mut String, label: &str, at: i64, now: i64) {
    let (exact, ago) = (utc(at), ago(now - at));
    let _ = write!(
        page,
        "<td data-label=\"{label}\"><time title=\"{}\">{ago} ago</time></td>",
        Text(&exact)
    );
}

/// Octets as people read them.
fn size(octets: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut size = octets;
    let mut unit = 0;
    while size >= 10 * 1024 && unit + 1 < units.len() {
        size /= 1024;
        unit += 1;
    }
    format!("{size} {}", units[unit])
}

#[cfg(test)]
mod size_tests {
    use super::size;

    #[test]
    fn sizes_have_two_digits_and_more() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(10 * 1024 - 1), "10239 B");
        assert_eq!(size(2_500_000_000), "2384 MiB");
        assert_eq!(size(u64::MAX), "16777215 TiB");
    }
}
