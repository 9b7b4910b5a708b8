//! Runs that go on in new ones, each rule by its smallest case: what is taken along, what comes too late, what is not lost.

use backstitch_server::engine::{Command, Refusal, Reply, Start};
use backstitch_server::limits::{CONTINUE_PAUSE_MS, MARK_MS};
use backstitch_server::model::{
    Answer, EntryKind, EventDraft, HandlerOp, Outcome, Payload, RunHead, RunId, RunStatus, Terminal,
};

use super::harness::{Fate, World};
use super::program::{Node, OnCancel, Program, WaitFilter};
use super::registry::{function, plain_start};

/// A world whose functions do these, so many times over.
fn world(rounds: u32, programs: [Vec<Node>; 4]) -> World {
    let program = |nodes| Program { nodes, flaky: 0, on_cancel: OnCancel::Stop, catches: false, hints: false, rounds };
    World::new(programs.map(program).to_vec(), 9)
}

fn start(world: &mut World, index: u8) -> RunId {
    let input = Payload::trusted(r#"{"key":1}"#);
    let name = Some("n".into());
    world.submit(Command::Start(Start { name, ..plain_start(function(index), input) }));
    while world.finish_load(false) {}
    world.flow(20);
    world.book.runs.values().next().expect("was started").id
}

fn head(world: &World, run: RunId) -> &RunHead {
    world.book.head(run).expect("exists")
}

fn newest(world: &World) -> &RunHead {
    world.book.runs.values().next_back().expect("there are runs")
}

fn signal(world: &mut World, run: RunId, id: Option<&str>, payload: &str) -> Result<Reply, Refusal> {
    let settle = Outcome::Ok(Payload::trusted(payload.to_owned()));
    let command = Command::Signal { run, name: "s0".into(), id: id.map(Into::into), settle };
    let reply = world.ask(&command).map(|transition| transition.reply);
    world.submit(command);
    world.flow(20);
    reply
}

#[test]
fn kept_signals_go_along_and_settle_one_wait_each() {
    let mut world = world(3, [vec![Node::Signal(0, None)], vec![], vec![], vec![]]);
    let first = start(&mut world, 0);
    world.submit(Command::Pause { run: first });
    for payload in ["1", "2", "3", "4"] {
        let settle = Outcome::Ok(Payload::trusted(payload));
        world.submit(Command::Signal { run: first, name: "s0".into(), id: None, settle });
    }
    world.submit(Command::Resume { run: first });
    world.flow(60);
    assert_eq!(world.book.runs.len(), 4);
    assert_eq!(newest(&world).status, RunStatus::Completed);
    let told = world.book.entries.values().map(|entries| entries[1].outcome.clone().expect("settled"));
    let told: Vec<String> = told.map(|it| format!("{:?}", it.payload().expect("a value"))).collect();
    assert_eq!(told, ["`1`", "`2`", "`3`", "`4`"]);
    assert_eq!(newest(&world).chain, Some(first));
}

#[test]
fn a_repeated_signal_is_known_through_the_chain_for_a_day() {
    let mut world = world(9, [vec![Node::Signal(0, None)], vec![], vec![], vec![]]);
    let first = start(&mut world, 0);
    assert_eq!(signal(&mut world, first, Some("a"), "1"), Ok(Reply::Signalled { fresh: true }));
    assert_eq!(head(&world, first).status, RunStatus::Continued);
    assert_eq!(signal(&mut world, first, Some("a"), "1"), Ok(Reply::Signalled { fresh: false }));
    assert_eq!(signal(&mut world, first, Some("b"), "2"), Ok(Reply::Signalled { fresh: true }));
    assert_eq!(world.book.runs.len(), 3, "it went to the second run, which went on");
    assert_eq!(signal(&mut world, first, Some("b"), "2"), Ok(Reply::Signalled { fresh: false }));
    world.advance(MARK_MS);
    world.flow(20);
    assert_eq!(signal(&mut world, first, Some("b"), "3"), Ok(Reply::Signalled { fresh: true }));
}

#[test]
fn a_parent_waits_for_the_last_of_a_chain() {
    let child = Node::Child { function: 1, timeout: None, detached: false };
    let mut world = world(0, [vec![child], vec![Node::Signal(0, None)], vec![], vec![]]);
    world.programs[1].rounds = 2;
    let parent = start(&mut world, 0);
    for n in 0..3 {
        world.advance(30);
        world.flow(20);
        assert_eq!(head(&world, parent).status, RunStatus::Suspended);
        let child = world.book.entries_of(parent)[1].child.expect("has a child");
        assert_eq!(newest(&world).id, child);
        signal(&mut world, child, None, &n.to_string()).expect("is taken");
    }
    world.advance(30);
    world.flow(20);
    assert_eq!(head(&world, parent).status, RunStatus::Completed);
}

#[test]
fn what_came_unseen_is_told_before_a_run_goes_on() {
    let wait = |name| vec![Node::Signal(name, None)];
    let mut world = world(1, [vec![Node::Race(vec![wait(0), wait(1)])], vec![], vec![], vec![]]);
    let first = start(&mut world, 0);
    signal_named(&mut world, first, "s0");
    world.poll(1);
    // While its handler is at work on the first, the second comes: the handler does not know.
    world.commit();
    world.committed(Fate::Done);
    world.poll(1);
    signal_named(&mut world, first, "s1");
    world.answer(0);
    assert_eq!(head(&world, first).status, RunStatus::Ready, "it is asked again");
    world.flow(20);
    assert_eq!(head(&world, first).status, RunStatus::Continued);
}

fn signal_named(world: &mut World, run: RunId, name: &str) {
    let settle = Outcome::Ok(Payload::trusted(format!("\"{name}\"")));
    world.submit(Command::Signal { run, name: name.into(), id: None, settle });
}

#[test]
fn a_cancelled_run_does_not_go_on() {
    let mut world = world(1, [vec![Node::Signal(0, None)], vec![], vec![], vec![]]);
    world.programs[0].on_cancel = OnCancel::Ignore;
    let first = start(&mut world, 0);
    world.submit(Command::Cancel { run: first });
    signal_named(&mut world, first, "s0");
    world.flow(20);
    assert_eq!(head(&world, first).status, RunStatus::Cancelled);
    assert_eq!(world.book.runs.len(), 1);
}

#[test]
fn what_a_cancelled_run_that_would_go_on_has_done_stays() {
    let mut world = world(1, [vec![Node::Saga { undo_throws: 0 }, Node::Signal(0, None)], vec![], vec![], vec![]]);
    world.programs[0].on_cancel = OnCancel::Ignore;
    let first = start(&mut world, 0);
    world.submit(Command::Cancel { run: first });
    signal_named(&mut world, first, "s0");
    world.flow(20);
    assert_eq!(head(&world, first).status, RunStatus::Cancelled);
    let undone = world.book.entries_of(first).iter().any(|entry| entry.id.starts_with("$undo/"));
    assert!(!undone && world.book.runs.len() == 1);
}

#[test]
fn a_loop_that_does_nothing_is_slow() {
    let mut world = world(3, [vec![], vec![], vec![], vec![]]);
    let first = start(&mut world, 0);
    assert_eq!((head(&world, first).status, world.book.runs.len()), (RunStatus::Continued, 2));
    assert_eq!(newest(&world).status, RunStatus::Queued);
    for round in 3..=4 {
        world.advance(CONTINUE_PAUSE_MS);
        world.flow(20);
        assert_eq!(world.book.runs.len(), round);
    }
}

#[test]
fn each_event_of_the_chain_is_awaited_once() {
    let event = |since_run| Node::Event { name: 1, filter: WaitFilter::None, timeout: None, since_run };
    let mut world = world(2, [vec![event(true)], vec![], vec![], vec![]]);
    let first = start(&mut world, 0);
    let draft = |key: u8| EventDraft {
        name: "e1".into(),
        data: Payload::trusted(format!(r#"{{"key":{key}}}"#)),
        client_id: None,
    };
    // All three come before the second run begins.
    world.submit(Command::Pause { run: first });
    for key in 0..3 {
        world.submit(Command::Ingest(vec![draft(key)]));
        world.flow(5);
    }
    world.submit(Command::Resume { run: first });
    world.flow(60);
    let waits = world.book.entries.values().flatten().filter(|entry| entry.kind == EntryKind::WaitEvent);
    let keys: Vec<i64> = waits
        .map(|entry| entry.outcome.as_ref().and_then(Outcome::payload).expect("settled").read().expect("JSON"))
        .map(|event: serde_json::Value| event["data"]["key"].as_i64().expect("a key"))
        .collect();
    assert_eq!(keys, [0, 1, 2]);
}

#[test]
fn a_run_that_failed_does_not_go_on() {
    let mut world = world(0, [vec![Node::Saga { undo_throws: 0 }, Node::Signal(0, None)], vec![], vec![], vec![]]);
    let run = start(&mut world, 0);
    world.submit(Command::Signal { run, name: "s0".into(), id: None, settle: Outcome::Ok(Payload::null()) });
    world.commit();
    world.committed(Fate::Done);
    world.poll(1);
    let call = world.calls.remove(0);
    let end = Some(Terminal::ContinueAsNew(Payload::null()));
    let wrong = vec![HandlerOp::Marker { id: "$undo/0".into(), name: None, params: Payload::trusted("{}") }];
    let seen = super::program::seen(&call.snapshot);
    world.returned(&call, Answer::Ops { seen, ops: wrong, end, awaiting: Vec::new() });
    assert_eq!(head(&world, run).status, RunStatus::Paused, "nothing is to be undone yet");
    assert_eq!(world.book.runs.len(), 1);
}
