//! What every database demands of texts: no NUL, which PostgreSQL refuses and which ends a text for half of all tools.
//! Names that carry one are refused, because two names must never become one; prose is cleaned.

use std::borrow::Cow;

use super::StoreError;

/// Refuses a name with a NUL in it.
pub(super) fn name(text: &str) -> Result<&str, StoreError> {
    if text.as_bytes().contains(&0) {
        let shown = text.replace('\0', "\\0");
        return Err(StoreError::Data(format!("the text `{shown}` holds a NUL character; leave it out")));
    }
    Ok(text)
}

/// Replaces NULs in prose by the sign for what cannot be shown.
pub(super) fn prose(text: &str) -> Cow<'_, str> {
    if text.as_bytes().contains(&0) { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}
