//! A PostgreSQL that does not let everybody in: it demands a password, which the bridge has from a file, and TLS. Where the bridge is not let
//! in, or does not trust the server, it says why and does not start; the password is never shown.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::support::bridge::{Bridge, run};
use crate::support::certs::Certs;
use crate::support::office::{Office, fetch, listed};
use crate::support::postgres::{Demands, PASSWORD, Postgres, USER};
use crate::support::tree::{Account, Tree};

/// What is in each password of these tests, however it is spelled in a URL.
const PIECE: &str = "hunter2";

/// A folder with the password in a file.
struct Keys(Tree);

impl Keys {
    fn new() -> Self {
        Self(Tree::new("keys", &Account::for_servers()))
    }

    /// The file, with this password.
    fn file(&self, password: &str) -> PathBuf {
        assert!(password.contains(PIECE));
        let file = self.0.write("password", &format!("{password}\n"));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("chmod");
        file
    }

    /// Neither a bridge nor a command works with its state at this URL and with this password, and each says why in these words.
    fn assert_refused(&self, url: &str, password: &str, why: &str) {
        let config = format!(
            "state = \"{url}\"\nstate_folder = \"{}\"\nstate_password_file = \"{}\"\n\
             [upstream.mail]\nurl = \"imap://127.0.0.1:1\"\n",
            self.0.path().display(),
            self.file(password).display()
        );
        let config = self.0.write("popbridge.toml", &config);
        let serve = ["serve", "--listen", "127.0.0.1:0", "--log", "trace"];
        for words in [&serve as &[&str], &["status"]] {
            let place = ["--config", config.to_str().expect("UTF-8")];
            let (code, output, errors) = run(&[words, &place].concat(), &[]);
            assert_eq!(code, Some(1), "{words:?}: {output}{errors}");
            assert!(errors.contains(why), "{words:?}: {why}: {errors}");
            assert!(!output.contains(PIECE), "{output}");
            assert!(!errors.contains(PIECE), "{errors}");
        }
    }
}

fn assert_silent_about_the_password(bridge: &Bridge) {
    let log = bridge.log().join("\n");
    assert!(!log.contains(PIECE), "{log}");
}

/// A client, its mail and what it deletes are kept there, also when the bridge starts once more.
fn keeps_state(url: &str, keys: &Keys) {
    let file = keys.file(PASSWORD);
    let mut office = Office::plan()
        .top(&format!("state_password_file = \"{}\"", file.display()))
        .state(url)
        .start();
    office.deliver(1..=3);
    office.add("desk1", &[]);
    let mut desk1 = office.client("desk1");
    assert_eq!(fetch(&mut desk1), [1, 2, 3]);
    desk1.ok("DELE 2");
    desk1.quit();
    assert_silent_about_the_password(office.bridge());
    office.close();

    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("chmod");
    let bridge = office.options().argument("--log").argument("trace").start();
    bridge.wait_for_line("a warning", |line| {
        line.contains("everybody on this machine can read the secret in")
    });
    let mut desk1 = bridge.pop3().log_in("desk1", &office.password("desk1"));
    assert_eq!(listed(&mut desk1), [1, 3]);
    desk1.quit();
    let figures = ["delivered", "deleted"].map(|what| office.figures(what)["desk1"]);
    assert_eq!(figures, [3, 1]);
    assert_silent_about_the_password(&bridge);
}

#[test]
fn a_database_that_demands_a_password_gets_the_one_in_the_file() {
    let (postgres, keys) = (Postgres::demanding(Demands::Password), Keys::new());
    keeps_state(&postgres.database(), &keys);
}

#[test]
fn a_wrong_password_for_the_database_is_said_so_and_not_shown() {
    let (postgres, keys) = (Postgres::demanding(Demands::Password), Keys::new());
    let why = format!(
        "the store is not available: PostgreSQL says: password authentication failed for user \"{USER}\""
    );
    keys.assert_refused(&postgres.database(), "not hunter2", &why);
}

#[test]
fn a_misspelled_parameter_of_the_url_is_refused_and_not_shown() {
    let keys = Keys::new();
    for parameters in ["ssl_mode=verify-full", "sslmode=require&passwd=hunter2"] {
        let url = format!("postgres://{USER}@127.0.0.1:9/popbridge?{parameters}");
        keys.assert_refused(&url, PASSWORD, "a parameter that is none of sslmode, ");
    }
}

/// A server that demands TLS, too, with a certificate for "localhost" only, and the authority that has signed it.
fn with_tls(folder: &Tree) -> (Postgres, PathBuf) {
    let Certs { ca, cert, key } = Certs::make_for(folder.path(), &["localhost"]);
    (
        Postgres::demanding(Demands::PasswordAndTls { cert, key }),
        ca,
    )
}

/// A database with TLS: the URL of a new one by this host name and with these parameters.
fn url(postgres: &Postgres, host: &str, parameters: &str) -> String {
    let url = postgres.database().replace("127.0.0.1", host);
    format!("{url}?{parameters}")
}

fn verified_by(authority: &Path) -> String {
    format!("sslmode=verify-full&sslrootcert={}", authority.display())
}

#[test]
fn a_database_that_demands_tls_gets_it() {
    let keys = Keys::new();
    let (postgres, authority) = with_tls(&keys.0);
    let verified = verified_by(&authority);
    keeps_state(&url(&postgres, "localhost", &verified), &keys);
    // This does not look at the certificate.
    keeps_state(&url(&postgres, "127.0.0.1", "sslmode=require"), &keys);
}

#[test]
fn a_database_that_cannot_be_trusted_is_refused_with_the_reason() {
    let keys = Keys::new();
    let (postgres, authority) = with_tls(&keys.0);
    let folder = Tree::new("other", &Account::for_servers());
    let other = verified_by(&Certs::make(folder.path()).ca);
    let right = verified_by(&authority);
    let missing = verified_by(Path::new("/nowhere/ca.pem"));
    let untrusted = "TLS to the database: invalid peer certificate";
    for (host, parameters, why) in [
        ("localhost", other.as_str(), untrusted),
        ("localhost", "sslmode=verify-full", untrusted),
        ("127.0.0.1", &right, "not valid for name"),
        (
            "localhost",
            &missing,
            "a file that the database's URL names cannot be opened",
        ),
        // And the server takes nobody in without TLS.
        ("localhost", "sslmode=disable", "no encryption"),
    ] {
        keys.assert_refused(&url(&postgres, host, parameters), PASSWORD, why);
    }
}
