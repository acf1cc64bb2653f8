//! The status page as HTML: one document that loads nothing else, complete without JavaScript, and live with it.
//!
//! Pure. Whatever comes from elsewhere goes through [`Text`]. Must not know: who may see it.

mod forms;
mod tables;
mod text;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::attention;
use super::logins::Stage;
use crate::bridge::Overview;
use crate::commands::times::{ago, utc};
use crate::secret::Secret;
use crate::telemetry::{Noted, Recent};
use text::Text;

const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = include_str!("page/script.js");

/// What a browser may do with the page: its one style and one script, known by their hashes, and questions to where it came from.
pub(super) static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = |text: &str| STANDARD.encode(digest(&SHA256, text.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:; connect-src 'self'; form-action 'self'; \
         base-uri 'none'; frame-ancestors 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
});

/// For whom the page is.
#[derive(Clone, Copy)]
pub(super) enum Visitor<'a> {
    /// Who may act, by forms with this key.
    Operator(&'a Secret),
    /// Who may read, and log in.
    Reader,
    /// Who may read: there is no token to log in with.
    ReaderForEver,
}

/// The page around what changes.
pub(super) fn whole(visitor: Visitor<'_>, notice: Option<&str>, content: &str) -> String {
    let mut page = head();
    page.push_str("<nav>");
    match visitor {
        Visitor::Operator(key) => forms::log_out(&mut page, key),
        Visitor::Reader => forms::log_in(&mut page, true),
        Visitor::ReaderForEver => {}
    }
    page.push_str("</nav></header>");
    if let Some(notice) = notice {
        let _ = write!(page, "<p class=notice role=status>{}</p>", Text(notice));
    }
    let _ = write!(
        page,
        "<main id=live>{content}</main>\
         <footer><a href=\"/status.json\">the same as JSON</a> <a href=\"/metrics\">metrics</a> \
         <span id=pulse></span></footer><script>{SCRIPT}</script></body></html>"
    );
    page
}

/// What somebody sees who is kept out.
pub(super) fn door(words: &str, asks: bool) -> String {
    let mut page = head();
    let _ = write!(page, "</header><main class=door><p>{}</p>", Text(words));
    if asks {
        forms::log_in(&mut page, false);
    }
    page.push_str("<p><a href=\"/\">back to the page</a></p></main></body></html>\n");
    page
}

fn head() -> String {
    // Without JavaScript the page is loaded again; with it only what changes.
    format!(
        "<!doctype html><html lang=en><head><meta charset=utf-8>\
         <meta name=viewport content=\"width=device-width, initial-scale=1\"><title>popbridge</title>\
         <link rel=icon href=\"data:,\"><noscript><meta http-equiv=refresh content=15></noscript>\
         <style>{STYLE}</style></head><body><header><h1>popbridge</h1><span class=quiet>{}</span>",
        env!("CARGO_PKG_VERSION")
    )
}

/// What changes: the sections of the page.
pub(super) fn content(
    seen: &Overview,
    recent: &Recent,
    logins: &HashMap<String, Stage>,
    visitor: Visitor<'_>,
) -> String {
    let mut page = String::with_capacity(16 * 1024);
    summary(&mut page, seen);
    needs_attention(&mut page, seen);
    tables::mailboxes(&mut page, seen, logins, visitor);
    tables::sessions(&mut page, seen, visitor);
    tables::upstreams(&mut page, seen);
    lately(
        &mut page,
        "errors",
        "Last errors and warnings",
        "None since the start.",
        &recent.troubles,
        seen.time,
    );
    lately(
        &mut page,
        "refused",
        "Last refused log-ins",
        "None since the start.",
        &recent.refused,
        seen.time,
    );
    page
}

fn summary(page: &mut String, seen: &Overview) {
    let mailboxes = seen.mailboxes.as_deref().unwrap_or_default();
    let clients = || mailboxes.iter().flat_map(|one| &one.clients);
    let waiting: u64 = clients().map(|one| one.waiting).sum();
    let sessions = seen.sessions.len() + seen.more_sessions;
    let clients = clients().filter(|one| one.removed_at.is_none()).count();
    let more = if seen.more_mailboxes > 0 { "+" } else { "" };
    let _ = write!(
        page,
        "<section id=summary><dl class=figures>\
         <div><dt>mailboxes</dt><dd>{}{more}</dd></div><div><dt>clients</dt><dd>{clients}{more}</dd></div>\
         <div><dt>waiting for them</dt><dd>{waiting}{more}</dd></div><div><dt>sessions now</dt><dd>{sessions}</dd></div></dl>\
         <p class=quiet>As of {}; up for {}.</p></section>",
        mailboxes.len(),
        Text(&seconds_of_day(seen.time)),
        ago(seen.time - seen.since)
    );
}

/// To the second, so that whoever looks sees that it lives.
fn seconds_of_day(time: i64) -> String {
    let minute = utc(time);
    match minute.strip_suffix(" UTC") {
        Some(minute) => format!("{minute}:{:02} UTC", time.rem_euclid(60)),
        None => minute,
    }
}

fn needs_attention(page: &mut String, seen: &Overview) {
    let items = attention::items(seen);
    page.push_str("<section id=attention>");
    if items.is_empty() {
        page.push_str("<p class=well>Nothing needs attention.</p></section>");
        return;
    }
    page.push_str("<h2>Needs attention</h2><ul>");
    for item in items {
        let _ = write!(
            page,
            "<li class={}>{}</li>",
            item.severity.word(),
            Text(&item.words)
        );
    }
    page.push_str("</ul></section>");
}

/// What was logged lately.
fn lately(page: &mut String, id: &str, title: &str, none: &str, noted: &[Noted], now: i64) {
    let _ = write!(page, "<section id={id}><h2>{title}</h2>");
    if noted.is_empty() {
        let _ = write!(page, "<p class=quiet>{none}</p></section>");
        return;
    }
    page.push_str("<ol class=log>");
    for one in noted {
        let class = if one.is_error { "bad" } else { "plain" };
        let _ = write!(
            page,
            "<li class={class}><time title=\"{}\">{} ago</time> {}",
            Text(&utc(one.last)),
            ago(now - one.last),
            Text(&one.words)
        );
        if let Some(session) = &one.session {
            let _ = write!(page, " <span class=quiet>{}</span>", Text(session));
        }
        if one.times > 1 {
            let _ = write!(
                page,
                " <span class=quiet>{} times in {}</span>",
                one.times,
                ago(one.last - one.first)
            );
        }
        page.push_str("</li>");
    }
    page.push_str("</ol></section>");
}
