//! What only a developer may do: move the clock, and count what code does to the world. A server that `backstitch dev` runs has
//! these addresses; to others they are not there, whoever asks.
//!
//! The clock goes from timer to timer: what falls due is settled, and what follows from it is done, before the next one is.
//! So a sleep in a loop of 24 comes to its end in a day, and each time-out fires at its own time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::{self, Checks};
use super::doors::Doors;
use super::error::{Code, FieldError, Problem};
use crate::clock::{Clock as _, DevClock};
use crate::limits::{
    EFFECTS_MAX, SKIP_LOOK_MS, SKIP_QUIET_MS, SKIP_STEPS_MAX, SKIP_TAKES_MS, START_BODY_BYTES_MAX, TIMER_PAGE,
};
use crate::model::{RunId, Span, StateKey, Timestamp};
use crate::store::{Timer, TimerKey};

/// What a developer has at hand.
#[derive(Clone)]
pub struct Dev {
    /// The clock of this server.
    pub clock: Arc<DevClock>,
    /// Who moves the clock: two that step at once would each be moved by the other.
    moving: Arc<tokio::sync::Mutex<()>>,
    /// What was done to the world, by name.
    effects: Arc<Mutex<BTreeMap<String, Done>>>,
}

/// How often something was done to the world.
#[derive(Clone, Debug, Default)]
struct Done {
    keys: BTreeSet<String>,
    without_key: u64,
    calls: u64,
}

impl Done {
    fn shown(&self, name: &str) -> EffectJson {
        let keyed = u64::try_from(self.keys.len()).unwrap_or(u64::MAX);
        EffectJson { name: name.to_owned(), count: keyed.saturating_add(self.without_key), calls: self.calls }
    }
}

impl Dev {
    /// With the clock that the server runs on.
    pub fn new(clock: Arc<DevClock>) -> Dev {
        Dev { clock, moving: Arc::default(), effects: Arc::default() }
    }

    fn effects(&self) -> MutexGuard<'_, BTreeMap<String, Done>> {
        self.effects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The addresses of a developer.
pub(super) fn routes() -> OpenApiRouter<Doors> {
    OpenApiRouter::new().routes(routes!(clock)).routes(routes!(advance)).routes(routes!(effects, done, forget))
}

/// The server's clock.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Clock)]
pub struct ClockJson {
    /// The server's time.
    #[schema(value_type = String, format = DateTime)]
    pub now: Timestamp,
    /// How far it is ahead of the machine's, in milliseconds.
    #[serde(rename = "skippedMs")]
    pub skipped_ms: u64,
    /// When the next timer is due: a sleep, a time-out, a pause before an attempt.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next: Option<Timestamp>,
    /// How many timers the clock stopped at on its way.
    #[serde(default)]
    pub fired: usize,
    /// Whether all that fell due is through. False when a handler is still at work, or cannot be reached.
    pub quiet: bool,
}

/// How far the clock is to go: exactly one of both.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Advance)]
struct AdvanceJson {
    /// So long.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    by: Option<Span>,
    /// To the next timer (`next`), or to a time.
    #[serde(default)]
    to: Option<String>,
}

/// Tell the time, and when the next timer is due.
#[utoipa::path(
    get, path = "/dev/clock", tag = "dev", operation_id = "devClock",
    responses((status = 200, description = "The server's clock", body = ClockJson))
)]
async fn clock(State(doors): State<Doors>) -> Result<Json<ClockJson>, Problem> {
    let dev = developer(&doors)?;
    let now = dev.clock.wall();
    // In this order: what is at work could set a timer between the two questions.
    let (quiet, next) = (is_quiet(&doors, now).await?, next_timer(&doors, now).await?);
    Ok(Json(ClockJson { now, skipped_ms: dev.clock.skipped().0, next, fired: 0, quiet }))
}

/// Move the clock forward. What falls due is settled on the way, in its order.
#[utoipa::path(
    post, path = "/dev/clock/advance", tag = "dev", operation_id = "advanceDevClock",
    request_body = AdvanceJson,
    responses((status = 200, description = "The clock has been moved", body = ClockJson))
)]
async fn advance(
    State(doors): State<Doors>,
    headers: HeaderMap,
    body: axum::body::Body,
) -> Result<Json<ClockJson>, Problem> {
    let dev = developer(&doors)?.clone();
    let received = body::receive(&headers, body, START_BODY_BYTES_MAX, false).await?;
    let asked: AdvanceJson = received.json_or_default()?;
    // In a task of its own: a client that goes away must not leave the clock half-way.
    let moving = tokio::spawn(async move {
        let _alone = dev.moving.lock().await;
        go(&doors, &dev, &asked).await
    });
    moving.await.map_err(|panic| Problem::internal(panic.to_string()))?.map(Json)
}

/// Something that was done to the world.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewEffect)]
struct NewEffectJson {
    /// What was done, such as `charge`.
    name: String,
    /// The idempotency key that it was done with: effects of one name and key are one. Without it each is one.
    #[serde(default)]
    key: Option<String>,
}

/// How often something was done to the world.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Effect)]
pub struct EffectJson {
    /// What.
    pub name: String,
    /// How often, as whoever knows the keys sees it.
    pub count: u64,
    /// How often it was asked for.
    pub calls: u64,
}

/// Tell what was done to the world since it was last forgotten.
#[utoipa::path(
    get, path = "/dev/effects", tag = "dev", operation_id = "devEffects",
    responses((status = 200, description = "The effects, by name", body = Vec<EffectJson>))
)]
async fn effects(State(doors): State<Doors>) -> Result<Json<Vec<EffectJson>>, Problem> {
    let effects = developer(&doors)?.effects();
    Ok(Json(effects.iter().map(|(name, done)| done.shown(name)).collect()))
}

/// Say that something was done to the world: fakes do, and code that runs under `backstitch dev --chaos`.
#[utoipa::path(
    post, path = "/dev/effects", tag = "dev", operation_id = "countDevEffect",
    request_body = NewEffectJson,
    responses((status = 200, description = "It has been counted", body = EffectJson))
)]
async fn done(
    State(doors): State<Doors>,
    headers: HeaderMap,
    body: axum::body::Body,
) -> Result<Json<EffectJson>, Problem> {
    let dev = developer(&doors)?;
    let received = body::receive(&headers, body, START_BODY_BYTES_MAX, false).await?;
    let NewEffectJson { name, key } = received.json()?;
    let mut checks = Checks::default();
    checks.name("/name", &name);
    key.iter().for_each(|key| drop(checks.name("/key", key)));
    checks.done()?;
    let mut effects = dev.effects();
    if effects.values().map(|done| done.keys.len() + 1).sum::<usize>() >= EFFECTS_MAX {
        let problem =
            format!("is one of more than {EFFECTS_MAX} effects: DELETE /dev/effects forgets those that were counted");
        return Err(Problem::field(FieldError::at("/name", problem)));
    }
    let done = effects.entry(name.clone()).or_default();
    done.calls += 1;
    match key {
        Some(key) => drop(done.keys.insert(key)),
        None => done.without_key += 1,
    }
    Ok(Json(done.shown(&name)))
}

/// Forget what was done to the world, to count anew.
#[utoipa::path(
    delete, path = "/dev/effects", tag = "dev", operation_id = "forgetDevEffects",
    responses((status = 204, description = "Nothing has been done"))
)]
async fn forget(State(doors): State<Doors>) -> Result<StatusCode, Problem> {
    developer(&doors)?.effects().clear();
    Ok(StatusCode::NO_CONTENT)
}

/// Whose server it is.
fn developer(doors: &Doors) -> Result<&Dev, Problem> {
    doors.dev.as_ref().ok_or_else(|| {
        let detail = "failed to find what only developers have, such as a clock that can be skipped: this server runs with `backstitch start`, whose time is real, \
                      and which counts nothing for tests; `backstitch dev` has both";
        Problem::new(Code::DevOnly, detail)
    })
}

async fn go(doors: &Doors, dev: &Dev, asked: &AdvanceJson) -> Result<ClockJson, Problem> {
    let begun_ms = dev.clock.monotonic_ms();
    let in_time = || dev.clock.monotonic_ms().saturating_sub(begun_ms) < SKIP_TAKES_MS;
    let mut quiet = settle(doors, dev).await?;
    let target = target(doors, dev, asked).await?;
    let mut fired = 0;
    while fired < SKIP_STEPS_MAX && in_time() {
        let Some(at) = next_timer(doors, dev.clock.wall()).await?.filter(|at| *at <= target) else { break };
        skip(dev, at)?;
        fired += 1;
        quiet = settle(doors, dev).await?;
    }
    skip(dev, target)?;
    let now = dev.clock.wall();
    Ok(ClockJson { now, skipped_ms: dev.clock.skipped().0, next: next_timer(doors, now).await?, fired, quiet })
}

async fn target(doors: &Doors, dev: &Dev, asked: &AdvanceJson) -> Result<Timestamp, Problem> {
    let now = dev.clock.wall();
    match (&asked.by, asked.to.as_deref()) {
        (Some(by), None) => Ok(now.after(*by)),
        (None, Some("next")) => next_timer(doors, now).await?.ok_or_else(|| {
            Problem::new(
                Code::NoTimer,
                "failed to skip to the next timer: nothing waits for a time. A run may wait for a signal or an event",
            )
        }),
        (None, Some(time)) => match time.parse::<Timestamp>() {
            Ok(time) if time >= now => Ok(time),
            Ok(_) => Err(Problem::field(FieldError::at(
                "/to",
                format!("is in the past: it is {now}, and time never runs backwards"),
            ))),
            Err(error) => Err(Problem::field(FieldError::at("/to", format!("is neither `next` nor a time: {error}")))),
        },
        (Some(_), Some(_)) => Err(Problem::field(FieldError::at("/to", "stands beside `by`: say one of both"))),
        (None, None) => Err(Problem::field(FieldError::at(
            "",
            "says neither `by` (a duration such as \"1h\") nor `to` (\"next\" or a time)",
        ))),
    }
}

fn skip(dev: &Dev, to: Timestamp) -> Result<(), Problem> {
    if dev.clock.skip_to(to) {
        return Ok(());
    }
    Err(Problem::field(FieldError::at("", "is farther than the clock goes: 100 years ahead of the machine's")))
}

/// Waits until all that is due is through. False if it takes too long.
async fn settle(doors: &Doors, dev: &Dev) -> Result<bool, Problem> {
    let begun_ms = dev.clock.monotonic_ms();
    while !is_quiet(doors, dev.clock.wall()).await? {
        if dev.clock.monotonic_ms().saturating_sub(begun_ms) >= SKIP_QUIET_MS {
            return Ok(false);
        }
        tokio::time::sleep(Duration::from_millis(SKIP_LOOK_MS)).await;
    }
    Ok(true)
}

/// Whether nothing is ready, at work, or due.
async fn is_quiet(doors: &Doors, now: Timestamp) -> Result<bool, Problem> {
    Ok(doors.store.due(PARTITION, None, now, 1).await?.is_empty())
}

/// When the next timer is due that anybody waits for: that a key's mark is forgotten nobody does.
async fn next_timer(doors: &Doors, now: Timestamp) -> Result<Option<Timestamp>, Problem> {
    // Of the timers of one time a run's comes first, and of those the least id.
    let mut after = Timer { at: Timestamp(now.0.saturating_add(1)), key: TimerKey::Run(RunId(0)) };
    loop {
        let page = doors.store.due(PARTITION, Some(after), Timestamp(i64::MAX), TIMER_PAGE).await?;
        let awaited = page.iter().find(|timer| !matches!(timer.key, TimerKey::State(StateKey::Mark(_))));
        match (awaited, page.last()) {
            (Some(timer), _) => return Ok(Some(timer.at)),
            (None, Some(last)) if page.len() == TIMER_PAGE => after = last.clone(),
            (None, _) => return Ok(None),
        }
    }
}

/// The one partition of a developer's server.
const PARTITION: u16 = 0;
