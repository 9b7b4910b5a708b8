//! How much is logged. A level alone is about this program; what libraries say is let through from warnings on, so that
//! `debug` does not drown in them.

use std::str::FromStr;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

/// The crate whose lines a lone level is about.
const OURS: &str = "backstitch_server";

/// How much is logged, by where it comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Levels(Targets);

/// Why a text does not say how much is logged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is neither a level (error, warn, info, debug, trace, off) nor a list such as `info,backstitch_server::dispatch=debug`"
)]
pub struct LevelsError(String);

impl Levels {
    /// As `tracing-subscriber` takes it.
    pub(super) fn targets(self) -> Targets {
        self.0
    }
}

impl FromStr for Levels {
    type Err = LevelsError;

    fn from_str(text: &str) -> Result<Levels, LevelsError> {
        let wrong = || LevelsError(text.chars().take(100).collect());
        if let Some(level) = level_of(text) {
            let others = level.min(LevelFilter::WARN);
            return Ok(Levels(Targets::new().with_default(others).with_target(OURS, level)));
        }
        // The library reads a word without a level as the name of a module; a mistyped level would then say nothing.
        let known = text.split(',').all(|part| level_of(part.rsplit('=').next().unwrap_or_default().trim()).is_some());
        if !known {
            return Err(wrong());
        }
        text.parse().map(Levels).map_err(|_| wrong())
    }
}

/// A level by its word. The library reads nothing, and numbers, as levels too.
fn level_of(word: &str) -> Option<LevelFilter> {
    word.parse().ok().filter(|_| word.chars().next().is_some_and(char::is_alphabetic))
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn a_lone_level_is_about_this_program() {
        let levels = "debug".parse::<Levels>().unwrap().targets();
        assert!(levels.would_enable("backstitch_server::engine", &Level::DEBUG));
        assert!(levels.would_enable("hyper", &Level::WARN) && !levels.would_enable("hyper", &Level::INFO));
        let levels = "off".parse::<Levels>().unwrap().targets();
        assert!(!levels.would_enable("hyper", &Level::ERROR));
    }

    #[test]
    fn lists_are_taken_as_they_are() {
        let levels = "info,backstitch_server::dispatch=trace".parse::<Levels>().unwrap().targets();
        assert!(levels.would_enable("backstitch_server::dispatch::client", &Level::TRACE));
        assert!(levels.would_enable("hyper", &Level::INFO) && !levels.would_enable("hyper", &Level::DEBUG));
    }

    #[test]
    fn mistyped_levels_are_refused() {
        for text in ["", "inf", "verbose", "info,", "a=b", "backstitch_server"] {
            assert!(text.parse::<Levels>().is_err(), "{text} was taken");
        }
    }
}
