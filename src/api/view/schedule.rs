//! A schedule in JSON.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::RunJson;
use crate::limits::NEXT_TICKS_SHOWN;
use crate::model::{
    Overlap, Payload, RunId, Schedule, SchedulePause, ScheduleSource, Span, Tally, Text, Timestamp, Timetable, Timing,
};
use crate::store::ScheduleRow;

/// What starts runs of a function at times, and how far it has come.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Schedule)]
pub struct ScheduleJson {
    /// `app/schedule`.
    pub id: String,
    /// The app whose function it starts.
    #[schema(value_type = String)]
    pub app: Text,
    /// Its own id in the app.
    #[schema(value_type = String)]
    pub schedule: Text,
    /// The function's id in the app.
    #[schema(value_type = String)]
    pub function: Text,
    /// Who made it: `manifest` (the app declares it) or `api`.
    #[schema(value_type = String)]
    pub source: ScheduleSource,
    /// A cron line.
    #[schema(value_type = Option<String>)]
    pub cron: Option<Text>,
    /// The time zone of the cron line; UTC if there is none.
    #[schema(value_type = Option<String>)]
    pub tz: Option<Text>,
    /// An interval, in place of a cron line.
    #[schema(value_type = Option<String>)]
    pub every: Option<Span>,
    /// How much later than the multiples of the interval.
    #[schema(value_type = Option<String>)]
    pub offset: Option<Span>,
    /// By how much at most a tick is put off.
    #[schema(value_type = String)]
    pub jitter: Span,
    /// What becomes of a tick while an earlier run goes on: `skip`, `bufferOne`, `bufferAll`, `cancelOther` or `allow`.
    #[schema(value_type = String)]
    pub overlap: Overlap,
    /// How late a tick may still have its run.
    #[schema(value_type = String)]
    pub catch_up: Span,
    /// The input of its runs: any JSON.
    #[schema(value_type = Value)]
    pub input: Payload,
    /// Why it stands still, while it does.
    #[schema(value_type = Option<Object>)]
    pub paused: Option<SchedulePause>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When what it is to do was said last.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
    /// The logical time of its next tick.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next: Option<Timestamp>,
    /// Its next ticks; left out in lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub next_ticks: Vec<Timestamp>,
    /// The run of its last tick, while that goes on; left out in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub running: Option<RunId>,
    /// Ticks that wait for that run to end.
    pub waiting: Option<WaitingJson>,
    /// Ticks that had their run.
    pub started: TallyJson,
    /// Ticks that had none since an earlier run went on.
    pub skipped: TallyJson,
    /// Ticks that had none since the server was too late for them, or could not start the function.
    pub missed: TallyJson,
    /// Why the last tick that could not start the function could not.
    pub problem: Option<String>,
    /// What it waits for now, in a sentence.
    pub explanation: String,
    /// Its last runs; left out in lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<RunJson>,
}

/// Ticks of one kind.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Tally)]
pub struct TallyJson {
    /// How many there were.
    pub count: u64,
    /// The logical time of the last.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last: Option<Timestamp>,
}

/// Ticks that wait for a run to end.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = WaitingTicks)]
pub struct WaitingJson {
    /// How many.
    pub count: u64,
    /// The logical time of the first.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub first: Option<Timestamp>,
    /// The logical time of the last.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last: Option<Timestamp>,
}

impl From<Tally> for TallyJson {
    fn from(tally: Tally) -> TallyJson {
        TallyJson { count: tally.count, last: tally.last }
    }
}

impl From<&ScheduleRow> for ScheduleJson {
    fn from(row: &ScheduleRow) -> ScheduleJson {
        let ScheduleRow { key, schedule, wake_at } = row;
        let spec = &schedule.spec;
        let (cron, tz, every, offset) = match spec.timing.clone() {
            Timing::Cron { cron, tz } => (Some(cron), tz, None, None),
            Timing::Every { every, offset } => (None, None, Some(every), Some(offset)),
        };
        let table = Timetable::of(&spec.timing).ok();
        let ticks = table.iter().flat_map(|table| table.all_after(schedule.position));
        let waiting = waiting(schedule, table.as_ref());
        ScheduleJson {
            id: key.to_string(),
            app: key.app.clone(),
            schedule: key.schedule.clone(),
            function: spec.function.clone(),
            source: schedule.source,
            cron,
            tz,
            every,
            offset,
            jitter: spec.jitter,
            overlap: spec.overlap,
            catch_up: spec.catch_up,
            input: spec.input.clone(),
            paused: schedule.paused.clone(),
            created_at: schedule.created_at,
            updated_at: schedule.updated_at,
            next: schedule.next,
            next_ticks: ticks.take(NEXT_TICKS_SHOWN).collect(),
            running: None,
            waiting,
            started: schedule.started.into(),
            skipped: schedule.skipped.into(),
            missed: schedule.missed.into(),
            problem: schedule.problem.clone(),
            explanation: explain(schedule, *wake_at, waiting),
            runs: Vec::new(),
        }
    }
}

fn waiting(schedule: &Schedule, table: Option<&Timetable>) -> Option<WaitingJson> {
    let first = schedule.waiting.first()?;
    Some(WaitingJson {
        count: schedule.waiting.iter().map(|waiting| waiting.count).sum(),
        first: table.and_then(|table| table.after(first.after)),
        last: schedule.waiting.last().map(|waiting| waiting.until),
    })
}

fn explain(schedule: &Schedule, wake_at: Option<Timestamp>, waiting: Option<WaitingJson>) -> String {
    if let Some(paused) = &schedule.paused {
        let note = paused.note.as_ref().map_or_else(String::new, |note| format!(" ({note})"));
        return format!("paused since {}{note}: `backstitch schedules resume` lets it go on", paused.since);
    }
    if let (Some(waiting), Some(run)) = (waiting, schedule.running) {
        let first = waiting.first.map_or_else(String::new, |at| format!(", the first for {at}"));
        let ticks = if waiting.count == 1 { "1 tick waits" } else { "ticks wait" };
        let count = if waiting.count == 1 { String::new() } else { format!("{} ", waiting.count) };
        return format!("{count}{ticks}{first}: until run {run} ends (overlap `{}`)", schedule.spec.overlap.as_str());
    }
    match (schedule.next, wake_at) {
        (None, _) => "it has no time any more".to_owned(),
        (Some(next), Some(at)) if at > next => format!("waits for its tick of {next}, put off to {at}"),
        (Some(next), _) => format!("waits for its tick of {next}"),
    }
}
