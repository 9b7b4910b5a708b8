//! `GET /v1/runs/{run}/watch`: a run's changes as server-sent events, until it ends.
//!
//! Each message is the whole of one thing: `run` the run, `entry` one entry, both replacing what the client had. The first
//! messages are a full picture, so a client that was cut off misses nothing by connecting again. The last is `end`; its id
//! is `end`, and a client that comes back with that id is told that there is nothing more (204).

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, stream};
use http::{HeaderMap, StatusCode};
use serde::Serialize;

use super::unknown;
use crate::api::body::{self, Params};
use crate::api::doors::{Doors, Place};
use crate::api::error::Problem;
use crate::api::view::{EntryJson, RunJson};
use crate::limits::{HEARTBEAT_MS, WATCH_PAUSE_MS, WATCH_POLL_MS, WATCHES_MAX};
use crate::model::{Entry, RunHead, RunId};
use crate::processor::Watch;
use crate::store::Journal;

/// The id of the last message.
const END: &str = "end";

/// Follow a run as server-sent events: `run` and `entry` messages, each replacing what was sent before, then `end`.
#[utoipa::path(
    get, path = "/v1/runs/{run}/watch", tag = "runs", operation_id = "watchRun",
    params(
        ("run" = String, Path, description = "The run's id"),
        ("last-event-id" = Option<String>, Header, description = "The id of the last message that was received")
    ),
    responses(
        (status = 200, description = "`event: run` with a Run, `event: entry` with an Entry, `event: end`",
            content_type = "text/event-stream", body = String),
        (status = 204, description = "The client has seen the end")
    )
)]
pub(super) async fn watch(
    State(doors): State<Doors>,
    Params(run): Params<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let run: RunId = body::id("run", &run)?;
    if headers.get("last-event-id").is_some_and(|id| id.as_bytes() == END.as_bytes()) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let place = doors.watching.enter().ok_or_else(|| {
        Problem::busy(format!("failed to watch: {WATCHES_MAX} clients watch already; ask for the result instead"))
    })?;
    // Subscribe first, then read, then wait: what becomes durable in between is not missed.
    let changes = doors.cluster.owner_of(run).watch(run);
    let journal = doors.store.journal(run).await?.ok_or_else(|| unknown(run))?;
    let mut follower = Follower { run, doors, changes, shown: Shown::default(), sent: 0, _place: place };
    let first = follower.messages(&journal);
    let keep_alive = KeepAlive::new().interval(Duration::from_millis(HEARTBEAT_MS));
    Ok(Sse::new(follower.stream(first)).keep_alive(keep_alive).into_response())
}

/// One client that watches one run.
struct Follower {
    run: RunId,
    doors: Doors,
    changes: Watch,
    shown: Shown,
    sent: u64,
    _place: Place,
}

/// What the client has been told last.
#[derive(Default)]
struct Shown {
    head: Option<RunHead>,
    /// Entries by position, with how many failed attempts were shown.
    entries: Vec<(Entry, usize)>,
}

/// What is sent at once, and whether it is the end.
struct Messages {
    events: Vec<Event>,
    ended: bool,
}

impl Follower {
    fn stream(self, first: Messages) -> impl Stream<Item = Result<Event, Infallible>> {
        use futures_util::StreamExt;
        let ended = first.ended;
        stream::iter(first.events)
            .chain(
                stream::unfold((self, ended), |(mut follower, ended)| async move {
                    if ended {
                        return None;
                    }
                    let next = follower.next().await?;
                    Some((stream::iter(next.events), (follower, next.ended)))
                })
                .flatten(),
            )
            .map(Ok)
    }

    /// The next messages; nothing when the server stops or the run cannot be read: the client connects again then.
    async fn next(&mut self) -> Option<Messages> {
        loop {
            tokio::select! {
                () = self.changes.changed() => {}
                () = tokio::time::sleep(Duration::from_millis(WATCH_POLL_MS)) => {}
                () = self.doors.stopped() => return None,
            }
            // Many changes in a row make one picture: a busy run costs its watchers one read in a while.
            tokio::time::sleep(Duration::from_millis(WATCH_PAUSE_MS)).await;
            let journal = match self.doors.store.journal(self.run).await {
                Ok(journal) => journal?,
                Err(error) => {
                    tracing::warn!(run.id = %self.run, error = %error, "a run that is watched could not be read");
                    return None;
                }
            };
            let messages = self.messages(&journal);
            if !messages.events.is_empty() {
                return Some(messages);
            }
        }
    }

    /// What has changed since the last call. In the first picture the run comes before its entries, later after them, so
    /// that a client that sees a run end has seen all that led to it.
    fn messages(&mut self, journal: &Journal) -> Messages {
        let mut events = Vec::new();
        let head_changed = self.shown.head.as_ref() != Some(&journal.head);
        if self.shown.head.is_none() {
            events.extend(self.event("run", &RunJson::from(&journal.head)));
        }
        for entry in &journal.entries {
            let failed = journal.attempts.iter().filter(|attempt| attempt.idx == Some(entry.idx)).count();
            let index = entry.idx as usize;
            let known = self.shown.entries.get(index).is_some_and(|(shown, n)| shown == entry && *n == failed);
            if known {
                continue;
            }
            events.extend(self.event("entry", &EntryJson::new(entry, &journal.attempts)));
            if let Some(slot) = self.shown.entries.get_mut(index) {
                *slot = (entry.clone(), failed);
            } else {
                self.shown.entries.push((entry.clone(), failed));
            }
        }
        let ended = journal.head.status.is_terminal();
        if head_changed && self.shown.head.is_some() {
            events.extend(self.event("run", &RunJson::from(&journal.head)));
        }
        if ended {
            events.push(Event::default().event("end").id(END).data("{}"));
        }
        self.shown.head = Some(journal.head.clone());
        Messages { events, ended }
    }

    fn event<T: Serialize>(&mut self, kind: &str, data: &T) -> Option<Event> {
        self.sent += 1;
        match serde_json::to_string(data) {
            Ok(json) => Some(Event::default().event(kind).id(self.sent.to_string()).data(body::one_line(json))),
            Err(error) => {
                tracing::error!(run.id = %self.run, error = %error, "a message about a run could not be printed");
                None
            }
        }
    }
}
