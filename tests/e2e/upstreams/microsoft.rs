//! Microsoft 365, Outlook.com and Exchange: sizes that are estimates, items in any order, capabilities that come with the log-in, and
//! messages that are listed and cannot be had.

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::many::{Many, Row, bridged, log_in};
use crate::support::bridge::{Options, run};
use crate::support::browser::{LoginCommand, consent, get};
use crate::support::imap_peer::{Flow, Peer};
use crate::support::mail::{ordinary, repaired};
use crate::support::oauth_server::OAuthServer;
use crate::support::peer_conn::{Cmd, Conn};
use crate::support::peer_office::PeerOffice;
use crate::support::process::eventually;
use crate::support::tree::{Account, Tree};

const BEFORE: &str = "IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS ID UNSELECT CHILDREN IDLE NAMESPACE LITERAL+";
const AFTER: &str = "IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS MOVE ID UNSELECT CLIENTACCESSRULES \
     CLIENTNETWORKPRESENCELOCATION BACKENDAUTHENTICATE CHILDREN IDLE NAMESPACE LITERAL+";

const NOTICE: &str = "From: Microsoft Exchange Server\r\nTo: ann@example.com\r\n\
     Subject: Retrieval using the IMAP4 protocol failed for the following message: 2\r\n\r\n\
     The server couldn't retrieve the following message:\r\n\r\nSubject: \"Invitation\"\r\n\r\n\
     The message hasn't been deleted. You might be able to view it using either Outlook or Outlook Web App.\r\n";

/// What Exchange stores is so much longer than what it gives.
const MORE: usize = 137;

/// A row of the list, its items in an order of its own.
fn row(position: usize, uid: u32, size: usize, date: &str) -> String {
    let items = [
        format!("UID {uid}"),
        format!("RFC822.SIZE {size}"),
        format!("INTERNALDATE \"{date}\""),
    ];
    let turned: Vec<&str> = (0..3).map(|n| items[(n + position) % 3].as_str()).collect();
    format!("* {position} FETCH ({})", turned.join(" "))
}

/// Exchange Online as it speaks, with three messages.
fn exchange() -> Peer {
    let peer = Peer::with_mail(3)
        .greeting("* OK The Microsoft Exchange IMAP4 service is ready. [RgBSADIAUAAyADgAMQBDAEEAMAAxADEANwA=]")
        .capability(BEFORE)
        .capability_after_login(AFTER);
    let listed: Vec<(u32, usize, String)> = {
        let inner = peer.mailbox().lock();
        let all = inner.mail.iter();
        all.map(|mail| (mail.uid, mail.raw.len(), mail.date.clone()))
            .collect()
    };
    let left = Mutex::new(listed);
    peer.on("UID FETCH", move |conn, cmd| {
        if cmd.has("BODY.PEEK[") {
            return Flow::Default;
        }
        list(conn, cmd, &left.lock().unwrap());
        Flow::Done
    })
}

fn list(conn: &mut Conn, cmd: &Cmd, listed: &[(u32, usize, String)]) {
    let set = cmd.set();
    let number = |text: &str| {
        if text == "*" {
            3
        } else {
            text.parse().unwrap_or(0)
        }
    };
    let is_wanted = |uid: &u32| {
        set.split(',').any(|range| {
            let (first, last) = range.split_once(':').unwrap_or((range, range));
            (number(first).min(3)..=number(last)).contains(uid)
        })
    };
    for (position, (uid, length, date)) in (1..).zip(listed) {
        if is_wanted(uid) {
            conn.line(&row(position, *uid, length + MORE, date));
        }
    }
    conn.ok(cmd);
}

#[test]
fn exchange_online_is_read_octet_for_octet_whatever_sizes_and_order_it_has() {
    let (peer, bridge) = bridged(exchange());
    for more in [MORE, 0] {
        let mut pop3 = log_in(&bridge);
        assert_eq!(pop3.stat().0, 3);
        for n in 1..=3 {
            let message = repaired(&ordinary(n).raw);
            // What it is listed as until it was read once, and then what it is.
            let size = format!("{n} {}", message.len() + more);
            assert_eq!(pop3.ok(&format!("LIST {n}")), size);
            assert_eq!(pop3.retr(n), message, "message {n}");
            assert_eq!(
                pop3.multi(&format!("TOP {n} 99999999")),
                message,
                "message {n}"
            );
            let header = message
                .windows(4)
                .position(|part| part == b"\r\n\r\n")
                .unwrap()
                + 4;
            assert_eq!(
                pop3.multi(&format!("TOP {n} 0")),
                message[..header],
                "message {n}"
            );
        }
        pop3.quit();
    }
    assert_eq!(peer.commands("SELECT").len(), 0);
}

#[test]
fn what_exchange_can_do_counts_as_it_says_after_the_log_in() {
    // Before the log-in it does not speak of MOVE.
    let peer = || {
        Peer::with_mail(3)
            .capability(BEFORE)
            .capability_after_login(AFTER)
    };
    let rows: Vec<Row> = vec![
        (
            "said by itself",
            peer().on("AUTHENTICATE", |conn, _| {
                conn.line(&format!("* CAPABILITY {AFTER}"));
                Flow::Default
            }),
        ),
        ("said when asked", peer()),
    ];
    let keys = "dispose = \"trash\"";
    Many::start_with(rows, |peer| peer.plain_url(), keys).each(|one| {
        let mut pop3 = one.log_in();
        pop3.ok("DELE 2");
        pop3.quit();
        assert_eq!(
            one.peer.commands("UID MOVE"),
            ["UID MOVE 2 \"Trash\""],
            "{}",
            one.name
        );
    });
}

/// Three messages, of which the second is there in this form only.
fn second_is(answer: &'static str) -> Peer {
    exchange().on("UID FETCH", move |conn, cmd| {
        let set = cmd.set();
        if !matches!(set, "2" | "2:3") || !cmd.has("BODY.PEEK[]") {
            return Flow::Default;
        }
        let third = repaired(&ordinary(3).raw);
        let both = [(2, answer.as_bytes()), (3, third.as_slice())];
        for (uid, octets) in both
            .iter()
            .filter(|(uid, octets)| set.contains(&uid.to_string()) && !octets.is_empty())
        {
            conn.raw(format!(
                "* {uid} FETCH (UID {uid} BODY[] {{{}}}\r\n",
                octets.len()
            ));
            conn.raw(octets);
            conn.line(")");
        }
        conn.tagged(cmd, "OK FETCH completed.");
        Flow::Done
    })
}

#[test]
fn what_exchange_lists_and_cannot_give_is_refused_and_never_disposed_of() {
    for (name, answer) in [("nothing", ""), ("its notice", NOTICE)] {
        let peer = second_is(answer).start();
        let rules = "retention = { when = \"all-clients-delivered\" }";
        let office = PeerOffice::start(&peer, rules);
        office.add("desk", &[]);
        let mut desk = office.client("desk");
        desk.retr(1);
        let refused = desk.err("RETR 2");
        assert!(
            refused.text.contains("no longer in the mailbox"),
            "{name}: {}",
            refused.text
        );
        desk.retr(3);
        desk.quit();
        eventually("the others are disposed of", || {
            office.sweep();
            peer.mailbox().uids() == [2]
        });
        assert_eq!(office.status()["clients"][0]["waiting"], 1, "{name}");
        office.sweep_disposes_of(0);
        assert_eq!(peer.mailbox().uids(), [2], "{name}");
    }
}

#[test]
fn a_partial_fetch_that_exchange_answers_with_the_whole_message_gives_the_lines_asked_for() {
    // A message of 600 kB in lines of 100 octets, listed as longer than it is.
    let mut long = b"Subject: long\r\n\r\n".to_vec();
    for n in 0..6000 {
        long.extend(format!("{n:0>98}\r\n").bytes());
    }
    let expected = long.clone();
    let peer = Peer::with_mail(0);
    peer.mailbox().add(&long);
    let peer = peer.capability(BEFORE).capability_after_login(AFTER).on(
        "UID FETCH 1",
        move |conn, cmd| {
            if !cmd.has("BODY.PEEK[]<") {
                return Flow::Default;
            }
            // mail-api #370: the origin is named, the length is not kept to.
            conn.raw(format!("* 1 FETCH (BODY[]<0> {{{}}}\r\n", long.len()));
            conn.raw(&long);
            conn.line(" UID 1)");
            conn.tagged(cmd, "OK FETCH completed.");
            Flow::Done
        },
    );
    let (_peer, bridge) = bridged(peer);
    let mut pop3 = log_in(&bridge);
    for lines in [0, 1, 10, 3000, 6000] {
        let top = &expected[..b"Subject: long\r\n\r\n".len() + lines * 100];
        assert!(
            pop3.multi(&format!("TOP 1 {lines}")) == top,
            "TOP 1 {lines}"
        );
    }
    assert!(pop3.retr(1) == expected);
    pop3.quit();
}

const SHARED: &str = "shared@example.com";
const ANN: &str = "ann@example.com";

/// Exchange Online with a mailbox that Ann may open: what was said by XOAUTH2, decoded, comes back.
fn shared_mailbox(server: &Arc<OAuthServer>) -> (Peer, Arc<Mutex<Vec<String>>>) {
    let said: Arc<Mutex<Vec<String>>> = Arc::default();
    let (server, log) = (Arc::clone(server), Arc::clone(&said));
    let peer = exchange().on("AUTHENTICATE XOAUTH2", move |conn, cmd| {
        let Some(response) = conn.sasl_response(cmd) else {
            return Flow::End;
        };
        let message = String::from_utf8(STANDARD.decode(response).unwrap()).unwrap();
        let token = message
            .strip_prefix(&format!("user={SHARED}\x01auth=Bearer "))
            .and_then(|rest| rest.strip_suffix("\x01\x01"));
        let user = token.and_then(|token| server.user_of(token));
        log.lock().unwrap().push(message);
        if user.as_deref() != Some(ANN) {
            conn.tagged(cmd, "NO AUTHENTICATE failed.");
            return Flow::Done;
        }
        conn.tagged(cmd, "OK AUTHENTICATE completed.");
        Flow::LoggedIn
    });
    (peer, said)
}

#[test]
fn a_shared_mailbox_is_opened_by_its_own_name_with_the_token_of_a_person_who_may() {
    let server = Arc::new(OAuthServer::start());
    let (peer, said) = shared_mailbox(&server);
    let peer = peer.start();
    let tree = Tree::new("shared-mailbox", &Account::for_servers());
    let config = format!(
        "[upstream.office]\nprovider = \"microsoft365\"\nurl = \"{}\"\n{}\
         [account.shared]\nlogin = \"{SHARED}\"\noauth = \"entra\"\noauth_user = \"{ANN}\"\n",
        peer.plain_url(),
        server.table("entra", ""),
    );
    let file = tree.write("popbridge.toml", &config);
    let state = tree.join("state");
    let place = ["--state", state.to_str().unwrap()];

    let mut login = LoginCommand::start(&[&["shared"], &place[..]].concat(), &file);
    // The browser is told who is to log in: not the mailbox, for which nobody has a password.
    let (status, page) = get(&consent(&login.address()));
    assert_eq!(status, 200, "{page}");
    let (status, text) = login.end();
    assert!(status.success(), "{text}");
    let asked = server.asked().into_iter();
    let mut asked = asked.filter(|asked| asked.path == "/authorize");
    assert_eq!(asked.next().unwrap().form["login_hint"], ANN);

    let bridge = Options::config(&config).state(&state).start();
    let add = ["client", "add", "desk", "--account", "shared", "--config"];
    let arguments = [&add[..], &[file.to_str().unwrap()], &place].concat();
    let (code, password, errors) = run(&arguments, &[]);
    assert_eq!(code, Some(0), "{errors}");
    let mut pop3 = bridge.pop3().log_in("desk", password.trim_end());
    assert_eq!(pop3.stat().0, 3);
    for n in 1..=3 {
        assert_eq!(pop3.retr(n), repaired(&ordinary(n).raw), "message {n}");
    }
    pop3.quit();
    let said = said.lock().unwrap().clone();
    assert!(!said.is_empty());
    for message in &said {
        let start = format!("user={SHARED}\x01auth=Bearer access-");
        assert!(
            message.starts_with(&start) && message.ends_with("\x01\x01"),
            "{message:?}"
        );
    }
    assert_eq!(server.refreshes(), 0, "the first one was good");
}
