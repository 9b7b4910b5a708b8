//! `backstitch signal`: sends a named message to a run, or settles an awakeable by its token.

use anyhow::Result;
use clap::Args;
use reqwest::Method;
use serde::Serialize;
use serde_json::value::RawValue;

use super::client::Client;
use super::exit::usage;
use super::style::{ODD, styled};
use super::{Exit, input, screen, target};
use crate::api::SignalledJson;
use crate::config::ClientFlags;

/// Send a signal to a run, or settle an awakeable.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  backstitch signal run_01… approve '{\"by\": \"ada\"}'\n  backstitch signal awk_01… '\"yes\"'\n  backstitch signal awk_01… --reject 'not this month'"
)]
pub(super) struct Signal {
    /// The run (its id, or app/function/name), or an awakeable's token (awk_…).
    target: String,
    /// The signal's name; for a token, what it settles with.
    name: Option<String>,
    /// What the wait settles with.
    #[arg(value_name = "DATA", help = format!("What the wait settles with: {}", input::HELP))]
    data: Option<String>,
    /// Settle an awakeable with an error that has this message.
    #[arg(long, value_name = "MESSAGE")]
    reject: Option<String>,
    /// An id of yours: a second signal with it changes nothing.
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// Print the API's answer.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: ClientFlags,
}

#[derive(Serialize)]
struct Body {
    data: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Settlement {
    Ok(Box<RawValue>),
    Err(Rejection),
}

#[derive(Serialize)]
struct Rejection {
    name: &'static str,
    message: String,
}

impl Signal {
    pub(super) async fn execute(self) -> Result<Exit> {
        let client = Client::new(self.flags.clone())?;
        let json = self.json;
        let taken =
            if self.target.starts_with("awk_") { self.settle(&client).await? } else { self.send(&client).await? };
        if json {
            screen::json(&taken)?;
        } else if taken.created {
            screen::line(format!("{} has it", taken.run))?;
        } else {
            screen::line(format!("{} {}", taken.run, styled(ODD, "had it before; nothing changed")))?;
        }
        Ok(Exit::Done)
    }

    async fn send(self, client: &Client) -> Result<SignalledJson> {
        let Some(name) = &self.name else {
            return Err(usage("name the signal: backstitch signal RUN NAME [DATA]"));
        };
        if self.reject.is_some() {
            return Err(usage("--reject is for awakeables; a signal carries data, and the run decides what they mean"));
        }
        let body = Body { data: input::json(self.data.as_deref())?, id: self.id };
        let run = target::run(client, &self.target).await?;
        client.write(Method::POST, &["v1", "runs", &run.to_string(), "signals", name], &[], &body).await
    }

    async fn settle(self, client: &Client) -> Result<SignalledJson> {
        if self.data.is_some() || self.id.is_some() {
            return Err(usage("a token says which wait is meant: backstitch signal TOKEN [DATA]"));
        }
        let settlement = match (self.reject, self.name) {
            (Some(_), Some(_)) => return Err(usage("a wait settles with data or with --reject, not with both")),
            (Some(message), None) => Settlement::Err(Rejection { name: "Error", message }),
            (None, data) => Settlement::Ok(input::json(data.as_deref())?),
        };
        client.write(Method::POST, &["v1", "awakeables", &self.target], &[], &settlement).await
    }
}
