//! A run as a picture: one line for the run, one for each entry, entries of a scope below the scope's name. A pure function
//! of what the API shows and of the time, so that the same picture is drawn once, live, and in tests.

use serde_json::Value;

use super::branches::Branches;
use crate::api::view::{EntryJson, JournalJson, RunJson};
use crate::cli::runs::{short, shown};
use crate::cli::screen::plain;
use crate::cli::style::{BAD, BOLD, DIM, GOOD, MOVING, ODD, of_status, styled};
use crate::model::{EntryKind, EntryStatus, Failure, FetchTarget, Origin, Payload, RunStatus, Span, Timestamp, names};

/// Characters of a value that are shown.
const VALUE_CHARS: usize = 300;

/// Characters of a name that are shown.
const NAME_CHARS: usize = 60;

/// The picture, line by line.
pub(in crate::cli) fn lines(run: &RunJson, entries: &[EntryJson], now: Timestamp) -> Vec<String> {
    let mut lines = top(run, now);
    let shown = entries.iter().filter(|entry| !matches!(entry.op, EntryKind::Input | EntryKind::Outcome));
    let outcome = entries.iter().find(|entry| entry.op == EntryKind::Outcome);
    let branches = Branches::new(shown.map(|entry| (&*entry.id, entry)));
    lines.extend(branches.draw(outcome.is_some(), |name, entry| match entry {
        Some(entry) => entry_line(entry, name, now),
        None => styled(DIM, plain(&decoded(name), NAME_CHARS)),
    }));
    lines.extend(outcome.map(|outcome| format!("└─ {}", end(run.status, outcome))));
    lines
}

/// The part of the picture that says how the run stands.
pub(super) fn top(run: &RunJson, now: Timestamp) -> Vec<String> {
    let mut lines = vec![head(run, now)];
    lines.extend(run.previous.as_ref().map(|previous| {
        let how = match previous.origin {
            Origin::Fork => "forked from",
            Origin::Continue => "continues",
        };
        format!("│  {}", styled(DIM, format!("{how} {}", previous.run)))
    }));
    let labels = shown(run);
    lines.extend((!labels.is_empty()).then(|| format!("│  {}", styled(DIM, plain(&labels, 400)))));
    lines.extend(about(run, now));
    lines
}

/// What is to be known of the invocations that failed before the run ended, or since it began.
pub(super) fn invocations(journal: &JournalJson) -> Option<String> {
    let lost = journal.attempts.iter().filter(|attempt| is_lost(&attempt.error)).count();
    let failed = journal.attempts.len() - lost;
    let some = |count: usize, what: &str| (count > 0).then(|| format!("{count} {what}"));
    let parts: Vec<String> = [some(failed, "failed"), some(lost, "lost in flight")].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| format!("│  {}", styled(DIM, format!("invocations: {}", parts.join(", ")))))
}

fn is_lost(error: &Payload) -> bool {
    Failure::from_payload(error).name == names::LOST
}

/// A segment of an id as it was before it was encoded.
fn decoded(segment: &str) -> String {
    let decoded = segment.replace("%24", "$").replace("%3A", ":").replace("%2F", "/");
    // Last, so that what comes out of it is not decoded again.
    decoded.replace("%25", "%")
}

/// One entry outside of the picture, by its whole id; nothing for those that are not shown there as entries.
pub(super) fn single_line(entry: &EntryJson, now: Timestamp) -> Option<String> {
    let hidden = matches!(entry.op, EntryKind::Input | EntryKind::Outcome);
    (!hidden).then(|| entry_line(entry, &entry.id, now))
}

/// How a run ended, if this is the entry that says so.
pub(super) fn outcome_line(status: RunStatus, entry: &EntryJson) -> Option<String> {
    (entry.op == EntryKind::Outcome).then(|| end(status, entry))
}

/// The run's own line.
fn head(run: &RunJson, now: Timestamp) -> String {
    let took = run.ended_at.unwrap_or(now).since(run.created_at);
    let name = run.name.as_deref().map(|name| format!("  {}", plain(name, NAME_CHARS))).unwrap_or_default();
    format!(
        "{}{name}  {}  {}  {}",
        styled(BOLD, format!("{}/{}", run.app, run.function)),
        styled(of_status(run.status), run.status),
        short(took),
        styled(DIM, run.id)
    )
}

/// What else is to be said of the run. What may be cut off stands last.
fn about(run: &RunJson, now: Timestamp) -> Option<String> {
    if let Some(hold) = &run.hold {
        return Some(format!("│  {}", styled(ODD, plain(&hold.detail, 400))));
    }
    let error = run.last_error.as_ref().filter(|_| !run.status.is_terminal())?;
    let next = match (run.status, run.wake_at) {
        (RunStatus::Backoff, Some(at)) => format!(", next {}", until(at, now)),
        _ => String::new(),
    };
    let what = match (is_lost(error), run.losses) {
        (false, _) => format!("invocation {} failed", run.failures),
        (true, 0 | 1) => "an invocation was lost in flight".to_owned(),
        (true, losses) => format!("{losses} invocations in a row were lost in flight"),
    };
    Some(format!("│  {}", styled(ODD, format!("{what}{next}: {}", failure_line(error)))))
}

/// One entry.
fn entry_line(entry: &EntryJson, own: &str, now: Timestamp) -> String {
    let own = decoded(own);
    let name = entry.name.as_deref().filter(|name| *name != &*entry.id && *name != own);
    let title = match name {
        // A repeat, `:1`, of a name that is its id.
        Some(name) if own.strip_prefix(name).is_some_and(|rest| rest.starts_with(':')) => {
            styled(BOLD, plain(&own, NAME_CHARS))
        }
        Some(name) => format!("{} {}", styled(BOLD, plain(name, NAME_CHARS)), styled(DIM, plain(&own, NAME_CHARS))),
        None => styled(BOLD, plain(&own, NAME_CHARS)),
    };
    let op = if entry.copied { format!("{}, copied", entry.op) } else { entry.op.to_string() };
    format!("{} {title}  {}  {}", mark(entry), styled(DIM, op), state(entry, now)).trim_end().to_owned()
}

fn mark(entry: &EntryJson) -> String {
    match (entry.status, &entry.err, entry.timeout) {
        (EntryStatus::Settled, Some(_), _) => styled(BAD, "✗"),
        (EntryStatus::Settled, _, true) => styled(ODD, "⧖"),
        (EntryStatus::Settled, ..) => styled(GOOD, "✓"),
        (EntryStatus::Backoff, ..) => styled(ODD, "↻"),
        (EntryStatus::Waiting | EntryStatus::Runnable, ..) => styled(MOVING, "◌"),
    }
}

/// Where the entry stands, in words.
fn state(entry: &EntryJson, now: Timestamp) -> String {
    match entry.status {
        EntryStatus::Settled => settled(entry),
        EntryStatus::Backoff => {
            let error = entry.last_error.as_ref().map(failure_line).unwrap_or_default();
            let next = entry.due_at.map(|at| format!(", next {}", until(at, now))).unwrap_or_default();
            styled(ODD, format!("attempt {} failed{next}: {error}", entry.failures))
        }
        EntryStatus::Runnable => styled(MOVING, "to run now"),
        EntryStatus::Waiting => styled(MOVING, waiting(entry, now)),
    }
}

fn settled(entry: &EntryJson) -> String {
    let took = entry.settled_at.map(|at| at.since(entry.created_at)).filter(|took| took.0 > 0).map(short);
    let took = took.map(|took| styled(DIM, took)).unwrap_or_default();
    let child = entry.child.map(|run| styled(DIM, format!(" {run}"))).unwrap_or_default();
    let outcome = match (&entry.err, entry.timeout, entry.attempts.len()) {
        // The last failed attempt is the outcome itself.
        (Some(error), _, 0 | 1) => styled(BAD, format!(" {}", failure_line(error))),
        (Some(error), _, n) => styled(BAD, format!(" failed {n} times, at last with {}", failure_line(error))),
        (None, true, _) => styled(ODD, " timed out"),
        (None, false, 0) => String::new(),
        (None, false, 1) => styled(ODD, " after 1 failed attempt"),
        (None, false, n) => styled(ODD, format!(" after {n} failed attempts")),
    };
    // The error is the longest and stands last.
    let parts = if entry.err.is_some() { [took, child, outcome] } else { [took, outcome, child] };
    parts.concat().trim_start().to_owned()
}

/// What it waits for.
fn waiting(entry: &EntryJson, now: Timestamp) -> String {
    let params: Value = entry.params.read().unwrap_or_default();
    let word = |field: &str| params.get(field).and_then(Value::as_str).map(|text| plain(text, NAME_CHARS));
    let what = match entry.op {
        EntryKind::Sleep => entry.due_at.map(|at| format!("wakes {}", until(at, now))).unwrap_or_default(),
        EntryKind::WaitSignal => match word("signal") {
            Some(signal) => format!("waits for the signal {signal}"),
            None => "waits for whoever holds its token".to_owned(),
        },
        EntryKind::WaitEvent => format!("waits for the event {}", word("event").unwrap_or_default()),
        EntryKind::Fetch => format!("fetching {}", plain(&FetchTarget::of(&entry.params).address, NAME_CHARS)),
        EntryKind::Invoke => match entry.child {
            Some(child) => format!("waits for {child}"),
            None => format!("waits for {}", word("function").unwrap_or_default()),
        },
        _ => "waits".to_owned(),
    };
    match (entry.op, entry.due_at) {
        (EntryKind::Sleep, _) | (_, None) => what,
        (_, Some(at)) => format!("{what}, gives up {}", until(at, now)),
    }
}

fn until(at: Timestamp, now: Timestamp) -> String {
    match at.since(now) {
        Span(0) => "now".to_owned(),
        // Seconds are enough for what is still to come.
        rest => format!("in {}", short(Span(rest.0.div_ceil(1_000) * 1_000)).replace(".0s", "s")),
    }
}

/// The last line.
fn end(status: RunStatus, outcome: &EntryJson) -> String {
    match (&outcome.ok, &outcome.err) {
        (Some(next), None) if status == RunStatus::Continued => {
            format!(
                "{} goes on in a new run {}",
                styled(GOOD, "→"),
                plain(&String::from_utf8_lossy(next.bytes()), VALUE_CHARS)
            )
        }
        (_, Some(error)) => format!("{} {}", styled(BAD, "✗"), styled(BAD, failure_line(error))),
        (Some(value), None) => {
            format!("{} {}", styled(GOOD, "✓"), plain(&String::from_utf8_lossy(value.bytes()), VALUE_CHARS))
        }
        (None, None) => styled(GOOD, "✓"),
    }
}

/// A failure in one line.
pub(in crate::cli) fn failure_line(payload: &Payload) -> String {
    let failure = Failure::from_payload(payload);
    plain(&format!("{}: {}", failure.name, failure.message), 300)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const RUN: &str = "run_01hzy3v7q8k2m4n6p8r0s2t4v6";

    fn at(second: u32) -> String {
        format!("2026-03-01T12:00:{second:02}.000Z")
    }

    fn run(more: Value) -> RunJson {
        let mut run = json!({
            "id": RUN, "app": "shop", "function": "order", "status": "suspended", "trigger": "call", "root": RUN,
            "createdAt": at(0), "startedAt": at(0), "failures": 0, "losses": 0,
        });
        run.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(run).unwrap()
    }

    fn entry(idx: u32, id: &str, op: &str, status: &str, more: Value) -> EntryJson {
        let mut entry = json!({
            "idx": idx, "id": id, "op": op, "status": status, "params": {}, "failures": 0, "createdAt": at(0),
        });
        entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(entry).unwrap()
    }

    #[track_caller]
    fn check(run: &RunJson, entries: &[EntryJson], expected: &[&str]) {
        let drawn = lines(run, entries, at(10).parse().unwrap());
        let plain: Vec<String> = drawn.iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect();
        assert_eq!(plain, expected);
    }

    #[test]
    fn a_waiting_run_says_for_what() {
        check(
            &run(json!({"name": "order-17"})),
            &[
                entry(0, "$input", "input", "settled", json!({"ok": 1})),
                entry(
                    1,
                    "charge",
                    "step",
                    "settled",
                    json!({"ok": 1, "settledAt": at(2), "attempts": [
                    {"number": 1, "startedAt": at(0), "endedAt": at(1), "error": {"name": "E", "message": "busy"}}]}),
                ),
                entry(
                    2,
                    "cart/a/pick",
                    "step",
                    "backoff",
                    json!({"failures": 2, "dueAt": at(15),
                    "lastError": {"name": "Timeout", "message": "slow"}}),
                ),
                entry(3, "cart/b", "sleep", "waiting", json!({"dueAt": at(40)})),
                entry(4, "ok", "waitSignal", "waiting", json!({"params": {"signal": "approve"}, "dueAt": at(59)})),
                entry(5, "bill", "invoke", "waiting", json!({"child": RUN})),
            ],
            &[
                "shop/order  order-17  suspended  10.0s  run_01hzy3v7q8k2m4n6p8r0s2t4v6",
                "├─ ✓ charge  step  2.0s after 1 failed attempt",
                "├─ cart",
                "│  ├─ a",
                "│  │  └─ ↻ pick  step  attempt 2 failed, next in 5s: Timeout: slow",
                "│  └─ ◌ b  sleep  wakes in 30s",
                "├─ ◌ ok  waitSignal  waits for the signal approve, gives up in 49s",
                "└─ ◌ bill  invoke  waits for run_01hzy3v7q8k2m4n6p8r0s2t4v6",
            ],
        );
    }

    #[test]
    fn an_ended_run_says_how() {
        let error = json!({"name": "OutOfStock", "message": "none\nleft"});
        check(
            &run(json!({"status": "failed", "endedAt": at(3)})),
            &[
                entry(1, "paid", "waitEvent", "settled", json!({"timeout": true, "settledAt": at(3)})),
                entry(2, "ship", "step", "settled", json!({"err": error, "settledAt": at(3)})),
                entry(3, "$outcome", "outcome", "settled", json!({"err": error})),
            ],
            &[
                "shop/order  failed  3.0s  run_01hzy3v7q8k2m4n6p8r0s2t4v6",
                "├─ ⧖ paid  waitEvent  3.0s timed out",
                "├─ ✗ ship  step  3.0s OutOfStock: none left",
                "└─ ✗ OutOfStock: none left",
            ],
        );
    }

    #[test]
    fn parallel_scopes_are_a_branch_each() {
        let settled = |idx, id| entry(idx, id, "step", "settled", json!({"ok": 1}));
        check(
            &run(json!({})),
            &[
                settled(1, "map/a/one"),
                settled(2, "map/b/one"),
                settled(3, "map"),
                settled(4, "map/a/two"),
                settled(5, "map/b/two"),
                settled(6, "map:1/c"),
            ],
            &[
                "shop/order  suspended  10.0s  run_01hzy3v7q8k2m4n6p8r0s2t4v6",
                "├─ map",
                "│  ├─ a",
                "│  │  ├─ ✓ one  step",
                "│  │  └─ ✓ two  step",
                "│  └─ b",
                "│     ├─ ✓ one  step",
                "│     └─ ✓ two  step",
                "├─ ✓ map  step",
                "└─ map:1",
                "   └─ ✓ c  step",
            ],
        );
    }

    #[test]
    fn ids_are_shown_as_they_were_written() {
        check(
            &run(json!({})),
            &[
                entry(1, "a%2Fb c%2525", "step", "settled", json!({"ok": 1, "name": "a/b c%25"})),
                entry(2, "a%2Fb", "step", "settled", json!({"ok": 1, "name": "Pay"})),
                entry(3, "x:1", "step", "settled", json!({"ok": 1, "name": "x"})),
            ],
            &[
                "shop/order  suspended  10.0s  run_01hzy3v7q8k2m4n6p8r0s2t4v6",
                "├─ ✓ a/b c%25  step",
                "├─ ✓ Pay a/b  step",
                "└─ ✓ x:1  step",
            ],
        );
    }

    #[test]
    fn what_was_lost_in_flight_did_not_fail() {
        let head = "shop/order  backoff  10.0s  run_01hzy3v7q8k2m4n6p8r0s2t4v6";
        let error = |name: &str| json!({"name": name, "message": "bad"});
        let lost = error(names::LOST);
        let backoff = |failures: u32, losses: u32, error: &Value| {
            run(
                json!({"status": "backoff", "wakeAt": at(12), "failures": failures, "losses": losses, "lastError": error}),
            )
        };
        check(&backoff(3, 0, &error("E")), &[], &[head, "│  invocation 3 failed, next in 2s: E: bad"]);
        check(
            &backoff(0, 2, &lost),
            &[],
            &[head, "│  2 invocations in a row were lost in flight, next in 2s: LostInFlight: bad"],
        );
        let attempt = |error: &Value| json!({"number": 1, "startedAt": at(0), "endedAt": at(1), "error": error});
        let attempts = [attempt(&lost), attempt(&error("E")), attempt(&error("E"))];
        let journal = json!({"run": backoff(0, 0, &lost), "entries": [], "attempts": attempts, "signals": []});
        let said = invocations(&serde_json::from_value(journal).unwrap()).unwrap();
        assert_eq!(anstream::adapter::strip_str(&said).to_string(), "│  invocations: 2 failed, 1 lost in flight");
    }

    #[test]
    fn a_held_run_says_why() {
        let hold = json!({"kind": "mismatch", "detail": "the code asks for a sleep", "since": at(1)});
        check(
            &run(json!({"status": "paused", "hold": hold})),
            &[],
            &["shop/order  paused  10.0s  run_01hzy3v7q8k2m4n6p8r0s2t4v6", "│  the code asks for a sleep"],
        );
    }
}
