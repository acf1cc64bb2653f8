//! How much memory the process has, for whoever lets clients in.
//!
//! Asked of the system, because what is reckoned is never all of it. Must not know: what it is used for.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// It is not asked more often: it takes some microseconds.
const AGAIN: Duration = Duration::from_millis(100);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Memory {
    seen: Mutex<Option<(Instant, u64)>>,
}

impl Memory {
    /// The octets that are in memory, as of a moment ago; 0 where the system does not tell (only Linux does).
    pub(super) fn resident(&self) -> u64 {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match *seen {
            Some((at, octets)) if now.saturating_duration_since(at) < AGAIN => octets,
            _ => {
                let octets = resident().unwrap_or(0);
                *seen = Some((now, octets));
                octets
            }
        }
    }
}

/// No disk is asked for this file.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    in_status(&status)
}

fn in_status(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_the_system_is_read() {
        let status = "Name:\tpopbridge\nVmHWM:\t   20000 kB\nVmRSS:\t   12345 kB\nThreads:\t3\n";
        assert_eq!(in_status(status), Some(12345 * 1024));
        assert_eq!(in_status("VmRSS:\t  kB\n"), None);
        assert_eq!(in_status(""), None);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test(start_paused = true)]
    async fn it_is_asked_again_after_a_moment() {
        let memory = Memory::default();
        let before = memory.resident();
        assert!(before > 0);
        // Other tests give memory back meanwhile.
        let more = vec![1u8; 256 << 20];
        assert_eq!(memory.resident(), before);
        tokio::time::advance(AGAIN).await;
        assert!(memory.resident() > before + (64 << 20), "{}", more.len());
    }
}
