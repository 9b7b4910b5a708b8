//! Functions: what there is, and starting them, with or without waiting for the result.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::{self, Checks, Params};
use super::doors::{Doors, unexpected};
use super::error::{Code, FieldError, Problem};
use super::events::idempotency_key;
use super::runs::{self, Awaited, ResultJson, WaitQuery, finished, wait_for_end};
use super::view::{FunctionJson, PageJson, RunJson};
use crate::engine::{Command, Reply, Start};
use crate::limits::{CALL_WAIT_MS, OUTCOME_BYTES_MAX, START_BODY_BYTES_MAX};
use crate::model::{AttributeValue, FunctionId, Payload, RunId, Span, Text};
use crate::processor::Processor;

/// The addresses of functions.
pub(super) fn routes() -> OpenApiRouter<Doors> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(start))
        .routes(routes!(call))
        .routes(routes!(find))
        .routes(routes!(pause))
        .routes(routes!(resume))
}

/// List the functions of all apps, as their newest deployments declare them.
#[utoipa::path(
    get, path = "/v1/functions", tag = "functions", operation_id = "listFunctions",
    responses((status = 200, description = "All functions, on one page", body = PageJson<FunctionJson>))
)]
async fn list(State(doors): State<Doors>) -> Json<PageJson<FunctionJson>> {
    let registry = doors.catalog.registry();
    let items =
        registry.functions().map(|(id, config)| FunctionJson::new(&id, config, registry.is_paused(&id))).collect();
    Json(PageJson { items, next: None })
}

/// What a start says.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewRun)]
pub(super) struct NewRun<'a> {
    /// The input: any JSON, `null` if left out.
    #[serde(borrow, default)]
    #[schema(value_type = Value)]
    input: Option<&'a RawValue>,
    /// A name for the run, unique for the function, or for the handler of an object whatever the key. A second start with it finds the first run.
    #[serde(default)]
    run_id: Option<String>,
    /// Not to begin before this is over, such as `1h30m`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    delay: Option<Span>,
    /// A second start with this key within 24 hours finds the first run. May come as the header `idempotency-key`.
    #[serde(default)]
    idempotency_key: Option<String>,
    /// What the run is found by: at most 32 texts of at most 128 bytes.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    tags: Vec<Text>,
    /// What the run is found by: at most 32 texts, numbers or booleans by name.
    #[serde(default)]
    #[schema(value_type = Object)]
    attributes: BTreeMap<Text, AttributeValue>,
}

/// A run that was started, or found.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = StartedOrFound)]
pub struct RunRefJson {
    /// The run's id.
    #[schema(value_type = String)]
    pub id: RunId,
    /// Whether this request created it; false when it found the one of the same name or key.
    pub created: bool,
}

/// Reads what a start says.
pub(super) async fn asked(
    function: FunctionId,
    key: Option<Text>,
    headers: &HeaderMap,
    body: axum::body::Body,
) -> Result<Start, Problem> {
    let received = body::receive(headers, body, START_BODY_BYTES_MAX, false).await?;
    let asked: NewRun<'_> = received.json_or_default()?;
    let mut checks = Checks::default();
    let name = asked.run_id.as_deref().map(|text| checks.name("/runId", text));
    let in_body = asked.idempotency_key.as_deref().map(|text| checks.name("/idempotencyKey", text));
    let in_header = idempotency_key(headers)?;
    if in_body.is_some() && in_header.is_some() && in_body != in_header {
        checks.add(FieldError::at("/idempotencyKey", "differs from the header `idempotency-key`; send one of them"));
    }
    let labels = checks.labels(asked.tags, asked.attributes);
    checks.done()?;
    let input = match asked.input {
        Some(raw) if raw.get().len() > OUTCOME_BYTES_MAX => {
            return Err(Problem::too_large("/input", OUTCOME_BYTES_MAX));
        }
        Some(raw) => received.payload(raw),
        None => Payload::null(),
    };
    let idempotency_key = in_body.or(in_header);
    Ok(Start { function, input, name, idempotency_key, delay: asked.delay, key, labels })
}

fn home<'a>(doors: &'a Doors, start: &Start) -> &'a Processor {
    doors.cluster.home_of_start(&start.function, start.name.as_ref().or(start.idempotency_key.as_ref()))
}

/// Starts a run, or finds it.
pub(super) async fn submit(doors: &Doors, start: Start) -> Result<RunRefJson, Problem> {
    match home(doors, &start).submit(Command::Start(start)).await? {
        Reply::Run { id, created } => Ok(RunRefJson { id, created }),
        reply => Err(unexpected(&reply)),
    }
}

/// Starts a run, or finds it, and waits for its end.
pub(super) async fn submit_and_wait(doors: &Doors, start: Start, wait: Span) -> Result<Response, Problem> {
    let awaited = match home(doors, &start).submit_and_follow(Command::Start(start)).await? {
        (Reply::Run { id, .. }, Some(end)) => Awaited::created(id, end),
        (Reply::Run { id, .. }, None) => Awaited::existing(doors, id),
        (reply, _) => return Err(unexpected(&reply)),
    };
    Ok(finished(wait_for_end(doors, awaited, wait).await?))
}

/// Start a run. It is durable when this answers.
#[utoipa::path(
    post, path = "/v1/functions/{app}/{function}/runs", tag = "functions", operation_id = "startRun",
    params(
        ("app" = String, Path, description = "The app"),
        ("function" = String, Path, description = "The function's id in its app"),
        ("idempotency-key" = Option<String>, Header, description = "As `idempotencyKey` in the body")
    ),
    request_body = Option<NewRun<'static>>,
    responses((status = 202, description = "The run is durable", body = RunRefJson))
)]
async fn start(
    State(doors): State<Doors>,
    Params((app, function)): Params<(String, String)>,
    headers: HeaderMap,
    body: axum::body::Body,
) -> Result<Response, Problem> {
    let start = asked(FunctionId::new(app, function), None, &headers, body).await?;
    Ok(started(submit(&doors, start).await?))
}

/// A run that is durable.
pub(super) fn started(run: RunRefJson) -> Response {
    let location = HeaderValue::from_str(&format!("/v1/runs/{}", run.id));
    let mut response = (StatusCode::ACCEPTED, Json(run)).into_response();
    if let Ok(location) = location {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// Start a run and wait for its result. When that takes longer, the answer says where to ask for it.
#[utoipa::path(
    post, path = "/v1/functions/{app}/{function}/call", tag = "functions", operation_id = "callFunction",
    params(
        ("app" = String, Path, description = "The app"),
        ("function" = String, Path, description = "The function's id in its app"),
        ("idempotency-key" = Option<String>, Header, description = "As `idempotencyKey` in the body"),
        WaitQuery
    ),
    request_body = Option<NewRun<'static>>,
    responses(
        (status = 200, description = "The run has ended", body = ResultJson),
        (status = 202, description = "It has not ended in that time; `location` is its result", body = ResultJson)
    )
)]
async fn call(
    State(doors): State<Doors>,
    Params((app, function)): Params<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: axum::body::Body,
) -> Result<Response, Problem> {
    let wait = body::query::<WaitQuery>(query.as_deref())?.span(Span(CALL_WAIT_MS))?;
    let start = asked(FunctionId::new(app, function), None, &headers, body).await?;
    submit_and_wait(&doors, start, wait).await
}

/// Whether a function is paused.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Paused)]
pub struct PausedJson {
    /// Whether its runs are held back now.
    pub paused: bool,
    /// Whether this request changed that.
    pub changed: bool,
}

/// Hold back the runs of a function: new ones are accepted and wait, those under way stop at their next invocation.
#[utoipa::path(
    post, path = "/v1/functions/{app}/{function}/pause", tag = "functions", operation_id = "pauseFunction",
    params(
        ("app" = String, Path, description = "The app"),
        ("function" = String, Path, description = "The function's id in its app")
    ),
    responses((status = 200, description = "It is paused", body = PausedJson))
)]
async fn pause(
    State(doors): State<Doors>,
    Params((app, function)): Params<(String, String)>,
) -> Result<Json<PausedJson>, Problem> {
    let changed = doors.catalog.pause(FunctionId::new(app, function), true).await?;
    Ok(Json(PausedJson { paused: true, changed }))
}

/// Let the runs of a paused function go.
#[utoipa::path(
    post, path = "/v1/functions/{app}/{function}/resume", tag = "functions", operation_id = "resumeFunction",
    params(
        ("app" = String, Path, description = "The app"),
        ("function" = String, Path, description = "The function's id in its app")
    ),
    responses((status = 200, description = "It is not paused", body = PausedJson))
)]
async fn resume(
    State(doors): State<Doors>,
    Params((app, function)): Params<(String, String)>,
) -> Result<Json<PausedJson>, Problem> {
    let changed = doors.catalog.pause(FunctionId::new(app, function), false).await?;
    Ok(Json(PausedJson { paused: false, changed }))
}

/// Find a run by the name that its client chose.
#[utoipa::path(
    get, path = "/v1/functions/{app}/{function}/runs/{name}", tag = "functions", operation_id = "findRun",
    params(
        ("app" = String, Path, description = "The app"),
        ("function" = String, Path, description = "The function's id in its app"),
        ("name" = String, Path, description = "`runId` of its start")
    ),
    responses((status = 200, description = "The run", body = RunJson))
)]
async fn find(
    State(doors): State<Doors>,
    Params((app, function, name)): Params<(String, String, String)>,
) -> Result<Json<RunJson>, Problem> {
    let function = FunctionId::new(app, function);
    match doors.store.run_named(function.clone(), name.as_str().into()).await? {
        Some(id) => Ok(Json(RunJson::from(&runs::read(&doors, id).await?))),
        None => {
            let detail = format!("failed to find a run of `{function}` named `{name}`: it was never started here");
            Err(Problem::new(Code::UnknownRun, detail))
        }
    }
}
