//! `backstitch update`: sends an update to a run, and shows the handler's reply.

use anyhow::Result;
use clap::Args;
use reqwest::Method;
use serde::Serialize;
use serde_json::value::RawValue;

use super::client::Client;
use super::run::tree::failure_line;
use super::style::{BAD, DIM, ODD, styled};
use super::{Exit, input, screen, target};
use crate::api::UpdateJson;
use crate::clock::{Clock as _, SystemClock};
use crate::config::ClientFlags;
use crate::limits::CALL_WAIT_MS;
use crate::model::Span;

/// Send an update to a run and wait for its handler's reply.
#[derive(Debug, Args)]
#[command(after_help = "Example: backstitch update run_01… address '{\"city\": \"Ulm\"}'")]
pub(super) struct Update {
    /// The run: its id, or app/function/name.
    run: String,
    /// The update's name.
    name: String,
    /// What the handler gets.
    #[arg(value_name = "DATA", help = format!("What the handler gets: {}", input::HELP))]
    data: Option<String>,
    /// Only send it and print its id.
    #[arg(long)]
    no_wait: bool,
    /// How long to wait for the reply, such as 30s or 1h.
    #[arg(long, value_name = "DURATION", default_value_t = Span(CALL_WAIT_MS), conflicts_with = "no_wait")]
    wait: Span,
    /// An id of yours: a second update with it changes nothing, and shows the reply to the first.
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

impl Update {
    pub(super) async fn execute(self) -> Result<Exit> {
        let body = Body { data: input::json(self.data.as_deref())?, id: self.id };
        let client = Client::new(self.flags)?;
        let run = target::run(&client, &self.run).await?.to_string();
        let path = ["v1", "runs", &*run, "updates", &*self.name];
        // Sent first and awaited after that, so that the update's id is known whatever happens while waiting.
        let query = [("wait", Span(0).to_string())];
        let sent: UpdateJson = client.write(Method::POST, &path, &query, &body).await?;
        if self.no_wait {
            if self.json {
                screen::json(&sent)?;
            } else {
                screen::line(&sent.id)?;
            }
            return Ok(Exit::Done);
        }
        let replied = wait(&client, &run, sent, self.wait).await?;
        show(&run, &replied, self.json)
    }
}

/// Waits for the reply, in requests of half a minute.
async fn wait(client: &Client, run: &str, sent: UpdateJson, wait: Span) -> Result<UpdateJson> {
    let clock = SystemClock::new();
    let mut update = sent;
    loop {
        let rest = wait.0.saturating_sub(clock.monotonic_ms());
        if update.ok.is_some() || update.err.is_some() || rest == 0 {
            return Ok(update);
        }
        let query = [("wait", Span(rest.min(CALL_WAIT_MS)).to_string())];
        update = client.read(&["v1", "runs", run, "updates", &update.id], &query).await?;
    }
}

fn show(run: &str, update: &UpdateJson, json: bool) -> Result<Exit> {
    let exit = match (&update.ok, &update.err) {
        (Some(_), _) => Exit::Done,
        (None, Some(_)) => Exit::No,
        (None, None) => Exit::Pending,
    };
    if json {
        screen::json(update)?;
        return Ok(exit);
    }
    match (&update.ok, &update.err) {
        (Some(value), _) => screen::line(String::from_utf8_lossy(value.bytes()))?,
        (None, Some(error)) => {
            screen::note(format!("{} update {}: {}", styled(BAD, "✗"), update.id, failure_line(error)));
        }
        (None, None) => {
            screen::note(format!("{} {run} has update {} and has not replied yet", styled(ODD, "…"), update.id));
            screen::note(styled(DIM, format!("  backstitch explain {run} says what it waits for")));
        }
    }
    Ok(exit)
}
