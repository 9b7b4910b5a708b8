//! `GET /v1/runs/{run}/result`: how a run ended, waiting for it as long as the client wants.

use std::time::Duration;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::api::body::{self, Params};
use crate::api::doors::Doors;
use crate::api::error::{FieldError, Problem};
use crate::api::streams::Access;
use crate::limits::{RESULT_WAIT_MS_MAX, WATCH_POLL_MS};
use crate::model::{Outcome, Payload, RunId, RunStatus, Span};
use crate::processor::{End, EndWatch};

/// How long to wait.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct WaitQuery {
    /// How long to wait for the run's end, such as `30s`; at most 5 minutes.
    pub(in crate::api) wait: Option<String>,
}

/// How long to wait, and who asks.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ResultQuery {
    /// How long to wait for the run's end, such as `30s`; at most 5 minutes.
    wait: Option<String>,
    /// A subscription token, `sub_…`, where the header `authorization` cannot be sent.
    token: Option<String>,
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

/// A run whose end is waited for.
pub(in crate::api) struct Awaited {
    run: RunId,
    end: EndWatch,
    /// Whether the run may have ended before anybody waited.
    may_be_over: bool,
}

impl Awaited {
    /// A run that was there before.
    pub(in crate::api) fn existing(doors: &Doors, run: RunId) -> Awaited {
        Awaited { run, end: doors.cluster.owner_of(run).await_end(run), may_be_over: true }
    }

    /// A run that was created now, with what its owner gave for it.
    pub(in crate::api) fn created(run: RunId, end: EndWatch) -> Awaited {
        Awaited { run, end, may_be_over: false }
    }
}

/// Waits for the end of a run, or of the newest run of its chain. What it returns is how that run stood then, or when the
/// time was over, or when the server began to stop.
pub(in crate::api) async fn wait_for_end(doors: &Doors, mut awaited: Awaited, wait: Span) -> Result<End, Problem> {
    let deadline = tokio::time::sleep(wait.std());
    tokio::pin!(deadline);
    let mut last_look = false;
    loop {
        if awaited.may_be_over {
            let view = super::newest(doors, awaited.run).await?;
            if view.head.id != awaited.run {
                awaited = Awaited::existing(doors, view.head.id);
                continue;
            }
            if view.head.status.is_terminal() || doors.stopping() || last_look {
                let outcome = view.outcome.and_then(|entry| entry.outcome);
                return Ok(End { run: view.head.id, status: view.head.status, outcome });
            }
        }
        awaited.may_be_over = true;
        tokio::select! {
            end = awaited.end.ended() => match end.status {
                // Another run goes on for it: the tables say which.
                RunStatus::Continued => {}
                _ => return Ok(end),
            },
            // Behind every wake-up there is a slow look, in case one was lost.
            () = tokio::time::sleep(Duration::from_millis(WATCH_POLL_MS)) => {}
            () = &mut deadline => last_look = true,
            () = doors.stopped() => {}
        }
    }
}

/// 200 with the outcome of a run that has ended; else 202 and where to ask again.
pub(in crate::api) fn finished(end: End) -> Response {
    let (id, status) = (end.run, end.status);
    let (ok, err) = match end.outcome {
        Some(Outcome::Ok(value)) => (Some(value), None),
        Some(Outcome::Err(error)) => (None, Some(error)),
        Some(Outcome::Timeout) | None => (None, None),
    };
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
    params(
        ("run" = String, Path, description = "The run's id"),
        ("authorization" = Option<String>, Header, description = "`Bearer` and a subscription token"),
        ResultQuery
    ),
    responses(
        (status = 200, description = "The run has ended", body = ResultJson),
        (status = 202, description = "It has not ended in that time", body = ResultJson)
    )
)]
pub(super) async fn result(
    State(doors): State<Doors>,
    Params(run): Params<String>,
    RawQuery(query): RawQuery,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let run = body::id("run", &run)?;
    let query = body::query::<ResultQuery>(query.as_deref())?;
    Access::of(&doors, &uri, &headers, query.token.as_deref())?.to_run(run)?;
    let wait = WaitQuery { wait: query.wait }.span(Span(0))?;
    Ok(finished(wait_for_end(&doors, Awaited::existing(&doors, run), wait).await?))
}
