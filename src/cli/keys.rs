//! `backstitch keys`: makes keys with which the server signs its requests to apps.

use anyhow::Result;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::style::{DIM, styled};
use super::{Exit, screen};
use crate::auth::SigningKey;
use crate::clock::{Clock as _, SystemClock};

/// Make keys that sign requests to apps.
#[derive(Debug, Args)]
pub(super) struct Keys {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    New(New),
}

/// Print a fresh key, with the lines to paste. Nothing is stored.
#[derive(Debug, Args)]
struct New {
    /// A pair of keys (Ed25519): apps get the public half, which is no secret. Verifying it takes them longer.
    #[arg(long)]
    pair: bool,
    /// Print the two values as a JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Made {
    server: String,
    app: String,
}

impl Keys {
    pub(super) fn execute(self) -> Result<Exit> {
        let Command::New(New { pair, json }) = self.command;
        let clock = SystemClock::new();
        let mut entropy = [0; 32];
        entropy[..16].copy_from_slice(&clock.entropy().to_be_bytes());
        entropy[16..].copy_from_slice(&clock.entropy().to_be_bytes());
        let key = if pair { SigningKey::private(entropy) } else { SigningKey::shared(entropy) };
        let made = Made { server: key.reveal(), app: key.for_handlers() };
        if json {
            screen::json(&made)?;
            return Ok(Exit::Done);
        }
        if pair {
            screen::line(styled(DIM, "# for the server; a secret"))?;
            screen::line(format!("BACKSTITCH_KEY={}", made.server))?;
            screen::line(styled(DIM, "# for the app; no secret"))?;
        } else {
            screen::line(styled(DIM, "# for the server and for the app; a secret"))?;
        }
        screen::line(format!("BACKSTITCH_KEY={}", made.app))?;
        Ok(Exit::Done)
    }
}
