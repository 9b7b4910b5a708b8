//! The lives of runs and of the invocations that they are in, each rule by its smallest case: what is open over a restart,
//! what is said twice, what takes too long, what events and failures lead to.

use backstitch_server::engine::Command;
use backstitch_server::limits::{ADOPTION_MS, NOTE_MS};
use backstitch_server::model::{
    Answer, Checkpoint, EntryKind, EventDraft, Failure, HandlerOp, InvokeOp, Labels, Outcome, Payload, RunHead, RunId,
    RunStatus, Terminal, TriggerKind, names,
};

use super::harness::{Fate, World};
use super::program::{Node, OnCancel, Program, step_report};
use super::registry::{RUN_TIMEOUT_MS, START_TIMEOUT_MS, function, plain_start};

/// A world whose functions `f0` to `f3` do these.
fn world(programs: [Vec<Node>; 4]) -> World {
    let program =
        |nodes| Program { nodes, flaky: 0, on_cancel: OnCancel::Stop, catches: false, hints: false, rounds: 0 };
    World::new(programs.map(program).to_vec(), 9)
}

fn start(world: &mut World, index: u8, input: &str) -> RunId {
    let before = world.book.runs.len() as i64;
    let input = Payload::trusted(input.to_owned());
    let start = plain_start(function(index), input);
    world.submit(Command::Start(start));
    while world.finish_load(false) {}
    world.book.runs[&(before + 1)].id
}

/// Everything decided becomes durable, and handlers are called.
fn call(world: &mut World) {
    world.commit();
    world.committed(Fate::Done);
    world.poll(4);
}

fn head(world: &World, run: RunId) -> &RunHead {
    world.book.head(run).expect("exists")
}

fn error_of(world: &World, run: RunId) -> String {
    let outcome = world.book.entries_of(run).last().and_then(|entry| entry.outcome.clone());
    outcome.as_ref().and_then(Outcome::payload).map(|error| Failure::from_payload(error).name).unwrap_or_default()
}

fn step() -> Node {
    Node::Step { throws: 0, fatal: false }
}

/// A world with one invocation of `f0` that has been open for long enough to be noted.
fn noted(nodes: Vec<Node>) -> (World, RunId) {
    let mut world = world([nodes, Vec::new(), Vec::new(), Vec::new()]);
    let run = start(&mut world, 0, "{}");
    call(&mut world);
    world.advance(NOTE_MS);
    world.work(9);
    call(&mut world);
    assert_eq!(head(&world, run).open_token, Some(world.calls[0].snapshot.token));
    (world, run)
}

#[test]
fn a_noted_invocation_outlives_the_server() {
    let (mut world, run) = noted(vec![step(), step()]);
    world.crash();
    world.flow_without_handlers(9);
    assert_eq!(world.calls.len(), 1, "the handler that is at work is not called a second time");
    world.checkpoint(0);
    call(&mut world);
    world.checkpoint(0);
    call(&mut world);
    world.answer(0);
    call(&mut world);
    assert_eq!(head(&world, run).status, RunStatus::Completed);
    assert_eq!((head(&world, run).losses, world.book.attempts.len()), (0, 0));
}

#[test]
fn a_handler_that_is_silent_after_a_restart_is_given_up() {
    let (mut world, run) = noted(vec![step()]);
    world.crash();
    let gone = world.calls.pop().expect("was at work");
    world.flow_without_handlers(9);
    world.advance(ADOPTION_MS - 1);
    world.flow_without_handlers(9);
    assert_eq!((world.calls.len(), head(&world, run).losses), (0, 0), "it is waited for");
    world.advance(1);
    world.flow_without_handlers(9);
    assert_eq!(head(&world, run).losses, 1);
    world.returned_stale(gone.snapshot.token);
    world.advance(10_000);
    world.flow(9);
    assert_eq!(head(&world, run).status, RunStatus::Completed);
}

#[test]
fn a_word_of_an_adopted_handler_counts_from_its_time() {
    let (mut world, run) = noted(vec![Node::Signal(0, None)]);
    world.crash();
    world.flow_without_handlers(9);
    for _ in 0..5 {
        world.advance(ADOPTION_MS - 1);
        world.checkpoint(0);
        world.flow_without_handlers(9);
        assert_eq!((world.calls.len(), head(&world, run).losses), (1, 0));
    }
}

#[test]
fn what_is_not_noted_is_called_again() {
    let mut world = world([vec![step()], Vec::new(), Vec::new(), Vec::new()]);
    let run = start(&mut world, 0, "{}");
    call(&mut world);
    world.crash();
    assert!(world.calls.is_empty());
    world.flow(9);
    assert_eq!(head(&world, run).status, RunStatus::Completed);
}

/// The reply to a failed attempt was lost, and it is reported again: under its number, and after a crash under another.
#[test]
fn a_failure_that_is_reported_twice_counts_once() {
    let (mut world, run) = noted(vec![Node::Step { throws: 1, fatal: false }]);
    let token = world.calls[0].snapshot.token;
    for n in [1, 1, 2] {
        let ops = vec![HandlerOp::Step(step_report("0", 1, 1, false))];
        world.submit(Command::Checkpoint { token, checkpoint: Checkpoint { n, seen: 0, ops } });
    }
    let failures: Vec<u32> = world.book.entries_of(run)[1..].iter().map(|entry| entry.failures).collect();
    assert_eq!((failures, world.book.attempts.len()), (vec![1], 1));
}

#[test]
fn nobody_takes_the_run_up_in_time() {
    let mut world = world([const { Vec::new() }; 4]);
    let run = start(&mut world, 2, "{}");
    world.commit();
    world.committed(Fate::Done);
    world.advance(START_TIMEOUT_MS - 1);
    world.work(9);
    assert_eq!(head(&world, run).status, RunStatus::Ready);
    world.advance(1);
    world.work(9);
    while world.finish_load(false) {}
    assert_eq!((head(&world, run).status, &*error_of(&world, run)), (RunStatus::Failed, names::TIMEOUT));
}

#[test]
fn a_run_that_was_taken_up_has_started() {
    let mut world = world([Vec::new(), Vec::new(), vec![Node::Signal(0, None)], Vec::new()]);
    let run = start(&mut world, 2, "{}");
    world.flow(9);
    world.advance(START_TIMEOUT_MS);
    world.flow(9);
    assert_eq!((head(&world, run).status, head(&world, run).start_by), (RunStatus::Suspended, None));
}

#[test]
fn a_run_that_takes_too_long_fails_and_its_handler_is_told() {
    let mut world = world([Vec::new(), vec![Node::Signal(0, None)], Vec::new(), Vec::new()]);
    let (resting, busy) = (start(&mut world, 1, "{}"), start(&mut world, 1, "{}"));
    call(&mut world);
    let at = world.calls.iter().position(|call| call.snapshot.head.id == resting).expect("was called");
    world.answer(at);
    world.advance(RUN_TIMEOUT_MS);
    world.flow_without_handlers(9);
    for run in [resting, busy] {
        assert_eq!((head(&world, run).status, &*error_of(&world, run)), (RunStatus::Failed, names::TIMEOUT));
    }
    let at_work = |world: &World| world.calls.iter().position(|call| call.snapshot.head.id == busy);
    let at = at_work(&world).expect("its handler does not know yet");
    world.checkpoint(at);
    world.flow_without_handlers(9);
    assert_eq!(at_work(&world), None, "the handler at work is told that it is stale");
}

#[test]
fn an_event_cancels_the_runs_that_it_is_about() {
    let wait = || vec![Node::Signal(0, None)];
    let mut world = world([Vec::new(), Vec::new(), Vec::new(), wait()]);
    let (one, two) = (start(&mut world, 3, r#"{"key":1}"#), start(&mut world, 3, r#"{"key":2}"#));
    world.flow(9);
    let data = Payload::trusted(r#"{"key":2}"#);
    world.submit(Command::Ingest(vec![EventDraft { name: "e2".into(), data, client_id: None }]));
    world.flow(19);
    assert_eq!(head(&world, one).status, RunStatus::Suspended);
    assert_eq!(head(&world, two).status, RunStatus::Cancelled);
    assert!(world.book.entries_of(two).iter().any(|entry| entry.kind == EntryKind::Cancel));
}

#[test]
fn a_failure_starts_its_handler_and_is_an_event() {
    let mut world = world([vec![Node::Step { throws: 1, fatal: true }], Vec::new(), Vec::new(), Vec::new()]);
    let run = start(&mut world, 0, r#"{"key":7}"#);
    world.flow(29);
    assert_eq!(head(&world, run).status, RunStatus::Failed);
    let handlers: Vec<&RunHead> =
        world.book.runs.values().filter(|head| head.trigger == TriggerKind::Failure).collect();
    assert_eq!(handlers.iter().map(|head| &head.function).collect::<Vec<_>>(), [&function(3)]);
    let input = world.book.entries_of(handlers[0].id)[0].outcome.clone();
    let input: serde_json::Value = input.as_ref().and_then(Outcome::payload).expect("an input").read().expect("JSON");
    assert_eq!((input["run"]["id"].as_str(), &input["input"]["key"]), (Some(&*run.to_string()), &7.into()));
    assert!(input["error"]["name"].is_string(), "{input}");
    let events: Vec<&str> = world.book.events.values().map(|event| &*event.name).collect();
    assert_eq!(events, ["backstitch/run.failed"]);
}

/// A function that follows failures, and fails itself, would otherwise go on for ever.
#[test]
fn the_failure_of_a_run_that_a_failure_event_started_is_no_event() {
    let fails = || vec![Node::Step { throws: 1, fatal: true }];
    let mut world = world([Vec::new(), fails(), Vec::new(), fails()]);
    start(&mut world, 1, "{}");
    world.flow(99);
    assert_eq!((world.book.runs.len(), world.book.events.len()), (2, 1));
}

/// So would one whose child fails.
#[test]
fn nor_is_the_failure_of_such_a_runs_child() {
    let fails = || vec![Node::Step { throws: 1, fatal: true }];
    let child = Node::Child { function: 0, timeout: None, detached: false };
    let mut world = world([fails(), fails(), Vec::new(), vec![child]]);
    start(&mut world, 1, "{}");
    for _ in 0..9 {
        world.flow(99);
        world.advance(1_000);
    }
    // The one that failed, the one that is told, its child, and the child's failure handler with its child.
    assert_eq!((world.book.runs.len(), world.book.events.len()), (5, 1));
}

#[test]
fn a_child_may_be_left_alone() {
    for (policy, expected) in [("abandon", RunStatus::Suspended), ("cancel", RunStatus::Cancelled)] {
        let mut world = world([Vec::new(), Vec::new(), vec![Node::Signal(0, None)], Vec::new()]);
        let run = start(&mut world, 0, "{}");
        call(&mut world);
        let call = world.calls.remove(0);
        let invoke = |id: &str| {
            let params = format!(r#"{{"function":"f2","input":{{}},"parentClose":"{policy}"}}"#);
            HandlerOp::Invoke(InvokeOp {
                key: None,
                id: id.into(),
                name: None,
                params: Payload::trusted(params),
                app: None,
                function: "f2".into(),
                input: Payload::trusted("{}"),
                timeout: None,
                detached: false,
                labels: Labels::default(),
            })
        };
        world.returned(&call, Answer::Ops { seen: 0, ops: vec![invoke("a")], end: None, awaiting: Vec::new() });
        world.flow(9);
        world.submit(Command::Signal { run, name: "s1".into(), id: None, settle: Outcome::Ok(Payload::null()) });
        let child = world.book.entries_of(run)[1].child.expect("has a child");
        assert_eq!(head(&world, child).status, RunStatus::Suspended);
        let end = Some(Terminal::Done(Payload::null()));
        world.submit(Command::Cancel { run });
        world.commit();
        world.committed(Fate::Done);
        world.poll(9);
        world.advance(100);
        world.poll(9);
        let call = world.calls.remove(0);
        let seen = super::program::seen(&call.snapshot);
        world.returned(&call, Answer::Ops { seen, ops: Vec::new(), end, awaiting: Vec::new() });
        world.flow(19);
        assert_eq!(head(&world, child).status, expected, "{policy}");
    }
}
