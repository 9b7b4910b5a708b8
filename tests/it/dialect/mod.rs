//! The native protocol as bytes: what goes out is what an SDK reads, what comes in is read or refused by name.

mod answer;
mod corpus;
mod fuzz;
mod invocation;
mod manifest;
mod schedules;
