//! docs/recipes/moving.md: a program that leaves mail on the server goes from Dovecot's own POP3 service to popbridge.

use std::path::Path;

use popbridge::maildrop::uidl::Format;

use super::page::{Page, TLS_PORT};
use crate::clients::{Job, mpop, set_mode};
use crate::support::dovecot::{Dovecot, PASSWORD};
use crate::support::mail::ordinary;
use crate::support::pop3::Mode;
use crate::upstreams::table;

const ANN: &str = "ann@example.com";

/// Lets mpop fetch what it has not had; gives how many messages it has by then.
fn mpop_fetches(page: &Page, port: u16, ca: &Path) -> usize {
    let inbox = page.tree.join("inbox");
    mpop::run(&Job {
        mode: Mode::Tls,
        port,
        user: ANN,
        ca,
        home: page.tree.path(),
        inbox: &inbox,
        keep: &page.tree.join("keep"),
    });
    std::fs::read_dir(inbox).unwrap().count()
}

#[test]
fn a_program_that_comes_from_dovecots_pop3_downloads_nothing_twice() {
    let dovecot = Dovecot::start();
    let mail = dovecot.maildir(ANN);
    for n in 1..=5 {
        mail.deliver(&ordinary(n).raw);
    }
    let mut page = Page::open(
        "moving",
        &[
            TLS_PORT,
            (
                "url = \"imaps://imap.example.com\"",
                &format!(
                    "url = \"{}\"\nca = \"{}\"",
                    dovecot.imaps_url(),
                    dovecot.certs.ca.display()
                ),
            ),
            (
                "pop3s://pop.example.com/",
                &format!("pop3s://localhost:{}/", dovecot.pop3s_port),
            ),
        ],
    );
    page.give_certificate(&dovecot.certs);
    std::fs::create_dir(page.tree.join("inbox")).unwrap();
    let keep =
        "#!/bin/sh\ncd \"${0%/*}/inbox\" && exec cat >$(printf %03d $(($(ls | wc -l) + 1)))\n";
    set_mode(&page.tree.write("keep", keep), 0o700);
    let ca = dovecot.certs.ca.clone();
    assert_eq!(mpop_fetches(&page, dovecot.pop3s_port, &ca), 5);

    page.run("popbridge check --connect", "");
    let bridge = page.serve();
    page.replace(
        "pop3s://popbridge.example.com/",
        &format!("pop3s://localhost:{}/", bridge.pop3s_port),
    );
    let authority = ca.to_str().expect("UTF-8").to_owned();
    page.environment([("CURL_CA_BUNDLE".to_owned(), authority)]);
    let said = page.run("read -rs PASSWORD", &format!("{PASSWORD}\n"));
    assert_eq!(said, "nothing will be downloaded again\n");
    let ids = std::fs::read_to_string(page.tree.join("old.txt")).unwrap();
    assert_eq!(ids.lines().count(), 5, "{ids}");

    assert_eq!(mpop_fetches(&page, bridge.pop3s_port, &ca), 5);
    mail.deliver(&ordinary(6).raw);
    assert_eq!(mpop_fetches(&page, bridge.pop3s_port, &ca), 6);
    assert_eq!(
        bridge.metric("popbridge_commands_total", &["command=\"RETR\""]),
        1.0
    );
    page.is_done();
}

#[test]
fn each_uidl_of_the_table_is_one_that_popbridge_makes() {
    let page = include_str!("../../../docs/recipes/moving.md");
    let mut count = 0;
    for row in table::rows(page) {
        let cell = row.last().expect("a cell");
        for key in cell.split('`').filter(|key| key.starts_with("uidl = ")) {
            let value = key.split('"').nth(1).expect(key);
            Format::parse(value).unwrap_or_else(|why| panic!("{key}: {why}"));
            count += 1;
        }
    }
    assert_eq!(count, 8);
}
