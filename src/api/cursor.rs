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
    printed(list, filters, &last.to_be_bytes())
}

/// Reads a position back.
pub(super) fn read(list: &str, filters: &str, text: &str) -> Result<i64, Problem> {
    let position = position(list, filters, text)?;
    Ok(i64::from_be_bytes(position.as_slice().try_into().map_err(|_| wrong())?))
}

/// Prints the position of a list that is in the order of texts: the last that was shown.
pub(super) fn print_text(list: &str, filters: &str, last: &str) -> String {
    printed(list, filters, last.as_bytes())
}

/// Reads such a position back.
pub(super) fn read_text(list: &str, filters: &str, text: &str) -> Result<String, Problem> {
    String::from_utf8(position(list, filters, text)?).map_err(|_| wrong())
}

fn printed(list: &str, filters: &str, position: &[u8]) -> String {
    let check = check(list, filters, position);
    URL_SAFE_NO_PAD.encode([&[FORMAT], position, &check].concat())
}

fn position(list: &str, filters: &str, text: &str) -> Result<Vec<u8>, Problem> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| wrong())?;
    let [FORMAT, rest @ ..] = bytes.as_slice() else { return Err(wrong()) };
    let length = rest.len().checked_sub(CHECK_BYTES).ok_or_else(wrong)?;
    let (position, mark) = rest.split_at(length);
    if mark == check(list, filters, position) { Ok(position.to_vec()) } else { Err(wrong()) }
}

fn wrong() -> Problem {
    let detail = "is no cursor of this list with these filters; begin again without `cursor`";
    Problem::field(FieldError::of("cursor", detail))
}

fn check(list: &str, filters: &str, position: &[u8]) -> [u8; CHECK_BYTES] {
    let mut digest = Sha256::new();
    digest.update(format!("{list}\u{1f}{filters}\u{1f}"));
    digest.update(position);
    let digest = digest.finalize();
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
        let text = print_text("objects", "shop/cart", "größe");
        assert_eq!(read_text("objects", "shop/cart", &text).ok().as_deref(), Some("größe"));
        assert!(read_text("objects", "shop/card", &text).is_err() && read("objects", "shop/cart", &text).is_err());
    }
}
