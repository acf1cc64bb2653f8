//! Watches another process at its system calls, and kills it at one of them: ptrace(2), as strace does it, but counted over all threads
//! from a moment of the test's choosing. What it watches must be a child of the test's own.

use std::collections::HashMap;
use std::fs;

use nix::errno::Errno;
use nix::libc::{self, c_long};
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// A system call that is about to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub name: &'static str,
    /// What the descriptor in its first argument is: a path, or `socket:[...]`. Empty where it cannot be told.
    pub on: String,
    /// The third argument: for most calls, how many octets at most.
    pub count: u64,
}

/// What is to become of the process.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Next {
    GoesOn,
    /// SIGKILL; the call is not made.
    IsKilled,
}

/// System calls that somebody else can see or that outlive the process. Between two of them nothing can be lost but memory.
const SEEN: &[(c_long, &str)] = &[
    (libc::SYS_write, "write"),
    (libc::SYS_writev, "writev"),
    (libc::SYS_pwrite64, "pwrite64"),
    (libc::SYS_pwritev, "pwritev"),
    (libc::SYS_fsync, "fsync"),
    (libc::SYS_fdatasync, "fdatasync"),
    (libc::SYS_ftruncate, "ftruncate"),
    (libc::SYS_fallocate, "fallocate"),
    (libc::SYS_fcntl, "fcntl"),
    (libc::SYS_openat, "openat"),
    (libc::SYS_close, "close"),
    (libc::SYS_unlinkat, "unlinkat"),
    (libc::SYS_renameat, "renameat"),
    (libc::SYS_mkdirat, "mkdirat"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_unlink, "unlink"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_rename, "rename"),
    (libc::SYS_connect, "connect"),
    (libc::SYS_sendto, "sendto"),
    (libc::SYS_sendmsg, "sendmsg"),
    (libc::SYS_recvfrom, "recvfrom"),
    (libc::SYS_recvmsg, "recvmsg"),
    (libc::SYS_shutdown, "shutdown"),
    // Reading changes nothing, but costs.
    (libc::SYS_read, "read"),
    (libc::SYS_pread64, "pread64"),
];

impl Call {
    /// The call that a stopped thread is about to make, if it is one of [`SEEN`].
    fn of(process: u32, thread: Pid) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{process}/task/{thread}/syscall")).ok()?;
        let mut words = text.split_whitespace();
        let number: c_long = words.next()?.parse().ok()?;
        let (_, name) = SEEN.iter().find(|(known, _)| *known == number)?;
        let mut argument = || u64::from_str_radix(words.next()?.trim_start_matches("0x"), 16).ok();
        let first = argument()?;
        let _ = argument()?;
        let count = argument()?;
        let on = fs::read_link(format!("/proc/{process}/fd/{first}"));
        Some(Self {
            name,
            on: on
                .map(|path| path.display().to_string())
                .unwrap_or_default(),
            count,
        })
    }

    /// Whether it leaves something behind that a later start finds, or somebody else sees that it was made. Locks on the file end with the
    /// process.
    pub fn is_an_effect(&self) -> bool {
        match self.name {
            "read" | "pread64" | "fcntl" | "openat" | "close" => false,
            _ => !self.on.contains("eventfd"),
        }
    }

    /// Whether what was written before is on the disk when it returns.
    pub fn is_a_sync(&self) -> bool {
        matches!(self.name, "fsync" | "fdatasync")
    }
}

fn threads(process: u32) -> Vec<Pid> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).into_iter();
    tasks
        .flatten()
        .flatten()
        .filter_map(|task| Some(Pid::from_raw(task.file_name().to_str()?.parse().ok()?)))
        .collect()
}

/// Follows the process to its end, on this thread. `ready` is called when all its threads are followed; `each` before each of the
/// calls in [`SEEN`], of whichever thread. The end is not left to be waited for.
pub fn follow(process: u32, ready: impl FnOnce(), mut each: impl FnMut(&Call) -> Next) {
    let mut ready = Some(ready);
    // Whether a thread is inside of a call; those that have not stopped yet are missing.
    let mut inside: HashMap<Pid, bool> = HashMap::new();
    let options =
        Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_TRACECLONE | Options::PTRACE_O_EXITKILL;
    let mut asked: Vec<Pid> = Vec::new();
    loop {
        // A thread that was made meanwhile by one that is followed is so by itself, and refuses.
        let new = threads(process)
            .into_iter()
            .filter(|thread| !asked.contains(thread));
        let new: Vec<Pid> = new.collect();
        if new.is_empty() {
            break;
        }
        for thread in new {
            asked.push(thread);
            match ptrace::seize(thread, options) {
                Ok(()) => ptrace::interrupt(thread).expect("PTRACE_INTERRUPT"),
                Err(Errno::EPERM | Errno::ESRCH) if asked.len() > 1 => {}
                Err(error) => panic!(
                    "the tests must be allowed to trace their own child processes (ptrace; in a container: \
                     --cap-add SYS_PTRACE or a newer kernel): {error}"
                ),
            }
        }
    }
    // Only what this very thread follows: others wait for their own children.
    let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
    loop {
        let status = match waitpid(None, Some(flags)) {
            Ok(status) => status,
            Err(Errno::EINTR) => continue,
            Err(Errno::ECHILD) => return,
            Err(error) => panic!("waitpid: {error}"),
        };
        let (thread, signal) = match status {
            WaitStatus::Exited(thread, _) | WaitStatus::Signaled(thread, _, _) => {
                inside.remove(&thread);
                asked.retain(|other| *other != thread);
                continue;
            }
            WaitStatus::PtraceSyscall(thread) => {
                let inside = inside.entry(thread).or_default();
                *inside = !*inside;
                if *inside
                    && let Some(call) = Call::of(process, thread)
                    && each(&call) == Next::IsKilled
                {
                    let _ = kill(pid(process), Signal::SIGKILL);
                    continue; // it stays where it is until the signal is there
                }
                (thread, None)
            }
            WaitStatus::PtraceEvent(thread, ..) => {
                inside.entry(thread).or_default();
                (thread, None)
            }
            WaitStatus::Stopped(thread, signal) => (thread, Some(signal)),
            _ => continue,
        };
        // It may have been killed meanwhile.
        let _ = ptrace::syscall(thread, signal);
        if ready.is_some() && asked.iter().all(|thread| inside.contains_key(thread)) {
            ready.take().into_iter().for_each(|ready| ready());
        }
    }
}

/// SIGKILL for a process that [`follow`] watches, from whichever thread.
pub fn kill9(process: u32) {
    let _ = kill(pid(process), Signal::SIGKILL);
}

fn pid(process: u32) -> Pid {
    Pid::from_raw(i32::try_from(process).expect("a process id"))
}
