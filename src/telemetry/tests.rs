use std::io;
use std::sync::{Arc, Mutex};

use super::*;

/// Collects what is written.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const PLAIN: Style = Style {
    ansi: false,
    timestamps: false,
};

/// What is logged of `events`.
fn logged(filter: &str, format: LogFormat, style: Style, events: impl FnOnce()) -> String {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = subscriber(filter, format, style, move || writer.clone()).unwrap();
    tracing::subscriber::with_default(subscriber, events);
    let bytes = log.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

fn refused_log_in() {
    let address = "192.0.2.1".parse().unwrap();
    let line = login_failed_line("bob", "PASS", 1, 2, address, address, "s1");
    let _span = tracing::info_span!("session", id = "s1").entered();
    tracing::info!(target: LOGIN_TARGET, "{line}");
}

const REFUSED: &str = "Aborted login (auth failed, 1 attempts in 2 secs): user=<bob>, method=PASS, rip=192.0.2.1, \
                       lip=192.0.2.1, session=<s1>";

#[test]
fn events_are_lines_with_their_span_and_fields() {
    let text = logged("info", LogFormat::Text, PLAIN, || {
        let _span = tracing::info_span!("session", id = 7).entered();
        tracing::info!(target: "popbridge::bridge", octets = 12, "retrieved");
        tracing::debug!("not wanted");
    });
    assert_eq!(
        text,
        " INFO session{id=7}: popbridge::bridge: retrieved octets=12\n"
    );
}

#[test]
fn refused_log_ins_are_written_as_dovecot_writes_them() {
    assert_eq!(
        logged("info", LogFormat::Text, PLAIN, refused_log_in),
        format!("pop3-login: {REFUSED}\n")
    );
    let timestamps = Style {
        ansi: false,
        timestamps: true,
    };
    let text = logged("info", LogFormat::Text, timestamps, refused_log_in);
    let (time, rest) = text.split_once(' ').unwrap();
    assert_eq!(
        (time.len(), &time[10..11], &time[26..]),
        (27, "T", "Z"),
        "{time}"
    );
    assert_eq!(rest, format!("pop3-login: {REFUSED}\n"));
}

#[test]
fn refused_log_ins_pass_any_filter_but_off() {
    for filter in ["", "warn", "popbridge=debug", "off,popbridge=error"] {
        assert!(
            !logged(filter, LogFormat::Text, PLAIN, refused_log_in).is_empty(),
            "{filter}"
        );
    }
    for filter in ["off", "info,pop3-login=off"] {
        assert_eq!(
            logged(filter, LogFormat::Text, PLAIN, refused_log_in),
            "",
            "{filter}"
        );
    }
}

#[test]
fn json_has_the_same_message_as_a_field() {
    let text = logged("info", LogFormat::Json, PLAIN, refused_log_in);
    assert_eq!(text.lines().count(), 1);
    assert!(
        text.contains(&format!("\"fields\":{{\"message\":\"{REFUSED}\"}}")),
        "{text}"
    );
    assert!(text.contains("\"target\":\"pop3-login\""), "{text}");
    assert!(
        text.contains("\"span\":{\"id\":\"s1\",\"name\":\"session\"}"),
        "{text}"
    );
}

#[test]
fn the_wire_traffic_of_the_imap_library_is_never_logged() {
    let wire = || {
        tracing::error!(target: "async_imap", "A1 LOGIN bob hunter2");
        tracing::error!(target: "async_imap::imap_stream", "A1 LOGIN bob hunter2");
        tracing::error!(target: "imap_proto::parser", "A1 LOGIN bob hunter2");
    };
    for filter in [
        "trace",
        "async_imap=trace",
        "async_imap::imap_stream=trace,imap_proto=trace",
    ] {
        assert_eq!(logged(filter, LogFormat::Text, PLAIN, wire), "", "{filter}");
        assert_eq!(logged(filter, LogFormat::Json, PLAIN, wire), "", "{filter}");
    }
    let similar = || tracing::error!(target: "async_imapish", "other");
    assert!(!logged("trace", LogFormat::Text, PLAIN, similar).is_empty());
}

#[test]
fn no_value_can_begin_a_line_of_its_own_or_command_a_terminal() {
    let hostile = "x\r\n2026-11-02T12:00:00Z pop3-login: Aborted login\x1b[31m\u{9b}31m";
    let events = || {
        let _span = tracing::info_span!("session", user = %hostile).entered();
        tracing::info!(reason = %hostile, "{hostile}");
    };
    let text = logged("info", LogFormat::Text, PLAIN, events);
    assert!(
        !text.trim_end_matches('\n').contains(char::is_control),
        "{text:?}"
    );
    assert_eq!(
        logged("info", LogFormat::Json, PLAIN, events)
            .lines()
            .count(),
        1
    );
}

#[test]
fn a_terminal_gets_colours_for_time_and_level() {
    let style = Style {
        ansi: true,
        timestamps: true,
    };
    let text = logged(
        "info",
        LogFormat::Text,
        style,
        || tracing::warn!(target: "t", "m"),
    );
    assert!(text.starts_with("\x1b[2m2"), "{text:?}");
    assert!(
        text.ends_with("Z\x1b[0m \x1b[33m WARN\x1b[0m t: m\n"),
        "{text:?}"
    );
}

#[test]
fn a_filter_that_would_silence_everything_by_a_typing_error_is_refused() {
    let refused = |filter| {
        subscriber(filter, LogFormat::Text, PLAIN, io::sink)
            .err()
            .unwrap()
            .to_string()
    };
    assert_eq!(
        refused("debgu"),
        "--log: \"debgu\" is not off, error, warn, info, debug or trace; for a module write such as \"popbridge::imap=debug\""
    );
    assert!(refused("info,popbridge").contains("\"popbridge\""));
    assert!(refused("popbridge=loud").starts_with("--log: \"popbridge=loud\": "));
}

#[test]
fn a_panic_is_one_line_with_its_place_and_without_what_was_worked_on() {
    let text = logged("error", LogFormat::Json, PLAIN, || {
        let _span = tracing::info_span!("session", id = "s1").entered();
        let before = panic::take_hook();
        panic::set_hook(Box::new(log_panic));
        let mail = String::from("dear ann");
        let _ = panic::catch_unwind(|| panic!("this was {mail}"));
        let _ = panic::catch_unwind(|| panic!("a fixed text"));
        panic::set_hook(before);
    });
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(!text.contains("dear ann"), "{text}");
    assert_eq!(lines[1]["fields"]["reason"], "a fixed text");
    for line in &lines {
        let place = line["fields"]["place"].as_str().unwrap();
        assert!(place.starts_with(file!()), "{place}");
    }
}

#[test]
fn the_filter_is_exchanged_while_it_is_in_use() {
    let log = Log::default();
    let writer = log.clone();
    let (subscriber, handle) =
        reloadable("warn", LogFormat::Text, PLAIN, move || writer.clone()).unwrap();
    tracing::subscriber::with_default(subscriber, || {
        // One place in the sources, asked about before and after.
        let tell = |what: &str| tracing::debug!(what, "told");
        tell("before");
        handle.reload(parse_filter("debug").unwrap()).unwrap();
        tell("after");
        handle.reload(parse_filter("info").unwrap()).unwrap();
        tell("later");
    });
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("what=\"after\""), "{text}");
}
