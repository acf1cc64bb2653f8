//! The forms of the page: a log-in, and what an operator can do. All work without JavaScript.
//!
//! Pure. Must not know: what follows from them.

use std::fmt::Write;

use super::text::Text;
use crate::admin::logins::Stage;
use crate::secret::Secret;

/// Where the token is typed. Folded: behind a word.
pub(super) fn log_in(page: &mut String, folded: bool) {
    let form = "<form method=post action=\"/log-in\"><label>Admin token <input type=password name=token required \
                autocomplete=current-password></label> <button>Log in</button></form>";
    match folded {
        true => {
            let _ = write!(
                page,
                "<details id=log-in><summary>Log in to act</summary>{form}</details>"
            );
        }
        false => page.push_str(form),
    }
}

pub(super) fn log_out(page: &mut String, key: &Secret) {
    begin(page, "/log-out", key);
    page.push_str("<button>Log out</button></form>");
}

/// A client gets everything again: two clicks.
pub(super) fn reset(page: &mut String, key: &Secret, client: &str) {
    let name = Text(client);
    let _ = write!(
        page,
        "<details id=\"reset-{name}\"><summary>Reset</summary><p>{name} gets everything again that is still there.</p>"
    );
    begin(page, "/reset", key);
    field(page, "client", client);
    let _ = write!(page, "<button>Reset {name}</button></form></details>");
}

pub(super) fn end(page: &mut String, key: &Secret, session: &str) {
    begin(page, "/end", key);
    field(page, "session", session);
    page.push_str("<button>End</button></form>");
}

/// A log-in for an account, as far as it has come; or how to begin one.
pub(super) fn oauth(page: &mut String, key: &Secret, account: &str, stage: Option<&Stage>) {
    page.push_str("<div class=oauth>");
    match stage {
        None => {}
        Some(Stage::Begins) => page.push_str("<p>The authorization server is being asked …</p>"),
        Some(Stage::Device {
            address,
            code,
            user,
        }) => {
            let (address, code, user) = (Text(address), Text(code), Text(user));
            let _ = write!(
                page,
                "<p>Open <a href=\"{address}\" target=_blank rel=\"noopener noreferrer\">{address}</a> in a browser on any machine, enter the \
                 code <strong class=code>{code}</strong> and log in as {user}. This page tells what comes of it.</p>"
            );
        }
        Some(Stage::Code {
            address,
            back,
            user,
            foreign,
        }) => {
            let _ = write!(
                page,
                "<p>Open <a href=\"{}\" target=_blank rel=\"noopener noreferrer\">this address</a> and log in as {}. Unless that browser is on \
                 popbridge's machine, it ends at a page that it cannot show, whose address begins with {}: paste that address here.</p>",
                Text(address),
                Text(user),
                Text(back)
            );
            if *foreign {
                page.push_str("<p class=bad>What came back does not belong to this log-in, and was not used.</p>");
            }
            begin(page, "/oauth/paste", key);
            field(page, "account", account);
            page.push_str(
                "<label>Address <input name=pasted required autocomplete=off></label> <button>Go on</button></form>",
            );
        }
        Some(Stage::Tried) => {
            page.push_str("<p>The tokens are there and are tried at the upstream …</p>")
        }
        Some(Stage::Done(words)) => {
            let _ = write!(page, "<p class=well>{}</p>", Text(words));
        }
        Some(Stage::Failed(words)) => {
            let _ = write!(page, "<p class=bad>No log-in: {}.</p>", Text(words));
        }
    }
    if stage.is_none_or(Stage::is_over) {
        for (way, words) in [
            ("device", "Log in by a code"),
            ("code", "Log in by an address"),
        ] {
            begin(page, "/oauth/begin", key);
            field(page, "account", account);
            field(page, "way", way);
            let _ = write!(page, "<button>{words}</button></form>");
        }
    }
    if let Some(stage) = stage {
        begin(page, "/oauth/end", key);
        field(page, "account", account);
        let words = if stage.is_over() { "Hide this" } else { "Stop" };
        let _ = write!(page, "<button>{words}</button></form>");
    }
    page.push_str("</div>");
}

fn begin(page: &mut String, action: &str, key: &Secret) {
    let _ = write!(page, "<form method=post action=\"{action}\">");
    field(page, "key", key.expose());
}

fn field(page: &mut String, name: &str, value: &str) {
    let _ = write!(
        page,
        "<input type=hidden name={name} value=\"{}\">",
        Text(value)
    );
}
