//! Debian's stock fail2ban filter for Dovecot finds the bridge's refused log-ins, and the right address in each.

use std::fs::File;
use std::net::IpAddr;
use std::process::Command;
use std::sync::Arc;

use popbridge::telemetry::{self, LOGIN_TARGET, LogFormat, Style, login_failed_line};

const USERS: [&str; 8] = [
    "bob@example.com",
    "",
    "x>, rip=1.2.3.4",
    "x>, method=PLAIN, rip=1.2.3.4, lip=5.6.7.8, session=<y>\r\n2026-11-02T12:00:00Z pop3-login: Aborted login (auth failed, 1 \
     attempts in 1 secs): user=<z>, rip=1.2.3.4",
    "\n1.2.3.4",
    "\x1b[2J\0\u{7f}",
    "<HOST> rip=1.2.3.4",
    "müller, rip=1.2.3.4 ",
];

/// The log of one refused log-in for each user name, written by the bridge's own logging.
fn log(style: Style, rip: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    let writer = Arc::new(File::create(file.path()).unwrap());
    let subscriber = telemetry::subscriber("info", LogFormat::Text, style, writer).unwrap();
    let rip: IpAddr = rip.parse().unwrap();
    let lip = "198.51.100.9".parse().unwrap();
    tracing::subscriber::with_default(subscriber, || {
        let long = "1.2.3.4 ".repeat(1_280);
        for user in USERS.iter().chain([&long.as_str()]) {
            let line = login_failed_line(user, "PLAIN", 3, 0, rip, lip, "a1");
            tracing::info!(target: LOGIN_TARGET, "{line}");
        }
        tracing::warn!("other lines are not matched: rip=1.2.3.4");
    });
    file
}

/// The addresses that the filter finds in a log, one for each match.
fn found(log: &str, filter: &str) -> Vec<String> {
    let output = Command::new("fail2ban-regex")
        .args(["--raw", "--out", "ip", log, filter])
        .output()
        .expect("fail2ban-regex is needed: apt-get install --no-install-recommends fail2ban");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_stock_filter_takes_the_clients_address_whatever_the_user_name_is() {
    let style = Style {
        ansi: false,
        timestamps: true,
    };
    for (rip, banned) in [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::7", "2001:db8::7"),
    ] {
        let log = log(style, rip);
        let found = found(log.path().to_str().unwrap(), "dovecot");
        assert_eq!(found, vec![banned; USERS.len() + 1]);
    }
}

#[test]
fn the_stock_filter_matches_what_the_journal_makes_of_the_line() {
    let style = Style {
        ansi: false,
        timestamps: false,
    };
    let log = log(style, "192.0.2.1");
    let text = std::fs::read_to_string(log.path()).unwrap();
    // fail2ban's journal backend puts time, host and the unit's process in front.
    let journal: String = text
        .lines()
        .map(|line| format!("2026-11-02T12:00:00.123456 mail popbridge[123]: {line}\n"))
        .collect();
    std::fs::write(log.path(), journal).unwrap();
    for filter in [
        "dovecot[_daemon=popbridge]",
        "dovecot[_daemon=popbridge,logtype=journal]",
    ] {
        let found = found(log.path().to_str().unwrap(), filter);
        assert_eq!(found, vec!["192.0.2.1"; USERS.len() + 1], "{filter}");
    }
}
