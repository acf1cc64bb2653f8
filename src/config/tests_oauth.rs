//! Authorization servers: what their tables mean, how accounts name them, and what is said about wrong ones.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::file::File;
use super::{
    Access, Config, ConfigError, Grant, OAuth, Overrides, Preset, SecretSource, error, file,
    validate,
};
use crate::secret::Secret;

const UPSTREAM: &str = "[upstream.a]\nurl = \"imaps://a\"\n";

fn result_with(text: &str, overrides: &Overrides) -> Result<Config, ConfigError> {
    let source = error::Source {
        file: "/etc/f".as_ref(),
        text,
    };
    let file: File = file::parse(source)?;
    validate::config(Some(source), file, overrides)
}

fn result(text: &str) -> Result<Config, ConfigError> {
    result_with(text, &Overrides::default())
}

fn loaded(text: &str) -> Config {
    result(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn provider(table: &str) -> OAuth {
    loaded(&format!("{UPSTREAM}{table}")).oauth.remove(0)
}

/// The addresses of a table, "-" for none.
fn addresses(table: &str) -> [String; 3] {
    let one = provider(table);
    [one.authorization_url, one.token_url, one.device_url]
        .map(|address| address.map_or_else(|| "-".to_owned(), |address| address.to_string()))
}

/// Line and words of the error of a table that stands from line 3 on.
fn refused(table: &str) -> (Option<usize>, String) {
    let error = result(&format!("{UPSTREAM}{table}")).unwrap_err();
    (error.line(), error.message().to_owned())
}

#[test]
fn the_name_google_is_enough_to_know_googles_server() {
    let google = provider("[oauth.google]\nclient_id = \"id\"\n");
    assert_eq!(
        (google.preset, &google.grant),
        (Preset::Google, &Grant::Code)
    );
    assert_eq!(google.scope, "https://mail.google.com/");
    assert_eq!(google.client_id, "id");
    assert_eq!(google.timeout, Duration::from_secs(20));
    let expected = [
        "https://accounts.google.com/o/oauth2/v2/auth",
        "https://oauth2.googleapis.com/token",
        "-",
    ];
    assert_eq!(
        addresses("[oauth.google]\nclient_id = \"id\"\n"),
        expected.map(str::to_owned)
    );
    let other = provider("[oauth.work]\npreset = \"google\"\nclient_id = \"id\"\n");
    assert_eq!(other.preset, Preset::Google);
}

#[test]
fn microsofts_endpoints_are_the_tenants() {
    let all = addresses("[oauth.microsoft]\nclient_id = \"id\"\n");
    let expected = ["authorize", "token", "devicecode"]
        .map(|end| format!("https://login.microsoftonline.com/common/oauth2/v2.0/{end}"));
    assert_eq!(all, expected);
    let of_tenant = addresses("[oauth.microsoft]\nclient_id = \"id\"\ntenant = \"a.example\"\n");
    assert!(of_tenant[1].contains("/a.example/oauth2/"), "{of_tenant:?}");
    let person = provider("[oauth.microsoft]\nclient_id = \"id\"\ngrant = \"device\"\n");
    assert_eq!(person.grant, Grant::Device);
    assert_eq!(
        person.scope,
        "https://outlook.office.com/IMAP.AccessAsUser.All offline_access"
    );
    let app = provider(
        "[oauth.microsoft]\nclient_id = \"id\"\ntenant = \"a.example\"\ngrant = \"client-credentials\"\nclient_secret_env = \"S\"\n",
    );
    assert_eq!(app.scope, "https://outlook.office365.com/.default");
    assert_eq!(
        app.client_secret,
        Some(SecretSource::Environment("S".to_owned()))
    );
}

#[test]
fn any_other_server_is_found_by_its_issuer_or_written_down() {
    let found = provider("[oauth.idp]\nissuer = \"https://idp.example\"\nclient_id = \"id\"\n");
    assert_eq!(found.preset, Preset::Oidc);
    assert_eq!(found.scope, "openid offline_access");
    assert_eq!(
        found.issuer.map(|issuer| issuer.to_string()).as_deref(),
        Some("https://idp.example")
    );
    let written = addresses(
        "[oauth.idp]\ntoken_url = \"http://127.0.0.1:8080/token\"\nauthorization_url = \"http://localhost:8080/\"\nclient_id = \"id\"\n",
    );
    assert_eq!(written[1], "http://127.0.0.1:8080/token");
    let (_, words) =
        refused("[oauth.idp]\nclient_id = \"id\"\ngrant = \"device\"\ntoken_url = \"https://a\"\n");
    assert!(words.contains("or device_url"), "{words}");
}

#[test]
fn a_service_account_is_a_file() {
    let text = "[oauth.google]\ngrant = \"service-account\"\nservice_account_file = \"sa.json\"\n";
    let Grant::ServiceAccount(file) = provider(text).grant else {
        panic!("{text}");
    };
    assert_eq!(file.path(), std::path::Path::new("/etc/sa.json"));
}

#[test]
fn what_does_not_fit_together_is_said_with_its_line() {
    let cases: [(&str, usize, &str); 20] = [
        ("[oauth.google]\n", 3, "[oauth.google] needs a client_id"),
        (
            "[oauth.\"a b\"]\nclient_id = \"i\"\n",
            3,
            "cannot be the name of [oauth]",
        ),
        (
            "[oauth.x]\nclient_id = \"i\"\n",
            3,
            "[oauth.x] needs issuer = ",
        ),
        (
            "[oauth.x]\npreset = \"gogle\"\n",
            4,
            "did you mean \"google\"?",
        ),
        (
            "[oauth.x]\ngrant = \"devise\"\n",
            4,
            "did you mean \"device\"?",
        ),
        (
            "[oauth.x]\nclient_idd = \"i\"\n",
            4,
            "did you mean \"client_id\"?",
        ),
        (
            "[oauth.google]\ngrant = \"device\"\n",
            4,
            "no access to mail by device codes",
        ),
        (
            "[oauth.google]\ngrant = \"client-credentials\"\n",
            4,
            "grant = \"service-account\"",
        ),
        (
            "[oauth.microsoft]\ngrant = \"service-account\"\n",
            4,
            "service accounts are Google's",
        ),
        (
            "[oauth.google]\ngrant = \"service-account\"\n",
            3,
            "needs service_account_file",
        ),
        (
            "[oauth.google]\nclient_id = \"i\"\nservice_account_file = \"f\"\n",
            5,
            "service_account_file has no effect",
        ),
        (
            "[oauth.google]\ngrant = \"service-account\"\nclient_id = \"i\"\nservice_account_file = \"f\"\n",
            5,
            "client_id has no effect",
        ),
        (
            "[oauth.google]\ntenant = \"t\"\nclient_id = \"i\"\n",
            4,
            "only Microsoft has tenants",
        ),
        (
            "[oauth.google]\nissuer = \"https://t\"\nclient_id = \"i\"\n",
            4,
            "a preset knows its server",
        ),
        (
            "[oauth.microsoft]\nclient_id = \"i\"\ngrant = \"client-credentials\"\nclient_secret_env = \"S\"\n",
            3,
            "needs the tenant",
        ),
        (
            "[oauth.microsoft]\nclient_id = \"i\"\ngrant = \"client-credentials\"\ntenant = \"common\"\nclient_secret_env = \"S\"\n",
            6,
            "within one tenant only",
        ),
        (
            "[oauth.microsoft]\nclient_id = \"i\"\ngrant = \"client-credentials\"\ntenant = \"t\"\n",
            3,
            "client_secret_credential",
        ),
        (
            "[oauth.microsoft]\nclient_id = \"i\"\ntenant = \"a/b\"\n",
            5,
            "is not a tenant",
        ),
        (
            "[oauth.google]\nclient_id = \"i\"\ntoken_url = \"http://a.example/\"\n",
            5,
            "is not encrypted",
        ),
        (
            "[oauth.google]\nclient_id = \"i\"\nclient_secret_env = \"S\"\nclient_secret_file = \"f\"\n",
            5,
            "in two ways where its client's secret is",
        ),
    ];
    for (table, line, words) in cases {
        let (at, message) = refused(table);
        assert!(message.contains(words), "{table}: {message}");
        assert_eq!(at, Some(line), "{table}: {message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}

const GOOGLE: &str = "[oauth.google]\nclient_id = \"id\"\n";

fn account(keys: &str) -> Result<Config, ConfigError> {
    result(&format!(
        "{UPSTREAM}{GOOGLE}[account.info]\nlogin = \"info@example.com\"\n{keys}"
    ))
}

#[test]
fn an_account_is_opened_with_tokens_for_its_own_log_in_or_a_delegates() {
    let access = |keys: &str| account(keys).unwrap().accounts.remove(0).access;
    let expected = |user: &str| Access::OAuth {
        provider: "google".to_owned(),
        user: user.to_owned(),
    };
    assert_eq!(access("oauth = \"google\"\n"), expected("info@example.com"));
    assert_eq!(
        access("oauth = \"google\"\noauth_user = \"ann@example.com\"\n"),
        expected("ann@example.com")
    );
}

#[test]
fn an_account_has_a_password_or_tokens() {
    let cases = [
        ("", "or oauth = \"NAME\""),
        ("oauth = \"gogle\"\n", "did you mean \"google\"?"),
        ("oauth = \"other-server\"\n", "there are google"),
        (
            "oauth = \"google\"\npassword_env = \"P\"\n",
            "both a password and oauth",
        ),
        (
            "password_env = \"P\"\noauth_user = \"a\"\n",
            "has no effect without oauth",
        ),
        ("oauth = \"google\"\noauth_user = \" \"\n", "is empty"),
    ];
    for (keys, words) in cases {
        let message = account(keys).unwrap_err().to_string();
        assert!(message.contains(words), "{keys}: {message}");
    }
    let app = "[oauth.m]\npreset = \"microsoft\"\nclient_id = \"i\"\ntenant = \"t\"\ngrant = \"client-credentials\"\nclient_secret_env = \"S\"\n";
    let text =
        format!("{UPSTREAM}{app}[account.i]\nlogin = \"i\"\noauth = \"m\"\noauth_user = \"a\"\n");
    let message = result(&text).unwrap_err().to_string();
    assert!(message.contains("the application's own"), "{message}");
}

#[test]
fn tokens_of_another_providers_server_are_refused_with_their_line() {
    let microsoft = "[oauth.ms]\npreset = \"microsoft\"\nclient_id = \"id\"\n";
    let idp = "[oauth.idp]\nissuer = \"https://idp.example\"\nclient_id = \"id\"\n";
    let with = |provider: &str, table: &str, name: &str| {
        let upstream = format!("[upstream.a]\nprovider = \"{provider}\"\n");
        result(&format!(
            "{upstream}{table}[account.i]\nlogin = \"i\"\noauth = \"{name}\"\n"
        ))
    };
    for (provider, table, name, wants) in [
        ("microsoft365", GOOGLE, "google", "preset = \"microsoft\""),
        ("gmail", microsoft, "ms", "preset = \"google\""),
    ] {
        let error = with(provider, table, name).unwrap_err();
        let message = error.message();
        assert!(message.contains(wants), "{message}");
        let line = 2 + table.lines().count() + 3;
        assert_eq!(error.line(), Some(line), "{message}");
    }
    for (provider, table, name) in [
        ("microsoft365", microsoft, "ms"),
        ("gmail", GOOGLE, "google"),
        ("gmail", idp, "idp"),
    ] {
        assert!(with(provider, table, name).is_ok(), "{provider} {name}");
    }
}

#[test]
fn passwords_where_none_is_taken_are_warned_of() {
    let password = "[account.i]\nlogin = \"i\"\npassword_env = \"P\"\n";
    let tokens =
        "[oauth.microsoft]\nclient_id = \"i\"\n[account.i]\nlogin = \"i\"\noauth = \"microsoft\"\n";
    let local = "url = \"imap://127.0.0.1\"\n";
    let domains = "domains = [\"a.example\"]\n";
    let cases = [
        ("microsoft365", "", password, "[account.i] has a password"),
        ("microsoft365", "", tokens, ""),
        ("microsoft365", "", "", "is passed through to"),
        ("microsoft365", domains, tokens, "is passed through to"),
        ("microsoft365", local, password, ""),
        ("gmail", "", password, ""),
    ];
    for (provider, keys, account, words) in cases {
        let text = format!("[upstream.a]\nprovider = \"{provider}\"\n{keys}{account}");
        let warnings = loaded(&text).warnings;
        match words {
            "" => assert_eq!(warnings, Vec::<String>::new(), "{text}"),
            words => assert!(
                warnings.len() == 1 && warnings[0].contains(words),
                "{text}{warnings:?}"
            ),
        }
    }
}

#[test]
fn googles_desktop_clients_have_a_secret() {
    let warnings = |keys: &str| loaded(&format!("{UPSTREAM}{GOOGLE}{keys}")).warnings;
    let said = warnings("");
    assert!(
        said.len() == 1 && said[0].contains("client_secret_file"),
        "{said:?}"
    );
    assert!(warnings("client_secret_env = \"S\"\n").is_empty());
    assert!(warnings("token_url = \"https://a.example/\"\n").is_empty());
    let microsoft = loaded(&format!(
        "{UPSTREAM}[oauth.microsoft]\nclient_id = \"id\"\n"
    ));
    assert!(microsoft.warnings.is_empty());
}

#[test]
fn bridges_that_share_a_state_have_a_common_key_for_tokens() {
    let shared = Overrides {
        state: Some(Secret::new("postgres://u@h/d".to_owned())),
        ..Overrides::default()
    };
    let text = |key: &str| {
        format!(
            "state_folder = \"s\"\n{key}{UPSTREAM}{GOOGLE}[account.i]\nlogin = \"i\"\noauth = \"google\"\n"
        )
    };
    let error = result_with(&text(""), &shared).unwrap_err().to_string();
    assert!(error.contains("openssl rand -base64 32"), "{error}");
    let with_key = result_with(&text("token_key_credential = \"key\"\n"), &shared).unwrap();
    assert_eq!(
        with_key.token_key,
        Some(SecretSource::Credential("key".to_owned()))
    );
    assert_eq!(loaded(&text("")).token_key, None);
}

#[test]
fn a_key_of_tokens_that_everybody_can_read_is_warned_of_wherever_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let state = format!("state = \"{}\"\n", folder.path().display());
    let configured = format!(
        "{state}token_key_file = \"{}/key\"\n",
        folder.path().display()
    );
    for (top, name) in [(state, "token.key"), (configured, "key")] {
        let config = loaded(&format!("{top}{UPSTREAM}"));
        assert_eq!(config.oauth_warnings(), Vec::<String>::new());
        let file = folder.path().join(name);
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o604)).unwrap();
        let warnings = config.oauth_warnings();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains(file.to_str().unwrap()), "{warnings:?}");
        fs::remove_file(&file).unwrap();
    }
}
