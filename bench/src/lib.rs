//! What measures Backstitch, alone and in turns with a peer: a load generator, the systems that it can drive, and the
//! scenarios. Nothing here is a test: noise decides nothing, medians of several rounds are printed.
//!
//! - [`load`]: closed and open loops, latencies that an overloaded server cannot hide.
//! - [`process`]: processes with what they use of the machine.
//! - [`reading`]: streams, and how late their messages are.
//! - [`systems`]: our server and a peer's, behind one trait.
//! - [`scenarios`]: what is measured, each a function of a running system.
//! - [`report`]: rounds in turns, medians and ratios, and the table of `bench/README.md`.

pub mod line;
pub mod load;
pub mod machine;
pub mod process;
pub mod reading;
pub mod report;
pub mod scenarios;
pub mod systems;
