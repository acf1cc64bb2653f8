//! An upstream that is at another address by now: state that was kept of a client speaks of the mailbox at the old one.

use crate::many::in_a_hurry;
use crate::support::bridge::{Bridge, Options, field, run};
use crate::support::imap_peer::{PASSWORD, Peer, RunningPeer, USER};
use crate::support::tree::{Account, Tree};

fn serve(peer: &RunningPeer, tree: &Tree) -> Bridge {
    let (start, url) = (in_a_hurry(&peer.certs), peer.plain_url());
    let config = format!("{start}[upstream.x]\nurl = \"{url}\"\n");
    Options::config(&config).state(&tree.join("state")).start()
}

#[test]
fn a_client_of_another_address_is_refused_with_words_until_it_is_removed() {
    let tree = Tree::new("moved", &Account::for_servers());
    let (old, new) = (Peer::with_mail(3).start(), Peer::with_mail(5).start());
    let desk1 = format!("{USER}/desk1");
    let bridge = serve(&old, &tree);
    let mut pop3 = bridge.pop3().log_in(&desk1, PASSWORD);
    pop3.ok("DELE 1");
    pop3.quit();
    assert!(bridge.stop().success());

    let bridge = serve(&new, &tree);
    for _ in 0..2 {
        let mut pop3 = bridge.pop3();
        pop3.ok(&format!("USER {desk1}"));
        let refused = pop3.err(&format!("PASS {PASSWORD}"));
        // It is no matter of its password.
        assert_eq!(refused.code(), Some("SYS/PERM"), "{}", refused.text);
    }
    bridge.wait_for_log("words", |line| {
        let error = field(line, "error");
        field(line, "message") == "the log-in could not be checked"
            && error.contains(&desk1)
            && error.contains("at another address of its upstream")
            && error.contains("popbridge client remove")
    });
    assert_eq!(new.mailbox().uids(), [1, 2, 3, 4, 5]);
    // Others are not concerned.
    let other = format!("{USER}/desk2");
    assert_eq!(bridge.pop3().log_in(&other, PASSWORD).stat().0, 5);
    assert!(bridge.stop().success());

    // At the old address it is who it was.
    let bridge = serve(&old, &tree);
    assert_eq!(bridge.pop3().log_in(&desk1, PASSWORD).stat().0, 2);
    assert!(bridge.stop().success());

    let bridge = serve(&new, &tree);
    let (url, state) = (new.plain_url(), tree.join("state"));
    let place = ["--upstream", &url, "--state", state.to_str().unwrap()];
    let remove = [&["client", "remove", &desk1], &place[..]].concat();
    let (code, output, errors) = run(&remove, &[]);
    assert_eq!(code, Some(0), "{output}{errors}");
    let mut pop3 = bridge.pop3().log_in(&desk1, PASSWORD);
    assert_eq!(pop3.stat().0, 5);
    pop3.ok("DELE 2");
    pop3.quit();
    assert_eq!(bridge.pop3().log_in(&desk1, PASSWORD).stat().0, 4);
    assert_eq!(old.mailbox().uids(), [1, 2, 3]);
}
