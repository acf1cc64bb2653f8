//! Profiles: each is a whole upstream, the file wins over them, and nothing else needs one.

use std::path::Path;
use std::time::Duration;

use super::provider::PROFILES;
use super::{Config, ConfigError, Overrides, Provider, Upstream, error, file, validate};
use crate::policy::{Dispose, Trash};

fn try_load(text: &str) -> Result<Config, ConfigError> {
    let source = error::Source {
        file: Path::new("f"),
        text,
    };
    validate::config(Some(source), file::parse(source)?, &Overrides::default())
}

/// An upstream with these keys.
fn upstream(keys: &str) -> Upstream {
    let loaded = try_load(&format!("[upstream.a]\n{keys}\n"));
    let config = loaded.unwrap_or_else(|error| panic!("{keys}: {error}"));
    config.upstreams.into_iter().next().unwrap()
}

#[test]
fn a_provider_that_has_a_server_needs_no_url() {
    for profile in PROFILES {
        let keys = format!("provider = \"{}\"", profile.name);
        let loaded = try_load(&format!("[upstream.a]\n{keys}\n"));
        match profile.url {
            Some(url) => assert_eq!(upstream(&keys).url.to_string(), url),
            None => assert!(loaded.unwrap_err().to_string().contains("needs a url")),
        }
    }
}

#[test]
fn without_a_provider_everything_is_as_with_the_generic_one() {
    let url = "url = \"imaps://imap.example.com\"";
    let generic = upstream(&format!("provider = \"generic\"\n{url}"));
    assert_eq!(upstream(url), generic);
    assert_eq!((generic.connections, generic.session_life), (4, None));
    assert!(!generic.uidl.needs_gm_msgid() && !generic.send_id);
}

#[test]
fn gmails_profile_brings_what_gmail_needs() {
    let gmail = upstream("provider = \"gmail\"");
    assert_eq!(gmail.provider, Provider::Gmail);
    assert!(gmail.uidl.needs_gm_msgid() && gmail.send_id && !gmail.placeholder_text);
    assert_eq!(
        (gmail.dispose.dispose, gmail.connections),
        (Dispose::Trash, 8)
    );
    assert_eq!(gmail.bytes_per_day, Some(2_500_000_000));
    assert_eq!(gmail.session_life, Some(Duration::from_secs(23 * 3600)));
}

#[test]
fn a_provider_that_marks_no_trash_has_its_by_name() {
    let icloud = upstream("provider = \"icloud\"");
    let trash = Trash::Folder("Deleted Messages".to_owned());
    assert_eq!(icloud.dispose.trash, trash);
    assert_eq!(icloud.dispose.dispose, Dispose::Expunge);
    let own = upstream("provider = \"icloud\"\ndispose = \"trash\"\ntrash = \"\\\\Trash\"");
    assert_eq!(own.dispose.trash, Trash::SpecialUse);
}

#[test]
fn what_the_file_says_wins_over_the_profile() {
    let own = upstream(
        "provider = \"gmail\"\nurl = \"imaps://proxy.example.com\"\nuidl = \"default\"\ndispose = \"archive\"\nconnections = 3\n\
         session_life = \"0s\"\nsend_id = false\nuidonly = false\nbytes_per_day = \"0B\"\nplaceholder_text = true",
    );
    assert_eq!(own.url.host, "proxy.example.com");
    assert_eq!(
        (own.dispose.dispose, own.connections),
        (Dispose::Archive, 3)
    );
    assert!(!own.uidl.needs_gm_msgid() && !own.send_id && !own.uidonly && own.placeholder_text);
    assert!(own.session_life.is_none() && own.bytes_per_day.is_none());
    let shorter = upstream("provider = \"gmail\"\nsession_life = \"2h\"");
    assert_eq!(shorter.session_life, Some(Duration::from_secs(7200)));
}

#[test]
fn what_is_no_provider_and_no_age_is_refused_with_advice() {
    for (keys, words) in [
        ("provider = \"gmial\"", "did you mean \"gmail\"?"),
        (
            "provider = \"gmail\"\nsession_life = \"5ms\"",
            "out of range",
        ),
        (
            "provider = \"gmail\"\nurl = \"imap://proxy.example.com\"",
            "unencrypted",
        ),
    ] {
        let error = try_load(&format!("[upstream.a]\n{keys}\n")).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
}
