//! Another configuration for a bridge that runs: read at SIGHUP, taken up whole or not at all.
//!
//! Must not know: signals, where the configuration comes from.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio_rustls::rustls::ServerConfig;
use tracing::{error, info, warn};

use super::setup::{Former, Ground};
use super::{note_end, secrets, warn_of};
use crate::bridge::{Bridge, clock};
use crate::config::{Config, ConfigError, Limits};
use crate::server::tls;
use crate::telemetry;

/// See the module.
pub(super) struct Reload<L> {
    load: L,
    ground: Ground,
    bridge: Arc<Bridge>,
    tls: Arc<ArcSwap<ServerConfig>>,
    /// What the process was started with: some of it counts for as long as it lives.
    started: Config,
    /// What is in use but for that.
    current: Config,
}

impl<L: Fn() -> Result<Config, ConfigError>> Reload<L> {
    pub(super) fn new(
        load: L,
        ground: Ground,
        bridge: Arc<Bridge>,
        tls: Arc<ArcSwap<ServerConfig>>,
        config: Config,
    ) -> Self {
        Self {
            load,
            ground,
            bridge,
            tls,
            started: config.clone(),
            current: config,
        }
    }

    /// What is in use. State and token key are those of the start: what was sealed by others could not be opened here.
    pub(super) fn in_use(&self) -> Config {
        Config {
            state: self.started.state.clone(),
            token_key: self.started.token_key.clone(),
            ..self.current.clone()
        }
    }

    /// Reads the configuration again and goes by it from then on; false where it is refused. Nothing has changed where this is dropped.
    pub(super) async fn again(&mut self) -> bool {
        info!("SIGHUP: the configuration is read again");
        let taken = self.take_up().await;
        if let Err(why) = &taken {
            self.ground.metrics.not_configured();
            error!(error = %why, "the configuration is refused; the one before stays in use");
        }
        taken.is_ok()
    }

    async fn take_up(&mut self) -> Result<(), String> {
        let config = (self.load)().map_err(|error| error.to_string())?;
        if let Some(fault) = secrets::faults(&config).into_iter().find(|one| one.refuses) {
            return Err(fault.why);
        }
        let identity = tls::identity(&config.tls, &self.started.state.folder);
        let identity = identity.map_err(|error| error.to_string())?;
        let before = self.bridge.setup();
        let former = Former {
            config: &self.current,
            setup: &before,
        };
        let setup = self.ground.setup(&config, Some(former)).await;
        let setup = setup.map_err(|error| error.to_string())?;
        telemetry::set_filter(&config.log.filter).map_err(|error| error.to_string())?;
        // Nothing from here on can fail.
        note_end(&identity, &self.ground.metrics);
        self.tls.store(identity.config);
        self.bridge.exchange(setup);
        self.ground.metrics.configured(clock::now());
        warn_of(&config);
        self.tell_of(&config);
        self.current = config;
        Ok(())
    }

    fn tell_of(&self, config: &Config) {
        let by_name = |config: &Config| -> (BTreeMap<String, _>, BTreeMap<String, _>) {
            let upstreams = config.upstreams.iter();
            let accounts = config.accounts.iter();
            (
                upstreams
                    .map(|one| (one.name.clone(), one.clone()))
                    .collect(),
                accounts
                    .map(|one| (one.name.clone(), one.clone()))
                    .collect(),
            )
        };
        let ((upstreams, accounts), (old_upstreams, old_accounts)) =
            (by_name(config), by_name(&self.current));
        info!(
            upstreams = changes(&old_upstreams, &upstreams),
            accounts = changes(&old_accounts, &accounts),
            limits = self.current.limits != config.limits,
            log = self.current.log.filter != config.log.filter,
            "the configuration is in use; sessions that were there go on as they began"
        );
        let waits = waits_for_a_restart(&self.started, config);
        if !waits.is_empty() {
            warn!(
                keys = waits.join(", "),
                "these were changed, too, and count after a restart only"
            );
        }
    }
}

/// In words for the log: what came, went, or is written in another way.
fn changes<T: PartialEq>(old: &BTreeMap<String, T>, new: &BTreeMap<String, T>) -> String {
    let mut words = Vec::new();
    for (name, value) in new {
        match old.get(name) {
            None => words.push(format!("{name} is new")),
            Some(before) if before != value => words.push(format!("{name} has changed")),
            Some(_) => {}
        }
    }
    let gone = old.keys().filter(|name| !new.contains_key(*name));
    words.extend(gone.map(|name| format!("{name} is gone")));
    match words.is_empty() {
        true => "as before".to_owned(),
        false => words.join(", "),
    }
}

/// The keys that differ and count for as long as the process lives: sockets, files and caches that are there already.
fn waits_for_a_restart(started: &Config, now: &Config) -> Vec<&'static str> {
    let size = |of: fn(&Limits) -> u64| of(&started.limits) != of(&now.limits);
    let differs = [
        ("[[listen]]", started.listen != now.listen),
        ("[admin]", started.admin != now.admin),
        ("state", started.state != now.state),
        ("token_key", started.token_key != now.token_key),
        ("log.format", started.log.format != now.log.format),
        ("limits.index_cache", size(|limits| limits.index_cache)),
        ("limits.body_cache", size(|limits| limits.body_cache)),
        ("limits.read_ahead", size(|limits| limits.read_ahead)),
        (
            "limits.sweep_interval",
            started.limits.sweep_interval != now.limits.sweep_interval,
        ),
    ];
    let those = differs.into_iter().filter(|(_, differs)| *differs);
    those.map(|(key, _)| key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_by_name() {
        let of = |pairs: &[(&str, u8)]| -> BTreeMap<String, u8> {
            let pairs = pairs.iter();
            pairs.map(|(name, n)| ((*name).to_owned(), *n)).collect()
        };
        let old = of(&[("info", 1), ("till", 1), ("shop", 1)]);
        assert_eq!(changes(&old, &old), "as before");
        let new = of(&[("info", 2), ("till", 1), ("desk", 1)]);
        assert_eq!(
            changes(&old, &new),
            "desk is new, info has changed, shop is gone"
        );
    }
}
