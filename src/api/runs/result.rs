//! `GET /v1/runs/{run}/result`: how a run ended, waiting for it as long as the client wants.

use std::time::Duration;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::api::body::{self, Params};
use crate::api::doors::Doors;
use crate::api::error::{FieldError, Problem};
use crate::api::view::RunJson;
use crate::limits::{RESULT_WAIT_MS_MAX, WATCH_POLL_MS};
use crate::model::{Payload, RunId, RunStatus, Span};
use crate::store::RunView;

/// How long to wait.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct WaitQuery {
    /// How long to wait for the run's end, such as `30s`; at most 5 minutes.
    pub(in crate::api) wait: Option<String>,
}

impl WaitQuery {
    /// The wait, or what the address means when the client does not say.
    pub(in crate::api) fn span(&self, default: Span) -> Result<Span, Problem> {
        let Some(text) = &self.wait else { return Ok(default) };
        let wrong = |detail: String| Problem::field(FieldError::of("wait", detail));
        let span = match text.parse::<u64>() {
            Ok(ms) => Span(ms),
            Err(_) => text.parse::<Span>().map_err(|error| wrong(error.to_string()))?,
        };
        match span.0 {
            0..=RESULT_WAIT_MS_MAX => Ok(span),
            _ => Err(wrong(format!(
                "is {span}; at most {} in one request, ask again after it",
                Span(RESULT_WAIT_MS_MAX)
            ))),
        }
    }
}

/// How a run ended, or where it stands when it has not.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = RunResult)]
pub struct ResultJson {
    /// The run; of a chain of runs that went on in one another, the newest.
    #[schema(value_type = String)]
    pub id: RunId,
    /// Where it stands: `completed`, `failed`, `cancelled`, or where it waits.
    #[schema(value_type = String)]
    pub status: RunStatus,
    /// The value, of a run that is completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value)]
    pub ok: Option<Payload>,
    /// The error, of a run that failed or was cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object)]
    pub err: Option<Payload>,
}

/// Waits for the end of a run, or of the newest run of its chain. What it returns is that run as it stood then, or when the
/// time was over, or when the server began to stop.
pub(in crate::api) async fn wait_for_end(doors: &Doors, mut run: RunId, wait: Span) -> Result<RunView, Problem> {
    // Subscribe first, then read, then wait: what becomes durable in between is not missed.
    let mut changes = doors.cluster.owner_of(run).watch(run);
    let deadline = tokio::time::sleep(wait.std());
    tokio::pin!(deadline);
    loop {
        let view = super::newest(doors, run).await?;
        if view.head.id != run {
            run = view.head.id;
            changes = doors.cluster.owner_of(run).watch(run);
            continue;
        }
        if view.head.status.is_terminal() || doors.stopping() {
            return Ok(view);
        }
        tokio::select! {
            () = changes.changed() => {}
            // Behind every wake-up there is a slow look, in case one was lost.
            () = tokio::time::sleep(Duration::from_millis(WATCH_POLL_MS)) => {}
            () = &mut deadline => return Ok(view),
            () = doors.stopped() => {}
        }
    }
}

/// 200 with the outcome of a run that has ended; else 202 and where to ask again.
pub(in crate::api) fn finished(view: &RunView) -> Response {
    let RunJson { id, status, ok, err, .. } = RunJson::from(view);
    let result = Json(ResultJson { id, status, ok, err });
    if status.is_terminal() {
        return result.into_response();
    }
    let mut response = (StatusCode::ACCEPTED, result).into_response();
    if let Ok(location) = HeaderValue::from_str(&format!("/v1/runs/{id}/result")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// Show how a run ended, after waiting for it.
#[utoipa::path(
    get, path = "/v1/runs/{run}/result", tag = "runs", operation_id = "runResult",
    params(("run" = String, Path, description = "The run's id"), WaitQuery),
    responses(
        (status = 200, description = "The run has ended", body = ResultJson),
        (status = 202, description = "It has not ended in that time", body = ResultJson)
    )
)]
pub(super) async fn result(
    State(doors): State<Doors>,
    Params(run): Params<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let run = body::id("run", &run)?;
    let wait = body::query::<WaitQuery>(query.as_deref())?.span(Span(0))?;
    Ok(finished(&wait_for_end(&doors, run, wait).await?))
}
