//! What can be wrong with what the program was told. Every message names the place where it was said.

use std::path::PathBuf;

use super::Source;

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value is not what its setting takes.
    #[error("failed to read {source_of}: {reason}")]
    Value {
        /// Where it was said.
        source_of: Source,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// Two settings contradict each other.
    #[error("failed to use {one} together with {other}: {reason}")]
    Together {
        /// One of them.
        one: Source,
        /// The other.
        other: Source,
        /// Why not, and what to do.
        reason: String,
    },
    /// The file is not there or cannot be read.
    #[error("failed to read the settings in {}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        error: std::io::Error,
    },
    /// The file is not TOML.
    #[error("failed to read the settings in {}: {reason}", path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// Where in it, and what is wrong.
        reason: String,
    },
    /// The file has a key that means nothing.
    #[error("failed to read the settings in {}: there is no setting `{key}`{hint}", path.display())]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// Which one may have been meant.
        hint: String,
    },
    /// A variable is not text.
    #[error("failed to read the environment variable {0}: it is not UTF-8")]
    Variable(String),
}
