//! Cursors: where the next page of a list begins, as a text that clients hand back and do not read. A cursor belongs to
//! the filters it was made under; with others it is refused instead of answering a page of something else.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::error::{FieldError, Problem};

/// The form of cursors; another one is refused.
const FORMAT: u8 = 1;

/// Bytes of the check over list and filters.
const CHECK_BYTES: usize = 4;

/// Prints the position `last`, the number of the last item that was shown.
pub(super) fn print(list: &str, filters: &str, last: i64) -> String {
    let mut bytes = vec![FORMAT];
    bytes.extend_from_slice(&last.to_be_bytes());
    bytes.extend_from_slice(&check(list, filters, last));
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads a position back.
pub(super) fn read(list: &str, filters: &str, text: &str) -> Result<i64, Problem> {
    let wrong = || {
        let detail = "is no cursor of this list with these filters; begin again without `cursor`";
        Problem::field(FieldError::of("cursor", detail))
    };
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| wrong())?;
    let [FORMAT, rest @ ..] = bytes.as_slice() else { return Err(wrong()) };
    let (position, mark) = rest.split_at_checked(8).ok_or_else(wrong)?;
    let last = i64::from_be_bytes(position.try_into().map_err(|_| wrong())?);
    if mark == check(list, filters, last) { Ok(last) } else { Err(wrong()) }
}

fn check(list: &str, filters: &str, last: i64) -> [u8; CHECK_BYTES] {
    let digest = Sha256::digest(format!("{list}\u{1f}{filters}\u{1f}{last}"));
    [digest[0], digest[1], digest[2], digest[3]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_belong_to_their_list_and_filters() {
        let text = print("runs", "app=shop", 77);
        assert_eq!(read("runs", "app=shop", &text).ok(), Some(77));
        assert!(read("runs", "app=other", &text).is_err());
        assert!(read("events", "app=shop", &text).is_err());
        for text in ["", "x", "AAAA", &text[1..], &format!("{text}A")] {
            assert!(read("runs", "app=shop", text).is_err(), "{text} was taken");
        }
    }
}
