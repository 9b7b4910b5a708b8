//! HTTP calls for runs, each rule by its smallest case: when they are made, when again, when not any more.

use backstitch_server::engine::{Command, Explanation, Fork, ForkFrom, Reply};
use backstitch_server::limits::RETRY_AFTER_MS_MAX;
use backstitch_server::model::{
    Entry, EntryStatus, Failure, FetchEnd, Outcome, Payload, RunHead, RunId, RunStatus, Timestamp, names,
};

use super::calls::{answered, unanswered};
use super::harness::{Fate, World};
use super::program::{Node, OnCancel, Program};
use super::registry::{ATTEMPTS, INITIAL_MS, function, plain_start, registry};

fn fetch() -> Node {
    Node::Fetch { fails: 0, fatal: false, close: None }
}

/// A world in which at most so many runs rest in memory, with a run that does these.
fn world(idle: usize, nodes: Vec<Node>) -> (World, RunId) {
    let program =
        |nodes| Program { nodes, flaky: 0, on_cancel: OnCancel::Stop, catches: true, hints: false, rounds: 0 };
    let mut world = World::new([nodes, Vec::new(), Vec::new(), Vec::new()].map(program).to_vec(), idle);
    let input = Payload::trusted("{}");
    let start = plain_start(function(0), input);
    world.submit(Command::Start(start));
    while world.finish_load(false) {}
    let run = world.book.runs[&1].id;
    (world, run)
}

/// The same, when the call is under way and its run waits for it.
fn fetching(idle: usize, nodes: Vec<Node>) -> (World, RunId) {
    let (mut world, run) = world(idle, nodes);
    world.flow_without_handlers(9);
    world.answer(0);
    world.flow_without_handlers(9);
    assert_eq!((world.fetches.len(), head(&world, run).status), (1, RunStatus::Suspended));
    (world, run)
}

fn head(world: &World, run: RunId) -> &RunHead {
    world.book.head(run).expect("exists")
}

fn entry(world: &World, run: RunId) -> Entry {
    world.book.entries_of(run)[1].clone()
}

/// The call ends so, and what follows becomes durable. Handlers stay at work.
fn end(world: &mut World, end: FetchEnd) {
    world.end_fetch(0, end);
    world.flow_without_handlers(9);
}

fn sentence(world: &mut World, run: RunId) -> String {
    match world.ask(&Command::Explain { run }).expect("is explained").reply {
        Reply::Explanation(Explanation::Waiting(waits)) => waits.join("; "),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_call_is_made_when_its_entry_is_durable_and_not_before() {
    let (mut world, run) = world(9, vec![fetch()]);
    world.flow_without_handlers(9);
    world.answer(0);
    world.work(9);
    world.poll(9);
    assert!(world.fetches.is_empty(), "what is not written does not leave the house");
    world.commit();
    world.poll(9);
    assert!(world.fetches.is_empty());
    world.committed(Fate::Done);
    assert_eq!(world.fetches.len(), 1);
    assert_eq!(head(&world, run).wake_at, Some(Timestamp::ZERO), "a run whose call is made is worked on");
    end(&mut world, answered(404, None));
    assert_eq!(entry(&world, run).outcome.expect("is settled").word(), "ok", "any status is a value");
    world.flow(9);
    assert_eq!(head(&world, run).status, RunStatus::Completed);
    assert_eq!((entry(&world, run).failures, world.book.attempts.len()), (0, 0));
}

#[test]
fn a_call_is_made_again_as_the_policy_says_and_the_last_answer_is_the_value() {
    let (mut world, run) = fetching(0, vec![fetch()]);
    for failures in 1..ATTEMPTS {
        end(&mut world, answered(503, None));
        let entry = entry(&world, run);
        assert_eq!((entry.status, entry.failures), (EntryStatus::Backoff, failures));
        assert!(world.fetches.is_empty());
        let due = entry.due_at.expect("has a timer");
        assert_eq!(head(&world, run).wake_at, Some(due));
        assert!(sentence(&mut world, run).contains("HttpStatus: answered 503"));
        world.advance(due.since(world.now).0 - 1);
        world.flow_without_handlers(9);
        assert!(world.fetches.is_empty(), "never early");
        world.advance(1);
        world.flow_without_handlers(9);
        assert_eq!(world.fetches[0].call.attempt, failures + 1);
    }
    end(&mut world, answered(503, None));
    let last = entry(&world, run);
    let Some(Outcome::Ok(value)) = &last.outcome else { panic!("{last:?}") };
    assert_eq!(value.read::<serde_json::Value>().expect("JSON")["status"], 503);
    assert_eq!((last.failures, world.book.attempts.len()), (ATTEMPTS, ATTEMPTS as usize));
}

#[test]
fn whoever_is_told_when_to_come_back_does() {
    let (mut world, run) = fetching(9, vec![fetch()]);
    end(&mut world, answered(429, Some(77_000)));
    assert_eq!(entry(&world, run).due_at.expect("has a timer").since(world.now).0, 77_000);
    world.advance(77_000);
    world.flow_without_handlers(9);
    end(&mut world, answered(503, Some(u64::MAX)));
    assert_eq!(entry(&world, run).due_at.expect("has a timer").since(world.now).0, RETRY_AFTER_MS_MAX);
}

#[test]
fn a_call_without_an_answer_fails_in_the_end_and_one_that_cannot_succeed_at_once() {
    let (mut world, run) = fetching(9, vec![fetch()]);
    for _ in 1..ATTEMPTS {
        end(&mut world, unanswered(true));
        world.advance(INITIAL_MS * 8);
        world.flow_without_handlers(9);
    }
    end(&mut world, unanswered(true));
    let Some(Outcome::Err(error)) = entry(&world, run).outcome else { panic!("it did not fail") };
    let failure = Failure::from_payload(&error);
    assert_eq!((&*failure.name, failure.retryable), (names::FETCH_FAILED, Some(false)));

    let (mut world, run) = fetching(9, vec![fetch()]);
    end(&mut world, unanswered(false));
    assert!(entry(&world, run).is_settled() && world.book.attempts.len() == 1);
}

#[test]
fn an_answer_that_cannot_be_kept_is_asked_for_again_if_its_status_is_none() {
    let too_large = |status| {
        let mut failure = Failure::new(names::TOO_LARGE, "planted");
        failure.retryable = Some(false);
        FetchEnd::Failed { status: Some(status), failure: Box::new(failure), retry_after: None }
    };
    let (mut world, run) = fetching(9, vec![fetch()]);
    end(&mut world, too_large(503));
    assert_eq!(entry(&world, run).status, EntryStatus::Backoff);
    world.advance(INITIAL_MS * 8);
    world.flow_without_handlers(9);
    end(&mut world, too_large(200));
    assert!(matches!(entry(&world, run).outcome, Some(Outcome::Err(_))));
}

#[test]
fn a_call_that_was_under_way_when_the_server_died_is_made_again() {
    let (mut world, run) = fetching(0, vec![fetch()]);
    let old = world.fetches[0].call.clone();
    world.crash();
    assert!(world.fetches.is_empty());
    world.flow_without_handlers(9);
    let new = world.fetches[0].call.clone();
    assert_eq!((new.token.run, new.attempt, &new.params), (run, old.attempt, &old.params));
    world.flow(9);
    assert_eq!(head(&world, run).status, RunStatus::Completed);
}

#[test]
fn a_run_that_is_tried_again_later_calls_when_it_is() {
    // Its handler reports the call and is lost: after a crash, nothing of the run moves before its back-off is over.
    let (mut world, run) = world(9, vec![fetch()]);
    world.flow_without_handlers(9);
    world.checkpoint(0);
    world.flow_without_handlers(9);
    assert_eq!(world.fetches.len(), 1, "a report is enough to call");
    let call = world.calls.pop().expect("is at work");
    let reason = "planted".to_owned();
    let lost = backstitch_server::model::Undelivered::Lost { reason };
    world.returned(&call, backstitch_server::model::Answer::Undelivered(lost));
    world.flow_without_handlers(9);
    assert_eq!((head(&world, run).status, world.fetches.len()), (RunStatus::Backoff, 1));
    world.crash();
    world.flow_without_handlers(9);
    assert!(world.fetches.is_empty());
    world.advance(head(&world, run).wake_at.expect("is tried again").since(world.now).0);
    world.flow(9);
    assert_eq!(head(&world, run).status, RunStatus::Completed);
}

#[test]
fn whoever_ends_gives_up_its_calls() {
    let (mut world, run) = fetching(9, vec![fetch()]);
    let token = world.fetches[0].call.token;
    world.submit(Command::Kill { run });
    world.flow_without_handlers(9);
    assert_eq!((world.fetches.len(), head(&world, run).status), (0, RunStatus::Cancelled));
    assert!(!world.partition.is_fetching(token));
    let fetched = Command::Fetched { token, end: answered(200, None), started_at: world.now };
    assert!(world.ask(&fetched).expect("is taken").changes.is_empty());

    let (mut world, run) = fetching(9, vec![fetch()]);
    world.submit(Command::Cancel { run });
    world.flow_without_handlers(9);
    assert_eq!(world.fetches.len(), 1, "the handler may have shielded it");
    world.answer(0);
    world.flow_without_handlers(9);
    assert_eq!((world.fetches.len(), head(&world, run).status), (0, RunStatus::Cancelled));
}

#[test]
fn a_held_run_calls_nobody() {
    let (mut world, run) = fetching(9, vec![fetch(), fetch()]);
    world.submit(Command::Pause { run });
    world.flow_without_handlers(9);
    end(&mut world, answered(503, None));
    world.advance(INITIAL_MS * 8);
    world.flow_without_handlers(9);
    let waits = entry(&world, run).status == EntryStatus::Waiting;
    assert!(waits && world.fetches.is_empty(), "its pause is over, and it is held");
    assert_eq!(head(&world, run).wake_at, None);
    world.submit(Command::Resume { run });
    world.flow_without_handlers(9);
    assert_eq!(world.fetches.len(), 1);
    world.submit(Command::Pause { run });
    end(&mut world, answered(200, None));
    let settled = entry(&world, run).is_settled() && head(&world, run).status == RunStatus::Paused;
    assert!(settled, "what is under way counts");
}

#[test]
fn a_call_has_so_much_time_in_all() {
    let close = Some(5_000);
    let (mut world, run) = fetching(9, vec![Node::Fetch { fails: 0, fatal: false, close }]);
    world.advance(4_999);
    world.flow_without_handlers(9);
    assert_eq!(world.fetches.len(), 1);
    world.advance(1);
    world.flow_without_handlers(9);
    let Some(Outcome::Err(error)) = entry(&world, run).outcome else { panic!("it did not time out") };
    assert_eq!(Failure::from_payload(&error).name, names::TIMEOUT);
    assert!(world.fetches.is_empty(), "nobody waits for it any more");

    // An attempt that would begin too late is not made: what came last is the value.
    let (mut world, run) = fetching(9, vec![Node::Fetch { fails: 0, fatal: false, close }]);
    end(&mut world, answered(503, Some(5_001)));
    assert!(matches!(entry(&world, run).outcome, Some(Outcome::Ok(_))));
}

#[test]
fn what_is_waited_for_is_said() {
    let (mut world, run) = fetching(9, vec![fetch()]);
    world.advance(12_345);
    assert_eq!(sentence(&mut world, run), "the answer of http://h/x for `0`: the server has been fetching it for 12 s");
    end(&mut world, unanswered(true));
    let due = entry(&world, run).due_at.expect("has a timer");
    let expected = format!("the answer of http://h/x for `0`: attempt 2 is due at {due}, after FetchFailed: planted");
    assert_eq!(sentence(&mut world, run), expected);
    world.advance(INITIAL_MS * 2);
    world.flow_without_handlers(9);
    assert!(sentence(&mut world, run).ends_with("fetching it for 0 s, attempt 2"));
}

#[test]
fn a_fork_takes_what_was_fetched_and_does_not_call_again() {
    let (mut world, run) = world(9, vec![fetch(), Node::Step { throws: 0, fatal: false }]);
    world.flow(9);
    assert_eq!(head(&world, run).status, RunStatus::Completed);
    let fork = |from, edits| Fork { run, from, edits, input: None, cause: None, dry_run: false };
    let edit = (entry(&world, run).id, Outcome::Ok(Payload::trusted("\"another answer\"")));
    world.submit(Command::Fork(Box::new(fork(ForkFrom::Edits, vec![edit.clone()]))));
    world.flow_without_handlers(9);
    assert!(world.fetches.is_empty(), "it was fetched before");
    let made = world.book.runs[&2].id;
    assert_eq!(entry(&world, made).outcome, Some(edit.1));
    world.submit(Command::Fork(Box::new(fork(ForkFrom::Entry(edit.0), Vec::new()))));
    world.flow(9);
    assert!(world.book.runs.values().all(|head| head.status == RunStatus::Completed));
}

#[test]
fn the_policy_of_an_app_that_is_gone_still_counts() {
    let (mut world, run) = fetching(9, vec![fetch()]);
    world.register(registry(1, false).without("shop"));
    for _ in 1..ATTEMPTS {
        end(&mut world, unanswered(true));
        world.advance(INITIAL_MS * 8);
        world.flow_without_handlers(9);
    }
    end(&mut world, unanswered(true));
    assert!(entry(&world, run).is_settled());
}
