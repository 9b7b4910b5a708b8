//! `backstitch run --watch`: follows a run over server-sent events. On a terminal it is one picture that moves; elsewhere a
//! line for each change. A connection that breaks is opened again: its first messages are a full picture.

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;
use serde_json::value::RawValue;

use super::messages::{Message, Messages};
use super::tree;
use crate::api::view::{EntryJson, RunJson};
use crate::cli::Exit;
use crate::cli::client::{Client, may_pass};
use crate::cli::screen::{self, Picture};
use crate::cli::style::{DIM, styled};
use crate::clock::{Clock as _, SystemClock};
use crate::limits::{PICTURE_MS, WATCH_RETRIES_MAX, WATCH_RETRY_MS};
use crate::model::{EntryStatus, RunId, RunStatus};

/// Follows a run until it ends, and those that it goes on in.
pub(super) async fn follow(client: &Client, mut run: RunId, json: bool) -> Result<Exit> {
    let mut shown = Shown::new(json);
    let mut failures = 0;
    loop {
        match listen(client, run, &mut shown, &mut failures).await {
            Ok(()) => {}
            Err(error) if failures < WATCH_RETRIES_MAX && may_pass(&error) && shown.run.is_some() => failures += 1,
            Err(error) => return Err(error),
        }
        match shown.run.as_ref().map(|run| run.status).filter(|status| status.is_terminal()) {
            Some(RunStatus::Continued) => {
                let ended: RunJson = client.read(&["v1", "runs", &run.to_string()], &[]).await?;
                let Some(next) = ended.continued_as else { return Ok(Exit::Done) };
                run = next;
                shown = Shown::new(json);
                continue;
            }
            Some(status) => return Ok(super::exit_of(status)),
            None => {}
        }
        tokio::time::sleep(Duration::from_millis(WATCH_RETRY_MS)).await;
    }
}

/// Follows over one connection until it ends.
async fn listen(client: &Client, run: RunId, shown: &mut Shown, failures: &mut u32) -> Result<()> {
    let mut response = client.stream(&["v1", "runs", &run.to_string(), "watch"]).await?;
    let mut messages = Messages::default();
    let mut ticks = tokio::time::interval(Duration::from_millis(PICTURE_MS));
    loop {
        tokio::select! {
            chunk = response.chunk() => match chunk {
                Ok(Some(chunk)) => {
                    *failures = 0;
                    for message in messages.feed(&chunk) {
                        if message.kind == "end" {
                            return shown.draw();
                        }
                        shown.take(&message)?;
                    }
                    shown.draw()?;
                }
                Ok(None) => return Ok(()),
                Err(error) => return Err(client.broken(&error).into()),
            },
            _ = ticks.tick() => shown.draw()?,
        }
    }
}

/// What is known of the run, and how it is shown.
struct Shown {
    run: Option<RunJson>,
    entries: Vec<EntryJson>,
    how: How,
}

enum How {
    /// One picture that moves.
    Live(Picture),
    /// A line for each change.
    Lines,
    /// A JSON object for each change.
    Json,
}

#[derive(Serialize)]
struct Change<'a> {
    event: &'a str,
    data: &'a RawValue,
}

impl Shown {
    fn new(json: bool) -> Shown {
        let how = match json {
            true => How::Json,
            false if screen::is_terminal() => How::Live(Picture::default()),
            false => How::Lines,
        };
        Shown { run: None, entries: Vec::new(), how }
    }

    fn take(&mut self, message: &Message) -> Result<()> {
        if matches!(self.how, How::Json) {
            screen::json(&Change { event: &message.kind, data: serde_json::from_str(&message.data)? })?;
        }
        match message.kind.as_str() {
            "run" => self.take_run(serde_json::from_str(&message.data)?),
            "entry" => self.take_entry(serde_json::from_str(&message.data)?),
            _ => Ok(()),
        }
    }

    fn take_run(&mut self, run: RunJson) -> Result<()> {
        let known = self.run.as_ref().map(|run| (run.status, run.failures));
        if matches!(self.how, How::Lines) && known != Some((run.status, run.failures)) {
            let now = SystemClock::new().wall();
            let entries: &[EntryJson] = if run.status.is_terminal() { &self.entries } else { &[] };
            let of_the_run = tree::top(&run, now);
            let end =
                entries.iter().filter(|_| known.is_some()).filter_map(|entry| tree::outcome_line(run.status, entry));
            for line in of_the_run.into_iter().chain(end) {
                screen::line(format!("{}  {line}", styled(DIM, now)))?;
            }
        }
        self.run = Some(run);
        Ok(())
    }

    fn take_entry(&mut self, entry: EntryJson) -> Result<()> {
        let index = self.entries.iter().position(|known| known.idx == entry.idx);
        let news = |known: &EntryJson| (known.status, known.failures) != (entry.status, entry.failures);
        if matches!(self.how, How::Lines) && index.is_none_or(|index| news(&self.entries[index])) {
            let now = SystemClock::new().wall();
            let at = match (entry.status, entry.failures) {
                (EntryStatus::Settled, _) => entry.settled_at.unwrap_or(now),
                // It waits since it came, however long ago that was.
                (_, 0) => entry.created_at,
                _ => now,
            };
            if let Some(line) = tree::single_line(&entry, now) {
                screen::line(format!("{}  {line}", styled(DIM, at)))?;
            }
        }
        match index {
            Some(index) => self.entries[index] = entry,
            None => self.entries.push(entry),
        }
        Ok(())
    }

    fn draw(&mut self) -> Result<()> {
        if let (How::Live(picture), Some(run)) = (&mut self.how, &self.run) {
            let now = SystemClock::new().wall();
            let mut lines = tree::lines(run, &self.entries, now);
            if run.status == RunStatus::Paused {
                lines.push(styled(DIM, format!("when that is put right: backstitch resume {}", run.id)));
            }
            picture.draw(&lines, tree::top(run, now).len())?;
        }
        Ok(())
    }
}
