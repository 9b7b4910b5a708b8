//! Bounds of a run, from both sides: the last thing that fits, and the first that does not.

use backstitch_server::engine::{Refusal, Reply};
use backstitch_server::limits::{
    EARLY_SIGNALS_MAX, ENTRIES_MAX, JOURNAL_BYTES_MAX, OUTCOME_BYTES_MAX, UNINDEXED_WAITS_MAX,
};
use backstitch_server::model::{
    Entry, HandlerOp, Outcome, Payload, RetryPolicy, RunId, RunStatus, StepReport, StepResult, WaitEventOp,
    WaitSignalOp, names,
};

use super::house::House;

fn marker(n: u32) -> HandlerOp {
    HandlerOp::Marker { id: format!("m{n}").into(), name: None, params: Payload::trusted("{}") }
}

fn step(n: usize, bytes: usize) -> HandlerOp {
    HandlerOp::Step(StepReport {
        id: format!("s{n}").into(),
        name: None,
        params: Payload::trusted("{}"),
        retry: RetryPolicy::default(),
        result: StepResult::Ok(Payload::trusted(format!("\"{}\"", "x".repeat(bytes - 2)))),
        attempt: 1,
        started_at: None,
        ended_at: None,
    })
}

fn wait_event(n: u64, filter: &str) -> HandlerOp {
    HandlerOp::WaitEvent(WaitEventOp {
        id: format!("w{n}").into(),
        name: None,
        params: Payload::trusted("{}"),
        event: "e".into(),
        filter: Some(filter.into()),
        timeout: None,
        since_run: true,
    })
}

/// The name of the error with which an entry settled.
fn error_of(house: &House, run: RunId, id: &str) -> Option<String> {
    match house.entries(run).find(|entry| &*entry.id == id)?.outcome.as_ref()? {
        Outcome::Err(error) => {
            let error: serde_json::Value = error.read().expect("JSON");
            Some(error["name"].as_str().expect("a name").to_owned())
        }
        other => panic!("`{id}` settled with {other:?}"),
    }
}

/// A run that has grown too large has room to undo what it did.
#[test]
fn a_run_that_is_too_large_undoes_its_steps() {
    let mut house = House::new(9);
    let run = house.start(true, 9);
    let undoable = |id: &str, params: &str| {
        let HandlerOp::Step(report) = step(0, 2) else { unreachable!("a step is a step") };
        HandlerOp::Step(StepReport { id: id.into(), params: Payload::trusted(params.to_owned()), ..report })
    };
    house.answer(|_| {
        let markers = (0..ENTRIES_MAX).map(marker);
        std::iter::once(undoable("a", r#"{"compensate":true}"#)).chain(markers).collect()
    });
    assert_eq!(house.head(run).status, RunStatus::Ready);
    assert_eq!(error_of(&house, run, "$failure"), Some(names::TOO_MANY_ENTRIES.to_owned()));
    house.answer(|_| vec![undoable("$undo/a", r#"{"compensates":"a"}"#)]);
    assert_eq!(house.head(run).status, RunStatus::Ready);
    assert!(house.entries(run).any(|entry| &*entry.id == "$undo/a" && entry.is_settled()));
}

#[test]
fn a_run_has_so_many_entries_and_no_more() {
    let mut house = House::new(9);
    let run = house.start(true, 9);
    house.answer(|_| (0..ENTRIES_MAX).map(marker).collect());
    assert_eq!(house.head(run).status, RunStatus::Ready);
    assert_eq!(house.entries(run).count() as u32, ENTRIES_MAX + 1);
    house.answer(|_| vec![marker(ENTRIES_MAX)]);
    assert_eq!(house.head(run).status, RunStatus::Failed);
    assert_eq!(error_of(&house, run, "$outcome").as_deref(), Some(names::TOO_MANY_ENTRIES));
}

#[test]
fn a_journal_has_so_many_bytes_and_no_more() {
    let mut house = House::new(9);
    let run = house.start(true, 9);
    let fit = JOURNAL_BYTES_MAX / OUTCOME_BYTES_MAX - 1;
    for n in 0..fit {
        house.answer(|_| vec![step(n, OUTCOME_BYTES_MAX)]);
        assert_eq!(house.head(run).status, RunStatus::Ready);
    }
    // The last one fits to the byte, with the few that each entry has besides its outcome.
    let used: usize = house.entries(run).map(Entry::payload_bytes).sum();
    let first = house.entries(run).find(|entry| &*entry.id == "s0").expect("was made");
    let beside = first.payload_bytes() - OUTCOME_BYTES_MAX;
    house.answer(|_| vec![step(fit, JOURNAL_BYTES_MAX - used - beside)]);
    assert_eq!(house.head(run).status, RunStatus::Ready);
    house.answer(|_| vec![marker(0)]);
    assert_eq!(house.head(run).status, RunStatus::Failed);
    assert_eq!(error_of(&house, run, "$outcome").as_deref(), Some(names::JOURNAL_TOO_LARGE));
}

#[test]
fn so_many_early_signals_are_kept_and_no_more() {
    let mut house = House::new(9);
    let run = house.start(true, 9);
    for _ in 0..EARLY_SIGNALS_MAX {
        assert_eq!(house.signal(run), Ok(Reply::Signalled { fresh: true }));
    }
    let refused = house.signal(run);
    assert!(matches!(refused, Err(Refusal::TooManySignals { limit: EARLY_SIGNALS_MAX, .. })), "{refused:?}");
    // A wait takes one of them, which makes room for another.
    house.answer(|_| {
        let params = Payload::trusted(r#"{"signal":"s9"}"#);
        let (id, signal) = ("w".into(), "s9".into());
        vec![HandlerOp::WaitSignal(WaitSignalOp { id, name: None, params, signal, timeout: None })]
    });
    assert_eq!(house.signal(run), Ok(Reply::Signalled { fresh: true }));
    assert!(house.signal(run).is_err());
}

#[test]
fn so_many_waits_may_be_without_an_index_and_no_more() {
    let (every, one) = ("async.data.n > 3", "async.data.id == 7");
    for at_once in [1, 400, UNINDEXED_WAITS_MAX + 1] {
        let mut house = House::new(9);
        let run = house.start(true, 9);
        let all: Vec<u64> = (0..UNINDEXED_WAITS_MAX + 1).collect();
        for some in all.chunks(usize::try_from(at_once).expect("fits")) {
            house.answer(|_| {
                let mut ops: Vec<HandlerOp> = some.iter().map(|n| wait_event(*n, every)).collect();
                // Something that settles at once, so that the run is called again.
                ops.push(marker(u32::try_from(some[0]).expect("fits")));
                ops
            });
        }
        let refused = |n: u64| error_of(&house, run, &format!("w{n}"));
        assert_eq!(refused(UNINDEXED_WAITS_MAX - 1), None, "{at_once}");
        assert_eq!(refused(UNINDEXED_WAITS_MAX).as_deref(), Some(names::TOO_MANY_WAITS), "{at_once}");
        house.answer(|_| vec![wait_event(9_000, one)]);
        assert_eq!(error_of(&house, run, "w9000"), None, "one that is looked up by its value is no burden");
    }
}
