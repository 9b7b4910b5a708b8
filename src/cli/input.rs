//! JSON on the command line: written out, `@FILE`, or `-` for the standard input. It is sent as it was written, so it is
//! only checked here.

use std::io::Read as _;

use anyhow::Result;
use serde_json::value::RawValue;

use super::exit::usage;
use crate::limits::{OUTCOME_BYTES_MAX, START_BODY_BYTES_MAX};

/// What the help says of such an argument.
pub(super) const HELP: &str = "JSON, @FILE, or - for the standard input";

/// Reads JSON; `null` when nothing was said.
pub(super) fn json(argument: Option<&str>) -> Result<Box<RawValue>> {
    let (text, place) = match argument {
        None => return Ok(RawValue::NULL.to_owned()),
        Some("-") => (standard_input()?, "the standard input".to_owned()),
        Some(argument) => match argument.strip_prefix('@') {
            Some(path) => (std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?, path.to_owned()),
            None => (argument.to_owned(), "the input".to_owned()),
        },
    };
    if text.len() > START_BODY_BYTES_MAX {
        return Err(usage(format!("{place} has {} bytes; at most {OUTCOME_BYTES_MAX} are allowed", text.len())));
    }
    RawValue::from_string(text.trim().to_owned()).map_err(|error| usage(explained(&place, text.trim(), &error)))
}

fn explained(place: &str, text: &str, error: &serde_json::Error) -> String {
    let bare = !text.is_empty() && !text.starts_with(['{', '[', '"', '\'']) && text.len() < 100;
    let hint = if text.starts_with('<') {
        ". Write in its place what the function takes, such as '{\"id\": \"17\"}', or null".to_owned()
    } else if bare {
        format!(". A string needs quotes of its own: '\"{text}\"'")
    } else {
        String::new()
    };
    format!("{place} is not JSON: {error}{hint}")
}

fn unreadable(place: &str, error: &std::io::Error) -> anyhow::Error {
    usage(format!("failed to read {place}: {error}"))
}

fn standard_input() -> Result<String> {
    let mut text = String::new();
    // One byte more than is allowed shows that it is too much.
    let mut bounded = std::io::stdin().take(START_BODY_BYTES_MAX as u64 + 1);
    bounded.read_to_string(&mut text).map_err(|error| unreadable("the standard input", &error))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_json_gets_a_hint() {
        assert_eq!(json(None).unwrap().get(), "null");
        assert_eq!(json(Some(" {\"a\": 1} ")).unwrap().get(), "{\"a\": 1}");
        assert!(json(Some("hello")).unwrap_err().to_string().contains("'\"hello\"'"));
        assert!(json(Some("<input as JSON>")).unwrap_err().to_string().contains("what the function takes"));
        assert!(json(Some("{a: 1}")).unwrap_err().to_string().contains("key must be a string"));
        assert!(json(Some("@/nowhere/at/all")).unwrap_err().to_string().contains("/nowhere/at/all"));
    }
}
