//! Objects: calls of their handlers, the state under a key, and which keys there are.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::{self, Params};
use super::cursor;
use super::doors::Doors;
use super::error::{Code, Problem};
use super::functions::{NewRun, RunRefJson, asked, started, submit, submit_and_wait};
use super::runs::{ResultJson, WaitQuery, page_size};
use super::view::PageJson;
use crate::limits::CALL_WAIT_MS;
use crate::model::{FunctionId, ObjectKey, Payload, RunId, Span, Text};
use crate::store::{HeldKey, ObjectsPage};

/// The addresses of objects.
pub(super) fn routes() -> OpenApiRouter<Doors> {
    OpenApiRouter::new().routes(routes!(call)).routes(routes!(state)).routes(routes!(keys))
}

/// How a handler is called.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct CallQuery {
    /// `call` waits for the result, which is what happens if it is left out; `send` only starts the run.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    mode: CallMode,
    /// How long to wait for the run's end, such as `30s`; at most 5 minutes.
    wait: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum CallMode {
    #[default]
    Call,
    Send,
}

/// Call a handler of an object, for one key. Of the exclusive handlers of a key one runs at a time, in the order of arrival.
#[utoipa::path(
    post, path = "/v1/objects/{app}/{object}/{key}/{handler}", tag = "objects", operation_id = "callObject",
    params(
        ("app" = String, Path, description = "The app"),
        ("object" = String, Path, description = "The object's id in its app"),
        ("key" = String, Path, description = "Which one: 1 to 256 bytes"),
        ("handler" = String, Path, description = "The handler's id in its object"),
        ("idempotency-key" = Option<String>, Header, description = "As `idempotencyKey` in the body"),
        CallQuery
    ),
    request_body = Option<NewRun<'static>>,
    responses(
        (status = 200, description = "The run has ended", body = ResultJson),
        (status = 202, description = "It has not ended in that time, and `location` is its result; with `mode=send` the run, durable", body = RunRefJson)
    )
)]
async fn call(
    State(doors): State<Doors>,
    Params((app, object, key, handler)): Params<(String, String, String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: axum::body::Body,
) -> Result<Response, Problem> {
    let CallQuery { mode, wait } = body::query(query.as_deref())?;
    let wait = WaitQuery { wait }.span(Span(CALL_WAIT_MS))?;
    known(&doors, &app, &object)?;
    let function = FunctionId::new(app, format!("{object}/{handler}"));
    let start = asked(function, Some(key.into()), &headers, body).await?;
    match mode {
        CallMode::Send => Ok(started(submit(&doors, start).await?)),
        CallMode::Call => submit_and_wait(&doors, start, wait).await,
    }
}

/// The state under a key, and who holds it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = ObjectState)]
pub struct ObjectStateJson {
    /// The values by name: any JSON. Empty for a key that nobody has written to.
    #[schema(value_type = BTreeMap<String, Value>)]
    pub state: BTreeMap<Text, Payload>,
    /// The run whose turn it is.
    #[schema(value_type = Option<String>)]
    pub holder: Option<RunId>,
    /// How many runs wait for their turn.
    pub waiting: u64,
}

/// Read the state under a key of an object, without a run.
#[utoipa::path(
    get, path = "/v1/objects/{app}/{object}/{key}/state", tag = "objects", operation_id = "getObjectState",
    params(
        ("app" = String, Path, description = "The app"),
        ("object" = String, Path, description = "The object's id in its app"),
        ("key" = String, Path, description = "Which one")
    ),
    responses((status = 200, description = "Its state", body = ObjectStateJson))
)]
async fn state(
    State(doors): State<Doors>,
    Params((app, object, key)): Params<(String, String, String)>,
) -> Result<Json<ObjectStateJson>, Problem> {
    known(&doors, &app, &object)?;
    let key = ObjectKey { app: app.into(), object: object.into(), key: key.into() };
    let view = doors.store.object(key).await?;
    let values = view.values.into_iter().filter_map(|value| Some((value.name, value.value?)));
    Ok(Json(ObjectStateJson { state: values.collect(), holder: view.lock.holder, waiting: view.lock.waiting }))
}

/// A key of an object.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = ObjectKey)]
pub struct ObjectKeyJson {
    /// The key.
    #[schema(value_type = String)]
    pub key: Text,
    /// The run whose turn it is.
    #[schema(value_type = Option<String>)]
    pub holder: Option<RunId>,
    /// How many runs wait for their turn.
    pub waiting: u64,
}

impl From<HeldKey> for ObjectKeyJson {
    fn from(held: HeldKey) -> ObjectKeyJson {
        ObjectKeyJson { key: held.key, holder: held.lock.holder, waiting: held.lock.waiting }
    }
}

/// Which keys.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct KeysQuery {
    /// Where the page begins: `next` of the page before.
    cursor: Option<String>,
    /// Items on the page: 50 if left out, at most 200.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
}

/// List the keys of an object that have state or are held, in the order of their bytes.
#[utoipa::path(
    get, path = "/v1/objects/{app}/{object}", tag = "objects", operation_id = "listObjectKeys",
    params(
        ("app" = String, Path, description = "The app"),
        ("object" = String, Path, description = "The object's id in its app"),
        KeysQuery
    ),
    responses((status = 200, description = "A page of keys", body = PageJson<ObjectKeyJson>))
)]
async fn keys(
    State(doors): State<Doors>,
    Params((app, object)): Params<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Json<PageJson<ObjectKeyJson>>, Problem> {
    let query: KeysQuery = body::query(query.as_deref())?;
    known(&doors, &app, &object)?;
    let size = page_size(query.limit)?;
    let filters = format!("{app}\u{1f}{object}");
    let after = query.cursor.as_deref().map(|text| cursor::read_text("objects", &filters, text)).transpose()?;
    let page = ObjectsPage { app: app.into(), object: object.into(), after: after.map(Into::into), limit: size + 1 };
    let mut held = doors.store.objects(page).await?;
    let more = held.len() > size;
    held.truncate(size);
    let next = held.last().filter(|_| more).map(|last| cursor::print_text("objects", &filters, &last.key));
    Ok(Json(PageJson { items: held.into_iter().map(ObjectKeyJson::from).collect(), next }))
}

/// Refuses objects that no registered app has.
fn known(doors: &Doors, app: &str, object: &str) -> Result<(), Problem> {
    let registry = doors.catalog.registry();
    if !registry.apps.contains_key(app) {
        let detail = format!("failed to find app `{app}`: register it, or look at `backstitch apps` for what there is");
        return Err(Problem::new(Code::UnknownApp, detail));
    }
    let functions =
        registry.current(app).map(|deployment| deployment.manifest.functions.as_slice()).unwrap_or_default();
    let of_object = |id: &str| id.split_once('/').is_some_and(|(of, _)| of == object);
    if functions.iter().any(|function| of_object(&function.id)) {
        return Ok(());
    }
    let detail =
        format!("failed to find the object `{app}/{object}`: the newest deployment of the app does not have it");
    Err(Problem::new(Code::UnknownObject, detail))
}
