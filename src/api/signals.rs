//! Signals: named messages to one run. Each settles the first wait of its name, or is kept until one comes.

use axum::Json;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::{self, Checks, Params, name_problem};
use super::doors::{Doors, unexpected};
use super::error::{FieldError, Problem};
use super::events::idempotency_key;
use crate::engine::{Command, Reply};
use crate::limits::{OUTCOME_BYTES_MAX, START_BODY_BYTES_MAX};
use crate::model::{Payload, RunId, Settle};

/// The addresses of signals.
pub(super) fn routes() -> OpenApiRouter<Doors> {
    OpenApiRouter::new().routes(routes!(signal))
}

/// What a signal says.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewSignal)]
struct NewSignal<'a> {
    /// What the wait settles with: any JSON, `null` if left out.
    #[serde(borrow, default)]
    #[schema(value_type = Value)]
    data: Option<&'a RawValue>,
    /// An id of the client's: a second signal with it changes nothing. May come as the header `idempotency-key`.
    #[serde(default)]
    id: Option<String>,
}

/// What became of a signal.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = SignalTaken)]
pub struct SignalledJson {
    /// The run.
    #[schema(value_type = String)]
    pub run: RunId,
    /// False when a signal with the same id came before.
    pub created: bool,
}

/// Send a signal to a run.
#[utoipa::path(
    post, path = "/v1/runs/{run}/signals/{name}", tag = "signals", operation_id = "sendSignal",
    params(
        ("run" = String, Path, description = "The run's id"),
        ("name" = String, Path, description = "The signal's name"),
        ("idempotency-key" = Option<String>, Header, description = "As `id` in the body")
    ),
    request_body = Option<NewSignal<'static>>,
    responses((status = 202, description = "The signal is durable", body = SignalledJson))
)]
async fn signal(
    State(doors): State<Doors>,
    Params((run, name)): Params<(String, String)>,
    headers: HeaderMap,
    body: axum::body::Body,
) -> Result<(StatusCode, Json<SignalledJson>), Problem> {
    let run: RunId = body::id("run", &run)?;
    // Names with `$` are the server's own: an awakeable is settled by whoever holds its token, not by whoever knows a run.
    let problem = name_problem(&name).or_else(|| name.starts_with('$').then(|| "begins with `$`".to_owned()));
    if let Some(problem) = problem {
        return Err(Problem::field(FieldError::of("name", problem)));
    }
    let received = body::receive(&headers, body, START_BODY_BYTES_MAX, false).await?;
    let asked: NewSignal<'_> = received.json_or_default()?;
    let mut checks = Checks::default();
    let id = asked.id.as_deref().map(|id| checks.name("/id", id));
    checks.done()?;
    let data = match asked.data {
        Some(raw) if raw.get().len() > OUTCOME_BYTES_MAX => return Err(Problem::too_large("/data", OUTCOME_BYTES_MAX)),
        Some(raw) => received.payload(raw),
        None => Payload::null(),
    };
    let id = match id {
        Some(id) => Some(id),
        None => idempotency_key(&headers)?,
    };
    let command = Command::Signal { run, name: name.into(), id, settle: Settle::Ok(data) };
    match doors.command(run, command).await? {
        Reply::Signalled { fresh } => Ok((StatusCode::ACCEPTED, Json(SignalledJson { run, created: fresh }))),
        reply => Err(unexpected(&reply)),
    }
}
