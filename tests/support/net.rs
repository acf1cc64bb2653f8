//! Ports and TLS-or-plain byte streams for the blocking clients and servers of the tests.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, ServerConfig, ServerConnection, StreamOwned,
};

/// A read or write that takes longer than this fails the test: a hang is a finding, not a reason to wait.
pub const READ_LIMIT: Duration = Duration::from_secs(30);

/// A TCP port of 127.0.0.1 that is free now. Below the range that the kernel gives to outgoing connections, so that a
/// server can be stopped and come back on the same port; who takes it must still be ready to find it taken.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let spread = (std::process::id().wrapping_mul(97) % 20_000) as u16;
    loop {
        let port = 11_000 + (spread.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed))) % 20_000;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

pub fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// A connection that may change from plain text to TLS in the middle.
pub enum Stream {
    Plain(TcpStream),
    Client(Box<StreamOwned<ClientConnection, TcpStream>>),
    Server(Box<StreamOwned<ServerConnection, TcpStream>>),
    /// Only while an upgrade moves the socket from one form to the other.
    Gone,
}

impl Stream {
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        Self::from_socket(TcpStream::connect_timeout(&address, READ_LIMIT)?)
    }

    /// The same from another address of this machine.
    pub fn connect_from(from: Ipv4Addr, address: SocketAddr) -> io::Result<Self> {
        let socket = socket2::Socket::new(
            socket2::Domain::IPV4,
            socket2::Type::STREAM,
            Some(socket2::Protocol::TCP),
        )?;
        socket.bind(&SocketAddr::from((from, 0)).into())?;
        socket.connect_timeout(&address.into(), READ_LIMIT)?;
        Self::from_socket(socket.into())
    }

    pub fn from_socket(socket: TcpStream) -> io::Result<Self> {
        socket.set_read_timeout(Some(READ_LIMIT))?;
        socket.set_write_timeout(Some(READ_LIMIT))?;
        socket.set_nodelay(true)?;
        Ok(Self::Plain(socket))
    }

    /// Becomes the client's side of TLS; the handshake is complete when this returns.
    pub fn start_tls_client(&mut self, config: Arc<ClientConfig>, name: &str) -> io::Result<()> {
        let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
        let mut tls = ClientConnection::new(config, name).map_err(io::Error::other)?;
        let mut socket = self.take_plain();
        while tls.is_handshaking() {
            tls.complete_io(&mut socket)?;
        }
        *self = Self::Client(Box::new(StreamOwned::new(tls, socket)));
        Ok(())
    }

    /// Becomes the server's side of TLS; the handshake is complete when this returns.
    pub fn start_tls_server(&mut self, config: Arc<ServerConfig>) -> io::Result<()> {
        let mut tls = ServerConnection::new(config).map_err(io::Error::other)?;
        let mut socket = self.take_plain();
        while tls.is_handshaking() {
            tls.complete_io(&mut socket)?;
        }
        *self = Self::Server(Box::new(StreamOwned::new(tls, socket)));
        Ok(())
    }

    fn take_plain(&mut self) -> TcpStream {
        match std::mem::replace(self, Self::Gone) {
            Self::Plain(socket) => socket,
            _ => panic!("TLS is started on a plain connection, once"),
        }
    }

    pub fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Client(tls) => &tls.sock,
            Self::Server(tls) => &tls.sock,
            Self::Gone => panic!("an upgrade to TLS failed on this connection"),
        }
    }

    pub fn is_tls(&self) -> bool {
        matches!(self, Self::Client(_) | Self::Server(_))
    }

    /// Closes both directions in order (FIN); for TLS without a close_notify, as a server that crashed.
    pub fn close(&self) {
        let _ = self.socket().shutdown(Shutdown::Both);
    }

    /// Closes with a RST, so that the other side sees "connection reset" and not an orderly end.
    pub fn reset(self) {
        // std cannot set SO_LINGER yet; a socket closed with unread input sends RST as well, but only if there is some.
        let socket = match self {
            Self::Plain(socket) => socket,
            Self::Client(tls) => tls.sock,
            Self::Server(tls) => tls.sock,
            Self::Gone => return,
        };
        let _ = socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO));
    }
}

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = match self {
                Self::Plain(s) => s.read(buf),
                Self::Client(s) => s.read(buf),
                Self::Server(s) => s.read(buf),
                Self::Gone => Err(io::ErrorKind::NotConnected.into()),
            };
            // With a time-out set, a child's SIGCHLD ends the call even where signals restart calls (signal(7)).
            if !matches!(&read, Err(error) if error.kind() == io::ErrorKind::Interrupted) {
                return read;
            }
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(s) => s.write(buf),
            Self::Client(s) => s.write(buf),
            Self::Server(s) => s.write(buf),
            Self::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(s) => s.flush(),
            Self::Client(s) => s.flush(),
            Self::Server(s) => s.flush(),
            Self::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}
