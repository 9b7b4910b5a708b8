//! `POST /v1/runs/{run}/fork` and `/retry`: a new run that goes on from a point of another one. The other run stays.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::api::awakeables::Settlement;
use crate::api::body::{self, Checks, Params, Received};
use crate::api::doors::{Doors, unexpected};
use crate::api::error::{FieldError, Problem};
use crate::api::events::idempotency_key;
use crate::engine::{Command, Fork, ForkFrom, Reply};
use crate::limits::{EDITS_MAX, OUTCOME_BYTES_MAX, START_BODY_BYTES_MAX};
use crate::model::{EntryId, Payload, RunId, Settle, Text};

/// From where to fork, and what is other than in the original. Without `at` and `edits` nothing is copied: the run is
/// made again as a whole.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewFork)]
struct NewFork<'a> {
    /// The entry that is made again: what settled before it is copied. Without it, everything up to the last edit.
    #[serde(default)]
    at: Option<String>,
    /// Other outcomes of copied entries, by entry id: `{"ok": value}` or `{"err": {name, message, ...}}` each.
    #[serde(borrow, default)]
    edits: BTreeMap<String, Settlement<'a>>,
    /// Another input.
    #[serde(borrow, default, deserialize_with = "body::present")]
    #[schema(value_type = Value)]
    input: Option<&'a RawValue>,
    /// Only say what would be copied.
    #[serde(default)]
    dry_run: bool,
}

/// How to retry.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewRetry)]
struct NewRetry {
    /// Only say what would be copied.
    #[serde(default)]
    dry_run: bool,
}

/// A run that goes on from a point of another one.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Forked)]
pub struct ForkedJson {
    /// The new run's id.
    #[schema(value_type = String)]
    pub id: RunId,
    /// How many entries it begins with, besides its input.
    pub copied: usize,
    /// Whether this request created it; false when it found the one of the same `idempotency-key`.
    pub created: bool,
}

/// What a fork would be made from: ids of the original's entries, in order of creation.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = ForkPlan)]
pub struct ForkPlanJson {
    /// They would be copied.
    #[schema(value_type = Vec<String>)]
    pub copied: Vec<EntryId>,
    /// They would not: what the handler asks for again is done again.
    #[schema(value_type = Vec<String>)]
    pub again: Vec<EntryId>,
}

impl NewFork<'_> {
    fn edits(&self, received: &Received) -> Result<Vec<(EntryId, Settle)>, Problem> {
        if self.edits.len() > EDITS_MAX {
            let detail = format!("has {} entries, at most {EDITS_MAX} are allowed", self.edits.len());
            return Err(Problem::field(FieldError::at("/edits", detail)));
        }
        let mut edits = Vec::with_capacity(self.edits.len());
        for (id, edit) in &self.edits {
            let place = format!("/edits/{}", id.replace('~', "~0").replace('/', "~1"));
            edits.push((id.as_str().into(), edit.settle(received, &place)?));
        }
        Ok(edits)
    }

    fn input(&self, received: &Received) -> Result<Option<Payload>, Problem> {
        match self.input {
            Some(raw) if raw.get().len() > OUTCOME_BYTES_MAX => Err(Problem::too_large("/input", OUTCOME_BYTES_MAX)),
            raw => Ok(raw.map(|raw| received.payload(raw))),
        }
    }
}

async fn submit(doors: &Doors, fork: Fork) -> Result<Response, Problem> {
    match doors.command(fork.run, Command::Fork(Box::new(fork))).await? {
        Reply::Forked { id, copied, created } => {
            Ok((StatusCode::CREATED, Json(ForkedJson { id, copied, created })).into_response())
        }
        Reply::ForkPlan(plan) => Ok(Json(ForkPlanJson { copied: plan.copied, again: plan.again }).into_response()),
        reply => Err(unexpected(&reply)),
    }
}

/// Start a run that goes on from a point of this one. What was done before that point is not done again.
#[utoipa::path(
    post, path = "/v1/runs/{run}/fork", tag = "runs", operation_id = "forkRun",
    params(
        ("run" = String, Path, description = "The run's id"),
        ("idempotency-key" = Option<String>, Header, description = "A second fork with this key finds the first one")
    ),
    request_body = Option<NewFork<'static>>,
    responses(
        (status = 201, description = "The new run is durable", body = ForkedJson),
        (status = 200, description = "With `dryRun`: what it would be made from", body = ForkPlanJson)
    )
)]
pub(super) async fn fork(
    State(doors): State<Doors>,
    Params(run): Params<String>,
    headers: HeaderMap,
    body: axum::body::Body,
) -> Result<Response, Problem> {
    let run: RunId = body::id("run", &run)?;
    let received = body::receive(&headers, body, START_BODY_BYTES_MAX, false).await?;
    let asked: NewFork<'_> = received.json_or_default()?;
    let mut checks = Checks::default();
    let at = asked.at.as_deref().map(|text| checks.name("/at", text));
    checks.done()?;
    let fork = Fork {
        run,
        from: at.map_or(ForkFrom::Edits, ForkFrom::Entry),
        edits: asked.edits(&received)?,
        input: asked.input(&received)?,
        cause: cause(&headers)?,
        dry_run: asked.dry_run,
    };
    submit(&doors, fork).await
}

/// Start a failed or cancelled run again from its first failure. What had succeeded before that is not done again.
#[utoipa::path(
    post, path = "/v1/runs/{run}/retry", tag = "runs", operation_id = "retryRun",
    params(
        ("run" = String, Path, description = "The run's id"),
        ("idempotency-key" = Option<String>, Header, description = "A second retry with this key finds the first one")
    ),
    request_body = Option<NewRetry>,
    responses(
        (status = 201, description = "The new run is durable", body = ForkedJson),
        (status = 200, description = "With `dryRun`: what it would be made from", body = ForkPlanJson)
    )
)]
pub(super) async fn retry(
    State(doors): State<Doors>,
    Params(run): Params<String>,
    headers: HeaderMap,
    body: axum::body::Body,
) -> Result<Response, Problem> {
    let run: RunId = body::id("run", &run)?;
    let received = body::receive(&headers, body, START_BODY_BYTES_MAX, false).await?;
    let NewRetry { dry_run } = received.json_or_default()?;
    let cause = cause(&headers)?;
    submit(&doors, Fork { run, from: ForkFrom::Failure, edits: Vec::new(), input: None, cause, dry_run }).await
}

/// Clients' keys, apart from the causes that the server itself has.
fn cause(headers: &HeaderMap) -> Result<Option<Text>, Problem> {
    Ok(idempotency_key(headers)?.map(|key| format!("key {key}").into()))
}
