//! Safe connections to upstreams: where TLS is demanded, no credentials leave without it, whatever the upstream or somebody in between
//! says; the client hears why it cannot be served, and the operator reads it.

use std::path::Path;

use crate::many::{Many, Row, before, in_a_hurry};
use crate::support::bridge::{Options, field};
use crate::support::certs::Certs;
use crate::support::dovecot::Dovecot;
use crate::support::imap_peer::{Flow, PASSWORD, Peer, RunningPeer, USER};

const STARTTLS: &str = "IMAP4rev1 STARTTLS LOGINDISABLED";

/// Offers STARTTLS, and AUTHENTICATE PLAIN to whoever takes it.
fn peer() -> Peer {
    Peer::with_mail(2).capability("IMAP4rev1 STARTTLS AUTH=PLAIN UIDPLUS")
}

/// Each row is refused with this code, no credentials leave, and the operator's log says `words`.
fn assert_refused(
    url: fn(&RunningPeer) -> String,
    code: &str,
    words: &str,
    rows: impl IntoIterator<Item = Row>,
) {
    let many = Many::start_with(rows, url, "");
    many.each(|one| {
        let (_, status) = one.pass();
        one.assert_refused(&status, Some(code));
        one.peer.assert_no_credentials_left();
        many.bridge.wait_for_log(words, |line| {
            field(line, "account") == one.user && field(line, "error").contains(words)
        });
        let log = many.bridge.log().join("\n");
        assert!(!log.contains(PASSWORD), "{}: {log}", one.name);
    });
}

#[test]
fn starttls_and_imaps_work_where_everything_is_right() {
    let many = Many::start_with(
        [
            ("capabilities in the greeting", peer()),
            ("capabilities asked for", peer().greeting("* OK hello")),
            (
                "other capabilities afterwards",
                Peer::with_mail(2)
                    .capability(STARTTLS)
                    .on("CAPABILITY", |conn, cmd| {
                        if !conn.is_tls() {
                            return Flow::Default;
                        }
                        conn.line("* CAPABILITY IMAP4rev1 AUTH=PLAIN");
                        conn.ok(cmd);
                        Flow::Done
                    }),
            ),
            (
                "an alert before the OK",
                peer().on("STARTTLS", |conn, _| {
                    conn.line("* OK [ALERT]\u{fc}");
                    Flow::Default
                }),
            ),
        ],
        RunningPeer::starttls_url,
        "",
    );
    many.each(|one| {
        let mut pop3 = one.log_in();
        assert_eq!(pop3.stat().0, 2, "{}", one.name);
        pop3.quit();
        let clear = one.peer.heard_in_the_clear();
        assert!(clear.contains("STARTTLS"), "{clear}");
        assert!(!clear.contains("AUTHENTICATE"), "{clear}");
    });
    let many = Many::start_with(
        [("imaps", Peer::with_mail(2).implicit_tls())],
        RunningPeer::imaps_url,
        "",
    );
    many.each(|one| {
        assert_eq!(one.log_in().stat().0, 2);
        assert_eq!(one.peer.heard_in_the_clear(), "");
    });
}

#[test]
fn a_real_server_is_reached_by_starttls_and_imaps() {
    let dovecot = Dovecot::start();
    dovecot.maildir("ann").fill_many(3);
    for url in [dovecot.starttls_url(), dovecot.imaps_url()] {
        let (start, ca) = (in_a_hurry(&dovecot.certs), dovecot.certs.ca.display());
        let config = format!("{start}[upstream.x]\nurl = \"{url}\"\nca = \"{ca}\"\n");
        let bridge = Options::config(&config).start();
        assert_eq!(bridge.pop3_as("ann").stat().0, 3, "{url}");
    }
}

#[test]
fn octets_behind_the_ok_are_refused() {
    let behind = |more: &'static str| {
        peer().on("STARTTLS", move |conn, cmd| {
            conn.raw(format!("{} OK begin\r\n{more}", cmd.tag));
            let _ = conn.start_tls();
            Flow::Done
        })
    };
    assert_refused(
        RunningPeer::starttls_url,
        "SYS/PERM",
        "in clear came behind the answer to STARTTLS",
        [
            (
                "a capability",
                behind("* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n"),
            ),
            ("an answer to come", behind("A0001 OK logged in\r\n")),
            ("half a line", behind("* PREAU")),
            ("one octet", behind("\n")),
        ],
    );
}

#[test]
fn an_ok_before_starttls_was_asked_for_is_refused() {
    let hello = "* OK [CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN] hello\r\n";
    let early = move |more: &'static str| {
        Peer::with_mail(1).script(move |conn| {
            conn.raw(format!("{hello}{more}"));
            while conn.next().is_some() {}
            None
        })
    };
    assert_refused(
        RunningPeer::starttls_url,
        "SYS/PERM",
        "bytes came before STARTTLS was asked for",
        [
            ("an early OK", early("A0001 OK begin\r\n")),
            ("half of one", early("A0001 O")),
            ("an early greeting", early("* PREAUTH hello\r\n")),
        ],
    );
}

#[test]
fn an_upstream_without_starttls_is_refused() {
    assert_refused(
        RunningPeer::starttls_url,
        "SYS/PERM",
        "does not offer STARTTLS",
        [
            (
                "stripped from the greeting",
                Peer::with_mail(1).capability("IMAP4rev1 AUTH=PLAIN"),
            ),
            (
                "stripped from the answer",
                Peer::with_mail(1)
                    .capability("IMAP4rev1 XSTARTTLS AUTH=PLAIN")
                    .greeting("* OK hello"),
            ),
        ],
    );
}

#[test]
fn an_upstream_that_is_logged_in_already_is_refused() {
    let preauth =
        || peer().greeting("* PREAUTH [CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN] welcome back");
    for (url, row) in [
        (
            RunningPeer::starttls_url as fn(&RunningPeer) -> String,
            ("STARTTLS", preauth()),
        ),
        (RunningPeer::plain_url, ("in clear", preauth())),
        (RunningPeer::imaps_url, ("imaps", preauth().implicit_tls())),
    ] {
        assert_refused(url, "SYS/PERM", "PREAUTH", [row]);
    }
}

#[test]
fn a_refusal_of_starttls_is_a_temporary_error() {
    for (words, answer) in [
        (
            "STARTTLS was refused: NO [UNAVAILABLE]",
            "{tag} NO [UNAVAILABLE] no entropy",
        ),
        ("STARTTLS was refused: BAD", "{tag} BAD what?"),
        ("ended the connection", "* BYE going down"),
        ("nobody asked for", "Z99 OK begin"),
    ] {
        assert_refused(
            RunningPeer::starttls_url,
            "SYS/TEMP",
            words,
            [("refused", peer().reply("STARTTLS", answer))],
        );
    }
    assert_refused(
        RunningPeer::starttls_url,
        "SYS/TEMP",
        "the connection was lost",
        [(
            "an end instead of an answer",
            peer().send_and_close("STARTTLS", b""),
        )],
    );
    assert_refused(
        RunningPeer::starttls_url,
        "SYS/TEMP",
        "no safe connection",
        [
            (
                "an end instead of TLS",
                peer().on("STARTTLS", |conn, cmd| {
                    conn.ok(cmd);
                    conn.close();
                    Flow::End
                }),
            ),
            (
                "no TLS behind the OK",
                peer().on("STARTTLS", |conn, cmd| {
                    conn.ok(cmd);
                    let _ = conn.read_octet();
                    conn.line("* BAD this is not TLS");
                    Flow::Done
                }),
            ),
        ],
    );
}

#[test]
fn log_in_disabled_even_under_tls_is_refused() {
    assert_refused(
        RunningPeer::starttls_url,
        "SYS/PERM",
        "forbids LOGIN",
        [("LOGINDISABLED", Peer::with_mail(1).capability(STARTTLS))],
    );
}

#[test]
fn what_was_said_in_clear_is_forgotten() {
    // In clear there is AUTH=PLAIN and no LOGINDISABLED; under TLS it is the other way round, and that counts.
    let peer = peer().on("CAPABILITY", |conn, cmd| {
        conn.line("* CAPABILITY IMAP4rev1 LOGINDISABLED");
        conn.ok(cmd);
        Flow::Done
    });
    assert_refused(
        RunningPeer::starttls_url,
        "SYS/PERM",
        "forbids LOGIN",
        [("another list under TLS", peer)],
    );
}

/// A good certificate, and another one that has nothing to do with it.
fn two(folder: &Path) -> (Certs, Certs) {
    let other = folder.join("other");
    std::fs::create_dir(&other).expect("a folder");
    (Certs::make(folder), Certs::make(&other))
}

/// The bridge trusts somebody else than the authority that signed.
fn stranger(folder: &Path) -> Certs {
    let (good, other) = two(folder);
    let ca = other.cert;
    Certs { ca, ..good }
}

/// The bridge trusts an authority that only has the name of the one that signed.
fn namesake(folder: &Path) -> Certs {
    let (good, other) = two(folder);
    let ca = other.ca;
    Certs { ca, ..good }
}

#[test]
fn a_certificate_that_cannot_be_trusted_is_refused_and_named() {
    for (words, certs) in [
        (
            "not valid for name",
            (|folder| Certs::make_for(folder, &["imap.example.org"])) as fn(&_) -> _,
        ),
        ("certificate expired", Certs::make_expired),
        ("UnknownIssuer", stranger),
        ("BadSignature", namesake),
    ] {
        let row = || ("a bad certificate", peer().certs(certs));
        assert_refused(RunningPeer::starttls_url, "SYS/TEMP", words, [row()]);
        let (name, bad) = row();
        assert_refused(
            RunningPeer::imaps_url,
            "SYS/TEMP",
            words,
            [(name, bad.implicit_tls())],
        );
    }
}

#[test]
fn imaps_at_a_port_without_tls_is_refused() {
    assert_refused(
        RunningPeer::imaps_url,
        "SYS/TEMP",
        "no safe connection",
        [("plain IMAP", peer())],
    );
}

#[test]
fn the_operator_reads_whose_log_in_met_what() {
    let peer = Peer::with_mail(1).capability("IMAP4rev1").start();
    let bridge = before(&peer, &peer.starttls_url(), "");
    let mut pop3 = bridge.pop3();
    pop3.ok(&format!("USER {USER}"));
    pop3.err(&format!("PASS {PASSWORD}"));
    let line = bridge.wait_for_log("the reason", |line| {
        field(line, "error").contains("STARTTLS")
    });
    assert_eq!(field(&line, "level"), "WARN");
    assert_eq!(field(&line, "account"), USER);
    peer.assert_no_credentials_left();
}
