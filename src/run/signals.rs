//! The signals that the bridge listens to.
//!
//! Must not know: what is done about them.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::info;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// To end; with the signal's name.
    End(&'static str),
    /// To read the configuration again.
    Reload,
}

/// See the module. What comes before somebody waits is not lost.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for one.
    pub(super) async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::End("SIGTERM"),
            _ = self.interrupt.recv() => Told::End("SIGINT"),
            _ = self.hangup.recv() => Told::Reload,
        }
    }

    /// Waits for one that ends the bridge while it ends already; gives its name.
    pub(super) async fn end(&mut self) -> &'static str {
        loop {
            match self.next().await {
                Told::End(name) => return name,
                Told::Reload => info!("SIGHUP: nothing is read again, as the bridge is ending"),
            }
        }
    }
}
