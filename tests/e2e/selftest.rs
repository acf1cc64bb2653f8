//! The test support tested: what the other tests rely on holds.

use crate::support::cyrus::Cyrus;
use crate::support::dovecot::{Dovecot, PASSWORD};
use crate::support::imap::Imap;
use crate::support::mail::{Message, odd_mail, on_the_wire, ordinary_mail, repaired};
use crate::support::pop3::{Mode, Pop3};

#[test]
fn a_private_dovecot_serves_what_was_delivered_in_three_ways() {
    let dovecot = Dovecot::start();
    let mail = ordinary_mail(3);
    dovecot.maildir("ann").fill(&mail);
    let tls = dovecot.certs.client_config();
    for (mode, port) in [
        (Mode::Plain, dovecot.pop3_port),
        (Mode::Stls, dovecot.pop3_port),
        (Mode::Tls, dovecot.pop3s_port),
    ] {
        let mut pop3 = Pop3::connect_as(mode, port, &tls).log_in("ann", PASSWORD);
        assert_eq!(pop3.stat().0, 3);
        for (n, message) in (1..).zip(&mail) {
            assert_eq!(pop3.retr(n), on_the_wire(&message.raw));
        }
        pop3.quit();
    }
}

#[test]
fn odd_mail_comes_through_dovecots_own_pop3d_and_imapd() {
    let dovecot = Dovecot::start();
    let mail = odd_mail();
    assert_eq!(mail.len(), 200);
    dovecot.maildir("ann").fill(&mail);
    let fetched = Imap::log_in(dovecot.imap_port, "ann", PASSWORD).fetch_all("INBOX");
    assert_eq!(fetched.len(), 200);
    let mut pop3 = Pop3::connect(dovecot.pop3_port).log_in("ann", PASSWORD);
    assert_eq!(pop3.stat().0, 200);
    let mut odd = Vec::new();
    for (n, (message, imap)) in (1..).zip(mail.iter().zip(&fetched)) {
        if message.raw.starts_with(b".") {
            continue; // Dovecot 2.3's pop3d does not stuff a dot that is the first octet of a message
        }
        let wire = pop3.retr(n);
        if wire != on_the_wire(&message.raw) {
            odd.push(format!("{n} {}: POP3 differs from the file", message.name));
        }
        // IMAP has no NUL (RFC 3501 section 4.3); Dovecot's imapd gives the octet 0x80 instead.
        let printable: Vec<u8> = wire
            .iter()
            .map(|&b| if b == 0 { 0x80 } else { b })
            .collect();
        if on_the_wire(&imap.body) != printable {
            odd.push(format!("{n} {}: POP3 differs from IMAP", message.name));
        }
        if imap.size != imap.body.len() as u64 {
            odd.push(format!(
                "{n} {}: SIZE {} BODY {}",
                message.name,
                imap.size,
                imap.body.len()
            ));
        }
    }
    pop3.quit();
    assert!(odd.is_empty(), "{}", odd.join("\n"));
}

#[test]
fn dovecot_comes_back_on_its_ports_with_its_mail() {
    let mut dovecot = Dovecot::start();
    dovecot.maildir("ann").fill_many(1000);
    dovecot.kill9();
    dovecot.restart();
    let mut pop3 = Pop3::connect(dovecot.pop3_port).log_in("ann", PASSWORD);
    assert_eq!(pop3.stat().0, 1000);
}

#[test]
fn a_private_cyrus_takes_and_gives_mail() {
    let cyrus = Cyrus::start();
    let mail: Vec<Message> = odd_mail().into_iter().take(150).collect();
    let taken = cyrus.fill("ann@example.com", &mail);
    assert!(
        taken.len() > 120,
        "Cyrus took {} of 150 messages",
        taken.len()
    );
    let fetched = cyrus.imap("ann@example.com").fetch_all("INBOX");
    assert_eq!(fetched.len(), taken.len());
    for (message, fetched) in taken.iter().zip(fetched) {
        assert_eq!(fetched.body, repaired(&message.raw), "{}", message.name);
    }
}
