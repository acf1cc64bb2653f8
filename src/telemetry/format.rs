//! The text format: one event, one line, whatever is in it.

use std::fmt::{self, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{Format, Full, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::{LOGIN_TARGET, Style};

/// Writes refused log-ins as Dovecot does and all other events as tracing-subscriber does.
pub(super) struct Text {
    style: Style,
    /// What follows time and level.
    rest: Format<Full, ()>,
}

impl Text {
    pub(super) fn new(style: Style) -> Self {
        Self {
            style,
            rest: Format::default()
                .without_time()
                .with_level(false)
                .with_ansi(false),
        }
    }
}

impl<S, N> FormatEvent<S, N> for Text
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let paint = |code: &'static str| if self.style.ansi { code } else { "" };
        if self.style.timestamps {
            writer.write_str(paint("\x1b[2m"))?;
            SystemTime.format_time(&mut writer)?;
            write!(writer, "{} ", paint("\x1b[0m"))?;
        }
        let mut line = String::with_capacity(256);
        let metadata = event.metadata();
        if metadata.target() == LOGIN_TARGET {
            line.push_str(LOGIN_TARGET);
            line.push_str(": ");
            event.record(&mut Message(&mut line));
        } else {
            let (colour, end) = (paint(colour(*metadata.level())), paint("\x1b[0m"));
            write!(writer, "{colour}{:>5}{end} ", metadata.level())?;
            self.rest
                .format_event(context, Writer::new(&mut line), event)?;
        }
        write_escaped(line.trim_end_matches('\n'), &mut writer)?;
        writer.write_char('\n')
    }
}

fn colour(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        Level::DEBUG => "\x1b[34m",
        Level::TRACE => "\x1b[35m",
    }
}

/// Escapes all control characters. tracing-subscriber does so for messages only, and not with line ends: a value that somebody
/// has sent could command a terminal, or pass for a line of the bridge's own.
fn write_escaped(text: &str, writer: &mut Writer<'_>) -> fmt::Result {
    let mut rest = text;
    while let Some((at, control)) = rest.char_indices().find(|(_, c)| c.is_control()) {
        write!(writer, "{}{}", &rest[..at], control.escape_debug())?;
        rest = &rest[at + control.len_utf8()..];
    }
    writer.write_str(rest)
}

/// Takes an event's message and nothing else.
struct Message<'a>(&'a mut String);

impl Visit for Message<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.0.push_str(value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            // Writing to a String cannot fail.
            let _ = write!(self.0, "{value:?}");
        }
    }
}
