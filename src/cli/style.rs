//! Colours. Few, and none that carries meaning alone: they go away when the output is not a terminal or when `NO_COLOR` is set.

use anstyle::{AnsiColor, Style};
use clap::builder::Styles;

use crate::model::RunStatus;

/// How `--help` looks.
pub(super) const HELP: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// What went well.
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
/// What did not.
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();
/// What deserves a look.
pub(super) const ODD: Style = AnsiColor::Yellow.on_default();
/// What is under way.
pub(super) const MOVING: Style = AnsiColor::Cyan.on_default();
/// What is said beside.
pub(super) const DIM: Style = Style::new().dimmed();
/// What it is about.
pub(super) const BOLD: Style = Style::new().bold();

/// A text in a style.
pub(super) fn styled(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// How a run's status looks.
pub(super) fn of_status(status: RunStatus) -> Style {
    match status {
        RunStatus::Completed | RunStatus::Continued => GOOD,
        RunStatus::Failed => BAD,
        RunStatus::Paused | RunStatus::Backoff | RunStatus::Cancelled => ODD,
        RunStatus::Queued | RunStatus::Ready | RunStatus::Suspended => MOVING,
    }
}
