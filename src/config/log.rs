//! What is logged, and how.

use super::layers::{Layers, parsed};
use super::settings::{LOG_FORMAT, LOG_LEVEL};
use super::{ConfigError, Mode};
use crate::telemetry::{Format, Levels};

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    /// How much.
    pub levels: Levels,
    /// How lines look.
    pub format: Format,
}

impl Log {
    /// Reads the concern.
    ///
    /// # Errors
    /// When a value cannot be read.
    pub fn read(layers: &Layers, mode: Mode) -> Result<Log, ConfigError> {
        let usual = match mode {
            // That an app cannot be asked is said by `dev` beside the log.
            Mode::Dev => "warn,backstitch_server::catalog::unreachable=off",
            Mode::Start => "info",
        };
        Ok(Log {
            levels: layers.read_or(&LOG_LEVEL, usual, parsed)?.value,
            format: layers.read_or(&LOG_FORMAT, LOG_FORMAT.default, parsed)?.value,
        })
    }
}
