use std::net::SocketAddr;
use std::time::Duration;

use super::super::tests::{client, overview};
use super::*;
use crate::bridge::SessionView;
use crate::metrics::SessionState;

fn busy() -> Overview {
    let mut seen = overview();
    seen.sessions.push(SessionView {
        id: "65a.7".to_owned(),
        peer: SocketAddr::from(([192, 0, 2, 7], 5000)),
        since: seen.time - 90,
        still_for: Duration::from_secs(4),
        state: SessionState::Transaction,
        encrypted: true,
        client: Some("desk1".to_owned()),
        account: Some("info".to_owned()),
    });
    seen
}

fn shown(seen: &Overview, visitor: Visitor<'_>) -> String {
    content(seen, &Recent::default(), &HashMap::new(), visitor)
}

#[test]
fn the_page_says_who_has_what_and_who_is_there() {
    let page = shown(&busy(), Visitor::Reader);
    for part in [
        "<dt>waiting for them</dt><dd>0</dd>",
        "Nothing needs attention.",
        "desk1 <span class=here>here now</span>",
        "<td class=number data-label=\"has had\">12</td>",
        "transaction",
        "192.0.2.7:5000",
        "<time title=\"2026-01-31 11:59 UTC\">10 s ago</time>",
        "As of 2026-01-31 11:59:59 UTC; up for 16 h.",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
}

#[test]
fn only_an_operators_page_has_forms_and_they_have_its_key() {
    let seen = busy();
    for visitor in [Visitor::Reader, Visitor::ReaderForEver] {
        assert!(!shown(&seen, visitor).contains("<form"));
    }
    assert!(whole(Visitor::Reader, None, "").contains("action=\"/log-in\""));
    assert!(!whole(Visitor::ReaderForEver, None, "").contains("<form"));
    let key = Secret::new("k-e-y".to_owned());
    let page = shown(&seen, Visitor::Operator(&key));
    let forms = page.matches("<form method=post").count();
    assert_eq!(forms, 2, "{page}");
    assert_eq!(page.matches("name=key value=\"k-e-y\"").count(), forms);
    assert!(page.contains("name=session value=\"65a.7\""), "{page}");
    assert!(page.contains("name=client value=\"desk1\""), "{page}");
}

#[test]
fn nothing_that_somebody_else_has_said_is_html() {
    let evil = "\"><script>alert('x')</script>";
    let mut seen = busy();
    let mailbox = &mut seen.mailboxes.as_mut().unwrap()[0];
    mailbox.login = evil.to_owned();
    mailbox.trouble = Some(evil.to_owned());
    mailbox.clients.push(client(evil, 3));
    seen.sessions[0].client = Some(evil.to_owned());
    seen.sessions[0].id = evil.to_owned();
    seen.upstreams[0].failed = Some((seen.time, evil.to_owned()));
    let noted = Noted {
        first: 1,
        last: 2,
        times: 3,
        is_error: true,
        words: evil.to_owned(),
        session: Some(evil.to_owned()),
    };
    let recent = Recent {
        troubles: vec![noted.clone()],
        refused: vec![noted],
    };
    let key = Secret::new("k".to_owned());
    let page = content(&seen, &recent, &HashMap::new(), Visitor::Operator(&key));
    assert!(
        !page.contains("<script") && !page.contains("alert('"),
        "{page}"
    );
    assert!(page.contains("&lt;script&gt;"), "{page}");
    let page = door(evil, true);
    assert!(!page.contains("<script"), "{page}");
    let page = whole(Visitor::Reader, Some(evil), "");
    assert_eq!(page.matches("<script").count(), 1, "its own");
}

#[test]
fn a_log_in_is_shown_as_far_as_it_has_come() {
    let key = Secret::new("k".to_owned());
    let box_of = |stage: Option<Stage>| {
        let mut page = String::new();
        forms::oauth(&mut page, &key, "info", stage.as_ref());
        page
    };
    assert_eq!(box_of(None).matches("/oauth/begin").count(), 2);
    let device = box_of(Some(Stage::Device {
        address: "https://idp.example/device".to_owned(),
        code: "WDJB-0001".to_owned(),
        user: "info@example.com".to_owned(),
    }));
    assert!(
        device.contains("WDJB-0001") && device.contains("/oauth/end"),
        "{device}"
    );
    assert!(!device.contains("/oauth/begin"), "{device}");
    let failed = box_of(Some(Stage::Failed("denied".to_owned())));
    assert!(
        failed.contains("No log-in: denied.") && failed.contains("/oauth/begin"),
        "{failed}"
    );
}

#[test]
fn the_policy_allows_the_pages_own_style_and_script_and_nothing_from_elsewhere() {
    assert!(POLICY.starts_with("default-src 'none'; "));
    assert!(!POLICY.contains("unsafe") && !POLICY.contains("http"));
    let page = whole(Visitor::Reader, None, "");
    // What stands between the tags is what the hashes are of.
    assert!(page.contains(&format!("<style>{STYLE}</style>")));
    assert!(page.contains(&format!("<script>{SCRIPT}</script>")));
    for elsewhere in ["http:", "https:", "src=", "@import", "url(", "style="] {
        assert!(!page.contains(elsewhere), "{elsewhere}");
    }
}
