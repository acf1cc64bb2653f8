//! `popbridge check --connect` knows servers by what they say, names the profile for them, and says where the configuration differs.

use crate::support::bridge::run;
use crate::support::fake_folders::{Folders, GMAIL};
use crate::support::imap_peer::{PASSWORD, Peer, RunningPeer, USER};
use crate::support::tree::{Account, Tree};

/// What `check --connect` prints of this peer, whose table has these keys.
fn checked(
    peer: &RunningPeer,
    keys: &str,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> String {
    let tree = Tree::new("check", &Account::for_servers());
    let config = format!("[upstream.x]\nurl = \"{}\"\n{keys}\n", peer.plain_url());
    let file = tree.write("popbridge.toml", &config);
    let start = ["check", "--connect", "--config", file.to_str().unwrap()];
    let (code, output, errors) = run(&[&start, arguments].concat(), environment);
    eprintln!("{output}{errors}"); // shown where the test fails
    assert_eq!(code, Some(0));
    output
}

fn assert_says(output: &str, lines: &[&str]) {
    for line in lines {
        assert!(output.contains(line), "{line:?} is missing");
    }
}

fn gmail() -> Peer {
    Peer::with_mail(0)
        .greeting("* OK Gimap ready for requests from 127.0.0.1 x2mb241876667wmk")
        .capability("IMAP4rev1 UNSELECT IDLE ID XLIST CHILDREN X-GM-EXT-1 SASL-IR AUTH=XOAUTH2 AUTH=PLAIN AUTH=OAUTHBEARER")
}

#[test]
fn gmail_without_its_profile_is_told_what_is_missing() {
    let output = checked(&gmail().start(), "", &[], &[]);
    assert_says(
        &output,
        &[
            "  server:        Gmail: it offers X-GM-EXT-1\n",
            "  provider:      this is Gmail; provider = \"gmail\" is missing\n",
            "  differs:       dispose = \"expunge\" here, and \"trash\" for Gmail, where expunging may only archive\n",
            "  differs:       uidl = \"{uidvalidity}-{uid}\" here, and \"gmail\" for Gmail; what is listed already keeps its id\n",
            "  differs:       bytes_per_day = \"0B\" here, and \"2500000000B\" for Gmail\n",
            "  differs:       session_life = \"0s\" here, and \"23h\" for Gmail\n",
            "  log-in:        passwords by AUTHENTICATE PLAIN; tokens by AUTHENTICATE OAUTHBEARER\n",
        ],
    );
    // Fewer connections than may be are nothing to speak of.
    assert!(!output.contains("connections ="));
}

#[test]
fn gmail_with_its_profile_is_as_it_should_be() {
    let output = checked(&gmail().start(), "provider = \"gmail\"", &[], &[]);
    assert_says(
        &output,
        &[
            "x: Gmail, at imap://localhost:",
            "unique ids GmailId{gm_msgid:x}, dispose \"trash\", 8 connections, connections of up to 23h.\n",
            "  provider:      \"gmail\", as configured\n",
            "  log-in:        passwords by AUTHENTICATE PLAIN, made for this program at Gmail; \
             tokens by AUTHENTICATE OAUTHBEARER (accounts with oauth = \"google\")\n",
        ],
    );
    assert!(!output.contains("differs:"));
}

#[test]
fn behind_the_log_in_it_tells_what_is_used_and_how_messages_go() {
    let folders = Folders::new(&[("INBOX", ""), ("[Gmail]/Papierkorb", "\\Trash")]);
    for n in 1..=1000 {
        folders
            .of("INBOX")
            .add(format!("Subject: {n}\r\n\r\nx\r\n").as_bytes());
    }
    let peer = folders.peer().capability(GMAIL).start();
    let account = format!(
        "provider = \"gmail\"\n[account.info]\nlogin = \"{USER}\"\npassword_env = \"SECRET\""
    );
    let output = checked(&peer, &account, &[], &[("SECRET", PASSWORD)]);
    assert_says(
        &output,
        &[
            "  used:          UIDPLUS (removes single messages), MOVE (",
            "  not offered:   CONDSTORE (",
            "  unique ids:    GmailId{gm_msgid:x}, from X-GM-MSGID, which never changes\n",
            "  removal:       safe: single messages by UID EXPUNGE\n",
            "  limit:         just 1000 messages: there may be more",
            // By its mark, whatever it is called.
            "  deleting:      UID MOVE to [Gmail]/Papierkorb\n",
        ],
    );
    assert!(!output.contains(PASSWORD));
}

#[test]
fn other_servers_are_known_too_and_a_wrong_profile_is_named() {
    let exchange = "* OK The Microsoft Exchange IMAP4 service is ready. \
        [UwBJADIAUABSADAAMQBDAEEAMAAwADQAMgAuAGEAcABjAHAAcgBkADAAMQAuAHAAcgBvAGQALgBlAHgAYwBoAGEAbgBnAGUAbABhAGIAcwAuAGMAbwBtAA==]";
    let cases = [
        (
            Peer::with_mail(0)
                .greeting(exchange)
                .capability("IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 UIDPLUS"),
            "provider = \"microsoft365\"",
            vec![
                "server:        Microsoft 365 or Outlook.com: it greets as an Exchange of Microsoft's own data centres\n",
                "provider:      \"microsoft365\", as configured\n",
                "log-in:        no passwords at Microsoft 365 or Outlook.com, whatever it offers; \
                 tokens by AUTHENTICATE XOAUTH2 (accounts with oauth = \"microsoft\")\n",
            ],
        ),
        (
            Peer::with_mail(0).capability("IMAP4rev1 AUTH=PLAIN X-UIDONLY UIDONLY PARTIAL"),
            "provider = \"gmail\"",
            vec![
                "server:        Yahoo or AOL: it offers extensions of Yahoo's own\n",
                "provider:      this is Yahoo or AOL; provider = \"gmail\" is configured and \"yahoo\" would be right\n",
                "differs:       dispose = \"trash\" here, and \"expunge\" for Yahoo or AOL\n",
            ],
        ),
        (
            Peer::with_mail(0)
                .greeting("* OK [CAPABILITY {capability}] (2109B29) pv33p00im-iscream021.me.com")
                .capability("XAPPLEPUSHSERVICE IMAP4 IMAP4rev1 SASL-IR AUTH=ATOKEN AUTH=PLAIN"),
            "",
            vec![
                "server:        iCloud: it offers AUTH=ATOKEN, as iCloud does\n",
                "provider:      this is iCloud; provider = \"icloud\" is missing\n",
                "differs:       trash = \"\\\\Trash\" here, and \"Deleted Messages\" for iCloud, which does not mark it\n",
            ],
        ),
        (
            Peer::with_mail(0)
                .greeting("* OK Courier-IMAP ready.")
                .capability("IMAP4rev1 LOGINDISABLED"),
            "",
            vec![
                "server:        Courier: it greets as Courier\n",
                "provider:      \"generic\", which is for all that have no other\n",
                "log-in:        no passwords; no tokens\n",
            ],
        ),
    ];
    for (peer, keys, lines) in cases {
        assert_says(&checked(&peer.start(), keys, &[], &[]), &lines);
    }
}
