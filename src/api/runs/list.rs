//! Lists of runs and counts of them: one filter, in the query.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{RawQuery, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::api::body;
use crate::api::cursor;
use crate::api::doors::Doors;
use crate::api::error::{FieldError, Problem};
use crate::api::view::{PageJson, RunJson};
use crate::limits::{FILTER_LABELS_MAX, PAGE_DEFAULT, PAGE_MAX, SEARCH_TEXT_BYTES_MAX};
use crate::model::{
    AttributeTest, DeploymentId, EventId, FailureTest, JobFilter, RunHead, RunId, RunStatus, ScheduleKey,
    ScheduleKeyError, Text, Timestamp, TriggerKind,
};
use crate::store::RunFilter;

/// Which runs: all that pass every condition.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct FilterQuery {
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
    /// That this run waits for: its children.
    parent: Option<String>,
    /// Of the family of this run: itself, its children, and theirs.
    root: Option<String>,
    /// That this event started, and forks of them.
    event: Option<String>,
    /// Started so: `event`, `call`, `invoke`, `failure` or `schedule`.
    trigger: Option<String>,
    /// Of objects with this key.
    key: Option<String>,
    /// Whose name (`runId` at the start) begins with this.
    name: Option<String>,
    /// With this tag. May come several times: with all of them.
    #[serde(default)]
    #[param(example = "customer-42")]
    tag: Vec<String>,
    /// With an attribute that passes: `NAME:exists`, or `NAME:OPERATOR:VALUE` with `eq`, `gt`, `gte`, `lt`, `lte` or `prefix`. A value
    /// in double quotes is a text; without them it may be a number or a boolean as well. May come several times: all must pass.
    #[serde(default)]
    #[param(example = "total:gte:100")]
    attribute: Vec<String>,
    /// With this in its id, `app/function`, name, key, tags or attributes. Letters of ASCII match in either case.
    text: Option<String>,
    /// That failed with an error of this name, or are tried again because of one.
    #[param(example = "CardDeclined")]
    error: Option<String>,
    /// With an error whose message is like this one: the same but for words that have digits in them, for which `…` may stand.
    /// A page compares the errors of 10,000 runs at most.
    #[param(example = "order … costs …")]
    message: Option<String>,
    /// Created at or after this time.
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// Created before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
}

/// Which page.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// Where the page begins: `next` of the page before.
    cursor: Option<String>,
    /// Items on the page: 50 if left out, at most 200.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
}

impl FilterQuery {
    /// The filter, and what a cursor of its list belongs to.
    fn read(self) -> Result<(RunFilter, String), Problem> {
        let filters = format!("{self:?}");
        let run = |name: &str, id: Option<&String>| id.map(|id| body::id::<RunId>(name, id)).transpose();
        let filter = RunFilter {
            statuses: self.status.as_deref().map(statuses).transpose()?.unwrap_or_default(),
            deployment: self.deployment.map(|id| body::id::<DeploymentId>("deployment", &id)).transpose()?,
            previous: run("previous", self.previous.as_ref())?,
            schedule: self.schedule.as_deref().map(schedule_key).transpose()?,
            parent: run("parent", self.parent.as_ref())?,
            root: run("root", self.root.as_ref())?,
            event: self.event.map(|id| body::id::<EventId>("event", &id)).transpose()?,
            trigger: self.trigger.as_deref().map(trigger).transpose()?,
            app: self.app.map(Into::into),
            function: self.function.map(Into::into),
            key: self.key.map(Into::into),
            name_prefix: self.name.map(Into::into),
            tags: self.tag.into_iter().map(Text::from).collect(),
            attributes: self
                .attribute
                .iter()
                .map(|test| body::id::<AttributeTest>("attribute", test))
                .collect::<Result<_, _>>()?,
            text: self.text.map(Into::into),
            failure: FailureTest::new(self.error.as_deref(), self.message.as_deref()),
            since: self.since,
            until: self.until,
            before_run_no: None,
            limit: 0,
        };
        let at = |name: &str| FieldError::of(name, "");
        check(&filter.tags, &filter.attributes, filter.text.as_deref(), at)?;
        check_failure(self.error.as_deref(), self.message.as_deref(), at)?;
        Ok((filter, filters))
    }
}

/// Checks the conditions of a job's filter as those of a list.
pub(in crate::api) fn check_filter(filter: &JobFilter) -> Result<(), Problem> {
    let at = |name: &str| FieldError::at(format!("/filter/{name}"), "");
    check(&filter.tag, &filter.attribute, filter.text.as_deref(), at)?;
    check_failure(filter.error.as_deref(), filter.message.as_deref(), at)
}

fn check_failure(error: Option<&str>, message: Option<&str>, at: impl Fn(&str) -> FieldError) -> Result<(), Problem> {
    let empty = [("error", error), ("message", message)].into_iter().find(|(_, text)| *text == Some(""));
    let detail = "is empty; leave it out, or take it from a group of `GET /v1/failures`";
    empty.map_or(Ok(()), |(name, _)| Err(Problem::field(FieldError { detail: detail.to_owned(), ..at(name) })))
}

fn check(
    tags: &[Text],
    attributes: &[AttributeTest],
    text: Option<&str>,
    at: impl Fn(&str) -> FieldError,
) -> Result<(), Problem> {
    let wrong = |name: &str, detail: String| Err(Problem::field(FieldError { detail, ..at(name) }));
    for (name, conditions) in [("tag", tags.len()), ("attribute", attributes.len())] {
        if conditions > FILTER_LABELS_MAX {
            return wrong(name, format!("comes {conditions} times; at most {FILTER_LABELS_MAX} are allowed"));
        }
    }
    match text {
        Some(text) if text.is_empty() || text.chars().any(char::is_control) => {
            wrong("text", "is empty, or contains control characters, which nothing contains".to_owned())
        }
        Some(text) if text.len() > SEARCH_TEXT_BYTES_MAX => {
            wrong("text", format!("has {} bytes, at most {SEARCH_TEXT_BYTES_MAX} are allowed", text.len()))
        }
        _ => Ok(()),
    }
}

fn statuses(list: &str) -> Result<Vec<RunStatus>, Problem> {
    let read = |word: &str| {
        RunStatus::parse(word).ok_or_else(|| {
            let known: Vec<&str> = RunStatus::ALL.iter().map(|status| status.as_str()).collect();
            Problem::field(FieldError::of("status", format!("`{word}` is no status: use {}", known.join(", "))))
        })
    };
    list.split(',').map(str::trim).map(read).collect()
}

fn trigger(word: &str) -> Result<TriggerKind, Problem> {
    TriggerKind::parse(word).ok_or_else(|| {
        let known: Vec<&str> = TriggerKind::ALL.iter().map(|kind| kind.as_str()).collect();
        Problem::field(FieldError::of("trigger", format!("`{word}` starts no runs: use {}", known.join(", "))))
    })
}

/// Reads a filter and what else the query holds.
pub(super) fn read<T: serde::de::DeserializeOwned + Default>(
    query: Option<&str>,
) -> Result<(RunFilter, String, T), Problem> {
    let ([tag, attribute, cursor, limit], rest) = body::lists(query, ["tag", "attribute", "cursor", "limit"]);
    let filter: FilterQuery = body::query(Some(&rest))?;
    let mut others = form_urlencoded::Serializer::new(String::new());
    others.extend_pairs(cursor.iter().map(|value| ("cursor", value)));
    others.extend_pairs(limit.iter().map(|value| ("limit", value)));
    let (filter, filters) = FilterQuery { tag, attribute, ..filter }.read()?;
    Ok((filter, filters, body::query(Some(&others.finish()))?))
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

/// List runs, newest first. Where no index leads to what is asked for (a text, say), a page looks at the next 50,000 runs: it may
/// have few items, or none, and still have a `next`.
#[utoipa::path(
    get, path = "/v1/runs", tag = "runs", operation_id = "listRuns", params(FilterQuery, PageQuery),
    responses((status = 200, description = "A page of runs", body = PageJson<RunJson>))
)]
pub(super) async fn list(
    State(doors): State<Doors>,
    RawQuery(query): RawQuery,
) -> Result<Json<PageJson<RunJson>>, Problem> {
    let (filter, filters, page) = read::<PageQuery>(query.as_deref())?;
    let size = page_size(page.limit)?;
    let before_run_no = page.cursor.as_deref().map(|text| cursor::read("runs", &filters, text)).transpose()?;
    // One more than is shown tells whether there is another page.
    let page = doors.store.runs(RunFilter { before_run_no, limit: size + 1, ..filter }).await?;
    let mut heads = page.runs;
    let more = heads.len() > size;
    heads.truncate(size);
    let last = if more { heads.last().map(|last| last.run_no) } else { page.looked_to };
    let next = last.map(|last| cursor::print("runs", &filters, last));
    Ok(Json(PageJson { items: rows(&doors, &heads).await?, next }))
}

/// Runs as rows of a list: those that failed with what they failed with, in short.
pub(in crate::api) async fn rows(doors: &Doors, heads: &[RunHead]) -> Result<Vec<RunJson>, Problem> {
    let failed = |head: &&RunHead| head.status == RunStatus::Failed;
    let numbers: Vec<i64> = heads.iter().filter(failed).map(|head| head.run_no).collect();
    // Most pages have none, and are not worth another read.
    let failures = if numbers.is_empty() { Vec::new() } else { doors.store.failures(numbers).await? };
    let mut failures = failures.into_iter();
    let row = |head: &RunHead| {
        let failure = if failed(&head) { failures.next().flatten() } else { None };
        RunJson { err: failure.as_ref().map(RunJson::short), ..RunJson::from(head) }
    };
    Ok(heads.iter().map(row).collect())
}

/// How many runs match.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = RunCounts)]
pub struct CountsJson {
    /// All of them.
    pub total: u64,
    /// By status; those that no run has are left out.
    #[schema(value_type = BTreeMap<String, u64>)]
    pub statuses: BTreeMap<Text, u64>,
}

/// Count runs by status, with the filter of their list.
#[utoipa::path(
    get, path = "/v1/runs/counts", tag = "runs", operation_id = "countRuns", params(FilterQuery),
    responses((status = 200, description = "How many match now", body = CountsJson))
)]
pub(super) async fn counts(State(doors): State<Doors>, RawQuery(query): RawQuery) -> Result<Json<CountsJson>, Problem> {
    let (filter, _, PageQuery { cursor, limit }) = read::<PageQuery>(query.as_deref())?;
    if cursor.is_some() || limit.is_some() {
        return Err(Problem::field(FieldError::of("query", "counts have no pages; leave `cursor` and `limit` out")));
    }
    let counts = doors.store.count_runs(filter).await?;
    let statuses = RunStatus::ALL.into_iter().map(|status| (status.as_str().into(), counts.of(status)));
    let statuses = statuses.filter(|(_, runs)| *runs > 0).collect();
    Ok(Json(CountsJson { total: counts.total(), statuses }))
}
