//! Accounts and rules: what they mean, and what is said about wrong ones.

use super::file::File;
use super::{Access, Config, ConfigError, Overrides, error, file, validate};
use crate::auth::PasswordSource;
use crate::policy::{AfterRetrieve, Archive, Dispose, OnDelete, Retention, Rules, Trash, When};

const UPSTREAM: &str = "[upstream.a]\nurl = \"imaps://a\"\n";
const ACCOUNT: &str = "[upstream.a]\nurl = \"imaps://a\"\n[account.info]\nlogin = \"info@example.com\"\npassword_env = \"P\"\n";

fn result(text: &str) -> Result<Config, ConfigError> {
    let source = error::Source {
        file: "/etc/f".as_ref(),
        text,
    };
    let file: File = file::parse(source)?;
    validate::config(Some(source), file, &Overrides::default())
}

fn loaded(text: &str) -> Config {
    result(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// An account with these keys.
fn account(keys: &str) -> super::Account {
    loaded(&format!("{ACCOUNT}{keys}")).accounts.remove(0)
}

fn refused(text: &str) -> String {
    result(text).unwrap_err().to_string()
}

#[test]
fn an_account_hides_and_disposes_of_nothing_by_itself() {
    let info = account("");
    assert_eq!((info.name.as_str(), info.upstream.as_str()), ("info", "a"));
    assert_eq!(info.login, "info@example.com");
    let expected = Rules {
        on_delete: Some(OnDelete::Hide),
        ..Rules::default()
    };
    assert_eq!(info.rules, expected);
    assert_eq!(info.rules.retention.when, When::Never);
    assert_eq!(loaded(UPSTREAM).upstreams[0].rules.on_delete, None);
}

#[test]
fn a_password_is_in_a_file_in_the_environment_or_among_the_credentials() {
    let source = |keys: &str| {
        let text = format!("{UPSTREAM}[account.info]\nlogin = \"i\"\n{keys}\n");
        match loaded(&text).accounts.remove(0).access {
            Access::Password(source) => source,
            other => panic!("{other:?}"),
        }
    };
    let shown = |keys: &str| source(keys).to_string();
    assert_eq!(shown("password_file = \"p\""), "password_file \"/etc/p\"");
    assert_eq!(
        source("password_env = \"P_1\""),
        PasswordSource::Environment("P_1".to_owned())
    );
    assert_eq!(
        shown("password_credential = \"info\""),
        "password_credential \"info\""
    );
}

#[test]
fn all_rules_arrive() {
    let keys = "on_delete = \"dispose\"\nafter_retrieve = \"flag:$Had\"\ndispose = \"archive\"\narchive = \"Done\"\n\
        retention = { when = \"any-client-deleted\", min_age = \"7d\", max_age = \"90d\", undelivered = \"dispose\" }\n\
        client_expires = \"400d\"\ndelivered_without_quit = true\n";
    let info = account(keys);
    let expected = Rules {
        on_delete: Some(OnDelete::Dispose),
        after_retrieve: AfterRetrieve::Flag("$Had".to_owned()),
        retention: Retention {
            when: When::AnyClientDeleted,
            min_age: 7 * 86_400,
            max_age: Some(90 * 86_400),
            dispose_undelivered: true,
        },
        client_expires: Some(400 * 86_400),
        delivered_without_quit: true,
    };
    assert_eq!(info.rules, expected);
    assert_eq!(info.dispose.dispose, Dispose::Archive);
    assert_eq!(info.dispose.archive, Archive::Folder("Done".to_owned()));
    let upstream = &loaded(&format!("{UPSTREAM}{keys}")).upstreams[0];
    assert_eq!(
        (&upstream.rules, &upstream.dispose),
        (&info.rules, &info.dispose)
    );
}

#[test]
fn an_account_disposes_as_its_upstream_does_unless_it_says_otherwise() {
    let with = |keys: &str| {
        let text = format!(
            "[upstream.a]\nurl = \"imaps://a\"\ndispose = \"trash\"\ntrash = \"Bin\"\non_delete = \"dispose\"\n\
             expunge_without_uidplus = true\n[account.info]\nlogin = \"i\"\npassword_env = \"P\"\n{keys}"
        );
        loaded(&text).accounts.remove(0)
    };
    let info = with("");
    assert_eq!(info.dispose.dispose, Dispose::Trash);
    assert_eq!(info.dispose.trash, Trash::Folder("Bin".to_owned()));
    assert!(info.dispose.expunge_without_uidplus);
    assert_eq!(info.rules.on_delete, Some(OnDelete::Hide));
    assert_eq!(
        with("dispose = \"nothing\"\n").dispose.dispose,
        Dispose::Nothing
    );
}

#[test]
fn two_accounts_on_one_mailbox_are_refused_and_both_named() {
    let with = |other: &str| {
        let text = format!(
            "{ACCOUNT}[upstream.b]\nurl = \"imap+starttls://A:993\"\ndomains = [\"x.example\"]\n\
             [upstream.c]\nurl = \"imaps://c\"\ndomains = [\"y.example\"]\n[account.other]\npassword_env = \"P\"\n{other}\n"
        );
        result(&text.replacen("password_env", "upstream = \"a\"\npassword_env", 1))
    };
    for same in ["info@example.com", " info@EXAMPLE.com"] {
        for upstream in ["a", "b"] {
            let other = format!("upstream = \"{upstream}\"\nlogin = \"{same}\"");
            let message = with(&other).unwrap_err().to_string();
            assert!(
                message
                    .contains("[account.info] and [account.other] are the same mailbox; keep one")
                    && message.contains("popbridge client add"),
                "{message}"
            );
        }
    }
    assert!(with("upstream = \"c\"\nlogin = \"info@example.com\"").is_ok());
    // Hardly any server tells names by their case.
    assert!(with("upstream = \"a\"\nlogin = \"Info@example.com\"").is_err());
}

#[test]
fn wrong_accounts_are_refused_at_their_place() {
    let two = format!("{UPSTREAM}[upstream.b]\nurl = \"imaps://b\"\ndomains = [\"b.example\"]\n");
    let cases = [
        (
            format!("{UPSTREAM}[account.info]\npassword_env = \"P\""),
            "/etc/f:3:1: [account.info] needs a login",
        ),
        (
            format!("{UPSTREAM}[account.info]\nlogin = \"i\""),
            "/etc/f:3:1: [account.info] needs a password",
        ),
        (
            format!("{UPSTREAM}[account.info]\nlogin = \" \"\npassword_env = \"P\""),
            "/etc/f:4:9: the log-in name is empty",
        ),
        (
            format!("{ACCOUNT}password_file = \"p\""),
            "/etc/f:5:16: [account.info] says in two ways where its password is",
        ),
        (
            format!("{UPSTREAM}[account.\"a b\"]"),
            "/etc/f:3:1: \"a b\" cannot be the name of an account",
        ),
        (
            format!("{two}[account.info]\nlogin = \"i\"\npassword_env = \"P\""),
            "/etc/f:6:1: [account.info] needs an upstream, as there are several: write upstream = one of \"a\", \"b\"",
        ),
        (
            format!("{ACCOUNT}upstream = \"offic\""),
            "/etc/f:6:12: there is no [upstream.offic]; there are a",
        ),
        (
            format!("{ACCOUNT}quota = 1"),
            "/etc/f:6:1: unknown key \"quota\" in [account.info]; the keys are upstream, login,",
        ),
        (
            format!("{ACCOUNT}folders = []"),
            "/etc/f:6:11: folders names 1 to 16 folders",
        ),
        (
            format!("{ACCOUNT}folders = [\"inbox\", \"INBOX\"]"),
            "/etc/f:6:21: the folder \"INBOX\" is named twice",
        ),
        (
            format!("{ACCOUNT}folders = [\"*\"]"),
            "/etc/f:6:12: \"*\" is not the name of a folder",
        ),
        (
            format!("{ACCOUNT}folder_header = \"X-Folder:\""),
            "/etc/f:6:17: \"X-Folder:\" is not the name of a header field",
        ),
        (
            format!("{ACCOUNT}hold = \"inbox\""),
            "/etc/f:6:8: hold is the name of a folder of popbridge's own",
        ),
        (
            format!("{ACCOUNT}hold = \"popbridge\"\ndispose = \"flag\""),
            "/etc/f:6:8: what is held would never go",
        ),
        (
            format!("{ACCOUNT}on_delte = \"hide\""),
            "/etc/f:6:1: unknown key \"on_delte\" in [account.info]; did you mean \"on_delete\"?",
        ),
        (
            format!("{ACCOUNT}retention = {{ wen = \"never\" }}"),
            "/etc/f:6:15: unknown key \"wen\" in [account.info.retention]; did you mean \"when\"?",
        ),
    ];
    for (text, words) in cases {
        let message = refused(&text);
        assert!(
            message.starts_with(words),
            "expected {words}\n     got {message}"
        );
    }
    for password in ["hunter 2", "2hunter", ""] {
        let message = refused(&format!(
            "{UPSTREAM}[account.i]\nlogin = \"i\"\npassword_env = \"{password}\""
        ));
        assert!(
            message.contains("never the password") && !message.contains("unter"),
            "{message}"
        );
    }
    for credential in ["../info", ".", "a/b", ""] {
        let message = refused(&format!(
            "{UPSTREAM}[account.i]\nlogin = \"i\"\npassword_credential = \"{credential}\""
        ));
        assert!(
            message.contains("not the name of a credential"),
            "{message}"
        );
    }
}

#[test]
fn rules_without_effect_are_refused_at_their_place() {
    for (keys, words) in [
        (
            "retention = { min_age = \"7d\" }",
            "/etc/f:6:25: min_age has no effect without when",
        ),
        (
            "retention = { when = \"all-clients-deleted\", min_age = \"8d\", max_age = \"7d\" }",
            "/etc/f:6:71: max_age is shorter than min_age",
        ),
        (
            "retention = { max_age = \"59m\" }",
            "/etc/f:6:25: \"59m\" is out of range; write 1h to 36500d",
        ),
        (
            "retention = { when = \"all-clients-delted\" }",
            "/etc/f:6:22: \"all-clients-delted\" is not known here; did you mean",
        ),
        (
            "retention = { undelivered = \"no\" }",
            "/etc/f:6:29: \"no\" is not known here; write one of \"keep\", \"dispose\"",
        ),
        (
            "client_expires = \"1h\"",
            "/etc/f:6:18: \"1h\" is out of range; write 1d to 36500d",
        ),
        (
            "trash = \"Bin\"",
            "/etc/f:6:9: a trash folder is named but messages would be expunged; add",
        ),
        (
            "archive = \"Done\"\ndispose = \"trash\"",
            "/etc/f:6:11: an archive folder is named but messages would be moved to the trash",
        ),
        (
            "keyword = \"$Had\"",
            "/etc/f:6:11: a keyword is named but messages would be expunged; add dispose = \"flag\"",
        ),
        (
            "dispose = \"flag\"\nkeyword = \"a b\"",
            "/etc/f:7:11: \"a b\" is not a keyword",
        ),
        (
            "dispose = \"trash\"\ntrash = \"inbox\"",
            "/etc/f:7:9: \"inbox\" cannot be a trash folder",
        ),
        (
            "after_retrieve = \"flag\"",
            "/etc/f:6:18: name the keyword too",
        ),
        (
            "after_retrieve = \"xyzzyx\"",
            "/etc/f:6:18: \"xyzzyx\" is not known here; write one of \"nothing\", \"seen\"",
        ),
    ] {
        let message = refused(&format!("{ACCOUNT}{keys}"));
        assert!(
            message.starts_with(words),
            "expected {words}\n     got {message}"
        );
    }
    assert!(
        result(&format!(
            "{ACCOUNT}after_retrieve = \"trash\"\ntrash = \"Bin\""
        ))
        .is_ok()
    );
    assert!(
        result(&format!(
            "{ACCOUNT}after_retrieve = \"archive\"\narchive = \"Done\""
        ))
        .is_ok()
    );
}

#[test]
fn what_goes_unread_and_what_goes_not_at_all_is_warned_about() {
    let warnings = |keys: &str| loaded(&format!("{ACCOUNT}{keys}")).warnings;
    let warned = warnings("retention = { max_age = \"90d\", undelivered = \"dispose\" }");
    assert_eq!(
        warned,
        [
            "[account.info]: undelivered = \"dispose\": messages are disposed of although a client has not had them"
        ]
    );
    let idle = warnings("dispose = \"nothing\"\nretention = { max_age = \"90d\" }");
    assert!(
        idle.len() == 1 && idle[0].contains("does nothing to them"),
        "{idle:?}"
    );
    assert_eq!(
        warnings("dispose = \"nothing\"\non_delete = \"dispose\"").len(),
        1
    );
    assert_eq!(
        warnings("retention = { max_age = \"90d\" }"),
        Vec::<String>::new()
    );
}

#[test]
fn accounts_and_an_upstream_flag_do_not_go_together() {
    let source = error::Source {
        file: "/etc/f".as_ref(),
        text: ACCOUNT,
    };
    let overrides = Overrides {
        upstream: Some("imaps://b".to_owned()),
        ..Overrides::default()
    };
    let message = validate::config(Some(source), file::parse(source).unwrap(), &overrides)
        .unwrap_err()
        .to_string();
    assert!(
        message.starts_with("/etc/f:3:1: [account.info] is on an upstream of the file"),
        "{message}"
    );
}

#[test]
fn a_client_separator_is_one_character_that_no_domain_has() {
    let separator = |text: &str| {
        result(&format!("{UPSTREAM}client_separator = \"{text}\"\n"))
            .map(|config| config.upstreams[0].client_separator)
    };
    assert_eq!(separator("+"), Ok(Some('+')));
    assert_eq!(separator(""), Ok(None));
    for wrong in ["//", "a", "7", "@", ".", "-", "_", " ", "ä", "\\t"] {
        let message = separator(wrong).unwrap_err().to_string();
        assert!(message.starts_with("/etc/f:3:20: "), "{message}");
    }
}
