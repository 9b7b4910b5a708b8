//! Jobs: one action on every run that a filter matches, counted first, then done little by little.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::{self, Params};
use super::doors::Doors;
use super::error::{FieldError, Problem};
use super::runs::check_filter;
use super::view::{JobJson, PageJson};
use crate::jobs::{self, JobError, NewJob};
use crate::limits::SMALL_BODY_BYTES_MAX;
use crate::model::{JobAction, JobFilter, JobId, JobOptions};

/// The addresses of jobs.
pub(super) fn routes() -> OpenApiRouter<Doors> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(show, stop))
}

/// What to do, with which runs.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewJob)]
struct NewJobJson {
    /// `cancel`, `kill`, `pause`, `resume`, `retry`, `fork` or `move`.
    #[schema(value_type = String)]
    action: JobAction,
    /// Which runs: `{"status": [], "app", "function", "deployment", "previous", "schedule", "parent", "root", "event", "trigger", "key", "name",
    /// "tag": [], "attribute": [], "text", "error", "message", "since", "until"}`, as in lists of runs; what is left out matches all. Without statuses, those that the action can be about.
    #[schema(value_type = Object)]
    filter: JobFilter,
    /// Of a fork: `{"at": entry id}`. Of a move: `{"to": "current" or a deployment's id}`.
    #[serde(default)]
    #[schema(value_type = Object)]
    options: JobOptions,
    /// Only count.
    #[serde(default)]
    dry_run: bool,
}

/// How many runs an action would be about.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = JobCount)]
pub struct JobCountJson {
    /// Runs that match now.
    pub total: u64,
}

/// Start a job, or only count what it would be about. It leaves runs alone that are created after it.
#[utoipa::path(
    post, path = "/v1/jobs", tag = "jobs", operation_id = "createJob",
    request_body = NewJobJson,
    responses(
        (status = 202, description = "The job is durable and begins", body = JobJson),
        (status = 200, description = "With `dryRun`: how many runs match", body = JobCountJson)
    )
)]
async fn create(State(doors): State<Doors>, headers: HeaderMap, body: axum::body::Body) -> Result<Response, Problem> {
    let received = body::receive(&headers, body, SMALL_BODY_BYTES_MAX, false).await?;
    let NewJobJson { action, filter, options, dry_run } = received.json()?;
    check(action, &options)?;
    check_filter(&filter)?;
    if dry_run {
        let total = jobs::count(&*doors.store, action, &filter).await?;
        return Ok(Json(JobCountJson { total }).into_response());
    }
    let job = doors.jobs.create(NewJob { action, filter, options }).await?;
    Ok((StatusCode::ACCEPTED, Json(JobJson::from(&job))).into_response())
}

/// Options belong to their action.
fn check(action: JobAction, options: &JobOptions) -> Result<(), Problem> {
    let wrong = |pointer: &str, detail: String| Err(Problem::field(FieldError::at(pointer, detail)));
    let word = action.as_str();
    if options.at.is_some() && action != JobAction::Fork {
        return wrong("/options/at", format!("is for forks; the action is `{word}`"));
    }
    if action == JobAction::Backfill || options.backfill.is_some() {
        let detail = "is made with `POST /v1/schedules/{app}/{schedule}/backfill`";
        return wrong("/action", format!("a backfill {detail}"));
    }
    match (action, options.to) {
        (JobAction::Move, None) => wrong("/options/to", "is missing: `current`, or the id of a deployment".to_owned()),
        (JobAction::Move, Some(_)) | (_, None) => Ok(()),
        (_, Some(_)) => wrong("/options/to", format!("is for moves; the action is `{word}`")),
    }
}

/// List jobs, newest first: those that run, and the last that have ended.
#[utoipa::path(
    get, path = "/v1/jobs", tag = "jobs", operation_id = "listJobs",
    responses((status = 200, description = "All jobs, on one page", body = PageJson<JobJson>))
)]
async fn list(State(doors): State<Doors>) -> Result<Json<PageJson<JobJson>>, Problem> {
    let jobs = doors.store.jobs().await?;
    Ok(Json(PageJson { items: jobs.iter().map(JobJson::from).collect(), next: None }))
}

/// Show how far a job has come.
#[utoipa::path(
    get, path = "/v1/jobs/{job}", tag = "jobs", operation_id = "showJob",
    params(("job" = String, Path, description = "The job's id")),
    responses((status = 200, description = "The job", body = JobJson))
)]
async fn show(State(doors): State<Doors>, Params(job): Params<String>) -> Result<Json<JobJson>, Problem> {
    let id: JobId = body::id("job", &job)?;
    let job = doors.store.jobs().await?.into_iter().find(|job| job.id == id);
    Ok(Json(JobJson::from(&job.ok_or(JobError::Unknown(id))?)))
}

/// Stop a job where it is. What it has done stays done.
#[utoipa::path(
    delete, path = "/v1/jobs/{job}", tag = "jobs", operation_id = "stopJob",
    params(("job" = String, Path, description = "The job's id")),
    responses((status = 200, description = "The job as it ended", body = JobJson))
)]
async fn stop(State(doors): State<Doors>, Params(job): Params<String>) -> Result<Json<JobJson>, Problem> {
    let id: JobId = body::id("job", &job)?;
    Ok(Json(JobJson::from(&doors.jobs.stop(id).await?)))
}
