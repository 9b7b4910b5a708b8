//! What the program was told: on the command line, by the environment, in a file. Two steps: [`Layers`] collects what was
//! typed, where, as text; a small struct for each concern says what it means. The first place that has a setting wins:
//! flag, variable, file, default.
//!
//! The table in [`settings`] is the only definition of a setting. Flags, variables, keys of the file, error messages and
//! `docs/reference/config.md` follow from it. Nobody else in the house reads the environment.

mod calls;
mod client;
mod error;
mod file;
mod flags;
mod layers;
mod listen;
mod log;
mod reference;
mod server;
pub mod settings;
mod storage;

pub use calls::Calls;
pub use client::Client;
pub use error::ConfigError;
pub use flags::{ClientFlags, DoctorFlags, ServerFlags, VerifyFlags};
pub use layers::{Layers, Source, Typed};
pub use listen::Listen;
pub use log::Log;
pub use reference::reference;
pub use server::{Mode, Server};
pub use storage::Storage;
