//! The patterns of `matches`: written in the filter, compiled once with it, small, and weighed, so that it is known
//! beforehand how long a search can take.

use regex_automata::meta;
use regex_automata::nfa::thompson::{self, NFA, WhichCaptures};

use super::FilterError;
use crate::limits::FILTER_PATTERN_COMPILED_BYTES_MAX;

/// A compiled pattern.
#[derive(Debug)]
pub(super) struct Pattern {
    regex: meta::Regex,
    states: usize,
}

impl Pattern {
    /// Compiles a pattern. Refuses what is too large when it is compiled.
    pub(super) fn compile(source: &str) -> Result<Pattern, FilterError> {
        let refused = |problem: String| FilterError::Pattern { pattern: source.chars().take(100).collect(), problem };
        let explain = |limit: Option<usize>, error: String| match limit {
            Some(_) => refused(
                "compiled it is larger than a filter may hold; repeat less, and prefer [a-z] to classes of Unicode"
                    .into(),
            ),
            None => refused(super::one_line(&error)),
        };
        let config = thompson::Config::new()
            .which_captures(WhichCaptures::None)
            .nfa_size_limit(Some(FILTER_PATTERN_COMPILED_BYTES_MAX));
        let nfa = NFA::compiler()
            .configure(config)
            .build(source)
            .map_err(|error| explain(error.size_limit(), format!("{error}: {}", source_of(&error))))?;
        let config = meta::Config::new()
            .which_captures(WhichCaptures::None)
            .nfa_size_limit(Some(2 * FILTER_PATTERN_COMPILED_BYTES_MAX))
            .hybrid_cache_capacity(4 * FILTER_PATTERN_COMPILED_BYTES_MAX);
        let regex = meta::Builder::new()
            .configure(config)
            .build(source)
            .map_err(|error| explain(error.size_limit(), error.to_string()))?;
        Ok(Pattern { regex, states: nfa.states().len() })
    }

    /// Steps of the search machine that a text of this many bytes can cost at most.
    pub(super) fn work(&self, bytes: usize) -> usize {
        bytes.saturating_add(1).saturating_mul(self.states)
    }

    /// Whether the pattern is found in the text.
    pub(super) fn is_in(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

fn source_of(error: &dyn std::error::Error) -> String {
    error.source().map(ToString::to_string).unwrap_or_default()
}
