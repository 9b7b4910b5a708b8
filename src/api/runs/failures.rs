//! Failed runs, grouped by what went wrong: ten thousand of them are often five things to look at.

use std::collections::HashMap;

use axum::Json;
use axum::extract::{RawQuery, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::list::{self, FilterQuery, page_size};
use crate::api::doors::Doors;
use crate::api::error::{FieldError, Problem};
use crate::limits::{FAILURE_RUNS_SHOWN_MAX, FAILURE_SHAPE_BYTES_MAX, FAILURES_LOOKED_AT_MAX, FAILURES_READ_AT_ONCE};
use crate::model::{Failure, FunctionId, Outcome, RunHead, RunId, Text, Timestamp};
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
    /// The error's name.
    name: String,
    /// What their messages have in common: `…` stands for what varies.
    shape: String,
    /// The newest one's message.
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
    let (mut groups, mut looked_at, mut before_run_no) = (Groups::default(), 0, None);
    let complete = loop {
        let limit = FAILURES_READ_AT_ONCE.min(FAILURES_LOOKED_AT_MAX - looked_at);
        if limit == 0 || doors.stopping() {
            break false;
        }
        let page = doors.store.failed_runs(RunFilter { before_run_no, limit, ..filter.clone() }).await?;
        looked_at += page.runs.len();
        let last = page.runs.last().map(|(run, _)| run.run_no).filter(|_| page.runs.len() == limit);
        page.runs.into_iter().for_each(|(run, outcome)| groups.add(run, outcome.as_ref()));
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
    fn add(&mut self, run: RunHead, outcome: Option<&Outcome>) {
        let Failure { name, message, .. } =
            outcome.and_then(Outcome::payload).map(Failure::from_payload).unwrap_or_default();
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

/// What messages of one kind have in common: words that have digits in them are left out.
fn shape(message: &str) -> String {
    let of_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
    let mut shape = String::new();
    let mut rest = &message[..message.floor_char_boundary(FAILURE_SHAPE_BYTES_MAX)];
    while !rest.is_empty() {
        let end = rest.find(|c| !of_word(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let bare = word.trim_end_matches(['.', ':', '-']);
        if bare.contains(|c: char| c.is_ascii_digit()) {
            shape.push('…');
            shape.push_str(&word[bare.len()..]);
        } else {
            shape.push_str(word);
        }
        let between = after.find(of_word).unwrap_or(after.len());
        shape.push_str(&after[..between]);
        rest = &after[between..];
    }
    shape
}

#[cfg(test)]
mod tests {
    use super::{FAILURE_SHAPE_BYTES_MAX, shape};

    #[test]
    fn what_varies_is_left_out() {
        for (message, common) in [
            ("", ""),
            ("card declined", "card declined"),
            ("order 17 costs 12.50.", "order … costs …."),
            ("no run run_01kdvqx0000000000000000001: gone", "no run …: gone"),
            ("`a1` is not `b`", "`…` is not `b`"),
            (" 3c9d1f50-aa6b-4b62-9a4e-0a8f2a1b8f00 ", " … "),
            ("zu spät: 2026-11-30T22:00:00Z", "zu spät: …"),
        ] {
            assert_eq!(shape(message), common);
        }
        assert!(shape(&"wörd ".repeat(10_000)).len() <= FAILURE_SHAPE_BYTES_MAX);
    }
}
