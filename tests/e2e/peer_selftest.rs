//! The scriptable IMAP peer tested: by itself it is a decent server, and its parts do what the fault tests build on.

use crate::support::imap::Imap;
use crate::support::imap_peer::{Flow, PASSWORD, Peer, USER};

fn log_in(port: u16) -> Imap {
    Imap::log_in(port, USER, &format!("\"{PASSWORD}\""))
}

#[test]
fn the_peer_by_itself_is_a_decent_server() {
    let peer = Peer::with_mail(3).start();
    let mut imap = log_in(peer.port);
    let fetched = imap.fetch_all("INBOX");
    assert_eq!(fetched.iter().map(|m| m.uid).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(fetched[0].body.starts_with(b"From: "));
    let part = imap.command("UID FETCH 2 (UID BODY.PEEK[TEXT]<1.4>)");
    assert_eq!(
        String::from_utf8_lossy(&part[0]),
        "* 2 FETCH (UID 2 BODY[TEXT]<1> {4}\r\nello)\r\n"
    );
    imap.command("SELECT INBOX");
    imap.command("UID STORE 1:2 +FLAGS.SILENT (\\Deleted)");
    let expunged = imap.command("UID EXPUNGE 2");
    assert_eq!(expunged, [b"* 2 EXPUNGE\r\n"]);
    assert_eq!(imap.command("UID MOVE 3 Trash"), [b"* 2 EXPUNGE\r\n"]);
    assert_eq!(peer.mailbox().uids(), [1]);
    assert_eq!(peer.mailbox().lock().trash[0].uid, 3);
    peer.mailbox().add(b"Subject: new\r\n\r\n");
    assert_eq!(imap.command("NOOP"), [b"* 2 EXISTS\r\n"]);
    imap.command("LOGOUT");
}

#[test]
fn hooks_replace_single_answers() {
    let peer = Peer::with_mail(1)
        .reply(
            "UID FETCH",
            "* OK [ALERT] careful\n{tag} NO [UNAVAILABLE] later",
        )
        .on("NOOP", |conn, _| {
            conn.reset();
            Flow::End
        })
        .start();
    let mut imap = log_in(peer.port);
    imap.command("SELECT INBOX");
    let (responses, tagged) = imap.run("UID FETCH 1 (UID)");
    assert_eq!(
        (responses.len(), tagged.as_str()),
        (1, "NO [UNAVAILABLE] later")
    );
    assert_eq!(peer.commands("uid fetch"), ["UID FETCH 1 (UID)"]);
    peer.wait_for("SELECT", 1);
    assert!(peer.heard_in_the_clear().contains(PASSWORD));
}

#[test]
#[should_panic(expected = "the IMAP peer's script failed: the client should say \"STARTTLS\" now")]
fn a_client_that_leaves_the_script_fails_the_test() {
    let peer = Peer::default()
        .script(|conn| {
            conn.line("* OK hello");
            conn.expect("STARTTLS")?;
            Some(())
        })
        .start();
    let _ = std::panic::catch_unwind(|| log_in(peer.port));
}
