//! A real Prometheus on a free port, with the configuration and the rules that the project ships: it looks at a bridge once a second
//! instead of every quarter of a minute.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::net::{Stream, free_port, loopback};
use super::process::{Process, eventually, last_lines, require};
use super::tree::{Account, Tree};

pub struct Prometheus {
    port: u16,
    _process: Process,
    tree: Tree,
}

impl Prometheus {
    /// One that looks at the admin listener on this port.
    pub fn looking_at(admin_port: u16) -> Self {
        let program = require("prometheus", "prometheus");
        let tree = Tree::new("prometheus", &Account::for_servers());
        let shipped = |name: &str| read(&format!("grafana/prometheus/{name}"));
        let rules = "popbridge.rules.yml";
        tree.write(rules, &shipped(rules));
        let mut config = shipped("prometheus.yml");
        for (ours, theirs) in [
            ("127.0.0.1:9110", format!("127.0.0.1:{admin_port}").as_str()),
            ("scrape_interval: 15s", "scrape_interval: 1s"),
            ("evaluation_interval: 15s", "evaluation_interval: 1s"),
        ] {
            assert!(config.contains(ours), "prometheus.yml has no {ours}");
            config = config.replace(ours, theirs);
        }
        let config = tree.write("prometheus.yml", &config);
        // Between the choice of a port and its use, another test's process may take it: then once more with another.
        for _ in 0..5 {
            let port = free_port();
            let log = fs::File::create(tree.join("log")).expect("a file");
            let mut command = Command::new(&program);
            command
                .arg(format!("--config.file={}", config.display()))
                .arg(format!(
                    "--storage.tsdb.path={}",
                    tree.join("data").display()
                ))
                .arg(format!("--web.listen-address=127.0.0.1:{port}"))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log);
            let mut process = Process::spawn("prometheus", &mut command, tree.path());
            let mut is_ready = false;
            eventually("Prometheus is ready or ends", || {
                is_ready = http(port, "GET /-/ready", "").is_some_and(|(code, _)| code == 200);
                is_ready || process.ended().is_some()
            });
            if is_ready {
                return Self {
                    port,
                    _process: process,
                    tree,
                };
            }
        }
        let log = fs::read_to_string(tree.join("log")).unwrap_or_default();
        panic!("Prometheus does not start:\n{log}");
    }

    /// The samples that an expression has now: its labels under `metric`, and time and text under `value`.
    pub fn query(&self, expression: &str) -> Vec<Value> {
        let answer = self.ask(
            "POST /api/v1/query",
            &format!("query={}", encoded(expression)),
        );
        assert_eq!(answer["status"], "success", "{expression}: {answer}");
        let data = &answer["data"];
        match data["resultType"].as_str() {
            Some("vector") => data["result"].as_array().expect("samples").clone(),
            _ => panic!("{expression} gives no vector: {answer}"),
        }
    }

    /// Whether an expression has a sample that is a number.
    pub fn has_data(&self, expression: &str) -> bool {
        let samples = self.query(expression);
        let mut values = samples
            .iter()
            .filter_map(|sample| sample["value"][1].as_str());
        values.any(|value| value != "NaN")
    }

    /// The alerts that are loaded, as /api/v1/rules has them.
    pub fn rules(&self) -> Vec<Value> {
        let answer = self.ask("GET /api/v1/rules?type=alert", "");
        let groups = answer["data"]["groups"].as_array().expect("groups").clone();
        let rules = groups
            .into_iter()
            .map(|group| group["rules"].as_array().expect("rules").clone());
        rules.flatten().collect()
    }

    fn ask(&self, what: &str, form: &str) -> Value {
        let (_, body) = http(self.port, what, form).expect("Prometheus answers");
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"))
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read_to_string(self.tree.join("log")).unwrap_or_default();
            eprintln!(
                "--- Prometheus' log, the end of it ---\n{}",
                last_lines(&log, 30)
            );
        }
    }
}

/// A file of the project.
pub fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The text of it.
pub fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Status and body; nothing where nobody answers. HTTP/1.0, so that the body comes as it is.
fn http(port: u16, what: &str, form: &str) -> Option<(u16, String)> {
    let mut stream = Stream::connect(loopback(port)).ok()?;
    let request = format!(
        "{what} HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut all, octet| {
        match octet {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => all.push(octet.into()),
            _ => write!(all, "%{octet:02X}").expect("a string"),
        }
        all
    })
}
