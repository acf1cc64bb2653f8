//! The status page in a real browser, on a desk and on a phone, with and without JavaScript.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::admin::{TOKEN, TokenFile};
use crate::support::chromium::Chromium;
use crate::support::clock::DAY;
use crate::support::office::{Office, Plan, fetch};

/// Where pictures go: where the variable says (`docs`, for README's), else out of the way.
fn picture(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = std::env::var("POPBRIDGE_PICTURES").unwrap_or_else(|_| "target".to_owned());
    root.join(folder).join(name)
}

fn office() -> (Office, TokenFile) {
    let token = TokenFile::new();
    let plan = Plan::default().with_clock().limits(&token.table());
    let office = plan.start();
    for client in ["desk1", "desk2", "scanner"] {
        office.add(client, &[]);
    }
    office.deliver(0..5);
    let mut desk1 = office.client("desk1");
    fetch(&mut desk1);
    desk1.quit();
    (office, token)
}

fn address(office: &Office) -> String {
    format!("http://127.0.0.1:{}/", office.bridge().admin_port)
}

/// The row of a client, as an expression.
fn row(client: &str) -> String {
    format!(
        "[...document.querySelectorAll('.mailbox tbody tr')].find(row => row.innerText.trim().startsWith({client:?}))"
    )
}

#[test]
fn it_lives_without_being_loaded_again_and_loads_nothing_from_elsewhere() {
    let (office, _token) = office();
    let mut browser = Chromium::start();
    browser.resize(1100, 805, false);
    browser.open(&address(&office));
    browser.value("window.since = 'the beginning'");
    let waiting = |client: &str| {
        format!(
            "{}.querySelector('[data-label=waiting]').innerText === ",
            row(client)
        )
    };
    browser.eventually(&format!("{}'0'", waiting("desk1")));
    browser.eventually(&format!("{}'5'", waiting("desk2")));

    // Somebody is missed, somebody comes, and is there at once.
    office.ahead(3 * DAY);
    office.client("desk1").quit();
    let mut desk2 = office.client("desk2");
    assert_eq!(fetch(&mut desk2).len(), 5);
    browser.eventually("document.querySelector('#attention').innerText.includes('scanner has never collected its mail in 3 days: 5 messages wait.')");
    browser.eventually(&format!("{}.innerText.includes('here now')", row("desk2")));
    browser.eventually("document.querySelector('#sessions tbody').innerText.includes('desk2')");
    browser.eventually("document.querySelector('#pulse').innerText === 'live'");
    browser.screenshot(&picture("status.png"));

    // What is open stays open, and what is typed stays typed.
    browser.press("document.querySelector('#log-in summary')");
    browser.press("document.querySelector('#log-in input')");
    browser.type_text("half a to");
    desk2.quit();
    browser.eventually(&format!("{}'0'", waiting("desk2")));
    browser.eventually(
        "document.querySelector('#sessions').innerText.includes('Nobody is connected')",
    );
    assert_eq!(
        browser.value("document.querySelector('#log-in').open"),
        true
    );
    assert_eq!(
        browser.value("document.querySelector('#log-in input').value"),
        "half a to"
    );
    assert_eq!(browser.value("window.since"), "the beginning");
    assert_eq!(browser.text("#pulse"), "live");

    // A phone shows the same, and nothing has to be pushed sideways.
    browser.resize(390, 844, true);
    for (width, is_phone) in [(390, true), (320, true), (1100, false)] {
        browser.resize(width, 844, is_phone);
        let wide = browser.value("document.scrollingElement.scrollWidth - innerWidth");
        assert!(
            wide.as_i64().is_some_and(|wide| wide <= 0),
            "{width}: {wide}"
        );
    }
    browser.resize(390, 844, true);
    browser.open(&address(&office));
    // Each figure says what it is.
    let label =
        "getComputedStyle(document.querySelector('[data-label=waiting]'), '::before').content";
    assert_eq!(browser.value(label), "\"waiting\"");
    assert!(browser.text(".mailbox tbody").contains("scanner"));
    browser.screenshot(&picture("status-phone.png"));

    let here = address(&office);
    let asked = browser.requests();
    assert!(asked.iter().any(|one| one.ends_with("/live")), "{asked:?}");
    let elsewhere = asked
        .iter()
        .filter(|one| !one.starts_with(&here) && !one.starts_with("data:"));
    let elsewhere: Vec<&String> = elsewhere.filter(|one| *one != "about:blank").collect();
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
    assert_eq!(browser.complaints(), Vec::<Value>::new());
}

#[test]
fn everything_works_without_javascript() {
    let (office, _token) = office();
    let mut browser = Chromium::start();
    browser.resize(390, 844, true);
    browser.without_scripts();
    browser.open(&address(&office));
    assert!(browser.text("body").contains("scanner"));
    assert_eq!(browser.text("#pulse"), "", "no script has run");
    let button = |words: &str| {
        format!("[...document.querySelectorAll('button')].find(one => one.innerText === {words:?})")
    };

    browser.press("document.querySelector('#log-in summary')");
    browser.press("document.querySelector('#log-in input')");
    browser.type_text(TOKEN);
    browser.and_wait_for_the_page(|it| it.press(&button("Log in")));
    assert!(browser.text("header").contains("Log out"));

    let mut desk2 = office.client("desk2");
    desk2.ok("NOOP");
    browser.open(&address(&office));
    browser.and_wait_for_the_page(|it| it.press(&button("End")));
    desk2.expect_end();
    assert!(browser.text(".notice").contains(" ends."));

    browser.press("document.getElementById('reset-desk1').querySelector('summary')");
    browser.and_wait_for_the_page(|it| it.press(&button("Reset desk1")));
    assert!(
        browser
            .text(".notice")
            .contains("desk1 has had and deleted is forgotten")
    );
    assert_eq!(office.client("desk1").stat().0, 5);

    browser.and_wait_for_the_page(|it| it.press(&button("Log out")));
    assert!(!browser.text("body").contains("Log out"));
    assert_eq!(browser.complaints(), Vec::<Value>::new());
}
