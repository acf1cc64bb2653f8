//! docs/recipes/haproxy.md: HAProxy, two bridges and one PostgreSQL in front of a Dovecot.

use std::process::{Command, Stdio};

use super::page::{Page, TLS_PORT};
use crate::support::bridge::{Bridge, field};
use crate::support::certs::Certs;
use crate::support::dovecot::{Dovecot, PASSWORD};
use crate::support::mail::ordinary;
use crate::support::net::free_port;
use crate::support::office::listed;
use crate::support::pop3::Pop3;
use crate::support::postgres::{self, Demands, Postgres};
use crate::support::process::{Process, eventually, require};
use crate::support::tree::{Account, Tree};

const ANN: &str = "ann@example.com";

/// What the page calls otherwise: HAProxy's own ports, and what each `server` line says.
fn names(page: &mut Page, bridges: &[Bridge; 2], [pop3, pop3s]: [u16; 2]) {
    page.replace("bind :995", &format!("bind 127.0.0.1:{pop3s}"));
    page.replace("bind :110", &format!("bind 127.0.0.1:{pop3}"));
    for (bridge, address) in bridges.iter().zip(["192.168.10.11", "192.168.10.12"]) {
        for (port, here) in [(995, bridge.pop3s_port), (110, bridge.pop3_port)] {
            page.replace(&format!("{address}:{port} "), &format!("127.0.0.1:{here} "));
        }
    }
    page.write_files();
}

/// HAProxy with the page's file, on its ports.
fn haproxy(page: &Page) -> Process {
    let mut command = Command::new(require("haproxy", "haproxy"));
    command
        .args(["-db", "-f"])
        .arg(page.tree.join("etc/haproxy/haproxy.cfg"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Process::spawn("haproxy", &mut command, page.tree.path())
}

fn sessions(bridge: &Bridge) -> f64 {
    bridge.metric("popbridge_logins_total", &["outcome=\"ok\""])
}

#[test]
fn two_bridges_behind_haproxy_share_everything_and_one_of_them_is_enough() {
    let dovecot = Dovecot::start();
    let mail = dovecot.maildir(ANN);
    for n in 1..=3 {
        mail.deliver(&ordinary(n).raw);
    }
    let keys = Tree::new("haproxy", &Account::for_servers());
    let certs = Certs::make(keys.path());
    let (cert, key) = (certs.cert.clone(), certs.key.clone());
    let postgres = Postgres::demanding(Demands::PasswordAndTls { cert, key });
    let database = postgres.database();
    let (_, name) = database.rsplit_once('/').unwrap();
    let here = format!(
        "localhost:{}/{name}?sslrootcert={}&",
        postgres.port,
        certs.ca.display()
    );
    let mut page = Page::open(
        "haproxy",
        &[
            TLS_PORT,
            ("address = \"[::]:110\"", "address = \"127.0.0.1:0\""),
            (
                "proxy_protocol = [\"192.168.10.10\"]",
                "proxy_protocol = [\"127.0.0.1\"]",
            ),
            ("db.example.com/popbridge?", &here),
            (
                "url = \"imaps://imap.example.com\"",
                &format!(
                    "url = \"{}\"\nca = \"{}\"",
                    dovecot.imaps_url(),
                    dovecot.certs.ca.display()
                ),
            ),
        ],
    );
    page.give_certificate(&certs);
    page.state_is_in_the_file();
    // The cluster of the test has the user, and a database is there.
    page.skip("sudo -u postgres createuser --pwprompt popbridge\nsudo -u postgres createdb --owner popbridge popbridge\n");
    page.run("(umask 077; cat >", &format!("{}\n", postgres::PASSWORD));
    page.run("popbridge check --connect", "");
    let first = page.serve();
    let mut bridges = [first, page.serve_once_more()];
    let ports = [free_port(), free_port()];
    names(&mut page, &bridges, ports);
    page.run("haproxy -c -f", "");
    page.skip("systemctl reload haproxy\n");
    let mut haproxy = haproxy(&page);
    eventually("HAProxy takes connections", || {
        assert!(haproxy.ended().is_none(), "HAProxy has ended");
        std::net::TcpStream::connect(("127.0.0.1", ports[1])).is_ok()
    });

    // curl comes from somewhere else than HAProxy, and the log says so.
    page.replace(
        "pop3s://pop.example.com/",
        &format!("pop3s://localhost:{}/", ports[1]),
    );
    page.replace("curl --silent", "curl --silent --interface 127.0.0.3");
    let authority = certs.ca.to_str().unwrap().to_owned();
    page.environment([("CURL_CA_BUNDLE".to_owned(), authority)]);
    let list = page.run("read -rs PASSWORD", &format!("{PASSWORD}\n"));
    assert_eq!(list.lines().count(), 3, "{list}");
    let told = |bridge: &Bridge| bridge.log().iter().any(|line| line.contains("127.0.0.3:"));
    eventually("the client's own address is told", || {
        bridges.iter().any(told)
    });
    // That HAProxy looks whether they are there is nothing to warn of.
    let warns = |line: &&String| line.contains("\"WARN\"");
    for bridge in &bridges {
        assert_eq!(bridge.log().iter().find(warns), None);
    }
    // Nobody else is believed, or let in.
    let mut stranger = Pop3::connect_from("127.0.0.4".parse().unwrap(), bridges[0].pop3_port);
    stranger.try_send(&format!(
        "PROXY TCP4 127.0.0.3 127.0.0.1 1 2\r\nUSER {ANN}\r\n"
    ));
    assert_eq!(stranger.read_raw(1), b"");

    let tls = certs.client_config();
    let ann = || Pop3::connect_tls(ports[1], tls.clone()).log_in(&format!("{ANN}/desk"), PASSWORD);
    for n in 1..=2 {
        let mut pop3 = ann();
        pop3.ok("DELE 1");
        pop3.quit();
        assert_eq!(listed(&mut ann()).len(), 3 - n);
    }
    let counts = bridges.each_ref().map(sessions);
    assert!(counts.iter().all(|count| *count >= 2.0), "{counts:?}");

    // One of them dies: its clients come back to the other one, which knows what they have deleted.
    bridges[0].kill9();
    for _ in 0..3 {
        assert_eq!(listed(&mut ann()), [3]);
    }
    let plain = Pop3::connect(ports[0]);
    drop(plain);
    let logged_in = |line: &serde_json::Value| field(line, "message") == "logged in";
    bridges[1].wait_for_log("a log-in", logged_in);
    page.is_done();
}
