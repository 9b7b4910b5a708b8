//! What runs are found by, each rule by its smallest case: where it comes from, who keeps it, and who begins anew.

use std::collections::{BTreeMap, BTreeSet};

use backstitch_server::engine::{Command, Fork, ForkFrom, Start};
use backstitch_server::model::{
    Answer, AttributeValue, EntryKind, EventDraft, HandlerOp, Labels, Note, Number, Payload, RunHead, RunId, RunStatus,
    Terminal, Text,
};

use super::harness::{Fate, World};
use super::program::{Node, OnCancel, Program};
use super::registry::{function, plain_start};

fn world(nodes: [Vec<Node>; 2]) -> World {
    let program =
        |nodes| Program { nodes, flaky: 0, on_cancel: OnCancel::Stop, catches: false, hints: false, rounds: 0 };
    let [one, two] = nodes.map(program);
    World::new(vec![one, two, program(Vec::new()), program(Vec::new())], 9)
}

fn labels(tags: &[&str], total: f64) -> Labels {
    let total = AttributeValue::Number(Number::new(total).expect("is a number"));
    Labels {
        tags: tags.iter().map(|tag| Text::from(*tag)).collect(),
        attributes: BTreeMap::from([("total".into(), total)]),
    }
}

fn start(world: &mut World, labels: Labels) -> RunId {
    world.submit(Command::Start(Start { labels, ..plain_start(function(0), Payload::trusted(r#"{"key":1}"#)) }));
    while world.finish_load(false) {}
    world.book.runs.values().next_back().expect("was started").id
}

fn head(world: &World, run: RunId) -> &RunHead {
    world.book.head(run).expect("exists")
}

/// What the handler of the run's next invocation is told that the run was started with.
fn told(world: &World, run: RunId) -> Labels {
    #[derive(serde::Deserialize)]
    struct Facts {
        #[serde(default)]
        labels: Labels,
    }
    world.book.entries_of(run)[0].params.read::<Facts>().expect("JSON").labels
}

/// The run's open invocation answers.
fn answer(world: &mut World, run: RunId, ops: Vec<HandlerOp>, end: Option<Terminal>) {
    world.flow_without_handlers(4);
    let call = world.calls.iter().position(|call| call.snapshot.head.id == run).expect("is called");
    let call = world.calls.swap_remove(call);
    let (token, seen) = (call.snapshot.token, super::program::seen(&call.snapshot));
    world.submit(Command::Returned {
        token,
        answer: Answer::Ops { seen, ops, end, awaiting: Vec::new() },
        started_at: world.now,
    });
    while world.finish_load(false) {}
}

fn note(tags: Option<&[&str]>, attributes: Option<BTreeMap<Text, AttributeValue>>) -> HandlerOp {
    let tags = tags.map(|tags| tags.iter().map(|tag| Text::from(*tag)).collect::<BTreeSet<_>>());
    HandlerOp::Note(Note::Labels { tags, attributes })
}

#[test]
fn a_handler_is_told_of_the_start_and_replaces_what_it_names() {
    let mut world = world([vec![], vec![]]);
    let run = start(&mut world, labels(&["b", "a"], 5.0));
    assert_eq!((&head(&world, run).labels, told(&world, run)), (&labels(&["a", "b"], 5.0), labels(&["a", "b"], 5.0)));
    let ops = vec![
        note(Some(&["c"]), None),
        note(None, Some(BTreeMap::new())),
        note(None, Some(labels(&[], 7.0).attributes)),
    ];
    answer(&mut world, run, ops, Some(Terminal::Yield));
    assert_eq!(head(&world, run).labels, labels(&["c"], 7.0));
    assert_eq!(told(&world, run), labels(&["a", "b"], 5.0), "what a handler is told is what it was told before");
    world.advance(60_000);
    answer(&mut world, run, vec![note(Some(&[]), None)], Some(Terminal::Done(Payload::null())));
    let ended = head(&world, run);
    assert_eq!((ended.status, &ended.labels), (RunStatus::Completed, &labels(&[], 7.0)));
}

#[test]
fn a_run_without_labels_is_told_of_none() {
    let mut world = world([vec![], vec![]]);
    let run = start(&mut world, Labels::default());
    assert_eq!(world.book.entries_of(run)[0].params.bytes(), br#"{"kind":"call"}"#.as_slice());
    world.submit(Command::Ingest(vec![EventDraft { name: "e0".into(), data: Payload::null(), client_id: None }]));
    assert!(world.book.runs.values().all(|head| head.labels.is_empty()));
}

#[test]
fn a_run_goes_on_with_what_it_has_become() {
    let mut world = world([vec![], vec![]]);
    let run = start(&mut world, labels(&["a"], 5.0));
    let go_on = || Some(Terminal::ContinueAsNew(Payload::null()));
    answer(&mut world, run, vec![note(Some(&["b"]), None)], go_on());
    let next = world.book.runs.values().next_back().expect("goes on").id;
    assert_eq!((&head(&world, next).labels, told(&world, next)), (&labels(&["b"], 5.0), labels(&["b"], 5.0)));
    world.advance(1_000);
    answer(&mut world, next, vec![note(Some(&[]), Some(BTreeMap::new()))], go_on());
    let last = world.book.runs.values().next_back().expect("goes on").id;
    assert_eq!((&head(&world, last).labels, told(&world, last)), (&Labels::default(), Labels::default()));
}

#[test]
fn a_fork_begins_with_those_of_the_start() {
    let mut world = world([vec![], vec![]]);
    let run = start(&mut world, labels(&["a"], 5.0));
    answer(&mut world, run, vec![note(Some(&["b"]), Some(BTreeMap::new()))], Some(Terminal::Done(Payload::null())));
    let fork = Fork { run, from: ForkFrom::Edits, edits: Vec::new(), input: None, cause: None, dry_run: false };
    world.submit(Command::Fork(Box::new(fork)));
    while world.finish_load(false) {}
    let fork = world.book.runs.values().next_back().expect("is there").id;
    assert_ne!(fork, run);
    assert_eq!((&head(&world, fork).labels, told(&world, fork)), (&labels(&["a"], 5.0), labels(&["a"], 5.0)));
}

#[test]
fn a_child_has_its_own() {
    let child = Node::Child { function: 1, timeout: None, detached: false };
    let mut world = world([vec![child], vec![]]);
    let run = start(&mut world, labels(&["a"], 5.0));
    world.commit();
    world.committed(Fate::Done);
    world.poll(4);
    let call = world.calls.iter().find(|call| call.snapshot.head.id == run).expect("is called");
    let (token, snapshot) = (call.snapshot.token, call.snapshot.clone());
    let mut answer = world.handle(&snapshot);
    if let Answer::Ops { ops, .. } = &mut answer {
        for op in ops {
            if let HandlerOp::Invoke(invoke) = op {
                invoke.labels = labels(&["child"], 1.0);
            }
        }
    }
    world.submit(Command::Returned { token, answer, started_at: world.now });
    while world.finish_load(false) {}
    let invoked = world.book.entries_of(run).iter().find(|entry| entry.kind == EntryKind::Invoke).expect("is there");
    let child = invoked.child.expect("is invoked");
    assert!(invoked.outcome.is_none());
    assert_eq!((&head(&world, child).labels, told(&world, child)), (&labels(&["child"], 1.0), labels(&["child"], 1.0)));
}
