//! Schedules: what starts runs at times. Those that an app declares are shown, paused and filled up like the others, and
//! changed in its code.

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::{self, Params};
use super::cursor;
use super::doors::{Doors, unexpected};
use super::error::{Code, FieldError, Problem};
use super::functions::RunRefJson;
use super::runs::{page_size, rows};
use super::view::{JobJson, PageJson, RunJson, ScheduleJson};
use crate::engine::{Command, PutSchedule, Refusal, Reply, RunTick};
use crate::limits::{
    BACKFILL_CONCURRENCY_MAX, BACKFILL_TICKS_MAX, BACKFILL_TICKS_SHOWN, CATCH_UP_MS_DEFAULT, NAME_BYTES_MAX,
    SCHEDULE_RUNS_SHOWN, SCHEDULES_MAX, SMALL_BODY_BYTES_MAX,
};
use crate::model::{
    Backfill, Overlap, Payload, Reprocess, RunId, RunStatus, ScheduleKey, ScheduleSource, ScheduleSpec, Span,
    Timestamp, Timetable, Timing,
};
use crate::store::{RunFilter, ScheduleRow, SchedulesPage, TicksPage};

/// The addresses of schedules.
pub(super) fn routes() -> OpenApiRouter<Doors> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show, put, delete))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(trigger))
        .routes(routes!(backfill))
        .routes(routes!(runs))
        .routes(routes!(run_of_tick))
}

/// Which schedules.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Of this app.
    app: Option<String>,
    /// Where the page begins: `next` of the page before.
    cursor: Option<String>,
    /// Items on the page: 50 if left out, at most 200.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
}

/// List schedules, in the order of their ids.
#[utoipa::path(
    get, path = "/v1/schedules", tag = "schedules", operation_id = "listSchedules", params(ListQuery),
    responses((status = 200, description = "A page of schedules", body = PageJson<ScheduleJson>))
)]
async fn list(State(doors): State<Doors>, RawQuery(query): RawQuery) -> Result<Json<PageJson<ScheduleJson>>, Problem> {
    let query: ListQuery = body::query(query.as_deref())?;
    let size = page_size(query.limit)?;
    let filters = query.app.clone().unwrap_or_default();
    let after = query.cursor.as_deref().map(|text| cursor::read_text("schedules", &filters, text)).transpose()?;
    let after = after.and_then(|text| text.parse::<ScheduleKey>().ok());
    let page = SchedulesPage { app: query.app.map(Into::into), after, limit: size + 1 };
    let mut rows = doors.store.schedules(page).await?;
    let more = rows.len() > size;
    rows.truncate(size);
    let next = rows.last().filter(|_| more).map(|row| cursor::print_text("schedules", &filters, &row.key.to_string()));
    let shown = |row| ScheduleJson { next_ticks: Vec::new(), ..ScheduleJson::from(row) };
    Ok(Json(PageJson { items: rows.iter().map(shown).collect(), next }))
}

/// Show a schedule with its next ticks and its last runs.
#[utoipa::path(
    get, path = "/v1/schedules/{app}/{schedule}", tag = "schedules", operation_id = "showSchedule",
    params(("app" = String, Path, description = "The app"), ("schedule" = String, Path, description = "The schedule's id in its app")),
    responses((status = 200, description = "The schedule", body = ScheduleJson))
)]
async fn show(
    State(doors): State<Doors>,
    Params((app, schedule)): Params<(String, String)>,
) -> Result<Json<ScheduleJson>, Problem> {
    whole(&doors, &ScheduleKey::new(app, schedule)).await.map(Json)
}

/// What a schedule is to do.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = PutSchedule)]
struct PutJson {
    /// The function's id in the app.
    function: String,
    /// When: a cron line of five fields, or of six with seconds first, or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`.
    cron: Option<String>,
    /// The time zone of the cron line, such as `Europe/Berlin`; UTC if left out.
    tz: Option<String>,
    /// When, in place of a cron line: an interval such as `15m`, counted from the beginning of 1970.
    #[schema(value_type = Option<String>)]
    every: Option<Span>,
    /// How much later than the multiples of the interval.
    #[schema(value_type = Option<String>)]
    offset: Option<Span>,
    /// By how much at most a tick is put off; `0s` if left out.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    jitter: Span,
    /// What becomes of a tick while an earlier run goes on: `skip` (if left out), `bufferOne`, `bufferAll`, `cancelOther` or `allow`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    overlap: Overlap,
    /// How late a tick may still have its run; `1d` if left out.
    #[schema(value_type = Option<String>)]
    catch_up: Option<Span>,
    /// The input of its runs: any JSON; `null` if left out.
    #[schema(value_type = Option<Object>)]
    input: Option<Payload>,
}

impl PutJson {
    fn spec(self) -> Result<ScheduleSpec, Problem> {
        let wrong = |field: &str, detail: &str| Err(Problem::field(FieldError::at(format!("/{field}"), detail)));
        let timing = match (self.cron, self.every) {
            (Some(_), Some(_)) => return wrong("every", "must be left out where there is a `cron`"),
            (None, None) => return wrong("cron", "is missing: say a `cron` line or an interval, `every`"),
            (Some(_), None) if self.offset.is_some() => return wrong("offset", "is for intervals, `every`"),
            (None, Some(_)) if self.tz.is_some() => return wrong("tz", "is for `cron` lines"),
            (Some(cron), None) => Timing::Cron { cron: cron.into(), tz: self.tz.map(Into::into) },
            (None, Some(every)) => Timing::Every { every, offset: self.offset.unwrap_or_default() },
        };
        let spec = ScheduleSpec {
            function: self.function.into(),
            timing,
            jitter: self.jitter,
            overlap: self.overlap,
            catch_up: self.catch_up.unwrap_or(Span(CATCH_UP_MS_DEFAULT)),
            input: self.input.unwrap_or_else(Payload::null),
        };
        match spec.problem() {
            Some(problem) => wrong(problem.field, &problem.message),
            None => Ok(spec),
        }
    }
}

/// Make a schedule, or change it. Its first tick is the first one after this. Its position stays when its times do.
#[utoipa::path(
    put, path = "/v1/schedules/{app}/{schedule}", tag = "schedules", operation_id = "putSchedule",
    params(("app" = String, Path, description = "The app"), ("schedule" = String, Path, description = "The schedule's id in its app")),
    request_body = PutJson,
    responses(
        (status = 200, description = "It was there, and is as it should be", body = ScheduleJson),
        (status = 201, description = "It is new", body = ScheduleJson)
    )
)]
async fn put(
    State(doors): State<Doors>,
    Params((app, schedule)): Params<(String, String)>,
    headers: HeaderMap,
    body: axum::body::Body,
) -> Result<Response, Problem> {
    let received = body::receive(&headers, body, 2 * SMALL_BODY_BYTES_MAX, false).await?;
    let spec = received.json::<PutJson>()?.spec()?;
    let bad =
        |name: &str| name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(|c| c == '/' || c.is_control());
    if bad(&schedule) {
        let detail = format!("must have 1 to {NAME_BYTES_MAX} bytes, without `/` and control characters");
        return Err(Problem::field(FieldError::of("schedule", detail)));
    }
    let key = ScheduleKey::new(app, schedule);
    if doors.store.schedule(key.clone()).await?.is_none()
        && doors.store.count_schedules().await? >= SCHEDULES_MAX as u64
    {
        return Err(Problem::busy(format!(
            "failed to make a schedule: there are {SCHEDULES_MAX} already; delete some"
        )));
    }
    let put = PutSchedule { key: key.clone(), spec, source: ScheduleSource::Api };
    match submit(&doors, &key, Command::PutSchedule(Box::new(put))).await? {
        Reply::Scheduled { created, .. } => {
            let status = if created { StatusCode::CREATED } else { StatusCode::OK };
            Ok((status, Json(whole(&doors, &key).await?)).into_response())
        }
        reply => Err(unexpected(&reply)),
    }
}

/// Delete a schedule. Its runs stay, and those that go on do so.
#[utoipa::path(
    delete, path = "/v1/schedules/{app}/{schedule}", tag = "schedules", operation_id = "deleteSchedule",
    params(("app" = String, Path, description = "The app"), ("schedule" = String, Path, description = "The schedule's id in its app")),
    responses((status = 204, description = "It is gone"))
)]
async fn delete(
    State(doors): State<Doors>,
    Params((app, schedule)): Params<(String, String)>,
) -> Result<StatusCode, Problem> {
    let key = ScheduleKey::new(app, schedule);
    submit(&doors, &key, Command::EndSchedule { key: key.clone(), source: ScheduleSource::Api }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Why a schedule is paused.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PauseSchedule)]
struct PauseJson {
    /// What is shown to whoever looks at it.
    note: Option<String>,
}

/// Pause a schedule: it starts nothing until it is resumed. Ticks of that time have no run.
#[utoipa::path(
    post, path = "/v1/schedules/{app}/{schedule}/pause", tag = "schedules", operation_id = "pauseSchedule",
    params(("app" = String, Path, description = "The app"), ("schedule" = String, Path, description = "The schedule's id in its app")),
    request_body = Option<PauseJson>,
    responses((status = 200, description = "It is paused", body = ScheduleJson))
)]
async fn pause(
    State(doors): State<Doors>,
    Params((app, schedule)): Params<(String, String)>,
    headers: HeaderMap,
    body: axum::body::Body,
) -> Result<Json<ScheduleJson>, Problem> {
    let received = body::receive(&headers, body, SMALL_BODY_BYTES_MAX, false).await?;
    let PauseJson { note } = received.json_or_default()?;
    if note.as_ref().is_some_and(|note| note.len() > NAME_BYTES_MAX || note.chars().any(char::is_control)) {
        let detail = format!("has at most {NAME_BYTES_MAX} bytes and no control characters");
        return Err(Problem::field(FieldError::at("/note", detail)));
    }
    let key = ScheduleKey::new(app, schedule);
    submit(&doors, &key, Command::PauseSchedule { key: key.clone(), note: note.map(Into::into) }).await?;
    whole(&doors, &key).await.map(Json)
}

/// Resume a schedule: it goes on with its next tick, and with those that waited when it was paused.
#[utoipa::path(
    post, path = "/v1/schedules/{app}/{schedule}/resume", tag = "schedules", operation_id = "resumeSchedule",
    params(("app" = String, Path, description = "The app"), ("schedule" = String, Path, description = "The schedule's id in its app")),
    responses((status = 200, description = "It goes on", body = ScheduleJson))
)]
async fn resume(
    State(doors): State<Doors>,
    Params((app, schedule)): Params<(String, String)>,
) -> Result<Json<ScheduleJson>, Problem> {
    let key = ScheduleKey::new(app, schedule);
    submit(&doors, &key, Command::ResumeSchedule { key: key.clone() }).await?;
    whole(&doors, &key).await.map(Json)
}

/// Start a run now, whatever the schedule's times are and whatever goes on. Its logical time is now.
#[utoipa::path(
    post, path = "/v1/schedules/{app}/{schedule}/trigger", tag = "schedules", operation_id = "triggerSchedule",
    params(("app" = String, Path, description = "The app"), ("schedule" = String, Path, description = "The schedule's id in its app")),
    responses((status = 202, description = "The run is durable", body = RunRefJson))
)]
async fn trigger(
    State(doors): State<Doors>,
    Params((app, schedule)): Params<(String, String)>,
) -> Result<Response, Problem> {
    let key = ScheduleKey::new(app, schedule);
    let ask = RunTick { key: key.clone(), at: None, previous: None, job: None };
    match submit(&doors, &key, Command::RunTick(ask)).await? {
        Reply::Run { id, created } => Ok((StatusCode::ACCEPTED, Json(RunRefJson { id, created })).into_response()),
        reply => Err(unexpected(&reply)),
    }
}

/// Which times of a schedule are to have a run.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewBackfill)]
struct NewBackfillJson {
    /// At or after this time.
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    /// Before this time; not later than now.
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
    /// How many runs there are at a time: 1 if left out, at most 100.
    concurrency: Option<u32>,
    /// What becomes of times that have a run: `none` (if left out) leaves them alone, `failed` makes a new one if the last one failed or
    /// was cancelled, `all` if it has ended.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    reprocess: Reprocess,
    /// Only count, and list the first.
    #[serde(default)]
    dry_run: bool,
}

/// What a backfill would do.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = BackfillPlan)]
pub struct BackfillPlanJson {
    /// Times of the schedule in the range.
    pub total: u64,
    /// Those of them that would get a run.
    pub runs: u64,
    /// The first of those.
    #[schema(value_type = Vec<String>)]
    pub ticks: Vec<Timestamp>,
}

/// Start the runs of a range of times, so many at a time and in their order, or only say which they are. It is a job: `/v1/jobs/{job}`
/// shows how far it has come, and stops it.
#[utoipa::path(
    post, path = "/v1/schedules/{app}/{schedule}/backfill", tag = "schedules", operation_id = "backfillSchedule",
    params(("app" = String, Path, description = "The app"), ("schedule" = String, Path, description = "The schedule's id in its app")),
    request_body = NewBackfillJson,
    responses(
        (status = 202, description = "The job is durable and begins", body = JobJson),
        (status = 200, description = "With `dryRun`: what it would do", body = BackfillPlanJson)
    )
)]
async fn backfill(
    State(doors): State<Doors>,
    Params((app, schedule)): Params<(String, String)>,
    headers: HeaderMap,
    body: axum::body::Body,
) -> Result<Response, Problem> {
    let received = body::receive(&headers, body, SMALL_BODY_BYTES_MAX, false).await?;
    let asked: NewBackfillJson = received.json()?;
    let key = ScheduleKey::new(app, schedule);
    let row = known(&doors, &key).await?;
    let wrong = |field: &str, detail: String| Err(Problem::field(FieldError::at(format!("/{field}"), detail)));
    let now = doors.clock.wall();
    if asked.from < Timestamp::ZERO || asked.from >= asked.until {
        return wrong("from", format!("must lie before `until`, {}, and after 1970", asked.until));
    }
    if asked.until > now {
        return wrong("until", format!("lies in the future: it is {now}, and what is to come has its runs in time"));
    }
    let concurrency = asked.concurrency.unwrap_or(1);
    if !(1..=BACKFILL_CONCURRENCY_MAX).contains(&concurrency) {
        return wrong("concurrency", format!("is {concurrency}; use 1 to {BACKFILL_CONCURRENCY_MAX}"));
    }
    let (from, until) = (asked.from, asked.until);
    // Many times of a cron line are some work.
    let ticks = tokio::task::spawn_blocking(move || ticks_between(&row, from, until)).await;
    let Some(ticks) = ticks.map_err(|panic| Problem::internal(panic.to_string()))? else {
        return wrong("from", format!("the range has more than {BACKFILL_TICKS_MAX} times; choose a shorter one"));
    };
    if asked.dry_run {
        return Ok(Json(plan(&doors, &key, &asked, &ticks).await?).into_response());
    }
    let ask = Backfill { schedule: key, from, until, concurrency, reprocess: asked.reprocess };
    let job = doors.jobs.backfill(ask, ticks.len() as u64).await?;
    Ok((StatusCode::ACCEPTED, Json(JobJson::from(&job))).into_response())
}

/// The times of a schedule in a range, unless they are too many.
fn ticks_between(row: &ScheduleRow, from: Timestamp, until: Timestamp) -> Option<Vec<Timestamp>> {
    let table = Timetable::of(&row.schedule.spec.timing).ok()?;
    let ticks = table.all_after(Timestamp(from.0 - 1)).take_while(|at| *at < until);
    let ticks: Vec<Timestamp> = ticks.take(BACKFILL_TICKS_MAX + 1).collect();
    (ticks.len() <= BACKFILL_TICKS_MAX).then_some(ticks)
}

async fn plan(
    doors: &Doors,
    key: &ScheduleKey,
    asked: &NewBackfillJson,
    ticks: &[Timestamp],
) -> Result<BackfillPlanJson, Problem> {
    let (from, until) = (asked.from, asked.until);
    // Runs that somebody started by hand have times of their own.
    let page = TicksPage { schedule: key.clone(), from, until, limit: 2 * BACKFILL_TICKS_MAX };
    let with_run: std::collections::BTreeMap<Timestamp, RunStatus> =
        doors.store.ticks(page).await?.into_iter().map(|tick| (tick.at, tick.status)).collect();
    let gets_one = |at: &&Timestamp| with_run.get(at).is_none_or(|status| asked.reprocess.applies_to(*status));
    let wanted = || ticks.iter().filter(gets_one);
    Ok(BackfillPlanJson {
        total: ticks.len() as u64,
        runs: wanted().count() as u64,
        ticks: wanted().take(BACKFILL_TICKS_SHOWN).copied().collect(),
    })
}

/// Which times.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct TicksQuery {
    /// At or after this time.
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// Before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// Items on the page: 50 if left out, at most 200.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
}

/// A time of a schedule that has a run.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Tick)]
pub struct TickJson {
    /// The logical time.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Its run; the newest, if it was made again.
    #[schema(value_type = String)]
    pub run: RunId,
    /// Where that stands.
    #[schema(value_type = String)]
    pub status: RunStatus,
}

/// List the times of a schedule that have a run, oldest first, each with its newest run. `next` is the time that the page after it
/// begins at: its `since`.
#[utoipa::path(
    get, path = "/v1/schedules/{app}/{schedule}/runs", tag = "schedules", operation_id = "listTicks",
    params(("app" = String, Path, description = "The app"), ("schedule" = String, Path, description = "The schedule's id in its app"), TicksQuery),
    responses((status = 200, description = "A page of times", body = PageJson<TickJson>))
)]
async fn runs(
    State(doors): State<Doors>,
    Params((app, schedule)): Params<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Json<PageJson<TickJson>>, Problem> {
    let query: TicksQuery = body::query(query.as_deref())?;
    let size = page_size(query.limit)?;
    let (from, until) = (query.since.unwrap_or(Timestamp::ZERO), query.until.unwrap_or(Timestamp(i64::MAX)));
    let page = TicksPage { schedule: ScheduleKey::new(app, schedule), from, until, limit: size + 1 };
    let mut ticks = doors.store.ticks(page).await?;
    let next = ticks.get(size).map(|tick| tick.at.to_string());
    ticks.truncate(size);
    let items = ticks.into_iter().map(|tick| TickJson { at: tick.at, run: tick.run, status: tick.status });
    Ok(Json(PageJson { items: items.collect(), next }))
}

/// Show the run of one of a schedule's times: the newest, if it was made again.
#[utoipa::path(
    get, path = "/v1/schedules/{app}/{schedule}/runs/{time}", tag = "schedules", operation_id = "showTick",
    params(
        ("app" = String, Path, description = "The app"),
        ("schedule" = String, Path, description = "The schedule's id in its app"),
        ("time" = String, Path, description = "The logical time, in RFC 3339")
    ),
    responses((status = 200, description = "The run", body = RunJson))
)]
async fn run_of_tick(
    State(doors): State<Doors>,
    Params((app, schedule, time)): Params<(String, String, String)>,
) -> Result<Json<RunJson>, Problem> {
    let at: Timestamp = time
        .parse()
        .map_err(|error: crate::model::TimeError| Problem::field(FieldError::of("time", error.to_string())))?;
    let key = ScheduleKey::new(app, schedule);
    let page = TicksPage { schedule: key.clone(), from: at, until: Timestamp(at.0 + 1), limit: 1 };
    if let Some(tick) = doors.store.ticks(page).await?.first()
        && let Some(view) = doors.store.run(tick.run).await?
    {
        return Ok(Json(RunJson::from(&view)));
    }
    let row = known(&doors, &key).await?;
    Err(Problem::new(Code::UnknownTick, why_none(&row, at)))
}

/// Why a time has no run.
fn why_none(row: &ScheduleRow, at: Timestamp) -> String {
    let ScheduleRow { key, schedule, .. } = row;
    let is_tick = Timetable::of(&schedule.spec.timing).is_ok_and(|table| table.after(Timestamp(at.0 - 1)) == Some(at));
    let waits = schedule.waiting.iter().any(|waiting| waiting.after < at && at <= waiting.until);
    let why = if !is_tick {
        "it is none of its times".to_owned()
    } else if waits {
        "it waits for an earlier run to end".to_owned()
    } else if at > schedule.position {
        "it is still to come".to_owned()
    } else if at <= schedule.created_at {
        "the schedule is younger; `backstitch schedules backfill` starts runs of earlier times".to_owned()
    } else {
        "it was skipped or missed, or the schedule was paused; `backstitch schedules backfill` starts it".to_owned()
    };
    format!("failed to find the run of {key} for {at}: {why}")
}

async fn submit(doors: &Doors, key: &ScheduleKey, command: Command) -> Result<Reply, Problem> {
    Ok(doors.cluster.owner_of_schedule(key).submit(command).await?)
}

async fn known(doors: &Doors, key: &ScheduleKey) -> Result<ScheduleRow, Problem> {
    let row = doors.store.schedule(key.clone()).await?;
    row.ok_or_else(|| Refusal::UnknownSchedule(key.clone()).into())
}

/// A schedule with all that is shown of one.
async fn whole(doors: &Doors, key: &ScheduleKey) -> Result<ScheduleJson, Problem> {
    let row = known(doors, key).await?;
    let filter = RunFilter { schedule: Some(key.clone()), limit: SCHEDULE_RUNS_SHOWN, ..RunFilter::default() };
    let runs = doors.store.runs(filter).await?.runs;
    let running = match row.schedule.running {
        Some(first) => {
            let newest = doors.store.newest_of_chain(first).await?.unwrap_or(first);
            doors.store.run(newest).await?.filter(|view| !view.head.status.is_terminal()).map(|view| view.head.id)
        }
        None => None,
    };
    Ok(ScheduleJson { running, runs: rows(doors, &runs).await?, ..ScheduleJson::from(&row) })
}
