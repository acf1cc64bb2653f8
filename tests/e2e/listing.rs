//! The list of a folder from session to session: only what changed is transferred, and what is known is believed only while it adds up.

use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};

use crate::many::{before, bridged, log_in, quit};
use crate::support::bridge::{Bridge, field};
use crate::support::fake_mailbox::{Mail, Mailbox};
use crate::support::imap_peer::{Flow, PASSWORD, Peer, RunningPeer, USER};
use crate::support::pop3::Pop3;

const ITEMS: &str = "(UID RFC822.SIZE INTERNALDATE)";
const MAIL: &[u8] = b"Subject: new\r\n\r\nnew\r\n";

/// A whole session; gives the UIDLs.
fn poll(bridge: &Bridge) -> Vec<String> {
    let mut pop3 = log_in(bridge);
    let uidls = pop3.lines("UIDL");
    quit(bridge, pop3);
    uidls
        .iter()
        .map(|line| line.split_once(' ').expect("two words").1.to_owned())
        .collect()
}

fn uidls(uid_validity: u32, uids: &[u32]) -> Vec<String> {
    uids.iter()
        .map(|uid| format!("{uid_validity}-{uid}"))
        .collect()
}

const OLD: u32 = 1_700_000_000;

/// How often lists came about in this way.
fn lookups(bridge: &Bridge, outcome: &str) -> f64 {
    let label = format!("outcome=\"{outcome}\"");
    bridge.metric("popbridge_index_lookups_total", &[&label])
}

fn wait_for_distrust(bridge: &Bridge, reason: &str) {
    bridge.wait_for_log(reason, |line| field(line, "reason").contains(reason));
    assert_eq!(lookups(bridge, "relist"), 1.0);
}

#[test]
fn a_poll_without_news_transfers_no_list_and_changes_nothing() {
    let (peer, bridge) = bridged(Peer::with_mail(3));
    assert_eq!(poll(&bridge), uidls(OLD, &[1, 2, 3]));
    for _ in 0..3 {
        assert_eq!(poll(&bridge), uidls(OLD, &[1, 2, 3]));
    }
    assert_eq!(
        peer.commands("UID FETCH"),
        [format!("UID FETCH 1:* {ITEMS}")]
    );
    assert_eq!(peer.commands("EXAMINE").len(), 4);
    assert_eq!(peer.commands("SELECT").len(), 0);
    assert_eq!(
        (lookups(&bridge, "cold"), lookups(&bridge, "hit")),
        (1.0, 3.0)
    );
}

#[test]
fn a_session_that_asks_for_no_list_opens_no_folder() {
    let (peer, bridge) = bridged(Peer::with_mail(3));
    let mut pop3 = log_in(&bridge);
    pop3.ok("NOOP");
    pop3.quit();
    peer.wait_for("LOGOUT", 1);
    assert_eq!(peer.commands("EXAMINE").len(), 0);
}

#[test]
fn only_new_mail_is_listed() {
    let (peer, bridge) = bridged(Peer::with_mail(3));
    poll(&bridge);
    peer.mailbox().add(MAIL);
    peer.mailbox().add(MAIL);
    assert_eq!(poll(&bridge), uidls(OLD, &[1, 2, 3, 4, 5]));
    assert_eq!(
        peer.commands("UID FETCH")[1..],
        [format!("UID FETCH 3:* {ITEMS}")]
    );
    assert_eq!(lookups(&bridge, "delta"), 1.0);
}

#[test]
fn what_others_have_removed_is_found_by_the_uids_alone() {
    let (peer, bridge) = bridged(Peer::with_mail(5));
    poll(&bridge);
    peer.mailbox().lock().mail.remove(1);
    assert_eq!(poll(&bridge), uidls(OLD, &[1, 3, 4, 5]));
    let expected = [
        format!("UID FETCH 5:* {ITEMS}"),
        "UID FETCH 1:* (UID)".into(),
    ];
    assert_eq!(peer.commands("UID FETCH")[1..], expected);
    // The last one goes, and another one comes: the count stays.
    peer.mailbox().lock().mail.pop();
    peer.mailbox().add(MAIL);
    assert_eq!(poll(&bridge), uidls(OLD, &[1, 3, 4, 6]));
    assert_eq!(lookups(&bridge, "delta"), 2.0);
}

#[test]
fn an_empty_folder_is_empty_and_fills() {
    let (peer, bridge) = bridged(Peer::with_mail(0));
    assert_eq!(log_in(&bridge).stat(), (0, 0));
    assert_eq!(poll(&bridge), uidls(OLD, &[]));
    assert_eq!(peer.commands("UID FETCH").len(), 0);
    peer.mailbox().add(MAIL);
    assert_eq!(poll(&bridge), uidls(OLD, &[1]));
}

#[test]
fn uids_up_to_the_last_there_is_are_listed_and_read() {
    let mailbox = Mailbox::ordinary(0);
    mailbox.lock().uid_next = u32::MAX - 2;
    mailbox.add(MAIL);
    mailbox.add(MAIL);
    let (peer, bridge) = bridged(Peer::with_mailbox(mailbox));
    let high = [u32::MAX - 2, u32::MAX - 1];
    assert_eq!(poll(&bridge), uidls(OLD, &high));
    assert_eq!(log_in(&bridge).retr(2), MAIL);
    let mut inner = peer.mailbox().lock();
    let mut last = inner.mail[1].clone();
    last.uid = u32::MAX;
    inner.mail.push(last);
    drop(inner);
    assert_eq!(poll(&bridge), uidls(OLD, &[high[0], high[1], u32::MAX]));
    assert_eq!(poll(&bridge), uidls(OLD, &[high[0], high[1], u32::MAX]));
    assert_eq!(log_in(&bridge).retr(3), MAIL);
}

#[test]
fn behind_a_new_uidvalidity_what_is_known_again_keeps_its_uidl_and_no_body_is_stale() {
    let (peer, bridge) = bridged(Peer::with_mail(3).on("UID FETCH 2", |conn, _| {
        conn.close();
        Flow::End
    }));
    let mut old = log_in(&bridge);
    assert_eq!(old.stat().0, 3);
    let mut inner = peer.mailbox().lock();
    inner.uid_validity += 1;
    inner.mail[1].raw = MAIL.to_vec();
    drop(inner);
    // The connection is lost, and on the next one UID 2 is another message.
    assert_eq!(old.err("RETR 2").code(), Some("SYS/TEMP"));
    assert_eq!(old.err("RETR 2").code(), Some("SYS/TEMP"));
    assert_eq!(peer.commands("UID FETCH 2").len(), 1);
    old.quit();
    // The one that is not known again comes last, as what is new does.
    let now = [(OLD, 1), (OLD, 3), (OLD + 1, 2)];
    let now = now.map(|(generation, uid)| format!("{generation}-{uid}"));
    assert_eq!(poll(&bridge), now);
    wait_for_distrust(&bridge, "UIDVALIDITY changed");
    assert_eq!(poll(&bridge), now);
}

#[test]
fn a_uidnext_that_goes_back_makes_the_list_distrusted() {
    let (peer, bridge) = bridged(Peer::with_mail(3));
    poll(&bridge);
    let mut inner = peer.mailbox().lock();
    inner.uid_next = 3;
    inner.mail.pop();
    drop(inner);
    assert_eq!(poll(&bridge), uidls(OLD, &[1, 2]));
    wait_for_distrust(&bridge, "UIDNEXT went back");
}

#[test]
fn a_known_uid_with_another_date_or_size_makes_the_list_distrusted() {
    let other_date: fn(&mut Mail) = |mail| mail.date = "02-Feb-2020 00:00:00 +0000".into();
    let other_size: fn(&mut Mail) = |mail| mail.raw = MAIL.to_vec();
    // With another date it is another message, whose UIDL was never given before; sizes are estimates on some servers.
    for (change, third) in [(other_date, "3-s4"), (other_size, "3")] {
        let (peer, bridge) = bridged(Peer::with_mail(3));
        poll(&bridge);
        change(&mut peer.mailbox().lock().mail[2]);
        peer.mailbox().add(MAIL);
        let expected = ["1", "2", third, "4"].map(|uid| format!("{OLD}-{uid}"));
        assert_eq!(poll(&bridge), expected);
        wait_for_distrust(&bridge, "another date, size or X-GM-MSGID");
        assert_eq!(poll(&bridge), expected);
    }
}

#[test]
fn without_uidnext_each_poll_looks_for_new_mail_and_finds_it() {
    let peer = Peer::with_mail(2).on("EXAMINE", |conn, cmd| {
        conn.answer(
            cmd,
            "* 2 EXISTS\n* OK [UIDVALIDITY 5] x\n{tag} OK [READ-ONLY] done",
        );
        Flow::Done
    });
    let (peer, bridge) = bridged(peer);
    for _ in 0..2 {
        assert_eq!(poll(&bridge), uidls(5, &[1, 2]));
    }
    let asked = [
        format!("UID FETCH 1:* {ITEMS}"),
        format!("UID FETCH 2:* {ITEMS}"),
    ];
    assert_eq!(peer.commands("UID FETCH"), asked);
}

/// A bridge whose peer answers the first list only when told to.
fn gated() -> (RunningPeer, Bridge, Sender<()>) {
    let (open, gate) = channel();
    let gate = Mutex::new(gate);
    let (peer, bridge) = bridged(Peer::with_mail(3).on("UID FETCH 1:*", move |_, _| {
        let _ = gate.lock().expect("gate").recv();
        Flow::Default
    }));
    (peer, bridge, open)
}

#[test]
fn a_client_that_hangs_up_during_the_listing_finds_it_ready() {
    let (peer, bridge, open) = gated();
    let mut pop3 = log_in(&bridge);
    pop3.send("STAT");
    peer.wait_for("UID FETCH", 1);
    drop(pop3);
    let mut pop3 = log_in(&bridge);
    pop3.send("STAT");
    open.send(()).expect("the peer");
    assert!(pop3.expect_ok().starts_with("3 "));
    assert_eq!(peer.commands("UID FETCH").len(), 1);
    assert_eq!(
        (lookups(&bridge, "cold"), lookups(&bridge, "hit")),
        (1.0, 1.0)
    );
}

#[test]
fn two_clients_of_one_mailbox_share_one_listing() {
    let (peer, bridge, open) = gated();
    let mut one = log_in(&bridge);
    let mut two = bridge.pop3().log_in(&format!("{USER}/two"), PASSWORD);
    one.send("UIDL");
    two.send("UIDL");
    peer.wait_for("UID FETCH", 1);
    open.send(()).expect("the peer");
    let lines = |pop3: &mut Pop3| {
        pop3.expect_ok();
        pop3.body()
    };
    assert_eq!(lines(&mut one), lines(&mut two));
    assert_eq!(peer.commands("UID FETCH").len(), 1);
    // Both read, one message after the other.
    assert_eq!(one.retr(1), two.retr(1));
    assert_eq!(one.retr(3), two.retr(3));
    one.quit();
    assert!(!two.retr(2).is_empty());
    two.quit();
    assert_eq!(peer.connections(), 1);
}

/// X-GM-MSGID with each row, as Gmail has it.
fn gmail(peer: Peer) -> Peer {
    peer.on("UID FETCH 1:*", |conn, cmd| {
        for n in 1..=2 {
            let id = 1_278_455_344_230_334_865_u64 + n;
            conn.line(&format!(
                "* {n} FETCH (X-GM-MSGID {id} UID {n} RFC822.SIZE 9 INTERNALDATE \" 1-Jan-2024 00:00:00 +0000\")"
            ));
        }
        conn.ok(cmd);
        Flow::Done
    })
}

fn gmail_bridge(peer: &RunningPeer) -> Bridge {
    before(peer, &peer.plain_url(), "uidl = \"gmail\"")
}

#[test]
fn with_gmails_uidls_the_ids_are_listed_too() {
    let peer = gmail(Peer::with_mail(2).capability("IMAP4rev1 AUTH=PLAIN X-GM-EXT-1")).start();
    let bridge = gmail_bridge(&peer);
    let expected = ["GmailId11bdfc5cae0c8192", "GmailId11bdfc5cae0c8193"];
    let expected = expected.map(str::to_owned);
    assert_eq!(poll(&bridge), expected);
    peer.mailbox().lock().uid_validity += 1;
    assert_eq!(poll(&bridge), expected, "they outlive a UIDVALIDITY");
    assert!(peer.commands("UID FETCH")[0].contains("X-GM-MSGID"));
}

#[test]
fn gmails_ids_are_listed_whatever_the_uidls_are_made_of() {
    let peer = gmail(Peer::with_mail(2).capability("IMAP4rev1 AUTH=PLAIN X-GM-EXT-1")).start();
    let bridge = before(&peer, &peer.plain_url(), "");
    assert_eq!(poll(&bridge).len(), 2);
    assert!(peer.commands("UID FETCH")[0].contains("X-GM-MSGID"));
}

#[test]
fn gmails_uidls_need_gmail() {
    let peer = Peer::with_mail(2).start();
    let bridge = gmail_bridge(&peer);
    assert_eq!(log_in(&bridge).err("STAT").code(), Some("SYS/PERM"));
    bridge.wait_for_log("why", |line| {
        field(line, "message") == "listing failed"
            && field(line, "trouble").contains("needs X-GM-MSGID")
    });
    // And one that offers the ids and then keeps them back.
    let peer = Peer::with_mail(2)
        .capability("IMAP4rev1 AUTH=PLAIN X-GM-EXT-1")
        .start();
    let bridge = gmail_bridge(&peer);
    let mut pop3 = bridge.pop3().log_in(USER, PASSWORD);
    assert_eq!(pop3.err("STAT").code(), Some("SYS/TEMP"));
}
