//! The manual pages, made of the same definition as `--help`: one for the program and one for each of its commands.
//!
//! Must not know: what the commands do.

use std::fs;
use std::io;
use std::path::Path;

use clap::CommandFactory;
use clap_mangen::Man;

use super::Cli;
use crate::config::DEFAULT_FILE;

/// Writes `popbridge.1`, `popbridge-serve.1`, `popbridge-client-add.1` and so on into `folder`, which must be there.
///
/// # Errors
/// Those of writing.
pub fn write(folder: &Path) -> io::Result<()> {
    // "help" is a command of clap's own, and needs no page.
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    pages(&command, &mut |name, page| {
        fs::write(folder.join(name), page)
    })
}

/// Hands out each page with its file's name, commands first.
fn pages(
    command: &clap::Command,
    out: &mut impl FnMut(String, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    for below in command.get_subcommands().filter(|one| !one.is_hide_set()) {
        pages(below, out)?;
    }
    // A date of the day it is built on would differ each time; a date that is empty would lose its place.
    let man = Man::new(command.clone())
        .date(" ")
        .source(format!("popbridge {}", crate::VERSION))
        .manual("popbridge");
    let mut page = Vec::new();
    man.render(&mut page)?;
    page.extend_from_slice(see_also().as_bytes());
    out(man.get_filename(), &page)
}

/// What belongs to every page, in roff.
fn see_also() -> String {
    format!(
        ".SH FILES\n.TP\n{DEFAULT_FILE}\nThe configuration, where no other file is named. Every key with its default and the reason for it is \
         in /usr/share/doc/popbridge/examples/popbridge.toml.\n.TP\n/var/lib/popbridge\nThe state: which client has had and deleted which \
         message.\n.SH SEE ALSO\n\\fBpopbridge\\fR(1), /usr/share/doc/popbridge/README.md\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<(String, String)> {
        let mut command = Cli::command().disable_help_subcommand(true);
        command.build();
        let mut all = Vec::new();
        pages(&command, &mut |name, page| {
            all.push((name, String::from_utf8(page.to_vec()).unwrap()));
            Ok(())
        })
        .unwrap();
        all
    }

    #[test]
    fn every_command_that_help_shows_has_a_page() {
        fn names(command: &clap::Command, found: &mut Vec<String>) {
            found.push(format!("{}.1", command.get_display_name().unwrap()));
            let below = command.get_subcommands();
            below
                .filter(|one| !one.is_hide_set() && one.get_name() != "help")
                .for_each(|one| names(one, found));
        }
        let mut command = Cli::command()
            .disable_help_subcommand(true)
            .display_name("popbridge");
        command.build();
        let mut expected = Vec::new();
        names(&command, &mut expected);
        let mut made: Vec<String> = all().into_iter().map(|(name, _)| name).collect();
        expected.sort();
        made.sort();
        assert_eq!(made, expected);
        assert!(
            made.contains(&"popbridge-client-add.1".to_owned()),
            "{made:?}"
        );
        assert!(!made.contains(&"popbridge-man.1".to_owned()), "{made:?}");
    }

    #[test]
    fn a_page_has_the_commands_flags_and_no_value_of_this_machines_environment() {
        let all = all();
        let (_, serve) = all
            .iter()
            .find(|(name, _)| name == "popbridge-serve.1")
            .unwrap();
        for words in [
            r"\-\-tls\-listen",
            "POPBRIDGE_TLS_LISTEN",
            ".SH FILES",
            "Serve POP3 clients",
        ] {
            assert!(serve.contains(words), "{words}: {serve}");
        }
        let title = format!(
            ".TH popbridge-serve 1 \" \" \"popbridge {}\" popbridge",
            crate::VERSION
        );
        assert!(serve.contains(&title), "{serve}");
    }
}
