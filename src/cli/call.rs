//! `backstitch call`: starts a function and waits for its result, or only starts it.

use anyhow::Result;
use clap::Args;
use reqwest::Method;
use serde::Serialize;
use serde_json::value::RawValue;

use super::client::Client;
use super::exit::usage;
use super::labels::{Labels, LabelsBody};
use super::run::result;
use super::style::{DIM, styled};
use super::{Exit, input, screen, target};
use crate::api::{ResultJson, RunRefJson};
use crate::config::ClientFlags;
use crate::limits::CALL_WAIT_MS;
use crate::model::Span;

/// Start a function and wait for its result.
#[derive(Debug, Args)]
#[command(after_help = "Example: backstitch call shop/order '{\"id\": 42}' --run-id order-42")]
pub(super) struct Call {
    /// The function, as app/function; the function alone where only one app has it. For a handler of an object app/object/handler.
    function: String,
    /// Its input.
    #[arg(value_name = "INPUT", help = format!("Its input: {}", input::HELP))]
    input: Option<String>,
    /// The key, for a handler of an object.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Only start it and print the run's id.
    #[arg(long)]
    no_wait: bool,
    /// How long to wait for the result, such as 30s or 1h.
    #[arg(long, value_name = "DURATION", default_value_t = Span(CALL_WAIT_MS), conflicts_with = "no_wait")]
    wait: Span,
    /// A name for the run, unique for the function. A second start with it finds the first run.
    #[arg(long, value_name = "NAME")]
    run_id: Option<String>,
    /// A second start with this key within 24 hours finds the first run.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Not to begin before this is over, such as 10m.
    #[arg(long, value_name = "DURATION")]
    delay: Option<Span>,
    #[command(flatten)]
    labels: Labels,
    /// Print the API's answer.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: ClientFlags,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    input: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idempotency_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delay: Option<Span>,
    #[serde(flatten)]
    labels: LabelsBody,
}

impl Call {
    pub(super) async fn execute(self) -> Result<Exit> {
        let body = Body {
            input: input::json(self.input.as_deref())?,
            run_id: self.run_id,
            idempotency_key: self.idempotency_key,
            delay: self.delay,
            labels: self.labels.body()?,
        };
        let client = Client::new(self.flags)?;
        let function = target::function(&client, &self.function).await?;
        let of_function = ["v1", "functions", &*function.app, &*function.function, "runs"];
        let of_object = self.key.as_deref().map(|key| match function.function.split_once('/') {
            Some((object, handler)) => Ok(["v1", "objects", &*function.app, object, key, handler]),
            None => Err(usage(format!(
                "`{function}` is no handler of an object: write app/object/handler, or leave --key out"
            ))),
        });
        let (path, query) = match &of_object.transpose()? {
            Some(path) => (path.to_vec(), vec![("mode", "send".to_owned())]),
            None => (of_function.to_vec(), Vec::new()),
        };
        // Started first and awaited after that, so that the run's id is known whatever happens while waiting.
        let started: RunRefJson = client.write(Method::POST, &path, &query, &body).await?;
        if self.no_wait {
            if self.json {
                screen::json(&started)?;
            } else {
                let again = if started.created { String::new() } else { styled(DIM, "  (started before)") };
                screen::line(format!("{}{again}", started.id))?;
            }
            return Ok(Exit::Done);
        }
        let ended: ResultJson = result::wait(&client, started.id, self.wait).await?;
        result::show(&ended, self.json)
    }
}
