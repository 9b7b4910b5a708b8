//! Log lines for people: the time, the level, the sentence, then the fields. A line reads alone; where it comes from in
//! the code is nobody's concern but a debugger's, so the module is shown from `debug` on only.

use std::fmt;

use anstyle::{AnsiColor, Style};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::clock::{Clock as _, SystemClock};

/// The format.
pub(super) struct ForPeople;

impl<S, N> FormatEvent<S, N> for ForPeople
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let level = *event.metadata().level();
        let colours = writer.has_ansi_escapes();
        let (loud, dim) = if colours { (style(level), Style::new().dimmed()) } else { (Style::new(), Style::new()) };
        let mut parts = Parts::default();
        event.record(&mut parts);
        let now = SystemClock::new().wall().to_string();
        write!(writer, "{dim}{now}{dim:#} {loud}{:5}{loud:#} {}", word(level), parts.message)?;
        if level >= Level::DEBUG {
            write!(writer, "{dim} target={}{dim:#}", event.metadata().target())?;
        }
        writeln!(writer, "{dim}{}{dim:#}", parts.fields)
    }
}

fn word(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

fn style(level: Level) -> Style {
    let colour = match level {
        Level::ERROR => AnsiColor::Red,
        Level::WARN => AnsiColor::Yellow,
        Level::INFO => AnsiColor::Green,
        Level::DEBUG => AnsiColor::Blue,
        Level::TRACE => AnsiColor::Magenta,
    };
    colour.on_default().bold()
}

/// An event taken apart. What comes from outside cannot begin a line or colour one.
#[derive(Default)]
struct Parts {
    message: String,
    fields: String,
}

impl Visit for Parts {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = harmless(&format!("{value:?}"));
        match field.name() {
            "message" => self.message = text,
            name => {
                let quote = text.contains(' ') && !text.starts_with('"');
                let text = if quote { format!("{text:?}") } else { text };
                self.fields.push_str(&format!(" {name}={text}"));
            }
        }
    }
}

fn harmless(text: &str) -> String {
    if !text.contains(char::is_control) {
        return text.to_owned();
    }
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outsiders_cannot_forge_lines() {
        assert_eq!(harmless("a\nerror b\u{1b}[31m"), "a\\nerror b\\u{1b}[31m");
        assert_eq!(harmless("ünchanged"), "ünchanged");
    }
}
