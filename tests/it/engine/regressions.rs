//! What was found once, each by its smallest case.

use backstitch_server::model::{EntryKind, EntryStatus, Event, Failure, HoldKind, Outcome, Payload, RunStatus};

use super::acts::From;
use super::book::Book;
use super::chaos::{Act, Case, How, execute};
use super::harness::Fate;
use super::program::{Node, OnCancel, Program, WaitFilter};
use super::registry::RUN_TIMEOUT_MS;

fn program(nodes: Vec<Node>) -> Program {
    Program { nodes, flaky: 0, on_cancel: OnCancel::Stop, catches: true, hints: false, rounds: 0 }
}

/// `f0` does this; the other functions do nothing.
fn check(nodes: Vec<Node>, acts: Vec<Act>) -> Book {
    check_with(nodes, Vec::new(), acts)
}

/// `f0` and `f1` do these; the other functions do nothing.
fn check_with(nodes: Vec<Node>, child: Vec<Node>, acts: Vec<Act>) -> Book {
    let programs = vec![program(nodes), program(child), program(Vec::new()), program(Vec::new())];
    let execute = |idle| execute(&Case { programs: programs.clone(), acts: acts.clone(), idle });
    [0, 2, 4_096].map(execute).into_iter().next_back().expect("three worlds")
}

/// Commits, asks for invocations, and leaves them with their handlers.
fn call() -> Vec<Act> {
    vec![Act::Commit, Act::Committed(Fate::Done), Act::Load(false), Act::Poll(4), Act::Load(false), Act::Poll(4)]
}

fn signal(name: u8) -> Act {
    Act::Signal { run: 0, name, id: None }
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

fn update(id: Option<u8>) -> Act {
    Act::Update { run: 0, name: 0, id }
}

#[test]
fn an_update_settles_its_wait_and_is_replied_to_once() {
    let nodes = vec![Node::Update(0, None), Node::Signal(0, None), Node::Update(0, None)];
    let acts = vec![start(), update(Some(1)), update(Some(1)), Act::Flow(9), Act::Crash, signal(0), update(None)];
    let book = check(nodes, acts);
    assert_eq!(book.runs[&1].status, RunStatus::Completed);
    let replies: Vec<_> = book.signals.values().filter_map(|signal| signal.reply.clone()).collect();
    assert_eq!(replies, ["\"0\"", "\"2\""].map(|text| Outcome::Ok(Payload::trusted(text))));
}

#[test]
fn signals_and_updates_of_one_name_are_apart() {
    let book = check(vec![Node::Signal(0, Some(5))], vec![start(), Act::Flow(9), update(None)]);
    let update = book.signals.values().next().expect("is kept");
    assert_eq!((update.consumed_by, update.reply.clone()), (None, None));
}

fn outcome_of(book: &Book, idx: usize) -> Option<Outcome> {
    book.entries[&1][idx].outcome.clone()
}

fn timed_out(book: &Book) -> bool {
    matches!(outcome_of(book, 1), Some(Outcome::Err(error)) if Failure::from_payload(&error).name == "Timeout")
}

/// The first pause is about a second, the second about two.
#[test]
fn no_attempt_begins_after_the_time_of_its_step() {
    let step = |close| vec![Node::Timed { throws: 9, close: Some(close), start: None }];
    let book = check(step(2_500), vec![start(), Act::Flow(9), Act::Advance(1_300), Act::Flow(9)]);
    assert!(timed_out(&book));
    assert_eq!((book.entries[&1][1].failures, book.attempts.len()), (2, 2));
    assert!(!timed_out(&check(step(60_000), vec![start(), Act::Flow(9)])), "the attempts end first");
}

#[test]
fn a_step_that_nobody_takes_up_times_out() {
    let step = |start| vec![Node::Timed { throws: 1, close: None, start: Some(start) }];
    let backed_off = [start(), Act::Flow(9), Act::Pause(0), Act::Advance(1_300), Act::Work(9)];
    let held = |ms| [backed_off.to_vec(), vec![Act::Advance(ms), Act::Work(9), Act::Flow(9)]].concat();
    assert!(timed_out(&check(step(5_000), held(7_000))));
    assert!(!timed_out(&check(step(5_000), held(3_000))));
    // While a handler has the run, its steps are taken up, however long it is at it.
    let slow = [
        vec![start(), Act::Flow(9), Act::Advance(1_300), Act::Work(9)],
        call(),
        vec![Act::Advance(9_000), Act::Work(9)],
    ];
    assert!(!timed_out(&check(step(5_000), slow.concat())));
}

#[test]
fn a_heartbeat_makes_the_entry_and_its_details_last() {
    let beat = [call(), vec![Act::Answer(0, How::Noisy)]].concat();
    let programs = vec![program(vec![Node::Timed { throws: 0, close: None, start: None }]); 4];
    let acts = [vec![start()], beat].concat();
    let book = super::chaos::played(&Case { programs, acts, idle: 9 });
    let entry = &book.entries[&1][1];
    assert_eq!((entry.status, entry.details.clone()), (EntryStatus::Runnable, Some(Payload::trusted("1"))));
}

fn saga(undo_throws: u32) -> Vec<Node> {
    vec![Node::Saga { undo_throws: 0 }, Node::Saga { undo_throws }, Node::Step { throws: 1, fatal: true }]
}

/// A program that does not catch.
fn check_saga(nodes: Vec<Node>, acts: Vec<Act>) -> Book {
    let programs = vec![Program { catches: false, ..program(nodes) }; 4];
    execute(&Case { programs, acts, idle: 0 })
}

fn ids(book: &Book) -> Vec<&str> {
    book.entries[&1].iter().map(|entry| &*entry.id).collect()
}

#[test]
fn a_failed_run_undoes_its_steps_in_reverse() {
    let book = check_saga(saga(1), vec![start(), Act::Flow(9), Act::Crash]);
    assert_eq!(ids(&book), ["$input", "0", "1", "2", "$failure", "$undo/1", "$undo/0", "$outcome"]);
    assert_eq!((book.runs[&1].status, outcome_of(&book, 7)), (RunStatus::Failed, outcome_of(&book, 4)));
}

#[test]
fn a_compensation_that_fails_parks_its_run_until_somebody_helps() {
    let acts = |last: Act| vec![start(), Act::Flow(9), Act::Advance(1_300), Act::Work(9), Act::Flow(9), last];
    let programs = vec![Program { catches: false, ..program(saga(3)) }; 4];
    let parked = super::chaos::played(&Case { programs, acts: acts(Act::Flow(9)), idle: 9 });
    let hold = parked.runs[&1].hold.clone().expect("is held");
    assert_eq!(hold.kind, HoldKind::Compensation);
    assert!(hold.detail.contains("`$undo/1` failed 2 times"), "{}", hold.detail);
    // Each resume tries once more.
    let resumed = check_saga(saga(3), acts(Act::Resume(0)));
    assert_eq!((resumed.entries[&1][5].failures, resumed.runs[&1].status), (3, RunStatus::Failed));
    let skipped = check_saga(saga(3), acts(Act::SettleUndo { run: 0, skip: true }));
    assert_eq!(outcome_of(&skipped, 5), Some(Outcome::Ok(Payload::trusted(r#"{"skipped":true}"#))));
    assert_eq!(ids(&skipped)[6..], ["$undo/0", "$outcome"]);
}

#[test]
fn a_retry_does_again_what_was_undone() {
    let retry = || Act::Fork { run: 0, from: From::Failure, edit: None, cause: None, dry_run: false };
    let copied = |book: &Book| {
        let fork = book.runs.values().find(|head| head.previous.is_some()).expect("was forked");
        book.entries[&fork.run_no].iter().filter(|entry| entry.copied).count()
    };
    assert_eq!(copied(&check_saga(saga(0), vec![start(), Act::Flow(60), retry()])), 0);
    // What somebody says needs no undoing stands.
    let skip = || Act::SettleUndo { run: 0, skip: true };
    let parked = vec![start(), Act::Flow(60), Act::Advance(1_300), Act::Work(9), Act::Flow(60), skip(), Act::Flow(60)];
    let nodes = vec![Node::Saga { undo_throws: 4 }, Node::Step { throws: 1, fatal: true }];
    assert_eq!(copied(&check_saga(nodes, [parked, vec![retry()]].concat())), 1);
}

/// The handler is at work when the time of its run is over; what it comes to does not count any more.
#[test]
fn a_run_that_is_out_of_time_undoes_its_steps() {
    let run = Act::Start { function: 1, key: 0, name: None, idempotency: None, delay: None };
    let over = vec![Act::Advance(RUN_TIMEOUT_MS), Act::Work(9), Act::Answer(0, How::Honestly)];
    let acts = [vec![run], call(), vec![Act::Answer(0, How::Honestly)], call(), over].concat();
    let book = check_saga(vec![Node::Saga { undo_throws: 0 }], acts);
    assert_eq!(ids(&book), ["$input", "0", "$failure", "$undo/0", "$outcome"]);
    assert_eq!(book.runs[&1].status, RunStatus::Failed);
}

#[test]
fn a_cancelled_run_that_undoes_its_steps_has_the_time_it_needs() {
    let nodes = vec![Node::Saga { undo_throws: 1 }, Node::Sleep(900_000)];
    let late = [Act::Pause(0), Act::Advance(70_000), Act::Work(9), Act::Resume(0)];
    let cancelled = vec![start(), Act::Flow(9), Act::Cancel(0), Act::Flow(9)];
    let book = check_saga(nodes.clone(), [cancelled, late.to_vec()].concat());
    assert_eq!(ids(&book), ["$input", "0", "1", "$cancel", "$undo/0", "$outcome"]);
    assert_eq!(book.runs[&1].status, RunStatus::Cancelled);
    // A held run is asked, too, if it has something to undo.
    let held = check_saga(nodes.clone(), vec![start(), Act::Flow(9), Act::Pause(0), Act::Cancel(0), Act::Flow(9)]);
    assert_eq!(ids(&held), ids(&book));
    let killed = check_saga(nodes, vec![start(), Act::Flow(9), Act::Kill(0)]);
    assert_eq!(ids(&killed), ["$input", "0", "1", "$outcome"]);
}

/// What a handler says before it fails again in the same way is no progress.
#[test]
fn a_note_does_not_reset_the_count_of_failures() {
    let failing = || [call(), vec![Act::Answer(0, How::Noisy), Act::Advance(9_000), Act::Work(9)]].concat();
    let book = check(Vec::new(), [vec![start()], failing(), failing(), failing()].concat());
    assert_eq!(book.runs[&1].status, RunStatus::Failed);
}

#[test]
fn a_timer_beyond_the_horizon_fires() {
    check(vec![Node::Sleep(900_000)], vec![start(), Act::Flow(9), Act::Advance(900_000), Act::Flow(9)]);
}

#[test]
fn a_run_that_is_held_meanwhile_takes_no_answer() {
    let acts = [vec![start()], call(), vec![Act::Quarantine(0), Act::Answer(0, How::Honestly)]];
    check(vec![Node::Signal(0, None)], acts.concat());
}

#[test]
fn a_handler_cannot_have_seen_what_it_was_not_given() {
    let three = [0, 1, 0].map(|name| vec![Node::Signal(name, None)]).to_vec();
    let race = Node::All(three);
    let acts = [vec![start(), Act::Flow(9), signal(0)], call(), vec![signal(1), Act::Answer(0, How::Prophetic)]];
    check(vec![race], acts.concat());
}

#[test]
fn a_hint_wakes_nothing_early() {
    let acts = vec![start(), Act::Flow(9), Act::Advance(99), Act::Hint(0), Act::Load(false), Act::Flow(9)];
    check(vec![Node::Sleep(100)], acts);
}

#[test]
fn an_idempotency_key_is_forgotten_after_its_day() {
    let start = || Act::Start { function: 0, key: 0, name: None, idempotency: Some(0), delay: None };
    let early = vec![start(), Act::Flow(9), Act::Advance(86_399_999), start(), Act::Flow(9)];
    assert_eq!(check(Vec::new(), early).runs.len(), 1);
    let load = || vec![Act::Load(false), Act::Load(false)];
    let late = [vec![start(), Act::Flow(9), Act::Advance(86_400_000), start()], load(), load(), vec![Act::Flow(9)]];
    assert_eq!(check(Vec::new(), late.concat()).runs.len(), 2);
}

#[test]
fn a_step_that_became_due_during_an_invocation_runs() {
    let step = Node::Step { throws: 1, fatal: false };
    let both = Node::All(vec![vec![step], vec![Node::Signal(0, None), Node::Signal(1, None)]]);
    let meanwhile = vec![Act::Advance(2_000), Act::Work(4), Act::Answer(0, How::Honestly)];
    let acts = [vec![start(), Act::Flow(9), signal(0)], call(), meanwhile].concat();
    let book = check(vec![both], acts);
    let step = book.entries[&1].iter().find(|entry| &*entry.id == "0.0.0").expect("was made");
    assert!(step.is_settled(), "{step:?}");
}

#[test]
fn ops_that_are_in_the_journal_change_nothing() {
    let nodes = vec![Node::Marker, Node::Step { throws: 0, fatal: false }, Node::Sleep(50), Node::Signal(0, None)];
    let again = || [call(), vec![Act::Answer(0, How::Again)]].concat();
    let acts = [vec![start()], again(), again(), again(), vec![Act::Advance(50), Act::Work(9)], again(), again()];
    check(nodes, acts.concat());
}

#[test]
fn children_are_cancelled_after_a_crash_at_their_parents_end() {
    let child = || vec![Node::Child { function: 1, timeout: None, detached: false }];
    let race = vec![Node::Race(vec![vec![Node::Marker], child(), child()])];
    let round = || [vec![Act::Advance(20)], call(), vec![Act::Answer(0, How::Honestly)]].concat();
    let end = vec![Act::Commit, Act::Committed(Fate::Done), Act::Crash];
    let wait = vec![Node::Signal(0, None)];
    let rounds: Vec<Act> = std::iter::repeat_with(round).take(6).flatten().collect();
    let acts = [vec![start()], rounds, end].concat();
    let book = check_with(race, wait, acts);
    assert!(book.runs.values().all(|head| head.status.is_terminal()));
}

#[test]
fn an_old_reading_of_timers_delays_nothing() {
    let nodes = vec![Node::Signal(0, Some(700_000)), Node::Sleep(100)];
    let commit = || vec![Act::Commit, Act::Committed(Fate::Done)];
    let ask = vec![Act::Load(true), Act::Poll(4), Act::Load(true), Act::Poll(4), Act::Answer(0, How::Honestly)];
    let read = vec![start(), Act::Flow(9), Act::Advance(290_000), Act::Rescan, signal(0), Act::Load(true)];
    check(nodes, [read, commit(), ask, commit(), vec![Act::Load(false), Act::Flow(9)]].concat());
}

#[test]
fn a_wait_that_is_not_durable_is_not_forgotten() {
    let wait = Node::Event { name: 2, filter: WaitFilter::None, timeout: None, since_run: false };
    let answer = vec![Act::Answer(0, How::Honestly), Act::Load(false), Act::Load(false), Act::Load(false)];
    let event = vec![Act::Committed(Fate::Done), Act::Ingest(vec![(2, 0, None)]), Act::Load(false)];
    let deliver = vec![Act::Work(1), Act::Load(false), Act::Load(false), Act::Work(1), Act::Flow(9)];
    let acts = [vec![start()], call(), vec![start(), Act::Commit], answer, event, deliver].concat();
    let book = check(vec![wait], acts);
    assert_eq!(book.runs[&1].status, RunStatus::Completed);
}

#[test]
fn an_unreachable_deployment_is_tried_again() {
    let unreached = || [call(), vec![Act::Answer(0, How::NotReached(None)), Act::Advance(70_000)]].concat();
    let book = check(Vec::new(), [vec![start(), start()], unreached(), unreached(), unreached()].concat());
    assert!(book.runs.values().all(|head| head.status == RunStatus::Completed));
    assert!(book.attempts.is_empty(), "a call that was never made is no attempt");
}

#[test]
fn a_withdrawn_app_keeps_the_policy_of_its_handlers() {
    let programs = vec![Program { flaky: 3, ..program(Vec::new()) }; 4];
    let failing = || [call(), vec![Act::Answer(0, How::Honestly), Act::Advance(9_000), Act::Work(9)]].concat();
    let last = vec![Act::Withdraw, Act::Answer(0, How::Honestly), Act::Flow(9)];
    let acts = [vec![start()], failing(), failing(), call(), last].concat();
    let book = execute(&Case { programs, acts, idle: 9 });
    assert_eq!(book.runs[&1].status, RunStatus::Failed);
}

#[test]
fn a_run_whose_handler_dies_ten_times_is_parked() {
    let lost = || [call(), vec![Act::Answer(0, How::Lost), Act::Advance(4_000_000), Act::Work(9)]].concat();
    let acts = std::iter::once(vec![start()]).chain(std::iter::repeat_with(lost).take(12)).collect::<Vec<_>>();
    let book = check(Vec::new(), acts.concat());
    assert_eq!(book.attempts.len(), 10);
    assert_eq!(book.runs[&1].status, RunStatus::Completed);
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

/// Of several events that match, the run has the first that was accepted, whether the wait was there before or after.
#[test]
fn the_first_event_that_matches_wins() {
    let wait = Node::Event { name: 2, filter: WaitFilter::SameKey, timeout: None, since_run: true };
    let run = || Act::Start { function: 0, key: 1, name: None, idempotency: None, delay: None };
    let events = || {
        // Two that do not match, by name and by key, then two at once, then one more.
        vec![Act::Ingest(vec![(1, 1, None), (2, 0, None), (2, 1, None), (2, 1, None)]), Act::Ingest(vec![(2, 1, None)])]
    };
    for early in [true, false] {
        for idle in [0, 9] {
            let programs = vec![program(vec![Node::Sleep(5), wait.clone()]); 4];
            let middle = if early { events() } else { vec![Act::Advance(5), Act::Flow(9)] };
            let late = if early { vec![Act::Advance(5)] } else { events() };
            let acts = [vec![run(), Act::Flow(9)], middle, vec![Act::Flow(9)], late, vec![Act::Flow(20)]].concat();
            let book = execute(&Case { programs, acts, idle });
            let matches = |event: &&Event| &*event.name == "e2" && event.data == Payload::trusted(r#"{"key":1}"#);
            let first = book.events.values().find(matches).expect("was accepted");
            let wait = book.entries[&1].iter().find(|entry| entry.kind == EntryKind::WaitEvent).expect("was made");
            let outcome: serde_json::Value =
                wait.outcome.as_ref().and_then(Outcome::payload).expect("is settled").read().expect("JSON");
            assert_eq!(outcome["id"], first.id.to_string(), "early: {early}, idle: {idle}");
        }
    }
}
