//! From the shape of `[limits]` to [`Limits`]: defaults and ranges.
//!
//! It must not know who keeps to them.

use std::time::Duration;

use super::check::Check;
use super::error::ConfigError;
use super::validate::{DAY, LONGEST, SECOND};
use super::{Limits, file, units};

/// RFC 1939 section 3 wants at least 10 minutes.
const INACTIVITY: Duration = Duration::from_secs(10 * 60);
/// Long enough for a person who types, short enough that silent connections do not pile up.
const LOGIN: Duration = Duration::from_secs(3 * 60);
/// Slow devices take seconds for a TLS handshake, and nobody takes longer than this.
const HANDSHAKE: Duration = Duration::from_secs(30);
/// More than programs that poll every few minutes ever are at a time, and far below what one process can have open.
const CONNECTIONS: usize = 4096;
/// An office behind one address.
const SOURCE_CONNECTIONS: usize = 100;
/// Several times what the caches and a usual number of clients take.
const MEMORY: u64 = 1 << 30;
/// About 70 octets a second: the slowest lines are ten times as fast.
const SLOW_READER: u64 = 8 << 10;
/// About four million messages.
const INDEX_CACHE: u64 = 64 << 20;
const BODY_CACHE: u64 = 64 << 20;
const READ_AHEAD: u64 = 32 << 20;
/// Longer than most programs wait between polls, and much shorter than the half-hour after which servers end a connection.
const UPSTREAM_IDLE: Duration = Duration::from_secs(5 * 60);
/// What somebody may go on reading whose password was changed a moment ago.
const PASSWORD_TRUST: Duration = Duration::from_secs(10 * 60);
/// Servers may end a connection that was silent for half an hour (RFC 3501, 5.4).
const UPSTREAM_IDLE_MOST: Duration = Duration::from_secs(25 * 60);
/// Makes guessing slow and is hardly noticed after a mistyped password.
const AUTH_FAILURE_DELAY: Duration = Duration::from_secs(2);
/// Enough for most messages, and much less than the 90 s after which systemd kills.
const DRAIN: Duration = Duration::from_secs(10);
/// Ages are counted in days: minutes do not matter, and a mailbox costs a log-in.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10 * 60);

/// The limits, defaults filled in.
pub(super) fn limits(
    check: &Check<'_>,
    table: &file::Limits,
    warnings: &mut Vec<String>,
) -> Result<Limits, ConfigError> {
    let size = |text: &Option<_>, default| match text {
        Some(text) => check.parsed(text, units::size),
        None => Ok(default),
    };
    let number = |given: Option<u32>, default: usize| {
        let given = given.map_or(Some(default), |given| usize::try_from(given).ok());
        given.filter(|number| *number > 0)
    };
    let memory = size(&table.memory, MEMORY)?;
    let limits = Limits {
        inactivity: check.duration(table.inactivity.as_ref(), INACTIVITY, SECOND..=LONGEST)?,
        login: check.duration(table.login.as_ref(), LOGIN, SECOND..=LONGEST)?,
        handshake: check.duration(
            table.handshake.as_ref(),
            HANDSHAKE,
            SECOND..=Duration::from_secs(5 * 60),
        )?,
        connections: number(table.connections, CONNECTIONS),
        source_connections: number(table.source_connections, SOURCE_CONNECTIONS),
        memory: (memory > 0).then_some(memory),
        slow_reader: size(&table.slow_reader, SLOW_READER)?,
        index_cache: size(&table.index_cache, INDEX_CACHE)?,
        body_cache: size(&table.body_cache, BODY_CACHE)?,
        read_ahead: size(&table.read_ahead, READ_AHEAD)?,
        upstream_idle: check.duration(
            table.upstream_idle.as_ref(),
            UPSTREAM_IDLE,
            Duration::ZERO..=UPSTREAM_IDLE_MOST,
        )?,
        password_trust: check.duration(
            table.password_trust.as_ref(),
            PASSWORD_TRUST,
            Duration::ZERO..=PASSWORD_TRUST,
        )?,
        auth_failure_delay: check.duration(
            table.auth_failure_delay.as_ref(),
            AUTH_FAILURE_DELAY,
            Duration::ZERO..=Duration::from_secs(60),
        )?,
        drain: check.duration(table.drain.as_ref(), DRAIN, Duration::ZERO..=LONGEST)?,
        sweep_interval: check.duration(
            table.sweep_interval.as_ref(),
            SWEEP_INTERVAL,
            SECOND..=DAY,
        )?,
    };
    if limits.inactivity < INACTIVITY {
        warnings.push("limits.inactivity is shorter than the 10 minutes that RFC 1939 wants: slow clients may be cut".into());
    }
    let caches = limits.index_cache.saturating_add(limits.body_cache);
    let caches = caches.saturating_add(limits.read_ahead);
    if limits.memory.is_some_and(|memory| memory <= caches) {
        warnings.push(
            "limits.memory is not more than index_cache, body_cache and read_ahead together: when they are full, no client is let in".into(),
        );
    }
    Ok(limits)
}
