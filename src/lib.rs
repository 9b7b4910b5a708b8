//! The Backstitch server: durable functions over plain HTTP.
//!
//! A pure function in the middle, a ledger under it, doors around it. Everything that arrives (an API call, a due
//! timer, a handler's answer) becomes a command; the engine turns it into changes; the store makes them durable; only
//! then does anything leave the house.

// Ring 0: words.
pub mod clock;
pub mod limits;
pub mod model;

// Ring 1: thought.
pub mod dialect;
pub mod engine;

// Ring 2: hands.
pub mod auth;
pub mod dispatch;
pub mod store;
pub mod telemetry;

// Ring 3: loops and doors.
pub mod api;
pub mod auditor;
pub mod catalog;
pub mod cluster;
pub mod dashboard;
pub mod jobs;
pub mod processor;
pub mod recorder;

// Ring 4: assembly.
pub mod cli;
pub mod config;
pub mod node;
