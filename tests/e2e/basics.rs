//! A real IMAP server behind, a strict POP3 client in front: what RFC 1939 promises holds through the bridge.

use crate::support::bridge::Bridge;
use crate::support::dovecot::{Dovecot, PASSWORD};
use crate::support::imap::Imap;
use crate::support::mail::{on_the_wire, ordinary, ordinary_mail};
use crate::support::pop3::{Mode, Pop3};

#[test]
fn a_mailbox_is_listed_and_read_over_plain_stls_and_implicit_tls() {
    let dovecot = Dovecot::start();
    let mail = ordinary_mail(5);
    dovecot.maildir("ann").fill(&mail);
    let bridge = Bridge::before(&dovecot.plain_url());
    let tls = crate::support::certs::client_config(&bridge.certificate());
    for (mode, port) in [
        (Mode::Plain, bridge.pop3_port),
        (Mode::Stls, bridge.pop3_port),
        (Mode::Tls, bridge.pop3s_port),
    ] {
        let mut pop3 = Pop3::connect_as(mode, port, &tls).log_in("ann", PASSWORD);
        let sizes: u64 = mail.iter().map(|m| on_the_wire(&m.raw).len() as u64).sum();
        assert_eq!(pop3.stat(), (5, sizes));
        for (n, message) in (1..).zip(&mail) {
            let wire = on_the_wire(&message.raw);
            assert_eq!(pop3.ok(&format!("LIST {n}")), format!("{n} {}", wire.len()));
            assert_eq!(pop3.retr(n), wire);
        }
        pop3.quit();
    }
}

#[test]
fn reading_sets_no_seen_flag_and_moves_nothing() {
    let dovecot = Dovecot::start();
    dovecot.maildir("ann").fill(&ordinary_mail(3));
    let before = dovecot.maildir("ann").files();
    let bridge = Bridge::before(&dovecot.plain_url());
    let mut pop3 = bridge.pop3_as("ann");
    for n in 1..=3 {
        pop3.retr(n);
        pop3.multi(&format!("TOP {n} 2"));
    }
    pop3.quit();
    assert_eq!(dovecot.maildir("ann").files(), before);
}

#[test]
fn dele_and_quit_remove_just_those_messages_and_only_after_quit() {
    let dovecot = Dovecot::start();
    let mail = ordinary_mail(5);
    dovecot.maildir("ann").fill(&mail);
    let bridge = Bridge::before(&dovecot.plain_url());
    let mut pop3 = bridge.pop3_as("ann");
    pop3.ok("DELE 2");
    pop3.ok("DELE 4");
    pop3.err("RETR 2");
    assert_eq!(pop3.stat().0, 3);
    assert_eq!(
        Imap::log_in(dovecot.imap_port, "ann", PASSWORD)
            .fetch_all("INBOX")
            .len(),
        5
    );
    pop3.quit();
    let left = Imap::log_in(dovecot.imap_port, "ann", PASSWORD).fetch_all("INBOX");
    let bodies: Vec<_> = left.into_iter().map(|m| m.body).collect();
    let expected: Vec<_> = [0, 2, 4].map(|i| on_the_wire(&mail[i].raw)).into();
    assert_eq!(bodies, expected);
    let mut pop3 = bridge.pop3_as("ann");
    assert_eq!(pop3.stat().0, 3);
    assert_eq!(pop3.retr(2), on_the_wire(&mail[2].raw));
}

#[test]
fn dele_without_quit_and_rset_change_nothing() {
    let dovecot = Dovecot::start();
    dovecot.maildir("ann").fill(&ordinary_mail(3));
    let before = dovecot.maildir("ann").files();
    let bridge = Bridge::before(&dovecot.plain_url());
    let mut pop3 = bridge.pop3_as("ann");
    pop3.ok("DELE 1");
    drop(pop3);
    let mut pop3 = bridge.pop3_as("ann");
    assert_eq!(pop3.stat().0, 3);
    pop3.ok("DELE 1");
    pop3.ok("RSET");
    assert_eq!(pop3.stat().0, 3);
    pop3.quit();
    assert_eq!(dovecot.maildir("ann").files(), before);
}

#[test]
fn uidls_stay_the_same_and_new_mail_is_seen_at_the_next_log_in() {
    let dovecot = Dovecot::start();
    dovecot.maildir("ann").fill(&ordinary_mail(3));
    let bridge = Bridge::before(&dovecot.plain_url());
    let mut pop3 = bridge.pop3_as("ann");
    let first = pop3.lines("UIDL");
    // By IMAP: a file put into the Maildir within a second of the last look is seen by Dovecot only later.
    Imap::log_in(dovecot.imap_port, "ann", PASSWORD)
        .append("INBOX", &ordinary(99).raw)
        .unwrap();
    assert_eq!(pop3.stat().0, 3, "a maildrop is frozen at log-in");
    pop3.quit();
    let mut pop3 = bridge.pop3_as("ann");
    let second = pop3.lines("UIDL");
    assert_eq!(second.len(), 4);
    assert_eq!(second[..3], first[..]);
    pop3.quit();
    assert_eq!(
        bridge.metric("popbridge_index_lookups_total", &["outcome=\"cold\""]),
        1.0
    );
    assert_eq!(
        bridge.metric("popbridge_index_lookups_total", &["outcome=\"delta\""]),
        1.0
    );
    let mut pop3 = bridge.pop3_as("ann");
    assert_eq!(pop3.stat().0, 4);
    pop3.quit();
    assert_eq!(
        bridge.metric("popbridge_index_lookups_total", &["outcome=\"hit\""]),
        1.0
    );
}

#[test]
fn top_gives_the_header_and_so_many_lines() {
    let dovecot = Dovecot::start();
    let raw = b"Subject: x\r\nTo: ann\r\n\r\none\r\n..two\r\nthree\r\n".to_vec();
    dovecot.maildir("ann").deliver(&raw);
    let bridge = Bridge::before(&dovecot.plain_url());
    let mut pop3 = bridge.pop3_as("ann");
    assert_eq!(pop3.multi("TOP 1 0"), b"Subject: x\r\nTo: ann\r\n\r\n");
    assert_eq!(
        pop3.multi("TOP 1 2"),
        b"Subject: x\r\nTo: ann\r\n\r\none\r\n..two\r\n"
    );
    assert_eq!(pop3.multi("TOP 1 99999"), raw);
}

#[test]
fn a_wrong_password_is_auth_and_an_upstream_that_is_down_is_temporary() {
    let mut dovecot = Dovecot::start();
    dovecot.maildir("ann").fill(&ordinary_mail(1));
    let bridge = Bridge::before(&dovecot.plain_url());
    let mut patient = bridge.pop3();
    patient.ok("USER ann");
    assert_eq!(patient.err("PASS wrong").code(), Some("AUTH"));
    patient.ok("USER ann");
    patient.ok(&format!("PASS {PASSWORD}"));
    dovecot.stop();
    assert_eq!(patient.err("STAT").code(), Some("SYS/TEMP"));
    let mut pop3 = bridge.pop3();
    pop3.ok("USER ann");
    assert_eq!(
        pop3.err(&format!("PASS {PASSWORD}")).code(),
        Some("SYS/TEMP")
    );
    dovecot.restart();
    assert_eq!(patient.stat().0, 1);
    patient.quit();
    assert_eq!(bridge.pop3_as("ann").stat().0, 1);
}
