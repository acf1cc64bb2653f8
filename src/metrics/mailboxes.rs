//! The metrics of configured accounts and their clients. Only names that the operator gave become labels.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use prometheus::{IntCounter, IntCounterVec, IntGaugeVec};

use super::labels::Label as _;
use super::{DisposalOutcome, Metrics, Registrar};

/// How one client stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientFigures {
    /// Messages that wait for it.
    pub waiting: u64,
    /// For how long the oldest of them has waited, in seconds; 0 where none waits.
    pub oldest_waiting_seconds: i64,
    /// Its last log-in, in seconds since 1970; 0 before the first.
    pub last_seen: i64,
    /// Messages that others took out of the mailbox before it had them.
    pub losses: u64,
}

/// The families, for all accounts.
#[derive(Debug)]
pub(super) struct Families {
    waiting: IntGaugeVec,
    oldest_waiting: IntGaugeVec,
    last_seen: IntGaugeVec,
    losses: IntGaugeVec,
    pending: IntGaugeVec,
    unreadable: IntGaugeVec,
    stopped: IntGaugeVec,
    disposals: IntCounterVec,
    unreadable_total: IntCounter,
    /// Clients that have gauges, by account.
    shown: Mutex<HashMap<String, HashSet<String>>>,
}

impl Families {
    pub(super) fn new(family: &Registrar) -> Self {
        let both = &["account", "client"];
        let families = Self {
            waiting: family.gauges(
                "client_waiting_messages",
                "Messages that a client has not had.",
                both,
            ),
            oldest_waiting: family.gauges(
                "client_oldest_waiting_seconds",
                "Age of the oldest message that a client has not had; 0 where there is none.",
                both,
            ),
            last_seen: family.gauges(
                "client_last_seen_timestamp_seconds",
                "A client's last log-in; 0 before the first.",
                both,
            ),
            losses: family.gauges(
                "client_lost_messages",
                "Messages that others took out of the mailbox before the client had them.",
                both,
            ),
            pending: family.gauges(
                "account_pending_disposals",
                "Disposals and flags that are written down and not done upstream.",
                &["account"],
            ),
            unreadable: family.gauges(
                "account_withheld_messages",
                "Messages that cannot be read and are withheld from clients that would stop at them.",
                &["account"],
            ),
            stopped: family.gauges(
                "account_sweep_stopped",
                "1 where a sweep would take so much that a person has to agree, otherwise 0.",
                &["account"],
            ),
            disposals: family.counters(
                "disposals_total",
                "Messages that were to be disposed of or flagged upstream.",
                &["outcome"],
            ),
            unreadable_total: family.counter(
                "unreadable_messages_total",
                "Times that a message could not be read for the third time or more.",
            ),
            shown: Mutex::default(),
        };
        super::start_at_zero::<DisposalOutcome>(&families.disposals);
        families
    }
}

impl Families {
    /// Takes away what is of the account alone; [`Metrics::account`] without clients takes away what is of these.
    pub(super) fn forget(&self, account: &str) {
        for family in [&self.pending, &self.unreadable, &self.stopped] {
            // It was there, or else there is nothing to take away.
            let _ = family.remove_label_values(&[account]);
        }
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.remove(account);
    }
}

impl Metrics {
    /// Messages that were to be disposed of or flagged.
    pub fn disposals(&self, outcome: DisposalOutcome, messages: u64) {
        let counter = &self.mailboxes.disposals;
        counter
            .with_label_values(&[outcome.as_str()])
            .inc_by(messages);
    }

    /// A message could not be read for the third time, or more often.
    pub fn unreadable_message(&self) {
        self.mailboxes.unreadable_total.inc();
    }

    /// Whether the last sweep of a configured account waits for a person.
    pub fn sweep_stopped(&self, account: &str, is_stopped: bool) {
        let stopped = self.mailboxes.stopped.with_label_values(&[account]);
        stopped.set(i64::from(is_stopped));
    }

    /// How a configured account stands. Clients that are not named any more lose their gauges.
    pub fn account(
        &self,
        account: &str,
        pending: u64,
        withheld: u64,
        clients: &[(String, ClientFigures)],
    ) {
        let families = &self.mailboxes;
        let gauge = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        families
            .pending
            .with_label_values(&[account])
            .set(gauge(pending));
        families
            .unreadable
            .with_label_values(&[account])
            .set(gauge(withheld));
        for (client, figures) in clients {
            let both = [account, client.as_str()];
            families
                .waiting
                .with_label_values(&both)
                .set(gauge(figures.waiting));
            families
                .oldest_waiting
                .with_label_values(&both)
                .set(figures.oldest_waiting_seconds);
            families
                .last_seen
                .with_label_values(&both)
                .set(figures.last_seen);
            families
                .losses
                .with_label_values(&both)
                .set(gauge(figures.losses));
        }
        let now: HashSet<String> = clients.iter().map(|(client, _)| client.clone()).collect();
        let mut shown = families
            .shown
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let before = shown
            .insert(account.to_owned(), now.clone())
            .unwrap_or_default();
        for gone in before.difference(&now) {
            let each = [
                &families.waiting,
                &families.oldest_waiting,
                &families.last_seen,
                &families.losses,
            ];
            for family in each {
                // It was there, or else there is nothing to take away.
                let _ = family.remove_label_values(&[account, gone]);
            }
        }
    }
}
