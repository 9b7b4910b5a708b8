//! Schedules in a world of random changes.

use backstitch_server::model::{
    Overlap, Payload, RunId, Schedule, ScheduleKey, SchedulePause, ScheduleSource, ScheduleSpec, Span, Tally, Tick,
    Timestamp, Timing, Waiting,
};
use backstitch_server::store::{SchedulesPage, TicksPage};

use super::world::{Dice, World};

/// One of a few schedules.
pub(super) fn key(dice: &mut Dice) -> ScheduleKey {
    let (app, schedule) = (*dice.pick(&["shop", "shop x", "billing"]), *dice.pick(&["nightly", "a b", "größe"]));
    ScheduleKey::new(app, schedule)
}

/// One of a few times of one of them.
pub(super) fn tick(dice: &mut Dice) -> Tick {
    Tick { schedule: key(dice), at: Timestamp(dice.below(5) as i64) }
}

/// What a schedule's row holds.
pub(super) fn row(dice: &mut Dice, run: RunId) -> Payload {
    let tally = Tally { count: dice.below(9) as u64, last: dice.some(|_| Timestamp(7)) };
    let spec = ScheduleSpec {
        function: "order".into(),
        timing: Timing::Every { every: Span(1_000), offset: Span(0) },
        jitter: Span(0),
        overlap: *dice.pick(&Overlap::ALL),
        catch_up: Span(5),
        input: Payload::null(),
    };
    let schedule = Schedule {
        format: 1,
        source: *dice.pick(&[ScheduleSource::Manifest, ScheduleSource::Api]),
        spec,
        created_at: Timestamp(1),
        updated_at: Timestamp(2),
        paused: dice.some(|_| SchedulePause { since: Timestamp(3), note: None }).filter(|_| dice.coin()),
        position: Timestamp(4),
        next: dice.some(|_| Timestamp(5)),
        running: dice.some(|_| run),
        waiting: dice.some(|_| Waiting { after: Timestamp(1), until: Timestamp(3), count: 2 }).into_iter().collect(),
        started: tally,
        skipped: tally,
        missed: tally,
        problem: None,
    };
    Payload::of(&schedule).expect("prints")
}

/// A page of schedules, and one of the times of a schedule.
pub(super) fn pages(dice: &mut Dice) -> (SchedulesPage, TicksPage) {
    let (app, after) = (dice.some(|dice| key(dice).app), dice.some(key));
    let (from, until) = (Timestamp(dice.below(3) as i64), Timestamp(dice.below(7) as i64));
    let limit = dice.below(4) + 1;
    (SchedulesPage { app, after, limit }, TicksPage { schedule: key(dice), from, until, limit })
}

impl World {
    /// A schedule that runs may be asked for by.
    pub(super) fn scheduled(dice: &mut Dice) -> Option<ScheduleKey> {
        dice.some(key).filter(|_| dice.coin())
    }
}
