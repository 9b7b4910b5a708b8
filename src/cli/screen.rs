//! The standard output and what is known of it: whether a person reads it, and how wide it is. Nothing is lost silently: a
//! closed pipe ends the command.

use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;

use crate::limits::{TERMINAL_COLUMNS, TERMINAL_COLUMNS_MIN};

/// Prints a line.
pub(super) fn line(text: impl std::fmt::Display) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// Prints a document for programs, as one line.
pub(super) fn json<T: Serialize + ?Sized>(document: &T) -> anyhow::Result<()> {
    let text = serde_json::to_string(document)?;
    // Payloads keep their own white space; outside of strings a space means the same.
    line(text.replace(['\n', '\r'], " "))?;
    Ok(())
}

/// Says something beside the result, to whoever watches.
pub(super) fn note(text: impl std::fmt::Display) {
    let mut err = anstream::stderr().lock();
    // If nobody can read it, nobody misses it.
    let _ = writeln!(err, "{text}");
}

/// Whether a person reads the standard output.
pub(super) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Whether a person reads the standard error.
pub(super) fn error_is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Columns and rows of the terminal; when there is none, as many columns as lines have elsewhere.
pub(super) fn size() -> (usize, usize) {
    match rustix::termios::tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_col > 0 => (usize::from(size.ws_col).max(TERMINAL_COLUMNS_MIN), usize::from(size.ws_row)),
        _ => (TERMINAL_COLUMNS, usize::MAX),
    }
}

/// A picture on the terminal that is drawn over its predecessor.
#[derive(Default)]
pub(super) struct Picture {
    rows: usize,
}

impl Picture {
    /// Draws these lines in place of the last ones. What does not fit on the screen is left out at the top, because lines
    /// that have scrolled away cannot be drawn over.
    pub(super) fn draw(&mut self, lines: &[String]) -> io::Result<()> {
        let (columns, rows) = size();
        let room = rows.saturating_sub(1).max(1);
        let shown = &lines[lines.len().saturating_sub(room)..];
        let mut text = String::new();
        if self.rows > 0 {
            // To the first line of the last picture, and away with everything from there.
            text.push_str(&format!("\u{1b}[{}A\r\u{1b}[J", self.rows));
        }
        for line in shown {
            text.push_str(&cut(line, columns));
            text.push('\n');
        }
        self.rows = shown.len();
        let mut out = anstream::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }
}

/// A line that fits, counted without its colours.
pub(super) fn cut(line: &str, columns: usize) -> String {
    let mut width = 0;
    let mut text = String::new();
    let mut in_colour = false;
    for c in line.chars() {
        match c {
            '\u{1b}' => in_colour = true,
            _ if in_colour => in_colour = c != 'm',
            _ if width + 1 >= columns => {
                text.push('…');
                text.push_str("\u{1b}[0m");
                return text;
            }
            _ => width += 1,
        }
        text.push(c);
    }
    text
}

/// Text of others on one line, without what would move the cursor.
pub(super) fn plain(text: &str, chars: usize) -> String {
    let mut one_line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(chars + 1).collect();
    if one_line.chars().count() > chars {
        one_line = one_line.chars().take(chars.saturating_sub(1)).collect();
        one_line.push('…');
    }
    one_line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_without_counting_colours() {
        assert_eq!(cut("\u{1b}[31mabc\u{1b}[0m", 10), "\u{1b}[31mabc\u{1b}[0m");
        assert_eq!(cut("\u{1b}[31mabcdef\u{1b}[0m", 4), "\u{1b}[31mabc…\u{1b}[0m");
    }

    #[test]
    fn what_others_wrote_stays_on_its_line() {
        assert_eq!(plain("a\nb\u{1b}[2Jc", 20), "a b [2Jc");
        assert_eq!(plain("abcdef", 4), "abc…");
        assert_eq!(plain("abcd", 4), "abcd");
    }
}
