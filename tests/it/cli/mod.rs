//! The command line, as people and scripts meet it: the real binary, a real server, exit codes, and what is printed where.

mod asking;
mod deployments;
mod developing;
mod objects;
mod offline;
mod schedules;
mod serving;
mod skipping;
mod terminal;
mod verifying;
mod world;

use backstitch_server::cli::reference;

use crate::support::fresh;

#[test]
fn the_reference_is_fresh() {
    fresh::check("docs/reference/cli.md", &reference());
}
