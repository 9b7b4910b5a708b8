//! `GET /v1/channels/{channel}/stream`: what runs publish on a channel that has a name.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::{HeaderMap, Uri};

use super::Access;
use super::reader::{Position, Reader};
use super::run::StreamQuery;
use super::subscriptions::channel_name;
use crate::api::body::{self, Params};
use crate::api::doors::Doors;
use crate::api::error::{FieldError, Problem};
use crate::model::Channel;

/// Follow what runs publish on a channel as server-sent events: messages, `cut` and `gap`. Without an id to go on from it
/// begins with what comes next; `after=0` begins with all that is kept.
#[utoipa::path(
    get, path = "/v1/channels/{channel}/stream", tag = "streams", operation_id = "streamChannel",
    params(
        ("channel" = String, Path, description = "The channel's name"),
        ("last-event-id" = Option<String>, Header, description = "The id of the last event that was received"),
        ("authorization" = Option<String>, Header, description = "`Bearer` and a subscription token"),
        StreamQuery
    ),
    responses((status = 200, description = "Messages with `topic`, `data`, `run`, `step` and `attempt`; `event: cut`, `event: gap`",
        content_type = "text/event-stream", body = String))
)]
pub(super) async fn stream(
    State(doors): State<Doors>,
    Params(channel): Params<String>,
    RawQuery(query): RawQuery,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let channel = channel_name(&channel).map_err(|detail| Problem::field(FieldError::of("channel", detail)))?;
    let query = body::query::<StreamQuery>(query.as_deref())?;
    let access = Access::of(&doors, &uri, &headers, query.token.as_deref())?;
    access.to_channel(&channel)?;
    let topics = access.topics(query.topics.as_deref())?;
    let position = Position::of(&headers, query.after.as_deref())?;
    Reader::open(doors, Channel::named(&channel), topics, position.unwrap_or(Position::Next)).await
}
