//! The operator's listener as browsers and programs ask it: with fields and forms of the test's own, and a token that the bridge knows.

use std::io::{Read, Write};
use std::path::PathBuf;

use serde_json::Value;

use super::bridge::Bridge;
use super::net::{Stream, loopback};

/// What the bridge's token file has in it.
pub const TOKEN: &str = "test-token-5f0c3a9e";

/// A file with the token, and the lines that make the bridge read it.
pub struct TokenFile(tempfile::TempDir);

impl TokenFile {
    pub fn new() -> Self {
        let this = Self(tempfile::tempdir().expect("a folder"));
        this.write(TOKEN);
        this
    }

    /// Another token is in it from now on.
    pub fn write(&self, token: &str) {
        let mut file = tempfile::NamedTempFile::new_in(self.0.path()).expect("a file");
        writeln!(file, "{token}").expect("a token");
        file.persist(self.path()).expect("a file");
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("admin.token")
    }

    /// The table `[admin]`.
    pub fn table(&self) -> String {
        format!("[admin]\ntoken_file = \"{}\"\n", self.path().display())
    }
}

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// The value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (field, value) = line.split_once(": ")?;
            field.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

/// Asks; `fields` are whole lines. There is a field Host unless they have one.
pub fn ask(port: u16, request: &str, fields: &[&str], body: &str) -> Answer {
    let mut stream = Stream::connect(loopback(port)).expect("the admin port");
    let mut head = format!("{request} HTTP/1.1\r\nContent-Length: {}\r\n", body.len());
    if !fields.iter().any(|field| field.starts_with("Host:")) {
        head.push_str(&format!("Host: 127.0.0.1:{port}\r\n"));
    }
    for field in fields {
        head.push_str(field);
        head.push_str("\r\n");
    }
    stream
        .write_all(format!("{head}\r\n{body}").as_bytes())
        .expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Answer {
        status: status.expect("a status"),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

impl Bridge {
    /// GET with these fields.
    pub fn get_with(&self, path: &str, fields: &[&str]) -> Answer {
        ask(self.admin_port, &format!("GET {path}"), fields, "")
    }

    /// POST of a form with these fields of the request.
    pub fn post(&self, path: &str, fields: &[&str], form: &str) -> Answer {
        ask(self.admin_port, &format!("POST {path}"), fields, form)
    }

    /// POST of a program that shows the token.
    pub fn act(&self, path: &str, form: &str) -> Answer {
        let shown = format!("Authorization: Bearer {TOKEN}");
        self.post(path, &[&shown], form)
    }

    /// What `/status.json` says.
    pub fn status_document(&self) -> Value {
        let answer = self.get_with("/status.json", &[]);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// Logs in to the page: the field with the cookie, and the key of its forms.
    pub fn operator(&self) -> (String, String) {
        let answer = self.post("/log-in", &[], &format!("token={TOKEN}"));
        assert_eq!(answer.status, 303, "{answer:?}");
        let cookie = answer.field("set-cookie").expect("a cookie");
        assert!(cookie.contains("; HttpOnly; SameSite=Strict; "), "{cookie}");
        let cookie = format!("Cookie: {}", cookie.split(';').next().expect("a value"));
        let page = self.get_with("/", &[&cookie]);
        let (_, rest) = page.body.split_once("name=key value=\"").expect("a key");
        let key = rest.split('"').next().expect("a key").to_owned();
        (cookie, key)
    }
}
