//! What was logged lately that the operator should know: the last warnings and errors in words, and the last refused log-ins.
//!
//! They are what the log has, which holds no secret; so many are kept, each cut to a line, and what is said again is counted instead of
//! kept again. What the log's filter leaves out is not here either. Must not know: who logs what, how it is shown.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::LOGIN_TARGET;

/// So many warnings and errors are kept, and so many refused log-ins.
const TROUBLES: usize = 50;
const REFUSED: usize = 20;
/// Characters of one.
const LENGTH: usize = 400;

static RECENT: Mutex<Lists> = Mutex::new(Lists {
    troubles: VecDeque::new(),
    refused: VecDeque::new(),
});

struct Lists {
    troubles: VecDeque<Noted>,
    refused: VecDeque<Noted>,
}

/// Something that was logged, perhaps several times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noted {
    /// When first, in seconds since 1970.
    pub first: i64,
    /// When last.
    pub last: i64,
    /// How often.
    pub times: u64,
    /// Whether it is an error and no mere warning.
    pub is_error: bool,
    /// What was said, without control characters.
    pub words: String,
    /// Of which session's client, where it was in one: its address, and its log-in name once it was in.
    pub session: Option<String>,
}

/// What is remembered, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recent {
    /// Warnings and errors.
    pub troubles: Vec<Noted>,
    /// Refused log-ins.
    pub refused: Vec<Noted>,
}

/// What this process has logged lately.
pub fn recent() -> Recent {
    let lists = lists();
    let newest_first = |list: &VecDeque<Noted>| list.iter().rev().cloned().collect();
    Recent {
        troubles: newest_first(&lists.troubles),
        refused: newest_first(&lists.refused),
    }
}

fn lists() -> MutexGuard<'static, Lists> {
    RECENT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Remembers events.
pub(super) struct Remember;

/// Of a session's span.
#[derive(Default)]
struct Whose {
    peer: String,
    account: String,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Remember {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if attributes.metadata().name() != "session" {
            return;
        }
        let mut whose = Whose::default();
        attributes.record(&mut whose);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(whose);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(whose) = span.extensions_mut().get_mut::<Whose>()
        {
            values.record(whose);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        let is_refusal = metadata.target() == LOGIN_TARGET;
        if !is_refusal && *metadata.level() > Level::WARN {
            return;
        }
        let mut said = Said::default();
        event.record(&mut said);
        let session = match is_refusal {
            // The line says it.
            true => None,
            false => context.event_scope(event).and_then(|scope| {
                let mut told =
                    scope.filter_map(|span| Some(span.extensions().get::<Whose>()?.to_string()));
                told.next()
            }),
        };
        let noted = Noted {
            first: now(),
            last: now(),
            times: 1,
            is_error: *metadata.level() == Level::ERROR,
            words: cut(&said.sentence()),
            session: session.map(|session| cut(&session)),
        };
        let mut lists = lists();
        match is_refusal {
            true => note(&mut lists.refused, noted, REFUSED),
            false => note(&mut lists.troubles, noted, TROUBLES),
        }
    }
}

/// The last one is behind.
fn note(list: &mut VecDeque<Noted>, mut new: Noted, most: usize) {
    let is_same = |old: &Noted| old.words == new.words && old.session == new.session;
    if let Some(old) = list.iter().position(is_same).and_then(|at| list.remove(at)) {
        new.first = old.first;
        new.times = old.times.saturating_add(1);
    }
    if list.len() >= most {
        list.pop_front();
    }
    list.push_back(new);
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.account.as_str() {
            "" => f.write_str(&self.peer),
            account => write!(f, "{account} at {}", self.peer),
        }
    }
}

impl Visit for Whose {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "peer" => value.clone_into(&mut self.peer),
            "account" => value.clone_into(&mut self.account),
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

/// An event as a sentence: its message, what went wrong, and the rest behind that.
#[derive(Default)]
struct Said {
    message: String,
    why: String,
    fields: String,
}

impl Said {
    fn add(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value}"),
            "error" | "trouble" => write!(self.why, ": {value}"),
            name => {
                let comma = if self.fields.is_empty() { "" } else { ", " };
                write!(self.fields, "{comma}{name} {value}")
            }
        };
    }

    fn sentence(&self) -> String {
        let Self {
            message,
            why,
            fields,
        } = self;
        match fields.is_empty() {
            true => format!("{message}{why}"),
            false => format!("{message}{why} ({fields})"),
        }
    }
}

impl Visit for Said {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format_args!("{value:?}"));
    }
}

/// To a line of reasonable length.
fn cut(text: &str) -> String {
    let mut line: String = text
        .chars()
        .filter(|c| !c.is_control())
        .take(LENGTH)
        .collect();
    if text.chars().count() > LENGTH {
        line.push('…');
    }
    line
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    })
}

#[cfg(test)]
mod tests {
    use tracing::{error, error_span, field, info, warn};
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// The list is the process's own: tests that run beside this one log, too.
    fn remembered(mark: &str) -> Vec<Noted> {
        let mut all = recent().troubles;
        all.retain(|noted| noted.words.contains(mark));
        all
    }

    #[test]
    fn warnings_are_remembered_as_sentences_and_counted_when_they_come_again() {
        let subscriber = tracing_subscriber::registry().with(Remember);
        tracing::subscriber::with_default(subscriber, || {
            info!("mark-a: nobody needs to know");
            for _ in 0..3 {
                warn!(upstream = "office", error = %"no\nanswer", "mark-a listing failed");
            }
            let span =
                error_span!("session", id = "1", peer = %"192.0.2.1:5", account = field::Empty);
            let _inside = span.enter();
            error!("mark-a in a session");
            span.record("account", "desk1");
            warn!(number = 7, "mark-a logged in");
        });
        let told = remembered("mark-a");
        assert_eq!(told.len(), 3, "{told:?}");
        assert_eq!(told[0].words, "mark-a logged in (number 7)");
        assert_eq!(told[0].session.as_deref(), Some("desk1 at 192.0.2.1:5"));
        assert_eq!(told[1].session.as_deref(), Some("192.0.2.1:5"));
        assert!(told[1].is_error && !told[0].is_error);
        let listing = &told[2];
        assert_eq!(
            (listing.words.as_str(), listing.times),
            ("mark-a listing failed: noanswer (upstream office)", 3)
        );
        assert_eq!(listing.session, None);
        assert!(listing.first > 0 && listing.first <= listing.last);
    }

    #[test]
    fn so_many_are_kept_and_each_is_short() {
        let mut list = VecDeque::new();
        let noted = |words: &str, at| Noted {
            first: at,
            last: at,
            times: 1,
            is_error: false,
            words: words.to_owned(),
            session: None,
        };
        for at in 0..100 {
            note(&mut list, noted(&format!("{at}"), at), TROUBLES);
        }
        assert_eq!(list.len(), TROUBLES);
        assert_eq!(list[0].words, "50");
        // It comes again: it is the newest now, and known since then.
        note(&mut list, noted("50", 200), TROUBLES);
        let last = list.back().unwrap();
        assert_eq!((last.first, last.last, last.times), (50, 200, 2));
        assert_eq!(list.len(), TROUBLES);
        assert_eq!(cut(&"ä\n".repeat(1000)).chars().count(), LENGTH + 1);
    }

    #[test]
    fn refused_log_ins_have_a_list_of_their_own() {
        let subscriber = tracing_subscriber::registry().with(Remember);
        tracing::subscriber::with_default(subscriber, || {
            info!(target: LOGIN_TARGET, "mark-b refused: user=<x>");
        });
        assert_eq!(remembered("mark-b"), []);
        let refused = recent().refused;
        assert!(
            refused
                .iter()
                .any(|one| one.words == "mark-b refused: user=<x>")
        );
    }
}
