//! A page of docs/recipes: its files are written, its commands are run in their order, and at the end none may be left over.

use std::cell::Cell;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::bridge::{BINARY, Bridge, Options};
use crate::support::browser::LoginCommand;
use crate::support::certs::Certs;
use crate::support::tree::{Account, Tree};

/// A file or a script of the page, as it is written there but for what is replaced.
struct Block {
    language: String,
    text: String,
}

pub struct Page {
    name: String,
    blocks: Vec<Block>,
    /// How many of the scripts have been run.
    run: Cell<usize>,
    environment: Vec<(String, String)>,
    /// A folder, unless the page's file names something else.
    state: PathBuf,
    pub tree: Tree,
}

/// Ports that need no privileges, on this machine only.
pub const TLS_PORT: (&str, &str) = (
    "address = \"[::]:995\"",
    "address = \"127.0.0.1:0\"\ntls = \"implicit\"",
);

impl Page {
    /// Reads the page; each of the replacements must have something to replace. What is in /etc is in a folder of the test.
    pub fn open(name: &str, replacements: &[(&str, &str)]) -> Self {
        let file = format!("{}/docs/recipes/{name}.md", env!("CARGO_MANIFEST_DIR"));
        let text = fs::read_to_string(&file).unwrap_or_else(|e| panic!("{file}: {e}"));
        let tree = Tree::new("recipe", &Account::for_servers());
        for folder in ["etc", "etc/popbridge", "etc/haproxy"] {
            fs::create_dir(tree.join(folder)).unwrap();
        }
        let mut this = Self {
            name: name.to_owned(),
            blocks: blocks(&text),
            run: Cell::new(0),
            environment: Vec::new(),
            state: tree.join("state"),
            tree,
        };
        for (from, to) in replacements {
            this.replace(from, to);
        }
        let etc = format!("{}/", this.tree.join("etc").display());
        this.replace("/etc/", &etc);
        this.write_files();
        this
    }

    /// Writes the files, as they are called by now.
    pub fn write_files(&self) {
        for block in &self.blocks {
            let first = block.text.lines().next().unwrap_or_default();
            let Some(path) = first.strip_prefix("# /") else {
                continue;
            };
            let path = format!("/{path}");
            assert!(Path::new(&path).starts_with(self.tree.path()), "{path}");
            fs::write(&path, &block.text).unwrap_or_else(|e| panic!("{path}: {e}"));
        }
    }

    /// Something is called otherwise here.
    pub fn replace(&mut self, from: &str, to: &str) {
        let page = &self.name;
        let is_there = self.blocks.iter().any(|block| block.text.contains(from));
        assert!(is_there, "{page}: there is no {from:?} to be replaced");
        for block in &mut self.blocks {
            block.text = block.text.replace(from, to);
        }
    }

    /// All programs have this in their environment from now on.
    pub fn environment(&mut self, variables: impl IntoIterator<Item = (String, String)>) {
        self.environment.extend(variables);
    }

    /// The certificate that the page takes for granted.
    pub fn give_certificate(&self, certs: &Certs) {
        for (from, to) in [
            (&certs.cert, "etc/popbridge/fullchain.pem"),
            (&certs.key, "etc/popbridge/privkey.pem"),
        ] {
            fs::copy(from, self.tree.join(to)).unwrap();
        }
    }

    pub fn config(&self) -> PathBuf {
        self.tree.join("etc/popbridge/popbridge.toml")
    }

    /// The state is where the file says, and what else has to be kept in a folder of the test.
    pub fn state_is_in_the_file(&mut self) {
        let text = fs::read_to_string(self.config()).unwrap();
        let line = text.lines().find(|line| line.starts_with("state = "));
        let url = line.and_then(|line| line.split('"').nth(1));
        let folder = self.state.to_str().expect("UTF-8").to_owned();
        self.state = PathBuf::from(url.expect("a line with the state"));
        self.environment([("STATE_DIRECTORY".to_owned(), folder)]);
    }

    /// The next script is this one, and what it does is done by the test or was done.
    pub fn skip(&self, script: &str) {
        assert_eq!(self.next(script), script);
    }

    /// The next script, which must begin so.
    fn next(&self, start: &str) -> &str {
        let mut scripts = self.blocks.iter().filter(|block| block.language == "sh");
        let script = scripts.nth(self.run.get()).map(|block| block.text.as_str());
        let script = script.unwrap_or_else(|| panic!("{}: no script is left", self.name));
        assert!(script.starts_with(start), "{}: {script:?}", self.name);
        self.run.set(self.run.get() + 1);
        script
    }

    /// Runs the next script, which begins so, as a person would in bash, who types this. Each of its commands must be a success; gives what
    /// they print.
    pub fn run(&self, start: &str, typed: &str) -> String {
        let script = self.next(start).to_owned();
        self.bash(&script, typed)
    }

    /// Runs a script that is not of the page.
    pub fn bash(&self, script: &str, typed: &str) -> String {
        let path = std::env::var("PATH").expect("PATH");
        let programs = Path::new(BINARY).parent().expect("a folder").display();
        let mut child = Command::new("bash")
            .args(["-euo", "pipefail", "-c", script])
            .current_dir(self.tree.path())
            .env("PATH", format!("{programs}:{path}:/usr/sbin:/sbin"))
            .env("POPBRIDGE_CONFIG", self.config())
            .env("POPBRIDGE_STATE", &self.state)
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("bash");
        let mut input = child.stdin.take().expect("stdin");
        // Most scripts read nothing, and may have ended by now.
        let _ = input.write_all(typed.as_bytes());
        drop(input);
        let output = child.wait_with_output().expect("an end");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{}: {script}\n{said}{errors}",
            self.name
        );
        said
    }

    /// The next script is `popbridge serve`: it runs.
    pub fn serve(&self) -> Bridge {
        assert_eq!(self.next("popbridge serve"), "popbridge serve\n");
        self.serve_once_more()
    }

    /// Another one with the same file, as on another machine.
    pub fn serve_once_more(&self) -> Bridge {
        let text = fs::read_to_string(self.config()).unwrap();
        let options = Options::config(&text).state(&self.state);
        let variables = self.environment.iter();
        let options = variables.fold(options, |options, (name, value)| {
            options.environment(name, value)
        });
        options.listeners_of_the_file().start()
    }

    /// The next script is a log-in for an account: it has begun.
    pub fn log_in(&self) -> LoginCommand {
        let line = self.next("popbridge oauth login ").trim_end();
        let arguments: Vec<&str> = line.split(' ').skip(3).collect();
        let state = [("POPBRIDGE_STATE", self.state.to_str().expect("UTF-8"))];
        LoginCommand::start_with(&arguments, &self.config(), &state)
    }

    /// Everything was done that the page says.
    pub fn is_done(&self) {
        let of = |language| {
            let all = self.blocks.iter();
            all.filter(move |block: &&Block| block.language == language)
        };
        assert_eq!(self.run.get(), of("sh").count(), "{}: scripts", self.name);
        let known = of("sh").count() + of("toml").count() + of("haproxy").count();
        assert_eq!(known, self.blocks.len(), "{}: other blocks", self.name);
    }
}

/// What stands between fences, with the language that the first one names.
fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for line in page.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(language), None) => {
                open = Some(Block {
                    language: language.to_owned(),
                    text: String::new(),
                });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some(block)) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block has no end");
    blocks
}
