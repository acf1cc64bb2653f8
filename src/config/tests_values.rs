//! Single values: what is understood, what is refused and in which words.

use std::time::Duration;

use super::file::File;
use super::units::{duration, network, size, socket_address};
use super::{ConfigError, Overrides, Security, Url, error, file, validate};
use crate::policy::Trash;

/// The error for a file with this text, whose name is `f`.
fn refused(text: &str) -> String {
    result(text).unwrap_err().to_string()
}

fn result(text: &str) -> Result<super::Config, ConfigError> {
    let source = error::Source {
        file: "f".as_ref(),
        text,
    };
    let file: File = file::parse(source)?;
    validate::config(Some(source), file, &Overrides::default())
}

#[test]
fn durations_need_a_unit() {
    assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
    assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
    assert_eq!(duration("10m"), Ok(Duration::from_secs(600)));
    assert_eq!(duration("12h"), Ok(Duration::from_secs(43_200)));
    assert_eq!(duration("7d"), Ok(Duration::from_secs(604_800)));
    for wrong in [
        "",
        "7",
        "d",
        "-1s",
        "1.5h",
        "1h30m",
        " 1s",
        "1 s",
        "1w",
        "99999999999999999999s",
        "18446744073709551615d",
    ] {
        let message = duration(wrong).unwrap_err();
        assert!(message.contains("is not a duration"), "{wrong}: {message}");
    }
}

#[test]
fn sizes_need_a_binary_unit() {
    assert_eq!(size("4096B"), Ok(4096));
    assert_eq!(size("512KiB"), Ok(512 << 10));
    assert_eq!(size("64MiB"), Ok(64 << 20));
    assert_eq!(size("2GiB"), Ok(2 << 30));
    for wrong in ["", "64", "64MB", "64M", "MiB", "-1B", "99999999999GiB"] {
        assert!(size(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn networks_are_exact() {
    assert_eq!(network("10.0.0.0/8").unwrap().to_string(), "10.0.0.0/8");
    assert_eq!(
        network("192.168.10.7").unwrap().to_string(),
        "192.168.10.7/32"
    );
    assert_eq!(network("fd00::/8").unwrap().to_string(), "fd00::/8");
    assert_eq!(
        network("192.168.10.5/24").unwrap_err(),
        "\"192.168.10.5/24\" has bits set beyond its prefix; write \"192.168.10.0/24\" for the network or \
         \"192.168.10.5\" for the one address"
    );
    assert!(network("192.168.10").is_err());
    assert!(network("10.0.0.0/33").is_err());
}

#[test]
fn listeners_are_addresses_not_names() {
    assert!(socket_address("[::]:995").is_ok());
    assert!(
        socket_address("localhost:110")
            .unwrap_err()
            .contains("is not an IP address and a port")
    );
    assert!(socket_address(":110").is_err());
    assert!(socket_address("127.0.0.1").is_err());
}

#[test]
fn urls_are_understood() {
    let parsed = |text: &str| {
        text.parse::<Url>()
            .map(|url| (url.security, url.host.clone(), url.port, url.to_string()))
    };
    let expected = |security, host: &str, port, text: &str| {
        Ok((security, host.to_owned(), port, text.to_owned()))
    };
    let host = "imap.example.com";
    assert_eq!(
        parsed("imaps://IMAP.example.com"),
        expected(Security::Implicit, host, 993, "imaps://imap.example.com")
    );
    assert_eq!(
        parsed("imap+starttls://imap.example.com/"),
        expected(
            Security::StartTls,
            host,
            143,
            "imap+starttls://imap.example.com"
        )
    );
    assert_eq!(
        parsed("IMAP://imap.example.com:1143"),
        expected(Security::Off, host, 1143, "imap://imap.example.com:1143")
    );
    assert_eq!(
        parsed("imaps://[2001:DB8::1]:994"),
        expected(
            Security::Implicit,
            "2001:db8::1",
            994,
            "imaps://[2001:db8::1]:994"
        )
    );
    assert_eq!(
        parsed("imaps://[::1]"),
        expected(Security::Implicit, "::1", 993, "imaps://[::1]")
    );
}

#[test]
fn urls_that_mean_something_else_are_refused_with_words() {
    let cases = [
        (
            "imap.example.com",
            "has no scheme; write \"imaps://imap.example.com\"",
        ),
        ("pop3://a", "\"pop3\" is not a scheme of an upstream"),
        ("imaps://", "the host is missing"),
        ("imaps://:993", "the host is missing"),
        ("imaps://a:0", "\"0\" is not a port"),
        ("imaps://a:65536", "\"65536\" is not a port"),
        ("imaps://a:+1", "\"+1\" is not a port"),
        ("imaps://a:", "\"\" is not a port"),
        ("imaps://a/INBOX", "goes on behind the host"),
        ("imaps://a?x", "goes on behind the host"),
        (
            "imaps://fd00::1",
            "write an IPv6 address in brackets: \"imaps://[fd00::1]\"",
        ),
        ("imaps://[fd00", "is not a host name"),
        ("imaps://[a]", "is not an IPv6 address in brackets"),
        ("imaps://bücher.example", "xn--"),
        ("imaps://a b", "is not a host name"),
        ("imaps://a..b", "is not a host name"),
    ];
    for (text, words) in cases {
        let message = text.parse::<Url>().unwrap_err();
        assert!(message.contains(words), "{text}: {message}");
    }
}

#[test]
fn a_password_in_a_url_is_refused_and_not_repeated() {
    for text in [
        "imaps://bob:hunter2@imap.example.com",
        "bob:hunter2@imap.example.com",
    ] {
        let message = text.parse::<Url>().unwrap_err();
        assert!(
            message.contains("user or a password") && !message.contains("hunter2"),
            "{message}"
        );
    }
}

#[test]
fn unencrypted_upstreams_are_refused_beyond_this_machine() {
    let refusal = refused("[upstream.a]\nurl = \"imap://imap.example.com\"\n");
    assert!(
        refusal.starts_with("f:2:7: passwords and mail would cross the network unencrypted"),
        "{refusal}"
    );
    assert!(refusal.contains("allow_unencrypted = true"));
    for local in [
        "localhost",
        "127.0.0.1",
        "127.9.9.9",
        "[::1]",
        "[::ffff:127.0.0.1]",
    ] {
        assert!(
            result(&format!("[upstream.a]\nurl = \"imap://{local}\"\n")).is_ok(),
            "{local}"
        );
    }
    for beyond in [
        "localhost.example.com",
        "127.0.0.1.example.com",
        "10.0.0.1",
        "[::]",
    ] {
        assert!(
            result(&format!("[upstream.a]\nurl = \"imap://{beyond}\"\n")).is_err(),
            "{beyond}"
        );
    }
    assert!(result("[upstream.a]\nurl = \"imap://10.0.0.1\"\nallow_unencrypted = true\n").is_ok());

    let by_flag = Overrides {
        upstream: Some("imap://imap.example.com".to_owned()),
        ..Overrides::default()
    };
    let refusal = validate::config(None, File::default(), &by_flag)
        .unwrap_err()
        .to_string();
    assert!(refusal.starts_with("--upstream: passwords"), "{refusal}");
}

#[test]
fn values_that_cannot_be_meant_are_refused_at_their_place() {
    let upstream = "[upstream.a]\nurl = \"imaps://a\"\n";
    let cases = [
        (
            format!("{upstream}domains = [\"x.example\", \"@y.example\"]"),
            "f:3:25: write the domain without \"@\": \"y.example\"",
        ),
        (
            format!("{upstream}domains = [\"*\"]"),
            "f:3:12: leave domains out instead",
        ),
        (
            format!("{upstream}domains = [\"\"]"),
            "f:3:12: \"\" is not a domain",
        ),
        (
            format!("{upstream}domains = [\"x.example\", \"X.example\"]"),
            "f:3:25: the domain \"x.example\" is listed twice",
        ),
        (
            format!("{upstream}dispose = \"trsh\""),
            "f:3:11: \"trsh\" is not known here; did you mean \"trash\"?",
        ),
        (
            format!("{upstream}dispose = \"shredder\""),
            "f:3:11: \"shredder\" is not known here; write one of \"expunge\", \"trash\", \"archive\", \"flag\", \"nothing\"",
        ),
        (
            format!("{upstream}trash = \"Trash\""),
            "f:3:9: a trash folder is named but messages would be expunged",
        ),
        (
            format!("{upstream}trash = \"\\\\Junk\""),
            "f:3:9: \"\\\\Junk\" is not a trash folder",
        ),
        (format!("{upstream}uidl = \"gmial\""), "f:3:8: "),
        (
            format!("{upstream}connect_timeout = \"0s\""),
            "f:3:19: \"0s\" is out of range; write 1s to 3600s",
        ),
        (format!("{upstream}ca = \"\""), "f:3:6: the path is empty"),
        (
            format!("{upstream}[upstream.b]\nurl = \"imaps://b\""),
            "f:3:1: [upstream.a] and [upstream.b] both have no domains",
        ),
        (
            "[upstream.a]\ndomains = []".to_owned(),
            "f:1:1: [upstream.a] needs a url",
        ),
        (
            format!("{upstream}[upstream.\"a b\"]\n"),
            "f:3:1: \"a b\" cannot be the name of an upstream",
        ),
        (
            format!("{upstream}[tls]\nkey = \"k\""),
            "f:3:1: [tls] has no certificate",
        ),
        (
            format!("state = \"/x/state.db\"\n{upstream}"),
            "f:1:9: \"/x/state.db\" would be a folder; write \"sqlite:/x/state.db\"",
        ),
        (
            format!("[[listen]]\n{upstream}"),
            "f:1:1: [[listen]] needs an address",
        ),
        (
            format!("[[listen]]\naddress = \"[::]:1\"\ntls = \"implict\"\n{upstream}"),
            "f:3:7: \"implict\" is not known here; did you mean \"implicit\"?",
        ),
        (
            format!(
                "[[listen]]\naddress = \"[::]:1\"\n[[listen]]\naddress = \"[::]:1\"\n{upstream}"
            ),
            "f:3:1: [::]:1 is listened on twice",
        ),
        (
            format!("[[listen]]\naddress = \"[::]:995\"\nplaintext = []\n{upstream}"),
            "f:3:13: plaintext has no effect",
        ),
        (
            format!("[[listen]]\naddress = \"[::]:1\"\ntls = \"off\"\nplaintext = []\n{upstream}"),
            "f:4:13: nobody could log in",
        ),
        (
            format!("[admin]\naddress = \"127.0.0.1:1110\"\n{upstream}"),
            "f:2:11: 127.0.0.1:1110 is a listener for POP3 clients too",
        ),
        (
            format!("{upstream}[limits]\nlogin = \"0s\""),
            "f:4:9: \"0s\" is out of range",
        ),
        (
            format!("{upstream}[limits]\nindex_cache = \"64MB\""),
            "f:4:15: \"64MB\" is not a size",
        ),
    ];
    for (text, words) in cases {
        let message = refused(&text);
        assert!(
            message.starts_with(words),
            "expected {words}\n     got {message}\n{text}"
        );
    }
}

#[test]
fn trash_is_the_marked_folder_or_one_by_name() {
    let trash = |text: &str| {
        let text = format!("[upstream.a]\nurl = \"imaps://a\"\ndispose = \"trash\"\n{text}\n");
        result(&text).map(|config| config.upstreams[0].dispose.trash.clone())
    };
    assert_eq!(trash(""), Ok(Trash::SpecialUse));
    assert_eq!(trash("trash = \"\\\\trash\""), Ok(Trash::SpecialUse));
    assert_eq!(
        trash("trash = \"Papierkörbchen\""),
        Ok(Trash::Folder("Papierkörbchen".to_owned()))
    );
}

#[test]
fn what_is_allowed_but_hardly_meant_is_warned_about() {
    let warnings = |text: &str| {
        result(&format!("{text}\n[upstream.a]\nurl = \"imaps://a\"\n"))
            .unwrap()
            .warnings
    };
    assert_eq!(warnings("[admin]"), Vec::<String>::new());
    let open = "[admin]\naddress = \"0.0.0.0:9110\"";
    assert!(warnings(open)[0].contains("shows them no status page"));
    assert_eq!(warnings(&format!("{open}\ntoken_env = \"T\"")).len(), 0);
    assert_eq!(warnings("[limits]\ninactivity = \"5m\"").len(), 1);
    assert_eq!(
        warnings("[[listen]]\naddress = \"[::]:110\"\ntls = \"off\"").len(),
        1
    );
    assert_eq!(
        warnings("[[listen]]\naddress = \"[::]:110\"\nplaintext = [\"0.0.0.0/0\"]").len(),
        1
    );
}
