//! The status page without a browser: what it tells to whom, who may act, and that nobody is made to.

use std::time::Instant;

use serde_json::{Value, json};

use crate::support::admin::{TOKEN, TokenFile};
use crate::support::bridge::{Bridge, field};
use crate::support::browser::{consent, get};
use crate::support::oauth_server::OAuthServer;
use crate::support::office::{LOGIN, Office, Plan, fetch};
use crate::support::process::eventually;
use crate::support::token_office::TokenOffice;

/// An office with two clients and three messages, and the token's file.
fn office() -> (Office, TokenFile) {
    let token = TokenFile::new();
    let office = Plan::default().limits(&token.table()).start();
    office.add("desk1", &[]);
    office.add("desk2", &[]);
    office.deliver(0..3);
    (office, token)
}

fn waiting(bridge: &Bridge, client: &str) -> Value {
    let document = bridge.status_document();
    let clients = document["mailboxes"][0]["clients"].as_array().unwrap();
    let one = clients.iter().find(|one| one["login"] == client);
    one.map_or(Value::Null, |one| one["waiting"].clone())
}

#[test]
fn programs_are_told_what_the_status_command_tells_and_who_is_there() {
    let (office, _token) = office();
    let bridge = office.bridge();
    let mut desk1 = office.client("desk1");
    fetch(&mut desk1);
    desk1.quit();
    let mut desk2 = office.client("desk2");
    assert_eq!(desk2.stat().0, 3);
    eventually("both tell the same", || {
        let status = office.status();
        let told = bridge.status_document()["mailboxes"][0].clone();
        let same = [
            "login", "upstream", "account", "token", "messages", "pending", "clients",
        ];
        same.iter().all(|key| told[key] == status[key])
    });
    assert_eq!(waiting(bridge, "desk1"), 0);
    assert_eq!(waiting(bridge, "desk2"), 3);
    let document = bridge.status_document();
    let session = &document["sessions"][0];
    assert_eq!(
        document["sessions"].as_array().unwrap().len(),
        1,
        "{document}"
    );
    assert_eq!(
        (&session["client"], &session["account"], &session["state"]),
        (&json!("desk2"), &json!("info"), &json!("transaction"))
    );
    assert_eq!(session["encrypted"], false);
    let state = |state: &str| {
        let label = format!("state=\"{state}\"");
        bridge.metric("popbridge_session_states", &[&label])
    };
    assert_eq!([state("authorization"), state("transaction")], [0.0, 1.0]);
    let upstream = &document["upstreams"][0];
    assert_eq!(upstream["name"], "mail");
    assert!(upstream["connected"].as_i64().unwrap() > 0, "{upstream}");
    assert_eq!(document["attention"], json!([]));
    let errors = document["errors"].as_array().unwrap();
    assert!(errors.iter().all(|one| one["error"] == false), "{document}");
    let said = errors.iter().map(|one| one["words"].to_string());
    assert!(
        said.into_iter()
            .all(|words| words.contains("self-signed certificate")),
        "{document}"
    );

    // A session is ended by whoever shows the token, and by nobody else.
    let form = format!("session={}", session["session"].as_str().unwrap());
    let refused = bridge.post("/end", &[], &form);
    assert_eq!(refused.status, 401, "{refused:?}");
    assert_eq!(desk2.stat().0, 3);
    let ended = bridge.act("/end", &form);
    assert_eq!((ended.status, &ended.json()["done"]), (200, &json!(true)));
    desk2.expect_end();
    bridge.wait_for_log("the end", |line| field(line, "end") == "operator");
    assert_eq!(bridge.act("/end", &form).status, 404);
    eventually("it is gone", || {
        bridge.status_document()["sessions"] == json!([]) && state("transaction") == 0.0
    });

    // A refused log-in is told of.
    bridge.pop3().ok("USER desk2");
    let mut wrong = bridge.pop3();
    wrong.ok("USER desk2");
    wrong.err("PASS not-it");
    let document = bridge.status_document();
    let words = document["refused_log_ins"][0]["words"].as_str().unwrap();
    assert!(words.contains("user=<desk2>"), "{document}");
}

#[test]
fn a_form_acts_only_as_the_page_that_it_was_given_with() {
    let (office, token) = office();
    let bridge = office.bridge();
    let mut desk1 = office.client("desk1");
    assert_eq!(fetch(&mut desk1).len(), 3);
    desk1.ok("DELE 1");
    desk1.quit();
    eventually("it is told", || waiting(bridge, "desk1") == 0);
    let (cookie, key) = bridge.operator();
    let (_, other_key) = bridge.operator();
    let here = format!("Origin: http://127.0.0.1:{}", bridge.admin_port);
    let form = format!("client=desk1&key={key}");
    let guessed = format!("client=desk1&key={other_key}");
    let cross: [(&[&str], &str); 7] = [
        // Another site's page has no cookie, as that is for this site only; a browser that sends it all the same says whose form it is.
        (&[], form.as_str()),
        (&[&cookie], "client=desk1"),
        (&[&cookie], &guessed),
        (&[&cookie, "Origin: http://evil.example"], &form),
        (&[&cookie, "Origin: null"], &form),
        (&[&cookie, &here, "Sec-Fetch-Site: cross-site"], &form),
        (&[&cookie, &here, "Sec-Fetch-Site: same-site"], &form),
    ];
    for (fields, form) in cross {
        let answer = bridge.post("/reset", fields, form);
        assert!(matches!(answer.status, 401 | 403), "{fields:?}: {answer:?}");
    }
    // Asking by GET does nothing either.
    assert_eq!(
        bridge
            .get_with(&format!("/reset?{form}"), &[&cookie])
            .status,
        405
    );
    let mut desk1 = office.client("desk1");
    assert_eq!(desk1.stat().0, 2, "nothing was done");
    desk1.quit();

    let done = bridge.post(
        "/reset",
        &[&cookie, &here, "Sec-Fetch-Site: same-origin"],
        &form,
    );
    assert_eq!(
        (done.status, done.field("location")),
        (303, Some("/")),
        "{done:?}"
    );
    let notice = "What desk1 has had and deleted is forgotten";
    assert!(bridge.get_with("/", &[&cookie]).body.contains(notice));
    assert!(
        !bridge.get_with("/", &[&cookie]).body.contains(notice),
        "it is told once"
    );
    assert_eq!(waiting(bridge, "desk1"), 3);
    let mut desk1 = office.client("desk1");
    assert_eq!(fetch(&mut desk1).len(), 3);
    desk1.quit();

    // Who has logged out, or whose token is none any more, has to log in again.
    let out = bridge.post("/log-out", &[&cookie], &format!("key={key}"));
    assert_eq!(out.status, 303, "{out:?}");
    assert_eq!(bridge.post("/reset", &[&cookie], &form).status, 401);
    let (cookie, key) = bridge.operator();
    token.write("another-token-than-before");
    let form = format!("client=desk1&key={key}");
    assert_eq!(bridge.post("/reset", &[&cookie], &form).status, 401);
    assert_eq!(bridge.act("/reset", "client=desk1").status, 401);
}

#[test]
fn whoever_comes_from_elsewhere_shows_the_token_and_does_not_guess_it() {
    let (office, _token) = office();
    let bridge = office.bridge();
    let shown = format!("Authorization: Bearer {TOKEN}");
    let elsewhere = [
        "X-Forwarded-For: 192.0.2.1",
        "Forwarded: for=192.0.2.1",
        // A site that leads a browser to this machine by its name.
        "Host: evil.example",
    ];
    for path in ["/", "/live", "/status.json"] {
        for fields in elsewhere {
            let closed = bridge.get_with(path, &[fields]);
            assert_eq!(closed.status, 401, "{path} {fields}: {closed:?}");
            assert!(!closed.body.contains("desk1"), "{closed:?}");
            let open = bridge.get_with(path, &[fields, &shown]);
            assert_eq!(open.status, 200, "{path} {fields}: {open:?}");
            assert!(open.body.contains("desk1"), "{open:?}");
        }
        let answer = bridge.get_with(path, &[]);
        for (name, part) in [
            ("content-security-policy", "default-src 'none'; "),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "same-origin"),
        ] {
            let value = answer.field(name).unwrap_or_default();
            assert!(value.contains(part), "{path}: {answer:?}");
        }
    }
    // Health is for everybody.
    assert_eq!(bridge.get_with("/healthz", &[elsewhere[0]]).status, 200);

    let begun = Instant::now();
    let mut looked_at = 0_u64;
    for number in 0..50 {
        let guess = format!("token=guess-number-{number:08}");
        let answer = bridge.post("/log-in", &[], &guess);
        match answer.status {
            401 => looked_at += 1,
            429 => assert!(answer.field("retry-after").is_some(), "{answer:?}"),
            _ => panic!("{answer:?}"),
        }
    }
    let seconds = begun.elapsed().as_secs();
    assert!(
        (1..=1 + seconds).contains(&looked_at),
        "{looked_at} guesses in {seconds} s"
    );
    // Reading here goes on.
    assert_eq!(bridge.get_with("/", &[]).status, 200);
    let document = bridge.status_document();
    let words = document["errors"].to_string();
    assert!(
        words.contains("somebody has shown a wrong admin token"),
        "{words}"
    );
    assert!(!words.contains("guess"), "{words}");
}

#[test]
fn without_a_token_this_machine_reads_and_nobody_acts() {
    let office = Office::start();
    office.add("desk1", &[]);
    let bridge = office.bridge();
    let page = bridge.get_with("/", &[]);
    assert_eq!(page.status, 200);
    assert!(
        page.body.contains("desk1") && !page.body.contains("<form"),
        "{page:?}"
    );
    for fields in [
        &[][..],
        &["Authorization: Bearer "],
        &["Authorization: Bearer x"],
    ] {
        let refused = bridge.post("/reset", fields, "client=desk1");
        assert_eq!(refused.status, 403, "{refused:?}");
        let words = refused.json()["words"].to_string();
        assert!(words.contains("token_file"), "{words}");
    }
    assert_eq!(bridge.post("/log-in", &[], "token=").status, 403);
    let proxied = bridge.get_with("/", &["X-Forwarded-For: 192.0.2.1"]);
    assert_eq!(proxied.status, 403, "{proxied:?}");
    assert!(!proxied.body.contains("desk1"));
    // A token that could be guessed is refused at the start.
    let (code, said) = {
        let token = TokenFile::new();
        token.write("too-short");
        let mut office = office;
        office.also(&token.table());
        office.close();
        office.refuses_to_open()
    };
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("the admin token has fewer than 16 characters"),
        "{said}"
    );
}

#[test]
fn a_person_logs_in_for_an_account_by_a_code_or_by_an_address() {
    let token = TokenFile::new();
    let server = OAuthServer::start();
    let table = server.table("test", "");
    let plan = Plan::default().rules(&token.table());
    let it = TokenOffice::before(server, &table, "xoauth2", plan);
    it.office.add("desk", &[]);
    it.office.deliver(0..1);
    let bridge = it.office.bridge();
    let state = || bridge.status_document()["mailboxes"][0]["token"]["state"].clone();
    assert_eq!(state(), "missing");
    let (cookie, _) = bridge.operator();
    let page = || bridge.get_with("/", &[&cookie]).body;
    assert!(page().contains("nobody has logged in yet"));
    assert_eq!(
        bridge
            .act("/oauth/begin", "account=other&way=device")
            .status,
        409
    );

    let begun = bridge.act("/oauth/begin", "account=info&way=device");
    assert_eq!(begun.status, 200, "{begun:?}");
    let shown = page();
    assert!(shown.contains("<strong class=code>WDJB-"), "{shown}");
    // Readers are not shown it.
    assert!(!bridge.get_with("/", &[]).body.contains("WDJB-"));
    it.server.decide(Ok("ann@example.com"));
    eventually("somebody else's are not kept", || {
        page().contains("No log-in: ")
    });
    assert!(page().contains("Nothing has changed"), "{}", page());
    assert_eq!(state(), "missing");
    bridge.act("/oauth/begin", "account=info&way=device");
    it.server.decide(Ok(LOGIN));
    eventually("it is kept", || state() == "good");
    assert!(it.works("desk"));
    assert_eq!(it.poll("desk").len(), 1);

    // By an address whose end a person pastes.
    let address = |page: &str| {
        let (_, rest) = page.split_once("Open <a href=\"").expect("an address");
        rest.split('"').next().unwrap().replace("&amp;", "&")
    };
    bridge.act("/oauth/begin", "account=info&way=code");
    let back = consent(&address(&page()));
    let encoded = back
        .replace('&', "%26")
        .replace('=', "%3D")
        .replace('+', "%2B");
    let pasted = bridge.act(
        "/oauth/paste",
        "account=info&pasted=http%3A%2F%2F127.0.0.1%3A1%2F%3Fcode%3Dx%26state%3Dy",
    );
    assert_eq!(pasted.status, 200, "{pasted:?}");
    eventually("it belongs to nothing", || {
        page().contains("does not belong to this log-in")
    });
    let pasted = bridge.act("/oauth/paste", &format!("account=info&pasted={encoded}"));
    assert_eq!(pasted.status, 200, "{pasted:?}");
    let kept = "The account is opened with these tokens from now on.";
    eventually("it is kept", || page().contains(kept));
    assert_eq!(it.server.grants("authorization_code"), 1);
    assert_eq!(bridge.act("/oauth/end", "account=info").status, 200);
    assert!(!page().contains(kept));

    // By a browser on this machine, which comes back by itself.
    bridge.act("/oauth/begin", "account=info&way=code");
    let (status, said) = get(&consent(&address(&page())));
    assert_eq!(status, 200, "{said}");
    eventually("it is kept", || page().contains(kept));
    assert_eq!(it.server.grants("authorization_code"), 2);
    let whole = [page(), bridge.status_document().to_string()];
    assert_eq!(it.leaks(&whole), None);
}
