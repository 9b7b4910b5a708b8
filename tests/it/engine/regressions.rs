//! What was found once, each by its smallest case.

use super::chaos::{Act, Case, execute};
use super::program::{Node, OnCancel, Program};

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
