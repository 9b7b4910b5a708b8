//! HTTP calls for runs, as the tests of the engine make them: what is called, what comes of it, and that a call is made only
//! for an entry that is durable and waits for it, and counts once.

use backstitch_server::engine::{Command, Decision};
use backstitch_server::model::{
    Entry, EntryKind, EntryStatus, Failure, FetchCall, FetchEnd, FetchOp, FetchToken, HandlerOp, Outcome, Payload,
    Span, Timestamp, names,
};
use proptest::prelude::*;

use super::chaos::How;
use super::harness::{Item, World};
use super::program::{Node, params_of};
use super::registry::{ATTEMPTS, INITIAL_MS};
use super::steps::check_time_out;

/// A call that is under way.
pub(super) struct Out {
    pub(super) call: FetchCall,
    pub(super) started_at: Timestamp,
}

/// A call that fails so many times first, one time without an answer, the other time with one that is none.
pub(super) fn node() -> impl Strategy<Value = Node> {
    let close = proptest::option::of(prop_oneof![3 => 0u64..6_000, 1 => Just(800_000)]);
    (0u32..4, proptest::bool::weighted(0.1), close).prop_map(|(fails, fatal, close)| Node::Fetch {
        fails,
        fatal,
        close,
    })
}

/// What a handler asks for.
pub(super) fn op(node: &Node, id: &str) -> HandlerOp {
    let Node::Fetch { fails, fatal, close } = node else { panic!("no call: {node:?}") };
    let mut params = serde_json::json!({ "request": { "url": "http://h/x?q" }, "fails": fails, "fatal": fatal });
    if let Some(close) = close {
        params["scheduleToClose"] = (*close).into();
    }
    let params = Payload::trusted(params.to_string());
    HandlerOp::Fetch(FetchOp { id: id.into(), name: None, params, schedule_to_close: close.map(Span) })
}

/// An answer with this status.
pub(super) fn answered(status: u16, retry_after: Option<u64>) -> FetchEnd {
    let value = Payload::trusted(format!(r#"{{"status":{status},"headers":{{}},"body":"","encoding":"utf8"}}"#));
    FetchEnd::Answered { status, value, retry_after: retry_after.map(Span), said: format!("answered {status}") }
}

/// No answer.
pub(super) fn unanswered(retryable: bool) -> FetchEnd {
    let failure = Failure { retryable: Some(retryable), ..Failure::new(names::FETCH_FAILED, "planted") };
    FetchEnd::Failed { status: None, failure: Box::new(failure), retry_after: None }
}

/// What comes of a call whose other side does as the program says.
fn honestly(call: &FetchCall) -> FetchEnd {
    let params: serde_json::Value = call.params.read().expect("JSON");
    let fails = params["fails"].as_u64().unwrap_or(0);
    match u64::from(call.attempt) {
        attempt if attempt > fails => answered(200, None),
        _ if params["fatal"] == true => unanswered(false),
        attempt if attempt % 2 == 0 => answered(503, None),
        _ => unanswered(true),
    }
}

impl World {
    /// A call leaves the house.
    pub(super) fn fetch(&mut self, call: FetchCall) {
        let token = call.token;
        if !self.partition.is_fetching(token) {
            return self.partition.fetch_ended(token);
        }
        let entry = &self.safe.entries_of(token.run)[token.idx as usize];
        assert!(is_called(entry), "a call is made for an entry that does not wait for it: {entry:?}");
        assert_eq!((entry.failures + 1, &entry.params, &entry.id), (call.attempt, &call.params, &call.entry));
        let others =
            self.fetches.iter().filter(|out| (out.call.token.run, out.call.token.idx) == (token.run, token.idx));
        assert_eq!(others.count(), 0, "two calls are made at once for {entry:?}");
        self.fetches.push(Out { call, started_at: self.now });
    }

    /// Nobody waits for a call any more.
    pub(super) fn abandon(&mut self, token: FetchToken) {
        let Some(at) = self.fetches.iter().position(|out| out.call.token == token) else { return };
        let entry = &self.book.entries_of(token.run)[token.idx as usize];
        let ended = self.book.head(token.run).is_some_and(|head| head.status.is_terminal());
        assert!(ended || entry.is_settled(), "a call is given up that its entry waits for: {entry:?}");
        self.fetches.swap_remove(at);
        self.stale_fetches.push(token);
    }

    /// The process dies, and its calls with it.
    pub(super) fn lose_fetches(&mut self) {
        let lost = std::mem::take(&mut self.fetches).into_iter().map(|out| out.call.token);
        self.stale_fetches.extend(lost);
    }

    /// A call ends as the program says.
    pub(super) fn finish_fetch(&mut self, at: usize) {
        let end = honestly(&self.fetches[at].call);
        self.end_fetch(at, end);
    }

    /// A call ends so. One that nobody waits for may end before it is given up.
    pub(super) fn end_fetch(&mut self, at: usize, end: FetchEnd) {
        let Out { call, started_at } = self.fetches.swap_remove(at);
        let token = call.token;
        self.decide(Item { command: Command::Fetched { token, end, started_at }, caller: false });
        self.stale_fetches.push(token);
    }

    /// Some call ends somehow, if it is the turn of one. Handlers and others take turns.
    pub(super) fn some_fetch(&mut self, call: u8, how: &How) -> bool {
        let at = usize::from(call) % (self.calls.len() + self.fetches.len()).max(1);
        let Some(at) = at.checked_sub(self.calls.len()).filter(|at| *at < self.fetches.len()) else { return false };
        let end = match how {
            How::Lost => unanswered(true),
            How::NotReached(after) => answered(503, *after),
            How::Problem(status) => answered(499 + u16::from(*status), None),
            How::Contradiction => unanswered(false),
            How::Twice | How::Again => return self.stale_fetch(call),
            _ => honestly(&self.fetches[at].call),
        };
        self.end_fetch(at, end);
        true
    }

    /// What comes of a call of old changes nothing.
    fn stale_fetch(&mut self, which: u8) -> bool {
        let stale = self.stale_fetches.iter().filter(|token| !self.is_parked(token));
        let stale: Vec<FetchToken> = stale.copied().collect();
        if !stale.is_empty() {
            let token = stale[usize::from(which) % stale.len()];
            let command = Command::Fetched { token, end: answered(200, None), started_at: self.now };
            let at = self.moment();
            if let Decision::Decided(transition) = self.partition.decide(at, &self.registry, &command) {
                assert!(transition.changes.is_empty(), "a call of old counts: {transition:?}");
            }
        }
        true
    }
}

/// Whether the call of an entry is to be made now.
pub(super) fn is_called(entry: &Entry) -> bool {
    entry.kind == EntryKind::Fetch && entry.status == EntryStatus::Waiting
}

/// When a suspended run wakes: one for which a call is to be made is worked on.
pub(super) fn wake_at(entries: &[Entry], timer: Option<Timestamp>) -> Option<Timestamp> {
    if entries.iter().any(is_called) { Some(Timestamp::ZERO) } else { timer }
}

/// A call is made again as often as the policy says, and then what came last is the outcome.
pub(super) fn check_call(entry: &Entry) {
    let close = params_of(entry)["scheduleToClose"].as_u64().map(|ms| entry.created_at.after(Span(ms)));
    match (&entry.outcome, entry.status) {
        (Some(Outcome::Err(error)), _) => {
            let failure = Failure::from_payload(error);
            assert_eq!(failure.retryable, Some(false), "{entry:?}");
            if failure.name == names::TIMEOUT {
                check_time_out(entry, &failure);
            }
        }
        (None, EntryStatus::Waiting) => assert_eq!(entry.due_at, close, "{entry:?}"),
        (None, EntryStatus::Backoff) => {
            assert!(entry.failures < ATTEMPTS && entry.last_error.is_some(), "{entry:?}");
            let due = entry.due_at.expect("a call in back-off has a timer");
            assert!(close.is_none_or(|close| due <= close), "a call is made after its time: {entry:?}");
        }
        (None, status) => panic!("a call is never {status:?}: {entry:?}"),
        (Some(_), _) => {}
    }
}

/// An entry of a call changed at `now`.
pub(super) fn check_change(old: &Entry, new: &Entry, command: &Command, now: Timestamp) {
    if new.kind != EntryKind::Fetch {
        return;
    }
    match (old.status, new.status) {
        (EntryStatus::Backoff, EntryStatus::Waiting) => {
            assert!(
                old.due_at.is_some_and(|due| due <= now),
                "a call is made before its pause is over: {old:?} at {now}"
            );
        }
        (EntryStatus::Waiting, EntryStatus::Backoff) => {
            assert_eq!(new.failures, old.failures + 1);
            let least = (INITIAL_MS << old.failures) * 4 / 5;
            let told = matches!(command, Command::Fetched { end: FetchEnd::Answered { retry_after: Some(_), .. }, .. });
            let pause = new.due_at.expect("has a timer").since(now).0;
            assert!(told || pause + 1 >= least, "a call's pause is too short: {new:?} at {now}");
        }
        (_, EntryStatus::Settled) => {
            let late = matches!(&new.outcome, Some(Outcome::Err(error)) if Failure::from_payload(error).name == names::TIMEOUT);
            let fetched = matches!(command, Command::Fetched { .. });
            assert!(late || fetched, "a call's entry settled with what was not fetched: {command:?}");
            let fits = new.failures == old.failures || new.failures == old.failures + 1 && fetched;
            assert!(fits, "a failed attempt counts once: {new:?}");
        }
        (from, to) => assert_eq!(from, to, "{old:?} became {new:?}"),
    }
}
