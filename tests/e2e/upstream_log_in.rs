//! How the bridge logs in at an upstream: what it sends at once, what it waits for, and what that costs.

use crate::many::bridged;
use crate::support::imap_peer::{Flow, PASSWORD, Peer, USER};

/// What the upstream is told until the first session is logged in.
fn told(peer: Peer, password: &str) -> Vec<String> {
    let (peer, bridge) = bridged(peer);
    let pop3 = bridge.pop3().log_in(USER, password);
    let heard = peer.heard();
    pop3.quit();
    heard.lines().map(str::to_owned).collect()
}

#[test]
fn with_sasl_ir_a_log_in_costs_one_round_trip_less() {
    // The server waits for each line of the client's.
    let without = told(Peer::with_mail(1).without_sasl_ir(), PASSWORD);
    let with = told(Peer::with_mail(1), PASSWORD);
    assert_eq!(with.len() + 1, without.len(), "{with:?} {without:?}");
    assert_eq!(without[0], "S0001 AUTHENTICATE PLAIN");
    assert_eq!(with[0], format!("{} {}", without[0], without[1]));
}

#[test]
fn a_password_that_cannot_be_quoted_goes_to_login_as_a_literal() {
    let password = format!("{PASSWORD} \"\u{e4}\u{4e16}\\");
    for (capability, unasked) in [
        ("IMAP4rev1", ""),
        ("IMAP4rev1 LITERAL+", "+"),
        ("IMAP4rev1 LITERAL-", "+"),
    ] {
        let length = password.len();
        let expected = format!("LOGIN \"{USER}\" {{{length}{unasked}}}\r\n{password}");
        let peer = Peer::with_mail(2)
            .capability(capability)
            .on("LOGIN", move |conn, cmd| {
                assert_eq!(cmd.line, expected);
                conn.answer_untagged("* OK [ALERT] good morning");
                Flow::Default
            });
        let told = told(peer, &password);
        assert!(told[1].starts_with(PASSWORD), "{told:?}");
    }
}
