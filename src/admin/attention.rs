//! What an operator should look at first, in sentences: made of what the overview says, worst things first.
//!
//! Pure. Must not know: how it is shown.

use crate::bridge::{MailboxView, Overview, Standing, UpstreamView};
use crate::commands::times::ago;
use crate::commands::tokens::{sentence_of, state_of};

/// A client with mail that has not come for so long is missed.
const MISSED: i64 = 24 * 60 * 60;
/// From so many hundredths of a day's octets on the bridge fetches less, and from so many on nothing.
const NEAR: u64 = 80;
const REACHED: u64 = 95;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Item {
    pub(super) severity: Severity,
    pub(super) words: String,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Severity {
    /// Somebody gets no mail.
    Bad,
    /// Somebody may get no mail soon.
    Warning,
}

impl Severity {
    /// In one word, for programs and styles.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Bad => "bad",
            Self::Warning => "warning",
        }
    }
}

/// All of it.
pub(super) fn items(seen: &Overview) -> Vec<Item> {
    let mut items = Vec::new();
    match &seen.mailboxes {
        Err(why) => items.push(bad(format!("The state cannot be read: {why}."))),
        Ok(mailboxes) => {
            for mailbox in mailboxes {
                of_mailbox(mailbox, seen.time, &mut items);
            }
        }
    }
    for upstream in &seen.upstreams {
        of_upstream(upstream, seen.time, &mut items);
    }
    // In the order in which they were found, within a severity.
    items.sort_by_key(|item| item.severity);
    items
}

fn bad(words: String) -> Item {
    let severity = Severity::Bad;
    Item { severity, words }
}

fn warning(words: String) -> Item {
    let severity = Severity::Warning;
    Item { severity, words }
}

fn of_mailbox(mailbox: &MailboxView, now: i64, items: &mut Vec<Item>) {
    let name = name_of(mailbox);
    if let Some(trouble) = &mailbox.trouble {
        items.push(bad(format!("{name}: {trouble}.")));
    }
    if let Some(token) = &mailbox.token {
        let sentence = sentence_of(&token.standing, token.needs_a_person);
        match state_of(&token.standing, token.needs_a_person) {
            "good" | "none" => {}
            "failing" => items.push(warning(format!("{name}: token {sentence}."))),
            _ => items.push(bad(format!("{name}: token {sentence}."))),
        }
    }
    if let Some(octets) = &mailbox.received {
        let percent = percent(octets.received, octets.allowed);
        if percent >= REACHED {
            items.push(bad(format!(
                "{name}: {percent} % of what may be received in a day: messages wait."
            )));
        } else if percent >= NEAR {
            items.push(warning(format!(
                "{name}: {percent} % of what may be received in a day."
            )));
        }
    }
    if let Some(stop) = &mailbox.stopped {
        items.push(warning(format!(
            "{name}: a sweep would take {} of {} messages and waits for a word: `popbridge sweep --dry-run` shows it, \
             `popbridge sweep --confirm` agrees.",
            stop.would_take, stop.of
        )));
    }
    for pending in &mailbox.pending {
        if let Some(error) = &pending.last_error {
            items.push(warning(format!(
                "{name}: {} to {} upstream, not done yet: {error}.",
                messages(pending.messages),
                pending.action
            )));
        }
    }
    if mailbox.unreadable > 0 {
        items.push(warning(format!(
            "{name}: {} could not be read upstream.",
            messages(mailbox.unreadable)
        )));
    }
    for client in &mailbox.clients {
        if let Some(silent) = missed_for(client, now) {
            let waiting = usize::try_from(client.waiting).unwrap_or(usize::MAX);
            let since = match client.last_seen {
                Some(_) => format!("has not collected its mail for {}", ago(silent)),
                None => format!("has never collected its mail in {}", ago(silent)),
            };
            let verb = if waiting == 1 { "waits" } else { "wait" };
            items.push(warning(format!(
                "{} {since}: {} {verb}.",
                client.login,
                messages(waiting)
            )));
        }
    }
}

fn of_upstream(upstream: &UpstreamView, now: i64, items: &mut Vec<Item>) {
    let name = &upstream.name;
    for left in &upstream.left_alone {
        let seconds = i64::try_from(left.left.as_secs() + 1).unwrap_or(i64::MAX);
        let (left_for, why) = (ago(seconds), &left.why);
        items.push(match &left.login {
            None => bad(format!(
                "{name} is left alone for {left_for} more, because {why}."
            )),
            Some(login) => warning(format!(
                "{name} is left alone for {login} for {left_for} more, because {why}."
            )),
        });
    }
    if let Some((at, why)) = &upstream.failed
        && upstream
            .connected_at
            .is_none_or(|connected| connected < *at)
    {
        items.push(bad(format!(
            "{name} could not be connected to {} ago, and not since: {why}.",
            ago(now - at)
        )));
    }
}

/// For how long a client with mail was not there, if that is too long.
pub(super) fn missed_for(client: &Standing, now: i64) -> Option<i64> {
    let counts = client.waiting > 0 && client.removed_at.is_none() && !client.expired;
    // What came a moment ago is missed by nobody.
    let since = client.last_seen.unwrap_or(client.enrolled_at);
    let oldest = client.oldest_waiting.unwrap_or(since);
    let silent = now - since;
    (counts && silent >= MISSED && now - oldest >= MISSED).then_some(silent)
}

/// As the page calls a mailbox.
pub(super) fn name_of(mailbox: &MailboxView) -> &str {
    mailbox.account.as_deref().unwrap_or(&mailbox.login)
}

/// Hundredths, rounded down.
pub(super) fn percent(part: u64, whole: u64) -> u64 {
    let percent = u128::from(part) * 100 / u128::from(whole.max(1));
    u64::try_from(percent).unwrap_or(u64::MAX)
}

/// `1 message`, `2 messages`.
pub(super) fn messages(n: usize) -> String {
    match n {
        1 => "1 message".to_owned(),
        n => format!("{n} messages"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests::{client, mailbox, overview, upstream};
    use super::*;
    use crate::bridge::{Actions, LeftAlone, Received};

    const DAY: i64 = 24 * 60 * 60;

    fn words(seen: &Overview) -> Vec<String> {
        items(seen).into_iter().map(|item| item.words).collect()
    }

    #[test]
    fn nothing_is_said_where_all_is_well() {
        assert_eq!(items(&overview()), []);
    }

    #[test]
    fn a_client_is_missed_that_leaves_its_mail_for_a_day() {
        let now = overview().time;
        let mut away = client("desk2", 41);
        away.last_seen = Some(now - 3 * DAY);
        away.oldest_waiting = Some(now - 2 * DAY);
        assert_eq!(missed_for(&away, now), Some(3 * DAY));
        let mut seen = overview();
        seen.mailboxes.as_mut().unwrap()[0]
            .clients
            .push(away.clone());
        let sentence = "desk2 has not collected its mail for 3 days: 41 messages wait.";
        assert_eq!(words(&seen), [sentence]);
        // Nothing waits, or what waits came just now, or nobody waits for it.
        let mut empty = away.clone();
        empty.waiting = 0;
        let mut new = away.clone();
        new.oldest_waiting = Some(now - 60);
        let mut removed = away.clone();
        removed.removed_at = Some(now - 60);
        for one in [empty, new, removed] {
            assert_eq!(missed_for(&one, now), None, "{one:?}");
        }
        away.last_seen = None;
        away.enrolled_at = now - 2 * DAY;
        assert_eq!(missed_for(&away, now), Some(2 * DAY));
    }

    #[test]
    fn what_stops_mail_is_said_before_what_may_stop_it() {
        let mut seen = overview();
        let mut one = mailbox("info");
        one.received = Some(Received {
            allowed: 1000,
            received: 801,
        });
        one.pending.push(Actions {
            action: "expunge".to_owned(),
            messages: 1,
            last_error: Some("no answer".to_owned()),
        });
        let mut other = upstream("office");
        other.left_alone.push(LeftAlone {
            login: None,
            left: Duration::from_secs(200),
            keeps_connections: true,
            why: "it lets nobody in".to_owned(),
        });
        other.failed = Some((seen.time - 30, "cannot connect".to_owned()));
        seen.mailboxes = Ok(vec![one]);
        seen.upstreams = vec![other];
        assert_eq!(
            words(&seen),
            [
                "office is left alone for 3 min more, because it lets nobody in.",
                "office could not be connected to 30 s ago, and not since: cannot connect.",
                "info: 80 % of what may be received in a day.",
                "info: 1 message to expunge upstream, not done yet: no answer.",
            ]
        );
        // It was connected to since.
        seen.upstreams[0].left_alone.clear();
        seen.upstreams[0].connected_at = Some(seen.time - 10);
        assert_eq!(words(&seen).len(), 2);
        seen.mailboxes = Err("gone".to_owned());
        assert_eq!(words(&seen), ["The state cannot be read: gone."]);
    }
}
