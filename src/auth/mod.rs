//! Whose mailbox a log-in asks for, and whether it may: which upstream a user name belongs to, which client it names, and the passwords
//! of clients that have one of their own.
//!
//! Must not know: POP3, IMAP, or where passwords are stored (in pass-through mode the upstream checks them).

pub mod name;
mod origin;
pub mod passwords;
pub mod seal;
mod source;
pub mod throttle;
mod token_key;
mod verified;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

pub use name::LoginName;
pub use origin::Origin;
pub use source::PasswordSource;
pub use throttle::Throttle;
pub use token_key::TokenKey;
pub use verified::{Kind, Sealed, Verifier};

/// Finds the upstream of a user name by its domain.
#[derive(Debug)]
pub struct Router<T> {
    by_domain: HashMap<String, Arc<T>>,
    everything_else: Option<Arc<T>>,
}

impl<T> Router<T> {
    /// Each upstream with its domains in lower case; one without any takes all names that no other takes.
    pub fn new(upstreams: impl IntoIterator<Item = (Vec<String>, Arc<T>)>) -> Self {
        let mut router = Self {
            by_domain: HashMap::new(),
            everything_else: None,
        };
        for (domains, upstream) in upstreams {
            if domains.is_empty() {
                router.everything_else = Some(upstream);
            } else {
                router.by_domain.extend(
                    domains
                        .into_iter()
                        .map(|domain| (domain, Arc::clone(&upstream))),
                );
            }
        }
        router
    }

    /// The upstream of `user`, decided by what follows the last `@`, whatever its case; `None` where the name belongs to nobody.
    pub fn route(&self, user: &str) -> Option<&Arc<T>> {
        let domain = user
            .rsplit_once('@')
            .map(|(_, domain)| domain.to_ascii_lowercase());
        domain
            .and_then(|domain| self.by_domain.get(&domain))
            .or(self.everything_else.as_ref())
    }

    /// Takes a pass-through log-in apart, with the separator that the upstream of its mailbox has, and finds that upstream. `None` where
    /// the name belongs to nobody, or has a separator and no client's name behind it.
    pub fn log_in(
        &self,
        user: &str,
        separator: impl Fn(&T) -> Option<char>,
    ) -> Option<(&Arc<T>, LoginName)> {
        // Which separator counts is known only when the domain is, which stands before the separator: each is tried.
        let separators: BTreeSet<char> = self
            .upstreams()
            .filter_map(|upstream| separator(upstream))
            .collect();
        for one in separators {
            let parsed = LoginName::parse(user, Some(one));
            let mailbox = match &parsed {
                Ok(name) if name.client.is_none() => continue,
                Ok(name) => name.mailbox.as_str(),
                // "info@example.com/": it would be the mailbox's, but for the missing name.
                Err(_) => user.rsplit_once(one).map_or(user, |(mailbox, _)| mailbox),
            };
            if let Some(upstream) = self.route(mailbox)
                && separator(upstream) == Some(one)
            {
                return parsed.ok().map(|name| (upstream, name));
            }
        }
        let name = LoginName::parse(user, None).ok()?;
        let upstream = self.route(&name.mailbox)?;
        Some((upstream, name))
    }

    /// Whether a pass-through log-in could be called `name`, so that no client of the operator's may be.
    pub fn could_be_a_mailbox(&self, name: &str, separator: impl Fn(&T) -> Option<char>) -> bool {
        let separators = self.upstreams().filter_map(|upstream| separator(upstream));
        name.contains('@') && self.route(name).is_some()
            || name.contains(&separators.collect::<Vec<_>>()[..])
    }

    /// All upstreams, each once or more.
    pub fn upstreams(&self) -> impl Iterator<Item = &Arc<T>> {
        self.by_domain.values().chain(&self.everything_else)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router(rest: bool) -> Router<&'static str> {
        let mut upstreams = vec![(
            vec!["example.com".to_owned(), "example.org".to_owned()],
            Arc::new("office"),
        )];
        if rest {
            upstreams.push((Vec::new(), Arc::new("rest")));
        }
        Router::new(upstreams)
    }

    #[test]
    fn a_name_goes_to_the_upstream_of_its_domain() {
        let router = router(true);
        assert_eq!(router.route("ann@EXAMPLE.com").map(|u| **u), Some("office"));
        assert_eq!(
            router.route("odd@name@example.org").map(|u| **u),
            Some("office")
        );
        assert_eq!(router.route("ann@example.net").map(|u| **u), Some("rest"));
        assert_eq!(router.route("ann").map(|u| **u), Some("rest"));
    }

    /// Each upstream has a separator of its own.
    fn separator(upstream: &&'static str) -> Option<char> {
        match *upstream {
            "office" => Some('/'),
            "plus" => Some('+'),
            _ => None,
        }
    }

    fn with_separators() -> Router<&'static str> {
        Router::new([
            (vec!["example.com".to_owned()], Arc::new("office")),
            (vec!["example.org".to_owned()], Arc::new("plus")),
            (vec!["example.net".to_owned()], Arc::new("none")),
        ])
    }

    #[test]
    fn the_separator_of_the_mailboxs_own_upstream_counts() {
        let router = with_separators();
        let log_in = |user: &str| {
            let (upstream, name) = router.log_in(user, separator)?;
            Some((**upstream, name.mailbox, name.client))
        };
        let plain = |upstream, mailbox: &str| Some((upstream, mailbox.to_owned(), None));
        let client = |upstream, mailbox: &str| {
            Some((upstream, mailbox.to_owned(), Some("desk1".to_owned())))
        };
        assert_eq!(log_in("i@example.com"), plain("office", "i@example.com"));
        assert_eq!(
            log_in("i@example.com/desk1"),
            client("office", "i@example.com")
        );
        assert_eq!(
            log_in("i+j@EXAMPLE.com"),
            plain("office", "i+j@EXAMPLE.com")
        );
        assert_eq!(
            log_in("i@example.org+desk1"),
            client("plus", "i@example.org")
        );
        assert_eq!(log_in("i/j@example.org"), plain("plus", "i/j@example.org"));
        for nobody in [
            "i@example.com+desk1",
            "i@example.org/desk1",
            "i@example.net/desk1",
            "i@example.com/",
            "desk1",
            "",
        ] {
            assert_eq!(log_in(nobody), None, "{nobody}");
        }
    }

    #[test]
    fn an_upstream_for_all_other_names_takes_no_half_a_name() {
        let router = Router::new([(Vec::new(), Arc::new("office"))]);
        let log_in = |user: &str| router.log_in(user, separator).map(|(_, name)| name.client);
        assert_eq!(log_in("ann"), Some(None));
        assert_eq!(log_in("ann/desk1"), Some(Some("desk1".to_owned())));
        assert_eq!(
            log_in("ann@example.com/desk1"),
            Some(Some("desk1".to_owned()))
        );
        assert_eq!(log_in("ann@example.com/"), None);
        assert_eq!(log_in("ann@example.com/a b"), None);
    }

    #[test]
    fn a_clients_name_must_not_hide_a_mailbox() {
        let router = with_separators();
        let hides = |name: &str| router.could_be_a_mailbox(name, separator);
        assert!(hides("ann@example.com") && hides("a/b") && hides("a+b"));
        assert!(!hides("desk1") && !hides("ann@elsewhere.example"));
    }

    #[test]
    fn a_name_of_no_configured_domain_belongs_to_nobody() {
        assert!(router(false).route("ann@example.net").is_none());
        assert!(router(false).route("example.com").is_none());
    }
}
