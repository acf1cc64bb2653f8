//! `popbridge sweep`: looks through the mailboxes of configured accounts and does what is due, or says what that would be and why.
//!
//! Must not know: which rules there are, SQL, IMAP.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use super::CommandError;
use super::mailboxes::{Found, mailboxes};
use super::times::utc;
use crate::bridge::Bridge;
use crate::bridge::office::plan;
use crate::cli::client::SweepOptions as Options;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::run::bridge;
use crate::store::Store;

/// Carries the command out; true where everything was done.
///
/// # Errors
/// The store's; those of `out`.
pub async fn run(
    options: &Options,
    config: &Config,
    out: &mut dyn Write,
) -> Result<bool, CommandError> {
    let store = super::open(config).await?;
    if options.dry_run {
        dry_run(config, &store, options.account.as_deref(), out).await?;
        return Ok(true);
    }
    let bridge = bridge(config, &Arc::new(Metrics::new()), store.clone()).await?;
    let swept = sweep(config, &bridge, &store, options, out).await;
    store.close().await;
    swept
}

/// Says for each message of each mailbox what would happen to it, and why. Asks the store only.
async fn dry_run(
    config: &Config,
    store: &Store,
    account: Option<&str>,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    for Found { mailbox, terms } in mailboxes(config, store, account).await? {
        let Some(terms) = terms else { continue };
        writeln!(out, "{} at {}:", mailbox.login, mailbox.upstream)?;
        let Some((action, plans)) = plan(store, &mailbox, &terms).await? else {
            writeln!(out, "  dispose = \"nothing\": every message stays")?;
            continue;
        };
        let mut stays: BTreeMap<&str, usize> = BTreeMap::new();
        let mut goes = 0_usize;
        for plan in &plans {
            if plan.goes {
                goes += 1;
                writeln!(
                    out,
                    "  {action}  {}  {}  {} octets, arrived {}: {}",
                    plan.folder,
                    plan.uidl,
                    plan.size,
                    utc(plan.arrived),
                    plan.why
                )?;
            } else {
                *stays.entry(&plan.why).or_default() += 1;
            }
        }
        for (why, messages) in stays {
            writeln!(out, "  {messages} stay: {why}")?;
        }
        writeln!(out, "  {goes} of {} would go", plans.len())?;
    }
    Ok(())
}

/// Looks through the accounts' mailboxes now. True where everything was done.
async fn sweep(
    config: &Config,
    bridge: &Arc<Bridge>,
    store: &Store,
    options: &Options,
    out: &mut dyn Write,
) -> Result<bool, CommandError> {
    let account = options.account.as_deref();
    if options.confirm {
        for Found { mailbox, .. } in mailboxes(config, store, account).await? {
            if mailbox.stopped.is_some() {
                store.confirm_sweep(mailbox.id).await?;
                writeln!(out, "{}: confirmed", mailbox.login)?;
            }
        }
    }
    let names = config.accounts.iter().map(|one| one.name.as_str());
    let mut well = true;
    for name in names.filter(|name| account.is_none_or(|account| account == *name)) {
        match bridge.sweep_account(name).await {
            Ok(swept) if swept.elsewhere => {
                writeln!(out, "{name}: the running bridge is at it")?;
            }
            Ok(swept) => {
                let flagged = match swept.flagged() {
                    0 => String::new(),
                    flagged => format!(", {flagged} flagged"),
                };
                writeln!(out, "{name}: {} disposed of{flagged}", swept.disposed())?;
                if let Some((would_take, of)) = swept.stopped {
                    well = false;
                    writeln!(
                        out,
                        "{name}: STOPPED, the rules would take {would_take} of {of} messages; look with --dry-run, agree with --confirm"
                    )?;
                }
                if swept.failed() > 0 {
                    well = false;
                    writeln!(
                        out,
                        "{name}: {} could not be done and are tried again",
                        swept.failed()
                    )?;
                }
            }
            Err(trouble) => {
                well = false;
                writeln!(out, "{name}: {trouble}")?;
            }
        }
    }
    Ok(well)
}
