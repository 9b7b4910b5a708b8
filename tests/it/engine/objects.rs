//! Objects, each rule by its smallest case: turns with a key, lines, state as of the first invocation, what a write may
//! not be, calls that would wait for ever.

use backstitch_server::engine::{Command, Explanation, Fork, ForkFrom, Refusal, Reply, Start};
use backstitch_server::limits::{STATE_BYTES_MAX, STATE_NAMES_MAX, STATE_VALUE_BYTES_MAX};
use backstitch_server::model::{
    Answer, Failure, HandlerOp, ObjectKey, ObjectLock, Outcome, Payload, RunHead, RunId, RunStatus, Span, StateKey,
    StateOp, Terminal, Text, names,
};
use backstitch_server::store::Store;

use super::harness::World;
use super::program::{Node, OnCancel, Program};
use super::registry::{START_TIMEOUT_MS, handler, plain_start};

/// `o/x`, exclusive.
const X: u8 = 0;
/// `o/z`, shared.
const Z: u8 = 1;
/// `o/y`, exclusive, which must be taken up in time.
const Y: u8 = 2;

/// A world whose function `f0` and handlers `o/x`, `o/z`, `o/y` do these.
fn world(f0: Vec<Node>, handlers: [Vec<Node>; 3]) -> World {
    let program =
        |nodes| Program { nodes, flaky: 0, on_cancel: OnCancel::Stop, catches: true, hints: false, rounds: 0 };
    let [x, z, y] = handlers;
    let none = Vec::new;
    World::new([f0, none(), none(), none(), x, z, y].map(program).to_vec(), 2)
}

fn call(world: &mut World, index: u8, key: &str, delay: Option<u64>) -> RunId {
    let before = world.book.runs.len() as i64;
    let (function, input) = (handler(index), Payload::trusted(r#"{"key":1}"#));
    let (key, delay) = (Some(key.into()), delay.map(Span));
    let start = Start { delay, key, ..plain_start(function, input) };
    submit(world, Command::Start(start));
    world.book.runs[&(before + 1)].id
}

/// Submits a command, and brings what it needs.
fn submit(world: &mut World, command: Command) {
    world.submit(command);
    while world.finish_load(false) || world.commit() || world.committed(super::harness::Fate::Done) {}
}

fn head(world: &World, run: RunId) -> &RunHead {
    world.book.head(run).expect("exists")
}

fn status(world: &World, run: RunId) -> RunStatus {
    head(world, run).status
}

fn statuses<const N: usize>(world: &World, runs: [RunId; N]) -> [RunStatus; N] {
    runs.map(|run| status(world, run))
}

fn lock(world: &World, key: &str) -> ObjectLock {
    let object = object(key);
    let row = world.book.state.get(&StateKey::Object(object));
    row.map(|row| row.value.read().expect("a lock")).unwrap_or_default()
}

fn object(key: &str) -> ObjectKey {
    ObjectKey { app: "shop".into(), object: "o".into(), key: key.into() }
}

/// The values under a key in the tables.
async fn values(world: &World, key: &str) -> Vec<(Text, String)> {
    let view = world.store.object(object(key)).await.expect("reads");
    let text = |value: Payload| String::from_utf8(value.bytes().to_vec()).expect("UTF-8");
    view.values.into_iter().filter_map(|value| Some((value.name, text(value.value?)))).collect()
}

fn error_of(world: &World, run: RunId) -> Failure {
    let outcome = world.book.entries_of(run).last().and_then(|entry| entry.outcome.clone());
    outcome.as_ref().and_then(Outcome::payload).map(Failure::from_payload).unwrap_or_default()
}

fn signal(world: &mut World, run: RunId) {
    let settle = Outcome::Ok(Payload::trusted(format!("\"{run}\"")));
    submit(world, Command::Signal { run, name: "s0".into(), id: None, settle });
}

fn waits() -> Vec<Node> {
    vec![Node::Signal(0, None)]
}

/// The only call of a handler that is open answers with these ops and this end.
fn answer(world: &mut World, ops: Vec<HandlerOp>, end: Option<Terminal>) {
    let call = world.calls.pop().expect("a handler is called");
    let seen = super::program::seen(&call.snapshot);
    world.returned(&call, Answer::Ops { seen, ops, end, awaiting: Vec::new() });
    world.flow_without_handlers(9);
}

fn set(id: &str, values: &[(&str, String)]) -> HandlerOp {
    let writes: Vec<(Text, Option<Payload>)> =
        values.iter().map(|(name, value)| ((*name).into(), Some(Payload::trusted(value.clone())))).collect();
    let fields: Vec<String> = values.iter().map(|(name, value)| format!("{:?}:{value}", *name)).collect();
    let params = Payload::trusted(format!(r#"{{"set":{{{}}}}}"#, fields.join(",")));
    HandlerOp::State(StateOp { id: id.into(), name: None, params, writes })
}

fn done() -> Option<Terminal> {
    Some(Terminal::Done(Payload::null()))
}

#[test]
fn exclusive_runs_of_a_key_take_turns_in_the_order_of_arrival_and_other_keys_do_not_wait() {
    let mut world = world(Vec::new(), [waits(), Vec::new(), waits()]);
    let first = call(&mut world, X, "a", None);
    let runs: Vec<RunId> = (0..5).map(|n| call(&mut world, if n % 2 == 0 { Y } else { X }, "a", None)).collect();
    let other = call(&mut world, X, "b", None);
    world.flow(9);
    assert_eq!(statuses(&world, [first, other]), [RunStatus::Suspended; 2]);
    assert_eq!((lock(&world, "a").holder, lock(&world, "a").waiting), (Some(first), 5));
    let mut holder = first;
    for next in runs {
        assert_eq!(status(&world, next), RunStatus::Queued);
        signal(&mut world, holder);
        world.flow(9);
        assert_eq!(statuses(&world, [holder, next]), [RunStatus::Completed, RunStatus::Suspended]);
        holder = next;
    }
    signal(&mut world, holder);
    world.flow(9);
    assert_eq!(lock(&world, "a"), ObjectLock::default(), "a key that nobody holds has no lock");
}

#[test]
fn a_turn_is_passed_on_whatever_the_holder_came_to() {
    type End = fn(&mut World, RunId);
    let ends: [(&str, End); 3] = [
        ("killed", |world, run| submit(world, Command::Kill { run })),
        ("cancelled", |world, run| {
            submit(world, Command::Cancel { run });
            world.flow(9);
        }),
        ("completed", signal),
    ];
    for (name, end) in ends {
        for crash in [false, true] {
            let mut world = world(Vec::new(), [waits(), Vec::new(), Vec::new()]);
            let (first, second) = (call(&mut world, X, "a", None), call(&mut world, X, "a", None));
            world.flow(9);
            end(&mut world, first);
            if crash {
                // What follows for others is lost with the memory, and follows again from the tables.
                world.crash();
            }
            world.flow(9);
            assert!(status(&world, first).is_terminal(), "{name}");
            assert_eq!(
                (status(&world, second), lock(&world, "a").holder),
                (RunStatus::Suspended, Some(second)),
                "{name}"
            );
        }
    }
}

#[test]
fn whoever_waits_in_line_can_be_cancelled_killed_and_timed_out() {
    let mut world = world(Vec::new(), [waits(), Vec::new(), waits()]);
    let first = call(&mut world, X, "a", None);
    let (cancelled, killed, late) =
        (call(&mut world, X, "a", None), call(&mut world, X, "a", None), call(&mut world, Y, "a", None));
    let last = call(&mut world, X, "a", None);
    world.flow(9);
    submit(&mut world, Command::Cancel { run: cancelled });
    submit(&mut world, Command::Kill { run: killed });
    assert_eq!(statuses(&world, [cancelled, killed]), [RunStatus::Cancelled; 2]);
    assert_eq!(lock(&world, "a").waiting, 2);
    world.advance(START_TIMEOUT_MS);
    world.flow(9);
    assert_eq!((status(&world, late), error_of(&world, late).name), (RunStatus::Failed, names::TIMEOUT.to_owned()));
    signal(&mut world, first);
    world.flow(9);
    assert_eq!(lock(&world, "a").holder, Some(last));
    world.check_reload();
}

#[test]
fn a_line_longer_than_memory_is_read_in_parts() {
    let mut world = world(Vec::new(), [Vec::new(), Vec::new(), Vec::new()]);
    let holder = call(&mut world, X, "a", None);
    let runs: Vec<RunId> = (0..20).map(|_| call(&mut world, X, "a", None)).collect();
    submit(&mut world, Command::Kill { run: runs[7] });
    world.flow(200);
    assert_eq!(status(&world, holder), RunStatus::Completed);
    let completed = runs.iter().filter(|run| status(&world, **run) == RunStatus::Completed).count();
    assert_eq!((completed, lock(&world, "a").waiting), (19, 0));
}

#[test]
fn a_delayed_run_gets_in_line_when_it_is_due_and_a_held_one_lets_others_pass() {
    let mut world = world(Vec::new(), [waits(), Vec::new(), waits()]);
    let delayed = call(&mut world, X, "a", Some(1_000));
    let first = call(&mut world, X, "a", None);
    let held = call(&mut world, X, "a", None);
    world.flow(9);
    assert_eq!(statuses(&world, [delayed, first, held]), [RunStatus::Queued, RunStatus::Suspended, RunStatus::Queued]);
    world.advance(1_000);
    world.flow(9);
    submit(&mut world, Command::Pause { run: held });
    assert_eq!((status(&world, held), lock(&world, "a").waiting), (RunStatus::Paused, 1));
    submit(&mut world, Command::Resume { run: held });
    assert_eq!(status(&world, held), RunStatus::Queued, "it gets in line again, behind the others");
    for run in [first, delayed, held] {
        signal(&mut world, run);
        world.flow(9);
        assert_eq!(status(&world, run), RunStatus::Completed);
    }
}

#[test]
fn a_shared_run_waits_for_nobody_and_sees_the_state_as_it_began() {
    let mut world =
        world(Vec::new(), [vec![Node::Set(0, false), Node::Signal(0, None), Node::Set(1, false)], waits(), Vec::new()]);
    let writer = call(&mut world, X, "a", None);
    world.flow(9);
    let reader = call(&mut world, Z, "a", None);
    world.flow(9);
    assert_eq!(statuses(&world, [writer, reader]), [RunStatus::Suspended; 2]);
    signal(&mut world, writer);
    world.flow(9);
    assert_eq!(status(&world, writer), RunStatus::Completed);
    // It is shown the same again, after a restart too: the harness compares with what it was shown at first.
    world.crash();
    signal(&mut world, reader);
    world.flow(9);
    assert_eq!(status(&world, reader), RunStatus::Completed);
    let view: Payload = world.book.entries_of(reader)[0].details.clone().expect("a view");
    assert_eq!(view, Payload::trusted(format!(r#"{{"v0":"{writer}/0"}}"#)));
}

#[tokio::test]
async fn a_run_is_shown_the_state_as_of_its_first_invocation() {
    let nodes = vec![Node::Set(0, false), Node::Signal(0, None), Node::Clear(0), Node::Set(1, false), Node::Sleep(5)];
    let mut world = world(Vec::new(), [nodes, Vec::new(), vec![Node::Set(0, false)]]);
    let before = call(&mut world, Y, "a", None);
    world.flow(9);
    let run = call(&mut world, X, "a", None);
    world.flow(9);
    world.crash();
    signal(&mut world, run);
    world.flow(9);
    assert_eq!(values(&world, "a").await, [("v1".into(), format!("\"{run}/3\""))]);
    world.crash();
    // The harness compares every invocation's state with what the run found.
    world.advance(5);
    world.flow(9);
    assert_eq!(statuses(&world, [before, run]), [RunStatus::Completed; 2]);
    let kept = world.store.object(object("a")).await.expect("reads").values;
    assert!(kept.iter().all(|value| value.before.is_none()) && kept.len() == 1, "{kept:?}");
}

#[tokio::test]
async fn what_cannot_be_kept_ends_the_run_and_is_not_written_by_half() {
    let text = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
    let big = text(STATE_VALUE_BYTES_MAX);
    let many: Vec<(String, String)> = (0..=STATE_NAMES_MAX).map(|n| (format!("n{n}"), "1".to_owned())).collect();
    let many: Vec<(&str, String)> = many.iter().map(|(name, value)| (&**name, value.clone())).collect();
    let five: Vec<(&str, String)> = ["a", "b", "c", "d", "e"].map(|name| (name, big.clone())).to_vec();
    const { assert!(5 * STATE_VALUE_BYTES_MAX > STATE_BYTES_MAX) };
    type Case<'a> = (Vec<(&'a str, String)>, &'a str, &'a str);
    let cases: [Case<'_>; 5] = [
        (vec![("a", text(STATE_VALUE_BYTES_MAX + 1))], names::TOO_LARGE, "the value of `a` has 262145 bytes"),
        (five, names::TOO_LARGE, "all values of the key would have"),
        (many, names::TOO_LARGE, "the state would have 1002 values"),
        (vec![("", "1".to_owned())], names::INVALID_NAME, "names have 1 to 256 bytes"),
        (vec![("a\u{7}", "1".to_owned())], names::INVALID_NAME, "no control characters"),
    ];
    for (values_set, name, message) in cases {
        let mut world = world(Vec::new(), [Vec::new(), Vec::new(), Vec::new()]);
        let run = call(&mut world, X, "a", None);
        world.flow_without_handlers(9);
        let ops = vec![
            set("$state", &[("kept", "1".to_owned())]),
            set("$state:1", &values_set),
            set("$state:2", &[("later", "1".to_owned())]),
        ];
        answer(&mut world, ops, done());
        assert_eq!(status(&world, run), RunStatus::Failed);
        let error = error_of(&world, run);
        assert_eq!((&*error.name, error.retryable), (name, Some(false)), "{}", error.message);
        assert!(error.message.contains(message), "{}", error.message);
        assert_eq!(values(&world, "a").await, [("kept".into(), "1".to_owned())], "{name}");
    }
}

#[test]
fn only_exclusive_handlers_write() {
    for (index, why) in [(Some(Z), "a shared handler only reads"), (None, "this is a function")] {
        let mut world = world(Vec::new(), [Vec::new(), Vec::new(), Vec::new()]);
        let run = match index {
            Some(index) => call(&mut world, index, "a", None),
            None => {
                let (function, input) = (super::registry::function(0), Payload::null());
                let start = plain_start(function, input);
                submit(&mut world, Command::Start(start));
                world.book.runs[&1].id
            }
        };
        world.flow_without_handlers(9);
        answer(&mut world, vec![set("$state", &[("a", "1".to_owned())])], done());
        assert_eq!(status(&world, run), RunStatus::Backoff, "it follows the function's policy");
        let error = Failure::from_payload(head(&world, run).last_error.as_ref().expect("an error"));
        assert!(
            error.name == names::PROTOCOL && error.message.contains("`$state`") && error.message.contains(why),
            "{error:?}"
        );
    }
}

#[test]
fn keys_are_for_handlers_and_have_bounds() {
    let long = "x".repeat(257);
    let refused: [(bool, Option<&str>, &str); 5] = [
        (true, None, "say the key"),
        (true, Some(""), "the key has 0 bytes"),
        (true, Some(&long), "the key has 257 bytes"),
        (true, Some("a\nb"), "control character"),
        (false, Some("a"), "takes no key"),
    ];
    for (of_object, key, why) in refused {
        let mut world = world(Vec::new(), [Vec::new(), Vec::new(), Vec::new()]);
        let function = if of_object { handler(X) } else { super::registry::function(0) };
        let key: Option<Text> = key.map(Into::into);
        let start = Start { key, ..plain_start(function, Payload::null()) };
        match world.ask(&Command::Start(start)) {
            Err(refusal @ Refusal::Key(..)) => assert!(refusal.to_string().contains(why), "{refusal}"),
            other => panic!("{other:?}"),
        }
    }
    // A run of another key is not the one that was meant.
    let mut world = world(Vec::new(), [Vec::new(), Vec::new(), Vec::new()]);
    let start = |key: &str| {
        let (name, key) = (Some("n".into()), Some(key.into()));
        Command::Start(Start { name, key, ..plain_start(handler(X), Payload::null()) })
    };
    submit(&mut world, start("a"));
    assert!(
        matches!(world.ask(&start("a")), Ok(transition) if matches!(transition.reply, Reply::Run { created: false, .. }))
    );
    assert!(matches!(world.ask(&start("b")), Err(Refusal::Conflict { .. })));
}

#[test]
fn a_call_back_into_a_key_that_a_caller_holds_is_refused_and_a_send_is_not() {
    let call_y = |key: u8, detached: bool| Node::Call { handler: Y, key, timeout: None, detached };
    let nested = vec![Node::Call { handler: Z, key: 1, timeout: None, detached: false }];
    let mut world = world(Vec::new(), [nested, vec![call_y(0, false), call_y(0, true), call_y(2, false)], Vec::new()]);
    let caller = call(&mut world, X, "k0", None);
    world.flow(50);
    assert_eq!(status(&world, caller), RunStatus::Completed);
    let between = world.book.runs.values().find(|run| &*run.function.function == "o/z").expect("was called").id;
    let outcomes: Vec<&Outcome> =
        world.book.entries_of(between)[1..4].iter().filter_map(|entry| entry.outcome.as_ref()).collect();
    let Outcome::Err(error) = outcomes[0] else { panic!("{outcomes:?}") };
    let error = Failure::from_payload(error);
    assert_eq!((&*error.name, error.retryable), (names::DEADLOCK, Some(false)));
    let cycle = format!("{caller} holds `shop/o` `k0`, and waits for {between}, which calls `shop/o/y` for `k0`");
    assert!(error.message.contains(&cycle), "{}", error.message);
    assert!(matches!(outcomes[1..], [Outcome::Ok(_), Outcome::Ok(_)]), "{outcomes:?}");
}

#[test]
fn a_fork_of_a_handlers_run_gets_in_line_and_finds_the_state_as_it_is() {
    let mut world = world(Vec::new(), [vec![Node::Set(0, false), Node::Signal(0, None)], Vec::new(), Vec::new()]);
    let first = call(&mut world, X, "a", None);
    world.flow(9);
    submit(&mut world, Command::Kill { run: first });
    let second = call(&mut world, X, "a", None);
    world.flow(9);
    let (from, edits, input, cause) = (ForkFrom::Failure, Vec::new(), None, None);
    submit(&mut world, Command::Fork(Box::new(Fork { run: first, from, edits, input, cause, dry_run: false })));
    let fork = world.book.runs[&3].clone();
    assert_eq!((fork.status, fork.key.as_deref()), (RunStatus::Queued, Some("a")));
    signal(&mut world, second);
    world.flow(9);
    assert_eq!(status(&world, fork.id), RunStatus::Suspended);
}

#[test]
fn a_run_in_line_says_who_has_its_turn() {
    let mut world = world(Vec::new(), [waits(), Vec::new(), Vec::new()]);
    let runs: Vec<RunId> = (0..3).map(|_| call(&mut world, X, "a", None)).collect();
    world.flow(9);
    for (run, expected) in [(runs[1], 1), (runs[2], 2)] {
        match world.ask(&Command::Explain { run }).expect("explains").reply {
            Reply::Explanation(Explanation::InLine { object: of, holder, place }) => {
                assert_eq!((of, holder, place), (object("a"), Some(runs[0]), expected));
            }
            other => panic!("{other:?}"),
        }
    }
}
