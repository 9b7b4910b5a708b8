//! `backstitch completions`: scripts that complete commands and flags in a shell.

use std::io::Write as _;

use anyhow::Result;
use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::{Cli, Exit};

/// Print a script that completes commands in your shell.
#[derive(Debug, Args)]
#[command(after_help = "Example: backstitch completions bash > ~/.local/share/bash-completion/completions/backstitch")]
pub(super) struct Completions {
    /// The shell.
    shell: Shell,
}

impl Completions {
    pub(super) fn execute(self) -> Result<Exit> {
        // First into memory: the generator panics where it cannot write.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "backstitch", &mut script);
        std::io::stdout().write_all(&script)?;
        Ok(Exit::Done)
    }
}
