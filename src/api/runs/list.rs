//! `GET /v1/runs`: runs that match, newest first, a page at a time.

use axum::Json;
use axum::extract::{RawQuery, State};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::api::body;
use crate::api::cursor;
use crate::api::doors::Doors;
use crate::api::error::{FieldError, Problem};
use crate::api::view::{PageJson, RunJson};
use crate::limits::{PAGE_DEFAULT, PAGE_MAX};
use crate::model::{DeploymentId, RunId, RunStatus, ScheduleKey, ScheduleKeyError, Timestamp};
use crate::store::RunFilter;

/// Which runs.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Any of these statuses, separated by commas.
    #[param(example = "failed,paused")]
    status: Option<String>,
    /// Of this app.
    app: Option<String>,
    /// Of the function with this id.
    function: Option<String>,
    /// Pinned to this deployment.
    deployment: Option<String>,
    /// That go on from this run: its forks.
    previous: Option<String>,
    /// For a time of this schedule, `app/schedule`.
    #[param(example = "shop/nightly")]
    schedule: Option<String>,
    /// Created at or after this time.
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// Created before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// Where the page begins: `next` of the page before.
    cursor: Option<String>,
    /// Items on the page: 50 if left out, at most 200.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
}

impl ListQuery {
    fn statuses(&self) -> Result<Vec<RunStatus>, Problem> {
        let words = self.status.iter().flat_map(|list| list.split(',')).map(str::trim);
        words
            .map(|word| {
                RunStatus::parse(word).ok_or_else(|| {
                    let known: Vec<&str> = RunStatus::ALL.iter().map(|status| status.as_str()).collect();
                    let detail = format!("`{word}` is no status: use {}", known.join(", "));
                    Problem::field(FieldError::of("status", detail))
                })
            })
            .collect()
    }

    /// What a cursor of this list belongs to.
    fn filters(&self) -> String {
        format!(
            "{:?}",
            (
                (&self.status, &self.app, &self.function, &self.deployment, &self.previous, &self.schedule),
                (self.since, self.until)
            )
        )
    }
}

fn schedule_key(text: &str) -> Result<ScheduleKey, Problem> {
    text.parse().map_err(|error: ScheduleKeyError| Problem::field(FieldError::of("schedule", error.to_string())))
}

/// Checks the size of a page.
pub(in crate::api) fn page_size(limit: Option<usize>) -> Result<usize, Problem> {
    match limit.unwrap_or(PAGE_DEFAULT) {
        limit @ 1..=PAGE_MAX => Ok(limit),
        limit => Err(Problem::field(FieldError::of("limit", format!("is {limit}; use 1 to {PAGE_MAX}")))),
    }
}

/// List runs, newest first.
#[utoipa::path(
    get, path = "/v1/runs", tag = "runs", operation_id = "listRuns", params(ListQuery),
    responses((status = 200, description = "A page of runs", body = PageJson<RunJson>))
)]
pub(super) async fn list(
    State(doors): State<Doors>,
    RawQuery(query): RawQuery,
) -> Result<Json<PageJson<RunJson>>, Problem> {
    let query: ListQuery = body::query(query.as_deref())?;
    let size = page_size(query.limit)?;
    let filters = query.filters();
    let before = query.cursor.as_deref().map(|text| cursor::read("runs", &filters, text)).transpose()?;
    let filter = RunFilter {
        statuses: query.statuses()?,
        app: query.app.map(Into::into),
        deployment: query.deployment.as_deref().map(|id| body::id::<DeploymentId>("deployment", id)).transpose()?,
        previous: query.previous.as_deref().map(|run| body::id::<RunId>("previous", run)).transpose()?,
        schedule: query.schedule.as_deref().map(schedule_key).transpose()?,
        function: query.function.map(Into::into),
        since: query.since,
        until: query.until,
        before_run_no: before,
        // One more than is shown tells whether there is another page.
        limit: size + 1,
    };
    let mut heads = doors.store.runs(filter).await?;
    let more = heads.len() > size;
    heads.truncate(size);
    let next = heads.last().filter(|_| more).map(|last| cursor::print("runs", &filters, last.run_no));
    Ok(Json(PageJson { items: heads.iter().map(RunJson::from).collect(), next }))
}
