//! Starts with a run id, an idempotency key, or both: the answer is the run that the caller means, or a refusal that
//! names the two that it could be.

use backstitch_server::engine::{Command, Refusal, Reply, Start};
use backstitch_server::limits::MARK_MS;
use backstitch_server::model::{Payload, RunId};

use super::harness::World;
use super::program::{OnCancel, Program};
use super::registry::{function, plain_start};

fn world() -> World {
    let idle =
        || Program { nodes: Vec::new(), flaky: 0, on_cancel: OnCancel::Stop, catches: true, hints: false, rounds: 0 };
    World::new(vec![idle(), idle(), idle(), idle()], 9)
}

fn command(name: Option<&str>, key: Option<&str>, input: &str) -> Command {
    Command::Start(Start {
        name: name.map(Into::into),
        idempotency_key: key.map(Into::into),
        ..plain_start(function(0), Payload::trusted(input.to_owned()))
    })
}

/// Starts, and lets everything become durable. The run, and whether it is new.
fn start(world: &mut World, name: Option<&str>, key: Option<&str>) -> Result<(RunId, bool), Refusal> {
    let command = command(name, key, "1");
    let reply = world.ask(&command).map(|transition| transition.reply);
    world.submit(command);
    world.flow(9);
    match reply? {
        // What a new run is called is decided anew by the command that is submitted.
        Reply::Run { created: true, .. } => {
            Ok((world.book.runs.values().next_back().map(|head| head.id).expect("was made"), true))
        }
        Reply::Run { id, created } => Ok((id, created)),
        other => panic!("a start is answered with {other:?}"),
    }
}

#[test]
fn a_key_of_another_run_is_refused() {
    for other in [None, Some("b")] {
        let mut world = world();
        let (by_key, _) = start(&mut world, other, Some("k")).expect("starts");
        let refusal = start(&mut world, Some("a"), Some("k")).expect_err("belongs to another");
        let Refusal::TwoRuns { name, key, run, has, .. } = &refusal else { panic!("{refusal}") };
        assert_eq!((&**name, &**key, *run, has.as_deref()), ("a", "k", by_key, other));
        let (named, _) = start(&mut world, Some("a"), None).expect("starts");
        let refusal = start(&mut world, Some("a"), Some("k")).expect_err("belongs to another");
        assert!(matches!(refusal, Refusal::TwoRuns { run, .. } if run == by_key && run != named), "{refusal}");
        assert_eq!(world.book.runs.len(), 2);
    }
}

#[test]
fn a_new_key_leads_to_the_named_run_from_then_on() {
    let mut world = world();
    let (named, _) = start(&mut world, Some("a"), None).expect("starts");
    assert_eq!(start(&mut world, Some("a"), Some("k")), Ok((named, false)));
    assert_eq!(start(&mut world, None, Some("k")), Ok((named, false)));
    assert_eq!(start(&mut world, Some("a"), Some("l")), Ok((named, false)));
    assert_eq!(start(&mut world, Some("a"), Some("k")), Ok((named, false)));
    let other = world.ask(&command(None, Some("k"), "2"));
    assert!(matches!(other, Err(Refusal::Conflict { what: "idempotency key", run, .. }) if run == named));
}

#[test]
fn a_refused_start_ties_nothing() {
    let mut world = world();
    let (named, _) = start(&mut world, Some("a"), None).expect("starts");
    world.submit(command(Some("a"), Some("k"), "2"));
    world.flow(9);
    let (other, created) = start(&mut world, None, Some("k")).expect("the key is free");
    assert!(created && other != named);
}

#[test]
fn a_forgotten_key_is_tied_anew() {
    let mut world = world();
    let (first, _) = start(&mut world, None, Some("k")).expect("starts");
    world.now = world.now.after(backstitch_server::model::Span(MARK_MS));
    let (second, created) = start(&mut world, Some("a"), Some("k")).expect("starts");
    assert!(created && second != first);
    assert_eq!(start(&mut world, None, Some("k")), Ok((second, false)));
}
