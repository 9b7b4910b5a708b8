//! Where the data are kept, and how safely.

use std::path::PathBuf;

use super::layers::Layers;
use super::settings::{DATA_DIR, DURABILITY};
use super::{ConfigError, Mode};
use crate::store::sqlite::Durability;

/// Where the data are kept, and how safely.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    /// The data directory.
    pub data_dir: PathBuf,
    /// What a commit waits for.
    pub durability: Durability,
}

impl Storage {
    /// Reads the concern.
    ///
    /// # Errors
    /// When a value cannot be read.
    pub fn read(layers: &Layers, mode: Mode) -> Result<Storage, ConfigError> {
        let usual = match mode {
            Mode::Dev => ".backstitch",
            Mode::Start => "backstitch-data",
        };
        let path = |text: &str| if text.is_empty() { Err("it is empty".to_owned()) } else { Ok(PathBuf::from(text)) };
        Ok(Storage {
            data_dir: layers.read_or(&DATA_DIR, usual, path)?.value,
            durability: layers.read_or(&DURABILITY, DURABILITY.default, durability)?.value,
        })
    }
}

fn durability(text: &str) -> Result<Durability, String> {
    match text {
        "full" => Ok(Durability::Full),
        "relaxed" => Ok(Durability::Relaxed),
        _ => Err(format!("`{text}` is neither `full` nor `relaxed`")),
    }
}
