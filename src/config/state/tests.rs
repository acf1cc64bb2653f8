use super::super::file;
use super::super::{Overrides, error, validate};
use super::*;

fn of_file(text: &str) -> Result<State, ConfigError> {
    given(text, None)
}

fn given(text: &str, flag: Option<&str>) -> Result<State, ConfigError> {
    let text = format!("{text}\n[upstream.a]\nurl = \"imaps://a\"\n");
    let source = error::Source {
        file: Path::new("/etc/popbridge/f"),
        text: &text,
    };
    let overrides = Overrides {
        state: flag.map(|text| Secret::new(text.to_owned())),
        ..Overrides::default()
    };
    validate::config(Some(source), file::parse(source)?, &overrides).map(|config| config.state)
}

/// What the store is opened with, and the folder.
fn opened(text: &str) -> (String, String) {
    let state = of_file(text).unwrap();
    let url = state.store_url().unwrap().expose().to_owned();
    (url, state.folder.display().to_string())
}

fn pair(url: &str, folder: &str) -> (String, String) {
    (url.to_owned(), folder.to_owned())
}

#[test]
fn a_folder_has_the_database_in_it_and_a_database_is_in_a_folder() {
    let expected = pair("sqlite:/s/state.db", "/s");
    assert_eq!(opened("state = \"/s\""), expected);
    assert_eq!(opened("state = \"sqlite:/s/state.db\""), expected);
    assert_eq!(opened("state = \"sqlite:///s/state.db\""), expected);
    assert_eq!(
        opened("state = \"sqlite:s.db\""),
        pair("sqlite:/etc/popbridge/s.db", "/etc/popbridge")
    );
    assert_eq!(
        opened("state = \"sqlite:/s/a.db\"\nstate_folder = \"/made\""),
        pair("sqlite:/s/a.db", "/made")
    );
    assert_eq!(opened("state_folder = \"/s\""), expected);
}

#[test]
fn with_postgresql_the_folder_is_named_or_the_usual_one() {
    let url = "postgres://popbridge@db.example.com/popbridge";
    assert_eq!(
        opened(&format!("state = \"{url}\"\nstate_folder = \"/made\"")),
        pair(url, "/made")
    );
    let state = of_file(&format!("state = \"{url}\"")).unwrap();
    assert!(state.url.is_shared());
    assert_eq!(Some(state.folder), folder_of_this_process());
    assert!(!of_file("state = \"/s\"").unwrap().url.is_shared());
}

#[test]
fn a_flag_wins_over_every_key() {
    let keys =
        "state = \"postgres://u@h/d\"\nstate_folder = \"/made\"\nstate_password_file = \"/none\"";
    let state = given(keys, Some("/flag")).unwrap();
    assert_eq!(state.folder, Path::new("/flag"));
    assert_eq!(state.store_url().unwrap().expose(), "sqlite:/flag/state.db");
    let state = given("state_folder = \"/made\"", Some("postgres://u@h/d")).unwrap();
    assert_eq!(state.folder, Path::new("/made"));
    let relative = given("", Some("sqlite:s.db")).unwrap();
    assert_eq!(relative.store_url().unwrap().expose(), "sqlite:s.db");
    assert_eq!(relative.folder, Path::new("."));
}

#[test]
fn a_password_in_the_url_is_shown_nowhere_but_to_the_store() {
    for url in [
        "postgres://u:hunter2@h:5/d?sslmode=require",
        "postgresql://u:hun@ter2@h/d",
        "postgres://h/d?user=u&password=hunter2",
    ] {
        let state = of_file(&format!("state = \"{url}\"")).unwrap();
        assert_eq!(state.store_url().unwrap().expose(), url);
        for shown in [format!("{state:?}"), state.url.to_string()] {
            assert!(!shown.contains("ter2"), "{shown}");
        }
    }
    let url = StoreUrl("postgres://u:hunter2@h:5/d".to_owned());
    assert_eq!(url.to_string(), "postgres://u@h:5/d");
    for wrong in [
        "mysql://u:hunter2@h/d",
        "postgres://u:hunter2@h",
        "postgres://u:hunter2@h/",
        "postgres://u:hunter2@h/?x",
        "postgres://u:hunter2@h/d#x",
    ] {
        let message = of_file(&format!("state = \"{wrong}\""))
            .unwrap_err()
            .to_string();
        assert!(message.starts_with("/etc/popbridge/f:1:9: "), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
}

#[test]
fn a_password_in_a_file_goes_into_the_url_whatever_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    let keys = |url: &str| {
        format!(
            "state = \"{url}\"\nstate_password_file = \"{}\"",
            file.display()
        )
    };
    let state = of_file(&keys("postgres://u@h:5/d?x=y")).unwrap();
    assert!(state.store_url().unwrap_err().contains("cannot be read"));
    std::fs::write(&file, "a:/@ä%\n").unwrap();
    assert_eq!(
        state.store_url().unwrap().expose(),
        "postgres://u:a%3a%2f%40%c3%a4%25@h:5/d?x=y"
    );
    let refused = |text: &str| of_file(text).unwrap_err().to_string();
    assert!(refused(&keys("postgres://u:p@h/d")).contains("password in the URL already"));
    assert!(refused(&keys("/s")).contains("for PostgreSQL only"));
}

#[test]
fn a_state_that_cannot_be_meant_is_refused_with_words() {
    for (text, words) in [
        ("", "the state is nowhere"),
        ("sqlite:", "write the database's file too"),
        ("sqlite::memory:", "cannot be kept in memory"),
        ("sqlite:/s/", "write the database's file too"),
        ("sqlite:/s/a.db?mode=ro", "without \\\"?\\\""),
        (
            "/s/state.db",
            "would be a folder; write \\\"sqlite:/s/state.db\\\"",
        ),
        ("http://x/y", "not a database that popbridge knows"),
    ] {
        let message = of_file(&format!("state = \"{text}\""))
            .unwrap_err()
            .to_string();
        let words = words.replace("\\\"", "\"");
        assert!(message.contains(&words), "{text}: {message}");
        let flag = given("", Some(text)).unwrap_err().to_string();
        assert!(flag.starts_with("--state: "), "{flag}");
    }
}
