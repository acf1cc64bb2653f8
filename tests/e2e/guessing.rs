//! A program that guesses passwords gets nowhere, and nobody else waits because of it.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::bridge::{Bridge, Options};
use crate::support::dovecot::{Dovecot, PASSWORD};
use crate::support::figures::show;
use crate::support::mail::ordinary_mail;
use crate::support::pop3::Pop3;
use crate::support::process::{Process, require};
use crate::support::tree::{Account, Tree};

/// So long it may guess.
const TIME: Duration = Duration::from_secs(15);
/// A log-in that had to wait for a turn would have waited for longer: see `auth_failure_delay`, whose default is 2 s.
const NO_WAIT: Duration = Duration::from_millis(1900);

/// Logs in and out; gives how long the answer to the password took.
fn poll(mut pop3: Pop3, user: &str) -> Duration {
    pop3.expect_ok();
    pop3.ok(&format!("USER {user}"));
    let began = Instant::now();
    pop3.ok(&format!("PASS {PASSWORD}"));
    let took = began.elapsed();
    assert_eq!(pop3.stat().0, 2);
    pop3.quit();
    took
}

fn from(address: [u8; 4], bridge: &Bridge) -> Pop3 {
    Pop3::connect_from(Ipv4Addr::from(address), bridge.pop3_port)
}

#[test]
fn hydra_gets_less_than_one_guess_a_second_and_nobody_else_waits() {
    let hydra = require("hydra", "hydra");
    let fail2ban = require("fail2ban-regex", "fail2ban");
    let dovecot = Dovecot::start();
    for user in ["ann", "bob", "carol"] {
        dovecot.maildir(user).fill(&ordinary_mail(2));
    }
    let config = format!("[upstream.mail]\nurl = \"{}\"\n", dovecot.plain_url());
    let bridge = Options::config(&config).text_log().start();
    // Ann's password is about to be guessed from 127.0.0.1, where Bob has a device, too.
    poll(from([127, 0, 0, 2], &bridge), "ann");
    poll(from([127, 0, 0, 1], &bridge), "bob");

    let tree = Tree::new("hydra", &Account::for_servers());
    let mut passwords = String::new();
    for n in 0..20_000 {
        writeln!(passwords, "guess-{n}").unwrap();
    }
    let list = tree.write("passwords", &passwords);
    let port = bridge.pop3_port.to_string();
    let mut command = Command::new(hydra);
    command
        .args(["-I", "-l", "ann", "-t", "16", "-s", &port, "-P"])
        .arg(&list)
        .args(["127.0.0.1", "pop3"])
        .current_dir(tree.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let began = Instant::now();
    let mut hydra = Process::spawn("hydra", &mut command, tree.path());
    bridge.wait_for_line("a guess", |line| line.contains("Aborted login"));
    let mut polls = 0;
    while began.elapsed() < TIME {
        // Both go on as before; Carol comes from a new address each time.
        let new = 3 + polls % 250;
        for (user, address) in [("ann", 2), ("bob", 1), ("carol", new)] {
            let took = poll(from([127, 0, 0, address], &bridge), user);
            assert!(took < NO_WAIT, "{user} waited for {took:?}");
        }
        polls = polls.saturating_add(1);
        std::thread::sleep(Duration::from_millis(500));
    }
    let time = began.elapsed();
    assert!(hydra.ended().is_none(), "it is still at it");
    hydra.kill9();
    let guesses = bridge.metric("popbridge_logins_total", &["outcome=\"rejected\""]);
    let unseen = bridge.metric("popbridge_logins_total", &["outcome=\"too_soon\""]);
    let delayed = bridge.metric("popbridge_delayed_logins_total", &[]);
    let a_second = guesses / time.as_secs_f64();
    show(&format!(
        "hydra: {guesses} passwords looked at in {time:.1?}, {unseen} not; {polls} times three others logged in"
    ));
    assert!(
        guesses >= 3.0 && unseen >= 3.0 && delayed >= unseen,
        "{guesses} {unseen} {delayed}"
    );
    assert!(
        a_second < 1.0,
        "{a_second} guesses a second: {guesses} in {time:?}"
    );
    assert!(polls > 3, "{polls}");
    // fail2ban would ban the one who guesses, by the lines about wrong passwords and no others.
    let log = bridge.log().join("\n") + "\n";
    let file = tree.write("log", &log);
    let output = Command::new(fail2ban)
        .args(["--raw", "--out", "ip"])
        .arg(&file)
        .arg("dovecot[_daemon=popbridge]")
        .output()
        .unwrap();
    let found = String::from_utf8(output.stdout).unwrap();
    let found: Vec<&str> = found.lines().collect();
    assert!(found.iter().all(|ip| *ip == "127.0.0.1"), "{found:?}");
    assert!(log.contains("was not looked at"), "{log}");
    assert_eq!(found.len(), log.matches("Aborted login").count());
}
