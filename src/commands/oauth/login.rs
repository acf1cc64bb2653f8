//! `popbridge oauth login`: a person says yes in a browser, wherever that is.
//!
//! Must not know: what an authorization server is asked, how tokens are sealed.

use std::io::{BufRead, Read, Write};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;

use super::super::{CommandError, open};
use super::keep::{in_words, keep};
use super::owner;
use crate::auth::TokenKey;
use crate::bridge::tokens::Owner;
use crate::check::trial::Trial;
use crate::cli::oauth::Login as Options;
use crate::config::{Config, Grant};
use crate::oauth::{
    Client, CodeLogin, DeviceError, DeviceLogin, Granted, Loopback, Returned, Visit,
};
use crate::run::oauth_client;
use crate::secret::Secret;

/// To find a telephone with the second factor on it.
const PATIENCE: Duration = Duration::from_secs(15 * 60);
/// Longer than any address that comes back.
const MAX_LINE: u64 = 16 * 1024;

/// Logs in, tries what was granted at the upstream and keeps it.
///
/// # Errors
/// The configuration's, the authorization server's, the store's; the upstream's refusal. Nothing has changed then.
pub(super) async fn run(
    options: &Options,
    config: &Config,
    input: Box<dyn BufRead + Send>,
    out: &mut dyn Write,
    notes: &mut dyn Write,
) -> Result<(), CommandError> {
    let owner = owner(config, &options.account)?;
    let oauth = config.oauth.iter().find(|one| one.name == owner.provider);
    let Some(oauth) = oauth.filter(|oauth| oauth.grant.needs_a_person()) else {
        return Err(CommandError::Usage(format!(
            "nobody has to log in for [account.{}]: [oauth.{}] lets popbridge in by itself",
            owner.account, owner.provider
        )));
    };
    // First what would be in the way at the end.
    let store = open(config).await?;
    let key = TokenKey::new(config.token_key.clone(), &config.state.folder);
    key.read_or_make().map_err(CommandError::Failed)?;
    let client = oauth_client(oauth)?;
    client.check_secrets().map_err(CommandError::Failed)?;
    let trial = match options.no_try {
        true => None,
        false => Trial::prepare(config, &owner.account)?,
    };
    let device = match options.device || oauth.grant == Grant::Device || options.no_browser {
        true => device(options, &client, notes).await?,
        false => None,
    };
    let granted = match device {
        Some(device) => by_device(device, &client, &owner, out, notes).await?,
        None => by_code(&client, &owner, input, out, notes).await?,
    };
    let kept = keep(config, &store, &owner, &granted, trial.as_ref()).await;
    store.close().await;
    if let Some(why) = kept? {
        writeln!(notes, "The tokens were not tried at the upstream: {why}")?;
    }
    writeln!(
        notes,
        "Done: [account.{}] is opened with tokens of [oauth.{}] from now on. `popbridge check --connect` tries it.",
        owner.account, owner.provider
    )?;
    Ok(())
}

/// A device code, where there is one; `None` where that is only one of the ways.
async fn device(
    options: &Options,
    client: &Client,
    notes: &mut dyn Write,
) -> Result<Option<DeviceLogin>, CommandError> {
    let has_to = options.device || client.config().grant == Grant::Device;
    if !client.has_device_codes().await? {
        if !has_to {
            return Ok(None);
        }
        let name = &client.config().name;
        let instead = match client.config().grant {
            Grant::Device => format!("write grant = \"code\" into [oauth.{name}]"),
            _ => "leave --device out".to_owned(),
        };
        return Err(CommandError::Usage(format!(
            "the server of [oauth.{name}] gives no device codes for mail; {instead}: without a browser on this machine the address where \
             it ends on another one can be pasted"
        )));
    }
    match DeviceLogin::begin(client).await {
        Ok(device) => Ok(Some(device)),
        Err(error) if has_to => Err(error.into()),
        Err(error) => {
            writeln!(notes, "There is no device code: {error}")?;
            Ok(None)
        }
    }
}

async fn by_device(
    device: DeviceLogin,
    client: &Client,
    owner: &Owner,
    out: &mut dyn Write,
    notes: &mut dyn Write,
) -> Result<Granted, CommandError> {
    writeln!(
        out,
        "Open {} in a browser on any machine, enter the code {} and log in as {}.",
        device.address, device.user_code, owner.user
    )?;
    writeln!(
        notes,
        "Waiting until that is done, for {} minutes at most ...",
        device.lifetime.as_secs() / 60
    )?;
    let granted = device.finish(client).await;
    granted.map_err(|error| {
        CommandError::Failed(match error {
            DeviceError::Other(error) => in_words(&error),
            error => error.to_string(),
        })
    })
}

async fn by_code(
    client: &Client,
    owner: &Owner,
    input: Box<dyn BufRead + Send>,
    out: &mut dyn Write,
    notes: &mut dyn Write,
) -> Result<Granted, CommandError> {
    let mut loopback = Loopback::bind().await?;
    let login = CodeLogin::begin(client, &owner.user, loopback.port()).await?;
    writeln!(
        out,
        "Open this address in a browser and log in as {}:\n\n  {}\n",
        owner.user,
        login.address()
    )?;
    writeln!(
        notes,
        "If that browser is on another machine, it ends at a page that it cannot show, whose address begins with {}; paste that \
         address here.",
        login.redirect()
    )?;
    let wait = returned(&login, &mut loopback, input, notes);
    let expired = || CommandError::Failed("nobody has logged in within 15 minutes".to_owned());
    let (returned, visit) = timeout(PATIENCE, wait).await.map_err(|_| expired())??;
    let granted = match returned {
        Ok(code) => login
            .finish(client, &code)
            .await
            .map_err(|error| CommandError::Failed(in_words(&error))),
        Err(why) => Err(CommandError::Failed(format!(
            "the log-in was denied: {why}"
        ))),
    };
    if let Some(visit) = visit {
        let words = match granted.is_ok() {
            true => {
                "popbridge is logged in; whether that opens the mailbox is said where it was started. This window can be closed."
            }
            false => "The log-in did not work; popbridge says why where it was started.",
        };
        visit.answer(granted.is_ok(), words).await;
    }
    granted
}

/// Waits for what belongs to this log-in: a code or a refusal, from a browser on this machine or from the keyboard.
async fn returned(
    login: &CodeLogin,
    loopback: &mut Loopback,
    input: Box<dyn BufRead + Send>,
    notes: &mut dyn Write,
) -> Result<(Result<Secret, String>, Option<Visit>), CommandError> {
    let mut lines = lines(input);
    loop {
        let (returned, visit) = tokio::select! {
            visit = loopback.visit() => (login.read_query(visit.query.expose()), Some(visit)),
            // Where nothing can be pasted the browser is waited for.
            Some(line) = lines.recv() => match line.expose().trim() {
                "" => continue,
                line => (login.read_pasted(line), None),
            },
        };
        match returned {
            Returned::Code(code) => return Ok((Ok(code), visit)),
            Returned::Denied(why) => return Ok((Err(why), visit)),
            Returned::Foreign => writeln!(
                notes,
                "What came back does not belong to this log-in, and is not used; still waiting."
            )?,
        }
        if let Some(visit) = visit {
            let words = "This does not belong to the log-in that popbridge waits for.";
            visit.answer(false, words).await;
        }
    }
}

/// The lines of `input` as they come. The thread that reads them ends with the process.
fn lines(mut input: Box<dyn BufRead + Send>) -> mpsc::Receiver<Secret> {
    let (send, receive) = mpsc::channel(1);
    std::thread::spawn(move || {
        loop {
            let mut line = String::new();
            let read = input.by_ref().take(MAX_LINE).read_line(&mut line);
            if !matches!(read, Ok(1..)) || send.blocking_send(Secret::new(line)).is_err() {
                break;
            }
        }
    });
    receive
}
