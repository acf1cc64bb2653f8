use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use axum::http::HeaderValue;

use super::*;
use crate::secret::SecretFile;

pub(in super::super) const TOKEN: &str = "correct-horse-battery";

pub(in super::super) fn token(folder: &Path) -> SecretSource {
    write(folder, TOKEN)
}

fn write(folder: &Path, text: &str) -> SecretSource {
    let file = folder.join("admin.token");
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    SecretSource::File(SecretFile::new(file))
}

fn fields(all: &[(&'static str, &str)]) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for (name, value) in all {
        fields.append(*name, HeaderValue::from_str(value).unwrap());
    }
    fields
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

const NEAR: [(&str, &str); 1] = [("host", "localhost:9110")];

#[test]
fn this_machine_reads_under_a_name_that_is_only_its_own() {
    let access = Gate::new(None);
    let asks = |peer: &str, all: &[(&'static str, &str)]| {
        matches!(access.asker(ip(peer), &fields(all)), Ok(Asker::Near))
    };
    for host in [
        "localhost",
        "LOCALHOST:1",
        "127.0.0.1:9110",
        "127.9.9.9",
        "[::1]:9110",
        "[::ffff:127.0.0.1]",
    ] {
        assert!(asks("127.0.0.1", &[("host", host)]), "{host}");
        assert!(asks("::1", &[("host", host)]), "{host}");
        assert!(asks("::ffff:127.0.0.1", &[("host", host)]), "{host}");
        assert!(!asks("192.0.2.1", &[("host", host)]), "{host}");
    }
    for host in [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example:9110",
        "192.0.2.1",
        "",
    ] {
        assert!(!asks("127.0.0.1", &[("host", host)]), "{host}");
    }
    assert!(!asks("127.0.0.1", &[]));
    for proxy in ["x-forwarded-for", "forwarded", "via", "x-real-ip"] {
        assert!(
            !asks("127.0.0.1", &[NEAR[0], (proxy, "for=192.0.2.1")]),
            "{proxy}"
        );
    }
}

#[test]
fn the_token_lets_in_from_everywhere_and_another_one_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let access = Gate::new(Some(token(folder.path())));
    let far = ip("192.0.2.1");
    let shown = |text: &str| fields(&[("authorization", text), ("host", "bridge.example.com")]);
    let right = access.asker(far, &shown(&format!("bearer  {TOKEN}")));
    assert!(matches!(right, Ok(Asker::Program)));
    let wrong = access.asker(ip("127.0.0.1"), &shown("Bearer guess"));
    assert_eq!(wrong.unwrap_err(), Barred::Wrong);
    let none = access.asker(far, &fields(&NEAR));
    assert!(matches!(none, Ok(Asker::Stranger)));
    // Without a token nobody is let in by any.
    let closed = Gate::new(None).asker(far, &shown("Bearer "));
    assert!(matches!(closed, Err(Barred::Closed(_))));
}

#[tokio::test(start_paused = true)]
async fn guesses_are_slowed_source_by_source() {
    let folder = tempfile::tempdir().unwrap();
    let access = Gate::new(Some(token(folder.path())));
    let (guesser, other) = (ip("2001:db8::1"), ip("2001:db8:0:1::1"));
    let mut looked_at = 0;
    for _ in 0..600 {
        // Ten a second, for a minute; the network of 64 bits is one source.
        match access.check(ip("2001:db8::2"), "guess") {
            Err(Barred::Wrong) => looked_at += 1,
            Err(Barred::Wait(seconds)) => assert!((1..=9).contains(&seconds)),
            other => panic!("{other:?}"),
        }
        tokio::time::advance(Duration::from_millis(100)).await;
    }
    // After 0, 1, 3, 7, 15, 23 ... seconds.
    assert_eq!(looked_at, 10);
    assert!(matches!(access.check(guesser, TOKEN), Err(Barred::Wait(_))));
    assert!(access.check(other, TOKEN).is_ok());
    tokio::time::advance(LONGEST_PAUSE).await;
    assert!(access.check(guesser, TOKEN).is_ok());
    // Whoever is right begins anew.
    assert_eq!(access.check(guesser, "x"), Err(Barred::Wrong));
    tokio::time::advance(FIRST_PAUSE).await;
    assert!(access.check(guesser, TOKEN).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_browser_is_let_in_by_its_cookie_until_its_time_is_over_or_the_token_is_another_one() {
    let folder = tempfile::tempdir().unwrap();
    let access = Gate::new(Some(token(folder.path())));
    let peer = ip("192.0.2.1");
    let browser = |id: &Secret| {
        let cookie = format!("a=b; {COOKIE}={}; c=d", id.expose());
        match access.asker(peer, &fields(&[("cookie", &cookie)])) {
            Ok(Asker::Browser(pass)) => Some(pass),
            _ => None,
        }
    };
    let id = access.log_in(peer, TOKEN).unwrap();
    let pass = browser(&id).expect("it is let in");
    assert!(fits(&pass, pass.key.expose()) && !fits(&pass, "") && !fits(&pass, id.expose()));
    access.tell(&pass, "done".to_owned());
    assert_eq!(access.told(&pass).as_deref(), Some("done"));
    assert_eq!(access.told(&pass), None);
    assert!(browser(&Secret::new("made-up".to_owned())).is_none());
    // Another browser has another key.
    let second = access.log_in(peer, TOKEN).unwrap();
    let other = browser(&second).unwrap();
    assert!(!fits(&other, pass.key.expose()));
    access.log_out(&pass);
    assert!(browser(&id).is_none() && browser(&second).is_some());
    tokio::time::advance(LIFE).await;
    assert!(browser(&second).is_none());
    let third = access.log_in(peer, TOKEN).unwrap();
    assert!(browser(&third).is_some());
    write(folder.path(), "another token than before");
    assert!(browser(&third).is_none());
}

#[tokio::test(start_paused = true)]
async fn so_many_browsers_are_remembered_and_so_many_guessers() {
    let folder = tempfile::tempdir().unwrap();
    let access = Gate::new(Some(token(folder.path())));
    for _ in 0..2 * BROWSERS {
        access.log_in(ip("192.0.2.1"), TOKEN).unwrap();
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    assert_eq!(access.browsers().len(), BROWSERS);
    for number in 0..2 * u32::try_from(SOURCES).unwrap() {
        let peer = IpAddr::from(std::net::Ipv4Addr::from(number));
        let _ = access.check(peer, "guess");
    }
    assert_eq!(access.guesses().len(), SOURCES + 1);
}

#[test]
fn a_short_token_or_none_where_one_should_be_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let checked = |text: &str| Gate::new(Some(write(folder.path(), text))).check_token();
    assert_eq!(checked(TOKEN), Ok(()));
    let short = checked("fifteen-letters").unwrap_err();
    assert!(
        short.contains("fewer than 16 characters") && !short.contains("fifteen"),
        "{short}"
    );
    let nowhere = SecretSource::File(SecretFile::new(folder.path().join("nowhere")));
    let missing = Gate::new(Some(nowhere)).check_token().unwrap_err();
    assert!(
        missing.contains("the admin token: ") && missing.contains("nowhere"),
        "{missing}"
    );
    assert_eq!(Gate::new(None).check_token(), Ok(()));
}

#[test]
fn only_this_page_sends_forms() {
    let host = ("host", "bridge.example.com:9110");
    let is_ours = |all: &[(&'static str, &str)]| is_of_this_page(&fields(&[&[host], all].concat()));
    // A program.
    assert!(is_ours(&[]));
    assert!(is_ours(&[
        ("sec-fetch-site", "same-origin"),
        ("origin", "http://bridge.example.com:9110")
    ]));
    assert!(is_ours(&[("origin", "https://BRIDGE.example.com:9110")]));
    for origin in [
        "http://bridge.example.com",
        "http://evil.example",
        "null",
        "",
        "bridge.example.com:9110",
    ] {
        assert!(!is_ours(&[("origin", origin)]), "{origin}");
    }
    for site in ["cross-site", "same-site", "none", "x"] {
        assert!(!is_ours(&[("sec-fetch-site", site)]), "{site}");
    }
    assert!(!is_of_this_page(&fields(&[("origin", "http://")])));
}
