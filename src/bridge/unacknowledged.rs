//! How much of what was written to a TCP connection its other end has not acknowledged: the one place with `unsafe` in it.
//!
//! Must not know: what was written, or who wants to know.

use std::io;

use tokio::net::TcpStream;

/// Octets that were written to `stream` and that the other end's system has not acknowledged; `None` where this system cannot tell
/// (only Linux does, and not on every processor).
///
/// # Errors
/// The system's; `NotConnected` where the connection is over.
pub(super) fn unacknowledged(stream: &TcpStream) -> io::Result<Option<u32>> {
    // A connection that was reset acknowledges nothing any more, whatever is in its queue.
    stream.peer_addr()?;
    system::queued(stream)
}

#[cfg(all(
    target_os = "linux",
    any(
        target_arch = "x86_64",
        target_arch = "x86",
        target_arch = "aarch64",
        target_arch = "arm",
        target_arch = "riscv64",
        target_arch = "s390x",
        target_arch = "loongarch64"
    )
))]
mod system {
    use std::ffi::c_int;
    use std::io;

    use rustix::ioctl::{Getter, Opcode, ioctl};
    use tokio::net::TcpStream;

    /// SIOCOUTQ, which is TIOCOUTQ (tcp(7), linux/sockios.h); MIPS, PowerPC and SPARC have other numbers.
    const SIOCOUTQ: Opcode = 0x5411;

    #[expect(unsafe_code, reason = "rustix has no safe function for this request")]
    pub(super) fn queued(stream: &TcpStream) -> io::Result<Option<u32>> {
        // SAFETY: SIOCOUTQ is a request that writes one int to where its argument points and does nothing else; that is what Getter
        // with an output of c_int gives it. The descriptor is open for as long as `stream` is borrowed.
        let queued: c_int = unsafe { ioctl(stream, Getter::<SIOCOUTQ, c_int>::new())? };
        Ok(Some(u32::try_from(queued).unwrap_or(0)))
    }
}

#[cfg(not(all(
    target_os = "linux",
    any(
        target_arch = "x86_64",
        target_arch = "x86",
        target_arch = "aarch64",
        target_arch = "arm",
        target_arch = "riscv64",
        target_arch = "s390x",
        target_arch = "loongarch64"
    )
)))]
mod system {
    use std::io;

    use tokio::net::TcpStream;

    pub(super) fn queued(_: &TcpStream) -> io::Result<Option<u32>> {
        Ok(None)
    }
}

#[cfg(test)]
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod tests {
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).await;
        let (theirs, _) = listener.accept().await.unwrap();
        (ours.unwrap(), theirs)
    }

    /// Writes until the system takes no more; the number of octets.
    async fn fill(stream: &TcpStream) -> usize {
        stream.writable().await.unwrap();
        let (chunk, mut written) = ([b'x'; 65_536], 0);
        while let Ok(n) = stream.try_write(&chunk) {
            written += n;
        }
        written
    }

    #[tokio::test]
    async fn what_the_other_end_has_no_room_for_is_unacknowledged_until_it_reads() {
        let (ours, mut theirs) = pair().await;
        assert_eq!(unacknowledged(&ours).unwrap(), Some(0));
        let written = fill(&ours).await;
        let left = unacknowledged(&ours).unwrap().unwrap() as usize;
        assert!(left > 0 && left <= written, "{left} of {written}");
        theirs.read_exact(&mut vec![0; written]).await.unwrap();
        // The acknowledgement of what was read last may be on its way.
        while unacknowledged(&ours).unwrap() != Some(0) {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_connection_that_was_reset_acknowledges_nothing() {
        let (mut ours, theirs) = pair().await;
        fill(&ours).await;
        theirs.set_zero_linger().unwrap();
        drop(theirs);
        // The read ends when the reset has arrived.
        assert!(ours.read(&mut [0]).await.is_err());
        let error = unacknowledged(&ours).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotConnected);
    }
}
