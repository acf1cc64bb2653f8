//! How mailboxes stand: what the store knows of them, and what only this process does.
//!
//! Must not know: how often that is asked.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::super::tokens::kept_standings;
use super::super::trouble::Trouble;
use super::super::{Bridge, Configured, Password, Terms, Upstream};
use super::clients::Remembered;
use super::{Actions, Counts, MOST_MAILBOXES, MailboxView, Received, TokenView};
use crate::auth::name::normalized;
use crate::store::{Client, Intent, Mailbox, MailboxId};

impl Bridge {
    /// All that are shown, and how many more there are.
    pub(super) async fn mailboxes(
        &self,
        counts: &Counts,
        remembered: &mut Remembered,
    ) -> Result<(Vec<MailboxView>, usize), Trouble> {
        let store = self.store();
        let rows = store.mailboxes().await?;
        let mut clients: HashMap<MailboxId, Vec<Client>> = HashMap::new();
        for mut client in store.clients(None).await? {
            client.last_seen = self.last_seen.of(client.id).max(client.last_seen);
            clients.entry(client.mailbox).or_default().push(client);
        }
        let tokens = self.token_views().await?;
        let setup = self.setup();
        let mut configured: Vec<&Configured> = setup.configured.values().map(Arc::as_ref).collect();
        configured.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let mut shown = Vec::new();
        let mut told = HashSet::new();
        for one in configured {
            let place = one.upstream.key();
            let row = rows
                .iter()
                .find(|row| row.upstream == place && row.login == one.normalized);
            let mut view = match row {
                Some(row) => {
                    told.insert(row.id);
                    let clients = clients.remove(&row.id).unwrap_or_default();
                    self.of_mailbox(row, &one.terms, &clients, remembered)
                        .await?
                }
                None => MailboxView::empty(&place, &one.login),
            };
            view.account = Some(one.name.clone());
            view.token = tokens
                .iter()
                .find(|it| it.0 == one.name)
                .map(|it| it.1.clone());
            self.fill_in(&mut view, &one.upstream, &one.login, counts);
            shown.push(view);
        }
        let last_seen = |row: &Mailbox| {
            let of_it = clients.get(&row.id).into_iter().flatten();
            of_it.filter_map(|client| client.last_seen).max()
        };
        let mut passed: Vec<(&Mailbox, &Arc<Upstream>)> = rows
            .iter()
            .filter(|row| !told.contains(&row.id))
            .filter_map(|row| {
                let mut all = setup.router.upstreams();
                let upstream = all.find(|upstream| upstream.key() == row.upstream)?;
                Some((row, upstream))
            })
            .collect();
        passed.sort_by_key(|(row, _)| std::cmp::Reverse(last_seen(row)));
        let more = passed.len().saturating_sub(MOST_MAILBOXES);
        passed.truncate(MOST_MAILBOXES);
        for (row, upstream) in passed {
            let clients = clients.remove(&row.id).unwrap_or_default();
            let mut view = self
                .of_mailbox(row, &upstream.terms, &clients, remembered)
                .await?;
            self.fill_in(&mut view, upstream, &row.login, counts);
            told.insert(row.id);
            shown.push(view);
        }
        remembered.keep_only(&told);
        Ok((shown, more))
    }

    async fn of_mailbox(
        &self,
        row: &Mailbox,
        terms: &Terms,
        clients: &[Client],
        remembered: &mut Remembered,
    ) -> Result<MailboxView, Trouble> {
        let store = self.store();
        let mut view = MailboxView::empty(&row.upstream, &row.login);
        match remembered.of(&self.accounts, row, terms, clients).await {
            Ok((messages, clients)) => {
                view.messages = messages;
                view.clients = clients;
            }
            Err(Trouble::Store(error)) => return Err(error.into()),
            // The settings of one client, most likely: no reason to say nothing of the others.
            Err(trouble) => view.trouble = Some(trouble.to_string()),
        }
        view.pending = actions(&store.intents(row.id).await?);
        let unreadable = store.troubles(row.id).await?;
        view.unreadable = unreadable.len();
        view.stopped = row.stopped;
        Ok(view)
    }

    /// What only this process knows.
    fn fill_in(&self, view: &mut MailboxView, upstream: &Upstream, login: &str, counts: &Counts) {
        let name = (upstream.name.clone(), normalized(login));
        view.connections = counts.get(&name).copied().unwrap_or_default();
        let received = self.accounts.pool.received(upstream, login);
        view.received = received.map(|(allowed, received)| Received { allowed, received });
    }

    async fn token_views(&self) -> Result<Vec<(String, TokenView)>, Trouble> {
        let mut owners = Vec::new();
        let mut needs = Vec::new();
        for one in self.setup().configured.values() {
            if let Password::Tokens(tokens) = &one.password {
                owners.push(tokens.owner().clone());
                needs.push((one.name.clone(), tokens.need_a_person()));
            }
        }
        let standings = kept_standings(Some(self.store()), &owners).await?;
        let views = needs.into_iter().zip(standings);
        let view = |((name, needs_a_person), standing)| {
            let view = TokenView {
                standing,
                needs_a_person,
            };
            (name, view)
        };
        Ok(views.map(view).collect())
    }
}

/// What is written down and not done, by action, with the last error of each.
fn actions(intents: &[Intent]) -> Vec<Actions> {
    let mut groups: Vec<Actions> = Vec::new();
    for intent in intents {
        let action = intent.new.action.to_string();
        let error = intent.last_error.as_ref();
        match groups.iter_mut().find(|group| group.action == action) {
            Some(group) => {
                group.messages += 1;
                group.last_error = group.last_error.take().or_else(|| error.cloned());
            }
            None => groups.push(Actions {
                action,
                messages: 1,
                last_error: error.cloned(),
            }),
        }
    }
    groups
}
