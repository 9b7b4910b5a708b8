//! Tables for people: no frames, columns that fit the terminal.

use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};

use super::screen;

/// A table with a head. Where the terminal is too narrow, columns whose head ends with `…` are broken over several rows, and
/// the others are not: ids have to be copied in one piece.
pub(super) fn table(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    // One more: the space at the beginning of a row is not printed.
    table.set_width(u16::try_from(screen::columns() + 1).unwrap_or(u16::MAX));
    table.set_header(head.iter().map(|word| word.trim_end_matches('…').to_uppercase()));
    for (column, word) in table.column_iter_mut().zip(head) {
        if !word.ends_with('…') {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    table
}

/// Prints it.
pub(super) fn print(table: &Table) -> std::io::Result<()> {
    lines(table).try_for_each(screen::line)
}

/// Its lines.
pub(super) fn lines(table: &Table) -> impl Iterator<Item = String> {
    // Without frames, the space that parts columns stands before the first one, too.
    table.lines().map(|line| line.strip_prefix(' ').unwrap_or(&line).trim_end().to_owned())
}
