//! Forks by their smallest cases: what a new run begins with, and what it never does again.

use backstitch_server::model::{Entry, EntryKind, Failure, Outcome, Payload, RunStatus};

use super::acts::From;
use super::book::Book;
use super::chaos::{Act, Case, How, execute};
use super::harness::Fate;
use super::program::{Node, OnCancel, Program, params_of};

fn program(nodes: Vec<Node>) -> Program {
    Program { nodes, flaky: 0, on_cancel: OnCancel::Stop, catches: false, hints: false, rounds: 0 }
}

/// `f0` does this; the other functions do nothing.
fn check(nodes: Vec<Node>, acts: Vec<Act>) -> Book {
    let programs = vec![program(nodes), program(Vec::new()), program(Vec::new()), program(Vec::new())];
    let execute = |idle| execute(&Case { programs: programs.clone(), acts: acts.clone(), idle });
    [0, 4_096].map(execute).into_iter().next_back().expect("two worlds")
}

fn start() -> Act {
    Act::Start { function: 0, key: 0, name: None, idempotency: None, delay: None }
}

fn fork(from: From) -> Act {
    Act::Fork { run: 0, from, edit: None, cause: None, dry_run: false }
}

fn step() -> Node {
    Node::Step { throws: 0, fatal: false }
}

/// Ids of a run's entries and whether they are copies, without the input.
fn entries(book: &Book, run_no: i64) -> Vec<(&str, bool)> {
    book.entries[&run_no][1..].iter().map(|entry| (&*entry.id, entry.copied)).collect()
}

#[test]
fn what_was_sent_is_not_sent_again() {
    let child = Node::Child { function: 1, timeout: None, detached: false };
    let nodes = vec![step(), Node::Send { name: 1, key: 0, client_id: None }, child, step()];
    let book = check(
        nodes,
        vec![start(), Act::Flow(30), Act::Advance(20), Act::Flow(30), fork(From::Entry(4)), Act::Flow(30)],
    );
    let fork = book.runs.values().last().expect("the fork");
    assert_eq!(fork.status, RunStatus::Completed);
    let copied = [("0", true), ("1", true), ("2", true), ("3", false), ("$outcome", false)];
    assert_eq!(entries(&book, fork.run_no), copied);
    assert_eq!((book.events.len(), book.runs.len()), (1, 3), "an event, and a run, its child, its fork");
    assert_eq!(book.entries[&fork.run_no][3].child, book.entries[&1][3].child, "the child stays the original's");
}

#[test]
fn a_run_is_made_again_as_a_whole() {
    let book = check(vec![step(), step()], vec![start(), Act::Flow(9), fork(From::Edits), Act::Flow(9)]);
    assert_eq!(entries(&book, 2), [("0", false), ("1", false), ("$outcome", false)]);
}

#[test]
fn a_running_run_is_forked_and_goes_on() {
    let nodes = vec![step(), Node::Signal(0, None), step()];
    let signal = |run| Act::Signal { run, name: 0, id: None };
    let acts = vec![start(), Act::Flow(9), fork(From::Entry(2)), Act::Flow(9), signal(0), signal(1), Act::Flow(9)];
    let book = check(nodes, acts);
    assert!(book.runs.values().all(|head| head.status == RunStatus::Completed));
    assert_eq!(entries(&book, 2)[..2], [("0", true), ("1", false)], "what is pending is waited for anew");
}

#[test]
fn a_retry_begins_at_the_first_failure() {
    let nodes = vec![step(), Node::Step { throws: 9, fatal: false }, step()];
    let tries = || vec![Act::Flow(9), Act::Advance(90_000), Act::Flow(9), Act::Advance(90_000), Act::Flow(9)];
    let book = check(nodes, [vec![start()], tries(), vec![fork(From::Failure)], tries()].concat());
    let retried = book.runs.values().find(|head| head.previous.is_some()).expect("was forked").run_no;
    assert_eq!(entries(&book, retried), [("0", true), ("1", false), ("$outcome", false)]);
    assert_eq!(book.entries[&retried][2].failures, super::registry::ATTEMPTS, "it has all its attempts again");
    let refused = check(vec![step()], vec![start(), Act::Flow(9), fork(From::Failure)]);
    assert_eq!(refused.runs.len(), 1, "what has succeeded is not retried");
}

#[test]
fn what_followed_a_cancellation_is_not_copied() {
    let programs = vec![Program { on_cancel: OnCancel::Compensate, ..program(vec![step(), Node::Signal(0, None)]) }; 4];
    let acts = vec![start(), Act::Flow(9), Act::Cancel(0), Act::Flow(9), fork(From::Failure), Act::Flow(9)];
    let book = execute(&Case { programs, acts, idle: 9 });
    assert_eq!(book.runs[&1].status, RunStatus::Cancelled);
    assert!(book.entries[&1].iter().any(|entry| &*entry.id == "undo" && entry.is_settled()));
    assert_eq!(entries(&book, 2), [("0", true), ("1", false)], "it waits again, and was not told to stop");
}

#[test]
fn an_edit_is_what_the_handler_sees() {
    let nodes = vec![step(), step(), step()];
    let edit = |ok| Act::Fork { run: 0, from: From::Edits, edit: Some((2, ok)), cause: None, dry_run: false };
    let book = check(nodes, vec![start(), Act::Flow(9), edit(true), edit(false), Act::Flow(9)]);
    assert_eq!(entries(&book, 2), [("0", true), ("1", true), ("2", false), ("$outcome", false)]);
    let edited = book.entries[&2][2].outcome.as_ref().and_then(Outcome::payload).expect("has its edit");
    assert_eq!(edited.read::<String>().expect("a text"), "edited");
    assert_eq!(book.runs[&3].status, RunStatus::Failed, "the handler does not catch the error that was put in");
    let error = book.entries[&3][2].outcome.as_ref().and_then(Outcome::payload).expect("has its edit");
    assert_eq!(Failure::from_payload(error).name, "Edited");
}

#[test]
fn one_cause_makes_one_fork() {
    let again = || Act::Fork { run: 0, from: From::Entry(1), edit: None, cause: Some(1), dry_run: false };
    let dry = Act::Fork { run: 0, from: From::Entry(1), edit: None, cause: Some(2), dry_run: true };
    let crash = vec![Act::Commit, Act::Committed(Fate::Done), Act::Crash];
    let end = vec![again(), Act::Load(false), dry, Act::Flow(9)];
    let book =
        check(vec![step()], [vec![start(), Act::Flow(9), again(), Act::Load(false), again()], crash, end].concat());
    assert_eq!(book.runs.len(), 2);
}

#[test]
fn a_call_that_is_open_is_not_disturbed() {
    let acts = [
        vec![start(), Act::Commit, Act::Committed(Fate::Done), Act::Load(false), Act::Poll(4)],
        vec![fork(From::Edits), Act::Answer(0, How::Honestly), Act::Flow(9)],
    ];
    let book = check(vec![step()], acts.concat());
    assert!(book.runs.values().all(|head| head.status == RunStatus::Completed));
    assert_eq!(book.entries[&1].iter().filter(|entry| entry.kind == EntryKind::Step).count(), 1);
}

/// What an entry of a fork settles with: of an update another says the data only.
pub(super) fn edited(from: &Entry, edit: &Outcome) -> Outcome {
    match (edit, params_of(from)["update"].as_bool()) {
        (Outcome::Ok(data), Some(true)) => {
            let settled: serde_json::Value =
                from.outcome.as_ref().and_then(Outcome::payload).and_then(|it| it.read().ok()).unwrap_or_default();
            let id = settled["id"].as_str().unwrap_or("edited");
            let data = String::from_utf8_lossy(data.bytes());
            Outcome::Ok(Payload::trusted(format!(r#"{{"id":"{id}","data":{data}}}"#)))
        }
        _ => edit.clone(),
    }
}
