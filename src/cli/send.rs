//! `backstitch send`: sends an event and says which runs it started.

use anyhow::Result;
use clap::Args;
use reqwest::Method;
use serde::Serialize;
use serde_json::value::RawValue;

use super::client::Client;
use super::style::{BOLD, DIM, ODD, styled};
use super::{Exit, input, screen};
use crate::api::AcceptedJson;
use crate::config::ClientFlags;

/// Send an event.
#[derive(Debug, Args)]
#[command(after_help = "Example: backstitch send order/created '{\"id\": 42}'")]
pub(super) struct Send {
    /// The event's name, such as order/created.
    name: String,
    /// Its data.
    #[arg(value_name = "DATA", help = format!("Its data: {}", input::HELP))]
    data: Option<String>,
    /// An id of yours: a second event with it within 24 hours changes nothing.
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// Print the API's answer.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: ClientFlags,
}

#[derive(Serialize)]
struct Body<'a> {
    name: &'a str,
    data: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
}

impl Send {
    pub(super) async fn execute(self) -> Result<Exit> {
        let body = Body { name: &self.name, data: input::json(self.data.as_deref())?, id: self.id.as_deref() };
        let client = Client::new(self.flags)?;
        let accepted: AcceptedJson = client.write(Method::POST, &["v1", "events"], &[], &body).await?;
        if self.json {
            screen::json(&accepted)?;
            return Ok(Exit::Done);
        }
        for event in &accepted.events {
            let again = if event.created { String::new() } else { styled(ODD, "  (accepted before; nothing changed)") };
            screen::line(format!("{}{again}", styled(BOLD, event.id)))?;
            for run in &event.runs {
                screen::line(format!(
                    "  started {}  {}",
                    run.id,
                    styled(DIM, format!("{}/{}", run.app, run.function))
                ))?;
            }
            if event.created && event.runs.is_empty() {
                screen::line(styled(DIM, "  no function was started; runs that wait for it go on"))?;
            }
        }
        Ok(Exit::Done)
    }
}
