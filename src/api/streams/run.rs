//! `GET /v1/runs/{run}/stream`: what a run publishes, until it ends.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::{HeaderMap, Uri};
use serde::Deserialize;
use utoipa::IntoParams;

use super::Access;
use super::reader::{Position, Reader};
use crate::api::body::{self, Params};
use crate::api::doors::Doors;
use crate::api::error::Problem;
use crate::model::{Channel, RunId};

/// What of a stream is read.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct StreamQuery {
    /// Of these topics only, separated by commas.
    #[param(example = "tokens,progress")]
    pub(super) topics: Option<String>,
    /// Only what follows this id: for a client that cannot send the header `Last-Event-ID`.
    #[param(value_type = Option<String>)]
    pub(super) after: Option<String>,
    /// A subscription token, `sub_…`, where the header `authorization` cannot be sent.
    pub(super) token: Option<String>,
}

/// Follow what a run publishes as server-sent events: messages, `cut`, `gap`, and `end` when the run has ended. A chain of
/// runs that went on in one another is one stream.
#[utoipa::path(
    get, path = "/v1/runs/{run}/stream", tag = "streams", operation_id = "streamRun",
    params(
        ("run" = String, Path, description = "The run's id"),
        ("last-event-id" = Option<String>, Header, description = "The id of the last event that was received"),
        ("authorization" = Option<String>, Header, description = "`Bearer` and a subscription token"),
        StreamQuery
    ),
    responses(
        (status = 200, description = "Messages with `topic`, `data`, `run`, `step` and `attempt`; `event: cut`, `event: gap`, `event: end`",
            content_type = "text/event-stream", body = String),
        (status = 204, description = "The client has seen the end")
    )
)]
pub(super) async fn stream(
    State(doors): State<Doors>,
    Params(run): Params<String>,
    RawQuery(query): RawQuery,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let run: RunId = body::id("run", &run)?;
    let query = body::query::<StreamQuery>(query.as_deref())?;
    let access = Access::of(&doors, &uri, &headers, query.token.as_deref())?;
    access.to_run(run)?;
    let topics = access.topics(query.topics.as_deref())?;
    let position = Position::of(&headers, query.after.as_deref())?;
    Reader::open(doors, Channel::of(run), topics, position.unwrap_or(Position::Start)).await
}
