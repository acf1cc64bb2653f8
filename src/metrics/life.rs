//! The configuration that the bridge runs by, and the certificate that it shows.

use prometheus::IntGauge;

use super::{Metrics, Registrar};

#[derive(Debug)]
pub(super) struct Families {
    successful: IntGauge,
    at: IntGauge,
    expiry: IntGauge,
}

impl Families {
    pub(super) fn new(family: &Registrar) -> Self {
        Self {
            successful: family.gauge(
                "config_last_reload_successful",
                "1 where the configuration that was read last is in use, 0 where it was refused.",
            ),
            at: family.gauge(
                "config_last_reload_success_timestamp_seconds",
                "When the configuration that is in use was read.",
            ),
            expiry: family.gauge(
                "certificate_expiry_timestamp_seconds",
                "When the certificate ends that POP3 clients are shown; 0 where that cannot be read from it.",
            ),
        }
    }
}

impl Metrics {
    /// The bridge goes by a configuration that it has read at this time, in seconds since 1970.
    pub fn configured(&self, at: i64) {
        self.life.successful.set(1);
        self.life.at.set(at);
    }

    /// A configuration was read and refused: the bridge goes on by the one before.
    pub fn not_configured(&self) {
        self.life.successful.set(0);
    }

    /// When the clients' certificate ends, in seconds since 1970.
    pub fn certificate_ends(&self, at: Option<i64>) {
        self.life.expiry.set(at.unwrap_or(0));
    }

    /// An account has no tokens any more.
    pub fn forget_tokens(&self, account: &str) {
        self.tokens.forget(account);
    }

    /// An account is configured no more: what stands for it says nothing.
    pub fn forget_account(&self, account: &str) {
        self.account(account, 0, 0, &[]);
        self.mailboxes.forget(account);
        self.budgets.forget(account);
        self.quotas.forget(account);
        self.tokens.forget(account);
    }
}
