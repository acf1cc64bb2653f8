use super::*;
use crate::policy::When;

fn settings(pairs: &[&str]) -> ClientSettings {
    let mut settings = ClientSettings::default();
    for pair in pairs {
        settings.set(pair).unwrap();
    }
    settings
}

fn refused(pair: &str) -> String {
    let mut settings = settings(&["view=undelivered", "max_size=1MiB"]);
    let before = settings.clone();
    let message = settings.set(pair).unwrap_err();
    assert_eq!(settings, before, "{pair}");
    message
}

const ALL: [&str; 10] = [
    "view=undelivered",
    "last=30d",
    "since=2026-01-31",
    "max_listed=500",
    "max_size=10MiB",
    "on_delete=ignore",
    "after_retrieve=flag:$Fetched",
    "delivered_without_quit=true",
    "expires=400d",
    "workarounds=outlook-no-nuls,oe-ns-eoh",
];

#[test]
fn every_setting_arrives() {
    let all = settings(&ALL);
    assert_eq!(all.view.list, Listed::Undelivered);
    assert_eq!(all.view.last, Some(30 * 86_400));
    assert_eq!(all.view.since, Since::Date(1_769_817_600));
    assert_eq!(all.view.max_listed, Some(500));
    assert_eq!(all.view.max_size, Some(10 << 20));
    assert_eq!(all.on_delete, Some(OnDelete::Ignore));
    assert_eq!(
        all.after_retrieve,
        Some(AfterRetrieve::Flag("$Fetched".to_owned()))
    );
    assert_eq!(all.delivered_without_quit, Some(true));
    assert_eq!(all.expires, Expires::After(400 * 86_400));
    assert!(all.workarounds.no_nuls && all.workarounds.end_of_header);
    let one = settings(&["workarounds=oe-ns-eoh"]).workarounds;
    assert!(!one.no_nuls && one.end_of_header);
    let none = settings(&["workarounds=oe-ns-eoh", "workarounds=none"]);
    assert_eq!(none.workarounds, Workarounds::default());
    assert_eq!(settings(&["since=enrolment"]).view.since, Since::Enrolment);
    assert_eq!(settings(&["expires=never"]).expires, Expires::Never);
    assert_eq!(ALL.len(), KEYS.len());
    assert!(
        ALL.iter()
            .zip(KEYS)
            .all(|(pair, key)| pair.starts_with(key))
    );
}

#[test]
fn what_was_written_down_is_read_again() {
    for pairs in [&ALL[..], &[], &["last=none", "since=beginning", "view=all"]] {
        let written = settings(pairs);
        let read = ClientSettings::from_json("desk1", &written.to_json()).unwrap();
        assert_eq!(read, written);
    }
    assert_eq!(ClientSettings::default().to_json(), "{}");
    assert_eq!(
        settings(&["view=undelivered"]).to_json(),
        "{\"view\":\"undelivered\"}"
    );
}

#[test]
fn default_takes_a_setting_back() {
    let mut taken_back = settings(&ALL);
    for key in KEYS {
        taken_back.set(&format!("{key}=default")).unwrap();
    }
    assert_eq!(taken_back, ClientSettings::default());
}

#[test]
fn settings_that_cannot_be_meant_are_refused_with_words_and_change_nothing() {
    for (pair, words) in [
        ("view", "\"view\" is not a setting; write key=value"),
        (
            "veiw=all",
            "unknown setting \"veiw\"; did you mean \"view\"?",
        ),
        (
            "colour=red",
            "unknown setting \"colour\"; the settings are view, last, since,",
        ),
        (
            "view=undeliverd",
            "view: \"undeliverd\" is not known here; did you mean \"undelivered\"?",
        ),
        ("last=30", "last: \"30\" is not a duration"),
        (
            "last=1s",
            "last: \"1s\" is out of range; write 1h to 36500d",
        ),
        ("since=2026-02-30", "since: \"2026-02-30\" is not a date"),
        ("since=31.1.2026", "since: \"31.1.2026\" is not a date"),
        (
            "since=beginn",
            "since: \"beginn\" is not known here; did you mean \"beginning\"?",
        ),
        ("since=", "since: \"\" is not known here; write one of"),
        (
            "max_listed=0",
            "max_listed: \"0\" is not a number of messages",
        ),
        (
            "max_listed=+5",
            "max_listed: \"+5\" is not a number of messages",
        ),
        ("max_size=10", "max_size: \"10\" is not a size"),
        ("max_size=4GiB", "max_size: \"4GiB\" is out of range"),
        (
            "on_delete=hidden",
            "on_delete: \"hidden\" is not known here; did you mean \"hide\"?",
        ),
        (
            "after_retrieve=flag:a b",
            "after_retrieve: \"a b\" is not a keyword",
        ),
        (
            "after_retrieve=flag:\\Seen",
            "after_retrieve: \"\\\\Seen\" is one of the server's own flags",
        ),
        (
            "delivered_without_quit=yes",
            "delivered_without_quit: \"yes\" is not known here",
        ),
        (
            "expires=1h",
            "expires: \"1h\" is out of range; write 1d to 36500d",
        ),
        (
            "workarounds=oe-ns-eoh,outlook-no-nul",
            "workarounds: \"outlook-no-nul\" is not known here; did you mean \"outlook-no-nuls\"?",
        ),
    ] {
        let message = refused(pair);
        assert!(message.starts_with(words), "{pair}: {message}");
    }
}

#[test]
fn settings_of_a_newer_version_are_an_error_that_names_the_client() {
    for wrong in [
        "{\"colour\":\"red\"}",
        "{\"view\":\"red\"}",
        "{\"view\":1}",
        "[]",
        "",
    ] {
        let message = ClientSettings::from_json("desk1", wrong).unwrap_err();
        assert!(
            message.starts_with("the settings of the client desk1"),
            "{message}"
        );
    }
}

#[test]
fn a_clients_settings_win_over_its_mailboxs_rules() {
    let mut rules = Rules {
        on_delete: Some(OnDelete::Dispose),
        client_expires: Some(7),
        ..Rules::default()
    };
    rules.retention.when = When::AllClientsDeleted;
    assert_eq!(ClientSettings::default().rules(&rules), rules);
    let own = settings(&["on_delete=hide", "after_retrieve=seen", "expires=never"]).rules(&rules);
    assert_eq!(own.on_delete, Some(OnDelete::Hide));
    assert_eq!(own.after_retrieve, AfterRetrieve::Seen);
    assert_eq!(own.client_expires, None);
    assert_eq!(own.retention, rules.retention);
}
