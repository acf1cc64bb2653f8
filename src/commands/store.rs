//! `popbridge store`: what can be done with the store as a whole.
//!
//! Must not know: what is in it.

use std::io::Write;

use super::{CommandError, open};
use crate::cli::client::StoreCommand;
use crate::config::Config;

/// Carries the command out and says so to `notes`.
///
/// # Errors
/// [`CommandError`]; there is no new file then.
pub async fn run(
    command: &StoreCommand,
    config: &Config,
    notes: &mut dyn Write,
) -> Result<(), CommandError> {
    let store = open(config).await?;
    let done = match command {
        StoreCommand::Backup { file } => store.backup(file).await.map(|()| file),
    };
    store.close().await;
    let file = done?;
    writeln!(notes, "The store was copied to {}.", file.display())?;
    Ok(())
}
