//! Whose mailbox a log-in asks for: which upstream a user name belongs to.
//!
//! Must not know: POP3, IMAP, or how a password is checked (in pass-through mode the upstream does that).

use std::collections::HashMap;
use std::sync::Arc;

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

    #[test]
    fn a_name_of_no_configured_domain_belongs_to_nobody() {
        assert!(router(false).route("ann@example.net").is_none());
        assert!(router(false).route("example.com").is_none());
    }
}
