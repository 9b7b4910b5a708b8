//! Events: accepted one, several or line by line; listed; shown with the runs that they started.

use axum::Json;
use axum::extract::{RawQuery, State};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::{self, Checks, Params, Received, name_problem};
use super::cursor;
use super::doors::{Doors, unexpected};
use super::error::{Code, FieldError, Problem};
use super::runs::page_size;
use super::view::{EventJson, PageJson};
use crate::engine::{AcceptedEvent, Command, Reply};
use crate::limits::{EVENT_BYTES_MAX, EVENTS_BODY_BYTES_MAX, EVENTS_PER_SEND_MAX};
use crate::model::{EventDraft, EventId, OWN_EVENTS, Payload, RunId, Text, Timestamp};
use crate::store::EventFilter;

/// The addresses of events.
pub(super) fn routes() -> OpenApiRouter<Doors> {
    OpenApiRouter::new().routes(routes!(send, list)).routes(routes!(show))
}

/// An event as a client sends it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewEvent)]
struct NewEvent<'a> {
    /// Its name, such as `order/created`.
    name: String,
    /// Its data: any JSON, `null` if left out.
    #[serde(borrow, default)]
    #[schema(value_type = Value)]
    data: Option<&'a RawValue>,
    /// An id of the client's: events with an id that came within the last 24 hours are accepted and change nothing.
    #[serde(default)]
    id: Option<String>,
    /// When it is to be delivered. Only times that are not in the future are taken.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    at: Option<Timestamp>,
}

/// What a request holds: one event, or several.
#[derive(ToSchema)]
#[serde(untagged)]
#[schema(as = NewEvents)]
#[expect(dead_code, reason = "it describes what is read by hand, so that errors point at the field")]
enum NewEvents<'a> {
    One(NewEvent<'a>),
    Several(Vec<NewEvent<'a>>),
}

/// Events as they were accepted, in the order in which they came.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = AcceptedEvents)]
pub struct AcceptedJson {
    /// One for each event of the request.
    pub events: Vec<AcceptedEventJson>,
}

/// One accepted event.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = AcceptedEvent)]
pub struct AcceptedEventJson {
    /// Its id.
    #[schema(value_type = String)]
    pub id: EventId,
    /// False when an event with the client's id came before; this is that one's id then.
    pub created: bool,
    /// The runs that it started now.
    pub runs: Vec<StartedJson>,
}

/// A run that an event started.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = StartedRun)]
pub struct StartedJson {
    /// The run.
    #[schema(value_type = String)]
    pub id: RunId,
    /// The app whose function it executes.
    #[schema(value_type = String)]
    pub app: Text,
    /// The function's id in its app.
    #[schema(value_type = String)]
    pub function: Text,
}

impl From<AcceptedEvent> for AcceptedEventJson {
    fn from(event: AcceptedEvent) -> AcceptedEventJson {
        let started = |(function, id): (crate::model::FunctionId, RunId)| StartedJson {
            id,
            app: function.app,
            function: function.function,
        };
        AcceptedEventJson { id: event.id, created: event.fresh, runs: event.runs.into_iter().map(started).collect() }
    }
}

/// Send events: one object, an array of them, or one on each line (`application/x-ndjson`). All are accepted, or none.
#[utoipa::path(
    post, path = "/v1/events", tag = "events", operation_id = "sendEvents",
    params(("idempotency-key" = Option<String>, Header,
        description = "Stands for the ids of events that have none: `key` for one event, `key/0`, `key/1` … for several")),
    request_body(content(
        (NewEvents<'static> = "application/json"),
        (NewEvent<'static> = "application/x-ndjson")
    )),
    responses((status = 202, description = "The events are durable", body = AcceptedJson))
)]
async fn send(
    State(doors): State<Doors>,
    headers: HeaderMap,
    body: axum::body::Body,
) -> Result<(StatusCode, Json<AcceptedJson>), Problem> {
    let received = body::receive(&headers, body, EVENTS_BODY_BYTES_MAX, true).await?;
    let key = idempotency_key(&headers)?;
    let drafts = drafts(&received, key.as_deref(), doors.clock.wall())?;
    match doors.cluster.home_of_events().submit(Command::Ingest(drafts)).await? {
        Reply::Accepted(events) => {
            let events = events.into_iter().map(AcceptedEventJson::from).collect();
            Ok((StatusCode::ACCEPTED, Json(AcceptedJson { events })))
        }
        reply => Err(unexpected(&reply)),
    }
}

/// Reads the header `idempotency-key`.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<Text>, Problem> {
    const NAME: &str = "idempotency-key";
    let Some(value) = headers.get(NAME) else { return Ok(None) };
    let wrong = |detail: String| Problem::field(FieldError::of(NAME, detail));
    let text = value.to_str().map_err(|_| wrong("is not text of visible ASCII characters".to_owned()))?;
    match name_problem(text) {
        Some(problem) => Err(wrong(problem)),
        None => Ok(Some(text.into())),
    }
}

/// The events of a request, checked.
fn drafts(received: &Received, key: Option<&str>, now: Timestamp) -> Result<Vec<EventDraft>, Problem> {
    let (parsed, single) = parse(received)?;
    let mut checks = Checks::default();
    let mut drafts = Vec::with_capacity(parsed.len());
    for (n, event) in parsed.into_iter().enumerate() {
        let at = |field: &str| if single { format!("/{field}") } else { format!("/{n}/{field}") };
        let name = checks.name(&at("name"), &event.name);
        if event.name.starts_with(OWN_EVENTS) {
            let problem = format!("begins with `{OWN_EVENTS}`: such events are the server's own");
            checks.add(FieldError::at(at("name"), problem));
        }
        let data = match event.data {
            Some(raw) if raw.get().len() > EVENT_BYTES_MAX => {
                return Err(Problem::too_large(at("data"), EVENT_BYTES_MAX));
            }
            Some(raw) => received.payload(raw),
            None => Payload::null(),
        };
        let client_id = match (event.id, key) {
            (Some(id), _) => Some(checks.name(&at("id"), &id)),
            (None, Some(key)) if single => Some(key.into()),
            (None, Some(key)) => Some(checks.name(&at("id"), &format!("{key}/{n}"))),
            (None, None) => None,
        };
        if event.at.is_some_and(|at| at > now) {
            checks.add(FieldError::at(
                at("at"),
                "is in the future; delayed events are not supported, start a function with `delay` instead",
            ));
        }
        drafts.push(EventDraft { name, data, client_id });
    }
    checks.done()?;
    Ok(drafts)
}

/// Whether it was one object comes with the events: errors point into what was sent.
fn parse(received: &Received) -> Result<(Vec<NewEvent<'_>>, bool), Problem> {
    let bytes = &received.bytes[..];
    if !received.lines && bytes.trim_ascii_start().first() != Some(&b'[') {
        return Ok((vec![received.json()?], true));
    }
    let values: Vec<&[u8]> = if received.lines {
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
        lines.take(EVENTS_PER_SEND_MAX + 1).collect()
    } else {
        body::value_at::<Vec<&RawValue>>(bytes, "")?.into_iter().map(|raw| raw.get().as_bytes()).collect()
    };
    if values.is_empty() {
        return Err(Problem::field(FieldError::at("", "holds no event")));
    }
    if values.len() > EVENTS_PER_SEND_MAX {
        let detail = format!("failed to take the events: at most {EVENTS_PER_SEND_MAX} are allowed in one request");
        return Err(Problem::new(Code::TooLarge, detail));
    }
    let events = values.into_iter().enumerate().map(|(n, value)| body::json_at(value, &format!("/{n}")));
    Ok((events.collect::<Result<_, _>>()?, false))
}

/// Which events.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// With this name.
    name: Option<String>,
    /// Where the page begins: `next` of the page before.
    cursor: Option<String>,
    /// Items on the page: 50 if left out, at most 200.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
}

/// List events, newest first.
#[utoipa::path(
    get, path = "/v1/events", tag = "events", operation_id = "listEvents", params(ListQuery),
    responses((status = 200, description = "A page of events", body = PageJson<EventJson>))
)]
async fn list(State(doors): State<Doors>, RawQuery(query): RawQuery) -> Result<Json<PageJson<EventJson>>, Problem> {
    let query: ListQuery = body::query(query.as_deref())?;
    let size = page_size(query.limit)?;
    let filters = format!("{:?}", query.name);
    let before = query.cursor.as_deref().map(|text| cursor::read("events", &filters, text)).transpose()?;
    let filter = EventFilter { name: query.name.map(Into::into), before_seq: before, limit: size + 1 };
    let mut events = doors.store.events(filter).await?;
    let more = events.len() > size;
    events.truncate(size);
    let next = events.last().filter(|_| more).map(|last| cursor::print("events", &filters, last.seq));
    Ok(Json(PageJson { items: events.iter().map(EventJson::from).collect(), next }))
}

/// Show an event with the runs that it started, and why it did not start others.
#[utoipa::path(
    get, path = "/v1/events/{event}", tag = "events", operation_id = "showEvent",
    params(("event" = String, Path, description = "The event's id")),
    responses((status = 200, description = "The event", body = EventJson))
)]
async fn show(State(doors): State<Doors>, Params(event): Params<String>) -> Result<Json<EventJson>, Problem> {
    let id: EventId = body::id("event", &event)?;
    match doors.store.event(id).await? {
        Some(view) => Ok(Json(EventJson::from(&view))),
        None => Err(Problem::new(Code::UnknownEvent, format!("failed to find event {id}: it was never accepted here"))),
    }
}
