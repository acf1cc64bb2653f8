//! How full the mailboxes of configured accounts are, and what their rules would free. Only names that the operator gave become labels.

use prometheus::IntGaugeVec;

use super::{Metrics, Registrar};

/// See the module.
#[derive(Debug)]
pub(super) struct Families {
    limit: IntGaugeVec,
    used: IntGaugeVec,
    freeable: IntGaugeVec,
}

impl Families {
    pub(super) fn new(family: &Registrar) -> Self {
        Self {
            limit: family.gauges(
                "account_quota_bytes",
                "Bytes that an account's mailbox may have, as its upstream says.",
                &["account"],
            ),
            used: family.gauges(
                "account_quota_used_bytes",
                "Bytes that an account's mailbox has, as its upstream says.",
                &["account"],
            ),
            freeable: family.gauges(
                "account_freeable_bytes",
                "Bytes of an account's messages that its rules would dispose of now.",
                &["account"],
            ),
        }
    }
}

impl Families {
    /// The account is configured no more.
    pub(super) fn forget(&self, account: &str) {
        for family in [&self.limit, &self.used, &self.freeable] {
            // It was there, or else there is nothing to take away.
            let _ = family.remove_label_values(&[account]);
        }
    }
}

impl Metrics {
    /// How many octets a configured account's mailbox may have and has; none where the upstream does not say.
    pub fn account_quota(&self, account: &str, limit_and_used: Option<(u64, u64)>) {
        let families = &self.quotas;
        match limit_and_used {
            Some((limit, used)) => {
                set(&families.limit, account, limit);
                set(&families.used, account, used);
            }
            None => {
                for family in [&families.limit, &families.used] {
                    // It was there, or else there is nothing to take away.
                    let _ = family.remove_label_values(&[account]);
                }
            }
        }
    }

    /// How many octets a configured account's rules would free now.
    pub fn account_freeable(&self, account: &str, bytes: u64) {
        set(&self.quotas.freeable, account, bytes);
    }
}

fn set(family: &IntGaugeVec, account: &str, bytes: u64) {
    let gauge = family.with_label_values(&[account]);
    gauge.set(i64::try_from(bytes).unwrap_or(i64::MAX));
}
