//! Tables for people: no frames, columns that fit the terminal.

use comfy_table::{ContentArrangement, Table, presets};

use super::screen;

/// A table with a head.
pub(super) fn table(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(u16::try_from(screen::size().0).unwrap_or(u16::MAX));
    table.set_header(head.iter().map(|word| word.to_uppercase()));
    table
}

/// Prints it.
pub(super) fn print(table: &Table) -> std::io::Result<()> {
    table.lines().try_for_each(|line| screen::line(line.trim_end()))
}
