//! Schedules: a tick has one run, in time and in order, whatever happens to the server; and what becomes of ticks that come
//! while an earlier run goes on, too late, or while the schedule is paused.

use backstitch_server::engine::{Command, PutSchedule, Refusal, Reply, RunTick, tick_id};
use backstitch_server::model::{
    Key, Outcome, Overlap, Payload, RunHead, RunId, RunStatus, Schedule, ScheduleKey, ScheduleSource, ScheduleSpec,
    Span, StateKey, Timestamp, Timetable, Timing, TriggerKind, jitter_of,
};
use proptest::prelude::*;

use super::harness::{Fate, START, World};
use super::program::{Node, OnCancel, Program, runner};
use super::registry::registry;

const MINUTE: u64 = 60_000;

fn key() -> ScheduleKey {
    ScheduleKey::new("shop", "nightly")
}

fn program(nodes: Vec<Node>, rounds: u32) -> Program {
    Program { nodes, flaky: 0, on_cancel: OnCancel::Stop, catches: true, hints: false, rounds }
}

/// `f3` ends at once, `f0` waits for the signal `s0`.
fn world() -> World {
    let waits = || program(vec![Node::Signal(0, None)], 0);
    let ends = || program(Vec::new(), 0);
    World::new(vec![waits(), ends(), ends(), ends()], 9)
}

fn spec(function: &str, overlap: Overlap) -> ScheduleSpec {
    ScheduleSpec {
        function: function.into(),
        timing: Timing::Every { every: Span(MINUTE), offset: Span(0) },
        jitter: Span(0),
        overlap,
        catch_up: Span(10 * MINUTE),
        input: Payload::trusted(r#"{"key":1}"#),
    }
}

fn put_as(world: &mut World, spec: &ScheduleSpec, source: ScheduleSource) -> Result<Reply, Refusal> {
    let command = Command::PutSchedule(Box::new(PutSchedule { key: key(), spec: spec.clone(), source }));
    let reply = world.ask(&command).map(|transition| transition.reply);
    world.submit(command);
    world.flow(9);
    reply
}

fn put(world: &mut World, spec: &ScheduleSpec) {
    put_as(world, spec, ScheduleSource::Api).expect("is taken");
}

fn schedule(world: &World) -> Schedule {
    world.safe.state[&StateKey::Schedule(key())].value.read().expect("is a schedule")
}

fn wake_at(world: &World) -> Option<Timestamp> {
    world.safe.state[&StateKey::Schedule(key())].wake_at
}

/// The runs of the schedule, in the order of their creation: minutes after the first tick.
fn ticks(world: &World) -> Vec<i64> {
    let first = first_tick();
    world.safe.runs.values().filter_map(|run| Some((run.tick.as_ref()?.at.0 - first.0) / MINUTE as i64)).collect()
}

fn first_tick() -> Timestamp {
    Timestamp((START.0 / MINUTE as i64 + 1) * MINUTE as i64)
}

/// Goes to so many minutes after the first tick.
fn minute(world: &mut World, minute: u64) {
    let target = first_tick().after(Span(minute * MINUTE));
    while world.now < target {
        let next = world.next_at().filter(|at| *at <= target).unwrap_or(target);
        world.advance(next.since(world.now).0);
        world.flow(99);
    }
}

fn last(world: &World) -> RunHead {
    world.safe.runs.values().next_back().cloned().expect("a run")
}

fn finish(world: &mut World, run: RunId) {
    let settle = Outcome::Ok(Payload::trusted(format!("\"{run}\"")));
    world.submit(Command::Signal { run, name: "s0".into(), id: None, settle });
    world.flow(99);
}

fn act(world: &mut World, command: Command) {
    world.submit(command);
    world.flow(99);
}

#[test]
fn every_tick_has_its_run_in_time() {
    let mut world = world();
    put(&mut world, &spec("f3", Overlap::Skip));
    assert_eq!(wake_at(&world), Some(first_tick()));
    minute(&mut world, 3);
    assert_eq!(ticks(&world), [0, 1, 2, 3]);
    let run = last(&world);
    let at = first_tick().after(Span(3 * MINUTE));
    assert_eq!((run.id, run.trigger, run.created_at), (tick_id(&key(), at), TriggerKind::Schedule, at));
    let facts: serde_json::Value = world.safe.entries_of(run.id)[0].params.read().expect("is JSON");
    let before = first_tick().after(Span(2 * MINUTE));
    let expected = serde_json::json!({"kind": "schedule", "schedule": "shop/nightly", "at": at, "previous": before});
    assert_eq!(facts, expected);
    // The same again is no news; after a restart it goes on where it was.
    assert_eq!(
        put_as(&mut world, &spec("f3", Overlap::Skip), ScheduleSource::Api),
        Ok(Reply::Scheduled { created: false, changed: false })
    );
    world.crash();
    minute(&mut world, 5);
    assert_eq!(ticks(&world), [0, 1, 2, 3, 4, 5]);
    assert_eq!(schedule(&world).started.count, 6);
}

#[test]
fn skip_leaves_ticks_without_a_run_while_one_goes_on() {
    let mut world = world();
    put(&mut world, &spec("f0", Overlap::Skip));
    minute(&mut world, 2);
    assert_eq!((ticks(&world), schedule(&world).skipped.count), (vec![0], 2));
    let run = last(&world).id;
    finish(&mut world, run);
    minute(&mut world, 3);
    assert_eq!(ticks(&world), [0, 3]);
    assert_eq!(schedule(&world).skipped.last, Some(first_tick().after(Span(2 * MINUTE))));
}

#[test]
fn of_buffered_ticks_one_or_all_have_their_turn() {
    for (overlap, expected) in [(Overlap::BufferOne, vec![0, 3]), (Overlap::BufferAll, vec![0, 1, 2, 3])] {
        let mut world = world();
        put(&mut world, &spec("f0", overlap));
        minute(&mut world, 3);
        assert_eq!(ticks(&world), [0], "{overlap:?}");
        for _ in 1..expected.len() {
            // Also when the server dies right after the end of the run that they wait for.
            let run = last(&world).id;
            let settle = Outcome::Ok(Payload::trusted(format!("\"{run}\"")));
            world.submit(Command::Signal { run, name: "s0".into(), id: None, settle });
            while last(&world).id == run && world.safe.head(run).is_some_and(|head| !head.status.is_terminal()) {
                world.work(1);
                world.poll(1);
                world.finish_load(false);
                if !world.calls.is_empty() {
                    world.answer(0);
                }
                world.commit();
                world.committed(Fate::Done);
            }
            world.crash();
            world.flow(99);
        }
        assert_eq!(ticks(&world), expected, "{overlap:?}");
        assert!(schedule(&world).waiting.is_empty(), "{overlap:?}");
    }
}

#[test]
fn buffered_ticks_have_holes_where_others_were_missed() {
    let mut world = world();
    put(&mut world, &spec("f0", Overlap::BufferAll));
    minute(&mut world, 2);
    // The server is away for half an hour: what is older than ten minutes then is missed.
    world.advance(30 * MINUTE);
    world.crash();
    world.flow(99);
    let seen = schedule(&world);
    assert_eq!((seen.waiting.len(), seen.waiting[0].count, seen.waiting[1].count), (2, 2, 11));
    for _ in 0..13 {
        let run = last(&world).id;
        finish(&mut world, run);
    }
    let expected: Vec<i64> = (0..3).chain(22..33).collect();
    assert_eq!(ticks(&world), expected);
    assert_eq!(schedule(&world).missed.count, 19);
}

#[test]
fn cancel_other_begins_when_the_other_has_ended() {
    let mut world = world();
    put(&mut world, &spec("f0", Overlap::CancelOther));
    minute(&mut world, 1);
    assert_eq!(ticks(&world), [0, 1]);
    let statuses: Vec<RunStatus> = world.safe.runs.values().map(|run| run.status).collect();
    assert_eq!(statuses, [RunStatus::Cancelled, RunStatus::Suspended]);
}

#[test]
fn allow_minds_nobody() {
    let mut world = world();
    put(&mut world, &spec("f0", Overlap::Allow));
    minute(&mut world, 2);
    assert_eq!(ticks(&world), [0, 1, 2]);
    assert!(world.safe.runs.values().all(|run| !run.status.is_terminal()));
}

#[test]
fn a_chain_of_runs_goes_on_as_one() {
    let mut world = World::new(
        vec![
            program(vec![Node::Signal(0, None)], 1),
            program(Vec::new(), 0),
            program(Vec::new(), 0),
            program(Vec::new(), 0),
        ],
        9,
    );
    put(&mut world, &spec("f0", Overlap::BufferOne));
    minute(&mut world, 0);
    let first = last(&world).id;
    finish(&mut world, first);
    let second = last(&world);
    assert_eq!(
        (second.chain, second.tick.clone()),
        (Some(first), world.safe.head(first).expect("is there").tick.clone())
    );
    minute(&mut world, 1);
    assert_eq!(ticks(&world), [0, 0], "the chain goes on");
    finish(&mut world, second.id);
    assert_eq!(ticks(&world), [0, 0, 1]);
}

#[test]
fn ticks_that_come_too_late_are_missed() {
    let mut world = world();
    put(&mut world, &spec("f3", Overlap::Allow));
    world.advance(first_tick().since(world.now).0 + 60 * MINUTE);
    world.flow(999);
    assert_eq!(ticks(&world), (50..=60).collect::<Vec<_>>());
    let seen = schedule(&world);
    assert_eq!((seen.missed.count, seen.missed.last), (50, Some(first_tick().after(Span(49 * MINUTE)))));
    // Of many, a bounded number is looked at in one transition.
    world.advance(7 * 1_440 * MINUTE);
    world.crash();
    world.flow(9_999);
    assert_eq!(ticks(&world).len(), 22);
    assert_eq!(schedule(&world).missed.count, 50 + 7 * 1_440 - 11);
}

#[test]
fn a_paused_schedule_starts_nothing_until_it_is_resumed() {
    let mut world = world();
    put(&mut world, &spec("f0", Overlap::BufferAll));
    minute(&mut world, 1);
    act(&mut world, Command::PauseSchedule { key: key(), note: Some("holidays".into()) });
    assert_eq!(wake_at(&world), None);
    let run = last(&world).id;
    finish(&mut world, run);
    minute(&mut world, 5);
    assert_eq!(ticks(&world), [0], "what waited waits on");
    act(&mut world, Command::ResumeSchedule { key: key() });
    assert_eq!(ticks(&world), [0, 1]);
    let run = last(&world).id;
    finish(&mut world, run);
    minute(&mut world, 6);
    assert_eq!(ticks(&world), [0, 1, 6], "the ticks of the pause have no run");
}

#[test]
fn a_change_of_times_begins_anew_and_others_do_not() {
    let mut world = world();
    put(&mut world, &spec("f0", Overlap::BufferAll));
    minute(&mut world, 2);
    put(&mut world, &ScheduleSpec { catch_up: Span(5 * MINUTE), ..spec("f0", Overlap::BufferAll) });
    assert_eq!(schedule(&world).waiting[0].count, 2);
    let timing = Timing::Every { every: Span(2 * MINUTE), offset: Span(0) };
    put(&mut world, &ScheduleSpec { timing, ..spec("f0", Overlap::BufferAll) });
    let seen = schedule(&world);
    assert_eq!((seen.waiting.len(), seen.skipped.count, seen.position), (0, 2, world.now));
}

#[test]
fn runs_by_hand_have_their_own_time_and_those_of_a_backfill_a_ticks() {
    let mut world = world();
    put(&mut world, &spec("f0", Overlap::Skip));
    let ask =
        |at, job: Option<&str>| Command::RunTick(RunTick { key: key(), at, previous: None, job: job.map(Into::into) });
    world.advance(5);
    act(&mut world, ask(None, None));
    let by_hand = last(&world);
    assert_eq!(by_hand.tick.expect("has a time").at, world.now);
    minute(&mut world, 0);
    assert_eq!(schedule(&world).skipped.count, 1, "the run by hand goes on");
    // What was skipped is made by a backfill, once.
    for created in [true, false] {
        let reply = world.ask(&ask(Some(first_tick()), Some("job_1"))).map(|transition| transition.reply);
        assert_eq!(reply, Ok(Reply::Run { id: tick_id(&key(), first_tick()), created }));
        act(&mut world, ask(Some(first_tick()), Some("job_1")));
    }
    // A backfill that comes before the tick has made its run.
    let next = first_tick().after(Span(MINUTE));
    act(&mut world, ask(Some(next), Some("job_2")));
    finish(&mut world, by_hand.id);
    minute(&mut world, 1);
    let of_next = world.safe.runs.values().filter(|run| run.tick.as_ref().is_some_and(|tick| tick.at == next)).count();
    assert_eq!((of_next, schedule(&world).started.last), (1, Some(next)));
}

#[test]
fn what_is_declared_is_changed_by_its_app_alone() {
    let mut world = world();
    let declared = spec("f3", Overlap::Skip);
    put_as(&mut world, &declared, ScheduleSource::Manifest).expect("is taken");
    let refused = put_as(&mut world, &spec("f0", Overlap::Skip), ScheduleSource::Api);
    assert_eq!(refused, Err(Refusal::DeclaredSchedule(key())));
    let end = |source| Command::EndSchedule { key: key(), source };
    assert_eq!(world.ask(&end(ScheduleSource::Api)).map(drop), Err(Refusal::DeclaredSchedule(key())));
    act(&mut world, end(ScheduleSource::Manifest));
    assert!(!world.safe.state.contains_key(&StateKey::Schedule(key())));
    // One that the API made is none of the manifest's business, until the app declares it.
    put(&mut world, &declared);
    act(&mut world, end(ScheduleSource::Manifest));
    assert!(world.safe.state.contains_key(&StateKey::Schedule(key())));
    put_as(&mut world, &declared, ScheduleSource::Manifest).expect("is taken");
    assert_eq!(schedule(&world).source, ScheduleSource::Manifest);
}

#[test]
fn what_cannot_be_is_refused_and_a_function_that_is_gone_is_missed() {
    let mut world = world();
    let missing = put_as(&mut world, &spec("nothing", Overlap::Skip), ScheduleSource::Api);
    assert!(matches!(missing, Err(Refusal::UnknownFunction(_))), "{missing:?}");
    let handler = put_as(&mut world, &spec("o/x", Overlap::Skip), ScheduleSource::Api);
    assert!(matches!(handler, Err(Refusal::Key(..))), "{handler:?}");
    let timing = Timing::Cron { cron: "whenever".into(), tz: None };
    let never = put_as(&mut world, &ScheduleSpec { timing, ..spec("f3", Overlap::Skip) }, ScheduleSource::Api);
    assert!(matches!(never, Err(Refusal::Timing(..))), "{never:?}");
    for command in [
        Command::PauseSchedule { key: key(), note: None },
        Command::ResumeSchedule { key: key() },
        Command::EndSchedule { key: key(), source: ScheduleSource::Api },
        Command::RunTick(RunTick { key: key(), at: None, previous: None, job: None }),
    ] {
        assert_eq!(world.ask(&command).map(drop), Err(Refusal::UnknownSchedule(key())), "{command:?}");
    }
    put(&mut world, &spec("f3", Overlap::Skip));
    world.register(world.registry.without("shop"));
    minute(&mut world, 1);
    let seen = schedule(&world);
    assert_eq!((seen.missed.count, ticks(&world).len()), (2, 0));
    assert!(seen.problem.expect("says why").contains("shop/f3"));
    world.register(registry(1, false));
    minute(&mut world, 2);
    assert_eq!((ticks(&world), schedule(&world).problem), (vec![2], None));
}

#[test]
fn a_hint_mends_a_timer_that_is_wrong() {
    let mut world = world();
    put(&mut world, &spec("f3", Overlap::Skip));
    let key = StateKey::Schedule(key());
    let row = world.safe.state[&key].clone();
    let broken = backstitch_server::model::StateRow { wake_at: None, ..row };
    world.partition.install(Key::Schedule(super::schedules::key()), backstitch_server::model::Loaded::State(None));
    world.partition.apply(&backstitch_server::model::Change::StatePut(broken));
    let transition = world.ask(&Command::WakeState { key }).expect("is decided");
    assert!(format!("{:?}", transition.changes).contains("wake_at: Some"), "{transition:?}");
}

/// What happens to a schedule.
#[derive(Clone, Debug)]
enum Event {
    Advance(u64),
    Flow(u8),
    Finish(u8),
    Crash,
    Commit(Fate),
    Work(u8),
    Backfill(u8),
}

fn event() -> impl Strategy<Value = Event> {
    let fate = prop_oneof![4 => Just(Fate::Done), 1 => Just(Fate::Failed), 1 => Just(Fate::UnknownDone), 1 => Just(Fate::UnknownLost)];
    prop_oneof![
        6 => (1u64..3 * MINUTE).prop_map(Event::Advance),
        1 => (10 * MINUTE..40 * MINUTE).prop_map(Event::Advance),
        6 => (1u8..9).prop_map(Event::Flow),
        3 => any::<u8>().prop_map(Event::Finish),
        2 => Just(Event::Crash),
        3 => fate.prop_map(Event::Commit),
        4 => (1u8..5).prop_map(Event::Work),
        1 => any::<u8>().prop_map(Event::Backfill),
    ]
}

fn specs() -> impl Strategy<Value = ScheduleSpec> {
    let timing = prop_oneof![
        (1u64..5).prop_map(|n| Timing::Every { every: Span(n * 30_000), offset: Span(7_000) }),
        Just(Timing::Cron { cron: "*/2 * * * *".into(), tz: Some("Europe/Berlin".into()) }),
        Just(Timing::Cron { cron: "*/20 * * * * *".into(), tz: None }),
    ];
    let (overlap, function) =
        (proptest::sample::select(Overlap::ALL.to_vec()), proptest::sample::select(vec!["f3", "f0"]));
    let spans = (
        prop_oneof![Just(0u64), Just(25_000), Just(200_000)],
        prop_oneof![Just(0u64), Just(5 * MINUTE), Just(60 * MINUTE)],
    );
    (timing, overlap, function, spans).prop_map(|(timing, overlap, function, (jitter, catch_up))| ScheduleSpec {
        timing,
        jitter: Span(jitter),
        catch_up: Span(catch_up),
        ..spec(function, overlap)
    })
}

fn happens(world: &mut World, event: &Event) {
    match event {
        Event::Advance(ms) => world.advance(*ms),
        Event::Flow(rounds) => drop(world.flow((*rounds).into())),
        Event::Finish(at) => {
            let open: Vec<RunId> =
                world.book.runs.values().filter(|run| !run.status.is_terminal()).map(|run| run.id).collect();
            if !open.is_empty() {
                let run = open[*at as usize % open.len()];
                let settle = Outcome::Ok(Payload::trusted(format!("\"{run} {}\"", world.moment().seed)));
                world.submit(Command::Signal { run, name: "s0".into(), id: None, settle });
            }
        }
        Event::Crash => world.crash(),
        Event::Commit(fate) => {
            world.commit();
            world.committed(*fate);
        }
        Event::Work(n) => drop(world.work((*n).into())),
        Event::Backfill(back) => {
            let Some(row) = world.safe.state.get(&StateKey::Schedule(key())) else { return };
            let table = Timetable::of(&row.value.read::<Schedule>().expect("reads").spec.timing).expect("reads");
            let at = table.after(Timestamp(world.now.0 - i64::from(*back) * 20_000)).filter(|at| *at <= world.now);
            if at.is_some() {
                world.submit(Command::RunTick(RunTick { key: key(), at, previous: None, job: Some("job".into()) }));
            }
        }
    }
}

fn check_accounts(world: &World, spec: &ScheduleSpec) {
    let Some(row) = world.safe.state.get(&StateKey::Schedule(key())) else { return };
    let seen: Schedule = row.value.read().expect("reads");
    let table = Timetable::of(&spec.timing).expect("reads");
    let passed = table.all_after(seen.created_at).take_while(|at| *at <= seen.position).count() as u64;
    let waiting: u64 = seen.waiting.iter().map(|waiting| waiting.count).sum();
    let all = seen.started.count + seen.skipped.count + seen.missed.count + waiting;
    assert_eq!(all, passed, "every tick is accounted for: {seen:#?}");
    let mut times = std::collections::BTreeMap::new();
    let mut last = Timestamp(i64::MIN);
    for run in world.safe.runs.values() {
        let Some(tick) = run.tick.as_ref().filter(|_| run.previous.is_none()) else { continue };
        assert_eq!(times.insert(tick.at, run.id), None, "a tick has two runs: {run:#?}");
        let facts: serde_json::Value = world.safe.entries_of(run.id)[0].params.read().expect("reads");
        if facts.get("backfill").is_some() {
            continue;
        }
        assert_eq!(table.after(Timestamp(tick.at.0 - 1)), Some(tick.at), "a run for no tick: {run:#?}");
        let due = tick.at.after(jitter_of(&key(), tick.at, spec.jitter));
        assert!(run.created_at >= due, "a tick came early: {run:#?}");
        assert!(tick.at > last, "ticks came out of order: {run:#?}");
        last = tick.at;
    }
    assert!(times.len() as u64 >= seen.started.count, "a tick that was started has no run: {seen:#?}");
    let open = world.safe.runs.values().filter(|run| !run.status.is_terminal() && run.tick.is_some());
    let by_schedule =
        |run: &&RunHead| !String::from_utf8_lossy(world.safe.entries_of(run.id)[0].params.bytes()).contains("backfill");
    if spec.overlap != Overlap::Allow {
        assert!(open.filter(by_schedule).count() <= 1, "two runs at once");
    }
}

#[test]
fn a_tick_has_one_run_whatever_happens() {
    let cases = (specs(), proptest::collection::vec(event(), 1..60));
    let ran = runner(150).run(&cases, |(spec, events)| {
        let mut world = world();
        put(&mut world, &spec);
        for event in &events {
            happens(&mut world, event);
            check_accounts(&world, &spec);
        }
        // The faults stop: what is due happens, and with runs that end so does what waits.
        for _ in 0..2_000 {
            world.flow(9_999);
            let Some(run) = world.safe.runs.values().find(|run| !run.status.is_terminal()).map(|run| run.id) else {
                break;
            };
            finish(&mut world, run);
        }
        check_accounts(&world, &spec);
        world.check_reload();
        let seen = schedule(&world);
        assert!(seen.waiting.is_empty(), "{seen:#?}");
        let next = seen.next.expect("goes on");
        let due = next.after(jitter_of(&key(), next, spec.jitter));
        assert_eq!((wake_at(&world), due > world.now), (Some(due), true), "{seen:#?}");
        Ok(())
    });
    if let Err(error) = ran {
        panic!("{error}");
    }
}
