//! What systemd is told (sd_notify(3)): that the bridge is ready, reads its configuration again, ends, and is alive.
//!
//! Elsewhere, and where the unit wants to hear nothing, it does nothing. Must not know: what the bridge does.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::warn;

use crate::store::Store;

/// See the module.
pub(super) struct Manager {
    socket: Option<(UnixDatagram, SocketAddr)>,
    /// After so long without a sign of life the service is killed and started again.
    patience: Option<Duration>,
}

impl Manager {
    /// The one that the environment tells of.
    pub(super) fn of_this_process() -> Self {
        Self::of(&|name| env::var_os(name), std::process::id())
    }

    fn of(variable: &dyn Fn(&str) -> Option<OsString>, process: u32) -> Self {
        let number = |name: &str| variable(name)?.to_str()?.parse::<u64>().ok();
        let socket = variable("NOTIFY_SOCKET").and_then(|path| match open(&path) {
            Ok(socket) => Some(socket),
            Err(error) => {
                warn!(%error, "systemd cannot be told anything: NOTIFY_SOCKET is of no use");
                None
            }
        });
        // A variable that was meant for another process says nothing (sd_watchdog_enabled(3)).
        let is_mine = match variable("WATCHDOG_PID") {
            Some(_) => number("WATCHDOG_PID") == Some(u64::from(process)),
            None => true,
        };
        let patience = number("WATCHDOG_USEC").filter(|micros| *micros > 0 && is_mine);
        Self {
            socket,
            patience: patience.map(Duration::from_micros),
        }
    }

    /// Clients are served; in words for `systemctl status`.
    pub(super) fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\nSTATUS={status}"));
    }

    /// The configuration is read again; [`Self::ready`] follows.
    pub(super) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// The bridge ends, within this time.
    pub(super) fn stopping(&self, within: Duration) {
        let micros = within.as_micros();
        self.tell(&format!(
            "STOPPING=1\nSTATUS=finishing the answers under way\nEXTEND_TIMEOUT_USEC={micros}"
        ));
    }

    /// Tells that the bridge is alive, as long as its tasks run and its store answers.
    pub(super) fn watchdog(self: &Arc<Self>, store: Store) -> JoinHandle<()> {
        let this = Arc::clone(self);
        tokio::spawn(async move {
            let Some(patience) = this.patience else {
                return;
            };
            let mut beats = interval(patience / 4);
            beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                beats.tick().await;
                if timeout(patience / 2, store.is_alive()).await == Ok(true) {
                    this.tell("WATCHDOG=1");
                } else {
                    warn!(
                        "the store does not answer; if that lasts, the service's watchdog starts the bridge again"
                    );
                }
            }
        })
    }

    fn tell(&self, what: &str) {
        let Some((socket, address)) = &self.socket else {
            return;
        };
        if let Err(error) = socket.send_to_addr(what.as_bytes(), address) {
            warn!(%error, "systemd was not told");
        }
    }
}

fn open(path: &OsStr) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match path.as_bytes() {
        [b'@', name @ ..] => abstract_name(name)?,
        [b'/', ..] => SocketAddr::from_pathname(path)?,
        _ => return Err(io::Error::other("it is no socket of this machine")),
    };
    let socket = UnixDatagram::unbound()?;
    // Nobody waits for a manager that does not read.
    socket.set_nonblocking(true)?;
    Ok((socket, address))
}

#[cfg(target_os = "linux")]
fn abstract_name(name: &[u8]) -> io::Result<SocketAddr> {
    use std::os::linux::net::SocketAddrExt as _;
    SocketAddr::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn abstract_name(_: &[u8]) -> io::Result<SocketAddr> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manager(variables: &[(&str, &OsStr)]) -> Manager {
        let find = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Manager::of(&find, 77)
    }

    #[test]
    fn the_manager_hears_each_word_once_and_the_clock_of_a_reload() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let hears = UnixDatagram::bind(&path).unwrap();
        let manager = manager(&[("NOTIFY_SOCKET", path.as_os_str())]);
        let heard = || {
            let mut buffer = [0; 512];
            let n = hears.recv(&mut buffer).unwrap();
            String::from_utf8(buffer[..n].to_vec()).unwrap()
        };
        manager.ready("serving");
        assert_eq!(heard(), "READY=1\nSTATUS=serving");
        manager.reloading();
        let said = heard();
        let micros = said.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
        assert!(micros.parse::<u64>().unwrap() > 0);
        manager.stopping(Duration::from_secs(90));
        assert!(heard().starts_with("STOPPING=1\n"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_abstract_socket_is_found() {
        use std::os::linux::net::SocketAddrExt as _;
        let name = format!("popbridge-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(name.as_bytes()).unwrap();
        let hears = UnixDatagram::bind_addr(&address).unwrap();
        let path = OsString::from(format!("@{name}"));
        manager(&[("NOTIFY_SOCKET", &path)]).ready("x");
        let mut buffer = [0; 64];
        let n = hears.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..n], b"READY=1\nSTATUS=x");
    }

    #[test]
    fn without_a_manager_nothing_is_said_and_nothing_fails() {
        for variables in [&[][..], &[("NOTIFY_SOCKET", OsStr::new("vsock:2:1"))]] {
            let manager = manager(variables);
            manager.ready("serving");
            assert!(manager.patience.is_none());
        }
    }

    #[test]
    fn a_watchdog_of_another_process_is_not_ours() {
        let patience = |variables: &[(&str, &str)]| {
            let variables: Vec<_> = variables
                .iter()
                .map(|(name, value)| (*name, OsStr::new(*value)))
                .collect();
            manager(&variables).patience
        };
        let minute = Some(Duration::from_secs(60));
        let micros = ("WATCHDOG_USEC", "60000000");
        assert_eq!(patience(&[micros]), minute);
        assert_eq!(patience(&[micros, ("WATCHDOG_PID", "77")]), minute);
        assert_eq!(patience(&[micros, ("WATCHDOG_PID", "78")]), None);
        assert_eq!(patience(&[("WATCHDOG_USEC", "0")]), None);
    }
}
