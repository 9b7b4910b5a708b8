//! Entry ids, and chance that is equal on every replay.
//!
//! An entry's id is its scopes and its own id, each percent-encoded, joined by `/`; the k-th repeat of the same path
//! appends `:k`. Repeats are numbered when a call is made, not when its future is polled, so that the order in which
//! futures happen to be polled changes nothing.

use std::collections::HashMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::error::Error;
use crate::wire::{UNDO, hex};

/// The longest entry id, in bytes.
pub(crate) const ENTRY_ID_BYTES_MAX: usize = 256;

/// The counters of one invocation.
#[derive(Default)]
pub(crate) struct Numbers {
    entries: HashMap<String, u64>,
    scopes: HashMap<String, u64>,
    draws: HashMap<String, u64>,
}

impl Numbers {
    /// The id of the next entry called `name` in `scope`.
    pub(crate) fn entry(&mut self, scope: &str, name: &str) -> Result<String, Error> {
        let id = repeat(&mut self.entries, join(scope, name));
        check(name, &id)?;
        Ok(id)
    }

    /// The path of the next scope called `name` in `scope`. Scopes and entries do not count each other.
    pub(crate) fn scope(&mut self, scope: &str, name: &str) -> String {
        // An empty name leaves an empty part behind, by which the scope's entries are refused.
        let path = if name.is_empty() { format!("{scope}/") } else { join(scope, name) };
        repeat(&mut self.scopes, path)
    }

    /// The ordinal of the next draw of chance in `scope`, from 0.
    pub(crate) fn draw(&mut self, scope: &str) -> u64 {
        let count = self.draws.entry(scope.to_owned()).or_insert(0);
        *count += 1;
        *count - 1
    }
}

/// `path` for the first time, then `path:1`, `path:2`.
fn repeat(counts: &mut HashMap<String, u64>, path: String) -> String {
    match counts.get_mut(&path) {
        Some(count) => {
            *count += 1;
            format!("{path}:{count}")
        }
        None => {
            counts.insert(path.clone(), 0);
            path
        }
    }
}

fn check(name: &str, id: &str) -> Result<(), Error> {
    if name.is_empty() || id.starts_with('/') || id.contains("//") {
        return Err(Error::terminal("InvalidIdError", format!("the entry id `{id}` has an empty part")));
    }
    if id.chars().any(char::is_control) {
        let message = format!("the entry id `{}` contains control characters", id.escape_debug());
        return Err(Error::terminal("InvalidIdError", message));
    }
    if id.len() > ENTRY_ID_BYTES_MAX {
        let message =
            format!("the entry id `{id}` is longer than {ENTRY_ID_BYTES_MAX} bytes, scopes and escapes included");
        return Err(Error::terminal("InvalidIdError", message));
    }
    Ok(())
}

/// The `counter`-th draw of chance in a scope of a run: SHA-256 over the three, one a line.
pub(crate) fn chance(run: &str, scope: &str, counter: u64) -> [u8; 32] {
    Sha256::digest(format!("{run}\n{scope}\n{counter}")).into()
}

/// A number of the half-open interval from 0 to 1, of a draw's first 53 bits.
pub(crate) fn random(draw: [u8; 32]) -> f64 {
    let mut head = [0; 8];
    head.copy_from_slice(&draw[..8]);
    // Exact: a double holds 53 bits.
    (u64::from_be_bytes(head) >> 11) as f64 / (1_u64 << 53) as f64
}

/// A draw as a UUID of version 4.
pub(crate) fn uuid(mut draw: [u8; 32]) -> String {
    draw[6] = draw[6] & 0x0f | 0x40;
    draw[8] = draw[8] & 0x3f | 0x80;
    let text = hex(&draw[..16]);
    format!("{}-{}-{}-{}-{}", &text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..])
}

/// The token by which whoever holds it may settle an awakeable.
pub(crate) fn awakeable_token(run: &str, secret: &str, entry: &str) -> String {
    let proof = hex(&Sha256::digest(format!("{secret}/{entry}"))[..16]);
    format!("awk_{}.{}.{proof}", run.trim_start_matches("run_"), URL_SAFE_NO_PAD.encode(entry))
}

/// The name that people see of an entry: what its author wrote, without scopes and repeat.
pub(crate) fn name_of(id: &str) -> String {
    let own = id.rsplit('/').next().unwrap_or(id);
    let own = own.rsplit_once(':').map_or(own, |(name, _)| name);
    // `%` last, or what it escapes would be taken for an escape.
    own.replace("%2F", "/").replace("%3A", ":").replace("%24", "$").replace("%25", "%")
}

/// The id of the marker of a patch: one for the whole run, whichever scope asks.
pub(crate) fn patch(name: &str) -> Result<String, Error> {
    let id = join("patched", name);
    check(name, &id)?;
    Ok(id)
}

/// Whether the compensation of an entry has an id that the journal takes.
pub(crate) fn check_undo(id: &str) -> Result<(), Error> {
    if UNDO.len() + id.len() > ENTRY_ID_BYTES_MAX {
        let message = format!(
            "the entry id `{id}` is too long for a step that can be undone: its compensation is `{UNDO}` and that, \
             {ENTRY_ID_BYTES_MAX} bytes at most"
        );
        return Err(Error::terminal("InvalidIdError", message));
    }
    Ok(())
}

/// `scope/name` with the name escaped; the root scope is empty.
pub(crate) fn join(scope: &str, name: &str) -> String {
    let mut path = String::with_capacity(scope.len() + name.len() + 1);
    if !scope.is_empty() {
        path.push_str(scope);
        path.push('/');
    }
    for letter in name.chars() {
        match letter {
            '%' | '/' | ':' | '$' => write!(path, "%{:02X}", u32::from(letter)).expect("a String takes every write"),
            _ => path.push(letter),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_repeats_per_path() {
        let mut numbers = Numbers::default();
        let ids: Vec<String> = [("", "a"), ("", "a"), ("s", "a"), ("", "s/a"), ("", "a:1"), ("s", "a")]
            .iter()
            .map(|(scope, name)| numbers.entry(scope, name).unwrap())
            .collect();
        assert_eq!(ids, ["a", "a:1", "s/a", "s%2Fa", "a%3A1", "s/a:1"]);
    }

    #[test]
    fn refuses_what_no_journal_takes() {
        let mut numbers = Numbers::default();
        assert!(numbers.entry("", "").is_err());
        assert!(numbers.entry("", &"x".repeat(256)).is_ok());
        assert!(numbers.entry("", &"x".repeat(257)).is_err());
        let nameless = numbers.scope("", "");
        assert!(numbers.entry(&nameless, "x").is_err());
    }

    #[test]
    fn an_id_tells_its_name() {
        let mut numbers = Numbers::default();
        for name in ["a", "a/b:1", "100%", "%2F", "$x"] {
            for _ in 0..2 {
                assert_eq!(name_of(&numbers.entry("s:1/t", name).unwrap()), name);
            }
        }
    }

    #[test]
    fn numbers_scopes_apart_from_entries() {
        let mut numbers = Numbers::default();
        assert_eq!(numbers.entry("", "s").unwrap(), "s");
        assert_eq!(numbers.scope("", "s"), "s");
        assert_eq!(numbers.scope("", "s"), "s:1");
        assert_eq!(numbers.entry("s:1", "x").unwrap(), "s:1/x");
    }
}
