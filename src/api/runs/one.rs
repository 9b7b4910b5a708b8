//! `GET /v1/runs/{run}` and its journal.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::unknown;
use crate::api::body::{self, Params};
use crate::api::doors::Doors;
use crate::api::error::Problem;
use crate::api::view::{JournalJson, RunJson};
use crate::model::{Payload, RunId, RunStatus};
use crate::store::RunView;

/// Reads a run that must exist.
pub(in crate::api) async fn read(doors: &Doors, id: RunId) -> Result<RunView, Problem> {
    doors.store.run(id).await?.ok_or_else(|| unknown(id))
}

/// Reads a run that must exist, or the newest run of its chain if it went on in others.
pub(in crate::api) async fn newest(doors: &Doors, id: RunId) -> Result<RunView, Problem> {
    let view = read(doors, id).await?;
    if view.head.status != RunStatus::Continued {
        return Ok(view);
    }
    match doors.store.newest_of_chain(view.head.chain.unwrap_or(id)).await? {
        Some(newest) => read(doors, newest).await,
        None => Ok(view),
    }
}

/// Show a run with its input and, when it has ended, its outcome.
#[utoipa::path(
    get, path = "/v1/runs/{run}", tag = "runs", operation_id = "showRun",
    params(("run" = String, Path, description = "The run's id")),
    responses((status = 200, description = "The run", body = RunJson))
)]
pub(super) async fn show(State(doors): State<Doors>, Params(run): Params<String>) -> Result<Json<RunJson>, Problem> {
    let run = body::id("run", &run)?;
    Ok(Json(RunJson::from(&read(&doors, run).await?)))
}

/// What a run shows of itself.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Shown)]
pub struct ShownJson {
    /// The run; of a chain of runs that went on in one another, the newest.
    #[schema(value_type = String)]
    pub id: RunId,
    /// Where it stands.
    #[schema(value_type = String)]
    pub status: RunStatus,
    /// What its handler shows: any JSON, `null` for nothing.
    #[schema(value_type = Value)]
    pub value: Option<Payload>,
}

/// Ask what a run shows of itself (its handler sets it with `run.setStatus`). No handler is invoked for it.
#[utoipa::path(
    get, path = "/v1/runs/{run}/status", tag = "runs", operation_id = "showStatus",
    params(("run" = String, Path, description = "The run's id")),
    responses((status = 200, description = "What it shows", body = ShownJson))
)]
pub(super) async fn status(
    State(doors): State<Doors>,
    Params(run): Params<String>,
) -> Result<Json<ShownJson>, Problem> {
    let head = newest(&doors, body::id("run", &run)?).await?.head;
    Ok(Json(ShownJson { id: head.id, status: head.status, value: head.value }))
}

/// Show a run's whole journal: entries in order of creation, with their failed attempts.
#[utoipa::path(
    get, path = "/v1/runs/{run}/journal", tag = "runs", operation_id = "showJournal",
    params(("run" = String, Path, description = "The run's id")),
    responses((status = 200, description = "The journal", body = JournalJson))
)]
pub(super) async fn journal(
    State(doors): State<Doors>,
    Params(run): Params<String>,
) -> Result<Json<JournalJson>, Problem> {
    let run: RunId = body::id("run", &run)?;
    let journal = doors.store.journal(run).await?.ok_or_else(|| unknown(run))?;
    Ok(Json(JournalJson::from(&journal)))
}
