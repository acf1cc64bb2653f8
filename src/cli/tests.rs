use std::io::ErrorKind;

use clap::error::ErrorKind as ClapError;

use super::*;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split(' '))
}

fn settings(line: &str) -> Settings {
    match parse(line).unwrap().command {
        Command::Serve(settings) => settings,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_definition_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn serve_needs_only_an_upstream() {
    let settings = settings("popbridge serve --upstream imaps://imap.example.com");
    let config = settings.load().unwrap();
    assert_eq!(config.log.filter, "info");
    assert_eq!(config.log.format, LogFormat::Text);
    assert_eq!(
        config.upstreams[0].url.to_string(),
        "imaps://imap.example.com"
    );
}

#[test]
fn all_flags_arrive_in_the_configuration() {
    let config = settings(
        "popbridge serve --upstream imap://localhost:1143 --listen 127.0.0.1:0 --listen [::1]:1 \
         --tls-listen 127.0.0.1:2 --admin 127.0.0.1:3 --state /s --log popbridge=debug --log-format json",
    )
    .load()
    .unwrap();
    let addresses: Vec<String> = config
        .listen
        .iter()
        .map(|listen| listen.address.to_string())
        .collect();
    assert_eq!(addresses, ["127.0.0.1:0", "[::1]:1", "127.0.0.1:2"]);
    assert_eq!(config.admin.unwrap().address.port(), 3);
    assert_eq!(config.log.filter, "popbridge=debug");
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!(config.state.folder, PathBuf::from("/s"));
}

#[test]
fn every_setting_has_an_environment_variable_of_its_name() {
    for command in ["serve", "check"] {
        let cli = Cli::command();
        let command = cli.find_subcommand(command).unwrap();
        for argument in command.get_arguments() {
            let name = argument.get_long().unwrap();
            // What `check` alone has is asked for once, not configured.
            if ["connect", "user", "password-stdin"].contains(&name) {
                continue;
            }
            let expected = format!("POPBRIDGE_{}", name.replace('-', "_").to_uppercase());
            assert_eq!(
                argument.get_env().unwrap().to_str(),
                Some(expected.as_str())
            );
        }
    }
}

#[test]
fn a_wrong_command_line_ends_with_the_code_for_wrong_configuration() {
    for line in [
        "popbridge serve --listen localhost:110",
        "popbridge serve --log-format xml",
        "popbridge",
        "popbridge serve --unknown",
    ] {
        assert_eq!(
            parse(line).unwrap_err().exit_code(),
            i32::from(EXIT_CONFIG),
            "{line}"
        );
    }
}

#[test]
fn a_wrong_upstream_is_explained_and_a_password_in_it_not_repeated() {
    let refused = |url| {
        settings(&format!("popbridge serve --upstream {url}"))
            .load()
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        refused("imap.example.com"),
        "--upstream: \"imap.example.com\" has no scheme; write \"imaps://imap.example.com\""
    );
    let message = refused("imaps://bob:hunter2@imap.example.com");
    assert!(
        message.contains("brings both") && !message.contains("hunter2"),
        "{message}"
    );
}

#[test]
fn a_user_to_check_needs_connect_and_a_password_from_standard_input() {
    for line in [
        "popbridge check --connect --user bob",
        "popbridge check --connect --password-stdin",
        "popbridge check --user bob --password-stdin",
    ] {
        assert_eq!(
            parse(line).unwrap_err().kind(),
            ClapError::MissingRequiredArgument,
            "{line}"
        );
    }
    assert!(parse("popbridge check --connect --user bob --password-stdin").is_ok());
    assert!(parse("popbridge check --connect").is_ok());
    assert!(parse("popbridge check").is_ok());
}

#[test]
fn a_password_is_one_line_with_its_spaces() {
    let read = |input: &[u8]| read_password(input).map(|secret| secret.expose().to_owned());
    assert_eq!(read(b"p \xc3\xa4 ss \r\nmore\n").unwrap(), "p ä ss ");
    assert_eq!(read(b"no line end").unwrap(), "no line end");
    assert_eq!(read(&[b'x'; MAX_PASSWORD]).unwrap().len(), MAX_PASSWORD);
    for wrong in [
        &b""[..],
        b"\n",
        b"\r\nx",
        b"\xff\n",
        &[b'x'; MAX_PASSWORD + 1],
        &[b'x'; MAX_PASSWORD * 9],
    ] {
        assert_eq!(read(wrong).unwrap_err().kind(), ErrorKind::InvalidData);
    }
}

#[test]
fn completions_exist_for_every_shell() {
    for shell in [
        Shell::Bash,
        Shell::Zsh,
        Shell::Fish,
        Shell::PowerShell,
        Shell::Elvish,
    ] {
        let mut script = Vec::new();
        completions(shell, &mut script).unwrap();
        assert!(
            String::from_utf8(script).unwrap().contains("tls-listen"),
            "{shell}"
        );
    }
}
