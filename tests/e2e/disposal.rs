//! What QUIT removes upstream: the messages that the client has deleted and no other. Where none can be removed safely, QUIT is refused and
//! nothing is changed; what merely failed is hidden from the client, and tried again later (see `disposal_trouble`).

use crate::many::{Many, One, Row, bridged, log_in};
use crate::support::bridge::field;
use crate::support::fake_mailbox::Mailbox;
use crate::support::imap_peer::{Flow, Peer, RunningPeer};
use crate::support::pop3::Status;
use crate::support::process::eventually;

/// Commands that change something, in order.
fn changes(peer: &RunningPeer) -> Vec<String> {
    let words = [
        "UID STORE",
        "UID EXPUNGE",
        "UID MOVE",
        "UID COPY",
        "EXPUNGE",
        "CLOSE",
    ];
    let heard = peer.heard();
    let commands = heard.lines().filter_map(|line| line.split_once(' '));
    let commands = commands.map(|(_, command)| command.to_owned());
    commands
        .filter(|command| words.iter().any(|word| command.starts_with(word)))
        .collect()
}

/// Deletes 2 and 4 of five messages; the answer to QUIT.
fn delete_two(one: &One<'_>) -> Status {
    let mut pop3 = one.log_in();
    pop3.ok("DELE 2");
    pop3.ok("DELE 4");
    pop3.command("QUIT")
}

fn with(capability: &str) -> Peer {
    Peer::with_mail(5).capability(&format!("IMAP4rev1 AUTH=PLAIN {capability}"))
}

/// A peer that knows UID COPY.
fn copying(peer: Peer) -> Peer {
    peer.reply("UID COPY", "{tag} OK [COPYUID 1 2,4 1:2] done")
}

/// Five messages, QUIT refused with this code, all five still there, and these changes tried.
fn assert_kept(rows: Vec<Row>, keys: &str, code: &str, tried: &[&str]) {
    let many = Many::start_with(rows, RunningPeer::plain_url, keys);
    many.each(|one| {
        let status = delete_two(&one);
        one.assert_refused(&status, Some(code));
        assert_eq!(one.peer.mailbox().uids(), [1, 2, 3, 4, 5], "{}", one.name);
        assert_eq!(changes(one.peer), *tried, "{}", one.name);
    });
}

#[test]
fn with_uidplus_just_the_deleted_ones_are_marked_and_expunged() {
    let (peer, bridge) = bridged(with("UIDPLUS MOVE"));
    // Somebody else has marked a message, and wants to think about it.
    peer.mailbox().lock().mail[2].deleted = true;
    let mut pop3 = log_in(&bridge);
    for n in [1, 2, 4] {
        pop3.ok(&format!("DELE {n}"));
    }
    pop3.quit();
    assert_eq!(peer.mailbox().uids(), [3, 5]);
    let expected = [
        "UID STORE 1:2,4 +FLAGS.SILENT (\\Deleted)",
        "UID EXPUNGE 1:2,4",
    ];
    assert_eq!(changes(&peer), expected);
    assert_eq!(log_in(&bridge).stat().0, 2);
    // Never was anything opened for writing before there was something to write.
    assert_eq!(peer.commands("SELECT").len(), 1);
}

#[test]
fn quit_without_a_deletion_opens_nothing_for_writing() {
    let (peer, bridge) = bridged(Peer::with_mail(5));
    let mut pop3 = log_in(&bridge);
    pop3.retr(1);
    pop3.ok("DELE 1");
    pop3.ok("RSET");
    pop3.quit();
    peer.wait_for("LOGOUT", 1);
    assert_eq!(peer.commands("SELECT").len(), 0);
    assert_eq!(changes(&peer), [] as [&str; 0]);
}

#[test]
fn trash_means_move_to_the_folder_of_that_use() {
    let localized = with("MOVE UIDPLUS SPECIAL-USE").on("LIST", |conn, cmd| {
        conn.line("* LIST (\\HasNoChildren) \"/\" INBOX");
        conn.line("* LIST (\\HasNoChildren) \"/\" Trash");
        conn.line("* LIST (\\Trash \\HasNoChildren) \"/\" \"[Gmail]/Papelera \\\"1\\\"\"");
        conn.ok(cmd);
        Flow::Done
    });
    let rows: Vec<Row> = vec![
        ("by its use", with("MOVE")),
        ("by its use, whatever its name", localized),
        (
            "as a literal",
            with("MOVE").reply("LIST", "* LIST (\\Trash) \"/\" {5}\nTrash\n{tag} OK done"),
        ),
    ];
    let targets = ["Trash", "[Gmail]/Papelera \\\"1\\\"", "Trash"];
    let many = Many::start_with(rows, RunningPeer::plain_url, "dispose = \"trash\"");
    let mut targets = targets.iter();
    many.each(|one| {
        assert!(delete_two(&one).ok, "{}", one.name);
        let target = targets.next().expect("a target");
        assert_eq!(changes(one.peer), [format!("UID MOVE 2,4 \"{target}\"")]);
        assert_eq!(one.peer.mailbox().lock().trash.len(), 2);
    });
}

#[test]
fn special_uses_are_asked_for_in_words_only_where_extended_list_is_known() {
    let plain = with("MOVE SPECIAL-USE").reply("LIST \"\" \"*\" RETURN", "{tag} BAD what?");
    let extended = with("MOVE SPECIAL-USE LIST-EXTENDED");
    let rows = [("plain", plain), ("extended", extended)];
    let mut asked = ["LIST \"\" \"*\"", "LIST \"\" \"*\" RETURN (SPECIAL-USE)"].iter();
    Many::start_with(rows, RunningPeer::plain_url, "dispose = \"trash\"").each(|one| {
        assert!(delete_two(&one).ok, "{}", one.name);
        assert_eq!(one.peer.commands("LIST"), [*asked.next().expect("one")]);
        assert_eq!(changes(one.peer), ["UID MOVE 2,4 \"Trash\""]);
    });
}

#[test]
fn trash_by_name_is_found_whatever_letters_it_has() {
    let peer = with("MOVE").on("LIST \"\" \"Gel&APY-schte Elemente\"", |conn, cmd| {
        conn.line("* LIST () \"/\" \"Gel&APY-schte Elemente\"");
        conn.ok(cmd);
        Flow::Done
    });
    let keys = "dispose = \"trash\"\ntrash = \"Gel\u{f6}schte Elemente\"";
    let many = Many::start_with([("umlaut", peer)], RunningPeer::plain_url, keys);
    many.each(|one| {
        assert!(delete_two(&one).ok);
        assert_eq!(
            changes(one.peer),
            ["UID MOVE 2,4 \"Gel&APY-schte Elemente\""]
        );
    });
}

#[test]
fn without_move_trash_is_copy_mark_and_expunge() {
    let rows = [("copies", copying(with("UIDPLUS")))];
    let many = Many::start_with(rows, RunningPeer::plain_url, "dispose = \"trash\"");
    many.each(|one| {
        assert!(delete_two(&one).ok);
        let expected = [
            "UID COPY 2,4 \"Trash\"",
            "UID STORE 2,4 +FLAGS.SILENT (\\Deleted)",
            "UID EXPUNGE 2,4",
        ];
        assert_eq!(changes(one.peer), expected);
        assert_eq!(one.peer.mailbox().uids(), [1, 3, 5]);
    });
}

#[test]
fn without_uidplus_and_move_nothing_is_touched() {
    let nowhere = || with("MOVE").reply("LIST", "* LIST () \"/\" INBOX\n{tag} OK done");
    let rows = || -> Vec<Row> { vec![("neither", with("LITERAL+ NAMESPACE"))] };
    assert_kept(rows(), "", "SYS/PERM", &[]);
    assert_kept(rows(), "dispose = \"trash\"", "SYS/PERM", &[]);
    assert_kept(vec![("MOVE and no trash", nowhere())], "", "SYS/PERM", &[]);
    let keys = "dispose = \"trash\"";
    assert_kept(vec![("no trash", nowhere())], keys, "SYS/PERM", &[]);
    assert_kept(
        vec![
            ("another name", with("MOVE")),
            (
                "a folder that cannot be opened",
                with("MOVE").reply("LIST", "* LIST (\\Noselect) \"/\" Bin\n{tag} OK done"),
            ),
        ],
        "dispose = \"trash\"\ntrash = \"Bin\"",
        "SYS/PERM",
        &[],
    );
}

#[test]
fn without_uidplus_the_trash_is_the_safe_way_that_is_left() {
    Many::start([("MOVE only", with("MOVE"))]).each(|one| {
        assert!(delete_two(&one).ok);
        assert_eq!(changes(one.peer), ["UID MOVE 2,4 \"Trash\""]);
    });
}

#[test]
fn who_accepts_the_risk_in_words_gets_a_bare_expunge_and_only_where_needed() {
    let keys = "expunge_without_uidplus = true";
    let rows = [
        ("without UIDPLUS", with("")),
        ("with UIDPLUS", with("UIDPLUS")),
    ];
    let expunges = ["EXPUNGE", "UID EXPUNGE 2,4"];
    let mut expunges = expunges.iter();
    Many::start_with(rows, RunningPeer::plain_url, keys).each(|one| {
        assert!(delete_two(&one).ok);
        let mark = "UID STORE 2,4 +FLAGS.SILENT (\\Deleted)";
        assert_eq!(changes(one.peer), [mark, expunges.next().expect("one")]);
        assert_eq!(one.peer.mailbox().uids(), [1, 3, 5]);
    });
}

#[test]
fn what_is_deleted_in_a_folder_that_can_only_be_read_is_hidden_and_the_log_says_why_it_stays() {
    let peer = with("UIDPLUS").on("SELECT", |conn, cmd| {
        conn.answer(
            cmd,
            "* 5 EXISTS\n* OK [UIDVALIDITY 1700000000] x\n{tag} OK [READ-ONLY] done",
        );
        Flow::Done
    });
    let many = Many::start([("read-only", peer)]);
    many.each(|one| {
        assert!(delete_two(&one).ok);
        assert_eq!(one.log_in().stat().0, 3);
        assert_eq!(one.peer.mailbox().uids(), [1, 2, 3, 4, 5]);
        assert_eq!(changes(one.peer), [] as [&str; 0]);
    });
    many.bridge.wait_for_log("why", |line| {
        field(line, "message") == "not done upstream; it will be tried again"
            && field(line, "error").contains("can only be read")
    });
}

#[test]
fn another_uidvalidity_at_quit_means_that_nothing_is_touched_before_the_message_is_known_again() {
    let (peer, bridge) = bridged(with("UIDPLUS"));
    let mut pop3 = log_in(&bridge);
    let before = pop3.lines("UIDL");
    pop3.ok("DELE 2");
    let mut inner = peer.mailbox().lock();
    inner.uid_validity += 1;
    // The very same messages under other UIDs.
    inner.uid_next = 16;
    inner.mail.iter_mut().for_each(|mail| mail.uid += 10);
    drop(inner);
    pop3.quit();
    assert_eq!(changes(&peer), [] as [&str; 0]);
    let mut pop3 = log_in(&bridge);
    let words = |line: &String| line.split_once(' ').expect("two words").1.to_owned();
    let left: Vec<String> = pop3.lines("UIDL").iter().map(words).collect();
    let expected: Vec<String> = [0, 2, 3, 4].map(|n: usize| words(&before[n])).into();
    assert_eq!(left, expected);
    pop3.quit();
    eventually("the message is removed under its new UID", || {
        peer.mailbox().uids() == [11, 13, 14, 15]
    });
    let expected = ["UID STORE 12 +FLAGS.SILENT (\\Deleted)", "UID EXPUNGE 12"];
    assert_eq!(changes(&peer), expected);
    assert_eq!(log_in(&bridge).stat().0, 4);
}

#[test]
fn a_deleted_message_that_was_not_there_and_comes_back_is_hidden_and_removed() {
    let (peer, bridge) = bridged(with("UIDPLUS"));
    let mut pop3 = log_in(&bridge);
    pop3.ok("DELE 2");
    let blinking = peer.mailbox().lock().mail.remove(1);
    pop3.quit();
    assert_eq!(changes(&peer), [] as [&str; 0]);
    assert_eq!(log_in(&bridge).stat().0, 4);
    peer.mailbox().lock().mail.insert(1, blinking);
    let mut pop3 = log_in(&bridge);
    assert_eq!(pop3.stat().0, 4);
    pop3.quit();
    eventually("it is removed", || peer.mailbox().uids() == [1, 3, 4, 5]);
    assert_eq!(log_in(&bridge).stat().0, 4);
}

#[test]
fn a_message_that_is_gone_already_is_no_trouble() {
    let (peer, bridge) = bridged(with("UIDPLUS"));
    let mut pop3 = log_in(&bridge);
    pop3.ok("DELE 2");
    pop3.ok("DELE 3");
    peer.mailbox().lock().mail.remove(1);
    pop3.quit();
    assert_eq!(peer.mailbox().uids(), [1, 4, 5]);
}

#[test]
fn a_client_that_hangs_up_before_quit_deletes_nothing() {
    let (peer, bridge) = bridged(with("UIDPLUS"));
    let mut pop3 = log_in(&bridge);
    pop3.ok("DELE 2");
    drop(pop3);
    peer.wait_for("LOGOUT", 1);
    assert_eq!(changes(&peer), [] as [&str; 0]);
}

#[test]
fn many_scattered_deletions_go_in_commands_of_bounded_length() {
    let mailbox = Mailbox::ordinary(0);
    mailbox.lock().uid_next = 4_000_000_000;
    for _ in 0..1600 {
        mailbox.add(b"Subject: x\r\n\r\n");
    }
    let (peer, bridge) = bridged(Peer::with_mailbox(mailbox));
    let mut pop3 = log_in(&bridge);
    for n in (1..=1600).step_by(2) {
        pop3.ok(&format!("DELE {n}"));
    }
    pop3.quit();
    let kept: Vec<u32> = (4_000_000_001..4_000_001_600).step_by(2).collect();
    // What takes longer than two seconds goes on behind QUIT.
    eventually("just those are removed", || peer.mailbox().uids() == kept);
    let commands = changes(&peer);
    assert!(commands.len() > 2 && commands.iter().all(|line| line.len() < 8000));
}
