//! What can be asked of one entry of a run: that a compensation counts as made.

use axum::Json;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::StatusJson;
use crate::api::body::{self, Params, present};
use crate::api::doors::{Doors, unexpected};
use crate::api::error::{FieldError, Problem};
use crate::engine::{Command, Reply};
use crate::limits::{OUTCOME_BYTES_MAX, START_BODY_BYTES_MAX};
use crate::model::RunId;

/// What somebody says about a compensation: exactly one of the two.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = EntrySettlement)]
struct Settlement<'a> {
    /// The step was undone by hand; any JSON about it.
    #[serde(borrow, default, deserialize_with = "present")]
    #[schema(value_type = Value)]
    ok: Option<&'a RawValue>,
    /// `true`: the step needs no undoing.
    #[serde(default)]
    skip: bool,
}

/// Say that a compensation was made by hand, or needs not be made. A run that is held because of it goes on.
#[utoipa::path(
    post, path = "/v1/runs/{run}/entries/{entry}/settle", tag = "runs", operation_id = "settleEntry",
    params(
        ("run" = String, Path, description = "The run's id"),
        ("entry" = String, Path, description = "The compensation's id, `$undo/` and the step's id, percent-encoded")
    ),
    request_body = Settlement<'static>,
    responses((status = 202, description = "The entry is settled", body = StatusJson))
)]
pub(super) async fn settle(
    State(doors): State<Doors>,
    Params((run, entry)): Params<(String, String)>,
    headers: HeaderMap,
    body: axum::body::Body,
) -> Result<(StatusCode, Json<StatusJson>), Problem> {
    let run: RunId = body::id("run", &run)?;
    let received = body::receive(&headers, body, START_BODY_BYTES_MAX, false).await?;
    let asked: Settlement<'_> = received.json()?;
    let value = match (asked.ok, asked.skip) {
        (Some(raw), false) if raw.get().len() > OUTCOME_BYTES_MAX => {
            return Err(Problem::too_large("/ok", OUTCOME_BYTES_MAX));
        }
        (Some(raw), false) => Some(received.payload(raw)),
        (None, true) => None,
        _ => return Err(Problem::field(FieldError::at("", "must have either `ok`, or `skip: true`"))),
    };
    match doors.command(run, Command::SettleEntry { run, entry: entry.into(), value }).await? {
        Reply::Status(status) => Ok((StatusCode::ACCEPTED, Json(StatusJson { id: run, status }))),
        reply => Err(unexpected(&reply)),
    }
}
