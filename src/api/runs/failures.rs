//! Failed runs, grouped by what went wrong: ten thousand of them are often five things to look at.

use std::collections::HashMap;

use axum::Json;
use axum::extract::{RawQuery, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::list::{self, FilterQuery, page_size};
use crate::api::doors::Doors;
use crate::api::error::{FieldError, Problem};
use crate::limits::{FAILURE_RUNS_SHOWN_MAX, FAILURES_LOOKED_AT_MAX, FAILURES_READ_AT_ONCE};
use crate::model::{Failure, FunctionId, RunHead, RunId, RunStatus, Text, Timestamp, shape};
use crate::store::RunFilter;

/// Groups of failed runs, the largest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Failures)]
pub(super) struct FailuresJson {
    /// At most as many as asked for.
    items: Vec<FailureGroupJson>,
    /// Failed runs that were looked at: the newest 10,000 that match at most.
    looked_at: usize,
    /// Whether these are all that match.
    complete: bool,
}

/// Runs of one function that failed with the same error: the same name, and the same message but for the words with digits in them,
/// such as ids and amounts.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = FailureGroup)]
pub(super) struct FailureGroupJson {
    /// The app.
    #[schema(value_type = String)]
    app: Text,
    /// The function's id in its app.
    #[schema(value_type = String)]
    function: Text,
    /// The error's name: the filter `error` of lists and jobs.
    name: String,
    /// What their messages have in common, `…` stands for what varies: the filter `message` of lists and jobs.
    shape: String,
    /// The newest one's message, at most 804 bytes of it.
    message: String,
    /// How many runs.
    count: usize,
    /// When the first of those that were looked at ended.
    #[schema(value_type = String, format = DateTime)]
    first_at: Timestamp,
    /// When the last one ended.
    #[schema(value_type = String, format = DateTime)]
    last_at: Timestamp,
    /// Its newest runs, at most 5.
    #[schema(value_type = Vec<String>)]
    runs: Vec<RunId>,
}

/// How many groups.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct GroupsQuery {
    /// Groups at most: 50 if left out, at most 200.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    #[param(ignore)]
    cursor: Option<String>,
}

/// Group failed runs by their errors: with the filter of lists, without `status`. The newest 10,000 are looked at.
#[utoipa::path(
    get, path = "/v1/failures", tag = "runs", operation_id = "listFailures", params(FilterQuery, GroupsQuery),
    responses((status = 200, description = "The groups, the largest first", body = FailuresJson))
)]
pub(super) async fn failures(
    State(doors): State<Doors>,
    RawQuery(query): RawQuery,
) -> Result<Json<FailuresJson>, Problem> {
    let (filter, _, GroupsQuery { limit, cursor }) = list::read::<GroupsQuery>(query.as_deref())?;
    if !filter.statuses.is_empty() {
        return Err(Problem::field(FieldError::of("status", "failures are of failed runs; leave it out")));
    }
    if cursor.is_some() {
        return Err(Problem::field(FieldError::of(
            "cursor",
            "failures have no pages; narrow the filter, by time for instance",
        )));
    }
    let size = page_size(limit)?;
    let filter = RunFilter { statuses: vec![RunStatus::Failed], ..filter };
    let (mut groups, mut looked_at, mut before_run_no) = (Groups::default(), 0, None);
    let complete = loop {
        let limit = FAILURES_READ_AT_ONCE.min(FAILURES_LOOKED_AT_MAX - looked_at);
        if limit == 0 || doors.stopping() {
            break false;
        }
        let page = doors.store.runs(RunFilter { before_run_no, limit, ..filter.clone() }).await?;
        let failures = doors.store.failures(page.runs.iter().map(|run| run.run_no).collect()).await?;
        looked_at += page.runs.len();
        let last = page.runs.last().map(|run| run.run_no).filter(|_| page.runs.len() == limit);
        page.runs.into_iter().zip(failures).for_each(|(run, failure)| groups.add(run, failure.unwrap_or_default()));
        match last.or(page.looked_to) {
            Some(run_no) => before_run_no = Some(run_no),
            None => break true,
        }
    };
    Ok(Json(FailuresJson { items: groups.largest(size), looked_at, complete }))
}

#[derive(Default)]
struct Groups(HashMap<(FunctionId, String, String), FailureGroupJson>);

impl Groups {
    /// Adds a run that is older than all that were added.
    fn add(&mut self, run: RunHead, failure: Failure) {
        let Failure { name, message, .. } = failure;
        let shape = shape(&message);
        let at = run.ended_at.unwrap_or(run.created_at);
        let key = (run.function.clone(), name.clone(), shape.clone());
        let group = self.0.entry(key).or_insert_with(|| FailureGroupJson {
            app: run.function.app,
            function: run.function.function,
            name,
            shape,
            message,
            count: 0,
            first_at: at,
            last_at: at,
            runs: Vec::new(),
        });
        group.count += 1;
        group.first_at = group.first_at.min(at);
        group.last_at = group.last_at.max(at);
        if group.runs.len() < FAILURE_RUNS_SHOWN_MAX {
            group.runs.push(run.id);
        }
    }

    fn largest(self, limit: usize) -> Vec<FailureGroupJson> {
        let mut groups: Vec<FailureGroupJson> = self.0.into_values().collect();
        groups.sort_unstable_by(|a, b| (b.count, b.last_at, &b.runs).cmp(&(a.count, a.last_at, &a.runs)));
        groups.truncate(limit);
        groups
    }
}
