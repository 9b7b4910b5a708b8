//! The engine over the store in memory, driven by hand: every order of events, every fault, every invariant.

mod acks;
mod acts;
mod adoption;
mod book;
mod chains;
mod chaos;
mod fanout;
mod filters;
mod forks;
mod handlers;
mod harness;
mod house;
mod ledger;
mod lifecycle;
mod limits;
mod moving;
mod objects;
mod program;
mod registry;
mod regressions;
mod residence;
mod schedules;
mod starts;
mod steps;
mod table;
mod verify;
