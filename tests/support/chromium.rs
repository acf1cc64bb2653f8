//! A real browser without a screen: Chromium, told by its DevTools protocol over two pipes what to do, and asked what it has done.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::process::{PATIENCE, Process, output_of, pause, require};

/// One page in a browser of its own.
pub struct Chromium {
    _process: Process,
    _folder: tempfile::TempDir,
    input: ChildStdin,
    messages: Receiver<Value>,
    session: String,
    asked: u64,
    events: Vec<Value>,
}

impl Chromium {
    pub fn start() -> Self {
        // The smaller package is the same browser without windows.
        let shell = output_of("sh", &["-c", "command -v chromium-headless-shell"]);
        let program = match shell.is_empty() {
            true => require("chromium", "chromium"),
            false => shell,
        };
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = Command::new("sh");
        // It reads commands from the third descriptor and answers on the fourth.
        command
            .args([
                "-c",
                "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1",
                &program,
                "--headless",
                "--remote-debugging-pipe",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-background-networking",
                "--disable-component-update",
                "--no-first-run",
                "--hide-scrollbars",
                "--force-color-profile=srgb",
            ])
            .arg(format!("--user-data-dir={}", folder.path().display()))
            .env("HOME", folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = Process::spawn("chromium", &mut command, folder.path());
        let input = process.child().stdin.take().expect("stdin");
        let output = process.child().stdout.take().expect("stdout");
        let (send, messages) = channel();
        std::thread::spawn(move || {
            for message in BufReader::new(output).split(0).map_while(Result::ok) {
                let message = serde_json::from_slice(&message).unwrap_or(Value::Null);
                if send.send(message).is_err() {
                    break;
                }
            }
        });
        let mut this = Self {
            _process: process,
            _folder: folder,
            input,
            messages,
            session: String::new(),
            asked: 0,
            events: Vec::new(),
        };
        let target = this.ask("Target.createTarget", json!({ "url": "about:blank" }));
        let target = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = this.ask("Target.attachToTarget", target);
        this.session = attached["sessionId"]
            .as_str()
            .expect("a session")
            .to_owned();
        for domain in ["Page", "Runtime", "Network", "Log"] {
            this.ask(&format!("{domain}.enable"), json!({}));
        }
        this
    }

    /// A window of this size; a phone's has three dots to a pixel, and is touched.
    pub fn resize(&mut self, width: u32, height: u32, is_phone: bool) {
        let dots = if is_phone { 2 } else { 1 };
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            json!({ "width": width, "height": height, "deviceScaleFactor": dots, "mobile": is_phone }),
        );
    }

    /// Pages run no scripts of theirs from now on.
    pub fn without_scripts(&mut self) {
        let off = json!({ "value": true });
        self.ask("Emulation.setScriptExecutionDisabled", off);
    }

    /// Opens an address and waits until it is there.
    pub fn open(&mut self, address: &str) {
        self.and_wait_for_the_page(|this| {
            this.ask("Page.navigate", json!({ "url": address }));
        });
    }

    /// Does something that leads to another page, and waits until that is there.
    pub fn and_wait_for_the_page(&mut self, act: impl FnOnce(&mut Self)) {
        let before = self.loaded();
        act(self);
        let deadline = Instant::now() + PATIENCE;
        while self.loaded() == before {
            assert!(Instant::now() < deadline, "no page: {:?}", self.events);
            self.receive(Duration::from_millis(50));
        }
    }

    fn loaded(&self) -> usize {
        let loaded = |event: &&Value| event["method"] == "Page.loadEventFired";
        self.events.iter().filter(loaded).count()
    }

    /// The value of an expression in the page.
    pub fn value(&mut self, expression: &str) -> Value {
        let asked =
            json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let told = self.ask("Runtime.evaluate", asked);
        assert!(told["exceptionDetails"].is_null(), "{expression}: {told}");
        told["result"]["value"].clone()
    }

    pub fn text(&mut self, selector: &str) -> String {
        let text = self.value(&format!(
            "document.querySelector({selector:?})?.innerText ?? ''"
        ));
        text.as_str().expect("a text").to_owned()
    }

    /// Waits until an expression is true, asking it again and again.
    pub fn eventually(&mut self, expression: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.value(expression) != Value::Bool(true) {
            let text = self.text("body");
            assert!(Instant::now() < deadline, "never so: {expression}\n{text}");
            pause();
        }
    }

    /// Presses the button that the expression gives, as a finger or a mouse does.
    pub fn press(&mut self, expression: &str) {
        let place = format!(
            "(() => {{ const one = {expression}; one.scrollIntoView({{ block: 'center' }}); const at = one.getBoundingClientRect(); \
             return [at.x + at.width / 2, at.y + at.height / 2]; }})()"
        );
        let at = self.value(&place);
        for kind in ["mousePressed", "mouseReleased"] {
            self.ask(
                "Input.dispatchMouseEvent",
                json!({ "type": kind, "x": at[0], "y": at[1], "button": "left", "clickCount": 1 }),
            );
        }
    }

    /// Types a text where the cursor is.
    pub fn type_text(&mut self, text: &str) {
        self.ask("Input.insertText", json!({ "text": text }));
    }

    /// The page as it looks, from its top, so many pixels high.
    pub fn screenshot(&mut self, file: &Path) {
        let shot = self.ask("Page.captureScreenshot", json!({ "format": "png" }));
        let png = STANDARD.decode(shot["data"].as_str().expect("a picture"));
        std::fs::write(file, png.expect("base64")).expect("a file");
    }

    /// The addresses that were asked for, of all pages so far.
    pub fn requests(&mut self) -> Vec<String> {
        self.receive(Duration::from_millis(1));
        let sent = |event: &&Value| event["method"] == "Network.requestWillBeSent";
        let sent = self.events.iter().filter(sent);
        sent.map(|event| event["params"]["request"]["url"].as_str().expect("a URL"))
            .map(str::to_owned)
            .collect()
    }

    /// Everything that the browser complains of: errors of scripts, and what the page's policy forbids.
    pub fn complaints(&mut self) -> Vec<Value> {
        self.receive(Duration::from_millis(1));
        let kinds = [
            "Log.entryAdded",
            "Runtime.exceptionThrown",
            "Runtime.consoleAPICalled",
        ];
        let complains = |event: &&Value| kinds.iter().any(|kind| event["method"] == *kind);
        self.events.iter().filter(complains).cloned().collect()
    }

    fn ask(&mut self, method: &str, params: Value) -> Value {
        self.asked += 1;
        let id = self.asked;
        let mut message = json!({ "id": id, "method": method, "params": params });
        if !self.session.is_empty() {
            message["sessionId"] = self.session.as_str().into();
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.input.write_all(&bytes).expect("a command");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let told = self.messages.recv_timeout(left);
            let told = told.unwrap_or_else(|e| panic!("no answer to {method}: {e}"));
            if told["id"] == id {
                assert!(told["error"].is_null(), "{method}: {told}");
                return told["result"].clone();
            }
            self.events.push(told);
        }
    }

    fn receive(&mut self, patience: Duration) {
        while let Ok(event) = self.messages.recv_timeout(patience) {
            self.events.push(event);
        }
    }
}
