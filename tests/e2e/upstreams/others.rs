//! iCloud, GMX, web.de and servers of one's own: log-in names, large UIDs, and octets that should not be in a message.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::many::{bridged, in_a_hurry, log_in};
use crate::support::bridge::{Options, run};
use crate::support::fake_mailbox::Mailbox;
use crate::support::imap_peer::{PASSWORD, Peer};
use crate::support::tree::{Account, Tree};

const MAIL: &[u8] = b"Subject: x\r\n\r\nx\r\n";

#[test]
fn uids_of_hundreds_of_millions_with_gaps_of_millions_cost_what_their_messages_cost() {
    const COUNT: u32 = 600;
    const GAP: u32 = 7_019_000;
    let mailbox = Mailbox::ordinary(0);
    for n in 0..COUNT {
        mailbox.lock().uid_next = 90_000_000 + n * GAP;
        mailbox.add(MAIL);
    }
    let uids = mailbox
        .lock()
        .mail
        .iter()
        .map(|mail| mail.uid)
        .collect::<Vec<u32>>();
    assert!(
        u32::MAX - uids[599] < GAP,
        "up to the last UIDs that there can be"
    );
    let (peer, bridge) = bridged(Peer::with_mailbox(mailbox));
    log_in(&bridge).quit();
    let before = bridge.memory("VmRSS");
    let mut pop3 = log_in(&bridge);
    assert_eq!(pop3.stat().0, u64::from(COUNT));
    for n in [1, 300, 600] {
        assert_eq!(pop3.retr(n), MAIL);
    }
    pop3.ok("DELE 2");
    pop3.ok("DELE 600");
    pop3.quit();
    let added = bridge.memory("VmRSS").saturating_sub(before);
    assert!(added < 4 << 20, "{added} octets of memory");
    assert_eq!(peer.mailbox().uids().len(), 598);
    // One list and no walk through the numbers; what was deleted is named, not spanned.
    assert_eq!(peer.commands("UID FETCH 1:*").len(), 1);
    assert!(peer.heard().len() < 8 * 1024, "{}", peer.heard());
    let gone = format!("UID EXPUNGE {},{}", uids[1], uids[599]);
    assert_eq!(peer.commands("UID EXPUNGE"), [gone]);
    // And the next poll goes on behind the highest one.
    let mut pop3 = log_in(&bridge);
    assert_eq!(pop3.stat().0, 598);
    pop3.quit();
}

#[test]
fn an_account_logs_in_by_the_local_part_and_its_client_by_the_whole_address() {
    // It takes whoever comes: what was presented is looked at below.
    let peer = Peer::with_mail(2).start();
    let tree = Tree::new("icloud", &Account::for_servers());
    let (start, url) = (in_a_hurry(&peer.certs), peer.plain_url());
    let config = format!(
        "{start}[upstream.apple]\nurl = \"{url}\"\ndomains = [\"elsewhere.example\"]\n[account.ann]\nlogin = \"ann.smith\"\npassword_env = \"APP_PASSWORD\"\n"
    );
    let file = tree.write("popbridge.toml", &config);
    let state = tree.join("state");
    let bridge = Options::config(&config)
        .state(&state)
        .environment("APP_PASSWORD", PASSWORD)
        .start();
    let client = "ann.smith@icloud.example";
    let arguments = ["client", "add", client, "--account", "ann"];
    let place = [
        "--config",
        file.to_str().unwrap(),
        "--state",
        state.to_str().unwrap(),
    ];
    let (code, password, errors) = run(
        &[&arguments[..], &place].concat(),
        &[("APP_PASSWORD", PASSWORD)],
    );
    assert_eq!(code, Some(0), "{errors}");
    let mut pop3 = bridge.pop3().log_in(client, password.trim_end());
    assert_eq!(pop3.stat().0, 2);
    pop3.quit();
    let presented = STANDARD.encode(format!("\0ann.smith\0{PASSWORD}"));
    assert!(peer.heard().contains(&presented), "{}", peer.heard());
    assert!(!peer.heard().contains(client));
}

#[test]
fn what_should_not_be_in_a_message_comes_as_it_is_but_for_line_ends() {
    let sent: &[u8] =
        b"Subject: odd\n\nNUL \0 and a bare LF\nlatin1 Gr\xfc\xdfe \xff\r\n.dot\n\r\nlone \r CR";
    let expected: &[u8] = b"Subject: odd\r\n\r\nNUL \0 and a bare LF\r\nlatin1 Gr\xfc\xdfe \xff\r\n.dot\r\n\r\nlone \r CR\r\n";
    let long: Vec<u8> = [
        b"Subject: odd\n\n",
        b"NUL \0, \xe9 and a bare LF\n".repeat(20_000).as_slice(),
    ]
    .concat();
    let long_expected = [
        b"Subject: odd\r\n\r\n",
        b"NUL \0, \xe9 and a bare LF\r\n".repeat(20_000).as_slice(),
    ]
    .concat();
    let mailbox = Mailbox::ordinary(0);
    mailbox.add(sent);
    mailbox.add(&long);
    let (_peer, bridge) = bridged(Peer::with_mailbox(mailbox));
    let mut pop3 = log_in(&bridge);
    assert_eq!(pop3.retr(1), expected);
    assert_eq!(
        pop3.multi("TOP 1 2"),
        expected[..expected.len() - b".dot\r\n\r\nlone \r CR\r\n".len()]
    );
    // Streamed, not from memory.
    assert!(pop3.retr(2) == long_expected);
    assert_eq!(
        pop3.multi("TOP 2 1"),
        b"Subject: odd\r\n\r\nNUL \0, \xe9 and a bare LF\r\n"
    );
    pop3.quit();
}
