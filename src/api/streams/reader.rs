//! One client that reads a stream. It is given what is durable and nothing else: each page comes from the ledger. A slow
//! one costs nothing but its place; one that takes nothing for long is cut off, and goes on later from the id that it has.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, stream};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::api::doors::{Doors, Place};
use crate::api::error::{FieldError, Problem};
use crate::limits::{
    HEARTBEAT_MS, READER_SOURCES_MAX, STREAM_PAGE, STREAM_PAUSE_MS, STREAM_READERS_MAX, STREAM_STALL_MS, WATCH_POLL_MS,
};
use crate::model::{Channel, Messages, Outcome, RunId, RunStatus, Text, Timestamp};
use crate::processor::Watch;
use crate::store::MessagesPage;

/// The id of the last event of a run's stream.
const END: &str = "end";

/// Tells proxies not to gather what is sent.
const UNBUFFERED: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));

/// From where on a client reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Position {
    /// From the first message that is kept.
    Start,
    /// From what comes next.
    Next,
    /// From behind this number, up to which the client has read.
    After(i64),
    /// It has seen the end.
    Ended,
}

impl Position {
    /// What the client says; nothing if it does not.
    pub(super) fn of(headers: &HeaderMap, after: Option<&str>) -> Result<Option<Position>, Problem> {
        let header = headers.get("last-event-id").map(|value| (value.to_str().unwrap_or_default(), "last-event-id"));
        let Some((text, place)) = header.or(after.map(|after| (after, "after"))) else { return Ok(None) };
        if text == END {
            return Ok(Some(Position::Ended));
        }
        match text.trim().parse::<i64>() {
            Ok(0) => Ok(Some(Position::Start)),
            Ok(no) if no > 0 => Ok(Some(Position::After(no))),
            _ => {
                let detail =
                    "is no id of this stream: send the id of the last event that was received, or leave it out";
                Err(Problem::field(FieldError::of(place, detail)))
            }
        }
    }
}

/// One client that reads one stream.
pub(super) struct Reader {
    doors: Doors,
    channel: Channel,
    topics: Option<Vec<Text>>,
    /// Everything up to here was looked at.
    position: i64,
    said: Said,
    news: Watch,
    /// Of a run's own channel: the run, and what tells when it may have ended.
    run: Option<(RunId, Watch)>,
    /// Whether the run may have ended since it was looked at.
    ask: bool,
    _place: Place,
}

/// What is sent at once, and whether it is the end.
#[derive(Default)]
struct Page {
    events: Vec<Event>,
    ended: bool,
}

impl Reader {
    /// Begins to answer a client.
    pub(super) async fn open(
        doors: Doors,
        channel: Channel,
        topics: Option<Vec<Text>>,
        position: Position,
    ) -> Result<Response, Problem> {
        if position == Position::Ended {
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
        let place = doors.reading.enter().ok_or_else(|| {
            Problem::busy(format!("failed to read: {STREAM_READERS_MAX} clients read already; try again in a while"))
        })?;
        // Subscribe first, then read, then wait: what becomes durable in between is not missed.
        let news = follow(&doors, &channel);
        let run = channel.run().map(|run| (run, doors.cluster.owner_of(run).watch(run)));
        if let Some((run, _)) = &run {
            doors.store.run(*run).await?.ok_or_else(|| crate::api::runs::unknown(*run))?;
        }
        let after = match position {
            Position::After(no) => no,
            Position::Next => {
                let head = doors.store.messages(page_of(&channel, i64::MAX)).await?.head;
                head.segments.last().map_or(head.floor, |segment| segment.last)
            }
            Position::Start | Position::Ended => 0,
        };
        let said = Said { resumed: after, ..Said::default() };
        let reader = Reader { doors, channel, topics, position: after, said, news, run, ask: true, _place: place };
        let keep_alive = KeepAlive::new().interval(Duration::from_millis(HEARTBEAT_MS));
        Ok(([UNBUFFERED], Sse::new(reader.events()).keep_alive(keep_alive)).into_response())
    }

    fn events(self) -> impl Stream<Item = Result<Event, Infallible>> {
        stream::unfold((self, false, None::<u64>), |(mut reader, ended, handed)| async move {
            // The next page is asked for when the one before has gone out. Who took too long comes back with the id it has.
            let now = reader.doors.clock.monotonic_ms();
            let stalled = handed.is_some_and(|at| now.saturating_sub(at) > STREAM_STALL_MS);
            if ended || stalled {
                return None;
            }
            let page = reader.next().await?;
            let handed = reader.doors.clock.monotonic_ms();
            Some((stream::iter(page.events), (reader, page.ended, Some(handed))))
        })
        .flatten()
        .map(Ok)
    }

    /// The next events; nothing when the server stops or the ledger does not answer: the client connects again then.
    async fn next(&mut self) -> Option<Page> {
        loop {
            match self.page().await {
                Ok(Some(page)) => return Some(page),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(error = %error, "a stream could not be read");
                    return None;
                }
            }
            let run = async {
                match &mut self.run {
                    Some((_, changes)) => changes.changed().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.news.changed() => {}
                () = run => self.ask = true,
                // Behind every wake-up there is a slow look, in case one was lost.
                () = tokio::time::sleep(Duration::from_millis(WATCH_POLL_MS)) => self.ask = true,
                () = self.doors.stopped() => return None,
            }
            // Many words in a row make one page.
            tokio::time::sleep(Duration::from_millis(STREAM_PAUSE_MS)).await;
        }
    }

    /// What there is now; nothing if there is nothing.
    async fn page(&mut self) -> Result<Option<Page>, crate::store::StoreError> {
        let mut page = Page::default();
        loop {
            // First the run, then its messages: one that has ended says no more.
            let ended = self.ended().await?;
            let view = self.doors.store.messages(page_of(&self.channel, self.position)).await?;
            if view.head.floor > self.position {
                let gap = Gap { after: self.position, until: view.head.floor };
                page.events.extend(event("gap", view.head.floor, &gap));
                self.position = view.head.floor;
            }
            let full = view.messages.len() == STREAM_PAGE;
            for row in &view.messages {
                self.take(row, &mut page.events);
            }
            if full || !page.events.is_empty() && ended.is_none() {
                if page.events.is_empty() {
                    continue;
                }
                return Ok(Some(page));
            }
            match ended {
                None => return Ok(None),
                Some(Ended::GoesOn(next)) => self.go_on(next),
                Some(Ended::Over(status)) => {
                    let end = End { run: self.channel.run(), status };
                    page.events.extend(named("end", END, &end));
                    page.ended = true;
                    return Ok(Some(page));
                }
            }
        }
    }

    /// Whether the run has ended, and how.
    async fn ended(&mut self) -> Result<Option<Ended>, crate::store::StoreError> {
        let Some((run, _)) = self.run.as_ref().filter(|_| self.ask) else { return Ok(None) };
        let Some(view) = self.doors.store.run(*run).await? else { return Ok(Some(Ended::Over(None))) };
        let status = view.head.status;
        self.ask = status.is_terminal();
        Ok(match status {
            RunStatus::Continued => {
                #[derive(serde::Deserialize)]
                struct Next {
                    run: RunId,
                }
                let outcome = view.outcome.as_ref().and_then(|entry| entry.outcome.as_ref()).and_then(Outcome::payload);
                let next = outcome.and_then(|outcome| outcome.read::<Next>().ok());
                Some(next.map_or(Ended::Over(Some(status)), |next| Ended::GoesOn(next.run)))
            }
            status => status.is_terminal().then_some(Ended::Over(Some(status))),
        })
    }

    /// The run went on in another: what that one publishes follows.
    fn go_on(&mut self, next: RunId) {
        self.channel = Channel::of(next);
        self.news = follow(&self.doors, &self.channel);
        self.run = Some((next, self.doors.cluster.owner_of(next).watch(next)));
    }

    fn take(&mut self, row: &Messages, events: &mut Vec<Event>) {
        let after = self.position;
        self.position = row.no;
        let step = row.attempt.map(|_| &*row.source);
        let Some(data) = &row.data else {
            if self.said.was_heard(row) {
                let cut = Cut { run: row.run, step, attempt: row.attempt, from: row.first };
                events.extend(event("cut", row.no, &cut));
            }
            return;
        };
        if self.topics.as_ref().is_some_and(|topics| !topics.contains(&row.topic)) {
            return;
        }
        let Ok(data) = data.read::<Vec<&RawValue>>() else { return };
        for (no, data) in (row.first..).zip(data).filter(|(no, _)| *no > after) {
            let message = Message { topic: &row.topic, data, run: row.run, step, attempt: row.attempt, at: row.at };
            events.extend(event("", no, &message));
        }
        if row.attempt.is_some() {
            self.said.hear(row);
        }
    }
}

fn page_of(channel: &Channel, after: i64) -> MessagesPage {
    MessagesPage { channel: channel.clone(), after, limit: STREAM_PAGE }
}

fn follow(doors: &Doors, channel: &Channel) -> Watch {
    let mut homes = doors.cluster.homes_of_channel(channel);
    homes.next().expect("a node has a partition").follow(channel.clone())
}

/// Where a run's stream ends.
enum Ended {
    /// In this run.
    GoesOn(RunId),
    /// For good; without a status if the run is kept no longer.
    Over(Option<RunStatus>),
}

/// What the client has heard of steps that may still be cut.
#[derive(Default)]
struct Said {
    /// Up to here it may have heard everything, before it came back.
    resumed: i64,
    /// The number of the last message of each step since.
    last: BTreeMap<(RunId, Text), i64>,
}

impl Said {
    fn hear(&mut self, row: &Messages) {
        self.last.insert((row.run, row.source.clone()), row.no);
        if self.last.len() > READER_SOURCES_MAX {
            let oldest = self.last.iter().min_by_key(|(_, no)| **no).map(|(key, no)| (key.clone(), *no));
            if let Some((key, no)) = oldest {
                self.last.remove(&key);
                self.resumed = self.resumed.max(no);
            }
        }
    }

    /// Whether the client may have heard what this notice says was cut.
    fn was_heard(&mut self, notice: &Messages) -> bool {
        let last = self.last.remove(&(notice.run, notice.source.clone()));
        last.is_some_and(|no| no >= notice.first) || notice.first <= self.resumed
    }
}

#[derive(Serialize)]
struct Message<'a> {
    topic: &'a str,
    data: &'a RawValue,
    run: RunId,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    at: Timestamp,
}

#[derive(Serialize)]
struct Cut<'a> {
    run: RunId,
    step: Option<&'a str>,
    attempt: Option<u32>,
    from: i64,
}

#[derive(Serialize)]
struct Gap {
    after: i64,
    until: i64,
}

#[derive(Serialize)]
struct End {
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<RunId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<RunStatus>,
}

fn event<T: Serialize>(kind: &str, id: i64, data: &T) -> Option<Event> {
    named(kind, &id.to_string(), data)
}

fn named<T: Serialize>(kind: &str, id: &str, data: &T) -> Option<Event> {
    match serde_json::to_string(data) {
        Ok(json) => {
            let event = Event::default().id(id).data(crate::api::body::one_line(json));
            Some(if kind.is_empty() { event } else { event.event(kind) })
        }
        Err(error) => {
            tracing::error!(error = %error, "a message could not be printed");
            None
        }
    }
}
