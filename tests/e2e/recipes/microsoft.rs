//! docs/recipes/microsoft365-erp.md: an ERP that deletes what it has imported, in front of an Exchange that lets an application in.

use std::sync::Arc;

use super::opened_by_tokens;
use super::page::{Page, TLS_PORT};
use crate::support::fake_folders::Folders;
use crate::support::fake_mailbox::Mailbox;
use crate::support::mail::{ordinary, repaired};
use crate::support::oauth_server::{CLIENT_ID, CLIENT_SECRET, OAuthServer};
use crate::support::office::number_of;
use crate::support::pop3::Pop3;
use crate::support::process::eventually;

const BEFORE: &str = "IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS ID UNSELECT CHILDREN IDLE NAMESPACE LITERAL+";

fn numbers(mailbox: &Mailbox) -> Vec<usize> {
    let inner = mailbox.lock();
    inner.mail.iter().map(|mail| number_of(&mail.raw)).collect()
}

#[test]
fn what_an_erp_has_imported_from_microsoft_365_is_moved_and_nobody_has_to_log_in() {
    let server = Arc::new(OAuthServer::start());
    let folders = Folders::new(&[("INBOX", ""), ("Imported", "\\HasNoChildren")]);
    let (inbox, imported) = (folders.of("INBOX"), folders.of("Imported"));
    for n in 1..=3 {
        inbox.add(&repaired(&ordinary(n).raw));
    }
    let peer = folders
        .peer()
        .greeting("* OK The Microsoft Exchange IMAP4 service is ready.")
        .capability(BEFORE)
        .capability_after_login(&BEFORE.replace("ID ", "MOVE ID "))
        .implicit_tls();
    let peer = opened_by_tokens(peer, &server, "invoices@example.com", "the-application");
    let peer = peer.start();
    let page = Page::open(
        "microsoft365-erp",
        &[
            TLS_PORT,
            (
                "provider = \"microsoft365\"",
                &format!(
                    "provider = \"microsoft365\"\nurl = \"{}\"\nca = \"{}\"",
                    peer.imaps_url(),
                    peer.certs.ca.display()
                ),
            ),
            (
                "client_id = \"11111111-2222-3333-4444-555555555555\"",
                &format!(
                    "client_id = \"{CLIENT_ID}\"\ntoken_url = \"{}\"",
                    server.url("/token")
                ),
            ),
        ],
    );
    page.give_certificate(&peer.certs);
    page.run("(umask 077; cat >", &format!("{CLIENT_SECRET}\n"));
    let said = page.run("popbridge check --connect", "");
    assert!(said.contains("invoices"), "{said}");
    let bridge = page.serve();
    let password = page.run("popbridge client add erp", "");
    let erp = || {
        let tls = peer.certs.client_config();
        Pop3::connect_tls(bridge.pop3s_port, tls).log_in("erp", password.trim_end())
    };

    // An import that breaks off changes nothing.
    let mut first = erp();
    for n in 1..=3 {
        assert_eq!(first.retr(n), repaired(&ordinary(n).raw));
        first.ok(&format!("DELE {n}"));
    }
    drop(first);
    let mut second = erp();
    assert_eq!(second.stat().0, 3);
    for n in 1..=2 {
        assert_eq!(second.retr(n), repaired(&ordinary(n).raw));
        second.ok(&format!("DELE {n}"));
    }
    assert_eq!(numbers(&imported), [0; 0]);
    second.quit();
    eventually("what was imported is moved", || {
        numbers(&imported) == [1, 2]
    });
    assert_eq!(numbers(&inbox), [3]);
    assert_eq!(erp().stat().0, 1);
    for changing in ["UID STORE", "UID EXPUNGE", "EXPUNGE", "CLOSE"] {
        assert_eq!(peer.commands(changing).len(), 0, "{changing}");
    }

    let said = page.run("popbridge status", "");
    assert!(said.contains("erp") && said.contains("token"), "{said}");
    // Nobody was sent to a browser.
    assert!(server.grants("client_credentials") >= 1);
    assert_eq!(server.grants("authorization_code"), 0);
    page.is_done();
}
