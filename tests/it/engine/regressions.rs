//! What was found once, each by its smallest case.

use super::chaos::{Act, Case, How, execute};
use super::program::{Node, OnCancel, Program, WaitFilter};

fn program(nodes: Vec<Node>) -> Program {
    Program { nodes, flaky: 0, on_cancel: OnCancel::Stop, catches: true, hints: false }
}

/// `f0` does this; the other functions do nothing.
fn check(nodes: Vec<Node>, acts: Vec<Act>) {
    let programs = vec![program(nodes), program(Vec::new()), program(Vec::new()), program(Vec::new())];
    for idle in [0, 2, 4_096] {
        execute(&Case { programs: programs.clone(), acts: acts.clone(), idle });
    }
}

fn start() -> Act {
    Act::Start { function: 0, key: 0, name: None, idempotency: None, delay: None }
}

#[test]
fn a_verdict_follows_its_event() {
    check(Vec::new(), vec![Act::Ingest(vec![(1, 0, None)])]);
}

#[test]
fn a_function_with_two_triggers_has_one_verdict() {
    check(Vec::new(), vec![Act::Ingest(vec![(0, 0, None), (0, 1, None), (0, 4, None)])]);
}

#[test]
fn a_run_that_ended_closes_its_children() {
    let child = || vec![Node::Child { function: 1, timeout: None, detached: false }];
    let race = vec![Node::Race(vec![vec![Node::Marker], child(), child()])];
    check(race, vec![start(), Act::Flow(3)]);
}

#[test]
fn a_timer_beyond_the_horizon_fires() {
    check(vec![Node::Sleep(900_000)], vec![start(), Act::Flow(9), Act::Advance(900_000), Act::Flow(9)]);
}

#[test]
fn a_run_that_is_held_meanwhile_takes_no_answer() {
    let acts = vec![start(), Act::Flow(1), Act::Poll(1), Act::Quarantine(0), Act::Answer(0, How::Honestly)];
    check(vec![Node::Signal(0, None)], acts);
}

#[test]
fn a_handler_cannot_have_seen_what_it_was_not_given() {
    let signal = Act::Signal { run: 0, name: 0, id: None };
    let two = vec![Node::All(vec![vec![Node::Signal(0, None)], vec![Node::Signal(1, None)]])];
    let acts = vec![start(), Act::Flow(9), signal, Act::Flow(9), start(), Act::Flow(1), Act::Poll(1)];
    let acts = acts.into_iter().chain([Act::Answer(0, How::Prophetic)]).collect();
    check(two, acts);
}

#[test]
fn a_close_that_nobody_asked_for_does_nothing() {
    check(Vec::new(), vec![start(), Act::Hint(0)]);
}

/// A wait that comes after more than two pages of events finds the one that it waits for on each of them.
#[test]
fn a_wait_looks_through_all_pages_of_older_events() {
    let page = backstitch_server::limits::EVENT_PAGE;
    for place in [page, 2 * page + 1] {
        let wait = Node::Event { name: 2, filter: WaitFilter::SameKey, timeout: None, since_run: true };
        let events = (0..2 * page + 2).map(|at| (2, if at == place { 1 } else { 0 }, None)).collect();
        let run = Act::Start { function: 0, key: 1, name: None, idempotency: None, delay: None };
        let programs = vec![program(vec![Node::Sleep(5), wait]); 4];
        let acts = vec![run, Act::Flow(9), Act::Ingest(events), Act::Flow(9), Act::Advance(5), Act::Crash];
        execute(&Case { programs, acts, idle: 0 });
    }
}
