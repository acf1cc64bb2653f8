//! `popbridge client`: makes, shows, changes and removes clients.
//!
//! Must not know: how the store keeps them, what a session does.

mod show;

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

use super::{CommandError, format, now, open};
use crate::auth::{Router, name, passwords};
use crate::cli::client::{ClientCommand, NewPassword};
use crate::config::{Account, ClientSettings, Config, Upstream};
use crate::secret::{Secret, StoredPassword};
use crate::store::{Client, Mailbox, MailboxId, NewClient, Store};

/// A command that reads a password from standard input does it by this, so that nothing is asked for in vain.
pub type ReadPassword<'a> = &'a mut dyn FnMut() -> std::io::Result<Secret>;

/// Carries `command` out. What was asked for goes to `out`, and words about it to `notes`.
///
/// # Errors
/// [`CommandError`]; nothing was changed then, unless a new password could not be written to `out`.
pub async fn run(
    command: &ClientCommand,
    config: &Config,
    read_password: ReadPassword<'_>,
    out: &mut dyn Write,
    notes: &mut dyn Write,
) -> Result<(), CommandError> {
    let store = open(config).await?;
    let mut work = Work {
        store: &store,
        config,
        out,
        notes,
    };
    let done = work.run(command, read_password).await;
    store.close().await;
    done
}

struct Work<'a> {
    store: &'a Store,
    config: &'a Config,
    out: &'a mut dyn Write,
    notes: &'a mut dyn Write,
}

impl Work<'_> {
    async fn run(
        &mut self,
        command: &ClientCommand,
        read_password: ReadPassword<'_>,
    ) -> Result<(), CommandError> {
        match command {
            ClientCommand::Add {
                name,
                account,
                password,
                set,
            } => {
                let account = account_of(self.config, account)?;
                check_name(self.config, name)?;
                let mut settings = ClientSettings::default();
                apply(&mut settings, set)?;
                let (shown, stored) = self.password(*password, read_password).await?;
                self.add(name, account, &settings, stored).await?;
                writeln!(
                    self.notes,
                    "The client {name} reads the account {}. It logs in by POP3 as \"{name}\".",
                    account.name
                )?;
                self.show_password(name, shown)
            }
            ClientCommand::List { account, json } => self.list(account.as_deref(), *json).await,
            ClientCommand::Show { login, json } => {
                let client = self.find(login).await?;
                let mailbox = self.mailboxes().await?.remove(&client.mailbox);
                let (_, marks) = self.store.marks(client.id).await?;
                let shown = show::one(&client, mailbox.as_ref(), &marks, *json);
                Ok(self.out.write_all(shown.as_bytes())?)
            }
            ClientCommand::Set {
                login,
                settings: pairs,
            } => {
                let client = self.find(login).await?;
                let mut settings = ClientSettings::from_json(&client.login, &client.settings)
                    .map_err(CommandError::Failed)?;
                apply(&mut settings, pairs)?;
                self.store
                    .set_client(client.id, &settings.to_json())
                    .await?;
                let shown = show::settings(&settings);
                let login = format::printable(&client.login);
                Ok(writeln!(
                    self.notes,
                    "The settings of {login} are now: {shown}. They count from its next log-in on."
                )?)
            }
            ClientCommand::Passwd { login, password } => {
                let client = self.find(login).await?;
                if !client.named {
                    return Err(CommandError::Failed(format!(
                        "{} logs in with the password of its mailbox, which only the mail server can change",
                        format::printable(&client.login)
                    )));
                }
                let (shown, stored) = self.password(*password, read_password).await?;
                self.store.set_password(client.id, &stored).await?;
                writeln!(
                    self.notes,
                    "The client {} has another password; the old one counts no more.",
                    client.login
                )?;
                self.show_password(&client.login, shown)
            }
            ClientCommand::Reset { login } => {
                let client = self.find(login).await?;
                self.store.reset_client(client.id, now()).await?;
                Ok(writeln!(
                    self.notes,
                    "What {} has had and deleted is forgotten: at its next log-in it gets everything that is still there.",
                    format::printable(&client.login)
                )?)
            }
            ClientCommand::Remove { login } => {
                let client = self.find(login).await?;
                self.store.remove_client(client.id, now()).await?;
                let login = format::printable(&client.login);
                writeln!(
                    self.notes,
                    "The client {login} is removed. For 7 days, messages that it has not had are kept as if it were there."
                )?;
                if !client.named {
                    writeln!(
                        self.notes,
                        "Whoever logs in as {login} with the mailbox's password makes it anew."
                    )?;
                }
                Ok(())
            }
        }
    }

    async fn add(
        &self,
        name: &str,
        account: &Account,
        settings: &ClientSettings,
        password: StoredPassword,
    ) -> Result<(), CommandError> {
        let upstreams = &self.config.upstreams;
        let upstream = upstreams
            .iter()
            .find(|other| other.name == account.upstream);
        let Some(upstream) = upstream else {
            let message = format!("the account {} has no upstream", account.name);
            return Err(CommandError::Failed(message));
        };
        let place = upstream.url.host_and_port();
        let login = name::normalized(&account.login);
        let at = now();
        let mailbox = self.store.mailbox(&place, &login, at).await?;
        let new = NewClient {
            mailbox: mailbox.id,
            login: name.to_owned(),
            name: name.to_owned(),
            named: true,
            account: Some(account.name.clone()),
            password: Some(password),
            settings: settings.to_json(),
        };
        self.store.add_client(&new, at).await?;
        Ok(())
    }

    /// A new password: what is to be shown, if it was made here, and what is stored.
    async fn password(
        &mut self,
        how: NewPassword,
        read_password: ReadPassword<'_>,
    ) -> Result<(Option<Secret>, StoredPassword), CommandError> {
        let failed = |error: passwords::PasswordError| CommandError::Failed(error.to_string());
        if !how.password_stdin {
            let key = self.store.secret_key().await?;
            let (shown, stored) = passwords::generate(&key).map_err(failed)?;
            return Ok((Some(shown), stored));
        }
        let password = read_password()?;
        // The only thing that this program does meanwhile.
        let stored = passwords::choose(&password).map_err(failed)?;
        if let Some(warning) = passwords::warning(&password) {
            writeln!(self.notes, "warning: {warning}")?;
        }
        Ok((None, stored))
    }

    fn show_password(&mut self, login: &str, password: Option<Secret>) -> Result<(), CommandError> {
        let Some(password) = password else {
            return Ok(());
        };
        writeln!(self.notes, "Its password, which is shown this once only:")?;
        let written = writeln!(self.out, "{}", password.expose()).and_then(|()| self.out.flush());
        written.map_err(|error| {
            CommandError::Failed(format!(
                "the password cannot be shown ({error}); popbridge client passwd {login} makes another"
            ))
        })
    }

    async fn list(&mut self, account: Option<&str>, json: bool) -> Result<(), CommandError> {
        let mut clients = self.store.clients(None).await?;
        if let Some(account) = account {
            account_of(self.config, account)?;
            clients.retain(|client| client.account.as_deref() == Some(account));
        }
        let mailboxes = self.mailboxes().await?;
        let shown = show::all(&clients, &mailboxes, json);
        self.out.write_all(shown.as_bytes())?;
        if clients.is_empty() && !json {
            writeln!(
                self.notes,
                "There are no clients; popbridge client add NAME --account ACCOUNT makes one."
            )?;
        }
        Ok(())
    }

    async fn mailboxes(&self) -> Result<HashMap<MailboxId, Mailbox>, CommandError> {
        let mailboxes = self.store.mailboxes().await?;
        Ok(mailboxes.into_iter().map(|one| (one.id, one)).collect())
    }

    /// The client with this log-in name, as it is or as a session would read it.
    async fn find(&self, login: &str) -> Result<Client, CommandError> {
        if let Some(client) = self.store.client_by_login(login).await? {
            return Ok(client);
        }
        let router = router(self.config);
        let read = router
            .log_in(login, |upstream| upstream.client_separator)
            .map(|(upstream, name)| name.canonical(upstream.client_separator));
        if let Some(read) = read
            && let Some(client) = self.store.client_by_login(&read).await?
        {
            return Ok(client);
        }
        Err(CommandError::Failed(format!(
            "there is no client \"{}\"; popbridge client list shows all",
            format::printable(login)
        )))
    }
}

fn router(config: &Config) -> Router<Upstream> {
    let upstreams = config.upstreams.iter();
    Router::new(upstreams.map(|upstream| (upstream.domains.clone(), Arc::new(upstream.clone()))))
}

fn account_of<'a>(config: &'a Config, name: &str) -> Result<&'a Account, CommandError> {
    let found = config.accounts.iter().find(|account| account.name == name);
    found.ok_or_else(|| {
        let known: Vec<&str> = config
            .accounts
            .iter()
            .map(|one| one.name.as_str())
            .collect();
        let advice = match known.is_empty() {
            true => "the configuration has no accounts".to_owned(),
            false => format!("there are {}", known.join(", ")),
        };
        CommandError::Usage(format!(
            "there is no [account.{}]; {advice}",
            name.escape_debug()
        ))
    })
}

/// A name that nobody could log in with, or that would hide a mailbox, is none.
fn check_name(config: &Config, name: &str) -> Result<(), CommandError> {
    name::valid(name).map_err(|error| CommandError::Usage(error.to_string()))?;
    if router(config).could_be_a_mailbox(name, |upstream| upstream.client_separator) {
        return Err(CommandError::Usage(format!(
            "\"{name}\" could be the log-in name of a mailbox, which nobody could reach any more; take a name without \"@\" and separator, \
             such as \"desk1\""
        )));
    }
    Ok(())
}

fn apply(settings: &mut ClientSettings, pairs: &[String]) -> Result<(), CommandError> {
    pairs
        .iter()
        .try_for_each(|pair| settings.set(pair))
        .map_err(CommandError::Usage)
}

#[cfg(test)]
mod tests;
