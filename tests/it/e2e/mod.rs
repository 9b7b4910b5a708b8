//! End to end: the real binary as a process, real handlers over real HTTP, real signals to kill with.

mod broken;
mod chaos;
mod checkpoints;
mod fetches;
mod handlers;
mod kill;
mod primitives;
mod reading;
mod schedules;
mod server;
mod streams;
mod telling;
mod versions;
mod whole;
