//! `GET /v1/watch`: the changes of all runs as server-sent events, for lists that stay true.
//!
//! A message says how runs are now, never how they were: whoever has a list replaces what it has, and a run that comes twice
//! does no harm. When more changes than fit into a message it says how many were missed, and a client that wants them looks at
//! its list again; so it does when it connects. What a handler does many times a second costs its watchers a message each
//! now and then.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body;
use super::doors::{Doors, Place};
use super::error::Problem;
use super::view::RunJson;
use crate::limits::{HEARTBEAT_MS, WATCH_ALL_PAUSE_MS, WATCHES_MAX};
use crate::model::{RunHead, RunId};
use crate::processor::{Changes, WatchAll};
use crate::store::RunView;

/// The address of the watch.
pub(super) fn routes() -> OpenApiRouter<Doors> {
    OpenApiRouter::new().routes(routes!(watch_all))
}

/// Of which runs. A watch has no filter by status: a run that leaves a list has to be told of.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct WatchQuery {
    /// Of this app.
    app: Option<String>,
    /// Of the function with this id.
    function: Option<String>,
}

impl WatchQuery {
    fn matches(&self, head: &RunHead) -> bool {
        let same = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|wanted| wanted == is);
        same(&self.app, &head.function.app) && same(&self.function, &head.function.function)
    }
}

/// Follow all runs as server-sent events: `runs` with those that have changed, as they are now, and `missed` when there were more.
#[utoipa::path(
    get, path = "/v1/watch", tag = "runs", operation_id = "watchRuns", params(WatchQuery),
    responses((status = 200, description = "`event: runs` with `{items: [Run]}`, `event: missed` with `{changes}`",
        content_type = "text/event-stream", body = String))
)]
async fn watch_all(State(doors): State<Doors>, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let query: WatchQuery = body::query(query.as_deref())?;
    let place = doors.watching.enter().ok_or_else(|| {
        Problem::busy(format!("failed to watch: {WATCHES_MAX} clients watch already; ask for the list instead"))
    })?;
    let changes = WatchAll::default();
    doors.cluster.local().for_each(|partition| partition.watch_all(&changes));
    let follower = Follower { query, doors, changes, _place: place };
    let messages = stream::unfold((follower, Vec::<Event>::new()), |(mut follower, mut ready)| async move {
        while ready.is_empty() {
            ready = follower.next().await?;
            // They are taken from the end.
            ready.reverse();
        }
        let event = ready.pop()?;
        Some((Ok::<Event, Infallible>(event), (follower, ready)))
    });
    let keep_alive = KeepAlive::new().interval(Duration::from_millis(HEARTBEAT_MS));
    Ok(Sse::new(messages).keep_alive(keep_alive).into_response())
}

/// One client that watches all runs.
struct Follower {
    query: WatchQuery,
    doors: Doors,
    changes: WatchAll,
    _place: Place,
}

#[derive(Serialize)]
struct RunsMessage {
    items: Vec<RunJson>,
}

#[derive(Serialize)]
struct MissedMessage {
    changes: usize,
}

impl Follower {
    /// The next messages, maybe none; nothing when the server stops or runs cannot be read: the client connects again then.
    async fn next(&mut self) -> Option<Vec<Event>> {
        tokio::select! {
            () = self.changes.changed() => {}
            () = self.doors.stopped() => return None,
        }
        tokio::time::sleep(Duration::from_millis(WATCH_ALL_PAUSE_MS)).await;
        let Changes { runs, missed } = self.changes.take();
        let mut items = Vec::new();
        for run in runs {
            let view = self.read(run).await?.filter(|view| self.query.matches(&view.head));
            items.extend(view.as_ref().map(RunJson::row));
        }
        let runs = (!items.is_empty()).then(|| event("runs", &RunsMessage { items }));
        let missed = (missed > 0).then(|| event("missed", &MissedMessage { changes: missed }));
        Some(runs.into_iter().chain(missed).flatten().collect())
    }

    /// A run as it is now: nothing inside when it is gone, nothing at all when the database does not answer.
    async fn read(&self, run: RunId) -> Option<Option<RunView>> {
        match self.doors.store.run(run).await {
            Ok(view) => Some(view),
            Err(error) => {
                tracing::warn!(run.id = %run, error = %error, "a run that is watched could not be read");
                None
            }
        }
    }
}

fn event<T: Serialize>(kind: &str, data: &T) -> Option<Event> {
    match serde_json::to_string(data) {
        Ok(json) => Some(Event::default().event(kind).data(body::one_line(json))),
        Err(error) => {
            tracing::error!(error = %error, "a message about runs could not be printed");
            None
        }
    }
}
