//! Schedules: at each of its times a schedule starts a run of its function. A tick and the move of the schedule's position
//! are one transition, and the run's id follows from the schedule and the logical time: whatever is killed, and whatever is
//! asked twice, a tick has one run.
//!
//! Nothing is listed: which ticks wait follows from two times and the timetable. One transition starts one run at most and
//! looks at a bounded number of ticks; what is left is due at once.

use super::command::{Command, PutSchedule, Refusal, Reply, RunTick};
use super::draft::{Draft, Part};
use super::start::{Birth, caused_id, create};
use super::{cancel, chain};
use crate::limits::{SCHEDULE_GAPS_MAX, SCHEDULE_TICKS_MAX, SCHEDULE_WAITING_MAX};
use crate::model::{
    FunctionId, Key, Labels, Overlap, Payload, RunId, Schedule, ScheduleKey, SchedulePause, ScheduleSource, StateKey,
    StateRow, Tally, Text, Tick, Timestamp, Timetable, TriggerKind, Waiting, jitter_of, partition_key,
};

/// The layout of schedules that this version writes.
const FORMAT: u32 = 1;

/// Makes a schedule, or says anew what it is to do. Its position stays unless its times are others.
pub(super) fn put(draft: &mut Draft<'_>, put: &PutSchedule) -> Part<Reply> {
    let PutSchedule { key, spec, source } = put;
    let before = find(draft, key)?;
    if *source == ScheduleSource::Api {
        if before.as_ref().is_some_and(|before| before.source == ScheduleSource::Manifest) {
            return Err(Refusal::DeclaredSchedule(key.clone()).into());
        }
        check_function(draft, &FunctionId::new(key.app.clone(), spec.function.clone()))?;
    }
    let table = timetable(key, spec)?;
    let now = draft.now();
    let created = before.is_none();
    let mut schedule = match before.clone() {
        Some(before) => before,
        None => Schedule {
            format: FORMAT,
            source: *source,
            spec: spec.clone(),
            created_at: now,
            updated_at: now,
            paused: None,
            position: now,
            next: None,
            running: None,
            waiting: Vec::new(),
            started: Tally::default(),
            skipped: Tally::default(),
            missed: Tally::default(),
            problem: None,
        },
    };
    if schedule.spec.timing != spec.timing {
        // What waits belongs to the old times.
        drop_waiting(&mut schedule);
        schedule.position = schedule.position.max(now);
    }
    if schedule.spec != *spec {
        (schedule.spec, schedule.updated_at) = (spec.clone(), now);
    }
    schedule.source = *source;
    let changed = before.as_ref() != Some(&schedule);
    if changed {
        schedule.problem = None;
        write(draft, key, schedule, &table)?;
    }
    Ok(Reply::Scheduled { created, changed })
}

/// Removes a schedule: its runs stay, and those that go on do so.
pub(super) fn end(draft: &mut Draft<'_>, key: &ScheduleKey, source: ScheduleSource) -> Part<Reply> {
    match (find(draft, key)?, source) {
        // Somebody else has it by now.
        (None, ScheduleSource::Manifest) => return Ok(Reply::Done),
        (Some(schedule), ScheduleSource::Manifest) if schedule.source == ScheduleSource::Api => return Ok(Reply::Done),
        (None, ScheduleSource::Api) => return Err(Refusal::UnknownSchedule(key.clone()).into()),
        (Some(schedule), ScheduleSource::Api) if schedule.source == ScheduleSource::Manifest => {
            return Err(Refusal::DeclaredSchedule(key.clone()).into());
        }
        (Some(_), _) => {}
    }
    draft.delete_state(StateKey::Schedule(key.clone()));
    Ok(Reply::Done)
}

/// Holds a schedule: it starts nothing until somebody resumes it.
pub(super) fn pause(draft: &mut Draft<'_>, key: &ScheduleKey, note: Option<&Text>) -> Part<Reply> {
    let mut schedule = known(draft, key)?;
    let since = schedule.paused.as_ref().map_or(draft.now(), |paused| paused.since);
    let paused = Some(SchedulePause { since, note: note.cloned() });
    if schedule.paused != paused {
        schedule.paused = paused;
        let table = timetable(key, &schedule.spec)?;
        write(draft, key, schedule, &table)?;
    }
    Ok(Reply::Done)
}

/// Lets a schedule go on, with the ticks that are still to come and those that waited when it was held.
pub(super) fn resume(draft: &mut Draft<'_>, key: &ScheduleKey) -> Part<Reply> {
    let mut schedule = known(draft, key)?;
    if schedule.paused.take().is_some() {
        schedule.position = schedule.position.max(draft.now());
        let table = timetable(key, &schedule.spec)?;
        write(draft, key, schedule, &table)?;
    }
    Ok(Reply::Done)
}

/// Starts the run of one logical time because somebody asks for it, or finds the run that it has.
pub(super) fn run_tick(draft: &mut Draft<'_>, ask: &RunTick) -> Part<Reply> {
    let schedule = known(draft, &ask.key)?;
    check_function(draft, &schedule.function(&ask.key))?;
    let at = ask.at.unwrap_or(draft.now());
    let previous = if ask.job.is_some() { ask.previous } else { schedule.started.last };
    let facts = Facts { previous, manual: ask.job.is_none(), backfill: ask.job.as_ref() };
    let (id, created) = start(draft, &ask.key, &schedule, at, &facts)?;
    if created && ask.job.is_none() && !is_running(draft, &schedule)? {
        // The next tick minds it.
        let table = timetable(&ask.key, &schedule.spec)?;
        write(draft, &ask.key, Schedule { running: Some(id), ..schedule }, &table)?;
    }
    Ok(Reply::Run { id, created })
}

/// A schedule may be due. What is due happens, in the order of its times.
pub(super) fn wake(draft: &mut Draft<'_>, key: &ScheduleKey) -> Part<()> {
    let Some(before) = find(draft, key)? else { return Ok(()) };
    if before.paused.is_some() {
        return Ok(());
    }
    let table = timetable(key, &before.spec)?;
    let mut schedule = before.clone();
    for _ in 0..SCHEDULE_TICKS_MAX {
        if begin_waiting(draft, key, &mut schedule, &table)? {
            break;
        }
        let Some(at) = table.after(schedule.position).filter(|at| due(key, &schedule, *at) <= draft.now()) else {
            break;
        };
        let started = tick(draft, key, &mut schedule, &table, at)?;
        schedule.position = at;
        if started {
            break;
        }
    }
    schedule.next = table.after(schedule.position);
    let wake_at = wake_at(draft, key, &schedule)?;
    // The timer, too: whoever asks may have found that it is wrong.
    let kept = draft.state(&StateKey::Schedule(key.clone())).and_then(|row| row.wake_at);
    if schedule != before || wake_at != kept {
        put_row(draft, key, &schedule, wake_at);
    }
    Ok(())
}

/// A run of a schedule has ended, of a chain the newest; `first` is where the chain began. If ticks wait for that, their turn has
/// come.
pub(super) fn run_ended(draft: &mut Draft<'_>, key: &ScheduleKey, first: RunId) -> Part<()> {
    let Some(schedule) = find(draft, key)? else { return Ok(()) };
    if schedule.running == Some(first) && !schedule.waiting.is_empty() && schedule.paused.is_none() {
        put_row(draft, key, &schedule, Some(Timestamp::ZERO));
    }
    Ok(())
}

/// Starts the first tick that waits, if its turn has come.
fn begin_waiting(draft: &mut Draft<'_>, key: &ScheduleKey, schedule: &mut Schedule, table: &Timetable) -> Part<bool> {
    if schedule.waiting.is_empty() || is_running(draft, schedule)? {
        return Ok(false);
    }
    match take_waiting(schedule, table) {
        Some(at) => begin(draft, key, schedule, at),
        None => Ok(false),
    }
}

/// Sees to one tick that is due. Says whether it has its run now.
fn tick(
    draft: &mut Draft<'_>,
    key: &ScheduleKey,
    schedule: &mut Schedule,
    table: &Timetable,
    at: Timestamp,
) -> Part<bool> {
    if draft.now().since(due(key, schedule, at)) > schedule.spec.catch_up {
        schedule.missed.add(at);
        return Ok(false);
    }
    let overlap = schedule.spec.overlap;
    if overlap == Overlap::Allow || !is_running(draft, schedule)? {
        return begin(draft, key, schedule, at);
    }
    match overlap {
        Overlap::Allow | Overlap::Skip => schedule.skipped.add(at),
        Overlap::BufferOne => wait_alone(schedule, at),
        Overlap::BufferAll => wait_behind(schedule, at, table),
        Overlap::CancelOther => {
            if let Some(run) = schedule.running {
                cancel::cancel(draft, run)?;
            }
            wait_alone(schedule, at);
        }
    }
    Ok(false)
}

/// A tick waits in the place of those that did.
fn wait_alone(schedule: &mut Schedule, at: Timestamp) {
    drop_waiting(schedule);
    schedule.waiting.push(Waiting { after: schedule.position, until: at, count: 1 });
}

/// A tick waits behind those that do. The first of them has no run when there are too many.
fn wait_behind(schedule: &mut Schedule, at: Timestamp, table: &Timetable) {
    let position = schedule.position;
    match schedule.waiting.last_mut().filter(|last| last.until == position) {
        Some(last) => (last.until, last.count) = (at, last.count + 1),
        // Between it and those before are ticks that do not wait.
        None => schedule.waiting.push(Waiting { after: position, until: at, count: 1 }),
    }
    while schedule.waiting.len() > SCHEDULE_GAPS_MAX || waiting(schedule) > SCHEDULE_WAITING_MAX {
        match take_waiting(schedule, table) {
            Some(first) => schedule.skipped.add(first),
            None => break,
        }
    }
}

/// How many ticks wait.
fn waiting(schedule: &Schedule) -> u64 {
    schedule.waiting.iter().map(|waiting| waiting.count).sum()
}

/// Takes the first tick that waits.
fn take_waiting(schedule: &mut Schedule, table: &Timetable) -> Option<Timestamp> {
    let first = schedule.waiting.first_mut()?;
    let next = table.after(first.after).filter(|at| *at <= first.until).unwrap_or(first.until);
    if next < first.until && first.count > 1 {
        (first.after, first.count) = (next, first.count - 1);
    } else {
        schedule.waiting.remove(0);
    }
    Some(next)
}

/// Starts a tick's run, or says why that cannot be.
fn begin(draft: &mut Draft<'_>, key: &ScheduleKey, schedule: &mut Schedule, at: Timestamp) -> Part<bool> {
    if let Err(super::draft::Stop::Refuse(refusal)) = check_function(draft, &schedule.function(key)) {
        schedule.missed.add(at);
        schedule.problem = Some(refusal.to_string());
        return Ok(false);
    }
    let facts = Facts { previous: schedule.started.last, manual: false, backfill: None };
    let (id, _) = start(draft, key, schedule, at, &facts)?;
    schedule.running = Some(id);
    schedule.started.add(at);
    schedule.problem = None;
    Ok(true)
}

/// What entry 0 says of the tick besides its time.
struct Facts<'a> {
    previous: Option<Timestamp>,
    manual: bool,
    backfill: Option<&'a Text>,
}

impl Facts<'_> {
    fn print(&self, key: &ScheduleKey, at: Timestamp) -> Payload {
        let mut facts = serde_json::json!({
            "kind": TriggerKind::Schedule.as_str(), "schedule": key.to_string(), "at": at, "previous": self.previous,
        });
        if self.manual {
            facts["manual"] = true.into();
        }
        if let Some(job) = self.backfill {
            facts["backfill"] = serde_json::Value::from(&**job);
        }
        Payload::trusted(facts.to_string())
    }
}

/// The run of a logical time, and whether it is new.
fn start(
    draft: &mut Draft<'_>,
    key: &ScheduleKey,
    schedule: &Schedule,
    at: Timestamp,
    facts: &Facts<'_>,
) -> Part<(RunId, bool)> {
    let id = tick_id(key, at);
    if draft.find_run(id)?.is_some() {
        return Ok((id, false));
    }
    create(
        draft,
        Birth {
            id,
            function: schedule.function(key),
            name: None,
            trigger: TriggerKind::Schedule,
            event: None,
            parent: None,
            root: None,
            facts: facts.print(key, at),
            input: schedule.spec.input.clone(),
            delay: None,
            key: None,
            tick: Some(Tick { schedule: key.clone(), at }),
            labels: Labels::default(),
        },
    )?;
    Ok((id, true))
}

/// The id of the run that a schedule makes for a logical time.
pub fn tick_id(key: &ScheduleKey, at: Timestamp) -> RunId {
    let name = key.to_string();
    caused_id(at, partition_key(&[name.as_bytes()]), name.as_bytes(), &format!("$tick {}", at.0))
}

/// Whether the run of the last tick that began goes on, itself or in another run of its chain.
fn is_running(draft: &mut Draft<'_>, schedule: &Schedule) -> Part<bool> {
    let Some(first) = schedule.running else { return Ok(false) };
    // What is kept no longer has ended.
    if draft.find_run(first)?.is_none() {
        return Ok(false);
    }
    let newest = chain::newest(draft, first)?;
    Ok(draft.find_run(newest)?.is_some_and(|run| !run.head.status.is_terminal()))
}

/// When a tick happens.
fn due(key: &ScheduleKey, schedule: &Schedule, at: Timestamp) -> Timestamp {
    at.after(jitter_of(key, at, schedule.spec.jitter))
}

fn drop_waiting(schedule: &mut Schedule) {
    for waiting in std::mem::take(&mut schedule.waiting) {
        schedule.skipped.count += waiting.count;
        schedule.skipped.last = Some(waiting.until);
    }
}

/// Whether a function can be started by a schedule.
fn check_function(draft: &Draft<'_>, function: &FunctionId) -> Part<()> {
    match draft.registry.function(function) {
        None => Err(Refusal::UnknownFunction(function.clone()).into()),
        Some(config) if config.mode.is_some() => {
            let why = "a schedule has no key of an object; schedule a function that calls the handler".to_owned();
            Err(Refusal::Key(function.clone(), why).into())
        }
        Some(_) => Ok(()),
    }
}

fn timetable(key: &ScheduleKey, spec: &crate::model::ScheduleSpec) -> Part<Timetable> {
    Timetable::of(&spec.timing).map_err(|problem| Refusal::Timing(key.clone(), problem).into())
}

/// A schedule that must exist.
fn known(draft: &Draft<'_>, key: &ScheduleKey) -> Part<Schedule> {
    find(draft, key)?.ok_or_else(|| Refusal::UnknownSchedule(key.clone()).into())
}

fn find(draft: &Draft<'_>, key: &ScheduleKey) -> Part<Option<Schedule>> {
    draft.require([Key::Schedule(key.clone())])?;
    let read = draft.state(&StateKey::Schedule(key.clone())).map(|row| row.value.read::<Schedule>());
    let unread = |error| Refusal::Internal(format!("the schedule {key} cannot be read: {error}")).into();
    read.transpose().map_err(unread)
}

/// Writes a schedule with its next tick. What is due already follows at once.
fn write(draft: &mut Draft<'_>, key: &ScheduleKey, mut schedule: Schedule, table: &Timetable) -> Part<()> {
    schedule.next = table.after(schedule.position);
    let wake_at = wake_at(draft, key, &schedule)?;
    put_row(draft, key, &schedule, wake_at);
    Ok(())
}

/// When a schedule moves by itself: 0 when it has work left.
fn wake_at(draft: &mut Draft<'_>, key: &ScheduleKey, schedule: &Schedule) -> Part<Option<Timestamp>> {
    if schedule.paused.is_some() {
        return Ok(None);
    }
    let next = schedule.next.map(|at| due(key, schedule, at));
    let is_due = next.is_some_and(|at| at <= draft.now());
    let has_turn = !schedule.waiting.is_empty() && !is_running(draft, schedule)?;
    Ok(if is_due || has_turn { Some(Timestamp::ZERO) } else { next })
}

fn put_row(draft: &mut Draft<'_>, key: &ScheduleKey, schedule: &Schedule, wake_at: Option<Timestamp>) {
    let key = StateKey::Schedule(key.clone());
    if wake_at == Some(Timestamp::ZERO) {
        draft.follow_up(Command::WakeState { key: key.clone() });
    }
    let value = Payload::of(schedule).expect("a schedule prints to memory");
    draft.put_state(StateRow { key, wake_at, value });
}
