//! `backstitch settle`: says that a compensation was made by hand, or needs not be made.

use anyhow::Result;
use clap::Args;
use reqwest::Method;
use serde::Serialize;
use serde_json::value::RawValue;

use super::client::Client;
use super::exit::usage;
use super::{Exit, input, screen, target};
use crate::api::StatusJson;
use crate::config::ClientFlags;

/// Settle a compensation that the run cannot make: you undid the step by hand, or it needs no undoing.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  backstitch settle run_01… '$undo/charge' '{\"refund\": \"re_1\"}'\n  backstitch settle run_01… '$undo/charge' --skip"
)]
pub(super) struct Settle {
    /// The run: its id, or app/function/name.
    run: String,
    /// The compensation: `$undo/` and the id of the step that it undoes.
    entry: String,
    /// What to note about it.
    #[arg(value_name = "DATA", conflicts_with = "skip", help = format!("What to note about it: {}", input::HELP))]
    data: Option<String>,
    /// The step needs no undoing.
    #[arg(long)]
    skip: bool,
    /// Print the API's answer.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: ClientFlags,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Settlement {
    Ok(Box<RawValue>),
    Skip(bool),
}

impl Settle {
    pub(super) async fn execute(self) -> Result<Exit> {
        if !self.entry.starts_with("$undo/") {
            return Err(usage("only compensations are settled by hand: '$undo/' and the step's id, in single quotes"));
        }
        let settlement =
            if self.skip { Settlement::Skip(true) } else { Settlement::Ok(input::json(self.data.as_deref())?) };
        let client = Client::new(self.flags)?;
        let run = target::run(&client, &self.run).await?.to_string();
        let path = ["v1", "runs", &*run, "entries", &*self.entry, "settle"];
        let now: StatusJson = client.write(Method::POST, &path, &[], &settlement).await?;
        if self.json {
            screen::json(&now)?;
        } else {
            screen::line(format!("{} counts `{}` as made; the run is {}", now.id, self.entry, now.status))?;
        }
        Ok(Exit::Done)
    }
}
