//! Runs that are moved: which deployment is asked from then on, what goes on because of it, and where nobody can be.

use backstitch_server::engine::{Command, Explanation, Refusal, Reply};
use backstitch_server::model::{
    Answer, Deployment, DeploymentId, DeploymentState, HoldKind, Mismatch, MoveTo, NoTarget, Outcome, Payload, RunId,
    RunStatus, Undelivered,
};

use super::harness::{Fate, World};
use super::program::{Node, OnCancel, Program};
use super::registry::{function, plain_start, redeployed, registry};

/// A world whose first deployment is immutable, with so many runs that wait for the signal `s0` once they are called.
fn world(runs: usize) -> (World, Vec<RunId>) {
    let waits = Program {
        nodes: vec![Node::Signal(0, None)],
        flaky: 0,
        on_cancel: OnCancel::Stop,
        catches: false,
        hints: false,
        rounds: 0,
    };
    let mut world = World::new(vec![waits; 4], 9);
    world.register(registry(1, true));
    for _ in 0..runs {
        let (function, input) = (function(0), Payload::trusted("{}"));
        world.submit(Command::Start(plain_start(function, input)));
    }
    world.finish_load(false);
    world.commit();
    world.committed(Fate::Done);
    let ids = world.book.runs.values().map(|head| head.id).collect();
    (world, ids)
}

fn pin(world: &World, run: RunId) -> Option<u128> {
    world.book.head(run).expect("it exists").deployment.map(|id| id.0)
}

fn move_to(world: &mut World, run: RunId, to: MoveTo) {
    world.submit(Command::Move { run, to });
    world.finish_load(false);
    world.commit();
    world.committed(Fate::Done);
}

#[test]
fn a_pinned_run_is_asked_where_it_was_moved_to() {
    let (mut world, runs) = world(1);
    let run = runs[0];
    world.flow(9);
    world.register(redeployed(&world.registry, 2, true));
    assert_eq!(pin(&world, run), Some(1));
    move_to(&mut world, run, MoveTo::Current);
    assert_eq!(pin(&world, run), Some(2));
    // One that follows its app has no pin, wherever that goes.
    world.register(redeployed(&world.registry, 3, false));
    move_to(&mut world, run, MoveTo::Current);
    assert_eq!(pin(&world, run), None);
    move_to(&mut world, run, MoveTo::Deployment(DeploymentId(1)));
    assert_eq!(pin(&world, run), Some(1));
    // The world checks which deployment is asked.
    world.submit(Command::Signal { run, name: "s0".into(), id: None, settle: Outcome::Ok(Payload::null()) });
    world.flow(9);
    assert_eq!(world.book.head(run).expect("it exists").status, RunStatus::Completed);
}

#[test]
fn runs_leave_the_line_of_a_deployment_that_is_gone() {
    let (mut world, runs) = world(3);
    world.poll(9);
    let reason = "planted".to_owned();
    for call in std::mem::take(&mut world.calls) {
        world.returned(
            &call,
            Answer::Undelivered(Undelivered::NotReached { reason: reason.clone(), retry_after: None }),
        );
    }
    world.register(redeployed(&world.registry, 2, true));
    // A new deployment is news for every line: the first of this one is tried, in vain.
    world.poll(9);
    let call = world.calls.pop().expect("one is tried");
    world.returned(&call, Answer::Undelivered(Undelivered::NotReached { reason, retry_after: None }));
    world.poll(9);
    assert!(world.calls.is_empty(), "nobody is called before the next try");
    for run in &runs[1..] {
        move_to(&mut world, *run, MoveTo::Current);
    }
    world.poll(9);
    assert_eq!(world.calls.len(), 2, "they do not wait for the old deployment");
    let transition = world.ask(&Command::Explain { run: runs[0] }).expect("it exists");
    let Reply::Explanation(Explanation::Unreachable { runs: waiting, .. }) = transition.reply else {
        panic!("{transition:?}")
    };
    assert_eq!(waiting, 1);
}

#[test]
fn a_hold_about_the_code_is_lifted_and_no_other() {
    let (mut world, runs) = world(2);
    world.poll(9);
    for call in std::mem::take(&mut world.calls) {
        let mismatch = Mismatch { id: "a".into(), journal: "step".to_owned(), code: "sleep".to_owned() };
        world.returned(&call, Answer::Mismatch(mismatch));
    }
    let held = world.book.head(runs[0]).and_then(|head| head.hold.clone()).expect("it is held");
    assert_eq!(held.kind, HoldKind::Mismatch);
    for part in
        ["at `a`", "the journal has step", "the code asks for sleep", &DeploymentId(1).to_string(), "move the run"]
    {
        assert!(held.detail.contains(part), "`{part}` is missing: {}", held.detail);
    }
    world.submit(Command::Resume { run: runs[1] });
    world.submit(Command::Pause { run: runs[1] });
    world.register(redeployed(&world.registry, 2, true));
    for run in &runs {
        move_to(&mut world, *run, MoveTo::Current);
    }
    let head = |run: RunId| world.book.head(run).expect("it exists");
    assert_eq!(head(runs[0]).status, RunStatus::Ready);
    assert_eq!((head(runs[1]).status, pin(&world, runs[1])), (RunStatus::Paused, Some(2)), "somebody paused it");
}

#[test]
fn nobody_is_moved_where_nobody_can_be() {
    let (mut world, runs) = world(1);
    let run = runs[0];
    let to = |number| MoveTo::Deployment(DeploymentId(number));
    let refusal = |world: &mut World, to| match world.ask(&Command::Move { run, to }) {
        Err(Refusal::CannotMove(_, why)) => why,
        other => panic!("{other:?}"),
    };
    let app = function(0).app;
    assert_eq!(refusal(&mut world, to(7)), NoTarget::Unknown(app.clone(), DeploymentId(7)));
    world.register(redeployed(&redeployed(&world.registry, 2, false), 3, true));
    assert_eq!(refusal(&mut world, to(2)), NoTarget::Replaced(DeploymentId(2)));
    let first = Deployment::clone(&world.registry.deployments[&DeploymentId(1)]);
    for state in [DeploymentState::Draining, DeploymentState::Retired] {
        world.register(world.registry.with_deployment(Deployment { state, ..first.clone() }));
        assert_eq!(refusal(&mut world, to(1)), NoTarget::Closed(DeploymentId(1), state));
    }
    let mut empty = Deployment::clone(&world.registry.deployments[&DeploymentId(3)]);
    empty.manifest.functions.clear();
    world.register(world.registry.with_deployment(empty));
    assert_eq!(refusal(&mut world, MoveTo::Current), NoTarget::NoFunction(DeploymentId(3), function(0)));
    world.register(world.registry.without("shop"));
    assert_eq!(refusal(&mut world, MoveTo::Current), NoTarget::NoCurrent(app));
    // A deployment that somebody wants nobody on still serves those that are there.
    world.flow(9);
    assert_eq!(world.book.head(run).expect("it exists").status, RunStatus::Suspended);
}

#[test]
fn a_run_whose_deployment_is_forgotten_says_so_and_can_be_moved() {
    let (mut world, runs) = world(1);
    let run = runs[0];
    world.register(redeployed(&world.registry, 2, true).without_deployments(&[DeploymentId(1)]));
    world.flow(9);
    let why = world.ask(&Command::Explain { run }).expect("it exists").reply;
    assert_eq!(why, Reply::Explanation(Explanation::DeploymentGone(DeploymentId(1))));
    move_to(&mut world, run, MoveTo::Current);
    world.flow(9);
    assert_eq!(world.book.head(run).expect("it exists").status, RunStatus::Suspended);
}
