//! How the house speaks of itself: log lines on the standard error, as text for people or as JSON for programs, and the
//! one table of the names of their fields. It is started once by whoever runs the process; every other room logs through
//! `tracing` and knows nothing of this one. What is counted is one struct, which whoever counts is given.

pub mod fields;
mod history;
mod levels;
mod metrics;
mod text;

use std::str::FromStr;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{Layer as _, Registry, fmt};

pub use history::{History, Moment};
pub use levels::{Levels, LevelsError};
pub use metrics::{Counter, Metrics};

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people: time, level, sentence, fields.
    #[default]
    Text,
    /// For programs: one JSON object a line, fields beside `timestamp`, `level`, `target` and `message`.
    Json,
}

/// Why a text is no format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither `text` nor `json`")]
pub struct FormatError(String);

impl FromStr for Format {
    type Err = FormatError;

    fn from_str(text: &str) -> Result<Format, FormatError> {
        match text {
            "text" => Ok(Format::Text),
            "json" => Ok(Format::Json),
            _ => Err(FormatError(text.chars().take(60).collect())),
        }
    }
}

/// Logging was started before.
#[derive(Debug, thiserror::Error)]
#[error("failed to start logging: something else in this process logs already")]
pub struct TelemetryError;

/// Starts logging for the whole process. With `colours`, text lines use them.
///
/// # Errors
/// When it was started before.
pub fn start(levels: Levels, format: Format, colours: bool) -> Result<(), TelemetryError> {
    let layer = match format {
        Format::Text => fmt::layer()
            .event_format(text::ForPeople)
            .with_ansi(colours)
            .with_writer(std::io::stderr)
            .with_filter(levels.targets())
            .boxed(),
        Format::Json => fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .with_writer(std::io::stderr)
            .with_filter(levels.targets())
            .boxed(),
    };
    tracing::subscriber::set_global_default(Registry::default().with(layer)).map_err(|_| TelemetryError)
}
