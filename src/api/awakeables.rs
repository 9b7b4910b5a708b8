//! Awakeables: whoever holds a token settles the wait that it stands for, once. The token is all that is needed, so it
//! can be put in a link or handed to a webhook.

use axum::Json;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::{self, Params, Received, present};
use super::doors::{Doors, unexpected};
use super::error::{FieldError, Problem};
use super::signals::SignalledJson;
use crate::engine::{Command, Reply, awakeable_signal};
use crate::limits::{OUTCOME_BYTES_MAX, START_BODY_BYTES_MAX};
use crate::model::Settle;

/// The addresses of awakeables.
pub(super) fn routes() -> OpenApiRouter<Doors> {
    OpenApiRouter::new().routes(routes!(settle))
}

/// How something settles: with exactly one of the two.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Settlement)]
pub(super) struct Settlement<'a> {
    /// With this value.
    #[serde(borrow, default, deserialize_with = "present")]
    #[schema(value_type = Value)]
    ok: Option<&'a RawValue>,
    /// With this error.
    #[serde(borrow, default, deserialize_with = "present")]
    #[schema(value_type = Option<SettlementError>)]
    err: Option<&'a RawValue>,
}

/// An error that settles a wait.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "it is read to be checked; what is kept are the bytes that came")]
struct SettlementError {
    /// What kind of error, for code to match.
    name: String,
    /// What happened, for people.
    message: String,
    /// A code for programs.
    #[serde(default)]
    code: Option<String>,
    /// Any JSON.
    #[serde(default)]
    #[schema(value_type = Value)]
    data: Option<Box<RawValue>>,
}

impl Settlement<'_> {
    /// The outcome, from the place `base` of a body.
    pub(super) fn settle(&self, received: &Received, base: &str) -> Result<Settle, Problem> {
        let at = |field: &str| format!("{base}/{field}");
        let bounded = |raw: &RawValue, field: &str| match raw.get().len() {
            0..=OUTCOME_BYTES_MAX => Ok(received.payload(raw)),
            _ => Err(Problem::too_large(at(field), OUTCOME_BYTES_MAX)),
        };
        match (self.ok, self.err) {
            (Some(ok), None) => Ok(Settle::Ok(bounded(ok, "ok")?)),
            (None, Some(err)) => {
                body::json_at::<SettlementError>(err.get().as_bytes(), &at("err"))?;
                Ok(Settle::Err(bounded(err, "err")?))
            }
            (None, None) => Err(Problem::field(FieldError::at(base, "has neither `ok` nor `err`"))),
            (Some(_), Some(_)) => {
                Err(Problem::field(FieldError::at(at("err"), "stands beside `ok`; send one of them")))
            }
        }
    }
}

/// Settle the wait that a token stands for.
#[utoipa::path(
    post, path = "/v1/awakeables/{token}", tag = "signals", operation_id = "settleAwakeable",
    params(("token" = String, Path, description = "The token, `awk_…`")),
    request_body = Settlement<'static>,
    responses((status = 202, description = "The outcome is durable", body = SignalledJson))
)]
async fn settle(
    State(doors): State<Doors>,
    Params(token): Params<String>,
    headers: HeaderMap,
    body: axum::body::Body,
) -> Result<(StatusCode, Json<SignalledJson>), Problem> {
    let (run, entry) = doors.secrets.open(&token)?;
    let received = body::receive(&headers, body, START_BODY_BYTES_MAX, false).await?;
    let settle = received.json::<Settlement<'_>>()?.settle(&received, "")?;
    let name = awakeable_signal(&entry);
    match doors.command(run, Command::Signal { run, name, id: None, settle }).await? {
        Reply::Signalled { fresh } => Ok((StatusCode::ACCEPTED, Json(SignalledJson { run, created: fresh }))),
        reply => Err(unexpected(&reply)),
    }
}
