//! What can be asked of a run: to stop, and to go on when it is held.

use axum::Json;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::body::{self, Params};
use crate::api::doors::{Doors, unexpected};
use crate::api::error::Problem;
use crate::engine::{Command, Reply};
use crate::limits::SMALL_BODY_BYTES_MAX;
use crate::model::{MoveTo, RunId, RunStatus};

/// Where a run stands.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = RunStatus)]
pub struct StatusJson {
    /// The run.
    #[schema(value_type = String)]
    pub id: RunId,
    /// Where it stands after what was asked.
    #[schema(value_type = String)]
    pub status: RunStatus,
}

/// Where a run is moved to.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MoveRun)]
pub(super) struct MoveRunJson {
    /// `current`, or the id of a deployment of the run's app.
    #[schema(value_type = String)]
    to: MoveTo,
}

/// These requests say everything in their address: a body has no fields.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

async fn act(
    doors: &Doors,
    run: &str,
    headers: &HeaderMap,
    body: axum::body::Body,
    command: impl FnOnce(RunId) -> Command,
) -> Result<(StatusCode, Json<StatusJson>), Problem> {
    let run: RunId = body::id("run", run)?;
    let received = body::receive(headers, body, SMALL_BODY_BYTES_MAX, false).await?;
    let Nothing {} = received.json_or_default()?;
    match doors.command(run, command(run)).await? {
        Reply::Status(status) => Ok((StatusCode::ACCEPTED, Json(StatusJson { id: run, status }))),
        Reply::Done => {
            let status = super::read(doors, run).await?.head.status;
            Ok((StatusCode::ACCEPTED, Json(StatusJson { id: run, status })))
        }
        reply => Err(unexpected(&reply)),
    }
}

/// Ask a run to stop. Its handler is told in its turn and may put things right first; after a minute it is ended.
#[utoipa::path(
    post, path = "/v1/runs/{run}/cancel", tag = "runs", operation_id = "cancelRun",
    params(("run" = String, Path, description = "The run's id")),
    responses((status = 202, description = "The run was asked", body = StatusJson))
)]
pub(super) async fn cancel(
    State(doors): State<Doors>,
    Params(run): Params<String>,
    headers: HeaderMap,
    body: axum::body::Body,
) -> Result<(StatusCode, Json<StatusJson>), Problem> {
    act(&doors, &run, &headers, body, |run| Command::Cancel { run }).await
}

/// End a run at once, as cancelled: its handler is not asked and nothing is compensated.
#[utoipa::path(
    post, path = "/v1/runs/{run}/kill", tag = "runs", operation_id = "killRun",
    params(("run" = String, Path, description = "The run's id")),
    responses((status = 202, description = "The run has ended", body = StatusJson))
)]
pub(super) async fn kill(
    State(doors): State<Doors>,
    Params(run): Params<String>,
    headers: HeaderMap,
    body: axum::body::Body,
) -> Result<(StatusCode, Json<StatusJson>), Problem> {
    act(&doors, &run, &headers, body, |run| Command::Kill { run }).await
}

/// Hold a run until somebody resumes it. A handler that is at work on it is told to stop, and what it still answers
/// changes nothing; timers and waits of the run go on.
#[utoipa::path(
    post, path = "/v1/runs/{run}/pause", tag = "runs", operation_id = "pauseRun",
    params(("run" = String, Path, description = "The run's id")),
    responses((status = 202, description = "The run is held", body = StatusJson))
)]
pub(super) async fn pause(
    State(doors): State<Doors>,
    Params(run): Params<String>,
    headers: HeaderMap,
    body: axum::body::Body,
) -> Result<(StatusCode, Json<StatusJson>), Problem> {
    act(&doors, &run, &headers, body, |run| Command::Pause { run }).await
}

/// Move a run to another deployment of its app. If it is held because of what its old one is, or would be tried again later,
/// it goes on at once.
#[utoipa::path(
    post, path = "/v1/runs/{run}/move", tag = "runs", operation_id = "moveRun",
    params(("run" = String, Path, description = "The run's id")),
    request_body = MoveRunJson,
    responses((status = 202, description = "The run is moved", body = StatusJson))
)]
pub(super) async fn relocate(
    State(doors): State<Doors>,
    Params(run): Params<String>,
    headers: HeaderMap,
    body: axum::body::Body,
) -> Result<(StatusCode, Json<StatusJson>), Problem> {
    let run: RunId = body::id("run", &run)?;
    let received = body::receive(&headers, body, SMALL_BODY_BYTES_MAX, false).await?;
    let MoveRunJson { to } = received.json()?;
    match doors.command(run, Command::Move { run, to }).await? {
        Reply::Status(status) => Ok((StatusCode::ACCEPTED, Json(StatusJson { id: run, status }))),
        reply => Err(unexpected(&reply)),
    }
}

/// Lift a run's hold, after its reason is gone.
#[utoipa::path(
    post, path = "/v1/runs/{run}/resume", tag = "runs", operation_id = "resumeRun",
    params(("run" = String, Path, description = "The run's id")),
    responses((status = 202, description = "The run goes on", body = StatusJson))
)]
pub(super) async fn resume(
    State(doors): State<Doors>,
    Params(run): Params<String>,
    headers: HeaderMap,
    body: axum::body::Body,
) -> Result<(StatusCode, Json<StatusJson>), Problem> {
    act(&doors, &run, &headers, body, |run| Command::Resume { run }).await
}
