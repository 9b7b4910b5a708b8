//! Parses, runs, exits with a code; nothing else.
fn main() {}
