//! Sweeps of many accounts at a time, spread so that an upstream that is slow holds up nobody but its own accounts.
//!
//! Must not know: what a sweep does.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};

/// How many accounts are swept at a time: each may have the list of a large mailbox in memory.
const AT_ONCE: usize = 8;

/// See the module.
pub(super) struct Sweeps {
    places: Arc<Semaphore>,
    /// By upstream.
    at_work: HashMap<String, JoinHandle<()>>,
}

impl Default for Sweeps {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(AT_ONCE)),
            at_work: HashMap::new(),
        }
    }
}

impl Sweeps {
    /// Begins to sweep the accounts, given with their upstreams, but for those of an upstream at which the last round is still at work.
    pub(super) fn begin<W>(
        &mut self,
        accounts: impl Iterator<Item = (String, String)>,
        sweep: impl Fn(String) -> W + Clone + Send + 'static,
    ) where
        W: Future<Output = ()> + Send + 'static,
    {
        let mut by_upstream: HashMap<String, Vec<String>> = HashMap::new();
        for (upstream, account) in accounts {
            by_upstream.entry(upstream).or_default().push(account);
        }
        // No upstream has another one's places, unless there are more upstreams than places.
        let share = (AT_ONCE / by_upstream.len().max(1)).max(1);
        for (upstream, accounts) in by_upstream {
            let last = self.at_work.get(&upstream);
            if last.is_none_or(JoinHandle::is_finished) {
                let work = in_turn(accounts, share, Arc::clone(&self.places), sweep.clone());
                self.at_work.insert(upstream, tokio::spawn(work));
            }
        }
    }

    /// Begins no more sweeps.
    pub(super) fn end(self) {
        for at_work in self.at_work.values() {
            at_work.abort();
        }
    }
}

/// Sweeps the accounts of one upstream, so many at a time.
async fn in_turn<W>(
    accounts: Vec<String>,
    share: usize,
    places: Arc<Semaphore>,
    sweep: impl Fn(String) -> W + Send,
) where
    W: Future<Output = ()> + Send + 'static,
{
    let mut at_work = JoinSet::new();
    for account in accounts {
        if at_work.len() >= share {
            at_work.join_next().await;
        }
        // Closed by nobody; were it, nothing would be swept.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let work = sweep(account);
        at_work.spawn(async move {
            work.await;
            drop(place);
        });
    }
    while at_work.join_next().await.is_some() {}
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::sync::{mpsc, watch};

    use super::*;

    /// Accounts that are swept as soon as somebody says so.
    struct Scene {
        begun: mpsc::UnboundedReceiver<String>,
        /// The upstreams that answer.
        answering: watch::Sender<Vec<&'static str>>,
        most: Arc<Mutex<(usize, usize)>>,
    }

    impl Scene {
        fn new() -> (Self, impl Fn(String) -> Work + Clone + Send + 'static) {
            let (tell, begun) = mpsc::unbounded_channel();
            let answering = watch::Sender::new(Vec::new());
            let most = Arc::<Mutex<(usize, usize)>>::default();
            let (answers, at_work) = (answering.subscribe(), Arc::clone(&most));
            let sweep = move |account: String| -> Work {
                let (tell, mut answers) = (tell.clone(), answers.clone());
                let at_work = Arc::clone(&at_work);
                Box::pin(async move {
                    {
                        let mut at_work = at_work.lock().unwrap();
                        at_work.0 += 1;
                        at_work.1 = at_work.1.max(at_work.0);
                    }
                    tell.send(account.clone()).unwrap();
                    let answer = |up: &Vec<&str>| up.iter().any(|up| account.starts_with(up));
                    answers.wait_for(answer).await.unwrap();
                    at_work.lock().unwrap().0 -= 1;
                })
            };
            let scene = Self {
                begun,
                answering,
                most,
            };
            (scene, sweep)
        }

        async fn begun(&mut self, count: usize) -> Vec<String> {
            let mut begun = Vec::new();
            for _ in 0..count {
                begun.push(self.begun.recv().await.unwrap());
            }
            begun
        }
    }

    type Work = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

    fn accounts(upstream: &'static str, count: usize) -> impl Iterator<Item = (String, String)> {
        (0..count).map(move |n| (upstream.to_owned(), format!("{upstream}{n}")))
    }

    #[tokio::test]
    async fn a_slow_upstream_holds_up_only_its_own_accounts() {
        let (mut scene, sweep) = Scene::new();
        let mut sweeps = Sweeps::default();
        scene.answering.send_replace(vec!["quick"]);
        let all = || accounts("slow", 20).chain(accounts("quick", 20));
        sweeps.begin(all(), sweep.clone());
        // Half of the places each.
        let mut begun = scene.begun(24).await;
        begun.sort();
        assert_eq!(
            begun.iter().filter(|name| name.starts_with("slow")).count(),
            4
        );
        // The next round goes past the slow one, too.
        (&mut sweeps.at_work.get_mut("quick").unwrap())
            .await
            .unwrap();
        sweeps.begin(all(), sweep);
        let begun = scene.begun(20).await;
        assert!(
            begun.iter().all(|name| name.starts_with("quick")),
            "{begun:?}"
        );
        // And it goes on where it was when it answers.
        scene.answering.send_replace(vec!["quick", "slow"]);
        let begun = scene.begun(16).await;
        assert!(
            begun.iter().all(|name| name.starts_with("slow")),
            "{begun:?}"
        );
        assert!(scene.most.lock().unwrap().1 <= AT_ONCE);
    }

    #[tokio::test]
    async fn all_places_are_one_upstreams_where_there_is_no_other() {
        let (mut scene, sweep) = Scene::new();
        let mut sweeps = Sweeps::default();
        sweeps.begin(accounts("only", 30), sweep);
        scene.begun(AT_ONCE).await;
        scene.answering.send_replace(vec!["only"]);
        scene.begun(30 - AT_ONCE).await;
        assert_eq!(scene.most.lock().unwrap().1, AT_ONCE);
    }

    #[tokio::test]
    async fn more_upstreams_than_places_get_their_turns() {
        const NAMES: [&str; 10] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
        let (mut scene, sweep) = Scene::new();
        let mut sweeps = Sweeps::default();
        sweeps.begin(NAMES.iter().flat_map(|name| accounts(name, 3)), sweep);
        scene.begun(AT_ONCE).await;
        scene.answering.send_replace(NAMES.to_vec());
        scene.begun(30 - AT_ONCE).await;
        assert_eq!(scene.most.lock().unwrap().1, AT_ONCE);
    }
}
