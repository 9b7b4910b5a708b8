//! The book's view of steps: how often they are tried and how long, and that what can be undone is undone.

use backstitch_server::model::{
    Answer, Change, Entry, EntryKind, EntryStatus, Failure, Outcome, Payload, RunHead, RunStatus, Terminal, Timestamp,
    names,
};

use super::program::{UNDO_ATTEMPTS, params_of};
use super::registry::{ATTEMPTS, INITIAL_MS};

/// A failed step is tried again as often as the policy says, after the pause that it says.
pub(super) fn check_step(entry: &Entry, now: Timestamp) {
    let fatal = |error: &Payload| Failure::from_payload(error).retryable == Some(false);
    assert!(!entry.is_settled() || entry.details.is_none(), "a settled step keeps no details: {entry:?}");
    match (&entry.outcome, entry.status) {
        (Some(Outcome::Err(error)), _) if Failure::from_payload(error).name == names::TIMEOUT => {
            check_time_out(entry, &Failure::from_payload(error));
        }
        (Some(Outcome::Err(error)), _) => {
            assert!(entry.failures == ATTEMPTS || fatal(error), "a step gave up with attempts left: {entry:?}");
        }
        (None, EntryStatus::Backoff) => {
            let error = entry.last_error.as_ref().expect("a step that failed says why");
            assert!(entry.failures < ATTEMPTS && !fatal(error), "a step is tried too often: {entry:?}");
            let due = entry.due_at.expect("a step in back-off has a timer");
            let plain = (INITIAL_MS << (entry.failures - 1)) as f64;
            assert!((due.since(now).0 as f64) <= plain * 1.2 + 1.0, "a step's pause is too long: {entry:?} at {now}");
        }
        (None, status) => assert_eq!(status, EntryStatus::Runnable, "{entry:?}"),
        (Some(_), _) => {}
    }
}

/// Steps that succeeded and can be undone.
fn compensable(entries: &[Entry]) -> impl Iterator<Item = &Entry> {
    let ok = |entry: &&Entry| matches!(entry.outcome, Some(Outcome::Ok(_)));
    entries
        .iter()
        .filter(|entry| entry.kind == EntryKind::Step)
        .filter(ok)
        .filter(|e| params_of(e)["compensate"] == true)
}

/// A run that failed, or stopped when it was asked to, has undone what can be undone: its handler the newest first.
pub(super) fn check_undone(entries: &[Entry]) {
    let find = |id: &str| entries.iter().find(|entry| *entry.id == *id);
    let mut by_handler = Vec::new();
    for step in compensable(entries) {
        let undo = find(&format!("$undo/{}", step.id)).unwrap_or_else(|| panic!("{step:?} was not undone"));
        assert!(matches!(undo.outcome, Some(Outcome::Ok(_))), "{undo:?}");
        if undo.outcome == Some(Outcome::Ok(Payload::trusted(format!("\"{}\"", undo.id)))) {
            by_handler.push((undo.seq, std::cmp::Reverse(step.seq)));
        }
    }
    by_handler.sort_unstable();
    assert!(by_handler.is_sorted_by_key(|(_, step)| *step), "undone in another order: {entries:#?}");
    if let Some(failure) = find("$failure") {
        let last = entries.last().expect("has its outcome");
        assert_eq!(failure.outcome, last.outcome, "a run ends with what it failed with");
    }
}

/// A compensation never fails for good: it parks its run.
pub(super) fn check_undo(head: &RunHead, entry: &Entry) {
    assert_eq!(entry.kind, EntryKind::Step);
    assert!(matches!(entry.outcome, None | Some(Outcome::Ok(_))), "{entry:?}");
    if entry.status == EntryStatus::Backoff {
        let parked = entry.due_at.is_none();
        assert_eq!(parked, entry.failures >= UNDO_ATTEMPTS, "{entry:?}");
        let idle = head.status == RunStatus::Paused || head.status.is_terminal();
        assert!(!parked || idle, "a compensation that was given up does not park its run: {entry:?} {head:?}");
    }
}

/// A step that timed out was late, or its next attempt would have been.
pub(super) fn check_time_out(entry: &Entry, failure: &Failure) {
    let params: serde_json::Value = entry.params.read().expect("JSON");
    let data: serde_json::Value = failure.data.as_ref().expect("has data").read().expect("JSON");
    assert_eq!(data["lastError"].is_null(), entry.failures == 0, "{entry:?}");
    let age = entry.settled_at.expect("is settled").since(entry.created_at).0;
    let close = params["scheduleToClose"].as_u64();
    // The pause after this failure is at most this long.
    let pause = (INITIAL_MS << entry.failures.saturating_sub(1)) * 6 / 5 + 1;
    let closed = close.is_some_and(|close| age >= close || (entry.failures > 0 && age + pause > close));
    let started = params["scheduleToStart"].as_u64().is_some_and(|start| entry.failures > 0 && age >= start);
    assert!(closed || started, "a step timed out early: {entry:?}");
}

/// The id of an entry that waits for its token.
pub(super) fn awakeable_of(entry: &Entry) -> Option<&str> {
    entry.params.bytes().windows(9).any(|text| text == b"awakeable").then_some(&*entry.id)
}

/// The key of what started a run, or the first of its chain.
pub(super) fn trigger_key(input: &Entry) -> i64 {
    match &params_of(input)["data"] {
        serde_json::Value::Null => key_of(input.outcome.as_ref().and_then(Outcome::payload)),
        data => data["key"].as_i64().unwrap_or(-1),
    }
}

/// The key that an event or an input has.
pub(super) fn key_of(payload: Option<&Payload>) -> i64 {
    let value: serde_json::Value = payload.and_then(|payload| payload.read().ok()).unwrap_or_default();
    value["key"].as_i64().unwrap_or(-1)
}

/// The run whose rows a change is about.
pub(super) fn run_of(change: &Change) -> Option<i64> {
    match change {
        Change::RunCreated(head) | Change::RunChanged(head) => Some(head.run_no),
        Change::EntryAdded(entry) | Change::EntryChanged(entry) => Some(entry.run_no),
        Change::WaitOpened(wait) | Change::WaitChanged(wait) | Change::WaitClosed(wait) => Some(wait.run_no),
        Change::SignalAdded(signal) | Change::SignalChanged(signal) => Some(signal.run_no),
        Change::MessagesAdded(messages) | Change::MessagesCut(messages) => Some(messages.run_no),
        Change::StreamPut(stream) => Some(stream.run_no),
        Change::StreamDeleted(run_no, _) => Some(*run_no),
        _ => None,
    }
}

/// Whether a handler is done with what it did, and wants to go on in a new run.
pub(super) fn goes_on(answer: &Answer) -> bool {
    matches!(answer, Answer::Ops { end: Some(Terminal::ContinueAsNew(_)), .. })
}
