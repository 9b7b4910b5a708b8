//! The standard output and what is known of it: whether a person reads it, and how wide it is. Nothing is lost silently: a
//! closed pipe ends the command.

use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;
use unicode_width::UnicodeWidthChar as _;

use super::style::{DIM, styled};
use crate::limits::{TERMINAL_COLUMNS, TERMINAL_COLUMNS_MIN};

/// Columns and rows of a terminal that does not say how large it is.
const TERMINAL_DEFAULT: (usize, usize) = (80, 24);

/// Prints a line.
pub(super) fn line(text: impl std::fmt::Display) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// Prints a piece of text where the last one ended. What would steer a terminal is left out: the text is somebody else's.
pub(super) fn text(piece: &str) -> io::Result<()> {
    let plain: String = piece.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
    let mut out = anstream::stdout().lock();
    out.write_all(plain.as_bytes())?;
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

/// Columns that a table may take: those of the terminal, or as many as lines have elsewhere.
pub(super) fn columns() -> usize {
    terminal().map_or(TERMINAL_COLUMNS, |(columns, _)| columns.max(TERMINAL_COLUMNS_MIN))
}

/// Columns and rows of the terminal, if there is one that knows them.
fn terminal() -> Option<(usize, usize)> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then(|| (usize::from(size.ws_col), usize::from(size.ws_row)))
}

/// A picture on the terminal that is drawn over its predecessor.
#[derive(Default)]
pub(super) struct Picture {
    /// The lines that stand there, cut as they were printed.
    drawn: Vec<String>,
    size: (usize, usize),
}

impl Picture {
    /// Draws these lines in place of the last ones. When the screen has too few rows, the first `top` lines stay and what
    /// comes after them is left out, because lines that have scrolled away cannot be drawn over.
    pub(super) fn draw(&mut self, lines: &[String], top: usize) -> io::Result<()> {
        let text = self.next(lines, top, terminal().unwrap_or(TERMINAL_DEFAULT));
        if text.is_empty() {
            return Ok(());
        }
        let mut out = anstream::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    /// What is to be written so that these lines stand there, on a terminal of this size.
    fn next(&mut self, lines: &[String], top: usize, size: (usize, usize)) -> String {
        let (columns, rows) = size;
        let fitting: Vec<String> =
            fitting(lines, top, rows.saturating_sub(1).max(1)).iter().map(|line| cut(line, columns)).collect();
        if fitting == self.drawn && size == self.size {
            return String::new();
        }
        let mut text = String::new();
        // A terminal that became narrower has broken the lines of the last picture, and one that became lower has let the
        // first of them scroll away.
        let stand: usize = self.drawn.iter().map(|line| width(line).div_ceil(columns).max(1)).sum();
        match stand.min(rows.saturating_sub(1)) {
            0 => {}
            up => text.push_str(&format!("\u{1b}[{up}A\r")),
        }
        for line in &fitting {
            // The rest of the row goes after the line has come, so that nothing flickers.
            text.push_str(line);
            text.push_str("\u{1b}[K\n");
        }
        text.push_str("\u{1b}[J");
        self.drawn = fitting;
        self.size = size;
        text
    }
}

/// The lines that have room: the first `top`, and the last.
fn fitting(lines: &[String], top: usize, room: usize) -> Vec<String> {
    if lines.len() <= room {
        return lines.to_vec();
    }
    // The line that says what is left out, and the last one, have room in any case.
    let top = top.min(lines.len()).min(room.saturating_sub(2));
    let bottom = room.saturating_sub(top + 1).max(1);
    let left_out = lines.len() - top - bottom;
    let mut shown = lines[..top].to_vec();
    if top > 0 {
        shown.push(styled(DIM, format!("⋮  {left_out} more lines")));
    }
    shown.extend_from_slice(&lines[lines.len() - bottom..]);
    shown
}

/// A line that fits, counted in columns and without its colours.
pub(super) fn cut(line: &str, columns: usize) -> String {
    if width(line) <= columns {
        return line.to_owned();
    }
    let mut taken = 0;
    let mut text = String::new();
    let mut in_colour = false;
    for c in line.chars() {
        match c {
            '\u{1b}' => in_colour = true,
            _ if in_colour => in_colour = c != 'm',
            _ => {
                taken += c.width().unwrap_or(0);
                if taken >= columns {
                    break;
                }
            }
        }
        text.push(c);
    }
    text.push_str("…\u{1b}[0m");
    text
}

/// Columns that a line takes.
fn width(line: &str) -> usize {
    // The sum over characters and not the width of the whole, which terminals do not agree on for joined emoji.
    anstream::adapter::strip_str(line).to_string().chars().map(|c| c.width().unwrap_or(0)).sum()
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
        assert_eq!(cut("abcd", 4), "abcd");
    }

    #[test]
    fn lines_are_cut_by_columns_and_not_by_characters() {
        assert_eq!(cut("注文💳", 6), "注文💳");
        assert_eq!(cut("注文の支払い", 6), "注文…\u{1b}[0m");
        assert_eq!(width(&cut("e\u{301}e\u{301}e\u{301}", 3)), 3);
    }

    fn lines(count: usize) -> Vec<String> {
        (0..count).map(|n| n.to_string()).collect()
    }

    #[test]
    fn a_picture_that_is_too_high_keeps_its_top_and_its_end() {
        let shown = |count, room| {
            let shown = fitting(&lines(count), 2, room);
            assert!(shown.len() <= room);
            anstream::adapter::strip_str(&shown.join(",")).to_string()
        };
        assert_eq!(shown(5, 5), "0,1,2,3,4");
        assert_eq!(shown(9, 5), "0,1,⋮  5 more lines,7,8");
        assert_eq!(shown(9, 3), "0,⋮  7 more lines,8");
        assert_eq!(shown(9, 1), "8");
    }

    #[test]
    fn a_picture_is_drawn_over_its_predecessor_alone() {
        let mut picture = Picture::default();
        assert_eq!(picture.next(&lines(2), 1, (80, 24)), "0\u{1b}[K\n1\u{1b}[K\n\u{1b}[J");
        assert_eq!(picture.next(&lines(2), 1, (80, 24)), "", "nothing is written when nothing changed");
        assert!(picture.next(&lines(3), 1, (80, 24)).starts_with("\u{1b}[2A\r0"));
        assert!(picture.next(&lines(9), 1, (80, 6)).starts_with("\u{1b}[3A\r0"), "as it was before");
        assert!(picture.next(&lines(9), 1, (80, 4)).starts_with("\u{1b}[3A\r0"), "no more rows than there are");
        let mut picture = Picture::default();
        picture.next(&["x".repeat(80), "y".to_owned()], 1, (80, 24));
        assert!(
            picture.next(&lines(1), 1, (30, 24)).starts_with("\u{1b}[4A\r0"),
            "the terminal broke the long line in three"
        );
    }

    #[test]
    fn what_others_wrote_stays_on_its_line() {
        assert_eq!(plain("a\nb\u{1b}[2Jc", 20), "a b [2Jc");
        assert_eq!(plain("abcdef", 4), "abc…");
        assert_eq!(plain("abcd", 4), "abcd");
    }
}
