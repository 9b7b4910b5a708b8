//! `backstitch run --stream`: prints what a run publishes, as it comes. Texts are printed one behind the other, as a model
//! makes them; everything else is a line of JSON. A connection that breaks is opened again, and goes on from where it was.

use std::time::Duration;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::messages::{Message, Messages};
use crate::cli::Exit;
use crate::cli::client::{Client, may_pass};
use crate::cli::screen;
use crate::cli::style::{DIM, styled};
use crate::limits::{WATCH_RETRIES_MAX, WATCH_RETRY_MS};
use crate::model::{RunId, RunStatus};

/// Prints what a run publishes until it ends.
pub(super) async fn follow(client: &Client, run: RunId, topics: Option<&str>, json: bool) -> Result<Exit> {
    let mut listener = Listener { client, run, topics, json, last: None, in_line: false };
    let mut failures = 0;
    loop {
        match listener.listen(&mut failures).await {
            Ok(Some(exit)) => return Ok(exit),
            Ok(None) => {}
            Err(error) if failures < WATCH_RETRIES_MAX && may_pass(&error) => failures += 1,
            Err(error) => return Err(error),
        }
        tokio::time::sleep(Duration::from_millis(WATCH_RETRY_MS)).await;
    }
}

struct Listener<'c> {
    client: &'c Client,
    run: RunId,
    topics: Option<&'c str>,
    json: bool,
    /// The id of the last message.
    last: Option<String>,
    /// Whether what was printed last is a text that may go on.
    in_line: bool,
}

#[derive(Serialize)]
struct Line<'a> {
    event: &'a str,
    id: &'a str,
    data: &'a RawValue,
}

#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Deserialize)]
struct Cut {
    step: String,
    attempt: u32,
}

#[derive(Deserialize)]
struct End {
    status: Option<RunStatus>,
}

impl Listener<'_> {
    /// Listens over one connection until it ends; says how to go out when the run has ended.
    async fn listen(&mut self, failures: &mut u32) -> Result<Option<Exit>> {
        let run = self.run.to_string();
        let topics: Vec<(&str, String)> = self.topics.map(|topics| ("topics", topics.to_owned())).into_iter().collect();
        let mut response =
            self.client.stream_from(&["v1", "runs", &run, "stream"], &topics, self.last.as_deref()).await?;
        let mut messages = Messages::default();
        loop {
            let chunk = response.chunk().await.map_err(|error| self.client.broken(&error))?;
            let Some(chunk) = chunk else { return Ok(None) };
            *failures = 0;
            for message in messages.feed(&chunk) {
                if let Some(exit) = self.take(&message)? {
                    return Ok(Some(exit));
                }
            }
        }
    }

    fn take(&mut self, message: &Message) -> Result<Option<Exit>> {
        let Message { kind, id, data } = message;
        if !id.is_empty() {
            self.last = Some(id.clone());
        }
        let end = (kind == "end").then(|| serde_json::from_str::<End>(data)).transpose()?;
        if self.json {
            screen::json(&Line { event: kind, id, data: serde_json::from_str(data)? })?;
        } else {
            self.print(kind, data)?;
        }
        Ok(end.map(|end| end.status.map_or(Exit::Done, super::exit_of)))
    }

    fn print(&mut self, kind: &str, data: &str) -> Result<()> {
        match kind {
            "message" => {
                let said = serde_json::from_str::<Said<'_>>(data)?.data.get();
                match serde_json::from_str::<String>(said) {
                    Ok(text) => {
                        self.in_line = !text.ends_with('\n');
                        Ok(screen::text(&text)?)
                    }
                    Err(_) => self.line(said.to_owned()),
                }
            }
            "cut" => {
                let Cut { step, attempt } = serde_json::from_str(data)?;
                self.line(styled(
                    DIM,
                    format!("attempt {attempt} of `{step}` came to nothing: what it said does not count"),
                ))
            }
            "gap" => self.line(styled(DIM, "what came here was forgotten before it was read")),
            _ if self.in_line => self.line(String::new()),
            _ => Ok(()),
        }
    }

    /// Prints a line of its own.
    fn line(&mut self, line: String) -> Result<()> {
        if std::mem::replace(&mut self.in_line, false) {
            screen::text("\n")?;
        }
        if line.is_empty() { Ok(()) } else { Ok(screen::line(line)?) }
    }
}
