//! What random cases do besides the ordinary: forks, and schedules that come and go while everything else happens.

use backstitch_server::engine::{Command, PutSchedule, RunTick};
use backstitch_server::model::{
    Overlap, Payload, ScheduleKey, ScheduleSource, ScheduleSpec, Span, StateKey, Timestamp, Timing,
};
use proptest::prelude::*;

use super::chaos::Act;
use super::harness::World;
use super::registry::FUNCTIONS;

/// From where a run is forked.
#[derive(Clone, Copy, Debug)]
pub(super) enum From {
    Entry(u8),
    Edits,
    Failure,
}

/// A fork of some run.
pub(super) fn fork() -> impl Strategy<Value = Act> {
    let from = prop_oneof![3 => any::<u8>().prop_map(From::Entry), 1 => Just(From::Edits), 2 => Just(From::Failure)];
    let edit = proptest::option::weighted(0.3, (any::<u8>(), any::<bool>()));
    let parts = (any::<u8>(), from, edit, proptest::option::weighted(0.3, 0u8..2), proptest::bool::weighted(0.1));
    parts.prop_map(|(run, from, edit, cause, dry_run)| Act::Fork { run, from, edit, cause, dry_run })
}

/// What is done with one of a few schedules.
#[derive(Clone, Debug)]
pub(super) enum Scheduling {
    Put { schedule: u8, function: u8, overlap: Overlap, minutes: u64, jitter: u64, declared: bool },
    End { schedule: u8, declared: bool },
    Pause(u8),
    Resume(u8),
    Trigger(u8),
    Backfill { schedule: u8, back: u8 },
    Hint(u8),
}

/// Such an act.
pub(super) fn scheduling() -> impl Strategy<Value = Scheduling> {
    let overlap = proptest::sample::select(Overlap::ALL.to_vec());
    let jitter = prop_oneof![3 => Just(0u64), 1 => Just(90_000)];
    let put = (0u8..2, 0..FUNCTIONS + 1, overlap, 4u64..30, jitter, any::<bool>());
    let put = put.prop_map(|(schedule, function, overlap, minutes, jitter, declared)| Scheduling::Put {
        schedule,
        function,
        overlap,
        minutes,
        jitter,
        declared,
    });
    prop_oneof![
        6 => put,
        1 => (0u8..2, any::<bool>()).prop_map(|(schedule, declared)| Scheduling::End { schedule, declared }),
        1 => (0u8..2).prop_map(Scheduling::Pause),
        2 => (0u8..2).prop_map(Scheduling::Resume),
        1 => (0u8..2).prop_map(Scheduling::Trigger),
        2 => (0u8..2, any::<u8>()).prop_map(|(schedule, back)| Scheduling::Backfill { schedule, back }),
        1 => (0u8..2).prop_map(Scheduling::Hint),
    ]
}

fn key(schedule: u8) -> ScheduleKey {
    ScheduleKey::new("shop", format!("t{schedule}"))
}

fn source(declared: bool) -> ScheduleSource {
    if declared { ScheduleSource::Manifest } else { ScheduleSource::Api }
}

/// Does it.
pub(super) fn schedule(world: &mut World, act: &Scheduling) {
    let ask = |schedule, at, job: Option<&str>| {
        Command::RunTick(RunTick { key: key(schedule), at, previous: None, job: job.map(Into::into) })
    };
    let command = match *act {
        Scheduling::Put { schedule, function, overlap, minutes, jitter, declared } => {
            let timing = Timing::Every { every: Span(minutes * 60_000), offset: Span(0) };
            let spec = ScheduleSpec {
                function: format!("f{function}").into(),
                timing,
                jitter: Span(jitter),
                overlap,
                // A day passes now and then: of its ticks some are missed.
                catch_up: Span(3 * minutes * 60_000),
                input: Payload::trusted(r#"{"key":3}"#),
            };
            Command::PutSchedule(Box::new(PutSchedule { key: key(schedule), spec, source: source(declared) }))
        }
        Scheduling::End { schedule, declared } => Command::EndSchedule { key: key(schedule), source: source(declared) },
        Scheduling::Pause(schedule) => Command::PauseSchedule { key: key(schedule), note: None },
        Scheduling::Resume(schedule) => Command::ResumeSchedule { key: key(schedule) },
        Scheduling::Trigger(schedule) => ask(schedule, None, None),
        Scheduling::Backfill { schedule, back } => {
            let at = Timestamp(world.now.0 / 240_000 * 240_000 - i64::from(back) * 240_000);
            ask(schedule, Some(at), Some("job"))
        }
        Scheduling::Hint(schedule) => Command::WakeState { key: StateKey::Schedule(key(schedule)) },
    };
    world.submit(command);
}

/// Ends all schedules: a world with one never comes to rest.
pub(super) fn end_schedules(world: &mut World) {
    for schedule in 0..2 {
        for declared in [false, true] {
            world.submit(Command::EndSchedule { key: key(schedule), source: source(declared) });
        }
        while world.finish_load(false) {}
    }
}
