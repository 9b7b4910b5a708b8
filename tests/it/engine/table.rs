//! Every command on a run in every state: what is answered, and where the run stands after it.

use std::fmt::Write as _;

use backstitch_server::engine::{Command, Fork, ForkFrom, Reply, Start};
use backstitch_server::model::{
    Answer, Change, Checkpoint, DeploymentId, EventId, Key, MarkKey, MarkScope, MoveTo, Outcome, Payload, Problem,
    ProblemCode, RunId, RunStatus, Span, StateKey, Token, Undelivered,
};

use super::harness::World;
use super::program::{Node, OnCancel, Program};
use super::registry::{function, plain_start};

const STATES: [&str; 9] =
    ["queued", "ready", "running", "suspended", "backoff", "paused", "completed", "failed", "cancelled"];

fn program(nodes: Vec<Node>) -> Program {
    Program { nodes, flaky: 0, on_cancel: OnCancel::Stop, catches: false, hints: false, rounds: 0 }
}

/// The function whose runs come into this state.
fn index_of(state: &str) -> u8 {
    match state {
        "completed" => 1,
        "failed" => 2,
        _ => 0,
    }
}

/// A world with one run, named `n`, in this state.
fn world(state: &str) -> (World, RunId) {
    let waits = program(vec![Node::Signal(0, None)]);
    let fails = program(vec![Node::Step { throws: 1, fatal: true }]);
    let mut world = World::new(vec![waits, program(Vec::new()), fails, program(Vec::new())], 9);
    let index = index_of(state);
    let delay = matches!(state, "queued" | "cancelled").then_some(Span(50_000));
    let (input, name) = (Payload::trusted("{}"), Some("n".into()));
    world.submit(Command::Start(Start { name, delay, ..plain_start(function(index), input) }));
    world.finish_load(false);
    let run = world.book.runs[&1].id;
    let call = |world: &mut World| {
        world.commit();
        world.committed(super::harness::Fate::Done);
        world.poll(1);
    };
    let reason = "planted".to_owned();
    match state {
        "suspended" | "completed" | "failed" => drop(world.flow(9)),
        "running" => call(&mut world),
        "backoff" | "paused" => {
            call(&mut world);
            let call = world.calls.pop().expect("was called");
            let problem = Problem { code: ProblemCode::Protocol, detail: reason.clone() };
            let lost = Answer::Undelivered(Undelivered::Lost { reason });
            world.returned(&call, if state == "paused" { Answer::Problem(problem) } else { lost });
        }
        "cancelled" => {
            world.submit(Command::Cancel { run });
            world.finish_load(false);
        }
        _ => {}
    }
    (world, run)
}

fn commands(run: RunId, index: u8) -> Vec<(&'static str, Command)> {
    let start = |input: &str| {
        let (input, name) = (Payload::trusted(input.to_owned()), Some("n".into()));
        Command::Start(Start { name, ..plain_start(function(index), input) })
    };
    let signal = |name: &str| {
        let settle = Outcome::Ok(Payload::null());
        Command::Signal { run, name: name.into(), id: None, settle }
    };
    let fork = |from| {
        let (edits, input, cause) = (Vec::new(), None, None);
        Command::Fork(Box::new(Fork { run, from, edits, input, cause, dry_run: false }))
    };
    let event = EventId(7);
    let mark = MarkKey { scope: MarkScope::Event, key: "c".into() };
    let page = Key::Events { name: "e0".into(), after: 0, until: 9 };
    let answer = Answer::Undelivered(Undelivered::NotReached { reason: "planted".to_owned(), retry_after: None });
    let token = Token { epoch: 9, counter: 9, run };
    vec![
        ("ingest", Command::Ingest(Vec::new())),
        ("start again", start("{}")),
        ("start otherwise", start("1")),
        ("stale answer", Command::Returned { token, answer, started_at: super::harness::START }),
        ("awaited signal", signal("s0")),
        ("early signal", signal("s1")),
        ("update", Command::Update { run, name: "s0".into(), id: None, data: Payload::null() }),
        ("awakeable", signal("$awakeable/0")),
        ("cancel", Command::Cancel { run }),
        ("kill", Command::Kill { run }),
        ("pause", Command::Pause { run }),
        ("stale report", Command::Checkpoint { token, checkpoint: Checkpoint { n: 1, seen: 0, ops: Vec::new() } }),
        ("stale note", Command::Note { token }),
        ("resume", Command::Resume { run }),
        ("move", Command::Move { run, to: MoveTo::Current }),
        ("move nowhere", Command::Move { run, to: MoveTo::Deployment(DeploymentId(99)) }),
        ("fork", fork(ForkFrom::Edits)),
        ("retry", fork(ForkFrom::Failure)),
        ("settle an undo", Command::SettleEntry { run, entry: "$undo/0".into(), value: None }),
        ("explain", Command::Explain { run }),
        ("wake", Command::Wake { run }),
        ("wake a mark", Command::WakeState { key: StateKey::Mark(mark) }),
        ("wake a delivery", Command::WakeState { key: StateKey::Fanout(event) }),
        ("deliver", Command::Fanout { event, after: None }),
        ("scan", Command::Scan { run, idx: 1, page }),
        ("close", Command::Close { run, after: 0 }),
        ("quarantine", Command::Quarantine { run, detail: "planted".to_owned() }),
    ]
}

/// `reply -> status`, the status only when the run changes.
fn result(world: &mut World, run: RunId, command: &Command) -> String {
    let transition = match world.ask(command) {
        Ok(transition) => transition,
        Err(refusal) => {
            let text = format!("{refusal:?}");
            return format!("refused {}", text.split(['(', ' ']).next().unwrap_or_default());
        }
    };
    let mut text = match transition.reply {
        Reply::Forked { copied, .. } => format!("forked({copied})"),
        Reply::ForkPlan(plan) => format!("plan({}, {})", plan.copied.len(), plan.again.len()),
        Reply::Done => "done".to_owned(),
        Reply::Scheduled { created, .. } => if created { "scheduled" } else { "known" }.to_owned(),
        Reply::Accepted(events) => format!("accepted {}", events.len()),
        Reply::Run { created, .. } => if created { "created" } else { "known" }.to_owned(),
        Reply::Signalled { fresh } => if fresh { "signalled" } else { "repeated" }.to_owned(),
        Reply::Updated { fresh, .. } => if fresh { "updated" } else { "repeated" }.to_owned(),
        Reply::News(news) => format!("news {} {} {:?}", news.settled.len(), news.retry.len(), news.stop),
        Reply::Status(status) => status.to_string(),
        Reply::Explanation(explanation) => {
            format!("{explanation:?}").split(['(', ' ']).next().unwrap_or_default().to_owned()
        }
    };
    let status = transition.changes.iter().rev().find_map(|change| match change {
        Change::RunChanged(head) if head.id == run => Some(head.status),
        _ => None,
    });
    if let Some(status) = status {
        let _ = write!(text, " -> {status}");
    }
    text
}

#[test]
fn every_command_is_defined_in_every_state() {
    let mut table = String::new();
    for state in STATES {
        let (mut world, run) = world(state);
        let expected = RunStatus::parse(state).unwrap_or(RunStatus::Ready);
        assert_eq!(world.book.head(run).map(|head| head.status), Some(expected), "{state}");
        for (name, command) in commands(run, index_of(state)) {
            let _ = writeln!(table, "{state:<9} | {name:<15} | {}", result(&mut world, run, &command));
        }
    }
    let expected: Vec<&str> = include_str!("table.txt").lines().collect();
    let found: Vec<&str> = table.lines().collect();
    assert_eq!(found, expected, "\n{table}");
}

#[test]
fn an_unknown_run_is_unknown_to_every_command() {
    let (mut world, _) = world("ready");
    let run = RunId(7);
    for (name, command) in commands(run, 0) {
        let result = result(&mut world, run, &command);
        let expected: &[&str] = match name {
            "ingest" => &["accepted 0"],
            "start again" => &["known"],
            "start otherwise" => &["refused Conflict"],
            "wake" | "wake a mark" | "wake a delivery" | "deliver" | "scan" | "close" => &["done"],
            _ => &["refused UnknownRun"],
        };
        assert_eq!([&*result], expected, "{name}");
    }
}
