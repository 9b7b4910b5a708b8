//! The names of the fields of log lines, each with one meaning everywhere. `tests/it/telemetry.rs` compares the table with
//! the code: a name that is not here is no name.

/// A field of log lines.
#[derive(Debug)]
pub struct LogField {
    /// Its name, with dots between the thing and what is said of it; a unit comes last.
    pub name: &'static str,
    /// What it says.
    pub what: &'static str,
}

const fn field(name: &'static str, what: &'static str) -> LogField {
    LogField { name, what }
}

/// Every field, in the order of the alphabet.
pub const FIELDS: &[LogField] = &[];
