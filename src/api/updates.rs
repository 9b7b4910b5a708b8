//! Updates: named messages to one run with a reply. Each settles a wait of its name, and its sender is told what the
//! handler replied, or that the run ended without a reply.

use std::time::Duration;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::{self, Checks, Params, name_problem};
use super::doors::{Doors, unexpected};
use super::error::{Code, FieldError, Problem};
use super::events::idempotency_key;
use super::runs::{self, WaitQuery};
use super::view::{continued_as, there};
use crate::engine::{Command, Reply};
use crate::limits::{CALL_WAIT_MS, OUTCOME_BYTES_MAX, START_BODY_BYTES_MAX, WATCH_POLL_MS};
use crate::model::{Payload, RunId, RunStatus, Settle, Span, Text, update_outcome};
use crate::store::UpdateView;

/// The addresses of updates.
pub(super) fn routes() -> OpenApiRouter<Doors> {
    OpenApiRouter::new().routes(routes!(send, show))
}

/// What an update says.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewUpdate)]
struct NewUpdate<'a> {
    /// What the handler gets: any JSON, `null` if left out.
    #[serde(borrow, default)]
    #[schema(value_type = Value)]
    data: Option<&'a RawValue>,
    /// An id of the client's: a second update with it changes nothing, and is told the reply to the first. May come as
    /// the header `idempotency-key`.
    #[serde(default)]
    id: Option<String>,
}

/// An update, and the reply to it once there is one.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Update)]
pub struct UpdateJson {
    /// The update's id: the client's, or one that the server made.
    #[schema(value_type = String)]
    pub id: Text,
    /// The handler's reply.
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value)]
    pub ok: Option<Payload>,
    /// The error that the handler replied with; named `RunEnded` when the run ended without a reply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object)]
    pub err: Option<Payload>,
}

/// Send an update to a run and wait for the reply. When that takes longer, the answer says where to ask for it.
#[utoipa::path(
    post, path = "/v1/runs/{run}/updates/{update}", tag = "signals", operation_id = "sendUpdate",
    params(
        ("run" = String, Path, description = "The run's id"),
        ("update" = String, Path, description = "The update's name"),
        ("idempotency-key" = Option<String>, Header, description = "As `id` in the body"),
        WaitQuery
    ),
    request_body = Option<NewUpdate<'static>>,
    responses(
        (status = 200, description = "The reply", body = UpdateJson),
        (status = 202, description = "No reply in that time; the update is durable, `location` is its reply", body = UpdateJson)
    )
)]
async fn send(
    State(doors): State<Doors>,
    Params((run, name)): Params<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: axum::body::Body,
) -> Result<Response, Problem> {
    let run: RunId = body::id("run", &run)?;
    let wait = body::query::<WaitQuery>(query.as_deref())?.span(Span(CALL_WAIT_MS))?;
    let problem = name_problem(&name).or_else(|| name.starts_with('$').then(|| "begins with `$`".to_owned()));
    if let Some(problem) = problem {
        return Err(Problem::field(FieldError::of("update", problem)));
    }
    let received = body::receive(&headers, body, START_BODY_BYTES_MAX, false).await?;
    let asked: NewUpdate<'_> = received.json_or_default()?;
    let mut checks = Checks::default();
    let id = asked.id.as_deref().map(|id| checks.name("/id", id));
    checks.done()?;
    let data = match asked.data {
        Some(raw) if raw.get().len() > OUTCOME_BYTES_MAX => return Err(Problem::too_large("/data", OUTCOME_BYTES_MAX)),
        Some(raw) => received.payload(raw),
        None => Payload::null(),
    };
    let id = match id {
        Some(id) => Some(id),
        None => idempotency_key(&headers)?,
    };
    match doors.command(run, Command::Update { run, name: name.into(), id, data }).await? {
        Reply::Updated { run, id, .. } => wait_for_reply(&doors, run, id, wait).await,
        reply => Err(unexpected(&reply)),
    }
}

/// Show the reply to an update, after waiting for it.
#[utoipa::path(
    get, path = "/v1/runs/{run}/updates/{update}", tag = "signals", operation_id = "showUpdate",
    params(
        ("run" = String, Path, description = "The run's id"),
        ("update" = String, Path, description = "The update's id"),
        WaitQuery
    ),
    responses(
        (status = 200, description = "The reply", body = UpdateJson),
        (status = 202, description = "No reply in that time", body = UpdateJson)
    )
)]
async fn show(
    State(doors): State<Doors>,
    Params((run, id)): Params<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let run: RunId = body::id("run", &run)?;
    let wait = body::query::<WaitQuery>(query.as_deref())?.span(Span(0))?;
    wait_for_reply(&doors, run, id.into(), wait).await
}

/// 200 with the reply, of the run that got the update or of one that its run went on in, or 202 when the time is over, or when the server begins to stop.
async fn wait_for_reply(doors: &Doors, mut run: RunId, id: Text, wait: Span) -> Result<Response, Problem> {
    // Subscribe first, then read, then wait: what becomes durable in between is not missed.
    let mut changes = doors.cluster.owner_of(run).watch(run);
    let deadline = tokio::time::sleep(wait.std());
    tokio::pin!(deadline);
    let mut late = wait == Span(0);
    loop {
        let view = doors.store.update(run, id.clone()).await?;
        let went_on = |view: &UpdateView| view.status == RunStatus::Continued && !view.consumed;
        if view.as_ref().is_none_or(went_on)
            && let Some(next) = continued_as(&runs::read(doors, run).await?)
        {
            run = next;
            changes = doors.cluster.owner_of(run).watch(run);
            continue;
        }
        let Some(view) = view else {
            let detail = format!("failed to find update `{id}` of run {run}: it was never sent");
            return Err(Problem::new(Code::UnknownUpdate, detail));
        };
        let outcome = update_outcome(view.status, view.reply);
        if outcome.is_some() || late || doors.stopping() {
            return Ok(answer(run, id, outcome));
        }
        tokio::select! {
            () = changes.changed() => {}
            // Behind every wake-up there is a slow look, in case one was lost.
            () = tokio::time::sleep(Duration::from_millis(WATCH_POLL_MS)) => {}
            () = &mut deadline => late = true,
            () = doors.stopped() => {}
        }
    }
}

fn answer(run: RunId, id: Text, outcome: Option<Settle>) -> Response {
    let location = HeaderValue::from_str(&format!("/v1/runs/{run}/updates/{}", encoded(&id)));
    let (ok, err) = match outcome {
        Some(Settle::Ok(value)) => (Some(value), None),
        Some(Settle::Err(error)) => (None, Some(error)),
        Some(Settle::Timeout) | None => {
            let body = Json(UpdateJson { id, ok: None, err: None });
            let mut response = (StatusCode::ACCEPTED, body).into_response();
            if let Ok(location) = location {
                response.headers_mut().insert(header::LOCATION, location);
            }
            return response;
        }
    };
    Json(UpdateJson { id, ok, err }).into_response()
}

/// An id as a part of a path.
fn encoded(id: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    id.bytes().map(|byte| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
