//! What `backstitch verify` promises is looked for: a healthy world has no fault, and each fault that is planted into its
//! tables is found by the check that promises that there is none.

use std::collections::BTreeSet;
use std::path::Path;

use backstitch_server::engine::{Command, PutSchedule, Start};
use backstitch_server::model::{
    DeploymentId, Outcome, Overlap, Payload, RunId, RunStatus, ScheduleKey, ScheduleSource, ScheduleSpec, Span, Timing,
};
use backstitch_server::store::sqlite;

use super::harness::{Fate, World};
use super::program::{Node, OnCancel, Program, WaitFilter};
use super::registry::{function, handler, plain_start, redeployed, registry};
use crate::support::verified;

fn program(nodes: Vec<Node>) -> Program {
    Program { nodes, flaky: 0, on_cancel: OnCancel::Stop, catches: false, hints: true, rounds: 0 }
}

/// A world with a run for each reason that a run can have.
fn world() -> World {
    let event = Node::Event { name: 2, filter: WaitFilter::SameKey, timeout: None, since_run: true };
    let child = Node::Child { function: 3, timeout: None, detached: false };
    let mut world = World::new(
        vec![
            program(vec![Node::Signal(0, None), Node::Marker, Node::Sleep(90_000)]),
            program(vec![Node::All(vec![vec![event], vec![Node::Update(1, None)]])]),
            program(vec![child]),
            program(vec![Node::Awakeable(None)]),
            program(vec![Node::Awakeable(None)]),
            program(vec![]),
            program(vec![]),
        ],
        99,
    );
    world.register(registry(1, true));
    let large = format!(r#"{{"key":1,"x":"{}"}}"#, "x".repeat(20_000));
    let inputs = [(0, "{}"), (0, "{}"), (0, "{}"), (1, "{\"key\":1}"), (2, &large)];
    for (index, input) in inputs {
        let (function, input) = (function(index), Payload::trusted(input.to_owned()));
        world.submit(Command::Start(plain_start(function, input)));
    }
    for _ in 0..2 {
        let (function, input) = (handler(0), Payload::trusted("{}"));
        let key = Some("k".into());
        world.submit(Command::Start(Start { key, ..plain_start(function, input) }));
    }
    world.submit(Command::PutSchedule(Box::new(hourly())));
    world.flow(99);
    let ids: Vec<_> = world.book.runs.values().map(|head| head.id).collect();
    let signal = |run: RunId, name: &str| {
        let settle = Outcome::Ok(Payload::trusted(format!("\"{run} {name}\"")));
        Command::Signal { run, name: name.into(), id: None, settle }
    };
    // One sleeps, one is held, one waits for its signal and keeps another; one has ended, one is ready.
    world.submit(signal(ids[0], "s0"));
    world.submit(Command::Pause { run: ids[1] });
    world.submit(signal(ids[2], "s1"));
    world.flow(99);
    for delay in [None, Some(backstitch_server::model::Span(5_000))] {
        let (function, input) = (function(0), Payload::trusted("{}"));
        world.submit(Command::Start(Start { delay, ..plain_start(function, input) }));
    }
    world.finish_load(false);
    let queued = world.book.runs.values().next_back().expect("it was made").id;
    world.submit(Command::Kill { run: queued });
    world.finish_load(false);
    world.commit();
    world.committed(Fate::Done);
    world.register(redeployed(&world.registry, 2, false));
    let statuses: BTreeSet<RunStatus> = world.safe.runs.values().map(|head| head.status).collect();
    assert_eq!(
        statuses.into_iter().collect::<Vec<_>>(),
        [RunStatus::Queued, RunStatus::Ready, RunStatus::Suspended, RunStatus::Paused, RunStatus::Cancelled]
    );
    world
}

/// A schedule that has no tick while these tests last.
fn hourly() -> PutSchedule {
    let spec = ScheduleSpec {
        function: function(0).function,
        timing: Timing::Every { every: Span(3_600_000), offset: Span(0) },
        jitter: Span(0),
        overlap: Overlap::BufferAll,
        catch_up: Span(0),
        input: Payload::null(),
    };
    PutSchedule { key: ScheduleKey::new("shop", "hourly"), spec, source: ScheduleSource::Api }
}

/// Faults, with the check that must find each of them.
fn faults() -> Vec<(&'static str, String)> {
    let unknown = DeploymentId(77);
    let all = |text: &str| text.to_owned();
    vec![
        // Somebody forgot the timer, the wait, the child, the reason, the place in line.
        ("stuck", all("update runs set wake_at = null where run_no = 1")),
        (
            "stuck",
            all(
                "delete from waits where idx < 9; update runs set wake_at = null, deadline = null where run_no = 4; update entries set status = 'backoff' where run_no = 4 and op = 'waitSignal'",
            ),
        ),
        ("stuck", all("update runs set status = 'cancelled', ended_at = 1 where parent is not null")),
        ("stuck", all("update runs set hold = null where status = 'paused'")),
        ("stuck", all("update runs set wake_at = null where status = 'ready'")),
        ("stuck", all("update entries set status = 'runnable' where run_no = 3 and op = 'waitSignal'")),
        ("timers", all("update runs set wake_at = wake_at + 1 where run_no = 1")),
        ("timers", all("update runs set wake_at = 1700000000000 where status = 'ready'")),
        ("timers", all("update runs set start_by = 5 where run_no = 3")),
        ("timers", all("update runs set deadline = 5 where run_no = 3")),
        ("timers", all("update runs set cancel_by = 5 where run_no = 1")),
        (
            "awaiting",
            all(
                "update entries set status = 'settled', seq = 99, result = 'ok', settled_at = 1 where run_no = 3 and idx = 1",
            ),
        ),
        ("waits", all("delete from waits where idx < 9")),
        ("waits", all("update waits set idx = idx + 1 where idx < 9")),
        ("waits", all("update waits set run_no = 99 where idx < 9")),
        ("waits", all("update runs set status = 'cancelled', ended_at = 1 where run_no = 4")),
        ("signals", all("update signals set name = 's0'")),
        ("signals", all("update signals set consumed_by = 99")),
        ("signals", all("update signals set run_no = 99")),
        ("children", all("update runs set parent_idx = 9 where parent is not null")),
        (
            "children",
            all("update entries set status = 'settled', seq = 1, result = 'ok', settled_at = 1 where op = 'invoke'"),
        ),
        ("statuses", all("update runs set ended_at = null where status = 'cancelled'")),
        ("statuses", all("update runs set ended_at = 1 where run_no = 1")),
        ("statuses", all("update runs set status = 'suspended' where status = 'paused'")),
        ("statuses", all("update runs set open_token = 'x' where run_no = 1")),
        ("statuses", all("update runs set queue_key = 'x' where run_no = 1")),
        ("statuses", all("delete from entries where op = 'outcome'")),
        ("statuses", all("update runs set status = 'ready', wake_at = 0, ended_at = null where status = 'cancelled'")),
        ("journals", all("delete from entries where run_no = 1 and idx = 1")),
        ("journals", all("delete from entries where run_no = 3")),
        ("journals", all("update entries set op = 'step' where idx = 0")),
        ("journals", all("update entries set seq = 7 where run_no = 1 and seq = 1")),
        ("journals", all("update entries set seq = 1 where run_no = 1 and seq = 2")),
        ("journals", all("update entries set result = null where run_no = 1 and idx = 1")),
        ("journals", all("update entries set op = 'outcome' where run_no = 1 and idx = 1")),
        ("pins", format!("update runs set deployment = '{unknown}' where run_no = 1")),
        ("apps", format!("update apps set current = '{unknown}'")),
        (
            "locks",
            all("update runs set status = 'cancelled', ended_at = 1 where object_key = 'k' and status = 'suspended'"),
        ),
        (
            "locks",
            all(
                "update state set value = cast(replace(cast(value as text), 'run_', 'run_0') as blob) where kind = 'object'",
            ),
        ),
        (
            "locks",
            all(
                "update state set value = cast('{\"format\":1,\"holder\":null,\"waiting\":1,\"next\":1}' as blob) where kind = 'object'",
            ),
        ),
        ("locks", all("update runs set queue_key = null, queue_order = null, wake_at = 0 where object_key = 'k'")),
        ("locks", all("delete from state where kind = 'object'")),
        ("schedules", all("update state set wake_at = null where kind = 'schedule'")),
        (
            "schedules",
            all(
                "update state set value = cast(replace(cast(value as text), '\"running\":null', '\"running\":null,\"waiting\":[{\"after\":1,\"until\":2,\"count\":1}]') as blob) where kind = 'schedule'",
            ),
        ),
        ("payloads", all("update payloads set uses = uses + 1")),
        ("payloads", all("delete from payloads")),
        ("labels", all("update runs set tags = '[\"a\"]' where run_no = 1; delete from run_tags")),
        ("labels", all("update runs set attributes = '{\"n\":1}' where run_no = 1; delete from run_attributes")),
        ("stray labels", all("insert into run_tags (tag, run_no) values ('a', 1)")),
        ("stray labels", all("insert into run_tags (tag, run_no) values ('a', 99999)")),
        ("stray labels", all("insert into run_attributes (name, kind, value, run_no) values ('n', 'number', 1, 1)")),
        ("numbers", all("update partitions set run_no = 1")),
        ("numbers", all("insert into events (seq, id, name, at) values (9, 'evt_x', 'x', 0)")),
    ]
}

fn plant(dir: &Path, fault: &str) {
    let database = rusqlite::Connection::open(dir.join("backstitch.db")).expect("it can be opened");
    database.execute_batch(fault).unwrap_or_else(|error| panic!("{fault}: {error}"));
    assert!(database.changes() > 0, "{fault}: nothing was planted");
}

#[test]
fn every_planted_fault_is_found() {
    let world = world();
    let healthy = tempfile::tempdir().expect("a temporary directory can be made");
    verified::write(healthy.path(), &world.safe.dump(1), &world.registry);
    verified::check(healthy.path());
    let mut planted = BTreeSet::from(["file"]);
    for (check, fault) in faults() {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        std::fs::copy(healthy.path().join("backstitch.db"), dir.path().join("backstitch.db"))
            .expect("it can be copied");
        plant(dir.path(), &fault);
        let found = verified::faults(dir.path());
        let prefix = format!("{check}: ");
        assert!(found.iter().any(|found| found.starts_with(&prefix)), "`{check}` does not find `{fault}`: {found:#?}");
        planted.insert(check);
    }
    let verified = sqlite::verify(healthy.path()).expect("it can be read").expect("it is there");
    assert_eq!(verified.runs, world.safe.runs.len() as u64);
    let checks: BTreeSet<&str> = verified.checks.iter().map(|check| check.name).collect();
    assert_eq!(planted, checks, "every check finds something, and every fault is looked for");
}

#[test]
fn a_file_that_is_not_whole_is_found() {
    let world = world();
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    verified::write(dir.path(), &world.safe.dump(1), &world.registry);
    let file = dir.path().join("backstitch.db");
    let mut bytes = std::fs::read(&file).expect("it can be read");
    // The root of some table: its cells point anywhere now.
    let page = 4_096;
    bytes[4 * page + 8..4 * page + 60].fill(0xff);
    std::fs::write(&file, bytes).expect("it can be written");
    let found = verified::faults(dir.path());
    assert!(!found.is_empty() && found.iter().all(|found| found.starts_with("file: ")), "{found:#?}");
}

/// A run whose call is to be made, and that sleeps until something else.
#[test]
fn a_call_that_nobody_would_make_is_found() {
    let asks = Program {
        nodes: vec![Node::Fetch { fails: 0, fatal: false, close: Some(900_000) }],
        flaky: 0,
        on_cancel: OnCancel::Stop,
        catches: false,
        hints: false,
        rounds: 0,
    };
    let mut world = World::new(vec![asks.clone(), asks.clone(), asks.clone(), asks], 9);
    let (function, input) = (function(0), Payload::trusted("{}"));
    world.submit(Command::Start(plain_start(function, input)));
    world.flow_without_handlers(9);
    world.answer(0);
    world.flow_without_handlers(9);
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    verified::write(dir.path(), &world.safe.dump(1), &world.registry);
    verified::check(dir.path());
    plant(dir.path(), "update runs set wake_at = (select due_at from entries where op = 'fetch')");
    let found = verified::faults(dir.path());
    assert!(found.iter().any(|found| found.starts_with("timers: ")), "{found:#?}");
}
