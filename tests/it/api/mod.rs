//! The REST API over the real router, engine, loop and catalog, with the store in memory; the app is a peer that speaks the
//! protocol.

mod apps;
mod around;
mod chains;
mod connections;
mod dashboard;
mod deployments;
mod description;
mod events;
mod fetches;
mod finding;
mod forks;
mod functions;
mod invocations;
mod jobs;
mod objects;
mod runs;
mod sagas;
mod schedules;
mod signals;
mod stats;
mod streams;
mod updates;
mod watch;
mod wire;
mod world;
