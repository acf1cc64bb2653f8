//! Listening sockets, bound here or opened by systemd before (socket activation, sd_listen_fds(3)).
//!
//! What systemd holds stays open through a restart: clients that come meanwhile wait in the system's queue, and nobody is refused.
//! Must not know: who listens on them.

use std::io;
use std::net::SocketAddr;

use listenfd::ListenFd;
use tokio::net::TcpListener;

/// Sockets that this process was started with. Each is taken by whoever is configured for its address.
pub struct Inherited {
    sockets: Vec<(SocketAddr, std::net::TcpListener)>,
    /// Whether there were any: then one that is missing is most likely missing in the unit.
    is_activated: bool,
}

impl Inherited {
    /// Those that are meant for this process.
    ///
    /// # Errors
    /// One of them is no TCP socket that listens.
    pub fn of_this_process() -> io::Result<Self> {
        let mut passed = ListenFd::from_env();
        let mut sockets = Vec::new();
        for at in 0..passed.len() {
            let taken = passed.take_tcp_listener(at).map_err(|error| {
                let words = "is no TCP socket that listens; in the .socket unit write ListenStream= with a port or an address";
                io::Error::new(error.kind(), format!("socket {} of systemd's {words}", at + 1))
            })?;
            if let Some(socket) = taken {
                sockets.push((socket.local_addr()?, socket));
            }
        }
        Ok(Self {
            is_activated: !sockets.is_empty(),
            sockets,
        })
    }

    /// The socket that listens on this address, or a new one.
    ///
    /// # Errors
    /// The system's, with the address and what to do.
    pub async fn bind(&mut self, address: SocketAddr) -> io::Result<TcpListener> {
        let is_it =
            |(of, _): &(SocketAddr, _)| of.ip() == address.ip() && of.port() == address.port();
        if let Some(at) = self.sockets.iter().position(is_it) {
            let (_, socket) = self.sockets.swap_remove(at);
            socket.set_nonblocking(true)?;
            return TcpListener::from_std(socket);
        }
        let bound = bind(address).await;
        bound.map_err(|error| match self.is_activated {
            true => io::Error::new(
                error.kind(),
                format!("{error}; systemd passes no socket for this address: add it to the .socket unit as ListenStream={address}"),
            ),
            false => error,
        })
    }

    /// Sees to it that there is none left: clients would be let in there and never be served.
    ///
    /// # Errors
    /// Names one that is.
    pub fn all_taken(&self) -> io::Result<()> {
        match self.sockets.first() {
            None => Ok(()),
            Some((address, _)) => Err(io::Error::other(format!(
                "systemd passes a socket for {address}, and nothing is configured to listen there: write address = \"{address}\" in a \
                 [[listen]] of the configuration file, or take ListenStream={address} out of the .socket unit"
            ))),
        }
    }
}

/// Binds one address; the error names it.
async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::PermissionDenied if address.port() < 1024 => {
                " (ports below 1024 need root or CAP_NET_BIND_SERVICE)"
            }
            // Linux has [::] take the IPv4 address, too.
            io::ErrorKind::AddrInUse if address.ip().is_unspecified() => {
                " (another program listens there, or the configuration has both [::] and 0.0.0.0 at this port)"
            }
            io::ErrorKind::AddrInUse => " (another program listens there)",
            io::ErrorKind::AddrNotAvailable => " (this machine does not have this address)",
            _ => "",
        };
        io::Error::new(
            error.kind(),
            format!("cannot listen on {address}: {error}{hint}"),
        )
    })
}
